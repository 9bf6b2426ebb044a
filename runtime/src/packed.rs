//! A sorted map of texts that is kept compressed.
//!
//! Rows lie in blocks of some kilobytes, each compressed by itself; what changes is gathered first and packed together. So it
//! takes a fraction of what a tree of strings does, and a look-up costs one block. Knows nothing of what the texts mean.

use libdeflater::{CompressionLvl, Compressor, Decompressor};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    borrow::Borrow,
    collections::{BTreeMap, btree_map},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    iter::{Chain, Peekable},
    vec,
};

/// Text of one block before it is compressed. Larger ones compress better and cost more to look into.
const BLOCK_BYTES: usize = 8 << 10;
/// Text of changes that are gathered before they are packed.
const OPEN_BYTES_MAX: usize = 1 << 20;
/// Text of changes that may stay as they are.
const OPEN_BYTES_MIN: usize = 16 << 10;
/// What an open row costs beside its text, about.
const OPEN_ROW_BYTES: usize = 96;
/// libdeflate's fastest: for texts that repeat each other as much as these, higher levels save little.
const LEVEL: i32 = 1;

/// Texts by key.
#[derive(Default)]
pub(crate) struct Packed {
    /// By their first keys.
    blocks: Vec<Block>,
    /// What was put since the blocks were packed, or removed (none). It wins.
    open: BTreeMap<String, Option<String>>,
    open_bytes: usize,
    packed_bytes: usize,
}

pub(crate) struct Block {
    first: Box<str>,
    last: Box<str>,
    /// A mark of each key: nearly always they tell that one is not there, without unpacking.
    marks: Box<[u16]>,
    /// Of the rows before they were compressed.
    raw_bytes: usize,
    packed: Box<[u8]>,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Packed({} blocks, {} open rows)",
            self.blocks.len(),
            self.open.len()
        )
    }
}

