//! Samples of tables: what is in them, what is cut, and when they change.

use crate::support::{Installation, JANE, Keboola, Options, until};
use serde_json::{Value, json};

const CSV: &str = "storage/samples/in.c-shop/orders.csv";
const JSON: &str = "storage/samples/in.c-shop/orders.json";

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_csv_and_json_ordered_by_key_and_changes_only_with_its_table() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let csv = site.repository.file("main", CSV).expect("there is a sample");
    assert_eq!(
        csv,
        "\"id\",\"name\"\r\n\"1\",\"Bread\"\r\n\"2\",\"Milk, 1 l\"\r\n"
    );
    let twin: Value =
        serde_json::from_str(&site.repository.file("main", JSON).expect("and its twin")).expect("it is JSON");
    assert_eq!(twin["rows"], json!([["1", "Bread"], ["2", "Milk, 1 l"]]));

    // Data changes, and nothing tells of it: the sample stays, whatever else changes.
    let change = keboola.by(JANE, "");
    keboola
        .change_preview("in.c-shop.orders", "\"id\",\"name\"\n\"3\",\"Salt\"\n", &change)
        .expect("there is such a table");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert_eq!(site.repository.file("main", CSV).as_deref(), Some(csv.as_str()));
    // A run that wrote the table tells of it.
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    assert_eq!(
        site.repository.file("main", CSV).as_deref(),
        Some("\"id\",\"name\"\r\n\"3\",\"Salt\"\r\n")
    );
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_cells_and_files_are_cut_after_redaction_and_say_so() {
    let keboola = Keboola::small();
    let token = ["ghp_", "x7Kq2mVbT9zR4wYh1L", "pD8sNcF6gJ3aQe5uXi"].concat();
    let rows: String = (10..40)
        .map(|n| format!("\"{n}\",\"{}\"\n", "x".repeat(60)))
        .collect();
    let csv = format!(
        "\"id\",\"name\"\n\"1\",\"{} {token}\"\n\"2\",\"ž\"\n{rows}",
        "y".repeat(40)
    );
    keboola
        .change_preview("in.c-shop.orders", &csv, &keboola.by(JANE, ""))
        .expect("there is such a table");
    let site = Installation::new(
        &keboola,
        Options {
            mirror: "sample_limits = { rows_max = 30, cell_bytes_max = 50, file_bytes_max = 1500 }",
            ..Options::default()
        },
    );
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let csv = site.repository.file("main", CSV).expect("there is a sample");
    assert!(csv.len() <= 1_500, "{}", csv.len());
    assert!(
        !csv.contains("ghp_"),
        "no secret is cut so that nobody knows it: {csv}"
    );
    let second = csv.lines().nth(1).expect("a row");
    assert!(
        second.starts_with(&format!("\"1\",\"{} …[CUT: ", "y".repeat(40))),
        "{second}"
    );
    assert!(
        csv.contains(&format!("\"{}…[CUT: 60 bytes]\"", "x".repeat(50))),
        "{csv}"
    );
    let twin: Value =
        serde_json::from_str(&site.repository.file("main", JSON).expect("and its twin")).expect("it is JSON");
    let kept = csv.lines().count() - 1;
    assert_eq!(twin["rows"].as_array().map(Vec::len), Some(kept));
    // The second row is short; thirty were asked for.
    assert_eq!(twin["cut"], json!({"cells": kept - 1, "rows": 30 - kept}));
    let cell = second
        .split("\",\"")
        .nth(1)
        .map(|cell| cell.trim_end_matches('"'));
    assert_eq!(twin["rows"][0][1].as_str(), cell);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_its_preview_has_no_sample_and_the_status_says_so() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let main = keboola.main();
    let refuse = |times| fake_keboola::Fault {
        path: format!("/v2/storage/branch/{main}/tables/in.c-shop.orders/data-preview"),
        times,
        kind: fake_keboola::FaultKind::Answer {
            status: 400,
            content_type: "application/json".into(),
            body: "{\"error\": \"no preview\", \"code\": \"storage.tables.noPreview\"}".into(),
        },
    };
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert!(site.repository.file("main", CSV).is_some());
    keboola.fail(refuse(u32::MAX));
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    assert_eq!(
        site.repository.file("main", CSV),
        None,
        "what it had is of other data"
    );
    let told = until("the status tells", async || {
        let lane = server.lane(&main).await;
        lane["noSample"]
            .as_array()
            .filter(|told| !told.is_empty())
            .cloned()
    });
    let told = told.await;
    assert_eq!(
        told,
        [json!({"table": "in.c-shop.orders", "reason": "the preview was refused"})]
    );
    keboola.heal();
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    assert!(site.repository.file("main", CSV).is_some());
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_tables_by_id_have_samples() {
    let keboola = Keboola::small();
    let site = Installation::new(
        &keboola,
        Options {
            mirror: "sample_limits = { tables_max = 1 }",
            ..Options::default()
        },
    );
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let sampled = || -> Vec<String> {
        let files = site.repository.files("main").into_keys();
        files
            .filter(|path| path.starts_with("storage/samples/"))
            .collect()
    };
    assert_eq!(sampled(), [CSV, JSON]);
    // One that comes before takes its place.
    let table = json!({"id": "in.c-shop.first", "name": "first", "columns": ["a"], "primaryKey": ["a"], "bucket": {"id": "in.c-shop"}});
    keboola
        .put_table(table, &keboola.by(JANE, ""))
        .expect("tables have ids");
    keboola
        .change_preview("in.c-shop.first", "\"a\"\n\"1\"\n", &keboola.by(JANE, ""))
        .expect("there is such a table");
    keboola.run(&keboola.orders(), "success", &["in.c-shop.first"]);
    site.settle(&mut server).await;
    let expected = [
        "storage/samples/in.c-shop/first.csv",
        "storage/samples/in.c-shop/first.json",
    ];
    assert_eq!(sampled(), expected);
    site.check(&[]);
    server.stop().await;
}
