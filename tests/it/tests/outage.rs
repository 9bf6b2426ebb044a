//! Four hours without the Git server, while 100,000 changes are made: what is told, and what history says afterwards.
//!
//! Everything is real (log, state, outbox, source, Git server) but time: the lane's state machine is told hours that take
//! no time, and its attempts are made when it asks for them. `runtime/core/tests/outage_drill.rs` does the same over models.

use crate::support::{BOT, JANE, Keboola, PETR, Repository, first_snapshot_over_http};
use fake_keboola::{Change, ConfigAt};
use git_servers::{Fault, HttpServer, On};
use jiff::{SignedDuration, Timestamp};
use mirror_core::{
    cut::{
        LaneCursor, Stream,
        groups::{COMMITS_MAX, EVENTS_MAX},
    },
    incident::Report,
    lane::{Action, AttemptEnd, Lane as Machine, LaneStart, Wake},
    retry::{Failure, Jitter},
    window::WindowMode,
};
use mirror_it::Rig;
use mirror_runtime::app::chain;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const EVENTS: usize = 100_000;
/// So often somebody sits down to work; each time is a window of its own.
const SESSIONS: usize = 300;
const CONFIGURATIONS: usize = 200;
const OUTAGE_SECONDS: i64 = 4 * 3_600;
const SPAN: Duration = Duration::from_secs(30);
/// A process lives so long.
const LIFE_SECONDS: i64 = 50 * 60;

fn start() -> Timestamp {
    "2036-11-20T08:00:00Z".parse().expect("it is a time")
}

fn at(second: i64) -> Timestamp {
    start() + SignedDuration::from_secs(second)
}

struct Drill {
    keboola: Arc<Keboola>,
    rig: Rig,
    server: HttpServer,
    machine: Machine,
    now: Timestamp,
    /// Number of the fake's last event that was posted.
    told: u64,
    failures: u32,
    /// Commits of each push.
    pushes: Vec<usize>,
}

impl Drill {
    /// Takes the first snapshot over a server that works.
    async fn new(keboola: &Arc<Keboola>) -> Self {
        let (rig, server) = first_snapshot_over_http(keboola).await;
        let machine = machine(&rig, start()).await;
        Self {
            keboola: Arc::clone(keboola),
            rig,
            server,
            machine,
            now: start(),
            told: keboola.outbox(0).last().map_or(0, |event| event.seq),
            failures: 0,
            pushes: Vec::new(),
        }
    }

    /// Posts what was told since the last time, and tells the machine.
    async fn post(&mut self) {
        let events = self.keboola.outbox(self.told);
        self.told = events.last().map_or(self.told, |event| event.seq);
        let events: Vec<String> = events.into_iter().map(|event| event.json).collect();
        self.rig.post_at(&events, self.now).await;
        let lane = self.rig.lane();
        let newest = lane.log.newest(&lane.topic, Stream::Change).await;
        let arrived = Wake::Arrived {
            stream: Stream::Change,
            position: newest.expect("the log can be read"),
            published_at: self.now,
            urgent: false,
        };
        self.step(arrived).await;
    }

    /// Does what the machine asks for, as a lane's task does.
    async fn step(&mut self, wake: Wake) {
        let mut wakes = vec![wake];
        while let Some(wake) = wakes.pop() {
            for action in self.machine.step(wake, self.now, Jitter::NONE) {
                let lane = self.rig.lane();
                match action {
                    Action::Start { .. } => wakes.push(Wake::AttemptDone(self.attempt().await)),
                    Action::Notify { notice, outage } => {
                        let from = Some(lane.id.branch.clone());
                        let report = Report::Outage { from, notice, outage };
                        let told = lane.notices.report(vec![report], self.now).await;
                        told.expect("the outbox takes it");
                    }
                    Action::Remember(outage) => {
                        let stored = lane.state.put_outage(&lane.id, outage.as_ref()).await;
                        stored.expect("it can be stored");
                    }
                }
            }
        }
    }

    async fn attempt(&mut self) -> AttemptEnd {
        match self.rig.try_attempt().await {
            Ok(done) => {
                let commits = done.caught_up.len() + usize::from(done.landed.is_some());
                self.pushes.extend((commits > 0).then_some(commits));
                AttemptEnd::Mirrored {
                    cursor: done.cursor,
                    took: None,
                }
            }
            Err(error) => {
                self.failures += 1;
                AttemptEnd::Failed(Failure {
                    disposition: error.disposition(),
                    cause: error.cause(),
                    reason: chain(&error),
                })
            }
        }
    }

    /// Lets time pass up to a moment, with everything that becomes due until then.
    async fn pass(&mut self, until: Timestamp) {
        while let Some(due) = self.machine.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.step(Wake::Tick).await;
        }
        self.now = until;
    }

    /// Another process goes on with what is stored.
    async fn die(&mut self) {
        self.rig.restart(|_, _| ()).await;
        self.machine = machine(&self.rig, self.now).await;
    }

    /// Kinds and times of what the admins are told, as the outbox has them.
    fn notices(&self) -> Vec<(String, Timestamp)> {
        let data = self.rig.repository().with_file_name("data");
        let database = Connection::open(data.join(mirror_runtime::database::DATABASE_FILE));
        let database = database.expect("the database is there");
        let mut notices = database
            .prepare("SELECT message, at FROM notice ORDER BY at")
            .expect("there is such a table");
        let notices = notices.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
        notices
            .expect("they can be read")
            .map(|notice| {
                let (message, at) = notice.expect("it can be read");
                let message: Value = serde_json::from_str(&message).expect("it is JSON");
                let kind = message["notice"]["kind"].as_str().unwrap_or_default().to_owned();
                (kind, Timestamp::from_microsecond(at).expect("it is a time"))
            })
            .collect()
    }
}

