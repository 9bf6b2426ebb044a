//! The mirror's own files in a tree, whoever made it.

use super::super::{attempt::Lane, error::AttemptError, owned};
use mirror_core::{
    ids::Oid,
    path::{AGENTS_MARKER, MirrorPath, OwnedPaths},
};
use mirror_git::TreeEntry;

impl Lane {
    /// Returns what a tree has where only this mirror writes ([`owned::places`]).
    pub(in crate::pipeline) fn own_places(
        &self,
        tree: Oid,
    ) -> Result<Vec<(MirrorPath, TreeEntry)>, AttemptError> {
        Ok(owned::places(&self.git, &self.transformer.owned, tree)?)
    }

    /// Returns the path of the first thing in a tree that is where only this mirror writes; it may be of any bytes.
    pub(in crate::pipeline) fn first_own_file(&self, tree: Oid) -> Result<Option<String>, AttemptError> {
        Ok(owned::first_file(&self.git, &self.transformer.owned, tree)?)
    }

    /// Lists the files in the directories of a mirror.
    pub(in crate::pipeline) fn each_file_of(
        &self,
        owned: &OwnedPaths,
        tree: Oid,
        take: &mut dyn FnMut(MirrorPath) -> Result<(), AttemptError>,
    ) -> Result<(), AttemptError> {
        let foreign = self.foreign_agents_file(tree, owned)?;
        for root in owned.roots() {
            for file in self.git.files_below(tree, Some(&root))? {
                if let Some(path) = file?.mirror_path().filter(|path| foreign.as_ref() != Some(path)) {
                    take(path)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the path of `AGENTS.md` where the tree has one that somebody else wrote.
    pub(in crate::pipeline) fn foreign_agents_file(
        &self,
        tree: Oid,
        owned: &OwnedPaths,
    ) -> Result<Option<MirrorPath>, AttemptError> {
        let path = owned.agents_file();
        let Some(file) = self.git.file(tree, &path)? else {
            return Ok(None);
        };
        let blobs = self.blobs(&[file.id])?;
        let ours = blobs
            .first()
            .is_some_and(|blob| blob.starts_with(AGENTS_MARKER.as_bytes()));
        Ok((!ours).then_some(path))
    }
}
