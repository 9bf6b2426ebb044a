//! The pack writer: entries in one buffer, with the index that finds them.
//!
//! Knows the file format (version 2), not what the objects mean.

use crate::{
    disk::{self, DiskError},
    encoder::{self, Encoder, EntryKind},
    error::StoreError,
    idx,
    objects::Source,
    run::{Run, RunEntry},
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{
    borrow::Cow,
    collections::HashMap,
    fs,
    io::{self, Read},
    path::Path,
};

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
/// Returns the id that a blob with this content has; none for an attack on SHA-1.
#[must_use]
pub fn blob_id(content: &[u8]) -> Option<Oid> {
    object_id(Kind::Blob, content)
}

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

/// Computes the checksum that ends packs and indexes.
pub(crate) fn checksum(bytes: &[u8]) -> Oid {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    from_gix(
        &hasher
            .try_finalize()
            .expect("a file that we made does not attack SHA-1"),
    )
}

/// Computes the same of what can be read; none if that attacks SHA-1, and so is no pack of ours.
pub(crate) fn checksum_of(content: &mut impl Read) -> io::Result<Option<Oid>> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    let mut part = vec![0; 1 << 16];
    loop {
        match content.read(&mut part)? {
            0 => break,
            read => hasher.update(&part[..read]),
        }
    }
    Ok(hasher.try_finalize().ok().map(|id| from_gix(&id)))
}

/// Computes the same of a stranger's bytes; none if they attack SHA-1.
pub(crate) fn checked_sha1(bytes: &[u8]) -> Option<Oid> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    hasher.try_finalize().ok().map(|id| from_gix(&id))
}

/// Where one object lies in a run of pack entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: Oid,
    pub(crate) crc32: u32,
    /// From the start of the run, or of the pack file once it is assembled.
    pub(crate) offset: u64,
}

/// Turns an offset into an index of a buffer that exists in memory.
pub(crate) fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset into a buffer in memory fits")
}

/// Which deltas a remote takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// On objects that are not in the pack but at the remote.
    pub(crate) thin: bool,
    /// On earlier entries of the pack, by their distance.
    pub(crate) by_offset: bool,
}

/// Runs of entries, put together as a pack with header and trailer.
#[derive(Debug, Clone)]
pub(crate) struct Assembled {
    pub(crate) bytes: Vec<u8>,
    /// Sorted by id.
    pub(crate) rows: Vec<Row>,
    /// The objects that deltas refer to and the pack does not have.
    pub(crate) missing: Vec<Oid>,
}

