//! What shall become of branches in one push, and what became of each.

use crate::{error::PushError, refname::RefName};
use mirror_core::ids::Oid;
use std::{collections::BTreeSet, fmt};
use thiserror::Error;

/// What shall become of one branch, and where it must be for that: a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    pub(crate) refname: RefName,
    /// None if there must be no such branch.
    pub(crate) expected_old: Option<Oid>,
    /// None to delete it. Never none together with `expected_old`.
    pub(crate) new: Option<Oid>,
}

impl RefUpdate {
    /// Makes a branch, of which there must be none.
    #[must_use]
    pub fn create(refname: RefName, new: Oid) -> Self {
        Self::to(refname, None, new)
    }

    /// Moves a branch from where it must be.
    #[must_use]
    pub fn advance(refname: RefName, expected_old: Oid, new: Oid) -> Self {
        Self::to(refname, Some(expected_old), new)
    }

    /// Makes or moves a branch: none as the old id means that there must be no such branch.
    #[must_use]
    pub fn to(refname: RefName, expected_old: Option<Oid>, new: Oid) -> Self {
        Self {
            refname,
            expected_old,
            new: Some(new),
        }
    }

    /// Deletes a branch, if it is where it must be. One that does not exist is deleted already.
    #[must_use]
    pub fn delete(refname: RefName, expected_old: Oid) -> Self {
        Self {
            refname,
            expected_old: Some(expected_old),
            new: None,
        }
    }

    #[must_use]
    pub fn refname(&self) -> &RefName {
        &self.refname
    }

    /// Returns where the branch must be, none if it must not exist.
    #[must_use]
    pub fn expected_old(&self) -> Option<Oid> {
        self.expected_old
    }

    /// Returns where the branch shall be, none if it shall be deleted.
    #[must_use]
    pub fn new_tip(&self) -> Option<Oid> {
        self.new
    }

    /// Returns whether a branch at this place needs no update any more. One that shall stay where it is tells nothing by
    /// being there.
    pub(crate) fn is_done_at(&self, actual: Option<Oid>) -> bool {
        actual == self.new && self.new != self.expected_old
    }
}

/// Updates of one push: at least one, each of another branch, and none of a branch below another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdates(Vec<RefUpdate>);

/// Updates that no server can carry out together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidRefUpdates {
    #[error("a push without a branch changes nothing")]
    Empty,
    #[error("one push updates branch `{refname}` twice")]
    Twice { refname: RefName },
    /// Git takes this for a collision even if one of the two is deleted.
    #[error("one push updates branches `{refname}` and `{below}`; make it two pushes")]
    Nested { refname: RefName, below: RefName },
}

impl RefUpdates {
    /// Checks that the updates can be carried out together.
    ///
    /// # Errors
    /// See [`InvalidRefUpdates`].
    pub fn new(updates: Vec<RefUpdate>) -> Result<Self, InvalidRefUpdates> {
        if updates.is_empty() {
            return Err(InvalidRefUpdates::Empty);
        }
        let mut names = BTreeSet::new();
        for RefUpdate { refname, .. } in &updates {
            if !names.insert(refname) {
                let refname = refname.clone();
                return Err(InvalidRefUpdates::Twice { refname });
            }
        }
        for below in &names {
            let full = below.as_str();
            let parents = full.match_indices('/').map(|(at, _)| &full[..at]);
            let mut parents = parents.filter_map(|parent| RefName::parse(parent).ok());
            if let Some(refname) = parents.find(|parent| names.contains(parent)) {
                let below = (*below).clone();
                return Err(InvalidRefUpdates::Nested { refname, below });
            }
        }
        Ok(Self(updates))
    }

    /// Returns the updates in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, RefUpdate> {
        self.0.iter()
    }

    pub(crate) fn as_slice(&self) -> &[RefUpdate] {
        &self.0
    }
}

impl From<RefUpdate> for RefUpdates {
    fn from(update: RefUpdate) -> Self {
        Self(vec![update])
    }
}

impl<'u> IntoIterator for &'u RefUpdates {
    type Item = &'u RefUpdate;
    type IntoIter = std::slice::Iter<'u, RefUpdate>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// How the updates of one push are carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushMode {
    /// All or none. A server that cannot promise that gets nothing: [`PushError::NotOffered`].
    pub atomic: bool,
    /// Handed to the server's hooks, where it takes any; [`PushReport::options_sent`] tells.
    pub options: Vec<PushOption>,
}

/// A word for the hooks of a server, such as `ci.skip`.
#[derive(Clone, PartialEq, Eq)]
pub struct PushOption(String);

/// A text that cannot be a push option.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a push option {problem}")]
pub struct InvalidPushOption {
    pub problem: &'static str,
}

impl PushOption {
    /// The longest option; a server's hooks get it as an environment variable.
    pub const BYTES_MAX: usize = 1024;

