//! The tree writer: one commit's changes on top of a base tree.
//!
//! Reads and rewrites only the directories that a change lies in. Knows nothing of what the files mean, and of
//! nobody's ownership: the caller says which paths to write, delete and keep, and no other path is touched.

mod base;
mod directory;
#[cfg(test)]
mod tests;

use crate::{
    draft::Draft,
    error::WriteError,
    objects::EMPTY_TREE,
    pack::{self, Encoder, Run},
};
pub(crate) use base::{BaseTree, Entry};
use directory::{Directory, Finished, Placed};
use gix::objs::Kind;
use mirror_core::{
    batch::{MirrorBatch, MirrorFile},
    ids::Oid,
    path::MirrorPath,
};
use std::{collections::HashSet, num::NonZero};

/// What a [`TreeWriter`] made of its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeOutcome {
    /// The resulting tree; the base itself if nothing changed.
    pub tree: Oid,
    /// Whether the tree differs from the base, so that a commit is worth making.
    pub changed: bool,
    /// Files that the base does not have.
    pub added: usize,
    /// Files of the base with other content.
    pub modified: usize,
    /// Files of the base that are gone.
    pub deleted: usize,
    /// New objects (blobs and trees) that the push will carry.
    pub objects: usize,
}

/// Builds one tree from a base and changes.
///
/// The order of calls does not matter: deletions speak of the *base*, and for one path writing wins over keeping, and
/// keeping over deleting. A path that is written twice has its last content. Directories without files vanish;
/// a file may take the place of a directory and the other way round, except between two written paths.
///
/// Dropping the writer without [`TreeWriter::finish`] leaves nothing behind.
#[derive(Debug)]
pub struct TreeWriter<'d, 's> {
    draft: &'d mut Draft<'s>,
    base: Option<Oid>,
    root: Directory,
    runs: Vec<Run>,
    new_blobs: HashSet<Oid>,
}

/// Below this it costs more to start a thread than it saves.
const BYTES_PER_WORKER_MIN: usize = 1 << 20;
const WORKERS_MAX: usize = 8;

impl<'d, 's> TreeWriter<'d, 's> {
    pub(crate) fn new(draft: &'d mut Draft<'s>, base: Option<Oid>) -> Result<Self, WriteError> {
        base.into_iter().for_each(|tree| draft.add_base(tree));
        let root = match base {
            Some(tree) => Directory::load(draft, tree, false)?,
            None => Directory::default(),
        };
        Ok(Self {
            draft,
            base,
            root,
            runs: Vec::new(),
            new_blobs: HashSet::new(),
        })
    }

    /// Writes the files of a batch and returns their blob ids, in the batch's order.
    ///
    /// A file whose content is that of the base costs its hash and nothing else. One that only changed its path is sent
    /// again: whether the remote has a blob is not asked.
    ///
    /// # Errors
    /// A path that is both file and directory among the written ones, or a base that cannot be read. The writer is then
    /// to be dropped.
    pub fn write(&mut self, batch: MirrorBatch) -> Result<Vec<(MirrorPath, Oid)>, WriteError> {
        let files = batch
            .into_objects()
            .into_iter()
            .flat_map(|object| object.into_parts().1);
        let files: Vec<(MirrorPath, String)> = files.map(MirrorFile::into_parts).collect();
        let ids = self.write_files(&files)?;
        Ok(files.into_iter().map(|(path, _)| path).zip(ids).collect())
    }

    pub(crate) fn write_files<C: AsRef<[u8]> + Sync>(
        &mut self,
        files: &[(MirrorPath, C)],
    ) -> Result<Vec<Oid>, WriteError> {
        let hashed = in_parallel(
            files,
            |(_, content)| content.as_ref().len(),
            |part| {
                part.iter()
                    .map(|(_, content)| pack::object_id(Kind::Blob, content.as_ref()))
                    .collect::<Vec<_>>()
            },
        );
        let ids: Option<Vec<Oid>> = hashed.into_iter().flatten().collect();
        let ids = ids.ok_or(WriteError::BadText {
            what: "file content",
            problem: "is an attack on SHA-1",
        })?;
        let mut new = Vec::new();
        for ((path, content), id) in files.iter().zip(&ids) {
            let placed = self.root.place(&*self.draft, path, *id)?;
            if placed == Placed::New && !self.draft.has(*id) && self.new_blobs.insert(*id) {
                new.push((*id, content.as_ref()));
            }
        }
        self.runs.extend(in_parallel(
            &new,
            |(_, content)| content.len(),
            |part| {
                let mut run = Run::default();
                let mut encoder = Encoder::new();
                for (id, content) in part {
                    run.push(&mut encoder, *id, Kind::Blob, content);
                }
                run
            },
        ));
        Ok(ids)
    }

