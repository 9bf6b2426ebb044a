//! One finished job run: a line of its day and a step in its configuration's health.

use super::{Rendered, unknown};
use crate::{
    api::{Context, Entry, IndexKind},
    gather::jobs::STORAGE_FILE,
    json::{Json, Object, write},
    time,
};

/// A message longer than this is cut: growth of the repository is bounded.
const MESSAGE_CHARS_MAX: usize = 2000;

/// Members that nobody knows are kept up to so many bytes for the same reason; of those past them their names are.
const OTHERS_BYTES_MAX: usize = 2000;

/// A name longer than this is cut, too.
const NAME_CHARS_MAX: usize = 100;
const NAMES_MAX: usize = 20;

/// Members of the API's answer that the line tells.
const TOLD: [&str; 16] = [
    "id",
    "runId",
    "parentRunId",
    "project",
    "branchId",
    "component",
    "config",
    "configRowIds",
    "status",
    "tag",
    "startTime",
    "endTime",
    "durationSeconds",
    "result",
    "stateDigest",
    "artifactLinks",
];

/// Members that say something of the queue, of who asked for the run and of what it was asked with: with each run they
/// would be told again.
const LEFT_OUT: [&str; 24] = [
    "token",
    "desiredStatus",
    "mode",
    "configData",
    "createdTime",
    "delayedStartTime",
    "usageData",
    "isFinished",
    "url",
    "branchType",
    "variableValuesId",
    "variableValuesData",
    "backend",
    "executor",
    "metrics",
    "behavior",
    "parallelism",
    "type",
    "orchestrationJobId",
    "orchestrationTaskId",
    "orchestrationPhaseId",
    "onlyOrchestrationTaskIds",
    "previousJobId",
    "outputMapping",
];

/// The members of a run's line, in their order.
const MEMBERS: [&str; 23] = [
    "runId",
    "projectId",
    "branchId",
    "componentId",
    "configId",
    "configVersion",
    "status",
    "nativeStatus",
    "startedAt",
    "finishedAt",
    "durationSeconds",
    "parentRunId",
    "rowIds",
    "inputs",
    "outputs",
    "stateDigest",
    "artifactLinks",
    "message",
    "errorType",
    "exceptionId",
    "componentTag",
    "other",
    "otherNames",
];

