//! What the source does not show yet holds up nothing else, and is not lost.

use super::{change, config_path, mirrored, mirrored_with, post};
use crate::support::{Installation, JANE, Keboola, MIRROR, Options, PETR, Server, until};
use fake_keboola::{Fault, FaultKind};
use serde_json::{Value, json};

/// Much longer than anything else here takes.
const PATIENT: &str = "visible_within_ms = 25000";

/// Waits until the attempt waits for something that is not shown.
async fn waits(server: &Server) {
    until("the attempt is repeated", async || {
        let failed = server.logged("attempt failed; it is repeated");
        (!failed.is_empty()).then_some(())
    })
    .await;
}

fn letters(site: &Installation) -> usize {
    site.log().map_or(0, |log| log.dead_letters.len())
}

/// Has the source not show the newest configuration, by itself at least.
fn hide(site: &Installation, config: &str) {
    site.keboola.fail(Fault {
        path: config_path(site, config),
        times: u32::MAX,
        kind: FaultKind::NotFound,
    });
}

/// Returns how many commits are about a configuration.
fn commits_about(site: &Installation, config: &str) -> usize {
    let log = site.repository.log("main");
    let about = |value: &String| value.contains(config);
    log.iter()
        .filter(|commit| {
            commit
                .values("Keboola-Change")
                .iter()
                .any(|one| about(&one.to_string()))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_version_and_an_unknown_run_hold_up_nothing_else() {
    let (site, mut server) = mirrored_with(PATIENT).await;
    let keboola = &site.keboola;
    let main = keboola.main();
    let run = json!({
        "type": "job_finished", "projectId": keboola.project().project_id.to_string(), "branchId": main,
        "runId": "999999999", "componentId": "keboola.ex-shop", "configId": "orders", "status": "SUCCESS",
        "startedAt": "2026-11-02T08:00:00Z", "finishedAt": "2026-11-02T08:01:00Z",
    });
    post(&server, &json!([change(&site, &main, "orders", 4000), run])).await;
    waits(&server).await;
    for (before, text) in (1..).zip(["x", "y"]) {
        keboola.set(&keboola.clean(), PETR, "note", text);
        site.deliver(&mut server).await.expect("events are accepted");
        until("the edit is mirrored", async || {
            (site.repository.count("main") > before).then_some(())
        })
        .await;
    }
    let ran = keboola.run(&keboola.clean(), "success", &[]);
    site.deliver(&mut server).await.expect("events are accepted");
    until("the run is mirrored", async || {
        site.has_run("main", &ran).then_some(())
    })
    .await;
    assert_eq!(letters(&site), 0, "they were put aside before the rest was done");
    until("they are put aside", async || {
        (letters(&site) == 2 && site.is_settled()).then_some(())
    })
    .await;
    until("there is no outage", async || {
        let lane = server.lane(&main).await;
        (lane["putAside"] == 2 && lane["outage"] == Value::Null).then_some(())
    })
    .await;
    site.repository.fsck();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_a_secret_is_called_by_a_digest_while_it_is_awaited_and_when_it_is_put_aside() {
    let (site, server) = mirrored().await;
    let main = site.keboola.main();
    // One is known by its form, the other is what the process itself holds.
    let secrets = [super::TOKEN, site.keboola.token()];
    for id in secrets.into_iter().chain(["nowhere"]) {
        post(&server, &change(&site, &main, id, 3)).await;
        let lane = until("the version is awaited", async || {
            let lane = server.lane(&main).await;
            let awaited = lane["awaited"].as_str()?;
            awaited.contains("version 3 of").then_some(lane)
        })
        .await;
        assert_eq!(
            (&lane["state"], &lane["outage"]),
            (&json!("waiting"), &Value::Null),
            "nothing is wrong: {lane}"
        );
        let awaited = lane["awaited"].as_str().unwrap_or_default();
        let is_named = awaited.contains("version 3 of keboola.ex-shop/nowhere is not visible yet");
        assert_eq!(is_named, id == "nowhere", "{awaited}");
        assert_eq!(
            awaited.contains("version 3 of config sha256:"),
            id != "nowhere",
            "{awaited}"
        );
        until("it is put aside", async || {
            (server.lane(&main).await["awaited"] == Value::Null && site.is_settled()).then_some(())
        })
        .await;
    }
    let listed = site.answer(&["events", "dead-letters", "--mirror", MIRROR]);
    let about = |index: usize| listed["deadLetters"][index]["about"].as_str().unwrap_or_default();
    assert!(about(0).starts_with("config sha256:"), "{listed}");
    assert!(about(1).starts_with("config sha256:"), "{listed}");
    assert_eq!(about(2), "keboola.ex-shop/nowhere", "{listed}");
    assert_eq!(server.logged("event put aside").len(), 3);
    let shown = [
        server.log().join("\n"),
        server.status().await.to_string(),
        listed.to_string(),
    ];
    for secret in secrets {
        assert!(shown.iter().all(|shown| !shown.contains(secret)), "{shown:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_late_becomes_one_commit_after_the_rest_although_the_process_is_killed() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    server.stop().await;
    let mut server = site.start_armed("after-told-anew").await;
    keboola.create("early", "Early", PETR);
    hide(&site, "early");
    site.deliver(&mut server).await.expect("events are accepted");
    waits(&server).await;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server).await.expect("events are accepted");
    server.was_killed().await;

    let mut server = site.start().await;
    until("the edit is mirrored", async || {
        (commits_about(&site, "orders") == 1).then_some(())
    })
    .await;
    assert_eq!(commits_about(&site, "early"), 0);
    server.stop().await;
    let mut again = site.start().await;
    keboola.heal();
    site.settle(&mut again).await;
    assert_eq!(commits_about(&site, "early"), 1);
    assert_eq!(commits_about(&site, "orders"), 1);
    assert_eq!(letters(&site), 0);
    site.check(&[]);
    site.check_calm(&again).await;
    again.stop().await;
    server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(commits_about(&site, "early"), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_after_a_moment_is_one_commit_with_the_rest() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let before = site.repository.count("main");
    keboola.create("early", "Early", PETR);
    keboola.set(&keboola.orders(), JANE, "z", 2);
    hide(&site, "early");
    site.deliver(&mut server).await.expect("events are accepted");
    waits(&server).await;
    keboola.heal();
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), before + 1);
    assert_eq!(letters(&site), 0);
    site.check(&[]);
    server.stop().await;
}
