//! One lane's task: it does what the lane's state machine asks for, and tells it how that went.

mod telling;
mod waiting;

use super::{BACKLOG_EVERY, Runner, cadence::Cadence, jitter, sleep_until, until};
use crate::{
    config::{WindowConfig, WindowMode as ConfiguredMode},
    metrics::{Reason, Region},
    pipeline::{
        attempt::{Done, Due, Lane},
        error::AttemptError,
        fetch::FetchError,
    },
    queue::{DeadLetterId, LogError, News},
    status::{JobsStatus, Status},
    system::Mirror,
    visibility::Exports,
};
use jiff::Timestamp;
use mirror_core::{
    cut::{LaneCursor, Stream},
    ids::LaneId,
    incident::Report,
    jobs::budget::{Pace, Spent},
    key::EventKey,
    lane::{Action, Wake},
    retry::{Disposition, RETRY_WAIT_MAX},
    window::{WindowMode, later, within},
};
use mirror_git::RefName;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// A dev branch looks so often whether the default one is there.
const DEFAULT_EVERY: Duration = Duration::from_millis(250);
/// So long after an event was put aside, because the source did not show what it told of, it is tried again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);
const LOOK_AGAIN_MAX: usize = 10_000;
/// A lane that has had nothing to do for so long lets go of open files and tables.
const REST_AFTER: Duration = Duration::from_secs(60);

/// One lane's task: it does what the lane's state machine asks for, and tells it how that went.
pub(super) struct LaneTask {
    pub(super) runner: Arc<Runner>,
    pub(super) mirror: Arc<Mirror>,
    /// Ends the lane in this process: it stops, or another worker takes over.
    pub(super) stop: CancellationToken,
    pub(super) lane: Lane,
    /// What the history of runs has cost, as the last attempt knew it.
    pub(super) spent: Option<Spent>,
    /// Events put aside that get a second chance, and when.
    pub(super) look_again: VecDeque<(Timestamp, DeadLetterId)>,
    /// Those that had it.
    pub(super) looked_again: BTreeSet<EventKey>,
    pub(super) cadence: Cadence,
    /// What the admins are to be told and could not be stored yet.
    pub(super) untold: Vec<Report>,
    /// Months that take no pushes, as they were reported last; none before the first report of this process.
    pub(super) told_months: Option<BTreeMap<String, String>>,
}

/// What wakes the loop of a lane.
enum Wakened {
    Stop,
    Time,
    Hurry,
    Paused,
    Renewed,
    News(Result<News, broadcast::error::RecvError>),
    Done(Box<Result<Done, AttemptError>>),
}

