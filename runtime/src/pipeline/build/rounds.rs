//! Rounds: what is to be rendered is, and goes into the tree; what has to be withheld is noted.

use super::{
    super::{
        attempt::Lane,
        error::AttemptError,
        fetch::{Covered, Fetched, Scope, Versions},
        memory::Memory,
        render,
        spool::{Spool, Spooled},
        stages::Stage,
        transform::Clean,
    },
    Build, Newest, Refused,
    made::Made,
};
use mirror_core::{
    batch::{MirrorBatch, Subject, Withheld},
    cut::ConfigKey,
    finding::WithholdReason,
    ids::{ComponentId, ObjectKey, Oid},
    layout::{PlacedObject, SourceObject},
    path::MirrorPath,
};
use mirror_git::blob_id;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

impl Build<'_, '_, '_, '_> {
    /// Fetches what has to be rendered anew because of others, and was not fetched yet.
    pub(super) fn fetch_missing(
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
        } = handle.block_on(self.lane.transformer.stages.watch(Stage::Fetch, again))?;
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
    pub(super) fn round(
        &mut self,
        todo: BTreeSet<ObjectKey>,
        spool: &Spool,
        scope: Scope,
        handle: &Handle,
    ) -> Result<Refused, AttemptError> {
        let lane = self.lane;
        // What an earlier round wrote of them; before anything is written, since others may get the paths.
        for key in &todo {
            for path in self.made.remove(key) {
                self.writer.withdraw(&path)?;
            }
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
                    let kept = transformer.stages.time(Stage::Spool, 0, || spool.get(&key));
                    let object = match kept? {
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
                    lane.progress.moved(Instant::now());
                    let of_stack = |beginning: &str| lane.whose_default_buckets(beginning, handle);
                    return memory.placement().placed_among(&key, object, of_stack).map(Some);
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
        let mut samples = BTreeMap::new();
        for object in batch.objects() {
            let Subject::Object(key) = object.subject() else {
                continue;
            };
            if let (ObjectKey::Sample(table), false) = (key, self.whole) {
                let files = object.files().iter();
                samples.extend(files.map(|file| (file.path().clone(), table.clone())));
            }
            let made = Made {
                files: object.files().iter().map(|file| file.path().clone()).collect(),
                entries: object.entries().to_vec(),
            };
            self.made.insert(key, &made, object.stats());
        }
        for one in withheld {
            if let Subject::Object(key) = one.subject {
                self.refuse(key, one.reason, Some(memory), refused);
            }
        }
        for (path, id) in self.write(batch)? {
            if let Some(table) = samples.remove(&path)
                && self.tip_has(&path)? != Some(id)
            {
                self.tables.insert(table);
            }
        }
        Ok(())
    }

    /// Returns the content of a file in the tip.
    fn tip_has(&self, path: &MirrorPath) -> Result<Option<Oid>, AttemptError> {
        let Some(tip) = self.tip else { return Ok(None) };
        Ok(self.lane.git.file(tip.tree, path)?.map(|file| file.id))
    }

    /// Takes out what the remote refused and is the same still.
    pub(super) fn keep_back(&self, batch: MirrorBatch, withheld: &mut Vec<Withheld>) -> MirrorBatch {
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
        } else if memory.placement().contains(&key) {
            refused.vanished.push(key.clone());
        }
        self.withheld.insert(key, reason);
    }

    /// Returns whether the tip has files of an object, of which it is only known that they are there.
    pub(super) fn has_unknown_files(&self, key: &ObjectKey, memory: &Memory) -> bool {
        self.same_render
            && memory.known(key).is_none_or(|known| known.files.is_empty())
            && ConfigKey::of(key).is_some_and(|config| {
                memory.covered_of(&config).is_some() && !self.again.earlier.contains_key(&config)
            })
    }

    pub(super) fn write(&mut self, batch: MirrorBatch) -> Result<Vec<(MirrorPath, Oid)>, AttemptError> {
        let before = self.work.files;
        let files = batch
            .objects()
            .iter()
            .flat_map(mirror_core::batch::MirrorObject::files);
        for file in files {
            self.work.files += 1;
            self.work.bytes += file.content().len();
        }
        let stages = &self.lane.transformer.stages;
        let files = self.work.files - before;
        Ok(stages.time(Stage::Tree, files, || self.writer.write(batch))?)
    }
}

impl Lane {
    /// Returns the component whose default buckets begin so, by the stack's index.
    fn whose_default_buckets(
        &self,
        beginning: &str,
        handle: &Handle,
    ) -> Result<Option<ComponentId>, AttemptError> {
        let buckets = handle.block_on(self.source.default_buckets())?;
        Ok(buckets.get(beginning).cloned())
    }

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
        let mut fetched = handle.block_on(self.transformer.stages.watch(Stage::Fetch, again))?;
        let reason = fetched.refused.into_values().next();
        Ok(fetched.objects.pop().ok_or(reason))
    }
}
