//! The commands of policies, as their author uses them.

use crate::support::{
    Installation, Keboola, MIRROR, Options, Output, command,
    policy::{CUSTOMER_DATA, SETTINGS, example, path, policy, with_example},
    run,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Finds the first leaf of each document, whole, and does what it is told at each.
const HOSTILE: &str = include_str!("../../../../runtime/sandbox/src/hostile/policy.wat");

fn add(site: &Installation, component: &Path, more: &[&str]) -> Output {
    let config = site.path("mirror.toml");
    let add = [
        "add",
        path(component),
        "--config",
        path(&config),
        "--mirror",
        MIRROR,
    ];
    policy(&[add.as_slice(), more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_was_damaged_where_it_is_stored_is_stored_anew() {
    let mut site = with_example(Options::default());
    site.write("settings.json", SETTINGS);
    let (component, settings) = (site.path("customer-data.wasm"), site.path("settings.json"));
    let handed_in = || add(&site, &component, &["--settings", path(&settings)]);
    let first = handed_in();
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    // The table alone, which can be appended to the file.
    let lines = first.stdout.clone();
    assert!(lines.trim_start().starts_with("[[mirror.policy]]\n"), "{lines}");
    let digest = lines
        .lines()
        .find_map(|line| line.strip_prefix("digest = \"")?.strip_suffix('"'));
    let digest = digest.expect("it says which").to_owned();
    assert!(first.stderr.contains("stored as "), "{first:?}");
    assert!(
        first.stderr.contains("only the built-in policy judges before it"),
        "{first:?}"
    );

    let stored = site.path("data/policies").join(format!("{digest}.wasm"));
    let whole = fs::read(&stored).expect("it is there");
    let damaged = [whole.as_slice(), b"x"].concat();
    for there in [damaged.as_slice(), &[], &whole[1..]] {
        fs::write(&stored, there).expect("it can be written");
        let again = handed_in();
        assert_eq!(again.status.code(), Some(0), "{again:?}");
        assert!(again.stderr.contains("it is written anew"), "{again:?}");
        assert!(fs::read(&stored).expect("it is there") == whole);
    }
    let again = handed_in();
    assert!(!again.stderr.contains("it is written anew"), "{again:?}");

    site.configure(|options| options.mirror = Box::leak(lines.into_boxed_str()));
    let again = add(&site, &component, &["--settings", path(&settings)]);
    assert!(
        again
            .stderr
            .contains("in whose place it goes; only the built-in policy judges before it"),
        "it does not count itself: {again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_check_calls_unusable_is_not_stored() {
    let site = Installation::new(&Keboola::small(), Options::default());
    let module = wat::parse_str(HOSTILE.replace(";;EACH;;", "unreachable"));
    let component = site.path("traps.wasm");
    fs::write(&component, module.expect("the text is a module")).expect("it can be written");
    let checked = policy(&["check", path(&component)]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let problems = checked.stdout;
    assert!(problems.starts_with("- "), "{problems}");
    let refused = add(&site, &component, &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.starts_with(&problems), "{refused:?}\n{problems}");
    assert!(refused.stderr.contains("`--force`"), "{refused:?}");
    assert_eq!(refused.stdout, "");
    assert!(!site.path("data/policies").exists(), "nothing is stored");
    let forced = add(&site, &component, &["--force"]);
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_of_what_the_digest_is() {
    let site = with_example(Options::default());
    site.write("settings.json", SETTINGS);
    let (module, settings) = (example(), site.path("settings.json"));
    let component = site.path("customer-data.wasm");
    let check = |file: &PathBuf, more: &[&str]| {
        let check = ["check", path(file), "--settings", path(&settings)];
        policy(&[check.as_slice(), more].concat()).ok()
    };
    let plain = check(&module, &[]);
    assert!(
        plain.contains("the file is a core module") && plain.contains("`policy add` stores the component"),
        "{plain}"
    );
    assert!(!check(&component, &[]).contains("core module"));
    let of =
        |file: &PathBuf| -> Value { serde_json::from_str(&check(file, &["--json"])).expect("it is JSON") };
    let (of_module, of_component) = (of(&module), of(&component));
    assert_eq!(
        (&of_module["module"], &of_component["module"]),
        (&true.into(), &false.into())
    );
    assert_eq!(of_module["sha256"], of_component["sha256"]);
}

/// A directory with files, and the policy that traps at `!t`.
fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let written = policy(&[
        "selftest",
        "--only",
        "trap",
        "--write",
        path(&directory.path().join("hostile")),
    ]);
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    for (name, text) in files {
        let file = directory.path().join("files").join(name);
        fs::create_dir_all(file.parent().expect("it has one")).expect("the directory can be written");
        fs::write(file, text).expect("the directory can be written");
    }
    directory
}

fn in_directory(directory: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let mut command = command();
    command
        .current_dir(directory.path())
        .args(["--log-level", "error", "policy"])
        .args(arguments);
    run(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_got_no_verdict_or_was_not_read_fails() {
    let directory = files(&[("a.json", r#"{"!t": 1}"#), ("b.txt", "nothing")]);
    let trap = "hostile/trap.wasm";
    let explained = in_directory(&directory, &["explain", "files", "--policy", trap]);
    assert_eq!(explained.status.code(), Some(1), "{explained:?}");
    assert!(
        explained.stderr.contains("would withhold the objects of 1 files"),
        "{explained:?}"
    );
    let clean = in_directory(&directory, &["explain", "files/b.txt", "--policy", trap]);
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    fs::write(directory.path().join("files/a.json"), b"{\xff").expect("it can be written");
    let unread = in_directory(&directory, &["explain", "files"]);
    assert_eq!(unread.status.code(), Some(1), "{unread:?}");
    assert_eq!(unread.stdout, "nothing is touched in what was read\n");
    assert!(unread.stderr.contains("files/a.json: not read"), "{unread:?}");

    let directory = files(&[("a.json", r#"{"!t": 1}"#)]);
    let bench = ["bench", trap, "--ms", "100", "--data"];
    let all = in_directory(&directory, &[bench.as_slice(), &["files"]].concat());
    assert_eq!(all.status.code(), Some(1), "{all:?}");
    assert!(
        all.stdout.contains("1 documents, 0 findings, 1 withheld"),
        "{all:?}"
    );
    fs::write(directory.path().join("files/b.txt"), "nothing").expect("it can be written");
    let some = in_directory(&directory, &[bench.as_slice(), &["files"]].concat());
    assert_eq!(some.status.code(), Some(0), "{some:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_bench_hold_a_policy_to_the_limits_of_a_configuration_file() {
    let mut site = with_example(Options::default());
    let narrow = format!("{CUSTOMER_DATA}limits = {{ fuel_max = 1000000, findings_max = 77 }}\n");
    let narrow: &'static str = Box::leak(narrow.into_boxed_str());
    site.configure(|options| options.mirror = narrow);
    let (component, config) = (site.path("customer-data.wasm"), site.path("mirror.toml"));
    site.write("settings.json", SETTINGS);
    let settings = site.path("settings.json");
    let of_file = ["--settings", path(&settings), "--config", path(&config), "--json"];
    let of_policy = ["--mirror", MIRROR, "--name", "customer-data"];
    let asked = |command: &[&str], more: &[&str]| {
        let arguments = [command, &[path(&component)], &of_file, more].concat();
        let output = policy(&arguments);
        let told = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
        (output, told)
    };
    let (_, wide) = asked(&["check"], &[]);
    assert!(wide["fuel"]["max"].as_u64() > Some(1_000_000), "{wide:#}");
    let (_, narrow) = asked(&["check"], &of_policy);
    assert_eq!(narrow["fuel"]["max"], 1_000_000, "{narrow:#}");
    let (output, bench) = asked(&["bench", "--ms", "100"], &of_policy);
    let budgets = bench["policy"]["budgets"].as_array();
    let budgets = budgets.unwrap_or_else(|| panic!("{output:?}"));
    let names: Vec<&str> = budgets
        .iter()
        .filter_map(|budget| budget["name"].as_str())
        .collect();
    assert_eq!(names, ["time", "fuel", "memory", "findings", "answer"]);
    for budget in budgets {
        assert_ne!(budget["path"], "", "{bench:#}");
    }
    assert_eq!(budgets[1]["max"], 1_000_000, "{bench:#}");
    assert_eq!(budgets[3]["max"], 77, "{bench:#}");
    let (unknown, _) = asked(&["check"], &["--mirror", MIRROR, "--name", "other"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("has no policy `other`"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_takes_several_policies_each_with_its_settings() {
    let directory = files(&[("a.json", r#"{"note": "ONE-11111111 TWO-22222222"}"#)]);
    let wrapped = policy(&[
        "wrap",
        path(&example()),
        "--out",
        path(&directory.path().join("one.wasm")),
    ]);
    assert!(wrapped.status.success(), "{wrapped:?}");
    fs::copy(
        directory.path().join("one.wasm"),
        directory.path().join("two.wasm"),
    )
    .expect("it is there");
    for (file, prefix) in [("one.json", "ONE-"), ("two.json", "TWO-")] {
        let settings = json!({ "numbers": [{ "prefix": prefix, "digits": 8 }] });
        fs::write(directory.path().join(file), settings.to_string()).expect("it can be written");
    }
    let policies = ["explain", "files", "--policy", "one.wasm", "--policy", "two.wasm"];
    let settings = ["--settings", "one.json", "--settings", "two.json"];
    let explained = in_directory(&directory, &[policies.as_slice(), &settings].concat());
    assert_eq!(explained.status.code(), Some(0), "{explained:?}");
    for by in [", by one\n", ", by two\n"] {
        assert!(explained.stdout.contains(by), "{explained:?}");
    }
    for number in ["11111111", "22222222"] {
        assert!(!explained.stdout.contains(number), "{explained:?}");
    }
    let lacking = in_directory(&directory, &[policies.as_slice(), &settings[..2]].concat());
    assert_eq!(lacking.status.code(), Some(2), "{lacking:?}");
    assert!(
        lacking.stderr.contains("2 of `--policy` and 1 of `--settings`"),
        "{lacking:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_module_is_told_all_that_is_wrong_with_it_and_what_a_mirror_takes_instead() {
    let mut site = Installation::new(&Keboola::small(), Options::default());
    let module = r#"(module
        (import "env" "foo" (func))
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))))"#;
    let imports = site.path("imports.wasm");
    let module = wat::parse_str(module).expect("the text is a module");
    fs::write(&imports, module).expect("it can be written");
    let checked = policy(&["check", path(&imports), "--json"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let told: Value = serde_json::from_str(&checked.stdout).expect("it is JSON");
    let problems = told["problems"].as_array().expect("they are listed");
    assert_eq!(problems.len(), 3, "{told:#}");
    for part in [
        "`env::foo`",
        "`wasi_snapshot_preview1::fd_write`",
        "redaction-policy",
    ] {
        assert!(told.to_string().contains(part), "{part}: {told:#}");
    }
    assert!(
        checked.stderr.contains("cannot be used as a policy: 3 problems"),
        "{checked:?}"
    );

    // The module itself, as compilers write it, with the digest that `check` tells.
    let module = site.path("module.wasm");
    fs::copy(example(), &module).expect("it is there");
    let settings = "settings = { numbers = [{ prefix = \"CUST-\", digits = 8 }] }\n";
    site.write("settings.json", SETTINGS);
    let checked = policy(&[
        "check",
        path(&module),
        "--settings",
        path(&site.path("settings.json")),
        "--json",
    ]);
    let told: Value = serde_json::from_str(&checked.stdout).expect("it is JSON");
    let digest = told["sha256"].as_str().expect("it tells one").to_owned();
    for digest in [String::new(), format!("digest = \"{digest}\"\n")] {
        let table = format!("[[mirror.policy]]\nname = \"own\"\nfile = \"module.wasm\"\n{digest}{settings}");
        site.configure(|options| options.mirror = Box::leak(table.into_boxed_str()));
        let checked = site.ask(&["config", "check"]);
        assert_eq!(checked.status.code(), Some(2), "{checked:?}");
        for part in ["module.wasm` is a core module", "policy add", "policy wrap"] {
            assert!(checked.stderr.contains(part), "{part}: {checked:?}");
        }
    }
    // Of what is made of it, the digest is that.
    let wrapped = policy(&["wrap", path(&module), "--out", path(&site.path("own.wasm"))]);
    assert_eq!(wrapped.status.code(), Some(0), "{wrapped:?}");
    let table =
        format!("[[mirror.policy]]\nname = \"own\"\nfile = \"own.wasm\"\ndigest = \"{digest}\"\n{settings}");
    site.configure(|options| options.mirror = Box::leak(table.into_boxed_str()));
    let checked = site.ask(&["config", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_files_do_not_say_what_was_found_and_nothing_to_judge_is_an_error() {
    let directory = files(&[("of ONE-11111111.json", r#"{"note": "ONE-11111111"}"#)]);
    let module = directory.path().join("one.wasm");
    fs::copy(example(), &module).expect("it is there");
    let with = |text: &str| fs::write(directory.path().join("one.json"), text).expect("it can be written");
    with(r#"{"numbers": [{"prefix": "ONE-", "digits": 8}]}"#);
    let policy_of = ["--policy", "one.wasm", "--settings", "one.json"];
    let scanned = in_directory(&directory, &[&["scan", "files"], &policy_of[..]].concat());
    assert_eq!(scanned.status.code(), Some(0), "{scanned:?}");
    assert!(
        scanned.stdout.contains("files/of ••••••.json:1: customer-number"),
        "{scanned:?}"
    );
    let check = ["check", "one.wasm", "--settings", "one.json", "--data"];
    for json in [&[][..], &["--json"]] {
        let checked = in_directory(&directory, &[&check[..], &["files"], json].concat());
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        assert!(!checked.stdout.contains("11111111"), "{checked:?}");
    }
    fs::create_dir(directory.path().join("empty")).expect("the directory can be written");
    let nothing = in_directory(&directory, &[&check[..], &["empty"]].concat());
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(
        nothing.stderr.contains("there is nothing to judge"),
        "{nothing:?}"
    );
    for (text, why) in [
        ("", "are empty"),
        (
            r#"{"numbers": [], "numbers": [{"prefix": "ONE-", "digits": 8}]}"#,
            "have a name twice in one object",
        ),
    ] {
        with(text);
        let refused = in_directory(&directory, &check[..4]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(refused.stderr.contains(why), "{why}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_the_guard_withholds_for_a_piece_of_a_secret_that_a_policy_takes() {
    // The guard knows what stands under the key; to the policy the middle of it is the number of a customer.
    let secret = "Ingest ONE-11111111 for all of the tests";
    let text = json!({ "#password": secret, "note": format!("post with {secret}") });
    let directory = files(&[("a.json", &text.to_string())]);
    fs::copy(example(), directory.path().join("one.wasm")).expect("it is there");
    let settings = json!({ "numbers": [{ "prefix": "ONE-", "digits": 8 }] });
    fs::write(directory.path().join("one.json"), settings.to_string()).expect("it can be written");
    let with = [
        "explain",
        "files",
        "--policy",
        "one.wasm",
        "--settings",
        "one.json",
    ];
    let explained = in_directory(&directory, &with);
    assert_eq!(explained.status.code(), Some(1), "{explained:?}");
    let why =
        "the object would be withheld: the guard finds a secret (guard-known-secret) that does not go whole";
    assert!(explained.stdout.contains(why), "{explained:?}");
    assert!(explained.stdout.contains(", by one\n"), "{explained:?}");
    assert!(!explained.stdout.contains("all of the tests"), "{explained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_document_is_answered_and_the_others_are_judged() {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let input = directory.path().join("input");
    let lines: [&[u8]; 5] = [
        br#"{"id": 1, "path": "a.sql", "text": "PASSWORD = 'Xk29-fake-91q'"}"#,
        b"hunter2",
        b"",
        b"\xff",
        br#"{"id": 2, "text": "nothing"}"#,
    ];
    fs::write(&input, lines.join(&b'\n')).expect("it can be written");
    let mut scan = command();
    scan.args(["--log-level", "error", "policy", "scan", "--jsonl"])
        .stdin(fs::File::open(&input).expect("it is there"));
    let output = run(&mut scan);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("2 lines are no documents"), "{output:?}");
    let answers: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    assert_eq!(
        answers,
        [
            json!({ "id": 1, "spans": [[12, 25, "password"]] }),
            json!({ "line": 2, "error": "it is not JSON (column 1)" }),
            json!({ "line": 4, "error": "it is not UTF-8 (byte 1)" }),
            json!({ "id": 2, "spans": [] }),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_cannot_be_judged_fails_alone() {
    let directory = files(&[
        ("good/input/a.txt", "nothing"),
        (
            "good/findings.json",
            r#"{"a.txt": [{"pointer": "", "rule": "test-rule", "text": "nothing"}]}"#,
        ),
        ("trapping/input/a.json", r#"{"!t": 1}"#),
        ("unreadable/input/a.txt", "nothing"),
        ("unreadable/findings.json", "["),
        ("without/findings.json", "{}"),
    ]);
    let test = |cases: &str| in_directory(&directory, &["test", cases, "--policy", "hostile/trap.wasm"]);
    let tested = test("files");
    assert_eq!(tested.status.code(), Some(2), "{tested:?}");
    for part in [
        "FAILED  trapping\n",
        "FAILED  unreadable\n",
        "FAILED  without\n  case `without` has no directory `input/`",
        "1 of 4 cases passed",
    ] {
        assert!(tested.stdout.contains(part), "{part}: {}", tested.stdout);
    }
    assert!(
        tested.stderr.contains("3 of 4 cases cannot be judged"),
        "{tested:?}"
    );
    let itself = test("files/good");
    assert_eq!(itself.status.code(), Some(2), "{itself:?}");
    assert!(itself.stderr.contains("is a case itself"), "{itself:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_projects_and_files_do_no_harm() {
    let directory = files(&[("a\nb\u{1b}[31mc.py", "password = \"Xk7vR2hunter2mpQz\"\n")]);
    for command in ["scan", "explain"] {
        let said = in_directory(&directory, &[command, "files"]);
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert!(said.stdout.contains("a\\nb\\u{1b}[31mc.py"), "{said:?}");
        assert!(!said.stdout.contains('\u{1b}'), "{said:?}");
    }
    for (lang, name, expected) in [
        ("rust", "serde-json", Some(2)),
        ("rust", "wit-bindgen", Some(2)),
        ("c", "serde-json", Some(0)),
        ("rust", "words-", Some(2)),
    ] {
        let made = in_directory(&directory, &["new", "--lang", lang, name]);
        assert_eq!(made.status.code(), expected, "{made:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_mirror_does_not_fail_over_a_policy_of_another() {
    let other = "
[[mirror]]
id = \"other\"
stack = \"https://connection.keboola.com\"
project_id = \"1\"
token = \"env:KBC_TOKEN\"
repository = \"file:other.git\"
[[mirror.policy]]
name = \"gone\"
file = \"gone.wasm\"
";
    let lines: &'static str = Box::leak(format!("{CUSTOMER_DATA}{other}").into_boxed_str());
    let site = with_example(Options {
        mirror: lines,
        ..Options::default()
    });
    let config = site.path("mirror.toml");
    let list = |more: &[&str]| policy(&[&["list", "--config", path(&config)], more].concat());
    let one = list(&["--mirror", MIRROR]);
    assert_eq!(one.status.code(), Some(0), "{one:?}");
    assert!(
        one.stdout.contains("customer-data") && !one.stdout.contains("gone"),
        "{one:?}"
    );
    for more in [&[][..], &["--mirror", "other"]] {
        let broken = list(more);
        assert_eq!(broken.status.code(), Some(2), "{broken:?}");
        assert!(
            broken.stdout.contains("gone.wasm") && broken.stderr.contains("1 policy cannot be used"),
            "{broken:?}"
        );
    }
}
