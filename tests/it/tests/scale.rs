//! What a change costs, in counts that are the same on every machine: it must not grow with the project.

use fake_keboola::{Change, ConfigAt, Fake, FakeConfig};
use mirror_it::{Rig, Settings, SourceAt};
use mirror_runtime::pipeline::work::Work;
use sample_project::{Shape, generate};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An extractor that nothing refers to and that refers to nothing.
const COMPONENT: &str = "keboola.ex-http";
const FLOW: &str = "keboola.orchestrator";
const READER: &str = "keboola.python-transformation-v2";
const SCHEDULER: &str = "keboola.scheduler";
const VARIABLES: &str = "keboola.variables";

/// What a change came to.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    work: Work,
    /// What was asked of Keboola.
    requests: u64,
    /// Files that the commit made, changed or took away, and what is there now, in bytes.
    files: BTreeMap<String, usize>,
    /// Bytes of the shared files that were made anew.
    shared_bytes: usize,
}

impl Cost {
    /// The same in any project: files that gather what many objects say count as files, without their content, which may grow.
    fn flat(&self) -> (Work, u64, BTreeMap<&str, Option<usize>>) {
        let files = self.files.iter();
        let files: BTreeMap<&str, Option<usize>> = files
            .map(|(path, bytes)| (path.as_str(), (!is_shared(path)).then_some(*bytes)))
            .collect();
        let work = Work {
            gathered_entries: 0,
            bytes: self.work.bytes - self.shared_bytes,
            ..self.work
        };
        (work, self.requests, files)
    }
}

fn is_shared(path: &str) -> bool {
    path == MANIFEST || path.starts_with("ai/")
}

const MANIFEST: &str = "configs/.keboola/manifest.json";

struct Site {
    fake: Fake,
    rig: Rig,
    told: u64,
    second: i64,
}

impl Site {
    async fn new(configurations: usize) -> Self {
        let project = generate(&Shape {
            configurations,
            dev_branches: 0,
            jobs: 20,
            versions_max: 1,
            previews: 0,
            events_max: 0,
            ..Shape::default()
        });
        let number = project.project_id;
        let fake = Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
        let source = SourceAt {
            url: fake.url().to_owned(),
            token: fake.token().to_owned(),
            project: number,
        };
        let rig = Rig::new(source, Settings::default()).await;
        Self {
            fake,
            rig,
            told: 0,
            second: 1_790_000_000,
        }
    }

    fn change(&mut self) -> Change {
        self.second += 1;
        let now = jiff::Timestamp::from_second(self.second).expect("a time");
        Change::by(1, "jane@example.com", "Test", now)
    }

    fn at(&self, component: &str, config: &str) -> ConfigAt {
        let main = self.fake.project().default_branch().id().to_string();
        ConfigAt::new(&main, component, config)
    }

    fn create(&mut self, component: &str, config: &str, name: &str, configuration: Value) {
        let (at, change) = (self.at(component, config), self.change());
        self.fake
            .create_configuration(&at, &change, name, configuration)
            .expect("the id is free");
    }

    fn add_row(&mut self, (component, config): (&str, &str), row: &str, configuration: Value) {
        let (at, change) = (self.at(component, config), self.change());
        self.fake
            .create_row(&at, row, &change, row, configuration)
            .expect("the configuration is there");
    }

    fn rename(&mut self, config: &str, name: &str) {
        let (at, change) = (self.at(COMPONENT, config), self.change());
        self.fake
            .rename_configuration(&at, &change, name)
            .expect("it is there");
    }

    fn delete(&mut self, config: &str) {
        let (at, change) = (self.at(COMPONENT, config), self.change());
        self.fake.delete_configuration(&at, &change).expect("it is there");
    }

    fn requests(&self) -> u64 {
        self.fake.requests_by_path().values().sum()
    }

    /// Returns the files that the newest commit touched, and the bytes of the shared ones that were made for it: of the
    /// catalog and lineage of a component both, even if only one is another.
    fn touched(&self) -> (BTreeMap<String, usize>, usize) {
        let is = self.rig.git(&["ls-tree", "-r", "-l", "main"]);
        let is: BTreeMap<&str, usize> = is
            .lines()
            .filter_map(|line| {
                let (about, path) = line.split_once('\t')?;
                Some((path, about.split_whitespace().last()?.parse().ok()?))
            })
            .collect();
        let changed = self
            .rig
            .git(&["diff", "--no-renames", "--name-only", "main~1", "main"]);
        let mut shared = BTreeSet::new();
        for path in changed.lines().filter(|path| is_shared(path)) {
            for [one, other] in [["catalog", "lineage"], ["lineage", "catalog"]] {
                shared.insert(path.replacen(&format!("ai/{one}/"), &format!("ai/{other}/"), 1));
            }
        }
        let size = |path: &str| is.get(path).copied().unwrap_or(0);
        let touched = changed.lines().map(|path| (path.to_owned(), size(path)));
        (touched.collect(), shared.iter().map(|path| size(path)).sum())
    }

    /// Delivers what was told and returns what it cost.
    async fn cost(&mut self) -> Cost {
        let told = self.fake.outbox(self.told);
        self.told = told.last().map_or(self.told, |event| event.seq);
        let events: Vec<String> = told.into_iter().map(|event| event.json).collect();
        self.rig.post(&events).await;
        let before = self.requests();
        let done = self.rig.attempt().await;
        assert!(done.landed.is_some(), "a change makes a commit");
        let requests = self.requests() - before;
        let (files, shared_bytes) = self.touched();
        Cost {
            work: done.work,
            requests,
            files,
            shared_bytes,
        }
    }
}