    /// Deletes a file of the base; one that is not there is fine.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn delete(&mut self, path: &MirrorPath) -> Result<(), WriteError> {
        Ok(self.root.delete(&*self.draft, path)?)
    }

    /// Takes back a file that was written in this tree: all is as if it had not been. Call it before something
    /// else is written in the file's way.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn withdraw(&mut self, path: &MirrorPath) -> Result<(), WriteError> {
        Ok(self.root.withdraw(&*self.draft, path)?)
    }

    /// Deletes everything that the base has at `path` or below it.
    ///
    /// With [`TreeWriter::write`] and [`TreeWriter::keep`] this replaces a whole directory: what is neither written nor
    /// kept is gone.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn delete_below(&mut self, path: &MirrorPath) -> Result<(), WriteError> {
        Ok(self.root.delete_below(&*self.draft, path)?)
    }

    /// Keeps a file of the base as it is, whatever deletes it; returns its id, none if the base has no such file.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn keep(&mut self, path: &MirrorPath) -> Result<Option<Oid>, WriteError> {
        Ok(self.root.keep(&*self.draft, path)?)
    }

    /// Makes the tree and hands its new objects to the draft.
    ///
    /// # Errors
    /// A base that cannot be read (deleted directories are read in order to count their files).
    pub fn finish(self) -> Result<TreeOutcome, WriteError> {
        let Self {
            draft,
            base,
            root,
            mut runs,
            new_blobs,
        } = self;
        let mut finished = Finished::default();
        let tree = match root.finish(&*draft, &mut finished)? {
            Some(tree) => tree,
            None => {
                // Git knows the empty tree without having it, but not every forge's checks do.
                finished.trees.push((EMPTY_TREE, Vec::new()));
                EMPTY_TREE
            }
        };
        let changed = base.unwrap_or(EMPTY_TREE) != tree;
        let Finished {
            trees,
            blobs,
            added,
            modified,
            deleted,
        } = finished;
        let mut objects = 0;
        if changed {
            if new_blobs.iter().any(|id| !blobs.contains(id)) {
                // Written, then written over.
                runs.iter_mut()
                    .for_each(|run| run.retain(|id| blobs.contains(id)));
            }
            objects += runs.iter().map(Run::len).sum::<usize>();
            draft.add_blobs(runs);
            for (id, raw) in trees {
                objects += usize::from(draft.add(id, Kind::Tree, raw));
            }
        }
        Ok(TreeOutcome {
            tree,
            changed,
            added,
            modified,
            deleted,
            objects,
        })
    }
}

/// Applies `work` to consecutive parts of `items`, in as many threads as their bytes are worth.
///
/// Results are in order; together they do not depend on the number of parts if `work` is a map.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    bytes: impl Fn(&T) -> usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    let total: usize = items.iter().map(&bytes).sum();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = (total / BYTES_PER_WORKER_MIN).clamp(1, cores.min(WORKERS_MAX));
    if workers == 1 {
        return vec![work(items)];
    }
    let mut parts = Vec::with_capacity(workers);
    let mut rest = items;
    let mut taken = 0;
    for worker in 1..=workers {
        let until = total / workers * worker;
        let mut count = 0;
        while count < rest.len() && (worker == workers || taken < until) {
            taken += bytes(&rest[count]);
            count += 1;
        }
        let (part, after) = rest.split_at(count);
        parts.push(part);
        rest = after;
    }
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = parts
            .into_iter()
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
