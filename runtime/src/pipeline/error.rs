//! Why an attempt ended early, and who must act.

use super::{fetch::FetchError, spool::SpoolError};
use crate::{queue::LogError, state::StateError, turns::Stopped, visibility::Visibility};
use jiff::Timestamp;
use mirror_core::{
    deletions::Held,
    ids::{MirrorId, Oid},
    retry::Disposition,
};
use mirror_git::{InvalidRefName, PushError, RefName, RemoteError, StoreError, WriteError};
use mirror_sandbox::SandboxError;
use std::time::Duration;
use thiserror::Error;

/// Why an attempt ended early. Nothing is lost: the next one starts from the log and the remote.
#[derive(Debug, Error)]
pub enum AttemptError {
    #[error("cannot fetch from keboola")]
    Fetch(#[from] FetchError),
    #[error("the sandbox failed")]
    Sandbox(#[from] SandboxError),
    #[error("fetched objects cannot be kept until they are rendered")]
    Spool(#[from] SpoolError),
    #[error("the log failed")]
    Log(#[from] LogError),
    #[error("the state store failed")]
    State(#[from] StateError),
    #[error("the remote cannot be read")]
    Remote(#[from] RemoteError),
    #[error("the local object store failed")]
    Store(#[from] StoreError),
    #[error("the commit cannot be built")]
    Write(#[from] WriteError),
    #[error("the push failed")]
    Push(#[from] PushError),
    #[error(
        "branch `{refname}` was rewritten: commit {expected}, which the mirror pushed, is no longer in its history, which ends at {tip} now; put it back, or accept what is there: set `accept_rewrite = \"{tip}\"` in `[[mirror]]` and restart, or run `kbc-mirror once` with `--accept-rewrite {tip}`, and the mirror goes on on top of it"
    )]
    Rewritten {
        refname: RefName,
        expected: Oid,
        /// Where the branch is now.
        tip: Oid,
    },
    #[error(
        "branch `{refname}` is not there, where the mirror left it at commit {expected}: it was deleted on the remote, or `branch` or `repository` was changed; create it again at that commit, or change them back, and the mirror goes on from there; or let the mirror make it anew, with a first commit of everything: set `accept_deleted_branch = \"{expected}\"` in `[[mirror]]` and restart, or run `kbc-mirror once` with `--accept-deleted-branch {expected}`"
    )]
    RefGone { refname: RefName, expected: Oid },
    #[error(
        "`{path}` exists on branch `{refname}`, but is not the mirror's; set `adopt = true` to let the mirror replace it, or set a `prefix`"
    )]
    NotOurs { refname: RefName, path: String },
    #[error(
        "`{path}` exists on branch `{refname}`, and is of mirror `{other}`, which committed there last; if that is this one's former `id`, set it back, or set `adopt = true` to let this one replace the files; if it is another mirror, set a `prefix` or another `branch`"
    )]
    OtherMirrors {
        refname: RefName,
        path: String,
        other: MirrorId,
    },
    #[error(
        "`{path}` on branch `{refname}` is not the mirror's and is no directory, so that the mirror's `prefix` cannot be one; move it, or set another `prefix`"
    )]
    InTheWay { refname: RefName, path: String },
    #[error(
        "held: this would delete {held}; if the source is wrong, it goes on by itself once that is mended; if it is right, accept batch `{}`: set `accept_deletions = \"{}\"` in `[[mirror]]` and restart, or run `kbc-mirror once` with `--accept-deletions`", held.id, held.id
    )]
    MassDeletion { held: Held },
    #[error("samples may not go to a repository that is {}; they are left out", visibility.as_str())]
    Exposed { visibility: Visibility },
    #[error("the name of the Git branch would show a secret; it is called `{refname}` instead")]
    Renamed { refname: RefName },
    #[error("the default branch is not mirrored yet; this branch starts at its commit")]
    NoDefaultYet,
    #[error(
        "the remote objects to something in commit {commit}, and not in a way that shows in which of the mirror's files; nothing was sent and nothing is lost. Remove it in keboola, which the next attempt takes up, or allow it at the remote: the commit is sent again after an hour, at a restart, or by `kbc-mirror once`"
    )]
    Unnamed {
        commit: Oid,
        #[source]
        source: Box<PushError>,
    },
    #[error("commit {commit} is not sent again before {until}: {reason}")]
    NotSentAgain {
        commit: Oid,
        until: Timestamp,
        reason: String,
    },
    #[error("there is no Git branch for a month of job runs; give the mirror a shorter `branch`")]
    MonthRef(#[from] InvalidRefName),
    #[error("this worker may no longer push; whoever has its shard now goes on")]
    LeaseOver,
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(
        "the comparison found something more to set aside at each look; look for objects that are withheld"
    )]
    Unsettled,
    #[error(
        "the process died {deaths} times while it worked on this branch, and not over a single object; the branch is left alone until {until}, so that others go on; look for what ended the process (memory, the kernel's log), mend it or upgrade, and `mirror resync` ends that with the next attempt"
    )]
    Deadly { deaths: u32, until: Timestamp },
    #[error("a stage of the attempt ended unexpectedly")]
    Stage(#[from] tokio::task::JoinError),
}

