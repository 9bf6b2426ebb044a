//! Do the commands of operators do what they say, beside a running process and without one?

use crate::support::{self, Installation, JANE, Keboola, MIRROR, Options, PETR, until};
use serde_json::{Value, json};

const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";

fn site() -> Installation {
    let options = Options {
        dev_branches: false,
        keboola: "visible_within_ms = 0",
        ..Options::default()
    };
    Installation::new(&Keboola::small(), options)
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_what_only_case_tells_from_the_mirrors_own_files() {
    let site = site();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let colliding = || {
        let output = site.ask(&["verify", "--json", "--mirror", MIRROR]);
        let told: Value = serde_json::from_str(&output.stdout).expect("it is JSON");
        told["branches"][0]["colliding"].clone()
    };
    assert_eq!(colliding(), json!([]));
    let (above, below) = ("Configs/mine.json", "configs/main/META.json");
    let files = [(above, Some("x")), ("docs/mine.md", Some("x"))];
    site.repository.human_commit("main", &files, "Theirs");
    assert_eq!(colliding(), json!([above]));
    assert_eq!(
        verify(&site),
        (Some(0), vec![]),
        "the mirror has nothing to mend there"
    );
    site.repository
        .human_commit("main", &[(below, Some("x"))], "More");
    assert_eq!(colliding(), json!([above, below]));
    assert_eq!(verify(&site), (Some(3), vec![format!("extra {below}")]));
    let shown = site.ask(&["verify", "--mirror", MIRROR]).stdout;
    assert!(shown.contains(&format!("collides  {above}: ")), "{shown}");
    assert!(shown.contains(&format!("collides  {below}: ")), "{shown}");
    server.stop().await;
}

/// Runs `verify`; returns its exit code and the files that differ.
fn verify(site: &Installation) -> (Option<i32>, Vec<String>) {
    let output = site.ask(&["verify", "--json", "--mirror", MIRROR]);
    let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let differences = told["branches"][0]["differences"].as_array();
    let named = differences.into_iter().flatten().map(|one| {
        let word = |name: &str| one[name].as_str().unwrap_or_default();
        format!("{} {}", word("is"), word("path"))
    });
    (output.status.code(), named.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_what_differs_and_resync_mends_it() {
    let site = site();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let tree = site.repository.tree_id("main");
    assert_eq!(verify(&site), (Some(0), vec![]));

    let extra = "configs/main/extractor/keboola.ex-shop/mine.json";
    let files = [
        (CONFIG, Some("{}")),
        ("storage/metadata/in.c-shop/orders.json", None),
        ("docs/mine.md", Some("x")),
        (extra, Some("x")),
    ];
    site.repository.human_commit("main", &files, "Theirs");
    let tip = site.repository.tip("main");
    let (code, found) = verify(&site);
    assert_eq!(code, Some(3));
    let expected = [
        format!("extra {extra}"),
        format!("different {CONFIG}"),
        "missing storage/metadata/in.c-shop/orders.json".to_owned(),
    ];
    assert_eq!(found, expected);
    assert_eq!(site.repository.tip("main"), tip, "it only looks");

    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    until("it is mended", async || {
        let files = site.repository.files("main");
        (files.contains_key("storage/metadata/in.c-shop/orders.json") && !files.contains_key(extra))
            .then_some(())
    })
    .await;
    until("the lane knows", async || site.is_settled().then_some(())).await;
    assert_eq!(verify(&site), (Some(0), vec![]));
    // Once more, though nothing has changed since.
    let resynced = site.log().map_or(0, |log| log.events);
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    assert_eq!(site.log().map(|log| log.events), Some(resynced + 1));
    site.settle(&mut server).await;
    server.stop().await;
    assert_eq!(verify(&site), (Some(0), vec![]), "without a process too");
    assert_ne!(site.repository.tree_id("main"), tree, "theirs is kept");
    site.check(&["docs/mine.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_mirror_takes_up_nothing_until_it_goes_on_whatever_is_restarted() {
    let site = site();
    let keboola = &site.keboola;
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let list = || {
        let told = site.answer(&["mirror", "list"]);
        let one = &told["mirrors"][0];
        assert_eq!(one["mirror"], MIRROR);
        (
            told["running"] == true,
            one["standing"]["state"].is_string(),
            one["pausedSince"].is_string(),
        )
    };
    assert_eq!(list(), (true, true, false));
    site.ask(&["mirror", "pause", "--mirror", MIRROR]).ok();
    let paused = async |server: &support::Server| {
        until("the lane is paused", async || {
            let lane = server.lane(&site.keboola.main()).await;
            (lane["state"] == "paused").then_some(())
        })
        .await;
    };
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server).await.expect("the process lives");
    paused(&server).await;
    server.stop().await;
    let server = site.start().await;
    paused(&server).await;
    let of_process = site.ask(&["mirror", "status", "--mirror", MIRROR]).ok();
    assert!(of_process.contains("-> refs/heads/main: paused"), "{of_process}");
    assert!(
        !of_process.contains("last push none"),
        "it is known of the commit: {of_process}"
    );
    assert_eq!(site.repository.count("main"), 1);
    server.stop().await;

    assert_eq!(list(), (false, false, true), "without a process");
    let once = site.ask(&["once", "--mirror", MIRROR]);
    assert_eq!(once.status.code(), Some(1), "{}", once.stderr);
    assert!(once.stderr.contains("is paused since"), "{}", once.stderr);
    assert_eq!(site.repository.count("main"), 1);
    let told = site.answer(&["mirror", "resume", "--mirror", MIRROR]);
    assert_eq!(
        [
            &told["mirror"],
            &told["paused"],
            &told["running"],
            &told["failing"]
        ],
        [&json!(MIRROR), &json!(false), &json!(false), &json!([])]
    );
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), 2);
    for word in ["pause", "resume"] {
        site.ask(&["mirror", word, "--mirror", MIRROR]).ok();
    }
    keboola.set(&keboola.orders(), PETR, "z", 3);
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}

fn event(site: &Installation, config: &str, version: u64) -> Value {
    json!({
        "type": "config_changed", "projectId": site.keboola.project().project_id.to_string(),
        "branchId": site.keboola.main(), "componentId": "keboola.ex-shop", "configId": config,
        "newVersion": version, "author": "jane@example.com", "committedAt": "2026-11-22T10:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_published_listed_and_replayed_after_a_dry_run() {
    let site = site();
    let main = site.keboola.main();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let publish = ["events", "publish", "--mirror", MIRROR, "--file"];
    let file = site
        .path("events.json")
        .into_os_string()
        .into_string()
        .expect("UTF-8");
    let publish = |events: Value| {
        site.write("events.json", &events.to_string());
        site.ask(&[&publish[..], &[file.as_str(), "--json"]].concat())
    };
    let bad = publish(json!([event(&site, "ghost", 1), { "type": "config_changed" }]));
    assert!(
        !bad.status.success() && bad.stderr.contains("event 1 cannot be taken"),
        "{bad:?}"
    );
    let taken = publish(json!([event(&site, "ghost", 1), event(&site, "ghost", 1)])).ok();
    let taken: Value = serde_json::from_str(&taken).expect("JSON");
    assert_eq!(taken, json!({ "accepted": 1, "duplicates": 1 }));
    let list = ["events", "list", "--mirror", MIRROR, "--branch", &main];
    let listed = site.answer(&list)["events"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let last = listed.last().expect("it was appended");
    assert_eq!(
        (last["kind"].as_str(), last["occurredAt"].as_str()),
        (Some("config_changed"), Some("2026-11-22T10:00:00Z"))
    );

    // The source has no such configuration, so its event is put aside.
    let letters = ["events", "dead-letters", "--mirror", MIRROR];
    let letter = until("it is put aside", async || {
        let letters = site.answer(&letters)["deadLetters"].as_array().cloned();
        letters.and_then(|letters| letters.first().cloned())
    })
    .await;
    assert_eq!(
        (letter["replayable"].as_bool(), letter["about"].as_str()),
        (Some(true), Some("keboola.ex-shop/ghost"))
    );
    assert!(
        letter["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("no such configuration")),
        "{letter}"
    );
    until("the lane is done", async || site.is_settled().then_some(())).await;
    let before = site.log().map(|log| log.events);
    let replay = ["events", "replay", "--mirror", MIRROR, "--all"];
    let dry = site.answer(&replay);
    assert_eq!(
        (dry["dryRun"].as_bool(), dry["replayed"][0]["id"].as_u64()),
        (Some(true), letter["id"].as_u64())
    );
    assert_eq!(site.log().map(|log| log.events), before, "it only says so");
    server.stop().await;

    // By now it is there; without a process the log itself is asked.
    site.keboola.create("ghost", "The ghost", JANE);
    let done = site.answer(&[&replay[..], &["--apply"]].concat());
    assert_eq!(
        (
            done["dryRun"].as_bool(),
            done["replayed"].as_array().map(Vec::len)
        ),
        (Some(false), Some(1))
    );
    let again = site.answer(&letters);
    assert!(again["deadLetters"][0]["replayedAt"].is_string(), "{again}");
    let id = letter["id"].to_string();
    let twice = site.ask(&["events", "replay", "--id", &id, "--apply"]);
    assert!(
        !twice.status.success() && twice.stdout.contains("replayed before"),
        "{twice:?}"
    );
    assert!(
        site.ask(&["events", "replay", "--id", "999", "--apply"])
            .stderr
            .contains("no dead letter 999")
    );
    let mut server = site.start().await;
    until("it is mirrored", async || {
        let sidecars = site.repository.sidecars("main");
        sidecars
            .iter()
            .any(|sidecar| sidecar.config == "ghost")
            .then_some(())
    })
    .await;
    site.settle(&mut server).await;
    server.stop().await;
}

/// Returns how long after `from` a time is, in seconds.
fn seconds_after(from: jiff::Timestamp, at: &Value) -> f64 {
    let at: jiff::Timestamp = at.as_str().and_then(|at| at.parse().ok()).expect("a time");
    at.duration_since(from).as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_in_an_outage_says_what_it_waits_for() {
    let site = site();
    let main = site.keboola.main();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let resync = ["mirror", "resync", "--mirror", MIRROR];
    let away = site.path("away.git");
    std::fs::rename(site.repository.path(), &away).expect("the directory is ours");
    site.keboola.set(&site.keboola.orders(), JANE, "z", 1);
    site.deliver(&mut server).await.expect("the process lives");
    // Past the first tries, which follow each other at once.
    let lane = until("it is to be tried again", async || {
        let lane = server.lane(&main).await;
        (lane["outage"].is_object() && lane["nextDue"].is_string()).then_some(lane)
    })
    .await;
    let begun = lane["outage"]["since"].as_str().and_then(|at| at.parse().ok());
    let next = seconds_after(begun.expect("a time"), &lane["nextDue"]);
    assert!(
        (0.0..600.0).contains(&next),
        "the next attempt, and no warning: {lane}"
    );
    let reason = lane["outage"]["reason"].as_str().expect("there is a reason");
    let status = site.ask(&["mirror", "status", "--mirror", MIRROR]).ok();
    assert!(
        status.contains(reason)
            && (status.contains("; it is tried next at 20") || status.contains("being tried")),
        "{status}"
    );
    let told = site.ask(&resync).ok();
    assert!(
        told.starts_with(
            "1 branch of mirror `shop` is rendered anew with the next attempt that does not fail"
        ) && told.contains(&format!(
            "refs/heads/main fails, which is to be mended first: {reason}"
        )),
        "{told}"
    );
    site.ask(&["mirror", "pause", "--mirror", MIRROR]).ok();
    let told = site.ask(&resync).ok();
    assert!(told.contains("is rendered anew after `mirror resume`"), "{told}");
    std::fs::rename(&away, site.repository.path()).expect("the directory is ours");
    let told = site.ask(&["mirror", "resume", "--mirror", MIRROR]).ok();
    assert!(
        told.starts_with("mirror `shop` goes on\n") && told.contains("it is tried at once"),
        "{told}"
    );
    site.settle(&mut server).await;
    // The attempt ends a moment after the remote has everything.
    until("the outage is over", async || {
        server.lane(&main).await["outage"].is_null().then_some(())
    })
    .await;
    server.stop().await;
    let told = site.ask(&resync).ok();
    assert!(told.contains("by the next process; none runs now"), "{told}");
    let told = site.ask(&["mirror", "resume", "--mirror", MIRROR]).ok();
    assert!(told.contains("goes on when a process runs"), "{told}");
}
