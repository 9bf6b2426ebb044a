//! What was made of objects, until all are: which files and entries, in a form that takes little room.

use crate::packed::{Packed, read, text};
use mirror_core::{ids::ObjectKey, layout::Entry, path::MirrorPath, redaction::RedactionStats};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What of a rendered object is remembered until all are.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) files: Vec<MirrorPath>,
    pub(super) entries: Vec<Entry>,
}

/// What was made of each object.
#[derive(Debug, Default)]
pub(super) struct MadeObjects {
    /// JSON texts, by keys that are such.
    made: Packed,
    /// Of objects in which something was redacted.
    stats: BTreeMap<ObjectKey, RedactionStats>,
}

impl MadeObjects {
    /// Notes what was made of an object, in place of what was before.
    pub(super) fn insert(&mut self, key: &ObjectKey, made: &Made, stats: &RedactionStats) {
        self.made.insert(text(key), text(made));
        if *stats == RedactionStats::default() {
            self.stats.remove(key);
        } else {
            self.stats.insert(key.clone(), stats.clone());
        }
    }

    /// Forgets what was made of an object; returns its files.
    pub(super) fn remove(&mut self, key: &ObjectKey) -> Vec<MirrorPath> {
        let row = text(key);
        let Some(made) = self.made.get(&row) else {
            return Vec::new();
        };
        self.made.remove(&row);
        self.stats.remove(key);
        read::<Made>(&made).files
    }

    /// Returns what was redacted, of objects in which something was.
    pub(super) fn redactions(&self) -> Vec<(ObjectKey, RedactionStats)> {
        let found = self.stats.iter().filter(|(_, stats)| stats.found() > 0);
        found.map(|(key, stats)| (key.clone(), stats.clone())).collect()
    }

    /// Returns the objects without a secret in plain text.
    pub(super) fn clean(&self) -> impl Iterator<Item = ObjectKey> {
        let keys = self.made.iter().map(|(key, _)| read(&key));
        keys.filter(|key| self.stats.get(key).is_none_or(|stats| stats.plaintext.is_empty()))
    }

    /// Returns all of it.
    pub(super) fn into_objects(self) -> impl Iterator<Item = (ObjectKey, Made)> {
        let rows = self.made.into_iter();
        rows.map(|(key, made)| (read(&key), read(&made)))
    }
}
