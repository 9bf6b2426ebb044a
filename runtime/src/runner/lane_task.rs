//! One lane's task: it does what the lane's state machine asks for, and tells it how that went.

use super::{BACKLOG_EVERY, Runner, cadence::Cadence, jitter, record::record, sleep_until, until};
use crate::{
    config::{WindowConfig, WindowMode as ConfiguredMode},
    metrics::{Attempted, QUEUE_NAME, Reason, Region, Retried, retry_count},
    pipeline::{
        attempt::{Done, Due, Landed, Lane},
        error::AttemptError,
        fetch::FetchError,
    },
    queue::{DeadLetterId, LogError, News},
    status::{JobsStatus, Status},
    system::Mirror,
    visibility::{Exports, Visibility},
};
use jiff::Timestamp;
use mirror_core::{
    batch::Subject,
    cut::{LaneCursor, Position, Stream},
    finding::WithholdReason,
    ids::LaneId,
    incident::Report,
    jobs::{
        budget::{Pace, Spent},
        standing::RunEnd,
    },
    key::EventKey,
    lane::{Action, AttemptEnd, Lane as Machine, LaneStart, Wake},
    retry::{Failure, Notice, Outage},
    window::{WindowMode, later},
};
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
/// So many runs are looked at where hints of them were missed.
const MISSED_MAX: usize = 10_000;

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
}

/// What wakes the loop of a lane.
enum Wakened {
    Stop,
    Time,
    Hurry,
    Paused,
    News(Result<News, broadcast::error::RecvError>),
    Done(Box<Result<Done, AttemptError>>),
}

impl LaneTask {
    pub(super) async fn run(mut self) {
        let mut news = self.lane.log.tail();
        let mut hurry = self.runner.hurry.subscribe();
        let mut paused = self.runner.paused.subscribe();
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.default_mirrored() => {}
        }
        let mut machine = loop {
            match self.machine().await {
                Ok(machine) => break machine,
                Err(error) => {
                    tracing::error!(lane = %self.lane.id, error, "the lane cannot be read from the log; it is tried again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(BACKLOG_EVERY) => {}
                    }
                }
            }
        };
        let mut wakes = vec![Wake::Tick];
        let mut running: Option<tokio::task::JoinHandle<Result<Done, AttemptError>>> = None;
        let mut rest_at: Option<Timestamp> = None;
        loop {
            let now = (self.lane.now)();
            let actions: Vec<Action> = wakes
                .drain(..)
                .flat_map(|wake| machine.step(wake, now, jitter()))
                .collect();
            for action in actions {
                match action {
                    Action::Start { streams } => {
                        self.refresh().await;
                        running = Some(self.start(&streams, now));
                    }
                    Action::Remember(outage) => self.remember(outage).await,
                    Action::Notify { notice, outage } => self.notice(notice, outage).await,
                }
            }
            self.tell_untold().await;
            let due = machine.next_due();
            let again = self.look_again.front().map(|(due, _)| *due);
            self.status(|status| status.next_due = due);
            let stopped = stop.is_cancelled();
            if stopped && running.is_none() {
                return;
            }
            let wakened = tokio::select! {
                () = stop.cancelled(), if !stopped => Wakened::Stop,
                () = sleep_until(due.into_iter().chain(again).chain(rest_at).min().map(|due| until(now, due))) => Wakened::Time,
                changed = hurry.changed() => if changed.is_ok() { Wakened::Hurry } else { Wakened::Stop },
                changed = paused.changed() => if changed.is_ok() { Wakened::Paused } else { Wakened::Stop },
                heard = news.recv() => Wakened::News(heard),
                done = ended(&mut running) => Wakened::Done(Box::new(done)),
            };
            wakes = match wakened {
                Wakened::Stop => vec![Wake::Stop],
                Wakened::Hurry => vec![Wake::Hasten],
                Wakened::Paused => match self.is_paused() {
                    true => vec![Wake::Pause],
                    false => vec![Wake::Resume],
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
                    vec![Wake::Tick]
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
                    let ended = self.ended(*outcome, machine.retries());
                    self.count_backlog().await;
                    // First the pace: what waits may start with the end of the attempt.
                    self.pace()
                        .into_iter()
                        .chain([Wake::AttemptDone(ended)])
                        .collect()
                }
            };
        }
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

