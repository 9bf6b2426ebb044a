//! What policies have found in content that they judged before.
//!
//! A policy imports nothing, so it is a pure function: what it finds follows from its component, its settings, the
//! context and the document. All four are in the key, so nothing of one project or mirror is ever given to another.
//! Findings only: a document that was withheld is asked about again.
//!
//! Literals of findings may be secrets: this is never printed or stored.

use crate::lru::Lru;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use mirror_core::{
    document::{Context, Document, DocumentKind, LeafRole, Leaves},
    finding::{Finding, Target},
};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

/// Names one document before one policy.
pub(super) type Key = [u8; TAG_BYTES];

const TAG_BYTES: usize = 16;
/// What is said of a leaf beside its texts: its role, and where both end.
const LEAF_BYTES: usize = 1 + 2 * size_of::<u64>();

/// Bytes that an entry takes beside its findings, about.
const ENTRY_BYTES: usize = 256;

/// Findings by key; what was asked for longest ago goes first.
pub struct Memo {
    findings: Mutex<Lru<Key, Vec<Finding>>>,
    bytes_max: usize,
    hashing: Hashing,
}

impl Memo {
    /// Makes an empty one that holds about so many bytes; none where that is 0.
    ///
    /// # Panics
    /// A system without random bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            findings: Mutex::default(),
            bytes_max,
            hashing: Hashing::new(),
        }
    }

    /// Returns the keys of documents before a policy.
    pub(super) fn keys(
        &self,
        identity: &(String, String),
        context: &Context,
        documents: &[Document],
    ) -> Vec<Key> {
        let mut said = Vec::new();
        for text in [
            identity.0.as_str(),
            identity.1.as_str(),
            context.stack.as_str(),
            context.project.as_str(),
            context.branch.as_str(),
        ] {
            add(&mut said, text);
        }
        let before = Sha256::digest(&said).into();
        let keys = documents.iter();
        keys.map(|document| self.hashing.key(&before, document, &mut said))
            .collect()
    }

    /// Returns what is known of each document.
    pub(super) fn look_up(&self, keys: &[Key]) -> Vec<Option<Vec<Finding>>> {
        let mut known = self.lock();
        keys.iter().map(|key| known.touch(key).cloned()).collect()
    }

    /// Keeps what was found.
    pub(super) fn keep(&self, found: impl Iterator<Item = (Key, Vec<Finding>)>) {
        let mut known = self.lock();
        for (key, findings) in found {
            let bytes = ENTRY_BYTES + findings.iter().map(finding_bytes).sum::<usize>();
            // One that is larger than all of it would only push out the others.
            if bytes <= self.bytes_max {
                known.put(key, findings, bytes, self.bytes_max);
            }
        }
    }

    /// A panic elsewhere cannot leave it half changed: nothing of ours runs while it is.
    fn lock(&self) -> std::sync::MutexGuard<'_, Lru<Key, Vec<Finding>>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

fn finding_bytes(finding: &Finding) -> usize {
    let literal = match &finding.target {
        Target::Literal(literal) => literal.len(),
        Target::Whole | Target::Bytes { .. } => 0,
    };
    size_of::<Finding>() + literal
}

/// Documents of up to so many bytes, nearly all, are written out and hashed at once.
const SAID_BYTES: usize = 64 << 10;

/// Makes keys of documents: a universal hash under a secret of this process, GHASH as GCM uses it (NIST SP 800-38D, section 6.4).
///
/// Whoever writes a document knows neither the secret nor any hash, so for two documents of `n` blocks of 16 bytes the chance to
/// be taken for one is `n` in 2^128. It takes a tenth of what SHA-256 does.
struct Hashing(LessSafeKey);

