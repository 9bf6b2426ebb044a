//! The runner: every lane has a task of its own, and time.
//!
//! A lane sleeps until something is due, runs one attempt, and goes on; lanes run beside each
//! other, one attempt a lane. When something is due is decided by [`mirror_core::lane`]; here is only the waiting.

use crate::{
    config::{JobsCadence, MirrorSpec, WindowConfig, WindowMode as ConfiguredMode},
    metrics::{
        Attempted, Enabled, EventType, Exported, Metrics, QUEUE_NAME, Queue, Reason, Redacted, Region,
        Retried, Synced, retry_count,
    },
    pipeline::{
        attempt::{Done, Due, Landed, Lane},
        error::AttemptError,
        fetch::FetchError,
        memory::Memory,
    },
    queue::{DeadLetterId, News},
    status::Status,
    system::{Mirror, StartError, System},
};
use jiff::Timestamp;
use mirror_core::{
    cut::{LaneCursor, Position, Stream},
    finding::WithholdReason,
    ids::{BranchId, LaneId, ObjectKey, Oid},
    key::EventKey,
    lane::{Action, AttemptEnd, Lane as Machine, LaneStart, Wake},
    retry::{Disposition, Jitter, Notice, Outage},
    window::{WindowMode, later},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, broadcast, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Landed commits that a slow listener may fall behind.
const LANDED_KEPT: usize = 1024;
/// A branch list is asked for at most this often because of an unknown branch.
const BRANCHES_EVERY: Duration = Duration::from_secs(5);
/// A dev branch looks so often whether the default one is there.
const DEFAULT_EVERY: Duration = Duration::from_millis(250);
const BACKLOG_EVERY: Duration = Duration::from_secs(10);
/// So long after an event was put aside, because the source did not show what it told of, it is tried again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);
const LOOK_AGAIN_MAX: usize = 10_000;
/// A branch that events tell of and the listing does not show is looked for so long.
const BRANCH_VISIBLE_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Runs the lanes of all mirrors.
pub struct Runner {
    system: Arc<System>,
    stop: CancellationToken,
    tasks: TaskTracker,
    landed: broadcast::Sender<Landed>,
    /// Raised to make all lanes due at once.
    hurry: watch::Sender<u64>,
    lanes: Mutex<BTreeMap<LaneId, Lane>>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}

impl Runner {
    #[must_use]
    pub fn new(system: Arc<System>) -> Arc<Self> {
        Arc::new(Self {
            system,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            landed: broadcast::channel(LANDED_KEPT).0,
            hurry: watch::channel(0).0,
            lanes: Mutex::default(),
        })
    }

    /// Tells of commits as the remote confirms them.
    #[must_use]
    pub fn landed(&self) -> broadcast::Receiver<Landed> {
        self.landed.subscribe()
    }

    /// Makes everything that waits due now.
    pub fn hasten(&self) {
        self.hurry.send_modify(|count| *count += 1);
    }

    /// Starts the tasks of all configured mirrors.
    ///
    /// # Errors
    /// A mirror that cannot be opened. What only its remote or Keboola refuses is retried instead.
    pub async fn start(self: &Arc<Self>) -> Result<(), StartError> {
        let mut mirrors = Vec::new();
        for spec in &self.system.config.mirrors {
            mirrors.push(self.system.mirror(spec).await?);
        }
        for mirror in mirrors {
            let MirrorSpec {
                project, plan_tier, ..
            } = &*mirror.spec;
            let label = Enabled {
                project_id: project.to_string(),
                plan_tier: plan_tier.clone(),
            };
            self.system
                .metrics
                .git_sync_enabled_ratio
                .get_or_create(&label)
                .set(1.0);
            let runner = Arc::clone(self);
            self.tasks
                .spawn(async move { runner.follow(Arc::new(mirror)).await });
        }
        let runner = Arc::clone(self);
        self.tasks.spawn(async move { runner.watch_backlog().await });
        self.tasks.close();
        Ok(())
    }

    /// Stops: no new attempts, running ones may finish within the grace period.
    pub async fn shut_down(&self) {
        self.stop.cancel();
        let grace = Duration::from_millis(self.system.config.grace_ms);
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(?grace, "attempts cut short; the log replays their events");
        }
    }

    /// Follows one mirror: keeps a task for each of its branches.
    async fn follow(self: Arc<Self>, mirror: Arc<Mirror>) {
        let mut news = self.system.log.tail();
        let mut known: BTreeSet<BranchId> = BTreeSet::new();
        let mut retry = mirror_core::retry::Retry::default();
        // Branches that events tell of and the listing did not show, and until when they are looked for.
        let mut awaited: BTreeMap<BranchId, Timestamp> = BTreeMap::new();
        let between = BRANCHES_EVERY.min(Duration::from_millis(self.system.config.window.span_ms) / 4);
        loop {
            let now = (self.system.now)();
            let next = match self.open_lanes(&mirror, &mut known).await {
                Ok(()) => {
                    retry = mirror_core::retry::Retry::default();
                    self.system.status.set_problem(&mirror.spec.id, None);
                    awaited.retain(|branch, until| {
                        let gone = *until <= now;
                        if gone && !known.contains(branch) {
                            tracing::warn!(mirror = %mirror.spec.id, branch_id = %branch, "events tell of a branch that Keboola does not list; they stay in the log");
                        }
                        !gone && !known.contains(branch)
                    });
                    (!awaited.is_empty()).then_some(BRANCHES_EVERY)
                }
                Err(error) => {
                    let due = retry.failed(start_disposition(&error), now, jitter());
                    let problem = crate::app::chain(&error);
                    tracing::error!(mirror = %mirror.spec.id, error = problem, retry_count = retry.count, "the mirror's branches cannot be opened");
                    self.system.status.set_problem(&mirror.spec.id, Some(problem));
                    Some(until(now, due))
                }
            };
            let unknown_branch = async {
                loop {
                    match news.recv().await {
                        Ok(News { topic, .. }) if mirror.wants(&topic) && !known.contains(&topic.branch) => {
                            return Some(topic.branch);
                        }
                        // Who fell behind looks for itself.
                        Err(broadcast::error::RecvError::Lagged(_)) => return None,
                        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                        Ok(_) => {}
                    }
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep_until(next) => {}
                branch = unknown_branch => {
                    let until = later((self.system.now)(), BRANCH_VISIBLE_WITHIN);
                    if let Some(branch) = branch {
                        awaited.entry(branch).or_insert(until);
                    }
                }
            }
            // Events come in numbers; one listing is for all of them.
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(between) => {}
            }
        }
    }

    /// Opens a lane for each branch that has none yet.
    async fn open_lanes(
        self: &Arc<Self>,
        mirror: &Arc<Mirror>,
        known: &mut BTreeSet<BranchId>,
    ) -> Result<(), StartError> {
        if known.is_empty() {
            self.system.verify(mirror).await?;
        }
        for lane in lanes(&self.system, mirror).await? {
            if !known.insert(lane.branch.id.clone()) {
                continue;
            }
            self.system.status.update(&lane.id, |status| {
                status.refname = lane.refname.to_string();
            });
            if !lane.branch.is_default {
                self.system
                    .metrics
                    .linked_dev_branches
                    .get_or_create(&Region::of(&lane.spec))
                    .inc();
            }
            self.lanes.lock().await.insert(lane.id.clone(), lane.clone());
            let task = LaneTask {
                runner: Arc::clone(self),
                lane,
                held: None,
                look_again: VecDeque::new(),
                looked_again: BTreeSet::new(),
            };
            self.tasks.reopen();
            self.tasks.spawn(task.run());
            self.tasks.close();
        }
        Ok(())
    }

    async fn watch_backlog(self: Arc<Self>) {
        loop {
            let lanes: Vec<_> = self
                .lanes
                .lock()
                .await
                .values()
                .map(|lane| (lane.id.clone(), lane.topic.clone()))
                .collect();
            let mut depth = 0;
            let mut oldest: Option<Timestamp> = None;
            for (id, topic) in lanes {
                match self.system.log.backlog(&[(id.clone(), topic)]).await {
                    Ok(backlog) => {
                        depth += backlog.depth;
                        oldest = [oldest, backlog.oldest].into_iter().flatten().min();
                        self.system
                            .status
                            .update(&id, |status| status.backlog = backlog.depth);
                    }
                    Err(error) => {
                        tracing::error!(lane = %id, error = crate::app::chain(&error), "the backlog cannot be read");
                    }
                }
            }
            let metrics = &self.system.metrics;
            metrics
                .queue_backlog_depth
                .get_or_create(&Queue {
                    queue_name: QUEUE_NAME,
                })
                .set(i64::try_from(depth).unwrap_or(i64::MAX));
            let now = (self.system.now)();
            metrics
                .oldest_unpushed_age
                .set(oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0)));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(BACKLOG_EVERY) => {}
            }
        }
    }
}

