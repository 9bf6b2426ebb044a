//! Guests in the text format, made into components for a world of the WIT package.

use crate::{Limits, Sandbox, SandboxConfig};
use mirror_core::{
    document::{Context, Document, DocumentKind, Leaf, LeafRole, Leaves},
    ids::{BranchId, ProjectId, Stack},
};

pub(crate) const POLICY: &str = include_str!("../hostile/policy.wat");
pub(crate) const LAYOUT: &str = include_str!("../../tests/hostile/layout.wat");

pub(crate) use crate::hostile::component;

/// Small enough that a guest that uses all of it is stopped within milliseconds.
pub(crate) fn limits() -> Limits {
    Limits {
        fuel_max: 20_000_000,
        memory_bytes_max: 64 << 20,
        ..Limits::default()
    }
}

pub(crate) fn sandbox(limits: Limits) -> Sandbox {
    Sandbox::new(SandboxConfig::offline(limits.clone(), limits)).expect("the engine starts")
}

pub(crate) fn context() -> Context {
    Context {
        stack: Stack::parse("connection.keboola.com").expect("an id"),
        project: ProjectId::parse("1").expect("an id"),
        branch: BranchId::parse("2").expect("an id"),
    }
}

/// A document for each text, of one leaf.
pub(crate) fn documents(texts: &[&str]) -> Vec<Document> {
    let document = |text: &&str| Document {
        path: None,
        kind: DocumentKind::Config,
        component_id: String::new(),
        config_id: String::new(),
        leaves: Leaves::from_iter([Leaf {
            pointer: "/a",
            role: LeafRole::Text,
            value: text,
        }]),
    };
    texts.iter().map(document).collect()
}