    /// Builds the lane's state machine from what log and state know.
    async fn machine(&self) -> Result<Machine, String> {
        let lane = &self.lane;
        let said = |error: &dyn std::error::Error| crate::app::chain(error);
        let log_id = lane.log.log_id();
        let stored = lane.log.cursor(&lane.id).await.map_err(|error| said(&error))?;
        let stored = stored.filter(|cursor| cursor.log == *log_id);
        let cursor = stored.unwrap_or_else(|| LaneCursor::start(log_id.clone()));
        let waiting = self.waiting(&cursor).await?;
        let config = &self.runner.system.config;
        let change_mode = window_mode(config.window);
        let start = LaneStart {
            cursor,
            change_mode,
            jobs_mode: self.cadence.mode(),
            change_waiting: waiting[0],
            jobs_waiting: waiting[1],
            has_cut: lane
                .log
                .cut(&lane.id)
                .await
                .map_err(|error| said(&error))?
                .is_some(),
            // The first attempt of a process looks at the remote, whatever waits.
            is_new: true,
            outage: lane.state.outage(&lane.id).await.map_err(|error| said(&error))?,
            paused: self.is_paused(),
        };
        self.status(|status| status.outage.clone_from(&start.outage));
        Ok(Machine::new(start, (lane.now)()))
    }

    /// Returns, of each stream's events after the cursor, the newest one's position and when the first was published.
    async fn waiting(&self, cursor: &LaneCursor) -> Result<[Option<(Position, Timestamp)>; 2], String> {
        let said = |error: &dyn std::error::Error| crate::app::chain(error);
        let Lane { log, topic, .. } = &self.lane;
        let mut waiting = [None; 2];
        for (waiting, stream) in waiting.iter_mut().zip(Stream::ALL) {
            let first = log
                .read(topic, cursor.of(stream), Some(stream), 1)
                .await
                .map_err(|error| said(&error))?;
            let newest = log.newest(topic, stream).await.map_err(|error| said(&error))?;
            *waiting = first
                .first()
                .map(|logged| (newest.max(logged.position), logged.envelope.published_at));
        }
        Ok(waiting)
    }

    /// Looks up what hints would have told; the log is asked until it answers or the process stops.
    async fn missed(&mut self, cursor: &LaneCursor) -> Vec<Wake> {
        loop {
            match self.waiting(cursor).await {
                Ok(waiting) => {
                    let has_news = self.has_news(cursor).await;
                    let waiting = Stream::ALL.into_iter().zip(waiting);
                    return waiting
                        .filter_map(|(stream, waiting)| {
                            let (position, published_at) = waiting?;
                            Some(Wake::Arrived {
                                stream,
                                position,
                                published_at,
                                urgent: stream == Stream::Jobs && has_news,
                            })
                        })
                        .collect();
                }
                Err(error) => {
                    tracing::error!(lane = %self.lane.id, error, "the log cannot be read; it is tried again");
                    tokio::select! {
                        () = self.stop.cancelled() => return Vec::new(),
                        () = tokio::time::sleep(BACKLOG_EVERY) => {}
                    }
                }
            }
        }
    }

