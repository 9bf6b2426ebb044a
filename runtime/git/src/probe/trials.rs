//! What is tried, in its order.

use super::{
    ProbeAuthor, ProbeOutcome, ProbeProblem, ProbeReport, ProbeSubject, ProbeTrials,
    scratch::{Leftovers, Scratch},
};
use crate::{
    error::{PushError, WriteError},
    outgoing::PendingPush,
    pack::Assembled,
    refname::RefName,
    refusal::Refusal,
    remote::Remote,
    transport_error::TransportError,
};
use jiff::Timestamp;
use mirror_core::ids::Oid;
use std::{thread, time::Duration};

/// Whoever pushes at this moment is done by then.
const PAUSE: Duration = Duration::from_secs(1);
/// A branch that stays where it is so often although somebody is said to change it is not changed by anybody.
const ATTEMPTS: usize = 2;

pub(super) fn run(
    remote: &dyn Remote,
    author: ProbeAuthor<'_>,
    trials: ProbeTrials<'_>,
    now: Timestamp,
    unique: &str,
    report: &mut ProbeReport,
) {
    let mut test = Test {
        remote,
        author,
        now,
        unique,
        left: Leftovers::default(),
        report,
    };
    let Some(branches) = test.read() else {
        let why = "the repository cannot be read";
        for subject in [ProbeSubject::PushToBranch, ProbeSubject::Author] {
            test.report.add(subject, ProbeOutcome::NotTried(why));
        }
        return;
    };
    if test.push() {
        test.push_more(trials);
        test.tidy(&branches);
    }
}

/// A test under way.
struct Test<'t> {
    remote: &'t dyn Remote,
    author: ProbeAuthor<'t>,
    now: Timestamp,
    unique: &'t str,
    left: Leftovers,
    report: &'t mut ProbeReport,
}

