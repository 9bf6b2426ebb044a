//! One mirror: a project, a repository, and what goes from one to the other.

use super::{
    super::{
        AcceptDeletions, ConfigError, DevBranches, MirrorSpec, RepositorySpec, branch_problem, id, reference,
        refs::template_problem, value,
    },
    feeders::{Backfill, Poll},
    git::{Credential, repository, web_address},
    jobs::Jobs,
    notify::Address,
    policies::{self, Policy},
    samples::Samples,
};
use mirror_core::{
    commit::{Authors, MIRROR_EMAIL, MIRROR_NAME, MirrorIdentity},
    deletions::DeletionLimits,
    ids::{MirrorId, Oid, ProjectId, StackAddress},
    path::MirrorPath,
};
use mirror_sandbox::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{path::Path, time::Duration};

/// What becomes of values under `#` keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretsChoice {
    Encrypted,
    Masked,
    Omitted,
}

/// How the directory of a dev branch below `configs/` is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchDirectory {
    /// `main`, so that a diff between two Git branches is what differs in Keboola.
    Main,
    /// As Keboola's CLI calls it, by the name that the branch had first.
    Name,
}

/// What becomes of the Git branch of a dev branch that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
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

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mirror {
    /// The mirror's identity, which never changes.
    id: String,
    /// Base address of the Storage API, such as `https://connection.keboola.com`.
    stack: String,
    /// Id of the project.
    project_id: String,
    /// Reference to the Storage token.
    token: String,
    /// `https:` or `ssh:` address of the repository, or `file:PATH` of a bare one on this machine.
    repository: String,
    /// What opens the repository: `token`, perhaps with `user`, or `private_key` with `known_hosts`.
    #[serde(default)]
    credential: Credential,
    /// Reference to a private key (Ed25519, OpenSSH) that commits are signed with. Not set: they are not.
    signing_key: Option<String>,
    /// Git branch of the default Keboola branch, without `refs/heads/`.
    #[serde(default = "main_branch")]
    branch: String,
    /// Directory of the repository below which all of the mirror is; empty for the root.
    #[serde(default)]
    prefix: String,
    /// What becomes of values under `#` keys. Not set: `encrypted` in a private repository, `masked` in others.
    secrets: Option<SecretsChoice>,
    /// Whether the first rows of tables are wanted; only a private repository gets them.
    #[serde(default)]
    samples: bool,
    /// Bounds of samples.
    #[serde(default)]
    sample_limits: Samples,
    /// `https:` address where strangers would read the repository, where that is not `repository`.
    visibility_url: Option<String>,
    /// Job runs in the repository.
    #[serde(default)]
    jobs: Jobs,
    /// Which dev branches are mirrored, and where to.
    #[serde(default)]
    dev_branches: Dev,
    /// Asking the source for changes of which no event tells.
    #[serde(default)]
    poll: Poll,
    /// History from before the mirror.
    #[serde(default)]
    backfill: Backfill,
    /// Label of metrics.
    #[serde(default)]
    plan_tier: String,
    /// Label of metrics.
    #[serde(default)]
    region: String,
    /// Whether files may be replaced that lie where the mirror writes, but are not its own.
    #[serde(default)]
    adopt: bool,
    /// What one commit may delete without being asked about.
    #[serde(default)]
    deletions: Deletions,
    /// Id of the one mass deletion that is accepted, as the status tells it.
    accept_deletions: Option<String>,
    /// Id of the commit at the tip of a rewritten branch on top of which the mirror goes on, as the status tells it.
    accept_rewrite: Option<String>,
    /// Id of the commit that the mirror left a branch at which was deleted since, and which it makes anew, as the status tells it.
    accept_deleted_branch: Option<String>,
    /// As whom it commits.
    #[serde(default)]
    commit: Commit,
    /// Where its admins are told what they have to know.
    #[serde(default)]
    notify: Vec<Address>,
    /// Redaction policies of its own, in the order in which they judge, after the built-in one.
    #[serde(default, rename = "policy", deserialize_with = "policies::tables")]
    #[schemars(with = "Vec<Policy>")]
    policies: Vec<Policy>,
}

fn main_branch() -> String {
    "main".into()
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Dev {
    /// Whether dev branches are mirrored.
    enabled: bool,
    /// Name of the Git branch, with `{name}` and `{id}` of the Keboola branch.
    git_branch: String,
    /// How a dev branch's directory below `configs/` is called.
    branch_directory: BranchDirectory,
    /// What becomes of the Git branch of a dev branch that was deleted.
    deleted: DeletedBranches,
    /// Milliseconds between two listings of the branches, 1000 to 86400000.
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

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Deletions {
    /// Percent of the objects of one type that may go at most, 0 to 100.
    share_percent_max: u8,
    /// Fewer objects of one type than this may always go.
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

/// Whom a commit names as its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
enum CommitAuthors {
    /// Who made the newest of its changes.
    People,
    /// The mirror; people are named in `Co-authored-by`.
    Mirror,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Commit {
    /// Name of the committer, and of the author of what no person made.
    name: String,
    /// E-mail address of the same.
    email: String,
    /// Whom commits name as their author.
    authors: CommitAuthors,
}

impl Default for Commit {
    fn default() -> Self {
        Self {
            name: MIRROR_NAME.into(),
            email: MIRROR_EMAIL.into(),
            authors: CommitAuthors::People,
        }
    }
}

impl Commit {
    fn check(&self, key: &str) -> Result<MirrorIdentity, ConfigError> {
        let authors = match self.authors {
            CommitAuthors::People => Authors::People,
            CommitAuthors::Mirror => Authors::Mirror,
        };
        MirrorIdentity::new(&self.name, &self.email, authors).map_err(|error| {
            let member = if error.is_email { "email" } else { "name" };
            value(format!("{key}.{member}"), error.to_string())
        })
    }
}

impl Mirror {
    /// `limits` are those of all policies.
    pub(super) fn check(
        self,
        n: usize,
        base: &Path,
        data_dir: &Path,
        limits: &Limits,
    ) -> Result<MirrorSpec, ConfigError> {
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
            backfill: self.backfill.check(&key("backfill"))?,
            plan_tier: self.plan_tier,
            region: self.region,
            adopt: self.adopt,
            deletions: self.deletions.check(&key("deletions"))?,
            accept_deletions: accepted(&key("accept_deletions"), self.accept_deletions)?,
            accept_rewrite: accepted_commit(
                &key("accept_rewrite"),
                self.accept_rewrite.as_deref(),
                "the rewritten branch ends at",
            )?,
            accept_deleted_branch: accepted_commit(
                &key("accept_deleted_branch"),
                self.accept_deleted_branch.as_deref(),
                "the mirror left the deleted branch at",
            )?,
            commit: self.commit.check(&key("commit"))?,
            notify: notify.collect::<Result<_, _>>()?,
            policies: policies::policies(&key("policy"), self.policies, base, data_dir, limits)?,
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

fn accepted_commit(key: &str, raw: Option<&str>, which: &str) -> Result<Option<Oid>, ConfigError> {
    let commit = raw.map(Oid::parse).transpose();
    commit.map_err(|_| {
        value(
            key,
            format!(
                "must be the id of the commit that {which}, as the status and the log tell it: 40 hexadecimal digits"
            ),
        )
    })
}
