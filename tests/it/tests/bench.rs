//! `bench`: does it measure the real line, tell where the time goes, compare with the last run, and leave no trace?

use crate::support::{
    Installation, JANE, Keboola, MIRROR, Options, Output, command,
    policy::{SETTINGS, example},
    run,
};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;

/// A place for everything that a bench may leave, which is not the user's.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().expect("temporary directories can be made"));
        for name in ["tmp", "cache"] {
            fs::create_dir(place.0.path().join(name)).expect("the directory is ours");
        }
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn bench(&self, arguments: &[&str]) -> Output {
        let mut bench = command();
        bench
            .arg("bench")
            .args(arguments)
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CACHE_HOME", self.path("cache"));
        run(&mut bench)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.bench(&[arguments, &["--json"]].concat());
        assert_eq!(output.stderr, "", "nothing but the figures is told in a pipe");
        serde_json::from_str(&output.ok()).expect("the answer is JSON")
    }

    /// Returns the names of what is in one of the directories.
    fn left(&self, name: &str) -> Vec<String> {
        names(Path::new(&self.path(name)))
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory can be read");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("it can be read").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn figure(run: &Value, name: &str) -> f64 {
    let figure = run["figures"][name].as_f64();
    figure.unwrap_or_else(|| panic!("there is no figure {name} in {run}"))
}

fn items(run: &Value, stage: &str) -> u64 {
    let stages = run["stages"].as_array().expect("there are stages");
    let found = stages.iter().find(|found| found["stage"] == stage);
    let found = found.unwrap_or_else(|| panic!("there is no stage {stage} in {stages:?}"));
    found["items"].as_u64().expect("a count")
}

