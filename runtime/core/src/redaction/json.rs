//! Edits of JSON: names of members, values, whole members.

use super::{
    ByLeaf, CIPHER_RULE, Edit, Outcome, PLAINTEXT_RULE, Piece, Redaction, RedactionError, SecretsMode, apply,
    host_rule, merge, splice,
    value::{Class, classify},
};
use crate::{
    document::LeafRole,
    finding::{Finding, RuleId},
    walk::{
        Encoding,
        json::{Kind, Node, Tree},
        push_segment,
    },
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

/// Returns the edits that redact the values of a tree.
pub(super) fn edits(
    text: &str,
    tree: &Tree,
    findings: &ByLeaf<'_>,
    redaction: &Redaction,
    outcome: &mut Outcome,
) -> Result<Vec<Edit>, RedactionError> {
    let mut redactor = Redactor {
        text,
        tree,
        findings,
        redaction,
        outcome,
        edits: Vec::new(),
        pointer: String::new(),
    };
    for &(line, root) in &tree.roots {
        redactor.pointer.clear();
        if let Some(line) = line {
            push_segment(&mut redactor.pointer, &line.to_string());
        }
        redactor.value(root, false)?;
    }
    Ok(redactor.edits)
}

/// What becomes of the value of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// The member goes, with its name.
    Goes,
}

struct Redactor<'a> {
    text: &'a str,
    tree: &'a Tree,
    findings: &'a ByLeaf<'a>,
    redaction: &'a Redaction,
    outcome: &'a mut Outcome,
    edits: Vec<Edit>,
    /// Where we are, in names as they are after redaction.
    pointer: String,
}

