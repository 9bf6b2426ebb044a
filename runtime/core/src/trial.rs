//! Which one object it is over which a process dies, again and again.
//!
//! Some failures leave nobody to tell of them: the process is out of memory, or aborts. What a lane was working on is in
//! the log by then (its cut), so whoever starts next knows that the one before did not come to an end. After some deaths
//! it looks for the one object: it does all the work but the last step with a part of what the cut wants, and halves
//! what is left under suspicion, whether it lives or dies. Only an object that two processes died over while they worked on
//! nothing else is put aside, and only if one lived through nothing at all in between: whoever is killed from outside again and again
//! may well have been at work on a single object, and would have died without it. Where the work kills without any of
//! them, the lane itself is held.

use crate::{
    cut::CutId,
    finding::WithholdReason,
    ids::ObjectKey,
    window::{later, within},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A lane over which the process dies is held so long before it is tried once more; each time after that for four times as long,
/// up to [`HELD_FOR_MAX`]: the first deaths may have been chance, as where a machine is stopped again and again.
pub const HELD_FOR_FIRST: Duration = Duration::from_secs(15 * 60);
pub const HELD_FOR_MAX: Duration = Duration::from_secs(86_400);

/// What is known of deaths over a lane. Kept durably.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Objects that processes died over, and how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolated: Vec<(ObjectKey, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

impl Record {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.isolated.is_empty() && self.trial.is_none()
    }

    /// Returns why an object is kept out of work; a row goes with its configuration, a sample with its table.
    #[must_use]
    pub fn reason(&self, key: &ObjectKey) -> Option<WithholdReason> {
        let whose = |isolated: &ObjectKey| match (isolated, key) {
            (ObjectKey::Config { .. }, ObjectKey::Row { .. }) => isolated.config() == key.config(),
            (ObjectKey::Table(table), ObjectKey::Sample(of)) => table == of,
            _ => isolated == key,
        };
        let found = self.isolated.iter().find(|(isolated, _)| whose(isolated));
        found.map(|(_, deaths)| WithholdReason::Fatal { deaths: *deaths })
    }

    /// Lets everything be tried again from `now` on, also what is held; returns whether there was something.
    pub fn release_all(&mut self, now: Timestamp) -> bool {
        let was_held = self.trial.as_mut().is_some_and(|trial| trial.let_go(now));
        self.release(|_| true) || was_held
    }

    /// Lets objects be tried again; returns whether there was one.
    pub fn release(&mut self, is_meant: impl Fn(&ObjectKey) -> bool) -> bool {
        let before = self.isolated.len();
        self.isolated.retain(|(key, _)| !is_meant(key));
        self.isolated.len() < before
    }
}

/// A lane's work that was found unfinished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    pub cut: CutId,
    /// Processes that died over the cut, as far as is known.
    pub deaths: u32,
    /// Somebody works on it: if it is found so by another process, that one died.
    begun: bool,
    step: Step,
    /// Searches in which nobody was found, since the lane was held last.
    searches: u32,
    /// How often the lane was held.
    #[serde(default)]
    holds: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    /// Everything is worked on.
    Whole,
    /// Nothing of what the cut wants is.
    Nothing,
    /// The first `trying` of the suspects are.
    Some { suspects: Vec<ObjectKey>, trying: usize },
    /// A process died over this one alone. Once more, nothing is worked on.
    Control { suspect: ObjectKey },
    /// Once more, this one alone is.
    Again { suspect: ObjectKey },
    /// They died of this one.
    Guilty { suspect: ObjectKey },
    /// The lane itself is held.
    Held { until: Timestamp },
}

/// The lane is to be held, and nobody has said until when.
const UNDECIDED: Timestamp = Timestamp::MIN;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Work as ever.
    Work,
    /// Do the work, up to the last step, with nothing of what the cut wants but this.
    Probe(Vec<ObjectKey>),
    /// Put it aside, and go on.
    Isolate(ObjectKey),
    /// Leave the lane alone until then.
    Hold(Timestamp),
}

