//! Secrets in the path and in the query of URLs: whoever has such a URL needs nothing else.
//!
//! Each reader is given the text and the place of what woke it.

use crate::alphabet::{ALNUM, DASH, DIGIT, HEX, PERCENT, TOKEN, URL64, WORD, variety};
use crate::{formats, shape};

/// Longest value of a parameter, in bytes; a signature of Google has 512 digits.
const PARAMETER_MAX: usize = 2048;
/// So far before a part of a path its scheme is looked for, in bytes.
const REACH: usize = 300;
/// Longest number of a project, longest name of a source of a stream, and shortest secret of one, in bytes.
const PROJECT_MAX: usize = 12;
const SOURCE_MAX: usize = 128;
const STREAM_SECRET_MIN: usize = 24;
/// Longest name of a parameter before the word that woke the reader, in bytes.
const NAME_MAX: usize = 20;

/// Returns the signature after `sig=` or the like in a URL that grants access.
pub(crate) fn signature(text: &[u8], at: usize) -> Option<(usize, usize)> {
    parameter(text, at, |value| {
        (value.len() >= 24 && variety(value) >= 10) || (value.len() >= 16 && shape::is_hex_or_uuid(value))
    })
}

/// Returns the value of a parameter whose name says that it may be a secret: `code=`, `ticket=`.
pub(crate) fn telling_parameter(text: &[u8], at: usize) -> Option<(usize, usize)> {
    parameter(text, at, |value| {
        let value = value.strip_prefix(b"0x").unwrap_or(value);
        shape::is_hex_key(value) || shape::is_hex_key_of_name(value) || shape::is_noise(value, 16)
    })
}

/// The same of a name that says nothing.
pub(crate) fn mute_parameter(text: &[u8], at: usize) -> Option<(usize, usize)> {
    parameter(text, at, |value| {
        shape::is_hex_key(value) || shape::is_noise(value, 20)
    })
}

/// Returns the value of the parameter whose name, or the end of it, is at `at`, if it is a secret without its escapes.
fn parameter(text: &[u8], at: usize, is_secret: impl FnOnce(&[u8]) -> bool) -> Option<(usize, usize)> {
    let name = match text[at] {
        b'?' | b'&' => at + 1,
        _ => WORD.or(DASH).run_back(text, at, NAME_MAX),
    };
    if !matches!(
        name.checked_sub(1).map(|before| text[before]),
        Some(b'&' | b'?' | b';' | b'#' | b'"')
    ) {
        return None;
    }
    let start = at + memchr::memchr(b'=', &text[at..])? + 1;
    let end = TOKEN.or(PERCENT).run(text, start, PARAMETER_MAX);
    let value = &text[start..end];
    let is_of_secret = if value.contains(&b'%') {
        is_secret(&without_escapes(value))
    } else {
        is_secret(value)
    };
    is_of_secret.then_some((start, end))
}

/// Takes escapes out of a value; what they stand for does not matter.
fn without_escapes(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        rest = match after {
            [high, low, after @ ..] if *first == b'%' && HEX.has(*high) && HEX.has(*low) => after,
            after => {
                plain.push(*first);
                after
            }
        };
    }
    plain
}

/// Returns the part of a path behind one that says what it is: `/token/…`, `/export/…`.
pub(crate) fn behind_telling_part(text: &[u8], at: usize) -> Option<(usize, usize)> {
    part_behind(text, at, |part| {
        shape::is_hex_key(part) || shape::is_noise(part, 20)
    })
}

/// The same behind `/hooks/`, where people who make hooks get an id, or an id and a token.
pub(crate) fn behind_hook(text: &[u8], at: usize) -> Option<(usize, usize)> {
    part_behind(text, at, |part| {
        shape::is_hex_key(part) || shape::is_noise(part, 16) || shape::is_uuid(part)
    })
}

/// The same behind the version of an interface: `/v2/…`.
pub(crate) fn behind_version(text: &[u8], at: usize) -> Option<(usize, usize)> {
    part_behind(text, at, |part| {
        shape::is_hex_key(part) || shape::is_noise(part, 24)
    })
}

