//! Judges documents: the policy as an ordinary function.
//!
//! Structure first, then known forms, then names and values. The host cuts a file into leaves and puts the
//! markers in; this only says which pieces go.

use crate::keys::Strength;
use crate::members::{Members, Place};
use crate::names::{Lexicon, Names};
use crate::nearby::Header;
use crate::pairs::rule_for;
use crate::plain::Plain;
use crate::rules::{self, RuleIndex};
use crate::scan::{self, Depth, Hit, Scanner};
use crate::settings::Settings;
use crate::{ids, keboola, repeated, structure, vendors};
use std::ops::Range;
use std::sync::OnceLock;

/// What a document is (`document-kind` of `wit/types.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The name of an object member.
    Key,
    /// A string value, a CSV cell, or the whole of a text.
    Text,
    /// A number, `true` or `false` below a `#` key.
    Scalar,
}

/// One judged piece of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// RFC 6901 pointer; empty for a text, `/<row>/<column>` for a cell.
    pub pointer: &'a str,
    pub role: Role,
    /// The decoded text.
    pub value: &'a str,
}

/// One file or text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// Path in the repository; empty for names and messages.
    pub path: &'a str,
    pub kind: Kind,
    pub leaves: Vec<Leaf<'a>>,
}

/// Which part of a leaf goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Whole,
    /// A half-open range of the value's bytes, on character boundaries.
    Bytes {
        start: usize,
        end: usize,
    },
}

/// One piece that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Index into the document's leaves.
    pub leaf: usize,
    pub target: Target,
    pub rule: RuleIndex,
}

/// The policy, ready to judge.
#[derive(Debug)]
pub struct Engine {
    scanner: Scanner,
    lexicon: Lexicon,
    settings: Settings,
}

/// Judges documents with no settings. One list of findings for each document, in order.
#[must_use]
pub fn judge(documents: &[Document<'_>]) -> Vec<Vec<Finding>> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| Engine::new(Settings::default()));
    let mut session = engine.session();
    documents.iter().map(|document| session.judge(document)).collect()
}

/// The policy at work on a batch: what it has found out of names and texts in one document it knows in the next.
#[derive(Debug)]
pub struct Session<'e, 'a> {
    engine: &'e Engine,
    names: Names<'e>,
    /// Names of members without known forms.
    keys: Plain<'a>,
    /// Values in which nothing is, whatever their members are called.
    values: Plain<'a>,
}

impl Engine {
    /// Prepares the policy; takes some milliseconds.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            scanner: Scanner::new(),
            lexicon: Lexicon::new(),
            settings,
        }
    }

    /// Begins with a batch.
    #[must_use]
    pub fn session<'a>(&self) -> Session<'_, 'a> {
        Session {
            engine: self,
            names: self.lexicon.names(),
            keys: Plain::new(),
            values: Plain::new(),
        }
    }

    /// Judges one document; of several, a [`Session`] is faster.
    #[must_use]
    pub fn judge(&self, document: &Document<'_>) -> Vec<Finding> {
        self.session().judge(document)
    }
}

impl<'a> Session<'_, 'a> {
    /// Judges one document.
    #[must_use]
    pub fn judge(&mut self, document: &Document<'a>) -> Vec<Finding> {
        let Self {
            engine,
            names,
            keys,
            values,
        } = self;
        let mut findings = Vec::new();
        let mut header = Header::default();
        let mut members = Members::new(names);
        for (at, leaf) in document.leaves.iter().enumerate() {
            if leaf.role == Role::Key {
                engine.judge_key(keys, at, leaf.value, &mut findings);
                continue;
            }
            let place = members.place(leaf.pointer);
            if place.is_under_hash && !structure::is_mere_annotation(document, at) {
                if !keboola::may_stay_under_hash(leaf.value) {
                    findings.push(whole(at, rules::KEBOOLA_PLAINTEXT));
                }
            } else if leaf.role == Role::Text {
                let judged = engine.judge_by_names(document, at, place, &mut header, &mut members);
                engine.judge_value(values, at, leaf.value, judged, &mut findings);
            }
        }
        repeated::add(document, &mut findings);
        if !engine.settings.is_empty() {
            findings.retain(|finding| !engine.settings.allows(finding.rule, document.path));
        }
        findings
    }
}

impl Engine {
    fn judge_key<'a>(&self, keys: &mut Plain<'a>, at: usize, name: &'a str, findings: &mut Vec<Finding>) {
        if scan::is_short_name(name.as_bytes()) || keys.has(name) {
            return;
        }
        let hits = self.scanner.scan(name, Depth::Forms);
        if hits.is_empty() {
            keys.add(name);
        }
        findings.extend(hits.into_iter().map(|hit| hit.into_finding(at)));
    }

    /// Judges a value by the names that its place in the document gives it.
    fn judge_by_names<'a>(
        &self,
        document: &Document<'a>,
        at: usize,
        place: Place<'a>,
        header: &mut Header<'a>,
        members: &mut Members<'_, '_, 'a>,
    ) -> Option<(Strength, Range<usize>)> {
        let Leaf { pointer, value, .. } = document.leaves[at];
        let cell = if document.kind == Kind::Sample {
            structure::cell(pointer)
        } else {
            None
        };
        match cell {
            Some((0, column)) => {
                header.learn(self.lexicon.keywords(), column, value);
                // A table need not have one.
                vendors::judge_cell(document, at, "")
            }
            Some(cell @ (_, column)) => header
                .judge(self.lexicon.keywords(), document, at, cell)
                .or_else(|| vendors::judge_cell(document, at, header.name(column))),
            None if pointer.is_empty() => None,
            None => members.judge(document, at, place),
        }
    }

    /// Judges a value by what is in it, and adds that to what names made of it.
    fn judge_value<'a>(
        &self,
        values: &mut Plain<'a>,
        at: usize,
        value: &'a str,
        judged: Option<(Strength, Range<usize>)>,
        findings: &mut Vec<Finding>,
    ) {
        let is_plain = scan::is_short_name(value.as_bytes()) || values.has(value);
        if is_plain && judged.is_none() {
            return;
        }
        let mut hits = Vec::new();
        // A name above it may promise a secret: a package is called `jsonwebtoken`.
        if let Some((strength, range)) = judged.filter(|_| !ids::is_integrity(value)) {
            let rule = rule_for(strength);
            if range == (0..value.len()) {
                findings.push(whole(at, rule));
                return;
            }
            hits.push(Hit { range, rule });
        }
        if !is_plain {
            if let Some(rule) = self.scanner.judge_encoded(value) {
                findings.push(whole(at, rule));
                return;
            }
            let found = self.scanner.scan(value, Depth::All(0));
            if found.is_empty() {
                values.add(value);
            }
            hits.extend(found);
        }
        findings.extend(scan::merge(hits).into_iter().map(|hit| hit.into_finding(at)));
    }
}

fn whole(leaf: usize, rule: RuleIndex) -> Finding {
    Finding {
        leaf,
        target: Target::Whole,
        rule,
    }
}

impl Hit {
    pub(crate) fn into_finding(self, leaf: usize) -> Finding {
        Finding {
            leaf,
            target: Target::Bytes {
                start: self.range.start,
                end: self.range.end,
            },
            rule: self.rule,
        }
    }
}

#[cfg(test)]
mod tests;
