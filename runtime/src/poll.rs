//! The poller: finds out, by asking Keboola again and again, what no event tells.
//!
//! For whoever has a Storage token and no stream of events. What was told last is compared with what the source lists, and
//! the difference is appended to the log as the events that somebody else would have published; the lanes do the rest.
//! Storage events, where the token is shown them, only say that it is time to look. When to look is decided by [`pace`],
//! what is news by [`told`]; how commits are made is not known here.

mod look;
pub mod pace;
pub mod told;

use crate::{
    metrics::Attempted,
    pipeline::{attempt::Lane, error::AttemptError, fetch::FetchError},
    queue::{LogError, NewEvent},
    runner::{Runner, jitter},
    system::{Mirror, System},
};
use jiff::Timestamp;
use look::Tally;
use mirror_core::{
    event::{Body, BranchChanged, Envelope, EventKind},
    ids::{BranchId, Topic},
    incident::Report,
    retry::{Disposition, Failure, RETRY_EVERY},
};
use mirror_keboola::DevBranch;
use pace::{Due, Hint, Pace};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// So many of the newest events are looked at for hints.
const EVENTS_MAX: u32 = 50;

/// Polls the source of one mirror.
pub struct Poller {
    system: Arc<System>,
    runner: Arc<Runner>,
    mirror: Arc<Mirror>,
    /// The newest Storage event of each branch that was seen.
    newest: BTreeMap<BranchId, String>,
    /// Whether the token is shown what others do; asked before the first hint.
    is_master: Option<bool>,
    status: PollStatus,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("mirror", &self.mirror.spec.id)
            .finish_non_exhaustive()
    }
}

/// How polling goes, for the status.
#[derive(Debug, Clone, Default)]
pub struct PollStatus {
    /// When the last look ended well.
    pub last_look: Option<Timestamp>,
    pub next: Option<Timestamp>,
    /// Why the last look failed, if it did.
    pub problem: Option<String>,
    /// Events that this process has told and nobody else had.
    pub events: u64,
    /// Whether Storage events make it prompt; none where that is not known yet.
    pub hints: Option<bool>,
}

/// What a look at a mirror came to.
enum Looked {
    /// Its branches are not open yet.
    NotYet,
    Well,
}

impl Poller {
    #[must_use]
    pub fn new(system: Arc<System>, runner: Arc<Runner>, mirror: Arc<Mirror>) -> Self {
        Self {
            system,
            runner,
            mirror,
            newest: BTreeMap::new(),
            is_master: None,
            status: PollStatus::default(),
        }
    }

