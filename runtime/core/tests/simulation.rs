//! Lanes, retries, outages and notices through days of trouble, by seed: the log, the remote and the process are models that crash,
//! fail and repeat; the decisions are the product's. A seed that fails plays again exactly: `KBC_MIRROR_SEED=<seed>`.

mod random;

use jiff::Timestamp;
use mirror_core::{
    cause::Cause,
    cut::{LaneCursor, LogId, Position, Stream},
    ids::BranchId,
    incident::{Ledger, NoticeKind, Report},
    lane::{Action, AttemptEnd, Lane, LaneStart, Wake},
    retry::{Disposition, Failure, Jitter, Outage},
    window::WindowMode,
};
use random::Random;
use std::time::Duration;

const SEEDS: u64 = 5_000;
const DAY: i64 = 86_400;
const HOURS_3: i64 = 3 * 3_600;
/// The longest that a process stays away.
const AWAY_MAX: i64 = 600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("it is near")
}

struct Event {
    stream: Stream,
    second: i64,
}

struct World {
    random: Random,
    now: i64,
    /// Position is the index and one.
    log: Vec<Event>,
    /// When the remote does not answer.
    down: Vec<(i64, i64)>,
    // What outlives a process.
    cursor: LaneCursor,
    outage: Option<Outage>,
    ledger: Ledger,
    told: Vec<(i64, &'static str)>,
    // What does not.
    lane: Lane,
    /// When the attempt ends, and where the log ended when it began.
    running: Option<(i64, LaneCursor)>,
    attempts: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut down = Vec::new();
        let mut second = 0;
        for _ in 0..random.below(4) {
            second += 1 + random.below(DAY / 2);
            let longest = if random.one_in(2) { 5 * 3_600 } else { 1_200 };
            let end = second + 1 + random.below(longest);
            down.push((second, end));
            second = end;
        }
        let cursor = LaneCursor::start(LogId::parse("log").expect("an id"));
        let lane = Lane::new(start(&cursor, &[], None), at(0));
        Self {
            random,
            now: 0,
            log: Vec::new(),
            down,
            cursor,
            outage: None,
            ledger: Ledger::default(),
            told: Vec::new(),
            lane,
            running: None,
            attempts: 0,
        }
    }

    fn is_up(&self) -> bool {
        self.down
            .iter()
            .all(|(from, to)| self.now < *from || self.now >= *to)
    }

    /// The process is killed, and comes back later, knowing what was stored.
    fn crash(&mut self) {
        if let Some((_, reached)) = self.running.take()
            && self.is_up()
            && self.random.one_in(2)
        {
            // The push and the cursor had made it.
            self.cursor = reached;
        }
        self.now += self.random.below(AWAY_MAX);
        let start = start(&self.cursor, &self.log, self.outage.clone());
        self.lane = Lane::new(start, at(self.now));
        self.step(Wake::Tick);
    }

    fn step(&mut self, wake: Wake) {
        let jitter = Jitter(u16::try_from(self.random.below(65_536)).expect("16 bits"));
        for action in self.lane.step(wake, at(self.now), jitter) {
            // Between any two things that are stored.
            if self.random.one_in(200) {
                return self.crash();
            }
            match action {
                Action::Start { streams } => {
                    assert!(self.running.is_none(), "two attempts at a time");
                    let mut reached = self.cursor.clone();
                    for stream in streams {
                        let newest = self.newest(stream);
                        match stream {
                            Stream::Change => reached.change = reached.change.max(newest),
                            Stream::Jobs => reached.jobs = reached.jobs.max(newest),
                        }
                    }
                    self.attempts += 1;
                    self.running = Some((self.now + 1 + self.random.below(20), reached));
                }
                Action::Notify { notice, outage } => {
                    let from: BranchId = "7".parse().expect("an id");
                    let report = Report::Outage {
                        from: Some(from),
                        notice,
                        outage,
                    };
                    for notice in self.ledger.take_in(report, at(self.now)) {
                        assert!(!matches!(notice.kind, NoticeKind::NeedsCustomer(_)));
                        self.told.push((self.now, notice.kind.code()));
                    }
                }
                Action::Remember(outage) => {
                    if outage.is_none() {
                        self.check_told();
                    }
                    self.outage = outage;
                }
            }
        }
    }

    /// An outage has ended: was what it was told as what it was?
    fn check_told(&self) {
        let Some(outage) = &self.outage else { return };
        let since = outage.since.as_second();
        let told = self
            .told
            .iter()
            .filter(|(second, kind)| *second >= since && *kind == "outage");
        let (count, lasted) = (told.count(), self.now - since);
        assert!(count <= 1, "told {count} times of one outage");
        assert!(count == 0 || lasted >= HOURS_3, "told of {lasted} s");
        assert!(
            count == 1 || lasted <= HOURS_3 + 2 * AWAY_MAX,
            "not told of {lasted} s"
        );
    }

    fn newest(&self, stream: Stream) -> Position {
        let newest = self.log.iter().rposition(|event| event.stream == stream);
        Position(newest.map_or(0, |index| index as u64 + 1))
    }

