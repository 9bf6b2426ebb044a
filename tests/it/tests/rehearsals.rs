//! What would a policy do, before it is switched on? Replayed over what is committed, or watching what is rendered, it says
//! so, changes nothing, and afterwards does so.

use crate::support::{
    self, Installation, JANE, Keboola, MIRROR, Options, PETR,
    policy::{CUSTOMER_DATA, NUMBER, hostile, installation, path, policy, put_to_replay, replay},
    until,
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";
/// Also made up.
const OLD_NUMBER: &str = "CUST-77700001";

/// Names and lengths of all files below a directory.
fn listing(directory: &Path, found: &mut BTreeMap<String, u64>) {
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let entry = entry.expect("the directory can be read").path();
        // Compiled guests are kept wherever they are made.
        if entry.is_symlink() {
            continue;
        }
        if entry.is_dir() {
            listing(&entry, found);
        } else {
            let length = fs::metadata(&entry).map_or(0, |metadata| metadata.len());
            found.insert(entry.display().to_string(), length);
        }
    }
}

/// Markers of the example's rules in the newest commit, by rule.
fn markers(site: &Installation) -> BTreeMap<String, u64> {
    let files = site.repository.files("main");
    let paths: Vec<String> = files.into_keys().collect();
    let mut found = BTreeMap::new();
    for text in site.repository.contents("main", &paths) {
        for rule in ["customer-number", "email-address"] {
            let count = text.matches(&format!("[REDACTED:{rule}:")).count() as u64;
            if count > 0 {
                *found.entry(rule.to_owned()).or_default() += count;
            }
        }
    }
    found
}

