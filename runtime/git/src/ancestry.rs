//! Questions about the whole history of a branch, merges included.
//!
//! Both walks read commits and no trees, newest first, along all parents, and bring from the remote what the store
//! lacks. Committer times only say what to look at next: clocks may be wrong, so no answer rests on them.

#[cfg(test)]
mod tests;

use crate::{
    commit::{self, CommitInfo},
    error::{RemoteError, StoreError},
    objects::Source,
    remote::Remote,
    store::{Held, Store},
};
use gix::objs::Kind;
use jiff::Timestamp;
use mirror_core::ids::Oid;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// So many commits [`Store::is_ancestor`] reads at most before it gives up.
pub const ANCESTRY_COMMITS_MAX: usize = 1_000_000;

/// So many commits the first fetch of a walk asks for; each further one asks for twice as many.
const CHUNK_MIN: usize = 64;
const CHUNK_MAX: usize = 1 << 16;

/// Whether a commit is in the history of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// It is, or is that commit itself.
    Yes,
    /// It is not: nothing is left where it could be.
    No,
    /// It was not found, but not everything could be read: there are more than [`ANCESTRY_COMMITS_MAX`] commits, or the
    /// remote does not have the history to its beginning.
    Unknown,
}

impl Store {
    /// Returns whether `wanted` is `tip` or among its ancestors, along any parents.
    ///
    /// What is an ancestor of `wanted` itself is not searched, so that both answers cost about as many reads as there
    /// are commits between the two. Only if nobody has `wanted` any more all history is read, and copied to the store.
    ///
    /// # Errors
    /// A `tip` that the remote does not have, or a remote or store that cannot be read.
    pub fn is_ancestor(&self, remote: &dyn Remote, wanted: Oid, tip: Oid) -> Result<Ancestry, RemoteError> {
        self.is_ancestor_within(remote, wanted, tip, ANCESTRY_COMMITS_MAX)
    }

    fn is_ancestor_within(
        &self,
        remote: &dyn Remote,
        wanted: Oid,
        tip: Oid,
        commits_max: usize,
    ) -> Result<Ancestry, RemoteError> {
        if wanted == tip {
            return Ok(Ancestry::Yes);
        }
        let mut walk = Walk::new(self, remote, commits_max);
        walk.meet(wanted, Side::Below)?;
        walk.start(tip)?;
        while walk.is_open() {
            let Some((commit, side)) = walk.next() else { break };
            if side == Side::Above && commit.parents.contains(&wanted) {
                return Ok(Ancestry::Yes);
            }
            for parent in commit.parents {
                walk.meet(parent, side)?;
            }
        }
        Ok(if walk.is_whole {
            Ancestry::No
        } else {
            Ancestry::Unknown
        })
    }

    /// Finds the newest commit of `tip`'s history that is `wanted`, along all parents; reads at most `limit` commits.
    ///
    /// *Newest* is the first one in the order of `git log --date-order`: no commit comes before one that is built on it,
    /// and beyond that the later committer time comes first, then the lower id. A commit that matches thus
    /// supersedes those that it is built on, whatever the clocks said. With more than `limit` commits to be read, the
    /// answer is the first one among those that were.
    ///
    /// # Errors
    /// A `tip` that the remote does not have, or a remote or store that cannot be read.
    pub fn newest_matching(
        &self,
        remote: &dyn Remote,
        tip: Oid,
        limit: usize,
        mut wanted: impl FnMut(&CommitInfo) -> bool,
    ) -> Result<Option<CommitInfo>, RemoteError> {
        if limit == 0 {
            return Ok(None);
        }
        let mut walk = Walk::new(self, remote, limit);
        let mut walked: HashMap<Oid, (Timestamp, Vec<Oid>)> = HashMap::new();
        let mut matching: Vec<CommitInfo> = Vec::new();
        walk.start(tip)?;
        // What lies below a match cannot be the answer. With two matches on different ways all that can be read is
        // read: a way from one to the other may lead past commits with wrong times.
        while walk.is_open() || matching.len() > 1 {
            let Some((commit, mut side)) = walk.next() else {
                break;
            };
            walked.insert(commit.id, (commit.committer.time, commit.parents.clone()));
            let matches = side == Side::Above && wanted(&commit);
            if matches {
                side = Side::Below;
            }
            for parent in &commit.parents {
                walk.meet(*parent, side)?;
            }
            matching.extend(matches.then_some(commit));
        }
        if matching.len() > 1 {
            let first = in_date_order(tip, &walked).find(|id| matching.iter().any(|commit| commit.id == *id));
            matching.retain(|commit| Some(commit.id) == first);
        }
        Ok(matching.pop())
    }
}

