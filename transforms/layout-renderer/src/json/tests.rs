use super::{Json, Object, write};

#[track_caller]
fn check_number(token: &str, expected: &str) {
    assert_eq!(write::cli_number(token), expected, "{token}");
}

#[test]
fn numbers_print_as_doubles_do_in_the_cli() {
    check_number("7", "7");
    check_number("-0.00", "-0");
    check_number("42.0", "42");
    check_number("2.750", "2.75");
    check_number("5e2", "500");
    check_number("765432109876543219", "765432109876543200");
    check_number("9007199254740995", "9007199254740996");
    check_number("3e20", "300000000000000000000");
    check_number("3e21", "3e+21");
    check_number("-4.5e100", "-4.5e+100");
    check_number("0.0000020", "0.000002");
    check_number("0.00000025", "2.5e-7");
    check_number("1e999", "1e999");
    // Half-way between two, the even one.
    check_number("140737488355328.125", "140737488355328.12");
    check_number("140737488355328.375", "140737488355328.38");
    check_number("-1125899906842624.25", "-1125899906842624.2");
    check_number("1125899906842624.75", "1125899906842624.8");
    check_number("2.98023223876953125e-8", "2.9802322387695312e-8");
    check_number("0.1", "0.1");
    check_number("0.30000000000000004", "0.30000000000000004");
}

#[track_caller]
fn check_round(text: &str, cli: &str, own: &str) {
    let value = Json::parse(text).unwrap();
    assert_eq!(write::cli(value.as_object().unwrap()), cli);
    assert_eq!(write::line(&value), own);
}

#[test]
fn our_own_json_keeps_what_the_cli_loses() {
    check_round(
        r#"{"b": 12345678901234567890, "a": "<é\u00e9\u2028\u0001/\/>", "b": 1.0, "e": {}, "l": [ [] , 2 ]}"#,
        "{\n  \"a\": \"\\u003céé\\u2028\\u0001//\\u003e\",\n  \"b\": 1,\n  \"e\": {},\n  \"l\": [\n    [],\n    2\n  ]\n}\n",
        r#"{"a":"<éé\u2028\u0001//>","b":1.0,"e":{},"l":[[],2]}"#,
    );
}

#[test]
fn halves_of_surrogate_pairs_become_replacement_characters() {
    let parsed = |text| Json::parse(text).unwrap();
    assert_eq!(parsed(r#""\ud83d\ude80""#), Json::from("🚀"));
    assert_eq!(parsed(r#""\ud83dx\ude80""#), Json::from("\u{fffd}x\u{fffd}"));
    assert_eq!(parsed(r#""\ud83d\n""#), Json::from("\u{fffd}\n"));
    assert_eq!(parsed(r#""\ud83d\u0041""#), Json::from("\u{fffd}A"));
}

#[test]
fn malformed_texts_are_refused_without_a_panic() {
    let long = "[".repeat(100_000);
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "01",
        "-",
        "1.",
        "1e",
        "\"\\x\"",
        "\"\\u12\"",
        "\"é\\u00é\"",
        "tru",
        "1 2",
        "\"",
        &long,
    ] {
        assert!(Json::parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_escaped_is_so_wherever_it_stands_in_a_string() {
    let escapes = [
        ("\"", "\\\"", "\\\""),
        ("\\", "\\\\", "\\\\"),
        ("\n", "\\n", "\\n"),
        ("\u{1}", "\\u0001", "\\u0001"),
        ("\u{2028}", "\\u2028", "\\u2028"),
        ("\u{2030}", "\u{2030}", "\u{2030}"),
        ("<", "<", "\\u003c"),
        (">", ">", "\\u003e"),
        ("&", "&", "\\u0026"),
        ("\u{e9}", "\u{e9}", "\u{e9}"),
        ("\u{7f}", "\u{7f}", "\u{7f}"),
    ];
    for (one, own, html) in escapes {
        for (before, after) in (0..=17).flat_map(|before| [0, 1, 7, 8, 9].map(|after| (before, after))) {
            // Beside it what only pages escape, so that a place that is passed over is not the last one.
            for beside in ["a", "&"] {
                let around =
                    |one: &str, beside: &str| format!("{}{one}{}", beside.repeat(before), "b".repeat(after));
                let text = around(one, beside);
                for (is_html, expected) in [
                    (false, around(own, beside)),
                    (true, around(html, if beside == "&" { "\\u0026" } else { beside })),
                ] {
                    let mut out = String::new();
                    write::string(&mut out, &text, is_html);
                    assert_eq!(out, format!("\"{expected}\""));
                    assert_eq!(Json::parse(&out), Ok(Json::from(text.as_str())));
                }
            }
        }
    }
}

#[test]
fn a_list_that_is_written_as_it_comes_is_that_of_the_whole_value() {
    for count in 0..3 {
        let mut value = Object::from_iter([("a<", "b&"), ("empty", "")]);
        let items: Vec<Json<'_>> = (0..count)
            .map(|at| Json::Object(Object::from_iter([("at", Json::from(at))])))
            .collect();
        let written = write::cli_with_list(&value, "list", items.clone().into_iter(), 8);
        value.set("list", items);
        assert_eq!(written, write::cli(&value));
    }
}
