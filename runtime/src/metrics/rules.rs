//! The alerting rules that are shipped, beside the metrics that there are.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const RULES: &str = include_str!("../../deploy/prometheus/kbc-mirror.rules.yaml");

/// Metrics that no rule names, and why nobody is called because of them.
const UNWATCHED: [(&str, &str); 16] = [
    ("git_sync_enabled_ratio", "adoption"),
    ("linked_dev_branches_total", "adoption"),
    ("weekly_active_synced_projects", "adoption"),
    (
        "retry_attempts_total",
        "git_retry_sla_breach is about what comes of them",
    ),
    (
        "objects_withheld_total",
        "git_mirror_objects_withheld is about those that stay so",
    ),
    (
        "dead_letters_total",
        "git_mirror_dead_letters is about those that wait",
    ),
    (
        "pushes_refused_total",
        "the mirror's admins are told, and only they can do something",
    ),
    (
        "shards_held",
        "of workers that die others take over; none left is git_mirror_absent",
    ),
    (
        "credential_rotation_events_total",
        "somebody has renewed one, and the status says where that failed",
    ),
    ("policy_seconds", "a policy that is too slow fails"),
    ("policy_documents_total", "how much there is to do"),
    ("policy_findings_total", "it does what it is for"),
    ("shadow_policy_seconds", "it only watches"),
    ("shadow_policy_documents_total", "it only watches"),
    ("shadow_policy_findings_total", "it only watches"),
    ("shadow_policy_failures_total", "it only watches"),
];

/// Returns every metric with the names of its labels, from a page on which each has a series.
pub(super) fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::new();
    let text = String::new;
    let attempted = Attempted { outcome: "ok" };
    let reason = Reason { reason: "x" };
    let region = Region { region: text() };
    // Taken apart, so that a new one is not forgotten.
    let Metrics {
        registry: _,
        commits_exported,
        sync_latency,
        queue_backlog_depth: _,
        retry_attempts,
        retry_success_within_3h: _,
        episodes: _,
        exports,
        polls,
        git_sync_enabled_ratio,
        linked_dev_branches,
        weekly_active_synced_projects: _,
        secrets_redacted_rate,
        credential_rotation_events: _,
        objects_withheld,
        pushes_refused,
        dead_letters,
        dead_letters_unplayed: _,
        unmirrored_events: _,
        dead_letters_oldest_age: _,
        admin_notifications,
        notifications,
        events_accepted: _,
        reconcile_repairs: _,
        reconcile_comparisons,
        oldest_unpushed_age: _,
        lanes_held: _,
        shards_held: _,
        objects_withheld_now: _,
        samples_off: _,
        sample_requests: _,
        policies,
        shadow_policies,
    } = &metrics;
    let (branch_id, queue_name) = (text(), QUEUE_NAME);
    let event_type = EventType::config;
    drop(commits_exported.get_or_create(&Exported {
        event_type,
        branch_id: text(),
        repository_host: text(),
    }));
    drop(sync_latency.get_or_create(&Synced {
        event_type,
        branch_id: text(),
        queue_name,
    }));
    drop(retry_attempts.get_or_create(&Retried {
        queue_name,
        retry_count: "1",
        outcome: "success",
    }));
    drop(git_sync_enabled_ratio.get_or_create(&Enabled {
        project_id: text(),
        plan_tier: text(),
    }));
    drop(linked_dev_branches.get_or_create(&region));
    drop(secrets_redacted_rate.get_or_create(&Redacted {
        component_id: text(),
        branch_id,
    }));
    for counted in [exports, polls, reconcile_comparisons] {
        drop(counted.get_or_create(&attempted));
    }
    for counted in [
        objects_withheld,
        pushes_refused,
        dead_letters,
        admin_notifications,
    ] {
        drop(counted.get_or_create(&reason));
    }
    drop(notifications.get_or_create(&Delivered {
        channel: "email",
        outcome: "delivered",
    }));
    metrics.event("x", "accepted");
    metrics.unmirrored(&crate::queue::unmirrored::counted(&[]));
    for of_policies in [policies, shadow_policies] {
        let (policy, label) = (text(), PolicyLabel { policy: text() });
        drop(of_policies.seconds.get_or_create(&label));
        drop(of_policies.findings.get_or_create(&label));
        drop(of_policies.documents.get_or_create(&Judged {
            policy: text(),
            result: "judged",
        }));
        drop(of_policies.failures.get_or_create(&PolicyFailed {
            policy,
            reason: "trapped",
        }));
    }
    let mut exported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics.encode().lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        exported.entry(name.to_owned()).or_default().extend(labels);
    }
    exported
}

