//! Four hours without the remote, while 100,000 events wait: what is told, how it is caught up, and what history says
//! afterwards. Log and remote are models, time is made up; the decisions are the product's. `tests/it/tests/outage.rs` does
//! the same over the real log, source and Git server.

mod random;

use jiff::Timestamp;
use mirror_core::{
    cause::Cause,
    cut::{
        ConfigKey, Cut, LaneCursor, LogId, Logged, Position, Stream,
        groups::{COMMITS_MAX, EVENTS_MAX, Extent, Split},
    },
    event::{Body, ConfigChanged, Envelope},
    ids::{BranchId, ComponentId, ConfigId, MirrorId, Topic},
    incident::{Ledger, Report},
    lane::{Action, AttemptEnd, Lane, LaneStart, Wake},
    retry::{Disposition, Failure, Jitter, Outage},
    window::WindowMode,
};
use random::Random;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const EVENTS: usize = 100_000;
const CONFIGURATIONS: u64 = 500;
const PEOPLE: u64 = 12;
/// The remote goes away after the first minute, and comes back.
const DOWN: (i64, i64) = (60_000, 60_000 + 4 * HOUR);
const HOUR: i64 = 3_600_000;
const SPAN: Duration = Duration::from_secs(30);
/// A process lives so long, and is killed.
const LIFE: i64 = 37 * 60_000;
/// An attempt takes so long whether it fails or not.
const ATTEMPT: i64 = 4_000;

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_793_606_400_000 + millisecond).expect("it is near")
}

fn mirror() -> MirrorId {
    "shop".parse().expect("an id")
}

/// What was in one window, told from the events alone: of each configuration its last version, author and time there.
type Window = BTreeMap<ConfigKey, (u64, Option<String>, Timestamp)>;

struct World {
    now: i64,
    log: Vec<Logged>,
    /// So many of them have happened.
    appended: usize,
    /// The commits that the remote has.
    history: Vec<Cut>,
    pushes: Vec<usize>,
    cursor: LaneCursor,
    outage: Option<Outage>,
    ledger: Ledger,
    told: Vec<(&'static str, i64)>,
    lane: Lane,
    running_until: Option<i64>,
    attempts: u32,
    deaths: u32,
}

impl World {
    fn new() -> Self {
        let cursor = LaneCursor::start(LogId::parse("log").expect("an id"));
        Self {
            now: 0,
            log: events(),
            appended: 0,
            history: Vec::new(),
            pushes: Vec::new(),
            lane: Lane::new(start(&cursor, &[], None), at(0)),
            cursor,
            outage: None,
            ledger: Ledger::default(),
            told: Vec::new(),
            running_until: None,
            attempts: 0,
            deaths: 0,
        }
    }

    fn is_up(&self) -> bool {
        !(DOWN.0..DOWN.1).contains(&self.now)
    }

    fn step(&mut self, wake: Wake) {
        let jitter = Jitter(u16::try_from(self.now % 65_536).expect("16 bits"));
        for action in self.lane.step(wake, at(self.now), jitter) {
            match action {
                Action::Start { .. } => {
                    self.attempts += 1;
                    self.running_until = Some(self.now + ATTEMPT);
                }
                Action::Notify { notice, outage } => {
                    let from: BranchId = "7".parse().expect("an id");
                    let report = Report::Outage {
                        from: Some(from),
                        notice,
                        outage,
                    };
                    let told = self.ledger.take_in(report, at(self.now));
                    self.told
                        .extend(told.iter().map(|notice| (notice.kind.code(), self.now)));
                }
                Action::Remember(outage) => self.outage = outage,
            }
        }
    }

