//! Hostile layout renderers in the real engine.

use super::support::{LAYOUT, component, context, limits};
use crate::{LayoutRenderer, Limits, builtin::Builtin, guest::Host};
use expect_test::{Expect, expect};
use mirror_core::{
    finding::WithholdReason,
    ids::ObjectKey,
    layout::{Entry, IndexKind, PlacedObject, SourceObject},
};
use std::{fmt::Debug, sync::Arc};

fn renderer() -> LayoutRenderer {
    let limits = Limits {
        output_bytes_max: 4 << 20,
        ..limits()
    };
    let host = Host::new(crate::SandboxConfig::offline(limits.clone(), limits)).expect("the engine starts");
    let component = component(LAYOUT, "layout-renderer").leak();
    LayoutRenderer::prepare(
        Arc::new(host),
        Builtin {
            name: "renderer",
            component,
        },
    )
    .expect("the guest fits")
}

fn object() -> SourceObject {
    SourceObject {
        key: ObjectKey::Branch,
        component: None,
        source: "{}".to_owned(),
        metadata: vec![],
    }
}

fn listed<T: Debug>(outcomes: Vec<Result<T, WithholdReason>>) -> String {
    let lines: Vec<String> = outcomes
        .into_iter()
        .map(|outcome| outcome.map_or_else(|reason| reason.to_string(), |answer| format!("{answer:?}")))
        .collect();
    lines.join("\n") + "\n"
}

#[track_caller]
fn check_inspect(settings: &str, expected: &Expect) {
    let outcomes = renderer()
        .inspect(&context(), settings, &[object(), object()])
        .expect("no deadline is hit");
    expected.assert_eq(&listed(outcomes));
}

#[track_caller]
fn check_render(settings: &str, expected: &Expect) {
    let placed = PlacedObject {
        object: object(),
        path: None,
        parent: None,
        claimed_by: vec![],
        references: vec![None],
    };
    let outcomes = renderer()
        .render(&context(), settings, &[placed.clone(), placed])
        .expect("no deadline is hit");
    expected.assert_eq(&listed(outcomes));
}

#[track_caller]
fn check_gather(settings: &str, expected: &Expect) {
    let entry = Entry {
        kind: IndexKind::Manifest,
        shard: String::new(),
        key: "a".to_owned(),
        value: "{}".to_owned(),
    };
    let outcomes = renderer()
        .gather(&context(), settings, &[(entry.kind, String::new(), vec![entry])])
        .expect("no deadline is hit");
    expected.assert_eq(&listed(outcomes));
}

#[track_caller]
fn check_recover(settings: &str, expected: &Expect) {
    let recoverable = renderer().recoverable(settings, &["a".to_owned(), "b".to_owned()]);
    let recovered = renderer().recover(&context(), settings, &[]);
    let text = |result: Result<String, crate::SandboxError>| result.unwrap_or_else(|error| error.to_string());
    let lines = [
        text(recoverable.map(|found| format!("{found:?}"))),
        text(recovered.map(|found| format!("{found:?}"))),
    ];
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn harmless_answers_pass() {
    check_inspect(
        "-",
        &expect![[r#"
        Inspection { place: Container, segment: "", sort_name: "", claims: [], references: [], aliases: [], facts: "" }
        Inspection { place: Container, segment: "", sort_name: "", claims: [], references: [], aliases: [], facts: "" }
    "#]],
    );
    check_render(
        "-",
        &expect![[r#"
        Rendered { files: [], entries: [] }
        Rendered { files: [], entries: [] }
    "#]],
    );
    check_gather(
        "-",
        &expect![[r#"
        Gathered { files: [], keep: None }
    "#]],
    );
    check_recover(
        "-",
        &expect![[r#"
        [false, false]
        Recovered { objects: [RecoveredObject { key: Branch, version: 0, version_identifier: "", path: None, parent: None }], entries: [] }
    "#]],
    );
}

#[test]
fn a_trap_or_a_wrong_count_is_found_item_by_item() {
    check_inspect(
        "t",
        &expect![[r#"
        the renderer trapped: wasm `unreachable` instruction executed
        the renderer trapped: wasm `unreachable` instruction executed
    "#]],
    );
    check_inspect(
        "L",
        &expect![[r#"
        the renderer answered with something malformed: 2 answers for 1 items
        the renderer answered with something malformed: 2 answers for 1 items
    "#]],
    );
    check_render(
        "L",
        &expect![[r#"
        the renderer answered with something malformed: 2 answers for 1 items
        the renderer answered with something malformed: 2 answers for 1 items
    "#]],
    );
    check_gather(
        "t",
        &expect![[r#"
        the renderer trapped: wasm `unreachable` instruction executed
    "#]],
    );
}

#[test]
fn an_error_withholds_the_item_that_it_names() {
    check_render(
        "e",
        &expect![[r#"
        the renderer refused it: it could not process this; its own words are in the log
        the renderer refused it: it could not process this; its own words are in the log
    "#]],
    );
    check_gather(
        "e",
        &expect![[r#"
        the renderer refused it: it could not process this; its own words are in the log
    "#]],
    );
}

#[test]
fn only_what_the_first_answer_got_wrong_is_withheld_and_each_is_first_when_alone() {
    check_inspect(
        "k",
        &expect![[r#"
        the renderer answered with something malformed: it names an object whose bucket id is empty
        the renderer answered with something malformed: it names an object whose bucket id is empty
    "#]],
    );
    check_inspect(
        "c",
        &expect![[r#"
        the renderer went over its list_items_max limit
        the renderer went over its list_items_max limit
    "#]],
    );
    check_inspect(
        "h",
        &expect![[r#"
        the renderer went over its output_bytes_max limit
        the renderer went over its output_bytes_max limit
    "#]],
    );
    check_render(
        "c",
        &expect![[r#"
        the renderer went over its list_items_max limit
        the renderer went over its list_items_max limit
    "#]],
    );
}

#[test]
fn recovery_fails_as_a_whole() {
    check_recover(
        "t",
        &expect![[r#"
        the renderer cannot be used: it trapped: wasm `unreachable` instruction executed
        the renderer cannot be used: it trapped: wasm `unreachable` instruction executed
    "#]],
    );
    check_recover(
        "L",
        &expect![[r#"
        the renderer cannot be used: it answered with something malformed: 3 answers for 2 paths
        Recovered { objects: [RecoveredObject { key: Branch, version: 0, version_identifier: "", path: None, parent: None }, RecoveredObject { key: Branch, version: 0, version_identifier: "", path: None, parent: None }], entries: [] }
    "#]],
    );
    check_recover(
        "k",
        &expect![[r#"
        [false, false]
        the renderer cannot be used: it answered with something malformed: it names an object whose run id is empty
    "#]],
    );
}

#[test]
fn settings_are_checked_without_objects() {
    assert!(renderer().check_settings(&context(), "-").is_ok());
    expect!["the renderer refuses its settings: "].assert_eq(
        &renderer()
            .check_settings(&context(), "e")
            .expect_err("it refuses")
            .to_string(),
    );
}
