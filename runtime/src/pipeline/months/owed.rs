//! What the branches of months do not have yet, and where the mirror left them.
//!
//! A record of the lane beside its derived state, so that it outlives whatever that is made anew from: a run in it is in
//! no tree yet, and the cursor has passed it.

use crate::pipeline::memory::Shard;
use mirror_core::{
    ids::{Oid, RunId},
    jobs::{days, months::Month},
    layout::{Entry, IndexKind},
};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pipeline) struct Owed {
    /// What the mirror pushed last.
    tips: BTreeMap<Month, Oid>,
    /// What is told of runs, by day and run.
    runs: BTreeMap<(String, String), String>,
}

const TIP: &str = "tip ";
const RUN: &str = "run ";

impl Owed {
    /// Reads what was kept. What another release wrote is passed over: the source tells of runs too.
    pub(in crate::pipeline) fn of_rows(rows: BTreeMap<String, String>) -> Self {
        let mut owed = Self::default();
        for (name, value) in rows {
            if let Some(month) = name.strip_prefix(TIP) {
                let month = Month::of_day(&format!("{}/01", month.replace('-', "/")));
                if let (Some(month), Ok(tip)) = (month, Oid::parse(&value)) {
                    owed.tips.insert(month, tip);
                }
            } else if let Some((day, run)) = name.strip_prefix(RUN).and_then(|run| run.split_once(' '))
                && days::date(day).is_some()
            {
                owed.runs.insert((day.to_owned(), run.to_owned()), value);
            }
        }
        owed
    }

    /// Returns what is to be kept, by names.
    pub(in crate::pipeline) fn rows(&self) -> BTreeMap<String, String> {
        let tips = self.tips.iter();
        let tips = tips.map(|(month, tip)| (format!("{TIP}{month}"), tip.to_string()));
        let runs = self.runs.iter();
        let runs = runs.map(|((day, run), value)| (format!("{RUN}{day} {run}"), value.clone()));
        tips.chain(runs).collect()
    }

    pub(in crate::pipeline) fn tip(&self, month: Month) -> Option<Oid> {
        self.tips.get(&month).copied()
    }

    pub(in crate::pipeline) fn has_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Returns the months that do not have some of their runs, and how many.
    pub(in crate::pipeline) fn months(&self) -> BTreeMap<Month, usize> {
        let mut months = BTreeMap::new();
        for (day, _) in self.runs.keys() {
            if let Some(month) = Month::of_day(day) {
                *months.entry(month).or_default() += 1;
            }
        }
        months
    }

    /// Returns what is told of the runs of months that are meant.
    pub(in crate::pipeline) fn entries(&self, is_meant: impl Fn(Month) -> bool) -> Vec<Entry> {
        let meant = |day: &str| Month::of_day(day).is_some_and(&is_meant);
        let runs = self.runs.iter().filter(|((day, _), _)| meant(day));
        runs.map(|((day, run), value)| Entry {
            kind: IndexKind::JobDay,
            shard: day.clone(),
            key: run.clone(),
            value: value.clone(),
        })
        .collect()
    }

    /// Takes out runs that the remote objects to; returns their days.
    pub(in crate::pipeline) fn take_out(&mut self, runs: &BTreeSet<RunId>) -> Vec<(Shard, RunId)> {
        let mut taken = Vec::new();
        self.runs.retain(|(day, run), _| {
            let out = RunId::parse(run).ok().filter(|run| runs.contains(run));
            taken.extend(out.clone().map(|run| ((IndexKind::JobDay, day.clone()), run)));
            out.is_none()
        });
        taken
    }

    /// Notes that the remote has runs.
    pub(in crate::pipeline) fn has(&mut self, month: Month, tip: Oid, runs: &[Entry]) {
        self.tips.insert(month, tip);
        for entry in runs {
            self.runs.remove(&(entry.shard.clone(), entry.key.clone()));
        }
    }

    /// Notes that the remote does not have runs.
    pub(in crate::pipeline) fn owe(&mut self, runs: Vec<Entry>) {
        for Entry {
            shard, key, value, ..
        } in runs
        {
            self.runs.insert((shard, key), value);
        }
    }

    /// Returns the months whose branches are still to go, as none of their days is kept up to the newest day `newest`.
    pub(in crate::pipeline) fn given_up(&self, newest: &str, keep_days: u32) -> BTreeSet<Month> {
        let months = self.tips.keys().copied();
        months.filter(|month| !month.is_kept(newest, keep_days)).collect()
    }

    /// Forgets where a month was left.
    pub(in crate::pipeline) fn forget(&mut self, month: Month) {
        self.tips.remove(&month);
    }

    /// Forgets runs that are no longer kept.
    pub(in crate::pipeline) fn keep_days(&mut self, newest: &str, keep_days: u32) {
        self.runs
            .retain(|(day, _), _| days::is_kept(day, newest, keep_days));
    }

    /// Forgets all runs: the lane's own branch has them.
    pub(in crate::pipeline) fn forget_runs(&mut self) {
        self.runs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(day: &str, run: &str) -> Entry {
        Entry {
            kind: IndexKind::JobDay,
            shard: day.to_owned(),
            key: run.to_owned(),
            value: format!("{{\"runId\":\"{run}\"}}"),
        }
    }

    fn month(day: &str) -> Month {
        Month::of_day(day).expect("a day")
    }

    #[test]
    fn what_is_owed_is_kept_until_the_remote_has_it_or_nobody_wants_it() {
        let mut owed = Owed::default();
        let tip = Oid::from_bytes([7; 20]);
        let all = [
            run("2026/09/30", "1"),
            run("2026/10/01", "2"),
            run("2026/10/02", "a b"),
        ];
        owed.has(month("2026/10/01"), tip, &[]);
        owed.owe(all.to_vec());
        let mut owed = Owed::of_rows(owed.rows());
        assert_eq!(owed.tip(month("2026/10/09")), Some(tip));
        assert_eq!(owed.entries(|_| true), all);
        assert_eq!(owed.entries(|meant| meant == month("2026/09/30")), all[..1]);
        let counts: Vec<usize> = owed.months().into_values().collect();
        assert_eq!(counts, [1, 2]);

        owed.has(month("2026/10/01"), tip, &all[1..2]);
        assert_eq!(owed.entries(|_| true), [all[0].clone(), all[2].clone()]);
        owed.keep_days("2026/10/02", 2);
        assert!(owed.given_up("2026/10/02", 2).is_empty());
        assert_eq!(
            owed.given_up("2026/11/02", 2),
            BTreeSet::from([month("2026/10/01")])
        );
        assert_eq!(owed.entries(|_| true), [all[2].clone()]);
        let objected = BTreeSet::from([RunId::parse("a b").expect("an id")]);
        assert_eq!(owed.take_out(&objected).len(), 1);
        assert!(!owed.has_runs());
    }

    #[test]
    fn what_another_release_wrote_is_passed_over() {
        let rows = [
            ("tip x", "7"),
            ("tip 2026-10", "no id"),
            ("run 1", "{}"),
            ("other", ""),
        ];
        let rows = rows.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(Owed::of_rows(rows.into()), Owed::default());
    }
}
