//! Takes a pack that a server sent apart, into whole objects in memory.
//!
//! The pack is a stranger's: every size is checked before memory is taken for it, an object counts for more than its
//! content since it takes more, every object gets the id that its content has, and nothing refers to anything outside.

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
    /// A commit, tree or tag has more than [`NODE_BYTES_MAX`] bytes.
    TooLargeObject,
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

#[derive(Clone, Copy)]
enum Base {
    /// The number of an earlier entry.
    Entry(usize),
    Id(Oid),
}

/// What an entry takes here beside its content while the pack is taken apart.
const ENTRY_BYTES: u64 = 96;
/// What an object takes beside that where it is kept: its id, its place among the others, a piece of memory of its own.
const OBJECT_BYTES: u64 = 160;
/// A byte of kind and size, and an empty stream of zlib.
const SMALLEST_ENTRY_BYTES: usize = 9;
/// For so many entries memory is taken at once; for more when they are there.
const ENTRIES_AT_ONCE: usize = 64 << 10;
/// So many times what may be kept may be passed over: it takes no memory, but time.
const PASSED_OVER_FACTOR: u64 = 8;

/// So large a commit, tree or tag may be: a directory of half a million files is not.
pub(crate) const NODE_BYTES_MAX: u64 = 64 << 20;

/// Unpacks up to `bytes_max` bytes of objects, as they lie in memory.
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
    if count > (content.len() - HEADER_BYTES) / SMALLEST_ENTRY_BYTES {
        return Err(Damaged(
            "the pack says that it has more objects than there is room for",
        ));
    }
    let mut parser = Parser {
        content,
        at: HEADER_BYTES,
        inflate: Decompress::new(),
        bytes_left: bytes_max,
        passed_over_left: bytes_max.saturating_mul(PASSED_OVER_FACTOR),
        blobs,
    };
    let mut entries = Vec::with_capacity(count.min(ENTRIES_AT_ONCE));
    // In ascending order, as they come.
    let mut offsets = Vec::with_capacity(count.min(ENTRIES_AT_ONCE));
    for _ in 0..count {
        parser.charge(ENTRY_BYTES)?;
        offsets.push(parser.at);
        entries.push(parser.entry(&offsets)?);
    }
    drop(offsets);
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
    passed_over_left: u64,
    blobs: Blobs,
}

