//! Fetching: from a cut, or from nothing, to the objects that have to be rendered.
//!
//! Content is always read from the source, at the version that the cut wants. What lies between
//! "not there yet" and "gone" is settled here; how objects look is not known.

mod fetched;
mod inherited;
mod outlet;

use super::cache::ObjectCache;
pub(super) use fetched::announced;
pub use fetched::{Covered, Fetched, FetchedConfig, SampleNews, Unfounded, Versions};
use fetched::{announced_run, key_of, pairs, plain, with_told};
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Cut, Wanted, WantedRun},
    ids::{BranchId, ComponentId, ObjectKey, RunId, TableId},
    layout::{Component, SourceObject},
    sample::SampleLimits,
    window::later,
};
use mirror_keboola::{
    ConfigurationDetail, DevBranch, Disposition, JobSearch, KeboolaClient, KeboolaError, PreviewRequest,
    Table,
};
pub use outlet::{Listed, Outlet};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use thiserror::Error;

/// A larger preview is none: what is cut from it later has to pass the sandbox first.
const PREVIEW_BYTES_MAX: usize = 8 << 20;
const JOBS_PAGE: u32 = 500;
/// A first sync takes so many of the newest pages of jobs.
const JOBS_PAGES_MAX: u32 = 20;

/// A first sync holds so many bytes of tables until their samples are fetched; others are asked for again.
const TABLES_HELD_BYTES_MAX: usize = 8 << 20;

/// A table whose sample is to be fetched: the branch that it lies in, and itself while it is held.
struct ToSample {
    owner: BranchId,
    table: Option<Table>,
}

/// Why fetching stopped.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error(transparent)]
    Keboola(#[from] KeboolaError),
    #[error("version {version} of {key} is not visible yet")]
    NotVisible { key: ConfigKey, version: u64 },
    #[error("job {run} is not visible yet")]
    JobNotVisible { run: RunId },
    #[error("the branch {branch} does not exist any more")]
    NoBranch { branch: BranchId },
}

/// What a fetch needs beside the cut.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// Buckets and tables.
    pub storage: bool,
    /// None: no samples.
    pub samples: Option<SampleLimits>,
    pub jobs: bool,
    pub now: Timestamp,
}

/// The source of one project: its client, its components, and what was already fetched.
#[derive(Debug)]
pub struct Source {
    client: KeboolaClient,
    /// Events may be ahead of what the source shows; so long is waited for it.
    visible_within: Duration,
    components: Mutex<BTreeMap<ComponentId, Component>>,
    cache: ObjectCache,
    default: inherited::DefaultBranch,
}

impl Source {
    /// Makes a source that keeps so many bytes of what it fetched.
    #[must_use]
    pub fn new(client: KeboolaClient, visible_within: Duration, cache_bytes_max: usize) -> Self {
        Self {
            client,
            visible_within,
            components: Mutex::default(),
            cache: ObjectCache::new(cache_bytes_max),
            default: inherited::DefaultBranch::default(),
        }
    }

    #[must_use]
    pub fn client(&self) -> &KeboolaClient {
        &self.client
    }

    /// Returns whether the source may not show yet what an event tells of that was appended at `appended_at`.
    #[must_use]
    pub fn may_be_unseen(&self, appended_at: Timestamp, now: Timestamp) -> bool {
        now <= later(appended_at, self.visible_within)
    }

    /// Lists the branches of the project.
    ///
    /// # Errors
    /// As any call.
    pub async fn branches(&self) -> Result<Vec<DevBranch>, FetchError> {
        Ok(self.client.dev_branches().await?)
    }

