//! Which shards are handed entries of another, and so are made anew when those change.

use super::{EntryKey, Memory, Shard};
use mirror_core::layout::{Entry, heirs};
use std::collections::BTreeSet;

impl Memory {
    /// Returns the entries that a shard is handed from another.
    pub(super) fn handed_on_to(&self, (kind, shard): &Shard) -> impl Iterator<Item = Entry> {
        let from = heirs::bucket_of(*kind, shard).map(|bucket| (*kind, bucket));
        let entries = from.map(|from| self.entries.of_shard(&from));
        heirs::handed_on(entries.unwrap_or_default())
    }

    /// Notes that an entry changed which other shards are handed.
    pub(super) fn note_heirs(&mut self, entry: &EntryKey) {
        if heirs::is_handed_on(&entry.key) && heirs::tables_of(entry.kind, &entry.shard).is_some() {
            self.bequeathing.insert(entry.within());
        }
    }

    /// Returns the shards that are handed something else than when this was last asked.
    pub fn take_heirs(&mut self) -> BTreeSet<Shard> {
        let mut found = BTreeSet::new();
        for (kind, bucket) in std::mem::take(&mut self.bequeathing) {
            let prefix = heirs::tables_of(kind, &bucket).expect("only those of buckets are noted");
            let tables = self.entries.shards().range((kind, prefix.clone())..);
            let tables = tables.map(|(shard, _)| shard);
            found.extend(
                tables
                    .take_while(|(of, shard)| *of == kind && shard.starts_with(&prefix))
                    .cloned(),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::layout::IndexKind;

    fn entry(shard: &str, key: &str, value: &str) -> Entry {
        Entry {
            kind: IndexKind::Lineage,
            shard: shard.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    fn shard(name: &str) -> Shard {
        (IndexKind::Lineage, name.to_owned())
    }

    #[test]
    fn tables_are_made_anew_when_a_writer_of_their_bucket_comes_or_goes_and_only_then() {
        let mut memory = Memory::default();
        for table in ["in.c-a.one", "in.c-a.two", "in.c-ab.three"] {
            memory.put_entry(entry(&format!("table/{table}"), "=", "{}"));
        }
        memory.put_entry(entry("bucket/in.c-a", "=", "{}"));
        assert!(
            memory.take_heirs().is_empty(),
            "the bucket itself is handed to nobody"
        );

        let writer = entry("bucket/in.c-a", "<ex-shop/1", "[\"writes\"]");
        memory.put_entry(writer.clone());
        let both = BTreeSet::from([shard("table/in.c-a.one"), shard("table/in.c-a.two")]);
        assert_eq!(memory.take_heirs(), both);
        assert!(memory.take_heirs().is_empty());
        memory.put_entry(writer.clone());
        assert!(memory.take_heirs().is_empty(), "it is as it was");

        assert!(memory.entries(&shard("table/in.c-a.one")).contains(&writer));
        assert!(!memory.entries(&shard("table/in.c-ab.three")).contains(&writer));
        memory.remove_entry(EntryKey::within_shard(
            &shard("bucket/in.c-a"),
            writer.key.clone(),
        ));
        assert_eq!(memory.take_heirs(), both);
        assert!(!memory.entries(&shard("table/in.c-a.one")).contains(&writer));
    }
}
