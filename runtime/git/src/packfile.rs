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
    fs, io,
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

    /// Reads the whole pack into memory.
    pub(crate) fn read(&self) -> Result<PackContent<'_>, PackFileError> {
        let bytes = fs::read(&self.pack).map_err(at(&self.pack))?;
        let index = fs::read(&self.index).map_err(at(&self.index))?;
        self.content(bytes, &index)
    }

    /// Takes what the two files hold.
    pub(crate) fn content(&self, bytes: Vec<u8>, index: &[u8]) -> Result<PackContent<'_>, PackFileError> {
        let Some(mut rows) = idx::decode(index) else {
            return Err(PackFileError::Damaged {
                path: self.index.clone(),
                problem: "it is not a whole pack index",
            });
        };
        let ids = rows.iter().map(|row| row.id).collect();
        rows.sort_unstable_by_key(|row| row.offset);
        Ok(PackContent {
            file: self,
            bytes,
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

/// A pack in memory.
#[derive(Debug)]
pub(crate) struct PackContent<'a> {
    file: &'a PackFile,
    bytes: Vec<u8>,
    /// In the order of their offsets.
    rows: Vec<Row>,
    /// In their own order.
    ids: Vec<Oid>,
}

impl PackContent<'_> {
    /// Returns whether the pack ends with its name and the index has all that its header counts.
    pub(crate) fn is_complete(&self) -> bool {
        let first = self.rows.first().map(|row| pack::index(row.offset));
        let counted = self.bytes.get(8..pack::HEADER_BYTES);
        self.bytes.ends_with(self.file.name.as_bytes())
            && first == Some(pack::HEADER_BYTES)
            && u32::try_from(self.rows.len()).is_ok_and(|rows| counted == Some(&rows.to_be_bytes()))
    }

    /// Returns whether the index names an object.
    pub(crate) fn has(&self, id: Oid) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Returns the entries in the order in which they lie.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<PackEntry<'_>, PackFileError>> {
        let end = self.bytes.len().saturating_sub(pack::TRAILER_BYTES) as u64;
        let ends = self.rows.iter().skip(1).map(|row| row.offset).chain([end]);
        self.rows.iter().zip(ends).map(|(row, end)| {
            let start = pack::HEADER_BYTES as u64;
            if row.offset < start || row.offset >= end || end > self.bytes.len() as u64 {
                return Err(self.damaged("it is shorter than its index says"));
            }
            Ok(PackEntry {
                content: self,
                row,
                bytes: &self.bytes[pack::index(row.offset)..pack::index(end)],
            })
        })
    }

    fn damaged(&self, problem: &'static str) -> PackFileError {
        PackFileError::Damaged {
            path: self.file.pack.clone(),
            problem,
        }
    }
}

/// One object as it lies in a pack.
#[derive(Debug)]
pub(crate) struct PackEntry<'a> {
    content: &'a PackContent<'a>,
    row: &'a Row,
    bytes: &'a [u8],
}

impl PackEntry<'_> {
    pub(crate) fn id(&self) -> Oid {
        self.row.id
    }

    pub(crate) fn kind(&self) -> Result<EntryKind, PackFileError> {
        let kind = encoder::entry_kind(self.bytes).map(|(kind, ..)| kind);
        kind.ok_or_else(|| self.content.damaged("an entry cannot be read"))
    }

    /// Returns the base of a delta; none of a whole object.
    pub(crate) fn base(&self) -> Result<Option<Oid>, PackFileError> {
        match self.kind()? {
            EntryKind::Whole(_) => Ok(None),
            EntryKind::Delta { base } => Ok(Some(base)),
            EntryKind::DeltaBefore { distance } => {
                let rows = &self.content.rows;
                let base = self.row.offset.checked_sub(distance);
                let base = base.and_then(|base| rows.binary_search_by_key(&base, |row| row.offset).ok());
                let base = base.ok_or_else(|| self.content.damaged("a delta has no base"))?;
                Ok(Some(rows[base].id))
            }
        }
    }

    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the entry to a run as it is, if it is what its index says. A delta then names its base by id.
    pub(crate) fn copy_to(&self, run: &mut Run) -> Result<(), PackFileError> {
        if crc32fast::hash(self.bytes) != self.row.crc32 {
            return Err(self.content.damaged("an entry differs from its checksum"));
        }
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
