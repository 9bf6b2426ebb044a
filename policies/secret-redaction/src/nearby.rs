//! What the leaves before one tell of it: the header of a sample, and the object that it is in.

use crate::keys::{Keywords, Strength};
use crate::shape::Join;
use crate::{pairs, structure};
use std::{borrow::Cow, ops::Range};

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

/// The object that the last member was in: members of one object follow each other.
#[derive(Debug, Default)]
pub(crate) struct Object<'a> {
    pointer: &'a str,
    /// Its name, where that has a word of a secret.
    name: Option<&'a str>,
}

impl<'a> Object<'a> {
    /// Returns the name of the object with this pointer, where it has a word of a secret. Together with the name of a member
    /// it may promise one, as in `{"passwords": {"production": "…"}}`.
    pub(crate) fn name(&mut self, keywords: &Keywords, pointer: &'a str) -> Option<Cow<'a, str>> {
        if self.pointer != pointer {
            let name = structure::last(pointer).1;
            self.pointer = pointer;
            self.name = keywords.occur_in(name).then_some(name);
        }
        Some(structure::name_of("", self.name?))
    }
}
