//! The contract of [`EventLog`], as one suite for every implementation.

use super::{
    Appended, Backlog, DeadLetter, DeadLetterId, EventLog, LogError, NewEvent, News, Pruned, Retention,
};
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, LaneCursor, LogId, Position, Stream},
    event::{
        Body, ConfigChanged, Envelope, JobFinished, RunStatus, StorageCause, StorageChanged, TableUse,
        masked_body,
    },
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
    dead_letters_are_listed_and_replayed(&log).await;
    news_are_told(&log).await;
    what_nobody_waits_for_goes(&log).await;
    too_many_events_of_nobody_go_early(&log).await;
    keys_go_by_age(&log, memory).await;
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

    log.commit(&lane, None, &full.cursor(None)).await.unwrap();
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

async fn dead_letters_are_listed_and_replayed(log: &Arc<dyn EventLog>) {
    let poisoned = change("dead", "a", 1);
    let position = log.append(vec![poisoned.clone()]).await.unwrap()[0].position;
    let readable = DeadLetter {
        topic: Some(topic("dead")),
        key: Some(poisoned.envelope.key.clone()),
        position: Some(position),
        reason: "the renderer trapped".to_owned(),
        body: String::new(),
        at: at(1),
        envelope: Some(poisoned.envelope.clone()),
    };
    let unreadable = DeadLetter {
        topic: None,
        key: None,
        position: None,
        reason: "field `projectId` must be a text".to_owned(),
        body: masked_body(b"{\"projectId\":[]}"),
        at: at(2),
        envelope: None,
    };
    let one = log.dead_letter(readable.clone()).await.unwrap();
    let two = log.dead_letter(unreadable.clone()).await.unwrap();
    let listed = log.dead_letters(None, 10).await.unwrap();
    let kept: Vec<_> = listed
        .iter()
        .map(|filed| (filed.id, filed.letter.clone(), filed.replayed_at))
        .collect();
    assert_eq!(kept, [(one, readable, None), (two, unreadable, None)]);
    assert_eq!(log.dead_letters(Some(one), 10).await.unwrap(), listed[1..]);

    let again = log.replay(one, at(60)).await.unwrap();
    assert!(
        again.position > position && !again.duplicate,
        "a replay is no duplicate"
    );
    let events = read_all(log.as_ref(), "dead").await;
    assert_eq!(
        events,
        [
            (position, poisoned.envelope.clone()),
            (again.position, poisoned.envelope)
        ]
    );
    assert_eq!(
        log.dead_letters(None, 1).await.unwrap()[0].replayed_at,
        Some(at(60))
    );
    assert!(
        matches!(log.replay(one, at(61)).await, Err(LogError::NotReplayable { .. })),
        "only once"
    );
    assert!(matches!(
        log.replay(two, at(61)).await,
        Err(LogError::NotReplayable { .. })
    ));
    assert!(matches!(
        log.replay(DeadLetterId(999), at(61)).await,
        Err(LogError::NoSuchLetter { id: 999 })
    ));
    let unplayed = log.unplayed().await.unwrap();
    assert_eq!((unplayed.depth, unplayed.oldest), (1, Some(at(2))));
    let young = DeadLetter {
        at: at(3),
        ..unreadable_letter()
    };
    let three = log.dead_letter(young.clone()).await.unwrap();
    assert_eq!(
        log.prune_letters(at(2), 10, 10).await.unwrap(),
        1,
        "replayed or not, by age"
    );
    assert_eq!(log.prune_letters(at(2), 10, 10).await.unwrap(), 0);
    let left = log.dead_letters(None, 10).await.unwrap();
    assert_eq!(
        left.iter().map(|filed| filed.id).collect::<Vec<_>>(),
        [two, three]
    );
    assert!(matches!(
        log.replay(one, at(62)).await,
        Err(LogError::NoSuchLetter { .. })
    ));
    // By number, a few at a time, and ids are never given again.
    for _ in 0..3 {
        log.dead_letter(DeadLetter {
            reason: uuid::Uuid::new_v4().to_string(),
            ..young.clone()
        })
        .await
        .unwrap();
    }
    assert_eq!(log.prune_letters(at(0), 2, 2).await.unwrap(), 2);
    assert_eq!(log.prune_letters(at(0), 2, 2).await.unwrap(), 1);
    assert_eq!(log.prune_letters(at(0), 2, 2).await.unwrap(), 0);
    assert_eq!(log.unplayed().await.unwrap().depth, 2);
    assert_eq!(log.prune_letters(at(99), 2, 10).await.unwrap(), 2);
    assert_eq!(log.unplayed().await.unwrap().oldest, None);
    assert!(log.dead_letter(young).await.unwrap() > three);
}

