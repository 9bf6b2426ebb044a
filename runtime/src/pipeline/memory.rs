//! What a lane remembers of its tip: placement, covered versions, entries of shared files.
//!
//! It is a cache of what the repository itself tells, valid for exactly one tip and one render
//! digest (ADR 2). Rows of it are stored one by one, so that a change costs what it touches.
//! Everything in it has passed the policies: it holds nothing that the repository may not hold.

mod entries;
mod jobs;

use super::fetch::Covered;
use crate::state::RowKey;
use entries::Entries;
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
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

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
    objects: BTreeMap<ObjectKey, Known>,
    entries: Entries,
    /// Entries of kinds that fold, since the last gathering; oldest first.
    pending: BTreeMap<Shard, Vec<Entry>>,
    shards: BTreeMap<Shard, Vec<MirrorPath>>,
    /// What the history of runs has cost, and by how much it grew since that was last asked.
    spent: Spent,
    growth: Growth,
    touched: BTreeSet<StoredRow>,
    /// All rows are going to be stored, whichever changes.
    is_replaced: bool,
    /// Objects whose newest version is withheld.
    withheld: BTreeSet<ObjectKey>,
    /// Files that withheld objects have left in the tree, by path. They are the objects' own until another
    /// object has a file there.
    left: BTreeMap<MirrorPath, ObjectKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum StoredRow {
    Object(ObjectKey),
    Place(ObjectKey),
    Entry(EntryKey),
    Shard(Shard),
    Spent,
}

