//! What if a process dies over one object, again and again? A supervisor starts it anew, as systemd and Kubernetes do.

use crate::support::{Broker, Installation, JANE, Keboola, MIRROR, Options, PETR, Server, until};
use mirror_runtime::crash::{ENDLESS_OBJECT, FATAL_OBJECT};
use nats_server::NatsServer;
use std::os::unix::process::ExitStatusExt;

const FATAL: &str = "keboola.ex-shop/orders";
/// Only this version of it is.
const FATAL_VERSION: &str = "keboola.ex-shop/orders:-9 weeks";
/// Two for chance, one that starts the search, halvings of few objects, and one that confirms.
const DEATHS_MAX: usize = 9;

fn options() -> Options {
    Options {
        keboola: "visible_within_ms = 0",
        ..Options::default()
    }
}

/// Starts a process that aborts when it works on an object.
async fn start_over(site: &Installation, object: &str) -> Server {
    let mut serve = site.serve();
    serve.env(FATAL_OBJECT, object);
    let mut server = site.spawn(&mut serve);
    server.listening().await;
    server
}

/// Waits for something, starting the process anew each time it has died; returns how often it had to.
async fn supervised<T>(
    site: &Installation,
    object: &str,
    server: &mut Server,
    mut what: impl AsyncFnMut(&mut Server) -> Option<T>,
) -> (T, usize) {
    let mut deaths = 0;
    let found = until("it works, restarted as often as it dies", async || {
        if server.is_over() {
            let status = server.ended().await;
            assert_eq!(status.signal(), Some(6), "it ended by itself: {status}");
            deaths += 1;
            assert!(deaths <= DEATHS_MAX, "it dies and dies");
            *server = start_over(site, object).await;
        }
        what(server).await
    });
    let found = found.await;
    (found, deaths)
}