impl Packed {
    /// Returns the text of a key.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        if let Some(open) = self.open.get(key) {
            return open.clone();
        }
        let raw = self.block_of(key).filter(|block| block.may_have(key))?.raw();
        let mut rows = Rows(&raw);
        rows.find(|(found, _)| *found == key)
            .map(|(_, value)| value.to_owned())
    }

    /// Returns whether a key has a text.
    #[must_use]
    pub(crate) fn contains(&self, key: &str) -> bool {
        match self.open.get(key) {
            Some(open) => open.is_some(),
            None => self.block_of(key).is_some_and(|block| {
                block.may_have(key) && Rows(&block.raw()).any(|(found, _)| found == key)
            }),
        }
    }

    /// Sets the text of a key.
    pub(crate) fn insert(&mut self, key: String, value: String) {
        self.change(key, Some(value));
    }

    /// Removes a key and its text; one that is not there is fine.
    pub(crate) fn remove(&mut self, key: &str) {
        let is_packed = self.block_of(key).is_some();
        if is_packed {
            self.change(key.to_owned(), None);
        } else if let Some(before) = self.open.remove(key) {
            self.open_bytes -= cost(key, before.as_deref());
        }
    }

    /// Returns all rows, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (String, String)> + Send {
        self.from("")
    }

    /// Returns the rows whose key begins so, by key.
    pub(crate) fn prefixed<'p>(
        &'p self,
        prefix: &'p str,
    ) -> impl Iterator<Item = (String, String)> + Send + 'p {
        self.from(prefix)
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Returns how many bytes of memory it takes, about.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.packed_bytes + self.open_bytes
    }

    /// Returns the block that may have a key.
    fn block_of(&self, key: &str) -> Option<&Block> {
        let after = self.blocks.partition_point(|block| *block.first <= *key);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        (*key <= *block.last).then_some(block)
    }

    fn from(&self, start: &str) -> Merged<'_> {
        let first = self.blocks.partition_point(|block| *block.last < *start);
        let mut packed = BlockRows::of(self.blocks[first..].iter());
        packed.pass(start);
        Merged {
            packed: packed.peekable(),
            open: self.open.range(start.to_owned()..).peekable(),
        }
    }

    fn change(&mut self, key: String, value: Option<String>) {
        self.open_bytes += cost(&key, value.as_deref());
        match self.open.entry(key) {
            btree_map::Entry::Occupied(mut held) => {
                self.open_bytes -= cost(held.key(), held.get().as_deref());
                held.insert(value);
            }
            btree_map::Entry::Vacant(free) => drop(free.insert(value)),
        }
        // The more there is, the more blocks a change may lie in.
        if self.open_bytes > OPEN_BYTES_MAX.max(self.packed_bytes / 8) {
            self.pack();
        }
    }

    /// Packs what is open if that is a notable part of the whole: a few changes would cost more than they take.
    pub(crate) fn pack_worthwhile(&mut self) {
        if self.open_bytes > OPEN_BYTES_MIN + self.packed_bytes / 8 {
            self.pack();
        }
    }

    /// Packs what is open.
    pub(crate) fn pack(&mut self) {
        self.open_bytes = 0;
        let mut open = std::mem::take(&mut self.open).into_iter().peekable();
        let mut blocks = std::mem::take(&mut self.blocks).into_iter().peekable();
        let mut packer = Packer::new();
        let mut rows: Vec<(String, String)> = Vec::new();
        let mut bytes = 0;
        loop {
            let block = blocks.next();
            // The changes up to where the next block begins are this one's.
            let end = blocks.peek().map(|next| next.first.clone());
            let mut changes = BTreeMap::new();
            while let Some((key, value)) =
                open.next_if(|(key, _)| end.as_deref().is_none_or(|end| **key < *end))
            {
                changes.insert(key, value);
            }
            match block {
                Some(block) if changes.is_empty() && rows.is_empty() => packer.blocks.push(block),
                block => {
                    for (key, value) in block.into_iter().flat_map(|block| block.rows()) {
                        changes.entry(key).or_insert(Some(value));
                    }
                    for (key, value) in changes {
                        let Some(value) = value else { continue };
                        bytes += key.len() + value.len();
                        rows.push((key, value));
                    }
                    // What is left of a block that lost most of its rows goes together with the next one.
                    if bytes >= BLOCK_BYTES / 4 || blocks.peek().is_none() {
                        packer.push(std::mem::take(&mut rows), bytes);
                        bytes = 0;
                    }
                }
            }
            if blocks.peek().is_none() && open.peek().is_none() {
                break;
            }
        }
        self.blocks = packer.blocks;
        self.packed_bytes = self.blocks.iter().map(Block::bytes).sum();
    }
}

impl IntoIterator for Packed {
    type Item = (String, String);
    type IntoIter = Chain<vec::IntoIter<(String, String)>, BlockRows<vec::IntoIter<Block>>>;

    /// Each block is let go of once it is read.
    fn into_iter(mut self) -> Self::IntoIter {
        let mut rows = Vec::new();
        if self.blocks.is_empty() {
            let open = std::mem::take(&mut self.open).into_iter();
            rows.extend(open.filter_map(|(key, value)| Some((key, value?))));
        } else {
            self.pack();
        }
        rows.into_iter().chain(BlockRows::of(self.blocks.into_iter()))
    }
}

impl FromIterator<(String, String)> for Packed {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(rows: I) -> Self {
        let mut packed = Self::default();
        for (key, value) in rows {
            packed.insert(key, value);
        }
        packed
    }
}

/// Returns what is stored of a value.
///
/// # Panics
/// Never: keys and values are plain data with text keys only.
pub(crate) fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("keys and values are plain data")
}

/// Reads what was written by [`text`].
///
/// # Panics
/// Where it was not, and was not read before either.
pub(crate) fn read<T: DeserializeOwned>(stored: &str) -> T {
    serde_json::from_str(stored).expect("it was written by us, or read before")
}

fn cost(key: &str, value: Option<&str>) -> usize {
    key.len() + value.map_or(0, str::len) + OPEN_ROW_BYTES
}

