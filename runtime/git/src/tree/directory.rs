//! One directory of a tree that is being changed: what the base has, and what is to be different.

use super::{
    aside::Aside,
    base::{BaseTree, Entry, MODE_FILE, MODE_TREE},
    names::Names,
};
use crate::{
    data::Shelf,
    error::{StoreError, WriteError},
    objects::{EMPTY_TREE, Source},
    pack,
};
use gix::objs::Kind;
use mirror_core::{ids::Oid, path::MirrorPath};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A directory that a change lies in. Others are never loaded.
///
/// A first sync has several for each object, so they are small.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) base: Option<Box<Base>>,
    /// Whether what the base has here, and below, goes unless it is written or kept.
    pub(super) cleared: bool,
    pub(super) changes: Names<Change>,
    /// Directories in whose place a file was written, should that be taken back.
    pub(super) hidden: BTreeMap<Box<[u8]>, Box<Self>>,
}

/// What the base has in a directory.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) id: Oid,
    pub(super) tree: BaseTree,
}

/// What becomes of one name.
#[derive(Debug)]
pub(super) enum Change {
    Written {
        id: Oid,
        /// Without the writing the base's file would go.
        over_deleted: bool,
    },
    /// The base's entry stays although its directory is cleared.
    Kept,
    /// The base's file goes.
    Deleted,
    Inside(Box<Directory>),
    /// The same, while nothing is done with it.
    Aside(Aside),
}

/// What a written file takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// Whether the base has a file of this name with other content or mode, or none.
    pub(super) is_new: bool,
    /// The file that the base has.
    pub(super) old: Option<Oid>,
    /// What was written there before, and is not any more.
    pub(super) over: Option<Oid>,
}

/// A tree that the base does not have.
#[derive(Debug)]
pub(crate) struct NewTree {
    pub(crate) id: Oid,
    pub(crate) raw: Vec<u8>,
    /// What was there before, most likely very similar.
    pub(crate) old: Option<(Oid, Vec<u8>)>,
}

impl NewTree {
    pub(super) fn empty() -> Self {
        Self {
            id: EMPTY_TREE,
            raw: Vec::new(),
            old: None,
        }
    }
}

/// Where trees are read from, and new ones go to.
pub(crate) trait Trees: Source {
    /// Takes a tree whose own subtrees it has been given before; returns whether it was new.
    fn add_tree(&mut self, tree: NewTree) -> Result<bool, StoreError>;
}

/// What finishing a directory and all below it comes to.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// So many trees are new.
    pub(super) trees: usize,
    /// Blobs that were written, and then written over or taken back somewhere.
    pub(super) dropped: HashSet<Oid>,
    /// Those of them that are written elsewhere, and differ from the base there.
    pub(super) wanted: HashSet<Oid>,
    /// The blobs of the base that others were written over.
    pub(super) replaced: Vec<Oid>,
    pub(super) added: usize,
    pub(super) modified: usize,
    pub(super) deleted: usize,
    /// How many files lie below trees that go.
    pub(super) counted: HashMap<Oid, usize>,
}

impl Directory {
    pub(super) fn load(source: &impl Source, tree: Oid, cleared: bool) -> Result<Self, StoreError> {
        let base = Base {
            id: tree,
            tree: BaseTree::load(source, tree)?,
        };
        Ok(Self {
            base: Some(Box::new(base)),
            cleared,
            changes: Names::default(),
            hidden: BTreeMap::new(),
        })
    }