impl Assembled {
    /// Joins runs. Every id must occur once.
    pub(crate) fn new(runs: Vec<Run>) -> Self {
        let total: usize = runs.iter().map(Run::byte_len).sum();
        let objects = runs.iter().map(Run::len).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + total + TRAILER_BYTES);
        bytes.extend_from_slice(&header(objects));
        let mut rows = Vec::with_capacity(objects);
        let mut placed = Bases::new(&runs);
        for run in runs {
            if placed.is_needed {
                run.entries()
                    .for_each(|entry| rows.push(placed.place(&entry, &mut bytes)));
            } else {
                let base = bytes.len() as u64;
                let moved = |row: &Row| Row {
                    offset: row.offset + base,
                    ..*row
                };
                rows.extend(run.rows().iter().map(moved));
                bytes.extend_from_slice(run.bytes());
            }
        }
        let name = checksum(&bytes);
        bytes.extend_from_slice(name.as_bytes());
        rows.sort_unstable_by_key(|row| row.id);
        let is_here = |id: &Oid| rows.binary_search_by_key(id, |row| row.id).is_ok();
        let mut missing = placed.not_before;
        missing.retain(|id| !is_here(id));
        missing.sort_unstable();
        missing.dedup();
        Self { bytes, rows, missing }
    }

    /// Notes more objects that are to be appended if the pack is completed.
    pub(crate) fn miss(&mut self, ids: impl IntoIterator<Item = Oid>) {
        let rows = &self.rows;
        let ids = ids.into_iter();
        let ids = ids.filter(|id| rows.binary_search_by_key(id, |row| row.id).is_err());
        self.missing.extend(ids);
        self.missing.sort_unstable();
        self.missing.dedup();
    }

    /// Appends the missing bases, so that nothing beside it is needed; what misses none stays as it is.
    pub(crate) fn completed(&self, source: &impl Source) -> Result<Cow<'_, Self>, StoreError> {
        if self.missing.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let Self {
            mut bytes,
            mut rows,
            missing,
        } = self.clone();
        let mut encoder = Encoder::new();
        bytes.truncate(bytes.len() - TRAILER_BYTES);
        bytes[..HEADER_BYTES].copy_from_slice(&header(rows.len() + missing.len()));
        for id in missing {
            let (kind, content) = source.find(id)?.ok_or(StoreError::Missing { id })?;
            let offset = bytes.len();
            encoder.whole(kind, &content, &mut bytes);
            rows.push(Row {
                id,
                crc32: crc32fast::hash(&bytes[offset..]),
                offset: offset as u64,
            });
        }
        let name = checksum(&bytes);
        bytes.extend_from_slice(name.as_bytes());
        rows.sort_unstable_by_key(|row| row.id);
        let missing = Vec::new();
        Ok(Cow::Owned(Self { bytes, rows, missing }))
    }

    /// Writes the pack for a remote that takes only some forms of deltas: without `thin` all their bases are in the pack,
    /// without `by_offset` they are named by id.
    pub(crate) fn in_form(
        &self,
        Form { thin, by_offset }: Form,
        source: &impl Source,
    ) -> Result<Cow<'_, Self>, StoreError> {
        let complete = if thin {
            Cow::Borrowed(self)
        } else {
            self.completed(source)?
        };
        if by_offset {
            return Ok(complete);
        }
        Ok(match complete.by_ids() {
            Some(by_ids) => Cow::Owned(by_ids),
            None => complete,
        })
    }

    /// Writes the deltas that name their base by offset as ones that name it by id; none if there are no such deltas.
    fn by_ids(&self) -> Option<Self> {
        let mut places: Vec<&Row> = self.rows.iter().collect();
        places.sort_unstable_by_key(|row| row.offset);
        let end = (self.bytes.len() - TRAILER_BYTES) as u64;
        let ends = places.iter().skip(1).map(|row| row.offset).chain([end]);
        let mut bytes = Vec::with_capacity(self.bytes.len() + 20 * places.len());
        bytes.extend_from_slice(&self.bytes[..HEADER_BYTES]);
        let mut rows = Vec::with_capacity(places.len());
        let mut is_other = false;
        for (row, end) in places.iter().zip(ends) {
            let entry = &self.bytes[index(row.offset)..index(end)];
            let offset = bytes.len() as u64;
            let mut crc32 = row.crc32;
            match encoder::entry_kind(entry) {
                Some((EntryKind::DeltaBefore { distance }, ..)) => {
                    let base = row.offset - distance;
                    let base = places.binary_search_by_key(&base, |row| row.offset);
                    let base = places[base.expect("we wrote the base before its delta")].id;
                    encoder::by_id(entry, base, &mut bytes);
                    crc32 = crc32fast::hash(&bytes[index(offset)..]);
                    is_other = true;
                }
                _ => bytes.extend_from_slice(entry),
            }
            rows.push(Row {
                id: row.id,
                crc32,
                offset,
            });
        }
        let name = checksum(&bytes);
        bytes.extend_from_slice(name.as_bytes());
        rows.sort_unstable_by_key(|row| row.id);
        let missing = self.missing.clone();
        is_other.then_some(Self { bytes, rows, missing })
    }

    /// Returns the pack with its index. It must not miss anything.
    pub(crate) fn pack(&self) -> Pack<'_> {
        debug_assert_eq!(self.missing, [], "the pack has all that it needs");
        let name = self.name();
        Pack {
            bytes: Cow::Borrowed(&self.bytes),
            index: Cow::Owned(idx::encode(&self.rows, name)),
            name,
            objects: self.rows.len(),
        }
    }

    /// Returns the trailer, which also names the files.
    pub(crate) fn name(&self) -> Oid {
        let mut name = [0; TRAILER_BYTES];
        name.copy_from_slice(&self.bytes[self.bytes.len() - TRAILER_BYTES..]);
        Oid::from_bytes(name)
    }
}

