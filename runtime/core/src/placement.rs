//! Where the objects of one branch live: from wishes to unique paths.
//!
//! The renderer says of each object where it wants to be and what it depends on; this gives it a
//! path, keeps paths that objects already have, finds what references name, and says exactly which
//! objects must be rendered again. It knows no file format: the few names that an object's directory
//! has for itself are in `unique`.
//!
//! The rules are those of Keboola's CLI where nothing was placed before; with paths from before, an
//! object keeps its path as long as its parent and its wished name are the same. Given the same
//! starting placement, a batch of changes and one listing of everything give the same paths.
//!
//! All that is known of objects is kept as bytes, in sorted maps that write what neighbours share only once: a large
//! project has hundreds of thousands of them. Whoever asks for a record gets it read.
//!
//! Limit: of several objects that wait for one parent and wish for the same name there, the one
//! that was put first gets it, which may be another than in the order of the API.

mod bytes;
mod front_coded;
mod index;
mod records;
mod unique;

use crate::{
    ids::{ComponentId, ObjectKey},
    layout::{
        Inspection, Place, PlacedObject, Reference, Resolution, SourceObject, beginning_of_default_bucket,
    },
};
use index::{Index, Wished};
use records::{Records, Stored};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};
use unique::{Paths, below, granted, is_candidate, join};

pub use unique::{UniqueNames, normalize_name};

/// What is known of one object; persisted one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub inspection: Inspection,
    /// Path below the branch directory; empty for the branch, none without a place.
    pub path: Option<String>,
    /// Where the object lives, where that is not its container.
    pub parent: Option<ObjectKey>,
    /// The objects whose claim on this one holds.
    pub claimed_by: Vec<ObjectKey>,
    /// Position among all puts: the API's order, for what is placed at once.
    pub order: u64,
}

/// An object that was inspected, or is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put(ObjectKey, Inspection),
    Remove(ObjectKey),
}

/// An object whose path changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub key: ObjectKey,
    /// None where it had no place.
    pub from: Option<String>,
    /// None where it has no place any more.
    pub to: Option<String>,
}

/// What changes mean for the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// To be rendered: what was put, what moved, and what depends on an object that moved, changed
    /// its facts, appeared or vanished. Of these, and only of these, the record changed or may have.
    pub stale: BTreeSet<ObjectKey>,
    /// Objects that got, changed or lost a path and still exist; by key.
    pub moved: Vec<Moved>,
    /// Objects that are gone; by key.
    pub removed: Vec<ObjectKey>,
}

/// The placement of one branch.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    records: Records,
    /// Where objects stood before this placement began: the object they lived in, and the rest.
    known: BTreeMap<ObjectKey, (ObjectKey, String)>,
    paths: Paths,
    index: Index,
    wished: Wished,
    next_order: u64,
}

/// Where an object wants to live.
struct Wish {
    parent: ObjectKey,
    /// Path below the parent.
    segment: String,
    claimed_by: Option<ObjectKey>,
}

/// When an object gets its name, which decides among those that wish for the same: as in the CLI, configurations in
/// the order of the API, each followed by its rows by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    config: u64,
    row: Option<(String, u64)>,
}

impl Turn {
    fn of(order: u64) -> Self {
        Self {
            config: order,
            row: None,
        }
    }

    fn of_row(config: u64, row: Record) -> Self {
        Self {
            config,
            row: Some((row.inspection.sort_name, row.order)),
        }
    }
}

/// How things stood before changes were applied.
#[derive(Default)]
struct Before {
    put: BTreeSet<ObjectKey>,
    /// Of every object that is concerned.
    records: BTreeMap<ObjectKey, Option<Stored>>,
    /// Who may be meant by every alias that is concerned.
    aliases: BTreeMap<String, Vec<Resolution>>,
}

impl Placement {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with the paths that a manifest tells (below the branch directory), each with the
    /// object it lives in where that is not its container. They count for the first
    /// [`Self::apply`], which must therefore be given all objects.
    #[must_use]
    pub fn with_known_paths(paths: &BTreeMap<ObjectKey, (String, Option<ObjectKey>)>) -> Self {
        let mut known = BTreeMap::new();
        for (key, (path, parent)) in paths {
            let Some(parent) = parent.clone().or_else(|| container(key)) else {
                continue;
            };
            let above = match &parent {
                ObjectKey::Branch => Some(""),
                other => paths.get(other).map(|(path, _)| path.as_str()),
            };
            if let Some(relative) = above.and_then(|above| below(path, above)) {
                known.insert(key.clone(), (parent, relative.to_owned()));
            }
        }
        Self {
            known,
            ..Self::default()
        }
    }

