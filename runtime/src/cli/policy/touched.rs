//! What a policy takes out of a text, as it can be shown: never what was taken.

use super::documents::Judged;
use crate::app::Failure;
use mirror_core::{
    document::{Context, Document},
    finding::{Finding, RuleId, Target, Verdict},
    guard::{Guard, Sightings},
    redaction::{Form, Redaction, RedactionError, Replaced, replaced},
    walk::{self, Format},
};
use mirror_sandbox::RedactionPolicy;
use serde::Serialize;
use std::{collections::BTreeSet, num::NonZero, ops::Range, thread};

/// Stands where a secret was.
pub(super) const HIDDEN: &str = "••••••";
/// Characters around a piece that are shown.
const AROUND: usize = 40;
/// Bytes around a piece that are kept until everything was judged, so that what is found then is seen even where it would
/// be cut.
const BYTES_AROUND: usize = 2_000;

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

/// Texts that were found, as they stood in files and as they read. May be secrets: never printed.
#[derive(Default)]
pub(super) struct Found(BTreeSet<String>);

impl Found {
    pub(super) fn add(&mut self, format: Format, raw: &str) {
        let plain = match format {
            Format::Json | Format::JsonLines => serde_json::from_str(&format!("\"{raw}\"")).ok(),
            Format::Csv => Some(raw.replace("\"\"", "\"")),
            Format::Text => None,
        };
        self.0.extend(plain);
        self.0.insert(raw.to_owned());
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn sightings(&self) -> Sightings {
        Sightings::of(self.0.iter().map(String::as_str))
    }
}

/// One piece that goes, with what stands around it. Nothing of it can be shown before it is known what else was found.
#[derive(Clone)]
pub(super) struct Kept {
    policy: String,
    rule: String,
    pointer: String,
    line: usize,
    head: String,
    marker: String,
    tail: String,
}

impl Kept {
    /// Returns it as it can be shown, without anything that was found anywhere.
    pub(super) fn shown(self, found: &Sightings) -> Touched {
        let hide = |text: &str| found.hide(text, HIDDEN);
        let (head, tail) = (hide(&self.head), hide(&self.tail));
        let head: Vec<char> = head.chars().rev().take(AROUND).collect();
        let head: String = head.into_iter().rev().collect();
        let tail: String = tail.chars().take(AROUND).collect();
        let show = |middle: &str| printable(format!("{head}{middle}{tail}").trim());
        Touched {
            pointer: printable(&hide(&self.pointer)),
            before: show(HIDDEN),
            after: show(&self.marker),
            policy: self.policy,
            rule: self.rule,
            line: self.line,
        }
    }
}

/// A text on its way through policies, and where their markers stand in it.
pub(super) struct Passage {
    pub(super) judged: Judged,
    pub(super) found: Found,
    marks: Vec<Mark>,
    /// The rule of a secret that the guard knew in the text before a policy took a piece of it.
    cut: Option<RuleId>,
    /// Of something that was found and stands in the text once more a piece went, and the rest is left.
    has_rests: bool,
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
            found: Found::default(),
            marks: Vec::new(),
            cut: None,
            has_rests: false,
        }
    }

    /// Has the guard look at what a customer's policy took, `before` and what [`Self::apply`] returned; a text that is no file
    /// is one of a commit, which the guard judges before customers' policies.
    pub(super) fn check_cut(&mut self, guard: &Guard, before: &str, pieces: &[Replaced]) {
        if pieces.is_empty() || self.cut.is_some() {
            return;
        }
        let path = self.judged.path.as_str();
        self.cut = if path.is_empty() {
            guard.check_text(before)
        } else {
            let ranges = pieces.iter().map(|piece| piece.range.clone()).collect();
            guard.check_cut_file(path, before, ranges)
        };
    }

    /// Returns the rule by which the guard withholds the object: for what is left, or for a secret of which a piece went.
    pub(super) fn guarded(&self, guard: &Guard) -> Option<RuleId> {
        let Judged { path, text, .. } = &self.judged;
        let caught = if path.is_empty() {
            guard.check_text(text)
        } else {
            guard.check_file(path, text)
        };
        caught.or_else(|| self.cut.clone())
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
        let form = Form::cut_as(judged.format, &judged.path);
        let pieces = replaced(form, &judged.text, findings, redaction)?;
        if pieces.is_empty() {
            return Ok(pieces);
        }
        for mark in &mut self.marks {
            mark.at = moved(mark.at, &pieces);
        }
        if judged.format == Format::Text {
            // In code a piece may be more than what was found, which may stand elsewhere by itself.
            self.found
                .0
                .extend(findings.iter().filter_map(|finding| named(finding, &judged.text)));
        }
        for piece in &pieces {
            self.found.add(judged.format, &judged.text[piece.range.clone()]);
            self.marks.push(Mark {
                policy: policy.to_owned(),
                rule: piece.rule().unwrap_or("removed").to_owned(),
                line: 1 + judged.text[..piece.range.start].matches('\n').count(),
                at: moved(piece.range.start, &pieces),
            });
        }
        if judged.format == Format::Text {
            let seen = self.found.sightings().ranges(&judged.text);
            self.has_rests |= pieces.iter().any(|piece| crosses(&seen, &piece.range));
        }
        let text = without(&judged.text, &pieces);
        self.judged = judged.with_text(text);
        Ok(pieces)
    }

    /// Cuts at most so many pieces out of the last text, without what was found in it; pointers too, since names of members
    /// may be what was found. Where the guard objects to what stands around a piece, nothing of that is kept; nor is any where
    /// the rest of a secret may stand there.
    pub(super) fn kept(&self, pieces_max: usize, guard: &Guard) -> Vec<Kept> {
        if pieces_max == 0 || self.marks.is_empty() {
            return Vec::new();
        }
        let text = &self.judged.text;
        let hidden = self.found.sightings().ranges(text);
        let marks = self.marks.iter().take(pieces_max);
        marks
            .map(|mark| {
                let marker = marker_at(text, mark.at);
                // Lines may be as long as files.
                let from = text.floor_char_boundary(marker.start.saturating_sub(BYTES_AROUND));
                let to = text.ceil_char_boundary(marker.end.saturating_add(BYTES_AROUND));
                let head = text[from..marker.start]
                    .rfind('\n')
                    .map_or(from, |at| from + at + 1);
                let tail = text[marker.end..to].find('\n').map_or(to, |at| marker.end + at);
                let head = without_hidden(text, head..marker.start, &hidden);
                let tail = without_hidden(text, marker.end..tail, &hidden);
                let objects = |text: &str| guard.check_text(text).is_some();
                let is_secret = self.cut.is_some()
                    || self.has_rests
                    || objects(&head)
                    || objects(&tail)
                    || objects(&format!("{head}{tail}"));
                let keep = |text: String| if is_secret { HIDDEN.to_owned() } else { text };
                let pointer = self.pointer_at(mark.at);
                let is_pointer_secret = guard.check_name(&pointer).is_some();
                Kept {
                    policy: mark.policy.clone(),
                    rule: mark.rule.clone(),
                    pointer: if is_pointer_secret {
                        HIDDEN.to_owned()
                    } else {
                        pointer
                    },
                    line: mark.line,
                    head: keep(head),
                    marker: text[marker].to_owned(),
                    tail: keep(tail),
                }
            })
            .collect()
    }

    fn pointer_at(&self, at: usize) -> String {
        let Judged {
            format,
            text,
            document,
            ..
        } = &self.judged;
        let leaf = walk::leaf_at(*format, text, at).ok().flatten();
        let leaf = leaf.and_then(|leaf| document.leaves.get(leaf));
        leaf.map_or("", |leaf| leaf.pointer).to_owned()
    }
}

