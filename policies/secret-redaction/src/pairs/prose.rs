//! Values in sentences and notes: behind a verb, below their name, as the second of two.

use super::{
    BARE_MAX, GAP_MAX, NAME_MAX, around, bare, header_line, judge_at, rule_for, skip_blank, whole_word,
};
use crate::alphabet::{ALNUM, DASH, DOT, LETTER, WORD};
use crate::keys::{self, Strength};
use crate::scan::Hit;
use crate::shape::{self, Join};
use std::ops::Range;

/// Says whether a name is that of a user and a password together.
pub(super) fn names_both(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with("creds") || lower.ends_with("credentials")
}

/// Judges the password of `credentials: user / password`.
pub(super) fn second_of_two(
    text: &str,
    strength: Strength,
    name: &str,
    first: &Range<usize>,
    behind_slash: bool,
) -> Option<Hit> {
    let bytes = text.as_bytes();
    let of_both = strength == Strength::Password || names_both(name);
    let is_user = !first.is_empty() && LETTER.has(bytes[first.start]);
    // `login/password: etl/…`, `credentials: etl / …`
    let odd = |from: usize| {
        let word = super::values::odd_word(text, &(from..from))?;
        judge_at(text, Strength::Password, Join::Quoted, name, word)
    };
    if strength == Strength::Password
        && behind_slash
        && is_user
        && let Some(slash) = bytes[first.clone()].iter().position(|&byte| byte == b'/')
    {
        let from = first.start + slash + 1;
        return odd(from).or_else(|| judge_at(text, strength, Join::Prose, name, from..first.end));
    }
    if !of_both || !is_user || !bytes[first.end..].starts_with(b" / ") {
        return None;
    }
    let from = first.end + 3;
    odd(from).or_else(|| {
        judge_at(
            text,
            Strength::Password,
            Join::Prose,
            name,
            bare(text, from, true),
        )
    })
}

/// Judges a line that is one word, below a line that ends in `password:`.
pub(super) fn alone_on_next_line(text: &str, strength: Strength, name: &str, end: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let word = word_on_next_line(text, end)?;
    let marks = |byte: &u8| matches!(byte, b'`' | b'"' | b'\'');
    let from = word.start + usize::from(marks(&bytes[word.start]));
    let to = word.end - usize::from(word.end > from && marks(&bytes[word.end - 1]));
    let is_key = bytes[to - 1..to].contains(&b':');
    (!is_key && from < to).then(|| judge_at(text, strength, Join::Loose, name, from..to))?
}

/// Returns the end of a line at which a value would begin, or that of the sign of a block in YAML there: `|`, `>-`.
pub(super) fn end_of_line_or_block(bytes: &[u8], at: usize) -> Option<usize> {
    let sign = usize::from(matches!(bytes.get(at), Some(b'|' | b'>')));
    let chomp = usize::from(sign > 0 && matches!(bytes.get(at + 1), Some(b'-' | b'+')));
    let end = at + sign + chomp;
    matches!(bytes.get(end), Some(b'\n' | b'\r')).then_some(end)
}

/// Judges the items of a list of YAML below its name: `tokens:`, then `- …`.
pub(super) fn items_below(text: &str, strength: Strength, name: &str, end: usize, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let mut line = end;
    for _ in 0..ITEMS_MAX {
        let limit = bytes.len().min(line + 2 * GAP_MAX);
        let Some(sign) = (line..limit).find(|&at| !bytes[at].is_ascii_whitespace()) else {
            return;
        };
        if !bytes[sign..].starts_with(b"- ") {
            return;
        }
        let item = skip_blank(bytes, sign + 2);
        let quote = usize::from(matches!(bytes.get(item), Some(b'"' | b'\'')));
        let value = bare(text, item + quote, false);
        let after = value.end + usize::from(quote > 0 && bytes.get(value.end) == bytes.get(item));
        // An item that is a name has a value of its own.
        if !matches!(bytes.get(after), None | Some(b'\n' | b'\r')) || bytes[..after].ends_with(b":") {
            return;
        }
        line = after;
        hits.extend(judge_at(text, strength, Join::Listed, name, value));
    }
}

/// Most items of a list that are judged.
const ITEMS_MAX: usize = 64;

