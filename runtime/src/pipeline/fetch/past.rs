//! What was before the mirror: which versions there are, and how each looked.
//!
//! Calls are paced: history is long, nobody waits for it, and the project is being worked in.

use super::{FetchError, Fetched, Source, Versions};
use crate::{
    config::BackfillSpec,
    pipeline::backfill::{BackfillStatus, Count, Phase},
};
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Cut},
    event::ConfigChanged,
    ids::BranchId,
};
use mirror_keboola::{ConfigurationDetail, Disposition, ListedConfiguration, Revision};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};

/// Versions of one page.
const VERSIONS_PAGE: u32 = 100;
/// So long history is listed in one attempt; the next goes on.
const LISTED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// A version from before the mirror.
#[derive(Debug, Clone)]
pub struct PastVersion {
    pub at: Timestamp,
    pub changed: ConfigChanged,
}

/// What is known of a project's history while it is brought in.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Configurations whose versions are not listed yet; none before the first look.
    unlisted: Option<Vec<ListedConfiguration>>,
    listed: Vec<PastVersion>,
    /// All of them, oldest first, once they are listed.
    ordered: Option<VecDeque<PastVersion>>,
    /// How many versions that were, and of how many configurations.
    total: (usize, usize),
    /// When the first of them were returned, and how many were there before.
    began: Option<(Instant, usize)>,
    /// Current versions without content, by which past ones are read; none of a configuration that is gone.
    heads: BTreeMap<ConfigKey, Option<Arc<ConfigurationDetail>>>,
    /// When the source may be asked again.
    free_at: Option<Instant>,
}

impl Known {
    async fn pace(&mut self, spec: BackfillSpec) {
        let now = Instant::now();
        let at = self.free_at.map_or(now, |free_at| free_at.max(now));
        self.free_at = Some(at + Duration::from_secs(1) / spec.requests_per_second_max);
        tokio::time::sleep_until(at).await;
    }

    /// Returns the oldest versions above the covered ones; they stay until they are told.
    fn next(&mut self, covered: &dyn Versions, max: usize) -> Vec<PastVersion> {
        let ordered = self.ordered.get_or_insert_default();
        ordered.retain(|version| {
            let covered = covered.covered(&key_of(&version.changed));
            covered.is_none_or(|covered| covered.version < version.changed.version)
        });
        ordered.iter().take(max).cloned().collect()
    }

    /// Tells how far it has come, when all that was told is there: what is left is what was not told.
    fn tell(&mut self, status: &mut BackfillStatus, now: Instant) {
        let left = self.ordered.as_ref();
        let configurations: BTreeSet<ConfigKey> = left
            .iter()
            .flat_map(|left| left.iter())
            .map(|version| key_of(&version.changed))
            .collect();
        let count = |left: usize, total: usize| Count {
            done: total.saturating_sub(left),
            total,
        };
        status.phase = Phase::Committing;
        status.configurations = count(configurations.len(), self.total.1);
        status.versions = count(left.map_or(0, VecDeque::len), self.total.0);
        let (since, before) = *self.began.get_or_insert((now, status.versions.done));
        let seconds = now.duration_since(since).as_secs();
        let versions = status.versions.done.saturating_sub(before);
        if let Some(each_minute) = (versions as u64 * 60).checked_div(seconds) {
            status.versions_per_minute = Some(each_minute);
        }
    }

    fn told(&mut self, count: usize) {
        if let Some(ordered) = &mut self.ordered {
            ordered.drain(..count.min(ordered.len()));
        }
    }
}

impl Source {
    /// Returns the oldest versions that are above the covered ones and were not told before; none where there are no more.
    /// Those that are told are noted by [`Source::past_told`]: until then they are returned again.
    ///
    /// # Errors
    /// A call that fails; [`FetchError::HistoryUnlisted`] where listing them takes longer than an attempt should.
    pub async fn next_past(
        &self,
        branch: &BranchId,
        covered: &dyn Versions,
        spec: BackfillSpec,
        max: usize,
    ) -> Result<Vec<PastVersion>, FetchError> {
        let mut known = self.past.0.lock().await;
        if known.ordered.is_none() {
            self.list_past(branch, spec, &mut known).await?;
        }
        let next = known.next(covered, max);
        self.backfill.update(|status| known.tell(status, Instant::now()));
        if next.is_empty() {
            // It is all told. Who brings in what was told last asks anew by what it goes.
            known.heads.clear();
        }
        Ok(next)
    }

