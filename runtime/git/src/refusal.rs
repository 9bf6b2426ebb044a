//! Why a remote does not take a push, told apart by what it says.
//!
//! Every forge has its own words, and they change. So the words only choose what people are told and who must act;
//! whether the branch moved is never read from them, but from the branch.

mod own;
mod secrets;
#[cfg(test)]
mod tests;
mod words;

use crate::{error::Disposition, transport_error::TransportError};
pub(crate) use own::OwnNames;
use std::fmt;

/// Why a remote does not take a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The branch takes changes only in another way, or from others.
    ProtectedBranch,
    /// These credentials may not push here, or not this.
    NotPermitted,
    /// The repository takes no changes: archived, read-only, a mirror of another one.
    ReadOnly,
    /// A rule about the e-mail of authors or committers.
    AuthorEmail,
    /// A rule about commits: their message, their signature.
    CommitRule,
    /// A rule about the names of branches, or a name that collides with another branch.
    BranchName,
    /// A rule about the names of files.
    FileName,
    /// It found secrets; as far as it says, where.
    Secrets(Vec<SecretFinding>),
    /// A file is too large; as far as it says, which.
    FileTooLarge { paths: Vec<String> },
    /// All together is too large.
    PushTooLarge,
    /// The repository, or its owner, has no space left.
    Quota,
    /// The server's disk is full, or its files may not be written.
    ServerStorage,
    /// Objects that the push builds on are not there any more.
    MissingObjects,
    /// It takes the objects for damaged.
    InvalidObjects,
    /// The ref may not be deleted.
    DeletionRefused,
    /// A hook says no, in words of its own.
    Hook,
    /// It gives no reason that is known here.
    Unknown,
}

/// Where a remote found a secret. It never names the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretFinding {
    /// What it takes it for.
    pub kind: Option<String>,
    /// As the remote writes it, which may be shortened.
    pub commit: Option<String>,
    pub path: Option<String>,
    pub line: Option<u64>,
    pub blob: Option<String>,
}

impl Refusal {
    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            // Built anew, it has what is missing.
            Self::MissingObjects => Disposition::RefMoved,
            Self::ProtectedBranch
            | Self::NotPermitted
            | Self::ReadOnly
            | Self::AuthorEmail
            | Self::CommitRule
            | Self::BranchName
            | Self::FileName
            | Self::Secrets(_)
            | Self::FileTooLarge { .. }
            | Self::PushTooLarge
            | Self::Quota
            | Self::ServerStorage
            | Self::InvalidObjects
            | Self::DeletionRefused
            | Self::Hook
            | Self::Unknown => Disposition::NeedsCustomer,
        }
    }

    /// Returns a short name, for logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProtectedBranch => "protected_branch",
            Self::NotPermitted => "not_permitted",
            Self::ReadOnly => "read_only",
            Self::AuthorEmail => "author_email",
            Self::CommitRule => "commit_rule",
            Self::BranchName => "branch_name",
            Self::FileName => "file_name",
            Self::Secrets(_) => "secrets",
            Self::FileTooLarge { .. } => "file_too_large",
            Self::PushTooLarge => "push_too_large",
            Self::Quota => "quota",
            Self::ServerStorage => "server_storage",
            Self::MissingObjects => "missing_objects",
            Self::InvalidObjects => "invalid_objects",
            Self::DeletionRefused => "deletion_refused",
            Self::Hook => "hook",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProtectedBranch => {
                "the branch is protected; let the mirror's account push to it without a pull or merge request (GitHub: add it to the bypass list of the rule; GitLab: *Allowed to push and merge* of the protected branch; Azure DevOps: the permission *Bypass policies when pushing*), or choose another branch"
            }
            Self::NotPermitted => {
                "these credentials may not push; give the mirror's account or key write access (GitLab: the role Developer or higher and the scope `write_repository`; Azure DevOps: the permissions *Contribute* and, for a branch that is to be made, *Create branch*)"
            }
            Self::ReadOnly => {
                "the repository is archived or read-only; unarchive it, or give the mirror another one"
            }
            Self::AuthorEmail => {
                "a rule does not accept the e-mail of an author or committer; allow it, or commit with one that it accepts: `commit = { email = \"…\", authors = \"mirror\" }` in `[[mirror]]`"
            }
            Self::CommitRule => "a rule about commits does not accept this one; exempt the mirror's account",
            Self::BranchName => "the branch may not have this name; change the rule or the mirror's branch",
            Self::FileName => "a rule does not accept the name of a file; exempt the mirror's account",
            Self::Secrets(findings) => return write_secrets(f, findings),
            Self::FileTooLarge { paths } => {
                f.write_str("a file is larger than it takes")?;
                return write_list(f, paths.iter().map(String::as_str));
            }
            Self::PushTooLarge => "it takes no push of this size; raise its limit",
            Self::Quota => "its quota is exhausted; free space or buy more",
            Self::ServerStorage => "its disk is full or cannot be written; its operator must mend it",
            Self::MissingObjects => "it lacks objects that the push builds on",
            Self::InvalidObjects => "it takes the objects for invalid",
            Self::DeletionRefused => "the branch may not be deleted; allow it (GitLab: unprotect it, or make another one the default; Azure DevOps: the permission *Force push*), or keep the branch",
            Self::Hook => "a hook of the repository declined it",
            Self::Unknown => "it gives no reason that is known",
        })
    }
}

