//! Making known what an attempt has made: durable state, the push, the cursor.

use super::{
    super::{
        error::AttemptError,
        memory::{Memory, ROWS_AT_ONCE, WithheldNow},
        stages::Stage,
    },
    Done, Landed, Lane, Published,
    make::{Finished, Ready},
    refused::{Unsent, is_about_content},
};
use crate::{crash_point, state::Prepared, visibility::Visibility};
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, LaneCursor},
    deletions::Loss,
    ids::ObjectKey,
    incident::{Clean, Report},
    inventory::Inventory,
    redaction::RedactionStats,
};
use mirror_git::PendingPush;
use std::time::{Duration, Instant};
use tokio::sync::MutexGuard;

impl Lane {
    /// Waits until nobody else pushes to the repository.
    async fn place_to_push(&self) -> MutexGuard<'_, ()> {
        self.progress.waits();
        let place = self.turn.lock().await;
        self.progress.moved(Instant::now());
        place
    }

    /// Stores all rows of a memory, a part at a time, for a commit that is yet to be prepared; returns how many.
    async fn stage(&self, memory: &Memory) -> Result<usize, AttemptError> {
        let mut rows = memory.rows();
        let mut count = 0;
        loop {
            let part: Vec<_> = rows.by_ref().take(ROWS_AT_ONCE).collect();
            let (first, last) = (count == 0, part.len() < ROWS_AT_ONCE);
            count += part.len();
            self.state.stage(&self.id, part, first).await?;
            if last {
                return Ok(count);
            }
        }
    }

    /// Makes the state durable, pushes, and moves the cursor.
    pub(super) async fn publish(
        &self,
        finished: Finished,
        cut: Cut,
        stored_cursor: Option<LaneCursor>,
        started: Instant,
    ) -> Result<Published, AttemptError> {
        let Finished {
            mut memory,
            months,
            mut owing,
            days_dropped,
            replace_all,
            keeps_back,
            tip,
            base,
            commits,
            push,
            redactions,
            clean,
            withheld,
            inventory,
            vanished,
            mut work,
            tables: _,
            fetching: _,
            unfounded: _,
            awaited: _,
            samples: _,
        } = finished;
        let id = push.as_ref().map(PendingPush::new_tip).or(tip.map(|tip| tip.id));
        let Some(id) = id else {
            // Nothing there and nothing to commit: only the cursor moves.
            let cursor = cut.cursor(None);
            self.log.commit(&self.id, stored_cursor.as_ref(), &cursor).await?;
            return Ok(Published::Done(Box::new(Done {
                work,
                ..Done::at(None, None, memory, cursor, started)
            })));
        };
        if push.is_some() {
            self.refuse_again(id)?;
        }
        let mut refusals = Vec::new();
        let tried_months = !months.is_empty();
        let pushed = {
            // Killed from here on, the next attempt makes the same of each month, and finds that it is there.
            let _turn = match months.is_empty() {
                true => None,
                false => Some(self.place_to_push().await),
            };
            self.settle_months(months, &mut owing, memory, &mut refusals)
                .await?
        };
        match pushed {
            Ok(unchanged) => memory = unchanged,
            Err(published) => return Ok(published),
        }
        // What is pushed is not seen again.
        self.store_shadows().await;
        let delta = if replace_all {
            work.rows = self
                .transformer
                .stages
                .watch(Stage::State, self.stage(&memory))
                .await?;
            memory.replaced();
            Vec::new()
        } else {
            memory.take_changes()
        };
        work.rows += delta.len();
        let prepared = Prepared {
            commit: id,
            render: self.render.clone(),
            base,
            delta,
            replace_all,
        };
        let stages = &self.transformer.stages;
        stages
            .watch(Stage::State, self.state.prepare(&self.id, prepared))
            .await?;
        crash_point!("after-prepare");
        // Before the push: what was found is true whether it succeeds or not, and is not found again after it.
        self.tell_found(&redactions, clean, &memory).await?;
        if push.is_some() {
            self.tell_vanished(&cut, &vanished).await?;
        }
        let mut landed = Vec::new();
        if let Some(push) = push {
            let turn = self.place_to_push().await;
            if self.exports.samples {
                let visibility = self.visibility.ask().await;
                if visibility != Visibility::Private {
                    return Err(AttemptError::Exposed { visibility });
                }
            }
            let pushed = self.push(push).await?;
            drop(turn);
            if let Err(unsent) = pushed {
                if commits.len() > 1 && is_about_content(&unsent.error) {
                    return Ok(Published::OneOfSeveral);
                }
                return self.not_taken(*unsent, memory).await;
            }
            landed = self.landed(commits);
        }
        if let Some(last) = landed.last_mut() {
            last.redactions = redactions;
            last.withheld = withheld;
            last.inventory = inventory;
            last.vanished = vanished;
        }
        if keeps_back {
            self.let_go(&memory).await?;
        }
        self.forget_refused();
        self.settle_owed(&mut owing).await?;
        crash_point!("before-adopt");
        let adopt = async {
            stages.watch(Stage::State, self.state.adopt(&self.id, id)).await?;
            crash_point!("after-adopt");
            Ok::<_, AttemptError>(())
        };
        let cursor = cut.cursor(Some(id));
        let moved = async {
            let moved = self.log.commit(&self.id, stored_cursor.as_ref(), &cursor);
            Ok::<_, AttemptError>(stages.watch(Stage::State, moved).await?)
        };
        if !cut.runs.is_empty() || replace_all {
            adopt.await?;
            // Before the cursor: whoever takes the lane over then is told, or makes this commit once more.
            self.state.put_spent(&self.id, memory.spent()).await?;
            moved.await?;
        } else {
            // Together, so that the disk is waited for once. Killed with only one of them done, the next attempt makes up for
            // the other: it adopts what the remote has, and events behind the cursor are no-ops.
            let (adopted, moved) = tokio::join!(adopt, moved);
            adopted.and(moved)?;
        }
        crash_point!("after-cursor");
        if (days_dropped || tried_months)
            && let Err(error) = self.give_up_months(owing, &memory, days_dropped).await
        {
            // Everything is where it belongs; the next push to a month tries again.
            tracing::warn!(lane = %self.id, error = crate::app::chain(&error), "the branches of months that are no longer kept cannot be looked at");
        }
        Ok(Published::Done(Box::new(Done {
            landed: landed.pop(),
            caught_up: landed,
            work,
            refusals,
            ..Done::at(Some(id), Some(id), memory, cursor, started)
        })))
    }

    /// Returns what the remote has confirmed now.
    fn landed(&self, commits: Vec<Ready>) -> Vec<Landed> {
        let now = (self.now)();
        let since = |at: Option<Timestamp>| {
            at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default())
        };
        let landed = commits.into_iter().map(|ready| {
            let Ready {
                id,
                kind,
                message,
                author,
                outcome,
                cut,
            } = ready;
            Landed {
                lane: self.id.clone(),
                refname: self.refname.to_string(),
                commit: id,
                kind,
                message,
                author,
                added: outcome.added,
                modified: outcome.modified,
                deleted: outcome.deleted,
                events: cut.events.count,
                event_id: cut.last_event.clone(),
                change_latency: since(cut.change_published_at),
                jobs_latency: since(cut.jobs_published_at),
                redactions: Vec::new(),
                withheld: Vec::new(),
                inventory: Inventory::default(),
                vanished: Vec::new(),
            }
        });
        landed.collect()
    }

    /// Has the admins told what was found on the way.
    async fn tell_found(
        &self,
        redactions: &[(ObjectKey, RedactionStats)],
        clean: Clean,
        memory: &Memory,
    ) -> Result<(), AttemptError> {
        let (branch, now) = (self.id.branch.clone(), (self.now)());
        let plaintext = redactions.iter().filter(|(_, stats)| !stats.plaintext.is_empty());
        let rendered = Report::Rendered {
            branch: branch.clone(),
            plaintext: plaintext
                .map(|(object, stats)| (object.clone(), stats.plaintext.clone()))
                .collect(),
            clean,
        };
        let WithheldNow { objects, files, runs } = self.withheld_now(memory).await;
        let withheld = Report::Withheld {
            branch,
            objects: objects.into_iter().chain(files).chain(runs).collect(),
        };
        self.notices.report(vec![rendered, withheld], now).await?;
        Ok(())
    }

    /// Tells of types of which the commit leaves nothing. Told again for the same cut, it is not heard twice.
    async fn tell_vanished(&self, cut: &Cut, vanished: &[Loss]) -> Result<(), AttemptError> {
        if vanished.is_empty() {
            return Ok(());
        }
        let types: Vec<String> = vanished.iter().map(Loss::left_nothing).collect();
        tracing::warn!(lane = %self.id, types = types.join(", "), "nothing is left of some types of objects; look whether they were to go");
        let report = Report::Vanished {
            branch: self.id.branch.clone(),
            through: format!("{}/{}", cut.change_through, cut.jobs_through),
            types,
        };
        self.notices.report(vec![report], (self.now)()).await?;
        Ok(())
    }

    /// Sends a commit, which is kept in the local store first.
    async fn push(&self, push: PendingPush) -> Result<Result<(), Box<Unsent>>, AttemptError> {
        self.blocking(move |lane| {
            crash_point!("before-push");
            let push = match lane.send(push)? {
                Ok(push) => push,
                Err(unsent) => return Ok(Err(unsent)),
            };
            crash_point!("after-push");
            lane.confirm(push)?;
            Ok(Ok(()))
        })
        .await
    }

    /// Stores what is pushed, and pushes it; returns it with the error where the remote did not take it.
    pub(in crate::pipeline) fn send(
        &self,
        push: PendingPush,
    ) -> Result<Result<PendingPush, Box<Unsent>>, AttemptError> {
        if !self.lease.holds() {
            return Err(AttemptError::LeaseOver);
        }
        let stages = &self.transformer.stages;
        stages.time(Stage::Pack, 0, || self.git.save(&push))?;
        Ok(match stages.time(Stage::Push, 1, || self.remote.push(&push)) {
            Ok(()) => Ok(push),
            Err(error) => Err(Box::new(Unsent { push, error })),
        })
    }

    /// Notes that the remote has a push.
    pub(in crate::pipeline) fn confirm(&self, push: PendingPush) -> Result<(), AttemptError> {
        let stages = &self.transformer.stages;
        if let Err(error) = stages.time(Stage::Pack, 0, || self.git.confirm(push)) {
            // Only the cache suffers; the remote has the commit.
            tracing::warn!(lane = %self.id, %error, "the local object store could not be tidied");
            if error.is_damage() {
                self.git.reset()?;
            }
        }
        Ok(())
    }
}
