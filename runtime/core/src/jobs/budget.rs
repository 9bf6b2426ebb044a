//! The growth budget of job history: what runs have cost this month, and how often they are committed.
//!
//! "Bytes" are what is pushed and what Git keeps of it, by a model: new lines compress against each other, a
//! line that changes costs a delta, and a commit costs itself and its trees. `cargo xtask job-history` compares
//! it with what Git does: a month of 100,000 runs came to within 2 percent. What is decided with it is when runs
//! are committed, and how many lines a day may have; never by what was measured.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A thousand bytes of new lines cost so many.
const LINES_PER_MILLE: u64 = 170;
/// A line that changed: a configuration's health, or its total of a day.
const CHANGED_LINE_BYTES: u64 = 68;
/// A commit, its trees, and what deltas cost however small they are.
const COMMIT_BYTES: u64 = 1000;

/// This share of a budget is for lines of runs; the rest is for health and for commits.
const LINES_SHARE_PERCENT: u64 = 50;
const MONTH_DAYS_MAX: u64 = 31;

/// So much of a budget is spread over the month; the rest is for what cannot wait for ever. Measured: where runs
/// fail all the time, a month comes to about 1.6 times this share, and so to the budget.
const PACED_PERCENT: u64 = 60;
/// Runs wait at most so long, however much was spent.
const BETWEEN_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Past the line, news waits after the last commit as other runs do, within these bounds. A commit brings all that
/// waits, so where something fails every hour, news that did not wait would cost as much as if nothing were slowed.
const URGENT_SLOWED_MIN: Duration = Duration::from_secs(15 * 60);
const URGENT_SPENT_MIN: Duration = Duration::from_secs(60 * 60);
/// Who looks in the morning finds what failed at night.
const URGENT_MAX: Duration = Duration::from_secs(8 * 60 * 60);
/// So much of the month's budget may be spent ahead of its time.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// What job history grew by since it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Growth {
    /// Bytes of lines of runs that are new.
    pub day_line_bytes: u64,
    /// Bytes of other lines that are new.
    pub new_line_bytes: u64,
    /// Lines that changed.
    pub changed_lines: u64,
}

impl Growth {
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Returns it without lines of runs, where those are on branches that are deleted again.
    #[must_use]
    pub fn without_days(self) -> Self {
        Self {
            day_line_bytes: 0,
            ..self
        }
    }

    /// Returns what it costs in a commit; `is_own` where nothing but runs is in the commit.
    #[must_use]
    pub fn bytes(self, is_own: bool) -> u64 {
        let new = self.day_line_bytes.saturating_add(self.new_line_bytes);
        let lines = new.saturating_mul(LINES_PER_MILLE) / 1000;
        let changed = self.changed_lines.saturating_mul(CHANGED_LINE_BYTES);
        let commit = if is_own { COMMIT_BYTES } else { 0 };
        lines.saturating_add(changed).saturating_add(commit)
    }
}

/// What a lane has spent in a month.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// `YYYY-MM`, in UTC.
    pub month: String,
    pub bytes: u64,
}

