//! Reading objects by id, from whatever packs and loose files a repository has.
//!
//! The one place that holds gix's object database. Ids and kinds in, bytes out.

use crate::{
    disk::{DiskError, at},
    error::StoreError,
    pack,
};
use gix::objs::{Exists as _, Find as _, Kind};
use mirror_core::ids::Oid;
use std::{
    fmt,
    path::Path,
    sync::{Mutex, PoisonError},
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
        let expected = match kind {
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Commit => "commit",
            Kind::Tag => "tag",
        };
        match self.find(id)? {
            Some((found, content)) if found == kind => Ok(content),
            Some(_) => Err(StoreError::WrongKind { id, expected }),
            None if id == EMPTY_TREE && kind == Kind::Tree => Ok(Vec::new()),
            None => Err(StoreError::Missing { id }),
        }
    }
}

/// The objects of one repository on disk.
pub(crate) struct Objects(Mutex<gix::odb::HandleArc>);

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Objects")
    }
}

/// How much decoded object data is kept for the next read; holds the hot trees of a large project.
const CACHE_BYTES: usize = 16 << 20;

impl Objects {
    /// Opens `objects`; `packs_max` bounds how many packs may be there at any time.
    ///
    /// gix fixes that number at opening, and by default at what it finds then: a process that adds packs runs out of
    /// slots after some thirty of them.
    pub(crate) fn open(objects: &Path, packs_max: u16) -> Result<Self, DiskError> {
        let options = gix::odb::store::init::Options {
            slots: gix::odb::store::init::Slots::Given(packs_max),
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
        Ok(Self(Mutex::new(handle)))
    }

    pub(crate) fn contains(&self, id: Oid) -> bool {
        self.handle().exists(&pack::to_gix(id))
    }

    fn handle(&self) -> std::sync::MutexGuard<'_, gix::odb::HandleArc> {
        // A panic in another thread leaves at worst a cache without an entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Objects {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        let mut content = Vec::new();
        let found = self
            .handle()
            .try_find(&pack::to_gix(id), &mut content)
            .map(|data| data.map(|data| data.kind));
        match found {
            Ok(kind) => Ok(kind.map(|kind| (kind, content))),
            Err(error) => Err(StoreError::Damaged {
                id,
                problem: error.to_string(),
            }),
        }
    }
}