/// Returns a piece of a text without what is to be hidden; of what reaches into the piece nothing is left either.
fn without_hidden(text: &str, piece: Range<usize>, hidden: &[Range<usize>]) -> String {
    let (mut shown, mut at) = (String::new(), piece.start);
    let first = hidden.partition_point(|range| range.end <= piece.start);
    for range in hidden[first..].iter().take_while(|range| range.start < piece.end) {
        shown.push_str(&text[at..range.start.max(at)]);
        shown.push_str(HIDDEN);
        at = range.end.min(piece.end);
    }
    shown.push_str(&text[at..piece.end]);
    shown
}

/// Returns what a finding in a text without members or cells names.
fn named(finding: &Finding, text: &str) -> Option<String> {
    let named = match &finding.target {
        Target::Whole => text,
        Target::Bytes { start, end } => text.get(*start..*end)?,
        Target::Literal(literal) => literal,
    };
    (!named.trim().is_empty()).then(|| named.to_owned())
}

/// Says whether one of these ranges, which are ascending and apart, is cut by an end of another.
fn crosses(ranges: &[Range<usize>], other: &Range<usize>) -> bool {
    [other.start, other.end].into_iter().any(|border| {
        let next = ranges.partition_point(|range| range.end <= border);
        ranges.get(next).is_some_and(|range| range.start < border)
    })
}

/// Returns the marker that begins at `at`, with the quotes that it was given.
fn marker_at(text: &str, at: usize) -> Range<usize> {
    let end = text[at..].find(']').map_or(at, |end| at + end + 1);
    let bytes = text.as_bytes();
    let quote = bytes.get(at).filter(|byte| matches!(byte, b'"' | b'\''));
    let is_closed = quote.is_some() && bytes.get(end) == quote;
    at..end + usize::from(is_closed)
}

