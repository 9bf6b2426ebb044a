//! The form in which an event that could not be read is kept: enough to find its sender, no content.

use serde_json::{Map, Value};

const MASKED_BYTES_MAX: usize = 2048;
const MEMBERS_MAX: usize = 40;

/// Returns the shape of a refused event: names of known fields and the values that only numbers
/// things; every other value by its type and size. At most 2 KiB.
#[must_use]
pub fn masked_body(raw: &[u8]) -> String {
    let Ok(members) = serde_json::from_slice::<Map<String, Value>>(raw) else {
        return format!("{} bytes that are not a JSON object", raw.len());
    };
    let mut unknown = members.len().saturating_sub(MEMBERS_MAX);
    let mut shown = Map::new();
    for (name, value) in members.iter().take(MEMBERS_MAX) {
        match KNOWN.iter().find(|(known, _)| known == name) {
            Some((_, safe)) => shown.insert(name.clone(), masked(value, *safe)),
            None => {
                unknown += 1;
                None
            }
        };
    }
    if unknown > 0 {
        shown.insert("unknown fields".to_owned(), unknown.into());
    }
    let mut text = Value::Object(shown).to_string();
    if text.len() > MASKED_BYTES_MAX {
        text = format!("{} bytes of JSON", raw.len());
    }
    text
}

type Safe = fn(&str) -> bool;

const KNOWN: [(&str, Safe); 21] = [
    ("type", |text| matches!(text, "config_changed" | "job_finished")),
    ("projectId", digits),
    ("branchId", digits),
    ("componentId", |text| {
        text.len() <= 64 && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-' | b'.'))
    }),
    ("configId", digits),
    ("newVersion", digits),
    ("versionIdentifier", never),
    ("author", never),
    ("committedAt", time),
    ("diffRef", never),
    ("configVersion", digits),
    ("runId", |text| {
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    }),
    ("status", |text| {
        matches!(text, "SUCCESS" | "FAILED" | "CANCELLED")
    }),
    ("startedAt", time),
    ("finishedAt", time),
    ("inputs", never),
    ("outputs", never),
    ("stateDigest", never),
    ("artifactLinks", never),
    ("publishedAt", time),
    ("schema", digits),
];

fn never(_: &str) -> bool {
    false
}

fn digits(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn time(text: &str) -> bool {
    text.len() <= 40 && !text.contains('[') && text.parse::<jiff::Timestamp>().is_ok()
}

fn masked(value: &Value, safe: Safe) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(number) if safe(&number.to_string()) => value.clone(),
        Value::String(text) if safe(text) => value.clone(),
        Value::Number(_) => "<number>".into(),
        Value::String(text) => format!("<text of {} bytes>", text.len()).into(),
        Value::Array(items) => format!("<list of {}>", items.len()).into(),
        Value::Object(members) => format!("<object of {}>", members.len()).into(),
    }
}
