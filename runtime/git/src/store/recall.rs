//! What a store that was opened again still has whole, so that it need not be fetched once more.

use super::{Held, Known, LocalObjects, Store};
use crate::{
    commit,
    error::StoreError,
    objects::{EMPTY_TREE, Source},
    pack,
    tree::{BaseTree, Entry},
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::collections::HashSet;

impl Store {
    /// Looks whether a commit is here with all its trees although nobody knows, as after a restart. Then it is known from now on,
    /// as one that somebody asked for.
    ///
    /// # Errors
    /// A damaged object.
    pub(crate) fn recall(&self, held: &Held<'_>, tip: Oid) -> Result<Option<Known>, StoreError> {
        self.note_whole(held, tip, true)
    }

    /// Returns a commit that a fetch may be told of as here with all its trees: one that is known, or else where a branch was.
    ///
    /// # Errors
    /// A damaged object, or a store that cannot be read.
    pub(crate) fn any_known(&self, held: &Held<'_>) -> Result<Option<Known>, StoreError> {
        if let Some(known) = self.nearest_known(&[]) {
            return Ok(Some(known));
        }
        for tip in self.tips()? {
            if let Some(known) = self.note_whole(held, tip, false)? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    fn note_whole(&self, held: &Held<'_>, tip: Oid, fetched: bool) -> Result<Option<Known>, StoreError> {
        let Some(tree) = whole_tree(&self.objects, tip)? else {
            return Ok(None);
        };
        let known = Known {
            tip,
            tree,
            commits: 1,
            fetched,
        };
        let mut upkeep = self.upkeep();
        if upkeep.resets != held.resets {
            return Ok(None);
        }
        upkeep.known.add(known);
        Ok(Some(known))
    }

    /// Returns an object if it is here, and what its id says: whoever wrote it checked it, but disks decay.
    ///
    /// # Errors
    /// A damaged object, or an id of something else.
    pub(crate) fn checked(&self, id: Oid, kind: Kind) -> Result<Option<Vec<u8>>, StoreError> {
        checked(&self.objects, id, kind)
    }
}

fn checked(objects: &LocalObjects, id: Oid, kind: Kind) -> Result<Option<Vec<u8>>, StoreError> {
    let Some((found, raw)) = objects.find(id)? else {
        return Ok(None);
    };
    match pack::object_id(found, &raw) {
        Some(actual) if actual == id && found == kind => Ok(Some(raw)),
        Some(actual) if actual == id => Err(StoreError::wrong_kind(id, kind)),
        _ => Err(StoreError::Damaged {
            id,
            problem: "its content is not what its id says".to_owned(),
        }),
    }
}

/// Returns the tree of a commit if both are here, and all trees below.
fn whole_tree(objects: &LocalObjects, tip: Oid) -> Result<Option<Oid>, StoreError> {
    let Some(raw) = checked(objects, tip, Kind::Commit)? else {
        return Ok(None);
    };
    let top = commit::decode(tip, &raw)?.tree;
    let (mut seen, mut open) = (HashSet::from([EMPTY_TREE]), vec![top]);
    while let Some(tree) = open.pop() {
        if !seen.insert(tree) {
            continue;
        }
        let Some(raw) = checked(objects, tree, Kind::Tree)? else {
            return Ok(None);
        };
        let entries = BaseTree::parse(tree, raw)?;
        open.extend(entries.entries().filter(Entry::is_tree).map(|entry| entry.id));
    }
    Ok(Some(top))
}
