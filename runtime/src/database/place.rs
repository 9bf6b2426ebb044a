//! Whether the database is still the file at its path.
//!
//! A file that was deleted, or has another one in its place, can be written as long as it is open, and is gone with the
//! process. Nobody tells of it, so it is looked at with every write and wherever somebody asks how the log is.

use super::DatabaseError;
use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A file that is open, and where it was found.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    opened: Identity,
}

/// By what a file is known, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

impl Place {
    /// Takes the file that is at a path, and was opened there.
    ///
    /// # Errors
    /// A file that is not there, or cannot be looked at.
    pub(super) fn of(file: PathBuf) -> io::Result<Self> {
        // Wherever the process may go from here.
        let file = std::path::absolute(file)?;
        let opened = Identity::from(&fs::metadata(&file)?);
        Ok(Self { file, opened })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Refuses to go on where the path has no file any more, or another one.
    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        let file = || self.file.clone();
        match fs::metadata(&self.file) {
            Ok(found) if Identity::from(&found) == self.opened => Ok(()),
            Ok(_) => Err(DatabaseError::Replaced { file: file() }),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(DatabaseError::Gone { file: file() })
            }
            // Nothing is known of it.
            Err(_) => Ok(()),
        }
    }
}

/// Makes an empty file that only this user may read, if there is none; what SQLite puts beside it takes its mode over.
pub(super) fn make_private(file: &Path) -> io::Result<()> {
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
