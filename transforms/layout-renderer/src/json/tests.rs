use super::{Json, write};

#[track_caller]
fn check_number(token: &str, expected: &str) {
    assert_eq!(write::cli_number(token), expected, "{token}");
}

#[test]
fn numbers_print_as_doubles_do_in_the_cli() {
    check_number("0", "0");
    check_number("-0.0", "-0");
    check_number("1.0", "1");
    check_number("1.50", "1.5");
    check_number("1e3", "1000");
    check_number("123456789012345678", "123456789012345680");
    check_number("9007199254740993", "9007199254740992");
    check_number("12345678901234567890", "12345678901234567000");
    check_number("1e20", "100000000000000000000");
    check_number("1e21", "1e+21");
    check_number("1.5e300", "1.5e+300");
    check_number("0.000001", "0.000001");
    check_number("0.0000001", "1e-7");
    check_number("-1.25e-9", "-1.25e-9");
    check_number("1e999", "1e999");
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