impl Trial {
    /// Takes in that a process finds a cut which it has not made itself.
    #[must_use]
    pub fn found(stored: Option<Self>, cut: &CutId) -> Self {
        let Some(mut trial) = stored.filter(|trial| trial.cut == *cut) else {
            // Who made the cut had not ended with it. It may have been stopped, which does no harm here.
            return Self {
                cut: cut.clone(),
                deaths: 1,
                begun: false,
                step: Step::Whole,
                searches: 0,
                holds: 0,
            };
        };
        if trial.begun {
            trial.deaths += 1;
            trial.died();
        }
        trial.begun = false;
        trial
    }

    fn died(&mut self) {
        match &mut self.step {
            Step::Whole | Step::Held { .. } | Step::Guilty { .. } => {}
            // It is none of them.
            Step::Nothing => {
                self.step = Step::Held { until: UNDECIDED };
            }
            // It is one of these.
            Step::Some { suspects, trying } => {
                suspects.truncate(*trying);
                if let [suspect] = &suspects[..] {
                    self.step = Step::Control {
                        suspect: suspect.clone(),
                    };
                }
            }
            // Whatever it is, it kills without the suspect too.
            Step::Control { .. } => self.acquit(),
            Step::Again { suspect } => {
                self.step = Step::Guilty {
                    suspect: suspect.clone(),
                };
            }
        }
    }

    /// Decides what to do, which is to be stored before it is done. `deaths_max` deaths are taken for chance.
    pub fn next(&mut self, deaths_max: u32, now: Timestamp) -> Next {
        // Whoever was held already is not given the benefit of the doubt twice.
        let was_searched_after_a_hold = self.holds > 0 && self.searches > 0 && self.deaths > 0;
        if self.step == Step::Whole && (self.deaths > deaths_max || was_searched_after_a_hold) {
            self.step = match self.searches {
                0 => Step::Nothing,
                // It dies of what no search goes through.
                _ => Step::Held { until: UNDECIDED },
            };
        }
        let next = match &mut self.step {
            Step::Whole => Next::Work,
            Step::Nothing | Step::Control { .. } => Next::Probe(Vec::new()),
            Step::Some { suspects, .. } if suspects.is_empty() => {
                self.acquit();
                Next::Work
            }
            Step::Some { suspects, trying } => {
                *trying = suspects.len().div_ceil(2);
                Next::Probe(suspects[..*trying].to_vec())
            }
            Step::Again { suspect } => Next::Probe(vec![suspect.clone()]),
            Step::Guilty { suspect } => Next::Isolate(suspect.clone()),
            Step::Held { until } if *until == UNDECIDED => {
                let held_for = HELD_FOR_FIRST.saturating_mul(4_u32.saturating_pow(self.holds));
                *until = later(now, held_for.min(HELD_FOR_MAX));
                self.holds = self.holds.saturating_add(1);
                Next::Hold(*until)
            }
            Step::Held { until } if *until > now => {
                *until = within(*until, HELD_FOR_MAX, now);
                Next::Hold(*until)
            }
            Step::Held { .. } => {
                // One more death, and it is searched again: chance may have acquitted the one.
                self.step = Step::Whole;
                self.searches = 0;
                self.deaths = deaths_max;
                Next::Work
            }
        };
        self.begun = matches!(next, Next::Work | Next::Probe(_));
        next
    }

    /// Takes in that what [`Self::next`] asked for was lived through. `candidates` are the objects that the cut wants, but
    /// for those that are isolated.
    pub fn survived(&mut self, candidates: impl FnOnce() -> Vec<ObjectKey>) {
        self.begun = false;
        match &mut self.step {
            Step::Whole | Step::Held { .. } | Step::Guilty { .. } => {}
            Step::Control { suspect } => {
                self.step = Step::Again {
                    suspect: suspect.clone(),
                };
            }
            Step::Again { .. } => self.acquit(),
            Step::Nothing => {
                self.step = Step::Some {
                    suspects: candidates(),
                    trying: 0,
                };
            }
            Step::Some { suspects, trying } => {
                suspects.drain(..(*trying).min(suspects.len()));
                *trying = 0;
            }
        }
    }

