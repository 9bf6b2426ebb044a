//! Objects on their way from a remote into a store: what is needed, checked, and nothing that is there already.

use crate::{
    commit::{self, CommitInfo},
    data::Scratch,
    disk::DiskError,
    encoder::Encoder,
    error::{RemoteError, StoreError},
    objects::Source,
    pack::{self, Assembled},
    remote::Fetched,
    run::Runs,
    store::{Held, Known, Store},
    tree::{BaseTree, Entry},
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

/// Where objects are brought from.
pub(crate) trait Origin: Source {
    /// Returns the remote's name, for errors.
    fn remote_name(&self) -> &str;

    /// Returns whether the parents of this commit are left out.
    fn is_shallow(&self, commit: Oid) -> Result<bool, RemoteError>;

    /// Returns whether the object is there.
    fn contains(&self, id: Oid) -> Result<bool, RemoteError>;
}

/// Says what a failure to read an object of a remote means.
pub(crate) fn object_error(remote: &str, error: StoreError) -> RemoteError {
    let remote = remote.to_owned();
    match error {
        StoreError::Missing { id } => RemoteError::Missing { remote, id },
        StoreError::NoSpace { path, source }
        | StoreError::NotWritable { path, source }
        | StoreError::Disk { path, source } => RemoteError::from_disk(&remote, DiskError { path, source }),
        StoreError::InUse { .. }
        | StoreError::WrongKind { .. }
        | StoreError::Damaged { .. }
        | StoreError::DamagedFile { .. }
        | StoreError::TooManyPaths { .. } => RemoteError::Damaged {
            remote,
            problem: error.to_string(),
        },
    }
}

/// Objects on their way.
pub(crate) struct Bringing<'a> {
    origin: &'a dyn Origin,
    store: &'a Store,
    /// What the store has must stay until what is brought has joined it.
    held: Held<'a>,
    /// What is brought, encoded; much of it is not in memory.
    runs: Runs,
    scratch: Scratch,
    brought: HashSet<Oid>,
    /// Trees that were looked into, so that all below them is here or brought.
    walked: HashSet<Oid>,
    encoder: Encoder,
}

/// A commit with when it was made and its parents; the newest is the greatest.
type Met = (jiff::Timestamp, Reverse<Oid>, Vec<Oid>);

impl<'a> Bringing<'a> {
    pub(crate) fn new(origin: &'a dyn Origin, store: &'a Store) -> Self {
        Self {
            origin,
            store,
            held: store.hold(),
            runs: Runs::default(),
            scratch: Scratch::new(&store.place()),
            brought: HashSet::new(),
            walked: HashSet::new(),
            encoder: Encoder::new(),
        }
    }

    /// Brings up to so many commits along first parents; returns how many the store will have.
    pub(crate) fn first_parents(&mut self, tip: Oid, commits_max: usize) -> Result<usize, RemoteError> {
        let mut commits = 0;
        let (mut next, mut child) = (tip, None);
        while commits < commits_max {
            if let Some(known) = self.store.known(next)
                && commits.saturating_add(known.commits) >= commits_max
            {
                return Ok(commits.saturating_add(known.commits));
            }
            let commit = match (self.commit(next), child) {
                (Err(RemoteError::Missing { .. }), Some(child)) if self.origin.is_shallow(child)? => break,
                (commit, _) => commit?,
            };
            commits += 1;
            child = Some(next);
            match commit.parents.first() {
                Some(parent) => next = *parent,
                None => return Ok(usize::MAX),
            }
        }
        Ok(commits)
    }

    /// Brings all trees of a commit; returns the top one.
    pub(crate) fn trees(&mut self, tip: Oid) -> Result<Oid, RemoteError> {
        let CommitInfo { tree, parents, .. } = self.commit(tip)?;
        // Where a tree that is here whole has the same directory, nothing can be missing.
        let base = self.store.nearest_known(&parents).map(|known| known.tree);
        let mut open = Vec::new();
        if self.walked.insert(tree) {
            open.push((tree, base));
        }
        while let Some((id, base)) = open.pop() {
            if base == Some(id) {
                continue;
            }
            let raw = self.bring(id, Kind::Tree)?;
            let entries = BaseTree::parse(id, raw).map_err(|error| self.object_error(error))?;
            let base = match base {
                Some(base) => BaseTree::load(self.store, base)?,
                None => BaseTree::default(),
            };
            for entry in entries.entries().filter(Entry::is_tree) {
                let same = base.find(entry.name).filter(|(_, entry)| entry.is_tree());
                if self.walked.insert(entry.id) {
                    open.push((entry.id, same.map(|(_, entry)| entry.id)));
                }
            }
        }
        Ok(tree)
    }

