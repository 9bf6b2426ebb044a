//! Job history in the repository.

use super::super::{ConfigError, JobsSpec, value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Where job runs stand in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobsLayout {
    /// A line each in the file of their day, `jobs/YYYY/MM/DD.jsonl`.
    DayFiles,
    /// A file each, `jobs/<run id>.json`.
    FilePerRun,
}

/// Which Git branch has the days of job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobsLog {
    /// That of everything else.
    Branch,
    /// One for each month, `keboola-jobs/<branch>/<YYYY-MM>`.
    MonthRefs,
}

/// How often job runs are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobsCadence {
    /// With the configuration changes of the window.
    Window,
    /// At most once in this time.
    Every { ms: u64 },
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Jobs {
    /// Whether job runs are in the repository.
    enabled: bool,
    /// `window`, or the shortest time between two commits of runs, such as `90s`, `15m` or `2h`; at least `10s`.
    cadence: String,
    /// Where runs stand.
    layout: JobsLayout,
    /// Which Git branch has the days of runs.
    log: JobsLog,
    /// Days of runs in the tree, 2 to 3660; Git's history has the others.
    keep_days: u32,
    /// Bytes that runs may add to one Git branch in a month, at least 100000; 0: no limit.
    budget_bytes_month: u64,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            enabled: true,
            cadence: "15m".into(),
            layout: JobsLayout::DayFiles,
            log: JobsLog::Branch,
            keep_days: JobsSpec::KEEP_DAYS,
            budget_bytes_month: JobsSpec::BUDGET_BYTES_MONTH,
        }
    }
}

impl Jobs {
    pub(super) fn check(self, key: impl Fn(&str) -> String) -> Result<Option<JobsSpec>, ConfigError> {
        let Self {
            enabled,
            cadence,
            layout,
            log,
            keep_days,
            budget_bytes_month,
        } = self;
        let cadence = jobs_cadence(&cadence).ok_or_else(|| {
            value(
                key("jobs.cadence"),
                "must be `window` or a time such as `90s`, `15m` or `2h`, at least `10s`",
            )
        })?;
        if (log, layout) == (JobsLog::MonthRefs, JobsLayout::FilePerRun) {
            return Err(value(
                key("jobs.log"),
                "`month-refs` needs days in files; leave `jobs.layout = \"file-per-run\"` out",
            ));
        }
        if !JOBS_KEEP_DAYS.contains(&keep_days) {
            return Err(value(
                key("jobs.keep_days"),
                "must be from 2 to 3660 days; those of the newest two are always at hand",
            ));
        }
        if (1..JOBS_BUDGET_BYTES_MIN).contains(&budget_bytes_month) {
            return Err(value(
                key("jobs.budget_bytes_month"),
                "must be at least 100000 bytes, or 0 for no limit; `jobs.enabled = false` leaves runs out",
            ));
        }
        Ok(enabled.then_some(JobsSpec {
            cadence,
            layout,
            log,
            keep_days,
            budget_bytes_month,
        }))
    }
}

const JOBS_KEEP_DAYS: RangeInclusive<u32> = 2..=3660;

/// Below this not even a commit a day and the health of some configurations would fit.
const JOBS_BUDGET_BYTES_MIN: u64 = 100_000;

fn jobs_cadence(raw: &str) -> Option<JobsCadence> {
    if raw == "window" {
        return Some(JobsCadence::Window);
    }
    let (number, unit) = raw.split_at_checked(raw.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (ms >= 10_000).then_some(JobsCadence::Every { ms })
}
