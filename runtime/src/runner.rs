//! The runner: every lane has a task of its own, and time.
//!
//! A lane sleeps until something is due, runs one attempt, and goes on; lanes run beside each
//! other, one attempt a lane. When something is due is decided by [`mirror_core::lane`]; here is only the waiting.

pub mod cadence;
mod comparing;
mod crew;
mod lane_task;
mod opening;
mod record;
mod standing;

use crate::{
    branches,
    config::QueueConfig,
    metrics::{Enabled, QUEUE_NAME, Queue, Region},
    notify::MirrorNotices,
    pipeline::attempt::{Landed, Lane},
    queue::{NewEvent, News},
    system::{Mirror, StartError, System},
    visibility::{Exports, Visibility},
    workers::Worker,
};
use cadence::Cadence;
use jiff::Timestamp;
use lane_task::LaneTask;
use mirror_core::{
    cut::{Position, Stream},
    event::{Body, BranchChanged, Envelope},
    ids::{BranchId, LaneId, MirrorId, Topic},
    incident::Report,
    retry::{Disposition, Jitter},
    week,
    window::{later, within},
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
const BACKLOG_EVERY: Duration = Duration::from_secs(10);
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
    /// Raised to have the files of all credentials looked at.
    credentials: watch::Sender<u64>,
    lanes: Mutex<BTreeMap<LaneId, Lane>>,
    /// Mirrors that an operator holds.
    paused: watch::Sender<BTreeSet<MirrorId>>,
    /// The mirrors that this process works for.
    followed: Mutex<BTreeMap<MirrorId, Followed>>,
}

