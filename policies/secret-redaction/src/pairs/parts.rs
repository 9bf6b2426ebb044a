//! Which part of a value goes whose name promises a secret, and which is not one itself.

use crate::alphabet::{DASH, LETTER};
use crate::keys::Strength;
use crate::shape::{self, Join};
use std::ops::Range;

/// What every secret begins with that Jenkins has encrypted, with a key beside it.
const JENKINS: &str = "AQAAABAAAA";
/// Shortest noise that goes of a value of several words, in bytes.
const NOISE_MIN: usize = 16;

/// Judges a value under a name with no syntax between: a member, a cell, a sibling. Returns the part that goes.
pub(crate) fn judge(strength: Strength, join: Join, name: &str, value: &str) -> Option<Range<usize>> {
    let trimmed = value.trim();
    let from = value.len() - value.trim_start().len();
    let shifted = |part: Range<usize>| from + part.start..from + part.end;
    if strength == Strength::Weak && is_cookie(name) {
        return noise_among(|char| char.is_whitespace() || matches!(char, ';' | '='), trimmed).map(shifted);
    }
    if shape::is_secret(strength, join, name, trimmed) {
        return Some(shifted(0..trimmed.len()));
    }
    let braced = trimmed
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'));
    if braced.is_some_and(|inner| inner.starts_with(JENKINS) && shape::is_opaque(inner.as_bytes(), 24)) {
        return Some(shifted(0..trimmed.len()));
    }
    if !matches!(strength, Strength::Secret | Strength::Weak) {
        return None;
    }
    let is_certain = matches!(join, Join::Member | Join::Quoted | Join::Certain | Join::Cell);
    let part = after_scheme(join, name, trimmed).or_else(|| {
        let several = is_certain && strength == Strength::Secret && trimmed.contains(char::is_whitespace);
        several.then(|| noise_among(|char| char.is_whitespace() || matches!(char, '{' | '}'), trimmed))?
    });
    part.map(shifted)
}

/// Says whether a name is that of the header with cookies, or of one.
pub(crate) fn is_cookie(name: &str) -> bool {
    let end = name
        .len()
        .checked_sub("cookie".len())
        .and_then(|at| name.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case("cookie"))
}

/// `Token abc…`, `SSWS abc…`: the scheme stays.
fn after_scheme(join: Join, name: &str, value: &str) -> Option<Range<usize>> {
    let (scheme, token) = value.split_once(' ')?;
    let is_word = ["see", "in", "from", "use", "via", "ask", "not", "viz"].contains(&scheme);
    let is_scheme = !is_word && scheme.len() <= 20 && LETTER.or(DASH).all(scheme.as_bytes());
    let opaque = is_scheme && !token.contains(' ') && shape::is_secret(Strength::Secret, join, name, token);
    opaque.then(|| value.len() - token.len()..value.len())
}

/// Returns from the first word to the last that is noise, of several: `{acme 7c9e…}`, `sid=7c9e…; path=/`.
fn noise_among(ends_word: impl Fn(char) -> bool, value: &str) -> Option<Range<usize>> {
    if value.len() > shape::VALUE_MAX {
        return None;
    }
    let mut noise: Option<Range<usize>> = None;
    let mut start = 0;
    for word in value.split(ends_word) {
        if word.len() >= NOISE_MIN && is_noise(word) {
            let first = noise.map_or(start, |noise| noise.start);
            noise = Some(first..start + word.len());
        }
        // What ends words is one byte long, but for white space that nobody writes between tokens.
        start = (start + word.len() + 1).min(value.len());
        while !value.is_char_boundary(start) {
            start += 1;
        }
    }
    noise
}

fn is_noise(word: &str) -> bool {
    let bytes = word.as_bytes();
    (shape::is_hex_or_uuid(bytes)
        || (bytes.iter().any(u8::is_ascii_digit) && shape::is_opaque(bytes, NOISE_MIN)))
        && shape::is_secret(Strength::Secret, Join::Prose, "", word)
}
