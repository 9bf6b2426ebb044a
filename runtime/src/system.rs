//! Opening everything that the configuration names, and putting lanes together from it.
//!
//! The only place that knows which implementation stands behind a trait.

mod error;
mod lane;

use crate::{
    config::{
        Config, GitConfig, KeboolaConfig, MirrorSpec, QueueConfig, SandboxLimits, SecretsChoice,
        TAG_ROOT_BYTES_MIN,
    },
    database::{self, Database, DatabaseError, DatabaseOptions},
    metrics::Metrics,
    nats::{self, Nats},
    notify::{MirrorNotices, Notices, courier::Courier},
    pipeline::{
        attempt::Heirs, cache::ObjectCache, fetch::Source, memories::Memories, rendering::Renderings,
        stages::Stages, transform::OwnSecrets,
    },
    policies::{self, Policies, Policy, Shadow},
    queue::{EventLog, embedded::EmbeddedLog, jetstream::JetStreamLog},
    repository::Renewable,
    rotation::{Rotation, Used},
    state::{
        StateStore, embedded::EmbeddedState, notices::NoticeStore, pauses::PauseStore, shared::SharedState,
    },
    status::Status,
    turns::Turns,
    visibility::VisibilityWatch,
    workers::Lease,
};
pub use error::StartError;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use mirror_core::{
    guard::KnownSecrets,
    ids::{MirrorId, Topic},
    redaction::SecretsMode,
};
use mirror_git::{Remote, SigningKey, Store};
use mirror_keboola::{ClientConfig, KeboolaClient, KeboolaError};
use mirror_sandbox::{
    GuestWords, LayoutRenderer, Limits, RedactionPolicy, SampleFilter, Sandbox, SandboxConfig, SandboxError,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Directory in the data directory of what was compiled.
pub const GUESTS: &str = "guests";

/// Everything that lives as long as the process.
pub struct System {
    pub config: Config,
    pub log: Arc<dyn EventLog>,
    pub state: Arc<dyn StateStore>,
    /// Of this process alone; the log is in it where it is not over NATS.
    database: Database,
    /// The log once more, where it is over NATS.
    pub jetstream: Option<JetStreamLog>,
    /// Whether this process may push; held for ever where it is the only one.
    pub lease: Lease,
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    pub notices: Notices,
    pub pauses: PauseStore,
    pub now: fn() -> Timestamp,
    /// Where the time of attempts goes; nothing is measured unless somebody puts another one here, before lanes are made.
    pub stages: Arc<Stages>,
    guests: Guests,
    policies: Arc<Policies>,
    tag_root: SecretString,
    own_secrets: std::sync::Mutex<BTreeMap<MirrorId, Arc<OwnSecrets>>>,
    cache: Arc<ObjectCache>,
    memories: Arc<Memories>,
    renderings: Renderings,
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

/// Opens the log, and what is paused, for a command that needs no more.
///
/// # Errors
/// A log that cannot be opened or reached.
pub async fn open_log(
    queue: &QueueConfig,
    database: Database,
) -> Result<(Arc<dyn EventLog>, PauseStore), StartError> {
    let Kept { log, pauses, .. } = Kept::open(queue, database).await?;
    Ok((log, pauses))
}

/// Log and state, wherever they are.
struct Kept {
    log: Arc<dyn EventLog>,
    state: Arc<dyn StateStore>,
    jetstream: Option<JetStreamLog>,
    pauses: PauseStore,
}

impl Kept {
    async fn open(queue: &QueueConfig, database: Database) -> Result<Self, StartError> {
        let own = EmbeddedState::new(database.clone());
        match queue {
            QueueConfig::Embedded => Ok(Self {
                pauses: PauseStore::new(database.clone()),
                log: Arc::new(EmbeddedLog::open(database).await?),
                state: Arc::new(own),
                jetstream: None,
            }),
            QueueConfig::JetStream(config) => {
                let nats = Nats::connect(config).await?;
                let log = JetStreamLog::open(nats.clone(), config).await?;
                Ok(Self {
                    pauses: PauseStore::shared(nats.clone(), &config.prefix),
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
    remote: Arc<dyn Remote>,
    own_secrets: Arc<OwnSecrets>,
    /// Takes renewed credentials into use.
    pub rotation: Arc<Rotation>,
    git: Arc<Store>,
    signing: Option<Arc<SigningKey>>,
    turn: Arc<Mutex<()>>,
    seen: Arc<std::sync::Mutex<KnownSecrets>>,
    pub visibility: Arc<VisibilityWatch>,
    /// All that judge, in their order.
    policies: Vec<Policy>,
    /// Those that only watch.
    shadows: Vec<Shadow>,
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

/// What a mirror has on this machine.
struct Places {
    token: SecretString,
    remote: Arc<dyn Remote>,
    renewable: Option<Renewable>,
    signing: Option<SigningKey>,
    git: Store,
}

impl Places {
    fn open(spec: &MirrorSpec, config: &GitConfig, directory: &Path) -> Result<Self, StartError> {
        let id = || spec.id.clone();
        let token = spec.token.read();
        let git = |source| StartError::Store { mirror: id(), source };
        let (remote, renewable) = crate::repository::open_renewable(spec, config)?;
        Ok(Self {
            token: token.map_err(|source| StartError::Token { mirror: id(), source })?,
            remote,
            renewable,
            signing: crate::repository::signing_key(spec)?,
            git: Store::open_or_create(directory).map_err(git)?,
        })
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
        database::make_directory(&data_dir).map_err(|source| StartError::DataDir {
            path: data_dir.clone(),
            source,
        })?;
        let ingest = config.http.ingest.iter().map(|one| &one.token);
        let tokens = config.mirrors.iter().map(|spec| &spec.token);
        for reference in ingest.chain(tokens).chain([&config.tag_root]) {
            if let Some(loose) = reference.writable_by_others() {
                tracing::warn!("{loose}");
            }
        }
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
        let Kept {
            log,
            state,
            jetstream,
            pauses,
        } = Kept::open(&config.queue, database.clone()).await?;
        let notices = match (&config.queue, &jetstream) {
            (QueueConfig::JetStream(queue), Some(log)) => {
                NoticeStore::shared(database.clone(), log.nats().clone(), &queue.prefix).await?
            }
            _ => NoticeStore::new(database.clone()),
        };
        let notices = Notices::new(notices, Arc::clone(&metrics));
        let tag_root_id =
            data_encoding::HEXLOWER.encode(&derived_key(&secret, b"kbc-mirror tag root id")[..8]);
        if state.meta_once("tag-root-id", &tag_root_id).await? != tag_root_id {
            return Err(StartError::TagRootChanged);
        }
        let cache_key = derived_key(&secret, b"kbc-mirror compiled guests");
        let sandbox = SandboxConfig {
            cache_dir: Some(data_dir.join(GUESTS)),
            cache_key,
            limits: guest_limits(config.sandbox),
            policy_limits: config.policies.limits.clone(),
            compiler: policies::compiler(config.policies.compile).map_err(StartError::Compiler)?,
            guest_words: GuestWords::Hidden,
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
            renderings: Renderings::default(),
            memories: Arc::new(Memories::new(sync.remembered_bytes_max)),
            turns: Arc::new(Turns::new(sync.attempts_max, sync.rebuilds_max)),
            config,
            log,
            state,
            database,
            jetstream,
            lease: Lease::default(),
            metrics,
            status: Arc::default(),
            notices,
            pauses,
            now: wall_clock,
            stages: Arc::default(),
            guests,
            policies: Arc::new(policies),
            tag_root: secret,
            own_secrets: std::sync::Mutex::default(),
            repositories: Mutex::default(),
        })
    }

    /// Returns why the database in the data directory cannot be written in this process, while only a new one can mend it.
    #[must_use]
    pub fn database_over(&self) -> Option<DatabaseError> {
        self.database.check().err()
    }

    /// Returns what to say of one of our own guests that does not come to an end ([`Sandbox::overdue`]).
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<SandboxError> {
        self.guests.sandbox.overdue(now)
    }

    /// Opens one mirror: its client, its repository, its local store.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn mirror(&self, spec: &MirrorSpec) -> Result<Mirror, StartError> {
        let id = || spec.id.clone();
        let directory = self.config.data_dir.join("git").join(file_name(spec.id.as_str()));
        let (wanted, config) = (spec.clone(), self.config.git.clone());
        // A file system that does not answer holds up nobody else.
        let places = tokio::task::spawn_blocking(move || Places::open(&wanted, &config, &directory));
        let Places {
            token,
            remote,
            renewable,
            signing,
            git,
        } = places.await??;
        let client = client(&self.config.keboola, &spec.stack_url, token.clone())
            .map_err(|source| StartError::Client { mirror: id(), source })?;
        let identity = spec.repository.identity();
        let turn = Arc::clone(self.repositories.lock().await.entry(identity).or_default());
        let visibility = VisibilityWatch::new(spec, &self.config.visibility, &self.config.git)?;
        let (policies, shadows) = self.policies(spec).await?;
        let spec = Arc::new(spec.clone());
        let secret = renewable.as_ref().and_then(Renewable::secret);
        let own_secrets = self.own_secrets(&spec.id, [Some(&token), secret].into_iter().flatten());
        let rotation = Rotation::new(Used {
            spec: &spec,
            token,
            client: client.clone(),
            keboola: self.config.keboola.clone(),
            repository: renewable,
            own_secrets: Arc::clone(&own_secrets),
            metrics: Arc::clone(&self.metrics),
            status: Arc::clone(&self.status),
            now: self.now,
        });
        Ok(Mirror {
            own_secrets,
            rotation: Arc::new(rotation),
            visibility,
            policies,
            shadows,
            notices: self.notices.of(&spec),
            heirs: Arc::default(),
            spec: Arc::clone(&spec),
            source: Arc::new(Source::new(
                client,
                Duration::from_millis(self.config.keboola.visible_within_ms),
                self.cache.of(spec.id.clone()),
            )),
            remote,
            git: Arc::new(git),
            signing: signing.map(Arc::new),
            seen: Arc::default(),
            turn,
        })
    }

    /// Returns what must not leave: a mirror's secrets, also those that it had when this process worked for it before, and
    /// those that all share.
    fn own_secrets<'s>(
        &self,
        mirror: &MirrorId,
        of_mirror: impl Iterator<Item = &'s SecretString>,
    ) -> Arc<OwnSecrets> {
        let mut all = self.own_secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(mirror) {
            of_mirror.for_each(|secret| known.learn(secret));
            return Arc::clone(known);
        }
        let mut own_secrets = KnownSecrets::default();
        for secret in of_mirror {
            own_secrets.add_credential(secret.expose_secret());
        }
        own_secrets.add_credential(self.tag_root.expose_secret());
        for secret in shared_secrets(&self.config) {
            own_secrets.add_credential(secret.expose_secret());
        }
        let own_secrets = Arc::new(OwnSecrets::new(own_secrets));
        all.insert(mirror.clone(), Arc::clone(&own_secrets));
        own_secrets
    }

    /// Prepares what judges a mirror's content: the built-in policy, then the customer's; and what only watches.
    async fn policies(&self, spec: &MirrorSpec) -> Result<(Vec<Policy>, Vec<Shadow>), StartError> {
        let mut all = vec![self.policies.builtin(self.guests.redaction.clone())];
        let mut shadows = Vec::new();
        for policy in &spec.policies {
            let (policies, mirror, wanted) = (Arc::clone(&self.policies), spec.id.clone(), policy.clone());
            if policy.shadow {
                let (after, metrics) = (all.len(), self.metrics.shadow_policies.clone());
                let now = (self.now)();
                let prepare = move || policies.shadow(&mirror, &wanted, after, &metrics, now);
                let shadow = tokio::task::spawn_blocking(prepare).await?;
                self.status.set_shadow(shadow.report());
                shadows.push(shadow);
                continue;
            }
            let prepared =
                tokio::task::spawn_blocking(move || policies.prepare(mirror.as_str(), &wanted)).await?;
            all.push(prepared.map_err(|source| StartError::Policy {
                mirror: spec.id.clone(),
                policy: policy.name.clone(),
                source: Box::new(source),
            })?);
        }
        Ok((all, shadows))
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
        ..Limits::builtin()
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

/// Returns the secrets of an installation that no mirror of it may show, but its tag root. One that cannot be read is told
/// where it is used.
pub(crate) fn shared_secrets(config: &Config) -> Vec<SecretString> {
    let ingest = config.http.ingest.iter();
    let mut secrets: Vec<SecretString> = ingest.filter_map(|ingest| ingest.token.read().ok()).collect();
    if let QueueConfig::JetStream(config) = &config.queue {
        secrets.extend(nats::connect::secrets(&config.auth));
    }
    secrets
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
