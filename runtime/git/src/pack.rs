//! The pack writer: entries one after the other, with the index that finds them.
//!
//! Knows the file format (version 2), not what the objects mean.

use crate::{
    data::{self, Data, Place, Writing},
    disk::{self, DiskError},
    encoder::{self, Encoder, EntryKind},
    error::StoreError,
    idx,
    objects::Source,
    run::{KeptRun, Run, RunEntry},
};
use bytes::Bytes;
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{
    borrow::Cow,
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

/// Signature, version and number of objects.
pub(crate) const HEADER_BYTES: usize = 12;
/// The SHA-1 of everything before it.
pub(crate) const TRAILER_BYTES: usize = 20;

/// What the names of files begin with that are being written. Git's own housekeeping, too, removes `tmp_*` that a crash
/// left behind.
pub(crate) const TEMPORARY: &str = "tmp_kbc-mirror_";

/// Returns the id that a blob with this content has; none for an attack on SHA-1.
#[must_use]
pub fn blob_id(content: &[u8]) -> Option<Oid> {
    object_id(Kind::Blob, content)
}

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
    pub(crate) data: Data,
    /// The trailer, which also names the files.
    pub(crate) name: Oid,
    /// Sorted by id.
    pub(crate) rows: Vec<Row>,
    /// The objects that deltas refer to and the pack does not have.
    pub(crate) missing: Vec<Oid>,
    /// Where another form of it may be made.
    place: Place,
}

/// How much of a pack is copied at once.
const COPIED_BYTES: usize = 1 << 20;

impl Assembled {
    /// Joins runs. Every id must occur once.
    pub(crate) fn new(runs: Vec<KeptRun>, place: Place) -> Result<Self, DiskError> {
        let objects = runs.iter().map(KeptRun::len).sum();
        let mut pack = Writer::new(objects, &place)?;
        let mut placed = Bases::new(&runs);
        for run in runs {
            let read = run.read()?;
            if placed.is_needed {
                for entry in read.entries() {
                    placed.place(&entry, &mut pack)?;
                }
            } else {
                let base = pack.offset();
                let moved = |row: &Row| Row {
                    offset: row.offset + base,
                    ..*row
                };
                pack.rows.extend(read.rows().iter().map(moved));
                pack.put(read.bytes())?;
            }
        }
        let mut assembled = pack.finish(place)?;
        assembled.miss(placed.not_before);
        Ok(assembled)
    }

    /// Joins runs that are few.
    pub(crate) fn in_memory(runs: Vec<Run>) -> Self {
        let runs = runs.into_iter().map(KeptRun::from).collect();
        Self::new(runs, Place::default()).expect("memory is always there")
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
        let mut pack = Writer::new(self.rows.len() + self.missing.len(), &self.place)?;
        pack.rows.extend_from_slice(&self.rows);
        let (mut at, end) = (HEADER_BYTES as u64, self.end());
        while at < end {
            let next = end.min(at + COPIED_BYTES as u64);
            pack.put(&self.data.read(at..next)?)?;
            at = next;
        }
        let mut encoder = Encoder::new();
        let mut bytes = Vec::new();
        for id in &self.missing {
            let (kind, content) = source.find(*id)?.ok_or(StoreError::Missing { id: *id })?;
            bytes.clear();
            encoder.whole(kind, &content, &mut bytes);
            pack.entry(*id, &bytes, crc32fast::hash(&bytes))?;
        }
        Ok(Cow::Owned(pack.finish(self.place.clone())?))
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
        Ok(match complete.by_ids()? {
            Some(by_ids) => Cow::Owned(by_ids),
            None => complete,
        })
    }

    /// Writes the deltas that name their base by offset as ones that name it by id; none if there are no such deltas.
    fn by_ids(&self) -> Result<Option<Self>, DiskError> {
        let mut places: Vec<&Row> = self.rows.iter().collect();
        places.sort_unstable_by_key(|row| row.offset);
        let ends = places.iter().skip(1).map(|row| row.offset).chain([self.end()]);
        let mut pack = Writer::new(places.len(), &self.place)?;
        let mut by_id = Vec::new();
        let mut is_other = false;
        for (row, end) in places.iter().zip(ends) {
            let entry = self.data.read(row.offset..end)?;
            match encoder::entry_kind(&entry) {
                Some((EntryKind::DeltaBefore { distance }, ..)) => {
                    let base = row.offset - distance;
                    let base = places.binary_search_by_key(&base, |row| row.offset);
                    let base = places[base.expect("we wrote the base before its delta")].id;
                    by_id.clear();
                    encoder::by_id(&entry, base, &mut by_id);
                    pack.entry(row.id, &by_id, crc32fast::hash(&by_id))?;
                    is_other = true;
                }
                _ => pack.entry(row.id, &entry, row.crc32)?,
            }
        }
        if !is_other {
            return Ok(None);
        }
        let mut by_ids = pack.finish(self.place.clone())?;
        by_ids.missing.clone_from(&self.missing);
        Ok(Some(by_ids))
    }

    /// Returns where the last entry ends.
    fn end(&self) -> u64 {
        self.data.len() - TRAILER_BYTES as u64
    }

