//! What is told of an attempt's end and of outages: to status, metrics, log and admins.

use super::LaneTask;
use crate::{
    metrics::{Attempted, QUEUE_NAME, Reason, Retried, retry_count},
    pipeline::{
        attempt::{Done, Landed},
        error::AttemptError,
    },
    runner::record::record,
    visibility::Visibility,
};
use mirror_core::{
    batch::Subject,
    finding::WithholdReason,
    ids::LaneId,
    incident::Report,
    lane::AttemptEnd,
    retry::{Failure, Notice, Outage},
};
use std::collections::BTreeMap;

impl LaneTask {
    pub(super) async fn ended(&mut self, outcome: Result<Done, AttemptError>, retries: u32) -> AttemptEnd {
        self.status(|status| status.attempt_since = None);
        match outcome {
            Ok(done) => {
                self.count_retry(retries, "success");
                self.succeeded(done).await
            }
            Err(error) => {
                self.count_retry(retries, "failure");
                AttemptEnd::Failed(self.failed(&error, retries + 1).await)
            }
        }
    }

    async fn succeeded(&mut self, done: Done) -> AttemptEnd {
        let Done {
            tip,
            base,
            memory,
            landed,
            caught_up,
            took,
            cursor,
            put_aside,
            may_return,
            fetching: _,
            work: _,
            samples,
            kept_back,
            refusals,
        } = done;
        self.tell_kept_back(&kept_back);
        refusals.into_iter().for_each(|reason| self.count_refusal(reason));
        let withheld = self.lane.withheld_now(&memory).await;
        let missing = self.lane.without_sample(samples.missing).await;
        let pushed = landed.is_some().then(|| (self.lane.now)());
        self.status(|status| {
            status.tip = tip;
            status.withheld = Some(withheld);
            status.held = None;
            status.awaited = None;
            if samples.whole {
                status.no_sample.clear();
            }
            for table in &samples.taken {
                status.no_sample.remove(table);
            }
            status.no_sample.extend(missing);
            if let Some(landed) = landed.as_ref().filter(|landed| !landed.inventory.is_empty()) {
                status.inventory = landed.inventory.clone();
            }
            status.last_push = pushed.or(status.last_push);
        });
        self.count_held();
        self.tell_months();
        // How long a backlog took says nothing of the next window.
        let took = (landed.is_some() && caught_up.is_empty()).then_some(took);
        for landed in caught_up.into_iter().chain(landed) {
            self.tell(landed).await;
        }
        self.cadence.learn(&memory, cursor.jobs);
        self.spent = Some(memory.spent().clone());
        if let Some(base) = base {
            self.lane.memories.put(&self.lane.id, base, memory);
        }
        self.put_aside(put_aside, may_return);
        AttemptEnd::Mirrored { cursor, took }
    }

    /// Logs what the remote objected to; admins are told of all that is withheld.
    fn tell_kept_back(&self, kept_back: &BTreeMap<Subject, WithholdReason>) {
        let LaneId { mirror, branch } = &self.lane.id;
        let project_id = &self.lane.spec.project;
        for (subject, reason) in kept_back {
            tracing::warn!(%mirror, %project_id, branch_id = %branch, notice = "KeptBack", %subject, %reason, "notice");
        }
    }

    /// Shows which months take no pushes, and has admins told where that is news. Before the first report of a process it
    /// is not known what they were told.
    fn tell_months(&mut self) {
        let months = self.lane.refused_months();
        let report = self.lane.report_months();
        if let Report::Months { refused, .. } = &report
            && self.told_months.as_ref() != Some(refused)
        {
            self.told_months = Some(refused.clone());
            self.untold.push(report);
        }
        self.status(|status| status.months_refused = months);
    }

    fn count_refusal(&self, reason: &'static str) {
        let metrics = &self.runner.system.metrics;
        metrics.pushes_refused.get_or_create(&Reason { reason }).inc();
    }

    /// Counts what is held and withheld now, over all lanes.
    pub(super) fn count_held(&self) {
        let system = &self.runner.system;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        system.metrics.lanes_held.set(count(system.status.held()));
        let withheld = count(system.status.withheld());
        system.metrics.objects_withheld_now.set(withheld);
    }

