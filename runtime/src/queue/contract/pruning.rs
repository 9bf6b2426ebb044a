//! What goes from a log with time, and what of it stays known.

use super::{
    super::{Appended, EventLog, Pruned, Retention},
    Memory, at, change, eventually, lane, read_all, run, topic,
};
use mirror_core::{
    cut::{LaneCursor, Position, Stream},
    ids::{LaneId, Topic},
};
use std::sync::Arc;

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

pub(super) async fn what_nobody_waits_for_goes(log: &Arc<dyn EventLog>) {
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
    let standing = log.standing(&slow, &topic).await.unwrap();
    assert_eq!(
        Stream::ALL.map(|stream| standing.pruned(stream)),
        [appended[2].position, Position::START]
    );
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

pub(super) async fn too_many_events_of_nobody_go_early(log: &Arc<dyn EventLog>) {
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
    let unmirrored = async |retention: &Retention, max| {
        let found = log.unmirrored(retention, max).await.unwrap();
        let mut found: Vec<_> = found
            .into_iter()
            .map(|(topic, backlog)| (topic.branch.to_string(), backlog.depth, backlog.oldest))
            .collect();
        found.sort();
        found
    };
    let nobody = |branch: &str| {
        let oldest = change(branch, "a", 1).envelope.published_at;
        (branch.to_owned(), 5, Some(oldest))
    };
    assert_eq!(
        unmirrored(&retention, 10).await,
        [nobody("nobody1"), nobody("nobody2")]
    );
    assert_eq!(unmirrored(&retention, 1).await.len(), 1);
    let held = Retention {
        held: vec![(topic("x").stack, topic("x").project)],
        ..retention.clone()
    };
    assert_eq!(unmirrored(&held, 10).await, []);
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

pub(super) async fn keys_go_by_age(log: &Arc<dyn EventLog>, memory: Memory) {
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
