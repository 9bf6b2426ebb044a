//! What the days tell of runs that a line of health counts already.
//!
//! The line keeps its newest runs only. How a run that comes late is to be counted, it cannot say by
//! itself: the host then gives what days have of that configuration before the line (`wit/layout.wit`).

use super::{
    health::{Place, Run, Streak},
    totals::Total,
};
use crate::{
    api::{Entry, LayoutError},
    json::Object,
};

/// Runs of one configuration that are counted already; empty where the host gave none.
#[derive(Default)]
pub(super) struct Counted {
    runs: Vec<Run>,
    totals: Vec<Total>,
    /// Whether the days tell of all that a late run is counted by.
    pub(super) is_told: bool,
}

impl Counted {
    /// Takes in a line of a day, or of its totals.
    ///
    /// # Errors
    /// What is neither.
    pub(super) fn read(&mut self, entry: &Entry, line: &Object<'_>) -> Result<(), LayoutError> {
        let not_ours = || super::not_ours(entry);
        if line.get("runId").is_none() {
            self.totals.push(Total::read(line).ok_or_else(not_ours)?);
        } else {
            self.runs.push(Run::read(line).ok_or_else(not_ours)?);
        }
        Ok(())
    }

    /// Adds a run, in place of what was known of it.
    pub(super) fn add(&mut self, run: Run) {
        self.runs.retain(|known| known.run != run.run);
        self.runs.push(run);
    }

    pub(super) fn has(&self, run: &str) -> bool {
        self.runs.iter().any(|known| known.run == run) || self.totals.iter().any(|total| total.counts(run))
    }

    /// Returns the newest run of a status that is told of, `but` one.
    pub(super) fn newest(&self, status: &str, but: &str) -> Option<&Run> {
        let runs = self.runs.iter();
        runs.filter(|run| run.status == status && run.run != but).max()
    }

    /// Returns how many runs of a status finished after one, up to another, and when the first of them
    /// did. `recent` are those after the latter. Of totals that were not over by then, only their last run is counted.
    pub(super) fn after(&self, run: &Run, until: &Place, status: &str, recent: &[Run]) -> Option<Streak> {
        let mut count = 0;
        let mut since: Option<&str> = None;
        let mut found = |runs: u64, first| {
            count += runs;
            since = Some(since.map_or(first, |since: &str| since.min(first)));
        };
        let place = run.place();
        for known in &self.runs {
            let at = known.place();
            if known.status == status && known.run != run.run && place < at && at <= *until {
                found(1, known.finished.as_str());
            }
        }
        let totals = self.totals.iter().filter(|_| status == "SUCCESS");
        for total in totals {
            let (first, last) = total.times();
            let is_in = |recent: &&Run| recent.status == status && total.counts(&recent.run);
            let later = u64::try_from(recent.iter().filter(is_in).count()).unwrap_or(u64::MAX);
            let runs = total.runs().saturating_sub(later);
            if first > run.finished.as_str() && runs > 0 {
                found(runs, first);
            } else if last > run.finished.as_str() && last <= until.0.as_str() {
                found(1, last);
            }
        }
        Some(Streak {
            status: status.to_owned(),
            count,
            since: since?.to_owned(),
        })
    }

    /// Returns the streak of all that is told of, up to a place; totals aside.
    pub(super) fn streak(&self, until: &Place) -> Option<Streak> {
        let mut runs: Vec<&Run> = self.runs.iter().collect();
        runs.retain(|run| run.counts() && run.place() <= *until);
        runs.sort();
        let then = |before, run: &Run| Some(Streak::then(before, run));
        runs.into_iter().fold(None, then)
    }
}
