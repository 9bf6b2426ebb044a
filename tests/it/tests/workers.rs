//! Several workers over one NATS: do they know what one of them was asked, has told and has spent?

use crate::support::{
    Broker, Installation, JANE, Keboola, MIRROR, Options, Receiver, Server, command, each_round, run, until,
};
use fake_keboola::{Fault, FaultKind};
use jiff::SignedDuration;
use nats_server::NatsServer;
use serde_json::Value;
use std::collections::BTreeSet;

async fn holds(server: &Server) {
    until("the worker has the shard", async || {
        (server.metric("shards_held").await == Some(1.0)).then_some(())
    })
    .await;
}

/// Asks one worker.
fn ask(site: &Installation, name: &str, word: &str) {
    let mut command = command();
    command
        .args(["mirror", word, "--mirror", MIRROR, "--config"])
        .arg(site.path(&format!("{name}.toml")));
    run(&mut command).ok();
}

async fn state(server: &Server, site: &Installation, wanted: &str) {
    until("the lane's state is told", async || {
        let lane = server.lane(&site.keboola.main()).await;
        (lane["state"] == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_pause_holds_whoever_was_asked_and_whoever_takes_over() {
    each_round(pause_outlives_workers).await;
}

async fn pause_outlives_workers() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    let mut first = site.worker("first").await;
    holds(&first).await;
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    // The shard may move to the second: whoever has it, the other one is asked.
    let second = site.worker("second").await;
    ask(&site, "second", "pause");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    broker.publish(&site).await;
    first.kill();
    holds(&second).await;
    state(&second, &site, "paused").await;
    // Nor does one that has never heard of it begin.
    let third = site.worker("third").await;
    drop(second);
    holds(&third).await;
    state(&third, &site, "paused").await;
    assert_eq!(site.repository.count("main"), 1);
    let fourth = site.worker("fourth").await;
    ask(&site, "fourth", "resume");
    let books = broker.settle(&[&site]).await;
    for book in books.values() {
        site.check_by(book, &[]);
    }
    assert_eq!(site.repository.count("main"), 2);
    third.stop().await;
    fourth.stop().await;
}

/// Of what arrived at the webhook: each id once, with its reason.
fn told(receiver: &Receiver) -> (Vec<String>, usize) {
    let mut ids = BTreeSet::new();
    let mut reasons = Vec::new();
    for posted in receiver.posted("/hook") {
        if ids.insert(posted.headers["webhook-id"].clone()) {
            reasons.push(
                posted.json()["data"]["reason"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    }
    (reasons, ids.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn an_outage_that_outlives_its_workers_is_told_once_and_so_is_its_end() {
    each_round(outage_outlives_workers).await;
}

async fn outage_outlives_workers() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let receiver = Receiver::start().await;
    let hook = receiver.url("/hook");
    let mirror = format!("notify = [{{ webhook = \"{hook}\", secret = \"file:webhook-secret\" }}]");
    let options = Options {
        retries_max: 0,
        keboola: "[git]\nallow_networks = [\"127.0.0.0/8\"]\nallow_plain_http = true\n",
        mirror: Box::leak(mirror.into_boxed_str()),
        ..Broker::options(&nats, "")
    };
    let site = Installation::new(&keboola, options);
    site.write("webhook-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut first = site.worker("first").await;
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    keboola.fail(Fault {
        path: "/v2/storage/branch/5".into(),
        times: u32::MAX,
        kind: FaultKind::ServerError,
    });
    keboola.set(&keboola.orders(), JANE, "z", 2);
    broker.publish(&site).await;
    state(&first, &site, "retrying").await;
    let mut second = site.worker("second").await;
    first.kill();
    broker.age_outage(&site, SignedDuration::from_hours(3)).await;
    // The second finds that three hours are over, and dies before anybody could be told.
    receiver.answer(503, "");
    holds(&second).await;
    until("it is tried to tell", async || {
        (told(&receiver).1 == 1).then_some(())
    })
    .await;
    second.kill();
    let mut third = site.worker("third").await;
    holds(&third).await;
    state(&third, &site, "failing").await;
    until("it is told", async || {
        let given = third
            .metric("notifications_total{channel=\"webhook\",outcome=\"delivered\"}")
            .await;
        (given == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(told(&receiver).0, ["outage"]);
    // The first one comes back, with its old disk, and takes over.
    let fourth = site.worker("first").await;
    third.kill();
    holds(&fourth).await;
    state(&fourth, &site, "failing").await;
    keboola.heal();
    ask(&site, "first", "pause");
    ask(&site, "first", "resume");
    let books = broker.settle(&[&site]).await;
    until("its end is told", async || (told(&receiver).1 == 2).then_some(())).await;
    assert_eq!(told(&receiver).0, ["outage", "recovered"]);
    for book in books.values() {
        site.check_by(book, &[]);
    }
    fourth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_worker_that_comes_back_says_that_another_one_has_other_settings() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let mut site = Installation::new(&keboola, Broker::options(&nats, ""));
    let first = site.worker("first").await;
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    let render = |site: &Installation| site.repository.log("main")[0].values("Mirror-Render").join("");
    let own = render(&site);
    let said = |server: &Server| {
        let lines = server.log().into_iter();
        lines
            .filter(|line| line.contains("another worker with other settings"))
            .collect::<Vec<_>>()
    };

    site.configure(|options| options.secrets = "masked");
    let mut second = site.worker("second").await;
    first.suspend(true);
    until("everything is rendered anew", async || {
        (render(&site) != own).then_some(())
    })
    .await;
    let other = render(&site);
    broker.settle(&[&site]).await;
    assert_eq!(said(&second), Vec::<String>::new(), "it has only just begun");
    assert_eq!(said(&first), Vec::<String>::new());
    first.suspend(false);
    second.kill();
    until("it is rendered as before", async || {
        (render(&site) == own).then_some(())
    })
    .await;
    broker.settle(&[&site]).await;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    broker.settle(&[&site]).await;

    let told = said(&first);
    assert_eq!(told.len(), 1, "{told:?}");
    for part in [
        own.as_str(),
        &other,
        "\"level\":\"WARN\"",
        "the same configuration and release",
    ] {
        assert!(told[0].contains(part), "{part}: {told:?}");
    }
    let lane = first.lane(&keboola.main()).await;
    let reason = lane["otherSettings"].as_str().unwrap_or_default();
    assert!(reason.contains(&own) && reason.contains(&other), "{lane}");
    let logged: Value = serde_json::from_str(&told[0]).expect("it is JSON");
    let logged = logged["message"].as_str().unwrap_or_default();
    assert!(reason.starts_with(logged), "{reason}: {logged}");
    let mut status = command();
    status
        .args(["mirror", "status", "--mirror", MIRROR, "--config"])
        .arg(site.path("first.toml"));
    let shown = run(&mut status).ok();
    assert!(shown.contains("another worker with other settings"), "{shown}");
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn what_runs_have_cost_this_month_is_known_to_whoever_takes_over() {
    each_round(costs_outlive_workers).await;
}

async fn costs_outlive_workers() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    let spent = async |server: &Server| {
        let lane = server.lane(&keboola.main()).await;
        lane["jobs"]["bytesEstimated"].as_u64().unwrap_or_default()
    };
    let mut first = site.worker("first").await;
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    for _ in 0..3 {
        keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
        broker.settle(&[&site]).await;
    }
    let before = until("it is told what was spent", async || {
        Some(spent(&first).await).filter(|bytes| *bytes > 0)
    })
    .await;
    let second = site.worker("second").await;
    first.kill();
    holds(&second).await;
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    broker.settle(&[&site]).await;
    until("it goes on from there", async || {
        (spent(&second).await > before).then_some(())
    })
    .await;
    second.stop().await;
}
