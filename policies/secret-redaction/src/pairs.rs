//! Names and values in free text: assignments, named arguments, headers, flags, connection strings, SQL
//! clauses, markup and sentences.
//!
//! A word such as `password` wakes [`read`], which finds the whole name around it, the sign that joins it to
//! a value, and the value. It reads no language: the same few signs mean the same in all of them. What is
//! judged is never further than some hundred bytes from the word.

use crate::alphabet::{ALNUM, DASH, DIGIT, DOT, LETTER, URL64, WORD};
use crate::keys::{self, Strength};
use crate::rules::{self, RuleIndex};
use crate::scan::Hit;
use crate::shape::{self, Join, VALUE_MAX};
use std::ops::Range;

/// Longest part of a name on either side of the word that woke the reader, in bytes.
const NAME_MAX: usize = 48;
/// Longest value without quotes, in bytes.
const BARE_MAX: usize = 512;
/// Most white space between a name, a sign and a value.
const GAP_MAX: usize = 32;

/// Returns the rule for a value beside a name of this strength.
pub(crate) fn rule_for(strength: Strength) -> RuleIndex {
    match strength {
        Strength::Hash => rules::KEBOOLA_PLAINTEXT,
        Strength::Password => rules::PASSWORD,
        Strength::Secret | Strength::Weak => rules::KEYED_SECRET,
    }
}

/// Judges a value under a name with no syntax between: a member, a cell, a sibling. Returns the part that goes.
pub(crate) fn judge(strength: Strength, join: Join, name: &str, value: &str) -> Option<Range<usize>> {
    let trimmed = value.trim();
    let from = value.len() - value.trim_start().len();
    if shape::is_secret(strength, join, name, trimmed) {
        return Some(from..from + trimmed.len());
    }
    // `Token abc…`, `SSWS abc…`: the scheme stays.
    let (scheme, token) = trimmed.split_once(' ')?;
    let is_scheme = scheme.len() <= 20 && LETTER.or(DASH).all(scheme.as_bytes());
    let machine = matches!(strength, Strength::Secret | Strength::Weak);
    let opaque = machine && is_scheme && !token.contains(' ');
    (opaque && shape::is_secret(Strength::Secret, join, name, token))
        .then(|| from + trimmed.len() - token.len()..from + trimmed.len())
}

/// Longest rejected value after which names are looked for inside it again, in bytes: so a text without
/// blanks is judged once, not at every name in it.
const RETRY_MAX: usize = 64;

/// Reads the pair whose name has a word of a secret at `word`. The second value says up to where the text is
/// read, and needs not be looked at for names again.
pub(crate) fn read(text: &str, word: Range<usize>) -> (Option<Hit>, usize) {
    let bytes = text.as_bytes();
    if text[word.clone()].eq_ignore_ascii_case("identified by") {
        return (clause(text, word.end), word.end);
    }
    let name = whole_name(bytes, &word);
    let (before, flag) = surroundings(text, name.start);
    let Some(strength) = keys::strength(before, &text[name.clone()]) else {
        return (None, name.end);
    };
    let hit = if name.end < bytes.len() && name.end < whole_name_end(bytes, word.end) {
        // The value is glued to the name by a dash.
        judge_at(
            text,
            strength,
            Join::Loose,
            &text[name.clone()],
            bare(text, name.end + 1, false),
        )
    } else {
        value_of(text, strength, &name, flag)
    };
    let read_to = match &hit {
        Some(hit) => hit.range.end,
        None => {
            let value = bare(
                text,
                skip_blank(bytes, name.end.saturating_add(1).min(bytes.len())),
                false,
            );
            if value.len() > RETRY_MAX {
                value.end
            } else {
                name.end
            }
        }
    };
    (hit, read_to)
}

/// Reads the second literal of a call such as `.login('user', 'password')`, where `open` is the place of `(`.
pub(crate) fn read_call(text: &str, open: usize) -> Option<Hit> {
    second_literal(text, open)
}

/// Reads `"#name": "value"` inside a text, where the quote is at `at`.
pub(crate) fn read_hash(text: &str, at: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let name = at + 2..URL64.or(DOT).run(bytes, at + 2, 80);
    if name.is_empty() {
        return None;
    }
    let mut place = name.end;
    while bytes.get(place) == Some(&b'\\') {
        place += 1;
    }
    if bytes.get(place) != Some(&bytes[at]) {
        return None;
    }
    place = skip_blank(bytes, place + 1);
    if bytes.get(place) != Some(&b':') {
        return None;
    }
    let value = quoted(text, skip_blank(bytes, place + 1))?;
    judge_at(text, Strength::Hash, Join::Quoted, &text[name], value)
}

