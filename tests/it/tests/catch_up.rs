//! Is history after an outage what it would have been without one?

use crate::support::{JANE, Keboola, PETR, Person, Repository, first_snapshot_over_http};
use fake_keboola::{Change, ConfigAt};
use git_servers::{Fault, HttpServer, On};
use jiff::{SignedDuration, Timestamp};
use mirror_core::cut::groups::COMMITS_MAX;
use mirror_it::Rig;
use serde_json::{Value, json};
use std::sync::Arc;

/// A mirror of a project, over a real server, whose attempts are made when the test says so.
struct World {
    keboola: Arc<Keboola>,
    rig: Rig,
    server: HttpServer,
    told: u64,
}

impl World {
    /// Takes the first snapshot.
    async fn new(keboola: &Arc<Keboola>) -> Self {
        let (rig, server) = first_snapshot_over_http(keboola).await;
        Self {
            keboola: Arc::clone(keboola),
            rig,
            server,
            told: keboola.outbox(0).last().map_or(0, |event| event.seq),
        }
    }

    /// Posts what was told since the last time, as of a moment of the project's time.
    async fn post(&mut self, at: Timestamp) {
        let events = self.keboola.outbox(self.told);
        self.told = events.last().map_or(self.told, |event| event.seq);
        let events: Vec<String> = events.into_iter().map(|event| event.json).collect();
        self.rig.post_at(&events, at).await;
    }

    /// Author, times and tree of each commit, oldest first; the trees are everything that there is to see.
    fn history(&self) -> Vec<String> {
        let trailers = ["Keboola-Change", "Mirror-Events", "Co-authored-by"]
            .map(|key| format!("%(trailers:key={key},separator=%x2C)"))
            .join("|");
        let format = format!("--format=%an|%ae|%at|%ct|%s|{trailers}|%T");
        let log = self.rig.git(&["log", "--reverse", &format, "main"]);
        log.lines().map(str::to_owned).collect()
    }

    /// Renders everything anew, which must change nothing.
    async fn check_tree(&mut self) {
        let before = self.rig.tree();
        self.rig.ask_for_all("is it all?").await;
        self.rig.settle().await;
        assert_eq!(self.rig.tree(), before);
        Repository::at(self.rig.repository()).fsck();
    }
}

/// After the snapshots, so that commits are not dated by those.
fn start() -> Timestamp {
    "2036-11-20T08:00:00Z".parse().expect("it is a time")
}

fn at(second: i64) -> Timestamp {
    start() + SignedDuration::from_secs(second)
}

fn by((id, name): Person, why: &str, second: i64) -> Change {
    Change::by(id, name, why, at(second))
}