    /// Takes in that the work ended without a result: it says nothing.
    pub fn interrupted(&mut self) {
        self.begun = false;
    }

    /// Takes in that the one was put aside. Others may be like it: the next death is enough to look for them.
    pub fn isolated(&mut self, deaths_max: u32) {
        self.step = Step::Whole;
        self.deaths = deaths_max;
        self.begun = false;
    }

    /// Ends the time for which the lane is held; returns whether it was.
    fn let_go(&mut self, now: Timestamp) -> bool {
        match &mut self.step {
            Step::Held { until } if *until > now => {
                *until = now;
                true
            }
            _ => false,
        }
    }

    /// Nobody was found.
    fn acquit(&mut self) {
        self.step = Step::Whole;
        self.deaths = 0;
        self.searches += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const DEATHS_MAX: u32 = 2;

    fn config(number: usize) -> ObjectKey {
        ObjectKey::Config {
            component: "c".parse().unwrap(),
            config: number.to_string().parse().unwrap(),
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + hour * 3_600).unwrap()
    }

    /// What kills a process.
    #[derive(Clone, Copy)]
    struct Killer<'k> {
        objects: &'k [usize],
        /// The lane, whatever it works on; or only its last step.
        always: bool,
        at_the_end: bool,
    }

    /// Plays processes over one cut until one comes to an end; returns what was put aside, and how many died.
    fn play(count: usize, killer: Killer<'_>) -> (Vec<usize>, u32, bool) {
        let cut = CutId::stored("cut".into());
        let wanted: Vec<ObjectKey> = (0..count).map(config).collect();
        let fatal: BTreeSet<ObjectKey> = killer.objects.iter().map(|number| config(*number)).collect();
        let mut record = Record::default();
        // The one that made the cut.
        let mut deaths = 1;
        loop {
            assert!(deaths < 100, "it never ends");
            record.trial = Some(Trial::found(record.trial.take(), &cut));
            // The life of a process; what it stores survives it.
            let died = loop {
                let mut trial = record.trial.clone().unwrap();
                let next = trial.next(DEATHS_MAX, at(0));
                record.trial = Some(trial.clone());
                let works_on: Vec<ObjectKey> = match next {
                    Next::Work => wanted
                        .iter()
                        .filter(|key| record.reason(key).is_none())
                        .cloned()
                        .collect(),
                    Next::Probe(ref some) => some.clone(),
                    Next::Isolate(key) => {
                        record.isolated.push((key, deaths));
                        trial.isolated(DEATHS_MAX);
                        record.trial = Some(trial);
                        continue;
                    }
                    Next::Hold(until) => {
                        assert_eq!(until, later(at(0), HELD_FOR_FIRST));
                        return (isolated(&record, &wanted), deaths, true);
                    }
                };
                let ends = next == Next::Work;
                if killer.always
                    || (killer.at_the_end && ends)
                    || works_on.iter().any(|key| fatal.contains(key))
                {
                    break true;
                }
                if ends {
                    break false;
                }
                let left = wanted.iter().filter(|key| record.reason(key).is_none());
                trial.survived(|| left.cloned().collect());
                record.trial = Some(trial);
            };
            if !died {
                return (isolated(&record, &wanted), deaths, false);
            }
            deaths += 1;
        }
    }

    fn isolated(record: &Record, wanted: &[ObjectKey]) -> Vec<usize> {
        let found = (0..wanted.len()).filter(|number| record.reason(&wanted[*number]).is_some());
        found.collect()
    }

