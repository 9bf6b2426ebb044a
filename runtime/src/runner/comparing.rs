//! Comparing a mirror's branches with their source on a schedule. The schedule is that of [`mirror_core::reconcile`], what is
//! missing is found by [`crate::pipeline::reconcile`]; here is only the waiting, and the counting.

use super::{Runner, sleep_until, until};
use crate::{
    config::ReconcileConfig,
    metrics::Attempted,
    pipeline::{attempt::Lane, error::AttemptError, reconcile::Comparison},
};
use jiff::Timestamp;
use mirror_core::{
    event::EventKind,
    ids::{LaneId, MirrorId},
    reconcile::{Compared, Depth, next},
    window::{later, within},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Branches come and go; so often it is looked which there are.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After something went wrong, or came in between.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// Where the comparing of a branch stands.
struct Schedule {
    last: Compared,
    /// Begun, and to be looked at again.
    open: Option<Comparison>,
    due: Timestamp,
    rendered_due: Timestamp,
}

impl Schedule {
    fn new(lane: &LaneId, last: Compared, config: ReconcileConfig) -> Self {
        let due = |depth, at, every: Option<Duration>| {
            every.map_or(Timestamp::MAX, |every| next(lane, depth, at, every))
        };
        Self {
            due: due(Depth::Listed, last.at, config.every),
            rendered_due: due(Depth::Rendered, last.rendered_at, config.render_every),
            last,
            open: None,
        }
    }

    /// What lies further ahead than any comparison was put off before the clock was put back.
    fn clamp(&mut self, config: ReconcileConfig, now: Timestamp) {
        let longest = |every: Duration| every.saturating_add(every / 2).max(config.grace);
        if let Some(every) = config.every {
            self.due = within(self.due, longest(every), now);
        }
        if let Some(every) = config.render_every {
            self.rendered_due = within(self.rendered_due, longest(every), now);
        }
    }

    fn next_due(&self) -> Timestamp {
        self.due.min(self.rendered_due)
    }
}

impl Runner {
    /// Compares a mirror's branches, one after the other, each when it is due.
    pub(super) async fn compare_on_schedule(&self, mirror: &MirrorId, stop: CancellationToken) {
        let config = self.system.config.reconcile;
        if config.every.is_none() && config.render_every.is_none() {
            return;
        }
        // Short times are for trying it out.
        let shortest = config.every.into_iter().chain(config.render_every).min();
        let look_every = shortest.map_or(LOOK_EVERY, |every| LOOK_EVERY.min(every / 4));
        let mut schedules: BTreeMap<LaneId, Schedule> = BTreeMap::new();
        loop {
            let lanes = self.lanes_of(mirror).await;
            let open: BTreeSet<LaneId> = lanes.iter().map(|lane| lane.id.clone()).collect();
            schedules.retain(|lane, _| open.contains(lane));
            for lane in lanes {
                let work = self.compare_if_due(&lane, &mut schedules, config);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = work => {}
                }
            }
            let now = (self.system.now)();
            // Who is due and was left alone is looked at again as everybody is.
            let due = schedules.values().map(Schedule::next_due);
            let due = due.filter(|due| *due > now).min();
            let wait = due.map_or(look_every, |due| until(now, due).min(look_every));
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(Some(wait.max(Duration::from_millis(100)))) => {}
            }
        }
    }

    async fn compare_if_due(
        &self,
        lane: &Lane,
        schedules: &mut BTreeMap<LaneId, Schedule>,
        config: ReconcileConfig,
    ) {
        let now = (self.system.now)();
        if !schedules.contains_key(&lane.id) {
            match lane.last_compared().await {
                Ok(last) => {
                    schedules.insert(lane.id.clone(), Schedule::new(&lane.id, last, config));
                }
                Err(error) => return self.compared_badly(lane, &error).await,
            }
        }
        let Some(schedule) = schedules.get_mut(&lane.id) else {
            return;
        };
        schedule.clamp(config, now);
        if schedule.next_due() > now || !self.may_compare(&lane.id) {
            return;
        }
        if schedule.due <= now
            && let Err(error) = self.look(lane, schedule, config).await
        {
            self.compared_badly(lane, &error).await;
            schedule.open = None;
            schedule.due = again(now, config.every);
        }
        // Not while something may be on its way.
        if schedule.rendered_due <= now && schedule.open.is_none() && self.may_compare(&lane.id) {
            schedule.rendered_due = again(now, config.render_every);
            match lane.compare_rendered(&schedule.last).await {
                Ok(Some((differs, compared))) => {
                    self.count_comparison("ok");
                    self.system
                        .metrics
                        .repaired(EventKind::RenderChanged, u64::from(differs));
                    *schedule = Schedule::new(&lane.id, compared, config);
                }
                Ok(None) => {}
                Err(error) => self.compared_badly(lane, &error).await,
            }
        }
    }

    /// Who is held or fails is not asked for more: it has everything to catch up with.
    fn may_compare(&self, lane: &LaneId) -> bool {
        let status = self.system.status.lane(lane);
        status.is_some_and(|status| !status.paused && status.outage.is_none() && status.tip.is_some())
    }

    async fn look(
        &self,
        lane: &Lane,
        schedule: &mut Schedule,
        config: ReconcileConfig,
    ) -> Result<(), AttemptError> {
        let now = (self.system.now)();
        let _turn = self.system.turns.rebuild(lane.project()).await?;
        let mut comparison = match schedule.open.take() {
            Some(comparison) => comparison,
            None => lane.compare(schedule.last.clone()).await?,
        };
        let Some(looked) = lane.look(&mut comparison, config.grace).await? else {
            schedule.due = again(now, config.every);
            return Ok(());
        };
        for (kind, count) in looked.repaired {
            self.system.metrics.repaired(kind, count);
            tracing::warn!(mirror = %lane.id.mirror, branch_id = %lane.id.branch, kind = kind.as_str(), count,
                "no event had told of changes in keboola; the comparison with the source found them, and they are mirrored now");
        }
        match (looked.compared, looked.again_at) {
            (Some(compared), _) => {
                self.count_comparison("ok");
                *schedule = Schedule::new(&lane.id, compared, config);
            }
            (None, due) => {
                self.count_comparison("waiting");
                schedule.open = Some(comparison);
                schedule.due = due.unwrap_or_else(|| again(now, config.every));
            }
        }
        Ok(())
    }

    async fn compared_badly(&self, lane: &Lane, error: &AttemptError) {
        self.count_comparison("failed");
        let error = lane.reason_of(error).await;
        tracing::warn!(mirror = %lane.id.mirror, branch_id = %lane.id.branch, error,
            "the branch cannot be compared with its source; it is tried again");
    }

    fn count_comparison(&self, outcome: &'static str) {
        let comparisons = &self.system.metrics.reconcile_comparisons;
        comparisons.get_or_create(&Attempted { outcome }).inc();
    }
}

/// Returns when what is to be done so often is tried again.
fn again(now: Timestamp, every: Option<Duration>) -> Timestamp {
    later(now, every.map_or(AGAIN_AFTER, |every| every.min(AGAIN_AFTER)))
}
