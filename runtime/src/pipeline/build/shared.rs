//! Shared files: what is made of the entries of many objects.

use super::{
    super::{
        error::AttemptError,
        memory::{Memory, Shard, SharedName},
        months::month_of,
        recover::Tip,
        render,
        transform::Clean,
    },
    Build,
};
use mirror_core::{
    batch::Subject,
    finding::WithholdReason,
    layout::{Entry, IndexKind},
    path::MirrorPath,
};
use mirror_sandbox::FilledShard;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tokio::runtime::Handle;

impl Build<'_, '_, '_, '_> {
    /// Makes the shared files whose entries changed. Returns those that are withheld: they stay as they are.
    pub(super) fn gather(
        &mut self,
        shards: &mut BTreeSet<Shard>,
        tip: Option<Tip>,
        handle: &Handle,
    ) -> Result<BTreeSet<Shard>, AttemptError> {
        let lane = self.lane;
        let now = (lane.now)();
        if self.whole {
            shards.extend(self.memory.all_shards());
            shards.insert((IndexKind::Guide, String::new()));
        }
        shards.extend(self.memory.take_heirs());
        if let Some(jobs) = lane.spec.jobs {
            for (day, files) in self.memory.drop_days(jobs.keep_days, now) {
                shards.remove(&day);
                self.days_dropped = true;
                // The branch of their month goes as a whole.
                if self.months.is_none() {
                    self.deleted.extend(files);
                }
            }
        }
        // What was mirrored while history was wanted would stay as it was, and be taken for how things are.
        if self.whole && lane.spec.jobs.is_none() {
            for (shard, files) in self.memory.drop_history() {
                shards.remove(&shard);
                self.deleted.extend(files);
            }
        }
        // Also what was told before, and not taken.
        let told = self.memory.told_runs();
        shards.extend(told.keys().cloned());
        shards.extend(self.memory.leave_other_days());
        // A closed day without news is as it is.
        let (unread, open): (BTreeSet<Shard>, BTreeSet<Shard>) = std::mem::take(shards)
            .into_iter()
            .partition(|shard| self.memory.is_closed(shard) && !self.memory.has_pending(shard));
        *shards = open;
        for day in &unread {
            self.keep_shard(day);
        }
        handle.block_on(lane.open_days(&mut self.memory, shards, tip))?;
        let late = self.memory.late_runs();
        handle.block_on(lane.open_days(&mut self.memory, &late.days, tip))?;
        let counted = self.memory.counted_runs(&late);
        // It tells of the others.
        let list = Memory::withheld_list();
        let is_wanted = shards.remove(&list);
        let mut failed = self.make_shards(shards, &counted)?;
        let is_changed = self.list_withheld(shards, &failed, self.whole);
        if is_wanted || is_changed {
            let list = BTreeSet::from([list]);
            let listing = self.make_shards(&list, &[])?;
            // It cannot say so itself; status and notices do.
            self.list_withheld(&list, &listing, false);
            failed.extend(listing);
            shards.extend(list);
        }
        // Somebody else's now, whoever made it first.
        if let Some(foreign) = &self.foreign {
            self.deleted.remove(foreign);
        }
        for shard in failed.keys() {
            // Withheld: what is there stays.
            self.keep_shard(shard);
        }
        for shard in shards.iter().filter(|shard| shard.0 == IndexKind::JobDay) {
            self.memory.settle_pending(shard);
        }
        let is_made = |shard: &Shard| shards.contains(shard) && !failed.contains_key(shard);
        if let Some(months) = &mut self.months {
            for (shard, runs) in told.into_iter().filter(|(shard, _)| is_made(shard)) {
                months.tell(&shard, self.memory.runs(&shard, runs));
            }
        }
        let failed: BTreeSet<Shard> = failed.into_keys().collect();
        self.memory.close_days(&failed, now);
        Ok(failed)
    }

