//! The file as it is written: what serde sees, and the step from there to checked values.

use super::{
    ConfigError, DevBranches, HttpConfig, IngestToken, JobsSpec, KeboolaConfig, LogConfig, MirrorSpec,
    RepositorySpec, SandboxLimits, SyncConfig, WindowConfig, branch_problem, id, reference,
    refs::{template_problem, unique},
    value,
};
use mirror_core::{
    ids::{MirrorId, ProjectId, Stack, StackAddress},
    path::MirrorPath,
};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
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

/// What becomes of values under `#` keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretsChoice {
    Encrypted,
    Masked,
    Omitted,
}

/// How often job runs are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobsCadence {
    /// With the configuration changes of the window.
    Window,
    /// At most once in this time.
    Every { ms: u64 },
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
    keboola: Keboola,
    #[serde(default)]
    sandbox: Sandbox,
    #[serde(default)]
    sync: Sync,
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
struct Http {
    listen: Option<SocketAddr>,
    ingest: Vec<Ingest>,
    backlog_max: u64,
    body_bytes_max: usize,
    connections_max: usize,
    read_timeout_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: None,
            ingest: Vec::new(),
            backlog_max: 100_000,
            body_bytes_max: 4 << 20,
            connections_max: 256,
            read_timeout_ms: 30_000,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ingest {
    name: String,
    token: String,
    stack: String,
    projects: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    history_days: u32,
    dedupe_days: u32,
    unmirrored_events_max: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            history_days: 7,
            dedupe_days: 30,
            unmirrored_events_max: 100_000,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sync {
    memory_bytes_max: usize,
    spool_bytes_max: u64,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            spool_bytes_max: 4 << 30,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    id: String,
    stack: String,
    project_id: String,
    token: String,
    repository: String,
    #[serde(default = "main_branch")]
    branch: String,
    #[serde(default)]
    prefix: String,
    #[serde(default = "encrypted")]
    secrets: SecretsChoice,
    #[serde(default)]
    samples: bool,
    #[serde(default)]
    jobs: Jobs,
    #[serde(default)]
    dev_branches: Dev,
    #[serde(default)]
    plan_tier: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    adopt: bool,
}

fn main_branch() -> String {
    "main".into()
}

fn encrypted() -> SecretsChoice {
    SecretsChoice::Encrypted
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Jobs {
    enabled: bool,
    cadence: String,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            enabled: true,
            cadence: "15m".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dev {
    enabled: bool,
    git_branch: String,
}

impl Default for Dev {
    fn default() -> Self {
        Self {
            enabled: false,
            git_branch: "keboola/{name}-{id}".into(),
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
            keboola,
            sandbox,
            sync,
            grace_ms,
            mirrors,
        } = self;
        if !(1_000..=600_000).contains(&window.span_ms) {
            return Err(value("window.span_ms", "must be between 1000 and 600000"));
        }
        if keboola.parallel_max == 0 {
            return Err(value("keboola.parallel_max", "must be at least 1"));
        }
        if sync.memory_bytes_max < 16 << 20 {
            return Err(value(
                "sync.memory_bytes_max",
                "must be at least 16777216 (16 MiB)",
            ));
        }
        let mirrors = mirrors
            .into_iter()
            .enumerate()
            .map(|(n, mirror)| mirror.check(n, base))
            .collect::<Result<Vec<_>, _>>()?;
        unique(&mirrors)?;
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
            keboola: KeboolaConfig {
                connect_timeout_ms: keboola.connect_timeout_ms,
                read_timeout_ms: keboola.read_timeout_ms,
                total_timeout_ms: keboola.total_timeout_ms,
                retries_max: keboola.retries_max,
                response_bytes_max: keboola.response_bytes_max,
                parallel_max: keboola.parallel_max,
                visible_within_ms: keboola.visible_within_ms,
            },
            sandbox: SandboxLimits {
                memory_bytes_max: sandbox.memory_bytes_max,
                deadline_ms: sandbox.deadline_ms,
            },
            sync: SyncConfig {
                memory_bytes_max: sync.memory_bytes_max,
                spool_bytes_max: sync.spool_bytes_max,
            },
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
        } = self;
        for (key, days) in [
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
        })
    }
}

impl Http {
    fn check(self, base: &Path) -> Result<HttpConfig, ConfigError> {
        if self.connections_max == 0 {
            return Err(value("http.connections_max", "must be at least 1"));
        }
        if !(100..=600_000).contains(&self.read_timeout_ms) {
            return Err(value("http.read_timeout_ms", "must be between 100 and 600000"));
        }
        let ingest = self.ingest.into_iter().enumerate().map(|(n, token)| {
            let key = |name: &str| format!("http.ingest[{n}].{name}");
            let projects = token.projects.map(|projects| {
                projects
                    .iter()
                    .map(|raw| id(&key("projects"), ProjectId::parse(raw)))
                    .collect::<Result<_, _>>()
            });
            Ok(IngestToken {
                name: token.name,
                token: reference(&key("token"), &token.token, base)?,
                stack: id(&key("stack"), Stack::parse(&token.stack))?,
                projects: projects.transpose()?,
            })
        });
        Ok(HttpConfig {
            listen: self.listen,
            ingest: ingest.collect::<Result<_, ConfigError>>()?,
            backlog_max: self.backlog_max,
            body_bytes_max: self.body_bytes_max,
            connections_max: self.connections_max,
            read_timeout: Duration::from_millis(self.read_timeout_ms),
        })
    }
}

impl Mirror {
    fn check(self, n: usize, base: &Path) -> Result<MirrorSpec, ConfigError> {
        let key = |name: &str| format!("mirror[{n}].{name}");
        let address = id(&key("stack"), StackAddress::parse(&self.stack))?;
        if !address.is_encrypted && !address.is_loopback() {
            return Err(value(
                key("stack"),
                "must be `https`; plain `http` would send the token in the clear",
            ));
        }
        if let Some(problem) = branch_problem(&self.branch) {
            return Err(value(key("branch"), problem));
        }
        let sample = self
            .dev_branches
            .git_branch
            .replace("{name}", "x")
            .replace("{id}", "1");
        if let Some(problem) = branch_problem(&sample) {
            return Err(value(key("dev_branches.git_branch"), problem));
        }
        if let Some(problem) = template_problem(&self.dev_branches.git_branch) {
            return Err(value(key("dev_branches.git_branch"), problem));
        }
        let prefix = match self.prefix.as_str() {
            "" => None,
            raw => Some(MirrorPath::parse(raw).map_err(|source| ConfigError::Prefix {
                key: key("prefix"),
                source,
            })?),
        };
        let Jobs { enabled, cadence } = self.jobs;
        let cadence = jobs_cadence(&cadence).ok_or_else(|| {
            value(
                key("jobs.cadence"),
                "must be `window` or a time such as `90s`, `15m` or `2h`, at least `10s`",
            )
        })?;
        Ok(MirrorSpec {
            id: id(&key("id"), MirrorId::parse(&self.id))?,
            stack_url: address.to_string(),
            stack: address.stack,
            project: id(&key("project_id"), ProjectId::parse(&self.project_id))?,
            token: reference(&key("token"), &self.token, base)?,
            repository: repository(&key("repository"), &self.repository, base)?,
            branch: self.branch,
            prefix,
            secrets: self.secrets,
            samples: self.samples,
            jobs: enabled.then_some(JobsSpec { cadence }),
            dev_branches: DevBranches {
                enabled: self.dev_branches.enabled,
                git_branch: self.dev_branches.git_branch,
            },
            plan_tier: self.plan_tier,
            region: self.region,
            adopt: self.adopt,
        })
    }
}

fn repository(key: &str, raw: &str, base: &Path) -> Result<RepositorySpec, ConfigError> {
    match raw.strip_prefix("file:") {
        Some(path) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(value(key, "has no path after `file:`"));
            }
            Ok(RepositorySpec::LocalBare(base.join(path)))
        }
        None => Err(value(
            key,
            "must be `file:` and the path of a bare repository; this version pushes to no other kind",
        )),
    }
}

fn jobs_cadence(raw: &str) -> Option<JobsCadence> {
    if raw == "window" {
        return Some(JobsCadence::Window);
    }
    let (number, unit) = raw.split_at_checked(raw.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (ms >= 10_000).then_some(JobsCadence::Every { ms })
}
