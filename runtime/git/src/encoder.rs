//! How one object becomes the bytes of a pack entry, and back.
//!
//! Compression is libdeflate at its fastest level: for JSON of a few kilobytes it costs about a quarter more time than
//! zlib-rs at its fastest and makes a quarter fewer bytes, as few as level 6.

use crate::delta;
use gix::objs::Kind;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use mirror_core::ids::Oid;

/// The fastest level that compresses at all.
const LEVEL: i32 = 1;

/// The kind of an entry that is a delta on the object with the id that follows.
const REF_DELTA: u8 = 7;
/// The kind of an entry that is a delta on an earlier entry of the same pack.
const OFFSET_DELTA: u8 = 6;

/// The level that copies: a whole object as it is, in the frame that readers expect.
const STORED: i32 = 0;

/// The compressors and their tables, which are costly to make and therefore used again.
pub(crate) struct Encoder {
    compressor: Compressor,
    copier: Compressor,
    index: delta::Index,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    pub(crate) fn new() -> Self {
        let of_level =
            |level| Compressor::new(CompressionLvl::new(level).expect("libdeflate has this level"));
        Self {
            compressor: of_level(LEVEL),
            copier: of_level(STORED),
            index: delta::Index::default(),
        }
    }

    /// Appends a whole object.
    pub(crate) fn whole(&mut self, kind: Kind, content: &[u8], out: &mut Vec<u8>) {
        header(whole_code(kind), content.len(), out);
        append(&mut self.compressor, content, out);
    }

    /// Appends a whole object as it is: eleven bytes longer than its content, and there in no time. The codes of a
    /// compressed one take 5 us to make, however short it is.
    pub(crate) fn stored(&mut self, kind: Kind, content: &[u8], out: &mut Vec<u8>) {
        header(whole_code(kind), content.len(), out);
        append(&mut self.copier, content, out);
    }

    /// Appends a delta on another object.
    pub(crate) fn delta(&mut self, base: Oid, delta: &[u8], out: &mut Vec<u8>) {
        header(REF_DELTA, delta.len(), out);
        out.extend_from_slice(base.as_bytes());
        append(&mut self.compressor, delta, out);
    }

    /// Encodes the difference of two contents; none if it would not be much smaller than the target.
    pub(crate) fn difference(&mut self, base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
        delta::encode(&mut self.index, base, target, target.len() / 2)
    }
}

fn append(compressor: &mut Compressor, content: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let bound = compressor.zlib_compress_bound(content.len());
    out.resize(start + bound, 0);
    let written = compressor
        .zlib_compress(content, &mut out[start..])
        .expect("the bound is enough for any content");
    out.truncate(start + written);
}

fn whole_code(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    }
}

/// Appends the kind and the length that an entry starts with.
fn header(code: u8, size: usize, out: &mut Vec<u8>) {
    let mut size = size;
    let mut byte = (code << 4) | low_bits(size, 4);
    size >>= 4;
    while size != 0 {
        out.push(byte | 0x80);
        byte = low_bits(size, 7);
        size >>= 7;
    }
    out.push(byte);
}

fn low_bits(value: usize, bits: u32) -> u8 {
    (value & ((1 << bits) - 1)).to_le_bytes()[0]
}

/// What an entry holds, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Whole(Kind),
    /// A delta on an object of the same pack or, while it is on its way, of any.
    Delta {
        base: Oid,
    },
    /// A delta on the entry that starts so many bytes before this one.
    DeltaBefore {
        distance: u64,
    },
}

/// Returns the kind of a whole object from the first byte of its entry; none for a delta.
pub(crate) fn whole_kind(first_byte: u8) -> Option<Kind> {
    match (first_byte >> 4) & 7 {
        1 => Some(Kind::Commit),
        2 => Some(Kind::Tree),
        3 => Some(Kind::Blob),
        4 => Some(Kind::Tag),
        _ => None,
    }
}

/// Returns whether an entry's content begins with a part that is not compressed (RFC 1951, 3.2.3).
pub(crate) fn is_stored(entry: &[u8]) -> bool {
    const ZLIB_HEADER_BYTES: usize = 2;
    let first_block = entry_kind(entry).and_then(|(_, start, _)| entry.get(start + ZLIB_HEADER_BYTES));
    first_block.is_some_and(|block| block & 0b110 == 0)
}

