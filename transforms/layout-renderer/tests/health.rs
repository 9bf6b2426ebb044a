//! A configuration's line of health: the same, in whatever order its runs arrive.

use layout_renderer::{Context, Entry, IndexKind, gather};
use proptest::prelude::*;

fn context() -> Context {
    Context {
        stack: "connection.keboola.com".to_owned(),
        project_id: "7".to_owned(),
        branch_id: "11".to_owned(),
    }
}

fn entry(value: String) -> Entry {
    Entry {
        kind: IndexKind::JobHealth,
        shard: String::new(),
        key: "c/1".to_owned(),
        value,
    }
}

/// A run that ended in this hour, counted from a day's begin.
fn run(hour: usize, status: &str) -> Entry {
    run_of(&hour.to_string(), hour, status)
}

fn run_of(id: &str, hour: usize, status: &str) -> Entry {
    entry(format!(
        r#"{{"runId":"{id}","componentId":"c","configId":"1","configVersion":{hour},"status":"{status}","finishedAt":"{}","durationSeconds":{},"message":"It ended {status} in {hour}"}}"#,
        time(hour),
        hour % 7
    ))
}

fn time(hour: usize) -> String {
    format!("2026-01-{:02}T{:02}:00:00Z", hour / 24 + 1, hour % 24)
}

/// What a host has: the line, and what the days tell.
#[derive(Default)]
struct Host {
    line: Vec<Entry>,
    days: Vec<Entry>,
}

impl Host {
    /// Tells of runs, with what the days know before the line.
    fn tell(&mut self, runs: &[Entry]) {
        let days = if self.line.is_empty() {
            &[]
        } else {
            self.days.as_slice()
        };
        self.gather(days.to_vec(), runs);
        let id = |entry: &Entry| entry.value.split('"').nth(3).map(str::to_owned);
        self.days
            .retain(|known| runs.iter().all(|run| id(run) != id(known)));
        self.days.extend(runs.iter().cloned());
    }

    fn gather(&mut self, counted: Vec<Entry>, runs: &[Entry]) {
        let mut entries = counted;
        entries.extend(self.line.iter().cloned());
        entries.extend(runs.iter().cloned());
        let gathered = gather(&context(), "{}", IndexKind::JobHealth, "", &entries).expect("runs");
        self.line = gathered.keep.unwrap_or(entries);
        assert_eq!(self.line.len(), 1);
        assert_eq!(gathered.files[0].content, format!("{}\n", self.line[0].value));
    }

    fn told(runs: &[Entry]) -> Self {
        let mut host = Self::default();
        for run in runs {
            host.tell(std::slice::from_ref(run));
        }
        host
    }