/// Makes blocks of rows.
struct Packer {
    compressor: Compressor,
    blocks: Vec<Block>,
    /// Of the rows of the block that is being made.
    marks: Vec<u16>,
}

impl Packer {
    fn new() -> Self {
        Self {
            compressor: Compressor::new(CompressionLvl::new(LEVEL).expect("libdeflate has this level")),
            blocks: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Makes blocks of about the same size.
    fn push(&mut self, rows: Vec<(String, String)>, bytes: usize) {
        let each = bytes / bytes.div_ceil(BLOCK_BYTES).max(1);
        let (mut raw, mut first) = (Vec::new(), None);
        let mut rows = rows.into_iter().peekable();
        while let Some((key, value)) = rows.next() {
            put(&mut raw, &key);
            put(&mut raw, &value);
            self.marks.push(mark(&key));
            if raw.len() >= each || rows.peek().is_none() {
                let first = first.take().unwrap_or_else(|| key.clone());
                self.block(first, key, &raw);
                raw.clear();
            } else if first.is_none() {
                first = Some(key);
            }
        }
    }

    fn block(&mut self, first: String, last: String, raw: &[u8]) {
        let mut packed = vec![0; self.compressor.deflate_compress_bound(raw.len())];
        let written = self.compressor.deflate_compress(raw, &mut packed);
        packed.truncate(written.expect("the bound is enough for any content"));
        self.blocks.push(Block {
            first: first.into(),
            last: last.into(),
            marks: self.marks.as_slice().into(),
            raw_bytes: raw.len(),
            packed: packed.into(),
        });
        self.marks.clear();
    }
}

impl Block {
    fn bytes(&self) -> usize {
        let texts = self.first.len() + self.last.len() + self.packed.len();
        size_of::<Self>() + size_of_val(&*self.marks) + texts
    }

    /// Returns whether it may have a key; one in some hundred that it has not.
    fn may_have(&self, key: &str) -> bool {
        self.marks.contains(&mark(key))
    }

    fn raw(&self) -> Vec<u8> {
        let mut raw = vec![0; self.raw_bytes];
        let read = Decompressor::new().deflate_decompress(&self.packed, &mut raw);
        assert_eq!(
            read.ok(),
            Some(self.raw_bytes),
            "what was packed in memory is whole"
        );
        raw
    }

    fn rows(&self) -> Vec<(String, String)> {
        let raw = self.raw();
        Rows(&raw)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Returns two bytes of a hash of a key.
fn mark(key: &str) -> u16 {
    let mut hash = DefaultHasher::new();
    key.hash(&mut hash);
    let [low, high, ..] = hash.finish().to_le_bytes();
    u16::from_le_bytes([low, high])
}

fn put(raw: &mut Vec<u8>, text: &str) {
    let bytes = u32::try_from(text.len()).expect("no text of a project is larger than 4 GB");
    raw.extend_from_slice(&bytes.to_le_bytes());
    raw.extend_from_slice(text.as_bytes());
}

/// The rows of a block.
struct Rows<'r>(&'r [u8]);

impl<'r> Rows<'r> {
    fn text(&mut self) -> Option<&'r str> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*bytes)).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

impl<'r> Iterator for Rows<'r> {
    type Item = (&'r str, &'r str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.text()?, self.text()?))
    }
}

/// The rows of blocks, of which one is unpacked at a time.
pub(crate) struct BlockRows<I> {
    blocks: I,
    raw: Vec<u8>,
    /// So much of it was read.
    read: usize,
}

impl<B: Borrow<Block>, I: Iterator<Item = B>> BlockRows<I> {
    fn of(blocks: I) -> Self {
        Self {
            blocks,
            raw: Vec::new(),
            read: 0,
        }
    }

    /// Passes the rows of the first block that come before a key.
    fn pass(&mut self, start: &str) {
        if let Some(block) = self.blocks.next() {
            self.raw = block.borrow().raw();
        }
        let mut rows = Rows(&self.raw);
        loop {
            let rest = rows.0.len();
            if rows.next().is_none_or(|(key, _)| *key >= *start) {
                self.read = self.raw.len() - rest;
                return;
            }
        }
    }
}

impl<B: Borrow<Block>, I: Iterator<Item = B>> Iterator for BlockRows<I> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut rows = Rows(&self.raw[self.read..]);
            if let Some((key, value)) = rows.next() {
                let row = (key.to_owned(), value.to_owned());
                self.read = self.raw.len() - rows.0.len();
                return Some(row);
            }
            self.raw = self.blocks.next()?.borrow().raw();
            self.read = 0;
        }
    }
}

