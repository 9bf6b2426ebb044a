//! What was pushed last, before it is worth a pack of its own.
//!
//! A pack for each push would be two files made and named, and whoever looks for what is new in them looks through the whole
//! directory again. So small pushes are appended to one file, from which only the next process reads: this one has them in
//! memory. When they are many they are put into a pack together.

#[cfg(test)]
mod tests;

use crate::{
    data::Data,
    disk::{DiskError, at},
    encoder,
    error::StoreError,
    idx,
    pack::{self, Pack, Row},
    run::{Run, RunEntry},
};
use bytes::Bytes;
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A longer pack is stored as one.
const PACK_BYTES_MAX: u64 = 256 << 10;
/// Beyond so many pushes, or so many bytes of them, they are put together.
pub(super) const PACKS_MAX: usize = 16;
const BYTES_MAX: u64 = 1 << 20;

/// What the file is called, below `objects`.
pub(super) const FILE: &str = "kbc-mirror.recent";
/// A record begins with it. After it come the lengths of index and pack, four bytes each, and then these.
const MAGIC: &[u8; 8] = b"kbcmrec1";
const HEAD_BYTES: usize = MAGIC.len() + 8;

/// The packs of the last pushes, all of whole objects, in memory and in a file.
#[derive(Debug)]
pub(super) struct Recent {
    path: PathBuf,
    file: Option<File>,
    /// Where the next record goes; what is there already is left over.
    end: u64,
    packs: Vec<Pack>,
    /// Entries, compressed as they are.
    entries: HashMap<Oid, Bytes>,
}

impl Recent {
    /// Nothing yet; the file at `path` is made with the first record.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            end: 0,
            packs: Vec::new(),
            entries: HashMap::new(),
        }
    }

    /// Returns an object.
    pub(super) fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        let Some(entry) = self.entries.get(&id) else {
            return Ok(None);
        };
        let found = encoder::decode_whole(entry);
        found.map(Some).ok_or_else(|| StoreError::Damaged {
            id,
            problem: "its entry cannot be decompressed".to_owned(),
        })
    }

    pub(super) fn contains(&self, id: Oid) -> bool {
        self.entries.contains_key(&id)
    }

    /// Takes a pack, if it is small and all of its objects are whole; returns whether it did.
    ///
    /// It survives the end of the process. What a power cut leaves is found by its checksums.
    pub(super) fn take(&mut self, pack: &Pack) -> Result<bool, DiskError> {
        if self.packs.iter().any(|known| known.name == pack.name) {
            return Ok(true);
        }
        // They may not be put together for a while.
        if pack.byte_len() > PACK_BYTES_MAX || self.end > 4 * BYTES_MAX {
            return Ok(false);
        }
        let data = pack.data.read_all()?;
        let Some(entries) = whole_entries(&data, &pack.index) else {
            return Ok(false);
        };
        self.append(&record(&pack.index, &data))?;
        self.entries
            .extend(entries.into_iter().map(|(row, entry)| (row.id, entry)));
        self.packs.push(pack.clone());
        Ok(true)
    }

    fn append(&mut self, record: &[u8]) -> Result<(), DiskError> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                let file = File::options()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&self.path);
                self.file.insert(file.map_err(at(&self.path))?)
            }
        };
        // Of one that fails in the middle the next one takes the place.
        file.write_all_at(record, self.end).map_err(at(&self.path))?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Returns whether it is time to put them together.
    pub(super) fn is_full(&self) -> bool {
        self.packs.len() > PACKS_MAX || self.end > BYTES_MAX
    }

    pub(super) fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// Lets go of all but some packs: they are elsewhere now.
    pub(super) fn retain(&mut self, keep: impl Fn(Oid) -> bool) -> Result<(), DiskError> {
        let packs = std::mem::take(&mut self.packs);
        self.entries.clear();
        if let Some(file) = &self.file {
            file.set_len(0).map_err(at(&self.path))?;
        }
        self.end = 0;
        for pack in packs.iter().filter(|pack| keep(pack.name)) {
            self.take(pack)?;
        }
        if self.packs.is_empty() {
            // Who rests holds no file open.
            self.file = None;
        }
        Ok(())
    }

    /// Lets go of everything, as of a file that is gone.
    pub(super) fn forget(&mut self) {
        *self = Self::new(std::mem::take(&mut self.path));
    }
}

