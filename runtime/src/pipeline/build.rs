//! Building: from what was fetched and looked at to a tree that is ready to be committed.
//!
//! Place, render, redact, filter, guard, and into the tree at once, chunk by chunk: of what is written only
//! names stay. The same line serves one edit and a whole project. Blocks; everything but fetching dependents
//! again is pure or touches only the local object store.

mod settle;

use super::{
    attempt::Lane,
    breaker::Census,
    error::AttemptError,
    fetch::{Covered, Fetched, Scope, Versions},
    memory::{Memory, Shard},
    recover::Tip,
    render,
    spool::{Spool, Spooled},
    survey::Survey,
    transform::{Clean, FilledShard},
    work::Work,
};
use crate::crash_point;
use mirror_core::{
    batch::{MirrorBatch, Subject, Withheld},
    cut::ConfigKey,
    finding::WithholdReason,
    ids::{ObjectKey, Oid},
    inventory::Inventory,
    layout::{Entry, IndexKind, PlacedObject, SourceObject},
    path::{AGENTS_MARKER, MirrorPath},
    placement::{Change, Delta, Placement},
    quarantine::Quarantine,
    redaction::RedactionStats,
};
use mirror_git::{Draft, TreeOutcome, TreeWriter, blob_id};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// What building begins with.
pub(super) struct Begin<'b> {
    pub memory: Memory,
    pub fetched: Fetched,
    pub survey: Survey,
    pub scope: Scope,
    pub tip: Option<Tip>,
    pub again: &'b Again,
    /// The tip's files were made as they would be made now, though it is not known any more which are whose.
    pub same_render: bool,
    /// The newest versions of configurations that were fetched at an earlier one.
    pub newest: BTreeMap<ConfigKey, Covered>,
    /// What the remote has refused.
    pub quarantine: Quarantine,
    /// Fetches dependents again.
    pub handle: &'b Handle,
}

/// Everything an attempt has made of what it fetched; its files are in the tree.
#[derive(Debug)]
pub(super) struct Built {
    pub memory: Memory,
    pub tree: TreeOutcome,
    pub withheld: BTreeMap<ObjectKey, WithholdReason>,
    /// Shared files whose newest form is withheld, and why.
    pub withheld_files: BTreeMap<String, String>,
    /// Counts, where everything was read; else empty.
    pub inventory: Inventory,
    /// What was redacted, of objects in which something was.
    pub redactions: Vec<(ObjectKey, RedactionStats)>,
    pub work: Work,
    /// How long fetching dependents took.
    pub fetching: Duration,
}

/// What building came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Built(Box<Built>),
    /// Building has to begin again, with this beside what it began with. Where it is nothing, a secret came to be
    /// known that the guard had not looked for.
    Again(Again),
}

/// What was found out while building that changes where objects stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Again {
    /// These have to be withheld, and their earlier files stay; others were placed as if these had moved.
    pub aside: BTreeMap<ObjectKey, WithholdReason>,
    /// Of these configurations an object has to be withheld whose earlier files are in the tip, but it is not
    /// known which they are: they are made again, from the version that the tip has.
    pub earlier: BTreeMap<ConfigKey, BTreeMap<ObjectKey, WithholdReason>>,
}

impl Again {
    pub(super) fn is_empty(&self) -> bool {
        self.aside.is_empty() && self.earlier.is_empty()
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.aside.extend(more.aside);
        self.earlier.extend(more.earlier);
    }
}

/// What of a rendered object is remembered until all are.
#[derive(Debug)]
struct Made {
    files: Vec<MirrorPath>,
    entries: Vec<Entry>,
    stats: RedactionStats,
}

/// A build under way.
struct Build<'l, 'w, 'd, 's> {
    lane: &'l Lane,
    writer: &'w mut TreeWriter<'d, 's>,
    again: &'l Again,
    quarantine: Quarantine,
    same_render: bool,
    newest: BTreeMap<ConfigKey, Covered>,
    memory: Memory,
    /// Versions of the configurations that were fetched.
    fetched: BTreeMap<ConfigKey, Covered>,
    whole: bool,
    made: BTreeMap<ObjectKey, Made>,
    removed: BTreeSet<ObjectKey>,
    withheld: BTreeMap<ObjectKey, WithholdReason>,
    withheld_files: BTreeMap<String, String>,
    /// Paths that go, where nothing new takes them.
    deleted: BTreeSet<MirrorPath>,
    /// Paths that stay as they are although they were not written.
    kept: BTreeSet<MirrorPath>,
    /// Somebody else's file where one of ours would be.
    foreign: Option<MirrorPath>,
    /// The guard did not look for everything that is known by now.
    outdated_guard: bool,
    work: Work,
    fetching: Duration,
}

