//! Pack entries one after the other, before they have a place in a pack.

use crate::{
    data::{Data, Scratch},
    disk::DiskError,
    encoder::Encoder,
    pack::{self, Row},
};
use bytes::Bytes;
use gix::objs::Kind;
use mirror_core::ids::Oid;

/// Entries without a pack's header and trailer. Deltas name their bases by id, so that an entry can be moved.
#[derive(Debug, Default)]
pub(crate) struct Run {
    bytes: Vec<u8>,
    /// In the order of their offsets, which count from the start of the run.
    rows: Vec<Row>,
    /// The bases of those that are deltas, by position.
    bases: Vec<(usize, Oid)>,
}

/// One entry of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunEntry<'r> {
    pub(crate) id: Oid,
    pub(crate) crc32: u32,
    /// The base of a delta; none of a whole object.
    pub(crate) base: Option<Oid>,
    pub(crate) bytes: &'r [u8],
}

impl Run {
    /// Appends an object as it is.
    pub(crate) fn push(&mut self, encoder: &mut Encoder, id: Oid, kind: Kind, content: &[u8]) {
        let start = self.bytes.len();
        encoder.whole(kind, content, &mut self.bytes);
        self.row(id, start);
    }

    /// Appends an object without compressing it.
    pub(crate) fn push_stored(&mut self, encoder: &mut Encoder, id: Oid, kind: Kind, content: &[u8]) {
        let start = self.bytes.len();
        encoder.stored(kind, content, &mut self.bytes);
        self.row(id, start);
    }

    /// Appends an object as a delta on another one.
    pub(crate) fn push_delta(&mut self, encoder: &mut Encoder, id: Oid, base: Oid, delta: &[u8]) {
        let start = self.bytes.len();
        encoder.delta(base, delta, &mut self.bytes);
        self.bases.push((self.rows.len(), base));
        self.row(id, start);
    }

    fn row(&mut self, id: Oid, start: usize) {
        self.rows.push(Row {
            id,
            crc32: crc32fast::hash(&self.bytes[start..]),
            offset: start as u64,
        });
    }

    /// Appends an entry that is encoded already. Its delta, if it is one, names the base by id.
    pub(crate) fn push_encoded(&mut self, entry: &RunEntry<'_>) {
        self.bases.extend(entry.base.map(|base| (self.rows.len(), base)));
        self.rows.push(Row {
            id: entry.id,
            crc32: entry.crc32,
            offset: self.bytes.len() as u64,
        });
        self.bytes.extend_from_slice(entry.bytes);
    }

    /// Takes the last entry off, as a run of its own.
    pub(crate) fn pop(&mut self) -> Self {
        let mut last = Self::default();
        if !self.rows.is_empty() {
            let at = self.len() - 1;
            let entry = entry(&self.rows, &self.bases, &self.bytes, at);
            last.push_encoded(&entry);
            self.bytes.truncate(self.bytes.len() - last.bytes.len());
            self.rows.pop();
            self.bases.pop_if(|(delta, _)| *delta == at);
        }
        last
    }

    /// Returns the entry at a position.
    pub(crate) fn entry(&self, at: usize) -> RunEntry<'_> {
        entry(&self.rows, &self.bases, &self.bytes, at)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Puts the run aside: nothing is added to it any more, and no more memory is held than it needs.
    pub(crate) fn keep(self, scratch: &mut Scratch) -> Result<KeptRun, DiskError> {
        let Self {
            bytes,
            rows,
            mut bases,
        } = self;
        bases.shrink_to_fit();
        Ok(KeptRun {
            data: scratch.keep(bytes)?,
            table: scratch.keep(table(&rows))?,
            len: rows.len(),
            bases,
        })
    }
}

/// A run that is finished, in memory or not.
#[derive(Debug, Clone)]
pub(crate) struct KeptRun {
    data: Data,
    /// The rows, each in [`ROW_BYTES`].
    table: Data,
    len: usize,
    bases: Vec<(usize, Oid)>,
}

/// A run that was read into memory.
#[derive(Debug)]
pub(crate) struct ReadRun<'r> {
    rows: Vec<Row>,
    bases: &'r [(usize, Oid)],
    bytes: Bytes,
}

/// Id, checksum and offset of an entry.
const ROW_BYTES: usize = 20 + 4 + 8;

fn table(rows: &[Row]) -> Vec<u8> {
    let mut table = Vec::with_capacity(rows.len() * ROW_BYTES);
    for Row { id, crc32, offset } in rows {
        table.extend_from_slice(id.as_bytes());
        table.extend(crc32.to_le_bytes());
        table.extend(offset.to_le_bytes());
    }
    table
}

