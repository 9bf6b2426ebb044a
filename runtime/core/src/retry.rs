//! When a failed attempt is tried again, and when its failing is told to people.
//!
//! Every five minutes, spread by a tenth; at once, a few times, where only the ref had moved; not
//! before a remote asked for it. Jitter and time are arguments. How a notice travels is not known here.

use crate::{cause::Cause, window::later};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// What a failure means for the attempt that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It passes by itself: network, server errors, rate limits. `after` is the remote's own word
    /// (`Retry-After`).
    Temporary { after: Option<Duration> },
    /// The ref moved while we worked: look again and repeat at once.
    RefMoved,
    /// Somebody has to do something: credentials, protection, quota, a repository that is gone.
    NeedsCustomer,
    /// The same attempt fails the same way each time. What is wrong with one event or object is
    /// settled inside an attempt (dead letter, withholding), so a whole attempt that ends like this
    /// is a defect: it is retried slowly, since dropping its events would lose them.
    Permanent,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub disposition: Disposition,
    pub cause: Cause,
    /// The host's words; never content or credentials.
    pub reason: String,
}

/// A random number, drawn by the caller, that spreads retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(pub u16);

impl Jitter {
    /// In the middle of the range.
    pub const NONE: Self = Self(u16::MAX / 2 + 1);
}

/// Time between retries.
pub const RETRY_EVERY: Duration = Duration::from_secs(5 * 60);
/// No remote may ask for more patience.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// No wait is longer, with what spreads it.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(66 * 60);
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// So often in a row a moved ref is met at once.
pub const AT_ONCE_MAX: u32 = 5;

/// Counts an episode of failures: from the first to the next success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retry {
    /// Failures so far.
    pub count: u32,
    at_once: u32,
}

impl Retry {
    /// Notes a failure and returns when to try again.
    pub fn failed(&mut self, disposition: Disposition, now: Timestamp, jitter: Jitter) -> Timestamp {
        self.count = self.count.saturating_add(1);
        let wait = match disposition {
            Disposition::RefMoved if self.at_once < AT_ONCE_MAX => {
                self.at_once += 1;
                return now;
            }
            // Never earlier than asked, so spread only upwards.
            Disposition::Temporary { after: Some(after) } => {
                let after = after.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX);
                after + part(after, jitter) / 10
            }
            Disposition::Temporary { after: None }
            | Disposition::RefMoved
            | Disposition::NeedsCustomer
            | Disposition::Permanent => RETRY_EVERY * 9 / 10 + part(RETRY_EVERY, jitter) / 5,
        };
        if disposition != Disposition::RefMoved {
            self.at_once = 0;
        }
        later(now, wait)
    }
}

/// Between nothing and all of `duration`.
fn part(duration: Duration, Jitter(random): Jitter) -> Duration {
    duration * u32::from(random) / (u32::from(u16::MAX) + 1)
}

/// After so long a warning is logged.
pub const WARN_AFTER: Duration = Duration::from_secs(2 * 3600 + 45 * 60);
/// After so long the project's admins are told.
pub const NOTIFY_AFTER: Duration = Duration::from_secs(3 * 3600);

/// An episode of failures of one lane, as it is kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// When the first attempt failed.
    pub since: Timestamp,
    pub class: OutageClass,
    /// Of the last failure, as is the reason.
    pub cause: Cause,
    /// In the host's words; never content or credentials.
    pub reason: String,
    /// Failed attempts.
    pub attempts: u32,
    pub warned_at: Option<Timestamp>,
    /// When the customer was asked to act, on what.
    pub asked_at: BTreeMap<Cause, Timestamp>,
    /// When the admins were told that it fails.
    pub notified_at: Option<Timestamp>,
}

/// Who can end an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageClass {
    Temporary,
    NeedsCustomer,
    Permanent,
}

/// What has to be told about an outage; each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// For the log: it nears the time at which admins are told.
    Warning,
    /// To the admins, at once: something is for them to do. Once for each cause in an outage.
    NeedsCustomer,
    /// To the admins: it has lasted [`NOTIFY_AFTER`].
    Failing,
    /// To the admins, if they were told before: it is over.
    Recovered,
}

