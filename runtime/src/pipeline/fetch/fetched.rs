//! What was fetched, and how it compares with what the tip has.

use super::{super::observed::Observed, FetchError};
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Wanted, WantedRun},
    event::{Body, ConfigChanged, JobFinished},
    finding::WithholdReason,
    ids::{BucketId, ComponentId, ObjectKey, RunId, TableId},
    layout::{Component, SourceObject},
};
use mirror_keboola::{ConfigurationDetail, KeboolaError, Metadata, Revision, UnreadJobs};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const TOO_MANY_TABLES: &str = "there are more tables than `sample_limits.tables_max`";

/// An event whose claim the source does not bear out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfounded {
    pub object: ObjectKey,
    pub reason: String,
    /// What the event said, where the source may yet come to show it.
    pub body: Option<Body>,
}

/// Something to be logged of an object, by who knows what it may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub object: ObjectKey,
    pub detail: String,
    pub message: &'static str,
}

/// What an event tells of and the source does not show yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    pub what: AwaitedObject,
    /// When an attempt first had it in its cut, as its append tells.
    pub since: Timestamp,
}

/// See [`Awaited`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwaitedObject {
    Version(ConfigKey, Wanted),
    Run(RunId, WantedRun),
}

impl Awaited {
    #[must_use]
    pub fn object(&self) -> ObjectKey {
        match &self.what {
            AwaitedObject::Version(key, _) => key.clone().into(),
            AwaitedObject::Run(run, _) => ObjectKey::Job(run.clone()),
        }
    }
}

/// A configuration as it was fetched.
#[derive(Debug, Clone)]
pub struct FetchedConfig {
    pub name: String,
    pub revision: Revision,
    /// Keys of the rows that it has at this version; not told where everything was fetched.
    pub rows: BTreeSet<ObjectKey>,
}

/// What an attempt fetched.
#[derive(Debug, Default)]
pub struct Fetched {
    /// In the order of the API. Where everything is fetched they go on at once, and are not here.
    pub objects: Vec<SourceObject>,
    pub configs: BTreeMap<ConfigKey, FetchedConfig>,
    /// Configurations that are gone, with what the trash tells of their last version.
    pub gone: BTreeMap<ConfigKey, Option<(String, Revision)>>,
    pub tables_gone: BTreeSet<TableId>,
    pub buckets_gone: BTreeSet<BucketId>,
    /// The storage as it was listed, where everything was fetched.
    pub observed: Option<Observed>,
    /// Tables and buckets that were listed, by their names.
    pub(super) listed: BTreeSet<ObjectKey>,
    /// Runs that were listed.
    pub(super) runs: BTreeSet<RunId>,
    /// Those of them that have no usable id.
    pub unread_runs: UnreadJobs,
    /// Tables of which there is a sample, and those that have none although samples are wanted, and why.
    pub(super) sampled: BTreeSet<TableId>,
    pub no_sample: BTreeMap<TableId, &'static str>,
    /// Events that the source does not bear out; for the dead letters.
    pub unfounded: Vec<Unfounded>,
    /// What is not shown yet and may still come.
    pub awaited: Vec<Awaited>,
    /// Objects that are there but cannot be had, the same way each time.
    pub refused: BTreeMap<ObjectKey, WithholdReason>,
    /// Of these kinds the listing had objects without a readable id: what it does not show may be there all the same.
    pub in_doubt: BTreeSet<Kind>,
    /// Objects that were listed and cannot be read.
    pub unread: usize,
    /// Those of them without a readable id.
    pub unnamed: usize,
    pub warnings: Vec<Warning>,
    /// All there is in the branch was fetched.
    pub whole: bool,
}

/// Objects that are listed together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Configurations of a component, or of one that is not known.
    Configurations(Option<ComponentId>),
    Tables,
    Buckets,
}

/// The version of a configuration that the remote has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Covered {
    /// 0 where it is not known.
    pub version: u64,
    pub identifier: String,
}

/// Knows which version of each configuration the remote has.
pub trait Versions: Sync {
    fn covered(&self, key: &ConfigKey) -> Option<Covered>;
}

impl Versions for BTreeMap<ConfigKey, Covered> {
    fn covered(&self, key: &ConfigKey) -> Option<Covered> {
        self.get(key).cloned()
    }
}

impl Covered {
    /// Returns the version that was fetched.
    #[must_use]
    pub fn of(revision: &Revision) -> Self {
        Self {
            version: revision.version,
            identifier: revision.identifier.clone().unwrap_or_default(),
        }
    }

