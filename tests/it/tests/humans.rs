//! People work on the mirror's branch too: their commits are kept, and history is never forced.

use crate::support::{Installation, JANE, Keboola, MIRROR, Options, PETR, Server, command, run, until};
use serde_json::{Value, json};

const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";
const SIDECAR: &str = "configs-extra/keboola.ex-shop/orders.json";
const MANIFEST: &str = "configs/.keboola/manifest.json";

/// An installation over the small project, in sync.
async fn mirrored() -> (Installation, Server) {
    let site = Installation::new(&Keboola::small(), Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    (site, server)
}

/// Waits until the lane of the default branch says that it cannot go on, and why.
async fn complaint(site: &Installation, server: &Server) -> String {
    until("the lane says what is wrong", async || {
        let lane = server.lane(&site.keboola.main()).await;
        lane["outage"]["reason"].as_str().map(str::to_owned)
    })
    .await
}

/// Delivers what was told, to a lane that cannot mirror it now.
async fn deliver(site: &Installation, server: &mut Server) {
    site.deliver(server).await.expect("the process lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_people_are_kept_and_commits_stack_on_theirs() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let files = [
        ("README.md", Some("# Our shop\n")),
        ("docs/how.md", Some("Like this.\n")),
    ];
    let theirs = site.repository.human_commit("main", &files, "Say what this is");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(log.len(), 3);
    assert_eq!(log[0].parents, [theirs.as_str()]);
    assert_eq!(log[0].author, "jane.novak@example.com <jane.novak@example.com>");

    // Theirs may come between any two of the mirror's, again and again.
    let more = site
        .repository
        .human_commit("main", &[("README.md", Some("# The shop\n"))], "Shorter");
    keboola.rename(&keboola.orders(), PETR, "Orders of the shop");
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    assert!(
        site.repository
            .git(&["merge-base", "--is-ancestor", &more, "main"])
            .is_empty()
    );
    assert_eq!(
        site.repository.file("main", "README.md").as_deref(),
        Some("# The shop\n")
    );
    site.check(&["README.md", "docs/how.md"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_change_in_the_mirrors_own_files_is_mended_by_the_next_commit() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let files = [
        (CONFIG, Some("{\"parameters\": \"mine\"}\n")),
        ("configs/main/description.md", None),
        ("configs/main/extractor/note.txt", Some("Where am I?\n")),
        ("storage/metadata/in.c-shop/orders.json", None),
    ];
    let theirs = site.repository.human_commit("main", &files, "Try something");
    // The change is of something else.
    keboola.set(&keboola.clean(), JANE, "note", "x");
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(log[0].parents, [theirs.as_str()]);
    let changes = log[0].values("Keboola-Change");
    assert_eq!(
        changes.len(),
        1,
        "only what was changed in Keboola is told: {changes:?}"
    );
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_mends_what_people_did_meanwhile() {
    let (site, server) = mirrored().await;
    server.stop().await;
    let theirs = site
        .repository
        .human_commit("main", &[(CONFIG, None)], "Away with it");
    let mut server = site.start().await;
    until("the file is back", async || site.repository.file("main", CONFIG)).await;
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!((log.len(), &log[0].parents[..]), (3, &[theirs][..]));
    assert!(log[0].values("Keboola-Change").is_empty(), "{:?}", log[0]);
    site.check(&[]);
    server.stop().await;
}

/// Commits something that the mirror reads its own state back from, and expects it mended.
async fn check_broken(files: &[(&str, Option<&str>)]) {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    site.repository.human_commit("main", files, "Break it");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_manifest_is_mended() {
    check_broken(&[(MANIFEST, Some("{\"version\": 2, <<<<<<< HEAD\n"))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_manifest_is_mended() {
    check_broken(&[(MANIFEST, None)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_and_foreign_sidecars_are_mended() {
    let lies = "{\"componentId\": \"keboola.ex-shop\", \"configId\": \"orders\", \"version\": 999, \"versionIdentifier\": \"x\"}\n";
    check_broken(&[(SIDECAR, Some("not even JSON\n"))]).await;
    check_broken(&[
        (SIDECAR, Some(lies)),
        ("configs-extra/nothing.json", Some("{}\n")),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_records_of_runs_are_mended() {
    check_broken(&[
        ("jobs/health.jsonl", Some("oops\n")),
        ("jobs/2026/01/06.jsonl", Some("{}\n")),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guide_for_assistants_that_people_wrote_is_theirs() {
    let (mut site, mut server) = mirrored().await;
    let keboola = std::sync::Arc::clone(&site.keboola);
    site.repository
        .human_commit("main", &[("AGENTS.md", Some("Ask Helena.\n"))], "Our own words");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert_eq!(
        site.repository.file("main", "AGENTS.md").as_deref(),
        Some("Ask Helena.\n")
    );
    assert_eq!(site.repository.count("main"), 3);
    server.stop().await;

    // Nor is it taken away when everything is rendered anew.
    site.configure(|options| options.secrets = "masked");
    let mut server = site.start().await;
    until("everything is rendered anew", async || {
        (site.repository.count("main") == 4).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    assert_eq!(
        site.repository.file("main", "AGENTS.md").as_deref(),
        Some("Ask Helena.\n")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_may_push_between_a_crash_and_the_next_start() {
    for place in ["before-push", "after-push"] {
        let keboola = Keboola::small();
        let site = Installation::new(&keboola, Options::default());
        let mut server = site.start_armed(&format!("{place}:2")).await;
        site.settle(&mut server).await;
        keboola.set(&keboola.orders(), JANE, "z", 2);
        site.try_settle(&mut server).await.expect_err("the process dies");
        server.was_killed().await;
        let files = [("README.md", Some("# Our shop\n")), (CONFIG, Some("{}\n"))];
        let theirs = site.repository.human_commit("main", &files, "In between");
        keboola.set(&keboola.clean(), PETR, "note", "x");
        let mut server = site.start().await;
        site.settle(&mut server).await;
        assert!(
            site.repository
                .git(&["merge-base", "--is-ancestor", &theirs, "main"])
                .is_empty()
        );
        site.check(&["README.md"]);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_with_foreign_files_in_the_way_is_left_alone_unless_adopted() {
    let keboola = Keboola::small();
    let mut site = Installation::new(&keboola, Options::default());
    let files = [
        ("configs/mine.txt", Some("mine\n")),
        ("README.md", Some("# Mine\n")),
    ];
    let theirs = site.repository.human_commit("main", &files, "Before the mirror");
    let server = site.start().await;
    let reason = complaint(&site, &server).await;
    assert!(
        reason.contains("configs/mine.txt") && reason.contains("adopt = true"),
        "{reason}"
    );
    assert_eq!(site.repository.tip("main").as_ref(), Some(&theirs));
    server.stop().await;

    site.configure(|options| options.adopt = true);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(site.repository.log("main")[0].parents, [theirs]);
    site.check(&["README.md"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_stops_the_lane_and_is_never_forced() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    let pushed = site.repository.tip("main").expect("main is mirrored");

    let earlier = site.repository.log("main")[1].id.clone();
    site.repository.reset("main", &earlier);
    let rewritten = site
        .repository
        .human_commit("main", &[("README.md", Some("New\n"))], "Rewritten");
    keboola.set(&keboola.orders(), JANE, "z", 3);
    deliver(&site, &mut server).await;
    let reason = complaint(&site, &server).await;
    assert!(
        reason.contains("was rewritten") && reason.contains(&pushed),
        "{reason}"
    );
    assert_eq!(site.repository.tip("main"), Some(rewritten.clone()));
    let told = server.logged("notice");
    assert!(
        told.iter().any(|line| line["notice"] == "NeedsCustomer"),
        "nobody was told: {told:?}"
    );
    server.stop().await;

    // A new process is no wiser.
    let server = site.start().await;
    let reason = complaint(&site, &server).await;
    assert!(reason.contains("was rewritten"), "{reason}");
    assert_eq!(site.repository.tip("main"), Some(rewritten));
    server.stop().await;

    // Put back as it was, it goes on, with what happened meanwhile.
    site.repository.reset("main", &pushed);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(site.repository.log("main")[0].parents, [pushed]);
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}

/// Rewrites the default branch: the newest commit goes, and one of a person is in its place, whose id is returned.
fn rewrite(site: &Installation, text: &'static str) -> String {
    let earlier = site.repository.log("main")[1].id.clone();
    site.repository.reset("main", &earlier);
    site.repository
        .human_commit("main", &[("README.md", Some(text))], "Rewritten")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_that_is_accepted_by_its_tip_is_built_on() {
    let (mut site, mut server) = mirrored().await;
    let keboola = site.keboola.clone();
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    let rewritten = rewrite(&site, "New\n");
    keboola.set(&keboola.orders(), JANE, "z", 3);
    deliver(&site, &mut server).await;
    let reason = complaint(&site, &server).await;
    assert!(
        reason.contains(&format!("accept_rewrite = \"{rewritten}\"")),
        "the reason names what to accept: {reason}"
    );
    server.stop().await;

    // Somebody pushed meanwhile: what was accepted is not what is there.
    let accepted: &'static str = Box::leak(format!("accept_rewrite = \"{rewritten}\"").into_boxed_str());
    site.configure(|options| options.mirror = accepted);
    let later = site
        .repository
        .human_commit("main", &[("README.md", Some("Newer\n"))], "Later");
    let server = site.start().await;
    until("the reason names what is there now", async || {
        let lane = server.lane(&keboola.main()).await;
        let reason = lane["outage"]["reason"].as_str().unwrap_or_default();
        reason.contains(&later).then_some(())
    })
    .await;
    assert_eq!(site.repository.tip("main"), Some(later));
    server.stop().await;

    site.repository.reset("main", &rewritten);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(log[0].parents, [rewritten], "one commit on top, nothing forced");
    assert_eq!(
        site.repository.file("main", "README.md").as_deref(),
        Some("New\n")
    );
    site.check(&["README.md"]);
    site.check_status(&server).await;

    // It goes on from there as ever, with the setting and without.
    keboola.set(&keboola.orders(), JANE, "z", 4);
    site.settle(&mut server).await;
    server.stop().await;
    site.configure(|options| options.mirror = "");
    let mut server = site.start().await;
    keboola.set(&keboola.orders(), JANE, "z", 5);
    site.settle(&mut server).await;
    assert_eq!(site.repository.log("main").len(), log.len() + 2);
    site.check(&["README.md"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_may_accept_a_rewritten_history() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    server.stop().await;
    let pushed = site.repository.tip("main").expect("main is mirrored");
    let rewritten = rewrite(&site, "New\n");

    for arguments in [vec![], vec!["--accept-rewrite", &pushed]] {
        let refused = site.once_with(&arguments);
        assert!(!refused.status.success(), "{arguments:?}: {refused:?}");
        assert!(
            refused.stderr.contains(&format!("--accept-rewrite {rewritten}")),
            "{refused:?}"
        );
        assert_eq!(site.repository.tip("main").as_ref(), Some(&rewritten));
    }
    let wrong = site.once_with(&["--accept-rewrite", "main"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");

    // Killed after the push, the next run finds its own commit on top of what was accepted.
    let accept = ["--accept-rewrite", rewritten.as_str()];
    let killed = site.once_as(&[(mirror_runtime::crash::VARIABLE, "before-adopt")], &accept);
    assert!(!killed.status.success(), "{killed:?}");
    assert_ne!(
        site.repository.tip("main").as_ref(),
        Some(&rewritten),
        "it was pushed"
    );
    site.once_with(&accept).ok();
    let log = site.repository.log("main");
    assert_eq!(log[0].parents, std::slice::from_ref(&rewritten));
    site.check(&["README.md"]);
    site.once().ok();
    assert_eq!(site.repository.log("main").len(), log.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_branch_that_is_accepted_by_its_last_commit_is_made_anew() {
    let (mut site, mut server) = mirrored().await;
    let keboola = site.keboola.clone();
    let pushed = site.repository.tip("main").expect("main is mirrored");
    site.repository.delete("main");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    deliver(&site, &mut server).await;
    let reason = complaint(&site, &server).await;
    let setting = format!("accept_deleted_branch = \"{pushed}\"");
    assert!(
        reason.contains(&setting),
        "the reason names what to accept: {reason}"
    );
    server.stop().await;

    let setting: &'static str = Box::leak(setting.into_boxed_str());
    site.configure(|options| options.mirror = setting);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(
        (log.len(), log[0].parents.len()),
        (1, 0),
        "a first commit of everything"
    );
    site.check(&[]);
    site.check_status(&server).await;

    // It goes on from there as ever; and that one deletion was accepted, not the next.
    keboola.set(&keboola.orders(), JANE, "z", 3);
    site.settle(&mut server).await;
    let again = site.repository.tip("main").expect("main is mirrored");
    assert_eq!(site.repository.log("main").len(), 2);
    site.repository.delete("main");
    keboola.set(&keboola.orders(), JANE, "z", 4);
    deliver(&site, &mut server).await;
    let reason = complaint(&site, &server).await;
    assert!(
        reason.contains(&format!("accept_deleted_branch = \"{again}\"")),
        "{reason}"
    );
    assert_eq!(site.repository.tip("main"), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_may_make_a_deleted_branch_anew() {
    let (site, server) = mirrored().await;
    let keboola = &site.keboola;
    server.stop().await;
    let pushed = site.repository.tip("main").expect("main is mirrored");
    let earlier = "1".repeat(40);
    site.repository.delete("main");
    keboola.set(&keboola.orders(), JANE, "z", 2);

    for arguments in [vec![], vec!["--accept-deleted-branch", &earlier]] {
        let refused = site.once_with(&arguments);
        assert!(!refused.status.success(), "{arguments:?}: {refused:?}");
        assert!(
            refused
                .stderr
                .contains(&format!("--accept-deleted-branch {pushed}")),
            "{refused:?}"
        );
        assert_eq!(site.repository.tip("main"), None);
    }
    let wrong = site.once_with(&["--accept-deleted-branch", "main"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");

    // Killed after the push, the next run finds its own commit.
    let accept = ["--accept-deleted-branch", pushed.as_str()];
    let killed = site.once_as(&[(mirror_runtime::crash::VARIABLE, "before-adopt")], &accept);
    assert!(!killed.status.success(), "{killed:?}");
    let made = site.repository.tip("main").expect("it was pushed");
    site.once_with(&accept).ok();
    assert_eq!(site.repository.tip("main"), Some(made), "and not twice");
    site.check(&[]);
    site.once().ok();
    assert_eq!(site.repository.log("main").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_branch_is_not_made_again() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let pushed = site.repository.tip("main").expect("main is mirrored");
    site.repository.delete("main");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    deliver(&site, &mut server).await;
    let reason = complaint(&site, &server).await;
    assert!(
        reason.contains("was deleted") && reason.contains(&pushed),
        "{reason}"
    );
    assert_eq!(site.repository.tip("main"), None);
    server.stop().await;

    site.repository.reset("main", &pushed);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(site.repository.log("main")[0].parents, [pushed]);
    site.check(&[]);
    server.stop().await;
}

/// What `mirror test` says of what the branch holds: the outcome, what is wrong, and the words.
#[track_caller]
fn tested(site: &Installation) -> (String, Option<String>, String) {
    let mut test = command();
    test.args(["mirror", "test", "--json", "--mirror", MIRROR, "--config"])
        .arg(site.path("mirror.toml"));
    let output = run(&mut test);
    let page: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let checks = page["checks"].as_array().expect("there are checks");
    let content = checks.iter().find(|check| check["check"] == "content");
    let content = content.unwrap_or_else(|| panic!("{page}"));
    let is_failed = content["outcome"] == "failed";
    assert_eq!(output.status.code(), Some(i32::from(is_failed)), "{output:?}");
    let text = |name: &str| content[name].as_str().map(str::to_owned);
    let outcome = text("outcome").expect("each check has an outcome");
    (outcome, text("problem"), text("text").expect("and says it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_branch_holds_is_told_before_anything_is_pushed() {
    let keboola = Keboola::small();
    let mut site = Installation::new(&keboola, Options::default());
    assert_eq!(tested(&site).0, "ok", "no branch yet");
    let files = [("configs/mine.txt", Some("mine\n"))];
    let theirs = site.repository.human_commit("main", &files, "Before the mirror");
    let (outcome, problem, text) = tested(&site);
    assert_eq!((&*outcome, problem.as_deref()), ("failed", Some("foreign_files")));
    assert!(
        text.contains("configs/mine.txt") && text.contains("adopt = true"),
        "{text}"
    );
    assert_eq!(site.repository.tip("main").as_ref(), Some(&theirs));

    site.configure(|options| options.adopt = true);
    let (outcome, _, text) = tested(&site);
    assert_eq!(outcome, "notice", "{text}");
    assert!(text.contains("configs/mine.txt"), "{text}");
    site.once().ok();
    let pushed = site.repository.tip("main").expect("main is mirrored");
    let (outcome, _, text) = tested(&site);
    assert_eq!(outcome, "ok", "{text}");
    assert!(text.contains(&pushed), "{text}");

    // Also while a process works on it.
    let server = site.start().await;
    until("the process answers", async || {
        (tested(&site).0 == "ok").then_some(())
    })
    .await;
    server.stop().await;

    site.repository.reset("main", &theirs);
    let (outcome, problem, text) = tested(&site);
    assert_eq!((&*outcome, problem.as_deref()), ("failed", Some("rewritten")));
    assert!(text.contains(&format!("--accept-rewrite {theirs}")), "{text}");
    site.repository.delete("main");
    let (outcome, problem, text) = tested(&site);
    assert_eq!((&*outcome, problem.as_deref()), ("failed", Some("branch_gone")));
    assert!(
        text.contains(&format!("--accept-deleted-branch {pushed}")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_branch_that_fails_keeps_no_other_one_back() {
    let keboola = Keboola::small();
    let options = Options {
        dev_branches: true,
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let dev = keboola.branch("Loyalty", JANE);
    site.once().ok();
    let (main, other) = ("main".to_owned(), site.git_branch(&dev));
    let tips = [&main, &other].map(|name| site.repository.tip(name).expect("both are mirrored"));

    // The default branch, which comes first, is not what the mirror pushed any more.
    site.repository
        .human_commit("elsewhere", &[("README.md", Some("New\n"))], "Another history");
    let elsewhere = site.repository.tip("elsewhere").expect("it was just made");
    site.repository.reset("main", &elsewhere);
    let copy = fake_keboola::ConfigAt::new(&dev, "keboola.ex-shop", "orders");
    keboola.set(&copy, PETR, "z", 7);
    let run = site.once_with(&["--json"]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(
        run.stderr.contains("1 of 2 branches failed") && run.stderr.contains(&tips[0]),
        "{run:?}"
    );
    let page: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
    let refs: Vec<&Value> = page["branches"].as_array().expect("branches").iter().collect();
    assert_eq!(refs[0]["pushed"], 0);
    assert!(
        refs[0]["failed"]
            .as_str()
            .is_some_and(|why| why.contains("was rewritten")),
        "{page}"
    );
    assert_eq!(
        (&refs[1]["pushed"], &refs[1]["failed"]),
        (&json!(1), &Value::Null),
        "{page}"
    );
    assert_eq!(page["commits"][0]["ref"], json!(format!("refs/heads/{other}")));
    assert_ne!(site.repository.tip(&other).as_ref(), Some(&tips[1]));
    assert_eq!(site.repository.tip("main"), Some(elsewhere), "nothing is forced");

    let run = site.once();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(run.stdout.contains("refs/heads/main failed\n"), "{run:?}");
}
