//! What each endpoint answers, in the real shapes.

use crate::{
    change::ConfigAt,
    csv,
    encode::parse_time,
    query::{Query, invalid},
    routes::{Refusal, missing},
    state::{BranchState, State, text},
};
use sample_project::Configuration;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

type Answer = Result<Value, Refusal>;

pub(crate) fn index(state: &State, query: &Query, url: &str) -> Answer {
    query.allow(&["exclude"])?;
    let exclude = query.word("exclude", &["components", "componentDetails"])?;
    let mut index = state.index.clone();
    if let Some(services) = index["services"].as_array_mut() {
        for service in services {
            let id = text(&service["id"]);
            service["url"] = format!("{url}/{id}").into();
        }
    }
    index["components"] = match exclude {
        Some("components") => {
            index.as_object_mut().map(|index| index.remove("components"));
            return Ok(index);
        }
        Some(_) => {
            let kept = [
                "id",
                "name",
                "type",
                "ico",
                "features",
                "flags",
                "description",
                "categories",
            ];
            state
                .components
                .iter()
                .map(|component| with_only(component, &kept))
                .collect()
        }
        None => json!(state.components),
    };
    Ok(index)
}

pub(crate) fn verify(state: &State, query: &Query, token: &str) -> Answer {
    query.allow(&[])?;
    let mut answer = state.token_verify.clone();
    if answer.is_null() {
        answer = json!({
            "id": "1", "description": "mirror", "isMasterToken": true, "canManageBuckets": true, "expires": null,
            "isExpired": false, "isDisabled": false, "owner": {"id": state.project_id, "name": "Fake", "features": []},
        });
    }
    // The real one repeats the token, a trap for whoever keeps the answer.
    answer["token"] = token.into();
    Ok(answer)
}

pub(crate) fn component(state: &State, query: &Query, id: &str) -> Answer {
    query.allow(&[])?;
    let found = state.components.iter().find(|component| component["id"] == *id);
    found
        .cloned()
        .ok_or_else(|| missing("storage.components.notFound", "Component", id))
}

pub(crate) fn branches(state: &State, query: &Query) -> Answer {
    query.allow(&[])?;
    Ok(state
        .branches
        .iter()
        .map(|branch| branch.branch.detail.clone())
        .collect())
}

pub(crate) fn branch_detail(state: &State, query: &Query, id: &str) -> Answer {
    query.allow(&[])?;
    branch(state, id).map(|branch| branch.branch.detail.clone())
}

fn branch<'s>(state: &'s State, id: &str) -> Result<&'s BranchState, Refusal> {
    state
        .branch(id)
        .ok_or_else(|| missing("storage.devBranch.notFound", "Branch", id))
}

/// Returns the configurations of a branch as they are visible to this read, which counts.
fn visible(state: &mut State, branch_id: &str) -> Result<Vec<Configuration>, Refusal> {
    let found = branch(state, branch_id)?;
    let id = found.id();
    let mut configurations = found.branch.configurations.clone();
    for (at, late) in state
        .late
        .iter_mut()
        .filter(|(at, late)| at.branch == id && late.reads_left > 0)
    {
        late.reads_left -= 1;
        let place = configurations
            .iter()
            .position(|found| found.component_id == at.component && found.id() == at.config);
        match (place, late.before.clone()) {
            (Some(place), Some(before)) => configurations[place] = before,
            (Some(place), None) => {
                configurations.remove(place);
            }
            (None, Some(before)) => {
                let place = configurations.partition_point(|other| other.component_id <= at.component);
                configurations.insert(place, before);
            }
            (None, None) => {}
        }
    }
    Ok(configurations)
}

fn visible_one<'s>(state: &'s mut State, at: &ConfigAt) -> Result<Cow<'s, Configuration>, Refusal> {
    let gone = || missing("storage.configuration.notFound", "Configuration", &at.config);
    let resolved = ConfigAt {
        branch: branch(state, &at.branch)?.id(),
        ..at.clone()
    };
    if let Some(late) = state.late.get_mut(&resolved).filter(|late| late.reads_left > 0) {
        late.reads_left -= 1;
        return late.before.clone().map(Cow::Owned).ok_or_else(gone);
    }
    state.configuration(at).map(Cow::Borrowed).map_err(|_| gone())
}