    /// Looks for news among the runs that wait. What cannot be read is found by the attempt.
    async fn has_news(&mut self, cursor: &LaneCursor) -> bool {
        let Lane { log, topic, .. } = &self.lane;
        let waiting = log.read(topic, cursor.jobs, Some(Stream::Jobs), MISSED_MAX).await;
        let runs = waiting.unwrap_or_default().into_iter();
        let runs: Vec<RunEnd> = runs.filter_map(|logged| RunEnd::of(&logged.envelope)).collect();
        let news = runs.iter().filter(|run| self.cadence.is_news(run));
        news.count() > 0
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

    fn start(
        &mut self,
        streams: &[Stream],
        now: Timestamp,
    ) -> tokio::task::JoinHandle<Result<Done, AttemptError>> {
        self.status(|status| status.attempt_since = Some(now));
        let due = Due {
            change: streams.contains(&Stream::Change),
            jobs: streams.contains(&Stream::Jobs),
        };
        let lane = self.lane.clone();
        tokio::spawn(async move { lane.attempt(None, due).await })
    }

    fn ended(&mut self, outcome: Result<Done, AttemptError>, retries: u32) -> AttemptEnd {
        self.status(|status| status.attempt_since = None);
        match outcome {
            Ok(done) => {
                self.count_retry(retries, "success");
                self.succeeded(done)
            }
            Err(error) => {
                self.count_retry(retries, "failure");
                self.failed(&error, retries + 1)
            }
        }
    }

    fn succeeded(&mut self, done: Done) -> AttemptEnd {
        let Done {
            tip,
            base,
            memory,
            landed,
            caught_up,
            took,
            cursor,
            put_aside,
            may_return,
            withheld_files,
            fetching: _,
            work: _,
            samples,
            kept_back,
            refusals,
        } = done;
        self.tell_kept_back(&kept_back);
        refusals.into_iter().for_each(|reason| self.count_refusal(reason));
        let withheld = memory
            .withheld()
            .map(|(key, reason)| (key.clone(), reason.to_string()))
            .collect();
        let pushed = landed.is_some().then(|| (self.lane.now)());
        self.status(|status| {
            status.tip = tip;
            status.withheld = withheld;
            status.withheld_files = withheld_files;
            status.held = None;
            if samples.whole {
                status.no_sample.clear();
            }
            for table in &samples.taken {
                status.no_sample.remove(table);
            }
            status.no_sample.extend(samples.missing);
            if let Some(landed) = landed.as_ref().filter(|landed| !landed.inventory.is_empty()) {
                status.inventory = landed.inventory.clone();
            }
            status.last_push = pushed.or(status.last_push);
        });
        self.count_held();
        // How long a backlog took says nothing of the next window.
        let took = (landed.is_some() && caught_up.is_empty()).then_some(took);
        for landed in caught_up.into_iter().chain(landed) {
            self.tell(landed);
        }
        self.cadence.learn(&memory, cursor.jobs);
        self.spent = Some(memory.spent().clone());
        if let Some(base) = base {
            self.lane.memories.put(&self.lane.id, base, memory);
        }
        self.put_aside(put_aside, may_return);
        AttemptEnd::Mirrored { cursor, took }
    }

    /// Logs what the remote objected to; admins are told of all that is withheld.
    fn tell_kept_back(&self, kept_back: &BTreeMap<Subject, WithholdReason>) {
        let LaneId { mirror, branch } = &self.lane.id;
        let project_id = &self.lane.spec.project;
        for (subject, reason) in kept_back {
            tracing::warn!(%mirror, %project_id, branch_id = %branch, notice = "KeptBack", %subject, %reason, "notice");
        }
    }

    fn count_refusal(&self, reason: &'static str) {
        let metrics = &self.runner.system.metrics;
        metrics.pushes_refused.get_or_create(&Reason { reason }).inc();
    }

    /// Counts what is held and withheld now, over all lanes.
    fn count_held(&self) {
        let system = &self.runner.system;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        system.metrics.lanes_held.set(count(system.status.held()));
        let withheld = count(system.status.withheld());
        system.metrics.objects_withheld_now.set(withheld);
    }

    fn tell(&self, landed: Landed) {
        record(&self.runner.system.metrics, &self.lane, &landed);
        let known = self.mirror.visibility.last();
        if self.lane.exports.samples && known.is_none_or(|found| found.visibility != Visibility::Private) {
            // It cannot be: the push asks first.
            self.runner.system.metrics.sample_request(false);
        }
        let latency_ms = landed
            .change_latency
            .or(landed.jobs_latency)
            .map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        tracing::info!(
            mirror = %landed.lane.mirror,
            project_id = %self.lane.spec.project,
            branch_id = %landed.lane.branch,
            queue_name = QUEUE_NAME,
            commit_sha = %landed.commit,
            event_id = landed.event_id,
            events = landed.events,
            files_added = landed.added,
            files_modified = landed.modified,
            files_deleted = landed.deleted,
            latency_ms,
            "mirrored"
        );
        for (object, reason) in &landed.withheld {
            tracing::warn!(mirror = %landed.lane.mirror, branch_id = %landed.lane.branch, %object, %reason, "withheld");
        }
        // Nobody may be listening.
        let _ = self.runner.landed.send(landed);
    }

    fn failed(&mut self, error: &AttemptError, retry_count: u32) -> AttemptEnd {
        let disposition = error.disposition();
        let reason = crate::app::chain(error);
        self.status(|status| status.held = error.held().cloned());
        if let AttemptError::Exposed { .. } = error {
            self.runner.system.metrics.sample_request(true);
        }
        self.count_held();
        if let Some(reason) = error.refusal() {
            self.count_refusal(reason);
        }
        if !error.is_waiting() {
            let exports = &self.runner.system.metrics.exports;
            exports.get_or_create(&Attempted { outcome: "failed" }).inc();
        }
        let LaneId { mirror, branch } = &self.lane.id;
        let project_id = &self.lane.spec.project;
        if let AttemptError::Push(_) | AttemptError::Unnamed { .. } = error {
            tracing::error!(%mirror, %project_id, branch_id = %branch, queue_name = QUEUE_NAME, retry_count,
                class = ?disposition, reason, "push failed; it is repeated");
        } else {
            tracing::warn!(%mirror, %project_id, branch_id = %branch, queue_name = QUEUE_NAME, retry_count,
                exception_id = error.exception_id(), class = ?disposition, reason, "attempt failed; it is repeated");
        }
        AttemptEnd::Failed(Failure {
            disposition,
            cause: error.cause(),
            reason,
        })
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

    async fn remember(&self, outage: Option<Outage>) {
        // What is told of it is stored by now, and known again if it is told once more.
        if let Err(error) = self.lane.state.put_outage(&self.lane.id, outage.as_ref()).await {
            tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "the outage cannot be stored");
        }
        if outage.is_none() {
            let before = self
                .runner
                .system
                .status
                .lane(&self.lane.id)
                .and_then(|status| status.outage);
            // An overdue episode was counted when it became that.
            if before.is_some_and(|before| before.notified_at.is_none()) {
                self.runner.system.metrics.episode(true);
            }
            tracing::info!(mirror = %self.lane.id.mirror, branch_id = %self.lane.id.branch, "recovered");
        }
        self.status(|status| status.outage = outage);
    }

    /// Has people told of an outage, or its end.
    async fn notice(&mut self, notice: Notice, outage: Outage) {
        if notice == Notice::Failing {
            self.runner.system.metrics.episode(false);
        }
        tracing::warn!(
            mirror = %self.lane.id.mirror,
            project_id = %self.lane.spec.project,
            branch_id = %self.lane.id.branch,
            ?notice,
            since = %outage.since,
            attempts = outage.attempts,
            cause = outage.cause.code(),
            reason = outage.reason,
            "notice"
        );
        self.untold.push(Report::Outage {
            from: Some(self.lane.id.branch.clone()),
            notice,
            outage,
        });
        self.tell_untold().await;
    }

    /// Reports what could not be reported before.
    async fn tell_untold(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        match self
            .lane
            .notices
            .report(self.untold.clone(), (self.lane.now)())
            .await
        {
            Ok(()) => self.untold.clear(),
            Err(error) => {
                tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "what admins are told cannot be stored; it is tried again");
            }
        }
    }

    fn count_retry(&self, attempts: u32, outcome: &'static str) {
        if attempts > 0 {
            let label = Retried {
                queue_name: QUEUE_NAME,
                retry_count: retry_count(attempts),
                outcome,
            };
            self.runner
                .system
                .metrics
                .retry_attempts
                .get_or_create(&label)
                .inc();
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