impl LaneTask {
    pub(super) async fn run(mut self) {
        let mut news = self.lane.log.tail();
        let mut hurry = self.runner.hurry.subscribe();
        let mut paused = self.runner.paused.subscribe();
        let mut renewed = self.mirror.rotation.renewed();
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.default_mirrored() => {}
        }
        let Some(mut machine) = self.begin().await else {
            return;
        };
        let mut wakes = vec![Wake::Tick];
        let mut running: Option<tokio::task::JoinHandle<Result<Done, AttemptError>>> = None;
        // What the running attempt was started for, and how many credentials had been renewed by then.
        let mut started: (Vec<Stream>, u64) = Default::default();
        let mut rest_at: Option<Timestamp> = None;
        let mut months_at: Option<Timestamp> = None;
        loop {
            let now = (self.lane.now)();
            self.clamp(now);
            rest_at = rest_at.map(|rest_at| within(rest_at, REST_AFTER, now));
            months_at = months_at.map(|months_at| within(months_at, RETRY_WAIT_MAX, now));
            let actions: Vec<Action> = wakes
                .drain(..)
                .flat_map(|wake| machine.step(wake, now, jitter()))
                .collect();
            for action in actions {
                match action {
                    Action::Start { streams } => {
                        self.mirror.rotation.look().await;
                        self.refresh().await;
                        running = Some(self.start(&streams, now));
                        started = (streams, self.mirror.rotation.taken());
                    }
                    Action::Remember(outage) => self.remember(outage).await,
                    Action::Notify { notice, outage } => self.notice(notice, outage).await,
                }
            }
            self.tell_untold().await;
            let due = machine.next_due();
            let again = self.look_again.front().map(|(due, _)| *due);
            self.status(|status| status.next_due = machine.next_attempt());
            let stopped = stop.is_cancelled();
            if stopped && running.is_none() {
                return;
            }
            let wakened = tokio::select! {
                () = stop.cancelled(), if !stopped => Wakened::Stop,
                () = sleep_until(due.into_iter().chain(again).chain(rest_at).chain(months_at).min().map(|due| until(now, due))) => Wakened::Time,
                changed = hurry.changed() => if changed.is_ok() { Wakened::Hurry } else { Wakened::Stop },
                changed = renewed.changed() => if changed.is_ok() { Wakened::Renewed } else { Wakened::Stop },
                changed = paused.changed() => if changed.is_ok() { Wakened::Paused } else { Wakened::Stop },
                heard = news.recv() => Wakened::News(heard),
                done = ended(&mut running) => Wakened::Done(Box::new(done)),
            };
            wakes = match wakened {
                Wakened::Stop => vec![Wake::Stop],
                Wakened::Hurry => vec![Wake::Hasten],
                Wakened::Renewed => vec![Wake::Renewed],
                Wakened::Paused => match self.is_paused() {
                    true => vec![Wake::Pause],
                    false => {
                        self.lane.hasten_months();
                        months_at = self.months_due();
                        vec![Wake::Resume]
                    }
                },
                Wakened::News(Ok(News {
                    topic,
                    stream,
                    position,
                    published_at,
                    run,
                })) if topic == self.lane.topic => vec![Wake::Arrived {
                    stream,
                    position,
                    published_at,
                    urgent: run.is_some_and(|run| self.cadence.is_news(&run)),
                }],
                // Hints were missed, so it looks for itself.
                Wakened::News(Err(broadcast::error::RecvError::Lagged(_))) => {
                    self.missed(machine.cursor()).await
                }
                Wakened::Time => {
                    if rest_at.is_some_and(|rest_at| rest_at <= (self.lane.now)()) {
                        rest_at = None;
                        if running.is_none() {
                            self.lane.rest();
                        }
                    }
                    self.replay().await;
                    match months_at.take_if(|months_at| *months_at <= (self.lane.now)()) {
                        Some(_) => vec![Wake::Again],
                        None => vec![Wake::Tick],
                    }
                }
                Wakened::News(_) => vec![Wake::Tick],
                Wakened::Done(outcome) => {
                    running = None;
                    rest_at = Some(later((self.lane.now)(), REST_AFTER));
                    if let Err(AttemptError::Stopped(_)) = &*outcome {
                        return;
                    }
                    if let Err(AttemptError::Fetch(FetchError::NoBranch { .. })) = &*outcome
                        && !self.lane.branch.is_default
                    {
                        return self.retire().await;
                    }
                    if let Err(AttemptError::Renamed { refname }) = &*outcome
                        && !stop.is_cancelled()
                    {
                        self.rename(refname.clone()).await;
                        running = Some(self.start(&started.0, (self.lane.now)()));
                        continue;
                    }
                    if self.was_renewed_since(started.1, &outcome).await && !stop.is_cancelled() {
                        let now = (self.lane.now)();
                        started.1 = self.mirror.rotation.taken();
                        running = Some(self.start(&started.0, now));
                        continue;
                    }
                    let ended = self.ended(*outcome, machine.retries()).await;
                    self.count_backlog().await;
                    months_at = self.months_due();
                    // First the pace: what waits may start with the end of the attempt.
                    self.pace()
                        .into_iter()
                        .chain([Wake::AttemptDone(ended)])
                        .collect()
                }
            };
        }
    }

    /// Second chances wait no longer than they were to, also where the clock was put back since.
    fn clamp(&mut self, now: Timestamp) {
        for (due, _) in &mut self.look_again {
            *due = within(*due, LOOK_AGAIN_AFTER, now);
        }
    }

    /// Returns when months that take no pushes are to be tried again.
    fn months_due(&self) -> Option<Timestamp> {
        let months = self.lane.refused_months().into_iter();
        months.map(|month| month.until).min()
    }

    fn is_paused(&self) -> bool {
        let paused = self.runner.paused.borrow().contains(&self.lane.id.mirror);
        self.status(|status| status.paused = paused);
        paused
    }

    /// Waits until the default branch is mirrored: a dev branch starts at its commit.
    async fn default_mirrored(&self) {
        let Some(base) = self.lane.base.clone() else {
            return;
        };
        let default = LaneId {
            mirror: self.lane.id.mirror.clone(),
            branch: base.transformer.context.branch.clone(),
        };
        loop {
            let lane = self.lane.clone();
            let own = tokio::task::spawn_blocking(move || lane.remote.tip(&lane.refname)).await;
            if matches!(own, Ok(Ok(Some(_)))) {
                return;
            }
            if let Ok(Some(LaneCursor { tip: Some(_), .. })) = self.lane.log.cursor(&default).await {
                return;
            }
            tokio::time::sleep(DEFAULT_EVERY).await;
        }
    }

    /// Returns how often runs are to be committed from now on, where that changes.
    fn pace(&mut self) -> Option<Wake> {
        let jobs = self.lane.spec.jobs?;
        let spent = self.spent.as_ref()?;
        let now = (self.lane.now)();
        let (before, pace) = self.cadence.follow(spent, now);
        let status = JobsStatus {
            spent: spent.clone(),
            budget_bytes_month: jobs.budget_bytes_month,
            pace,
        };
        if mem::discriminant(&before) != mem::discriminant(&pace) {
            let lane = &self.lane.id;
            let JobsStatus { spent, .. } = &status;
            match pace {
                Pace::Configured => tracing::info!(%lane, "job runs are committed as configured again"),
                Pace::Slowed { between, .. } | Pace::Spent { between, .. } => {
                    tracing::warn!(%lane, month = spent.month, bytes = spent.bytes, budget = jobs.budget_bytes_month, ?between,
                        "job history grows faster than `jobs.budget_bytes_month` allows, so runs are committed less often; none is left out");
                }
            }
        }
        self.status(|lane| lane.jobs = Some(status));
        (before != pace).then(|| self.cadence.wake())
    }

    /// Makes the lane anew where the visibility of its repository allows something else by now.
    async fn refresh(&mut self) {
        let Runner { system, lanes, .. } = &*self.runner;
        let visibility = self.mirror.visibility.current().await;
        if Exports::of(&self.lane.spec, visibility) != self.lane.exports {
            self.runner.tell_visibility(&self.mirror).await;
            let (branch, default) = (self.lane.branch.clone(), self.lane.default_branch.clone());
            match system.lane(&self.mirror, branch, &default).await {
                Ok(lane) => {
                    let unusable_runs = Arc::clone(&self.lane.unusable_runs);
                    let lane = Lane {
                        unusable_runs,
                        ..lane
                    };
                    lanes.lock().await.insert(lane.id.clone(), lane.clone());
                    self.lane = lane;
                }
                // The one there is pushes no samples without asking.
                Err(error) => {
                    tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "the lane cannot be made anew");
                }
            }
        }
        if self.lane.exports.samples_blocked {
            system.metrics.sample_request(true);
        }
    }

    /// Takes another Git branch for the lane, which has none yet.
    async fn rename(&mut self, refname: RefName) {
        let lane = self.lane.renamed(refname);
        self.runner
            .lanes
            .lock()
            .await
            .insert(lane.id.clone(), lane.clone());
        self.status(|status| status.refname = lane.refname.to_string());
        self.lane = lane;
    }

    /// Says whether an attempt failed with credentials that are replaced by now: then it is made again, and was no failure.
    /// Who was refused looks first whether they are.
    async fn was_renewed_since(&self, taken: u64, outcome: &Result<Done, AttemptError>) -> bool {
        let Err(error) = outcome else { return false };
        if error.disposition() != Disposition::NeedsCustomer {
            return false;
        }
        self.mirror.rotation.look().await;
        self.mirror.rotation.taken() != taken
    }

    fn start(
        &mut self,
        streams: &[Stream],
        now: Timestamp,
    ) -> tokio::task::JoinHandle<Result<Done, AttemptError>> {
        let progress = Arc::clone(&self.lane.progress);
        self.status(|status| {
            status.attempt_since = Some(now);
            status.progress = Some(progress);
        });
        let due = Due {
            change: streams.contains(&Stream::Change),
            jobs: streams.contains(&Stream::Jobs),
        };
        let lane = self.lane.clone();
        tokio::spawn(async move { lane.attempt(None, due).await })
    }

    /// Counts events that were put aside. What the source may yet come to show is looked for once more.
    fn put_aside(&mut self, count: usize, may_return: Vec<(EventKey, DeadLetterId)>) {
        let metrics = &self.runner.system.metrics;
        let label = Reason { reason: "put_aside" };
        metrics
            .dead_letters
            .get_or_create(&label)
            .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        self.status(|status| status.put_aside += count);
        let due = later((self.lane.now)(), LOOK_AGAIN_AFTER);
        for (key, letter) in may_return {
            // Once for an event; the list is bounded whatever is posted.
            if self.looked_again.len() < LOOK_AGAIN_MAX && self.looked_again.insert(key) {
                self.look_again.push_back((due, letter));
            }
        }
    }

    /// Appends events anew whose second chance has come.
    async fn replay(&mut self) {
        let now = (self.lane.now)();
        while let Some((due, letter)) = self.look_again.front().copied()
            && due <= now
        {
            self.look_again.pop_front();
            let Err(error) = self.lane.log.replay(letter, now).await else {
                continue;
            };
            tracing::warn!(lane = %self.lane.id, error = crate::app::chain(&error), "an event that was put aside cannot be replayed");
            // A log in trouble is asked again; a letter that it does not have, or cannot replay, is not.
            if !matches!(
                error,
                LogError::NoSuchLetter { .. } | LogError::NotReplayable { .. }
            ) {
                self.look_again.push_front((later(now, BACKLOG_EVERY), letter));
            }
        }
    }

    /// Ends the lane of a dev branch that was deleted; its Git branch stays.
    async fn retire(&self) {
        let Runner { system, lanes, .. } = &*self.runner;
        tracing::info!(mirror = %self.lane.id.mirror, branch_id = %self.lane.id.branch, refname = %self.lane.refname,
            "the branch was deleted in Keboola; its mirror ends and the Git branch stays");
        let ended = Report::Ended {
            branch: self.lane.id.branch.clone(),
        };
        if let Err(error) = self.lane.notices.report(vec![ended], (self.lane.now)()).await {
            tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "what admins are told cannot be stored");
        }
        if let Err(error) = self.lane.state.put_outage(&self.lane.id, None).await {
            tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "the outage cannot be stored");
        }
        lanes.lock().await.remove(&self.lane.id);
        system.status.remove(&self.lane.id);
        self.count_held();
        system
            .metrics
            .linked_dev_branches
            .get_or_create(&Region::of(&self.lane.spec))
            .dec();
    }

    /// Tells how much waits now.
    async fn count_backlog(&self) {
        let Lane { id, topic, log, .. } = &self.lane;
        if let Ok(backlog) = log.backlog(&[(id.clone(), topic.clone())]).await {
            self.status(|status| status.backlog = backlog.depth);
        }
    }

    fn status(&self, change: impl FnOnce(&mut crate::status::LaneStatus)) {
        let status: &Status = &self.runner.system.status;
        status.update(&self.lane.id, change);
    }
}

async fn ended(
    running: &mut Option<tokio::task::JoinHandle<Result<Done, AttemptError>>>,
) -> Result<Done, AttemptError> {
    match running {
        Some(task) => match task.await {
            Ok(outcome) => outcome,
            Err(error) => Err(error.into()),
        },
        None => std::future::pending().await,
    }
}

pub(super) fn window_mode(config: WindowConfig) -> WindowMode {
    let span = Duration::from_millis(config.span_ms);
    match config.mode {
        ConfiguredMode::Early => WindowMode::Early { span },
        ConfiguredMode::Fixed => WindowMode::Fixed { span },
        ConfiguredMode::Eager => WindowMode::Eager {
            gather: Duration::from_secs(2).min(span),
            cool_down: span,
        },
    }
}
