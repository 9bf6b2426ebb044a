//! What the layout has no place for: versions, authors, change descriptions, lost keys, and whole
//! objects that the CLI leaves out.
//!
//! Every member of the API's answer is taken out of the source where it is written, here or in
//! `configs/`; what is left is a member that nobody knows, and is kept as it is under `other`. Left
//! out on purpose: `state`, which may hold secrets and is no configuration; `rows`, which are objects of
//! their own; `isDeleted`, for what is deleted is not there.

use super::{Files, Placed, lost::Lost, superseded};
use crate::{
    api::{DocumentKind, File, Object as ApiObject, ObjectKey},
    component::trim_end,
    json::{Json, Object, Text, write},
    paths,
    settings::Settings,
    time,
};

/// Returns the file of an object that has its place in `configs/`.
pub(super) fn beside<'s>(
    settings: &Settings,
    object: &'s ApiObject,
    mut source: Object<'s>,
    lost: Lost<'s>,
) -> File {
    let mut content = head(object, &mut source);
    if let Some(Json::String(text)) = take(&mut source, "description", |value| value.as_str().is_some()) {
        set_end(&mut content, "descriptionEnd", text);
    }
    take(&mut source, "name", |value| value.as_str().is_some());
    take(&mut source, "isDisabled", |value| value.as_bool().is_some());
    set_superseded(&mut content, &object.metadata);
    lost.write(&mut content);
    set_other(&mut content, source);
    file(settings, object, &content)
}

/// Returns the file of an object that has none, with all there is of it.
pub(super) fn without_place<'s>(
    settings: &Settings,
    object: &'s ApiObject,
    mut source: Object<'s>,
    configuration: Object<'s>,
) -> File {
    let mut content = head(object, &mut source);
    for key in ["name", "description"] {
        content.set(key, take(&mut source, key, |value| value.as_str().is_some()));
    }
    let disabled = take(&mut source, "isDisabled", |value| value.as_bool().is_some());
    content.set("isDisabled", disabled.unwrap_or(Json::Bool(false)));
    super::set_metadata(&mut content, super::pairs(&object.metadata));
    set_superseded(&mut content, &object.metadata);
    content.set("configuration", configuration);
    set_other(&mut content, source);
    file(settings, object, &content)
}

/// Adds the file of a branch, where there is anything to say.
pub(super) fn branch(
    files: &mut Files,
    object: &Placed<'_>,
    mut source: Object<'_>,
    project_description: &str,
) {
    let mut content = Object::new();
    let id = take(&mut source, "id", |value| value.as_text().is_some());
    let author = take_author(&mut source);
    let created = take_time(&mut source);
    for (key, value) in [("author", author), ("created", created)] {
        if let Some(value) = value {
            content.set(key, value);
        }
    }
    if let Some(Json::String(text)) = take(&mut source, "description", |value| value.as_str().is_some()) {
        set_end(&mut content, "descriptionEnd", text);
    }
    set_end(&mut content, "projectDescriptionEnd", project_description.into());
    take(&mut source, "name", |value| value.as_str().is_some());
    take(&mut source, "isDefault", |value| value.as_bool().is_some());
    set_superseded(&mut content, &object.placed.object.metadata);
    set_other(&mut content, source);
    if content.is_empty() {
        return;
    }
    let mut named = Object::new();
    named.set("branchId", id.as_ref().and_then(Json::as_text));
    for (key, value) in content {
        named.set(key, value);
    }
    files.add(
        paths::branch_extra(&object.settings.extra_root()),
        DocumentKind::Extra,
        write::indented(&named),
    );
}

