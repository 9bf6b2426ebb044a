//! The file as it is written: what serde sees, and the step from there to checked values.

use super::{
    AcceptDeletions, ConfigError, DevBranches, GitConfig, HttpConfig, IngestToken, JobsSpec, KeboolaConfig,
    LogConfig, MirrorSpec, RepositoryCredential, RepositorySpec, SandboxLimits, SyncConfig, VisibilityConfig,
    WindowConfig, branch_problem, id, reference,
    refs::{template_problem, unique},
    value,
};
use mirror_core::{
    deletions::DeletionLimits,
    ids::{MirrorId, ProjectId, Stack, StackAddress},
    path::MirrorPath,
    sample::SampleLimits,
};
use mirror_git::{AddressPolicy, Network, RepositoryUrl};
use reqwest::Url;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    ops::RangeInclusive,
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

/// Where job runs stand in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobsLayout {
    /// A line each in the file of their day, `jobs/YYYY/MM/DD.jsonl`.
    DayFiles,
    /// A file each, `jobs/<run id>.json`.
    FilePerRun,
}

/// Which Git branch has the days of job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobsLog {
    /// That of everything else.
    Branch,
    /// One for each month, `keboola-jobs/<branch>/<YYYY-MM>`.
    MonthRefs,
}

/// How the directory of a dev branch below `configs/` is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchDirectory {
    /// `main`, so that a diff between two Git branches is what differs in Keboola.
    Main,
    /// As Keboola's CLI calls it, by the name that the branch had first.
    Name,
}

/// What becomes of the Git branch of a dev branch that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletedBranches {
    Keep,
    Delete,
}

impl SecretsChoice {
    /// Returns the word of the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Masked => "masked",
            Self::Omitted => "omitted",
        }
    }
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
    #[serde(default)]
    git: Git,
    #[serde(default)]
    visibility: Visibility,
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
#[serde(deny_unknown_fields, default)]
struct Visibility {
    private_hosts: Vec<String>,
    check_every_ms: u64,
    timeout_ms: u64,
}

