//! Scripts in one file, and what it takes to cut them apart again.
//!
//! The CLI joins scripts and trims their ends; reading the file gives them back only where one
//! script, or each statement of SQL, ends where the CLI would end it. Where it does not, `scripts`
//! in `configs-extra/` says how many lines of the file each script has (those of SQL with an empty
//! line between them) and what was trimmed.

use super::lost::Lost;
use crate::{
    component::{Language, trim_end},
    json::{Json, Object, Text, write},
};

/// A script, and what stands for it in the file.
struct Script<'s> {
    source: Text<'s>,
    /// Set where it names a shared code.
    link: Option<String>,
}

/// Returns the text of a code file, and keeps what the file does not tell of the value.
///
/// `link` returns what stands for a script that names a shared code. A value that is no script at
/// all gives an empty file.
pub(super) fn write<'s>(
    lost: &mut Lost<'s>,
    pointer: &str,
    value: Option<Json<'s>>,
    language: Language,
    link: impl Fn(&str) -> Option<String>,
) -> String {
    let script = |source: Text<'s>| Script {
        link: link(&source),
        source,
    };
    let Some(value) = value else {
        return language.join::<&str>(&[]);
    };
    let (scripts, all_texts): (Vec<Script<'_>>, bool) = match &value {
        Json::String(text) => (vec![script(text.clone())], true),
        Json::Array(items) => (
            items.iter().map(|item| script(cast(item))).collect(),
            items.iter().all(|item| item.as_str().is_some()),
        ),
        Json::Null => (vec![script(Text::default())], false),
        _ => (Vec::new(), false),
    };
    let written: Vec<&str> = scripts
        .iter()
        .map(|script| script.link.as_deref().unwrap_or(&script.source))
        .collect();
    let text = language.join(&written);
    if !all_texts {
        lost.add(pointer, value);
        return text;
    }
    let is_array = matches!(value, Json::Array(_));
    let restored = is_array
        && language.split(&text) == written
        && scripts
            .iter()
            .all(|script| script.link.is_none() || script.source.trim() == script.source);
    if !restored {
        let mut shapes = scripts.iter().map(shape).map(Json::Object);
        let shape = if is_array {
            Some(Json::Array(shapes.collect()))
        } else {
            shapes.next()
        };
        lost.script(pointer, shape.into());
    }
    text
}

/// Returns the text of the file of a code that is one text for the API, and statement by statement
/// for the CLI.
pub(super) fn write_text<'s>(
    lost: &mut Lost<'s>,
    pointer: &str,
    value: Text<'s>,
    language: Language,
) -> String {
    let text = language.join(&language.split(&value));
    if text.strip_suffix('\n') == Some(trim_end(&value)) {
        let script = Script {
            source: value,
            link: None,
        };
        lost.script(pointer, Json::Object(shape(&script)));
    } else {
        lost.add(pointer, Json::from(value));
    }
    text
}

fn shape(script: &Script<'_>) -> Object<'static> {
    let source = &*script.source;
    let (start, body) = match script.link {
        Some(_) => source.split_at(source.len() - source.trim_start().len()),
        None => ("", source),
    };
    let kept = if script.link.is_some() {
        body.trim_end()
    } else {
        trim_end(body)
    };
    let mut shape = Object::new();
    shape.set("lines", kept.split('\n').count() as u64);
    for (key, blank) in [("start", start), ("end", &body[kept.len()..])] {
        if !blank.is_empty() {
            shape.set(key, blank.to_owned());
        }
    }
    shape
}

/// Returns a script that is no text as the CLI writes it.
fn cast<'s>(item: &Json<'s>) -> Text<'s> {
    match item {
        Json::String(text) => text.clone(),
        Json::Number(token) => write::plain_number(token).into(),
        Json::Bool(value) => value.to_string().into(),
        Json::Null | Json::Array(_) | Json::Object(_) => Text::default(),
    }
}