/// Reads the literal after `IDENTIFIED BY`.
fn clause(text: &str, at: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let mut place = skip_blank(bytes, at);
    // `IDENTIFIED BY PASSWORD '…'`, `IDENTIFIED BY VALUES '…'`
    if LETTER.has(*bytes.get(place)?) {
        place = skip_blank(bytes, LETTER.run(bytes, place, 12));
    }
    let value = quoted(text, place)?;
    judge_at(text, Strength::Password, Join::Certain, "", value)
}

fn is_name_byte(byte: u8) -> bool {
    URL64.or(DOT).has(byte) || byte >= 0x80
}

fn whole_name_end(bytes: &[u8], from: usize) -> usize {
    let limit = bytes.len().min(from + NAME_MAX);
    let mut end = from;
    while end < limit && is_name_byte(bytes[end]) {
        let joint = DASH.or(DOT).has(bytes[end]);
        if joint && !bytes.get(end + 1).is_some_and(|&next| WORD.has(next)) {
            break;
        }
        end += 1;
    }
    while end > from && end < bytes.len() && (bytes[end] & 0xC0) == 0x80 {
        end -= 1;
    }
    end
}

/// Returns the name around the word, without the dashes of a flag before it, and without a value that is
/// glued to it by a dash.
fn whole_name(bytes: &[u8], word: &Range<usize>) -> Range<usize> {
    let floor = word.start.saturating_sub(NAME_MAX);
    let mut start = word.start;
    while start > floor && is_name_byte(bytes[start - 1]) {
        start -= 1;
    }
    while start < word.start && (DASH.or(DOT).has(bytes[start]) || (bytes[start] & 0xC0) == 0x80) {
        start += 1;
    }
    let end = whole_name_end(bytes, word.end);
    let dash = (word.end..end).find(|&at| bytes[at] == b'-' && is_glued_value(bytes, at + 1));
    start..dash.unwrap_or(end)
}

fn is_glued_value(bytes: &[u8], from: usize) -> bool {
    let end = URL64.run(bytes, from, BARE_MAX);
    let value = &bytes[from..end];
    value.len() >= 20
        && std::str::from_utf8(value).is_ok_and(|value| {
            shape::is_hex_or_uuid(value.as_bytes()) || shape::is_opaque(value.as_bytes(), 20)
        })
}

/// Returns the word before a name that begins at `start`, and whether the name is a command line flag.
fn surroundings(text: &str, start: usize) -> (&str, bool) {
    let bytes = text.as_bytes();
    let dashes = start - DASH.run_back(bytes, start, 2);
    let opener = start - dashes;
    let flag = dashes > 0
        && (opener == 0
            || bytes[opener - 1].is_ascii_whitespace()
            || matches!(bytes[opener - 1], b'"' | b'\''));
    if start == 0 || bytes[start - 1] != b' ' {
        return ("", flag);
    }
    let end = start - 1;
    (
        &text[ALNUM
            .or(DASH)
            .or(crate::alphabet::UNDERSCORE)
            .run_back(bytes, end, 24)..end],
        flag,
    )
}

fn skip_blank(bytes: &[u8], from: usize) -> usize {
    let limit = bytes.len().min(from + GAP_MAX);
    (from..limit)
        .find(|&at| !matches!(bytes[at], b' ' | b'\t'))
        .unwrap_or(limit)
}

