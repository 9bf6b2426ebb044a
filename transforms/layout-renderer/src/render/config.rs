//! Configurations and rows: `config.json`, `meta.json`, `description.md`, and what the CLI takes
//! out of `config.json`.

use super::{
    Files, Placed, Rendered, Resolved, catalog, extra, key_json, lost::Lost, manifest_entry, orchestrator,
    pairs, scripts, set_metadata, transformation,
};
use crate::{
    api::{DocumentKind, Entry, LayoutError, ObjectKey},
    component::{self, Language},
    edges,
    gather::manifest,
    inspect,
    json::{Json, Object, write},
    node::Node,
    source::{self, DefaultBucket},
};
use std::mem::replace;

/// What the renderers of special components work on.
pub(super) struct Work<'a> {
    pub(super) configuration: Object<'a>,
    pub(super) directory: String,
    pub(super) kind: DocumentKind,
    pub(super) resolved: Resolved<'a>,
    pub(super) files: Files,
    pub(super) lost: Lost<'a>,
    /// Whether it is a row of shared code that has its code in a file.
    has_shared_code: bool,
}

pub(super) fn render<'a>(
    item: u32,
    object: &Placed<'a>,
    mut source: Object<'a>,
) -> Result<Rendered, LayoutError> {
    let Placed {
        context,
        settings,
        placed,
    } = *object;
    let configuration = source::take_configuration(&mut source);
    let Some(path) = &placed.path else {
        let file = extra::path(settings, &placed.object.key);
        let entries = in_catalog(object, &source, &configuration, &file);
        let file = extra::without_place(settings, object.object(), source, configuration);
        return Ok(Rendered {
            files: vec![file],
            entries,
        });
    };
    let mut entries = in_catalog(object, &source, &configuration, &settings.below_branch(path));
    let (component, is_row) = match &placed.object.key {
        ObjectKey::Row { component, .. } => (component.as_str(), true),
        ObjectKey::Config { component, .. } => (component.as_str(), false),
        _ => return Ok(Rendered::default()),
    };
    let ends_in_slash = inspect::ends_in_slash(settings, object.object(), &source, &configuration, path);
    // An ignored component has no place, so that its inspection, which has no references, is not in question.
    let references = source::references(object.object(), &configuration);
    let mut work = Work {
        lost: Lost::of(&configuration),
        configuration,
        directory: settings.below_branch(path),
        kind: if is_row {
            DocumentKind::Row
        } else {
            DocumentKind::Config
        },
        resolved: Resolved::new(item, placed, references)?,
        files: Files::default(),
        has_shared_code: false,
    };
    default_buckets(&mut work);
    let depth = settings.naming.variables_config.split('/').count();
    variables(&mut work, &placed.object.key, path, depth);
    match component {
        component::SCHEDULER if !is_row => schedule(&mut work),
        component::ORCHESTRATOR if !is_row => orchestrator::extract(&mut work, settings),
        component::SHARED_CODE if is_row => shared_code_row(&mut work, &placed.object.key),
        component::SHARED_CODE => match work.configuration.remove("componentId") {
            Some(target @ Json::String(_)) => work.configuration.set_last("componentId", target),
            Some(other) => work.lost.add("/componentId", other),
            None => {}
        },
        component::CUSTOM_PYTHON if !is_row => custom_python(&mut work),
        component::DATA_GATEWAY if !is_row => workspace_id(&mut work),
        _ => {}
    }
    let generic_blocks = placed
        .object
        .component
        .as_ref()
        .is_some_and(|component| component.generic_code_blocks_ui);
    if generic_blocks && !is_row {
        transformation::extract(&mut work, component);
    }

    let Work {
        configuration,
        directory,
        kind,
        mut files,
        lost,
        has_shared_code,
        ..
    } = work;
    let file = |name: &str| [&directory, "/", name].concat();
    files.json(file("config.json"), kind, &configuration);
    files.json(file("meta.json"), kind, &meta(&source, has_shared_code));
    files.description(&directory, source.str("description").unwrap_or_default());
    files
        .0
        .push(extra::beside(settings, object.object(), source, lost));

    let mut value = Object::new();
    value.set("path", path.as_str());
    if ends_in_slash {
        value.set(manifest::SLASH, true);
    }
    if let Some(parent) = placed.parent.as_ref().and_then(key_json) {
        value.set("parent", parent);
    }
    if is_row && !placed.claimed_by.is_empty() {
        value.set("default", true);
    }
    set_metadata(&mut value, pairs(&placed.object.metadata));
    let ids = match &placed.object.key {
        ObjectKey::Row {
            component,
            config,
            row,
        } => vec![context.branch_id.as_str(), component, config, row],
        ObjectKey::Config { component, config } => vec![context.branch_id.as_str(), component, config],
        _ => Vec::new(),
    };
    entries.push(manifest_entry(&ids, &value));
    Ok(Rendered {
        files: files.0,
        entries,
    })
}

