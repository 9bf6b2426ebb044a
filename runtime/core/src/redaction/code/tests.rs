use crate::{
    finding::{Finding, RuleId, Target},
    marker::TagKey,
    redaction::{Form, Redaction, SecretsMode, redact},
};
use proptest::prelude::*;
use std::ops::Range;

const MARKER: &str = "[REDACTED:test:0]";

/// Takes `«…»` out of a text and returns where it stood.
fn marked(text: &str) -> (String, Vec<Range<usize>>) {
    let (mut plain, mut found) = (String::new(), Vec::new());
    let mut start = 0;
    for char in text.chars() {
        match char {
            '«' => start = plain.len(),
            '»' => found.push(start..plain.len()),
            _ => plain.push(char),
        }
    }
    (plain, found)
}

fn finding(range: Range<usize>) -> Finding {
    Finding {
        leaf: 0,
        target: Target::Bytes {
            start: range.start,
            end: range.end,
        },
        rule: RuleId::parse("test").expect("a rule"),
    }
}

fn redacted(path: &str, text: &str, found: Vec<Range<usize>>) -> Option<String> {
    let findings: Vec<_> = found.into_iter().map(finding).collect();
    let redaction = Redaction::new(SecretsMode::Masked, TagKey::none());
    let outcome = redact(Form::of(path), text, &findings, &redaction);
    outcome.expect("findings that fit").0
}

/// Redacts what stands between `«` and `»`, and compares with a text in which `*` stands for a marker. Where a policy finds the
/// same in it again, nothing changes.
#[track_caller]
fn check(path: &str, text: &str, expected: &str) {
    let (plain, found) = marked(text);
    let once = redacted(path, &plain, found).unwrap_or(plain);
    assert_eq!(once, expected.replace('*', MARKER), "{text}");
    let bytes = once.as_bytes();
    let wider = |range: Range<usize>, is_wide: fn(u8, u8) -> bool| {
        let ends = range
            .start
            .checked_sub(1)
            .map(|at| bytes[at])
            .zip(bytes.get(range.end).copied());
        match ends.filter(|(before, after)| is_wide(*before, *after)) {
            Some(_) => range.start - 1..range.end + 1,
            None => range,
        }
    };
    let markers = || once.match_indices(MARKER).map(|(at, _)| at..at + MARKER.len());
    let in_quotes = || markers().map(|marker| wider(marker, |a, b| a == b && matches!(a, b'"' | b'\'')));
    assert_eq!(
        redacted(path, &once, markers().collect()),
        None,
        "{once} once more"
    );
    if super::Language::of(path).is_some() {
        let blanks = in_quotes()
            .map(|marker| wider(marker, |a, b| a.is_ascii_whitespace() && b.is_ascii_whitespace()));
        assert_eq!(
            redacted(path, &once, in_quotes().collect()),
            None,
            "{once} once more, with quotes"
        );
        assert_eq!(
            redacted(path, &once, blanks.collect()),
            None,
            "{once} once more, with blanks"
        );
    }
}

#[test]
fn a_bare_word_of_python_becomes_a_string() {
    for (text, expected) in [
        ("PASSWORD = «8412734»\n", "PASSWORD = \"*\"\n"),
        ("PASSWORD = \\\n    «8412734»\n", "PASSWORD = \\\n    \"*\"\n"),
        (
            "connect(password=«abc123», user=1)",
            "connect(password=\"*\", user=1)",
        ),
        ("x = {1: «0x12f»}", "x = {1: \"*\"}"),
        ("pin = db_«8412»_a + 1", "pin = \"*\" + 1"),
        ("pin = a.b.«8412»", "pin = \"*\""),
        ("pin = «84».12", "pin = \"*\""),
        ("pin = «84»12.", "pin = \"*\""),
        ("pin = «84 »\n", "pin = \"*\" \n"),
        ("pin = «8412\n»x = 1", "pin = \"*\"\nx = 1"),
        ("«ab»c«de»", "\"*\""),
        ("a = «ab-12-cd» # x", "a = \"*\" # x"),
        ("# pw is «abc123» here\nx = 1", "# pw is * here\nx = 1"),
        ("x = 'pw «abc123»'", "x = 'pw *'"),
        ("x = '''\n' «abc123» \"\n'''", "x = '''\n' * \"\n'''"),
        ("x = \"\\\"«abc123»\"", "x = \"\\\"*\""),
        ("x = r'\\''; y = '«abc»'", "x = r'\\''; y = '*'"),
        ("x = '#'; y = «abc»", "x = '#'; y = \"*\""),
        ("x = ''; y = «abc»", "x = ''; y = \"*\""),
        ("x = \"\"\"a\"\"\"; y = «abc»", "x = \"\"\"a\"\"\"; y = \"*\""),
        ("x = 'open\ny = «abc»", "x = 'open\ny = \"*\""),
        ("x = 'a\\\nb «abc»'", "x = 'a\\\nb *'"),
    ] {
        check("a/b.py", text, expected);
    }
}

