//! What a lane remembers of its tip: placement, covered versions, entries of shared files.
//!
//! It is a cache of what the repository itself tells, valid for exactly one tip and one render
//! digest (ADR 2). Rows of it are stored one by one, so that a change costs what it touches.
//! Everything in it has passed the policies: it holds nothing that the repository may not hold.

mod entries;
mod heirs;
mod jobs;
mod late;
mod shard_files;
mod withheld;

use super::fetch::Covered;
use crate::{
    packed::{Packed, read, text},
    state::RowKey,
};
use entries::{Entries, Inserted};
use jobs::grow;
use mirror_core::{
    batch::Subject,
    cut::ConfigKey,
    finding::WithholdReason,
    ids::{ObjectKey, RowId},
    jobs::budget::{Growth, Spent},
    layout::{Entry, IndexKind},
    path::MirrorPath,
    placement::{Placement, Record},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shard_files::ShardFiles;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
pub use withheld::{SharedName, WithheldNow};

/// So many rows are at hand twice while all are stored or read: some megabytes.
pub const ROWS_AT_ONCE: usize = 10_000;

/// A row as the store keeps it; without a value it goes.
pub type Row = (RowKey, Option<String>);

/// What of one object is in the tip.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Set for configurations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Covered>,
    pub files: Vec<MirrorPath>,
    /// Entries that the object gave to shared files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<EntryKey>,
    /// Set while the newest version is withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<WithholdReason>,
}

/// Names an entry of a shared file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryKey {
    pub kind: IndexKind,
    pub shard: String,
    pub key: String,
}

impl EntryKey {
    fn within_shard((kind, shard): &Shard, key: String) -> Self {
        Self {
            kind: *kind,
            shard: shard.clone(),
            key,
        }
    }

    fn within(&self) -> Shard {
        (self.kind, self.shard.clone())
    }
}

/// One shard of a shared file.
pub type Shard = (IndexKind, String);

#[derive(Debug, Error)]
#[error("the stored state of the lane cannot be read ({detail}); it will be rebuilt from the repository")]
pub struct Unreadable {
    detail: String,
}

/// The memory of one lane.
#[derive(Debug, Default)]
pub struct Memory {
    placement: Placement,
    /// The stored form of [`Known`], by that of [`ObjectKey`].
    objects: Packed,
    entries: Entries,
    /// Entries of kinds that fold, since the last gathering; oldest first.
    pending: BTreeMap<Shard, Vec<Entry>>,
    shards: ShardFiles,
    /// Shards of buckets of which a neighbour changed since that was last asked.
    bequeathing: BTreeSet<Shard>,
    /// What the history of runs has cost, and by how much it grew since that was last asked.
    spent: Spent,
    growth: Growth,
    touched: BTreeSet<StoredRow>,
    /// All rows are going to be stored, whichever changes.
    is_replaced: bool,
    /// Objects whose newest version is withheld, and why.
    withheld: BTreeMap<ObjectKey, WithholdReason>,
    /// Files that withheld objects have left in the tree, by path. They are the objects' own until another
    /// object has a file there.
    left: BTreeMap<MirrorPath, ObjectKey>,
    /// Why shared files and runs are withheld, in full, by their name in the list; of one that was read back from the
    /// repository only the list tells.
    reasons: BTreeMap<String, WithholdReason>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum StoredRow {
    Object(ObjectKey),
    Place(ObjectKey),
    Entry(EntryKey),
    Shard(Shard),
    Reason(String),
    Spent,
}

const OBJECT: &str = "object";
const PLACE: &str = "place";
const ENTRY: &str = "entry";
const SHARD: &str = "shard";
const REASON: &str = "reason";
const SPENT: &str = "spent";

/// Any id, where one is needed that a stored key ends with.
const ANY: &str = "x";
/// What follows the last field but one in the stored key of a row with that id.
const AFTER_ROW: &str = "x\"}}";

impl Memory {
    /// Starts from known paths, as a repository's manifest tells them, and from its entries.
    #[must_use]
    pub fn of(placement: Placement, entries: Vec<Entry>) -> Self {
        Self {
            placement,
            entries: entries.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Notes which versions a repository's own files tell of.
    pub fn recall(&mut self, versions: Vec<(ObjectKey, u64, String)>) {
        for (key, version, identifier) in versions {
            let covered = matches!(key, ObjectKey::Config { .. }).then_some(Covered { version, identifier });
            let known = Known {
                covered,
                ..Known::default()
            };
            self.set(key, &known);
        }
    }

    /// Reads the memory back from all its rows.
    ///
    /// # Errors
    /// A row that this version cannot read.
    #[cfg(test)]
    pub fn restore(rows: impl IntoIterator<Item = (RowKey, String)>) -> Result<Self, Unreadable> {
        let mut restoring = Restoring::default();
        restoring.take(rows)?;
        Ok(restoring.finish())
    }

    /// Takes the rows that changed since the memory was read.
    ///
    /// # Panics
    /// Never: keys and values are plain data with text keys only.
    #[must_use]
    pub fn take_changes(&mut self) -> Vec<Row> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|id| self.row(&id)).collect()
    }

