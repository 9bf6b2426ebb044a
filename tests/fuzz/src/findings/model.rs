//! What a leaf must be after its findings were applied.

use mirror_core::{
    document::{Leaf, LeafRole},
    finding::{Finding, Target},
    marker::Marker,
    redaction::SecretsMode,
    walk::Format,
};
use secret_redaction::keboola::{is_cipher, is_marker, is_vault_reference};

/// Compares one leaf before and after.
pub(super) fn check(
    format: Format,
    before: Leaf<'_>,
    after: Leaf<'_>,
    findings: &[&Finding],
    mode: SecretsMode,
) {
    let value = before.value;
    if is_secret(format, before) {
        return;
    }
    let covered = covered(before, findings);
    let left = without_markers(after.value);
    let stays: Vec<u8> = value
        .bytes()
        .zip(&covered)
        .filter(|(_, covered)| !**covered)
        .map(|(byte, _)| byte)
        .collect();
    // Two names that became the same are told apart by a number.
    let unnumbered = (before.role == LeafRole::Key)
        .then(|| left.rsplit_once('-'))
        .flatten();
    let unnumbered = unnumbered.filter(|(_, number)| is_number(&format!("-{number}")));
    // Unless ciphers may stay, those inside of a text go too.
    let less = |left: &str| mode != SecretsMode::Encrypted && is_part(left.as_bytes(), &stays);
    let fits = |left: &str| left.as_bytes() == stays || less(left);
    assert!(
        fits(&left) || unnumbered.is_some_and(|(left, _)| fits(left)),
        "{before:?} became {after:?} by {findings:?}"
    );
}

/// Below a key that begins with `#` only an encrypted value, a reference, a marker and nothing may stay.
pub(super) fn no_secret(format: Format, leaf: Leaf<'_>, mode: SecretsMode) {
    if !is_secret(format, leaf) || may_annotate(leaf) {
        return;
    }
    let value = leaf.value;
    let stays = value.is_empty()
        || Marker::is(value)
        || is_vault_reference(value)
        || (mode == SecretsMode::Encrypted && is_cipher(value));
    assert!(stays, "{leaf:?} is left in mode {mode:?}");
}

fn is_secret(format: Format, leaf: Leaf<'_>) -> bool {
    matches!(format, Format::Json | Format::JsonLines)
        && leaf.role != LeafRole::Key
        && leaf.pointer.contains("/#")
}

/// It may describe a key of a JSON Schema; which do is tested where that is decided.
fn may_annotate(leaf: Leaf<'_>) -> bool {
    leaf.pointer.contains("/properties/#")
}

/// Returns for each byte whether it goes. What is a marker already does not count as text, and goes from both sides.
fn covered(leaf: Leaf<'_>, findings: &[&Finding]) -> Vec<bool> {
    let value = leaf.value;
    let first = usize::from(leaf.role == LeafRole::Key && value.starts_with('#'));
    let mut covered = vec![false; value.len()];
    let mut protected = vec![false; value.len()];
    let mut markers: Vec<_> = Marker::find_iter(value).collect();
    if let (LeafRole::Key, [marker]) = (leaf.role, markers.as_mut_slice())
        && marker.start == first
        && is_number(&value[marker.end..])
    {
        // The number tells two of the same marker apart.
        marker.end = value.len();
    }
    for marker in &markers {
        protected[marker.clone()].fill(true);
    }
    for finding in findings {
        match &finding.target {
            Target::Whole => covered.fill(true),
            Target::Bytes { start, end } => covered[*start..*end].fill(true),
            Target::Literal(literal) => {
                for at in 0..value.len() {
                    if value.as_bytes()[at..].starts_with(literal.as_bytes()) {
                        covered[at..at + literal.len()].fill(true);
                    }
                }
            }
        }
    }
    covered[..first].fill(false);
    let goes = covered
        .iter()
        .zip(&protected)
        .any(|(covered, protected)| *covered && !protected);
    if goes && is_cipher(value) {
        covered.fill(true);
    }
    for marker in markers {
        // A marker stays, or goes as a whole with the text around it; its number stays with it.
        let number = value[marker.clone()]
            .rfind(']')
            .map_or(marker.end, |end| marker.start + end + 1);
        covered[marker.start..number].fill(true);
        if number < marker.end {
            covered[number..marker.end].fill(false);
        }
    }
    covered
}

fn is_number(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn without_markers(text: &str) -> String {
    let mut out = String::new();
    let mut copied = 0;
    for marker in Marker::find_iter(text) {
        assert!(
            is_marker(&text[marker.clone()]),
            "the policy knows the host's markers"
        );
        out.push_str(&text[copied..marker.start]);
        copied = marker.end;
    }
    out.push_str(&text[copied..]);
    out
}

/// Says whether the one is the other with bytes left out.
fn is_part(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}
