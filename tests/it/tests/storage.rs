//! Storage that changes without a version and without an event: is it found, and does a load make no commit?

use crate::support::{Installation, JANE, Keboola, MIRROR, Options, Server, command, run, until};
use serde_json::{Value, json};
use std::sync::Arc;

/// Compares all the time, and waits for no event.
const AT_ONCE: &str =
    "visible_within_ms = 0\n[reconcile]\nevery_ms = 1000\ngrace_ms = 0\nrender_every_ms = 0";
const NEVER: &str = "visible_within_ms = 0\n[reconcile]\nevery_ms = 0\nrender_every_ms = 0";
const TYPED: &str = "in.c-shop.typed";
const FILE: &str = "storage/metadata/in.c-shop/typed.json";

/// A typed table; no listing shows its `definition`. The figures, dates and partitions are those of a number of loads.
fn typed(kind: &str, nullable: bool, key: &str, loads: u64) -> Value {
    let at = format!("2026-11-02T08:00:{:02}+0000", loads % 60);
    let by = |key: &str, value: String| json!({ "id": "7", "key": key, "value": value, "provider": "system", "timestamp": at });
    json!({
        "id": TYPED, "name": "typed", "displayName": "typed", "primaryKey": ["id"], "columns": ["id", "price"],
        "isAlias": false, "isTyped": true, "created": "2026-11-01T10:00:00+0100", "rowsCount": loads,
        "dataSizeBytes": loads * 100, "lastImportDate": at, "lastChangeDate": at,
        "metadata": [by("KBC.lastUpdatedBy.component.id", format!("keboola.ex-{}", loads % 2)), by("KBC.createdBy.component.id", "keboola.ex-shop".into())],
        "columnMetadata": { "price": [by("KBC.description", "What it costs".into())] },
        "bucket": { "id": "in.c-shop", "lastChangeDate": at, "rowsCount": loads },
        "definition": {
            "primaryKeysNames": [key],
            "clustering": { "fields": [key] },
            "partitions": [{ "partitionId": "1", "rowsNumber": loads }],
            "columns": [
                { "name": "id", "basetype": "INTEGER", "definition": { "type": "INTEGER", "nullable": false } },
                { "name": "price", "basetype": "NUMERIC", "definition": { "type": kind, "length": "38,2", "nullable": nullable } },
            ],
        },
    })
}

fn put(keboola: &Keboola, table: Value) {
    let put = keboola.put_table(table, &keboola.by(JANE, ""));
    put.expect("it has an id");
}

fn bucket(description: &str) -> Value {
    json!({
        "id": "in.c-empty", "name": "c-empty", "displayName": "empty", "stage": "in", "description": description,
        "created": "2026-11-01T10:00:00+0100", "lastChangeDate": null, "rowsCount": 0, "dataSizeBytes": 0, "metadata": [],
    })
}

fn site(keboola: &Arc<Keboola>, settings: &'static str, mirror: &'static str) -> Installation {
    let options = Options {
        dev_branches: false,
        samples: false,
        keboola: settings,
        mirror,
        ..Options::default()
    };
    Installation::new(keboola, options)
}

fn file(site: &Installation, path: &str) -> Option<Value> {
    let tip = site.repository.tip("main")?;
    let files = site.repository.files(&tip);
    files.contains_key(path).then_some(())?;
    let content = site.repository.contents(&tip, &[path.to_owned()]).pop()?;
    Some(serde_json::from_str(&content).expect("it is JSON"))
}

async fn count(server: &Server, metric: &str) -> f64 {
    server.metric(metric).await.unwrap_or_default()
}

const COMPARED: &str = "reconcile_comparisons_total{outcome=\"ok\"}";
const LOOKED: &str = "polls_total{outcome=\"ok\"}";

/// Waits until so many more looks have ended; one of them may have been under way.
async fn looked_again(server: &Server, metric: &str) {
    let before = count(server, metric).await;
    until("it is looked at again", async || {
        (count(server, metric).await >= before + 2.0).then_some(())
    })
    .await;
}

