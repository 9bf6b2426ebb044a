//! Between the types of WIT and those of core: lending what goes in, checking what comes out.
//!
//! What goes in is borrowed, so nothing is copied but into the guest. What comes out is treated
//! like input from a stranger.

pub(crate) mod layout;
pub(crate) mod redact;
pub(crate) mod sample;

use crate::bindings::keboola::mirror::types as wit;
use mirror_core::document::{Context, Document, DocumentKind};

/// What is wrong with an answer. Never holds texts of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The field of [`Limits`](crate::Limits) that it goes over.
    OverLimit(&'static str),
    Malformed(String),
}

pub(crate) fn context(context: &Context) -> wit::Context<'_> {
    wit::Context {
        stack: context.stack.as_str(),
        project_id: context.project.as_str(),
        branch_id: context.branch.as_str(),
    }
}

/// Returns all that a policy is told in a document.
pub(crate) fn texts(document: &Document) -> [&str; 4] {
    let Document {
        path,
        kind: _,
        component_id,
        config_id,
        leaves,
    } = document;
    let path = path.as_ref().map_or("", |path| path.as_str());
    [path, component_id, config_id, leaves.text()]
}

/// Returns what a guest says of an item as said of the whole batch, of which it had got `before` items already.
pub(crate) fn after(before: usize, error: wit::GuestError) -> wit::GuestError {
    let before = u32::try_from(before).ok();
    let item = error
        .item
        .zip(before)
        .map(|(item, before)| item.saturating_add(before));
    wit::GuestError { item, ..error }
}

pub(crate) fn kind_in(kind: DocumentKind) -> wit::DocumentKind {
    match kind {
        DocumentKind::Config => wit::DocumentKind::Config,
        DocumentKind::Row => wit::DocumentKind::Row,
        DocumentKind::Code => wit::DocumentKind::Code,
        DocumentKind::Description => wit::DocumentKind::Description,
        DocumentKind::Extra => wit::DocumentKind::Extra,
        DocumentKind::Storage => wit::DocumentKind::Storage,
        DocumentKind::Sample => wit::DocumentKind::Sample,
        DocumentKind::Job => wit::DocumentKind::Job,
        DocumentKind::Index => wit::DocumentKind::Index,
        DocumentKind::Name => wit::DocumentKind::Name,
        DocumentKind::Message => wit::DocumentKind::Message,
    }
}

pub(crate) fn kind_out(kind: wit::DocumentKind) -> DocumentKind {
    match kind {
        wit::DocumentKind::Config => DocumentKind::Config,
        wit::DocumentKind::Row => DocumentKind::Row,
        wit::DocumentKind::Code => DocumentKind::Code,
        wit::DocumentKind::Description => DocumentKind::Description,
        wit::DocumentKind::Extra => DocumentKind::Extra,
        wit::DocumentKind::Storage => DocumentKind::Storage,
        wit::DocumentKind::Sample => DocumentKind::Sample,
        wit::DocumentKind::Job => DocumentKind::Job,
        wit::DocumentKind::Index => DocumentKind::Index,
        wit::DocumentKind::Name => DocumentKind::Name,
        wit::DocumentKind::Message => DocumentKind::Message,
    }
}
