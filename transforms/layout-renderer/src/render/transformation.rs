//! Transformations: `parameters.blocks` becomes directories with code files, and shared code is
//! named by its path.

use super::{
    Resolution,
    config::{Work, target_of},
    lost::{Lost, pointer_step},
    scripts,
};
use crate::{
    api::{DocumentKind, ObjectKey},
    component::{self, Language},
    json::{Json, Object, Text},
    name::numbered,
    source,
};
use std::collections::BTreeMap;

/// Takes the code out of a transformation.
pub(super) fn extract(work: &mut Work<'_>, component: &str) {
    let language = Language::of(component);
    let links = Links::take(work, component);
    let blocks = take_blocks(work);
    let directory = format!("{}/blocks", work.directory);
    work.files.keep(&directory);
    let pointer = "/parameters/blocks";
    for (number, mut block) in objects(work, pointer, blocks) {
        let pointer = format!("{pointer}/{}", number.position);
        let name = take_name(work, &pointer, &mut block, "block");
        let codes = match take_field(work, &pointer, &mut block, "codes") {
            Some(Field {
                value: Json::Array(codes),
                ..
            }) => codes,
            other => {
                lose(work, format!("{pointer}/codes"), other);
                Vec::new()
            }
        };
        lose_rest(work, &pointer, block);
        let directory = format!("{directory}/{}", numbered(number.index, &name));
        write_meta(work, &directory, &name);
        let pointer = format!("{pointer}/codes");
        for (number, mut code) in objects(work, &pointer, codes) {
            let pointer = format!("{pointer}/{}", number.position);
            let name = take_name(work, &pointer, &mut code, "code");
            let directory = format!("{directory}/{}", numbered(number.index, &name));
            write_meta(work, &directory, &name);
            let pointer_of_script = format!("{pointer}/script");
            let script = take_field(work, &pointer, &mut code, "script");
            // What is no script is kept already where it has another key.
            let mut kept = Lost::default();
            let is_kept = script
                .as_ref()
                .is_some_and(|script| script.is_kept && !is_script(&script.value));
            let lost = if is_kept { &mut kept } else { &mut work.lost };
            let script = script.map(|script| script.value);
            let link = |script: &str| links.apply(script, language);
            let text = scripts::write(lost, &pointer_of_script, script, language, link);
            lose_rest(work, &pointer, code);
            let path = format!("{directory}/code.{}", language.extension);
            work.files.add(path, DocumentKind::Code, text);
        }
    }
    if let Some(path) = links.shared_code_path {
        if let Some(other) = work.configuration.get("shared_code_path") {
            work.lost.add("/shared_code_path", other.clone());
        }
        work.configuration.set("shared_code_path", path);
    }
}

/// Where an item stands: in the source, and among those that are kept.
struct Number {
    position: usize,
    index: usize,
}

/// Returns the items that are objects; others are lost.
fn objects<'s>(work: &mut Work<'s>, pointer: &str, items: Vec<Json<'s>>) -> Vec<(Number, Object<'s>)> {
    let mut found = Vec::new();
    for (position, item) in items.into_iter().enumerate() {
        match item {
            Json::Object(object) => found.push((
                Number {
                    position,
                    index: found.len(),
                },
                object,
            )),
            other => work.lost.add(format!("{pointer}/{position}"), other),
        }
    }
    found
}

/// Takes the blocks out of `parameters`, which is an object afterwards, and stays where it stands.
fn take_blocks<'s>(work: &mut Work<'s>) -> Vec<Json<'s>> {
    let blocks = match work.configuration.get_mut("parameters") {
        Some(Json::Object(parameters)) => parameters.remove("blocks"),
        other => {
            // PHP's empty object loses nothing.
            if let Some(other) = other.filter(|other| other.as_array().is_none_or(|items| !items.is_empty()))
            {
                let other = other.clone();
                work.lost.add("/parameters", other);
            }
            work.configuration.set("parameters", Object::new());
            None
        }
    };
    match blocks {
        Some(Json::Array(blocks)) => blocks,
        None => Vec::new(),
        Some(other) => {
            work.lost.add("/parameters/blocks", other);
            Vec::new()
        }
    }
}

/// The value of a field of a block or code.
struct Field<'s> {
    value: Json<'s>,
    /// Whether it is kept already, under the key that it has.
    is_kept: bool,
}

/// Says whether a code file can hold all of a value.
fn is_script(value: &Json<'_>) -> bool {
    match value {
        Json::String(_) => true,
        Json::Array(items) => items.iter().all(|item| item.as_str().is_some()),
        _ => false,
    }
}

