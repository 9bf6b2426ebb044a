//! What a policy takes out of a text, as it can be shown: never what was taken.

use super::documents::Judged;
use crate::app::Failure;
use mirror_core::{
    document::{Context, Document},
    finding::{Finding, Verdict},
    redaction::{Redaction, RedactionError, Replaced, replaced},
    walk,
};
use mirror_sandbox::RedactionPolicy;
use serde::Serialize;
use std::{num::NonZero, thread};

/// Stands where a secret was.
pub(super) const HIDDEN: &str = "••••••";
/// Characters around a piece that are shown.
const AROUND: usize = 40;

/// One piece that goes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Touched {
    pub(super) policy: String,
    pub(super) rule: String,
    pub(super) pointer: String,
    pub(super) line: usize,
    pub(super) before: String,
    pub(super) after: String,
}

impl Touched {
    /// Returns it for people, three lines.
    pub(super) fn lines(&self, indent: &str) -> String {
        let Self {
            policy,
            rule,
            pointer,
            line,
            before,
            after,
        } = self;
        let place = if pointer.is_empty() {
            String::new()
        } else {
            format!(", {pointer}")
        };
        format!(
            "{indent}line {line}{place}: {rule}, by {policy}\n{indent}  - {before}\n{indent}  + {after}\n"
        )
    }
}

/// A text on its way through policies, and where their markers stand in it.
pub(super) struct Passage {
    pub(super) judged: Judged,
    marks: Vec<Mark>,
}

struct Mark {
    policy: String,
    rule: String,
    /// Counted from 1.
    line: usize,
    /// Where it stands in the text as it is now.
    at: usize,
}

impl Passage {
    pub(super) fn new(judged: Judged) -> Self {
        Self {
            judged,
            marks: Vec::new(),
        }
    }

    /// Takes out what a policy found, and returns the pieces of the text before that.
    ///
    /// # Errors
    /// Findings that do not fit the text; it stays as it was.
    pub(super) fn apply(
        &mut self,
        policy: &str,
        findings: &[Finding],
        redaction: &Redaction,
    ) -> Result<Vec<Replaced>, RedactionError> {
        let judged = &self.judged;
        let pieces = replaced(judged.format, &judged.text, findings, redaction)?;
        if pieces.is_empty() {
            return Ok(pieces);
        }
        for mark in &mut self.marks {
            mark.at = moved(mark.at, &pieces);
        }
        for piece in &pieces {
            self.marks.push(Mark {
                policy: policy.to_owned(),
                rule: piece.rule().unwrap_or("removed").to_owned(),
                line: 1 + judged.text[..piece.range.start].matches('\n').count(),
                at: moved(piece.range.start, &pieces),
            });
        }
        let text = without(&judged.text, &pieces);
        self.judged = judged.with_text(text);
        Ok(pieces)
    }

    /// Cuts what is shown of at most so many pieces out of the last text, in which no secret is left that anybody found:
    /// pointers too, since names of members may be what was found.
    pub(super) fn shown(&self, pieces_max: usize) -> Vec<Touched> {
        let shown = self.marks.iter().take(pieces_max);
        shown.map(|mark| self.shown_at(mark)).collect()
    }

    fn shown_at(&self, mark: &Mark) -> Touched {
        let Judged {
            format,
            text,
            document,
            ..
        } = &self.judged;
        let at = mark.at;
        let leaf = walk::leaf_at(*format, text, at).ok().flatten();
        let leaf = leaf.and_then(|leaf| document.leaves.get(leaf));
        let marker_end = text[at..].find(']').map_or(at, |end| at + end + 1);
        let line_start = text[..at].rfind('\n').map_or(0, |start| start + 1);
        let line_end = text[marker_end..]
            .find('\n')
            .map_or(text.len(), |end| marker_end + end);
        let head: Vec<char> = text[line_start..at].chars().rev().take(AROUND).collect();
        let head: String = head.into_iter().rev().collect();
        let tail: String = text[marker_end..line_end].chars().take(AROUND).collect();
        let show = |middle: &str| printable(format!("{head}{middle}{tail}").trim());
        Touched {
            policy: mark.policy.clone(),
            rule: mark.rule.clone(),
            pointer: printable(leaf.map_or("", |leaf| leaf.pointer)),
            line: mark.line,
            before: show(HIDDEN),
            after: show(&text[at..marker_end]),
        }
    }
}

