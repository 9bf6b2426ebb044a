//! Packs on disk: reading their entries, so that they can be copied as they are.

use crate::{
    disk::{self, DiskError, at},
    encoder::{self, EntryKind},
    error::StoreError,
    idx,
    pack::{self, Row},
    run::{Run, RunEntry},
};
use mirror_core::ids::Oid;
use std::{
    borrow::Cow,
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

/// A pack and its index, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackFile {
    pub(crate) pack: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) name: Oid,
}

/// A pack that cannot be read.
#[derive(Debug, Error)]
pub(crate) enum PackFileError {
    #[error("cannot read or write `{}`", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged { path: PathBuf, problem: &'static str },
}

impl From<DiskError> for PackFileError {
    fn from(DiskError { path, source }: DiskError) -> Self {
        Self::Disk { path, source }
    }
}

impl From<PackFileError> for StoreError {
    fn from(error: PackFileError) -> Self {
        match error {
            PackFileError::Disk { path, source } => DiskError { path, source }.into(),
            PackFileError::Damaged { path, problem } => Self::DamagedFile {
                path,
                problem: problem.into(),
            },
        }
    }
}

impl PackFile {
    pub(crate) fn new(directory: &Path, name: Oid) -> Self {
        let path = |extension| directory.join(format!("pack-{name}.{extension}"));
        Self {
            pack: path("pack"),
            index: path("idx"),
            name,
        }
    }

    /// Returns the file that keeps Git's housekeeping from removing the pack.
    pub(crate) fn keep(&self) -> PathBuf {
        self.pack.with_extension("keep")
    }

    /// Opens the pack: its index is read, of its entries nothing yet.
    pub(crate) fn open(&self) -> Result<OpenPack<'_>, PackFileError> {
        let file = File::open(&self.pack).map_err(at(&self.pack))?;
        let byte_len = file.metadata().map_err(at(&self.pack))?.len();
        let index = fs::read(&self.index).map_err(at(&self.index))?;
        self.opened(Content::File(file), byte_len, &index)
    }

    /// Takes what the two files hold.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn content(&self, bytes: Vec<u8>, index: &[u8]) -> Result<OpenPack<'_>, PackFileError> {
        let byte_len = bytes.len() as u64;
        self.opened(Content::Memory(bytes), byte_len, index)
    }

    fn opened(&self, content: Content, byte_len: u64, index: &[u8]) -> Result<OpenPack<'_>, PackFileError> {
        let Some(mut rows) = idx::decode(index) else {
            return Err(PackFileError::Damaged {
                path: self.index.clone(),
                problem: "it is not a whole pack index",
            });
        };
        let ids = rows.iter().map(|row| row.id).collect();
        rows.sort_unstable_by_key(|row| row.offset);
        Ok(OpenPack {
            file: self,
            content,
            byte_len,
            rows,
            ids,
        })
    }

    /// Removes pack and index, whatever there is of them.
    pub(crate) fn remove(&self) -> Result<(), DiskError> {
        // The index first: without it nobody looks for the pack.
        disk::remove(&self.index)?;
        disk::remove(&self.pack)
    }
}

/// A pack whose entries can be read.
#[derive(Debug)]
pub(crate) struct OpenPack<'a> {
    file: &'a PackFile,
    content: Content,
    byte_len: u64,
    /// In the order of their offsets.
    rows: Vec<Row>,
    /// In their own order.
    ids: Vec<Oid>,
}

#[derive(Debug)]
enum Content {
    File(File),
    #[cfg(feature = "fuzzing")]
    Memory(Vec<u8>),
}

impl Content {
    fn read(&self, into: &mut [u8], start: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(into, start),
            #[cfg(feature = "fuzzing")]
            Self::Memory(bytes) => {
                into.copy_from_slice(&bytes[pack::index(start)..][..into.len()]);
                Ok(())
            }
        }
    }
}

impl OpenPack<'_> {
    /// Returns whether the pack ends with its name and the index has all that its header counts.
    pub(crate) fn is_complete(&self) -> Result<bool, PackFileError> {
        let ends = (pack::HEADER_BYTES + pack::TRAILER_BYTES) as u64;
        if self.byte_len < ends {
            return Ok(false);
        }
        let (mut header, mut trailer) = ([0; pack::HEADER_BYTES], [0; pack::TRAILER_BYTES]);
        self.content
            .read(&mut header, 0)
            .and_then(|()| self.content.read(&mut trailer, self.body_end()))
            .map_err(at(&self.file.pack))?;
        let first = self.rows.first().map(|row| pack::index(row.offset));
        let counted = u32::try_from(self.rows.len()).is_ok_and(|rows| header[8..] == rows.to_be_bytes());
        Ok(trailer == *self.file.name.as_bytes() && first == Some(pack::HEADER_BYTES) && counted)
    }

    /// Returns whether the index names an object.
    pub(crate) fn has(&self, id: Oid) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Returns how many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the object that an entry is; they are counted in the order in which they lie.
    pub(crate) fn id(&self, number: usize) -> Oid {
        self.rows[number].id
    }

    /// Reads entries, at best in the order in which they lie.
    pub(crate) fn reader(&self) -> EntryReader<'_> {
        EntryReader {
            pack: self,
            window: Vec::new(),
            start: 0,
        }
    }

    /// Returns where the last entry ends.
    fn body_end(&self) -> u64 {
        self.byte_len.saturating_sub(pack::TRAILER_BYTES as u64)
    }

    /// Returns where an entry lies.
    pub(crate) fn range(&self, number: usize) -> Result<Range<u64>, PackFileError> {
        let start = self.rows[number].offset;
        let next = self.rows.get(number + 1).map(|row| row.offset);
        let end = next.unwrap_or(self.body_end());
        if start < pack::HEADER_BYTES as u64 || start >= end || end > self.body_end() {
            return Err(self.damaged("it is shorter than its index says"));
        }
        Ok(start..end)
    }

    fn damaged(&self, problem: &'static str) -> PackFileError {
        PackFileError::Damaged {
            path: self.file.pack.clone(),
            problem,
        }
    }
}

