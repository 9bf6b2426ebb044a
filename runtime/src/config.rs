//! The configuration file: read once, checked whole, then taken apart.
//!
//! Unknown keys are errors. Units end the names. Credentials stand in it only as references
//! ([`CredentialRef`]). What is wrong is told by key and line, never with the value: the value may
//! be a secret that was pasted into the wrong place.

use crate::{
    credential::{CredentialRef, NotAReference},
    files,
    notify::channel::Target,
};
use mirror_core::{
    commit::MirrorIdentity,
    deletions::DeletionLimits,
    ids::{InvalidId, MirrorId, Oid, ProjectId, Stack},
    jobs::budget::day_lines_bytes_max,
    path::{InvalidMirrorPath, MirrorPath},
    sample::SampleLimits,
};
use mirror_git::{AddressPolicy, InvalidRepositoryUrl, RepositoryUrl, Timeouts};
use reqwest::Url;
use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use thiserror::Error;

mod notify;
mod policies;
mod raw;
mod refs;
mod written;

pub use notify::{NotifyConfig, SmtpConfig, SmtpSecurity};
pub use policies::{PoliciesConfig, PolicySpec};
pub use raw::{
    BranchDirectory, DeletedBranches, JobsCadence, JobsLayout, JobsLog, SecretsChoice, WindowMode,
};
pub(crate) use refs::fits_template;

/// Bytes of a configuration file.
const CONFIG_BYTES_MAX: u64 = 64 << 20;

/// Bytes that the tag root must have at least: 32 random ones in base64 are 44, in hexadecimal 64.
pub const TAG_ROOT_BYTES_MIN: usize = 32;

/// The whole configuration of a runtime.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of the log, the state, the compiled guests and the Git caches.
    pub data_dir: PathBuf,
    /// Secret that the tags of redaction markers derive from.
    pub tag_root: CredentialRef,
    pub window: WindowConfig,
    pub http: HttpConfig,
    pub log: LogConfig,
    pub queue: QueueConfig,
    pub keboola: KeboolaConfig,
    pub sandbox: SandboxLimits,
    pub policies: PoliciesConfig,
    pub sync: SyncConfig,
    pub git: GitConfig,
    pub visibility: VisibilityConfig,
    pub reconcile: ReconcileConfig,
    pub notify: NotifyConfig,
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
    /// Connections at a time; further ones wait to be accepted.
    pub connections_max: usize,
    /// For the head of a request, and again for its body; a connection that is silent so long is closed.
    pub read_timeout: Duration,
}

/// How long the log keeps what nobody waits for any more.
#[derive(Debug, Clone, Copy)]
pub struct LogConfig {
    /// Events that the remote has stay so long.
    pub history: Duration,
    /// So long a repeated event is known to be one; after that it is a no-op that costs a look.
    pub dedupe: Duration,
    /// Events of projects that no mirror has: past so many, the oldest go early.
    pub unmirrored_events_max: u64,
    /// Dead letters stay so long, and no more than so many of them.
    pub letters: Duration,
    pub letters_max: u64,
}

/// Where the event log is.
#[derive(Debug, Clone)]
pub enum QueueConfig {
    /// In the data directory, for one process.
    Embedded,
    /// In NATS, for as many as there are.
    JetStream(Box<JetStreamConfig>),
}

/// The log over NATS JetStream.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, without credentials.
    pub servers: Vec<String>,
    pub auth: NatsAuth,
    pub tls: NatsTls,
    /// Begins the names of streams, buckets and subjects: of each installation in an account another one.
    pub prefix: String,
    pub replicas: usize,
    /// So long a repeated event is known to be one; each costs memory of the server.
    pub dedupe: Duration,
    /// Bytes of the log, past which events are refused.
    pub log_bytes_max: u64,
    /// The same for what publishers send and is not in the log yet.
    pub events_bytes_max: u64,
    /// Whose events are published on `kbc.events.>`; none where no mirror is there.
    pub events_stack: Option<Stack>,
    /// A worker that is silent so long is taken for dead.
    pub lease: Duration,
    /// Name of this process among the workers; none for a random one.
    pub worker: Option<String>,
}

