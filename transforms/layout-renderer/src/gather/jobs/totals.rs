//! What remains of a configuration's successful runs of a day whose allowance is used up.
//!
//! A total still names each run that it counts, so that one that is told again is not counted
//! twice; job ids rise, so they are written as differences, which costs some bytes a run.

use crate::json::{Json, Object, write};
use std::collections::BTreeSet;

/// Returns the key of the total that a run belongs to, or of a total itself. No run id begins so.
pub(crate) fn entry_key(line: &Object<'_>) -> String {
    let id = |key| line.text(key).unwrap_or_default();
    format!("total {}/{}", id("componentId"), id("configId"))
}

/// The successful runs of one configuration on one day.
pub(super) struct Total {
    component: String,
    config: String,
    warnings: u64,
    /// Of the run that finished last.
    version: Json<'static>,
    first: String,
    last: String,
    durations: Option<Durations>,
    /// Job ids: the last part of a run id.
    jobs: BTreeSet<u64>,
    /// Run ids whose last part is no number.
    others: BTreeSet<String>,
}

/// In milliseconds, so that their sum does not depend on the order.
#[derive(Clone, Copy)]
struct Durations {
    min: u64,
    max: u64,
    sum: u64,
}

impl Total {
    pub(super) fn new(run: &Object<'_>) -> Self {
        let text = |key| run.text(key).unwrap_or_default().to_owned();
        Self {
            component: text("componentId"),
            config: text("configId"),
            warnings: 0,
            version: Json::Null,
            first: String::new(),
            last: String::new(),
            durations: None,
            jobs: BTreeSet::new(),
            others: BTreeSet::new(),
        }
    }

    pub(super) fn read(line: &Object<'_>) -> Option<Self> {
        let mut total = Self {
            warnings: number(line.get("warnings")).unwrap_or(0),
            version: version(line),
            first: line.str("firstFinishedAt")?.to_owned(),
            last: line.str("lastFinishedAt")?.to_owned(),
            ..Self::new(line)
        };
        let duration = |key: &str| line.text(key).and_then(milliseconds);
        total.durations =
            match ["Min", "Max", "Sum"].map(|which| duration(&format!("durationSeconds{which}"))) {
                [Some(min), Some(max), Some(sum)] => Some(Durations { min, max, sum }),
                _ => None,
            };
        let mut before = 0_u64;
        for item in line.get("jobs")?.as_array()? {
            match item {
                Json::Number(token) => {
                    before = before.checked_add(token.parse().ok()?)?;
                    total.jobs.insert(before);
                }
                other => {
                    total.others.insert(other.as_str()?.to_owned());
                }
            }
        }
        Some(total)
    }

    pub(super) fn counts(&self, run: &str) -> bool {
        match job(run) {
            Some(job) => self.jobs.contains(&job),
            None => self.others.contains(run),
        }
    }

    /// Returns how many runs it counts.
    pub(super) fn runs(&self) -> u64 {
        u64::try_from(self.jobs.len() + self.others.len()).unwrap_or(u64::MAX)
    }

    /// Returns when the first and the last of them finished.
    pub(super) fn times(&self) -> (&str, &str) {
        (&self.first, &self.last)
    }

    pub(super) fn add(&mut self, run: &str, finished: &str, line: &Object<'_>) {
        match job(run) {
            Some(job) => self.jobs.insert(job),
            None => self.others.insert(run.to_owned()),
        };
        self.warnings += u64::from(line.str("nativeStatus") == Some("warning"));
        if self.first.is_empty() || finished < self.first.as_str() {
            finished.clone_into(&mut self.first);
        }
        if finished >= self.last.as_str() {
            finished.clone_into(&mut self.last);
            self.version = version(line);
        }
        if let Some(taken) = line.text("durationSeconds").and_then(milliseconds) {
            let before = self.durations.unwrap_or(Durations {
                min: taken,
                max: taken,
                sum: 0,
            });
            self.durations = Some(Durations {
                min: before.min.min(taken),
                max: before.max.max(taken),
                sum: before.sum.saturating_add(taken),
            });
        }
    }

    pub(super) fn line(&self) -> String {
        let mut line = Object::new();
        line.set("componentId", self.component.as_str());
        line.set("configId", self.config.as_str());
        line.set("status", "SUCCESS");
        line.set("runs", self.runs());
        if self.warnings > 0 {
            line.set("warnings", self.warnings);
        }
        line.set("configVersion", self.version.clone());
        line.set("firstFinishedAt", self.first.as_str());
        line.set("lastFinishedAt", self.last.as_str());
        if let Some(Durations { min, max, sum }) = self.durations {
            line.set("durationSecondsMin", Json::Number(seconds(min).into()));
            line.set("durationSecondsMax", Json::Number(seconds(max).into()));
            line.set("durationSecondsSum", Json::Number(seconds(sum).into()));
        }
        let mut before = 0;
        let differences = self.jobs.iter().map(|job| {
            let difference = job - before;
            before = *job;
            Json::from(difference)
        });
        let mut jobs: Vec<Json<'_>> = differences.collect();
        jobs.extend(self.others.iter().map(|run| Json::from(run.as_str())));
        line.set("jobs", jobs);
        write::object_line(&line)
    }
}

/// Returns the job's own id: the last part of a run id, where that is a number as Keboola writes it.
fn job(run: &str) -> Option<u64> {
    let own = run.rsplit('.').next().unwrap_or(run);
    let number: u64 = own.parse().ok()?;
    (number.to_string() == own).then_some(number)
}

fn version(line: &Object<'_>) -> Json<'static> {
    line.get("configVersion")
        .cloned()
        .map_or(Json::Null, Json::into_owned)
}

fn number(value: Option<&Json<'_>>) -> Option<u64> {
    value?.as_text()?.parse().ok()
}

/// Reads seconds; what is no length of time is left out.
fn milliseconds(token: &str) -> Option<u64> {
    let seconds: f64 = token.parse().ok()?;
    let milliseconds = (seconds * 1000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "its range is looked at; 2^53 ms are 285,000 years"
    )]
    (0.0..9_007_199_254_740_992.0)
        .contains(&milliseconds)
        .then_some(milliseconds as u64)
}

fn seconds(milliseconds: u64) -> String {
    let (whole, part) = (milliseconds / 1000, milliseconds % 1000);
    if part == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{part:03}");
    text.trim_end_matches('0').to_owned()
}
