//! What the layout renderer is given and returns (`wit/layout.wit`).

pub mod heirs;
mod names;

pub use names::SourceName;

use crate::{document::DocumentKind, ids::ObjectKey};
use serde::{Deserialize, Serialize};

/// What of a component's definition matters to the layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    pub id: String,
    pub component_type: String,
    pub name: String,
    pub generic_code_blocks_ui: bool,
    /// `in` or `out` where the component has a default bucket.
    pub default_bucket_stage: Option<String>,
}

impl Component {
    /// Returns what the ids of its default buckets begin with, up to the configuration's id; none where it has no such buckets.
    #[must_use]
    pub fn default_bucket_prefix(&self) -> Option<String> {
        let stage = self.default_bucket_stage.as_deref()?;
        let plain = |sign: char| if sign.is_ascii_alphanumeric() { sign } else { '-' };
        let id: String = self.id.chars().map(plain).collect();
        Some(format!("{stage}.c-{id}-"))
    }
}

/// Returns what an alias begins with that may be a default bucket's id: all up to the configuration's id, which has no dash.
/// Of such a beginning it is all; none where there is no dash.
#[must_use]
pub fn beginning_of_default_bucket(alias: &str) -> Option<&str> {
    alias.rfind('-').map(|dash| &alias[..=dash])
}

/// An object of the source, as the renderer gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    pub key: ObjectKey,
    /// Set for configurations and rows.
    pub component: Option<Component>,
    /// The API's answer for this object, as JSON text; for its form see `object` in `wit/layout.wit`.
    pub source: String,
    /// Metadata of a branch or configuration, in API order.
    pub metadata: Vec<(String, String)>,
}

/// Where an object belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In its container: a configuration in the branch, a row in its configuration.
    Container,
    /// Below another object, if that exists.
    Below(ObjectKey),
    /// Below the object whose claim on it holds.
    Claimed,
    /// Not in `configs/`.
    None,
}

/// Says that another object belongs to this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub target: ObjectKey,
    /// Replaces the target's own wished segment.
    pub segment: Option<String>,
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    Object(ObjectKey),
    /// One of the aliases of an object.
    Alias(String),
}

/// The renderer's first answer: where an object belongs and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    pub place: Place,
    /// Wished path relative to the parent. Where it ends in `/`, others with the same wish go below it.
    pub segment: String,
    pub sort_name: String,
    pub claims: Vec<Claim>,
    pub references: Vec<Reference>,
    pub aliases: Vec<String>,
    pub facts: String,
}

/// An object that was found for a reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    pub key: ObjectKey,
    /// Path below the branch directory; empty for an object without a place.
    pub path: String,
    pub facts: String,
}

impl Resolution {
    /// Returns what stands for something that is known and is not of the branch.
    pub(crate) fn outside() -> Self {
        Self {
            key: ObjectKey::Branch,
            path: String::new(),
            facts: String::new(),
        }
    }
}

/// An object with its place and its references, ready to be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedObject {
    pub object: SourceObject,
    /// Path below the branch directory; none without a place in `configs/`.
    pub path: Option<String>,
    /// Where the object lives, where that is not its container.
    pub parent: Option<ObjectKey>,
    pub claimed_by: Vec<ObjectKey>,
    /// One for each reference of the inspection, in order.
    pub references: Vec<Option<Resolution>>,
}

/// Files that are made of many objects (`index-kind` of `wit/layout.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    Manifest,
    JobDay,
    JobHealth,
    Withheld,
    Guide,
    Catalog,
    Lineage,
}

/// A piece that an object gives to an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub kind: IndexKind,
    pub shard: String,
    /// Unique within kind and shard.
    pub key: String,
    /// A JSON text whose form is the renderer's affair.
    pub value: String,
}

/// A file as the renderer returned it; its path is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFile {
    /// Full path below the mirror's root.
    pub path: String,
    pub kind: DocumentKind,
    pub content: String,
}

/// The renderer's second answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    pub files: Vec<RawFile>,
    pub entries: Vec<Entry>,
}

/// The files of one shard of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gathered {
    pub files: Vec<RawFile>,
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

/// What the repository's own files tell a host that lost its state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    pub objects: Vec<RecoveredObject>,
    pub entries: Vec<Entry>,
}
