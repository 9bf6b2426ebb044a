use super::*;
use crate::finding::Target;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::Value;

const CIPHER: &str = "KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0=";

fn rule(id: &str) -> RuleId {
    RuleId::parse(id).expect("a rule")
}

fn redaction(mode: SecretsMode) -> Redaction {
    Redaction::new(mode, TagKey::none())
}

fn finding(leaf: usize, target: Target) -> Finding {
    Finding {
        leaf,
        target,
        rule: rule("test"),
    }
}

/// Redacts, does it once more without findings (which must change nothing), and draws the outcome.
#[track_caller]
fn check(path: &str, mode: SecretsMode, text: &str, findings: &[Finding], expected: &Expect) {
    let format = Format::of(path);
    let drawn = match redact(format, text, findings, &redaction(mode)) {
        Ok((redacted, outcome)) => {
            let redacted = redacted.unwrap_or_else(|| text.to_owned());
            let (again, _) =
                redact(format, &redacted, &[], &redaction(mode)).expect("redacted text is well-formed");
            assert_eq!(again, None, "redacting twice changes nothing");
            let stats = &outcome.stats;
            let mut drawn = format!(
                "{redacted}\n-- {} kept, {} masked, {} omitted",
                outcome.encrypted, stats.masked, stats.omitted
            );
            for (pointer, rule) in &outcome.plaintext {
                drawn += &format!(", {} at {pointer}", rule.as_str());
            }
            drawn + "\n"
        }
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&drawn.replace('\r', "\\r"));
}

fn hash_values() -> String {
    format!(
        r##"{{
    "#cipher": "{CIPHER}",
    "#plain": "hunter2",
    "#vault": "{{{{ vault.key }}}}",
    "#number": 12,
    "#null": null,
    "#empty": "",
    "#list": ["a", "{CIPHER}", true],
    "#map": {{"user": "b", "depth": {{"flag": false}}}},
    "plain": "stays", "count": 1
}}"##
    )
}

