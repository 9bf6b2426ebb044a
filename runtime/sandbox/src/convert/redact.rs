//! Documents go in, findings come out.

use super::{Wrong, kind_in};
use crate::{
    bindings::{
        exports::keboola::mirror::{builtin_redaction, packed_redaction, redaction},
        keboola::mirror::types as wit,
    },
    config::Limits,
    redact::{PolicyInfo, Rule},
    text::{printable, shortened},
};
use mirror_core::{
    document::{Document, Leaf, LeafRole, Leaves},
    finding::{Finding, RuleId, Target},
};
use serde_json::Value;
use std::{borrow::Cow, collections::HashSet};

const RULES_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 100;
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
const PROBLEMS_MAX: usize = 50;

pub(crate) fn leaves(document: &Document) -> Vec<wit::Leaf<'_>> {
    document.leaves.iter().map(leaf).collect()
}

fn leaf(leaf: Leaf<'_>) -> wit::Leaf<'_> {
    wit::Leaf {
        pointer: leaf.pointer,
        role: role(leaf.role),
        value: leaf.value,
    }
}

fn role(role: LeafRole) -> wit::LeafRole {
    match role {
        LeafRole::Key => wit::LeafRole::Key,
        LeafRole::Text => wit::LeafRole::Text,
        LeafRole::Scalar => wit::LeafRole::Scalar,
    }
}

pub(crate) fn document<'a>(document: &'a Document, leaves: &'a [wit::Leaf<'a>]) -> wit::Document<'a> {
    wit::Document {
        path: document.path.as_ref().map_or("", |path| path.as_str()),
        kind: kind_in(document.kind),
        component_id: &document.component_id,
        config_id: &document.config_id,
        leaves,
    }
}

/// The pointers and values of all leaves of a batch as one text, and where each of them ends in it. Those of several
/// documents are copied together here, and all at once into the guest.
struct Together<'a> {
    text: Cow<'a, str>,
    ends: Vec<u32>,
}

impl<'a> Together<'a> {
    /// Puts them together; none where they have more bytes than 32 bits count, which no guest has the memory for.
    fn of(batch: &'a [Document]) -> Option<Self> {
        let leaves = || batch.iter().map(|document| &document.leaves);
        let bytes = leaves().map(|leaves| leaves.text().len()).sum();
        u32::try_from(bytes).ok()?;
        let mut ends = Vec::with_capacity(leaves().map(|leaves| leaves.ends().len()).sum());
        let mut start = 0;
        for leaves in leaves() {
            #[expect(clippy::cast_possible_truncation, reason = "all texts together are shorter")]
            ends.extend(leaves.ends().iter().map(|end| (start + end) as u32));
            start += leaves.text().len();
        }
        let text = match batch {
            // The large ones are alone.
            [document] => document.leaves.text().into(),
            _ => {
                let mut text = String::with_capacity(bytes);
                text.extend(leaves().map(Leaves::text));
                text.into()
            }
        };
        Some(Self { text, ends })
    }
}

/// A batch in the form of `packed-redaction`.
pub(crate) struct Packed<'a> {
    documents: Vec<packed_redaction::PackedDocument<'a>>,
    roles: Vec<wit::LeafRole>,
    together: Together<'a>,
}

impl<'a> Packed<'a> {
    /// Packs a batch; none where its texts have more bytes than 32 bits count, which no guest has the memory for.
    pub(crate) fn new(batch: &'a [Document]) -> Option<Self> {
        let leaves = batch.iter().map(|document| document.leaves.len()).sum();
        let mut packed = Self {
            together: Together::of(batch)?,
            documents: Vec::with_capacity(batch.len()),
            roles: Vec::with_capacity(leaves),
        };
        for document in batch {
            let roles = document.leaves.roles();
            packed.roles.extend(roles.iter().copied().map(role));
            packed.documents.push(packed_redaction::PackedDocument {
                path: document.path.as_ref().map_or("", |path| path.as_str()),
                kind: kind_in(document.kind),
                component_id: &document.component_id,
                config_id: &document.config_id,
                leaves: u32::try_from(document.leaves.len()).ok()?,
            });
        }
        Some(packed)
    }

    pub(crate) fn lent(&self) -> packed_redaction::Batch<'_> {
        packed_redaction::Batch {
            documents: &self.documents,
            roles: &self.roles,
            text: &self.together.text,
            ends: &self.together.ends,
        }
    }
}

/// A batch in the form of `builtin-redaction`: bytes and numbers, which are copied all at once.
pub(crate) struct Flat<'a> {
    kinds: Vec<u8>,
    paths: String,
    path_ends: Vec<u32>,
    counts: Vec<u32>,
    roles: Vec<u8>,
    together: Together<'a>,
}

impl<'a> Flat<'a> {
    /// Packs a batch; none where its texts have more bytes than 32 bits count, which no guest has the memory for.
    pub(crate) fn new(batch: &'a [Document]) -> Option<Self> {
        let leaves = batch.iter().map(|document| document.leaves.len()).sum();
        let mut flat = Self {
            together: Together::of(batch)?,
            kinds: Vec::with_capacity(batch.len()),
            paths: String::new(),
            path_ends: Vec::with_capacity(batch.len()),
            counts: Vec::with_capacity(batch.len()),
            roles: Vec::with_capacity(leaves),
        };
        for document in batch {
            let Document { leaves, .. } = document;
            flat.kinds.push(kind_in(document.kind) as u8);
            flat.paths
                .push_str(document.path.as_ref().map_or("", |path| path.as_str()));
            flat.path_ends.push(u32::try_from(flat.paths.len()).ok()?);
            flat.counts.push(u32::try_from(leaves.len()).ok()?);
            flat.roles.extend(leaves.roles().iter().map(|of| role(*of) as u8));
        }
        Some(flat)
    }

