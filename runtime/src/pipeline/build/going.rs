//! What goes, and by what it is judged whether that is too much.

use super::{
    super::{
        breaker::Census, error::AttemptError, fetch::Fetched, former::Former, recover::Tip, spool::Spool,
    },
    Build,
};
use mirror_core::ids::ObjectKey;
use std::collections::BTreeSet;
use tokio::runtime::Handle;

impl Build<'_, '_, '_, '_> {
    /// Returns what is no longer there: rows that a configuration lost, what was deleted, and, where
    /// everything was fetched, all that was not among it.
    pub(super) fn gone(&self, fetched: &Fetched, spool: &Spool) -> BTreeSet<ObjectKey> {
        let memory = &self.memory;
        let mut gone: BTreeSet<ObjectKey> = BTreeSet::new();
        if self.whole {
            let known = memory.keys().chain(memory.placement().keys());
            gone.extend(known.filter(|key| !spool.contains(key)));
        } else {
            for (key, config) in &fetched.configs {
                let rows = memory.rows_of(key).into_iter();
                gone.extend(rows.filter(|row| !config.rows.contains(row)));
            }
        }
        for key in fetched.gone.keys() {
            gone.extend(memory.of_config(key));
        }
        for table in &fetched.tables_gone {
            let keys = [ObjectKey::Table(table.clone()), ObjectKey::Sample(table.clone())];
            gone.extend(keys.into_iter().filter(|key| memory.is_known(key)));
        }
        let buckets = fetched.buckets_gone.iter().cloned().map(ObjectKey::Bucket);
        gone.extend(buckets.filter(|key| memory.is_known(key)));
        let sampled = fetched.no_sample.keys().cloned().map(ObjectKey::Sample);
        gone.extend(sampled.filter(|key| memory.is_known(key)));
        gone.retain(|key| !self.withheld.contains_key(key));
        gone
    }

    /// Returns by what it is judged whether too much goes; none where that is not in question.
    pub(super) fn census(
        &self,
        going: &BTreeSet<ObjectKey>,
        spool: &Spool,
        tip: Option<Tip>,
        former: Option<&Former>,
        handle: &Handle,
    ) -> Result<Option<Census>, AttemptError> {
        let lane = self.lane;
        if self.whole {
            let is_storage = |key: &&ObjectKey| matches!(key, ObjectKey::Table(_) | ObjectKey::Bucket(_));
            let storage = spool.keys().filter(is_storage).count();
            let owned = former.map_or(&lane.transformer.owned, |former| &former.owned);
            let census = lane.census_of_all(&self.memory, going, tip.zip(Some(owned)), storage);
            return Ok(Some(handle.block_on(census)?));
        }
        if going.len() > 1 {
            return Ok(Some(handle.block_on(lane.census(&self.memory, going))?));
        }
        Ok(None)
    }
}
