//! How a mirror stands, also where no process works for it.

use super::Runner;
use crate::{pipeline::error::AttemptError, status::Summary};
use mirror_core::ids::MirrorId;
use serde_json::Value;
use std::sync::Arc;

impl Runner {
    /// Returns the status of a mirror's open branches. Those that this process does not work for are looked up in log and state.
    ///
    /// # Errors
    /// A log or store that cannot be read.
    pub async fn status_of(&self, mirror: &MirrorId) -> Result<Value, AttemptError> {
        let status = &self.system.status;
        for lane in self.lanes_of(mirror).await {
            if status.lane(&lane.id).is_some() {
                continue;
            }
            lane.recall_backfill().await?;
            let outage = lane.state.outage(&lane.id).await?;
            let waiting = lane.log.backlog(&[(lane.id.clone(), lane.topic.clone())]).await?;
            let cursor = lane.log.cursor(&lane.id).await?;
            let tip = cursor.and_then(|cursor| cursor.tip);
            let pushed = match tip {
                Some(tip) => lane.committed_at(tip).await,
                None => None,
            };
            let withheld = match lane.stored_memory().await? {
                Some(memory) => Some(lane.withheld_now(&memory).await),
                None => None,
            };
            let paused = self.system.pauses.since(mirror).await?.is_some();
            status.update(&lane.id, |status| {
                status.refname = lane.refname.to_string();
                status.backfill = lane.backfill_progress();
                status.unusable_runs = Arc::clone(&lane.unusable_runs);
                status.rendering = Arc::clone(&lane.rendering);
                status.outage = outage;
                status.backlog = waiting.depth;
                status.tip = tip;
                status.withheld = withheld;
                status.last_push = pushed;
                status.paused = paused;
            });
        }
        let mut page = status.page(|id| id == mirror);
        page["unmirrored"] = self.unmirrored();
        Ok(page)
    }

    /// Says which branches of a mirror fail now, why, and when each is tried next.
    #[must_use]
    pub fn failing_of(&self, mirror: &MirrorId) -> Vec<Value> {
        self.system.status.failing(mirror)
    }

    /// Says what the log has that no mirror takes; null where that is nothing, or was not looked for yet.
    #[must_use]
    pub fn unmirrored(&self) -> Value {
        self.system.status.unmirrored_page(|_| true)
    }

    /// Says how a mirror stands, as far as this process works on it.
    #[must_use]
    pub fn summary_of(&self, mirror: &MirrorId) -> Option<Summary> {
        self.system.status.summary(mirror)
    }
}
