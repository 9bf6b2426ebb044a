//! Looking at a branch and telling what is news: the calls to the source, and the events.

use super::told::{Changed, Finding, News, Told, Unversioned};
use crate::{
    branches,
    pipeline::{
        attempt::Lane,
        error::AttemptError,
        fetch::FetchError,
        observed::{Observed, differing},
        reconcile::{Definitions, finished},
        unusable::Extent,
    },
    queue::NewEvent,
    state::Feeder,
};
use jiff::{SignedDuration, Timestamp};
use mirror_core::{
    cut::ConfigKey,
    event::{Body, ConfigChanged, Envelope, EventKind, RenderChanged},
    ids::RunId,
};
use mirror_keboola::{
    DevBranch, Disposition, Job, JobSearch, KeboolaError, ListedConfiguration, Metadata, Revision, Unread,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Events of one batch.
const EVENTS_AT_ONCE: usize = 500;
/// Runs become visible late, so the look begins so long before the newest known one.
const JOBS_OVERLAP: SignedDuration = SignedDuration::from_mins(15);

/// Stands for the digest of what cannot be read.
const UNREADABLE: &str = "unreadable";

/// What a look at a branch has told, by kind of event: those that are new, and those that were there before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub new: BTreeMap<EventKind, u64>,
    pub repeated: BTreeMap<EventKind, u64>,
}

impl Lane {
    /// Notes what the source has before everything is read from it, so that a poller tells what comes after. Only the
    /// first time: after that, what was told is known.
    ///
    /// # Errors
    /// A source or store that fails.
    pub(crate) async fn begin_polling(&self) -> Result<(), AttemptError> {
        if self.spec.poll.is_none() || self.polled().await?.is_some() {
            return Ok(());
        }
        let branches = self.source.branches().await.map_err(of_source)?;
        if self.source.lacks(&branches, &self.branch.id).await {
            let branch = self.branch.id.clone();
            return Err(FetchError::NoBranch { branch }.into());
        }
        let branch = branches.find(&self.branch.id).unwrap_or(&self.branch);
        let listed = self.source.client().list_configurations(&branch.id).await;
        let life = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let mut told = Told::begin(
            life,
            branches::digest_of(branch),
            &listed.map_err(of_source)?,
            self.unversioned().await?.0,
        );
        if self.spec.jobs.is_some() {
            let mut newest = self.source.client().job_pages(JobSearch {
                newest_first: true,
                branch_id: Some(branch.id.clone()),
                ..JobSearch::default()
            });
            let jobs = newest.next().await.map_err(of_source)?.unwrap_or_default();
            told.put_runs(ended(&jobs), JOBS_OVERLAP);
        }
        self.keep_told(&told).await
    }

    /// Returns what a poller has told of this branch; none where none has begun.
    pub(super) async fn polled(&self) -> Result<Option<Told>, AttemptError> {
        let rows = self.state.kept(&self.id, Feeder::Poller).await?;
        let told = rows.map(Told::restore);
        if told == Some(None) {
            tracing::warn!(lane = %self.id, "what the poller has told cannot be read; it begins anew");
        }
        Ok(told.flatten())
    }

    async fn keep_told(&self, told: &Told) -> Result<(), AttemptError> {
        Ok(self.state.keep(&self.id, Feeder::Poller, told.rows()).await?)
    }

    /// Asks for a comparison with the source, before which [`Lane::begin_polling`] is done.
    pub(super) async fn ask_to_begin(&self) -> Result<(), AttemptError> {
        let Some(cursor) = self
            .log
            .cursor(&self.id)
            .await?
            .filter(|cursor| cursor.tip.is_some())
        else {
            // A first sync is under way, and begins with it.
            return Ok(());
        };
        if self.is_backfilling().await? {
            return Ok(());
        }
        let body = Body::RenderChanged(RenderChanged {
            mirror: Some(self.id.mirror.clone()),
            reason: "polling begins with a comparison with the source".into(),
            // Asked again before it is done, it is the same event.
            digest: format!("polling begins after {}", cursor.change),
        });
        self.append(&[(body, None)], &mut Tally::default()).await
    }

