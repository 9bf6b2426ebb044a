//! What can go wrong in this room, and who can mend it.
//!
//! Errors name paths, refs and object ids, never the content of a file. Each knows its
//! [`Disposition`], so that nobody has to read prose to decide what to do next.

use crate::{
    disk::DiskError, ref_update::InvalidRefUpdates, refname::RefName, refusal::Refusal,
    transport_error::TransportError,
};
use gix::objs::Kind;
use mirror_core::{ids::Oid, path::MirrorPath};
use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};
use thiserror::Error;

/// What the caller should do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try the same again later: nothing about the work itself is wrong.
    Retry,
    /// The branch is not where it was: read it, build on what is there, then push again.
    RefMoved,
    /// Only the owner of the repository or of the machine can mend it; tell them, and go on trying.
    NeedsCustomer,
    /// The same input will always fail.
    Permanent,
}

/// A failure of the local object store.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The disk, the quota or the file size limit is exhausted.
    #[error("no space left to write `{}`; free disk space or raise the quota or file size limit", path.display())]
    NoSpace {
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// The directory is read-only for this process.
    #[error("cannot write `{}`; give this user write permission to it", path.display())]
    NotWritable {
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// Any other failure of the file system.
    #[error("cannot read or write `{}`", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process (or another part of this one) has the store open.
    #[error("the object store `{}` is in use by another process; give each its own cache directory", path.display())]
    InUse { path: PathBuf },
    /// An object that is needed is not here; a fetch from the remote brings it.
    #[error("object {id} is not in the local store; fetch it from the remote")]
    Missing { id: Oid },
    /// An object is of another kind than its use asks for.
    #[error("object {id} is not a {expected}")]
    WrongKind { id: Oid, expected: &'static str },
    /// An object cannot be decoded; a reset of the store mends it.
    #[error("object {id} is damaged: {problem}; remove the local store, it is rebuilt from the remote")]
    Damaged { id: Oid, problem: String },
    /// A file of the store cannot be decoded; a reset of the store mends it.
    #[error("`{}` is damaged: {problem}; remove the local store, it is rebuilt from the remote", path.display())]
    DamagedFile { path: PathBuf, problem: String },
    /// A tree has more paths than can be walked: a stranger's, most likely made for that.
    #[error(
        "the repository has {problem} below `{below}`, which no mirror writes; remove what somebody put there, or give the mirror another `prefix`"
    )]
    TooManyPaths { below: String, problem: String },
}

impl StoreError {
    pub(crate) fn wrong_kind(id: Oid, expected: Kind) -> Self {
        let expected = match expected {
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Commit => "commit",
            Kind::Tag => "tag",
        };
        Self::WrongKind { id, expected }
    }

    /// Returns whether the local store is damaged, which [`Store::reset`](crate::Store::reset) and a fetch mend.
    ///
    /// An object that is merely missing is no damage: the next fetch brings it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::WrongKind { .. } | Self::Damaged { .. } | Self::DamagedFile { .. } => true,
            Self::NoSpace { .. }
            | Self::NotWritable { .. }
            | Self::Disk { .. }
            | Self::InUse { .. }
            | Self::Missing { .. }
            | Self::TooManyPaths { .. } => false,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::TooManyPaths { .. } => Disposition::NeedsCustomer,
            // The store is a cache of this machine: its operator's trouble, and it passes.
            Self::NoSpace { .. } | Self::NotWritable { .. } | Self::Disk { .. } | Self::InUse { .. } => {
                Disposition::Retry
            }
            // Mended by a fetch, or by a reset and a fetch.
            Self::Missing { .. } | Self::Damaged { .. } | Self::DamagedFile { .. } => Disposition::Retry,
            Self::WrongKind { .. } => Disposition::Permanent,
        }
    }
}

/// A failure to build a tree or a commit.
#[derive(Debug, Error)]
pub enum WriteError {
    /// One batch wants a path to be a file and a directory at once.
    #[error("path `{path}` would be a file and a directory at once; give one of the two another name")]
    Conflict { path: MirrorPath },
    /// The commit's text cannot be stored in a Git commit.
    #[error("the commit's {what} {problem}")]
    BadText {
        what: &'static str,
        problem: &'static str,
    },
    /// The objects of one push are more than a pack may hold.
    #[error("one push would hold {bytes} bytes; split it below {bytes_max}")]
    TooLarge { bytes: u64, bytes_max: u64 },
    /// The branches of one push do not go together.
    #[error(transparent)]
    Updates(#[from] InvalidRefUpdates),
    /// The base could not be read, or the pack could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WriteError {
    /// Returns whether the local store is damaged: [`StoreError::is_damage`].
    #[must_use]
    pub fn is_store_damage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_damage())
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Conflict { .. } | Self::BadText { .. } | Self::TooLarge { .. } | Self::Updates(_) => {
                Disposition::Permanent
            }
            Self::Store(error) => error.disposition(),
        }
    }
}

