//! Keeping what shadow policies have counted: with the default branch's records, for all branches of the mirror.
//!
//! What cannot be read or stored is told, and harms nothing else.

use super::Lane;
use crate::state::Feeder;
use mirror_core::ids::LaneId;
use std::collections::BTreeMap;

impl Lane {
    /// Goes on counting from what an earlier process has stored.
    pub(super) async fn recall_shadows(&self) {
        let shadows = &self.transformer.shadows;
        let Some(first) = shadows.first() else { return };
        let _alone = first.report().storing.lock().await;
        if shadows.iter().all(|shadow| shadow.report().is_recalled()) {
            return;
        }
        match self.state.kept(&self.shadows_lane(), Feeder::Shadows).await {
            Ok(kept) => {
                let kept = kept.unwrap_or_default();
                for shadow in shadows {
                    let report = shadow.report();
                    report.recall(kept.get(report.id().1).map(String::as_str));
                }
            }
            Err(error) => {
                tracing::warn!(lane = %self.id, error = crate::app::chain(&error), "what shadow policies counted before cannot be read; it is tried again");
            }
        }
    }

    /// Stores what shadow policies have counted, where that has changed; before what they have seen is pushed.
    pub(super) async fn store_shadows(&self) {
        let shadows = &self.transformer.shadows;
        let Some(first) = shadows.first() else { return };
        let _alone = first.report().storing.lock().await;
        // What is stored must not be replaced by what knows nothing of it.
        let may_store = shadows.iter().all(|shadow| shadow.report().is_recalled());
        if !may_store || !shadows.iter().any(|shadow| shadow.report().is_news()) {
            return;
        }
        let stored = shadows.iter().filter_map(|shadow| {
            let report = shadow.report();
            Some((report.id().1.to_owned(), report.store()?))
        });
        let stored: BTreeMap<String, String> = stored.collect();
        if let Err(error) = self
            .state
            .keep(&self.shadows_lane(), Feeder::Shadows, stored)
            .await
        {
            shadows.iter().for_each(|shadow| shadow.report().unstored());
            tracing::warn!(lane = %self.id, error = crate::app::chain(&error), "what shadow policies have counted cannot be stored; it is tried again with the next commit");
        }
    }

    fn shadows_lane(&self) -> LaneId {
        LaneId {
            mirror: self.id.mirror.clone(),
            branch: self.default_branch.clone(),
        }
    }
}
