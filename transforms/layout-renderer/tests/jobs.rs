//! The history of runs: what a day keeps, what it lets go of, and that it can be read back.

use expect_test::{Expect, expect};
use layout_renderer::{
    Context, Entry, File, Gathered, IndexKind, LayoutError, Object, ObjectKey, PlacedObject, gather, recover,
    recoverable, render,
};

const DAY: &str = "2026/01/13";

fn context() -> Context {
    Context {
        stack: "connection.keboola.com".to_owned(),
        project_id: "7".to_owned(),
        branch_id: "11".to_owned(),
    }
}

/// Returns the entries of a job as the Queue API tells it.
fn entries_of(id: &str, source: &str) -> Vec<Entry> {
    let object = Object {
        key: ObjectKey::Job(id.to_owned()),
        component: None,
        source: source.to_owned(),
        metadata: Vec::new(),
    };
    let placed = PlacedObject {
        object,
        path: None,
        parent: None,
        claimed_by: Vec::new(),
        references: Vec::new(),
    };
    let rendered = render(&context(), "{}", &[placed]).expect("the source is JSON");
    rendered.into_iter().flat_map(|one| one.entries).collect()
}

/// A run that ended at this hour and minute.
fn run(id: &str, config: &str, status: &str, at: &str, seconds: &str) -> Entry {
    run_with(id, config, status, at, seconds, "")
}

fn run_with(id: &str, config: &str, status: &str, at: &str, seconds: &str, more: &str) -> Entry {
    let source = format!(
        r#"{{"id": "{id}", "runId": "{id}", "status": "{status}", "component": "c", "config": "{config}",
            "endTime": "2026-01-13T{at}:00Z", "durationSeconds": {seconds}{more}, "result": {{"configVersion": "3"}}}}"#
    );
    let entries = entries_of(id, &source);
    let mut days = entries
        .into_iter()
        .filter(|entry| entry.kind == IndexKind::JobDay);
    days.next().expect("a finished run")
}

fn day(settings: &str, entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let mut sorted = entries.to_vec();
    sorted.sort_by(|left, right| left.key.cmp(&right.key));
    gather(&context(), settings, IndexKind::JobDay, DAY, &sorted)
}

/// Whatever a day has is over this.
const NOTHING_ALLOWED: &str = r#"{"jobs": {"dayBytesMax": 0}}"#;

fn shown(files: &[File]) -> String {
    files
        .iter()
        .map(|file| format!("=== {}\n{}", file.path, file.content))
        .collect()
}

#[track_caller]
fn check(settings: &str, entries: &[Entry], expected: &Expect) -> Vec<Entry> {
    let gathered = day(settings, entries).expect("entries of ours");
    expected.assert_eq(&shown(&gathered.files));
    let kept = gathered.keep.unwrap_or_else(|| entries.to_vec());
    // Nothing new: the same files, and nothing to keep that is not kept.
    let again = day(settings, &kept).expect("entries of ours");
    assert_eq!(
        (again.files.as_slice(), &again.keep),
        (gathered.files.as_slice(), &None)
    );
    // What the repository tells is what was kept.
    let paths: Vec<String> = gathered.files.iter().map(|file| file.path.clone()).collect();
    assert!(
        recoverable(settings, &paths).iter().all(|wanted| *wanted),
        "{paths:?}"
    );
    let recovered = recover(&context(), settings, &gathered.files).expect("files of ours");
    assert_eq!(recovered.entries, kept);
    kept
}

fn some_runs() -> Vec<Entry> {
    vec![
        run("1.100", "a", "success", "01:00", "10"),
        run("1.101", "b", "warning", "01:05", "1.5"),
        run("102", "a", "success", "02:00", "30"),
        run("103", "a", "error", "03:00", "5"),
        run("104", "a", "success", "04:00", "20"),
        run("105", "a", "success", "05:00", "20"),
        run("106", "a", "terminated", "06:00", "1"),
        run("odd", "a", "success", "07:00", "null"),
    ]
}

