//! Random changes of a project, and a lane that mirrors it in steps.

mod deeds;

pub(crate) use deeds::{Deed, deeds};
use fake_keboola::{Author, Change, ConfigAt, Fake, FakeConfig, JobSpec, JobTable, small_project};
use jiff::{SignedDuration, Timestamp};
use mirror_core::{
    event::{Body, BranchChanged, MetadataChanged, StorageCause, StorageChanged},
    ids::{ObjectKey, TableId},
};
use mirror_it::{Rig, Settings, SourceAt};
use proptest::sample::Index;
use serde_json::{Value, json};

/// Names that want the same path, or one that cannot be had, beside ordinary ones.
const NAMES: [&str; 16] = [
    "Orders",
    "orders",
    "ORDERS!",
    "orders-001",
    "Orders 001",
    "",
    "  ",
    "Tržby za měsíc",
    "meta.json",
    "a/b",
    "..",
    ".git",
    "rows",
    "con",
    "Übersicht\u{301}",
    "x",
];
const COMPONENTS: [&str; 5] = [
    "keboola.ex-shop",
    "keboola.ex-other",
    TRANSFORMATION,
    // The layout leaves it out.
    "keboola.sandboxes",
    "keboola.flow",
];
const TRANSFORMATION: &str = "keboola.snowflake-transformation";
const VARIABLES: &str = "keboola.variables";
const SHARED_CODE: &str = "keboola.shared-code";
const SCHEDULER: &str = "keboola.scheduler";
/// Of the layout's own kinds of flows one has directories for phases and tasks, the other keeps them as they are.
const FLOWS: [&str; 2] = [ORCHESTRATOR, "keboola.flow"];
const ORCHESTRATOR: &str = "keboola.orchestrator";
/// A component with a default bucket.
const WITH_BUCKET: &str = "keboola.ex-other";
/// When the first change is made; each further one a second later.
const FIRST_CHANGE: i64 = 1_793_606_400;

/// A project that changes and the lane that mirrors it.
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) rig: Rig,
    branch: String,
    trash: Vec<ConfigAt>,
    /// Events that were not told yet.
    waiting: Vec<String>,
    internal: Vec<Body>,
    heard: u64,
    /// Counts changes; also makes ids.
    made: i64,
}

/// A configuration as it is now.
struct Live {
    at: ConfigAt,
    rows: Vec<String>,
}

impl World {
    pub(crate) async fn new(settings: Settings) -> Self {
        let mut project = small_project();
        for (id, kind) in [
            (WITH_BUCKET, "extractor"),
            ("keboola.sandboxes", "other"),
            (ORCHESTRATOR, "other"),
            (VARIABLES, "other"),
            (SHARED_CODE, "other"),
            (SCHEDULER, "other"),
        ] {
            let data = match id {
                WITH_BUCKET => json!({"default_bucket": true, "default_bucket_stage": "in"}),
                _ => json!({}),
            };
            let component =
                json!({"id": id, "type": kind, "name": id, "flags": [], "data": data, "features": []});
            project.components.push(component.clone());
            if let Some(listed) = project.index["components"].as_array_mut() {
                listed.push(component);
            }
        }
        let number = project.project_id;
        let branch = project.default_branch().id().to_string();
        let fake = Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
        let source = SourceAt {
            url: fake.url().to_owned(),
            token: fake.token().to_owned(),
            project: number,
        };
        let mut rig = Rig::new(source, settings).await;
        rig.settle().await;
        Self {
            fake,
            rig,
            branch,
            trash: Vec::new(),
            waiting: Vec::new(),
            internal: Vec::new(),
            heard: 0,
            made: 0,
        }
    }

    /// Carries out all changes, and mirrors what is left at the end.
    pub(crate) async fn carry_out(&mut self, sequence: &[Deed]) {
        for deed in sequence {
            if let Deed::Mirror { turn, twice, hold } = deed {
                self.mirror(usize::from(*turn), *twice, *hold).await;
            } else {
                self.make(deed);
            }
        }
        self.mirror(0, false, false).await;
        assert_eq!(self.fake.write_attempts(), 0);
    }

