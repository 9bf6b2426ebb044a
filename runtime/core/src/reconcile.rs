//! When a lane is compared with its source, and what of the differences had been told by nobody.
//!
//! A comparison looks at the source while events are on their way, so what it misses may be told a moment later. Only
//! what nobody told within a time of grace was missed. How the comparing is done is not known here.

use crate::{
    cut::{LogId, Position},
    ids::LaneId,
    key::EventKey,
    window::later,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, time::Duration};

/// What is kept of a lane's last comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// When it was compared; of a lane that never was, when it was first heard of.
    pub at: Timestamp,
    /// The same for the comparison for which everything is rendered.
    pub rendered_at: Timestamp,
    /// Where the log ended then: what it tells after that may be news.
    pub through: (LogId, Position),
}

impl Compared {
    /// What is known of a lane that was never compared.
    #[must_use]
    pub fn never(now: Timestamp, through: (LogId, Position)) -> Self {
        Self {
            at: now,
            rendered_at: now,
            through,
        }
    }
}

/// The two comparisons of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Versions, structures and runs, by listing.
    Listed,
    /// Everything, by rendering it.
    Rendered,
}

/// Returns when a lane is compared next: each lane has a moment of its own in every `every`, so that many do not
/// come at once, and whoever starts again comes to the same one. Between two comparisons lies at least the half of it.
#[must_use]
pub fn next(lane: &LaneId, depth: Depth, last: Timestamp, every: Duration) -> Timestamp {
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
    let name = match depth {
        Depth::Listed => "listed",
        Depth::Rendered => "rendered",
    };
    let key = EventKey::of(&[name, lane.mirror.as_str(), lane.branch.as_str()]);
    let digest = Sha256::digest(key.as_str().as_bytes());
    let number = digest[..7]
        .iter()
        .fold(0_i64, |number, byte| (number << 8) | i64::from(*byte));
    let own = number % every;
    let earliest = last.as_millisecond().saturating_add(every / 2);
    let wait = (own - earliest).rem_euclid(every);
    Timestamp::from_millisecond(earliest.saturating_add(wait)).unwrap_or(Timestamp::MAX)
}

/// What was missing when the source was last looked at, by name, and since when that is known.
///
/// Held in memory: after a restart the grace begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suspects(BTreeMap<String, Timestamp>);

impl Suspects {
    /// Takes in what is missing now: a name each, and when it happened where the source tells. Returns the names of
    /// those that nobody told within `grace`; the others stay until they are told, or it is over.
    pub fn judge<'m>(
        &mut self,
        missing: impl IntoIterator<Item = (&'m str, Option<Timestamp>)>,
        now: Timestamp,
        grace: Duration,
    ) -> Vec<&'m str> {
        let mut late = Vec::new();
        let mut kept = BTreeMap::new();
        for (name, happened) in missing {
            let known = self.0.get(name).copied();
            // What is said to lie ahead of us happened now.
            let since = [known, happened]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(now)
                .min(now);
            if later(since, grace) <= now {
                late.push(name);
            } else {
                kept.insert(name.to_owned(), since);
            }
        }
        self.0 = kept;
        late
    }

    /// Returns whether something was missing at the last look, and may be on its way.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns when the grace of one of them is over, and it has to be looked again.
    #[must_use]
    pub fn next_due(&self, grace: Duration) -> Option<Timestamp> {
        self.0.values().min().map(|since| later(*since, grace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const GRACE: Duration = Duration::from_secs(900);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn lane(branch: i64) -> LaneId {
        LaneId {
            mirror: "shop".parse().unwrap(),
            branch: branch.to_string().parse().unwrap(),
        }
    }

    #[test]
    fn a_lane_is_compared_at_its_own_moment_of_each_day_however_often_it_starts() {
        let first = next(&lane(7), Depth::Listed, at(0), DAY);
        assert!(first >= at(43_200) && first < at(129_600), "{first}");
        // On time, late, or not at all for days: it stays the moment of the day.
        for (compared, days) in [(0, 1), (30_000, 1), (5 * 86_400, 6)] {
            let again = next(
                &lane(7),
                Depth::Listed,
                later(first, Duration::from_secs(compared)),
                DAY,
            );
            assert_eq!(again, later(first, DAY * days), "after {compared} s");
        }
        // Who was late by more than the half of it is not compared again at once.
        let late = later(first, Duration::from_secs(60_000));
        assert_eq!(next(&lane(7), Depth::Listed, late, DAY), later(first, DAY * 2));
        assert_ne!(
            next(&lane(7), Depth::Listed, at(0), DAY),
            next(&lane(7), Depth::Rendered, at(0), DAY)
        );
    }

    #[test]
    fn lanes_that_begin_together_are_spread_over_the_day() {
        let mut quarters = [0; 4];
        for branch in 0..1_000 {
            let due = next(&lane(branch), Depth::Listed, at(0), DAY);
            let after = due.duration_since(at(43_200)).as_secs() / 21_600;
            quarters[usize::try_from(after).unwrap()] += 1;
        }
        assert!(
            quarters.iter().all(|count| (200..300).contains(count)),
            "{quarters:?}"
        );
    }

    #[track_caller]
    fn check(suspects: &mut Suspects, now: i64, missing: &[(&str, Option<i64>)], late: &[&str]) {
        let missing = missing.iter().map(|(name, happened)| (*name, happened.map(at)));
        assert_eq!(suspects.judge(missing, at(now), GRACE), late);
    }

    #[test]
    fn only_what_nobody_told_within_the_grace_was_missed() {
        let mut suspects = Suspects::default();
        check(
            &mut suspects,
            1_000,
            &[
                ("old", Some(0)),
                ("young", Some(500)),
                ("who knows", None),
                ("ahead", Some(9_999)),
            ],
            &["old"],
        );
        assert_eq!(suspects.next_due(GRACE), Some(at(1_400)));
        // It was told meanwhile, and one more has happened.
        check(
            &mut suspects,
            1_400,
            &[("young", Some(500)), ("who knows", None), ("new", None)],
            &["young"],
        );
        check(&mut suspects, 1_900, &[("who knows", None)], &["who knows"]);
        assert_eq!(suspects.next_due(GRACE), None);
        // What comes back has a grace of its own.
        check(&mut suspects, 3_000, &[("who knows", None)], &[]);
    }
}
