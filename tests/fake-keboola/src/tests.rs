//! The fake against plain HTTP requests: what it answers, refuses, remembers and forgets.

use crate::{
    Author, Change, ConfigAt, Fake, FakeConfig, FakeError, Fault, FaultKind, JobSpec, JobTable, small_project,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{fs, io::Write};

fn start() -> Fake {
    Fake::start(small_project(), FakeConfig::default()).unwrap()
}

fn at(second: i64) -> Timestamp {
    // With a fraction, which Keboola does not keep.
    Timestamp::new(1_780_000_000 + second, 250_000_000).unwrap()
}

fn change(second: i64, why: &str) -> Change {
    Change::by(7, "jane@example.com", why, at(second))
}

fn orders() -> ConfigAt {
    ConfigAt::new("5", "keboola.ex-shop", "orders")
}

async fn get_as(fake: &Fake, token: &str, path: &str) -> (u16, Value) {
    let request = reqwest::Client::new()
        .get(format!("{}{path}", fake.url()))
        .header("X-StorageApi-Token", token);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null),
    )
}

async fn get(fake: &Fake, path: &str) -> (u16, Value) {
    get_as(fake, fake.token(), path).await
}

const ORDERS: &str = "/v2/storage/branch/5/components/keboola.ex-shop/configs/orders";

#[tokio::test]
async fn every_call_needs_the_token() {
    let fake = start();
    for path in [
        "/v2/storage",
        "/v2/storage/dev-branches",
        "/queue/search/jobs",
        "/nowhere",
    ] {
        let (status, body) = get_as(&fake, "wrong", path).await;
        assert_eq!(
            (status, &body["code"]),
            (401, &json!("storage.tokenInvalid")),
            "{path}"
        );
    }
    assert_eq!(get(&fake, "/v2/storage").await.0, 200);
}

#[tokio::test]
async fn what_is_not_documented_is_refused() {
    let fake = start();
    let refused = [
        "/v2/storage/dev-branches?limit=1",
        "/v2/storage/branch/5/components?include=everything",
        "/v2/storage/branch/5/components?isDeleted=maybe",
        "/queue/search/jobs?config=orders",
        "/queue/search/jobs?limit=501",
        "/queue/search/jobs?limit=1&limit=2",
        "/queue/search/jobs?endTimeFrom=yesterday",
        "/v2/storage/branch/5/tables/in.c-shop.orders/data-preview?format=json",
        "/v2/storage/branch/5/tables/in.c-shop.orders/data-preview?format=rfc&limit=1001",
        "/v2/storage/branch/5/tables/in.c-shop.orders/data-preview?format=rfc&columns=nope",
        "/v2/storage/branch/5/tables/in.c-shop.wide/data-preview?format=rfc",
    ];
    for path in refused {
        assert_eq!(get(&fake, path).await.0, 400, "{path}");
    }
    for (path, code) in [
        ("/v2/storage/buckets", json!("notFound")),
        (
            "/v2/storage/branch/6/components",
            json!("storage.devBranch.notFound"),
        ),
        (
            "/v2/storage/branch/5/components/keboola.ex-shop/configs/nope",
            json!("storage.configuration.notFound"),
        ),
        (
            "/v2/storage/branch/5/components/keboola.ex-shop/configs/orders/versions/9",
            json!("storage.configuration.versionNotFound"),
        ),
        ("/queue/jobs/1", json!(404)),
    ] {
        let (status, body) = get(&fake, path).await;
        assert_eq!((status, &body["code"]), (404, &code), "{path}");
    }
}

#[tokio::test]
async fn writing_over_http_is_refused_and_counted() {
    let fake = start();
    let answer = reqwest::Client::new()
        .put(format!("{}{ORDERS}", fake.url()))
        .header("X-StorageApi-Token", fake.token())
        .send()
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), fake.write_attempts()), (405, 1));
}