/// Returns the first part of the path behind the one that is at `at`, but for a number, and a part behind it that is one, too.
fn part_behind(text: &[u8], at: usize, is_secret: impl Fn(&[u8]) -> bool) -> Option<(usize, usize)> {
    let open = at + 1 + memchr::memchr2(b'/', b'-', &text[at + 1..])?;
    let part = |from: usize| {
        let end = URL64.run(text, from, PARAMETER_MAX);
        let is_whole = text
            .get(end)
            .is_none_or(|next| !ALNUM.has(*next) && !matches!(next, b'%' | b'@' | b'{' | b'$' | b'<'));
        (end > from && is_whole).then_some((from, end))
    };
    let mut found = part(open + 1)?;
    if text[found.0..].starts_with(b"eyJ") && formats::json_web_token(text, found.0).is_some() {
        // It has dots, and is read as a whole.
        return None;
    }
    if DIGIT.all(&text[found.0..found.1]) && text.get(found.1) == Some(&b'/') {
        found = part(found.1 + 1)?;
    }
    if !is_secret(&text[found.0..found.1]) || !is_in_url(text, at) {
        return None;
    }
    if text.get(found.1) == Some(&b'/')
        && let Some((start, end)) = part(found.1 + 1)
        && is_secret(&text[start..end])
    {
        found.1 = end;
    }
    Some(found)
}

/// Returns the secret of a source of a data stream of Keboola: `/stream/<project>/<source>/<secret>`.
pub(crate) fn of_stream(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let project = at + 1 + memchr::memchr(b'/', &text[at + 1..])? + 1;
    let source = DIGIT.run(text, project, PROJECT_MAX) + 1;
    let start = URL64.run(text, source, SOURCE_MAX) + 1;
    let end = ALNUM.run(text, start, PARAMETER_MAX);
    let is_source = source > project + 1
        && text.get(source - 1) == Some(&b'/')
        && start > source + 1
        && text.get(start - 1) == Some(&b'/');
    let is_secret = || shape::is_noise(&text[start..end], STREAM_SECRET_MIN) && is_in_url(text, at);
    (is_source && is_secret()).then_some((start, end))
}

fn is_in_url(text: &[u8], at: usize) -> bool {
    let before = &text[at.saturating_sub(REACH)..at];
    let word = before
        .iter()
        .rposition(|byte| {
            byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'(')
        })
        .map_or(0, |end| end + 1);
    memchr::memmem::find(&before[word..], b"://").is_some()
}

#[cfg(test)]
mod tests {
    use crate::scan::{Depth, Scanner};

    /// Nothing of it is in use.
    const NOISE: &str = "y1uwthykKmbK3PD4eowNu9YdzbMYZBx2";
    const HEXADECIMAL: &str = "c361ddc240dc10122f28aa80e9f74709";
    const UUID: &str = "ae4eea22-0942-49f4-8fdf-07fe751ab67d";

    /// What goes is in brackets.
    #[track_caller]
    fn check(urls: &[String]) {
        let scanner = Scanner::new();
        for expected in urls {
            let url = expected.replace(['⟦', '⟧'], "");
            let mut drawn = url.clone();
            for hit in scanner.scan(&url, Depth::All(0)).iter().rev() {
                drawn.insert(hit.range.end, '⟧');
                drawn.insert(hit.range.start, '⟦');
            }
            assert_eq!(&drawn, expected);
        }
    }