/// Says why the guard would withhold an object: for a secret that no policy touched, or of which one took a piece.
pub(super) fn not_whole(rule: &str) -> String {
    format!("the guard finds a secret ({rule}) that does not go whole")
}

/// Returns a text without what a terminal would act on.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Returns the name of a file as it can stand in a line: what a terminal would act on is escaped.
pub(super) fn escaped(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
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
        guard::KnownSecrets,
        marker::TagKey,
        redaction::SecretsMode,
    };

    #[test]
    fn names_of_files_do_nothing_to_a_terminal() {
        assert_eq!(
            escaped("a\nb\u{1b}[31mc\u{9b}d é/x.txt"),
            "a\\nb\\u{1b}[31mc\\u{9b}d é/x.txt"
        );
    }

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
        let guard = Guard::new(&KnownSecrets::new());
        let found = passage.found.sightings();
        let kept = passage.kept(10, &guard).into_iter();
        let shown: Vec<String> = kept.map(|piece| format!("{:?}", piece.shown(&found))).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown[1].contains("/note"), "{shown:?}");
        assert!(!shown.concat().contains("CUST-1"), "{shown:?}");
        assert_eq!(passage.kept(1, &guard).len(), 1);
    }

    /// Finds a text where it stands first and nowhere else, as a policy does that knows it by the name beside it.
    fn first_of(judged: &Judged, text: &str) -> Vec<Finding> {
        let leaves = 0..judged.document.leaves.len();
        let has = |leaf: &usize| {
            judged
                .document
                .leaves
                .get(*leaf)
                .is_some_and(|leaf| leaf.value.contains(text))
        };
        let leaf = leaves.into_iter().find(has).expect("it is there");
        let start = judged
            .document
            .leaves
            .get(leaf)
            .expect("it is there")
            .value
            .find(text);
        let start = start.expect("it is there");
        vec![Finding {
            leaf,
            target: Target::Bytes {
                start,
                end: start + text.len(),
            },
            rule: RuleId::parse("secret").expect("a rule"),
        }]
    }

    #[test]
    fn what_was_found_is_hidden_wherever_it_stands_again_even_where_it_would_be_cut() {
        let secret = "Xk7vR2mp\"Qz";
        let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
        let guard = Guard::new(&KnownSecrets::new());
        // Beyond the marker, at each distance from where the text is cut.
        for distance in 0..60 {
            for (path, secret) in [("a.py", secret), ("a.json", "Xk7vR2mp\\\"Qz")] {
                let quiet = "-".repeat(distance);
                let text = match path {
                    "a.py" => format!("{secret}{quiet} {secret}x = {secret}{quiet}{secret}"),
                    _ => format!("{{\"{secret}\": \"{quiet}{secret}\", \"b{secret}\": 1}}"),
                };
                let judged = Judged::new(path, text);
                let findings = first_of(&judged, "Xk7vR2mp\"Qz");
                let mut passage = Passage::new(judged);
                passage.apply("p", &findings, &redaction).expect("they fit");
                let found = passage.found.sightings();
                for piece in passage.kept(10, &guard) {
                    let lines = piece.shown(&found).lines("");
                    assert!(!lines.contains("Xk7") && !lines.contains("Qz"), "{lines}");
                }
            }
        }
    }

    #[test]
    fn what_another_file_tells_is_hidden_too() {
        let judged = Judged::new("a.py", "one two hidden-in-another-file".to_owned());
        let mut passage = Passage::new(judged.clone());
        let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
        let findings = first_of(&judged, "one");
        passage.apply("p", &findings, &redaction).expect("it fits");
        let mut found = Found::default();
        found.add(Format::Text, "hidden-in-another-file");
        let guard = Guard::new(&KnownSecrets::new());
        let kept = passage.kept(1, &guard).pop().expect("one piece");
        let shown = kept.shown(&found.sightings());
        assert_eq!(shown.before, format!("{HIDDEN} two {HIDDEN}"));
    }

    #[test]
    fn what_the_guard_objects_to_is_not_shown_around_a_piece() {
        let mut known = KnownSecrets::new();
        known.add_plaintext("Known-From-Elsewhere-1");
        let judged = Judged::new("a.py", "one two Known-From-Elsewhere-1".to_owned());
        let mut passage = Passage::new(judged.clone());
        let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
        let findings = first_of(&judged, "one");
        passage.apply("p", &findings, &redaction).expect("it fits");
        let kept = passage.kept(1, &Guard::new(&known)).pop().expect("one piece");
        let shown = kept.shown(&passage.found.sightings());
        assert_eq!(shown.before, HIDDEN.repeat(3));
    }
}