/// Builds the machine from what log and state know, as a process does that begins.
async fn machine(rig: &Rig, now: Timestamp) -> Machine {
    let lane = rig.lane();
    let cursor = lane.log.cursor(&lane.id).await.expect("the log can be read");
    let cursor = cursor.unwrap_or_else(|| LaneCursor::start(lane.log.log_id().clone()));
    let first = lane.log.read(&lane.topic, cursor.change, Some(Stream::Change), 1);
    let first = first.await.expect("the log can be read");
    let newest = lane.log.newest(&lane.topic, Stream::Change).await;
    let newest = newest.expect("the log can be read");
    let start = LaneStart {
        change_waiting: first.first().map(|first| (newest, first.envelope.published_at)),
        jobs_waiting: None,
        cursor,
        change_mode: WindowMode::Fixed { span: SPAN },
        jobs_mode: WindowMode::JOBS,
        is_new: true,
        outage: lane.state.outage(&lane.id).await.expect("the state can be read"),
        paused: false,
    };
    Machine::new(start, now)
}

/// A commit as history shows it: who, when, and which versions.
type Told = (String, i64, Vec<String>);

fn history(rig: &Rig) -> Vec<Told> {
    let format = "--format=%ae|%at|%(trailers:key=Keboola-Change,valueonly,separator=%x2C)";
    let log = rig.git(&["log", "--reverse", format, "main"]);
    let told = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        // Without the identifier, which is the source's affair.
        let mut versions: Vec<String> = fields[2]
            .split(',')
            .filter_map(|change| change.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        versions.sort_unstable();
        (
            fields[0].to_owned(),
            fields[1].parse().expect("a second"),
            versions,
        )
    };
    log.lines().skip(1).map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_four_hours_is_told_once_and_each_of_its_windows_becomes_a_commit() {
    let keboola = Keboola::small();
    let configurations: Vec<ConfigAt> = (0..CONFIGURATIONS)
        .map(|number| keboola.create(&format!("c{number}"), &format!("Configuration {number}"), BOT))
        .collect();
    let mut drill = Drill::new(&keboola).await;
    for _ in 0..2_000 {
        drill.server.fail_next(On::Any, Fault::status(503));
    }

    let clock = std::time::Instant::now();
    // Each session is somebody who saves two configurations again and again, for less than a window's time.
    let mut expected: Vec<Told> = Vec::new();
    let mut born = 0;
    for session in 0..SESSIONS {
        let began = OUTAGE_SECONDS * i64::try_from(session).expect("it is small")
            / i64::try_from(SESSIONS).expect("it is small");
        drill.pass(at(began)).await;
        if began - born > LIFE_SECONDS {
            born = began;
            drill.die().await;
        }
        let (id, name) = if session % 3 == 0 { JANE } else { PETR };
        let edits = EVENTS * (session + 1) / SESSIONS - EVENTS * session / SESSIONS;
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        let mut second = began;
        for edit in 0..edits {
            second = began + i64::try_from(20 * edit / edits).expect("it is small");
            let at_work = &configurations[(2 * session + edit % 2) % CONFIGURATIONS];
            let change = Change::by(id, name, "Save", at(second));
            let made = drill.keboola.update_configuration(at_work, &change, |content| {
                content["parameters"] = json!({ "session": session, "edit": edit });
            });
            let version = made.expect("it is there").expect("it differs").version;
            newest.insert(&at_work.config, version);
        }
        drill.pass(at(second)).await;
        drill.post().await;
        let versions = newest
            .iter()
            .map(|(config, version)| format!("keboola.ex-shop/{config}@{version}"));
        let mut versions: Vec<String> = versions.collect();
        versions.sort_unstable();
        expected.push((name.to_owned(), at(second).as_second(), versions));
    }
    drill.pass(at(OUTAGE_SECONDS)).await;
    assert!(history(&drill.rig).is_empty() && drill.pushes.is_empty());
    assert!(
        drill.failures > 48,
        "it was tried every five minutes: {}",
        drill.failures
    );

    println!("the outage took {:?}", clock.elapsed());
    drill.server.forget_faults();
    drop(drill.server.take_seen());
    let began = std::time::Instant::now();
    drill.pass(at(OUTAGE_SECONDS + 600)).await;
    let (took, seen) = (began.elapsed(), drill.server.take_seen());

    let notices = drill.notices();
    let kinds: Vec<&str> = notices.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["failing", "recovered"]);
    let told_after = notices[0].1.duration_since(start()).as_secs();
    assert!(
        (3 * 3_600..3 * 3_600 + 60).contains(&told_after),
        "told after {told_after} s"
    );
    assert_eq!(history(&drill.rig), expected);
    let sent = seen
        .iter()
        .filter(|seen| seen.method == "POST" && seen.path.ends_with("/git-receive-pack"));
    assert_eq!(sent.count(), drill.pushes.len());
    assert!(drill.pushes.iter().all(|commits| *commits <= COMMITS_MAX));
    assert!(drill.pushes.len() <= EVENTS.div_ceil(EVENTS_MAX) + 1);
    println!(
        "{EVENTS} events in {SESSIONS} windows: {} commits in {} pushes, caught up in {took:?} after {} failed attempts",
        drill.pushes.iter().sum::<usize>(),
        drill.pushes.len(),
        drill.failures,
    );
    // Nothing else is there but what a full render makes.
    let before = drill.rig.tree();
    drill.rig.ask_for_all("is it all?").await;
    drill.rig.settle().await;
    assert_eq!(drill.rig.tree(), before);
    Repository::at(drill.rig.repository()).fsck();
}
