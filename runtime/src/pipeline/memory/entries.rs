//! Entries of shared files, by shard and key, and how many bytes they are.

use super::Shard;
use mirror_core::layout::Entry;
use std::collections::BTreeMap;

/// What a key and a value cost beside their text, about.
const BYTES_EACH: usize = 160;

/// Entries by shard and key.
#[derive(Debug, Default)]
pub(super) struct Entries {
    shards: BTreeMap<Shard, BTreeMap<String, String>>,
    bytes: usize,
}

impl Entries {
    /// Sets an entry; returns its earlier value.
    pub(super) fn insert(&mut self, shard: Shard, key: String, value: String) -> Option<String> {
        let (key_bytes, value_bytes) = (key.len(), value.len());
        let before = self.shards.entry(shard).or_default().insert(key, value);
        self.bytes += value_bytes;
        match &before {
            Some(before) => self.bytes -= before.len(),
            None => self.bytes += key_bytes + BYTES_EACH,
        }
        before
    }

    /// Removes an entry; returns its value.
    pub(super) fn remove(&mut self, shard: &Shard, key: &str) -> Option<String> {
        let value = self.shards.get_mut(shard)?.remove(key)?;
        self.bytes -= key.len() + value.len() + BYTES_EACH;
        Some(value)
    }

    /// Makes a shard be there, though it have no entries.
    pub(super) fn open(&mut self, shard: &Shard) {
        self.shards.entry(shard.clone()).or_default();
    }

    /// Removes a shard that has no entries any more.
    pub(super) fn close(&mut self, shard: &Shard) {
        if self.shards.get(shard).is_some_and(BTreeMap::is_empty) {
            self.shards.remove(shard);
        }
    }

    /// Returns them for reading.
    pub(super) fn map(&self) -> &BTreeMap<Shard, BTreeMap<String, String>> {
        &self.shards
    }

    /// Returns how many bytes they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut all = Self::default();
        for Entry {
            kind,
            shard,
            key,
            value,
        } in entries
        {
            all.insert((kind, shard), key, value);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::layout::IndexKind;

    #[test]
    fn what_comes_and_goes_leaves_no_bytes_behind() {
        let mut entries = Entries::default();
        let shard: Shard = (IndexKind::Catalog, "a".into());
        entries.insert(shard.clone(), "key".into(), "value".into());
        let one = entries.bytes();
        entries.insert(shard.clone(), "key".into(), "longer value".into());
        assert_eq!(entries.bytes(), one + 7);
        assert_eq!(entries.remove(&shard, "other"), None);
        assert_eq!(entries.remove(&shard, "key").as_deref(), Some("longer value"));
        assert_eq!(entries.bytes(), 0);
    }
}
