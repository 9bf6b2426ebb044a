//! Reconciling: what the source has and the remote does not becomes events; it never commits.
//!
//! Configurations are compared by version with the covered ones; buckets and tables by digest with what
//! was seen the last time ([`super::observed`]); runs by id with those that are in the job history, from a little before the
//! newest of them, and one by one those that were put aside ([`letters`]). The cost is one listing each, one call for each
//! table that differs or run that was put aside and, where it is asked what they are made of, one for each typed table.

mod letters;
mod scheduled;

use super::{
    attempt::Lane,
    error::AttemptError,
    fetch::{Covered, FetchError, Typed},
    memory::Memory,
    observed::{Differing, Observed, differing},
    unusable::Extent,
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

/// Whether it is asked what typed tables are made of: a call for each, since no listing says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definitions {
    Asked,
    LeftOut,
}

/// How the digest of what a comparison found begins.
const COMPARED: &str = "compared ";
/// Tables of one event.
const TABLES_MAX: usize = 1000;
/// Runs become visible late, so the look begins so long before the newest known one.
const JOBS_OVERLAP: SignedDuration = SignedDuration::from_hours(1);
impl Lane {
    /// Looks at the storage of the branch. Done before a first sync, what is seen is never newer than
    /// what is synchronised.
    ///
    /// # Errors
    /// A source that fails.
    pub async fn observe(&self, definitions: Definitions) -> Result<Observed, AttemptError> {
        let mut observed = Observed::default();
        for bucket in self.source.buckets(&self.branch.id).await.map_err(of_source)? {
            observed.see_bucket(bucket.id, &bucket.source);
        }
        let mut typed = Vec::new();
        let mut tables = self.source.tables_of(&self.branch.id).await.map_err(of_source)?;
        while let Some((owner, table)) = tables.next().await.map_err(of_source)? {
            // A sample changes with the table's data.
            observed.see_table(table.id.clone(), &table.source, self.exports.samples);
            // Who inherits a table is told of it by the branch that it lies in.
            if definitions == Definitions::Asked && owner == self.branch.id {
                typed.extend(Typed::of(owner, &table));
            }
        }
        self.source
            .definitions(typed, (self.now)(), &mut observed)
            .await?;
        Ok(observed)
    }

    /// Notes what the remote has, from a rendering of everything that began after `observed` or read it.
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
                // A run that was told of and is not there is on its way, of a day that is not at hand, withheld, or has a
                // letter by which it is asked for.
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

    /// Appends events of tables and buckets that differ; returns how many.
    async fn tell_storage(&self, differing: &Differing, observed: &Observed) -> Result<usize, AttemptError> {
        // The same may be seen again after something else was: this occasion has a digest of its own.
        let newest = self.log.newest(&self.topic, Stream::Change).await?;
        let bodies = differing.parts(TABLES_MAX).into_iter().map(|(tables, buckets)| {
            let mut digest = Sha256::new_with_prefix(newest.to_string());
            for table in &tables {
                digest.update(format!(" {table} {}", observed.digest_of(table)));
            }
            for bucket in &buckets {
                digest.update(format!(" {bucket} {}", observed.digest_of_bucket(bucket)));
            }
            Body::StorageChanged(StorageChanged {
                tables,
                buckets,
                cause: StorageCause::Seen(format!("{COMPARED}{}", short(digest))),
            })
        });
        Ok(self.log.append(self.events(bodies.collect())).await?.len())
    }

    async fn reconcile_storage(&self, memory: &Memory, observed: &Observed) -> Result<usize, AttemptError> {
        let seen = self.state.seen(&self.id).await?;
        let observed = &observed.clone().with_definitions_seen(&seen);
        let (tables, buckets) = mirrored(memory);
        let differing = differing(&seen, observed, tables.into_iter(), buckets.into_iter());
        if differing.is_empty() {
            return Ok(0);
        }
        let told = self.tell_storage(&differing, observed).await?;
        // Killed before this, the next comparison tells the same again, of which nothing comes.
        self.state.put_seen(&self.id, observed.names()).await?;
        Ok(told)
    }

    async fn reconcile_jobs(&self, memory: &Memory) -> Result<usize, AttemptError> {
        let (mut known, newest) = known_runs(memory);
        let ended_from = newest.and_then(|newest| newest.checked_sub(JOBS_OVERLAP).ok());
        let withheld = memory.withheld().map(|(key, _)| key.clone()).collect();
        let replayed = self.replay_runs(&known, &withheld).await?;
        let mut told = replayed.len();
        known.extend(replayed.iter().map(ToString::to_string));
        let mut pages = self.runs_since(ended_from);
        while let Some(jobs) = pages.next().await.map_err(of_source)? {
            let unknown = jobs.iter().filter(|job| !known.contains(job.run_id.as_str()));
            let bodies: Vec<Body> = unknown.filter_map(finished).collect();
            if !bodies.is_empty() {
                let appended = self.log.append(self.events(bodies)).await?;
                told += appended.iter().filter(|appended| !appended.duplicate).count();
            }
        }
        self.tell_unusable(pages.unread(), Extent::Since).await;
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

fn short(digest: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&digest.finalize()[..16])
}

/// Returns the tables and buckets that are mirrored.
fn mirrored(memory: &Memory) -> (BTreeSet<TableId>, BTreeSet<BucketId>) {
    let (mut tables, mut buckets) = (BTreeSet::new(), BTreeSet::new());
    for key in memory.keys() {
        match key {
            ObjectKey::Table(table) => drop(tables.insert(table)),
            ObjectKey::Bucket(bucket) => drop(buckets.insert(bucket)),
            _ => {}
        }
    }
    (tables, buckets)
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
}
