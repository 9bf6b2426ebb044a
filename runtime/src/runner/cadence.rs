//! How often a lane's runs are committed: as configured, at once where they are news, and more
//! slowly where the growth budget asks for it. The decisions are those of [`mirror_core::jobs`].

use crate::{
    config::{JobsCadence, JobsSpec},
    pipeline::memory::Memory,
};
use jiff::Timestamp;
use mirror_core::{
    cut::Position,
    jobs::{
        budget::{Pace, Spent},
        standing::{RunEnd, Standings},
    },
    lane::Wake,
    window::WindowMode,
};
use std::time::Duration;

/// How often a lane's runs are committed.
#[derive(Debug)]
pub struct Cadence {
    jobs: Option<JobsSpec>,
    /// As it is configured.
    configured: WindowMode,
    pace: Pace,
    standings: Standings,
    /// The runs up to there are in what `standings` was learnt from.
    learnt: Option<Position>,
}

impl Cadence {
    #[must_use]
    pub fn new(change: WindowMode, jobs: Option<JobsSpec>) -> Self {
        Self {
            jobs,
            configured: configured(change, jobs.map(|jobs| jobs.cadence)),
            pace: Pace::Configured,
            standings: Standings::default(),
            learnt: None,
        }
    }

    /// Returns the window of runs at the present pace.
    #[must_use]
    pub fn mode(&self) -> WindowMode {
        let (Pace::Slowed { between, .. } | Pace::Spent { between, .. }) = self.pace else {
            return self.configured;
        };
        match self.configured {
            WindowMode::Early { span } | WindowMode::Fixed { span } => WindowMode::Eager {
                gather: span,
                cool_down: between.max(span),
            },
            WindowMode::Eager { gather, cool_down } => WindowMode::Eager {
                gather,
                cool_down: between.max(cool_down),
            },
        }
    }

    /// Tells the lane's machine of the pace.
    #[must_use]
    pub fn wake(&self) -> Wake {
        let between_news: Option<Duration> = match self.pace {
            Pace::Configured => None,
            Pace::Slowed { urgent, .. } | Pace::Spent { urgent, .. } => Some(urgent),
        };
        Wake::JobsMode {
            mode: self.mode(),
            between_news,
        }
    }

    /// Takes in what the month has cost; returns the pace before and now.
    pub fn follow(&mut self, spent: &Spent, now: Timestamp) -> (Pace, Pace) {
        let budget = self.jobs.map_or(0, |jobs| jobs.budget_bytes_month);
        let pace = match budget {
            0 => Pace::Configured,
            budget => Pace::of(spent, budget, now),
        };
        (std::mem::replace(&mut self.pace, pace), pace)
    }

    /// Takes in how configurations stand, where runs were mirrored since.
    pub fn learn(&mut self, memory: &Memory, through: Position) {
        if self.jobs.is_none() || self.learnt == Some(through) {
            return;
        }
        self.learnt = Some(through);
        for (config, is_failing, at) in memory.standings() {
            self.standings.know(config, is_failing, at);
        }
    }

    /// Notes a run; returns whether it is to be told at once.
    pub fn is_news(&mut self, run: &RunEnd) -> bool {
        self.jobs.is_some() && self.standings.told(run)
    }
}

fn configured(change: WindowMode, cadence: Option<JobsCadence>) -> WindowMode {
    let (gather, cool_down) = match (cadence, change) {
        // Runs that are not mirrored are passed over with the changes.
        (None | Some(JobsCadence::Window), mode) => return mode,
        (Some(JobsCadence::Every { ms }), WindowMode::Early { span } | WindowMode::Fixed { span }) => {
            (span, ms)
        }
        (Some(JobsCadence::Every { ms }), WindowMode::Eager { gather, .. }) => (gather, ms),
    };
    WindowMode::Eager {
        gather,
        cool_down: Duration::from_millis(cool_down),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{JobsLayout, JobsLog};

    fn cadence(cadence: JobsCadence, budget_bytes_month: u64) -> Cadence {
        let jobs = JobsSpec {
            cadence,
            layout: JobsLayout::DayFiles,
            log: JobsLog::Branch,
            keep_days: 35,
            budget_bytes_month,
        };
        Cadence::new(WindowMode::EARLY, Some(jobs))
    }

    fn spent(bytes: u64) -> Spent {
        Spent {
            month: "2026-11".to_owned(),
            bytes,
        }
    }

    #[test]
    fn past_the_budget_runs_wait_longer_and_within_it_as_configured() {
        let now = "2026-11-10T12:00:00Z".parse().expect("a time");
        let every = JobsCadence::Every { ms: 900_000 };
        let cool_down = |cadence: &Cadence| match cadence.mode() {
            WindowMode::Eager { cool_down, .. } => cool_down.as_secs(),
            other => panic!("{other:?}"),
        };
        let mut slowed = cadence(every, 3_000_000);
        assert_eq!(slowed.mode(), WindowMode::JOBS);
        slowed.follow(&spent(660_000), now);
        assert_eq!(cool_down(&slowed), 12 * 3600);
        // Never more often than configured.
        slowed.follow(&spent(630_100), now);
        assert_eq!(cool_down(&slowed), 900);
        slowed.follow(&spent(600_000), now);
        assert_eq!(slowed.mode(), WindowMode::JOBS);

        let mut window = cadence(JobsCadence::Window, 3_000_000);
        assert_eq!(window.mode(), WindowMode::EARLY);
        window.follow(&spent(660_000), now);
        assert_eq!(cool_down(&window), 12 * 3600);

        let mut boundless = cadence(every, 0);
        boundless.follow(&spent(u64::MAX), now);
        assert_eq!(boundless.mode(), WindowMode::JOBS);
    }
}