#[test]
fn a_piece_that_leaves_its_string_takes_all_of_it() {
    for (text, expected) in [
        ("x = «abc'd»ef'", "x = \"*\""),
        ("x = 'ab«c' + de»f", "x = \"*\""),
        ("x = «'abc'»", "x = \"*\""),
        ("x = '«abc'»", "x = \"*\""),
        ("x = (\"a«bc\"\n    \"de»f\")", "x = (\"a*f\")"),
        ("x = (\"a«bc\"\n    'de»f')", "x = (\"*\")"),
        ("# a«bc\n# de»f", "# a*f"),
        ("x = 1 # a«bc\ny = de»f\nz", "x = 1 # a*\nz"),
        ("x = ab«c # de»f g\ny", "x = \"*\"\ny"),
        ("x = 'a\\«'b»'", "x = 'a*'"),
        ("x = 'a«b\\»'c'", "x = 'a*c'"),
        ("x = 'a\\u12«34b»'", "x = 'a*'"),
    ] {
        check("b.py", text, expected);
    }
}

#[test]
fn fields_of_formatted_strings_are_code() {
    for (text, expected) in [
        ("f\"pw {«8412»}\"", "f\"pw {'*'}\""),
        ("f'pw {«8412»!r:>{12}}'", "f'pw {\"*\"!r:>{12}}'"),
        ("f'''pw {«8412»}'''", "f'''pw {\"*\"}'''"),
        ("f\"pw «8412» {x}\"", "f\"pw * {x}\""),
        ("f\"{x} «8412 {y[1:2]} 34» {z}\"", "f\"{x} * {z}\""),
        ("f\"{{«8412»}}\"", "f\"{{*}}\""),
        ("f\"{x:«8412»}\"", "f\"{x:*}\""),
        ("f\"{x:{«8412»}d}\" + y", "f\"{x:{'*'}d}\" + y"),
        ("f\"a «bc {x» + 1} d\" + y", "\"*\" + y"),
        ("f\"a «bc {x:d»} d\" + y", "\"*\" + y"),
        ("f\"{d['«abc»']}\"", "f\"{d['*']}\""),
        ("f\"{d[«abc»]}\" + «de»", "f\"{d['*']}\" + \"*\""),
        ("f\"{f'{«8412»}'}\"", "f\"{f'{\"*\"}'}\""),
        ("f\"a\\N{DASH}\" + «abc»", "f\"a\\N{DASH}\" + \"*\""),
        ("f\"a{«{»b\" + x", "f\"a*b\" + x"),
        ("rb'{' + «abc»", "rb'{' + \"*\""),
        ("f'{x' + «abc»\ny = «12»", "f'{x' + *\ny = *"),
    ] {
        if text.contains("{x'") {
            // A field that is not closed is none that a parser would take; what is in it goes all the same.
            let (plain, found) = marked(text);
            assert!(!redacted("a.py", &plain, found).expect("it goes").contains("abc"));
        } else {
            check("a.PY", text, expected);
        }
    }
}

#[test]
fn a_bare_word_of_r_and_julia_becomes_a_string() {
    for (text, expected) in [
        ("pw <- «8412734»\n", "pw <- \"*\"\n"),
        ("pw <- 'it\\'s «abc»'", "pw <- 'it\\'s *'"),
        (
            "x <- \"a\nb «abc»\" # '\ny <- «abc»",
            "x <- \"a\nb *\" # '\ny <- \"*\"",
        ),
        (
            "x <- r\"-(a\")«b»)-\"; y <- «abc»",
            "x <- r\"-(a\")*)-\"; y <- \"*\"",
        ),
        ("`my «abc`»", "\"*\""),
        ("`my «abc»` <- 1", "`my *` <- 1"),
    ] {
        check("a.R", text, expected);
    }
    for (text, expected) in [
        ("pw = «8412734»", "pw = \"*\""),
        (
            "x = A' * 'c' #= ' #= «a» =# =# + «b1»",
            "x = A' * 'c' #= ' #= * =# =# + \"*\"",
        ),
        (
            "x = \"a $(f(«b1»)) «c»\" * «d»",
            "x = \"a $(f(\"*\")) *\" * \"*\"",
        ),
        ("x = \"\"\"a \" «c»\"\"\" # «d»", "x = \"\"\"a \" *\"\"\" # *"),
    ] {
        let expected = expected
            .replace(" * 'c'", " × 'c'")
            .replace(") *\" * ", ") *\" × ");
        let (text, expected) = (text.replace(" * ", " × "), expected);
        check("a.jl", &text, &expected);
    }
}

