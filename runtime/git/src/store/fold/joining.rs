//! Several packs of the store on their way into one.
//!
//! First it is settled which entries go along, then they are copied from file to file as they are. So memory is taken for where
//! objects lie, not for what they hold.

use crate::{
    encoder::{Encoder, EntryKind},
    error::StoreError,
    objects::Source,
    pack::{Pack, Writer},
    packfile::{OpenPack, PackEntry, PackFile},
    store::Store,
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::collections::HashSet;

/// Packs, and which of their entries are taken.
pub(super) struct Joining<'p> {
    store: &'p Store,
    packs: Vec<(OpenPack<'p>, Vec<Taken>)>,
    seen: HashSet<Oid>,
    blob_bytes: u64,
}

/// An entry that is taken.
#[derive(Debug, Clone, Copy)]
struct Taken {
    number: u32,
    /// Whether it is a delta, as in packs that somebody else made. It is stored whole then.
    is_delta: bool,
}

impl<'p> Joining<'p> {
    pub(super) fn new(store: &'p Store) -> Self {
        Self {
            store,
            packs: Vec::new(),
            seen: HashSet::new(),
            blob_bytes: 0,
        }
    }

    /// Takes the wanted objects of a pack that none before it had; of blobs, as many as there is room for.
    pub(super) fn add(
        &mut self,
        file: &'p PackFile,
        wanted: impl Fn(&Oid, Kind) -> bool,
    ) -> Result<(), StoreError> {
        let pack = file.open()?;
        let mut taken = Vec::new();
        let mut reader = pack.reader();
        for (number, index) in (0..pack.len()).zip(0..) {
            let id = pack.id(number);
            let (kind, bytes, is_delta) = match reader.kind(number)? {
                EntryKind::Whole(kind) => {
                    let range = pack.range(number)?;
                    (kind, range.end - range.start, false)
                }
                EntryKind::Delta { .. } | EntryKind::DeltaBefore { .. } => {
                    let (kind, content) = self.require(id)?;
                    (kind, content.len() as u64, true)
                }
            };
            // One that another pack had takes no room.
            if wanted(&id, kind) && !self.seen.contains(&id) && self.has_room(kind, bytes) {
                self.seen.insert(id);
                let number = index;
                taken.push(Taken { number, is_delta });
            }
        }
        drop(reader);
        self.packs.push((pack, taken));
        Ok(())
    }

    /// Copies what was taken; none if that is nothing.
    pub(super) fn finish(self) -> Result<Option<Pack>, StoreError> {
        if self.seen.is_empty() {
            return Ok(None);
        }
        let place = self.store.place();
        let mut writer = Writer::new(self.seen.len(), &place)?;
        let mut encoder = Encoder::new();
        for (pack, taken) in &self.packs {
            let mut reader = pack.reader();
            for Taken { number, is_delta } in taken {
                let number = *number as usize;
                if *is_delta {
                    let (kind, content) = self.require(pack.id(number))?;
                    let mut whole = Vec::new();
                    encoder.whole(kind, &content, &mut whole);
                    writer.entry(pack.id(number), &whole, crc32fast::hash(&whole))?;
                } else {
                    let entry: PackEntry<'_> = reader.entry(number)?;
                    let (bytes, crc32) = entry.checked()?;
                    writer.entry(pack.id(number), bytes, crc32)?;
                }
            }
        }
        Ok(Some(writer.finish(place)?.pack()))
    }

    fn require(&self, id: Oid) -> Result<(Kind, Vec<u8>), StoreError> {
        let found = self.store.objects().find(id)?;
        found.ok_or(StoreError::Missing { id })
    }

    fn has_room(&mut self, kind: Kind, bytes: u64) -> bool {
        let fits = kind != Kind::Blob || self.blob_bytes + bytes <= Store::BLOB_BYTES_MAX;
        if fits && kind == Kind::Blob {
            self.blob_bytes += bytes;
        }
        fits
    }
}