    /// Returns what the base has of a name.
    fn in_base(&self, name: &str) -> Option<Entry<'_>> {
        let base = self.base.as_ref()?;
        base.tree.find(name.as_bytes()).map(|(_, entry)| entry)
    }

    /// Puts a written file in its place.
    pub(super) fn place(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        path: &MirrorPath,
        id: Oid,
    ) -> Result<Placed, WriteError> {
        let conflict = || WriteError::Conflict { path: path.clone() };
        let (parents, name) = split(path);
        let mut directory = self;
        for segment in parents {
            directory = directory
                .enter_for_write(source, shelf, segment)?
                .ok_or_else(conflict)?;
        }
        directory.take_up(shelf, name)?;
        if let Some(Change::Inside(inside)) = directory.changes.get(name.as_bytes())
            && inside.has_written()
        {
            return Err(conflict());
        }
        let over_deleted = matches!(
            directory.changes.get(name.as_bytes()),
            Some(
                Change::Deleted
                    | Change::Written {
                        over_deleted: true,
                        ..
                    }
            )
        );
        let written = Change::Written { id, over_deleted };
        let mut over = None;
        match directory.changes.insert(name.as_bytes(), written) {
            Some(Change::Inside(inside)) => drop(directory.hidden.insert(name.as_bytes().into(), inside)),
            Some(Change::Written { id: before, .. }) => over = Some(before).filter(|before| *before != id),
            _ => {}
        }
        let old = directory.in_base(name);
        Ok(Placed {
            is_new: old.is_none_or(|old| (old.id, old.mode) != (id, MODE_FILE)),
            old: old.filter(Entry::is_file).map(|old| old.id),
            over,
        })
    }

    pub(super) fn delete(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        path: &MirrorPath,
    ) -> Result<(), StoreError> {
        let (parents, name) = split(path);
        if let Some(directory) = self.walk(source, shelf, parents)? {
            directory.delete_file(name);
        }
        Ok(())
    }

    fn delete_file(&mut self, name: &str) {
        let is_file = self.in_base(name).is_some_and(|entry| !entry.is_tree());
        if is_file && !self.changes.contains(name.as_bytes()) {
            self.changes.insert(name.as_bytes(), Change::Deleted);
        }
    }

    /// Makes it as if a file had never been written; returns what was.
    pub(super) fn withdraw(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        path: &MirrorPath,
    ) -> Result<Option<Oid>, StoreError> {
        let (parents, name) = split(path);
        let Some(directory) = self.walk(source, shelf, parents)? else {
            return Ok(None);
        };
        let name = name.as_bytes();
        let Some(Change::Written { id, over_deleted }) = directory.changes.get(name) else {
            return Ok(None);
        };
        let (id, over_deleted) = (*id, *over_deleted);
        directory.changes.remove(name);
        if let Some(inside) = directory.hidden.remove(name) {
            directory.changes.insert(name, Change::Inside(inside));
        } else if over_deleted {
            directory.changes.insert(name, Change::Deleted);
        }
        Ok(Some(id))
    }

    pub(super) fn delete_below(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        path: &MirrorPath,
    ) -> Result<(), StoreError> {
        let (parents, name) = split(path);
        let Some(directory) = self.walk(source, shelf, parents)? else {
            return Ok(());
        };
        directory.delete_file(name);
        if let Some(inside) = directory.enter(source, shelf, name)? {
            inside.clear(shelf)?;
        }
        Ok(())
    }

    pub(super) fn keep(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        path: &MirrorPath,
    ) -> Result<Option<Oid>, StoreError> {
        let (parents, name) = split(path);
        let Some(directory) = self.walk(source, shelf, parents)? else {
            return Ok(None);
        };
        let found = directory.in_base(name).filter(|entry| !entry.is_tree());
        let Some(id) = found.map(|entry| entry.id) else {
            return Ok(None);
        };
        if matches!(
            directory.changes.get(name.as_bytes()),
            None | Some(Change::Deleted)
        ) {
            directory.changes.insert(name.as_bytes(), Change::Kept);
        }
        Ok(Some(id))
    }

    fn clear(&mut self, shelf: &Shelf) -> Result<(), StoreError> {
        self.cleared = true;
        for (_, change) in self.changes.iter_mut() {
            change.take_up(shelf)?;
            if let Change::Inside(inside) = change {
                inside.clear(shelf)?;
            }
        }
        Ok(())
    }

    pub(super) fn has_written(&self) -> bool {
        self.changes.values().any(|change| match change {
            Change::Written { .. } => true,
            Change::Inside(inside) => inside.has_written(),
            Change::Aside(aside) => aside.has_written,
            Change::Kept | Change::Deleted => false,
        })
    }

    /// Walks down directories that exist.
    fn walk<'p>(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        segments: impl Iterator<Item = &'p str>,
    ) -> Result<Option<&mut Self>, StoreError> {
        let mut directory = self;
        for segment in segments {
            match directory.enter(source, shelf, segment)? {
                Some(inside) => directory = inside,
                None => return Ok(None),
            }
        }
        Ok(Some(directory))
    }

    /// Returns a directory in this one if the base has it or something is written to it.
    fn enter(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        name: &str,
    ) -> Result<Option<&mut Self>, StoreError> {
        if !self.changes.contains(name.as_bytes()) {
            let found = self.in_base(name).filter(Entry::is_tree);
            let Some(tree) = found.map(|entry| entry.id) else {
                return Ok(None);
            };
            let inside = Box::new(Self::load(source, tree, self.cleared)?);
            self.changes.insert(name.as_bytes(), Change::Inside(inside));
        }
        self.take_up(shelf, name)?;
        Ok(match self.changes.get_mut(name.as_bytes()) {
            Some(Change::Inside(inside)) => Some(inside),
            _ => None,
        })
    }

    /// Takes up what was put aside of a name.
    fn take_up(&mut self, shelf: &Shelf, name: &str) -> Result<(), StoreError> {
        match self.changes.get_mut(name.as_bytes()) {
            Some(change) => change.take_up(shelf),
            None => Ok(()),
        }
    }

    /// Returns a directory in this one, made if need be; none if a written file has its name.
    fn enter_for_write(
        &mut self,
        source: &impl Source,
        shelf: &Shelf,
        name: &str,
    ) -> Result<Option<&mut Self>, StoreError> {
        match self.changes.get(name.as_bytes()) {
            Some(Change::Written { .. }) => return Ok(None),
            Some(Change::Inside(_) | Change::Aside(_)) => {}
            // A file of the base makes way for the directory.
            Some(Change::Kept | Change::Deleted) => {
                self.changes
                    .insert(name.as_bytes(), Change::Inside(Box::default()));
            }
            None => {
                if self.enter(source, shelf, name)?.is_none() {
                    self.changes
                        .insert(name.as_bytes(), Change::Inside(Box::default()));
                }
            }
        }
        self.enter(source, shelf, name)
    }

    /// Makes the tree of this directory and of all below; none if it would be empty.
    pub(super) fn finish(
        self,
        trees: &mut impl Trees,
        shelf: &Shelf,
        out: &mut Finished,
    ) -> Result<Option<Oid>, StoreError> {
        let Self {
            base,
            cleared,
            mut changes,
            hidden: _,
        } = self;
        let (base_id, base) = match base.map(|base| *base) {
            Some(Base { id, tree }) => (Some(id), tree),
            None => (None, BaseTree::default()),
        };
        if changes.is_empty() && !cleared {
            return Ok(base_id);
        }
        let mut results: Vec<Entry<'_>> = Vec::new();
        // Positions in the base whose entry is replaced or gone.
        let mut replaced: Vec<usize> = Vec::new();
        for (name, change) in changes.iter_mut() {
            let in_base = base.find(name);
            replaced.extend(in_base.map(|(at, _)| at));
            let in_base = in_base.map(|(_, entry)| entry);
            if let Some(inside) = change.take_inside(shelf)? {
                out.deleted += usize::from(in_base.is_some_and(|old| !old.is_tree()));
                let id = inside.finish(trees, shelf, out)?;
                results.extend(id.map(|id| Entry {
                    mode: MODE_TREE,
                    name,
                    id,
                }));
                continue;
            }
            match change {
                Change::Written { id, .. } => {
                    match in_base {
                        Some(old) if old.is_tree() => {
                            out.added += 1;
                            out.count_deleted(trees, old.id)?;
                        }
                        Some(old) => out.modified += usize::from((old.mode, old.id) != (MODE_FILE, *id)),
                        None => out.added += 1,
                    }
                    if in_base.is_none_or(|old| old.id != *id) {
                        if out.dropped.contains(id) {
                            out.wanted.insert(*id);
                        }
                        out.replaced
                            .extend(in_base.filter(Entry::is_file).map(|old| old.id));
                    }
                    results.push(Entry {
                        mode: MODE_FILE,
                        name,
                        id: *id,
                    });
                }
                Change::Kept => results.extend(in_base),
                Change::Deleted => out.deleted += 1,
                Change::Inside(_) | Change::Aside(_) => {}
            }
        }
        replaced.sort_unstable();
        if cleared {
            for (at, entry) in base.entries().enumerate() {
                if replaced.binary_search(&at).is_err() {
                    if entry.is_tree() {
                        out.count_deleted(trees, entry.id)?;
                    } else {
                        out.deleted += 1;
                    }
                }
            }
        }
        results.sort_unstable_by(Entry::compare);
        let raw = if cleared {
            merge(&BaseTree::default(), &[], &results)
        } else {
            merge(&base, &replaced, &results)
        };
        if raw.is_empty() {
            return Ok(None);
        }
        let id = pack::object_id(Kind::Tree, &raw);
        let id = id.ok_or(StoreError::Damaged {
            id: EMPTY_TREE,
            problem: "a tree is an attack on SHA-1".into(),
        })?;
        if base_id != Some(id) {
            let old = base_id.map(|base_id| (base_id, base.into_raw()));
            out.trees += usize::from(trees.add_tree(NewTree { id, raw, old })?);
        }
        Ok(Some(id))
    }
}

