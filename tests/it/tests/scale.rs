//! What a change costs, in counts that are the same on every machine: it must not grow with the project.

use fake_keboola::{Change, ConfigAt, Fake, FakeConfig};
use mirror_it::{Rig, Settings, SourceAt};
use mirror_runtime::pipeline::work::Work;
use sample_project::{Shape, generate};
use serde_json::{Value, json};

/// An extractor that nothing refers to and that refers to nothing.
const COMPONENT: &str = "keboola.ex-http";

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

    fn at(&self, config: &str) -> ConfigAt {
        let main = self.fake.project().default_branch().id().to_string();
        ConfigAt::new(&main, COMPONENT, config)
    }

    /// Delivers what was told and returns what it cost.
    async fn cost(&mut self) -> Work {
        let told = self.fake.outbox(self.told);
        self.told = told.last().map_or(self.told, |event| event.seq);
        let events: Vec<String> = told.into_iter().map(|event| event.json).collect();
        self.rig.post(&events).await;
        let done = self.rig.attempt().await;
        assert!(done.landed.is_some(), "a change makes a commit");
        done.work
    }
}

/// What the same changes cost in a project of this size: create, edit, rename, delete.
async fn costs(configurations: usize) -> [Work; 4] {
    let mut site = Site::new(configurations).await;
    site.rig.settle().await;
    let at = site.at("probe");
    let change = site.change();
    let content = |note: &str| json!({"parameters": {"baseUrl": "https://example.com/", "note": note}});
    site.fake
        .create_configuration(&at, &change, "Probe of the cost", content("a"))
        .expect("the id is free");
    let created = site.cost().await;
    let change = site.change();
    let edit = |configuration: &mut Value| configuration["parameters"]["note"] = "b".into();
    site.fake
        .update_configuration(&at, &change, edit)
        .expect("it is there");
    let edited = site.cost().await;
    let change = site.change();
    site.fake
        .rename_configuration(&at, &change, "Another name for it")
        .expect("it is there");
    let renamed = site.cost().await;
    let change = site.change();
    site.fake.delete_configuration(&at, &change).expect("it is there");
    let deleted = site.cost().await;
    [created, edited, renamed, deleted]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_costs_the_same_in_a_project_ten_times_as_large() {
    let [created, edited, renamed, deleted] = costs(60).await;
    let [
        created_in_large,
        edited_in_large,
        renamed_in_large,
        deleted_in_large,
    ] = costs(600).await;

    assert_eq!(edited_in_large, edited, "an edit");
    assert_eq!(
        edited,
        Work {
            inspected: 1,
            rendered: 1,
            gathered: 0,
            gathered_entries: 0,
            ..edited
        },
        "an edit touches one object and no shared file"
    );
    // The manifest's bytes are the one thing that may grow.
    let flat = |work: Work| Work {
        gathered_entries: 0,
        bytes: 0,
        ..work
    };
    assert_eq!(flat(created_in_large), flat(created), "creating");
    assert_eq!(flat(renamed_in_large), flat(renamed), "renaming");
    assert_eq!(flat(deleted_in_large), flat(deleted), "deleting");
    for work in [created, renamed] {
        assert_eq!((work.inspected, work.rendered), (1, 1));
    }
    assert_eq!((deleted.inspected, deleted.rendered), (0, 0));
}
