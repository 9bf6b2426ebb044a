//! Building: from what was fetched to a commit that is ready to be pushed.
//!
//! Inspect, place, render, redact, filter, guard, tree, commit. Everything but fetching dependents
//! again is pure or touches only the local object store.

use super::{
    attempt::Lane,
    error::AttemptError,
    fetch::{Covered, Fetched, Scope},
    memory::{EntryKey, Known, Memory, Shard},
    recover::Tip,
    transform::{Clean, Transformer},
};
use crate::crash_point;
use mirror_core::{
    batch::{MirrorBatch, MirrorObject, Subject},
    cut::ConfigKey,
    finding::WithholdReason,
    ids::{ObjectKey, Oid},
    layout::{Entry, IndexKind, Inspection, PlacedObject, SourceObject},
    path::MirrorPath,
    placement::{Change, Delta, Placement},
};
use mirror_git::{Draft, StoreError};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Withholding an object may move others, and those may be withheld in turn; so often it is followed.
const ROUNDS_MAX: usize = 4;

/// Everything an attempt has made of what it fetched, before it is a tree.
#[derive(Debug)]
pub(super) struct Built {
    pub memory: Memory,
    pub content: Vec<MirrorBatch>,
    /// Paths that go, where nothing new takes them.
    pub deleted: BTreeSet<MirrorPath>,
    /// Everything of the mirror that is not written goes.
    pub whole: bool,
    /// Paths that stay as they are although they were not written.
    pub kept: BTreeSet<MirrorPath>,
    pub known: mirror_core::guard::KnownSecrets,
    pub withheld: BTreeMap<ObjectKey, WithholdReason>,
}

/// What is there to render: sources by key, in the order in which they were fetched.
#[derive(Debug, Default)]
struct Sources {
    objects: BTreeMap<ObjectKey, SourceObject>,
    configs: BTreeMap<ConfigKey, Covered>,
}

impl Sources {
    fn add(&mut self, fetched: &mut Fetched) -> Vec<SourceObject> {
        for (key, config) in &fetched.configs {
            let identifier = config.revision.identifier.clone().unwrap_or_default();
            self.configs.insert(
                key.clone(),
                Covered {
                    version: config.revision.version,
                    identifier,
                },
            );
        }
        let objects = std::mem::take(&mut fetched.objects);
        self.objects
            .extend(objects.iter().map(|object| (object.key.clone(), object.clone())));
        objects
    }

    fn covered(&self, key: &ObjectKey, memory: &Memory) -> Option<Covered> {
        let ObjectKey::Config { component, config } = key else {
            return None;
        };
        let key = ConfigKey {
            component: component.clone(),
            config: config.clone(),
        };
        self.configs.get(&key).cloned().or_else(|| {
            memory
                .known(&ObjectKey::from(key))
                .and_then(|known| known.covered.clone())
        })
    }
}

impl Lane {
    /// Builds the content of the commit from what was fetched.
    ///
    /// # Errors
    /// A source that fails when dependents are fetched again, or a sandbox that fails as a whole.
    pub(super) async fn build(
        &self,
        start_memory: Memory,
        mut fetched: Fetched,
        scope: Scope,
    ) -> Result<Built, AttemptError> {
        let mut memory = start_memory;
        let whole = fetched.whole;
        let mut sources = Sources::default();
        let objects = sources.add(&mut fetched);
        let (returned, inspected) = {
            let inspected = self.blocking(move |lane| {
                Ok({
                    let inspected = lane.transformer.inspect(&objects)?;
                    (objects, inspected)
                })
            });
            inspected.await?
        };
        let mut withheld = BTreeMap::new();
        let mut changes = gone(&memory, &fetched, &sources);
        let mut removed: BTreeSet<ObjectKey> = changes.iter().map(key_of_change).cloned().collect();
        for (object, inspection) in returned.into_iter().zip(inspected) {
            match inspection {
                Ok(inspection) => changes.push(put(&object.key, inspection)),
                Err(reason) => {
                    withheld.insert(object.key, reason);
                }
            }
        }
        let delta = place(&mut memory, changes);
        let mut todo = delta.stale;
        todo.extend(
            sources
                .objects
                .keys()
                .filter(|key| !withheld.contains_key(key))
                .cloned(),
        );
        todo.retain(|key| !removed.contains(key));

        let mut clean: BTreeMap<Subject, MirrorObject> = BTreeMap::new();
        let mut known = self.transformer.own_secrets.clone();
        for _ in 0..ROUNDS_MAX {
            let missing: BTreeSet<ObjectKey> = todo
                .iter()
                .filter(|key| !sources.objects.contains_key(key))
                .cloned()
                .collect();
            if !missing.is_empty() {
                let mut again = self
                    .source
                    .again(&self.branch, &missing, &memory.covered(), scope)
                    .await?;
                sources.add(&mut again);
            }
            crash_point!("after-fetch");
            let placed: Vec<PlacedObject> = todo
                .iter()
                .filter_map(|key| sources.objects.get(key))
                .map(|object| memory.placement().placed(&object.key, object.clone()))
                .collect();
            let round = self
                .blocking(move |lane| Ok(lane.transformer.objects(placed)?))
                .await?;
            known.merge(&round.known);
            let vanished = take(round, &mut clean, &mut withheld, &memory, whole);
            if vanished.is_empty() {
                break;
            }
            removed.extend(vanished.iter().cloned());
            let changes = vanished.into_iter().map(Change::Remove).collect();
            todo = place(&mut memory, changes).stale;
            todo.retain(|key| !removed.contains(key) && !withheld.contains_key(key));
        }
        crash_point!("after-render");
        let mut built = Built {
            memory,
            content: Vec::new(),
            deleted: BTreeSet::new(),
            whole,
            kept: BTreeSet::new(),
            known,
            withheld,
        };
        let shards = built.settle(clean, &removed, &sources);
        self.gather(built, shards).await
    }