#[test]
fn a_bare_word_of_sql_becomes_a_string() {
    let snowflake = "main/transformation/keboola.snowflake-transformation/a/code.sql";
    let bigquery = "main/transformation/keboola.google-bigquery-transformation/a/code.sql";
    let synapse = "main/transformation/keboola.synapse-transformation/a/code.sql";
    let oracle = "main/transformation/keboola.oracle-transformation/a/code.sql";
    let postgres = "main/extractor/keboola.ex-db-postgres/a/code.sql";
    for (path, text, expected) in [
        ("a.sql", "SET pw = «abc123»;", "SET pw = '*';"),
        ("a.sql", "SELECT a.b.«c12», 1", "SELECT '*', 1"),
        ("a.sql", "SET pw = 'it''s «abc123»';", "SET pw = 'it''s *';"),
        ("a.sql", "SET pw = 'it'«'s» b';", "SET pw = 'it* b';"),
        (
            "a.sql",
            "-- pw «abc'» d\nSET pw = «x1»",
            "-- pw * d\nSET pw = '*'",
        ),
        ("a.sql", "CREATE USER \"«abc123»\"", "CREATE USER \"*\""),
        ("a.sql", "SELECT $$ it's «abc» $$, «x1»", "SELECT $$ it's * $$, *"),
        // Of a script of no database it is not known what ends the string.
        (
            "a.sql",
            "SET a = 'x\\'; SET b = «y1»;",
            "SET a = 'x\\'; SET b = *;",
        ),
        (
            snowflake,
            "SET a = 'x\\' «y1»'; SET b = «y1»;",
            "SET a = 'x\\' *'; SET b = '*';",
        ),
        (
            snowflake,
            "SELECT $$ it's «abc» $$, «x1»",
            "SELECT $$ it's * $$, '*'",
        ),
        (
            snowflake,
            "// it's «abc»\nSET a = $1 + «x1»",
            "// it's *\nSET a = $1 + '*'",
        ),
        (snowflake, "/* /* '*/ SET a = «x1»", "/* /* '*/ SET a = '*'"),
        (
            synapse,
            "/* /* '*/ ' «x» */ SET a = «x1»",
            "/* /* '*/ ' * */ SET a = '*'",
        ),
        (synapse, "SET [it's] = «x1»", "SET [it's] = '*'"),
        (
            synapse,
            "SET a = N'x\\'; SET b = «x1»",
            "SET a = N'x\\'; SET b = '*'",
        ),
        (
            oracle,
            "SET a = q'[it's «x»]' || «x1»",
            "SET a = q'[it's *]' || '*'",
        ),
        (
            bigquery,
            "SET a = \"it's «x»\"; # it's\nSET b = «x1»",
            "SET a = \"it's *\"; # it's\nSET b = '*'",
        ),
        (
            bigquery,
            "SET a = '''it's «x»''' || «x1»",
            "SET a = '''it's *''' || '*'",
        ),
        (
            postgres,
            "DO $a$ it's $$ «x» $a$; SET a = «x1»",
            "DO $a$ it's $$ * $a$; SET a = '*'",
        ),
        (
            postgres,
            "SET a = E'it\\'s' || 'x\\' || «x1»",
            "SET a = E'it\\'s' || 'x\\' || '*'",
        ),
    ] {
        // Of a comment's own stars there are none left to compare.
        let (text, expected) = if text.contains("/*") {
            let (plain, found) = marked(text);
            let redacted = redacted(path, &plain, found).expect("it goes");
            (
                redacted.clone(),
                expected
                    .replace("'*'", &format!("'{MARKER}'"))
                    .replace("' * *", &format!("' {MARKER} *")),
            )
        } else {
            check(path, text, expected);
            continue;
        };
        assert_eq!(text, expected);
    }
}

#[test]
fn what_is_no_code_has_markers_without_quotes() {
    for path in ["a.txt", "a.md", "py", "a.py.txt", ""] {
        check(path, "PASSWORD = «8412734»", "PASSWORD = *");
    }
}

fn any_code() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "'", "\"", "'''", "\"\"\"", "`", "f\"", "f'", "r'", "{", "}", "{{", ":", "\\", "\n", "#", "--", "/*",
        "*/", "//", "$$", "$a$", "$", "[", "]", "(", ")", "$(", "#=", "=#", "r\"(", ")\"", "q'[", "]'", "a",
        "12", ".", " ", "é", "=", MARKER,
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn places_of_any_text_are_disjoint_and_cover_what_was_found(
        code in any_code(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 2..8),
        path in prop::sample::select(vec!["a.py", "a.r", "a.jl", "a.sql", "x.snowflake/a.sql", "x.bigquery/a.sql", "x.postgres/a.sql"]),
    ) {
        let bounds: Vec<usize> = code.char_indices().map(|(at, _)| at).chain([code.len()]).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| bounds[cut.index(bounds.len())]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let pieces: Vec<Range<usize>> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        let language = super::Language::of(path).expect("a language");
        let places = super::places(language, &code, &pieces);
        for pair in places.windows(2) {
            prop_assert!(pair[0].0.range.end <= pair[1].0.range.start);
        }
        for piece in &pieces {
            let words = code[piece.clone()].trim();
            let start = piece.start + (piece.len() - code[piece.clone()].trim_start().len());
            let covers = |range: &Range<usize>| range.start <= start && start + words.len() <= range.end;
            prop_assert!(words.is_empty() || places.iter().any(|(place, _)| covers(&place.range)), "{:?}", piece);
        }
        let once = redacted(path, &code, pieces).unwrap_or(code);
        prop_assert_eq!(redacted(path, &once, Vec::new()), None);
    }
}
