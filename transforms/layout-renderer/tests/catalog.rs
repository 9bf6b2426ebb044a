//! Golden cases of the catalog, of lineage, and of who reads and writes a table.

mod project;

use expect_test::{Expect, expect};
use layout_renderer::{Component, Entry, File, IndexKind, LayoutError, Object, ObjectKey, gather, render};
use project::{context, object, place, shards, show, split, tree};

const SETTINGS: &str = r#"{"branchPath": "main", "defaultBranchId": "11"}"#;
const KINDS: [IndexKind; 2] = [IndexKind::Catalog, IndexKind::Lineage];

fn entries(settings: &str, objects: &[Object]) -> Vec<Entry> {
    let placed = place(settings, objects);
    let (_, mut entries) = split(render(&context(), settings, &placed).expect("the sources are JSON"));
    entries.retain(|entry| KINDS.contains(&entry.kind));
    entries
}

fn files(settings: &str, objects: &[Object]) -> Vec<File> {
    shards(settings, &KINDS, &entries(settings, objects))
}

fn objects(sources: &[(&str, &str)]) -> Vec<Object> {
    sources.iter().map(|(key, source)| object(key, source)).collect()
}

/// Compares the edges of all components and buckets, without their frame.
#[track_caller]
fn edges(sources: &[(&str, &str)], expected: &Expect) {
    let files = files(SETTINGS, &objects(sources));
    let lines = files.iter().filter(|file| file.path.starts_with("ai/lineage/"));
    let text: String = lines.map(|file| file.content.as_str()).collect();
    expected.assert_eq(&text);
}

/// An extractor that writes, a transformation in between, a flow over both, and a table of another project.
fn shop() -> Vec<Object> {
    objects(&[
        (
            "keboola.ex-db/1",
            r#"{"name": "Shop", "configuration": {"storage": {"output": {"tables": [{"destination": "in.c-shop.orders"}]}}}}"#,
        ),
        (
            "keboola.ex-db/1/r",
            r#"{"name": "Orders", "isDisabled": true, "configuration": {}}"#,
        ),
        (
            "keboola.snowflake-transformation/2",
            r#"{"name": "Model", "configuration": {"storage": {
            "input": {"tables": [{"source": "in.c-shop.orders"}, {"source": "in.c-linked.rates"}]},
            "output": {"tables": [{"destination": "out.c-model.sales"}]}}}}"#,
        ),
        (
            "keboola.flow/3",
            r#"{"name": "Nightly", "configuration": {"phases": [], "tasks": [
            {"id": 1, "name": "a", "phase": 1, "task": {"componentId": "keboola.ex-db", "configId": "1"}},
            {"id": 2, "name": "b", "phase": 1, "enabled": false, "task": {"componentId": "keboola.snowflake-transformation", "configId": "2"}}]}}"#,
        ),
        (
            "bucket in.c-shop",
            r#"{"id": "in.c-shop", "name": "c-shop", "displayName": "shop", "linkedBy": [{"id": "in.c-a", "project": {"id": 9}}]}"#,
        ),
        (
            "bucket in.c-linked",
            r#"{"id": "in.c-linked", "displayName": "linked", "isLinkedBucket": true,
            "sourceBucket": {"id": "out.c-ref", "project": {"id": 8, "name": "Holding"}}}"#,
        ),
        (
            "table in.c-shop.orders",
            r#"{"id": "in.c-shop.orders", "displayName": "orders", "columns": ["id"], "metadata": [
            {"key": "KBC.createdBy.component.id", "value": "keboola.ex-db", "provider": "system"},
            {"key": "KBC.createdBy.configuration.id", "value": "1", "provider": "system"},
            {"key": "KBC.lastUpdatedBy.component.id", "value": "keboola.ex-db", "provider": "system"},
            {"key": "KBC.lastUpdatedBy.configuration.id", "value": "1", "provider": "system"},
            {"key": "KBC.lastUpdatedBy.configurationRow.id", "value": "r", "provider": "system"}]}"#,
        ),
        (
            "table in.c-linked.rates",
            r#"{"id": "in.c-linked.rates", "name": "rates", "isAlias": true, "columns": [],
            "sourceTable": {"id": "out.c-ref.rates", "project": {"id": 8}}}"#,
        ),
        (
            "table out.c-model.view",
            r#"{"id": "out.c-model.view", "name": "view", "isAlias": true, "columns": [],
            "sourceTable": {"id": "in.c-shop.orders", "project": {"id": 7}}}"#,
        ),
    ])
}

