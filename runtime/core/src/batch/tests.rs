mod cuts;
mod names;
mod rehearsal;
mod samples;

use super::*;
use crate::{
    finding::{Finding, RuleId, Target},
    ids::{BranchId, ComponentId, ConfigId, ProjectId, Stack, TableId},
    layout::{RawFile, Rendered},
    marker::TagKey,
    path::OwnedPaths,
    redaction::SecretsMode,
};
use expect_test::{Expect, expect};

fn context() -> Context {
    Context {
        stack: Stack::parse("connection.keboola.com").expect("a stack"),
        project: ProjectId::parse("1").expect("a project"),
        branch: BranchId::parse("2").expect("a branch"),
    }
}

fn config(id: &str) -> Subject {
    let component = ComponentId::parse("keboola.ex-db").expect("a component");
    Subject::Object(ObjectKey::Config {
        component,
        config: ConfigId::parse(id).expect("a configuration"),
    })
}

fn sample() -> Subject {
    Subject::Object(ObjectKey::Sample(
        TableId::parse("in.c-main.orders").expect("a table"),
    ))
}

fn file(path: &str, content: &str) -> RawFile {
    RawFile {
        path: path.to_owned(),
        kind: DocumentKind::Config,
        content: content.to_owned(),
    }
}

fn files(files: &[(&str, &str)]) -> Rendered {
    Rendered {
        files: files.iter().map(|(path, content)| file(path, content)).collect(),
        entries: Vec::new(),
    }
}

fn entry(value: &str) -> Entry {
    Entry {
        kind: IndexKind::Manifest,
        shard: String::new(),
        key: "a".to_owned(),
        value: value.to_owned(),
    }
}

fn redaction(mode: SecretsMode) -> Redaction {
    Redaction::new(mode, TagKey::none())
}

fn batch(rendered: Vec<(Subject, Rendered)>) -> (RenderedBatch, Vec<Withheld>) {
    RenderedBatch::new(context(), &OwnedPaths::new(None), rendered)
}

fn no_findings(documents: &[Document]) -> Vec<Verdict> {
    documents.iter().map(|_| Verdict::Findings(Vec::new())).collect()
}

fn literal(leaf: usize, text: &str) -> Verdict {
    let rule = RuleId::parse("test").expect("a rule");
    Verdict::Findings(vec![Finding {
        leaf,
        target: Target::Literal(text.to_owned()),
        rule,
    }])
}

fn redacted(rendered: Vec<(Subject, Rendered)>) -> RedactedBatch {
    let (batch, withheld) = batch(rendered);
    assert_eq!(withheld, []);
    let verdicts = no_findings(&batch.documents());
    let (batch, withheld) = batch.redact(verdicts, &redaction(SecretsMode::Encrypted));
    assert_eq!(withheld, []);
    batch
}

fn draw_withheld(withheld: &[Withheld]) -> String {
    withheld
        .iter()
        .map(|withheld| format!("{}: {}\n", withheld.subject, withheld.reason))
        .collect()
}

fn draw(batch: &MirrorBatch) -> String {
    let mut drawn = String::new();
    for object in batch.objects() {
        drawn += &format!("{}\n", object.subject());
        for file in object.files() {
            drawn += &format!("  {}: {:?}\n", file.path(), file.content());
        }
        for entry in object.entries() {
            drawn += &format!("  entry {}: {:?}\n", entry.key, entry.value);
        }
    }
    drawn
}

#[track_caller]
fn check_rendered(rendered: Vec<(Subject, Rendered)>, expected: &Expect) {
    let (batch, withheld) = batch(rendered);
    let passed: String = batch
        .unredacted_files()
        .map(|(path, _)| format!("passed {path}\n"))
        .collect();
    expected.assert_eq(&(draw_withheld(&withheld) + &passed));
}

