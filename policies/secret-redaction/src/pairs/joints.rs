//! Values that code puts together or chooses: `"Bearer " + "…"`, `"token {}".format("…")`, `… else "…"`, `"…" -> token`.

use super::{around, skip_blank};
use crate::alphabet::WORD;
use std::ops::Range;

/// Furthest place on its line that the other part may have, in bytes.
const REACH: usize = 120;

fn is_quote(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b'"' | b'\''))
}

/// Returns where the literal begins that is joined to the one whose closing quote is at `quote`, or is filled into it.
pub(super) fn behind(bytes: &[u8], quote: usize) -> Option<usize> {
    if !is_quote(bytes.get(quote)) {
        return None;
    }
    let sign = skip_blank(bytes, quote + 1);
    let joints: [&[u8]; 6] = [b".format(", b"||", b"+", b".", b"% (", b"%"];
    let joint = joints.iter().find(|joint| bytes[sign..].starts_with(joint))?;
    let literal = skip_blank(bytes, sign + joint.len());
    is_quote(bytes.get(literal)).then_some(literal)
}

/// Returns where the literal begins that is chosen otherwise, on the same line: `… if … else "…"`.
pub(super) fn otherwise(bytes: &[u8], from: usize) -> Option<usize> {
    let line = bytes.get(from..bytes.len().min(from + REACH))?;
    let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
    let at = memchr::memmem::find(line, b" else ")?;
    let literal = skip_blank(bytes, from + at + " else ".len());
    (memchr::memmem::find(&line[..at], b" if ").is_some() && is_quote(bytes.get(literal))).then_some(literal)
}

/// Returns the literal that R assigns to the name behind it: `"…" -> token`.
pub(super) fn to_the_right(bytes: &[u8], name: usize) -> Option<Range<usize>> {
    let blanks = |end: usize| {
        let before = bytes[..end].iter().rev();
        end - before.take_while(|byte| **byte == b' ').take(REACH).count()
    };
    let before = &bytes[..blanks(name)];
    let arrow = ["->>", "->"]
        .iter()
        .find_map(|arrow| before.strip_suffix(arrow.as_bytes()))?
        .len();
    let close = blanks(arrow).checked_sub(1)?;
    let quote = *bytes.get(close)?;
    if !is_quote(Some(&quote)) {
        return None;
    }
    let floor = close.saturating_sub(REACH);
    let open = (floor..close)
        .rev()
        .find(|&at| bytes[at] == quote || bytes[at] == b'\n')?;
    (bytes[open] == quote && open + 1 < close).then_some(open + 1..close)
}

/// Says whether what is called is only a name that people write before a value in parentheses: `pwd(…)`, `/heslo(…)`.
pub(super) fn is_note(bytes: &[u8], name: &Range<usize>) -> bool {
    let is_name = ["pwd", "pw", "password", "heslo"]
        .iter()
        .any(|word| word.len() == name.len() && around::starts_with(bytes, name.start, word));
    let before = name.start.checked_sub(1).map(|at| bytes[at]);
    is_name && before.is_none_or(|byte| !WORD.has(byte) && byte != b'.')
}