impl Test<'_> {
    fn read(&mut self) -> Option<Vec<(RefName, Oid)>> {
        let branches = match self.remote.branches() {
            Ok(branches) => branches,
            Err(error) => {
                self.report
                    .add(ProbeSubject::Read, ProbeOutcome::Bad(error.into()));
                return None;
            }
        };
        self.report.is_empty = Some(branches.is_empty());
        let found = branches.iter().find(|(name, _)| *name == self.report.refname);
        self.report.tip = found.map(|(_, tip)| *tip);
        let text = match (branches.len(), self.report.tip) {
            (0, _) => "the repository is empty".to_owned(),
            (count, Some(tip)) => format!("{count} branches; this one is at {tip}"),
            (count, None) => format!("{count} branches; this one is made by the first push"),
        };
        self.report.add(ProbeSubject::Read, ProbeOutcome::Good(text));
        Some(branches)
    }

    /// Tries the branch, and a commit by the mirror; says whether more can be pushed.
    fn push(&mut self) -> bool {
        let branch = match self.report.tip {
            Some(tip) => self.push_to_where_it_is(tip),
            // The first branch of a repository becomes its default one, which servers do not let go of again.
            None if self.report.is_empty == Some(true) => {
                let text = "not proven: in an empty repository the branch would stay as the default one; rules for it show at the first push";
                Ok(ProbeOutcome::Notice(text.to_owned()))
            }
            None => self.make_branch(),
        };
        let is_made = self.report.tip.is_none() && self.report.is_empty == Some(false) && branch.is_ok();
        let about_commit = matches!(
            &branch,
            Err(ProbeProblem::Push(PushError::Refused {
                refusal: Refusal::AuthorEmail | Refusal::CommitRule,
                ..
            }) | ProbeProblem::Author(_))
        );
        match branch {
            Ok(outcome) => self.report.add(ProbeSubject::PushToBranch, outcome),
            Err(problem) if about_commit => {
                let why = ProbeOutcome::NotTried("the commit for it is refused already");
                self.report.add(ProbeSubject::PushToBranch, why);
                self.report.add(ProbeSubject::Author, ProbeOutcome::Bad(problem));
                return true;
            }
            Err(problem) => {
                let is_final = is_final(&problem);
                self.tell(ProbeSubject::PushToBranch, problem);
                if is_final {
                    let why = ProbeOutcome::NotTried("nothing can be pushed");
                    self.report.add(ProbeSubject::Author, why);
                    return false;
                }
            }
        }
        let accepted = match is_made {
            // By the very commit that it was made with.
            true => Ok(()),
            false => self.push_scratch(self.scratch(None, None), self.unique),
        };
        match accepted {
            Ok(()) => {
                let signed = if self.author.signing.is_some() {
                    "signed "
                } else {
                    ""
                };
                let text = format!("a {signed}commit by <{}> is accepted", self.author.email);
                self.report.add(ProbeSubject::Author, ProbeOutcome::Good(text));
            }
            Err(problem) => self.tell(ProbeSubject::Author, problem),
        }
        true
    }

    fn push_to_where_it_is(&self, tip: Oid) -> Result<ProbeOutcome, ProbeProblem> {
        let refname = self.report.refname.clone();
        let same = PendingPush::of_pack(refname, Some(tip), tip, Assembled::in_memory(Vec::new()));
        let good = |more: &str| {
            let text = format!("pushes to the branch are accepted{more}");
            Ok(ProbeOutcome::Good(text))
        };
        match self.persist(&same) {
            Ok(()) => good(""),
            // Somebody else pushes to it at this moment: it can be pushed to.
            Err(ProbeProblem::Push(PushError::RefMoved { .. })) => good("; somebody else is pushing"),
            Err(problem) => Err(problem),
        }
    }

    /// Makes the branch and removes it again.
    fn make_branch(&mut self) -> Result<ProbeOutcome, ProbeProblem> {
        let push = self.scratch(None, None)?.of(self.report.refname.clone());
        match self.persist(&push) {
            Ok(()) => {}
            Err(ProbeProblem::Push(PushError::RefMoved { .. })) => {
                let text = "pushes to the branch are accepted; somebody else has just made it";
                return Ok(ProbeOutcome::Good(text.to_owned()));
            }
            Err(problem) => {
                if let ProbeProblem::Push(error) = &problem {
                    self.left.remove_after(error, self.remote, &push);
                }
                return Err(problem);
            }
        }
        let text = match self.remote.delete_branch(push.refname(), push.new_tip()) {
            Ok(()) | Err(PushError::RefMoved { .. }) => {
                let text = "pushes to the branch are accepted; it was made to find out, and removed again";
                return Ok(ProbeOutcome::Good(text.to_owned()));
            }
            Err(error) => format!(
                "pushes to the branch are accepted; it was made to find out, with one commit without files, and could not be removed ({error}): remove it by hand, or let the mirror go on from there"
            ),
        };
        Ok(ProbeOutcome::Notice(text))
    }

    /// Pushes, and once more if somebody is said to be changing a branch that stays where it is.
    fn persist(&self, push: &PendingPush) -> Result<(), ProbeProblem> {
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let error = match self.remote.push(push) {
                Ok(()) => return Ok(()),
                Err(error @ PushError::Contended { .. }) => error,
                Err(error) => return Err(error.into()),
            };
            let actual = self.remote.tip(push.refname())?;
            if actual != self.report.tip {
                let (remote, refname) = (self.report.remote.clone(), push.refname().clone());
                return Err(PushError::RefMoved {
                    remote,
                    refname,
                    actual,
                }
                .into());
            }
            if attempts_left == 0 {
                return Err(ProbeProblem::Stuck {
                    refname: push.refname().clone(),
                    source: Box::new(error),
                });
            }
            thread::sleep(PAUSE);
        }
    }

    fn push_more(&mut self, trials: ProbeTrials<'_>) {
        let ProbeTrials {
            author_domain,
            file_bytes,
        } = trials;
        if let Some(domain) = author_domain {
            let email = format!("connection.test@{domain}");
            let made = self.scratch(Some(("Connection Test", &email)), None);
            let unique = format!("{}-people", self.unique);
            match self.push_scratch(made, &unique) {
                Ok(()) => {
                    let text = format!("a commit whose author is <{email}> is accepted");
                    self.report.add(ProbeSubject::People, ProbeOutcome::Good(text));
                }
                Err(problem) => self.tell(ProbeSubject::People, problem),
            }
        }
        if let Some(bytes) = file_bytes.filter(|_| !self.size_is_told()) {
            let unique = format!("{}-size", self.unique);
            let outcome = match self.push_scratch(self.scratch(None, Some(bytes)), &unique) {
                Ok(()) => ProbeOutcome::Good(format!("a file of {bytes} bytes is accepted")),
                Err(problem) => ProbeOutcome::Bad(problem),
            };
            self.report.add(ProbeSubject::Size, outcome);
        }
    }

    fn scratch(&self, person: Option<(&str, &str)>, file_bytes: Option<u32>) -> Result<Scratch, WriteError> {
        Scratch::new(self.report.tip, self.author, person, file_bytes, self.now)
    }

    /// Pushes a branch of its own, and removes it again.
    fn push_scratch(
        &mut self,
        scratch: Result<Scratch, WriteError>,
        unique: &str,
    ) -> Result<(), ProbeProblem> {
        let push = scratch?.of_its_own(unique)?;
        match self.remote.push(&push) {
            Ok(()) => {
                // What is left is told at the end.
                let _ = self.left.remove(self.remote, push.refname(), push.new_tip());
                Ok(())
            }
            Err(error) => {
                self.left.remove_after(&error, self.remote, &push);
                Err(error.into())
            }
        }
    }

    /// Tells a problem under its own name where that is another one than what was looked for.
    fn tell(&mut self, subject: ProbeSubject, problem: ProbeProblem) {
        if !is_about_size(&problem) {
            self.report.add(subject, ProbeOutcome::Bad(problem));
            return;
        }
        let why = "a limit on the size is in the way";
        self.report.add(subject, ProbeOutcome::NotTried(why));
        if !self.size_is_told() {
            self.report.add(ProbeSubject::Size, ProbeOutcome::Bad(problem));
        }
    }

    fn size_is_told(&self) -> bool {
        let mut checks = self.report.checks.iter();
        checks.any(|check| check.subject == ProbeSubject::Size)
    }

    /// Removes what earlier tests left, and names what cannot be removed.
    fn tidy(&mut self, branches: &[(RefName, Oid)]) {
        let swept = self.left.sweep(self.remote, branches);
        if swept > 0 {
            let text = format!("branches of earlier tests were removed: {swept}");
            self.report.add(ProbeSubject::Scratch, ProbeOutcome::Good(text));
        }
        for (refname, why) in std::mem::take(&mut self.left.branches) {
            let text = format!(
                "branch `{}`, which a connection test made to find out, could not be removed ({why}): remove it by hand",
                refname.short()
            );
            self.report.add(ProbeSubject::Scratch, ProbeOutcome::Notice(text));
        }
    }
}

fn is_about_size(problem: &ProbeProblem) -> bool {
    matches!(
        problem,
        ProbeProblem::Push(
            PushError::Refused {
                refusal: Refusal::PushTooLarge | Refusal::FileTooLarge { .. } | Refusal::Quota,
                ..
            } | PushError::Transport(TransportError::RequestTooLarge { .. })
        )
    )
}

/// Says whether nothing else can be pushed either.
fn is_final(problem: &ProbeProblem) -> bool {
    matches!(
        problem,
        ProbeProblem::Remote(_)
            | ProbeProblem::Push(
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
            )
    )
}