    /// Fetches everything of a branch; its objects go out as they come. `told` is what only events told of runs.
    ///
    /// # Errors
    /// Any call that fails.
    pub async fn whole(
        &self,
        branch: &DevBranch,
        scope: Scope,
        told: &BTreeMap<RunId, WantedRun>,
        outlet: &mut Outlet,
    ) -> Result<Fetched, FetchError> {
        let id = &branch.id;
        let mut fetched = Fetched {
            whole: true,
            ..Fetched::default()
        };
        outlet.put(self.branch_object(id).await?).await;
        let mut metadata: BTreeMap<ConfigKey, Vec<(String, String)>> = BTreeMap::new();
        for listed in self.client.configurations_metadata(id).await? {
            let key = ConfigKey {
                component: listed.component_id,
                config: listed.config_id,
            };
            metadata.insert(key, pairs(listed.metadata));
        }
        let mut components = self.client.configurations(id).await?;
        while let Some(listed) = components.next().await? {
            let component = listed.component.component;
            for detail in listed.configurations {
                let detail = Arc::new(detail);
                let key = key_of(&detail);
                self.cache.put(id, &detail);
                let metadata = metadata.remove(&key).unwrap_or_default();
                fetched.add(&component, &detail, metadata);
                outlet.put_all(&mut fetched.objects).await;
            }
            if let Ok(id) = ComponentId::parse(&component.id) {
                self.components().insert(id, component);
            }
        }
        if scope.storage {
            self.whole_storage(id, scope, outlet, &mut fetched).await?;
        }
        if scope.jobs {
            self.recent_jobs(id, told, outlet, &mut fetched).await?;
        }
        outlet.flush().await;
        Ok(fetched)
    }

    /// Fetches everything of a branch, and looks for what a cut has heard of and the listing does not
    /// show: it may be older than the events. `told` is what events told of runs long ago.
    ///
    /// # Errors
    /// Any call that fails, and a version or run that is not visible yet.
    pub async fn whole_for(
        &self,
        branch: &DevBranch,
        cut: &Cut,
        covered: &dyn Versions,
        scope: Scope,
        mut told: BTreeMap<RunId, WantedRun>,
        outlet: &mut Outlet,
    ) -> Result<Fetched, FetchError> {
        told.extend(cut.told.iter().map(|(run, told)| (run.clone(), told.clone())));
        told.extend(cut.runs.iter().map(|(run, told)| (run.clone(), told.clone())));
        let mut fetched = self.whole(branch, scope, &told, outlet).await?;
        let late = !self.may_be_unseen(cut.appended_at, scope.now);
        for (key, wanted) in cut.configs.iter().filter(|(_, wanted)| !wanted.deleted) {
            let shown = fetched.configs.get(key);
            if shown.is_some_and(|config| config.revision.version >= wanted.version) {
                continue;
            }
            // What is listed stays, unless there is something newer, or the source says that it is gone.
            let had = covered.covered(key);
            let mut single = Fetched {
                whole: true,
                ..Fetched::default()
            };
            let outcome = self.wanted(&branch.id, key, wanted, had, late, &mut single).await;
            single.isolate(key.clone().into(), had.is_some(), outcome)?;
            if fetched.replace(key, single) {
                outlet.take_back(key).await;
            }
            outlet.put_all(&mut fetched.objects).await;
        }
        if scope.jobs {
            let listed = std::mem::take(&mut fetched.runs);
            for (run, told) in cut.runs.iter().filter(|(run, _)| !listed.contains(*run)) {
                let outcome = self.run(run, told, late, &mut fetched).await;
                fetched.isolate(ObjectKey::Job(run.clone()), false, outcome)?;
            }
            outlet.put_all(&mut fetched.objects).await;
        }
        outlet.flush().await;
        Ok(fetched)
    }

    async fn whole_storage(
        &self,
        id: &BranchId,
        scope: Scope,
        outlet: &mut Outlet,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        for bucket in self.buckets(id).await? {
            outlet
                .put(plain(ObjectKey::Bucket(bucket.id), bucket.source))
                .await;
        }
        // The first ones by id, so that the same ones are taken each time.
        let mut sampled: BTreeMap<TableId, ToSample> = BTreeMap::new();
        let mut held_bytes = 0;
        let mut tables = self.tables_of(id).await?;
        while let Some((owner, table)) = tables.next().await? {
            outlet
                .put(plain(ObjectKey::Table(table.id.clone()), table.source.clone()))
                .await;
            let Some(limits) = scope.samples else { continue };
            let name = table.id.clone();
            held_bytes += table.source.len();
            let table = (held_bytes <= TABLES_HELD_BYTES_MAX).then_some(table);
            sampled.insert(name, ToSample { owner, table });
            if sampled.len() > limits.tables_max
                && let Some((last, _)) = sampled.pop_last()
            {
                fetched.without_sample(&last, fetched::TOO_MANY_TABLES);
            }
        }
        for (name, ToSample { owner, table }) in sampled {
            let Some(limits) = scope.samples else { break };
            let table = match table {
                Some(table) => table,
                None => match self.client.table(&owner, &name).await {
                    Ok(table) => table,
                    // It went away since it was listed.
                    Err(error) if error.disposition() == Disposition::Gone => continue,
                    Err(error) => return Err(error.into()),
                },
            };
            self.sample(&owner, &table, limits, fetched).await?;
            outlet.put_all(&mut fetched.objects).await;
        }
        Ok(())
    }

