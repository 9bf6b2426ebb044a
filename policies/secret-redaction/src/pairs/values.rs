//! Where a value ends: a literal, a word of a command or an assignment, a word of a sentence.

use super::BARE_MAX;
use crate::alphabet::{DASH, DIGIT, LETTER, TOKEN, URL64, WORD};
use crate::shape::{self, VALUE_MAX};
use std::ops::Range;

/// Furthest end of a word behind the sign that is in it, in bytes.
const WORD_MAX: usize = 64;
/// Longest indentation of a line, in bytes.
const INDENT_MAX: usize = 24;
/// Bytes of a line that are looked at for the border of a cell.
const LINE_MAX: usize = 120;

/// Returns the inside of the literal that begins at `at`, on one line; its quotes may be escaped.
pub(super) fn quoted(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut place = at;
    // Prefixes of literals in SQL and Python.
    if matches!(
        bytes.get(place),
        Some(b'N' | b'n' | b'E' | b'b' | b'r' | b'f' | b'u')
    ) && matches!(bytes.get(place + 1), Some(b'"' | b'\''))
    {
        place += 1;
    }
    if matches!(bytes.get(place), Some(0xE2 | 0xC2 | b'$')) {
        return in_other_quotes(text, place);
    }
    let escapes = bytes[place.min(bytes.len())..]
        .iter()
        .take(8)
        .take_while(|&&byte| byte == b'\\')
        .count();
    let quote = *bytes.get(place + escapes)?;
    if !matches!(quote, b'"' | b'\'' | b'`') {
        return None;
    }
    let mut start = place + escapes + 1;
    // `"""…"""`
    let is_triple = escapes == 0 && bytes[start..].starts_with(&[quote, quote]);
    if is_triple {
        start += 2;
    }
    // A literal inside a literal: `'"…"'`.
    let inner = bytes
        .get(start)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\'') && *byte != quote);
    let quote = inner.unwrap_or(quote);
    start += usize::from(inner.is_some());
    let limit = bytes.len().min(start + VALUE_MAX + 1);
    let mut end = start;
    while end < limit {
        match bytes[end] {
            b'\n' | b'\r' => return None,
            b'\\' if escapes == 0 => end += 1,
            // `'it''s'` of SQL and YAML.
            b'\''
                if quote == b'\''
                    && escapes == 0
                    && !is_triple
                    && end > start
                    && bytes.get(end + 1) == Some(&b'\'')
                    && bytes.get(end + 2).is_some_and(|&next| WORD.has(next)) =>
            {
                end += 1;
            }
            byte if byte == quote => {
                // An escaped literal ends at a quote with as many escapes.
                let escaped = bytes[start..end]
                    .iter()
                    .rev()
                    .take_while(|&&byte| byte == b'\\')
                    .count();
                if escaped <= escapes {
                    return (end - escaped >= start && end - escaped > start).then(|| start..end - escaped);
                }
            }
            _ => {}
        }
        end += 1;
    }
    None
}

/// Quotes of print, and those of Snowflake and PostgreSQL.
const OTHER_QUOTES: [(&str, &[&str]); 6] = [
    ("„", &["“", "”"]),
    ("“", &["”", "“"]),
    ("‚", &["‘", "’"]),
    ("‘", &["’"]),
    ("«", &["»"]),
    ("$$", &["$$"]),
];

fn in_other_quotes(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let (open, ends) = OTHER_QUOTES.iter().find(|(open, _)| rest.starts_with(open))?;
    let start = at + open.len();
    let limit = text.len().min(start + VALUE_MAX);
    let line = text.as_bytes().get(start..limit)?;
    let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
    let end = ends
        .iter()
        .filter_map(|end| memchr::memmem::find(line, end.as_bytes()))
        .min()?;
    (end > 0).then(|| start..start + end)
}

