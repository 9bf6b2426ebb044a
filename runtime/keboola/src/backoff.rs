//! Whether to repeat a failed request, and after how long. Pure: chance is an argument.

use crate::{Disposition, KeboolaError};
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) retries_max: u32,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) retry_after_max: Duration,
}

impl Backoff {
    /// Returns how long to wait before the next try, or none to give up. `tried` counts the
    /// requests made so far; `chance` spreads the wait over the upper half of its span.
    pub(crate) fn next_wait(&self, tried: u32, error: &KeboolaError, chance: u64) -> Option<Duration> {
        let Disposition::Retry { after } = error.disposition() else {
            return None;
        };
        if tried > self.retries_max || after.is_some_and(|after| after > self.retry_after_max) {
            return None;
        }
        let doubled = 2u32.saturating_pow(tried.saturating_sub(1).min(20));
        let span = self.min.saturating_mul(doubled).min(self.max);
        let span_us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let half = span_us / 2;
        let own = Duration::from_micros(half + chance % (span_us - half + 1));
        Some(after.map_or(own, |after| after.max(own)))
    }
}

/// A stream of chances, for jitter only (SplitMix64).
pub(crate) fn chance(seed: u64, step: u64) -> u64 {
    let mut state = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        retries_max: 3,
        min: Duration::from_millis(100),
        max: Duration::from_millis(300),
        retry_after_max: Duration::from_secs(30),
    };

    fn limited(seconds: Option<u64>) -> KeboolaError {
        KeboolaError::RateLimited {
            what: "x".into(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    #[track_caller]
    fn check(tried: u32, error: &KeboolaError, chance: u64, expected_ms: Option<u128>) {
        let found = BACKOFF
            .next_wait(tried, error, chance)
            .map(|wait| wait.as_micros() / 1000);
        assert_eq!(found, expected_ms, "after {tried} tries, chance {chance}");
    }

    #[test]
    fn waits_double_up_to_the_maximum_and_end() {
        check(1, &limited(None), 0, Some(50));
        check(1, &limited(None), 50_000, Some(100));
        check(2, &limited(None), 0, Some(100));
        check(3, &limited(None), 0, Some(150));
        check(4, &limited(None), 0, None);
    }

    #[test]
    fn the_server_may_ask_for_longer_but_not_for_too_long() {
        check(1, &limited(Some(7)), 0, Some(7000));
        check(1, &limited(Some(0)), 0, Some(50));
        check(1, &limited(Some(31)), 0, None);
    }

    #[test]
    fn what_will_fail_again_is_not_repeated() {
        let what = || "x".to_owned();
        check(
            1,
            &KeboolaError::TooLarge {
                what: what(),
                limit: 1,
            },
            0,
            None,
        );
        let gone = KeboolaError::NotFound {
            what: what(),
            code: String::new(),
            exception_id: String::new(),
        };
        check(1, &gone, 0, None);
    }

    #[test]
    fn chances_differ_by_seed_and_step() {
        let all = [chance(0, 0), chance(0, 1), chance(1, 0), chance(1, 1)];
        assert!((1..4).all(|i| !all[..i].contains(&all[i])));
        assert_eq!(chance(7, 3), chance(7, 3));
    }
}