/// Encodes the base without the replaced positions and with the results; runs of unchanged entries are copied whole.
fn merge(base: &BaseTree, replaced: &[usize], results: &[Entry<'_>]) -> Vec<u8> {
    let added: usize = results.iter().map(Entry::byte_len_max).sum();
    let mut raw = Vec::with_capacity(base.byte_len() + added);
    let mut copied = 0;
    let mut gone = replaced.iter().copied().peekable();
    let mut copy_until = |raw: &mut Vec<u8>, end: usize| {
        while copied < end {
            if gone.next_if_eq(&copied).is_some() {
                copied += 1;
                continue;
            }
            let next = gone.peek().copied().unwrap_or(end).min(end);
            raw.extend_from_slice(base.raw(copied..next));
            copied = next;
        }
    };
    for result in results {
        copy_until(&mut raw, base.position(result));
        result.encode(&mut raw);
    }
    copy_until(&mut raw, base.len());
    raw
}

impl Finished {
    /// Counts the files below a tree that goes. It may be a stranger's: so it is done in a loop, however deep it is, and once for
    /// each tree, in however many places it stands.
    fn count_deleted(&mut self, source: &impl Source, tree: Oid) -> Result<(), StoreError> {
        let mut open = vec![tree];
        while let Some(tree) = open.last().copied() {
            if self.counted.contains_key(&tree) {
                open.pop();
                continue;
            }
            let (mut files, is_last) = (0_usize, open.len());
            for entry in BaseTree::load(source, tree)?.entries() {
                if !entry.is_tree() {
                    files = files.saturating_add(1);
                } else if let Some(below) = self.counted.get(&entry.id) {
                    files = files.saturating_add(*below);
                } else {
                    open.push(entry.id);
                }
            }
            if open.len() == is_last {
                self.counted.insert(tree, files);
            }
        }
        let files = self.counted.get(&tree).copied().unwrap_or_default();
        self.deleted = self.deleted.saturating_add(files);
        Ok(())
    }
}

fn split(path: &MirrorPath) -> (impl Iterator<Item = &str>, &str) {
    let mut segments = path.segments();
    let name = segments.next_back().unwrap_or_default();
    (segments, name)
}