    /// Takes back the records of an earlier placement.
    #[must_use]
    pub fn restore(records: impl IntoIterator<Item = (ObjectKey, Record)>) -> Self {
        let mut placement = Self::default();
        for (key, record) in records {
            placement.next_order = placement.next_order.max(record.order + 1);
            placement.index.add(&key, &record.inspection);
            if let Some(path) = &record.path {
                placement.paths.take(path, &key);
            }
            placement.records.insert(&key, record);
        }
        // A wish depends on all claims, so these come after all of them.
        for (key, record) in placement.records.iter() {
            let wish = wish(&key, record.inspection, &placement.index);
            placement
                .wished
                .note(&key, wish.as_ref().map(|wish| &wish.parent));
        }
        placement
    }

    /// Returns whether an object was put.
    #[must_use]
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.records.contains(key)
    }

    #[must_use]
    pub fn record(&self, key: &ObjectKey) -> Option<Record> {
        self.records.get(key)
    }

    /// Returns all records, by key.
    pub fn records(&self) -> impl Iterator<Item = (ObjectKey, Record)> {
        self.records.iter()
    }

    /// Returns the keys of all records, in order.
    pub fn keys(&self) -> impl Iterator<Item = ObjectKey> {
        self.records.keys()
    }

    /// Returns how many bytes of memory it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records.bytes() + self.paths.bytes() + self.index.bytes() + self.wished.bytes()
    }

    /// Returns an object ready to be rendered. One that was never put has no place.
    #[must_use]
    pub fn placed(&self, key: &ObjectKey, object: SourceObject) -> PlacedObject {
        let Ok(placed) = self.placed_among(key, object, |_| Ok::<_, Infallible>(None));
        placed
    }

    /// The same where more is known than this branch has: which component's default buckets begin so, in the whole stack. Its
    /// configurations are meant by such a bucket and no others, even if it has none here; and such a beginning is found, as that
    /// of something without a place. It is asked only of what may be one.
    ///
    /// # Errors
    /// Those of `of_stack`.
    pub fn placed_among<E>(
        &self,
        key: &ObjectKey,
        object: SourceObject,
        mut of_stack: impl FnMut(&str) -> Result<Option<ComponentId>, E>,
    ) -> Result<PlacedObject, E> {
        let mut resolve = |reference: &Reference| match reference {
            Reference::Object(key) => Ok(self.resolution(key)),
            Reference::Alias(alias) => self.resolve_alias(alias, &mut of_stack),
        };
        let Some(record) = self.records.get(key) else {
            let (claimed_by, references) = (Vec::new(), Vec::new());
            return Ok(PlacedObject {
                object,
                path: None,
                parent: None,
                claimed_by,
                references,
            });
        };
        let references = record.inspection.references.iter().map(&mut resolve);
        Ok(PlacedObject {
            object,
            path: record.path,
            parent: record.parent,
            claimed_by: record.claimed_by,
            references: references.collect::<Result<_, E>>()?,
        })
    }

    /// Applies changes; objects are put in the order of the API.
    pub fn apply(&mut self, changes: Vec<Change>) -> Delta {
        let mut before = Before::default();
        let touched = self.put_and_remove(changes, &mut before);
        let wishes = self.lift(touched, &mut before);
        self.place(wishes, &before);
        self.known.clear();
        self.delta(before)
    }

    /// Brings records and index up to date. Returns the objects whose wish may have changed.
    fn put_and_remove(&mut self, changes: Vec<Change>, before: &mut Before) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        for change in changes {
            let (key, inspection) = match change {
                Change::Put(key, inspection) => (key, Some(inspection)),
                Change::Remove(key) => (key, None),
            };
            self.note(&key, before);
            touched.insert(key.clone());
            let old = self.records.get(&key);
            if let Some(old) = &old {
                self.index.remove(&key, &old.inspection);
                touched.extend(old.inspection.claims.iter().map(|claim| claim.target.clone()));
            }
            let Some(inspection) = inspection else {
                self.records.remove(&key);
                if let Some(path) = old.and_then(|old| old.path) {
                    self.paths.free(&path, &key);
                }
                before.put.remove(&key);
                continue;
            };
            self.note_aliases(&inspection.aliases, before);
            self.index.add(&key, &inspection);
            touched.extend(inspection.claims.iter().map(|claim| claim.target.clone()));
            let path = old.and_then(|old| old.path);
            let record = Record {
                inspection,
                path,
                parent: None,
                claimed_by: Vec::new(),
                order: self.next_order,
            };
            self.next_order += 1;
            self.records.insert(&key, record);
            before.put.insert(key);
        }
        touched
    }

    /// Takes the touched objects, and all that are or want to be below them, off their paths, so
    /// that they can be placed anew. Returns what each wishes for.
    fn lift(
        &mut self,
        touched: BTreeSet<ObjectKey>,
        before: &mut Before,
    ) -> BTreeMap<ObjectKey, Option<Wish>> {
        let mut lifted = BTreeSet::new();
        let mut waiting: Vec<ObjectKey> = touched.into_iter().collect();
        while let Some(key) = waiting.pop() {
            if lifted.contains(&key) {
                continue;
            }
            self.note(&key, before);
            // The branch's own path is always empty: nothing moves with it.
            if key != ObjectKey::Branch {
                waiting.extend(self.wished.children(&key));
            }
            if let Some(mut record) = self.records.get(&key)
                && let Some(path) = record.path.take()
            {
                self.paths.free(&path, &key);
                self.records.insert(&key, record);
            }
            lifted.insert(key);
        }
        let mut wishes = BTreeMap::new();
        for key in lifted {
            let record = self.records.get(&key);
            let is_there = record.is_some();
            let wish = record.and_then(|record| wish(&key, record.inspection, &self.index));
            self.wished.note(&key, wish.as_ref().map(|wish| &wish.parent));
            if is_there {
                wishes.insert(key, wish);
            }
        }
        wishes
    }

    /// Places lifted objects, parents first. What leads to no existing parent gets no path.
    fn place(&mut self, wishes: BTreeMap<ObjectKey, Option<Wish>>, before: &Before) {
        let mut groups: BTreeMap<ObjectKey, Vec<(ObjectKey, String)>> = BTreeMap::new();
        let mut guests = Vec::new();
        for (key, wish) in wishes {
            let Some(Wish {
                parent,
                segment,
                claimed_by,
            }) = wish
            else {
                self.belong(&key, None, None);
                continue;
            };
            let elsewhere = (container(&key).as_ref() != Some(&parent)).then(|| parent.clone());
            if elsewhere.is_some() {
                guests.push(key.clone());
            }
            self.belong(&key, elsewhere, claimed_by);
            let segment = granted(&segment, &key, &parent);
            groups.entry(parent).or_default().push((key, segment));
        }
        let early = self.early(&guests);
        // What still has its path, or none that depends on this, is where placing starts.
        let stands = |parent: &&ObjectKey| {
            let record = || self.records.get(parent);
            **parent == ObjectKey::Branch || record().is_some_and(|record| record.path.is_some())
        };
        let mut ready: Vec<ObjectKey> = groups.keys().filter(stands).cloned().collect();
        while let Some(parent) = ready.pop() {
            let Some(group) = groups.remove(&parent) else {
                continue;
            };
            ready.extend(self.place_group(&parent, group, &early, before));
        }
        // An object that found no parent belongs to none.
        for (key, _) in groups.into_values().flatten() {
            self.belong(&key, None, None);
        }
    }

    /// Returns the turns of objects that have their name before their own turn: what lives elsewhere needs the
    /// path of its parent first, and that the path of its own.
    fn early(&self, guests: &[ObjectKey]) -> BTreeMap<ObjectKey, Turn> {
        let mut early: BTreeMap<ObjectKey, Turn> = BTreeMap::new();
        for guest in guests {
            let Some(turn) = self.turn(guest) else {
                continue;
            };
            let mut above = self.parent(guest);
            // Turns only become earlier, so that this ends where objects want to live in each other.
            while let Some(parent) = above.take() {
                let known = early.get(&parent).cloned().or_else(|| self.turn(&parent));
                if known.is_some_and(|known| turn < known) {
                    above = self.parent(&parent);
                    early.insert(parent, turn.clone());
                }
            }
        }
        early
    }

    /// Returns when an object would get its name if nothing were below it; none where it was never put.
    fn turn(&self, key: &ObjectKey) -> Option<Turn> {
        let record = self.records.get(key)?;
        match key {
            ObjectKey::Row { .. } => {
                let home = self.records.get(&container(key)?)?;
                Some(Turn::of_row(home.order, record))
            }
            _ => Some(Turn::of(record.order)),
        }
    }

    /// Returns what an object lives in, or wants to.
    fn parent(&self, key: &ObjectKey) -> Option<ObjectKey> {
        let record = self.records.get(key)?;
        record.parent.or_else(|| container(key))
    }

    /// Notes what an object that is not placed yet belongs to. Most records say so already, and stay as they are.
    fn belong(&mut self, key: &ObjectKey, parent: Option<ObjectKey>, claimed_by: Option<ObjectKey>) {
        let Some(mut record) = self.records.get(key) else {
            return;
        };
        let path = (*key == ObjectKey::Branch).then(String::new);
        let claimed_by: Vec<ObjectKey> = claimed_by.into_iter().collect();
        if (&record.path, &record.parent, &record.claimed_by) != (&path, &parent, &claimed_by) {
            (record.path, record.parent, record.claimed_by) = (path, parent, claimed_by);
            self.records.insert(key, record);
        }
    }

    /// Places objects of one parent. Returns them.
    fn place_group(
        &mut self,
        parent: &ObjectKey,
        mut group: Vec<(ObjectKey, String)>,
        early: &BTreeMap<ObjectKey, Turn>,
        before: &Before,
    ) -> Vec<ObjectKey> {
        let home = self.records.get(parent);
        let order = home.as_ref().map_or(0, |record| record.order);
        let directory = home.and_then(|record| record.path).unwrap_or_default();
        group.sort_by_cached_key(|(key, _)| {
            let own = || {
                let record = self.records.get(key)?;
                Some(match key {
                    ObjectKey::Row { .. } => Turn::of_row(order, record),
                    _ => Turn::of(record.order),
                })
            };
            early.get(key).cloned().or_else(own)
        });
        let mut keys = Vec::with_capacity(group.len());
        let mut unplaced = Vec::new();
        for (key, wished) in group {
            let kept = self
                .standing(&key, before)
                .filter(|(above, relative)| above == parent && is_candidate(relative, &wished));
            let kept = kept
                .map(|(_, relative)| join(&directory, &relative))
                .filter(|path| self.paths.take(path, &key));
            match kept {
                Some(path) => self.stand(&key, path),
                None => unplaced.push((key.clone(), wished)),
            }
            keys.push(key);
        }
        for (key, wished) in unplaced {
            let path = self.paths.take_unique(&directory, &wished, &key);
            self.stand(&key, path);
        }
        keys
    }

    fn stand(&mut self, key: &ObjectKey, path: String) {
        if let Some(record) = self.records.get(key) {
            let path = Some(path);
            self.records.insert(key, Record { path, ..record });
        }
    }

    /// Returns where an object stood before: the object it lived in, and its path below that.
    fn standing(&self, key: &ObjectKey, before: &Before) -> Option<(ObjectKey, String)> {
        let old = |key| match before.records.get(key) {
            Some(old) => old.as_deref().map(records::read),
            None => self.records.get(key),
        };
        let Some(record) = old(key) else {
            return self.known.get(key).cloned();
        };
        let parent = record.parent.or_else(|| container(key))?;
        let directory = match &parent {
            ObjectKey::Branch => String::new(),
            other => old(other)?.path?,
        };
        let relative = below(&record.path?, &directory)?.to_owned();
        Some((parent, relative))
    }

    fn resolution(&self, key: &ObjectKey) -> Option<Resolution> {
        let record = self.records.get(key)?;
        Some(Resolution {
            key: key.clone(),
            path: record.path.unwrap_or_default(),
            facts: record.inspection.facts,
        })
    }

    /// Of several owners of an alias those of the component count that the stack means by it, then those with a place, then
    /// the first by key.
    fn resolve_alias<E>(
        &self,
        alias: &str,
        of_stack: &mut impl FnMut(&str) -> Result<Option<ComponentId>, E>,
    ) -> Result<Option<Resolution>, E> {
        let owners = self.owners(alias);
        let beginning = beginning_of_default_bucket(alias);
        let is_beginning = beginning == Some(alias);
        let asked = beginning.filter(|_| owners.is_empty() == is_beginning);
        let meant = asked.map(of_stack).transpose()?.flatten();
        Ok(match meant {
            Some(_) if is_beginning => Some(Resolution::outside()),
            Some(component) => owners
                .into_iter()
                .find(|owner| component_of(&owner.key) == Some(&component)),
            None => first_with_place(owners),
        })
    }

    /// Returns who may be meant by an alias: of each component one. What default buckets begin with all configurations of a
    /// component have, so of those it is one in all.
    fn owners(&self, alias: &str) -> Vec<Resolution> {
        let all = || self.index.owners(alias).filter_map(|key| self.resolution(&key));
        if beginning_of_default_bucket(alias) == Some(alias) {
            let with_place = all().find(|owner| !owner.path.is_empty());
            return with_place.or_else(|| all().next()).into_iter().collect();
        }
        let mut owners: Vec<Resolution> = Vec::new();
        for owner in all() {
            match owners.last_mut() {
                Some(last) if component_of(&last.key) == component_of(&owner.key) => {
                    if last.path.is_empty() && !owner.path.is_empty() {
                        *last = owner;
                    }
                }
                _ => owners.push(owner),
            }
        }
        owners
    }

    /// Remembers how an object stands, the first time it is about to change.
    fn note(&self, key: &ObjectKey, before: &mut Before) {
        if before.records.contains_key(key) {
            return;
        }
        let record = self.records.stored(key);
        if let Some(record) = &record {
            self.note_aliases(&records::read(record).inspection.aliases, before);
        }
        before.records.insert(key.clone(), record);
    }

    fn note_aliases(&self, aliases: &[String], before: &mut Before) {
        for alias in aliases {
            before
                .aliases
                .entry(alias.clone())
                .or_insert_with(|| self.owners(alias));
        }
    }

    fn delta(&self, before: Before) -> Delta {
        let Before {
            put,
            records,
            aliases,
        } = before;
        let mut delta = Delta {
            stale: put,
            ..Delta::default()
        };
        for (key, old) in records {
            let old = old.as_deref().map(records::read);
            let record = self.records.get(&key);
            if old.as_ref().map(seen) != record.as_ref().map(seen) {
                let reference = Reference::Object(key.clone());
                delta.stale.extend(self.index.dependents(&reference));
            }
            let Some(record) = record else {
                if old.is_some() {
                    delta.removed.push(key);
                }
                continue;
            };
            let (from, stood) = match old {
                Some(old) => (old.path, Some((old.parent, old.claimed_by))),
                None => (None, None),
            };
            if from != record.path || stood != Some((record.parent, record.claimed_by)) {
                delta.stale.insert(key.clone());
            }
            if from != record.path {
                delta.moved.push(Moved {
                    key,
                    from,
                    to: record.path,
                });
            }
        }
        for (alias, old) in aliases {
            if old != self.owners(&alias) {
                delta
                    .stale
                    .extend(self.index.dependents(&Reference::Alias(alias)));
            }
        }
        delta
    }
}

