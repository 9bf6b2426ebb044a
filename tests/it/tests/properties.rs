//! Whatever happens to a project, one change after the other and everything at once lead to one tree.
//!
//! Each case is a sequence of changes by seed, mirrored in steps through the real sandbox, store and
//! repository. The seed is always the same; for a long run `KBC_MIRROR_CASES` raises the number of cases and
//! `KBC_MIRROR_SEED` (any text, such as the date) replaces it; a failure names the seed and shows the shortest sequence found.

use crate::changes::{Deed, World, deeds};
use fake_keboola::{Change, ConfigAt, Fake, FakeConfig};
use mirror_core::commit::CommitKind;
use mirror_it::{Rig, Settings, SourceAt};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use sample_project::{Project, Shape, generate};
use serde_json::{Value, json};

/// Changes of one sequence.
const CHANGES: usize = 200;
/// The seed of the sequences that are the same at each run.
const SEED: &str = "the same at each run";

fn cases(modest: u32) -> u32 {
    let asked = std::env::var("KBC_MIRROR_CASES").ok();
    asked.map_or(modest, |cases| {
        cases.parse().expect("KBC_MIRROR_CASES is a number")
    })
}

/// Runs `check` on so many sequences, which are the seed's.
fn on_sequences(seed: &str, cases: u32, length: usize, check: &impl AsyncFn(&[Deed])) {
    let seed = std::env::var("KBC_MIRROR_SEED").unwrap_or_else(|_| seed.to_owned());
    let config = Config {
        cases,
        // Each step of shrinking mirrors a whole sequence.
        max_shrink_iters: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    for (at, byte) in seed.bytes().enumerate() {
        bytes[at % bytes.len()] ^= byte;
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let executor = executor.expect("a runtime can be made");
    let outcome = runner.run(&deeds(length), |sequence| {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            executor.block_on(check(&sequence));
        }));
        checked.map_err(|panic| {
            let said = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
            TestCaseError::fail(said.unwrap_or_else(|| "it panicked".into()))
        })
    });
    if let Err(error) = outcome {
        panic!("with KBC_MIRROR_SEED='{seed}': {error}");
    }
}

#[test]
fn one_change_after_the_other_is_everything_at_once() {
    on_sequences(SEED, cases(2), CHANGES, &async |sequence: &[Deed]| {
        let mut world = World::new(Settings::default()).await;
        world.carry_out(sequence).await;
        let step_by_step = world.rig.tree();

        // With the placement that the lane holds.
        world.rig.ask_for_all("all anew").await;
        let done = world.rig.settle().await;
        assert!(
            done.iter().all(|done| done.landed.is_none()),
            "everything at once made another tree:\n{}",
            world.rig.git(&["diff", "main~1", "main"])
        );
        assert_eq!(world.rig.tree(), step_by_step);

        // With the one that the repository tells.
        world.rig.lose_data().await;
        let done = world.rig.settle().await;
        assert!(
            done.iter().all(|done| done.landed.is_none()),
            "what was read back made another tree:\n{}",
            world.rig.git(&["diff", "main~1", "main"])
        );
        assert_eq!(world.rig.tree(), step_by_step);

        // And then nothing.
        let done = world.rig.attempt().await;
        assert!(done.landed.is_none());
        let _ = world.rig.git(&["fsck", "--strict", "--full"]);
    });
}