    /// Parses an option: one line of text.
    ///
    /// # Errors
    /// An empty text, control characters, or more than [`PushOption::BYTES_MAX`] bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidPushOption> {
        let problem = if text.is_empty() {
            "is empty"
        } else if text.len() > Self::BYTES_MAX {
            "is longer than 1,024 bytes"
        } else if text.chars().any(char::is_control) {
            "has control characters; it is one line of text"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(InvalidPushOption { problem })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PushOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What became of each branch of a push.
#[derive(Debug)]
pub struct PushReport {
    /// In the order of the updates.
    pub refs: Vec<RefOutcome>,
    /// Whether the server took the push options; false if there were none.
    pub options_sent: bool,
}

/// What became of one branch.
#[derive(Debug)]
pub struct RefOutcome {
    pub refname: RefName,
    /// Good if the branch is where the update puts it.
    pub outcome: Result<(), PushError>,
}

impl PushReport {
    /// Returns whether every branch is where it shall be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.refs.iter().all(|one| one.outcome.is_ok())
    }

    /// Returns what became of a branch; none if the push was not about it.
    #[must_use]
    pub fn of(&self, refname: &RefName) -> Option<&Result<(), PushError>> {
        let found = self.refs.iter().find(|one| one.refname == *refname);
        found.map(|one| &one.outcome)
    }

    /// Returns the first failure, at best one that is not the mere consequence of another.
    ///
    /// # Errors
    /// A branch that is not where it shall be.
    pub fn into_result(self) -> Result<(), PushError> {
        let mut errors: Vec<PushError> = (self.refs.into_iter())
            .filter_map(|one| one.outcome.err())
            .collect();
        let cause = errors
            .iter()
            .position(|error| !matches!(error, PushError::HeldBack { .. }));
        match errors.is_empty() {
            true => Ok(()),
            false => Err(errors.swap_remove(cause.unwrap_or(0))),
        }
    }
}

/// Outcomes as they become known, by the updates' numbers.
#[derive(Debug)]
pub(crate) struct Outcomes<'u> {
    updates: &'u [RefUpdate],
    known: Vec<Option<Result<(), PushError>>>,
}

impl<'u> Outcomes<'u> {
    pub(crate) fn new(updates: &'u RefUpdates) -> Self {
        Self {
            updates: updates.as_slice(),
            known: updates.iter().map(|_| None).collect(),
        }
    }

    /// Returns the updates whose outcome is not known yet.
    pub(crate) fn open(&self) -> Vec<(usize, &'u RefUpdate)> {
        let all = self.updates.iter().enumerate();
        all.filter(|(number, _)| self.known[*number].is_none()).collect()
    }

    pub(crate) fn settle(&mut self, number: usize, outcome: Result<(), PushError>) {
        self.known[number] = Some(outcome);
    }

    pub(crate) fn nothing_is_known(&self) -> bool {
        self.known.iter().all(Option::is_none)
    }

    pub(crate) fn has_failure(&self) -> bool {
        self.known.iter().flatten().any(Result::is_err)
    }

    /// Settles all open ones alike.
    pub(crate) fn settle_rest(&mut self, error: impl Fn(&RefUpdate) -> PushError) {
        for (number, update) in self.open() {
            self.settle(number, Err(error(update)));
        }
    }

    /// Makes the report. Every outcome must be known.
    pub(crate) fn report(self, options_sent: bool) -> PushReport {
        let both = self.updates.iter().zip(self.known);
        let refs = both.map(|(update, outcome)| RefOutcome {
            refname: update.refname.clone(),
            outcome: outcome.expect("every update is settled before the report is made"),
        });
        PushReport {
            refs: refs.collect(),
            options_sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(short: &str) -> RefUpdate {
        RefUpdate::create(RefName::branch(short).unwrap(), Oid::from_bytes([1; 20]))
    }

    #[test]
    fn only_updates_that_can_go_together_do() {
        let of = |names: &[&str]| RefUpdates::new(names.iter().map(|name| create(name)).collect());
        assert_eq!(of(&["b", "a/x", "a/y", "ab"]).unwrap().iter().count(), 4);
        assert_eq!(of(&[]).unwrap_err(), InvalidRefUpdates::Empty);
        assert!(matches!(
            of(&["a", "b", "a"]).unwrap_err(),
            InvalidRefUpdates::Twice { refname } if refname.short() == "a"
        ));
        // `a-` lies between the two in the order of names.
        assert!(matches!(
            of(&["a/b/c", "a-", "a"]).unwrap_err(),
            InvalidRefUpdates::Nested { refname, below } if (refname.short(), below.short()) == ("a", "a/b/c")
        ));
    }

    #[test]
    fn an_option_is_one_line() {
        assert_eq!(PushOption::parse("ci.skip=é").unwrap().as_str(), "ci.skip=é");
        for bad in ["", "a\nb", "a\0", &"x".repeat(PushOption::BYTES_MAX + 1)] {
            assert!(PushOption::parse(bad).is_err(), "{bad:?}");
        }
    }
}
