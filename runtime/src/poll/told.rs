//! What a poller has told of a branch, and what of a look at it is news. Pure.
//!
//! Versions are told by their own numbers and identifiers, so whoever tells one again tells the same event. What raises
//! no version may come back to what it was before, and is told by a digest together with the round in which it was found.
//! What a round has found is kept before it is told, so a round that was interrupted tells the same events again.

use crate::pipeline::{fetch::Covered, observed::Differing};
use jiff::Timestamp;
use mirror_core::{
    cut::ConfigKey,
    event::{Body, BranchChanged, ConfigDeleted, MetadataChanged, StorageCause, StorageChanged},
    ids::{ComponentId, ConfigId, ObjectKey, RunId},
};
use mirror_keboola::ListedConfiguration;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Of a configuration that was never told of, and has more versions than this, only the newest is told: it was not made
/// since the last look, but has become visible.
const NEW_VERSIONS_MAX: u64 = 50;
/// Of any other, versions below so many are left out.
const VERSIONS_MAX: u64 = 1_000;
/// Tables of one event.
const TABLES_MAX: usize = 1_000;
/// What stands for the fields of a branch that is no more.
const DELETED: &str = "deleted";

/// What of a branch was told, and so need not be told again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Tells rounds of this record from those of one that was lost.
    life: String,
    /// Rounds that found something beside versions.
    round: u64,
    /// Digest of the branch's own fields.
    branch: String,
    branch_metadata: String,
    configs: BTreeMap<ConfigKey, Covered>,
    /// Configurations that are gone, and their last known version.
    gone: BTreeMap<ConfigKey, u64>,
    metadata: BTreeMap<ConfigKey, String>,
    /// Buckets and tables, by names that are not known here.
    storage: BTreeMap<String, String>,
    /// When the newest run that was told ended, and the runs that did so a little before it.
    newest_run: Option<Timestamp>,
    runs: BTreeMap<RunId, Timestamp>,
    /// What is to be told before anything else: this record is of the time after that.
    pub(super) untold: Vec<Finding>,
}

/// Something to tell, and when it happened where the source says so.
pub(super) type Finding = (Body, Option<Timestamp>);

/// What raises no version, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unversioned {
    pub branch_metadata: String,
    pub metadata: BTreeMap<ConfigKey, String>,
    pub storage: BTreeMap<String, String>,
}

/// What is news of configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub changed: Vec<Changed>,
    /// Configurations that are not listed any more.
    pub vanished: Vec<ConfigKey>,
}

/// A configuration with a newer version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub listed: ListedConfiguration,
    /// The versions above this are to be asked for; none where the listing tells all there is.
    pub above: Option<u64>,
}

impl Told {
    /// Begins a record: nothing of what is there has to be told.
    #[must_use]
    pub fn begin(
        life: String,
        branch: String,
        listed: &[ListedConfiguration],
        unversioned: Unversioned,
    ) -> Self {
        let mut told = Self {
            life,
            branch,
            ..Self::default()
        };
        for listed in listed {
            told.configs.insert(key_of(listed), Covered::of(&listed.revision));
        }
        told.put_unversioned(unversioned);
        told
    }

    /// Returns which configurations have news.
    #[must_use]
    pub fn news(&self, listed: Vec<ListedConfiguration>) -> News {
        let mut changed = Vec::new();
        let mut seen = BTreeSet::new();
        for listed in listed {
            let key = key_of(&listed);
            let version = listed.revision.version;
            let above = match (self.configs.get(&key), self.gone.get(&key)) {
                (Some(told), _) if told.is_another(&listed.revision) => Some(first_to_tell(version)),
                (Some(told), _) if told.version >= version => None,
                (Some(told), _) => Some(told.version),
                // It was restored.
                (None, Some(last)) if *last < version => Some(*last),
                (None, _) => Some(first_to_tell(version)),
            };
            seen.insert(key);
            if let Some(above) = above {
                let above = above.max(version.saturating_sub(VERSIONS_MAX));
                let is_told_by_list = above + 1 == version && listed.revision.created.is_some();
                changed.push(Changed {
                    listed,
                    above: (!is_told_by_list).then_some(above),
                });
            }
        }
        let vanished = self.configs.keys().filter(|key| !seen.contains(*key));
        let vanished = vanished.cloned().collect();
        News { changed, vanished }
    }

    /// Notes that a configuration's newest version is told.
    pub fn put_changed(&mut self, listed: &ListedConfiguration) {
        let key = key_of(listed);
        self.gone.remove(&key);
        self.configs.insert(key, Covered::of(&listed.revision));
    }

