//! What customers' policies took out of texts, before the eyes of the guard.
//!
//! A finding that takes a piece of a secret breaks it up, so that nobody would know the rest of it any more. So the guard looks
//! at a text that something was taken out of as it was before, too: what it would have held back without the finding is held
//! back with it, unless all secrets in it went whole. Adding a policy never lets out what was held before.

use super::{Guard, KNOWN};
use crate::{
    finding::RuleId,
    redaction::host_rule,
    walk::{self, Encoding, Format, json},
};
use std::ops::Range;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    File(Format),
    /// A path, or a name of which one is made.
    Name,
}

/// A text as it stood before pieces of it were replaced, and which. It may hold secrets.
#[derive(Clone)]
pub(crate) struct Cut {
    pub(crate) form: Form,
    pub(crate) before: String,
    /// Ascending and disjoint.
    pub(crate) replaced: Vec<Range<usize>>,
}

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cut").finish_non_exhaustive()
    }
}

impl Cut {
    /// Says whether all of these bytes were replaced.
    fn covers(&self, secret: &Range<usize>) -> bool {
        let mut at = secret.start;
        for replaced in &self.replaced {
            if at < replaced.start || at >= secret.end {
                break;
            }
            at = at.max(replaced.end);
        }
        at >= secret.end
    }
}

impl Guard {
    /// Judges what was taken out of a text. Returns the rule that the text broke before, if it broke one and a secret of it
    /// did not go whole.
    pub(crate) fn check_cut(&self, cut: &Cut) -> Option<RuleId> {
        let Cut { form, before, .. } = cut;
        let (rule, secrets) = match form {
            Form::File(format) => (self.judge(*format, before)?, self.secrets(*format, before)),
            Form::Name => {
                let slug = || self.slugs.is_in(before).then_some(KNOWN);
                let rule = self.scan(before).or_else(slug)?;
                let mut secrets = self.places(before);
                secrets.extend(self.slugs.hits(before));
                (rule, secrets)
            }
        };
        // Where the secret is, is not always known; then nothing of it is sure to be gone.
        let are_gone = !secrets.is_empty() && secrets.iter().all(|secret| cut.covers(secret));
        (!are_gone).then(|| host_rule(rule))
    }

    /// Says whether pieces that are taken out of a name leave something of a secret that it shows.
    #[must_use]
    pub fn check_cut_name(&self, name: &str, replaced: Vec<Range<usize>>) -> Option<RuleId> {
        self.check_cut(&Cut {
            form: Form::Name,
            before: name.to_owned(),
            replaced,
        })
    }

    /// The same of a file: of the text that it was, and of the pieces that go, ascending and disjoint.
    #[must_use]
    pub fn check_cut_file(&self, path: &str, before: &str, replaced: Vec<Range<usize>>) -> Option<RuleId> {
        self.check_cut(&Cut {
            form: Form::File(Format::of(path)),
            before: before.to_owned(),
            replaced,
        })
    }

    /// Returns where secrets stand in a text, by its bytes.
    fn places(&self, text: &str) -> Vec<Range<usize>> {
        super::detect::extents(text)
            .chain(self.known.hits(text))
            .collect()
    }

    /// The same of a file, whose texts may be escaped.
    fn secrets(&self, format: Format, content: &str) -> Vec<Range<usize>> {
        let mut secrets = self.places(content);
        let mut escaped = |encoding: Encoding, inner: Range<usize>| {
            let raw = &content[inner.clone()];
            let std::borrow::Cow::Owned(text) = encoding.decode(raw) else {
                return;
            };
            for place in self.places(&text) {
                let source = encoding.source_ranges(raw, &[place]);
                secrets.extend(
                    source
                        .into_iter()
                        .map(|at| inner.start + at.start..inner.start + at.end),
                );
            }
        };
        match format {
            Format::Json | Format::JsonLines => {
                let nodes = walk::tree(format, content)
                    .map(|tree| tree.nodes)
                    .unwrap_or_default();
                let texts = nodes
                    .iter()
                    .filter(|node| matches!(node.kind, json::Kind::Key | json::Kind::String));
                texts.for_each(|node| escaped(Encoding::Json, node.inner()));
            }
            Format::Csv => {
                let cells = walk::csv::Table::parse(content).map(|table| table.cells);
                let cells = cells.unwrap_or_default();
                cells
                    .iter()
                    .for_each(|cell| escaped(cell.encoding(), cell.inner()));
            }
            Format::Text => {}
        }
        secrets
    }
}
