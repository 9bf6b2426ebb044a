//! The last line before a commit: it looks at final bytes, names and messages, natively.
//!
//! It is no second policy. It knows three things that are all but certain to be secrets: values
//! under `#` keys that are not encrypted, tokens whose form (and check digits, where they have
//! some) leave little doubt, and the secrets that this run itself holds or has seen. A hit
//! withholds the object, so whatever is not certain is the policies' affair.

mod cuts;
mod detect;
mod forms;
mod known;
mod pieces;
mod sightings;
mod slug;

pub(crate) use cuts::{Cut, Form};
pub use known::KnownSecrets;
pub use sightings::Sightings;
pub use slug::Slugs;

use crate::{
    finding::RuleId,
    redaction::{host_rule, value},
    walk::{self, Format, json},
};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::fmt;

/// The rule of a value under a `#` key that may not stay there.
const HASH_KEY: &str = "guard-hash-key";
/// The rule of a file that cannot be read, and so not be judged.
const UNREADABLE: &str = "guard-unreadable";
/// The rule of a secret that the run itself holds or has seen.
const KNOWN: &str = "guard-known-secret";

/// Puts texts into one automaton; none if they have too many bytes for one. This kind has some twentieth of the size of
/// the fastest one, and each lane has its own.
fn automaton(texts: &[String]) -> Option<AhoCorasick> {
    let mut builder = AhoCorasick::builder();
    builder.kind(Some(AhoCorasickKind::ContiguousNFA));
    builder.build(texts).ok()
}

/// Judges what is about to leave.
pub struct Guard {
    known: known::Matcher,
    slugs: Slugs,
}

impl Guard {
    /// Takes the secrets that must not occur: the run's own, and those seen under `#` keys.
    ///
    /// The guard holds copies of them in its tables, which are not wiped when it goes.
    #[must_use]
    pub fn new(known: &KnownSecrets) -> Self {
        Self {
            known: known::Matcher::new(known),
            slugs: known.slugs(),
        }
    }

    /// Judges a file; the path says what it is. Returns the rule that it breaks, if it breaks one.
    #[must_use]
    pub fn check_file(&self, path: &str, content: &str) -> Option<RuleId> {
        self.judge(Format::of(path), content).map(host_rule)
    }

    /// Judges a text that is no file and is shown as it was written: a message, an identity.
    #[must_use]
    pub fn check_text(&self, text: &str) -> Option<RuleId> {
        self.scan(text).map(host_rule)
    }

    /// Judges a path, a name of a reference, or a name of which either is made: in these, known
    /// secrets are also found in the form that slugging gives them.
    #[must_use]
    pub fn check_name(&self, name: &str) -> Option<RuleId> {
        let slug = || self.slugs.is_in(name).then_some(KNOWN);
        self.scan(name).or_else(slug).map(host_rule)
    }

    pub(crate) fn check_json(&self, content: &str) -> Option<RuleId> {
        self.judge(Format::Json, content).map(host_rule)
    }

    fn judge(&self, format: Format, content: &str) -> Option<&'static str> {
        self.scan(content).or_else(|| match format {
            Format::Json | Format::JsonLines => self.judge_json(format, content),
            Format::Csv => self.judge_csv(content),
            Format::Text => None,
        })
    }

    fn scan(&self, text: &str) -> Option<&'static str> {
        detect::find(text).or_else(|| self.known.is_in(text).then_some(KNOWN))
    }

    /// Judges what the bytes alone do not show: what stands below `#` keys, and escaped texts.
    fn judge_json(&self, format: Format, content: &str) -> Option<&'static str> {
        if memchr::memchr(b'\\', content.as_bytes()).is_none() && !content.contains("\"#") {
            return None;
        }
        let Ok(tree) = walk::tree(format, content) else {
            return Some(UNREADABLE);
        };
        tree.nodes.iter().find_map(|node| {
            let stays = || value::classify(&node.value(content)) != value::Class::Plaintext;
            match node.kind {
                json::Kind::Scalar if node.secret && !node.annotation => Some(HASH_KEY),
                json::Kind::String if node.secret && !node.annotation && !stays() => Some(HASH_KEY),
                json::Kind::Key | json::Kind::String => match node.value(content) {
                    std::borrow::Cow::Owned(text) => self.scan(&text),
                    std::borrow::Cow::Borrowed(_) => None,
                },
                json::Kind::Object | json::Kind::Array | json::Kind::Scalar | json::Kind::Null => None,
            }
        })
    }

    fn judge_csv(&self, content: &str) -> Option<&'static str> {
        if !content.contains("\"\"") {
            return None;
        }
        let Ok(table) = walk::csv::Table::parse(content) else {
            return Some(UNREADABLE);
        };
        table.cells.iter().find_map(|cell| match cell.value(content) {
            std::borrow::Cow::Owned(text) => self.scan(&text),
            std::borrow::Cow::Borrowed(_) => None,
        })
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
