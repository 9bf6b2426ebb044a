//! What events tell of and the source does not show yet: everything else goes on without it (ADR 5).
//!
//! For a few seconds the whole cut waits, as that mostly is enough, and then it is one commit. After that, what is still not
//! shown is appended to the log anew, before the cursor passes it, with the time since when it is waited for; the next cuts
//! have it until it is shown or put aside. Where nothing else is to be done the cut waits, so nothing is told anew in vain.

use super::{
    super::{
        error::AttemptError,
        fetch::{Awaited, AwaitedObject, FetchError, announced, announced_run},
    },
    Lane,
};
use crate::queue::NewEvent;
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, Position, Stream},
    event::Envelope,
    ids::ObjectKey,
};
use std::collections::BTreeSet;

impl Lane {
    /// Returns what the whole attempt waits for: what the source will show in a moment, or all there is to do. `has_more`
    /// says that there is more to do than the cut tells.
    pub(super) async fn waits_for(
        &self,
        cut: &Cut,
        awaited: &[Awaited],
        has_more: bool,
    ) -> Result<Option<FetchError>, AttemptError> {
        let Some(first) = awaited.first() else {
            return Ok(None);
        };
        let now = (self.now)();
        let is_new = |awaited: &&Awaited| !self.source.is_usually_seen(awaited.since, now);
        if let Some(new) = awaited.iter().find(is_new) {
            return Ok(Some(self.not_shown(new).await));
        }
        let objects: BTreeSet<ObjectKey> = awaited.iter().map(Awaited::object).collect();
        if has_more || !is_only_of(cut, &objects) || self.log_has_other(cut, &objects).await? {
            return Ok(None);
        }
        Ok(Some(self.not_shown(first).await))
    }

    async fn not_shown(&self, awaited: &Awaited) -> FetchError {
        let object = self.called(&awaited.object()).await;
        match &awaited.what {
            AwaitedObject::Version(_, wanted) => FetchError::NotVisible {
                object,
                version: wanted.version,
            },
            AwaitedObject::Run(..) => FetchError::JobNotVisible { object },
        }
    }

    /// Returns whether something was told since the cut that is not of these objects. What waited beside it then waits for
    /// a time of its own, and what other mirrors of the branch tell anew is of the same objects: so telling something anew
    /// never is what has it told anew once more.
    async fn log_has_other(&self, cut: &Cut, objects: &BTreeSet<ObjectKey>) -> Result<bool, AttemptError> {
        let after = cut.change_through.max(cut.jobs_through);
        for stream in Stream::ALL {
            let mut pages = self.pages(stream, after, Position::END);
            while let Some(page) = pages.next().await? {
                let mut told = Cut::of(&self.id.mirror, &cut.cursor(None), &[], cut.appended_at);
                page.iter().for_each(|logged| told.cover(&self.id.mirror, logged));
                if !is_only_of(&told, objects) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Appends anew what a cut tells of and the source does not show, so that its cursor may pass it. Done again for the
    /// same cut, also after a crash, it is known as a repetition.
    pub(super) async fn tell_anew(
        &self,
        cut: &Cut,
        awaited: Vec<Awaited>,
        now: Timestamp,
    ) -> Result<(), AttemptError> {
        if awaited.is_empty() {
            return Ok(());
        }
        let through = [cut.change_through, cut.jobs_through].map(|through| through.to_string());
        let occasion = [self.id.mirror.as_str(), &through[0], &through[1]];
        let called = self
            .called_all(awaited.iter().map(Awaited::object).collect())
            .await;
        for (awaited, object) in awaited.iter().zip(called) {
            tracing::info!(lane = %self.id, object, since = %awaited.since, "the source does not show yet what an event tells of; the rest goes on without it");
        }
        let anew = |awaited: Awaited| {
            let (body, occurred_at) = match &awaited.what {
                AwaitedObject::Version(key, wanted) => (announced(key, wanted), wanted.occurred_at),
                AwaitedObject::Run(run, told) => (announced_run(run, told), now),
            };
            let topic = self.topic.clone();
            NewEvent {
                envelope: Envelope::awaited(topic, body, &occasion, occurred_at, awaited.since, now),
                at: now,
            }
        };
        self.log.append(awaited.into_iter().map(anew).collect()).await?;
        Ok(())
    }
}

/// Returns whether a cut tells of nothing but versions and runs of these objects.
fn is_only_of(cut: &Cut, objects: &BTreeSet<ObjectKey>) -> bool {
    let has_other = cut.snapshot
        || cut.render.is_some()
        || cut.branch_changed
        || !(cut.tables.is_empty() && cut.buckets.is_empty() && cut.metadata.is_empty());
    !has_other
        && cut
            .configs
            .keys()
            .all(|key| objects.contains(&key.clone().into()))
        && cut
            .runs
            .keys()
            .all(|run| objects.contains(&ObjectKey::Job(run.clone())))
}