/// Judges a line that is one long word, below a line that is a name and nothing else.
pub(super) fn token_below_name(
    text: &str,
    strength: Strength,
    name: &Range<usize>,
    end: usize,
) -> Option<Hit> {
    /// Of a machine's tokens, in bytes.
    const LENGTH_MIN: usize = 20;
    let before = text[..name.start].trim_end_matches([' ', '\t', '#', '*']);
    if !(before.is_empty() || before.ends_with('\n')) {
        return None;
    }
    let is_long = |word: &Range<usize>| strength == Strength::Password || word.len() >= LENGTH_MIN;
    let word = word_on_next_line(text, end).filter(is_long)?;
    // `pass` of Python, and a decorator below it.
    let is_decorator = text[word.clone()]
        .strip_prefix('@')
        .is_some_and(shape::looks_like_code);
    (!is_decorator).then(|| judge_at(text, strength, Join::Loose, &text[name.clone()], word))?
}

/// Returns the only word of the next line that has any.
fn word_on_next_line(text: &str, end: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let limit = bytes.len().min(end + 2 * GAP_MAX);
    let start = (end..limit).find(|&at| !bytes[at].is_ascii_whitespace())?;
    let stop = (start..bytes.len().min(start + BARE_MAX))
        .find(|&at| bytes[at].is_ascii_whitespace())
        .unwrap_or(bytes.len().min(start + BARE_MAX));
    let is_alone = matches!(bytes.get(stop), None | Some(b'\n' | b'\r')) && text.is_char_boundary(stop);
    is_alone.then_some(start..stop)
}

/// So far before the object of a sentence its verb is looked for, in bytes.
const VERB_REACH: usize = 32;

/// So far before the name of a column the statement is looked for that comments on it, in bytes.
const STATEMENT_REACH: usize = 128;

/// Judges both values of `… password from … to …`; the new one may stand alone.
pub(super) fn from_and_to(
    text: &str,
    strength: Strength,
    name: &str,
    at: usize,
    hits: &mut Vec<Hit>,
) -> bool {
    let bytes = text.as_bytes();
    let Some(from) = ["from ", "z "]
        .iter()
        .find(|word| around::starts_with(bytes, at, word))
    else {
        return false;
    };
    let old = bare(text, at + from.len(), true);
    let Some(to) = [" to ", " na "]
        .iter()
        .find(|word| bytes[old.end..].starts_with(word.as_bytes()))
    else {
        return false;
    };
    let new = bare(text, old.end + to.len(), true);
    let before = hits.len();
    let join = if strength == Strength::Password {
        Join::Told
    } else {
        Join::Loose
    };
    hits.extend(judge_at(text, strength, join, name, old));
    hits.extend(judge_at(text, strength, join, name, new));
    hits.len() > before
}

