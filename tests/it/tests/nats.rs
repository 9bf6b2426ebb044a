//! The product with its log in NATS JetStream: what publishers send becomes commits, whatever dies meanwhile.

use crate::support::{
    Broker, Installation, JANE, Keboola, LogBook, MIRROR, Options, PETR, Server, each_round, until,
};
use mirror_core::event::EVENT_BYTES_MAX;
use nats_server::NatsServer;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

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

/// A project that a process mirrors over NATS, with lines for the table `[keboola]`.
async fn mirrored(keboola: &'static str) -> (Installation, Server, Broker) {
    let nats = NatsServer::start();
    let options = Options {
        keboola,
        ..Broker::options(&nats, "")
    };
    let site = Installation::new(&Keboola::small(), options);
    let server = site.start().await;
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    (site, server, broker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn what_is_published_over_nats_becomes_commits_also_after_nats_was_away() {
    let (site, server, mut broker) = mirrored("").await;
    let keboola = Arc::clone(&site.keboola);
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
    each_round(killed_at_each_place).await;
}

async fn killed_at_each_place() {
    let (site, server, broker) = mirrored("").await;
    let keboola = Arc::clone(&site.keboola);
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

/// Whether a worker has the only shard there is.
async fn holds(server: &Server) -> bool {
    server.metric("shards_held").await == Some(1.0)
}

/// Waits until one of the workers works, and returns which.
async fn holder(workers: &[&Server]) -> usize {
    until("a worker has the shard", async || {
        for (index, worker) in workers.iter().enumerate() {
            if holds(worker).await {
                return Some(index);
            }
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_worker_goes_on_where_another_died_or_left_and_history_is_one_line() {
    each_round(workers_come_and_go).await;
}

#[expect(
    clippy::print_stdout,
    reason = "how long it took is shown with `--no-capture`"
)]
async fn workers_come_and_go() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    let mut workers = vec![site.worker("w0").await, site.worker("w1").await];
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    for round in 1..=4 {
        work(&keboola, round);
        broker.publish(&site).await;
        let at_work = holder(&workers.iter().collect::<Vec<_>>()).await;
        let mut leaving = workers.remove(at_work);
        if round % 2 == 0 {
            leaving.stop().await;
        } else {
            leaving.kill();
        }
        // Whoever is left takes over, and then there is another one again.
        let taken = std::time::Instant::now();
        holder(&[&workers[0]]).await;
        println!("round {round}: taken over after {:?}", taken.elapsed());
        broker.settle(&[&site]).await;
        workers.push(site.worker(&format!("w{}", round + 1)).await);
    }
    work(&keboola, 5);
    let books = broker.settle(&[&site]).await;
    for book in books.values() {
        site.check_by(book, &[]);
    }
    for worker in workers {
        worker.stop().await;
    }
}

/// Polling goes with the lease: whoever does not have the project does not ask, and who takes over tells nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn only_the_worker_that_has_the_project_polls_it_and_the_next_goes_on_where_it_was() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let options = Options {
        mirror: "poll = { enabled = true, every_ms = 1000, unversioned_every_ms = 1000, hints_every_ms = 0 }",
        ..Broker::options(&nats, "")
    };
    let site = Installation::new(&keboola, options);
    let mut workers = vec![site.worker("w0").await, site.worker("w1").await];
    let main = keboola.main();
    let looks = async |server: &Server| {
        server
            .metric("polls_total{outcome=\"ok\"}")
            .await
            .unwrap_or_default()
    };
    let events = async |server: &Server| {
        let status = server.status().await;
        status["polls"][0]["events"].as_u64().unwrap_or_default()
    };
    work(&keboola, 1);
    until("the first changes are found", async || {
        site.has_versions(&main).then_some(())
    })
    .await;
    // The project may go to the one that came last before it stays where it is.
    let at_work = until("one polls and the other does not", async || {
        let at_work = holder(&workers.iter().collect::<Vec<_>>()).await;
        let (busy, idle) = (&workers[at_work], &workers[1 - at_work]);
        let (before, idle_before) = (looks(busy).await, looks(idle).await);
        let polls_on = until("it polls on, or another has it", async || {
            match holds(busy).await {
                true => (looks(busy).await >= before + 3.0).then_some(true),
                false => Some(false),
            }
        });
        (polls_on.await && looks(idle).await <= idle_before).then_some(at_work)
    })
    .await;
    let holding = workers.remove(at_work);
    let told = events(&workers[0]).await;
    let mut holding = holding;
    holding.kill();
    work(&keboola, 2);
    until("the other one finds what happened since", async || {
        site.has_versions(&main).then_some(())
    })
    .await;
    let taken = looks(&workers[0]).await;
    until("it has looked since", async || {
        (looks(&workers[0]).await >= taken + 2.0).then_some(())
    })
    .await;
    // Two versions, a run and its table that was loaded; nothing of the first round.
    assert_eq!(events(&workers[0]).await - told, 4);
    site.repository.fsck();
    site.check_status(&workers[0]).await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_worker_killed_around_its_push_leaves_nothing_that_another_would_do_twice() {
    each_round(killed_around_the_push).await;
}

async fn killed_around_the_push() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    let broker = Broker::open(nats, &site).await;
    for (round, place) in (1..).zip(["before-push", "after-push", "after-adopt"]) {
        let mut first = site.start_armed(&format!("{place}:2")).await;
        until("the first has the shard", async || {
            holds(&first).await.then_some(())
        })
        .await;
        let second = site.worker(&format!("second-{round}")).await;
        // The snapshot or an edit is the first passing, this one the second.
        for part in 0..2 {
            work(&keboola, 10 * round + part);
            broker.publish(&site).await;
            broker.settle(&[&site]).await;
        }
        second.stop().await;
        first.kill();
    }
    let server = site.start().await;
    let books = broker.settle(&[&site]).await;
    for book in books.values() {
        site.check_by(book, &[]);
    }
    server.stop().await;
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

/// Nothing is compared with the source but where an attempt finds that it has to.
const NEVER: &str = "visible_within_ms = 0\n[reconcile]\nevery_ms = 0\nrender_every_ms = 0";

/// Lets changes and a run wait in the log, where they alone are told of; returns the run.
async fn accepted_and_waiting(site: &Installation, server: &Server, broker: &Broker) -> String {
    site.ask(&["mirror", "pause", "--mirror", MIRROR]).ok();
    until("the lane is paused", async || {
        let lane = server.lane(&site.keboola.main()).await;
        (lane["state"] == "paused").then_some(())
    })
    .await;
    let orders = site.keboola.orders();
    site.keboola.set(&orders, JANE, "since", "-40 weeks");
    let run = site.keboola.run(&orders, "success", &["in.c-shop.orders"]);
    broker.publish(site).await;
    broker.is_taken().await;
    run
}

/// Checks that the repository has all that the source shows, and this run.
fn check_compared(site: &Installation, books: &BTreeMap<String, LogBook>, run: &str) {
    site.repository.fsck();
    assert!(site.has_versions(&site.keboola.main()));
    assert!(site.has_run("main", run));
    for book in books.values() {
        assert_eq!(book.dead_letters, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_log_that_is_deleted_or_made_anew_is_told_of_and_everything_is_compared_by_the_next_process() {
    let (site, mut server, broker) = mirrored(NEVER).await;
    let keboola = Arc::clone(&site.keboola);
    // Positions of the stream that comes after it are behind this for long.
    work(&keboola, 1);
    broker.settle(&[&site]).await;
    let run = accepted_and_waiting(&site, &server, &broker).await;
    broker.delete_stream("KBC_LOG").await;
    let told = async |what: &str| {
        until("the process says so", async || {
            let answers = [
                server.get("/readyz").await.ok()?,
                server.get("/livez").await.ok()?,
            ];
            let status = server.status().await;
            let says = |text: &str| text.contains("`KBC_LOG`") && text.contains(what);
            let all = answers
                .iter()
                .all(|answer| answer.status == 503 && says(&answer.body));
            (all && says(status["log"].as_str()?)).then_some(())
        })
        .await;
    };
    told("is gone").await;
    let status = site.ask(&["mirror", "status", "--mirror", MIRROR]).ok();
    let line = "the log cannot go on in the running process: the NATS stream `KBC_LOG`";
    assert!(status.starts_with(line), "{status}");
    let event = json!({
        "type": "config_changed", "projectId": site.keboola.project().project_id.to_string(),
        "branchId": keboola.main(), "componentId": "c", "configId": "a", "newVersion": 1,
    });
    let answer = server.post(&event.to_string()).await.unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    // Somebody else makes it anew, and publishers go on.
    let broker = Broker::open(broker.server, &site).await;
    told("was made anew").await;
    work(&keboola, 3);
    broker.publish(&site).await;
    let ended = server.ended().await;
    assert_eq!(ended.code(), Some(1), "a supervisor starts it again: {ended}");
    // What only the log had is found all the same.
    let server = site.start().await;
    site.ask(&["mirror", "resume", "--mirror", MIRROR]).ok();
    let books = broker.settle(&[&site]).await;
    check_compared(&site, &books, &run);
    assert!(server.status().await["log"].is_null());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn events_that_others_delete_from_the_log_are_found_by_comparing() {
    let (site, server, broker) = mirrored(NEVER).await;
    let run = accepted_and_waiting(&site, &server, &broker).await;
    broker.purge_stream("KBC_LOG").await;
    site.ask(&["mirror", "resume", "--mirror", MIRROR]).ok();
    let books = broker.settle(&[&site]).await;
    check_compared(&site, &books, &run);
    server.stop().await;
}

/// It is one that HTTP takes, and with what is added to it more than a message holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn an_event_that_no_message_can_hold_does_not_hold_up_its_neighbours() {
    let (site, server, broker) = mirrored("").await;
    let keboola = Arc::clone(&site.keboola);
    let event = |links: &[String]| {
        json!({
            "type": "job_finished", "projectId": keboola.project().project_id.to_string(), "branchId": keboola.main(),
            "componentId": "keboola.ex-x", "runId": "900001", "status": "SUCCESS", "artifactLinks": links,
        })
    };
    let mut links = Vec::new();
    // With each come a scheme, a comma and quotes.
    while let Some(left) = (EVENT_BYTES_MAX - 100).checked_sub(event(&links).to_string().len() + 20) {
        links.push(format!("s3://b/{}", "x".repeat(left.min(3_900))));
    }
    let large = event(&links);
    keboola.set(&keboola.orders(), JANE, "since", "-1 weeks");
    let good = site.hand_over();
    let body = json!([large, good[0]]).to_string();
    let answer = server.post(&body).await.unwrap();
    assert_eq!(answer.status, 400, "{answer:?}");
    let said = answer.json();
    assert_eq!(
        (&said["accepted"], &said["duplicates"]),
        (&json!(1), &json!(0)),
        "{said}"
    );
    assert_eq!(said["refused"][0]["event"], 0, "{said}");
    let detail = said["refused"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("max_payload"), "{said}");
    let books = broker.settle(&[&site]).await;
    for book in books.values() {
        assert_eq!(book.dead_letters.len(), 1, "{:?}", book.dead_letters);
        assert!(
            book.dead_letters[0].contains("max_payload"),
            "{:?}",
            book.dead_letters
        );
    }
    assert!(site.has_versions(&keboola.main()));
    server.stop().await;
}
