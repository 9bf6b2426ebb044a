//! Keboola in trouble: what it told is mirrored all the same, later.

use crate::support::{Installation, JANE, Keboola, Options, PETR, Server, until};
use fake_keboola::{Fault, FaultKind};
use serde_json::Value;
use std::time::Duration;

fn fault(path: &str, times: u32, kind: FaultKind) -> Fault {
    Fault {
        path: path.into(),
        times,
        kind,
    }
}

fn limited(seconds: &str) -> FaultKind {
    FaultKind::RateLimited {
        retry_after: Some(seconds.into()),
    }
}

/// Takes a snapshot and mirrors a window of changes, each with trouble on the way.
async fn check(path: &str, times: u32, kind: FaultKind) {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    keboola.fail(fault(path, times, kind.clone()));
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.fail(fault(path, times, kind));
    keboola.set(&keboola.orders(), JANE, "z", 2);
    keboola.create("extra", "Extra", PETR);
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    keboola.heal();
    assert_eq!(
        site.repository.count("main"),
        2,
        "trouble makes no commits of its own"
    );
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_servers_are_asked_again() {
    check("/v2/storage/branch/5", 4, FaultKind::ServerError).await;
    check("/queue", 2, FaultKind::ServerError).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_are_waited_for() {
    check("/v2/storage/branch/5", 2, limited("1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_waited_for() {
    let closed = FaultKind::Maintenance {
        retry_after_seconds: 1,
    };
    check("/v2/storage", 2, closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_waited_for() {
    check(
        "/v2/storage/branch/5",
        3,
        FaultKind::Slow(Duration::from_millis(700)),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_are_made_again() {
    check("/v2/storage/branch/5", 3, FaultKind::Cut { after_bytes: 300 }).await;
    check("/v2/storage/branch/5", 2, FaultKind::Cut { after_bytes: 0 }).await;
}

/// Returns the outage of the default branch's lane, once there is one.
async fn outage(site: &Installation, server: &Server) -> Value {
    until("the lane says that it waits", async || {
        let lane = server.lane(&site.keboola.main()).await;
        // Between two attempts it is known when the next one begins.
        (lane["outage"] != Value::Null && lane["nextDue"] != Value::Null).then_some(lane)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_past_all_patience_ends_in_a_later_attempt() {
    let keboola = Keboola::small();
    let site = Installation::new(
        &keboola,
        Options {
            retries_max: 1,
            ..Options::default()
        },
    );
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.fail(fault("/v2/storage/branch/5", 5, limited("1")));
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert!(!server.logged("attempt failed; it is repeated").is_empty());
    until("the log says so", async || {
        (!server.logged("recovered").is_empty()).then_some(())
    })
    .await;
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_and_nothing_of_it_is_lost() {
    let keboola = Keboola::small();
    let site = Installation::new(
        &keboola,
        Options {
            retries_max: 0,
            ..Options::default()
        },
    );
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.fail(fault("/v2/storage/branch/5", u32::MAX, FaultKind::ServerError));
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server)
        .await
        .expect("events are accepted whatever happens behind");
    let lane = outage(&site, &server).await;
    assert_eq!(lane["state"], "retrying", "{lane}");
    let reason = lane["outage"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("status 500"), "{lane}");
    assert_ne!(lane["nextDue"], Value::Null, "{lane}");
    // More changes while it lasts, in an order of their own.
    keboola.set(&keboola.clean(), PETR, "note", "x");
    keboola.delete(&keboola.create("short", "Short lived", JANE), PETR);
    site.deliver(&mut server)
        .await
        .expect("events are accepted whatever happens behind");
    server.stop().await;

    // The outage is remembered, and ends with it.
    keboola.heal();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert!(!server.logged("recovered").is_empty());
    site.check(&[]);
    site.check_calm(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_visible_late_is_waited_for() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.hide_new_versions(2);
    let version = keboola.set(&keboola.orders(), JANE, "z", 2);
    let extra = keboola.create("extra", "Extra", PETR);
    site.settle(&mut server).await;
    assert!(
        !server.logged("attempt failed; it is repeated").is_empty(),
        "nothing was late"
    );
    keboola.heal();
    let found = site.repository.sidecars("main");
    assert!(
        found
            .iter()
            .any(|one| one.config == "orders" && one.row.is_none() && one.version == version)
    );
    assert!(found.iter().any(|one| one.config == extra.config));
    site.check(&[]);
    // Deleted, but the listing still shows it.
    keboola.hide_new_versions(2);
    keboola.delete(&extra, JANE);
    site.settle(&mut server).await;
    keboola.heal();
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_were_overtaken_are_mirrored_as_they_stand_in_the_end() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let first = keboola.outbox(0).len() as u64;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    keboola.set(&keboola.orders(), PETR, "z", 3);
    // Only the first of the two is told in time; the source shows the second already.
    let event = keboola.outbox(first).remove(0).json;
    let answer = server.post(&event).await.expect("the process listens");
    assert_eq!(answer.status, 202);
    until("the first is mirrored", async || {
        (site.repository.count("main") == 2).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_told_at_once_and_a_mended_one_goes_on() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.fail(fault("/", u32::MAX, FaultKind::Unauthorized));
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server)
        .await
        .expect("events are accepted whatever happens behind");
    let lane = outage(&site, &server).await;
    let reason = lane["outage"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("token"), "{lane}");
    let told = server.logged("notice");
    assert!(
        told.iter().any(|line| line["notice"] == "NeedsCustomer"),
        "nobody was told: {told:?}"
    );
    server.stop().await;

    // It is also said where no lane can be opened at all.
    let server = site.start().await;
    until("the log says so", async || {
        let said = server
            .log()
            .into_iter()
            .find(|line| line.contains("\"level\":\"ERROR\""));
        said.filter(|line| line.contains("token"))
    })
    .await;
    server.stop().await;

    keboola.heal();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}