/// Finds the sign after a name, and judges the value after it.
fn value_of(text: &str, strength: Strength, name: &Range<usize>, flag: bool) -> Option<Hit> {
    let bytes = text.as_bytes();
    let name_text = &text[name.clone()];
    // Closing quotes, brackets and emphasis around the name.
    let mut close = name.end;
    let mut was_quoted = false;
    while close < name.end + 6
        && close < bytes.len()
        && matches!(bytes[close], b'"' | b'\'' | b'`' | b']' | b'*' | b'\\')
    {
        if bytes[close] == b'\\' && !matches!(bytes.get(close + 1), Some(b'"' | b'\'' | b'\\')) {
            return None;
        }
        was_quoted |= matches!(bytes[close], b'"' | b'\'' | b'`');
        close += 1;
    }
    let at = skip_blank(bytes, close);
    let next = bytes.get(at + 1).copied().unwrap_or_default();
    let (join, from) = match *bytes.get(at)? {
        b'=' | b'!' if next == b'=' => {
            // A comparison: the literal is what the secret has to be.
            let after = skip_blank(bytes, at + 2 + usize::from(bytes.get(at + 2) == Some(&b'=')));
            return judge_at(text, strength, Join::Listed, name_text, quoted(text, after)?);
        }
        b'=' if next == b'~' => return None,
        b'=' if next == b'>' => (Join::Bare, at + 2),
        b'=' => (
            if is_connection(text, name.start, at, close) {
                Join::Certain
            } else {
                Join::Bare
            },
            at + 1,
        ),
        b':' if next == b':' || (next == b'/' && bytes.get(at + 2) == Some(&b'/')) => return None,
        b':' if next == b'=' => (Join::Bare, at + 2),
        b':' => (Join::Bare, at + 1),
        b'<' if next == b'-' => (Join::Bare, at + 2),
        b',' if was_quoted => (Join::Listed, at + 1),
        b'>' if name.start > 0 && bytes[name.start - 1] == b'<' => (Join::Quoted, at + 1),
        b'|' => (Join::Prose, at + 1),
        b'(' if name_text.len() >= 4 && is_authentication(name_text) => return second_literal(text, at),
        _ if at == close || was_quoted => return None,
        b'"' | b'\'' | b'`' => (Join::Quoted, at),
        _ => match sentence_verb(text, at) {
            Some(after) => (Join::Prose, after),
            None if flag => (Join::Certain, at),
            None => (Join::Loose, at),
        },
    };
    let mut place = skip_blank(bytes, from);
    // Emphasis behind the colon: `**Password:** value`.
    while place < from + 4 && bytes.get(place) == Some(&b'*') {
        place = skip_blank(bytes, place + 1);
    }
    if is_authentication(name_text) && bytes.get(place) == Some(&b'(') {
        return second_literal(text, place);
    }
    if let Some(value) = quoted(text, place) {
        let join = match join {
            Join::Listed | Join::Certain => join,
            _ => Join::Quoted,
        };
        return judge_at(text, strength, join, name_text, value);
    }
    if join == Join::Listed {
        return None;
    }
    let value = bare(text, place, join != Join::Certain);
    if let Some(assigned) = annotated(bytes, bytes[at], &value) {
        return judge_at(
            text,
            strength,
            Join::Quoted,
            name_text,
            quoted(text, skip_blank(bytes, assigned))?,
        );
    }
    let join =
        if join == Join::Bare && value.end < bytes.len() && ends_like_connection(bytes, close, value.end) {
            Join::Certain
        } else {
            join
        };
    judge_at(text, strength, join, name_text, value.clone())
        .or_else(|| after_scheme(text, strength, name_text, &value))
}

/// Judges what follows a bare scheme word: `Authorization: Token abc…`.
fn after_scheme(text: &str, strength: Strength, name: &str, scheme: &Range<usize>) -> Option<Hit> {
    let bytes = text.as_bytes();
    let is_scheme = (2..=20).contains(&scheme.len()) && LETTER.or(DASH).all(&bytes[scheme.clone()]);
    if !is_scheme
        || strength == Strength::Password
        || bytes.get(scheme.end) != Some(&b' ')
        || !is_authentication(name)
    {
        return None;
    }
    judge_at(
        text,
        Strength::Secret,
        Join::Loose,
        name,
        bare(text, scheme.end + 1, true),
    )
}

fn judge_at(text: &str, strength: Strength, join: Join, name: &str, value: Range<usize>) -> Option<Hit> {
    let part = judge(strength, join, name, text.get(value.clone())?)?;
    Some(Hit {
        range: value.start + part.start..value.start + part.end,
        rule: rule_for(strength),
    })
}

