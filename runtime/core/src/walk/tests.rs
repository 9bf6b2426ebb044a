use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

#[track_caller]
fn check_leaves(path: &str, text: &str, expected: &Expect) {
    let drawn = match leaves(Format::of(path), text) {
        Ok(leaves) => leaves
            .iter()
            .map(|leaf| format!("{:?} {} {:?}\n", leaf.role, leaf.pointer, leaf.value))
            .collect(),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&drawn);
}

#[test]
fn the_path_says_how_a_file_is_cut() {
    for (path, format) in [
        ("configs/main/a/config.json", Format::Json),
        ("a/B.JSON", Format::Json),
        ("jobs/2024/01/02.jsonl", Format::JsonLines),
        ("storage/samples/in.c-main/orders.csv", Format::Csv),
        ("configs/main/a.json/code.sql", Format::Text),
        ("configs/main/json", Format::Text),
        ("x.py", Format::Text),
    ] {
        assert_eq!(Format::of(path), format, "{path}");
    }
}

#[test]
fn json_gives_keys_strings_and_scalars_below_hash_keys() {
    check_leaves(
        "a.json",
        r##"{"a/b~c": ["x", 1, null, true], "#p": {"n": 12, "t": [false, null, "y"]}, "\u0023q": 3}"##,
        &expect![[r##"
            Key /a~1b~0c "a/b~c"
            Text /a~1b~0c/0 "x"
            Key /#p "#p"
            Key /#p/n "n"
            Scalar /#p/n "12"
            Key /#p/t "t"
            Scalar /#p/t/0 "false"
            Text /#p/t/2 "y"
            Key /#q "#q"
            Scalar /#q "3"
        "##]],
    );
}

#[test]
fn escapes_and_surrogate_pairs_are_decoded() {
    check_leaves(
        "a.json",
        r#"["\"\\\/\b\f\n\r\t\u00e9", "\ud83d\ude00", "\ud83dx", "\ude00"]"#,
        &expect![[r#"
            Text /0 "\"\\/\u{8}\u{c}\n\r\té"
            Text /1 "😀"
            Text /2 "�x"
            Text /3 "�"
        "#]],
    );
}

#[test]
fn what_is_not_json_is_refused() {
    for (text, problem) in [
        ("", "a value is missing at byte 0"),
        ("{\"a\":1,}", "a member name is missing at byte 7"),
        ("[1,]", "a value is missing at byte 3"),
        ("[1 2]", "a comma or the end of a container is missing at byte 3"),
        ("{\"a\" 1}", "a colon is missing at byte 5"),
        ("{} {}", "more than one value at byte 3"),
        ("\"a", "a string without end at byte 2"),
        ("\"a\n\"", "a control character in a string at byte 2"),
        ("\"\\x\"", "an unknown escape at byte 1"),
        ("\"\\u12\"", "an unknown escape at byte 1"),
        ("01", "more than one value at byte 1"),
        ("1.", "a digit is missing at byte 2"),
        ("-", "a digit is missing at byte 1"),
        ("tru", "an unknown word at byte 0"),
        ("\u{feff}1", "a value is missing at byte 0"),
    ] {
        let error = check(Format::Json, text).expect_err(text).to_string();
        assert_eq!(error, format!("not well-formed JSON: {problem}"), "{text:?}");
    }
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(check(Format::Json, &deep(DEPTH_MAX_TEST)).is_ok());
    let refused = check(Format::Json, &deep(100_000)).expect_err("it is deeper");
    let expected = format!("nested deeper than {DEPTH_MAX_TEST} levels");
    assert_eq!(refused.problem, expected);
}

const DEPTH_MAX_TEST: usize = json::DEPTH_MAX;

#[test]
fn json_lines_are_numbered_from_zero_and_may_be_empty() {
    check_leaves(
        "a.jsonl",
        "{\"a\":\"x\"}\r\n\n\"y\"\n",
        &expect![[r#"
            Key /0/a "a"
            Text /0/a "x"
            Text /2 "y"
        "#]],
    );
    // White space, but not of JSON.
    check_leaves(
        "a.jsonl",
        "1\n\u{c}\n2\n",
        &expect![[r#"
        not well-formed JSON Lines: a value is missing at byte 2
    "#]],
    );
    check_leaves(
        "a.jsonl",
        "1\n{\n}\n",
        &expect![[r#"
        not well-formed JSON Lines: a member name is missing at byte 4
    "#]],
    );
}

#[test]
fn csv_gives_cells_by_row_and_column() {
    check_leaves(
        "a.csv",
        "id,\"na\"\"me\"\r\n1,\"a,\nb\"\n,\n",
        &expect![[r#"
            Text /0/0 "id"
            Text /0/1 "na\"me"
            Text /1/0 "1"
            Text /1/1 "a,\nb"
            Text /2/0 ""
            Text /2/1 ""
        "#]],
    );
    check_leaves("a.csv", "", &expect![""]);
    check_leaves(
        "a.csv",
        "a\n\nb",
        &expect![[r#"
        Text /0/0 "a"
        Text /1/0 ""
        Text /2/0 "b"
    "#]],
    );
}

#[test]
fn what_is_not_csv_is_refused() {
    for (text, problem) in [
        ("a,b\"c\n", "a quote inside of a cell without quotes at byte 3"),
        ("\"a", "a quoted cell without end at byte 0"),
        ("\"a\"b", "text after a quoted cell at byte 3"),
        ("a\rb", "half of a line break at byte 1"),
    ] {
        let error = check(Format::Csv, text).expect_err(text).to_string();
        assert_eq!(error, format!("not well-formed CSV: {problem}"), "{text:?}");
    }
}

#[test]
fn a_range_of_the_decoded_text_maps_to_the_escapes_that_stand_for_it() {
    let raw = r#"a\"\ud83d\ude00é\u00e9z"#;
    let decoded = Encoding::Json.decode(raw);
    assert_eq!(decoded, "a\"😀ééz");
    let parts: Vec<_> = decoded
        .char_indices()
        .map(|(at, c)| at..at + c.len_utf8())
        .collect();
    let sources: Vec<_> = Encoding::Json
        .source_ranges(raw, &parts)
        .into_iter()
        .map(|range| &raw[range])
        .collect();
    assert_eq!(sources, ["a", "\\\"", "\\ud83d\\ude00", "é", "\\u00e9", "z"]);
}

/// A JSON literal of a text in which each character is escaped as the bits say.
fn escape_some(text: &str, bits: u64) -> String {
    let mut literal = String::new();
    for (index, character) in text.chars().enumerate() {
        if (bits >> (index % 64)) & 1 == 1 || matches!(character, '"' | '\\') || character < ' ' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                literal.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            literal.push(character);
        }
    }
    literal
}

proptest! {
    #[test]
    fn our_reading_of_json_is_that_of_serde(text in "[\\[\\]{}\",:0-9a-f.eE+\\\\u# -]{0,40}") {
        let ours = check(Format::Json, &text).is_ok();
        // The two differ only where serde looks at values: half surrogates, numbers beyond f64.
        if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
            prop_assert!(ours, "{theirs}");
        } else if ours {
            prop_assert!(text.contains("\\u") || text.contains(['e', 'E']), "{}", text);
        }
    }

    #[test]
    fn spans_are_exact_whatever_is_escaped(text in any::<String>(), bits in any::<u64>(), ends in any::<(prop::sample::Index, prop::sample::Index)>()) {
        let raw = escape_some(&text, bits);
        prop_assert_eq!(&*Encoding::Json.decode(&raw), text.as_str());
        let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (one, other) = (*ends.0.get(&bounds), *ends.1.get(&bounds));
        let wanted = one.min(other)..one.max(other);
        let source = Encoding::Json.source_ranges(&raw, std::slice::from_ref(&wanted)).remove(0);
        prop_assert_eq!(&*Encoding::Json.decode(&raw[source]), &text[wanted.clone()]);

        let quoted = text.replace('"', "\"\"");
        let source = Encoding::Quoted.source_ranges(&quoted, std::slice::from_ref(&wanted)).remove(0);
        prop_assert_eq!(&*Encoding::Quoted.decode(&quoted[source]), &text[wanted]);
    }

    #[test]
    fn leaves_of_csv_are_the_cells_it_was_made_of(rows in prop::collection::vec(prop::collection::vec(any::<String>(), 1..4), 0..5)) {
        let line = |row: &Vec<String>| row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
        let text = rows.iter().map(line).collect::<Vec<_>>().join("\n");
        let cells: Vec<String> = leaves(Format::Csv, &text).expect("well-formed").iter().map(|leaf| leaf.value.to_owned()).collect();
        prop_assert_eq!(cells, rows.concat());
    }
}

#[test]
fn a_byte_is_found_in_its_leaf() {
    let value = |format, text: &str, needle: &str| {
        let at = text.find(needle).expect("it is there");
        let leaf = leaf_at(format, text, at).expect("well-formed")?;
        Some(
            leaves(format, text)
                .expect("well-formed")
                .get(leaf)?
                .pointer
                .to_owned(),
        )
    };
    let json = r##"{"a": 1, "b": ["x", {"#c": 2, "d": "yz"}]}"##;
    assert_eq!(value(Format::Json, json, "z"), Some("/b/1/d".to_owned()));
    assert_eq!(value(Format::Json, json, "2"), Some("/b/1/#c".to_owned()));
    assert_eq!(value(Format::Json, json, "1,"), None);
    assert_eq!(
        value(Format::Csv, "a,b\n\"c,\",d\n", "d"),
        Some("/1/1".to_owned())
    );
    assert_eq!(
        value(Format::Csv, "a,b\n\"c,\",d\n", ",\","),
        Some("/1/0".to_owned())
    );
    assert_eq!(value(Format::Text, "abc", "c"), Some(String::new()));
}
