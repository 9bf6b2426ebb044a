//! What happens in the demo: who changes what, and how it is told.
//!
//! Every step but the making of a branch gives exactly one event, by which a demo that was killed
//! knows where it was.

use crate::app::Failure;
use fake_keboola::{Author, Change, ConfigAt, Fake, FakeError, JobSpec, JobTable};
use jiff::{SignedDuration, Timestamp};
use sample_project::{Configuration, Project};
use serde_json::{Value, json};

/// Edits of the bulk part that get a commit each.
pub(super) const SINGLE: usize = 40;

const JANE: (u64, &str) = (9001, "jane.novak@example.com");
const PETR: (u64, &str) = (9002, "petr.svoboda@example.com");
const TOMAS: (u64, &str) = (9003, "tomas.dvorak@example.com");
const BOT: (u64, &str) = (9004, "ci-bot");
const BRANCH: &str = "Loyalty programme";

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    EditExtractor,
    EditSql,
    DisableWriter,
    Rename,
    Delete,
    PastePassword,
    PlaintextPassword,
    RunFine,
    RunFails,
    MakeBranch,
    EditInBranch,
    EditMeanwhile,
    Bulk { number: usize },
}

impl Step {
    pub(super) fn makes_event(self) -> bool {
        self != Self::MakeBranch
    }
}

/// Steps that happen within one window.
pub(super) struct Act {
    pub(super) title: &'static str,
    pub(super) explanation: &'static str,
    pub(super) steps: Vec<Step>,
}

impl Act {
    pub(super) fn events(&self) -> usize {
        self.steps.iter().filter(|step| step.makes_event()).count()
    }
}

/// The configurations that the demo changes.
pub(super) struct Script {
    default: String,
    extractor: ConfigAt,
    sql: ConfigAt,
    writer: ConfigAt,
    renamed: ConfigAt,
    deleted: ConfigAt,
    plaintext: ConfigAt,
    all: Vec<ConfigAt>,
}

impl Script {
    /// Chooses configurations of the project as it was generated; what the demo itself has deleted is
    /// found in neither place, so the choice looks at ids, which never change.
    pub(super) fn new(fake: &Fake) -> Result<Self, Failure> {
        let project = fake.project();
        let default = project.default_branch();
        let id = default.id().to_string();
        let at = |configuration: &Configuration| {
            ConfigAt::new(&id, &configuration.component_id, configuration.id())
        };
        let plain = |configuration: &&Configuration| is_plain(&project, configuration);
        let of = |kind: &str| {
            let mut found: Vec<&Configuration> = default
                .configurations
                .iter()
                .filter(plain)
                .filter(|one| kind_of(&project, one) == kind)
                .collect();
            found.sort_by_key(|one| (one.component_id.clone(), one.id().to_owned()));
            found
        };
        let (extractors, writers) = (of("extractor"), of("writer"));
        let sql = default
            .configurations
            .iter()
            .find(|one| one.component_id == "keboola.snowflake-transformation");
        let missing = || {
            Failure::message(
                "the generated project has too few configurations for the demo; raise --configurations",
            )
        };
        let pick =
            |list: &[&Configuration], index: usize| list.get(index).map(|one| at(one)).ok_or_else(missing);
        // The last ones: deleting them does not move the others in this list.
        let deleted = extractors.last().map(|one| at(one)).ok_or_else(missing)?;
        let deleted = remembered(fake).unwrap_or(deleted);
        Ok(Self {
            extractor: pick(&extractors, 0)?,
            plaintext: pick(&extractors, 1)?,
            renamed: pick(&extractors, 2)?,
            writer: pick(&writers, 0)?,
            sql: sql.map(at).ok_or_else(missing)?,
            all: default
                .configurations
                .iter()
                .filter(plain)
                .map(at)
                .filter(|at| *at != deleted)
                .collect(),
            deleted,
            default: id,
        })
    }

    pub(super) fn acts(&self) -> Vec<Act> {
        vec![
            Act {
                title: "Three people, one window",
                explanation: "one commit; the last one is its author, the others are co-authors",
                steps: vec![Step::EditExtractor, Step::EditSql, Step::DisableWriter],
            },
            Act {
                title: "A rename and a delete",
                explanation: "paths follow names; what is gone is gone from the tree, not from history",
                steps: vec![Step::Rename, Step::Delete],
            },
            Act {
                title: "Secrets where they do not belong",
                explanation: "a password in SQL, and one under a `#` key that nobody encrypted",
                steps: vec![Step::PastePassword, Step::PlaintextPassword],
            },
            Act {
                title: "Jobs",
                explanation: "runs become lines of a day file, and the health of their configuration",
                steps: vec![Step::RunFine, Step::RunFails],
            },
            Act {
                title: "A dev branch",
                explanation: "its Git branch starts at the mirror's commit of the default branch",
                steps: vec![Step::MakeBranch, Step::EditInBranch, Step::EditMeanwhile],
            },
        ]
    }