/// How NATS lets us in.
#[derive(Debug, Clone)]
pub enum NatsAuth {
    Nothing,
    User {
        user: String,
        password: CredentialRef,
    },
    Token(CredentialRef),
    /// Seed of an nkey.
    NKey(CredentialRef),
    /// A file as `nsc` writes it: a JWT and a seed.
    Credentials(CredentialRef),
}

/// How the connection to NATS is protected; `tls://` asks for it too.
#[derive(Debug, Clone, Default)]
pub struct NatsTls {
    pub required: bool,
    /// PEM file of certificate authorities to trust beside the system's.
    pub certificates: Option<PathBuf>,
    /// PEM files of our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
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
    /// Events may be ahead of what the API shows; so long is waited for it.
    pub visible_within_ms: u64,
}

/// Limits of the built-in guests that a deployment may want to move; the rest are constants of the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct SandboxLimits {
    pub memory_bytes_max: usize,
    pub deadline_ms: u64,
}

/// What attempts may hold at a time, and how many there may be. What one remembers of each object of its project (where
/// it lives, which version is mirrored) comes on top while it runs and grows with the project, as does the pack of a first
/// commit; `rebuilds_max` says how many projects that holds for at a time.
#[derive(Debug, Clone, Copy)]
pub struct SyncConfig {
    /// Bytes of buffers of one attempt: a half is for objects that are being rendered, an eighth for objects that
    /// wait to be rendered.
    pub memory_bytes_max: usize,
    /// Bytes on disk, in the data directory, for objects that wait to be rendered and do not fit into memory. They
    /// are encrypted, and gone with the process. What does not fit there either is fetched twice.
    pub spool_bytes_max: u64,
    /// Bytes of versions that were fetched, of all mirrors together.
    pub cache_bytes_max: usize,
    /// Bytes of what lanes remember between attempts, of all together. A lane whose memory does not fit reads it back
    /// from the data directory when it has something to do.
    pub remembered_bytes_max: usize,
    /// So many projects are read as a whole at a time: first syncs, and what has to be rendered anew.
    pub rebuilds_max: usize,
    /// So many attempts take up changes at a time.
    pub attempts_max: usize,
    /// So many deaths of the process over the same changes are taken for chance; after that the one object is looked for.
    pub deaths_max: u32,
}

impl SyncConfig {
    #[must_use]
    pub fn rendering_bytes_max(self) -> usize {
        self.memory_bytes_max / 2
    }

    #[must_use]
    pub fn waiting_bytes_max(self) -> usize {
        self.memory_bytes_max / 8
    }
}

/// How repositories behind a server are talked to, for all mirrors.
#[derive(Debug, Clone)]
pub struct GitConfig {
    /// Which addresses and schemes may be used.
    pub addresses: AddressPolicy,
    /// PEM file of certificate authorities to trust beside the system's.
    pub certificates: Option<PathBuf>,
    /// Proxy for `http:` and `https:`, without credentials.
    pub proxy: Option<String>,
    /// What the proxy asks for, the name of a user and the password; none where it asks for nothing.
    pub proxy_credential: Option<(String, CredentialRef)>,
    /// How long a server is waited for.
    pub timeouts: Timeouts,
}

/// How it is found out who may read a repository.
#[derive(Debug, Clone)]
pub struct VisibilityConfig {
    /// Repositories on these hosts are private, whatever the host says to strangers.
    pub private_hosts: Vec<String>,
    /// Time between two looks; before a push with samples it is looked in any case.
    pub check_every: Duration,
    /// For one request.
    pub timeout: Duration,
}

