//! Whatever the API says of a table, bucket or run is in its file or line, or on the list of what is left out on purpose.

use anyhow::{Context as _, Result, ensure};
use layout_renderer::{Context, Entry, IndexKind, Object, ObjectKey, gather, render};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs, path::Path};

const SETTINGS: &str = r#"{"branchPath": "main", "tree": "lane"}"#;

/// Changes with every load.
const OF_LOADS: [&str; 5] = [
    "rowsCount",
    "dataSizeBytes",
    "lastImportDate",
    "lastChangeDate",
    "updated",
];
/// Addresses in the API, made of the id.
const ADDRESSES: [&str; 2] = ["uri", "tables"];
/// Follows from other members: the mirror's branch, the rights of the token, what a `columnMetadata` is of.
const FOLLOWS: [&str; 4] = ["idBranch", "isAliasable", "columnMetadata", "definition"];
/// Where Keboola puts it in its backend, which nobody chose but of a bucket with an external schema.
const PLACES: [&str; 3] = ["path", "databaseName", "backendPath"];

/// Members of one object that its file does not tell.
fn missing(source: &Value, file: &Value) -> Vec<String> {
    let of_source = source.as_object().expect("an object");
    let is_external = source["hasExternalSchema"] == true;
    let mut missing = Vec::new();
    for (member, value) in of_source {
        let member = member.as_str();
        let is_left_out = OF_LOADS.contains(&member)
            || ADDRESSES.contains(&member)
            || FOLLOWS.contains(&member)
            || PLACES.contains(&member) && !is_external;
        let is_kept = is_left_out
            || match member {
                "metadata" => keeps_metadata(value, file),
                "columns" => {
                    let names = file["columns"].as_array().into_iter().flatten();
                    json!(names.map(|column| &column["name"]).collect::<Vec<_>>()) == *value
                }
                "bucket" => file[member] == value["id"],
                "created" => instant(&file[member]) == instant(value),
                _ => [file, &file["sharding"], &file["other"]]
                    .iter()
                    .any(|told| keeps(value, &told[member])),
            };
        if !is_kept {
            missing.push(format!("{}: {member} = {value}", source["id"]));
        }
    }
    for (column, metadata) in source["columnMetadata"].as_object().into_iter().flatten() {
        let mut columns = file["columns"].as_array().into_iter().flatten();
        let found = columns.find(|found| found["name"] == json!(column));
        if !found.is_some_and(|found| keeps_metadata(metadata, found)) {
            missing.push(format!("{}: metadata of {column} = {metadata}", source["id"]));
        }
    }
    let typed = source["definition"]["columns"].as_array().into_iter().flatten();
    for column in typed {
        let mut columns = file["columns"].as_array().into_iter().flatten();
        let found = columns
            .find(|found| found["name"] == column["name"])
            .unwrap_or(&Value::Null);
        let members = column["definition"].as_object().cloned().unwrap_or_default();
        let members = members
            .into_iter()
            .chain([("basetype".to_owned(), column["basetype"].clone())]);
        for (member, value) in members.filter(|(member, value)| !keeps(value, &found[member])) {
            missing.push(format!(
                "{}: {member} of {} = {value}",
                source["id"], column["name"]
            ));
        }
    }
    missing
}

/// Whether a file has a value, or says nothing where that says nothing.
fn keeps(value: &Value, kept: &Value) -> bool {
    let is_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    match (value, kept) {
        // Of others (a project, an owner) it names what they are known by.
        (Value::Object(_), Value::Object(kept)) => kept.iter().all(|(name, kept)| keeps(&value[name], kept)),
        (Value::Array(items), Value::Array(kept)) => {
            items.len() == kept.len() && items.iter().zip(kept).all(|(item, kept)| keeps(item, kept))
        }
        _ => value == kept || is_nothing(value) && is_nothing(kept),
    }
}

fn instant(value: &Value) -> Option<jiff::Timestamp> {
    let text = value.as_str()?;
    let with_offset = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", text);
    with_offset
        .and_then(|time| time.to_timestamp())
        .ok()
        .or_else(|| text.parse().ok())
}

