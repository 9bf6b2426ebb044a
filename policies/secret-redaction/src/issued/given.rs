//! Noise that somebody gives to something: the literal of a call, the value of a name that says nothing.

use super::Run;
use crate::alphabet::{ALNUM, Alphabet, BASE64, DASH, DOT, EQUALS, PLUS_SLASH, WORD};
use crate::{keys, shape};
use std::ops::Range;

/// Longest noise, in bytes; what is longer is data.
const LENGTH_MAX: usize = 200;
/// Shortest noise that has letters of one case, or signs, in bytes.
const LENGTH_MIN: usize = 22;
/// Lengths of keys of 32, 48 and 64 bytes in base64, which addresses and paths do not have.
const BASE64_LENGTHS: [usize; 3] = [44, 64, 88];
/// Base64 without its padding.
const PLUS_SLASHED: Alphabet = ALNUM.or(PLUS_SLASH);
/// Longest name before it, in bytes.
const NAME_MAX: usize = 64;
/// In names of calls whose literal is a secret, if it is noise.
const TELLING: [&str; 8] = [
    "auth",
    "token",
    "bearer",
    "apikey",
    "api_key",
    "secret",
    "login",
    "credential",
];
/// In names of calls whose literal may be noise.
const OTHER: [&str; 53] = [
    "read", "open", "table", "path", "join", "input", "output", "load", "print", "log", "time", "format",
    "replace", "split", "get", "find", "sheet", "file", "source", "config", "color", "hash", "image", "b64",
    "hex", "uuid", "where", "filter", "select", "col", "assert", "equal", "url", "link", "sha", "md5",
    "checksum", "digest", "match", "regex", "value", "data", "script", "require", "import", "install",
    "version", "insert", "objectid", "branch", "commit", "query", "isin",
];

/// Says whether a run is the literal that a call is given, or the value of a name, neither of which says that it is anything else.
pub(super) fn is_given(text: &[u8], run: &Run) -> bool {
    is_given_at(text, run.range.clone())
}

/// The same of a value in base64 of which a run is a part. Returns the value.
pub(super) fn of_base64(text: &[u8], run: &Run) -> Option<Range<usize>> {
    let start = PLUS_SLASHED.run_back(text, run.range.start, LENGTH_MAX);
    let end = BASE64.run(text, run.range.end, LENGTH_MAX);
    let value = &text[start..end];
    let is_base64 = BASE64_LENGTHS.contains(&value.len())
        && value.len() > run.range.len()
        && PLUS_SLASHED.or(EQUALS).all(value);
    let is_noise = || super::has_both_cases(value) && shape::is_opaque(value, 44) && !shape::has_words(value);
    (is_base64 && is_noise() && is_given_at(text, start..end)).then_some(start..end)
}

fn is_given_at(text: &[u8], Range { start, end }: Range<usize>) -> bool {
    if !(super::RUN_MIN..=LENGTH_MAX).contains(&(end - start)) {
        return false;
    }
    let (open, quote) = match start.checked_sub(1).map(|at| (at, text[at])) {
        Some((at, quote @ (b'"' | b'\'' | b'`'))) => {
            (at - usize::from(text[..at].ends_with(b"\\")), Some(quote))
        }
        _ => (start, None),
    };
    // Nothing of a longer text.
    let close = end + usize::from(text.get(end) == Some(&b'\\') && quote.is_some());
    let close = match quote {
        Some(quote) if text.get(close) == Some(&quote) => close + 1,
        Some(_) => return false,
        None => end,
    };
    let before = &text[..open];
    let blank = blanks_before(before, 2);
    let before = &before[..before.len() - blank];
    match before.last() {
        Some(b'(') if quote.is_some() => {
            is_argument(before, text.get(close)) && is_noise_of(&text[start..end], callee(before))
        }
        Some(b',') if quote.is_some() => {
            let name = DOT.or(WORD).run_back(before, before.len() - 1, NAME_MAX);
            let call = before[..name].strip_suffix(b"(").map(|_| &before[..name]);
            call.is_some_and(|call| {
                is_argument(call, text.get(close))
                    && has_one_of(callee(call), &TELLING)
                    && is_noise_or_uuid(&text[start..end])
            })
        }
        // `bitcoin:…` is an address.
        Some(sign @ (b'=' | b':')) if *sign == b'=' || quote.is_some() || blank > 0 => {
            is_value(before, &text[close..]) && is_noise(&text[start..end])
        }
        _ => false,
    }
}

/// Returns how many blanks a text ends with, up to a number.
fn blanks_before(text: &[u8], max: usize) -> usize {
    let last = text.iter().rev().take(max);
    last.take_while(|byte| **byte == b' ').count()
}

fn callee(before: &[u8]) -> &[u8] {
    let open = before.len() - 1;
    &before[WORD.or(DOT).run_back(before, open, NAME_MAX)..open]
}

fn is_argument(before: &[u8], next: Option<&u8>) -> bool {
    !callee(before).is_empty() && matches!(next, Some(b')' | b','))
}

fn is_noise_of(noise: &[u8], callee: &[u8]) -> bool {
    if has_one_of(callee, &TELLING) || makes_client(callee) {
        is_noise_or_uuid(noise)
    } else {
        !has_one_of(callee, &OTHER) && is_noise(noise)
    }
}