fn rows(table: &[u8]) -> impl Iterator<Item = Row> {
    let (rows, rest) = table.as_chunks::<ROW_BYTES>();
    debug_assert!(rest.is_empty(), "a table has whole rows");
    rows.iter().map(|row| {
        let (id, rest) = row.split_first_chunk().expect("a row begins with an id");
        let (crc32, offset) = rest.split_first_chunk().expect("a checksum follows");
        let offset = offset.try_into().expect("and then an offset");
        Row {
            id: Oid::from_bytes(*id),
            crc32: u32::from_le_bytes(*crc32),
            offset: u64::from_le_bytes(offset),
        }
    })
}

impl KeptRun {
    /// Reads the run. It is as long as whoever made it let it become.
    pub(crate) fn read(&self) -> Result<ReadRun<'_>, DiskError> {
        Ok(ReadRun {
            rows: self.rows()?,
            bases: &self.bases,
            bytes: self.data.read_all()?,
        })
    }

    fn rows(&self) -> Result<Vec<Row>, DiskError> {
        Ok(rows(&self.table.read_all()?).collect())
    }

    /// Reads the entry at a position.
    pub(crate) fn entry_bytes(&self, at: usize) -> Result<Bytes, DiskError> {
        let start = (at * ROW_BYTES) as u64;
        let end = self.table.len().min(start + 2 * ROW_BYTES as u64);
        let found: Vec<Row> = rows(&self.table.read(start..end)?).collect();
        let end = found.get(1).map_or(self.data.len(), |next| next.offset);
        self.data.read(found[0].offset..end)
    }

    /// Returns the ids of the entries, and the bases of those that are deltas.
    pub(crate) fn ids(&self) -> Result<Vec<(Oid, Option<Oid>)>, DiskError> {
        let mut bases = self.bases.iter().peekable();
        let ids = self.rows()?.into_iter().enumerate();
        let ids = ids.map(|(at, row)| {
            let base = bases.next_if(|(delta, _)| *delta == at);
            (row.id, base.map(|(_, base)| *base))
        });
        Ok(ids.collect())
    }

    pub(crate) fn has_deltas(&self) -> bool {
        !self.bases.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn byte_len(&self) -> u64 {
        self.data.len()
    }

    /// Drops the objects that are not wanted.
    pub(crate) fn retain(
        &mut self,
        wanted: impl Fn(&Oid) -> bool,
        scratch: &mut Scratch,
    ) -> Result<(), DiskError> {
        if self.rows()?.iter().all(|row| wanted(&row.id)) {
            return Ok(());
        }
        let mut rest = Run::default();
        let whole = self.read()?;
        for entry in whole.entries().filter(|entry| wanted(&entry.id)) {
            rest.push_encoded(&entry);
        }
        *self = rest.keep(scratch)?;
        Ok(())
    }
}

impl From<Run> for KeptRun {
    fn from(Run { bytes, rows, bases }: Run) -> Self {
        Self {
            data: bytes.into(),
            table: table(&rows).into(),
            len: rows.len(),
            bases,
        }
    }
}

impl ReadRun<'_> {
    pub(crate) fn entries(&self) -> impl Iterator<Item = RunEntry<'_>> {
        (0..self.rows.len()).map(|at| entry(&self.rows, self.bases, &self.bytes, at))
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Runs of a few megabytes each, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    open: Run,
    kept: Vec<KeptRun>,
}

/// A run that is so long is put aside.
const RUN_BYTES: usize = 1 << 20;

impl Runs {
    /// Returns the run that is added to, and puts the one before aside if it is long enough.
    pub(crate) fn open(&mut self, scratch: &mut Scratch) -> Result<&mut Run, DiskError> {
        if self.open.byte_len() >= RUN_BYTES {
            self.kept.push(std::mem::take(&mut self.open).keep(scratch)?);
        }
        Ok(&mut self.open)
    }

    pub(crate) fn byte_len(&self) -> u64 {
        self.open.byte_len() as u64 + self.kept.iter().map(KeptRun::byte_len).sum::<u64>()
    }

    /// Returns all of them.
    pub(crate) fn keep(mut self, scratch: &mut Scratch) -> Result<Vec<KeptRun>, DiskError> {
        self.kept.push(self.open.keep(scratch)?);
        Ok(self.kept)
    }
}

fn entry<'r>(rows: &[Row], bases: &[(usize, Oid)], bytes: &'r [u8], at: usize) -> RunEntry<'r> {
    let end = rows
        .get(at + 1)
        .map_or(bytes.len(), |row| pack::index(row.offset));
    let base = bases.binary_search_by_key(&at, |(delta, _)| *delta);
    let row = &rows[at];
    RunEntry {
        id: row.id,
        crc32: row.crc32,
        base: base.ok().map(|found| bases[found].1),
        bytes: &bytes[pack::index(row.offset)..end],
    }
}