const SOON: Duration = Duration::from_secs(1);
const A_WHILE: Duration = Duration::from_secs(30);

impl AttemptError {
    /// Returns whether nothing is wrong: the source only does not show yet what an event told of.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(
            self,
            Self::Fetch(
                FetchError::NotVisible { .. }
                    | FetchError::JobNotVisible { .. }
                    | FetchError::HistoryUnlisted { .. }
            ) | Self::NoDefaultYet
                | Self::Exposed { .. }
                | Self::Renamed { .. }
        )
    }

    /// Returns whether the source does not show yet what an event told of.
    #[must_use]
    pub fn is_not_shown(&self) -> bool {
        matches!(
            self,
            Self::Fetch(FetchError::NotVisible { .. } | FetchError::JobNotVisible { .. })
        )
    }

    /// Returns whether the local object store is damaged: it is a cache, and can be had again.
    #[must_use]
    pub fn is_store_damage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Remote(error) => error.is_store_damage(),
            Self::Write(error) => error.is_store_damage(),
            Self::Push(error) => error.is_store_damage(),
            _ => false,
        }
    }

    /// Returns the short name of the reason for which the remote refused a push; none if it did not.
    #[must_use]
    pub fn refusal(&self) -> Option<&'static str> {
        let error = match self {
            Self::Push(error) => error,
            Self::Unnamed { source, .. } => source,
            _ => return None,
        };
        match error {
            PushError::Refused { refusal, .. } => Some(refusal.code()),
            _ => None,
        }
    }

    /// Returns the batch that is held, where that is all that is wrong.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        match self {
            Self::MassDeletion { held } => Some(held),
            _ => None,
        }
    }

    /// Returns Keboola's `exceptionId`, by which its support finds the failure; none where it gave none.
    #[must_use]
    pub fn exception_id(&self) -> Option<&str> {
        match self {
            Self::Fetch(FetchError::Keboola(error)) => error.exception_id(),
            _ => None,
        }
    }

    /// Says who must act.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Fetch(error) => fetch(error),
            Self::Sandbox(error) if error.is_temporary() => Disposition::Temporary { after: None },
            Self::Sandbox(_) | Self::Unsettled | Self::Deadly { .. } => Disposition::Permanent,
            // Somebody else works on the lane, or the disk is in trouble: look again.
            Self::Log(LogError::Moved { .. })
            | Self::State(StateError::BaseMoved { .. })
            // The next attempt is made without them, or with the other name.
            | Self::Exposed { .. }
            | Self::Renamed { .. } => Disposition::RefMoved,
            Self::Spool(_) | Self::Log(_) | Self::State(_) | Self::Stopped(_) | Self::Stage(_) => {
                Disposition::Temporary { after: None }
            }
            Self::Remote(error) => git(error.disposition(), error.retry_after()),
            Self::Store(error) => git(error.disposition(), None),
            Self::Write(error) => git(error.disposition(), None),
            Self::Push(error) => git(error.disposition(), error.retry_after()),
            Self::Rewritten { .. }
            | Self::RefGone { .. }
            | Self::NotOurs { .. }
            | Self::OtherMirrors { .. }
            | Self::InTheWay { .. }
            | Self::Unnamed { .. }
            | Self::NotSentAgain { .. }
            | Self::MonthRef(_)
            | Self::MassDeletion { .. } => Disposition::NeedsCustomer,
            // Either the lease is renewed by then, or the lane is another's.
            Self::LeaseOver => Disposition::Temporary { after: Some(SOON) },
            Self::NoDefaultYet => Disposition::Temporary { after: Some(A_WHILE) },
        }
    }
}

fn fetch(error: &FetchError) -> Disposition {
    match error {
        FetchError::NotVisible { .. }
        | FetchError::JobNotVisible { .. }
        | FetchError::HistoryUnlisted { .. } => Disposition::Temporary { after: Some(SOON) },
        FetchError::NoBranch { .. } => Disposition::NeedsCustomer,
        FetchError::Keboola(error) => match error.disposition() {
            mirror_keboola::Disposition::Retry { after } => Disposition::Temporary { after },
            mirror_keboola::Disposition::NeedsCustomer => Disposition::NeedsCustomer,
            // What is gone for good is settled where it is fetched; here it is a race.
            mirror_keboola::Disposition::Gone => Disposition::Temporary { after: Some(A_WHILE) },
            mirror_keboola::Disposition::Permanent => Disposition::Permanent,
        },
    }
}

fn git(disposition: mirror_git::Disposition, after: Option<Duration>) -> Disposition {
    match disposition {
        mirror_git::Disposition::Retry => Disposition::Temporary { after },
        mirror_git::Disposition::RefMoved => Disposition::RefMoved,
        mirror_git::Disposition::NeedsCustomer => Disposition::NeedsCustomer,
        mirror_git::Disposition::Permanent => Disposition::Permanent,
    }
}
