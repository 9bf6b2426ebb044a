//! Runs that come late, or are told anew with another outcome: which days a configuration's line of health needs to count them
//! where they belong, and which day a run has left.

use super::{EntryKey, Memory, Shard, entries::of_kind};
use mirror_core::layout::{Entry, IndexKind};
use serde::{Deserialize, de::IgnoredAny};
use std::collections::{BTreeMap, BTreeSet};

/// What the lines of health need of the days to count the runs that were told since.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LateRuns {
    /// Component and configuration with the key of their line.
    configs: BTreeMap<(String, String), String>,
    /// Days without which these runs cannot be counted.
    pub days: BTreeSet<Shard>,
}

impl Memory {
    /// Finds the runs that are told, and not gathered yet, which the lines of health cannot count by themselves. A line
    /// that another renderer wrote in a form of its own asks for nothing.
    #[must_use]
    pub fn late_runs(&self) -> LateRuns {
        let mut late = LateRuns::default();
        let health = (IndexKind::JobHealth, String::new());
        let mut lines: BTreeMap<&str, Option<Line>> = BTreeMap::new();
        for entry in self.pending.get(&health).into_iter().flatten() {
            let line = lines.entry(entry.key.as_str()).or_insert_with(|| {
                let kept = self.entry(&EntryKey::within_shard(&health, entry.key.clone()))?;
                serde_json::from_str(&kept.value).ok()
            });
            let told: Option<Told> = serde_json::from_str(&entry.value).ok();
            let (Some(line), Some(run)) = (line, told) else {
                continue;
            };
            let Some(need) = line.need(&run) else {
                continue;
            };
            let config = (line.component_id.clone(), line.config_id.clone());
            late.configs.insert(config, entry.key.clone());
            let days = self.days().filter(|(_, day)| match &need {
                Need::AtHand => false,
                Need::Ends { first, last } => day == first || day == last,
                Need::All { first, last } => first <= day && day <= last,
            });
            late.days.extend(days.cloned());
        }
        late
    }

    /// Returns what the days that are at hand tell of the configurations of late runs, as entries of their lines of
    /// health; what was not gathered yet is not among it.
    #[must_use]
    pub fn counted_runs(&self, late: &LateRuns) -> Vec<Entry> {
        if late.configs.is_empty() {
            return Vec::new();
        }
        let days = of_kind(self.entries.shards(), IndexKind::JobDay);
        let told = days.flat_map(|(day, _)| self.entries.of_shard(day));
        let counted = told.filter_map(|entry| {
            let Of {
                component_id,
                config_id,
            } = serde_json::from_str(&entry.value).ok()?;
            let key = late.configs.get(&(component_id, config_id))?.clone();
            Some(Entry {
                kind: IndexKind::JobHealth,
                shard: String::new(),
                key,
                value: entry.value,
            })
        });
        counted.collect()
    }

    /// Takes runs that are told, and not gathered yet, out of other days that are at hand; returns those days. The newest telling
    /// says when a run ended.
    pub fn leave_other_days(&mut self) -> BTreeSet<Shard> {
        let at_hand: Vec<Shard> = of_kind(self.entries.shards(), IndexKind::JobDay)
            .map(|(day, _)| day.clone())
            .collect();
        let mut left = BTreeSet::new();
        for (told, runs) in self.told_runs() {
            for day in at_hand.iter().filter(|day| **day != told) {
                for run in &runs {
                    left.extend(self.remove_entry(EntryKey::within_shard(day, run.clone())));
                }
            }
        }
        left
    }
}

/// Which days it takes to count a run.
enum Need {
    /// Those that are at hand.
    AtHand,
    /// Whether it is counted already: its own, and that of the newest run before the recent ones.
    Ends { first: String, last: String },
    /// What came after it: all from the one to the other.
    All { first: String, last: String },
}

/// A run as it is told.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    run_id: String,
    status: String,
    finished_at: String,
}

/// Whose run a line of a day is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Of {
    component_id: String,
    config_id: String,
}

/// The part of a line of health that says which runs it counts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    component_id: String,
    config_id: String,
    recent: Vec<(String, String, String, IgnoredAny)>,
    before: Option<Before>,
    counted_until: Option<(String, String)>,
    last_success: Option<Last>,
    last_failure: Option<Last>,
}

#[derive(Deserialize)]
struct Before {
    status: String,
    since: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    run_id: String,
    finished_at: String,
}

impl Line {
    /// Returns which days it takes to count a run; none where the line itself tells.
    fn need(&self, run: &Told) -> Option<Need> {
        let mut recent = self.recent.iter();
        if let Some((_, status, finished, _)) = recent.find(|(id, ..)| *id == run.run_id) {
            let is_same = (status, finished) == (&run.status, &run.finished_at);
            return (!is_same).then_some(Need::AtHand);
        }
        for (last, status) in [(&self.last_success, "SUCCESS"), (&self.last_failure, "FAILED")] {
            if let Some(last) = last.as_ref().filter(|last| last.run_id == run.run_id) {
                let is_same = (status, &last.finished_at) == (run.status.as_str(), &run.finished_at);
                return (!is_same).then_some(Need::AtHand);
            }
        }
        let (until, id) = self.counted_until.as_ref()?;
        let is_late = (&run.finished_at, &run.run_id) <= (until, id);
        let before = self.before.as_ref();
        let is_within = before.is_none_or(|before| before.since <= run.finished_at);
        if run.status == "CANCELLED" || !is_late || !is_within {
            return None;
        }
        let (first, last) = (day_of(&run.finished_at)?, day_of(until)?);
        Some(match before {
            Some(before) if before.status == run.status => Need::Ends { first, last },
            _ => Need::All { first, last },
        })
    }
}

