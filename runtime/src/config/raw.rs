//! The file as it is written: what serde sees, and the step from there to checked values.

mod feeders;
mod git;
mod http;
mod jobs;
mod mirror;
mod notify;
mod policies;
mod queue;
mod reconcile;
mod samples;

use super::{
    ConfigError, KeboolaConfig, LogConfig, MirrorSpec, SandboxLimits, SyncConfig, WindowConfig, reference,
    refs::unique, value,
};
use crate::notify::channel::Target;
use git::{Git, Visibility};
use http::Http;
pub use jobs::{JobsCadence, JobsLayout, JobsLog};
use mirror::Mirror;
pub use mirror::{BranchDirectory, DeletedBranches, SecretsChoice};
use notify::Notify;
use policies::Policies;
use queue::Queue;
use reconcile::Reconcile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// When a window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowMode {
    /// A little before the span is over, so that the push lands within it.
    Early,
    /// Exactly at the end of the span.
    Fixed,
    /// After two seconds of gathering; then not again before the span is over.
    Eager,
}

/// Configuration of kbc-mirror. Credentials stand in it only as references: `env:NAME`, `file:PATH` or `cred:NAME` (of
/// systemd). Relative paths start at the directory of the file.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Directory of the log, the state, compiled guests and Git stores; of one process at a time.
    data_dir: PathBuf,
    /// Reference to the secret that the tags of markers derive from, of at least 32 bytes. It must never change or be lost: all tags would.
    tag_root: String,
    /// When changes become a commit.
    #[serde(default)]
    window: Window,
    /// The listener: health, metrics, ingest and status.
    #[serde(default)]
    http: Http,
    /// How long the log keeps what nobody waits for any more.
    #[serde(default)]
    log: Log,
    /// Where the event log is.
    #[serde(default)]
    queue: Queue,
    /// How the Storage and Queue API are called.
    #[serde(default)]
    keboola: Keboola,
    /// Limits of the built-in guests.
    #[serde(default)]
    sandbox: Sandbox,
    /// What each customer's policy may use.
    #[serde(default)]
    policies: Policies,
    /// What attempts may hold at a time, and how many there may be.
    #[serde(default)]
    sync: Sync,
    /// How repositories behind a server are talked to.
    #[serde(default)]
    git: Git,
    /// How it is found out who may read a repository.
    #[serde(default)]
    visibility: Visibility,
    /// How often branches are compared with their sources.
    #[serde(default)]
    reconcile: Reconcile,
    /// The operator's mail server, and how long notices are tried and kept.
    #[serde(default)]
    notify: Notify,
    /// Milliseconds that running attempts may go on after a stop was asked for.
    #[serde(default = "grace_ms")]
    grace_ms: u64,
    /// The mirrors: a project and a repository each.
    #[serde(default, rename = "mirror")]
    mirrors: Vec<Mirror>,
}

fn grace_ms() -> u64 {
    60_000
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Window {
    /// When a window closes.
    mode: WindowMode,
    /// Milliseconds from the first change of a window to its commit on the remote, 1000 to 600000.
    span_ms: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            mode: WindowMode::Early,
            span_ms: 30_000,
        }
    }
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    /// Days that events stay which the remote has, 1 to 3650.
    history_days: u32,
    /// Days that a repeated event is known to be one, 1 to 3650; after that it costs a look and changes nothing.
    dedupe_days: u32,
    /// Events of projects that no mirror has: past so many, the oldest go early.
    unmirrored_events_max: u64,
    /// Days that dead letters stay, 1 to 3650.
    dead_letter_days: u32,
    /// Dead letters that stay at most; at least 1.
    dead_letters_max: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            history_days: 7,
            dedupe_days: 30,
            unmirrored_events_max: 100_000,
            dead_letter_days: 90,
            dead_letters_max: 10_000,
        }
    }
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Keboola {
    /// Milliseconds for a connection, 100 to 3600000.
    connect_timeout_ms: u64,
    /// Milliseconds between two pieces of an answer, 100 to 3600000.
    read_timeout_ms: u64,
    /// Milliseconds of one call with all its retries, 100 to 3600000.
    total_timeout_ms: u64,
    /// Retries of one call.
    retries_max: u32,
    /// Bytes of one answer; at least 1 MiB.
    response_bytes_max: u64,
    /// Calls of one mirror at a time, 1 to 1000.
    parallel_max: usize,
    /// Milliseconds that an event may be ahead of what the API shows; after that it is a dead letter.
    visible_within_ms: u64,
}

