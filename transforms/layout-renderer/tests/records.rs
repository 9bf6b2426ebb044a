//! Golden cases of everything beside `configs/`, and of reading it back.

mod project;

use expect_test::{Expect, expect};
use layout_renderer::{
    Entry, File, IndexKind, LayoutError, Object, ObjectKey, PlacedObject, Rendered, gather, inspect, recover,
    recoverable, render,
};
use project::{context, object, place, shards, show, split, tree};

const SETTINGS: &str = r#"{"branchPath": "main", "defaultBranchId": "11"}"#;

fn one(key: ObjectKey, source: &str) -> Rendered {
    let object = Object {
        key,
        component: None,
        source: source.into(),
        metadata: Vec::new(),
    };
    let placed = PlacedObject {
        object,
        path: None,
        parent: None,
        claimed_by: Vec::new(),
        references: Vec::new(),
    };
    render(&context(), SETTINGS, &[placed])
        .expect("the source is JSON")
        .remove(0)
}

#[track_caller]
fn check(key: ObjectKey, source: &str, expected: &Expect) {
    let rendered = one(key, source);
    let mut files = shards(SETTINGS, &[IndexKind::Lineage], &rendered.entries);
    files.extend(rendered.files);
    expected.assert_eq(&show(&files, &[""]));
}

