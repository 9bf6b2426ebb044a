//! The project as it stands, and how changes change it.
//!
//! Applying is deterministic: identifiers come from counters and the seed, times from the change.
//! A change that is refused leaves the state as it was.

use crate::{
    FakeError,
    change::{Author, Change, Committed, ConfigAt, Content, JobSpec, OutboxEvent},
    encode::{chance, event_time, queue_time, storage_time, ulid, uuid_v7},
    op::Op,
};
use jiff::Timestamp;
use sample_project::{Branch, Configuration, Planted, Project, VersionEntry};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

mod configurations;
mod jobs;

pub(crate) use configurations::{read_content, row_of};

/// A branch with its trash.
#[derive(Debug, PartialEq)]
pub(crate) struct BranchState {
    pub(crate) branch: Branch,
    pub(crate) trash: Vec<Configuration>,
}

impl BranchState {
    pub(crate) fn id(&self) -> String {
        text(&self.branch.detail["id"])
    }

    pub(crate) fn find(&self, component: &str, config: &str) -> Option<&Configuration> {
        self.branch
            .configurations
            .iter()
            .find(|found| found.component_id == component && found.id() == config)
    }
}

/// A configuration as it was, served while its newest version is not visible yet.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) before: Option<Configuration>,
    pub(crate) reads_left: u32,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) project_id: u64,
    stack_host: String,
    options: Value,
    planted: Vec<Planted>,
    pub(crate) token_verify: Value,
    pub(crate) index: Value,
    pub(crate) components: Vec<Value>,
    pub(crate) branches: Vec<BranchState>,
    pub(crate) buckets: Vec<Value>,
    pub(crate) tables: Vec<Value>,
    pub(crate) previews: BTreeMap<String, String>,
    pub(crate) jobs: Vec<Value>,
    /// Oldest first.
    pub(crate) events: Vec<Value>,
    pub(crate) outbox: Vec<OutboxEvent>,
    /// How many reads a new version stays invisible for; not part of the project.
    pub(crate) late_reads: u32,
    pub(crate) late: BTreeMap<ConfigAt, Late>,
    seed: u64,
    /// Chances drawn so far.
    drawn: u64,
    next_branch: u64,
    next_job: u64,
    next_metadata: u64,
    next_event: u64,
}

impl State {
    pub(crate) fn new(project: Project, seed: u64) -> Self {
        let Project {
            project_id,
            stack_host,
            options,
            token_verify,
            index,
            components,
            branches,
            buckets,
            tables,
            previews,
            jobs,
            mut events,
            planted,
        } = project;
        events.reverse();
        let largest = |ids: &mut dyn Iterator<Item = &Value>| {
            ids.filter_map(|id| text(id).parse().ok()).max().unwrap_or(0)
        };
        let next_branch = 1 + largest(&mut branches.iter().map(|branch| &branch.detail["id"]));
        let next_job = 1 + largest(&mut jobs.iter().map(|job| &job["id"]));
        let next_event = 1 + largest(&mut events.iter().map(|event| &event["id"]));
        let configurations = branches.iter().flat_map(|branch| &branch.configurations);
        let metadata = configurations
            .flat_map(|config| &config.metadata)
            .chain(branches.iter().flat_map(|b| &b.metadata));
        let next_metadata = 1 + largest(&mut metadata.map(|entry| &entry["id"]));
        let branches = branches
            .into_iter()
            .map(|branch| BranchState {
                branch,
                trash: Vec::new(),
            })
            .collect();
        Self {
            project_id,
            stack_host,
            options,
            planted,
            token_verify,
            index,
            components,
            branches,
            buckets,
            tables,
            previews,
            jobs,
            events,
            outbox: Vec::new(),
            late_reads: 0,
            late: BTreeMap::new(),
            seed,
            drawn: 0,
            next_branch,
            next_job,
            next_metadata,
            next_event,
        }
    }

    /// Returns the project as it stands, in the form it was given in.
    pub(crate) fn project(&self) -> Project {
        let mut events = self.events.clone();
        events.reverse();
        Project {
            project_id: self.project_id,
            stack_host: self.stack_host.clone(),
            options: self.options.clone(),
            token_verify: self.token_verify.clone(),
            index: self.index.clone(),
            components: self.components.clone(),
            branches: self.branches.iter().map(|branch| branch.branch.clone()).collect(),
            buckets: self.buckets.clone(),
            tables: self.tables.clone(),
            previews: self.previews.clone(),
            jobs: self.jobs.clone(),
            events,
            planted: self.planted.clone(),
        }
    }

    /// Returns a digest of what a journal builds on: the versions of all configurations.
    pub(crate) fn digest(&self) -> String {
        let mut hash: u64 = 0xCBF2_9CE4_8422_2325 ^ self.seed;
        let mut add = |text: &str| {
            for byte in text.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
        };
        add(&self.project_id.to_string());
        for branch in &self.branches {
            add(&branch.id());
            for configuration in &branch.branch.configurations {
                add(&configuration.component_id);
                add(configuration.id());
                add(&text(
                    &configuration.detail["currentVersion"]["versionIdentifier"],
                ));
            }
        }
        format!("{hash:016x}")
    }