/// `new AcmeAPI('…')`, `acme.Client('…')`
fn makes_client(callee: &[u8]) -> bool {
    let name = callee
        .rsplit(|byte| *byte == b'.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    name == b"client" || name.ends_with(b"api") || name.ends_with(b"sdk")
}

fn has_one_of(callee: &[u8], words: &[&str]) -> bool {
    let lower = callee.to_ascii_lowercase();
    words
        .iter()
        .any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
}

fn is_noise_or_uuid(bytes: &[u8]) -> bool {
    is_noise(bytes) || shape::is_uuid(bytes)
}

fn is_value(before: &[u8], after: &[u8]) -> bool {
    let sign = before.len() - 1;
    let sign = sign - usize::from(matches!(before.get(sign.wrapping_sub(1)), Some(b':' | b'<')));
    let end = sign - blanks_before(&before[..sign], 8);
    let quote = before[..end].last().filter(|byte| matches!(byte, b'"' | b'\''));
    let end = end - usize::from(quote.is_some());
    let start = WORD.or(DOT).or(DASH).run_back(before, end, NAME_MAX);
    let name = &before[start..end];
    let is_alone = match (quote, before[..start].split_last()) {
        (None, None) => true,
        (None, Some((byte, _))) => matches!(byte, b'\n' | b' ' | b'\t' | b'\\' | b'"'),
        // `{'acme': '…'}`
        (Some(quote), Some((open, [.., byte]))) => {
            open == quote && matches!(byte, b'{' | b' ' | b',' | b'(' | b'\n')
        }
        (Some(_), _) => false,
    };
    let ends = match after.first() {
        None | Some(b'\n' | b'\r' | b',' | b';' | b'#' | b')' | b'}') => true,
        Some(b'\\') => after.get(1).is_some_and(|next| *next == b'n'),
        _ => false,
    };
    !name.is_empty()
        && name[0].is_ascii_alphabetic()
        && is_alone
        && ends
        && std::str::from_utf8(name).is_ok_and(|name| !keys::is_of_noise(name))
}

fn is_noise(bytes: &[u8]) -> bool {
    let joints = bytes.iter().filter(|byte| !ALNUM.has(**byte)).count();
    // Names of machines have joints all over.
    let is_of_one_piece = joints * 8 <= bytes.len();
    let is_long = bytes.len() >= LENGTH_MIN || (ALNUM.all(bytes) && super::has_both_cases(bytes));
    shape::is_hex_key(bytes)
        || (is_long && is_of_one_piece && !super::is_ulid(bytes) && shape::is_noise(bytes, super::RUN_MIN))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HEXADECIMAL, NOISE, check};
    use expect_test::expect;

    const UUID: &str = "ae4eea22-0942-49f4-8fdf-07fe751ab67d";

    #[test]
    fn literals_of_calls() {
        let texts = [
            format!("client = Acme('{NOISE}')"),
            format!("client = Acme(\\\"{NOISE}\\\", region='eu')"),
            format!("acme_auth('{HEXADECIMAL}')"),
            format!("req |> req_auth_bearer_token(\"{UUID}\")"),
            format!("Acme('{UUID}')"),
            format!("read_csv('{NOISE}')"),
            format!("Acme('{NOISE}' + suffix)"),
            format!("('{NOISE}', 1)"),
            "Acme('customers_by_region_and_country_2026')".to_owned(),
        ];
        check(
            &texts,
            &expect![[r#"
            client = Acme('aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE')  ->  ["aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            client = Acme(\"aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE\", region='eu')  ->  ["aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            acme_auth('0f3a9c71d25e84b60f3a9c71d25e84b6')  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
            req |> req_auth_bearer_token("ae4eea22-0942-49f4-8fdf-07fe751ab67d")  ->  ["ae4eea22-0942-49f4-8fdf-07fe751ab67d"]
            Acme('ae4eea22-0942-49f4-8fdf-07fe751ab67d')  ->  []
            read_csv('aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE')  ->  []
            Acme('aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE' + suffix)  ->  []
            ('aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE', 1)  ->  []
            Acme('customers_by_region_and_country_2026')  ->  []
        "#]],
        );
    }

    #[test]
    fn values_of_names_that_say_nothing() {
        let texts = [
            format!("acme = '{NOISE}'"),
            format!("acme: {NOISE}"),
            format!("ACME={HEXADECIMAL}\n"),
            format!("acme = '{UUID}'"),
            format!("spreadsheet_id = '{NOISE}'"),
            format!("sha256: {HEXADECIMAL}"),
            format!("bitcoin:{NOISE}"),
            format!("acme = {NOISE}.orders"),
            format!("a >= '{NOISE}'"),
        ];
        check(
            &texts,
            &expect![[r#"
            acme = 'aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE'  ->  ["aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            acme: aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            ACME=0f3a9c71d25e84b60f3a9c71d25e84b6
              ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
            acme = 'ae4eea22-0942-49f4-8fdf-07fe751ab67d'  ->  []
            spreadsheet_id = 'aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE'  ->  []
            sha256: 0f3a9c71d25e84b60f3a9c71d25e84b6  ->  []
            bitcoin:aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  []
            acme = aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE.orders  ->  []
            a >= 'aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE'  ->  []
        "#]],
        );
    }
}