impl Default for Visibility {
    fn default() -> Self {
        Self {
            private_hosts: Vec::new(),
            check_every_ms: 3_600_000,
            timeout_ms: 10_000,
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
    #[serde(default)]
    credential: Credential,
    #[serde(default = "main_branch")]
    branch: String,
    #[serde(default)]
    prefix: String,
    secrets: Option<SecretsChoice>,
    #[serde(default)]
    samples: bool,
    #[serde(default)]
    sample_limits: Samples,
    visibility_url: Option<String>,
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
    #[serde(default)]
    deletions: Deletions,
    accept_deletions: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Credential {
    user: Option<String>,
    token: Option<String>,
    private_key: Option<String>,
    known_hosts: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Git {
    allow_networks: Vec<String>,
    allow_plain_http: bool,
    allow_git_protocol: bool,
    certificates: Option<PathBuf>,
    proxy: Option<String>,
}

impl Git {
    fn check(self, base: &Path) -> Result<GitConfig, ConfigError> {
        let mut addresses = AddressPolicy::default();
        for network in &self.allow_networks {
            let network = network.parse::<Network>();
            let problem = "has an entry that is no network such as `10.0.0.0/8`";
            addresses = addresses.allow_network(network.map_err(|_| value("git.allow_networks", problem))?);
        }
        if self.allow_plain_http {
            addresses = addresses.allow_plain_http();
        }
        if self.allow_git_protocol {
            addresses = addresses.allow_git_protocol();
        }
        Ok(GitConfig {
            addresses,
            certificates: self.certificates.map(|path| base.join(path)),
            proxy: self.proxy,
        })
    }
}

fn main_branch() -> String {
    "main".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Samples {
    rows_max: u32,
    cell_bytes_max: usize,
    row_bytes_max: usize,
    file_bytes_max: usize,
    tables_max: usize,
}

impl Default for Samples {
    fn default() -> Self {
        let SampleLimits {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        } = SampleLimits::default();
        Self {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Jobs {
    enabled: bool,
    cadence: String,
    layout: JobsLayout,
    log: JobsLog,
    keep_days: u32,
    budget_bytes_month: u64,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            enabled: true,
            cadence: "15m".into(),
            layout: JobsLayout::DayFiles,
            log: JobsLog::Branch,
            keep_days: JobsSpec::KEEP_DAYS,
            budget_bytes_month: JobsSpec::BUDGET_BYTES_MONTH,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dev {
    enabled: bool,
    git_branch: String,
    branch_directory: BranchDirectory,
    deleted: DeletedBranches,
    look_every_ms: u64,
}

impl Default for Dev {
    fn default() -> Self {
        Self {
            enabled: false,
            git_branch: "keboola/{name}-{id}".into(),
            branch_directory: BranchDirectory::Main,
            deleted: DeletedBranches::Keep,
            look_every_ms: 300_000,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Deletions {
    share_percent_max: u8,
    floor: usize,
}

impl Default for Deletions {
    fn default() -> Self {
        let DeletionLimits {
            share_percent_max,
            floor,
        } = DeletionLimits::default();
        Self {
            share_percent_max,
            floor,
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
            git,
            visibility,
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
            git: git.check(base)?,
            sandbox: SandboxLimits {
                memory_bytes_max: sandbox.memory_bytes_max,
                deadline_ms: sandbox.deadline_ms,
            },
            sync: SyncConfig {
                memory_bytes_max: sync.memory_bytes_max,
                spool_bytes_max: sync.spool_bytes_max,
            },
            visibility: visibility.check()?,
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
        if !(1_000..=86_400_000).contains(&self.dev_branches.look_every_ms) {
            return Err(value(
                key("dev_branches.look_every_ms"),
                "must be between 1000 and 86400000",
            ));
        }
        let prefix = match self.prefix.as_str() {
            "" => None,
            raw => Some(MirrorPath::parse(raw).map_err(|source| ConfigError::Prefix {
                key: key("prefix"),
                source,
            })?),
        };
        let repository = repository(&key, &self.repository, &self.credential, base)?;
        let visibility_url = match (self.visibility_url, &repository) {
            (Some(raw), _) => Some(web_address(&key("visibility_url"), &raw)?),
            // Strangers would ask the same place.
            (None, RepositorySpec::Remote { url, .. }) if url.scheme() == "https" => {
                Some(web_address(&key("repository"), &url.to_string())?)
            }
            (None, RepositorySpec::Remote { .. } | RepositorySpec::LocalBare(_)) => None,
        };
        let jobs = self.jobs.check(key)?;
        Ok(MirrorSpec {
            id: id(&key("id"), MirrorId::parse(&self.id))?,
            stack_url: address.to_string(),
            stack: address.stack,
            project: id(&key("project_id"), ProjectId::parse(&self.project_id))?,
            token: reference(&key("token"), &self.token, base)?,
            repository,
            branch: self.branch,
            prefix,
            secrets: self.secrets,
            samples: self.samples,
            sample_limits: self.sample_limits.check(&key("sample_limits"))?,
            visibility_url,
            jobs,
            dev_branches: DevBranches {
                enabled: self.dev_branches.enabled,
                git_branch: self.dev_branches.git_branch,
                directory: self.dev_branches.branch_directory,
                deleted: self.dev_branches.deleted,
                look_every: Duration::from_millis(self.dev_branches.look_every_ms),
            },
            plan_tier: self.plan_tier,
            region: self.region,
            adopt: self.adopt,
            deletions: self.deletions.check(&key("deletions"))?,
            accept_deletions: accepted(&key("accept_deletions"), self.accept_deletions)?,
        })
    }
}

impl Visibility {
    fn check(self) -> Result<VisibilityConfig, ConfigError> {
        let Self {
            private_hosts,
            check_every_ms,
            timeout_ms,
        } = self;
        if !(1_000..=86_400_000).contains(&check_every_ms) {
            return Err(value(
                "visibility.check_every_ms",
                "must be between 1000 and 86400000",
            ));
        }
        if !(100..=60_000).contains(&timeout_ms) {
            return Err(value("visibility.timeout_ms", "must be between 100 and 60000"));
        }
        let is_host = |host: &String| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
            !host.is_empty() && host.chars().all(fits)
        };
        if !private_hosts.iter().all(is_host) {
            return Err(value(
                "visibility.private_hosts",
                "must be names of hosts, such as `git.example.com`, without scheme, port or path",
            ));
        }
        Ok(VisibilityConfig {
            private_hosts,
            check_every: Duration::from_millis(check_every_ms),
            timeout: Duration::from_millis(timeout_ms),
        })
    }
}

impl Samples {
    fn check(self, key: &str) -> Result<SampleLimits, ConfigError> {
        let Self {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        } = self;
        if !(1..=1_000).contains(&rows_max) {
            return Err(value(format!("{key}.rows_max"), "must be between 1 and 1000"));
        }
        for (name, bytes) in [
            ("cell_bytes_max", cell_bytes_max),
            ("row_bytes_max", row_bytes_max),
            ("file_bytes_max", file_bytes_max),
        ] {
            if !(16..=(16 << 20)).contains(&bytes) {
                return Err(value(format!("{key}.{name}"), "must be between 16 and 16777216"));
            }
        }
        Ok(SampleLimits {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        })
    }
}

/// Reads the address of a repository as a stranger would use it.
fn web_address(key: &str, raw: &str) -> Result<Url, ConfigError> {
    let url =
        Url::parse(raw).map_err(|_| value(key, "is no address; it must be like `https://host/path.git`"))?;
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err(value(key, "must begin with `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(value(
            key,
            "must have no user, password or query: it is asked for as a stranger would",
        ));
    }
    Ok(url)
}

impl Deletions {
    fn check(self, key: &str) -> Result<DeletionLimits, ConfigError> {
        let Self {
            share_percent_max,
            floor,
        } = self;
        if share_percent_max > 99 {
            return Err(value(
                format!("{key}.share_percent_max"),
                "must be between 0 and 99; 0 asks about every batch that reaches `floor`",
            ));
        }
        if floor == 0 {
            return Err(value(format!("{key}.floor"), "must be at least 1"));
        }
        Ok(DeletionLimits {
            share_percent_max,
            floor,
        })
    }
}

fn accepted(key: &str, raw: Option<String>) -> Result<AcceptDeletions, ConfigError> {
    match raw {
        None => Ok(AcceptDeletions::Nothing),
        Some(id) if id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(AcceptDeletions::Batch(id))
        }
        Some(_) => Err(value(
            key,
            "must be the id of a held batch, as the status and the log tell it: 16 hexadecimal digits",
        )),
    }
}

fn repository(
    key: &dyn Fn(&str) -> String,
    raw: &str,
    credential: &Credential,
    base: &Path,
) -> Result<RepositorySpec, ConfigError> {
    let Credential {
        user,
        token,
        private_key,
        known_hosts,
    } = credential;
    let reference = |name: &str, raw: &str| reference(&key(&format!("credential.{name}")), raw, base);
    let credential = match (token, private_key, known_hosts) {
        (None, None, None) => None,
        (Some(token), None, None) => Some(RepositoryCredential::Token {
            user: user.clone(),
            token: reference("token", token)?,
        }),
        (None, Some(private_key), Some(known_hosts)) => Some(RepositoryCredential::SshKey {
            private_key: reference("private_key", private_key)?,
            known_hosts: reference("known_hosts", known_hosts)?,
        }),
        _ => {
            return Err(value(
                key("credential"),
                "must be either `token` (perhaps with `user`), or `private_key` and `known_hosts`",
            ));
        }
    };
    let key = key("repository");
    if let Some(path) = raw.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(value(key, "has no path after `file:`"));
        }
        if credential.is_some() {
            return Err(value(key, "is on this machine and takes no credential"));
        }
        return Ok(RepositorySpec::LocalBare(base.join(path)));
    }
    let url: RepositoryUrl = raw.parse().map_err(|source| ConfigError::Repository {
        key: key.clone(),
        source,
    })?;
    match (url.scheme(), &credential) {
        ("ssh", Some(RepositoryCredential::SshKey { .. })) => {}
        ("ssh", _) => {
            return Err(value(
                key,
                "is `ssh`; its credential must be `private_key` and `known_hosts`",
            ));
        }
        (_, Some(RepositoryCredential::SshKey { .. })) => {
            return Err(value(key, "is not `ssh`; its credential must be a `token`"));
        }
        (_, Some(RepositoryCredential::Token { .. }) | None) => {}
    }
    Ok(RepositorySpec::Remote { url, credential })
}

impl Jobs {
    fn check(self, key: impl Fn(&str) -> String) -> Result<Option<JobsSpec>, ConfigError> {
        let Self {
            enabled,
            cadence,
            layout,
            log,
            keep_days,
            budget_bytes_month,
        } = self;
        let cadence = jobs_cadence(&cadence).ok_or_else(|| {
            value(
                key("jobs.cadence"),
                "must be `window` or a time such as `90s`, `15m` or `2h`, at least `10s`",
            )
        })?;
        if (log, layout) == (JobsLog::MonthRefs, JobsLayout::FilePerRun) {
            return Err(value(
                key("jobs.log"),
                "`month-refs` needs days in files; leave `jobs.layout = \"file-per-run\"` out",
            ));
        }
        if !JOBS_KEEP_DAYS.contains(&keep_days) {
            return Err(value(
                key("jobs.keep_days"),
                "must be from 2 to 3660 days; those of the newest two are always at hand",
            ));
        }
        if (1..JOBS_BUDGET_BYTES_MIN).contains(&budget_bytes_month) {
            return Err(value(
                key("jobs.budget_bytes_month"),
                "must be at least 100000 bytes, or 0 for no limit; `jobs.enabled = false` leaves runs out",
            ));
        }
        Ok(enabled.then_some(JobsSpec {
            cadence,
            layout,
            log,
            keep_days,
            budget_bytes_month,
        }))
    }
}

const JOBS_KEEP_DAYS: RangeInclusive<u32> = 2..=3660;
/// Below this not even a commit a day and the health of some configurations would fit.
const JOBS_BUDGET_BYTES_MIN: u64 = 100_000;

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
