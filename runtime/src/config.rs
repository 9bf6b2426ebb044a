//! The configuration file: read once, checked whole, then taken apart.
//!
//! Unknown keys are errors. Units end the names. Credentials stand in it only as references
//! ([`CredentialRef`]). What is wrong is told by key and line, never with the value: the value may
//! be a secret that was pasted into the wrong place.

use crate::credential::{CredentialRef, NotAReference};
use mirror_core::{
    ids::{InvalidId, MirrorId, ProjectId, Stack},
    path::{InvalidMirrorPath, MirrorPath},
};
use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use thiserror::Error;

mod raw;

pub use raw::{JobsCadence, SecretsChoice, WindowMode};

/// The whole configuration of a runtime.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of the log, the state, the compiled guests and the Git caches.
    pub data_dir: PathBuf,
    /// Secret that the tags of redaction markers derive from.
    pub tag_root: CredentialRef,
    pub window: WindowConfig,
    pub http: HttpConfig,
    pub keboola: KeboolaConfig,
    pub sandbox: SandboxLimits,
    /// How long running attempts may go on after a stop was asked for.
    pub grace_ms: u64,
    pub mirrors: Vec<MirrorSpec>,
}

/// When changes become a commit.
#[derive(Debug, Clone, Copy)]
pub struct WindowConfig {
    pub mode: WindowMode,
    /// From the first change of a window to its commit on the remote.
    pub span_ms: u64,
}

/// The HTTP listener: health, metrics, ingest and status.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// None: no listener.
    pub listen: Option<SocketAddr>,
    pub ingest: Vec<IngestToken>,
    /// Events waiting for one project before its ingest answers 429.
    pub backlog_max: u64,
    /// Bytes of one ingest request.
    pub body_bytes_max: usize,
}

/// Who may post events, and for which projects.
#[derive(Debug, Clone)]
pub struct IngestToken {
    pub name: String,
    pub token: CredentialRef,
    pub stack: Stack,
    /// None: every project of the stack.
    pub projects: Option<Vec<ProjectId>>,
}

/// How the Storage and Queue API are called.
#[derive(Debug, Clone)]
pub struct KeboolaConfig {
    pub connect_timeout_ms: u64,
    pub read_timeout_ms: u64,
    /// One call with all its retries.
    pub total_timeout_ms: u64,
    pub retries_max: u32,
    pub response_bytes_max: u64,
    pub parallel_max: usize,
}

/// Limits of the guests that a deployment may want to move; the rest are constants of the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct SandboxLimits {
    pub memory_bytes_max: usize,
    pub deadline_ms: u64,
}

/// One project mirrored to one repository.
#[derive(Debug, Clone)]
pub struct MirrorSpec {
    pub id: MirrorId,
    pub stack: Stack,
    /// Base address of the Storage API; `https` except on loopback.
    pub stack_url: String,
    pub project: ProjectId,
    pub token: CredentialRef,
    pub repository: RepositorySpec,
    /// Git branch of the default Keboola branch, without `refs/heads/`.
    pub branch: String,
    pub prefix: Option<MirrorPath>,
    pub secrets: SecretsChoice,
    pub samples: bool,
    pub jobs: Option<JobsSpec>,
    pub dev_branches: DevBranches,
    /// Label of metrics.
    pub plan_tier: String,
    /// Label of metrics.
    pub region: String,
    /// Whether files that lie where the mirror wants to write, but are not its own, may be replaced.
    pub adopt: bool,
}

/// Where the commits go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositorySpec {
    /// `file:` path of a bare repository; for the operator's own configuration, counted as private.
    LocalBare(PathBuf),
}

impl RepositorySpec {
    /// Returns the label `repository_host` of metrics.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::LocalBare(_) => "localhost",
        }
    }
}

/// Job history in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsSpec {
    pub cadence: JobsCadence,
}

/// Which dev branches are mirrored, and where to.
#[derive(Debug, Clone)]
pub struct DevBranches {
    pub enabled: bool,
    /// Git branch name with `{name}` and `{id}`.
    pub git_branch: String,
}

