//! What can go wrong with NATS, sorted by who must act.

use super::settings::Unfit;
use crate::credential::CredentialError;
use async_nats::{
    ConnectError,
    client::{PublishError, RequestError, RequestErrorKind},
};
use std::{io, sync::Arc};
use thiserror::Error;

/// Why NATS refused or failed.
#[derive(Debug, Clone, Error)]
pub enum NatsError {
    #[error(
        "cannot connect to NATS at {servers}; is it running there, with this TLS, and may this machine reach it?"
    )]
    Connect {
        servers: String,
        #[source]
        source: Arc<ConnectError>,
    },
    #[error("NATS at {servers} does not let this user in; check `queue.auth`")]
    NotLetIn {
        servers: String,
        #[source]
        source: Arc<ConnectError>,
    },
    #[error("`{key}` cannot be used for NATS: {problem}")]
    Setting { key: &'static str, problem: String },
    #[error("`{key}` cannot be read")]
    Credential {
        key: &'static str,
        #[source]
        source: Arc<CredentialError>,
    },
    #[error("the NATS server is of version {found}; kbc-mirror needs {needed} or newer")]
    TooOld { found: String, needed: &'static str },
    #[error("{0}")]
    Stream(#[from] Unfit),
    #[error("NATS did not answer when it was asked to {what}")]
    NoAnswer {
        what: &'static str,
        #[source]
        source: Arc<RequestError>,
    },
    #[error("NATS cannot be asked to {what}")]
    NotSent {
        what: &'static str,
        #[source]
        source: Arc<PublishError>,
    },
    #[error("NATS refuses to {what}: {description} (error {code})")]
    Refused {
        what: &'static str,
        code: u64,
        description: String,
    },
    #[error("NATS gave an answer that is none when it was asked to {what}")]
    Answer { what: &'static str },
    #[error("the lease was not renewed in time, and NATS has let go of it")]
    LeaseLost,
}

impl NatsError {
    /// Returns whether a message did not fit into what its stream may hold.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if codes::FULL.contains(code))
    }

    /// Returns whether a message was not stored since another one was stored before.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if codes::CONFLICT.contains(code))
    }

    /// Returns whether a batch was not stored since a message of it was stored before.
    #[must_use]
    pub fn is_repetition(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == codes::BATCH_WITH_DUPLICATE)
    }

    /// Returns whether nobody took what was asked: there is no leader at the moment, or nothing that it
    /// concerns. Whatever it was, it was not done.
    #[must_use]
    pub fn is_untaken(&self) -> bool {
        match self {
            Self::NoAnswer { source, .. } => source.kind() == RequestErrorKind::NoResponders,
            Self::Refused { code, .. } => codes::WITHOUT_LEADER.contains(code),
            _ => false,
        }
    }

    /// Returns whether the stream has no such message. That there is no such stream is another matter
    /// ([`Self::is_without_stream`]): who takes it for the same does not notice that everything is lost.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == codes::NO_MESSAGE)
    }

    /// Returns whether there is no such stream.
    #[must_use]
    pub fn is_without_stream(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == codes::NO_STREAM)
    }

    /// Returns whether an operator has to mend it: waiting does not help.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        match self {
            Self::NotLetIn { .. }
            | Self::Setting { .. }
            | Self::Credential { .. }
            | Self::TooOld { .. }
            | Self::Stream(_) => true,
            Self::Connect { .. }
            | Self::NoAnswer { .. }
            | Self::NotSent { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::LeaseLost => false,
        }
    }

    pub(super) fn file(key: &'static str, source: &io::Error) -> Self {
        Self::Setting {
            key,
            problem: source.to_string(),
        }
    }
}

/// Numbers of the server's errors (`err_code`).
pub(super) mod codes {
    pub(super) const NO_MESSAGE: u64 = 10_037;
    pub(super) const NO_STREAM: u64 = 10_059;
    /// Maximum bytes or messages of the stream; storage of the server or of the account.
    pub(super) const FULL: [u64; 5] = [10_077, 10_023, 10_047, 10_002, 10_122];
    /// Wrong last sequence, by whichever of its checks.
    pub(super) const CONFLICT: [u64; 2] = [10_071, 10_164];
    pub(super) const BATCH_WITH_DUPLICATE: u64 = 10_201;
    /// Cluster not available, no leader yet.
    pub(super) const WITHOUT_LEADER: [u64; 2] = [10_008, 10_009];
    /// Cluster not available, no leader yet, temporary storage failure, an incomplete batch (its connection
    /// broke), too many batches in flight.
    pub(in crate::nats) const PASSING: [u64; 6] = [10_008, 10_009, 10_072, 10_176, 10_210, 10_158];
}