    /// Notes that so many of the versions that were returned are told, durably.
    pub async fn past_told(&self, count: usize) {
        self.past.0.lock().await.told(count);
    }

    async fn list_past(
        &self,
        branch: &BranchId,
        spec: BackfillSpec,
        known: &mut Known,
    ) -> Result<(), FetchError> {
        let begun = Instant::now();
        if known.unlisted.is_none() {
            let all = self.client.list_configurations(branch).await?;
            known.total.1 = all.len();
            known.unlisted = Some(all);
        }
        while let Some(listed) = known
            .unlisted
            .as_ref()
            .and_then(|unlisted| unlisted.last())
            .cloned()
        {
            let left = known.unlisted.as_ref().map_or(0, Vec::len);
            self.backfill.update(|status| {
                status.phase = Phase::Listing;
                status.configurations = Count {
                    done: known.total.1.saturating_sub(left),
                    total: known.total.1,
                };
            });
            if begun.elapsed() > LISTED_WITHIN {
                return Err(FetchError::HistoryUnlisted { left });
            }
            let mut revisions: Vec<Revision> = Vec::new();
            loop {
                known.pace(spec).await;
                let offset = u32::try_from(revisions.len()).unwrap_or(u32::MAX);
                let page = self
                    .client
                    .versions(branch, &listed.component_id, &listed.id, VERSIONS_PAGE, offset)
                    .await;
                let page = match page {
                    Ok(page) => page,
                    // It went away since it was listed, and its versions with it.
                    Err(error) if error.disposition() == Disposition::Gone => break,
                    Err(error) => return Err(error.into()),
                };
                let is_last = page.len() < VERSIONS_PAGE as usize;
                revisions.extend(page);
                if is_last || revisions.len() >= spec.configuration_versions_max {
                    break;
                }
            }
            known
                .listed
                .extend(in_order(&listed, revisions, spec.configuration_versions_max));
            if let Some(unlisted) = &mut known.unlisted {
                unlisted.pop();
            }
        }
        let mut all = std::mem::take(&mut known.listed);
        all.sort_by_key(|version| version.at);
        let left_out = all.len().saturating_sub(spec.versions_max);
        if left_out > 0 {
            tracing::info!(
                left_out,
                "history has more versions than `backfill.versions_max`; the oldest are left out"
            );
        }
        known.total.0 = all.len() - left_out;
        known.ordered = Some(all.into_iter().skip(left_out).collect());
        Ok(())
    }

    /// Fetches versions from before the mirror, as they were; of metadata, storage and runs nobody knows how they were.
    ///
    /// # Errors
    /// Any call that fails.
    pub async fn past(
        &self,
        branch: &BranchId,
        cut: &Cut,
        covered: &dyn Versions,
        spec: BackfillSpec,
    ) -> Result<Fetched, FetchError> {
        let mut fetched = Fetched::default();
        if cut.branch_changed {
            self.branch_object(branch, &mut fetched).await?;
        }
        for (key, wanted) in &cut.configs {
            let had = covered.covered(key);
            if had.as_ref().is_some_and(|had| had.covers(wanted)) {
                continue;
            }
            let outcome = self
                .past_version(branch, key, wanted.version, spec, &mut fetched)
                .await;
            fetched.isolate(key.clone().into(), had.is_some(), outcome)?;
        }
        Ok(fetched)
    }

