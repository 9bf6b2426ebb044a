//! Applies findings and the secrets mode to a file's bytes.
//!
//! A policy says what goes; what stands in its place is decided here: a marker of ours, or nothing.
//! Bytes are spliced, never written anew, so a redacted JSON file stays JSON of the same shape and a
//! redacted CSV file stays CSV. In code a marker gets quotes where it stands for a bare word. Whatever the policies said, values under keys that begin with `#` are
//! judged here once more: only an encrypted value, one reference to the vault, a marker and an empty
//! text may stay there. Doing it twice changes nothing.
//!
//! This module does not know what a secret in a text looks like.

mod code;
mod json;
mod merge;
pub(crate) mod value;

pub(crate) use json::removals;

use crate::{
    document::{Document, DocumentKind, LeafRole},
    finding::{Finding, RuleId, Target, WithholdReason},
    guard::KnownSecrets,
    marker::{Marker, TagKey},
    path::MirrorPath,
    walk::{self, Encoding, Format, Malformed},
};
use code::Language;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Range};
use thiserror::Error;

/// The rule of an encrypted value that must not stay.
const CIPHER_RULE: &str = "keboola-cipher";
/// The rule of an unencrypted value under a `#` key that no policy named.
const PLAINTEXT_RULE: &str = "keboola-plaintext";

/// What becomes of values under keys that begin with `#` (SPEC §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretsMode {
    /// Encrypted values stay as Keboola encrypted them.
    Encrypted,
    /// Encrypted values become markers, wherever they stand.
    Masked,
    /// Members of objects with such values are removed; elsewhere they become markers.
    Omitted,
}

impl SecretsMode {
    /// Returns the mode's name, as it stands in configurations and in the render digest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Masked => "masked",
            Self::Omitted => "omitted",
        }
    }
}

/// How a mirror redacts.
#[derive(Debug, Clone)]
pub struct Redaction {
    pub mode: SecretsMode,
    pub tag_key: TagKey,
}

impl Redaction {
    #[must_use]
    pub fn new(mode: SecretsMode, tag_key: TagKey) -> Self {
        Self { mode, tag_key }
    }

    /// Returns the encrypted values in a text of one leaf, such as a name, that the mode does not let stay.
    #[must_use]
    pub fn ciphers(&self, text: &str) -> Vec<Finding> {
        if self.mode == SecretsMode::Encrypted {
            return Vec::new();
        }
        let found = value::ciphers(text).map(|Range { start, end }| Finding {
            leaf: 0,
            target: Target::Bytes { start, end },
            rule: host_rule(CIPHER_RULE),
        });
        found.collect()
    }

    fn marker(&self, rule: &RuleId, secret: &str) -> Marker {
        Marker::new(rule, &self.tag_key, secret)
    }
}

/// Where a secret stood that Keboola should have encrypted. Never the secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub path: MirrorPath,
    /// RFC 6901 pointer, made of the names of members as they are after redaction.
    pub pointer: String,
    /// Id of the rule.
    pub rule: String,
}

/// What redaction did to one object's files. Entries repeat what files say and are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedactionStats {
    /// Encrypted values under `#` keys that stay encrypted.
    pub encrypted: u64,
    /// Pieces that were replaced by a marker, of whatever kind.
    pub masked: u64,
    /// Members that were removed.
    pub omitted: u64,
    /// Unencrypted values under `#` keys; each is also counted as masked or omitted.
    pub plaintext: Vec<Place>,
    /// Masked pieces and removed members by the id of the rule.
    pub by_rule: BTreeMap<String, u64>,
}

impl RedactionStats {
    /// Adds what was done to another file, or by a later policy to the same one.
    pub fn add(&mut self, other: Self) {
        let Self {
            encrypted,
            masked,
            omitted,
            plaintext,
            by_rule,
        } = other;
        self.encrypted += encrypted;
        self.masked += masked;
        self.omitted += omitted;
        self.plaintext.extend(plaintext);
        for (rule, count) in by_rule {
            *self.by_rule.entry(rule).or_default() += count;
        }
    }

    /// Returns how many secrets were found in all.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.encrypted + self.masked + self.omitted
    }

    fn count_masked(&mut self, rule: &RuleId) {
        self.masked += 1;
        *self.by_rule.entry(rule.as_str().to_owned()).or_default() += 1;
    }

    fn count_omitted(&mut self, rule: &RuleId) {
        self.omitted += 1;
        *self.by_rule.entry(rule.as_str().to_owned()).or_default() += 1;
    }
}

/// Why a file could not be redacted. Its object is withheld.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RedactionError {
    /// The file cannot be cut into leaves, or could not be any more.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// A finding names nothing in the document it is about.
    #[error("a finding for leaf {leaf} {problem}")]
    Finding { leaf: usize, problem: &'static str },
}

impl RedactionError {
    pub(crate) fn into_reason(self, guest: &str) -> WithholdReason {
        WithholdReason::Malformed {
            guest: guest.to_owned(),
            detail: self.to_string(),
        }
    }
}

/// What a text is: how it is cut into leaves, and in which language the one leaf of a text is written.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    format: Format,
    language: Option<Language>,
}

