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
}

impl<'a> Header<'a> {
    pub(crate) fn learn(&mut self, keywords: &Keywords, column: usize, name: &'a str) {
        // Columns come in order; a gap would be a malformed document, whose cells have no names then.
        if column != self.columns.len() {
            return;
        }
        let word = last_word(name);
        if structure::is_name_member(&word) && self.names.len() < NAME_COLUMNS_MAX {
            self.names.push(column);
        }
        self.columns.push(Column {
            name,
            strength: keywords.strength(name),
            is_value: structure::is_value_member(&word),
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
