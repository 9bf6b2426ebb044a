//! What a policy withholds is told wherever somebody may look, whether a process runs and something was committed or not.

use crate::support::{
    Installation, JANE, MIRROR, Options,
    policy::{hostile, installation},
};
use serde_json::{Value, json};
use std::fs;

const OBJECT: &str = "keboola.ex-shop/orders";

/// The first leaf of the file sets the policy off.
fn set_off(site: &Installation) {
    let keboola = &site.keboola;
    keboola.edit(&keboola.orders(), JANE, "Odd", |configuration| {
        *configuration = json!({ "!t": 1 });
    });
}

fn once(site: &Installation) -> Value {
    let output = site.once_with(&["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).expect("it is JSON")
}

/// Of what is shown of one branch, what is withheld.
fn parts(branch: &Value) -> [Value; 3] {
    ["withheld", "withheldFiles", "withheldRuns"].map(|part| branch[part].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withheld_is_told_without_a_process_and_without_a_commit() {
    let options = Options {
        mirror: "[[mirror.policy]]\nname = \"odd\"\nfile = \"hostile/trap.wasm\"\n",
        dev_branches: false,
        ..Options::default()
    };
    let site = installation(options, |site| hostile(site, "trap"));
    let status = || site.answer(&["mirror", "status", "--mirror", MIRROR])["lanes"][0].clone();
    assert_eq!(
        parts(&status()),
        [Value::Null, Value::Null, Value::Null],
        "nobody knows yet"
    );
    set_off(&site);
    let first = once(&site);
    let told = parts(&first["branches"][0]);
    let withheld = told[0].as_array().expect("a list");
    let of_orders = withheld.iter().find(|one| one["object"] == OBJECT);
    let reason = of_orders
        .and_then(|one| one["reason"].as_str())
        .unwrap_or_default();
    assert!(reason.contains("policy odd trapped"), "{first}");
    let subject = site.repository.git(&["log", "-1", "--format=%s", "main"]);
    let counts = subject
        .trim()
        .strip_suffix(" configurations")
        .and_then(|line| line.rsplit_once(": "));
    let (rendered, expected) = counts
        .and_then(|(_, counts)| counts.split_once(" of "))
        .unwrap_or_else(|| panic!("{subject}"));
    let count = |text: &str| text.parse::<u32>().expect("it is a number");
    assert_eq!(count(rendered) + 1, count(expected), "{subject}");

    assert_eq!(parts(&status()), told);
    // Another build of the same policy, with which nothing is different.
    let component = site.path("hostile/trap.wasm");
    let mut bytes = fs::read(&component).expect("it is there");
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&component, bytes).expect("it can be written");
    let tip = site.repository.tip("main");
    let plain = site.once();
    assert_eq!(plain.status.code(), Some(0), "{plain:?}");
    assert_eq!(site.repository.tip("main"), tip, "{plain:?}");
    for part in [
        "in sync; nothing to commit\n",
        "refs/heads/main withholds 1 configuration, ",
        "  withheld  keboola.ex-shop/orders: the policy odd trapped",
    ] {
        assert!(plain.stdout.contains(part), "{part}: {}", plain.stdout);
    }
    assert_eq!(parts(&once(&site)["branches"][0]), told);
    assert_eq!(parts(&status()), told);
    let verified = site.answer(&["verify", "--mirror", MIRROR]);
    assert_eq!(verified["branches"][0]["equal"], true, "{verified}");
    assert_eq!(parts(&verified["branches"][0]), told);
}
