//! When a poller looks again. Pure: time and jitter are arguments.

use crate::config::PollSpec;
use jiff::Timestamp;
use mirror_core::{retry::Jitter, window::later};
use std::time::Duration;

/// While it fails, it is not waited for longer, unless the source asks for more.
const BACKOFF_MAX: Duration = Duration::from_secs(15 * 60);
/// The source may not ask for more patience.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// Until the branches of the mirror are open.
const SOON: Duration = Duration::from_secs(1);
/// Failures after which the pause does not grow any more.
const DOUBLINGS_MAX: u32 = 10;

/// What a poller is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// Ask whether something has happened.
    Hints,
    /// Compare; what raises no version too, or not.
    Look {
        unversioned: bool,
    },
}

/// Knows when it was looked and when to look again.
#[derive(Debug, Clone)]
pub struct Pace {
    spec: PollSpec,
    /// When it was told the time last.
    as_of: Timestamp,
    look_at: Timestamp,
    unversioned_at: Timestamp,
    /// None: hints are of no use.
    hints_at: Option<Timestamp>,
    failures: u32,
}

impl Pace {
    /// Begins at `now`; the first look comes somewhere within an interval, so that many mirrors do not all look at once.
    #[must_use]
    pub fn new(spec: PollSpec, now: Timestamp, jitter: Jitter) -> Self {
        let first = later(now, part(spec.every, jitter));
        Self {
            spec,
            as_of: now,
            look_at: first,
            unversioned_at: first,
            hints_at: spec.hints_every.map(|every| later(now, every)),
            failures: 0,
        }
    }

    /// Returns when something is due next.
    #[must_use]
    pub fn next(&self) -> Timestamp {
        self.hints_at
            .map_or(self.look_at, |hints| hints.min(self.look_at))
    }

    /// Tells the time. Where the clock was put back, what is waited for moves along: no wait becomes longer by the difference.
    pub fn clamp(&mut self, now: Timestamp) {
        let by = self.as_of.duration_since(now);
        self.as_of = now;
        if by.is_positive() {
            let times = [&mut self.look_at, &mut self.unversioned_at].into_iter();
            for time in times.chain(&mut self.hints_at) {
                *time = time.checked_sub(by).unwrap_or(Timestamp::MIN);
            }
        }
    }

    /// Returns what is due.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Due {
        if self.look_at <= now {
            return Due::Look {
                unversioned: self.unversioned_at <= now,
            };
        }
        match self.hints_at {
            Some(hints) if hints <= now => Due::Hints,
            _ => Due::Nothing,
        }
    }

    /// Nothing could be looked at yet.
    pub fn not_yet(&mut self, now: Timestamp) {
        self.clamp(now);
        self.look_at = later(now, SOON);
        self.no_hints_before(self.look_at);
    }

    /// A look has ended well.
    pub fn looked(&mut self, unversioned: bool, now: Timestamp, jitter: Jitter) {
        self.clamp(now);
        self.failures = 0;
        self.look_at = later(now, spread(self.spec.every, jitter));
        if unversioned {
            self.unversioned_at = later(now, spread(self.spec.unversioned_every, jitter));
        }
        if let (Some(hints), Some(every)) = (&mut self.hints_at, self.spec.hints_every) {
            *hints = later(now, every);
        }
    }

    /// A look has failed; `after` is what the source asks for, `patience` what must pass at least in any case.
    /// Returns when it is tried again. Until then nothing is asked.
    pub fn failed(
        &mut self,
        after: Option<Duration>,
        patience: Duration,
        now: Timestamp,
        jitter: Jitter,
    ) -> Timestamp {
        self.clamp(now);
        let doublings = self.failures.min(DOUBLINGS_MAX);
        self.failures = self.failures.saturating_add(1);
        let growing = self.spec.every.saturating_mul(1 << doublings);
        let growing = growing.min(BACKOFF_MAX.max(self.spec.every)).max(patience);
        let wait = growing.max(after.unwrap_or_default().min(RETRY_AFTER_MAX));
        // Never earlier than asked, so spread only upwards.
        self.look_at = later(now, wait + part(wait, jitter) / 10);
        self.no_hints_before(self.look_at);
        self.look_at
    }

    /// It was asked for hints: there is something to look at, or not.
    pub fn hinted(&mut self, hint: Hint, now: Timestamp) {
        self.clamp(now);
        if let (Some(hints), Some(every)) = (&mut self.hints_at, self.spec.hints_every) {
            *hints = later(now, every);
        }
        match hint {
            Hint::None => {}
            Hint::Versions => self.look_at = now,
            Hint::Unversioned => (self.look_at, self.unversioned_at) = (now, now),
            Hint::Useless => self.hints_at = None,
        }
    }

    fn no_hints_before(&mut self, time: Timestamp) {
        if let Some(hints) = &mut self.hints_at {
            *hints = (*hints).max(time);
        }
    }
}

