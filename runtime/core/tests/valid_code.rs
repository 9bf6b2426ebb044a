//! Code of which bare words, numbers and parts of strings went is code to the parsers of its language: Python's own, and `sqlglot`
//! for SQL, which `cargo xtask setup` installs.

use mirror_core::{
    finding::{Finding, RuleId, Target},
    marker::TagKey,
    redaction::{Form, Redaction, SecretsMode, replaced},
};
use serde_json::json;
use std::{
    io::Write,
    ops::Range,
    path::Path,
    process::{Command, Stdio},
};

/// Parses each text of a JSON list, and prints what is wrong with which.
const PYTHON: &str = "
import ast, io, json, sys, tokenize, warnings
warnings.simplefilter('ignore')
for number, text in enumerate(json.load(sys.stdin)):
    try:
        ast.parse(text)
        list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        print(number, repr(error), repr(text))
";

/// The same for pairs of a dialect and a script.
const SQL: &str = "
import json, logging, sys
import sqlglot
logging.disable(logging.CRITICAL)
for number, (dialect, text) in enumerate(json.load(sys.stdin)):
    try:
        for statement in sqlglot.parse(text, read=dialect):
            if statement is not None and statement.key == 'command' and not text.startswith('DO'):
                raise ValueError('it is not understood')
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        print(number, dialect, repr(error), repr(text))
";

/// Returns what a parser has to say of the texts.
fn parsed(script: &str, texts: &serde_json::Value) -> String {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-tools");
    let mut child = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONPATH", tools.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`python3` can be run");
    let mut input = child.stdin.take().expect("standard input is piped");
    input
        .write_all(texts.to_string().as_bytes())
        .expect("it reads all");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "the parser runs; `cargo xtask setup` installs it"
    );
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}

/// Returns which of so many texts are none of the language before anything goes: they are few.
fn broken(script: &str, texts: &serde_json::Value, count: usize) -> Vec<usize> {
    let told = parsed(script, texts);
    let numbers = told
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse().ok());
    let broken: Vec<usize> = numbers.collect();
    assert!(broken.len() * 20 < count, "{} of {count}", broken.len());
    broken
}

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

/// Redacts what stands between `«` and `»`. What went of it, the text no longer has, and a second time changes nothing.
fn redacted(path: &str, text: &str, mode: SecretsMode) -> String {
    let (plain, found) = marked(text);
    let apply = |text: &str, found: &[Range<usize>]| {
        let finding = |range: &Range<usize>| Finding {
            leaf: 0,
            target: Target::Bytes {
                start: range.start,
                end: range.end,
            },
            rule: RuleId::parse("password").expect("a rule"),
        };
        let findings: Vec<_> = found.iter().map(finding).collect();
        let redaction = Redaction::new(mode, TagKey::none());
        let pieces = replaced(Form::of(path), text, &findings, &redaction).expect("findings that fit");
        let mut redacted = text.to_owned();
        for piece in pieces.into_iter().rev() {
            redacted.replace_range(piece.range, &piece.by);
        }
        redacted
    };
    let once = apply(&plain, &found);
    for range in found {
        let secret = plain[range].trim();
        assert!(
            secret.is_empty() || !once.contains(secret),
            "{secret} is in {once}"
        );
    }
    let markers = once.match_indices("[REDACTED:password:0]");
    let markers: Vec<_> = markers.map(|(at, marker)| at..at + marker.len()).collect();
    assert!(!markers.is_empty(), "{text}");
    assert_eq!(apply(&once, &markers), once, "a second time changes nothing");
    once
}