    /// Stops noting which rows change: the store is going to be given them all.
    pub fn replace(&mut self) {
        self.touched.clear();
        self.is_replaced = true;
    }

    /// Begins to note changes again, after all rows were stored.
    pub fn replaced(&mut self) {
        self.touched.clear();
        self.is_replaced = false;
    }

    /// Returns all rows, one by one: together they are as large as the memory itself.
    pub fn rows(&self) -> impl Iterator<Item = Row> + Send {
        let stored = |kind: &'static str| {
            move |(key, value)| {
                let kind = kind.into();
                (RowKey { kind, key }, Some(value))
            }
        };
        let objects = self.objects.iter().map(stored(OBJECT));
        let entries = self.entries.rows().map(stored(ENTRY));
        let places = self.placement.records();
        let places = places.map(|(key, record)| (row_key(PLACE, &key), Some(text(&record))));
        let shards = self.shards.rows().map(stored(SHARD));
        let spent = std::iter::once_with(|| self.spent_row());
        let reasons = self.reasons.keys().map(|name| self.reason_row(name));
        let of_files = entries.chain(shards).chain(reasons);
        objects.chain(places).chain(of_files).chain(spent)
    }

    fn touch(&mut self, row: StoredRow) {
        if !self.is_replaced {
            self.touched.insert(row);
        }
    }

    fn row(&self, id: &StoredRow) -> Row {
        match id {
            StoredRow::Object(key) => {
                let key = row_key(OBJECT, key);
                let value = self.objects.get(&key.key);
                (key, value)
            }
            StoredRow::Place(key) => {
                let record = self.placement.record(key);
                (row_key(PLACE, key), record.as_ref().map(text))
            }
            StoredRow::Entry(key) => {
                let key = row_key(ENTRY, key);
                let value = self.entries.row(&key.key);
                (key, value)
            }
            StoredRow::Spent => self.spent_row(),
            StoredRow::Reason(name) => self.reason_row(name),
            StoredRow::Shard(shard) => {
                let key = row_key(SHARD, shard);
                let value = self.shards.row(&key.key);
                (key, value)
            }
        }
    }

