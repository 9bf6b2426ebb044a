//! The identity of an event: what makes two deliveries the same event.
//!
//! Parts are length-prefixed, since ids may hold any separator. What a key is made of is said where
//! the events are ([`crate::event`]); this module only knows how parts become a key and a digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, fmt::Write as _, sync::Arc};

/// The key by which events are deduplicated: a tuple of texts, each written as `<bytes>:<text>,`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventKey(Arc<str>);

impl EventKey {
    /// Joins the parts so that different tuples always give different keys.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut joined = String::with_capacity(parts.iter().map(|part| part.len() + 5).sum());
        for part in parts {
            // Writing to a string cannot fail.
            let _ = write!(joined, "{}:{part},", part.len());
        }
        Self(joined.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the short name of the event in logs and traces (`event_id`): the first 16 bytes of
    /// the key's SHA-256, as 32 hexadecimal digits.
    #[must_use]
    pub fn event_id(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.0.as_bytes())[..16])
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventKey({})", self.0)
    }
}

/// How many events a commit stands for, and which (trailer `Mirror-Events`).
///
/// It grows by one event at a time, so that nobody has to hold those of a busy window to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsDigest {
    /// Events of the log; one that was appended twice counts twice.
    pub count: u64,
    /// SHA-256 over nothing at first, then for each event over the 64 digits so far and its key; 64 hexadecimal digits.
    pub sha256: String,
}

impl Default for EventsDigest {
    /// Of no event.
    fn default() -> Self {
        Self {
            count: 0,
            sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(b"")),
        }
    }
}

impl EventsDigest {
    /// Takes in the next event: those of the stream of changes in the log's order, then those of runs.
    pub fn add(&mut self, key: &EventKey) {
        let hash = Sha256::new()
            .chain_update(&self.sha256)
            .chain_update(key.as_str());
        self.count += 1;
        self.sha256 = data_encoding::HEXLOWER.encode(&hash.finalize());
    }
}

/// Returns the SHA-256 over texts in the given order, each with its length as 8 bytes before it.
pub(crate) fn digest_of_texts(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        let text = text.as_ref();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_that_join_alike_have_different_keys() {
        let dashed = |parts: &[&str]| parts.join("-");
        let (one, other) = (["1", "a-b", "c"], ["1", "a", "b-c"]);
        assert_eq!(
            dashed(&one),
            dashed(&other),
            "the dashed string is only for display"
        );
        assert_ne!(EventKey::of(&one), EventKey::of(&other));
        assert_ne!(EventKey::of(&["1:", ","]), EventKey::of(&["1", ":,"]));
        assert_ne!(EventKey::of(&["a", ""]), EventKey::of(&["a"]));
    }

    #[test]
    fn the_form_of_a_key_and_its_digests_never_changes() {
        let key = EventKey::of(&["connection.keboola.com", "job", "123.45"]);
        assert_eq!(key.as_str(), "22:connection.keboola.com,3:job,6:123.45,");
        // Taken with `sha256sum`.
        expect_test::expect!["6830746e203be57cba67404d09ec26a5"].assert_eq(&key.event_id());
        let other = EventKey::of(&["connection.keboola.com", "job", "9"]);
        let digest_of = |keys: &[&EventKey]| {
            let mut digest = EventsDigest::default();
            keys.iter().for_each(|key| digest.add(key));
            digest
        };
        let digest = digest_of(&[&key, &other]);
        assert_eq!(digest.count, 2);
        // printf %s "$(printf %s "$(printf '' | sha256sum | cut -c-64)KEY" | sha256sum | cut -c-64)OTHER" | sha256sum
        expect_test::expect!["570714545c70ee5eb19c31ed01776e8a3e90938e0d5005478f0dda9c0ceacabb"]
            .assert_eq(&digest.sha256);
        assert_ne!(digest, digest_of(&[&other, &key]));
    }
}