#[test]
fn versions_and_authors_are_kept_beside_the_layout() {
    let source = r#"{"name": "A", "version": 3, "created": "2020-01-01T00:00:00+0100", "creatorToken": {"id": 1, "description": "old"},
        "rowsSortOrder": ["b", "a"], "configuration": {},
        "currentVersion": {"created": "2026-01-15T10:00:00+0100", "creatorToken": {"id": 67, "description": "dev@example.com"},
            "changeDescription": "Changed & more", "versionIdentifier": "01H2W8N0ZJJB6V126C8ZSND28N"}}"#;
    let row = r#"{"name": "R", "version": 2, "created": "2026-01-15T10:00:00+0100", "creatorToken": [], "changeDescription": null,
        "versionIdentifier": "01H59WQGTDQT8AC7XNWKQDS75P"}"#;
    let objects = [
        object("keboola.ex-db/my id", source),
        object("keboola.ex-db/my id/.x", row),
    ];
    expect![[r#"
        === configs-extra/keboola.ex-db/my%20id.json
        {
          "componentId": "keboola.ex-db",
          "configId": "my id",
          "version": 3,
          "versionIdentifier": "01H2W8N0ZJJB6V126C8ZSND28N",
          "author": {
            "id": "67",
            "description": "dev@example.com"
          },
          "created": "2026-01-15T09:00:00Z",
          "changeDescription": "Changed & more",
          "firstVersion": {
            "author": {
              "id": "1",
              "description": "old"
            },
            "created": "2019-12-31T23:00:00Z"
          },
          "rowsSortOrder": [
            "b",
            "a"
          ]
        }
        === configs-extra/keboola.ex-db/my%20id/rows/%2Ex.json
        {
          "componentId": "keboola.ex-db",
          "configId": "my id",
          "rowId": ".x",
          "version": 2,
          "versionIdentifier": "01H59WQGTDQT8AC7XNWKQDS75P",
          "author": null,
          "created": "2026-01-15T09:00:00Z",
          "changeDescription": null
        }
    "#]]
    .assert_eq(&show(&tree(SETTINGS, &objects), &["configs-extra"]));
}

#[test]
fn a_change_of_one_field_is_a_change_of_one_line() {
    let version = |version: u32, description: &str| {
        let source = format!(
            r#"{{"name": "A", "version": {version}, "configuration": {{"a": 1}}, "changeDescription": "{description}"}}"#
        );
        show(&tree(SETTINGS, &[object("c/1", &source)]), &["configs-extra"])
    };
    let differing = |left: &str, right: &str| left.lines().zip(right.lines()).filter(|(l, r)| l != r).count();
    assert_eq!(differing(&version(1, "x"), &version(2, "x")), 1);
    assert_eq!(differing(&version(1, "x"), &version(1, "y")), 1);
}

#[test]
fn a_bucket_has_no_volatile_figures() {
    check(
        ObjectKey::Bucket("in.c-main".into()),
        r##"{"id": "in.c-main", "name": "c-main", "displayName": "main", "stage": "in", "description": "old", "created": "2026-01-05T08:00:00+0100",
            "lastChangeDate": "2026-01-06T08:00:00+0100", "dataSizeBytes": 5, "rowsCount": 7, "backend": "snowflake", "isReadOnly": false,
            "sharing": "organization", "isLinkedBucket": false, "color": "#ff0000", "owner": {"id": 3, "name": "N", "email": "n@example.com", "x": 1},
            "linkedBy": [{"id": "in.c-l", "project": {"id": 9, "name": "P"}, "created": "x"}],
            "metadata": [{"key": "KBC.description", "value": "new", "provider": "user"}, {"key": "z", "value": "1", "provider": "system"}]}"##,
        &expect![[r##"
            === storage/metadata/in.c-main/bucket.json
            {
              "id": "in.c-main",
              "name": "c-main",
              "displayName": "main",
              "stage": "in",
              "backend": "snowflake",
              "description": "new",
              "created": "2026-01-05T07:00:00Z",
              "isReadOnly": false,
              "hasExternalSchema": null,
              "color": "#ff0000",
              "sharing": "organization",
              "isLinkedBucket": false,
              "sharingParameters": null,
              "owner": {
                "id": 3,
                "name": "N",
                "email": "n@example.com"
              },
              "sourceBucket": null,
              "linkedBy": [
                {
                  "id": "in.c-l",
                  "project": {
                    "id": 9,
                    "name": "P"
                  }
                }
              ],
              "metadata": {
                "z": "1"
              },
              "writtenBy": [],
              "readBy": []
            }
        "##]],
    );
}

#[test]
fn a_table_has_columns_with_types_keys_and_origin() {
    check(
        ObjectKey::Table("in.c-main.orders".into()),
        r#"{"id": "in.c-main.orders", "name": "orders", "displayName": "Orders", "primaryKey": ["id"], "columns": ["id", "total", "note"],
            "rowsCount": 5, "lastImportDate": "2026-01-13T19:55:00+0100", "isAlias": true, "aliasColumnsAutoSync": true, "isTyped": true,
            "created": "2026-01-05T08:00:00+0100", "sourceTable": {"id": "out.c-x.orders", "project": {"id": 4, "name": "Other"}},
            "definition": {"columns": [{"name": "total", "basetype": "NUMERIC", "definition": {"type": "NUMBER", "length": "38,2", "nullable": true}}],
                           "timePartitioning": {"type": "DAY", "field": "total"}, "clustering": {"fields": ["id"]}, "rangePartitioning": null,
                           "distribution": [], "partitions": [{"partitionId": "20260819", "rowsNumber": "42"}]},
            "metadata": [{"key": "KBC.createdBy.component.id", "value": "keboola.ex-db", "provider": "system"},
                         {"key": "KBC.createdBy.configuration.id", "value": "1", "provider": "system"},
                         {"key": "k", "value": "old", "provider": "a", "timestamp": "2016-09-19 13:02:11"},
                         {"key": "k", "value": "new", "provider": "b", "timestamp": "2026-01-05T08:00:00+0100"},
                         {"key": "u", "value": "mine", "provider": "user", "timestamp": "2016-09-19 13:02:11"},
                         {"key": "u", "value": "theirs", "provider": "b", "timestamp": "2026-01-05T08:00:00+0100"}],
            "columnMetadata": {"id": [{"key": "KBC.datatype.type", "value": "VARCHAR", "provider": "storage"},
                                      {"key": "KBC.datatype.nullable", "value": "", "provider": "storage"},
                                      {"key": "KBC.description", "value": "The id", "provider": "user"},
                                      {"key": "other", "value": "x", "provider": "user"}]}}"#,
        &expect![[r#"
            === storage/metadata/in.c-main/orders.json
            {
              "id": "in.c-main.orders",
              "name": "orders",
              "displayName": "Orders",
              "bucket": "in.c-main",
              "description": null,
              "created": "2026-01-05T07:00:00Z",
              "tableType": null,
              "isTyped": true,
              "isAlias": true,
              "aliasFilter": null,
              "aliasColumnsAutoSync": true,
              "sourceTable": {
                "id": "out.c-x.orders",
                "name": null,
                "displayName": null,
                "project": {
                  "id": 4,
                  "name": "Other"
                }
              },
              "primaryKey": [
                "id"
              ],
              "sharding": {
                "timePartitioning": {
                  "type": "DAY",
                  "field": "total"
                },
                "clustering": {
                  "fields": [
                    "id"
                  ]
                }
              },
              "columns": [
                {
                  "name": "id",
                  "type": "VARCHAR",
                  "nullable": false,
                  "description": "The id",
                  "metadata": {
                    "other": "x"
                  }
                },
                {
                  "name": "total",
                  "type": "NUMBER",
                  "basetype": "NUMERIC",
                  "length": "38,2",
                  "nullable": true
                },
                {
                  "name": "note"
                }
              ],
              "createdBy": {
                "componentId": "keboola.ex-db",
                "configId": "1"
              },
              "metadata": {
                "k": "new",
                "u": "mine"
              },
              "supersededMetadata": [
                {
                  "key": "k",
                  "provider": "a",
                  "value": "old"
                },
                {
                  "key": "u",
                  "provider": "b",
                  "value": "theirs"
                }
              ],
              "writtenBy": [
                {"componentId":"keboola.ex-db","configId":"1"}
              ],
              "bucketWrittenBy": [],
              "readBy": []
            }
        "#]],
    );
    check(
        ObjectKey::Table("odd".into()),
        r#"{"columnMetadata": [], "metadata": []}"#,
        &expect![[r#"
            === storage/metadata/%25/odd.json
            {
              "id": "odd",
              "name": null,
              "displayName": null,
              "bucket": null,
              "description": null,
              "created": null,
              "tableType": null,
              "isTyped": null,
              "isAlias": null,
              "sourceTable": null,
              "primaryKey": [],
              "columns": [],
              "writtenBy": [],
              "bucketWrittenBy": [],
              "readBy": []
            }
        "#]],
    );
}

#[test]
fn a_sample_is_csv_and_json() {
    let source = r#"{"table": {}, "csv": "\"id\",\"note\"\n\"1\",\"say \"\"hi\"\",\nplease\"\n2\n"}"#;
    check(
        ObjectKey::Sample("in.c-main.orders".into()),
        source,
        &expect![[r#"
            === storage/samples/in.c-main/orders.csv
            "id","note"␍
            "1","say ""hi"",
            please"␍
            "2",""␍
            === storage/samples/in.c-main/orders.json
            {"columns": ["id", "note"], "rows": [
              ["1", "say \"hi\",\nplease"],
              ["2", ""]
            ]}
        "#]],
    );
    check(
        ObjectKey::Sample("in.c-main.empty".into()),
        r#"{"csv": "\"id\"\n"}"#,
        &expect![[r#"
            === storage/samples/in.c-main/empty.csv
            "id"␍
            === storage/samples/in.c-main/empty.json
            {"columns": ["id"], "rows": []}
        "#]],
    );
}

#[test]
fn rows_of_a_sample_are_sorted_only_where_no_key_orders_them() {
    for (key, expected) in [
        (r#""id""#, "\"id\"\r\n\"b\"\r\n\"a\"\r\n"),
        ("", "\"id\"\r\n\"a\"\r\n\"b\"\r\n"),
    ] {
        let source = format!(r#"{{"table": {{"primaryKey": [{key}]}}, "csv": "\"id\"\n\"b\"\n\"a\"\n"}}"#);
        let rendered = one(ObjectKey::Sample("in.c-main.t".into()), &source);
        assert_eq!(rendered.files[0].content, expected, "{key}");
    }
}

fn job(id: u32, status: &str, end: &str, seconds: u32) -> Rendered {
    let source = format!(
        r#"{{"id": "{id}", "runId": "{id}", "status": "{status}", "component": "keboola.ex-db", "config": "1", "branchId": "11",
            "project": {{"id": "7"}}, "startTime": "2026-01-13T19:00:00+01:00", "endTime": "{end}", "durationSeconds": {seconds},
            "result": {{"message": "Said \"no\"", "configVersion": "3", "error": {{"type": "user"}},
                "input": {{"tables": [{{"id": "in.c-a.t", "columns": [{{"name": "id"}}]}}]}}, "output": {{"tables": []}},
                "artifacts": {{"uploaded": [{{"storageFileId": "55"}}]}}}}}}"#
    );
    one(ObjectKey::Job(id.to_string()), &source)
}

#[test]
fn a_finished_run_gives_a_line_of_its_day_and_a_step_of_health() {
    let rendered = job(5, "error", "2026-01-14T00:30:00+01:00", 60);
    assert!(rendered.files.is_empty());
    let shown: String = rendered
        .entries
        .iter()
        .map(|entry| {
            format!(
                "{:?} {} {}\n{}\n",
                entry.kind, entry.shard, entry.key, entry.value
            )
        })
        .collect();
    expect![[r#"
        JobDay 2026/01/13 5
        {"runId":"5","projectId":"7","branchId":"11","componentId":"keboola.ex-db","configId":"1","configVersion":3,"status":"FAILED","nativeStatus":"error","startedAt":"2026-01-13T18:00:00Z","finishedAt":"2026-01-13T23:30:00Z","durationSeconds":60,"inputs":[{"table":"in.c-a.t","columns":["id"]}],"outputs":[],"artifactLinks":["storage-file:55"],"message":"Said \"no\"","errorType":"user"}
        JobHealth  keboola.ex-db/1
        {"runId":"5","projectId":"7","branchId":"11","componentId":"keboola.ex-db","configId":"1","configVersion":3,"status":"FAILED","nativeStatus":"error","startedAt":"2026-01-13T18:00:00Z","finishedAt":"2026-01-13T23:30:00Z","durationSeconds":60,"inputs":[{"table":"in.c-a.t","columns":["id"]}],"outputs":[],"artifactLinks":["storage-file:55"],"message":"Said \"no\"","errorType":"user"}
    "#]].assert_eq(&shown);
    assert_eq!(job(5, "processing", "", 0), Rendered::default());
    let odd = one(
        ObjectKey::Job("1".into()),
        r#"{"status": "terminated", "createdTime": "2026-01-14T00:30:00Z", "result": []}"#,
    );
    assert_eq!(
        odd.entries.len(),
        1,
        "a run without a configuration is of nobody's health"
    );
}

fn entries(rendered: impl IntoIterator<Item = Rendered>, kind: IndexKind) -> Vec<Entry> {
    rendered
        .into_iter()
        .flat_map(|one| one.entries)
        .filter(|entry| entry.kind == kind)
        .collect()
}

#[test]
fn a_day_is_sorted_by_the_time_runs_finished_and_cut_into_segments() {
    let line = |id: u32, finished: u32| Entry {
        kind: IndexKind::JobDay,
        shard: "2026/01/13".into(),
        key: format!("{id:04}"),
        value: format!(
            r#"{{"runId":"{id}","finishedAt":"{finished:06}","message":"{}"}}"#,
            "x".repeat(1000)
        ),
    };
    let given: Vec<Entry> = (0..1000).map(|id| line(id, 1000 - id)).collect();
    let gathered = gather(&context(), SETTINGS, IndexKind::JobDay, "2026/01/13", &given).unwrap();
    assert_eq!(gathered.keep, None);
    let shape: Vec<_> = gathered
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.content.lines().count()))
        .collect();
    expect![[r#"
        [
            (
                "jobs/2026/01/13.jsonl",
                475,
            ),
            (
                "jobs/2026/01/13-2.jsonl",
                475,
            ),
            (
                "jobs/2026/01/13-3.jsonl",
                50,
            ),
        ]
    "#]]
    .assert_debug_eq(&shape);
    assert!(gathered.files[0].content.starts_with(r#"{"runId":"999","#));
    let mut again = given.clone();
    again.insert(1, line(0, 1000));
    let repeated = gather(&context(), SETTINGS, IndexKind::JobDay, "2026/01/13", &again).unwrap();
    assert_eq!((repeated.files, repeated.keep), (gathered.files, Some(given)));
}

fn health(entries: &[Entry]) -> (String, Vec<Entry>) {
    let gathered = gather(&context(), SETTINGS, IndexKind::JobHealth, "", entries).expect("runs");
    let content = gathered.files.iter().map(|file| file.content.clone()).collect();
    (content, gathered.keep.unwrap_or_else(|| entries.to_vec()))
}

fn runs(count: u32) -> Vec<Rendered> {
    (1..=count)
        .map(|id| {
            let status = if id == 3 || id == 4 { "error" } else { "success" };
            job(id, status, &format!("2026-01-{id:02}T20:00:00+01:00"), id * 10)
        })
        .collect()
}

#[test]
fn health_says_streak_last_results_and_usual_duration() {
    let (content, _) = health(&entries(runs(4), IndexKind::JobHealth));
    expect![[r#"
        {"componentId":"keboola.ex-db","configId":"1","status":"failing","streak":{"status":"FAILED","count":2,"since":"2026-01-03T19:00:00Z"},"lastSuccess":{"runId":"2","finishedAt":"2026-01-02T19:00:00Z","configVersion":3},"lastFailure":{"runId":"4","finishedAt":"2026-01-04T19:00:00Z","configVersion":3,"message":"Said \"no\"","errorType":"user"},"durationSecondsP50":10,"durationSecondsP95":20,"recent":[["4","FAILED","2026-01-04T19:00:00Z",40],["3","FAILED","2026-01-03T19:00:00Z",30],["2","SUCCESS","2026-01-02T19:00:00Z",20],["1","SUCCESS","2026-01-01T19:00:00Z",10]]}
    "#]].assert_eq(&content);
}

#[test]
fn health_is_the_same_however_often_and_in_which_steps_runs_are_counted() {
    let all = entries(runs(25), IndexKind::JobHealth);
    let (expected, state) = health(&all);
    assert!(
        expected.contains(r#""streak":{"status":"SUCCESS","count":21,"since":"2026-01-05T19:00:00Z"}"#),
        "{expected}"
    );
    assert_eq!(health(&state), (expected.clone(), state.clone()), "nothing new");
    for step in [1, 3, 7] {
        let mut kept: Vec<Entry> = Vec::new();
        for runs in all.chunks(step) {
            kept.extend(runs.iter().cloned());
            kept = health(&kept).1;
        }
        assert_eq!(health(&kept).0, expected, "in steps of {step}");
        kept.extend(all.iter().cloned());
        assert_eq!(health(&kept).0, expected, "all runs again after steps of {step}");
    }
    let mut shuffled = all[..10].to_vec();
    shuffled.reverse();
    assert_eq!(health(&shuffled).0, health(&all[..10]).0);
}

#[test]
fn a_cancelled_run_says_nothing_of_health() {
    let cancelled = job(9, "terminated", "2026-01-09T20:00:00+01:00", 5);
    let (content, _) = health(&entries(
        runs(4).into_iter().chain([cancelled]),
        IndexKind::JobHealth,
    ));
    assert!(
        content.contains(r#""status":"failing","streak":{"status":"FAILED","count":2,"#),
        "{content}"
    );
}

#[test]
fn withheld_objects_are_listed_while_there_are_any() {
    let entry = |key: &str, reason: &str| Entry {
        kind: IndexKind::Withheld,
        shard: String::new(),
        key: key.into(),
        value: format!(r#"{{"object": "{key}", "path": null, "reason": "{reason}", "version": 2}}"#),
    };
    let given = [
        entry("bucket in.c-main", "x"),
        entry("c/1", "old"),
        entry("c/1", "new"),
        entry("c/2", "x"),
        // Their files are made of what others tell too, so they have a place whatever became of them.
        entry("table in.c-main.Orders", "x"),
    ];
    let gathered = gather(&context(), SETTINGS, IndexKind::Withheld, "", &given).unwrap();
    expect![[r#"
        === ai/withheld.jsonl
        {"object":"bucket in.c-main","path":"storage/metadata/in.c-main/bucket.json","reason":"x","version":2}
        {"object":"c/1","path":null,"reason":"new","version":2}
        {"object":"c/2","path":null,"reason":"x","version":2}
        {"object":"table in.c-main.Orders","path":"storage/metadata/in.c-main/Orders.json","reason":"x","version":2}
    "#]]
    .assert_eq(&show(&gathered.files, &[""]));
    assert_eq!(gathered.keep.map(|keep| keep.len()), Some(4));
    assert!(
        gather(&context(), SETTINGS, IndexKind::Withheld, "", &[])
            .unwrap()
            .files
            .is_empty()
    );
}

fn some_project() -> Vec<Object> {
    let version = r#""version": 4, "versionIdentifier": "01A""#;
    let mut objects: Vec<Object> = [
        ("-", r#"{"id": 11, "name": "Main", "isDefault": true}"#.to_owned()),
        ("keboola.ex-db/1", format!(r#"{{"name": "A", {version}, "configuration": {{"variables_id": "v", "variables_values_id": "d"}}}}"#)),
        ("keboola.ex-db/1/r", format!(r#"{{"name": "R", {version}}}"#)),
        ("keboola.variables/v", format!(r#"{{"name": "V", {version}}}"#)),
        ("keboola.variables/v/d", format!(r#"{{"name": "D", {version}}}"#)),
        ("keboola.shared-code/s", format!(r#"{{"name": "S", {version}, "configuration": {{"componentId": "c"}}}}"#)),
        ("keboola.shared-code/s/r", format!(r#"{{"name": "R", {version}, "configuration": {{"variables_id": "w"}}}}"#)),
        ("keboola.variables/w", format!(r#"{{"name": "W", {version}}}"#)),
        ("keboola.shared-code/n", format!(r#"{{"name": "N", {version}}}"#)),
        ("keboola.shared-code/n/r", format!(r#"{{"name": "R", {version}}}"#)),
        ("keboola.scheduler/1", format!(r#"{{"name": "S", {version}, "configuration": {{"target": {{"componentId": "keboola.ex-db", "configurationId": "1"}}}}}}"#)),
        ("keboola.sandboxes/1", format!(r#"{{"name": "Left out", {version}}}"#)),
    ]
    .iter()
    .map(|(key, source)| object(key, source))
    .collect();
    objects[1].metadata = vec![("k".into(), "v".into())];
    objects
}

#[test]
fn what_was_rendered_is_recovered() {
    let objects = some_project();
    let placed = place(SETTINGS, &objects);
    let (mut files, mut wanted) = split(render(&context(), SETTINGS, &placed).unwrap());
    files.extend(shards(
        SETTINGS,
        &[IndexKind::Catalog, IndexKind::Lineage],
        &wanted,
    ));
    // These arise anew when everything is rendered after a loss.
    wanted.retain(|entry| entry.kind == IndexKind::Manifest);
    files.extend(
        gather(&context(), SETTINGS, IndexKind::Manifest, "", &wanted)
            .unwrap()
            .files,
    );
    let days = entries(runs(3), IndexKind::JobDay);
    for day in &days {
        files.extend(
            gather(
                &context(),
                SETTINGS,
                IndexKind::JobDay,
                &day.shard,
                std::slice::from_ref(day),
            )
            .unwrap()
            .files,
        );
    }
    let (_, state) = health(&entries(runs(25), IndexKind::JobHealth));
    files.extend(
        gather(&context(), SETTINGS, IndexKind::JobHealth, "", &state)
            .unwrap()
            .files,
    );
    wanted.extend(days);
    wanted.extend(state);
    wanted.sort_by(|left, right| {
        (left.kind, &left.shard, &left.key).cmp(&(right.kind, &right.shard, &right.key))
    });

    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let choice = recoverable(SETTINGS, &paths);
    let kept: Vec<File> = files
        .into_iter()
        .zip(choice)
        .filter(|(_, wanted)| *wanted)
        .map(|(file, _)| file)
        .collect();
    let recovered = recover(&context(), SETTINGS, &kept).unwrap();
    assert_eq!(recovered.entries, wanted);
    assert_eq!(recovered.objects.len(), objects.len());
    for found in recovered.objects {
        let object = placed
            .iter()
            .find(|placed| placed.object.key == found.key)
            .unwrap();
        assert_eq!(
            (&found.path, &found.parent),
            (&object.path, &object.parent),
            "{}",
            found.key
        );
        let version = if found.key == ObjectKey::Branch {
            (0, "")
        } else {
            (4, "01A")
        };
        assert_eq!(
            (found.version, found.version_identifier.as_str()),
            version,
            "{}",
            found.key
        );
    }
}

#[test]
fn only_files_that_tell_of_state_are_recoverable() {
    for (path, expected) in [
        ("configs/.keboola/manifest.json", true),
        ("configs-extra/c/1.json", true),
        ("configs-extra/c/1/rows/2.json", true),
        ("jobs/2026/01/13.jsonl", true),
        ("jobs/2026/01/13-12.jsonl", true),
        ("jobs/2026/01/13-totals.jsonl", true),
        ("jobs/2026/01/13-totals-2.jsonl", true),
        ("jobs/health.jsonl", true),
        ("jobs/health-2.jsonl", true),
        ("jobs/1.2.json", true),
        ("ai/withheld.jsonl", true),
        ("jobs/2026/01/13-.jsonl", false),
        ("jobs/2026/01/13-total.jsonl", false),
        ("jobs/health-.jsonl", false),
        ("jobs/2026-01/13.jsonl", false),
        ("jobs/é026/01/1.jsonl", false),
        ("configs/main/meta.json", false),
        ("storage/metadata/in.c-main/orders.json", false),
        ("ai/catalog/keboola.ex-db.jsonl", false),
        ("AGENTS.md", false),
    ] {
        assert_eq!(recoverable(SETTINGS, &[path.into()]), [expected], "{path}");
    }
}

#[test]
fn errors_name_the_object_and_never_its_content() {
    let broken = object("c/1", r#"{"password": "hunter2" oops"#);
    let error = inspect(&context(), SETTINGS, &[object("c/0", "{}"), broken]).unwrap_err();
    assert_eq!(error.item(), Some(1));
    assert_eq!(
        error.to_string(),
        "the source of c/1 is not usable: a JSON object is malformed"
    );
    let error = inspect(&context(), r#"{"sortBy": "name"}"#, &[]).unwrap_err();
    assert_eq!(
        error,
        LayoutError::Settings {
            problem: "`sortBy` is neither `id` nor `path`"
        }
    );
    let mut placed = place(
        SETTINGS,
        &[object("c/1", r#"{"configuration": {"variables_id": "v"}}"#)],
    );
    placed[0].references.clear();
    let error = render(&context(), SETTINGS, &placed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "c/1 has 0 resolved references, its inspection has 1; inspect it again"
    );
}

#[test]
fn foreign_files_are_refused_by_name() {
    let check = |path: &str, content: &str| {
        let file = File {
            path: path.into(),
            kind: layout_renderer::DocumentKind::Index,
            content: content.into(),
        };
        recover(&context(), SETTINGS, &[file]).unwrap_err().to_string()
    };
    let wrong = r#"{"componentId": "c", "configId": "2"}"#;
    assert_eq!(
        check("configs-extra/c/1.json", wrong),
        "file `configs-extra/c/1.json` is not one that this renderer made: it names another object than its path"
    );
    assert!(check("jobs/health.jsonl", "{}").contains("a line does not name its object"));
    assert!(check("configs/.keboola/manifest.json", "<<<<<<<").contains("a JSON value is malformed"));
}