    /// Applies a change. Returns the version it made, if it made one.
    pub(crate) fn apply(&mut self, op: Op) -> Result<Option<Committed>, FakeError> {
        match op {
            Op::CreateConfiguration { at, change, content } => {
                self.create_configuration(&at, &change, content).map(Some)
            }
            Op::UpdateConfiguration { at, change, content } => {
                self.update_configuration(&at, &change, content).map(Some)
            }
            Op::DeleteConfiguration { at, change } => self.delete_configuration(&at, &change).map(Some),
            Op::RestoreConfiguration { at, change } => self.restore_configuration(&at, &change).map(Some),
            Op::PurgeConfiguration { at } => self.purge_configuration(&at).map(|()| None),
            Op::CreateRow {
                at,
                row,
                change,
                content,
            } => self.create_row(&at, &row, &change, content).map(Some),
            Op::UpdateRow {
                at,
                row,
                change,
                content,
            } => self.update_row(&at, &row, &change, content).map(Some),
            Op::DeleteRow { at, row, change } => self.delete_row(&at, &row, &change).map(Some),
            Op::SetConfigurationMetadata { at, change, entries } => self
                .set_configuration_metadata(&at, &change, &entries)
                .map(|()| None),
            Op::SetBranchMetadata {
                branch,
                change,
                entries,
            } => self
                .set_branch_metadata(&branch, &change, &entries)
                .map(|()| None),
            Op::CreateBranch {
                name,
                description,
                change,
            } => {
                self.create_branch(&name, &description, &change);
                Ok(None)
            }
            Op::UpdateBranch {
                branch,
                name,
                description,
                ..
            } => {
                let detail = &mut self.branch_mut(&branch)?.branch.detail;
                detail["name"] = name.into();
                detail["description"] = description.into();
                Ok(None)
            }
            Op::DeleteBranch { branch, change } => self.delete_branch(&branch, &change).map(|()| None),
            Op::FinishJob { job } => self.finish_job(&job).map(|()| None),
            Op::PutTable { detail, change } => self.put_table(detail, &change).map(|()| None),
            Op::DropTable { table, change } => self.drop_table(table, &change).map(|()| None),
            Op::PutBucket { detail } => self.put_bucket(detail).map(|()| None),
            Op::DropBucket { bucket } => self.drop_bucket(bucket).map(|()| None),
            Op::ChangePreview { table, csv, change } => {
                self.change_preview(table, csv, &change).map(|()| None)
            }
        }
    }

    pub(crate) fn branch(&self, id: &str) -> Option<&BranchState> {
        self.branches.iter().find(|branch| is_named(branch, id))
    }

    fn branch_mut(&mut self, id: &str) -> Result<&mut BranchState, FakeError> {
        let unknown = || FakeError::UnknownBranch { branch: id.into() };
        self.branches
            .iter_mut()
            .find(|branch| is_named(branch, id))
            .ok_or_else(unknown)
    }

    fn set_branch_metadata(
        &mut self,
        branch: &str,
        change: &Change,
        entries: &[(String, String)],
    ) -> Result<(), FakeError> {
        let mut next = self.next_metadata;
        set_metadata(
            &mut self.branch_mut(branch)?.branch.metadata,
            &mut next,
            change,
            "user",
            entries,
        );
        self.next_metadata = next;
        Ok(())
    }

    fn create_branch(&mut self, name: &str, description: &str, change: &Change) {
        let id = self.next_branch;
        self.next_branch += 1;
        let created = storage_time(change.now);
        let detail = json!({
            "id": id, "name": name, "description": description, "created": created, "isDefault": false,
            "creatorToken": token(&change.author),
        });
        let sources: Vec<Configuration> = self
            .branches
            .iter()
            .find(|branch| branch.branch.is_default())
            .map(|branch| branch.branch.configurations.clone())
            .unwrap_or_default();
        let configurations = sources
            .into_iter()
            .map(|source| self.copied(source, change))
            .collect();
        let branch = Branch {
            detail,
            configurations,
            metadata: Vec::new(),
        };
        self.branches.push(BranchState {
            branch,
            trash: Vec::new(),
        });
        let told = Told {
            name: "storage.devBranchCreated",
            kind: "devBranch",
            id: id.to_string(),
            label: name.into(),
        };
        self.record(told, change, &json!(id), &json!({"devBranchName": name}));
    }

    /// A dev branch starts with copies: same ids and metadata, history from 1, no state.
    fn copied(&mut self, mut source: Configuration, change: &Change) -> Configuration {
        let (name, version) = (text(&source.detail["name"]), source.version());
        let identifier = self.ulid(change.now);
        let said = format!("Copied from default branch configuration \"{name}\" (version {version})");
        let (created, author) = (storage_time(change.now), token(&change.author));
        let mut rows = source.detail["rows"].take();
        for row in rows.as_array_mut().into_iter().flatten() {
            row["version"] = json!(1);
            row["created"] = json!(created);
            row["creatorToken"] = author.clone();
            row["changeDescription"] = json!(said);
            row["state"] = json!({});
            row["versionIdentifier"] = json!(self.ulid(change.now));
        }
        let detail = &mut source.detail;
        detail["rows"] = rows;
        detail["state"] = json!({});
        detail["created"] = json!(created);
        detail["creatorToken"] = author;
        source.versions.clear();
        stamp(
            &mut source,
            &Stamp {
                version: 1,
                identifier: &identifier,
                said: &said,
                change,
            },
        );
        source
    }