/// Puts the lanes of a mirror together: its default branch and, if wanted, the dev branches.
///
/// # Errors
/// Keboola refuses, or a branch has no usable name.
pub async fn lanes(system: &System, mirror: &Mirror) -> Result<Vec<Lane>, StartError> {
    let id = || mirror.spec.id.clone();
    let branches = mirror.source.client().dev_branches().await;
    let branches = branches.map_err(|source| StartError::Keboola { mirror: id(), source })?;
    let default = branches.iter().find(|branch| branch.is_default).cloned();
    let default = default.ok_or_else(|| StartError::NoDefaultBranch { mirror: id() })?;
    let mut lanes = Vec::new();
    for branch in branches {
        if branch.is_default || mirror.spec.dev_branches.enabled {
            lanes.push(system.lane(mirror, branch, &default).await?);
        }
    }
    // The default branch first: the others start at its commit.
    lanes.sort_by_key(|lane| !lane.branch.is_default);
    Ok(lanes)
}

/// One lane's task: it does what the lane's state machine asks for, and tells it how that went.
struct LaneTask {
    runner: Arc<Runner>,
    lane: Lane,
    /// The memory of the last attempt, and the commit that it belongs to.
    held: Option<(Oid, Memory)>,
    /// Events put aside that get a second chance, and when.
    look_again: VecDeque<(Timestamp, DeadLetterId)>,
    /// Those that had it.
    looked_again: BTreeSet<EventKey>,
}

