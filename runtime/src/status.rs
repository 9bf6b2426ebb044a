//! What is going on, for `/v1/status`, `/livez` and the commands: kept by the lanes, read by others.

use crate::{
    metrics::Purpose,
    notify::channel::channel_of,
    pipeline::{
        attempt::{NoSample, RefusedMonth},
        backfill::BackfillProgress,
        memory::WithheldNow,
        progress::Progress,
        rendering::Rendering,
        unusable::UnusableRuns,
    },
    policies::ShadowReport,
    poll::PollStatus,
    queue::unmirrored::{self, Unmirrored},
    state::notices::Standing,
    visibility::{Exports, Found},
};
use jiff::Timestamp;
use mirror_core::{
    deletions::Held,
    ids::{LaneId, MirrorId, Oid, TableId, Topic},
    inventory::{Inventory, ObjectType},
    jobs::budget::{Pace, Spent},
    retry::Outage,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// An attempt that does not come forward for so long, once it has had its turn, is stuck: `/livez` fails and the process is
/// restarted.
const STUCK_AFTER: Duration = Duration::from_secs(60 * 60);

/// Where a lane stands.
#[derive(Debug, Clone, Default)]
pub struct LaneStatus {
    /// Full name of the ref.
    pub refname: String,
    pub tip: Option<Oid>,
    pub attempt_since: Option<Timestamp>,
    /// When the attempt last came forward; none before the first.
    pub progress: Option<Arc<Progress>>,
    /// Of this process; before its first one, when the commit was made that the lane is known to be at.
    pub last_push: Option<Timestamp>,
    /// When the next attempt begins; none while one runs, and where nothing is to be done.
    pub next_due: Option<Timestamp>,
    pub backlog: u64,
    pub outage: Option<Outage>,
    /// What the source does not show yet, where the last attempt came to nothing but for that.
    pub awaited: Option<String>,
    /// None where it is not known: before the first attempt, and where nothing is stored.
    pub withheld: Option<WithheldNow>,
    /// How fast the history of runs grows; none before the first attempt and without job history.
    pub jobs: Option<JobsStatus>,
    /// Events put aside since the process started; the dead letters have them.
    pub put_aside: usize,
    /// An operator holds it.
    pub paused: bool,
    /// A mass deletion that waits for the operator's word.
    pub held: Option<Held>,
    /// Counts of the last commit of this process for which everything was read.
    pub inventory: Inventory,
    /// Tables without a sample although samples are wanted, and why.
    pub no_sample: BTreeMap<TableId, NoSample>,
    /// Branches of months of runs that take no pushes.
    pub months_refused: Vec<RefusedMonth>,
    /// How far what was before the mirror has come, where it is brought in.
    pub backfill: Option<Arc<BackfillProgress>>,
    /// Runs that are left out for their ids, as far as listings of this process had them.
    pub unusable_runs: Arc<UnusableRuns>,
    /// Whether another worker renders it differently.
    pub rendering: Arc<Rendering>,
}

/// How fast the history of runs grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsStatus {
    pub spent: Spent,
    /// 0: no limit.
    pub budget_bytes_month: u64,
    pub pace: Pace,
}

impl JobsStatus {
    fn page(&self) -> Value {
        let (pace, between) = match self.pace {
            Pace::Configured => ("as configured", None),
            Pace::Slowed { between, .. } => ("slowed", Some(between)),
            Pace::Spent { between, .. } => ("budget spent", Some(between)),
        };
        json!({
            "month": self.spent.month,
            "bytesEstimated": self.spent.bytes,
            "budgetBytesMonth": self.budget_bytes_month,
            "pace": pace,
            "secondsBetween": between.map(|between| between.as_secs()),
        })
    }
}

/// What a lane or mirror is doing, the more somebody should look the later in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    InSync,
    Waiting,
    Syncing,
    Starting,
    Paused,
    Retrying,
    Failing,
    Held,
    NotOpened,
}

impl State {
    /// Returns its word in answers.
    fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Waiting => "waiting",
            Self::Syncing => "syncing",
            Self::Starting => "starting",
            Self::Paused => "paused",
            Self::Retrying => "retrying",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::NotOpened => "cannot be opened",
        }
    }
}

impl LaneStatus {
    fn withheld_count(&self) -> usize {
        self.withheld.as_ref().map_or(0, WithheldNow::count)
    }

