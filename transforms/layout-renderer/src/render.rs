//! The files and entries of one object.

mod catalog;
mod config;
mod extra;
mod job;
mod lost;
mod orchestrator;
mod sample;
mod scripts;
mod storage;
mod transformation;
mod unknown;

pub(crate) use job::{in_order, shortened};

use crate::{
    api::{
        Context, DocumentKind, Entry, File, IndexKind, LayoutError, Object as ApiObject, ObjectKey,
        PlacedObject, Reference, Rendered, Resolution,
    },
    component::trim_end,
    json::{Json, Object, write},
    settings::{Settings, Tree},
    source,
};
use std::collections::BTreeMap;

/// Metadata of a branch that is the project's description.
const PROJECT_DESCRIPTION: &str = "KBC.projectDescription";

/// Renders objects of one branch.
///
/// # Errors
/// Unusable settings, an object whose source is no JSON, or one whose references are not those of
/// its inspection.
pub fn render(
    context: &Context,
    settings: &str,
    objects: &[PlacedObject],
) -> Result<Vec<Rendered>, LayoutError> {
    let settings = Settings::parse(settings)?;
    objects
        .iter()
        .enumerate()
        .map(|(item, placed)| {
            let item = u32::try_from(item).unwrap_or(u32::MAX);
            let problem = |problem| LayoutError::Source {
                item,
                object: placed.object.key.to_string(),
                problem,
            };
            let source = match placed.object.key {
                // Its renderer parses it: a sample is cells, not fields.
                ObjectKey::Sample(_) => Object::new(),
                _ => source::parse(&placed.object).map_err(problem)?,
            };
            let object = Placed {
                context,
                settings: &settings,
                placed,
            };
            match &placed.object.key {
                ObjectKey::Branch => Ok(branch(&object, source)),
                ObjectKey::Config { .. } | ObjectKey::Row { .. } => config::render(item, &object, source),
                ObjectKey::Bucket(id) => Ok(storage::bucket(&object, id, &source)),
                ObjectKey::Table(id) => Ok(storage::table(&object, id, &source)),
                ObjectKey::Sample(id) => sample::render(id, &placed.object.source).map_err(problem),
                ObjectKey::Job(id) => Ok(job::render(context, id, &source)),
            }
        })
        .collect()
}

/// An object to be rendered, with all that is known of it.
#[derive(Clone, Copy)]
struct Placed<'a> {
    context: &'a Context,
    settings: &'a Settings,
    placed: &'a PlacedObject,
}

impl Placed<'_> {
    fn object(&self) -> &ApiObject {
        &self.placed.object
    }
}

/// The references of an object and what was found for them.
struct Resolved<'a>(BTreeMap<Reference, &'a Resolution>);

impl<'a> Resolved<'a> {
    fn new(item: u32, placed: &'a PlacedObject, references: Vec<Reference>) -> Result<Self, LayoutError> {
        let (found, expected) = (placed.references.len(), references.len());
        if found != expected {
            return Err(LayoutError::References {
                item,
                object: placed.object.key.to_string(),
                found,
                expected,
            });
        }
        let pairs = references.into_iter().zip(&placed.references);
        Ok(Self(
            pairs
                .filter_map(|(reference, found)| Some((reference, found.as_ref()?)))
                .collect(),
        ))
    }

    /// Returns the object itself, if it has a place: for the CLI, one without does not exist.
    fn object(&self, key: ObjectKey) -> Option<&'a Resolution> {
        self.existing(&Reference::Object(key))
    }

    /// Returns whether an object is there and has no place.
    fn is_without_place(&self, key: ObjectKey) -> bool {
        let found = self.0.get(&Reference::Object(key));
        found.is_some_and(|found| found.path.is_empty())
    }

    fn alias(&self, alias: &str) -> Option<&'a Resolution> {
        self.existing(&Reference::Alias(alias.to_owned()))
    }

    /// Returns whether an alias has an owner, be it without a place.
    fn is_known(&self, alias: &str) -> bool {
        self.0.contains_key(&Reference::Alias(alias.to_owned()))
    }

    fn existing(&self, reference: &Reference) -> Option<&'a Resolution> {
        self.0
            .get(reference)
            .copied()
            .filter(|found| !found.path.is_empty())
    }
}

/// Collects the files of one object.
#[derive(Default)]
struct Files(Vec<File>);

