//! The literals of a call's arguments.

use super::{GAP_MAX, judge_at, quoted, rule_for, skip_blank};
use crate::alphabet::{DOT, WORD, variety};
use crate::commands::Call;
use crate::keys::Strength;
use crate::scan::Hit;
use crate::shape::Join;
use std::ops::Range;

/// Reads the literal at a place of a call's arguments, where `open` is the place of `(`.
pub(crate) fn read_call(text: &str, open: usize, call: &Call) -> Option<Hit> {
    judge_argument(text, open, call.place, call.strength, call.join)
}

fn judge_argument(text: &str, open: usize, place: usize, strength: Strength, join: Join) -> Option<Hit> {
    let value = quoted(text, argument(text, open, place)?)?;
    judge_at(text, strength, join, "", value)
}

/// Judges the second literal of `('user', 'password')`.
pub(super) fn second_literal(text: &str, open: usize) -> Option<Hit> {
    judge_argument(text, open, 2, Strength::Password, Join::Quoted)
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

/// Judges the value of a constant of PHP that is a key or a salt: `define('AUTH_KEY', '…')`, 64 signs of all kinds.
pub(super) fn php_constant(text: &str, name: &Range<usize>) -> Option<Hit> {
    let bytes = text.as_bytes();
    let before = &bytes[name.start.checked_sub(1)?.saturating_sub("define(".len())..name.start - 1];
    let is_constant = before.eq_ignore_ascii_case(b"define(")
        && ["_KEY", "_SALT"]
            .iter()
            .any(|end| text[name.clone()].ends_with(end));
    if !is_constant {
        return None;
    }
    let comma = skip_blank(bytes, name.end + 1);
    let value = quoted(
        text,
        (bytes.get(comma) == Some(&b',')).then(|| skip_blank(bytes, comma + 1))?,
    )?;
    let count = |kind: fn(&u8) -> bool| bytes[value.clone()].iter().filter(|byte| kind(byte)).count();
    let is_noise = value.len() >= 40
        && count(u8::is_ascii_digit) >= 2
        && count(u8::is_ascii_punctuation) >= 4
        && count(u8::is_ascii_whitespace) <= 4
        && variety(&bytes[value.clone()]) >= 20;
    is_noise.then_some(Hit {
        range: value,
        rule: rule_for(Strength::Secret),
    })
}

/// Returns where the argument of what fills in a field begins, behind the call that finds it: `….send_keys('…')`.
pub(super) fn filled_in(bytes: &[u8], close: usize) -> Option<usize> {
    [").send_keys(", ").fill(", ").type("]
        .iter()
        .find(|call| bytes[close..].starts_with(call.as_bytes()))
        .map(|call| close + call.len())
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
        // OLE DB's strings part theirs with another sign.
        if !matches!(bytes.get(comma), Some(b',' | b';')) {
            return None;
        }
        start = skip(comma + 1);
    }
    Some(start)
}