    /// Returns whether a wanted version is no news by its number: it is not above the covered one.
    pub(super) fn covers(&self, wanted: &Wanted) -> bool {
        !wanted.deleted && wanted.version <= self.version
    }

    /// Returns whether a wanted version that is no news by its number has an identifier that the
    /// covered one has not.
    pub(super) fn may_be_another(&self, wanted: &Wanted) -> bool {
        wanted
            .identifier
            .as_ref()
            .is_some_and(|identifier| !self.identifier.is_empty() && *identifier != self.identifier)
    }

    /// Returns whether what the source shows now is not what was covered, nor a later version of it:
    /// numbers only ever rise.
    #[must_use]
    pub fn is_another(&self, now: &Revision) -> bool {
        let renamed = now
            .identifier
            .as_ref()
            .is_some_and(|identifier| !self.identifier.is_empty() && *identifier != self.identifier);
        now.version < self.version || (now.version == self.version && renamed)
    }
}

/// Returns whether a failure is that of one object: another call would not fail like this.
pub(super) fn is_about_one(object: &ObjectKey, error: &KeboolaError) -> bool {
    match error {
        KeboolaError::Rejected { .. } | KeboolaError::TooLarge { .. } | KeboolaError::Malformed { .. } => {
            true
        }
        // A token that is no master one sees some buckets only.
        KeboolaError::Forbidden { .. } => matches!(object, ObjectKey::Table(_)),
        KeboolaError::Settings { .. }
        | KeboolaError::Unauthorized { .. }
        | KeboolaError::NotFound { .. }
        | KeboolaError::RateLimited { .. }
        | KeboolaError::Maintenance { .. }
        | KeboolaError::Unavailable { .. }
        | KeboolaError::Server { .. }
        | KeboolaError::Foreign { .. }
        | KeboolaError::Unreachable { .. }
        | KeboolaError::Timeout { .. }
        | KeboolaError::NoService { .. } => false,
    }
}

/// Returns what the event about a wanted version said.
pub(in crate::pipeline) fn announced(key: &ConfigKey, wanted: &Wanted) -> Body {
    let Wanted {
        version,
        identifier,
        author,
        ..
    } = wanted;
    Body::ConfigChanged(ConfigChanged {
        component: key.component.clone(),
        config: key.config.clone(),
        version: *version,
        identifier: identifier.clone(),
        author: author.clone(),
    })
}

/// Returns what the event about a wanted run said, but for its tables: those have events of their own.
pub(in crate::pipeline) fn announced_run(run: &RunId, told: &WantedRun) -> Body {
    let WantedRun {
        component,
        config,
        state_digest,
        artifact_links,
        status,
        finished_at,
        awaited_since: _,
    } = told.clone();
    Body::JobFinished(Box::new(JobFinished {
        run: run.clone(),
        component,
        config,
        config_version: None,
        status,
        started_at: None,
        finished_at,
        inputs: Vec::new(),
        outputs: Vec::new(),
        state_digest,
        artifact_links,
    }))
}

/// Adds what only the event told of a run to what the source tells.
pub(super) fn with_told(source: String, told: &WantedRun) -> String {
    let mut members = String::new();
    if let Some(digest) = &told.state_digest {
        members.push_str(&format!(
            "\"stateDigest\":{}",
            serde_json::Value::from(digest.as_str())
        ));
    }
    if !told.artifact_links.is_empty() {
        let comma = if members.is_empty() { "" } else { "," };
        let links = serde_json::Value::from(told.artifact_links.clone());
        members.push_str(&format!("{comma}\"artifactLinks\":{links}"));
    }
    match source.trim_end().strip_suffix('}') {
        Some(open) if !members.is_empty() => {
            let comma = if open.trim_end().ends_with('{') { "" } else { "," };
            format!("{open}{comma}{members}}}")
        }
        _ => source,
    }
}

/// What became of the samples that an attempt looked for.
#[derive(Debug, Clone, Default)]
pub struct SampleNews {
    pub taken: BTreeSet<TableId>,
    /// Tables without one, and why.
    pub missing: BTreeMap<TableId, &'static str>,
    /// All there are were looked for.
    pub whole: bool,
}

impl Fetched {
    /// Returns what became of the samples.
    pub fn sample_news(&self) -> SampleNews {
        SampleNews {
            taken: self.sampled.clone(),
            missing: self.no_sample.clone(),
            whole: self.whole,
        }
    }

