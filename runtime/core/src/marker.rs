//! The marker `[REDACTED:<type>:<tag>]` that stands where something was taken away.
//!
//! The tag is keyed: within one project the same secret gives the same tag wherever it stands, a
//! rotated one shows as a change of one line, and without the key neither a guess can be tested nor
//! two projects compared. A marker consists of `[A-Za-z0-9:\[\]-]` only, so it needs no escaping in
//! JSON, CSV, SQL or source code.

use crate::{
    finding::RuleId,
    ids::{ProjectId, Stack},
};
use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use std::{fmt, ops::Range, sync::Arc};

pub(crate) const START: &str = "[REDACTED:";
/// Characters of a keyed tag: 60 bits, 5 a character.
const TAG_LEN: usize = 12;
/// The tag of a marker that was made without a key.
const NO_TAG: &str = "0";
/// RFC 4648 base32 in lower case.
const TAG_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const TYPE_LEN_MAX: usize = 40;

/// The key of one project's tags, or none.
///
/// Key material is wiped when the last clone is dropped, and `Debug` does not print it.
#[derive(Clone)]
pub struct TagKey(Option<Arc<SecretBox<[u8; 32]>>>);

impl TagKey {
    /// Derives the key of one project from the installation's tag root (DESIGN §3).
    ///
    /// The root should have at least 32 random bytes. Equal arguments give equal keys for ever:
    /// changing this function changes every marker of every repository.
    #[must_use]
    pub fn derive(tag_root: &[u8], stack: &Stack, project: &ProjectId) -> Self {
        let (stack, project) = (stack.as_str().as_bytes(), project.as_str().as_bytes());
        // With lengths, so that no two pairs give the same text.
        let length = |text: &[u8]| (text.len() as u64).to_be_bytes();
        let lengths = [length(stack), length(project)];
        let info = [
            b"kbc-mirror/tag/1",
            &lengths[0][..],
            stack,
            &lengths[1][..],
            project,
        ];
        let key = SecretBox::<[u8; 32]>::init_with_mut(|key| {
            Hkdf::<Sha256>::new(None, tag_root)
                .expand_multi_info(&info, key)
                .expect("32 bytes are less than HKDF's limit of 255 blocks");
        });
        Self(Some(Arc::new(key)))
    }

    /// Returns the absent key: every tag is `0`, so equal secrets cannot be told from others.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns a public name of the key, which is part of the render digest.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.mac(b"key-id", b"")
            .map_or_else(|| "none".to_owned(), |mac| HEXLOWER.encode(&mac[..8]))
    }

    /// Returns the tag of a secret. White space around it does not count.
    fn tag(&self, secret: &str) -> String {
        let Some(mac) = self.mac(b"tag", secret.trim().as_bytes()) else {
            return NO_TAG.to_owned();
        };
        let first = mac
            .iter()
            .take(8)
            .fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let character = |place: usize| {
            let five_bits = usize::try_from((first >> (59 - 5 * place)) & 31).unwrap_or(0);
            char::from(TAG_ALPHABET[five_bits])
        };
        (0..TAG_LEN).map(character).collect()
    }

    fn mac(&self, purpose: &[u8], text: &[u8]) -> Option<[u8; 32]> {
        let key = self.0.as_ref()?;
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key.expose_secret()).expect("HMAC takes keys of any length");
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(text);
        Some(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "TagKey(hidden)"
        } else {
            "TagKey(none)"
        })
    }
}