pub(crate) fn components(state: &mut State, query: &Query, branch_id: &str) -> Answer {
    query.allow(&["include", "isDeleted", "componentType"])?;
    let include = query.include(&["configuration", "rows", "state"])?;
    let kind = query.get("componentType");
    let configurations = match query.word("isDeleted", &["true", "false"])? {
        Some("true") => branch(state, branch_id)?.trash.clone(),
        _ => visible(state, branch_id)?,
    };
    let mut answer: Vec<Value> = Vec::new();
    for configuration in &configurations {
        let id = &configuration.component_id;
        let detail = listed(&configuration.detail, &include);
        if let Some(component) = answer.iter_mut().find(|component| component["id"] == **id) {
            if let Some(list) = component["configurations"].as_array_mut() {
                list.push(detail);
            }
            continue;
        }
        let definition = state
            .components
            .iter()
            .find(|definition| definition["id"] == **id);
        let mut component = definition
            .cloned()
            .unwrap_or_else(|| json!({"id": id, "type": "other", "name": id}));
        if kind.is_some_and(|kind| component["type"] != *kind) {
            continue;
        }
        component["configurations"] = json!([detail]);
        answer.push(component);
    }
    Ok(answer.into())
}

/// Leaves out of a configuration what a list does not show unless asked.
fn listed(detail: &Value, include: &[&str]) -> Value {
    let hidden = |key: &str| matches!(key, "configuration" | "rows" | "state") && !include.contains(&key);
    let order = |key: &str| key == "rowsSortOrder" && !include.contains(&"rows");
    let members = detail.as_object().into_iter().flatten();
    members
        .filter(|(key, _)| !hidden(key) && !order(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

pub(crate) fn configurations(state: &mut State, query: &Query, branch_id: &str, component: &str) -> Answer {
    query.allow(&["isDeleted"])?;
    let found = match query.word("isDeleted", &["true", "false"])? {
        Some("true") => branch(state, branch_id)?.trash.clone(),
        _ => visible(state, branch_id)?,
    };
    Ok(found
        .into_iter()
        .filter(|found| found.component_id == component)
        .map(|found| found.detail)
        .collect())
}

/// What of a configuration is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'p> {
    Detail,
    Rows,
    Row(&'p str),
    Versions,
    Version(&'p str),
    Metadata,
}

pub(crate) fn configuration(state: &mut State, query: &Query, at: &ConfigAt, part: Part<'_>) -> Answer {
    let allowed: &[&str] = if matches!(part, Part::Versions) {
        &["include", "limit", "offset"]
    } else {
        &[]
    };
    query.allow(allowed)?;
    let found = visible_one(state, at)?;
    match part {
        Part::Detail => Ok(found.detail.clone()),
        Part::Rows => Ok(found.detail["rows"].clone()),
        Part::Row(row) => {
            let row_found = crate::state::row_of(&found, row);
            row_found
                .cloned()
                .ok_or_else(|| missing("storage.configuration.rowNotFound", "Row", row))
        }
        Part::Versions => {
            query.include(&["name", "description", "configuration"])?;
            let (limit, offset) = (
                query.number("limit", 100, 1000)?,
                query.number("offset", 0, usize::MAX)?,
            );
            Ok(found
                .versions
                .iter()
                .skip(offset)
                .take(limit)
                .map(|version| version.item.clone())
                .collect())
        }
        Part::Version(number) => {
            let version = found
                .versions
                .iter()
                .find(|version| version.number().to_string() == number);
            let detail = version.and_then(sample_project::VersionEntry::detail);
            detail.ok_or_else(|| missing("storage.configuration.versionNotFound", "Version", number))
        }
        Part::Metadata => Ok(json!(found.metadata)),
    }
}

pub(crate) fn branch_metadata(state: &State, query: &Query, id: &str) -> Answer {
    query.allow(&[])?;
    branch(state, id).map(|branch| json!(branch.branch.metadata))
}

pub(crate) fn metadata_search(state: &State, query: &Query, id: &str) -> Answer {
    query.allow(&["include", "componentId", "configurationId", "metadataKeys[]"])?;
    let include = query.include(&["filteredMetadata"])?;
    let mut answer = branch(state, id)?.branch.metadata_search_answer();
    let wanted = |item: &Value| {
        let same = |name: &str, key: &str| query.get(name).is_none_or(|id| item[key] == *id);
        same("componentId", "idComponent") && same("configurationId", "configurationId")
    };
    answer.retain(wanted);
    let keys: Vec<&str> = query.all("metadataKeys[]").collect();
    for item in &mut answer {
        if include.is_empty() {
            item.as_object_mut().map(|item| item.remove("metadata"));
        } else if let Some(metadata) = item["metadata"].as_array_mut() {
            metadata.retain(|entry| keys.is_empty() || keys.contains(&&*text(&entry["key"])));
        }
    }
    Ok(answer.into())
}

/// Buckets and tables are the default branch's; a dev branch has none of its own.
fn storage<'s>(state: &State, branch_id: &str, items: &'s [Value]) -> Result<&'s [Value], Refusal> {
    Ok(if branch(state, branch_id)?.branch.is_default() {
        items
    } else {
        &[]
    })
}

pub(crate) fn buckets(state: &State, query: &Query, branch_id: &str) -> Answer {
    query.allow(&["include"])?;
    let include = query.include(&["metadata", "linkedBuckets"])?;
    let buckets = storage(state, branch_id, &state.buckets)?.iter();
    let hidden = |key: &str| key == "metadata" && !include.contains(&"metadata");
    Ok(buckets.map(|bucket| without(bucket, hidden)).collect())
}

pub(crate) fn tables(state: &State, query: &Query, branch_id: &str) -> Answer {
    query.allow(&["include"])?;
    let include = query.include(&["buckets", "columns", "metadata", "columnMetadata"])?;
    let tables = storage(state, branch_id, &state.tables)?.iter();
    let hidden = |key: &str| {
        let needs = if key == "bucket" { "buckets" } else { key };
        // What a typed table is made of stands in its detail only, and a test may have more that does.
        matches!(key, "bucket" | "columns" | "metadata" | "columnMetadata") && !include.contains(&needs)
            || key == "definition"
            || key.starts_with("detail")
    };
    Ok(tables.map(|table| without(table, hidden)).collect())
}

fn table<'s>(state: &'s State, branch_id: &str, id: &str) -> Result<&'s Value, Refusal> {
    let found = storage(state, branch_id, &state.tables)?
        .iter()
        .find(|table| table["id"] == *id);
    found.ok_or_else(|| missing("storage.tables.notFound", "Table", id))
}

