//! Does each drill come to its end? They check by themselves that nothing was lost and nothing done twice; how long anything took
//! is not looked at here.

use serde_json::Value;
use std::{collections::BTreeMap, process::Command};

/// Runs a drill in its smallest form; returns its figures by what they are of.
fn figures(drill: &str) -> BTreeMap<String, f64> {
    let output = Command::new(env!("CARGO_BIN_EXE_drill"))
        .args([drill, "--tiny", "--json"])
        .output()
        .expect("the program can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let figures: Vec<Value> = serde_json::from_str(&said).expect("it is JSON");
    let figures = figures.into_iter().map(|figure| {
        assert_eq!(figure["drill"], drill);
        let what = figure["what"].as_str().expect("it says what").to_owned();
        (what, figure["value"].as_f64().expect("it is a number"))
    });
    figures.collect()
}

/// All these are there, and more than nothing.
fn check(drill: &str, expected: &[&str]) -> BTreeMap<String, f64> {
    let figures = figures(drill);
    for what in expected {
        let value = figures.get(*what).copied().unwrap_or_default();
        assert!(value > 0.0, "{what}: {figures:?}");
    }
    figures
}

#[test]
fn what_was_accepted_is_there_after_everything_was_killed() {
    check(
        "accept",
        &[
            "embedded, posted: 1 producer, 1 at a time",
            "embedded: accepted, and there after SIGKILL",
            "JetStream, posted: 4 producers, 50 at a time",
            "JetStream, published to NATS: 16 producers, 1 at a time",
            "JetStream: accepted, and there after SIGKILL",
        ],
    );
}

#[test]
fn all_that_was_told_arrives_also_after_an_outage() {
    let figures = check(
        "process",
        &["embedded: 2 projects, events", "JetStream: 2 projects, events"],
    );
    for backend in ["embedded", "JetStream"] {
        let of = |what: &str| figures[&format!("{backend}: caught up{what}")];
        assert!(of(", commits") > 0.0 && of(" after an outage, events") > 0.0);
    }
}

#[test]
fn every_edit_is_seen_to_arrive() {
    let figures = check(
        "latency",
        &["30 s window, mixed load: P99", "eager, mixed load: P50"],
    );
    for mode in ["30 s window", "eager"] {
        assert!((figures[&format!("{mode}, lone edit: samples")] - 3.0).abs() < f64::EPSILON);
    }
}

#[test]
fn quiet_projects_arrive_beside_a_busy_one_which_arrives_too() {
    let figures = check("neighbour", &["30 s window: the busy one", "eager: the busy one"]);
    for mode in ["30 s window", "eager"] {
        for beside in ["all quiet", "beside the busy one"] {
            assert!((figures[&format!("{mode}, {beside}: samples")] - 4.0).abs() < f64::EPSILON);
        }
    }
}

#[test]
fn idle_lanes_have_each_their_branch() {
    check("idle", &["memory at rest, one lane", "memory at rest, 20 lanes"]);
}

#[test]
fn another_worker_goes_on() {
    check("takeover", &["with the default lease of 15 s: P50"]);
}
