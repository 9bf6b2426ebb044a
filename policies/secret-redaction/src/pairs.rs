//! Names and values in free text: assignments, named arguments, headers, flags, connection strings, SQL
//! clauses, markup and sentences.
//!
//! A word such as `password` wakes [`read`], which finds the whole name around it, the sign that joins it to
//! a value, and the value. It reads no language: the same few signs mean the same in all of them. What is
//! judged is never further than some hundred bytes from the word.

mod around;
mod calls;
mod joints;
mod parts;
mod prose;
mod tables;
mod values;

pub(crate) use calls::read_call;
use parts::is_cookie;
pub(crate) use parts::judge;

use values::{bare, header_line, odd_word, quoted, whole_end, whole_password, whole_word};

use crate::alphabet::{ALNUM, DASH, DIGIT, DOT, LETTER, URL64, WORD};
use crate::keys::{self, Strength};
use crate::rules::{self, RuleIndex};
use crate::scan::Hit;
use crate::shape::{self, Join};
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

/// Longest rejected value after which names are looked for inside it again, in bytes: so a text without
/// blanks is judged once, not at every name in it.
const RETRY_MAX: usize = 64;

/// Reads the pair whose name has a word of a secret at `word`, and adds what goes to `hits`. Returns up to where the text is
/// read, which needs not be looked at for names again.
pub(crate) fn read(text: &str, word: Range<usize>, hits: &mut Vec<Hit>) -> usize {
    let bytes = text.as_bytes();
    if bytes[word.clone()].contains(&b' ') && word.len() > 3 {
        hits.extend(clause(text, &word));
        return word.end;
    }
    // `pw` is looked for with the sign behind it or before it, which is no part of the name.
    let word = word.start + usize::from(!is_name_byte(bytes[word.start]))
        ..word.end - usize::from(!is_name_byte(bytes[word.end - 1]));
    if let Some(hit) = prose::second_of_pair(text, &word).or_else(|| prose::before_name(text, word.start)) {
        let end = hit.range.end.max(word.end);
        hits.push(hit);
        return end;
    }
    let name = whole_name(bytes, &word);
    let (before, flag) = surroundings(text, name.start);
    let Some(strength) = keys::strength(before, &text[name.clone()]) else {
        hits.extend(calls::php_constant(text, &name));
        return name.end;
    };
    if (before.is_empty() || before.eq_ignore_ascii_case("as"))
        && let Some(literal) =
            around::literal_before(bytes, name.start).or_else(|| joints::to_the_right(bytes, name.start))
    {
        hits.extend(judge_at(
            text,
            strength,
            Join::Listed,
            &text[name.clone()],
            literal,
        ));
    }
    let before = hits.len();
    if name.end < bytes.len() && name.end < whole_name_end(bytes, word.end) {
        // The value is glued to the name by a dash.
        hits.extend(judge_at(
            text,
            strength,
            Join::Loose,
            &text[name.clone()],
            bare(text, name.end + 1, false),
        ));
    } else {
        let hit = value_of(text, strength, &name, flag, hits);
        hits.extend(hit);
        if hits.len() == before {
            around::inserted(text, strength, &name, hits);
        }
        if hits.len() == before {
            tables::column_of_lines(text, strength, &name, hits);
            hits.extend(tables::value_of_line(text, strength, &name));
        }
    }
    match hits[before..].last() {
        Some(hit) => hit.range.end,
        None => {
            let value = bare(
                text,
                skip_blank(bytes, name.end.saturating_add(1).min(bytes.len())),
                false,
            );
            // Elements have names of their own.
            if value.len() > RETRY_MAX && bytes[value.start] != b'<' {
                value.end
            } else {
                name.end
            }
        }
    }
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

/// Reads the value after `IDENTIFIED BY` or `IDENTIFIED WITH … BY`.
fn clause(text: &str, words: &Range<usize>) -> Option<Hit> {
    let bytes = text.as_bytes();
    let is_at = |at: usize, word: &str| {
        let part = bytes.get(at..at + word.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    let mut place = skip_blank(bytes, words.end);
    if !text[words.clone()].to_ascii_lowercase().ends_with("by") {
        place = skip_blank(bytes, WORD.run(bytes, place, 40));
        if !is_at(place, "by ") {
            return None;
        }
        place = skip_blank(bytes, place + "by ".len());
    }
    let lines = bytes[words.start.saturating_sub(160)..words.start].to_ascii_lowercase();
    let is_statement = [
        "create user",
        "alter user",
        "create role",
        "alter role",
        "grant ",
        "connect to ",
    ]
    .iter()
    .any(|start| memchr::memmem::find(&lines, start.as_bytes()).is_some());
    // In a sentence things are identified by their columns.
    if !is_statement && !text[words.clone()].contains("IDENTIFIED") {
        return None;
    }
    // `IDENTIFIED BY PASSWORD '…'`, `IDENTIFIED BY VALUES '…'`
    let literal = skip_blank(bytes, LETTER.run(bytes, place, 12));
    let value = quoted(text, place)
        .or_else(|| quoted(text, literal))
        .or_else(|| {
            let keyword = ["externally", "globally", "random", "values", "password"]
                .iter()
                .any(|word| is_at(place, word));
            (is_statement && !keyword).then(|| bare(text, place, true))
        })?;
    let join = if value.start == place {
        Join::Loose
    } else {
        Join::Certain
    };
    judge_at(text, Strength::Password, join, "", value)
}

fn is_name_byte(byte: u8) -> bool {
    URL64.or(DOT).has(byte) || byte >= 0x80
}

fn whole_name_end(bytes: &[u8], from: usize) -> usize {
    let limit = bytes.len().min(from + NAME_MAX);
    let mut end = from;
    while end < limit && is_name_byte(bytes[end]) {
        // The space that does not break.
        if bytes[end..].starts_with(&[0xC2, 0xA0]) {
            break;
        }
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
    let joint = (word.end..end).find(|&at| matches!(bytes[at], b'-' | b'.') && is_glued_value(bytes, at + 1));
    start..joint.unwrap_or(end)
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
    let mut at = from;
    while at < limit {
        match bytes[at] {
            b' ' | b'\t' => at += 1,
            // The space that does not break.
            0xC2 if bytes.get(at + 1) == Some(&0xA0) => at += 2,
            _ => break,
        }
    }
    at.min(bytes.len())
}

/// Finds the sign after a name, and judges the value after it.
fn value_of(
    text: &str,
    strength: Strength,
    name: &Range<usize>,
    flag: bool,
    hits: &mut Vec<Hit>,
) -> Option<Hit> {
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
    close = around::behind_end_tag(bytes, close);
    let at = skip_blank(bytes, close);
    let next = bytes.get(at + 1).copied().unwrap_or_default();
    let literal = |place: usize| judge_at(text, strength, Join::Quoted, name_text, quoted(text, place)?);
    let instead = |place: usize| judge_at(text, strength, Join::Listed, name_text, quoted(text, place)?);
    // One passes things other than passwords, too.
    let is_verb = name_text.eq_ignore_ascii_case("pass");
    let behind_slash = name.start > 0 && bytes[name.start - 1] == b'/';
    let markup = around::in_markup(bytes, name, close, was_quoted);
    let (join, from) = match *bytes.get(at)? {
        _ if markup.is_some() => (Join::Quoted, markup?),
        b'=' | b'!' if next == b'=' => {
            // A comparison: the literal is what the secret has to be.
            let after = skip_blank(bytes, at + 2 + usize::from(bytes.get(at + 2) == Some(&b'=')));
            return judge_at(text, strength, Join::Listed, name_text, quoted(text, after)?);
        }
        b'=' if next == b'~' => return None,
        b'|' | b'?' if next == bytes[at] && bytes.get(at + 2) == Some(&b'=') => (Join::Bare, at + 3),
        b'=' if next == b'>' => (Join::Bare, at + 2),
        b'=' => (
            if (is_connection(text, name.start, at, close)
                && !(is_verb && around::is_only_argument(bytes, name.start, at)))
                || (flag && at == close && !is_verb)
            {
                Join::Certain
            } else {
                Join::Bare
            },
            at + 1,
        ),
        b':' if next == b':' || (next == b'/' && bytes.get(at + 2) == Some(&b'/')) => return None,
        b':' if around::is_in_arn(bytes, name.start) => return None,
        b':' if next == b'=' => (Join::Bare, at + 2),
        b':' => (Join::Bare, at + 1),
        b'<' if next == b'-' => (Join::Bare, at + 2),
        b'<' if bytes[at + 1..].starts_with(b"<-") => (Join::Bare, at + 3),
        b',' | b'{' if was_quoted && let Some(value) = around::in_pair(bytes, close) => {
            return literal(value);
        }
        b',' if let Some(hit) = calls::php_constant(text, name) => return Some(hit),
        b',' if was_quoted => return listed_after(text, strength, name, skip_blank(bytes, at + 1)),
        b',' => return literal(around::unpacked(text, name, close)?),
        b'|' => {
            tables::column_of_markdown(text, strength, name, hits);
            (Join::Prose, at + 1)
        }
        b'-' if next == b' ' && at > close => (Join::Prose, at + 2),
        b'-' if next == b'>' && at > close && bytes.get(at + 2) == Some(&b' ') => (Join::Loose, at + 3),
        0xE2 if !was_quoted
            && [[0x80, 0x93], [0x80, 0x94], [0x86, 0x92]]
                .iter()
                .any(|rest| bytes[at + 1..].starts_with(rest)) =>
        {
            (Join::Prose, at + 3)
        }
        0xEF if bytes[at + 1..].starts_with(&[0xBC, 0x9A]) => (Join::Bare, at + 3),
        b'(' if at == close
            && strength == Strength::Password
            && name_text
                .rsplit('.')
                .next()
                .is_some_and(|method| method.to_ascii_lowercase().starts_with("set")) =>
        {
            return calls::last_literal(text, at);
        }
        b'(' if next != b')' && matches!(name_text, "PASSWORD" | "OLD_PASSWORD") => {
            return literal(skip_blank(bytes, at + 1));
        }
        b'(' if at == close && bytes[at + 1..].starts_with(b"default") => {
            let sign = at + 1 + "default".len();
            if !matches!(bytes.get(sign), Some(b':' | b'=')) {
                return None;
            }
            (Join::Prose, sign + 1)
        }
        b'(' if name_text.len() >= 4 && is_authentication(name_text) => {
            let of_both =
                || prose::in_parentheses(text, name_text, at).filter(|_| prose::names_both(name_text));
            return calls::second_literal(text, at).or_else(of_both);
        }
        b'(' if at == close && joints::is_note(bytes, name) => {
            return prose::in_parentheses(text, name_text, at);
        }
        b')' if was_quoted && let Some(open) = calls::filled_in(bytes, at) => return literal(open),
        b'\n' | b'\r' => {
            return match around::on_next_line(bytes, name, at) {
                Some(value) if matches!(bytes.get(value), Some(b'"' | b'\'')) => literal(value),
                Some(value) => judge_at(text, strength, Join::Line, name_text, bare(text, value, true)),
                None => prose::token_below_name(text, strength, name, at),
            };
        }
        _ if was_quoted => return instead(around::alternative(bytes, close)?),
        b'0'..=b'9' if at > close && bytes.get(DIGIT.run(bytes, at, 3)) == Some(&b':') => {
            // `Unseal Key 2: …`
            (Join::Bare, DIGIT.run(bytes, at, 3) + 1)
        }
        _ if at == close => return None,
        _ if around::is_behind_user(bytes, name.start) => (Join::Prose, at),
        _ if is_verb => return None,
        b'"' | b'\'' | b'`' => (Join::Quoted, at),
        b'i' | b'I' if bytes[at + 1..].len() > 3 && bytes[at + 1..at + 4].eq_ignore_ascii_case(b"n (") => {
            return instead(skip_blank(bytes, at + 4));
        }
        _ if let Some(value) = around::declared(bytes, at) => return literal(value),
        _ => match prose::sentence_verb(text, strength, at) {
            Some(after) => (Join::Prose, after),
            None if flag => (Join::Certain, at),
            None if prose::from_and_to(text, strength, name_text, at, hits) => return None,
            None if (strength == Strength::Password || prose::names_both(name_text))
                && let Some(open) = prose::parenthesis(bytes, at) =>
            {
                return prose::in_parentheses(text, name_text, open);
            }
            None if strength == Strength::Password => (Join::Loose, at),
            None => (Join::Loose, prose::behind_words(bytes, at).unwrap_or(at)),
        },
    };
    let mut place = skip_blank(bytes, from);
    // The end of an element behind the colon: `<b>Password:</b> value`.
    if bytes[place.min(bytes.len())..].starts_with(b"</") {
        let tag = &bytes[place..bytes.len().min(place + 12)];
        place = skip_blank(bytes, place + tag.iter().position(|&byte| byte == b'>')? + 1);
    }
    // Another element.
    if markup.is_some() && bytes.get(place) == Some(&b'<') {
        return None;
    }
    // Quotes in HTML.
    for entity in ["&quot;", "&#34;", "&apos;", "&#39;", "&nbsp;"] {
        if bytes[place.min(bytes.len())..].starts_with(entity.as_bytes()) {
            place += entity.len();
        }
    }
    // Emphasis behind the colon: `**Password:** value`.
    while place < from + 4 && bytes.get(place) == Some(&b'*') {
        place = skip_blank(bytes, place + 1);
    }
    if is_authentication(name_text) && bytes.get(place) == Some(&b'(') {
        return calls::second_literal(text, place);
    }
    if let Some(value) =
        around::unpacked(text, name, close).filter(|_| join == Join::Bare && bytes[at] == b'=')
    {
        return literal(value);
    }
    if strength == Strength::Password
        && let Some(phrase) = prose::phrase(text, name, place)
    {
        return Some(phrase);
    }
    if bytes[at] == b':'
        && let Some(end) = prose::end_of_line_or_block(bytes, place)
    {
        let before = hits.len();
        prose::items_below(text, strength, name_text, end, hits);
        if hits.len() > before {
            return None;
        }
        return prose::alone_on_next_line(text, strength, name_text, end);
    }
    // What is put together has its secret in the other part: `"Bearer " + "…"`, `"?api_key=" + "…"`.
    let joined = |quote: usize| {
        let strength = match is_authentication(name_text) {
            true => strength.max(Strength::Secret),
            false => strength,
        };
        let value = quoted(text, joints::behind(bytes, quote)?)?;
        judge_at(text, strength, Join::Quoted, name_text, value)
    };
    if place == at + 1
        && let found @ Some(_) = joined(place)
    {
        return found;
    }
    if let Some(value) = quoted(text, place) {
        let join = match join {
            Join::Certain => join,
            _ => Join::Quoted,
        };
        return judge_at(text, strength, join, name_text, value.clone()).or_else(|| joined(value.end));
    }
    if join == Join::Bare {
        if matches!(bytes.get(place), Some(b'[' | b'(' | b'{')) {
            around::listed(text, strength, name_text, place, hits);
            return None;
        }
        if let Some(value) = around::typed(bytes, place).filter(|_| bytes[at] == b':') {
            return literal(value);
        }
    }
    if let Some(value) = around::wrapped(bytes, place) {
        return literal(value);
    }
    if strength == Strength::Weak && is_cookie(name_text) {
        return judge_at(text, strength, join, name_text, header_line(text, place));
    }
    if markup.is_some()
        && let Some(element) = values::element(text, place)
        && let Some(hit) = judge_at(text, strength, join, name_text, element)
    {
        return Some(hit);
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
    let join = if join == Join::Bare
        && strength == Strength::Password
        && is_environment(name_text, bytes, close, &value)
    {
        Join::Certain
    } else {
        join
    };
    let join = prose::as_in_prose(text, join, strength, name_text, (at, close), &value);
    let is_written = strength == Strength::Password
        && (matches!(join, Join::Line | Join::Prose | Join::Told | Join::Loose)
            || (join == Join::Bare && bytes[at] == b':' && value.start > at + 1));
    let odd = if is_written { odd_word(text, &value) } else { None };
    if let Some(odd) = odd.and_then(|odd| judge_at(text, strength, Join::Quoted, name_text, odd)) {
        return Some(odd);
    }
    let whole = if strength == Strength::Password {
        whole_password(text, name, &value, is_written)
    } else {
        value.clone()
    };
    judge_at(text, strength, join, name_text, value.clone())
        .or_else(|| {
            let is_made_up = whole.end > value.end && shape::is_made_up_with_signs(&text[whole.clone()]);
            is_made_up.then(|| judge_at(text, strength, Join::Quoted, name_text, whole.clone()))?
        })
        .map(|hit| match hit.range == value {
            true => Hit { range: whole, ..hit },
            false => hit,
        })
        .or_else(|| after_scheme(text, strength, name_text, &value))
        .or_else(|| instead(around::alternative(bytes, value.end)?))
        .or_else(|| joined(value.end))
        .or_else(|| literal(joints::otherwise(bytes, value.end).filter(|_| bytes[at] == b'=')?))
        .or_else(|| prose::second_of_two(text, strength, name_text, &value, behind_slash))
}

/// Judges the text behind a quoted name and a comma: `option("password", "…")`.
fn listed_after(text: &str, strength: Strength, name: &Range<usize>, at: usize) -> Option<Hit> {
    let value = quoted(text, at)?;
    let after = skip_blank(text.as_bytes(), value.end + 1);
    let name_text = &text[name.clone()];
    // The last two of a call or a tuple are a pair.
    let is_pair = strength == Strength::Password && matches!(text.as_bytes().get(after), Some(b')'));
    let telling = value.len() >= 6
        && text[value.clone()].contains(|char: char| char.is_ascii_digit())
        && text[value.clone()].contains(|char: char| char.is_ascii_uppercase());
    let quote = name.start.checked_sub(1);
    let before = quote.and_then(|quote| text.get(..quote)).unwrap_or_default();
    let before = before.trim_end_matches('\\');
    let is_default = ["getenv(", "environ.get(", "setenv(", "define("]
        .iter()
        .any(|call| before.ends_with(call));
    let join = if (is_pair && telling) || is_default {
        Join::Quoted
    } else {
        Join::Listed
    };
    judge_at(text, strength, join, name_text, value)
}

/// Says whether `NAME=value` is a line of an environment or a shell: nothing of a language is in it.
fn is_environment(name: &str, bytes: &[u8], close: usize, value: &Range<usize>) -> bool {
    let shouted = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let ends = bytes.get(value.end).is_none_or(u8::is_ascii_whitespace);
    let is_word = ALNUM
        .or(DASH)
        .or(DOT)
        .or(crate::alphabet::UNDERSCORE)
        .all(&bytes[value.clone()]);
    name.len() > 7
        && name.bytes().all(shouted)
        && bytes.get(close) == Some(&b'=')
        && value.start == close + 1
        && ends
        && !(is_word
            && bytes[value.clone()].contains(&b'.')
            && !shape::is_made_up_like_code(std::str::from_utf8(&bytes[value.clone()]).unwrap_or_default()))
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
    let range = value.start + part.start..value.start + part.end;
    Some(Hit {
        range: if range.end == value.end {
            range.start..whole_end(text, &value)
        } else {
            range
        },
        rule: rule_for(strength),
    })
}

/// Returns the place behind `=` in `name: type = value`.
fn annotated(bytes: &[u8], sign: u8, value: &Range<usize>) -> Option<usize> {
    let kind = &bytes[value.clone()];
    let typed = sign == b':'
        && !kind.is_empty()
        && kind
            .iter()
            .all(|&byte| WORD.or(DOT).has(byte) || matches!(byte, b'[' | b']'));
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

/// Says whether a text consists of digits only.
pub(crate) fn is_number(text: &str) -> bool {
    match text.as_bytes() {
        // What most texts that are asked about end at.
        [first, rest @ ..] => first.is_ascii_digit() && DIGIT.all(rest),
        [] => false,
    }
}

#[cfg(test)]
mod more_tests;
#[cfg(test)]
mod places_tests;
#[cfg(test)]
mod tests;
