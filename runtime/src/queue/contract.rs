//! The contract of [`EventLog`], as one suite for every implementation.

mod letters;
mod pruning;
pub(crate) mod unreadable;

use super::{Appended, Backlog, EventLog, LogError, NewEvent, News};
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, LaneCursor, LogId, Position, Stream},
    event::{Body, ConfigChanged, Envelope, JobFinished, RunStatus, StorageCause, StorageChanged, TableUse},
    ids::{LaneId, Oid, Topic},
};
use std::sync::Arc;

/// How long a log knows an event that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Until its key is pruned.
    UntilPruned,
    /// As long as its server was told to, by the server's clock, which outlasts the test.
    OfServer,
}

/// Checks all that a running log promises. What it promises over restarts is checked with each
/// implementation, which alone knows how to stop.
pub(crate) async fn contract(log: impl EventLog + 'static, memory: Memory) {
    let log: Arc<dyn EventLog> = Arc::new(log);
    order_and_deduplication(&log).await;
    a_run_brings_its_tables(&log).await;
    topics_do_not_mix(&log).await;
    cursors_move_only_from_where_they_were_seen(&log).await;
    cuts_are_stored_once_and_end_with_the_cursor(&log).await;
    lanes_of_one_topic_are_independent(&log).await;
    concurrent_appends_are_all_there(&log).await;
    letters::dead_letters_are_listed_and_replayed(&log).await;
    letters::an_event_that_was_put_aside_can_be_told_again(&log).await;
    news_are_told(&log).await;
    pruning::what_nobody_waits_for_goes(&log).await;
    pruning::too_many_events_of_nobody_go_early(&log).await;
    pruning::keys_go_by_age(&log, memory).await;
}

