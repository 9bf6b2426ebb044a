//! Documents and their leaves: what a policy judges (`wit/types.wit`).
//!
//! Cutting a file's bytes into leaves, and splicing markers back into those bytes, is the host's
//! work, so that no policy can break a file or put anything into it.

mod leaves;

pub use leaves::{Leaf, Leaves};

use crate::path::MirrorPath;

/// What a document is (`document-kind` of `wit/types.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// What a leaf is within its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeafRole {
    /// The name of an object member.
    Key,
    /// A string value, a CSV cell, or the whole of a text.
    Text,
    /// A number, `true` or `false` below a `#` key.
    Scalar,
}

/// One file or text, cut into leaves, as a policy gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// None for names and messages.
    pub path: Option<MirrorPath>,
    pub kind: DocumentKind,
    /// May be empty.
    pub component_id: String,
    /// May be empty.
    pub config_id: String,
    pub leaves: Leaves,
}

/// What all documents of one call have in common (`context` of `wit/types.wit`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub stack: crate::ids::Stack,
    pub project: crate::ids::ProjectId,
    pub branch: crate::ids::BranchId,
}