    /// What an attempt does, in the same order: reads what waits, cuts it, and pushes a commit for each window.
    fn attempt_ends(&mut self) {
        self.running_until = None;
        let end = if self.is_up() {
            let after = usize::try_from(self.cursor.change.0).expect("it is an index");
            let waiting = &self.log[after..self.appended];
            let mut extent = Extent::new(SPAN);
            let _ = waiting.chunks(EVENTS_MAX).all(|page| extent.take(page));
            let covered = waiting.partition_point(|logged| logged.position <= extent.through());
            let mut cut = Cut::of(&mirror(), &self.cursor, &waiting[..covered], at(self.now));
            cut.windows = extent.windows();
            self.cursor.change = cut.change_through;
            if !cut.is_empty() {
                let mut split = Split::of(&mirror(), &cut);
                waiting[..covered]
                    .iter()
                    .for_each(|logged| split.take(&mirror(), logged));
                let parts = split.groups();
                self.pushes.push(parts.len());
                self.history.extend(parts.into_iter().map(|part| part.cut));
            }
            AttemptEnd::Mirrored {
                cursor: self.cursor.clone(),
                took: None,
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

    fn die(&mut self) {
        self.deaths += 1;
        self.running_until = None;
        self.lane = Lane::new(
            start(&self.cursor, &self.log[..self.appended], self.outage.clone()),
            at(self.now),
        );
        self.step(Wake::Tick);
    }

    /// Goes on from one thing that happens to the next, until nothing does any more.
    fn play(&mut self) {
        let mut dies_at = LIFE;
        self.step(Wake::Tick);
        loop {
            let due = self.lane.next_due().map(|due| {
                let millisecond = due.as_millisecond() - at(0).as_millisecond();
                // A due moment may lie within a millisecond.
                (millisecond + i64::from(due > at(millisecond))).max(self.now)
            });
            let arrives = self.log.get(self.appended);
            let arrives = arrives.map(|next| next.appended_at.as_millisecond() - at(0).as_millisecond());
            let dies = (dies_at < DOWN.1).then_some(dies_at);
            let Some(next) = [due, self.running_until, arrives, dies]
                .into_iter()
                .flatten()
                .min()
            else {
                return;
            };
            self.now = next;
            if self.running_until == Some(next) {
                self.attempt_ends();
            } else if dies == Some(next) {
                dies_at += LIFE;
                self.die();
            } else if arrives == Some(next) {
                let event = &self.log[self.appended];
                let arrived = Wake::Arrived {
                    stream: Stream::Change,
                    position: event.position,
                    published_at: event.envelope.published_at,
                    urgent: false,
                };
                self.appended += 1;
                self.step(arrived);
            } else {
                self.step(Wake::Tick);
            }
        }
    }
}

fn start(cursor: &LaneCursor, log: &[Logged], outage: Option<Outage>) -> LaneStart {
    let first = log.iter().find(|logged| logged.position > cursor.change);
    LaneStart {
        cursor: cursor.clone(),
        change_mode: WindowMode::Fixed { span: SPAN },
        jobs_mode: WindowMode::JOBS,
        change_waiting: first.map(|first| (Position(log.len() as u64), first.envelope.published_at)),
        jobs_waiting: None,
        is_new: true,
        outage,
        paused: false,
    }
}

/// The events of the outage, the last of them before its end: people at work, with pauses between.
fn events() -> Vec<Logged> {
    let mut random = Random(4);
    let mut moments: Vec<i64> = (0..EVENTS)
        .map(|_| {
            let quarter = random.below(16);
            // Each quarter of an hour has its pause, so that windows do not follow each other without a gap.
            DOWN.0 + quarter * 15 * 60_000 + random.below(14 * 60_000)
        })
        .collect();
    moments.sort_unstable();
    let topic = Topic {
        stack: "connection.example.com".parse().expect("a host name"),
        project: "5678".parse().expect("an id"),
        branch: "7".parse().expect("an id"),
    };
    let component: ComponentId = "keboola.ex-shop".parse().expect("an id");
    let mut versions: BTreeMap<i64, u64> = BTreeMap::new();
    let logged = |(index, moment): (usize, i64)| {
        let config = random.below(i64::try_from(CONFIGURATIONS).expect("it is small"));
        let version = versions.entry(config).or_insert(1);
        *version += 1;
        let config: ConfigId = config.to_string().parse().expect("an id");
        let body = Body::ConfigChanged(ConfigChanged {
            component: component.clone(),
            config,
            version: *version,
            identifier: None,
            author: Some(match random.one_in(20) {
                true => "ci-bot".to_owned(),
                false => format!("person-{}@example.com", random.next() % PEOPLE),
            }),
        });
        Logged {
            position: Position(index as u64 + 1),
            appended_at: at(moment),
            envelope: Envelope::internal(topic.clone(), body, at(moment)),
        }
    };
    moments.into_iter().enumerate().map(logged).collect()
}

/// The windows, told by a loop of this test's own: one opens with an event and takes what comes within thirty seconds.
fn windows(log: &[Logged]) -> Vec<Window> {
    let mut windows: Vec<(Timestamp, Window)> = Vec::new();
    for logged in log {
        let Body::ConfigChanged(changed) = &logged.envelope.body else {
            panic!("there are only changes")
        };
        let occurred_at = logged.envelope.occurred_at;
        let open = windows
            .last()
            .is_some_and(|(opened, _)| occurred_at.duration_since(*opened).as_millis() <= 30_000);
        if !open {
            windows.push((occurred_at, Window::new()));
        }
        let key = ConfigKey {
            component: changed.component.clone(),
            config: changed.config.clone(),
        };
        let (_, window) = windows.last_mut().expect("there is one by now");
        window.insert(key, (changed.version, changed.author.clone(), occurred_at));
    }
    windows.into_iter().map(|(_, window)| window).collect()
}

#[test]
fn four_hours_with_a_hundred_thousand_events_are_told_once_and_leave_a_true_history() {
    let mut world = World::new();
    world.play();

    // One notice at three hours, of the first failure; one when it is over; nothing after any of the deaths.
    let codes: Vec<&str> = world.told.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, ["outage", "recovered"]);
    let first_failure = world.told[0].1 - 3 * HOUR;
    assert!(
        (DOWN.0..DOWN.0 + 40_000).contains(&first_failure),
        "told of {first_failure}"
    );
    assert!(world.told[1].1 > DOWN.1 && world.outage.is_none());
    assert!(
        world.deaths >= 5 && world.attempts > 48,
        "it was tried every five minutes, by several processes"
    );

    // A commit for each window, with what was newest in it, by whoever made that.
    let expected = windows(&world.log);
    assert_eq!(world.history.len(), expected.len());
    for (cut, window) in world.history.iter().zip(&expected) {
        let found: Window = cut
            .configs
            .iter()
            .map(|(key, wanted)| {
                (
                    key.clone(),
                    (wanted.version, wanted.author.clone(), wanted.occurred_at),
                )
            })
            .collect();
        assert_eq!(found, *window);
    }
    // Each event is in exactly one of them.
    let counted: u64 = world.history.iter().map(|cut| cut.events.count).sum();
    assert_eq!(counted, EVENTS as u64);
    let joined = world
        .history
        .windows(2)
        .all(|two| two[0].change_through == two[1].change_after);
    assert!(joined && world.cursor.change == Position(EVENTS as u64));
    let digests: BTreeSet<&str> = world
        .history
        .iter()
        .map(|cut| cut.events.sha256.as_str())
        .collect();
    assert_eq!(digests.len(), expected.len());

    // No push is larger than it may be, and they go one after the other.
    assert!(world.pushes.iter().all(|commits| *commits <= COMMITS_MAX));
    let least = EVENTS.div_ceil(EVENTS_MAX);
    assert!((least..=least + 1).contains(&world.pushes.len()));
    let caught_up = world.now - DOWN.1;
    println!(
        "{EVENTS} events: {} commits in {} pushes; all there {} s after the remote was back, the first retry among them; {} attempts, {} deaths",
        world.history.len(),
        world.pushes.len(),
        caught_up / 1000,
        world.attempts,
        world.deaths,
    );
}
