//! Reading closed days of runs back: a late run belongs to a day that only the repository has.

use super::{
    attempt::Lane,
    error::AttemptError,
    memory::{Memory, Shard},
    recover::{Tip, Whose},
};
use mirror_core::{
    document::DocumentKind,
    ids::Oid,
    layout::{Entry, RawFile},
    path::MirrorPath,
};
use std::collections::{BTreeMap, BTreeSet};

impl Lane {
    /// Takes the runs of closed days that are among `shards` in again, from the tip's files.
    ///
    /// # Errors
    /// A store or remote that cannot be read, or a sandbox that fails as a whole.
    pub(super) async fn open_days(
        &self,
        memory: &mut Memory,
        shards: &BTreeSet<Shard>,
        tip: Option<Tip>,
    ) -> Result<(), AttemptError> {
        let Some(tip) = tip else { return Ok(()) };
        let closed = shards.iter().filter(|shard| memory.is_closed(shard));
        let closed: Vec<(Shard, Vec<MirrorPath>)> = closed
            .map(|shard| (shard.clone(), memory.shard_files(shard).to_vec()))
            .collect();
        if closed.is_empty() {
            return Ok(());
        }
        let paths: Vec<MirrorPath> = closed.iter().flat_map(|(_, paths)| paths.clone()).collect();
        let entries = self
            .blocking(move |lane| lane.read_days(tip.tree, &paths))
            .await?;
        let mut by_day: BTreeMap<Shard, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            let shard = (entry.kind, entry.shard.clone());
            by_day.entry(shard).or_default().push(entry);
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