    /// Returns how many bytes of memory it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let packed = self.objects.bytes() + self.entries.bytes() + self.shards.bytes();
        packed + self.placement.bytes()
    }

    /// Makes it small where that is worth the work: it is not going to be asked for some time.
    pub fn pack(&mut self) {
        self.objects.pack_worthwhile();
        self.entries.pack_worthwhile();
        self.shards.pack_worthwhile();
    }

    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Changes the placement; `keys` are those whose records may differ afterwards.
    pub fn place<T>(&mut self, change: impl FnOnce(&mut Placement) -> (T, Vec<ObjectKey>)) -> T {
        let (outcome, keys) = change(&mut self.placement);
        for key in keys {
            self.touch(StoredRow::Place(key));
        }
        outcome
    }

    #[must_use]
    pub fn known(&self, key: &ObjectKey) -> Option<Known> {
        self.objects.get(&text(key)).map(|stored| read(&stored))
    }

    pub fn is_known(&self, key: &ObjectKey) -> bool {
        self.objects.contains(&text(key))
    }

    pub fn keys(&self) -> impl Iterator<Item = ObjectKey> {
        self.objects.iter().map(|(key, _)| read(&key))
    }

    /// Returns all objects with what is known of them.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectKey, Known)> {
        self.objects.iter().map(|(key, known)| (read(&key), read(&known)))
    }

    /// Returns the objects that belong to a configuration: itself and its rows.
    pub fn of_config(&self, key: &ConfigKey) -> Vec<ObjectKey> {
        let config = ObjectKey::from(key.clone());
        let mut all: Vec<ObjectKey> = self.is_known(&config).then_some(config).into_iter().collect();
        all.extend(self.rows_of(key));
        all
    }

    /// Returns the rows of a configuration.
    pub fn rows_of(&self, key: &ConfigKey) -> Vec<ObjectKey> {
        let row = text(&ObjectKey::Row {
            component: key.component.clone(),
            config: key.config.clone(),
            row: RowId::parse(ANY).expect("one letter is an id"),
        });
        let prefix = row.strip_suffix(AFTER_ROW).expect("the id of a row comes last");
        let found = self.objects.prefixed(prefix);
        found.map(|(key, _)| read(&key)).collect()
    }

    /// Returns the version of a configuration that the tip has.
    #[must_use]
    pub fn covered_of(&self, key: &ConfigKey) -> Option<Covered> {
        self.known(&ObjectKey::from(key.clone()))?.covered
    }

    /// Returns the configurations that the tip has.
    pub fn covered_keys(&self) -> impl Iterator<Item = ConfigKey> {
        let covered = self.objects().filter(|(_, known)| known.covered.is_some());
        covered.filter_map(|(key, _)| ConfigKey::of(&key))
    }

    /// Returns the covered version of every configuration, for a comparison with a listing of them all.
    #[must_use]
    pub fn covered(&self) -> BTreeMap<ConfigKey, Covered> {
        let configs = self
            .objects()
            .filter(|(key, _)| matches!(key, ObjectKey::Config { .. }));
        let configs = configs.filter_map(|(key, known)| Some((ConfigKey::of(&key)?, known.covered?)));
        configs.collect()
    }

    /// Notes what of an object is in the tip; its earlier entries that are not among the new ones go.
    pub fn keep(&mut self, key: ObjectKey, known: &Known, entries: Vec<Entry>) -> BTreeSet<Shard> {
        let mut shards = BTreeSet::new();
        let before = self.known(&key);
        let is_same = before.as_ref() == Some(known);
        let gone = before.into_iter().flat_map(|before| before.entries);
        for entry in gone.filter(|entry| !known.entries.contains(entry)) {
            shards.extend(self.remove_entry(entry));
        }
        for entry in entries {
            shards.extend(self.put_entry(entry));
        }
        if !is_same {
            self.set(key, known);
        }
        shards
    }

    /// Changes what is known of an object.
    fn set(&mut self, key: ObjectKey, known: &Known) {
        for file in &known.files {
            let Some(other) = self.left.get(file).filter(|other| **other != key).cloned() else {
                continue;
            };
            self.left.remove(file);
            if let Some(mut other_known) = self.known(&other) {
                other_known.files.retain(|left| left != file);
                self.objects.insert(text(&other), text(&other_known));
                self.touch(StoredRow::Object(other));
            }
        }
        self.unindex(&key);
        self.index(&key, known);
        self.objects.insert(text(&key), text(known));
        self.touch(StoredRow::Object(key));
    }

    fn index(&mut self, key: &ObjectKey, known: &Known) {
        if let Some(reason) = &known.withheld {
            self.withheld.insert(key.clone(), reason.clone());
            self.left
                .extend(known.files.iter().map(|file| (file.clone(), key.clone())));
        }
    }

    fn unindex(&mut self, key: &ObjectKey) {
        if self.withheld.remove(key).is_none() {
            return;
        }
        for file in self.known(key).into_iter().flat_map(|known| known.files) {
            if self.left.get(&file) == Some(key) {
                self.left.remove(&file);
            }
        }
    }

    /// Forgets an object and the entries it gave; a run's stay, since its history does.
    pub fn forget(&mut self, key: &ObjectKey) -> (Vec<MirrorPath>, BTreeSet<Shard>) {
        let Some(known) = self.known(key) else {
            return Default::default();
        };
        self.unindex(key);
        self.objects.remove(&text(key));
        self.touch(StoredRow::Object(key.clone()));
        let shards = known
            .entries
            .into_iter()
            .filter_map(|entry| self.remove_entry(entry))
            .collect();
        (known.files, shards)
    }

    /// Adds an entry of a shared file; says which shard has to be gathered anew.
    pub fn put_entry(&mut self, entry: Entry) -> Option<Shard> {
        if folds(entry.kind) {
            let shard = (entry.kind, entry.shard.clone());
            self.pending.entry(shard.clone()).or_default().push(entry);
            return Some(shard);
        }
        self.set_entry(entry)
    }

    fn set_entry(&mut self, entry: Entry) -> Option<Shard> {
        let Entry {
            kind,
            shard,
            key,
            value,
        } = entry;
        let name = EntryKey { kind, shard, key };
        let bytes = value.len();
        let inserted = self.entries.insert(&name, value);
        if inserted == Inserted::Same {
            return None;
        }
        grow(&mut self.growth, kind, inserted == Inserted::New, bytes);
        let within = name.within();
        self.note_heirs(&name);
        self.touch(StoredRow::Entry(name));
        Some(within)
    }

    /// Removes an entry of a shared file; says which shard has to be gathered anew.
    pub fn remove_entry(&mut self, entry: EntryKey) -> Option<Shard> {
        if !self.entries.remove(&entry) {
            return None;
        }
        let shard = entry.within();
        if entry.kind == IndexKind::Withheld {
            self.forget_reason(&entry.key);
        }
        self.note_heirs(&entry);
        self.touch(StoredRow::Entry(entry));
        Some(shard)
    }

    /// Returns one entry of a shared file.
    #[must_use]
    pub fn entry(&self, name: &EntryKey) -> Option<Entry> {
        let value = self.entries.get(name)?;
        let EntryKey { kind, shard, key } = name.clone();
        Some(Entry {
            kind,
            shard,
            key,
            value,
        })
    }

    /// Returns the entries of a shard, sorted by key, with those that it is handed from another.
    #[must_use]
    pub fn entries(&self, shard: &Shard) -> Vec<Entry> {
        let mut all = self.entries.of_shard(shard);
        all.extend(self.handed_on_to(shard));
        all.extend(self.pending.get(shard).into_iter().flatten().cloned());
        // Stable: what was kept stays before what was added.
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }

    /// Replaces the entries of a shard by those that its gathering kept.
    pub fn replace_entries(&mut self, shard: &Shard, entries: Vec<Entry>) {
        let keys: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let held = self.entries.of_shard(shard).into_iter().map(|entry| entry.key);
        for key in held.filter(|key| !keys.contains(key.as_str())) {
            self.remove_entry(EntryKey::within_shard(shard, key));
        }
        self.pending.remove(shard);
        for entry in entries {
            self.set_entry(Entry {
                kind: shard.0,
                shard: shard.1.clone(),
                ..entry
            });
        }
    }

    /// Takes entries that folding left as they are for those of their shard.
    pub fn settle_pending(&mut self, shard: &Shard) {
        for entry in self.pending.remove(shard).into_iter().flatten() {
            self.set_entry(entry);
        }
    }

    /// Notes the files of a shard and returns those it had before.
    pub fn keep_shard(&mut self, shard: Shard, files: &[MirrorPath]) -> Vec<MirrorPath> {
        let before = self.shard_files(&shard);
        if before != files {
            self.shards.set(&shard, files);
            self.touch(StoredRow::Shard(shard));
        }
        before
    }

    #[must_use]
    pub fn shard_files(&self, shard: &Shard) -> Vec<MirrorPath> {
        self.shards.get(shard)
    }

    /// Returns every shard that has entries or files.
    #[must_use]
    pub fn all_shards(&self) -> BTreeSet<Shard> {
        let with_entries = self.entries.shards().keys().cloned();
        with_entries.chain(self.shards.shards()).collect()
    }

    /// Returns all that is withheld, for the status.
    pub fn withheld(&self) -> impl Iterator<Item = (&ObjectKey, &WithholdReason)> {
        self.withheld.iter()
    }
}

