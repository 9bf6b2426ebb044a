//! Does the scheduled comparison find what no event told, and leave alone what is in order?

use crate::support::{BOT, Installation, JANE, Keboola, MIRROR, Options, PETR, Server, command, run, until};
use fake_keboola::{Change, Fault, FaultKind};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Compares all the time, and waits for no event.
const AT_ONCE: &str =
    "visible_within_ms = 0\n[reconcile]\nevery_ms = 1000\ngrace_ms = 0\nrender_every_ms = 0";
const NEVER: &str = "visible_within_ms = 0\n[reconcile]\nevery_ms = 0\nrender_every_ms = 0";

fn site(keboola: &'static str) -> Installation {
    let options = Options {
        dev_branches: false,
        keboola,
        ..Options::default()
    };
    Installation::new(&Keboola::small(), options)
}

async fn repaired(server: &Server, kind: &str) -> f64 {
    let name = format!("reconcile_repairs_total{{kind=\"{kind}\"}}");
    server.metric(&name).await.unwrap_or_default()
}

async fn compared(server: &Server) -> f64 {
    let name = "reconcile_comparisons_total{outcome=\"ok\"}";
    server.metric(name).await.unwrap_or_default()
}

/// Waits until the branch was compared so often since.
async fn compared_again(server: &Server, times: f64) {
    let before = compared(server).await;
    until("it is compared", async || {
        (compared(server).await >= before + times).then_some(())
    })
    .await;
}

/// Somebody works, and not one of the events is ever delivered.
fn work_unheard(site: &Installation, round: u64) {
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "since", format!("-{round} weeks"));
    keboola.create(&format!("new-{round}"), &format!("New {round}"), PETR);
    if round > 1 {
        let earlier = keboola.at("keboola.ex-shop", &format!("new-{}", round - 1));
        keboola.delete(&earlier, BOT);
    }
    site.hand_over();
}