impl Files {
    fn add(&mut self, path: String, kind: DocumentKind, content: impl Into<String>) {
        self.0.push(File {
            path,
            kind,
            content: content.into(),
        });
    }

    fn json(&mut self, path: String, kind: DocumentKind, content: &Object<'_>) {
        self.add(path, kind, write::cli(content));
    }

    /// A directory that the CLI wants to exist even when it is empty.
    fn keep(&mut self, directory: &str) {
        self.add(format!("{directory}/.gitkeep"), DocumentKind::Code, "");
    }

    fn description(&mut self, directory: &str, text: &str) {
        self.add(
            [directory, "/description.md"].concat(),
            DocumentKind::Description,
            [trim_end(text), "\n"].concat(),
        );
    }
}

fn branch(object: &Placed<'_>, source: Object<'_>) -> Rendered {
    let Placed {
        context,
        settings,
        placed,
    } = *object;
    let id = source.text("id").unwrap_or(&context.branch_id).to_owned();
    let is_default = source.is_true("isDefault") || settings.default_branch_id.as_deref() == Some(&id);
    let directory = settings.below_branch("");
    let mut files = Files::default();
    let mut meta = Object::new();
    meta.set("name", source.str("name").unwrap_or_default());
    meta.set("isDefault", is_default);
    files.json(format!("{directory}/meta.json"), DocumentKind::Config, &meta);
    files.description(&directory, source.str("description").unwrap_or_default());
    let description = placed
        .object
        .metadata
        .iter()
        .rev()
        .find(|(key, _)| key == PROJECT_DESCRIPTION);
    let description = description.map_or("", |(_, value)| value.as_str());
    if is_default || settings.tree == Tree::Lane {
        files.description("configs", description);
    }
    extra::branch(&mut files, object, source, description);
    let mut value = Object::new();
    value.set("branch", id.as_str());
    value.set("path", settings.branch_path.as_str());
    let stays = |key: &str| !((is_default || settings.tree == Tree::Lane) && key == PROJECT_DESCRIPTION);
    let metadata = pairs(&placed.object.metadata).filter(|(key, _)| stays(key));
    // A project's description that has no file is in the manifest, trimmed like all descriptions.
    set_metadata(
        &mut value,
        metadata.map(|(key, text)| match key {
            PROJECT_DESCRIPTION => (key, trim_end(text)),
            _ => (key, text),
        }),
    );
    Rendered {
        files: files.0,
        entries: vec![manifest_entry(&[&id], &value)],
    }
}

fn pairs(metadata: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    metadata.iter().map(|(key, text)| (key.as_str(), text.as_str()))
}

/// Adds metadata, sorted by key; of several values of one key the last counts.
fn set_metadata<'m>(value: &mut Object<'m>, metadata: impl Iterator<Item = (&'m str, &'m str)>) {
    let sorted: BTreeMap<&str, &str> = metadata.collect();
    if !sorted.is_empty() {
        value.set("metadata", sorted.into_iter().collect::<Object<'_>>());
    }
}

/// Returns the values whose key has another one in the manifest, where the last counts.
fn superseded(metadata: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    let last: BTreeMap<&str, &str> = metadata
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_str()))
        .collect();
    metadata
        .iter()
        .filter(move |(key, text)| last.get(key.as_str()) != Some(&text.as_str()))
}

/// Returns an entry of the manifest; its key is the ids that name the object, from the branch on.
pub(crate) fn manifest_entry(ids: &[&str], value: &Object<'_>) -> Entry {
    Entry {
        kind: IndexKind::Manifest,
        shard: String::new(),
        key: write::line(&Json::Array(ids.iter().map(|id| Json::from(*id)).collect())),
        value: write::object_line(value),
    }
}

/// Returns how an object key stands in an entry: the ids, the component first.
pub(crate) fn key_json(key: &ObjectKey) -> Option<Json<'_>> {
    match key {
        ObjectKey::Config { component, config } => Some(Json::Array(vec![
            Json::from(component.as_str()),
            Json::from(config.as_str()),
        ])),
        ObjectKey::Row {
            component,
            config,
            row,
        } => Some(Json::Array(vec![
            Json::from(component.as_str()),
            Json::from(config.as_str()),
            Json::from(row.as_str()),
        ])),
        _ => None,
    }
}
