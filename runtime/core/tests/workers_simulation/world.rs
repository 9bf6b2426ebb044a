//! The world in which workers share a lane: clocks, log, store, leases and remote.

mod worker;

use crate::random::Random;
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Cut, LaneCursor, LogId, Logged, Position, Stream},
    event::{Body, ConfigChanged, Envelope, JobFinished, RunStatus},
    ids::{MirrorId, Oid, RunId, Topic},
    incident::Ledger,
    lane::{Lane, Wake},
    retry::{Disposition, Outage},
};
use std::collections::{BTreeMap, BTreeSet};

const HOUR: i64 = 3_600;
const LENGTH: i64 = 12 * HOUR;
const LEASE: i64 = 30;
const LOOK_EVERY: i64 = 10;
const WORKERS: usize = 3;

/// What is taken away, to see that its loss is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    Nothing,
    /// Pushes overwrite whatever the ref has.
    RefFence,
    /// The cursor is moved before the remote has answered.
    CursorAfterPush,
    /// What was told is known to each worker alone.
    SharedLedger,
}

#[derive(Clone)]
struct Commit {
    parent: Option<Oid>,
    configs: BTreeMap<ConfigKey, u64>,
    runs: BTreeSet<RunId>,
}

/// On its way to the remote, whatever becomes of its sender.
struct Push {
    lands: i64,
    worker: usize,
    life: u64,
    expected: Option<Oid>,
    id: Oid,
    commit: Commit,
}

/// An attempt after its cut.
struct Attempt {
    /// When the push is sent, if there is something to push.
    sends: i64,
    /// When its answer is given up.
    gives_up: i64,
    sent: bool,
    tip: Option<Oid>,
    stored: Option<LaneCursor>,
    cut: Cut,
    made: Option<(Oid, Commit)>,
    answer: Option<Result<Oid, Disposition>>,
}

#[derive(Default)]
struct Worker {
    /// Counts from a start.
    life: u64,
    away_until: i64,
    suspended_until: i64,
    /// How far its clock is off.
    clock: i64,
    looks_at: i64,
    lane: Option<Lane>,
    attempt: Option<Attempt>,
    own_ledger: Ledger,
    lease_until: i64,
    /// By its own clock.
    due: Option<i64>,
}

struct World {
    random: Random,
    without: Without,
    now: i64,
    log: Vec<Logged>,
    down: Vec<(i64, i64)>,
    workers: Vec<Worker>,
    pushes: Vec<Push>,
    // The remote.
    commits: BTreeMap<Oid, Commit>,
    tip: Option<Oid>,
    // What is shared.
    cursor: Option<LaneCursor>,
    cut: Option<Cut>,
    outage: Option<Outage>,
    ledger: Ledger,
    lease: Option<(usize, u64, i64)>,
    told: Vec<(i64, &'static str)>,
    versions: BTreeMap<usize, u64>,
    seen: Seen,
    calm: bool,
}

/// What has happened at all.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) takeovers: u64,
    /// Pushes by one who no longer held the lane.
    pub(crate) stale_pushes: u64,
    pub(crate) refused_pushes: u64,
    pub(crate) commits: u64,
    pub(crate) notices: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.takeovers += other.takeovers;
        self.stale_pushes += other.stale_pushes;
        self.refused_pushes += other.refused_pushes;
        self.commits += other.commits;
        self.notices += other.notices;
    }
}

const FIRST_SECOND: i64 = 1_790_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(FIRST_SECOND + second).expect("it is near")
}

fn topic() -> Topic {
    Topic {
        stack: "a.keboola.com".parse().expect("it is one"),
        project: "7".parse().expect("it is one"),
        branch: "1".parse().expect("it is one"),
    }
}

fn mirror() -> MirrorId {
    "m".parse().expect("it is one")
}

fn log_id() -> LogId {
    LogId::parse("log").expect("it is one")
}

