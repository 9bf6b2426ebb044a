//! One mirror: a project, a repository, and what goes from one to the other.

use super::{
    super::{
        AcceptDeletions, ConfigError, DevBranches, MirrorSpec, RepositorySpec, branch_problem, id, reference,
        refs::template_problem, value,
    },
    feeders::Poll,
    git::{Credential, repository, web_address},
    jobs::Jobs,
    notify::Address,
    policies::{self, Policy},
    samples::Samples,
};
use mirror_core::{
    deletions::DeletionLimits,
    ids::{MirrorId, ProjectId, StackAddress},
    path::MirrorPath,
};
use serde::Deserialize;
use std::{path::Path, time::Duration};

/// What becomes of values under `#` keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretsChoice {
    Encrypted,
    Masked,
    Omitted,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mirror {
    id: String,
    stack: String,
    project_id: String,
    token: String,
    repository: String,
    #[serde(default)]
    credential: Credential,
    signing_key: Option<String>,
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
    poll: Poll,
    #[serde(default)]
    plan_tier: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    adopt: bool,
    #[serde(default)]
    deletions: Deletions,
    accept_deletions: Option<String>,
    #[serde(default)]
    notify: Vec<Address>,
    #[serde(default, rename = "policy", deserialize_with = "policies::tables")]
    policies: Vec<Policy>,
}

fn main_branch() -> String {
    "main".into()
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

impl Mirror {
    pub(super) fn check(self, n: usize, base: &Path, data_dir: &Path) -> Result<MirrorSpec, ConfigError> {
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
        let notify = self.notify.into_iter().enumerate();
        let notify = notify.map(|(number, address)| address.check(&key(&format!("notify[{number}]")), base));
        Ok(MirrorSpec {
            id: id(&key("id"), MirrorId::parse(&self.id))?,
            stack_url: address.to_string(),
            stack: address.stack,
            project: id(&key("project_id"), ProjectId::parse(&self.project_id))?,
            token: reference(&key("token"), &self.token, base)?,
            repository,
            signing_key: self
                .signing_key
                .map(|raw| reference(&key("signing_key"), &raw, base))
                .transpose()?,
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
            poll: self.poll.check(&key("poll"))?,
            plan_tier: self.plan_tier,
            region: self.region,
            adopt: self.adopt,
            deletions: self.deletions.check(&key("deletions"))?,
            accept_deletions: accepted(&key("accept_deletions"), self.accept_deletions)?,
            notify: notify.collect::<Result<_, _>>()?,
            policies: policies::policies(&key("policy"), self.policies, base, data_dir)?,
        })
    }
}

impl Deletions {
    pub(super) fn check(self, key: &str) -> Result<DeletionLimits, ConfigError> {
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