/// The versions that were fetched, then those that the tip has.
struct Newest<'v>(&'v BTreeMap<ConfigKey, Covered>, &'v Memory);

impl Versions for Newest<'_> {
    fn covered(&self, key: &ConfigKey) -> Option<&Covered> {
        self.0.get(key).or_else(|| self.1.covered_of(key))
    }
}

impl Versions for Memory {
    fn covered(&self, key: &ConfigKey) -> Option<&Covered> {
        self.covered_of(key)
    }
}

/// Objects that a round withheld.
#[derive(Debug, Default)]
struct Refused {
    /// They have no version at all that could stand in the tree.
    vanished: Vec<ObjectKey>,
    /// Their earlier files stay.
    stays: Vec<ObjectKey>,
    /// Their earlier files are to be made again.
    earlier: Vec<ObjectKey>,
}

impl Lane {
    /// Builds the tree of the commit in a draft.
    ///
    /// # Errors
    /// A source that fails when dependents are fetched again, a sandbox that fails as a whole, a store that
    /// cannot be read, or paths that contradict each other.
    pub(super) fn build(&self, draft: &mut Draft<'_>, begin: Begin<'_>) -> Result<Outcome, AttemptError> {
        let Begin {
            memory,
            fetched,
            mut survey,
            scope,
            tip,
            again,
            same_render,
            newest,
            quarantine,
            handle,
        } = begin;
        let foreign = match tip.filter(|_| fetched.whole) {
            Some(tip) => self.foreign_agents_file(tip.tree)?,
            None => None,
        };
        let mut writer = draft.tree_writer(tip.map(|tip| tip.tree))?;
        let mut withheld = fetched.refused.clone();
        withheld.extend(
            again
                .aside
                .iter()
                .map(|(key, reason)| (key.clone(), reason.clone())),
        );
        let configs = fetched.configs.iter();
        let mut build = Build {
            lane: self,
            writer: &mut writer,
            again,
            quarantine,
            same_render,
            newest,
            memory,
            fetched: configs
                .map(|(key, config)| (key.clone(), Covered::of(&config.revision)))
                .collect(),
            whole: fetched.whole,
            made: BTreeMap::new(),
            removed: BTreeSet::new(),
            withheld,
            withheld_files: BTreeMap::new(),
            deleted: BTreeSet::new(),
            kept: BTreeSet::new(),
            foreign,
            outdated_guard: false,
            work: Work {
                inspected: survey.inspected.len(),
                ..Work::default()
            },
            fetching: Duration::ZERO,
        };
        if let Some(tip) = tip.filter(|_| build.whole) {
            // What is not written again goes.
            self.each_own_file(tip.tree, &mut |path| Ok(build.writer.delete(&path)?))?;
        }
        let going = build.gone(&fetched, &survey.spool);
        let census = build.census(going.len(), &survey.spool, tip, handle)?;
        // Only of these anything can be lost when everything is rendered.
        let before: BTreeSet<ObjectKey> = match build.whole {
            true => build.memory.keys().cloned().collect(),
            false => BTreeSet::new(),
        };
        if let Some(census) = &census {
            handle.block_on(self.hold_mass_deletion(census, &going))?;
        }
        let again = build.objects(&mut survey, going, scope, handle)?;
        drop(fetched);
        if let Some(again) = again {
            return Ok(Outcome::Again(again));
        }
        crash_point!("after-render");
        let inventory = build.inventory(&survey);
        drop(survey);
        let redactions = build.redactions();
        let removed = build.removed.clone();
        let mut shards = build.settle();
        if let Some(census) = census.filter(|_| build.whole) {
            // Withheld with nothing earlier to stay: gone too.
            let is_lost = |key: &&ObjectKey| {
                let known = build.memory.known(key);
                known.is_none_or(|known| known.files.is_empty())
            };
            let lost = removed.iter().chain(build.withheld.keys()).filter(is_lost);
            let lost = lost.filter(|key| before.contains(*key)).cloned().collect();
            handle.block_on(self.hold_mass_deletion(&census, &lost))?;
        }
        build.gather(&mut shards, tip, handle)?;
        if build.outdated_guard {
            return Ok(Outcome::Again(Again::default()));
        }
        crash_point!("after-guard");
        for path in &build.deleted {
            build.writer.delete(path)?;
        }
        for path in &build.kept {
            build.writer.keep(path)?;
        }
        let Build {
            memory,
            withheld,
            withheld_files,
            mut work,
            fetching,
            ..
        } = build;
        let tree = writer.finish()?;
        work.git_objects = tree.objects;
        Ok(Outcome::Built(Box::new(Built {
            memory,
            tree,
            withheld,
            withheld_files,
            inventory,
            redactions,
            work,
            fetching,
        })))
    }
}

