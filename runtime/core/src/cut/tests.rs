use super::groups::{COMMITS_MAX, EVENTS_MAX, Extent, Group, Split};
use super::*;
use crate::event::{MetadataChanged, RenderChanged, RunStatus, StorageCause, TableUse};
use crate::ids::Topic;
use expect_test::{Expect, expect};
use std::time::Duration;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn mirror() -> MirrorId {
    "m".parse().unwrap()
}

fn topic() -> Topic {
    Topic {
        stack: "s".parse().unwrap(),
        project: "1".parse().unwrap(),
        branch: "2".parse().unwrap(),
    }
}

/// Events as text, one a line: `<position> <occurred> change C V [by A]`, `… gone C V`, `… run R T`,
/// `… render [M]`, `… metadata`. They are appended at their position's second.
fn events(script: &str) -> Vec<Logged> {
    let event = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let position: u64 = words[0].parse().unwrap();
        let body = match words[2] {
            "change" => Body::ConfigChanged(ConfigChanged {
                component: "c".parse().unwrap(),
                config: words[3].parse().unwrap(),
                version: words[4].parse().unwrap(),
                identifier: None,
                author: words.get(6).map(|author| (*author).to_owned()),
            }),
            "gone" => Body::ConfigDeleted(ConfigDeleted {
                component: "c".parse().unwrap(),
                config: words[3].parse().unwrap(),
                version: words[4].parse().unwrap(),
                identifier: None,
            }),
            "run" => Body::JobFinished(Box::new(JobFinished {
                run: words[3].parse().unwrap(),
                component: "c".parse().unwrap(),
                config: None,
                config_version: None,
                status: RunStatus::Success,
                started_at: None,
                finished_at: None,
                inputs: Vec::new(),
                outputs: vec![TableUse {
                    table: words[4].parse().unwrap(),
                    columns: Vec::new(),
                }],
                state_digest: None,
                artifact_links: Vec::new(),
            })),
            "tables" => Body::StorageChanged(StorageChanged {
                tables: vec![words[4].parse().unwrap()],
                buckets: Vec::new(),
                cause: StorageCause::Run(words[3].parse().unwrap()),
            }),
            "render" => Body::RenderChanged(RenderChanged {
                mirror: words.get(3).map(|mirror| mirror.parse().unwrap()),
                reason: "format 2".to_owned(),
                digest: words[0].to_owned(),
            }),
            "metadata" => Body::MetadataChanged(MetadataChanged {
                object: ObjectKey::Branch,
                digest: words[0].to_owned(),
            }),
            other => panic!("no such event: {other}"),
        };
        let occurred_at = at(words[1].parse().unwrap());
        Logged {
            position: Position(position),
            appended_at: at(i64::try_from(position).unwrap()),
            envelope: Envelope::new(topic(), body, occurred_at, occurred_at, None),
        }
    };
    script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(event)
        .collect()
}

fn cursor() -> LaneCursor {
    LaneCursor {
        change: Position(3),
        jobs: Position(2),
        ..LaneCursor::start(LogId::parse("log").unwrap())
    }
}

#[track_caller]
fn check(script: &str, expected: &Expect) {
    let events = events(script);
    let cut = Cut::of(&mirror(), &cursor(), &events, at(999));
    let mut shown = format!(
        "change {} jobs {} at {}s\n",
        cut.change_through,
        cut.jobs_through,
        cut.appended_at.as_second()
    );
    for (key, wanted) in &cut.configs {
        let Wanted {
            version,
            deleted,
            author,
            earlier_authors,
            ..
        } = wanted;
        let gone = if *deleted { " gone" } else { "" };
        shown.push_str(&format!(
            "{key}@{version}{gone} by {author:?} after {earlier_authors:?}\n"
        ));
    }
    for run in cut.runs.keys() {
        shown.push_str(&format!("run {run}\n"));
    }
    for table in &cut.tables {
        shown.push_str(&format!("table {table}\n"));
    }
    expected.assert_eq(&shown);

    let mut shuffled = events;
    shuffled.reverse();
    assert_eq!(
        Cut::of(&mirror(), &cursor(), &shuffled, at(999)),
        cut,
        "the order in which they are read does not matter"
    );
    let stored = serde_json::to_string(&cut).unwrap();
    let read: Cut = serde_json::from_str(&stored).unwrap();
    assert_eq!(
        (&read, read.id()),
        (&cut, cut.id()),
        "a cut comes back from its store as it was"
    );
}