    /// Polls until it is stopped; returns at once where the mirror is not to be polled.
    pub async fn run(mut self, stop: CancellationToken) {
        let Some(spec) = self.mirror.spec.poll else { return };
        let mut pace = Pace::new(spec, (self.system.now)(), jitter());
        let mut renewed = self.mirror.rotation.renewed();
        loop {
            let now = (self.system.now)();
            pace.clamp(now);
            self.status.next = Some(pace.next());
            self.show();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(until(now, pace.next())) => {}
                _ = renewed.changed() => {
                    // Another token may be shown more, or less.
                    self.is_master = None;
                    if self.status.problem.is_some() {
                        pace.hinted(Hint::Versions, (self.system.now)());
                    }
                    continue;
                }
            }
            // What is cut short here is found again by the next look.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.step(&mut pace) => {}
            }
        }
    }

    async fn step(&mut self, pace: &mut Pace) {
        match pace.due((self.system.now)()) {
            Due::Nothing => {}
            Due::Hints => {
                let hint = match self.hint().await {
                    Ok(hint) => hint,
                    // The next look will say what is wrong, if that lasts.
                    Err(error) => {
                        tracing::debug!(mirror = %self.mirror.spec.id, error = crate::app::chain(&error), "no hints could be had");
                        Hint::None
                    }
                };
                if hint == Hint::Useless {
                    tracing::info!(mirror = %self.mirror.spec.id, "the token is no master token, so Storage events are no hints; changes are found every `poll.every_ms`");
                }
                pace.hinted(hint, (self.system.now)());
            }
            Due::Look { unversioned } => {
                let rotation = Arc::clone(&self.mirror.rotation);
                rotation.look().await;
                let taken = rotation.taken();
                let mut outcome = self.look(unversioned).await;
                let is_refused = |error: &AttemptError| error.disposition() == Disposition::NeedsCustomer;
                if outcome.as_ref().is_err_and(is_refused) {
                    rotation.look().await;
                    if rotation.taken() != taken {
                        outcome = self.look(unversioned).await;
                    }
                }
                self.ended(outcome, unversioned, pace).await;
            }
        }
    }

    /// Looks at all branches.
    async fn look(&mut self, unversioned: bool) -> Result<Looked, AttemptError> {
        let lanes = self.runner.lanes_of(&self.mirror.spec.id).await;
        if lanes.iter().all(|lane| !lane.branch.is_default) {
            return Ok(Looked::NotYet);
        }
        let source = &self.mirror.source;
        let branches = source.branches().await.map_err(FetchError::from)?;
        for branch in &branches.listed {
            if self.mirror.spec.dev_branches.enabled && lanes.iter().all(|lane| lane.branch.id != branch.id) {
                self.tell_of_branch(branch).await?;
            }
        }
        let mut looked = Looked::NotYet;
        for lane in lanes {
            let Some(told) = lane.polled().await? else {
                lane.ask_to_begin().await?;
                continue;
            };
            let tally = if self.mirror.source.lacks(&branches, &lane.branch.id).await {
                lane.poll_in_vain(told).await?
            } else {
                match lane.poll(told, branches.find(&lane.branch.id), unversioned).await {
                    // It went away since it was listed.
                    Err(error) if is_gone(&error) => continue,
                    tally => tally?,
                }
            };
            looked = Looked::Well;
            self.count(&lane, &tally);
        }
        Ok(looked)
    }

    /// Tells of a branch that has no lane yet; whoever follows the mirror opens one.
    async fn tell_of_branch(&self, branch: &DevBranch) -> Result<(), LogError> {
        let at = (self.system.now)();
        let topic = Topic {
            stack: self.mirror.spec.stack.clone(),
            project: self.mirror.spec.project.clone(),
            branch: branch.id.clone(),
        };
        let body = Body::BranchChanged(BranchChanged {
            digest: "listed".into(),
            deleted: false,
        });
        let envelope = Envelope::internal(topic, body, at);
        let appended = self.system.log.append(vec![NewEvent { envelope, at }]).await?;
        if appended.iter().any(|appended| !appended.duplicate) {
            tracing::info!(mirror = %self.mirror.spec.id, branch_id = %branch.id, "a new branch was found");
        }
        Ok(())
    }

    fn count(&mut self, lane: &Lane, tally: &Tally) {
        let metrics = &self.system.metrics;
        for (counts, result) in [(&tally.new, "accepted"), (&tally.repeated, "duplicate")] {
            for (kind, count) in counts {
                for _ in 0..*count {
                    metrics.event(EventKind::as_str(*kind), result);
                }
            }
        }
        let new: u64 = tally.new.values().sum();
        self.status.events += new;
        if new > 0 {
            tracing::info!(lane = %lane.id, events = new, "the poller found changes");
        }
    }

    async fn ended(&mut self, outcome: Result<Looked, AttemptError>, unversioned: bool, pace: &mut Pace) {
        let now = (self.system.now)();
        let error = match outcome {
            Ok(Looked::NotYet) => return pace.not_yet(now),
            Ok(Looked::Well) => {
                pace.looked(unversioned, now, jitter());
                self.count_look("ok");
                self.status.last_look = Some(now);
                if self.status.problem.take().is_some() {
                    self.report(Report::Opened).await;
                }
                return;
            }
            Err(error) => error,
        };
        self.count_look("failed");
        let disposition = error.disposition();
        let (after, patience) = match disposition {
            Disposition::Temporary { after } => (after, Duration::ZERO),
            Disposition::RefMoved => (None, Duration::ZERO),
            Disposition::NeedsCustomer | Disposition::Permanent => (None, RETRY_EVERY),
        };
        let again = pace.failed(after, patience, now, jitter());
        let reason = match self.runner.lanes_of(&self.mirror.spec.id).await.first() {
            Some(lane) => lane.reason_of(&error).await,
            None => crate::app::chain(&error),
        };
        tracing::warn!(mirror = %self.mirror.spec.id, error = reason, %again, "the source cannot be polled");
        let failure = Failure {
            disposition,
            cause: error.cause(),
            reason: reason.clone(),
        };
        self.status.problem = Some(reason);
        self.report(Report::Unopened { failure }).await;
    }

    fn count_look(&self, outcome: &'static str) {
        self.system
            .metrics
            .polls
            .get_or_create(&Attempted { outcome })
            .inc();
    }

    /// Asks the Storage events whether something has happened since they were asked the last time.
    async fn hint(&mut self) -> Result<Hint, AttemptError> {
        let client = self.mirror.source.client();
        let is_master = match self.is_master {
            Some(is_master) => is_master,
            None => client.verify_token().await.map_err(FetchError::from)?.is_master,
        };
        self.is_master = Some(is_master);
        self.status.hints = Some(is_master);
        if !is_master {
            return Ok(Hint::Useless);
        }
        let mut hint = Hint::None;
        for lane in self.runner.lanes_of(&self.mirror.spec.id).await {
            let events = match client.events(&lane.branch.id, EVENTS_MAX).await {
                Ok(events) => events,
                // The branch is no more.
                Err(error) if error.disposition() == mirror_keboola::Disposition::Gone => {
                    hint = hint.max(Hint::Versions);
                    continue;
                }
                Err(error) => return Err(FetchError::from(error).into()),
            };
            // Without any, whatever comes is news.
            let newest = events
                .iter()
                .map(|event| event.uuid.clone())
                .max()
                .unwrap_or_default();
            let before = self.newest.insert(lane.branch.id.clone(), newest);
            let Some(before) = before else { continue };
            let news = events.iter().filter(|event| event.uuid > before);
            hint = hint.max(
                news.map(|event| Hint::of(&event.name))
                    .max()
                    .unwrap_or(Hint::None),
            );
        }
        Ok(hint)
    }

    async fn report(&self, report: Report) {
        if let Err(error) = self
            .mirror
            .notices
            .report(vec![report], (self.system.now)())
            .await
        {
            tracing::error!(mirror = %self.mirror.spec.id, error = crate::app::chain(&error), "what admins are told cannot be stored");
        }
    }

    fn show(&self) {
        self.system
            .status
            .set_poll(&self.mirror.spec.id, Some(self.status.clone()));
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.system.status.set_poll(&self.mirror.spec.id, None);
    }
}

fn is_gone(error: &AttemptError) -> bool {
    match error {
        AttemptError::Fetch(FetchError::Keboola(error)) => {
            error.disposition() == mirror_keboola::Disposition::Gone
        }
        _ => false,
    }
}

fn until(now: Timestamp, due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default()
}
