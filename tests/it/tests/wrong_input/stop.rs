//! A stop while an attempt is under way.

use super::all_is_well_after_a_restart;
use crate::support::{Installation, JANE, Keboola, LogBook, Options, Server, until};
use fake_keboola::{Fault, FaultKind};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Makes a change whose attempt waits for Keboola, and returns when it does.
async fn begin_an_attempt(site: &Installation, server: &mut Server, takes: Duration) {
    site.settle(server).await;
    let keboola: &Arc<Keboola> = &site.keboola;
    keboola.forget_requests();
    keboola.fail(Fault {
        path: "/v2/storage/branch".into(),
        times: 1,
        kind: FaultKind::Slow(takes),
    });
    keboola.set(&keboola.orders(), JANE, "first", 1);
    site.deliver(server).await.expect("the process lives");
    until("the attempt asks for the change", async || {
        (keboola.requests("/v2/storage/branch") > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_the_running_attempt_finish() {
    let keboola = Keboola::small();
    let site = Installation::new(
        &keboola,
        Options {
            dev_branches: false,
            ..Options::default()
        },
    );
    let mut server = site.start().await;
    begin_an_attempt(&site, &mut server, Duration::from_secs(2)).await;
    let before = site.repository.count("main");
    server.stop().await;
    assert_eq!(
        site.repository.count("main"),
        before + 1,
        "the attempt was cut off"
    );
    let book = LogBook::read(&site.data_dir()).expect("there is a log");
    assert!(book.is_at_the_end(&keboola.main()), "{book:?}");
    all_is_well_after_a_restart(&site).await;
    assert_eq!(site.repository.count("main"), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_cannot_wait_loses_nothing() {
    let keboola = Keboola::small();
    let site = Installation::new(
        &keboola,
        Options {
            dev_branches: false,
            ..Options::default()
        },
    );
    site.write(
        "mirror.toml",
        &site.config().replace("grace_ms = 20000", "grace_ms = 100"),
    );
    let mut server = site.start().await;
    begin_an_attempt(&site, &mut server, Duration::from_secs(30)).await;
    let before = site.repository.count("main");
    let stopped = Instant::now();
    server.stop().await;
    assert!(
        stopped.elapsed() < Duration::from_secs(20),
        "the stop took {:?}",
        stopped.elapsed()
    );
    assert_eq!(site.repository.count("main"), before);
    keboola.heal();
    all_is_well_after_a_restart(&site).await;
    assert_eq!(site.repository.count("main"), before + 1);
}