/// Returns what those who refer to an object see of it: its path and its facts.
fn seen(record: &Record) -> (&str, &str) {
    let path = record.path.as_deref().unwrap_or_default();
    (path, &record.inspection.facts)
}

/// Returns where an object wants to live; none where it cannot have a place.
fn wish(key: &ObjectKey, inspection: Inspection, index: &Index) -> Option<Wish> {
    let claim = index.claim(key).filter(|(claimant, _)| {
        // Who does not have the configuration does not have its rows either.
        let home = matches!(key, ObjectKey::Row { .. })
            .then(|| container(key))
            .flatten();
        let holder = home.and_then(|home| index.claim(&home));
        holder.is_none_or(|(holder, _)| holder == *claimant)
    });
    let parent = match inspection.place {
        Place::None => return None,
        Place::Container => container(key)?,
        Place::Below(parent) => parent,
        Place::Claimed => claim.as_ref()?.0.clone(),
    };
    let (claimed_by, segment) = claim.unzip();
    Some(Wish {
        parent,
        segment: segment.flatten().unwrap_or(inspection.segment),
        claimed_by,
    })
}

/// Returns the first owner of an alias that has a place, or the first.
fn first_with_place(owners: Vec<Resolution>) -> Option<Resolution> {
    let at = owners.iter().position(|owner| !owner.path.is_empty());
    owners.into_iter().nth(at.unwrap_or(0))
}

fn component_of(key: &ObjectKey) -> Option<&ComponentId> {
    match key {
        ObjectKey::Config { component, .. } | ObjectKey::Row { component, .. } => Some(component),
        _ => None,
    }
}

/// Returns the object that one of this kind lives in unless it says otherwise.
fn container(key: &ObjectKey) -> Option<ObjectKey> {
    match key {
        ObjectKey::Config { .. } => Some(ObjectKey::Branch),
        ObjectKey::Row {
            component, config, ..
        } => Some(ObjectKey::Config {
            component: component.clone(),
            config: config.clone(),
        }),
        ObjectKey::Branch
        | ObjectKey::Bucket(_)
        | ObjectKey::Table(_)
        | ObjectKey::Sample(_)
        | ObjectKey::Job(_) => None,
    }
}

#[cfg(test)]
mod tests;
