use super::*;
use expect_test::expect;

const STACK: &str = "connection.keboola.com";
const CHANGED: &str = r##"{"type":"config_changed","projectId":"4021","branchId":"1187","componentId":"keboola.ex-db-mysql",
    "configId":"01k0-a","newVersion":42,"versionIdentifier":"01H2W8N0ZJJB6V126C8ZSND28N","author":"dev@keboola.com",
    "committedAt":"2026-05-11T14:33:50+0200","diffRef":"s3://x","unheard":{"of":1}}"##;
const FINISHED: &str = r#"{"type":"job_finished","projectId":4021,"branchId":1187,"componentId":"keboola.ex-db-mysql",
    "configId":"7","configVersion":"3","runId":"123.45","status":"FAILED","startedAt":"2026-05-11T12:00:00Z",
    "finishedAt":"2026-05-11T12:01:00.5Z","inputs":[{"table":"in.c-a.x","columns":["id","name"]}],
    "outputs":[{"table":"out.c-a.y"}],"stateDigest":"ab","artifactLinks":["s3://a/b"]}"#;

fn now() -> Timestamp {
    "2026-05-11T13:00:00Z".parse().unwrap()
}

fn parse_with(json: &str, subject: Option<&str>, published: Option<&str>) -> Result<Envelope, InvalidEvent> {
    let published = published.map(|time| time.parse().unwrap());
    parse_external(
        json.as_bytes(),
        subject,
        &STACK.parse().unwrap(),
        published,
        None,
        now(),
    )
}

fn parse(json: &str) -> Result<Envelope, InvalidEvent> {
    parse_with(json, None, None)
}