#[test]
fn past_its_allowance_a_day_keeps_failures_and_what_ended_them_and_totals_of_the_rest() {
    check(
        NOTHING_ALLOWED,
        &some_runs(),
        &expect![[r#"
        === jobs/2026/01/13.jsonl
        {"runId":"103","projectId":"7","branchId":"11","componentId":"c","configId":"a","configVersion":3,"status":"FAILED","nativeStatus":"error","startedAt":null,"finishedAt":"2026-01-13T03:00:00Z","durationSeconds":5,"inputs":[],"outputs":[]}
        {"runId":"104","projectId":"7","branchId":"11","componentId":"c","configId":"a","configVersion":3,"status":"SUCCESS","nativeStatus":"success","startedAt":null,"finishedAt":"2026-01-13T04:00:00Z","durationSeconds":20,"inputs":[],"outputs":[]}
        {"runId":"106","projectId":"7","branchId":"11","componentId":"c","configId":"a","configVersion":3,"status":"CANCELLED","nativeStatus":"terminated","startedAt":null,"finishedAt":"2026-01-13T06:00:00Z","durationSeconds":1,"inputs":[],"outputs":[]}
        === jobs/2026/01/13-totals.jsonl
        {"componentId":"c","configId":"a","status":"SUCCESS","runs":4,"configVersion":3,"firstFinishedAt":"2026-01-13T01:00:00Z","lastFinishedAt":"2026-01-13T07:00:00Z","durationSecondsMin":10,"durationSecondsMax":30,"durationSecondsSum":60,"jobs":[100,2,3,"odd"]}
        {"componentId":"c","configId":"b","status":"SUCCESS","runs":1,"warnings":1,"configVersion":3,"firstFinishedAt":"2026-01-13T01:05:00Z","lastFinishedAt":"2026-01-13T01:05:00Z","durationSecondsMin":1.5,"durationSecondsMax":1.5,"durationSecondsSum":1.5,"jobs":[101]}
    "#]],
    );
}

#[test]
fn within_its_allowance_a_day_keeps_every_line() {
    let runs = [some_runs().remove(0), some_runs().remove(3)];
    let bytes: usize = runs.iter().map(|run| run.value.len() + 1).sum();
    let settings = |max: usize| format!(r#"{{"jobs": {{"dayBytesMax": {max}}}}}"#);
    assert_eq!(day(&settings(bytes), &runs).expect("runs").files.len(), 1);
    assert_eq!(day(&settings(bytes - 1), &runs).expect("runs").files.len(), 2);
    assert_eq!(day("{}", &some_runs()).expect("runs").files.len(), 1);
}

#[test]
fn totals_are_the_same_in_whatever_steps_and_order_successes_come_and_count_each_run_once() {
    let runs: Vec<Entry> = (0..20)
        .map(|n| {
            let config = if n % 3 == 0 { "a" } else { "b" };
            run(
                &format!("{}", 900 + n * n),
                config,
                "success",
                &format!("{n:02}:00"),
                "0.25",
            )
        })
        .collect();
    let whole = day(NOTHING_ALLOWED, &runs).expect("runs").files;
    assert!(whole[0].content.contains(r#""runs":7,"#), "{}", whole[0].content);
    for step in [1, 3, 7] {
        for reversed in [false, true] {
            let mut runs = runs.clone();
            if reversed {
                runs.reverse();
            }
            let mut kept: Vec<Entry> = Vec::new();
            for chunk in runs.chunks(step) {
                kept.extend(chunk.iter().cloned());
                kept = day(NOTHING_ALLOWED, &kept).expect("runs").keep.expect("totals");
            }
            // All of them once more: nothing is counted twice.
            kept.extend(runs.iter().cloned());
            assert_eq!(
                day(NOTHING_ALLOWED, &kept).expect("runs").files,
                whole,
                "{step} {reversed}"
            );
        }
    }
}

#[test]
fn a_day_with_totals_stays_one_when_the_allowance_grows() {
    let kept = day(NOTHING_ALLOWED, &some_runs())
        .expect("runs")
        .keep
        .expect("totals");
    let more = day("{}", &kept).expect("runs");
    assert_eq!(more.files.len(), 2);
    assert_eq!(more.keep, None);
}

#[test]
fn a_run_may_have_its_own_file() {
    let settings = r#"{"jobs": {"layout": "file-per-run"}}"#;
    let runs = [
        run("1.100", "a", "success", "01:00", "10"),
        run("o/../dd", "b", "error", "02:00", "1"),
    ];
    check(
        settings,
        &runs,
        &expect![[r#"
        === jobs/1.100.json
        {
          "runId": "1.100",
          "projectId": "7",
          "branchId": "11",
          "componentId": "c",
          "configId": "a",
          "configVersion": 3,
          "status": "SUCCESS",
          "nativeStatus": "success",
          "startedAt": null,
          "finishedAt": "2026-01-13T01:00:00Z",
          "durationSeconds": 10,
          "parentRunId": "1",
          "inputs": [],
          "outputs": []
        }
        === jobs/o%2F..%2Fdd.json
        {
          "runId": "o/../dd",
          "projectId": "7",
          "branchId": "11",
          "componentId": "c",
          "configId": "b",
          "configVersion": 3,
          "status": "FAILED",
          "nativeStatus": "error",
          "startedAt": null,
          "finishedAt": "2026-01-13T02:00:00Z",
          "durationSeconds": 1,
          "parentRunId": "o/.",
          "inputs": [],
          "outputs": []
        }
    "#]],
    );
}

#[test]
fn what_only_an_event_told_of_a_run_survives_a_telling_without_it() {
    let told = r#", "stateDigest": "abc", "artifactLinks": ["s3://bucket/x", "storage-file:1"]"#;
    let plain = run("1", "a", "success", "01:00", "10");
    let told = run_with("1", "a", "success", "01:00", "10", told);
    let value = |entries: &[Entry]| {
        let kept = day("{}", entries).expect("a run").keep.expect("one entry");
        assert_eq!(kept.len(), 1);
        kept[0].value.clone()
    };
    let both = value(&[told.clone(), plain.clone()]);
    assert!(
        both.contains(r#""stateDigest":"abc","artifactLinks":["s3://bucket/x"]"#),
        "{both}"
    );
    let both = value(&[plain, told.clone()]);
    assert_eq!(both, told.value, "the newer telling counts");
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let error = |settings: &str| day(settings, &[]).expect_err("wrong settings").to_string();
    assert!(error(r#"{"jobs": {"layout": "pile"}}"#).contains("`jobs.layout` is neither"));
    assert!(error(r#"{"jobs": {"dayBytesMax": "many"}}"#).contains("`jobs.dayBytesMax` is no number"));
}

#[test]
fn a_failure_says_by_what_support_finds_it_and_a_child_says_whose_it_is() {
    let source = r#"{"id": "7", "runId": "3.7", "status": "error", "component": "c", "config": "a", "tag": "3.1.4",
        "endTime": "2026-01-13T01:00:00Z", "result": {"message": "No", "error": {"type": "application", "exceptionId": "job-77"}}}"#;
    let entries = entries_of("3.7", source);
    expect![[r#"{"runId":"3.7","projectId":"7","branchId":"11","componentId":"c","configId":"a","configVersion":null,"status":"FAILED","nativeStatus":"error","startedAt":null,"finishedAt":"2026-01-13T01:00:00Z","durationSeconds":null,"parentRunId":"3","inputs":[],"outputs":[],"message":"No","errorType":"application","exceptionId":"job-77","componentTag":"3.1.4"}"#]].assert_eq(&entries[0].value);
}

#[test]
fn health_that_outgrows_a_file_is_cut_into_several_and_read_back() {
    let line = |n: usize| Entry {
        kind: IndexKind::JobHealth,
        shard: String::new(),
        key: format!("c/{n:04}"),
        value: format!(
            r#"{{"runId":"1","componentId":"c","configId":"{n:04}","status":"FAILED","finishedAt":"2026-01-13T01:00:00Z","message":"{}"}}"#,
            "x".repeat(300)
        ),
    };
    let entries: Vec<Entry> = (0..1000).map(line).collect();
    let gathered = gather(&context(), "{}", IndexKind::JobHealth, "", &entries).expect("runs");
    let paths: Vec<&str> = gathered.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["jobs/health.jsonl", "jobs/health-2.jsonl"]);
    assert!(gathered.files.iter().all(|file| file.content.len() <= 500_000));
    let recovered = recover(&context(), "{}", &gathered.files).expect("files of ours");
    assert_eq!(Some(recovered.entries), gathered.keep);
}

#[test]
fn files_of_runs_that_are_not_ours_are_refused_by_name() {
    let file = |path: &str, content: &str| {
        let file = File {
            path: path.to_owned(),
            kind: layout_renderer::DocumentKind::Job,
            content: content.to_owned(),
        };
        recover(&context(), "{}", &[file])
            .expect_err("not ours")
            .to_string()
    };
    let run = r#"{"runId": "1", "finishedAt": "2026-01-13T01:00:00Z"}"#;
    assert!(file("jobs/2.json", run).contains("it names another run than its path"));
    assert!(file("jobs/1.json", r#"{"runId": "1"}"#).contains("it does not say when the run finished"));
    assert!(file("jobs/2026/01/13-totals.jsonl", "{}").contains("a line does not name its object"));
    let broken = Entry {
        kind: IndexKind::JobDay,
        shard: DAY.to_owned(),
        key: "total c/a".to_owned(),
        value: r#"{"jobs": [18446744073709551615, 1], "firstFinishedAt": "", "lastFinishedAt": ""}"#
            .to_owned(),
    };
    assert!(
        day("{}", &[broken]).is_err(),
        "a total that overflows is no total"
    );
}