    /// Fetches what a cut wants above the covered versions.
    ///
    /// # Errors
    /// Any call that fails, and a version or run that is not visible yet.
    pub async fn cut(
        &self,
        branch: &DevBranch,
        cut: &Cut,
        covered: &dyn Versions,
        scope: Scope,
    ) -> Result<Fetched, FetchError> {
        let id = &branch.id;
        let mut fetched = Fetched::default();
        let late = !self.may_be_unseen(cut.appended_at, scope.now);
        for (key, wanted) in &cut.configs {
            let had = covered.covered(key);
            let outcome = match had {
                Some(had) if had.covers(wanted) && !had.may_be_another(wanted) => continue,
                Some(had) if had.covers(wanted) => self.recreated(id, key, had, &mut fetched).await,
                _ => self.wanted(id, key, wanted, had, late, &mut fetched).await,
            };
            fetched.isolate(key.clone().into(), had.is_some(), outcome)?;
        }
        for object in &cut.metadata {
            let Some(key) = ConfigKey::of(object) else {
                continue;
            };
            let unseen = !fetched.configs.contains_key(&key) && !fetched.gone.contains_key(&key);
            if unseen && let Some(covered) = covered.covered(&key) {
                let outcome = self.at(id, &key, Some(covered), &mut fetched).await;
                fetched.isolate(key.into(), true, outcome)?;
            }
        }
        if cut.branch_changed || cut.metadata.contains(&ObjectKey::Branch) {
            fetched.objects.push(self.branch_object(id).await?);
        }
        if !cut.tables.is_empty() {
            self.tables(id, &cut.tables, scope, &mut fetched).await?;
        }
        if scope.jobs {
            for (run, told) in &cut.runs {
                let outcome = self.run(run, told, late, &mut fetched).await;
                fetched.isolate(ObjectKey::Job(run.clone()), false, outcome)?;
            }
        }
        Ok(fetched)
    }

    /// Fetches objects again that have to be rendered anew because of others, at their covered
    /// versions.
    ///
    /// # Errors
    /// Any call that fails.
    pub async fn again(
        &self,
        branch: &DevBranch,
        keys: &BTreeSet<ObjectKey>,
        covered: &dyn Versions,
        scope: Scope,
    ) -> Result<Fetched, FetchError> {
        let id = &branch.id;
        let mut fetched = Fetched::default();
        let mut tables = BTreeSet::new();
        for key in keys {
            match key {
                ObjectKey::Branch => fetched.objects.push(self.branch_object(id).await?),
                ObjectKey::Config { .. } | ObjectKey::Row { .. } => {
                    let Some(key) = ConfigKey::of(key) else { continue };
                    if !fetched.configs.contains_key(&key) && !fetched.gone.contains_key(&key) {
                        let outcome = self.at(id, &key, covered.covered(&key), &mut fetched).await;
                        fetched.isolate(key.into(), true, outcome)?;
                    }
                }
                ObjectKey::Table(table) | ObjectKey::Sample(table) => {
                    tables.insert(table.clone());
                }
                // Buckets come with their tables; a run never changes once it has ended.
                ObjectKey::Bucket(_) | ObjectKey::Job(_) => {}
            }
        }
        if !tables.is_empty() {
            // A sample is taken when its table changed, not because something else did.
            let sampled = keys.iter().any(|key| matches!(key, ObjectKey::Sample(_)));
            let scope = Scope {
                samples: scope.samples.filter(|_| sampled),
                ..scope
            };
            self.tables(id, &tables, scope, &mut fetched).await?;
        }
        fetched.objects.retain(|object| keys.contains(&object.key));
        Ok(fetched)
    }