impl Hashing {
    fn new() -> Self {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).expect("the system gives random bytes");
        let key = UnboundKey::new(&AES_256_GCM, &secret).expect("a key of AES-256 has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Returns the key of a document before a policy and in a context, which a hash names. What is said of it is written to `said`.
    fn key(&self, before: &[u8; 32], document: &Document, said: &mut Vec<u8>) -> Key {
        let Document {
            path,
            kind,
            component_id,
            config_id,
            leaves,
        } = document;
        let path = path.as_ref().map_or("", |path| path.as_str());
        said.clear();
        said.extend(before);
        said.push(kind_byte(*kind));
        for text in [path, component_id, config_id] {
            add(said, text);
        }
        said.extend((leaves.len() as u64).to_le_bytes());
        let is_short = leaves.text().len() + leaves.len() * LEAF_BYTES <= SAID_BYTES;
        said.push(u8::from(is_short));
        if is_short {
            said.extend(leaves.roles().iter().copied().map(role_byte));
            let ends = leaves.ends().iter().map(|end| (*end as u64).to_le_bytes());
            said.extend(ends.collect::<Vec<_>>().as_flattened());
            said.extend(leaves.text().as_bytes());
        } else {
            said.extend(digest(leaves));
        }
        // Only for the tag, which nobody is shown, so that the nonce may be the same each time.
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(&said), &mut []);
        let tag = tag.expect("documents are shorter than the 2^61 bytes that GCM takes");
        tag.as_ref().try_into().expect("a tag of GCM has 16 bytes")
    }
}

/// Hashes the leaves of a large document a piece at a time, so that they are not written out in one.
fn digest(leaves: &Leaves) -> [u8; 32] {
    let mut hash = Sha256::new();
    for roles in leaves.roles().chunks(SAID_BYTES) {
        let roles = roles.iter().copied().map(role_byte);
        hash.update(roles.collect::<Vec<_>>());
    }
    for ends in leaves.ends().chunks(SAID_BYTES / size_of::<u64>()) {
        let ends = ends.iter().map(|end| (*end as u64).to_le_bytes());
        hash.update(ends.collect::<Vec<_>>().as_flattened());
    }
    hash.update(leaves.text());
    hash.finalize().into()
}

/// With its length, so that no two sequences of texts run together.
fn add(said: &mut Vec<u8>, text: &str) {
    said.extend((text.len() as u64).to_le_bytes());
    said.extend(text.as_bytes());
}

fn role_byte(role: LeafRole) -> u8 {
    match role {
        LeafRole::Key => 1,
        LeafRole::Text => 2,
        LeafRole::Scalar => 3,
    }
}