pub(crate) fn table_detail(state: &State, query: &Query, branch_id: &str, id: &str) -> Answer {
    query.allow(&[])?;
    table(state, branch_id, id).cloned()
}

/// Returns CSV text.
pub(crate) fn preview(
    state: &State,
    query: &Query,
    branch_id: &str,
    id: &str,
    columns_max: usize,
) -> Result<String, Refusal> {
    query.allow(&["limit", "columns", "format", "orderBy[*"])?;
    query
        .word("format", &["rfc"])?
        .ok_or_else(|| invalid("only format `rfc` is served"))?;
    let limit = query.number("limit", 100, 1000)?;
    let table = table(state, branch_id, id)?;
    let all = strings(&table["columns"]);
    let columns: Vec<String> = match query.get("columns") {
        Some(list) => list.split(',').map(str::to_owned).collect(),
        None => Vec::new(),
    };
    let asked = if columns.is_empty() {
        all.len()
    } else {
        columns.len()
    };
    if asked > columns_max {
        return Err(invalid(&format!("a preview has at most {columns_max} columns")));
    }
    let mut order_by = Vec::new();
    while let Some(column) = query.get(&format!("orderBy[{}][column]", order_by.len())) {
        order_by.push(column.to_owned());
    }
    let header: Vec<&str> = all.iter().map(String::as_str).collect();
    let text = state
        .previews
        .get(id)
        .cloned()
        .unwrap_or_else(|| csv::write(&header));
    csv::select(&text, &columns, &order_by, limit)
        .map_err(|column| invalid(&format!("there is no column `{column}`")))
}