    /// Fetches one configuration at the version that the tip has.
    ///
    /// # Errors
    /// Any call that fails.
    pub async fn earlier(
        &self,
        branch: &DevBranch,
        key: &ConfigKey,
        had: &Covered,
    ) -> Result<Fetched, FetchError> {
        let mut fetched = Fetched {
            whole: true,
            ..Fetched::default()
        };
        let outcome = self.at(&branch.id, key, Some(had), &mut fetched).await;
        fetched.isolate(key.clone().into(), true, outcome)?;
        Ok(fetched)
    }

    async fn wanted(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        wanted: &Wanted,
        covered: Option<&Covered>,
        late: bool,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        if let Some(identifier) = wanted.identifier.as_ref().filter(|_| !wanted.deleted)
            && let Some(detail) = self.cache.get(branch, key, identifier)
        {
            return self.add(branch, key, &detail, fetched).await;
        }
        let current = match self
            .client
            .configuration(branch, &key.component, &key.config)
            .await
        {
            Ok(detail) if detail.revision.is_deleted => None,
            Ok(detail) => Some(Arc::new(detail)),
            Err(error) if error.disposition() == Disposition::Gone => None,
            Err(error) => return Err(error.into()),
        };
        let Some(current) = current else {
            return self.absent(branch, key, wanted, covered, late, fetched).await;
        };
        self.cache.put(branch, &current);
        let visible = current.revision.version;
        if wanted.deleted || visible == wanted.version {
            return self.add(branch, key, &current, fetched).await;
        }
        if visible < wanted.version {
            if !late {
                return Err(FetchError::NotVisible {
                    key: key.clone(),
                    version: wanted.version,
                });
            }
            fetched.unfounded.push(Unfounded {
                object: key.clone().into(),
                reason: format!(
                    "version {} was announced, but the source still shows {visible}",
                    wanted.version
                ),
                body: Some(announced(key, wanted)),
            });
            let is_news =
                covered.is_none_or(|had| had.version < visible || had.is_another(&current.revision));
            return match is_news {
                true => self.add(branch, key, &current, fetched).await,
                false => Ok(()),
            };
        }
        match self
            .client
            .configuration_version(branch, &key.component, &key.config, wanted.version)
            .await
        {
            Ok(past) => {
                let past = Arc::new(past);
                self.cache.put(branch, &past);
                self.add(branch, key, &past, fetched).await
            }
            // The history was cut; the newest covers what was wanted.
            Err(error) if error.disposition() == Disposition::Gone => {
                self.add(branch, key, &current, fetched).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells a configuration that is gone from one that is not there yet: by the trash.
    async fn absent(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        wanted: &Wanted,
        covered: Option<&Covered>,
        late: bool,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let trash = self.client.list_deleted(branch).await?;
        let found = trash
            .into_iter()
            .find(|item| item.component_id == key.component && item.id == key.config);
        // A trash that holds a lower version is of an earlier deletion: it was restored since.
        let is_of_now = found
            .as_ref()
            .is_some_and(|item| item.revision.version >= wanted.version);
        let is_unseen = !wanted.deleted && !is_of_now && (covered.is_none() || found.is_some());
        if is_unseen {
            if !late {
                return Err(FetchError::NotVisible {
                    key: key.clone(),
                    version: wanted.version,
                });
            }
            fetched.unfounded.push(Unfounded {
                object: key.clone().into(),
                reason: "the source has no such configuration, neither live nor in the trash".into(),
                body: Some(announced(key, wanted)),
            });
            return Ok(());
        }
        fetched
            .gone
            .insert(key.clone(), found.map(|item| (item.name, item.revision)));
        Ok(())
    }

    /// An event tells of a version that is not above the covered one, but goes by another identifier:
    /// either it is late, or the configuration was purged and made anew, which restarts its numbers.
    /// The source knows.
    async fn recreated(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        had: &Covered,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let found = self
            .client
            .configuration(branch, &key.component, &key.config)
            .await;
        match found {
            Ok(detail) if detail.revision.is_deleted || !had.is_another(&detail.revision) => Ok(()),
            found => self.add_found(branch, key, found, fetched).await,
        }
    }

    /// Fetches a configuration at a version; the current one where that is not known.
    async fn at(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        covered: Option<&Covered>,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        if let Some(detail) = covered.and_then(|covered| self.cache.get(branch, key, &covered.identifier)) {
            return self.add(branch, key, &detail, fetched).await;
        }
        let version = covered.map_or(0, |covered| covered.version);
        let ConfigKey { component, config } = key;
        let detail = match self.client.configuration(branch, component, config).await {
            Ok(detail) if version == 0 || detail.revision.version == version => Ok(detail),
            Ok(current) => {
                let past = self
                    .client
                    .configuration_version(branch, component, config, version)
                    .await;
                match past {
                    // The history was cut; the newest covers what was wanted.
                    Err(error) if error.disposition() == Disposition::Gone => Ok(current),
                    past => past,
                }
            }
            Err(error) => Err(error),
        };
        self.add_found(branch, key, detail, fetched).await
    }

    async fn add_found(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        found: Result<ConfigurationDetail, KeboolaError>,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        match found {
            Ok(detail) => {
                let detail = Arc::new(detail);
                self.cache.put(branch, &detail);
                self.add(branch, key, &detail, fetched).await
            }
            // It went away since; its own event will say so.
            Err(error) if error.disposition() == Disposition::Gone => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn add(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        detail: &Arc<ConfigurationDetail>,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let component = self.component(&key.component).await?;
        let metadata = self
            .client
            .configuration_metadata(branch, &key.component, &key.config)
            .await;
        let metadata = match metadata {
            Ok(metadata) => pairs(metadata),
            Err(error) if error.disposition() == Disposition::Gone => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        fetched.add(&component, detail, metadata);
        Ok(())
    }

    async fn component(&self, id: &ComponentId) -> Result<Component, FetchError> {
        if let Some(component) = self.components().get(id) {
            return Ok(component.clone());
        }
        let component = match self.client.component(id).await {
            Ok(info) => info.component,
            // Withdrawn or private components have no public definition.
            Err(error) if error.disposition() == Disposition::Gone => Component {
                id: id.to_string(),
                component_type: "other".into(),
                name: id.to_string(),
                generic_code_blocks_ui: false,
                default_bucket_stage: None,
            },
            Err(error) => return Err(error.into()),
        };
        self.components().insert(id.clone(), component.clone());
        Ok(component)
    }

    /// Returns the type of a component that was seen since the process started.
    pub(super) fn component_type(&self, id: &ComponentId) -> Option<String> {
        let components = self.components();
        components
            .get(id)
            .map(|component| component.component_type.clone())
    }

    /// Returns the type of a component, asking for it if it was not seen yet.
    ///
    /// # Errors
    /// As any call.
    pub(super) async fn type_of(&self, id: &ComponentId) -> Result<String, FetchError> {
        Ok(self.component(id).await?.component_type)
    }

    fn components(&self) -> std::sync::MutexGuard<'_, BTreeMap<ComponentId, Component>> {
        self.components
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn branch_object(&self, id: &BranchId) -> Result<SourceObject, FetchError> {
        let branches = self.client.dev_branches().await?;
        let branch = branches.into_iter().find(|branch| branch.id == *id);
        let branch = branch.ok_or_else(|| FetchError::NoBranch { branch: id.clone() })?;
        Ok(SourceObject {
            key: ObjectKey::Branch,
            component: None,
            source: branch.source,
            metadata: self.metadata_of(id).await?,
        })
    }

    async fn tables(
        &self,
        branch: &BranchId,
        wanted: &BTreeSet<TableId>,
        scope: Scope,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let mut buckets = BTreeSet::new();
        for id in wanted {
            match self.table_of(branch, id).await {
                Ok((owner, table)) => {
                    if let Some(limits) = scope.samples {
                        self.sample(&owner, &table, limits, fetched).await?;
                    }
                    fetched
                        .objects
                        .push(plain(ObjectKey::Table(table.id.clone()), table.source));
                    buckets.extend(id.as_str().rsplit_once('.').map(|(bucket, _)| bucket.to_owned()));
                }
                Err(error) if error.disposition() == Disposition::Gone => {
                    fetched.tables_gone.insert(id.clone());
                }
                Err(error) => fetched.isolate(ObjectKey::Table(id.clone()), true, Err(error.into()))?,
            }
        }
        if !buckets.is_empty() {
            for bucket in self.buckets(branch).await? {
                if buckets.contains(bucket.id.as_str()) {
                    fetched
                        .objects
                        .push(plain(ObjectKey::Bucket(bucket.id), bucket.source));
                }
            }
        }
        Ok(())
    }

    async fn sample(
        &self,
        branch: &BranchId,
        table: &Table,
        limits: SampleLimits,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let request = PreviewRequest::of(table, limits.rows_max);
        match self.client.preview(branch, &request).await {
            Ok(preview) if preview.csv.len() > PREVIEW_BYTES_MAX => {
                fetched.without_sample(&table.id, "the preview is larger than 8 MiB");
            }
            Ok(preview) => {
                let source = format!(
                    "{{\"table\":{},\"csv\":{}}}",
                    table.source,
                    serde_json::Value::String(preview.csv)
                );
                fetched.sampled.insert(table.id.clone());
                fetched
                    .objects
                    .push(plain(ObjectKey::Sample(table.id.clone()), source));
            }
            // A table that cannot be previewed has no sample; its structure is mirrored all the same.
            Err(error) if matches!(error.disposition(), Disposition::Gone | Disposition::Permanent) => {
                fetched.without_sample(&table.id, "the preview was refused");
                tracing::warn!(table = %table.id, error = crate::app::chain(&error), "no sample: the preview was refused");
            }
            // A token that may not read the data of some tables.
            Err(error @ KeboolaError::Forbidden { .. }) => {
                fetched.without_sample(&table.id, "the token may not read the table's data");
                tracing::warn!(table = %table.id, error = crate::app::chain(&error), "no sample: the token may not read the data");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn run(
        &self,
        run: &RunId,
        told: &WantedRun,
        late: bool,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        // The last part of a run id is the job's own id (`parent.child`).
        let id = run.as_str().rsplit('.').next().unwrap_or(run.as_str());
        match self.client.job(id).await {
            Ok(job) if job.status.is_final() && job.run_id == *run => {
                let source = with_told(job.source, told);
                fetched.objects.push(plain(ObjectKey::Job(run.clone()), source));
                Ok(())
            }
            Ok(_) if !late => Err(FetchError::JobNotVisible { run: run.clone() }),
            Err(error) if error.disposition() == Disposition::Gone && !late => {
                Err(FetchError::JobNotVisible { run: run.clone() })
            }
            Err(error) if error.disposition() != Disposition::Gone => Err(error.into()),
            Ok(_) | Err(_) => {
                fetched.unfounded.push(Unfounded {
                    object: ObjectKey::Job(run.clone()),
                    reason: "the source has no finished run of this id".into(),
                    body: Some(announced_run(run, told)),
                });
                Ok(())
            }
        }
    }

    /// Fetches the newest jobs, and adds to each what only its event told.
    async fn recent_jobs(
        &self,
        branch: &BranchId,
        told: &BTreeMap<RunId, WantedRun>,
        outlet: &mut Outlet,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        for page in 0..JOBS_PAGES_MAX {
            let search = JobSearch {
                branch_id: Some(branch.clone()),
                newest_first: true,
                limit: JOBS_PAGE,
                offset: page * JOBS_PAGE,
                ..JobSearch::default()
            };
            let jobs = self.client.search_jobs(&search).await?;
            let count = jobs.len();
            for job in jobs.into_iter().filter(|job| job.status.is_final()) {
                // While pages are read, jobs that end push others onto the next page.
                if !fetched.runs.insert(job.run_id.clone()) {
                    continue;
                }
                let source = match told.get(&job.run_id) {
                    Some(told) => with_told(job.source, told),
                    None => job.source,
                };
                outlet.put(plain(ObjectKey::Job(job.run_id), source)).await;
            }
            if count < JOBS_PAGE as usize {
                break;
            }
        }
        Ok(())
    }
}
