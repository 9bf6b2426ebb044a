//! What was already fetched, so that no version is fetched twice.
//!
//! Bounded by bytes; what was used longest ago goes first. Lives and dies with the process: it holds
//! unredacted content, which is never written to disk.

use mirror_core::{
    cut::ConfigKey,
    ids::{BranchId, ComponentId, ConfigId, TableId},
};
use mirror_keboola::ConfigurationDetail;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where a configuration stands, and the identifier of its version. Numbers begin anew where an id is used
/// again, identifiers do not.
type ConfigVersion = (BranchId, ComponentId, ConfigId, String);

/// Configurations by branch, key and version identifier, and details of tables by branch, id and what a listing
/// says of them.
#[derive(Debug)]
pub struct ObjectCache {
    configurations: Mutex<Held<ConfigVersion, Arc<ConfigurationDetail>>>,
    tables: Mutex<Held<(BranchId, TableId), Detail>>,
    bytes_max: usize,
}

/// The detail of a table, and the digest of what a listing said of it then.
#[derive(Debug, Clone)]
struct Detail {
    listed: [u8; 32],
    source: Arc<String>,
}

impl ObjectCache {
    /// Makes a cache of so many bytes, of which tables have a quarter.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            configurations: Mutex::default(),
            tables: Mutex::default(),
            bytes_max,
        }
    }

    /// Returns a configuration at exactly this version; none where it has no identifier.
    #[must_use]
    pub fn get(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        identifier: &str,
    ) -> Option<Arc<ConfigurationDetail>> {
        let ConfigKey { component, config } = key.clone();
        locked(&self.configurations).touch(&(branch.clone(), component, config, identifier.to_owned()))
    }

    /// Keeps a configuration, if its version has an identifier.
    pub fn put(&self, branch: &BranchId, detail: &Arc<ConfigurationDetail>) {
        let Some(identifier) = detail.revision.identifier.clone() else {
            return;
        };
        let key = (
            branch.clone(),
            detail.component_id.clone(),
            detail.id.clone(),
            identifier,
        );
        let bytes_max = self.bytes_max - self.bytes_max / 4;
        locked(&self.configurations).put(key, Arc::clone(detail), size(detail), bytes_max);
    }

    /// Returns the detail of a table, if a listing says the same of the table as it did then.
    #[must_use]
    pub fn table(&self, branch: &BranchId, table: &TableId, listed: &[u8; 32]) -> Option<Arc<String>> {
        let held = locked(&self.tables).touch(&(branch.clone(), table.clone()))?;
        (held.listed == *listed).then_some(held.source)
    }

    /// Keeps the detail of a table, with the digest of what a listing said before it was asked for.
    pub fn put_table(&self, branch: &BranchId, table: &TableId, listed: [u8; 32], source: &Arc<String>) {
        let key = (branch.clone(), table.clone());
        let source = Arc::clone(source);
        let bytes = source.len() + 256;
        locked(&self.tables).put(key, Detail { listed, source }, bytes, self.bytes_max / 4);
    }
}

fn locked<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values by key, and when each was last used.
#[derive(Debug)]
struct Held<K, V> {
    entries: BTreeMap<K, Entry<V>>,
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

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            bytes: 0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Held<K, V> {
    fn touch(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        self.order.insert(self.clock, key.clone());
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    fn put(&mut self, key: K, value: V, bytes: usize, bytes_max: usize) {
        self.clock += 1;
        self.bytes += bytes;
        let entry = Entry {
            used: self.clock,
            bytes,
            value,
        };
        if let Some(old) = self.entries.insert(key.clone(), entry) {
            self.order.remove(&old.used);
            self.bytes -= old.bytes;
        }
        self.order.insert(self.clock, key);
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

fn size(detail: &ConfigurationDetail) -> usize {
    detail.source.len() + detail.rows.iter().map(|row| row.source.len() + 64).sum::<usize>() + 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_bytes_stay_bounded() {
        let mut held: Held<&str, u8> = Held::default();
        for id in ["a", "b", "c"] {
            held.put(id, 1, 1256, 4000);
        }
        assert!(held.touch(&"a").is_some());
        held.put("d", 1, 1256, 4000);
        assert!(held.touch(&"b").is_none(), "b was used longest ago");
        assert!(held.touch(&"a").is_some());
        held.put("a", 2, 756, 4000);
        assert_eq!((held.touch(&"a"), held.bytes), (Some(2), 756 + 2 * 1256));
        assert_eq!(held.entries.len(), held.order.len());
    }

    #[test]
    fn a_table_of_which_a_listing_says_something_else_is_not_held() {
        let cache = ObjectCache::new(10_000);
        let (branch, table) = (BranchId::parse("1").unwrap(), TableId::parse("in.c-a.t").unwrap());
        cache.put_table(&branch, &table, [1; 32], &Arc::new("{}".to_owned()));
        assert!(cache.table(&branch, &table, &[1; 32]).is_some());
        assert!(cache.table(&branch, &table, &[2; 32]).is_none());
    }
}
