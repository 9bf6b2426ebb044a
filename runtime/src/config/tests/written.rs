//! What is printed of a file, and the schema of files, against the parser.

use super::GOOD;
use crate::config::Config;
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The example of the README, and a file that sets what it leaves out.
fn files() -> [String; 3] {
    let readme = include_str!("../../../../README.md");
    let example = readme.split("```toml\n").nth(1).expect("has an example");
    let example = example.split("```").next().expect("it ends");
    let rest = r#"
data_dir = "/var/lib/kbc"
tag_root = "cred:tag-root"
[window]
mode = "fixed"
[git]
allow_networks = ["10.0.0.0/8"]
certificates = "own.pem"
proxy = "http://proxy.example.com:3128"
proxy_credential = { user = "corp", password = "env:PROXY_PASSWORD" }
idle_timeout_ms = 120_000
[queue]
backend = "jetstream"
servers = ["tls://nats.example.com:4222"]
auth = { user = "u", password = "env:NATS_PASSWORD" }
tls = { required = true, certificate = "own.pem", key = "file:own.key" }
[[mirror]]
id = "retail"
stack = "https://connection.keboola.com"
project_id = "5678"
token = "env:KBC_TOKEN"
repository = "ssh://git@git.example.com/retail.git"
credential = { private_key = "file:key", known_hosts = "file:known_hosts" }
poll = { enabled = true, every_ms = 120_000 }
accept_deletions = "0123456789abcdef"
accept_rewrite = "8f14e45fceea167a5a36dedd4bea2543d3b07c4e"
accept_deleted_branch = "0cc175b9c0f1b6a831c399e269772661b7f5c1d2"
commit = { name = "Mirror of ACME", email = "mirror@acme.example", authors = "mirror" }
[[mirror.policy]]
name = "own"
file = "own.wasm"
settings = { words = ["a", "b"], depth = 3, nested = { on = true } }
"#;
    [example.to_owned(), GOOD.to_owned(), rest.to_owned()]
}

/// Returns what is printed of a file, as TOML and as a value.
fn written(text: &str) -> (String, Value) {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("mirror.toml");
    fs::write(&path, text).expect("there is room");
    let table = Config::written_out(&path).expect("good");
    let value = serde_json::to_value(&table).expect("is a value");
    (toml::to_string(&table).expect("is TOML"), value)
}

#[test]
fn what_is_printed_means_the_same_and_has_the_defaults() {
    for text in files() {
        let (printed, value) = written(&text);
        let parse = |text: &str| {
            let config = Config::parse(text, Path::new("/etc/kbc/mirror.toml")).expect("good");
            format!("{config:#?}")
        };
        assert_eq!(parse(&printed), parse(&text));
        assert_eq!(value["keboola"]["retries_max"], 5);
        assert_eq!(value["mirror"][0]["deletions"]["share_percent_max"], 50);
        assert_eq!(written(&printed).0, printed, "it is its own print");
    }
}

#[test]
fn a_file_that_is_refused_is_not_printed() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("mirror.toml");
    fs::write(&path, GOOD.replace("env:KBC_TOKEN", "hunter2")).expect("there is room");
    let error = Config::written_out(&path)
        .expect_err("it holds a credential")
        .to_string();
    assert!(
        error.contains("mirror[0].token") && !error.contains("hunter2"),
        "{error}"
    );
}

fn judge() -> (Schemas, SchemaIndex) {
    let mut compiler = Compiler::new();
    let mut schemas = Schemas::new();
    let place = "mirror.schema.json";
    compiler
        .add_resource(place, Config::schema())
        .expect("is a schema");
    let index = compiler.compile(place, &mut schemas).expect("is a schema");
    (schemas, index)
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let (schemas, index) = judge();
    for text in files() {
        let given: Value =
            serde_json::to_value(toml::from_str::<toml::Table>(&text).expect("TOML")).expect("a value");
        for value in [given, written(&text).1] {
            if let Err(error) = schemas.validate(&value, index) {
                panic!("{error}");
            }
        }
    }
}

#[test]
fn the_schema_refuses_unknown_keys_wrong_words_and_what_is_missing() {
    let (schemas, index) = judge();
    let good: Value =
        serde_json::to_value(toml::from_str::<toml::Table>(GOOD).expect("TOML")).expect("a value");
    let refused = |change: fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        schemas.validate(&value, index).is_err()
    };
    assert!(!refused(|_| ()));
    assert!(refused(|value| value["data_dirs"] = json!("x")));
    assert!(refused(|value| value["mirror"][0]["secrets"] = json!("plain")));
    assert!(refused(
        |value| value["mirror"][0]["jobs"] = json!({ "keep_days": "35" })
    ));
    assert!(refused(|value| {
        value["mirror"][0]
            .as_object_mut()
            .expect("a table")
            .remove("token");
    }));
}

#[test]
fn the_schema_says_what_each_key_means() {
    fn undescribed(at: &str, schema: &Value, found: &mut Vec<String>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            if !property["description"].is_string() {
                found.push(format!("{at}.{key}"));
            }
        }
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            undescribed(name, definition, found);
        }
    }
    let mut found = Vec::new();
    undescribed("", &Config::schema(), &mut found);
    assert_eq!(found, [""; 0]);
}
