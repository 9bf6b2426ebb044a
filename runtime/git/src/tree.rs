//! The tree writer: one commit's changes on top of a base tree.
//!
//! Reads and rewrites only the directories that a change lies in. Knows nothing of what the files mean, and of
//! nobody's ownership: the caller says which paths to write, delete and keep, and no other path is touched.

mod aside;
mod base;
mod directory;
mod names;
#[cfg(test)]
mod tests;

use crate::{
    data::Shelf,
    draft::{Draft, EncodedBlobs, Helpers, KeptBlobs},
    encoder::Encoder,
    error::WriteError,
    objects::EMPTY_TREE,
    pack,
};
use aside::Limits;
pub(crate) use base::{BaseTree, Entry};
use directory::{Directory, Finished, Placed};
pub(crate) use directory::{NewTree, Trees};
use gix::objs::Kind;
use mirror_core::{
    batch::{MirrorBatch, MirrorFile},
    ids::Oid,
    path::MirrorPath,
};
use std::{collections::HashSet, num::NonZero, time::Duration};

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
    /// Where directories are while nothing is done with them.
    shelf: Shelf,
    limits: Limits,
    /// So many paths may be changed before directories are put aside.
    until_aside: usize,
    /// New blobs that are not yet compressed, and how many bytes they have.
    waiting: Vec<NewBlob>,
    waiting_bytes: usize,
    encoded: Vec<KeptBlobs>,
    recent: Recent,
    /// Blobs that were written over or taken back somewhere.
    dropped: HashSet<Oid>,
}

/// A blob that the base does not have in this place.
#[derive(Debug)]
struct NewBlob {
    id: Oid,
    content: Vec<u8>,
    /// What it replaces.
    old: Option<Oid>,
}

/// New blobs that were written lately, so that most are compressed once. A blob that is not among them any more may be made
/// twice, and goes into the draft once.
#[derive(Debug, Default)]
struct Recent {
    /// Since the last turn, or found again since then.
    now: HashSet<Oid>,
    before: HashSet<Oid>,
}

impl Recent {
    /// Notes a blob; returns whether it is not among them.
    fn insert(&mut self, id: Oid) -> bool {
        self.now.insert(id) && !self.before.remove(&id)
    }

    /// Forgets what was not found for long.
    fn turn(&mut self) {
        if self.now.len() >= RECENT_MAX {
            self.before = std::mem::take(&mut self.now);
        }
    }
}

