//! A sorted map of byte strings, front coded: each key is written without what it shares with the one before.
//!
//! Rows lie in blocks of about a kilobyte. A row takes its value, what is new in its key, and some ten bytes; in a tree
//! of strings it takes a hundred beside both. A look-up reads one block, a change writes one anew. Knows nothing of what
//! the bytes mean.

use std::{cmp::Ordering, collections::BTreeMap, ops::Bound};

/// A block with more bytes is split, unless it is a single row. Larger ones take less room and more time.
const BLOCK_BYTES_MAX: usize = 1 << 10;
/// What a block costs beside its bytes, about: its entry in the tree and its key there.
const BLOCK_COST: usize = 96;

/// Values by key, in the order of the keys' bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct FrontCoded {
    /// Each block by what none of its keys, and every key of those before, sorts before; the first by the empty key. Only
    /// an empty map has no block.
    blocks: BTreeMap<Box<[u8]>, Box<[u8]>>,
    bytes: usize,
}

impl FrontCoded {
    /// Returns how many bytes of memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, block) = self.block_of(key)?;
        let mut rows = Rows::of(block);
        while let Some(value) = rows.next_value() {
            match rows.key.as_slice().cmp(key) {
                Ordering::Less => {}
                Ordering::Equal => return Some(value),
                Ordering::Greater => break,
            }
        }
        None
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Sets the value of a key.
    pub(super) fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.change(key, Some(value));
    }

    /// Removes a key and its value; one that is not there is fine.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.change(key, None);
    }

    /// Returns all rows, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
        self.from(Vec::new())
    }

    /// Returns the rows whose key begins so, by key.
    pub(super) fn prefixed(&self, prefix: Vec<u8>) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
        let rows = self.from(prefix.clone());
        rows.take_while(move |(key, _)| key.starts_with(&prefix))
    }

    fn from(&self, start: Vec<u8>) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
        // An empty map has no block, so that it does not matter where it is begun.
        let (first, _) = self.block_of(&start).unwrap_or_default();
        let from = (Bound::Included(first), Bound::Unbounded);
        let mut blocks = self.blocks.range::<[u8], _>(from);
        let mut rows = Rows::of(&[]);
        std::iter::from_fn(move || {
            loop {
                match rows.next_value() {
                    Some(_) if rows.key < start => {}
                    Some(value) => return Some((rows.key.clone(), value)),
                    None => rows = Rows::of(blocks.next()?.1),
                }
            }
        })
    }

    /// Returns the block that has a key if there is one, and its own.
    fn block_of(&self, key: &[u8]) -> Option<(&[u8], &[u8])> {
        let until = (Bound::Unbounded, Bound::Included(key));
        let (first, block) = self.blocks.range::<[u8], _>(until).next_back()?;
        Some((first, block))
    }

    /// Sets or removes (none) the value of a key.
    fn change(&mut self, key: &[u8], value: Option<&[u8]>) {
        let (first, block) = self.block_of(key).unwrap_or_default();
        let gap = Gap::of(block, key);
        if value.is_none() && !gap.is_there {
            return;
        }
        let mut changed = Vec::with_capacity(block.len() + key.len() + value.map_or(0, <[u8]>::len) + 16);
        changed.extend_from_slice(&block[..gap.at]);
        let mut before = gap.before.as_slice();
        if let Some(value) = value {
            push_row(&mut changed, before, key, value);
            before = key;
        }
        if let Some((after, value)) = &gap.after {
            push_row(&mut changed, before, after, value);
            changed.extend_from_slice(gap.rest);
        }
        // What comes in order fills its blocks; else both halves have room for more.
        let split = if gap.after.is_none() {
            gap.at
        } else {
            changed.len() / 2
        };
        let first = first.into();
        self.put_block(first, changed, split);
        if self.bytes == BLOCK_COST {
            // Of all blocks an empty first one is left.
            *self = Self::default();
        }
    }

    /// Puts a block in the place of the one before, split at the first row from `split` on where it is too large.
    fn put_block(&mut self, first: Box<[u8]>, mut block: Vec<u8>, split: usize) {
        if block.len() > BLOCK_BYTES_MAX
            && let Some(rest) = Rest::of(&block, split)
        {
            block.truncate(rest.at);
            self.bytes += rest.block.len() + BLOCK_COST;
            self.blocks.insert(rest.first, rest.block);
        }
        let is_gone = block.is_empty() && !first.is_empty();
        let before = if is_gone {
            self.blocks.remove(&first)
        } else {
            self.bytes += block.len() + BLOCK_COST;
            self.blocks.insert(first, block.into())
        };
        self.bytes -= before.map_or(0, |before| before.len() + BLOCK_COST);
    }
}

