//! What was measured, for people and programs.

#![expect(clippy::print_stdout, reason = "a command for people at a terminal")]

use serde_json::{Value, json};
use std::time::Duration;

#[derive(Debug)]
struct Figure {
    drill: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
}

/// The figures of a run, in the order in which they were found.
#[derive(Debug)]
pub(crate) struct Figures {
    found: Vec<Figure>,
    /// People see them as they come: a run takes minutes.
    shown: bool,
}

impl Figures {
    /// Begins a table, or what [`Figures::json`] gives in the end.
    pub(crate) fn new(json: bool) -> Self {
        if !json {
            println!("| drill | what | |\n| --- | --- | ---: |");
        }
        Self {
            found: Vec::new(),
            shown: !json,
        }
    }

    pub(crate) fn add(
        &mut self,
        drill: &'static str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        let what = what.into();
        if self.shown {
            let digits = if value >= 100.0 { 0 } else { 3 };
            println!("| {drill} | {what} | {value:.digits$} {unit} |");
        }
        self.found.push(Figure {
            drill,
            what,
            value,
            unit,
        });
    }

    /// Adds how many there were, and their percentiles in seconds.
    pub(crate) fn add_latencies(&mut self, drill: &'static str, what: &str, latencies: &mut [Duration]) {
        self.add(drill, format!("{what}: samples"), count(latencies.len()), "");
        for percent in [50, 95, 99] {
            let at = percentile(latencies, percent).as_secs_f64();
            self.add(drill, format!("{what}: P{percent}"), at, "s");
        }
    }

    pub(crate) fn json(&self) -> Value {
        let figure = |figure: &Figure| json!({ "drill": figure.drill, "what": figure.what, "value": figure.value, "unit": figure.unit });
        self.found.iter().map(figure).collect()
    }
}

/// Returns the smallest of the times that so many percent of them do not exceed; zero of none.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).copied().unwrap_or_default()
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "no run counts so far")]
pub(crate) fn count(count: usize) -> f64 {
    count as f64
}