impl Default for Keboola {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            read_timeout_ms: 60_000,
            total_timeout_ms: 300_000,
            retries_max: 5,
            response_bytes_max: 512 << 20,
            parallel_max: 8,
            visible_within_ms: 120_000,
        }
    }
}

impl Keboola {
    fn check(&self) -> Result<(), ConfigError> {
        if !(1..=1_000).contains(&self.parallel_max) {
            return Err(value("keboola.parallel_max", "must be between 1 and 1000"));
        }
        for (key, ms) in [
            ("keboola.connect_timeout_ms", self.connect_timeout_ms),
            ("keboola.read_timeout_ms", self.read_timeout_ms),
            ("keboola.total_timeout_ms", self.total_timeout_ms),
        ] {
            if !(100..=3_600_000).contains(&ms) {
                return Err(value(key, "must be between 100 and 3600000"));
            }
        }
        if self.response_bytes_max < 1 << 20 {
            return Err(value(
                "keboola.response_bytes_max",
                "must be at least 1048576 (1 MiB)",
            ));
        }
        Ok(())
    }
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Sandbox {
    /// Bytes of memory of one instance of a built-in guest; at least 1 MiB.
    memory_bytes_max: usize,
    /// Milliseconds after which a call of a built-in guest is told as stuck, and `/livez` fails; at least 100.
    deadline_ms: u64,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            deadline_ms: 30_000,
        }
    }
}

impl Sandbox {
    fn check(&self) -> Result<(), ConfigError> {
        if self.memory_bytes_max < 1 << 20 {
            return Err(value(
                "sandbox.memory_bytes_max",
                "must be at least 1048576 (1 MiB)",
            ));
        }
        if self.deadline_ms < 100 {
            return Err(value("sandbox.deadline_ms", "must be at least 100"));
        }
        Ok(())
    }
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Sync {
    /// Bytes of buffers of each project that is read as a whole; at least 16 MiB.
    memory_bytes_max: usize,
    /// Bytes on disk, in `data_dir`, encrypted, for objects that wait to be rendered and do not fit into memory.
    spool_bytes_max: u64,
    /// Bytes of fetched versions, of all mirrors together.
    cache_bytes_max: usize,
    /// Bytes of what all branches remember between attempts; the rest is read back from `data_dir`.
    remembered_bytes_max: usize,
    /// Projects that are read as a whole at a time; at least 1.
    rebuilds_max: usize,
    /// Attempts that take up changes at a time; at least 1.
    attempts_max: usize,
    /// Deaths of the process over the same changes that are taken for chance, 1 to 100; after that the one object is looked for.
    deaths_max: u32,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            spool_bytes_max: 4 << 30,
            cache_bytes_max: 64 << 20,
            remembered_bytes_max: 512 << 20,
            rebuilds_max: 2,
            attempts_max: 256,
            deaths_max: 2,
        }
    }
}