/// Takes a member out, if it is of the form that is asked for.
fn take<'s>(source: &mut Object<'s>, key: &str, fits: impl Fn(&Json<'_>) -> bool) -> Option<Json<'s>> {
    if source.get(key).is_some_and(fits) {
        source.remove(key)
    } else {
        None
    }
}

fn head<'s>(object: &'s ApiObject, source: &mut Object<'s>) -> Object<'s> {
    let mut content = Object::new();
    let own = match &object.key {
        ObjectKey::Config { component, config } => {
            content.set("componentId", component.as_str());
            content.set("configId", config.as_str());
            config.as_str()
        }
        ObjectKey::Row {
            component,
            config,
            row,
        } => {
            content.set("componentId", component.as_str());
            content.set("configId", config.as_str());
            content.set("rowId", row.as_str());
            row.as_str()
        }
        _ => "",
    };
    take(source, "id", |id| id.as_text() == Some(own));
    take(source, "isDeleted", |deleted| *deleted == Json::Bool(false));
    source.remove("rows");
    source.remove("state");

    // A row has no `currentVersion`: what it says of itself is of its newest version.
    let current = take(source, "currentVersion", |current| {
        current.as_object().is_some() || current.as_array().is_some_and(<[_]>::is_empty)
    });
    let mut current = current.map(Json::into_object);
    let first = current
        .is_some()
        .then(|| (take_author(source), take_time(source)));
    let newest = current.as_mut().unwrap_or(source);
    let identifier = take(newest, "versionIdentifier", is_text_or_null);
    let author = take_author(newest);
    let created = take_time(newest);
    let change = take(newest, "changeDescription", is_text_or_null);
    let version = take(source, "version", |version| {
        version.as_text().is_some() || *version == Json::Null
    });
    content.set("version", version);
    content.set(
        "versionIdentifier",
        identifier.or_else(|| take(source, "versionIdentifier", is_text_or_null)),
    );
    content.set("author", author);
    content.set("created", created);
    // The configuration says the same as its current version, as a rule.
    let change = change.or_else(|| take(source, "changeDescription", is_text_or_null));
    take(source, "changeDescription", |own| {
        Some(own) == change.as_ref() || *own == Json::Null
    });
    content.set("changeDescription", change);
    if let Some((author, created)) = first {
        let mut first = Object::new();
        for (key, value) in [("author", author), ("created", created)] {
            if let Some(value) = value {
                first.set(key, value);
            }
        }
        if !first.is_empty() {
            content.set("firstVersion", first);
        }
    }
    if let Some(order) = take(source, "rowsSortOrder", |order| order.as_array().is_some()) {
        content.set("rowsSortOrder", order);
    }
    if let Some(rest) = current.filter(|rest| !rest.is_empty()) {
        source.set("currentVersion", rest);
    }
    content
}

fn is_text_or_null(value: &Json<'_>) -> bool {
    value.as_str().is_some() || *value == Json::Null
}

/// Takes the token that made a version. Members that nobody knows stay.
fn take_author<'s>(source: &mut Object<'s>) -> Option<Json<'s>> {
    let token = take(source, "creatorToken", |token| {
        token.as_object().is_some() || *token == Json::Null || *token == Json::Array(Vec::new())
    })?;
    let Json::Object(mut token) = token else {
        return None;
    };
    let mut author = Object::new();
    let id = take(&mut token, "id", |id| id.as_text().is_some());
    author.set("id", id.and_then(Json::into_text));
    author.set("description", take(&mut token, "description", is_text_or_null));
    if !token.is_empty() {
        source.set("creatorToken", token);
    }
    Some(Json::Object(author))
}

/// Takes the time when a version was made, in UTC; one that is no time as it is.
fn take_time<'s>(source: &mut Object<'s>) -> Option<Json<'s>> {
    let created = take(source, "created", is_text_or_null)?;
    let text = created.as_str()?;
    Some(Json::from(time::utc(text).unwrap_or_else(|| text.to_owned())))
}

/// Keeps what is trimmed at the end of a description.
fn set_end<'s>(content: &mut Object<'s>, key: &'static str, text: Text<'s>) {
    let end = trim_end(&text).len();
    if end < text.len() {
        let end = match text {
            Text::Borrowed(text) => Text::Borrowed(&text[end..]),
            Text::Owned(text) => Text::Owned(text[end..].to_owned()),
        };
        content.set(key, end);
    }
}

/// Keeps values of metadata for which the manifest has another one of the same key.
fn set_superseded<'s>(content: &mut Object<'s>, metadata: &'s [(String, String)]) {
    let lines: Vec<Json<'_>> = superseded(metadata)
        .map(|(key, value)| Json::Object(Object::from_iter([("key", key.as_str()), ("value", value)])))
        .collect();
    if !lines.is_empty() {
        content.set("supersededMetadata", lines);
    }
}

fn set_other<'s>(content: &mut Object<'s>, rest: Object<'s>) {
    if !rest.is_empty() {
        content.set("other", rest);
    }
}

/// Returns the path of the file of an object.
pub(super) fn path(settings: &Settings, key: &ObjectKey) -> String {
    let root = settings.extra_root();
    match key {
        ObjectKey::Row {
            component,
            config,
            row,
        } => paths::row_extra(&root, component, config, row),
        ObjectKey::Config { component, config } => paths::config_extra(&root, component, config),
        // Only configurations and rows have such a file.
        other => format!("{root}/{}.json", paths::encode(&other.to_string())),
    }
}

fn file(settings: &Settings, object: &ApiObject, content: &Object<'_>) -> File {
    File {
        path: path(settings, &object.key),
        kind: DocumentKind::Extra,
        content: write::indented(content),
    }
}
