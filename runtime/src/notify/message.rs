//! What a notice says: to people as a subject and a text, to programs as JSON.

use crate::config::{MirrorSpec, RepositorySpec};
use jiff::Timestamp;
use mirror_core::{
    cause::Cause,
    ids::{BranchId, MirrorId, ProjectId, Stack},
    incident::{Notice, NoticeKind},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A notice with what it concerns; kept until it has arrived, and the same each time it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Tells it from all others; who got it twice knows it by this.
    pub id: String,
    pub context: Context,
    pub notice: Notice,
}

/// The mirror that a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub mirror: MirrorId,
    pub stack: Stack,
    pub project: ProjectId,
    /// Without credentials.
    pub repository: String,
    /// Git branch of the default Keboola branch.
    pub main: String,
    pub branches: Vec<GitBranch>,
}

/// What a Keboola branch is called in Git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitBranch {
    pub keboola_branch: BranchId,
    pub git_branch: String,
}

impl Context {
    /// Takes what a notice says of a mirror.
    #[must_use]
    pub fn of(spec: &MirrorSpec, branches: Vec<GitBranch>) -> Self {
        let repository = match &spec.repository {
            RepositorySpec::LocalBare(path) => format!("file:{}", path.display()),
            RepositorySpec::Remote { url, .. } => url.to_string(),
        };
        Self {
            mirror: spec.id.clone(),
            stack: spec.stack.clone(),
            project: spec.project.clone(),
            repository,
            main: spec.branch.clone(),
            branches,
        }
    }

    fn git_branch(&self, branch: &BranchId) -> Option<&str> {
        let named = self.branches.iter().find(|named| named.keboola_branch == *branch);
        named.map(|named| named.git_branch.as_str())
    }
}

impl Message {
    /// Puts a message together; of the branches only those are kept that the notice names.
    #[must_use]
    pub fn new(id: String, mut context: Context, notice: Notice) -> Self {
        context
            .branches
            .retain(|named| notice.branches.contains(&named.keboola_branch));
        Self { id, context, notice }
    }

    /// Returns the one line that says it all.
    #[must_use]
    pub fn subject(&self) -> String {
        let Context { project, main, .. } = &self.context;
        let branch = match self.context.branches.as_slice() {
            [one] => one.git_branch.as_str(),
            _ => main,
        };
        let what = match self.notice.kind {
            NoticeKind::Failing(cause) => format!("failing for {}: {}", self.lasted(), cause.headline()),
            NoticeKind::NeedsCustomer(cause) => format!("action needed: {}", cause.headline()),
            NoticeKind::Recovered => "in order again".to_owned(),
            NoticeKind::SamplesOff => "samples are off, the repository is not private".to_owned(),
            NoticeKind::SecretsMasked => "secrets are masked, the repository is not private".to_owned(),
            NoticeKind::PlaintextSecrets => format!("{} not encrypted", self.counted("secret", "secrets")),
            NoticeKind::Withheld => format!("{} withheld", self.counted("object", "objects")),
            NoticeKind::Vanished => format!("nothing left of {} of objects", self.counted("type", "types")),
            NoticeKind::MonthsRefused => "action needed: the Git server refuses job runs".to_owned(),
            NoticeKind::Test => "this is a test".to_owned(),
        };
        plain(&format!(
            "[kbc-mirror] project {project}, branch {branch}: {what}"
        ))
    }