    fn publish(&mut self) {
        let stream = if self.random.one_in(3) {
            Stream::Jobs
        } else {
            Stream::Change
        };
        self.log.push(Event {
            stream,
            second: self.now,
        });
        let arrived = Wake::Arrived {
            stream,
            position: Position(self.log.len() as u64),
            published_at: at(self.now),
            urgent: self.random.one_in(10),
        };
        // Hints may come twice.
        if self.random.one_in(5) {
            self.step(arrived.clone());
        }
        self.step(arrived);
    }

    fn attempt_ends(&mut self) {
        let Some((_, reached)) = self.running.take() else {
            return;
        };
        let end = if self.is_up() {
            assert!(reached.change >= self.cursor.change && reached.jobs >= self.cursor.jobs);
            self.cursor = reached.clone();
            AttemptEnd::Mirrored {
                cursor: reached,
                took: Some(Duration::from_secs(2)),
            }
        } else {
            AttemptEnd::Failed(Failure {
                disposition: Disposition::Temporary { after: None },
                cause: Cause::Remote,
                reason: "no answer".to_owned(),
            })
        };
        self.step(Wake::AttemptDone(end));
    }

    /// Goes on to the next thing that happens, no later than `until`; returns whether something did.
    fn go_on(&mut self, next_event: Option<i64>, until: i64) -> bool {
        let due = self.lane.next_due().map(|due| due.as_second().max(self.now));
        let ends = self.running.as_ref().map(|(end, _)| *end);
        let Some(next) = [due, ends, next_event]
            .into_iter()
            .flatten()
            .min()
            .filter(|next| *next <= until)
        else {
            return false;
        };
        self.now = self.now.max(next);
        if ends == Some(next) {
            self.attempt_ends();
        } else if next_event == Some(next) {
            self.publish();
        } else {
            // A due moment may lie between two seconds.
            self.now +=
                i64::from(due == Some(next) && self.lane.next_due().is_some_and(|due| due > at(self.now)));
            self.step(Wake::Tick);
        }
        true
    }
}

fn start(cursor: &LaneCursor, log: &[Event], outage: Option<Outage>) -> LaneStart {
    let waiting = |stream, after: Position| {
        let mut waiting = log
            .iter()
            .enumerate()
            .filter(|(index, event)| event.stream == stream && *index as u64 + 1 > after.0);
        let (first, published) = waiting.next().map(|(index, event)| (index, at(event.second)))?;
        let last = waiting.next_back().map_or(first, |(index, _)| index);
        Some((Position(last as u64 + 1), published))
    };
    LaneStart {
        change_waiting: waiting(Stream::Change, cursor.change),
        jobs_waiting: waiting(Stream::Jobs, cursor.jobs),
        cursor: cursor.clone(),
        change_mode: WindowMode::EARLY,
        jobs_mode: WindowMode::JOBS,
        is_new: true,
        outage,
        paused: false,
    }
}

/// Plays a seed; returns how many notices there were, and how many attempts.
fn play(seed: u64) -> (usize, u32) {
    let mut world = World::new(seed);
    world.step(Wake::Tick);
    let mut next_event = 1 + world.random.below(3_600);
    for _ in 0..200_000 {
        if world.now >= 2 * DAY {
            break;
        }
        if next_event <= world.now {
            next_event = world.now + 1 + world.random.below(3_600);
        }
        world.go_on(Some(next_event), 2 * DAY + 3_600);
        if world.random.one_in(300) {
            world.crash();
        }
    }
    assert!(world.now >= 2 * DAY, "it does not get on");
    // Everything heals; what waits must be through soon.
    world.down.clear();
    let end = world.now + 2 * 3_600;
    while world.go_on(None, end) {}
    for stream in Stream::ALL {
        assert_eq!(
            world.cursor.of(stream),
            world.newest(stream),
            "{stream:?}: something was not mirrored"
        );
    }
    assert!(world.outage.is_none(), "an outage is remembered that is over");
    let kinds: Vec<&str> = world.told.iter().map(|(_, kind)| *kind).collect();
    let told_in_turn = kinds.chunks(2).all(|pair| pair == ["outage", "recovered"]);
    assert!(told_in_turn, "told: {:?}", world.told);
    (world.told.len(), world.attempts)
}

#[test]
fn nothing_is_lost_and_each_long_outage_is_told_once_whatever_the_seed() {
    if let Ok(seed) = std::env::var("KBC_MIRROR_SEED") {
        play(seed.parse().expect("KBC_MIRROR_SEED is a number"));
        return;
    }
    let (mut notices, mut attempts) = (0, 0);
    for seed in 0..SEEDS {
        let played = std::panic::catch_unwind(|| play(seed));
        let (told, tried) = played.unwrap_or_else(|_| panic!("play it again with KBC_MIRROR_SEED={seed}"));
        notices += told;
        attempts += u64::from(tried);
    }
    // It would prove nothing if nothing happened in it.
    assert!(
        notices > 500 && attempts > 100_000,
        "{notices} notices, {attempts} attempts"
    );
}

#[test]
fn the_simulation_has_outages_of_both_kinds() {
    let long = |(from, to): &(i64, i64)| to - from > HOURS_3 + AWAY_MAX;
    let lengths: Vec<bool> = (0..100)
        .flat_map(|seed| World::new(seed).down.iter().map(long).collect::<Vec<_>>())
        .collect();
    assert!(lengths.contains(&true) && lengths.contains(&false));
}