fn unreadable_letter() -> DeadLetter {
    DeadLetter {
        topic: None,
        key: None,
        position: None,
        reason: "field `branchId` must be a text".to_owned(),
        body: String::new(),
        at: at(2),
        envelope: None,
    }
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

/// Keeps everything, of all topics; the cases change what they are about.
fn all_is_kept() -> Retention {
    Retention {
        lanes: Vec::new(),
        held: Vec::new(),
        events_before: at(-1_000_000),
        keys_before: at(-1_000_000),
        unmirrored_max: u64::MAX,
        batch_max: 2,
    }
}

/// Prunes to the end, in batches that are no larger than allowed.
async fn prune(log: &Arc<dyn EventLog>, retention: &Retention) -> Pruned {
    let mut all = Pruned::default();
    loop {
        let Pruned { events, keys, more } = log.prune(retention).await.unwrap();
        assert!(events.max(keys) <= retention.batch_max as u64);
        all.events += events;
        all.keys += keys;
        if !more {
            return all;
        }
    }
}

/// Deletes the events of the cases before.
async fn clear(log: &Arc<dyn EventLog>) {
    let nothing_is_kept = Retention {
        events_before: at(1_000_000),
        ..all_is_kept()
    };
    prune(log, &nothing_is_kept).await;
}

async fn what_nobody_waits_for_goes(log: &Arc<dyn EventLog>) {
    clear(log).await;
    let versions =
        |range: std::ops::RangeInclusive<u64>| range.map(|version| change("old", "a", version)).collect();
    let appended = log.append(versions(1..=6)).await.unwrap();
    let runs = log.append(vec![run("old", "5.1", &[])]).await.unwrap();
    let topic = topic("old");
    let retention = |lanes: Vec<LaneId>| Retention {
        // The appends were at 1 to 6.
        events_before: at(5),
        lanes: lanes.into_iter().map(|lane| (lane, topic.clone())).collect(),
        ..all_is_kept()
    };
    let cursor = |change: usize| LaneCursor {
        change: appended[change].position,
        jobs: Position::START,
        ..LaneCursor::start(log.log_id().clone())
    };
    let (fast, slow, new) = (lane("fast", "old"), lane("slow", "old"), lane("new", "old"));
    log.commit(&fast, None, &cursor(5)).await.unwrap();
    log.commit(&slow, None, &cursor(2)).await.unwrap();
    let all = vec![fast.clone(), slow.clone(), new];

    let held = Retention {
        held: vec![(topic.stack.clone(), topic.project.clone())],
        ..retention(all.clone())
    };
    assert_eq!(prune(log, &held).await.events, 0, "nobody knows yet who waits");
    assert_eq!(log.pruned(&topic, Stream::Change).await.unwrap(), Position::START);

    assert_eq!(
        prune(log, &retention(all.clone())).await.events,
        3,
        "what the slow one has too"
    );
    assert_eq!(
        log.pruned(&topic, Stream::Change).await.unwrap(),
        appended[2].position
    );
    assert_eq!(log.pruned(&topic, Stream::Jobs).await.unwrap(), Position::START);
    let left = read_all(log.as_ref(), "old").await;
    assert_eq!(left.len(), 4);
    assert_eq!(left[0].0, appended[3].position, "no gap");

    log.commit(&slow, Some(&cursor(2)), &cursor(5)).await.unwrap();
    assert_eq!(
        prune(log, &retention(all.clone())).await.events,
        1,
        "the young ones stay"
    );
    assert_eq!(
        log.pruned(&topic, Stream::Change).await.unwrap(),
        appended[3].position
    );
    let again = log.append(versions(1..=1)).await.unwrap();
    assert!(again[0].duplicate, "a repetition of what is gone is known");

    let late = Retention {
        events_before: at(1000),
        ..retention(all)
    };
    prune(log, &late).await;
    assert_eq!(
        read_all(log.as_ref(), "old").await,
        [(runs[0].position, run("old", "5.1", &[]).envelope)],
        "the other stream waits"
    );
    let newest = log.newest(&topic, Stream::Change).await.unwrap();
    assert_eq!(
        newest, appended[5].position,
        "the end of the stream is where it was"
    );
    let next = log.append(versions(7..=7)).await.unwrap()[0];
    assert!(next.position > runs[0].position, "positions are never used again");
    assert_eq!(
        log.pruned(&topic, Stream::Change).await.unwrap(),
        appended[5].position
    );
}

async fn too_many_events_of_nobody_go_early(log: &Arc<dyn EventLog>) {
    let of = |branch: &str, range: std::ops::RangeInclusive<u64>| {
        range
            .map(|version| change(branch, "a", version))
            .collect::<Vec<_>>()
    };
    clear(log).await;
    log.append(of("nobody1", 1..=5)).await.unwrap();
    let followed = log.append(of("followed", 1..=5)).await.unwrap();
    log.append(of("nobody2", 1..=5)).await.unwrap();
    let lane = lane("m", "followed");
    let start = LaneCursor::start(log.log_id().clone());
    log.commit(&lane, None, &start).await.unwrap();
    let retention = Retention {
        lanes: vec![(lane, topic("followed"))],
        unmirrored_max: 3,
        ..all_is_kept()
    };
    let waiting = async |mirror: &str, expected: u64| {
        let (mirror, Topic { stack, project, .. }) = (mirror.parse().unwrap(), topic("x"));
        eventually(expected, async || {
            log.waiting(&mirror, &stack, &project).await.unwrap()
        })
        .await;
    };
    waiting("new", 15).await;
    assert_eq!(prune(log, &retention).await.events, 7);
    waiting("new", 8).await;
    let (lane, _) = &retention.lanes[0];
    let next = LaneCursor {
        change: followed[3].position,
        ..start.clone()
    };
    log.commit(lane, Some(&start), &next).await.unwrap();
    // What is before its cursor does not wait.
    waiting("m", 4).await;
    let elsewhere = "connection.north-europe.azure.keboola.com".parse().unwrap();
    let project = topic("x").project;
    assert_eq!(log.waiting(&lane.mirror, &elsewhere, &project).await.unwrap(), 0);
    assert_eq!(read_all(log.as_ref(), "nobody1").await, []);
    let left = read_all(log.as_ref(), "nobody2").await;
    assert_eq!(left.len(), 3);
    assert_eq!(left[0].1, change("nobody2", "a", 3).envelope, "the oldest went");
    assert_eq!(read_all(log.as_ref(), "followed").await.len(), followed.len());
    assert_eq!(prune(log, &retention).await, Pruned::default());
}

async fn keys_go_by_age(log: &Arc<dyn EventLog>, memory: Memory) {
    let first = log
        .append((501..=505).map(|version| change("keys", "a", version)).collect())
        .await
        .unwrap();
    let retention = Retention {
        keys_before: at(504),
        ..all_is_kept()
    };
    if memory == Memory::OfServer {
        assert_eq!(prune(log, &retention).await.keys, 0);
        let again = log.append(vec![change("keys", "a", 503)]).await.unwrap();
        assert_eq!(
            again[0],
            Appended {
                duplicate: true,
                ..first[2]
            }
        );
        return;
    }
    assert!(prune(log, &retention).await.keys >= 3);
    let again = log
        .append((503..=504).map(|version| change("keys", "a", version)).collect())
        .await
        .unwrap();
    assert!(!again[0].duplicate && again[0].position > first[4].position);
    assert_eq!(
        again[1],
        Appended {
            duplicate: true,
            ..first[3]
        }
    );
}