impl Outage {
    /// Opens an outage with its first failure.
    #[must_use]
    pub fn begin(failure: Failure, now: Timestamp) -> Self {
        let Failure {
            disposition,
            cause,
            reason,
        } = failure;
        Self {
            since: now,
            class: class_of(disposition),
            cause,
            reason,
            attempts: 1,
            warned_at: None,
            asked_at: BTreeMap::new(),
            notified_at: None,
        }
    }

    /// Notes a further failure.
    pub fn failed(&mut self, failure: Failure) {
        let Failure {
            disposition,
            cause,
            reason,
        } = failure;
        self.class = class_of(disposition);
        self.cause = cause;
        self.reason = reason;
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Returns what is to be told by now and was not, and notes that it was. Hand the notices on before the outage
    /// is stored, to somebody who knows them again ([`crate::incident::Ledger`]): so none is lost, and none told twice.
    pub fn take_notices(&mut self, now: Timestamp) -> Vec<Notice> {
        // A clock that was put back must not make an outage begin in the future.
        self.since = self.since.min(now);
        let mut notices = Vec::new();
        if self.class == OutageClass::NeedsCustomer && !self.asked_at.contains_key(&self.cause) {
            self.asked_at.insert(self.cause, now);
            notices.push(Notice::NeedsCustomer);
        }
        let mut take = |told_at: &mut Option<Timestamp>, due: bool, notice| {
            if due && told_at.is_none() {
                *told_at = Some(now);
                notices.push(notice);
            }
        };
        let failing = now >= later(self.since, NOTIFY_AFTER);
        // Past three hours the notice itself is logged; a warning of it would be late.
        take(
            &mut self.warned_at,
            !failing && now >= later(self.since, WARN_AFTER),
            Notice::Warning,
        );
        take(&mut self.notified_at, failing, Notice::Failing);
        notices
    }

    /// Returns when the next notice falls due, however the attempts go.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        match (self.notified_at, self.warned_at) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(later(self.since, NOTIFY_AFTER)),
            (None, None) => Some(later(self.since, WARN_AFTER)),
        }
    }

    /// Ends the outage; somebody who was told of it is told of its end.
    #[must_use]
    pub fn recovered(&self) -> Option<Notice> {
        (!self.asked_at.is_empty() || self.notified_at.is_some()).then_some(Notice::Recovered)
    }

    /// Returns whether the mirror's status is *failing*.
    #[must_use]
    pub fn is_failing(&self, now: Timestamp) -> bool {
        now >= later(self.since, NOTIFY_AFTER)
    }
}

