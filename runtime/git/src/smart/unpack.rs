//! Takes a pack that a server sends apart, into whole objects, while it comes.
//!
//! The pack is a stranger's: every size is checked before memory is taken for it, an object counts for more than its
//! content since it takes more, every object gets the id that its content has, and nothing refers to anything outside.
//! Nothing of it is used before all of it is there and its checksum is right. In memory are a part of the pack, a few megabytes
//! of objects, and where the others lie ([`pieces`]).

mod input;
mod pieces;
#[cfg(test)]
mod tests;

use crate::{
    data::Place,
    disk::DiskError,
    encoder,
    pack::{self, HEADER_BYTES},
};
use bytes::Bytes;
use gix::objs::Kind;
use gix_zlib::{Decompress, FlushDecompress, Status};
use input::Input;
use mirror_core::ids::Oid;
pub(crate) use pieces::Unpacked;
use pieces::{Piece, Pieces};
use std::collections::HashMap;

/// Whether blobs are wanted; without, they are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blobs {
    Keep,
    Skip,
}

/// A pack that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnpackError {
    Damaged(&'static str),
    /// What it holds is larger than this many bytes.
    TooLarge,
    /// A commit, tree or tag has more than [`NODE_BYTES_MAX`] bytes.
    TooLargeObject,
}

use UnpackError::Damaged;

/// Why a pack could not be taken apart.
#[derive(Debug)]
pub(crate) enum NotUnpacked {
    Pack(UnpackError),
    /// There is no room for what it holds.
    Disk(DiskError),
}

impl From<UnpackError> for NotUnpacked {
    fn from(error: UnpackError) -> Self {
        Self::Pack(error)
    }
}

impl From<DiskError> for NotUnpacked {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// What an entry takes here beside its content while the pack is taken apart.
const ENTRY_BYTES: u64 = 96;
/// What an object takes beside that where it is kept: its id, its place among the others, a piece of memory of its own.
const OBJECT_BYTES: u64 = 160;
/// A byte of kind and size, and an empty stream of zlib.
#[cfg(test)]
const SMALLEST_ENTRY_BYTES: usize = 9;
/// So many times what may be kept may be passed over: it takes no memory, but time.
const PASSED_OVER_FACTOR: u64 = 8;

/// So large a commit, tree or tag may be: a directory of half a million files is not.
pub(crate) const NODE_BYTES_MAX: u64 = 64 << 20;

/// Unpacks up to `bytes_max` bytes of objects, of a pack that comes in parts; after the last one there is none.
pub(crate) fn unpack(
    next: &mut dyn FnMut() -> Option<Bytes>,
    blobs: Blobs,
    bytes_max: u64,
    place: &Place,
) -> Result<Unpacked, NotUnpacked> {
    let mut parser = Parser {
        input: Input::new(next),
        inflate: Decompress::new(),
        bytes_left: bytes_max,
        passed_over_left: bytes_max.saturating_mul(PASSED_OVER_FACTOR),
        blobs,
        pieces: Pieces::new(place),
    };
    let mut header = [0; HEADER_BYTES];
    for byte in &mut header {
        *byte = parser.byte()?;
    }
    if !header.starts_with(b"PACK\0\0\0\x02") && !header.starts_with(b"PACK\0\0\0\x03") {
        return Err(Damaged("it is no pack").into());
    }
    let [.., a, b, c, d] = header;
    let count = u32::from_be_bytes([a, b, c, d]) as usize;
    let mut found = HashMap::new();
    let mut waiting = Waiting::default();
    // Entries of which it is known what they are, and where each begins, in ascending order.
    let (mut settled, mut offsets) = (Vec::new(), Vec::new());
    for number in 0..count {
        if !parser.input.has_more() {
            return Err(Damaged("the pack has fewer objects than it says").into());
        }
        parser.charge(ENTRY_BYTES)?;
        offsets.push(parser.input.offset());
        match parser.entry(&offsets)? {
            Entry::Whole(kind, content) => {
                let id = pack::object_id(kind, &content).ok_or(Damaged("an object attacks SHA-1"))?;
                found.insert(id, (kind, parser.pieces.put(content)?));
                settled.push((number, Some(id)));
            }
            Entry::Skipped => settled.push((number, None)),
            Entry::Delta { base, delta } => waiting.add(number, base, parser.pieces.put(delta)?),
        }
    }
    drop(offsets);
    parser.input.finish()?;
    let Parser {
        pieces, bytes_left, ..
    } = parser;
    resolve(found, settled, waiting, pieces, bytes_left)
}

/// Unpacks a pack that is in memory.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn unpack_whole(raw: &[u8], blobs: Blobs, bytes_max: u64) -> Result<Unpacked, UnpackError> {
    // Parts of no special length.
    let mut parts = raw.chunks(997).map(Bytes::copy_from_slice);
    let unpacked = unpack(&mut || parts.next(), blobs, bytes_max, &Place::default());
    unpacked.map_err(|error| match error {
        NotUnpacked::Pack(error) => error,
        NotUnpacked::Disk(error) => panic!("memory is always there: {error:?}"),
    })
}