/// What is taken off a block that is too large.
struct Rest {
    /// Where its first row was in the block.
    at: usize,
    /// What sorts after all keys that stay, and not after its own.
    first: Box<[u8]>,
    block: Box<[u8]>,
}

impl Rest {
    /// Returns what begins with the first row from `split` on that is not the block's first.
    fn of(block: &[u8], split: usize) -> Option<Self> {
        let mut rows = Rows::of(block);
        rows.next_value()?;
        loop {
            let at = block.len() - rows.rest.len();
            let value = rows.next_value()?;
            if at >= split {
                let mut rest = Vec::with_capacity(rows.key.len() + block.len() - at);
                push_row(&mut rest, &[], &rows.key, value);
                rest.extend_from_slice(rows.rest);
                return Some(Self {
                    at,
                    first: rows.key[..=rows.shared].into(),
                    block: rest.into(),
                });
            }
        }
    }
}

/// Where a key is in a block, or would be.
struct Gap<'b> {
    at: usize,
    is_there: bool,
    /// The key before it.
    before: Vec<u8>,
    /// The row after it, and what follows that.
    after: Option<(Vec<u8>, &'b [u8])>,
    rest: &'b [u8],
}

impl<'b> Gap<'b> {
    fn of(block: &'b [u8], key: &[u8]) -> Self {
        let mut rows = Rows::of(block);
        let (mut at, mut before, mut is_there) = (0, Vec::new(), false);
        let mut after = None;
        while let Some(value) = rows.next_value() {
            match rows.key.as_slice().cmp(key) {
                Ordering::Less => {
                    at = block.len() - rows.rest.len();
                    before.clone_from(&rows.key);
                }
                Ordering::Equal => is_there = true,
                Ordering::Greater => {
                    after = Some((rows.key, value));
                    break;
                }
            }
        }
        Self {
            at,
            is_there,
            before,
            after,
            rest: rows.rest,
        }
    }
}

/// Reads the rows of a block, one after the other.
struct Rows<'b> {
    /// Of the row that was read last, and how much of it is that of the row before.
    key: Vec<u8>,
    shared: usize,
    rest: &'b [u8],
}

impl<'b> Rows<'b> {
    fn of(block: &'b [u8]) -> Self {
        Self {
            key: Vec::new(),
            shared: 0,
            rest: block,
        }
    }

    /// Goes to the next row and returns its value.
    fn next_value(&mut self) -> Option<&'b [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.shared = self.number();
        let (new, value) = (self.number(), self.number());
        let new = self.take(new);
        self.key.truncate(self.shared);
        self.key.extend_from_slice(new);
        Some(self.take(value))
    }

    fn take(&mut self, bytes: usize) -> &'b [u8] {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn number(&mut self) -> usize {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }
}

fn push_row(block: &mut Vec<u8>, before: &[u8], key: &[u8], value: &[u8]) {
    let shared = before
        .iter()
        .zip(key)
        .take_while(|(one, other)| one == other)
        .count();
    let new = &key[shared..];
    for number in [shared, new.len(), value.len()] {
        push_number(block, number);
    }
    block.extend_from_slice(new);
    block.extend_from_slice(value);
}