/// Returns the entries of the catalog and of lineage.
fn in_catalog(
    object: &Placed<'_>,
    source: &Object<'_>,
    configuration: &Object<'_>,
    path: &str,
) -> Vec<Entry> {
    let api = object.object();
    let Some(own) = Node::of(&api.key) else {
        return Vec::new();
    };
    let described = api.component.as_ref();
    let kind = match own {
        Node::Row { .. } => "row",
        _ => described.map_or("other", |component| &component.component_type),
    };
    let mut line = own.to_object();
    line.set("name", source.str("name").unwrap_or_default());
    line.set("type", kind);
    line.set("path", path);
    line.set("enabled", !source.is_true("isDisabled"));
    let edges = edges::of_configuration(&api.key, described, configuration);
    catalog::entries(object.settings, &own, line, &edges)
}

fn meta<'s>(source: &'s Object<'_>, only_if_disabled: bool) -> Object<'s> {
    let mut meta = Object::new();
    meta.set("name", source.str("name").unwrap_or_default());
    let disabled = source.is_true("isDisabled");
    if disabled || !only_if_disabled {
        meta.set("isDisabled", disabled);
    }
    meta
}

/// Names the owners of default buckets by their paths, so that the names hold in another project.
fn default_buckets(work: &mut Work<'_>) {
    let Work {
        configuration,
        resolved,
        lost,
        ..
    } = work;
    let input = configuration.get_mut("storage").and_then(Json::as_object_mut);
    let input = input
        .and_then(|storage| storage.get_mut("input"))
        .and_then(Json::as_object_mut);
    let tables = input
        .and_then(|input| input.get_mut("tables"))
        .and_then(Json::as_array_mut);
    for (at, mapping) in tables.into_iter().flatten().enumerate() {
        let mapping = mapping.as_object_mut();
        let Some(Json::String(source)) = mapping.and_then(|mapping| mapping.get_mut("source")) else {
            continue;
        };
        let Some(DefaultBucket {
            bucket,
            prefix,
            table,
        }) = source::default_bucket(source)
        else {
            continue;
        };
        if let Some(owner) = resolved.alias(bucket) {
            let named = format!("{{{{:default-bucket:{}}}}}.{table}", owner.path);
            // An id with a dot leaves its end in the name of the table.
            let is_ambiguous = table.contains('.');
            let source = replace(source, named.into());
            if is_ambiguous {
                lost.add(format!("/storage/input/tables/{at}/source"), Json::from(source));
            }
        } else if resolved.is_known(prefix) {
            // The CLI gives up at the first one whose owner is not there.
            break;
        }
    }
}