impl Form {
    /// Returns the form of a file by its path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        Self {
            format: Format::of(path),
            language: Language::of(path),
        }
    }

    /// The same of a file that is cut in another way than its path says, such as one that is no JSON after all.
    #[must_use]
    pub fn cut_as(format: Format, path: &str) -> Self {
        Self {
            format,
            language: Language::of(path),
        }
    }
}

/// A text in no language.
impl From<Format> for Form {
    fn from(format: Format) -> Self {
        Self {
            format,
            language: None,
        }
    }
}

/// What redacting one text yields, beside the text.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) encrypted: u64,
    pub(crate) stats: RedactionStats,
    /// Pointer and rule of each unencrypted value under a `#` key.
    pub(crate) plaintext: Vec<(String, RuleId)>,
    pub(crate) known: KnownSecrets,
    /// What was replaced: ascending, disjoint ranges of the text as it was.
    pub(crate) replaced: Vec<Range<usize>>,
}

/// Redacts one text; `None` where nothing changes.
pub(crate) fn redact(
    form: impl Into<Form>,
    text: &str,
    findings: &[Finding],
    redaction: &Redaction,
) -> Result<(Option<String>, Outcome), RedactionError> {
    let form = form.into();
    let (edits, mut outcome) = edits(form, text, findings, redaction)?;
    if edits.is_empty() {
        return Ok((None, outcome));
    }
    let edits: Vec<Edit> = outermost(edits).collect();
    outcome.replaced = edits.iter().map(|edit| edit.range.clone()).collect();
    let redacted = apply(text, edits);
    // Splicing cannot break a file; that a file is whole is too dear a promise to rest on this.
    walk::check(form.format, &redacted)?;
    Ok((Some(redacted), outcome))
}

/// One piece of a file that redaction takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Bytes of the file's text.
    pub range: Range<usize>,
    /// What comes in their place: a marker, or nothing where a member goes.
    pub by: String,
}

impl Replaced {
    /// Returns the `<type>` of the marker; none where a member goes.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        // A number of JSON and a word of code give way to a marker in quotes.
        let (_, marker) = self.by.split_once(crate::marker::START)?;
        marker.split(':').next()
    }
}

/// Returns what redaction replaces in a file: ascending, disjoint pieces. Nothing is changed, so this is for
/// looking at a policy.
///
/// # Errors
/// A text that is not what `form` says, or findings that do not fit it.
pub fn replaced(
    form: impl Into<Form>,
    text: &str,
    findings: &[Finding],
    redaction: &Redaction,
) -> Result<Vec<Replaced>, RedactionError> {
    let (edits, _) = edits(form.into(), text, findings, redaction)?;
    let kept = outermost(edits);
    Ok(kept
        .map(|Edit { range, text }| Replaced { range, by: text })
        .collect())
}

fn edits(
    Form { format, language }: Form,
    text: &str,
    findings: &[Finding],
    redaction: &Redaction,
) -> Result<(Vec<Edit>, Outcome), RedactionError> {
    let mut outcome = Outcome::default();
    if findings.is_empty() && !concerns_us(format, text, redaction.mode) {
        return Ok((Vec::new(), outcome));
    }
    let findings = ByLeaf::new(findings);
    let edits = match format {
        Format::Json | Format::JsonLines => {
            let mut tree = walk::tree(format, text)?;
            tree.mark_annotations_but(text, |leaf| !findings.of(leaf).is_empty());
            findings.check_leaves(tree.nodes.iter().filter(|node| node.leaf().is_some()).count())?;
            json::edits(text, &tree, &findings, redaction, &mut outcome)?
        }
        Format::Csv => {
            let table = walk::csv::Table::parse(text)?;
            findings.check_leaves(table.cells.len())?;
            let mut edits = Vec::new();
            for (leaf, cell) in table.cells.iter().enumerate() {
                let piece = Piece {
                    role: LeafRole::Text,
                    inner: cell.inner(),
                    encoding: cell.encoding(),
                    language: None,
                };
                splice(
                    text,
                    &piece,
                    findings.of(leaf),
                    redaction,
                    &mut outcome,
                    &mut edits,
                )?;
            }
            edits
        }
        Format::Text => {
            findings.check_leaves(1)?;
            let mut edits = Vec::new();
            let piece = Piece {
                role: LeafRole::Text,
                inner: 0..text.len(),
                encoding: Encoding::Plain,
                language,
            };
            splice(text, &piece, findings.of(0), redaction, &mut outcome, &mut edits)?;
            edits
        }
    };
    Ok((edits, outcome))
}

/// Says whether a text without findings may still hold something that the secrets mode is about.
fn concerns_us(format: Format, text: &str, mode: SecretsMode) -> bool {
    let has = |needle: &str| memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
    let json = matches!(format, Format::Json | Format::JsonLines);
    // Either character of a key or cipher may be written as an escape.
    json && (has("\"#") || has("\\u")) || mode != SecretsMode::Encrypted && has("KBC::")
}