/// Where the objects are that deltas may refer to.
struct Bases {
    is_needed: bool,
    offsets: HashMap<Oid, u64>,
    /// The bases that are not in the pack, or only later.
    not_before: Vec<Oid>,
}

impl Bases {
    fn new(runs: &[Run]) -> Self {
        Self {
            is_needed: runs.iter().any(Run::has_deltas),
            offsets: HashMap::new(),
            not_before: Vec::new(),
        }
    }

    /// Appends an entry; a delta on what lies before it is shorter that way.
    fn place(&mut self, entry: &RunEntry<'_>, bytes: &mut Vec<u8>) -> Row {
        let offset = bytes.len() as u64;
        self.offsets.insert(entry.id, offset);
        let mut crc32 = entry.crc32;
        match entry.base() {
            Some(base) => match self.offsets.get(&base) {
                Some(earlier) => {
                    encoder::by_distance(entry.bytes, offset - earlier, bytes);
                    crc32 = crc32fast::hash(&bytes[index(offset)..]);
                }
                None => {
                    self.not_before.push(base);
                    bytes.extend_from_slice(entry.bytes);
                }
            },
            None => bytes.extend_from_slice(entry.bytes),
        }
        Row {
            id: entry.id,
            crc32,
            offset,
        }
    }
}

/// Returns what a pack of so many objects begins with.
pub(crate) fn header(objects: usize) -> [u8; HEADER_BYTES] {
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    let count = u32::try_from(objects).expect("four billion objects do not fit in memory");
    header[8..].copy_from_slice(&count.to_be_bytes());
    header
}

/// Returns a pack without objects.
pub(crate) fn empty() -> Vec<u8> {
    Assembled::new(Vec::new()).bytes
}

/// A pack that needs nothing beside itself, and its index, in memory.
#[derive(Debug)]
pub(crate) struct Pack<'b> {
    pub(crate) bytes: Cow<'b, [u8]>,
    pub(crate) index: Cow<'b, [u8]>,
    /// The pack's trailer, which also names its files.
    pub(crate) name: Oid,
    pub(crate) objects: usize,
}

/// How much a file has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A power cut.
    Synced,
    /// The end of the process. What a power cut leaves is found by its checksum.
    Cached,
}

impl Pack<'_> {
    /// Joins runs into a pack. Every id must occur once, and so must the bases of deltas.
    pub(crate) fn assemble(runs: Vec<Run>) -> Pack<'static> {
        let assembled = Assembled::new(runs);
        let name = assembled.name();
        Pack {
            index: Cow::Owned(idx::encode(&assembled.rows, name)),
            objects: assembled.rows.len(),
            bytes: Cow::Owned(assembled.bytes),
            name,
        }
    }

    /// Stores the pack in `objects/pack`; one that is there already is not written again.
    ///
    /// Readers find a pack by its index, so the index comes last: killed at any line, there is either no pack or
    /// a whole one. Who was killed may have given the files their names without syncing the directory, so that is
    /// done in any case if the pack shall survive a power cut.
    pub(crate) fn store(&self, directory: &Path, durability: Durability) -> Result<(), DiskError> {
        let target = |extension: &str| directory.join(format!("pack-{}.{extension}", self.name));
        let files = [("pack", &*self.bytes), ("idx", &*self.index)];
        let is_there = |(extension, content): &(&str, &[u8])| {
            fs::metadata(target(extension)).is_ok_and(|file| file.len() == content.len() as u64)
        };
        if !files.iter().all(is_there) {
            for (extension, content) in files {
                let temporary = directory.join(disk::unique_name(&format!("{TEMPORARY}{extension}_")));
                match durability {
                    Durability::Synced => disk::replace(&temporary, &target(extension), content)?,
                    Durability::Cached => disk::replace_unsynced(&temporary, &target(extension), content)?,
                }
            }
        }
        match durability {
            Durability::Synced => disk::sync_directory(directory),
            Durability::Cached => Ok(()),
        }
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
        for durability in [Durability::Cached, Durability::Synced] {
            pack.store(&bare.path().join("objects/pack"), durability).unwrap();
        }
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
