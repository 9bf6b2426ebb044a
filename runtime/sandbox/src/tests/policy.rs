//! Hostile policies in the real engine.

use super::support::{POLICY, component, context, documents, limits, sandbox};
use crate::{
    GuestWords, Limits, RedactionPolicy, Sandbox, SandboxConfig, SandboxError,
    bindings::exports::keboola::mirror::redaction, convert::redact::policy_info,
};
use expect_test::{Expect, expect};
use mirror_core::finding::Verdict;
use std::fmt::Write;

fn policy(limits: Limits) -> RedactionPolicy {
    sandbox(limits)
        .customer_policy("X", &component(POLICY, "redaction-policy"), "{}")
        .expect("the policy fits")
}

fn verdicts(policy: &RedactionPolicy, texts: &[&str]) -> String {
    let verdicts = policy
        .redact(&context(), &documents(texts))
        .expect("no deadline is hit");
    assert_eq!(verdicts.len(), texts.len());
    let mut text = String::new();
    for verdict in verdicts {
        match verdict {
            Verdict::Findings(findings) => {
                let findings: Vec<_> = findings
                    .iter()
                    .map(|finding| format!("{}:{:?}:{}", finding.leaf, finding.target, finding.rule.as_str()))
                    .collect();
                writeln!(text, "{}", findings.join(" "))
            }
            Verdict::Withhold(reason) => writeln!(text, "{reason}"),
        }
        .expect("a string takes any text");
    }
    text
}

/// Judges the texts between two that are harmless.
#[track_caller]
fn check(texts: &[&str], expected: &Expect) {
    let neighbours: Vec<&str> = [&["before"], texts, &["after"]].concat();
    expected.assert_eq(&verdicts(&policy(limits()), &neighbours));
}

