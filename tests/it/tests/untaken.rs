//! Events of which nothing comes: is it told that no mirror takes them, and can those that are no events be settled?

use crate::support::{Installation, Keboola, Options, until};
use serde_json::{Value, json};

fn changed(project: &str, branch: &str) -> String {
    json!({
        "type": "config_changed", "projectId": project, "branchId": branch,
        "componentId": "keboola.ex-shop", "configId": "orders", "newVersion": 3,
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_no_mirror_takes_are_told_and_letters_that_cannot_be_replayed_are_settled() {
    let site = Installation::new(&Keboola::small(), Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    for _ in 0..2 {
        let answer = server.post(&changed("9999", "1")).await.expect("it listens");
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    let refused = server.post("{}").await.expect("it listens");
    assert_eq!(refused.status, 400, "{refused:?}");

    // What cannot be read cannot be replayed.
    let letters = || {
        let told = site.answer(&["events", "dead-letters"]);
        told["deadLetters"].as_array().cloned().unwrap_or_default()
    };
    assert_eq!(letters().len(), 1);
    let id = letters()[0]["id"].to_string();
    assert!(
        site.ask(&["events", "acknowledge"])
            .stderr
            .contains("`--all-unreadable`")
    );
    let done = site.answer(&["events", "acknowledge", "--all-unreadable"]);
    assert_eq!(done["acknowledged"][0]["id"].to_string(), id);
    assert!(letters()[0]["acknowledgedAt"].is_string(), "it stays listed");
    let listed = site.ask(&["events", "dead-letters"]).ok();
    assert!(listed.contains("acknowledged at"), "{listed}");
    let twice = site.ask(&["events", "acknowledge", "--id", &id]);
    assert!(
        twice.stdout.contains("acknowledged before") && twice.stderr.contains("1 dead letter cannot be"),
        "{twice:?}"
    );
    let none = site.ask(&["events", "acknowledge", "--all-unreadable"]).ok();
    assert_eq!(none, "0 acknowledged\n");
    let unknown = site.ask(&["events", "acknowledge", "--id", "999"]);
    assert!(unknown.stderr.contains("no dead letter 999"), "{unknown:?}");

    until("it is counted", async || {
        let events = server.metric("unmirrored_events{lacks=\"project\"}").await;
        (events == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(
        server.metric("unmirrored_events{lacks=\"branch\"}").await,
        Some(0.0)
    );
    until("the letter is not", async || {
        (server.metric("dead_letters_unplayed").await == Some(0.0)).then_some(())
    })
    .await;
    let status: Value = server.status().await;
    let told = &status["unmirrored"];
    assert_eq!(
        (
            &told["events"],
            &told["of"][0]["projectId"],
            &told["of"][0]["lacks"]
        ),
        (&json!(1), &json!("9999"), &json!("project"))
    );
    let warned = server.logged(
        "events were accepted of a project that no mirror is of, and nothing comes of them: add a mirror, or correct who publishes them",
    );
    assert_eq!(
        warned.iter().map(|line| &line["project"]).collect::<Vec<_>>(),
        ["9999"]
    );
    for command in [&["mirror", "status", "--mirror", "shop"][..], &["mirror", "list"]] {
        let told = site.ask(command).ok();
        assert!(
            told.contains("1 event of projects or branches that no mirror of this process has, oldest 20")
                && told.contains("project 9999, branch 1: 1 event (no mirror is of the project)"),
            "{told}"
        );
    }
    site.settle(&mut server).await;
    site.repository.fsck();
    server.stop().await;
}
