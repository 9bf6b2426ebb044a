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
    transform::Clean,
};
use crate::crash_point;
use mirror_core::{
    batch::{MirrorBatch, MirrorObject, Subject},
    cut::ConfigKey,
    finding::WithholdReason,
    ids::{ObjectKey, Oid},
    inventory::{Inventory, ObjectType},
    layout::{Entry, IndexKind, Inspection, PlacedObject, SourceObject},
    path::{AGENTS_MARKER, MirrorPath},
    placement::{Change, Delta, Placement},
};
use mirror_git::Draft;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Shared files whose newest form is withheld, and why.
    pub withheld_files: BTreeMap<String, String>,
    /// Counts, where everything was read; else empty.
    pub inventory: Inventory,
}

/// What building came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Built(Box<Built>),
    /// These have to be withheld, and their earlier files stay; but others were placed as if these had
    /// moved. Building has to begin again with them set aside.
    Aside(BTreeMap<ObjectKey, WithholdReason>),
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

    /// Returns how many buckets and tables there are.
    fn storage(&self) -> usize {
        let is_storage = |key: &&ObjectKey| matches!(key, ObjectKey::Table(_) | ObjectKey::Bucket(_));
        self.objects.keys().filter(is_storage).count()
    }

    /// Counts everything that was fetched, and what was refused instead.
    fn inventory(&self, withheld: &BTreeMap<ObjectKey, WithholdReason>) -> Inventory {
        let mut inventory = Inventory::default();
        for (key, object) in &self.objects {
            let component = object.component.as_ref();
            let component = component.map(|component| component.component_type.as_str());
            inventory.count(ObjectType::of(key, component), withheld.contains_key(key));
        }
        for key in withheld.keys().filter(|key| !self.objects.contains_key(key)) {
            inventory.count(ObjectType::of(key, None), true);
        }
        inventory
    }

    fn covered(&self, key: &ObjectKey, memory: &Memory) -> Option<Covered> {
        if !matches!(key, ObjectKey::Config { .. }) {
            return None;
        }
        let key = ConfigKey::of(key)?;
        self.configs.get(&key).cloned().or_else(|| {
            memory
                .known(&ObjectKey::from(key))
                .and_then(|known| known.covered.clone())
        })
    }
}