impl Config {
    pub(super) fn check(self, base: &Path) -> Result<super::Config, ConfigError> {
        let Self {
            data_dir,
            tag_root,
            window,
            http,
            log,
            queue,
            keboola,
            sandbox,
            policies,
            sync,
            git,
            visibility,
            reconcile,
            notify,
            grace_ms,
            mirrors,
        } = self;
        if !(1_000..=600_000).contains(&window.span_ms) {
            return Err(value("window.span_ms", "must be between 1000 and 600000"));
        }
        keboola.check()?;
        sandbox.check()?;
        if sync.memory_bytes_max < 16 << 20 {
            return Err(value(
                "sync.memory_bytes_max",
                "must be at least 16777216 (16 MiB)",
            ));
        }
        if !(1..=100).contains(&sync.deaths_max) {
            return Err(value("sync.deaths_max", "must be between 1 and 100"));
        }
        for (key, places) in [
            ("sync.rebuilds_max", sync.rebuilds_max),
            ("sync.attempts_max", sync.attempts_max),
        ] {
            if places == 0 {
                return Err(value(key, "must be at least 1"));
            }
        }
        let policies = policies.check()?;
        let mirrors = mirrors
            .into_iter()
            .enumerate()
            .map(|(n, mirror)| mirror.check(n, base, &base.join(&data_dir), &policies.limits))
            .collect::<Result<Vec<_>, _>>()?;
        unique(&mirrors)?;
        let notify = notify.check(base)?;
        let by_mail = |mirror: &&MirrorSpec| mirror.notify.iter().any(|target| target.channel() == "email");
        if notify.smtp.is_none()
            && let Some(mirror) = mirrors.iter().find(by_mail)
        {
            return Err(ConfigError::NoMailServer {
                mirror: mirror.id.clone(),
            });
        }
        let git = git.check(base)?;
        // Deliveries are held to the same.
        for (n, mirror) in mirrors.iter().enumerate() {
            let is_refused = |target: &Target| match target {
                Target::Webhook { url, .. } => !git.addresses.permits_scheme(url.scheme()),
                Target::Email { .. } | Target::Slack { .. } => false,
            };
            if let Some(number) = mirror.notify.iter().position(is_refused) {
                return Err(value(
                    format!("mirror[{n}].notify[{number}].webhook"),
                    "must be `https:`; others could read what notices say. `[git] allow_plain_http = true` allows it all the same",
                ));
            }
        }
        let http = http.check(base)?;
        for (n, token) in http.ingest.iter().enumerate() {
            if !mirrors.iter().any(|mirror| mirror.stack == token.stack) {
                return Err(ConfigError::IngestOfNobody {
                    key: format!("http.ingest[{n}].stack"),
                    stacks: stacks(&mirrors),
                });
            }
        }
        Ok(super::Config {
            data_dir: base.join(data_dir),
            tag_root: reference("tag_root", &tag_root, base)?,
            window: WindowConfig {
                mode: window.mode,
                span_ms: window.span_ms,
            },
            http,
            log: log.check()?,
            queue: queue.check(base, &mirrors.iter().map(|mirror| mirror.stack.clone()).collect())?,
            keboola: KeboolaConfig {
                connect_timeout_ms: keboola.connect_timeout_ms,
                read_timeout_ms: keboola.read_timeout_ms,
                total_timeout_ms: keboola.total_timeout_ms,
                retries_max: keboola.retries_max,
                response_bytes_max: keboola.response_bytes_max,
                parallel_max: keboola.parallel_max,
                visible_within_ms: keboola.visible_within_ms,
            },
            git,
            sandbox: SandboxLimits {
                memory_bytes_max: sandbox.memory_bytes_max,
                deadline_ms: sandbox.deadline_ms,
            },
            policies,
            sync: SyncConfig {
                memory_bytes_max: sync.memory_bytes_max,
                spool_bytes_max: sync.spool_bytes_max,
                cache_bytes_max: sync.cache_bytes_max,
                remembered_bytes_max: sync.remembered_bytes_max,
                rebuilds_max: sync.rebuilds_max,
                attempts_max: sync.attempts_max,
                deaths_max: sync.deaths_max,
            },
            visibility: visibility.check()?,
            reconcile: reconcile.check()?,
            notify,
            grace_ms,
            mirrors,
        })
    }
}

/// Lists the stacks that are mirrored, each once.
fn stacks(mirrors: &[MirrorSpec]) -> String {
    let stacks: BTreeSet<&str> = mirrors.iter().map(|mirror| mirror.stack.as_str()).collect();
    match stacks.len() {
        0 => "none".into(),
        _ => stacks.into_iter().collect::<Vec<_>>().join(", "),
    }
}

impl Log {
    fn check(self) -> Result<LogConfig, ConfigError> {
        let Self {
            history_days,
            dedupe_days,
            unmirrored_events_max,
            dead_letter_days,
            dead_letters_max,
        } = self;
        if dead_letters_max == 0 {
            return Err(value("log.dead_letters_max", "must be at least 1"));
        }
        for (key, days) in [
            ("log.dead_letter_days", dead_letter_days),
            ("log.history_days", history_days),
            ("log.dedupe_days", dedupe_days),
        ] {
            if !(1..=3650).contains(&days) {
                return Err(value(key, "must be between 1 and 3650"));
            }
        }
        let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
        Ok(LogConfig {
            history: days(history_days),
            dedupe: days(dedupe_days),
            unmirrored_events_max,
            letters: days(dead_letter_days),
            letters_max: dead_letters_max,
        })
    }
}