/// Reads a pack piece by piece: of a large one as much is in memory as of a small one.
#[derive(Debug)]
pub(crate) struct EntryReader<'p> {
    pack: &'p OpenPack<'p>,
    window: Vec<u8>,
    /// Where in the pack the window begins.
    start: u64,
}

/// So much is read at once, or an entry that is longer.
const WINDOW_BYTES: u64 = 128 << 10;
/// Kind, size and base of an entry are in so many bytes.
const HEAD_BYTES: u64 = 48;

impl EntryReader<'_> {
    /// Reads an entry.
    pub(crate) fn entry(&mut self, number: usize) -> Result<PackEntry<'_>, PackFileError> {
        let range = self.pack.range(number)?;
        self.load(range.clone())?;
        let start = pack::index(range.start - self.start);
        Ok(PackEntry {
            pack: self.pack,
            row: &self.pack.rows[number],
            bytes: &self.window[start..][..pack::index(range.end - range.start)],
        })
    }

    /// Reads what kind an entry is of, and no more of it than that takes.
    pub(crate) fn kind(&mut self, number: usize) -> Result<EntryKind, PackFileError> {
        let range = self.pack.range(number)?;
        let head = range.start..range.end.min(range.start + HEAD_BYTES);
        self.load(head.clone())?;
        let head = &self.window[pack::index(head.start - self.start)..pack::index(head.end - self.start)];
        let kind = encoder::entry_kind(head).map(|(kind, ..)| kind);
        kind.ok_or_else(|| self.pack.damaged(UNREADABLE))
    }

    /// Makes sure that a stretch is in the window.
    fn load(&mut self, range: Range<u64>) -> Result<(), PackFileError> {
        let end = self.start + self.window.len() as u64;
        if range.start >= self.start && range.end <= end {
            return Ok(());
        }
        let until = range
            .end
            .max(range.start + WINDOW_BYTES)
            .min(self.pack.body_end());
        self.window.resize(pack::index(until - range.start), 0);
        self.start = range.start;
        let read = self.pack.content.read(&mut self.window, range.start);
        if read.is_err() {
            self.window.clear();
        }
        Ok(read.map_err(at(&self.pack.file.pack))?)
    }
}

const UNREADABLE: &str = "an entry cannot be read";

/// One object as it lies in a pack.
#[derive(Debug)]
pub(crate) struct PackEntry<'a> {
    pack: &'a OpenPack<'a>,
    row: &'a Row,
    bytes: &'a [u8],
}

impl PackEntry<'_> {
    pub(crate) fn kind(&self) -> Result<EntryKind, PackFileError> {
        let kind = encoder::entry_kind(self.bytes).map(|(kind, ..)| kind);
        kind.ok_or_else(|| self.pack.damaged(UNREADABLE))
    }

    /// Returns the base of a delta; none of a whole object.
    pub(crate) fn base(&self) -> Result<Option<Oid>, PackFileError> {
        match self.kind()? {
            EntryKind::Whole(_) => Ok(None),
            EntryKind::Delta { base } => Ok(Some(base)),
            EntryKind::DeltaBefore { distance } => {
                let rows = &self.pack.rows;
                let base = self.row.offset.checked_sub(distance);
                let base = base.and_then(|base| rows.binary_search_by_key(&base, |row| row.offset).ok());
                let base = base.ok_or_else(|| self.pack.damaged("a delta has no base"))?;
                Ok(Some(rows[base].id))
            }
        }
    }

    /// Returns the entry as it is, with its checksum, if it is what its index says.
    pub(crate) fn checked(&self) -> Result<(&[u8], u32), PackFileError> {
        if crc32fast::hash(self.bytes) != self.row.crc32 {
            return Err(self.pack.damaged("an entry differs from its checksum"));
        }
        Ok((self.bytes, self.row.crc32))
    }

    /// Appends the entry to a run, if it is what its index says. A delta then names its base by id.
    pub(crate) fn copy_to(&self, run: &mut Run) -> Result<(), PackFileError> {
        self.checked()?;
        let mut bytes = Cow::Borrowed(self.bytes);
        let base = self.base()?;
        if let Some(base) = base {
            let mut by_id = Vec::with_capacity(bytes.len() + 20);
            encoder::by_id(&bytes, base, &mut by_id);
            bytes = Cow::Owned(by_id);
        }
        let crc32 = match &bytes {
            Cow::Borrowed(_) => self.row.crc32,
            Cow::Owned(by_id) => crc32fast::hash(by_id),
        };
        run.push_encoded(&RunEntry {
            id: self.row.id,
            crc32,
            base,
            bytes: &bytes,
        });
        Ok(())
    }
}