#[tokio::test]
async fn a_change_makes_a_version_history_an_event_and_one_for_the_mirror() {
    let fake = start();
    let edit = |configuration: &mut Value| configuration["parameters"]["a"] = json!("changed");
    let made = fake
        .update_configuration(&orders(), &change(0, "Tried"), edit)
        .unwrap()
        .unwrap();
    assert_eq!(
        (made.version, made.outbox_seq, made.version_identifier.len()),
        (3, 1, 26)
    );

    let (_, detail) = get(&fake, ORDERS).await;
    assert_eq!(
        detail["currentVersion"],
        json!({
            "created": "2026-05-28T21:26:40+0100", "creatorToken": {"id": 7, "description": "jane@example.com"},
            "changeDescription": "Tried", "versionIdentifier": made.version_identifier,
        })
    );
    assert_eq!(
        (&detail["version"], &detail["created"]),
        (&json!(3), &json!("2026-01-05T09:00:00+0100"))
    );
    let (_, versions) = get(&fake, &format!("{ORDERS}/versions?limit=2&offset=0")).await;
    assert_eq!(
        (&versions[0]["version"], &versions[1]["version"], &versions[2]),
        (&json!(3), &json!(2), &Value::Null)
    );
    let (_, before) = get(&fake, &format!("{ORDERS}/versions/2")).await;
    assert_eq!(before["configuration"]["parameters"]["a"], json!({"b": [1, 2]}));
    assert_eq!(before["rows"].as_array().map(Vec::len), Some(2));

    let (_, events) = get(
        &fake,
        "/v2/storage/branch/5/events?q=event:storage.componentConfiguration*",
    )
    .await;
    assert_eq!(events[0]["event"], "storage.componentConfigurationChanged");
    assert_eq!(events[0]["params"]["version"], 3);
    let told: Value = serde_json::from_str(&fake.outbox(0)[0].json).unwrap();
    assert_eq!(
        told,
        json!({
            "type": "config_changed", "projectId": "123", "branchId": "5", "componentId": "keboola.ex-shop",
            "configId": "orders", "newVersion": 3, "versionIdentifier": made.version_identifier,
            "author": "jane@example.com", "committedAt": "2026-05-28T20:26:40Z",
            "diffRef": "5/keboola.ex-shop/orders/3",
        })
    );
}

#[tokio::test]
async fn a_change_without_a_difference_emits_nothing() {
    let fake = start();
    assert_eq!(
        fake.update_configuration(&orders(), &change(0, "x"), |_| {})
            .unwrap(),
        None
    );
    assert_eq!(
        fake.rename_configuration(&orders(), &change(0, "x"), "The orders")
            .unwrap(),
        None
    );
    assert_eq!(
        fake.update_row(&orders(), "first", &change(0, "x"), |_| {})
            .unwrap(),
        None
    );
    assert!(fake.outbox(0).is_empty());
    assert_eq!(
        fake.project(),
        Fake::start(small_project(), FakeConfig::default())
            .unwrap()
            .project()
    );
}

#[tokio::test]
async fn a_row_change_raises_the_versions_of_row_and_configuration() {
    let fake = start();
    let edit = |row: &mut Value| row["name"] = json!("Renamed");
    let made = fake
        .update_row(&orders(), "first", &change(0, "Row renamed"), edit)
        .unwrap()
        .unwrap();
    let (_, detail) = get(&fake, ORDERS).await;
    assert_eq!(
        (
            made.version,
            &detail["rows"][0]["version"],
            &detail["rows"][1]["version"]
        ),
        (3, &json!(2), &json!(1))
    );
    assert_ne!(
        detail["rows"][0]["versionIdentifier"],
        json!(made.version_identifier)
    );
    fake.create_row(&orders(), "third", &change(1, "more"), "Third", json!({}))
        .unwrap();
    fake.delete_row(&orders(), "first", &change(2, "less")).unwrap();
    let (_, rows) = get(&fake, &format!("{ORDERS}/rows")).await;
    let ids: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["second", "third"]);
    let (_, events) = get(&fake, "/v2/storage/events?sortOrder=asc").await;
    let names: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(
        names,
        ["Changed", "Created", "Deleted"].map(|word| format!("storage.componentConfigurationRow{word}"))
    );
}

#[tokio::test]
async fn a_deleted_configuration_is_gone_until_it_is_restored() {
    let fake = start();
    let deleted = fake
        .delete_configuration(&orders(), &change(0, "Deleted"))
        .unwrap();
    assert_eq!((deleted.version, get(&fake, ORDERS).await.0), (3, 404));
    let (_, trash) = get(&fake, "/v2/storage/branch/5/components?isDeleted=true").await;
    assert_eq!(trash[0]["configurations"][0]["version"], 3);
    assert_eq!(trash[0]["configurations"][0]["isDeleted"], true);
    let again = fake.delete_configuration(&orders(), &change(0, "Deleted"));
    assert!(matches!(again, Err(FakeError::UnknownConfiguration { .. })));

    let restored = fake.restore_configuration(&orders(), &change(1, "Back")).unwrap();
    let (status, detail) = get(&fake, ORDERS).await;
    assert_eq!(
        (restored.version, status, &detail["isDeleted"]),
        (4, 200, &json!(false))
    );
    assert_eq!(fake.outbox(0).len(), 2);
}

