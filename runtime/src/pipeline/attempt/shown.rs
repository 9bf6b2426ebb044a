//! What ids are called in logs, in the status and among dead letters, beside the executor: judging them blocks.

use super::{
    super::{
        error::AttemptError,
        fetch::Warning,
        memory::{Memory, WithheldNow},
        transform::Transformer,
        unusable::Extent,
    },
    Lane,
};
use mirror_core::{
    finding::WithholdReason,
    ids::{ObjectKey, TableId, hidden_name},
};
use mirror_keboola::UnreadJobs;
use std::{collections::BTreeMap, sync::Arc};

/// What a run is called that has no id at all.
const WITHOUT_ID: &str = "job without an id";
/// Stands where something could not be judged.
const UNJUDGED: &str = "what could not be judged,";

/// A table without a sample although samples are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSample {
    /// Its id, or a digest where that is a secret.
    pub called: String,
    pub why: &'static str,
}

impl Lane {
    /// Asks the transformer; none where that ended unexpectedly.
    async fn judged<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Transformer) -> T + Send + 'static,
    ) -> Option<T> {
        let transformer = Arc::clone(&self.transformer);
        tokio::task::spawn_blocking(move || ask(&transformer)).await.ok()
    }

    /// Returns what an object is called where operators read of it: see [`Transformer::called`].
    pub(crate) async fn called(&self, object: &ObjectKey) -> String {
        let called = self.called_all(vec![object.clone()]).await.pop();
        called.unwrap_or_else(|| object.hidden())
    }

    /// The same of several at once, in their order.
    pub(super) async fn called_all(&self, objects: Vec<ObjectKey>) -> Vec<String> {
        let hidden = objects.iter().map(ObjectKey::hidden).collect();
        let called = self.judged(move |transformer| transformer.called(&objects)).await;
        called.unwrap_or(hidden)
    }

    /// Returns why something failed as operators may read it: see [`Transformer::told`].
    pub(crate) async fn reason_of(&self, error: &(dyn std::error::Error + Sync)) -> String {
        self.shown_text(crate::app::chain(error)).await
    }

    pub(super) async fn shown_text(&self, text: String) -> String {
        let hidden = hidden_name(UNJUDGED, &text);
        let told = self.judged(move |transformer| transformer.told(&[text])).await;
        told.and_then(|mut told| told.pop()).unwrap_or(hidden)
    }

    /// Returns all that a branch withholds, for people.
    pub(crate) async fn withheld_now(&self, memory: &Memory) -> WithheldNow {
        let mut now = memory.withheld_now();
        let objects = memory.withheld();
        let objects = objects.map(|(key, reason)| (key.clone(), reason.clone()));
        now.objects = self
            .withheld_as_told(objects.collect())
            .await
            .into_iter()
            .collect();
        now
    }

    /// Returns what the store has of the branch, whatever settings and commit it is of; none where it has nothing, or
    /// nothing that can be read.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub(crate) async fn stored_memory(&self) -> Result<Option<Memory>, AttemptError> {
        let stored = self.state.load(&self.id).await?;
        if stored.and_then(|stored| stored.derived).is_none() {
            return Ok(None);
        }
        Ok(self.restored().await?.ok())
    }

    /// Returns what withheld objects are called, and why they are withheld, in their order.
    pub(crate) async fn withheld_as_told(
        &self,
        withheld: Vec<(ObjectKey, WithholdReason)>,
    ) -> Vec<(String, String)> {
        if withheld.is_empty() {
            return Vec::new();
        }
        // That something is withheld is told whatever happens.
        let unjudged = withheld
            .iter()
            .map(|(object, reason)| (object.hidden(), hidden_name(UNJUDGED, &reason.to_string())))
            .collect();
        let as_told = move |transformer: &Transformer| -> Vec<(String, String)> {
            let (objects, reasons): (Vec<ObjectKey>, Vec<WithholdReason>) = withheld.into_iter().unzip();
            let called = transformer.called(&objects);
            // Ids stand in no others.
            let is_of_source = |reason: &&WithholdReason| matches!(reason, WithholdReason::Source { .. });
            let of_source = reasons.iter().filter(is_of_source);
            let of_source: Vec<String> = of_source.map(ToString::to_string).collect();
            let mut told = transformer.told(&of_source).into_iter();
            let each = objects.iter().zip(reasons).zip(called);
            let each = each.map(|((object, reason), called)| {
                let called = match reason.may_be_of_ids() {
                    true => object.hidden(),
                    false => called,
                };
                let told = if is_of_source(&&reason) { told.next() } else { None };
                (called, told.unwrap_or_else(|| reason.to_string()))
            });
            each.collect()
        };
        self.judged(as_told).await.unwrap_or(unjudged)
    }

    /// Returns what tables without a sample are called, and why they have none.
    pub(crate) async fn without_sample(
        &self,
        missing: BTreeMap<TableId, &'static str>,
    ) -> BTreeMap<TableId, NoSample> {
        if missing.is_empty() {
            return BTreeMap::new();
        }
        let tables: Vec<ObjectKey> = missing.keys().cloned().map(ObjectKey::Table).collect();
        let hidden = self.judged(move |transformer| {
            let called = transformer.called(&tables).into_iter().zip(&tables);
            let is_hidden = called.map(|(called, table)| called != table.to_string());
            is_hidden.collect::<Vec<bool>>()
        });
        let mut hidden = hidden.await.unwrap_or_default().into_iter();
        let named = missing.into_iter().map(|(table, why)| {
            let called = match hidden.next() {
                Some(false) => table.to_string(),
                Some(true) | None => ObjectKey::Table(table.clone()).hidden(),
            };
            (table, NoSample { called, why })
        });
        named.collect()
    }

    /// Logs what was noted of objects while they were fetched.
    pub(super) async fn warn_of_fetched(&self, warnings: Vec<Warning>) {
        if warnings.is_empty() {
            return;
        }
        let named = move |transformer: &Transformer| {
            let objects: Vec<ObjectKey> = warnings.iter().map(|warning| warning.object.clone()).collect();
            let details: Vec<String> = warnings.iter().map(|warning| warning.detail.clone()).collect();
            let called = transformer.called(&objects).into_iter();
            let told = called.zip(transformer.told(&details));
            told.zip(warnings).collect::<Vec<_>>()
        };
        for ((object, detail), Warning { message, .. }) in self.judged(named).await.unwrap_or_default() {
            tracing::warn!(lane = %self.id, object, detail, "{message}");
        }
    }

    /// Returns what the runs of a listing are called that have no usable id, and what is wrong with each.
    pub(super) async fn unusable_of(&self, unread: &UnreadJobs) -> BTreeMap<String, String> {
        let first = unread.first.clone();
        let named = move |transformer: &Transformer| {
            let named = first.into_iter().map(|run| {
                let name = run.id.map(|id| transformer.called_raw("job", &id));
                (name.unwrap_or_else(|| WITHOUT_ID.to_owned()), run.detail)
            });
            named.collect()
        };
        self.judged(named).await.unwrap_or_default()
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
