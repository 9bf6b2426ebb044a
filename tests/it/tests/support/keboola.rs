//! The fake Keboola of a test, with the changes that people make.

use fake_keboola::{Author, Change, ConfigAt, Fake, FakeConfig, JobSpec, JobTable};
use jiff::{SignedDuration, Timestamp};
use sample_project::{Project, Shape};
use serde_json::{Value, json};
use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// Token id and name of somebody who makes changes.
pub(crate) type Person = (u64, &'static str);

pub(crate) const JANE: Person = (9001, "jane.novak@example.com");
pub(crate) const PETR: Person = (9002, "petr.svoboda@example.com");
/// Not a person, and without an address.
pub(crate) const BOT: Person = (9004, "ci-bot");

/// When the first change of every test is made; each further one a second later. Fixed, so that
/// what a test makes does not depend on the day.
const FIRST_CHANGE: &str = "2026-11-02T08:00:00Z";

/// A running fake Keboola. All methods of [`Fake`] can be called on it too.
#[derive(Debug)]
pub(crate) struct Keboola {
    fake: Fake,
    clock: AtomicI64,
}

impl Deref for Keboola {
    type Target = Fake;
    fn deref(&self) -> &Fake {
        &self.fake
    }
}

impl Keboola {
    /// Starts one over `fake_keboola::small_project`.
    pub(crate) fn small() -> Arc<Self> {
        Self::of(fake_keboola::small_project())
    }

    /// Starts one over a generated project with about so many configurations in its default branch,
    /// and no dev branch.
    pub(crate) fn generated(configurations: usize) -> Arc<Self> {
        Self::of(sample_project::generate(&Shape {
            configurations,
            dev_branches: 0,
            jobs: 20,
            ..Shape::default()
        }))
    }

    /// Starts one over a project, in the current tokio runtime.
    pub(crate) fn of(project: Project) -> Arc<Self> {
        let fake = Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
        let first: Timestamp = FIRST_CHANGE.parse().expect("the constant is a time");
        Arc::new(Self {
            fake,
            clock: AtomicI64::new(first.as_second()),
        })
    }

    /// Id of the default branch.
    pub(crate) fn main(&self) -> String {
        self.project().default_branch().id().to_string()
    }

    /// Names a configuration of the default branch.
    pub(crate) fn at(&self, component: &str, config: &str) -> ConfigAt {
        ConfigAt::new(&self.main(), component, config)
    }

    /// The extractor of the small project; it has rows `first` and `second`.
    pub(crate) fn orders(&self) -> ConfigAt {
        self.at("keboola.ex-shop", "orders")
    }

    /// The transformation of the small project.
    pub(crate) fn clean(&self) -> ConfigAt {
        self.at("keboola.snowflake-transformation", "clean")
    }

    /// Returns the next second of the test's own time.
    pub(crate) fn now(&self) -> Timestamp {
        let second = self.clock.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_second(second).expect("a few seconds after a known time")
    }

    /// A change by somebody, now.
    pub(crate) fn by(&self, (id, name): Person, why: &str) -> Change {
        Change::by(id, name, why, self.now())
    }

    /// Edits the member `configuration` of a configuration; returns the new version.
    ///
    /// # Panics
    /// Where the edit changes nothing, or there is no such configuration.
    pub(crate) fn edit(&self, at: &ConfigAt, who: Person, why: &str, edit: impl FnOnce(&mut Value)) -> u64 {
        let made = self
            .update_configuration(at, &self.by(who, why), edit)
            .expect("there is such a configuration");
        made.expect("the edit changes something").version
    }

    /// Sets `parameters.<name>`, which nothing of the layout depends on; returns the new version.
    pub(crate) fn set(&self, at: &ConfigAt, who: Person, name: &str, value: impl Into<Value>) -> u64 {
        let value = value.into();
        self.edit(at, who, &format!("Set {name}"), |configuration| {
            if !configuration["parameters"].is_object() {
                configuration["parameters"] = json!({});
            }
            configuration["parameters"][name] = value;
        })
    }

    /// Gives a configuration another name.
    pub(crate) fn rename(&self, at: &ConfigAt, who: Person, name: &str) {
        let made = self.rename_configuration(at, &self.by(who, "Rename"), name);
        made.expect("there is such a configuration")
            .expect("the name differs");
    }

    /// Creates an extractor configuration in the default branch.
    pub(crate) fn create(&self, config: &str, name: &str, who: Person) -> ConfigAt {
        let at = self.at("keboola.ex-shop", config);
        let change = self.by(who, "Create");
        self.create_configuration(&at, &change, name, json!({"parameters": {"table": config}}))
            .expect("the id is free");
        at
    }

    /// Moves a configuration to the trash.
    pub(crate) fn delete(&self, at: &ConfigAt, who: Person) {
        self.delete_configuration(at, &self.by(who, "Delete"))
            .expect("there is such a configuration");
    }

    /// Edits a row.
    pub(crate) fn edit_row(&self, at: &ConfigAt, row: &str, who: Person, edit: impl FnOnce(&mut Value)) {
        let made = self.update_row(at, row, &self.by(who, "Edit a row"), edit);
        made.expect("there is such a row")
            .expect("the edit changes something");
    }

    /// Makes a dev branch; returns its id. This tells no event, so a mirror learns of it with the
    /// first change in it, or when it starts.
    pub(crate) fn branch(&self, name: &str, who: Person) -> String {
        self.create_branch(name, "", &self.by(who, ""))
            .expect("branches can be made")
    }

    /// Ends a run of a configuration; returns its id. `status` is `success`, `error` or another of
    /// the Queue API's final ones.
    pub(crate) fn run(&self, at: &ConfigAt, status: &str, outputs: &[&str]) -> String {
        self.run_at(self.now(), at, status, outputs)
    }

    /// Ends a run at a time of its own.
    pub(crate) fn run_at(&self, ended: Timestamp, at: &ConfigAt, status: &str, outputs: &[&str]) -> String {
        let table = |table: &&str| JobTable {
            table: (*table).to_owned(),
            columns: vec!["id".into(), "name".into()],
        };
        self.finish_job(JobSpec {
            at: at.clone(),
            status: status.into(),
            author: Author {
                token_id: BOT.0,
                name: BOT.1.into(),
            },
            started: ended - SignedDuration::from_secs(60),
            ended,
            message: format!("ended with {status}"),
            inputs: Vec::new(),
            outputs: outputs.iter().map(table).collect(),
            artifact_links: Vec::new(),
        })
        .expect("there is such a configuration")
    }
}
