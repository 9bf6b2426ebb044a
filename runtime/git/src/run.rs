//! Pack entries one after the other, before they have a place in a pack.

use crate::{
    encoder::{self, Encoder, EntryKind},
    pack::{self, Row},
};
use gix::objs::Kind;
use mirror_core::ids::Oid;

/// Entries without a pack's header and trailer. Deltas name their bases by id, so that an entry can be moved.
#[derive(Debug, Default)]
pub(crate) struct Run {
    bytes: Vec<u8>,
    /// In the order of their offsets, which count from the start of the run.
    rows: Vec<Row>,
    deltas: usize,
}

/// One entry of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunEntry<'r> {
    pub(crate) id: Oid,
    pub(crate) crc32: u32,
    pub(crate) bytes: &'r [u8],
}

impl RunEntry<'_> {
    /// Returns the base of a delta; none of a whole object.
    pub(crate) fn base(&self) -> Option<Oid> {
        match encoder::entry_kind(self.bytes) {
            Some((EntryKind::Delta { base }, ..)) => Some(base),
            _ => None,
        }
    }
}

impl Run {
    /// Appends an object as it is.
    pub(crate) fn push(&mut self, encoder: &mut Encoder, id: Oid, kind: Kind, content: &[u8]) {
        let start = self.bytes.len();
        encoder.whole(kind, content, &mut self.bytes);
        self.row(id, start);
    }

    /// Appends an object as a delta on another one.
    pub(crate) fn push_delta(&mut self, encoder: &mut Encoder, id: Oid, base: Oid, delta: &[u8]) {
        let start = self.bytes.len();
        encoder.delta(base, delta, &mut self.bytes);
        self.deltas += 1;
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
        self.deltas += usize::from(entry.base().is_some());
        self.rows.push(Row {
            id: entry.id,
            crc32: entry.crc32,
            offset: self.bytes.len() as u64,
        });
        self.bytes.extend_from_slice(entry.bytes);
    }

    /// Gives back what was allocated beyond the entries.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.rows.shrink_to_fit();
    }

    /// Takes the last entry off, as a run of its own.
    pub(crate) fn pop(&mut self) -> Self {
        let mut last = Self::default();
        if !self.rows.is_empty() {
            let entry = self.entry(self.len() - 1);
            last.push_encoded(&entry);
            self.deltas -= last.deltas;
            self.bytes.truncate(self.bytes.len() - last.bytes.len());
            self.rows.pop();
        }
        last
    }

    /// Drops the objects that are not wanted, and makes sure that no more memory is held than the others need.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Oid) -> bool) {
        if self.rows.iter().all(|row| wanted(&row.id)) {
            return;
        }
        let whole = std::mem::take(self);
        for entry in whole.entries().filter(|entry| wanted(&entry.id)) {
            self.push_encoded(&entry);
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = RunEntry<'_>> {
        let ends = self.rows.iter().skip(1).map(|row| row.offset);
        let ends = ends.chain([self.bytes.len() as u64]);
        self.rows.iter().zip(ends).map(|(row, end)| RunEntry {
            id: row.id,
            crc32: row.crc32,
            bytes: &self.bytes[pack::index(row.offset)..pack::index(end)],
        })
    }

    /// Returns the entry at a position.
    pub(crate) fn entry(&self, at: usize) -> RunEntry<'_> {
        let end = self
            .rows
            .get(at + 1)
            .map_or(self.bytes.len(), |row| pack::index(row.offset));
        let row = &self.rows[at];
        RunEntry {
            id: row.id,
            crc32: row.crc32,
            bytes: &self.bytes[pack::index(row.offset)..end],
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn has_deltas(&self) -> bool {
        self.deltas > 0
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }
}