/// One entry, as it lies in the pack.
enum Entry {
    Whole(Kind, Vec<u8>),
    /// A blob that nobody wants.
    Skipped,
    Delta {
        base: Base,
        delta: Vec<u8>,
    },
}

#[derive(Clone, Copy)]
enum Base {
    /// The number of an earlier entry.
    Entry(usize),
    Id(Oid),
}

struct Parser<'i> {
    input: Input<'i>,
    inflate: Decompress,
    bytes_left: u64,
    passed_over_left: u64,
    blobs: Blobs,
    pieces: Pieces,
}

impl Parser<'_> {
    /// Counts what is about to be taken.
    fn charge(&mut self, bytes: u64) -> Result<(), UnpackError> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(UnpackError::TooLarge)?;
        Ok(())
    }

    fn entry(&mut self, offsets: &[u64]) -> Result<Entry, UnpackError> {
        let start = self.input.offset();
        let first = self.byte()?;
        let mut size = u64::from(first & 0x0f);
        let (mut more, mut shift) = (first & 0x80 != 0, 4);
        while more {
            let byte = self.byte()?;
            if shift > 56 {
                return Err(Damaged("the size of an object is out of range"));
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            more = byte & 0x80 != 0;
        }
        if let Some(kind) = encoder::whole_kind(first) {
            if kind == Kind::Blob && self.blobs == Blobs::Skip {
                let left = self.passed_over_left.checked_sub(size);
                self.passed_over_left = left.ok_or(UnpackError::TooLarge)?;
                // Only inflating it tells where it ends.
                self.inflate(size, |_| ())?;
                return Ok(Entry::Skipped);
            }
            if kind != Kind::Blob && size > NODE_BYTES_MAX {
                return Err(UnpackError::TooLargeObject);
            }
            return Ok(Entry::Whole(kind, self.keep(size)?));
        }
        let base = match (first >> 4) & 7 {
            6 => {
                let distance = self.distance()?;
                let offset = start
                    .checked_sub(distance)
                    .and_then(|offset| offsets.binary_search(&offset).ok());
                Base::Entry(offset.ok_or(Damaged("a delta has no base"))?)
            }
            7 => {
                let mut id = [0; 20];
                for byte in &mut id {
                    *byte = self.byte()?;
                }
                Base::Id(Oid::from_bytes(id))
            }
            _ => return Err(Damaged("an object is of no known kind")),
        };
        let delta = self.keep(size)?;
        Ok(Entry::Delta { base, delta })
    }

    fn byte(&mut self) -> Result<u8, UnpackError> {
        let byte = self.input.part().first().copied();
        let byte = byte.ok_or(Damaged("the pack is cut off"))?;
        self.input.consume(1);
        Ok(byte)
    }

    /// Reads how far back the base lies.
    fn distance(&mut self) -> Result<u64, UnpackError> {
        let mut byte = self.byte()?;
        let mut value = u64::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            value = value
                .checked_add(1)
                .and_then(|value| value.checked_mul(128))
                .ok_or(Damaged("a delta has no base"))?;
            value += u64::from(byte & 0x7f);
        }
        Ok(value)
    }

    fn keep(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        self.charge(OBJECT_BYTES)?;
        self.charge(size)?;
        // What a size says is believed when the bytes are there.
        let mut out = Vec::with_capacity(pack::index(size.min(BUFFER_BYTES as u64)));
        self.inflate(size, |piece| out.extend_from_slice(piece))?;
        Ok(out)
    }

    /// Inflates the object that begins here, and moves behind it.
    fn inflate(&mut self, size: u64, mut take: impl FnMut(&[u8])) -> Result<(), UnpackError> {
        let wrong_size = Damaged("an object has another size than the pack says");
        let mut buffer = [0; BUFFER_BYTES];
        self.inflate.reset();
        loop {
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(self.input.part(), &mut buffer, FlushDecompress::None)
                .map_err(|_| Damaged("an object cannot be inflated"))?;
            let after = (self.inflate.total_in(), self.inflate.total_out());
            self.input.consume(pack::index(after.0 - before.0));
            take(&buffer[..pack::index(after.1 - before.1)]);
            if after.1 > size {
                return Err(wrong_size);
            }
            if status == Status::StreamEnd {
                return if after.1 == size { Ok(()) } else { Err(wrong_size) };
            }
            if before == after {
                return Err(Damaged("an object is cut off"));
            }
        }
    }
}

const BUFFER_BYTES: usize = 32 << 10;

