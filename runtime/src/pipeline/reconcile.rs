//! Reconciling: what the source has and the remote does not becomes events; it never commits.
//!
//! Configurations are compared by version with the covered ones; buckets and tables by digest with what
//! was seen the last time; runs by id with those that are in the job history, from a little before the
//! newest of them. The cost is one listing each, and one call for each table that differs.

mod scheduled;

use super::{
    attempt::Lane,
    error::AttemptError,
    fetch::{Covered, FetchError},
    memory::Memory,
};
use crate::queue::NewEvent;
use jiff::{SignedDuration, Timestamp};
use mirror_core::{
    cut::{ConfigKey, LaneCursor, Stream},
    event::{
        Body, ConfigChanged, ConfigDeleted, Envelope, EventKind, JobFinished, RenderChanged, RunStatus,
        StorageCause, StorageChanged, TableUse,
    },
    ids::{BucketId, ObjectKey, TableId},
    layout::IndexKind,
};
use mirror_keboola::{Job, JobPages, JobSearch, JobStatus, KeboolaError, ListedConfiguration};
pub use scheduled::{Comparison, Looked};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Tables of one event.
const TABLES_MAX: usize = 1000;
/// Runs become visible late, so the look begins so long before the newest known one.
const JOBS_OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// Figures that change with every load; the layout leaves them out.
const FIGURES: [&str; 4] = ["rowsCount", "dataSizeBytes", "lastImportDate", "lastChangeDate"];

/// The storage of a branch as it was seen, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    buckets: BTreeMap<BucketId, String>,
    tables: BTreeMap<TableId, String>,
}

impl Lane {
    /// Looks at the storage of the branch. Done before a first sync, what is seen is never newer than
    /// what is synchronised.
    ///
    /// # Errors
    /// A source that fails.
    pub async fn observe(&self) -> Result<Observed, AttemptError> {
        let buckets = self.source.buckets(&self.branch.id).await.map_err(of_source)?;
        let buckets = buckets
            .into_iter()
            .map(|bucket| (bucket.id, structure(&bucket.source, false)));
        let mut observed = Observed {
            buckets: buckets.collect(),
            tables: BTreeMap::new(),
        };
        let mut tables = self.source.tables_of(&self.branch.id).await.map_err(of_source)?;
        while let Some((_, table)) = tables.next().await.map_err(of_source)? {
            // A sample changes with the table's data.
            let digest = structure(&table.source, self.exports.samples);
            observed.tables.insert(table.id, digest);
        }
        Ok(observed)
    }

