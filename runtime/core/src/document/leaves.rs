//! The leaves of a document, one text after the other.
//!
//! A list of those that many objects share has hundreds of thousands: as strings of their own they would take
//! twice the room, and would have to be put together before a guest is given them at once.

use super::LeafRole;
use std::{fmt, ops::Range};

/// One judged piece of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'l> {
    /// RFC 6901 pointer; see `wit/types.wit` for files that are not JSON.
    pub pointer: &'l str,
    pub role: LeafRole,
    /// The decoded text.
    pub value: &'l str,
}

/// Leaves in the order of their document.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Leaves {
    roles: Vec<LeafRole>,
    /// Pointer and value of each leaf in turn, and where each of these ends.
    text: String,
    ends: Vec<usize>,
}

impl Leaves {
    /// Makes room for so many leaves, whose pointers and values have so many bytes together.
    #[must_use]
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self {
            roles: Vec::with_capacity(count),
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(2 * count),
        }
    }

    pub fn push(&mut self, leaf: Leaf<'_>) {
        self.roles.push(leaf.role);
        for text in [leaf.pointer, leaf.value] {
            self.text.push_str(text);
            self.ends.push(self.text.len());
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.roles.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    #[must_use]
    pub fn get(&self, at: usize) -> Option<Leaf<'_>> {
        let role = *self.roles.get(at)?;
        let end = |at: usize| self.ends[at];
        let start = if at == 0 { 0 } else { end(2 * at - 1) };
        let (pointer_end, value_end) = (end(2 * at), end(2 * at + 1));
        Some(Leaf {
            pointer: &self.text[start..pointer_end],
            role,
            value: &self.text[pointer_end..value_end],
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = Leaf<'_>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// Returns some of them, which are there, as a list of their own.
    ///
    /// # Panics
    /// A range that goes beyond them.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let Range { start, end } = range;
        let at = |leaf: usize| if leaf == 0 { 0 } else { self.ends[2 * leaf - 1] };
        let text = at(start)..at(end);
        Self {
            roles: self.roles[start..end].to_vec(),
            ends: self.ends[2 * start..2 * end]
                .iter()
                .map(|end| end - text.start)
                .collect(),
            text: self.text[text].to_owned(),
        }
    }

    /// Returns the roles, in order.
    #[must_use]
    pub fn roles(&self) -> &[LeafRole] {
        &self.roles
    }

    /// Returns pointer and value of each leaf in turn, as one text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns where in [`Leaves::text`] each pointer and each value ends.
    #[must_use]
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'l> FromIterator<Leaf<'l>> for Leaves {
    fn from_iter<I: IntoIterator<Item = Leaf<'l>>>(leaves: I) -> Self {
        let mut all = Self::default();
        all.extend(leaves);
        all
    }
}

impl<'l> Extend<Leaf<'l>> for Leaves {
    fn extend<I: IntoIterator<Item = Leaf<'l>>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_are_what_a_list_of_strings_would_be(
            list in prop::collection::vec(("[/a-cé]{0,6}", 0..3_u8, "[a-cé]{0,6}"), 0..40)
        ) {
            let leaf = |(pointer, role, value): &(String, u8, String)| {
                let role = [LeafRole::Key, LeafRole::Text, LeafRole::Scalar][usize::from(*role)];
                (pointer.clone(), role, value.clone())
            };
            let list: Vec<(String, LeafRole, String)> = list.iter().map(leaf).collect();
            let lent = |(pointer, role, value): &'_ (String, LeafRole, String)| (pointer.clone(), *role, value.clone());
            let leaves: Leaves = list
                .iter()
                .map(|(pointer, role, value)| Leaf { pointer, role: *role, value })
                .collect();
            let read = |leaf: Leaf<'_>| (leaf.pointer.to_owned(), leaf.role, leaf.value.to_owned());
            prop_assert_eq!(leaves.iter().map(read).collect::<Vec<_>>(), list.clone());
            prop_assert_eq!((leaves.len(), leaves.is_empty()), (list.len(), list.is_empty()));
            for at in 0..=list.len() {
                prop_assert_eq!(leaves.get(at).map(read), list.get(at).map(lent));
            }
            for at in 0..=list.len() {
                let (before, after) = (leaves.part(0..at), leaves.part(at..list.len()));
                prop_assert_eq!(before.iter().chain(after.iter()).collect::<Leaves>(), leaves.clone());
            }
            let texts = leaves.ends().iter().scan(0, |start, end| {
                let text = &leaves.text()[*start..*end];
                *start = *end;
                Some(text)
            });
            let wanted = list.iter().flat_map(|(pointer, _, value)| [pointer.as_str(), value]);
            prop_assert_eq!(texts.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
        }
    }
}
