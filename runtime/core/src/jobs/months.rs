//! Months of runs, where each has a Git branch of its own: what is in one can be given up by deleting it.

use super::days;
use jiff::civil::Date;
use std::fmt;

/// Git branches of months begin so.
pub const BRANCH_PREFIX: &str = "keboola-jobs/";

/// A calendar month, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Date);

impl Month {
    /// Returns the month of a day's shard, `YYYY/MM/DD`; none for a shard that is no day.
    #[must_use]
    pub fn of_day(shard: &str) -> Option<Self> {
        days::date(shard).map(|date| Self(date.first_of_month()))
    }

    /// Returns the short name of the Git branch that has this month's runs of the lane with Git branch `lane`.
    #[must_use]
    pub fn branch(self, lane: &str) -> String {
        format!("{}{self}", branches_of(lane))
    }

    /// Returns the month whose runs of a lane a Git branch has; none for any other branch.
    #[must_use]
    pub fn of_branch(branch: &str, lane: &str) -> Option<Self> {
        let month = branch.strip_prefix(&branches_of(lane))?;
        Self::of_day(&format!("{}/01", month.replace('-', "/"))).filter(|found| found.to_string() == month)
    }

    /// Returns whether a day of the month is among the `keep_days` days that end with the day `newest`.
    #[must_use]
    pub fn is_kept(self, newest: &str, keep_days: u32) -> bool {
        let last = self.0.last_of_month().strftime("%Y/%m/%d").to_string();
        days::is_kept(&last, newest, keep_days)
    }
}

/// `YYYY-MM`.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%Y-%m").fmt(f)
    }
}

/// Returns what the short names of all months' branches of a lane begin with.
fn branches_of(lane: &str) -> String {
    format!("{BRANCH_PREFIX}{lane}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_one_branch_and_is_found_by_it() {
        let month = Month::of_day("2026/03/31").expect("a day");
        assert_eq!(Month::of_day("2026/03/01"), Some(month));
        assert_eq!(month.branch("dev/7-x"), "keboola-jobs/dev/7-x/2026-03");
        assert_eq!(
            Month::of_branch("keboola-jobs/dev/7-x/2026-03", "dev/7-x"),
            Some(month)
        );
        for other in [
            "keboola-jobs/dev/2026-03",
            "keboola-jobs/dev/7-x/2026-3",
            "keboola-jobs/dev/7-x/2026/03",
            "keboola-jobs/dev/7-x/2026-13",
            "keboola-jobs/dev/7-x/2026-03/x",
            "dev/7-x",
        ] {
            assert_eq!(Month::of_branch(other, "dev/7-x"), None, "{other}");
        }
        assert_eq!(Month::of_day("by component"), None);
    }

    #[test]
    fn a_month_is_kept_while_its_last_day_is() {
        let february = Month::of_day("2026/02/10").expect("a day");
        assert!(february.is_kept("2026/03/02", 3));
        assert!(!february.is_kept("2026/03/03", 3));
        assert!(february.is_kept("2026/02/11", 2) && february.is_kept("none", 2));
    }
}
