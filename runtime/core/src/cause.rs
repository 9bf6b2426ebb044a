//! What a failure comes from, as far as people need to know to mend it.
//!
//! Errors are sorted into these by the room that knows them; who must act is the
//! [`Disposition`](crate::retry::Disposition)'s affair.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What an attempt failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Keboola does not answer, or not well.
    Keboola,
    /// Keboola does not accept the token, or it is not of this project.
    KeboolaToken,
    /// The Git server does not answer, or not well.
    Remote,
    /// The Git server does not accept the credentials, or they may not write.
    Credentials,
    /// The branch, or the repository, takes no pushes from the mirror.
    BranchProtected,
    /// There is no such repository, or it moved.
    RepositoryGone,
    /// The repository, or its server, has no room.
    Quota,
    /// The server objects to what is pushed: a secret, a large file, a rule.
    PushRefused,
    /// The next commit would delete too much.
    MassDeletion,
    /// The branch's history was rewritten, or the branch deleted, by somebody else.
    HistoryRewritten,
    /// Files lie where the mirror would write, and are not its own.
    ForeignFiles,
    /// Addresses, certificates and other settings.
    Settings,
    /// The machine that the mirror runs on.
    Host,
    /// A defect of the mirror.
    Defect,
}

impl Cause {
    pub const ALL: [Self; 14] = [
        Self::Keboola,
        Self::KeboolaToken,
        Self::Remote,
        Self::Credentials,
        Self::BranchProtected,
        Self::RepositoryGone,
        Self::Quota,
        Self::PushRefused,
        Self::MassDeletion,
        Self::HistoryRewritten,
        Self::ForeignFiles,
        Self::Settings,
        Self::Host,
        Self::Defect,
    ];

    /// Returns the word for labels, logs and payloads.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Keboola => "keboola",
            Self::KeboolaToken => "keboola_token",
            Self::Remote => "remote",
            Self::Credentials => "credentials",
            Self::BranchProtected => "branch_protected",
            Self::RepositoryGone => "repository_gone",
            Self::Quota => "quota",
            Self::PushRefused => "push_refused",
            Self::MassDeletion => "mass_deletion",
            Self::HistoryRewritten => "history_rewritten",
            Self::ForeignFiles => "foreign_files",
            Self::Settings => "settings",
            Self::Host => "host",
            Self::Defect => "defect",
        }
    }

    /// Returns whether it concerns one Git branch, and so may be there for one and not for another.
    #[must_use]
    pub fn is_of_branch(self) -> bool {
        match self {
            Self::BranchProtected
            | Self::PushRefused
            | Self::MassDeletion
            | Self::HistoryRewritten
            | Self::ForeignFiles
            | Self::Defect => true,
            Self::Keboola
            | Self::KeboolaToken
            | Self::Remote
            | Self::Credentials
            | Self::RepositoryGone
            | Self::Quota
            | Self::Settings
            | Self::Host => false,
        }
    }

    /// Says in a few words what is wrong, for the head of a notice.
    #[must_use]
    pub fn headline(self) -> &'static str {
        match self {
            Self::Keboola => "Keboola cannot be reached",
            Self::KeboolaToken => "Keboola does not accept the token",
            Self::Remote => "the Git server cannot be reached",
            Self::Credentials => "the Git server does not accept the credentials",
            Self::BranchProtected => "the branch takes no pushes",
            Self::RepositoryGone => "the repository is not there",
            Self::Quota => "the repository has no room left",
            Self::PushRefused => "the Git server refuses what is pushed",
            Self::MassDeletion => "a mass deletion is held",
            Self::HistoryRewritten => "the branch was rewritten or deleted",
            Self::ForeignFiles => "files are in the way",
            Self::Settings => "a setting does not work",
            Self::Host => "the mirror's machine is in trouble",
            Self::Defect => "the mirror itself fails",
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Keboola => {
                "Nothing, if Keboola is known to be down: it is tried again every few minutes. Otherwise check the stack's address and what stands between."
            }
            Self::KeboolaToken => {
                "Give the mirror a valid master token of this project. One in a file is taken within seconds of being replaced there; one in an environment variable takes a restart."
            }
            Self::Remote => {
                "Nothing, if the Git server is known to be down: it is tried again every few minutes. Otherwise check the repository's address, its firewall and what stands between."
            }
            Self::Credentials => {
                "Renew the mirror's Git token or key, or give its account write access to the repository. One in a file is taken within seconds of being replaced there; one in an environment variable takes a restart. `kbc-mirror mirror test` tells whether it works."
            }
            Self::BranchProtected => {
                "Let the mirror's account push to this branch, or give the mirror another one; unarchive the repository if it is read-only."
            }
            Self::RepositoryGone => {
                "Put the repository back, or give the mirror its new address; check that its credentials may see it."
            }
            Self::Quota => {
                "Free space in the repository or buy more; the server's operator must mend a full disk."
            }
            Self::PushRefused => {
                "Mend in Keboola what the server objects to, which the next attempt takes up; or exempt the mirror's account from the rule and run `kbc-mirror once` with `--release-refused`."
            }
            Self::MassDeletion => {
                "If objects are missing in Keboola by mistake, restore them there: the mirror goes on by itself. If they are to go, have the operator accept this batch as the reason says. Where they are withheld, mend what it names."
            }
            Self::HistoryRewritten => {
                "Put the branch back to the commit that the reason names, or have the operator do what the reason says. The mirror never forces a push."
            }
            Self::ForeignFiles => {
                "Remove the files, or have the operator set `adopt = true` to let the mirror replace them, or a `prefix` to write elsewhere."
            }
            Self::Settings => "Have the operator correct the setting that the reason names.",
            Self::Host => {
                "Have the operator look at the mirror's machine: its disk, its permissions, its log."
            }
            Self::Defect => "Have the operator report it with the mirror's log.",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_the_stored_form() {
        for cause in Cause::ALL {
            let stored = serde_json::to_value(cause).unwrap();
            assert_eq!(stored, cause.code());
        }
    }
}
