//! What the layout reads from the API's answer for a configuration or row.

use crate::{
    api::{Object as ApiObject, ObjectKey, Reference},
    component,
    json::{Json, Object},
};
use std::collections::BTreeSet;

/// Parses the source of an object. An answer that is no object, such as PHP's `[]`, is empty.
pub(crate) fn parse(object: &ApiObject) -> Result<Object<'_>, &'static str> {
    Json::parse(&object.source).map(Json::into_object)
}

/// Takes the `configuration` out of a source; missing, `null` and `[]` are empty. What is neither
/// that nor an object stays in the source, and counts as empty too.
pub(crate) fn take_configuration<'s>(source: &mut Object<'s>) -> Object<'s> {
    match source.remove("configuration") {
        Some(Json::Object(configuration)) => configuration,
        Some(other) if other != Json::Null && other != Json::Array(Vec::new()) => {
            source.set("configuration", other);
            Object::new()
        }
        _ => Object::new(),
    }
}

/// Returns the row of a variables configuration and the configuration itself, where a
/// configuration uses one.
pub(crate) fn variables(key: &ObjectKey, configuration: &Object<'_>) -> Option<(String, Option<String>)> {
    let used = configuration.str("variables_id")?;
    let is_row_of_shared_code =
        matches!(key, ObjectKey::Row { component, .. } if component == component::SHARED_CODE);
    match key {
        ObjectKey::Config { .. } => Some((
            used.to_owned(),
            configuration.str("variables_values_id").map(str::to_owned),
        )),
        ObjectKey::Row { .. } if is_row_of_shared_code => Some((used.to_owned(), None)),
        _ => None,
    }
}

/// Returns whether a text can be an id. What cannot names nothing.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=512).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Returns the configuration that a schedule runs.
pub(crate) fn schedule_target(configuration: &Object<'_>) -> Option<ObjectKey> {
    let target = configuration.object("target")?;
    let (component, config) = (target.str("componentId")?, target.str("configurationId")?);
    (is_id(component) && is_id(config)).then(|| ObjectKey::new_config(component, config))
}

/// Returns the configuration that a task of a flow runs.
pub(crate) fn task_target(task: &Object<'_>) -> Option<ObjectKey> {
    let target = task.object("task")?;
    let (component, config) = (target.str("componentId")?, target.str("configId")?);
    (is_id(component) && is_id(config)).then(|| ObjectKey::new_config(component, config))
}

/// Returns the shared code that a transformation uses, and the ids of rows that its scripts name,
/// each once, in the order of the scripts.
pub(crate) fn shared_code(configuration: &Object<'_>) -> Option<(String, Vec<String>)> {
    let shared = configuration.str("shared_code_id")?;
    let mut rows: Vec<String> = Vec::new();
    if configuration
        .get("shared_code_row_ids")
        .and_then(Json::as_array)
        .is_some()
    {
        let mut seen = BTreeSet::new();
        for row in scripts(configuration).filter_map(placeholder) {
            if seen.insert(row) {
                rows.push(row.to_owned());
            }
        }
    }
    Some((shared.to_owned(), rows))
}

/// Says whether a key names a field of a block or code: the CLI takes it in any case.
pub(crate) fn is_field(key: &str, field: &str) -> bool {
    let folded = key.chars().map(|sign| match sign {
        'ſ' => 's',
        '\u{212a}' => 'k',
        sign => sign.to_ascii_lowercase(),
    });
    key == field || folded.eq(field.chars())
}

/// Returns a field of a block or code. Of several that are called so the last one that has a value counts.
pub(crate) fn field<'o, 't>(item: &'o Object<'t>, field: &str) -> Option<&'o Json<'t>> {
    let named = || item.iter().filter(|(key, _)| is_field(key, field));
    let with_value = named().rfind(|(_, value)| !matches!(value, Json::Null));
    with_value.or_else(|| named().next_back()).map(|(_, value)| value)
}

fn scripts<'s>(configuration: &'s Object<'_>) -> impl Iterator<Item = &'s str> {
    let blocks = configuration
        .object("parameters")
        .map(|parameters| parameters.items("blocks"))
        .unwrap_or_default();
    let codes = blocks
        .iter()
        .filter_map(Json::as_object)
        .flat_map(|block| field(block, "codes").and_then(Json::as_array).unwrap_or_default());
    codes
        .filter_map(Json::as_object)
        .flat_map(|code| match field(code, "script") {
            Some(Json::String(script)) => vec![&**script],
            Some(Json::Array(scripts)) => scripts.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        })
}

/// Returns the row id of a script that is nothing but `{{<row id>}}`.
pub(crate) fn placeholder(script: &str) -> Option<&str> {
    let id = script.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let fits = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    fits.then_some(id)
}

