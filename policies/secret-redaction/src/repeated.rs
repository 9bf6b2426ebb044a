//! What goes once goes in all of its document.

use crate::engine::{Document, Finding, Role, Target};
use crate::rules::RuleIndex;
use crate::scan::{self, Hit};
use crate::shape;
use memchr::memmem::Finder;

/// Most values of one document that are looked for again; all of its text is gone through for each.
const REPEATED_MAX: usize = 16;

/// Finds what goes once in all other places of the document: a password that somebody also wrote down in a note.
pub(crate) fn add(document: &Document<'_>, findings: &mut Vec<Finding>) {
    let mut values: Vec<(&str, RuleIndex)> = Vec::new();
    for finding in &*findings {
        let leaf = &document.leaves[finding.leaf];
        let value = match finding.target {
            Target::Whole => leaf.value,
            Target::Bytes { start, end } => &leaf.value[start..end],
        };
        let is_new = || !values.iter().any(|&(known, _)| known == value);
        if values.len() < REPEATED_MAX && shape::is_distinct(value) && is_new() {
            values.push((value, finding.rule));
        }
    }
    let Some(shortest) = values.iter().map(|(value, _)| value.len()).min() else {
        return;
    };
    let finders: Vec<_> = values
        .iter()
        .map(|&(value, rule)| (Finder::new(value), rule))
        .collect();
    // Findings are in the order of their leaves, and stay so.
    let mut before = std::mem::take(findings).into_iter().peekable();
    for (place, leaf) in document.leaves.iter().enumerate() {
        let known: Vec<Finding> =
            std::iter::from_fn(|| before.next_if(|finding| finding.leaf == place)).collect();
        let is_whole = known.iter().any(|finding| finding.target == Target::Whole);
        let again = if is_whole || leaf.role == Role::Scalar || leaf.value.len() < shortest {
            Vec::new()
        } else {
            occurrences(leaf.value, &finders)
        };
        if again.is_empty() {
            findings.extend(known);
            continue;
        }
        // What is known comes first, so that its rule stays.
        let mut hits: Vec<Hit> = known.into_iter().filter_map(of_bytes).collect();
        hits.extend(again);
        findings.extend(scan::merge(hits).into_iter().map(|hit| hit.into_finding(place)));
    }
}

/// Returns where values occur, but for ciphers and markers.
fn occurrences(text: &str, finders: &[(Finder<'_>, RuleIndex)]) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (finder, rule) in finders {
        let found = scan::whole_occurrences(text, finder);
        hits.extend(found.map(|range| Hit { range, rule: *rule }));
    }
    if !hits.is_empty() {
        let protected = scan::protected(text);
        hits.retain(|hit| !scan::touches_one(&hit.range, &protected));
    }
    hits
}

fn of_bytes(finding: Finding) -> Option<Hit> {
    match finding.target {
        Target::Whole => None,
        Target::Bytes { start, end } => Some(Hit {
            range: start..end,
            rule: finding.rule,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Kind, Leaf, judge};

    #[test]
    fn each_of_many_places_is_found_and_findings_stay_in_order() {
        let text = "user=etl password=Xk7vR2mpQz; note Xk7vR2mpQz ".repeat(2_000);
        let leaf = |value| Leaf {
            pointer: "",
            role: Role::Text,
            value,
        };
        let mut leaves = vec![leaf("see Xk7vR2mpQz"); 2_000];
        leaves.push(leaf(&text));
        let document = Document {
            path: "",
            kind: Kind::Code,
            leaves,
        };
        let findings = judge(&[document]).remove(0);
        assert_eq!(findings.len(), 2_000 + 4_000);
        assert!(findings.is_sorted_by_key(|finding| match finding.target {
            Target::Whole => (finding.leaf, 0),
            Target::Bytes { start, .. } => (finding.leaf, start),
        }));
    }
}