    /// Plays a step and says what it was.
    pub(super) fn play(&self, fake: &Fake, step: &Step, now: Timestamp) -> Result<String, Failure> {
        let failed = |error: FakeError| Failure::message(format!("the fake Keboola refused a step: {error}"));
        let by = |(id, name): (u64, &str), why: &str| Change::by(id, name, why, now);
        Ok(match step {
            Step::EditExtractor => {
                let why = "Load only what changed since the last run";
                fake.update_configuration(&self.extractor, &by(JANE, why), |configuration| {
                    parameters(configuration).insert(
                        "incremental".into(),
                        json!({ "column": "updated_at", "since": "-2 days" }),
                    );
                })
                .map_err(failed)?;
                told(JANE, "edits", &self.extractor, why)
            }
            Step::EditSql => {
                let why = "Count returned orders too";
                fake.update_configuration(&self.sql, &by(PETR, why), |configuration| {
                    add_script(configuration, "-- returned orders count as well\nUPDATE \"orders_daily\" SET \"returned\" = COALESCE(\"returned\", 0);");
                })
                .map_err(failed)?;
                told(PETR, "edits", &self.sql, why)
            }
            Step::DisableWriter => {
                let why = "Pause the export during the migration";
                fake.revise_configuration(&self.writer, &by(BOT, why), |members| {
                    members["isDisabled"] = json!(true);
                })
                .map_err(failed)?;
                told(BOT, "disables", &self.writer, why)
            }
            Step::Rename => {
                fake.rename_configuration(
                    &self.renamed,
                    &by(JANE, "Say what it is for"),
                    "Customers and consents (GDPR)",
                )
                .map_err(failed)?;
                told(JANE, "renames", &self.renamed, "Customers and consents (GDPR)")
            }
            Step::Delete => {
                let why = "Delete the unused extractor";
                fake.delete_configuration(&self.deleted, &by(PETR, why))
                    .map_err(failed)?;
                told(PETR, "deletes", &self.deleted, why)
            }
            Step::PastePassword => {
                let why = "Give reporting its own user";
                let password = made_up(now, "Rep0rt");
                fake.update_configuration(&self.sql, &by(TOMAS, why), |configuration| {
                    add_script(
                        configuration,
                        &format!(
                            "CREATE USER \"reporting\" PASSWORD = '{password}' DEFAULT_ROLE = 'READER';"
                        ),
                    );
                })
                .map_err(failed)?;
                told(TOMAS, "pastes a password into", &self.sql, why)
            }
            Step::PlaintextPassword => {
                let why = "New password from the vendor";
                let password = made_up(now, "V3ndor");
                fake.update_configuration(&self.plaintext, &by(TOMAS, why), |configuration| {
                    parameters(configuration).insert("#password".into(), json!(password));
                })
                .map_err(failed)?;
                told(TOMAS, "leaves a plaintext #password in", &self.plaintext, why)
            }
            Step::RunFine => {
                fake.finish_job(self.run("success", "Extracted 18,204 rows", now))
                    .map_err(failed)?;
                format!("a run of {} succeeds", name(&self.extractor))
            }
            Step::RunFails => {
                fake.finish_job(self.run("error", "Connection to the source was refused", now))
                    .map_err(failed)?;
                format!("a run of {} fails", name(&self.extractor))
            }
            Step::MakeBranch => {
                if branch(fake).is_none() {
                    fake.create_branch(BRANCH, "Points for returning customers", &by(JANE, ""))
                        .map_err(failed)?;
                }
                format!("{} makes the dev branch \"{BRANCH}\"", JANE.1)
            }
            Step::EditInBranch => {
                let id = branch(fake).ok_or_else(|| {
                    Failure::message("the dev branch is missing; remove the demo's directory")
                })?;
                let at = ConfigAt::new(&id, &self.sql.component, &self.sql.config);
                let why = "Compute loyalty points";
                fake.update_configuration(&at, &by(JANE, why), |configuration| {
                    add_script(configuration, "CREATE OR REPLACE TABLE \"loyalty_points\" AS SELECT \"customer_id\", FLOOR(SUM(\"total\") / 100) AS \"points\" FROM \"orders\" GROUP BY 1;");
                })
                .map_err(failed)?;
                format!("{} edits {} in that branch: {why}", JANE.1, name(&at))
            }
            Step::EditMeanwhile => {
                let why = "Round totals to cents";
                fake.update_configuration(&self.sql, &by(PETR, why), |configuration| {
                    add_script(
                        configuration,
                        "UPDATE \"orders_daily\" SET \"total\" = ROUND(\"total\", 2);",
                    );
                })
                .map_err(failed)?;
                told(PETR, "edits, in the default branch,", &self.sql, why)
            }
            Step::Bulk { number } => {
                let at = &self.all[number % self.all.len()];
                let who = [JANE, PETR, TOMAS, BOT][number % 4];
                let why = format!("Bulk edit {number}");
                fake.update_configuration(at, &by(who, &why), |configuration| {
                    parameters(configuration).insert("bulk".into(), json!(number));
                })
                .map_err(failed)?;
                told(who, "edits", at, &why)
            }
        })
    }