/// What an input mapping's source names where it looks like a table of a default bucket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DefaultBucket<'s> {
    /// `<stage>.c-<component>-<configuration id>`; no id has a dash.
    pub(crate) bucket: &'s str,
    /// What the default buckets of the component begin with, to the dash.
    pub(crate) prefix: &'s str,
    pub(crate) table: &'s str,
}

/// Reads the source of an input mapping as the CLI does: the bucket ends at the last dot, the name of the table begins
/// after the second.
pub(crate) fn default_bucket(source: &str) -> Option<DefaultBucket<'_>> {
    let (bucket, _) = source.rsplit_once('.')?;
    let owner = bucket
        .strip_prefix("in.c-")
        .or_else(|| bucket.strip_prefix("out.c-"))?;
    let (component, config) = owner.rsplit_once('-')?;
    if component.is_empty() || config.is_empty() {
        return None;
    }
    Some(DefaultBucket {
        bucket,
        prefix: &bucket[..bucket.len() - config.len()],
        table: source.splitn(3, '.').nth(2)?,
    })
}

/// Returns the sources of the input mapping's tables.
pub(crate) fn input_sources<'s>(configuration: &'s Object<'_>) -> impl Iterator<Item = &'s str> {
    let input = configuration
        .object("storage")
        .and_then(|storage| storage.object("input"));
    let tables = input.map(|input| input.items("tables")).unwrap_or_default();
    tables
        .iter()
        .filter_map(Json::as_object)
        .filter_map(|table| table.str("source"))
}

/// Returns the objects that the files of a configuration or row depend on, each once.
pub(crate) fn references(object: &ApiObject, configuration: &Object<'_>) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |reference: Reference| {
        if seen.insert(reference.clone()) {
            found.push(reference);
        }
    };
    let generic_blocks = object
        .component
        .as_ref()
        .is_some_and(|component| component.generic_code_blocks_ui);
    match &object.key {
        ObjectKey::Config { component, .. } if component == component::ORCHESTRATOR => {
            let tasks = configuration.items("tasks").iter().filter_map(Json::as_object);
            tasks
                .filter_map(task_target)
                .for_each(|target| add(Reference::Object(target)));
        }
        ObjectKey::Row {
            component, config, ..
        } if component == component::SHARED_CODE => {
            add(Reference::Object(ObjectKey::new_config(component, config)));
        }
        ObjectKey::Config { .. } if generic_blocks => {
            if let Some((shared, rows)) = shared_code(configuration).filter(|(shared, _)| is_id(shared)) {
                add(Reference::Object(ObjectKey::new_config(
                    component::SHARED_CODE,
                    &shared,
                )));
                for row in rows {
                    add(Reference::Object(ObjectKey::new_row(
                        component::SHARED_CODE,
                        &shared,
                        &row,
                    )));
                }
            }
        }
        _ => {}
    }
    if let Some((variables, values)) = variables(&object.key, configuration).filter(|(id, _)| is_id(id)) {
        add(Reference::Object(ObjectKey::new_config(
            component::VARIABLES,
            &variables,
        )));
        if let Some(values) = values.filter(|values| is_id(values)) {
            add(Reference::Object(ObjectKey::new_row(
                component::VARIABLES,
                &variables,
                &values,
            )));
        }
    }
    let mut owned = input_sources(configuration).filter_map(default_bucket).peekable();
    while let Some(DefaultBucket { bucket, prefix, .. }) = owned.next() {
        add(Reference::Alias(bucket.to_owned()));
        // Whether the component has default buckets matters to those that follow.
        if owned.peek().is_some() {
            add(Reference::Alias(prefix.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_row_id_in_braces_is_a_placeholder() {
        assert_eq!(placeholder(" {{a_B-1}}\n"), Some("a_B-1"));
        for script in ["{{ a }}", "{{}}", "x {{a}}", "{{a.b}}", "{a}"] {
            assert_eq!(placeholder(script), None, "{script}");
        }
    }

    #[test]
    fn default_buckets_end_with_a_configuration_id() {
        for (source, bucket, prefix, table) in [
            (
                "in.c-keboola-ex-123.table",
                "in.c-keboola-ex-123",
                "in.c-keboola-ex-",
                "table",
            ),
            ("out.c-a-1.x.y", "out.c-a-1.x", "out.c-a-", "x.y"),
        ] {
            let expected = DefaultBucket {
                bucket,
                prefix,
                table,
            };
            assert_eq!(default_bucket(source), Some(expected), "{source}");
        }
        for source in [
            "in.c-main.orders",
            "sys.c-a-1.t",
            "in.c-a-.t",
            "in.c--1.t",
            "orders",
        ] {
            assert_eq!(default_bucket(source), None, "{source}");
        }
    }
}
