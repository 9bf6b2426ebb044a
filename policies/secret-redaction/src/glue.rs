//! The glue between WIT and the engine. Generated code needs `unsafe`; nothing else here does.

#![expect(
    unsafe_code,
    reason = "the generated bindings lift and lower values through raw memory"
)]

use crate::engine::{self, Engine};
use crate::settings::Settings;
use crate::{rules, settings};
use exports::keboola::mirror::redaction::{Finding, Guest, PolicyInfo, Rule, Target};
use keboola::mirror::types::{ByteRange, Context, Document, DocumentKind, GuestError, Issue, LeafRole};
use std::sync::OnceLock;

wit_bindgen::generate!({
    path: "../../wit",
    world: "redaction-policy",
});

static ENGINE: OnceLock<Engine> = OnceLock::new();

struct Policy;

impl Guest for Policy {
    fn describe() -> PolicyInfo {
        PolicyInfo {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rules: rules::all()
                .map(|(id, title)| Rule {
                    id: id.to_owned(),
                    title: title.to_owned(),
                })
                .collect(),
            settings_schema: settings::SCHEMA.to_owned(),
        }
    }

    fn configure(text: String) -> Result<(), Vec<Issue>> {
        let issue = |issue: settings::Issue| Issue {
            pointer: issue.pointer,
            message: issue.message,
        };
        let settings =
            Settings::parse(&text).map_err(|issues| issues.into_iter().map(issue).collect::<Vec<_>>())?;
        ENGINE.set(Engine::new(settings)).map_err(|_| {
            vec![Issue {
                pointer: String::new(),
                message: "the policy is configured already".to_owned(),
            }]
        })
    }

    fn redact(_context: Context, documents: Vec<Document>) -> Result<Vec<Vec<Finding>>, GuestError> {
        let Some(engine) = ENGINE.get() else {
            return Err(GuestError {
                message: "the policy is not configured".to_owned(),
                item: None,
            });
        };
        documents
            .iter()
            .enumerate()
            .map(|(item, document)| {
                let too_large = || GuestError {
                    message: "a leaf has more than 4 GiB".to_owned(),
                    item: u32::try_from(item).ok(),
                };
                engine
                    .judge(&borrow(document))
                    .into_iter()
                    .map(|finding| lower(finding).ok_or_else(too_large))
                    .collect()
            })
            .collect()
    }
}

fn borrow(document: &Document) -> engine::Document<'_> {
    engine::Document {
        path: &document.path,
        kind: kind(document.kind),
        leaves: document.leaves.iter().map(borrow_leaf).collect(),
    }
}

fn borrow_leaf(leaf: &keboola::mirror::types::Leaf) -> engine::Leaf<'_> {
    let role = match leaf.role {
        LeafRole::Key => engine::Role::Key,
        LeafRole::Text => engine::Role::Text,
        LeafRole::Scalar => engine::Role::Scalar,
    };
    engine::Leaf {
        pointer: &leaf.pointer,
        role,
        value: &leaf.value,
    }
}

fn kind(kind: DocumentKind) -> engine::Kind {
    match kind {
        DocumentKind::Config => engine::Kind::Config,
        DocumentKind::Row => engine::Kind::Row,
        DocumentKind::Code => engine::Kind::Code,
        DocumentKind::Description => engine::Kind::Description,
        DocumentKind::Extra => engine::Kind::Extra,
        DocumentKind::Storage => engine::Kind::Storage,
        DocumentKind::Sample => engine::Kind::Sample,
        DocumentKind::Job => engine::Kind::Job,
        DocumentKind::Index => engine::Kind::Index,
        DocumentKind::Name => engine::Kind::Name,
        DocumentKind::Message => engine::Kind::Message,
    }
}

/// None where an index or an offset does not fit the interface's 32 bits.
fn lower(finding: engine::Finding) -> Option<Finding> {
    let target = match finding.target {
        engine::Target::Whole => Target::Whole,
        engine::Target::Bytes { start, end } => Target::Bytes(ByteRange {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
        }),
    };
    Some(Finding {
        leaf: u32::try_from(finding.leaf).ok()?,
        target,
        rule: finding.rule.0,
    })
}

export!(Policy);
