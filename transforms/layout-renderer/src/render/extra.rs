//! What the layout has no place for: versions, authors, change descriptions, lost keys, and whole
//! objects that the CLI leaves out.

use super::config::Lost;
use crate::{
    api::{DocumentKind, File, Object as ApiObject, ObjectKey},
    json::{Json, Object, write},
    paths,
    settings::Settings,
    time,
};

/// Returns the file of an object that has its place in `configs/`.
pub(super) fn beside(settings: &Settings, object: &ApiObject, source: &Object, lost: Lost) -> File {
    let mut content = head(object, source);
    let lost = lost.into_object();
    if !lost.is_empty() {
        content.set("lost", lost);
    }
    file(settings, object, &content)
}

/// Returns the file of an object that has none, with all there is of it.
pub(super) fn without_place(
    settings: &Settings,
    object: &ApiObject,
    source: &Object,
    configuration: Object,
) -> File {
    let mut content = head(object, source);
    content.set("name", source.str("name"));
    content.set("description", source.str("description"));
    content.set("isDisabled", source.is_true("isDisabled"));
    super::set_metadata(&mut content, object.metadata.iter());
    content.set("configuration", configuration);
    file(settings, object, &content)
}

fn head(object: &ApiObject, source: &Object) -> Object {
    let current = source.object("currentVersion");
    // A row has no `currentVersion`: what it says of itself is of its newest version.
    let newest = |key: &str| {
        current
            .and_then(|current| current.get(key))
            .or_else(|| source.get(key))
            .cloned()
    };
    let text = |key: &str| newest(key).filter(|value| value.as_str().is_some());
    let mut content = Object::new();
    match &object.key {
        ObjectKey::Config { component, config } => {
            content.set("componentId", component.as_str());
            content.set("configId", config.as_str());
        }
        ObjectKey::Row {
            component,
            config,
            row,
        } => {
            content.set("componentId", component.as_str());
            content.set("configId", config.as_str());
            content.set("rowId", row.as_str());
        }
        _ => {}
    }
    content.set(
        "version",
        source
            .get("version")
            .filter(|version| version.as_text().is_some())
            .cloned(),
    );
    content.set("versionIdentifier", text("versionIdentifier"));
    content.set(
        "author",
        newest("creatorToken")
            .as_ref()
            .and_then(Json::as_object)
            .map(|token| {
                let mut author = Object::new();
                author.set("id", token.text("id"));
                author.set("description", token.str("description"));
                author
            }),
    );
    let created = newest("created");
    let created = created.as_ref().and_then(Json::as_str);
    content.set(
        "created",
        created.map(|created| time::utc(created).unwrap_or_else(|| created.to_owned())),
    );
    content.set("changeDescription", text("changeDescription"));
    if let Some(order @ Json::Array(_)) = source.get("rowsSortOrder") {
        content.set("rowsSortOrder", order.clone());
    }
    content
}

fn file(settings: &Settings, object: &ApiObject, content: &Object) -> File {
    let root = settings.extra_root();
    let path = match &object.key {
        ObjectKey::Row {
            component,
            config,
            row,
        } => paths::row_extra(&root, component, config, row),
        ObjectKey::Config { component, config } => paths::config_extra(&root, component, config),
        // Only configurations and rows have such a file.
        other => format!("{root}/{}.json", paths::encode(&other.to_string())),
    };
    File {
        path,
        kind: DocumentKind::Extra,
        content: write::indented(content),
    }
}
