//! Customers' policies that take pieces of secrets.

use super::*;
use data_encoding::BASE64;
use proptest::prelude::*;

const SECRET: &str = "holding.snow7flake-Computing/Retail+92kQx";

pub(super) fn known(secret: &str) -> KnownSecrets {
    let mut known = KnownSecrets::new();
    known.add_credential(secret);
    known
}

/// What becomes of one file, with findings of customers' policies one after the other; none is withheld.
fn committed(path: &str, content: &str, policies: &[Vec<Finding>], guard: &Guard) -> Option<String> {
    let mut batch = redacted(vec![(config("1"), files(&[(path, content)]))]);
    for findings in policies {
        let (next, withheld) = batch.redact_again(
            vec![Verdict::Findings(findings.clone())],
            &redaction(SecretsMode::Encrypted),
        );
        assert_eq!(withheld, []);
        batch = next;
    }
    let (passed, withheld) = batch.choose(vec![]).0.guard(guard);
    assert_eq!(passed.objects().len() + withheld.len(), 1);
    let object = passed.objects().first()?;
    Some(object.files()[0].content().to_owned())
}

fn finding(leaf: usize, target: Target) -> Finding {
    Finding {
        leaf,
        target,
        rule: RuleId::parse("customer").expect("a rule"),
    }
}

#[test]
fn a_piece_that_a_customers_policy_takes_hides_no_secret_from_the_guard() {
    let guard = Guard::new(&known(SECRET));
    let text = |of: &str| vec![vec![finding(0, Target::Literal(of.to_owned()))]];
    let content = format!("use {SECRET} here\n");
    let path = "configs/a/code.txt";
    assert_eq!(committed(path, &content, &[], &guard), None, "without a policy");
    for piece in ["flake", &SECRET[1..], &SECRET[..SECRET.len() - 1], "here"] {
        assert_eq!(committed(path, &content, &text(piece), &guard), None, "{piece}");
    }
    for whole in [SECRET.to_owned(), format!("use {SECRET}")] {
        let passed = committed(path, &content, &text(&whole), &guard).expect("all of it is gone");
        assert!(passed.contains("[REDACTED:customer:0]"), "{passed}");
    }
    // In code a word goes whole, and what is left in other words is held all the same.
    let code = "configs/a/code.sql";
    let passed = committed(code, &content, &text(&SECRET[1..]), &guard).expect("all of it is gone");
    assert_eq!(passed, "use '[REDACTED:customer:0]' here\n");
    assert_eq!(committed(code, &content, &text("flake"), &guard), None);
    // In two places, of which one goes whole.
    let twice = format!("{SECRET} {SECRET}");
    let first = vec![vec![finding(
        0,
        Target::Bytes {
            start: 0,
            end: SECRET.len() + 3,
        },
    )]];
    assert_eq!(committed(path, &twice, &first, &guard), None);
    // One policy after the other, each with a piece; and two findings that meet.
    let pieces = [text("snow7"), text("flake")].concat();
    assert_eq!(committed(path, &content, &pieces, &guard), None);
    let bytes = |start, end| finding(0, Target::Bytes { start, end });
    let both = vec![vec![bytes(4, 10), bytes(10, 4 + SECRET.len())]];
    assert!(committed(path, &content, &both, &guard).is_some());
    // A policy that finds nothing in it, or in another secret's absence, changes nothing.
    assert!(committed(path, "use less here\n", &text("less"), &guard).is_some());
}

#[test]
fn tokens_that_show_by_their_form_are_held_with_a_policy_too() {
    let token = ["4021-778899-", "k3Zq9XbR7mT2vLw8YcN5pHs4JdF6gGxA1eQk3Zq9"].concat();
    let lines = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKB\n".repeat(3);
    let key = format!("-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n");
    let guard = Guard::new(&KnownSecrets::new());
    for (secret, piece) in [
        (token.as_str(), "k3Zq9X"),
        (key.as_str(), "BEGIN PRIVATE KEY"),
        ("https://user:p4ssw0rd-of-it@db.example.com/", "p4ssw0rd"),
    ] {
        let content = format!("x = {secret}");
        let take = |piece: &str| [vec![finding(0, Target::Literal(piece.to_owned()))]];
        assert_eq!(
            committed("configs/a/x.txt", &content, &[], &guard),
            None,
            "{secret}"
        );
        let cut = committed("configs/a/x.txt", &content, &take(piece), &guard);
        assert_eq!(cut, None, "{secret}");
        assert!(committed("configs/a/x.txt", &content, &take(secret.trim_end()), &guard).is_some());
    }
}

