//! Which packs of a repository the mirror wrote and may join, and who is working on them.
//!
//! A directory `kbc-mirror.packs` beside `objects` holds a file for each, whatever is in it: `<name>` for a pack that may be
//! joined, `<name>.<new>` for one whose objects are all in the pack `<new>`, so that it may go. While a pack is pushed that
//! file is its `.keep`, and it is moved here when it has been. None of these files is synced:
//! a pack whose file is lost is a stranger's and stays. The file `lock` there is held, shared, by whoever stores a
//! pack, and alone by whoever joins and removes packs; the system lets go of it when the process dies.

use crate::{
    disk::{self, DiskError, at},
    packfile::PackFile,
    patience::{lock_shared_within, lock_within},
};
use mirror_core::ids::Oid;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const DIRECTORY: &str = "kbc-mirror.packs";
const LOCK: &str = "lock";
/// What the mirror writes into its `.keep` files: for a pack that was there already, and for one that will be its own.
pub(super) const KEEP: &[u8] = b"kbc-mirror is pushing\n";
pub(super) const KEEP_OWN: &[u8] = b"kbc-mirror is pushing a pack of its own\n";
/// Joining takes a fraction of a second, on a bad disk some.
const STORE_WAIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct OwnPacks {
    directory: PathBuf,
}

/// A pack of the mirror's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OwnPack {
    /// May be joined with others.
    Whole(Oid),
    /// May go as long as the other one is there.
    JoinedInto { old: Oid, new: Oid },
}

/// Nobody else stores, joins or removes packs as long as this lives.
#[derive(Debug)]
pub(super) struct Alone {
    _lock: File,
    /// What time it is, by the clock of the file system.
    pub(super) now: SystemTime,
}

/// A pack is kept from being removed, by Git too, until this is dropped; then it is the mirror's own, if it shall be.
#[derive(Debug)]
pub(super) struct Kept {
    path: Option<PathBuf>,
    /// Where the file goes then.
    own: Option<PathBuf>,
    /// Whoever has it alone knows that a file of ours, if there is one, is a dead process's.
    _lock: File,
}

impl Kept {
    /// Git's housekeeping may remove what no branch needs, and for a moment none needs what is being pushed. So the
    /// pack is marked in Git's own way, before it is there, until the branch has moved.
    pub(super) fn new(file: &PackFile, lock: File, own: Option<PathBuf>) -> Result<Self, DiskError> {
        let path = file.keep();
        let mark = if own.is_some() { KEEP_OWN } else { KEEP };
        match File::create_new(&path).and_then(|mut keep| keep.write_all(mark)) {
            Ok(()) => Ok(Self {
                path: Some(path),
                own,
                _lock: lock,
            }),
            // Somebody wants to keep it anyway, or died while pushing it: the next one to join packs sees to that.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self {
                path: None,
                own: None,
                _lock: lock,
            }),
            Err(error) => {
                // Best effort: the error that matters is the other one.
                let _ = fs::remove_file(&path);
                Err(at(&path)(error))
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // If this fails, the next one to join packs finds our mark.
        if let Some(path) = &self.path {
            let _ = match &self.own {
                Some(own) => take_over(path, own),
                None => disk::remove(path),
            };
        }
    }
}

/// Makes the `.keep` of a pack the file that says that it is the mirror's.
pub(super) fn take_over(keep: &Path, own: &Path) -> Result<(), DiskError> {
    match fs::rename(keep, own) {
        // `objects` may be on another file system.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            File::create(own).map_err(at(own))?;
            disk::remove(keep)
        }
        renamed => renamed.map_err(at(keep)),
    }
}

impl OwnPacks {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            directory: root.join(DIRECTORY),
        }
    }

    /// Keeps packs from being joined and removed until the file is dropped; none if somebody else works on them for long.
    pub(super) fn hold(&self) -> Result<Option<File>, DiskError> {
        let (path, lock) = self.open_lock()?;
        let locked = lock_shared_within(&lock, STORE_WAIT).map_err(at(&path))?;
        Ok(locked.then_some(lock))
    }

    /// Keeps everybody else away, if nobody is here now.
    pub(super) fn alone(&self) -> Result<Option<Alone>, DiskError> {
        let (path, mut lock) = self.open_lock()?;
        if !lock_within(&lock, Duration::ZERO).map_err(at(&path))? {
            return Ok(None);
        }
        // To write is to ask for the time.
        let now = lock
            .write_all(b"\n")
            .and_then(|()| lock.metadata()?.modified())
            .map_err(at(&path))?;
        Ok(Some(Alone { _lock: lock, now }))
    }

    pub(super) fn add(&self, name: Oid) -> Result<(), DiskError> {
        let path = self.path(OwnPack::Whole(name));
        File::create(&path).map(drop).map_err(at(&path))
    }

    pub(super) fn change(&self, from: OwnPack, to: OwnPack) -> Result<(), DiskError> {
        let (from, to) = (self.path(from), self.path(to));
        fs::rename(&from, &to).map_err(at(&from))
    }

    pub(super) fn forget(&self, pack: OwnPack) -> Result<(), DiskError> {
        disk::remove(&self.path(pack))
    }

    pub(super) fn list(&self) -> Result<Vec<OwnPack>, DiskError> {
        let files = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(at(&self.directory))?,
        };
        let mut packs = Vec::new();
        for file in files {
            let name = file.map_err(at(&self.directory))?.file_name();
            packs.extend(name.to_str().and_then(parse));
        }
        packs.sort_unstable();
        Ok(packs)
    }

    fn open_lock(&self) -> Result<(PathBuf, File), DiskError> {
        disk::create_directories(&self.directory)?;
        let path = self.directory.join(LOCK);
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at(&path))?;
        Ok((path, lock))
    }

    /// Returns the file that says it of a pack.
    pub(super) fn path(&self, pack: OwnPack) -> PathBuf {
        self.directory.join(match pack {
            OwnPack::Whole(name) => name.to_string(),
            OwnPack::JoinedInto { old, new } => format!("{old}.{new}"),
        })
    }
}

fn parse(name: &str) -> Option<OwnPack> {
    Some(match name.split_once('.') {
        None => OwnPack::Whole(Oid::parse(name).ok()?),
        Some((old, new)) => OwnPack::JoinedInto {
            old: Oid::parse(old).ok()?,
            new: Oid::parse(new).ok()?,
        },
    })
}
