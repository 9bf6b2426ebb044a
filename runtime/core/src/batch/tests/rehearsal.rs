//! A rehearsal says what would be done, and does nothing.

use super::{cuts::known, *};

const A: &str = "configs/main/extractor/keboola.ex-db/a/config.json";
const B: &str = "configs/main/extractor/keboola.ex-db/b/config.json";

/// What the guard knows.
const KNOWN: &str = "Sparrow-Of-The-7th-Roof";

fn two() -> RedactedBatch {
    redacted(vec![
        (config("1"), files(&[(A, r#"{"note": "Falcon and Falcon"}"#)])),
        (config("2"), files(&[(B, r#"{"note": "sparrow"}"#)])),
    ])
}

fn withhold() -> Verdict {
    Verdict::Withhold(WithholdReason::Trapped {
        guest: "policy".to_owned(),
        detail: "unreachable".to_owned(),
    })
}

/// Rehearses, then does it, and compares.
#[track_caller]
fn check(verdicts: &[Verdict], expected: &Expect) {
    check_of(&two, verdicts, expected);
}

#[track_caller]
fn check_of(batch: &dyn Fn() -> RedactedBatch, verdicts: &[Verdict], expected: &Expect) {
    let batch = batch();
    let before = batch.documents();
    let redaction = redaction(SecretsMode::Encrypted);
    let guard = Guard::new(&known(KNOWN));
    let rehearsed = batch.rehearse(verdicts.to_vec(), &redaction, &guard);
    assert_eq!(batch.documents(), before, "it stays as it is");
    let told: String = rehearsed
        .iter()
        .map(|one| {
            let reason = one.withheld.as_ref().map(ToString::to_string);
            format!("{}: {:?} {reason:?}\n", one.subject, one.by_rule)
        })
        .collect();
    expected.assert_eq(&told);
    let (done, withheld) = batch.redact_again(verdicts.to_vec(), &redaction);
    let told: Vec<Withheld> = rehearsed
        .iter()
        .filter_map(|one| {
            let (subject, reason) = (one.subject.clone(), one.withheld.clone()?);
            Some(Withheld { subject, reason })
        })
        .collect();
    for item in &done.judged.items {
        let one = rehearsed.iter().find(|one| one.subject == item.subject);
        assert_eq!(one.map(|one| &one.by_rule), Some(&item.stats.by_rule));
    }
    let (_, guarded) = done.choose(vec![]).0.guard(&guard);
    let mut withheld = [withheld, guarded].concat();
    withheld.sort_by(|a, b| a.subject.cmp(&b.subject));
    assert_eq!(told, withheld);
}

#[test]
fn a_rehearsal_counts_what_then_goes() {
    // A document's leaves are its keys and values, in order.
    check(
        &[literal(1, "Falcon"), Verdict::Findings(Vec::new())],
        &expect![[r#"
            keboola.ex-db/1: {"test": 2} None
            keboola.ex-db/2: {} None
        "#]],
    );
    check(
        &[withhold(), literal(1, "sparrow")],
        &expect![[r#"
            keboola.ex-db/1: {} Some("the policy trapped: unreachable")
            keboola.ex-db/2: {"test": 1} None
        "#]],
    );
}

#[test]
fn a_rehearsal_says_what_the_guard_withholds_for_a_piece_that_goes() {
    let one = || {
        redacted(vec![(
            config("1"),
            files(&[(A, &format!(r#"{{"note": "by {KNOWN}"}}"#))]),
        )])
    };
    check_of(
        &one,
        &[literal(1, "7th")],
        &expect![[r#"
            keboola.ex-db/1: {"test": 1} Some("the guard still found a secret (guard-known-secret) in configs/main/extractor/keboola.ex-db/a/config.json")
        "#]],
    );
    check_of(
        &one,
        &[literal(1, KNOWN)],
        &expect![[r#"
            keboola.ex-db/1: {"test": 1} None
        "#]],
    );
}

#[test]
fn answers_that_do_not_fit_withhold() {
    check(
        &[literal(9, "Falcon")],
        &expect![[r#"
            keboola.ex-db/1: {} Some("the policy answered with something malformed: a finding for leaf 9 names a leaf that the document does not have")
            keboola.ex-db/2: {} Some("the policy answered with something malformed: there is no verdict on a document")
        "#]],
    );
    let none = || Verdict::Findings(Vec::new());
    check(
        &[none(), none(), none()],
        &expect![[r#"
            keboola.ex-db/1: {} Some("the policy answered with something malformed: there are more verdicts than documents")
            keboola.ex-db/2: {} Some("the policy answered with something malformed: there are more verdicts than documents")
        "#]],
    );
}
