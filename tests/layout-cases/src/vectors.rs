//! Vectors: what single functions make of single values. Each is asked of the product through what a
//! user of it sees: a directory's name, the bytes of a file, what the guard lets pass.

use crate::json::Node;
use anyhow::{Context, Result};
use layout_renderer as guest;
use mirror_core::guard::{Guard, KnownSecrets};
use std::{fs, path::Path};

/// What became of the vectors of a directory.
#[derive(Debug, Default)]
pub struct Outcome {
    pub total: usize,
    /// A line for each that failed.
    pub failed: Vec<String>,
}

impl Outcome {
    fn check(&mut self, what: &str, input: &str, found: &str, expected: &str) {
        self.total += 1;
        if found != expected {
            self.failed.push(format!(
                "{what}: {input:?} gives {found:?} instead of {expected:?}"
            ));
        }
    }
}

/// Checks all vectors of a directory.
///
/// # Errors
/// A file that is missing or malformed.
pub fn check(directory: &Path) -> Result<Outcome> {
    let read = |name: &str| -> Result<Node> {
        let path = directory.join(name);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(Node::parse(&text)?)
    };
    let mut outcome = Outcome::default();
    let names = read("normalize_name.json")?;
    for case in ["from_upstream_tests", "derived"]
        .iter()
        .flat_map(|key| items(&names, key))
    {
        let found = mirror_core::placement::normalize_name(case.str("in"));
        outcome.check("name", case.str("in"), &found, case.str("out"));
    }
    let json = read("json_format.json")?;
    for case in items(&json, "number") {
        outcome.check(
            "number",
            case.str("in"),
            &written(case.str("in"))?,
            case.str("out"),
        );
    }
    for case in items(&json, "string") {
        let input = serde_json::Value::from(case.str("in")).to_string();
        outcome.check("string", case.str("in"), &written(&input)?, case.str("out"));
    }
    let sql = "keboola.snowflake-transformation";
    for case in items(&read("sql_split_join.json")?, "cases") {
        let statements = guest::scripts(sql, case.str("input"));
        let expected: Vec<&str> = items(case, "statements").iter().filter_map(Node::text).collect();
        let shown = |statements: &[String]| format!("{statements:?}");
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        outcome.check("split", case.str("name"), &shown(&statements), &shown(&expected));
        let between = "\n".repeat(guest::lines_between_scripts(sql) + 1);
        outcome.check(
            "join",
            case.str("name"),
            &statements.join(&between),
            case.str("joined"),
        );
    }
    let ciphers = read("is_encrypted.json")?;
    for (key, expected) in ciphers
        .get("key_to_encrypt")
        .map(Node::members)
        .unwrap_or_default()
    {
        let secret = *expected == Node::Bool(true);
        outcome.check(
            "key",
            key,
            passes(key, "plain"),
            if secret { "withheld" } else { "passed" },
        );
    }
    for (key, expected) in [("encrypted_true", "passed"), ("encrypted_false", "withheld")] {
        for value in items(&ciphers, key).iter().filter_map(Node::text) {
            outcome.check("cipher", value, passes("#key", value), expected);
        }
    }
    Ok(outcome)
}

fn items<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).map(Node::items).unwrap_or_default()
}

/// Returns how the renderer writes a JSON value into a `config.json`.
fn written(value: &str) -> Result<String> {
    let context = guest::Context {
        stack: "connection.example.com".into(),
        project_id: "1".into(),
        branch_id: "1".into(),
    };
    let placed = guest::PlacedObject {
        object: guest::Object {
            key: guest::ObjectKey::Config {
                component: "c".into(),
                config: "1".into(),
            },
            component: None,
            source: format!("{{\"configuration\":{{\"value\":{value}}}}}"),
            metadata: Vec::new(),
        },
        path: Some("c".into()),
        parent: None,
        claimed_by: Vec::new(),
        references: Vec::new(),
    };
    let rendered = guest::render(&context, "{}", &[placed])?.remove(0);
    let file = rendered
        .files
        .iter()
        .find(|file| file.path.ends_with("/config.json"));
    let text = &file.context("there is no config.json")?.content;
    let value = text
        .split_once("\"value\": ")
        .and_then(|(_, rest)| rest.strip_suffix("\n}\n"));
    Ok(value.context("config.json does not hold the value")?.to_owned())
}

/// Returns whether the guard lets a value under a key pass.
fn passes(key: &str, value: &str) -> &'static str {
    let content = serde_json::json!({ key: value }).to_string();
    let guard = Guard::new(&KnownSecrets::new());
    match guard.check_file("configs/main/config.json", &content) {
        None => "passed",
        Some(_) => "withheld",
    }
}
