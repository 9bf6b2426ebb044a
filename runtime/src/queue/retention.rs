//! Keeping the log bounded: what nobody waits for goes after a while.
//!
//! | what | goes |
//! | --- | --- |
//! | events that all lanes of their branch have on the remote | `log.history_days` after they were appended |
//! | events that a lane waits for | never; past `http.backlog_max` new ones are answered with 429 |
//! | events of projects or branches that no mirror has | as the first, and the oldest early past `log.unmirrored_events_max` |
//! | keys by which repetitions are known | `log.dedupe_days` after their event was appended |
//! | dead letters | never |
//!
//! A mirror that comes later begins with everything that its project has, so it misses nothing of what
//! went before. Where something did go that a lane had not seen, as when its mirror was taken out of
//! the configuration for long, [`super::EventLog::pruned`] tells.

use super::{EventLog, LogError, Pruned, Retention};
use crate::{
    config::{LogConfig, MirrorSpec},
    system::System,
};
use jiff::{SignedDuration, Timestamp};
use mirror_core::ids::{LaneId, MirrorId, Topic};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);
/// Between two batches, so that appends come through.
const PAUSE: Duration = Duration::from_millis(20);
const BATCH_MAX: usize = 500;

/// Keeps the log of a running system bounded until told to stop.
pub async fn keep(system: Arc<System>, stop: CancellationToken) {
    let mut open = BTreeSet::new();
    loop {
        let lanes = system.status.open_lanes();
        // The lanes of a mirror open one after the other: only those that were open at the last look are
        // taken for all there are.
        let retention = retention(
            &system.config.log,
            &system.config.mirrors,
            &open,
            &lanes,
            (system.now)(),
        );
        open = lanes.into_iter().map(|lane| lane.mirror).collect();
        tokio::select! {
            () = stop.cancelled() => return,
            swept = sweep(&*system.log, &retention) => match swept {
                Ok(Pruned { events: 0, keys: 0, .. }) => {}
                Ok(Pruned { events, keys, .. }) => tracing::info!(events, keys, "old entries of the log are gone"),
                Err(error) => tracing::warn!(error = crate::app::chain(&error), "the log cannot be pruned; it is tried again"),
            },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Prunes until nothing is left to go.
///
/// # Errors
/// A log that cannot be read or written.
pub async fn sweep(log: &dyn EventLog, retention: &Retention) -> Result<Pruned, LogError> {
    let mut all = Pruned::default();
    loop {
        let Pruned { events, keys, more } = log.prune(retention).await?;
        all.events += events;
        all.keys += keys;
        if !more {
            return Ok(all);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says what is kept at `now`, given the mirrors of the configuration, those of them that are `open`, and
/// the open mirrors' lanes.
#[must_use]
pub fn retention(
    config: &LogConfig,
    mirrors: &[MirrorSpec],
    open: &BTreeSet<MirrorId>,
    lanes: &[LaneId],
    now: Timestamp,
) -> Retention {
    let LogConfig {
        history,
        dedupe,
        unmirrored_events_max,
    } = *config;
    let before = |age: Duration| {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        now.checked_sub(age).unwrap_or(Timestamp::MIN)
    };
    let spec = |id: &MirrorId| mirrors.iter().find(|spec| spec.id == *id);
    let lanes = lanes.iter().filter_map(|lane| {
        let MirrorSpec { stack, project, .. } = spec(&lane.mirror)?;
        let topic = Topic {
            stack: stack.clone(),
            project: project.clone(),
            branch: lane.branch.clone(),
        };
        Some((lane.clone(), topic))
    });
    let held = mirrors.iter().filter(|spec| !open.contains(&spec.id));
    Retention {
        lanes: lanes.collect(),
        held: held
            .map(|spec| (spec.stack.clone(), spec.project.clone()))
            .collect(),
        events_before: before(history),
        keys_before: before(dedupe),
        unmirrored_max: unmirrored_events_max,
        batch_max: BATCH_MAX,
    }
}