/// Seven bits a byte, the lowest first; all but the last have the eighth set.
fn push_number(block: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            block.push(low);
            return;
        }
        block.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (Vec<u8>, Option<Vec<u8>>);

    /// Few letters and common beginnings, so that keys are often the same or each other's beginning.
    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        let ends = prop::collection::vec(prop::sample::select(vec![0, b'a', b'b', 0xff]), 0..6);
        let starts = prop::sample::select(vec!["", "table in.c-main.", "config/"]);
        (starts, ends).prop_map(|(start, end)| [start.as_bytes(), &end].concat())
    }

    fn any_changes() -> impl Strategy<Value = Vec<Row>> {
        let value = prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Some),
            1 => (0..2_000_usize).prop_map(|length| Some(vec![7; length])),
            3 => Just(None),
        ];
        prop::collection::vec((any_key(), value), 0..400)
    }

    fn change(map: &mut FrontCoded, tree: &mut BTreeMap<Vec<u8>, Vec<u8>>, (key, value): Row) {
        match value {
            Some(value) => {
                map.insert(&key, &value);
                tree.insert(key, value);
            }
            None => {
                map.remove(&key);
                tree.remove(&key);
            }
        }
    }

    fn rows<'m>(rows: impl Iterator<Item = (Vec<u8>, &'m [u8])>) -> Vec<(Vec<u8>, Vec<u8>)> {
        rows.map(|(key, value)| (key, value.to_owned())).collect()
    }

    /// What it says of its size is what its blocks have.
    fn check_size(map: &FrontCoded) {
        let bytes: usize = map.blocks.values().map(|block| block.len() + BLOCK_COST).sum();
        assert_eq!(map.bytes(), bytes);
        let has_one_row = |block: &[u8]| {
            let mut rows = Rows::of(block);
            std::iter::from_fn(|| rows.next_value().map(|_| ())).count() == 1
        };
        assert!(
            map.blocks
                .values()
                .all(|block| block.len() <= 2 * BLOCK_BYTES_MAX + 2_100 || has_one_row(block))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_what_a_tree_of_strings_would_be(changes in any_changes(), asked in prop::collection::vec(any_key(), 20)) {
            let (mut map, mut tree) = (FrontCoded::default(), BTreeMap::new());
            for row in changes {
                let key = row.0.clone();
                change(&mut map, &mut tree, row);
                prop_assert_eq!(map.get(&key), tree.get(&key).map(Vec::as_slice));
            }
            check_size(&map);
            for key in asked {
                prop_assert_eq!(map.get(&key), tree.get(&key).map(Vec::as_slice));
                prop_assert_eq!(map.contains(&key), tree.contains_key(&key));
                let wanted = tree.iter().filter(|(found, _)| found.starts_with(&key));
                let wanted: Vec<_> = wanted.map(|(key, value)| (key.clone(), value.clone())).collect();
                prop_assert_eq!(rows(map.prefixed(key)), wanted);
            }
            prop_assert_eq!(rows(map.iter()), tree.clone().into_iter().collect::<Vec<_>>());
            for key in tree.into_keys() {
                map.remove(&key);
            }
            prop_assert_eq!((map.bytes(), map.iter().count()), (0, 0));
        }
    }

    #[test]
    fn rows_in_order_fill_their_blocks() {
        let mut map = FrontCoded::default();
        for number in 0..10_000 {
            map.insert(
                format!("config of a component {number:06}").as_bytes(),
                b"its path",
            );
        }
        check_size(&map);
        // Of a key two bytes and less are new, and the numbers before it are three.
        assert!(map.bytes() < 10_000 * 16, "{} bytes", map.bytes());
        assert!(
            map.blocks
                .values()
                .rev()
                .skip(1)
                .all(|block| block.len() > BLOCK_BYTES_MAX * 9 / 10)
        );
    }
}