    /// Keeps samples to the first tables by id, of those that are mirrored and those that were fetched.
    pub fn limit_samples(&mut self, mirrored: impl Iterator<Item = ObjectKey>, tables_max: usize) {
        let is_news = |object: &SourceObject| matches!(object.key, ObjectKey::Table(_));
        if self.whole || !self.objects.iter().any(is_news) {
            return;
        }
        let (mut tables, mut sampled) = (BTreeSet::new(), BTreeSet::new());
        let fetched = self.objects.iter().map(|object| object.key.clone());
        for key in mirrored.chain(fetched) {
            match key {
                ObjectKey::Table(table) if !self.tables_gone.contains(&table) => tables.insert(table),
                ObjectKey::Sample(table) => sampled.insert(table),
                _ => false,
            };
        }
        for table in tables
            .into_iter()
            .skip(tables_max)
            .filter(|table| sampled.contains(table))
        {
            self.objects
                .retain(|object| object.key != ObjectKey::Sample(table.clone()));
            self.without_sample(&table, TOO_MANY_TABLES);
        }
    }

    /// Notes that a table has no sample; one that it had goes, for it is of other data.
    pub(super) fn without_sample(&mut self, table: &TableId, why: &'static str) {
        self.sampled.remove(table);
        self.no_sample.insert(table.clone(), why);
    }