#[test]
fn a_harmless_document_is_judged() {
    check(
        &[],
        &expect![[r#"
        0:Whole:test-rule
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn a_document_that_makes_the_policy_trap_is_withheld_alone() {
    check(
        &["!t"],
        &expect![[r#"
        0:Whole:test-rule
        the policy X trapped: wasm `unreachable` instruction executed
        0:Whole:test-rule
    "#]],
    );
    check(
        &["x", "!t", "y", "!t"],
        &expect![[r#"
        0:Whole:test-rule
        0:Whole:test-rule
        the policy X trapped: wasm `unreachable` instruction executed
        0:Whole:test-rule
        the policy X trapped: wasm `unreachable` instruction executed
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn a_policy_cannot_take_more_than_its_limits() {
    check(
        &["!l", "!m", "!r", "!h", "!q", "!Q"],
        &expect![[r#"
        0:Whole:test-rule
        the policy X went over its fuel_max limit
        the policy X went over its memory_bytes_max limit
        the policy X went over its wasm_stack_bytes_max limit
        the policy X went over its hostcall_fuel limit
        the policy X went over its findings_max limit
        the policy X answered with something malformed: list pointer/length out of bounds of memory
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn a_policy_that_lives_with_a_refused_allocation_is_not_at_fault() {
    check(
        &["!g"],
        &expect![[r#"
        0:Whole:test-rule
        0:Whole:test-rule
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn answers_that_the_engine_cannot_read_are_malformed() {
    check(
        &["!x", "!p", "!d", "!a", "!A"],
        &expect![[r#"
        0:Whole:test-rule
        the policy X answered with something malformed: invalid utf-8 sequence of 1 bytes from index 0
        the policy X answered with something malformed: string pointer/length out of bounds of memory
        the policy X answered with something malformed: unexpected discriminant: 9
        the policy X answered with something malformed: return pointer not aligned
        the policy X answered with something malformed: pointer out of bounds of memory
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn answers_that_do_not_fit_the_document_are_malformed() {
    check(
        &["!o", "!u", "!cé", "!b", "!v", "!w", "!n", "!z"],
        &expect![[r#"
        0:Whole:test-rule
        the policy X answered with something malformed: a finding in leaf 7 of a document with 1 leaves
        the policy X answered with something malformed: a finding in leaf 0 names rule 9 of 1
        the policy X answered with something malformed: a finding in leaf 0 has the range 0..3, which is empty, outside its 4 bytes or inside a character
        the policy X answered with something malformed: a finding in leaf 0 has the range 2..1, which is empty, outside its 2 bytes or inside a character
        the policy X answered with something malformed: a finding in leaf 0 has the range 1..1, which is empty, outside its 2 bytes or inside a character
        the policy X answered with something malformed: a finding in leaf 0 has the range 0..1000, which is empty, outside its 2 bytes or inside a character
        the policy X answered with something malformed: a finding in leaf 0 has a literal that is empty or does not occur
        the policy X answered with something malformed: a finding in leaf 0 has a literal that is empty or does not occur
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn a_wrong_number_of_answers_is_malformed() {
    check(
        &["!L", "!K"],
        &expect![[r#"
        0:Whole:test-rule
        the policy X answered with something malformed: 2 lists of findings for 1 documents
        the policy X answered with something malformed: 0 lists of findings for 1 documents
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn an_error_withholds_what_it_names_and_its_words_stay_out_of_the_reason() {
    check(
        &["!e", "x", "!E", "!f"],
        &expect![[r#"
        0:Whole:test-rule
        the policy X refused it: it could not process this; its own words are in the log
        0:Whole:test-rule
        the policy X refused it: it could not process this; its own words are in the log
        the policy X refused it: it could not process this; its own words are in the log
        0:Whole:test-rule
    "#]],
    );
}

#[test]
fn literals_cost_the_host_no_more_than_allowed() {
    let policy = policy(Limits {
        literal_search_bytes_max: 7,
        ..limits()
    });
    expect![[r#"
        the policy X answered with something malformed: a finding in leaf 0 has a literal that is empty or does not occur
        the policy X went over its literal_search_bytes_max limit
    "#]].assert_eq(&verdicts(&policy, &["!n1234", "!n12345678"]));
}

#[test]
fn a_document_without_leaves_and_no_documents_are_judged() {
    let policy = policy(limits());
    assert_eq!(policy.redact(&context(), &[]).expect("no deadline is hit"), []);
    let mut empty = documents(&["x"]);
    empty[0].leaves.clear();
    assert_eq!(
        policy.redact(&context(), &empty).expect("no deadline is hit"),
        [Verdict::Findings(vec![])]
    );
}

#[test]
fn batches_are_judged_in_fresh_instances_and_in_order() {
    let policy = policy(Limits {
        batch_documents_max: 2,
        ..limits()
    });
    expect![[r#"
        0:Whole:test-rule
        0:Whole:test-rule
        0:Whole:test-rule
        the policy X trapped: wasm `unreachable` instruction executed
        0:Whole:test-rule
    "#]]
    .assert_eq(&verdicts(&policy, &["a", "b", "c", "!t", "d"]));
}

#[test]
fn the_wall_clock_is_a_temporary_error_and_the_third_time_a_verdict() {
    let policy = policy(Limits {
        fuel_max: u64::MAX,
        deadline_ms: 200,
        ..limits()
    });
    let documents = documents(&["before", "!l", "after"]);
    for _ in 0..2 {
        let error = policy
            .redact(&context(), &documents)
            .expect_err("the document loops");
        assert!(
            matches!(error, SandboxError::Deadline { deadline_ms: 200, .. }),
            "{error}"
        );
        assert!(error.is_temporary());
    }
    expect![[r#"
        0:Whole:test-rule
        the policy X went over its deadline_ms limit
        0:Whole:test-rule
    "#]]
    .assert_eq(&verdicts(&policy, &["before", "!l", "after"]));
}

#[test]
fn a_policy_says_what_it_is() {
    let policy = policy(limits());
    expect![[r#"
        PolicyInfo {
            name: "hostile",
            version: "1",
            rules: [
                Rule {
                    id: RuleId(
                        "test-rule",
                    ),
                    title: "Of the test",
                },
            ],
            settings_schema: "",
        }
    "#]]
    .assert_debug_eq(policy.info());
    assert_eq!(policy.digest().len(), 64);
}

#[track_caller]
fn check_refused(text: &str, settings: &str, expected: &Expect) {
    let bytes = component(text, "redaction-policy");
    let error = sandbox(limits())
        .customer_policy("X", &bytes, settings)
        .expect_err("the policy must be refused");
    expected.assert_eq(&error.to_string());
}

#[test]
fn a_policy_may_refuse_its_settings() {
    check_refused(
        POLICY,
        "!",
        &expect!["the policy X refuses its settings: `/x`: is wrong"],
    );
}

#[test]
fn a_policy_that_cannot_say_what_it_is_is_refused() {
    let described = |first: &str| POLICY.replace(";;DESCRIBE;;", first);
    check_refused(
        &described("unreachable"),
        "{}",
        &expect![
            "the policy X cannot be used: it trapped: wasm `unreachable` instruction executed (in `describe`)"
        ],
    );
    check_refused(
        &described("(loop $for_ever (br $for_ever))"),
        "{}",
        &expect!["the policy X cannot be used: it went over its fuel_max limit (in `describe`)"],
    );
    check_refused(
        &POLICY.replace("\"test-rule\"", "\"Test rule\""),
        "{}",
        &expect![
            "the policy X does not fit: the id of its rule 0, `Test rule`, is not 1 to 40 characters of a-z, 0-9 and -"
        ],
    );
    check_refused(
        &POLICY.replace(";;CONFIGURE;;", "(loop $for_ever (br $for_ever))"),
        "{}",
        &expect!["the policy X cannot be used: it went over its fuel_max limit (in `configure`)"],
    );
    let rule = r"\10\01\00\00\09\00\00\00\20\01\00\00\0b\00\00\00";
    let twice = POLICY
        .replace(rule, &rule.repeat(2))
        .replace(r"\40\00\00\00\01", r"\40\00\00\00\02");
    check_refused(
        &twice,
        "{}",
        &expect!["the policy X does not fit: it has the rule id `test-rule` twice"],
    );
}

#[track_caller]
fn check_described(rules: &[&str], schema: &str, expected: &Expect) {
    let rules = rules.iter().map(|id| redaction::Rule {
        id: (*id).to_owned(),
        title: "Of the test".to_owned(),
    });
    let (_, problems) = policy_info(redaction::PolicyInfo {
        name: "x".to_owned(),
        version: "1".to_owned(),
        rules: rules.collect(),
        settings_schema: schema.to_owned(),
    });
    expected.assert_eq(&problems.join("\n"));
}

#[test]
fn all_that_is_wrong_with_what_a_policy_says_of_itself_is_told() {
    check_described(&["a", "b-2"], r#"{"type": ["object", "null"]}"#, &expect![[""]]);
    check_described(&["a"], "", &expect![[""]]);
    check_described(
        &["A", "b", "b", "c d", ""],
        "{not json",
        &expect![[r#"
            its settings schema is not JSON (line 1, column 2); return a JSON Schema of an object from `describe`, or an empty text where there are no settings
            the id of its rule 0, `A`, is not 1 to 40 characters of a-z, 0-9 and -
            it has the rule id `b` twice
            the id of its rule 3, `c d`, is not 1 to 40 characters of a-z, 0-9 and -
            the id of its rule 4, ``, is not 1 to 40 characters of a-z, 0-9 and -"#]],
    );
    check_described(
        &[],
        r#"{"type": "array"}"#,
        &expect![[r#"
            it has no rules, and each finding names one; return them from `describe`
            the `type` in its settings schema is not `object`, which settings are; return a JSON Schema of an object from `describe`, or an empty text where there are no settings"#]],
    );
    check_described(
        &["a"],
        "[]",
        &expect![
            "its settings schema is JSON and no object; return a JSON Schema of an object from `describe`, or an empty text where there are no settings"
        ],
    );
    let many: Vec<&str> = vec!["?"; 60];
    let (_, problems) = policy_info(redaction::PolicyInfo {
        name: String::new(),
        version: String::new(),
        rules: many
            .iter()
            .map(|id| redaction::Rule {
                id: (*id).to_owned(),
                title: String::new(),
            })
            .collect(),
        settings_schema: String::new(),
    });
    assert_eq!((problems.len(), problems[50].as_str()), (51, "and 10 more"));
}

#[test]
fn an_instance_is_limited_before_its_first_call() {
    let started = |start: &str| POLICY.replace(";;START;;", start);
    check_refused(
        &started("(func $s (loop $for_ever (br $for_ever))) (start $s)"),
        "{}",
        &expect![
            "the policy X cannot be used: it went over its fuel_max limit (as it was instantiated, before any call)"
        ],
    );
    check_refused(
        &started("(table 10000000 funcref)"),
        "{}",
        &expect![
            "the policy X cannot be used: it went over its table_elements_max limit (as it was instantiated, before any call)"
        ],
    );
    check_refused(
        &started("(memory 700) (memory 700)"),
        "{}",
        &expect![
            "the policy X cannot be used: it went over its memory_bytes_max limit (as it was instantiated, before any call)"
        ],
    );
    check_refused(
        &started("(memory 1) (memory 1) (memory 1) (memory 1)"),
        "{}",
        &expect![
            "the policy X cannot be used: it went over its memories_max limit (as it was instantiated, before any call)"
        ],
    );
}

/// What `configure` did holds in every instance, whether it is part of the component's state or is done anew.
#[test]
fn settings_hold_however_an_instance_came_by_them() {
    // The settings name the rule.
    let configured = POLICY.replace(
        "    i32.const 192)\n\n  (func $recurse",
        "    (memory.copy (i32.const 272) (i32.add (local.get $at) (i32.const 1)) (i32.const 9))\n    \
         i32.const 192)\n\n  (func $recurse",
    );
    assert_ne!(configured, POLICY);
    // State of tables is nothing that could be kept.
    let with_table = configured.replace(
        "  (func $recurse",
        "  (table $t 1 funcref)\n  (func (export \"unused\") (table.set $t (i32.const 0) (ref.null func)))\n  (func $recurse",
    );
    for (text, is_kept) in [(configured, true), (with_table, false)] {
        for rule in ["rule-of-a", "rule-of-b"] {
            let bytes = component(&text, "redaction-policy");
            let policy = sandbox(limits()).customer_policy("X", &bytes, &format!("\"{rule}\""));
            let policy = policy.expect("the policy fits");
            assert_eq!(policy.is_configured(), is_kept);
            let verdicts = verdicts(&policy, &["one", "!t", "two"]);
            let expected = format!("0:Whole:{rule}\nX\n0:Whole:{rule}\n");
            let trapped = verdicts.lines().nth(1).unwrap_or_default();
            assert_eq!(verdicts.replace(trapped, "X"), expected);
            assert!(trapped.contains("trapped"), "{trapped}");
        }
    }
}

/// Takes down the fields of all events.
#[derive(Clone, Default)]
struct Heard(std::sync::Arc<std::sync::Mutex<String>>);

impl tracing::Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = self.0.lock().expect("nobody panics");
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                write!(fields, "{field}={value:?} ").expect("a string takes any text");
            },
        );
        fields.push('\n');
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn what_a_policy_says_of_documents_is_logged_for_its_author_alone_and_without_their_texts() {
    let said = |guest_words: GuestWords, text: &str| {
        let config = SandboxConfig {
            guest_words,
            ..SandboxConfig::offline(limits(), limits())
        };
        let policy = Sandbox::new(config)
            .expect("the engine starts")
            .customer_policy("X", &component(POLICY, "redaction-policy"), "{}")
            .expect("the policy fits");
        let heard = Heard::default();
        tracing::subscriber::with_default(heard.clone(), || verdicts(&policy, &[text]));
        let heard = heard.0.lock().expect("nobody panics").clone();
        let refused = heard.lines().filter(|line| line.contains("a guest refused"));
        refused.collect::<Vec<_>>().join("\n")
    };
    for (guest_words, text, shown) in [
        (GuestWords::Hidden, "!e", ""),
        (GuestWords::Hidden, "!e says\nno", ""),
        (GuestWords::Masked, "!e", "words=\"says\u{fffd}no\" "),
        (GuestWords::Masked, "!e says\nno", "words=\"…\" "),
    ] {
        let expected = format!("message=a guest refused guest=\"policy X\" item=0 {shown}words_bytes=7 ");
        assert_eq!(said(guest_words, text), expected);
    }
}