    /// Returns the whole text, in lines.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { context, notice, .. } = self;
        let mut text = format!("{}\n\n", self.what_happened());
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("{name:<12}{}\n", plain(value)));
            }
        };
        line("Project:", &format!("{} on {}", context.project, context.stack));
        line("Mirror:", context.mirror.as_str());
        line("Repository:", &context.repository);
        line("Branch:", &self.branches());
        line("Since:", &at(notice.since));
        line("Why:", &notice.why);
        line("What to do:", self.advice());
        if !notice.items.is_empty() {
            text.push('\n');
        }
        for item in &notice.items {
            text.push_str(&format!("- {}\n", plain(item)));
        }
        if notice.items_more > 0 {
            text.push_str(&format!("- and {} more\n", notice.items_more));
        }
        text
    }

    /// Returns the payload for programs; its members only ever become more.
    #[must_use]
    pub fn payload(&self) -> Value {
        let Self {
            id: _,
            context,
            notice,
        } = self;
        let cause = match notice.kind {
            NoticeKind::Failing(cause) | NoticeKind::NeedsCustomer(cause) => Some(cause.code()),
            _ => None,
        };
        json!({
            "type": format!("mirror.{}", type_of(notice.kind)),
            "timestamp": notice.at.to_string(),
            "data": {
                "reason": notice.kind.code(),
                "cause": cause,
                "mirror": context.mirror.as_str(),
                "stack": context.stack.as_str(),
                "projectId": context.project.as_str(),
                "repository": context.repository,
                "branches": notice.branches.iter().map(|branch| json!({
                    "branchId": branch.as_str(),
                    "gitBranch": context.git_branch(branch),
                })).collect::<Vec<_>>(),
                "since": notice.since.to_string(),
                "why": notice.why,
                "whatToDo": self.advice(),
                "items": notice.items,
                "itemsMore": notice.items_more,
                "subject": self.subject(),
            },
        })
    }

    /// Returns the body for a Slack incoming webhook.
    #[must_use]
    pub fn slack(&self) -> Value {
        // The three characters that Slack gives a meaning.
        let escaped = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        json!({ "text": format!("*{}*\n```{}```", escaped(&self.subject()), escaped(&self.text()).replace("```", "'''")) })
    }

    fn what_happened(&self) -> String {
        let mirror = &self.context.mirror;
        match self.notice.kind {
            NoticeKind::Failing(_) => format!(
                "The mirror `{mirror}` has failed for {}. Nothing is lost: changes wait in its log, and it tries again every five minutes. \
                 You are told once more when it works again.",
                self.lasted()
            ),
            NoticeKind::NeedsCustomer(_) => format!(
                "The mirror `{mirror}` needs somebody to do something. Nothing is lost: changes wait in its log, and it tries again every \
                 five minutes. You are told once more when it works again."
            ),
            NoticeKind::Recovered => format!("What you were told of the mirror `{mirror}` is over."),
            NoticeKind::SamplesOff => format!(
                "The mirror `{mirror}` is to export samples of tables, but its repository is not known to be private. Samples that are in \
                 the repository are taken out by the next commit. Its history keeps what was there before."
            ),
            NoticeKind::SecretsMasked => format!(
                "The mirror `{mirror}` is to keep encrypted secrets, but its repository is not known to be private. They are masked from the \
                 next commit on. Its history keeps what was there before."
            ),
            NoticeKind::PlaintextSecrets => format!(
                "The mirror `{mirror}` found {} under `#` keys that Keboola should have encrypted. They were masked and are not in the \
                 repository, but they stand in Keboola in plain text.",
                self.counted("value", "values")
            ),
            NoticeKind::Withheld => format!(
                "The mirror `{mirror}` keeps {} out of the repository in the newest form. The repository has the earlier form, or nothing; \
                 everything else is mirrored.",
                self.counted("object", "objects")
            ),
            NoticeKind::Vanished => format!(
                "A commit of the mirror `{mirror}` leaves nothing of {} of objects that the branch had several of. Keboola has none of them \
                 any more, so they were deleted in the repository too, whose history keeps them.",
                self.counted("type", "types")
            ),
            NoticeKind::MonthsRefused => format!(
                "The Git server does not take {} of the mirror `{mirror}`. Everything else is mirrored; these runs are kept, and it \
                 tries again every few minutes. You are told once more when it works again.",
                self.counted("branch of a month of job runs", "branches of months of job runs")
            ),
            NoticeKind::Test => format!("This is a test: notices of the mirror `{mirror}` arrive here."),
        }
    }

    fn advice(&self) -> &'static str {
        match self.notice.kind {
            NoticeKind::Failing(cause) | NoticeKind::NeedsCustomer(cause) => Cause::advice(cause),
            NoticeKind::Recovered | NoticeKind::Test => "Nothing.",
            NoticeKind::SamplesOff | NoticeKind::SecretsMasked => {
                "If it was not meant to be public, make the repository private, rewrite its history, and treat what was in it as known to others."
            }
            NoticeKind::PlaintextSecrets => {
                "Enter these values in Keboola once more, so that it encrypts them; change them where others may have seen them."
            }
            NoticeKind::Vanished => {
                "If they were to go, nothing. Else restore them in Keboola from its trash or from the repository's history; the mirror takes up what is there again by itself."
            }
            NoticeKind::MonthsRefused => {
                "Each line says why. Let the mirror's account push to branches whose names begin with `keboola-jobs/`, or mend what is named; or have the operator set `jobs = { log = \"branch\" }`, which keeps runs on the branch of everything else."
            }
            NoticeKind::Withheld => {
                "Each line says why. Mend the object in Keboola, the policy, or the rule of the Git server; the object's next version is tried afresh."
            }
        }
    }

    fn branches(&self) -> String {
        if self.notice.branches.is_empty() {
            return format!("{}, and all others of the mirror", self.context.main);
        }
        let named = self.notice.branches.iter().map(|branch| {
            let git_branch = self.context.git_branch(branch).unwrap_or("no Git branch yet");
            format!("{git_branch} (Keboola branch {branch})")
        });
        named.collect::<Vec<_>>().join(", ")
    }

    fn counted(&self, one: &str, many: &str) -> String {
        match self.notice.items.len() + self.notice.items_more {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        }
    }

    fn lasted(&self) -> String {
        let minutes = self.notice.at.duration_since(self.notice.since).as_mins().max(0);
        match (minutes / 60, minutes % 60) {
            (0, minutes) => format!("{minutes} minutes"),
            (1, 0) => "an hour".to_owned(),
            (hours, 0) => format!("{hours} hours"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        }
    }
}

fn type_of(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Failing(_) => "failing",
        NoticeKind::NeedsCustomer(_) => "needs_customer",
        other => other.code(),
    }
}

fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// One line, without what a terminal or a mail reader would obey.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
