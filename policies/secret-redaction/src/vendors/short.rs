//! Tokens that are shorter than others or have a form of their own, so that only the name of their own service tells of them:
//! `mite: 07ec…`, 16 digits that would be an id elsewhere.

use crate::alphabet::{ALNUM, Alphabet, HEX, LOWER_ALNUM, LOWER_HEX, UPPER_ALNUM, WORD, variety};
use crate::shape;

/// What tokens of a service look like.
#[derive(Debug, Clone, Copy)]
struct Token {
    service: &'static str,
    /// What it begins with.
    start: &'static str,
    alphabet: Alphabet,
    /// Bytes behind the start.
    length: usize,
}

const fn token(service: &'static str, alphabet: Alphabet, length: usize) -> Token {
    Token {
        service,
        start: "",
        alphabet,
        length,
    }
}

const TOKENS: [Token; 11] = [
    token("dropbox", LOWER_ALNUM, 15),
    token("linkedin", ALNUM, 16),
    token("vonage", ALNUM, 16),
    token("nexmo", ALNUM, 16),
    token("dotdigital", ALNUM, 16),
    token("kanbantool", UPPER_ALNUM, 12),
    token("mite", LOWER_HEX, 16),
    token("sift", LOWER_HEX, 16),
    token("plaid", LOWER_HEX, 30),
    token("ritekit", LOWER_HEX, 44),
    Token {
        service: "neverbounce",
        start: "private_",
        alphabet: LOWER_HEX,
        length: 32,
    },
];

/// Names that wake [`beside_name`].
pub(crate) const NAMES: [&str; TOKENS.len()] = {
    let mut names = [""; TOKENS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = TOKENS[at].service;
        at += 1;
    }
    names
};

/// What may stand between a name and its token besides signs; so many of them.
const WORDS: [&str; 7] = ["api", "key", "token", "secret", "apikey", "auth", "klíč"];
const WORDS_MAX: usize = 2;
/// So many signs stand there at most, in bytes.
const SIGNS_MAX: usize = 6;

impl Token {
    fn of(name: &[u8]) -> Option<&'static Self> {
        TOKENS
            .iter()
            .find(|token| name.eq_ignore_ascii_case(token.service.as_bytes()))
    }

    fn is(&self, value: &[u8]) -> bool {
        value
            .strip_prefix(self.start.as_bytes())
            .is_some_and(|noise| noise.len() == self.length && self.alphabet.all(noise) && is_random(noise))
    }
}

/// Says whether digits and letters are mixed as they are by chance.
fn is_random(noise: &[u8]) -> bool {
    let digits = noise.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_mixed = digits >= 1 && digits < noise.len() && variety(noise) >= 7;
    is_mixed && (HEX.all(noise) || shape::is_opaque(noise, 12))
}

/// Says whether a value is what the service of this name gives out.
pub(super) fn is_of(name: &[u8], value: &[u8]) -> bool {
    Token::of(name).is_some_and(|token| token.is(value))
}

/// Returns the token behind the name of its service at `at`: `mite = "…"`, `Sift key → …`.
pub(crate) fn beside_name(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let is_whole = at == 0 || !WORD.has(text[at - 1]);
    let mut end = ALNUM.run(text, at, super::NAME_MAX);
    let token = Token::of(&text[at..end]).filter(|_| is_whole)?;
    for _ in 0..WORDS_MAX {
        let joint = usize::from(matches!(text.get(end), Some(b' ' | b'_' | b'-')));
        let rest = &text[end + joint..];
        let is_word = |word: &&&str| {
            rest.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
                && rest.get(word.len()).is_none_or(|next| !ALNUM.has(*next))
        };
        match WORDS.iter().find(is_word) {
            Some(word) if joint == 1 => end += joint + word.len(),
            _ => break,
        }
    }
    // Quotes, blanks, signs, and arrows and dashes of more than one byte.
    let signs = text[end..]
        .iter()
        .take(SIGNS_MAX)
        .take_while(|sign| {
            matches!(
                sign,
                b' ' | b'\t' | b'"' | b'\'' | b'`' | b'=' | b':' | b'>' | b'-' | b'('
            ) || !sign.is_ascii()
        })
        .count();
    let start = end + signs;
    let joins = |sign: &u8| matches!(sign, b'=' | b':' | b'>' | b'-' | b'(') || !sign.is_ascii();
    let stop = start + token.start.len() + token.length;
    let is_token =
        text[end..start].iter().any(joins) && token.is(text.get(start..stop)?) && !goes_on(&text[stop..]);
    is_token.then_some((start, stop))
}

/// Says whether what ends here is a part of a longer word, of a file's name or an address.
fn goes_on(rest: &[u8]) -> bool {
    match rest.first() {
        Some(b'.') => rest.get(1).is_some_and(|next| ALNUM.has(*next)),
        Some(next) => WORD.has(*next) || matches!(next, b'-' | b'/' | b'@'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX_16: &str = "0f3a9c71d25e84b6";

    #[test]
    fn what_wakes_is_the_name_of_a_service() {
        assert!(
            NAMES
                .iter()
                .all(|name| crate::vendors::is_service(name.as_bytes()))
        );
    }

    #[test]
    fn a_short_token_is_one_beside_its_own_service() {
        for text in [
            format!("mite = \"<{HEX_16}>\""),
            format!("var sift = '<{HEX_16}>';"),
            format!("Sift key → <{HEX_16}>"),
            format!("SIFT_API_KEY=<{HEX_16}>"),
            "dropbox: <a3bd5ef7gh9jk2l>. Next.".to_owned(),
            "Kanbantool klíč: <AB3DE5FG7HJ9>".to_owned(),
            format!("neverbounce: <private_{HEX_16}{HEX_16}>"),
        ] {
            let plain = text.replace(['<', '>'], "");
            let lower = plain.to_ascii_lowercase();
            let at = NAMES.iter().find_map(|name| lower.find(name));
            let expected = &text[text.find('<').unwrap() + 1..text.find('>').unwrap()];
            let found = beside_name(plain.as_bytes(), at.unwrap()).map(|(start, end)| &plain[start..end]);
            assert_eq!(found, Some(expected), "{text}");
        }
    }

    #[test]
    fn other_values_and_other_names_stay() {
        for text in [
            format!("mite_id = {HEX_16}"),
            format!("mite = {HEX_16}0f3a9c71"),
            "mite = customersbyyears".to_owned(),
            format!("mite {HEX_16}"),
            format!("mite = {HEX_16}.js"),
            "sift = 2026112810000001".to_owned(),
            "nexmo: customersOrders1".to_owned(),
        ] {
            assert_eq!(beside_name(text.as_bytes(), 0), None, "{text}");
        }
        let text = format!("termite = {HEX_16}");
        assert_eq!(beside_name(text.as_bytes(), 3), None);
    }
}
