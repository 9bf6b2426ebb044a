//! Cuts what of a sample is too large: cells, rows, the file.
//!
//! A cut cell ends with `…[CUT: <bytes> bytes]`, which tells how long it was, in CSV as in JSON; a cell that
//! is left out for its row's sake is only that mark. The JSON file has a member `cut` with the number
//! of cells that were cut and of rows that were left out; CSV has no place for it.

use super::{Item, sample::Files};
use crate::{
    finding::WithholdReason, marker::START as MARKER_START, redaction::removals, sample::SampleLimits,
};
use std::fmt::Write as _;

pub(super) fn apply(item: &mut Item, limits: &SampleLimits) -> Result<(), WithholdReason> {
    if item.files.is_empty() {
        return Ok(());
    }
    let files = Files::of(item)?;
    let twin_text = files
        .twin
        .as_ref()
        .map_or("", |twin| &item.files[twin.file].content);
    let plan = Plan::of(&files, &item.files[files.csv].content, twin_text, limits);
    if plan.is_nothing() {
        return Ok(());
    }
    let csv = plan.csv(&files, &item.files[files.csv].content);
    if let Some(twin) = &files.twin {
        let content = &item.files[twin.file].content;
        item.files[twin.file].content = plan.json(&files, content);
    }
    item.files[files.csv].content = csv;
    Ok(())
}

/// What is to be done with each row of data.
struct Plan {
    /// Of each row that stays, the cells that change, by column.
    rows: Vec<Vec<(usize, String)>>,
    /// Rows that the limit of the file leaves out.
    dropped: usize,
    /// All rows there are; those past the limit of rows are not counted as left out.
    all: usize,
}

impl Plan {
    fn of(files: &Files, text: &str, twin_text: &str, limits: &SampleLimits) -> Self {
        let rows = files.table.rows.get(1..).unwrap_or_default();
        let header = files.table.rows.first().map_or(0, |row| row.end);
        // All of the JSON file but its rows.
        let frame = files.twin.as_ref().map_or(0, |twin| {
            let array = &twin.tree.nodes[twin.rows];
            twin_text.len() - array.span().len()
        });
        let wanted = rows.len().min(limits.rows_max as usize);
        let mut plan = Self {
            rows: Vec::new(),
            dropped: 0,
            all: rows.len(),
        };
        let mut size = header.max(frame);
        for row in &rows[..wanted] {
            let mut changed = Vec::new();
            let mut kept = 0;
            size += ROW_BYTES;
            for (column, cell) in files.table.cells[row.cells.clone()].iter().enumerate() {
                let value = cell.value(text);
                let cut = cut(&value, limits.cell_bytes_max);
                let length = cut.as_ref().map_or(value.len(), String::len);
                // Quotes and what parts the cells, in the wider of the two files.
                size += 4;
                if kept + length > limits.row_bytes_max && length > MARK_BYTES_MAX {
                    let mark = mark(value.len());
                    size += mark.len();
                    changed.push((column, mark));
                    continue;
                }
                kept += length;
                // A quote is two in CSV; in JSON, what is escaped grows at most as much again.
                size += length
                    + value
                        .bytes()
                        .filter(|byte| matches!(byte, b'"' | b'\\' | b'\n'))
                        .count();
                changed.extend(cut.map(|cut| (column, cut)));
            }
            if size > limits.file_bytes_max {
                break;
            }
            plan.rows.push(changed);
        }
        plan.dropped = wanted - plan.rows.len();
        plan
    }

    fn is_nothing(&self) -> bool {
        self.rows.len() == self.all && self.rows.iter().all(Vec::is_empty)
    }