#[test]
fn another_form_makes_one_commit_that_says_so() {
    on_sequences(SEED, cases(1), 40, &async |sequence: &[Deed]| {
        let mut world = World::new(Settings::default()).await;
        world.carry_out(sequence).await;
        let before = world.rig.git(&["rev-list", "--count", "main"]);
        world.rig.restart(|_, settings| settings.secrets = "masked").await;
        let done = world.rig.settle().await;
        let landed: Vec<_> = done.iter().filter_map(|done| done.landed.as_ref()).collect();
        let [landed] = landed.as_slice() else {
            panic!("{} commits", landed.len())
        };
        assert_eq!(landed.kind, CommitKind::Render, "{}", landed.message);
        let after = world.rig.git(&["rev-list", "--count", "main"]);
        let count = |text: &str| text.parse::<u32>().expect("a number");
        assert_eq!(count(&after), count(&before) + 1);
        assert!(world.rig.attempt().await.landed.is_none());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_listings_does_not_matter() {
    let project = generate(&Shape {
        configurations: 60,
        dev_branches: 0,
        jobs: 20,
        events_max: 0,
        ..Shape::default()
    });
    let start =
        |project: Project| Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
    let mut shuffled = project.clone();
    for branch in &mut shuffled.branches {
        branch.configurations.reverse();
    }
    shuffled.tables.rotate_left(3);
    shuffled.buckets.reverse();
    let (one, other) = (start(project), start(shuffled));
    let at = |fake: &Fake| SourceAt {
        url: fake.url().to_owned(),
        token: fake.token().to_owned(),
        project: fake.project().project_id,
    };
    let mut rig = Rig::new(at(&one), Settings::default()).await;
    rig.settle().await;
    let tree = rig.tree();
    rig.restart(|source, _| *source = at(&other)).await;
    // Which of two of the same name came first is told by the repository.
    rig.lose_data().await;
    rig.settle().await;
    assert_eq!(
        rig.tree(),
        tree,
        "{}",
        rig.git(&["diff", "--stat", "main~1", "main"])
    );
}

/// Makes a project of which a configuration is deleted and that is mirrored, before the event of its last edit comes. That
/// version was seen already: the source showed it when the one before was fetched. Returns where it was, and that event.
async fn with_an_edit_behind_its_deletion() -> (World, ConfigAt, String) {
    let mut world = World::new(Settings::default()).await;
    let (component, config) = ("keboola.snowflake-transformation", "clean");
    for value in [1, 2] {
        world.edit(component, config, |configuration| {
            configuration["parameters"]["value"] = value.into();
        });
    }
    let main = world.fake.project().default_branch().id().to_string();
    let at = ConfigAt::new(&main, component, config);
    let told = |world: &World| -> Vec<String> {
        let events = world.fake.outbox(0).into_iter();
        events.map(|event| event.json).collect()
    };
    let before = told(&world);
    world.rig.post(&before[..1]).await;
    world.rig.settle().await;
    world
        .fake
        .delete_configuration(&at, &change(100))
        .expect("it is there");
    world.rig.post(&told(&world)[2..]).await;
    let done = world.rig.settle().await;
    assert!(
        done.iter().any(|done| done.landed.is_some()),
        "its deletion is mirrored"
    );
    (world, at, before[1].clone())
}

/// A change so many seconds after those of a [`World`] began.
fn change(second: i64) -> Change {
    let now = jiff::Timestamp::from_second(1_793_606_400 + second).expect("a time");
    Change::by(9001, "jane@example.com", "Test", now)
}

/// Tells what comes to nothing, and that it did.
async fn tell_in_vain(world: &mut World, event: String) {
    let tree = world.rig.tree();
    world.rig.post(&[event]).await;
    let done = world.rig.settle().await;
    assert!(
        done.iter().all(|done| done.landed.is_none()),
        "{}",
        world.rig.git(&["show", "--stat", "main"])
    );
    world.rig.ask_for_all("all anew").await;
    world.rig.settle().await;
    assert_eq!(world.rig.tree(), tree);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_told_after_the_deletion_does_not_come_back() {
    let (mut world, _, late) = with_an_edit_behind_its_deletion().await;
    tell_in_vain(&mut world, late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_what_was_purged_does_not_come_back_in_place_of_what_was_made_anew() {
    let (mut world, at, late) = with_an_edit_behind_its_deletion().await;
    world.fake.purge_configuration(&at).expect("it is in the trash");
    let anew = json!({"parameters": {"made": "anew"}});
    world
        .fake
        .create_configuration(&at, &change(200), "Anew", anew)
        .expect("the id is free");
    let events: Vec<String> = world.fake.outbox(3).into_iter().map(|event| event.json).collect();
    world.rig.post(&events).await;
    world.rig.settle().await;
    tell_in_vain(&mut world, late).await;
}

/// Makes a project in which the newest version of one configuration is withheld: it shows what stands under a
/// `#` key of another.
async fn with_one_withheld() -> World {
    let mut world = World::new(Settings::default()).await;
    world.edit("keboola.ex-shop", "orders", |configuration| {
        configuration["parameters"]["#password"] = PLAINTEXT.into();
    });
    world.mirror_all().await;
    world.edit("keboola.snowflake-transformation", "clean", |configuration| {
        configuration["parameters"]["blocks"][0]["codes"][0]["script"][0] =
            format!("SELECT '{PLAINTEXT}'").into();
    });
    world.mirror_all().await;
    world
}

const PLAINTEXT: &str = "Pl4in-Text-Of-Another-Object";
const CODE: &str = "SELECT 1;";

/// Says whether the code is in the tip as it was before it was withheld.
fn holds_code(world: &World) -> bool {
    let found = world.rig.git(&[
        "grep",
        "--name-only",
        "--fixed-strings",
        CODE,
        "main",
        "--",
        "configs",
    ]);
    found.contains("clean")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_files_of_a_withheld_object_stay_when_everything_is_read_back() {
    let mut world = with_one_withheld().await;
    let memory = world.rig.memory().expect("there was an attempt");
    assert_eq!(memory.withheld().count(), 1, "one object is withheld");
    assert!(holds_code(&world));
    let tree = world.rig.tree();

    world.rig.lose_data().await;
    world.rig.settle().await;
    assert_eq!(
        world.rig.tree(),
        tree,
        "{}",
        world.rig.git(&["show", "--stat", "main"])
    );
    let memory = world.rig.memory().expect("there was an attempt");
    assert_eq!(memory.withheld().count(), 1, "it is known that it is withheld");

    // The next version is tried afresh, and then nothing is withheld any more.
    world.edit("keboola.snowflake-transformation", "clean", |configuration| {
        configuration["parameters"]["blocks"][0]["codes"][0]["script"][0] = "SELECT 2;".into();
    });
    world.mirror_all().await;
    let memory = world.rig.memory().expect("there was an attempt");
    assert_eq!(memory.withheld().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_form_is_one_labelled_commit_and_what_is_withheld_then_goes_until_its_next_version() {
    let mut world = with_one_withheld().await;
    world.schedule("keboola.snowflake-transformation", "clean", "Nightly clean");
    world.mirror_all().await;
    assert!(holds_code(&world), "made under the form that holds, they stay");
    let below = "configs/main/transformation/keboola.snowflake-transformation/the-clean";
    let schedule = format!("{below}/schedules/nightly-clean/config.json");
    let files = |world: &World| world.rig.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert!(files(&world).contains(&schedule));
    let last = |world: &World, format: &str| {
        world
            .rig
            .git(&["log", "-1", &format!("--format={format}"), "main"])
    };
    let form = |world: &World| last(world, "%(trailers:key=Mirror-Render,valueonly)");
    let before = (world.rig.git(&["rev-parse", "main"]), form(&world));

    world.rig.restart(|_, settings| settings.secrets = "masked").await;
    let done = world.rig.settle().await;
    let landed: Vec<_> = done.iter().filter_map(|done| done.landed.as_ref()).collect();
    assert_eq!(landed.len(), 1);
    assert_eq!(landed[0].kind, CommitKind::Render);
    assert_eq!(
        last(&world, "%P"),
        before.0,
        "one commit, on top of the one before"
    );
    let subject = last(&world, "%s");
    assert!(subject.starts_with("Render everything anew: "), "{subject}");
    assert_eq!(
        last(&world, "%an %ae"),
        last(&world, "%cn %ce"),
        "nobody changed anything"
    );
    let trailers = last(&world, "%(trailers:only)");
    for of_changes in ["Keboola-Change", "Co-authored-by"] {
        assert!(!trailers.contains(of_changes), "{trailers}");
    }
    assert_ne!(form(&world), before.1);

    // Its files showed the other form, and there is none of this one: it is as if it was not there.
    let now = files(&world);
    assert!(!now.contains(below), "{now}");
    let manifest = world.rig.git(&["show", "main:configs/.keboola/manifest.json"]);
    assert!(!manifest.contains("\"clean\""), "{manifest}");
    let orphan = now
        .lines()
        .filter(|path| path.starts_with("configs-extra/keboola.scheduler/"));
    let orphan: Vec<&str> = orphan.collect();
    let [orphan] = orphan.as_slice() else {
        panic!("{orphan:?}")
    };
    let orphan = world.rig.git(&["show", &format!("main:{orphan}")]);
    assert!(orphan.contains("\"configurationId\": \"clean\""), "{orphan}");
    let withheld = world.rig.git(&["show", "main:ai/withheld.jsonl"]);
    assert!(
        withheld.contains("keboola.snowflake-transformation/clean"),
        "{withheld}"
    );
    assert!(!withheld.contains(PLAINTEXT), "{withheld}");
    assert!(world.rig.attempt().await.landed.is_none());
    world.rig.restart(|_, _| ()).await;
    let done = world.rig.settle().await;
    assert!(
        done.iter().all(|done| done.landed.is_none()),
        "the form is the tip's"
    );

    // The next version is tried afresh, and what hangs on it is where it was.
    world.edit("keboola.snowflake-transformation", "clean", |configuration| {
        configuration["parameters"]["blocks"][0]["codes"][0]["script"][0] = CODE.into();
    });
    world.mirror_all().await;
    assert!(holds_code(&world));
    assert!(files(&world).contains(&schedule));
    assert!(!files(&world).contains("ai/withheld.jsonl"));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_wait_when_the_form_changes_are_in_its_one_commit_which_says_both() {
    let mut world = World::new(Settings::default()).await;
    let before = world.rig.git(&["rev-parse", "main"]);
    world.edit("keboola.ex-shop", "orders", |configuration| {
        configuration["parameters"]["z"] = 7.into();
    });
    world.rig.restart(|_, settings| settings.secrets = "masked").await;
    world.mirror_all().await;
    let last = |format: &str| {
        world
            .rig
            .git(&["log", "-1", &format!("--format={format}"), "main"])
    };
    assert_eq!(last("%P"), before, "{}", world.rig.git(&["log", "main"]));
    // She has not made that everything looks different.
    assert_eq!(last("%ae"), "mirror@keboola-mirror.invalid");
    let message = last("%B");
    assert!(
        message.starts_with("Render everything anew, with changes of 1 configuration\n"),
        "{message}"
    );
    assert!(
        message.ends_with("Co-authored-by: jane@example.com <jane@example.com>"),
        "{message}"
    );
    assert!(
        message.contains("Keboola-Change: keboola.ex-shop/orders@3"),
        "{message}"
    );
    assert!(message.contains("\nEverything was rendered anew: "), "{message}");
    assert!(world.rig.attempt().await.landed.is_none());
}

/// A table with types of its backend, as its detail shows it.
fn typed_table(kind: &str, changed: &str) -> Value {
    json!({
        "id": "in.c-shop.typed", "name": "typed", "displayName": "typed", "primaryKey": ["id"], "columns": ["id", "total"],
        "isAlias": false, "isTyped": true, "created": "2026-01-05T09:00:00+0100", "lastImportDate": changed,
        "lastChangeDate": changed, "rowsCount": 2, "dataSizeBytes": 1024, "metadata": [], "columnMetadata": [],
        "bucket": {"id": "in.c-shop", "stage": "in"},
        "definition": {
            "primaryKeysNames": ["id"],
            "columns": [
                {"name": "id", "basetype": "STRING", "definition": {"type": "VARCHAR", "length": "40", "nullable": false}},
                {"name": "total", "basetype": "NUMERIC", "definition": {"type": kind, "nullable": true}},
            ],
            "clustering": {"fields": ["id"]},
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_table_looks_the_same_listed_and_asked_for() {
    let mut world = World::new(Settings::default()).await;
    world.put_table(typed_table("NUMBER", "2026-01-05T09:00:00+0100"));
    world.mirror_all().await;
    let shown = |world: &World| {
        world
            .rig
            .git(&["show", "main:storage/metadata/in.c-shop/typed.json"])
    };
    let asked_for = shown(&world);
    assert!(
        asked_for.contains("\"type\": \"NUMBER\"") && asked_for.contains("\"clustering\""),
        "{asked_for}"
    );
    let detail = "/v2/storage/branch/5/tables/in.c-shop.typed";
    let untyped = "/v2/storage/branch/5/tables/in.c-shop.orders";
    let asked = |world: &World| (world.fake.requests(detail), world.fake.requests(untyped));
    let before = asked(&world);

    // Listed: its detail is asked for once, as long as the listing says the same.
    for occasion in ["one", "two"] {
        world.rig.ask_for_all(occasion).await;
        let done = world.rig.settle().await;
        assert!(done.iter().all(|done| done.landed.is_none()), "{}", shown(&world));
        assert_eq!(asked(&world), (before.0 + 1, before.1), "{occasion}");
    }
    world.rig.lose_data().await;
    let done = world.rig.settle().await;
    assert!(done.iter().all(|done| done.landed.is_none()), "{}", shown(&world));

    // Nobody tells of this one but the listing.
    world.put_table(typed_table("FLOAT", "2026-01-06T09:00:00+0100"));
    world.rig.ask_for_all("three").await;
    world.rig.settle().await;
    assert_eq!(shown(&world), asked_for.replace("\"NUMBER\"", "\"FLOAT\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_load_a_table_by_turns_change_nothing_but_the_history_of_runs() {
    let mut world = World::new(Settings::default()).await;
    let shop = ("keboola.ex-shop", "orders");
    let clean = ("keboola.snowflake-transformation", "clean");
    let directories = ["storage", "ai", "configs", "configs-extra"];
    let of = |world: &World| directories.map(|name| world.rig.git(&["rev-parse", &format!("main:{name}")]));
    let before = of(&world);
    for (component, config) in [shop, clean, shop, clean] {
        world.load(component, config, "in.c-shop.orders");
        world.mirror_all().await;
        assert_eq!(
            of(&world),
            before,
            "{}",
            world.rig.git(&["show", "--stat", "main"])
        );
    }
    let project = world.fake.project();
    let table = project
        .tables
        .iter()
        .find(|table| table["id"] == "in.c-shop.orders")
        .expect("it is there");
    assert!(
        table["metadata"].to_string().contains("\"clean\""),
        "Keboola says who was the last: {table}"
    );
    let touching = |what: &str| world.rig.git(&["rev-list", "--count", "main", "--", what]);
    assert_eq!(
        (touching("storage"), touching("ai"), touching("jobs")),
        ("1".into(), "1".into(), "5".into())
    );
    world.rig.ask_for_all("all anew").await;
    let done = world.rig.settle().await;
    assert!(done.iter().all(|done| done.landed.is_none()));
}