/// Reads what a process before has left in its file: the packs that are whole, oldest first.
pub(super) fn left(path: &Path) -> Result<Vec<Pack>, DiskError> {
    let content: Bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        content => content.map_err(at(path))?.into(),
    };
    let mut packs = Vec::new();
    let mut rest = content;
    while let Some((pack, record_bytes)) = read_record(&rest) {
        packs.push(pack);
        rest = rest.slice(record_bytes..);
    }
    Ok(packs)
}

fn record(index: &[u8], data: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD_BYTES + index.len() + data.len());
    record.extend_from_slice(MAGIC);
    for part in [index, data] {
        let length = u32::try_from(part.len()).expect("a small pack has a small index");
        record.extend_from_slice(&length.to_be_bytes());
    }
    record.extend_from_slice(index);
    record.extend_from_slice(data);
    record
}

/// Reads the record at the start, and says how long it is; none if it is not whole.
fn read_record(bytes: &Bytes) -> Option<(Pack, usize)> {
    let lengths = bytes.get(..HEAD_BYTES)?.strip_prefix(MAGIC)?;
    let length = |part: &[u8]| Some(u32::from_be_bytes(part.try_into().ok()?) as usize);
    let index_end = HEAD_BYTES + length(&lengths[..4])?;
    let end = index_end.checked_add(length(&lengths[4..])?)?;
    let (index, data) = (bytes.get(HEAD_BYTES..index_end)?, bytes.get(index_end..end)?);
    let body = data.len().checked_sub(pack::TRAILER_BYTES)?;
    let name = pack::checked_sha1(&data[..body]).filter(|name| data.ends_with(name.as_bytes()))?;
    // The index says of which pack it is.
    let own = index.len().checked_sub(2 * pack::TRAILER_BYTES)?;
    let is_its = index[own..].starts_with(name.as_bytes());
    let objects = whole_entries(&bytes.slice(index_end..end), index)?.len();
    let pack = Pack {
        data: Data::Memory(bytes.slice(index_end..end)),
        index: bytes.slice(HEAD_BYTES..index_end),
        name,
        objects,
    };
    is_its.then_some((pack, end))
}

/// Returns the entries of a pack; none if one of them is a delta, or the index is not of this pack.
fn whole_entries(data: &Bytes, index: &[u8]) -> Option<Vec<(Row, Bytes)>> {
    let mut rows = idx::decode(index)?;
    rows.sort_unstable_by_key(|row| row.offset);
    let end = data.len().checked_sub(pack::TRAILER_BYTES)?;
    let ends = rows
        .iter()
        .skip(1)
        .map(|row| pack::index(row.offset))
        .chain([end]);
    let entry = |(row, end): (&Row, usize)| {
        let start = pack::index(row.offset);
        let fits = start < end && end <= data.len() && encoder::whole_kind(data[start]).is_some();
        fits.then(|| (*row, data.slice(start..end)))
    };
    rows.iter().zip(ends).map(entry).collect()
}

/// Puts packs together, of each object the wanted ones once; none if nothing is left.
pub(super) fn together<'p>(
    packs: impl Iterator<Item = &'p Pack>,
    wanted: impl Fn(&Oid, Kind) -> bool,
) -> Result<Option<Pack>, DiskError> {
    let mut run = Run::default();
    let mut seen = HashSet::new();
    for pack in packs {
        let data = pack.data.read_all()?;
        let entries = whole_entries(&data, &pack.index).unwrap_or_default();
        for (Row { id, crc32, .. }, bytes) in entries {
            let kind = encoder::whole_kind(bytes[0]);
            if kind.is_some_and(|kind| wanted(&id, kind)) && seen.insert(id) {
                run.push_encoded(&RunEntry {
                    id,
                    crc32,
                    base: None,
                    bytes: &bytes,
                });
            }
        }
    }
    Ok((run.len() > 0).then(|| Pack::in_memory(run)))
}