    async fn past_version(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        version: u64,
        spec: BackfillSpec,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let mut known = self.past.0.lock().await;
        let head = match known.heads.get(key) {
            Some(head) => head.clone(),
            None => {
                known.pace(spec).await;
                let head = self
                    .client
                    .configuration(branch, &key.component, &key.config)
                    .await;
                let head = match head {
                    Ok(current) => Some(Arc::new(current.head())),
                    Err(error) if error.disposition() == Disposition::Gone => None,
                    Err(error) => return Err(error.into()),
                };
                known.heads.insert(key.clone(), head.clone());
                head
            }
        };
        // The first sync will find it gone.
        let Some(head) = head else { return Ok(()) };
        known.pace(spec).await;
        drop(known);
        let detail = match self.client.configuration_version(branch, &head, version).await {
            Ok(detail) => detail,
            // History was cut; the first sync has the newest.
            Err(error) if error.disposition() == Disposition::Gone => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if detail.revision.is_deleted {
            fetched
                .gone
                .insert(key.clone(), Some((detail.name, detail.revision)));
            return Ok(());
        }
        let component = self.component(&key.component).await?;
        fetched.add(&component, &Arc::new(detail), Vec::new());
        Ok(())
    }
}

/// Returns a configuration's newest versions, oldest first, none of them earlier than the one before.
fn in_order(
    listed: &ListedConfiguration,
    mut revisions: Vec<Revision>,
    max: usize,
) -> impl Iterator<Item = PastVersion> {
    revisions.sort_by_key(|revision| revision.version);
    // A version made between two pages shifts them by one.
    revisions.dedup_by_key(|revision| revision.version);
    let older = revisions.len().saturating_sub(max);
    let mut last = Timestamp::UNIX_EPOCH;
    let (component, config) = (listed.component_id.clone(), listed.id.clone());
    revisions.into_iter().skip(older).map(move |revision| {
        last = revision.created.unwrap_or(last).max(last);
        PastVersion {
            at: last,
            changed: ConfigChanged {
                component: component.clone(),
                config: config.clone(),
                version: revision.version,
                identifier: revision.identifier,
                author: revision
                    .author
                    .map(|author| author.description)
                    .filter(|text| !text.is_empty()),
            },
        }
    })
}

fn key_of(changed: &ConfigChanged) -> ConfigKey {
    ConfigKey {
        component: changed.component.clone(),
        config: changed.config.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::fetch::Covered;

    fn version(config: &str, version: u64) -> PastVersion {
        PastVersion {
            at: Timestamp::UNIX_EPOCH,
            changed: ConfigChanged {
                component: "c".parse().expect("an id"),
                config: config.parse().expect("an id"),
                version,
                identifier: None,
                author: None,
            },
        }
    }

    #[track_caller]
    fn check(known: &mut Known, covered: &BTreeMap<ConfigKey, Covered>, expected: &[&str]) {
        let next = known.next(covered, 2);
        let next = next
            .iter()
            .map(|found| format!("{}@{}", found.changed.config, found.changed.version));
        assert_eq!(next.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn versions_are_returned_until_they_are_told_or_covered() {
        let ordered = [
            version("a", 1),
            version("b", 1),
            version("a", 2),
            version("b", 2),
            version("a", 3),
        ];
        let mut known = Known {
            total: (ordered.len(), 2),
            ordered: Some(ordered.into()),
            ..Known::default()
        };
        let began = Instant::now();
        let progress = |known: &mut Known, second: u64| {
            let mut status = BackfillStatus::begun(Timestamp::UNIX_EPOCH);
            known.tell(&mut status, began + Duration::from_secs(second));
            let (configurations, versions) = (status.configurations, status.versions);
            (configurations.done, versions.done, status.versions_per_minute)
        };
        let mut covered = BTreeMap::new();
        check(&mut known, &covered, &["a@1", "b@1"]);
        assert_eq!(progress(&mut known, 0), (0, 0, None));
        // Telling them has failed.
        check(&mut known, &covered, &["a@1", "b@1"]);
        known.told(2);
        let key = key_of(&version("b", 1).changed);
        let (version, identifier) = (2, String::new());
        covered.insert(key, Covered { version, identifier });
        check(&mut known, &covered, &["a@2", "a@3"]);
        assert_eq!(progress(&mut known, 10), (1, 3, Some(18)));
        known.told(2);
        check(&mut known, &covered, &[]);
        assert_eq!(progress(&mut known, 30), (2, 5, Some(10)));
    }
}
