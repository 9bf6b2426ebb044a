//! Takes a pack that a server sent apart, into whole objects in memory.
//!
//! The pack is a stranger's: every size is checked before memory is taken for it, every object gets the id that its
//! content has, and nothing refers to anything outside.

use crate::{
    encoder,
    pack::{self, HEADER_BYTES, TRAILER_BYTES},
};
use gix::objs::Kind;
use gix_zlib::{Decompress, FlushDecompress, Status};
use mirror_core::ids::Oid;
use std::collections::HashMap;

/// Objects by id.
pub(crate) type Unpacked = HashMap<Oid, (Kind, Vec<u8>)>;

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
}

use UnpackError::Damaged;

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

enum Base {
    /// The number of an earlier entry.
    Entry(usize),
    Id(Oid),
}

/// Unpacks up to `bytes_max` bytes of content.
pub(crate) fn unpack(raw: &[u8], blobs: Blobs, bytes_max: u64) -> Result<Unpacked, UnpackError> {
    let (content, trailer) = raw
        .len()
        .checked_sub(TRAILER_BYTES)
        .filter(|end| *end >= HEADER_BYTES)
        .map(|end| raw.split_at(end))
        .ok_or(Damaged("the pack is cut off"))?;
    if !content.starts_with(b"PACK\0\0\0\x02") && !content.starts_with(b"PACK\0\0\0\x03") {
        return Err(Damaged("it is no pack"));
    }
    if pack::checked_sha1(content).is_none_or(|sum| sum.as_bytes() != trailer) {
        return Err(Damaged("the pack's checksum is wrong"));
    }
    let count: [u8; 4] = content[8..HEADER_BYTES].try_into().expect("four bytes");
    let count = u32::from_be_bytes(count) as usize;
    // The smallest entry is longer than one byte, so this bounds the memory for them.
    if count > content.len() {
        return Err(Damaged("the pack says that it has more objects than bytes"));
    }
    let mut parser = Parser {
        content,
        at: HEADER_BYTES,
        inflate: Decompress::new(),
        bytes_left: bytes_max,
        blobs,
    };
    let mut entries = Vec::with_capacity(count);
    let mut offsets = HashMap::with_capacity(count);
    for number in 0..count {
        offsets.insert(parser.at, number);
        entries.push(parser.entry(&offsets)?);
    }
    if parser.at != content.len() {
        return Err(Damaged("there is something behind the last object"));
    }
    resolve(entries, parser.bytes_left)
}

struct Parser<'a> {
    content: &'a [u8],
    at: usize,
    inflate: Decompress,
    bytes_left: u64,
    blobs: Blobs,
}

impl Parser<'_> {
    fn entry(&mut self, offsets: &HashMap<usize, usize>) -> Result<Entry, UnpackError> {
        let start = self.at;
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
                // Only inflating it tells where it ends.
                self.inflate(size, |_| ())?;
                return Ok(Entry::Skipped);
            }
            return Ok(Entry::Whole(kind, self.keep(size)?));
        }
        let base = match (first >> 4) & 7 {
            6 => {
                let distance = self.distance()?;
                let offset = start
                    .checked_sub(distance)
                    .and_then(|offset| offsets.get(&offset));
                Base::Entry(*offset.ok_or(Damaged("a delta has no base"))?)
            }
            7 => {
                let end = self.at + 20;
                let id = self.content.get(self.at..end).and_then(|id| id.try_into().ok());
                self.at = end;
                Base::Id(Oid::from_bytes(id.ok_or(Damaged("the pack is cut off"))?))
            }
            _ => return Err(Damaged("an object is of no known kind")),
        };
        let delta = self.keep(size)?;
        Ok(Entry::Delta { base, delta })
    }

    fn byte(&mut self) -> Result<u8, UnpackError> {
        let byte = self.content.get(self.at).ok_or(Damaged("the pack is cut off"))?;
        self.at += 1;
        Ok(*byte)
    }

    /// Reads how far back the base lies.
    fn distance(&mut self) -> Result<usize, UnpackError> {
        let mut byte = self.byte()?;
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            value = value
                .checked_add(1)
                .and_then(|value| value.checked_mul(128))
                .ok_or(Damaged("a delta has no base"))?;
            value += usize::from(byte & 0x7f);
        }
        Ok(value)
    }

    fn keep(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        self.bytes_left = self.bytes_left.checked_sub(size).ok_or(UnpackError::TooLarge)?;
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
            let input = &self.content[self.at + pack::index(before.0)..];
            let status = self
                .inflate
                .decompress(input, &mut buffer, FlushDecompress::None)
                .map_err(|_| Damaged("an object cannot be inflated"))?;
            let after = (self.inflate.total_in(), self.inflate.total_out());
            take(&buffer[..pack::index(after.1 - before.1)]);
            if after.1 > size {
                return Err(wrong_size);
            }
            if status == Status::StreamEnd {
                self.at += pack::index(after.0);
                return if after.1 == size { Ok(()) } else { Err(wrong_size) };
            }
            if before == after {
                return Err(Damaged("an object is cut off"));
            }
        }
    }
}

