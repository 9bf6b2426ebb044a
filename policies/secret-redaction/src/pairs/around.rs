//! Where a value stands that no sign joins to its name: in markup, in a declaration, as the default of a look-up, in a pair of
//! its own, inside a call that only wraps it.

use super::{judge_at, quoted, skip_blank};
use crate::alphabet::{DASH, DIGIT, DOT, LETTER, WORD};
use crate::keys::{self, Strength};
use crate::scan::Hit;
use crate::shape::Join;
use std::ops::Range;

/// Furthest place after a name, on its line, that its value may have, in bytes.
const REACH: usize = 120;
/// Most literals of one list that are judged.
const LITERALS_MAX: usize = 64;

/// Says whether a word, in any case, is at a place.
pub(super) fn starts_with(bytes: &[u8], at: usize, word: &str) -> bool {
    let end = at + word.len();
    bytes
        .get(at..end)
        .is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// Skips blanks and ends of lines.
fn skip_white(bytes: &[u8], from: usize) -> usize {
    let limit = bytes.len().min(from + REACH);
    (from..limit)
        .find(|&at| !bytes[at].is_ascii_whitespace())
        .unwrap_or(limit)
}

/// Returns the place of a byte that is within reach on the same line.
fn find_on_line(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let limit = bytes.len().min(from + REACH);
    let end = bytes[from.min(limit)..limit]
        .iter()
        .position(|&byte| byte == wanted || byte == b'\n')?;
    (bytes[from + end] == wanted).then_some(from + end)
}

/// Returns where a value begins in XML or HTML, of which the name is a tag, an attribute's value, or the text of the element
/// before. `close` is the place behind the name and its quotes.
pub(super) fn in_markup(bytes: &[u8], name: &Range<usize>, close: usize, was_quoted: bool) -> Option<usize> {
    let before = *bytes.get(name.start.checked_sub(1)?)?;
    if was_quoted {
        let next = skip_blank(bytes, close);
        for attribute in ["value=", "val="] {
            if next > close && starts_with(bytes, next, attribute) {
                return Some(next + attribute.len());
            }
        }
        // `<property name="password">…`
        let line = &bytes[name.start.saturating_sub(REACH)..name.start];
        let opened = line.iter().rposition(|&byte| matches!(byte, b'<' | b'>' | b'\n'));
        let in_tag = opened.is_some_and(|at| line[at] == b'<');
        return (in_tag && bytes.get(close) == Some(&b'>')).then_some(close + 1);
    }
    let is_tag = before == b'<' || {
        let prefix = name.start - 1;
        let start = WORD.run_back(bytes, prefix, 32);
        before == b':' && start < prefix && start > 0 && bytes[start - 1] == b'<'
    };
    // `(?P<password>…)` is a group of a regular expression.
    let is_group = before == b'<' && bytes[..name.start - 1].ends_with(b"(?P");
    if is_tag && !is_group {
        let end = match bytes.get(close)? {
            b'>' => close,
            b' ' => find_on_line(bytes, close, b'>')?,
            _ => return None,
        };
        return (bytes[end - 1] != b'/').then_some(end + 1);
    }
    // `<key>password</key><value>…`
    if before == b'>' && starts_with(bytes, close, "</") {
        let end = find_on_line(bytes, close, b'>')?;
        let next = skip_white(bytes, end + 1);
        let is_element =
            bytes.get(next) == Some(&b'<') && bytes.get(next + 1).is_some_and(u8::is_ascii_alphabetic);
        if !is_element {
            return None;
        }
        let value = find_on_line(bytes, next, b'>')? + 1;
        // `<value><string>…` of XML-RPC.
        let typed = "<string>".len() * usize::from(starts_with(bytes, value, "<string>"));
        return Some(value + typed);
    }
    None
}

/// Returns the place behind the end of an element that a name is alone in, if a sign follows: `<b>Password</b>: …`.
pub(super) fn behind_end_tag(bytes: &[u8], close: usize) -> usize {
    if !starts_with(bytes, close, "</") {
        return close;
    }
    let end = LETTER.run(bytes, close + 2, 8);
    let sign = skip_blank(bytes, (end + 1).min(bytes.len()));
    let has_sign = bytes.get(end) == Some(&b'>') && matches!(bytes.get(sign), Some(b':' | b'='));
    if has_sign { end + 1 } else { close }
}

/// Returns where the literal of a declaration begins, whose type is at `at`: `NVARCHAR(50) = '…'`, `STRING DEFAULT '…'`.
pub(super) fn declared(bytes: &[u8], at: usize) -> Option<usize> {
    const TYPES: [&str; 12] = [
        "varchar",
        "nvarchar",
        "varchar2",
        "nvarchar2",
        "char",
        "nchar",
        "string",
        "text",
        "str",
        "sysname",
        "clob",
        "constant",
    ];
    let word = at..WORD.run(bytes, at, 16);
    if !TYPES
        .iter()
        .any(|kind| kind.len() == word.len() && starts_with(bytes, at, kind))
    {
        return None;
    }
    let mut place = word.end;
    if bytes.get(place) == Some(&b'(') {
        place = find_on_line(bytes, place, b')')? + 1;
    }
    place = skip_blank(bytes, place);
    for sign in [":=", "=", "default "] {
        if starts_with(bytes, place, sign) && bytes.get(place + sign.len()) != Some(&b'=') {
            return Some(skip_blank(bytes, place + sign.len()));
        }
    }
    None
}

/// Returns where the literal behind a type begins that is no single word: `str | None = "…"`, `&'static str = "…"`.
pub(super) fn typed(bytes: &[u8], at: usize) -> Option<usize> {
    let is_of_types = |byte: u8| {
        LETTER.or(DOT).or(DIGIT).has(byte)
            || matches!(
                byte,
                b'_' | b'[' | b']' | b'|' | b'&' | b'<' | b'>' | b'?' | b' ' | b'\''
            )
    };
    let limit = bytes.len().min(at + 48);
    let end = (at..limit).find(|&place| !is_of_types(bytes[place]))?;
    let begins = LETTER.has(bytes[at]) || bytes[at] == b'&';
    if !begins || end == at || bytes[end] != b'=' {
        return None;
    }
    let literal = skip_blank(bytes, end + 1);
    matches!(bytes.get(literal), Some(b'"' | b'\'')).then_some(literal)
}

/// Returns where the literal begins that stands for an expression without a value: `… or "…"`, `… || "…"`, `… ?? "…"`.
pub(super) fn alternative(bytes: &[u8], from: usize) -> Option<usize> {
    let mut place = skip_blank(bytes, from);
    while matches!(bytes.get(place), Some(b')' | b']')) {
        place = skip_blank(bytes, place + 1);
    }
    let sign = ["or ", "|| ", "?? "]
        .into_iter()
        .find(|sign| starts_with(bytes, place, sign))?;
    let literal = skip_blank(bytes, place + sign.len());
    matches!(bytes.get(literal), Some(b'"' | b'\'')).then_some(literal)
}

/// Returns where the value begins of a pair whose name was quoted and ends at `close`: `"name": "…", "value": "…"`, the default
/// of a look-up or an option, the default of a variable's block.
pub(super) fn in_pair(bytes: &[u8], close: usize) -> Option<usize> {
    let mut place = skip_white(bytes, close);
    match bytes.get(place)? {
        b',' => {}
        b'{' => {
            // Only the attributes before the end of the block.
            let limit = bytes.len().min(place + 2 * REACH);
            let block = &bytes[place..limit];
            let block = &block[..block.iter().position(|&byte| byte == b'}').unwrap_or(block.len())];
            let default = memchr::memmem::find(block, b"default")?;
            let sign = skip_blank(bytes, place + default + "default".len());
            return (bytes.get(sign) == Some(&b'=')).then(|| skip_blank(bytes, sign + 1));
        }
        _ => return None,
    }
    // The argument or member after the comma, or one further on.
    for _ in 0..3 {
        place = skip_white(bytes, place + 1);
        let quote = bytes
            .get(place)
            .copied()
            .filter(|byte| matches!(byte, b'"' | b'\''));
        let word = place + usize::from(quote.is_some());
        let end = WORD.run(bytes, word, 24);
        let named = [
            "value",
            "val",
            "default",
            "default_value",
            "defaultvalue",
            "content",
        ]
        .iter()
        .any(|name| name.len() == end - word && starts_with(bytes, word, name));
        let mut sign = end + usize::from(quote.is_some_and(|quote| bytes.get(end) == Some(&quote)));
        sign = skip_blank(bytes, sign);
        if end > word && matches!(bytes.get(sign), Some(b':' | b'=')) && bytes.get(sign + 1) != Some(&b'=') {
            if named {
                return Some(skip_blank(bytes, sign + 1));
            }
        } else if quote.is_none() {
            return None;
        }
        let limit = bytes.len().min(place + REACH);
        place = (place..limit).find(|&at| matches!(bytes[at], b',' | b')' | b'}' | b'\n'))?;
        if bytes[place] != b',' {
            return None;
        }
    }
    None
}

/// Returns where the value begins on the next line of YAML, beside `name: DB_PASSWORD`.
pub(super) fn on_next_line(bytes: &[u8], name: &Range<usize>, end: usize) -> Option<usize> {
    let line = &bytes[name.start.saturating_sub(24)..name.start];
    let is_name = ["name: ", "key: ", "name: \"", "key: \"", "name: '", "key: '"]
        .iter()
        .any(|member| line.ends_with(member.as_bytes()));
    let next = skip_white(bytes, end);
    (is_name && bytes[end..next].contains(&b'\n') && starts_with(bytes, next, "value:"))
        .then(|| skip_blank(bytes, next + 6))
}

/// Returns the literal before `AS name`.
pub(super) fn literal_before(bytes: &[u8], name: usize) -> Option<Range<usize>> {
    let quotes = bytes[..name]
        .iter()
        .rev()
        .take(2)
        .take_while(|byte| matches!(byte, b'"' | b'\\' | b'`' | b'['))
        .count();
    let blanks_before = |end: usize| {
        bytes[..end]
            .iter()
            .rev()
            .take_while(|byte| **byte == b' ')
            .count()
    };
    let mut end = (name - quotes).checked_sub(1)?;
    end = end.checked_sub(2).filter(|&at| starts_with(bytes, at, "as"))?;
    end -= blanks_before(end);
    // `CASE … THEN '…' END AS name`
    if let Some(at) = end.checked_sub(3).filter(|&at| starts_with(bytes, at, "end")) {
        end = at - blanks_before(at);
    }
    let close = end.checked_sub(1).filter(|&at| bytes[at] == b'\'')?;
    let floor = close.saturating_sub(REACH);
    let open = (floor..close)
        .rev()
        .find(|&at| matches!(bytes[at], b'\'' | b'\n'))?;
    (bytes[open] == b'\'' && open + 1 < close).then_some(open + 1..close)
}

/// Returns where the literal begins inside a call that only changes the form of a text: `str("…")`, `SecretStr("…")`.
pub(super) fn wrapped(bytes: &[u8], at: usize) -> Option<usize> {
    const WRAPPERS: [&str; 11] = [
        "str",
        "bytes",
        "string",
        "secretstr",
        "secret",
        "quote",
        "quote_plus",
        "b64decode",
        "decrypt",
        "unhexlify",
        "password",
    ];
    let end = WORD.or(DOT).run(bytes, at, 64);
    let last = bytes[at..end].rsplit(|&byte| byte == b'.').next()?;
    let known = WRAPPERS
        .iter()
        .any(|name| last.eq_ignore_ascii_case(name.as_bytes()));
    let open = known && bytes.get(end) == Some(&b'(');
    open.then(|| skip_blank(bytes, end + 1))
        .filter(|&literal| matches!(bytes.get(literal), Some(b'"' | b'\'' | b'b' | b'N' | b'f' | b'r')))
}

/// Judges the literals of a list, a tuple or a dictionary that begins at `open`, one after the other.
pub(super) fn listed(text: &str, strength: Strength, name: &str, open: usize, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let mut place = skip_white(bytes, open + 1);
    for _ in 0..LITERALS_MAX {
        let mut strength = Some(strength);
        // Not all of a tuple are secrets, and of what is listed under names of tokens most are names.
        let certain = bytes[open] == b'[' && strength == Some(Strength::Password);
        let mut join = if certain { Join::Quoted } else { Join::Listed };
        if bytes[open] == b'{' {
            let Some(key) = quoted(text, place) else { return };
            let sign = skip_blank(bytes, key.end + 1);
            if bytes.get(sign) != Some(&b':') {
                return;
            }
            place = skip_blank(bytes, sign + 1);
            strength = keys::strength(name, &text[key]);
            join = Join::Quoted;
        }
        let Some(literal) = quoted(text, place) else {
            return;
        };
        let after = skip_white(bytes, literal.end + 1);
        hits.extend(strength.and_then(|strength| judge_at(text, strength, join, name, literal)));
        if bytes.get(after) != Some(&b',') {
            return;
        }
        place = skip_white(bytes, after + 1);
    }
}

/// Returns where the literal begins that a name gets in an assignment of several: `user, password = "…", "…"`.
pub(super) fn unpacked(text: &str, name: &Range<usize>, close: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_of_names = |byte: u8| WORD.or(DOT).has(byte) || matches!(byte, b',' | b' ' | b'\t');
    let floor = name.start.saturating_sub(REACH);
    let start = (floor..name.start)
        .rev()
        .find(|&at| !is_of_names(bytes[at]))
        .map_or(floor, |at| at + 1);
    let place = bytes[start..name.start]
        .iter()
        .filter(|&&byte| byte == b',')
        .count();
    let limit = bytes.len().min(close + REACH);
    let sign = (close..limit).find(|&at| !is_of_names(bytes[at]))?;
    let is_list = place > 0 || bytes[close..sign].contains(&b',');
    if !is_list || bytes[sign] != b'=' || bytes.get(sign + 1) == Some(&b'=') {
        return None;
    }
    let mut literal = skip_blank(bytes, sign + 1);
    for _ in 0..place {
        let end = match quoted(text, literal) {
            Some(value) => value.end + 1,
            None => WORD.or(DOT).run(bytes, literal, 64),
        };
        let comma = skip_blank(bytes, end);
        if bytes.get(comma) != Some(&b',') {
            return None;
        }
        literal = skip_blank(bytes, comma + 1);
    }
    // As many values as names, of which the last ends the line: `f(a, password="x")` has names of its own.
    let is_more = place > 0 || {
        let value = quoted(text, literal)?;
        bytes.get(skip_blank(bytes, value.end + 1)) == Some(&b',')
    };
    (is_more && matches!(bytes.get(literal), Some(b'"' | b'\''))).then_some(literal)
}

/// Judges the values that a column gets: `INSERT INTO users (login, password) VALUES ('etl', '…'), …`.
pub(super) fn inserted(text: &str, strength: Strength, name: &Range<usize>, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let is_of_columns = |byte: u8| {
        WORD.or(DOT).has(byte)
            || matches!(byte, b',' | b'"' | b'`' | b'[' | b']' | b'\\')
            || byte.is_ascii_whitespace()
    };
    let next =
        (name.end..bytes.len().min(name.end + 8)).find(|&at| !is_of_columns(bytes[at]) || bytes[at] == b',');
    if next.is_none_or(|next| !matches!(bytes[next], b',' | b')')) {
        return;
    }
    let floor = name.start.saturating_sub(4 * REACH);
    let Some(open) = (floor..name.start).rev().find(|&at| !is_of_columns(bytes[at])) else {
        return;
    };
    let limit = bytes.len().min(name.end + 4 * REACH);
    let Some(close) = (name.end..limit).find(|&at| !is_of_columns(bytes[at])) else {
        return;
    };
    let values = skip_white(bytes, close + 1);
    if bytes[open] != b'(' || bytes[close] != b')' || !starts_with(bytes, values, "values") {
        return;
    }
    let commas = |part: Range<usize>| bytes[part].iter().filter(|byte| **byte == b',').count();
    let (column, last) = (commas(open..name.start), commas(open..close));
    let mut row = skip_white(bytes, values + "values".len());
    for _ in 0..ROWS_MAX {
        if bytes.get(row) != Some(&b'(') {
            return;
        }
        let mut place = skip_white(bytes, row + 1);
        for at in 0..=last {
            let literal = quoted(text, place);
            let end = match &literal {
                Some(literal) => literal.end + 1,
                None => WORD.or(DOT).or(DASH).run(bytes, place, 64),
            };
            if at == column {
                let judged = literal
                    .and_then(|literal| judge_at(text, strength, Join::Quoted, &text[name.clone()], literal));
                hits.extend(judged);
            }
            let sign = skip_white(bytes, end);
            match bytes.get(sign) {
                Some(b',') if at < last => place = skip_white(bytes, sign + 1),
                Some(b')') if at == last => row = sign + 1,
                // As many values as columns.
                _ => return,
            }
        }
        let next = skip_white(bytes, row);
        if bytes.get(next) != Some(&b',') {
            return;
        }
        row = skip_white(bytes, next + 1);
    }
}

/// Most rows of one statement that are judged.
const ROWS_MAX: usize = 32;

/// Says whether a name stands behind that of a user in one line, as in `.netrc`: `login etl password …`.
pub(super) fn is_behind_user(bytes: &[u8], name: usize) -> bool {
    let line = &bytes[name.saturating_sub(64)..name];
    // Nothing but the user's name between them.
    let mut words = line.rsplit(|&byte| byte == b' ');
    let (blank, user, word) = (words.next(), words.next(), words.next());
    let is_user = user.is_some_and(|user| {
        !user.is_empty()
            && user
                .iter()
                .all(|&byte| WORD.or(DOT).or(DASH).has(byte) || byte == b'@')
    });
    let names_user = word.is_some_and(|word| {
        let word = word.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        ["login", "user", "username"]
            .iter()
            .any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
    });
    blank.is_some_and(<[u8]>::is_empty) && is_user && names_user
}

/// Says whether a name is that of the only argument of a URL: who logs in says also as whom.
pub(super) fn is_only_argument(bytes: &[u8], name: usize, sign: usize) -> bool {
    let rest = &bytes[sign..bytes.len().min(sign + REACH)];
    let end = rest
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'&'));
    bytes[name - 1] == b'?' && end.is_none_or(|end| rest[end] != b'&')
}

/// Says whether a name is part of an Amazon resource name, which tells where a secret is.
pub(super) fn is_in_arn(bytes: &[u8], name: usize) -> bool {
    let before = &bytes[name.saturating_sub(96)..name];
    let word = before
        .iter()
        .rposition(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\''))
        .map_or(before, |at| &before[at + 1..]);
    word.starts_with(b"arn:")
}
