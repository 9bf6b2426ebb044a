//! Working for a mirror: all of them where this process is alone, those of the shards it holds where it is not.

use super::{Followed, Runner};
use crate::{config::MirrorSpec, metrics::Region, pipeline::attempt::Lane, workers::Crew};
use async_trait::async_trait;
use futures_util::StreamExt;
use mirror_core::{
    ids::{LaneId, MirrorId},
    shard::Shard,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio_util::task::TaskTracker;

/// What is paused is looked at so often.
const PAUSES_EVERY: Duration = Duration::from_secs(30);

/// The runner as one of several workers.
pub(super) struct Hands {
    runner: Arc<Runner>,
    mirrors: BTreeMap<Shard, Vec<Arc<MirrorSpec>>>,
}

impl Hands {
    pub(super) fn new(runner: Arc<Runner>, all: Vec<Arc<MirrorSpec>>) -> Self {
        let mut mirrors: BTreeMap<Shard, Vec<Arc<MirrorSpec>>> = BTreeMap::new();
        for mirror in all {
            let shard = Shard::of(&mirror.stack, &mirror.project);
            mirrors.entry(shard).or_default().push(mirror);
        }
        Self { runner, mirrors }
    }

    /// Returns the shards that have mirrors.
    pub(super) fn shards(&self) -> BTreeSet<Shard> {
        self.mirrors.keys().copied().collect()
    }
}

#[async_trait]
impl Crew for Hands {
    async fn take(&self, shard: Shard) {
        for mirror in self.mirrors.get(&shard).into_iter().flatten() {
            self.runner.begin(mirror).await;
        }
    }

    async fn give_up(&self, shard: Shard) {
        let ends = self.mirrors.get(&shard).into_iter().flatten();
        futures_util::future::join_all(ends.map(|mirror| self.runner.end(&mirror.id))).await;
    }
}

impl Runner {
    /// Starts to open a mirror, and its tasks when it is open.
    pub(super) async fn begin(self: &Arc<Self>, mirror: &Arc<MirrorSpec>) {
        // Another worker may have been asked meanwhile.
        self.look_paused(&mirror.id).await;
        self.system.notices.take(&mirror.id).await;
        let followed = Followed {
            stop: self.stop.child_token(),
            tasks: TaskTracker::new(),
        };
        let id = mirror.id.clone();
        self.followed.lock().await.insert(id, followed.clone());
        let open = Arc::clone(self).open(Arc::clone(mirror), followed.clone());
        self.spawn(&followed, open);
    }

    /// Looks whether a mirror is paused. What cannot be read is as it was: it is looked at again.
    pub(super) async fn look_paused(&self, mirror: &MirrorId) {
        match self.system.pauses.since(mirror).await {
            Ok(since) => self.pause(mirror, since.is_some()),
            Err(error) => {
                tracing::warn!(%mirror, error = crate::app::chain(&error), "whether the mirror is paused cannot be read; it is tried again");
            }
        }
    }

    /// Follows what other workers are asked to pause.
    pub(super) async fn watch_pauses(self: Arc<Self>) {
        loop {
            let mut changes = match self.system.pauses.changes().await {
                Ok(None) => return,
                Ok(Some(changes)) => changes,
                Err(error) => {
                    tracing::warn!(
                        error = crate::app::chain(&error),
                        "what is paused cannot be watched; it is tried again"
                    );
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(PAUSES_EVERY) => continue,
                    }
                }
            };
            loop {
                for mirror in &self.system.config.mirrors {
                    self.look_paused(&mirror.id).await;
                }
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    change = changes.next() => if change.is_none() { break },
                    // Nobody promises that each change is told.
                    () = tokio::time::sleep(PAUSES_EVERY) => {}
                }
            }
        }
    }

    /// Ends the tasks of a mirror. A running attempt may finish within the grace period; what goes on after that
    /// is no danger, as whoever goes on makes the same commits.
    pub(super) async fn end(&self, id: &MirrorId) {
        let Some(Followed { stop, tasks }) = self.followed.lock().await.remove(id) else {
            return;
        };
        stop.cancel();
        tasks.close();
        let grace = Duration::from_millis(self.system.config.grace_ms);
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            tracing::warn!(mirror = %id, ?grace, "attempts of the mirror are not waited for any longer");
            self.cut_short(&self.lanes_of(id).await).await;
        }
        if let Err(error) = self.system.notices.store.give_up(id).await {
            tracing::warn!(mirror = %id, error = crate::app::chain(&error), "what was told of the mirror stays here too");
        }
        let mut lanes = self.lanes.lock().await;
        let own: Vec<LaneId> = lanes.keys().filter(|lane| lane.mirror == *id).cloned().collect();
        for lane in own {
            self.system.status.remove(&lane);
            if let Some(lane) = lanes.remove(&lane)
                && !lane.branch.is_default
            {
                let linked = &self.system.metrics.linked_dev_branches;
                linked.get_or_create(&Region::of(&lane.spec)).dec();
            }
        }
    }

    /// Keeps what is cut short from being taken for a death.
    pub(super) async fn cut_short(&self, lanes: &[Lane]) {
        for lane in lanes {
            if let Err(error) = lane.cut_short().await {
                tracing::warn!(lane = %lane.id, error = crate::app::chain(&error), "whoever goes on will take this stop for a death");
            }
        }
    }

    /// Starts a task of a mirror, which a stop of the process waits for too.
    pub(super) fn spawn(&self, followed: &Followed, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(followed.tasks.track_future(task));
    }
}
