//! Who holds which shard, over joins, handovers, deaths and an outage of NATS.

use super::*;
use crate::nats::testing::config;
use nats_server::NatsServer;

#[track_caller]
fn check(holder: Option<&str>, workers: &[&str], expected: Step) {
    let workers = workers.iter().map(|worker| (*worker).to_owned()).collect();
    assert_eq!(
        step(Shard(7), "a", holder, &workers, true),
        expected,
        "{holder:?} {workers:?}"
    );
    // Where nothing is done for it, that is made up for.
    let made_up = match expected {
        Step::Nothing if holder == Some("a") => Step::Begin,
        Step::GiveUp => Step::LetGo,
        other => other,
    };
    let idle = step(Shard(7), "a", holder, &workers, false);
    assert_eq!(idle, made_up, "{holder:?} {workers:?}");
}

#[test]
fn a_shard_is_taken_from_the_dead_and_given_to_whom_it_is_meant_for() {
    let other = |index: usize| format!("b{index}");
    // One of these two it is meant for when both live.
    let lucky = (0..)
        .map(other)
        .find(|other| Shard(7).owner(["a", other]) == Some(other))
        .unwrap();
    let loser = (0..)
        .map(other)
        .find(|other| Shard(7).owner(["a", other]) == Some("a"))
        .unwrap();
    check(None, &["a"], Step::Take);
    check(Some("a"), &["a"], Step::Nothing);
    check(Some("dead"), &["a"], Step::Take);
    check(None, &["a", &lucky], Step::Nothing);
    check(Some("a"), &["a", &lucky], Step::GiveUp);
    check(Some("dead"), &["a", &lucky], Step::Nothing);
    check(None, &["a", &loser], Step::Take);
    // The one who has it gives it up by itself.
    check(Some(&loser), &["a", &loser], Step::Nothing);
    // Even where our own record is not seen yet.
    check(None, &[], Step::Take);
}

/// Notes who works for which shard; two at a time would be wrong.
#[derive(Default)]
struct Board {
    working: Mutex<BTreeMap<Shard, &'static str>>,
}

struct Hands {
    name: &'static str,
    board: Arc<Board>,
}

#[async_trait]
impl Crew for Hands {
    async fn take(&self, shard: Shard) {
        let before = self.board.working.lock().unwrap().insert(shard, self.name);
        assert_eq!(before, None, "{shard} has two holders");
    }

    async fn give_up(&self, shard: Shard) {
        let before = self.board.working.lock().unwrap().remove(&shard);
        assert_eq!(before, Some(self.name));
    }
}

impl Board {
    fn count(&self, name: &str) -> usize {
        self.working
            .lock()
            .unwrap()
            .values()
            .filter(|holder| **holder == name)
            .count()
    }
}

struct Process {
    stop: CancellationToken,
    lease: Lease,
    task: tokio::task::JoinHandle<()>,
}

async fn start(server: &NatsServer, board: &Arc<Board>, name: &'static str) -> Process {
    let config = JetStreamConfig {
        worker: Some(name.to_owned()),
        ..config(&[server], 1)
    };
    let nats = Nats::connect(&config).await.unwrap();
    let lease = Lease::default();
    let shards = (0..40).map(Shard).collect();
    let worker = Worker::open(nats, &config, lease.clone(), shards, Arc::default())
        .await
        .unwrap();
    let crew = Arc::new(Hands {
        name,
        board: Arc::clone(board),
    });
    let stop = CancellationToken::new();
    Process {
        task: tokio::spawn(worker.run(crew, stop.clone())),
        lease,
        stop,
    }
}