/// Puts the members of a line in their order.
pub(crate) fn in_order(line: Object<'_>) -> Object<'_> {
    let mut members: Vec<_> = line.into_iter().collect();
    let place = |name: &str| MEMBERS.iter().position(|member| *member == name);
    members.sort_by_key(|(name, _)| place(name).unwrap_or(MEMBERS.len()));
    members.into_iter().collect()
}

pub(super) fn render(context: &Context, id: &str, source: &Object<'_>) -> Rendered {
    let native = source.str("status").unwrap_or_default();
    let status = match native {
        "success" | "warning" => "SUCCESS",
        "error" => "FAILED",
        "cancelled" | "terminated" => "CANCELLED",
        // It is not finished; its last event will come.
        _ => return Rendered::default(),
    };
    let at = |key: &str| source.str(key).and_then(time::utc);
    let Some(finished) = at("endTime")
        .or_else(|| at("startTime"))
        .or_else(|| at("createdTime"))
    else {
        return Rendered::default();
    };
    let run = source.str("runId").filter(|run| !run.is_empty()).unwrap_or(id);
    let component = source.str("component").unwrap_or_default();
    let config = source.text("config").unwrap_or_default();
    let result = source.object("result");
    let project = source.object("project").and_then(|project| project.text("id"));

    let mut line = Object::new();
    line.set("runId", run);
    line.set("projectId", project.unwrap_or(&context.project_id));
    line.set("branchId", source.text("branchId").unwrap_or(&context.branch_id));
    line.set("componentId", component);
    line.set("configId", config);
    line.set("configVersion", version(result));
    line.set("status", status);
    line.set("nativeStatus", native);
    line.set("startedAt", at("startTime"));
    line.set("finishedAt", finished.as_str());
    line.set("durationSeconds", number(source.get("durationSeconds")));
    // A child's run id begins with its parent's.
    let parent = source.str("parentRunId").filter(|parent| !parent.is_empty());
    if let Some(parent) = parent.or_else(|| Some(run.rsplit_once('.')?.0)) {
        line.set("parentRunId", parent);
    }
    let rows = source.items("configRowIds");
    if !rows.is_empty() {
        line.set("rowIds", rows.to_vec());
    }
    line.set("inputs", tables(result, "input"));
    line.set("outputs", tables(result, "output"));
    if let Some(digest) = source.str("stateDigest") {
        line.set("stateDigest", digest);
    }
    let links = artifact_links(source, result);
    if !links.is_empty() {
        line.set("artifactLinks", links);
    }
    let message = result
        .and_then(|result| result.str("message"))
        .filter(|message| !message.is_empty());
    if let Some(message) = message {
        line.set("message", shortened(message, MESSAGE_CHARS_MAX));
    }
    let error = result.and_then(|result| result.object("error"));
    if let Some(kind) = error.and_then(|error| error.str("type")) {
        line.set("errorType", kind);
    }
    if status == "FAILED" {
        // By it Keboola's support finds the failure.
        let said = |of: Option<&Object<'_>>| of.and_then(|of| of.str("exceptionId")).map(str::to_owned);
        if let Some(exception) = said(error).or_else(|| said(result)) {
            line.set("exceptionId", exception);
        }
        if let Some(tag) = source.str("tag").filter(|tag| !tag.is_empty()) {
            line.set("componentTag", tag);
        }
    }
    // Health is told by what is known.
    let of_health = write::object_line(&line);
    set_others(&mut line, source);
    let value = write::object_line(&line);
    let shard = finished[..10].replace('-', "/");
    let mut entries = vec![Entry {
        kind: IndexKind::JobDay,
        shard,
        key: run.to_owned(),
        value,
    }];
    // A run without a stored configuration is of nobody's health.
    if !component.is_empty() && !config.is_empty() {
        let key = format!("{component}/{config}");
        entries.push(Entry {
            kind: IndexKind::JobHealth,
            shard: String::new(),
            key,
            value: of_health,
        });
    }
    Rendered {
        files: Vec::new(),
        entries,
    }
}

/// Adds the members of the answer that nobody knows, as far as there is room for them, and the names of the rest.
fn set_others<'s>(line: &mut Object<'s>, source: &Object<'s>) {
    let others = unknown::members(source, |name| TOLD.contains(&name) || LEFT_OUT.contains(&name));
    let (mut kept, mut names, mut bytes) = (Object::new(), Vec::new(), 0);
    for (name, value) in others {
        let size = name.len() + write::line(&value).len();
        if bytes + size <= OTHERS_BYTES_MAX {
            bytes += size;
            kept.set(name, value);
        } else if names.len() < NAMES_MAX {
            names.push(Json::from(shortened(&name, NAME_CHARS_MAX)));
        }
    }
    unknown::set(line, kept);
    if !names.is_empty() {
        line.set("otherNames", names);
    }
}

/// Returns the beginning of a text, with `…` where it was cut.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn version<'s>(result: Option<&'s Object<'_>>) -> Json<'s> {
    let version = result.and_then(|result| result.text("configVersion"));
    version.map_or(Json::Null, crate::settings::number)
}

fn number<'s>(value: Option<&Json<'s>>) -> Json<'s> {
    match value {
        Some(number @ Json::Number(_)) => number.clone(),
        _ => Json::Null,
    }
}

fn tables<'s>(result: Option<&'s Object<'s>>, side: &str) -> Vec<Json<'s>> {
    let tables = result
        .and_then(|result| result.object(side))
        .map(|side| side.items("tables"))
        .unwrap_or_default();
    tables
        .iter()
        .filter_map(Json::as_object)
        .filter_map(|table| {
            let columns = table.items("columns").iter();
            let name = |column: &Json<'s>| match column {
                Json::Object(column) => column.get("name").cloned(),
                Json::String(_) => Some(column.clone()),
                _ => None,
            };
            let mut line = Object::new();
            line.set("table", table.str("id").or_else(|| table.str("table"))?);
            line.set("columns", columns.filter_map(name).collect::<Vec<_>>());
            Some(Json::Object(line))
        })
        .collect()
}

/// Artifacts are named, never fetched.
fn artifact_links<'s>(source: &Object<'s>, result: Option<&Object<'s>>) -> Vec<Json<'s>> {
    let given = source
        .items("artifactLinks")
        .iter()
        .filter(|link| link.as_str().is_some())
        .cloned();
    let artifacts = result.and_then(|result| result.object("artifacts"));
    let uploaded = artifacts
        .map(|artifacts| artifacts.items("uploaded"))
        .unwrap_or_default();
    let files = uploaded
        .iter()
        .filter_map(Json::as_object)
        .filter_map(|file| file.text("storageFileId"));
    given
        .chain(files.map(|id| Json::from(format!("{STORAGE_FILE}{id}"))))
        .collect()
}