#[test]
fn paths_that_are_unsafe_foreign_or_taken_withhold_their_object() {
    check_rendered(
        vec![
            (
                config("1"),
                files(&[
                    ("configs/a/config.json", "{}"),
                    ("configs/a/code.sql", "SELECT 1"),
                ]),
            ),
            (config("2"), files(&[("configs/b/x", ""), ("configs/../x", "")])),
            (config("3"), files(&[("README.md", "")])),
            (
                config("4"),
                files(&[("configs/A/Config.json", "{}"), ("configs/d", "")]),
            ),
            (config("5"), files(&[("configs/e/x", ""), ("configs/E/X", "")])),
            (config("6"), files(&[("configs/a/code.sql/y", "")])),
            (config("7"), files(&[("configs/a", "")])),
            (config("8"), files(&[("configs/h", "")])),
        ],
        &expect![[r#"
            keboola.ex-db/2: the path of file 1 is not allowed: it has a `.` or `..` segment
            keboola.ex-db/3: the path of file 0 is not allowed: it lies outside the mirror's own directories
            keboola.ex-db/4: the path of file 0 is not allowed: it is the same as another for some file systems
            keboola.ex-db/5: the path of file 1 is not allowed: it is the same as another for some file systems
            keboola.ex-db/6: the path of file 0 is not allowed: it lies below what is a file
            keboola.ex-db/7: the path of file 0 is not allowed: it is also a directory
            passed configs/a/config.json
            passed configs/a/code.sql
            passed configs/h
        "#]],
    );
}

#[test]
fn who_keeps_a_path_does_not_hang_on_the_order_of_the_batch() {
    let rendered = |ids: [&str; 2]| ids.map(|id| (config(id), files(&[("configs/a", "")]))).into();
    for order in [["1", "2"], ["2", "1"]] {
        let (_, withheld) = batch(rendered(order));
        assert_eq!(
            withheld
                .iter()
                .map(|withheld| &withheld.subject)
                .collect::<Vec<_>>(),
            [&config("2")]
        );
    }
}

#[test]
fn files_that_are_not_what_they_say_withhold_their_object() {
    check_rendered(
        vec![
            (config("1"), files(&[("configs/1/config.json", "{\"a\": }")])),
            (config("2"), files(&[("configs/2/x.jsonl", "{}\n{")])),
            (config("3"), files(&[("configs/3/x.csv", "a\"b")])),
            (config("4"), files(&[("configs/4/x.txt", "{")])),
            (
                config("5"),
                Rendered {
                    files: vec![],
                    entries: vec![entry("no JSON")],
                },
            ),
            (config("4"), files(&[("configs/5/x.txt", "")])),
        ],
        &expect![[r#"
            keboola.ex-db/1: the layout renderer answered with something malformed: file 0 is not well-formed JSON: a value is missing at byte 6
            keboola.ex-db/2: the layout renderer answered with something malformed: file 0 is not well-formed JSON Lines: a member name is missing at byte 4
            keboola.ex-db/3: the layout renderer answered with something malformed: file 0 is not well-formed CSV: a quote inside of a cell without quotes at byte 1
            keboola.ex-db/5: the layout renderer answered with something malformed: the value of entry 0 is not well-formed JSON: an unknown word at byte 0
            keboola.ex-db/4: the layout renderer answered with something malformed: an object was rendered twice in one batch
            keboola.ex-db/4: the layout renderer answered with something malformed: an object was rendered twice in one batch
        "#]],
    );
}

#[test]
fn what_is_too_much_or_too_large_is_withheld() {
    let limits = PathLimits {
        files_per_subject_max: 2,
        file_bytes_max: 8,
        subject_bytes_max: 12,
        entries_per_subject_max: 1,
        entry_bytes_max: 6,
    };
    let entries = |values: &[&str]| Rendered {
        files: vec![],
        entries: values.iter().map(|value| entry(value)).collect(),
    };
    let rendered = vec![
        (
            config("1"),
            files(&[("configs/1", "12345678"), ("configs/2", "1234")]),
        ),
        (
            config("2"),
            files(&[("configs/3", ""), ("configs/4", ""), ("configs/5", "")]),
        ),
        (config("3"), files(&[("configs/6", "123456789")])),
        (
            config("4"),
            files(&[("configs/7", "1234567"), ("configs/8", "1234567")]),
        ),
        (config("5"), entries(&["1", "2"])),
        (config("6"), entries(&["123456"])),
        (config("7"), entries(&["12345"])),
    ];
    let (_, withheld) = RenderedBatch::with_limits(context(), &OwnedPaths::new(None), rendered, limits);
    expect![[r#"
        keboola.ex-db/2: the layout renderer went over its files_per_subject_max limit
        keboola.ex-db/3: the object went over its file_bytes_max limit
        keboola.ex-db/4: the object went over its subject_bytes_max limit
        keboola.ex-db/5: the layout renderer went over its entries_per_subject_max limit
        keboola.ex-db/6: the object went over its entry_bytes_max limit
    "#]]
    .assert_eq(&draw_withheld(&withheld));
}

#[test]
fn a_file_that_redaction_makes_too_large_is_withheld() {
    let limits = PathLimits {
        file_bytes_max: 30,
        ..PathLimits::default()
    };
    let rendered = vec![(config("1"), files(&[("configs/1", "a a a a a")]))];
    let (batch, _) = RenderedBatch::with_limits(context(), &OwnedPaths::new(None), rendered, limits);
    let (_, withheld) = batch.redact(vec![literal(0, "a")], &redaction(SecretsMode::Encrypted));
    expect![[r#"
        keboola.ex-db/1: the object went over its file_bytes_max limit
    "#]]
    .assert_eq(&draw_withheld(&withheld));
}

#[test]
fn documents_are_files_then_entries_with_the_ids_of_their_object() {
    let rendered = Rendered {
        files: vec![file("configs/a/config.json", "{\"b\":\"c\"}")],
        entries: vec![entry("[\"d\"]")],
    };
    let index = Subject::Index {
        kind: IndexKind::JobDay,
        shard: "2024/01/02".to_owned(),
    };
    let (batch, _) = RenderedBatch::new(
        context(),
        &OwnedPaths::new(Some(MirrorPath::parse("kbc").expect("a path"))),
        vec![
            (config("1"), rendered),
            (index, files(&[("jobs/2024/01/02.jsonl", "{}")])),
        ],
    );
    let drawn: String = batch
        .documents()
        .iter()
        .map(|document| {
            let values: Vec<_> = document.leaves.iter().map(|leaf| leaf.value).collect();
            let path = document.path.as_ref().map_or("-", MirrorPath::as_str);
            format!(
                "{path} {:?} {:?} {:?} {values:?}\n",
                document.kind, document.component_id, document.config_id
            )
        })
        .collect();
    expect![[r#"
        kbc/configs/a/config.json Config "keboola.ex-db" "1" ["b", "c"]
        - Index "keboola.ex-db" "1" ["d"]
        kbc/jobs/2024/01/02.jsonl Config "" "" []
    "#]]
    .assert_eq(&drawn);
}

#[test]
fn the_whole_chain_passes_what_is_clean_and_withholds_the_rest_by_object() {
    let (batch, _) = batch(vec![
        (
            config("1"),
            Rendered {
                files: vec![file("configs/1/a.txt", "one abc")],
                entries: vec![entry("[\"abc\"]")],
            },
        ),
        (
            config("2"),
            files(&[("configs/2/a.txt", "two"), ("configs/2/b.txt", "two")]),
        ),
        (
            config("3"),
            files(&[
                ("configs/3/a.json", "{\"#p\":\"Tr0ub4dor\"}"),
                ("configs/3/b.txt", "three abc"),
            ]),
        ),
        (config("4"), files(&[("configs/4/a.txt", "it is Tr0ub4dor")])),
        (config("5"), files(&[("configs/5/a.txt", "five")])),
        (config("6"), files(&[("configs/6/a.txt", "six")])),
    ]);
    let verdicts = vec![
        literal(0, "abc"),
        literal(0, "abc"),
        Verdict::Findings(Vec::new()),
        Verdict::Withhold(WithholdReason::Trapped {
            guest: "policy".to_owned(),
            detail: "fuel".to_owned(),
        }),
        Verdict::Findings(Vec::new()),
        literal(0, "abc"),
        Verdict::Findings(Vec::new()),
        literal(0, "not there"),
    ];
    let (batch, mut withheld) = batch.redact(verdicts, &redaction(SecretsMode::Masked));
    let guard = Guard::new(batch.known_secrets());
    let (batch, more) = batch.choose(Vec::new());
    withheld.extend(more);
    let (batch, more) = batch.guard(&guard);
    withheld.extend(more);
    expect![[r##"
        keboola.ex-db/1
          configs/1/a.txt: "one [REDACTED:test:0]"
          entry a: "[\"[REDACTED:test:0]\"]"
        keboola.ex-db/3
          configs/3/a.json: "{\"#p\":\"[REDACTED:keboola-plaintext:0]\"}"
          configs/3/b.txt: "three [REDACTED:test:0]"
        keboola.ex-db/2: the policy trapped: fuel
        keboola.ex-db/5: the policy answered with something malformed: a finding for leaf 0 names a text that is not in the leaf
        keboola.ex-db/6: the policy answered with something malformed: there is no verdict on a document
        keboola.ex-db/4: the guard still found a secret (guard-known-secret) in configs/4/a.txt
    "##]].assert_eq(&(draw(&batch) + &draw_withheld(&withheld)));

    let stats = batch.objects()[1].stats();
    let places: Vec<_> = stats
        .plaintext
        .iter()
        .map(|place| format!("{}{} {}", place.path, place.pointer, place.rule))
        .collect();
    assert_eq!(places, ["configs/3/a.json/#p keboola-plaintext"]);
    assert_eq!(
        (stats.encrypted, stats.masked, stats.omitted, stats.found()),
        (0, 2, 0, 2)
    );
    assert_eq!(
        stats.by_rule,
        [("keboola-plaintext".to_owned(), 1), ("test".to_owned(), 1)].into()
    );
}

#[test]
fn surplus_verdicts_withhold_all() {
    let (batch, _) = batch(vec![(config("1"), files(&[("configs/1", "x")]))]);
    let verdicts = vec![Verdict::Findings(Vec::new()), Verdict::Findings(Vec::new())];
    let (batch, withheld) = batch.redact(verdicts, &redaction(SecretsMode::Encrypted));
    assert_eq!((batch.documents().len(), withheld.len()), (0, 1));
}

#[test]
fn a_further_policy_sees_the_redacted_text_and_ciphers_are_counted_once() {
    let cipher = "KBC::ProjectSecure::eJwBQAGmRlZjUwMjAw";
    let content = format!("{{\"#c\":\"{cipher}\",\"a\":\"abc def\"}}");
    let (batch, _) = batch(vec![(config("1"), files(&[("configs/1.json", &content)]))]);
    let redaction = redaction(SecretsMode::Encrypted);
    let (batch, _) = batch.redact(vec![literal(3, "abc")], &redaction);
    assert_eq!(
        batch.documents()[0].leaves.get(3).unwrap().value,
        "[REDACTED:test:0] def"
    );
    let (batch, withheld) = batch.redact_again(vec![literal(3, "def")], &redaction);
    assert_eq!(withheld, []);
    let (batch, _) = batch
        .choose(Vec::new())
        .0
        .guard(&Guard::new(&KnownSecrets::new()));
    let expected = format!("{{\"#c\":\"{cipher}\",\"a\":\"[REDACTED:test:0] [REDACTED:test:0]\"}}");
    assert_eq!(batch.objects()[0].files()[0].content(), expected);
    let stats = batch.objects()[0].stats();
    assert_eq!((stats.encrypted, stats.masked), (1, 2));
}

#[test]
fn the_guard_looks_at_paths_and_entries_too() {
    let mut known = KnownSecrets::new();
    known.add_credential("Tr0ub4dor");
    let entries = Rendered {
        files: vec![],
        entries: vec![entry("[\"Tr0ub4dor\"]")],
    };
    let key = Rendered {
        files: vec![],
        entries: vec![Entry {
            key: "Tr0ub4dor".to_owned(),
            ..entry("1")
        }],
    };
    let batch = redacted(vec![
        (config("1"), files(&[("configs/Tr0ub4dor/x", "")])),
        (config("2"), entries),
        (config("3"), key),
        (config("4"), files(&[("configs/x", "tr0ub4dor")])),
    ]);
    let (batch, withheld) = batch.choose(Vec::new()).0.guard(&Guard::new(&known));
    expect![[r#"
        keboola.ex-db/4
          configs/x: "tr0ub4dor"
        keboola.ex-db/1: the guard still found a secret (guard-known-secret) in a path
        keboola.ex-db/2: the guard still found a secret (guard-known-secret) in an entry
        keboola.ex-db/3: the guard still found a secret (guard-known-secret) in an entry
    "#]]
    .assert_eq(&(draw(&batch) + &draw_withheld(&withheld)));
}

#[test]
fn subjects_keep_their_form_in_stored_state() {
    let index = Subject::Index {
        kind: IndexKind::JobDay,
        shard: "2024/01/02".to_owned(),
    };
    for (subject, json, text) in [
        (
            config("1"),
            r#"{"object":{"config":{"component":"keboola.ex-db","config":"1"}}}"#,
            "keboola.ex-db/1",
        ),
        (
            index,
            r#"{"index":{"kind":"job_day","shard":"2024/01/02"}}"#,
            "job day 2024/01/02",
        ),
    ] {
        assert_eq!(serde_json::to_string(&subject).expect("JSON"), json);
        assert_eq!(serde_json::from_str::<Subject>(json).expect("a subject"), subject);
        assert_eq!(subject.to_string(), text);
    }
}