    /// Notes what the remote has from a first sync that began after `observed`.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn remember(&self, observed: &Observed) -> Result<(), AttemptError> {
        self.state.put_seen(&self.id, observed.names()).await?;
        Ok(())
    }

    /// Compares the source with what the remote has and appends the events that are missing. Returns how
    /// many were.
    ///
    /// # Errors
    /// A source, log or store that fails.
    pub async fn reconcile(&self, memory: &Memory, observed: &Observed) -> Result<usize, AttemptError> {
        let mut told = self.reconcile_configurations(memory).await?;
        told += self.reconcile_storage(memory, observed).await?;
        if self.spec.jobs.is_some() {
            told += self.reconcile_jobs(memory).await?;
        }
        Ok(told)
    }

    async fn reconcile_configurations(&self, memory: &Memory) -> Result<usize, AttemptError> {
        let listed = self.source.client().list_configurations(&self.branch.id).await;
        let missing = missing(&listed.map_err(of_source)?, &memory.covered());
        let bodies = missing.into_iter().map(|(body, _)| body).collect();
        let (new, is_asked) = self.tell_missing_again(bodies).await?;
        Ok(new.len() + usize::from(is_asked))
    }

    /// Appends events of what is missing. Where one of them was told before and nothing came of it, everything is asked to be
    /// rendered anew. Returns the kinds of those that nobody had told, and whether it was asked.
    async fn tell_missing_again(&self, bodies: Vec<Body>) -> Result<(Vec<EventKind>, bool), AttemptError> {
        if bodies.is_empty() {
            return Ok((Vec::new(), false));
        }
        let kinds: Vec<EventKind> = bodies.iter().map(Body::kind).collect();
        let cursor = self.log.cursor(&self.id).await?;
        let cursor = cursor.unwrap_or_else(|| LaneCursor::start(self.log.log_id().clone()));
        let appended = self.log.append(self.events(bodies)).await?;
        let (mut new, mut is_of_no_effect) = (Vec::new(), false);
        for (kind, appended) in kinds.into_iter().zip(appended) {
            if !appended.duplicate {
                new.push(kind);
            } else if kind != EventKind::JobFinished {
                is_of_no_effect |= appended.position <= cursor.change;
            }
        }
        if is_of_no_effect {
            let newest = self.log.newest(&self.topic, Stream::Change).await?;
            self.ask_for_render(format!("compared at {newest}")).await?;
        }
        Ok((new, is_of_no_effect))
    }

    async fn ask_for_render(&self, digest: String) -> Result<(), AttemptError> {
        let body = Body::RenderChanged(RenderChanged {
            reason: "the comparison with the source found what no event had brought".into(),
            digest,
            mirror: Some(self.id.mirror.clone()),
        });
        self.log.append(self.events(vec![body])).await?;
        Ok(())
    }

    /// Appends events of tables that differ; returns how many.
    async fn tell_tables(&self, tables: &[TableId], observed: &Observed) -> Result<usize, AttemptError> {
        // The same may be seen again after something else was: this occasion has a digest of its own.
        let newest = self.log.newest(&self.topic, Stream::Change).await?;
        let bodies = tables.chunks(TABLES_MAX).map(|tables| {
            let mut digest = Sha256::new_with_prefix(newest.to_string());
            for table in tables {
                digest.update(format!(" {table} {}", observed.digest_of(table)));
            }
            Body::StorageChanged(StorageChanged {
                tables: tables.to_vec(),
                cause: StorageCause::Seen(short(digest)),
            })
        });
        Ok(self.log.append(self.events(bodies.collect())).await?.len())
    }

    async fn reconcile_storage(&self, memory: &Memory, observed: &Observed) -> Result<usize, AttemptError> {
        let seen = self.state.seen(&self.id).await?;
        let mirrored = memory.keys().filter_map(|key| match key {
            ObjectKey::Table(table) => Some(table),
            _ => None,
        });
        let differing = differing(&seen, observed, mirrored);
        if differing.is_empty() {
            return Ok(0);
        }
        let told = self.tell_tables(&differing, observed).await?;
        // Killed before this, the next comparison tells the same again, of which nothing comes.
        self.state.put_seen(&self.id, observed.names()).await?;
        Ok(told)
    }

    async fn reconcile_jobs(&self, memory: &Memory) -> Result<usize, AttemptError> {
        let (known, newest) = known_runs(memory);
        let ended_from = newest.and_then(|newest| newest.checked_sub(JOBS_OVERLAP).ok());
        let mut told = 0;
        let mut pages = self.runs_since(ended_from);
        while let Some(jobs) = pages.next().await.map_err(of_source)? {
            let unknown = jobs.iter().filter(|job| !known.contains(job.run_id.as_str()));
            let bodies: Vec<Body> = unknown.filter_map(finished).collect();
            if !bodies.is_empty() {
                let appended = self.log.append(self.events(bodies)).await?;
                told += appended.iter().filter(|appended| !appended.duplicate).count();
            }
        }
        Ok(told)
    }

    /// Returns the branch's runs that ended at or after a time, oldest first; what is more than one search gives is for the
    /// next comparison.
    pub(crate) fn runs_since(&self, ended_from: Option<Timestamp>) -> JobPages {
        self.source.client().job_pages(JobSearch {
            ended_from,
            branch_id: Some(self.branch.id.clone()),
            ..JobSearch::default()
        })
    }

    fn events(&self, bodies: Vec<Body>) -> Vec<NewEvent> {
        let at = (self.now)();
        let event = |body| NewEvent {
            envelope: Envelope::internal(self.topic.clone(), body, at),
            at,
        };
        bodies.into_iter().map(event).collect()
    }
}

fn of_source(error: KeboolaError) -> AttemptError {
    FetchError::from(error).into()
}

impl Observed {
    fn digest_of(&self, table: &TableId) -> &str {
        self.tables.get(table).map_or("", String::as_str)
    }

    /// The digests by the names under which they are stored.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        let buckets = self
            .buckets
            .iter()
            .map(|(id, digest)| (bucket_name(id), digest.clone()));
        let tables = self
            .tables
            .iter()
            .map(|(id, digest)| (table_name(id), digest.clone()));
        buckets.chain(tables).collect()
    }
}

const TABLE: &str = "table ";

fn table_name(id: &TableId) -> String {
    format!("{TABLE}{id}")
}

fn bucket_name(id: &BucketId) -> String {
    format!("bucket {id}")
}

