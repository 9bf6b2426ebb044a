//! What does the way of an event take before an attempt begins: until it is durable, and until the lane knows that it
//! is due?

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use mirror_benches::sizes;
use mirror_core::{
    cut::{LaneCursor, LogId, Position, Stream},
    event::{Body, ConfigChanged, Envelope},
    ids::{BranchId, ComponentId, ConfigId, LaneId, MirrorId, ProjectId, Stack, Topic},
    lane::{Action, AttemptEnd, Lane, LaneStart, Wake},
    retry::Jitter,
    window::WindowMode,
};
use mirror_runtime::{
    database::{Database, DatabaseOptions},
    queue::{EventLog, NewEvent, embedded::EmbeddedLog},
};
use std::{cell::Cell, hint::black_box, io::Write as _, time::Duration};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_793_606_400 + second).expect("a time")
}

fn topic() -> Topic {
    Topic {
        stack: Stack::parse("connection.example.com").expect("a host name"),
        project: ProjectId::parse("1").expect("an id"),
        branch: BranchId::parse("1").expect("an id"),
    }
}

/// An event that no other is like.
fn event(version: u64) -> NewEvent {
    let body = Body::ConfigChanged(ConfigChanged {
        component: ComponentId::parse("keboola.ex-http").expect("an id"),
        config: ConfigId::parse("1").expect("an id"),
        version,
        identifier: None,
        author: Some("jane@example.com".into()),
    });
    NewEvent {
        envelope: Envelope::internal(topic(), body, at(0)),
        at: at(0),
    }
}

fn log(criterion: &mut Criterion) {
    floor(criterion);
    for size in sizes() {
        log_of(criterion, size);
    }
}

/// What nothing durable can go below: one page at the end of a file, and a disk that is waited for.
fn floor(criterion: &mut Criterion) {
    let mut file = tempfile::tempfile().expect("temporary files can be made");
    let page = [7; 4096];
    criterion.bench_function("floor/page_synced", |bencher| {
        bencher.iter(|| {
            file.write_all(black_box(&page)).expect("there is room");
            file.sync_data().expect("the disk takes it");
        });
    });
}

/// A log that has so many events already.
fn log_of(criterion: &mut Criterion, size: usize) {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let executor = executor.expect("a runtime can be made");
    let database =
        Database::open(directory.path(), DatabaseOptions::default()).expect("the directory is ours");
    let log = executor
        .block_on(EmbeddedLog::open(database))
        .expect("the log opens");
    let next = Cell::new(1);
    let events = |count: u64| -> Vec<NewEvent> {
        let first = next.replace(next.get() + count);
        (first..first + count).map(event).collect()
    };
    let append = |events: Vec<NewEvent>| {
        let count = events.len();
        let appended = executor
            .block_on(log.append(events))
            .expect("the log takes events");
        assert!(
            appended.len() == count && appended.iter().all(|appended| !appended.duplicate),
            "each is new"
        );
        appended
    };
    let size_of_batch =
        |before: usize| u64::try_from((size - before).min(1_000)).expect("a thousand at most");
    for before in (0..size).step_by(1_000) {
        append(events(size_of_batch(before)));
    }
    let mut group = criterion.benchmark_group("log");
    for count in [1, 100] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new(format!("append_{count}"), size), |bencher| {
            bencher.iter_batched(|| events(count), append, BatchSize::PerIteration);
        });
    }
    let lane = LaneId {
        mirror: MirrorId::parse("bench").expect("an id"),
        branch: BranchId::parse("1").expect("an id"),
    };
    let stored = Cell::new(None::<LaneCursor>);
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("commit_cursor", size), |bencher| {
        bencher.iter(|| {
            let was = stored.take();
            let change = was
                .as_ref()
                .map_or(Position(1), |cursor| Position(cursor.change.0 + 1));
            let cursor = LaneCursor {
                change,
                ..LaneCursor::start(log.log_id().clone())
            };
            let moved = executor.block_on(log.commit(&lane, was.as_ref(), &cursor));
            moved.expect("the cursor stands where it was left");
            stored.set(Some(cursor));
        });
    });
    group.finish();
    let cursor = executor.block_on(log.cursor(&lane)).expect("the log can be read");
    assert_eq!(cursor, stored.take(), "the cursor is where it was moved to");
}

/// One round of a lane: an event arrives, its window closes, the attempt ends.
fn round(lane: &mut Lane, number: u64) -> usize {
    let seconds = i64::try_from(number).expect("no bench runs so long") * 60;
    let arrived = Wake::Arrived {
        stream: Stream::Change,
        position: Position(number),
        published_at: at(seconds),
        urgent: false,
    };
    let waiting = lane.step(arrived, at(seconds), Jitter::NONE);
    assert!(waiting.is_empty(), "the window is open");
    let actions = lane.step(Wake::Tick, at(seconds + 30), Jitter::NONE);
    assert!(
        matches!(actions.as_slice(), [Action::Start { .. }]),
        "{actions:?}"
    );
    let cursor = LaneCursor {
        change: Position(number),
        ..lane.cursor().clone()
    };
    let end = AttemptEnd::Mirrored {
        cursor,
        took: Some(Duration::from_millis(10)),
    };
    actions.len()
        + lane
            .step(Wake::AttemptDone(end), at(seconds + 31), Jitter::NONE)
            .len()
}

/// Rounds of so many lanes, in turn.
fn lane(criterion: &mut Criterion) {
    let span = Duration::from_secs(30);
    let start = || LaneStart {
        cursor: LaneCursor::start(LogId::parse("log-1").expect("an id")),
        change_mode: WindowMode::Early { span },
        jobs_mode: WindowMode::Early { span },
        change_waiting: None,
        jobs_waiting: None,
        is_new: false,
        outage: None,
        paused: false,
    };
    for size in sizes() {
        let mut lanes: Vec<Lane> = (0..size).map(|_| Lane::new(start(), at(0))).collect();
        let mut number = 0;
        let mut group = criterion.benchmark_group("lane");
        group.throughput(Throughput::Elements(lanes.len() as u64));
        group.bench_function(BenchmarkId::new("event_window_attempt", size), |bencher| {
            bencher.iter(|| {
                number += 1;
                let rounds = lanes.iter_mut().map(|lane| round(lane, number));
                black_box(rounds.sum::<usize>())
            });
        });
        group.finish();
        let is_up_to_date = |lane: &Lane| lane.cursor().change == Position(number);
        assert!(lanes.iter().all(is_up_to_date), "the lanes are up to date");
    }
}

criterion_group!(benches, lane, log);
criterion_main!(benches);