impl Lane {
    /// Builds the content of the commit from what was fetched. Objects in `aside` stay as they are.
    ///
    /// # Errors
    /// A source that fails when dependents are fetched again, or a sandbox that fails as a whole.
    pub(super) async fn build(
        &self,
        start_memory: Memory,
        mut fetched: Fetched,
        scope: Scope,
        tip: Option<Tip>,
        aside: &BTreeMap<ObjectKey, WithholdReason>,
    ) -> Result<Outcome, AttemptError> {
        let mut memory = start_memory;
        let whole = fetched.whole;
        let mut withheld = std::mem::take(&mut fetched.refused);
        withheld.extend(aside.iter().map(|(key, reason)| (key.clone(), reason.clone())));
        fetched
            .objects
            .retain(|object| !withheld.contains_key(&object.key));
        let mut sources = Sources::default();
        let mut objects = sources.add(&mut fetched);
        // Runs have no place, and nothing refers to them.
        objects.retain(|object| !is_run(&object.key));
        let (returned, inspected) = {
            let inspected = self.blocking(move |lane| {
                Ok({
                    let inspected = lane.transformer.inspect(&objects)?;
                    (objects, inspected)
                })
            });
            inspected.await?
        };
        let mut changes = gone(&memory, &fetched, &sources, &withheld);
        let going: BTreeSet<ObjectKey> = changes.iter().map(key_of_change).cloned().collect();
        let census = if whole {
            let census = self.census_of_all(&memory, going.len(), tip, sources.storage());
            Some(census.await?)
        } else if going.len() > 1 {
            Some(self.census(&memory, going.len()).await?)
        } else {
            None
        };
        // Only of these anything can be lost when everything is rendered.
        let before: BTreeSet<ObjectKey> = match whole {
            true => memory.keys().cloned().collect(),
            false => BTreeSet::new(),
        };
        if let Some(census) = &census {
            self.hold_mass_deletion(census, &going).await?;
        }
        let mut removed = going;
        for (object, inspection) in returned.into_iter().zip(inspected) {
            match inspection {
                Ok(inspection) => changes.push(put(&object.key, inspection)),
                Err(reason) => {
                    withheld.insert(object.key, reason);
                }
            }
        }
        let delta = place(&mut memory, changes);
        let mut moved: BTreeSet<ObjectKey> = delta.moved.into_iter().map(|moved| moved.key).collect();
        let mut todo = delta.stale;
        todo.extend(
            sources
                .objects
                .keys()
                .filter(|key| !withheld.contains_key(key))
                .cloned(),
        );
        todo.retain(|key| !removed.contains(key) && !withheld.contains_key(key));

        let mut clean: BTreeMap<Subject, MirrorObject> = BTreeMap::new();
        let mut known = self.transformer.own_secrets.clone();
        // Each round withholds at least one more object, so this ends.
        loop {
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
                withheld.append(&mut again.refused);
                todo.retain(|key| !withheld.contains_key(key));
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
            let Taken { vanished, stays } = take(round, &mut clean, &mut withheld, &memory);
            let aside: BTreeMap<ObjectKey, WithholdReason> = stays
                .into_iter()
                .filter(|key| moved.contains(key))
                .filter_map(|key| Some((key.clone(), withheld.get(&key)?.clone())))
                .collect();
            if !aside.is_empty() {
                return Ok(Outcome::Aside(aside));
            }
            if vanished.is_empty() {
                break;
            }
            removed.extend(vanished.iter().cloned());
            let changes = vanished.into_iter().map(Change::Remove).collect();
            let delta = place(&mut memory, changes);
            moved.extend(delta.moved.into_iter().map(|moved| moved.key));
            todo = delta.stale;
            todo.retain(|key| !removed.contains(key) && !withheld.contains_key(key));
        }
        crash_point!("after-render");
        let inventory = sources.inventory(&withheld);
        let mut built = Built {
            memory,
            content: Vec::new(),
            deleted: BTreeSet::new(),
            whole,
            kept: BTreeSet::new(),
            known,
            withheld,
            withheld_files: BTreeMap::new(),
            inventory: match whole {
                true => inventory,
                false => Inventory::default(),
            },
        };
        let shards = built.settle(clean, &removed, &sources);
        if let Some(census) = census.filter(|_| whole) {
            // Withheld with nothing earlier to stay: gone too.
            let is_lost = |key: &&ObjectKey| {
                let known = built.memory.known(key);
                known.is_none_or(|known| known.files.is_empty())
            };
            let lost = removed.iter().chain(built.withheld.keys()).filter(is_lost);
            let lost = lost.filter(|key| before.contains(*key)).cloned().collect();
            self.hold_mass_deletion(&census, &lost).await?;
        }
        let built = self.gather(built, shards, tip).await?;
        Ok(Outcome::Built(Box::new(built)))
    }