/// Reads how an entry starts; also returns where its compressed content starts, and how long that is uncompressed.
pub(crate) fn entry_kind(entry: &[u8]) -> Option<(EntryKind, usize, usize)> {
    let first = *entry.first()?;
    let mut size = usize::from(first & 0x0f);
    let (mut at, mut shift, mut more) = (1, 4, first & 0x80 != 0);
    while more {
        let byte = *entry.get(at)?;
        size |= usize::from(byte & 0x7f).checked_shl(shift)?;
        (at, shift, more) = (at + 1, shift + 7, byte & 0x80 != 0);
    }
    if let Some(kind) = whole_kind(first) {
        return Some((EntryKind::Whole(kind), at, size));
    }
    let kind = match (first >> 4) & 7 {
        REF_DELTA => {
            let base = entry.get(at..at + 20)?.try_into().ok()?;
            at += 20;
            EntryKind::Delta {
                base: Oid::from_bytes(base),
            }
        }
        OFFSET_DELTA => {
            // Big-endian in groups of seven bits, each further group counting from where the shorter ones end.
            let mut byte = *entry.get(at)?;
            let mut distance = u64::from(byte & 0x7f);
            at += 1;
            while byte & 0x80 != 0 {
                byte = *entry.get(at)?;
                distance = distance.checked_add(1)?.checked_mul(0x80)? | u64::from(byte & 0x7f);
                at += 1;
            }
            EntryKind::DeltaBefore { distance }
        }
        _ => return None,
    };
    Some((kind, at, size))
}

/// Writes the entry of a delta as one on another object, its compressed content as it is.
///
/// # Panics
/// An entry of another kind, or a damaged one.
pub(crate) fn by_id(entry: &[u8], base: Oid, out: &mut Vec<u8>) {
    let (_, content, size) = entry_kind(entry).expect("the entry of a delta");
    header(REF_DELTA, size, out);
    out.extend_from_slice(base.as_bytes());
    out.extend_from_slice(&entry[content..]);
}

/// Writes the entry of a delta as one on the entry that starts so many bytes before it, its compressed content as it is.
///
/// # Panics
/// An entry of another kind, or a damaged one.
pub(crate) fn by_distance(entry: &[u8], distance: u64, out: &mut Vec<u8>) {
    let (_, content, size) = entry_kind(entry).expect("the entry of a delta");
    header(OFFSET_DELTA, size, out);
    let mut groups = [0; 10];
    let mut at = groups.len() - 1;
    let mut rest = distance;
    groups[at] = (rest & 0x7f).to_le_bytes()[0];
    while rest >= 0x80 {
        rest = (rest >> 7) - 1;
        at -= 1;
        groups[at] = 0x80 | (rest & 0x7f).to_le_bytes()[0];
    }
    out.extend_from_slice(&groups[at..]);
    out.extend_from_slice(&entry[content..]);
}

/// Decodes an entry that is a whole object; none if it is not, or is damaged.
pub(crate) fn decode_whole(entry: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let (EntryKind::Whole(kind), start, size) = entry_kind(entry)? else {
        return None;
    };
    let mut content = vec![0; size];
    let read = Decompressor::new().zlib_decompress(&entry[start..], &mut content);
    (read.ok()? == size).then_some((kind, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let mut encoder = Encoder::new();
        for size in [0, 1, 15, 16, 2047, 2048, 70_000] {
            for kind in [Kind::Blob, Kind::Tree, Kind::Commit, Kind::Tag] {
                let content = crate::testing::pseudo_random_bytes(9, size);
                let (mut entry, mut stored) = (Vec::new(), Vec::new());
                encoder.whole(kind, &content, &mut entry);
                encoder.stored(kind, &content, &mut stored);
                assert!(is_stored(&stored));
                for entry in [entry, stored] {
                    assert_eq!(decode_whole(&entry), Some((kind, content.clone())));
                    assert_eq!(decode_whole(&entry[..entry.len() - 1]), None);
                }
            }
        }
        assert_eq!((entry_kind(b""), entry_kind(b"\xb0")), (None, None));
        let mut compressed = Vec::new();
        encoder.whole(Kind::Blob, &[b'a'; 1000], &mut compressed);
        assert!(!is_stored(&compressed) && !is_stored(&compressed[..3]));
    }

    #[test]
    fn a_delta_names_its_base_by_id_or_by_distance() {
        let base = Oid::from_bytes([7; 20]);
        let mut entry = Vec::new();
        Encoder::new().delta(base, b"instructions", &mut entry);
        let (kind, content, size) = entry_kind(&entry).unwrap();
        assert_eq!((kind, size), (EntryKind::Delta { base }, 12));
        assert_eq!(decode_whole(&entry), None);
        for distance in [
            1,
            127,
            128,
            16_511,
            16_512,
            2_113_663,
            2_113_664,
            u64::from(u32::MAX),
            1 << 60,
        ] {
            let mut near = Vec::new();
            by_distance(&entry, distance, &mut near);
            let (kind, start, size) = entry_kind(&near).unwrap();
            assert_eq!((kind, size), (EntryKind::DeltaBefore { distance }, 12));
            assert_eq!(near[start..], entry[content..]);
            let mut again = Vec::new();
            by_id(&near, base, &mut again);
            assert_eq!(again, entry);
            assert_eq!(entry_kind(&near[..start - 1]), None);
        }
    }
}