    /// Makes the files of shards. Returns those that are withheld, and why. `counted` are runs that lines of health count
    /// already, which count others by them.
    fn make_shards(
        &mut self,
        shards: &BTreeSet<Shard>,
        counted: &[Entry],
    ) -> Result<BTreeMap<Shard, WithholdReason>, AttemptError> {
        let lane = self.lane;
        let guard = lane.transformer.guard();
        self.work.gathered += shards.len();
        let mut entries_read = 0;
        let mut failed = BTreeMap::new();
        let mut remaining = shards.iter();
        let memory = std::mem::take(&mut self.memory);
        let memory = std::cell::RefCell::new(memory);
        let outcome = {
            let mut next = || -> Result<Option<FilledShard>, AttemptError> {
                Ok(remaining.next().map(|shard| {
                    let mut entries = memory.borrow().entries(shard);
                    if shard.0 == IndexKind::JobHealth && !counted.is_empty() {
                        entries = [counted, entries.as_slice()].concat();
                        // Stable: they come before the line that counts them.
                        entries.sort_by(|one, other| one.key.cmp(&other.key));
                    }
                    entries_read += entries.len();
                    (shard.0, shard.1.clone(), entries)
                }))
            };
            let mut take = |(clean, kept): (Clean, Vec<FilledShard>)| {
                for (kind, shard, entries) in kept {
                    memory.borrow_mut().replace_entries(&(kind, shard), entries);
                }
                self.take_shard(clean, &mut memory.borrow_mut(), &mut failed)
            };
            let work = |filled| Ok(lane.transformer.shards(filled, &guard)?);
            render::shards(lane.memory_bytes_max, &mut next, work, &mut take)
        };
        self.memory = memory.into_inner();
        self.work.gathered_entries += entries_read;
        outcome?;
        Ok(failed)
    }

    /// Brings the list of what is withheld up to date with what became of some shards; returns whether it changed.
    /// `all` says that there are no other shards than those.
    fn list_withheld(
        &mut self,
        made: &BTreeSet<Shard>,
        failed: &BTreeMap<Shard, WithholdReason>,
        all: bool,
    ) -> bool {
        let guard = self.lane.transformer.guard();
        let entries = failed.iter().map(|(shard, reason)| {
            let name = SharedName::of(shard);
            let is_hidden = reason.may_be_of_ids() || guard.check_name(&name.plain).is_some();
            let files = self.memory.shard_files(shard);
            let path = files.first().filter(|_| !is_hidden && month_of(shard).is_none());
            let owned = &self.lane.transformer.owned;
            let value = json!({
                "object": if is_hidden { &name.hidden } else { &name.plain },
                "path": path.and_then(|path| owned.below_root(path)),
                "reason": reason.public(),
                "version": 0,
            });
            (
                if is_hidden { name.hidden } else { name.plain },
                (value.to_string(), reason),
            )
        });
        let entries: BTreeMap<String, (String, &WithholdReason)> = entries.collect();
        let before = self.memory.withheld_shared();
        let names: BTreeSet<String> = match before.is_empty() {
            true => BTreeSet::new(),
            false => made.iter().flat_map(SharedName::both).collect(),
        };
        let mut is_changed = false;
        for name in before.into_keys() {
            let is_over = (all || names.contains(&name)) && !entries.contains_key(&name);
            is_changed |= is_over && self.memory.unlist_shared(name);
        }
        for (name, (value, reason)) in entries {
            is_changed |= self.memory.list_shared(name, value, reason);
        }
        is_changed
    }

    /// Leaves the files of a shard as they are; those of another branch do so by themselves.
    fn keep_shard(&mut self, shard: &Shard) {
        if self.months.is_none() || month_of(shard).is_none() {
            self.kept.extend(self.memory.shard_files(shard));
        }
    }

    fn take_shard(
        &mut self,
        clean: Clean,
        memory: &mut Memory,
        failed: &mut BTreeMap<Shard, WithholdReason>,
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
                let gone = memory.keep_shard(shard.clone(), &files);
                let of_month = self
                    .months
                    .as_mut()
                    .is_some_and(|months| months.delete(&shard, &gone));
                if !of_month {
                    self.deleted.extend(gone);
                }
            }
        }
        for refused in withheld {
            tracing::error!(lane = %self.lane.id, subject = %refused.subject, reason = %refused.reason, "a shared file is withheld");
            if let Subject::Index { kind, shard } = refused.subject {
                failed.insert((kind, shard), refused.reason);
            }
        }
        if let Some(months) = &mut self.months {
            batch = months.take(batch);
        }
        self.write(batch)?;
        Ok(())
    }
}
