//! Files that survive a power cut: written aside, synced, renamed into place, directory synced.
//!
//! Knows nothing of Git. Nothing else in this room syncs, since gix never does.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A failure of the file system, with the path it happened at.
#[derive(Debug)]
pub(crate) struct DiskError {
    pub(crate) path: PathBuf,
    pub(crate) source: Arc<io::Error>,
}

impl From<DiskError> for io::Error {
    /// Keeps the kind, and says where.
    fn from(DiskError { path, source }: DiskError) -> Self {
        Self::new(source.kind(), format!("{}: {source}", path.display()))
    }
}

/// Attaches the path to an I/O error.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError {
        path,
        source: Arc::new(source),
    }
}

/// Returns a file name that no other process or thread uses at the same time, not even on another machine that
/// shares the file system and counts its processes alike.
pub(crate) fn unique_name(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // The standard library's only source of randomness; it is seeded once a process.
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    format!(
        "{prefix}{}_{:016x}_{}",
        std::process::id(),
        *PROCESS,
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Writes `content` to `target` so that at any moment either the old file or the whole new one is there.
///
/// `temporary` must be on the same file system. The directory is *not* synced: several files may share
/// one [`sync_directory`].
pub(crate) fn replace(temporary: &Path, target: &Path, content: &[u8]) -> Result<(), DiskError> {
    replace_filled(temporary, target, |file| file.write_all(content), true)
}

/// The same for what is not in memory as a whole. If it is not synced the file may have any content after a power cut.
pub(crate) fn replace_filled(
    temporary: &Path,
    target: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
    synced: bool,
) -> Result<(), DiskError> {
    let written =
        write(temporary, fill, synced).and_then(|()| fs::rename(temporary, target).map_err(at(target)));
    if written.is_err() {
        // Best effort: the error that matters is the one above.
        let _ = fs::remove_file(temporary);
    }
    written
}

/// Writes a file that is given its name later, so that nothing but the renaming is left.
pub(crate) fn write_synced(temporary: &Path, content: &[u8]) -> Result<(), DiskError> {
    let written = write(temporary, |file| file.write_all(content), true);
    if written.is_err() {
        // Best effort: the error that matters is the one above.
        let _ = fs::remove_file(temporary);
    }
    written
}

fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>, synced: bool) -> Result<(), DiskError> {
    let filled = File::create(path).and_then(|mut file| {
        fill(&mut file)?;
        if synced { file.sync_data() } else { Ok(()) }
    });
    filled.map_err(at(path))
}

/// Makes the names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), DiskError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(at(directory))
}

/// Creates `directory` and its missing parents durably.
pub(crate) fn create_directories(directory: &Path) -> Result<(), DiskError> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_directories(parent)?;
    }
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !directory.is_dir() => {
            return Err(at(directory)(error));
        }
        _ => {}
    }
    sync_directory(parent.unwrap_or(Path::new(".")))
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Reads a file; none if it is not there (or its parent is a file).
pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(at(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_aside() {
        let directory = tempfile::tempdir().unwrap();
        let nested = directory.path().join("a/b");
        create_directories(&nested).unwrap();
        create_directories(&nested).unwrap();
        let target = nested.join("x");
        for content in [b"one".as_slice(), b"two"] {
            replace(&nested.join(unique_name("tmp_")), &target, content).unwrap();
            sync_directory(&nested).unwrap();
            assert_eq!(read_optional(&target).unwrap().as_deref(), Some(content));
        }
        assert_eq!(fs::read_dir(&nested).unwrap().count(), 1);
        remove(&target).unwrap();
        remove(&target).unwrap();
        assert_eq!(read_optional(&target).unwrap(), None);
        assert_eq!(read_optional(&target.join("below")).unwrap(), None);
    }

    #[test]
    fn a_failed_write_names_the_path_and_keeps_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("x");
        fs::write(&target, "old").unwrap();
        let error = replace(&directory.path().join("missing/tmp"), &target, b"new").unwrap_err();
        assert!(error.path.ends_with("missing/tmp"));
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert!(create_directories(&target.join("below")).is_err());
    }
}