/// Waits until the column `price` is mirrored with a member as given.
async fn shows(site: &Installation, member: &str, value: Value) {
    until("the new definition is mirrored", async || {
        let columns = file(site, FILE)?["columns"].as_array()?.clone();
        let price = columns.iter().find(|column| column["name"] == "price")?;
        (price[member] == value).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_definition_that_no_listing_shows_is_found_by_the_comparison_and_a_load_is_not() {
    let keboola = Keboola::small();
    put(&keboola, typed("NUMBER", true, "id", 1));
    let site = site(&keboola, AT_ONCE, "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    shows(&site, "type", json!("NUMBER")).await;
    looked_again(&server, COMPARED).await;

    put(&keboola, typed("DECIMAL", true, "id", 1));
    shows(&site, "type", json!("DECIMAL")).await;
    put(&keboola, typed("DECIMAL", false, "id", 1));
    shows(&site, "nullable", json!(false)).await;
    put(&keboola, typed("DECIMAL", false, "price", 1));
    until("it is laid out otherwise", async || {
        let clustering = &file(&site, FILE)?["sharding"]["clustering"]["fields"];
        (*clustering == json!(["price"])).then_some(())
    })
    .await;
    site.hand_over();
    site.settle(&mut server).await;
    site.check(&[]);

    let repairs = "reconcile_repairs_total{kind=\"storage_changed\"}";
    let before = (site.repository.count("main"), count(&server, repairs).await);
    assert_eq!(before.1, 3.0, "each change was found, once");
    for loads in 2..=4 {
        put(&keboola, typed("DECIMAL", false, "price", loads));
        looked_again(&server, COMPARED).await;
    }
    site.settle(&mut server).await;
    let after = (site.repository.count("main"), count(&server, repairs).await);
    assert_eq!(after, before, "a load is no change of a structure");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_definition_that_changed_before_the_first_comparison_is_found_by_it() {
    let keboola = Keboola::small();
    put(&keboola, typed("NUMBER", true, "id", 1));
    let mut site = site(&keboola, NEVER, "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    put(&keboola, typed("DECIMAL", true, "id", 1));
    server.stop().await;
    site.configure(|options| options.keboola = AT_ONCE);
    let server = site.start().await;
    shows(&site, "type", json!("DECIMAL")).await;
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn buckets_without_tables_come_change_and_go_as_others_do() {
    for (settings, mirror, looks) in [
        (AT_ONCE, "", COMPARED),
        (
            NEVER,
            "poll = { enabled = true, every_ms = 1000, unversioned_every_ms = 1000, hints_every_ms = 0 }",
            LOOKED,
        ),
    ] {
        let keboola = Keboola::small();
        let site = site(&keboola, settings, mirror);
        let mut server = site.start().await;
        site.settle(&mut server).await;
        looked_again(&server, looks).await;
        let path = "storage/metadata/in.c-empty/bucket.json";
        let description = || Some(file(&site, path)?["description"].clone());
        for said in ["nothing yet", "soon"] {
            keboola.put_bucket(bucket(said)).expect("it has an id");
            until("the bucket is mirrored", async || {
                (description() == Some(json!(said))).then_some(())
            })
            .await;
        }
        assert_eq!(site.repository.log("main")[0].subject, "Update 1 bucket");
        site.check(&[]);
        keboola.drop_bucket("in.c-empty").expect("it is empty");
        until("the bucket is gone", async || {
            (description().is_none() && site.is_settled()).then_some(())
        })
        .await;
        site.check(&[]);
        let commits = site.repository.count("main");
        looked_again(&server, looks).await;
        assert_eq!(site.repository.count("main"), commits);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_runs_it_once_now_and_then_asks_for_definitions_as_often_as_is_compared() {
    let keboola = Keboola::small();
    put(&keboola, typed("NUMBER", true, "id", 1));
    let mut site = site(&keboola, NEVER, "");
    let once = |site: &Installation| {
        let mut command = command();
        command
            .args(["once", "--mirror", MIRROR, "--config"])
            .arg(site.path("mirror.toml"));
        run(&mut command).ok();
    };
    once(&site);
    put(&keboola, typed("DECIMAL", true, "id", 1));
    keboola.forget_requests();
    once(&site);
    let detail = format!("/v2/storage/branch/{}/tables/{TYPED}", keboola.main());
    assert_eq!(keboola.requests(&detail), 0, "it is not due");
    site.configure(|options| options.keboola = AT_ONCE);
    until("a second is over, and it is found", async || {
        once(&site);
        let columns = file(&site, FILE)?["columns"].clone();
        (columns[1]["type"] == "DECIMAL").then_some(())
    })
    .await;
    site.check(&[]);
}

/// A table of one column.
fn plain(bucket: &str, name: &str) -> Value {
    json!({
        "id": format!("{bucket}.{name}"), "name": name, "displayName": name, "primaryKey": [], "columns": ["a"],
        "isAlias": false, "created": "2026-11-01T10:00:00+0100", "rowsCount": 1, "dataSizeBytes": 1,
        "lastImportDate": "2026-11-01T10:00:00+0100", "lastChangeDate": "2026-11-01T10:00:00+0100",
        "metadata": [], "columnMetadata": {},
        "bucket": { "id": bucket, "lastChangeDate": "2026-11-01T10:00:00+0100", "rowsCount": 1 },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_tables_that_differ_in_case_only_one_is_mirrored_and_the_others_are_named_as_withheld() {
    let keboola = Keboola::small();
    for (bucket, name) in [
        ("in.c-case", "T"),
        ("in.c-case", "t"),
        ("in.c-CASE", "x"),
        ("in.c-Own", "Upper"),
    ] {
        put(&keboola, plain(bucket, name));
    }
    let site = site(&keboola, NEVER, "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let listed = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .expect("it is listed");
    let lines = listed
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"));
    let objects: Vec<String> = lines
        .map(|line: Value| line["object"].as_str().unwrap_or_default().to_owned())
        .collect();
    let status = server.lane(&keboola.main()).await;
    assert_eq!(
        status["withheld"].as_array().map(Vec::len),
        Some(objects.len()),
        "{status}"
    );
    assert_eq!(status["withheldFiles"], json!({}), "{status}");
    assert!(
        objects
            .iter()
            .any(|object| object.eq_ignore_ascii_case("table in.c-case.t")),
        "{objects:?}"
    );
    assert!(
        objects
            .iter()
            .any(|object| object.eq_ignore_ascii_case("table in.c-case.x") || object == "table in.c-case.T"),
        "{objects:?}"
    );
    let tip = site.repository.tip("main").expect("there is a commit");
    let files = site.repository.files(&tip);
    assert!(
        files.contains_key("storage/metadata/in.c-Own/Upper.json"),
        "it is alone"
    );
    let folded: std::collections::BTreeSet<String> = files.keys().map(|path| path.to_lowercase()).collect();
    assert_eq!(
        folded.len(),
        files.len(),
        "no two files are one where case does not count"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_that_nobody_knows_are_kept_of_typed_tables() {
    let keboola = Keboola::small();
    let table = |typed: bool, class: &str, loads: u64| {
        let mut table = match typed {
            true => self::typed("NUMBER", true, "id", loads),
            false => plain("in.c-shop", "plain"),
        };
        // No listing has the last one.
        table["dataClass"] = json!(class);
        table["statistics"] = json!({ "rowsCountOnDisk": loads, "layout": "columns" });
        table["detailedClass"] = json!(class);
        table
    };
    let put_both = |class: &str, loads: u64| {
        for typed in [false, true] {
            put(&keboola, table(typed, class, loads));
        }
    };
    put_both("public", 1);
    let site = site(&keboola, AT_ONCE, "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let others = || {
        ["storage/metadata/in.c-shop/plain.json", FILE].map(|path| {
            let file = file(&site, path).expect("it is mirrored");
            file["other"].clone()
        })
    };
    // A table without types is asked for by itself or listed, and the two have different ones.
    let of = |class: &str| {
        let typed =
            json!({ "dataClass": class, "statistics": { "layout": "columns" }, "detailedClass": class });
        [serde_json::Value::Null, typed]
    };
    assert_eq!(others(), of("public"));

    // One by one, as they are found to differ: by a process that has listed all of them to mirror them, and by one that has not.
    put_both("internal", 2);
    let mirrored = async |class: &str| {
        until("it is mirrored anew", async || {
            (others() == of(class)).then_some(())
        })
        .await;
    };
    mirrored("internal").await;
    let commits = site.repository.count("main");
    put_both("internal", 3);
    looked_again(&server, COMPARED).await;
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), commits, "a load is no change");
    server.stop().await;
    put_both("secret", 4);
    let mut server = site.start().await;
    mirrored("secret").await;
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}
