//! Values in a bounded number of bytes: what was used longest ago goes first.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// Values by key, and when each was last used.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// By when it was last used.
    order: BTreeMap<u64, K>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    used: u64,
    bytes: usize,
    value: V,
}

impl<K, V> Default for Lru<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            bytes: 0,
        }
    }
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    /// Returns a value, as used now.
    pub(crate) fn touch(&mut self, key: &K) -> Option<&V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        self.order.insert(self.clock, key.clone());
        entry.used = self.clock;
        Some(&entry.value)
    }

    /// Takes a value out.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        self.bytes -= entry.bytes;
        Some(entry.value)
    }

    /// Keeps a value of so many bytes in place of an earlier one. Others go, or it does itself, until no more than
    /// `bytes_max` are held.
    pub(crate) fn put(&mut self, key: K, value: V, bytes: usize, bytes_max: usize) {
        drop(self.take(&key));
        self.clock += 1;
        self.bytes += bytes;
        let used = self.clock;
        self.order.insert(used, key.clone());
        self.entries.insert(key, Entry { used, bytes, value });
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_bytes_stay_bounded() {
        let mut lru: Lru<&str, u8> = Lru::default();
        for id in ["a", "b", "c"] {
            lru.put(id, 1, 1256, 4000);
        }
        assert!(lru.touch(&"a").is_some());
        lru.put("d", 1, 1256, 4000);
        assert!(lru.touch(&"b").is_none(), "b was used longest ago");
        assert!(lru.touch(&"a").is_some());
        lru.put("a", 2, 756, 4000);
        assert_eq!((lru.touch(&"a").copied(), lru.bytes), (Some(2), 756 + 2 * 1256));
        assert_eq!(lru.entries.len(), lru.order.len());
    }

    #[test]
    fn what_is_taken_is_gone_and_what_is_larger_than_all_is_not_held() {
        let mut lru: Lru<&str, u8> = Lru::default();
        lru.put("a", 1, 10, 100);
        assert_eq!(lru.take(&"a"), Some(1));
        assert_eq!((lru.take(&"a"), lru.bytes), (None, 0));
        lru.put("b", 1, 101, 100);
        assert_eq!(
            (lru.touch(&"b").copied(), lru.bytes, lru.order.len()),
            (None, 0, 0)
        );
    }
}