impl Spent {
    /// Adds the cost of a commit that was made for events up to `at`. A new month begins at nothing.
    pub fn add(&mut self, bytes: u64, at: Timestamp) {
        let month = month(at).strftime("%Y-%m").to_string();
        if self.month != month {
            *self = Self { month, bytes: 0 };
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// How often runs are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As it is configured.
    Configured,
    /// More was spent than the elapsed part of the month allows.
    Slowed { between: Duration, urgent: Duration },
    /// The month's budget is spent.
    Spent { between: Duration, urgent: Duration },
}

impl Pace {
    /// Decides the pace: of most of the budget, the elapsed part of the month and a day more may have been
    /// spent. What is above that is waited for.
    #[must_use]
    pub fn of(spent: &Spent, budget: u64, now: Timestamp) -> Self {
        let first = month(now);
        if spent.month != first.strftime("%Y-%m").to_string() {
            return Self::Configured;
        }
        let start = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
        let next = first.last_of_month().tomorrow().and_then(start);
        // Only at the ends of the calendar.
        let (Ok(begin), Ok(end)) = (start(first), next) else {
            return Self::Configured;
        };
        let length = seconds(end.duration_since(begin)).max(1);
        let elapsed = seconds(now.duration_since(begin) + AHEAD).min(length);
        let paced = wide(budget) * wide(PACED_PERCENT) / 100;
        let allowed = paced * wide(elapsed) / wide(length);
        let excess = wide(spent.bytes).saturating_sub(allowed);
        if excess == 0 {
            return Self::Configured;
        }
        let wait = excess * wide(length) / paced.max(1);
        let left = seconds(end.duration_since(now)).min(seconds(BETWEEN_MAX));
        let between = Duration::from_secs(u64::try_from(wait).unwrap_or(u64::MAX).min(left));
        if spent.bytes >= budget {
            let urgent = between.clamp(URGENT_SPENT_MIN, URGENT_MAX);
            return Self::Spent { between, urgent };
        }
        Self::Slowed {
            between,
            urgent: between.clamp(URGENT_SLOWED_MIN, URGENT_MAX),
        }
    }
}

/// Returns how many bytes of lines a day may have before its successful runs become totals.
#[must_use]
pub fn day_lines_bytes_max(budget: u64) -> u64 {
    budget / 100 * LINES_SHARE_PERCENT / MONTH_DAYS_MAX * 1000 / LINES_PER_MILLE
}

fn month(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date().first_of_month()
}

fn seconds(duration: SignedDuration) -> u64 {
    u64::try_from(duration.as_secs()).unwrap_or(0)
}

fn wide(number: u64) -> u128 {
    number.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: u64 = 3_000_000;

    #[track_caller]
    fn check(now: &str, bytes: u64, expected: &str) {
        let spent = Spent {
            month: "2026-11".to_owned(),
            bytes,
        };
        let pace = match Pace::of(&spent, BUDGET, now.parse().unwrap()) {
            Pace::Configured => "as configured".to_owned(),
            Pace::Slowed { between, urgent } => {
                format!("slowed {} {}", between.as_secs() / 60, urgent.as_secs() / 60)
            }
            Pace::Spent { between, urgent } => {
                format!("spent {} {}", between.as_secs() / 60, urgent.as_secs() / 60)
            }
        };
        assert_eq!(pace, expected, "{bytes} at {now}");
    }

    #[test]
    fn the_pace_follows_the_elapsed_part_of_the_month() {
        // 60,000 bytes a day, and a day ahead.
        check("2026-11-01T00:00:00Z", 0, "as configured");
        check("2026-11-01T00:00:00Z", 60_000, "as configured");
        check("2026-11-01T00:00:00Z", 70_000, "slowed 240 240");
        check("2026-11-01T02:24:00Z", 66_000, "as configured");
        check("2026-11-10T12:00:00Z", 630_000, "as configured");
        check("2026-11-10T12:00:00Z", 631_000, "slowed 24 24");
        check("2026-11-10T12:00:00Z", 2_900_000, "slowed 1440 480");
        check("2026-11-10T12:00:00Z", 3_000_000, "spent 1440 480");
        check("2026-11-30T12:00:00Z", 1_800_000, "as configured");
        check("2026-11-30T12:00:00Z", 2_999_999, "slowed 720 480");
        check("2026-11-30T23:00:00Z", 4_000_000, "spent 60 60");
        check("2026-12-01T00:00:00Z", 4_000_000, "as configured");
    }

    #[test]
    fn a_new_month_begins_at_nothing() {
        let mut spent = Spent::default();
        spent.add(5, "2026-11-30T23:59:59Z".parse().unwrap());
        spent.add(6, "2026-11-30T23:59:59Z".parse().unwrap());
        assert_eq!((spent.month.as_str(), spent.bytes), ("2026-11", 11));
        spent.add(7, "2026-12-01T00:00:00Z".parse().unwrap());
        assert_eq!((spent.month.as_str(), spent.bytes), ("2026-12", 7));
    }

    #[test]
    fn growth_is_lines_and_changes_and_what_a_commit_of_its_own_costs() {
        let growth = Growth {
            day_line_bytes: 6_000,
            new_line_bytes: 4_000,
            changed_lines: 3,
        };
        assert_eq!(growth.bytes(false), 10 * LINES_PER_MILLE + 3 * CHANGED_LINE_BYTES);
        assert_eq!(growth.bytes(true), growth.bytes(false) + COMMIT_BYTES);
        let beside = growth.without_days().bytes(false);
        assert_eq!(growth.bytes(false) - beside, 6 * LINES_PER_MILLE);
        let all = Growth {
            day_line_bytes: u64::MAX,
            new_line_bytes: u64::MAX,
            changed_lines: u64::MAX,
        };
        assert_eq!(all.bytes(true), u64::MAX);
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_reason_to_stop() {
        for now in [Timestamp::MIN, Timestamp::MAX] {
            let mut spent = Spent::default();
            spent.add(u64::MAX, now);
            let _ = Pace::of(&spent, 0, now);
        }
        assert_eq!(day_lines_bytes_max(0), 0);
    }
}
