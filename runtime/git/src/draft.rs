//! A draft: the objects of one push while they are made, commit after commit.

use crate::{
    commit::{self, CommitText},
    error::{StoreError, WriteError},
    objects::Source,
    pack::{self, Encoder, Pack, Run},
    refname::RefName,
    store::Store,
    tree::TreeWriter,
};
use gix::objs::Kind;
use mirror_core::{commit::GuardedMessage, ids::Oid};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Gathers the new objects of one or more commits, to be stored and pushed as one pack.
///
/// A later tree may be based on an earlier one of the same draft. Nothing is on disk until [`Store::save`].
#[derive(Debug)]
pub struct Draft<'s> {
    store: &'s Store,
    encoder: Encoder,
    blobs: Vec<Run>,
    trees_and_commits: Run,
    ids: HashSet<Oid>,
    /// Trees and commits as they are before compression, to be read again by the next commit.
    readable: HashMap<Oid, (Kind, Vec<u8>)>,
    /// Trees of the store that those of the draft share directories with.
    bases: Vec<Oid>,
}

/// The most that forges accept in one push.
const PACK_BYTES_MAX: u64 = 2 << 30;

impl<'s> Draft<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        Self {
            store,
            encoder: Encoder::new(),
            blobs: Vec::new(),
            trees_and_commits: Run::default(),
            ids: HashSet::new(),
            readable: HashMap::new(),
            bases: Vec::new(),
        }
    }

    /// Starts a tree on top of `base`, which the draft or the store has; none is the empty tree.
    ///
    /// # Errors
    /// A base that is not there (fetch it), or cannot be read.
    pub fn tree_writer(&mut self, base: Option<Oid>) -> Result<TreeWriter<'_, 's>, WriteError> {
        TreeWriter::new(self, base)
    }

    /// Makes a commit and returns its id. The same arguments give the same id anywhere, at any time.
    ///
    /// # Errors
    /// A name, e-mail or message that a commit cannot hold.
    pub fn commit(
        &mut self,
        tree: Oid,
        parents: &[Oid],
        message: &GuardedMessage,
    ) -> Result<Oid, WriteError> {
        self.commit_text(tree, parents, message.into())
    }

    pub(crate) fn commit_text(
        &mut self,
        tree: Oid,
        parents: &[Oid],
        text: CommitText<'_>,
    ) -> Result<Oid, WriteError> {
        let raw = commit::encode(tree, parents, text)?;
        self.add_base(tree);
        let id = pack::object_id(Kind::Commit, &raw).ok_or(WriteError::BadText {
            what: "message",
            problem: "is an attack on SHA-1",
        })?;
        self.add(id, Kind::Commit, raw);
        Ok(id)
    }

    /// Returns the tree of a commit that the draft or the store has.
    ///
    /// # Errors
    /// A commit that is not there (fetch it), or cannot be read.
    pub fn tree_of(&self, commit: Oid) -> Result<Oid, StoreError> {
        Ok(commit::read(self, commit)?.tree)
    }

    /// Returns whether the draft has no objects, so that there is nothing to push.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the size of the pack so far, in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.blobs.iter().map(Run::byte_len).sum::<usize>() + self.trees_and_commits.byte_len()
    }

    /// Turns the draft into a push of `new`, to be sent if the branch still is at `expected_old` (none: if there is no
    /// such branch).
    ///
    /// # Errors
    /// More bytes than a push may have.
    pub fn into_push(
        self,
        refname: RefName,
        expected_old: Option<Oid>,
        new: Oid,
    ) -> Result<PendingPush, WriteError> {
        let bytes = self.byte_len() as u64;
        if bytes > PACK_BYTES_MAX {
            return Err(WriteError::TooLarge {
                bytes,
                bytes_max: PACK_BYTES_MAX,
            });
        }
        let Self {
            blobs: mut runs,
            trees_and_commits,
            bases,
            ..
        } = self;
        runs.push(trees_and_commits);
        let pack = Pack::assemble(runs);
        Ok(PendingPush {
            refname,
            expected_old,
            new,
            pack: Arc::new(pack),
            alive: Arc::new(()),
            bases,
        })
    }

    /// Notes a tree that the draft's own build on, unless it is one of them.
    pub(crate) fn add_base(&mut self, tree: Oid) {
        if !self.has(tree) && !self.bases.contains(&tree) {
            self.bases.push(tree);
        }
    }

    pub(crate) fn has(&self, id: Oid) -> bool {
        self.ids.contains(&id)
    }

    /// Adds an object that is not a blob; returns whether it was new.
    pub(crate) fn add(&mut self, id: Oid, kind: Kind, raw: Vec<u8>) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.trees_and_commits.push(&mut self.encoder, id, kind, &raw);
        self.readable.insert(id, (kind, raw));
        true
    }

    pub(crate) fn add_blobs(&mut self, runs: Vec<Run>) {
        self.ids.extend(runs.iter().flat_map(Run::ids));
        self.blobs.extend(runs);
    }
}

impl Source for Draft<'_> {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        match self.readable.get(&id) {
            Some(found) => Ok(Some(found.clone())),
            None => self.store.find(id),
        }
    }
}

/// One push: a branch, where it has to be, where it shall be, and one pack with everything new in between.
///
/// The same bytes are stored locally and sent. As long as it lives the store keeps its objects.
#[derive(Debug, Clone)]
pub struct PendingPush {
    refname: RefName,
    expected_old: Option<Oid>,
    new: Oid,
    pub(crate) pack: Arc<Pack>,
    pub(crate) alive: Arc<()>,
    pub(crate) bases: Vec<Oid>,
}

impl PendingPush {
    /// Makes a push of objects that need no store.
    pub(crate) fn of_pack(refname: RefName, expected_old: Option<Oid>, new: Oid, pack: Pack) -> Self {
        Self {
            refname,
            expected_old,
            new,
            pack: Arc::new(pack),
            alive: Arc::new(()),
            bases: Vec::new(),
        }
    }

    /// Returns the branch to move.
    #[must_use]
    pub fn refname(&self) -> &RefName {
        &self.refname
    }

    /// Returns where the branch must be, none if it must not exist.
    #[must_use]
    pub fn expected_old(&self) -> Option<Oid> {
        self.expected_old
    }

    /// Returns the commit that the branch moves to.
    #[must_use]
    pub fn new_tip(&self) -> Oid {
        self.new
    }

    /// Returns the pack, as it is sent.
    #[must_use]
    pub fn pack_bytes(&self) -> &[u8] {
        &self.pack.bytes
    }

    /// Returns the number of objects in the pack.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.pack.objects
    }
}