/// How often lanes are compared with their sources, to find what no event told.
#[derive(Debug, Clone, Copy)]
pub struct ReconcileConfig {
    /// By listing; none: never.
    pub every: Option<Duration>,
    /// What happened is given so long to be told.
    pub grace: Duration,
    /// By rendering everything; none: never.
    pub render_every: Option<Duration>,
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
    /// Private SSH key (Ed25519, OpenSSH) that commits are signed with; none leaves them unsigned.
    pub signing_key: Option<CredentialRef>,
    /// Git branch of the default Keboola branch, without `refs/heads/`.
    pub branch: String,
    /// Directory below which all of the mirror is; none for the root. Where it changes, what is below the former one stays: it is
    /// nobody's then, and to be deleted in the repository.
    pub prefix: Option<MirrorPath>,
    /// None: `encrypted` in a private repository, `masked` in others.
    pub secrets: Option<SecretsChoice>,
    /// Wanted; given only to a private repository.
    pub samples: bool,
    pub sample_limits: SampleLimits,
    /// Where strangers would read the repository; none for an operator's path, which is private, and for a server that
    /// nobody can ask without credentials.
    pub visibility_url: Option<Url>,
    pub jobs: Option<JobsSpec>,
    pub dev_branches: DevBranches,
    /// None: only events tell of changes.
    pub poll: Option<PollSpec>,
    /// None: history begins with the first sync.
    pub backfill: Option<BackfillSpec>,
    /// Label of metrics.
    pub plan_tier: String,
    /// Label of metrics.
    pub region: String,
    /// Whether files that lie where the mirror wants to write, but are not its own, may be replaced.
    pub adopt: bool,
    /// What one batch may delete without being asked about.
    pub deletions: DeletionLimits,
    pub accept_deletions: AcceptDeletions,
    /// The commit that a rewritten branch may have as its tip; none: a rewritten history stops the branch.
    pub accept_rewrite: Option<Oid>,
    /// The commit that a branch was at which was deleted, and which is made anew; none: a deleted branch stops.
    pub accept_deleted_branch: Option<Oid>,
    /// The customer's redaction policies, in the order in which they judge, after the built-in one.
    pub policies: Vec<PolicySpec>,
    /// As whom it commits. Not part of what content is rendered with: a change is for commits to come.
    pub commit: MirrorIdentity,
    /// Where its admins are told what they have to know.
    pub notify: Vec<Target>,
}

/// Which mass deletions the operator has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptDeletions {
    Nothing,
    /// The batch of this id, which the status and the log told.
    Batch(String),
    /// Whatever comes, for one run of a command.
    Everything,
}

/// Where the commits go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositorySpec {
    /// `file:` path of a bare repository; for the operator's own configuration, counted as private.
    LocalBare(PathBuf),
    /// A repository behind a server.
    Remote {
        url: RepositoryUrl,
        credential: Option<RepositoryCredential>,
    },
}

/// What opens a repository; by reference only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryCredential {
    /// A token or password, with the user name that it belongs to where the server cares.
    Token {
        user: Option<String>,
        token: CredentialRef,
    },
    /// A deploy key, and the keys of the server.
    SshKey {
        private_key: CredentialRef,
        known_hosts: CredentialRef,
    },
}

/// Its address, which never holds a credential.
impl fmt::Display for RepositorySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalBare(path) => write!(f, "file:{}", path.display()),
            Self::Remote { url, .. } => url.fmt(f),
        }
    }
}

impl RepositorySpec {
    /// Returns what tells repositories apart: the path without links, `.` and `..`, as far as it exists.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        match self {
            Self::LocalBare(path) => refs::canonical(path),
            // The same whatever the way to it.
            Self::Remote { url, .. } => url.identity().into(),
        }
    }

    /// Returns the label `repository_host` of metrics.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::LocalBare(_) => "localhost",
            Self::Remote { url, .. } => url.host(),
        }
    }
}

/// Job history in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsSpec {
    pub cadence: JobsCadence,
    pub layout: JobsLayout,
    pub log: JobsLog,
    /// So many days, up to that of the newest run, are in the tree; Git's history has the others. Where months
    /// have branches of their own, those without such a day are deleted, and nothing has their runs.
    pub keep_days: u32,
    /// Bytes that the history of runs may add to one Git branch in a month, as Git keeps them; 0: no limit.
    pub budget_bytes_month: u64,
}

impl JobsSpec {
    /// Days in the tree: what runs each week was seen five times, and what runs each month at least once.
    pub const KEEP_DAYS: u32 = 35;
    pub const BUDGET_BYTES_MONTH: u64 = 6_000_000;

