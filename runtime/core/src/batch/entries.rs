//! The names of entries: shards and keys, which are ids of objects, also of others than the one that
//! gives the entry. Policies judge values only; what they find in a value must not stand in a name.

use super::guarding::Taken;
use crate::{
    finding::{Finding, RuleId, Target, WithholdReason},
    guard::Slugs,
    layout::{Entry, IndexKind},
    redaction::{Redaction, redact},
    walk::{self, Format},
};

/// What was found in the value of an entry.
pub(super) struct Found {
    text: String,
    rule: RuleId,
}

/// Whether the names of such entries are looked at. Those of other kinds are the object's own ids, which
/// stand in its files and paths too, and withhold it there.
fn names_others(kind: IndexKind) -> bool {
    match kind {
        IndexKind::Catalog | IndexKind::Lineage => true,
        IndexKind::Manifest
        | IndexKind::JobDay
        | IndexKind::JobHealth
        | IndexKind::Withheld
        | IndexKind::Guide => false,
    }
}

/// Returns the texts that findings are about, in the value as it was judged.
pub(super) fn found(entry: &Entry, findings: &[Finding]) -> Vec<Found> {
    if findings.is_empty() || !names_others(entry.kind) {
        return Vec::new();
    }
    let leaves = walk::leaves(Format::Json, &entry.value).unwrap_or_default();
    let one = |finding: &Finding| {
        let leaf = leaves.get(finding.leaf)?;
        Some(Found {
            text: finding.piece(leaf.value)?.to_owned(),
            rule: finding.rule.clone(),
        })
    };
    findings.iter().filter_map(one).collect()
}

/// Puts markers in the place of what was found, in all names that show it. They are the markers that
/// stand in the values, so that entries of several objects still meet in one shard. Returns what was taken out of them.
///
/// # Errors
/// A name that shows it in another form.
pub(super) fn clean(
    entries: &mut [Entry],
    found: &[Found],
    redaction: &Redaction,
) -> Result<Vec<Taken>, WithholdReason> {
    let mut taken = Vec::new();
    if found.is_empty() {
        return Ok(taken);
    }
    let slugs = Slugs::new(found.iter().map(|found| found.text.as_str()));
    for entry in entries.iter_mut().filter(|entry| names_others(entry.kind)) {
        for name in [&mut entry.shard, &mut entry.key] {
            if !slugs.is_in(name) {
                continue;
            }
            for Found { text, rule } in found {
                if name.contains(text.as_str()) && Slugs::new([text.as_str()]).is_in(name) {
                    let finding = Finding {
                        leaf: 0,
                        target: Target::Literal(text.clone()),
                        rule: rule.clone(),
                    };
                    let redacted = redact(Format::Text, name, &[finding], redaction);
                    let (redacted, outcome) = redacted.map_err(|error| error.into_reason("policy"))?;
                    if let Some(redacted) = redacted {
                        let before = std::mem::replace(name, redacted);
                        taken.push(Taken::of_name(before, outcome.replaced));
                    }
                }
            }
            if slugs.is_in(name) {
                let rule = found.first().map(|found| found.rule.as_str().to_owned());
                return Err(WithholdReason::Guarded {
                    rule: rule.unwrap_or_default(),
                    file: WithholdReason::IN_AN_ENTRY.to_owned(),
                });
            }
        }
    }
    Ok(taken)
}
