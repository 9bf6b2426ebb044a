//! The built-in policy on any text, in files of every kind and language.
//!
//! Its findings fit the document and leave encrypted values and markers alone. Judged once more, what was redacted is
//! as it is, but for names that a long value without blanks had hidden and now stand alone: so the passes come to an end.

#[cfg(test)]
mod adjacent;

use crate::documents::{path, spliced};
use mirror_core::{
    document::{Leaf, LeafRole, Leaves},
    finding::{Finding, RuleId, Target},
    marker::{Marker, TagKey},
    redaction::{self, Redaction, SecretsMode},
    walk::{self, Format},
};
use secret_redaction::{
    engine::{self, Document, Kind, Role},
    keboola::is_cipher,
    rules,
    settings::Settings,
};

const KINDS: [Kind; 11] = [
    Kind::Config,
    Kind::Code,
    Kind::Sample,
    Kind::Row,
    Kind::Description,
    Kind::Extra,
    Kind::Storage,
    Kind::Job,
    Kind::Index,
    Kind::Name,
    Kind::Message,
];

/// Files whose format is text, in the languages that Keboola has.
const CODE: [&str; 5] = [
    "configs/main/a.sql",
    "configs/main/a.py",
    "configs/main/a.r",
    "configs/main/a.jl",
    "README.md",
];

/// One to redact, one to find nothing, and some for what the first one uncovers.
const PASSES_MAX: usize = 6;

/// Above this, a cipher is not looked for at every place.
const CIPHERS_BYTES_MAX: usize = 4 << 10;

pub(crate) fn run(data: &[u8]) {
    let Some(([kind, format], text)) = data.split_first_chunk() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let format = match format % 4 {
        0 => Format::Text,
        1 => Format::Json,
        2 => Format::Csv,
        _ => Format::JsonLines,
    };
    let Ok(leaves) = walk::leaves(format, &text) else {
        // Settings of a customer come as text too.
        let _ = Settings::parse(&text);
        return;
    };
    let path = match format {
        Format::Text => CODE[text.len() % CODE.len()],
        other => path(other),
    };
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    let apply = |text: &str, leaves: &Leaves| {
        let findings = judge(kind, path, leaves);
        let replaced = redaction::replaced(format, text, &findings, &redaction);
        spliced(text, &replaced.expect("findings of ours fit"))
    };
    let (mut before, mut leaves) = (text.into_owned(), leaves);
    for _ in 0..PASSES_MAX {
        let after = apply(&before, &leaves);
        if after == before {
            return;
        }
        leaves = walk::leaves(format, &after).expect("redaction keeps a file whole");
        before = after;
    }
    panic!("after {PASSES_MAX} passes there is still something to redact in {before:?}");
}

/// Lets the policy judge a document, and looks at each finding.
fn judge(kind: Kind, path: &str, leaves: &Leaves) -> Vec<Finding> {
    let document = Document {
        path,
        kind,
        leaves: leaves.iter().map(leaf).collect(),
    };
    let found = engine::judge(&[document]).remove(0);
    let mut last = (0, 0);
    found
        .into_iter()
        .map(|finding| {
            let leaf = leaves.get(finding.leaf).expect("a leaf of the document");
            let target = match finding.target {
                engine::Target::Whole => {
                    assert!(!is_cipher(leaf.value), "{leaf:?} is encrypted");
                    assert!(!Marker::is(leaf.value), "{leaf:?} is gone already");
                    Target::Whole
                }
                engine::Target::Bytes { start, end } => {
                    assert!(start < end, "{finding:?} is of something");
                    assert!(leaf.value.get(start..end).is_some(), "{finding:?} in {leaf:?}");
                    if last.0 == finding.leaf {
                        assert!(last.1 <= start, "{finding:?} comes after the one before");
                    }
                    last = (finding.leaf, end);
                    spares_ciphers(leaf, start, end);
                    let mut markers = Marker::find_iter(leaf.value);
                    assert!(!markers.any(|marker| marker.start < end && start < marker.end));
                    Target::Bytes { start, end }
                }
            };
            let rule = RuleId::parse(rules::id(finding.rule)).expect("a rule's id");
            Finding {
                leaf: finding.leaf,
                target,
                rule,
            }
        })
        .collect()
}

fn leaf(leaf: Leaf<'_>) -> engine::Leaf<'_> {
    engine::Leaf {
        pointer: leaf.pointer,
        role: match leaf.role {
            LeafRole::Key => Role::Key,
            LeafRole::Text => Role::Text,
            LeafRole::Scalar => Role::Scalar,
        },
        value: leaf.value,
    }
}

/// A finding takes no part of an encrypted value. All of one only where the whole value of a member or cell goes, of
/// which it is a part: a cipher with something beside it is no encrypted value.
fn spares_ciphers(leaf: Leaf<'_>, start: usize, end: usize) {
    let text = leaf.value;
    if text.len() > CIPHERS_BYTES_MAX {
        return;
    }
    for (at, _) in text.match_indices("KBC::") {
        let ends = (at..=text.len()).rev().filter(|end| text.is_char_boundary(*end));
        if let Some(cipher_end) = { ends }.find(|end| is_cipher(&text[at..*end])) {
            let apart = end <= at || cipher_end <= start;
            let within = start <= at && cipher_end <= end && !leaf.pointer.is_empty();
            assert!(
                apart || within,
                "{start}..{end} takes of the cipher {at}..{cipher_end} in {leaf:?}"
            );
        }
    }
}
