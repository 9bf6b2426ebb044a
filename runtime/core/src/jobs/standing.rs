//! Which runs are told at once: those with which a configuration goes from good to failing or back.
//!
//! It decides when, never what: what is committed is read from the source. So it may forget.

use crate::{
    cut::ConfigKey,
    event::{Body, Envelope, RunStatus},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A configuration that has changed so often within [`FLAPPING_WITHIN`] flaps: people were told, and
/// more of it waits for the cadence.
const CHANGES_MAX: usize = 2;
const FLAPPING_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// Of so many configurations it is known how they stand; of further ones a failure is always news.
const KNOWN_MAX: usize = 100_000;

/// The end of a run, as an event tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// None for a run without a stored configuration, which is of nobody's health.
    pub config: Option<ConfigKey>,
    pub status: RunStatus,
    pub finished_at: Timestamp,
}

impl RunEnd {
    /// Takes it from an event; none where the event is not of the end of a run.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Option<Self> {
        let Body::JobFinished(job) = &envelope.body else {
            return None;
        };
        let component = &job.component;
        Some(Self {
            config: job.config.as_ref().map(|config| ConfigKey {
                component: component.clone(),
                config: config.clone(),
            }),
            status: job.status,
            finished_at: job.finished_at.unwrap_or(envelope.occurred_at),
        })
    }
}

/// How the configurations of a lane stand.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    known: BTreeMap<ConfigKey, Standing>,
}

#[derive(Debug, Clone)]
struct Standing {
    is_failing: bool,
    /// When the newest run that counts finished.
    at: Timestamp,
    /// The last times it went from good to failing or back, ascending.
    changed: Vec<Timestamp>,
}

impl Standings {
    /// Notes what the job history has: how a configuration stands since a run that finished at `at`.
    pub fn know(&mut self, config: ConfigKey, is_failing: bool, at: Timestamp) {
        match self.known.get_mut(&config) {
            Some(known) if known.at > at => {}
            Some(known) => (known.is_failing, known.at) = (is_failing, at),
            None => self.begin(config, is_failing, at, Vec::new()),
        }
    }

    /// Notes a run and returns whether it is to be told at once. A run that was cancelled says nothing,
    /// nor does one that finished before the newest known one. A first run is news if it failed.
    pub fn told(&mut self, run: &RunEnd) -> bool {
        let Some(config) = &run.config else { return false };
        let is_failing = match run.status {
            RunStatus::Success => false,
            RunStatus::Failed => true,
            RunStatus::Cancelled => return false,
        };
        let at = run.finished_at;
        let Some(known) = self.known.get_mut(config) else {
            let changed = if is_failing { vec![at] } else { Vec::new() };
            self.begin(config.clone(), is_failing, at, changed);
            return is_failing;
        };
        if at < known.at {
            return false;
        }
        known.at = at;
        if known.is_failing == is_failing {
            return false;
        }
        known.is_failing = is_failing;
        known
            .changed
            .retain(|changed| at.duration_since(*changed) < FLAPPING_WITHIN);
        let is_news = known.changed.len() < CHANGES_MAX;
        if is_news {
            known.changed.push(at);
        }
        is_news
    }

    fn begin(&mut self, config: ConfigKey, is_failing: bool, at: Timestamp, changed: Vec<Timestamp>) {
        if self.known.len() < KNOWN_MAX {
            let standing = Standing {
                is_failing,
                at,
                changed,
            };
            self.known.insert(config, standing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ComponentId, ConfigId};

    fn key(config: &str) -> ConfigKey {
        ConfigKey {
            component: ComponentId::parse("c").unwrap(),
            config: ConfigId::parse(config).unwrap(),
        }
    }

    /// Plays `minute config status` and returns the minutes that are told at once.
    #[track_caller]
    fn check(known: &[(&str, bool, i64)], script: &str, expected: &[i64]) {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let mut standings = Standings::default();
        for (config, is_failing, minute) in known {
            standings.know(key(config), *is_failing, at(*minute));
        }
        let mut told = Vec::new();
        for line in script.split(';').map(str::trim) {
            let [minute, config, status] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let minute: i64 = minute.parse().unwrap();
            let status = match status {
                "ok" => RunStatus::Success,
                "error" => RunStatus::Failed,
                _ => RunStatus::Cancelled,
            };
            let run = RunEnd {
                config: (config != "-").then(|| key(config)),
                status,
                finished_at: at(minute),
            };
            if standings.told(&run) {
                told.push(minute);
            }
        }
        assert_eq!(told, expected, "{script}");
    }

    #[test]
    fn going_from_good_to_failing_and_back_is_told_at_once_and_nothing_else() {
        check(
            &[("a", false, 0)],
            "1 a ok; 2 a error; 3 a error; 4 a ok; 5 a ok",
            &[2, 4],
        );
        check(&[("a", true, 0)], "1 a error; 2 a ok", &[2]);
        check(&[("a", false, 0)], "1 b ok; 2 b error; 3 a error", &[2, 3]);
    }

    #[test]
    fn a_first_run_is_news_only_if_it_failed() {
        check(&[], "1 a ok; 2 b error; 3 b error", &[2]);
    }

    #[test]
    fn cancelled_late_and_unstored_runs_say_nothing() {
        check(
            &[("a", false, 10)],
            "9 a error; 11 a cancelled; 12 - error; 13 a error",
            &[13],
        );
        check(&[("a", true, 10)], "9 a ok; 10 a error; 11 a ok", &[11]);
    }

    #[test]
    fn a_configuration_that_flaps_waits_for_the_cadence() {
        check(
            &[("a", false, 0)],
            "1 a error; 2 a ok; 3 a error; 4 a ok; 60 a error; 61 a ok; 62 a error; 190 a ok",
            &[1, 2, 61, 62, 190],
        );
    }

    #[test]
    fn what_the_history_has_counts_unless_a_newer_run_was_told() {
        let mut standings = Standings::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let run = |status, second| RunEnd {
            config: Some(key("a")),
            status,
            finished_at: at(second),
        };
        assert!(standings.told(&run(RunStatus::Failed, 5)));
        standings.know(key("a"), false, at(4));
        assert!(!standings.told(&run(RunStatus::Failed, 6)));
        standings.know(key("a"), false, at(7));
        assert!(standings.told(&run(RunStatus::Failed, 8)));
    }
}