    /// Returns the line, without the streak before recent runs that are of another status: it says nothing any more.
    fn line(&self) -> String {
        let line = &self.line[0].value;
        let Some((shown, before)) = line.split_once(r#","before":{"status":""#) else {
            return line.clone();
        };
        let (_, recent) = shown.split_once(r#""recent":"#).expect("recent runs");
        let (status, rest) = before.split_once('"').expect("a status");
        let other = if status == "FAILED" { "SUCCESS" } else { "FAILED" };
        let (_, rest) = rest.split_once('}').expect("an object ends");
        if recent.contains(other) {
            format!("{shown}{rest}")
        } else {
            line.clone()
        }
    }

    /// Returns the text of a member.
    fn member(&self, name: &str) -> &str {
        let line = &self.line[0].value;
        let (_, found) = line.split_once(&format!(r#""{name}":"#)).expect("a member");
        found.split_inclusive('}').next().expect("a text")
    }

    fn count(&self) -> u64 {
        let (_, count) = self.member("streak").split_once(r#""count":"#).expect("a count");
        let (count, _) = count.split_once(',').expect("more follows");
        count.parse().expect("a number")
    }
}

fn status() -> impl Strategy<Value = &'static str> {
    prop_oneof![16 => Just("SUCCESS"), 3 => Just("FAILED"), 2 => Just("CANCELLED")]
}

/// Runs in order, the order in which they arrive, and how many arrive together.
fn arrivals() -> impl Strategy<Value = (Vec<Entry>, Vec<usize>, usize)> {
    prop::collection::vec(status(), 1..60).prop_flat_map(|statuses| {
        let order: Vec<usize> = (0..statuses.len()).collect();
        let runs = statuses
            .iter()
            .enumerate()
            .map(|(hour, status)| run(hour, status));
        let runs: Vec<Entry> = runs.collect();
        (Just(runs), Just(order).prop_shuffle(), 1_usize..5)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_give_the_same_line_in_whatever_order_and_steps_they_arrive((runs, order, step) in arrivals()) {
        let expected = Host::told(&runs).line();
        let arriving: Vec<Entry> = order.iter().map(|at| runs[*at].clone()).collect();
        let mut host = Host::default();
        for some in arriving.chunks(step) {
            host.tell(some);
        }
        prop_assert_eq!(host.line(), expected.clone());
        // All of them once more.
        for some in arriving.chunks(step) {
            host.tell(some);
        }
        prop_assert_eq!(host.line(), expected);
    }

    #[test]
    fn where_days_tell_nothing_the_last_results_are_right_and_the_streak_is_no_longer_than_it_is((runs, order, step) in arrivals()) {
        let whole = Host::told(&runs);
        let arriving: Vec<Entry> = order.iter().map(|at| runs[*at].clone()).collect();
        let mut host = Host::default();
        for some in arriving.chunks(step) {
            host.gather(Vec::new(), some);
        }
        let status = |host: &Host| host.member("status").split(',').next().map(str::to_owned);
        prop_assert_eq!(status(&host), status(&whole));
        for name in ["lastSuccess", "lastFailure", "recent"] {
            let until = |text: &str| text.split("]]").next().unwrap_or_default().to_owned();
            prop_assert_eq!(until(host.member(name)), until(whole.member(name)), "{}", name);
        }
        if whole.member("streak").starts_with("{") {
            prop_assert!(host.count() <= whole.count());
        }
    }
}

#[test]
fn a_success_within_a_streak_of_failures_leaves_those_after_it() {
    let mut runs = vec![run(1, "SUCCESS")];
    runs.extend((10..22).map(|hour| run(hour, "FAILED")));
    let late = run_of("5", 10, "SUCCESS");
    // Right after the first failure, whose id is larger: by time it is the first of the same hour.
    let mut host = Host::told(&runs);
    host.tell(&[late]);
    assert_eq!(
        host.member("streak"),
        format!(r#"{{"status":"FAILED","count":11,"since":"{}"}}"#, time(11))
    );
    assert!(host.member("lastSuccess").contains(r#""runId":"5""#));
}

#[test]
fn of_a_day_with_totals_the_runs_after_a_late_one_are_counted_as_far_as_they_are_told() {
    let runs: Vec<Entry> = (10..40).map(|hour| run(hour, "SUCCESS")).collect();
    let jobs = vec!["1"; 29].join(",");
    let total = |first: usize| {
        entry(format!(
            r#"{{"componentId":"c","configId":"1","status":"SUCCESS","runs":30,"firstFinishedAt":"{}","lastFinishedAt":"{}","jobs":[10,{jobs}]}}"#,
            time(first),
            time(39)
        ))
    };
    let late = |hour: usize| {
        let mut host = Host::told(&runs);
        host.gather(vec![total(10)], &[run_of("late", hour, "FAILED")]);
        host
    };
    // Before all of them, and among them: then the recent ones are those that are known to be after it.
    assert_eq!(late(5).count(), 30);
    assert_eq!(late(15).count(), 10);
    assert!(late(15).member("lastFailure").contains("late"));
    // One that the total counts is not counted again.
    let mut host = Host::told(&runs);
    host.gather(vec![total(10)], &[run(12, "SUCCESS")]);
    assert_eq!(host.count(), 30);
}

#[test]
fn the_newest_telling_of_a_run_counts() {
    let mut runs: Vec<Entry> = (10..16).map(|hour| run(hour, "SUCCESS")).collect();
    runs[3] = run(13, "FAILED");
    let told_anew = |before: Entry, after: Entry| {
        let mut first = runs.clone();
        first.push(before);
        let mut host = Host::told(&first);
        host.tell(std::slice::from_ref(&after));
        let mut second = runs.clone();
        second.push(after);
        assert_eq!(host.line(), Host::told(&second).line());
        host
    };
    let host = told_anew(run(20, "FAILED"), run(20, "SUCCESS"));
    assert!(host.member("lastFailure").contains(r#""runId":"13""#));
    assert!(host.member("lastFailure").contains("It ended FAILED in 13"));
    told_anew(run(20, "SUCCESS"), run(20, "FAILED"));
    told_anew(run(20, "CANCELLED"), run_of("20", 30, "FAILED"));
    told_anew(run_of("20", 30, "FAILED"), run(20, "FAILED"));
    told_anew(run(20, "FAILED"), run(20, "CANCELLED"));
}

#[test]
fn a_line_of_a_version_that_did_not_count_late_runs_is_read_and_mended_by_the_next() {
    let mut host = Host {
        line: vec![entry(
            r#"{"componentId":"c","configId":"1","status":"failing","streak":{"status":"FAILED","count":2,"since":"2026-01-01T10:00:00Z"},"lastSuccess":{"runId":"1","finishedAt":"2026-01-01T01:00:00Z","configVersion":3},"lastFailure":{"runId":"11","finishedAt":"2026-01-01T11:00:00Z","configVersion":3},"durationSecondsP50":null,"durationSecondsP95":null,"recent":[["11","FAILED","2026-01-01T11:00:00Z",1]],"before":{"status":"FAILED","count":1,"since":"2026-01-01T10:00:00Z"},"countedUntil":["2026-01-01T10:00:00Z","10"]}"#.to_owned(),
        )],
        days: Vec::new(),
    };
    host.tell(&[run(5, "SUCCESS")]);
    assert!(host.member("lastSuccess").contains(r#""runId":"5""#));
    assert_eq!(host.count(), 2);
}
