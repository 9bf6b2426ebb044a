//! Configurations and rows: `config.json`, `meta.json`, `description.md`, and what the CLI takes
//! out of `config.json`.

use super::{
    Files, Placed, Rendered, Resolved, catalog, extra, key_json, manifest_entry, orchestrator, set_metadata,
    transformation,
};
use crate::{
    api::{DocumentKind, Entry, LayoutError, ObjectKey},
    component::{self, Language},
    edges,
    json::{Json, Object},
    node::Node,
    source,
};

/// Values that the layout has no place for, by their pointer in the configuration.
#[derive(Default)]
pub(super) struct Lost(Vec<(String, Json)>);

impl Lost {
    pub(super) fn add(&mut self, pointer: impl Into<String>, value: Json) {
        self.0.push((pointer.into(), value));
    }

    /// Returns the values by the pointer of what they were in, each under its own key: a key that
    /// begins with `#` must stay one, for that is how a secret is known.
    pub(super) fn into_object(self) -> Object {
        let mut lost = Object::new();
        for (pointer, value) in self.0 {
            let (parent, step) = pointer.rsplit_once('/').unwrap_or(("", &pointer));
            if lost.get(parent).is_none() {
                lost.set(parent, Object::new());
            }
            if let Some(members) = lost.get_mut(parent).and_then(Json::as_object_mut) {
                members.set(&step.replace("~1", "/").replace("~0", "~"), value);
            }
        }
        lost
    }
}

/// One step of a JSON pointer.
pub(super) fn pointer_step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What the renderers of special components work on.
pub(super) struct Work<'a> {
    pub(super) configuration: Object,
    pub(super) directory: String,
    pub(super) kind: DocumentKind,
    pub(super) resolved: Resolved<'a>,
    pub(super) files: Files,
    pub(super) lost: Lost,
}

pub(super) fn render(item: u32, object: &Placed<'_>, mut source: Object) -> Result<Rendered, LayoutError> {
    let Placed {
        context,
        settings,
        placed,
    } = *object;
    let configuration = source::take_configuration(&mut source);
    let Some(path) = &placed.path else {
        let read = configuration.clone();
        let file = extra::without_place(settings, object.object(), &source, configuration);
        let entries = in_catalog(object, &source, &read, &file.path);
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
    // An ignored component has no place, so that its inspection, which is empty, is not in question.
    let references = source::references(object.object(), &configuration);
    let mut work = Work {
        configuration,
        directory: settings.below_branch(path),
        kind: if is_row {
            DocumentKind::Row
        } else {
            DocumentKind::Config
        },
        resolved: Resolved::new(item, placed, references)?,
        files: Files::default(),
        lost: Lost::default(),
    };
    default_buckets(&mut work);
    variables(&mut work, &placed.object.key);
    match component {
        component::SCHEDULER if !is_row => schedule(&mut work),
        component::ORCHESTRATOR if !is_row => orchestrator::extract(&mut work),
        component::SHARED_CODE if is_row => shared_code_row(&mut work, &placed.object.key),
        component::SHARED_CODE => {
            if let Some(target) = work.configuration.remove("componentId") {
                work.configuration.set_last("componentId", target);
            }
        }
        component::CUSTOM_PYTHON if !is_row => custom_python(&mut work),
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
        ..
    } = work;
    files.json(format!("{directory}/config.json"), kind, &configuration);
    files.json(
        format!("{directory}/meta.json"),
        kind,
        &meta(&source, component == component::SHARED_CODE && is_row),
    );
    files.description(&directory, source.str("description").unwrap_or_default());
    files
        .0
        .push(extra::beside(settings, object.object(), &source, lost));

    let mut value = Object::new();
    value.set("path", path.as_str());
    if let Some(parent) = placed.parent.as_ref().and_then(key_json) {
        value.set("parent", parent);
    }
    if is_row && !placed.claimed_by.is_empty() {
        value.set("default", true);
    }
    set_metadata(&mut value, placed.object.metadata.iter());
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
fn in_catalog(object: &Placed<'_>, source: &Object, configuration: &Object, path: &str) -> Vec<Entry> {
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

fn meta(source: &Object, only_if_disabled: bool) -> Object {
    let mut meta = Object::new();
    meta.set("name", source.str("name").unwrap_or_default());
    let disabled = source.is_true("isDisabled");
    if disabled || !only_if_disabled {
        meta.set("isDisabled", disabled);
    }
    meta
}

/// Names the owner of a default bucket by its path, so that the name holds in another project.
fn default_buckets(work: &mut Work<'_>) {
    let Work {
        configuration,
        resolved,
        ..
    } = work;
    let input = configuration.get_mut("storage").and_then(Json::as_object_mut);
    let input = input
        .and_then(|storage| storage.get_mut("input"))
        .and_then(Json::as_object_mut);
    let tables = input
        .and_then(|input| input.get_mut("tables"))
        .and_then(Json::as_array_mut);
    for table in tables.into_iter().flatten().filter_map(Json::as_object_mut) {
        let Some(Json::String(source)) = table.get_mut("source") else {
            continue;
        };
        let Some((bucket, name)) = source::default_bucket(source) else {
            continue;
        };
        if let Some(owner) = resolved.alias(bucket) {
            *source = format!("{{{{:default-bucket:{}}}}}.{name}", owner.path);
        }
    }
}

/// Takes out the ids of variables: the manifest relates the two configurations.
fn variables(work: &mut Work<'_>, key: &ObjectKey) {
    let Some((variables, values)) = source::variables(key, &work.configuration) else {
        return;
    };
    work.configuration.remove("variables_id");
    if work
        .resolved
        .object(ObjectKey::new_config(component::VARIABLES, &variables))
        .is_none()
    {
        work.lost.add("/variables_id", Json::from(variables.as_str()));
    }
    if let Some(values) = values {
        work.configuration.remove("variables_values_id");
        if work
            .resolved
            .object(ObjectKey::new_row(component::VARIABLES, &variables, &values))
            .is_none()
        {
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
    let scripts: Vec<String> = match work.configuration.remove("code_content") {
        Some(Json::String(text)) => language.split(&text),
        Some(Json::Array(items)) => items
            .into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Some(other) => return work.lost.add("/code_content", other),
        None => return,
    };
    let path = format!("{}/code.{}", work.directory, language.extension);
    work.files.add(path, DocumentKind::Code, language.join(&scripts));
}

/// Reads the target component of a shared code from the facts of its inspection.
pub(super) fn target_of(facts: &str) -> Option<String> {
    let facts = Json::parse(facts).ok()?;
    facts.as_object()?.str("target").map(str::to_owned)
}

/// Copies the code out of `parameters.code`, bytes as they are.
fn custom_python(work: &mut Work<'_>) {
    let parameters = work.configuration.object("parameters");
    let code = parameters
        .and_then(|parameters| parameters.str("code"))
        .map(str::to_owned);
    if let Some(code) = code {
        work.files
            .add(format!("{}/code.py", work.directory), DocumentKind::Code, code);
    }
}