#[test]
fn the_highest_version_counts_and_those_below_give_their_authors() {
    check(
        "4 10 change a 7 by ann
         5 11 change a 9 by bob
         6 12 change a 8 by eve
         7 13 change b 1
         9 14 change a 9 by bob",
        &expect![[r#"
            change 9 jobs 2 at 9s
            c/a@9 by Some("bob") after {"ann", "eve"}
            c/b@1 by None after {}
        "#]],
    );
}

#[test]
fn what_is_told_anew_is_another_event_and_keeps_since_when_it_is_waited_for() {
    let mut log = events("1 0 change a 5\n2 0 run 7 in.c-b.t");
    for Logged { envelope, .. } in &mut log {
        let body = envelope.body.clone();
        let told_anew =
            |occasion: &str| Envelope::awaited(topic(), body.clone(), &["m", occasion], at(0), at(3), at(9));
        assert_ne!(told_anew("1").key, envelope.key);
        assert_ne!(told_anew("1").key, told_anew("2").key);
        assert_eq!(told_anew("1").key, told_anew("1").key);
        *envelope = told_anew("1");
    }
    // Of a higher version nobody knows yet that it is not shown.
    let higher = events("3 0 change a 6");
    let cut = Cut::of(&mirror(), &cursor(), &log, at(9));
    assert_eq!(cut.configs.values().next().unwrap().awaited_since, Some(at(3)));
    assert_eq!(cut.runs.values().next().unwrap().awaited_since, Some(at(3)));
    log.extend(higher);
    let cut = Cut::of(&mirror(), &cursor(), &log, at(9));
    assert_eq!(cut.configs.values().next().unwrap().awaited_since, None);
}

#[test]
fn a_deletion_holds_until_something_later_comes_back() {
    check(
        "4 10 change a 7 by ann\n 5 20 gone a 7",
        &expect![[r#"
        change 5 jobs 2 at 5s
        c/a@7 gone by None after {"ann"}
    "#]],
    );
    check(
        "4 10 gone a 7\n 5 20 change a 1 by ann",
        &expect![[r#"
        change 5 jobs 2 at 5s
        c/a@1 by Some("ann") after {}
    "#]],
    );
    check(
        "4 10 gone a 7\n 5 5 change a 6 by ann",
        &expect![[r#"
        change 5 jobs 2 at 5s
        c/a@7 gone by None after {"ann"}
    "#]],
    );
    check(
        "4 30 change a 8 by ann\n 5 20 gone a 7",
        &expect![[r#"
        change 5 jobs 2 at 5s
        c/a@8 by Some("ann") after {}
    "#]],
    );
}

#[test]
fn each_stream_has_its_own_end() {
    check(
        "5 10 run 7.1 in.c-a.x\n 6 10 tables 7.1 in.c-a.x\n 4 9 change a 1",
        &expect![[r#"
        change 4 jobs 6 at 6s
        c/a@1 by None after {}
        run 7.1
        table in.c-a.x
    "#]],
    );
    check(
        "",
        &expect![[r#"
        change 3 jobs 2 at 999s
    "#]],
    );
}

#[test]
fn another_mirrors_rendering_is_passed_over_but_covered() {
    let render = |script: &str| {
        let cut = Cut::of(&mirror(), &cursor(), &events(script), at(999));
        (cut.render, cut.change_through)
    };
    assert_eq!(render("4 4 render"), (Some("format 2".to_owned()), Position(4)));
    assert_eq!(render("4 4 render m"), (Some("format 2".to_owned()), Position(4)));
    assert_eq!(render("4 4 render other"), (None, Position(4)));
    let keys: BTreeSet<_> = ["4 4 render", "4 4 render m", "4 4 render other"]
        .map(|script| events(script)[0].envelope.key.clone())
        .into();
    assert_eq!(keys.len(), 3, "they are different events");
}

#[test]
fn a_first_sync_has_work_without_events() {
    let cut = Cut::of(&mirror(), &cursor(), &[], at(7));
    assert!(cut.is_empty());
    assert!(
        !Cut {
            snapshot: true,
            ..cut
        }
        .is_empty()
    );
}

/// Goes through a log as an attempt does, by pages of `page` events: the cut of one push, and the groups that it becomes.
fn push(log: &[Logged], cursor: &LaneCursor, page: usize) -> (Cut, Vec<Group>) {
    push_within(Extent::new(Duration::from_secs(30)), log, cursor, page)
}

fn push_within(mut extent: Extent, log: &[Logged], cursor: &LaneCursor, page: usize) -> (Cut, Vec<Group>) {
    let is_change = |logged: &&Logged| logged.envelope.stream() == Stream::Change;
    let changes: Vec<Logged> = log.iter().filter(is_change).cloned().collect();
    let _ = changes.chunks(page).all(|page| extent.take(page));
    let covered: Vec<Logged> = log
        .iter()
        .filter(|logged| match logged.envelope.stream() {
            Stream::Change => logged.position <= extent.through(),
            Stream::Jobs => !extent.leaves_some(),
        })
        .cloned()
        .collect();
    let mut cut = Cut::of(&mirror(), cursor, &covered, at(0));
    cut.windows = extent.windows();
    let mut split = Split::of(&mirror(), &cut);
    for stream in Stream::ALL {
        let of_stream = covered.iter().filter(|logged| logged.envelope.stream() == stream);
        of_stream.for_each(|logged| split.take(&mirror(), logged));
    }
    (cut, split.groups())
}

/// Shows the groups of a backlog, and checks that they are together what a single cut is.
#[track_caller]
fn check_groups(script: &str, expected: &Expect) {
    let log = events(script);
    let cursor = LaneCursor::start(LogId::parse("log").unwrap());
    let (whole, groups) = push(&log, &cursor, EVENTS_MAX);
    assert_eq!(
        push(&log, &cursor, 1),
        (whole.clone(), groups.clone()),
        "it does not matter how they are read"
    );
    if whole.windows.is_empty() {
        assert_eq!(groups, [Group::alone(whole.clone())]);
    }
    let count: u64 = groups.iter().map(|group| group.cut.events.count).sum();
    assert_eq!(count, whole.events.count, "each event is in one group");
    let last = &groups.last().unwrap().cut;
    assert_eq!(last.cursor(None), whole.cursor(None));
    let mut after = (cursor.change, cursor.jobs);
    let mut shown = String::new();
    for group in &groups {
        let Cut {
            change_after,
            jobs_after,
            change_through,
            jobs_through,
            ..
        } = group.cut;
        assert_eq!((change_after, jobs_after), after, "they follow each other");
        after = (change_through, jobs_through);
        let configs = group.cut.configs.iter().map(|(key, wanted)| {
            let later = if group.later.contains(key) { "…" } else { "" };
            format!("{}@{}{later}", key.config, wanted.version)
        });
        let (runs, tables) = (group.cut.runs.len(), group.cut.tables.len());
        let facts = format!(
            "{runs} runs, {tables} tables, metadata {}",
            !group.cut.metadata.is_empty()
        );
        shown.push_str(&format!(
            "through {change_through}/{jobs_through}: {}; {facts}\n",
            configs.collect::<Vec<_>>().join(" ")
        ));
    }
    expected.assert_eq(&shown);
}

#[test]
fn each_window_of_an_outage_is_a_group_and_what_has_no_past_is_in_the_last() {
    check_groups(
        "1 0 change a 1\n 2 5 metadata\n 3 10 change b 1\n 4 10 run r in.c.t\n 5 100 change a 2\n 6 3000 change a 3\n 7 3001 gone b 2\n 8 3002 metadata",
        &expect![[r#"
            through 3/0: a@1… b@1…; 0 runs, 0 tables, metadata false
            through 5/0: a@2…; 0 runs, 0 tables, metadata false
            through 8/4: a@3 b@2; 1 runs, 0 tables, metadata true
        "#]],
    );
    check_groups(
        "1 0 change a 1\n 2 31 metadata\n 3 10 change b 1\n 4 100 run r in.c.t",
        &expect![[r#"
            through 3/4: a@1 b@1; 1 runs, 0 tables, metadata true
        "#]],
    );
    check_groups(
        "1 0 change a 1\n 2 1000 change a 2\n 3 2000 render",
        &expect![[r#"
            through 3/0: a@2; 0 runs, 0 tables, metadata false
        "#]],
    );
}

#[test]
fn one_push_takes_up_so_many_windows_and_no_half_of_one() {
    let windows = u64::try_from(COMMITS_MAX).unwrap() + 3;
    let lines = (0..windows).map(|number| {
        let (position, second) = (number * 3 + 1, number * 100);
        format!(
            "{position} {second} change a {}\n{} {} change b {}\n{} {} metadata",
            number * 2 + 1,
            position + 1,
            second + 1,
            number * 2 + 1,
            position + 2,
            second + 2
        )
    });
    let log = events(&lines.collect::<Vec<_>>().join("\n"));
    let cursor = LaneCursor::start(LogId::parse("log").unwrap());
    let (cut, groups) = push(&log, &cursor, EVENTS_MAX);
    assert_eq!(
        (cut.events.count, groups.len()),
        (3 * COMMITS_MAX as u64, COMMITS_MAX)
    );
    assert!(groups.iter().all(|group| group.cut.configs.len() == 2));
    let (rest, groups) = push(&log[3 * COMMITS_MAX..], &cut.cursor(None), EVENTS_MAX);
    assert_eq!((rest.change_through, groups.len()), (Position(3 * windows), 3));
}

#[test]
fn after_a_refusal_fewer_windows_go_in_a_push_and_stay_apart_to_the_last() {
    let log = events(
        "1 0 change a 1\n 2 40 change a 2\n 3 80 change a 3\n 4 81 change b 1\n 5 82 run r in.c.t\n 6 120 change a 4",
    );
    let mut cursor = LaneCursor::start(LogId::parse("log").unwrap());
    let mut shown = Vec::new();
    for at_once in [2, 1, 8] {
        let extent = Extent::new(Duration::from_secs(30)).in_steps(at_once);
        let left: Vec<Logged> = log
            .iter()
            .filter(|logged| logged.position > cursor.of(logged.envelope.stream()))
            .cloned()
            .collect();
        let (cut, groups) = push_within(extent, &left, &cursor, EVENTS_MAX);
        shown.push((groups.len(), cut.change_through.0, cut.jobs_through.0));
        cursor = cut.cursor(None);
    }
    assert_eq!(shown, [(2, 2, 0), (1, 4, 0), (1, 6, 5)]);
}

/// A log of one configuration's versions, each made and told at a second.
fn versions(seconds: impl IntoIterator<Item = usize>) -> Vec<Logged> {
    let lines = seconds.into_iter().enumerate().map(|(number, second)| {
        let version = number + 1;
        format!("{version} {second} change a {version} by person-{}", number % 3)
    });
    events(&lines.collect::<Vec<_>>().join("\n"))
}

/// Shows what each push of a log takes, until nothing is left: versions and events of its commits.
#[track_caller]
fn check_pushes(log: &[Logged], expected: &Expect) {
    let mut cursor = LaneCursor::start(LogId::parse("log").unwrap());
    let mut shown = String::new();
    while cursor.change < log.last().unwrap().position {
        let left = log.partition_point(|logged| logged.position <= cursor.change);
        let (cut, groups) = push(&log[left..], &cursor, EVENTS_MAX);
        for Group { cut, .. } in &groups {
            let wanted = cut.configs.values().next().unwrap();
            let authors = wanted.earlier_authors.len() + usize::from(wanted.author.is_some());
            let (version, count) = (wanted.version, cut.events.count);
            shown.push_str(&format!("{count} events up to @{version} by {authors}; "));
        }
        shown.push('\n');
        cursor = cut.cursor(None);
    }
    expected.assert_eq(&shown);
}

#[test]
fn a_window_is_one_commit_however_many_events_it_has() {
    let window = |second: usize, count: usize| std::iter::repeat_n(second, count);
    // The last minute's edits, and nothing else.
    check_pushes(
        &versions(window(0, 3 * EVENTS_MAX + 1)),
        &expect![[r#"
        30001 events up to @30001 by 3; 
    "#]],
    );
    // What came in within a short time, though it was made in several windows.
    check_pushes(
        &versions((0..EVENTS_MAX + 500).map(|edit| edit / 200)),
        &expect![[r#"
        10500 events up to @10500 by 3; 
    "#]],
    );
    // Through an outage: one that goes on in what was not read waits, unless it is the first.
    let (few, many) = (EVENTS_MAX / 2, 2 * EVENTS_MAX + 7);
    let outage = |counts: [usize; 4]| {
        let windows = counts.into_iter().enumerate();
        versions(windows.flat_map(move |(number, count)| window(number * 1_000, count)))
    };
    check_pushes(
        &outage([few, few - 1, 2, 9]),
        &expect![[r#"
        5000 events up to @5000 by 3; 4999 events up to @9999 by 3; 
        2 events up to @10001 by 2; 9 events up to @10010 by 3; 
    "#]],
    );
    check_pushes(
        &outage([few, many, few, 9]),
        &expect![[r#"
        5000 events up to @5000 by 3; 
        20007 events up to @25007 by 3; 5000 events up to @30007 by 3; 
        9 events up to @30016 by 3; 
    "#]],
    );
    check_pushes(
        &outage([many, few, 5, many]),
        &expect![[r#"
        20007 events up to @20007 by 3; 5000 events up to @25007 by 3; 5 events up to @25012 by 3; 
        20007 events up to @45019 by 3; 
    "#]],
    );
}
