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
use git::{Git, Visibility};
use http::Http;
pub use jobs::{JobsCadence, JobsLayout, JobsLog};
use mirror::Mirror;
pub use mirror::{BranchDirectory, DeletedBranches, SecretsChoice};
use notify::Notify;
use policies::Policies;
use queue::Queue;
use reconcile::Reconcile;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// When a window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowMode {
    /// A little before the span is over, so that the push lands within it.
    Early,
    /// Exactly at the end of the span.
    Fixed,
    /// After two seconds of gathering; then not again before the span is over.
    Eager,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    data_dir: PathBuf,
    tag_root: String,
    #[serde(default)]
    window: Window,
    #[serde(default)]
    http: Http,
    #[serde(default)]
    log: Log,
    #[serde(default)]
    queue: Queue,
    #[serde(default)]
    keboola: Keboola,
    #[serde(default)]
    sandbox: Sandbox,
    #[serde(default)]
    policies: Policies,
    #[serde(default)]
    sync: Sync,
    #[serde(default)]
    git: Git,
    #[serde(default)]
    visibility: Visibility,
    #[serde(default)]
    reconcile: Reconcile,
    #[serde(default)]
    notify: Notify,
    #[serde(default = "grace_ms")]
    grace_ms: u64,
    #[serde(default, rename = "mirror")]
    mirrors: Vec<Mirror>,
}

fn grace_ms() -> u64 {
    60_000
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Window {
    mode: WindowMode,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    history_days: u32,
    dedupe_days: u32,
    unmirrored_events_max: u64,
    dead_letter_days: u32,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keboola {
    connect_timeout_ms: u64,
    read_timeout_ms: u64,
    total_timeout_ms: u64,
    retries_max: u32,
    response_bytes_max: u64,
    parallel_max: usize,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sandbox {
    memory_bytes_max: usize,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sync {
    memory_bytes_max: usize,
    spool_bytes_max: u64,
    cache_bytes_max: usize,
    remembered_bytes_max: usize,
    rebuilds_max: usize,
    attempts_max: usize,
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
        let mirrors = mirrors
            .into_iter()
            .enumerate()
            .map(|(n, mirror)| mirror.check(n, base, &base.join(&data_dir)))
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
            git: git.check(base)?,
            sandbox: SandboxLimits {
                memory_bytes_max: sandbox.memory_bytes_max,
                deadline_ms: sandbox.deadline_ms,
            },
            policies: policies.check()?,
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
