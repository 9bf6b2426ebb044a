//! What the header of a sample tells of its cells.

use crate::engine::{Document, Role};
use crate::keys::{Keywords, Strength};
use crate::shape::Join;
use crate::{pairs, structure, vendors};
use std::ops::Range;

/// Most columns of names that a row is searched for.
const NAME_COLUMNS_MAX: usize = 4;

/// What the header of a sample says about its columns.
#[derive(Debug, Default)]
pub(crate) struct Header<'a> {
    columns: Vec<Column<'a>>,
    /// The columns that hold names of values, as `key` does in a table of settings.
    names: Vec<usize>,
}

#[derive(Debug)]
struct Column<'a> {
    name: &'a str,
    strength: Option<Strength>,
    /// It holds values whose names are in another column.
    is_value: bool,
    /// It is whole lines, of a table with another sign than a comma between its cells.
    lines: Option<Lines<'a>>,
}

/// The columns of a table that came as one.
#[derive(Debug)]
struct Lines<'a> {
    sign: char,
    count: usize,
    /// Those whose names promise secrets.
    columns: Vec<(usize, &'a str, Strength)>,
}

impl<'a> Lines<'a> {
    /// Returns them if a header is one of several names.
    fn of(keywords: &Keywords, header: &'a str) -> Option<Self> {
        let sign = [';', '\t', '|'].into_iter().find(|sign| header.contains(*sign))?;
        let names = header.split(sign).map(|name| name.trim_matches(['"', ' ', '\'']));
        let columns = names
            .enumerate()
            .filter_map(|(column, name)| Some((column, name, keywords.strength(name)?)));
        Some(Self {
            sign,
            count: header.split(sign).count(),
            columns: columns.collect(),
        })
    }

    /// Returns from the first secret of a line to the last.
    fn judge(&self, line: &str) -> Option<(Strength, Range<usize>)> {
        if line.split(self.sign).count() != self.count {
            return None;
        }
        let mut starts = line.split(self.sign).scan(0, |at, cell| {
            let start = *at;
            *at += cell.len() + self.sign.len_utf8();
            Some((start, cell))
        });
        let mut found: Option<(Strength, Range<usize>)> = None;
        let mut before = 0;
        for (column, name, strength) in &self.columns {
            let (start, cell) = starts.nth(column - before)?;
            before = column + 1;
            if let Some(part) = pairs::judge(*strength, Join::Cell, name, cell) {
                let first = found.map_or(start + part.start, |(_, found)| found.start);
                found = Some((*strength, first..start + part.end));
            }
        }
        found
    }
}

impl<'a> Header<'a> {
    pub(crate) fn learn(&mut self, keywords: &Keywords, column: usize, name: &'a str) {
        // Columns come in order; a gap would be a malformed document, whose cells have no names then.
        if column != self.columns.len() {
            return;
        }
        let lines = if column == 0 {
            Lines::of(keywords, name)
        } else {
            None
        };
        let word = last_word(name);
        if structure::is_name_member(&word) && self.names.len() < NAME_COLUMNS_MAX {
            self.names.push(column);
        }
        self.columns.push(Column {
            name,
            strength: if lines.is_some() {
                None
            } else {
                keywords.strength(name)
            },
            is_value: structure::is_value_member(&word),
            lines,
        });
    }

    /// Returns the name of a column, empty where it has none.
    pub(crate) fn name(&self, column: usize) -> &'a str {
        self.columns.get(column).map_or("", |column| column.name)
    }

    /// Judges the cell at `at` by the name of its column, then by the name that its row has for it.
    pub(crate) fn judge(
        &self,
        keywords: &Keywords,
        document: &Document<'_>,
        at: usize,
        (row, column): (usize, usize),
    ) -> Option<(Strength, Range<usize>)> {
        let value = document.leaves[at].value;
        let own = self.columns.get(column)?;
        if let Some(lines) = &own.lines {
            return lines.judge(value);
        }
        let by = |strength: Option<Strength>, join, name: &str| {
            let strength = strength?;
            Some((strength, pairs::judge(strength, join, name, value)?))
        };
        let of_column = by(own.strength, Join::Cell, own.name);
        if of_column.is_some() || !own.is_value {
            return of_column;
        }
        let names = self.names.iter();
        names
            .filter_map(|&other| beside(document, at, column, (row, other)))
            .find_map(|name| {
                by(keywords.strength(name), Join::Member, name).or_else(|| vendors::judge(name, value))
            })
    }
}

/// Returns the text of another cell of the row, which begins in the leaves where that of `column` is at `at`.
fn beside<'a>(
    document: &Document<'a>,
    at: usize,
    column: usize,
    (row, other): (usize, usize),
) -> Option<&'a str> {
    let leaf = document.leaves.get((at + other).checked_sub(column)?)?;
    (leaf.role == Role::Text && structure::cell(leaf.pointer) == Some((row, other))).then_some(leaf.value)
}

/// Returns the last word of a column's name, as `value` of `PARAMETER_VALUE`.
fn last_word(name: &str) -> String {
    let word = name.rsplit(['_', ' ', '-', '.']).next().unwrap_or_default();
    word.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_another_sign_are_cut_at_it() {
        let keywords = Keywords::new();
        let judged = |header, line| {
            let lines = Lines::of(&keywords, header)?;
            let (_, range) = lines.judge(line)?;
            Some(line.get(range).expect("a part of it").to_owned())
        };
        let header = "id;system;secret;poznámka;password";
        for (line, expected) in [
            ("1;rev;7Qm2gbhP8NCjap7HzHPo;ostrá;", Some("7Qm2gbhP8NCjap7HzHPo")),
            ("1;rev;;ostrá;Tr0mpeta9", Some("Tr0mpeta9")),
            (
                "1;rev;7Qm2gbhP8NCjap7HzHPo;x;Tr0mpeta9",
                Some("7Qm2gbhP8NCjap7HzHPo;x;Tr0mpeta9"),
            ),
            ("1;rev;7Qm2gbhP8NCjap7HzHPo", None),
        ] {
            assert_eq!(judged(header, line).as_deref(), expected, "{line}");
        }
        assert_eq!(judged("order_key;heslo_zmeneno", "OBJ409652398;ano"), None);
        assert!(Lines::of(&keywords, "password").is_none());
    }
}