#[tokio::test]
async fn a_new_configuration_needs_a_component_and_a_free_id() {
    let fake = start();
    let new = ConfigAt::new("default", "keboola.flow", "nightly");
    let made = fake
        .create_configuration(&new, &change(0, "New"), "Nightly", json!({"tasks": []}))
        .unwrap();
    assert_eq!(made.version, 1);
    assert_eq!(
        get(
            &fake,
            "/v2/storage/branch/5/components/keboola.flow/configs/nightly"
        )
        .await
        .0,
        200
    );
    let again = fake.create_configuration(&new, &change(1, "New"), "Nightly", json!({}));
    assert!(matches!(again, Err(FakeError::ConfigurationExists { .. })));
    let other = ConfigAt::new("5", "keboola.nope", "x");
    let refused = fake.create_configuration(&other, &change(1, "New"), "x", json!({}));
    assert!(matches!(refused, Err(FakeError::UnknownComponent { .. })));
    assert_eq!(fake.outbox(0).len(), 1);
}

#[tokio::test]
async fn a_dev_branch_starts_with_copies_and_goes_its_own_way() {
    let fake = start();
    let branch = fake.create_branch("Feature x", "", &change(0, "")).unwrap();
    let there = ConfigAt::new(&branch, "keboola.ex-shop", "orders");
    let edit = |configuration: &mut Value| configuration["parameters"] = json!({});
    let made = fake
        .update_configuration(&there, &change(1, "only here"), edit)
        .unwrap()
        .unwrap();
    assert_eq!(made.version, 2);
    let (_, main) = get(&fake, ORDERS).await;
    assert_eq!(main["version"], 2);
    assert_eq!(main["configuration"]["parameters"]["z"], 1.5);
    fake.delete_branch(&branch, &change(2, "")).unwrap();
    assert_eq!(
        get(&fake, &format!("/v2/storage/branch/{branch}/components"))
            .await
            .0,
        404
    );
    assert!(matches!(
        fake.delete_branch("5", &change(3, "")),
        Err(FakeError::DefaultBranch)
    ));
}

fn job() -> JobSpec {
    JobSpec {
        at: orders(),
        status: "warning".into(),
        author: Author {
            token_id: 7,
            name: "ci-bot".into(),
        },
        started: at(0),
        ended: at(60),
        message: "done".into(),
        inputs: Vec::new(),
        outputs: vec![JobTable {
            table: "in.c-shop.orders".into(),
            columns: vec!["id".into()],
        }],
        artifact_links: Vec::new(),
    }
}

#[tokio::test]
async fn a_finished_job_is_found_and_told_and_touches_its_output() {
    let fake = start();
    let id = fake.finish_job(job()).unwrap();
    assert_eq!(id, "903");
    let (_, found) = get(
        &fake,
        "/queue/search/jobs?endTimeFrom=2026-05-28T20:00:00%2B00:00&status[]=warning",
    )
    .await;
    assert_eq!(
        found[0]["result"]["output"]["tables"][0]["id"],
        "in.c-shop.orders"
    );
    let told: Value = serde_json::from_str(&fake.outbox(0)[0].json).unwrap();
    assert_eq!(
        (&told["status"], &told["runId"], &told["configVersion"]),
        (&json!("SUCCESS"), &json!("903"), &json!(2))
    );
    let (_, table) = get(&fake, "/v2/storage/branch/5/tables/in.c-shop.orders").await;
    assert_eq!(table["lastImportDate"], "2026-05-28T21:27:40+0100");
    let refused = fake.finish_job(JobSpec {
        status: "processing".into(),
        ..job()
    });
    assert!(matches!(refused, Err(FakeError::UnknownStatus { .. })));
}