    fn delete_branch(&mut self, branch: &str, change: &Change) -> Result<(), FakeError> {
        let found = self.branch_mut(branch)?;
        if found.branch.is_default() {
            return Err(FakeError::DefaultBranch);
        }
        let (id, detail) = (found.id(), found.branch.detail.clone());
        self.branches.retain(|branch| branch.id() != id);
        self.late.retain(|at, _| at.branch != id);
        let name = text(&detail["name"]);
        let told = Told {
            name: "storage.devBranchDeleted",
            kind: "devBranch",
            id,
            label: name.clone(),
        };
        self.record(told, change, &detail["id"], &json!({"devBranchName": name}));
        Ok(())
    }

    fn ulid(&mut self, at: Timestamp) -> String {
        let chances = self.chances();
        ulid(at, chances)
    }

    fn chances(&mut self) -> [u64; 2] {
        self.drawn += 2;
        [chance(self.seed, self.drawn - 1), chance(self.seed, self.drawn)]
    }

    /// Appends a Storage event.
    fn record(&mut self, told: Told, change: &Change, branch: &Value, params: &Value) {
        let id = self.next_event;
        self.next_event += 1;
        let uuid = uuid_v7(change.now, self.chances());
        let Told {
            name,
            kind,
            id: object,
            label,
        } = told;
        let event = json!({
            "id": id, "uuid": uuid, "event": name, "component": "storage",
            "message": format!("{kind} \"{label}\" ({object})"), "description": "", "type": "info", "runId": null,
            "created": storage_time(change.now), "configurationId": null,
            "objectId": object, "objectName": label, "objectType": kind,
            "context": [], "params": params, "results": [], "performance": [],
            "token": {"id": change.author.token_id, "name": change.author.name},
            "idBranch": branch, "attachments": [],
        });
        self.events.push(event);
    }

    /// Puts an event for the mirror into the outbox and returns its number.
    fn publish(&mut self, event: &Value) -> u64 {
        let seq = self.outbox.len() as u64 + 1;
        self.outbox.push(OutboxEvent {
            seq,
            json: event.to_string(),
        });
        seq
    }
}

/// What a Storage event is about.
struct Told {
    name: &'static str,
    kind: &'static str,
    id: String,
    label: String,
}

/// What identifies a new version.
struct Stamp<'s> {
    version: u64,
    identifier: &'s str,
    said: &'s str,
    change: &'s Change,
}

/// Makes the configuration's present content its newest version.
fn stamp(configuration: &mut Configuration, stamp: &Stamp<'_>) {
    let Stamp {
        version,
        identifier,
        said,
        change,
    } = stamp;
    let (created, author) = (storage_time(change.now), token(&change.author));
    let detail = &mut configuration.detail;
    detail["version"] = json!(version);
    detail["changeDescription"] = json!(said);
    detail["currentVersion"] = json!({
        "created": created, "creatorToken": author, "changeDescription": said, "versionIdentifier": identifier,
    });
    let item = json!({
        "version": version, "created": created, "versionIdentifier": identifier, "creatorToken": author,
        "changeDescription": said, "isDeleted": detail["isDeleted"], "name": detail["name"],
        "description": detail["description"],
    });
    let content = json!({
        "isDisabled": detail["isDisabled"], "configuration": detail["configuration"],
        "rowsSortOrder": detail["rowsSortOrder"], "rows": detail["rows"],
    });
    configuration.versions.insert(
        0,
        VersionEntry {
            item,
            content: Some(Arc::new(content)),
        },
    );
}

/// Sets entries of one provider; those of others of the same key stay beside them.
fn set_metadata(
    metadata: &mut Vec<Value>,
    next: &mut u64,
    change: &Change,
    provider: &str,
    entries: &[(String, String)],
) {
    for (key, value) in entries {
        let timestamp = storage_time(change.now);
        let same = |entry: &&mut Value| entry["key"] == **key && entry["provider"] == *provider;
        if let Some(entry) = metadata.iter_mut().find(same) {
            entry["value"] = json!(value);
            entry["timestamp"] = json!(timestamp);
            continue;
        }
        let id = next.to_string();
        *next += 1;
        metadata.push(
            json!({"id": id, "key": key, "value": value, "provider": provider, "timestamp": timestamp}),
        );
    }
}

fn is_named(branch: &BranchState, id: &str) -> bool {
    branch.id() == id || (id == "default" && branch.branch.is_default())
}

fn token(author: &Author) -> Value {
    json!({"id": author.token_id, "description": author.name})
}

/// Returns a string, or a number's digits; empty for anything else.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}
