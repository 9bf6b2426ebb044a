//! What a further policy would do to a batch, which stays as it is: for policies that are watched before they are switched on.

use super::{RedactedBatch, Round, guarding, malformed, redact, within_size};
use crate::{
    batch::Subject,
    finding::{Verdict, WithholdReason},
    guard::{Guard, KnownSecrets},
    redaction::{Redaction, RedactionStats},
};
use std::collections::BTreeMap;

/// What would become of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    pub subject: Subject,
    /// Pieces of its files that would be replaced, by the id of the rule. Entries repeat what files say and are not counted.
    pub by_rule: BTreeMap<String, u64>,
    /// Why the subject would be withheld, if it would.
    pub withheld: Option<WithholdReason>,
}

impl RedactedBatch {
    /// Says what [`RedactedBatch::redact_again`] would do with these verdicts, and whether the guard would then withhold a
    /// subject for what they take out of it; one answer for each subject, in order.
    #[must_use]
    pub fn rehearse(&self, verdicts: Vec<Verdict>, redaction: &Redaction, guard: &Guard) -> Vec<Rehearsed> {
        let judged = &self.judged;
        let documents = judged
            .items
            .iter()
            .map(|item| item.files.len() + item.entries.len());
        let surplus = verdicts.len() > documents.sum();
        let mut verdicts = verdicts.into_iter();
        let answer = |item: &super::Item| {
            let count = item.files.len() + item.entries.len();
            let own: Vec<Verdict> = verdicts.by_ref().take(count).collect();
            let is_clean =
                |verdict: &Verdict| matches!(verdict, Verdict::Findings(findings) if findings.is_empty());
            let mut rehearsed = Rehearsed {
                subject: item.subject.clone(),
                by_rule: BTreeMap::new(),
                withheld: None,
            };
            if surplus {
                rehearsed.withheld = Some(malformed("policy", "there are more verdicts than documents"));
                return rehearsed;
            }
            // Nothing to copy for most.
            if own.len() == count && own.iter().all(is_clean) {
                return rehearsed;
            }
            let mut copy = item.clone();
            copy.stats = RedactionStats::default();
            // What policies that are switched on took is the guard's affair whether this one is or not.
            copy.cuts.clear();
            let done = redact(
                &mut copy,
                own,
                redaction,
                &mut KnownSecrets::new(),
                Round::Further,
            )
            .and_then(|()| within_size(&copy, &judged.limits))
            .and_then(|()| guarding::pass_cuts(&copy.cuts, guard));
            rehearsed.withheld = done.err();
            rehearsed.by_rule = copy.stats.by_rule;
            rehearsed
        };
        judged.items.iter().map(answer).collect()
    }
}