    #[test]
    fn parameters_that_give_access_go_with_their_escapes() {
        check(&[
            "https://x?sp=r&sig=⟦1CTG28yP%2Fck0y5VZgsXiDwe7A5IdiLSoMDow%2BilF0a8%3D⟧ and".to_owned(),
            "https://x?Expires=1893456000&Signature=⟦MKnPDRLjvYGzvwJ4pRu8fHujXiK%3D⟧".to_owned(),
            "https://x/feed.xml?exp=1893456000&sig=⟦0ae1a6631219b668⟧".to_owned(),
            format!("https://x/o?X-Goog-Signature=⟦{}⟧", "7cbfe6bd100b2ea1".repeat(32)),
            "https://fn.example.net/api/Export?name=x&code=⟦x0Zbm1eKiTqarSkbmLjZ_CZqbZhJbZ8W0JyA4SBVA2AzFuAZqbnc%3D%3D⟧".to_owned(),
            format!("https://shop.example/x?ticket=⟦{NOISE}⟧&limit=10"),
            format!("https://shop.example/x?session=⟦0x{HEXADECIMAL}⟧"),
            format!("https://shop.example/x?appid=⟦private_{HEXADECIMAL}⟧"),
            format!("https://shop.example/x?k=⟦{NOISE}⟧"),
            format!("https://shop.example/x?a=1&hash=⟦{HEXADECIMAL}⟧"),
        ]);
    }

    #[test]
    fn other_parameters_stay() {
        check(&[
            "https://x?sp=r&sig=none".to_owned(),
            "https://x?code=SUMMER2026&k=orders-by-region&t=1893456000".to_owned(),
            format!("https://x?id={HEXADECIMAL}&hash=abc"),
            format!("barcode={NOISE} is no parameter").replace(NOISE, "4006381333931"),
            "https://x?code=the_name_of_the_country_in_the_region_12".to_owned(),
        ]);
    }

    #[test]
    fn parts_of_paths_behind_what_tells_of_them_go() {
        check(&[
            format!("https://feed.example/export/⟦{HEXADECIMAL}⟧/orders.csv"),
            format!("https://feed.example/token/⟦{NOISE}⟧"),
            format!("https://chat.example/hooks/⟦XG4rsPDmBAxIuBUwyGCW8fLRdM/{NOISE}⟧"),
            format!("https://flow.example/webhook/⟦{UUID}⟧"),
            format!("https://flow.example/hooks/catch/123456/⟦{NOISE}⟧/"),
            format!("https://calendar.example/ical/a%40b.example/private-⟦{HEXADECIMAL}⟧"),
            format!("see https://bank.example/v1/rest/periods/⟦{NOISE}{NOISE}⟧/2026-01-01/x.json"),
            format!("https://chain.example/v2/⟦{NOISE}⟧"),
            format!("https://stream.example/stream/1234/orders-eu/⟦{NOISE}{NOISE}⟧"),
            format!("curl 'https://buffer.example/v1/import/1234/orders/⟦{NOISE}{NOISE}⟧' -d @x"),
        ]);
    }

    #[test]
    fn a_web_token_in_a_path_goes_as_a_whole() {
        let token = [
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJzdWIiOiIxMjM0NSJ9",
            "c2lnbmF0dXJlLWhlcmU",
        ]
        .join(".");
        check(&[
            format!("https://api.example/v1/⟦{token}⟧/json"),
            format!("https://api.example/token/⟦{token}⟧"),
            format!("https://api.example/x?session=⟦{token}⟧&a=1"),
        ]);
    }

    #[test]
    fn other_parts_of_paths_stay() {
        check(&[
            format!("https://api.example/v1/{UUID}/orders"),
            "https://api.example/v2/customers-by-region-2026/orders".to_owned(),
            "https://api.example/export/2026-01-01/orders.csv".to_owned(),
            "https://api.example/v1/507f1f77bcf86cd799439011".to_owned(),
            format!("https://git.example/a/b/commit/{HEXADECIMAL}"),
            format!("in/files/export/{HEXADECIMAL}/part.csv"),
            format!("https://api.example/token/{{token}}/{UUID}"),
            "https://stream.example/stream/1234/orders/customers_by_region_and_year".to_owned(),
            format!("https://stream.example/stream/orders/{HEXADECIMAL}"),
            format!("in/stream/1234/orders/{NOISE}"),
        ]);
    }
}