#[test]
fn an_envelope_is_stored_in_the_form_that_the_design_fixes_and_comes_back() {
    let changed = parse_with(CHANGED, None, Some("2026-05-11T12:33:51Z")).unwrap();
    let stored = serde_json::to_string_pretty(&changed).unwrap();
    expect![[r#"
        {
          "schema": 1,
          "stack": "connection.keboola.com",
          "project": "4021",
          "branch": "1187",
          "key": "22:connection.keboola.com,14:config_changed,4:4021,4:1187,19:keboola.ex-db-mysql,6:01k0-a,2:42,26:01H2W8N0ZJJB6V126C8ZSND28N,",
          "occurredAt": "2026-05-11T12:33:50Z",
          "publishedAt": "2026-05-11T12:33:51Z",
          "kind": "config_changed",
          "body": {
            "component": "keboola.ex-db-mysql",
            "config": "01k0-a",
            "version": 42,
            "identifier": "01H2W8N0ZJJB6V126C8ZSND28N",
            "author": "dev@keboola.com"
          }
        }"#]]
    .assert_eq(&stored);
    let finished = parse(FINISHED).unwrap();
    for envelope in [changed, finished.derived_events().remove(0), finished] {
        let stored = serde_json::to_string(&envelope).unwrap();
        assert_eq!(serde_json::from_str::<Envelope>(&stored).unwrap(), envelope);
    }
}

#[test]
fn a_finished_run_makes_its_output_tables_worth_a_look_on_the_same_stream() {
    let finished = parse(FINISHED).unwrap();
    assert_eq!(
        (finished.key.as_str(), finished.stream()),
        (
            "22:connection.keboola.com,3:job,4:4021,4:1187,6:123.45,4:told,",
            Stream::Jobs
        )
    );
    let [derived] = &finished.derived_events()[..] else {
        panic!("one")
    };
    assert_eq!(
        (derived.kind(), derived.stream()),
        (EventKind::StorageChanged, Stream::Jobs)
    );
    assert_eq!(derived.derived_events(), []);
    assert_eq!(parse(CHANGED).unwrap().derived_events(), []);
}

#[test]
fn a_run_that_is_told_of_another_project_or_branch_is_no_repetition() {
    let keys: std::collections::BTreeSet<String> = [("4021", "1187"), ("4022", "1187"), ("4021", "1188")]
        .map(|(project, branch)| {
            let told = FINISHED.replace("4021", project).replace("1187", branch);
            parse(&told).unwrap().key.as_str().to_owned()
        })
        .into();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[test]
fn keys_are_shown_as_people_know_them() {
    assert_eq!(
        parse(CHANGED).unwrap().display_key(),
        "4021-1187-keboola.ex-db-mysql-01H2W8N0ZJJB6V126C8ZSND28N"
    );
    assert_eq!(parse(FINISHED).unwrap().display_key(), "123.45");
}

#[test]
fn no_time_lies_after_the_append() {
    let early = parse_with(CHANGED, None, Some("2099-01-01T00:00:00Z")).unwrap();
    assert_eq!(early.published_at, now());
    assert_eq!(parse(CHANGED).unwrap().published_at, now());
    let future = parse(&CHANGED.replace("2026-05-11T14", "2099-05-11T14")).unwrap();
    assert_eq!(future.occurred_at, now());
}

#[track_caller]
fn check_kind(json: &str, subject: Option<&str>, expected: EventKind) {
    assert_eq!(parse_with(json, subject, None).unwrap().kind(), expected);
}

#[test]
fn the_type_comes_from_the_event_else_the_subject_else_the_fields() {
    let (changed, finished) = (
        CHANGED.replace("\"type\"", "\"x\""),
        FINISHED.replace("\"type\"", "\"x\""),
    );
    check_kind(&changed, None, EventKind::ConfigChanged);
    check_kind(&finished, None, EventKind::JobFinished);
    check_kind(
        &changed,
        Some("kbc.events.4021.1187.config_changed"),
        EventKind::ConfigChanged,
    );
    check_kind(
        &changed,
        Some("imported.as.something.else"),
        EventKind::ConfigChanged,
    );
    check_kind(
        FINISHED,
        Some("kbc.events.4021.1187.config_changed"),
        EventKind::JobFinished,
    );
}

#[track_caller]
fn check_refused(json: &str, expected: &str) {
    let subject = Some("kbc.events.4021.1187.config_changed");
    let error = parse_with(json, subject, None)
        .expect_err("it must be refused")
        .to_string();
    assert_eq!(error, expected);
    assert!(!error.contains("hunter2"), "an error never echoes content");
}

#[test]
fn an_error_names_the_field_and_what_was_expected_there() {
    const ID: &str = "a text of 1 to 512 printable bytes, or a whole number";
    check_refused("hunter2", "the event is not a JSON object (column 1 of line 1)");
    check_refused(
        "[\"hunter2\"]",
        "the event is not a JSON object (column 0 of line 1)",
    );
    check_refused("{}", &format!("field `projectId` must be {ID}"));
    let changed = |from: &str, to: &str| CHANGED.replace(from, to);
    check_refused(
        &changed("\"4021\"", "[\"hunter2\"]"),
        &format!("field `projectId` must be {ID}"),
    );
    check_refused(
        &changed("\"4021\"", "40.5"),
        &format!("field `projectId` must be {ID}"),
    );
    check_refused(
        &changed("\"4021\"", "\"4022\""),
        "field `projectId` must be that of the subject",
    );
    check_refused(
        &changed("\"1187\"", "1188"),
        "field `branchId` must be that of the subject",
    );
    check_refused(
        &changed("\"01k0-a\"", "\"a\\nhunter2\""),
        &format!("field `configId` must be {ID}"),
    );
    check_refused(
        &changed("\"configId\"", "\"config\""),
        &format!("field `configId` must be {ID}"),
    );
    check_refused(
        &changed("42", "0"),
        "field `newVersion` must be a whole number from 1",
    );
    check_refused(
        &changed("42", "-1"),
        "field `newVersion` must be a whole number from 1",
    );
    check_refused(
        &changed("42", "\"hunter2\""),
        "field `newVersion` must be a whole number from 1",
    );
    check_refused(
        &changed("42", "18446744073709551615"),
        "field `newVersion` must be a whole number from 1",
    );
    check_refused(
        &changed("01H2W8", "hunter2 "),
        "field `versionIdentifier` must be a word of at most 128 ASCII characters",
    );
    check_refused(
        &changed("2026-05-11T14:33:50+0200", "hunter2"),
        "field `committedAt` must be an ISO 8601 time with an offset",
    );
    check_refused(
        &changed("config_changed", "render_changed"),
        "field `type` must be `config_changed` or `job_finished`",
    );
    let finished = |from: &str, to: &str| FINISHED.replace(from, to);
    check_refused(
        &finished("FAILED", "hunter2"),
        "field `status` must be `SUCCESS`, `FAILED` or `CANCELLED`",
    );
    check_refused(
        &finished("\"out.c-a.y\"", "{}"),
        &format!("field `outputs[0].table` must be {ID}"),
    );
    check_refused(
        &finished("[\"s3://a/b\"]", "\"hunter2\""),
        "field `artifactLinks` must be a list of at most 10,000 texts of at most 4,096 bytes",
    );
    check_refused(
        &" ".repeat(EVENT_BYTES_MAX + 1),
        "the event has 1048577 bytes; at most 1048576 are allowed",
    );
}

#[test]
fn a_malformed_trace_context_is_left_out() {
    let with = |trace: &str| {
        let stack = STACK.parse().unwrap();
        parse_external(CHANGED.as_bytes(), None, &stack, None, Some(trace), now())
            .unwrap()
            .traceparent
    };
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(with(good).as_deref(), Some(good));
    assert_eq!(with("00-xyz"), None);
    assert_eq!(with(&good.to_uppercase()), None);
}

#[test]
fn a_refused_event_is_kept_as_a_shape_without_content() {
    let raw = r#"{"projectId":"4021","componentId":"keboola.ex-db","configId":"hunter2","author":"hunter2",
        "hunter2":1,"newVersion":"x","runId":7,"outputs":["hunter2"],"committedAt":"2026-05-11T14:33:50Z[hunter2]"}"#;
    expect![[r#"{"projectId":"4021","componentId":"keboola.ex-db","configId":"<text of 7 bytes>","author":"<text of 7 bytes>","newVersion":"<text of 1 bytes>","runId":7,"outputs":"<list of 1>","committedAt":"<text of 29 bytes>","unknown fields":1}"#]]
        .assert_eq(&masked_body(raw.as_bytes()));
    assert_eq!(masked_body(b"hunter2"), "7 bytes that are not a JSON object");
}

#[test]
fn free_texts_of_an_event_are_kept_without_what_looks_like_a_secret() {
    let token = concat!("ghp", "_MZ5r7hlKmvbynyIOcAAKXhQXhNPeqb37eqlz");
    let parsed = |event: serde_json::Value| {
        let now = "2026-05-11T12:40:00Z".parse().unwrap();
        let stack = Stack::parse(STACK).unwrap();
        let envelope = parse_external(event.to_string().as_bytes(), None, &stack, None, None, now);
        envelope.unwrap().body
    };
    let author = |text: &str| {
        let changed = parsed(serde_json::json!({
            "type": "config_changed", "projectId": "1", "branchId": "2", "componentId": "c",
            "configId": "3", "newVersion": 4, "author": text,
        }));
        let Body::ConfigChanged(ConfigChanged { author, .. }) = changed else {
            panic!("it is a change")
        };
        author
    };
    assert_eq!(author("Ann (CI)").as_deref(), Some("Ann (CI)"));
    assert_eq!(author(&format!("ci {token}")), None);
    let finished = parsed(serde_json::json!({
        "type": "job_finished", "projectId": "1", "branchId": "2", "runId": "7", "componentId": "c",
        "status": "SUCCESS",
        "artifactLinks": [
            "s3://bucket/key", "https://u:p@host/a/b?X-Amz-Signature=abc#top", "storage-file:9",
            format!("https://host/{token}"), "?only=query",
        ],
    }));
    let Body::JobFinished(job) = finished else {
        panic!("it is a run")
    };
    assert_eq!(
        job.artifact_links,
        ["s3://bucket/key", "https://host/a/b", "storage-file:9"]
    );
}