/// Strings of Python around a word, of each kind.
fn strings_of_python(word: &str) -> Vec<String> {
    let mut strings = Vec::new();
    for prefix in ["", "r", "b", "f", "Rb", "fR", "u"] {
        for quote in ["'", "\"", "'''", "\"\"\""] {
            let other = if quote.starts_with('"') { "'" } else { "\"" };
            for text in [
                word.to_owned(),
                format!("a {other}{word}{other} # b"),
                format!("\\{quote}{word}\\n"),
                format!("{word}\\\nb"),
            ] {
                strings.push(format!("{prefix}{quote}{text}{quote}"));
            }
            if quote.len() == 3 {
                strings.push(format!("{prefix}{quote}a\n{word} {other}\n# b{quote}"));
            }
        }
    }
    for field in [
        format!("{{{word}}}"),
        format!("{{{word}!r:>10}} {{y}}"),
        format!("{{x[{word}]:{{{word}}}}}"),
        format!("{{{{{word}}}}} {{f(y, k={word})}}"),
        format!("{{y:%Y-{word}}}"),
    ] {
        strings.push(format!("f\"{field}\""));
        strings.push(format!("rf'{field}'"));
        strings.push(format!("f'''{field}\n'''"));
    }
    strings
}

#[test]
fn redacted_python_is_python() {
    let words = [
        "«8412734»",
        "«Xk7mQ2p»",
        "«0x12ab»",
        "«12.5»",
        "ab_«8412»_c",
        "a.b.«c12»",
        "«84 »",
        "x + «77»",
    ];
    let mut texts = Vec::new();
    for word in words {
        for statement in [
            "PASSWORD = {}\n",
            "PASSWORD = {}  # pw «Hu7ter2»\nx = 'it\\'s' # '\ny = {}\n",
            "PASSWORD = \\\n    {}\n",
            "connect(user='etl', password={}, port=5432)\n",
            "d = {'password': {}, \"pin\": [{}, ({},)]}\n",
            "if password == {} and not {}:\n    pass\n",
            "def f(password={}):\n    \"\"\"It's «Hu7ter2»\"\"\"\n    return {}\n",
            "x = '''\n\"''' + {} ; y = r'\\'' ; z = {}\n",
            "class A:\n    pin: int = {}\n\n    def b(self):\n        '''c'''\n        assert self.pin != {}, '{{}}'\n",
            "with open(f'{x}/{y!r:>{10}}') as f, g({}):\n    print(f\"{d['a']}\", {})\n",
            "# {}\nx = 1\n",
            "x = (\"a«bc\"\n     \"de»f\")\ny = {}\n",
            "x = (\"a«bc\"\n     'de»f')\ny = {}\n",
            "x = '''a «b''' + \"c» d\"\ny = {}\n",
        ] {
            texts.push(statement.replace("{}", word));
        }
    }
    for word in ["«8412734»", "«Xk7mQ2p»"] {
        for string in strings_of_python(word) {
            // Letters that are no ASCII stand in no bytes.
            texts.push(format!("x = {string}\ny = {word}\n"));
            let comment = string.replace('\n', " ");
            texts.push(format!("f({string}, k={word})\n# {comment}"));
        }
    }
    // What is none before is none afterwards either.
    let plain: Vec<String> = texts.iter().map(|text| marked(text).0).collect();
    let broken = parsed(PYTHON, &json!(plain));
    let broken: Vec<usize> = broken
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect();
    assert!(
        broken.len() * 20 < texts.len(),
        "{} of {}",
        broken.len(),
        texts.len()
    );
    for mode in [SecretsMode::Encrypted, SecretsMode::Masked, SecretsMode::Omitted] {
        let redacted: Vec<String> = texts
            .iter()
            .enumerate()
            .filter(|(number, _)| !broken.contains(number))
            .map(|(_, text)| redacted("configs/main/code.py", text, mode))
            .collect();
        assert!(redacted.len() > 200);
        assert_eq!(parsed(PYTHON, &json!(redacted)), "");
    }
}