#[tokio::test]
async fn faults_hit_as_often_as_ordered() {
    let fake = start();
    let path = "/v2/storage/dev-branches";
    let kinds = [
        (FaultKind::Unauthorized, 401),
        (FaultKind::Forbidden, 403),
        (FaultKind::NotFound, 404),
        (
            FaultKind::RateLimited {
                retry_after: Some("7".into()),
            },
            429,
        ),
        (FaultKind::ServerError, 500),
        (
            FaultKind::Maintenance {
                retry_after_seconds: 60,
            },
            503,
        ),
        (
            FaultKind::Answer {
                status: 502,
                content_type: "text/html".into(),
                body: "<p>".into(),
            },
            502,
        ),
    ];
    for (kind, status) in kinds {
        fake.fail(Fault {
            path: path.into(),
            times: 1,
            kind,
        });
        assert_eq!(get(&fake, "/v2/storage/tokens/verify").await.0, 200);
        assert_eq!(get(&fake, path).await.0, status);
        assert_eq!(get(&fake, path).await.0, 200);
    }
    assert_eq!(fake.requests(path), 14);
}

#[tokio::test]
async fn a_late_version_becomes_visible_after_some_reads() {
    let fake = start();
    fake.hide_new_versions(2);
    fake.update_configuration(&orders(), &change(0, "x"), |configuration| {
        *configuration = json!({});
    })
    .unwrap();
    assert_eq!(fake.outbox(0).len(), 1);
    let mut seen = Vec::new();
    for path in [ORDERS, "/v2/storage/branch/5/components", ORDERS] {
        let (_, body) = get(&fake, path).await;
        seen.push(
            body.pointer("/0/configurations/0/version")
                .unwrap_or(&body["version"])
                .clone(),
        );
    }
    assert_eq!(seen, [2, 2, 3]);
    // Deleted, it stays visible for a while as it was last seen.
    fake.delete_configuration(&orders(), &change(1, "x")).unwrap();
    let seen = [
        get(&fake, ORDERS).await,
        get(&fake, ORDERS).await,
        get(&fake, ORDERS).await,
    ];
    assert_eq!(
        seen.map(|(status, body)| (status, body["version"].as_u64())),
        [(200, Some(3)), (200, Some(3)), (404, None)]
    );
}

#[tokio::test]
async fn more_requests_at_once_than_allowed_are_refused() {
    let fake = Fake::start(
        small_project(),
        FakeConfig {
            parallel_max: 1,
            ..FakeConfig::default()
        },
    )
    .unwrap();
    let path = "/v2/storage/dev-branches";
    fake.fail(Fault {
        path: path.into(),
        times: 1,
        kind: FaultKind::Slow(std::time::Duration::from_millis(300)),
    });
    let (first, second) = tokio::join!(get(&fake, path), async {
        while fake.requests(path) == 0 {
            tokio::task::yield_now().await;
        }
        get(&fake, path).await
    });
    assert_eq!((first.0, second.0, fake.parallel_seen()), (200, 429, 2));
}

#[tokio::test]
async fn waiting_for_the_outbox_ends_with_the_next_event() {
    let fake = start();
    let (events, ()) = tokio::join!(fake.outbox_after(0), async {
        tokio::task::yield_now().await;
        fake.delete_configuration(&orders(), &change(0, "x")).unwrap();
    });
    assert_eq!(events.len(), 1);
    assert!(fake.outbox(1).is_empty());
}

fn journaled(directory: &std::path::Path) -> Result<Fake, FakeError> {
    let journal = Some(directory.to_path_buf());
    Fake::start(
        small_project(),
        FakeConfig {
            journal,
            ..FakeConfig::default()
        },
    )
}

/// Makes a change of each kind.
fn play(fake: &Fake) {
    let edit = |configuration: &mut Value| configuration["parameters"]["n"] = json!(1e300);
    fake.update_configuration(&orders(), &change(0, "a"), edit)
        .unwrap();
    fake.rename_configuration(&orders(), &change(1, "b"), "žluťoučký \u{2028}")
        .unwrap();
    fake.update_row(&orders(), "first", &change(2, "c"), |row| {
        row["isDisabled"] = json!(true);
    })
    .unwrap();
    fake.create_row(&orders(), "third", &change(3, "d"), "Third", json!({}))
        .unwrap();
    fake.delete_row(&orders(), "second", &change(4, "e")).unwrap();
    fake.set_configuration_metadata(&orders(), &change(5, "f"), &[("k", "v")])
        .unwrap();
    fake.set_branch_metadata("5", &change(5, "f"), &[("KBC.projectDescription", "New")])
        .unwrap();
    let branch = fake.create_branch("Feature", "", &change(6, "")).unwrap();
    fake.update_branch(&branch, "Feature y", "why", &change(7, ""))
        .unwrap();
    fake.delete_branch(&branch, &change(8, "")).unwrap();
    fake.create_branch("Kept", "", &change(8, "")).unwrap();
    fake.delete_configuration(&orders(), &change(9, "g")).unwrap();
    fake.restore_configuration(&orders(), &change(10, "h")).unwrap();
    fake.finish_job(job()).unwrap();
    fake.put_table(
        json!({"id": "in.c-shop.new", "name": "new", "columns": ["a"]}),
        &change(11, ""),
    )
    .unwrap();
    fake.change_preview("in.c-shop.new", "\"a\"\n\"1\"\n", &change(12, ""))
        .unwrap();
}

