//! Killed at any line: whatever a process was doing when it was killed, the next one brings the
//! repository to the same end, with nothing lost and nothing twice. `KBC_MIRROR_CRASH_ROUNDS=200` runs each case so often (some seven hours;
//! `runtime/ARCHITECTURE.md` has shorter ways).

use crate::support::{BOT, Installation, JANE, Keboola, Options, PETR, rounds};
use fake_keboola::ConfigAt;
use mirror_runtime::crash::PLACES;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet};

/// Cases that run at once; they wait for windows most of the time.
const AT_ONCE: usize = 4;

/// In the script below an attempt place is passed so often, in this order: snapshot, two authors in
/// one window, rename with delete and rows, then the default branch's and the dev branch's share of
/// the next act in either order, and the runs.
const SNAPSHOT: u32 = 1;
const FIRST_WINDOW: u32 = 2;
const LATER: [u32; 4] = [3, 4, 5, 6];
/// Places between which and the next one the outside world has changed: here every passing counts.
const DELICATE: [&str; 4] = ["after-prepare", "after-push", "before-adopt", "after-adopt"];

/// Plays everything that a project goes through, act by act; the changes of an act are in one window.
fn play(keboola: &Keboola, act: usize) {
    let (orders, clean) = (keboola.orders(), keboola.clean());
    match act {
        // The first snapshot takes what is there.
        0 => {}
        1 => {
            keboola.set(&orders, JANE, "since", "-2 days");
            keboola.edit(&clean, PETR, "Count returned orders", |configuration| {
                configuration["parameters"]["blocks"][0]["codes"][0]["script"] =
                    json!(["SELECT 1;", "SELECT 2;"]);
            });
            keboola.set(&orders, BOT, "since", "-3 days");
            keboola.create("customers", "Customers", PETR);
        }
        2 => {
            keboola.rename(&orders, JANE, "Orders of the shop");
            keboola.delete(&keboola.at("keboola.ex-shop", "customers"), PETR);
            keboola.edit_row(&orders, "first", JANE, |row| {
                row["configuration"]["parameters"]["table"] = json!("o");
            });
            keboola
                .delete_row(&orders, "second", &keboola.by(JANE, "Not needed"))
                .expect("there is such a row");
        }
        3 => {
            let branch = keboola.branch("Loyalty", JANE);
            let copy = ConfigAt::new(&branch, &clean.component, &clean.config);
            keboola.set(&copy, JANE, "points", true);
            keboola.set(&clean, PETR, "cents", 2);
        }
        4 => {
            keboola.run(&orders, "success", &["in.c-shop.orders"]);
            keboola.run(&orders, "error", &[]);
        }
        other => panic!("there is no act {other}"),
    }
}

const ACTS: usize = 5;

/// How the repository is reached.
#[derive(Debug, Clone, Copy)]
enum Way {
    Path,
    Https,
    Ssh,
}

impl Way {
    fn install(self, keboola: &Arc<Keboola>, options: Options) -> Installation {
        match self {
            Self::Path => Installation::new(keboola, options),
            Self::Https => Installation::over_https(keboola, options),
            // Nobody can be asked there who may read it.
            Self::Ssh => {
                let options = Options {
                    samples: false,
                    secrets: "masked",
                    ..options
                };
                Installation::over_ssh(keboola, options)
            }
        }
    }
}

/// Runs the script with one process killed at a passing of a place, and checks the outcome.
async fn check(way: Way, place: &str, passing: u32) {
    let keboola = Keboola::small();
    let options = Options {
        // Only then it is passed.
        jobs: match place {
            "after-month-push" => ", log = \"month-refs\"",
            _ => "",
        },
        ..Options::default()
    };
    let site = way.install(&keboola, options);
    let mut server = site.start_armed(&format!("{place}:{passing}")).await;
    let mut deaths = 0;
    for act in 0..ACTS {
        play(&keboola, act);
        while site.try_settle(&mut server).await.is_err() {
            server.was_killed().await;
            deaths += 1;
            server = site.start().await;
        }
    }
    // The last place lies behind the point at which everything looks done.
    if deaths == 0 && place == PLACES[PLACES.len() - 1] {
        server.was_killed().await;
        deaths += 1;
        server = site.start().await;
        site.settle(&mut server).await;
    }
    assert_eq!(deaths, 1, "passing {passing} of {place} was not reached");
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}