/// What wakes the loop of a lane.
enum Wakened {
    Stop,
    Time,
    Hurry,
    News(Result<News, broadcast::error::RecvError>),
    Done(Box<Result<Done, AttemptError>>),
}

impl LaneTask {
    async fn run(mut self) {
        let mut news = self.lane.log.tail();
        let mut hurry = self.runner.hurry.subscribe();
        let stop = self.runner.stop.clone();
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
        loop {
            let now = (self.lane.now)();
            let actions: Vec<Action> = wakes
                .drain(..)
                .flat_map(|wake| machine.step(wake, now, jitter()))
                .collect();
            for action in actions {
                match action {
                    Action::Start { streams } => running = Some(self.start(&streams, now)),
                    Action::Remember(outage) => self.remember(outage).await,
                    Action::Notify { notice, outage } => self.notice(notice, &outage),
                }
            }
            let due = machine.next_due();
            let again = self.look_again.front().map(|(due, _)| *due);
            self.status(|status| status.next_due = due);
            let stopped = stop.is_cancelled();
            if stopped && running.is_none() {
                return;
            }
            let wakened = tokio::select! {
                () = stop.cancelled(), if !stopped => Wakened::Stop,
                () = sleep_until(due.into_iter().chain(again).min().map(|due| until(now, due))) => Wakened::Time,
                changed = hurry.changed() => if changed.is_ok() { Wakened::Hurry } else { Wakened::Stop },
                heard = news.recv() => Wakened::News(heard),
                done = ended(&mut running) => Wakened::Done(Box::new(done)),
            };
            wakes = match wakened {
                Wakened::Stop => vec![Wake::Stop],
                Wakened::Hurry => vec![Wake::Hasten],
                Wakened::News(Ok(News {
                    topic,
                    stream,
                    position,
                    published_at,
                })) if topic == self.lane.topic => vec![Wake::Arrived {
                    stream,
                    position,
                    published_at,
                    urgent: false,
                }],
                // Hints were missed, so it looks for itself.
                Wakened::News(Err(broadcast::error::RecvError::Lagged(_))) => {
                    self.missed(machine.cursor()).await
                }
                Wakened::Time => {
                    self.replay().await;
                    vec![Wake::Tick]
                }
                Wakened::News(_) => vec![Wake::Tick],
                Wakened::Done(outcome) => {
                    running = None;
                    if let Err(AttemptError::Fetch(FetchError::NoBranch { .. })) = &*outcome
                        && !self.lane.branch.is_default
                    {
                        return self.retire().await;
                    }
                    let ended = self.ended(*outcome, machine.retries());
                    self.count_backlog().await;
                    vec![Wake::AttemptDone(ended)]
                }
            };
        }
    }