impl World {
    fn new(seed: u64, without: Without) -> Self {
        let mut random = Random(seed);
        let mut down = Vec::new();
        let mut second = 0;
        for _ in 0..random.below(3) {
            second += 1 + random.below(LENGTH / 3);
            let longest = if random.one_in(2) { 7 * HOUR } else { 1_200 };
            let end = second + 1 + random.below(longest);
            down.push((second, end));
            second = end;
        }
        Self {
            random,
            without,
            now: 0,
            log: Vec::new(),
            down,
            workers: (0..WORKERS).map(|_| Worker::default()).collect(),
            pushes: Vec::new(),
            commits: BTreeMap::new(),
            tip: None,
            cursor: None,
            cut: None,
            outage: None,
            ledger: Ledger::default(),
            lease: None,
            told: Vec::new(),
            versions: BTreeMap::new(),
            seen: Seen::default(),
            calm: false,
        }
    }

    fn is_up(&self) -> bool {
        self.down
            .iter()
            .all(|(from, to)| self.now < *from || self.now >= *to)
    }

    /// What the history up to a commit has; the chain must be one.
    fn state_at(&self, tip: Option<Oid>) -> (BTreeMap<ConfigKey, u64>, BTreeSet<RunId>) {
        let (mut configs, mut runs) = (BTreeMap::new(), BTreeSet::new());
        let mut next = tip;
        while let Some(id) = next {
            let commit = &self.commits[&id];
            for (key, version) in &commit.configs {
                // Newest first: what is below must be older.
                let known = configs.entry(key.clone()).or_insert(*version);
                assert!(
                    *known >= *version,
                    "I3: version {version} of {key} on top of {known}"
                );
            }
            for run in &commit.runs {
                assert!(runs.insert(run.clone()), "I2: run {run} is in two commits");
            }
            next = commit.parent;
        }
        (configs, runs)
    }

    fn newest(&self, stream: Stream) -> Position {
        let newest = self.log.iter().rfind(|logged| logged.envelope.stream() == stream);
        newest.map_or(Position::START, |logged| logged.position)
    }

    fn publish(&mut self) {
        let body = if self.random.one_in(3) {
            let run = format!("run-{}", self.log.len());
            Body::JobFinished(Box::new(JobFinished {
                run: RunId::parse(&run).expect("it is one"),
                component: "c".parse().expect("it is one"),
                config: None,
                config_version: None,
                status: RunStatus::Success,
                started_at: None,
                finished_at: None,
                inputs: Vec::new(),
                outputs: Vec::new(),
                state_digest: None,
                artifact_links: Vec::new(),
            }))
        } else {
            let config = usize::try_from(self.random.below(5)).expect("it is small");
            let version = self.versions.entry(config).or_default();
            *version += 1;
            Body::ConfigChanged(ConfigChanged {
                component: "c".parse().expect("it is one"),
                config: config.to_string().parse().expect("it is one"),
                version: *version,
                identifier: None,
                author: None,
            })
        };
        let envelope = Envelope::internal(topic(), body, at(self.now));
        let position = Position(self.log.len() as u64 + 1);
        let arrived = Wake::Arrived {
            stream: envelope.stream(),
            position,
            published_at: envelope.published_at,
            urgent: self.random.one_in(10),
        };
        self.log.push(Logged {
            position,
            appended_at: at(self.now),
            envelope,
        });
        for worker in 0..WORKERS {
            // Hints get lost, and looks find what they told.
            if self.is_at_work(worker) && !self.random.one_in(10) {
                self.step(worker, arrived.clone());
            }
        }
    }

    /// I1, I5: whatever is before the cursor is in the history of the remote.
    fn check_cursor(&self) {
        let Some(cursor) = &self.cursor else { return };
        let (configs, runs) = self.state_at(self.tip);
        for logged in &self.log {
            if logged.position > cursor.of(logged.envelope.stream()) {
                continue;
            }
            match &logged.envelope.body {
                Body::ConfigChanged(changed) => {
                    let key = ConfigKey {
                        component: changed.component.clone(),
                        config: changed.config.clone(),
                    };
                    assert!(
                        configs.get(&key) >= Some(&changed.version),
                        "I1: version {} of {key} is before the cursor and not in the remote",
                        changed.version
                    );
                }
                Body::JobFinished(job) => assert!(
                    runs.contains(&job.run),
                    "I1: run {} is before the cursor and not in the remote",
                    job.run
                ),
                _ => {}
            }
        }
    }

