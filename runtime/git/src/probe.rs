//! The connection test: what will, and what will not, work between the mirror and a repository, before the first push
//! finds out.
//!
//! The branch itself is never changed: it is "moved" to where it is, which servers check like any other push. Whether
//! a commit of the mirror's author is taken is tried on a branch of its own, which is removed again.

use crate::{
    commit::{self, CommitText, Stamp},
    encoder::Encoder,
    error::{Disposition, PushError, RemoteError, WriteError},
    objects::EMPTY_TREE,
    outgoing::PendingPush,
    pack::{self, Assembled},
    refname::RefName,
    refusal::Refusal,
    remote::{Remote, Visibility},
    run::Run,
    signing::SigningKey,
};
use gix::objs::Kind;
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

/// What is checked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeSubject {
    /// The server answers, and the credentials may read.
    Read,
    /// The credentials may push to the branch.
    PushToBranch,
    /// A commit by the mirror's author is taken.
    Author,
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
}

impl ProbeProblem {
    /// Returns who must act.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Remote(error) => error.disposition(),
            Self::Push(error) => error.disposition(),
            Self::Author(error) => error.disposition(),
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
            Self::Push(PushError::RefMoved { .. } | PushError::Contended { .. }) => "contended",
            Self::Remote(_) => "unreadable",
            Self::Push(_) => "unwritable",
            Self::Author(_) => "author",
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

    fn add(&mut self, subject: ProbeSubject, outcome: ProbeOutcome) {
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

/// Tries what a mirror will do. `scratch` makes the name of the branch that is made and removed unique; `visibility` finds out who
/// can read the repository, and says how: strangers may be asked for at another address than the remote's.
pub fn probe(
    remote: &dyn Remote,
    refname: &RefName,
    author: ProbeAuthor<'_>,
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
    if read(remote, &mut report) {
        let is_refused = push_to_branch(remote, &mut report);
        if is_refused {
            report.add(
                ProbeSubject::Author,
                ProbeOutcome::NotTried("nothing can be pushed"),
            );
        } else {
            push_by_author(remote, author, now, scratch, &mut report);
        }
    } else {
        let why = "the repository cannot be read";
        report.add(ProbeSubject::PushToBranch, ProbeOutcome::NotTried(why));
        report.add(ProbeSubject::Author, ProbeOutcome::NotTried(why));
    }
    let (visibility, why) = visibility();
    report.tell_visibility(visibility, &why);
    report
}

fn read(remote: &dyn Remote, report: &mut ProbeReport) -> bool {
    let branches = match remote.branches() {
        Ok(branches) => branches,
        Err(error) => {
            report.add(ProbeSubject::Read, ProbeOutcome::Bad(error.into()));
            return false;
        }
    };
    report.is_empty = Some(branches.is_empty());
    report.tip = branches
        .iter()
        .find(|(name, _)| *name == report.refname)
        .map(|(_, tip)| *tip);
    let text = match (branches.len(), report.tip) {
        (0, _) => "the repository is empty".to_owned(),
        (count, Some(tip)) => format!("{count} branches; this one is at {tip}"),
        (count, None) => format!("{count} branches; this one is made by the first push"),
    };
    report.add(ProbeSubject::Read, ProbeOutcome::Good(text));
    true
}

/// Returns whether pushing is refused altogether.
fn push_to_branch(remote: &dyn Remote, report: &mut ProbeReport) -> bool {
    let Some(tip) = report.tip else {
        let why = "there is no such branch yet; rules for it show at the first push";
        report.add(ProbeSubject::PushToBranch, ProbeOutcome::NotTried(why));
        return false;
    };
    let same = PendingPush::of_pack(
        report.refname.clone(),
        Some(tip),
        tip,
        Assembled::in_memory(Vec::new()),
    );
    let outcome = match remote.push(&same) {
        Ok(()) => ProbeOutcome::Good("pushes to the branch are accepted".to_owned()),
        // Somebody else pushes to it at this moment: it can be pushed to.
        Err(PushError::RefMoved { .. } | PushError::Contended { .. }) => {
            ProbeOutcome::Good("pushes to the branch are accepted; somebody else is pushing".to_owned())
        }
        Err(error) => ProbeOutcome::Bad(error.into()),
    };
    let is_refused = matches!(
        outcome,
        ProbeOutcome::Bad(ProbeProblem::Push(
            PushError::Transport(_)
                | PushError::NotARepository { .. }
                | PushError::NotWritable { .. }
                | PushError::Refused {
                    refusal: Refusal::NotPermitted
                        | Refusal::ReadOnly
                        | Refusal::Quota
                        | Refusal::ServerStorage,
                    ..
                }
        ))
    );
    report.add(ProbeSubject::PushToBranch, outcome);
    is_refused
}

fn push_by_author(
    remote: &dyn Remote,
    author: ProbeAuthor<'_>,
    now: Timestamp,
    scratch: &str,
    report: &mut ProbeReport,
) {
    let outcome = match scratch_push(report.tip, author, now, scratch) {
        Err(error) => ProbeOutcome::Bad(error.into()),
        Ok(push) => match remote.push(&push) {
            Err(error) => ProbeOutcome::Bad(error.into()),
            Ok(()) => match remote.delete_branch(push.refname(), push.new_tip()) {
                Ok(()) => {
                    let signed = if author.signing.is_some() { "signed " } else { "" };
                    ProbeOutcome::Good(format!("a {signed}commit by <{}> is accepted", author.email))
                }
                Err(error) => ProbeOutcome::Notice(format!(
                    "a commit by <{}> is accepted; branch `{}`, which was made to find out, could not be removed ({error}): remove it by hand",
                    author.email,
                    push.refname().short(),
                )),
            },
        },
    };
    report.add(ProbeSubject::Author, outcome);
}

/// Makes a branch with one commit without files: it does not show what the repository holds, and collides with nothing.
fn scratch_push(
    tip: Option<Oid>,
    author: ProbeAuthor<'_>,
    now: Timestamp,
    scratch: &str,
) -> Result<PendingPush, WriteError> {
    let bad = WriteError::BadText {
        what: "probe",
        problem: "cannot name a branch",
    };
    let refname = RefName::branch(&format!("kbc-mirror-probe-{scratch}")).map_err(|_| bad)?;
    let stamp = Stamp {
        name: author.name,
        email: author.email,
        time: now,
    };
    let text = CommitText {
        author: stamp,
        committer: stamp,
        message: "Connection test of kbc-mirror; may be deleted",
    };
    // On top of the branch, so that the server takes no other history for new.
    let parents: Vec<Oid> = tip.into_iter().collect();
    let raw = commit::encode(EMPTY_TREE, &parents, text, author.signing)?;
    let id = pack::object_id(Kind::Commit, &raw).ok_or(WriteError::BadText {
        what: "message",
        problem: "is an attack on SHA-1",
    })?;
    let (mut run, mut encoder) = (Run::default(), Encoder::new());
    run.push(&mut encoder, EMPTY_TREE, Kind::Tree, b"");
    run.push(&mut encoder, id, Kind::Commit, &raw);
    Ok(PendingPush::of_pack(
        refname,
        None,
        id,
        Assembled::in_memory(vec![run]),
    ))
}
