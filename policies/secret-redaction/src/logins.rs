//! Passwords behind a user's name, where a note says how somebody gets in: `Login: etl / …`, `credentials for the warehouse: etl/…`,
//! `sign in with etl:…`, `přístup do FTP: etl / …`.
//!
//! Nothing in such a line says which is the password, so it has to look like one.

use crate::alphabet::{ALNUM, DASH, DOT, LETTER};
use crate::keys::Strength;
use crate::shape::{self, Join};

/// Longest words between the name and its sign, in bytes.
const WORDS_MAX: usize = 48;
/// Longest name of a user, in bytes.
const USER_MAX: usize = 64;
/// Longest password, in bytes.
const VALUE_MAX: usize = 64;

/// What begins such a line, with a sign behind it.
pub(crate) const NAMES: [&str; 8] = [
    "login",
    "logins",
    "credentials",
    "creds",
    "access:",
    "ístup",
    "ístupy",
    "údaje",
];

/// The same without one.
pub(crate) const VERBS: [&str; 3] = ["log in with ", "sign in with ", "login with "];

/// Returns the password behind one of [`VERBS`].
pub(crate) fn behind_verb(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let verb = VERBS.iter().find(|verb| starts_with(text, at, verb))?;
    second(text, at + verb.len())
}

/// Returns the password behind one of [`NAMES`] and its sign.
pub(crate) fn behind_name(text: &[u8], at: usize) -> Option<(usize, usize)> {
    // What is longer is a name of its own.
    let is_whole = at == 0 || !(ALNUM.or(DASH).or(DOT).has(text[at - 1]) || text[at - 1] == b'_');
    let name = NAMES
        .iter()
        .filter(|name| starts_with(text, at, name))
        .max_by_key(|name| name.len())?;
    let mut place = at + name.len() - usize::from(name.ends_with(':'));
    if !(is_whole || text[at] >= 0x80) || text.get(place).is_some_and(|byte| LETTER.has(*byte)) {
        return None;
    }
    let limit = text.len().min(place + WORDS_MAX);
    while place < limit {
        let byte = text[place];
        if byte == b':' {
            return second(text, place + 1);
        }
        for sign in [" - ", " – ", " = ", " → "] {
            if text[place..].starts_with(sign.as_bytes()) {
                return second(text, place + sign.len());
            }
        }
        if !(ALNUM.or(DASH).has(byte) || matches!(byte, b' ' | b'*' | b'_' | b'(' | b')') || byte >= 0x80) {
            return None;
        }
        place += 1;
    }
    None
}

fn starts_with(text: &[u8], at: usize, word: &str) -> bool {
    let part = text.get(at..at + word.len());
    part.is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// Returns the second of a user's name and a password from `at` on.
fn second(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let is_mark = |byte: &u8| matches!(byte, b' ' | b'*' | b'`' | b'"' | b'\'');
    let marks = text[at..].iter().take(4).take_while(|byte| is_mark(byte)).count();
    let user = at + marks;
    let limit = text.len().min(user + USER_MAX);
    let is_of_user = |byte: u8| ALNUM.or(DASH).or(DOT).has(byte) || matches!(byte, b'_' | b'@');
    let end = (user..limit).find(|&at| !is_of_user(text[at]))?;
    if end < user + 2 || !LETTER.has(text[user]) {
        return None;
    }
    let closing = text[end..]
        .iter()
        .take(2)
        .take_while(|byte| matches!(byte, b'`' | b'"' | b'\''))
        .count();
    let rest = &text[end + closing..];
    let is_spaced = rest.starts_with(b" / ");
    let is_slash = rest.starts_with(b"/");
    if !(is_spaced || is_slash || rest.starts_with(b":")) {
        return None;
    }
    // A host and a path.
    if is_slash && text[user..end].contains(&b'.') {
        return None;
    }
    let mut start = end + closing + if is_spaced { 3 } else { 1 };
    start += usize::from(matches!(text.get(start), Some(b'`' | b'"' | b'\'')));
    let limit = text.len().min(start + VALUE_MAX);
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'`' | b'"' | b'\'' | b'\\');
    let length = text[start..limit].iter().position(ends);
    let mut stop = length.map_or(limit, |length| start + length);
    if stop == limit && limit < text.len() {
        return None;
    }
    if stop > start && matches!(text[stop - 1], b'.' | b',' | b';' | b':' | b')') {
        stop -= 1;
    }
    let value = std::str::from_utf8(&text[start..stop]).ok()?;
    is_password(value, is_slash).then_some((start, stop))
}