/// Returns the tables that are worth a look: new, changed or gone, and one of each bucket that changed.
pub(crate) fn differing(
    seen: &BTreeMap<String, String>,
    observed: &Observed,
    mirrored: impl Iterator<Item = TableId>,
) -> Vec<TableId> {
    let changed =
        |(id, digest): (&TableId, &String)| (seen.get(&table_name(id)) != Some(digest)).then(|| id.clone());
    let mut differing: BTreeSet<TableId> = observed.tables.iter().filter_map(changed).collect();
    for (id, digest) in &observed.buckets {
        if seen.get(&bucket_name(id)) == Some(digest) {
            continue;
        }
        let prefix = format!("{id}.");
        let is_inside = |table: &&TableId| table.as_str().starts_with(&prefix);
        if !differing.iter().any(|table| is_inside(&table)) {
            differing.extend(observed.tables.keys().find(is_inside).cloned());
        }
    }
    let gone = seen
        .keys()
        .filter_map(|name| TableId::parse(name.strip_prefix(TABLE)?).ok())
        .chain(mirrored)
        .filter(|table| !observed.tables.contains_key(table));
    differing.extend(gone);
    differing.into_iter().collect()
}

/// Returns the digest of a bucket or table, without the figures that change with every load unless they
/// are asked for.
fn structure(source: &str, with_figures: bool) -> String {
    let mut digest = Sha256::new();
    match serde_json::from_str::<Value>(source) {
        Ok(mut value) => {
            if !with_figures {
                without_figures(&mut value);
                for part in ["bucket", "sourceTable", "sourceBucket"] {
                    value.get_mut(part).map(without_figures);
                }
            }
            digest.update(value.to_string());
        }
        Err(_) => digest.update(source),
    }
    short(digest)
}

fn without_figures(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| !FIGURES.contains(&name.as_str()));
    }
}

fn short(digest: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&digest.finalize()[..16])
}

/// Returns the runs of the job history, and when the last of them ended.
fn known_runs(memory: &Memory) -> (BTreeSet<String>, Option<Timestamp>) {
    let mut known = BTreeSet::new();
    let mut newest = None;
    let days = memory.all_shards().into_iter();
    for day in days.filter(|(kind, _)| *kind == IndexKind::JobDay) {
        for entry in memory.entries(&day) {
            let finished = serde_json::from_str::<Value>(&entry.value)
                .ok()
                .and_then(|line| line["finishedAt"].as_str()?.parse::<Timestamp>().ok());
            newest = newest.max(finished);
            known.insert(entry.key);
        }
    }
    (known, newest)
}

/// Returns what the end of a run would have been told as; none if it has not ended.
pub(crate) fn finished(job: &Job) -> Option<Body> {
    let status = match job.status {
        JobStatus::Success | JobStatus::Warning => RunStatus::Success,
        JobStatus::Error => RunStatus::Failed,
        JobStatus::Cancelled | JobStatus::Terminated => RunStatus::Cancelled,
        JobStatus::Created
        | JobStatus::Waiting
        | JobStatus::Processing
        | JobStatus::Terminating
        | JobStatus::Unknown => return None,
    };
    let source: Value = serde_json::from_str(&job.source).unwrap_or_default();
    let tables = |side: &str| -> Vec<TableUse> {
        let tables = source["result"][side]["tables"].as_array();
        let used = |table: &Value| {
            let id = table["id"].as_str().or_else(|| table["table"].as_str())?;
            Some(TableUse {
                table: TableId::parse(id).ok()?,
                columns: Vec::new(),
            })
        };
        tables.into_iter().flatten().filter_map(used).collect()
    };
    Some(Body::JobFinished(Box::new(JobFinished {
        run: job.run_id.clone(),
        component: job.component_id.clone()?,
        config: job.config_id.clone(),
        config_version: job.config_version,
        status,
        started_at: job.started,
        finished_at: job.ended,
        inputs: tables("input"),
        outputs: tables("output"),
        state_digest: None,
        artifact_links: Vec::new(),
    })))
}