    const NOTHING: Killer<'static> = Killer {
        objects: &[],
        always: false,
        at_the_end: false,
    };

    #[test]
    fn the_one_is_found_wherever_it_is_and_nobody_else() {
        for count in [1, 2, 3, 7, 64, 100] {
            for guilty in 0..count {
                let killer = Killer {
                    objects: &[guilty],
                    ..NOTHING
                };
                let (found, deaths, held) = play(count, killer);
                assert_eq!((found, held), (vec![guilty], false), "{guilty} of {count}");
                let halvings = count.next_power_of_two().ilog2();
                assert!(
                    deaths <= DEATHS_MAX + 3 + halvings,
                    "{deaths} deaths for {guilty} of {count}"
                );
            }
        }
    }

    #[test]
    fn several_are_found_one_after_the_other() {
        let killer = Killer {
            objects: &[3, 40, 41],
            ..NOTHING
        };
        assert_eq!(play(64, killer).0, [3, 40, 41]);
    }

    #[test]
    fn who_was_stopped_and_not_killed_puts_nothing_aside() {
        assert_eq!(play(9, NOTHING), (vec![], 1, false));
    }

    #[test]
    fn where_no_object_is_to_blame_the_lane_is_held_and_nothing_put_aside() {
        let always = Killer {
            always: true,
            ..NOTHING
        };
        let (found, deaths, held) = play(50, always);
        assert_eq!((found.len(), held), (0, true));
        assert!(deaths <= DEATHS_MAX + 2, "{deaths}");
        let at_the_end = Killer {
            at_the_end: true,
            ..NOTHING
        };
        let (found, deaths, held) = play(50, at_the_end);
        assert_eq!((found.len(), held), (0, true));
        assert!(deaths <= 2 * DEATHS_MAX + 3, "{deaths}");
    }

    #[test]
    fn a_lane_that_was_held_before_the_clock_was_put_back_is_held_for_a_day_at_most() {
        let mut trial = Trial::found(None, &CutId::stored("cut".into()));
        trial.step = Step::Held { until: at(1_000) };
        let until = at(24);
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Hold(until));
        assert_eq!(trial.next(DEATHS_MAX, at(1)), Next::Hold(until));
        assert_eq!(trial.next(DEATHS_MAX, at(24)), Next::Work);
    }

    #[test]
    fn a_held_lane_is_tried_ever_less_often_but_once_a_day() {
        let mut trial = Trial::found(None, &CutId::stored("cut".into()));
        trial.deaths = DEATHS_MAX + 1;
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![]));
        let mut now = at(0);
        for minutes in [15, 60, 240, 960, 1_440, 1_440] {
            let until = later(now, Duration::from_secs(minutes * 60));
            trial = found_again(trial);
            assert_eq!(trial.next(DEATHS_MAX, now), Next::Hold(until));
            // Restarts change nothing.
            trial = found_again(trial);
            assert_eq!(
                trial.next(DEATHS_MAX, later(now, Duration::from_secs(60))),
                Next::Hold(until)
            );
            now = until;
            // Once more: all of it, and nothing of it.
            assert_eq!(trial.next(DEATHS_MAX, now), Next::Work);
            trial = found_again(trial);
            assert_eq!(trial.next(DEATHS_MAX, now), Next::Probe(vec![]));
        }
        trial = found_again(trial);
        let held = matches!(trial.next(DEATHS_MAX, now), Next::Hold(until) if until > now);
        let mut record = Record {
            trial: Some(trial),
            ..Record::default()
        };
        assert!(held && record.release_all(now) && !record.release_all(now));
        let next = record.trial.map(|mut trial| trial.next(DEATHS_MAX, now));
        assert_eq!(next, Some(Next::Work), "somebody asked for it");
    }

    #[test]
    fn failing_without_dying_is_no_death_however_often_the_process_starts() {
        let cut = CutId::stored("cut".into());
        let mut stored = None;
        for _ in 0..20 {
            let mut trial = Trial::found(stored.take(), &cut);
            assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Work);
            trial.interrupted();
            stored = Some(trial);
        }
        // Another cut has its own.
        assert_eq!(Trial::found(stored, &CutId::stored("new".into())).deaths, 1);
    }

    /// A search that has come as far as trying its only suspect alone.
    fn alone() -> Trial {
        let mut trial = Trial::found(None, &CutId::stored("cut".into()));
        trial.deaths = DEATHS_MAX + 1;
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![]));
        trial.survived(|| vec![config(1)]);
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![config(1)]));
        trial
    }

    fn found_again(trial: Trial) -> Trial {
        Trial::found(Some(trial), &CutId::stored("cut".into()))
    }

    #[test]
    fn what_ended_without_a_result_is_tried_again_before_anybody_is_put_aside() {
        let mut trial = alone();
        trial.interrupted();
        // By this process, and by the next.
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![config(1)]));
        trial.interrupted();
        let mut trial = found_again(trial);
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![config(1)]));
    }

    #[test]
    fn nobody_is_put_aside_for_a_death_that_would_have_come_without_it() {
        let once = found_again(alone());
        let mut trial = once.clone();
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![]));
        let mut trial = found_again(trial);
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Work, "it was not the object");

        let mut trial = once;
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![]));
        trial.survived(Vec::new);
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![config(1)]));
        let mut guilty = found_again(trial.clone());
        assert_eq!(guilty.next(DEATHS_MAX, at(0)), Next::Isolate(config(1)));
        trial.survived(Vec::new);
        assert_eq!(
            trial.next(DEATHS_MAX, at(0)),
            Next::Work,
            "it can be lived through"
        );
    }

    #[test]
    fn who_was_acquitted_by_chance_is_found_after_the_hold() {
        // It killed, and then something else did, in the probe without it.
        let mut trial = found_again(alone());
        assert_eq!(trial.next(DEATHS_MAX, at(0)), Next::Probe(vec![]));
        trial = found_again(trial);
        let mut deaths = 0;
        while trial.next(DEATHS_MAX, at(0)) == Next::Work {
            trial = found_again(trial);
            deaths += 1;
        }
        assert_eq!(deaths, DEATHS_MAX + 1);
        let now = later(at(0), HELD_FOR_FIRST);
        assert_eq!(trial.next(DEATHS_MAX, now), Next::Work);
        trial = found_again(trial);
        assert_eq!(trial.next(DEATHS_MAX, now), Next::Probe(vec![]));
        trial.survived(|| vec![config(1)]);
        for _ in 0..2 {
            assert_eq!(trial.next(DEATHS_MAX, now), Next::Probe(vec![config(1)]));
            trial = found_again(trial);
            if trial.next(DEATHS_MAX, now) == Next::Probe(vec![]) {
                trial.survived(Vec::new);
            }
        }
        assert_eq!(trial.next(DEATHS_MAX, now), Next::Isolate(config(1)));
    }

    #[test]
    fn where_only_the_last_step_kills_each_hold_costs_two_deaths() {
        let mut trial = Trial::found(None, &CutId::stored("cut".into()));
        let (mut now, mut holds, mut deaths) = (at(0), 0, 0);
        while holds < 5 {
            match trial.next(DEATHS_MAX, now) {
                Next::Work => {
                    trial = found_again(trial);
                    deaths += 1;
                }
                Next::Probe(_) => trial.survived(|| vec![config(1), config(2)]),
                Next::Isolate(key) => panic!("{key} is not to blame"),
                Next::Hold(until) => {
                    assert!(holds == 0 || deaths == 2, "{deaths} deaths in hold {holds}");
                    (now, holds, deaths) = (until, holds + 1, 0);
                }
            }
        }
    }

    #[test]
    fn rows_and_samples_go_with_what_they_belong_to() {
        let table = "in.c-shop.orders".parse().unwrap();
        let mut record = Record {
            isolated: vec![(config(1), 3), (ObjectKey::Table(table), 3)],
            trial: None,
        };
        let row = |number: usize| ObjectKey::Row {
            component: "c".parse().unwrap(),
            config: number.to_string().parse().unwrap(),
            row: "r".parse().unwrap(),
        };
        assert!(record.reason(&row(1)).is_some() && record.reason(&row(2)).is_none());
        let sample = ObjectKey::Sample("in.c-shop.orders".parse().unwrap());
        assert!(record.reason(&sample).is_some());
        assert!(record.release(|key| *key == config(1)) && record.reason(&row(1)).is_none());
        assert!(!record.release(|key| *key == config(1)));
    }
}
