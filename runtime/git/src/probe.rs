//! The connection test: what will, and what will not, work between the mirror and a repository, before the first push
//! finds out.
//!
//! A branch that is there is never changed: it is "moved" to where it is, which servers check like any other push. One
//! that is not there is made and removed again. Whether commits are taken is tried on branches of their own, which are
//! removed again too; should one be left behind, the report names it, and the next test removes it.

mod scratch;
mod trials;

use crate::{
    error::{Disposition, PushError, RemoteError, WriteError},
    refname::RefName,
    remote::{Remote, Visibility},
    signing::SigningKey,
};
use jiff::Timestamp;
use mirror_core::ids::Oid;
use std::fmt;
use thiserror::Error;

/// Who the mirror's commits are by.
#[derive(Debug, Clone, Copy)]
pub struct ProbeAuthor<'a> {
    pub name: &'a str,
    pub email: &'a str,
    /// What they are signed with, if they are.
    pub signing: Option<&'a SigningKey>,
}

/// What is tried beside the mirror's own commit. Nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProbeTrials<'a> {
    /// A commit whose author is a person with an address of this domain, as the mirror's commits name people.
    pub author_domain: Option<&'a str>,
    /// A file of so many bytes that do not compress, of 64 MiB at most.
    pub file_bytes: Option<u32>,
}

/// What is checked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeSubject {
    /// The server answers, and the credentials may read.
    Read,
    /// The credentials may push to the branch.
    PushToBranch,
    /// A commit by the mirror's author is taken.
    Author,
    /// So is one whose author is a person.
    People,
    /// What is pushed may be as large as it is.
    Size,
    /// What the branch holds is what a mirror may go on from.
    Content,
    /// Branches that were made to find out are gone.
    Scratch,
    /// Whether everybody can read what is mirrored.
    Visibility,
}

impl ProbeSubject {
    /// Returns a short name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::PushToBranch => "push_to_branch",
            Self::Author => "author",
            Self::People => "people",
            Self::Size => "size",
            Self::Content => "content",
            Self::Scratch => "scratch",
            Self::Visibility => "visibility",
        }
    }
}

/// What a check found.
#[derive(Debug)]
pub enum ProbeOutcome {
    Good(String),
    /// It works, but somebody should know.
    Notice(String),
    Bad(ProbeProblem),
    /// An earlier failure, or the state of the repository, leaves nothing to try.
    NotTried(&'static str),
}

/// Why something will not work. Its words say what to do.
#[derive(Debug, Error)]
pub enum ProbeProblem {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Author(#[from] WriteError),
    /// A mirror does not go on from what the branch holds.
    #[error("{words}")]
    Content {
        /// A short name of why.
        code: &'static str,
        /// Why, and what to do.
        words: String,
    },
    /// The branch does not move, and still the server says that somebody is changing it.
    #[error(
        "{source}, time and again, and yet it stays where it is; if nobody is pushing, a program that was killed left a lock (`{refname}.lock` in the repository): remove it on the server",
        refname = refname.as_str()
    )]
    Stuck {
        refname: RefName,
        source: Box<PushError>,
    },
}

impl ProbeProblem {
    /// Returns who must act.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Remote(error) => error.disposition(),
            Self::Push(error) => error.disposition(),
            Self::Author(error) => error.disposition(),
            Self::Content { .. } | Self::Stuck { .. } => Disposition::NeedsCustomer,
        }
    }

    /// Returns a short name of the problem, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Remote(RemoteError::Transport(error)) | Self::Push(PushError::Transport(error)) => {
                error.code()
            }
            Self::Remote(RemoteError::NotARepository { .. })
            | Self::Push(PushError::NotARepository { .. }) => "not_a_repository",
            Self::Push(PushError::Refused { refusal, .. }) => refusal.code(),
            Self::Push(PushError::RefMoved { .. } | PushError::Contended { .. }) | Self::Stuck { .. } => {
                "contended"
            }
            Self::Remote(_) => "unreadable",
            Self::Push(_) => "unwritable",
            Self::Author(_) => "author",
            Self::Content { code, .. } => code,
        }
    }
}

