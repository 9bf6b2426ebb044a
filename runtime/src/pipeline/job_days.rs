//! Reading closed days of runs back: a late run belongs to a day that only the repository has.

use super::{
    attempt::Lane,
    error::AttemptError,
    memory::{Memory, Shard},
    months::month_of,
    recover::{Tip, Whose},
};
use mirror_core::{
    document::DocumentKind,
    ids::Oid,
    jobs::months::Month,
    layout::{Entry, RawFile},
    path::MirrorPath,
};
use std::collections::{BTreeMap, BTreeSet};

impl Lane {
    /// Takes the runs of closed days that are among `shards` in again, from the tip's
    /// files or those of their month's branch.
    ///
    /// # Errors
    /// A store or remote that cannot be read, or a sandbox that fails as a whole.
    pub(super) async fn open_days(
        &self,
        memory: &mut Memory,
        shards: &BTreeSet<Shard>,
        tip: Option<Tip>,
    ) -> Result<(), AttemptError> {
        let closed = shards.iter().filter(|shard| memory.is_closed(shard));
        let closed: Vec<(Shard, Vec<MirrorPath>)> = closed
            .map(|shard| (shard.clone(), memory.shard_files(shard)))
            .collect();
        let mut by_place: BTreeMap<Option<Month>, Vec<MirrorPath>> = BTreeMap::new();
        for (shard, paths) in &closed {
            let month = month_of(shard).filter(|_| self.has_months());
            by_place.entry(month).or_default().extend(paths.iter().cloned());
        }
        let mut by_day: BTreeMap<Shard, Vec<Entry>> = BTreeMap::new();
        for (month, paths) in by_place {
            let read = self.blocking(move |lane| {
                let tip = match month {
                    Some(month) => lane.month_tip(month)?,
                    None => tip,
                };
                tip.map_or(Ok(Vec::new()), |tip| lane.read_days(tip.tree, &paths))
            });
            for entry in read.await? {
                let shard = (entry.kind, entry.shard.clone());
                by_day.entry(shard).or_default().push(entry);
            }
        }
        for (shard, _) in closed {
            let own = by_day.remove(&shard).unwrap_or_default();
            memory.open_day(&shard, own);
        }
        Ok(())
    }

    /// Reads the runs of several days, with one question to the remote.
    fn read_days(&self, tree: Oid, paths: &[MirrorPath]) -> Result<Vec<Entry>, AttemptError> {
        let mut found = Vec::new();
        for path in paths {
            let below = self.transformer.owned.below_root(path);
            if let (Some(file), Some(below)) = (self.git.file(tree, path)?, below) {
                found.push((below.to_owned(), file.id));
            }
        }
        let ids: Vec<Oid> = found.iter().map(|(_, id)| *id).collect();
        let blobs = self.blobs(&ids)?;
        let file = |((path, _), blob): ((String, Oid), Vec<u8>)| RawFile {
            path,
            kind: DocumentKind::Job,
            content: String::from_utf8_lossy(&blob).into_owned(),
        };
        let files: Vec<RawFile> = found.into_iter().zip(blobs).map(file).collect();
        Ok(self.recover_readable(Whose::Own, &files)?.entries)
    }
}
