//! What workers share, and what each keeps for itself.

use super::*;
use crate::{
    database::{Database, DatabaseOptions},
    nats::testing::config,
    queue::{EventLog, jetstream::JetStreamLog},
};
use jiff::Timestamp;
use mirror_core::{
    batch::Subject, cause::Cause, finding::WithholdReason, ids::ObjectKey, quarantine::Hold,
    retry::OutageClass,
};
use nats_server::NatsServer;
use tempfile::TempDir;

/// One worker.
struct Worker {
    _directory: TempDir,
    _log: JetStreamLog,
    state: SharedState,
}

impl Worker {
    async fn start(server: &NatsServer) -> Self {
        let config = config(&[server], 1);
        let nats = Nats::connect(&config).await.unwrap();
        let log = JetStreamLog::open(nats.clone(), &config).await.unwrap();
        assert!(log.is_ready());
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path(), DatabaseOptions::default()).unwrap();
        Self {
            state: SharedState::new(EmbeddedState::new(database), nats, &config.prefix),
            _directory: directory,
            _log: log,
        }
    }
}

fn lane(branch: &str) -> LaneId {
    LaneId {
        mirror: "shop".parse().unwrap(),
        branch: branch.parse().unwrap(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

#[tokio::test]
async fn records_are_shared_and_lanes_do_not_mix() {
    let server = NatsServer::start();
    let (one, two) = (Worker::start(&server).await, Worker::start(&server).await);
    let (lane, other) = (lane("1"), lane("2"));
    let outage = Outage {
        since: at(0),
        class: OutageClass::Temporary,
        cause: Cause::Remote,
        reason: "cannot reach the repository".to_owned(),
        attempts: 3,
        warned_at: None,
        asked_at: BTreeMap::new(),
        notified_at: Some(at(200)),
    };
    one.state.put_outage(&lane, Some(&outage)).await.unwrap();
    assert_eq!(two.state.outage(&lane).await.unwrap(), Some(outage));
    assert_eq!(two.state.outage(&other).await.unwrap(), None);
    two.state.put_outage(&lane, None).await.unwrap();
    assert_eq!(one.state.outage(&lane).await.unwrap(), None);

    let mut quarantine = Quarantine::default();
    let hold = Hold {
        subject: Subject::Object(ObjectKey::Branch),
        piece: Oid::from_bytes([7; 20]),
        reason: WithholdReason::Refused {
            guest: "the remote".into(),
            detail: "a secret".into(),
        },
    };
    quarantine.add(vec![hold], at(0));
    one.state.put_quarantine(&lane, &quarantine).await.unwrap();
    assert_eq!(two.state.quarantine(&lane).await.unwrap(), quarantine);
    two.state
        .put_quarantine(&lane, &Quarantine::default())
        .await
        .unwrap();
    assert!(one.state.quarantine(&lane).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fact_of_the_installation_is_whose_worker_was_first() {
    let server = NatsServer::start();
    let (one, two) = (Worker::start(&server).await, Worker::start(&server).await);
    let (first, second) = tokio::join!(
        one.state.meta_once("a b", "one"),
        two.state.meta_once("a b", "two")
    );
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(two.state.meta_once("other", "two").await.unwrap(), "two");
    one.state.put_meta("other", "three").await.unwrap();
    assert_eq!(two.state.meta_once("other", "four").await.unwrap(), "three");
    two.state.put_meta("new", "five").await.unwrap();
    assert_eq!(one.state.meta_once("new", "six").await.unwrap(), "five");
}

#[tokio::test]
async fn what_was_seen_of_a_large_project_is_replaced_as_a_whole_and_leaves_nothing_behind() {
    let server = NatsServer::start();
    let (one, two) = (Worker::start(&server).await, Worker::start(&server).await);
    let lane = lane("1");
    let seen = |count: usize, digest: &str| -> BTreeMap<String, String> {
        let object = |number| (format!("keboola.ex-db-mysql/{number}"), digest.repeat(32));
        (0..count).map(object).collect()
    };
    let large = seen(30_000, "a");
    one.state.put_seen(&lane, large.clone()).await.unwrap();
    assert!(two.state.seen(&lane).await.unwrap() == large);
    let larger = seen(31_000, "b");
    two.state.put_seen(&lane, larger.clone()).await.unwrap();
    assert!(one.state.seen(&lane).await.unwrap() == larger);
    one.state.put_seen(&lane, seen(2, "c")).await.unwrap();
    assert_eq!(two.state.seen(&lane).await.unwrap(), seen(2, "c"));
    let left = one.state.bucket.all("seen.>").await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn what_a_feeder_has_told_goes_with_the_lane_to_another_worker() {
    let server = NatsServer::start();
    let (one, two) = (Worker::start(&server).await, Worker::start(&server).await);
    let lane = lane("1");
    assert_eq!(two.state.kept(&lane, Feeder::Poller).await.unwrap(), None);
    let kept = BTreeMap::from([("config 1:ab".to_owned(), "7 x".to_owned())]);
    one.state.keep(&lane, Feeder::Poller, kept.clone()).await.unwrap();
    assert_eq!(two.state.kept(&lane, Feeder::Poller).await.unwrap(), Some(kept));
    assert_eq!(two.state.kept(&lane, Feeder::Backfill).await.unwrap(), None);
}

#[tokio::test]
async fn what_the_remote_has_too_is_each_workers_own() {
    let server = NatsServer::start();
    let (one, two) = (Worker::start(&server).await, Worker::start(&server).await);
    let lane = lane("1");
    let commit = Oid::from_bytes([1; 20]);
    let prepared = Prepared {
        commit,
        render: mirror_core::digest::RenderDigest::parse("0123456789abcdef0123456789abcdef").unwrap(),
        base: None,
        delta: Vec::new(),
        replace_all: true,
    };
    one.state.prepare(&lane, prepared).await.unwrap();
    one.state.adopt(&lane, commit).await.unwrap();
    assert!(one.state.load(&lane).await.unwrap().is_some());
    assert_eq!(two.state.load(&lane).await.unwrap(), None);
}