    /// Makes the shared files whose entries changed.
    async fn gather(
        &self,
        mut built: Built,
        shards: BTreeSet<Shard>,
        tip: Option<Tip>,
    ) -> Result<Built, AttemptError> {
        let mut shards = shards;
        if built.whole {
            shards.extend(built.memory.all_shards());
            shards.insert((IndexKind::Guide, String::new()));
        }
        if let Some(jobs) = self.spec.jobs {
            for (day, files) in built.memory.drop_days(jobs.keep_days) {
                shards.remove(&day);
                built.deleted.extend(files);
            }
        }
        // A closed day without news is as it is.
        let (unread, shards): (BTreeSet<Shard>, BTreeSet<Shard>) = shards
            .into_iter()
            .partition(|shard| built.memory.is_closed(shard) && !built.memory.has_pending(shard));
        for day in &unread {
            built.kept.extend(built.memory.shard_files(day).iter().cloned());
        }
        self.open_days(&mut built.memory, &shards, tip).await?;
        let work: Vec<(IndexKind, String, Vec<Entry>)> = shards
            .iter()
            .map(|shard| (shard.0, shard.1.clone(), built.memory.entries(shard)))
            .collect();
        let whole = built.whole;
        let (mut clean, keep, foreign) = self
            .blocking(move |lane| {
                let (mut clean, keep) = lane.transformer.shards(work)?;
                let foreign = match tip.filter(|_| whole) {
                    Some(tip) => lane.foreign_agents_file(tip.tree)?,
                    None => None,
                };
                if let Some(path) = &foreign {
                    let batches = std::mem::take(&mut clean.batches);
                    clean.batches = batches.into_iter().map(|batch| batch.without(path)).collect();
                }
                Ok((clean, keep, foreign))
            })
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
        // Somebody else's now, whoever made it first.
        if let Some(foreign) = foreign {
            built.deleted.remove(&foreign);
        }
        let failed: BTreeSet<Shard> = shards.difference(&made).cloned().collect();
        for shard in &failed {
            // Withheld: what is there stays.
            built.kept.extend(built.memory.shard_files(shard).iter().cloned());
        }
        for shard in shards.iter().filter(|shard| shard.0 == IndexKind::JobDay) {
            built.memory.settle_pending(shard);
        }
        built.memory.close_days(&failed);
        for refused in &clean.withheld {
            tracing::error!(lane = %self.id, subject = %refused.subject, reason = %refused.reason, "a shared file is withheld");
            built
                .withheld_files
                .insert(refused.subject.to_string(), refused.reason.to_string());
        }
        built.content.append(&mut clean.batches);
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
            let is_withheld = |known: &Known| known.withheld.is_some();
            // As below: others may live by now where a withheld object has left its files.
            let left = self
                .memory
                .known(key)
                .is_some_and(is_withheld)
                .then(|| self.memory.unclaimed(key));
            let (files, touched) = self.memory.forget(key);
            if matches!(key, ObjectKey::Config { .. }) {
                // Nobody waits for a configuration that is gone to recover; its runs stay in their days.
                let health = EntryKey {
                    kind: IndexKind::JobHealth,
                    shard: String::new(),
                    key: key.to_string(),
                };
                shards.extend(self.memory.remove_entry(health));
            }
            self.deleted.extend(left.unwrap_or(files));
            shards.extend(touched);
        }
        for (subject, object) in &clean {
            let Subject::Object(key) = subject else { continue };
            if let Some(known) = self.memory.known(key) {
                if known.withheld.is_some() {
                    // What it left behind may stand where others have come to live since.
                    let left = self.memory.unclaimed(key);
                    self.deleted.extend(left);
                    shards.extend(self.withheld_entry(key, None));
                } else {
                    self.deleted.extend(known.files.iter().cloned());
                }
            }
            let files: Vec<MirrorPath> = object.files().iter().map(|file| file.path().clone()).collect();
            let entries = object.entries().to_vec();
            if is_run(key) {
                // A run gives entries only, and they stay whatever becomes of it.
                shards.extend(self.withheld_entry(key, None));
                for entry in entries {
                    if self.is_of_somebody(&entry) {
                        shards.extend(self.memory.put_entry(entry));
                    }
                }
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
            if !is_run(&key) {
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

    /// Whether an entry of a run is of use: a configuration that is gone has no health, whether its runs
    /// are told one by one or listed anew.
    fn is_of_somebody(&self, entry: &Entry) -> bool {
        if entry.kind != IndexKind::JobHealth {
            return true;
        }
        let key = entry.key.split_once('/').and_then(|(component, config)| {
            Some(ObjectKey::Config {
                component: component.parse().ok()?,
                config: config.parse().ok()?,
            })
        });
        key.is_none_or(|key| self.memory.known(&key).is_some() || self.withheld.contains_key(&key))
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
                    "reason": reason.public(),
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
        lane: &Lane,
        draft: &mut Draft<'_>,
        tip: Option<Tip>,
    ) -> Result<mirror_git::TreeOutcome, AttemptError> {
        let base = tip.map(|tip| tip.tree);
        let mut going = std::mem::take(&mut self.deleted);
        if let (true, Some(tree)) = (self.whole, base) {
            going.extend(lane.own_files(tree)?);
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

impl Lane {
    /// Lists the mirror's own files in a tree.
    pub(super) fn own_files(&self, tree: Oid) -> Result<Vec<MirrorPath>, AttemptError> {
        let mut files = Vec::new();
        for root in self.transformer.owned.roots() {
            for file in self.git.files_below(tree, Some(&root))? {
                files.extend(file?.mirror_path());
            }
        }
        if let Some(foreign) = self.foreign_agents_file(tree)? {
            files.retain(|file| *file != foreign);
        }
        Ok(files)
    }

    /// Returns the path of `AGENTS.md` where the tree has one that somebody else wrote.
    fn foreign_agents_file(&self, tree: Oid) -> Result<Option<MirrorPath>, AttemptError> {
        let path = self.transformer.owned.agents_file();
        let Some(file) = self.git.file(tree, &path)? else {
            return Ok(None);
        };
        let blobs = self.remote.read_blobs(&[file.id])?;
        let ours = blobs
            .first()
            .is_some_and(|blob| blob.starts_with(AGENTS_MARKER.as_bytes()));
        Ok((!ours).then_some(path))
    }
}

/// Objects that a round withheld.
struct Taken {
    /// They have no version at all that could stand in the tree.
    vanished: Vec<ObjectKey>,
    /// Their earlier files stay.
    stays: Vec<ObjectKey>,
}

/// Takes a round's outcome.
fn take(
    round: Clean,
    clean: &mut BTreeMap<Subject, MirrorObject>,
    withheld: &mut BTreeMap<ObjectKey, WithholdReason>,
    memory: &Memory,
) -> Taken {
    for object in round.batches.into_iter().flat_map(MirrorBatch::into_objects) {
        clean.insert(object.subject().clone(), object);
    }
    let (mut vanished, mut stays) = (Vec::new(), Vec::new());
    for refused in round.withheld {
        let Subject::Object(key) = refused.subject else {
            continue;
        };
        clean.remove(&Subject::Object(key.clone()));
        // Files are only known of the render digest that holds.
        let has_earlier = memory.known(&key).is_some_and(|known| !known.files.is_empty());
        if has_earlier {
            stays.push(key.clone());
        } else if memory.placement().record(&key).is_some() {
            vanished.push(key.clone());
        }
        withheld.insert(key, refused.reason);
    }
    Taken { vanished, stays }
}

/// Returns what is no longer there: rows that a configuration lost, what was deleted, and, where
/// everything was fetched, all that was not among it.
fn gone(
    memory: &Memory,
    fetched: &Fetched,
    sources: &Sources,
    withheld: &BTreeMap<ObjectKey, WithholdReason>,
) -> Vec<Change> {
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
    let sampled = fetched.no_sample.keys().cloned().map(ObjectKey::Sample);
    gone.extend(sampled.filter(|key| memory.known(key).is_some()));
    if fetched.whole {
        let known = memory
            .keys()
            .chain(memory.placement().records().map(|(key, _)| key));
        gone.extend(known.filter(|key| !sources.objects.contains_key(key)).cloned());
    }
    gone.retain(|key| !withheld.contains_key(key));
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

fn is_run(key: &ObjectKey) -> bool {
    matches!(key, ObjectKey::Job(_))
}

fn name_of(entry: &Entry) -> EntryKey {
    EntryKey {
        kind: entry.kind,
        shard: entry.shard.clone(),
        key: entry.key.clone(),
    }
}
