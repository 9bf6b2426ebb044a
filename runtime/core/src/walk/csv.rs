//! CSV as spans of cells over its text (RFC 4180, with either kind of line break).

use super::{Encoding, Format, Malformed, push_segment};
use crate::document::{Leaf, LeafRole, Leaves};
use std::{borrow::Cow, ops::Range};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    /// With the quotes, where it has them.
    pub(crate) start: usize,
    pub(crate) end: usize,
    quoted: bool,
}

impl Cell {
    /// Returns the bytes between the quotes, or all where there are none.
    pub(crate) fn inner(&self) -> Range<usize> {
        if self.quoted {
            self.start + 1..self.end - 1
        } else {
            self.start..self.end
        }
    }

    pub(crate) fn encoding(&self) -> Encoding {
        if self.quoted {
            Encoding::Quoted
        } else {
            Encoding::Plain
        }
    }

    pub(crate) fn value<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.encoding().decode(&text[self.inner()])
    }
}

/// A row: its cells, and where its line break ends.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) cells: Range<usize>,
    pub(crate) end: usize,
}

/// The cells of one text. A line break at the very end ends the last row and begins no new one.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) cells: Vec<Cell>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let bytes = text.as_bytes();
        let mut table = Self {
            cells: Vec::new(),
            rows: Vec::new(),
        };
        let (mut at, mut first_cell) = (0, 0);
        let mut within_row = false;
        while at < bytes.len() || within_row {
            let cell = cell(bytes, at)?;
            at = cell.end;
            table.cells.push(cell);
            within_row = bytes.get(at) == Some(&b',');
            if within_row {
                at += 1;
                continue;
            }
            at += match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'\r'), Some(b'\n')) => 2,
                (Some(_), _) => 1,
                (None, _) => 0,
            };
            table.rows.push(Row {
                cells: first_cell..table.cells.len(),
                end: at,
            });
            first_cell = table.cells.len();
        }
        Ok(table)
    }

    pub(super) fn leaves(&self, text: &str) -> Leaves {
        let mut leaves = Leaves::with_capacity(self.cells.len(), text.len());
        let mut pointer = String::new();
        for (row_number, row) in self.rows.iter().enumerate() {
            for (column, cell) in self.cells[row.cells.clone()].iter().enumerate() {
                pointer.clear();
                push_segment(&mut pointer, &row_number.to_string());
                push_segment(&mut pointer, &column.to_string());
                leaves.push(Leaf {
                    pointer: &pointer,
                    role: LeafRole::Text,
                    value: &cell.value(text),
                });
            }
        }
        leaves
    }
}

fn cell(bytes: &[u8], start: usize) -> Result<Cell, Malformed> {
    let fault = |problem, at| Malformed {
        format: Format::Csv,
        problem,
        at,
    };
    let rest = &bytes[start..];
    if rest.first() != Some(&b'"') {
        let plain = |byte: &u8| !matches!(byte, b',' | b'\n' | b'\r' | b'"');
        let end = start + rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
        return match bytes.get(end) {
            Some(b'"') => Err(fault("a quote inside of a cell without quotes", end)),
            Some(b'\r') if bytes.get(end + 1) != Some(&b'\n') => Err(fault("half of a line break", end)),
            _ => Ok(Cell {
                start,
                end,
                quoted: false,
            }),
        };
    }
    let mut at = start + 1;
    loop {
        let Some(quote) = memchr::memchr(b'"', &bytes[at..]) else {
            return Err(fault("a quoted cell without end", start));
        };
        at += quote + 1;
        match bytes.get(at) {
            Some(b'"') => at += 1,
            Some(b'\r') if bytes.get(at + 1) != Some(&b'\n') => {
                return Err(fault("half of a line break", at));
            }
            None | Some(b',' | b'\n' | b'\r') => {
                return Ok(Cell {
                    start,
                    end: at,
                    quoted: true,
                });
            }
            Some(_) => return Err(fault("text after a quoted cell", at)),
        }
    }
}

/// Returns the text of the inside of a quoted cell.
pub(super) fn decode(raw: &str) -> Cow<'_, str> {
    if raw.contains('"') {
        Cow::Owned(raw.replace("\"\"", "\""))
    } else {
        Cow::Borrowed(raw)
    }
}

/// Returns how many bytes a quote takes inside of a quoted cell, and decoded.
pub(super) fn unit(_raw: &str, _at: usize) -> (usize, usize) {
    (2, 1)
}