/// A configuration that cannot be used, and what to do about it.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read configuration file `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: {position}{message}", path.display())]
    Syntax {
        path: PathBuf,
        position: String,
        message: String,
    },
    #[error("`{key}`: {source}")]
    Reference {
        key: String,
        #[source]
        source: NotAReference,
    },
    #[error("`{key}`: {source}")]
    Id {
        key: String,
        #[source]
        source: InvalidId,
    },
    #[error("`{key}`: {source}")]
    Prefix {
        key: String,
        #[source]
        source: InvalidMirrorPath,
    },
    #[error("`{key}`: {problem}")]
    Value { key: String, problem: String },
    #[error("two mirrors have the id `{id}`; ids are the mirrors' identity and must differ")]
    MirrorTwice { id: MirrorId },
    #[error(
        "mirrors `{first}` and `{second}` write the same branch of the same repository; give one of them another `branch` or `repository`"
    )]
    TargetTwice { first: MirrorId, second: MirrorId },
    #[error("there is no mirror `{id}`; known: {known}")]
    UnknownMirror { id: String, known: String },
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Whatever is wrong first, by key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a configuration file; relative paths in it start at the file's directory.
    ///
    /// # Errors
    /// Whatever is wrong first, by key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: raw::Config = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.into(),
            position: error
                .span()
                .map(|span| position(text, span.start))
                .unwrap_or_default(),
            message: without_value(error.message()),
        })?;
        raw.check(path.parent().unwrap_or(Path::new(".")))
    }

    /// Returns the mirror with this id.
    ///
    /// # Errors
    /// None of that id; the error lists those there are.
    pub fn mirror(&self, id: &str) -> Result<&MirrorSpec, ConfigError> {
        self.mirrors
            .iter()
            .find(|mirror| mirror.id.as_str() == id)
            .ok_or_else(|| ConfigError::UnknownMirror {
                id: id.chars().filter(|c| !c.is_control()).take(100).collect(),
                known: match self.mirrors.len() {
                    0 => "none".into(),
                    _ => self
                        .mirrors
                        .iter()
                        .map(|mirror| mirror.id.as_str())
                        .collect::<Vec<_>>()
                        .join(", "),
                },
            })
    }
}

fn position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: ")
}

/// Takes the offending value out of serde's message (`invalid type: string "…", expected …`).
fn without_value(message: &str) -> String {
    let known = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|head| Some((*head, message.strip_prefix(head)?)));
    match known.and_then(|(head, rest)| Some((head, rest, rest.rfind(", expected ")?))) {
        Some((head, rest, end)) => {
            let kind: String = rest[..end]
                .chars()
                .take_while(|c| c.is_ascii_alphabetic() || *c == ' ')
                .collect();
            format!("{head}{}{}", kind.trim_end(), &rest[end..])
        }
        None => message.to_owned(),
    }
}

fn value(key: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        key: key.into(),
        problem: problem.into(),
    }
}

fn reference(key: &str, raw: &str, base: &Path) -> Result<CredentialRef, ConfigError> {
    let parsed = CredentialRef::parse(raw).map_err(|source| ConfigError::Reference {
        key: key.into(),
        source,
    })?;
    Ok(match parsed {
        CredentialRef::File(path) => CredentialRef::File(base.join(path)),
        other @ (CredentialRef::Environment(_) | CredentialRef::Systemd(_)) => other,
    })
}

fn id<T>(key: &str, parsed: Result<T, InvalidId>) -> Result<T, ConfigError> {
    parsed.map_err(|source| ConfigError::Id {
        key: key.into(),
        source,
    })
}

fn unique(mirrors: &[MirrorSpec]) -> Result<(), ConfigError> {
    let mut ids = BTreeMap::new();
    let mut targets: BTreeMap<(String, &str), &MirrorId> = BTreeMap::new();
    for mirror in mirrors {
        if ids.insert(mirror.id.as_str(), ()).is_some() {
            return Err(ConfigError::MirrorTwice {
                id: mirror.id.clone(),
            });
        }
        let RepositorySpec::LocalBare(path) = &mirror.repository;
        let target = (path.display().to_string(), mirror.branch.as_str());
        if let Some(first) = targets.insert(target, &mirror.id) {
            return Err(ConfigError::TargetTwice {
                first: first.clone(),
                second: mirror.id.clone(),
            });
        }
    }
    Ok(())
}

/// Says whether a text can be the name of a Git branch below `refs/heads/` (git-check-ref-format).
fn branch_problem(name: &str) -> Option<&'static str> {
    let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if name.is_empty()
        || name.starts_with('-')
        || name.ends_with('.')
        || name.contains("..")
        || name.contains("@{")
    {
        return Some("is not a Git branch name");
    }
    if name.chars().any(forbidden) {
        return Some("has a character that Git does not allow in a branch name");
    }
    name.split('/')
        .any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"))
        .then_some("has an empty part, one that begins with a dot, or one that ends with `.lock`")
}

#[cfg(test)]
mod tests;