/// A memory that is read back from its rows, part by part.
#[derive(Debug, Default)]
pub struct Restoring {
    memory: Memory,
    places: Vec<(ObjectKey, Record)>,
}

impl Restoring {
    /// Takes rows in.
    ///
    /// # Errors
    /// A row that this version cannot read.
    pub fn take(&mut self, rows: impl IntoIterator<Item = (RowKey, String)>) -> Result<(), Unreadable> {
        let memory = &mut self.memory;
        for (RowKey { kind, key }, value) in rows {
            match kind.as_str() {
                OBJECT => {
                    memory.index(&parse(&key)?, &parse(&value)?);
                    memory.objects.insert(key, value);
                }
                PLACE => self.places.push((parse(&key)?, parse(&value)?)),
                ENTRY => memory.entries.restore(&parse(&key)?, key, value),
                SPENT => memory.spent = parse(&value)?,
                REASON => drop(memory.reasons.insert(parse(&key)?, parse(&value)?)),
                SHARD => {
                    let (shard, _): (Shard, Vec<MirrorPath>) = (parse(&key)?, parse(&value)?);
                    memory.shards.restore(&shard, key, value);
                }
                _ => {
                    return Err(Unreadable {
                        detail: "a row of an unknown kind".into(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Returns the memory, once it has all its rows.
    #[must_use]
    pub fn finish(mut self) -> Memory {
        self.memory.placement = Placement::restore(self.places);
        self.memory
    }
}

/// Whether entries of this kind add up instead of replacing each other.
fn folds(kind: IndexKind) -> bool {
    match kind {
        IndexKind::JobDay | IndexKind::JobHealth => true,
        IndexKind::Manifest
        | IndexKind::Withheld
        | IndexKind::Guide
        | IndexKind::Catalog
        | IndexKind::Lineage => false,
    }
}

/// Returns the object that a subject is, if it is one.
#[must_use]
pub fn object_of(subject: &Subject) -> Option<&ObjectKey> {
    match subject {
        Subject::Object(key) => Some(key),
        Subject::Index { .. } => None,
    }
}

fn row_key(kind: &str, key: &impl Serialize) -> RowKey {
    RowKey {
        kind: kind.into(),
        key: text(key),
    }
}

fn parse<T: DeserializeOwned>(raw: &str) -> Result<T, Unreadable> {
    serde_json::from_str(raw).map_err(|error| Unreadable {
        detail: error.to_string(),
    })
}
