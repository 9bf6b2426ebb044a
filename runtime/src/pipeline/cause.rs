//! What a failed attempt comes from, for those who have to mend it.

use super::{error::AttemptError, fetch::FetchError};
use crate::system::StartError;
use mirror_core::cause::Cause;
use mirror_git::{PushError, Refusal, RemoteError, TransportError};
use mirror_keboola::KeboolaError;

impl AttemptError {
    /// Says what it comes from.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Fetch(error) => of_fetch(error),
            Self::Remote(error) => of_remote(error),
            Self::Push(error) => of_push(error),
            Self::Rewritten { .. } | Self::RefGone { .. } => Cause::HistoryRewritten,
            Self::NotOurs { .. } | Self::InTheWay { .. } | Self::OtherMirrors { .. } => Cause::ForeignFiles,
            Self::MassDeletion { .. } => Cause::MassDeletion,
            Self::Unnamed { .. } | Self::NotSentAgain { .. } => Cause::PushRefused,
            Self::MonthRef(_) => Cause::Settings,
            Self::Spool(_)
            | Self::Log(_)
            | Self::State(_)
            | Self::Store(_)
            | Self::LeaseOver
            | Self::Stopped(_) => Cause::Host,
            Self::Sandbox(error) if error.is_temporary() => Cause::Host,
            Self::Sandbox(_) | Self::Write(_) | Self::Stage(_) | Self::Unsettled | Self::Deadly { .. } => {
                Cause::Defect
            }
            // These wait for something of the mirror's own.
            Self::Exposed { .. } | Self::Renamed { .. } | Self::NoDefaultYet => Cause::Remote,
        }
    }
}

impl StartError {
    /// Says what it comes from.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Keboola { source, .. } => of_keboola(source),
            Self::Token { .. } | Self::WrongProject { .. } => Cause::KeboolaToken,
            Self::NoDefaultBranch { .. } => Cause::Keboola,
            Self::Repository { source, .. } => of_remote(source),
            Self::Credential { .. } => Cause::Credentials,
            Self::DataDir { .. }
            | Self::Database(_)
            | Self::Log(_)
            | Self::State(_)
            | Self::Store { .. }
            | Self::Nats(_)
            | Self::Compiler(_)
            | Self::Sandbox(_) => Cause::Host,
            Self::Stage(_) => Cause::Defect,
            Self::TagRoot(_)
            | Self::TagRootWeak
            | Self::TagRootChanged
            | Self::Client { .. }
            | Self::Visibility { .. }
            | Self::SigningKeyUnread { .. }
            | Self::SigningKey { .. }
            | Self::Certificates { .. }
            | Self::ProxyCredential(_)
            | Self::Notify(_)
            | Self::Policy { .. }
            | Self::Ref { .. } => Cause::Settings,
        }
    }
}

fn of_fetch(error: &FetchError) -> Cause {
    match error {
        FetchError::Keboola(error) => of_keboola(error),
        FetchError::NotVisible { .. }
        | FetchError::JobNotVisible { .. }
        | FetchError::NoBranch { .. }
        | FetchError::HistoryUnlisted { .. } => Cause::Keboola,
    }
}

/// Says what a failed call of Keboola comes from.
#[must_use]
pub fn of_keboola(error: &KeboolaError) -> Cause {
    match error {
        KeboolaError::Unauthorized { .. } | KeboolaError::Forbidden { .. } => Cause::KeboolaToken,
        KeboolaError::Settings { .. } | KeboolaError::TooLarge { .. } => Cause::Settings,
        KeboolaError::NotFound { .. }
        | KeboolaError::RateLimited { .. }
        | KeboolaError::Maintenance { .. }
        | KeboolaError::Unavailable { .. }
        | KeboolaError::Server { .. }
        | KeboolaError::Rejected { .. }
        | KeboolaError::Foreign { .. }
        | KeboolaError::Unreachable { .. }
        | KeboolaError::Timeout { .. }
        | KeboolaError::Malformed { .. }
        | KeboolaError::NoService { .. } => Cause::Keboola,
    }
}

/// Says what it comes from that a repository cannot be read.
#[must_use]
pub fn of_remote(error: &RemoteError) -> Cause {
    match error {
        RemoteError::NotARepository { .. } => Cause::RepositoryGone,
        RemoteError::NotReadable { .. } => Cause::Credentials,
        RemoteError::Unreachable { .. } | RemoteError::Missing { .. } | RemoteError::Damaged { .. } => {
            Cause::Remote
        }
        RemoteError::Transport(error) => of_transport(error),
        RemoteError::Store(_) => Cause::Host,
    }
}

fn of_push(error: &PushError) -> Cause {
    match error {
        PushError::Refused { refusal, .. } => of_refusal(refusal),
        PushError::Transport(error) => of_transport(error),
        PushError::NotARepository { .. } => Cause::RepositoryGone,
        PushError::NotWritable { .. } => Cause::Credentials,
        PushError::NoSpace { .. } => Cause::Quota,
        PushError::Store(_) => Cause::Host,
        PushError::RefMoved { .. }
        | PushError::Contended { .. }
        | PushError::HeldBack { .. }
        | PushError::NotOffered { .. }
        | PushError::OutcomeUnknown { .. }
        | PushError::Unreachable { .. }
        | PushError::Busy { .. }
        | PushError::Locked { .. }
        | PushError::Damaged { .. } => Cause::Remote,
    }
}

fn of_refusal(refusal: &Refusal) -> Cause {
    match refusal {
        Refusal::ProtectedBranch | Refusal::ReadOnly | Refusal::BranchName | Refusal::DeletionRefused => {
            Cause::BranchProtected
        }
        Refusal::NotPermitted => Cause::Credentials,
        Refusal::Quota | Refusal::ServerStorage => Cause::Quota,
        Refusal::AuthorEmail
        | Refusal::CommitRule
        | Refusal::FileName
        | Refusal::Secrets(_)
        | Refusal::FileTooLarge { .. }
        | Refusal::PushTooLarge
        | Refusal::InvalidObjects
        | Refusal::Hook
        | Refusal::Unknown => Cause::PushRefused,
        Refusal::MissingObjects => Cause::Remote,
    }
}

fn of_transport(error: &TransportError) -> Cause {
    match error {
        TransportError::Credentials { .. }
        | TransportError::ProxyCredentials { .. }
        | TransportError::Forbidden { .. } => Cause::Credentials,
        TransportError::NotFound { .. } | TransportError::Moved { .. } => Cause::RepositoryGone,
        TransportError::ReadOnly { .. } => Cause::BranchProtected,
        TransportError::RequestTooLarge { .. } => Cause::PushRefused,
        TransportError::SchemeRefused { .. }
        | TransportError::AddressRefused { .. }
        | TransportError::Certificate { .. }
        | TransportError::HostKey { .. }
        | TransportError::Settings { .. } => Cause::Settings,
        TransportError::Program { .. } => Cause::Host,
        TransportError::Unreachable { .. }
        | TransportError::TimedOut { .. }
        | TransportError::RateLimited { .. }
        | TransportError::Unavailable { .. }
        | TransportError::AnswerTooLarge { .. }
        | TransportError::Protocol { .. } => Cause::Remote,
    }
}