    /// Compares a branch with what was told of it, and tells what is new.
    ///
    /// What is to be told is kept, together with what it makes known, before it is told: a look that ends in between is
    /// made good by the next one, whatever has become of the source since. Without `branch`, what is listed of it cannot be
    /// read.
    ///
    /// # Errors
    /// A source, log or store that fails.
    pub(super) async fn poll(
        &self,
        mut told: Told,
        branch: Option<&DevBranch>,
        unversioned: bool,
    ) -> Result<Tally, AttemptError> {
        let mut tally = Tally::default();
        self.tell(&mut told, &mut tally).await?;
        let mut next = told.clone();
        let mut findings = self.look_at_versions(&mut next).await?;
        if self.spec.jobs.is_some() {
            findings.extend(self.look_at_runs(&mut next).await?);
        }
        let (others, observed) = match unversioned {
            true => self
                .unversioned()
                .await
                .map(|(others, observed)| (Some(others), Some(observed)))?,
            false => (None, None),
        };
        let digest = branch.map_or_else(|| next.branch().to_owned(), branches::digest_of);
        let others = next.put_others(digest, others, |before| {
            observed
                .map(|now| differing(before, &now, std::iter::empty(), std::iter::empty()))
                .unwrap_or_default()
        });
        findings.extend(others.into_iter().map(|body| (body, None)));
        next.untold = findings;
        if next != told {
            self.keep_told(&next).await?;
            crate::crash_point!("poll-kept");
            self.tell(&mut next, &mut tally).await?;
        }
        Ok(tally)
    }

    /// Tells that a branch is no more, unless it was told.
    pub(super) async fn poll_in_vain(&self, mut told: Told) -> Result<Tally, AttemptError> {
        let mut tally = Tally::default();
        self.tell(&mut told, &mut tally).await?;
        if let Some(body) = told.put_branch_gone() {
            told.untold.push((body, None));
            self.keep_told(&told).await?;
            self.tell(&mut told, &mut tally).await?;
        }
        Ok(tally)
    }

    /// Tells what is kept to be told.
    async fn tell(&self, told: &mut Told, tally: &mut Tally) -> Result<(), AttemptError> {
        if told.untold.is_empty() {
            return Ok(());
        }
        self.append(&told.untold, tally).await?;
        crate::crash_point!("poll-told");
        told.untold.clear();
        self.keep_told(told).await
    }

    async fn look_at_versions(&self, next: &mut Told) -> Result<Vec<Finding>, AttemptError> {
        let listed = self.source.client().list_configurations(&self.branch.id).await;
        let News { changed, vanished } = next.news(listed.map_err(of_source)?);
        let mut findings = Vec::new();
        for Changed { listed, above } in changed {
            let revisions = match above {
                None => vec![listed.revision.clone()],
                Some(above) => match self.versions_of(&listed, above).await? {
                    Some(revisions) => revisions,
                    // It went away since; the next look finds it gone.
                    None => continue,
                },
            };
            findings.extend(revisions.iter().map(|revision| version(&listed, revision)));
            next.put_changed(&listed);
        }
        if !vanished.is_empty() {
            let trash = self.source.client().list_deleted(&self.branch.id).await;
            let trash = trash.map_err(of_source)?.into_iter();
            let trash: BTreeMap<ConfigKey, Revision> =
                trash.map(|listed| (key_of(&listed), listed.revision)).collect();
            for key in vanished {
                let last = trash.get(&key);
                let body = next.put_gone(&key, last.map(|last| last.version));
                findings.extend(body.map(|body| (body, last.and_then(|last| last.created))));
            }
        }
        // As it happened; what is not known to have happened earlier is told last.
        findings.sort_by_key(|(_, at)| (at.is_none(), *at));
        Ok(findings)
    }

    /// Asks for the versions above a known one, oldest first, up to the one that is listed.
    async fn versions_of(
        &self,
        listed: &ListedConfiguration,
        above: u64,
    ) -> Result<Option<Vec<Revision>>, AttemptError> {
        let client = self.source.client();
        let versions = client
            .versions_above(&self.branch.id, &listed.component_id, &listed.id, above)
            .await;
        match versions {
            Ok(mut versions) => {
                // What came after the listing is for the next look.
                versions.retain(|found| found.version < listed.revision.version && !found.is_deleted);
                versions.push(listed.revision.clone());
                Ok(Some(versions))
            }
            Err(error) if error.disposition() == Disposition::Gone => Ok(None),
            Err(error) => Err(of_source(error)),
        }
    }