    /// Waits until the default branch is mirrored: a dev branch starts at its commit.
    async fn default_mirrored(&self) {
        let Some(base) = self.lane.base.clone() else {
            return;
        };
        loop {
            let lane = self.lane.clone();
            let (own, base) = (self.lane.refname.clone(), base.refname.clone());
            let found = tokio::task::spawn_blocking(move || {
                lane.remote
                    .tip(&own)
                    .ok()
                    .flatten()
                    .or(lane.remote.tip(&base).ok().flatten())
            });
            if matches!(found.await, Ok(Some(_))) {
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
        let is_new = stored.as_ref().is_none_or(|cursor| cursor.tip.is_none());
        let cursor = stored.unwrap_or_else(|| LaneCursor::start(log_id.clone()));
        let waiting = self.waiting(&cursor).await?;
        let config = &self.runner.system.config;
        let change_mode = window_mode(config.window);
        let start = LaneStart {
            cursor,
            change_mode,
            jobs_mode: jobs_mode(change_mode, lane.spec.jobs.map(|jobs| jobs.cadence)),
            change_waiting: waiting[0],
            jobs_waiting: waiting[1],
            has_cut: lane
                .log
                .cut(&lane.id)
                .await
                .map_err(|error| said(&error))?
                .is_some(),
            // The first attempt of a process looks at the remote, whatever waits.
            is_new: is_new || self.held.is_none(),
            outage: lane.state.outage(&lane.id).await.map_err(|error| said(&error))?,
            paused: false,
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
    async fn missed(&self, cursor: &LaneCursor) -> Vec<Wake> {
        loop {
            match self.waiting(cursor).await {
                Ok(waiting) => {
                    let waiting = Stream::ALL.into_iter().zip(waiting);
                    return waiting
                        .filter_map(|(stream, waiting)| {
                            let (position, published_at) = waiting?;
                            Some(Wake::Arrived {
                                stream,
                                position,
                                published_at,
                                urgent: false,
                            })
                        })
                        .collect();
                }
                Err(error) => {
                    tracing::error!(lane = %self.lane.id, error, "the log cannot be read; it is tried again");
                    tokio::select! {
                        () = self.runner.stop.cancelled() => return Vec::new(),
                        () = tokio::time::sleep(BACKLOG_EVERY) => {}
                    }
                }
            }
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
        let (lane, held) = (self.lane.clone(), self.held.take());
        tokio::spawn(async move { lane.attempt(held, due).await })
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
            took,
            cursor,
            put_aside,
            may_return,
            withheld_files,
        } = done;
        let withheld = memory
            .withheld()
            .map(|(key, reason)| (key.clone(), reason.to_string()))
            .collect();
        let pushed = landed.is_some().then(|| (self.lane.now)());
        self.status(|status| {
            status.tip = tip;
            status.withheld = withheld;
            status.withheld_files = withheld_files;
            status.last_push = pushed.or(status.last_push);
        });
        let took = landed.is_some().then_some(took);
        if let Some(landed) = landed {
            self.tell(landed);
        }
        self.held = base.map(|base| (base, memory));
        self.put_aside(put_aside, may_return);
        AttemptEnd::Mirrored { cursor, took }
    }

    fn tell(&self, landed: Landed) {
        record(&self.runner.system.metrics, &self.lane, &landed);
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
        if !error.is_waiting() {
            let exports = &self.runner.system.metrics.exports;
            exports.get_or_create(&Attempted { outcome: "failed" }).inc();
        }
        let LaneId { mirror, branch } = &self.lane.id;
        let project_id = &self.lane.spec.project;
        if let AttemptError::Push(_) = error {
            tracing::error!(%mirror, %project_id, branch_id = %branch, queue_name = QUEUE_NAME, retry_count,
                class = ?disposition, reason, "push failed; it is repeated");
        } else {
            tracing::warn!(%mirror, %project_id, branch_id = %branch, queue_name = QUEUE_NAME, retry_count,
                exception_id = error.exception_id(), class = ?disposition, reason, "attempt failed; it is repeated");
        }
        AttemptEnd::Failed { disposition, reason }
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
            if let Err(error) = self.lane.log.replay(letter, now).await {
                tracing::warn!(lane = %self.lane.id, error = crate::app::chain(&error), "an event that was put aside cannot be replayed");
            }
        }
    }

    /// Ends the lane of a dev branch that was deleted; its Git branch stays.
    async fn retire(&self) {
        let Runner { system, lanes, .. } = &*self.runner;
        tracing::info!(mirror = %self.lane.id.mirror, branch_id = %self.lane.id.branch, refname = %self.lane.refname,
            "the branch was deleted in Keboola; its mirror ends and the Git branch stays");
        if let Err(error) = self.lane.state.put_outage(&self.lane.id, None).await {
            tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "the outage cannot be stored");
        }
        lanes.lock().await.remove(&self.lane.id);
        system.status.remove(&self.lane.id);
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
        // Stored before it is told: a notice is better lost than repeated.
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

    /// Tells the log; channels to people hang on here.
    fn notice(&self, notice: Notice, outage: &Outage) {
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
            reason = outage.reason,
            "notice"
        );
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

async fn sleep_until(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
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

fn window_mode(config: WindowConfig) -> WindowMode {
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

fn jobs_mode(change: WindowMode, cadence: Option<JobsCadence>) -> WindowMode {
    match (cadence, change) {
        // Runs that are not mirrored are passed over with the changes.
        (None | Some(JobsCadence::Window), mode) => mode,
        (Some(JobsCadence::Every { ms }), WindowMode::Early { span } | WindowMode::Fixed { span }) => {
            WindowMode::Eager {
                gather: span,
                cool_down: Duration::from_millis(ms),
            }
        }
        (Some(JobsCadence::Every { ms }), WindowMode::Eager { gather, .. }) => WindowMode::Eager {
            gather,
            cool_down: Duration::from_millis(ms),
        },
    }
}

fn record(metrics: &Metrics, lane: &Lane, landed: &Landed) {
    let branch_id = || lane.id.branch.to_string();
    let host = lane.spec.repository.host();
    let latencies = [
        (EventType::config, landed.change_latency),
        (EventType::job, landed.jobs_latency),
    ];
    let mut counted = false;
    for (event_type, latency) in latencies {
        let Some(latency) = latency else { continue };
        let label = Synced {
            event_type,
            branch_id: branch_id(),
            queue_name: QUEUE_NAME,
        };
        metrics
            .sync_latency
            .get_or_create(&label)
            .observe(latency.as_secs_f64());
        if !counted {
            let label = Exported {
                event_type,
                branch_id: branch_id(),
                repository_host: host.into(),
            };
            metrics.commits_exported.get_or_create(&label).inc();
            counted = true;
        }
    }
    if !counted {
        let label = Exported {
            event_type: EventType::config,
            branch_id: branch_id(),
            repository_host: host.into(),
        };
        metrics.commits_exported.get_or_create(&label).inc();
    }
    metrics.exports.get_or_create(&Attempted { outcome: "ok" }).inc();
    for (_, reason) in &landed.withheld {
        metrics
            .objects_withheld
            .get_or_create(&Reason {
                reason: reason.kind(),
            })
            .inc();
    }
    let component = |object: &ObjectKey| {
        object
            .config()
            .map(|(component, _)| component.to_string())
            .unwrap_or_default()
    };
    // Per component: how many left encrypted, masked or omitted, and how many were found in all. What
    // only the guard saw did not leave at all, but no policy found it either.
    let mut by_component: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (object, stats) in &landed.redactions {
        let (handled, all) = by_component.entry(component(object)).or_default();
        *handled += stats.found();
        *all += stats.found();
    }
    for (object, _) in landed
        .withheld
        .iter()
        .filter(|(_, reason)| matches!(reason, WithholdReason::Guarded { .. }))
    {
        by_component.entry(component(object)).or_default().1 += 1;
    }
    for (component_id, (handled, all)) in by_component {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a gauge")]
        let rate = handled as f64 / all as f64;
        metrics
            .secrets_redacted_rate
            .get_or_create(&Redacted {
                component_id,
                branch_id: branch_id(),
            })
            .set(rate);
    }
}

fn start_disposition(error: &StartError) -> Disposition {
    match error {
        StartError::Keboola { source, .. } => match source.disposition() {
            mirror_keboola::Disposition::Retry { after } => Disposition::Temporary { after },
            mirror_keboola::Disposition::NeedsCustomer | mirror_keboola::Disposition::Gone => {
                Disposition::NeedsCustomer
            }
            mirror_keboola::Disposition::Permanent => Disposition::Permanent,
        },
        _ => Disposition::NeedsCustomer,
    }
}

/// Draws a number that spreads retries.
fn jitter() -> Jitter {
    let random = uuid::Uuid::new_v4();
    let [first, second, ..] = random.into_bytes();
    Jitter(u16::from_be_bytes([first, second]))
}

fn until(now: Timestamp, due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default()
}

/// Returns how far a lane is behind the log, for those who wait for it.
///
/// # Errors
/// A log that cannot be read.
pub async fn is_behind(lane: &Lane) -> Result<bool, crate::queue::LogError> {
    let cursor = lane.log.cursor(&lane.id).await?;
    for stream in Stream::ALL {
        let newest = lane.log.newest(&lane.topic, stream).await?;
        if newest
            > cursor
                .as_ref()
                .map_or(Position::START, |cursor| cursor.of(stream))
        {
            return Ok(true);
        }
    }
    Ok(false)
}
