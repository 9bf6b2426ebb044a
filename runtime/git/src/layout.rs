//! The skeleton of a bare repository.

use crate::{
    disk::{self, DiskError},
    refname::RefName,
};
use std::path::Path;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// Makes a bare repository whose `HEAD` names a branch that need not exist yet.
///
/// `HEAD` comes last: without it Git does not take the directory for a repository.
///
/// What is there already stays as it is.
pub(crate) fn create_bare(root: &Path, head: &RefName) -> Result<(), DiskError> {
    create_objects(root)?;
    for directory in ["refs/heads", "refs/tags"] {
        disk::create_directories(&root.join(directory))?;
    }
    if root.join("HEAD").exists() {
        return Ok(());
    }
    for (name, content) in [("config", CONFIG.to_owned()), ("HEAD", format!("ref: {head}\n"))] {
        disk::replace(
            &root.join(disk::unique_name("tmp_")),
            &root.join(name),
            content.as_bytes(),
        )?;
    }
    disk::sync_directory(root)
}

/// Makes the directories for objects.
pub(crate) fn create_objects(root: &Path) -> Result<(), DiskError> {
    for directory in ["objects/info", "objects/pack"] {
        disk::create_directories(&root.join(directory))?;
    }
    Ok(())
}
