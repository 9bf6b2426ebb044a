//! The pack writer: whole objects, each compressed on its own, in one buffer.
//!
//! A pack holds no deltas on purpose: an entry can be copied from pack to pack without being decoded,
//! and writing costs little more than hashing and compressing. Knows the file format (version 2), not
//! what the objects mean.

use crate::{
    disk::{self, DiskError},
    idx,
};
use gix::objs::Kind;
use gix_zlib::{
    Compression, Status,
    stream::deflate::{Compress, FlushCompress},
};
use mirror_core::ids::Oid;
use std::{fs, path::Path};

/// Signature, version and number of objects.
pub(crate) const HEADER_BYTES: usize = 12;
/// The SHA-1 of everything before it.
pub(crate) const TRAILER_BYTES: usize = 20;

/// What the names of files begin with that are being written. Git's own housekeeping, too, removes `tmp_*` that a crash
/// left behind.
pub(crate) const TEMPORARY: &str = "tmp_kbc-mirror_";

/// Hashes an object as Git does.
///
/// The hash is SHA-1 with collision detection; an input that attacks it does not get the plain SHA-1 but is
/// refused by returning none.
pub(crate) fn object_id(kind: Kind, content: &[u8]) -> Option<Oid> {
    let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, content).ok()?;
    Some(from_gix(&id))
}

pub(crate) fn from_gix(id: &gix::oid) -> Oid {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&id.as_bytes()[..20]);
    Oid::from_bytes(bytes)
}

pub(crate) fn to_gix(id: Oid) -> gix::ObjectId {
    gix::ObjectId::Sha1(*id.as_bytes())
}

fn sha1(bytes: &[u8]) -> Oid {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    from_gix(
        &hasher
            .try_finalize()
            .expect("a file that we made does not attack SHA-1"),
    )
}

/// The same of a stranger's bytes; none if they attack SHA-1.
pub(crate) fn checked_sha1(bytes: &[u8]) -> Option<Oid> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    hasher.try_finalize().ok().map(|id| from_gix(&id))
}

/// Computes the checksum that ends packs and indexes.
pub(crate) fn checksum(bytes: &[u8]) -> Oid {
    sha1(bytes)
}

/// Where one object lies in a run of pack entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: Oid,
    pub(crate) crc32: u32,
    /// From the start of the run, or of the pack file once it is assembled.
    pub(crate) offset: u64,
}

/// Pack entries one after the other, without the pack's header and trailer.
#[derive(Debug, Default)]
pub(crate) struct Run {
    bytes: Vec<u8>,
    /// In the order of their offsets.
    rows: Vec<Row>,
}

impl Run {
    /// Compresses an object and appends it.
    pub(crate) fn push(&mut self, encoder: &mut Encoder, id: Oid, kind: Kind, content: &[u8]) {
        let start = self.bytes.len();
        encoder.encode(kind, content, &mut self.bytes);
        self.rows.push(Row {
            id,
            crc32: crc32fast::hash(&self.bytes[start..]),
            offset: start as u64,
        });
    }

    /// Appends an entry that is encoded already.
    pub(crate) fn push_encoded(&mut self, id: Oid, crc32: u32, entry: &[u8]) {
        self.rows.push(Row {
            id,
            crc32,
            offset: self.bytes.len() as u64,
        });
        self.bytes.extend_from_slice(entry);
    }

    /// Appends all entries of another run.
    pub(crate) fn append(&mut self, other: Self) {
        let base = self.bytes.len() as u64;
        let moved = |row: Row| Row {
            offset: row.offset + base,
            ..row
        };
        self.rows.extend(other.rows.into_iter().map(moved));
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Drops the objects that are not wanted.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Oid) -> bool) {
        if self.rows.iter().all(|row| wanted(&row.id)) {
            return;
        }
        let whole = std::mem::take(self);
        let ends = whole
            .rows
            .iter()
            .skip(1)
            .map(|row| row.offset)
            .chain([whole.bytes.len() as u64]);
        for (row, end) in whole.rows.iter().zip(ends) {
            if wanted(&row.id) {
                self.push_encoded(row.id, row.crc32, &whole.bytes[index(row.offset)..index(end)]);
            }
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Oid> {
        self.rows.iter().map(|row| row.id)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Turns an offset into an index of a buffer that exists in memory.
pub(crate) fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset into a buffer in memory fits")
}

/// The compressor, whose state is costly to make and is therefore reused.
pub(crate) struct Encoder(Compress);

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    pub(crate) fn new() -> Self {
        // Level 1: half of the whole cost of a push is compression, and the next level costs twice as much.
        Self(Compress::new(Compression::BEST_SPEED))
    }

    fn encode(&mut self, kind: Kind, content: &[u8], out: &mut Vec<u8>) {
        entry_header(kind, content.len() as u64, out);
        self.0.reset();
        let start = out.len();
        // Level 1 may spend nine bits on a byte. Should that not do, the loop goes on with more room.
        out.resize(start + content.len() + content.len() / 8 + 64, 0);
        loop {
            let (read, written) = (index(self.0.total_in()), start + index(self.0.total_out()));
            let status = self
                .0
                .compress(&content[read..], &mut out[written..], FlushCompress::Finish);
            if status.expect("deflate takes any input") == Status::StreamEnd {
                break;
            }
            out.resize(out.len() + 4096, 0);
        }
        out.truncate(start + index(self.0.total_out()));
    }
}

fn entry_header(kind: Kind, mut size: u64, out: &mut Vec<u8>) {
    let code: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut byte = (code << 4) | low_bits(size, 4);
    size >>= 4;
    while size != 0 {
        out.push(byte | 0x80);
        byte = low_bits(size, 7);
        size >>= 7;
    }
    out.push(byte);
}

fn low_bits(value: u64, bits: u32) -> u8 {
    (value & ((1 << bits) - 1)).to_le_bytes()[0]
}

/// Returns the kind of a whole object from the first byte of its entry; none for a delta.
pub(crate) fn entry_kind(first_byte: u8) -> Option<Kind> {
    match (first_byte >> 4) & 7 {
        1 => Some(Kind::Commit),
        2 => Some(Kind::Tree),
        3 => Some(Kind::Blob),
        4 => Some(Kind::Tag),
        _ => None,
    }
}

/// A complete pack and its index, in memory.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) bytes: Vec<u8>,
    pub(crate) index: Vec<u8>,
    /// The pack's trailer, which also names its files.
    pub(crate) name: Oid,
    pub(crate) objects: usize,
}

