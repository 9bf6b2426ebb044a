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

/// Where a configuration stands, and the identifier of its version. Numbers begin anew where an id is used
/// again, identifiers do not.
type Key = (BranchId, ComponentId, ConfigId, String);

/// A cache of configurations by branch, key and version identifier.
#[derive(Debug)]
pub struct ObjectCache {
    held: Mutex<Held>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Held {
    entries: BTreeMap<Key, (u64, Arc<ConfigurationDetail>)>,
    /// By when it was last used.
    order: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

impl ObjectCache {
    /// Makes a cache of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            held: Mutex::default(),
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
        self.held()
            .touch(&(branch.clone(), component, config, identifier.to_owned()))
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
        self.held().put(key, Arc::clone(detail), self.bytes_max);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
                identifier: Some("v1".into()),
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
            "v1".into(),
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
