//! The product with its log in NATS JetStream: what publishers send becomes commits, whatever dies meanwhile.

mod support;

use nats_server::NatsServer;
use serde_json::json;
use support::{Broker, Installation, JANE, Keboola, Options, PETR, until};

/// Somebody edits, somebody runs.
fn work(keboola: &Keboola, round: u64) {
    let (orders, clean) = (keboola.orders(), keboola.clean());
    keboola.set(&orders, JANE, "since", format!("-{round} weeks"));
    keboola.edit(&clean, PETR, "Count returned orders", |configuration| {
        configuration["parameters"]["blocks"][0]["codes"][0]["script"] =
            json!([format!("SELECT 10{round};")]);
    });
    keboola.run(&orders, "success", &["in.c-shop.orders"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn what_is_published_over_nats_becomes_commits_also_after_nats_was_away() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    let server = site.start().await;
    let mut broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    for round in 1..=2 {
        work(&keboola, round);
        broker.settle(&[&site]).await;
    }
    // An event is published, and NATS dies before anybody may have looked.
    work(&keboola, 3);
    broker.publish(&site).await;
    broker.server.kill();
    work(&keboola, 4);
    until("the process says that it cannot take events", async || {
        (server.get("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await;
    assert_eq!(
        server.get("/livez").await.unwrap().status,
        200,
        "it waits, and need not be restarted"
    );
    broker.server.restart();
    let books = broker.settle(&[&site]).await;
    assert_eq!(server.get("/readyz").await.unwrap().status, 200);
    for book in books.values() {
        site.check_by(book, &[]);
    }
    site.check_status(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_process_killed_at_any_of_its_places_loses_nothing_and_does_nothing_twice() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    let server = site.start().await;
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    server.stop().await;
    let places = [
        "attempt-start",
        "after-cut",
        "after-prepare",
        "before-push",
        "after-push",
        "before-adopt",
        "after-cursor",
    ];
    for (round, place) in (1..).zip(places) {
        work(&keboola, round);
        broker.publish(&site).await;
        let mut server = site.start_armed(place).await;
        server.was_killed().await;
        // Its disk may be lost with it: what it had there is read back.
        if round % 2 == 0 {
            site.lose_data();
            site.share_guests();
        }
        let server = site.start().await;
        broker.settle(&[&site]).await;
        server.stop().await;
    }
    let books = broker.settle(&[&site]).await;
    for book in books.values() {
        site.check_by(book, &[]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_setting_says_what_to_change() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    for (queue, expected) in [
        ("backend = \"nats\"", "expected `embedded` or `jetstream`"),
        (
            "servers = [\"nats://127.0.0.1:4222\"]",
            "`queue.servers`: is for `queue.backend = \"jetstream\"`",
        ),
        ("backend = \"jetstream\"", "`queue.servers`: is needed"),
        (
            "backend = \"jetstream\"\nservers = [\"nats://user:pass@127.0.0.1:4222\"]",
            "must not hold credentials",
        ),
        (
            "backend = \"jetstream\"\nservers = [\"nats://nats.example.com:4222\"]\nauth = { token = \"env:TOKEN\" }",
            "in plain text",
        ),
        (
            "backend = \"jetstream\"\nservers = [\"nats://127.0.0.1:1\"]\nreplicas = 2",
            "`queue.replicas`",
        ),
        (
            "backend = \"jetstream\"\nservers = [\"nats://127.0.0.1:1\"]\nauth = { user = \"x\" }",
            "`queue.auth`: must be one of",
        ),
    ] {
        let options = Options {
            queue: queue.to_owned(),
            ..Options::default()
        };
        let output = Installation::new(&keboola, options).once();
        assert_eq!(output.status.code(), Some(2), "{queue}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{queue}: {}", output.stderr);
    }
    // One server cannot keep three copies.
    let options = Options {
        queue: Broker::options(&nats, "").queue.replace("replicas = 1", ""),
        ..Options::default()
    };
    let output = Installation::new(&keboola, options).once();
    assert_eq!(output.status.code(), Some(2), "{}", output.stderr);
    assert!(
        output.stderr.contains("`queue.replicas = 1`"),
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn once_synchronises_from_the_shared_log_and_leaves_it_to_the_others() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    assert!(site.once().ok().contains("Snapshot"));
    keboola.set(&keboola.orders(), JANE, "since", "-1 weeks");
    assert!(!site.once().ok().contains("in sync"));
    let server = site.start().await;
    let broker = Broker::open(nats, &site).await;
    let books = broker.settle(&[&site]).await;
    for book in books.values() {
        site.check_by(book, &[]);
    }
    server.stop().await;
}