const OBJECT: &str = "object";
const PLACE: &str = "place";
const ENTRY: &str = "entry";
const SHARD: &str = "shard";
const SPENT: &str = "spent";

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
            self.set(key, known);
        }
    }

    /// Reads the memory back from its rows.
    ///
    /// # Errors
    /// A row that this version cannot read.
    pub fn restore(rows: impl IntoIterator<Item = (RowKey, String)>) -> Result<Self, Unreadable> {
        let mut memory = Self::default();
        let mut places: Vec<(ObjectKey, Record)> = Vec::new();
        for (RowKey { kind, key }, value) in rows {
            match kind.as_str() {
                OBJECT => memory.index(parse(&key)?, parse(&value)?),
                PLACE => places.push((parse(&key)?, parse(&value)?)),
                ENTRY => {
                    let key: EntryKey = parse(&key)?;
                    memory.entries.insert((key.kind, key.shard), key.key, value);
                }
                SPENT => memory.spent = parse(&value)?,
                SHARD => {
                    memory.shards.insert(parse(&key)?, parse(&value)?);
                }
                _ => {
                    return Err(Unreadable {
                        detail: "a row of an unknown kind".into(),
                    });
                }
            }
        }
        memory.placement = Placement::restore(places);
        Ok(memory)
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
        let objects = self.objects.iter();
        let objects = objects.map(|(key, known)| (row_key(OBJECT, key), Some(text(known))));
        let places = self.placement.records();
        let places = places.map(|(key, record)| (row_key(PLACE, key), Some(text(record))));
        let entries = self.entries.map().iter().flat_map(|((kind, shard), entries)| {
            entries.iter().map(|(key, value)| {
                let name = EntryKey {
                    kind: *kind,
                    shard: shard.clone(),
                    key: key.clone(),
                };
                (row_key(ENTRY, &name), Some(value.clone()))
            })
        });
        let shards = self.shards.iter();
        let shards = shards.map(|(shard, files)| (row_key(SHARD, shard), Some(text(files))));
        let spent = std::iter::once_with(|| self.spent_row());
        objects.chain(places).chain(entries).chain(shards).chain(spent)
    }

    fn touch(&mut self, row: StoredRow) {
        if !self.is_replaced {
            self.touched.insert(row);
        }
    }

    fn row(&self, id: &StoredRow) -> Row {
        match id {
            StoredRow::Object(key) => (row_key(OBJECT, key), self.objects.get(key).map(text)),
            StoredRow::Place(key) => (row_key(PLACE, key), self.placement.record(key).map(text)),
            StoredRow::Entry(key) => {
                let entries = self.entries.map().get(&(key.kind, key.shard.clone()));
                (
                    row_key(ENTRY, key),
                    entries.and_then(|entries| entries.get(&key.key)).cloned(),
                )
            }
            StoredRow::Spent => self.spent_row(),
            StoredRow::Shard(shard) => (row_key(SHARD, shard), self.shards.get(shard).map(text)),
        }
    }

    /// Returns how many bytes of memory it takes, about; the figure for an object is measured on large projects.
    #[must_use]
    pub fn weight(&self) -> usize {
        const OBJECT_BYTES: usize = 2_500;
        self.entries.bytes() + OBJECT_BYTES * self.objects.len()
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
    pub fn known(&self, key: &ObjectKey) -> Option<&Known> {
        self.objects.get(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.keys()
    }

    /// Returns the objects that belong to a configuration: itself and its rows.
    pub fn of_config<'m>(&'m self, key: &'m ConfigKey) -> impl Iterator<Item = &'m ObjectKey> {
        let first = ObjectKey::from(key.clone());
        // A blank is the lowest id there can be.
        let row = RowId::parse(" ").expect("a blank is printable");
        let start = ObjectKey::Row {
            component: key.component.clone(),
            config: key.config.clone(),
            row,
        };
        let own = move |object: &&ObjectKey| object.config() == Some((&key.component, &key.config));
        let rows = self.objects.range(start..).map(|(key, _)| key).take_while(own);
        self.objects
            .get_key_value(&first)
            .map(|(key, _)| key)
            .into_iter()
            .chain(rows)
    }

    /// Returns the version of a configuration that the tip has.
    #[must_use]
    pub fn covered_of(&self, key: &ConfigKey) -> Option<&Covered> {
        self.objects.get(&ObjectKey::from(key.clone()))?.covered.as_ref()
    }

    /// Returns the configurations that the tip has.
    pub fn covered_keys(&self) -> impl Iterator<Item = ConfigKey> {
        let covered = self.objects.iter().filter(|(_, known)| known.covered.is_some());
        covered.filter_map(|(key, _)| ConfigKey::of(key))
    }

    /// Returns the covered version of every configuration, for a comparison with a listing of them all.
    #[must_use]
    pub fn covered(&self) -> BTreeMap<ConfigKey, Covered> {
        let configs = self
            .objects
            .iter()
            .filter(|(key, _)| matches!(key, ObjectKey::Config { .. }));
        let configs = configs.filter_map(|(key, known)| Some((ConfigKey::of(key)?, known.covered.clone()?)));
        configs.collect()
    }

    /// Notes what of an object is in the tip; its earlier entries that are not among the new ones go.
    pub fn keep(&mut self, key: ObjectKey, known: Known, entries: Vec<Entry>) -> BTreeSet<Shard> {
        let mut shards = BTreeSet::new();
        if let Some(before) = self.objects.get(&key) {
            let gone: Vec<EntryKey> = before
                .entries
                .iter()
                .filter(|entry| !known.entries.contains(entry))
                .cloned()
                .collect();
            for entry in gone {
                shards.extend(self.remove_entry(entry));
            }
        }
        for entry in entries {
            shards.extend(self.put_entry(entry));
        }
        if self.objects.get(&key) != Some(&known) {
            self.set(key, known);
        }
        shards
    }

    /// Changes what is known of an object.
    fn set(&mut self, key: ObjectKey, known: Known) {
        for file in &known.files {
            let Some(other) = self.left.get(file).filter(|other| **other != key).cloned() else {
                continue;
            };
            self.left.remove(file);
            if let Some(other_known) = self.objects.get_mut(&other) {
                other_known.files.retain(|left| left != file);
                self.touch(StoredRow::Object(other));
            }
        }
        self.touch(StoredRow::Object(key.clone()));
        self.index(key, known);
    }

    fn index(&mut self, key: ObjectKey, known: Known) {
        self.unindex(&key);
        if known.withheld.is_some() {
            self.withheld.insert(key.clone());
            self.left
                .extend(known.files.iter().map(|file| (file.clone(), key.clone())));
        }
        self.objects.insert(key, known);
    }

    fn unindex(&mut self, key: &ObjectKey) -> Option<Known> {
        let known = self.objects.remove(key)?;
        if self.withheld.remove(key) {
            for file in &known.files {
                if self.left.get(file) == Some(key) {
                    self.left.remove(file);
                }
            }
        }
        Some(known)
    }

    /// Forgets an object and the entries it gave; a run's stay, since its history does.
    pub fn forget(&mut self, key: &ObjectKey) -> (Vec<MirrorPath>, BTreeSet<Shard>) {
        let Some(known) = self.unindex(key) else {
            return Default::default();
        };
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
        let within: Shard = (kind, shard);
        let held = self.entries.map().get(&within);
        let before = held.and_then(|held| held.get(&key));
        if before == Some(&value) {
            return None;
        }
        grow(&mut self.growth, kind, before.map(String::as_str), &value);
        self.touch(StoredRow::Entry(EntryKey {
            kind,
            shard: within.1.clone(),
            key: key.clone(),
        }));
        self.entries.insert(within.clone(), key, value);
        Some(within)
    }

    /// Removes an entry of a shared file; says which shard has to be gathered anew.
    pub fn remove_entry(&mut self, entry: EntryKey) -> Option<Shard> {
        let shard = (entry.kind, entry.shard.clone());
        self.entries.remove(&shard, &entry.key)?;
        self.touch(StoredRow::Entry(entry));
        Some(shard)
    }

    /// Returns one entry of a shared file.
    #[must_use]
    pub fn entry(&self, name: &EntryKey) -> Option<Entry> {
        let EntryKey { kind, shard, key } = name;
        let value = self.entries.map().get(&(*kind, shard.clone()))?.get(key)?.clone();
        Some(Entry {
            kind: *kind,
            shard: shard.clone(),
            key: key.clone(),
            value,
        })
    }

    /// Returns the entries of a shard, sorted by key.
    #[must_use]
    pub fn entries(&self, shard: &Shard) -> Vec<Entry> {
        let entries = self.entries.map().get(shard).into_iter().flatten();
        let entry = |(key, value): (&String, &String)| Entry {
            kind: shard.0,
            shard: shard.1.clone(),
            key: key.clone(),
            value: value.clone(),
        };
        let mut all: Vec<Entry> = entries.map(entry).collect();
        all.extend(self.pending.get(shard).into_iter().flatten().cloned());
        // Stable: what was kept stays before what was added.
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }

    /// Replaces the entries of a shard by those that its gathering kept.
    pub fn replace_entries(&mut self, shard: &Shard, entries: Vec<Entry>) {
        let keys: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let held = self
            .entries
            .map()
            .get(shard)
            .map(|held| held.keys().cloned().collect::<Vec<_>>());
        for key in held
            .unwrap_or_default()
            .into_iter()
            .filter(|key| !keys.contains(key.as_str()))
        {
            self.remove_entry(EntryKey {
                kind: shard.0,
                shard: shard.1.clone(),
                key,
            });
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
    pub fn keep_shard(&mut self, shard: Shard, files: Vec<MirrorPath>) -> Vec<MirrorPath> {
        if self.shard_files(&shard) == files {
            return files;
        }
        self.touch(StoredRow::Shard(shard.clone()));
        let before = if files.is_empty() {
            self.shards.remove(&shard)
        } else {
            self.shards.insert(shard, files)
        };
        before.unwrap_or_default()
    }

    #[must_use]
    pub fn shard_files(&self, shard: &Shard) -> &[MirrorPath] {
        self.shards.get(shard).map_or(&[], Vec::as_slice)
    }

    /// Returns every shard that has entries or files.
    #[must_use]
    pub fn all_shards(&self) -> BTreeSet<Shard> {
        self.entries
            .map()
            .keys()
            .chain(self.shards.keys())
            .cloned()
            .collect()
    }

    /// Returns all that is withheld, for the status.
    pub fn withheld(&self) -> impl Iterator<Item = (&ObjectKey, &WithholdReason)> {
        self.withheld
            .iter()
            .filter_map(|key| Some((key, self.objects.get(key)?.withheld.as_ref()?)))
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

fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("keys and values are plain data")
}
