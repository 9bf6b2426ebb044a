//! What was measured, for people and programs.

use serde_json::{Value, json};
use std::{fmt::Write as _, time::Duration};

#[derive(Debug)]
struct Figure {
    drill: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
}

/// The figures of a run, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    pub(crate) fn add(
        &mut self,
        drill: &'static str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        self.0.push(Figure {
            drill,
            what: what.into(),
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

    pub(crate) fn table(&self) -> String {
        let mut text = "| drill | what | |\n| --- | --- | ---: |\n".to_owned();
        for Figure {
            drill,
            what,
            value,
            unit,
        } in &self.0
        {
            let digits = if *value >= 100.0 { 0 } else { 3 };
            writeln!(text, "| {drill} | {what} | {value:.digits$} {unit} |")
                .expect("text can be written to text");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let figure = |figure: &Figure| json!({ "drill": figure.drill, "what": figure.what, "value": figure.value, "unit": figure.unit });
        self.0.iter().map(figure).collect()
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
