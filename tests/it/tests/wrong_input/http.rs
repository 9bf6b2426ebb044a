//! The listener: who may ask, and what is answered to what cannot be taken.

use super::{ask, bearer, decent, event, run, with, with_config};
use crate::support::{INGEST_TOKEN, Installation, JANE, Keboola, MIRROR, Options, until};
use fake_keboola::{Fault, FaultKind};
use serde_json::{Value, json};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_a_token_may_post_or_look() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let server = site.start().await;
    let event = event(&keboola).to_string();
    let token = keboola.token().to_owned();
    let wrong = [
        None,
        Some("Bearer".to_owned()),
        Some(bearer("")),
        Some(bearer("wrong")),
        Some(bearer(&INGEST_TOKEN[1..])),
        Some(bearer(&INGEST_TOKEN.to_uppercase())),
        Some(format!("Basic {INGEST_TOKEN}")),
        Some(INGEST_TOKEN.to_owned()),
        // The Storage token opens nothing here.
        Some(bearer(&token)),
    ];
    for value in &wrong {
        for (method, path, body) in [("POST", "/v1/events", event.as_str()), ("GET", "/v1/status", "")] {
            let told = ask(&server, method, path, value.as_deref(), body).await;
            assert_eq!(
                (told.status, told.kind.as_str()),
                (401, "application/problem+json"),
                "{value:?} {path}"
            );
            assert!(
                told.body.contains("Authorization: Bearer") && told.body.contains("[[http.ingest]]"),
                "{}",
                told.body
            );
            decent(&told.body);
        }
    }
    assert_eq!(site.log().expect("there is a log").events, 0);
    assert_eq!(site.log().expect("there is a log").dead_letters, [""; 0]);
    let told = ask(
        &server,
        "POST",
        "/v1/events",
        Some(&format!("bearer  {INGEST_TOKEN} ")),
        &event,
    )
    .await;
    assert_eq!(told.status, 202, "{}", told.body);
    server.log().iter().for_each(|line| decent(line));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_answered_by_field_and_goes_to_the_dead_letters() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let before = site.log().expect("there is a log").events;
    let good = event(&keboola);
    let job = json!({"type": "job_finished", "projectId": "1", "branchId": "1", "componentId": "a", "runId": "7", "status": "SUCCESS"});
    let long = "x".repeat(5000);
    let id = "a text of 1 to 512 printable bytes";
    let rows = [
        (
            "{\"type\": \"hunter2".to_owned(),
            "",
            "not a JSON object (column 17 of line 1)",
        ),
        (String::new(), "", "not a JSON object"),
        ("\"hunter2\"".to_owned(), "", "not a JSON object"),
        ("[hunter2]".to_owned(), "", "not a JSON object"),
        ("[[]]".to_owned(), "", "not a JSON object"),
        (
            with(good.clone(), "type", json!("hunter2")),
            "type",
            "must be `config_changed` or `job_finished`",
        ),
        (with(good.clone(), "type", json!(7)), "type", "must be"),
        (with(good.clone(), "projectId", Value::Null), "projectId", id),
        (with(good.clone(), "projectId", json!("")), "projectId", id),
        (
            with(good.clone(), "branchId", json!({"#password": "hunter2"})),
            "branchId",
            id,
        ),
        (
            with(good.clone(), "componentId", json!("a\u{7}b")),
            "componentId",
            id,
        ),
        (with(good.clone(), "configId", json!(long)), "configId", id),
        (
            with(good.clone(), "newVersion", json!("hunter2")),
            "newVersion",
            "a whole number from 1",
        ),
        (
            with(good.clone(), "newVersion", json!(0)),
            "newVersion",
            "a whole number from 1",
        ),
        (
            with(good.clone(), "newVersion", json!(-3)),
            "newVersion",
            "a whole number from 1",
        ),
        (
            with(good.clone(), "committedAt", json!("hunter2")),
            "committedAt",
            "an ISO 8601 time with an offset",
        ),
        (
            with(good.clone(), "author", json!(long)),
            "author",
            "a text of at most 4,096 bytes",
        ),
        (
            with(job.clone(), "status", json!("hunter2")),
            "status",
            "`SUCCESS`, `FAILED` or `CANCELLED`",
        ),
        (with(job.clone(), "runId", Value::Null), "runId", id),
        (
            with(job, "outputs", json!([{"columns": []}])),
            "outputs[0].table",
            id,
        ),
        (
            json!({"projectId": "1", "branchId": "1"}).to_string(),
            "type",
            "must be `config_changed` or `job_finished`",
        ),
    ];
    let mut reasons = Vec::new();
    for (body, field, says) in &rows {
        let told = ask(&server, "POST", "/v1/events", Some(&bearer(INGEST_TOKEN)), body).await;
        let said = told.json();
        assert_eq!(
            (told.status, told.kind.as_str()),
            (400, "application/problem+json"),
            "{body}: {}",
            told.body
        );
        assert_eq!(
            (&said["type"], &said["status"]),
            (&json!("urn:kbc-mirror:invalid-event"), &json!(400))
        );
        assert_eq!(
            said["field"].as_str().unwrap_or_default(),
            *field,
            "{body}: {said}"
        );
        let detail = said["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains(says) && detail.contains(field),
            "{body}: {detail}"
        );
        decent(&told.body);
        reasons.push(detail.to_owned());
    }
    let book = site.log().expect("there is a log");
    assert_eq!(book.dead_letters, reasons);
    assert_eq!(book.events, before);
    let letters = f64::from(u32::try_from(rows.len()).expect("a few"));
    assert_eq!(
        server
            .metric("dead_letters_total{reason=\"invalid_event\"}")
            .await,
        Some(letters)
    );
    assert_eq!(
        server
            .metric("events_accepted_total{kind=\"unknown\",result=\"refused\"}")
            .await,
        Some(letters)
    );
    server.log().iter().for_each(|line| decent(line));
    server.stop().await;
    // Only shapes are kept.
    for name in ["mirror.sqlite", "mirror.sqlite-wal"] {
        let kept = fs::read(site.data_dir().join(name)).unwrap_or_default();
        assert!(
            !kept.windows(7).any(|window| window == b"hunter2"),
            "{name} has what was posted"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_does_not_hold_up_its_neighbours() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let good = event(&keboola);
    keboola.set(&keboola.orders(), JANE, "first", 1);
    let fresh = keboola.outbox(0).last().expect("a change was told").json.clone();
    let book = || site.log().expect("there is a log");
    let (before, commits) = (book().events, site.repository.count("main"));
    let token = bearer(INGEST_TOKEN);

    let many = vec![good.to_string(); 501].join(",");
    let told = ask(&server, "POST", "/v1/events", Some(&token), &format!("[{many}]")).await;
    assert_eq!(
        (told.status, told.kind.as_str()),
        (413, "application/problem+json"),
        "{}",
        told.body
    );
    assert!(
        told.body.contains("501 events") && told.body.contains("500"),
        "{}",
        told.body
    );
    assert_eq!(book().events, before);

    let body = format!("[{{}}, {fresh}, {}]", with(good, "newVersion", json!("hunter2")));
    for (accepted, duplicates) in [(1, 0), (0, 1)] {
        let told = ask(&server, "POST", "/v1/events", Some(&token), &body).await;
        let said = told.json();
        assert_eq!(
            (told.status, told.kind.as_str()),
            (400, "application/problem+json"),
            "{said}"
        );
        assert_eq!(
            (&said["accepted"], &said["duplicates"]),
            (&json!(accepted), &json!(duplicates)),
            "{said}"
        );
        let refused = said["refused"].as_array().expect("a list");
        let fields: Vec<(&Value, &Value)> =
            refused.iter().map(|one| (&one["event"], &one["field"])).collect();
        assert_eq!(
            fields,
            [
                (&json!(0), &json!("projectId")),
                (&json!(2), &json!("newVersion"))
            ]
        );
        decent(&told.body);
    }
    assert_eq!(book().events, before + 1);
    assert_eq!(book().dead_letters.len(), 4);
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), commits + 1);

    let told = ask(
        &server,
        "POST",
        "/v1/events",
        Some(&token),
        &format!(" [{fresh}, {fresh}]\n"),
    )
    .await;
    assert_eq!(
        (told.status, told.json()),
        (202, json!({"accepted": 0, "duplicates": 2}))
    );
    let told = ask(&server, "POST", "/v1/events", Some(&token), "[]").await;
    assert_eq!(
        (told.status, told.json()),
        (202, json!({"accepted": 0, "duplicates": 0}))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_with_the_limit() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.write(
        "mirror.toml",
        &site
            .config()
            .replace("[[http.ingest]]", "body_bytes_max = 4000\n\n[[http.ingest]]"),
    );
    let server = site.start().await;
    let padded = |bytes: usize| format!("{}{}", event(&keboola), " ".repeat(bytes));
    let told = ask(
        &server,
        "POST",
        "/v1/events",
        Some(&bearer(INGEST_TOKEN)),
        &padded(4000),
    )
    .await;
    assert_eq!(
        (told.status, told.kind.as_str()),
        (413, "application/problem+json"),
        "{}",
        told.body
    );
    assert!(
        told.body.contains("4000 bytes") && told.body.contains("`http.body_bytes_max`"),
        "{}",
        told.body
    );
    // Whoever may not post is not told of limits.
    let told = ask(&server, "POST", "/v1/events", None, &padded(4000)).await;
    assert_eq!(told.status, 401, "{}", told.body);
    let told = ask(
        &server,
        "POST",
        "/v1/events",
        Some(&bearer(INGEST_TOKEN)),
        &padded(3000),
    )
    .await;
    assert_eq!(told.status, 202, "{}", told.body);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_stack_and_its_projects_only() {
    const NARROW: &str = "narrow-ingest-token-for-project-777";
    const FOREIGN: &str = "ingest-token-of-another-stack-0001";
    let keboola = Keboola::small();
    let site = Installation::new(
        &keboola,
        Options {
            retries_max: 0,
            ..Options::default()
        },
    );
    site.write("narrow-token", NARROW);
    site.write("foreign-token", FOREIGN);
    let more = "[[http.ingest]]\nname = \"narrow\"\ntoken = \"file:narrow-token\"\nstack = \"127.0.0.1\"\nprojects = [\"777\"]\n\n\
                [[http.ingest]]\nname = \"foreign\"\ntoken = \"file:foreign-token\"\nstack = \"localhost\"\n\n[keboola]";
    let config = site.config().replace("[keboola]", more);
    // A token for a stack that nobody mirrors is a mistake.
    site.write("mirror.toml", &config);
    run(&mut with_config(&site, &["serve"])).must(
        2,
        &[
            "`http.ingest[2].stack`",
            "no mirror is of this stack",
            "127.0.0.1",
        ],
    );
    // Nobody listens on that stack, which troubles its own mirror only.
    let project = keboola.project().project_id;
    let other = format!(
        "{config}\n[[mirror]]\nid = \"other\"\nstack = \"http://localhost:9\"\nproject_id = \"{project}\"\n\
                         token = \"file:keboola-token\"\nrepository = \"file:repository.git\"\nbranch = \"other\"\n"
    );
    site.write("mirror.toml", &other);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let before = site.log().expect("there is a log");
    let commits = site.repository.count("main");
    keboola.set(&keboola.orders(), JANE, "first", 1);
    let fresh = keboola.outbox(0).last().expect("a change was told").json.clone();

    let told = ask(&server, "POST", "/v1/events", Some(&bearer(NARROW)), &fresh).await;
    assert_eq!(
        (told.status, told.kind.as_str()),
        (403, "application/problem+json"),
        "{}",
        told.body
    );
    let refused = format!("`narrow` may not post events of project {project}");
    assert!(told.body.contains(&refused), "{}", told.body);
    assert_eq!(site.log().expect("there is a log"), before);
    for token in [NARROW, FOREIGN] {
        let told = ask(&server, "GET", "/v1/status", Some(&bearer(token)), "").await;
        assert_eq!(told.status, 200);
        assert!(
            !told.body.contains(MIRROR),
            "lanes of others are told: {}",
            told.body
        );
    }

    // The same numbers on another stack are another project: nothing of it concerns this mirror.
    let told = ask(&server, "POST", "/v1/events", Some(&bearer(FOREIGN)), &fresh).await;
    assert_eq!(
        (told.status, told.json()),
        (202, json!({"accepted": 1, "duplicates": 0}))
    );
    // A project that nobody mirrors: kept, and of no effect.
    let unmirrored = with(event(&keboola), "projectId", json!("777"));
    let told = ask(&server, "POST", "/v1/events", Some(&bearer(NARROW)), &unmirrored).await;
    assert_eq!(
        (told.status, told.json()),
        (202, json!({"accepted": 1, "duplicates": 0}))
    );

    site.settle(&mut server).await;
    // One commit for the one change, although its event was posted for two stacks.
    assert_eq!(site.repository.count("main"), commits + 1);
    assert_eq!(site.repository.branches(), ["main"]);
    assert_eq!(site.log().expect("there is a log").events, before.events + 3);
    server.stop().await;
    site.write("mirror.toml", &site.config());
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_paths_are_refused() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let server = site.start().await;
    let token = bearer(INGEST_TOKEN);
    for (method, path, allow) in [
        ("GET", "/v1/events", "POST"),
        ("DELETE", "/v1/events", "POST"),
        ("POST", "/v1/status", "GET"),
        ("POST", "/metrics", "GET"),
        ("PUT", "/livez", "GET"),
        ("POST", "/readyz", "GET"),
    ] {
        let told = ask(&server, method, path, Some(&token), "").await;
        assert_eq!(told.status, 405, "{method} {path}");
        assert!(told.allow.contains(allow), "{method} {path}: {}", told.allow);
    }
    for path in [
        "/",
        "/v1",
        "/v1/events/",
        "/v2/events",
        "/metrics/../v1/status",
        "/debug/pprof",
    ] {
        assert!(
            matches!(ask(&server, "GET", path, None, "").await.status, 401 | 404),
            "{path}"
        );
    }
    server.stop().await;
}

/// SPEC §8: every name there that this version exports, with its labels and kind.
const CONTRACT: [(&str, &str, &str); 13] = [
    ("git_sync_enabled_ratio", "gauge", "project_id,plan_tier"),
    (
        "commits_exported_total",
        "counter",
        "event_type,branch_id,repository_host",
    ),
    (
        "sync_latency_seconds",
        "histogram",
        "event_type,branch_id,queue_name",
    ),
    ("queue_backlog_depth", "gauge", "queue_name"),
    (
        "retry_attempts_total",
        "counter",
        "queue_name,retry_count,outcome",
    ),
    ("retry_success_within_3h", "gauge", ""),
    ("linked_dev_branches_total", "gauge", "region"),
    ("secrets_redacted_rate", "gauge", "component_id,branch_id"),
    ("samples_export_off_on_public_repo", "gauge", ""),
    ("weekly_active_synced_projects", "gauge", ""),
    // An OpenMetrics counter ends so.
    ("credential_rotation_events_total", "counter", "purpose"),
    ("dead_letters_total", "counter", "reason"),
    ("admin_notifications_total", "counter", "reason"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_say_what_is_going_on_in_the_contracts_words() {
    let keboola = Keboola::small();
    keboola.set(
        &keboola.orders(),
        JANE,
        "#password",
        "KBC::ProjectSecure::eJwBQABAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    );
    let site = Installation::new(
        &keboola,
        Options {
            retries_max: 0,
            ..Options::default()
        },
    );
    keboola.branch("Try", JANE);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    // One failed attempt that is repeated, one run, one refused event.
    keboola.fail(Fault {
        path: "/v2/storage/branch".into(),
        times: 1,
        kind: FaultKind::RateLimited {
            retry_after: Some("1".into()),
        },
    });
    keboola.set(&keboola.orders(), JANE, "first", 1);
    keboola.run(&keboola.orders(), "success", &[]);
    site.settle(&mut server).await;
    assert_eq!(server.post("{}").await.expect("it answers").status, 400);

    for (path, body) in [("/livez", "ok\n"), ("/readyz", "ready\n")] {
        let told = ask(&server, "GET", path, None, "").await;
        assert_eq!((told.status, told.body.as_str()), (200, body), "{path}");
    }
    site.check_status(&server).await;
    let lane = server.lane(&keboola.main()).await;
    assert_eq!(
        (&lane["mirror"], &lane["ref"]),
        (&json!(MIRROR), &json!("refs/heads/main"))
    );
    assert!(
        lane["lastPush"]
            .as_str()
            .is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()),
        "{lane}"
    );

    until("the project counts among this week's", async || {
        let active = server.metric("weekly_active_synced_projects").await;
        (active == Some(1.0)).then_some(())
    })
    .await;

    let told = ask(&server, "GET", "/metrics", None, "").await;
    assert_eq!(told.status, 200);
    assert!(
        told.kind
            .starts_with("application/openmetrics-text; version=1.0.0"),
        "{}",
        told.kind
    );
    let page = told.body;
    assert!(page.ends_with("# EOF\n"), "{page}");
    for (name, kind, labels) in CONTRACT {
        let family = name
            .strip_suffix("_total")
            .filter(|_| kind == "counter")
            .unwrap_or(name);
        assert!(
            page.contains(&format!("# TYPE {family} {kind}\n")),
            "{family} is no {kind}:\n{page}"
        );
        let sample = if kind == "histogram" {
            format!("{name}_count")
        } else {
            name.to_owned()
        };
        let found = page
            .lines()
            .find(|line| line.starts_with(&format!("{sample}{{")) || line.starts_with(&format!("{sample} ")));
        let found = found.unwrap_or_else(|| panic!("{sample} is not there:\n{page}"));
        assert_eq!(labels_of(found), labels, "{found}");
    }
    for bound in ["5.0", "15.0", "30.0", "60.0", "120.0", "300.0"] {
        assert!(
            page.contains(&format!("sync_latency_seconds_bucket{{le=\"{bound}\",")),
            "no bucket {bound}"
        );
    }
    for line in page.lines().filter(|line| line.contains("queue_name")) {
        assert!(line.contains("queue_name=\"git_mirror\""), "{line}");
    }
    for event_type in ["config", "job"] {
        let name = format!("sync_latency_seconds_count{{event_type=\"{event_type}\"");
        assert!(
            page.lines().any(|line| line.starts_with(&name)),
            "no {event_type}:\n{page}"
        );
    }
    let mirrored = until("both commits are logged", async || {
        let logged = server.logged("mirrored");
        (logged.len() > 1).then(|| logged[logged.len() - 1].clone())
    });
    let mirrored = mirrored.await;
    for field in ["event_id", "project_id", "branch_id", "queue_name", "commit_sha"] {
        assert!(mirrored[field].is_string(), "`{field}` is missing: {mirrored}");
    }
    assert!(
        mirrored["latency_ms"].is_u64() && mirrored["level"] == "INFO",
        "{mirrored}"
    );
    let repeated = server
        .logged("attempt failed; it is repeated")
        .pop()
        .expect("failures are logged");
    assert!(
        repeated["retry_count"].is_u64() && repeated["level"] == "WARN",
        "{repeated}"
    );
    // Nothing is exported under a name that only looks like one of the contract.
    let known = CONTRACT.map(|(name, ..)| name.trim_end_matches("_total"));
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let family = line
            .split(' ')
            .next()
            .unwrap_or_default()
            .trim_end_matches("_total");
        let own = [
            "exports",
            "objects_withheld",
            "events_accepted",
            "sync_oldest_unpushed_age_seconds",
            "reconcile_repairs",
            "reconcile_comparisons",
            "dead_letters_unplayed",
            "dead_letters_oldest_age_seconds",
            "polls",
            "lanes_held",
            "shards_held",
            "objects_withheld_now",
            "notifications",
            "policy_seconds",
            "policy_documents",
            "policy_findings",
            "policy_failures",
            "unmirrored_events",
        ];
        assert!(
            known.contains(&family) || own.contains(&family),
            "`{family}` is neither in the contract nor known"
        );
    }
    server.stop().await;
}

/// Names of a sample's labels but `le`, in order.
fn labels_of(sample: &str) -> String {
    let Some((_, rest)) = sample.split_once('{') else {
        return String::new();
    };
    let (labels, _) = rest.rsplit_once('}').expect("labels end");
    let names = labels
        .split("\",")
        .filter_map(|label| label.split_once('='))
        .map(|(name, _)| name);
    names.filter(|name| *name != "le").collect::<Vec<_>>().join(",")
}
