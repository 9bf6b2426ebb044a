//! Changing branches: all of a list, or none.

use super::{LockFile, Refs, RefsError, parse_packed, without};
use crate::{
    disk::{self, DiskError, at},
    ref_update::RefUpdate,
};
use mirror_core::ids::Oid;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A change that was not made, because of the update with this number.
#[derive(Debug)]
pub(crate) struct SwapError {
    pub(crate) number: usize,
    pub(crate) error: RefsError,
}

/// A branch that is locked and where it is expected.
struct Ready {
    path: PathBuf,
    actual: Option<Oid>,
    new: Option<Oid>,
    /// Where its new content is, if it moves.
    written: Option<PathBuf>,
    _lock: LockFile,
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(written) = &self.written {
            // Renamed, as a rule. What is left is overwritten by the next change.
            let _ = fs::remove_file(written);
        }
    }
}

impl Refs {
    /// Moves branches from where each is expected to where it shall be.
    ///
    /// Everything that can say no is asked before the first one moves. After that only the disk can fail, or the process
    /// be killed; then, as with Git itself, some have moved and others not, but each is at one of its two places.
    pub(crate) fn swap(&self, updates: &[&RefUpdate]) -> Result<(), SwapError> {
        let failed = |number| move |error| SwapError { number, error };
        let _alone = self.take_own_lock().map_err(failed(0))?;
        let mut ready = Vec::with_capacity(updates.len());
        for (number, update) in updates.iter().enumerate() {
            ready.push(self.prepare(update, number).map_err(failed(number))?);
        }
        let deletions: Vec<(usize, &str)> = (updates.iter().zip(&ready).enumerate())
            .filter(|(_, (_, ready))| matches!(ready, Some(Ready { new: None, .. })))
            .map(|(number, (update, _))| (number, update.refname.as_str()))
            .collect();
        if let Some((number, _)) = deletions.first() {
            let names: Vec<&str> = deletions.iter().map(|(_, name)| *name).collect();
            // First from `packed-refs`, then the files: in between each branch is still where it was.
            self.unpack(&names).map_err(failed(*number))?;
        }
        for (number, ready) in ready.iter_mut().enumerate() {
            let Some(ready) = ready else { continue };
            ready.finish().map_err(|error| failed(number)(error.into()))?;
        }
        Ok(())
    }

    /// Locks a branch, makes sure that it is where it is expected, and writes its new content aside. None if there is
    /// nothing to do.
    fn prepare(&self, update: &RefUpdate, number: usize) -> Result<Option<Ready>, RefsError> {
        let RefUpdate {
            refname,
            expected_old,
            new,
        } = update;
        let path = self.root.join(refname.as_str());
        if new.is_some() {
            self.make_room(refname)?;
        } else if self.read(refname)?.is_none() {
            // Where there is no branch there may be no room for its lock either: its parent may be a branch.
            return match expected_old {
                Some(_) => Err(RefsError::Moved(None)),
                None => Ok(None),
            };
        } else if !path.parent().is_some_and(Path::is_dir) {
            // Git removes the directories of branches that it has packed.
            disk::create_directories(path.parent().unwrap_or(&self.root))?;
        }
        let lock = self.lock(&path)?;
        let actual = self.read(refname)?;
        if actual != *expected_old {
            return Err(RefsError::Moved(actual));
        }
        let mut ready = Ready {
            path,
            actual,
            new: *new,
            written: None,
            _lock: lock,
        };
        if let Some(id) = new.filter(|_| actual != *new) {
            let aside = self.root.join(match number {
                0 => "kbc-mirror.ref".to_owned(),
                number => format!("kbc-mirror.ref.{number}"),
            });
            disk::write_synced(&aside, format!("{id}\n").as_bytes())?;
            ready.written = Some(aside);
        }
        Ok(Some(ready))
    }

    /// Removes branches from `packed-refs`.
    fn unpack(&self, names: &[&str]) -> Result<(), RefsError> {
        let packed = self.root.join("packed-refs");
        let Some(content) = disk::read_optional(&packed)? else {
            return Ok(());
        };
        let there = parse_packed(&content)?;
        if !names.iter().any(|name| there.contains_key(*name)) {
            return Ok(());
        }
        let _lock = self.lock(&packed)?;
        let mut content = disk::read_optional(&packed)?.unwrap_or_default();
        for name in names {
            content = without(&content, name);
        }
        disk::replace(&self.root.join("kbc-mirror.packed"), &packed, &content)?;
        Ok(disk::sync_directory(&self.root)?)
    }
}

impl Ready {
    fn finish(&mut self) -> Result<(), DiskError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        match (&self.written, self.new) {
            (Some(written), _) => {
                fs::rename(written, &self.path).map_err(at(&self.path))?;
                self.written = None;
            }
            (None, None) if self.actual.is_some() => disk::remove(&self.path)?,
            (None, _) => return Ok(()),
        }
        disk::sync_directory(directory)
    }
}
