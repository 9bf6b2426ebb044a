//! What the store is known to have whole, so that a fetch need not look.
//!
//! Holds for as long as nothing is removed: who removes objects says so here.

use mirror_core::ids::Oid;
use std::collections::{HashSet, VecDeque};

/// A commit whose trees are all in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) tip: Oid,
    pub(crate) tree: Oid,
    /// So many commits along first parents are in the store too, at least the tip itself; the highest number if there
    /// are no more.
    pub(crate) commits: usize,
    /// Whether somebody asked for it, and so may be building on it although it is no branch's tip.
    pub(crate) fetched: bool,
}

/// The commits that are known, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct KnownTips(VecDeque<Known>);

/// More than there are branches that are mirrored to one repository.
const KEPT: usize = 256;

impl KnownTips {
    /// Takes a commit in, or moves it to the end.
    pub(super) fn add(&mut self, new: Known) {
        let old = self.0.iter().position(|known| known.tip == new.tip);
        let old = old.and_then(|at| self.0.remove(at));
        let old = old.unwrap_or(new);
        self.0.push_back(Known {
            commits: old.commits.max(new.commits),
            fetched: old.fetched || new.fetched,
            ..new
        });
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    pub(super) fn get(&self, tip: Oid) -> Option<Known> {
        self.0.iter().rev().find(|known| known.tip == tip).copied()
    }

    /// Returns whether all trees below this one are in the store.
    pub(super) fn has_tree(&self, tree: Oid) -> bool {
        self.0.iter().any(|known| known.tree == tree)
    }

    /// Returns the commit to compare another one with, at best one of those that are `near` it.
    pub(super) fn nearest(&self, near: &[Oid]) -> Option<Known> {
        let newest_first = || self.0.iter().rev();
        let near = newest_first().find(|known| near.contains(&known.tip));
        near.or_else(|| newest_first().next()).copied()
    }

    pub(super) fn fetched(&self) -> impl Iterator<Item = Oid> {
        self.0.iter().filter(|known| known.fetched).map(|known| known.tip)
    }

    /// Only these commits, with their trees, are certain to be here still.
    pub(super) fn forget_all_but(&mut self, live: &HashSet<Oid>) {
        self.0.retain(|known| live.contains(&known.tip));
        for known in &mut self.0 {
            known.commits = 1;
        }
    }

    /// Something that should be here is not.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Oid {
        Oid::from_bytes([byte; 20])
    }

    fn known(byte: u8, commits: usize) -> Known {
        Known {
            tip: id(byte),
            tree: id(byte.wrapping_add(100)),
            commits,
            fetched: true,
        }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_depth_is_not_lost() {
        let mut tips = KnownTips::default();
        tips.add(known(1, 7));
        tips.add(known(2, 3));
        tips.add(known(1, 4));
        assert_eq!(tips.get(id(1)), Some(known(1, 7)));
        assert_eq!(tips.fetched().collect::<Vec<_>>(), [id(2), id(1)]);
        tips.add(Known {
            fetched: false,
            ..known(1, 2)
        });
        assert_eq!(tips.get(id(1)), Some(known(1, 7)));
        assert_eq!(tips.nearest(&[id(9), id(2)]), Some(known(2, 3)));
        assert_eq!(tips.nearest(&[id(9)]), Some(known(1, 7)));
        assert!(tips.has_tree(id(102)) && !tips.has_tree(id(2)));
        for number in 0..KEPT {
            let mut tip = [7; 20];
            tip[..8].copy_from_slice(&(number as u64).to_be_bytes());
            tips.add(Known {
                tip: Oid::from_bytes(tip),
                ..known(3, 1)
            });
            if number == KEPT / 2 {
                tips.add(known(2, 1));
            }
        }
        assert_eq!((tips.get(id(1)), tips.get(id(2))), (None, Some(known(2, 3))));
        tips.add(Known {
            fetched: false,
            ..known(4, 9)
        });
        assert_eq!(tips.fetched().count(), KEPT - 1);
        tips.forget_all_but(&HashSet::from([id(2), id(4)]));
        assert_eq!(tips.get(id(2)), Some(known(2, 1)));
        assert_eq!(tips.get(id(4)).unwrap().commits, 1);
        assert_eq!(tips.fetched().collect::<Vec<_>>(), [id(2)]);
        tips.forget();
        assert_eq!((tips.get(id(2)), tips.nearest(&[])), (None, None));
    }
}