/// Dialects as `sqlglot` calls them, and a directory of each; none where the database is not known.
const DIALECTS: [(&str, &str); 6] = [
    ("snowflake", "keboola.snowflake-transformation"),
    ("bigquery", "keboola.google-bigquery-transformation"),
    ("tsql", "keboola.synapse-transformation"),
    ("oracle", "keboola.oracle-transformation"),
    ("postgres", "keboola.wr-db-postgres"),
    ("snowflake", "queries"),
];

#[test]
fn redacted_sql_is_sql() {
    let common = [
        "SELECT {} AS pw, 'it''s «Hu7ter2»' AS a FROM t",
        "SELECT a FROM t WHERE password = {} AND b <> 'x' -- it's «Hu7ter2»\nORDER BY a",
        "INSERT INTO users (login, password) VALUES ('etl', {}), ('b', {})",
        "UPDATE users SET password = {} WHERE a = 'x'",
        "SELECT /* it's «Hu7ter2» */ CASE WHEN a = {} THEN 'y' ELSE {} END FROM t",
        "SELECT '-- «Hu7ter2»', {} FROM t",
        "SELECT '/*', {} FROM t -- */",
        "SELECT a || {} || '' || 'b' FROM t; SELECT {} FROM t",
        "SELECT COALESCE(a, {}), '«Kr7t»''«Xb9»' FROM t",
    ];
    let of_dialect = |dialect: &str| -> &[&str] {
        match dialect {
            "snowflake" => &[
                "SELECT 'it\\'s «Hu7ter2»' AS a, {} FROM t",
                "SELECT $$it's «Hu7ter2»$$ AS a, {} FROM t",
                "// it's «Hu7ter2»\nSELECT {} FROM t",
                "SET pw = {}",
            ],
            "bigquery" => &[
                "SELECT \"it's «Hu7ter2»\" AS a, {} FROM t",
                "SELECT r'\\d «Hu7ter2»' AS a, '''it's \"«Hu7ter2»\"''', {} FROM t",
                "# it's «Hu7ter2»\nSELECT {} FROM `a-b.c`",
            ],
            "tsql" => &[
                "SELECT [it's], N'x\\', {} FROM t",
                "/* /* ' */ ' */ SELECT {} FROM t",
            ],
            "oracle" => &["SELECT q'[it's «Hu7ter2»]' AS a, {} FROM t"],
            "postgres" => &[
                "SELECT $a$it's $$ «Hu7ter2»$a$ AS a, {} FROM t",
                "SELECT E'it\\'s «Hu7ter2»' AS a, 'x\\', {} FROM t",
                "/* /* ' */ ' */ SELECT {} FROM t",
            ],
            _ => &[],
        }
    };
    let mut texts = Vec::new();
    for (dialect, directory) in DIALECTS {
        let known = directory != "queries";
        let of_dialect = of_dialect(dialect).iter().filter(|_| known);
        for statement in common.iter().chain(of_dialect) {
            for word in [
                "«8412734»",
                "«Xk7mQ2p»",
                "t.«c12»",
                "«12.5»",
                "ab_«8412»_c",
                "1 + «77»",
            ] {
                texts.push((dialect, directory, statement.replace("{}", word)));
            }
        }
    }
    let plain: Vec<_> = texts
        .iter()
        .map(|(dialect, _, text)| (dialect, marked(text).0))
        .collect();
    // BigQuery does not double quotes.
    let broken = broken(SQL, &json!(plain), texts.len());
    for mode in [SecretsMode::Encrypted, SecretsMode::Masked, SecretsMode::Omitted] {
        let redacted: Vec<(&str, String)> = texts
            .iter()
            .enumerate()
            .filter(|(number, _)| !broken.contains(number))
            .map(|(_, (dialect, directory, text))| {
                let path = format!("configs/main/transformation/{directory}/orders/code.sql");
                (*dialect, redacted(&path, text, mode))
            })
            .collect();
        assert!(redacted.len() > 200);
        assert_eq!(parsed(SQL, &json!(redacted)), "");
    }
}
