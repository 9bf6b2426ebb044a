//! Members of the API's answers that the renderer does not know.

use layout_renderer::{Context, Entry, IndexKind, Object, ObjectKey, PlacedObject, Rendered, gather, render};

const SETTINGS: &str = r#"{"branchPath": "main", "defaultBranchId": "11"}"#;

fn context() -> Context {
    Context {
        stack: "connection.example.com".into(),
        project_id: "7".into(),
        branch_id: "11".into(),
    }
}

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

fn file(key: &ObjectKey, source: &str) -> String {
    let is_own = |entry: &&Entry| entry.kind == IndexKind::Lineage && entry.key == "=";
    let entries = one(key.clone(), source).entries;
    let own = entries.iter().find(is_own).expect("it has a structure");
    let gathered = gather(
        &context(),
        SETTINGS,
        own.kind,
        &own.shard,
        std::slice::from_ref(own),
    );
    gathered.expect("the entry is its own").files.remove(0).content
}

fn differing(one: &str, other: &str) -> Vec<String> {
    let lines = one.lines().zip(other.lines()).filter(|(one, other)| one != other);
    lines.map(|(_, other)| other.trim().to_owned()).collect()
}

/// A table and a bucket with a value somewhere that nobody knows.
fn objects(place: &str, value: &str) -> [(ObjectKey, String); 2] {
    let members = |own: &str| {
        let column = match place {
            "column" => format!(r#", "tag": {value}"#),
            _ => String::new(),
        };
        let deep = match place {
            "deep" => value,
            _ => "1",
        };
        format!(
            r#"{{"id": "{own}", "isTyped": true, "z": {{"y": [{{"x": {deep}}}], "rowsCount": 1}}, "columns": ["a"], "b": {},
                "definition": {{"columns": [{{"name": "a", "definition": {{"type": "INT"{column}}}}}], "hash": {}}}}}"#,
            if place == "plain" { value } else { "false" },
            if place == "definition" { value } else { "\"h\"" },
        )
    };
    [
        (ObjectKey::Table("in.c-main.t".into()), members("in.c-main.t")),
        (ObjectKey::Bucket("in.c-main".into()), members("in.c-main")),
    ]
}

#[test]
fn a_change_of_what_nobody_knows_is_a_change_of_one_line() {
    for (place, expected) in [
        ("plain", r#""b": "other""#),
        ("deep", r#""x": "other""#),
        ("definition", r#""hash": "other""#),
        ("column", r#""tag": "other""#),
    ] {
        let before = objects(place, "\"one\"");
        let after = objects(place, "\"other\"");
        let [table, bucket] = [0, 1].map(|at| {
            let [before, after] = [&before[at], &after[at]].map(|(key, source)| file(key, source));
            differing(&before, &after)
        });
        let line = |lines: &[String]| {
            lines
                .iter()
                .map(|line| line.trim_end_matches(',').to_owned())
                .collect()
        };
        let (table, bucket): (Vec<String>, Vec<String>) = (line(&table), line(&bucket));
        assert_eq!(table, [expected], "{place}");
        // A bucket has no columns: what is called so is kept as it is.
        assert_eq!(bucket, [expected], "{place}");
    }
}

#[test]
fn the_order_of_an_answer_does_not_matter_and_figures_are_no_members() {
    let key = ObjectKey::Bucket("in.c-main".into());
    let first = file(
        &key,
        r#"{"id": "in.c-main", "a": 1, "b": {"c": "d"}, "filesCount": 9, "lastSeen": "x"}"#,
    );
    let second = file(
        &key,
        r#"{"filesCount": 10, "b": {"c": "d"}, "a": 1, "id": "in.c-main"}"#,
    );
    assert_eq!(first, second);
    let nothing = file(
        &key,
        r#"{"id": "in.c-main", "filesCount": 9, "a": null, "b": {"sizeBytes": 5}, "c": []}"#,
    );
    assert!(!nothing.contains("other"), "{nothing}");
}

#[test]
fn a_table_without_types_has_what_is_known_of_it() {
    let key = ObjectKey::Table("in.c-main.t".into());
    let told = file(
        &key,
        r#"{"id": "in.c-main.t", "isTyped": false, "columns": ["a"], "b": 1}"#,
    );
    assert!(!told.contains("other"), "{told}");
}

#[test]
fn a_run_keeps_what_there_is_room_for() {
    let run = |more: &str| {
        let source = format!(
            r#"{{"id": "5", "status": "success", "component": "c", "config": "1", "endTime": "2026-01-14T00:30:00Z", "result": [],
                "configData": {{"x": 1}}, "metrics": {{}}, {more}}}"#
        );
        let entries = one(ObjectKey::Job("5".into()), &source).entries;
        [&entries[0], &entries[1]].map(|entry| entry.value.clone())
    };
    let [line, health] = run(r#""trigger": {"table": "in.c-a.b"}, "isRetried": false"#);
    let others = r#","other":{"isRetried":false,"trigger":{"table":"in.c-a.b"}}}"#;
    assert!(line.ends_with(others), "{line}");
    assert!(!health.contains("other"), "{health}");
    let [line, _] = run(&format!(r#""a": 1, "b": "{}", "c": 2"#, "x".repeat(2_000)));
    assert!(
        line.ends_with(r#","other":{"a":1,"c":2},"otherNames":["b"]}"#),
        "{line}"
    );
}