    fn run(&self, status: &str, message: &str, now: Timestamp) -> JobSpec {
        let table = |table: &str| JobTable {
            table: table.into(),
            columns: vec!["id".into(), "updated_at".into()],
        };
        JobSpec {
            at: ConfigAt::new(&self.default, &self.extractor.component, &self.extractor.config),
            status: status.into(),
            author: Author {
                token_id: BOT.0,
                name: BOT.1.into(),
            },
            started: now - SignedDuration::from_secs(95),
            ended: now,
            message: message.into(),
            inputs: Vec::new(),
            outputs: if status == "success" {
                vec![table("in.c-main.demo_orders")]
            } else {
                Vec::new()
            },
            artifact_links: Vec::new(),
        }
    }
}

fn told((_, who): (u64, &str), does: &str, at: &ConfigAt, why: &str) -> String {
    format!("{who} {does} {}: {why}", name(at))
}

fn name(at: &ConfigAt) -> String {
    format!("{}/{}", at.component, at.config)
}

/// Returns the dev branch that the demo makes.
fn branch(fake: &Fake) -> Option<String> {
    let project = fake.project();
    project
        .branches
        .iter()
        .find(|branch| branch.detail["name"] == BRANCH)
        .map(|branch| branch.id().to_string())
}

/// Finds the configuration that was deleted before the demo was killed, by what the outbox tells.
fn remembered(fake: &Fake) -> Option<ConfigAt> {
    let project = fake.project();
    let default = project.default_branch();
    let branch = default.id().to_string();
    let mut gone = fake.outbox(0).into_iter().filter_map(|event| {
        let event: Value = serde_json::from_str(&event.json).ok()?;
        let (component, config) = (
            event["componentId"].as_str()?.to_owned(),
            event["configId"].as_str()?.to_owned(),
        );
        let is_gone = event["type"] == "config_changed"
            && event["branchId"] == branch.as_str()
            && default.configuration(&component, &config).is_none();
        is_gone.then(|| ConfigAt::new(&branch, &component, &config))
    });
    gone.next()
}

fn kind_of<'p>(project: &'p Project, configuration: &Configuration) -> &'p str {
    project
        .component(&configuration.component_id)
        .and_then(|component| component["type"].as_str())
        .unwrap_or_default()
}

/// Whether the configuration has ordinary parameters, so that adding one is harmless.
fn is_plain(project: &Project, configuration: &Configuration) -> bool {
    matches!(kind_of(project, configuration), "extractor" | "writer")
        && configuration.detail["configuration"]["parameters"].is_object()
}

fn parameters(configuration: &mut Value) -> &mut serde_json::Map<String, Value> {
    if !configuration["parameters"].is_object() {
        configuration["parameters"] = json!({});
    }
    configuration["parameters"]
        .as_object_mut()
        .expect("it was just made an object")
}

/// Adds a statement to the first code of a transformation.
fn add_script(configuration: &mut Value, sql: &str) {
    if let Some(script) = configuration
        .pointer_mut("/parameters/blocks/0/codes/0/script")
        .and_then(Value::as_array_mut)
    {
        script.push(json!(sql));
    }
}

/// Makes up a password; different in each run, so that nothing can have been prepared for it.
fn made_up(now: Timestamp, head: &str) -> String {
    let mut state = now.as_nanosecond().unsigned_abs() ^ 0x9e37_79b9_7f4a_7c15;
    let mut text = head.to_owned();
    for _ in 0..14 {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let index = usize::try_from((state >> 33) % 56).unwrap_or_default();
        text.push(char::from(
            b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"[index],
        ));
    }
    text
}