impl Build<'_, '_, '_, '_> {
    /// Places and renders objects until nothing depends any more on what was withheld. Returns what building
    /// has to begin again with, if it must.
    fn objects(
        &mut self,
        survey: &mut Survey,
        going: BTreeSet<ObjectKey>,
        scope: Scope,
        handle: &Handle,
    ) -> Result<Option<Again>, AttemptError> {
        let mut changes: Vec<Change> = going.iter().cloned().map(Change::Remove).collect();
        self.removed = going;
        let mut again = Again::default();
        for (key, inspection) in std::mem::take(&mut survey.inspected) {
            if self.withheld.contains_key(&key) {
                continue;
            }
            match inspection {
                Ok(inspection) => changes.push(Change::Put(key, inspection)),
                Err(reason) if self.has_unknown_files(&key, &self.memory) => {
                    let config = ConfigKey::of(&key).expect("only a configuration has a version");
                    again.earlier.entry(config).or_default().insert(key, reason);
                }
                Err(reason) => drop(self.withheld.insert(key, reason)),
            }
        }
        if !again.is_empty() {
            return Ok(Some(again));
        }
        let delta = place(&mut self.memory, changes);
        let mut moved: BTreeSet<ObjectKey> = delta.moved.into_iter().map(|moved| moved.key).collect();
        let mut todo = delta.stale;
        todo.extend(survey.spool.keys().cloned());
        // Each round withholds at least one more object, so this ends.
        loop {
            todo.retain(|key| !self.removed.contains(key) && !self.withheld.contains_key(key));
            self.fetch_missing(&mut todo, &mut survey.spool, scope, handle)?;
            crash_point!("after-fetch");
            let refused = self.round(todo, &survey.spool, scope, handle)?;
            for key in refused.stays.into_iter().filter(|key| moved.contains(key)) {
                if let Some(reason) = self.withheld.get(&key) {
                    again.aside.insert(key, reason.clone());
                }
            }
            for key in refused.earlier {
                if let (Some(config), Some(reason)) = (ConfigKey::of(&key), self.withheld.get(&key)) {
                    again
                        .earlier
                        .entry(config)
                        .or_default()
                        .insert(key, reason.clone());
                }
            }
            if self.outdated_guard || !again.is_empty() {
                return Ok(Some(again));
            }
            if refused.vanished.is_empty() {
                return Ok(None);
            }
            self.removed.extend(refused.vanished.iter().cloned());
            let changes = refused.vanished.into_iter().map(Change::Remove).collect();
            let delta = place(&mut self.memory, changes);
            moved.extend(delta.moved.into_iter().map(|moved| moved.key));
            todo = delta.stale;
        }
    }