#[tokio::test]
async fn a_journal_brings_back_the_same_project_and_outbox() {
    let directory = tempfile::tempdir().unwrap();
    let fake = journaled(directory.path()).unwrap();
    play(&fake);
    let (project, outbox) = (fake.project(), fake.outbox(0));
    assert_eq!(outbox.len(), 8);
    assert!(matches!(
        journaled(directory.path()),
        Err(FakeError::JournalBusy { .. })
    ));
    drop(fake);

    let again = journaled(directory.path()).unwrap();
    assert_eq!(again.project(), project);
    assert_eq!(again.outbox(0), outbox);
    // What comes next gets the same identifiers as it would have got without the stop.
    let next = again.delete_configuration(&orders(), &change(20, "x")).unwrap();
    let unbroken = start();
    play(&unbroken);
    assert_eq!(
        unbroken
            .delete_configuration(&orders(), &change(20, "x"))
            .unwrap(),
        next
    );
}

#[tokio::test]
async fn a_torn_last_line_is_as_if_it_was_never_made() {
    let directory = tempfile::tempdir().unwrap();
    let fake = journaled(directory.path()).unwrap();
    fake.delete_configuration(&orders(), &change(0, "kept")).unwrap();
    let project = fake.project();
    drop(fake);
    let path = directory.path().join("keboola.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"{\"op\":\"delete_conf")
        .unwrap();
    let again = journaled(directory.path()).unwrap();
    assert_eq!(again.project(), project);
    drop(again);
    assert_eq!(fs::read(&path).unwrap(), whole);

    fs::write(&path, [&whole[..], b"{\"op\":\"nonsense\"}\n"].concat()).unwrap();
    assert!(matches!(
        journaled(directory.path()),
        Err(FakeError::JournalDamaged { line: 3, .. })
    ));
}

#[tokio::test]
async fn a_journal_of_another_project_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(journaled(directory.path()).unwrap());
    let mut other = small_project();
    other.project_id = 124;
    let config = FakeConfig {
        journal: Some(directory.path().into()),
        ..FakeConfig::default()
    };
    assert!(matches!(
        Fake::start(other, config),
        Err(FakeError::JournalOfAnother { .. })
    ));
}

#[tokio::test]
async fn a_refused_change_is_not_in_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let fake = journaled(directory.path()).unwrap();
    let project = fake.project();
    fake.delete_row(&orders(), "nope", &change(0, "x")).unwrap_err();
    fake.create_row(&orders(), "first", &change(0, "x"), "x", json!({}))
        .unwrap_err();
    fake.restore_configuration(&orders(), &change(0, "x"))
        .unwrap_err();
    fake.delete_branch("99", &change(0, "x")).unwrap_err();
    fake.put_table(json!({}), &change(0, "x")).unwrap_err();
    assert_eq!(fake.project(), project);
    drop(fake);
    assert_eq!(journaled(directory.path()).unwrap().project(), project);
}

#[tokio::test]
async fn a_stopped_fake_answers_no_more() {
    let fake = start();
    let (url, token) = (fake.url().to_owned(), fake.token().to_owned());
    drop(fake);
    let address = url.trim_start_matches("http://").to_owned();
    // The port is free again as soon as the server has seen the stop.
    while std::net::TcpListener::bind(&address).is_err() {
        tokio::task::yield_now().await;
    }
    let request = reqwest::Client::new()
        .get(format!("{url}/v2/storage"))
        .header("X-StorageApi-Token", token);
    assert!(request.send().await.is_err());
}