/// Takes out the ids of variables. The manifest relates the two configurations where the variables live in this one, so many
/// directories below it; it does not where a row of shared code has them, and several others use them too.
fn variables(work: &mut Work<'_>, key: &ObjectKey, path: &str, depth: usize) {
    let Some((variables, values)) = source::variables(key, &work.configuration) else {
        return;
    };
    work.configuration.remove("variables_id");
    let found = work
        .resolved
        .object(ObjectKey::new_config(component::VARIABLES, &variables));
    let below = found
        .and_then(|found| found.path.strip_prefix(path))
        .and_then(|rest| rest.strip_prefix('/'));
    let is_related = below.is_some_and(|below| below.split('/').count() == depth);
    if !is_related {
        work.lost.add("/variables_id", Json::from(variables.clone()));
    }
    if let Some(values) = values {
        work.configuration.remove("variables_values_id");
        let row = ObjectKey::new_row(component::VARIABLES, &variables, &values);
        if !is_related || work.resolved.object(row).is_none() {
            work.lost.add("/variables_values_id", Json::from(values));
        }
    }
}

/// Takes out what the manifest's relation says.
fn schedule(work: &mut Work<'_>) {
    if let Some(target) = work.configuration.get_mut("target").and_then(Json::as_object_mut) {
        target.remove("componentId");
        target.remove("configurationId");
    }
}

fn shared_code_row(work: &mut Work<'_>, key: &ObjectKey) {
    let ObjectKey::Row {
        component, config, ..
    } = key
    else {
        return;
    };
    let Some(parent) = work.resolved.object(ObjectKey::new_config(component, config)) else {
        return;
    };
    let Some(target) = target_of(&parent.facts) else {
        return;
    };
    let language = Language::of(&target);
    let pointer = "/code_content";
    let text = match work.configuration.remove("code_content") {
        Some(Json::String(text)) => scripts::write_text(&mut work.lost, pointer, text, language),
        Some(items @ Json::Array(_)) => {
            scripts::write(&mut work.lost, pointer, Some(items), language, |_| None)
        }
        Some(other) => return work.lost.add(pointer, other),
        None => return,
    };
    work.has_shared_code = true;
    let path = format!("{}/code.{}", work.directory, language.extension);
    work.files.add(path, DocumentKind::Code, text);
}

/// Reads the target component of a shared code from the facts of its inspection.
pub(super) fn target_of(facts: &str) -> Option<String> {
    let facts = Json::parse(facts).ok()?;
    facts.as_object()?.str("target").map(str::to_owned)
}

/// Writes the id of a workspace as a number, also where the source has it as text. What the CLI adds of the workspace
/// itself is no part of the configuration, and is left out; so is a text whose digits a double would change.
fn workspace_id(work: &mut Work<'_>) {
    let parameters = work
        .configuration
        .get_mut("parameters")
        .and_then(Json::as_object_mut);
    let database = parameters
        .and_then(|parameters| parameters.get_mut("db"))
        .and_then(Json::as_object_mut);
    let Some(id) = database.and_then(|database| database.get_mut("workspaceId")) else {
        return;
    };
    let Json::String(text) = id else {
        return;
    };
    let number = text.trim();
    let is_number =
        matches!(Json::parse(number), Ok(Json::Number(token)) if write::cli_number(&token) == token);
    if is_number {
        let number = Json::Number(number.to_owned().into());
        let text = replace(id, number);
        work.lost.add("/parameters/db/workspaceId", text);
    }
}

/// Copies the code out of `parameters.code`, bytes as they are; none is an empty file. Where it is no
/// text the CLI gives up on the configuration; here it has no file.
fn custom_python(work: &mut Work<'_>) {
    let code = match work.configuration.get("parameters") {
        None => Some(""),
        Some(Json::Object(parameters)) => match parameters.get("code") {
            None => Some(""),
            Some(code) => code.as_str(),
        },
        // PHP's empty object.
        Some(other) => other.as_array().filter(|items| items.is_empty()).map(|_| ""),
    };
    if let Some(code) = code.map(str::to_owned) {
        let path = format!("{}/code.py", work.directory);
        work.files.add(path, DocumentKind::Code, code);
    }
}