/// Rows of blocks and open ones, which win.
struct Merged<'p> {
    packed: Peekable<BlockRows<std::slice::Iter<'p, Block>>>,
    open: Peekable<btree_map::Range<'p, String, Option<String>>>,
}

impl Iterator for Merged<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((key, _)) = self.open.peek() else {
                return self.packed.next();
            };
            if let Some(row) = self.packed.next_if(|(packed, _)| *packed < **key) {
                return Some(row);
            }
            let (key, value) = self.open.next()?;
            self.packed.next_if(|(packed, _)| *packed == *key);
            if let Some(value) = value {
                return Some((key.clone(), value.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of numbers that is the same in each run.
    fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
        move |below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        }
    }

    #[test]
    fn it_is_what_a_tree_of_strings_would_be() {
        for seed in 0..20 {
            let mut number = numbers(seed);
            let (mut packed, mut tree) = (Packed::default(), BTreeMap::new());
            for step in 0..3_000 {
                // Once many rows, once few, so that blocks are split and joined.
                let key = format!("key {:05}", number(if step < 2_000 { 4_000 } else { 400 }));
                if number(10) < if step < 1_500 { 8 } else { 2 } {
                    let size = usize::try_from(number(200)).expect("a small number");
                    let value = format!("{step} {}", "x".repeat(size));
                    packed.insert(key.clone(), value.clone());
                    tree.insert(key, value);
                } else {
                    packed.remove(&key);
                    tree.remove(&key);
                }
                if number(200) == 0 {
                    packed.pack();
                }
                let key = format!("key {:05}", number(4_000));
                assert_eq!(packed.get(&key).as_ref(), tree.get(&key));
                assert_eq!(packed.contains(&key), tree.contains_key(&key));
            }
            let all: Vec<_> = tree.clone().into_iter().collect();
            assert_eq!(packed.iter().collect::<Vec<_>>(), all);
            for prefix in ["key 0", "key 000", "key 03", "key 039", "z", "a"] {
                let mut wanted = all.clone();
                wanted.retain(|(key, _)| key.starts_with(prefix));
                assert_eq!(packed.prefixed(prefix).collect::<Vec<_>>(), wanted, "{prefix}");
            }
            packed.pack();
            assert_eq!(packed.iter().collect::<Vec<_>>(), all);
            let (first, last) = (&all[0].0, &all[all.len() - 1].0);
            assert!(packed.contains(first) && packed.contains(last));
            let blocks = packed.blocks.len();
            let text: usize = all.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(
                blocks <= 1 + 8 * text / BLOCK_BYTES,
                "{blocks} blocks for {text} bytes"
            );
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_removed() {
        let mut packed: Packed = (0..2_000).map(|n| (format!("{n:04}"), "x".repeat(50))).collect();
        packed.pack();
        assert!(packed.bytes() < 2_000 * 54 / 4, "it is compressed");
        for n in 0..2_000 {
            packed.remove(&format!("{n:04}"));
        }
        packed.pack();
        assert_eq!(
            (packed.iter().count(), packed.bytes(), packed.blocks.len()),
            (0, 0, 0)
        );
        packed.insert("a".into(), String::new());
        packed.remove("a");
        assert_eq!((packed.get("a"), packed.bytes()), (None, 0));
    }
}
