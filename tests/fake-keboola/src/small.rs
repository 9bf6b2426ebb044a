//! A project of a few objects, each there for a reason; realistic ones come from `sample-project`.

use sample_project::{Branch, Configuration, Project, VersionEntry};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const CREATED: &str = "2026-01-05T09:00:00+0100";

/// Returns a project with one branch (`5`), an extractor `keboola.ex-shop/orders` of two versions
/// and two rows, a transformation `keboola.snowflake-transformation/clean` with one version, one
/// metadata entry, the bucket `in.c-shop` with a narrow table `orders` and a table `wide` of forty
/// columns, and two finished jobs.
#[must_use]
pub fn small_project() -> Project {
    let components = vec![
        component(
            "keboola.ex-shop",
            "extractor",
            json!([]),
            json!({"default_bucket": true, "default_bucket_stage": "in"}),
        ),
        component("keboola.flow", "other", json!([]), json!([])),
        component(
            "keboola.snowflake-transformation",
            "transformation",
            json!(["genericCodeBlocksUI"]),
            json!([]),
        ),
    ];
    let orders = configuration(
        "keboola.ex-shop",
        "orders",
        json!({"parameters": {"z": 1.5, "#token": "KBC::ProjectSecure::eJwB", "a": {"b": [1, 2]}}}),
        &[row("first", "Orders of today"), row("second", "")],
        2,
    );
    let mut clean = configuration(
        "keboola.snowflake-transformation",
        "clean",
        json!({"parameters": {"blocks": [{"name": "Main", "codes": [{"name": "Clean", "script": ["SELECT 1;"]}]}]}}),
        &[],
        1,
    );
    clean.metadata = vec![metadata("11", "KBC.configuration.folderName", "Cleaning")];
    let branch = Branch {
        detail: json!({
            "id": 5, "name": "Main", "description": "Production", "created": CREATED, "isDefault": true, "creatorToken": [],
        }),
        configurations: vec![orders, clean],
        metadata: vec![metadata("10", "KBC.projectDescription", "A small project")],
    };
    Project {
        project_id: 123,
        stack_host: "connection.keboola.local".into(),
        options: json!({}),
        token_verify: token_verify(),
        index: json!({
            "host": "fake", "api": "storage", "version": "v2", "components": components,
            "services": [{"id": "queue", "url": "https://queue.keboola.local"}], "features": [],
        }),
        components,
        branches: vec![branch],
        buckets: vec![bucket()],
        tables: vec![table("orders", &["id", "name"]), table("wide", &wide_columns())],
        previews: BTreeMap::from([(
            "in.c-shop.orders".into(),
            "\"id\",\"name\"\n\"2\",\"Milk, 1 l\"\n\"1\",\"Bread\"\n".into(),
        )]),
        jobs: vec![
            job(902, "error", "2026-01-06T10:05:00+00:00"),
            job(901, "success", "2026-01-06T09:05:00+00:00"),
        ],
        events: Vec::new(),
        planted: Vec::new(),
    }
}