/// Returns the unencrypted values that stand under `#` keys of a JSON text; none of a text that is none, which
/// cannot be rendered either.
#[must_use]
pub fn plaintexts(json: &str) -> KnownSecrets {
    plaintexts_of_file(Format::Json, json)
}

/// Returns the unencrypted values that stand under `#` keys of a file; none of one that is not what `format` says.
#[must_use]
pub fn plaintexts_of_file(format: Format, text: &str) -> KnownSecrets {
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    let outcome = redact(format, text, &[], &redaction);
    outcome.map(|(_, outcome)| outcome.known).unwrap_or_default()
}

/// Redacts a text that is no file: a name, a commit message.
///
/// Where a finding does not fit the text, all of the text goes.
#[must_use]
pub fn redact_text(text: &str, findings: &[Finding], redaction: &Redaction) -> String {
    match redact(Format::Text, text, findings, redaction) {
        Ok((redacted, _)) => redacted.unwrap_or_else(|| text.to_owned()),
        Err(_) => redaction
            .marker(&host_rule("unreadable-finding"), text)
            .to_string(),
    }
}

/// Makes the document of a text that is no file: a name, a commit message.
#[must_use]
pub fn document_of_text(kind: DocumentKind, text: &str) -> Document {
    Document {
        path: None,
        kind,
        component_id: String::new(),
        config_id: String::new(),
        leaves: walk::leaves(Format::Text, text).unwrap_or_default(),
    }
}

pub(crate) fn host_rule(id: &'static str) -> RuleId {
    RuleId::parse(id).expect("the host's rules are well-formed")
}

/// Findings by the leaf that they are about.
struct ByLeaf<'f>(Vec<&'f Finding>);

impl<'f> ByLeaf<'f> {
    fn new(findings: &'f [Finding]) -> Self {
        let mut sorted: Vec<_> = findings.iter().collect();
        sorted.sort_by_key(|finding| finding.leaf);
        Self(sorted)
    }

    fn check_leaves(&self, leaves: usize) -> Result<(), RedactionError> {
        match self.0.last() {
            Some(last) if last.leaf >= leaves => Err(RedactionError::Finding {
                leaf: last.leaf,
                problem: "names a leaf that the document does not have",
            }),
            _ => Ok(()),
        }
    }

    fn of(&self, leaf: usize) -> &[&'f Finding] {
        let start = self.0.partition_point(|finding| finding.leaf < leaf);
        let length = self.0[start..].partition_point(|finding| finding.leaf == leaf);
        &self.0[start..start + length]
    }
}

/// Bytes that give way to others. An empty range inserts.
struct Edit {
    range: Range<usize>,
    text: String,
}

struct Piece {
    role: LeafRole,
    inner: Range<usize>,
    encoding: Encoding,
    /// None of a piece of something else, such as a string of JSON.
    language: Option<Language>,
}

/// Replaces what the findings for one leaf cover by markers.
fn splice(
    text: &str,
    piece: &Piece,
    findings: &[&Finding],
    redaction: &Redaction,
    outcome: &mut Outcome,
    edits: &mut Vec<Edit>,
) -> Result<(), RedactionError> {
    let raw = &text[piece.inner.clone()];
    if findings.is_empty() && redaction.mode == SecretsMode::Encrypted {
        return Ok(());
    }
    let value = piece.encoding.decode(raw);
    let is_code = piece.language.is_some();
    let regions = merge::regions(piece.role, &value, findings, redaction.mode, is_code)?;
    let ranges: Vec<_> = regions.iter().map(|region| region.range.clone()).collect();
    if let Some(language) = piece.language.filter(|_| !regions.is_empty()) {
        for (place, first) in code::places(language, raw, &ranges) {
            let region = &regions[first];
            let marker = redaction.marker(&region.rule, &value[region.range.clone()]);
            edits.push(Edit {
                text: code::written(&place, &marker),
                range: place.range,
            });
            outcome.stats.count_masked(&region.rule);
        }
        return Ok(());
    }
    for (region, source) in regions.iter().zip(piece.encoding.source_ranges(raw, &ranges)) {
        let marker = redaction.marker(&region.rule, &value[region.range.clone()]);
        let range = piece.inner.start + source.start..piece.inner.start + source.end;
        edits.push(Edit {
            range,
            text: marker.to_string(),
        });
        outcome.stats.count_masked(&region.rule);
    }
    Ok(())
}

/// Applies the edits. One that lies within another goes with it.
fn apply(text: &str, edits: Vec<Edit>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in outermost(edits) {
        result.push_str(&text[copied..edit.range.start]);
        result.push_str(&edit.text);
        copied = edit.range.end;
    }
    result.push_str(&text[copied..]);
    result
}

/// Sorts the edits and drops those that lie within others.
fn outermost(mut edits: Vec<Edit>) -> impl Iterator<Item = Edit> {
    edits.sort_by(|a, b| {
        a.range
            .start
            .cmp(&b.range.start)
            .then(b.range.end.cmp(&a.range.end))
    });
    let mut end = 0;
    edits.into_iter().filter(move |edit| {
        let is_outer = edit.range.start >= end;
        if is_outer {
            end = edit.range.end;
        }
        is_outer
    })
}

#[cfg(test)]
mod tests;