/// Returns the value without quotes that begins at `at`.
pub(super) fn bare(text: &str, at: usize, in_text: bool) -> Range<usize> {
    let bytes = text.as_bytes();
    if bytes.get(at) == Some(&b'{') && bytes.get(at + 1) != Some(&b'{') {
        // `Pwd={a;b}` of connection strings.
        let limit = bytes.len().min(at + BARE_MAX);
        if let Some(end) =
            memchr::memchr2(b'}', b'\n', &bytes[at..limit]).filter(|&end| bytes[at + end] == b'}')
        {
            return at..at + end + 1;
        }
    }
    let limit = bytes.len().min(at + BARE_MAX);
    let mut end = at;
    let mut open = 0_usize;
    let mut templates = 0_usize;
    while end < limit {
        let byte = bytes[end];
        let next = bytes.get(end + 1).copied().unwrap_or_default();
        match byte {
            b'{' => templates += 1,
            b'}' if templates > 0 => templates -= 1,
            b'(' => open += 1,
            b')' if open > 0 => open -= 1,
            b' ' if templates > 1 => {}
            b'<' if end == at => {}
            b'>' if bytes.get(at) == Some(&b'<') => {}
            b'"' | b'\'' if open > 0 => {}
            b'|' if is_number_before_noise(bytes, at, end) => {}
            b'\\' if matches!(next, b'n' | b'r' | b't' | b'"' | b'\'' | b'\\') => break,
            b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'<' | b'>' | b'|'
            | b')' | b'}' => break,
            _ => {}
        }
        end += 1;
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // The end of a sentence is not the end of a password.
    while in_text && end > at && end - at < BARE_MAX && matches!(bytes[end - 1], b'.' | b':') {
        end -= 1;
    }
    at..end
}

/// Returns the value of a header: up to a quote or the end of the line.
pub(super) fn header_line(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'"' | b'\'' | b'`' | b'\\');
    let limit = bytes.len().min(at + 2 * BARE_MAX);
    let mut end = bytes[at..limit]
        .iter()
        .position(ends)
        .map_or(limit, |end| at + end);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    at..end
}

/// Returns the text of an element from `at` on, where it ends on its line.
pub(super) fn element(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text.as_bytes().get(at..)?;
    let rest = &rest[..rest.len().min(BARE_MAX)];
    let end = memchr::memchr2(b'<', b'\n', rest)?;
    rest[end..].starts_with(b"</").then_some(at..at + end)
}

/// Returns where a secret ends that was read up to its longest: half a token that stays is a token.
pub(super) fn whole_end(text: &str, value: &Range<usize>) -> usize {
    if value.len() < BARE_MAX {
        value.end
    } else {
        TOKEN.run(text.as_bytes(), value.end, usize::MAX)
    }
}

/// `38|HXbPULb7…`: the number of a token before it.
fn is_number_before_noise(bytes: &[u8], from: usize, sign: usize) -> bool {
    let number = &bytes[from..sign];
    (1..=18).contains(&number.len()) && DIGIT.all(number) && URL64.run(bytes, sign + 1, 20) == sign + 21
}

/// Returns the whole of a password that was read up to a sign which passwords have, too: up to the end of its part in a connection string, of its
/// line where it stands alone there, of its word in a sentence.
pub(super) fn whole_password(
    text: &str,
    name: &Range<usize>,
    value: &Range<usize>,
    in_prose: bool,
) -> Range<usize> {
    let bytes = text.as_bytes();
    if bytes
        .get(value.end)
        .is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'\\')
    {
        value.clone()
    } else if name.start > 0 && bytes[name.start - 1] == b';' {
        part_of_connection(text, value)
    } else if let Some(word) = word_of_settings(text, name, value) {
        word
    } else if let Some(line) = alone_on_line(text, name, value) {
        line
    } else if in_prose {
        whole_word(text, value)
    } else {
        value.clone()
    }
}

/// `host=h password=Xk7&mQ2p sslmode=require`: up to the next blank, where pairs are parted by nothing else.
fn word_of_settings(text: &str, name: &Range<usize>, value: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let before = bytes[..name.start].strip_suffix(b" ")?;
    let pair = &before[before.len().saturating_sub(WORD_MAX)..];
    let pair = &pair[memchr::memrchr(b' ', pair).map_or(0, |blank| blank + 1)..];
    let limit = bytes.len().min(value.end + WORD_MAX);
    let rest = &bytes[value.end..limit];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b' ' | b'"' | b'\'' | b'\n' | b'\\'))
        .unwrap_or(rest.len());
    let is_joint = bytes[name.end..].starts_with(b"=") && value.start == name.end + 1;
    let is_of_pairs = pair.contains(&b'=') && !pair.contains(&b'&') && !rest[..end].contains(&b'=');
    let closing = rest[..end]
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b';' | b',' | b'.' | b')'))
        .count();
    let mut end = value.end + end - closing;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (is_joint && is_of_pairs).then_some(value.start..end.max(value.end))
}

/// `;Pwd=Xk7&mQ2p;`: only what parts the others ends it.
fn part_of_connection(text: &str, value: &Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let limit = bytes.len().min(value.end + WORD_MAX);
    let ends =
        |&byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b';' | b'"' | b'\'' | b'`' | b'<' | b'\\');
    let end = bytes[value.end..limit]
        .iter()
        .position(ends)
        .map(|end| value.end + end);
    let joins_more =
        matches!(bytes[value.end], b'&' | b',') && bytes[value.end..end.unwrap_or(limit)].contains(&b'=');
    match end {
        Some(end) if !joins_more && bytes[end] == b';' => value.start..end,
        None if !joins_more && limit == bytes.len() => value.start..limit,
        _ => value.clone(),
    }
}

