//! Directories that are put aside: all that is known of them is in a file, until somebody asks for it again.
//!
//! A tree of a whole project has a million names, in an order of which nothing is known: each directory may get another
//! file until the end. So what was not touched lately is written out, and read back where it is entered.

use super::{
    base::BaseTree,
    directory::{Base, Change, Directory},
    names::{Names, length},
};
use crate::{
    data::{Shelf, Spot},
    error::StoreError,
    objects::EMPTY_TREE,
};
use mirror_core::ids::Oid;
use std::collections::BTreeMap;

/// How much of a tree is at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// So many paths may be changed before what lies below the root is put aside.
    pub(super) paths: usize,
    /// A directory with so many names below it, or fewer, is one piece.
    pub(super) together: usize,
    /// One that has more names of its own stays at hand, without what lies below it: it would be written over and over.
    pub(super) names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            paths: 32 << 10,
            together: 512,
            names: 8 << 10,
        }
    }
}

/// A directory that is not in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aside {
    spot: Spot,
    /// Whether a file was written to it, or below.
    pub(super) has_written: bool,
}

impl Aside {
    /// Reads the directory.
    pub(super) fn read(self, shelf: &Shelf) -> Result<Directory, StoreError> {
        let piece = shelf.read(self.spot)?;
        decode(&piece).ok_or_else(|| StoreError::Damaged {
            id: EMPTY_TREE,
            problem: "a directory of the new tree is not what was put aside; the disk may be failing".into(),
        })
    }
}

impl Change {
    /// Takes up a directory that was put aside.
    pub(super) fn take_up(&mut self, shelf: &Shelf) -> Result<(), StoreError> {
        if let Self::Aside(aside) = self {
            *self = Self::Inside(Box::new(aside.read(shelf)?));
        }
        Ok(())
    }

    /// Takes a directory out; none if this is none.
    pub(super) fn take_inside(&mut self, shelf: &Shelf) -> Result<Option<Directory>, StoreError> {
        Ok(match self {
            Self::Inside(inside) => Some(std::mem::take(&mut **inside)),
            Self::Aside(aside) => Some(aside.read(shelf)?),
            Self::Written { .. } | Self::Kept | Self::Deleted => None,
        })
    }
}

impl Directory {
    /// Puts everything below aside. Returns how many names stay at hand.
    pub(super) fn put_aside(&mut self, shelf: &mut Shelf, limits: Limits) -> Result<usize, StoreError> {
        let mut at_hand = self.changes.len();
        for (_, change) in self.changes.iter_mut() {
            let Change::Inside(inside) = change else { continue };
            let mut below = inside.names();
            if below > limits.together {
                below = inside.put_aside(shelf, limits)?;
            }
            // That of a file in its place is rare, and may become one again.
            let is_small = below <= limits.names && !inside.has_hidden();
            if is_small && let Some(spot) = shelf.put(&inside.encode())? {
                let has_written = inside.has_written();
                *change = Change::Aside(Aside { spot, has_written });
            } else {
                at_hand += below;
            }
        }
        Ok(at_hand)
    }

    /// Returns how many names are at hand, here and below.
    fn names(&self) -> usize {
        let inside = self.inside().map(Self::names);
        self.changes.len() + inside.sum::<usize>()
    }

    fn has_hidden(&self) -> bool {
        !self.hidden.is_empty() || self.inside().any(Self::has_hidden)
    }

    fn inside(&self) -> impl Iterator<Item = &Self> {
        self.changes.values().filter_map(|change| match change {
            Change::Inside(inside) => Some(&**inside),
            Change::Aside(_) | Change::Written { .. } | Change::Kept | Change::Deleted => None,
        })
    }

    /// Writes out the directory with all that is at hand below it, and a checksum.
    fn encode(&self) -> Vec<u8> {
        let mut piece = Vec::new();
        self.encode_to(&mut piece);
        piece.extend(crc32fast::hash(&piece).to_le_bytes());
        piece
    }

