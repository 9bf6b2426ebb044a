//! The example to start from, as a project of its own.

use crate::support::policy::{built, path, policy};
use serde_json::Value;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_builds_and_passes_its_cases_wherever_it_lies() {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let project = directory.path().join("somewhere");
    let example = ["new", "--example", "customer-data"];
    let made = policy(&[&example[..], &["our-customers", "--dir", path(&project)]].concat());
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    for file in ["README.md", "Cargo.toml", "src/glue.rs"] {
        let text = fs::read_to_string(project.join(file)).expect("it is there");
        assert!(!text.contains("../") && !text.contains("{{"), "{file}: {text}");
    }
    let module = built(&project, "our_customers");
    let settings = project.join("cases/settings.json");
    let checked = policy(&["check", path(&module), "--settings", path(&settings), "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let checked: Value = serde_json::from_str(&checked.stdout).expect("it is JSON");
    assert_eq!(checked["name"], "our-customers", "{checked}");
    let tested = policy(&["test", path(&project.join("cases")), "--policy", path(&module)]);
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    assert!(tested.stdout.contains("2 of 2 rules have a case"), "{tested:?}");

    // Without a name for it, it keeps its own.
    let own = directory.path().join("own");
    let made = policy(&[&example[..], &["--dir", path(&own)]].concat());
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let manifest = fs::read_to_string(own.join("Cargo.toml")).expect("it is there");
    assert!(manifest.contains("name = \"customer-data\""), "{manifest}");
    for arguments in [
        &["new", "--example", "customer-data", "--lang", "rust", "words"][..],
        &["new", "words"],
        &["new", "--lang", "rust"],
    ] {
        let refused = policy(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {refused:?}");
    }
}