/// Returns a text without what a terminal would act on.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Judges documents on all cores; one verdict for each, in order.
///
/// # Errors
/// A sandbox that fails as a whole.
pub(super) fn verdicts(
    policy: &RedactionPolicy,
    context: &Context,
    documents: &[Document],
) -> Result<Vec<Verdict>, Failure> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let share = documents.len().div_ceil(workers).max(1);
    let answers = thread::scope(|scope| {
        let running: Vec<_> = documents
            .chunks(share)
            .map(|chunk| scope.spawn(move || policy.redact(context, chunk)))
            .collect();
        let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
        joined.collect::<Result<Vec<_>, _>>()
    });
    let answers = answers.map_err(|_| Failure::message("judging failed unexpectedly"))?;
    let answers: Result<Vec<_>, _> = answers.into_iter().collect();
    let answers = answers.map_err(|error| Failure::failed(&error))?;
    Ok(answers.into_iter().flatten().collect())
}

/// Returns where a byte of a text stands after the pieces were replaced; in a piece, at its start.
fn moved(at: usize, pieces: &[Replaced]) -> usize {
    let mut now = at;
    for Replaced { range, by } in pieces {
        if range.end <= at {
            now = now + by.len() - range.len();
        } else if range.start < at {
            now -= at - range.start;
        }
    }
    now
}

fn without(text: &str, pieces: &[Replaced]) -> String {
    let mut left = String::with_capacity(text.len());
    let mut copied = 0;
    for Replaced { range, by } in pieces {
        left.push_str(&text[copied..range.start]);
        left.push_str(by);
        copied = range.end;
    }
    left.push_str(&text[copied..]);
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::{
        finding::{RuleId, Target},
        marker::TagKey,
        redaction::SecretsMode,
    };

    #[test]
    fn places_move_with_what_is_replaced_before_them() {
        let piece = |range, by: &str| Replaced {
            range,
            by: by.to_owned(),
        };
        let pieces = [piece(2..4, "XXXXX"), piece(6..9, "")];
        let text = "ab12ef789j";
        assert_eq!(without(text, &pieces), "abXXXXXefj");
        for (at, expected) in [(0, 0), (2, 2), (3, 2), (4, 7), (6, 9), (8, 9), (9, 9)] {
            assert_eq!(moved(at, &pieces), expected, "{at}");
        }
    }

    #[test]
    fn what_was_found_in_the_name_of_a_member_is_not_in_the_pointer() {
        let judged = Judged::new("a.json", r#"{"CUST-1": {"note": "CUST-1 \u0041"}}"#.to_owned());
        let findings: Vec<Finding> = (0..judged.document.leaves.len())
            .filter(|leaf| {
                judged
                    .document
                    .leaves
                    .get(*leaf)
                    .expect("it is counted")
                    .value
                    .contains("CUST-1")
            })
            .map(|leaf| Finding {
                leaf,
                target: Target::Literal("CUST-1".to_owned()),
                rule: RuleId::parse("number").expect("a rule"),
            })
            .collect();
        assert_eq!(findings.len(), 2);
        let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
        let mut passage = Passage::new(judged);
        let pieces = passage.apply("p", &findings, &redaction).expect("they fit");
        assert_eq!(pieces.len(), 2);
        let shown = passage.shown(10);
        let shown: Vec<String> = shown.iter().map(|piece| format!("{piece:?}")).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown[1].contains("/note"), "{shown:?}");
        assert!(!shown.concat().contains("CUST-1"), "{shown:?}");
        assert_eq!(passage.shown(1).len(), 1);
    }
}
