//! A stored tree, read without copying its entries.

use crate::{error::StoreError, objects::Source};
use gix::{bstr::ByteSlice, objs::Kind};
use mirror_core::ids::Oid;
use std::cmp::Ordering;

/// The mode of a directory.
pub(crate) const MODE_TREE: u32 = 0o040_000;
/// The mode of an ordinary file, the only one that the mirror writes.
pub(crate) const MODE_FILE: u32 = 0o100_644;

/// One entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'t> {
    pub(crate) mode: u32,
    pub(crate) name: &'t [u8],
    pub(crate) id: Oid,
}

impl Entry<'_> {
    pub(crate) fn is_tree(&self) -> bool {
        self.mode == MODE_TREE
    }

    /// Returns whether this is a file, executable or not; a link or a submodule is none.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.mode, MODE_FILE | 0o100_755 | 0o100_664)
    }

    pub(crate) fn is_ordinary(&self) -> bool {
        self.mode == MODE_FILE
    }

    /// Returns how many bytes it takes, encoded, at most: six digits, a blank, a zero byte and an id besides the name.
    pub(crate) fn byte_len_max(&self) -> usize {
        self.name.len() + 28
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:o} ", self.mode).as_bytes());
        out.extend_from_slice(self.name);
        out.push(0);
        out.extend_from_slice(self.id.as_bytes());
    }

    /// Compares as Git sorts: a directory's name counts as if it ended in `/`.
    pub(crate) fn compare(&self, other: &Entry<'_>) -> Ordering {
        let shared = self.name.len().min(other.name.len());
        let end = |entry: &Entry<'_>| match entry.name.get(shared) {
            Some(byte) => *byte,
            None if entry.is_tree() => b'/',
            None => 0,
        };
        let by_name = self.name[..shared].cmp(&other.name[..shared]);
        by_name.then_with(|| end(self).cmp(&end(other)))
    }
}

/// A tree object whose entries can be found by name.
#[derive(Debug, Default)]
pub(crate) struct BaseTree {
    raw: Vec<u8>,
    /// Where each entry starts, and the length as the last.
    starts: Vec<usize>,
}

impl BaseTree {
    pub(crate) fn load(source: &impl Source, id: Oid) -> Result<Self, StoreError> {
        Self::parse(id, source.require(id, Kind::Tree)?)
    }

    pub(crate) fn parse(id: Oid, raw: Vec<u8>) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged {
            id,
            problem: "its entries cannot be read or are out of order".into(),
        };
        let mut starts = Vec::with_capacity(raw.len() / 32 + 1);
        let mut start = 0;
        let mut previous: Option<Entry<'_>> = None;
        while start < raw.len() {
            let (entry, end) = parse_entry(&raw, start).ok_or_else(damaged)?;
            if previous.is_some_and(|previous| previous.compare(&entry) != Ordering::Less) {
                return Err(damaged());
            }
            previous = Some(entry);
            starts.push(start);
            start = end;
        }
        starts.push(start);
        Ok(Self { raw, starts })
    }

    /// Returns the object as it is stored.
    pub(crate) fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// Returns how many bytes the object has.
    pub(crate) fn byte_len(&self) -> usize {
        self.raw.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(crate) fn entry(&self, at: usize) -> Entry<'_> {
        let (entry, _) = parse_entry(&self.raw, self.starts[at]).expect("every entry was parsed by load");
        entry
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|at| self.entry(at))
    }

    /// Returns the encoded entries of a range of positions.
    pub(crate) fn raw(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.raw[self.starts[range.start]..self.starts[range.end]]
    }

    /// Returns the first position whose entry does not sort before `entry`.
    pub(crate) fn position(&self, entry: &Entry<'_>) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.entry(middle).compare(entry) {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// Finds an entry by name, whatever its kind.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(usize, Entry<'_>)> {
        [MODE_FILE, MODE_TREE].into_iter().find_map(|mode| {
            let at = self.position(&Entry {
                mode,
                name,
                id: crate::objects::EMPTY_TREE,
            });
            (at < self.len())
                .then(|| (at, self.entry(at)))
                .filter(|(_, entry)| entry.name == name)
        })
    }
}

/// Parses the entry at `start`; returns it and where the next one starts.
fn parse_entry(raw: &[u8], start: usize) -> Option<(Entry<'_>, usize)> {
    let rest = &raw[start..];
    let space = rest.find_byte(b' ')?;
    let digits = rest[..space].to_str().ok().filter(|digits| digits.len() <= 6)?;
    let mode = u32::from_str_radix(digits, 8).ok()?;
    let length = rest[space + 1..].find_byte(0).filter(|length| *length > 0)?;
    let name = &rest[space + 1..space + 1 + length];
    let id = space + 1 + length + 1;
    let bytes: [u8; 20] = rest.get(id..id + 20)?.try_into().ok()?;
    Some((
        Entry {
            mode,
            name,
            id: Oid::from_bytes(bytes),
        },
        start + id + 20,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(Vec<u8>);

    impl Source for One {
        fn find(&self, _: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
            Ok(Some((Kind::Tree, self.0.clone())))
        }
    }

    fn encoded(entries: &[(&str, u32)]) -> Vec<u8> {
        let mut raw = Vec::new();
        for (name, mode) in entries {
            Entry {
                mode: *mode,
                name: name.as_bytes(),
                id: Oid::from_bytes([3; 20]),
            }
            .encode(&mut raw);
        }
        raw
    }

    #[test]
    fn entries_are_found_by_name_in_git_order() {
        let sorted = [
            ("a-b", MODE_FILE),
            ("a", MODE_TREE),
            ("a.b", 0o100_755),
            ("a0", 0o120_000),
            ("ä", 0o160_000),
        ];
        // `a` is a directory, so it sorts as `a/`: after `a-b` and `a.b`.
        let sorted = [sorted[0], sorted[2], sorted[1], sorted[3], sorted[4]];
        let tree = BaseTree::load(&One(encoded(&sorted)), Oid::from_bytes([1; 20])).unwrap();
        assert_eq!(tree.len(), 5);
        for (at, (name, mode)) in sorted.iter().enumerate() {
            let (found, entry) = tree.find(name.as_bytes()).unwrap();
            assert_eq!((found, entry.mode, entry.name), (at, *mode, name.as_bytes()));
        }
        for missing in ["", "A", "a/", "b", "zz"] {
            assert_eq!(tree.find(missing.as_bytes()), None, "{missing}");
        }
        assert_eq!(tree.raw(0..5), encoded(&sorted));
        assert_eq!(tree.raw(1..2), encoded(&sorted[1..2]));
    }

    #[test]
    fn a_damaged_tree_is_an_error() {
        let good = encoded(&[("a", MODE_FILE), ("b", MODE_FILE)]);
        for damaged in [
            good[..good.len() - 1].to_vec(),
            encoded(&[("b", MODE_FILE), ("a", MODE_FILE)]),
            encoded(&[("a", MODE_FILE), ("a", MODE_FILE)]),
            b"100644 a".to_vec(),
            b"1006449 a\0aaaaaaaaaaaaaaaaaaaa".to_vec(),
            b"100644 \0aaaaaaaaaaaaaaaaaaaa".to_vec(),
            b"10064x a\0aaaaaaaaaaaaaaaaaaaa".to_vec(),
        ] {
            let error = BaseTree::load(&One(damaged), Oid::from_bytes([1; 20])).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
        assert_eq!(
            BaseTree::load(&One(Vec::new()), crate::objects::EMPTY_TREE)
                .unwrap()
                .len(),
            0
        );
        assert_eq!(BaseTree::default().len(), 0);
    }
}