/// What the same changes cost in a project of this size: create, edit, rename, delete.
async fn costs(configurations: usize) -> [Cost; 4] {
    let mut site = Site::new(configurations).await;
    site.rig.settle().await;
    let content = json!({"parameters": {"baseUrl": "https://example.com/", "note": "a"}});
    site.create(COMPONENT, "probe", "Probe of the cost", content);
    let created = site.cost().await;
    let (at, change) = (site.at(COMPONENT, "probe"), site.change());
    let edit = |configuration: &mut Value| configuration["parameters"]["note"] = "b".into();
    site.fake
        .update_configuration(&at, &change, edit)
        .expect("it is there");
    let edited = site.cost().await;
    site.rename("probe", "Another name for it");
    let renamed = site.cost().await;
    site.delete("probe");
    let deleted = site.cost().await;
    [created, edited, renamed, deleted]
}

/// The same of a configuration with rows, variables and schedules in it, that flows run and mappings read: what it costs to add
/// all of them, to rename it and to delete it.
async fn costs_of_many(configurations: usize) -> [Cost; 3] {
    let mut site = Site::new(configurations).await;
    site.rig.settle().await;
    site.create(
        COMPONENT,
        "probe",
        "Probe of the cost",
        json!({"variables_id": "of-probe", "variables_values_id": "set"}),
    );
    site.create(
        VARIABLES,
        "of-probe",
        "Variables",
        json!({"variables": [{"name": "a", "type": "string"}]}),
    );
    site.add_row((VARIABLES, "of-probe"), "set", json!({"values": []}));
    for number in 0..3 {
        let named = |what: &str| format!("{what}-{number}");
        site.add_row((COMPONENT, "probe"), &named("row"), json!({"number": number}));
        let target = json!({"target": {"componentId": COMPONENT, "configurationId": "probe", "mode": "run"}});
        site.create(SCHEDULER, &named("schedule"), &named("Schedule"), target);
        let task = json!({"componentId": COMPONENT, "configId": "probe", "mode": "run"});
        let flow = json!({
            "phases": [{"id": 1, "name": "All", "dependsOn": []}],
            "tasks": [{"id": 2, "name": "Probe", "phase": 1, "enabled": true, "task": task}],
        });
        site.create(FLOW, &named("flow"), &named("Flow"), flow);
        let source = json!({"source": "in.c-keboola-ex-http-probe.t", "destination": "t"});
        let mapping = json!({"storage": {"input": {"tables": [source]}}, "parameters": {}});
        site.create(READER, &named("reader"), &named("Reader"), mapping);
    }
    let added = site.cost().await;
    site.rename("probe", "Another name for it");
    let renamed = site.cost().await;
    site.delete("probe");
    let deleted = site.cost().await;
    [added, renamed, deleted]
}

/// What may grow is read once and written once: the entries of the manifest, and of what few catalogs are concerned.
fn check_shared(cost: &Cost, configurations: usize) {
    let entries = cost.work.gathered_entries;
    assert!(
        entries <= 4 * configurations + 100,
        "{entries} entries were gathered"
    );
    assert!(cost.work.gathered <= 9, "{} shards", cost.work.gathered);
}

const SMALL: usize = 60;
const LARGE: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_costs_the_same_in_a_project_ten_times_as_large() {
    let small = costs(SMALL).await;
    let large = costs(LARGE).await;
    for (small, large) in small.iter().zip(&large) {
        assert_eq!(large.flat(), small.flat());
    }
    let [created, edited, renamed, deleted] = small;
    let [_, edited_in_large, ..] = &large;
    assert_eq!(*edited_in_large, edited, "an edit");
    assert_eq!(
        edited.work,
        Work {
            inspected: 1,
            rendered: 1,
            gathered: 0,
            gathered_entries: 0,
            ..edited.work
        },
        "an edit touches one object and no shared file"
    );
    for cost in [&created, &renamed] {
        assert_eq!((cost.work.inspected, cost.work.rendered), (1, 1));
    }
    assert_eq!((deleted.work.inspected, deleted.work.rendered), (0, 0));
    for cost in [&created, &renamed, &deleted] {
        check_shared(cost, SMALL);
    }
    for cost in &large {
        check_shared(cost, LARGE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rename_or_delete_takes_with_it_costs_the_same_in_a_project_ten_times_as_large() {
    let small = costs_of_many(SMALL).await;
    let large = costs_of_many(LARGE).await;
    for (small, large) in small.iter().zip(&large) {
        assert_eq!(large.flat(), small.flat());
    }
    for cost in &small {
        check_shared(cost, SMALL);
    }
    for cost in &large {
        check_shared(cost, LARGE);
    }
    let [added, renamed, deleted] = small;
    let counts = |cost: &Cost| (cost.work.inspected, cost.work.rendered);
    // Fifteen objects; what is renamed is the probe with its three rows, and goes with them.
    assert_eq!(counts(&added), (15, 15));
    assert_eq!(counts(&renamed), (4, 15));
    assert_eq!(counts(&deleted), (0, 11));
}