/// Orders what was walked as `git log --date-order` does.
fn in_date_order(tip: Oid, walked: &HashMap<Oid, (Timestamp, Vec<Oid>)>) -> impl Iterator<Item = Oid> {
    let mut children: HashMap<Oid, usize> = HashMap::new();
    for parent in walked.values().flat_map(|(_, parents)| parents) {
        *children.entry(*parent).or_default() += 1;
    }
    let ready = move |id: Oid| walked.get(&id).map(|(time, _)| (*time, Reverse(id)));
    let mut open: BinaryHeap<_> = ready(tip).into_iter().collect();
    std::iter::from_fn(move || {
        let (_, Reverse(id)) = open.pop()?;
        for parent in &walked[&id].1 {
            if let Some(left) = children.get_mut(parent) {
                *left -= 1;
                if *left == 0 {
                    open.extend(ready(*parent));
                }
            }
        }
        Some(id)
    })
}

/// On which side of a known commit another one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Not known to be below.
    Above,
    /// An ancestor of the known commit, or that itself.
    Below,
}

/// A walk from newer to older commits that tells what is below something from what is not.
struct Walk<'a> {
    store: &'a Store,
    remote: &'a dyn Remote,
    /// What was read, or brought, must be there to the end.
    _held: Held<'a>,
    open: BinaryHeap<Open>,
    /// Every commit met: its side while it is open, none after that.
    met: HashMap<Oid, Option<Side>>,
    /// How many open ones are above.
    above: usize,
    commits_left: usize,
    chunk: usize,
    /// Whether everything above was read.
    is_whole: bool,
}

/// A commit that was read and whose parents were not yet met.
struct Open(CommitInfo);

impl Open {
    fn key(&self) -> (Timestamp, Reverse<Oid>) {
        (self.0.committer.time, Reverse(self.0.id))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Open {}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<'a> Walk<'a> {
    fn new(store: &'a Store, remote: &'a dyn Remote, commits_max: usize) -> Self {
        Self {
            store,
            remote,
            _held: store.hold(),
            open: BinaryHeap::new(),
            met: HashMap::new(),
            above: 0,
            commits_left: commits_max,
            chunk: CHUNK_MIN,
            is_whole: true,
        }
    }

    /// Meets the commit to walk from, which must exist.
    fn start(&mut self, tip: Oid) -> Result<(), RemoteError> {
        self.meet(tip, Side::Above)?;
        if self.met.contains_key(&tip) || self.commits_left == 0 {
            return Ok(());
        }
        Err(RemoteError::Missing {
            remote: self.remote.name().to_owned(),
            id: tip,
        })
    }

    /// Returns whether there may be more above.
    fn is_open(&self) -> bool {
        self.above > 0
    }

    fn next(&mut self) -> Option<(CommitInfo, Side)> {
        let Open(commit) = self.open.pop()?;
        let side = self.met.insert(commit.id, None).flatten();
        let side = side.expect("an open commit has a side");
        self.above -= usize::from(side == Side::Above);
        Some((commit, side))
    }

    /// Takes a commit into the walk. One that was met already is walked once, and is below if it is on any way.
    fn meet(&mut self, id: Oid, side: Side) -> Result<(), RemoteError> {
        match (self.met.get_mut(&id), side) {
            (Some(open @ Some(Side::Above)), Side::Below) => {
                *open = Some(Side::Below);
                self.above -= 1;
                return Ok(());
            }
            // That a commit is below may turn out after it was walked: then its ancestors are walked in vain.
            (Some(_), _) => return Ok(()),
            (None, _) => {}
        }
        let commit = match self.commits_left {
            0 => None,
            _ => self.read(id)?,
        };
        let Some(commit) = commit else {
            self.is_whole &= side == Side::Below;
            return Ok(());
        };
        self.commits_left -= 1;
        self.met.insert(id, Some(side));
        self.above += usize::from(side == Side::Above);
        self.open.push(Open(commit));
        Ok(())
    }

    /// Reads a commit, with its ancestors brought along if it is not here; none if the remote does not have it either.
    fn read(&mut self, id: Oid) -> Result<Option<CommitInfo>, RemoteError> {
        if let Some(commit) = self.here(id)? {
            return Ok(Some(commit));
        }
        // Whatever else comes next is asked for in the same breath.
        let next = self.open.iter().flat_map(|open| &open.0.parents);
        let next = next.filter(|next| !self.met.contains_key(next));
        let from: Vec<Oid> = std::iter::once(id).chain(next.copied()).collect();
        let chunk = self.chunk.min(self.commits_left);
        self.remote.fetch_history(&from, self.store, chunk)?;
        self.chunk = (self.chunk * 2).min(CHUNK_MAX);
        Ok(self.here(id)?)
    }

    fn here(&self, id: Oid) -> Result<Option<CommitInfo>, StoreError> {
        match self.store.objects().find(id)? {
            Some((Kind::Commit, raw)) => commit::decode(id, &raw).map(Some),
            Some(_) => Err(StoreError::wrong_kind(id, Kind::Commit)),
            None => Ok(None),
        }
    }
}