/// So many blobs are told apart at least.
const RECENT_MAX: usize = 16 << 10;
/// So much content is gathered before it is compressed, so that small batches, too, keep all cores busy.
const WAITING_BYTES_MAX: usize = 8 << 20;
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
        let limits = Limits::default();
        Ok(Self {
            shelf: Shelf::new(&draft.place()),
            draft,
            base,
            root,
            limits,
            until_aside: limits.paths,
            waiting: Vec::new(),
            waiting_bytes: 0,
            encoded: Vec::new(),
            recent: Recent::default(),
            dropped: HashSet::new(),
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
        let files: Vec<(MirrorPath, Vec<u8>)> = files
            .map(MirrorFile::into_parts)
            .map(|(path, content)| (path, content.into_bytes()))
            .collect();
        let hashed = in_parallel(
            &files,
            |(_, content)| content.len(),
            &mut self.draft.helpers,
            &mut Vec::new(),
            || (),
            |(), part| {
                let id = |(_, content): &(MirrorPath, Vec<u8>)| pack::object_id(Kind::Blob, content);
                part.iter().map(id).collect::<Vec<_>>()
            },
        );
        let mut written = Vec::with_capacity(files.len());
        for ((path, content), id) in files.into_iter().zip(hashed.into_iter().flatten()) {
            let id = id.ok_or(WriteError::BadText {
                what: "file content",
                problem: "is an attack on SHA-1",
            })?;
            self.place(&path, id, content)?;
            written.push((path, id));
        }
        Ok(written)
    }

    #[cfg(test)]
    pub(crate) fn write_files<C: AsRef<[u8]>>(
        &mut self,
        files: &[(MirrorPath, C)],
    ) -> Result<Vec<Oid>, WriteError> {
        let mut ids = Vec::new();
        for (path, content) in files {
            let content = content.as_ref();
            let id = pack::object_id(Kind::Blob, content).expect("no test attacks SHA-1");
            self.place(path, id, content.to_vec())?;
            ids.push(id);
        }
        Ok(ids)
    }

    fn place(&mut self, path: &MirrorPath, id: Oid, content: Vec<u8>) -> Result<(), WriteError> {
        self.touch()?;
        let placed = self.root.place(&*self.draft, &self.shelf, path, id)?;
        let Placed { is_new, old, over } = placed;
        self.dropped.extend(over);
        if !is_new {
            return Ok(());
        }
        if !self.draft.has(id) && self.recent.insert(id) {
            self.waiting_bytes += content.len();
            let old = old.filter(|old| *old != id);
            self.waiting.push(NewBlob { id, content, old });
        }
        if self.waiting_bytes >= WAITING_BYTES_MAX {
            self.encode_waiting()?;
        }
        Ok(())
    }

    /// Notes that a path is about to be changed.
    fn touch(&mut self) -> Result<(), WriteError> {
        if self.until_aside == 0 {
            let at_hand = self.root.put_aside(&mut self.shelf, self.limits)?;
            self.until_aside = self.limits.paths.max(at_hand);
        }
        self.until_aside -= 1;
        Ok(())
    }

    fn encode_waiting(&mut self) -> Result<(), WriteError> {
        self.waiting_bytes = 0;
        // Only between two runs: none has a blob twice.
        self.recent.turn();
        let mut blobs = Vec::with_capacity(self.waiting.len());
        for NewBlob { id, content, old } in self.waiting.drain(..) {
            if self.draft.is_external(id) {
                continue;
            }
            let mut base = None;
            if let Some(old) = old {
                base = self.draft.blob_base(old, &content)?.map(|content| (old, content));
            }
            blobs.push((id, content, base));
        }
        let mut helpers = self.draft.helpers;
        let encoded = in_parallel(
            &blobs,
            |(_, content, _)| content.len(),
            &mut helpers,
            self.draft.encoders(),
            Encoder::new,
            |encoder, part| {
                let mut encoded = EncodedBlobs::default();
                for (id, content, base) in part {
                    encoded.push(encoder, *id, content, base.as_ref());
                }
                encoded
            },
        );
        self.draft.helpers = helpers;
        for blobs in encoded {
            self.encoded.push(self.draft.keep_blobs(blobs)?);
        }
        Ok(())
    }

    /// Deletes a file of the base; one that is not there is fine.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn delete(&mut self, path: &MirrorPath) -> Result<(), WriteError> {
        self.touch()?;
        Ok(self.root.delete(&*self.draft, &self.shelf, path)?)
    }

    /// Takes back a file that was written in this tree: all is as if it had not been. Call it before something
    /// else is written in the file's way.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn withdraw(&mut self, path: &MirrorPath) -> Result<(), WriteError> {
        self.touch()?;
        let withdrawn = self.root.withdraw(&*self.draft, &self.shelf, path)?;
        self.dropped.extend(withdrawn);
        Ok(())
    }

    /// Deletes everything that the base has at `path` or below it.
    ///
    /// With [`TreeWriter::write`] and [`TreeWriter::keep`] this replaces a whole directory: what is neither written nor
    /// kept is gone.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn delete_below(&mut self, path: &MirrorPath) -> Result<(), WriteError> {
        self.touch()?;
        Ok(self.root.delete_below(&*self.draft, &self.shelf, path)?)
    }

    /// Keeps a file of the base as it is, whatever deletes it; returns its id, none if the base has no such file.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn keep(&mut self, path: &MirrorPath) -> Result<Option<Oid>, WriteError> {
        self.touch()?;
        Ok(self.root.keep(&*self.draft, &self.shelf, path)?)
    }

    /// Makes the tree and hands its new objects to the draft, which is to be dropped if that fails.
    ///
    /// # Errors
    /// A base that cannot be read (deleted directories are read in order to count their files), or a full disk.
    pub fn finish(mut self) -> Result<TreeOutcome, WriteError> {
        self.encode_waiting()?;
        let Self {
            draft,
            base,
            root,
            shelf,
            encoded,
            recent,
            dropped,
            ..
        } = self;
        drop(recent);
        let mut finished = Finished {
            dropped,
            ..Finished::default()
        };
        let made = root.finish(draft, &shelf, &mut finished)?;
        let tree = made.unwrap_or(EMPTY_TREE);
        let changed = base.unwrap_or(EMPTY_TREE) != tree;
        if changed && made.is_none() {
            // Git knows the empty tree without having it, but not every forge's checks do.
            finished.trees += usize::from(draft.add_tree(NewTree::empty())?);
        }
        let Finished {
            trees,
            dropped,
            wanted,
            replaced,
            added,
            modified,
            deleted,
            ..
        } = finished;
        debug_assert!(changed || trees == 0, "a tree below is new, and so is the root");
        let mut objects = trees;
        if changed {
            // Some may be written, and then written over.
            let is_wanted = |id: &Oid| !dropped.contains(id) || wanted.contains(id);
            objects += draft.add_blobs(encoded, is_wanted, replaced)?;
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
/// Each thread works with a state of its own, which is made if there are too few. Results are in order; together they
/// do not depend on the number of parts if `work` is a map.
fn in_parallel<T: Sync, S: Send, R: Send>(
    items: &[T],
    bytes: impl Fn(&T) -> usize,
    helpers: &mut Helpers,
    states: &mut Vec<S>,
    make: impl Fn() -> S,
    work: impl Fn(&mut S, &[T]) -> R + Sync,
) -> Vec<R> {
    let total: usize = items.iter().map(&bytes).sum();
    // Asking for the cores reads files of the system.
    let workers = match total / BYTES_PER_WORKER_MIN {
        0 | 1 => 1,
        wanted => {
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            wanted.clamp(1, cores.min(WORKERS_MAX))
        }
    };
    while states.len() < workers {
        states.push(make());
    }
    if workers == 1 {
        return vec![work(&mut states[0], items)];
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
        let (work, clock) = (&work, helpers.clock);
        let running: Vec<_> = parts
            .into_iter()
            .zip(states)
            .map(|(part, state)| {
                scope.spawn(move || (work(state, part), clock.map_or(Duration::ZERO, |clock| clock())))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| {
                let (result, took) = thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                helpers.took += took;
                result
            })
            .collect()
    })
}
