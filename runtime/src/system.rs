//! Opening everything that the configuration names, and putting lanes together from it.
//!
//! The only place that knows which implementation stands behind a trait.

use crate::{
    branches,
    config::{
        BranchDirectory, Config, KeboolaConfig, MirrorSpec, QueueConfig, SandboxLimits, SecretsChoice,
        TAG_ROOT_BYTES_MIN,
    },
    credential::CredentialError,
    database::{Database, DatabaseError, DatabaseOptions},
    metrics::Metrics,
    nats::{self, Nats, NatsError},
    notify::{MirrorNotices, Notices, channel::ChannelError, courier::Courier},
    pipeline::{
        attempt::{Base, Heirs, Lane},
        cache::ObjectCache,
        fetch::Source,
        memories::Memories,
        spool::SpoolLimits,
        transform::Transformer,
    },
    policies::{self, Policies, Policy, PolicyError},
    queue::{EventLog, LogError, embedded::EmbeddedLog, jetstream::JetStreamLog},
    repository::Unaskable,
    state::{
        StateError, StateStore, embedded::EmbeddedState, notices::NoticeStore, pauses::PauseStore,
        shared::SharedState,
    },
    status::Status,
    turns::Turns,
    visibility::{Exports, VisibilityWatch},
    workers::Lease,
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use mirror_core::{
    digest::{RenderDigest, RenderInputs},
    document::Context,
    guard::KnownSecrets,
    ids::{BranchId, LaneId, MirrorId, Topic},
    marker::TagKey,
    path::{MirrorPath, OwnedPaths},
    redaction::{Redaction, SecretsMode},
    sample::SampleLimits,
};
use mirror_git::{InvalidSigningKey, RefName, Remote, RemoteError, SigningKey, Store, StoreError};
use mirror_keboola::{ClientConfig, DevBranch, KeboolaClient, KeboolaError};
use mirror_sandbox::{
    LayoutRenderer, Limits, RedactionPolicy, SampleFilter, Sandbox, SandboxConfig, SandboxError,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use tokio::sync::Mutex;

/// Raised by releases whose output changes.
const FORMAT_VERSION: u32 = 1;

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
        source: PolicyError,
    },
    #[error("the program's own file cannot be found, of which a process compiles policies")]
    Compiler(#[source] io::Error),
    #[error("cannot read `git.certificates`, `{}`", path.display())]
    Certificates {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
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

/// Directory of the default branch below `configs/`, and of others unless it is configured otherwise.
const MAIN: &str = "main";
/// Of a dev branch's name, so much goes into the name of its Git branch.
const BRANCH_SLUG_BYTES_MAX: usize = 100;

/// Everything that lives as long as the process.
pub struct System {
    pub config: Config,
    pub log: Arc<dyn EventLog>,
    pub state: Arc<dyn StateStore>,
    /// The log once more, where it is over NATS.
    pub jetstream: Option<JetStreamLog>,
    /// Whether this process may push; held for ever where it is the only one.
    pub lease: Lease,
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    pub notices: Notices,
    pub pauses: PauseStore,
    pub now: fn() -> Timestamp,
    guests: Guests,
    policies: Arc<Policies>,
    tag_root: SecretString,
    cache: Arc<ObjectCache>,
    memories: Arc<Memories>,
    pub turns: Arc<Turns>,
    repositories: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>,
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Opens the log alone, for a command that needs no more.
///
/// # Errors
/// A log that cannot be opened or reached.
pub async fn open_log(queue: &QueueConfig, database: Database) -> Result<Arc<dyn EventLog>, StartError> {
    Ok(Kept::open(queue, database).await?.log)
}

/// Log and state, wherever they are.
struct Kept {
    log: Arc<dyn EventLog>,
    state: Arc<dyn StateStore>,
    jetstream: Option<JetStreamLog>,
}

impl Kept {
    async fn open(queue: &QueueConfig, database: Database) -> Result<Self, StartError> {
        let own = EmbeddedState::new(database.clone());
        match queue {
            QueueConfig::Embedded => Ok(Self {
                log: Arc::new(EmbeddedLog::open(database).await?),
                state: Arc::new(own),
                jetstream: None,
            }),
            QueueConfig::JetStream(config) => {
                let nats = Nats::connect(config).await?;
                let log = JetStreamLog::open(nats.clone(), config).await?;
                Ok(Self {
                    log: Arc::new(log.clone()),
                    state: Arc::new(SharedState::new(own, nats, &config.prefix)),
                    jetstream: Some(log),
                })
            }
        }
    }
}

/// The prepared guests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Guests {
    /// Where they come from, and where customers' policies do.
    pub sandbox: Sandbox,
    pub layout: LayoutRenderer,
    pub redaction: RedactionPolicy,
    pub filter: SampleFilter,
}

impl Guests {
    /// Prepares the built-in guests.
    ///
    /// # Errors
    /// A sandbox that cannot start.
    pub fn prepare(config: SandboxConfig) -> Result<Self, SandboxError> {
        let sandbox = Sandbox::new(config)?;
        Ok(Self {
            layout: sandbox.layout_renderer()?,
            redaction: sandbox.secret_redaction()?,
            filter: sandbox.sample_filter("{}")?,
            sandbox,
        })
    }
}

/// A mirror that is ready to make lanes.
pub struct Mirror {
    pub spec: Arc<MirrorSpec>,
    pub source: Arc<Source>,
    token: SecretString,
    remote: Arc<dyn Remote>,
    git: Arc<Store>,
    signing: Option<Arc<SigningKey>>,
    turn: Arc<Mutex<()>>,
    seen: Arc<std::sync::Mutex<KnownSecrets>>,
    pub visibility: Arc<VisibilityWatch>,
    /// All that judge, in their order.
    policies: Vec<Policy>,
    pub notices: Arc<MirrorNotices>,
    /// Who inherits the default branch's tables.
    pub heirs: Arc<Heirs>,
}

impl Mirror {
    /// Returns the repository, and the local store beside it.
    pub(crate) fn repository(&self) -> (Arc<dyn Remote>, Arc<Store>) {
        (Arc::clone(&self.remote), Arc::clone(&self.git))
    }

    /// Who changes a ref of the repository waits for it.
    pub(crate) fn turn(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.turn)
    }

    /// Returns whether events of a topic are for a lane of this mirror, open or not.
    #[must_use]
    pub fn wants(&self, topic: &Topic) -> bool {
        self.spec.dev_branches.enabled && topic.stack == self.spec.stack && topic.project == self.spec.project
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// Returns what time it is: the one clock of the product.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the edge where time comes from")]
pub fn wall_clock() -> Timestamp {
    Timestamp::now()
}

impl System {
    /// Opens the data directory and prepares the guests.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let data_dir = config.data_dir.clone();
        std::fs::create_dir_all(&data_dir).map_err(|source| StartError::DataDir {
            path: data_dir.clone(),
            source,
        })?;
        let secret = config.tag_root.read().map_err(StartError::TagRoot)?;
        if secret.expose_secret().len() < TAG_ROOT_BYTES_MIN {
            return Err(StartError::TagRootWeak);
        }
        let database = tokio::task::spawn_blocking({
            let data_dir = data_dir.clone();
            move || Database::open(&data_dir, DatabaseOptions::default())
        });
        let database = database.await??;
        let metrics: Arc<Metrics> = Arc::default();
        let notices = Notices::new(NoticeStore::new(database.clone()), Arc::clone(&metrics));
        let pauses = PauseStore::new(database.clone());
        let Kept {
            log,
            state,
            jetstream,
        } = Kept::open(&config.queue, database).await?;
        let tag_root_id =
            data_encoding::HEXLOWER.encode(&derived_key(&secret, b"kbc-mirror tag root id")[..8]);
        if state.meta_once("tag-root-id", &tag_root_id).await? != tag_root_id {
            return Err(StartError::TagRootChanged);
        }
        let cache_key = derived_key(&secret, b"kbc-mirror compiled guests");
        let sandbox = SandboxConfig {
            cache_dir: Some(data_dir.join("guests")),
            cache_key,
            limits: guest_limits(config.sandbox),
            policy_limits: config.policies.limits.clone(),
            compiler: policies::compiler(config.policies.compile).map_err(StartError::Compiler)?,
        };
        let guests = tokio::task::spawn_blocking(move || Guests::prepare(sandbox));
        let guests = guests.await??;
        let policies = Policies::new(
            guests.sandbox.clone(),
            config.policies.clone(),
            metrics.policies.clone(),
        );
        let sync = config.sync;
        Ok(Self {
            cache: ObjectCache::new(sync.cache_bytes_max),
            memories: Arc::new(Memories::new(sync.remembered_bytes_max)),
            turns: Arc::new(Turns::new(sync.attempts_max, sync.rebuilds_max)),
            config,
            log,
            state,
            jetstream,
            lease: Lease::default(),
            metrics,
            status: Arc::default(),
            notices,
            pauses,
            now: wall_clock,
            guests,
            policies: Arc::new(policies),
            tag_root: secret,
            repositories: Mutex::default(),
        })
    }

    /// Opens one mirror: its client, its repository, its local store.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn mirror(&self, spec: &MirrorSpec) -> Result<Mirror, StartError> {
        let id = || spec.id.clone();
        let token = spec
            .token
            .read()
            .map_err(|source| StartError::Token { mirror: id(), source })?;
        let client = client(&self.config.keboola, &spec.stack_url, token.clone())
            .map_err(|source| StartError::Client { mirror: id(), source })?;
        let remote = crate::repository::open(spec, &self.config.git)?;
        let signing = crate::repository::signing_key(spec)?;
        let directory = self.config.data_dir.join("git").join(file_name(spec.id.as_str()));
        let git =
            Store::open_or_create(&directory).map_err(|source| StartError::Store { mirror: id(), source })?;
        let identity = spec.repository.identity();
        let turn = Arc::clone(self.repositories.lock().await.entry(identity).or_default());
        let visibility = VisibilityWatch::new(spec, &self.config.visibility, &self.config.git)?;
        let policies = self.policies(spec).await?;
        let spec = Arc::new(spec.clone());
        Ok(Mirror {
            visibility,
            policies,
            notices: self.notices.of(&spec),
            heirs: Arc::default(),
            spec: Arc::clone(&spec),
            source: Arc::new(Source::new(
                client,
                Duration::from_millis(self.config.keboola.visible_within_ms),
                self.cache.of(spec.id.clone()),
            )),
            token,
            remote,
            git: Arc::new(git),
            signing: signing.map(Arc::new),
            seen: Arc::default(),
            turn,
        })
    }

    /// Prepares what judges a mirror's content: the built-in policy, then the customer's.
    async fn policies(&self, spec: &MirrorSpec) -> Result<Vec<Policy>, StartError> {
        let mut all = vec![self.policies.builtin(self.guests.redaction.clone())];
        for policy in &spec.policies {
            let (policies, mirror, wanted) = (Arc::clone(&self.policies), spec.id.clone(), policy.clone());
            let prepared =
                tokio::task::spawn_blocking(move || policies.prepare(mirror.as_str(), &wanted)).await?;
            all.push(prepared.map_err(|source| StartError::Policy {
                mirror: spec.id.clone(),
                policy: policy.name.clone(),
                source,
            })?);
        }
        Ok(all)
    }

    /// Prepares what delivers notices.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn courier(&self) -> Result<Courier, StartError> {
        let (metrics, status) = (Arc::clone(&self.metrics), Arc::clone(&self.status));
        Ok(Courier::new(
            &self.config,
            self.notices.clone(),
            metrics,
            status,
            self.now,
        )?)
    }

    /// Checks that the mirror's token is of the mirror's project.
    ///
    /// # Errors
    /// A token that is not accepted, or of another project.
    pub async fn verify(&self, mirror: &Mirror) -> Result<(), StartError> {
        let id = || mirror.spec.id.clone();
        let token = mirror.source.client().verify_token().await;
        let token = token.map_err(|source| StartError::Keboola { mirror: id(), source })?;
        if token.project_id != mirror.spec.project {
            return Err(StartError::WrongProject {
                mirror: id(),
                found: token.project_id.to_string(),
                expected: mirror.spec.project.to_string(),
            });
        }
        if !token.is_master {
            tracing::warn!(mirror = %mirror.spec.id, "the token is no master token; some objects may not be visible to it");
        }
        Ok(())
    }

    /// Puts the lane of one branch together.
    ///
    /// # Errors
    /// A branch name that cannot be a ref.
    pub async fn lane(
        &self,
        mirror: &Mirror,
        branch: DevBranch,
        default: &BranchId,
    ) -> Result<Lane, StartError> {
        let spec = &mirror.spec;
        let id = LaneId {
            mirror: spec.id.clone(),
            branch: branch.id.clone(),
        };
        let wrong = |branch: &str| StartError::Ref {
            mirror: spec.id.clone(),
            branch: branch.to_owned(),
        };
        let default_ref = RefName::branch(&spec.branch).map_err(|_| wrong(&spec.branch))?;
        let visibility = mirror.visibility.current().await;
        let exports = Exports::of(spec, visibility);
        let directory = self.branch_directory(mirror, &id, &branch).await?;
        let transformer = Arc::new(self.transformer(mirror, exports, &branch.id, default, &directory));
        let name = if branch.is_default {
            spec.branch.clone()
        } else {
            self.branch_name(mirror, &id, &branch, Arc::clone(&transformer))
                .await?
        };
        let refname = RefName::branch(&name).map_err(|_| wrong(&name))?;
        transformer
            .layout
            .check_settings(&transformer.context, &transformer.settings)?;
        let render = render_digest(&transformer, spec, exports);
        let base = (!branch.is_default).then(|| Base {
            refname: default_ref,
            transformer: Arc::new(self.transformer(mirror, exports, default, default, MAIN)),
        });
        mirror.notices.name(&branch.id, &name);
        Ok(Lane {
            notices: Arc::clone(&mirror.notices),
            topic: Topic {
                stack: spec.stack.clone(),
                project: spec.project.clone(),
                branch: branch.id.clone(),
            },
            id,
            spec: Arc::clone(spec),
            base,
            heirs: Arc::clone(&mirror.heirs),
            filed: Arc::default(),
            memories: Arc::clone(&self.memories),
            turns: Arc::clone(&self.turns),
            refused: Arc::default(),
            signing: mirror.signing.clone(),
            default_branch: default.clone(),
            exports,
            visibility: Arc::clone(&mirror.visibility),
            branch,
            refname,
            render,
            source: Arc::clone(&mirror.source),
            transformer,
            memory_bytes_max: self.config.sync.rendering_bytes_max(),
            spool: SpoolLimits {
                held_bytes_max: self.config.sync.waiting_bytes_max(),
                file_bytes_max: self.config.sync.spool_bytes_max,
                directory: self.config.data_dir.clone(),
            },
            git: Arc::clone(&mirror.git),
            remote: Arc::clone(&mirror.remote),
            turn: Arc::clone(&mirror.turn),
            log: Arc::clone(&self.log),
            state: Arc::clone(&self.state),
            lease: self.lease.clone(),
            now: self.now,
            window: Duration::from_millis(self.config.window.span_ms),
        })
    }

    /// The Git branch of a dev branch is named once and keeps its name over renames.
    async fn branch_name(
        &self,
        mirror: &Mirror,
        id: &LaneId,
        branch: &DevBranch,
        transformer: Arc<Transformer>,
    ) -> Result<String, StartError> {
        let spec = &mirror.spec;
        let slug = slug(branch, transformer).await?;
        let slug = slug.as_deref().unwrap_or("branch");
        let name = spec
            .dev_branches
            .git_branch
            .replace("{name}", slug)
            .replace("{id}", branch.id.as_str());
        let wished = RefName::branch(&name).map_err(|_| StartError::Ref {
            mirror: spec.id.clone(),
            branch: name.clone(),
        })?;
        // The store may have been lost since it was named; the repository knows.
        let name = branches::existing(mirror, id, &wished).await?.unwrap_or(name);
        Ok(self.state.meta_once(&format!("git-branch {id}"), &name).await?)
    }

    /// So is its directory, where it has one of its own.
    async fn branch_directory(
        &self,
        mirror: &Mirror,
        id: &LaneId,
        branch: &DevBranch,
    ) -> Result<String, StartError> {
        if branch.is_default || mirror.spec.dev_branches.directory == BranchDirectory::Main {
            return Ok(MAIN.to_owned());
        }
        let exports = Exports::of(&mirror.spec, mirror.visibility.current().await);
        let judge = Arc::new(self.transformer(mirror, exports, &branch.id, &branch.id, MAIN));
        let directory = match slug(branch, judge).await? {
            // As the CLI does: that is the default branch's.
            Some(name) if name == MAIN => format!("{MAIN}-001"),
            Some(name) => name,
            None => branch.id.to_string(),
        };
        let name = format!("branch-directory {id}");
        Ok(self.state.meta_once(&name, &directory).await?)
    }

    fn transformer(
        &self,
        mirror: &Mirror,
        exports: Exports,
        branch: &BranchId,
        default: &BranchId,
        directory: &str,
    ) -> Transformer {
        let spec = &mirror.spec;
        let mut own_secrets = KnownSecrets::default();
        own_secrets.add_credential(mirror.token.expose_secret());
        own_secrets.add_credential(self.tag_root.expose_secret());
        // One that cannot be read was told when the listener was set up.
        for token in self
            .config
            .http
            .ingest
            .iter()
            .filter_map(|ingest| ingest.token.read().ok())
        {
            own_secrets.add_credential(token.expose_secret());
        }
        if let QueueConfig::JetStream(config) = &self.config.queue {
            for secret in nats::connect::secrets(&config.auth) {
                own_secrets.add_credential(secret.expose_secret());
            }
        }
        Transformer {
            layout: self.guests.layout.clone(),
            policies: mirror.policies.clone(),
            filter: self.guests.filter.clone(),
            redaction: Redaction::new(
                secrets_mode(exports.secrets),
                TagKey::derive(
                    self.tag_root.expose_secret().as_bytes(),
                    &spec.stack,
                    &spec.project,
                ),
            ),
            own_secrets,
            seen: Arc::clone(&mirror.seen),
            guard: std::sync::Mutex::default(),
            names: std::sync::Mutex::default(),
            owned: OwnedPaths::new(spec.prefix.clone()),
            context: Context {
                stack: spec.stack.clone(),
                project: spec.project.clone(),
                branch: branch.clone(),
            },
            sample_limits: spec.sample_limits,
            settings: lane_settings(spec, exports, branch, default, directory),
        }
    }
}

/// Returns what of a branch's name can stand in a name of ours; none where nothing can.
async fn slug(branch: &DevBranch, judge: Arc<Transformer>) -> Result<Option<String>, StartError> {
    let raw = branch.name.clone();
    let may_be_shown = tokio::task::spawn_blocking(move || judge.judge_name(&raw)).await??;
    // Words of plain letters, digits and dashes; a ref's segment is a file's name somewhere.
    let mut slug = mirror_core::placement::normalize_name(&branch.name);
    slug.truncate(slug.floor_char_boundary(BRANCH_SLUG_BYTES_MAX));
    let slug = slug.trim_end_matches('-');
    Ok((may_be_shown && !slug.is_empty()).then(|| slug.to_owned()))
}

/// Returns the limits of the built-in guests.
#[must_use]
pub fn guest_limits(configured: SandboxLimits) -> Limits {
    let SandboxLimits {
        memory_bytes_max,
        deadline_ms,
    } = configured;
    Limits {
        memory_bytes_max,
        deadline_ms,
        ..Limits::default()
    }
}

/// Makes a client with the configured limits.
///
/// # Errors
/// Settings that cannot work.
pub fn client(config: &KeboolaConfig, url: &str, token: SecretString) -> Result<KeboolaClient, KeboolaError> {
    let KeboolaConfig {
        connect_timeout_ms,
        read_timeout_ms,
        total_timeout_ms,
        retries_max,
        response_bytes_max,
        parallel_max,
        visible_within_ms: _,
    } = *config;
    KeboolaClient::new(ClientConfig {
        connect_timeout_ms,
        read_timeout_ms,
        total_timeout_ms,
        retries_max,
        response_bytes_max: usize::try_from(response_bytes_max).unwrap_or(usize::MAX),
        parallel_max,
        jitter_seed: u64::from(std::process::id()),
        ..ClientConfig::new(url, token)
    })
}

/// Returns the render options of a lane: one branch, in one directory of `configs/`.
fn lane_settings(
    spec: &MirrorSpec,
    exports: Exports,
    branch: &BranchId,
    default: &BranchId,
    directory: &str,
) -> String {
    let number = |id: &str| {
        id.parse::<u64>()
            .map_or_else(|_| json!(id), |number| json!(number))
    };
    json!({
        "project": { "id": number(spec.project.as_str()), "apiHost": spec.stack.as_str() },
        "allowedBranches": [branch.as_str()],
        "defaultBranchId": number(default.as_str()),
        "branchPath": directory,
        "tree": "lane",
        "secretsMode": exports.secrets.as_str(),
        "jobs": spec.jobs.map(|jobs| jobs.render_options()),
    })
    .to_string()
}

/// Everything but the project that decides what a lane's files look like and where they stand.
fn render_digest(transformer: &Transformer, spec: &MirrorSpec, exports: Exports) -> RenderDigest {
    let policies: Vec<(String, String)> = transformer
        .policies
        .iter()
        .map(|policy| policy.identity().clone())
        .chain([(transformer.filter.digest().to_owned(), "{}".to_owned())])
        .collect();
    let options = json!({
        "layout": transformer.settings,
        "prefix": spec.prefix.as_ref().map(MirrorPath::as_str),
        "samples": exports.samples.then(|| sample_options(spec.sample_limits)),
        "jobs": spec.jobs.is_some(),
    });
    RenderDigest::of(&RenderInputs {
        format_version: FORMAT_VERSION,
        renderer: transformer.layout.digest(),
        policies: &policies,
        secrets_mode: exports.secrets.as_str(),
        options: &options.to_string(),
        tag_key_id: &transformer.redaction.tag_key.key_id(),
    })
}

fn sample_options(limits: SampleLimits) -> serde_json::Value {
    let SampleLimits {
        rows_max,
        cell_bytes_max,
        row_bytes_max,
        file_bytes_max,
        tables_max,
    } = limits;
    json!([
        rows_max,
        cell_bytes_max,
        row_bytes_max,
        file_bytes_max,
        tables_max
    ])
}

/// Returns the core's mode for the configured choice.
#[must_use]
pub fn secrets_mode(choice: SecretsChoice) -> SecretsMode {
    match choice {
        SecretsChoice::Encrypted => SecretsMode::Encrypted,
        SecretsChoice::Masked => SecretsMode::Masked,
        SecretsChoice::Omitted => SecretsMode::Omitted,
    }
}

/// Derives a key from the tag root, so that a deployment keeps one secret only.
fn derived_key(root: &SecretString, purpose: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(root.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

/// Returns a file name for an id: itself if that is safe, else its hexadecimal form.
fn file_name(id: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if id.bytes().all(safe) && id.len() <= 100 {
        return id.to_owned();
    }
    format!(
        "x-{}",
        data_encoding::HEXLOWER.encode(
            &sha2::Digest::finalize(sha2::Digest::chain_update(<Sha256 as sha2::Digest>::new(), id))[..16]
        )
    )
}

/// Returns whether a directory exists and holds something.
#[must_use]
pub fn is_used(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}