    /// Returns the outage, unless all that is wrong is that the source does not show something yet, and nobody was told.
    fn shown_outage(&self) -> Option<&Outage> {
        let is_told = |outage: &Outage| outage.notified_at.is_some() || !outage.asked_at.is_empty();
        let outage = self.outage.as_ref();
        outage.filter(|outage| self.awaited.is_none() || is_told(outage))
    }

    fn state(&self) -> State {
        match self.shown_outage() {
            _ if self.paused && self.attempt_since.is_none() => State::Paused,
            Some(_) if self.held.is_some() => State::Held,
            Some(outage) if outage.notified_at.is_some() => State::Failing,
            Some(_) => State::Retrying,
            None if self.awaited.is_some() => State::Waiting,
            None if self.attempt_since.is_some() => State::Syncing,
            None if self.tip.is_none() => State::Starting,
            None if self.next_due.is_some() || self.backlog > 0 => State::Waiting,
            None => State::InSync,
        }
    }
}

/// How a mirror stands, over all its lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// That of the lane at which somebody should look first.
    pub state: &'static str,
    pub lanes: usize,
    /// Events that wait.
    pub backlog: u64,
    pub withheld: usize,
    /// The newest of all lanes.
    pub last_push: Option<Timestamp>,
    /// Why it fails or cannot be opened, or what else somebody has to mend.
    pub reason: Option<String>,
}

/// Returns counts as JSON, a member a type; of configurations, a member a component type.
#[must_use]
pub fn inventory(inventory: &Inventory) -> Value {
    let mut counts = serde_json::Map::new();
    let mut configurations = serde_json::Map::new();
    for (object, tally) in inventory.tallies() {
        let tally = json!({
            "expected": tally.expected,
            "rendered": tally.rendered,
            "withheld": tally.withheld,
        });
        match object {
            ObjectType::Configuration(component_type) => configurations.insert(component_type.clone(), tally),
            object => counts.insert(object.to_string(), tally),
        };
    }
    if !configurations.is_empty() {
        counts.insert("configurations".into(), Value::Object(configurations));
    }
    Value::Object(counts)
}

/// How the delivery of a mirror's notices stands, for the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticesStatus(Value);

impl NoticesStatus {
    #[must_use]
    pub fn of(standing: Standing) -> Self {
        let Standing { waiting, given_up } = standing;
        // Addresses are nobody's business here.
        let given_up = given_up.iter().map(|one| {
            json!({
                "notice": one.notice,
                "channel": channel_of(&one.target),
                "at": one.at.to_string(),
                "problem": one.problem,
            })
        });
        Self(json!({ "waiting": waiting, "givenUp": given_up.collect::<Vec<_>>() }))
    }
}

/// How the renewing of a credential stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialStatus {
    /// When this process took the one that is in use; none where that is the one that it began with.
    pub renewed_at: Option<Timestamp>,
    /// Why what stands in its place now is not used.
    pub problem: Option<String>,
}

/// The status of all mirrors and their lanes.
#[derive(Debug, Default)]
pub struct Status {
    lanes: Mutex<BTreeMap<LaneId, LaneStatus>>,
    problems: Mutex<BTreeMap<MirrorId, String>>,
    visibility: Mutex<BTreeMap<MirrorId, (Found, Exports)>>,
    /// By the ids of mirrors.
    notices: Mutex<BTreeMap<String, NoticesStatus>>,
    /// Of mirrors that this process polls.
    polls: Mutex<BTreeMap<MirrorId, PollStatus>>,
    /// Credentials that were renewed, or cannot be.
    credentials: Mutex<BTreeMap<(MirrorId, Purpose), CredentialStatus>>,
    /// Policies that only watch, by mirror and name.
    shadows: Mutex<BTreeMap<(MirrorId, String), Arc<ShadowReport>>>,
    /// Events that wait for mirrors whose lanes are not open.
    unopened: Mutex<BTreeMap<MirrorId, u64>>,
    /// What the log has that no mirror takes.
    unmirrored: Mutex<Vec<Unmirrored>>,
    /// What, beside the log, only a new process mends.
    over: Mutex<Option<String>>,
}

impl Status {
    /// Changes the status of one lane.
    pub fn update(&self, lane: &LaneId, change: impl FnOnce(&mut LaneStatus)) {
        change(self.lanes().entry(lane.clone()).or_default());
    }