    /// Makes the shared files whose entries changed.
    async fn gather(&self, mut built: Built, shards: BTreeSet<Shard>) -> Result<Built, AttemptError> {
        let mut shards = shards;
        if built.whole {
            shards.extend(built.memory.all_shards());
            shards.insert((IndexKind::Guide, String::new()));
        }
        let work: Vec<(IndexKind, String, Vec<Entry>)> = shards
            .iter()
            .map(|shard| (shard.0, shard.1.clone(), built.memory.entries(shard)))
            .collect();
        let (clean, keep) = self
            .blocking(move |lane| Ok(lane.transformer.shards(work)?))
            .await?;
        built.known.merge(&clean.known);
        for (kind, shard, entries) in keep {
            built.memory.replace_entries(&(kind, shard), entries);
        }
        let mut made: BTreeSet<Shard> = BTreeSet::new();
        for batch in &clean.batches {
            for object in batch.objects() {
                if let Subject::Index { kind, shard } = object.subject() {
                    let files: Vec<MirrorPath> =
                        object.files().iter().map(|file| file.path().clone()).collect();
                    let shard = (*kind, shard.clone());
                    built
                        .deleted
                        .extend(built.memory.keep_shard(shard.clone(), files));
                    made.insert(shard);
                }
            }
        }
        for shard in shards.difference(&made) {
            // Withheld: what is there stays.
            built.kept.extend(built.memory.shard_files(shard).iter().cloned());
        }
        for refused in &clean.withheld {
            tracing::error!(lane = %self.id, subject = %refused.subject, reason = %refused.reason, "a shared file is withheld");
        }
        built.content.extend(clean.batches);
        crash_point!("after-guard");
        Ok(built)
    }
}

impl Built {
    /// Moves what was made into the memory, and notes which paths go and which shared files change.
    fn settle(
        &mut self,
        clean: BTreeMap<Subject, MirrorObject>,
        removed: &BTreeSet<ObjectKey>,
        sources: &Sources,
    ) -> BTreeSet<Shard> {
        let mut shards = BTreeSet::new();
        for key in removed {
            if !self.withheld.contains_key(key) {
                shards.extend(self.withheld_entry(key, None));
            }
            let (files, touched) = self.memory.forget(key);
            self.deleted.extend(files);
            shards.extend(touched);
        }
        for (subject, object) in &clean {
            let Subject::Object(key) = subject else { continue };
            if let Some(known) = self.memory.known(key) {
                self.deleted.extend(known.files.iter().cloned());
                if known.withheld.is_some() {
                    shards.extend(self.withheld_entry(key, None));
                }
            }
            let files: Vec<MirrorPath> = object.files().iter().map(|file| file.path().clone()).collect();
            let entries = object.entries().to_vec();
            if matches!(key, ObjectKey::Job(_)) {
                // A run gives entries only, and they stay whatever becomes of it.
                shards.extend(
                    entries
                        .into_iter()
                        .filter_map(|entry| self.memory.put_entry(entry)),
                );
                continue;
            }
            let names = entries.iter().map(name_of).collect();
            let covered = sources.covered(key, &self.memory);
            let known = Known {
                covered,
                files,
                entries: names,
                withheld: None,
            };
            shards.extend(self.memory.keep(key.clone(), known, entries));
        }
        for (key, reason) in self.withheld.clone() {
            let covered = sources.covered(&key, &self.memory);
            let version = covered.as_ref().map_or(0, |covered| covered.version);
            let before = self
                .memory
                .known(&key)
                .filter(|_| !removed.contains(&key))
                .cloned()
                .unwrap_or_default();
            self.kept.extend(before.files.iter().cloned());
            shards.extend(self.withheld_entry(&key, Some((&reason, version, &before.files))));
            if !matches!(key, ObjectKey::Job(_)) {
                let entries = before
                    .entries
                    .iter()
                    .filter_map(|name| self.memory.entry(name))
                    .collect();
                let known = Known {
                    covered: covered.or(before.covered),
                    withheld: Some(reason),
                    ..before
                };
                shards.extend(self.memory.keep(key, known, entries));
            }
        }
        self.content = vec![MirrorBatch::join(clean.into_values())];
        shards
    }