    fn land(&mut self) {
        let due: Vec<usize> = (0..self.pushes.len())
            .rev()
            .filter(|index| self.pushes[*index].lands <= self.now)
            .collect();
        for index in due {
            let Push {
                worker,
                life,
                expected,
                id,
                commit,
                ..
            } = self.pushes.swap_remove(index);
            let holder = self.lease.filter(|(.., until)| *until > self.now);
            let is_stale = holder.is_none_or(|(holder, held, _)| (holder, held) != (worker, life));
            self.seen.stale_pushes += u64::from(is_stale);
            let answer = if !self.is_up() {
                Err(Disposition::Temporary { after: None })
            } else if self.tip == expected || self.without == Without::RefFence {
                self.seen.commits += 1;
                self.commits.insert(id, commit);
                self.tip = Some(id);
                Ok(id)
            } else if self.tip == Some(id) {
                // It is known by its id: another worker has made the very same.
                Ok(id)
            } else {
                self.seen.refused_pushes += 1;
                Err(Disposition::RefMoved)
            };
            // The answer may be lost on its way.
            if self.workers[worker].life == life
                && !self.random.one_in(20)
                && let Some(attempt) = &mut self.workers[worker].attempt
                && attempt.made.as_ref().is_some_and(|(made, _)| *made == id)
            {
                attempt.answer = Some(answer);
            }
        }
        self.check_cursor();
    }

    fn trouble(&mut self) {
        let worker = usize::try_from(self.random.below(3)).expect("it is small");
        match self.random.below(600) {
            0 => self.kill(worker),
            1 => self.workers[worker].suspended_until = self.now + self.random.below(600),
            // A clock is set.
            2 => self.workers[worker].clock = self.random.below(2 * HOUR) - HOUR,
            _ => {}
        }
    }

    /// One second.
    fn second(&mut self) {
        self.now += 1;
        if !self.calm {
            if self.random.one_in(300) {
                self.publish();
            }
            self.trouble();
        }
        if self.pushes.iter().any(|push| push.lands <= self.now) {
            self.land();
        }
        for worker in 0..WORKERS {
            if !self.is_at_work(worker) {
                continue;
            }
            if self.workers[worker].looks_at <= self.now {
                self.look(worker);
            }
            if self.workers[worker].attempt.is_some() {
                self.go_on(worker);
            }
            let Worker { due, clock, .. } = &self.workers[worker];
            if due.is_some_and(|due| due <= FIRST_SECOND + self.now + clock) {
                self.step(worker, Wake::Tick);
            }
        }
    }
}

/// Plays a seed to its end.
pub(crate) fn play(seed: u64, without: Without) -> Seen {
    let mut world = World::new(seed, without);
    while world.now < LENGTH {
        world.second();
    }
    // Everything heals; what waits must be through within the hour that no retry outlasts, and a little.
    world.calm = true;
    world.down.clear();
    for worker in &mut world.workers {
        (worker.clock, worker.suspended_until) = (0, 0);
        worker.away_until = worker.away_until.min(world.now);
    }
    let end = world.now + 3 * HOUR;
    let is_through = |world: &World| {
        let at_the_end = |cursor: &LaneCursor| {
            Stream::ALL
                .into_iter()
                .all(|stream| cursor.of(stream) == world.newest(stream))
        };
        world.log.is_empty() || world.cursor.as_ref().is_some_and(at_the_end)
    };
    while world.now < end && (!is_through(&world) || world.outage.is_some()) {
        world.second();
    }
    assert!(
        is_through(&world),
        "I5: something waits hours after everything has healed"
    );
    world.check_cursor();
    let (configs, _) = world.state_at(world.tip);
    for (config, version) in &world.versions {
        let key = ConfigKey {
            component: "c".parse().expect("it is one"),
            config: config.to_string().parse().expect("it is one"),
        };
        assert_eq!(
            configs.get(&key),
            Some(version),
            "I4: the newest version of {key}"
        );
    }
    assert!(world.outage.is_none(), "an outage is remembered that is over");
    // I6: told once, and once that it is over, by whichever worker.
    let kinds: Vec<&str> = world.told.iter().map(|(_, kind)| *kind).collect();
    assert!(
        kinds.chunks(2).all(|pair| pair == ["outage", "recovered"]),
        "I6: {:?}",
        world.told
    );
    world.seen
}
