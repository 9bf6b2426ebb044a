//! Dev branches: what a diff shows, how their Git branches are called, and how they end.

use crate::support::{Installation, JANE, Keboola, Options, until};
use fake_keboola::{ConfigAt, Fault, FaultKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn site(keboola: &std::sync::Arc<Keboola>, dev: &'static str) -> Installation {
    let mut site = Installation::new(keboola, Options::default());
    site.configure(|options| options.dev = dev);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_shows_what_the_dev_branch_changed_and_nothing_else() {
    let keboola = Keboola::generated(40);
    let site = site(&keboola, "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let branch = keboola.branch("Loyalty", JANE);
    let project = keboola.project();
    let edited = project
        .default_branch()
        .configurations
        .iter()
        .find(|found| found.component_id.contains(".ex-"))
        .expect("there are extractors");
    let (component, config) = (edited.component_id.clone(), edited.id().to_owned());
    let at = ConfigAt {
        branch: branch.clone(),
        ..keboola.at(&component, &config)
    };
    keboola.set(&at, JANE, "zz_new", 2);
    site.settle(&mut server).await;

    let git_branch = site.git_branch(&branch);
    let base = site.repository.git(&["merge-base", "main", &git_branch]);
    assert_eq!(
        Some(base),
        site.repository.tip("main"),
        "it starts at main's commit"
    );
    let range = format!("main...{git_branch}");
    let changed = site
        .repository
        .git(&["diff", "--name-only", "--no-renames", &range]);
    let own = |path: &str| path.ends_with("/config.json") || path.starts_with("configs-extra/");
    // Beside the configuration's own files: the branch's own name, and its id in the manifest.
    let identity = [
        "configs/.keboola/manifest.json",
        "configs/main/meta.json",
        "configs/main/description.md",
    ];
    let others: BTreeSet<&str> = changed
        .lines()
        .filter(|path| !own(path) && !identity.contains(path))
        .filter(|path| !path.starts_with("jobs/"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let configs: Vec<&str> = changed
        .lines()
        .filter(|path| path.ends_with("/config.json"))
        .collect();
    assert_eq!(configs.len(), 1, "{changed}");
    // A copy in Keboola has versions of its own, which is all that sidecars of the others say.
    let sidecar = format!("configs-extra/{component}/{config}.json");
    assert!(changed.lines().any(|path| path == sidecar), "{changed}");
    // In the manifest, only the branch's id differs, and its own metadata.
    let manifest = site
        .repository
        .git(&["diff", "-U0", &range, "--", "configs/.keboola/manifest.json"]);
    let main = keboola.main();
    let told = |sign: char, id: &str| {
        let lines = manifest.lines().filter(|line| line.starts_with(sign));
        let lines = lines.filter(|line| !line.starts_with("+++") && !line.starts_with("---"));
        let configurations = lines.filter(|line| line.contains("branchId"));
        let all: Vec<&str> = configurations.collect();
        assert!(all.iter().all(|line| line.contains(id)), "{all:?}");
        all.len()
    };
    let listed = site.repository.manifest("main").len();
    assert_eq!((told('-', &main), told('+', &branch)), (listed, listed));
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_branch_keeps_its_name_over_renames_even_without_the_data_directory() {
    let keboola = Keboola::small();
    let site = site(&keboola, ", look_every_ms = 1000");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    // One that is called as another, but for a capital.
    let branch = keboola.branch("Loyalty", JANE);
    let twin = keboola.branch("LOYALTY", JANE);
    let names = || {
        let mut names = site.repository.branches();
        names.retain(|name| name.starts_with("keboola/"));
        names
    };
    let mut expected = [
        format!("keboola/loyalty-{branch}"),
        format!("keboola/loyalty-{twin}"),
    ];
    expected.sort();
    until("both are mirrored, of which no event tells", async || {
        (names() == expected).then_some(())
    })
    .await;
    let first = format!("keboola/loyalty-{branch}");
    keboola
        .update_branch(&branch, "Rewards", "Renamed", &keboola.by(JANE, ""))
        .expect("there is such a branch");
    until("the new name is mirrored", async || {
        let meta = site.repository.file(&first, "configs/main/meta.json")?;
        meta.contains("Rewards").then_some(())
    })
    .await;
    assert_eq!(names(), expected);
    server.stop().await;

    site.lose_data();
    keboola.set(
        &ConfigAt {
            branch: branch.clone(),
            ..keboola.orders()
        },
        JANE,
        "z",
        3,
    );
    site.once().ok();
    assert_eq!(names(), expected, "no second Git branch");
    let config = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";
    let content = site.repository.file(&first, config).expect("it is there");
    assert!(content.contains("\"z\": 3"), "{content}");
    site.repository.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_branch_is_not_called_by_what_its_project_keeps_secret() {
    const SECRET: &str = "Correct7HorseBattery";
    let keboola = Keboola::small();
    let site = site(&keboola, ", look_every_ms = 1000");
    keboola.set(&keboola.orders(), JANE, "#password", SECRET);
    let first = keboola.branch(&format!("try {SECRET}"), JANE);
    // A running process learns what is secret with its first syncs, which is after it gave the branch a name.
    let server = site.start().await;
    let named = |branch: &str| format!("keboola/branch-{branch}");
    site_has(&site, &[&named(&first)]).await;
    let second = keboola.branch(&format!("{SECRET} again"), JANE);
    site_has(&site, &[&named(&second)]).await;
    until("its status says so", async || {
        let page = server.lane(&second).await;
        (page["ref"] == format!("refs/heads/{}", named(&second))).then_some(())
    })
    .await;
    server.stop().await;
    // So does a run of its own, and both know the names that are there.
    let third = keboola.branch(&format!("once {SECRET}"), JANE);
    site.once().ok();
    site.lose_data();
    keboola.set(&keboola.orders(), JANE, "z", 3);
    site.once().ok();
    let mut names = site.repository.branches();
    names.retain(|name| name.starts_with("keboola/"));
    let mut expected = [&first, &second, &third].map(|branch| named(branch));
    expected.sort();
    assert_eq!(names, expected);
    site.repository.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_branch_ends_with_its_dev_branch_where_that_is_configured() {
    let keboola = Keboola::small();
    let site = site(&keboola, ", look_every_ms = 1000, deleted = \"delete\"");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let [gone, offline, touched, stays] =
        ["Gone", "Offline", "Touched", "Stays"].map(|name| keboola.branch(name, JANE));
    let git_branch = |branch: &str| site.git_branch(branch);
    let [gone_ref, offline_ref, touched_ref, stays_ref] =
        [&gone, &offline, &touched, &stays].map(|branch| git_branch(branch));
    site_has(&site, &[&gone_ref, &offline_ref, &touched_ref, &stays_ref]).await;
    site.settle(&mut server).await;
    site.repository
        .human_commit(&touched_ref, &[("notes.md", Some("mine\n"))], "Note something");
    // Somebody's own branch that merely looks like one.
    let main = site.repository.tip("main").expect("main is mirrored");
    site.repository.reset("keboola/mine-424242", &main);

    let delete = |branch: &str| {
        keboola
            .delete_branch(branch, &keboola.by(JANE, ""))
            .expect("there is such a branch");
    };
    delete(&gone);
    until("its Git branch goes", async || {
        site.repository.tip(&gone_ref).is_none().then_some(())
    })
    .await;
    until("its lane ends", async || {
        (server.lane(&gone).await == Value::Null).then_some(())
    })
    .await;
    server.stop().await;

    // While no process runs.
    delete(&offline);
    delete(&touched);
    let server = site.start().await;
    until("its Git branch goes too", async || {
        site.repository.tip(&offline_ref).is_none().then_some(())
    })
    .await;
    let kept = site.repository.branches();
    for name in [&touched_ref, &stays_ref, "keboola/mine-424242", "main"] {
        assert!(kept.iter().any(|kept| kept == name), "{name}: {kept:?}");
    }
    server.stop().await;
}

async fn site_has(site: &Installation, names: &[&str]) {
    for name in names {
        until("the branch is mirrored", async || site.repository.tip(name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dev_branch_may_have_the_directory_that_the_cli_gives_it() {
    let keboola = Keboola::small();
    let branch = keboola.branch("Loyalty Card", JANE);
    let site = site(&keboola, ", branch_directory = \"name\"");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let git_branch = site.git_branch(&branch);
    let path = "configs/loyalty-card/extractor/keboola.ex-shop/the-orders/config.json";
    assert!(site.repository.file(&git_branch, path).is_some());
    let files = site.repository.files(&git_branch);
    assert!(!files.keys().any(|path| path.starts_with("configs/main/")));
    let manifest = site
        .repository
        .file(&git_branch, "configs/.keboola/manifest.json")
        .expect("there is a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("it is JSON");
    assert_eq!(manifest["branches"][0]["path"], "loyalty-card");
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_a_table_of_the_default_branch_is_told_to_those_who_inherit_it() {
    let keboola = Keboola::small();
    let site = site(&keboola, "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let branch = keboola.branch("Loyalty", JANE);
    let at = ConfigAt {
        branch: branch.clone(),
        ..keboola.orders()
    };
    keboola.set(&at, JANE, "zz_new", 2);
    site.settle(&mut server).await;
    let git_branch = site.git_branch(&branch);
    let path = "storage/metadata/in.c-shop/stock.json";
    let shown = |git_branch: &str| site.repository.file(git_branch, path);
    assert_eq!((shown("main"), shown(&git_branch)), (None, None));

    // New, and then changed: each time a run of the default branch is all that is told from outside.
    let mut stock = json!({
        "id": "in.c-shop.stock", "name": "stock", "displayName": "stock", "primaryKey": ["id"], "columns": ["id"],
        "isAlias": false, "isTyped": false, "created": "2026-01-05T09:00:00+0100", "metadata": [], "columnMetadata": [],
        "bucket": {"id": "in.c-shop", "stage": "in"},
    });
    for columns in [json!(["id"]), json!(["id", "count"])] {
        stock["columns"] = columns;
        keboola
            .put_table(stock.clone(), &keboola.by(JANE, ""))
            .expect("it has an id");
        keboola.run(&keboola.orders(), "success", &["in.c-shop.stock"]);
        site.settle(&mut server).await;
        until("the dev branch shows what the default branch shows", async || {
            (shown(&git_branch).is_some() && shown(&git_branch) == shown("main")).then_some(())
        })
        .await;
    }
    assert!(shown(&git_branch).is_some_and(|table| table.contains("\"count\"")));

    // A load that changes no structure costs the dev branch nothing.
    let of_dev = format!("/v2/storage/branch/{branch}/tables/in.c-shop.stock");
    let (asked, commits) = (keboola.requests(&of_dev), site.repository.count(&git_branch));
    keboola.run(&keboola.orders(), "success", &["in.c-shop.stock"]);
    site.settle(&mut server).await;
    keboola.set(&at, JANE, "zz_new", 3);
    site.settle(&mut server).await;
    assert_eq!(keboola.requests(&of_dev), asked);
    assert_eq!(
        site.repository.count(&git_branch),
        commits + 1,
        "only its own change"
    );

    // It goes, and so it does for those who inherit it.
    keboola
        .drop_table("in.c-shop.stock", &keboola.by(JANE, ""))
        .expect("it is there");
    keboola.run(&keboola.orders(), "success", &["in.c-shop.stock"]);
    site.settle(&mut server).await;
    until("the table is gone from both branches", async || {
        (shown("main").is_none() && shown(&git_branch).is_none()).then_some(())
    })
    .await;
    server.stop().await;
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_failed_is_repeated_when_a_commit_shows_that_it_may_go_well() {
    let keboola = Keboola::small();
    let site = site(&keboola, "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.fail(Fault {
        path: "/v2/storage/dev-branches".into(),
        times: u32::MAX,
        kind: FaultKind::ServerError,
    });
    // It makes the process look at the branches.
    let unknown = json!({
        "type": "config_changed", "projectId": keboola.project().project_id.to_string(), "branchId": "999",
        "componentId": "keboola.ex-shop", "configId": "orders", "newVersion": 1, "author": "nobody@example.com",
        "committedAt": "2026-11-02T08:00:00Z",
    });
    let answer = server.post(&unknown.to_string()).await.expect("it listens");
    assert_eq!(answer.status, 202, "{answer:?}");
    until("the branches cannot be looked at", async || {
        (server.status().await["mirrors"][0]["state"] == "cannot be opened").then_some(())
    })
    .await;
    keboola.heal();
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server).await.expect("events are accepted");
    until("the status says so no more", async || {
        (server.status().await["mirrors"] == json!([])).then_some(())
    })
    .await;
    assert_eq!(site.repository.count("main"), 2);
    assert_eq!(server.logged("the mirror's branches cannot be opened").len(), 1);
    server.stop().await;
}