    /// Adds an object to the list of withheld ones, or takes it off.
    fn withheld_entry(
        &mut self,
        key: &ObjectKey,
        found: Option<(&WithholdReason, u64, &[MirrorPath])>,
    ) -> Option<Shard> {
        let name = key.to_string();
        match found {
            None => self.memory.remove_entry(EntryKey {
                kind: IndexKind::Withheld,
                shard: String::new(),
                key: name,
            }),
            Some((reason, version, files)) => {
                let value = json!({
                    "object": name,
                    "path": files.first().map(MirrorPath::as_str),
                    "reason": reason.to_string(),
                    "version": version,
                });
                let entry = Entry {
                    kind: IndexKind::Withheld,
                    shard: String::new(),
                    key: name,
                    value: value.to_string(),
                };
                self.memory.put_entry(entry)
            }
        }
    }

    /// Writes the tree on top of the tip's.
    ///
    /// # Errors
    /// A store that cannot be read, or paths that contradict each other.
    pub(super) fn write(
        &mut self,
        transformer: &Transformer,
        git: &mirror_git::Store,
        draft: &mut Draft<'_>,
        tip: Option<Tip>,
    ) -> Result<mirror_git::TreeOutcome, AttemptError> {
        let base = tip.map(|tip| tip.tree);
        let mut going = std::mem::take(&mut self.deleted);
        if let (true, Some(tree)) = (self.whole, base) {
            going.extend(owned_files(transformer, git, tree)?);
        }
        for object in self.content.iter().flat_map(MirrorBatch::objects) {
            for file in object.files() {
                going.remove(file.path());
            }
        }
        let mut writer = draft.tree_writer(base)?;
        for path in going.difference(&self.kept) {
            writer.delete(path)?;
        }
        for batch in std::mem::take(&mut self.content) {
            writer.write(batch)?;
        }
        Ok(writer.finish()?)
    }
}

/// Lists the mirror's own files in a tree.
pub(super) fn owned_files(
    transformer: &Transformer,
    git: &mirror_git::Store,
    tree: Oid,
) -> Result<Vec<MirrorPath>, StoreError> {
    let mut files = Vec::new();
    for root in transformer.owned.roots() {
        for file in git.files_below(tree, Some(&root))? {
            files.extend(file?.mirror_path());
        }
    }
    Ok(files)
}

/// Takes a round's outcome; returns objects that have no version at all that could stand in the tree.
fn take(
    round: Clean,
    clean: &mut BTreeMap<Subject, MirrorObject>,
    withheld: &mut BTreeMap<ObjectKey, WithholdReason>,
    memory: &Memory,
    whole: bool,
) -> Vec<ObjectKey> {
    for object in round.batches.into_iter().flat_map(MirrorBatch::into_objects) {
        clean.insert(object.subject().clone(), object);
    }
    let mut vanished = Vec::new();
    for refused in round.withheld {
        let Subject::Object(key) = refused.subject else {
            continue;
        };
        clean.remove(&Subject::Object(key.clone()));
        let has_earlier = !whole && memory.known(&key).is_some_and(|known| !known.files.is_empty());
        if !has_earlier && memory.placement().record(&key).is_some() {
            vanished.push(key.clone());
        }
        withheld.insert(key, refused.reason);
    }
    vanished
}

/// Returns what is no longer there: rows that a configuration lost, what was deleted, and, where
/// everything was fetched, all that was not among it.
fn gone(memory: &Memory, fetched: &Fetched, sources: &Sources) -> Vec<Change> {
    let mut gone: BTreeSet<ObjectKey> = BTreeSet::new();
    for (key, config) in &fetched.configs {
        gone.extend(
            memory
                .of_config(key)
                .skip(1)
                .filter(|row| !config.rows.contains(row))
                .cloned(),
        );
    }
    for key in fetched.gone.keys() {
        gone.extend(memory.of_config(key).cloned());
    }
    for table in &fetched.tables_gone {
        let keys = [ObjectKey::Table(table.clone()), ObjectKey::Sample(table.clone())];
        gone.extend(keys.into_iter().filter(|key| memory.known(key).is_some()));
    }
    if fetched.whole {
        let known = memory
            .keys()
            .chain(memory.placement().records().map(|(key, _)| key));
        gone.extend(known.filter(|key| !sources.objects.contains_key(key)).cloned());
    }
    gone.into_iter().map(Change::Remove).collect()
}

fn put(key: &ObjectKey, inspection: Inspection) -> Change {
    Change::Put(key.clone(), inspection)
}

fn key_of_change(change: &Change) -> &ObjectKey {
    match change {
        Change::Put(key, _) | Change::Remove(key) => key,
    }
}

fn place(memory: &mut Memory, changes: Vec<Change>) -> Delta {
    memory.place(|placement: &mut Placement| {
        let delta = placement.apply(changes);
        let mut touched: Vec<ObjectKey> = delta.stale.iter().chain(&delta.removed).cloned().collect();
        touched.extend(delta.moved.iter().map(|moved| moved.key.clone()));
        (delta, touched)
    })
}

fn name_of(entry: &Entry) -> EntryKey {
    EntryKey {
        kind: entry.kind,
        shard: entry.shard.clone(),
        key: entry.key.clone(),
    }
}