    async fn tell(&self, landed: Landed) {
        record(&self.runner.system.metrics, &self.lane, &landed);
        let known = self.mirror.visibility.last();
        if self.lane.exports.samples && known.is_none_or(|found| found.visibility != Visibility::Private) {
            // It cannot be: the push asks first.
            self.runner.system.metrics.sample_request(false);
        }
        let latency_ms = landed
            .change_latency
            .or(landed.jobs_latency)
            .map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        tracing::info!(
            mirror = %landed.lane.mirror,
            project_id = %self.lane.spec.project,
            branch_id = %landed.lane.branch,
            queue_name = QUEUE_NAME,
            commit_sha = %landed.commit,
            event_id = landed.event_id,
            events = landed.events,
            files_added = landed.added,
            files_modified = landed.modified,
            files_deleted = landed.deleted,
            latency_ms,
            "mirrored"
        );
        for (object, reason) in self.lane.withheld_as_told(landed.withheld.clone()).await {
            tracing::warn!(mirror = %landed.lane.mirror, branch_id = %landed.lane.branch, object, reason, "withheld");
        }
        // Nobody may be listening.
        let _ = self.runner.landed.send(landed);
    }

    pub(super) async fn failed(&mut self, error: &AttemptError, retry_count: u32) -> Failure {
        let disposition = error.disposition();
        let reason = self.lane.reason_of(error).await;
        let awaited = error.is_not_shown().then(|| reason.clone());
        self.status(|status| {
            status.held = error.held().cloned();
            status.awaited = awaited;
        });
        if let AttemptError::Exposed { .. } = error {
            self.runner.system.metrics.sample_request(true);
        }
        self.count_held();
        if let Some(reason) = error.refusal() {
            self.count_refusal(reason);
        }
        if !error.is_waiting() {
            let exports = &self.runner.system.metrics.exports;
            exports.get_or_create(&Attempted { outcome: "failed" }).inc();
        }
        let LaneId { mirror, branch } = &self.lane.id;
        let project_id = &self.lane.spec.project;
        if let AttemptError::Push(_) | AttemptError::Unnamed { .. } = error {
            tracing::error!(%mirror, %project_id, branch_id = %branch, queue_name = QUEUE_NAME, retry_count,
                class = ?disposition, reason, "push failed; it is repeated");
        } else {
            tracing::warn!(%mirror, %project_id, branch_id = %branch, queue_name = QUEUE_NAME, retry_count,
                exception_id = error.exception_id(), class = ?disposition, reason, "attempt failed; it is repeated");
        }
        Failure {
            disposition,
            cause: error.cause(),
            reason,
        }
    }

    pub(super) async fn remember(&self, outage: Option<Outage>) {
        // What is told of it is stored by now, and known again if it is told once more.
        if let Err(error) = self.lane.state.put_outage(&self.lane.id, outage.as_ref()).await {
            tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "the outage cannot be stored");
        }
        if outage.is_none() {
            let before = self
                .runner
                .system
                .status
                .lane(&self.lane.id)
                .and_then(|status| status.outage);
            // An overdue episode was counted when it became that.
            if before.is_some_and(|before| before.notified_at.is_none()) {
                self.runner.system.metrics.episode(true);
            }
            tracing::info!(mirror = %self.lane.id.mirror, branch_id = %self.lane.id.branch, "recovered");
        }
        self.status(|status| status.outage = outage);
    }

    /// Has people told of an outage, or its end.
    pub(super) async fn notice(&mut self, notice: Notice, outage: Outage) {
        if notice == Notice::Failing {
            self.runner.system.metrics.episode(false);
        }
        tracing::warn!(
            mirror = %self.lane.id.mirror,
            project_id = %self.lane.spec.project,
            branch_id = %self.lane.id.branch,
            ?notice,
            since = %outage.since,
            attempts = outage.attempts,
            cause = outage.cause.code(),
            reason = outage.reason,
            "notice"
        );
        self.untold.push(Report::Outage {
            from: Some(self.lane.id.branch.clone()),
            notice,
            outage,
        });
        self.tell_untold().await;
    }

    /// Reports what could not be reported before.
    pub(super) async fn tell_untold(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        match self
            .lane
            .notices
            .report(self.untold.clone(), (self.lane.now)())
            .await
        {
            Ok(()) => self.untold.clear(),
            Err(error) => {
                tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "what admins are told cannot be stored; it is tried again");
            }
        }
    }

    fn count_retry(&self, attempts: u32, outcome: &'static str) {
        if attempts > 0 {
            let label = Retried {
                queue_name: QUEUE_NAME,
                retry_count: retry_count(attempts),
                outcome,
            };
            self.runner
                .system
                .metrics
                .retry_attempts
                .get_or_create(&label)
                .inc();
        }
    }
}
