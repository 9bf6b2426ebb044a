//! What the mirror asks of the other side.

use crate::{
    error::{PushError, RemoteError},
    outgoing::PendingPush,
    ref_update::{PushMode, PushReport, RefUpdate, RefUpdates},
    refname::RefName,
    store::Store,
};
use mirror_core::ids::Oid;
use std::fmt;

/// How much of a branch to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchScope {
    /// Up to this many commits along first parents, without any tree: enough to find our trailers.
    CommitsOnly { commits_max: usize },
    /// The same and all trees of the tip, but no blobs: enough to make the next commit.
    TreesOnly { commits_max: usize },
}

/// What a fetch brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Objects that the store did not have.
    pub objects: usize,
    /// Their size in the store, in bytes.
    pub bytes: usize,
}

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Only who has credentials, or an account on this machine.
    Private,
    /// That cannot be told over this way: SSH asks everybody for a key. Take it for public.
    Unknown,
}

/// A repository that somebody else owns.
///
/// Every change of a branch names where it must be and takes effect whole or not at all; nothing is ever forced. After
/// an error the branch may nevertheless have moved (the answer was lost): whoever pushes reads the branch again.
pub trait Remote: Send + Sync + fmt::Debug {
    /// Returns a name for messages and logs, without credentials.
    fn name(&self) -> &str;

    /// Lets go of what it holds to be quick, for a remote that is not used for a while.
    fn rest(&self) {}

    /// Returns where a branch is, none if there is no such branch.
    ///
    /// # Errors
    /// A remote that cannot be reached or read.
    fn tip(&self, refname: &RefName) -> Result<Option<Oid>, RemoteError>;

    /// Returns all branches, by name.
    ///
    /// # Errors
    /// A remote that cannot be reached or read.
    fn branches(&self) -> Result<Vec<(RefName, Oid)>, RemoteError>;

    /// Brings commits and trees into the store. What the store has is not brought again, and what it is known to have
    /// whole is not even looked at: to fetch where nothing has moved costs nothing.
    ///
    /// # Errors
    /// A commit that the remote does not have (any more), or a remote or store that cannot be used.
    fn fetch(&self, tip: Oid, store: &Store, scope: FetchScope) -> Result<Fetched, RemoteError>;

    /// Brings commits into the store, each with all its trees, but neither blobs nor what the commits are built on. From a
    /// server many commits come in one answer, so with few exchanges; how much is in memory at once grows with how
    /// many are asked for, and with how much their trees differ.
    ///
    /// # Errors
    /// A commit that the remote does not have (any more), or does not hand out since it is no branch's tip; a remote or store
    /// that cannot be used. Some commits may then have come.
    fn fetch_trees(&self, commits: &[Oid], store: &Store) -> Result<Fetched, RemoteError>;

    /// Brings commits into the store, without trees: `from` and their ancestors along *all* parents, newest first, until
    /// `commits_max` were brought (but `from` in any case). Where the store has a commit it is not followed further.
    ///
    /// What the remote does not have is passed over: beyond the end of a shallow history there is nothing. The caller
    /// sees in the store what came.
    ///
    /// # Errors
    /// An object that is no commit, or a remote or store that cannot be used.
    fn fetch_history(&self, from: &[Oid], store: &Store, commits_max: usize) -> Result<Fetched, RemoteError>;

    /// Reads blobs, in the order of their ids.
    ///
    /// # Errors
    /// A blob that the remote does not have, or a remote that cannot be read.
    fn read_blobs(&self, ids: &[Oid]) -> Result<Vec<Vec<u8>>, RemoteError>;

    /// Sends objects and updates branches, all in one push. Each branch is updated if it is where its update expects it;
    /// one that is already where it shall be is a success.
    ///
    /// `objects` is the push that brings what the updates need and the remote does not have; none if there is no such
    /// thing. Unless the push is [atomic](PushMode::atomic), some branches may be updated and others not, which the report
    /// tells of each. If the answer is lost, each branch is read back. A connection that broke is tried once more.
    ///
    /// # Errors
    /// Nothing was changed: the remote cannot be talked to, or cannot do it ([`PushError::NotOffered`]).
    fn update_refs(
        &self,
        updates: &RefUpdates,
        objects: Option<&PendingPush>,
        mode: &PushMode,
    ) -> Result<PushReport, PushError>;

    /// Sends the objects of a push and updates all its branches.
    ///
    /// # Errors
    /// See [`Remote::update_refs`].
    fn push_with(&self, push: &PendingPush, mode: &PushMode) -> Result<PushReport, PushError> {
        self.update_refs(push.updates(), Some(push), mode)
    }

    /// Sends the objects and moves the branch, if it is where the push expects it. A branch that is already where the
    /// push would move it is a success. Of several branches each is moved by itself.
    ///
    /// # Errors
    /// See [`PushError`]; its disposition says what to do.
    fn push(&self, push: &PendingPush) -> Result<(), PushError> {
        self.push_with(push, &PushMode::default())?.into_result()
    }

    /// Asks, without credentials, whether everybody may read.
    ///
    /// # Errors
    /// A remote that cannot be reached, or gives another answer than yes or no; then take it for public.
    fn visibility(&self) -> Result<Visibility, RemoteError>;

    /// Deletes a branch if it is where it is expected. One that does not exist is a success.
    ///
    /// # Errors
    /// See [`PushError`].
    fn delete_branch(&self, refname: &RefName, expected: Oid) -> Result<(), PushError> {
        let deletion = RefUpdate::delete(refname.clone(), expected).into();
        self.update_refs(&deletion, None, &PushMode::default())?
            .into_result()
    }
}