    /// Notes that a configuration is told to be gone; `last` is its version in the trash, where it is there. Returns
    /// what tells of it.
    pub fn put_gone(&mut self, key: &ConfigKey, last: Option<u64>) -> Option<Body> {
        let told = self.configs.remove(key)?;
        self.metadata.remove(key);
        match last {
            Some(last) => self.gone.insert(key.clone(), last.max(told.version)),
            // Its id is free: what is made anew under it begins at the first version.
            None => self.gone.remove(key),
        };
        Some(Body::ConfigDeleted(ConfigDeleted {
            component: key.component.clone(),
            config: key.config.clone(),
            version: told.version,
            identifier: Some(told.identifier).filter(|identifier| !identifier.is_empty()),
        }))
    }

    /// Notes what the branch looks like, and what raises no version, where that was looked at. Returns what tells of it.
    /// `differing` says what two observations of the storage differ in.
    pub fn put_others(
        &mut self,
        branch: String,
        unversioned: Option<Unversioned>,
        differing: impl FnOnce(&BTreeMap<String, String>) -> Differing,
    ) -> Vec<Body> {
        let round = self.round + 1;
        let occasion = |digest: &str| format!("{digest} {}.{round}", self.life);
        let mut bodies = Vec::new();
        if self.branch != branch {
            bodies.push(Body::BranchChanged(BranchChanged {
                digest: occasion(&branch),
                deleted: branch == DELETED,
            }));
        }
        if let Some(unversioned) = &unversioned {
            if self.branch_metadata != unversioned.branch_metadata {
                bodies.push(Body::MetadataChanged(MetadataChanged {
                    object: ObjectKey::Branch,
                    digest: occasion(&unversioned.branch_metadata),
                }));
            }
            let keys: BTreeSet<&ConfigKey> =
                self.metadata.keys().chain(unversioned.metadata.keys()).collect();
            for key in keys {
                let now = unversioned.metadata.get(key);
                if self.metadata.get(key) != now {
                    bodies.push(Body::MetadataChanged(MetadataChanged {
                        object: key.clone().into(),
                        digest: occasion(now.map_or("", String::as_str)),
                    }));
                }
            }
            for (tables, buckets) in differing(&self.storage).parts(TABLES_MAX) {
                let mut digest = Sha256::new();
                for table in &tables {
                    digest.update(format!("{table} "));
                }
                for bucket in &buckets {
                    digest.update(format!("bucket {bucket} "));
                }
                for (name, seen) in &unversioned.storage {
                    digest.update(format!("{name} {seen} "));
                }
                let digest = data_encoding::HEXLOWER.encode(&digest.finalize()[..16]);
                bodies.push(Body::StorageChanged(StorageChanged {
                    tables,
                    buckets,
                    cause: StorageCause::Seen(occasion(&digest)),
                }));
            }
        }
        if !bodies.is_empty() {
            self.round = round;
        }
        self.branch = branch;
        if let Some(unversioned) = unversioned {
            self.put_unversioned(unversioned);
        }
        bodies
    }

    /// Returns the digest of the branch's own fields that was told.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Notes that the branch is gone. Returns what tells of it, unless it was told.
    pub fn put_branch_gone(&mut self) -> Option<Body> {
        self.put_others(DELETED.to_owned(), None, |_| Differing::default())
            .pop()
    }

    fn put_unversioned(&mut self, unversioned: Unversioned) {
        let Unversioned {
            branch_metadata,
            metadata,
            storage,
        } = unversioned;
        self.branch_metadata = branch_metadata;
        self.metadata = metadata;
        self.storage = storage;
    }

    /// Returns when the newest run that was told ended.
    #[must_use]
    pub fn newest_run(&self) -> Option<Timestamp> {
        self.newest_run
    }

    /// Returns whether the end of a run was told.
    #[must_use]
    pub fn has_run(&self, run: &RunId) -> bool {
        self.runs.contains_key(run)
    }

    /// Notes ends of runs; those that are older than `overlap` before the newest will not be listed again.
    pub fn put_runs(
        &mut self,
        ended: impl IntoIterator<Item = (RunId, Timestamp)>,
        overlap: jiff::SignedDuration,
    ) {
        for (run, at) in ended {
            self.newest_run = self.newest_run.max(Some(at));
            self.runs.insert(run, at);
        }
        if let Some(from) = self
            .newest_run
            .and_then(|newest| newest.checked_sub(overlap).ok())
        {
            // The search knows whole seconds.
            self.runs.retain(|_, at| at.as_second() >= from.as_second());
        }
    }