/// What the Storage events tell a poller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    None,
    /// Configurations or branches have changed.
    Versions,
    /// Something that raises no version, too.
    Unversioned,
    /// The token is not shown what others do.
    Useless,
}

impl Hint {
    /// Reads the name of a Storage event. There is no full list of them: what is not known is no hint, and found by the
    /// next look.
    #[must_use]
    pub fn of(event: &str) -> Self {
        let Some(event) = event.strip_prefix("storage.") else {
            return Self::None;
        };
        if event.contains("Metadata") {
            return Self::Unversioned;
        }
        if event.starts_with("componentConfiguration") || event.starts_with("devBranch") {
            return Self::Versions;
        }
        let object = ["bucket", "table"]
            .iter()
            .find_map(|object| event.strip_prefix(object));
        match object {
            // Others are of reading and loading, which changes no structure and comes with each run.
            Some(what)
                if [
                    "Created", "Deleted", "Updated", "Column", "Primary", "Shar", "Link",
                ]
                .iter()
                .any(|change| what.starts_with(change)) =>
            {
                Self::Unversioned
            }
            _ => Self::None,
        }
    }
}

/// Between nine and eleven tenths of `duration`.
fn spread(duration: Duration, jitter: Jitter) -> Duration {
    duration * 9 / 10 + part(duration, jitter) / 5
}