pub(crate) fn events(state: &State, query: &Query, branch_id: &str) -> Answer {
    query.allow(&[
        "sinceId",
        "maxId",
        "component",
        "configurationId",
        "runId",
        "sortOrder",
        "limit",
        "offset",
        "q",
    ])?;
    let branch = branch(state, branch_id)?;
    let (limit, offset) = (
        query.number("limit", 100, 10_000)?,
        query.number("offset", 0, usize::MAX)?,
    );
    let ascending = query.word("sortOrder", &["asc", "desc"])? == Some("asc");
    let event = match query.get("q") {
        None => "*",
        Some(q) => q
            .strip_prefix("event:")
            .ok_or_else(|| invalid("only `event:` is understood in `q`"))?,
    };
    let (id, is_default) = (branch.id(), branch.branch.is_default());
    let of_branch = |event: &Value| match text(&event["idBranch"]) {
        none if none.is_empty() => is_default,
        found => found == id,
    };
    // A master token sees all events, any other one its own.
    let is_master = state.token_verify["isMasterToken"] == true;
    let own = text(&state.token_verify["id"]);
    let wanted = |found: &&Value| {
        let name = text(&found["event"]);
        let may_see = is_master || text(&found["token"]["id"]) == own;
        let named = event
            .strip_suffix('*')
            .map_or(name == event, |start| name.starts_with(start));
        let uuid = text(&found["uuid"]);
        let same = |key: &str| query.get(key).is_none_or(|value| text(&found[key]) == value);
        named
            && may_see
            && of_branch(found)
            && query.get("sinceId").is_none_or(|since| *uuid > *since)
            && query.get("maxId").is_none_or(|max| *uuid < *max)
            && same("component")
            && same("configurationId")
            && same("runId")
    };
    let mut found: Vec<&Value> = state.events.iter().filter(wanted).collect();
    found.sort_by_key(|event| text(&event["uuid"]));
    if !ascending {
        found.reverse();
    }
    Ok(found.into_iter().skip(offset).take(limit).cloned().collect())
}

pub(crate) fn job(state: &State, query: &Query, id: &str) -> Answer {
    query.allow(&[])?;
    let found = state.jobs.iter().find(|job| text(&job["id"]) == id);
    found.cloned().ok_or_else(|| missing("404", "Job", id))
}

/// Filters of the job search that take a list, and the member each looks at.
const JOB_LISTS: [(&str, &str); 6] = [
    ("id[]", "id"),
    ("runId[]", "runId"),
    ("branchId[]", "branchId"),
    ("component[]", "component"),
    ("configId[]", "config"),
    ("status[]", "status"),
];

/// Filters that take a time, the member each looks at, and whether it is a lower limit.
const JOB_TIMES: [(&str, &str, bool); 6] = [
    ("createdTimeFrom", "createdTime", true),
    ("createdTimeTo", "createdTime", false),
    ("startTimeFrom", "startTime", true),
    ("startTimeTo", "startTime", false),
    ("endTimeFrom", "endTime", true),
    ("endTimeTo", "endTime", false),
];

pub(crate) fn search_jobs(state: &State, query: &Query) -> Answer {
    let names = JOB_LISTS
        .map(|(name, _)| name)
        .into_iter()
        .chain(JOB_TIMES.map(|(name, _, _)| name));
    query.allow(
        &names
            .chain(["sortBy", "sortOrder", "limit", "offset"])
            .collect::<Vec<_>>(),
    )?;
    let (limit, offset) = (
        query.number("limit", 100, 500)?,
        query.number("offset", 0, usize::MAX)?,
    );
    let sort = query
        .word("sortBy", &["createdTime", "startTime", "endTime", "id"])?
        .unwrap_or("id");
    let ascending = query.word("sortOrder", &["asc", "desc"])? == Some("asc");
    let mut found: Vec<&Value> = state.jobs.iter().collect();
    for (name, member) in JOB_LISTS {
        let wanted: Vec<&str> = query.all(name).collect();
        found.retain(|job| wanted.is_empty() || wanted.contains(&&*text(&job[member])));
    }
    for (name, member, is_lower) in JOB_TIMES {
        let Some(raw) = query.get(name) else { continue };
        let limit = parse_time(raw).ok_or_else(|| invalid(&format!("parameter `{name}` is not a time")))?;
        found.retain(|job| {
            parse_time(&text(&job[member]))
                .is_some_and(|time| if is_lower { time >= limit } else { time <= limit })
        });
    }
    let key = |job: &&Value| {
        (
            parse_time(&text(&job[sort])),
            text(&job["id"]).parse::<u64>().unwrap_or(0),
        )
    };
    found.sort_by_key(key);
    if !ascending {
        found.reverse();
    }
    Ok(found.into_iter().skip(offset).take(limit).cloned().collect())
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn with_only(value: &Value, kept: &[&str]) -> Value {
    without(value, |key| !kept.contains(&key))
}

fn without(value: &Value, hidden: impl Fn(&str) -> bool) -> Value {
    let members = value.as_object().into_iter().flatten();
    let kept = members
        .filter(|(key, _)| !hidden(key))
        .map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(kept.collect::<Map<_, _>>())
}