    /// Returns the record in the form in which it is kept.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<String, String> {
        let Self {
            life,
            round,
            branch,
            branch_metadata,
            configs,
            gone,
            metadata,
            storage,
            newest_run,
            runs,
            untold,
        } = self;
        let mut rows = BTreeMap::new();
        let mut put = |name: String, value: String| drop(rows.insert(name, value));
        put("life".into(), life.clone());
        put("round".into(), round.to_string());
        put("branch".into(), branch.clone());
        put("branch metadata".into(), branch_metadata.clone());
        for (key, Covered { version, identifier }) in configs {
            put(Named(CONFIG, key).to_string(), format!("{version} {identifier}"));
        }
        for (key, version) in gone {
            put(Named(GONE, key).to_string(), version.to_string());
        }
        for (key, digest) in metadata {
            put(Named(METADATA, key).to_string(), digest.clone());
        }
        for (name, digest) in storage {
            put(format!("{STORAGE}{name}"), digest.clone());
        }
        if let Some(at) = newest_run {
            put("newest run".into(), at.to_string());
        }
        for (run, at) in runs {
            put(format!("{RUN}{run}"), at.to_string());
        }
        for (number, finding) in untold.iter().enumerate() {
            let finding =
                serde_json::to_string(finding).expect("a finding has only text keys, so it is always JSON");
            // In their order.
            put(format!("{UNTOLD}{number:08}"), finding);
        }
        rows
    }

    /// Reads the record back; none where it is no such record.
    #[must_use]
    pub fn restore(rows: BTreeMap<String, String>) -> Option<Self> {
        let mut told = Self::default();
        for (name, value) in rows {
            match name.as_str() {
                "life" => told.life = value,
                "round" => told.round = value.parse().ok()?,
                "branch" => told.branch = value,
                "branch metadata" => told.branch_metadata = value,
                "newest run" => told.newest_run = Some(value.parse().ok()?),
                _ => told.restore_object(&name, value)?,
            }
        }
        (!told.life.is_empty()).then_some(told)
    }

    fn restore_object(&mut self, name: &str, value: String) -> Option<()> {
        if let Some(name) = name.strip_prefix(CONFIG) {
            let (version, identifier) = value.split_once(' ')?;
            let covered = Covered {
                version: version.parse().ok()?,
                identifier: identifier.to_owned(),
            };
            self.configs.insert(named(name)?, covered);
        } else if let Some(name) = name.strip_prefix(GONE) {
            self.gone.insert(named(name)?, value.parse().ok()?);
        } else if let Some(name) = name.strip_prefix(METADATA) {
            self.metadata.insert(named(name)?, value);
        } else if let Some(name) = name.strip_prefix(STORAGE) {
            self.storage.insert(name.to_owned(), value);
        } else if name.starts_with(UNTOLD) {
            self.untold.push(serde_json::from_str(&value).ok()?);
        } else {
            let run = RunId::parse(name.strip_prefix(RUN)?).ok()?;
            self.runs.insert(run, value.parse().ok()?);
        }
        Some(())
    }
}

/// Returns above which version of a configuration that was not told of its versions are told.
fn first_to_tell(version: u64) -> u64 {
    if version > NEW_VERSIONS_MAX {
        version - 1
    } else {
        0
    }
}

const CONFIG: &str = "config ";
const GONE: &str = "gone ";
const METADATA: &str = "metadata ";
const STORAGE: &str = "storage ";
const RUN: &str = "run ";
const UNTOLD: &str = "untold ";

/// Names a configuration: the length of the component's id tells where the configuration's begins.
struct Named<'k>(&'static str, &'k ConfigKey);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigKey { component, config } = self.1;
        write!(f, "{}{}:{component}{config}", self.0, component.as_str().len())
    }
}

fn named(name: &str) -> Option<ConfigKey> {
    let (length, ids) = name.split_once(':')?;
    let (component, config) = ids.split_at_checked(length.parse().ok()?)?;
    Some(ConfigKey {
        component: ComponentId::parse(component).ok()?,
        config: ConfigId::parse(config).ok()?,
    })
}

fn key_of(listed: &ListedConfiguration) -> ConfigKey {
    ConfigKey {
        component: listed.component_id.clone(),
        config: listed.id.clone(),
    }
}

#[cfg(test)]
mod tests;