    /// Edits one configuration of the small project.
    pub(crate) fn edit(&mut self, component: &str, config: &str, edit: impl FnOnce(&mut Value)) {
        let at = ConfigAt::new(&self.branch, component, config);
        self.revise(&at, |content| edit(&mut content["configuration"]));
    }

    /// Schedules a configuration.
    pub(crate) fn schedule(&mut self, component: &str, config: &str, name: &str) {
        let target = ConfigAt::new(&self.branch, component, config);
        self.create(SCHEDULER, name, schedule_of(&target));
    }

    /// Makes or changes a table, of which an event will tell.
    pub(crate) fn put_table(&mut self, detail: Value) {
        let table = detail["id"].as_str().expect("it has an id").to_owned();
        let change = self.change();
        self.fake.put_table(detail, &change).expect("it has an id");
        self.storage_changed(&table);
    }

    fn storage_changed(&mut self, table: &str) {
        self.internal.push(Body::StorageChanged(StorageChanged {
            tables: vec![TableId::parse(table).expect("an id")],
            buckets: Vec::new(),
            cause: StorageCause::Seen(self.made.to_string()),
        }));
    }

    /// Returns configurations that a flow may run, as many as there are.
    fn targets(&self, which: &[Index]) -> Vec<ConfigAt> {
        let found = which.iter().filter_map(|which| self.any(which));
        found.map(|live| live.at).collect()
    }

    /// Lets a configuration run and load a table.
    pub(crate) fn load(&mut self, component: &str, config: &str, table: &str) {
        let at = ConfigAt::new(&self.branch, component, config);
        self.run(at, "success", table);
    }

    fn run(&mut self, at: ConfigAt, status: &str, table: &str) {
        let ended = self.change().now;
        let job = JobSpec {
            at,
            status: status.into(),
            author: Author {
                token_id: 9004,
                name: "ci".into(),
            },
            started: ended - SignedDuration::from_secs(30),
            ended,
            message: "done".into(),
            inputs: Vec::new(),
            outputs: vec![JobTable {
                table: table.into(),
                columns: vec!["c0".into()],
            }],
            artifact_links: Vec::new(),
        };
        self.fake.finish_job(job).expect("it is there");
    }

    /// Tells and mirrors all that was not told yet.
    pub(crate) async fn mirror_all(&mut self) {
        self.mirror(0, false, false).await;
    }

    async fn mirror(&mut self, turn: usize, twice: bool, hold: bool) {
        let heard = self.fake.outbox(self.heard);
        self.heard = heard.last().map_or(self.heard, |event| event.seq);
        self.waiting.extend(heard.into_iter().map(|event| event.json));
        let mut telling = std::mem::take(&mut self.waiting);
        if !telling.is_empty() {
            let by = turn % telling.len();
            telling.rotate_left(by);
        }
        if turn % 2 == 1 {
            telling.reverse();
        }
        if hold {
            self.waiting = telling.split_off(telling.len() - telling.len() / 3);
        }
        if twice {
            telling.extend(telling.clone());
        }
        self.rig.post(&telling).await;
        self.rig.tell(std::mem::take(&mut self.internal)).await;
        self.rig.settle().await;
    }

    fn change(&mut self) -> Change {
        self.made += 1;
        let now = Timestamp::from_second(FIRST_CHANGE + self.made).expect("a time");
        let (id, name) =
            [(9001, "jane@example.com"), (9002, "petr@example.com")][usize::from(self.made % 3 == 0)];
        Change::by(id, name, &format!("Change {}", self.made), now)
    }