/// One check and what it found.
#[derive(Debug)]
pub struct ProbeCheck {
    pub subject: ProbeSubject,
    pub outcome: ProbeOutcome,
}

/// What a connection test found.
#[derive(Debug)]
pub struct ProbeReport {
    pub remote: String,
    pub refname: RefName,
    /// Where the branch is; none if there is no such branch, or it could not be read.
    pub tip: Option<Oid>,
    /// Whether the repository has no branch at all; none if it could not be read.
    pub is_empty: Option<bool>,
    pub visibility: Visibility,
    pub checks: Vec<ProbeCheck>,
}

impl ProbeReport {
    /// Returns whether a mirror will work.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems().next().is_none()
    }

    /// Returns what is in the way, the first one first.
    pub fn problems(&self) -> impl Iterator<Item = &ProbeProblem> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            ProbeOutcome::Bad(problem) => Some(problem),
            ProbeOutcome::Good(_) | ProbeOutcome::Notice(_) | ProbeOutcome::NotTried(_) => None,
        })
    }

    fn tell_visibility(&mut self, visibility: Visibility, why: &str) {
        self.visibility = visibility;
        let outcome = match visibility {
            Visibility::Private => ProbeOutcome::Good(format!("only who has access can read it: {why}")),
            Visibility::Public => ProbeOutcome::Notice(format!(
                "everybody can read it, so samples of data stay off: {why}; make the repository private to have them"
            )),
            Visibility::Unknown => ProbeOutcome::Notice(format!(
                "it cannot be told who can read it, so samples of data stay off: {why}"
            )),
        };
        self.add(ProbeSubject::Visibility, outcome);
    }

    /// Adds what was checked beside what is tried here.
    pub fn add(&mut self, subject: ProbeSubject, outcome: ProbeOutcome) {
        self.checks.push(ProbeCheck { subject, outcome });
    }
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, branch {}", self.remote, self.refname.short())?;
        for ProbeCheck { subject, outcome } in &self.checks {
            let (mark, text) = match outcome {
                ProbeOutcome::Good(text) => ("ok", text.clone()),
                ProbeOutcome::Notice(text) => ("note", text.clone()),
                ProbeOutcome::Bad(problem) => ("FAILED", problem.to_string()),
                ProbeOutcome::NotTried(why) => ("-", (*why).to_owned()),
            };
            writeln!(f, "  {mark:<7}{:<15}{text}", subject.code())?;
        }
        Ok(())
    }
}

/// Tries what a mirror will do. `scratch` makes the names of the branches that are made and removed unique; `visibility`
/// finds out who can read the repository, and says how: strangers may be asked for at another address than the remote's.
pub fn probe(
    remote: &dyn Remote,
    refname: &RefName,
    author: ProbeAuthor<'_>,
    now: Timestamp,
    scratch: &str,
    visibility: impl FnOnce() -> (Visibility, String),
) -> ProbeReport {
    probe_with(
        remote,
        refname,
        author,
        ProbeTrials::default(),
        now,
        scratch,
        visibility,
    )
}

/// The same, with more tried.
pub fn probe_with(
    remote: &dyn Remote,
    refname: &RefName,
    author: ProbeAuthor<'_>,
    trials: ProbeTrials<'_>,
    now: Timestamp,
    scratch: &str,
    visibility: impl FnOnce() -> (Visibility, String),
) -> ProbeReport {
    let mut report = ProbeReport {
        remote: remote.name().to_owned(),
        refname: refname.clone(),
        tip: None,
        is_empty: None,
        visibility: Visibility::Unknown,
        checks: Vec::new(),
    };
    trials::run(remote, author, trials, now, scratch, &mut report);
    let (visibility, why) = visibility();
    report.tell_visibility(visibility, &why);
    report
}