/// Returns the metrics that a PromQL expression names, and the labels that it names anywhere.
pub(super) fn named(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    // Every other piece is the value of a label.
    let code: String = expression.split('"').step_by(2).collect();
    let (mut in_braces, mut in_brackets, mut in_by, mut after_by) = (false, false, false, false);
    let mut rest = code.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let end = match is_word(first) {
            true => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        match word {
            "{" | "}" => in_braces = word == "{",
            "[" | "]" => in_brackets = word == "[",
            "(" => in_by = std::mem::take(&mut after_by),
            ")" => in_by = false,
            "by" => after_by = true,
            "or" | "unless" => {}
            _ if in_brackets || !first.is_ascii_alphabetic() => {}
            word if in_braces || in_by => drop(labels.insert(word.to_owned())),
            // Functions are called; aggregations may have `by` in between.
            word if !after.trim_start().starts_with('(') && !after.trim_start().starts_with("by ") => {
                metrics.insert(word.to_owned());
            }
            _ => {}
        }
        rest = after;
    }
    (metrics, labels)
}

pub(super) fn lines(key: &str) -> impl Iterator<Item = &'static str> {
    let key = format!("{key}: ");
    RULES
        .lines()
        .filter_map(move |line| line.trim_start().trim_start_matches("- ").strip_prefix(&key))
}

#[test]
fn every_metric_and_label_that_a_rule_names_is_exported() {
    let exported = exported();
    let rules = lines("alert").count() + lines("record").count();
    assert_eq!(lines("expr").count(), rules, "each is one line");
    for expression in lines("expr") {
        let (metrics, labels) = named(expression);
        assert!(!metrics.is_empty(), "{expression}");
        let mut known = BTreeSet::new();
        for metric in metrics {
            let has = exported.get(&metric);
            known.extend(has.unwrap_or_else(|| panic!("`{metric}` is not exported: {expression}")));
        }
        for label in labels {
            assert!(
                known.contains(&label),
                "`{label}` is no label of theirs: {expression}"
            );
        }
    }
}

#[test]
fn whoever_adds_a_metric_says_whether_somebody_is_called_because_of_it() {
    let watched: BTreeSet<String> = lines("expr").flat_map(|expression| named(expression).0).collect();
    let unwatched: BTreeSet<&str> = UNWATCHED.iter().map(|(name, _)| *name).collect();
    let base = |name: &str| {
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part));
        histogram.unwrap_or(name).to_owned()
    };
    let watched: BTreeSet<String> = watched.iter().map(|name| base(name)).collect();
    let exported: BTreeSet<String> = exported().keys().map(|name| base(name)).collect();
    assert!(unwatched.iter().all(|name| exported.contains(*name)));
    for name in exported {
        let is_watched = watched.contains(&name);
        assert!(
            is_watched != unwatched.contains(name.as_str()),
            "`{name}` is to be in a rule, or in the list of those that need none"
        );
    }
}

#[test]
fn the_alerts_of_the_contract_are_there() {
    for alert in [
        "git_sync_latency_p95_high",
        "git_export_success_drop",
        "git_queue_backlog_depth",
        "git_retry_sla_breach",
    ] {
        assert!(lines("alert").any(|found| found == alert), "{alert}");
    }
    let severities =
        ["page", "alert", "warn", "notify"].map(|severity| format!("{{ severity: {severity} }}"));
    let labels: Vec<&str> = lines("labels")
        .filter(|labels| labels.contains("severity"))
        .collect();
    assert_eq!(labels.len(), lines("alert").count());
    assert!(
        labels
            .iter()
            .all(|labels| severities.iter().any(|severity| severity == labels))
    );
}

#[test]
fn names_are_found_in_expressions() {
    let (metrics, labels) =
        named(r#"min by (a) (x{b="y z",c!="w"}) / sum(rate(z_total[5m])) > 1 unless k < 2"#);
    assert_eq!(metrics.into_iter().collect::<Vec<_>>(), ["k", "x", "z_total"]);
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
}
