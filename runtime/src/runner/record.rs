//! Counting a commit that has landed.

use crate::{
    metrics::{Attempted, EventType, Exported, Metrics, QUEUE_NAME, Reason, Redacted, Synced},
    pipeline::attempt::{Landed, Lane},
};
use mirror_core::{finding::WithholdReason, ids::ObjectKey};
use std::collections::BTreeMap;

pub(super) fn record(metrics: &Metrics, lane: &Lane, landed: &Landed) {
    let branch_id = || lane.id.branch.to_string();
    let host = lane.spec.repository.host();
    let latencies = [
        (EventType::config, landed.change_latency),
        (EventType::job, landed.jobs_latency),
    ];
    let mut counted = false;
    for (event_type, latency) in latencies {
        let Some(latency) = latency else { continue };
        let label = Synced {
            event_type,
            branch_id: branch_id(),
            queue_name: QUEUE_NAME,
        };
        metrics
            .sync_latency
            .get_or_create(&label)
            .observe(latency.as_secs_f64());
        if !counted {
            let label = Exported {
                event_type,
                branch_id: branch_id(),
                repository_host: host.into(),
            };
            metrics.commits_exported.get_or_create(&label).inc();
            counted = true;
        }
    }
    if !counted {
        let label = Exported {
            event_type: EventType::config,
            branch_id: branch_id(),
            repository_host: host.into(),
        };
        metrics.commits_exported.get_or_create(&label).inc();
    }
    metrics.exports.get_or_create(&Attempted { outcome: "ok" }).inc();
    for (_, reason) in &landed.withheld {
        metrics
            .objects_withheld
            .get_or_create(&Reason {
                reason: reason.kind(),
            })
            .inc();
    }
    let component = |object: &ObjectKey| {
        object
            .config()
            .map(|(component, _)| component.to_string())
            .unwrap_or_default()
    };
    // Per component: how many left encrypted, masked or omitted, and how many were found in all. What
    // only the guard saw did not leave at all, but no policy found it either.
    let mut by_component: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (object, stats) in &landed.redactions {
        let (handled, all) = by_component.entry(component(object)).or_default();
        *handled += stats.found();
        *all += stats.found();
    }
    for (object, reason) in landed
        .withheld
        .iter()
        .filter(|(_, reason)| matches!(reason, WithholdReason::Guarded { .. }))
    {
        // Anybody may read metrics, and a component's id be what the guard found.
        let component = match reason.may_be_of_ids() {
            true => String::new(),
            false => component(object),
        };
        by_component.entry(component).or_default().1 += 1;
    }
    for (component_id, (handled, all)) in by_component {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a gauge")]
        let rate = handled as f64 / all as f64;
        metrics
            .secrets_redacted_rate
            .get_or_create(&Redacted {
                component_id,
                branch_id: branch_id(),
            })
            .set(rate);
    }
}
