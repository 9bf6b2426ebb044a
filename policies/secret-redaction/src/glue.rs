//! The glue between WIT and the engine. Generated code needs `unsafe`; nothing else here does.

#![expect(
    unsafe_code,
    reason = "the generated bindings lift and lower values through raw memory"
)]

use crate::engine::{self, Engine};
use crate::settings::Settings;
use crate::{rules, settings};
use exports::keboola::mirror::builtin_redaction::{self, FlatBatch, Found};
use exports::keboola::mirror::redaction::{Finding, Guest, PolicyInfo, Rule, Target};
use guest_memory as _;
use keboola::mirror::types::{ByteRange, Context, Document, DocumentKind, GuestError, Issue, LeafRole};
use std::sync::OnceLock;

wit_bindgen::generate!({
    path: "../../wit",
    world: "builtin-redaction-policy",
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
            .map(|(item, document)| {
                let findings = session.judge(&borrow(document)).into_iter();
                findings
                    .map(|finding| lower(finding).ok_or_else(|| too_large(item)))
                    .collect()
            })
            .collect()
    }
}

impl builtin_redaction::Guest for Policy {
    fn redact(batch: FlatBatch) -> Result<Vec<Found>, GuestError> {
        let mut session = engine()?.session();
        let mut cuts = Cuts::of(&batch);
        let mut all = Vec::new();
        // One list for all, so that as little memory as possible is touched.
        let mut leaves = Vec::new();
        for (item, number) in (0..batch.kinds.len()).zip(0..) {
            let (path, kind) = cuts
                .document(item, &mut leaves)
                .ok_or_else(|| contradiction(item))?;
            let document = engine::Document { path, kind, leaves };
            for finding in session.judge(&document) {
                all.push(Found {
                    document: number,
                    finding: lower(finding).ok_or_else(|| too_large(item))?,
                });
            }
            leaves = document.leaves;
            leaves.clear();
        }
        Ok(all)
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

fn too_large(item: usize) -> GuestError {
    GuestError {
        message: "a leaf has more than 4 GiB".to_owned(),
        item: u32::try_from(item).ok(),
    }
}

/// Cuts a batch into documents, and its text into their leaves, one after the other.
struct Cuts<'a> {
    batch: &'a FlatBatch,
    /// What is left of the leaves.
    roles: &'a [u8],
    /// Those of each pointer and its value.
    ends: &'a [[u32; 2]],
    /// Where the path and the text end that were cut off last.
    path_end: usize,
    text_end: usize,
}

impl<'a> Cuts<'a> {
    fn of(batch: &'a FlatBatch) -> Self {
        Self {
            batch,
            roles: &batch.roles,
            ends: batch.ends.as_chunks().0,
            path_end: 0,
            text_end: 0,
        }
    }

    /// Returns path and kind of the next document, which is the one at `item`, and adds its leaves; none where the batch does not
    /// have them, or an end is not where one can be.
    fn document(
        &mut self,
        item: usize,
        leaves: &mut Vec<engine::Leaf<'a>>,
    ) -> Option<(&'a str, engine::Kind)> {
        let number = |numbers: &[u32]| usize::try_from(*numbers.get(item)?).ok();
        let path_end = number(&self.batch.path_ends)?;
        let path = self.batch.paths.get(self.path_end..path_end)?;
        self.path_end = path_end;
        let kind = *KINDS.get(usize::from(*self.batch.kinds.get(item)?))?;
        let count = number(&self.batch.counts)?;
        let (roles, other_roles) = self.roles.split_at_checked(count)?;
        let (ends, other_ends) = self.ends.split_at_checked(count)?;
        (self.roles, self.ends) = (other_roles, other_ends);
        let mut start = self.text_end;
        let mut text = |end: u32| {
            let end = usize::try_from(end).ok()?;
            let text = self.batch.text.get(start..end)?;
            start = end;
            Some(text)
        };
        leaves.reserve(count);
        for (of, [pointer_end, value_end]) in roles.iter().zip(ends) {
            leaves.push(engine::Leaf {
                role: *ROLES.get(usize::from(*of))?,
                pointer: text(*pointer_end)?,
                value: text(*value_end)?,
            });
        }
        self.text_end = start;
        Some((path, kind))
    }
}

/// Those of `leaf-role`, in its order.
const ROLES: [engine::Role; 3] = [engine::Role::Key, engine::Role::Text, engine::Role::Scalar];

/// Those of `document-kind`, in its order.
const KINDS: [engine::Kind; 11] = [
    engine::Kind::Config,
    engine::Kind::Row,
    engine::Kind::Code,
    engine::Kind::Description,
    engine::Kind::Extra,
    engine::Kind::Storage,
    engine::Kind::Sample,
    engine::Kind::Job,
    engine::Kind::Index,
    engine::Kind::Name,
    engine::Kind::Message,
];

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
    ROLES[role as usize]
}

fn kind(kind: DocumentKind) -> engine::Kind {
    KINDS[kind as usize]
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
