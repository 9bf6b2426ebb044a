//! An item of a listing that does not have the documented form: it ends neither the listing nor what is said of the others.

use crate::{
    json::{Members, Problem},
    text::Text,
};

/// An item, or why it cannot be read.
pub type Item<T, Id> = Result<T, Unread<Id>>;

/// An item of a listing that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread<Id> {
    /// Whose it is; none where not even that can be read.
    pub id: Option<Id>,
    /// What is wrong; never content.
    pub detail: String,
}

/// Reads an item of which all has to be text; where it cannot be read, its id is looked for alone.
pub(crate) fn item<T, Id>(
    text: Text<'_>,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
    id: impl FnOnce(&Members<'_>) -> Result<Id, Problem>,
) -> Item<T, Id> {
    named(text, text.sound().and_then(parse), id)
}

/// Says whose item it is that could not be read.
pub(crate) fn named<T, Id>(
    text: Text<'_>,
    read: Result<T, Problem>,
    id: impl FnOnce(&Members<'_>) -> Result<Id, Problem>,
) -> Item<T, Id> {
    read.map_err(|detail| Unread {
        id: Members::of(text).and_then(|members| id(&members)).ok(),
        detail,
    })
}

/// Keeps what could be read of a list that is asked for again and again; what was left out is told by who reads everything.
pub(crate) fn readable<T>(what: &str, items: impl IntoIterator<Item = Result<T, Problem>>) -> Vec<T> {
    let mut left_out = 0_usize;
    let mut why = Problem::new();
    let mut read = Vec::new();
    for item in items {
        match item {
            Ok(item) => read.push(item),
            Err(problem) => {
                left_out += 1;
                why = problem;
            }
        }
    }
    if left_out > 0 {
        tracing::debug!(what, left_out, problem = why, "items of a listing cannot be read");
    }
    read
}
