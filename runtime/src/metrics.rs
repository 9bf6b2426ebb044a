//! The table of metrics: every name, label and bucket in one place (SPEC §8 is the contract).

use crate::{config::MirrorSpec, queue::unmirrored::Lacks};
use mirror_core::event::EventKind;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

#[cfg(test)]
mod dashboards;
mod policies;
#[cfg(test)]
mod rules;

pub use policies::{Judged, PolicyFailed, PolicyLabel, PolicyMetrics};

/// Seconds; 30 and 120 are the objectives' bounds and must be among them.
const LATENCY_BUCKETS: [f64; 17] = [
    0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 900.0, 3600.0, 10800.0,
];
/// Value of the label `queue_name`.
pub const QUEUE_NAME: &str = "git_mirror";

/// Value of the label `event_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label's values")]
pub enum EventType {
    config,
    job,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Exported {
    pub event_type: EventType,
    pub branch_id: String,
    pub repository_host: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Synced {
    pub event_type: EventType,
    pub branch_id: String,
    pub queue_name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Queue {
    pub queue_name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Retried {
    pub queue_name: &'static str,
    /// `1` to `9`, then `10+`, so that the label stays bounded.
    pub retry_count: &'static str,
    /// `success` or `failure`.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Redacted {
    pub component_id: String,
    pub branch_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Enabled {
    pub project_id: String,
    pub plan_tier: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Region {
    pub region: String,
}

impl Region {
    #[must_use]
    pub fn of(spec: &MirrorSpec) -> Self {
        Self {
            region: spec.region.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Repaired {
    /// Kind of the event that was missing; `render_changed` where rendering everything made another tree.
    pub kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Accepted {
    /// Kind of event, such as `config_changed`; `unknown` where it could not be read.
    pub kind: &'static str,
    /// `accepted`, `duplicate` or `refused`.
    pub result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Unmirrored {
    /// What a mirror would have to be of: `project` or `branch`.
    pub lacks: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Attempted {
    /// `ok` or `failed`; of a comparison with the source also `waiting`, where it takes a second look.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Delivered {
    /// `email`, `slack` or `webhook`.
    pub channel: &'static str,
    /// `delivered`, `failed` (it is tried again) or `given_up`.
    pub outcome: &'static str,
}

/// What a credential opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label's values")]
pub enum Purpose {
    /// A project: its Storage token.
    keboola,
    /// A repository: a token, password or key.
    repository,
}

impl Purpose {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::keboola => "keboola",
            Self::repository => "repository",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Rotated {
    pub purpose: Purpose,
}

type Share = Gauge<f64, AtomicU64>;

/// Retry episodes of this process: those cleared within three hours, and those that were not.
#[derive(Debug, Default)]
struct Episodes {
    in_time: u64,
    overdue: u64,
}

/// Requests for samples on repositories that are not private: those that were blocked, and the others.
#[derive(Debug, Default)]
struct SampleRequests {
    blocked: u64,
    passed: u64,
}

/// All metrics of a runtime.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub commits_exported: Family<Exported, Counter>,
    pub sync_latency: Family<Synced, Histogram, fn() -> Histogram>,
    pub queue_backlog_depth: Family<Queue, Gauge>,
    pub retry_attempts: Family<Retried, Counter>,
    retry_success_within_3h: Share,
    episodes: Mutex<Episodes>,
    pub exports: Family<Attempted, Counter>,
    pub polls: Family<Attempted, Counter>,
    pub git_sync_enabled_ratio: Family<Enabled, Share>,
    pub linked_dev_branches: Family<Region, Gauge>,
    /// Projects of this process with a commit in the current ISO week.
    pub weekly_active_synced_projects: Gauge,
    pub secrets_redacted_rate: Family<Redacted, Share>,
    credential_rotation_events: Family<Rotated, Counter>,
    pub objects_withheld: Family<Reason, Counter>,
    pub pushes_refused: Family<Reason, Counter>,
    pub dead_letters: Family<Reason, Counter>,
    dead_letters_unplayed: Gauge,
    unmirrored_events: Family<Unmirrored, Gauge>,
    dead_letters_oldest_age: Share,
    /// What admins are told, by the code of its kind.
    pub admin_notifications: Family<Reason, Counter>,
    pub notifications: Family<Delivered, Counter>,
    pub events_accepted: Family<Accepted, Counter>,
    pub reconcile_repairs: Family<Repaired, Counter>,
    pub reconcile_comparisons: Family<Attempted, Counter>,
    pub oldest_unpushed_age: Share,
    pub lanes_held: Gauge,
    pub shards_held: Gauge,
    pub objects_withheld_now: Gauge,
    samples_off: Share,
    sample_requests: Mutex<SampleRequests>,
    pub policies: PolicyMetrics,
    /// Of policies that only watch.
    pub shadow_policies: PolicyMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn latency() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            commits_exported: Family::default(),
            sync_latency: Family::new_with_constructor(latency as fn() -> Histogram),
            queue_backlog_depth: Family::default(),
            retry_attempts: Family::default(),
            retry_success_within_3h: Share::default(),
            episodes: Mutex::default(),
            exports: Family::default(),
            polls: Family::default(),
            git_sync_enabled_ratio: Family::default(),
            linked_dev_branches: Family::default(),
            weekly_active_synced_projects: Gauge::default(),
            secrets_redacted_rate: Family::default(),
            credential_rotation_events: Family::default(),
            objects_withheld: Family::default(),
            pushes_refused: Family::default(),
            dead_letters: Family::default(),
            dead_letters_unplayed: Gauge::default(),
            unmirrored_events: Family::default(),
            dead_letters_oldest_age: Share::default(),
            admin_notifications: Family::default(),
            notifications: Family::default(),
            events_accepted: Family::default(),
            reconcile_repairs: Family::default(),
            reconcile_comparisons: Family::default(),
            oldest_unpushed_age: Share::default(),
            lanes_held: Gauge::default(),
            shards_held: Gauge::default(),
            objects_withheld_now: Gauge::default(),
            samples_off: Share::default(),
            sample_requests: Mutex::default(),
            policies: PolicyMetrics::default(),
            shadow_policies: PolicyMetrics::default(),
        };
        // So that an increase from nothing is one.
        for kind in [
            EventKind::ConfigChanged,
            EventKind::ConfigDeleted,
            EventKind::StorageChanged,
            EventKind::JobFinished,
            EventKind::RenderChanged,
        ] {
            metrics.repaired(kind, 0);
        }
        for outcome in ["ok", "failed"] {
            let label = Attempted { outcome };
            for attempts in [&metrics.exports, &metrics.polls, &metrics.reconcile_comparisons] {
                drop(attempts.get_or_create(&label));
            }
        }
        for purpose in [Purpose::keboola, Purpose::repository] {
            drop(
                metrics
                    .credential_rotation_events
                    .get_or_create(&Rotated { purpose }),
            );
        }
        for channel in ["email", "slack", "webhook"] {
            let outcome = "given_up";
            drop(
                metrics
                    .notifications
                    .get_or_create(&Delivered { channel, outcome }),
            );
        }
        let (kind, result) = ("unknown", "refused");
        drop(metrics.events_accepted.get_or_create(&Accepted { kind, result }));
        let reason = "outage";
        drop(metrics.admin_notifications.get_or_create(&Reason { reason }));
        // None has passed yet.
        metrics.samples_off.set(1.0);
        // No episode has failed yet.
        metrics.retry_success_within_3h.set(1.0);
        metrics
            .queue_backlog_depth
            .get_or_create(&Queue {
                queue_name: QUEUE_NAME,
            })
            .set(0);
        metrics.registered()
    }

    /// Registers everything; counters get their `_total` from the encoder.
    fn registered(mut self) -> Self {
        let Self {
            registry,
            commits_exported,
            sync_latency,
            queue_backlog_depth,
            retry_attempts,
            retry_success_within_3h,
            episodes: _,
            exports,
            polls,
            git_sync_enabled_ratio,
            linked_dev_branches,
            weekly_active_synced_projects,
            secrets_redacted_rate,
            credential_rotation_events,
            objects_withheld,
            pushes_refused,
            dead_letters,
            dead_letters_unplayed,
            unmirrored_events,
            dead_letters_oldest_age,
            admin_notifications,
            notifications,
            events_accepted,
            reconcile_repairs,
            reconcile_comparisons,
            oldest_unpushed_age,
            lanes_held,
            shards_held,
            objects_withheld_now,
            samples_off,
            sample_requests: _,
            policies,
            shadow_policies,
        } = &mut self;
        policies.register(registry, false);
        shadow_policies.register(registry, true);
        registry.register(
            "commits_exported",
            "Commits that the remote has confirmed",
            commits_exported.clone(),
        );
        registry.register(
            "sync_latency_seconds",
            "From an event's publishing to the confirmed push",
            sync_latency.clone(),
        );
        registry.register(
            "queue_backlog_depth",
            "Events in the log that no push covers yet",
            queue_backlog_depth.clone(),
        );
        registry.register(
            "retry_attempts",
            "Attempts after a failed one, by outcome",
            retry_attempts.clone(),
        );
        registry.register(
            "retry_success_within_3h",
            "Share of retry episodes cleared within three hours",
            retry_success_within_3h.clone(),
        );
        registry.register(
            "exports",
            "Attempts to export by outcome, without those that only wait for what the source does not show yet; export_success_rate is recorded from it",
            exports.clone(),
        );
        registry.register(
            "polls",
            "Looks at a project for changes that no event told of, by outcome",
            polls.clone(),
        );
        registry.register(
            "git_sync_enabled_ratio",
            "Share of active projects with the mirror on",
            git_sync_enabled_ratio.clone(),
        );
        registry.register(
            "linked_dev_branches_total",
            "Dev branches with a Git branch of their own",
            linked_dev_branches.clone(),
        );
        registry.register(
            "weekly_active_synced_projects",
            "Distinct projects with commits in this ISO week (UTC); of several workers the sum",
            weekly_active_synced_projects.clone(),
        );
        registry.register(
            "secrets_redacted_rate",
            "Share of found secret values that left encrypted, masked or omitted",
            secrets_redacted_rate.clone(),
        );
        registry.register(
            "credential_rotation_events",
            "Renewed tokens and keys that were taken into use while the process ran, by what they open",
            credential_rotation_events.clone(),
        );
        registry.register(
            "objects_withheld",
            "Objects that were kept out of a commit, by reason",
            objects_withheld.clone(),
        );
        registry.register(
            "pushes_refused",
            "Pushes that a remote said no to, by its reason",
            pushes_refused.clone(),
        );
        registry.register(
            "dead_letters",
            "Events put aside, by reason",
            dead_letters.clone(),
        );
        registry.register(
            "dead_letters_unplayed",
            "Dead letters that were neither replayed nor acknowledged, as counted last; counted each minute",
            dead_letters_unplayed.clone(),
        );
        registry.register(
            "unmirrored_events",
            "Accepted events of projects that no mirror of this process's configuration is of, or of branches that none of its open mirrors has; counted each minute",
            unmirrored_events.clone(),
        );
        registry.register(
            "dead_letters_oldest_age_seconds",
            "Age of the oldest dead letter that was neither replayed nor acknowledged; looked up each minute",
            dead_letters_oldest_age.clone(),
        );
        registry.register(
            "admin_notifications",
            "Notices to the admins of mirrors, by what they are about",
            admin_notifications.clone(),
        );
        registry.register(
            "notifications",
            "Deliveries of notices, by channel and outcome",
            notifications.clone(),
        );
        registry.register(
            "events_accepted",
            "Events offered to the log, by result",
            events_accepted.clone(),
        );
        registry.register(
            "reconcile_repairs",
            "Events that had not arrived in time and were appended by a comparison with the source; must stay 0",
            reconcile_repairs.clone(),
        );
        registry.register(
            "reconcile_comparisons",
            "Scheduled comparisons of a branch with its source, by outcome",
            reconcile_comparisons.clone(),
        );
        registry.register(
            "sync_oldest_unpushed_age_seconds",
            "Age of the oldest event that no push covers yet",
            oldest_unpushed_age.clone(),
        );
        registry.register(
            "lanes_held",
            "Branches whose next commit would delete too much and waits for the operator",
            lanes_held.clone(),
        );
        registry.register(
            "shards_held",
            "Shards of mirrors that this worker holds; all workers together hold each shard that has mirrors once",
            shards_held.clone(),
        );
        registry.register(
            "objects_withheld_now",
            "Objects whose newest form is not in the repository",
            objects_withheld_now.clone(),
        );
        registry.register(
            "samples_export_off_on_public_repo",
            "Share of sample requests on repositories not known to be private that were blocked",
            samples_off.clone(),
        );
        self
    }

    /// Counts an event of a kind, by what became of it when it came in.
    pub fn event(&self, kind: &'static str, result: &'static str) {
        let label = Accepted { kind, result };
        self.events_accepted.get_or_create(&label).inc();
    }

    /// Tells how many events no mirror takes, by what they lack.
    pub fn unmirrored(&self, counted: &BTreeMap<Lacks, u64>) {
        for (lacks, events) in counted {
            let label = Unmirrored {
                lacks: lacks.as_str(),
            };
            let events = i64::try_from(*events).unwrap_or(i64::MAX);
            self.unmirrored_events.get_or_create(&label).set(events);
        }
    }

    /// Tells how many dead letters were neither replayed nor acknowledged, and how old the oldest is, in seconds.
    pub fn letters(&self, depth: u64, oldest_age: f64) {
        self.dead_letters_unplayed
            .set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.dead_letters_oldest_age.set(oldest_age);
    }

    /// Counts a renewed token or key.
    pub fn rotated(&self, purpose: Purpose) {
        self.credential_rotation_events
            .get_or_create(&Rotated { purpose })
            .inc();
    }

    /// Counts events that a comparison with the source had to append.
    pub fn repaired(&self, kind: EventKind, count: u64) {
        let label = Repaired { kind: kind.as_str() };
        self.reconcile_repairs.get_or_create(&label).inc_by(count);
    }

    /// Counts an event that can never be read, and so became a dead letter.
    pub fn event_refused(&self) {
        self.event("unknown", "refused");
        let label = Reason {
            reason: "invalid_event",
        };
        self.dead_letters.get_or_create(&label).inc();
    }

    /// Counts a retry episode: one that was cleared within three hours, or one that has just outlasted them.
    pub fn episode(&self, in_time: bool) {
        let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if in_time {
            &mut episodes.in_time
        } else {
            &mut episodes.overdue
        };
        *count += 1;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a gauge")]
        self.retry_success_within_3h
            .set(episodes.in_time as f64 / (episodes.in_time + episodes.overdue) as f64);
    }

    /// Counts a request for samples on a repository that is not known to be private.
    pub fn sample_request(&self, blocked: bool) {
        let mut requests = self
            .sample_requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = if blocked {
            &mut requests.blocked
        } else {
            &mut requests.passed
        };
        *count += 1;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a gauge")]
        self.samples_off
            .set(requests.blocked as f64 / (requests.blocked + requests.passed) as f64);
    }

    /// Returns the metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}

/// Returns the bounded label for the number of a retry.
#[must_use]
pub fn retry_count(attempt: u32) -> &'static str {
    const LABELS: [&str; 11] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10+"];
    LABELS[usize::try_from(attempt).unwrap_or(10).min(10)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_contract_names_with_their_labels() {
        let metrics = Metrics::new();
        let exported = Exported {
            event_type: EventType::config,
            branch_id: "7".into(),
            repository_host: "localhost".into(),
        };
        metrics.commits_exported.get_or_create(&exported).inc();
        let synced = Synced {
            event_type: EventType::job,
            branch_id: "7".into(),
            queue_name: QUEUE_NAME,
        };
        metrics.sync_latency.get_or_create(&synced).observe(29.0);
        metrics
            .retry_attempts
            .get_or_create(&Retried {
                queue_name: QUEUE_NAME,
                retry_count: retry_count(40),
                outcome: "failure",
            })
            .inc();
        let page = metrics.encode();
        for line in [
            "commits_exported_total{event_type=\"config\",branch_id=\"7\",repository_host=\"localhost\"} 1",
            "sync_latency_seconds_bucket{le=\"30.0\",event_type=\"job\",branch_id=\"7\",queue_name=\"git_mirror\"} 1",
            "sync_latency_seconds_bucket{le=\"25.0\",event_type=\"job\",branch_id=\"7\",queue_name=\"git_mirror\"} 0",
            "queue_backlog_depth{queue_name=\"git_mirror\"} 0",
            "retry_attempts_total{queue_name=\"git_mirror\",retry_count=\"10+\",outcome=\"failure\"} 1",
            "retry_success_within_3h 1.0",
            "reconcile_repairs_total{kind=\"config_changed\"} 0",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn episodes_that_outlast_three_hours_lower_the_share() {
        let metrics = Metrics::new();
        for in_time in [true, true, false, true] {
            metrics.episode(in_time);
        }
        assert!(metrics.encode().contains("retry_success_within_3h 0.75"));
    }
}