/// One change at a second of the outage.
fn change(keboola: &Keboola, number: usize) -> i64 {
    let second = [0, 12, 700, 710, 1_500, 4_000, 9_000, 9_010][number];
    let (orders, clean) = (keboola.orders(), keboola.clean());
    let set = |at, who, why, value: &str| {
        let made = keboola.update_configuration(at, &by(who, why, second), |configuration| {
            configuration["parameters"]["step"] = json!(value);
        });
        assert!(made.expect("it is there").is_some());
    };
    match number {
        0 => set(&orders, JANE, "First", "1"),
        1 => set(&clean, PETR, "Second", "2"),
        2 => {
            let made =
                keboola.rename_configuration(&orders, &by(PETR, "Third", second), "Renamed in between");
            assert!(made.expect("it is there").is_some());
        }
        3 => set(&orders, JANE, "Fourth", "4"),
        4 => set(&clean, JANE, "Fifth", "5"),
        5 => set(&orders, PETR, "Sixth", "6"),
        6 => set(&clean, PETR, "Seventh", "7"),
        7 => set(&orders, JANE, "Last", "8"),
        _ => unreachable!("there are eight"),
    }
    second
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_history_is_what_it_would_have_been_without_one() {
    // Both see the same project; one as it changes, the other only in the end.
    let keboola = Keboola::small();
    let (mut live, mut late) = (World::new(&keboola).await, World::new(&keboola).await);
    let windows: [&[usize]; 5] = [&[0, 1], &[2, 3], &[4], &[5], &[6, 7]];
    for window in windows {
        for number in window {
            let second = change(&keboola, *number);
            live.post(at(second)).await;
            late.post(at(second)).await;
        }
        live.rig.attempt().await;
        late.server.fail_next(On::Any, Fault::status(503));
        late.rig.try_attempt().await.expect_err("the server is down");
    }
    assert_eq!(late.history().len(), 1, "nothing arrived");
    late.server.forget_faults();

    drop(late.server.take_seen());
    let done = late.rig.attempt().await;
    assert_eq!(done.caught_up.len() + 1, windows.len());
    assert!(done.landed.is_some());
    let seen = late.server.take_seen();
    let pushes = seen
        .iter()
        .filter(|seen| seen.method == "POST" && seen.path.ends_with("/git-receive-pack"));
    assert_eq!(pushes.count(), 1, "all go together");
    assert_eq!(late.history()[1..], live.history()[1..]);
    // Nothing is left, and the next change goes on from there.
    assert!(late.rig.attempt().await.landed.is_none());
    late.check_tree().await;
    keboola.set(&keboola.orders(), JANE, "after", 1);
    late.post(at(20_000)).await;
    let done = late.rig.attempt().await;
    assert!(done.landed.is_some() && done.caught_up.is_empty());
    late.check_tree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_since_goes_when_it_went_and_what_came_since_comes_then() {
    let keboola = Keboola::small();
    let mut late = World::new(&keboola).await;
    let (orders, clean, extra) = (
        keboola.orders(),
        keboola.clean(),
        keboola.at("keboola.ex-shop", "extra"),
    );
    keboola
        .create_configuration(
            &extra,
            &by(JANE, "Create", 0),
            "Extra",
            json!({ "parameters": {} }),
        )
        .expect("the id is free");
    late.post(at(0)).await;
    for (second, value) in [(1_000, 1), (2_000, 2)] {
        let edit = |configuration: &mut Value| configuration["parameters"]["step"] = json!(value);
        keboola
            .update_configuration(&clean, &by(PETR, "Edit", second), edit)
            .expect("it is there");
        late.post(at(second)).await;
    }
    keboola
        .delete_configuration(&clean, &by(JANE, "Delete", 3_000))
        .expect("it is there");
    late.post(at(3_000)).await;
    keboola
        .update_configuration(&orders, &by(PETR, "Edit", 4_000), |configuration| {
            configuration["parameters"]["step"] = json!(3);
        })
        .expect("it is there");
    late.post(at(4_000)).await;
    late.rig.attempt().await;
    let subjects: Vec<String> = late
        .history()
        .iter()
        .skip(1)
        .map(|commit| {
            let fields: Vec<&str> = commit.split('|').collect();
            format!(
                "{} {}: {}",
                fields[2].parse::<i64>().expect("a second") - start().as_second(),
                fields[1],
                fields[4]
            )
        })
        .collect();
    // Versions of what is in the trash cannot be read any more, so its edits are no commits.
    assert_eq!(
        subjects,
        [
            "0 jane.novak@example.com: Create keboola.ex-shop \"Extra\": Create",
            "3000 jane.novak@example.com: Delete keboola.snowflake-transformation \"The clean\": Delete",
            "4000 petr.svoboda@example.com: Update keboola.ex-shop \"The orders\": Edit",
        ]
    );
    late.check_tree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_stays_so_where_an_event_from_before_that_comes_a_window_later() {
    let keboola = Keboola::small();
    let (orders, clean) = (keboola.orders(), keboola.clean());
    let step = |at: &ConfigAt, second: i64| {
        let edit = |configuration: &mut Value| configuration["parameters"]["step"] = json!(second);
        let made = keboola.update_configuration(at, &by(PETR, "Edit", second), edit);
        assert!(made.expect("it is there").is_some());
    };
    // The snapshot has this version; its event is held up.
    step(&clean, 0);
    let held = keboola.outbox(0).into_iter();
    let held: Vec<String> = held.map(|event| event.json).collect();
    let mut late = World::new(&keboola).await;
    keboola
        .delete_configuration(&clean, &by(JANE, "Delete", 1_000))
        .expect("it is there");
    late.post(at(1_000)).await;
    step(&orders, 9_000);
    late.post(at(9_000)).await;
    late.rig.post_at(&held, at(9_000)).await;
    let done = late.rig.attempt().await;
    assert_eq!(done.caught_up.len(), 1, "there are two windows");
    assert_eq!(
        told(&late),
        [
            "1 Delete keboola.snowflake-transformation \"The clean\": Delete",
            "1 Update keboola.ex-shop \"The orders\": Edit",
        ]
    );
    late.check_tree().await;
}

/// Sets a value of a configuration, a window of its own, and tells of it.
async fn note(late: &mut World, config: &ConfigAt, second: i64, value: &str) {
    let edit = |configuration: &mut Value| configuration["parameters"]["note"] = json!(value);
    late.keboola
        .update_configuration(config, &by(JANE, value, second), edit)
        .expect("it is there");
    late.post(at(second)).await;
}

/// Sets values of the orders, a window each.
async fn notes(late: &mut World, values: [&str; 5]) {
    let orders = late.keboola.orders();
    for (second, value) in (0..).step_by(1_000).zip(values) {
        note(late, &orders, second, value).await;
    }
}

/// What the commits after the snapshot say, oldest first, each with the number of its covered changes.
fn told(late: &World) -> Vec<String> {
    let commits = late.history().into_iter().skip(1);
    let told = commits.map(|commit| {
        let fields: Vec<&str> = commit.split('|').collect();
        format!("{} {}", fields[5].split(',').count(), fields[4])
    });
    told.collect()
}

/// The same of windows that each changed the orders once.
fn updates<const COUNT: usize>(values: [&str; COUNT]) -> [String; COUNT] {
    values.map(|value| format!("1 Update keboola.ex-shop \"The orders\": {value}"))
}

/// Refuses what has a phrase in it, commit by commit, and says where, if it is to name places; counts pushes.
fn push_protection(repository: &Repository, phrase: &str, names_places: bool) {
    let places = match names_places {
        false => "",
        true => {
            "echo '      —— Harbour Phrase ————————————————————————————————'
            echo '       locations:'
            while IFS=: read commit path line rest; do
                echo \"         - commit: $commit\"
                echo \"           path: $path:$line\"
            done <found"
        }
    };
    let hook = format!(
        "echo push >>pushes
        while read old new ref; do
            for commit in $(git rev-list --reverse \"$new\" --not --all); do
                git grep -n --full-name -I -e '{phrase}' \"$commit\" >found || continue
                echo 'error: GH013: Repository rule violations found for '\"$ref\"'.'
                echo '- GITHUB PUSH PROTECTION'
                echo '    - Push cannot contain secrets'
                {places}
                exit 1
            done
        done >&2"
    );
    repository.hook("pre-receive", &hook);
}

const PHRASE: &str = "bluebird over the harbour";

/// Of forty windows one has what the server does not take.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_of_a_version_in_between_is_kept_back_and_the_windows_stay_commits() {
    let keboola = Keboola::small();
    let mut late = World::new(&keboola).await;
    let repository = Repository::at(late.rig.repository());
    push_protection(&repository, PHRASE, true);
    let (orders, clean) = (keboola.orders(), keboola.clean());
    for window in 0..40 {
        let (config, value) = match window {
            27 => (&orders, PHRASE.to_owned()),
            38 => (&orders, "Harmless".to_owned()),
            _ => (&clean, format!("Number {window}")),
        };
        note(&mut late, config, window * 100, &value).await;
    }
    late.rig.settle().await;
    let expected: Vec<String> = (0..40)
        .map(|window| match window {
            // That there was a change is told, but not which.
            27 => "1 Update keboola.ex-shop orders".to_owned(),
            38 => "1 Update keboola.ex-shop \"The orders\": Harmless".to_owned(),
            _ => {
                format!("1 Update keboola.snowflake-transformation \"The clean\": Number {window}")
            }
        })
        .collect();
    assert_eq!(told(&late), expected);
    assert!(!repository.holds(PHRASE));
    let pushes = std::fs::read_to_string(repository.path().join("pushes")).expect("it is counted");
    assert!(pushes.lines().count() <= 20, "{pushes}");
    late.check_tree().await;
}

/// Where the server does not say what it objects to, only the window that it is in goes with the one that mends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_refused_without_a_reason_goes_with_what_mends_it() {
    let keboola = Keboola::small();
    let mut late = World::new(&keboola).await;
    let repository = Repository::at(late.rig.repository());
    push_protection(&repository, PHRASE, false);
    notes(&mut late, ["One", "Two", PHRASE, "Four", "Five"]).await;
    late.rig.settle().await;
    assert_eq!(told(&late), updates(["One", "Two", "Four", "Five"]));
    assert!(!repository.holds(PHRASE));
    late.check_tree().await;
}

/// Whose commits the server did not take for a while has them one by one afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_mend_waits_and_is_a_commit_for_each_window_in_the_end() {
    let keboola = Keboola::small();
    let mut late = World::new(&keboola).await;
    let repository = Repository::at(late.rig.repository());
    repository.hook("pre-receive", "cat >/dev/null\necho 'closed today' >&2\nexit 1");
    notes(&mut late, ["One", "Two", "Three", "Four", "Five"]).await;
    for _ in 0..2 {
        late.rig.try_attempt().await.expect_err("the server is closed");
        assert_eq!(late.history().len(), 1, "nothing arrived");
    }
    repository.unhook("pre-receive");
    late.rig.settle().await;
    assert_eq!(told(&late), updates(["One", "Two", "Three", "Four", "Five"]));
    late.check_tree().await;
}

/// The server would have refused anything: that is no reason to make the windows one commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_protected_for_a_while_gets_a_commit_for_each_window() {
    let keboola = Keboola::small();
    let mut late = World::new(&keboola).await;
    let repository = Repository::at(late.rig.repository());
    // Once, so that whatever is sent at once after it would be taken.
    let hook = "cat >/dev/null\ntest -e refused && exit 0\ntouch refused\necho 'error: GH006: Protected branch update failed for refs/heads/main.' >&2\nexit 1";
    repository.hook("pre-receive", hook);
    for (second, step) in [(0, 1), (1_000, 2), (2_000, 3)] {
        let edit = |configuration: &mut Value| configuration["parameters"]["step"] = json!(step);
        keboola
            .update_configuration(&keboola.orders(), &by(JANE, "Edit", second), edit)
            .expect("it is there");
        late.post(at(second)).await;
    }
    late.rig.try_attempt().await.expect_err("the branch is protected");
    assert_eq!(late.history().len(), 1);
    let done = late.rig.attempt().await;
    assert_eq!(done.caught_up.len(), 2);
    late.check_tree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_more_windows_than_go_into_one_push_takes_several() {
    let keboola = Keboola::small();
    let mut late = World::new(&keboola).await;
    let windows = COMMITS_MAX + 5;
    for window in 0..windows {
        let second = i64::try_from(window).expect("it is small") * 60;
        let edit = |configuration: &mut Value| configuration["parameters"]["step"] = json!(window);
        keboola
            .update_configuration(&keboola.orders(), &by(JANE, "Edit", second), edit)
            .expect("it is there");
        late.post(at(second)).await;
    }
    let done = late.rig.settle().await;
    let commits: Vec<usize> = done
        .iter()
        .map(|done| done.caught_up.len() + usize::from(done.landed.is_some()))
        .collect();
    assert_eq!(commits, [COMMITS_MAX, 5]);
    let history = late.history();
    assert_eq!(history.len(), windows + 1);
    let times: Vec<i64> = history
        .iter()
        .skip(1)
        .map(|commit| {
            commit
                .split('|')
                .nth(2)
                .and_then(|at| at.parse().ok())
                .expect("a second")
        })
        .collect();
    assert!(times.windows(2).all(|two| two[1] - two[0] == 60), "{times:?}");
    late.check_tree().await;
}
