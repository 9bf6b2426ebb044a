//! Small believable changes to a configuration: what somebody did between two versions.
//!
//! A change never touches ids, mappings or references, so that what resolved before resolves after.

use serde_json::{Value, json};

use crate::random::Random;
use crate::secrets;

/// The configuration with one thing changed, and what a person would call the change.
/// `None` when there is nothing that could change without breaking a reference.
pub(crate) fn edited(configuration: &Value, random: &mut Random) -> Option<(Value, &'static str)> {
    let mut changed = configuration.clone();
    let description = in_scripts(&mut changed, random)
        .or_else(|| in_schedule(&mut changed, random))
        .or_else(|| in_tasks(&mut changed, random))
        .or_else(|| in_parameters(&mut changed, random))?;
    (changed != *configuration).then_some((changed, description))
}

fn in_scripts(configuration: &mut Value, random: &mut Random) -> Option<&'static str> {
    let blocks = configuration.pointer_mut("/parameters/blocks")?.as_array_mut()?;
    let block_count = blocks.len();
    let block = blocks.get_mut(random.below(block_count.try_into().ok()?).try_into().unwrap_or(0))?;
    let code = block.get_mut("codes")?.as_array_mut()?.first_mut()?;
    let script = code.get_mut("script")?.as_array_mut()?.last_mut()?;
    let text = script.as_str()?;
    if text.starts_with("{{") {
        return None;
    }
    *script = json!(with_other_number(text, random).unwrap_or_else(|| format!("{text}\n")));
    Some("Change transformation code")
}

/// The text with its last short number replaced: a threshold, an interval, a rate.
fn with_other_number(text: &str, random: &mut Random) -> Option<String> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while end > 0 {
        if !bytes[end - 1].is_ascii_digit() {
            end -= 1;
            continue;
        }
        let start = bytes[..end]
            .iter()
            .rposition(|byte| !byte.is_ascii_digit())
            .map_or(0, |place| place + 1);
        let before = start.checked_sub(1).map(|place| bytes[place]);
        let lone = before.is_some_and(|byte| matches!(byte, b' ' | b'(' | b'='));
        let after = bytes.get(end).copied();
        if lone && end - start <= 3 && after.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'.')
        {
            let other = random.between(2, 99).to_string();
            return Some(format!("{}{other}{}", &text[..start], &text[end..]));
        }
        end = start;
    }
    None
}

fn in_schedule(configuration: &mut Value, random: &mut Random) -> Option<&'static str> {
    let cron = configuration.pointer_mut("/schedule/cronTab")?;
    *cron = json!(format!("{} {} * * *", random.below(60), random.below(24)));
    Some("Change schedule")
}

fn in_tasks(configuration: &mut Value, random: &mut Random) -> Option<&'static str> {
    let tasks = configuration.get_mut("tasks")?.as_array_mut()?;
    let count = tasks.len();
    let task = tasks.get_mut(if count == 0 { 0 } else { random.index(count) })?;
    let keeps = task["continueOnFailure"].as_bool().unwrap_or(false);
    task["continueOnFailure"] = json!(!keeps);
    Some("Update task settings")
}

/// Members that name other objects, or whose value means something elsewhere.
const FIXED: &[&str] = &[
    "tableId",
    "outputTable",
    "outputBucket",
    "primaryKey",
    "columns",
    "items",
    "code",
    "packages",
    "id",
    "query",
    "destination",
    "prompt",
    "variables",
    "table",
    "jobs",
    "mappings",
    "accounts",
    "url",
    "jdbc",
    "odbc",
    "params",
    "headers",
    "service_account",
];

fn in_parameters(configuration: &mut Value, random: &mut Random) -> Option<&'static str> {
    let parameters = configuration.get_mut("parameters")?;
    let mut places = Vec::new();
    collect(parameters, String::new(), &mut places);
    if places.is_empty() {
        return None;
    }
    let place = random.pick(&places).clone();
    let leaf = parameters.pointer_mut(&place)?;
    let description = if place.rsplit('/').next().is_some_and(|key| key.starts_with('#')) {
        *leaf = json!(secrets::cipher(random));
        "Rotate credentials"
    } else {
        *leaf = match &*leaf {
            Value::Bool(flag) => json!(!flag),
            Value::Number(_) => json!(random.between(1, 1000)),
            Value::String(text) => {
                json!(with_other_number(text, random).unwrap_or_else(|| format!("{text}-2")))
            }
            other => other.clone(),
        };
        "Update parameters"
    };
    Some(description)
}

/// Pointers of the leaves that may change. Ciphers may; a plaintext under `#` stays as it was planted.
fn collect(value: &Value, path: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let changes = match member {
                    Value::String(text) if key.starts_with('#') => text.starts_with("KBC::"),
                    _ => !key.starts_with('#') && !FIXED.contains(&key.as_str()),
                };
                if changes && !key.contains(['/', '~']) {
                    collect(member, format!("{path}/{key}"), places);
                }
            }
        }
        Value::Bool(_) | Value::Number(_) => places.push(path),
        Value::String(text) if !text.is_empty() && text.len() < 200 => places.push(path),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &Value, expected: &str) {
        let mut random = Random::new(11);
        let (after, description) = edited(before, &mut random).expect("something to change");
        assert_eq!(description, expected);
        assert_ne!(&after, before);
    }

    #[test]
    fn each_kind_of_configuration_has_its_own_kind_of_change() {
        let code = json!({"parameters": {"blocks": [{"name": "b", "codes": [{"name": "c", "script": ["SELECT a + 30;"]}]}]}});
        check(&code, "Change transformation code");
        check(
            &json!({"schedule": {"cronTab": "100 100 * * *"}}),
            "Change schedule",
        );
        check(
            &json!({"tasks": [{"continueOnFailure": false}]}),
            "Update task settings",
        );
        check(&json!({"parameters": {"limit": 100_000}}), "Update parameters");
        check(
            &json!({"parameters": {"#password": "KBC::ProjectSecure::eJwB"}}),
            "Rotate credentials",
        );
    }

    #[test]
    fn references_and_plaintext_under_hash_keys_never_change() {
        let fixed =
            json!({"parameters": {"tableId": "in.c-a.b", "#password": "planted"}, "storage": {"a": 1}});
        assert_eq!(edited(&fixed, &mut Random::new(1)), None);
    }

    #[test]
    fn only_a_short_number_standing_alone_is_replaced() {
        let mut random = Random::new(1);
        assert_eq!(
            with_other_number("NUMBER12 t1.x 2026-01-01 12345", &mut random),
            None
        );
        let changed = with_other_number("INTERVAL 30 DAY", &mut random).expect("a number");
        assert!(
            changed.starts_with("INTERVAL ") && changed.ends_with(" DAY"),
            "{changed}"
        );
    }
}