fn class_of(disposition: Disposition) -> OutageClass {
    match disposition {
        Disposition::Temporary { .. } | Disposition::RefMoved => OutageClass::Temporary,
        Disposition::NeedsCustomer => OutageClass::NeedsCustomer,
        Disposition::Permanent => OutageClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Disposition::{NeedsCustomer, Permanent, RefMoved, Temporary};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[track_caller]
    fn check(failures: &[Disposition], jitter: Jitter, waits: &[i64]) {
        let mut retry = Retry::default();
        let waited: Vec<i64> = failures
            .iter()
            .map(|failure| retry.failed(*failure, at(0), jitter).as_second())
            .collect();
        assert_eq!(waited, waits);
        assert_eq!(retry.count as usize, failures.len());
    }

    #[test]
    fn every_five_minutes_spread_by_a_tenth() {
        let temporary = Temporary { after: None };
        check(
            &[temporary, NeedsCustomer, Permanent],
            Jitter::NONE,
            &[300, 300, 300],
        );
        check(
            &[temporary, NeedsCustomer, Permanent],
            Jitter(0),
            &[270, 270, 270],
        );
        check(
            &[temporary, NeedsCustomer, Permanent],
            Jitter(u16::MAX),
            &[329, 329, 329],
        );
    }

    #[test]
    fn a_remote_is_asked_no_earlier_than_it_wants_and_within_the_hour() {
        let after = |seconds| Temporary {
            after: Some(Duration::from_secs(seconds)),
        };
        check(&[after(10), after(0), after(1_000)], Jitter(0), &[10, 1, 1_000]);
        check(&[after(1_000_000)], Jitter(0), &[3_600]);
        check(
            &[after(1_000), after(u64::MAX)],
            Jitter(u16::MAX),
            &[1_099, 3_959],
        );
    }

    #[test]
    fn a_moved_ref_is_met_at_once_five_times_in_a_row() {
        check(&[RefMoved; 7], Jitter::NONE, &[0, 0, 0, 0, 0, 300, 300]);
        check(
            &[RefMoved, RefMoved, NeedsCustomer, RefMoved],
            Jitter::NONE,
            &[0, 0, 300, 0],
        );
    }

    fn failure(disposition: Disposition) -> Failure {
        let cause = match disposition {
            NeedsCustomer => Cause::Quota,
            _ => Cause::Remote,
        };
        Failure {
            disposition,
            cause,
            reason: "unreachable".to_owned(),
        }
    }

    /// Plays an outage that began at 0: what is told at which second.
    #[track_caller]
    fn check_notices(
        first: Disposition,
        steps: &[(i64, Option<Disposition>)],
        expected: &[(i64, Notice)],
        end: Option<Notice>,
    ) {
        let mut outage = Outage::begin(failure(first), at(0));
        let mut told: Vec<(i64, Notice)> = outage
            .take_notices(at(0))
            .into_iter()
            .map(|notice| (0, notice))
            .collect();
        for (second, failure) in steps {
            if let Some(failure) = failure {
                outage.failed(self::failure(*failure));
            }
            told.extend(
                outage
                    .take_notices(at(*second))
                    .into_iter()
                    .map(|notice| (*second, notice)),
            );
            let json = serde_json::to_string(&outage).unwrap();
            outage = serde_json::from_str(&json).unwrap();
        }
        assert_eq!(told, expected);
        assert_eq!(outage.recovered(), end);
    }

    #[test]
    fn admins_are_told_once_at_three_hours_and_again_at_the_end() {
        let temporary = Temporary { after: None };
        check_notices(temporary, &[(9_899, None)], &[], None);
        check_notices(
            temporary,
            &[
                (9_900, None),
                (10_799, Some(temporary)),
                (10_800, None),
                (10_801, Some(temporary)),
                (90_000, None),
            ],
            &[(9_900, Notice::Warning), (10_800, Notice::Failing)],
            Some(Notice::Recovered),
        );
        // A process that slept over the warning only says what is true now.
        check_notices(
            temporary,
            &[(20_000, None)],
            &[(20_000, Notice::Failing)],
            Some(Notice::Recovered),
        );
    }

    #[test]
    fn what_needs_the_customer_is_told_at_once_and_the_three_hours_stay() {
        let steps = [(300, Some(NeedsCustomer)), (9_900, None), (10_800, None)];
        let later = [(9_900, Notice::Warning), (10_800, Notice::Failing)];
        check_notices(
            NeedsCustomer,
            &steps,
            &[&[(0, Notice::NeedsCustomer)], &later[..]].concat(),
            Some(Notice::Recovered),
        );
        let turned = [&[(300, Notice::NeedsCustomer)], &later[..]].concat();
        check_notices(
            Temporary { after: None },
            &steps,
            &turned,
            Some(Notice::Recovered),
        );
    }

    #[test]
    fn another_thing_to_do_is_told_too_and_a_clock_put_back_delays_nothing_for_long() {
        let mut outage = Outage::begin(failure(NeedsCustomer), at(50_000));
        assert_eq!(outage.take_notices(at(50_000)), [Notice::NeedsCustomer]);
        outage.failed(Failure {
            cause: Cause::Credentials,
            ..failure(NeedsCustomer)
        });
        assert_eq!(outage.take_notices(at(50_300)), [Notice::NeedsCustomer]);
        outage.failed(failure(NeedsCustomer));
        assert_eq!(outage.take_notices(at(50_600)), []);
        assert_eq!(outage.take_notices(at(1_000)), []);
        assert_eq!(outage.take_notices(at(11_800)), [Notice::Failing]);
    }

    #[test]
    fn the_next_notice_wakes_even_between_retries() {
        let mut outage = Outage::begin(failure(Permanent), at(0));
        let mut dues = Vec::new();
        while let Some(due) = outage.next_due() {
            dues.push(due.as_second());
            assert_eq!(outage.take_notices(due).len(), 1);
        }
        assert_eq!(dues, [9_900, 10_800]);
        assert!(outage.is_failing(at(10_800)) && !outage.is_failing(at(10_799)));
    }
}
