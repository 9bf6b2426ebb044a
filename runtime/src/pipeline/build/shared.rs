//! Shared files: what is made of the entries of many objects.

use super::{
    super::{
        error::AttemptError,
        memory::{Memory, Shard},
        months::month_of,
        recover::Tip,
        render,
        transform::Clean,
    },
    Build,
};
use mirror_core::{batch::Subject, layout::IndexKind, path::MirrorPath};
use mirror_sandbox::FilledShard;
use std::collections::BTreeSet;
use tokio::runtime::Handle;

impl Build<'_, '_, '_, '_> {
    /// Makes the shared files whose entries changed.
    pub(super) fn gather(
        &mut self,
        shards: &mut BTreeSet<Shard>,
        tip: Option<Tip>,
        handle: &Handle,
    ) -> Result<(), AttemptError> {
        let lane = self.lane;
        let now = (lane.now)();
        if self.whole {
            shards.extend(self.memory.all_shards());
            shards.insert((IndexKind::Guide, String::new()));
        }
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
        // A closed day without news is as it is.
        let (unread, open): (BTreeSet<Shard>, BTreeSet<Shard>) = std::mem::take(shards)
            .into_iter()
            .partition(|shard| self.memory.is_closed(shard) && !self.memory.has_pending(shard));
        *shards = open;
        for day in &unread {
            self.keep_shard(day);
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
            let mut take = |(clean, kept): (Clean, Vec<FilledShard>)| {
                for (kind, shard, entries) in kept {
                    memory.borrow_mut().replace_entries(&(kind, shard), entries);
                }
                self.take_shard(clean, &mut memory.borrow_mut(), &mut made)
            };
            let work = |filled| Ok(lane.transformer.shards(filled, &guard)?);
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
            self.keep_shard(shard);
        }
        for shard in shards.iter().filter(|shard| shard.0 == IndexKind::JobDay) {
            self.memory.settle_pending(shard);
        }
        if let Some(months) = &mut self.months {
            for (shard, runs) in told.into_iter().filter(|(shard, _)| made.contains(shard)) {
                months.tell(&shard, self.memory.runs(&shard, runs));
            }
        }
        self.memory.close_days(&failed, now);
        Ok(())
    }

    /// Leaves the files of a shard as they are; those of another branch do so by themselves.
    fn keep_shard(&mut self, shard: &Shard) {
        if self.months.is_none() || month_of(shard).is_none() {
            self.kept.extend(self.memory.shard_files(shard).iter().cloned());
        }
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
                let gone = memory.keep_shard(shard.clone(), files);
                let of_month = self
                    .months
                    .as_mut()
                    .is_some_and(|months| months.delete(&shard, &gone));
                if !of_month {
                    self.deleted.extend(gone);
                }
                made.insert(shard);
            }
        }
        for refused in &withheld {
            tracing::error!(lane = %self.lane.id, subject = %refused.subject, reason = %refused.reason, "a shared file is withheld");
            self.withheld_files
                .insert(refused.subject.to_string(), refused.reason.to_string());
        }
        if let Some(months) = &mut self.months {
            batch = months.take(batch);
        }
        self.write(batch)?;
        Ok(())
    }
}
