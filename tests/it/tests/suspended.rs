//! Who was suspended, or cut off, believes what is not true any more. Does it do anything twice, or lose anything, when it wakes up?

use crate::support::{
    Broker, Installation, JANE, Keboola, Options, PETR, Server, each_round, suspend, until,
};
use mirror_core::shard::Shard;
use nats_server::NatsServer;
use std::{fs, path::PathBuf, sync::Arc};

/// A mirror behind a web server that two workers share, whose log is in NATS; everything is mirrored.
struct Shared {
    keboola: Arc<Keboola>,
    site: Installation,
    workers: [Server; 2],
    broker: Broker,
    gate: Gate,
}

impl Shared {
    async fn start() -> Self {
        let keboola = Keboola::small();
        let nats = NatsServer::start();
        let options = Options {
            secrets: "masked",
            ..Broker::options(&nats, "")
        };
        let site = Installation::over_https(&keboola, options);
        let workers = [site.worker("w0").await, site.worker("w1").await];
        let broker = Broker::open(nats, &site).await;
        broker.settle(&[&site]).await;
        let gate = Gate::before(&site);
        Self {
            keboola,
            site,
            workers,
            broker,
            gate,
        }
    }
}

/// Nothing is missing, nothing is there twice, and the workers end well.
async fn check_and_stop(site: &Installation, broker: &Broker, workers: [Server; 2]) {
    let books = broker.settle(&[site]).await;
    for book in books.values() {
        site.check_by(book, &[]);
    }
    for worker in workers {
        worker.stop().await;
    }
}

/// How often a worker has said that it joined.
fn joins(worker: &Server) -> usize {
    worker.logged("joined the workers").len()
}

/// Waits until the project is with the worker that it stays with as long as these are the workers, and returns which. Whoever
/// has it in the meantime is about to hand it over.
async fn holder(workers: &[Server]) -> usize {
    until("the worker that the project belongs to has it", async || {
        let names = workers
            .iter()
            .map(|worker| last(worker, "joined the workers", "worker"));
        let names: Vec<String> = names.collect::<Option<_>>()?;
        let taken = workers
            .iter()
            .find_map(|worker| last(worker, "a shard is taken", "shard"))?;
        let shard = Shard(u8::from_str_radix(&taken, 16).expect("a shard is two hexadecimal digits"));
        let owner = shard.owner(names.iter().map(String::as_str))?;
        let owner = names.iter().position(|name| name == owner)?;
        (workers[owner].metric("shards_held").await == Some(1.0)).then_some(owner)
    })
    .await
}

/// A field of the last line with this message in a worker's log.
fn last(worker: &Server, message: &str, field: &str) -> Option<String> {
    let lines = worker.logged(message);
    lines.last()?[field].as_str().map(str::to_owned)
}

/// A server that holds up pushes as long as it is told to.
struct Gate {
    shut: PathBuf,
    arrived: PathBuf,
}

impl Gate {
    fn before(site: &Installation) -> Self {
        let repository = site.repository.path();
        let (shut, arrived) = (repository.join("shut"), repository.join("arrived"));
        let hook = "cat >/dev/null\ntest -e shut || exit 0\necho push >>arrived\nwhile test -e shut; do sleep 0.05; done";
        site.repository.hook("pre-receive", hook);
        Self { shut, arrived }
    }

    fn shut(&self) {
        fs::write(&self.shut, "").expect("the repository can be written");
        fs::write(&self.arrived, "").expect("the repository can be written");
    }

    async fn has(&self, pushes: usize) {
        until("pushes have arrived", async || {
            let arrived = fs::read_to_string(&self.arrived).ok()?;
            (arrived.lines().count() >= pushes).then_some(())
        })
        .await;
    }

    fn open(&self) {
        fs::remove_file(&self.shut).expect("it is there");
    }
}

/// The worker is suspended in the middle of its push, another one takes over and pushes the same, and then more; both pushes
/// are let go on at once, and the worker wakes up to a lease, a cursor and a branch that are another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_worker_that_slept_through_its_lease_does_nothing_twice() {
    each_round(slept_through_its_lease).await;
}

async fn slept_through_its_lease() {
    let Shared {
        keboola,
        site,
        workers,
        broker,
        gate,
    } = Shared::start().await;
    for round in 0..3 {
        let sleeper = holder(&workers).await;
        let awake = &workers[1 - sleeper];
        let joined = joins(&workers[sleeper]);
        if round > 0 {
            // In its push; else when it had nothing to do.
            gate.shut();
            keboola.set(&keboola.orders(), JANE, "since", format!("-{round} days"));
            broker.publish(&site).await;
            gate.has(1).await;
        }
        workers[sleeper].suspend(true);
        keboola.set(&keboola.clean(), PETR, "round", round);
        broker.publish(&site).await;
        until("another one has the project", async || {
            (awake.metric("shards_held").await == Some(1.0)).then_some(())
        })
        .await;
        match round {
            0 => {}
            // Two owners push at the same time.
            1 => {
                gate.has(2).await;
                gate.open();
            }
            _ => gate.open(),
        }
        // The one that is awake has done everything, whatever the other one believes.
        broker.settle(&[&site]).await;
        workers[sleeper].suspend(false);
        keboola.set(&keboola.orders(), JANE, "until", round);
        broker.settle(&[&site]).await;
        until("who slept joins again", async || {
            (joins(&workers[sleeper]) > joined).then_some(())
        })
        .await;
    }
    check_and_stop(&site, &broker, workers).await;
}

/// NATS answers nobody for longer than a lease: connections stay, and nothing comes through them.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn workers_that_were_cut_off_from_nats_go_on_where_they_were() {
    each_round(cut_off_from_nats).await;
}

async fn cut_off_from_nats() {
    let Shared {
        keboola,
        site,
        workers,
        broker,
        gate,
    } = Shared::start().await;
    gate.shut();
    keboola.set(&keboola.orders(), JANE, "since", "-1 days");
    broker.publish(&site).await;
    gate.has(1).await;
    suspend(broker.server.pid(), true);
    keboola.set(&keboola.clean(), PETR, "cut", "off");
    until("nobody believes that it has the project", async || {
        for worker in &workers {
            if worker.metric("shards_held").await != Some(0.0) {
                return None;
            }
        }
        Some(())
    })
    .await;
    // What is in flight may still land: it was decided while the lease held.
    gate.open();
    suspend(broker.server.pid(), false);
    broker.settle(&[&site]).await;
    keboola.set(&keboola.clean(), PETR, "cut", "on");
    check_and_stop(&site, &broker, workers).await;
}