fn token_verify() -> Value {
    json!({
        "id": "27978", "created": CREATED, "description": "anna@example.com", "isMasterToken": true,
        "canManageBuckets": true, "expires": null, "isExpired": false, "isDisabled": false,
        "bucketPermissions": [], "componentAccess": [],
        "owner": {"id": 123, "name": "Small project", "type": "production", "features": ["queuev2"]},
        "organization": {"id": "77"},
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better without a reference"
)]
fn component(id: &str, kind: &str, flags: Value, data: Value) -> Value {
    json!({"id": id, "type": kind, "name": id.rsplit('.').next(), "flags": flags, "data": data, "features": []})
}

fn metadata(id: &str, key: &str, value: &str) -> Value {
    json!({"id": id, "key": key, "value": value, "provider": "user", "timestamp": "2026-01-05 08:00:00"})
}

fn row(id: &str, name: &str) -> Value {
    json!({
        "id": id, "name": name, "description": "", "isDisabled": false, "configuration": {"parameters": {"table": id}},
        "state": {"#refresh": "never mirrored"}, "version": 1, "created": CREATED,
        "creatorToken": {"id": 27978, "description": "anna@example.com"}, "changeDescription": null,
        "versionIdentifier": "01KE6PMK60000000000000000R",
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better without a reference"
)]
fn configuration(
    component: &str,
    id: &str,
    configuration: Value,
    rows: &[Value],
    version: u64,
) -> Configuration {
    let author =
        |version: u64| json!({"id": 27977 + version, "description": format!("author-{version}@example.com")});
    let said = |version: u64| {
        if version == 1 {
            "Configuration created"
        } else {
            "Row second added"
        }
    };
    let created = |version: u64| format!("2026-01-0{}T09:00:00+0100", 4 + version);
    let identifier = |version: u64| {
        format!(
            "01KE6PMK6000000000000000{}{version}",
            if id == "clean" { "C" } else { "R" }
        )
    };
    let detail = json!({
        "id": id, "name": format!("The {id}"), "description": "", "created": CREATED, "creatorToken": author(1),
        "version": version, "changeDescription": said(version), "isDisabled": false, "isDeleted": false,
        "configuration": configuration, "rowsSortOrder": [], "rows": rows, "state": {"#refresh": "never mirrored"},
        "currentVersion": {
            "created": created(version), "creatorToken": author(version), "changeDescription": said(version),
            "versionIdentifier": identifier(version),
        },
    });
    let entry = |number: u64| {
        let rows = if number == version {
            rows
        } else {
            &rows[..rows.len().min(1)]
        };
        VersionEntry {
            item: json!({
                "version": number, "created": created(number), "versionIdentifier": identifier(number),
                "creatorToken": author(number), "changeDescription": said(number), "isDeleted": false,
                "name": format!("The {id}"), "description": "",
            }),
            content: Some(Arc::new(json!({
                "isDisabled": false, "configuration": configuration, "rowsSortOrder": [], "rows": rows,
            }))),
        }
    };
    let versions = (1..=version).rev().map(entry).collect();
    Configuration {
        component_id: component.into(),
        detail,
        versions,
        metadata: Vec::new(),
    }
}

fn bucket() -> Value {
    json!({
        "id": "in.c-shop", "name": "c-shop", "displayName": "shop", "idBranch": 5, "stage": "in", "description": "",
        "created": CREATED, "lastChangeDate": CREATED, "backend": "snowflake", "isReadOnly": false, "sharing": null,
        "dataSizeBytes": 1024, "rowsCount": 2, "metadata": [],
    })
}

fn table(name: &str, columns: &[&str]) -> Value {
    json!({
        "id": format!("in.c-shop.{name}"), "name": name, "displayName": name, "primaryKey": [columns[0]],
        "columns": columns, "isAlias": false, "isTyped": false, "created": CREATED, "lastImportDate": CREATED,
        "lastChangeDate": CREATED, "rowsCount": 2, "dataSizeBytes": 1024, "metadata": [], "columnMetadata": [],
        "bucket": {"id": "in.c-shop", "stage": "in"},
    })
}

fn wide_columns() -> Vec<&'static str> {
    const NAMES: &str = "c00 c01 c02 c03 c04 c05 c06 c07 c08 c09 c10 c11 c12 c13 c14 c15 c16 c17 c18 c19 \
                         c20 c21 c22 c23 c24 c25 c26 c27 c28 c29 c30 c31 c32 c33 c34 c35 c36 c37 c38 c39";
    NAMES.split(' ').collect()
}

fn job(id: u64, status: &str, ended: &str) -> Value {
    json!({
        "id": id.to_string(), "runId": id.to_string(), "parentRunId": "", "project": {"id": "123", "name": "Small project"},
        "token": {"id": "27978", "description": "anna@example.com"}, "status": status, "desiredStatus": "processing",
        "mode": "run", "component": "keboola.ex-shop", "config": "orders", "configData": [], "configRowIds": [],
        "createdTime": "2026-01-06T09:00:00+00:00", "startTime": "2026-01-06T09:00:01+00:00", "endTime": ended,
        "durationSeconds": 299, "result": {"message": "done", "configVersion": "2"}, "isFinished": true,
        "branchId": "5", "branchType": "default", "metrics": [], "type": "standard",
    })
}
