//! The names in a source object of which renderers make paths.
//!
//! A name becomes part of a path in a form in which no policy knows a secret any more: small
//! letters, dashes. So names are judged as they were typed, and a renderer gets its object without
//! what must not be seen. It cannot put into a path, a reference or an order what it was never
//! given.

use super::SourceObject;
use crate::{
    finding::Finding,
    ids::ObjectKey,
    redaction::{self, Redaction, RedactionStats, redact_text},
    walk::{
        self, Format, Malformed,
        json::{Kind, Tree},
    },
};
use std::ops::Range;

/// Where the API's answers have names of things; `*` stands for each element of a list. The first
/// two are what the object itself may be called.
const PLACES: [&[&str]; 6] = [
    &["name"],
    // A row without a name is called as its configuration says.
    &["configuration", "name"],
    &["configuration", "parameters", "blocks", "*", "name"],
    &["configuration", "parameters", "blocks", "*", "codes", "*", "name"],
    &["configuration", "phases", "*", "name"],
    &["configuration", "tasks", "*", "name"],
];
const OWN_PLACES: usize = 2;

/// A name in the source of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceName {
    /// As it was typed; never empty.
    pub text: String,
    /// Whether it is the object's own name, and not that of a block, code, phase or task.
    pub is_own: bool,
    /// The string literal in the source.
    literal: Range<usize>,
}

impl SourceObject {
    /// Returns the names that paths are made of: those of a branch, configuration or row, and of the
    /// blocks, codes, phases and tasks in it. Other objects have ids in their paths.
    ///
    /// # Errors
    /// A branch, configuration or row whose source is no JSON.
    pub fn names(&self) -> Result<Vec<SourceName>, Malformed> {
        match self.key {
            ObjectKey::Branch | ObjectKey::Config { .. } | ObjectKey::Row { .. } => {}
            ObjectKey::Bucket(_) | ObjectKey::Table(_) | ObjectKey::Sample(_) | ObjectKey::Job(_) => {
                return Ok(Vec::new());
            }
        }
        let tree = walk::tree(Format::Json, &self.source)?;
        let mut names = Vec::new();
        for (rank, place) in PLACES.iter().enumerate() {
            for &(_, root) in &tree.roots {
                self.collect(&tree, root, place, rank < OWN_PLACES, &mut names);
            }
        }
        Ok(names)
    }

    fn collect(&self, tree: &Tree, at: usize, place: &[&str], is_own: bool, names: &mut Vec<SourceName>) {
        let node = &tree.nodes[at];
        match (place, node.kind) {
            ([], Kind::String) => {
                let text = node.value(&self.source).into_owned();
                if !text.is_empty() {
                    names.push(SourceName {
                        text,
                        is_own,
                        literal: node.span(),
                    });
                }
            }
            (["*", rest @ ..], Kind::Array) => {
                for child in tree.children(at) {
                    self.collect(tree, child, rest, is_own, names);
                }
            }
            // Of a member that is there twice, each: readers differ in which one counts.
            ([step, rest @ ..], Kind::Object) => {
                for (key, value) in tree.members(at) {
                    if tree.nodes[key].value(&self.source) == *step {
                        self.collect(tree, value, rest, is_own, names);
                    }
                }
            }
            _ => {}
        }
    }

    /// Puts markers in the place of what was found in names, which must be this object's own and
    /// from its present source. Nothing else of the source changes.
    pub fn redact_names(
        &mut self,
        mut found: Vec<(SourceName, Vec<Finding>)>,
        redaction: &Redaction,
    ) -> RedactionStats {
        let mut stats = RedactionStats::default();
        // From the back, so that the places before stay where they are.
        found.sort_by_key(|(name, _)| std::cmp::Reverse(name.literal.start));
        for (name, findings) in found {
            let redacted = match redaction::redact(Format::Text, &name.text, &findings, redaction) {
                Ok((redacted, outcome)) => {
                    stats.add(outcome.stats);
                    redacted
                }
                Err(_) => Some(redact_text(&name.text, &findings, redaction)),
            };
            if let Some(redacted) = redacted {
                let literal = serde_json::Value::from(redacted).to_string();
                self.source.replace_range(name.literal, &literal);
            }
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::{RuleId, Target},
        marker::TagKey,
        redaction::SecretsMode,
    };

    fn object(key: ObjectKey, source: &str) -> SourceObject {
        SourceObject {
            key,
            component: None,
            source: source.to_owned(),
            metadata: Vec::new(),
        }
    }

    fn config(source: &str) -> SourceObject {
        let key = ObjectKey::Config {
            component: "c".parse().unwrap(),
            config: "1".parse().unwrap(),
        };
        object(key, source)
    }

    fn names(object: &SourceObject) -> Vec<(String, bool)> {
        let names = object.names().expect("it is JSON").into_iter();
        names.map(|name| (name.text, name.is_own)).collect()
    }

    const SOURCE: &str = r#"{"id": "1", "name": "own \u0041", "description": "not me", "configuration": {
        "name": "row", "parameters": {"name": "not me", "blocks": [
            {"name": "block", "codes": [{"name": "code", "script": ["not me"]}, {"name": ""}, 7]}]},
        "phases": [{"id": 1, "name": "phase", "dependsOn": []}],
        "tasks": [{"name": "task", "task": {"name": "not me"}}, {"name": 5}]}}"#;

    #[test]
    fn names_are_those_that_paths_are_made_of() {
        let found = names(&config(SOURCE));
        let expected = [
            ("own A", true),
            ("row", true),
            ("block", false),
            ("code", false),
            ("phase", false),
            ("task", false),
        ];
        assert_eq!(found, expected.map(|(name, own)| (name.to_owned(), own)));
        assert_eq!(names(&config(r#"{"name":"a","name":"b"}"#)).len(), 2);
        assert_eq!(names(&config("[]")), []);
        assert!(config("{").names().is_err());
        let table = object(ObjectKey::Table("in.c-a.b".parse().unwrap()), "no JSON");
        assert_eq!(names(&table), []);
    }

    #[test]
    fn only_what_was_found_gives_way_to_a_marker() {
        let mut object = config(SOURCE);
        let rule = RuleId::parse("test").unwrap();
        let mut found = |name: SourceName| {
            let target = match name.text.as_str() {
                "own A" => Target::Bytes { start: 4, end: 5 },
                "code" => Target::Whole,
                // It does not fit: all of the name goes.
                "task" => Target::Bytes { start: 2, end: 90 },
                _ => return None,
            };
            let rule = rule.clone();
            Some((
                name,
                vec![Finding {
                    leaf: 0,
                    target,
                    rule,
                }],
            ))
        };
        let found = object
            .names()
            .unwrap()
            .into_iter()
            .filter_map(&mut found)
            .collect();
        let stats = object.redact_names(found, &Redaction::new(SecretsMode::Encrypted, TagKey::none()));
        let expected = SOURCE
            .replace(r"own \u0041", "own [REDACTED:test:0]")
            .replace("\"code\"", "\"[REDACTED:test:0]\"")
            .replace("\"task\", ", "\"[REDACTED:unreadable-finding:0]\", ");
        assert_eq!(object.source, expected);
        assert_eq!(stats.by_rule.get("test"), Some(&2));
    }
}