/// Returns the place behind the verb of a sentence, as in `password is …`, `heslo je …`.
pub(super) fn sentence_verb(text: &str, strength: Strength, at: usize) -> Option<usize> {
    const VERBS: [&str; 29] = [
        "is ",
        "was ",
        "je ",
        "bylo ",
        "zní ",
        "bude ",
        "was: ",
        "is: ",
        "is now ",
        "should be ",
        "will be ",
        "remains ",
        "zůstane ",
        "set to ",
        "was changed to ",
        "has been changed to ",
        "was reset to ",
        "has been reset to ",
        "bylo změněno na ",
        "nastaveno na ",
        "zůstává ",
        "je teď ",
        "je nyní ",
        "změnilo na ",
        "se mění na ",
        "changed to ",
        "změněno na ",
        "změněno z ",
        "reset to ",
    ];
    let rest = text.get(at..)?;
    // `heslo jsem změnil na …`, `changed the password to '…'`
    if let Some(after) = ["to '", "to \"", "to `", "na '", "na \""]
        .iter()
        .find(|to| around::starts_with(text.as_bytes(), at, to))
    {
        return Some(at + after.len() - 1);
    }
    // `I changed the password to …`
    let before = &text.as_bytes()[at.saturating_sub(VERB_REACH)..at];
    let is_changed = || {
        [
            "hanged ", "eset ", "set ", "Set ", "pdate ", "pdated ", "otate ", "otated ", "witch ", "měna ",
            "měny ", "měnil ", "měnila ", "astavil ",
        ]
        .iter()
        .any(|verb| memchr::memmem::find(before, verb.as_bytes()).is_some())
    };
    if ["to ", "na "].iter().any(|word| rest.starts_with(word)) && is_changed() {
        return rest.find(' ').map(|blank| at + blank + 1);
    }
    for verb in [
        "jsem změnil na ",
        "jsem změnila na ",
        "jsem nastavil na ",
        "jsem nastavila na ",
    ] {
        if rest.starts_with(verb) {
            return Some(at + verb.len());
        }
    }
    // `COMMENT ON COLUMN t.password IS '…'`
    let is_comment = || {
        let statement = text.as_bytes()[at.saturating_sub(STATEMENT_REACH)..at].to_ascii_lowercase();
        memchr::memmem::find(&statement, b"comment on ").is_some()
    };
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
        return (!is_comment()).then_some(at + verb);
    }
    // `password for user 'x' is 'y'`, `heslo pro ETL: …`, `token (prod): …`
    let begins = |words: &[&str]| {
        words.iter().any(|word| {
            rest.get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        })
    };
    // Programs have keys and tokens in all kinds of things.
    let joined = begins(&[
        "for ",
        "pro ",
        "to ",
        "k ",
        "ke ",
        "do ",
        "od ",
        "u ",
        "of ",
        "(",
        "[",
        "uživatele ",
        "účtu ",
        "serveru ",
    ]) || (strength == Strength::Password && begins(&["in ", "v ", "ve ", "na "]));
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
    let passive = [
        "was set to ",
        "is set to ",
        "was changed to ",
        "was reset to ",
        "bylo změněno na ",
        "je nastaveno na ",
    ];
    let behind = |verb: &&str| {
        memchr::memmem::find(line, format!(" {verb}").as_bytes()).map(|place| place + 1 + verb.len())
    };
    // `was` alone is a part of some.
    let verb = passive
        .iter()
        .find_map(behind)
        .or_else(|| VERBS[..6].iter().filter_map(behind).min());
    let equals = line
        .windows(3)
        .position(|triple| triple == b" = ")
        .map(|place| place + 3);
    // A dash joins all kinds of things.
    let dash = [" - ", " – "]
        .iter()
        .find_map(|dash| memchr::memmem::find(line, dash.as_bytes()).map(|place| place + dash.len()))
        .filter(|place| strength == Strength::Password && is_of_both_and_digits(&line[*place..]));
    [colon, verb, equals, dash]
        .into_iter()
        .flatten()
        .min()
        .map(|place| at + place)
}

/// Says whether the rest of a line is one word that has letters and digits, as few words of a sentence have.
fn is_of_both_and_digits(rest: &[u8]) -> bool {
    let word = rest.trim_ascii_end();
    let has = |kind: fn(&u8) -> bool| word.iter().any(kind);
    word.len() >= 8
        && !has(u8::is_ascii_whitespace)
        && has(u8::is_ascii_alphabetic)
        && word.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2
}

/// Returns the place behind the sign that follows a name and some words about what it is for: `API klíč Zásilkovna – …`.
pub(super) fn behind_words(bytes: &[u8], at: usize) -> Option<usize> {
    const WORDS_MAX: usize = 4;
    let is_of_word = |byte: u8| LETTER.or(DASH).has(byte) || byte >= 0x80;
    let mut place = at;
    for _ in 0..WORDS_MAX {
        let limit = bytes.len().min(place + GAP_MAX);
        let end = (place..limit).find(|&at| !is_of_word(bytes[at]))?;
        if bytes[end] == b':' && bytes.get(end + 1) == Some(&b' ') {
            return (end > place).then_some(end + 2);
        }
        if end == place || bytes[end] != b' ' {
            return None;
        }
        place = end + 1;
        for sign in ["– ", "— ", "- ", "= "] {
            if bytes[place..].starts_with(sign.as_bytes()) {
                return Some(place + sign.len());
            }
        }
    }
    None
}