/// Between nothing and all of `duration`.
fn part(duration: Duration, Jitter(random): Jitter) -> Duration {
    duration * u32::from(random) / (u32::from(u16::MAX) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: PollSpec = PollSpec {
        every: Duration::from_secs(60),
        unversioned_every: Duration::from_secs(300),
        hints_every: Some(Duration::from_secs(15)),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).expect("a time")
    }

    /// Plays a script of steps, each `second what`, and tells when what is due after each.
    #[track_caller]
    fn check(script: &[(i64, &str)], expected: &[(i64, Due)]) {
        let mut pace = Pace::new(SPEC, at(0), Jitter::NONE);
        let mut found = Vec::new();
        for (second, what) in script {
            let now = at(*second);
            match *what {
                "start" => {}
                "looked" => pace.looked(false, now, Jitter::NONE),
                "looked at all" => pace.looked(true, now, Jitter::NONE),
                "failed" | "limited" | "refused" => {
                    let after = (*what == "limited").then_some(Duration::from_secs(1000));
                    let patience = Duration::from_secs(if *what == "refused" { 300 } else { 0 });
                    assert_eq!(pace.failed(after, patience, now, Jitter(0)), pace.look_at);
                }
                "no hint" => pace.hinted(Hint::None, now),
                "hint" => pace.hinted(Hint::Versions, now),
                "hint of more" => pace.hinted(Hint::Unversioned, now),
                "useless" => pace.hinted(Hint::Useless, now),
                other => panic!("there is no step {other}"),
            }
            let next = pace.next().max(now);
            found.push((next.as_second() - at(0).as_second(), pace.due(next)));
        }
        assert_eq!(found, expected);
    }

    const LOOK: Due = Due::Look { unversioned: false };
    const LOOK_AT_ALL: Due = Due::Look { unversioned: true };

    #[test]
    fn it_looks_every_interval_and_asks_for_hints_in_between() {
        check(
            &[
                (0, "start"),
                (15, "no hint"),
                (30, "looked at all"),
                (45, "no hint"),
                (60, "no hint"),
                (75, "no hint"),
            ],
            &[
                (15, Due::Hints),
                (30, LOOK_AT_ALL),
                (45, Due::Hints),
                (60, Due::Hints),
                (75, Due::Hints),
                (90, LOOK),
            ],
        );
    }

    #[test]
    fn a_hint_makes_it_look_at_once_and_a_useless_one_is_the_last() {
        check(
            &[
                (30, "looked at all"),
                (45, "hint"),
                (45, "looked"),
                (60, "hint of more"),
                (60, "looked at all"),
                (75, "useless"),
            ],
            &[
                (45, Due::Hints),
                (45, LOOK),
                (60, Due::Hints),
                (60, LOOK_AT_ALL),
                (75, Due::Hints),
                (120, LOOK),
            ],
        );
    }

    #[test]
    fn while_it_fails_pauses_grow_and_what_the_source_asks_for_is_kept() {
        check(
            &[
                (30, "failed"),
                (90, "failed"),
                (210, "failed"),
                (450, "limited"),
                (1450, "looked at all"),
                (1510, "refused"),
            ],
            &[
                (90, LOOK_AT_ALL),
                (210, LOOK_AT_ALL),
                (450, LOOK_AT_ALL),
                (1450, LOOK_AT_ALL),
                (1465, Due::Hints),
                (1810, LOOK_AT_ALL),
            ],
        );
    }

    /// Plays a pace that was set while the clock was two days ahead; tells when it looks then.
    #[track_caller]
    fn check_put_back(set: impl FnOnce(&mut Pace, Timestamp), expected: (i64, Due)) {
        let ahead = at(2 * 86_400);
        let mut pace = Pace::new(SPEC, ahead, Jitter::NONE);
        set(&mut pace, ahead);
        pace.clamp(at(0));
        let next = pace.next();
        // Asked again, it does not move along.
        pace.clamp(at(1));
        assert_eq!(pace.next(), next);
        assert_eq!((next.as_second() - at(0).as_second(), pace.due(next)), expected);
    }

    #[test]
    fn a_clock_that_was_put_back_costs_a_wait_and_not_the_difference() {
        check_put_back(|_, _| {}, (15, Due::Hints));
        let failed = |pace: &mut Pace, now| {
            pace.failed(None, Duration::from_secs(300), now, Jitter(0));
        };
        check_put_back(failed, (300, LOOK_AT_ALL));
        let useless = |pace: &mut Pace, now| {
            pace.looked(true, now, Jitter::NONE);
            pace.hinted(Hint::Useless, now);
        };
        check_put_back(useless, (60, LOOK));

        let mut pace = Pace::new(SPEC, at(2 * 86_400), Jitter::NONE);
        pace.looked(true, at(2 * 86_400), Jitter::NONE);
        pace.clamp(at(0));
        pace.looked(false, at(60), Jitter::NONE);
        pace.clamp(at(330));
        assert_eq!(
            pace.due(at(330)),
            LOOK_AT_ALL,
            "a structure is not looked at for days"
        );
    }

    #[test]
    fn names_of_events_tell_what_is_worth_a_look() {
        for (name, expected) in [
            ("storage.componentConfigurationChanged", Hint::Versions),
            ("storage.componentConfigurationRowDeleted", Hint::Versions),
            ("storage.componentConfigurationMetadataSet", Hint::Unversioned),
            ("storage.devBranchDeleted", Hint::Versions),
            ("storage.tableCreated", Hint::Unversioned),
            ("storage.tableDeleted", Hint::Unversioned),
            ("storage.tableImportDone", Hint::None),
            ("storage.workspaceLoaded", Hint::None),
            ("ext.keboola.something", Hint::None),
        ] {
            assert_eq!(Hint::of(name), expected, "{name}");
        }
    }
}