/// Deltas whose base is not known yet, by what they wait for. Each is looked at once, whatever order a pack has.
#[derive(Default)]
struct Waiting {
    on_entry: HashMap<usize, Vec<(usize, Piece)>>,
    on_id: HashMap<Oid, Vec<(usize, Piece)>>,
    count: usize,
}

impl Waiting {
    fn add(&mut self, number: usize, base: Base, delta: Piece) {
        self.count += 1;
        let waiting = match base {
            Base::Entry(entry) => self.on_entry.entry(entry).or_default(),
            Base::Id(id) => self.on_id.entry(id).or_default(),
        };
        waiting.push((number, delta));
    }

    /// Takes those that waited for an entry, and for the object that it is; none if it was passed over.
    fn take(&mut self, entry: usize, id: Option<Oid>) -> Vec<(usize, Piece)> {
        let mut taken = self.on_entry.remove(&entry).unwrap_or_default();
        taken.extend(id.and_then(|id| self.on_id.remove(&id)).unwrap_or_default());
        self.count -= taken.len();
        taken
    }
}

/// Makes whole objects of the deltas.
fn resolve(
    mut found: HashMap<Oid, (Kind, Piece)>,
    mut settled: Vec<(usize, Option<Oid>)>,
    mut waiting: Waiting,
    mut pieces: Pieces,
    mut bytes_left: u64,
) -> Result<Unpacked, NotUnpacked> {
    let blobs_were_skipped = settled.iter().any(|(_, id)| id.is_none());
    while let Some((number, base)) = settled.pop() {
        let deltas = waiting.take(number, base);
        if deltas.is_empty() {
            continue;
        }
        let Some((kind, base)) = base.and_then(|base| found.get(&base)) else {
            settled.extend(deltas.into_iter().map(|(number, _)| (number, None)));
            continue;
        };
        let (kind, base) = (*kind, pieces.get(base)?.into_owned());
        for (number, delta) in deltas {
            let delta = pieces.get(&delta)?;
            let result = result_bytes(&delta).ok_or(Damaged("a delta is malformed"))?;
            if kind != Kind::Blob && result > NODE_BYTES_MAX {
                return Err(UnpackError::TooLargeObject.into());
            }
            let content = apply(&base, &delta, &mut bytes_left)?;
            let id = pack::object_id(kind, &content).ok_or(Damaged("an object attacks SHA-1"))?;
            found.insert(id, (kind, pieces.put(content)?));
            settled.push((number, Some(id)));
        }
    }
    // The bases of those that still wait may be blobs that were passed over: then they are blobs too. Should one be a
    // tree, whoever needs it will find it missing.
    if waiting.count > 0 && !blobs_were_skipped {
        return Err(Damaged("a delta has no base").into());
    }
    Ok(Unpacked::new(pieces, found))
}

/// Applies a delta to its base.
pub(crate) fn apply(base: &[u8], delta: &[u8], bytes_left: &mut u64) -> Result<Vec<u8>, UnpackError> {
    let bad = Damaged("a delta is malformed");
    let mut at = delta;
    if size(&mut at).ok_or(bad)? != base.len() as u64 {
        return Err(Damaged("a delta is for another base"));
    }
    let target = size(&mut at).ok_or(bad)?;
    *bytes_left = bytes_left.checked_sub(target).ok_or(UnpackError::TooLarge)?;
    let target = usize::try_from(target).map_err(|_| UnpackError::TooLarge)?;
    // What a size says is believed when the bytes are there.
    let mut out = Vec::with_capacity(target.min(base.len() + delta.len()));
    while let Some((&code, rest)) = at.split_first() {
        at = rest;
        let piece = if code & 0x80 != 0 {
            let mut number = |first_bit: u32, bytes: u32| -> Option<usize> {
                let mut value = 0;
                for byte in 0..bytes {
                    if code & (1 << (first_bit + byte)) != 0 {
                        let (next, rest) = at.split_first()?;
                        value |= usize::from(*next) << (8 * byte);
                        at = rest;
                    }
                }
                Some(value)
            };
            let offset = number(0, 4).ok_or(bad)?;
            let length = match number(4, 3).ok_or(bad)? {
                0 => 0x10000,
                length => length,
            };
            base.get(offset..offset + length).ok_or(bad)?
        } else {
            if code == 0 {
                return Err(bad);
            }
            let (piece, rest) = at.split_at_checked(usize::from(code)).ok_or(bad)?;
            at = rest;
            piece
        };
        if out.len() + piece.len() > target {
            return Err(bad);
        }
        out.extend_from_slice(piece);
    }
    if out.len() == target { Ok(out) } else { Err(bad) }
}

/// Returns how large a delta says that its result is.
fn result_bytes(mut delta: &[u8]) -> Option<u64> {
    size(&mut delta)?;
    size(&mut delta)
}

/// Reads a number of a delta's head.
fn size(at: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = at.split_first()?;
        *at = rest;
        if shift > 56 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
}
