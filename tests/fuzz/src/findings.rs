//! Any findings on any file: refused, or what they name is gone and the file is whole.
//!
//! What a leaf must be afterwards is worked out here in another way: byte by byte, without regions.

mod model;

use crate::documents::{batch, batch_at, is_json, leaves, path, spliced};
use arbitrary::{Arbitrary, Unstructured};
use mirror_core::{
    document::{LeafRole, Leaves},
    finding::{Finding, RuleId, Target, Verdict, WithholdReason},
    guard::Guard,
    marker::{Marker, TagKey},
    redaction::{self, Form, Redaction, SecretsMode},
    walk::{self, Format},
};

/// What is read from the bytes: a format, a mode and findings in short forms, and then the text.
#[derive(Debug)]
struct Case {
    format: Format,
    redaction: Redaction,
    /// What the findings are about, in forms that hit more often than chance would.
    findings: Vec<Short>,
    text: String,
}

/// A finding before the text is known.
#[derive(Debug, Arbitrary)]
struct Short {
    leaf: u8,
    kind: u8,
    from: u8,
    to: u8,
    rule: u8,
}

const FINDINGS_MAX: usize = 12;
const RULES: [&str; 4] = ["a", "keboola-plaintext", "password", "z-9"];

impl Case {
    fn of(data: &[u8]) -> arbitrary::Result<Self> {
        let mut data = Unstructured::new(data);
        let format = match data.arbitrary::<u8>()? % 4 {
            0 => Format::Json,
            1 => Format::Csv,
            2 => Format::JsonLines,
            _ => Format::Text,
        };
        let mode = match data.arbitrary::<u8>()? % 4 {
            0 | 1 => SecretsMode::Encrypted,
            2 => SecretsMode::Masked,
            _ => SecretsMode::Omitted,
        };
        let count = usize::from(data.arbitrary::<u8>()?) % (FINDINGS_MAX + 1);
        let findings: arbitrary::Result<Vec<Short>> = (0..count).map(|_| data.arbitrary()).collect();
        Ok(Self {
            format,
            redaction: Redaction::new(mode, TagKey::none()),
            findings: findings?,
            text: String::from_utf8_lossy(data.take_rest()).into_owned(),
        })
    }
}

