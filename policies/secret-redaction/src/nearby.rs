//! What the header of a sample tells of its cells.

use crate::keys::{Keywords, Strength};
use crate::pairs;
use crate::shape::Join;
use std::ops::Range;

/// What the header of a sample says about its columns.
#[derive(Debug, Default)]
pub(crate) struct Header<'a> {
    columns: Vec<(Option<Strength>, &'a str)>,
}

impl<'a> Header<'a> {
    pub(crate) fn learn(&mut self, keywords: &Keywords, column: usize, name: &'a str) {
        // Columns come in order; a gap would be a malformed document, whose cells have no names then.
        if column == self.columns.len() {
            self.columns.push((keywords.strength(name), name));
        }
    }

    /// Returns the name of a column, empty where it has none.
    pub(crate) fn name(&self, column: usize) -> &'a str {
        self.columns.get(column).map_or("", |&(_, name)| name)
    }

    /// Judges a cell by the name of its column.
    pub(crate) fn judge(&self, column: usize, value: &str) -> Option<(Strength, Range<usize>)> {
        let &(strength, name) = self.columns.get(column)?;
        let strength = strength?;
        Some((strength, pairs::judge(strength, Join::Cell, name, value)?))
    }
}
