//! Turns the findings for one leaf into disjoint regions of its text.

use super::{CIPHER_RULE, RedactionError, SecretsMode, host_rule, value};
use crate::{
    document::LeafRole,
    finding::{Finding, RuleId, Target},
    marker::Marker,
};
use std::ops::Range;

/// How many pieces of one leaf may go. A literal of one letter would else make a file explode.
const PIECES_MAX: usize = 100_000;

/// A piece of a leaf that gives way to one marker.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) range: Range<usize>,
    pub(super) rule: RuleId,
}

/// Returns what of a leaf goes: ascending, disjoint, not empty.
///
/// - Findings that overlap become one region. It bears the rule of the finding that covers most
///   bytes; among equals the first in the text, then the first by name.
/// - Markers stay whole: a finding inside of one is ignored, one that cuts one takes all of it. In code a marker's quotes are part
///   of it, since they may have come with it.
/// - An encrypted value that is all of the leaf is not cut either: it goes as a whole.
/// - The leading `#` of a member's name stays, since it says that the value is a secret.
/// - Unless ciphers may stay, each is a finding of the host.
pub(super) fn regions(
    role: LeafRole,
    value: &str,
    findings: &[&Finding],
    mode: SecretsMode,
    is_code: bool,
) -> Result<Vec<Region>, RedactionError> {
    let first = usize::from(role == LeafRole::Key && value.starts_with('#'));
    let mut spans: Vec<(Range<usize>, RuleId)> = Vec::new();
    for finding in findings {
        let mut add = |range: Range<usize>| {
            let range = range.start.max(first)..range.end;
            if range.start < range.end {
                spans.push((range, finding.rule.clone()));
            }
        };
        let fault = |problem| RedactionError::Finding {
            leaf: finding.leaf,
            problem,
        };
        match &finding.target {
            Target::Whole => add(0..value.len()),
            Target::Bytes { start, end } => {
                if value.get(*start..*end).is_none() {
                    return Err(fault("names a range that is not in the leaf or cuts a character"));
                }
                add(*start..*end);
            }
            Target::Literal(literal) => {
                let found = occurrences(value, literal);
                if found.is_empty() {
                    return Err(fault("names a text that is not in the leaf"));
                }
                if found.len() > PIECES_MAX {
                    return Err(fault(
                        "names a text that stands in the leaf more than 100,000 times",
                    ));
                }
                found.into_iter().for_each(add);
            }
        }
    }
    if mode != SecretsMode::Encrypted {
        spans.extend(value::ciphers(value).map(|range| (range, host_rule(CIPHER_RULE))));
    }
    if spans.is_empty() {
        return Ok(Vec::new());
    }
    // White space beside a word of code does not go with it.
    let core = |span: &Range<usize>| {
        let found = if is_code { &value[span.clone()] } else { "" };
        let before = found.len() - found.trim_start().len();
        span.start + before..span.end - (found.len() - before - found.trim().len())
    };
    respect(&protected(role, value, first, is_code), core, &mut spans);
    if value::classify(value) == value::Class::Cipher {
        spans.iter_mut().for_each(|(range, _)| *range = 0..value.len());
    }
    Ok(merge(spans))
}

/// Returns the markers in a leaf; in the name of a member, with the number that tells two of the
/// same marker apart.
fn protected(role: LeafRole, value: &str, first: usize, is_code: bool) -> Vec<Range<usize>> {
    let mut markers: Vec<_> = Marker::find_iter(value).collect();
    if is_code {
        for marker in &mut markers {
            *marker = super::code::with_quotes(value, marker.clone());
        }
    }
    if role == LeafRole::Key
        && let [marker] = markers.as_mut_slice()
        && marker.start == first
        && is_number(&value[marker.end..])
    {
        marker.end = value.len();
    }
    markers
}

