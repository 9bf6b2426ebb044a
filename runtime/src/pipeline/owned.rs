//! What a tree has where only a mirror writes, whoever put it there.

use mirror_core::{
    ids::Oid,
    path::{MirrorPath, OwnedPaths},
};
use mirror_git::{Store, StoreError, TreeEntry};

/// Returns what a tree has in the places of a mirror: its directories, or whatever is in the place of one. Of `AGENTS.md`,
/// which may be somebody else's, only a directory.
pub(crate) fn places(
    git: &Store,
    owned: &OwnedPaths,
    tree: Oid,
) -> Result<Vec<(MirrorPath, TreeEntry)>, StoreError> {
    let guide = owned.agents_file();
    let mut found = Vec::new();
    for root in owned.roots() {
        let entry = git.entry(tree, &root)?;
        let entry = entry.filter(|entry| entry.is_directory || root != guide);
        found.extend(entry.map(|entry| (root, entry)));
    }
    Ok(found)
}

/// Returns the path of the first thing in a tree that is where only a mirror writes; it may be of any bytes.
pub(crate) fn first_file(git: &Store, owned: &OwnedPaths, tree: Oid) -> Result<Option<String>, StoreError> {
    for (root, entry) in places(git, owned, tree)? {
        if !entry.is_directory {
            return Ok(Some(root.to_string()));
        }
        if let Some(file) = git.files_below(tree, Some(&root))?.next() {
            return Ok(Some(String::from_utf8_lossy(&file?.path).into_owned()));
        }
    }
    Ok(None)
}
