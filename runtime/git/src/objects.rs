//! Reading objects by id, from whatever packs and loose files a repository has.
//!
//! The one place that holds gix's object database. Ids and kinds in, bytes out.

use crate::{
    disk::{DiskError, at},
    error::StoreError,
    pack,
};
use gix::{
    objs::{Exists as _, Find as _, Kind},
    odb::store::RefreshMode,
};
use mirror_core::ids::Oid;
use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The tree without entries, which need not be stored to exist.
pub(crate) const EMPTY_TREE: Oid = Oid::from_bytes([
    0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60, 0xe5, 0x4b, 0xf8, 0xd6, 0x92, 0x88, 0xfb,
    0xee, 0x49, 0x04,
]);

/// Where objects can be read from.
pub(crate) trait Source {
    /// Returns an object; none if it is not there.
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError>;

    /// Returns an object that must be there and of this kind.
    fn require(&self, id: Oid, kind: Kind) -> Result<Vec<u8>, StoreError> {
        match self.find(id)? {
            Some((found, content)) if found == kind => Ok(content),
            Some(_) => Err(StoreError::wrong_kind(id, kind)),
            None if id == EMPTY_TREE && kind == Kind::Tree => Ok(Vec::new()),
            None => Err(StoreError::Missing { id }),
        }
    }
}

/// The objects of one repository on disk.
pub(crate) struct Objects {
    path: PathBuf,
    writers: Writers,
    opened: Mutex<Opened>,
}

/// Who adds packs to a repository, and removes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Only this process, which says so ([`Objects::changed`]). The directory is not looked through for each object that is not there.
    Us,
    Anyone,
}

#[derive(Default)]
struct Opened {
    /// None while nobody reads.
    handle: Option<gix::odb::HandleArc>,
    /// Whether there may be packs in the directory that the handle does not know.
    is_behind: bool,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Objects")
    }
}

/// How much decoded object data is kept for the next read; holds the hot trees of a large project.
const CACHE_BYTES: usize = 16 << 20;

/// Packs that there may be at a time, or twice as many as there are when it is opened. gix fixes that number then, and by
/// default near what it finds: a process that adds packs would run out of slots after some thirty of them.
const PACKS_MIN: usize = 4096;

impl Objects {
    /// Makes sure that `objects` can be opened, which is done when something is read.
    pub(crate) fn open(objects: &Path, writers: Writers) -> Result<Self, DiskError> {
        drop(open(objects)?);
        Ok(Self {
            path: objects.to_owned(),
            writers,
            opened: Mutex::default(),
        })
    }

    /// Notes that packs were added or removed.
    pub(crate) fn changed(&self) {
        self.opened().is_behind = true;
    }

    /// Forgets everything about the files that were read; they may be others now.
    pub(crate) fn reopen(&self) -> Result<(), DiskError> {
        let new = open(&self.path)?;
        self.opened().handle = Some(new);
        Ok(())
    }

    /// Lets go of open files and of what was read, until something is read again.
    pub(crate) fn rest(&self) {
        self.opened().handle = None;
    }

    pub(crate) fn contains(&self, id: Oid) -> bool {
        // A file that gix cannot cope with is met again, and reported, by `find`.
        let found = self.ask(|handle| handle.exists(&pack::to_gix(id)).then_some(()));
        found.ok().flatten().flatten().is_some()
    }

    /// Asks gix for something, which looks for new packs first where there may be some that have it; none if it panics, as it
    /// may on a file that is cut off or overwritten.
    fn ask<T>(
        &self,
        question: impl FnOnce(&gix::odb::HandleArc) -> Option<T>,
    ) -> Result<Option<Option<T>>, DiskError> {
        let mut opened = self.opened();
        let Opened { handle, is_behind } = &mut *opened;
        let handle = match handle {
            Some(handle) => handle,
            none => none.insert(open(&self.path)?),
        };
        *is_behind |= self.writers == Writers::Anyone;
        handle.refresh = if *is_behind {
            RefreshMode::AfterAllIndicesLoaded
        } else {
            RefreshMode::Never
        };
        let answer = panic::catch_unwind(AssertUnwindSafe(|| question(handle)));
        if matches!(answer, Ok(None)) {
            // Looking for it, gix has looked through the directory.
            *is_behind = false;
        }
        Ok(answer.ok())
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        // A panic in another thread leaves at worst a cache without an entry.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(objects: &Path) -> Result<gix::odb::HandleArc, DiskError> {
    let options = gix::odb::store::init::Options {
        slots: gix::odb::store::init::Slots::AsNeededByDiskState {
            multiplier: 2.0,
            minimum: PACKS_MIN,
        },
        ..Default::default()
    };
    let mut handle = gix::odb::at_opts(objects, gix::hash::Kind::Sha1, None, options)
        .and_then(gix::odb::Handle::into_arc)
        .map_err(at(objects))?;
    handle.set_pack_cache(|| Box::new(gix::odb::pack::cache::lru::StaticLinkedList::<64>::default()));
    handle.set_object_cache(|| {
        Box::new(gix::odb::pack::cache::object::MemoryCappedHashmap::new(
            CACHE_BYTES,
        ))
    });
    Ok(handle)
}

impl Source for Objects {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        let mut content = Vec::new();
        let found = self.ask(|handle| {
            let found = handle.try_find(&pack::to_gix(id), &mut content);
            let kind = found.map(|data| data.map(|data| data.kind));
            kind.map_err(|error| error.to_string()).transpose()
        })?;
        let damaged = |problem| StoreError::Damaged { id, problem };
        match found {
            Some(Some(kind)) => Ok(Some((kind.map_err(damaged)?, content))),
            Some(None) => Ok(None),
            None => Err(damaged("a pack is cut off or overwritten".to_owned())),
        }
    }
}