    /// Keeps what fails the same way each time for one object from ending the attempt: an object that
    /// the tip has is withheld and stays as it is; of another the event is put aside.
    pub(super) fn isolate(
        &mut self,
        object: ObjectKey,
        known: bool,
        outcome: Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        match outcome {
            Err(FetchError::Keboola(error)) if is_about_one(&object, &error) => {
                let detail = crate::app::chain(&error);
                if known {
                    self.refused.insert(object, WithholdReason::Source { detail });
                } else {
                    self.unfounded.push(Unfounded {
                        object,
                        reason: detail,
                        body: None,
                    });
                }
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Notes that a listed object cannot be read: it is withheld, or what it is of is in doubt.
    pub(super) fn not_read(&mut self, kind: Kind, object: Option<ObjectKey>, detail: String) {
        match object {
            Some(object) => self.withhold(object, detail),
            None => {
                self.unread += 1;
                self.unnamed += 1;
                tracing::warn!(
                    ?kind,
                    detail,
                    "a listed object without a readable id is left out; of its kind nothing is taken for deleted"
                );
                self.in_doubt.insert(kind);
            }
        }
    }

    /// Notes something to be logged of an object.
    pub(super) fn warn(&mut self, object: ObjectKey, detail: String, message: &'static str) {
        self.warnings.push(Warning {
            object,
            detail,
            message,
        });
    }

    /// Notes that an object is there and cannot be read: it stays as it was.
    pub(super) fn withhold(&mut self, object: ObjectKey, detail: String) {
        self.warn(
            object.clone(),
            detail.clone(),
            "a listed object cannot be read; it is withheld",
        );
        self.unread += 1;
        self.refused.insert(object, WithholdReason::Source { detail });
    }

    /// Has stay what is withheld or in doubt of all that was known and is not listed now. `is_gone` knows what an event said
    /// was deleted.
    pub fn hold_on(&mut self, known: impl Iterator<Item = ObjectKey>, is_gone: impl Fn(&ConfigKey) -> bool) {
        if self.unread == 0 {
            return;
        }
        let in_doubt = || WithholdReason::Source {
            detail: "the listing does not show it, and has objects that cannot be read".to_owned(),
        };
        for key in known.filter(|key| !matches!(key, ObjectKey::Job(_) | ObjectKey::Branch)) {
            let is_listed = match &key {
                ObjectKey::Table(_) | ObjectKey::Bucket(_) => self.listed.contains(&key),
                ObjectKey::Sample(table) => {
                    self.sampled.contains(table) || self.no_sample.contains_key(table)
                }
                _ => ConfigKey::of(&key).is_none_or(|key| self.configs.contains_key(&key) || is_gone(&key)),
            };
            if is_listed || self.refused.contains_key(&key) {
                continue;
            }
            let whole = match &key {
                ObjectKey::Sample(table) => ObjectKey::Table(table.clone()),
                key => ConfigKey::of(key).map_or_else(|| key.clone(), ObjectKey::from),
            };
            let doubted = match (&key, ConfigKey::of(&key)) {
                (ObjectKey::Table(_) | ObjectKey::Sample(_), _) => self.in_doubt.contains(&Kind::Tables),
                (ObjectKey::Bucket(_), _) => self.in_doubt.contains(&Kind::Buckets),
                (_, Some(config)) => [None, Some(config.component)]
                    .into_iter()
                    .any(|component| self.in_doubt.contains(&Kind::Configurations(component))),
                (_, None) => false,
            };
            if let Some(reason) = self
                .refused
                .get(&whole)
                .cloned()
                .or_else(|| doubted.then(in_doubt))
            {
                self.refused.insert(key, reason);
            }
        }
    }

    /// Takes over what was fetched of one configuration, in place of what was listed of it. Returns whether the
    /// listed objects are out of date.
    pub(super) fn replace(&mut self, key: &ConfigKey, single: Self) -> bool {
        let is_listed = self.configs.contains_key(key);
        let is_told = single.configs.contains_key(key) || single.gone.contains_key(key);
        if is_told {
            self.configs.remove(key);
            self.refused.remove(&ObjectKey::from(key.clone()));
        }
        self.objects.extend(single.objects);
        self.configs.extend(single.configs);
        self.gone.extend(single.gone);
        self.unfounded.extend(single.unfounded);
        self.awaited.extend(single.awaited);
        self.warnings.extend(single.warnings);
        if !is_listed {
            self.refused.extend(single.refused);
        }
        is_listed && is_told
    }

    pub(super) fn add(
        &mut self,
        component: &Component,
        detail: &ConfigurationDetail,
        metadata: Vec<(String, String)>,
    ) {
        let key = key_of(detail);
        let mut rows = BTreeSet::new();
        self.objects.push(SourceObject {
            key: key.clone().into(),
            component: Some(component.clone()),
            source: detail.source.clone(),
            metadata,
        });
        for row in &detail.rows {
            let row_key = ObjectKey::Row {
                component: key.component.clone(),
                config: key.config.clone(),
                row: row.id.clone(),
            };
            if !self.whole {
                rows.insert(row_key.clone());
            }
            self.objects.push(SourceObject {
                key: row_key,
                component: Some(component.clone()),
                source: row.source.clone(),
                metadata: Vec::new(),
            });
        }
        let fetched = FetchedConfig {
            name: detail.name.clone(),
            revision: detail.revision.clone(),
            rows,
        };
        self.configs.insert(key, fetched);
    }
}

pub(super) fn key_of(detail: &ConfigurationDetail) -> ConfigKey {
    ConfigKey {
        component: detail.component_id.clone(),
        config: detail.id.clone(),
    }
}

pub(super) fn plain(key: ObjectKey, source: String) -> SourceObject {
    SourceObject {
        key,
        component: None,
        source,
        metadata: Vec::new(),
    }
}

pub(super) fn pairs(metadata: Vec<Metadata>) -> Vec<(String, String)> {
    metadata
        .into_iter()
        .map(|Metadata { key, value, .. }| (key, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::{event::RunStatus, ids::ComponentId};

    #[test]
    fn what_only_the_event_told_of_a_run_is_added() {
        let told = |digest: Option<&str>, links: &[&str]| WantedRun {
            component: ComponentId::parse("c").expect("an id"),
            config: None,
            state_digest: digest.map(str::to_owned),
            artifact_links: links.iter().map(|link| (*link).to_owned()).collect(),
            status: RunStatus::Success,
            finished_at: None,
            awaited_since: None,
        };
        let check = |source: &str, told: &WantedRun, expected: &str| {
            assert_eq!(with_told(source.to_owned(), told), expected);
        };
        check("{\"id\":1e400}", &told(None, &[]), "{\"id\":1e400}");
        check(
            "{\"id\":1}\n",
            &told(Some("a\"b"), &[]),
            "{\"id\":1,\"stateDigest\":\"a\\\"b\"}",
        );
        check(
            "{ }",
            &told(Some("x"), &["l"]),
            "{ \"stateDigest\":\"x\",\"artifactLinks\":[\"l\"]}",
        );
    }

    #[test]
    fn a_lower_number_or_another_identifier_of_the_same_is_another_configuration() {
        let covered = Covered {
            version: 42,
            identifier: "i42".to_owned(),
        };
        let revision = |version, identifier: Option<&str>| Revision {
            version,
            identifier: identifier.map(str::to_owned),
            created: None,
            author: None,
            change_description: String::new(),
            is_deleted: false,
        };
        assert!(covered.is_another(&revision(1, Some("new"))));
        assert!(covered.is_another(&revision(42, Some("new"))));
        assert!(!covered.is_another(&revision(42, Some("i42"))));
        assert!(!covered.is_another(&revision(42, None)));
        assert!(
            !covered.is_another(&revision(43, Some("i43"))),
            "that is its next version"
        );
    }
}