fn is_password(value: &str, is_part_of_word: bool) -> bool {
    let bytes = value.as_bytes();
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    let is_sign = |byte: &u8| matches!(byte, b'!' | b'#' | b'$' | b'%' | b'^' | b'*' | b'?' | b'+' | b'@');
    // A part of a path has no signs, and seldom letters of both cases.
    let is_no_path = has(is_sign) || (has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase));
    let begins = bytes
        .first()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || is_sign(byte));
    let is_secret = |join: Join| shape::is_secret(Strength::Password, join, "", value);
    begins
        && !value.contains("//")
        && (is_no_path || !is_part_of_word)
        && (shape::is_made_up_with_odd_signs(value) && is_secret(Join::Quoted)
            || !bytes
                .iter()
                .any(|byte| matches!(byte, b'/' | b'(' | b'|' | b'<' | b',' | b'='))
                && is_secret(Join::Told))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let readers = NAMES
            .iter()
            .map(|name| (*name, behind_name as fn(&[u8], usize) -> _))
            .chain(
                VERBS
                    .iter()
                    .map(|verb| (*verb, behind_verb as fn(&[u8], usize) -> _)),
            );
        let mut found: Vec<&str> = readers
            .flat_map(|(start, reader)| {
                let places = (0..text.len()).filter(move |at| starts_with(text.as_bytes(), *at, start));
                places.filter_map(move |at| reader(text.as_bytes(), at))
            })
            .map(|(start, end)| &text[start..end])
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn passwords_behind_users() {
        for (text, expected) in [
            ("Login: etl / Zima2031", "Zima2031"),
            ("- **Login**: `etl` / `Zi4ma!31`", "Zi4ma!31"),
            ("login: dwh_user/YRX%Lb!hJB", "YRX%Lb!hJB"),
            ("-- login: jana.n / Zi4ma#31", "Zi4ma#31"),
            ("Credentials for the warehouse: etl/Ry.ba1611!", "Ry.ba1611!"),
            ("DB creds - etl / gC7S(DE0qKi!", "gC7S(DE0qKi!"),
            ("Access: etl:Krtek_5799.", "Krtek_5799"),
            ("Access: etl:cxM4g|o3eW77", "cxM4g|o3eW77"),
            ("Log in with etl / Ko9t#Kap and go on", "Ko9t#Kap"),
            (
                "please sign in with etl:37cvg+u9SxzB at the portal",
                "37cvg+u9SxzB",
            ),
            ("Přístup do FTP: etl / Y4XjX#JGUh03", "Y4XjX#JGUh03"),
            ("přístupy: etl:Zi3lAwDm7QpR", "Zi3lAwDm7QpR"),
            ("přihlašovací údaje: etl / ogF7sPKHLaZDF", "ogF7sPKHLaZDF"),
        ] {
            assert_eq!(found(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_password_stays() {
        for text in [
            "Login: page / form",
            "Login: admin / editor / viewer",
            "login: see the wiki / ask Jana",
            "Login: www.acme.example/login2024",
            "login: https://acme.example/Login2",
            "login: user / e-mail",
            "Login: SSO / MFA",
            "Login: 15/20 users",
            "login: 2024-05-01 / 2024-06-01",
            "login: GET /api/v2/login",
            "login: path/orders2024",
            "loginUrl: etl / Zima2031",
            "last_login: etl / Zima2031",
            "Credentials: OAuth / basic",
            "Credentials: Snowflake/Redshift",
            "Access: read/write",
            "Access: read:org",
            "Access: admin / [REDACTED:password:0]",
            "Log in with Google / Facebook",
            "Přístup: pouze čtení / zápis",
            "login: jnovak / Jan Novak",
            "login:",
            "login: etl /",
            "login: etl / ",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