fn kind_byte(kind: DocumentKind) -> u8 {
    match kind {
        DocumentKind::Config => 1,
        DocumentKind::Row => 2,
        DocumentKind::Code => 3,
        DocumentKind::Description => 4,
        DocumentKind::Extra => 5,
        DocumentKind::Storage => 6,
        DocumentKind::Sample => 7,
        DocumentKind::Job => 8,
        DocumentKind::Index => 9,
        DocumentKind::Name => 10,
        DocumentKind::Message => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::{document::Leaf, finding::RuleId, path::MirrorPath, redaction::document_of_text};
    use std::collections::HashSet;

    fn context(branch: &str) -> Context {
        Context {
            stack: "connection.example.com".parse().expect("a stack"),
            project: "7".parse().expect("a project"),
            branch: branch.parse().expect("a branch"),
        }
    }

    #[test]
    fn everything_that_a_policy_sees_is_in_the_key() {
        let identity = |component: &str, settings: &str| (component.to_owned(), settings.to_owned());
        let base = document_of_text(DocumentKind::Config, "text");
        let changed = |change: fn(&mut Document)| {
            let mut document = base.clone();
            change(&mut document);
            document
        };
        fn leaf<'l>(role: LeafRole, pointer: &'l str, value: &'l str) -> Leaf<'l> {
            Leaf { pointer, role, value }
        }
        let mut documents = vec![
            base.clone(),
            changed(|document| document.kind = DocumentKind::Row),
            changed(|document| document.path = MirrorPath::parse("configs/a").ok()),
            changed(|document| document.component_id = "a".to_owned()),
            changed(|document| document.config_id = "a".to_owned()),
            changed(|document| document.leaves.clear()),
        ];
        for leaves in [
            vec![leaf(LeafRole::Key, "", "text")],
            vec![leaf(LeafRole::Scalar, "", "text")],
            vec![leaf(LeafRole::Text, "/a", "text")],
            vec![leaf(LeafRole::Text, "", "other")],
            vec![leaf(LeafRole::Text, "", "te"), leaf(LeafRole::Text, "", "xt")],
        ] {
            documents.push(Document {
                leaves: leaves.into_iter().collect(),
                ..base.clone()
            });
        }
        let memo = Memo::new(0);
        let seen: Vec<Key> = [
            (identity("p", "{}"), context("1")),
            (identity("q", "{}"), context("1")),
            (identity("p", "{ }"), context("1")),
            (identity("p{", "}"), context("1")),
            (identity("p", "{}"), context("2")),
        ]
        .iter()
        .flat_map(|(identity, context)| memo.keys(identity, context, &documents))
        .collect();
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
        assert_eq!(
            seen[0],
            memo.keys(&identity("p", "{}"), &context("1"), std::slice::from_ref(&base))[0],
            "the same is the same"
        );
        let other = Memo::new(0).keys(&identity("p", "{}"), &context("1"), &[base]);
        assert_ne!(seen[0], other[0], "each process has its own secret");
    }

    #[test]
    fn all_of_a_document_is_in_the_key_however_long_it_is() {
        let (memo, identity) = (Memo::new(0), ("p".to_owned(), "{}".to_owned()));
        let key = |count: usize, changed: usize| {
            let mut document = document_of_text(DocumentKind::Index, "");
            document.leaves = (0..count)
                .map(|at| Leaf {
                    pointer: "/a",
                    role: LeafRole::Text,
                    value: if at == changed { "other" } else { "value" },
                })
                .collect();
            memo.keys(&identity, &context("1"), &[document])[0]
        };
        let at_once = SAID_BYTES / (LEAF_BYTES + "/avalue".len());
        // As many as are hashed at once, one more, and more than one piece each of roles, ends and texts.
        for count in [at_once, at_once + 1, 2 * SAID_BYTES] {
            let changes = (0..count).step_by(count / 67).chain([count - 1, count]);
            let seen: Vec<Key> = changes.map(|changed| key(count, changed)).collect();
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "{count}");
            assert_eq!(seen.last(), Some(&key(count, count)), "the same is the same");
        }
    }

    fn number(at: u8) -> Key {
        [at; TAG_BYTES]
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let memo = Memo::new(8 * ENTRY_BYTES);
        memo.keep([(number(0), Vec::new())].into_iter());
        for at in 1..100 {
            memo.keep([(number(at), Vec::new())].into_iter());
            assert!(memo.look_up(&[number(0)])[0].is_some(), "after {at}");
        }
        let keys: Vec<Key> = (0..100).map(number).collect();
        assert_eq!(memo.look_up(&keys).iter().flatten().count(), 8);
    }

    #[test]
    fn what_is_larger_than_all_of_it_is_not_kept() {
        let memo = Memo::new(ENTRY_BYTES);
        let finding = Finding {
            leaf: 0,
            target: Target::Literal("x".repeat(1_000)),
            rule: RuleId::parse("a").expect("a rule"),
        };
        memo.keep([(number(1), vec![finding]), (number(2), Vec::new())].into_iter());
        let known: Vec<bool> = memo
            .look_up(&[number(1), number(2)])
            .iter()
            .map(Option::is_some)
            .collect();
        assert_eq!(known, [false, true]);
        let nothing = Memo::new(0);
        nothing.keep([(number(1), Vec::new())].into_iter());
        assert!(nothing.look_up(&[number(1)])[0].is_none());
    }
}