    fn encode_to(&self, piece: &mut Vec<u8>) {
        let count = |count: usize| u32::try_from(count).expect("four billion names do not fit in memory");
        piece.push(u8::from(self.cleared) | u8::from(self.base.is_some()) << 1);
        if let Some(Base { id, tree }) = self.base.as_deref() {
            let raw = tree.raw(0..tree.len());
            piece.extend_from_slice(id.as_bytes());
            piece.extend(count(raw.len()).to_le_bytes());
            piece.extend_from_slice(raw);
        }
        piece.extend(count(self.changes.len()).to_le_bytes());
        for (name, change) in self.changes.iter() {
            piece.push(length(name));
            piece.extend_from_slice(name);
            match change {
                Change::Written { id, over_deleted } => {
                    piece.push(if *over_deleted {
                        WRITTEN_OVER_DELETED
                    } else {
                        WRITTEN
                    });
                    piece.extend_from_slice(id.as_bytes());
                }
                Change::Kept => piece.push(KEPT),
                Change::Deleted => piece.push(DELETED),
                Change::Inside(inside) => {
                    piece.push(INSIDE);
                    inside.encode_to(piece);
                }
                Change::Aside(Aside { spot, has_written }) => {
                    piece.push(if *has_written { ASIDE_WRITTEN } else { ASIDE });
                    piece.extend(spot.start.to_le_bytes());
                    piece.extend(spot.bytes.to_le_bytes());
                }
            }
        }
    }
}

const WRITTEN: u8 = 0;
const WRITTEN_OVER_DELETED: u8 = 1;
const KEPT: u8 = 2;
const DELETED: u8 = 3;
const INSIDE: u8 = 4;
const ASIDE: u8 = 5;
const ASIDE_WRITTEN: u8 = 6;

/// Reads what was written out; none if it is not that.
fn decode(piece: &[u8]) -> Option<Directory> {
    let (content, checksum) = piece.split_last_chunk::<4>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut rest = Reader(content);
    let directory = rest.directory()?;
    rest.0.is_empty().then_some(directory)
}

struct Reader<'p>(&'p [u8]);

impl<'p> Reader<'p> {
    fn directory(&mut self) -> Option<Directory> {
        let flags = self.byte()?;
        let base = match flags & 2 {
            0 => None,
            _ => {
                let id = self.id()?;
                let raw = self.counted()?;
                let tree = BaseTree::parse(id, raw.into()).ok()?;
                Some(Box::new(Base { id, tree }))
            }
        };
        let count = self.number()?;
        // Each takes some bytes, so that a wrong count asks for no more memory than there is content.
        let mut changes = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            let length = self.byte()?;
            let name = self.bytes(usize::from(length))?;
            changes.push((name, self.change()?));
        }
        Some(Directory {
            base,
            cleared: flags & 1 != 0,
            changes: Names::of_sorted(changes),
            hidden: BTreeMap::new(),
        })
    }

    fn change(&mut self) -> Option<Change> {
        let kind = self.byte()?;
        Some(match kind {
            WRITTEN | WRITTEN_OVER_DELETED => Change::Written {
                id: self.id()?,
                over_deleted: kind == WRITTEN_OVER_DELETED,
            },
            KEPT => Change::Kept,
            DELETED => Change::Deleted,
            INSIDE => Change::Inside(Box::new(self.directory()?)),
            ASIDE | ASIDE_WRITTEN => {
                let start = u64::from_le_bytes(self.array()?);
                let bytes = u32::from_le_bytes(self.array()?);
                Change::Aside(Aside {
                    spot: Spot { start, bytes },
                    has_written: kind == ASIDE_WRITTEN,
                })
            }
            _ => return None,
        })
    }

    fn bytes(&mut self, count: usize) -> Option<&'p [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn id(&mut self) -> Option<Oid> {
        self.array().map(Oid::from_bytes)
    }

    fn number(&mut self) -> Option<usize> {
        self.array().map(u32::from_le_bytes)?.try_into().ok()
    }

    fn counted(&mut self) -> Option<&'p [u8]> {
        let count = self.number()?;
        self.bytes(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_put_aside_is_not_read() {
        let changes = vec![(&b"name"[..], Change::Kept)];
        let directory = Directory {
            changes: Names::of_sorted(changes),
            ..Directory::default()
        };
        let piece = directory.encode();
        assert!(decode(&piece).is_some_and(|directory| directory.changes.len() == 1));
        for at in 0..piece.len() {
            let mut changed = piece.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_none(), "byte {at}");
            assert!(decode(&piece[..at]).is_none(), "{at} bytes");
        }
    }
}
