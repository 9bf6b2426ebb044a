//! Why the runtime cannot start, or a mirror not be opened.

use crate::{
    credential::CredentialError, database::DatabaseError, nats::NatsError, notify::channel::ChannelError,
    policies::PolicyError, queue::LogError, repository::Unaskable, state::StateError,
};
use mirror_core::ids::MirrorId;
use mirror_git::{InvalidSigningKey, RemoteError, StoreError};
use mirror_keboola::KeboolaError;
use mirror_sandbox::SandboxError;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why the runtime cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot use the data directory `{}`; make it writable for this user", path.display())]
    DataDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the log and state cannot be opened")]
    Database(#[from] DatabaseError),
    #[error("the event log cannot be opened")]
    Log(#[from] LogError),
    #[error("the state cannot be opened")]
    State(#[from] StateError),
    #[error("the event log over NATS cannot be opened")]
    Nats(#[from] NatsError),
    #[error("the sandbox cannot be started")]
    Sandbox(#[from] SandboxError),
    #[error("a stage of the start ended unexpectedly")]
    Stage(#[from] tokio::task::JoinError),
    #[error("`tag_root` cannot be read")]
    TagRoot(#[source] CredentialError),
    #[error("`tag_root` is too short; it needs 32 random bytes: head -c 32 /dev/urandom | base64")]
    TagRootWeak,
    #[error(
        "`tag_root` is not the one that this installation was used with; put the old one back: all markers derive from it"
    )]
    TagRootChanged,
    #[error("mirror `{mirror}`: its token cannot be read")]
    Token {
        mirror: MirrorId,
        #[source]
        source: CredentialError,
    },
    #[error("mirror `{mirror}`: the client cannot be set up")]
    Client {
        mirror: MirrorId,
        #[source]
        source: KeboolaError,
    },
    #[error("mirror `{mirror}`: nobody can be asked for the repository's visibility")]
    Visibility {
        mirror: MirrorId,
        #[source]
        source: Unaskable,
    },
    #[error("mirror `{mirror}`: the repository cannot be used")]
    Repository {
        mirror: MirrorId,
        #[source]
        source: RemoteError,
    },
    #[error("mirror `{mirror}`: the credential of its repository cannot be read")]
    Credential {
        mirror: MirrorId,
        #[source]
        source: CredentialError,
    },
    #[error("mirror `{mirror}`: its `signing_key` cannot be read")]
    SigningKeyUnread {
        mirror: MirrorId,
        #[source]
        source: CredentialError,
    },
    #[error("mirror `{mirror}`: its `signing_key` cannot be used")]
    SigningKey {
        mirror: MirrorId,
        #[source]
        source: InvalidSigningKey,
    },
    #[error("mirror `{mirror}`: its policy `{policy}` cannot be used")]
    Policy {
        mirror: MirrorId,
        policy: String,
        #[source]
        source: Box<PolicyError>,
    },
    #[error("the program's own file cannot be found, of which a process compiles policies")]
    Compiler(#[source] io::Error),
    #[error("cannot read `git.certificates`, `{}`", path.display())]
    Certificates {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`git.proxy_credential.password` cannot be read")]
    ProxyCredential(#[source] CredentialError),
    #[error("mirror `{mirror}`: the local object store cannot be opened")]
    Store {
        mirror: MirrorId,
        #[source]
        source: StoreError,
    },
    #[error("mirror `{mirror}`: `{branch}` cannot be a ref")]
    Ref { mirror: MirrorId, branch: String },
    #[error("mirror `{mirror}`: the token is of project {found}, not of {expected}")]
    WrongProject {
        mirror: MirrorId,
        found: String,
        expected: String,
    },
    #[error("mirror `{mirror}`: keboola cannot be asked for the project")]
    Keboola {
        mirror: MirrorId,
        #[source]
        source: KeboolaError,
    },
    #[error("admins cannot be told: `[notify]` cannot be used")]
    Notify(#[from] ChannelError),
    #[error("mirror `{mirror}`: the project has no default branch")]
    NoDefaultBranch { mirror: MirrorId },
}