/// Runs cases beside each other and names those that fail.
async fn check_all(way: Way, cases: Vec<(&'static str, u32)>) {
    let count = cases.len() * rounds();
    let cases = (0..rounds()).flat_map(|_| cases.clone());
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (place, passing) in cases {
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = turns
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            // Each on a thread of its own, where it may block.
            let runtime = Handle::current();
            let case = tokio::task::spawn_blocking(move || runtime.block_on(check(way, place, passing)));
            case.await.is_err().then(|| format!("{place}:{passing}"))
        });
    }
    let outcomes = running.join_all().await;
    let failed: Vec<String> = outcomes.into_iter().flatten().collect();
    assert!(
        failed.is_empty(),
        "not survived, of {count}: {}",
        failed.join(", ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn every_place_may_be_the_last_of_a_first_snapshot_or_event() {
    check_all(Way::Path, PLACES.iter().map(|place| (*place, SNAPSHOT)).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn every_place_may_be_the_last_of_a_change() {
    check_all(
        Way::Path,
        PLACES.iter().map(|place| (*place, FIRST_WINDOW)).collect(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn renames_dev_branches_and_runs_survive_too() {
    let cases = DELICATE
        .iter()
        .flat_map(|place| LATER.map(|passing| (*place, passing)));
    check_all(Way::Path, cases.collect()).await;
}

/// Around a push.
const SENDING: [&str; 6] = [
    "after-prepare",
    "before-push",
    "after-push",
    "before-adopt",
    "after-adopt",
    "after-cursor",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_push_over_https_may_be_the_last_thing_a_process_does() {
    let cases = SENDING
        .iter()
        .flat_map(|place| [SNAPSHOT, FIRST_WINDOW].map(|passing| (*place, passing)));
    check_all(Way::Https, cases.chain([("after-push", LATER[1])]).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_push_over_ssh_may_be_the_last_thing_a_process_does() {
    let cases = ["before-push", "after-push"].map(|place| (place, FIRST_WINDOW));
    check_all(Way::Ssh, cases.to_vec()).await;
}

/// The server kills the process while it takes its push, and takes it or does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_while_the_server_takes_the_push() {
    for way in [Way::Https, Way::Ssh] {
        for exit_code in [0, 1] {
            let keboola = Keboola::small();
            let site = way.install(&keboola, Options::default());
            let mut server = site.start().await;
            site.settle(&mut server).await;
            let kill = format!(
                "if mkdir killed 2>/dev/null; then kill -9 {}; exit {exit_code}; fi",
                server.pid()
            );
            site.repository.hook("pre-receive", &kill);
            play(&keboola, 1);
            assert!(site.try_settle(&mut server).await.is_err(), "the process dies");
            server.was_killed().await;
            let mut server = site.start().await;
            site.settle(&mut server).await;
            site.check(&[]);
            site.check_status(&server).await;
            server.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_any_time_during_a_stream_of_edits() {
    const ROUNDS: u64 = 10;
    const LONGEST_MS: u64 = 1_500;
    let keboola = Keboola::small();
    let options = Options {
        // On a busy machine no life may be long enough for the first commit; none of these deaths is an object's.
        queue: "[sync]\ndeaths_max = 100".to_owned(),
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let mut chance = Chance(0x6b62_636d);
    let mut edits = 0;
    for _ in 0..ROUNDS {
        let mut server = site.start().await;
        // Not waiting for anything: the moment of death is what is tried out.
        let life = Duration::from_millis(chance.below(LONGEST_MS));
        let stream = async {
            loop {
                edits += 1;
                edit(&keboola, edits, &mut chance);
                site.deliver(&mut server)
                    .await
                    .expect("nothing else kills the process");
                tokio::time::sleep(Duration::from_millis(chance.below(120))).await;
            }
        };
        let ended: Result<(), _> = tokio::time::timeout(life, stream).await;
        assert!(ended.is_err(), "the stream has no end");
        server.kill();
    }
    let mut server = site.start().await;
    site.settle(&mut server).await;
    site.check(&[]);
    let commits = site.repository.count("main");
    assert!(commits > 1, "{edits} edits in {ROUNDS} lives made no commit");
    server.stop().await;
}

/// One edit of a stream: mostly of content, sometimes of names, rows and whole configurations.
fn edit(keboola: &Keboola, number: u64, chance: &mut Chance) {
    let orders = keboola.orders();
    match chance.below(6) {
        0 => keboola.rename(&orders, JANE, &format!("Orders {number}")),
        1 => keboola.edit_row(&orders, "first", PETR, |row| {
            row["configuration"]["n"] = json!(number);
        }),
        2 => {
            let at = keboola.create(&format!("extra-{number}"), &format!("Extra {number}"), PETR);
            if chance.below(2) == 0 {
                keboola.delete(&at, JANE);
            }
        }
        3 => {
            keboola.run(
                &orders,
                if number.is_multiple_of(2) {
                    "success"
                } else {
                    "error"
                },
                &[],
            );
        }
        _ => {
            keboola.set(&keboola.clean(), JANE, "number", number);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_that_was_asked_for_loses_nothing_either() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    for act in 0..ACTS {
        let mut server = site.start().await;
        play(&keboola, act);
        site.deliver(&mut server).await.expect("the process lives");
        // The window is still open.
        server.stop().await;
    }
    let mut server = site.start().await;
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}

/// A seeded stream of chances (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut state = self.0;
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (state ^ (state >> 31)) % end
    }
}