/// Returns what would have to be told so that the covered versions become the listed ones, and when that happened
/// where the source says so.
fn missing(
    listed: &[ListedConfiguration],
    covered: &BTreeMap<ConfigKey, Covered>,
) -> Vec<(Body, Option<Timestamp>)> {
    let mut bodies = Vec::new();
    let mut seen = BTreeSet::new();
    for ListedConfiguration {
        component_id,
        id,
        revision,
        ..
    } in listed
    {
        let key = ConfigKey {
            component: component_id.clone(),
            config: id.clone(),
        };
        if covered
            .get(&key)
            .is_none_or(|covered| covered.version < revision.version || covered.is_another(revision))
        {
            let body = Body::ConfigChanged(ConfigChanged {
                component: key.component.clone(),
                config: key.config.clone(),
                version: revision.version,
                identifier: revision.identifier.clone(),
                author: revision
                    .author
                    .as_ref()
                    .map(|author| author.description.clone())
                    .filter(|text| !text.is_empty()),
            });
            bodies.push((body, revision.created));
        }
        seen.insert(key);
    }
    for (key, covered) in covered.iter().filter(|(key, _)| !seen.contains(*key)) {
        let body = Body::ConfigDeleted(ConfigDeleted {
            component: key.component.clone(),
            config: key.config.clone(),
            version: covered.version,
            identifier: Some(covered.identifier.clone()).filter(|identifier| !identifier.is_empty()),
        });
        bodies.push((body, None));
    }
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::ids::{ComponentId, ConfigId};
    use mirror_keboola::Revision;

    fn key(config: &str) -> ConfigKey {
        ConfigKey {
            component: ComponentId::parse("c").expect("an id"),
            config: ConfigId::parse(config).expect("an id"),
        }
    }

    fn listed(config: &str, version: u64) -> ListedConfiguration {
        ListedConfiguration {
            component_id: key(config).component,
            id: key(config).config,
            name: config.into(),
            revision: Revision {
                version,
                identifier: None,
                created: None,
                author: None,
                change_description: String::new(),
                is_deleted: false,
            },
        }
    }

    #[test]
    fn new_and_newer_and_vanished_configurations_are_missing_and_the_same_are_not() {
        let covered = |version| Covered {
            version,
            identifier: String::new(),
        };
        let covered = BTreeMap::from([
            (key("same"), covered(3)),
            (key("older"), covered(1)),
            (key("gone"), covered(9)),
        ]);
        let bodies = missing(
            &[listed("same", 3), listed("older", 2), listed("new", 1)],
            &covered,
        );
        let told: Vec<String> = bodies
            .iter()
            .map(|(body, _)| match body {
                Body::ConfigChanged(changed) => format!("{}@{}", changed.config, changed.version),
                Body::ConfigDeleted(deleted) => format!("{} deleted", deleted.config),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["older@2", "new@1", "gone deleted"]);
    }

    fn table(id: &str) -> TableId {
        TableId::parse(id).expect("an id")
    }

    #[track_caller]
    fn check_storage(before: &[(&str, &str)], now: &[(&str, &str)], mirrored: &[&str], expected: &[&str]) {
        let observed = |objects: &[(&str, &str)]| {
            let digest = |source: &&str| structure(source, false);
            let of = |kind: &str| -> Vec<(String, String)> {
                let found = objects
                    .iter()
                    .filter_map(|(name, source)| Some((name.strip_prefix(kind)?, source)));
                found
                    .map(|(id, source)| (id.to_owned(), digest(source)))
                    .collect()
            };
            Observed {
                buckets: of("bucket ")
                    .into_iter()
                    .map(|(id, digest)| (BucketId::parse(&id).expect("an id"), digest))
                    .collect(),
                tables: of("table ")
                    .into_iter()
                    .map(|(id, digest)| (table(&id), digest))
                    .collect(),
            }
        };
        let mirrored: Vec<TableId> = mirrored.iter().map(|id| table(id)).collect();
        let found = differing(
            &observed(before).names(),
            &observed(now),
            mirrored.iter().cloned(),
        );
        let found: Vec<&str> = found.iter().map(TableId::as_str).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn tables_that_are_new_or_changed_or_gone_and_one_of_each_changed_bucket_are_looked_at() {
        let one = r#"{"columns":["a"],"rowsCount":1,"bucket":{"id":"in.c","lastChangeDate":"x"}}"#;
        let loaded = r#"{"columns":["a"],"rowsCount":2,"bucket":{"id":"in.c","lastChangeDate":"y"}}"#;
        let wider = r#"{"columns":["a","b"],"rowsCount":2,"bucket":{"id":"in.c","lastChangeDate":"y"}}"#;
        let before = [
            ("bucket in.c", "{}"),
            ("table in.c.a", one),
            ("table in.c.b", one),
        ];
        check_storage(&before, &before, &["in.c.a"], &[]);
        check_storage(&[], &before, &[], &["in.c.a", "in.c.b"]);
        let now = |a, b| [("bucket in.c", "{}"), ("table in.c.a", a), ("table in.c.b", b)];
        check_storage(&before, &now(loaded, loaded), &[], &[]);
        check_storage(&before, &now(loaded, wider), &[], &["in.c.b"]);
        check_storage(
            &before,
            &before[..2],
            &["in.c.b", "in.c.z"],
            &["in.c.b", "in.c.z"],
        );
        let described = [("bucket in.c", r#"{"description":"x"}"#), before[1], before[2]];
        check_storage(&before, &described, &[], &["in.c.a"]);
    }
}