    fn csv(&self, files: &Files, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let rows = &files.table.rows;
        out.push_str(&text[..rows.first().map_or(0, |row| row.end)]);
        for (row, changed) in rows.iter().skip(1).zip(&self.rows) {
            let cells = &files.table.cells[row.cells.clone()];
            let mut changed = changed.iter().peekable();
            for (column, cell) in cells.iter().enumerate() {
                if column > 0 {
                    out.push(',');
                }
                match changed.next_if(|(at, _)| *at == column) {
                    // Writing to a string cannot fail.
                    Some((_, value)) => drop(write!(out, "\"{}\"", value.replace('"', "\"\""))),
                    None => out.push_str(&text[cell.start..cell.end]),
                }
            }
            out.push_str(&text[cells.last().map_or(row.end, |cell| cell.end)..row.end]);
        }
        out
    }

    fn json(&self, files: &Files, text: &str) -> String {
        let Some(twin) = &files.twin else {
            return text.to_owned();
        };
        let nodes = &twin.tree.nodes;
        let mut splices: Vec<(std::ops::Range<usize>, String)> = Vec::new();
        for (row, changed) in twin.tree.children(twin.rows).zip(&self.rows) {
            let cells: Vec<usize> = twin.tree.children(row).collect();
            for (column, value) in changed {
                let node = &nodes[cells[*column]];
                splices.push((node.span(), serde_json::Value::from(value.as_str()).to_string()));
            }
        }
        let removed: Vec<bool> = (0..self.all).map(|index| index >= self.rows.len()).collect();
        let array = &nodes[twin.rows];
        let spans = twin.tree.child_spans(twin.rows);
        splices.extend(
            removals(array.span(), &spans, &removed)
                .into_iter()
                .map(|cut| (cut, String::new())),
        );
        let cells: usize = self.rows.iter().map(Vec::len).sum();
        if cells + self.dropped > 0 {
            let end = array.span().end;
            let told = format!(", \"cut\": {{\"cells\": {cells}, \"rows\": {}}}", self.dropped);
            splices.push((end..end, told));
        }
        splices.sort_by_key(|(span, _)| span.start);
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (span, new) in splices {
            out.push_str(&text[copied..span.start]);
            out.push_str(&new);
            copied = span.end;
        }
        out.push_str(&text[copied..]);
        out
    }
}

/// Brackets, comma, indent and line break of a row, in the wider of the two files.
const ROW_BYTES: usize = 10;
/// No mark is longer; a cell that is shorter than this is never replaced by one.
const MARK_BYTES_MAX: usize = 40;

fn mark(bytes: usize) -> String {
    format!("…[CUT: {bytes} bytes]")
}

/// Returns what is left of a cell that is too long. A marker of the redaction is cut off whole.
fn cut(value: &str, bytes_max: usize) -> Option<String> {
    if value.len() <= bytes_max {
        return None;
    }
    let mut end = value.floor_char_boundary(bytes_max);
    if let Some(start) = value[..end].rfind('[')
        && MARKER_START.starts_with(
            value[start..]
                .get(..MARKER_START.len().min(end - start))
                .unwrap_or_default(),
        )
        && !value[start..end].contains(']')
    {
        end = start;
    }
    Some(format!("{}{}", &value[..end], mark(value.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_cut_between_characters_and_before_a_marker() {
        assert_eq!(cut("short", 5), None);
        assert_eq!(cut("longer", 5).as_deref(), Some("longe…[CUT: 6 bytes]"));
        assert_eq!(cut("žžž", 3).as_deref(), Some("ž…[CUT: 6 bytes]"));
        let marked = "see [REDACTED:password:abc] here";
        for bytes_max in [5, 6, 14, 26] {
            assert_eq!(
                cut(marked, bytes_max).as_deref(),
                Some("see …[CUT: 32 bytes]"),
                "{bytes_max}"
            );
        }
        assert_eq!(
            cut(marked, 27).as_deref(),
            Some("see [REDACTED:password:abc]…[CUT: 32 bytes]")
        );
        assert_eq!(cut("a [b] c [d", 9).as_deref(), Some("a [b] c …[CUT: 10 bytes]"));
    }
}
