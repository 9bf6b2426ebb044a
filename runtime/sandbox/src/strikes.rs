//! Items that ran into the wall-clock deadline.
//!
//! One hit says nothing about the item: the machine may have been busy, so the call fails and is
//! tried again later. An item that hits it three times is at fault.

use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt::{self, Debug, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Hits after which an item is withheld.
const STRIKES_MAX: u8 = 3;
/// Items remembered. With more, the machine is in trouble and not the items.
const ITEMS_MAX: usize = 4096;

/// Names an item for one guest, its settings and one function.
pub(crate) type Fingerprint = [u8; 32];

/// Counts the hits of single items, over all calls.
#[derive(Debug, Default)]
pub(crate) struct Strikes(Mutex<HashMap<Fingerprint, u8>>);

impl Strikes {
    /// Counts a hit and returns whether it was the last that is forgiven.
    pub(crate) fn hit(&self, item: Fingerprint) -> bool {
        let mut counts = self.counts();
        if counts.len() >= ITEMS_MAX && !counts.contains_key(&item) {
            counts.clear();
        }
        let count = counts.entry(item).or_insert(0);
        *count = count.saturating_add(1);
        *count >= STRIKES_MAX
    }

    pub(crate) fn is_suspect(&self, item: &Fingerprint) -> bool {
        self.counts().contains_key(item)
    }

    pub(crate) fn clear(&self, item: &Fingerprint) {
        self.counts().remove(item);
    }

    /// Returns whether no item has a hit, which is the rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts().is_empty()
    }

    /// A count is whole at every moment, so a panic elsewhere leaves nothing to repair.
    fn counts(&self) -> MutexGuard<'_, HashMap<Fingerprint, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the fingerprint of an item. `scope` tells apart who judged it and how.
///
/// Taken from the item's debug form, which is slow and needs no code for each type: it is only
/// wanted after a deadline was hit.
pub(crate) fn fingerprint(scope: &[&str], item: &impl Debug) -> Fingerprint {
    struct Digesting(Sha256);
    impl Write for Digesting {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text);
            Ok(())
        }
    }
    let mut digesting = Digesting(Sha256::new());
    for part in scope {
        digesting.0.update((part.len() as u64).to_le_bytes());
        digesting.0.update(part);
    }
    // Writing into a digest cannot fail, and the derived debug forms do not either.
    let _ = write!(digesting, "{item:?}");
    digesting.0.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_hit_counts_and_an_answer_forgives() {
        let strikes = Strikes::default();
        let (slow, other) = (
            fingerprint(&["p", "{}"], &"slow"),
            fingerprint(&["p{", "}"], &"slow"),
        );
        assert_ne!(slow, other);
        assert_eq!([slow, slow].map(|item| strikes.hit(item)), [false, false]);
        assert!(!strikes.hit(other));
        assert!(strikes.hit(slow));
        strikes.clear(&slow);
        assert!(!strikes.is_suspect(&slow) && strikes.is_suspect(&other));
        assert!(!strikes.hit(slow));
    }

    #[test]
    fn memory_of_hits_is_bounded() {
        let strikes = Strikes::default();
        for number in 0..=ITEMS_MAX {
            strikes.hit(fingerprint(&[], &number));
        }
        assert!(strikes.counts().len() <= ITEMS_MAX);
    }
}