/// Returns the word of `NAME=word`, where the line has nothing else.
fn alone_on_line(text: &str, name: &Range<usize>, value: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let indent = bytes[name.start.saturating_sub(INDENT_MAX)..name.start]
        .iter()
        .rev();
    let marks = indent
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'-' | b'*'))
        .count();
    let head = &bytes[..name.start - marks];
    let is_first =
        head.last().is_none_or(|&byte| byte == b'\n') || head.ends_with(b"\nexport") || head == b"export";
    let limit = bytes.len().min(value.end + WORD_MAX);
    let rest = &bytes[value.end..limit];
    let end = rest
        .iter()
        .position(u8::is_ascii_whitespace)
        .map_or(limit, |end| value.end + end);
    if !is_first || !matches!(bytes.get(end), None | Some(b'\n' | b'\r')) {
        return None;
    }
    // More pairs, an expression or an element.
    let word = WORD.or(DASH).run(rest, 1, 48);
    let joins_more = word > 1 && matches!(rest.get(word), Some(b'=' | b':'));
    let is_other = |pair: &[u8]| {
        matches!(
            pair,
            b"</" | b"->" | b"=>" | b"||" | b"()" | b"$(" | b"${" | b"{{" | b"\\n"
        )
    };
    if joins_more || rest[0] == b'[' || rest[..end - value.end].windows(2).any(is_other) {
        return None;
    }
    let closes = |byte: &u8| {
        matches!(
            byte,
            b',' | b';' | b')' | b'}' | b']' | b'"' | b'\'' | b'`' | b'*'
        )
    };
    let closing = bytes[value.end..end]
        .iter()
        .rev()
        .take_while(|byte| closes(byte))
        .count();
    Some(value.start..end - closing)
}

/// Returns a word that has signs which end a value elsewhere, where such a word is nothing but a password; none in a row of a table.
pub(super) fn odd_word(text: &str, value: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let ends = |&byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'\\');
    let limit = bytes.len().min(value.start + WORD_MAX);
    let word = &bytes[value.start..limit];
    let mut end = value.start + word.iter().position(ends).unwrap_or(word.len());
    if end > value.start && matches!(bytes[end - 1], b'.' | b',' | b';' | b':' | b')') {
        end -= 1;
    }
    // A call's parenthesis is closed.
    let is_call = |word: &str| word.contains('(') && bytes.get(end) == Some(&b')');
    let word = text
        .get(value.start..end)
        .filter(|word| shape::is_made_up_with_odd_signs(word) && !is_call(word))?;
    let line = &bytes[value.start.saturating_sub(LINE_MAX)..value.start];
    let line = &line[memchr::memrchr(b'\n', line).map_or(0, |end| end + 1)..];
    (!word.contains('|') || !line.contains(&b'|')).then_some(value.start..end)
}

/// Returns a word up to the next white space or quote, where the value that was read of it ends at a sign that passwords have, too.
/// It stays as it was where the sign joins something else to it, or ends an element.
pub(super) fn whole_word(text: &str, value: &Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let stays = || value.clone();
    let Some((&sign, rest)) = bytes.get(value.end..).and_then(<[u8]>::split_first) else {
        return stays();
    };
    let next = rest.first().copied().unwrap_or_default();
    let name = WORD.or(DASH).run(rest, 0, 48);
    let is_joint = name > 0 && matches!(rest.get(name), Some(b'=' | b':'));
    let joins_more = match sign {
        b'&' => is_joint || matches!(rest.get(name), Some(b';')) || next == b'&' || next == b'#',
        b';' | b',' => is_joint,
        // Not the border of a table's cell.
        b'|' => {
            let line = &bytes[value.start.saturating_sub(LINE_MAX)..value.start];
            let line = &line[line
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |end| end + 1)..];
            is_joint || next == b'|' || line.contains(&b'|')
        }
        b'<' => LETTER.has(next) || matches!(next, b'/' | b'!'),
        b'>' => matches!(bytes[value.end - 1], b'-' | b'='),
        _ => true,
    };
    if joins_more
        || !next.is_ascii_graphic()
        || matches!(next, b'"' | b'\'' | b'`' | b'\\' | b'[' | b'{' | b'(')
    {
        return stays();
    }
    let ends = |&byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'\\');
    let limit = bytes.len().min(value.end + WORD_MAX);
    let mut end = bytes[value.end..limit]
        .iter()
        .position(ends)
        .map_or(limit, |end| value.end + end);
    // An element ends the word.
    let is_tag = |at: usize| {
        bytes[at] == b'<'
            && bytes
                .get(at + 1)
                .is_some_and(|&byte| LETTER.has(byte) || byte == b'/')
    };
    end = (value.end..end).find(|&at| is_tag(at)).unwrap_or(end);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if matches!(bytes[end - 1], b'.' | b',' | b';' | b':' | b')') {
        end -= 1;
    }
    value.start..end.max(value.end)
}