    /// Brings commits, each with all its trees.
    pub(crate) fn commits_with_trees(mut self, commits: &[Oid]) -> Result<Fetched, RemoteError> {
        let mut known = Vec::with_capacity(commits.len());
        for tip in commits {
            let tree = match self.store.known(*tip) {
                Some(known) => known.tree,
                None => self.trees(*tip)?,
            };
            known.push(Known {
                tip: *tip,
                tree,
                commits: 1,
                fetched: true,
            });
        }
        self.finish(known)
    }

    /// Brings commits along all parents, newest first, until so many were brought (but `from` in any case).
    pub(crate) fn history(mut self, from: &[Oid], commits_max: usize) -> Result<Fetched, RemoteError> {
        let mut seen = HashSet::new();
        let mut open = BinaryHeap::new();
        for id in from {
            self.meet(&mut seen, &mut open, *id)?;
        }
        while let Some((.., parents)) = open.pop() {
            for parent in parents {
                if self.brought.len() >= commits_max {
                    return self.finish(None);
                }
                self.meet(&mut seen, &mut open, parent)?;
            }
        }
        self.finish(None)
    }

    fn meet(
        &mut self,
        seen: &mut HashSet<Oid>,
        open: &mut BinaryHeap<Met>,
        id: Oid,
    ) -> Result<(), RemoteError> {
        if !seen.insert(id) || self.store.contains(id) || !self.origin.contains(id)? {
            return Ok(());
        }
        let CommitInfo {
            committer, parents, ..
        } = self.commit(id)?;
        open.push((committer.time, Reverse(id), parents));
        Ok(())
    }

    fn object_error(&self, error: StoreError) -> RemoteError {
        object_error(self.origin.remote_name(), error)
    }

    fn commit(&mut self, id: Oid) -> Result<CommitInfo, RemoteError> {
        let raw = self.bring(id, Kind::Commit)?;
        commit::decode(id, &raw).map_err(|error| self.object_error(error))
    }

    /// Returns an object, taken along if the store does not have it. Its content is what its id says.
    fn bring(&mut self, id: Oid, kind: Kind) -> Result<Vec<u8>, RemoteError> {
        match self.store.checked(id, kind) {
            Ok(Some(raw)) => return Ok(raw),
            Ok(None) => {}
            Err(error @ StoreError::WrongKind { .. }) => return Err(self.object_error(error)),
            Err(error) => return Err(error.into()),
        }
        let raw = self
            .origin
            .require(id, kind)
            .map_err(|error| self.object_error(error))?;
        if pack::object_id(kind, &raw) != Some(id) {
            let problem = format!("object {id} has other content than its id says");
            return Err(RemoteError::Damaged {
                remote: self.origin.remote_name().to_owned(),
                problem,
            });
        }
        if self.brought.insert(id) {
            let run = self.runs.open(&mut self.scratch).map_err(StoreError::from)?;
            run.push(&mut self.encoder, id, kind, &raw);
        }
        Ok(raw)
    }

    pub(crate) fn finish(mut self, known: impl IntoIterator<Item = Known>) -> Result<Fetched, RemoteError> {
        let runs = self.runs.keep(&mut self.scratch).map_err(StoreError::from)?;
        let pack = Assembled::new(runs, self.store.place()).map_err(StoreError::from)?;
        let pack = pack.pack();
        self.store.add_fetched(&self.held, &pack, known)?;
        Ok(Fetched {
            objects: pack.objects,
            bytes: if pack.objects > 0 {
                pack::index(pack.data.len())
            } else {
                0
            },
        })
    }
}
