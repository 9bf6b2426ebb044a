//! Objects of a generated project at the stages of the layout, for the sandboxed renderer and for the same code as a
//! native library.

use crate::context;
use layout_cases::host::{self, Project};
use layout_renderer as guest;
use mirror_core::{
    batch::{RenderedBatch, Subject},
    layout::{Entry, IndexKind, PlacedObject, RawFile, Rendered, SourceObject},
    path::OwnedPaths,
    placement::Placement,
};
use sample_project::{Shape, generate, write_directory};

/// Objects of the default branch: the branch, configurations and rows.
#[derive(Debug)]
pub struct Objects {
    pub settings: String,
    pub sources: Vec<SourceObject>,
    pub placed: Vec<PlacedObject>,
    pub native: Native,
}

/// The same as the renderer's own types.
#[derive(Debug)]
pub struct Native {
    pub context: guest::Context,
    pub sources: Vec<guest::Object>,
    pub placed: Vec<guest::PlacedObject>,
}

/// Makes a project of so many configurations and takes it up to the renderer.
///
/// # Panics
/// A generator that makes what the renderer refuses.
#[must_use]
pub fn objects(configurations: usize) -> Objects {
    let project = generate(&Shape {
        configurations,
        dev_branches: 0,
        jobs: 0,
        previews: 0,
        events_max: 0,
        versions_max: 1,
        ..Shape::default()
    });
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    write_directory(&project, directory.path()).expect("the directory is ours");
    let read = Project::read(directory.path()).expect("it was written just now");
    let branch = read
        .branches
        .into_iter()
        .find(|branch| branch.is_default)
        .expect("a project has a default branch");
    let judged = context();
    let context = guest::Context {
        stack: judged.stack.to_string(),
        project_id: judged.project.to_string(),
        branch_id: judged.branch.to_string(),
    };
    let settings = host::settings(&read.options, "main", Some(branch.id.as_str()));
    let placement = host::place(&context, &settings, &branch.objects, Placement::new());
    let placement = placement.expect("the renderer takes what the generator makes");
    let placed: Vec<PlacedObject> = branch
        .objects
        .iter()
        .map(|object| placement.placed(&object.key, object.clone()))
        .collect();
    Objects {
        native: Native {
            context,
            sources: branch.objects.iter().map(host::object).collect(),
            placed: placed.iter().map(host::placed).collect(),
        },
        settings,
        sources: branch.objects,
        placed,
    }
}

/// Makes of a native answer what the sandbox makes of a guest's.
#[must_use]
pub fn rendered(native: guest::Rendered) -> Rendered {
    let files = native.files.into_iter().map(|file| RawFile {
        path: file.path,
        kind: kind(file.kind),
        content: file.content,
    });
    let entries = native.entries.into_iter().map(|entry| Entry {
        kind: index_kind(entry.kind),
        shard: entry.shard,
        key: entry.key,
        value: entry.value,
    });
    Rendered {
        files: files.collect(),
        entries: entries.collect(),
    }
}

fn index_kind(kind: guest::IndexKind) -> IndexKind {
    match kind {
        guest::IndexKind::Manifest => IndexKind::Manifest,
        guest::IndexKind::JobDay => IndexKind::JobDay,
        guest::IndexKind::JobHealth => IndexKind::JobHealth,
        guest::IndexKind::Withheld => IndexKind::Withheld,
        guest::IndexKind::Guide => IndexKind::Guide,
        guest::IndexKind::Catalog => IndexKind::Catalog,
        guest::IndexKind::Lineage => IndexKind::Lineage,
    }
}

fn kind(kind: guest::DocumentKind) -> mirror_core::document::DocumentKind {
    use mirror_core::document::DocumentKind as Host;
    match kind {
        guest::DocumentKind::Config => Host::Config,
        guest::DocumentKind::Row => Host::Row,
        guest::DocumentKind::Code => Host::Code,
        guest::DocumentKind::Description => Host::Description,
        guest::DocumentKind::Extra => Host::Extra,
        guest::DocumentKind::Storage => Host::Storage,
        guest::DocumentKind::Sample => Host::Sample,
        guest::DocumentKind::Job => Host::Job,
        guest::DocumentKind::Index => Host::Index,
        guest::DocumentKind::Name => Host::Name,
        guest::DocumentKind::Message => Host::Message,
    }
}

/// Puts files of objects together as the next stages get them.
///
/// # Panics
/// A path that a repository could not hold.
#[must_use]
pub fn batch(objects: &[PlacedObject], rendered: Vec<Rendered>) -> RenderedBatch {
    let subjects = objects
        .iter()
        .map(|placed| Subject::Object(placed.object.key.clone()));
    let (batch, refused) = RenderedBatch::new(
        context(),
        &OwnedPaths::new(None),
        subjects.zip(rendered).collect(),
    );
    assert!(
        refused.is_empty(),
        "no file of the sample project is refused: {refused:?}"
    );
    batch
}
