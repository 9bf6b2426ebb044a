//! Documents with several secrets beside each other, as people write them: what is redacted is judged once more, all the way, and
//! nothing changes.

use super::judge;
use crate::documents::{batch, leaves, spliced};
use mirror_core::{
    finding::Verdict,
    marker::TagKey,
    redaction::{self, Redaction, SecretsMode},
    walk::{self, Format},
};
use proptest::{prelude::*, sample::select};
use secret_redaction::engine::Kind;

/// A secret, and what it is called where it stands.
#[derive(Debug, Clone)]
struct Secret {
    name: String,
    value: String,
    /// It is known by its form, so it must go wherever it stands.
    certain: bool,
}

fn secret(
    name: impl Strategy<Value = &'static str>,
    value: impl Strategy<Value = String>,
    certain: bool,
) -> impl Strategy<Value = Secret> {
    (name, "[a-z]{2,6}_", any::<bool>(), value).prop_map(move |(name, owner, has_owner, value)| Secret {
        name: if has_owner {
            format!("{owner}{name}")
        } else {
            name.to_owned()
        },
        value,
        certain,
    })
}

/// In pieces, so that no literal here looks like a live token.
fn with_start(pieces: [&'static str; 2], rest: &'static str) -> impl Strategy<Value = String> {
    rest.prop_map(move |rest: String| format!("{}{rest}", pieces.concat()))
}

fn any_secret() -> impl Strategy<Value = Secret> {
    let passwords = || select(vec!["password", "passwd", "pwd", "heslo"]);
    let keys = || {
        select(vec![
            "api_key",
            "client_secret",
            "access_token",
            "secretKey",
            "apiToken",
        ])
    };
    let others = || select(vec!["id", "value", "host", "note", "authorization"]);
    let url = "[a-z]{3,8}:[A-Za-z0-9]{10,16}@[a-z]{3,8}[.]example[.]com:5432/[a-z]{3,8}";
    prop_oneof![
        secret(passwords(), "[A-Za-z0-9!_.-]{12,20}", false),
        secret(keys(), "[A-Za-z0-9]{32,40}", false),
        secret(keys(), "[0-9a-f]{40}", false),
        // Long, without blanks, and glued to others by what is in it.
        secret(keys(), "[A-Za-z0-9]{20}[=:,;&|/]{1,2}[A-Za-z0-9]{50,70}", false),
        secret(
            others(),
            with_start(["AK", "IA"], "[A-Z][2-7][A-Z]{5}[2-7]{2}[A-Z]{7}"),
            true
        ),
        secret(
            others(),
            with_start(["gl", "pat-"], "[A-Z][a-z][0-9][A-Za-z0-9]{17}"),
            true
        ),
        secret(
            others(),
            with_start(["acme_", "v1_"], "([A-Z][0-9][a-z][0-9]){10}"),
            true
        ),
        secret(others(), with_start(["postgres", "://"], url), false),
        secret(
            others(),
            with_start(
                ["Bearer ", "ey"],
                "J[A-Za-z0-9]{30}[.]eyJ[A-Za-z0-9]{40}[.][A-Za-z0-9_-]{43}"
            ),
            false
        ),
    ]
}

/// Kinds of files, and how secrets stand in them.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// Members of objects, some of them encrypted by name.
    Json,
    /// All in the text of one member.
    JsonText,
    SqlSettings,
    SqlStatements,
    PythonNames,
    PythonCall,
    CsvColumns,
    CsvPairs,
}

const WRITTEN: [Written; 8] = [
    Written::Json,
    Written::JsonText,
    Written::SqlSettings,
    Written::SqlStatements,
    Written::PythonNames,
    Written::PythonCall,
    Written::CsvColumns,
    Written::CsvPairs,
];

impl Written {
    fn file(self) -> (Format, Kind, &'static str) {
        match self {
            Self::Json | Self::JsonText => (Format::Json, Kind::Config, "configs/main/a.json"),
            Self::SqlSettings | Self::SqlStatements => (Format::Text, Kind::Code, "configs/main/a.sql"),
            Self::PythonNames | Self::PythonCall => (Format::Text, Kind::Code, "configs/main/a.py"),
            Self::CsvColumns | Self::CsvPairs => {
                (Format::Csv, Kind::Sample, "storage/samples/in.c-main/a.csv")
            }
        }
    }

