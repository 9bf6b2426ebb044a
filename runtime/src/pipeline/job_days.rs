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
    layout::{Entry, RawFile},
    path::MirrorPath,
};
use std::collections::BTreeSet;

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
            .map(|shard| (shard.clone(), memory.shard_files(shard).to_vec()))
            .collect();
        for (shard, paths) in closed {
            let month = month_of(&shard).filter(|_| self.has_months());
            let read = self.blocking(move |lane| {
                let tip = match month {
                    Some(month) => lane.month_tip(month)?,
                    None => tip,
                };
                tip.map_or(Ok(Vec::new()), |tip| lane.read_day(tip.tree, &paths))
            });
            let entries = read.await?;
            let own = entries
                .into_iter()
                .filter(|entry| (entry.kind, &entry.shard) == (shard.0, &shard.1));
            memory.open_day(&shard, own.collect());
        }
        Ok(())
    }

    fn read_day(&self, tree: Oid, paths: &[MirrorPath]) -> Result<Vec<Entry>, AttemptError> {
        let mut found = Vec::new();
        for path in paths {
            let below = self.transformer.owned.below_root(path);
            if let (Some(file), Some(below)) = (self.git.file(tree, path)?, below) {
                found.push((below.to_owned(), file.id));
            }
        }
        let ids: Vec<Oid> = found.iter().map(|(_, id)| *id).collect();
        let blobs = self.remote.read_blobs(&ids)?;
        let file = |((path, _), blob): ((String, Oid), Vec<u8>)| RawFile {
            path,
            kind: DocumentKind::Job,
            content: String::from_utf8_lossy(&blob).into_owned(),
        };
        let files: Vec<RawFile> = found.into_iter().zip(blobs).map(file).collect();
        Ok(self.recover_readable(Whose::Own, &files)?.entries)
    }
}
