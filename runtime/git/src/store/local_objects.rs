//! The objects of a store: those of the last pushes from memory, all others from packs.

use super::recent::{self, Recent};
use crate::{
    disk::{self, DiskError},
    error::StoreError,
    objects::{Objects, Source, Writers},
    pack::{Durability, Pack},
    packfile::PackFile,
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug)]
pub(crate) struct LocalObjects {
    packed: Objects,
    recent: Mutex<Recent>,
    /// Where packs are.
    packs: PathBuf,
}

impl LocalObjects {
    /// Opens what is below `objects`, and makes a pack of what a process before left that had none yet.
    pub(super) fn open(objects: &Path) -> Result<Self, DiskError> {
        let (file, packs) = (objects.join(recent::FILE), objects.join("pack"));
        let left = recent::left(&file)?;
        if let Some(pack) = recent::together(left.iter(), |_, _| true)? {
            pack.store(&packs, Durability::Cached)?;
        }
        disk::remove(&file)?;
        Ok(Self {
            packed: Objects::open(objects, Writers::Us)?,
            recent: Mutex::new(Recent::new(file)),
            packs,
        })
    }

    /// Keeps a pack; returns whether there is a further one in the directory now.
    pub(super) fn keep(&self, pack: &Pack) -> Result<bool, DiskError> {
        if self.recent().take(pack)? {
            return Ok(false);
        }
        self.store(pack, Durability::Cached)?;
        Ok(true)
    }

    /// Makes a file of a pack.
    pub(super) fn store(&self, pack: &Pack, durability: Durability) -> Result<(), DiskError> {
        let stored = pack.store(&self.packs, durability);
        self.packed.changed();
        stored
    }

    /// Removes packs that others have taken the place of.
    pub(super) fn remove<'p>(&self, packs: impl Iterator<Item = &'p PackFile>) -> Result<(), DiskError> {
        let mut packs = packs;
        let removed = packs.try_for_each(PackFile::remove);
        self.packed.changed();
        removed
    }

    /// Makes one pack of what was pushed last, but for some packs; returns whether there is a further one in the directory now.
    pub(super) fn put_together(
        &self,
        stays: impl Fn(Oid) -> bool,
        wanted: impl Fn(&Oid, Kind) -> bool,
    ) -> Result<bool, DiskError> {
        let mut recent = self.recent();
        let pack = recent::together(recent.packs().iter().filter(|pack| !stays(pack.name)), wanted)?;
        if let Some(pack) = &pack {
            self.store(pack, Durability::Cached)?;
        }
        recent.retain(stays)?;
        Ok(pack.is_some())
    }

    /// Returns whether it is time for that.
    pub(super) fn has_much_recent(&self) -> bool {
        self.recent().is_full()
    }

    pub(crate) fn contains(&self, id: Oid) -> bool {
        self.recent().contains(id) || self.packed.contains(id)
    }

    /// Forgets everything about the files that were read; they are others now.
    pub(crate) fn reopen(&self) -> Result<(), DiskError> {
        self.recent().forget();
        self.packed.reopen()
    }

    /// Lets go of open files and of what was read, until something is read again.
    pub(super) fn rest(&self) {
        self.packed.rest();
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // At worst it lacks what is in packs.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for LocalObjects {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        let found = self.recent().find(id)?;
        match found {
            Some(found) => Ok(Some(found)),
            None => self.packed.find(id),
        }
    }
}