/// Returns the inside of the literal that begins at `at`, on one line; its quotes may be escaped.
fn quoted(text: &str, at: usize) -> Option<Range<usize>> {
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

/// Returns the value without quotes that begins at `at`.
fn bare(text: &str, at: usize, in_text: bool) -> Range<usize> {
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

/// Returns the place behind `=` in `name: type = value`.
fn annotated(bytes: &[u8], sign: u8, value: &Range<usize>) -> Option<usize> {
    let kind = &bytes[value.clone()];
    let typed = sign == b':'
        && !kind.is_empty()
        && kind
            .iter()
            .all(|&byte| LETTER.or(DOT).has(byte) || matches!(byte, b'[' | b']'));
    let at = skip_blank(bytes, value.end);
    (typed && bytes.get(at) == Some(&b'=') && bytes.get(at + 1) != Some(&b'=')).then_some(at + 1)
}

/// Says whether `name=` stands among `key=value` parts joined by `;`, `&` or spaces.
fn is_connection(text: &str, name: usize, sign: usize, close: usize) -> bool {
    let bytes = text.as_bytes();
    if sign != close || name == 0 || bytes.get(sign + 1).is_none_or(u8::is_ascii_whitespace) {
        return false;
    }
    match bytes[name - 1] {
        b';' | b'&' | b'?' => true,
        b' ' => {
            // However long the part before is: only the name that follows it looks at it.
            let part = bytes[..name - 1]
                .iter()
                .rev()
                .take_while(|byte| !byte.is_ascii_whitespace());
            let mut assigned = false;
            for (place, &byte) in part.enumerate() {
                if place == 0 && matches!(byte, b',' | b'(' | b'{' | b'[' | b'=') {
                    return false;
                }
                assigned |= byte == b'=';
            }
            assigned
        }
        _ => false,
    }
}

/// Says whether a bare value that was joined without spaces ends at the joint of a connection string.
fn ends_like_connection(bytes: &[u8], close: usize, end: usize) -> bool {
    let tight = bytes.get(close) == Some(&b'=') && !bytes[close + 1].is_ascii_whitespace();
    let more = &bytes[end + 1..bytes.len().min(end + 40)];
    tight && matches!(bytes[end], b';' | b'&') && more.contains(&b'=')
}

fn is_authentication(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with("auth") || lower.ends_with("authorization") || lower.ends_with("credentials")
}

/// Judges the second literal of `('user', 'password')`.
fn second_literal(text: &str, open: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let start = skip_blank(bytes, open + 1);
    let end = match quoted(text, start) {
        Some(user) => user.end + 1,
        None => WORD.or(DOT).run(bytes, start, 64),
    };
    let comma = skip_blank(bytes, end);
    if bytes.get(comma) != Some(&b',') {
        return None;
    }
    let value = quoted(text, skip_blank(bytes, comma + 1))?;
    judge_at(text, Strength::Password, Join::Quoted, "", value)
}

/// Returns the place behind the verb of a sentence, as in `password is …`, `heslo je …`.
fn sentence_verb(text: &str, at: usize) -> Option<usize> {
    const VERBS: [&str; 8] = ["is ", "was ", "je ", "bylo ", "zní ", "bude ", "was: ", "is: "];
    let rest = text.get(at..)?;
    let verb = |verb: &&str| {
        rest.get(..verb.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(verb))
    };
    if let Some(verb) = VERBS
        .iter()
        .filter(|candidate| verb(candidate))
        .map(|verb| verb.len())
        .max()
    {
        return Some(at + verb);
    }
    // `password for user 'x' is 'y'`, `heslo pro ETL: …`, `token (prod): …`
    let joined = ["for ", "pro ", "to ", "k ", "of ", "("]
        .iter()
        .any(|word| rest.starts_with(word));
    if !joined {
        return None;
    }
    let bytes = rest.as_bytes();
    let line = &bytes[..bytes.len().min(64)];
    let line = &line[..line
        .iter()
        .position(|byte| matches!(byte, b'\n' | b',' | b';'))
        .unwrap_or(line.len())];
    let colon = line
        .windows(2)
        .position(|pair| pair == b": ")
        .map(|place| place + 2);
    let verb = VERBS[..6]
        .iter()
        .filter_map(|verb| {
            memchr::memmem::find(line, format!(" {verb}").as_bytes()).map(|place| place + 1 + verb.len())
        })
        .min();
    let equals = line
        .windows(3)
        .position(|triple| triple == b" = ")
        .map(|place| place + 3);
    [colon, verb, equals]
        .into_iter()
        .flatten()
        .min()
        .map(|place| at + place)
}

/// Says whether a text consists of digits only.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && DIGIT.all(text.as_bytes())
}

#[cfg(test)]
mod tests;
