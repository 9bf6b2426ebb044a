//! A customer's own redaction policies: what they find goes, what they cannot answer is withheld, and nothing that they do
//! stops the lane.

mod command_line;
mod example;
mod stored;
mod withheld;

use crate::support::{
    self, Installation, JANE, Options, PETR, Server, command,
    policy::{CUSTOMER_DATA, NUMBER, built, example, hostile, installation, path, policy, with_example},
    run, until,
};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};

const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customers_policy_finds_is_marked_in_the_commit() {
    let site = with_example(Options {
        mirror: CUSTOMER_DATA,
        ..Options::default()
    });
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let keboola = &site.keboola;
    let text = format!("{NUMBER}, jane@example.org, ops@acme.example");
    keboola.set(&keboola.orders(), JANE, "note", text);
    // Names become paths, so they are judged before.
    keboola.rename(&keboola.clean(), PETR, &format!("Cleans {NUMBER}"));
    site.settle(&mut server).await;

    let config = site.repository.file("main", CONFIG).expect("it is there");
    let note = config
        .lines()
        .find(|line| line.contains("\"note\""))
        .expect("it was set");
    assert!(
        note.contains("[REDACTED:customer-number:")
            && note.contains("[REDACTED:email-address:")
            && note.contains("ops@acme.example"),
        "{note}"
    );
    for text in ["00412345", "jane@example.org"] {
        assert!(!site.repository.holds(text), "{text} is nowhere");
    }
    let paths = site.repository.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert!(!paths.contains("00412345"), "{paths}");
    // Who changed it is in the commit all the same.
    assert!(site.repository.log("main")[0].author.contains('@'));
    site.check_status(&server).await;

    let metric = async |name: &str| server.metric(name).await.unwrap_or_default();
    let label = format!("policy=\"{}/customer-data\"", support::MIRROR);
    assert!(metric(&format!("policy_findings_total{{{label}}}")).await >= 3.0);
    assert!(metric(&format!("policy_documents_total{{{label},result=\"judged\"}}")).await > 10.0);
    assert!(metric(&format!("policy_seconds_count{{{label}}}")).await >= 1.0);
    assert!(metric("policy_documents_total{policy=\"secret-redaction\",result=\"judged\"}").await > 10.0);
    assert_eq!(
        metric(&format!("policy_failures_total{{{label},reason=\"trapped\"}}")).await,
        0.0
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_policy_or_setting_renders_everything_anew() {
    let mut site = with_example(Options::default());
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "note", NUMBER);
    assert_eq!(site.once().status.code(), Some(0));
    let shows = |site: &Installation| {
        site.repository
            .file("main", CONFIG)
            .is_some_and(|config| config.contains(NUMBER))
    };
    assert!(shows(&site), "nobody was asked about it");
    site.configure(|options| options.mirror = CUSTOMER_DATA);
    let once = site.once();
    assert_eq!(once.status.code(), Some(0), "{once:?}");
    assert!(!shows(&site), "the policy judges what was there before");
    let tip = site.repository.tip("main");
    assert_eq!(site.once().status.code(), Some(0));
    assert_eq!(
        site.repository.tip("main"),
        tip,
        "the same policy gives the same tree"
    );
    site.configure(|options| {
        options.mirror = "[[mirror.policy]]\nname = \"customer-data\"\nfile = \"customer-data.wasm\"\nsettings = { numbers = [{ prefix = \"C-\", digits = 8 }] }\n";
    });
    assert_eq!(site.once().status.code(), Some(0));
    assert!(shows(&site), "other settings, other findings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_never_answers_withholds_its_objects_and_the_lane_goes_on() {
    let options = Options {
        mirror: "[[mirror.policy]]\nname = \"stuck\"\nfile = \"hostile/loop-in-wait.wasm\"\n\n[policies]\nfuel_max = 20000000\n",
        ..Options::default()
    };
    let site = installation(options, |site| hostile(site, "loop-in-wait"));
    let keboola = &site.keboola;
    // The first leaf of the file sets it off.
    keboola.edit(&keboola.orders(), JANE, "Odd", |configuration| {
        let rest = configuration.take();
        *configuration = serde_json::json!({ "!l": 1 });
        for (name, value) in rest.as_object().cloned().unwrap_or_default() {
            configuration[name] = value;
        }
    });
    let mut server = site.start().await;
    site.settle(&mut server).await;
    // What the policy has no trouble with goes on.
    keboola.set(&keboola.clean(), PETR, "note", "x");
    site.settle(&mut server).await;
    assert_eq!(site.repository.file("main", CONFIG), None, "it was never judged");
    let clean = site
        .repository
        .git(&["grep", "-l", "-e", "\"note\": \"x\"", "main", "--", "configs"]);
    assert!(clean.contains("config.json"), "{clean:?}");
    let withheld = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .expect("the repository says so");
    assert!(withheld.contains("\"over_limit fuel_max\""), "{withheld}");
    let main = keboola.main();
    let told = until("the status names the policy and its limit", async || {
        let lane = server.lane(&main).await;
        let withheld = lane["withheld"].to_string();
        withheld.contains("policy stuck").then_some(withheld)
    });
    let told = told.await;
    assert!(told.contains("fuel_max"), "{told}");
    let failures = format!(
        "policy_failures_total{{policy=\"{}/stuck\",reason=\"over_limit\"}}",
        support::MIRROR
    );
    assert!(server.metric(&failures).await.unwrap_or_default() >= 1.0);
    site.repository.fsck();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_may_be_held_to_narrower_limits_than_others() {
    let mut site = with_example(Options {
        mirror: CUSTOMER_DATA,
        ..Options::default()
    });
    let keboola = site.keboola.clone();
    keboola.set(
        &keboola.orders(),
        JANE,
        "note",
        (10..22)
            .map(|number| format!("{NUMBER} CUST-004123{number} "))
            .collect::<String>(),
    );
    keboola.set(&keboola.clean(), JANE, "note", format!("of {NUMBER}"));
    site.once().ok();
    let is_withheld = |site: &Installation| {
        let withheld = site.repository.file("main", "ai/withheld.jsonl");
        withheld.is_some_and(|withheld| withheld.contains("over_limit findings_max"))
    };
    assert!(!is_withheld(&site), "some findings are few");
    // The same component, which may find no more than some things in a document now.
    let strict = CUSTOMER_DATA.replace("\"customer-data\"", "\"strict\"") + "limits = { findings_max = 8 }\n";
    let strict: &'static str = Box::leak(strict.into_boxed_str());
    site.configure(|options| options.mirror = strict);
    site.once().ok();
    assert!(is_withheld(&site), "as many are more than its own limit");
    assert!(
        site.repository.holds("of [REDACTED:customer-number:"),
        "what is within its limits is judged"
    );
    assert!(!site.repository.holds(NUMBER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_takes_a_piece_of_a_credential_lets_out_nothing_of_it() {
    let site = with_example(Options {
        mirror: CUSTOMER_DATA,
        ..Options::default()
    });
    // To the policy its middle is the number of a customer.
    let credential = format!("Ingest {NUMBER} for all of the tests");
    std::fs::write(site.path("ingest-token"), &credential).expect("the directory is ours");
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "note", format!("post with {credential}"));
    keboola.set(&keboola.clean(), JANE, "note", format!("of {NUMBER}"));
    let once = site.once();
    assert!(once.status.success(), "{once:?}");
    assert!(
        site.repository.holds("of [REDACTED:customer-number:"),
        "the policy is on"
    );
    assert!(!site.repository.holds("for all of the tests"));
    let withheld = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .expect("it says so");
    assert!(withheld.contains("guarded guard-known-secret"), "{withheld}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_fails_at_once_takes_no_neighbours_with_it_and_says_nothing_to_the_log() {
    let options = Options {
        mirror: "[[mirror.policy]]\nname = \"odd\"\nfile = \"hostile/loop-in-wait.wasm\"\n",
        ..Options::default()
    };
    let mut site = installation(options, |site| hostile(site, "loop-in-wait"));
    let keboola = &mut site.keboola;
    // More than `failures_in_row_max`, beside each other. The first leaf of a file sets it off: it traps, or says something.
    for number in 0..24 {
        let at = keboola.create(&format!("trap-{number}"), &format!("Trap {number}"), JANE);
        keboola.edit(&at, JANE, "Odd", |configuration| {
            let order = if number % 2 == 0 { "!t" } else { "!e" };
            *configuration = serde_json::json!({ order: 1, "number": number });
        });
    }
    for number in 0..8 {
        let at = keboola.create(&format!("trap-{number}-not"), &format!("Trap {number} not"), JANE);
        keboola.set(&at, JANE, "neighbour", format!("number {number}"));
    }
    let mut server = site.start().await;
    site.settle(&mut server).await;
    for number in 0..8 {
        assert!(
            site.repository.holds(&format!("\"number {number}\"")),
            "{number} is committed"
        );
    }
    let main = site.keboola.main();
    let withheld = server.lane(&main).await["withheld"].clone();
    let reasons: Vec<&str> = withheld
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["object"].as_str().is_some_and(|name| name.contains("/trap-")))
        .filter_map(|one| one["reason"].as_str())
        .collect();
    assert_eq!(reasons.len(), 24, "{withheld:#}");
    for (why, count) in [("the policy odd trapped", 12), ("the policy odd refused it", 12)] {
        assert_eq!(
            reasons.iter().filter(|reason| reason.starts_with(why)).count(),
            count,
            "{reasons:#?}"
        );
    }
    let log = server.log();
    assert!(
        log.iter()
            .any(|line| line.contains("a guest refused") && line.contains("words_bytes"))
    );
    assert!(!log.iter().any(|line| line.contains("says")), "its own words");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_file_that_is_too_much_for_a_policy_is_withheld_and_told_of() {
    // Enough for each object, but not for the files that show all of them.
    let mut site = with_example(Options {
        mirror: concat!(
            "[[mirror.policy]]\nname = \"customer-data\"\nfile = \"customer-data.wasm\"\n",
            "settings = { numbers = [{ prefix = \"C-\", digits = 8 }] }\n\n[policies]\nfuel_max = 1000000\n"
        ),
        ..Options::default()
    });
    for number in 0..400 {
        site.keboola
            .create(&format!("many-{number}"), &format!("One of many, {number}"), JANE);
    }
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let manifest = "configs/.keboola/manifest.json";
    assert_eq!(
        site.repository.file("main", manifest),
        None,
        "it was never judged"
    );
    let listed = |site: &Installation| {
        let list = site
            .repository
            .file("main", "ai/withheld.jsonl")
            .unwrap_or_default();
        let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        let lines: Vec<Value> = list.lines().map(line).collect();
        lines
    };
    let lines = listed(&site);
    let of_manifest = lines.iter().find(|line| line["object"] == "shared manifest");
    let of_manifest = of_manifest.unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(
        (of_manifest["path"].as_str(), of_manifest["reason"].as_str()),
        (Some(manifest), Some("over_limit fuel_max"))
    );
    assert!(lines.iter().all(|line| {
        line["object"]
            .as_str()
            .is_some_and(|name| name.starts_with("shared "))
    }));
    let main = site.keboola.main();
    let shown = async |server: &Server| server.lane(&main).await["withheldFiles"].clone();
    let files = shown(&server).await;
    assert_eq!(
        files["shared manifest"],
        "the policy customer-data went over its fuel_max limit"
    );
    let told = "admin_notifications_total{reason=\"withheld\"}";
    assert_eq!(server.metric(told).await, Some(1.0));

    // It stays on the list over changes of other things, and over a start.
    site.keboola
        .run(&site.keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    server.stop().await;
    let mut server = site.start().await;
    site.keboola
        .run(&site.keboola.clean(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    assert_eq!(shown(&server).await, files);
    server.stop().await;

    site.configure(|options| {
        options.mirror = concat!(
            "[[mirror.policy]]\nname = \"customer-data\"\nfile = \"customer-data.wasm\"\n",
            "settings = { numbers = [{ prefix = \"C-\", digits = 8 }] }\n"
        );
    });
    // Another limit renders everything anew.
    let mut server = site.start().await;
    site.settle(&mut server).await;
    until("the manifest is there", async || {
        site.repository.file("main", manifest).map(drop)
    })
    .await;
    assert_eq!(listed(&site), Vec::<Value>::new());
    until("nothing is withheld any more", async || {
        (shown(&server).await == serde_json::json!({})).then_some(())
    })
    .await;
    site.ask(&["verify", "--mirror", support::MIRROR]).ok();
    site.repository.fsck();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_used_is_refused_with_what_mends_it() {
    let check = |table: &'static str, parts: &[&str]| {
        let options = Options {
            mirror: table,
            ..Options::default()
        };
        let site = installation(options, |site| {
            hostile(site, "imports-wasi");
            let wrapped = policy(&[
                "wrap",
                path(&example()),
                "--out",
                path(&site.path("customer-data.wasm")),
            ]);
            assert!(wrapped.status.success(), "{wrapped:?}");
        });
        let checked = run(command()
            .args(["config", "check", "--config"])
            .arg(site.path("mirror.toml")));
        for output in [site.once(), checked] {
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            for part in parts {
                assert!(output.stderr.contains(part), "{part} is not in {}", output.stderr);
            }
        }
    };
    check(
        "[[mirror.policy]]\nname = \"wasi\"\nfile = \"hostile/imports-wasi.wasm\"\n",
        &[
            "policy `wasi` cannot be used",
            "it imports `wasi:filesystem/preopens@0.2.0`",
            "wasm32-unknown-unknown",
            "--stub-wasi",
        ],
    );
    check(
        "[[mirror.policy]]\nname = \"customer-data\"\nfile = \"customer-data.wasm\"\nsettings = { numbers = [], x = 1 }\n",
        &[
            "refuses its settings",
            "`/numbers`: must be a list",
            "`/x`: is not known",
        ],
    );
    check(
        "[[mirror.policy]]\nname = \"absent\"\nfile = \"nowhere.wasm\"\n",
        &["policy `absent` cannot be used", "nowhere.wasm"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_keeps_the_compiler_busy_is_given_up() {
    let site = installation(
        Options {
            mirror: "[[mirror.policy]]\nname = \"busy\"\nfile = \"hostile/busy-compiler.wasm\"\n\n[policies]\ncompile_cpu_seconds_max = 1\n",
            ..Options::default()
        },
        |site| hostile(site, "busy-compiler"),
    );
    let output = site.once();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        output.stderr.contains("compile_cpu_seconds_max"),
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_handed_in_by_its_digest() {
    let mut site = with_example(Options::default());
    let config = site.path("mirror.toml");
    site.write(
        "settings.json",
        r#"{"numbers": [{"prefix": "CUST-", "digits": 8}]}"#,
    );
    let component = site.path("customer-data.wasm");
    let settings = site.path("settings.json");
    let add = [
        "add",
        path(&component),
        "--config",
        path(&config),
        "--mirror",
        support::MIRROR,
    ];
    let refused = policy(&add);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains("`/numbers`"), "{refused:?}");
    for name in ["secret-redaction", "guard"] {
        let taken = policy(&[add.as_slice(), &["--settings", path(&settings), "--name", name]].concat());
        assert_eq!(taken.status.code(), Some(2), "{taken:?}");
        assert!(
            taken
                .stderr
                .contains("what is built in; give another with `--name`"),
            "{taken:?}"
        );
    }
    let added = policy(&[add.as_slice(), &["--settings", path(&settings), "--json"]].concat());
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    let added: Value = serde_json::from_str(&added.stdout).expect("it is JSON");
    let lines = added["configuration"]
        .as_str()
        .expect("it says what to write")
        .to_owned();
    site.configure(|options| options.mirror = Box::leak(lines.into_boxed_str()));
    let listed = policy(&["list", "--config", path(&config), "--json"]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    let listed: Value = serde_json::from_str(&listed.stdout).expect("it is JSON");
    let policy_listed = &listed["mirrors"][0]["policies"][0];
    assert_eq!(policy_listed["sha256"], added["sha256"], "{listed}");
    assert_eq!(listed["unused"].as_array().map(Vec::len), Some(0));
    assert_eq!(site.once().status.code(), Some(0));

    let stored = PathBuf::from(added["stored"].as_str().expect("it says where"));
    fs::write(&stored, b"something else").expect("it can be written");
    let once = site.once();
    assert_eq!(once.status.code(), Some(2), "{once:?}");
    assert!(
        once.stderr.contains("the configuration asks for"),
        "{}",
        once.stderr
    );
}

/// What `policy new` writes must work as it says, step by step.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_policy_builds_fits_and_passes_its_own_cases() {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let project = directory.path().join("words");
    let made = policy(&["new", "company-words", "--lang", "rust", "--dir", path(&project)]);
    assert!(made.status.success(), "{made:?}");
    let again = policy(&["new", "company-words", "--lang", "rust", "--dir", path(&project)]);
    assert_eq!(
        again.status.code(),
        Some(2),
        "it never writes over anything: {again:?}"
    );

    let module = built(&project, "company_words");
    let (cases, settings) = (project.join("cases"), project.join("cases/settings.json"));

    let checked = policy(&["check", path(&module), "--settings", path(&settings), "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let checked: Value = serde_json::from_str(&checked.stdout).expect("it is JSON");
    assert_eq!(
        (&checked["ok"], &checked["problems"]),
        (&true.into(), &Value::Array(Vec::new())),
        "{checked}"
    );

    let inspected = policy(&["inspect", path(&module), "--json"]);
    let inspected: Value = serde_json::from_str(&inspected.stdout).expect("it is JSON");
    assert_eq!(
        inspected["imports"],
        serde_json::json!(["keboola:mirror/types@0.1.0"]),
        "types only"
    );
    assert_eq!(inspected["policy"]["rules"][0]["id"], "confidential-word");

    let tested = policy(&["test", path(&cases), "--policy", path(&module)]);
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    assert!(tested.stdout.contains("1 of 1 rules have a case"), "{tested:?}");
    let findings = cases.join("words/findings.json");
    let expected = fs::read_to_string(&findings).expect("it is there");
    // Of no form that it may have, which is no reason to keep it.
    fs::write(&findings, "[]").expect("it can be written");
    let unread = policy(&["test", path(&cases), "--policy", path(&module)]);
    assert_eq!(unread.status.code(), Some(2), "{unread:?}");
    let updated = policy(&["test", path(&cases), "--policy", path(&module), "--update"]);
    assert_eq!(updated.status.code(), Some(0), "{updated:?}");
    assert_eq!(fs::read_to_string(&findings).expect("it is there"), expected);
    fs::write(&findings, "{}").expect("it can be written");
    let differs = policy(&["test", path(&cases), "--policy", path(&module)]);
    assert_eq!(differs.status.code(), Some(3), "{differs:?}");
    assert!(
        differs.stdout.contains("/parameters/project: confidential-word"),
        "{differs:?}"
    );
    let updated = policy(&["test", path(&cases), "--policy", path(&module), "--update"]);
    assert_eq!(updated.status.code(), Some(0), "{updated:?}");
    assert_eq!(fs::read_to_string(&findings).expect("it is there"), expected);

    let input = cases.join("words/input");
    let explained = policy(&[
        "explain",
        path(&input),
        "--policy",
        path(&module),
        "--settings",
        path(&settings),
    ]);
    assert_eq!(explained.status.code(), Some(0), "{explained:?}");
    assert!(
        explained
            .stdout
            .contains("/parameters/project: confidential-word, by company_words")
            && explained.stdout.contains("[REDACTED:confidential-word:0]")
            && !explained.stdout.contains("Falcon"),
        "{}",
        explained.stdout
    );
}

/// What comes out of them is tried by `cargo xtask policy-templates`, which needs their languages' registries.
#[tokio::test(flavor = "multi_thread")]
async fn there_are_projects_in_other_languages() {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    for (lang, entry) in [("js", "policy.js"), ("python", "app.py"), ("c", "judge.c")] {
        let project = directory.path().join(lang);
        let made = policy(&[
            "new",
            "company-words",
            "--lang",
            lang,
            "--dir",
            path(&project),
            "--json",
        ]);
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_str(&made.stdout).expect("it is JSON");
        let files = made["files"].as_array().expect("they are listed");
        for file in [entry, "README.md", "wit/redaction.wit", "cases/settings.json"] {
            assert!(files.contains(&file.into()), "{lang}: {file}");
        }
        for file in files {
            let text = fs::read_to_string(project.join(file.as_str().expect("a path"))).expect("it is there");
            assert!(!text.contains("{{") && !text.is_empty(), "{lang}: {file}");
        }
    }
    // A C compiler and make are needed to build the product too.
    let mut make = Command::new("make");
    let checked = run(make.current_dir(directory.path().join("c")).arg("check"));
    assert!(
        checked.status.success() && checked.stdout.contains("ok"),
        "{checked:?}"
    );
    let bad = policy(&["new", "Company Words", "--lang", "js"]);
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_scanned_and_answered_in_order() {
    let text = "CREATE USER bob PASSWORD = 'Xk29-fake-91q'; -- é";
    let encoded = "eyIjdG9rZW4iOiAicGxhaW4tZmFrZS12YWx1ZSJ9";
    let lines = [
        serde_json::json!({ "id": "a", "path": "code.sql", "text": text }).to_string(),
        String::new(),
        serde_json::json!({ "id": 7, "text_b64": encoded }).to_string(),
        serde_json::json!({ "id": null, "text": "nothing here" }).to_string(),
    ];
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let input = directory.path().join("input");
    fs::write(&input, lines.join("\n")).expect("it can be written");
    let mut scan = command();
    scan.args(["--log-level", "error", "policy", "scan", "--jsonl"])
        .stdin(fs::File::open(&input).expect("it is there"));
    let output = run(&mut scan);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answers: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    assert_eq!(
        answers,
        [
            serde_json::json!({ "id": "a", "spans": [[28, 41, "password"]] }),
            serde_json::json!({ "id": 7, "spans": [[12, 28, "keboola-plaintext"]] }),
            serde_json::json!({ "id": null, "spans": [] }),
        ]
    );
}

/// With a compiler in a process of its own, which the sandbox's own tests do not have.
#[tokio::test(flavor = "multi_thread")]
async fn this_host_contains_hostile_policies() {
    let output = policy(&["selftest", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout).expect("it is JSON");
    let attacks = report["attacks"].as_array().expect("they are listed").len();
    assert!(attacks >= 70 && report["contained"] == attacks, "{report}");
}