    pub(crate) fn lent(&self) -> builtin_redaction::FlatBatch<'_> {
        builtin_redaction::FlatBatch {
            kinds: &self.kinds,
            paths: &self.paths,
            path_ends: &self.path_ends,
            counts: &self.counts,
            roles: &self.roles,
            text: &self.together.text,
            ends: &self.together.ends,
        }
    }
}

/// Checks what a policy says of itself, and says what is wrong.
pub(crate) fn policy_info(info: redaction::PolicyInfo) -> (PolicyInfo, Vec<String>) {
    let redaction::PolicyInfo {
        name,
        version,
        rules,
        settings_schema,
    } = info;
    let mut problems = Vec::new();
    if rules.is_empty() {
        problems.push("it has no rules, and each finding names one; return them from `describe`".to_owned());
    }
    if rules.len() > RULES_MAX {
        problems.push(format!(
            "it has {} rules and {RULES_MAX} are allowed",
            rules.len()
        ));
    }
    problems.extend(schema_problem(&settings_schema));
    let (mut seen, mut listed) = (HashSet::new(), Vec::new());
    for (index, rule) in rules.into_iter().take(RULES_MAX).enumerate() {
        match RuleId::parse(&rule.id) {
            None => problems.push(format!(
                "the id of its rule {index}, `{}`, is not 1 to 40 characters of a-z, 0-9 and -",
                printable(&rule.id)
            )),
            Some(id) => {
                if !seen.insert(id.clone()) {
                    problems.push(format!("it has the rule id `{}` twice", id.as_str()));
                }
                listed.push(Rule {
                    id,
                    title: printable(&rule.title),
                });
            }
        }
    }
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more"));
    }
    let info = PolicyInfo {
        name: shortened(&name, NAME_CHARS_MAX),
        version: shortened(&version, NAME_CHARS_MAX),
        rules: listed,
        settings_schema,
    };
    (info, problems)
}

/// Says why nothing can be made of a schema of settings, which are always an object; none where it can, or there is none.
fn schema_problem(schema: &str) -> Option<String> {
    const MEND: &str =
        "return a JSON Schema of an object from `describe`, or an empty text where there are no settings";
    if schema.is_empty() {
        return None;
    }
    if schema.len() > SCHEMA_BYTES_MAX {
        return Some(format!(
            "its settings schema is longer than {SCHEMA_BYTES_MAX} bytes"
        ));
    }
    let parsed: Value = match serde_json::from_str(schema) {
        Ok(parsed) => parsed,
        Err(error) => {
            return Some(format!(
                "its settings schema is not JSON (line {}, column {}); {MEND}",
                error.line(),
                error.column()
            ));
        }
    };
    let Value::Object(parsed) = parsed else {
        return Some(format!("its settings schema is JSON and no object; {MEND}"));
    };
    let takes_objects = match parsed.get("type") {
        None => true,
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(_) => false,
    };
    (!takes_objects)
        .then(|| format!("the `type` in its settings schema is not `object`, which settings are; {MEND}"))
}

/// Checks the findings in one document.
pub(crate) fn findings(
    limits: &Limits,
    rules: &[Rule],
    document: &Document,
    raw: Vec<redaction::Finding>,
) -> Result<Vec<Finding>, Wrong> {
    if raw.len() > limits.findings_max {
        return Err(Wrong::OverLimit("findings_max"));
    }
    let mut searched_bytes = 0_usize;
    let mut findings = Vec::with_capacity(raw.len());
    for redaction::Finding { leaf, target, rule } in raw {
        let leaf = leaf as usize;
        let malformed = |what: String| Wrong::Malformed(format!("a finding in leaf {leaf} {what}"));
        let value = document.leaves.get(leaf).map(|leaf| leaf.value);
        let value =
            value.ok_or_else(|| malformed(format!("of a document with {} leaves", document.leaves.len())))?;
        let rule = rules
            .get(rule as usize)
            .ok_or_else(|| malformed(format!("names rule {rule} of {}", rules.len())))?;
        let target = match target {
            redaction::Target::Whole => Target::Whole,
            redaction::Target::Literal(literal) => {
                searched_bytes = searched_bytes.saturating_add(value.len());
                if searched_bytes > limits.literal_search_bytes_max {
                    return Err(Wrong::OverLimit("literal_search_bytes_max"));
                }
                if literal.is_empty() || !value.contains(&literal) {
                    return Err(malformed(
                        "has a literal that is empty or does not occur".to_owned(),
                    ));
                }
                Target::Literal(literal)
            }
            redaction::Target::Bytes(range) => {
                let (start, end) = (range.start as usize, range.end as usize);
                if start >= end || value.get(start..end).is_none() {
                    let length = value.len();
                    return Err(malformed(format!(
                        "has the range {start}..{end}, which is empty, outside its {length} bytes or inside a character"
                    )));
                }
                Target::Bytes { start, end }
            }
        };
        findings.push(Finding {
            leaf,
            target,
            rule: rule.id.clone(),
        });
    }
    Ok(findings)
}