    /// Returns the pack with its index. It must not miss anything.
    pub(crate) fn pack(&self) -> Pack {
        debug_assert_eq!(self.missing, [], "the pack has all that it needs");
        Pack {
            data: self.data.clone(),
            index: idx::encode(&self.rows, self.name).into(),
            name: self.name,
            objects: self.rows.len(),
        }
    }
}

/// A pack while it is written.
pub(crate) struct Writer {
    writing: Writing,
    hasher: gix::hash::Hasher,
    rows: Vec<Row>,
}

impl Writer {
    /// Begins a pack of exactly so many objects.
    pub(crate) fn new(objects: usize, place: &Place) -> Result<Self, DiskError> {
        let mut writer = Self {
            writing: Writing::new(place),
            hasher: gix::hash::hasher(gix::hash::Kind::Sha1),
            rows: Vec::with_capacity(objects),
        };
        writer.put(&header(objects))?;
        Ok(writer)
    }

    fn offset(&self) -> u64 {
        self.writing.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.hasher.update(bytes);
        self.writing.push(bytes)
    }

    /// Appends an entry as it is encoded. Every id must occur once.
    pub(crate) fn entry(&mut self, id: Oid, bytes: &[u8], crc32: u32) -> Result<(), DiskError> {
        let offset = self.offset();
        self.rows.push(Row { id, crc32, offset });
        self.put(bytes)
    }

    pub(crate) fn finish(self, place: Place) -> Result<Assembled, DiskError> {
        let Self {
            mut writing,
            hasher,
            mut rows,
        } = self;
        let name = hasher.try_finalize();
        let name = from_gix(&name.expect("a file that we made does not attack SHA-1"));
        writing.push(name.as_bytes())?;
        rows.sort_unstable_by_key(|row| row.id);
        Ok(Assembled {
            data: writing.finish()?,
            name,
            rows,
            missing: Vec::new(),
            place,
        })
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
    fn new(runs: &[KeptRun]) -> Self {
        Self {
            is_needed: runs.iter().any(KeptRun::has_deltas),
            offsets: HashMap::new(),
            not_before: Vec::new(),
        }
    }

    /// Appends an entry; a delta on what lies before it is shorter that way.
    fn place(&mut self, entry: &RunEntry<'_>, pack: &mut Writer) -> Result<(), DiskError> {
        let offset = pack.offset();
        self.offsets.insert(entry.id, offset);
        if let Some(base) = entry.base {
            if let Some(earlier) = self.offsets.get(&base) {
                let mut bytes = Vec::with_capacity(entry.bytes.len());
                encoder::by_distance(entry.bytes, offset - earlier, &mut bytes);
                return pack.entry(entry.id, &bytes, crc32fast::hash(&bytes));
            }
            self.not_before.push(base);
        }
        pack.entry(entry.id, entry.bytes, entry.crc32)
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
pub(crate) fn empty() -> Data {
    Assembled::in_memory(Vec::new()).data
}

/// A pack that needs nothing beside itself, and its index.
#[derive(Debug, Clone)]
pub(crate) struct Pack {
    pub(crate) data: Data,
    pub(crate) index: Bytes,
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

impl Pack {
    /// Makes a pack of a run. Every id must occur once, and so must the bases of deltas.
    pub(crate) fn in_memory(run: Run) -> Self {
        Assembled::in_memory(vec![run]).pack()
    }

    /// Returns how long its files are.
    pub(crate) fn byte_len(&self) -> u64 {
        self.data.len() + self.index.len() as u64
    }

    /// Stores the pack in `objects/pack`; one that is there already is not written again.
    ///
    /// Readers find a pack by its index, so the index comes last: killed at any line, there is either no pack or
    /// a whole one. Who was killed may have given the files their names without syncing the directory, so that is
    /// done in any case if the pack shall survive a power cut.
    pub(crate) fn store(&self, directory: &Path, durability: Durability) -> Result<(), DiskError> {
        let target = |extension: &str| directory.join(format!("pack-{}.{extension}", self.name));
        let is_there = |extension: &str, bytes: u64| {
            fs::metadata(target(extension)).is_ok_and(|file| file.len() == bytes)
        };
        if !is_there("pack", self.data.len()) || !is_there("idx", self.index.len() as u64) {
            let store = |extension: &str, fill: &dyn Fn(&mut File) -> io::Result<()>| {
                let temporary = directory.join(disk::unique_name(&format!("{TEMPORARY}{extension}_")));
                disk::replace_filled(
                    &temporary,
                    &target(extension),
                    fill,
                    durability == Durability::Synced,
                )
            };
            store("pack", &|file| data::copy(&self.data, file))?;
            store("idx", &|file| file.write_all(&self.index))?;
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
    use crate::{
        data::Scratch,
        testing::{Bare, pseudo_random_bytes},
    };

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
        let mut run = KeptRun::from(run);
        run.retain(|id| *id != dropped, &mut Scratch::new(&Place::default()))
            .unwrap();
        let pack = Assembled::new(vec![run], Place::default()).unwrap().pack();
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