fn mirrored(site: &Installation, config: &str) -> bool {
    // Of one commit, while the next is made.
    let Some(tip) = site.repository.tip("main") else {
        return false;
    };
    let sidecars = site.repository.sidecars(&tip);
    sidecars.iter().any(|sidecar| sidecar.config == config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_event_told_is_mirrored_and_counted() {
    let site = site(AT_ONCE);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    compared_again(&server, 1.0).await;
    work_unheard(&site, 1);
    until("the new one is mirrored", async || {
        mirrored(&site, "new-1").then_some(())
    })
    .await;
    assert!(repaired(&server, "config_changed").await >= 1.0);
    work_unheard(&site, 2);
    until("the deleted one is gone", async || {
        (mirrored(&site, "new-2") && !mirrored(&site, "new-1")).then_some(())
    })
    .await;
    until("all of it", async || {
        let configs = repaired(&server, "config_changed").await;
        (configs == 4.0 && repaired(&server, "config_deleted").await == 1.0).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    // A table, and a run that wrote none.
    let table = json!({
        "id": "in.c-shop.returns", "name": "returns", "displayName": "returns", "primaryKey": [],
        "columns": ["id", "reason"], "rowsCount": 3, "dataSizeBytes": 90, "isTyped": false,
        "bucket": { "id": "in.c-shop" },
    });
    let by = site.keboola.by(JANE, "");
    put_table(&site, table, &by);
    site.hand_over();
    until("the table is mirrored", async || {
        let files = site.repository.files("main");
        files
            .contains_key("storage/metadata/in.c-shop/returns.json")
            .then_some(())
    })
    .await;
    site.settle(&mut server).await;
    assert_eq!(repaired(&server, "storage_changed").await, 1.0);
    site.check(&[]);
    let ended = mirror_runtime::system::wall_clock();
    let run = site.keboola.run_at(ended, &site.keboola.orders(), "success", &[]);
    site.hand_over();
    until("the run is in the history", async || {
        let tip = site.repository.tip("main")?;
        let files = site.repository.files(&tip).into_keys();
        let days: Vec<String> = files.filter(|path| path.starts_with("jobs/")).collect();
        let lines = site.repository.contents(&tip, &days).join("\n");
        lines.contains(&format!("\"{run}\"")).then_some(())
    })
    .await;
    assert_eq!(repaired(&server, "job_finished").await, 1.0);
    assert_eq!(repaired(&server, "render_changed").await, 0.0);
    server.stop().await;
}

fn put_table(site: &Installation, table: Value, by: &Change) {
    site.keboola
        .put_table(table, by)
        .expect("the fake takes the table");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_told_too_early_is_found_and_is_no_repair() {
    let site = site(AT_ONCE);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let keboola = &site.keboola;
    let run = keboola.run(&keboola.orders(), "success", &[]);
    keboola.fail(Fault {
        path: format!("/queue/jobs/{run}"),
        times: u32::MAX,
        kind: FaultKind::NotFound,
    });
    site.deliver(&mut server).await.expect("the process lives");
    let is_put_aside = async || (site.log()?.dead_letters.len() == 1 && site.is_settled()).then_some(());
    until("it is put aside", is_put_aside).await;
    // What is in memory only is gone.
    server.stop().await;
    let server = site.start().await;
    compared_again(&server, 2.0).await;
    assert!(!site.has_run("main", &run));

    keboola.heal();
    until("the run is in the history", async || {
        site.has_run("main", &run).then_some(())
    })
    .await;
    let events = site.log().map(|log| log.events);
    compared_again(&server, 2.0).await;
    assert_eq!(site.log().map(|log| log.events), events, "it was found once");
    assert_eq!(repaired(&server, "job_finished").await, 0.0);
    site.check_rest(&site.log().expect("there is a log"), &[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_in_order_makes_no_event_and_no_commit() {
    let mut site = site(NEVER);
    let mut server = site.start().await;
    for round in 1..=3 {
        site.keboola.set(&site.keboola.orders(), JANE, "since", round);
        site.keboola
            .run(&site.keboola.orders(), "success", &["in.c-shop.orders"]);
        site.settle(&mut server).await;
    }
    assert_eq!(compared(&server).await, 0.0, "never is never");
    server.stop().await;
    let before = (site.repository.count("main"), site.log().map(|log| log.events));
    site.configure(|options| {
        options.keboola =
            "visible_within_ms = 0\n[reconcile]\nevery_ms = 1000\ngrace_ms = 0\nrender_every_ms = 1000";
    });
    let server = site.start().await;
    // Each of them some by listing and some by rendering.
    compared_again(&server, 6.0).await;
    for kind in [
        "config_changed",
        "config_deleted",
        "storage_changed",
        "job_finished",
        "render_changed",
    ] {
        assert_eq!(repaired(&server, kind).await, 0.0, "{kind}");
    }
    let after = (site.repository.count("main"), site.log().map(|log| log.events));
    assert_eq!(after, before);
    server.stop().await;
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_listing_shows_is_found_by_rendering_everything() {
    let mut site = site(NEVER);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    server.stop().await;
    let described = [("KBC.projectDescription", "A shop of our own")];
    let by = site.keboola.by(JANE, "");
    let set = site
        .keboola
        .set_branch_metadata(&site.keboola.main(), &by, &described);
    set.expect("there is such a branch");
    site.hand_over();
    site.configure(|options| {
        options.keboola = "visible_within_ms = 0\n[reconcile]\nevery_ms = 0\nrender_every_ms = 1000";
    });
    let mut server = site.start().await;
    until("it is mirrored", async || {
        let commits = site.repository.count("main");
        (commits == 2 && repaired(&server, "render_changed").await >= 1.0).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    site.check(&[]);
    // It was found once, and now nothing differs.
    compared_again(&server, 2.0).await;
    assert_eq!(site.repository.count("main"), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_on_its_way_is_given_time() {
    let mut site = site(NEVER);
    let mut server = site.start().await;
    let extra = site.keboola.create("extra", "Extra", PETR);
    site.settle(&mut server).await;
    server.stop().await;
    site.configure(|options| {
        options.keboola =
            "visible_within_ms = 0\n[reconcile]\nevery_ms = 1000\ngrace_ms = 86400000\nrender_every_ms = 0";
    });
    let mut server = site.start().await;
    compared_again(&server, 1.0).await;
    // Of what is gone nobody says since when.
    site.keboola.delete(&extra, BOT);
    let events = site.log().map(|log| log.events);
    until("it is looked at", async || {
        let waiting = server
            .metric("reconcile_comparisons_total{outcome=\"waiting\"}")
            .await;
        (waiting == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(site.log().map(|log| log.events), events);
    site.settle(&mut server).await;
    assert_eq!(repaired(&server, "config_deleted").await, 0.0);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_killed_in_a_comparison_repairs_once() {
    let mut site = site(NEVER);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    server.stop().await;
    work_unheard(&site, 1);
    site.configure(|options| options.keboola = AT_ONCE);
    let mut server = site.start_armed("after-compared").await;
    server.was_killed().await;
    let mut server = site.start().await;
    until("the new one is mirrored", async || {
        mirrored(&site, "new-1").then_some(())
    })
    .await;
    compared_again(&server, 2.0).await;
    site.settle(&mut server).await;
    assert_eq!(
        repaired(&server, "config_changed").await,
        0.0,
        "the log had it by then"
    );
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_paused_mirror_is_compared_when_it_goes_on() {
    let site = site(AT_ONCE);
    let mirror = |word: &str| {
        let mut command = command();
        command
            .args(["mirror", word, "--mirror", MIRROR, "--config"])
            .arg(site.path("mirror.toml"));
        run(&mut command).ok();
    };
    let mut server = site.start().await;
    site.settle(&mut server).await;
    mirror("pause");
    server.stop().await;
    let events = site.log().map(|log| log.events);
    work_unheard(&site, 1);
    let server = site.start().await;
    until("the lane is paused", async || {
        let lane = server.lane(&site.keboola.main()).await;
        (lane["state"] == "paused").then_some(())
    })
    .await;
    // Several of its moments.
    let since = Instant::now();
    until("it would have been compared", async || {
        (since.elapsed() > Duration::from_secs(3)).then_some(())
    })
    .await;
    assert_eq!(compared(&server).await, 0.0);
    assert_eq!(site.log().map(|log| log.events), events);
    mirror("resume");
    until("the new one is mirrored", async || {
        mirrored(&site, "new-1").then_some(())
    })
    .await;
    assert!(repaired(&server, "config_changed").await >= 2.0);
    server.stop().await;
    site.check(&[]);
}