    fn live(&self, wanted: impl Fn(&str) -> bool) -> Vec<Live> {
        let project = self.fake.project();
        let configurations = project.default_branch().configurations.iter();
        configurations
            .filter(|found| wanted(&found.component_id))
            .map(|found| Live {
                at: ConfigAt::new(&self.branch, &found.component_id, found.id()),
                rows: found.detail["rows"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|row| row["id"].as_str().map(str::to_owned))
                    .collect(),
            })
            .collect()
    }

    fn one(&self, which: &Index, wanted: impl Fn(&str) -> bool) -> Option<Live> {
        let mut live = self.live(wanted);
        (!live.is_empty()).then(|| live.swap_remove(which.index(live.len())))
    }

    fn any(&self, which: &Index) -> Option<Live> {
        self.one(which, |_| true)
    }

    fn create(&mut self, component: &str, name: &str, configuration: Value) -> ConfigAt {
        let change = self.change();
        let at = ConfigAt::new(&self.branch, component, &format!("c{}", self.made));
        let made = self.fake.create_configuration(&at, &change, name, configuration);
        made.expect("the id is free");
        at
    }

    fn revise(&mut self, at: &ConfigAt, edit: impl FnOnce(&mut Value)) {
        let change = self.change();
        let revised = self.fake.revise_configuration(at, &change, edit);
        revised.expect("there is such a configuration");
    }

    /// Makes one change; there may be nothing to make it of.
    fn make(&mut self, deed: &Deed) {
        // What a change cannot be made of leaves the project as it is.
        let _: Option<()> = self.made_of(deed);
    }