/// Says more exactly how a value without quotes is joined to its name, where it stands in prose.
pub(super) fn as_in_prose(
    text: &str,
    join: Join,
    strength: Strength,
    name: &str,
    (sign, close): (usize, usize),
    value: &Range<usize>,
) -> Join {
    let bytes = text.as_bytes();
    let ends_word = bytes
        .get(value.end)
        .is_none_or(|&byte| byte.is_ascii_whitespace() || matches!(byte, b'.' | b',' | b';' | b'!' | b')'));
    // Nobody writes programs with names of another language than English, but for those of its own.
    let is_foreign = name.len() >= 5 && name.is_char_boundary(5) && name[..5].eq_ignore_ascii_case("heslo");
    let at_end = matches!(bytes.get(value.end), None | Some(b'\n' | b'\r'));
    match join {
        _ if strength != Strength::Password => join,
        Join::Bare
            if bytes[sign] == b':' && value.start > sign + 1 && (at_end || (is_foreign && ends_word)) =>
        {
            Join::Line
        }
        Join::Prose if is_foreign || ends_word => match value.len() {
            0..5 => join,
            _ => Join::Line,
        },
        Join::Loose
            if sign > close && ends_word && (is_foreign || name == "password" || name == "Password") =>
        {
            let next = bytes.get(skip_blank(bytes, value.end));
            let is_declared = matches!(next, Some(b'=' | b'(' | b'{' | b':' | b';' | b')' | b'[' | b'<'));
            if is_declared { join } else { Join::Told }
        }
        _ => join,
    }
}

/// Judges the words up to the end of a line behind the name of a phrase: `Seed phrase: …`.
pub(super) fn phrase(text: &str, name: &Range<usize>, at: usize) -> Option<Hit> {
    // The word before it may belong to it.
    let before = ALNUM.run_back(text.as_bytes(), name.start.saturating_sub(1), 16);
    if !text.get(before..name.end).is_some_and(keys::is_name_of_phrase) {
        return None;
    }
    let line = header_line(text, at);
    let words = text[line.clone()].trim_end_matches(['.', ' ']);
    shape::is_passphrase(words).then(|| Hit {
        range: line.start..line.start + words.len(),
        rule: rule_for(Strength::Password),
    })
}

/// Returns the place of a parenthesis, perhaps behind a word that says what happened to the password.
pub(super) fn parenthesis(bytes: &[u8], at: usize) -> Option<usize> {
    ["", "changed ", "updated ", "rotated ", "reset "]
        .iter()
        .filter(|word| around::starts_with(bytes, at, word))
        .map(|word| at + word.len())
        .find(|open| bytes.get(*open) == Some(&b'('))
}

/// Judges what stands in parentheses behind the name of a password.
pub(super) fn in_parentheses(text: &str, name: &str, open: usize) -> Option<Hit> {
    let inside = bare(text, open + 1, false);
    let bytes = text.as_bytes();
    let closes = bytes.get(inside.end) == Some(&b')');
    // `make_credentials(retries=1)`, `class ClientCredentials(Base2)`
    let word_end = WORD.run(bytes, inside.start, NAME_MAX);
    let is_call = word_end > inside.start && bytes.get(word_end) == Some(&b'=');
    let before = &bytes[..open.saturating_sub(name.len())];
    if is_call || before.ends_with(b"class ") || before.ends_with(b"def ") {
        return None;
    }
    // `credentials (user:password)`
    let user = text[inside.clone()]
        .find(':')
        .filter(|_| names_both(name))
        .map_or(0, |colon| colon + 1);
    let password = inside.start + user..inside.end;
    closes.then(|| judge_at(text, Strength::Password, Join::Told, name, password))?
}

/// Names of users, before a sign and that of a password: `login/heslo: …`.
const USERS: [&str; 7] = ["id", "user", "login", "username", "uživatel", "uzivatel", "jméno"];
/// What names no password, but a user and one: `Přístup: …`.
const ACCESS: [&str; 6] = ["ístup:", "ístupy:", "údaje:", "udaje:", "hlášení:", "hlaseni:"];

/// Says whether a name stands behind that of a user and one sign.
fn is_behind_name_of_user(text: &str, name: usize) -> bool {
    let bytes = text.as_bytes();
    let Some(sign) = name.checked_sub(1) else {
        return false;
    };
    if !matches!(bytes[sign], b'/' | b'&' | b'+' | b'(') {
        return false;
    }
    USERS.iter().any(|user| {
        let start = sign.checked_sub(user.len());
        start.is_some_and(|start| {
            let is_user = text
                .get(start..sign)
                .is_some_and(|head| head.eq_ignore_ascii_case(user));
            is_user && (start == 0 || !WORD.has(bytes[start - 1]))
        })
    })
}