    async fn look_at_runs(&self, next: &mut Told) -> Result<Vec<Finding>, AttemptError> {
        let mut findings = Vec::new();
        let ended_from = next
            .newest_run()
            .and_then(|newest| newest.checked_sub(JOBS_OVERLAP).ok());
        let mut pages = self.runs_since(ended_from);
        while let Some(jobs) = pages.next().await.map_err(of_source)? {
            let unknown = jobs
                .iter()
                .filter(|job| job.ended.is_some() && !next.has_run(&job.run_id));
            findings.extend(unknown.filter_map(|job| Some((finished(job)?, job.ended))));
            let ended = ended(&jobs);
            // Pages are of one search: what is told lets go of nothing before the last of them.
            next.put_runs(ended, SignedDuration::MAX);
        }
        next.put_runs([], JOBS_OVERLAP);
        self.tell_unusable(pages.unread(), Extent::Since).await;
        Ok(findings)
    }

    /// Looks at what raises no version.
    async fn unversioned(&self) -> Result<(Unversioned, Observed), AttemptError> {
        let client = self.source.client();
        let branch = &self.branch.id;
        let mut metadata = BTreeMap::new();
        for listed in client.configurations_metadata(branch).await.map_err(of_source)? {
            // What cannot be read is seen to come and to go; who reads everything tells what is wrong.
            let (id, digest) = match listed {
                Ok(listed) => {
                    let digest = (!listed.metadata.is_empty()).then(|| digest_of(&listed.metadata));
                    (Some((listed.component_id, listed.config_id)), digest)
                }
                Err(Unread { id, .. }) => (id, Some(UNREADABLE.to_owned())),
            };
            if let (Some((component, config)), Some(digest)) = (id, digest) {
                metadata.insert(ConfigKey { component, config }, digest);
            }
        }
        let branch_metadata = match client.branch_metadata(branch).await {
            Ok(metadata) => digest_of(&metadata),
            Err(KeboolaError::Malformed { .. }) => UNREADABLE.to_owned(),
            Err(error) => return Err(of_source(error)),
        };
        let observed = self.observe(Definitions::LeftOut).await?;
        let unversioned = Unversioned {
            branch_metadata,
            metadata,
            storage: observed.names(),
        };
        Ok((unversioned, observed))
    }

    async fn append(&self, findings: &[Finding], tally: &mut Tally) -> Result<(), AttemptError> {
        let at = (self.now)();
        for chunk in findings.chunks(EVENTS_AT_ONCE) {
            let event = |(body, occurred_at): &Finding| NewEvent {
                envelope: Envelope::found(self.topic.clone(), body.clone(), *occurred_at, at),
                at,
            };
            let appended = self.log.append(chunk.iter().map(event).collect()).await?;
            for ((body, _), appended) in chunk.iter().zip(appended) {
                let counts = match appended.duplicate {
                    true => &mut tally.repeated,
                    false => &mut tally.new,
                };
                *counts.entry(body.kind()).or_default() += 1;
            }
        }
        Ok(())
    }
}

fn of_source(error: KeboolaError) -> AttemptError {
    FetchError::from(error).into()
}

fn key_of(listed: &ListedConfiguration) -> ConfigKey {
    ConfigKey {
        component: listed.component_id.clone(),
        config: listed.id.clone(),
    }
}

/// Says what the event of a version would have said.
fn version(listed: &ListedConfiguration, revision: &Revision) -> Finding {
    let author = revision.author.as_ref();
    let body = Body::ConfigChanged(ConfigChanged {
        component: listed.component_id.clone(),
        config: listed.id.clone(),
        version: revision.version,
        identifier: revision.identifier.clone(),
        author: author
            .map(|author| author.description.clone())
            .filter(|text| !text.is_empty()),
    });
    (body, revision.created)
}

fn ended(jobs: &[Job]) -> Vec<(RunId, Timestamp)> {
    let ended = jobs.iter().filter(|job| job.status.is_final());
    ended
        .filter_map(|job| Some((job.run_id.clone(), job.ended?)))
        .collect()
}

/// Returns the digest of an object's metadata, without the times at which the same was said again.
fn digest_of(metadata: &[Metadata]) -> String {
    let mut entries: Vec<[&str; 3]> = metadata
        .iter()
        .map(|entry| [&*entry.key, &*entry.value, &*entry.provider])
        .collect();
    entries.sort_unstable();
    let mut digest = Sha256::new();
    for part in entries.into_iter().flatten() {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    data_encoding::HEXLOWER.encode(&digest.finalize()[..8])
}