fn version(site: &Installation, branch: &str, config: &str) -> Option<u64> {
    // Of one commit, while the next is made.
    let tip = site.repository.tip(branch)?;
    let sidecars = site.repository.sidecars(&tip);
    let mut own = sidecars.iter().filter(|sidecar| sidecar.row.is_none());
    Some(own.find(|sidecar| sidecar.config == config)?.version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_one_is_put_aside_its_neighbours_go_on_and_replay_mends_it() {
    let site = Installation::new(&Keboola::small(), options());
    let keboola = &site.keboola;
    let branch = keboola.branch("Loyalty", JANE);
    let git_branch = site.git_branch(&branch);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    server.stop().await;

    let mut server = start_over(&site, FATAL_VERSION).await;
    let before = version(&site, "main", "orders");
    let fatal = keboola.set(&keboola.orders(), JANE, "since", "-9 weeks");
    let clean = keboola.set(&keboola.clean(), PETR, "cents", 4);
    for number in 0..5 {
        keboola.create(&format!("new-{number}"), &format!("New {number}"), PETR);
    }
    // Another lane of the same process.
    let copy = fake_keboola::ConfigAt::new(&branch, &keboola.clean().component, &keboola.clean().config);
    let elsewhere = keboola.set(&copy, JANE, "points", true);
    let (_, deaths) = supervised(&site, FATAL_VERSION, &mut server, async |server| {
        site.deliver(server).await.ok()?;
        site.is_settled().then_some(())
    })
    .await;
    assert!(deaths >= 3, "{deaths} deaths are no chance");
    assert_eq!(version(&site, "main", "orders"), before);
    assert_eq!(version(&site, "main", "clean"), Some(clean));
    assert_eq!(version(&site, "main", "new-4"), Some(1));
    assert_eq!(version(&site, &git_branch, "clean"), Some(elsewhere));

    let letters = site.answer(&["events", "dead-letters", "--mirror", MIRROR]);
    let letters = letters["deadLetters"].as_array().cloned().unwrap_or_default();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["about"], FATAL);
    assert_eq!(letters[0]["replayable"], true);
    let reason = letters[0]["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("withheld: the process died") && reason.contains("times over it"),
        "{reason}"
    );
    // It stays aside whatever else happens, also where everything is rendered.
    let clean = keboola.set(&keboola.clean(), PETR, "cents", 5);
    site.settle(&mut server).await;
    let verified = site.ask(&["verify", "--json", "--mirror", MIRROR]);
    assert!(matches!(verified.status.code(), Some(0 | 3)), "{verified:?}");
    assert!(!server.is_over(), "nothing of it was touched");
    assert_eq!(version(&site, "main", "orders"), before);
    assert_eq!(version(&site, "main", "clean"), Some(clean));
    server.stop().await;

    // An upgrade; then it is asked for again.
    let mut server = site.start().await;
    site.answer(&["events", "replay", "--mirror", MIRROR, "--all", "--apply"]);
    until("it is mirrored", async || {
        (version(&site, "main", "orders") == Some(fatal)).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    server.stop().await;
    site.check_after_withholding(1);
}

/// Nothing interrupts a guest of ours. A process in which one goes on and on says so at `/livez`, and ends by itself after a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_over_which_our_own_guest_does_not_end_is_put_aside_as_well() {
    let keboola = Keboola::small();
    let site = Installation::new(
        &keboola,
        Options {
            queue: "[sandbox]\ndeadline_ms = 6000".to_owned(),
            dev_branches: false,
            ..options()
        },
    );
    let mut server = site.start().await;
    site.settle(&mut server).await;
    server.stop().await;

    let endless = async || {
        let mut serve = site.serve();
        serve.env(ENDLESS_OBJECT, FATAL_VERSION);
        let mut server = site.spawn(&mut serve);
        server.listening().await;
        server
    };
    let mut server = endless().await;
    let before = version(&site, "main", "orders");
    keboola.set(&keboola.orders(), JANE, "since", "-9 weeks");
    let clean = keboola.set(&keboola.clean(), PETR, "cents", 4);
    until("it ends by itself", async || {
        if !server.is_over() {
            site.deliver(&mut server).await.ok()?;
        }
        server.is_over().then_some(())
    })
    .await;
    let status = server.ended().await;
    assert_eq!(status.code(), Some(1), "{status}");
    let log = server.log().join("\n");
    assert!(
        log.contains("the layout renderer has been running for more than 6000 ms"),
        "{log}"
    );
    let mut ends = 1;
    let mut server = endless().await;
    until("it works, killed as often as it does not end", async || {
        let answer = server.get("/livez").await;
        if answer.is_ok_and(|answer| answer.status == 503) {
            server.kill();
            server.was_killed().await;
            ends += 1;
            assert!(ends <= DEATHS_MAX, "it goes on and on");
            server = endless().await;
        }
        site.deliver(&mut server).await.ok()?;
        site.is_settled().then_some(())
    })
    .await;
    assert!(ends >= 3, "{ends} times are no chance");
    assert_eq!(version(&site, "main", "orders"), before);
    assert_eq!(version(&site, "main", "clean"), Some(clean));
    server.stop().await;

    let mut server = site.start().await;
    site.answer(&["events", "replay", "--mirror", MIRROR, "--all", "--apply"]);
    until("it is mirrored", async || {
        (version(&site, "main", "orders") != before).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    server.stop().await;
    site.check_after_withholding(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_sync_goes_on_without_it_and_resync_has_it_tried_again() {
    let site = Installation::new(
        &Keboola::small(),
        Options {
            dev_branches: false,
            ..options()
        },
    );
    let mut server = start_over(&site, FATAL).await;
    let (_, deaths) = supervised(&site, FATAL, &mut server, async |_| {
        version(&site, "main", "clean").map(drop)
    })
    .await;
    assert!(deaths >= 3);
    assert_eq!(version(&site, "main", "orders"), None);
    until("the status says why", async || {
        let page = server.get("/v1/status").await.ok()?.body;
        page.contains("times over it").then_some(())
    })
    .await;
    server.stop().await;
    let mut server = site.start().await;
    until("the branch is open", async || {
        let lane = server.lane(&site.keboola.main()).await;
        lane["tip"].is_string().then_some(())
    })
    .await;
    assert_eq!(
        version(&site, "main", "orders"),
        None,
        "a restart alone changes nothing"
    );
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    until("it is mirrored", async || {
        version(&site, "main", "orders").map(drop)
    })
    .await;
    site.settle(&mut server).await;
    server.stop().await;
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_it_is_no_object_the_branch_is_left_alone_and_the_process_lives() {
    let site = Installation::new(
        &Keboola::small(),
        Options {
            dev_branches: false,
            ..options()
        },
    );
    let mut server = start_over(&site, "branch").await;
    let (lane, deaths) = supervised(&site, "branch", &mut server, async |server| {
        let lane = server.lane(&site.keboola.main()).await;
        lane.to_string()
            .contains("not over a single object")
            .then_some(lane)
    })
    .await;
    assert!(deaths >= 3, "{lane}");
    assert_eq!(site.log().map(|book| book.dead_letters), Some(vec![]));
    server.stop().await;

    // What killed is gone, and nobody has to wait as long as the branch is held.
    let mut server = site.start().await;
    until("a restart has changed nothing", async || {
        let lane = server.lane(&site.keboola.main()).await;
        lane.to_string()
            .contains("not over a single object")
            .then_some(())
    })
    .await;
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    // Nor for the next attempt.
    for action in ["pause", "resume"] {
        site.answer(&["mirror", action, "--mirror", MIRROR]);
    }
    site.settle(&mut server).await;
    server.stop().await;
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn it_is_so_over_jetstream_though_each_process_has_lost_its_disk() {
    let keboola = Keboola::small();
    let nats = NatsServer::start();
    let site = Installation::new(&keboola, Broker::options(&nats, ""));
    let server = site.start().await;
    let broker = Broker::open(nats, &site).await;
    broker.settle(&[&site]).await;
    server.stop().await;
    keboola.set(&keboola.orders(), JANE, "since", "-9 weeks");
    let clean = keboola.set(&keboola.clean(), PETR, "cents", 4);
    let mut server = start_over(&site, FATAL_VERSION).await;
    broker.publish(&site).await;
    let mut deaths = 0;
    let book = until("it works, restarted as often as it dies", async || {
        if server.is_over() {
            let status = server.ended().await;
            assert_eq!(status.signal(), Some(6), "it ended by itself: {status}");
            deaths += 1;
            assert!(deaths <= DEATHS_MAX, "it dies and dies");
            site.lose_data();
            site.share_guests();
            server = start_over(&site, FATAL_VERSION).await;
        }
        let book = broker.book(&site).await?;
        (version(&site, "main", "clean") == Some(clean) && site.is_settled_by(&book)).then_some(book)
    })
    .await;
    assert!(deaths >= 3);
    assert_eq!(book.dead_letters.len(), 1, "{:?}", book.dead_letters);
    server.stop().await;
}