    /// Writes a document; `between` stands between two of them where that is free.
    fn write(self, secrets: &[Secret], between: &str) -> String {
        let each = |write: &dyn Fn(usize, &Secret) -> String, between: &str| {
            let written = secrets.iter().enumerate();
            written
                .map(|(n, secret)| write(n, secret))
                .collect::<Vec<_>>()
                .join(between)
        };
        match self {
            Self::Json => {
                let member = |n: usize, Secret { name, value, .. }: &Secret| {
                    let hash = if n % 3 == 2 { "#" } else { "" };
                    format!("{}: {}", quoted(&format!("{hash}{name}{n}")), quoted(value))
                };
                format!("{{\"parameters\": {{{}}}}}", each(&member, ", "))
            }
            Self::JsonText => {
                let text = each(
                    &|_, Secret { name, value, .. }| format!("{name}={value}"),
                    between,
                );
                format!("{{\"parameters\": {{\"script\": [{}]}}}}", quoted(&text))
            }
            Self::SqlSettings => each(
                &|_, Secret { name, value, .. }| format!("SET {name} = '{value}';"),
                between,
            ),
            Self::SqlStatements => each(
                &|n, Secret { name, value, .. }| match n % 3 {
                    0 => format!("CREATE USER u{n} IDENTIFIED BY '{value}';"),
                    1 => format!("-- {name}: {value}\n"),
                    _ => format!("COPY INTO t CREDENTIALS = ({name} = '{value}');"),
                },
                between,
            ),
            Self::PythonNames => each(
                &|_, Secret { name, value, .. }| format!("{name} = \"{value}\"\n"),
                "",
            ),
            Self::PythonCall => {
                let arguments = each(
                    &|_, Secret { name, value, .. }| format!("{name}='{value}'"),
                    between,
                );
                format!("connect({arguments})\n")
            }
            Self::CsvColumns => {
                let names = each(&|n, Secret { name, .. }| quoted_cell(&format!("{name}{n}")), ",");
                let values = each(&|_, Secret { value, .. }| quoted_cell(value), ",");
                format!("{names}\n{values}\n{values}\n")
            }
            Self::CsvPairs => {
                let line = |_, secret: &Secret| {
                    let Secret { name, value, .. } = secret;
                    format!("{},{}\n", quoted_cell(name), quoted_cell(value))
                };
                format!("name,value\n{}", each(&line, ""))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_cell(text: &str) -> String {
    format!("\"{text}\"")
}

/// Judges a file and applies what is found, as the pipeline does.
fn redacted(written: Written, text: &str, redaction: &Redaction) -> String {
    let (format, kind, path) = written.file();
    let (rendered, withheld) = batch(format, text);
    assert_eq!(withheld, [], "what is whole is taken");
    let findings = judge(kind, path, &leaves(rendered.documents()));
    let replaced = redaction::replaced(format, text, &findings, redaction);
    let after = spliced(text, &replaced.expect("findings of ours fit"));
    let (batch, withheld) = rendered.redact(vec![Verdict::Findings(findings)], redaction);
    assert_eq!(withheld, []);
    let cut = walk::leaves(format, &after).expect("redaction keeps a file whole");
    assert_eq!(leaves(batch.documents()), cut, "shown and applied are the same");
    after
}

fn tag_key() -> TagKey {
    let stack = "connection.example.com".parse().expect("a stack");
    TagKey::derive(&[7; 32], &stack, &"1".parse().expect("a project"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn secrets_beside_each_other_go_at_once_and_the_second_time_nothing_does(
        secrets in prop::collection::vec(any_secret(), 1..6),
        written in select(WRITTEN.to_vec()),
        between in select(vec![" ", ", ", "\n", ",\n    ", "; "]),
        mode in select(vec![SecretsMode::Encrypted, SecretsMode::Masked, SecretsMode::Omitted]),
    ) {
        let redaction = Redaction::new(mode, tag_key());
        let text = written.write(&secrets, between);
        let once = redacted(written, &text, &redaction);
        for secret in secrets.iter().filter(|secret| secret.certain) {
            prop_assert!(!once.contains(&secret.value), "{} is left in {}", secret.value, once);
        }
        let twice = redacted(written, &once, &redaction);
        prop_assert_eq!(twice, once, "of {}", text);
    }
}