/// Judges the second part behind a name of both: `ID/PW -> user/…`, `(login & heslo): user, …`, `přístup: user/…`.
pub(super) fn second_of_pair(text: &str, word: &Range<usize>) -> Option<Hit> {
    let bytes = text.as_bytes();
    let is_access = ACCESS.iter().any(|name| text[word.start..].starts_with(name));
    if !is_access && !is_behind_name_of_user(text, word.start) {
        return None;
    }
    // The name's end, and what joins it to the user's.
    let mut at = LETTER.run(bytes, word.start, 16);
    if is_access {
        at = word.start + text[word.start..].find(':')?;
    }
    at += usize::from(bytes.get(at) == Some(&b')'));
    at = skip_blank(bytes, at);
    let joint = match (bytes.get(at)?, bytes.get(at + 1)) {
        (b'-' | b'=', Some(b'>')) => 2,
        (b':' | b'-' | b'=', _) => 1,
        (byte, _) if LETTER.has(*byte) && bytes[at - 1] == b' ' => 0,
        _ => return None,
    };
    let user = skip_blank(bytes, at + joint);
    let end = (user..bytes.len().min(user + 64))
        .find(|&at| !(ALNUM.or(DASH).or(DOT).has(bytes[at]) || matches!(bytes[at], b'_' | b'@')))?;
    let spaced = bytes[end..].starts_with(b" / ");
    let second = end + if spaced { 3 } else { 1 };
    if end == user || !(spaced || matches!(bytes[end], b'/' | b',' | b':' | b'(')) {
        return None;
    }
    let value = bare(text, second, true);
    let odd = super::values::odd_word(text, &(second..second));
    if let Some(hit) = odd.and_then(|odd| judge_at(text, Strength::Password, Join::Quoted, "", odd)) {
        return Some(hit);
    }
    let join = if is_access || joint == 0 {
        Join::Told
    } else {
        Join::Prose
    };
    let hit = judge_at(text, Strength::Password, join, "", value.clone())?;
    Some(Hit {
        range: whole_word(text, &value),
        ..hit
    })
}

/// Longest token before its name, in bytes.
const TOKEN_MAX: usize = 128;

/// Judges the word before `is the password`, `je heslo`.
pub(super) fn before_name(text: &str, name: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let of_owner = |word: &&&str| bytes[..name].ends_with(word.as_bytes());
    let owner = ["API ", "api ", "new ", "login ", "current "]
        .iter()
        .find(of_owner);
    let is_of_api = owner.is_some_and(|owner| owner.starts_with(['a', 'A']));
    let (whole, name) = (name, name - owner.map_or(0, |owner| owner.len()));
    let is_closed = || {
        let end = WORD.run(bytes, whole, 16);
        bytes.get(end) == Some(&b')') || bytes[end..].starts_with(b" key)")
    };
    let verb = [" is the ", " as the ", " as ", " je ", " ("]
        .into_iter()
        .find(|verb| bytes[..name].ends_with(verb.as_bytes()) && (*verb != " (" || is_closed()))?;
    let end = name - verb.len();
    let start = (end.saturating_sub(TOKEN_MAX)..end)
        .rev()
        .take_while(|&at| !bytes[at].is_ascii_whitespace())
        .last()?;
    let is_whole = start == 0 || bytes[start - 1].is_ascii_whitespace();
    let is_one_of = |words: &[&str]| words.iter().any(|word| around::starts_with(bytes, whole, word));
    let (strength, join) = if is_one_of(&["password", "passwd", "heslo", "pwd"]) {
        (Strength::Password, Join::Told)
    } else if is_of_api || is_one_of(&["token", "access key", "key", "secret", "klíč"]) {
        (Strength::Secret, Join::Loose)
    } else {
        return None;
    };
    let marks = |byte: u8| matches!(byte, b'`' | b'"' | b'\'' | b'(' | b'*');
    let from = start + usize::from(marks(bytes[start]));
    let to = end - usize::from(end > from && marks(bytes[end - 1]));
    // Of markup only a note stands before such a label.
    if verb == " ("
        && bytes[start..end]
            .iter()
            .any(|byte| matches!(byte, b'<' | b'>' | b'='))
    {
        return None;
    }
    (is_whole && from < to && text.is_char_boundary(from) && text.is_char_boundary(to))
        .then(|| judge_at(text, strength, join, "", from..to))?
}