impl Short {
    fn finding(&self, leaves: &Leaves) -> Finding {
        let leaf = match self.leaf {
            // Often one that is there.
            at @ 0..250 if !leaves.is_empty() => usize::from(at) % leaves.len(),
            250..=254 => leaves.len(),
            _ => usize::MAX,
        };
        let value = leaves.get(leaf).map_or("", |leaf| leaf.value);
        let place = |at: u8| usize::from(at) % (value.len() + 1);
        let literal = value.get(place(self.from)..place(self.to));
        let target = match self.kind % 8 {
            0 | 1 => Target::Whole,
            2 | 3 => Target::Bytes {
                start: place(self.from),
                end: place(self.to),
            },
            4 => Target::Bytes {
                start: usize::from(self.from),
                end: usize::MAX - usize::from(self.to),
            },
            5 => Target::Literal(String::from(char::from(self.from))),
            _ => Target::Literal(literal.unwrap_or("none of it").to_owned()),
        };
        let rule = RULES[usize::from(self.rule) % RULES.len()];
        Finding {
            leaf,
            target,
            rule: RuleId::parse(rule).expect("a rule"),
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let Ok(case) = Case::of(data) else { return };
    let Case {
        format,
        redaction,
        findings,
        text,
    } = case;
    let Ok(before) = walk::leaves(format, &text) else {
        let (_, withheld) = batch(format, &text);
        assert_eq!(withheld.len(), 1, "what is not whole is not taken");
        return;
    };
    let findings: Vec<Finding> = findings.iter().map(|short| short.finding(&before)).collect();
    let fits = findings.iter().all(|finding| fits(finding, &before));

    let (rendered, withheld) = batch(format, &text);
    assert_eq!(withheld, [], "what is whole is taken");
    assert_eq!(leaves(rendered.documents()), before);
    let (redacted, withheld) = rendered.redact(vec![Verdict::Findings(findings.clone())], &redaction);
    let replaced = redaction::replaced(format, &text, &findings, &redaction);
    assert_eq!(replaced.is_ok(), fits, "{findings:?}");
    let Ok(replaced) = replaced else {
        let reasons: Vec<_> = withheld.iter().map(|withheld| &withheld.reason).collect();
        assert!(matches!(reasons[..], [WithholdReason::Malformed { guest, .. }] if guest == "policy"));
        return;
    };
    assert_eq!(withheld, []);

    let result = spliced(&text, &replaced);
    assert_eq!(walk::check(format, &result), Ok(()));
    if format == Format::Json {
        assert!(is_json(&result));
    }
    let after = walk::leaves(format, &result).expect("well-formed");
    assert_eq!(
        leaves(redacted.documents()),
        after,
        "shown and applied are the same"
    );
    let mode = redaction.mode;
    if mode != SecretsMode::Omitted {
        assert_eq!(before.len(), after.len(), "leaves change and none goes");
        for (index, (before, after)) in before.iter().zip(after.iter()).enumerate() {
            let own: Vec<&Finding> = findings.iter().filter(|finding| finding.leaf == index).collect();
            model::check(format, before, after, &own, mode);
        }
    }
    for leaf in after.iter() {
        model::no_secret(format, leaf, mode);
    }
    if format == Format::Csv {
        assert_eq!(csv_shape(&text), csv_shape(&result));
    }

    // A second time, without findings and with some on the markers.
    let again = |findings: &[Finding]| redaction::replaced(format, &result, findings, &redaction);
    assert_eq!(again(&[]), Ok(Vec::new()), "twice is once");
    let on_markers: Vec<Finding> = after
        .iter()
        .enumerate()
        .filter(|(_, leaf)| Marker::is(leaf.value))
        .map(|(leaf, _)| Finding {
            leaf,
            target: Target::Whole,
            rule: RuleId::parse("again").expect("a rule"),
        })
        .collect();
    assert_eq!(again(&on_markers), Ok(Vec::new()), "a marker stays");

    let guard = Guard::new(redacted.known_secrets());
    let (filtered, _) = redacted.choose(Vec::new());
    let (passed, _) = filtered.guard(&guard);
    for object in passed.objects() {
        for file in object.files() {
            assert_eq!(
                (file.path().as_str(), file.content()),
                (path(format), result.as_str())
            );
        }
    }
    if format == Format::Text {
        assert_eq!(redaction::redact_text(&text, &findings, &redaction), result);
        for path in CODE {
            check_code(path, &text, &findings, &redaction);
        }
    }
}

/// Files of code: of each language, and of a database that is known.
const CODE: [&str; 5] = [
    "configs/main/a.py",
    "configs/main/a.r",
    "configs/main/a.jl",
    "configs/main/a.sql",
    "configs/main/transformation/keboola.snowflake-transformation/a.sql",
];

/// In code words go whole, so more may go than what findings name, and never less.
fn check_code(path: &str, text: &str, findings: &[Finding], redaction: &Redaction) {
    let form = Form::of(path);
    let replaced = redaction::replaced(form, text, findings, redaction).expect("they fit the text");
    let result = spliced(text, &replaced);
    let (rendered, _) = batch_at(path, text);
    let (redacted, withheld) = rendered.redact(vec![Verdict::Findings(findings.to_vec())], redaction);
    assert_eq!(withheld, []);
    let shown = leaves(redacted.documents());
    let shown = shown.get(0).map_or("", |leaf| leaf.value);
    assert_eq!(shown, result, "shown and applied are the same in {path}");
    assert_eq!(
        redaction::replaced(form, &result, &[], redaction),
        Ok(Vec::new()),
        "twice is once in {path}"
    );
    // What is in a marker stays, and so does white space around a word.
    if text.contains("[REDACTED:") {
        return;
    }
    let is_gone = |at: usize| replaced.iter().any(|replaced| replaced.range.contains(&at));
    let named = findings.iter().flat_map(|finding| match &finding.target {
        Target::Whole => vec![(0, text.len())],
        Target::Bytes { start, end } => vec![(*start, *end)],
        Target::Literal(literal) => {
            let found = text.match_indices(literal.as_str());
            found.map(|(at, _)| (at, at + literal.len())).collect()
        }
    });
    for at in named.flat_map(|(start, end)| start..end) {
        let is_blank = text.as_bytes()[at].is_ascii_whitespace();
        assert!(is_blank || is_gone(at), "byte {at} is left in {path}: {result}");
    }
}

/// Says whether a finding names something that is there.
fn fits(finding: &Finding, leaves: &Leaves) -> bool {
    let Some(leaf) = leaves.get(finding.leaf) else {
        return false;
    };
    match &finding.target {
        Target::Whole => true,
        Target::Bytes { start, end } => leaf.value.get(*start..*end).is_some(),
        Target::Literal(literal) => !literal.is_empty() && leaf.value.contains(literal.as_str()),
    }
}

/// Returns the number of cells of each row.
fn csv_shape(text: &str) -> Vec<usize> {
    let leaves = walk::leaves(Format::Csv, text).expect("well-formed");
    let mut rows: Vec<usize> = Vec::new();
    for leaf in leaves.iter() {
        assert_eq!(leaf.role, LeafRole::Text);
        let row = leaf
            .pointer
            .split('/')
            .nth(1)
            .and_then(|row| row.parse::<usize>().ok());
        let row = row.expect("a cell's pointer has its row");
        rows.resize(rows.len().max(row + 1), 0);
        rows[row] += 1;
    }
    rows
}
