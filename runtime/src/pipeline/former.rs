//! A former prefix: where `prefix` of a mirror was changed, what it wrote below the one before goes in the commit that
//! writes everything below the new one.
//!
//! Which prefix that was stands in the trailers of the lane's newest commit (`Mirror-Prefix`), so a lost disk changes
//! nothing. What goes is what that commit has in the directories that belong to a mirror of that prefix; what others
//! put there since stays, and so does everything where a commit does not say what its prefix was.

use super::{
    attempt::Lane,
    error::AttemptError,
    recover::{Known, Tip},
};
use mirror_core::{
    ids::Oid,
    path::{MirrorPath, OwnedPaths},
    trailer::Trailers,
};
use std::collections::BTreeSet;

/// What was the mirror's until its prefix was changed.
#[derive(Debug, Clone)]
pub struct Former {
    pub(super) owned: OwnedPaths,
    /// The newest commit that was made so.
    pub(super) commit: Oid,
}

impl Lane {
    /// Returns what was the mirror's, where its newest commit says that it had another prefix. Nothing is, where another
    /// mirror has committed there since, or may have.
    pub(super) fn former(&self, history: &Known) -> Option<Former> {
        let (commit, trailers) = history.newest.as_ref()?;
        let owned = trailers.owned.clone()?;
        if trailers.lane.mirror != self.id.mirror || owned == self.transformer.owned {
            return None;
        }
        let is_taken = |other: &Trailers| {
            other.lane.mirror != self.id.mirror && other.owned.as_ref().is_none_or(|taken| *taken == owned)
        };
        if let Some(other) = history.others.iter().find(|other| is_taken(other)) {
            tracing::warn!(
                lane = %self.id, former = %shown(&owned), other = %other.lane,
                "`prefix` was changed, and another mirror has committed since; what is below the former one stays, delete it where it is not the other's"
            );
            return None;
        }
        Some(Former {
            owned,
            commit: *commit,
        })
    }

    /// Lists what goes of a tree because it was written below a former prefix.
    pub(super) fn each_former_file(
        &self,
        former: &Former,
        tree: Oid,
        take: &mut dyn FnMut(MirrorPath) -> Result<(), AttemptError>,
    ) -> Result<(), AttemptError> {
        let written_in = self.tree_of(former.commit)?;
        let mut written = BTreeSet::new();
        self.each_file_of(&former.owned, written_in, &mut |path| {
            written.insert(path);
            Ok(())
        })?;
        self.each_file_of(&former.owned, tree, &mut |path| match written.contains(&path) {
            true => take(path),
            false => Ok(()),
        })?;
        let guide = former.owned.agents_file();
        let is_ours = |tree| -> Result<bool, AttemptError> {
            Ok(self.git.file(tree, &guide)?.is_some()
                && self.foreign_agents_file(tree, &former.owned)?.is_none())
        };
        if is_ours(written_in)? && is_ours(tree)? {
            take(guide.clone())?;
        }
        Ok(())
    }

    /// Returns what a month's branch has the mirror's files below, where its tip is the mirror's and says another prefix.
    pub(super) fn former_of_month(&self, tip: Tip) -> Result<Option<OwnedPaths>, AttemptError> {
        let trailers = Trailers::parse(&self.git.commit(tip.id)?.message);
        let owned = trailers
            .filter(|trailers| trailers.lane == self.id)
            .and_then(|trailers| trailers.owned);
        Ok(owned.filter(|owned| *owned != self.transformer.owned))
    }

    /// Returns the path of the first thing in a tree that is where only the mirror writes, and was not written below a former
    /// prefix.
    pub(super) fn first_beside(&self, former: &Former, tree: Oid) -> Result<Option<String>, AttemptError> {
        let places = self.own_places(tree)?;
        if let Some((root, _)) = places.iter().find(|(_, entry)| !entry.is_directory) {
            return Ok(Some(root.to_string()));
        }
        let mut found = BTreeSet::new();
        self.each_file_of(&self.transformer.owned, tree, &mut |path| {
            found.insert(path);
            Ok(())
        })?;
        if !found.is_empty() {
            self.each_former_file(former, tree, &mut |path| {
                found.remove(&path);
                Ok(())
            })?;
        }
        Ok(found.pop_first().map(|path| path.to_string()))
    }
}

/// Returns a prefix as people read it.
fn shown(owned: &OwnedPaths) -> &str {
    owned.prefix().map_or("the repository's root", MirrorPath::as_str)
}