/// Waits until a count is as expected: a replica may count what was there a moment ago.
async fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, look: impl AsyncFn() -> T) {
    const LOOKS_MAX: u32 = 500;
    for _ in 0..LOOKS_MAX {
        if look().await == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(look().await, expected);
}

pub(crate) fn topic(branch: &str) -> Topic {
    Topic {
        stack: "connection.keboola.com".parse().unwrap(),
        project: "4021".parse().unwrap(),
        branch: branch.parse().unwrap(),
    }
}

pub(crate) fn lane(mirror: &str, branch: &str) -> LaneId {
    LaneId {
        mirror: mirror.parse().unwrap(),
        branch: branch.parse().unwrap(),
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub(crate) fn change(branch: &str, config: &str, version: u64) -> NewEvent {
    let body = Body::ConfigChanged(ConfigChanged {
        component: "keboola.ex-db-mysql".parse().unwrap(),
        config: config.parse().unwrap(),
        version,
        identifier: None,
        author: Some("dev@keboola.com".to_owned()),
    });
    let seconds = i64::try_from(version).unwrap();
    NewEvent {
        envelope: Envelope::internal(topic(branch), body, at(seconds)),
        at: at(seconds),
    }
}

fn run(branch: &str, run: &str, tables: &[&str]) -> NewEvent {
    let body = Body::JobFinished(Box::new(JobFinished {
        run: run.parse().unwrap(),
        component: "keboola.ex-db-mysql".parse().unwrap(),
        config: None,
        config_version: None,
        status: RunStatus::Success,
        started_at: None,
        finished_at: None,
        inputs: Vec::new(),
        outputs: tables
            .iter()
            .map(|id| TableUse {
                table: id.parse().unwrap(),
                columns: Vec::new(),
            })
            .collect(),
        state_digest: None,
        artifact_links: Vec::new(),
    }));
    NewEvent {
        envelope: Envelope::internal(topic(branch), body, at(0)),
        at: at(0),
    }
}

pub(crate) async fn read_all(log: &dyn EventLog, branch: &str) -> Vec<(Position, Envelope)> {
    let logged = log
        .read(&topic(branch), Position::START, None, usize::MAX)
        .await
        .unwrap();
    logged
        .into_iter()
        .map(|logged| (logged.position, logged.envelope))
        .collect()
}

async fn order_and_deduplication(log: &Arc<dyn EventLog>) {
    let batch = vec![
        change("order", "a", 1),
        change("order", "a", 2),
        change("order", "a", 1),
    ];
    let first = log.append(batch).await.unwrap();
    assert_eq!(
        first.iter().map(|one| one.duplicate).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(
        first[2].position, first[0].position,
        "a duplicate is where the first one is"
    );
    let second = log
        .append(vec![change("order", "a", 2), change("order", "a", 3)])
        .await
        .unwrap();
    assert_eq!(
        second[0],
        Appended {
            position: first[1].position,
            duplicate: true
        }
    );
    assert!(second[1].position > first[1].position);
    assert_eq!(log.append(Vec::new()).await.unwrap(), []);

    let logged = log
        .read(&topic("order"), Position::START, None, 10)
        .await
        .unwrap();
    let written = [
        change("order", "a", 1),
        change("order", "a", 2),
        change("order", "a", 3),
    ];
    let read: Vec<(Envelope, Timestamp)> = logged
        .iter()
        .map(|logged| (logged.envelope.clone(), logged.appended_at))
        .collect();
    assert_eq!(
        read,
        written.map(|NewEvent { envelope, at }| (envelope, at)),
        "in order, as they were written"
    );
    assert!(logged.is_sorted_by(|one, next| one.position < next.position));
    let page = log
        .read(&topic("order"), logged[0].position, Some(Stream::Change), 1)
        .await
        .unwrap();
    assert_eq!(page, logged[1..2], "after a position, at most so many");
    assert_eq!(
        log.newest(&topic("order"), Stream::Change).await.unwrap(),
        logged[2].position
    );
    assert_eq!(
        log.newest(&topic("order"), Stream::Jobs).await.unwrap(),
        Position::START
    );
    assert_eq!(
        log.newest(&topic("nowhere"), Stream::Change).await.unwrap(),
        Position::START
    );
    assert_eq!(
        log.read(&topic("nowhere"), Position::START, None, 10)
            .await
            .unwrap(),
        []
    );
}

async fn a_run_brings_its_tables(log: &Arc<dyn EventLog>) {
    let tables = ["out.c-main.b", "out.c-main.a", "out.c-main.b"];
    let appended = log
        .append(vec![run("runs", "7.1", &tables), run("runs", "7.2", &[])])
        .await
        .unwrap();
    assert_eq!(appended.len(), 2, "one answer for each event given");
    log.append(vec![run("runs", "7.1", &tables)]).await.unwrap();
    let bodies: Vec<Body> = read_all(log.as_ref(), "runs")
        .await
        .into_iter()
        .map(|(_, event)| event.body)
        .collect();
    let derived = Body::StorageChanged(StorageChanged {
        tables: vec!["out.c-main.a".parse().unwrap(), "out.c-main.b".parse().unwrap()],
        buckets: Vec::new(),
        cause: StorageCause::Run("7.1".parse().unwrap()),
    });
    let written = [
        run("runs", "7.1", &tables).envelope.body,
        derived,
        run("runs", "7.2", &[]).envelope.body,
    ];
    assert_eq!(bodies, written);
}

async fn topics_do_not_mix(log: &Arc<dyn EventLog>) {
    let appended = log
        .append(vec![change("t1", "a", 1), change("t2", "a", 1)])
        .await
        .unwrap();
    assert!(
        appended.iter().all(|one| !one.duplicate),
        "the branch is part of the key"
    );
    assert_eq!(
        read_all(log.as_ref(), "t1").await,
        [(appended[0].position, change("t1", "a", 1).envelope)]
    );
}

async fn cursors_move_only_from_where_they_were_seen(log: &Arc<dyn EventLog>) {
    let lane = lane("m", "cursors");
    assert_eq!(log.cursor(&lane).await.unwrap(), None);
    let cursor = |change, tip: Option<u8>| LaneCursor {
        log: log.log_id().clone(),
        change: Position(change),
        jobs: Position(1),
        tip: tip.map(|byte| Oid::from_bytes([byte; 20])),
    };
    let (one, two) = (cursor(5, None), cursor(9, Some(1)));
    assert!(
        matches!(
            log.commit(&lane, Some(&one), &two).await,
            Err(LogError::Moved { .. })
        ),
        "there is none yet"
    );
    log.commit(&lane, None, &one).await.unwrap();
    assert!(matches!(
        log.commit(&lane, None, &two).await,
        Err(LogError::Moved { .. })
    ));
    log.commit(&lane, Some(&one), &two).await.unwrap();
    assert!(matches!(
        log.commit(&lane, Some(&one), &two).await,
        Err(LogError::Moved { .. })
    ));
    assert_eq!(log.cursor(&lane).await.unwrap(), Some(two.clone()));
    log.commit(&lane, Some(&two), &one)
        .await
        .expect("recovery may move it back");
    let foreign = LaneCursor {
        log: LogId::parse("another").unwrap(),
        ..two
    };
    assert!(matches!(
        log.commit(&lane, Some(&one), &foreign).await,
        Err(LogError::ForeignLog { .. })
    ));
    assert_eq!(log.cursor(&lane).await.unwrap(), Some(one));
}

async fn cuts_are_stored_once_and_end_with_the_cursor(log: &Arc<dyn EventLog>) {
    let lane = lane("m", "cuts");
    log.append(vec![
        change("cuts", "a", 1),
        change("cuts", "b", 4),
        run("cuts", "9.1", &["in.c-main.x"]),
    ])
    .await
    .unwrap();
    let start = LaneCursor::start(log.log_id().clone());
    let events = log.read(&topic("cuts"), Position::START, None, 10).await.unwrap();
    let (small, full) = (
        Cut::of(&lane.mirror, &start, &events[..1], at(0)),
        Cut::of(&lane.mirror, &start, &events, at(0)),
    );
    assert_eq!(log.cut(&lane).await.unwrap(), None);
    log.put_cut(&lane, None, &small).await.unwrap();
    assert!(
        matches!(log.put_cut(&lane, None, &full).await, Err(LogError::Moved { .. })),
        "one is stored"
    );
    log.put_cut(&lane, Some(&small.id()), &full).await.unwrap();
    assert_eq!(
        log.cut(&lane).await.unwrap().as_ref(),
        Some(&full),
        "a cut comes back as it was"
    );
    let standing = log.standing(&lane, &topic("cuts")).await.unwrap();
    assert_eq!((standing.cursor, standing.cut.as_ref()), (None, Some(&full)));

    log.commit(&lane, None, &full.cursor(None)).await.unwrap();
    let standing = log.standing(&lane, &topic("cuts")).await.unwrap();
    assert_eq!((standing.cursor, standing.cut), (Some(full.cursor(None)), None));
    assert_eq!(
        log.cut(&lane).await.unwrap(),
        None,
        "what is mirrored is cut anew"
    );
    assert!(
        matches!(
            log.put_cut(&lane, None, &small).await,
            Err(LogError::Moved { .. })
        ),
        "it starts before the cursor"
    );
    log.put_cut(
        &lane,
        None,
        &Cut::of(&lane.mirror, &full.cursor(None), &[], at(0)),
    )
    .await
    .unwrap();
}

async fn lanes_of_one_topic_are_independent(log: &Arc<dyn EventLog>) {
    let (fast, slow) = (lane("fast", "shared"), lane("slow", "shared"));
    let appended = log
        .append(vec![
            change("shared", "a", 1),
            change("shared", "a", 2),
            run("shared", "8.1", &[]),
        ])
        .await
        .unwrap();
    let cursor = LaneCursor {
        change: appended[0].position,
        ..LaneCursor::start(log.log_id().clone())
    };
    log.commit(&fast, None, &cursor).await.unwrap();
    assert_eq!(log.cursor(&slow).await.unwrap(), None);
    let backlog = async |lanes: Vec<LaneId>, depth, oldest| {
        let lanes: Vec<(LaneId, Topic)> = lanes.into_iter().map(|lane| (lane, topic("shared"))).collect();
        eventually(Backlog { depth, oldest }, async || {
            log.backlog(&lanes).await.unwrap()
        })
        .await;
    };
    backlog(vec![fast.clone()], 2, Some(at(0))).await;
    backlog(vec![slow.clone()], 3, Some(at(0))).await;
    backlog(vec![fast.clone(), slow], 5, Some(at(0))).await;
    let done = LaneCursor {
        change: appended[1].position,
        jobs: appended[2].position,
        ..cursor.clone()
    };
    log.commit(&fast, Some(&cursor), &done).await.unwrap();
    backlog(vec![fast], 0, None).await;
}

async fn concurrent_appends_are_all_there(log: &Arc<dyn EventLog>) {
    let tasks = (0..16_u64).map(|task| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let mut positions = Vec::new();
            for version in 1..=10 {
                // Every event is appended by two tasks.
                let batch = vec![change("crowd", &format!("{}", task / 2), version)];
                positions.push(log.append(batch).await.unwrap()[0]);
            }
            positions
        })
    });
    let mut fresh = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        fresh.extend(
            task.await
                .unwrap()
                .into_iter()
                .filter(|one| !one.duplicate)
                .map(|one| one.position),
        );
    }
    fresh.sort_unstable();
    let logged: Vec<Position> = read_all(log.as_ref(), "crowd")
        .await
        .into_iter()
        .map(|(position, _)| position)
        .collect();
    assert_eq!(fresh, logged);
    assert_eq!(fresh.len(), 80);
}

async fn news_are_told(log: &Arc<dyn EventLog>) {
    let mut tail = log.tail();
    let position = log.append(vec![change("news", "a", 3)]).await.unwrap()[0].position;
    log.append(vec![change("news", "a", 3)]).await.unwrap();
    let next = log.append(vec![change("news", "a", 4)]).await.unwrap()[0].position;
    let told = |position, second| News {
        topic: topic("news"),
        stream: Stream::Change,
        position,
        published_at: at(second),
        run: None,
    };
    let mut heard = Vec::new();
    while heard.len() < 2 {
        // Of what was appended before, some may be told late.
        let news = tail.recv().await.unwrap();
        if news.topic == topic("news") {
            heard.push(news);
        }
    }
    assert_eq!(
        heard,
        [told(position, 3), told(next, 4)],
        "a duplicate is no news"
    );
}
