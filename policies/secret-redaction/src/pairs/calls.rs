//! The literals of a call's arguments.

use super::{GAP_MAX, judge_at, quoted, skip_blank};
use crate::alphabet::{DOT, WORD};
use crate::keys::Strength;
use crate::scan::Hit;
use crate::shape::Join;

/// Reads the literal at a place of a call's arguments, where `open` is the place of `(`.
pub(crate) fn read_call(text: &str, open: usize, place: usize, strength: Strength) -> Option<Hit> {
    let value = quoted(text, argument(text, open, place)?)?;
    judge_at(text, strength, Join::Quoted, "", value)
}

/// Judges the second literal of `('user', 'password')`.
pub(super) fn second_literal(text: &str, open: usize) -> Option<Hit> {
    read_call(text, open, 2, Strength::Password)
}

/// Judges the last literal of a call such as `set_password('user', 'password')`.
pub(super) fn last_literal(text: &str, open: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let last = (1..=3)
        .rev()
        .find_map(|place| quoted(text, argument(text, open, place)?))?;
    let end = skip_blank(bytes, last.end + 1);
    (bytes.get(end) == Some(&b')')).then(|| judge_at(text, Strength::Password, Join::Quoted, "", last))?
}

/// Returns where an argument of a call begins, the first of which is 1; those before it are literals or names.
fn argument(text: &str, open: usize, place: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let skip = |from: usize| {
        let limit = bytes.len().min(from + GAP_MAX);
        (from..limit)
            .find(|&at| !bytes[at].is_ascii_whitespace())
            .unwrap_or(limit)
    };
    let mut start = skip(open + 1);
    for _ in 1..place {
        let end = match quoted(text, start) {
            Some(literal) => literal.end + 1,
            None => WORD.or(DOT).run(bytes, start, 64),
        };
        let comma = skip_blank(bytes, end);
        if bytes.get(comma) != Some(&b',') {
            return None;
        }
        start = skip(comma + 1);
    }
    Some(start)
}
