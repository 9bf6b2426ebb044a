//! Exactly once, the same everywhere, and quiet when nothing happens.

use crate::support::{BOT, Installation, JANE, Keboola, Options, PETR, Server, until};
use fake_keboola::ConfigAt;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Returns the events that the fake has told after the first `known`, oldest first.
fn told(keboola: &Keboola, known: u64) -> Vec<String> {
    keboola
        .outbox(known)
        .into_iter()
        .map(|event| event.json)
        .collect()
}

/// Waits until a process that was just started has looked at the remote.
async fn looked(site: &Installation, server: &Server) {
    for branch in site.branches() {
        let tip = site.repository.tip(&site.git_branch(&branch));
        until("the lane has looked at the remote", async || {
            let lane = server.lane(&branch).await;
            (lane["tip"].as_str() == tip.as_deref() && tip.is_some()).then_some(())
        })
        .await;
    }
}

/// Returns the paths in which two revisions differ.
fn differing(site: &Installation, one: &str, other: &str) -> BTreeSet<String> {
    let paths = site
        .repository
        .git(&["diff", "--name-only", "--no-renames", one, other]);
    paths.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_twice_makes_one_commit_and_the_answer_says_so() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;

    keboola.set(&keboola.orders(), JANE, "z", 2);
    let event = told(&keboola, 0).remove(0);
    let answer = server.post(&event).await.expect("the process listens");
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({"accepted": 1, "duplicates": 0}))
    );
    let answer = server.post(&event).await.expect("the process listens");
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({"accepted": 0, "duplicates": 1}))
    );
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), 2);

    // Long after, twice in one request, and by a process that never saw the first one.
    let twice = format!("[{event},{event}]");
    for _ in 0..2 {
        let answer = server.post(&twice).await.expect("the process listens");
        assert_eq!(
            (answer.status, answer.json()),
            (202, json!({"accepted": 0, "duplicates": 2}))
        );
        server.stop().await;
        server = site.start().await;
    }
    // What comes next is the only thing that comes.
    keboola.set(&keboola.orders(), PETR, "z", 3);
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    let changes: Vec<_> = log
        .iter()
        .map(|commit| commit.values("Keboola-Change").len())
        .collect();
    assert_eq!(changes, [1, 1, 0]);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_above_the_mirrored_one_makes_no_commit() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;

    // The snapshot has version 2; the event of version 1 was held up somewhere.
    let late = json!({
        "type": "config_changed", "projectId": "123", "branchId": "5", "componentId": "keboola.ex-shop",
        "configId": "orders", "newVersion": 1, "versionIdentifier": "01KE6PMK6000000000000000R1",
        "author": "author-1@example.com", "committedAt": "2026-01-05T08:00:00Z",
    });
    let answer = server.post(&late.to_string()).await.expect("the process listens");
    assert_eq!(answer.json(), json!({"accepted": 1, "duplicates": 0}));
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), 1);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_taken_back_shows_only_as_a_version() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;

    keboola.set(&keboola.orders(), JANE, "z", 2);
    keboola.set(&keboola.orders(), JANE, "z", 1.5);
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), 2);
    let changed = differing(&site, "main~1", "main");
    assert_eq!(
        changed,
        BTreeSet::from(["configs-extra/keboola.ex-shop/orders.json".to_owned()])
    );
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_change_things_in_one_window_share_a_commit() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;

    keboola.set(&keboola.orders(), JANE, "since", "-2 days");
    keboola.set(&keboola.clean(), PETR, "note", "x");
    keboola.set(&keboola.orders(), BOT, "since", "-3 days");
    keboola.set(&keboola.clean(), PETR, "note", "y");
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(log.len(), 2);
    assert_eq!(
        log[0].author,
        "petr.svoboda@example.com <petr.svoboda@example.com>"
    );
    // The last change was made three seconds after the first.
    let first = "2026-11-02T08:00:00Z".parse::<jiff::Timestamp>().expect("a time");
    assert_eq!(log[0].authored_at, first.as_second() + 3);
    let others = log[0].values("Co-authored-by");
    assert_eq!(others.len(), 2, "{others:?}");
    assert!(
        others
            .iter()
            .any(|other| other.contains("jane.novak@example.com")),
        "{others:?}"
    );
    assert!(others.iter().any(|other| other.contains("ci-bot")), "{others:?}");
    let versions: Vec<_> = log[0].values("Keboola-Change");
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert!(
        versions[0].starts_with("keboola.ex-shop/orders@4 "),
        "{versions:?}"
    );
    assert!(
        versions[1].starts_with("keboola.snowflake-transformation/clean@3 "),
        "{versions:?}"
    );
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_nothing_to_do_commits_nothing_and_asks_for_next_to_nothing() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    let branch = keboola.branch("Loyalty", JANE);
    keboola.set(
        &ConfigAt {
            branch,
            ..keboola.orders()
        },
        JANE,
        "z",
        3,
    );
    site.settle(&mut server).await;
    server.stop().await;

    let before: Vec<_> = site
        .repository
        .branches()
        .iter()
        .map(|name| site.repository.tip(name))
        .collect();
    keboola.forget_requests();
    let server = site.start().await;
    looked(&site, &server).await;
    let after: Vec<_> = site
        .repository
        .branches()
        .iter()
        .map(|name| site.repository.tip(name))
        .collect();
    assert_eq!(before, after);
    let asked = keboola.requests_by_path();
    let paths: Vec<&str> = asked.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        ["/v2/storage/dev-branches", "/v2/storage/tokens/verify"],
        "{asked:?}"
    );
    site.check_status(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_version_is_never_asked_for_twice() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;

    keboola.forget_requests();
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert_eq!(
        keboola.requests("/v2/storage/branch/5/components/keboola.ex-shop/configs/orders"),
        2
    );
    assert_eq!(
        keboola.requests("/v2/storage/branch/5/components/keboola.snowflake-transformation"),
        0
    );
    assert_eq!(keboola.requests("/v2/storage/branch/5/tables"), 0);
    assert_eq!(keboola.write_attempts(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_data_directory_is_made_up_for_by_the_repository() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    keboola.rename(&keboola.clean(), PETR, "Clean everything");
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    let branch = keboola.branch("Loyalty", JANE);
    keboola.set(
        &ConfigAt {
            branch: branch.clone(),
            ..keboola.orders()
        },
        JANE,
        "z",
        3,
    );
    site.settle(&mut server).await;
    server.stop().await;
    let names = site.repository.branches();
    let tips = || {
        names
            .iter()
            .map(|name| site.repository.tip(name))
            .collect::<Vec<_>>()
    };
    let before = tips();

    site.lose_data();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    for (name, before) in names.iter().zip(&before) {
        let before = before.as_deref().expect("each was mirrored");
        let since = site
            .repository
            .git(&["log", "--patch", &format!("{before}..{name}")]);
        assert_eq!(since, "", "nothing had changed in {name}");
    }
    // A bridge that replays everything changes nothing either: the new log takes it, the tree has it.
    site.forget_deliveries();
    site.settle(&mut server).await;
    assert_eq!(tips(), before, "everything was mirrored before");
    site.check(&[]);

    keboola.set(&keboola.orders(), PETR, "z", 4);
    keboola.delete(
        &ConfigAt {
            branch,
            ..keboola.clean()
        },
        PETR,
    );
    site.settle(&mut server).await;
    for (name, before) in names.iter().zip(&before) {
        let log = site.repository.log(name);
        assert_eq!(
            log[0].parents.first(),
            before.as_ref(),
            "{name} has one commit more"
        );
        assert_eq!(log[0].values("Keboola-Change").len(), 1, "{:?}", log[0]);
    }
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_the_data_directory_was_lost_is_found_by_comparison() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let gone = keboola.create("old", "Old", JANE);
    site.settle(&mut server).await;
    let before = site.repository.tip("main");
    server.stop().await;

    site.lose_data();
    keboola.set(&keboola.orders(), JANE, "z", 2);
    keboola.delete(&gone, PETR);
    keboola.create("new", "New", BOT);
    keboola
        .delete_row(&keboola.orders(), "second", &keboola.by(PETR, "Not needed"))
        .expect("a row");
    keboola.run(&keboola.orders(), "error", &[]);
    // The events are lost as well.
    let mut server = site.start().await;
    until("the lane has caught up", async || {
        (site.repository.tip("main") != before && site.is_settled()).then_some(())
    })
    .await;
    let log = site.repository.log("main");
    assert_eq!(log[0].parents.first(), before.as_ref());
    assert_eq!(log[0].values("Keboola-Change").len(), 3, "{:?}", log[0]);
    site.check(&[]);
    // They arrive after all, and tell nothing new but of the run, whose state digest only its event has.
    let caught_up = site.repository.tip("main").expect("main is mirrored");
    site.settle(&mut server).await;
    let late = differing(&site, &caught_up, "main");
    assert_eq!(late, BTreeSet::from(["jobs/2026/11/02.jsonl".to_owned()]));
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_mirrors_what_nobody_told_and_then_nothing() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    assert!(site.once().ok().contains("Snapshot of project 123"));
    assert_eq!(site.once().ok(), "in sync; nothing to commit\n");
    let gone = keboola.create("extra", "Extra", JANE);
    keboola.set(&keboola.orders(), JANE, "z", 2);
    assert_eq!(site.once().ok().lines().count(), 1, "one window, one commit");
    keboola.delete(&gone, PETR);
    assert_eq!(site.once().ok().lines().count(), 1);
    assert_eq!(site.once().ok(), "in sync; nothing to commit\n");
    site.check(&[]);
    // A server that takes over finds nothing to do.
    let before = site.repository.tip("main");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(site.repository.tip("main"), before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mirrors_of_one_project_come_to_the_same_trees_whatever_the_order_of_events() {
    let keboola = Keboola::generated(40);
    let (one, other) = (
        Installation::new(&keboola, Options::default()),
        Installation::new(&keboola, Options::default()),
    );
    let (mut first, mut second) = (one.start().await, other.start().await);
    one.settle(&mut first).await;
    other.settle(&mut second).await;
    assert_eq!(one.repository.tree_id("main"), other.repository.tree_id("main"));

    let plain = edited(&keboola, 6);
    for (number, at) in plain.iter().enumerate() {
        keboola.set(at, [JANE, PETR, BOT][number % 3], "limit", number);
    }
    keboola.rename(&plain[0], JANE, "Another name for it");
    keboola.set(&plain[1], PETR, "limit", 99);
    keboola.delete(&plain[2], BOT);
    one.deliver(&mut first).await.expect("the process lives");
    let mut backwards = told(&keboola, 0);
    backwards.reverse();
    let answer = second
        .post(&format!("[{}]", backwards.join(",")))
        .await
        .expect("the process listens");
    assert_eq!(answer.status, 202);
    one.settle(&mut first).await;
    other.settle(&mut second).await;
    for site in [&one, &other] {
        assert_eq!(site.repository.count("main"), 2);
        site.check(&[]);
    }
    assert_eq!(one.repository.tree_id("main"), other.repository.tree_id("main"));
    let said = |site: &Installation| {
        let commit = site.repository.log("main").remove(0);
        let changes: Vec<String> = commit
            .values("Keboola-Change")
            .iter()
            .map(ToString::to_string)
            .collect();
        (
            commit.author.clone(),
            commit.authored_at,
            commit.subject.clone(),
            changes,
        )
    };
    assert_eq!(said(&one), said(&other));
    first.stop().await;
    second.stop().await;
}

/// Returns configurations whose parameters can be edited without moving anything.
fn edited(keboola: &Keboola, count: usize) -> Vec<ConfigAt> {
    let project = keboola.project();
    let kind = |component: &str| project.component(component).map(|found| found["type"].clone());
    let main = project.default_branch();
    let plain = main.configurations.iter().filter(|one| {
        kind(&one.component_id) == Some(Value::from("extractor"))
            && one.detail["configuration"]["parameters"].is_object()
    });
    let plain: Vec<ConfigAt> = plain
        .map(|one| keboola.at(&one.component_id, one.id()))
        .take(count)
        .collect();
    assert_eq!(plain.len(), count, "the generated project has too few extractors");
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dev_branch_starts_at_the_default_branchs_commit_and_shows_only_what_it_changed() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    let base = site.repository.tip("main").expect("main is mirrored");

    let branch = keboola.branch("Loyalty programme", JANE);
    let copy = ConfigAt {
        branch: branch.clone(),
        ..keboola.orders()
    };
    keboola.set(&copy, JANE, "points", true);
    site.settle(&mut server).await;
    let name = format!("keboola/loyalty-programme-{branch}");
    assert_eq!(site.git_branch(&branch), name);
    let log = site.repository.log(&name);
    assert_eq!(log[0].parents, [base.as_str()]);
    let content = |path: &String| path.starts_with("configs/main/");
    let changed: Vec<String> = differing(&site, "main", &name)
        .into_iter()
        .filter(content)
        .collect();
    let config = "configs/main/extractor/keboola.ex-shop/the-orders/config.json".to_owned();
    assert!(changed.contains(&config), "{changed:?}");
    let beside: Vec<&String> = changed.iter().filter(|path| **path != config).collect();
    // The branch's own name and description are its own.
    let own = ["configs/main/description.md", "configs/main/meta.json"];
    assert!(
        beside.iter().all(|path| own.contains(&path.as_str())),
        "{changed:?}"
    );

    // Both go on by themselves, and the diff is still the dev branch's part alone.
    keboola.set(&keboola.clean(), PETR, "note", "on main");
    keboola.set(&copy, JANE, "points", false);
    site.settle(&mut server).await;
    let merged = site.repository.git(&[
        "diff",
        "--name-only",
        "--no-renames",
        &format!("main...{name}"),
        "--",
        "configs/main/extractor",
        "configs/main/transformation",
    ]);
    assert_eq!(merged, config);
    assert_eq!(site.repository.git(&["merge-base", "main", &name]), base);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_dev_branch_keeps_its_git_branch_and_troubles_nobody() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let branch = keboola.branch("Short lived", JANE);
    let copy = ConfigAt {
        branch: branch.clone(),
        ..keboola.orders()
    };
    keboola.set(&copy, JANE, "points", true);
    site.settle(&mut server).await;
    let name = site.git_branch(&branch);
    let kept = site.repository.tip(&name);
    assert!(kept.is_some());

    // A last change, and the branch is gone before anybody asks for it.
    keboola.set(&copy, JANE, "points", false);
    keboola
        .delete_branch(&branch, &keboola.by(JANE, ""))
        .expect("it is a dev branch");
    keboola.set(&keboola.orders(), PETR, "z", 2);
    site.settle(&mut server).await;
    until("the dev branch's lane is at rest", async || {
        let lane = server.lane(&branch).await;
        (lane == Value::Null || (lane["nextDue"] == Value::Null && lane["outage"] == Value::Null))
            .then_some(())
    })
    .await;
    assert_eq!(site.repository.tip(&name), kept);
    site.check_status(&server).await;
    server.stop().await;

    let mut server = site.start().await;
    keboola.set(&keboola.orders(), PETR, "z", 3);
    site.settle(&mut server).await;
    assert_eq!(site.repository.tip(&name), kept);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_time_zone_nor_the_language_of_the_machine_changes_a_byte() {
    let keboola = Keboola::generated(40);
    let trees = [
        [("TZ", "UTC"), ("LC_ALL", "C")],
        [("TZ", "Pacific/Kiritimati"), ("LC_ALL", "tr_TR.UTF-8")],
    ]
    .map(|environment| {
        let site = Installation::new(&keboola, Options::default());
        site.once_in(&environment).ok();
        site.repository.git(&["rev-parse", "main^{tree}"])
    });
    assert_eq!(trees[0], trees[1]);
}