impl Redactor<'_> {
    /// Redacts a value; `member` says whether it is directly the value of a member.
    fn value(&mut self, at: usize, member: bool) -> Result<Fate, RedactionError> {
        let node = self.tree.nodes[at];
        match node.kind {
            Kind::Object => self.object(at),
            Kind::Array => {
                let length = self.pointer.len();
                for (index, element) in self.tree.children(at).enumerate() {
                    push_segment(&mut self.pointer, &index.to_string());
                    self.value(element, false)?;
                    self.pointer.truncate(length);
                }
                Ok(Fate::Stays)
            }
            // What describes a `#` key is no value of it; a policy may object to it all the same.
            Kind::Scalar if node.annotation && !self.is_found(&node) => Ok(Fate::Stays),
            Kind::String if node.annotation => {
                self.splice(&node, LeafRole::Text)?;
                Ok(Fate::Stays)
            }
            Kind::String | Kind::Scalar if node.secret => self.secret(&node, member),
            Kind::String => {
                self.splice(&node, LeafRole::Text)?;
                Ok(Fate::Stays)
            }
            Kind::Key | Kind::Scalar | Kind::Null => Ok(Fate::Stays),
        }
    }

    fn object(&mut self, at: usize) -> Result<Fate, RedactionError> {
        let length = self.pointer.len();
        let names = self.names(at)?;
        let (mut members, mut removed) = (Vec::new(), Vec::new());
        for (key, value) in self.tree.members(at) {
            match names.get(&key) {
                Some(name) => push_segment(&mut self.pointer, name),
                None => push_segment(&mut self.pointer, &self.tree.nodes[key].value(self.text)),
            }
            let fate = self.value(value, true)?;
            self.pointer.truncate(length);
            members.push(self.tree.nodes[key].span().start..self.tree.nodes[value].span().end);
            removed.push(fate == Fate::Goes);
        }
        if removed.contains(&true) {
            let object = &self.tree.nodes[at];
            let removals = removals(object.span(), &members, &removed);
            self.edits.extend(removals.into_iter().map(|range| Edit {
                range,
                text: String::new(),
            }));
        }
        Ok(Fate::Stays)
    }

    /// Redacts the names of an object's members; returns those that change, by the key's node.
    ///
    /// Two names of one object that would become the same get a number: `[REDACTED:x:0]-2`.
    fn names(&mut self, at: usize) -> Result<HashMap<usize, String>, RedactionError> {
        let mut changed: Vec<(usize, String)> = Vec::new();
        for (key, _) in self.tree.members(at) {
            let node = &self.tree.nodes[key];
            let before = self.edits.len();
            self.splice(node, LeafRole::Key)?;
            if self.edits.len() > before {
                changed.push((key, self.edited(node, before)));
            }
        }
        if changed.is_empty() {
            return Ok(HashMap::new());
        }
        let is_changed: HashSet<usize> = changed.iter().map(|(key, _)| *key).collect();
        let unchanged = self
            .tree
            .members(at)
            .map(|(key, _)| key)
            .filter(|key| !is_changed.contains(key));
        let mut taken: HashSet<String> = unchanged
            .map(|key| self.tree.nodes[key].value(self.text).into_owned())
            .collect();
        let mut next_number: HashMap<String, u64> = HashMap::new();
        let mut names = HashMap::new();
        for (key, wished) in changed {
            let mut name = wished.clone();
            while !taken.insert(name.clone()) {
                let number = next_number.entry(wished.clone()).or_insert(2);
                name = format!("{wished}-{number}");
                *number += 1;
            }
            if let Some(suffix) = name.strip_prefix(&wished).filter(|suffix| !suffix.is_empty()) {
                let end = self.tree.nodes[key].inner().end;
                self.edits.push(Edit {
                    range: end..end,
                    text: suffix.to_owned(),
                });
            }
            names.insert(key, name);
        }
        Ok(names)
    }

    /// Returns a key's text after the edits from `first` on, all of which are of this key.
    fn edited(&self, key: &Node, first: usize) -> String {
        let inner = key.inner();
        let within = |edit: &Edit| Edit {
            range: edit.range.start - inner.start..edit.range.end - inner.start,
            text: edit.text.clone(),
        };
        let raw = apply(
            &self.text[inner.clone()],
            self.edits[first..].iter().map(within).collect(),
        );
        Encoding::Json.decode(&raw).into_owned()
    }

    fn splice(&mut self, node: &Node, role: LeafRole) -> Result<(), RedactionError> {
        let piece = Piece {
            role,
            inner: node.inner(),
            encoding: Encoding::Json,
            language: None,
        };
        let findings = node.leaf().map_or(&[][..], |leaf| self.findings.of(leaf));
        splice(
            self.text,
            &piece,
            findings,
            self.redaction,
            self.outcome,
            &mut self.edits,
        )
    }

    /// Says whether a policy has found something in it.
    fn is_found(&self, node: &Node) -> bool {
        node.leaf().is_some_and(|leaf| !self.findings.of(leaf).is_empty())
    }

    /// Judges a value below a `#` key.
    fn secret(&mut self, node: &Node, member: bool) -> Result<Fate, RedactionError> {
        let value = node.value(self.text);
        let findings = node.leaf().map_or(&[][..], |leaf| self.findings.of(leaf));
        let class = if node.kind == Kind::Scalar {
            Class::Plaintext
        } else {
            classify(&value)
        };
        let found = strongest(&value, findings)?;
        let rule = match class {
            Class::Empty | Class::Marker => return Ok(Fate::Stays),
            Class::Vault => match found {
                Some(rule) => rule,
                None => return Ok(Fate::Stays),
            },
            Class::Cipher => match found {
                Some(rule) => rule,
                None if self.redaction.mode == SecretsMode::Encrypted => {
                    self.outcome.encrypted += 1;
                    return Ok(Fate::Stays);
                }
                None => host_rule(CIPHER_RULE),
            },
            Class::Plaintext => {
                let rule = found.unwrap_or_else(|| host_rule(PLAINTEXT_RULE));
                self.outcome.known.add_plaintext(&value);
                self.outcome.plaintext.push((self.pointer.clone(), rule.clone()));
                rule
            }
        };
        if self.redaction.mode == SecretsMode::Omitted && member {
            self.outcome.stats.count_omitted(&rule);
            return Ok(Fate::Goes);
        }
        let marker = self.redaction.marker(&rule, &value);
        let text = if node.kind == Kind::Scalar {
            format!("\"{marker}\"")
        } else {
            marker.to_string()
        };
        self.edits.push(Edit {
            range: node.inner(),
            text,
        });
        self.outcome.stats.count_masked(&rule);
        Ok(Fate::Stays)
    }
}

/// Returns the rule that covers most of a value which goes as a whole, if any does.
fn strongest(value: &str, findings: &[&Finding]) -> Result<Option<RuleId>, RedactionError> {
    let regions = merge::regions(LeafRole::Text, value, findings, SecretsMode::Encrypted, false)?;
    let longest = regions
        .into_iter()
        .reduce(|a, b| if b.range.len() > a.range.len() { b } else { a });
    Ok(longest.map(|region| region.rule))
}

/// Returns what to cut out of a container so that the chosen children go, with their commas.
///
/// Spacing stays as it is around the children that stay; a container that loses all is left empty.
pub(crate) fn removals(
    container: Range<usize>,
    children: &[Range<usize>],
    removed: &[bool],
) -> Vec<Range<usize>> {
    let Some(last_kept) = removed.iter().rposition(|removed| !removed) else {
        let inside = container.start + 1..container.end - 1;
        return vec![inside];
    };
    let mut cuts = Vec::new();
    for (index, child) in children.iter().enumerate().take(last_kept) {
        if removed[index] {
            // Up to the next child, whose indentation is then ours.
            cuts.push(child.start..children[index + 1].start);
        }
    }
    if let Some(last) = children.last().filter(|_| last_kept + 1 < children.len()) {
        cuts.push(children[last_kept].end..last.end);
    }
    cuts
}
