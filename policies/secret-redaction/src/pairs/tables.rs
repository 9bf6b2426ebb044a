//! Tables in text: columns of Markdown's, and of lines with a sign between their cells.

use super::{judge_at, skip_blank};
use crate::alphabet::{DASH, DOT, WORD};
use crate::keys::Strength;
use crate::scan::Hit;
use crate::shape::Join;
use std::ops::Range;

/// Most rows of one table that are judged.
const ROWS_MAX: usize = 32;
/// Longest line that is read, in bytes; of a header of lines a quarter.
const LINE_MAX: usize = 960;

/// Judges the cells below the header `| … | password | …` of a Markdown table.
pub(super) fn column_of_markdown(text: &str, strength: Strength, name: &Range<usize>, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let line = line_before(bytes, name.start);
    let column = count(bytes, line..name.start, b'|');
    let Some(rule) = next_line(bytes, name.end) else {
        return;
    };
    let Some(row) = next_line(bytes, rule) else { return };
    let is_rule = bytes[rule..row]
        .iter()
        .all(|byte| matches!(byte, b'|' | b'-' | b':' | b' ' | b'\t' | b'\r' | b'\n'));
    if column == 0 || !is_rule || !bytes[rule..row].contains(&b'-') {
        return;
    }
    rows(bytes, row, |line| {
        if bytes.get(skip_blank(bytes, line.start)) != Some(&b'|') {
            return false;
        }
        if let Some(cell) = cell(bytes, line, b'|', column) {
            hits.extend(judge_at(text, strength, join_of(&cell), "", cell));
        }
        true
    });
}

/// Judges the cell behind a name that is the first one of its line, below a header such as `key,value`.
pub(super) fn value_of_line(text: &str, strength: Strength, name: &Range<usize>) -> Option<Hit> {
    let bytes = text.as_bytes();
    let close = name.end + usize::from(bytes.get(name.end) == Some(&b'"'));
    let sign = *bytes
        .get(close)
        .filter(|byte| matches!(byte, b',' | b';' | b'\t'))?;
    let line = line_before(bytes, name.start);
    // So it is with few names, and the rest need not be looked at.
    if !text.get(line..name.start)?.trim_matches('"').is_empty() {
        return None;
    }
    // Tables of settings are short.
    let floor = line.saturating_sub(4 * LINE_MAX);
    let above = &bytes[floor..line];
    let first = match memchr::memmem::rfind(above, b"\n\n") {
        Some(end) => end + 2,
        None if floor == 0 => 0,
        None => return None,
    };
    let first = text.get(floor + first..line)?;
    let header = first
        .lines()
        .next()
        .filter(|header| header.len() < LINE_MAX / 4)?;
    let mut names = header
        .split(char::from(sign))
        .map(|name| name.trim_matches(['"', ' ']));
    let is_value = |name: &str| {
        ["value", "values", "val", "hodnota", "wert"]
            .iter()
            .any(|value| name.eq_ignore_ascii_case(value))
    };
    let is_settings = names.next().is_some_and(|name| !name.is_empty()) && names.next().is_some_and(is_value);
    let limit = bytes.len().min(close + LINE_MAX);
    let end = memchr::memchr(b'\n', &bytes[close..limit]).map_or(limit, |end| close + end);
    let cell = cell(bytes, close..end, sign, 1).filter(|_| is_settings)?;
    judge_at(text, strength, join_of(&cell), "", cell)
}