impl Parser<'_> {
    /// Counts what is about to be taken.
    fn charge(&mut self, bytes: u64) -> Result<(), UnpackError> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(UnpackError::TooLarge)?;
        Ok(())
    }

    fn entry(&mut self, offsets: &[usize]) -> Result<Entry, UnpackError> {
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

/// Deltas whose base is not known yet, by what they wait for. Each is looked at once, whatever order a pack has.
#[derive(Default)]
struct Waiting {
    on_entry: HashMap<usize, Vec<(usize, Vec<u8>)>>,
    on_id: HashMap<Oid, Vec<(usize, Vec<u8>)>>,
    count: usize,
}

impl Waiting {
    fn add(&mut self, number: usize, base: Base, delta: Vec<u8>) {
        self.count += 1;
        let waiting = match base {
            Base::Entry(entry) => self.on_entry.entry(entry).or_default(),
            Base::Id(id) => self.on_id.entry(id).or_default(),
        };
        waiting.push((number, delta));
    }

    /// Takes those that waited for an entry, and for the object that it is; none if it was passed over.
    fn take(&mut self, entry: usize, id: Option<Oid>) -> Vec<(usize, Vec<u8>)> {
        let mut taken = self.on_entry.remove(&entry).unwrap_or_default();
        taken.extend(id.and_then(|id| self.on_id.remove(&id)).unwrap_or_default());
        self.count -= taken.len();
        taken
    }
}

fn resolve(entries: Vec<Entry>, mut bytes_left: u64) -> Result<Unpacked, UnpackError> {
    let mut found = Unpacked::new();
    let mut waiting = Waiting::default();
    // Entries of which it is known what they are.
    let mut settled = Vec::new();
    let mut blobs_were_skipped = false;
    for (number, entry) in entries.into_iter().enumerate() {
        match entry {
            Entry::Whole(kind, content) => {
                let id = pack::object_id(kind, &content).ok_or(Damaged("an object attacks SHA-1"))?;
                found.insert(id, (kind, content));
                settled.push((number, Some(id)));
            }
            Entry::Skipped => {
                blobs_were_skipped = true;
                settled.push((number, None));
            }
            Entry::Delta { base, delta } => waiting.add(number, base, delta),
        }
    }
    while let Some((number, base)) = settled.pop() {
        for (number, delta) in waiting.take(number, base) {
            let Some((kind, content)) = base.and_then(|base| found.get(&base)) else {
                settled.push((number, None));
                continue;
            };
            let result = result_bytes(&delta).ok_or(Damaged("a delta is malformed"))?;
            if *kind != Kind::Blob && result > NODE_BYTES_MAX {
                return Err(UnpackError::TooLargeObject);
            }
            let (kind, content) = (*kind, apply(content, &delta, &mut bytes_left)?);
            let id = pack::object_id(kind, &content).ok_or(Damaged("an object attacks SHA-1"))?;
            found.insert(id, (kind, content));
            settled.push((number, Some(id)));
        }
    }
    // The bases of those that still wait may be blobs that were passed over: then they are blobs too. Should one be a
    // tree, whoever needs it will find it missing.
    if waiting.count > 0 && !blobs_were_skipped {
        return Err(Damaged("a delta has no base"));
    }
    Ok(found)
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

    fn seal(mut content: Vec<u8>) -> Vec<u8> {
        let sum = pack::checksum(&content);
        content.extend_from_slice(sum.as_bytes());
        content
    }

    /// Makes a pack of so many entries, each as it is given.
    fn pack_of(count: usize, entries: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut content = b"PACK\0\0\0\x02".to_vec();
        content.extend_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
        entries.for_each(|entry| content.extend(entry));
        seal(content)
    }

    /// A stream of zlib that holds this, not compressed.
    fn stored(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap();
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in content {
            a = (a + u32::from(*byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        let head = [
            &[0x78, 0x01, 0x01][..],
            &length.to_le_bytes(),
            &(!length).to_le_bytes(),
        ];
        [&head.concat(), content, &((b << 16) | a).to_be_bytes()].concat()
    }

    #[test]
    fn very_many_objects_of_nothing_are_bounded_like_large_ones() {
        const COUNT: usize = 100_000;
        let empty = |kind: u8| {
            let entry = [&[kind << 4][..], b"\x78\x9c\x03\0\0\0\0\x01"].concat();
            assert_eq!(entry.len(), SMALLEST_ENTRY_BYTES);
            pack_of(COUNT, std::iter::repeat_n(entry, COUNT))
        };
        let enough = COUNT as u64 * (ENTRY_BYTES + OBJECT_BYTES);
        let (trees, blobs) = (empty(2), empty(3));
        for (pack, blobs, enough) in [
            (&trees, Blobs::Skip, enough),
            (&blobs, Blobs::Keep, enough),
            (&blobs, Blobs::Skip, COUNT as u64 * ENTRY_BYTES),
        ] {
            let refused = unpack(pack, blobs, enough - 1).unwrap_err();
            assert_eq!(refused, UnpackError::TooLarge, "{blobs:?}");
            let found = unpack(pack, blobs, enough).unwrap();
            assert_eq!(found.len(), usize::from(enough > COUNT as u64 * ENTRY_BYTES));
        }
        // No room for so many.
        let entry = [&[0x20][..], b"\x78\x9c\x03\0\0\0\0\x01"].concat();
        let liar = pack_of(1001, std::iter::repeat_n(entry, 1000));
        assert!(matches!(unpack(&liar, Blobs::Keep, 1 << 40), Err(Damaged(_))));
    }

    #[test]
    fn a_commit_or_tree_that_is_larger_than_any_is_refused_before_it_is_made() {
        let number = |mut value: u64| {
            let mut out = Vec::new();
            while value >= 0x80 {
                out.push((value & 0x7f) as u8 | 0x80);
                value >>= 7;
            }
            out.push((value & 0x7f) as u8);
            out
        };
        // The head of an object of this kind and size, of which nothing follows that would be so large.
        let head = |kind: u8, size: u64| {
            let mut out = vec![0x80 | kind << 4 | (size & 0x0f) as u8];
            out.extend(number(size >> 4));
            out
        };
        for kind in [1, 2, 4] {
            let object = [head(kind, NODE_BYTES_MAX + 1), stored(b"")].concat();
            let error = unpack(&pack_of(1, std::iter::once(object)), Blobs::Keep, 1 << 30).unwrap_err();
            assert_eq!(error, UnpackError::TooLargeObject, "{kind}");
        }
        // A small delta that makes much of its base.
        let tree = [head(2, 70), stored(&[7; 70])].concat();
        let base = pack::object_id(Kind::Tree, &[7; 70]).unwrap();
        let mut delta = [number(70), number(3 << 30)].concat();
        delta.extend([0x80 | 0x10, 70]);
        let delta = [
            head(7, delta.len() as u64),
            base.as_bytes().to_vec(),
            stored(&delta),
        ]
        .concat();
        let error = unpack(&pack_of(2, [tree, delta].into_iter()), Blobs::Keep, 8 << 30).unwrap_err();
        assert_eq!(error, UnpackError::TooLargeObject);
    }

    #[test]
    fn what_is_passed_over_is_bounded_too() {
        let blob = [&[0xbf, 0x04][..], &stored(&[7; 79])].concat();
        let pack = pack_of(100, std::iter::repeat_n(blob, 100));
        let enough = 100 * ENTRY_BYTES;
        assert_eq!(unpack(&pack, Blobs::Skip, enough).unwrap().len(), 0);
        let large = [&[0xbf, 0xa0, 0x1f][..], &stored(&[7; 64_015])].concat();
        let pack = pack_of(3, std::iter::repeat_n(large, 3));
        assert_eq!(unpack(&pack, Blobs::Skip, 30_000).unwrap().len(), 0);
        let refused = unpack(&pack, Blobs::Skip, 20_000).unwrap_err();
        assert_eq!(refused, UnpackError::TooLarge);
    }

    #[test]
    fn a_chain_of_deltas_in_the_worst_order_takes_no_longer_than_in_the_best() {
        const COUNT: usize = 40_000;
        // Each is the one before with another number at its end, and names it by id.
        let content = |number: usize| format!("{number:08}").into_bytes();
        let mut entries = vec![[&[0x38][..], &stored(&content(0))].concat()];
        for number in 1..COUNT {
            let base = pack::object_id(Kind::Blob, &content(number - 1)).unwrap();
            let delta = [&[8, 8, 8][..], &content(number)].concat();
            let entry = [&[0x7b][..], base.as_bytes(), &stored(&delta)].concat();
            entries.push(entry);
        }
        for backwards in [false, true] {
            let mut entries = entries.clone();
            if backwards {
                entries.reverse();
            }
            let pack = pack_of(COUNT, entries.into_iter());
            assert_eq!(unpack(&pack, Blobs::Keep, 100 << 20).unwrap().len(), COUNT);
        }
    }

    #[test]
    fn no_damage_makes_a_panic_or_another_object() {
        let (pack, contents) = packed_by_git(true);
        let ids: std::collections::HashSet<Oid> = contents.iter().map(|(id, _)| *id).collect();
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
        let bomb = seal(b"PACK\0\0\0\x02\0\0\0\x01\xbf\xff\xff\xff\xff\xff\x01\x78\x9c\x03".to_vec());
        assert_eq!(
            unpack(&bomb, Blobs::Keep, 1 << 30).unwrap_err(),
            UnpackError::TooLarge
        );
    }
}
