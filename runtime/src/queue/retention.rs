//! Keeping the log bounded: what nobody waits for goes after a while.
//!
//! | what | goes |
//! | --- | --- |
//! | events that all lanes of their branch have on the remote | `log.history_days` after they were appended |
//! | events that a lane waits for, and all of a mirror that cannot be opened | never; past `http.backlog_max` new ones are answered with 429 |
//! | events of projects or branches that no mirror has | as the first, and the oldest early past `log.unmirrored_events_max` |
//! | keys by which repetitions are known | `log.dedupe_days` after their event was appended |
//! | dead letters | `log.dead_letter_days` after they were filed, and early past `log.dead_letters_max`: first those that cannot be replayed, the oldest of each kind first |
//!
//! A mirror that comes later begins with everything that its project has, so it misses nothing of what
//! went before. Where something did go that a lane had not seen, as when its mirror was taken out of
//! the configuration for long, [`super::EventLog::pruned`] tells.

use super::{
    Backlog, EventLog, LogError, Pruned, Retention,
    unmirrored::{self, Warned},
};
use crate::{
    config::{LogConfig, MirrorSpec},
    system::System,
};
use jiff::{SignedDuration, Timestamp};
use mirror_core::ids::{LaneId, MirrorId, Topic};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);
/// Between two batches, so that appends come through.
const PAUSE: Duration = Duration::from_millis(20);
const BATCH_MAX: usize = 250;

/// Keeps the log of a running system bounded until told to stop.
pub async fn keep(system: Arc<System>, stop: CancellationToken) {
    let mut open = BTreeSet::new();
    let mut warned = Warned::default();
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
        match unopened(&*system.log, &system.config.mirrors, &open).await {
            Ok(unopened) => system.status.set_unopened(unopened),
            Err(error) => {
                tracing::warn!(
                    error = crate::app::chain(&error),
                    "what waits in the log cannot be counted"
                );
            }
        }
        match unmirrored::look(&*system.log, &system.config.mirrors, &retention, (system.now)()).await {
            Ok(found) => {
                warned.warn(&found);
                system.metrics.unmirrored(&unmirrored::counted(&found));
                system.status.set_unmirrored(found);
            }
            Err(error) => tracing::warn!(
                error = crate::app::chain(&error),
                "what the log has of projects without a mirror cannot be counted"
            ),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            swept = sweep(&*system.log, &retention) => match swept {
                Ok(Pruned { events: 0, keys: 0, .. }) => {}
                Ok(Pruned { events, keys, .. }) => tracing::info!(events, keys, "old entries of the log are gone"),
                Err(error) => tracing::warn!(error = crate::app::chain(&error), "the log cannot be pruned; it is tried again"),
            },
        }
        if let Err(error) = keep_letters(&system).await {
            tracing::warn!(
                error = crate::app::chain(&error),
                "dead letters cannot be counted or pruned; it is tried again"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Prunes dead letters and tells how they stand.
async fn keep_letters(system: &System) -> Result<(), LogError> {
    let now = (system.now)();
    let LogConfig {
        letters, letters_max, ..
    } = system.config.log;
    let mut gone = 0;
    loop {
        let some = system
            .log
            .prune_letters(before(now, letters), letters_max, BATCH_MAX)
            .await?;
        gone += some;
        if some < BATCH_MAX as u64 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    if gone > 0 {
        tracing::warn!(letters = gone, "old dead letters are gone");
    }
    let Backlog { depth, oldest } = system.log.unplayed().await?;
    let age = oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
    system.metrics.letters(depth, age);
    Ok(())
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

/// Counts what waits for each mirror that is not open.
async fn unopened(
    log: &dyn EventLog,
    mirrors: &[MirrorSpec],
    open: &BTreeSet<MirrorId>,
) -> Result<BTreeMap<MirrorId, u64>, LogError> {
    let mut unopened = BTreeMap::new();
    for spec in mirrors.iter().filter(|spec| !open.contains(&spec.id)) {
        let waiting = log.waiting(&spec.id, &spec.stack, &spec.project).await?;
        unopened.insert(spec.id.clone(), waiting);
    }
    Ok(unopened)
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
        letters: _,
        letters_max: _,
    } = *config;
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
        events_before: before(now, history),
        keys_before: before(now, dedupe),
        unmirrored_max: unmirrored_events_max,
        batch_max: BATCH_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    #[test]
    fn lanes_hold_what_they_wait_for_and_mirrors_that_are_not_open_hold_everything() {
        let mirror = |id: &str, project: &str| {
            format!(
                "[[mirror]]\nid = \"{id}\"\nstack = \"a.keboola.com\"\nproject_id = \"{project}\"\n\
                 token = \"env:X\"\nrepository = \"file:{id}.git\"\n"
            )
        };
        let text = format!(
            "data_dir = \"d\"\ntag_root = \"env:X\"\nlog = {{ history_days = 2, dedupe_days = 3, unmirrored_events_max = 4 }}\n{}{}",
            mirror("open", "1"),
            mirror("opening", "2"),
        );
        let config = Config::parse(&text, Path::new("mirror.toml")).unwrap();
        let lane = |mirror: &str, branch: &str| LaneId {
            mirror: mirror.parse().unwrap(),
            branch: branch.parse().unwrap(),
        };
        let topic = |project: &str, branch: &str| Topic {
            stack: "a.keboola.com".parse().unwrap(),
            project: project.parse().unwrap(),
            branch: branch.parse().unwrap(),
        };
        let open = BTreeSet::from(["open".parse().unwrap()]);
        // The first lane of `opening` is there, and others may follow.
        let lanes = [lane("open", "7"), lane("opening", "8"), lane("removed", "9")];
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        let kept = retention(&config.log, &config.mirrors, &open, &lanes, now);
        let expected = Retention {
            lanes: vec![
                (lanes[0].clone(), topic("1", "7")),
                (lanes[1].clone(), topic("2", "8")),
            ],
            held: vec![("a.keboola.com".parse().unwrap(), "2".parse().unwrap())],
            events_before: now - SignedDuration::from_hours(48),
            keys_before: now - SignedDuration::from_hours(72),
            unmirrored_max: 4,
            batch_max: BATCH_MAX,
        };
        assert_eq!(kept, expected);
    }
}