const BUFFER_BYTES: usize = 32 << 10;

/// What became of an entry.
#[derive(Clone, Copy)]
enum State {
    Open,
    Skipped,
    Done(Oid),
}

fn resolve(entries: Vec<Entry>, mut bytes_left: u64) -> Result<Unpacked, UnpackError> {
    let mut found = Unpacked::with_capacity(entries.len());
    let mut states = vec![State::Open; entries.len()];
    let mut deltas = Vec::new();
    for (number, entry) in entries.into_iter().enumerate() {
        match entry {
            Entry::Whole(kind, content) => {
                let id = pack::object_id(kind, &content).ok_or(Damaged("an object attacks SHA-1"))?;
                found.insert(id, (kind, content));
                states[number] = State::Done(id);
            }
            Entry::Skipped => states[number] = State::Skipped,
            Entry::Delta { base, delta } => deltas.push((number, base, delta)),
        }
    }
    // A base by number lies before its delta, so that one round does for those. One by id may lie anywhere.
    loop {
        let before = deltas.len();
        let mut left = Vec::new();
        for (number, base, delta) in deltas {
            let base_id = match base {
                Base::Entry(entry) => match states[entry] {
                    State::Done(id) => Some(id),
                    State::Skipped => {
                        states[number] = State::Skipped;
                        continue;
                    }
                    State::Open => None,
                },
                Base::Id(id) => Some(id),
            };
            let Some((kind, content)) = base_id.and_then(|id| found.get(&id)) else {
                left.push((number, base, delta));
                continue;
            };
            let (kind, content) = (*kind, apply(content, &delta, &mut bytes_left)?);
            let id = pack::object_id(kind, &content).ok_or(Damaged("an object attacks SHA-1"))?;
            found.insert(id, (kind, content));
            states[number] = State::Done(id);
        }
        if left.is_empty() {
            return Ok(found);
        }
        if left.len() == before {
            // Their bases may be blobs that were passed over: then they are blobs too. Should one be a tree, whoever
            // needs it will find it missing.
            let blobs_were_skipped = states.iter().any(|state| matches!(state, State::Skipped));
            return if blobs_were_skipped {
                Ok(found)
            } else {
                Err(Damaged("a delta has no base"))
            };
        }
        deltas = left;
    }
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
    let mut out = Vec::with_capacity(target);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bare, git_fed, pseudo_random_bytes};

    /// Makes a repository whose pack has deltas of both kinds, and returns all its objects as `git` sees them.
    fn packed_by_git(offsets: bool) -> (Vec<u8>, Vec<(Oid, Vec<u8>)>) {
        let bare = Bare::init();
        let mut ids = String::new();
        for number in 0..40_usize {
            let mut content = pseudo_random_bytes(7, 40_000);
            content.splice(
                number * 900..number * 900 + 10,
                pseudo_random_bytes(number as u64, 20),
            );
            let id = git_fed(bare.path(), &["hash-object", "-w", "--stdin"], &content).stdout;
            ids.push_str(std::str::from_utf8(&id).unwrap());
        }
        let entries: String = ids
            .lines()
            .enumerate()
            .map(|(n, id)| format!("100644 blob {id}\tfile-{n}\n"))
            .collect();
        let tree = git_fed(bare.path(), &["mktree"], entries.as_bytes()).stdout;
        ids.push_str(std::str::from_utf8(&tree).unwrap());
        let mut args = vec!["pack-objects", "--stdout", "--window=20", "--depth=10", "-q"];
        if offsets {
            args.push("--delta-base-offset");
        }
        let pack = git_fed(bare.path(), &args, ids.as_bytes()).stdout;
        let contents = ids.lines().map(|id| {
            let kind = bare.git(&["cat-file", "-t", id]);
            (Oid::parse(id).unwrap(), bare.git_bytes(&["cat-file", &kind, id]))
        });
        let contents = contents.collect();
        (pack, contents)
    }

    #[test]
    fn a_pack_with_deltas_of_every_kind_gives_what_git_reads() {
        for offsets in [true, false] {
            let (pack, contents) = packed_by_git(offsets);
            assert!(pack.len() < 200_000, "there are deltas: {}", pack.len());
            let found = unpack(&pack, Blobs::Keep, 100 << 20).unwrap();
            assert_eq!(found.len(), contents.len());
            for (id, content) in &contents {
                assert_eq!(&found[id].1, content);
            }
            let trees = unpack(&pack, Blobs::Skip, 100 << 20).unwrap();
            assert_eq!(trees.len(), 1, "offsets {offsets}");
            assert_eq!(
                unpack(&pack, Blobs::Keep, 100_000).unwrap_err(),
                UnpackError::TooLarge
            );
        }
    }

    #[test]
    fn no_damage_makes_a_panic_or_another_object() {
        let (pack, contents) = packed_by_git(true);
        let ids: std::collections::HashSet<Oid> = contents.iter().map(|(id, _)| *id).collect();
        let seal = |mut content: Vec<u8>| {
            let sum = pack::checksum(&content);
            content.extend_from_slice(sum.as_bytes());
            content
        };
        let whole = &pack[..pack.len() - TRAILER_BYTES];
        for cut in (0..whole.len()).step_by(997) {
            assert!(
                unpack(&seal(whole[..cut].to_vec()), Blobs::Keep, 100 << 20).is_err(),
                "cut at {cut}"
            );
            assert!(unpack(&pack[..cut], Blobs::Keep, 100 << 20).is_err());
        }
        let mut random = crate::testing::Random(3);
        for _ in 0..300 {
            let mut damaged = whole.to_vec();
            let at = random.below(damaged.len());
            damaged[at] ^= 1 << random.below(8);
            assert!(
                unpack(
                    &[&damaged[..], &pack[whole.len()..]].concat(),
                    Blobs::Keep,
                    100 << 20
                )
                .is_err()
            );
            if let Ok(found) = unpack(&seal(damaged), Blobs::Keep, 100 << 20) {
                // What is read has the id of what it is, so at worst something is missing.
                assert!(found.keys().filter(|id| !ids.contains(id)).count() <= found.len());
                for (id, (kind, content)) in &found {
                    assert_eq!(pack::object_id(*kind, content), Some(*id));
                }
            }
        }
        assert_eq!(
            unpack(&seal(b"PACK\0\0\0\x02\0\0\0\0".to_vec()), Blobs::Keep, 1)
                .unwrap()
                .len(),
            0
        );
        let liar = seal(b"PACK\0\0\0\x02\xff\xff\xff\xff".to_vec());
        assert!(matches!(unpack(&liar, Blobs::Keep, 1), Err(Damaged(_))));
        let bomb = seal(b"PACK\0\0\0\x02\0\0\0\x01\xbf\xff\xff\xff\xff\xff\x01".to_vec());
        assert_eq!(
            unpack(&bomb, Blobs::Keep, 1 << 30).unwrap_err(),
            UnpackError::TooLarge
        );
    }
}