    /// Returns the renderer's part of it, a member of its settings.
    #[must_use]
    pub fn render_options(&self) -> serde_json::Value {
        let Self {
            cadence: _,
            layout,
            log,
            keep_days,
            budget_bytes_month,
        } = self;
        // What is freed again need not be summed up.
        let is_summed_up = *budget_bytes_month > 0 && *log == JobsLog::Branch;
        let day_bytes_max = is_summed_up.then(|| day_lines_bytes_max(*budget_bytes_month));
        serde_json::json!({
            "layout": match layout {
                JobsLayout::DayFiles => "day-files",
                JobsLayout::FilePerRun => "file-per-run",
            },
            "log": match log {
                JobsLog::Branch => "branch",
                JobsLog::MonthRefs => "month-refs",
            },
            "keepDays": keep_days,
            "dayBytesMax": day_bytes_max,
        })
    }
}

/// Which dev branches are mirrored, and where to.
#[derive(Debug, Clone)]
pub struct DevBranches {
    pub enabled: bool,
    /// Git branch name with `{name}` and `{id}`.
    pub git_branch: String,
    /// How a dev branch's directory below `configs/` is called.
    pub directory: BranchDirectory,
    pub deleted: DeletedBranches,
    /// Time between two listings of the branches; one also follows an event of an unknown branch.
    pub look_every: Duration,
}

/// How often the source is asked whether something has changed of which no event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollSpec {
    /// Time between two looks at the branches, the versions of their configurations and, where they are mirrored, runs.
    pub every: Duration,
    /// The same for what raises no version: metadata, buckets and tables.
    pub unversioned_every: Duration,
    /// Time between two looks at the Storage events of the project, after which it is looked at once; none: no hints.
    pub hints_every: Option<Duration>,
}

/// What of the history from before the mirror becomes commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillSpec {
    /// So many versions at most, the newest of all.
    pub versions_max: usize,
    /// So many of one configuration, its newest.
    pub configuration_versions_max: usize,
    /// Calls to the source, while history is read.
    pub requests_per_second_max: u32,
}

/// A configuration that cannot be used, and what to do about it.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("`{key}` is no repository")]
    Repository {
        key: String,
        #[source]
        source: InvalidRepositoryUrl,
    },
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
    #[error(
        "mirrors `{first}` and `{second}` write to the same repository, and a dev branch of one may get a ref of the other; give one of them another `dev_branches.git_branch`, such as `{second}/{{name}}-{{id}}`, or another `repository`"
    )]
    DevTargetTwice { first: MirrorId, second: MirrorId },
    #[error(
        "mirror `{mirror}`: a dev branch may get the ref of `branch`; change `dev_branches.git_branch` or `branch`"
    )]
    DevTargetIsBranch { mirror: MirrorId },
    #[error(
        "mirror `{mirror}` has an e-mail address in `notify`, but `[notify.smtp]` is not set; tell it the operator's mail server"
    )]
    NoMailServer { mirror: MirrorId },
    #[error("`{key}`: no mirror is of this stack, so nothing would come of its events; mirrored: {stacks}")]
    IngestOfNobody { key: String, stacks: String },
    #[error("there is no mirror `{id}`; known: {known}")]
    UnknownMirror { id: String, known: String },
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Whatever is wrong first, by key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_text(path)?, path)
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

fn read_text(path: &Path) -> Result<String, ConfigError> {
    files::read_text(path, CONFIG_BYTES_MAX).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })
}

fn position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: ")
}

/// Takes the offending value out of serde's message (`invalid type: string "…", expected …`,
/// `` unknown variant `…`, expected … ``).
fn without_value(message: &str) -> String {
    let heads = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant ",
    ];
    let Some((head, rest)) = heads
        .iter()
        .find_map(|head| Some((*head, message.strip_prefix(head)?)))
    else {
        return message.to_owned();
    };
    // What is expected is ours and has no such words in it; the value may.
    let (given, expected) = rest
        .rfind(", expected ")
        .map_or((rest, ""), |end| rest.split_at(end));
    let kind: String = given
        .chars()
        .take_while(|c| c.is_ascii_alphabetic() || *c == ' ')
        .collect();
    format!("{}{expected}", format!("{head}{kind}").trim_end())
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
    if name == "HEAD" {
        return Some("is not a Git branch name: `HEAD` is the one that is checked out");
    }
    if name.starts_with("refs/") {
        return Some("must be without `refs/heads/`, as in `main`");
    }
    if name.starts_with(mirror_core::jobs::months::BRANCH_PREFIX) {
        return Some("begins like a branch of job runs, `keboola-jobs/`");
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