    /// Changes the status of a lane, if there is one: who counts must not bring back what has ended.
    pub fn update_open(&self, lane: &LaneId, change: impl FnOnce(&mut LaneStatus)) {
        if let Some(status) = self.lanes().get_mut(lane) {
            change(status);
        }
    }

    /// Shows what a shadow policy says from now on.
    pub fn set_shadow(&self, report: &Arc<ShadowReport>) {
        let (mirror, name) = report.id();
        let key = (mirror.clone(), name.to_owned());
        self.shadows().insert(key, Arc::clone(report));
    }

    /// Returns what shadow policies of the mirrors that are meant say.
    #[must_use]
    pub fn shadow_pages(&self, is_meant: impl Fn(&MirrorId) -> bool) -> Vec<Value> {
        let shadows = self.shadows();
        let meant = shadows.iter().filter(|((mirror, _), _)| is_meant(mirror));
        meant.map(|(_, report)| report.page()).collect()
    }

    fn shadows(&self) -> std::sync::MutexGuard<'_, BTreeMap<(MirrorId, String), Arc<ShadowReport>>> {
        self.shadows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a lane that is no more.
    pub fn remove(&self, lane: &LaneId) {
        self.lanes().remove(lane);
    }

    /// Notes why the lanes of a mirror cannot be opened, or that they can.
    pub fn set_problem(&self, mirror: &MirrorId, problem: Option<String>) {
        let mut problems = self.problems();
        match problem {
            Some(problem) => problems.insert(mirror.clone(), problem),
            None => problems.remove(mirror),
        };
    }

    /// Notes who may read a mirror's repository, and what follows from that. Returns whether that is news.
    pub fn set_visibility(&self, mirror: &MirrorId, found: Found, exports: Exports) -> bool {
        let mut visibility = self.visibility.lock().unwrap_or_else(PoisonError::into_inner);
        let before = visibility.insert(mirror.clone(), (found, exports));
        before.is_none_or(|(_, before)| before != exports)
    }

    /// Notes how the delivery of notices stands.
    pub fn set_notices(&self, notices: BTreeMap<String, NoticesStatus>) {
        *self.notices.lock().unwrap_or_else(PoisonError::into_inner) = notices;
    }

    /// Notes how the polling of a mirror goes, or that it has ended.
    pub fn set_poll(&self, mirror: &MirrorId, poll: Option<PollStatus>) {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        match poll {
            Some(poll) => polls.insert(mirror.clone(), poll),
            None => polls.remove(mirror),
        };
    }

    /// Changes what there is to say of a mirror's credential.
    pub fn update_credential(
        &self,
        mirror: &MirrorId,
        purpose: Purpose,
        change: impl FnOnce(&mut CredentialStatus),
    ) {
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        change(credentials.entry((mirror.clone(), purpose)).or_default());
    }

    /// Forgets the credentials of a mirror that this process does not work for any more.
    pub fn forget_credentials(&self, mirror: &MirrorId) {
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        credentials.retain(|(of, _), _| of != mirror);
    }

    /// Notes how many events wait for mirrors whose lanes are not open.
    pub fn set_unopened(&self, unopened: BTreeMap<MirrorId, u64>) {
        *self.unopened.lock().unwrap_or_else(PoisonError::into_inner) = unopened;
    }

    /// Returns how many events wait for some mirrors.
    #[must_use]
    pub fn backlog(&self, is_meant: impl Fn(&MirrorId) -> bool) -> u64 {
        let lanes = self.lanes();
        let open = lanes.iter().filter(|(id, _)| is_meant(&id.mirror));
        let open: u64 = open.map(|(_, lane)| lane.backlog).sum();
        let unopened = self.unopened.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was opened since is counted by its lanes.
        let is_open = |mirror: &MirrorId| lanes.keys().any(|lane| lane.mirror == *mirror);
        let unopened = unopened
            .iter()
            .filter(|(mirror, _)| is_meant(mirror) && !is_open(mirror));
        open + unopened.map(|(_, events)| events).sum::<u64>()
    }