    fn made_of(&mut self, deed: &Deed) -> Option<()> {
        let name_of = |name: &Index| *name.get(&NAMES);
        match deed {
            Deed::Create { component, name } => {
                let component = *component.get(&COMPONENTS);
                let content = match component {
                    TRANSFORMATION => json!({"parameters": {"blocks": [
                        {"name": name_of(name), "codes": [{"name": "Code", "script": ["SELECT 1;"]}]}]}}),
                    _ => {
                        json!({"parameters": {"table": "in.c-shop.orders", "#secret": "KBC::ProjectSecure::eJwC"}})
                    }
                };
                self.create(component, name_of(name), content);
            }
            Deed::CreateVariables { name } => {
                let at = self.create(
                    VARIABLES,
                    name_of(name),
                    json!({"variables": [{"name": "a", "type": "string"}]}),
                );
                let change = self.change();
                let values = json!({"values": [{"name": "a", "value": "1"}]});
                let row = format!("v{}", self.made);
                self.fake
                    .create_row(&at, &row, &change, name_of(name), values)
                    .ok()?;
            }
            Deed::CreateSharedCode { name } => {
                let at = self.create(SHARED_CODE, name_of(name), json!({"componentId": TRANSFORMATION}));
                let change = self.change();
                let row = format!("s{}", self.made);
                let code = json!({"code_content": ["SELECT 2;"]});
                self.fake
                    .create_row(&at, &row, &change, name_of(name), code)
                    .ok()?;
            }
            Deed::CreateSchedule { target, name } => {
                let target = self.one(target, |component| component != SCHEDULER)?;
                self.create(SCHEDULER, name_of(name), schedule_of(&target.at));
            }
            Deed::Edit { config, value } => {
                let at = self.any(config)?.at;
                self.revise(&at, |content| {
                    content["configuration"]["parameters"]["value"] = (*value % 4).into();
                });
            }
            Deed::Describe { config, value } => {
                let at = self.any(config)?.at;
                self.revise(&at, |content| {
                    content["description"] = format!("About {}", value % 3).into();
                });
            }
            Deed::Disable { config } => {
                let at = self.any(config)?.at;
                self.revise(&at, |content| {
                    content["isDisabled"] = (!content["isDisabled"].as_bool().unwrap_or(false)).into();
                });
            }
            Deed::Rename { config, name } => {
                let at = self.any(config)?.at;
                self.revise(&at, |content| content["name"] = name_of(name).into());
            }
            Deed::Delete { config } => {
                let at = self.any(config)?.at;
                let change = self.change();
                self.fake.delete_configuration(&at, &change).expect("it is there");
                self.trash.push(at);
            }
            Deed::Restore { config } => {
                let at = self.trashed(config)?;
                let change = self.change();
                self.fake
                    .restore_configuration(&at, &change)
                    .expect("it is in the trash");
            }
            Deed::PurgeAndRecreate { config, name } => {
                let at = self.trashed(config)?;
                self.fake.purge_configuration(&at).expect("it is in the trash");
                let change = self.change();
                let content = json!({"parameters": {"made": "anew"}});
                let made = self
                    .fake
                    .create_configuration(&at, &change, name_of(name), content);
                made.expect("the id is free");
            }
            Deed::CreateRow { config, name } => {
                let at = self.one(config, |component| component != SCHEDULER)?.at;
                let change = self.change();
                let row = format!("r{}", self.made);
                let content = json!({"parameters": {"row": row}});
                self.fake
                    .create_row(&at, &row, &change, name_of(name), content)
                    .ok()?;
            }
            Deed::EditRow { config, row, value } => {
                let (at, row) = self.row(config, row)?;
                let change = self.change();
                let edit = |content: &mut Value| {
                    content["configuration"]["parameters"]["value"] = (*value % 4).into();
                };
                self.fake
                    .update_row(&at, &row, &change, edit)
                    .expect("it is there");
            }
            Deed::RenameRow { config, row, name } => {
                let (at, row) = self.row(config, row)?;
                let change = self.change();
                let edit = |content: &mut Value| content["name"] = name_of(name).into();
                self.fake
                    .update_row(&at, &row, &change, edit)
                    .expect("it is there");
            }
            Deed::DeleteRow { config, row } => {
                let (at, row) = self.row(config, row)?;
                let change = self.change();
                self.fake.delete_row(&at, &row, &change).expect("it is there");
            }
            Deed::OrderRows { config, turn } => {
                let Live { at, mut rows } = self.any(config)?;
                let by = usize::from(*turn) % rows.len().max(1);
                rows.rotate_left(by);
                self.revise(&at, |content| content["rowsSortOrder"] = json!(rows));
            }
            Deed::UseVariables { config, variables } => {
                let at = self.one(config, |component| component == TRANSFORMATION)?.at;
                let variables = self.one(variables, |component| component == VARIABLES)?;
                self.revise(&at, |content| {
                    content["configuration"]["variables_id"] = variables.at.config.into();
                    content["configuration"]["variables_values_id"] = variables.rows.first().cloned().into();
                });
            }
            Deed::UseSharedCode { config, code } => {
                let at = self.one(config, |component| component == TRANSFORMATION)?.at;
                let code = self.one(code, |component| component == SHARED_CODE)?;
                self.revise(&at, |content| {
                    content["configuration"]["shared_code_id"] = code.at.config.into();
                    content["configuration"]["shared_code_row_ids"] = json!(code.rows);
                });
            }
            Deed::MoveSchedule { schedule, target } => {
                let at = self.one(schedule, |component| component == SCHEDULER)?.at;
                let target = self.one(target, |component| component != SCHEDULER)?;
                self.revise(&at, |content| content["configuration"] = schedule_of(&target.at));
            }
            Deed::Metadata { config, name } => {
                let at = self.any(config)?.at;
                let change = self.change();
                let entries = [("KBC.configuration.folderName", name_of(name))];
                self.fake
                    .set_configuration_metadata(&at, &change, &entries)
                    .expect("it is there");
                let object = ObjectKey::Config {
                    component: at.component.parse().expect("an id"),
                    config: at.config.parse().expect("an id"),
                };
                let digest = self.made.to_string();
                self.internal
                    .push(Body::MetadataChanged(MetadataChanged { object, digest }));
            }
            Deed::DescribeBranch { value } => {
                let change = self.change();
                let text = format!("# Project\n\nText {}", value % 3);
                let entries = [("KBC.projectDescription", text.as_str())];
                let branch = self.branch.clone();
                self.fake
                    .set_branch_metadata(&branch, &change, &entries)
                    .expect("it is there");
                self.branch_changed();
            }
            Deed::RenameBranch { value } => {
                let (change, branch) = (self.change(), self.branch.clone());
                let (name, about) = (format!("Main {}", value % 3), format!("About {}", value % 2));
                self.fake
                    .update_branch(&branch, &name, &about, &change)
                    .expect("it is there");
                self.branch_changed();
            }
            Deed::ShareVariables {
                one,
                other,
                variables,
            } => {
                let variables = self.one(variables, |component| component == VARIABLES)?.at;
                for user in [one, other] {
                    let at = self.one(user, |component| component == TRANSFORMATION)?.at;
                    let id = variables.config.clone();
                    self.revise(&at, |content| {
                        content["configuration"]["variables_id"] = id.into();
                    });
                }
            }
            Deed::CreateFlow { kind, name, targets } => {
                let content = flow_of(&self.targets(targets), *kind);
                self.create(FLOWS[usize::from(kind % 2)], name_of(name), content);
            }
            Deed::EditFlow {
                flow,
                name,
                targets,
                turn,
            } => {
                let at = self.one(flow, |component| FLOWS.contains(&component))?.at;
                let mut content = flow_of(&self.targets(targets), *turn);
                content["phases"][0]["name"] = name_of(name).into();
                content["tasks"][0]["name"] = name_of(name).into();
                self.revise(&at, |detail| detail["configuration"] = content);
            }
            Deed::RenameTarget { flow, task, name } => {
                let flow = self.one(flow, |component| FLOWS.contains(&component))?.at;
                let project = self.fake.project();
                let found = project.default_branch().configurations.iter();
                let mut found =
                    found.filter(|found| found.component_id == flow.component && found.id() == flow.config);
                let tasks = &found.next()?.detail["configuration"]["tasks"];
                let tasks = tasks.as_array().filter(|tasks| !tasks.is_empty())?;
                let task = &task.get(tasks)["task"];
                let id = |member: &str| task[member].as_str();
                let at = ConfigAt::new(&self.branch, id("componentId")?, id("configId")?);
                // It may be gone.
                self.live(|_| true).iter().find(|live| live.at == at)?;
                self.revise(&at, |content| content["name"] = name_of(name).into());
            }
            Deed::Map { config, other, table } => {
                let at = self.any(config)?.at;
                let other = self.one(other, |component| component == WITH_BUCKET);
                let of_other = other.map(|other| format!("in.c-keboola-ex-other-{}.t", other.at.config));
                let own = format!("in.c-shop.t{table}");
                let mut inputs = vec![json!({"source": own, "destination": "own"})];
                inputs.extend(of_other.map(|source| json!({"source": source, "destination": "other"})));
                let mut storage = json!({
                    "input": {"tables": inputs},
                    "output": {"tables": [{"source": "out", "destination": format!("in.c-shop.t{}", (table + 1) % 4)}]},
                });
                if *table == 0 {
                    storage["output"]["default_bucket"] = "in.c-shop".into();
                }
                self.revise(&at, |content| content["configuration"]["storage"] = storage);
            }
            Deed::PlantSecret { config, place } => {
                let at = self.any(config)?.at;
                // No two are alike, and none is one that anything takes.
                let token = format!("ghp_{:036}", self.made).replace('0', "Zk7");
                let token = &token[..40];
                self.revise(&at, |content| match place % 4 {
                    0 => {
                        content["configuration"]["parameters"]["#password"] = format!("Pl4in-{token}").into();
                    }
                    1 => {
                        content["configuration"]["parameters"]["note"] =
                            format!("password = '{token}'").into();
                    }
                    2 => content["description"] = format!("Log in with {token}").into(),
                    _ => content["name"] = format!("Of {token}").into(),
                });
            }
            Deed::DropTable { table } => {
                let id = format!("in.c-shop.t{table}");
                let change = self.change();
                self.fake.drop_table(&id, &change).ok()?;
                self.storage_changed(&id);
            }
            Deed::Table { table, columns } => {
                let columns: Vec<String> = (0..=columns % 5).map(|column| format!("c{column}")).collect();
                self.put_table(table_of(*table, &columns));
            }
            Deed::Run { config, table, fails } => {
                let at = self.any(config)?.at;
                let status = if *fails { "error" } else { "success" };
                self.run(at, status, &format!("in.c-shop.t{table}"));
            }
            Deed::Mirror { .. } => {}
        }
        Some(())
    }