fn by_rule(totals: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(totals["byRule"].clone()).expect("numbers by rule")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_the_policy_then_does() {
    let mut site = Installation::over_https(&Keboola::small(), Options::default());
    put_to_replay(&site);
    let keboola = &site.keboola;
    assert_eq!(site.once().status.code(), Some(0));
    let before = site.repository.tip("main").expect("it was mirrored");
    // One that was there for a while, also in a name and so in a path and a message; and one that stays.
    keboola.set(&keboola.clean(), PETR, "note", OLD_NUMBER);
    keboola.rename(&keboola.clean(), PETR, &format!("Cleans {OLD_NUMBER}"));
    assert_eq!(site.once().status.code(), Some(0));
    let shown = site.repository.tip("main").expect("it was mirrored");
    keboola.set(&keboola.clean(), PETR, "note", "x");
    keboola.rename(&keboola.clean(), PETR, "Clean orders");
    keboola.set(
        &keboola.orders(),
        JANE,
        "note",
        format!("{NUMBER}, jane@example.org, ops@acme.example"),
    );
    assert_eq!(site.once().status.code(), Some(0));
    let tip = site.repository.tip("main").expect("it was mirrored");

    let replay = |more: &[&str]| replay(&site, more);
    let mut untouched = BTreeMap::new();
    listing(&site.data_dir(), &mut untouched);
    let at_tip = replay(&[]);
    let since = replay(&["--since", &shown[..10]]);
    let all = replay(&["--since", "1h", "--commits-max", "50"]);
    let mut now = BTreeMap::new();
    listing(&site.data_dir(), &mut now);
    assert_eq!(now, untouched, "nothing is written");
    assert_eq!(site.repository.tip("main"), Some(tip.clone()));

    for answer in [&at_tip, &since, &all] {
        let text = answer.to_string().to_lowercase();
        for secret in ["00412345", "77700001", "jane@example.org"] {
            assert!(!text.contains(secret), "{secret} is in {answer:#}");
        }
    }
    let branch = &at_tip["branches"][0];
    assert_eq!(branch["tip"].as_str(), Some(tip.as_str()));
    assert_eq!(branch["commitsLookedAt"], 1);
    let files = branch["files"].as_array().expect("they are listed");
    let config = files.iter().find(|file| file["path"] == CONFIG);
    let config = config.expect("the file is named");
    assert_eq!(config["componentId"], "keboola.ex-shop");
    let id = keboola.orders().config;
    assert_eq!(
        config["configId"].as_str(),
        Some(id.as_str()),
        "the manifest says whose it is"
    );
    let found = serde_json::json!({ "customer-number": 1, "email-address": 1 });
    assert_eq!(config["findings"], found);
    let bytes = NUMBER.len() + "jane@example.org".len();
    assert_eq!(config["bytes"], bytes);
    let example = config["examples"][0]["after"].as_str().expect("it is shown");
    assert!(example.contains("[REDACTED:customer-number:"), "{example}");
    assert_eq!(config["examples"][0]["pointer"], "/parameters/note");

    // What is gone by now is told of the commits that had it.
    let branch = &since["branches"][0];
    assert_eq!(branch["commitsLookedAt"], 2);
    let files = branch["files"].as_array().expect("they are listed");
    let gone: Vec<&Value> = files.iter().filter(|file| file["atTip"] == false).collect();
    assert!(!gone.is_empty(), "{branch:#}");
    for file in &gone {
        let commits = (file["first"].as_str(), file["last"].as_str());
        assert_eq!(commits, (Some(shown.as_str()), Some(shown.as_str())));
        // The catalog is of no configuration.
        if file["path"]
            .as_str()
            .is_some_and(|path| path.starts_with("configs"))
        {
            assert_eq!(file["configId"].as_str(), Some(keboola.clean().config.as_str()));
        }
    }
    let hidden = gone
        .iter()
        .any(|file| file["path"].as_str().is_some_and(|path| path.contains("••••••")));
    assert!(hidden, "a path that says what was found is not shown: {gone:#?}");
    let messages = branch["messages"].as_array().expect("they are listed");
    assert!(
        messages
            .iter()
            .any(|message| message["commit"].as_str() == Some(shown.as_str())),
        "{messages:?}"
    );
    assert!(
        branch["names"]["findings"]["customer-number"].as_u64() >= Some(1),
        "{branch:#}"
    );
    assert_eq!(branch["commits"].as_array().map(Vec::len), Some(2));
    assert_eq!(branch["atTip"], at_tip["branches"][0]["atTip"]);
    assert_eq!(all["branches"][0]["commitsLookedAt"], 3, "from {before} on");
    let bounded = replay(&["--since", "1h", "--commits-max", "2"]);
    assert_eq!(
        (
            &bounded["branches"][0]["cut"],
            &bounded["branches"][0]["commitsLookedAt"]
        ),
        (&true.into(), &2.into())
    );

    // Switched on, it does what it said: no more and no less.
    site.configure(|options| options.mirror = CUSTOMER_DATA);
    assert_eq!(site.once().status.code(), Some(0));
    assert_eq!(markers(&site), by_rule(&at_tip["branches"][0]["atTip"]));
    let replayed = site.answer(&[
        "policy",
        "replay",
        "--mirror",
        MIRROR,
        "--policy",
        "customer-data",
    ]);
    assert_eq!(replayed["branches"][0]["atTip"]["findings"], 0, "{replayed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_refused_with_what_to_do() {
    let site = Installation::new(&Keboola::small(), Options::default());
    put_to_replay(&site);
    let component = site.path("customer-data.wasm");
    let component = path(&component);
    let settings = site.path("settings.json");
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = site.ask(&[&["policy", "replay"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        for part in parts {
            assert!(output.stderr.contains(part), "{part} is not in {}", output.stderr);
        }
    };
    let of = |more: &[&'static str]| {
        let mut all = vec![
            "--mirror",
            MIRROR,
            "--policy",
            component,
            "--settings",
            path(&settings),
        ];
        all.extend(more);
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let with = |more: &[&'static str], parts: &[&str]| {
        let arguments = of(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(&arguments, parts);
    };
    with(&[], &["has no branch `main`", "let the mirror synchronise first"]);
    assert_eq!(site.once().status.code(), Some(0));
    refused(&["--mirror", "nobody", "--policy", component], &["`nobody`"]);
    refused(
        &["--mirror", MIRROR, "--policy", "nobody"],
        &["neither a file nor a policy", "it has none"],
    );
    // Its settings need numbers.
    refused(
        &["--mirror", MIRROR, "--policy", component],
        &["refuses its settings", "`/numbers`"],
    );
    with(
        &["--since", "2999-01-01"],
        &["is yet to come", "name a moment that has passed"],
    );
    with(
        &["--since", "last week"],
        &["it is no moment and no commit", "7d"],
    );
    with(
        &["--since", "0123456789"],
        &["does not have it", "git log --first-parent main"],
    );
    with(&["--branch", "elsewhere"], &["has no branch `elsewhere`", "main"]);
    site.repository.git(&["config", "user.name", "Somebody"]);
    site.repository
        .git(&["config", "user.email", "somebody@example.com"]);
    let tree = site
        .repository
        .git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let commit = site.repository.git(&["commit-tree", tree.trim(), "-m", "Mine"]);
    site.repository.git(&["branch", "mine", commit.trim()]);
    with(
        &["--branch", "mine"],
        &["no commit of branch `mine` is of mirror", "--branch"],
    );
}

const SHADOW: &str = r#"
[[mirror.policy]]
name = "customer-data"
file = "customer-data.wasm"
settings = { numbers = [{ prefix = "CUST-", digits = 8 }], own_domains = ["acme.example"] }
shadow = true
"#;

/// Runs `once`, and returns what it committed and what the only shadow says.
fn once(site: &Installation) -> (Vec<Value>, Value) {
    let told = site.once_with(&["--json"]).ok();
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    let commits = told["commits"].as_array().expect("they are listed").clone();
    (commits, told["shadows"][0].clone())
}

/// Returns what a shadow found in an object.
fn of_object<'p>(page: &'p Value, object: &str) -> Option<&'p Value> {
    let named = page["objects"]["named"].as_array().expect("they are named");
    named.iter().find(|named| named["object"] == object)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_changes_nothing_and_says_what_it_then_does() {
    let mut site = Installation::new(&Keboola::small(), Options::default());
    put_to_replay(&site);
    let keboola = std::sync::Arc::clone(&site.keboola);
    keboola.set(&keboola.clean(), PETR, "note", NUMBER);
    assert_eq!(site.once().status.code(), Some(0));
    let tip = site.repository.tip("main");
    let config = site.path("mirror.toml");

    // Switching it on makes no commit, and it is seen.
    site.configure(|options| options.mirror = SHADOW);
    let (commits, page) = once(&site);
    assert_eq!(
        (commits.len(), &page["state"]),
        (0, &"watching".into()),
        "{page:#}"
    );
    assert_eq!(site.repository.tip("main"), tip);
    let listed = policy(&["list", "--config", path(&config)]).ok();
    assert!(listed.contains("- shadow customer-data"), "{listed}");

    // A change is committed as it is, and counted.
    let mut server = site.start().await;
    keboola.set(
        &keboola.orders(),
        JANE,
        "note",
        format!("{NUMBER}, jane@example.org, ops@acme.example"),
    );
    site.settle(&mut server).await;
    let shown = site.repository.file("main", CONFIG).expect("it is there");
    assert!(
        shown.contains(NUMBER) && shown.contains("jane@example.org"),
        "{shown}"
    );
    assert_eq!(markers(&site), BTreeMap::new());
    let object = format!("keboola.ex-shop/{}", keboola.orders().config);
    let page = until("the shadow has seen it", async || {
        let page = server.status().await["shadows"][0].clone();
        of_object(&page, &object).is_some().then_some(page)
    });
    let page = page.await;
    let found = of_object(&page, &object).expect("it was seen");
    assert_eq!(found["findings"]["customer-number"], 1, "{page:#}");
    assert!(!page.to_string().contains("00412345"), "{page}");
    let label = format!("policy=\"{MIRROR}/customer-data\"");
    let metric = async |name: &str| server.metric(&format!("{name}{{{label}}}")).await;
    assert!(metric("shadow_policy_findings_total").await >= Some(2.0));
    assert_eq!(
        metric("policy_findings_total").await,
        None,
        "it is none of those that judge"
    );
    assert!(
        !server
            .logged("a shadow policy would have changed something; nothing was changed")
            .is_empty()
    );
    // The same content is not judged again.
    let judged = format!("shadow_policy_documents_total{{{label},result=\"judged\"}}");
    assert!(server.metric(&judged).await > Some(0.0));
    server.stop().await;

    // Everything is rendered once more, which changes nothing either, and all of it is seen.
    let tip = site.repository.tip("main");
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    let (_, page) = once(&site);
    assert_eq!(
        site.repository.tree_id("main"),
        site.repository.tree_id(tip.as_deref().expect("there is one"))
    );
    assert_eq!(markers(&site), BTreeMap::new());
    let announced: BTreeMap<String, u64> =
        serde_json::from_value(page["objects"]["findings"].clone()).expect("numbers by rule");
    assert!(
        announced["customer-number"] >= 2 && announced.contains_key("email-address"),
        "{page:#}"
    );
    assert_eq!(page["objects"]["wouldWithhold"], 0);

    // Switched on, it does what it said, in a commit that says why.
    site.configure(|options| options.mirror = CUSTOMER_DATA);
    let (commits, _) = once(&site);
    assert_eq!(commits.len(), 1, "{commits:?}");
    assert_eq!(markers(&site), announced);
    let message = &site.repository.log("main")[0].subject;
    assert!(message.contains("Render"), "{message}");
    assert_eq!(once(&site).0.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guard_withholds_for_a_piece_of_a_secret_is_foretold() {
    let mut site = Installation::new(&Keboola::small(), Options::default());
    put_to_replay(&site);
    let keboola = std::sync::Arc::clone(&site.keboola);
    // A token of the installation, to the policy with the number of a customer in it, that was committed before it was one.
    let token = format!("Ingest {NUMBER} for all of the tests");
    keboola.set(&keboola.orders(), JANE, "note", format!("post with {token}"));
    keboola.set(&keboola.clean(), PETR, "note", NUMBER);
    assert_eq!(site.once().status.code(), Some(0));
    assert!(site.repository.holds("for all of the tests"));
    site.write("ingest-token", &token);

    let told = replay(&site, &[]);
    let files = told["branches"][0]["files"].as_array().expect("they are listed");
    let config = files.iter().find(|file| file["path"] == CONFIG);
    let config = config.expect("the file is named");
    assert_eq!(config["guard"], "guard-known-secret", "{config:#}");
    assert_eq!(config["findings"]["customer-number"], 1, "{config:#}");
    let guarded = |file: &&Value| !file["guard"].is_null();
    assert!(files.iter().filter(guarded).count() < files.len(), "{files:#?}");
    assert!(!told.to_string().contains("all of the tests"), "{told:#}");

    site.configure(|options| options.mirror = SHADOW);
    keboola.set(
        &keboola.orders(),
        JANE,
        "note",
        format!("again, post with {token}"),
    );
    keboola.set(&keboola.clean(), PETR, "note", format!("of {NUMBER}"));
    let (_, page) = once(&site);
    let reason = |object: &str| {
        let found = of_object(&page, object).unwrap_or_else(|| panic!("{object} is named: {page:#}"));
        found["withheld"].clone()
    };
    let why = reason("keboola.ex-shop/orders");
    let why = why.as_str().expect("it would be withheld");
    assert!(
        why.starts_with("the guard still found a secret (guard-known-secret) in "),
        "{why}"
    );
    assert_eq!(reason("keboola.snowflake-transformation/clean"), Value::Null);

    // And so it is, once it is on.
    site.configure(|options| options.mirror = CUSTOMER_DATA);
    assert_eq!(site.once().status.code(), Some(0));
    let withheld = site.repository.file("main", "ai/withheld.jsonl");
    let withheld = withheld.expect("it says so");
    assert!(withheld.contains("guarded guard-known-secret"), "{withheld}");
    assert!(site.repository.holds("of [REDACTED:customer-number:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shadow_has_counted_outlives_a_kill_and_begins_anew_with_other_settings() {
    let mut site = Installation::new(&Keboola::small(), Options::default());
    put_to_replay(&site);
    site.configure(|options| options.mirror = SHADOW);
    let keboola = std::sync::Arc::clone(&site.keboola);
    let mut server = site.start().await;
    keboola.set(&keboola.orders(), JANE, "note", NUMBER);
    site.settle(&mut server).await;
    let object = format!("keboola.ex-shop/{}", keboola.orders().config);
    let page = async |server: &support::Server| server.status().await["shadows"][0].clone();
    let before = page(&server).await;
    assert_eq!(
        of_object(&before, &object).expect("it was seen")["findings"]["customer-number"],
        1
    );
    server.kill();
    server.was_killed().await;

    let mut server = site.start().await;
    let again = until("it is known what was counted", async || {
        let page = page(&server).await;
        page["documents"]
            .as_u64()
            .is_some_and(|count| count > 0)
            .then_some(page)
    });
    assert_eq!(again.await, before, "counts, and since when");
    // It goes on from there, and a death between the push and its end loses nothing of that.
    server.stop().await;
    let mut armed = site.start_armed("after-push").await;
    keboola.set(&keboola.clean(), PETR, "note", NUMBER);
    site.deliver(&mut armed).await.ok();
    armed.was_killed().await;
    server = site.start().await;
    site.settle(&mut server).await;
    let more = page(&server).await;
    let clean = format!("keboola.snowflake-transformation/{}", keboola.clean().config);
    for seen in [&object, &clean] {
        assert_eq!(
            of_object(&more, seen).expect("it was seen")["findings"]["customer-number"],
            1
        );
    }
    assert_eq!(more["since"], before["since"]);
    assert!(more["documents"].as_u64() > before["documents"].as_u64());
    server.stop().await;

    let other = SHADOW.replace("acme.example", "other.example");
    site.configure(|options| options.mirror = Box::leak(other.into_boxed_str()));
    let (_, anew) = once(&site);
    assert_eq!(anew["documents"], 0, "{anew:#}");
    assert_eq!(of_object(&anew, &object), None);
    assert_ne!(anew["since"], before["since"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_shadow_does_nothing_is_withheld() {
    const SHADOWS: &str = r#"
[[mirror.policy]]
name = "odd"
file = "hostile/loop-in-wait.wasm"
shadow = true

[[mirror.policy]]
name = "liar"
file = "hostile/absent-literal.wasm"
shadow = true

[[mirror.policy]]
name = "wasi"
file = "hostile/imports-wasi.wasm"
shadow = true

[policies]
fuel_max = 20000000
"#;
    let options = Options {
        mirror: SHADOWS,
        ..Options::default()
    };
    let site = installation(options, |site| {
        hostile(site, "loop-in-wait");
        hostile(site, "absent-literal");
        hostile(site, "imports-wasi");
    });
    let keboola = &site.keboola;
    let nonsense = keboola.create("nonsense", "Nonsense", JANE);
    // The first leaf of a file sets it off: it traps, loops for ever, finds what is not there.
    for (at, order) in [
        (&keboola.orders(), "!t"),
        (&keboola.clean(), "!l"),
        (&nonsense, "!n"),
    ] {
        keboola.edit(at, JANE, "Odd", |configuration| {
            let rest = configuration.take();
            *configuration = serde_json::json!({ order: 1 });
            for (name, value) in rest.as_object().cloned().unwrap_or_default() {
                configuration[name] = value;
            }
        });
    }
    let mut server = site.start().await;
    site.settle(&mut server).await;
    for order in ["!t", "!l", "!n"] {
        assert!(
            site.repository.holds(&format!("\"{order}\"")),
            "{order} is committed"
        );
    }
    assert_eq!(site.repository.file("main", "ai/withheld.jsonl"), None);
    site.check_status(&server).await;
    let status = server.status().await;
    let shadows = status["shadows"].as_array().expect("they are listed");
    let page = |name: &str| {
        shadows
            .iter()
            .find(|page| page["policy"] == name)
            .expect("it is listed")
    };
    let odd = page("odd");
    for (page, kind) in [(odd, "trapped"), (odd, "over_limit"), (page("liar"), "malformed")] {
        assert!(page["failures"][kind].as_u64() >= Some(1), "{kind}: {page:#}");
    }
    assert!(odd["objects"]["wouldWithhold"].as_u64() >= Some(2), "{odd:#}");
    let wasi = page("wasi");
    assert_eq!(wasi["state"], "cannot be used");
    assert!(
        wasi["why"]
            .as_str()
            .is_some_and(|why| why.contains("wasi:filesystem")),
        "{wasi:#}"
    );
    let failures = format!("shadow_policy_failures_total{{policy=\"{MIRROR}/odd\",reason=\"trapped\"}}");
    assert!(server.metric(&failures).await >= Some(1.0));
    // What cannot be used is told before the start too, which it does not keep from anything.
    let checked = site.ask(&["config", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let warning =
        checked.stderr.contains("warning: ") && checked.stderr.contains("policy `wasi` cannot be used");
    assert!(
        warning && checked.stdout.contains(": good; 1 mirror\n"),
        "{checked:?}"
    );
    let checked = site.answer(&["config", "check"]);
    assert_eq!(checked["ok"], true, "{checked}");
    assert_eq!(checked["warnings"].as_array().map(Vec::len), Some(1), "{checked}");
    let config = site.path("mirror.toml");
    let listed = policy(&["list", "--config", path(&config)]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    assert!(listed.stdout.contains("cannot be used: "), "{listed:?}");
    site.repository.fsck();
    server.stop().await;
}
