//! The name of a dev branch's Git branch, judged once more by what its first attempt has learnt.

use super::{super::error::AttemptError, Lane};
use crate::branches;
use mirror_git::RefName;

impl Lane {
    /// Gives a Git branch that is not there yet another name, where the one that it was to get shows a secret: which
    /// texts the project keeps secret is only known once everything was read.
    ///
    /// # Errors
    /// [`AttemptError::Renamed`] with the name that it has from now on, or a store that fails.
    pub(super) async fn settle_name(&self) -> Result<(), AttemptError> {
        if self.branch.is_default {
            return Ok(());
        }
        let guard = self.transformer.guard();
        let shows = |name: &str| guard.check_name(name).is_some();
        let other = branches::git_branch(&self.spec, branches::UNNAMED, &self.id.branch);
        // What the template itself says is the operator's.
        let Ok(refname) = RefName::branch(&other) else {
            return Ok(());
        };
        if !shows(self.refname.short()) || shows(&other) {
            return Ok(());
        }
        self.state.put_meta(&branches::name_of(&self.id), &other).await?;
        tracing::warn!(lane = %self.id, %refname, "the name of the branch has a secret in it; its Git branch is called without it");
        Err(AttemptError::Renamed { refname })
    }

    /// Returns the lane with another Git branch.
    #[must_use]
    pub fn renamed(&self, refname: RefName) -> Self {
        self.notices.name(&self.id.branch, refname.short());
        Self {
            refname,
            ..self.clone()
        }
    }
}
