//! Configurations that were already fetched, so that no version is fetched twice.
//!
//! Bounded by bytes; what was used longest ago goes first. Lives and dies with the process: it holds
//! unredacted content, which is never written to disk.

use mirror_core::{
    cut::ConfigKey,
    ids::{BranchId, ComponentId, ConfigId},
};
use mirror_keboola::ConfigurationDetail;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const BYTES_MAX: usize = 64 << 20;

type Key = (BranchId, ComponentId, ConfigId, u64);

/// A cache of configurations by branch, key and version.
#[derive(Debug, Default)]
pub struct ObjectCache(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    entries: BTreeMap<Key, (u64, Arc<ConfigurationDetail>)>,
    /// By when it was last used.
    order: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

impl ObjectCache {
    /// Returns a configuration at exactly this version.
    #[must_use]
    pub fn get(&self, branch: &BranchId, key: &ConfigKey, version: u64) -> Option<Arc<ConfigurationDetail>> {
        let key = (branch.clone(), key.component.clone(), key.config.clone(), version);
        self.held().touch(&key)
    }

    /// Keeps a configuration.
    pub fn put(&self, branch: &BranchId, detail: &Arc<ConfigurationDetail>) {
        let key = (
            branch.clone(),
            detail.component_id.clone(),
            detail.id.clone(),
            detail.revision.version,
        );
        self.held().put(key, Arc::clone(detail), BYTES_MAX);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn touch(&mut self, key: &Key) -> Option<Arc<ConfigurationDetail>> {
        self.clock += 1;
        let (used, detail) = self.entries.get_mut(key)?;
        self.order.remove(used);
        self.order.insert(self.clock, key.clone());
        *used = self.clock;
        Some(Arc::clone(detail))
    }

    fn put(&mut self, key: Key, detail: Arc<ConfigurationDetail>, bytes_max: usize) {
        self.clock += 1;
        self.bytes += size(&detail);
        if let Some((used, old)) = self.entries.insert(key.clone(), (self.clock, detail)) {
            self.order.remove(&used);
            self.bytes -= size(&old);
        }
        self.order.insert(self.clock, key);
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            if let Some((_, detail)) = self.entries.remove(&oldest) {
                self.bytes -= size(&detail);
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
    use mirror_keboola::Revision;

    fn detail(id: &str, bytes: usize) -> Arc<ConfigurationDetail> {
        Arc::new(ConfigurationDetail {
            component_id: ComponentId::parse("c").expect("an id"),
            id: ConfigId::parse(id).expect("an id"),
            name: String::new(),
            revision: Revision {
                version: 1,
                identifier: None,
                created: None,
                author: None,
                change_description: String::new(),
                is_deleted: false,
            },
            first_created: None,
            source: " ".repeat(bytes),
            rows: Vec::new(),
        })
    }

    fn key(id: &str) -> Key {
        let (branch, component) = (BranchId::parse("1"), ComponentId::parse("c"));
        (
            branch.expect("an id"),
            component.expect("an id"),
            ConfigId::parse(id).expect("an id"),
            1,
        )
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_bytes_stay_bounded() {
        let mut held = Held::default();
        for id in ["a", "b", "c"] {
            held.put(key(id), detail(id, 1000), 4000);
        }
        assert!(held.touch(&key("a")).is_some());
        held.put(key("d"), detail("d", 1000), 4000);
        assert!(held.touch(&key("b")).is_none(), "b was used longest ago");
        assert!(held.touch(&key("a")).is_some());
        held.put(key("a"), detail("a", 500), 4000);
        assert!(held.bytes <= 4000);
        assert_eq!(held.entries.len(), held.order.len());
    }
}
