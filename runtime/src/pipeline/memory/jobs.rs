//! What a lane remembers of job runs: the runs of the open days, how configurations stand, and what
//! the month has cost. Closed days are in the repository only, so that this does not grow with history.

use super::{EntryKey, Memory, Row, Shard, StoredRow, entries::of_kind};
use crate::{packed::text, state::RowKey};
use jiff::Timestamp;
use mirror_core::{
    cut::ConfigKey,
    ids::{ComponentId, ConfigId},
    jobs::{
        budget::{Growth, Spent},
        days,
    },
    layout::{Entry, IndexKind},
    path::MirrorPath,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

impl Memory {
    /// Returns whether the runs of a day are not at hand, but in the repository.
    #[must_use]
    pub fn is_closed(&self, shard: &Shard) -> bool {
        shard.0 == IndexKind::JobDay
            && self.shards.contains(shard)
            && !self.entries.shards().contains_key(shard)
    }

    /// Returns whether a shard has entries that were not gathered yet.
    #[must_use]
    pub fn has_pending(&self, shard: &Shard) -> bool {
        self.pending.contains_key(shard)
    }

    /// Returns the runs of which something is told that was not gathered yet, by day.
    #[must_use]
    pub fn told_runs(&self) -> BTreeMap<Shard, BTreeSet<String>> {
        let told = of_kind(&self.pending, IndexKind::JobDay);
        let keys = |entries: &Vec<Entry>| entries.iter().map(|entry| entry.key.clone()).collect();
        told.map(|(shard, entries)| (shard.clone(), keys(entries)))
            .collect()
    }

    /// Returns what is told of some runs of a day that is at hand.
    #[must_use]
    pub fn runs(&self, shard: &Shard, runs: BTreeSet<String>) -> Vec<Entry> {
        let names = runs.into_iter().map(|key| EntryKey::within_shard(shard, key));
        names.filter_map(|name| self.entry(&name)).collect()
    }

    /// Takes in a closed day as the repository has it.
    pub fn open_day(&mut self, shard: &Shard, entries: Vec<Entry>) {
        self.entries.open(shard);
        for Entry { key, value, .. } in entries {
            self.entries.insert(&EntryKey::within_shard(shard, key), value);
        }
    }

    /// Lets go of the runs of days that are not open any more; `but` those that could not be gathered.
    pub fn close_days(&mut self, but: &BTreeSet<Shard>, now: Timestamp) {
        let Some(newest) = self.newest_day(now) else {
            return;
        };
        let closed: Vec<Shard> = days_of(self.entries.shards())
            .filter(|shard| !but.contains(*shard))
            .filter(|shard| self.shards.contains(shard) && !days::is_open(&shard.1, &newest))
            .cloned()
            .collect();
        for shard in closed {
            self.forget_entries(&shard);
        }
    }

    /// Forgets the days that are no longer kept, and returns them with their files.
    pub fn drop_days(&mut self, keep_days: u32, now: Timestamp) -> Vec<(Shard, Vec<MirrorPath>)> {
        let Some(newest) = self.newest_day(now) else {
            return Vec::new();
        };
        let dropped: BTreeSet<Shard> = self
            .days()
            .filter(|shard| !days::is_kept(&shard.1, &newest, keep_days))
            .cloned()
            .collect();
        self.drop_shards(dropped)
    }

    /// Forgets the whole history of runs, and returns its shards with their files.
    pub fn drop_history(&mut self) -> Vec<(Shard, Vec<MirrorPath>)> {
        let mut dropped = self.all_shards();
        dropped.extend(self.pending.keys().cloned());
        dropped.retain(|(kind, _)| matches!(kind, IndexKind::JobDay | IndexKind::JobHealth));
        self.drop_shards(dropped)
    }

    fn drop_shards(&mut self, shards: BTreeSet<Shard>) -> Vec<(Shard, Vec<MirrorPath>)> {
        let drop = |shard: Shard| {
            self.pending.remove(&shard);
            self.forget_entries(&shard);
            let files = self.keep_shard(shard.clone(), &[]);
            (shard, files)
        };
        shards.into_iter().map(drop).collect()
    }

    fn forget_entries(&mut self, shard: &Shard) {
        self.replace_entries(shard, Vec::new());
        self.entries.close(shard);
    }

    pub(super) fn days(&self) -> impl Iterator<Item = &Shard> {
        let days = days_of(self.entries.shards()).chain(days_of(&self.pending));
        days.chain(self.shards.days())
    }

    /// Returns the newest day that has runs and is not ahead of `now`: a run that says it ended some day in the future
    /// stays, and takes no other away.
    #[must_use]
    pub fn newest_day(&self, now: Timestamp) -> Option<String> {
        self.days()
            .filter(|(_, day)| !days::is_ahead(day, now))
            .filter_map(|(_, day)| Some((days::date(day)?, day)))
            .max()
            .map(|(_, day)| day.clone())
    }

    /// Returns how configurations stand: whether they fail, since a run that finished then. A line
    /// that another renderer wrote in a form of its own tells nothing.
    pub fn standings(&self) -> impl Iterator<Item = (ConfigKey, bool, Timestamp)> {
        let lines = self.entries.values(IndexKind::JobHealth);
        lines.filter_map(|line| {
            let health: HealthLine = serde_json::from_str(&line).ok()?;
            let last = [health.last_success, health.last_failure];
            let at = last.into_iter().flatten().map(|last| last.finished_at).max()?;
            let key = ConfigKey {
                component: ComponentId::parse(&health.component_id).ok()?,
                config: ConfigId::parse(&health.config_id).ok()?,
            };
            Some((key, health.status? == "failing", at))
        })
    }

    /// Returns by how much the history of runs grew since the last call.
    #[must_use]
    pub fn take_growth(&mut self) -> Growth {
        std::mem::take(&mut self.growth)
    }

    /// Returns what the history of runs has cost this month.
    #[must_use]
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// Adds the cost of a commit.
    pub fn spend(&mut self, bytes: u64, at: Timestamp) {
        if bytes > 0 {
            self.spent.add(bytes, at);
            self.touch(StoredRow::Spent);
        }
    }

    /// Takes over what was spent before the memory was read back from the repository.
    pub fn carry_spent(&mut self, spent: Spent) {
        self.spent = spent;
    }

    /// Returns where what was spent is stored.
    #[must_use]
    pub fn spent_key() -> RowKey {
        super::row_key(super::SPENT, &"")
    }

    /// Reads what was spent from its stored row, however old.
    #[must_use]
    pub fn spent_of(stored: &str) -> Option<Spent> {
        serde_json::from_str(stored).ok()
    }

    pub(super) fn spent_row(&self) -> Row {
        (Self::spent_key(), Some(text(&self.spent)))
    }
}

/// Counts an entry of so many bytes that is put where there was none, or another.
pub(super) fn grow(growth: &mut Growth, kind: IndexKind, is_new: bool, bytes: usize) {
    if !matches!(kind, IndexKind::JobDay | IndexKind::JobHealth) {
        return;
    }
    if !is_new {
        growth.changed_lines += 1;
        return;
    }
    let bytes = u64::try_from(bytes + 1).unwrap_or(u64::MAX);
    let lines = match kind {
        IndexKind::JobDay => &mut growth.day_line_bytes,
        _ => &mut growth.new_line_bytes,
    };
    *lines = lines.saturating_add(bytes);
}

fn days_of<T>(shards: &BTreeMap<Shard, T>) -> impl Iterator<Item = &Shard> {
    of_kind(shards, IndexKind::JobDay).map(|(shard, _)| shard)
}

/// The part of a configuration's line of health that the host goes by, to know what is news.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthLine {
    component_id: String,
    config_id: String,
    status: Option<String>,
    last_success: Option<Last>,
    last_failure: Option<Last>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    finished_at: Timestamp,
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

    /// When all runs here have ended.
    fn now() -> Timestamp {
        "2026-02-06T00:00:00Z".parse().expect("a time")
    }

    fn shard(day: &str) -> Shard {
        (IndexKind::JobDay, day.to_owned())
    }

    /// Takes runs in as an attempt does.
    fn gathered(memory: &mut Memory, runs: &[(&str, &str)]) {
        let touched: BTreeSet<Shard> = runs
            .iter()
            .filter_map(|(day, id)| memory.put_entry(run(day, id)))
            .collect();
        for shard in touched {
            let entries = memory.entries(&shard);
            memory.replace_entries(&shard, entries);
            let path = MirrorPath::parse(&format!("jobs/{}.jsonl", shard.1)).expect("a path");
            memory.keep_shard(shard, &[path]);
        }
        memory.close_days(&BTreeSet::new(), now());
    }

    #[test]
    fn only_the_newest_two_days_have_their_runs_at_hand() {
        let mut memory = Memory::default();
        gathered(&mut memory, &[("2026/01/30", "1"), ("2026/01/31", "2")]);
        assert!(!memory.is_closed(&shard("2026/01/30")));
        gathered(&mut memory, &[("2026/02/01", "3")]);
        assert!(memory.is_closed(&shard("2026/01/30")) && !memory.is_closed(&shard("2026/01/31")));
        let entries = memory.rows().filter(|(key, _)| key.kind == "entry").count();
        assert_eq!(entries, 2, "the closed day's run is not stored any more");

        // A late run: the day is read back, gathered and closed again.
        memory.open_day(&shard("2026/01/30"), vec![run("2026/01/30", "1")]);
        gathered(&mut memory, &[("2026/01/30", "4")]);
        assert!(memory.is_closed(&shard("2026/01/30")));
        assert!(!memory.has_pending(&shard("2026/01/30")));
    }

    #[test]
    fn a_day_that_could_not_be_gathered_stays_at_hand() {
        let mut memory = Memory::default();
        gathered(&mut memory, &[("2026/01/30", "1"), ("2026/02/05", "2")]);
        memory.open_day(&shard("2026/01/30"), vec![run("2026/01/30", "1")]);
        memory.close_days(&BTreeSet::from([shard("2026/01/30")]), now());
        assert!(!memory.is_closed(&shard("2026/01/30")));
        memory.close_days(&BTreeSet::new(), now());
        assert!(memory.is_closed(&shard("2026/01/30")));
    }

    #[test]
    fn days_that_are_too_old_go_with_their_files_and_late_runs_of_them_come_to_nothing() {
        let mut memory = Memory::default();
        gathered(&mut memory, &[("2026/01/30", "1"), ("2026/02/05", "2")]);
        assert_eq!(memory.drop_days(7, now()), []);
        memory.put_entry(run("2026/01/20", "3"));
        let dropped = memory.drop_days(6, now());
        let days: Vec<&str> = dropped.iter().map(|((_, day), _)| day.as_str()).collect();
        assert_eq!(days, ["2026/01/20", "2026/01/30"]);
        assert_eq!(dropped[1].1.len(), 1);
        assert!(!memory.has_pending(&shard("2026/01/20")));
        assert_eq!(memory.all_shards(), BTreeSet::from([shard("2026/02/05")]));
    }

    #[test]
    fn a_run_of_a_day_to_come_takes_no_other_away() {
        let mut memory = Memory::default();
        gathered(&mut memory, &[("2026/02/05", "1"), ("2026/03/01", "2")]);
        assert_eq!(memory.drop_days(2, now()), []);
        assert!(!memory.is_closed(&shard("2026/02/05")), "it is the newest one");
        gathered(&mut memory, &[("2026/02/06", "3")]);
        assert_eq!(memory.newest_day(now()).as_deref(), Some("2026/02/06"));
        assert_eq!(memory.drop_days(2, now()), []);
        assert_eq!(memory.all_shards().len(), 3);
    }

    #[test]
    fn growth_counts_new_and_changed_lines_and_not_what_is_read_back() {
        let mut memory = Memory::default();
        gathered(&mut memory, &[("2026/02/01", "1"), ("2026/02/01", "2")]);
        let line = u64::try_from(run("", "1").value.len() + 1).expect("a small number");
        let growth = memory.take_growth();
        assert_eq!((growth.day_line_bytes, growth.changed_lines), (2 * line, 0));
        let changed = Entry {
            value: "{}".to_owned(),
            ..run("2026/02/01", "2")
        };
        memory.replace_entries(&shard("2026/02/01"), vec![run("2026/02/01", "1"), changed]);
        let growth = memory.take_growth();
        assert_eq!((growth.day_line_bytes, growth.changed_lines), (0, 1));
        memory.open_day(&shard("2026/01/01"), vec![run("2026/01/01", "9")]);
        assert_eq!(memory.take_growth(), Growth::default());
    }

    #[test]
    fn what_was_spent_is_stored_with_the_commit_and_survives_a_reading_back() {
        let mut memory = Memory::default();
        memory.spend(0, Timestamp::UNIX_EPOCH);
        assert_eq!(memory.take_changes(), []);
        memory.spend(7, Timestamp::UNIX_EPOCH);
        let rows = memory.take_changes();
        let stored: Vec<_> = rows
            .into_iter()
            .map(|(key, value)| (key, value.expect("a value")))
            .collect();
        assert_eq!(stored[0].0, Memory::spent_key());
        assert_eq!(Memory::spent_of(&stored[0].1), Some(memory.spent().clone()));
        let restored = Memory::restore(stored).expect("rows of ours");
        assert_eq!(restored.spent(), memory.spent());
    }

    #[test]
    fn standings_are_read_from_the_lines_of_health() {
        let line = |config: &str, rest: &str| Entry {
            kind: IndexKind::JobHealth,
            shard: String::new(),
            key: format!("c/{config}"),
            value: format!(r#"{{"componentId":"c","configId":"{config}",{rest}}}"#),
        };
        let last = |at: &str| format!(r#"{{"runId":"1","finishedAt":"2026-01-0{at}T00:00:00Z"}}"#);
        let entries = vec![
            line(
                "a",
                &format!(
                    r#""status":"failing","lastSuccess":{},"lastFailure":{}"#,
                    last("1"),
                    last("2")
                ),
            ),
            line(
                "b",
                &format!(
                    r#""status":"good","lastSuccess":{},"lastFailure":null"#,
                    last("3")
                ),
            ),
            line("c", r#""status":null,"lastSuccess":null,"lastFailure":null"#),
            line("d", r#""form":"another"#),
        ];
        let memory = Memory::of(mirror_core::placement::Placement::default(), entries);
        let found: Vec<String> = memory
            .standings()
            .map(|(key, failing, at)| format!("{key} {failing} {at}"))
            .collect();
        assert_eq!(
            found,
            ["c/a true 2026-01-02T00:00:00Z", "c/b false 2026-01-03T00:00:00Z"]
        );
    }
}