/// A failure to read from a remote.
#[derive(Debug, Clone, Error)]
pub enum RemoteError {
    /// There is something else, or nothing, where the repository should be.
    #[error("`{remote}` is not a repository that can be mirrored to: {problem}")]
    NotARepository { remote: String, problem: String },
    /// The remote did not answer.
    #[error("cannot reach remote `{remote}`")]
    Unreachable {
        remote: String,
        #[source]
        source: Arc<io::Error>,
    },
    /// The remote may not be read with these permissions.
    #[error("remote `{remote}` may not be read; give this user permission")]
    NotReadable {
        remote: String,
        #[source]
        source: Arc<io::Error>,
    },
    /// The remote has no such object.
    #[error("remote `{remote}` has no object {id}")]
    Missing { remote: String, id: Oid },
    /// Something on the remote cannot be decoded.
    #[error("remote `{remote}` is damaged: {problem}; run `git fsck` there")]
    Damaged { remote: String, problem: String },
    /// The remote could not be talked to.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// What was read could not be stored locally.
    #[error("cannot store what remote sent")]
    Store(#[from] StoreError),
}

impl RemoteError {
    /// Returns how long the remote asked to wait, none if it did not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transport(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Returns whether the local store is damaged: [`StoreError::is_damage`].
    #[must_use]
    pub fn is_store_damage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_damage())
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NotARepository { .. } | Self::NotReadable { .. } | Self::Damaged { .. } => {
                Disposition::NeedsCustomer
            }
            // A missing object: the branch was rewritten and cleaned up between two reads.
            Self::Unreachable { .. } | Self::Missing { .. } => Disposition::Retry,
            Self::Transport(error) => error.disposition(),
            Self::Store(error) => error.disposition(),
        }
    }
}

/// A failure to move a branch of a remote.
///
/// Unless it says otherwise the branch is where it was. After `OutcomeUnknown`, and after `Unreachable` and `NoSpace`
/// of a repository on this machine, it may have moved: read the branch again before the next attempt.
#[derive(Debug, Clone, Error)]
pub enum PushError {
    /// The branch is not where the push expects it; nothing was changed.
    #[error("branch `{refname}` of `{remote}` moved since it was read")]
    RefMoved {
        remote: String,
        refname: RefName,
        /// Where it is now, none if there is no such branch.
        actual: Option<Oid>,
    },
    /// The remote says no.
    #[error(
        "remote `{remote}` refused branch `{refname}`: {refusal}{}",
        said_in_brackets(said)
    )]
    Refused {
        remote: String,
        refname: RefName,
        refusal: Refusal,
        /// Its own words, shortened.
        said: String,
    },
    /// Somebody else is changing the branch at this moment; nothing was changed.
    #[error(
        "somebody else is changing branch `{refname}` of remote `{remote}`{}",
        said_in_brackets(said)
    )]
    Contended {
        remote: String,
        refname: RefName,
        said: String,
    },
    /// The branch is where it was, only because the push is all or none and another branch of it could not be moved.
    #[error("branch `{refname}` of `{remote}` was left where it is, like all of the push")]
    HeldBack { remote: String, refname: RefName },
    /// The remote cannot do what was asked for; nothing was sent.
    #[error("the server of remote `{remote}` does not offer {what}")]
    NotOffered { remote: String, what: Offer },
    /// What the remote needs of the objects could not be read here; nothing was sent.
    #[error("cannot read what is to be sent")]
    Store(#[from] StoreError),
    /// The remote could not be talked to. The branch is where it was.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The connection broke when the remote may have moved the branch already, and it could not be asked where it is.
    #[error(
        "it is unknown whether remote `{remote}` has moved branch `{refname}`; it is read again before the next attempt"
    )]
    OutcomeUnknown {
        remote: String,
        refname: RefName,
        /// What broke the push.
        #[source]
        source: TransportError,
    },
    /// The remote did not answer, or not to the end.
    #[error("cannot reach remote `{remote}`")]
    Unreachable {
        remote: String,
        #[source]
        source: Arc<io::Error>,
    },
    /// There is something else, or nothing, where the repository should be.
    #[error("`{remote}` is not a repository that can be mirrored to: {problem}")]
    NotARepository { remote: String, problem: String },
    /// These permissions do not allow to write.
    #[error("cannot write `{}` of remote `{remote}`; give this user write permission to it", path.display())]
    NotWritable {
        remote: String,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// The remote's disk, quota or file size limit is exhausted.
    #[error("no space left on remote `{remote}` to write `{}`; free disk space there", path.display())]
    NoSpace {
        remote: String,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process of the mirror holds the repository for longer than a change takes.
    #[error("another kbc-mirror works on repository `{remote}`, or hangs; stop all but one")]
    Busy { remote: String },
    /// Another program is changing the branch, or died while it did.
    #[error("branch `{refname}` of `{remote}` is locked by another program; if none is running, remove `{}`", path.display())]
    Locked {
        remote: String,
        refname: RefName,
        path: PathBuf,
    },
    /// Something on the remote cannot be decoded.
    #[error("remote `{remote}` is damaged: {problem}; run `git fsck` there")]
    Damaged { remote: String, problem: String },
}

fn said_in_brackets(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" ({said})")
    }
}

