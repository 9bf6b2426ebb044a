//! What the guard looks at of a subject: what is left of it, and what policies after the built-in one took out.

use super::Item;
use crate::{
    finding::{RuleId, WithholdReason},
    guard::{Cut, Form, Guard},
    walk::Format,
};
use std::ops::Range;

/// What one policy took out of one text of a subject.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    cut: Cut,
    /// Where it stood, as a reason names it.
    place: String,
}

impl Taken {
    pub(super) fn of_file(
        place: String,
        format: Format,
        before: String,
        replaced: Vec<Range<usize>>,
    ) -> Self {
        let form = Form::File(format);
        let cut = Cut {
            form,
            before,
            replaced,
        };
        Self { cut, place }
    }

    pub(super) fn of_entry(before: String, replaced: Vec<Range<usize>>) -> Self {
        let place = WithholdReason::IN_AN_ENTRY.to_owned();
        Self::of_file(place, Format::Json, before, replaced)
    }

    /// Of the name of an entry.
    pub(super) fn of_name(before: String, replaced: Vec<Range<usize>>) -> Self {
        let form = Form::Name;
        let cut = Cut {
            form,
            before,
            replaced,
        };
        let place = WithholdReason::IN_AN_ENTRY.to_owned();
        Self { cut, place }
    }
}

/// Passes a subject in which the guard finds nothing.
pub(super) fn pass(item: &Item, guard: &Guard) -> Result<(), WithholdReason> {
    for file in &item.files {
        if let Some(rule) = guard.check_name(file.path.as_str()) {
            // A path that holds a secret is not repeated.
            return Err(guarded(&rule, WithholdReason::IN_A_PATH.to_owned()));
        }
        if let Some(rule) = guard.check_file(file.path.as_str(), &file.content) {
            return Err(guarded(&rule, file.path.to_string()));
        }
    }
    for entry in &item.entries {
        let texts = guard
            .check_name(&entry.shard)
            .or_else(|| guard.check_name(&entry.key));
        if let Some(rule) = texts.or_else(|| guard.check_json(&entry.value)) {
            return Err(guarded(&rule, WithholdReason::IN_AN_ENTRY.to_owned()));
        }
    }
    pass_cuts(&item.cuts, guard)
}

/// Passes what was taken out of a subject, unless it left something of a secret that stood there.
pub(super) fn pass_cuts(cuts: &[Taken], guard: &Guard) -> Result<(), WithholdReason> {
    for Taken { cut, place } in cuts {
        if let Some(rule) = guard.check_cut(cut) {
            return Err(guarded(&rule, place.clone()));
        }
    }
    Ok(())
}

fn guarded(rule: &RuleId, file: String) -> WithholdReason {
    WithholdReason::Guarded {
        rule: rule.as_str().to_owned(),
        file,
    }
}
