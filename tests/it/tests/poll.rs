//! Polling: is everything that changes in Keboola found without a single event, once, and at what cost?

use crate::support::{Installation, JANE, Keboola, Options, PETR, Server, until};
use fake_keboola::{Fault, FaultKind};
use jiff::{SignedDuration, Timestamp};
use mirror_runtime::crash::POLL_PLACES;
use serde_json::{Value, json};
use std::sync::Arc;

/// Everything is looked at each second, and no events are asked for.
const EACH_SECOND: &str =
    "poll = { enabled = true, every_ms = 1000, unversioned_every_ms = 1000, hints_every_ms = 0 }";

fn site(keboola: &Arc<Keboola>, poll: &'static str) -> Installation {
    let options = Options {
        mirror: poll,
        ..Options::default()
    };
    Installation::new(keboola, options)
}

/// Waits until a process has looked so often since it started, without waiting for what it found.
async fn looked(server: &Server, times: f64) {
    until("the source is looked at", async || {
        let looks = server.metric("polls_total{outcome=\"ok\"}").await?;
        (looks >= times).then_some(())
    })
    .await;
}

/// Waits until the process has looked once more, from its beginning to its end.
async fn look_again(server: &Server) {
    let looks = server
        .metric("polls_total{outcome=\"ok\"}")
        .await
        .unwrap_or_default();
    // The one that is under way may have begun before.
    looked(server, looks + 2.0).await;
}