/// A marker, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// Makes the marker that replaces a secret.
    #[must_use]
    pub fn new(rule: &RuleId, key: &TagKey, secret: &str) -> Self {
        Self(format!("{START}{}:{}]", rule.as_str(), key.tag(secret)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether the whole text is one marker.
    #[must_use]
    pub fn is(text: &str) -> bool {
        marker_len(text) == Some(text.len())
    }

    /// Returns the rules of the markers in a text, in order.
    pub fn rules_in(text: &str) -> impl Iterator<Item = &str> {
        let inside = Self::find_iter(text).map(|marker| &text[marker.start + START.len()..marker.end]);
        inside.filter_map(|inside| inside.split_once(':').map(|(rule, _)| rule))
    }

    /// Returns where markers stand in the text, in order.
    pub fn find_iter(text: &str) -> impl Iterator<Item = Range<usize>> {
        let mut from = 0;
        std::iter::from_fn(move || {
            while let Some(at) = memchr::memmem::find(&text.as_bytes()[from..], START.as_bytes()) {
                let start = from + at;
                if let Some(length) = marker_len(&text[start..]) {
                    from = start + length;
                    return Some(start..from);
                }
                from = start + START.len();
            }
            None
        })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the length of the marker that the text begins with.
fn marker_len(text: &str) -> Option<usize> {
    let rest = text.strip_prefix(START)?;
    let bytes = rest.as_bytes();
    let kind = bytes
        .iter()
        .take(TYPE_LEN_MAX + 1)
        .position(|byte| *byte == b':')?;
    RuleId::parse(&rest[..kind])?;
    let tag = &bytes[kind + 1..];
    let keyed = tag.len() > TAG_LEN && tag[..TAG_LEN].iter().all(|byte| TAG_ALPHABET.contains(byte));
    let tag_len = if keyed { TAG_LEN } else { NO_TAG.len() };
    let fits = keyed || tag.starts_with(NO_TAG.as_bytes());
    (fits && tag.get(tag_len) == Some(&b']')).then_some(START.len() + kind + 1 + tag_len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(root: &str, stack: &str, project: &str) -> TagKey {
        let stack = Stack::parse(stack).expect("a stack");
        TagKey::derive(
            root.as_bytes(),
            &stack,
            &ProjectId::parse(project).expect("a project"),
        )
    }

    fn marker(key: &TagKey, secret: &str) -> String {
        Marker::new(&RuleId::parse("password").expect("a rule"), key, secret).to_string()
    }

    #[test]
    fn a_tag_depends_on_root_stack_project_and_secret_only() {
        let ours = key("root", "connection.keboola.com", "1");
        // Persisted in repositories: this must never change.
        assert_eq!(marker(&ours, "hunter2"), "[REDACTED:password:rfr4tlr5kdqi]");
        assert_eq!(ours.key_id(), "2627c9ad0a97bdf7");
        assert_eq!(marker(&ours, " hunter2\n"), marker(&ours, "hunter2"));
        assert_eq!(
            marker(&ours, "hunter2"),
            marker(&key("root", "connection.keboola.com", "1"), "hunter2")
        );
        for other in [
            key("other", "connection.keboola.com", "1"),
            key("root", "connection.eu.keboola.com", "1"),
            key("root", "connection.keboola.com1", "1"),
            key("root", "connection.keboola.com", "11"),
        ] {
            assert_ne!(marker(&ours, "hunter2"), marker(&other, "hunter2"));
            assert_ne!(ours.key_id(), other.key_id());
        }
        assert_ne!(marker(&ours, "hunter2"), marker(&ours, "hunter3"));
    }

    #[test]
    fn without_a_key_the_tag_is_zero() {
        assert_eq!(marker(&TagKey::none(), "hunter2"), "[REDACTED:password:0]");
        assert_eq!(TagKey::none().key_id(), "none");
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(
            format!("{:?} {:?}", key("root", "a", "1"), TagKey::none()),
            "TagKey(hidden) TagKey(none)"
        );
    }

    #[test]
    fn markers_tell_their_rules() {
        let rules: Vec<&str> = Marker::rules_in("x[REDACTED:a:0][REDACTED:b-1:0]-2").collect();
        assert_eq!(rules, ["a", "b-1"]);
        assert_eq!(Marker::rules_in("[REDACTED:A:0]").count(), 0);
    }

    #[test]
    fn markers_are_recognised_and_nothing_else() {
        let keyed = marker(&key("root", "a", "1"), "x");
        for (text, found) in [
            (keyed.as_str(), 1),
            ("[REDACTED:a-1:0]", 1),
            ("x[REDACTED:a:0][REDACTED:b:0]y", 2),
            ("[REDACTED:[REDACTED:a:0]", 1),
            ("[REDACTED:a:00]", 0),
            ("[REDACTED:a:1]", 0),
            ("[REDACTED:A:0]", 0),
            ("[REDACTED::0]", 0),
            ("[REDACTED:a:0", 0),
            ("[REDACTED:a:abcdefghijk1]", 0),
            ("[REDACTED:a:abcdefghijklm]", 0),
            ("[REDACTED:é:0]", 0),
        ] {
            assert_eq!(Marker::find_iter(text).count(), found, "{text}");
            let whole = Marker::find_iter(text).next() == Some(0..text.len());
            assert_eq!(Marker::is(text), whole, "{text}");
        }
    }
}