/// Whether every value that was given to a key stands somewhere in what is told.
fn keeps_metadata(metadata: &Value, told: &Value) -> bool {
    let mut values: Vec<&Value> = ["metadata", "createdBy"]
        .iter()
        .filter_map(|member| told[member].as_object())
        .flat_map(Map::values)
        .collect();
    values.extend(told.as_object().into_iter().flat_map(Map::values));
    let superseded = told["supersededMetadata"].as_array().into_iter().flatten();
    values.extend(superseded.map(|other| &other["value"]));
    let given = metadata.as_array().into_iter().flatten();
    let mut given = given.filter(|given| {
        let key = given["key"].as_str().unwrap_or_default();
        !key.starts_with("KBC.lastUpdatedBy.")
    });
    given.all(|given| {
        // A flag is one, whichever way it was written.
        let flag = Value::Bool(matches!(given["value"].as_str(), Some("1" | "true")));
        let is_flag = given["key"] == "KBC.datatype.nullable";
        values.contains(&&given["value"]) || is_flag && told["nullable"] == flag
    })
}

fn context() -> Context {
    Context {
        stack: "connection.example.com".into(),
        project_id: "1".into(),
        branch_id: "5".into(),
    }
}

/// Renders one object.
fn entries(key: ObjectKey, source: &Value) -> Result<Vec<Entry>> {
    let object = Object {
        key,
        component: None,
        source: source.to_string(),
        metadata: Vec::new(),
    };
    let placed = layout_renderer::PlacedObject {
        object,
        path: None,
        parent: None,
        claimed_by: Vec::new(),
        references: Vec::new(),
    };
    Ok(render(&context(), SETTINGS, &[placed])?.remove(0).entries)
}

/// Makes the file of a table or bucket.
fn file(key: ObjectKey, source: &Value) -> Result<Value> {
    let name = key.to_string();
    let entries = entries(key, source)?;
    let mut shards: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in entries
        .into_iter()
        .filter(|entry| entry.kind == IndexKind::Lineage)
    {
        shards.entry(entry.shard.clone()).or_default().push(entry);
    }
    for (shard, entries) in shards {
        let files = gather(&context(), SETTINGS, IndexKind::Lineage, &shard, &entries)?.files;
        if let Some(file) = files.first() {
            return Ok(serde_json::from_str(&file.content)?);
        }
    }
    anyhow::bail!("{name} has no file")
}

fn check(tables: &[Value], buckets: &[Value]) -> Result<()> {
    ensure!(
        !tables.is_empty() && !buckets.is_empty(),
        "there is nothing to look at"
    );
    let mut lost = Vec::new();
    for (sources, key) in [
        (tables, ObjectKey::Table as fn(String) -> ObjectKey),
        (buckets, ObjectKey::Bucket),
    ] {
        for source in sources {
            let id = source["id"].as_str().context("an id")?.to_owned();
            lost.extend(missing(source, &file(key(id), source)?));
        }
    }
    ensure!(lost.is_empty(), "{}", lost.join("\n"));
    Ok(())
}

#[test]
fn tables_and_buckets_of_the_generated_project_are_all_there() -> Result<()> {
    let project = sample_project::generate(&sample_project::Shape::default());
    check(&project.tables, &project.buckets)
}

#[test]
fn tables_and_buckets_of_a_project_from_outside_are_all_there() -> Result<()> {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/sample-project/api");
    if !api.is_dir() {
        return Ok(());
    }
    let read = |name: &str| -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&fs::read_to_string(api.join(name))?)?)
    };
    check(&read("tables.json")?, &read("buckets.json")?)
}

/// Members of a run, and by which ones of its line they are told.
const OF_RUNS: [(&str, &str); 14] = [
    ("id", "runId"),
    ("runId", "runId"),
    ("parentRunId", "parentRunId"),
    ("project", "projectId"),
    ("status", "nativeStatus"),
    ("component", "componentId"),
    ("config", "configId"),
    ("configRowIds", "rowIds"),
    ("tag", "componentTag"),
    ("startTime", "startedAt"),
    ("endTime", "finishedAt"),
    ("durationSeconds", "durationSeconds"),
    ("branchId", "branchId"),
    ("result", "message"),
];

