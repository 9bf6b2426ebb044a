//! One event or object that cannot be dealt with never holds up the others (ADR 5).

mod awaited;
mod listings;
mod texts;

use crate::support::{Installation, JANE, Keboola, MIRROR, Options, PETR, Server, until};
use fake_keboola::{Fault, FaultKind};
use rusqlite::Connection;
use serde_json::{Value, json};

/// What an event tells of is waited for this long.
const VISIBLE_WITHIN: &str = "visible_within_ms = 1500";
const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";
/// A token of GitHub by its form.
const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

async fn mirrored() -> (Installation, Server) {
    mirrored_with(VISIBLE_WITHIN).await
}

/// Mirrors a small project, with these lines about Keboola in the configuration.
async fn mirrored_with(keboola: &'static str) -> (Installation, Server) {
    let options = Options {
        keboola,
        ..Options::default()
    };
    let site = Installation::new(&Keboola::small(), options);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    (site, server)
}

/// Posts events that the fake knows nothing of.
async fn post(server: &Server, events: &Value) {
    let answer = server
        .post(&events.to_string())
        .await
        .expect("the process listens");
    assert_eq!(answer.status, 202, "{answer:?}");
}

fn change(site: &Installation, branch: &str, config: &str, version: u64) -> Value {
    json!({
        "type": "config_changed", "projectId": site.keboola.project().project_id.to_string(), "branchId": branch,
        "componentId": "keboola.ex-shop", "configId": config, "newVersion": version,
        "versionIdentifier": format!("made-up-{config}-{version}"), "author": "nobody@example.com",
        "committedAt": "2026-11-02T08:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_does_not_bear_out_is_put_aside_and_the_rest_goes_on() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let main = keboola.main();
    let run = json!({
        "type": "job_finished", "projectId": keboola.project().project_id.to_string(), "branchId": main,
        "runId": "999999999", "componentId": "keboola.ex-shop", "configId": "orders", "status": "SUCCESS",
        "startedAt": "2026-11-02T08:00:00Z", "finishedAt": "2026-11-02T08:01:00Z",
    });
    let events = [
        change(&site, &main, "nowhere", 3),
        // An id that no address can be made of.
        change(&site, &main, "..", 1),
        change(&site, &main, "orders", 4000),
        run,
    ];
    post(&server, &json!(events)).await;
    keboola.set(&keboola.clean(), PETR, "note", "x");
    site.settle(&mut server).await;

    let log = site.repository.log("main");
    assert_eq!(
        log[0].author,
        "petr.svoboda@example.com <petr.svoboda@example.com>"
    );
    assert_eq!(log[0].values("Keboola-Change").len(), 1, "{:?}", log[0]);
    until(
        "the status tells of what was put aside, and of no outage",
        async || {
            let lane = server.lane(&main).await;
            (lane["putAside"] == 4 && lane["outage"] == Value::Null).then_some(())
        },
    )
    .await;
    let letters = server.metric("dead_letters_total{reason=\"put_aside\"}").await;
    assert_eq!(letters, Some(4.0));
    let book = site.log().expect("there is a log");
    assert_eq!(
        book.dead_letters.len(),
        4,
        "each is filed once, however often it was tried: {book:?}"
    );
    site.repository.fsck();
    server.stop().await;
}

/// Tells of the last thing that was done before the source shows it at this address, until it is put aside.
async fn put_aside(site: &Installation, server: &Server, path: String) -> Value {
    let letters = |site: &Installation| site.log().map_or(0, |log| log.dead_letters.len());
    let before = letters(site);
    site.keboola.fail(Fault {
        path,
        times: u32::MAX,
        kind: FaultKind::NotFound,
    });
    let event = site.hand_over().pop().expect("something was done");
    post(server, &event).await;
    until("it is put aside", async || {
        (letters(site) > before && site.is_settled()).then_some(())
    })
    .await;
    event
}

fn config_path(site: &Installation, config: &str) -> String {
    let main = site.keboola.main();
    format!("/v2/storage/branch/{main}/components/keboola.ex-shop/configs/{config}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_aside_is_looked_at_again_when_it_is_told_again() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let run = keboola.run(&keboola.orders(), "success", &[]);
    let of_run = put_aside(&site, &server, format!("/queue/jobs/{run}")).await;
    keboola.create("early", "Early", PETR);
    let of_config = put_aside(&site, &server, config_path(&site, "early")).await;
    assert!(!site.has_run("main", &run));

    keboola.heal();
    post(&server, &json!([of_run, of_config])).await;
    site.settle(&mut server).await;
    assert!(site.has_run("main", &run));
    site.check_rest(&site.log().expect("there is a log"), &[]);
    // They are there once, and known to be.
    let events = site.log().map(|log| log.events);
    post(&server, &json!([of_run, of_config])).await;
    assert_eq!(site.log().map(|log| log.events), events);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_put_aside_is_found_by_once() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let run = keboola.run(&keboola.orders(), "success", &[]);
    put_aside(&site, &server, format!("/queue/jobs/{run}")).await;
    // So much later that nobody looks for it by its time.
    let later = keboola.now() + jiff::SignedDuration::from_hours(3);
    keboola.run_at(later, &keboola.orders(), "success", &[]);
    site.settle(&mut server).await;
    server.stop().await;
    site.once().ok();
    assert!(!site.has_run("main", &run), "it is not there yet");

    keboola.heal();
    site.once().ok();
    assert!(site.has_run("main", &run));
    site.check_rest(&site.log().expect("there is a log"), &[]);
    let events = site.log().map(|log| log.events);
    site.once().ok();
    assert_eq!(site.log().map(|log| log.events), events, "it was found once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_is_withheld_and_tried_with_its_next_version() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let main = keboola.main();
    let before = site.repository.file("main", CONFIG);
    keboola.fail(Fault {
        path: format!("/v2/storage/branch/{main}/components/keboola.ex-shop/configs/orders"),
        times: u32::MAX,
        kind: FaultKind::Answer {
            status: 200,
            content_type: "application/json".into(),
            body: "{\"id\": ".into(),
        },
    });
    keboola.set(&keboola.orders(), JANE, "z", 2);
    keboola.set(&keboola.clean(), PETR, "note", "x");
    site.settle(&mut server).await;
    assert_eq!(
        site.repository.file("main", CONFIG),
        before,
        "its earlier files stay"
    );
    let withheld = until("the status names it", async || {
        let lane = server.lane(&main).await;
        lane["withheld"]
            .as_array()
            .filter(|withheld| !withheld.is_empty())
            .cloned()
    });
    let withheld = withheld.await;
    assert!(
        withheld.len() == 1 && withheld[0].to_string().contains("orders"),
        "{withheld:?}"
    );
    let named = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .expect("the repository names it too");
    // The version that stands in the repository, whose files stay.
    let expected = json!({
        "object": "keboola.ex-shop/orders", "path": CONFIG, "reason": "source", "version": 2,
    });
    let named: Vec<Value> = named
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    assert_eq!(named, [expected]);
    until("the metric follows", async || {
        (server.metric("objects_withheld_now").await == Some(1.0)).then_some(())
    })
    .await;

    keboola.heal();
    keboola.set(&keboola.orders(), JANE, "z", 3);
    site.settle(&mut server).await;
    let mended = site.repository.file("main", CONFIG).expect("it is there");
    assert!(mended.contains("\"z\": 3"), "{mended}");
    assert_eq!(site.repository.file("main", "ai/withheld.jsonl"), None);
    site.check_status(&server).await;
    until("the metric follows", async || {
        (server.metric("objects_withheld_now").await == Some(0.0)).then_some(())
    })
    .await;
    let book = site.log().expect("there is a log");
    assert!(
        book.dead_letters.len() == 1 && book.dead_letters[0].contains("withheld"),
        "the version that never came is on record: {book:?}"
    );
    site.repository.fsck();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_never_comes_takes_nothing_away_when_everything_is_listed() {
    let (site, mut server) = mirrored().await;
    let main = site.keboola.main();
    // Somebody damages a file of the mirror's own, so that everything is read and rendered anew.
    site.repository
        .human_commit("main", &[(CONFIG, Some("{}\n"))], "Try something");
    post(&server, &json!([change(&site, &main, "orders", 4000)])).await;
    site.settle(&mut server).await;
    let config = site
        .repository
        .file("main", CONFIG)
        .expect("the configuration is still there");
    assert_ne!(config, "{}\n", "and mended");
    let log = site.repository.log("main");
    assert!(log[0].values("Keboola-Change").is_empty(), "{:?}", log[0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_dev_branch_ends_its_lane_and_keeps_its_git_branch() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let branch = keboola.branch("Trial", JANE);
    let git_branch = site.git_branch(&branch);
    post(&server, &change(&site, &branch, "orders", 1)).await;
    let tip = until("the branch is mirrored", async || {
        site.repository.tip(&git_branch)
    })
    .await;

    keboola
        .delete_branch(&branch, &keboola.by(JANE, ""))
        .expect("there is such a branch");
    post(&server, &change(&site, &branch, "orders", 4000)).await;
    until("its lane ends", async || {
        (server.lane(&branch).await == Value::Null).then_some(())
    })
    .await;
    let linked = server.metric("linked_dev_branches_total{region=\"\"}").await;
    assert_eq!(linked, Some(0.0));
    assert_eq!(site.repository.tip(&git_branch), Some(tip));
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_merge_is_no_rewritten_history() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    // Somebody worked on a commit of their own, merged the mirror's into it, and pushed: the mirror's
    // commit is the second parent now, and all its files are as they were.
    let first = site.repository.tip("main").expect("main is mirrored");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    let ours = site.repository.tip("main").expect("main is mirrored");
    let tree = site.repository.tree_id("main");
    let git = |arguments: &[&str]| site.repository.git(arguments);
    let theirs = git(&[
        "commit-tree",
        &format!("{first}^{{tree}}"),
        "-p",
        &first,
        "-m",
        "Mine",
    ]);
    let merge = git(&["commit-tree", &tree, "-p", &theirs, "-p", &ours, "-m", "Merge"]);
    site.repository.reset("main", &merge);

    keboola.set(&keboola.clean(), PETR, "note", "x");
    site.settle(&mut server).await;
    let newest = || {
        site.repository
            .git(&["log", "-1", "--format=%P", "refs/heads/main"])
    };
    assert_eq!(newest(), merge);
    server.stop().await;
    // A process that knows nothing but the repository goes on from there, too.
    site.lose_data();
    keboola.set(&keboola.orders(), JANE, "z", 3);
    site.once().ok();
    let changed = site
        .repository
        .git(&["log", "-1", "--format=%B", "refs/heads/main"]);
    assert!(
        changed.contains("Keboola-Change: keboola.ex-shop/orders@"),
        "{changed}"
    );
    assert!(!changed.contains("Snapshot"), "{changed}");
    site.repository.fsck();
}

/// Waits until the branch has no outage and nothing to do.
async fn calm(server: &Server, branch: &str) {
    until("the lane is in sync", async || {
        (server.lane(branch).await["state"] == "in sync").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_log_that_cannot_be_read_is_put_aside_and_the_source_is_looked_at_instead() {
    // In front of everything that waits, among it, and behind it; as bit rot does it, or a newer release.
    for (which, mend) in [(0, "x"), (1, "x"), (2, "\"schema\":999")] {
        let (site, mut server) = mirrored().await;
        let keboola = &site.keboola;
        let main = keboola.main();
        site.answer(&["mirror", "pause", "--mirror", MIRROR]);
        keboola.set(&keboola.orders(), JANE, "z", 2);
        keboola.set(&keboola.clean(), PETR, "note", "x");
        keboola.create("extra", "Extra", PETR);
        site.deliver(&mut server).await.expect("the process lives");
        server.stop().await;
        {
            let file = site.data_dir().join(mirror_runtime::database::DATABASE_FILE);
            let database = Connection::open(file).expect("the database is there");
            let (position, envelope): (i64, String) = database
                .query_row(
                    "SELECT position, envelope FROM event WHERE position > (SELECT max(change) FROM lane_cursor) AND stream = 0
                     ORDER BY position LIMIT 1 OFFSET ?",
                    [which],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .expect("three events wait");
            let damaged = match mend {
                "x" => envelope[..envelope.len() - 3].to_owned(),
                newer => envelope.replacen("\"schema\":1", newer, 1),
            };
            assert_ne!(damaged, envelope);
            let changed = database.execute(
                "UPDATE event SET envelope = ? WHERE position = ?",
                (damaged, position),
            );
            assert_eq!(changed.expect("it can be written"), 1);
        }
        let listed = site.answer(&["events", "list", "--mirror", MIRROR, "--branch", &main]);
        let listed = listed["events"].as_array().cloned().unwrap_or_default();
        let (broken, whole): (Vec<_>, Vec<_>) = listed.iter().partition(|event| event["problem"].is_string());
        assert_eq!(broken.len(), 1, "{listed:?}");
        let waiting = whole
            .iter()
            .rev()
            .take_while(|event| event["kind"] == "config_changed");
        assert_eq!(waiting.count(), 2, "those around it are told: {listed:?}");
        site.answer(&["mirror", "resume", "--mirror", MIRROR]);
        let mut server = site.start().await;
        site.settle(&mut server).await;
        calm(&server, &main).await;
        assert_eq!(server.lane(&main).await["putAside"], 1);
        let letters = server.metric("dead_letters_total{reason=\"put_aside\"}").await;
        assert_eq!(letters, Some(1.0));
        let book = site.log().expect("there is a log");
        assert!(
            book.dead_letters.len() == 1 && book.dead_letters[0].contains("cannot be read by this release"),
            "{book:?}"
        );
        for text in ["\"z\": 2", "\"note\": \"x\""] {
            assert!(site.repository.holds(text), "{which}: {text}");
        }
        assert_eq!(verify(&site), Some(0), "{which}");
        // The next change is one like any other.
        keboola.set(&keboola.orders(), JANE, "z", 3);
        site.settle(&mut server).await;
        assert_eq!(site.repository.log("main")[0].values("Keboola-Change").len(), 1);
        site.repository.fsck();
        server.stop().await;
    }
}

fn verify(site: &Installation) -> Option<i32> {
    let output = site.ask(&["verify", "--mirror", MIRROR]);
    output.status.code()
}
