//! What was already fetched, so that no version is fetched twice.
//!
//! Bounded by bytes; what was used longest ago goes first. Lives and dies with the process, for all mirrors in it: it holds
//! unredacted content, which is never written to disk.

use crate::lru::Lru;
use jiff::Timestamp;
use mirror_core::{
    cut::ConfigKey,
    ids::{BranchId, ComponentId, ConfigId, MirrorId, TableId},
};
use mirror_keboola::ConfigurationDetail;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Whose configuration it is, where it stands, and the identifier of its version. Numbers begin anew where an id is
/// used again, identifiers do not.
type ConfigVersion = (MirrorId, BranchId, ComponentId, ConfigId, String);

/// What the mirrors of a process have fetched: configurations by version identifier, and details of tables by what
/// a listing says of them.
#[derive(Debug)]
pub struct ObjectCache {
    configurations: Mutex<Lru<ConfigVersion, Arc<ConfigurationDetail>>>,
    tables: Mutex<Lru<(MirrorId, BranchId, TableId), Detail>>,
    bytes_max: usize,
}

/// The detail of a table, and the digest of what a listing said of it then.
#[derive(Debug, Clone)]
struct Detail {
    listed: [u8; 32],
    asked_at: Timestamp,
    source: Arc<String>,
}

/// A detail serves so long: attempts and rounds at the same thing share it, and what is asked for later is asked anew,
/// for no listing tells that a definition has changed.
const DETAIL_SERVES: Duration = Duration::from_secs(15 * 60);

impl ObjectCache {
    /// Makes a cache of so many bytes, of which tables have a quarter.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            configurations: Mutex::default(),
            tables: Mutex::default(),
            bytes_max,
        })
    }

    /// Returns what one mirror sees of it: nothing of another's, though both be of one project, since their tokens
    /// may not show the same.
    #[must_use]
    pub fn of(self: &Arc<Self>, mirror: MirrorId) -> MirrorCache {
        MirrorCache {
            shared: Arc::clone(self),
            mirror,
        }
    }
}

/// One mirror's part of the cache.
#[derive(Debug)]
pub struct MirrorCache {
    shared: Arc<ObjectCache>,
    mirror: MirrorId,
}

impl MirrorCache {
    /// Returns a configuration at exactly this version; none where it has no identifier.
    #[must_use]
    pub fn get(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        identifier: &str,
    ) -> Option<Arc<ConfigurationDetail>> {
        let ConfigKey { component, config } = key.clone();
        let key = (
            self.mirror.clone(),
            branch.clone(),
            component,
            config,
            identifier.to_owned(),
        );
        locked(&self.shared.configurations).touch(&key).cloned()
    }

    /// Keeps a configuration, if its version has an identifier.
    pub fn put(&self, branch: &BranchId, detail: &Arc<ConfigurationDetail>) {
        let Some(identifier) = detail.revision.identifier.clone() else {
            return;
        };
        let key = (
            self.mirror.clone(),
            branch.clone(),
            detail.component_id.clone(),
            detail.id.clone(),
            identifier,
        );
        let ObjectCache {
            configurations,
            bytes_max,
            ..
        } = &*self.shared;
        locked(configurations).put(key, Arc::clone(detail), size(detail), bytes_max - bytes_max / 4);
    }

    /// Returns the detail of a table, if a listing says the same of the table as it did then, a short time before `now`.
    #[must_use]
    pub fn table(
        &self,
        branch: &BranchId,
        table: &TableId,
        listed: &[u8; 32],
        now: Timestamp,
    ) -> Option<Arc<String>> {
        let key = (self.mirror.clone(), branch.clone(), table.clone());
        let held = locked(&self.shared.tables).touch(&key).cloned()?;
        // The clock may have been put back since.
        let age = now.duration_since(held.asked_at).unsigned_abs();
        let serves = held.listed == *listed && age <= DETAIL_SERVES;
        serves.then_some(held.source)
    }

    /// Keeps the detail of a table, with the digest of what a listing said before it was asked for.
    pub fn put_table(
        &self,
        branch: &BranchId,
        table: &TableId,
        listed: [u8; 32],
        source: &Arc<String>,
        asked_at: Timestamp,
    ) {
        let key = (self.mirror.clone(), branch.clone(), table.clone());
        let source = Arc::clone(source);
        let bytes = source.len() + 256;
        let ObjectCache {
            tables, bytes_max, ..
        } = &*self.shared;
        let detail = Detail {
            listed,
            asked_at,
            source,
        };
        locked(tables).put(key, detail, bytes, bytes_max / 4);
    }
}

fn locked<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(detail: &ConfigurationDetail) -> usize {
    detail.source.len() + detail.rows.iter().map(|row| row.source.len() + 64).sum::<usize>() + 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_which_a_listing_says_something_else_is_not_held() {
        let shared = ObjectCache::new(10_000);
        let of = |mirror: &str| shared.of(MirrorId::parse(mirror).unwrap());
        let cache = of("shop");
        let (branch, table) = (BranchId::parse("1").unwrap(), TableId::parse("in.c-a.t").unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        cache.put_table(&branch, &table, [1; 32], &Arc::new("{}".to_owned()), at(0));
        assert!(cache.table(&branch, &table, &[1; 32], at(900)).is_some());
        assert!(
            cache.table(&branch, &table, &[1; 32], at(901)).is_none(),
            "too old"
        );
        assert!(
            cache.table(&branch, &table, &[1; 32], at(-901)).is_none(),
            "asked for by a clock that was ahead"
        );
        assert!(cache.table(&branch, &table, &[2; 32], at(0)).is_none());
        assert!(
            of("other").table(&branch, &table, &[1; 32], at(0)).is_none(),
            "nobody sees another's"
        );
    }
}