/// Judges the cells below a header that is a line of names with a sign between them: `login;password`, then `etl;…`.
pub(super) fn column_of_lines(text: &str, strength: Strength, name: &Range<usize>, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let quoted = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b'"' | b'\''));
    let close = name.end + usize::from(quoted(name.end));
    let open = name.start - usize::from(name.start > 0 && quoted(name.start - 1));
    let is_sign = |byte: &&u8| matches!(byte, b',' | b';' | b'\t');
    let sign = match bytes.get(close) {
        Some(b'\r' | b'\n') => open.checked_sub(1).and_then(|before| bytes.get(before)),
        next => next,
    };
    let Some(&sign) = sign.filter(is_sign) else { return };
    let line = line_before(bytes, name.start);
    let is_first = line == 0 || bytes[..line].ends_with(b"\n\n") || bytes[..line].ends_with(b"\r\n\r\n");
    let Some(row) = next_line(bytes, name.end).filter(|_| is_first) else {
        return;
    };
    let header = &bytes[line..row];
    let is_of_names = |byte: &u8| {
        WORD.or(DOT).or(DASH).has(*byte)
            || *byte >= 0x80
            || matches!(byte, b' ' | b'"' | b'\'' | b'\r' | b'\n')
    };
    let is_header = header.len() < LINE_MAX / 4
        && header
            .split(|byte| *byte == sign)
            .all(|cell| cell.iter().all(is_of_names) && begins_with_letter(cell));
    if !is_header {
        return;
    }
    let (column, columns) = (
        count(bytes, line..name.start, sign),
        count(bytes, line..row, sign),
    );
    rows(bytes, row, |line| {
        // As many cells as names.
        if count(bytes, line.clone(), sign) != columns {
            return false;
        }
        if let Some(cell) = cell(bytes, line, sign, column) {
            // Keys of rows are hashes, too; sentences are what is said of a column.
            let join = if strength == Strength::Weak {
                Join::Cell
            } else {
                join_of(&cell)
            };
            if !bytes[cell.clone()].contains(&b' ') {
                hits.extend(judge_at(text, strength, join, "", cell));
            }
        }
        true
    });
}

fn join_of(cell: &Range<usize>) -> Join {
    if cell.len() < 5 { Join::Prose } else { Join::Line }
}

fn begins_with_letter(cell: &[u8]) -> bool {
    let first = cell.iter().find(|byte| !matches!(byte, b' ' | b'"' | b'\''));
    first.is_some_and(|first| first.is_ascii_alphabetic() || *first >= 0x80)
}

fn count(bytes: &[u8], part: Range<usize>, sign: u8) -> usize {
    bytes[part].iter().filter(|byte| **byte == sign).count()
}

/// Returns where the line of a place begins.
fn line_before(bytes: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(LINE_MAX / 4);
    let line = memchr::memrchr(b'\n', &bytes[floor..at]);
    line.map_or(floor, |end| floor + end + 1)
}

fn next_line(bytes: &[u8], from: usize) -> Option<usize> {
    let limit = bytes.len().min(from + LINE_MAX);
    let end = memchr::memchr(b'\n', bytes.get(from..limit)?)?;
    Some(from + end + 1)
}

/// Gives the lines from a place on, without their ends, as long as they are taken.
fn rows(bytes: &[u8], from: usize, mut take: impl FnMut(Range<usize>) -> bool) {
    let mut row = from;
    for _ in 0..ROWS_MAX {
        let limit = bytes.len().min(row + LINE_MAX);
        let end = memchr::memchr(b'\n', &bytes[row..limit]).map_or(limit, |end| row + end);
        if row == end || !take(row..end) || end == limit {
            return;
        }
        row = end + 1;
    }
}

/// Returns what stands in a column of a line, without blanks and quotes.
fn cell(bytes: &[u8], line: Range<usize>, sign: u8, column: usize) -> Option<Range<usize>> {
    let is_around = |byte: u8| matches!(byte, b' ' | b'`' | b'\t' | b'"' | b'\'' | b'\r');
    let mut cells = bytes[line.clone()].split(|byte| *byte == sign);
    let before: usize = cells.by_ref().take(column).map(|cell| cell.len() + 1).sum();
    let mut start = line.start + before;
    let mut stop = start + cells.next()?.len();
    while start < stop && is_around(bytes[start]) {
        start += 1;
    }
    while stop > start && is_around(bytes[stop - 1]) {
        stop -= 1;
    }
    (start < stop).then_some(start..stop)
}

#[cfg(test)]
mod tests {
    use crate::scan::{Depth, Scanner};

    #[test]
    fn lines_may_end_as_on_windows() {
        let text = "id;login;password\r\n1;jana;Welcome@1740\r\n2;petr;\r\n3;eva;Tr0mpeta9";
        let hits = Scanner::new().scan(text, Depth::All(0));
        let gone: Vec<&str> = hits.iter().map(|hit| &text[hit.range.clone()]).collect();
        assert_eq!(gone, ["Welcome@1740", "Tr0mpeta9"]);
    }
}
