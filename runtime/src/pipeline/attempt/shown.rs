//! What ids are called in logs, in the status and among dead letters: see [`super::super::transform`], which blocks.

use super::{super::unusable::Extent, Lane};
use mirror_keboola::UnreadJobs;
use std::{collections::BTreeMap, sync::Arc};

/// What a run is called that has no id at all.
const WITHOUT_ID: &str = "job without an id";

impl Lane {
    /// Returns what the runs of a listing are called that have no usable id, and what is wrong with each.
    pub(in crate::pipeline) async fn unusable_of(&self, unread: &UnreadJobs) -> BTreeMap<String, String> {
        let transformer = Arc::clone(&self.transformer);
        let first = unread.first.clone();
        let named = move || {
            let named = first.into_iter().map(|run| {
                let name = run.id.map(|id| transformer.called_raw("job", &id));
                (name.unwrap_or_else(|| WITHOUT_ID.to_owned()), run.detail)
            });
            named.collect()
        };
        tokio::task::spawn_blocking(named).await.unwrap_or_default()
    }

    /// Tells of the runs of a listing that have no usable id: in the status, and in the log, of those of a part only where
    /// that is news.
    pub(crate) async fn tell_unusable(&self, unread: &UnreadJobs, extent: Extent) {
        let named = self.unusable_of(unread).await;
        let names: Vec<String> = named.keys().cloned().collect();
        let is_news = self.unusable_runs.see(unread.count, named, extent);
        if unread.count > 0 && (is_news || extent == Extent::All) {
            tracing::warn!(lane = %self.id, runs = unread.count, named = names.join(", "),
                "keboola lists runs whose ids cannot be used; they are left out of the mirror");
        }
    }
}
