//! What a pack held, by id: few bytes in memory, many in a file without a name.

use crate::{
    data::{IN_MEMORY_MAX, Place, Shelf, Spot},
    disk::DiskError,
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{borrow::Cow, collections::HashMap};

/// Where a content is.
#[derive(Debug)]
pub(super) enum Piece {
    Memory(Box<[u8]>),
    Aside(Spot),
}

/// Contents that are put aside and read again.
#[derive(Debug)]
pub(super) struct Pieces {
    shelf: Shelf,
    in_memory: usize,
}

impl Pieces {
    pub(super) fn new(place: &Place) -> Self {
        Self {
            shelf: Shelf::new(place),
            in_memory: 0,
        }
    }

    pub(super) fn put(&mut self, content: Vec<u8>) -> Result<Piece, DiskError> {
        if self.in_memory + content.len() > IN_MEMORY_MAX
            && let Some(spot) = self.shelf.put(&content)?
        {
            return Ok(Piece::Aside(spot));
        }
        self.in_memory += content.len();
        Ok(Piece::Memory(content.into()))
    }

    pub(super) fn get<'p>(&self, piece: &'p Piece) -> Result<Cow<'p, [u8]>, DiskError> {
        match piece {
            Piece::Memory(content) => Ok(Cow::Borrowed(content)),
            Piece::Aside(spot) => Ok(Cow::Owned(self.shelf.read(*spot)?)),
        }
    }
}

/// Where each object of a pack is.
type Places = HashMap<Oid, (Kind, Piece)>;

/// Objects by id, of one pack or of several.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    packs: Vec<(Pieces, Places)>,
}

impl Unpacked {
    pub(super) fn new(pieces: Pieces, objects: Places) -> Self {
        Self {
            packs: vec![(pieces, objects)],
        }
    }

    /// Returns an object.
    pub(crate) fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, DiskError> {
        for (pieces, objects) in &self.packs {
            if let Some((kind, piece)) = objects.get(&id) {
                return Ok(Some((*kind, pieces.get(piece)?.into_owned())));
            }
        }
        Ok(None)
    }

    pub(crate) fn contains(&self, id: Oid) -> bool {
        self.packs.iter().any(|(_, objects)| objects.contains_key(&id))
    }

    /// Adds the objects of other packs.
    pub(crate) fn extend(&mut self, others: Self) {
        self.packs.extend(others.packs);
    }

    /// Returns how many objects there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.packs.iter().map(|(_, objects)| objects.len()).sum()
    }

    /// Returns the objects' ids.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn ids(&self) -> impl Iterator<Item = Oid> {
        self.packs.iter().flat_map(|(_, objects)| objects.keys().copied())
    }
}