    /// Returns how many lanes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.lanes().values().filter(|lane| lane.held.is_some()).count()
    }

    /// Returns how many objects and shared files are withheld now.
    #[must_use]
    pub fn withheld(&self) -> usize {
        self.lanes().values().map(LaneStatus::withheld_count).sum()
    }

    /// Returns the lanes that are open.
    #[must_use]
    pub fn open_lanes(&self) -> Vec<LaneId> {
        self.lanes().keys().cloned().collect()
    }

    /// Notes what the log has that no mirror takes.
    pub fn set_unmirrored(&self, found: Vec<Unmirrored>) {
        *self.unmirrored.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Returns what there is to say of what no mirror takes, of the projects that are meant; null where there is nothing.
    #[must_use]
    pub fn unmirrored_page(&self, is_meant: impl Fn(&Topic) -> bool) -> Value {
        let found = self.unmirrored.lock().unwrap_or_else(PoisonError::into_inner);
        unmirrored::page(found.iter().filter(|one| is_meant(&one.topic)))
    }

    /// Notes what, beside the log, only a new process mends, or that there is nothing.
    pub fn set_over(&self, why: Option<String>) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Returns what was noted that only a new process mends.
    #[must_use]
    pub fn over(&self) -> Option<String> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the lanes of a mirror that fail, each with the reason and when it is tried next.
    #[must_use]
    pub fn failing(&self, mirror: &MirrorId) -> Vec<Value> {
        let lanes = self.lanes();
        let of_mirror = lanes.iter().filter(|(id, _)| id.mirror == *mirror);
        let failing = of_mirror.filter_map(|(id, lane)| {
            let outage = lane.shown_outage()?;
            Some(json!({
                "branchId": id.branch.as_str(),
                "ref": lane.refname,
                "since": outage.since.to_string(),
                "reason": outage.reason,
                "state": lane.state().as_str(),
                "attemptSince": lane.attempt_since.map(|at| at.to_string()),
                "nextDue": lane.next_due.map(|at| at.to_string()),
            }))
        });
        failing.collect()
    }

    /// Returns a lane whose attempt does not come forward.
    #[must_use]
    pub fn stuck(&self, now: Instant) -> Option<LaneId> {
        let stuck = |lane: &LaneStatus| {
            let progress = lane.progress.as_ref().filter(|_| lane.attempt_since.is_some());
            let idle = progress.and_then(|progress| progress.idle(now));
            idle.is_some_and(|idle| idle > STUCK_AFTER)
        };
        self.lanes()
            .iter()
            .find(|(_, lane)| stuck(lane))
            .map(|(id, _)| id.clone())
    }

    /// Returns the lanes of some mirrors as JSON, and which of these mirrors cannot be opened.
    #[must_use]
    pub fn page(&self, is_meant: impl Fn(&MirrorId) -> bool) -> Value {
        let lanes: Vec<Value> = self
            .lanes()
            .iter()
            .filter(|(id, _)| is_meant(&id.mirror))
            .map(|(id, lane)| {
                let mut shown = json!({
                    "mirror": id.mirror.as_str(),
                    "branchId": id.branch.as_str(),
                    "ref": lane.refname,
                    "state": lane.state().as_str(),
                    "tip": lane.tip.map(|tip| tip.to_string()),
                    "lastPush": lane.last_push.map(|at| at.to_string()),
                    "nextDue": lane.next_due.map(|at| at.to_string()),
                    "backlog": lane.backlog,
                    "awaited": lane.awaited,
                    "attemptSince": lane.attempt_since.map(|at| at.to_string()),
                    "outage": lane.shown_outage().map(|outage| json!({
                        "since": outage.since.to_string(),
                        "reason": outage.reason,
                        "attempts": outage.attempts,
                    })),
                    "otherSettings": lane.rendering.conflict(),
                    "jobs": lane.jobs.as_ref().map(JobsStatus::page),
                    "backfill": lane.backfill.as_ref().and_then(|progress| progress.get()),
                    "held": lane.held.as_ref().map(|held| json!({
                        "batch": held.id,
                        "losses": held.losses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    })),
                    "objects": inventory(&lane.inventory),
                    "noSample": lane.no_sample.values().map(|NoSample { called, why }| json!({
                        "table": called,
                        "reason": why,
                    })).collect::<Vec<_>>(),
                    "monthsRefused": lane.months_refused.iter().map(|month| json!({
                        "branch": month.branch,
                        "reason": month.reason,
                        "runs": month.runs,
                        "nextDue": month.until.to_string(),
                    })).collect::<Vec<_>>(),
                    "putAside": lane.put_aside,
                });
                match lane.withheld.clone() {
                    Some(mut withheld) => {
                        withheld.runs.extend(lane.unusable_runs.shown());
                        withheld.put_into(&mut shown);
                    }
                    None => WithheldNow::put_unknown_into(&mut shown),
                }
                shown
            })
            .collect();
        let problems = self.problems();
        let problems: Vec<Value> = problems
            .iter()
            .filter(|(mirror, _)| is_meant(mirror))
            .map(|(mirror, reason)| {
                json!({ "mirror": mirror.as_str(), "state": State::NotOpened.as_str(), "reason": reason })
            })
            .collect();
        let visibility = self.visibility.lock().unwrap_or_else(PoisonError::into_inner);
        let repositories: Vec<Value> = visibility
            .iter()
            .filter(|(mirror, _)| is_meant(mirror))
            .map(|(mirror, (found, exports))| {
                json!({
                    "mirror": mirror.as_str(),
                    "visibility": found.visibility.as_str(),
                    "why": found.why,
                    "samples": exports.samples,
                    "samplesBlocked": exports.samples_blocked,
                    "secrets": exports.secrets.as_str(),
                    "encryptedBlocked": exports.encrypted_blocked,
                })
            })
            .collect();
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let notices: Vec<Value> = notices
            .iter()
            .filter(|(mirror, _)| mirror.parse().is_ok_and(|mirror| is_meant(&mirror)))
            .map(|(mirror, NoticesStatus(page))| {
                let mut page = page.clone();
                page["mirror"] = mirror.as_str().into();
                page
            })
            .collect();
        let polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        let polls: Vec<Value> = polls
            .iter()
            .filter(|(mirror, _)| is_meant(mirror))
            .map(|(mirror, poll)| {
                json!({
                    "mirror": mirror.as_str(),
                    "lastLook": poll.last_look.map(|at| at.to_string()),
                    "next": poll.next.map(|at| at.to_string()),
                    "problem": poll.problem,
                    "events": poll.events,
                    "hints": poll.hints,
                })
            })
            .collect();
        let credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let credentials: Vec<Value> = credentials
            .iter()
            .filter(|((mirror, _), _)| is_meant(mirror))
            .map(|((mirror, purpose), credential)| {
                json!({
                    "mirror": mirror.as_str(),
                    "purpose": purpose.as_str(),
                    "renewed": credential.renewed_at.map(|at| at.to_string()),
                    "problem": credential.problem,
                })
            })
            .collect();
        json!({
            "lanes": lanes, "mirrors": problems, "repositories": repositories, "notices": notices, "polls": polls,
            "credentials": credentials, "shadows": self.shadow_pages(is_meant),
        })
    }

    /// Returns how a mirror stands; none where this process has no lane of it open and has not tried.
    #[must_use]
    pub fn summary(&self, mirror: &MirrorId) -> Option<Summary> {
        let problem = self.problems().get(mirror).cloned();
        let backlog = self.backlog(|id| id == mirror);
        let lanes = self.lanes();
        let own: Vec<&LaneStatus> = lanes
            .iter()
            .filter(|(id, _)| id.mirror == *mirror)
            .map(|(_, lane)| lane)
            .collect();
        let worst = own.iter().max_by_key(|lane| lane.state());
        let state = match (&problem, worst) {
            (Some(_), _) => State::NotOpened,
            (None, Some(lane)) => lane.state(),
            (None, None) => return None,
        };
        let outage = worst.and_then(|lane| lane.outage.as_ref());
        Some(Summary {
            state: state.as_str(),
            lanes: own.len(),
            backlog,
            withheld: own.iter().map(|lane| lane.withheld_count()).sum(),
            last_push: own.iter().filter_map(|lane| lane.last_push).max(),
            reason: problem
                .or_else(|| outage.map(|outage| outage.reason.clone()))
                .or_else(|| own.iter().find_map(|lane| lane.rendering.conflict())),
        })
    }

    /// Returns when a lane was last pushed.
    #[must_use]
    pub fn last_push(&self, lane: &LaneId) -> Option<Timestamp> {
        self.lanes().get(lane).and_then(|lane| lane.last_push)
    }

    /// Returns a copy of one lane's status.
    #[must_use]
    pub fn lane(&self, lane: &LaneId) -> Option<LaneStatus> {
        self.lanes().get(lane).cloned()
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<MirrorId, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<LaneId, LaneStatus>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