    fn branch_changed(&mut self) {
        let digest = self.made.to_string();
        self.internal.push(Body::BranchChanged(BranchChanged {
            digest,
            deleted: false,
        }));
    }

    fn trashed(&mut self, which: &Index) -> Option<ConfigAt> {
        (!self.trash.is_empty()).then(|| self.trash.swap_remove(which.index(self.trash.len())))
    }

    fn row(&self, config: &Index, row: &Index) -> Option<(ConfigAt, String)> {
        let mut live = self.live(|_| true);
        live.retain(|live| !live.rows.is_empty());
        if live.is_empty() {
            return None;
        }
        let Live { at, rows } = live.swap_remove(config.index(live.len()));
        let row = row.get(&rows).clone();
        Some((at, row))
    }
}

fn schedule_of(target: &ConfigAt) -> Value {
    json!({
        "schedule": {"cronTab": "0 3 * * *", "timezone": "UTC", "state": "enabled"},
        "target": {"componentId": target.component, "configurationId": target.config, "mode": "run"},
    })
}

/// A flow of two phases that runs configurations; one task may be switched off, and one names what is not there.
fn flow_of(targets: &[ConfigAt], turn: u8) -> Value {
    let task = |(number, at): (usize, &ConfigAt)| {
        json!({
            "id": 10 + number, "name": format!("Run {number}"), "phase": 1 + number % 2, "enabled": !turn.is_multiple_of(5),
            "task": {"componentId": at.component, "configId": at.config, "mode": "run"},
        })
    };
    let mut tasks: Vec<Value> = targets.iter().enumerate().map(task).collect();
    let by = usize::from(turn) % tasks.len().max(1);
    tasks.rotate_left(by);
    if turn.is_multiple_of(7) {
        tasks.push(json!({
            "id": 20, "name": "Gone", "phase": 1, "enabled": true,
            "task": {"componentId": TRANSFORMATION, "configId": "gone", "mode": "run"},
        }));
    }
    json!({
        "phases": [{"id": 1, "name": "First", "dependsOn": []}, {"id": 2, "name": "Second", "dependsOn": [1]}],
        "tasks": tasks,
    })
}

/// Every second table has types.
fn table_of(number: u8, columns: &[String]) -> Value {
    let is_typed = number % 2 == 1;
    let mut table = json!({
        "id": format!("in.c-shop.t{number}"), "name": format!("t{number}"), "displayName": format!("t{number}"),
        "primaryKey": [columns[0]], "columns": columns, "isAlias": false, "isTyped": is_typed,
        "created": "2026-01-05T09:00:00+0100", "lastImportDate": "2026-01-05T09:00:00+0100",
        "lastChangeDate": "2026-01-05T09:00:00+0100", "rowsCount": 2, "dataSizeBytes": 1024, "metadata": [],
        "columnMetadata": [], "bucket": {"id": "in.c-shop", "stage": "in"},
        // Nobody knows these; no listing has the last one.
        "dataClass": {"widest": columns.last()}, "filesCount": columns.len(), "detailedClass": columns.last(),
    });
    if is_typed {
        let typed = columns
            .iter()
            .map(|name| json!({"name": name, "basetype": "STRING", "definition": {"type": "VARCHAR"}}));
        table["definition"] = json!({"primaryKeysNames": [columns[0]], "columns": typed.collect::<Vec<_>>()});
    }
    table
}
