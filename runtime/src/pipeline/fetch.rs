//! Fetching: from a cut, or from nothing, to the objects that have to be rendered.
//!
//! Content is always read from the source, at the version that the cut wants. What lies between
//! "not there yet" and "gone" is settled here; how objects look is not known.

mod branches;
pub mod buckets;
mod fetched;
mod inherited;
mod metadata;
mod outlet;
mod past;
mod runs;
mod storage;
mod versions;

use super::{backfill::BackfillProgress, cache::MirrorCache, progress::Progress};
pub use branches::Branches;
pub use fetched::{
    Awaited, AwaitedObject, Covered, Fetched, FetchedConfig, SampleNews, Unfounded, Versions, Warning,
};
use fetched::{Kind, key_of};
pub(super) use fetched::{announced, announced_run};
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Cut, WantedRun},
    ids::{BranchId, ComponentId, ObjectKey, RunId},
    layout::Component,
    sample::SampleLimits,
};
use mirror_keboola::{DevBranch, Disposition, KeboolaClient, KeboolaError, Unread};
pub use outlet::{Listed, Outlet};
pub use past::PastVersion;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
pub use storage::Typed;
use thiserror::Error;

/// Why fetching stopped.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error(transparent)]
    Keboola(#[from] KeboolaError),
    /// `object` is what it is called where operators read of it.
    #[error("version {version} of {object} is not visible yet")]
    NotVisible { object: String, version: u64 },
    /// As the one before.
    #[error("{object} is not visible yet")]
    JobNotVisible { object: String },
    #[error("the history of the project is being listed; {left} configurations are left")]
    HistoryUnlisted { left: usize },
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

/// So long after it was told of, the source mostly shows something.
const USUALLY_VISIBLE_WITHIN: Duration = Duration::from_secs(5);

/// How long a fetch waits for what events of its cut tell of.
#[derive(Debug, Clone, Copy)]
struct Patience {
    appended_at: Timestamp,
    now: Timestamp,
}

impl Patience {
    fn of(cut: &Cut, scope: Scope) -> Self {
        Self {
            appended_at: cut.appended_at,
            now: scope.now,
        }
    }

    /// Returns since when something is waited for that the source does not show; none where that was long enough.
    fn awaits(self, source: &Source, awaited_since: Option<Timestamp>) -> Option<Timestamp> {
        let since = awaited_since.unwrap_or(self.appended_at);
        source.may_be_unseen(since, self.now).then_some(since)
    }
}

/// Whether something happened within a time of `now`. What a clock told that was ahead is not recent until that time has come.
fn is_recent(at: Timestamp, within: Duration, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() <= within
}

/// The source of one project: its client, its components, and what was already fetched.
#[derive(Debug)]
pub struct Source {
    client: KeboolaClient,
    /// Events may be ahead of what the source shows; so long is waited for it.
    visible_within: Duration,
    components: Mutex<BTreeMap<ComponentId, Component>>,
    cache: MirrorCache,
    default: inherited::DefaultBranch,
    default_buckets: buckets::OfStack,
    left_out: branches::LeftOut,
    past: past::Past,
    backfill: Arc<BackfillProgress>,
    progress: Arc<Progress>,
}

impl Source {
    /// Makes a source that keeps what it fetched in a cache.
    #[must_use]
    pub fn new(client: KeboolaClient, visible_within: Duration, cache: MirrorCache) -> Self {
        Self {
            client,
            visible_within,
            components: Mutex::default(),
            cache,
            default: inherited::DefaultBranch::default(),
            default_buckets: buckets::OfStack::default(),
            left_out: branches::LeftOut::default(),
            past: past::Past::default(),
            backfill: Arc::default(),
            progress: Arc::default(),
        }
    }

    #[must_use]
    pub fn client(&self) -> &KeboolaClient {
        &self.client
    }

    /// Returns where it is told when something was fetched for a cut, of whichever branch.
    #[must_use]
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Returns where it is told how far the history from before the mirror has come.
    #[must_use]
    pub fn backfill_progress(&self) -> &Arc<BackfillProgress> {
        &self.backfill
    }

    /// Returns whether the source may not show yet what an event tells of that was appended at `appended_at`, which may lie
    /// ahead of a clock that was put back.
    #[must_use]
    pub fn may_be_unseen(&self, appended_at: Timestamp, now: Timestamp) -> bool {
        is_recent(appended_at, self.visible_within, now)
    }

    /// Returns how long what an event tells of is waited for.
    #[must_use]
    pub fn visible_within(&self) -> Duration {
        self.visible_within
    }

    /// Returns whether what is waited for `since` is mostly shown by now, or never.
    #[must_use]
    pub fn is_usually_seen(&self, since: Timestamp, now: Timestamp) -> bool {
        !is_recent(since, USUALLY_VISIBLE_WITHIN, now)
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
        self.branch_object(id, &mut fetched).await?;
        outlet.put_all(&mut fetched.objects).await;
        let mut metadata = self.listed_metadata(id).await?;
        let mut components = self.client.configurations(id).await?;
        while let Some(listed) = components.next().await? {
            let listed = match listed {
                Ok(listed) => listed,
                Err(Unread { id, detail }) => {
                    fetched.not_read(Kind::Configurations(id), None, detail);
                    continue;
                }
            };
            let component = listed.component.component;
            if let Ok(component) = ComponentId::parse(&component.id) {
                for Unread { id, detail } in listed.unread {
                    let kind = Kind::Configurations(Some(component.clone()));
                    let object = id.map(|config| ObjectKey::Config {
                        component: component.clone(),
                        config,
                    });
                    fetched.not_read(kind, object, detail);
                }
            }
            for detail in listed.configurations {
                let detail = Arc::new(detail);
                let key = key_of(&detail);
                self.cache.put(id, &detail);
                match self.metadata_among(&mut metadata, id, &key).await? {
                    Ok(metadata) => fetched.add(&component, &detail, metadata),
                    Err(detail) => fetched.withhold(key.into(), detail),
                }
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
    /// Any call that fails.
    pub async fn whole_for(
        &self,
        branch: &DevBranch,
        cut: &Cut,
        covered: &dyn Versions,
        scope: Scope,
        mut told: BTreeMap<RunId, WantedRun>,
        outlet: &mut Outlet,
    ) -> Result<Fetched, FetchError> {
        for (run, wanted) in cut.told.iter().chain(&cut.runs) {
            wanted.clone().put(run.clone(), &mut told);
        }
        let mut fetched = self.whole(branch, scope, &told, outlet).await?;
        let patience = Patience::of(cut, scope);
        for (key, wanted) in cut.configs.iter().filter(|(_, wanted)| !wanted.deleted) {
            let shown = fetched.configs.get(key);
            if shown.is_some_and(|config| config.revision.version >= wanted.version) {
                continue;
            }
            // What is listed stays, unless there is something newer, or the source says that it is gone.
            let had = covered.covered(key);
            let had = had.as_ref();
            let mut single = Fetched {
                whole: true,
                ..Fetched::default()
            };
            let outcome = self
                .wanted(&branch.id, key, wanted, had, patience, &mut single)
                .await;
            single.isolate(key.clone().into(), had.is_some(), outcome)?;
            if fetched.replace(key, single) {
                outlet.take_back(key).await;
            }
            outlet.put_all(&mut fetched.objects).await;
        }
        if scope.jobs {
            let listed = std::mem::take(&mut fetched.runs);
            for (run, told) in cut.runs.iter().filter(|(run, _)| !listed.contains(*run)) {
                let outcome = self.run(branch, run, told, patience, &mut fetched).await;
                fetched.isolate(ObjectKey::Job(run.clone()), false, outcome)?;
            }
            outlet.put_all(&mut fetched.objects).await;
        }
        outlet.flush().await;
        Ok(fetched)
    }

    /// Fetches what a cut wants above the covered versions.
    ///
    /// # Errors
    /// Any call that fails.
    pub async fn cut(
        &self,
        branch: &DevBranch,
        cut: &Cut,
        covered: &dyn Versions,
        scope: Scope,
    ) -> Result<Fetched, FetchError> {
        let id = &branch.id;
        let mut fetched = Fetched::default();
        let patience = Patience::of(cut, scope);
        for (key, wanted) in &cut.configs {
            self.progress.moved(Instant::now());
            let had = covered.covered(key);
            let had = had.as_ref();
            let outcome = match had {
                Some(had) if had.covers(wanted) && !had.may_be_another(wanted) => continue,
                Some(had) if had.covers(wanted) => self.recreated(id, key, had, &mut fetched).await,
                _ => self.wanted(id, key, wanted, had, patience, &mut fetched).await,
            };
            fetched.isolate(key.clone().into(), had.is_some(), outcome)?;
        }
        for object in &cut.metadata {
            let Some(key) = ConfigKey::of(object) else {
                continue;
            };
            let unseen = !fetched.configs.contains_key(&key) && !fetched.gone.contains_key(&key);
            if unseen && let Some(covered) = covered.covered(&key) {
                let outcome = self.at(id, &key, Some(&covered), &mut fetched).await;
                fetched.isolate(key.into(), true, outcome)?;
            }
        }
        if cut.branch_changed || cut.metadata.contains(&ObjectKey::Branch) {
            self.branch_object(id, &mut fetched).await?;
        }
        if !cut.tables.is_empty() || !cut.buckets.is_empty() {
            self.tables(id, &cut.tables, cut.buckets.clone(), scope, &mut fetched)
                .await?;
        }
        if scope.jobs {
            for (run, told) in &cut.runs {
                self.progress.moved(Instant::now());
                let outcome = self.run(branch, run, told, patience, &mut fetched).await;
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
                ObjectKey::Branch => self.branch_object(id, &mut fetched).await?,
                ObjectKey::Config { .. } | ObjectKey::Row { .. } => {
                    let Some(key) = ConfigKey::of(key) else { continue };
                    if !fetched.configs.contains_key(&key) && !fetched.gone.contains_key(&key) {
                        let outcome = self
                            .at(id, &key, covered.covered(&key).as_ref(), &mut fetched)
                            .await;
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
            self.tables(id, &tables, BTreeSet::new(), scope, &mut fetched)
                .await?;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_told_that_was_ahead_is_waited_for_no_longer_than_anything_else() {
        let at = |second: i64| Timestamp::from_second(1_790_000_000 + second).unwrap();
        let is_awaited = |appended, now| is_recent(at(appended), Duration::from_secs(120), at(now));
        assert!(is_awaited(0, 0) && is_awaited(0, 120) && !is_awaited(0, 121));
        // Put back by a minute, it waits a minute longer; put back by two days, it is late at once.
        assert!(is_awaited(60, 0) && is_awaited(60, 180) && !is_awaited(60, 181));
        assert!(!is_awaited(2 * 86_400, 0));
    }
}
