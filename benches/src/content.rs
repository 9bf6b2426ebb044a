//! Files as a mirror has them in Git, cut into what policies judge, and how large they are as files.

use crate::layout::{batch, objects, rendered};
use layout_renderer as guest;
use mirror_core::{
    document::{Document, DocumentKind},
    layout::PlacedObject,
    path::MirrorPath,
    walk::{Format, leaves},
};
use mirror_runtime::pipeline::transform::CHUNK;
use std::{fs, io, path::Path};

/// Files, cut for a policy.
#[derive(Debug)]
pub struct Content {
    /// A document for each file, by the batches that are judged in one instance: of a chunk of objects each.
    pub batches: Vec<Vec<Document>>,
    /// The size of the files, in bytes: what tools that search files count, member names and punctuation with it.
    pub bytes: u64,
}

impl Content {
    /// Returns all files of a generated project of so many configurations, as they are after rendering: JSON, code in SQL and
    /// Python, descriptions.
    ///
    /// # Panics
    /// A generator that makes what the product refuses.
    #[must_use]
    pub fn of_project(configurations: usize) -> Self {
        let objects = objects(configurations);
        let files = guest::render(&objects.native.context, &objects.settings, &objects.native.placed);
        let files = files.expect("the renderer takes what the generator makes");
        let contents = files.iter().flat_map(|one| &one.files);
        let bytes = contents.map(|file| file.content.len() as u64).sum();
        let mut files = files.into_iter().map(rendered);
        let chunk = |placed: &[PlacedObject]| {
            let files = files.by_ref().take(placed.len()).collect();
            let mut documents = batch(placed, files).documents();
            // What objects say in shared files is no file of theirs.
            documents.retain(|document| document.path.is_some());
            documents
        };
        Self {
            batches: objects.placed.chunks(CHUNK).map(chunk).collect(),
            bytes,
        }
    }

    /// Returns all files below a directory that are text of a form that a mirror commits, so that anyone can measure
    /// content of their own.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn of_directory(directory: &Path) -> io::Result<Self> {
        let (mut documents, mut bytes) = (Vec::new(), 0);
        let mut open = vec![directory.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else if let Some((document, length)) = read(&path)? {
                    documents.push(document);
                    bytes += length as u64;
                }
            }
        }
        // As many as objects have.
        let batches = documents
            .chunks(FILES_PER_OBJECT * CHUNK)
            .map(<[Document]>::to_vec);
        Ok(Self {
            batches: batches.collect(),
            bytes,
        })
    }
}

/// What an object of the layout has on average.
const FILES_PER_OBJECT: usize = 3;

/// Reads a file, and says how long it is; none if it is no text of the form that its name promises.
fn read(file: &Path) -> io::Result<Option<(Document, usize)>> {
    let Ok(text) = String::from_utf8(fs::read(file)?) else {
        return Ok(None);
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let format = Format::of(&name);
    let Ok(leaves) = leaves(format, &text) else {
        return Ok(None);
    };
    let (component, config) = ("keboola.ex-generic-v2", "1");
    let document = Document {
        path: MirrorPath::parse(&format!("configs/{component}/{config}/{name}")).ok(),
        kind: match format {
            Format::Json => DocumentKind::Config,
            Format::JsonLines => DocumentKind::Job,
            Format::Csv => DocumentKind::Sample,
            Format::Text => DocumentKind::Code,
        },
        component_id: component.into(),
        config_id: config.into(),
        leaves,
    };
    Ok(Some((document, text.len())))
}
