//! Entries of shared files, by shard and key.

use super::{EntryKey, Shard};
use crate::packed::{Packed, read, text};
use mirror_core::layout::{Entry, IndexKind};
use std::collections::BTreeMap;

/// What an entry was before it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    Same,
    Changed,
    New,
}

/// Entries by shard and key.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Values by the stored form of their [`EntryKey`].
    rows: Packed,
    /// How many entries each shard has.
    shards: BTreeMap<Shard, usize>,
}

impl Entries {
    /// Sets an entry.
    pub(super) fn insert(&mut self, name: &EntryKey, value: String) -> Inserted {
        let row = text(name);
        let inserted = match self.rows.get(&row) {
            None => Inserted::New,
            Some(before) if before == value => return Inserted::Same,
            Some(_) => Inserted::Changed,
        };
        if inserted == Inserted::New {
            *self.shards.entry(name.within()).or_default() += 1;
        }
        self.rows.insert(row, value);
        inserted
    }

    /// Takes in a row as it is stored, of which there is no other.
    pub(super) fn restore(&mut self, name: &EntryKey, row: String, value: String) {
        *self.shards.entry(name.within()).or_default() += 1;
        self.rows.insert(row, value);
    }

    /// Removes an entry; returns whether it was there.
    pub(super) fn remove(&mut self, name: &EntryKey) -> bool {
        let row = text(name);
        let is_there = self.rows.contains(&row);
        if is_there {
            self.rows.remove(&row);
            if let Some(count) = self.shards.get_mut(&name.within()) {
                *count -= 1;
            }
        }
        is_there
    }

    pub(super) fn get(&self, name: &EntryKey) -> Option<String> {
        self.rows.get(&text(name))
    }

    /// Returns the entries of a shard, sorted by key.
    pub(super) fn of_shard(&self, shard: &Shard) -> Vec<Entry> {
        let found = self.rows_of(shard).into_iter();
        let entry = |(key, value)| Entry {
            kind: shard.0,
            shard: shard.1.clone(),
            key,
            value,
        };
        let mut entries: Vec<Entry> = found.map(entry).collect();
        // Stored keys are escaped, which changes their order.
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        entries
    }

    fn rows_of(&self, shard: &Shard) -> Vec<(String, String)> {
        if self.shards.get(shard).is_none_or(|count| *count == 0) {
            return Vec::new();
        }
        let none = text(&EntryKey {
            kind: shard.0,
            shard: shard.1.clone(),
            key: String::new(),
        });
        let prefix = none.strip_suffix(AFTER_KEY).expect("the key comes last");
        let rows = self.rows.prefixed(prefix);
        let rows = rows.map(|(row, value)| {
            let name: EntryKey = read(&row);
            (name.key, value)
        });
        rows.collect()
    }

    /// Returns the values of all entries of a kind.
    pub(super) fn values(&self, kind: IndexKind) -> impl Iterator<Item = String> {
        let shards: Vec<Shard> = of_kind(&self.shards, kind)
            .map(|(shard, _)| shard.clone())
            .collect();
        shards
            .into_iter()
            .flat_map(|shard| self.rows_of(&shard))
            .map(|(_, value)| value)
    }

    /// Makes a shard be there, though it have no entries.
    pub(super) fn open(&mut self, shard: &Shard) {
        self.shards.entry(shard.clone()).or_default();
    }

    /// Removes a shard that has no entries any more.
    pub(super) fn close(&mut self, shard: &Shard) {
        if self.shards.get(shard) == Some(&0) {
            self.shards.remove(shard);
        }
    }

    /// Returns the shards that are there, with how many entries each has.
    pub(super) fn shards(&self) -> &BTreeMap<Shard, usize> {
        &self.shards
    }

    /// Returns all entries in their stored form.
    pub(super) fn rows(&self) -> impl Iterator<Item = (String, String)> + Send {
        self.rows.iter()
    }

    /// Returns one entry in its stored form.
    pub(super) fn row(&self, row: &str) -> Option<String> {
        self.rows.get(row)
    }

    /// Returns how many bytes they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    pub(super) fn pack_worthwhile(&mut self) {
        self.rows.pack_worthwhile();
    }
}

/// What follows the key in the stored form of a name.
const AFTER_KEY: &str = "\"}";

/// Returns the shards of a kind without looking at the others: these are as many as the project is large.
pub(super) fn of_kind<T>(shards: &BTreeMap<Shard, T>, kind: IndexKind) -> impl Iterator<Item = (&Shard, &T)> {
    let first: Shard = (kind, String::new());
    shards
        .range(first..)
        .take_while(move |((found, _), _)| *found == kind)
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
            all.insert(&EntryKey { kind, shard, key }, value);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(shard: &str, key: &str) -> EntryKey {
        EntryKey {
            kind: IndexKind::Catalog,
            shard: shard.into(),
            key: key.into(),
        }
    }

    #[test]
    fn a_shard_has_its_own_entries_in_the_order_of_their_keys() {
        let mut entries = Entries::default();
        for (shard, key) in [
            ("a", "1"),
            ("a\"", "2"),
            ("a", "\u{1}"),
            ("a", "\""),
            ("a", "!"),
            ("", "3"),
        ] {
            assert_eq!(
                entries.insert(&name(shard, key), format!("value {key}")),
                Inserted::New
            );
        }
        assert_eq!(entries.insert(&name("a", "1"), "value 1".into()), Inserted::Same);
        assert_eq!(entries.insert(&name("a", "1"), "other".into()), Inserted::Changed);
        let keys = |entries: &Entries, shard: &str| {
            let found = entries.of_shard(&(IndexKind::Catalog, shard.into())).into_iter();
            found.map(|entry| entry.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(&entries, "a"), ["\u{1}", "!", "\"", "1"]);
        assert_eq!(keys(&entries, "a\""), ["2"]);
        assert_eq!(keys(&entries, ""), ["3"]);
        assert!(entries.remove(&name("a", "1")) && !entries.remove(&name("a", "1")));
        assert_eq!(keys(&entries, "a"), ["\u{1}", "!", "\""]);
        assert_eq!(entries.values(IndexKind::Catalog).count(), 5);
        assert_eq!(entries.values(IndexKind::Manifest).count(), 0);
    }

    #[test]
    fn what_comes_and_goes_leaves_nothing_behind() {
        let mut entries = Entries::default();
        entries.insert(&name("a", "key"), "value".into());
        entries.rows.pack();
        assert!(entries.remove(&name("a", "key")));
        entries.rows.pack();
        assert_eq!(entries.bytes(), 0);
        let shard = (IndexKind::Catalog, "a".to_owned());
        assert_eq!(
            entries.shards().get(&shard),
            Some(&0),
            "it is there until it is closed"
        );
        entries.close(&shard);
        assert!(entries.shards().is_empty());
    }
}