/// Returns the day, as shards are named, of a time.
fn day_of(time: &str) -> Option<String> {
    Some(time.get(..10)?.replace('-', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::placement::Placement;

    const LINE: &str = r#"{"componentId":"c","configId":"1","recent":[["9","SUCCESS","2026-02-05T09:00:00Z",1]],
        "before":{"status":"SUCCESS","count":3,"since":"2026-02-01T00:00:00Z"},"countedUntil":["2026-02-04T08:00:00Z","8"],
        "lastSuccess":{"runId":"9","finishedAt":"2026-02-05T09:00:00Z"},
        "lastFailure":{"runId":"1","finishedAt":"2026-01-31T00:00:00Z"}}"#;

    fn entry(kind: IndexKind, shard: &str, key: &str, value: String) -> Entry {
        Entry {
            kind,
            shard: shard.into(),
            key: key.into(),
            value,
        }
    }

    fn run(id: &str, status: &str, finished: &str) -> String {
        format!(
            r#"{{"runId":"{id}","componentId":"c","configId":"1","status":"{status}","finishedAt":"{finished}"}}"#
        )
    }

    fn memory(line: &str) -> Memory {
        let days = ["2026/02/02", "2026/02/03", "2026/02/04", "2026/02/05"];
        let runs = days.map(|day| {
            let finished = format!("{}T08:00:00Z", day.replace('/', "-"));
            entry(IndexKind::JobDay, day, day, run(day, "SUCCESS", &finished))
        });
        let line = entry(IndexKind::JobHealth, "", "c/1", line.to_owned());
        Memory::of(Placement::default(), runs.into_iter().chain([line]).collect())
    }

    #[track_caller]
    fn check(line: &str, told: [&str; 3], configs: usize, expected: &[&str]) {
        let mut memory = memory(line);
        let [id, status, finished] = told;
        memory.put_entry(entry(IndexKind::JobHealth, "", "c/1", run(id, status, finished)));
        let late = memory.late_runs();
        let days: Vec<&str> = late.days.iter().map(|(_, day)| day.as_str()).collect();
        assert_eq!((late.configs.len(), days.as_slice()), (configs, expected));
        let counted = memory.counted_runs(&late);
        assert_eq!(counted.len(), 4 * configs);
        assert!(
            counted
                .iter()
                .all(|run| run.key == "c/1" && run.kind == IndexKind::JobHealth)
        );
    }

    #[test]
    fn a_late_run_asks_for_the_days_that_its_line_needs_and_no_others() {
        let ends = ["2026/02/02", "2026/02/04"];
        check(LINE, ["5", "SUCCESS", "2026-02-02T07:00:00Z"], 1, &ends);
        let all = ["2026/02/02", "2026/02/03", "2026/02/04"];
        check(LINE, ["5", "FAILED", "2026-02-02T07:00:00Z"], 1, &all);
        // Later than what is counted, before the streak, and of no weight: the line tells.
        check(LINE, ["5", "FAILED", "2026-02-04T09:00:00Z"], 0, &[]);
        check(LINE, ["5", "FAILED", "2026-01-31T01:00:00Z"], 0, &[]);
        check(LINE, ["5", "CANCELLED", "2026-02-02T07:00:00Z"], 0, &[]);
    }

    #[test]
    fn another_outcome_of_a_run_asks_for_what_is_at_hand() {
        check(LINE, ["9", "SUCCESS", "2026-02-05T09:00:00Z"], 0, &[]);
        check(LINE, ["9", "FAILED", "2026-02-05T09:00:00Z"], 1, &[]);
        check(LINE, ["1", "FAILED", "2026-01-31T00:00:00Z"], 0, &[]);
        check(LINE, ["1", "SUCCESS", "2026-01-31T00:00:00Z"], 1, &[]);
    }

    #[test]
    fn a_line_in_a_form_of_its_own_asks_for_nothing() {
        check(
            r#"{"form":"another"}"#,
            ["5", "SUCCESS", "2026-02-02T07:00:00Z"],
            0,
            &[],
        );
    }

    #[test]
    fn a_run_leaves_the_day_it_is_no_longer_told_of() {
        let mut memory = memory(LINE);
        let day = |day: &str| (IndexKind::JobDay, day.to_owned());
        let moved = run("2026/02/04", "FAILED", "2026-02-05T00:00:05Z");
        memory.put_entry(entry(IndexKind::JobDay, "2026/02/05", "2026/02/04", moved));
        assert_eq!(memory.leave_other_days(), BTreeSet::from([day("2026/02/04")]));
        assert_eq!(memory.entries(&day("2026/02/04")), []);
        assert_eq!(memory.entries(&day("2026/02/05")).len(), 2);
        assert_eq!(memory.leave_other_days(), BTreeSet::new());
    }
}
