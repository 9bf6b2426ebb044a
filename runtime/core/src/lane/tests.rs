use super::*;
use crate::{cause::Cause, cut::LogId};
use expect_test::{Expect, expect};

/// Plays a script against a lane and writes down what it wants done.
///
/// Steps are `<second> <what>`, separated by `;`. What: `change N`, `jobs N`, `urgent N` (a jobs
/// event that is urgent), `ok C J [took S]` (mirrored through change C and jobs J), `down`, `denied`,
/// `moved`, `cut short`, `renewed` (a credential), `tick`, `pause`, `resume`, `stop`. `wait` ticks at every moment that the lane
/// asks for, up to that second.
struct Play {
    lane: Lane,
    told: String,
}

fn fresh() -> LaneStart {
    LaneStart {
        cursor: LaneCursor::start(LogId::parse("log").unwrap()),
        change_mode: WindowMode::EARLY,
        jobs_mode: WindowMode::JOBS,
        change_waiting: None,
        jobs_waiting: None,
        is_new: false,
        outage: None,
        paused: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

impl Play {
    fn step(&mut self, wake: Wake, now: Timestamp) {
        let actions = self.lane.step(wake, now, Jitter::NONE);
        for action in actions {
            let shown = match action {
                Action::Start { streams } => format!("start {streams:?}"),
                Action::Remember(None) => "remember no outage".to_owned(),
                Action::Remember(Some(outage)) => format!("remember attempt {}", outage.attempts),
                Action::Notify { notice, .. } => format!("notify {notice:?}"),
            };
            self.told.push_str(&format!("{}s {shown}\n", now.as_second()));
        }
    }

    fn play(&mut self, script: &str) {
        for step in script.split(';').map(str::trim) {
            let words: Vec<&str> = step.split(' ').collect();
            let now = at(words[0].parse().unwrap());
            let number = |index: usize| words[index].parse::<u64>().unwrap();
            let arrived = |stream, urgent| Wake::Arrived {
                stream,
                position: Position(number(2)),
                published_at: now,
                urgent,
            };
            let failed = |disposition| {
                Wake::AttemptDone(AttemptEnd::Failed(Failure {
                    disposition,
                    cause: Cause::Remote,
                    reason: "told".to_owned(),
                }))
            };
            let wake = match words[1] {
                "change" => arrived(Stream::Change, false),
                "jobs" => arrived(Stream::Jobs, false),
                "urgent" => arrived(Stream::Jobs, true),
                "ok" => Wake::AttemptDone(AttemptEnd::Mirrored {
                    cursor: LaneCursor {
                        change: Position(number(2)),
                        jobs: Position(number(3)),
                        ..self.lane.cursor().clone()
                    },
                    took: words
                        .get(5)
                        .map(|seconds| Duration::from_secs(seconds.parse().unwrap())),
                }),
                "renewed" => Wake::Renewed,
                "down" => failed(Disposition::Temporary { after: None }),
                "denied" => failed(Disposition::NeedsCustomer),
                "moved" => failed(Disposition::RefMoved),
                "cut" => Wake::AttemptDone(AttemptEnd::Interrupted),
                "tick" => Wake::Tick,
                "pause" => Wake::Pause,
                "resume" => Wake::Resume,
                "again" => Wake::Again,
                "stop" => Wake::Stop,
                "wait" => {
                    while let Some(due) = self.lane.next_due().filter(|due| *due <= now) {
                        self.step(Wake::Tick, due);
                    }
                    continue;
                }
                other => panic!("no such step: {other}"),
            };
            self.step(wake, now);
        }
        let due = self
            .lane
            .next_due()
            .map_or("nothing".to_owned(), |due| format!("{}s", due.as_second()));
        self.told.push_str(&format!("waits for {due}\n"));
    }
}

#[track_caller]
fn check(start: LaneStart, script: &str, expected: &Expect) {
    let mut play = Play {
        lane: Lane::new(start, at(0)),
        told: String::new(),
    };
    play.play(script);
    expected.assert_eq(&play.told);
}

#[test]
fn changes_of_one_window_are_one_attempt() {
    check(
        fresh(),
        "0 change 1; 20 change 2; 26 tick; 60 wait; 61 ok 2 0",
        &expect![[r#"
        27s start [Change]
        waits for nothing
    "#]],
    );
}

#[test]
fn what_arrives_during_an_attempt_has_a_window_of_its_own() {
    check(
        fresh(),
        "0 change 1; 27 wait; 28 change 2; 29 change 1; 90 wait; 91 ok 1 0 took 2",
        &expect![[r#"
        27s start [Change]
        91s start [Change]
        waits for nothing
    "#]],
    );
}

#[test]
fn an_attempt_that_read_further_than_was_told_leaves_nothing_to_do() {
    check(
        fresh(),
        "0 change 1; 27 wait; 28 change 2; 29 ok 3 0; 30 change 3",
        &expect![[r#"
        27s start [Change]
        waits for nothing
    "#]],
    );
}

#[test]
fn runs_have_a_cadence_of_their_own_unless_they_are_urgent() {
    check(
        fresh(),
        "0 jobs 1; 30 wait; 31 ok 0 1; 40 jobs 2; 100 change 3; 127 wait; 128 ok 3 1",
        &expect![[r#"
        30s start [Jobs]
        127s start [Change]
        waits for 930s
    "#]],
    );
    check(
        fresh(),
        "0 jobs 1; 30 wait; 31 ok 0 1; 40 jobs 2; 41 urgent 3; 60 wait; 61 ok 0 3; 200 urgent 4; 202 wait",
        &expect![[r#"
        30s start [Jobs]
        60s start [Jobs]
        202s start [Jobs]
        waits for nothing
    "#]],
    );
}

#[test]
fn an_outage_is_retried_told_once_and_its_end_too() {
    check(
        fresh(),
        "0 change 1; 27 wait; 30 down; 330 wait; 331 down; 400 change 2; 700 wait; 9929 tick; 9930 wait",
        &expect![[r#"
            27s start [Change]
            30s remember attempt 1
            330s start [Change]
            331s remember attempt 2
            631s start [Change]
            9930s notify Warning
            9930s remember attempt 2
            waits for 10830s
        "#]],
    );
    check(
        fresh(),
        "0 change 1; 27 wait; 30 down; 10830 wait; 10831 ok 1 0; 10832 change 2",
        &expect![[r#"
            27s start [Change]
            30s remember attempt 1
            330s start [Change]
            9930s notify Warning
            9930s remember attempt 1
            10830s notify Failing
            10830s remember attempt 1
            10831s notify Recovered
            10831s remember no outage
            waits for 10859s
        "#]],
    );
}

#[test]
fn the_customer_is_asked_at_once() {
    check(
        fresh(),
        "0 change 1; 27 wait; 30 denied; 330 wait; 331 denied; 631 wait; 632 ok 1 0",
        &expect![[r#"
            27s start [Change]
            30s notify NeedsCustomer
            30s remember attempt 1
            330s start [Change]
            331s remember attempt 2
            631s start [Change]
            632s notify Recovered
            632s remember no outage
            waits for nothing
        "#]],
    );
}

#[test]
fn a_moved_ref_is_no_outage_until_it_has_moved_often() {
    check(
        fresh(),
        "0 change 1; 27 wait; 28 moved; 29 ok 1 0",
        &expect![[r#"
        27s start [Change]
        28s start [Change]
        waits for nothing
    "#]],
    );
    let script = "0 change 1; 27 wait; 28 moved; 29 moved; 30 moved; 31 moved; 32 moved; 33 moved";
    check(
        fresh(),
        script,
        &expect![[r#"
        27s start [Change]
        28s start [Change]
        29s start [Change]
        30s start [Change]
        31s start [Change]
        32s start [Change]
        33s remember attempt 1
        waits for 333s
    "#]],
    );
}

#[test]
fn after_a_restart_the_stored_cut_comes_first_and_what_it_leaves_at_once_after() {
    let start = LaneStart {
        change_waiting: Some((Position(9), at(-100))),
        is_new: true,
        ..fresh()
    };
    check(
        start,
        "0 tick; 3 ok 4 0; 5 ok 9 0",
        &expect![[r#"
        0s start [Change, Jobs]
        3s start [Change]
        waits for nothing
    "#]],
    );
    let start = LaneStart {
        change_waiting: Some((Position(9), at(-10))),
        ..fresh()
    };
    check(
        start,
        "0 tick; 17 wait",
        &expect![[r#"
        17s start [Change]
        waits for nothing
    "#]],
    );
}

#[test]
fn a_retry_that_worked_on_an_older_cut_leaves_the_rest_due_at_once() {
    check(
        fresh(),
        "0 change 5; 27 wait; 30 ok 3 0; 31 ok 5 0",
        &expect![[r#"
        27s start [Change]
        30s start [Change]
        waits for nothing
    "#]],
    );
}

#[test]
fn a_new_lane_starts_at_once_and_a_held_one_does_not() {
    check(
        LaneStart {
            is_new: true,
            ..fresh()
        },
        "0 tick; 9 ok 0 0",
        &expect![[r#"
        0s start [Change, Jobs]
        waits for nothing
    "#]],
    );
    check(
        LaneStart {
            paused: true,
            ..fresh()
        },
        "0 change 1; 99 wait; 100 resume",
        &expect![[r#"
        100s start [Change]
        waits for nothing
    "#]],
    );
    check(
        fresh(),
        "0 change 1; 27 wait; 28 down; 29 pause; 400 wait; 401 resume",
        &expect![[r#"
            27s start [Change]
            28s remember attempt 1
            401s start [Change]
            waits for 10301s
        "#]],
    );
}

#[test]
fn nothing_starts_once_the_process_ends() {
    check(
        fresh(),
        "0 change 1; 27 wait; 28 change 2; 29 stop; 30 cut short; 99 wait",
        &expect![[r#"
        27s start [Change]
        waits for nothing
    "#]],
    );
}

#[test]
fn a_clock_that_was_set_back_costs_a_window_and_not_the_difference() {
    let mut play = Play {
        lane: Lane::new(fresh(), at(7200)),
        told: String::new(),
    };
    play.play("7200 change 1; 3600 tick; 3628 tick; 3630 ok 1 0; 3640 change 2; 3700 tick; 3701 down");
    play.play("10 tick");
    assert!(play.lane.next_due().is_some_and(|due| due <= at(10 + 66 * 60)));
    expect![[r#"
        3628s start [Change]
        3700s start [Change]
        3701s remember attempt 1
        waits for 4001s
        waits for 3970s
    "#]]
    .assert_eq(&play.told);
}

#[test]
fn a_lane_that_is_held_is_no_outage_to_tell_of_until_it_goes_on() {
    check(
        fresh(),
        "0 change 1; 27 wait; 30 down; 40 pause; 20000 wait; 20001 resume; 20002 denied; 20003 pause; 20004 tick",
        &expect![[r#"
            27s start [Change]
            30s remember attempt 1
            20001s start [Change]
            20002s notify NeedsCustomer
            20002s remember attempt 2
            waits for nothing
        "#]],
    );
}

#[test]
fn what_no_stream_tells_of_is_tried_again_without_hastening_a_retry() {
    check(
        fresh(),
        "0 change 1; 27 wait; 28 again; 30 ok 1 0; 40 again; 41 ok 1 0; 50 change 2; 77 wait; 78 down; 80 again; 400 wait; 401 pause; \
         402 ok 2 0; 403 again; 404 resume",
        &expect![[r#"
            27s start [Change]
            40s start [Change]
            77s start [Change]
            78s remember attempt 1
            378s start [Change]
            402s remember no outage
            404s start [Change]
            waits for nothing
        "#]],
    );
}

#[test]
fn a_renewed_credential_ends_the_wait_of_who_was_refused_and_no_other() {
    check(
        fresh(),
        "0 change 1; 27 wait; 28 renewed; 30 denied; 40 renewed; 41 denied; 341 wait; 342 ok 1 0; 350 renewed; \
         351 change 2; 378 wait; 379 down; 380 renewed; 400 wait; 401 pause; 402 renewed",
        &expect![[r#"
            27s start [Change]
            30s notify NeedsCustomer
            30s remember attempt 1
            40s start [Change]
            41s remember attempt 2
            341s start [Change]
            342s notify Recovered
            342s remember no outage
            378s start [Change]
            379s remember attempt 1
            waits for nothing
        "#]],
    );
}

#[test]
fn the_next_attempt_is_told_and_no_time_of_a_notice() {
    let mut play = Play {
        lane: Lane::new(fresh(), at(0)),
        told: String::new(),
    };
    play.play("0 change 1; 30 tick");
    assert_eq!(play.lane.next_attempt(), None, "one runs");
    play.play("31 down");
    let next = play.lane.next_attempt().unwrap();
    assert!(next <= at(31 + 6 * 60), "{next}");
    play.step(Wake::Tick, next);
    assert_eq!(play.lane.next_attempt(), None, "the next one runs");
    assert!(play.lane.next_due().is_some(), "and there is a warning to come");
}