/// The tasks of one mirror, and what ends them.
#[derive(Debug, Clone)]
struct Followed {
    stop: CancellationToken,
    tasks: TaskTracker,
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
            credentials: watch::channel(0).0,
            lanes: Mutex::default(),
            paused: watch::channel(BTreeSet::new()).0,
            followed: Mutex::default(),
        })
    }

    /// Lets the branches of a mirror start nothing new, or go on. What is under way is finished.
    pub fn pause(&self, mirror: &MirrorId, paused: bool) {
        self.paused.send_if_modified(|all| match paused {
            true => all.insert(mirror.clone()),
            false => all.remove(mirror),
        });
    }

    /// Returns the branches of a mirror that are open.
    pub async fn lanes_of(&self, mirror: &MirrorId) -> Vec<Lane> {
        let lanes = self.lanes.lock().await;
        lanes
            .values()
            .filter(|lane| lane.id.mirror == *mirror)
            .cloned()
            .collect()
    }

    /// Takes branches in without following them, for a command that works on them.
    pub async fn adopt(&self, lanes: Vec<Lane>) {
        let mut open = self.lanes.lock().await;
        open.extend(lanes.into_iter().map(|lane| (lane.id.clone(), lane)));
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

    /// Looks at once whether there are other credentials by now, also where those that are there could not be used before.
    pub fn look_at_credentials(&self) {
        self.credentials.send_modify(|count| *count += 1);
    }

    /// Starts the tasks of all configured mirrors. One that cannot be opened is tried again, beside the others.
    ///
    /// # Errors
    /// What concerns all mirrors: state that cannot be read, a file that all share, workers that cannot be reached.
    pub async fn start(self: &Arc<Self>) -> Result<(), StartError> {
        let config = &self.system.config;
        crate::repository::check_shared(config)?;
        let mut mirrors = Vec::new();
        for spec in &config.mirrors {
            if self.system.pauses.since(&spec.id).await?.is_some() {
                tracing::warn!(mirror = %spec.id, "the mirror is paused; changes wait in the log until `kbc-mirror mirror resume`");
                self.pause(&spec.id, true);
            }
            let label = Enabled {
                project_id: spec.project.to_string(),
                plan_tier: spec.plan_tier.clone(),
            };
            let enabled = &self.system.metrics.git_sync_enabled_ratio;
            enabled.get_or_create(&label).set(1.0);
            mirrors.push(Arc::new(spec.clone()));
        }
        match (&config.queue, &self.system.jetstream) {
            (QueueConfig::JetStream(config), Some(log)) => {
                let crew = crew::Hands::new(Arc::clone(self), mirrors);
                let (nats, lease) = (log.nats().clone(), self.system.lease.clone());
                let metrics = Arc::clone(&self.system.metrics);
                let worker = Worker::open(nats, config, lease, crew.shards(), metrics).await?;
                self.tasks.spawn(worker.run(Arc::new(crew), self.stop.clone()));
            }
            _ => {
                for mirror in &mirrors {
                    self.begin(mirror).await;
                }
            }
        }
        self.tasks.spawn(Arc::clone(self).watch_pauses());
        let runner = Arc::clone(self);
        self.tasks.spawn(async move { runner.watch_backlog().await });
        self.tasks.close();
        Ok(())
    }

    /// Stops: no new attempts, running ones may finish within the grace period.
    pub async fn shut_down(&self) {
        self.stop.cancel();
        self.system.turns.close();
        let grace = Duration::from_millis(self.system.config.grace_ms);
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(?grace, "attempts cut short; the log replays their events");
            let lanes: Vec<Lane> = self.lanes.lock().await.values().cloned().collect();
            self.cut_short(&lanes).await;
        }
    }

    /// Follows one mirror: keeps a task for each of its branches.
    async fn follow(self: Arc<Self>, mirror: Arc<Mirror>, followed: Followed) {
        let mut news = self.system.log.tail();
        let mut renewed = mirror.rotation.renewed();
        let mut known: BTreeSet<BranchId> = BTreeSet::new();
        let mut retry = mirror_core::retry::Retry::default();
        let mut seen: BTreeMap<BranchId, String> = BTreeMap::new();
        // None: not known of this process yet.
        let mut was_open: Option<bool> = None;
        // Branches that events tell of and the listing did not show, and until when they are looked for.
        let mut awaited: BTreeMap<BranchId, Timestamp> = BTreeMap::new();
        let window = Duration::from_millis(self.system.config.window.span_ms);
        let between = BRANCHES_EVERY.min(window / 4);
        loop {
            mirror.rotation.look().await;
            renewed.mark_unchanged();
            let now = (self.system.now)();
            let mut failed = false;
            let next = match self.open_lanes(&mirror, &followed, &mut known, &mut seen).await {
                Ok(()) => {
                    retry = mirror_core::retry::Retry::default();
                    self.system.status.set_problem(&mirror.spec.id, None);
                    if was_open != Some(true) {
                        self.report(&mirror.notices, &mirror.spec.id, vec![Report::Opened])
                            .await;
                    }
                    was_open = Some(true);
                    awaited.retain(|branch, until| {
                        *until = within(*until, BRANCH_VISIBLE_WITHIN, now);
                        let gone = *until <= now;
                        if gone && !known.contains(branch) {
                            tracing::warn!(mirror = %mirror.spec.id, branch_id = %branch, "events tell of a branch that Keboola does not list; they stay in the log");
                        }
                        !gone && !known.contains(branch)
                    });
                    match (awaited.is_empty(), mirror.spec.dev_branches.enabled) {
                        (false, _) => Some(BRANCHES_EVERY),
                        (true, true) => Some(mirror.spec.dev_branches.look_every),
                        (true, false) => None,
                    }
                }
                Err(error) => {
                    // It may have been replaced since: a refused one is not told before it was tried anew.
                    mirror.rotation.look().await;
                    if renewed.has_changed().unwrap_or(false) {
                        continue;
                    }
                    failed = true;
                    let due = retry.failed(start_disposition(&error), now, jitter());
                    self.unopened(&mirror.notices, &mirror.spec.id, &error, retry.count)
                        .await;
                    was_open = Some(false);
                    Some(until(now, due))
                }
            };
            let unknown_branch = async {
                loop {
                    match news.recv().await {
                        Ok(News { topic, .. })
                            if mirror.wants(&topic) && !self.is_open(&mirror, &topic.branch) =>
                        {
                            return Some(topic.branch);
                        }
                        // Who fell behind looks for itself.
                        Err(broadcast::error::RecvError::Lagged(_)) => return None,
                        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                        Ok(_) => {}
                    }
                }
            };
            let mut pause = between;
            let mut landed = self.landed.subscribe();
            tokio::select! {
                () = followed.stop.cancelled() => return,
                () = sleep_until(next) => {}
                _ = renewed.changed(), if failed => {}
                // What was in the way may be over, and the status should not say otherwise any longer.
                () = landed_of(&mut landed, &mirror.spec.id), if failed => pause = window * 2,
                branch = unknown_branch, if !failed => {
                    let until = later((self.system.now)(), BRANCH_VISIBLE_WITHIN);
                    if let Some(branch) = branch {
                        awaited.entry(branch).or_insert(until);
                    }
                }
            }
            // Events come in numbers; one listing is for all of them.
            tokio::select! {
                () = followed.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn is_open(&self, mirror: &Mirror, branch: &BranchId) -> bool {
        let id = LaneId {
            mirror: mirror.spec.id.clone(),
            branch: branch.clone(),
        };
        self.system.status.lane(&id).is_some()
    }

    /// Opens a lane for each branch that has none yet.
    async fn open_lanes(
        self: &Arc<Self>,
        mirror: &Arc<Mirror>,
        followed: &Followed,
        known: &mut BTreeSet<BranchId>,
        seen: &mut BTreeMap<BranchId, String>,
    ) -> Result<(), StartError> {
        // A lane that has ended is opened again, should its branch be there after all.
        known.retain(|branch| self.is_open(mirror, branch));
        if known.is_empty() {
            self.system.verify(mirror).await?;
        }
        let lanes = lanes(&self.system, mirror).await?;
        self.tell_visibility(mirror).await;
        let listed: BTreeSet<BranchId> = lanes.iter().map(|lane| lane.branch.id.clone()).collect();
        // Their lanes look for themselves, and end.
        let vanished: Vec<Lane> = {
            let open = self.lanes.lock().await;
            let own = open.values().filter(|lane| lane.id.mirror == mirror.spec.id);
            own.filter(|lane| !listed.contains(&lane.branch.id))
                .cloned()
                .collect()
        };
        for lane in vanished {
            // It may be among what cannot be read of the listing.
            if mirror.source.has_lost(&lane.branch.id).await {
                self.tell_branch_changed(&lane, true).await?;
            }
        }
        if mirror.spec.dev_branches.enabled {
            // One whose lane has not ended yet is deleted by a later look.
            let open = self.lanes.lock().await;
            let own = open.values().filter(|lane| lane.id.mirror == mirror.spec.id);
            let kept = own
                .map(|lane| lane.branch.id.clone())
                .chain(listed.iter().cloned())
                .collect();
            drop(open);
            branches::delete_orphans(mirror, &kept).await?;
        }
        for lane in lanes {
            // No event and no version tells of a branch's new name.
            let digest = branches::digest_of(&lane.branch);
            let before = seen.insert(lane.branch.id.clone(), digest.clone());
            if before.is_some_and(|before| before != digest) {
                self.tell_branch_changed(&lane, false).await?;
            }
            if !known.insert(lane.branch.id.clone()) {
                continue;
            }
            self.system.status.update(&lane.id, |status| {
                status.refname = lane.refname.to_string();
                status.backfill = lane.backfill_progress();
                status.unusable_runs = Arc::clone(&lane.unusable_runs);
                status.rendering = Arc::clone(&lane.rendering);
            });
            if !lane.branch.is_default {
                self.system
                    .metrics
                    .linked_dev_branches
                    .get_or_create(&Region::of(&lane.spec))
                    .inc();
            }
            self.lanes.lock().await.insert(lane.id.clone(), lane.clone());
            let change = lane_task::window_mode(self.system.config.window);
            let cadence = Cadence::new(change, lane.spec.jobs);
            let task = LaneTask {
                runner: Arc::clone(self),
                mirror: Arc::clone(mirror),
                stop: followed.stop.clone(),
                lane,
                spent: None,
                look_again: VecDeque::new(),
                looked_again: BTreeSet::new(),
                cadence,
                untold: Vec::new(),
                told_months: None,
            };
            self.spawn(followed, task.run());
        }
        Ok(())
    }

    /// Appends that a branch looks different, or is no longer listed.
    async fn tell_branch_changed(&self, lane: &Lane, deleted: bool) -> Result<(), StartError> {
        let at = (self.system.now)();
        // The same may come again after something else did: each occasion has a digest of its own.
        let newest = lane.log.newest(&lane.topic, Stream::Change).await?;
        let body = Body::BranchChanged(BranchChanged {
            digest: format!("{} after {newest}", branches::digest_of(&lane.branch)),
            deleted,
        });
        let envelope = Envelope::internal(lane.topic.clone(), body, at);
        lane.log.append(vec![NewEvent { envelope, at }]).await?;
        Ok(())
    }

    /// Looks again and again who may read the repository. What a change makes necessary is asked of the
    /// lanes, each of which does it in a commit of its own.
    async fn watch_visibility(&self, mirror: &Mirror, stop: CancellationToken) {
        let every = self.system.config.visibility.check_every;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            if !mirror.visibility.may_change() {
                continue;
            }
            let visibility = mirror.visibility.ask().await;
            self.tell_visibility(mirror).await;
            let exports = Exports::of(&mirror.spec, visibility);
            let lanes: Vec<Lane> = self.lanes.lock().await.values().cloned().collect();
            let outdated = lanes
                .into_iter()
                .filter(|lane| lane.id.mirror == mirror.spec.id && lane.exports != exports);
            for lane in outdated {
                if let Err(error) = self.show_less_or_more(mirror, &lane, visibility).await {
                    tracing::error!(lane = %lane.id, error = crate::app::chain(&*error), "the branch cannot be rendered anew; it is asked for again");
                }
            }
        }
    }

    /// Asks for a lane to be rendered anew as the visibility of its repository allows.
    async fn show_less_or_more(
        &self,
        mirror: &Mirror,
        lane: &Lane,
        visibility: Visibility,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let fresh = self
            .system
            .lane(mirror, lane.branch.clone(), &lane.default_branch)
            .await?;
        let tip = lane.log.cursor(&lane.id).await?.and_then(|cursor| cursor.tip);
        let reason = match (lane.exports.samples, fresh.exports.samples) {
            (true, false) => format!(
                "the repository is {}, so samples are taken out; its history keeps the earlier ones",
                visibility.as_str()
            ),
            _ => format!("the repository is {}", visibility.as_str()),
        };
        fresh.append_render_changed(tip, &reason).await?;
        Ok(())
    }

    /// Puts what is known of a repository's visibility into the status, and tells the admin what is not
    /// exported because of it.
    async fn tell_visibility(&self, mirror: &Mirror) {
        let Some(found) = mirror.visibility.last() else {
            return;
        };
        let exports = Exports::of(&mirror.spec, found.visibility);
        let told = self
            .system
            .status
            .set_visibility(&mirror.spec.id, found.clone(), exports);
        if !told {
            return;
        }
        let report = Report::Exports {
            samples_blocked: exports.samples_blocked,
            encrypted_blocked: exports.encrypted_blocked,
            why: format!("the repository is {}: {}", found.visibility.as_str(), found.why),
        };
        self.report(&mirror.notices, &mirror.spec.id, vec![report]).await;
        let (mirror, visibility) = (&mirror.spec.id, found.visibility.as_str());
        if exports.samples_blocked {
            tracing::warn!(%mirror, visibility, why = found.why,
                "samples are off: the repository is not known to be private; earlier samples are removed by the next commit, but its history keeps them: rewrite it or make the repository private");
        }
        if exports.encrypted_blocked {
            tracing::warn!(%mirror, visibility, why = found.why,
                "`secrets = \"encrypted\"` is refused: the repository is not known to be private; secrets are masked; make the repository private, or set `masked`");
        }
    }

    /// Reports something of a mirror as a whole; what cannot be stored is said again by who finds it again.
    async fn report(&self, notices: &MirrorNotices, mirror: &MirrorId, reports: Vec<Report>) {
        if let Err(error) = notices.report(reports, (self.system.now)()).await {
            tracing::error!(%mirror, error = crate::app::chain(&error), "what admins are told cannot be stored");
        }
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
            let now = (self.system.now)();
            let mut depth = 0;
            let mut oldest: Option<Timestamp> = None;
            let mut active = BTreeSet::new();
            for (id, topic) in lanes {
                let pushed = self.system.status.last_push(&id);
                if pushed.is_some_and(|at| week::is_same(at, now)) {
                    active.insert((topic.stack.clone(), topic.project.clone()));
                }
                match self.system.log.backlog(&[(id.clone(), topic)]).await {
                    Ok(backlog) => {
                        depth += backlog.depth;
                        oldest = [oldest, backlog.oldest].into_iter().flatten().min();
                        self.system
                            .status
                            .update_open(&id, |status| status.backlog = backlog.depth);
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
            let projects = i64::try_from(active.len()).unwrap_or(i64::MAX);
            metrics.weekly_active_synced_projects.set(projects);
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
    let branches = mirror.source.branches().await;
    let branches = branches.map_err(|source| StartError::Keboola { mirror: id(), source })?;
    let is_whole = branches.is_whole();
    let branches = branches.listed;
    let default = branches.iter().find(|branch| branch.is_default).cloned();
    let default = default.ok_or_else(|| StartError::NoDefaultBranch { mirror: id() })?;
    mirror.source.set_default_branch(&default.id);
    let mut lanes = Vec::new();
    for branch in branches {
        if branch.is_default || mirror.spec.dev_branches.enabled {
            lanes.push(system.lane(mirror, branch, &default.id).await?);
        }
    }
    let heirs = lanes.iter().filter(|lane| !lane.branch.is_default);
    let mut heirs: BTreeSet<Topic> = heirs.map(|lane| lane.topic.clone()).collect();
    if !is_whole {
        // What cannot be read of the listing may be one of them.
        heirs.extend(mirror.heirs.all());
    }
    mirror.heirs.set(heirs);
    // The default branch first: the others start at its commit.
    lanes.sort_by_key(|lane| !lane.branch.is_default);
    Ok(lanes)
}

async fn sleep_until(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
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

/// Waits for a commit of a mirror.
async fn landed_of(landed: &mut broadcast::Receiver<Landed>, mirror: &MirrorId) {
    loop {
        match landed.recv().await {
            Ok(landed) if landed.lane.mirror != *mirror => {}
            // Among those that were missed there may be one.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Draws a number that spreads retries.
pub(crate) fn jitter() -> Jitter {
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