async fn until(what: &str, look: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !look() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_go_to_who_comes_and_from_who_leaves_or_dies() {
    let server = NatsServer::start();
    let board = Arc::new(Board::default());
    let a = start(&server, &board, "a").await;
    until("one has all", || board.count("a") == 40).await;
    let b = start(&server, &board, "b").await;
    until("two share them", || {
        board.count("b") > 5 && board.count("a") + board.count("b") == 40
    })
    .await;
    let c = start(&server, &board, "c").await;
    until("three share them", || {
        board.count("c") > 5 && board.count("a") + board.count("b") + board.count("c") == 40
    })
    .await;
    // It leaves as it should: the others have all long before a lease would be over.
    c.stop.cancel();
    c.task.await.unwrap();
    until("two have all", || board.count("a") + board.count("b") == 40).await;
    // It dies: nothing more is heard of it.
    b.task.abort();
    drop(b.task.await);
    board.working.lock().unwrap().retain(|_, holder| *holder != "b");
    until("the other takes over", || board.count("a") == 40).await;
    assert!(a.lease.holds());
    a.stop.cancel();
    a.task.await.unwrap();
    assert_eq!(board.count("a"), 0);
    assert!(!a.lease.holds());
}

/// A shard was taken, but no answer came, or the lease was over by then: by its record it is this worker's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_without_knowing_it_is_worked_for_all_the_same() {
    let server = NatsServer::start();
    let config = config(&[&server], 1);
    let nats = Nats::connect(&config).await.unwrap();
    let lease = Lease::default();
    let shards = BTreeSet::from([Shard(1), Shard(2)]);
    let worker = Worker::open(nats, &config, lease.clone(), shards, Arc::default())
        .await
        .unwrap();
    let board = Arc::new(Board::default());
    let hands: Arc<dyn Crew> = Arc::new(Hands {
        name: "a",
        board: Arc::clone(&board),
    });
    let mut life = worker.join().await.unwrap();
    let own = || life.id.clone().into_bytes();
    worker
        .bucket
        .put(&shard_key(Shard(1)), own(), 0, None)
        .await
        .unwrap();
    lease.set(Held::Not);
    worker.look(&mut life, &hands).await;
    assert_eq!(board.count("a"), 0, "the lease does not hold");
    worker.renew(&mut life).await.unwrap();
    worker.look(&mut life, &hands).await;
    assert_eq!(board.count("a"), 2);
    // It is meant for another one by now, and nothing is done for it here.
    let other = (0..)
        .map(|index| format!("b{index}"))
        .find(|other| Shard(1).owner([&*life.id, other]) == Some(other))
        .unwrap();
    worker
        .bucket
        .put(&worker_key(&other), other.into_bytes(), 0, None)
        .await
        .unwrap();
    life.held.remove(&Shard(1));
    worker.look(&mut life, &hands).await;
    let left = worker.bucket.get(&shard_key(Shard(1))).await.unwrap();
    assert_eq!(left.value, None, "the other one may take it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_cannot_renew_stops_by_itself_and_joins_again() {
    let mut server = NatsServer::start();
    let board = Arc::new(Board::default());
    let a = start(&server, &board, "a").await;
    until("one has all", || board.count("a") == 40).await;
    server.kill();
    until("it stops by itself", || !a.lease.holds()).await;
    until("nothing is done for any shard", || board.count("a") == 0).await;
    server.restart();
    until("it has all again", || board.count("a") == 40 && a.lease.holds()).await;
    a.stop.cancel();
    a.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_leases_were_deleted_make_them_anew_and_go_on() {
    let server = NatsServer::start();
    let board = Arc::new(Board::default());
    let a = start(&server, &board, "a").await;
    until("one has all", || board.count("a") == 40).await;
    let nats = Nats::connect(&config(&[&server], 1)).await.unwrap();
    nats.jetstream().delete_stream("KV_KBC_LEASES").await.unwrap();
    until("it stops by itself", || !a.lease.holds()).await;
    until("it has all again", || board.count("a") == 40 && a.lease.holds()).await;
    // And others see it.
    let b = start(&server, &board, "b").await;
    until("two share them", || {
        board.count("b") > 5 && board.count("a") + board.count("b") == 40
    })
    .await;
    for process in [a, b] {
        process.stop.cancel();
        process.task.await.unwrap();
    }
}
