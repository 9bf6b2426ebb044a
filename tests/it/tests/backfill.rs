//! History from before the mirror: is it there, in its order, with its authors and times, and with nothing that must not be? Also where
//! processes die and the server refuses.

use crate::support::{
    self, Broker, Installation, JANE, Keboola, MIRROR, Options, PETR, Repository, each_round, until,
};
use mirror_runtime::crash::BACKFILL_PLACES;
use nats_server::NatsServer;
use serde_json::{Value, json};
use std::sync::Arc;

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

/// The same, behind a web server: what a server refuses, it refuses there.
fn site_over_https(keboola: &Arc<Keboola>) -> Installation {
    let options = Options {
        mirror: BACKFILL,
        secrets: "masked",
        ..Options::default()
    };
    Installation::over_https(keboola, options)
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

async fn first_sync(site: &Installation) {
    until("the first sync is done", async || {
        site.repository.tip("main")?;
        let commits = site.repository.log("main");
        let settled = !site.options.queue.is_empty() || site.is_settled();
        (commits.first()?.subject.starts_with("Snapshot") && settled).then_some(())
    })
    .await;
}

/// What the status says of the backfill; null before anything of it is known.
fn progress(site: &Installation) -> Value {
    let status = site.answer(&["mirror", "status", "--mirror", MIRROR]);
    status["lanes"][0]["backfill"].clone()
}

/// All that there is, and no more to do.
fn check_done(site: &Installation) {
    let progress = progress(site);
    assert_eq!(progress["phase"], "done", "{progress}");
    for of in ["versions", "configurations"] {
        assert_eq!(progress[of]["done"], progress[of]["total"], "{progress}");
    }
    assert!(progress["endedAt"].is_string(), "{progress}");
    let text = site.ask(&["mirror", "status", "--mirror", MIRROR]).ok();
    let versions = &progress["versions"]["total"];
    assert!(
        text.contains(&format!("backfill: done; {versions} of {versions} versions")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn history_reaches_back_to_before_the_mirror_and_the_tree_is_as_without_it() {
    let keboola = lived_in();
    let site = site(&keboola, BACKFILL);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    first_sync(&site).await;
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
    let places: Vec<String> = places.collect();
    each_round(async || killed_at(&places, &keboola, &whole, &expected).await).await;
}

async fn killed_at(
    places: &[String],
    keboola: &Arc<Keboola>,
    whole: &Installation,
    expected: &[(String, String, i64)],
) {
    for (number, place) in places.iter().enumerate() {
        let site = site(keboola, BACKFILL);
        let mut server = site.start_armed(place).await;
        server.was_killed().await;
        if number % 5 == 4 {
            site.lose_data();
        }
        let server = site.start().await;
        first_sync(&site).await;
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

const EDITS: usize = 230;

/// A project with more versions than go in one push.
fn long_lived() -> Arc<Keboola> {
    let keboola = Keboola::small();
    for number in 0..EDITS {
        let who = if number % 2 == 0 { JANE } else { PETR };
        keboola.set(&keboola.clean(), who, "number", number);
    }
    keboola
}

/// Each edit is one commit, and nothing else is there but what a mirror without a history has.
fn check_long(site: &Installation, repository: &Repository) {
    let commits = repository.log("main");
    let edits = commits
        .iter()
        .rev()
        .filter(|commit| commit.subject.contains("Set number"));
    let edits: Vec<&str> = edits.map(|commit| commit.author.as_str()).collect();
    assert_eq!(edits.len(), EDITS, "each edit is one commit");
    assert!(
        edits
            .iter()
            .enumerate()
            .all(|(number, author)| { author.contains(if number % 2 == 0 { JANE.1 } else { PETR.1 }) })
    );
    assert!(
        commits[0].subject.starts_with("Snapshot"),
        "{}",
        commits[0].subject
    );
    repository.fsck();
    check_done(site);
}

/// More versions than go in one push, and a process that dies between two pushes, with its disk or without, and with the log on
/// its disk or in NATS.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_long_history_comes_in_several_pushes_and_goes_on_between_them() {
    let keboola = long_lived();
    each_round(async || {
        for loses_data in [false, true] {
            killed_between_pushes(&keboola, loses_data, None).await;
            killed_between_pushes(&keboola, loses_data, Some(NatsServer::start())).await;
        }
    })
    .await;
}

async fn killed_between_pushes(keboola: &Arc<Keboola>, loses_data: bool, nats: Option<NatsServer>) {
    let options = nats
        .as_ref()
        .map_or_else(Options::default, |nats| Broker::options(nats, ""));
    let options = Options {
        mirror: BACKFILL,
        secrets: "masked",
        ..options
    };
    let site = Installation::new(keboola, options);
    // What comes next has been told to the log.
    let mut server = site.start_armed("backfill-told:2").await;
    server.was_killed().await;
    let pushed = site.repository.log("main");
    assert!((1..EDITS).contains(&pushed.len()), "{}", pushed.len());
    if loses_data {
        site.lose_data();
        site.share_guests();
    }
    if !loses_data || nats.is_some() {
        let told = progress(&site);
        assert_eq!(told["phase"], "committing", "{told}");
        assert_eq!(told["versions"]["done"], pushed.len(), "{told}");
        assert!(told["versions"]["total"].as_u64() > Some(EDITS as u64), "{told}");
        assert_eq!(told["configurations"]["total"], 2, "{told}");
    }
    let server = site.start().await;
    first_sync(&site).await;
    // It went on where it was.
    let all = site.repository.log("main");
    assert!(all.ends_with(&pushed), "what was pushed is still below");
    until("the status says so", async || {
        (server.lane(&keboola.main()).await["backfill"]["phase"] == "done").then_some(())
    })
    .await;
    server.stop().await;
    check_long(&site, &site.repository);
}

/// The server takes nothing for a while, in the middle of it; nobody knows why.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refused_for_a_while_is_there_in_the_end_commit_by_commit() {
    let keboola = long_lived();
    let undisturbed = site(&keboola, BACKFILL);
    undisturbed.once().ok();
    let expected = history(&undisturbed);
    // Pushes after the first: refused so often, or until somebody opens it again.
    for times in [3, 1_000_000] {
        let site = site_over_https(&keboola);
        let hook = format!(
            "cat >/dev/null\necho push >>pushes\ncount=$(wc -l <pushes)\n\
             if [ \"$count\" -gt 1 ] && [ \"$count\" -le $((1 + {times})) ]; then echo 'closed today' >&2; exit 1; fi"
        );
        site.repository.hook("pre-receive", &hook);
        let outcome = site.once();
        if times > 3 {
            assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
            assert!(outcome.stderr.contains("closed today"), "{}", outcome.stderr);
            let told = progress(&site);
            assert_eq!(told["versions"]["done"], site.repository.count("main"), "{told}");
            site.repository.unhook("pre-receive");
            site.once().ok();
        } else {
            outcome.ok();
        }
        assert_eq!(history(&site), expected, "{times}");
        assert_eq!(
            site.repository.tree_id("main"),
            undisturbed.repository.tree_id("main")
        );
        check_long(&site, &site.repository);
    }
}

/// One version that the server does not take leaves no hole in the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_the_server_takes_for_a_secret_is_kept_back_and_the_others_stay_commits() {
    const PHRASE: &str = "bluebird over the harbour";
    let keboola = Keboola::small();
    for number in 0..40 {
        keboola.set(&keboola.clean(), JANE, "number", number);
    }
    keboola.set(&keboola.orders(), PETR, "note", PHRASE);
    keboola.set(&keboola.orders(), PETR, "note", "harmless");
    for number in 40..80 {
        keboola.set(&keboola.clean(), PETR, "number", number);
    }
    let site = site_over_https(&keboola);
    // As GitHub says it, of each commit that is pushed.
    let hook = format!(
        r#"while read old new ref; do
    for commit in $(git rev-list --reverse "$new" --not --all); do
        git grep -n --full-name -I -e '{PHRASE}' "$commit" >found || continue
        echo "$commit" >>refusals
        echo 'error: GH013: Repository rule violations found for '"$ref"'.'
        echo '- GITHUB PUSH PROTECTION'
        echo '    - Push cannot contain secrets'
        echo '      —— Harbour Phrase ————————————————————————————————'
        echo '       locations:'
        while IFS=: read commit path line rest; do
            echo "         - commit: $commit"
            echo "           path: $path:$line"
        done <found
        exit 1
    done
done >&2"#
    );
    site.repository.hook("pre-receive", &hook);
    site.once().ok();
    let commits = site.repository.log("main");
    let edits = commits
        .iter()
        .filter(|commit| commit.subject.contains("Set number"));
    assert_eq!(edits.count(), 80);
    assert!(!site.repository.holds(PHRASE));
    check_done(&site);
}