#[test]
fn encrypted_mode_keeps_ciphers_and_masks_all_other_values_of_hash_keys() {
    check(
        "a.json",
        SecretsMode::Encrypted,
        &hash_values(),
        &[],
        &expect![[r##"
        {
            "#cipher": "KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0=",
            "#plain": "[REDACTED:keboola-plaintext:0]",
            "#vault": "{{ vault.key }}",
            "#number": "[REDACTED:keboola-plaintext:0]",
            "#null": null,
            "#empty": "",
            "#list": ["[REDACTED:keboola-plaintext:0]", "KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0=", "[REDACTED:keboola-plaintext:0]"],
            "#map": {"user": "[REDACTED:keboola-plaintext:0]", "depth": {"flag": "[REDACTED:keboola-plaintext:0]"}},
            "plain": "stays", "count": 1
        }
        -- 2 kept, 6 masked, 0 omitted, keboola-plaintext at /#plain, keboola-plaintext at /#number, keboola-plaintext at /#list/0, keboola-plaintext at /#list/2, keboola-plaintext at /#map/user, keboola-plaintext at /#map/depth/flag
    "##]],
    );
}

#[test]
fn masked_mode_masks_ciphers_too() {
    check(
        "a.json",
        SecretsMode::Masked,
        &hash_values(),
        &[],
        &expect![[r##"
        {
            "#cipher": "[REDACTED:keboola-cipher:0]",
            "#plain": "[REDACTED:keboola-plaintext:0]",
            "#vault": "{{ vault.key }}",
            "#number": "[REDACTED:keboola-plaintext:0]",
            "#null": null,
            "#empty": "",
            "#list": ["[REDACTED:keboola-plaintext:0]", "[REDACTED:keboola-cipher:0]", "[REDACTED:keboola-plaintext:0]"],
            "#map": {"user": "[REDACTED:keboola-plaintext:0]", "depth": {"flag": "[REDACTED:keboola-plaintext:0]"}},
            "plain": "stays", "count": 1
        }
        -- 0 kept, 8 masked, 0 omitted, keboola-plaintext at /#plain, keboola-plaintext at /#number, keboola-plaintext at /#list/0, keboola-plaintext at /#list/2, keboola-plaintext at /#map/user, keboola-plaintext at /#map/depth/flag
    "##]],
    );
}

#[test]
fn omitted_mode_removes_members() {
    check(
        "a.json",
        SecretsMode::Omitted,
        &hash_values(),
        &[],
        &expect![[r##"
        {
            "#vault": "{{ vault.key }}",
            "#null": null,
            "#empty": "",
            "#list": ["[REDACTED:keboola-plaintext:0]", "[REDACTED:keboola-cipher:0]", "[REDACTED:keboola-plaintext:0]"],
            "#map": {"depth": {}},
            "plain": "stays", "count": 1
        }
        -- 0 kept, 3 masked, 5 omitted, keboola-plaintext at /#plain, keboola-plaintext at /#number, keboola-plaintext at /#list/0, keboola-plaintext at /#list/2, keboola-plaintext at /#map/user, keboola-plaintext at /#map/depth/flag
    "##]],
    );
}

#[test]
fn removing_members_leaves_commas_and_spacing_in_order() {
    for (before, after) in [
        (r##"{"#a":1,"b":2,"#c":3}"##, r##"{"b":2}"##),
        (r##"{"#a":1}"##, "{}"),
        ("{\n  \"#a\": 1\n}", "{}"),
        (
            "{\n  \"a\": 1,\n  \"#b\": 2,\n  \"c\": 3\n}",
            "{\n  \"a\": 1,\n  \"c\": 3\n}",
        ),
        ("{\n  \"a\": 1,\n  \"#b\": 2,\n  \"#c\": 3\n}", "{\n  \"a\": 1\n}"),
        ("{\n  \"#a\": 1,\n  \"#b\": 2,\n  \"c\": 3\n}", "{\n  \"c\": 3\n}"),
        (r##"{"#a":{"x":1},"b":[{"#c":"d"}]}"##, r##"{"#a":{},"b":[{}]}"##),
    ] {
        let (redacted, _) =
            redact(Format::Json, before, &[], &redaction(SecretsMode::Omitted)).expect("well-formed");
        assert_eq!(redacted.as_deref(), Some(after), "{before}");
    }
}

#[test]
fn a_hash_written_as_an_escape_is_a_hash() {
    check(
        "a.json",
        SecretsMode::Encrypted,
        r#"{"\u0023a": "x"}"#,
        &[],
        &expect![[r#"
        {"\u0023a": "[REDACTED:keboola-plaintext:0]"}
        -- 0 kept, 1 masked, 0 omitted, keboola-plaintext at /#a
    "#]],
    );
}

#[test]
fn findings_are_spliced_into_string_literals() {
    check(
        "a.json",
        SecretsMode::Encrypted,
        r#"{"a": "x \"\u00e9\ud83d\ude00\" y", "b": ["all", "lit lit"]}"#,
        &[
            finding(1, Target::Bytes { start: 3, end: 9 }),
            finding(3, Target::Whole),
            finding(4, Target::Literal("lit".to_owned())),
        ],
        &expect![[r#"
            {"a": "x \"[REDACTED:test:0]\" y", "b": ["[REDACTED:test:0]", "[REDACTED:test:0] [REDACTED:test:0]"]}
            -- 0 kept, 4 masked, 0 omitted
        "#]],
    );
}

#[test]
fn part_of_a_hash_value_takes_all_of_it_under_the_rule_of_the_policy() {
    let cipher = format!(r##"{{"#a": "user:pass", "#b": "{CIPHER}", "#c": "{{{{vault.x}}}}"}}"##);
    let part = Target::Bytes { start: 2, end: 4 };
    let findings = [
        finding(1, part.clone()),
        finding(3, part.clone()),
        finding(5, part),
    ];
    check(
        "a.json",
        SecretsMode::Encrypted,
        &cipher,
        &findings,
        &expect![[r##"
        {"#a": "[REDACTED:test:0]", "#b": "[REDACTED:test:0]", "#c": "[REDACTED:test:0]"}
        -- 0 kept, 3 masked, 0 omitted, test at /#a
    "##]],
    );
    check(
        "a.json",
        SecretsMode::Omitted,
        &cipher,
        &findings,
        &expect![[r#"
        {}
        -- 0 kept, 0 masked, 3 omitted, test at /#a
    "#]],
    );
}

#[test]
fn names_that_become_the_same_are_numbered() {
    check(
        "a.json",
        SecretsMode::Encrypted,
        r##"{"s1": 1, "[REDACTED:test:0]-2": 2, "s2": {"#p": "x"}, "#s3": "y", "s4": 4}"##,
        &[
            finding(0, Target::Whole),
            finding(2, Target::Whole),
            finding(5, Target::Whole),
            finding(7, Target::Whole),
        ],
        &expect![[r##"
            {"[REDACTED:test:0]": 1, "[REDACTED:test:0]-2": 2, "[REDACTED:test:0]-3": {"#p": "[REDACTED:keboola-plaintext:0]"}, "#[REDACTED:test:0]": "[REDACTED:keboola-plaintext:0]", "[REDACTED:test:0]-4": 4}
            -- 0 kept, 6 masked, 0 omitted, keboola-plaintext at /[REDACTED:test:0]-3/#p, keboola-plaintext at /#[REDACTED:test:0]
        "##]],
    );
}

#[test]
fn json_lines_are_redacted_line_by_line() {
    check(
        "a.jsonl",
        SecretsMode::Omitted,
        "{\"#a\": 1, \"b\": \"x\"}\n\n{\"c\": \"y\"}\n",
        &[finding(3 + 1, Target::Whole)],
        &expect![[r#"
            {"b": "x"}

            {"[REDACTED:test:0]": "y"}

            -- 0 kept, 1 masked, 1 omitted, keboola-plaintext at /0/#a
        "#]],
    );
    check(
        "a.jsonl",
        SecretsMode::Masked,
        "{\"b\": {\"#a\": 1}}\n{\"c\": \"y\"}\n",
        &[finding(4, Target::Whole)],
        &expect![[r##"
            {"b": {"#a": "[REDACTED:keboola-plaintext:0]"}}
            {"c": "[REDACTED:test:0]"}

            -- 0 kept, 2 masked, 0 omitted, keboola-plaintext at /0/b/#a
        "##]],
    );
}

#[test]
fn cells_are_redacted_within_their_quotes() {
    check(
        "a.csv",
        SecretsMode::Encrypted,
        "id,note\r\n1,\"say \"\"pw\"\", ok\"\r\n2,plain\r\n",
        &[
            finding(3, Target::Literal("\"pw\"".to_owned())),
            finding(5, Target::Whole),
        ],
        &expect![[r#"
            id,note\r
            1,"say [REDACTED:test:0], ok"\r
            2,[REDACTED:test:0]\r

            -- 0 kept, 2 masked, 0 omitted
        "#]],
    );
}

#[test]
fn ciphers_outside_of_hash_keys_go_unless_the_mode_keeps_them() {
    let code = format!("SET x = '{CIPHER}';\n");
    check(
        "a.sql",
        SecretsMode::Encrypted,
        &code,
        &[],
        &expect![[r#"
        SET x = 'KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0=';

        -- 0 kept, 0 masked, 0 omitted
    "#]],
    );
    check(
        "a.sql",
        SecretsMode::Masked,
        &code,
        &[],
        &expect![[r#"
        SET x = '[REDACTED:keboola-cipher:0]';

        -- 0 kept, 1 masked, 0 omitted
    "#]],
    );
    check(
        "a.json",
        SecretsMode::Masked,
        &format!("[\"x {CIPHER}\"]"),
        &[],
        &expect![[r#"
        ["x [REDACTED:keboola-cipher:0]"]
        -- 0 kept, 1 masked, 0 omitted
    "#]],
    );
    check(
        "a.csv",
        SecretsMode::Omitted,
        &format!("a\n{CIPHER}\n"),
        &[],
        &expect![[r#"
        a
        [REDACTED:keboola-cipher:0]

        -- 0 kept, 1 masked, 0 omitted
    "#]],
    );
}

#[test]
fn findings_that_do_not_fit_are_errors() {
    check(
        "a.json",
        SecretsMode::Encrypted,
        "[\"a\"]",
        &[finding(1, Target::Whole)],
        &expect![[r#"
        a finding for leaf 1 names a leaf that the document does not have
    "#]],
    );
    check(
        "a.sql",
        SecretsMode::Encrypted,
        "é",
        &[finding(0, Target::Bytes { start: 1, end: 2 })],
        &expect![[r#"
        a finding for leaf 0 names a range that is not in the leaf or cuts a character
    "#]],
    );
}

#[test]
fn equal_secrets_have_equal_tags_also_as_number_and_text() {
    let stack = crate::ids::Stack::parse("s").expect("a stack");
    let key = TagKey::derive(
        b"root",
        &stack,
        &crate::ids::ProjectId::parse("1").expect("a project"),
    );
    let redaction = Redaction::new(SecretsMode::Encrypted, key);
    let (redacted, _) = redact(
        Format::Json,
        r##"{"#a": 1234, "#b": "1234", "#c": "12345"}"##,
        &[],
        &redaction,
    )
    .expect("well-formed");
    let redacted: Value = serde_json::from_str(&redacted.expect("redacted")).expect("JSON");
    assert_eq!(redacted["#a"], redacted["#b"]);
    assert_ne!(redacted["#a"], redacted["#c"]);
}

#[test]
fn texts_that_are_no_files_are_redacted_or_go_altogether() {
    let redaction = redaction(SecretsMode::Encrypted);
    let document = document_of_text(DocumentKind::Message, "token abc");
    assert_eq!(document.leaves.get(0).unwrap().value, "token abc");
    let literal = finding(0, Target::Literal("abc".to_owned()));
    assert_eq!(
        redact_text("token abc", &[literal], &redaction),
        "token [REDACTED:test:0]"
    );
    let misfit = finding(0, Target::Literal("abcd".to_owned()));
    assert_eq!(
        redact_text("token abc", &[misfit], &redaction),
        "[REDACTED:unreadable-finding:0]"
    );
    assert_eq!(redact_text("", &[], &redaction), "");
}

/// JSON with keys and strings that meet all of the special cases.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        Just(CIPHER.to_owned()),
        Just(format!("x {CIPHER} y")),
        Just("{{vault.a}}".to_owned()),
        Just("[REDACTED:a:0]".to_owned()),
        Just("x[REDACTED:a:0] aa".to_owned()),
        "[ab\"\\\\é]{0,6}",
    ];
    let key = prop_oneof!["#?[ab]{1,2}", Just("[REDACTED:b:0]".to_owned()), any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Findings that fit the leaves, as the numbers choose them.
fn some_findings(format: Format, text: &str, choices: &[(usize, usize, usize, u8)]) -> Vec<Finding> {
    let leaves = walk::leaves(format, text).expect("well-formed");
    let of = |&(leaf, one, other, kind): &(usize, usize, usize, u8)| {
        let leaf = leaf % leaves.len();
        let value = leaves.get(leaf).unwrap().value;
        let bounds: Vec<usize> = value
            .char_indices()
            .map(|(at, _)| at)
            .chain([value.len()])
            .collect();
        let (one, other) = (bounds[one % bounds.len()], bounds[other % bounds.len()]);
        let (start, end) = (one.min(other), one.max(other));
        let target = match kind {
            0 => Target::Whole,
            1 if start < end => Target::Literal(value[start..end].to_owned()),
            _ => Target::Bytes { start, end },
        };
        Finding {
            leaf,
            target,
            rule: rule(["r1", "r2"][usize::from(kind) % 2]),
        }
    };
    if leaves.is_empty() {
        Vec::new()
    } else {
        choices.iter().map(of).collect()
    }
}

/// Says whether two values have the same containers; members may only be missing if `omitted`.
fn same_shape(before: &Value, after: &Value, secret: bool, omitted: bool) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) if !omitted => {
            before.len() == after.len()
                && before.iter().zip(after).all(|((key, before), (_, after))| {
                    same_shape(before, after, secret || key.starts_with('#'), omitted)
                })
        }
        (Value::Object(before), Value::Object(after)) => after.len() <= before.len(),
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .zip(after)
                    .all(|(before, after)| same_shape(before, after, secret, omitted))
        }
        (Value::Null, Value::Null) | (Value::String(_), Value::String(_)) => true,
        (Value::Bool(_) | Value::Number(_), after) if secret => after.as_str().is_some_and(Marker::is),
        (before, after) => before == after,
    }
}

/// Says whether anything below a `#` key may not stand there.
fn holds_plaintext(value: &Value, secret: bool) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| holds_plaintext(value, secret || key.starts_with('#'))),
        Value::Array(elements) => elements.iter().any(|element| holds_plaintext(element, secret)),
        Value::String(text) => secret && value::classify(text) == value::Class::Plaintext,
        Value::Bool(_) | Value::Number(_) => secret,
        Value::Null => false,
    }
}

fn any_mode() -> impl Strategy<Value = SecretsMode> {
    prop_oneof![
        Just(SecretsMode::Encrypted),
        Just(SecretsMode::Masked),
        Just(SecretsMode::Omitted)
    ]
}

fn any_choices() -> impl Strategy<Value = Vec<(usize, usize, usize, u8)>> {
    prop::collection::vec((any::<usize>(), any::<usize>(), any::<usize>(), 0..3_u8), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn redacted_json_is_json_of_the_same_shape(json in any_json(), choices in any_choices(), mode in any_mode(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.expect("JSON");
        let findings = some_findings(Format::Json, &text, &choices);
        let redaction = redaction(mode);
        let (redacted, _) = redact(Format::Json, &text, &findings, &redaction).expect("findings that fit");
        let redacted = redacted.unwrap_or(text);
        let after: Value = serde_json::from_str(&redacted).expect("JSON");
        prop_assert!(same_shape(&json, &after, false, mode == SecretsMode::Omitted), "{} became {}", json, after);
        prop_assert!(!holds_plaintext(&after, false), "{}", after);
        if mode != SecretsMode::Encrypted {
            prop_assert!(!redacted.contains("KBC::"), "{}", redacted);
        }
        let (again, _) = redact(Format::Json, &redacted, &[], &redaction).expect("well-formed");
        prop_assert_eq!(again, None);
    }

    #[test]
    fn what_goes_as_a_whole_goes_once(json in any_json(), mode in any_mode()) {
        let all = |text: &str| -> Vec<Finding> {
            (0..walk::leaves(Format::Json, text).expect("well-formed").len()).map(|leaf| finding(leaf, Target::Whole)).collect()
        };
        let stack = crate::ids::Stack::parse("s").expect("a stack");
        let key = TagKey::derive(b"root", &stack, &crate::ids::ProjectId::parse("1").expect("a project"));
        let redaction = Redaction::new(mode, key);
        let text = json.to_string();
        let (once, _) = redact(Format::Json, &text, &all(&text), &redaction).expect("findings that fit");
        let once = once.unwrap_or(text);
        let (twice, _) = redact(Format::Json, &once, &all(&once), &redaction).expect("findings that fit");
        prop_assert_eq!(twice, None, "{}", once);
    }

    #[test]
    fn redacted_csv_has_the_same_cells(rows in prop::collection::vec(prop::collection::vec("[a\",\n\ré ]{0,5}", 2..3), 1..4), choices in any_choices()) {
        let quote = |cell: &String| if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() };
        let line = |row: &Vec<String>| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\n";
        let text: String = rows.iter().map(line).collect();
        let findings = some_findings(Format::Csv, &text, &choices);
        let (redacted, _) = redact(Format::Csv, &text, &findings, &redaction(SecretsMode::Masked)).expect("findings that fit");
        let redacted = redacted.unwrap_or(text.clone());
        let pointers = |text: &str| -> Vec<String> {
            walk::leaves(Format::Csv, text).expect("well-formed").iter().map(|leaf| leaf.pointer.to_owned()).collect()
        };
        prop_assert_eq!(pointers(&redacted), pointers(&text));
    }

    #[test]
    fn nothing_of_a_literal_is_left_in_a_text(text in "[ab]{0,12}", literal in "[ab]{1,3}") {
        if text.contains(&literal) {
            let findings = [finding(0, Target::Literal(literal.clone()))];
            let redacted = redact_text(&text, &findings, &redaction(SecretsMode::Masked));
            prop_assert!(!redacted.replace("[REDACTED:test:0]", "|").contains(&literal));
        }
    }
}

#[test]
fn what_is_replaced_is_told_with_its_rule() {
    let text = r##"{"#a": 12, "#b": "plain", "c": "x"}"##;
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    let pieces = replaced(Format::Json, text, &[], &redaction).expect("it is JSON");
    let told: Vec<_> = pieces
        .iter()
        .map(|piece| (&text[piece.range.clone()], piece.rule()))
        .collect();
    assert_eq!(
        told,
        [
            ("12", Some("keboola-plaintext")),
            ("plain", Some("keboola-plaintext"))
        ]
    );
}

/// Ours and the built-in policy's line between what describes a `#` key and what is its value.
#[test]
fn a_schema_whose_type_goes_is_none_any_more() {
    // Else its title would go only when it is redacted once more.
    let schema = r##"{"properties": {"#password": {"type": "string", "title": "Password"}}}"##;
    check(
        "a.json",
        SecretsMode::Encrypted,
        schema,
        &[finding(3, Target::Whole)],
        &expect![[r##"
            {"properties": {"#password": {"type": "[REDACTED:test:0]", "title": "[REDACTED:keboola-plaintext:0]"}}}
            -- 0 kept, 2 masked, 0 omitted, test at /properties/#password/type, keboola-plaintext at /properties/#password/title
        "##]],
    );
}

#[test]
fn a_schema_describes_a_secret_key_and_does_not_set_it() {
    let text = r##"{"properties": {"#password": {"type": "string", "title": "Password", "propertyOrder": 3,
        "options": {"grid": [2, "wide"]}, "default": "leto", "examples": ["leto2"]}}}"##;
    let redaction = Redaction::new(SecretsMode::Masked, TagKey::none());
    let (redacted, outcome) = redact(Format::Json, text, &[], &redaction).expect("it is JSON");
    let redacted = redacted.expect("the default goes");
    assert_eq!(
        redacted,
        text.replace("\"leto\"", "\"[REDACTED:keboola-plaintext:0]\"")
            .replace("\"leto2\"", "\"[REDACTED:keboola-plaintext:0]\"")
    );
    assert_eq!(outcome.plaintext.len(), 2);
    let guard = crate::guard::Guard::new(&KnownSecrets::new());
    assert_eq!(guard.check_file("a.json", &redacted), None);
    assert!(guard.check_file("a.json", text).is_some());
    // What only looks like one is none.
    for other in [
        r##"{"properties": {"#auth": {"type": "basic", "title": "leto"}}}"##,
        r##"{"parameters": {"#auth": {"type": "string", "title": "leto"}}}"##,
        r##"{"#properties": {"#auth": {"type": "string", "title": "leto"}}}"##,
        r##"{"properties": {"#auth": {"type": ["string"], "title": "leto"}}}"##,
        r##"{"#x": {"properties": {"#auth": {"type": "string", "title": "leto"}}}}"##,
    ] {
        let (redacted, _) = redact(Format::Json, other, &[], &redaction).expect("it is JSON");
        assert!(!redacted.expect("something goes").contains("leto"), "{other}");
        assert!(guard.check_file("a.json", other).is_some(), "{other}");
    }
}

#[test]
fn a_policy_may_object_to_what_describes_a_secret_key() {
    let text = r##"{"properties": {"#a": {"type": "string", "title": "about leto", "propertyOrder": 3}}}"##;
    let leaves = walk::leaves(Format::Json, text).expect("it is JSON");
    let at = |pointer: &str, role| {
        let leaf = leaves
            .iter()
            .position(|leaf| leaf.pointer == pointer && leaf.role == role);
        leaf.expect("there is such a leaf")
    };
    let finding = |leaf, target| Finding {
        leaf,
        target,
        rule: RuleId::parse("r").expect("a rule"),
    };
    let findings = [
        finding(
            at("/properties/#a/title", LeafRole::Text),
            Target::Literal("leto".to_owned()),
        ),
        finding(
            at("/properties/#a/propertyOrder", LeafRole::Scalar),
            Target::Whole,
        ),
    ];
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    let (redacted, _) = redact(Format::Json, text, &findings, &redaction).expect("it is JSON");
    let redacted = redacted.expect("two pieces go");
    assert_eq!(
        redacted,
        text.replace("leto", "[REDACTED:r:0]")
            .replace("3}", "\"[REDACTED:r:0]\"}")
    );
}