/// What a run says of the queue, of who asked for it and of what it was asked with: with each run it would be told
/// again, and the history of runs has a budget.
const ASKED_WITH: [&str; 24] = [
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

/// Members of a run that its line does not tell.
fn untold(run: &Value) -> Result<Vec<String>> {
    let id = run["id"]
        .as_str()
        .map_or_else(|| run["id"].to_string(), str::to_owned);
    let entries = entries(ObjectKey::Job(id), run)?;
    let of_day = entries.iter().find(|entry| entry.kind == IndexKind::JobDay);
    let Some(of_day) = of_day else {
        // It goes on.
        return Ok(Vec::new());
    };
    let line: Value = serde_json::from_str(&of_day.value)?;
    let is_untold = |member: &str, value: &Value| {
        let nothing = [json!(null), json!(""), json!([]), json!({})];
        if nothing.contains(value) || ASKED_WITH.contains(&member) {
            return false;
        }
        let told = OF_RUNS.iter().find(|(known, _)| *known == member);
        let told = told.map_or(&Value::Null, |(_, told)| &line[*told]);
        match member {
            // Only of failures.
            "tag" => line["status"] == "FAILED" && told != value,
            "startTime" | "endTime" => instant(told) != instant(value),
            "result" => value["message"]
                .as_str()
                .is_some_and(|said| !said.is_empty() && told.is_null()),
            _ => told.is_null(),
        }
    };
    let members = run.as_object().into_iter().flatten();
    let lost = members
        .filter(|(member, value)| line["other"][member.as_str()] != **value && is_untold(member, value));
    Ok(lost
        .map(|(member, value)| format!("{}: {member} = {value}", run["id"]))
        .collect())
}

#[test]
fn runs_tell_all_but_how_they_were_asked_for() -> Result<()> {
    let project = sample_project::generate(&sample_project::Shape::default());
    for run in &project.jobs {
        assert_eq!(untold(run)?, Vec::<String>::new());
    }
    let failed = project.jobs.iter().find(|run| run["status"] == "error");
    let mut more = failed.context("no run failed")?.clone();
    more["newMember"] = json!({"b": [1], "a": "x"});
    assert_eq!(untold(&more)?, Vec::<String>::new());
    // The history of runs has a budget: of what is too long its name is told.
    more["longMember"] = json!("x".repeat(2_000));
    assert_eq!(untold(&more)?.len(), 1);
    Ok(())
}

/// The tests above can fail, and figures and addresses are all that may go.
#[test]
fn what_a_file_does_not_tell_is_missed() -> Result<()> {
    let table = json!({
        "id": "in.c-main.t", "name": "t", "displayName": "T", "uri": "https://x", "rowsCount": 3, "primaryKey": ["id"],
        "isAlias": false, "isTyped": true, "distributionKey": ["id"], "transactional": true, "columns": ["id"],
        "created": "2026-01-05T09:00:00+0100", "bucket": {"id": "in.c-main"},
        "metadata": [
            {"key": "k", "value": "of the user", "provider": "user", "timestamp": "2026-01-05T09:00:00+0100"},
            {"key": "k", "value": "of a component", "provider": "acme.ex", "timestamp": "2026-01-06T09:00:00+0100"},
            {"key": "KBC.lastUpdatedBy.component.id", "value": "acme.ex", "provider": "system"},
        ],
        "columnMetadata": {"id": [{"key": "KBC.datatype.nullable", "value": "1", "provider": "acme.ex"}]},
    });
    let shown = file(ObjectKey::Table("in.c-main.t".into()), &table)?;
    assert_eq!(missing(&table, &shown), Vec::<String>::new());
    assert_eq!(
        shown["supersededMetadata"],
        json!([{"key": "k", "provider": "acme.ex", "value": "of a component"}])
    );
    let members = shown.as_object().expect("an object");
    for member in [
        "displayName",
        "primaryKey",
        "sharding",
        "columns",
        "created",
        "bucket",
        "metadata",
        "supersededMetadata",
    ] {
        let mut less = members.clone();
        less.remove(member);
        assert!(
            !missing(&table, &Value::Object(less)).is_empty(),
            "{member} is not missed"
        );
    }
    // A member that nobody knows is kept as it is, of a typed table.
    let mut more = table.clone();
    more["newMember"] = json!({"b": [1, {"a": 2}], "a": 1.5, "c": null});
    assert_eq!(missing(&more, &shown).len(), 1);
    let shown = file(ObjectKey::Table("in.c-main.t".into()), &more)?;
    assert_eq!(missing(&more, &shown), Vec::<String>::new());
    Ok(())
}
