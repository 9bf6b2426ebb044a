//! Moving what was made into the lane's memory.

use super::{
    super::memory::{EntryKey, Known, Shard},
    Build, Covered, Newest, Versions,
    made::Made,
};
use mirror_core::{
    cut::ConfigKey,
    finding::WithholdReason,
    ids::ObjectKey,
    layout::{Entry, IndexKind},
    path::MirrorPath,
};
use serde_json::json;
use std::collections::BTreeSet;

impl Build<'_, '_, '_, '_> {
    /// Moves what was made into the memory, and notes which paths go and which shared files change.
    pub(super) fn settle(&mut self) -> BTreeSet<Shard> {
        let mut shards = BTreeSet::new();
        for key in std::mem::take(&mut self.removed) {
            if !self.withheld.contains_key(&key) {
                shards.extend(self.withheld_entry(&key, None));
            }
            let (files, touched) = self.memory.forget(&key);
            self.note_table(&key, true);
            self.deleted.extend(files);
            shards.extend(touched);
        }
        for (key, made) in std::mem::take(&mut self.made).into_objects() {
            let touched = self.settle_made(key.clone(), made);
            self.note_table(&key, !touched.is_empty());
            shards.extend(touched);
        }
        for (key, reason) in self.again.earlier.values().flatten() {
            // Made from an earlier version, or not there at all.
            self.withheld.insert(key.clone(), reason.clone());
        }
        for (key, reason) in self.withheld.clone() {
            shards.extend(self.settle_withheld(key, reason));
        }
        // All that was fetched is known to the memory by now.
        self.fetched.clear();
        shards
    }

    /// Notes a table that others inherit. Whether a sample differs was seen when it was written: it has no entries.
    fn note_table(&mut self, key: &ObjectKey, differs: bool) {
        if let ObjectKey::Table(table) | ObjectKey::Sample(table) = key
            && differs
            && !self.whole
        {
            self.tables.insert(table.clone());
        }
    }

    fn settle_made(&mut self, key: ObjectKey, made: Made) -> BTreeSet<Shard> {
        let mut shards = BTreeSet::new();
        let Made { files, entries } = made;
        if let Some(known) = self.memory.known(&key) {
            self.deleted.extend(known.files);
            if known.withheld.is_some() {
                shards.extend(self.withheld_entry(&key, None));
            }
        }
        if matches!(key, ObjectKey::Job(_)) {
            // A run gives entries only, and they stay whatever becomes of it and of its configuration: whoever lists
            // everything anew is told of the same runs.
            shards.extend(self.withheld_entry(&key, None));
            for entry in entries {
                shards.extend(self.memory.put_entry(entry));
            }
            return shards;
        }
        let known = Known {
            covered: self.covered(&key),
            files,
            entries: entries.iter().map(name_of).collect(),
            withheld: None,
        };
        shards.extend(self.memory.keep(key, &known, entries));
        shards
    }

    fn settle_withheld(&mut self, key: ObjectKey, reason: WithholdReason) -> BTreeSet<Shard> {
        let covered = self.covered(&key);
        let version = covered.as_ref().map_or(0, |covered| covered.version);
        let before = self.memory.known(&key).unwrap_or_default();
        self.kept.extend(before.files.iter().cloned());
        let mut shards = BTreeSet::new();
        shards.extend(self.withheld_entry(&key, Some((&reason, version, &before.files))));
        if !matches!(key, ObjectKey::Job(_)) {
            let names = before.entries.iter();
            let entries = names.filter_map(|name| self.memory.entry(name)).collect();
            let known = Known {
                covered: covered.or(before.covered),
                withheld: Some(reason),
                ..before
            };
            shards.extend(self.memory.keep(key, &known, entries));
        }
        shards
    }

    /// Returns the version of a configuration that will be the tip's.
    fn covered(&self, key: &ObjectKey) -> Option<Covered> {
        let ObjectKey::Config { .. } = key else {
            return None;
        };
        let key = ConfigKey::of(key)?;
        let versions = Newest(&self.fetched, &self.memory);
        self.newest.get(&key).cloned().or_else(|| versions.covered(&key))
    }

    /// Adds an object to the list of withheld ones, or takes it off.
    fn withheld_entry(
        &mut self,
        key: &ObjectKey,
        found: Option<(&WithholdReason, u64, &[MirrorPath])>,
    ) -> Option<Shard> {
        let removed = |name: String| EntryKey {
            kind: IndexKind::Withheld,
            shard: String::new(),
            key: name,
        };
        let Some((reason, version, files)) = found else {
            // Under which of the two it stands depends on what the guard knew then.
            let hidden = self.memory.remove_entry(removed(key.hidden()));
            return self.memory.remove_entry(removed(key.to_string())).or(hidden);
        };
        let transformer = &self.lane.transformer;
        let path = files.first().and_then(|path| transformer.owned.below_root(path));
        // What may be why it is withheld is not shown by telling so.
        let (plain, hidden) = (key.to_string(), key.hidden());
        let (name, other, path) =
            if reason.may_be_of_ids() || transformer.guard().check_name(&plain).is_some() {
                (hidden, plain, None)
            } else {
                (plain, hidden, path)
            };
        if matches!(key, ObjectKey::Job(_)) {
            self.memory.keep_reason(&name, reason);
        }
        // It may have been listed under the other name, for another reason.
        let renamed = self.memory.remove_entry(removed(other));
        let value = json!({
            "object": name,
            // As everywhere in the files: below the mirror's own root.
            "path": path,
            "reason": reason.public(),
            "version": version,
        });
        let entry = Entry {
            kind: IndexKind::Withheld,
            shard: String::new(),
            key: name,
            value: value.to_string(),
        };
        self.memory.put_entry(entry).or(renamed)
    }
}

fn name_of(entry: &Entry) -> EntryKey {
    EntryKey {
        kind: entry.kind,
        shard: entry.shard.clone(),
        key: entry.key.clone(),
    }
}
