//! The renderer's arguments and answers as plain types, one for each type of `wit/layout.wit`.
//!
//! They exist so that all logic, and its tests, run without WebAssembly.

use std::fmt;
use thiserror::Error;

/// What all objects of one call have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub stack: String,
    pub project_id: String,
    pub branch_id: String,
}

/// Names an object within one branch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    Branch,
    Config {
        component: String,
        config: String,
    },
    Row {
        component: String,
        config: String,
        row: String,
    },
    Bucket(String),
    Table(String),
    Sample(String),
    Job(String),
}

impl ObjectKey {
    pub(crate) fn new_config(component: &str, config: &str) -> Self {
        Self::Config {
            component: component.into(),
            config: config.into(),
        }
    }

    pub(crate) fn new_row(component: &str, config: &str, row: &str) -> Self {
        Self::Row {
            component: component.into(),
            config: config.into(),
            row: row.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch => f.write_str("branch"),
            Self::Config { component, config } => write!(f, "{component}/{config}"),
            Self::Row {
                component,
                config,
                row,
            } => write!(f, "{component}/{config}/{row}"),
            Self::Bucket(id) => write!(f, "bucket {id}"),
            Self::Table(id) => write!(f, "table {id}"),
            Self::Sample(id) => write!(f, "sample {id}"),
            Self::Job(id) => write!(f, "job {id}"),
        }
    }
}

/// What of a component's definition matters to the layout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Component {
    pub id: String,
    pub component_type: String,
    pub name: String,
    /// Whether the component has the flag `genericCodeBlocksUI`.
    pub generic_code_blocks_ui: bool,
    /// `in` or `out` where the component has a default bucket.
    pub default_bucket_stage: Option<String>,
}

/// An object of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: ObjectKey,
    /// Set for configurations and rows.
    pub component: Option<Component>,
    /// The API's answer, as JSON text.
    pub source: String,
    /// Metadata of a branch or configuration, in API order.
    pub metadata: Vec<(String, String)>,
}

/// Where an object belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Container,
    Below(ObjectKey),
    Claimed,
    None,
}

/// Says that another object belongs to this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub target: ObjectKey,
    /// Replaces the target's own wished segment.
    pub segment: Option<String>,
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    Object(ObjectKey),
    Alias(String),
}

/// Where an object belongs and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub place: Place,
    /// Wished path relative to the parent; empty where the place is `None`.
    pub segment: String,
    pub sort_name: String,
    pub claims: Vec<Claim>,
    pub references: Vec<Reference>,
    pub aliases: Vec<String>,
    pub facts: String,
}

/// An object that was found for a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    pub key: ObjectKey,
    /// Path below the branch directory; empty for an object without a place.
    pub path: String,
    pub facts: String,
}

/// An object with its place and its references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedObject {
    pub object: Object,
    /// Path below the branch directory; none without a place in `configs/`.
    pub path: Option<String>,
    /// Where the object lives, where that is not its container.
    pub parent: Option<ObjectKey>,
    /// The objects whose claim on this one holds.
    pub claimed_by: Vec<ObjectKey>,
    /// One for each reference of the inspection, in order.
    pub references: Vec<Option<Resolution>>,
}

/// Files that are made of many objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexKind {
    Manifest,
    JobDay,
    JobHealth,
    Withheld,
    Guide,
    Catalog,
    Lineage,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    Config,
    Row,
    Code,
    Description,
    Extra,
    Storage,
    Sample,
    Job,
    Index,
    Name,
    Message,
}

/// A piece that an object gives to an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: IndexKind,
    pub shard: String,
    pub key: String,
    /// A JSON text.
    pub value: String,
}

/// A file below the mirror's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub kind: DocumentKind,
    pub content: String,
}

/// The files and entries of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    pub files: Vec<File>,
    pub entries: Vec<Entry>,
}

/// The files of one shard of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gathered {
    pub files: Vec<File>,
    /// The entries to keep, where they are not those that were given.
    pub keep: Option<Vec<Entry>>,
}

/// What of an object the repository tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredObject {
    pub key: ObjectKey,
    /// 0 where it is not known.
    pub version: u64,
    pub version_identifier: String,
    pub path: Option<String>,
    pub parent: Option<ObjectKey>,
}

/// What the repository's own files tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    pub objects: Vec<RecoveredObject>,
    pub entries: Vec<Entry>,
}

/// Why the renderer cannot answer. No message holds a value, only names of things.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    #[error("settings are not usable: {problem}")]
    Settings { problem: &'static str },
    #[error("the source of {object} is not usable: {problem}")]
    Source {
        /// Index of the object in the call.
        item: u32,
        object: String,
        problem: &'static str,
    },
    #[error("{object} has {found} resolved references, its inspection has {expected}; inspect it again")]
    References {
        item: u32,
        object: String,
        found: usize,
        expected: usize,
    },
    #[error("this renderer makes no files of kind {kind}, nor entries for them")]
    NoSuchIndex { kind: &'static str },
    #[error("entry `{key}` is not one that this renderer made; render its object again")]
    Entry { key: String },
    #[error("file `{path}` is not one that this renderer made: {problem}")]
    File {
        /// Index of the file in the call.
        item: u32,
        path: String,
        problem: &'static str,
    },
}

impl LayoutError {
    /// Returns the index of the object or file at fault, where it is one.
    #[must_use]
    pub fn item(&self) -> Option<u32> {
        match self {
            Self::Source { item, .. } | Self::References { item, .. } | Self::File { item, .. } => {
                Some(*item)
            }
            Self::Settings { .. } | Self::NoSuchIndex { .. } | Self::Entry { .. } => None,
        }
    }
}