/// Waits until a branch has one commit more than before, and everything settled.
async fn one_more(site: &Installation, branch: &str, before: usize, what: &str) {
    until(what, async || {
        let name = site.git_branch(branch);
        let grown = site.repository.tip(&name).is_some() && site.repository.count(&name) > before;
        (grown && site.is_settled()).then_some(())
    })
    .await;
    let commits = site.repository.count(&site.git_branch(branch));
    assert_eq!(commits, before + 1, "{what}: one commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_is_found_without_a_single_event() {
    let keboola = Keboola::small();
    let site = site(&keboola, EACH_SECOND);
    let server = site.start().await;
    let main = keboola.main();
    one_more(&site, &main, 0, "a first sync").await;
    looked(&server, 1.0).await;
    let orders = keboola.orders();
    let table = |id: &str, columns: &[&str]| {
        json!({
            "id": id, "name": id.rsplit('.').next(), "displayName": id, "primaryKey": [], "columns": columns,
            "isAlias": false, "isTyped": false, "created": "2026-11-01T10:00:00+0100", "rowsCount": 0,
            "dataSizeBytes": 0, "lastImportDate": null, "lastChangeDate": null, "metadata": [], "columnMetadata": {},
            "bucket": {"id": "in.c-shop"},
        })
    };
    let steps: [(&str, &dyn Fn()); 13] = [
        ("an edit", &|| {
            keboola.set(&orders, JANE, "since", "-1 day");
        }),
        ("an edit of a row", &|| {
            keboola.edit_row(&orders, "first", PETR, |row| {
                row["configuration"]["parameters"]["table"] = json!("o");
            });
        }),
        ("a rename", &|| {
            keboola.rename(&orders, JANE, "Orders of the shop");
        }),
        ("a new configuration", &|| {
            keboola.create("customers", "Customers", PETR);
        }),
        ("a deletion", &|| {
            keboola.delete(&keboola.at("keboola.ex-shop", "customers"), PETR);
        }),
        ("a restoration", &|| {
            let restored = keboola.at("keboola.ex-shop", "customers");
            let restored = keboola.restore_configuration(&restored, &keboola.by(JANE, "Restored"));
            restored.expect("it is in the trash");
        }),
        ("metadata of a configuration", &|| {
            let folder = [("KBC.configuration.folderName", "Shop")];
            let set = keboola.set_configuration_metadata(&orders, &keboola.by(JANE, ""), &folder);
            set.expect("there is such a configuration");
        }),
        ("metadata of the branch", &|| {
            let described = [("KBC.projectDescription", "A shop")];
            let set = keboola.set_branch_metadata(&main, &keboola.by(JANE, ""), &described);
            set.expect("there is such a branch");
        }),
        ("the same metadata as before", &|| {
            let described = [("KBC.projectDescription", "A small project")];
            let set = keboola.set_branch_metadata(&main, &keboola.by(JANE, ""), &described);
            set.expect("there is such a branch");
        }),
        ("a new description of the branch", &|| {
            let update = keboola.update_branch(&main, "Main", "What counts", &keboola.by(JANE, ""));
            update.expect("there is such a branch");
        }),
        ("a new table", &|| {
            let put = keboola.put_table(table("in.c-shop.customers", &["id"]), &keboola.by(PETR, ""));
            put.expect("it has an id");
        }),
        ("a new column", &|| {
            let put = keboola.put_table(
                table("in.c-shop.customers", &["id", "city"]),
                &keboola.by(PETR, ""),
            );
            put.expect("it has an id");
        }),
        ("a dropped table", &|| {
            let dropped = keboola.drop_table("in.c-shop.customers", &keboola.by(PETR, ""));
            dropped.expect("there is such a table");
        }),
    ];
    for (what, step) in steps {
        let before = site.repository.count("main");
        step();
        one_more(&site, &main, before, what).await;
    }
    let commits = site.repository.log("main");
    let author = |subject: &str| {
        let commit = commits.iter().find(|commit| commit.subject.contains(subject));
        commit
            .unwrap_or_else(|| panic!("no commit is called {subject}"))
            .author
            .clone()
    };
    assert!(author("Set since").contains(JANE.1), "{}", author("Set since"));
    assert!(author("Edit a row").contains(PETR.1), "{}", author("Edit a row"));
    site.check(&[]);

    let branch = keboola.branch("Loyalty", JANE);
    let (name, id) = (site.git_branch(&branch), branch.clone());
    until("the new branch is mirrored", async || {
        (site.has_versions(&id) && site.is_settled()).then_some(())
    })
    .await;
    let copy = fake_keboola::ConfigAt::new(&branch, &orders.component, &orders.config);
    // The first sync of the branch may still be the newest thing that is known of it.
    look_again(&server).await;
    let before = site.repository.count(&name);
    keboola.set(&copy, PETR, "points", true);
    one_more(&site, &branch, before, "an edit in the branch").await;
    site.check(&[]);
    let deleted = keboola.delete_branch(&branch, &keboola.by(JANE, ""));
    deleted.expect("there is such a branch");
    until("the branch's mirror has ended", async || {
        (server.lane(&branch).await == Value::Null).then_some(())
    })
    .await;
    site.check(&[]);
    assert_eq!(keboola.write_attempts(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_project_makes_no_commits_no_events_and_few_requests() {
    let keboola = Keboola::small();
    let site = site(
        &keboola,
        "poll = { enabled = true, every_ms = 1000, unversioned_every_ms = 3600000, hints_every_ms = 0 }",
    );
    let server = site.start().await;
    one_more(&site, &keboola.main(), 0, "a first sync").await;
    looked(&server, 1.0).await;
    look_again(&server).await;
    let (commits, events) = (site.repository.count("main"), site.log().expect("a log").events);
    keboola.forget_requests();
    let looks = server
        .metric("polls_total{outcome=\"ok\"}")
        .await
        .unwrap_or_default();
    looked(&server, looks + 5.0).await;
    let requests = keboola.requests_by_path();
    // The one that was under way may have asked for nothing yet, and so may one that goes on.
    let at_most = 7;
    let main = keboola.main();
    for path in [
        "/v2/storage/dev-branches".to_owned(),
        format!("/v2/storage/branch/{main}/components"),
        "/queue/search/jobs".to_owned(),
    ] {
        let found = requests.get(&path).copied().unwrap_or_default();
        assert!((4..=at_most).contains(&found), "{path}: {requests:?}");
    }
    assert_eq!(requests.len(), 3, "nothing else is asked for: {requests:?}");
    assert_eq!(site.repository.count("main"), commits);
    assert_eq!(site.log().expect("a log").events, events, "no events");
    let status = server.status().await;
    let poll = &status["polls"][0];
    assert!(
        poll["lastLook"].is_string() && poll["problem"].is_null(),
        "{status}"
    );
    site.check(&[]);
    server.stop().await;
}

/// Plays changes of all kinds, one round each.
fn change(keboola: &Keboola, round: u64) {
    let orders = keboola.orders();
    keboola.set(&orders, JANE, "number", round);
    keboola.set(&orders, PETR, "more", round);
    let folder = format!("Folder {round}");
    let entries = [("KBC.configuration.folderName", folder.as_str())];
    let set = keboola.set_configuration_metadata(&keboola.clean(), &keboola.by(JANE, ""), &entries);
    set.expect("there is such a configuration");
    if round == 1 {
        keboola.create("customers", "Customers", PETR);
    } else {
        let customers = keboola.at("keboola.ex-shop", "customers");
        keboola.delete(&customers, PETR);
    }
    keboola.run(&orders, "success", &["in.c-shop.orders"]);
}

/// Plays two rounds with a process that is killed at a place, or none; returns how many events there were.
async fn events_of(place: Option<&str>) -> u64 {
    let keboola = Keboola::small();
    let site = site(&keboola, EACH_SECOND);
    let mut server = match place {
        Some(place) => site.start_armed(place).await,
        None => site.start().await,
    };
    let main = keboola.main();
    one_more(&site, &main, 0, "a first sync").await;
    looked(&server, 1.0).await;
    let mut deaths = 0;
    for round in 1..=2 {
        change(&keboola, round);
        let folder = format!("Folder {round}");
        until("everything is found", async || {
            if server.is_over() {
                server.was_killed().await;
                deaths += 1;
                server = site.start().await;
            }
            let manifest = site.repository.file("main", "configs/.keboola/manifest.json")?;
            let found = site.has_versions(&main) && manifest.contains(&folder) && site.is_settled();
            found.then_some(())
        })
        .await;
    }
    // What was found is kept before the process goes.
    look_again(&server).await;
    if server.is_over() {
        server.was_killed().await;
        deaths += 1;
        server = site.start().await;
        look_again(&server).await;
    }
    assert_eq!(deaths, usize::from(place.is_some()), "{place:?} was not reached");
    site.check(&[]);
    server.stop().await;
    site.log().expect("a log").events
}

/// What was being told when the process died, and was undone before another one looked, is not left in the repository.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_while_nobody_looks_is_undone_in_the_repository() {
    for place in POLL_PLACES {
        let keboola = Keboola::small();
        let site = site(&keboola, EACH_SECOND);
        let mut server = site.start_armed(place).await;
        one_more(&site, &keboola.main(), 0, "a first sync").await;
        looked(&server, 1.0).await;
        let set = |folder: &str| {
            let entries = [("KBC.configuration.folderName", folder)];
            let set = keboola.set_configuration_metadata(&keboola.clean(), &keboola.by(JANE, ""), &entries);
            set.expect("there is such a configuration");
        };
        set("Elsewhere");
        server.was_killed().await;
        let customers = keboola.create("customers", "Customers", PETR);
        keboola.delete(&customers, JANE);
        set("Cleaning");
        let server = site.start().await;
        look_again(&server).await;
        until("everything settles", async || site.is_settled().then_some(())).await;
        site.check(&[]);
        server.stop().await;
    }
}

/// Polls with events as hints only: the interval is far longer than the test.
#[tokio::test(flavor = "multi_thread")]
async fn events_make_it_prompt_where_the_token_is_shown_them_and_nothing_else_depends_on_them() {
    let keboola = Keboola::small();
    let hinted = site(
        &keboola,
        "poll = { enabled = true, every_ms = 5000, unversioned_every_ms = 86400000, hints_every_ms = 1000 }",
    );
    let server = hinted.start().await;
    let main = keboola.main();
    one_more(&hinted, &main, 0, "a first sync").await;
    looked(&server, 1.0).await;
    let events = format!("/v2/storage/branch/{main}/events");
    until("events are asked for", async || {
        // The first answer tells where to begin.
        (keboola.requests(&events) >= 1).then_some(())
    })
    .await;
    // Such metadata would be found by itself in a day.
    let folder = [("KBC.configuration.folderName", "Shop")];
    let set = keboola.set_configuration_metadata(&keboola.orders(), &keboola.by(JANE, ""), &folder);
    set.expect("there is such a configuration");
    one_more(&hinted, &main, 1, "metadata").await;
    assert_eq!(server.status().await["polls"][0]["hints"], true);
    server.stop().await;

    let mut project = fake_keboola::small_project();
    project.token_verify["isMasterToken"] = json!(false);
    let keboola = Keboola::of(project);
    let blind = site(
        &keboola,
        "poll = { enabled = true, every_ms = 2000, hints_every_ms = 1000 }",
    );
    let server = blind.start().await;
    one_more(&blind, &keboola.main(), 0, "a first sync").await;
    until("it is known that there are no hints", async || {
        (server.status().await["polls"][0]["hints"] == false).then_some(())
    })
    .await;
    keboola.set(&keboola.orders(), JANE, "since", "-1 day");
    one_more(&blind, &keboola.main(), 1, "an edit").await;
    assert_eq!(
        keboola.requests(&format!("/v2/storage/branch/{}/events", keboola.main())),
        0
    );
    blind.check(&[]);
    server.stop().await;
}

/// A source in trouble is not asked before it allows it; admins are told when the token is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_is_left_in_peace_and_what_happened_meanwhile_is_found() {
    let keboola = Keboola::small();
    let mut site = site(&keboola, EACH_SECOND);
    site.configure(|options| options.retries_max = 0);
    let server = site.start().await;
    let main = keboola.main();
    one_more(&site, &main, 0, "a first sync").await;
    looked(&server, 1.0).await;
    let trouble = |kind| {
        keboola.fail(Fault {
            path: "/v2/storage/dev-branches".into(),
            times: u32::MAX,
            kind,
        });
    };
    trouble(FaultKind::Unauthorized);
    let failed = "polls_total{outcome=\"failed\"}";
    let told = "admin_notifications_total{reason=\"keboola_token\"}";
    until("admins are told of the token", async || {
        let is_told = server.metric(told).await? == 1.0;
        (is_told && server.metric(failed).await? >= 1.0).then_some(())
    })
    .await;
    keboola.set(&keboola.orders(), JANE, "since", "-1 day");
    server.stop().await;

    keboola.heal();
    let server = site.start().await;
    one_more(&site, &main, 1, "an edit").await;
    looked(&server, 1.0).await;
    assert_eq!(server.status().await["polls"][0]["problem"], Value::Null);

    trouble(FaultKind::RateLimited {
        retry_after: Some("900".into()),
    });
    let status = until("polling fails", async || {
        let status = server.status().await;
        status["polls"][0]["problem"].is_string().then_some(status)
    })
    .await;
    let time = |name: &str| -> Timestamp {
        let text = status["polls"][0][name].as_str();
        text.expect("it is a time").parse().expect("it is a time")
    };
    let left_in_peace = time("next").duration_since(time("lastLook"));
    assert!(left_in_peace >= SignedDuration::from_secs(900), "{status}");
    server.stop().await;
    keboola.heal();
    site.check(&[]);
}

/// Where polling is switched on later, or its record is lost, it begins with a comparison.
#[tokio::test(flavor = "multi_thread")]
async fn polling_that_begins_later_misses_nothing_from_before() {
    let keboola = Keboola::small();
    let mut site = site(&keboola, "");
    let server = site.start().await;
    one_more(&site, &keboola.main(), 0, "a first sync").await;
    server.stop().await;
    keboola.set(&keboola.orders(), JANE, "since", "-1 day");
    let described = [("KBC.projectDescription", "A shop")];
    let set = keboola.set_branch_metadata(&keboola.main(), &keboola.by(JANE, ""), &described);
    set.expect("there is such a branch");
    site.configure(|options| options.mirror = EACH_SECOND);
    let server = site.start().await;
    one_more(&site, &keboola.main(), 1, "what changed before").await;
    looked(&server, 1.0).await;
    keboola.set(&keboola.orders(), PETR, "since", "-2 days");
    one_more(&site, &keboola.main(), 2, "an edit").await;
    site.check(&[]);
    server.stop().await;
    site.lose_data();
    let server = site.start().await;
    until("it settles", async || site.is_settled().then_some(())).await;
    looked(&server, 1.0).await;
    keboola.set(&keboola.orders(), JANE, "since", "-3 days");
    one_more(&site, &keboola.main(), 3, "an edit after the loss").await;
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_after_telling_or_keeping_it_tells_nothing_twice() {
    let expected = events_of(None).await;
    for place in POLL_PLACES {
        for passing in [1, 2] {
            let place = format!("{place}:{passing}");
            assert_eq!(events_of(Some(&place)).await, expected, "{place}");
        }
    }
}

/// Whoever comes first: the poller, which knows of a run what the source tells, or its event, which knows more.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_found_before_its_event_came_has_in_the_end_what_only_that_tells() {
    let keboola = Keboola::small();
    let site = site(&keboola, EACH_SECOND);
    let mut server = site.start().await;
    let main = keboola.main();
    one_more(&site, &main, 0, "a first sync").await;
    looked(&server, 1.0).await;
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    one_more(&site, &main, 1, "a run that is found").await;
    // Its event comes, and once more.
    for _ in 0..2 {
        site.settle(&mut server).await;
        site.check(&[]);
        assert_eq!(site.repository.count("main"), 3);
        site.forget_deliveries();
    }
    // The event first, and the poller after it.
    keboola.run(&keboola.orders(), "error", &[]);
    site.settle(&mut server).await;
    look_again(&server).await;
    site.settle(&mut server).await;
    site.check(&[]);
    assert_eq!(
        site.repository.count("main"),
        4,
        "{:?}",
        site.repository.log("main")
    );
    server.stop().await;
}