/// Something that not every server can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// To move all branches of a push or none.
    Atomic,
    /// To delete branches.
    Deletion,
    /// To say what became of a push. Git itself always could.
    Report,
}

impl Offer {
    /// Returns the name of the protocol's capability.
    #[must_use]
    pub fn capability(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::Deletion => "delete-refs",
            Self::Report => "report-status",
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Atomic => "pushes of several branches that happen wholly or not at all",
            Self::Deletion => "to delete branches",
            Self::Report => "to say what became of a push",
        };
        write!(f, "{what} (`{}`)", self.capability())
    }
}

impl PushError {
    /// Returns how long the remote asked to wait, none if it did not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transport(error) => error.retry_after(),
            Self::OutcomeUnknown { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// Returns whether the local store is damaged: [`StoreError::is_damage`].
    #[must_use]
    pub fn is_store_damage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_damage())
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::RefMoved { .. } => Disposition::RefMoved,
            Self::Refused { refusal, .. } => refusal.disposition(),
            Self::Transport(error) => error.disposition(),
            Self::Store(error) => error.disposition(),
            Self::NotARepository { .. }
            | Self::NotOffered { .. }
            | Self::NotWritable { .. }
            | Self::NoSpace { .. }
            | Self::Damaged { .. } => Disposition::NeedsCustomer,
            Self::Unreachable { .. }
            | Self::HeldBack { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Contended { .. }
            | Self::Busy { .. }
            | Self::Locked { .. } => Disposition::Retry,
        }
    }
}

/// Groups what the file system can say into what somebody can do about it.
enum DiskTrouble {
    NoSpace,
    NoPermission,
    Other,
}

fn trouble(error: &io::Error) -> DiskTrouble {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::FileTooLarge | Kind::QuotaExceeded => DiskTrouble::NoSpace,
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => DiskTrouble::NoPermission,
        _ => DiskTrouble::Other,
    }
}

impl From<DiskError> for WriteError {
    fn from(error: DiskError) -> Self {
        Self::Store(error.into())
    }
}

impl From<DiskError> for StoreError {
    fn from(DiskError { path, source }: DiskError) -> Self {
        let trouble = trouble(&source);
        match trouble {
            DiskTrouble::NoSpace => Self::NoSpace { path, source },
            DiskTrouble::NoPermission => Self::NotWritable { path, source },
            DiskTrouble::Other => Self::Disk { path, source },
        }
    }
}

impl RemoteError {
    pub(crate) fn from_disk(remote: &str, error: DiskError) -> Self {
        let remote = remote.to_owned();
        match trouble(&error.source) {
            DiskTrouble::NoPermission => Self::NotReadable {
                remote,
                source: error.source,
            },
            DiskTrouble::NoSpace | DiskTrouble::Other => Self::Unreachable {
                remote,
                source: error.source,
            },
        }
    }
}

impl PushError {
    pub(crate) fn from_disk(remote: &str, DiskError { path, source }: DiskError) -> Self {
        let remote = remote.to_owned();
        let trouble = trouble(&source);
        match trouble {
            DiskTrouble::NoSpace => Self::NoSpace { remote, path, source },
            DiskTrouble::NoPermission => Self::NotWritable { remote, path, source },
            DiskTrouble::Other => Self::Unreachable { remote, source },
        }
    }
}