#[test]
fn names_of_entries_are_looked_at_as_they_were() {
    let entry = |value: &str| Entry {
        kind: IndexKind::Lineage,
        shard: String::new(),
        key: format!("a/in.c-{SECRET}"),
        value: value.to_owned(),
    };
    let passes = |found: &str| {
        let value = serde_json::json!({ "of": format!("see {found}.") }).to_string();
        let rendered = Rendered {
            files: Vec::new(),
            entries: vec![entry(&value)],
        };
        let batch = redacted(vec![(config("1"), rendered)]);
        let verdict = Verdict::Findings(vec![finding(1, Target::Literal(found.to_owned()))]);
        let (batch, withheld) = batch.redact_again(vec![verdict], &redaction(SecretsMode::Encrypted));
        assert_eq!(withheld, []);
        let (passed, _) = batch.choose(vec![]).0.guard(&Guard::new(&known(SECRET)));
        !passed.is_empty()
    };
    assert!(
        !passes(&SECRET[..SECRET.len() - 9]),
        "the end of it stays in the key"
    );
    assert!(passes(SECRET));
}

/// Returns the content of a file that has a text of some sort in it, and its path.
fn content(shape: usize, text: &str) -> (&'static str, String) {
    let json = serde_json::json!({ "a": text, "b\n": [1, text] });
    match shape {
        0 => ("configs/a/x.txt", text.to_owned()),
        1 => ("configs/a/x.json", json.to_string()),
        2 => (
            "configs/a/x.json",
            serde_json::json!({ "c": json.to_string() }).to_string(),
        ),
        _ => (
            "configs/a/x.csv",
            format!("\"{}\",b\n", text.replace('"', "\"\"")),
        ),
    }
}

fn disguised(disguise: usize, secret: &str) -> String {
    match disguise {
        0 => secret.to_owned(),
        1 => BASE64.encode(format!("user:{secret}").as_bytes()),
        2 => secret
            .bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect(),
        _ => serde_json::Value::from(secret).to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What is withheld without a customer's policy is withheld with it, unless the secret went whole: of what passes all the
    /// same, no five characters in a row are the secret's.
    #[test]
    fn no_findings_of_customers_let_out_what_was_held(
        secret in "[A-Za-z0-9/\"\\\\&+-]{12,40}",
        (shape, disguise) in (0_usize..4, 0_usize..4),
        around in ("[ ,;\n]{1,3}", "[ ,;\n]{1,3}"),
        rounds in prop::collection::vec(prop::collection::vec((0_usize..6, 0_usize..1_000, 0_usize..1_000), 0..4), 1..3),
    ) {
        let shown = disguised(disguise, &secret);
        let (path, content) = content(shape, &format!("{}{shown}{}", around.0, around.1));
        let guard = Guard::new(&known(&secret));
        let mut batch = redacted(vec![(config("1"), files(&[(path, &content)]))]);
        for findings in rounds {
            let leaves = batch.documents().remove(0).leaves;
            let findings = findings.into_iter().filter_map(|(leaf, start, end): (usize, usize, usize)| {
                let leaf = leaf % leaves.len().max(1);
                let value = leaves.get(leaf)?.value;
                let place = |share: usize| value.floor_char_boundary(share * (value.len() + 3) / 1_000);
                let (start, end) = (place(start.min(end)), place(start.max(end)));
                Some(finding(leaf, Target::Bytes { start, end }))
            });
            let verdict = Verdict::Findings(findings.collect());
            batch = batch.redact_again(vec![verdict], &redaction(SecretsMode::Encrypted)).0;
        }
        let (passed, _) = batch.choose(vec![]).0.guard(&guard);
        let held = committed(path, &content, &[], &guard).is_none();
        if let (true, Some(object)) = (held, passed.objects().first()) {
            let left = object.files()[0].content();
            // In base64 the first seven characters are of what is before it.
            let shown = &shown.as_bytes()[if disguise == 1 { 7 } else { 0 }..];
            for run in secret.as_bytes().windows(5).chain(shown.windows(5)) {
                prop_assert!(memchr::memmem::find(left.as_bytes(), run).is_none(), "{left}");
            }
        }
    }
}
