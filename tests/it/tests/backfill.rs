//! History from before the mirror: is it there, in its order, with its authors and times, and with nothing that must not be?

mod support;

use mirror_runtime::crash::BACKFILL_PLACES;
use serde_json::json;
use std::sync::Arc;
use support::{Installation, JANE, Keboola, Options, PETR, until};

const SECRET: &str = "correct-horse-battery-staple-4711";

/// A project that people have worked in before anybody mirrored it.
fn lived_in() -> Arc<Keboola> {
    let keboola = Keboola::small();
    let orders = keboola.orders();
    keboola.set(&orders, JANE, "since", "-1 day");
    // Pasted in the clear, in two ways, and taken away again.
    keboola.set(&orders, PETR, "#password", SECRET);
    keboola.edit(&orders, JANE, "Encrypt it", |configuration| {
        configuration["parameters"]["#password"] =
            json!("KBC::ProjectSecure::eJwBQABAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    });
    // Two that want the same path, of which the later one would have got it first.
    let first = keboola.create("first", "Customers", PETR);
    let second = keboola.create("second", "Customers", JANE);
    keboola.rename(&first, PETR, "Clients");
    keboola.set(&second, JANE, "limit", 10);
    // In the trash for a while, and for good.
    keboola.delete(&second, PETR);
    keboola
        .restore_configuration(&second, &keboola.by(JANE, "Restored"))
        .expect("it is in the trash");
    let gone = keboola.create("gone", "Not needed", JANE);
    keboola.delete(&gone, JANE);
    keboola.edit_row(&orders, "first", PETR, |row| {
        row["configuration"]["parameters"]["table"] = json!("o");
    });
    keboola.run(&orders, "success", &["in.c-shop.orders"]);
    keboola
}

fn site(keboola: &Arc<Keboola>, backfill: &'static str) -> Installation {
    let options = Options {
        mirror: backfill,
        secrets: "masked",
        ..Options::default()
    };
    Installation::new(keboola, options)
}

const BACKFILL: &str = "backfill = { enabled = true, requests_per_second_max = 100 }";

/// Subject, author and time of each commit, oldest first.
fn history(site: &Installation) -> Vec<(String, String, i64)> {
    let mut commits = site.repository.log("main");
    commits.reverse();
    let told = |commit: support::Commit| (commit.subject, commit.author, commit.authored_at);
    let mut told: Vec<_> = commits.into_iter().map(told).collect();
    // The first sync is of the time when it was made.
    if let Some(last) = told.last_mut() {
        last.2 = 0;
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn history_reaches_back_to_before_the_mirror_and_the_tree_is_as_without_it() {
    let keboola = lived_in();
    let site = site(&keboola, BACKFILL);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    until("the first sync is done", async || {
        site.repository.tip("main")?;
        let commits = site.repository.log("main");
        (commits.first()?.subject.starts_with("Snapshot") && site.is_settled()).then_some(())
    })
    .await;
    let commits = history(&site);
    let times: Vec<i64> = commits[..commits.len() - 1]
        .iter()
        .map(|commit| commit.2)
        .collect();
    assert!(times.is_sorted(), "oldest first: {commits:#?}");
    let of = |subject: &str| {
        let found = commits.iter().find(|commit| commit.0.contains(subject));
        found.unwrap_or_else(|| panic!("no commit is called {subject}: {commits:#?}"))
    };
    for (subject, who) in [
        ("Set since", JANE),
        ("Set # password", PETR),
        ("Encrypt it", JANE),
        ("Rename", PETR),
        ("Restored", JANE),
        ("Edit a row", PETR),
    ] {
        assert!(of(subject).1.contains(who.1), "{subject}: {commits:#?}");
    }
    // Each version is one commit, though they were made within seconds.
    let all = site.repository.log("main");
    let versions: usize = all
        .iter()
        .map(|commit| commit.values("Keboola-Change").len())
        .sum();
    assert_eq!(versions, all.len() - 1, "{commits:#?}");
    let path = site
        .repository
        .files("main")
        .into_keys()
        .find(|path| path.contains("ex-shop/") && path.ends_with("orders/config.json"));
    let path = path.unwrap_or_else(|| panic!("{:?}", site.repository.files("main").keys()));
    let blame = site.repository.git(&["blame", "-e", "main", "--", &path]);
    let line = |part: &str| blame.lines().find(|line| line.contains(part)).unwrap_or_default();
    for (part, who, day) in [
        ("\"z\"", "author-1@example.com", "2026-01-05"),
        ("\"#password\"", JANE.1, "2026-11-02"),
    ] {
        assert!(line(part).contains(who) && line(part).contains(day), "{blame}");
    }
    assert!(
        !site.repository.holds(SECRET),
        "a secret of an old version was committed"
    );
    let without = Installation::new(
        &keboola,
        Options {
            mirror: "",
            ..site.options.clone()
        },
    );
    without.once().ok();
    // Of runs events tell more than the API, which tells the rest.
    let files = |site: &Installation| {
        let mut files = site.repository.files("main");
        files.retain(|path, _| !path.starts_with("jobs/"));
        files
    };
    assert_eq!(files(&site), files(&without));
    site.check(&[]);
    // And then it goes on as ever.
    keboola.set(&keboola.orders(), PETR, "since", "-2 days");
    site.settle(&mut server).await;
    site.check(&[]);
    assert_eq!(site.repository.count("main"), commits.len() + 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wherever_it_is_killed_it_goes_on_and_makes_nothing_twice() {
    let keboola = lived_in();
    let whole = site(&keboola, BACKFILL);
    // The same by a command.
    whole.once().ok();
    let expected = history(&whole);
    let attempt = [
        "after-tree",
        "after-prepare",
        "before-push",
        "after-push",
        "before-adopt",
        "after-adopt",
        "after-cursor",
    ];
    // The first passing is of the history, the second of the first sync.
    let places = BACKFILL_PLACES.map(str::to_owned).into_iter();
    let places = places.chain(
        attempt
            .iter()
            .flat_map(|place| [format!("{place}:1"), format!("{place}:2")]),
    );
    for (number, place) in places.enumerate() {
        let site = site(&keboola, BACKFILL);
        let mut server = site.start_armed(&place).await;
        server.was_killed().await;
        if number % 5 == 4 {
            site.lose_data();
        }
        let server = site.start().await;
        until("the first sync is done", async || {
            site.repository.tip("main")?;
            let commits = site.repository.log("main");
            (commits.first()?.subject.starts_with("Snapshot") && site.is_settled()).then_some(())
        })
        .await;
        assert_eq!(history(&site), expected, "{place}");
        assert_eq!(
            site.repository.tree_id("main"),
            whole.repository.tree_id("main"),
            "{place}"
        );
        server.stop().await;
    }
}

/// A dev branch starts at the default branch's mirror, not at a commit of what was before it.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_versions_are_taken_and_a_dev_branch_begins_after_the_first_sync() {
    let keboola = lived_in();
    let branch = keboola.branch("Loyalty", JANE);
    let site = site(
        &keboola,
        "backfill = { enabled = true, versions_max = 4, configuration_versions_max = 2, requests_per_second_max = 100 }",
    );
    site.once().ok();
    let commits = site.repository.log("main");
    let subjects: Vec<&str> = commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert!(subjects[0].starts_with("Snapshot"), "{subjects:?}");
    // One of the four deletes what the others do not know of.
    assert_eq!(commits.len(), 1 + 3, "{subjects:?}");
    let start = site
        .repository
        .git(&["merge-base", "main", &site.git_branch(&branch)]);
    assert_eq!(start, commits[0].id);
    // Once is enough.
    site.once().ok();
    assert_eq!(site.repository.count("main"), commits.len());
}

/// More versions than go in one push, and a process that dies between two pushes, with its disk or without.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_comes_in_several_pushes_and_goes_on_between_them() {
    const EDITS: usize = 230;
    let keboola = Keboola::small();
    for number in 0..EDITS {
        keboola.set(
            &keboola.clean(),
            if number % 2 == 0 { JANE } else { PETR },
            "number",
            number,
        );
    }
    for loses_data in [false, true] {
        let site = site(&keboola, BACKFILL);
        let mut server = site.start_armed("after-cursor:1").await;
        server.was_killed().await;
        let pushed = site.repository.count("main");
        assert!((1..EDITS).contains(&pushed), "{pushed}");
        if loses_data {
            site.lose_data();
        }
        site.once().ok();
        let commits = site.repository.log("main");
        let edits = commits
            .iter()
            .filter(|commit| commit.subject.contains("Set number"))
            .count();
        assert_eq!(edits, EDITS, "each edit is one commit");
        assert!(
            commits[0].subject.starts_with("Snapshot"),
            "{}",
            commits[0].subject
        );
        site.check(&[]);
    }
}