fn write_secrets(f: &mut fmt::Formatter<'_>, findings: &[SecretFinding]) -> fmt::Result {
    f.write_str("it found secrets in what was pushed; remove them at their source")?;
    let places = findings.iter().map(|finding| {
        let path = finding.path.as_deref().unwrap_or("a file that it does not name");
        let line = finding
            .line
            .map(|line| format!(", line {line}"))
            .unwrap_or_default();
        format!("{path}{line}")
    });
    write_list(f, places)
}

const LISTED_MAX: usize = 5;

fn write_list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = impl AsRef<str>>) -> fmt::Result {
    for (number, item) in items.enumerate() {
        match number {
            0 => write!(f, ": {}", item.as_ref())?,
            LISTED_MAX => return f.write_str(", …"),
            _ => write!(f, ", {}", item.as_ref())?,
        }
    }
    Ok(())
}

/// What the words of a remote come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    Refused(Refusal),
    /// Somebody else is moving the ref, or has.
    Contended,
    /// It has too much to do.
    RateLimited,
}

/// Finds out why a ref was not moved. `reason` is what the report says of the ref, `unpack` what it says of the pack,
/// and `messages` what was said to people meanwhile.
pub(crate) fn classify(reason: &str, unpack: Option<&str>, messages: &str, own: &OwnNames) -> Meaning {
    let messages = crate::transport_error::clean(messages);
    let all = [reason, unpack.unwrap_or_default(), &messages]
        .join("\n")
        .to_lowercase();
    let all = own.taken_out(&all);
    let meaning = words::find(&all);
    match meaning {
        Some(words::Word::Secrets) => Meaning::Refused(Refusal::Secrets(secrets::find(&messages))),
        Some(words::Word::FileTooLarge) => Meaning::Refused(Refusal::FileTooLarge {
            paths: secrets::large_files(&messages),
        }),
        Some(words::Word::Plain(refusal)) => Meaning::Refused(refusal.clone()),
        Some(words::Word::Contended) => Meaning::Contended,
        Some(words::Word::RateLimited) => Meaning::RateLimited,
        None if all.contains("hook declined") => Meaning::Refused(Refusal::Hook),
        None if unpack.is_some() => Meaning::Refused(Refusal::InvalidObjects),
        None => Meaning::Refused(Refusal::Unknown),
    }
}

/// Why a remote does not let somebody at a repository at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAccess {
    ReadOnly,
    RateLimited,
    NotFound,
    Forbidden,
}

/// Finds out from its words why a remote does not talk about a repository; none if they do not tell.
pub(crate) fn no_access(said: &str, own: &OwnNames) -> Option<NoAccess> {
    let said = own.taken_out(&said.to_lowercase());
    let refused = words::find(&said);
    match refused {
        Some(words::Word::Plain(Refusal::ReadOnly)) => return Some(NoAccess::ReadOnly),
        Some(words::Word::RateLimited) => return Some(NoAccess::RateLimited),
        _ => {}
    }
    let found = words::find_no_access(&said);
    found.or_else(|| {
        let not_permitted = matches!(refused, Some(words::Word::Plain(Refusal::NotPermitted)));
        not_permitted.then_some(NoAccess::Forbidden)
    })
}

/// Returns the error that it comes to; none if the words do not tell.
pub(crate) fn no_access_error(remote: &str, said: &str) -> Option<TransportError> {
    let (remote, said) = (remote.to_owned(), said.to_owned());
    Some(match no_access(&said, &OwnNames::of(&remote, None))? {
        NoAccess::ReadOnly => TransportError::ReadOnly { remote, said },
        NoAccess::RateLimited => TransportError::RateLimited {
            remote,
            retry_after: None,
            said,
        },
        NoAccess::NotFound => TransportError::NotFound { remote, said },
        NoAccess::Forbidden => TransportError::Forbidden { remote, said },
    })
}
