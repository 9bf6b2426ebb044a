//! Backfill: what was before the mirror becomes commits, one for each version, before the first sync.
//!
//! Versions are appended to the log a batch at a time and taken from there like any other event; so the cursor says how
//! far it has come. A version that the tip has is a no-op, so a batch that is begun again makes nothing twice. When there are
//! no more, the first sync follows on top, placed and rendered as if there was nothing below it.

use super::{
    super::{
        backfill::{BackfillProgress, BackfillStatus, Count, Phase},
        build::Again,
        error::AttemptError,
        fetch::Scope,
        memory::Memory,
        recover::Start,
    },
    Done, Lane, Published, Straight,
    foreign::Others,
    make::{Made, ToMake},
    owing::Owing,
};
use crate::{config::BackfillSpec, crash_point, queue::NewEvent, state::Feeder};
use mirror_core::{
    cut::{
        Cut, LaneCursor, Logged, Position, Stream,
        groups::{COMMITS_MAX, Group},
    },
    event::{Body, Envelope},
    ids::ObjectKey,
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// Where the backfill of a lane stands; without a record it has not begun.
const STATE: &str = "state";
const BEGUN: &str = "begun";
const DONE: &str = "done";
/// How far it has come, as JSON.
const PROGRESS: &str = "progress";

/// Versions from before the mirror that become commits, and what of the log they end with.
pub(super) struct Batch {
    events: Vec<Logged>,
}

impl Lane {
    /// Returns whether history is being brought in: what the repository has is not what the project is.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn is_backfilling(&self) -> Result<bool, AttemptError> {
        let kept = self.state.kept(&self.id, Feeder::Backfill).await?;
        Ok(kept.is_some_and(|kept| kept.get(STATE).map(String::as_str) == Some(BEGUN)))
    }

    async fn keep_backfill(&self, state: &str) -> Result<(), AttemptError> {
        let mut kept = BTreeMap::from([(STATE.to_owned(), state.to_owned())]);
        if let Some(status) = self.source.backfill_progress().get() {
            let status = serde_json::to_string(&status).expect("it has only text keys, so it is always JSON");
            kept.insert(PROGRESS.to_owned(), status);
        }
        Ok(self.state.keep(&self.id, Feeder::Backfill, kept).await?)
    }

    /// Returns where it is told how far history has come, where it is brought in.
    #[must_use]
    pub fn backfill_progress(&self) -> Option<Arc<BackfillProgress>> {
        self.backfill()
            .map(|_| Arc::clone(self.source.backfill_progress()))
    }

    /// Has it told how far the history came in the process before. Without a record nothing is told.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn recall_backfill(&self) -> Result<(), AttemptError> {
        if self.backfill().is_some()
            && let Some(kept) = self.state.kept(&self.id, Feeder::Backfill).await?
        {
            self.recall(&kept);
        }
        Ok(())
    }

    fn recall(&self, kept: &BTreeMap<String, String>) {
        // One that cannot be read is made anew with the next batch.
        let known = kept
            .get(PROGRESS)
            .and_then(|text| serde_json::from_str::<BackfillStatus>(text).ok());
        let progress = self.source.backfill_progress();
        progress.recall(known.unwrap_or_else(|| BackfillStatus::begun((self.now)())));
    }

    /// Has it told that the first sync is there, if it was waited for.
    pub(super) async fn end_backfill(&self) -> Result<(), AttemptError> {
        let progress = self.source.backfill_progress();
        let phase = progress.get().map(|status| status.phase);
        if self.backfill().is_none() || phase != Some(Phase::FirstSync) {
            return Ok(());
        }
        progress.update(|status| {
            status.phase = Phase::Done;
            status.ended_at = Some((self.now)());
        });
        self.keep_backfill(DONE).await
    }

    fn backfill(&self) -> Option<BackfillSpec> {
        // A dev branch starts at the default one's commit, and has that history.
        self.spec.backfill.filter(|_| self.branch.is_default)
    }

    /// Returns what of the history is to become commits now, at most so many; none where it is all there, or not wanted.
    pub(super) async fn past_batch(&self, start: &Start, max: usize) -> Result<Option<Batch>, AttemptError> {
        let Some(spec) = self.backfill() else {
            return Ok(None);
        };
        if !start.is_first() {
            // A process may have died right after its first sync.
            self.end_backfill().await?;
            return Ok(None);
        }
        let kept = self
            .state
            .kept(&self.id, Feeder::Backfill)
            .await?
            .unwrap_or_default();
        self.recall(&kept);
        match kept.get(STATE).map(String::as_str) {
            Some(DONE) => {
                self.source
                    .backfill_progress()
                    .update(|status| status.phase = Phase::FirstSync);
                return Ok(None);
            }
            Some(_) => {}
            None => self.keep_backfill(BEGUN).await?,
        }
        let mut events = self.next_past(&start.cursor, &start.memory, spec).await?;
        events.truncate(max);
        if events.is_empty() {
            self.source
                .backfill_progress()
                .update(|status| status.phase = Phase::FirstSync);
            self.keep_backfill(DONE).await?;
            crash_point!("backfill-done");
            return Ok(None);
        }
        Ok(Some(Batch { events }))
    }

    /// Returns whether there is more of the history, of which some waits in the log then.
    pub(super) async fn has_more_past(&self, done: &Done) -> Result<bool, AttemptError> {
        match self.backfill() {
            Some(spec) => Ok(!self.next_past(&done.cursor, &done.memory, spec).await?.is_empty()),
            None => Ok(false),
        }
    }

    /// Returns what of the history waits in the log, having it told if nothing does; none where there is no more.
    async fn next_past(
        &self,
        cursor: &LaneCursor,
        memory: &Memory,
        spec: BackfillSpec,
    ) -> Result<Vec<Logged>, AttemptError> {
        loop {
            let events = self.waiting_past(cursor).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            let next = self
                .source
                .next_past(&self.branch.id, memory, spec, COMMITS_MAX)
                .await?;
            self.keep_backfill(BEGUN).await?;
            if next.is_empty() {
                return Ok(Vec::new());
            }
            let at = (self.now)();
            let event = |version: super::super::fetch::PastVersion| NewEvent {
                envelope: Envelope::past(
                    self.topic.clone(),
                    Body::ConfigHistory(version.changed),
                    version.at,
                    at,
                ),
                at,
            };
            let count = next.len();
            self.log.append(next.into_iter().map(event).collect()).await?;
            self.source.past_told(count).await;
            crash_point!("backfill-told");
        }
    }

    /// Reads the versions that wait in the log, up to the last of a batch.
    async fn waiting_past(&self, cursor: &LaneCursor) -> Result<Vec<Logged>, AttemptError> {
        let mut pages = self.pages(Stream::Change, cursor.change, Position::END);
        let mut past = Vec::new();
        while let Some(page) = pages.next().await? {
            let is_past = |logged: &Logged| matches!(logged.envelope.body, Body::ConfigHistory(_));
            past.extend(page.into_iter().filter(is_past));
            if past.len() >= COMMITS_MAX {
                past.truncate(COMMITS_MAX);
                break;
            }
        }
        Ok(past)
    }

    /// Makes a batch into commits, and pushes them together.
    pub(super) async fn backfill_batch(
        &self,
        start: Start,
        batch: Batch,
        started: Instant,
        again: &Again,
    ) -> Result<Straight, AttemptError> {
        let Batch { events } = batch;
        let Start {
            tip,
            base,
            cursor,
            stored_cursor,
            memory,
            mirrored,
            former,
            ..
        } = start;
        let now = (self.now)();
        let scope = Scope {
            storage: false,
            samples: None,
            jobs: false,
            now,
        };
        let whole = Cut::of_past(&self.id.mirror, &cursor, &events, now);
        let mut at = cursor;
        let mut groups = Vec::new();
        // One version is one commit, however soon the next one was made.
        for event in events.chunks(1) {
            let mut cut = Cut::of_past(&self.id.mirror, &at, event, now);
            cut.branch_changed = groups.is_empty() && memory.known(&ObjectKey::Branch).is_none();
            at = cut.cursor(at.tip);
            groups.push(Group::alone(cut));
        }
        let mut groups = groups.into_iter();
        let Some(first) = groups.next() else {
            return Ok(Straight::Done(Box::new(Done::at(
                tip.map(|tip| tip.id),
                base,
                memory,
                at,
                started,
            ))));
        };
        let surveyed = self.survey_cut(&first.cut, &memory, scope).await?;
        let part = self.part(first, surveyed, &memory, again).await?;
        let to_make = ToMake {
            quarantine: self.state.quarantine(&self.id).await?,
            others: Others::Nothing,
            owing: Owing::default(),
            memory,
            part,
            further: groups.collect(),
            scope,
            same_render: mirrored.as_ref() == Some(&self.render),
            tip,
            base,
            former,
        };
        let finished = match self.make(to_make, again).await? {
            Made::Finished(finished) => *finished,
            Made::Again(more) => return Ok(Straight::Again(more)),
        };
        self.file_withheld(&whole, &finished.withheld, now).await?;
        match self.publish(finished, whole, stored_cursor, started).await? {
            Published::Done(done) => {
                self.source.backfill_progress().update(|status| {
                    let Count { done, total } = &mut status.versions;
                    *done = (*done + events.len()).min(*total);
                });
                self.keep_backfill(BEGUN).await?;
                Ok(Straight::Backfilled(done))
            }
            Published::Refused { new, error } => Ok(Straight::Refused { new, error }),
            Published::OneOfSeveral => Ok(Straight::OneOfPast { count: events.len() }),
        }
    }
}
