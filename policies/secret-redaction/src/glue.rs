//! The glue between WIT and the engine. Generated code needs `unsafe`; nothing else here does.

#![expect(
    unsafe_code,
    reason = "the generated bindings lift and lower values through raw memory"
)]

use crate::engine::{self, Engine, Session};
use crate::settings::Settings;
use crate::{rules, settings};
use exports::keboola::mirror::packed_redaction::{self, Batch};
use exports::keboola::mirror::redaction::{Finding, Guest, PolicyInfo, Rule, Target};
use guest_memory as _;
use keboola::mirror::types::{ByteRange, Context, Document, DocumentKind, GuestError, Issue, LeafRole};
use std::mem;
use std::sync::OnceLock;

wit_bindgen::generate!({
    path: "../../wit",
    world: "packed-redaction-policy",
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
        let mut session = engine()?.session();
        let documents = documents.iter().enumerate();
        documents
            .map(|(item, document)| judge(&mut session, item, &borrow(document)))
            .collect()
    }
}

impl packed_redaction::Guest for Policy {
    fn redact(_context: Context, batch: Batch) -> Result<Vec<Vec<Finding>>, GuestError> {
        let mut session = engine()?.session();
        let mut cuts = Cuts::of(&batch);
        // One list for all, so that as little memory as possible is touched.
        let mut leaves = Vec::new();
        let documents = batch.documents.iter().enumerate();
        let judged = documents.map(|(item, document)| {
            cuts.leaves(document.leaves, &mut leaves)
                .ok_or_else(|| contradiction(item))?;
            let document = engine::Document {
                path: &document.path,
                kind: kind(document.kind),
                leaves: mem::take(&mut leaves),
            };
            let findings = judge(&mut session, item, &document);
            leaves = document.leaves;
            leaves.clear();
            findings
        });
        judged.collect()
    }
}

fn engine() -> Result<&'static Engine, GuestError> {
    ENGINE.get().ok_or_else(|| GuestError {
        message: "the policy is not configured".to_owned(),
        item: None,
    })
}

fn contradiction(item: usize) -> GuestError {
    GuestError {
        message: "the parts of the batch contradict each other".to_owned(),
        item: u32::try_from(item).ok(),
    }
}

fn judge<'a>(
    session: &mut Session<'_, 'a>,
    item: usize,
    document: &engine::Document<'a>,
) -> Result<Vec<Finding>, GuestError> {
    let too_large = || GuestError {
        message: "a leaf has more than 4 GiB".to_owned(),
        item: u32::try_from(item).ok(),
    };
    let findings = session.judge(document).into_iter();
    findings
        .map(|finding| lower(finding).ok_or_else(too_large))
        .collect()
}

/// Cuts the text of a batch into leaves, one after the other.
struct Cuts<'a> {
    /// What is left of it.
    text: &'a str,
    /// Where that begins.
    start: usize,
    roles: &'a [LeafRole],
    /// Those of each pointer and its value.
    ends: &'a [[u32; 2]],
}

impl<'a> Cuts<'a> {
    fn of(batch: &'a Batch) -> Self {
        Self {
            text: &batch.text,
            start: 0,
            roles: &batch.roles,
            ends: batch.ends.as_chunks().0,
        }
    }

    /// Adds the next leaves; none where the batch has no more, or an end is not where one can be.
    fn leaves(&mut self, count: u32, leaves: &mut Vec<engine::Leaf<'a>>) -> Option<()> {
        let count = usize::try_from(count).ok()?;
        let (roles, other_roles) = self.roles.split_at_checked(count)?;
        let (ends, other_ends) = self.ends.split_at_checked(count)?;
        (self.roles, self.ends) = (other_roles, other_ends);
        leaves.reserve(count);
        for (of, [pointer_end, value_end]) in roles.iter().zip(ends) {
            leaves.push(engine::Leaf {
                role: role(*of),
                pointer: self.text(*pointer_end)?,
                value: self.text(*value_end)?,
            });
        }
        Some(())
    }

    /// Cuts off the next text.
    fn text(&mut self, end: u32) -> Option<&'a str> {
        let end = usize::try_from(end).ok()?;
        let (text, rest) = self.text.split_at_checked(end.checked_sub(self.start)?)?;
        (self.text, self.start) = (rest, end);
        Some(text)
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
    engine::Leaf {
        pointer: &leaf.pointer,
        role: role(leaf.role),
        value: &leaf.value,
    }
}

fn role(role: LeafRole) -> engine::Role {
    match role {
        LeafRole::Key => engine::Role::Key,
        LeafRole::Text => engine::Role::Text,
        LeafRole::Scalar => engine::Role::Scalar,
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
