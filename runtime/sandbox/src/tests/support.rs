//! Guests in the text format, made into components for a world of the WIT package.

use crate::{Limits, Sandbox, SandboxConfig};
use mirror_core::{
    document::{Context, Document, DocumentKind, Leaf, LeafRole},
    ids::{BranchId, ProjectId, Stack},
};
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub(crate) const POLICY: &str = include_str!("../../tests/hostile/policy.wat");
pub(crate) const LAYOUT: &str = include_str!("../../tests/hostile/layout.wat");

/// Makes a component for a world out of a core module in the text format.
pub(crate) fn component(text: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::new();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_dir(&wit).expect("the WIT package parses");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in the package");
    let mut module = wat::parse_str(text).expect("the text is a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("metadata fits any module");
    let mut encoder = ComponentEncoder::default();
    encoder
        .module(&module)
        .expect("the module has the metadata")
        .encode()
        .expect("the module fits the world")
}

/// Small enough that a guest that uses all of it is stopped within milliseconds.
pub(crate) fn limits() -> Limits {
    Limits {
        fuel_max: 20_000_000,
        memory_bytes_max: 64 << 20,
        ..Limits::default()
    }
}

pub(crate) fn sandbox(limits: Limits) -> Sandbox {
    Sandbox::new(SandboxConfig {
        cache_dir: None,
        cache_key: [7; 32],
        limits,
    })
    .expect("the engine starts")
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
        leaves: vec![Leaf {
            pointer: "/a".to_owned(),
            role: LeafRole::Text,
            value: (*text).to_owned(),
        }],
    };
    texts.iter().map(document).collect()
}