fn stages_cpu(run: &Value) -> f64 {
    let stages = run["stages"].as_array().expect("there are stages");
    stages.iter().filter_map(|stage| stage["cpu_ms"].as_f64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_is_measured_stage_by_stage_and_compared_with_the_last_run() {
    let place = Place::new();
    let arguments = ["snapshot", "--configurations", "20", "--runs", "2"];
    let first = place.json(&arguments);
    assert_eq!(first["last"], Value::Null);
    assert_eq!(
        items(&first, "tree") as f64,
        figure(&first, "files"),
        "files that were written"
    );
    assert_eq!(items(&first, "render") as f64, figure(&first, "objects"));
    for name in ["bytes", "stored_bytes", "peak_bytes", "wall_ms", "open_warm_ms"] {
        assert!(figure(&first, name) > 0.0, "{name}");
    }
    // What no stage took is the rest, so that all of it is told.
    let (sum, all) = (stages_cpu(&first), figure(&first, "cpu_ms"));
    assert!((sum - all).abs() < 0.01 * all, "stages took {sum} ms of {all} ms");

    let second = place.json(&arguments);
    assert_eq!(second["last"]["figures"], first["figures"]);
    assert_eq!(figure(&second, "files"), figure(&first, "files"));

    assert_eq!(place.left("tmp"), Vec::<String>::new());
    assert_eq!(names(Path::new(&place.path("cache/kbc-mirror/bench"))).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_directory_is_measured_and_left_as_it_is() {
    let place = Place::new();
    let project = place.path("project");
    sample_project::write_directory(&fake_keboola::small_project(), Path::new(&project))
        .expect("the directory can be written");
    let commits = place.json(&["commit", "--project", &project, "--commits", "3", "--apart"]);
    assert_eq!(
        (items(&commits, "commit"), items(&commits, "push")),
        (3, 3),
        "each change has a commit and a push of its own"
    );
    assert!(
        figure(&commits, "rendered") >= 1.0
            && figure(&commits, "cpu_inside_ms") <= figure(&commits, "cpu_ms")
    );

    // The small project has no secrets outside of `#` keys.
    let policies = place.json(&["policy", "--configurations", "20", "--ms", "100", "--apart"]);
    let built_in = &policies["more"]["policies"][0];
    assert_eq!(built_in["policy"], "secret-redaction");
    assert!(built_in["findings"].as_u64() > Some(0), "{built_in}");

    let read = sample_project::read_directory(Path::new(&project)).expect("it is there as it was");
    assert_eq!(read.branches, fake_keboola::small_project().branches);
    assert_eq!(place.left("tmp"), Vec::<String>::new());
    assert_eq!(
        place.left("cache"),
        Vec::<String>::new(),
        "`--apart` keeps nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_measured_without_touching_its_repository_its_data_or_its_project() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let config = site.path("mirror.toml");
    let config = config.to_str().expect("UTF-8");
    let place = Place::new();
    let of = ["--config", config, "--mirror", MIRROR];
    let snapshot = place.json(&[&["snapshot"], &of[..]].concat());
    let commits = place.json(&[&["commit", "--commits", "2"], &of[..]].concat());
    assert!(figure(&snapshot, "files") > 0.0);
    assert_eq!(items(&commits, "commit"), 2);
    assert_eq!(snapshot["of"], json!({ "mirror": MIRROR }));

    assert_eq!(site.repository.branches(), Vec::<String>::new());
    assert_eq!(keboola.write_attempts(), 0, "Keboola is only read");
    assert_eq!(
        names(&site.data_dir()),
        ["bench", "guests"],
        "only the last runs are kept"
    );
    assert_eq!(place.left("tmp"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_of_a_mirror_is_measured_without_its_history_from_before() {
    let keboola = Keboola::small();
    for at in 2..6 {
        keboola.set(&keboola.orders(), JANE, "z", at);
    }
    let options = Options {
        mirror: "backfill = { enabled = true, requests_per_second_max = 100 }",
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let config = site.path("mirror.toml");
    let config = config.to_str().expect("UTF-8");
    let snapshot = Place::new().json(&["snapshot", "--config", config, "--mirror", MIRROR, "--apart"]);
    assert_eq!(
        items(&snapshot, "commit"),
        1,
        "one first sync, and no old versions"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_compared_with_the_last_run_of_the_same_policies() {
    let place = Place::new();
    let component = example();
    let component = component.to_str().expect("UTF-8");
    let (settings, others) = (place.path("settings.json"), place.path("others.json"));
    fs::write(&settings, SETTINGS).expect("the directory is ours");
    fs::write(&others, SETTINGS.replace("acme", "other")).expect("the directory is ours");
    let run = |more: &[&str]| {
        let arguments = ["policy", "--configurations", "20", "--ms", "100"];
        place.json(&[&arguments[..], more].concat())
    };
    let with_settings = ["--policy", component, "--settings", settings.as_str()];
    let with_others = ["--policy", component, "--settings", others.as_str()];
    for more in [&[][..], &with_settings[..], &with_others[..]] {
        assert_eq!(run(more)["last"], Value::Null, "{more:?}");
    }
    let again = run(&with_settings);
    assert_eq!(again["last"]["of"], again["of"]);
    assert_eq!(again["of"]["policies"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_told_with_what_to_do() {
    let site = Installation::new(&Keboola::small(), Options::default());
    let config = site.path("mirror.toml");
    let config = config.to_str().expect("UTF-8");
    let place = Place::new();
    let nothing = place.path("nothing");
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = place.bench(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            output.stderr
        );
        assert!(
            output.stderr.contains(expected),
            "{arguments:?}: {}",
            output.stderr
        );
    };
    check(
        &["snapshot", "--project", &nothing],
        2,
        "a project directory has `options.json` and `api/`",
    );
    check(&["snapshot", "--mirror", MIRROR], 2, "--config");
    check(&["commit", "--config", config, "--mirror", "other"], 2, "other");
    check(
        &["commit", "--config", &nothing, "--mirror", "other"],
        2,
        &nothing,
    );
    check(&["snapshot", "--configurations", "0"], 2, "20..=300000");
    check(&["policy", "--policy", &nothing], 2, &nothing);
    check(
        &[
            "policy",
            "--policy",
            &nothing,
            "--settings",
            "a",
            "--settings",
            "b",
        ],
        2,
        "1 of `--policy` and 2 of `--settings`",
    );
    assert_eq!(place.left("tmp"), Vec::<String>::new());

    // A place that cannot be written costs the comparison, not the figures.
    fs::write(place.path("cache/kbc-mirror"), "a file in the way").expect("the directory is ours");
    let output = place.bench(&["snapshot", "--configurations", "20", "--runs", "1"]);
    assert!(output.stderr.contains("cannot be compared"), "{}", output.stderr);
    let text = output.ok();
    for told in ["objects", "processor", "redact", "rest"] {
        assert!(text.contains(told), "{told} is not in\n{text}");
    }
}