impl Pack {
    /// Joins runs into a pack. Every id must occur once.
    pub(crate) fn assemble(runs: Vec<Run>) -> Self {
        let objects: usize = runs.iter().map(Run::len).sum();
        let total: usize = runs.iter().map(|run| run.bytes.len()).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + total + TRAILER_BYTES);
        bytes.extend_from_slice(b"PACK\0\0\0\x02");
        let count = u32::try_from(objects).expect("four billion objects do not fit in memory");
        bytes.extend_from_slice(&count.to_be_bytes());
        let mut rows = Vec::with_capacity(objects);
        for run in runs {
            let base = bytes.len() as u64;
            rows.extend(run.rows.iter().map(|row| Row {
                offset: row.offset + base,
                ..*row
            }));
            bytes.extend_from_slice(&run.bytes);
        }
        let name = sha1(&bytes);
        bytes.extend_from_slice(name.as_bytes());
        rows.sort_unstable_by_key(|row| row.id);
        let index = idx::encode(&rows, name);
        Self {
            bytes,
            index,
            name,
            objects,
        }
    }

    /// Stores the pack durably in `objects/pack`; one that is there already is not written again.
    ///
    /// Readers find a pack by its index, so the index comes last: killed at any line, there is either no pack or
    /// a whole one. Who was killed may have given the files their names without syncing the directory, so that is
    /// done in any case.
    pub(crate) fn store(&self, directory: &Path) -> Result<(), DiskError> {
        let target = |extension: &str| directory.join(format!("pack-{}.{extension}", self.name));
        let files = [("pack", &self.bytes), ("idx", &self.index)];
        let is_there = |(extension, content): &(&str, &Vec<u8>)| {
            fs::metadata(target(extension)).is_ok_and(|file| file.len() == content.len() as u64)
        };
        if files.iter().all(is_there) {
            return disk::sync_directory(directory);
        }
        for (extension, content) in files {
            let temporary = directory.join(disk::unique_name(&format!("{TEMPORARY}{extension}_")));
            disk::replace(&temporary, &target(extension), content)?;
        }
        disk::sync_directory(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bare, pseudo_random_bytes};

    #[test]
    fn git_reads_every_size_and_kind() {
        let mut run = Run::default();
        let mut encoder = Encoder::new();
        let contents: Vec<Vec<u8>> = [0, 1, 15, 16, 2047, 2048, 40_000, 300_000]
            .iter()
            .flat_map(|&size| [vec![b'a'; size], pseudo_random_bytes(size as u64 + 7, size)])
            .filter(|content| !content.is_empty())
            .chain([vec![]])
            .collect();
        for content in &contents {
            run.push(
                &mut encoder,
                object_id(Kind::Blob, content).unwrap(),
                Kind::Blob,
                content,
            );
        }
        run.push(&mut encoder, object_id(Kind::Tree, b"").unwrap(), Kind::Tree, b"");
        let dropped = object_id(Kind::Blob, &contents[2]).unwrap();
        run.retain(|id| *id != dropped);
        let pack = Pack::assemble(vec![run]);
        assert_eq!(pack.objects, contents.len());

        let bare = Bare::init();
        pack.store(&bare.path().join("objects/pack")).unwrap();
        pack.store(&bare.path().join("objects/pack")).unwrap();
        bare.git(&["verify-pack", &format!("objects/pack/pack-{}.idx", pack.name)]);
        bare.git(&["fsck", "--full", "--strict"]);
        for content in contents
            .iter()
            .filter(|content| object_id(Kind::Blob, content) != Some(dropped))
        {
            let id = object_id(Kind::Blob, content).unwrap().to_string();
            assert_eq!(&bare.git_bytes(&["cat-file", "blob", &id]), content);
        }
        assert!(!bare.succeeds(&["cat-file", "-e", &dropped.to_string()]));
    }
}