    /// Fetches what has to be rendered anew because of others, and was not fetched yet.
    fn fetch_missing(
        &mut self,
        todo: &mut BTreeSet<ObjectKey>,
        spool: &mut Spool,
        scope: Scope,
        handle: &Handle,
    ) -> Result<(), AttemptError> {
        let missing: BTreeSet<ObjectKey> = todo.iter().filter(|key| !spool.contains(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let versions = Newest(&self.fetched, &self.memory);
        let again = self
            .lane
            .source
            .again(&self.lane.branch, &missing, &versions, scope);
        let Fetched {
            objects,
            configs,
            mut refused,
            ..
        } = handle.block_on(again)?;
        self.fetching += asked.elapsed();
        self.withheld.append(&mut refused);
        todo.retain(|key| !self.withheld.contains_key(key));
        for (key, config) in configs {
            self.fetched.insert(key, Covered::of(&config.revision));
        }
        for object in objects {
            spool.put(object)?;
        }
        Ok(())
    }

    /// Renders objects and writes what may be written.
    fn round(
        &mut self,
        todo: BTreeSet<ObjectKey>,
        spool: &Spool,
        scope: Scope,
        handle: &Handle,
    ) -> Result<Refused, AttemptError> {
        let lane = self.lane;
        // What an earlier round wrote of them; before anything is written, since others may get the paths.
        let before = todo.iter().filter_map(|key| self.made.remove(key));
        for path in before.flat_map(|made| made.files) {
            self.writer.withdraw(&path)?;
        }
        let transformer = &lane.transformer;
        let guard = transformer.guard();
        let mut refused = Refused::default();
        let mut todo = todo.into_iter();
        // Objects that were not kept, and cannot be had again.
        let mut lost: Vec<(ObjectKey, Option<WithholdReason>)> = Vec::new();
        let (mut rendered, mut waited) = (0, Duration::ZERO);
        // Only the placement is looked at while objects are rendered, and it does not change then.
        let memory = std::mem::take(&mut self.memory);
        let versions = std::mem::take(&mut self.fetched);
        let outcome = {
            let mut next = || -> Result<Option<PlacedObject>, AttemptError> {
                for key in todo.by_ref() {
                    let object = match spool.get(&key)? {
                        None => continue,
                        Some(Spooled::Object(object)) => object,
                        Some(Spooled::NotKept) => {
                            let asked = Instant::now();
                            let newest = Newest(&versions, &memory);
                            let found = lane.fetch_one(&key, &newest, scope, handle)?;
                            waited += asked.elapsed();
                            match found {
                                Ok(object) => object,
                                Err(reason) => {
                                    lost.push((key, reason));
                                    continue;
                                }
                            }
                        }
                    };
                    rendered += 1;
                    return Ok(Some(memory.placement().placed(&key, object)));
                }
                Ok(None)
            };
            let mut take = |clean: Clean| self.take(clean, &memory, &mut refused);
            let work = |chunk| Ok(transformer.objects(chunk, &guard)?);
            render::objects(lane.memory_bytes_max, &mut next, work, &mut take)
        };
        self.memory = memory;
        self.fetched = versions;
        self.work.rendered += rendered;
        self.fetching += waited;
        outcome?;
        for (key, reason) in lost {
            match reason {
                Some(reason) => self.refuse(key, reason, None, &mut refused),
                // It went away since; its own event will say so, and finds it gone.
                None => refused.vanished.push(key),
            }
        }
        Ok(refused)
    }

    /// Writes what became of a chunk.
    fn take(&mut self, clean: Clean, memory: &Memory, refused: &mut Refused) -> Result<(), AttemptError> {
        let Clean {
            batch,
            mut withheld,
            known,
        } = clean;
        let batch = self.keep_back(batch, &mut withheld);
        self.outdated_guard |= self.lane.transformer.learn(&known);
        for object in batch.objects() {
            let Subject::Object(key) = object.subject() else {
                continue;
            };
            let made = Made {
                files: object.files().iter().map(|file| file.path().clone()).collect(),
                entries: object.entries().to_vec(),
                stats: object.stats().clone(),
            };
            self.made.insert(key.clone(), made);
        }
        for one in withheld {
            if let Subject::Object(key) = one.subject {
                self.refuse(key, one.reason, Some(memory), refused);
            }
        }
        self.write(batch)
    }

    /// Takes out what the remote refused and is the same still.
    fn keep_back(&self, batch: MirrorBatch, withheld: &mut Vec<Withheld>) -> MirrorBatch {
        if self.quarantine.is_empty() {
            return batch;
        }
        let id = |text: &str| blob_id(text.as_bytes());
        let (batch, refused) = batch.withhold(|object| self.quarantine.objects_to(object, id));
        withheld.extend(refused);
        batch
    }

    /// Notes that an object cannot be written.
    fn refuse(
        &mut self,
        key: ObjectKey,
        reason: WithholdReason,
        memory: Option<&Memory>,
        refused: &mut Refused,
    ) {
        let memory = memory.unwrap_or(&self.memory);
        // Files are only known of the render digest that holds.
        let has_earlier = memory.known(&key).is_some_and(|known| !known.files.is_empty());
        if has_earlier {
            refused.stays.push(key.clone());
        } else if self.has_unknown_files(&key, memory) {
            refused.earlier.push(key.clone());
        } else if memory.placement().record(&key).is_some() {
            refused.vanished.push(key.clone());
        }
        self.withheld.insert(key, reason);
    }

    /// Returns whether the tip has files of an object, of which it is only known that they are there.
    fn has_unknown_files(&self, key: &ObjectKey, memory: &Memory) -> bool {
        self.same_render
            && memory.known(key).is_none_or(|known| known.files.is_empty())
            && ConfigKey::of(key).is_some_and(|config| {
                memory.covered_of(&config).is_some() && !self.again.earlier.contains_key(&config)
            })
    }

    fn write(&mut self, batch: MirrorBatch) -> Result<(), AttemptError> {
        let files = batch
            .objects()
            .iter()
            .flat_map(mirror_core::batch::MirrorObject::files);
        for file in files {
            self.work.files += 1;
            self.work.bytes += file.content().len();
        }
        self.writer.write(batch)?;
        Ok(())
    }

    /// Makes the shared files whose entries changed.
    fn gather(
        &mut self,
        shards: &mut BTreeSet<Shard>,
        tip: Option<Tip>,
        handle: &Handle,
    ) -> Result<(), AttemptError> {
        let lane = self.lane;
        if self.whole {
            shards.extend(self.memory.all_shards());
            shards.insert((IndexKind::Guide, String::new()));
        }
        if let Some(jobs) = lane.spec.jobs {
            for (day, files) in self.memory.drop_days(jobs.keep_days) {
                shards.remove(&day);
                self.deleted.extend(files);
            }
        }
        // A closed day without news is as it is.
        let (unread, open): (BTreeSet<Shard>, BTreeSet<Shard>) = std::mem::take(shards)
            .into_iter()
            .partition(|shard| self.memory.is_closed(shard) && !self.memory.has_pending(shard));
        *shards = open;
        for day in &unread {
            self.kept.extend(self.memory.shard_files(day).iter().cloned());
        }
        handle.block_on(lane.open_days(&mut self.memory, shards, tip))?;
        let guard = lane.transformer.guard();
        self.work.gathered += shards.len();
        let (mut entries_read, mut made) = (0, BTreeSet::new());
        let mut remaining = shards.iter();
        let memory = std::mem::take(&mut self.memory);
        let memory = std::cell::RefCell::new(memory);
        let outcome = {
            let mut next = || -> Result<Option<FilledShard>, AttemptError> {
                Ok(remaining.next().map(|shard| {
                    let entries = memory.borrow().entries(shard);
                    entries_read += entries.len();
                    (shard.0, shard.1.clone(), entries)
                }))
            };
            let mut take = |(clean, keep): (Clean, Option<FilledShard>)| {
                if let Some((kind, shard, entries)) = keep {
                    memory.borrow_mut().replace_entries(&(kind, shard), entries);
                }
                self.take_shard(clean, &mut memory.borrow_mut(), &mut made)
            };
            let work = |filled| Ok(lane.transformer.shard(filled, &guard)?);
            render::shards(lane.memory_bytes_max, &mut next, work, &mut take)
        };
        self.memory = memory.into_inner();
        self.work.gathered_entries += entries_read;
        outcome?;
        // Somebody else's now, whoever made it first.
        if let Some(foreign) = &self.foreign {
            self.deleted.remove(foreign);
        }
        let failed: BTreeSet<Shard> = shards.difference(&made).cloned().collect();
        for shard in &failed {
            // Withheld: what is there stays.
            self.kept.extend(self.memory.shard_files(shard).iter().cloned());
        }
        for shard in shards.iter().filter(|shard| shard.0 == IndexKind::JobDay) {
            self.memory.settle_pending(shard);
        }
        self.memory.close_days(&failed);
        Ok(())
    }

    fn take_shard(
        &mut self,
        clean: Clean,
        memory: &mut Memory,
        made: &mut BTreeSet<Shard>,
    ) -> Result<(), AttemptError> {
        let Clean {
            batch,
            mut withheld,
            known,
        } = clean;
        let mut batch = self.keep_back(batch, &mut withheld);
        self.outdated_guard |= self.lane.transformer.learn(&known);
        if let Some(foreign) = &self.foreign {
            batch = batch.without(foreign);
        }
        for object in batch.objects() {
            if let Subject::Index { kind, shard } = object.subject() {
                let files: Vec<MirrorPath> = object.files().iter().map(|file| file.path().clone()).collect();
                let shard = (*kind, shard.clone());
                self.deleted.extend(memory.keep_shard(shard.clone(), files));
                made.insert(shard);
            }
        }
        for refused in &withheld {
            tracing::error!(lane = %self.lane.id, subject = %refused.subject, reason = %refused.reason, "a shared file is withheld");
            self.withheld_files
                .insert(refused.subject.to_string(), refused.reason.to_string());
        }
        self.write(batch)
    }

    /// Returns what is no longer there: rows that a configuration lost, what was deleted, and, where
    /// everything was fetched, all that was not among it.
    fn gone(&self, fetched: &Fetched, spool: &Spool) -> BTreeSet<ObjectKey> {
        let memory = &self.memory;
        let mut gone: BTreeSet<ObjectKey> = BTreeSet::new();
        if self.whole {
            let known = memory
                .keys()
                .chain(memory.placement().records().map(|(key, _)| key));
            gone.extend(known.filter(|key| !spool.contains(key)).cloned());
        } else {
            for (key, config) in &fetched.configs {
                let rows = memory.of_config(key).skip(1);
                gone.extend(rows.filter(|row| !config.rows.contains(row)).cloned());
            }
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
        gone.retain(|key| !self.withheld.contains_key(key));
        gone
    }

    /// Returns by what it is judged whether too much goes; none where that is not in question.
    fn census(
        &self,
        going: usize,
        spool: &Spool,
        tip: Option<Tip>,
        handle: &Handle,
    ) -> Result<Option<Census>, AttemptError> {
        let lane = self.lane;
        if self.whole {
            let is_storage = |key: &&ObjectKey| matches!(key, ObjectKey::Table(_) | ObjectKey::Bucket(_));
            let storage = spool.keys().filter(is_storage).count();
            let census = lane.census_of_all(&self.memory, going, tip, storage);
            return Ok(Some(handle.block_on(census)?));
        }
        if going > 1 {
            return Ok(Some(handle.block_on(lane.census(&self.memory, going))?));
        }
        Ok(None)
    }

    /// Counts what was fetched, where that is everything.
    fn inventory(&self, survey: &Survey) -> Inventory {
        if !self.whole {
            return Inventory::default();
        }
        let mut inventory = survey.inventory(|key| self.withheld.contains_key(key));
        for key in self.withheld.keys().filter(|key| !survey.spool.contains(key)) {
            inventory.count(survey.type_of(key), true);
        }
        inventory
    }

    fn redactions(&self) -> Vec<(ObjectKey, RedactionStats)> {
        let found = self.made.iter().filter(|(_, made)| made.stats.found() > 0);
        found
            .map(|(key, made)| (key.clone(), made.stats.clone()))
            .collect()
    }
}

impl Lane {
    /// Fetches one object again, at the version that was looked at; or says why it cannot be had, or nothing
    /// where it is gone.
    fn fetch_one(
        &self,
        key: &ObjectKey,
        versions: &dyn Versions,
        scope: Scope,
        handle: &Handle,
    ) -> Result<Result<SourceObject, Option<WithholdReason>>, AttemptError> {
        let wanted = BTreeSet::from([key.clone()]);
        let again = self.source.again(&self.branch, &wanted, versions, scope);
        let mut fetched = handle.block_on(again)?;
        let reason = fetched.refused.into_values().next();
        Ok(fetched.objects.pop().ok_or(reason))
    }

    /// Lists the mirror's own files in a tree.
    pub(super) fn own_files(&self, tree: Oid) -> Result<Vec<MirrorPath>, AttemptError> {
        let mut files = Vec::new();
        self.each_own_file(tree, &mut |path| {
            files.push(path);
            Ok(())
        })?;
        Ok(files)
    }

    fn each_own_file(
        &self,
        tree: Oid,
        take: &mut dyn FnMut(MirrorPath) -> Result<(), AttemptError>,
    ) -> Result<(), AttemptError> {
        let foreign = self.foreign_agents_file(tree)?;
        for root in self.transformer.owned.roots() {
            for file in self.git.files_below(tree, Some(&root))? {
                if let Some(path) = file?.mirror_path().filter(|path| foreign.as_ref() != Some(path)) {
                    take(path)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the path of `AGENTS.md` where the tree has one that somebody else wrote.
    fn foreign_agents_file(&self, tree: Oid) -> Result<Option<MirrorPath>, AttemptError> {
        let path = self.transformer.owned.agents_file();
        let Some(file) = self.git.file(tree, &path)? else {
            return Ok(None);
        };
        let blobs = self.blobs(&[file.id])?;
        let ours = blobs
            .first()
            .is_some_and(|blob| blob.starts_with(AGENTS_MARKER.as_bytes()));
        Ok((!ours).then_some(path))
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