#[test]
fn the_catalog_has_a_line_for_each_object() {
    expect![[r#"
        === ai/catalog/keboola.ex-db.jsonl
        {"componentId":"keboola.ex-db","configId":"1","name":"Shop","type":"extractor","path":"configs/main/extractor/keboola.ex-db/shop","enabled":true,"upstream":1,"downstream":2}
        {"componentId":"keboola.ex-db","configId":"1","rowId":"r","name":"Orders","type":"row","path":"configs/main/extractor/keboola.ex-db/shop/rows/orders","enabled":false,"upstream":0,"downstream":0}
        === ai/catalog/keboola.flow.jsonl
        {"componentId":"keboola.flow","configId":"3","name":"Nightly","type":"other","path":"configs/main/other/keboola.flow/nightly","enabled":true,"upstream":0,"downstream":2}
        === ai/catalog/keboola.snowflake-transformation.jsonl
        {"componentId":"keboola.snowflake-transformation","configId":"2","name":"Model","type":"transformation","path":"configs/main/transformation/keboola.snowflake-transformation/model","enabled":true,"upstream":3,"downstream":1}
        === ai/catalog/storage/in.c-linked.jsonl
        {"bucket":"in.c-linked","name":"linked","type":"linked-bucket","path":"storage/metadata/in.c-linked/bucket.json","upstream":1,"downstream":0}
        {"table":"in.c-linked.rates","name":"rates","type":"alias","path":"storage/metadata/in.c-linked/rates.json","upstream":1,"downstream":1}
        === ai/catalog/storage/in.c-shop.jsonl
        {"bucket":"in.c-shop","name":"shop","type":"bucket","path":"storage/metadata/in.c-shop/bucket.json","upstream":0,"downstream":1}
        {"table":"in.c-shop.orders","name":"orders","type":"table","path":"storage/metadata/in.c-shop/orders.json","upstream":1,"downstream":2}
        === ai/catalog/storage/out.c-model.jsonl
        {"table":"out.c-model.view","name":"view","type":"alias","path":"storage/metadata/out.c-model/view.json","upstream":1,"downstream":0}
    "#]].assert_eq(&show(&files(SETTINGS, &shop()), &["ai/catalog"]));
}

#[test]
fn paths_of_the_catalog_are_those_of_the_layout() {
    let layout = tree(SETTINGS, &shop());
    let files = files(SETTINGS, &shop());
    let catalog = files.iter().filter(|file| file.path.starts_with("ai/catalog/"));
    let lines: Vec<&str> = catalog.flat_map(|file| file.content.lines()).collect();
    assert_eq!(lines.len(), 9);
    for line in lines {
        let (_, path) = line.split_once(r#""path":""#).unwrap();
        let (path, _) = path.split_once('"').unwrap();
        let is_there = |file: &File| file.path == path || file.path == format!("{path}/config.json");
        assert!(layout.iter().chain(&files).any(is_there), "{path}");
    }
}

#[test]
fn components_that_differ_in_case_have_files_of_their_own() {
    let files = files(
        SETTINGS,
        &objects(&[
            ("acme.ex-shop/1", r#"{"name": "a", "configuration": {}}"#),
            ("ACME.ex-shop/1", r#"{"name": "b", "configuration": {}}"#),
        ]),
    );
    let catalog = files.iter().filter(|file| file.path.starts_with("ai/catalog/"));
    let paths: Vec<&str> = catalog.map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "ai/catalog/%41%43%4D%45.ex-shop.jsonl",
            "ai/catalog/acme.ex-shop.jsonl"
        ]
    );
}

#[test]
fn lineage_has_a_line_for_each_edge() {
    expect![[r#"
        === ai/lineage/keboola.ex-db.jsonl
        {"type":"writes","source":{"componentId":"keboola.ex-db","configId":"1"},"target":{"bucket":"in.c-keboola-ex-db-1"}}
        {"type":"writes","source":{"componentId":"keboola.ex-db","configId":"1"},"target":{"table":"in.c-shop.orders"}}
        === ai/lineage/keboola.flow.jsonl
        {"type":"runs","source":{"componentId":"keboola.flow","configId":"3"},"target":{"componentId":"keboola.ex-db","configId":"1"}}
        {"type":"runs","source":{"componentId":"keboola.flow","configId":"3"},"target":{"componentId":"keboola.snowflake-transformation","configId":"2"},"enabled":false}
        === ai/lineage/keboola.snowflake-transformation.jsonl
        {"type":"reads","source":{"table":"in.c-linked.rates"},"target":{"componentId":"keboola.snowflake-transformation","configId":"2"}}
        {"type":"reads","source":{"table":"in.c-shop.orders"},"target":{"componentId":"keboola.snowflake-transformation","configId":"2"}}
        {"type":"writes","source":{"componentId":"keboola.snowflake-transformation","configId":"2"},"target":{"table":"out.c-model.sales"}}
        === ai/lineage/storage/in.c-linked.jsonl
        {"type":"alias","source":{"projectId":"8","table":"out.c-ref.rates"},"target":{"table":"in.c-linked.rates"}}
        {"type":"links","source":{"projectId":"8","bucket":"out.c-ref"},"target":{"bucket":"in.c-linked"}}
        === ai/lineage/storage/in.c-shop.jsonl
        {"type":"created","source":{"componentId":"keboola.ex-db","configId":"1"},"target":{"table":"in.c-shop.orders"}}
        {"type":"shares","source":{"bucket":"in.c-shop"},"target":{"projectId":"9","bucket":"in.c-a"}}
        === ai/lineage/storage/out.c-model.jsonl
        {"type":"alias","source":{"table":"in.c-shop.orders"},"target":{"table":"out.c-model.view"}}
    "#]].assert_eq(&show(&files(SETTINGS, &shop()), &["ai/lineage"]));
}

#[test]
fn the_file_of_a_table_says_who_reads_and_writes_it() {
    expect![[r#"
        === storage/metadata/in.c-linked/bucket.json
        {
          "id": "in.c-linked",
          "name": null,
          "displayName": "linked",
          "stage": null,
          "backend": null,
          "description": null,
          "created": null,
          "isReadOnly": null,
          "hasExternalSchema": null,
          "color": null,
          "sharing": null,
          "isLinkedBucket": true,
          "sharingParameters": null,
          "owner": null,
          "sourceBucket": {
            "id": "out.c-ref",
            "name": null,
            "displayName": null,
            "project": {
              "id": 8,
              "name": "Holding"
            }
          },
          "linkedBy": [],
          "writtenBy": [],
          "readBy": []
        }
        === storage/metadata/in.c-shop/orders.json
        {
          "id": "in.c-shop.orders",
          "name": null,
          "displayName": "orders",
          "bucket": "in.c-shop",
          "description": null,
          "created": null,
          "tableType": null,
          "isTyped": null,
          "isAlias": null,
          "sourceTable": null,
          "primaryKey": [],
          "columns": [
            {
              "name": "id"
            }
          ],
          "createdBy": {
            "componentId": "keboola.ex-db",
            "configId": "1"
          },
          "writtenBy": [
            {"componentId":"keboola.ex-db","configId":"1"}
          ],
          "bucketWrittenBy": [],
          "readBy": [
            {"componentId":"keboola.snowflake-transformation","configId":"2"},
            {"table":"out.c-model.view"}
          ]
        }
    "#]]
    .assert_eq(&show(
        &files(SETTINGS, &shop()),
        &["in.c-shop/orders.json", "in.c-linked/bucket.json"],
    ));
}

#[test]
fn a_table_that_nobody_described_has_no_file() {
    let files = files(SETTINGS, &shop());
    assert!(!files.iter().any(|file| file.path.contains("sales.json")));
    assert!(
        !files
            .iter()
            .any(|file| file.path == "storage/metadata/out.c-model/bucket.json")
    );
}

#[test]
fn a_branch_of_several_has_files_of_its_own() {
    let settings = |branch: &str| format!(r#"{{"branchPath": "{branch}", "tree": "project"}}"#);
    let (main, other) = (settings("main"), settings("feature-x"));
    let mut all = entries(&main, &shop());
    all.extend(entries(&other, &shop()));
    // One host gathers them, with the settings of one branch.
    let paths: Vec<String> = shards(&other, &KINDS, &all)
        .into_iter()
        .map(|file| file.path)
        .collect();
    expect![[r#"
        ai/catalog/feature-x/keboola.ex-db.jsonl
        ai/catalog/feature-x/keboola.flow.jsonl
        ai/catalog/feature-x/keboola.snowflake-transformation.jsonl
        ai/catalog/feature-x/storage/in.c-linked.jsonl
        ai/catalog/feature-x/storage/in.c-shop.jsonl
        ai/catalog/feature-x/storage/out.c-model.jsonl
        ai/catalog/main/keboola.ex-db.jsonl
        ai/catalog/main/keboola.flow.jsonl
        ai/catalog/main/keboola.snowflake-transformation.jsonl
        ai/catalog/main/storage/in.c-linked.jsonl
        ai/catalog/main/storage/in.c-shop.jsonl
        ai/catalog/main/storage/out.c-model.jsonl
        ai/lineage/feature-x/keboola.ex-db.jsonl
        ai/lineage/feature-x/keboola.flow.jsonl
        ai/lineage/feature-x/keboola.snowflake-transformation.jsonl
        ai/lineage/feature-x/storage/in.c-linked.jsonl
        ai/lineage/feature-x/storage/in.c-shop.jsonl
        ai/lineage/feature-x/storage/out.c-model.jsonl
        ai/lineage/main/keboola.ex-db.jsonl
        ai/lineage/main/keboola.flow.jsonl
        ai/lineage/main/keboola.snowflake-transformation.jsonl
        ai/lineage/main/storage/in.c-linked.jsonl
        ai/lineage/main/storage/in.c-shop.jsonl
        ai/lineage/main/storage/out.c-model.jsonl
        storage/metadata/feature-x/in.c-linked/bucket.json
        storage/metadata/feature-x/in.c-linked/rates.json
        storage/metadata/feature-x/in.c-shop/bucket.json
        storage/metadata/feature-x/in.c-shop/orders.json
        storage/metadata/feature-x/out.c-model/view.json
        storage/metadata/main/in.c-linked/bucket.json
        storage/metadata/main/in.c-linked/rates.json
        storage/metadata/main/in.c-shop/bucket.json
        storage/metadata/main/in.c-shop/orders.json
        storage/metadata/main/out.c-model/view.json"#]]
    .assert_eq(&paths.join("\n"));
    let unlike_main = |file: &File| file.content.contains("configs/main/");
    let files = shards(&main, &KINDS, &all);
    assert!(files.iter().any(unlike_main));
    assert!(
        !files
            .iter()
            .any(|file| file.path.contains("/feature-x/") && unlike_main(file))
    );
}

#[test]
fn mappings_are_edges_of_whoever_has_them() {
    edges(
        &[
            (
                "keboola.app/1",
                r#"{"configuration": {"storage": {"input": {"tables": [{"source": "in.c-b.t"}, {"source": "in.c-b.t"}]}}}}"#,
            ),
            (
                "keboola.app/1/a",
                r#"{"configuration": {"storage": {"input": {"tables": [{"source": "in.c-b.t"}]},
                "output": {"tables": [{"destination": "out.c-b.t"}]}}}}"#,
            ),
            (
                "transformation/1/a",
                r#"{"configuration": {"input": [{"source": "in.c-b.t", "destination": "t"}], "output": [{"source": "t", "destination": "out.c-b.u"}]}}"#,
            ),
            (
                "keboola.app/2/a",
                r#"{"configuration": {"input": [{"source": "in.c-b.t"}], "storage": []}}"#,
            ),
        ],
        &expect![[r#"
            {"type":"reads","source":{"table":"in.c-b.t"},"target":{"componentId":"keboola.app","configId":"1","rowId":"a"}}
            {"type":"reads","source":{"table":"in.c-b.t"},"target":{"componentId":"keboola.app","configId":"1"}}
            {"type":"writes","source":{"componentId":"keboola.app","configId":"1","rowId":"a"},"target":{"table":"out.c-b.t"}}
            {"type":"reads","source":{"table":"in.c-b.t"},"target":{"componentId":"transformation","configId":"1","rowId":"a"}}
            {"type":"writes","source":{"componentId":"transformation","configId":"1","rowId":"a"},"target":{"table":"out.c-b.u"}}
        "#]],
    );
}

#[test]
fn what_cannot_be_resolved_stays_as_it_was_written() {
    edges(
        &[(
            "keboola.app/1",
            r#"{"configuration": {"storage": {
            "input": {"tables": [{"source_search": {"key": "k", "value": "v"}}, {"source": "{{ bucket }}.orders"}, {"source": ""}, {}, 3],
                      "files": [{"tags": ["b", "a"]}, {"source": {"tags": [{"name": "c"}]}}, {"query": "name:x"}, {}]},
            "output": {"tables": [{"destination": "orders"}], "files": [{"source": "x.csv", "tags": ["made"]}]}}}}"#,
        )],
        &expect![[r#"
            {"type":"reads","source":{"fileQuery":"name:x"},"target":{"componentId":"keboola.app","configId":"1"}}
            {"type":"reads","source":{"fileTags":["a","b"]},"target":{"componentId":"keboola.app","configId":"1"}}
            {"type":"reads","source":{"fileTags":["c"]},"target":{"componentId":"keboola.app","configId":"1"}}
            {"type":"reads","source":{"search":{"key":"k","value":"v"}},"target":{"componentId":"keboola.app","configId":"1"}}
            {"type":"reads","source":{"unresolved":"{{ bucket }}.orders"},"target":{"componentId":"keboola.app","configId":"1"}}
            {"type":"writes","source":{"componentId":"keboola.app","configId":"1"},"target":{"fileTags":["made"]}}
            {"type":"writes","source":{"componentId":"keboola.app","configId":"1"},"target":{"unresolved":"orders"}}
        "#]],
    );
}

#[test]
fn names_without_a_bucket_go_to_the_default_bucket() {
    edges(
        &[
            (
                "keboola.ex-my_db/1",
                r#"{"configuration": {"storage": {"output": {"tables": [{"destination": "orders"}]}}}}"#,
            ),
            (
                "keboola.ex-my_db/1/r",
                r#"{"configuration": {"storage": {"output": {"tables": [{"destination": "items"}]}}}}"#,
            ),
            (
                "keboola.ex-my_db/2",
                r#"{"configuration": {"storage": {"output": {"default_bucket": "out.c-own", "tables": [{"destination": "orders"}]}}}}"#,
            ),
            (
                "keboola.app/1",
                r#"{"configuration": {"storage": {"input": {"tables": [{"source": "in.c-keboola-ex-my-db-1.orders"}]}}}}"#,
            ),
        ],
        &expect![[r#"
            {"type":"reads","source":{"table":"in.c-keboola-ex-my-db-1.orders"},"target":{"componentId":"keboola.app","configId":"1"}}
            {"type":"writes","source":{"componentId":"keboola.ex-my_db","configId":"1","rowId":"r"},"target":{"table":"in.c-keboola-ex-my-db-1.items"}}
            {"type":"writes","source":{"componentId":"keboola.ex-my_db","configId":"1"},"target":{"bucket":"in.c-keboola-ex-my-db-1"}}
            {"type":"writes","source":{"componentId":"keboola.ex-my_db","configId":"1"},"target":{"table":"in.c-keboola-ex-my-db-1.orders"}}
            {"type":"writes","source":{"componentId":"keboola.ex-my_db","configId":"2"},"target":{"bucket":"out.c-own"}}
            {"type":"writes","source":{"componentId":"keboola.ex-my_db","configId":"2"},"target":{"table":"out.c-own.orders"}}
        "#]],
    );
}

/// Returns what the file of a table says of its writers.
fn writers(objects: &[Object], path: &str) -> String {
    let files = files(SETTINGS, objects);
    let file = files
        .iter()
        .find(|file| file.path == path)
        .expect("there is a file");
    let from = file.content.find("\"writtenBy\"").expect("it tells of writers");
    let to = file.content.find("  \"readBy\"").expect("it tells of readers");
    file.content[from..to].to_owned()
}

#[test]
fn the_file_of_a_table_names_those_whose_default_bucket_it_is_in() {
    let table = (
        "in.c-keboola-ex-db-1.orders",
        "storage/metadata/in.c-keboola-ex-db-1/orders.json",
    );
    let mut objects = vec![
        object("keboola.ex-db/1", r#"{"configuration": {}}"#),
        object(
            "keboola.app/7",
            r#"{"configuration": {"storage": {"output": {"tables": [{"destination": "in.c-keboola-ex-db-1.orders"}]}}}}"#,
        ),
        // The next bucket is another's.
        object("keboola.ex-db/1-2", r#"{"configuration": {}}"#),
        Object {
            key: ObjectKey::Table(table.0.into()),
            component: None,
            source: r#"{"displayName": "orders", "columns": []}"#.into(),
            metadata: Vec::new(),
        },
    ];
    expect![[r#"
        "writtenBy": [
            {"componentId":"keboola.app","configId":"7"}
          ],
          "bucketWrittenBy": [
            {"componentId":"keboola.ex-db","configId":"1"}
          ],
    "#]]
    .assert_eq(&writers(&objects, table.1));
    // However many there are, a table names twenty.
    for number in 10..32 {
        let source =
            r#"{"configuration": {"storage": {"output": {"default_bucket": "in.c-keboola-ex-db-1"}}}}"#;
        objects.push(object(&format!("keboola.app/{number}"), source));
    }
    let told = writers(&objects, table.1);
    assert!(told.ends_with("  \"bucketWrittenByMore\": true,\n"), "{told}");
    assert_eq!(told.matches("\"keboola.app\"").count(), 1 + 20, "{told}");
}

#[test]
fn what_is_run_scheduled_and_used_is_an_edge() {
    edges(
        &[
            (
                "keboola.orchestrator/1",
                r#"{"configuration": {"tasks": [
                {"enabled": false, "task": {"componentId": "c", "configId": "1"}}, {"task": {"componentId": "c", "configId": "1"}},
                {"enabled": false, "task": {"componentId": "c", "configId": "2"}}, {"task": {"componentId": "c", "configId": ""}},
                {"task": {"componentId": "c", "configData": {}}}]}}"#,
            ),
            (
                "keboola.flow/1",
                r#"{"configuration": {"tasks": [{"task": {"type": "notification"}}, {"task": {"type": "job", "componentId": "c", "configId": "1"}}]}}"#,
            ),
            (
                "keboola.scheduler/1",
                r#"{"configuration": {"target": {"componentId": "keboola.flow", "configurationId": "1"}}}"#,
            ),
            (
                "c/1",
                r#"{"configuration": {"variables_id": "v", "variables_values_id": "d", "tasks": [{"task": {"componentId": "c", "configId": "1"}}]}}"#,
            ),
            (
                "keboola.snowflake-transformation/1",
                r#"{"configuration": {"shared_code_id": "s", "shared_code_row_ids": ["a", "b"]}}"#,
            ),
            (
                "keboola.shared-code/s/a",
                r#"{"configuration": {"variables_id": "w"}}"#,
            ),
        ],
        &expect![[r#"
            {"type":"uses","source":{"componentId":"c","configId":"1"},"target":{"componentId":"keboola.variables","configId":"v","rowId":"d"}}
            {"type":"uses","source":{"componentId":"c","configId":"1"},"target":{"componentId":"keboola.variables","configId":"v"}}
            {"type":"runs","source":{"componentId":"keboola.flow","configId":"1"},"target":{"componentId":"c","configId":"1"}}
            {"type":"runs","source":{"componentId":"keboola.orchestrator","configId":"1"},"target":{"componentId":"c","configId":"1"}}
            {"type":"runs","source":{"componentId":"keboola.orchestrator","configId":"1"},"target":{"componentId":"c","configId":"2"},"enabled":false}
            {"type":"schedules","source":{"componentId":"keboola.scheduler","configId":"1"},"target":{"componentId":"keboola.flow","configId":"1"}}
            {"type":"uses","source":{"componentId":"keboola.shared-code","configId":"s","rowId":"a"},"target":{"componentId":"keboola.variables","configId":"w"}}
            {"type":"uses","source":{"componentId":"keboola.snowflake-transformation","configId":"1"},"target":{"componentId":"keboola.shared-code","configId":"s","rowId":"a"}}
            {"type":"uses","source":{"componentId":"keboola.snowflake-transformation","configId":"1"},"target":{"componentId":"keboola.shared-code","configId":"s","rowId":"b"}}
            {"type":"uses","source":{"componentId":"keboola.snowflake-transformation","configId":"1"},"target":{"componentId":"keboola.shared-code","configId":"s"}}
        "#]],
    );
}

#[test]
fn the_order_of_objects_and_mappings_does_not_matter() {
    let forwards = files(SETTINGS, &shop());
    let mut shuffled = shop();
    shuffled.reverse();
    shuffled.swap(1, 5);
    assert_eq!(files(SETTINGS, &shuffled), forwards);
    let mapping = |sources: &str| {
        let source = format!(r#"{{"configuration": {{"storage": {{"input": {{"tables": [{sources}]}}}}}}}}"#);
        entries(SETTINGS, &[object("keboola.app/1", &source)])
    };
    let (one, other) = (r#"{"source": "in.c-b.t"}"#, r#"{"source": "in.c-a.t"}"#);
    assert_eq!(
        mapping(&format!("{one}, {other}")),
        mapping(&format!("{other}, {one}, {one}"))
    );
}

#[test]
fn a_change_of_content_changes_no_entry_and_no_run_does() {
    let config = |version: u32, query: &str| {
        let source = format!(
            r#"{{"name": "A", "version": {version}, "changeDescription": "{query}", "description": "{query}", "configuration": {{"parameters": {{"q": "{query}"}},
                "storage": {{"input": {{"tables": [{{"source": "in.c-b.t", "where_column": "{query}"}}]}}}}}}}}"#
        );
        entries(SETTINGS, &[object("keboola.app/1", &source)])
    };
    assert_eq!(config(1, "a"), config(2, "b"));
    let table = |rows: u32| {
        let source = format!(
            r#"{{"id": "in.c-b.t", "columns": ["a"], "rowsCount": {rows}, "dataSizeBytes": {rows}, "lastImportDate": "{rows}", "lastChangeDate": "{rows}",
                "bucket": {{"id": "in.c-b", "rowsCount": {rows}}}, "metadata": [{{"id": "{rows}", "key": "k", "value": "v", "timestamp": "2026-01-05T08:00:{rows}+0100"}}]}}"#
        );
        entries(SETTINGS, &[object("table in.c-b.t", &source)])
    };
    assert_eq!(table(10), table(20));
}

#[test]
fn entries_go_with_whoever_told_them() {
    let objects = shop();
    for entry in entries(SETTINGS, &objects) {
        let id = entry.key.trim_start_matches(['=', '<']);
        assert!(!id.is_empty() || entry.kind == IndexKind::Lineage, "{entry:?}");
    }
    let mut keys: Vec<_> = entries(SETTINGS, &objects)
        .into_iter()
        .map(|entry| (entry.kind, entry.shard, entry.key))
        .collect();
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all, "no two objects give the same entry");
}

#[test]
fn readers_past_the_first_five_hundred_are_counted() {
    let mut objects: Vec<Object> = (0..510)
        .map(|id| {
            let source = r#"{"configuration": {"storage": {"input": {"tables": [{"source": "in.c-b.t"}]}}}}"#;
            object(&format!("keboola.app/{id:03}"), source)
        })
        .collect();
    objects.push(object("table in.c-b.t", r#"{"id": "in.c-b.t", "columns": []}"#));
    let files = files(SETTINGS, &objects);
    let table = files.iter().find(|file| file.path.ends_with("t.json")).unwrap();
    assert!(
        table.content.contains(r#""configId":"499"}"#) && !table.content.contains(r#""configId":"500"}"#)
    );
    assert!(
        table.content.ends_with("  \"readByMore\": 10\n}\n"),
        "{}",
        table.content
    );
    let line = files
        .iter()
        .find(|file| file.path.starts_with("ai/catalog/storage"))
        .unwrap();
    assert!(
        line.content.contains(r#""upstream":0,"downstream":510"#),
        "{}",
        line.content
    );
}

#[test]
fn edges_past_the_bound_are_counted() {
    let tables: Vec<String> = (0..4_010)
        .map(|id| format!(r#"{{"source": "in.c-b.t{id:04}"}}"#))
        .collect();
    let source = format!(
        r#"{{"configuration": {{"storage": {{"input": {{"tables": [{}]}}}}}}}}"#,
        tables.join(",")
    );
    let files = files(SETTINGS, &[object("keboola.app/1", &source)]);
    let catalog = files
        .iter()
        .find(|file| file.path.starts_with("ai/catalog/"))
        .unwrap();
    assert!(
        catalog
            .content
            .ends_with("\"upstream\":4000,\"downstream\":0,\"edgesMore\":10}\n"),
        "{}",
        catalog.content
    );
    let lineage = files
        .iter()
        .filter(|file| file.path.starts_with("ai/lineage/keboola.app+"));
    assert_eq!(
        lineage.map(|file| file.content.lines().count()).sum::<usize>(),
        4_000
    );
}

#[test]
fn foreign_entries_are_refused_and_not_shown() {
    for (kind, shard, key, value) in [
        (IndexKind::Catalog, "component/c", "=x", r#"{"line":{}}"#),
        (IndexKind::Catalog, "component/c", "<x", "{}"),
        (IndexKind::Lineage, "table/in.c-b.t", "<c/1", r#"["devours"]"#),
        (IndexKind::Lineage, "table/in.c-b.t", "x", "[]"),
    ] {
        let entry = Entry {
            kind,
            shard: shard.into(),
            key: key.into(),
            value: value.into(),
        };
        let error = gather(&context(), SETTINGS, kind, shard, &[entry]).unwrap_err();
        assert_eq!(error, LayoutError::Entry { key: key.into() });
    }
    let error = gather(&context(), SETTINGS, IndexKind::Catalog, "odd", &[]).unwrap_err();
    assert_eq!(error, LayoutError::NoSuchIndex { kind: "catalog" });
}

/// Components that have no type of their own are listed too.
#[test]
fn the_type_of_a_configuration_is_its_components() {
    let mut one = object(
        "keboola.sandboxes/1",
        r#"{"name": "Left out", "configuration": {}}"#,
    );
    one.component = Some(Component {
        component_type: "application".into(),
        ..Component::default()
    });
    expect![[r#"
        === ai/catalog/keboola.sandboxes.jsonl
        {"componentId":"keboola.sandboxes","configId":"1","name":"Left out","type":"application","path":"configs-extra/keboola.sandboxes/1.json","enabled":true,"upstream":0,"downstream":0}
    "#]].assert_eq(&show(&files(SETTINGS, &[one]), &["ai/catalog"]));
}