/// Keeps the value of a field that the layout has no use for.
fn lose<'s>(work: &mut Work<'s>, pointer: String, field: Option<Field<'s>>) {
    if let Some(field) = field.filter(|field| !field.is_kept) {
        work.lost.add(pointer, field.value);
    }
}

/// Takes a field out of a block or code. What is not called so to the letter, or does not count, is lost.
fn take_field<'s>(
    work: &mut Work<'s>,
    pointer: &str,
    item: &mut Object<'s>,
    field: &'static str,
) -> Option<Field<'s>> {
    let named = item.iter().map(|(key, _)| key);
    let others: Vec<String> = named
        .filter(|key| *key != field && source::is_field(key, field))
        .map(str::to_owned)
        .collect();
    if others.is_empty() {
        let value = item.remove(field)?;
        return Some(Field {
            value,
            is_kept: false,
        });
    }
    let found = source::field(item, field).cloned();
    let exact = item.remove(field);
    let is_kept = exact.as_ref() != found.as_ref();
    if let Some(exact) = exact.filter(|_| is_kept) {
        work.lost.add(format!("{pointer}/{field}"), exact);
    }
    for key in others {
        if let Some(other) = item.remove(&key) {
            work.lost.add(format!("{pointer}/{key}"), other);
        }
    }
    found.map(|value| Field { value, is_kept })
}

/// Takes the name out of an item. The CLI refuses a configuration with an item that has none.
fn take_name<'s>(
    work: &mut Work<'s>,
    pointer: &str,
    item: &mut Object<'s>,
    fallback: &'static str,
) -> Text<'s> {
    match take_field(work, pointer, item, "name") {
        Some(Field {
            value: Json::String(name),
            ..
        }) if !name.is_empty() => name,
        other => {
            lose(work, format!("{pointer}/name"), other);
            fallback.into()
        }
    }
}

fn lose_rest<'s>(work: &mut Work<'s>, pointer: &str, rest: Object<'s>) {
    for (key, value) in rest {
        work.lost.add(format!("{pointer}/{}", pointer_step(&key)), value);
    }
}

fn write_meta(work: &mut Work<'_>, directory: &str, name: &str) {
    let meta = Object::from_iter([("name", name)]);
    work.files
        .json(format!("{directory}/meta.json"), DocumentKind::Config, &meta);
}

/// The shared code that a transformation uses.
#[derive(Default)]
struct Links {
    shared_code_path: Option<String>,
    /// Path of each row below the shared code, by its id.
    rows: BTreeMap<String, String>,
}

impl Links {
    /// Takes the ids of shared code out of a configuration.
    fn take(work: &mut Work<'_>, component: &str) -> Self {
        let used = source::shared_code(&work.configuration);
        let id = work.configuration.remove("shared_code_id");
        let row_ids = work.configuration.remove("shared_code_row_ids");
        let shared = used.as_ref().and_then(|(shared, _)| {
            let found = work
                .resolved
                .object(ObjectKey::new_config(component::SHARED_CODE, shared))?;
            (target_of(&found.facts)? == component).then_some(found)
        });
        let (Some(found), Some((shared, named))) = (shared, used) else {
            for (pointer, value) in [("/shared_code_id", id), ("/shared_code_row_ids", row_ids)] {
                if let Some(value) = value {
                    work.lost.add(pointer, value);
                }
            }
            return Self::default();
        };
        let row = |row: &String| {
            let found_row = work
                .resolved
                .object(ObjectKey::new_row(component::SHARED_CODE, &shared, row))?;
            Some((row.clone(), below(found, found_row)?))
        };
        let rows: BTreeMap<String, String> = named.iter().filter_map(row).collect();
        if let Some(row_ids) = row_ids {
            let listed: Option<Vec<&str>> = row_ids
                .as_array()
                .and_then(|ids| ids.iter().map(Json::as_str).collect());
            // Those that scripts name are read back from the scripts.
            let used = named
                .iter()
                .map(String::as_str)
                .filter(|id| rows.contains_key(*id));
            if listed != Some(used.collect()) {
                work.lost.add("/shared_code_row_ids", row_ids);
            }
        }
        Self {
            shared_code_path: Some(found.path.clone()),
            rows,
        }
    }

    /// Returns what stands for a script that names a shared code.
    fn apply(&self, script: &str, language: Language) -> Option<String> {
        let path = self.rows.get(source::placeholder(script)?)?;
        Some(format!("{} {{{{:{path}}}}}", language.comment))
    }
}

fn below(parent: &Resolution, child: &Resolution) -> Option<String> {
    child
        .path
        .strip_prefix(&parent.path)?
        .strip_prefix('/')
        .map(str::to_owned)
}