fn is_number(suffix: &str) -> bool {
    suffix
        .strip_prefix('-')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Drops spans whose core is inside of a protected range and widens those that cut one.
fn respect(
    protected: &[Range<usize>],
    core: impl Fn(&Range<usize>) -> Range<usize>,
    spans: &mut Vec<(Range<usize>, RuleId)>,
) {
    spans.retain_mut(|(span, _)| {
        // At most two can be cut: the one at either end.
        let from = protected.partition_point(|range| range.end <= span.start);
        let to = protected.partition_point(|range| range.start < span.end);
        let Some((head, tail)) = protected
            .get(from..to)
            .and_then(|cut| Some((cut.first()?, cut.last()?)))
        else {
            return true;
        };
        let core = core(span);
        if head.start <= core.start && core.end <= head.end {
            return false;
        }
        *span = span.start.min(head.start)..span.end.max(tail.end);
        true
    });
}

fn merge(mut spans: Vec<(Range<usize>, RuleId)>) -> Vec<Region> {
    spans.sort_by(|(a, a_rule), (b, b_rule)| (a.start, a.end, a_rule).cmp(&(b.start, b.end, b_rule)));
    let mut regions: Vec<(Region, usize)> = Vec::new();
    for (range, rule) in spans {
        match regions.last_mut() {
            Some((region, longest)) if range.start < region.range.end => {
                region.range.end = region.range.end.max(range.end);
                if range.len() > *longest {
                    *longest = range.len();
                    region.rule = rule;
                }
            }
            _ => {
                let length = range.len();
                regions.push((Region { range, rule }, length));
            }
        }
    }
    regions.into_iter().map(|(region, _)| region).collect()
}

/// Returns all occurrences of the literal, overlapping ones too (Knuth, Morris and Pratt), so that a
/// text like `aaa` leaves nothing behind of `aa`. Stops past the highest number that is allowed.
fn occurrences(text: &str, literal: &str) -> Vec<Range<usize>> {
    let (text, literal) = (text.as_bytes(), literal.as_bytes());
    if literal.is_empty() || memchr::memmem::find(text, literal).is_none() {
        return Vec::new();
    }
    // For each prefix of the literal, the length of its longest border.
    let mut borders = vec![0; literal.len()];
    let mut matched = 0;
    for at in 1..literal.len() {
        while matched > 0 && literal[at] != literal[matched] {
            matched = borders[matched - 1];
        }
        matched += usize::from(literal[at] == literal[matched]);
        borders[at] = matched;
    }
    let mut found = Vec::new();
    let mut matched = 0;
    for (at, byte) in text.iter().enumerate() {
        while matched > 0 && (matched == literal.len() || *byte != literal[matched]) {
            matched = borders[matched - 1];
        }
        matched += usize::from(*byte == literal[matched]);
        if matched == literal.len() {
            found.push(at + 1 - literal.len()..at + 1);
            if found.len() > PIECES_MAX {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str) -> RuleId {
        RuleId::parse(id).expect("a rule")
    }

    /// Draws regions as `start..end rule`.
    #[track_caller]
    fn check(role: LeafRole, value: &str, targets: &[(Target, &str)], expected: &[&str]) {
        let findings: Vec<_> = targets
            .iter()
            .map(|(target, id)| Finding {
                leaf: 0,
                target: target.clone(),
                rule: rule(id),
            })
            .collect();
        let findings: Vec<_> = findings.iter().collect();
        let regions =
            regions(role, value, &findings, SecretsMode::Encrypted, false).expect("findings that fit");
        let drawn: Vec<_> = regions
            .iter()
            .map(|region| format!("{:?} {}", region.range, region.rule.as_str()))
            .collect();
        assert_eq!(drawn, expected, "{value:?}");
    }

    fn bytes(start: usize, end: usize) -> Target {
        Target::Bytes { start, end }
    }

    fn literal(text: &str) -> Target {
        Target::Literal(text.to_owned())
    }

    #[test]
    fn overlapping_findings_are_one_region_with_the_rule_that_covers_most() {
        let value = "0123456789";
        check(
            LeafRole::Text,
            value,
            &[(bytes(0, 3), "a"), (bytes(2, 7), "b")],
            &["0..7 b"],
        );
        check(
            LeafRole::Text,
            value,
            &[(bytes(2, 5), "b"), (bytes(2, 5), "a")],
            &["2..5 a"],
        );
        check(
            LeafRole::Text,
            value,
            &[(bytes(0, 3), "b"), (bytes(2, 5), "a")],
            &["0..5 b"],
        );
        check(
            LeafRole::Text,
            value,
            &[(bytes(0, 3), "a"), (bytes(3, 5), "b")],
            &["0..3 a", "3..5 b"],
        );
        check(
            LeafRole::Text,
            value,
            &[(bytes(4, 5), "a"), (Target::Whole, "b")],
            &["0..10 b"],
        );
        check(LeafRole::Text, "", &[(Target::Whole, "b")], &[]);
        check(LeafRole::Text, value, &[(bytes(4, 4), "a")], &[]);
    }

    #[test]
    fn a_literal_goes_wherever_it_stands() {
        check(
            LeafRole::Text,
            "ab-ab",
            &[(literal("ab"), "a")],
            &["0..2 a", "3..5 a"],
        );
        check(LeafRole::Text, "xaaaay", &[(literal("aa"), "a")], &["1..5 a"]);
        check(LeafRole::Text, "abababa", &[(literal("aba"), "a")], &["0..7 a"]);
    }

    #[test]
    fn markers_are_not_cut() {
        let value = "a [REDACTED:x:0] b";
        check(
            LeafRole::Text,
            value,
            &[(literal("REDACTED"), "a"), (bytes(2, 16), "a")],
            &[],
        );
        check(LeafRole::Text, value, &[(bytes(0, 5), "a")], &["0..16 a"]);
        check(LeafRole::Text, value, &[(bytes(15, 18), "a")], &["2..18 a"]);
        check(LeafRole::Text, "[REDACTED:x:0]", &[(Target::Whole, "a")], &[]);
        check(LeafRole::Key, "[REDACTED:x:0]-2", &[(Target::Whole, "a")], &[]);
        check(
            LeafRole::Text,
            "[REDACTED:x:0]-2",
            &[(Target::Whole, "a")],
            &["0..16 a"],
        );
    }

    #[test]
    fn an_encrypted_value_goes_as_a_whole() {
        let value = "KBC::ProjectSecure::eJwBQAGmRlZjUwMjAw";
        check(LeafRole::Text, value, &[(bytes(22, 24), "a")], &["0..38 a"]);
    }

    #[test]
    fn the_hash_of_a_key_stays() {
        check(LeafRole::Key, "#token", &[(Target::Whole, "a")], &["1..6 a"]);
        check(LeafRole::Key, "#token", &[(literal("#"), "a")], &[]);
        check(LeafRole::Text, "#token", &[(Target::Whole, "a")], &["0..6 a"]);
    }

    #[test]
    fn findings_that_do_not_fit_are_errors() {
        for target in [bytes(0, 9), bytes(1, 2), bytes(2, 0), literal("zz"), literal("")] {
            let finding = Finding {
                leaf: 0,
                target,
                rule: rule("a"),
            };
            assert!(
                regions(LeafRole::Text, "é12", &[&finding], SecretsMode::Encrypted, false).is_err(),
                "{finding:?}"
            );
        }
    }
}
