//! Private keys in PEM and PGP armour, and signed tokens in JSON.

use super::checks::{boundary_before, decode_base64};
use crate::alphabet::{BASE64, DIGIT, DOT, URL64};
use crate::shape;
use memchr::memmem;

/// Longest armour that is searched for its end, in bytes; an RSA key of 16 Kibit has 13 KiB.
const ARMOUR_MAX: usize = 32 * 1024;
/// Length of a run that tells the body of a key, in bytes; lines have 64 or 76, in narrow columns half of that.
const LINE_MIN: usize = 24;

/// Returns the range of the private key whose `-----BEGIN ` is at `at`.
///
/// A key without an end goes as far as its body does. The line breaks may be escaped, once or twice, and
/// the lines may be literals of source code.
pub(crate) fn private_key_block(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let window = &text[at..text.len().min(at + ARMOUR_MAX)];
    let label = &window["-----BEGIN ".len().min(window.len())..window.len().min(80)];
    let label = &label[..memmem::find(label, b"-----")?];
    memmem::find(label, b"PRIVATE KEY").or_else(|| memmem::find(label, b"OpenVPN Static key"))?;
    let body = "-----BEGIN ".len() + label.len() + "-----".len();
    let closes = memmem::find(&window[body..], b"-----END ").filter(|length| {
        // Code that only names the two lines has no key between them, and may have much else.
        let between = &window[body..body + length];
        armour_length(between) == *length || has_line_of_key(between)
    });
    let end = match closes {
        Some(length) => {
            let tail = body + length + "-----END ".len();
            let close = memmem::find(&window[tail..window.len().min(tail + 60)], b"-----");
            close.map_or(tail, |close| tail + close + "-----".len())
        }
        None => body + armour_length(&window[body..]),
    };
    // A heading in a text about keys has no body.
    let material = window[body..end].iter().filter(|&&byte| BASE64.has(byte)).count();
    (material >= 40).then_some((at, at + end))
}

/// Length of a line of PuTTY's keys, in digits.
const PUTTY_LINE: usize = 64;

/// Returns the range of the lines of a private key in PuTTY's form, whose `Private-Lines: ` is at `at`.
pub(crate) fn putty_private_lines(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let count = at + "Private-Lines: ".len();
    let digits = DIGIT.run(text, count, 4);
    let number: usize = std::str::from_utf8(&text[count.min(digits)..digits])
        .ok()?
        .parse()
        .ok()?;
    let is_break = |byte: u8| matches!(byte, b'\r' | b'\n' | b'\\' | b'n' | b'r');
    let (mut place, mut end, mut start) = (digits, digits, None);
    for _ in 0..number.min(ARMOUR_MAX / PUTTY_LINE) {
        // Ends of lines may be escaped, and are then letters of base64, too.
        let escaped = text.get(place) == Some(&b'\\');
        let from = (place..text.len().min(place + 4))
            .find(|&at| !(is_break(text[at]) && (escaped || text[at].is_ascii_whitespace())))?;
        let line = BASE64.run(text, from, PUTTY_LINE);
        if line == from {
            break;
        }
        start = start.or(Some(from));
        (place, end) = (line, line);
    }
    start.filter(|start| end - start >= 24).map(|start| (start, end))
}

/// Returns how far text goes on that can be the body of an armoured key.
fn armour_length(text: &[u8]) -> usize {
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            // A sentence behind the key is not part of it: its words are shorter than lines of a key.
            b' ' if at > 0 && BASE64.has(text[at - 1]) && BASE64.run(text, at + 1, 32) - (at + 1) < 32 => {
                return at;
            }
            b' ' | b'\n' | b'\r' | b'\t' | b'\\' | b'"' | b'\'' | b'-' | b':' | b',' => {}
            byte if BASE64.has(byte) => {}
            _ => return at,
        }
    }
    text.len()
}

/// Says whether there is a run of noise in base64 as long as half a line of a key, before another key begins.
fn has_line_of_key(text: &[u8]) -> bool {
    let end = memmem::find(text, b"-----BEGIN ").unwrap_or(text.len());
    let mut lines = text[..end].split(|byte| !BASE64.has(*byte));
    lines.any(|line| line.len() >= LINE_MIN && shape::is_opaque(line, LINE_MIN))
}

/// Returns the range of the base64 text that begins at `at` and hides a private key in PEM or JSON.
pub(crate) fn base64_private_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if at > 0 && BASE64.has(text[at - 1]) && text[at - 1] != b'=' && !boundary_before(text, at) {
        return None;
    }
    let end = BASE64.run(text, at, ARMOUR_MAX);
    let decoded = decode_base64(&text[at..end])?;
    let hides = memmem::find(&decoded, b"PRIVATE KEY").is_some()
        || memmem::find(&decoded, b"private_key\"").is_some();
    hides.then_some((at, end))
}

/// Returns the range of the base64 text that begins at `at` with the logins of container registries.
pub(crate) fn base64_registry_login(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = BASE64.run(text, at, ARMOUR_MAX);
    let decoded = decode_base64(&text[at..end])?;
    let login =
        memmem::find(&decoded, b"\"auth\"").is_some() || memmem::find(&decoded, b"\"password\"").is_some();
    (login && boundary_before(text, at)).then_some((at, end))
}

/// Returns the range of the JSON web token (signed or encrypted) whose `eyJ` is at `at`.
pub(crate) fn json_web_token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    // What is so well told may also stand behind a name and a `_`.
    if !boundary_before(text, at) && text[at - 1] != b'_' {
        return None;
    }
    let header_end = URL64.run(text, at, 4096);
    if header_end - at < 12 || text.get(header_end) != Some(&b'.') {
        return None;
    }
    let payload_end = URL64.run(text, header_end + 1, ARMOUR_MAX);
    let payload = &text[header_end + 1..payload_end];
    let header = decode_base64(&text[at..header_end])?;
    let says = |name: &[u8]| memmem::find(&header, name).is_some();
    let known = says(b"\"alg\"")
        || says(b"\"typ\"")
        || says(b"\"kid\"")
        || says(b"\"enc\"")
        || payload.starts_with(b"eyJ");
    // The payload of an encrypted token's form with a key agreed beforehand is empty.
    if !known || !(payload.len() >= 10 || (payload.is_empty() && says(b"\"enc\""))) {
        return None;
    }
    let end = URL64.or(DOT).run(text, payload_end, ARMOUR_MAX);
    let end = if end > at && text[end - 1] == b'.' {
        end - 1
    } else {
        end
    };
    Some((at, end))
}

/// Returns the range of the base64 text that begins at `at` and is a JSON web token.
pub(crate) fn base64_web_token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !boundary_before(text, at) || (at > 0 && BASE64.has(text[at - 1]) && text[at - 1] != b'=') {
        return None;
    }
    let end = BASE64.or(URL64).run(text, at, ARMOUR_MAX);
    let decoded = decode_base64(&text[at..end])?;
    json_web_token(&decoded, 0).map(|_| (at, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(line_break: &str) -> String {
        let kind = ["PRIVATE", "KEY"].join(" ");
        let body = [
            "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAw",
            "ggE8AgEAAkEAq7BFUpkGp3hVvVz",
        ]
        .join(line_break);
        format!("-----BEGIN {kind}-----{line_break}{body}{line_break}-----END {kind}-----")
    }

    #[test]
    fn a_private_key_is_found_to_its_end_however_its_lines_break() {
        for line_break in ["\n", "\r\n", "\\n", "\\\\n", "\" +\n\""] {
            let text = format!("k = {};", pem(line_break));
            assert_eq!(
                private_key_block(text.as_bytes(), 4),
                Some((4, text.len() - 1)),
                "{line_break:?}"
            );
        }
    }

    #[test]
    fn code_that_names_the_lines_of_a_key_stays() {
        let kind = ["PRIVATE", "KEY"].join(" ");
        let lines = |between: &str| format!("\"-----BEGIN {kind}-----{between}-----END {kind}-----\"");
        let code = lines(
            "\" in text:\n    key = load_from_settings(settings['signing'], encoding=\"utf-8\")\nelif \"",
        );
        assert_eq!(private_key_block(code.as_bytes(), 1), None);
        let built = lines("\\n\" + os.environ[\"SIGNING_OF_REPORTS\"].replace(\"|\", chr(10)) + \"\\n");
        assert_eq!(private_key_block(built.as_bytes(), 1), None);
        // The key of another line is not that of this one, and is found by itself.
        let two = format!("\"-----BEGIN {kind}-----\", check(text)\n{}", pem("\n"));
        assert_eq!(private_key_block(two.as_bytes(), 1), None);
        // In whatever a key is wrapped, it goes.
        let wrapped = pem("</p> (more below) <p>");
        assert_eq!(private_key_block(wrapped.as_bytes(), 0), Some((0, wrapped.len())));
    }

    #[test]
    fn a_cut_private_key_ends_where_its_body_does() {
        let whole = pem("\n");
        let cut = &whole[..whole.rfind("\n-----").unwrap()];
        let text = format!("{cut} is the key");
        assert_eq!(private_key_block(text.as_bytes(), 0), Some((0, cut.len())));
    }

    #[test]
    fn the_private_lines_of_putty_go() {
        let lines = [
            "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG7hJ9kL2mN4pQ6rS8tU0vW",
            "x1Yz5AbC3dE=",
        ];
        for line_break in ["\n", "\r\n", "\\n"] {
            let key = lines.join(line_break);
            let text = format!("Private-Lines: 2{line_break}{key}{line_break}Private-MAC: 0f3a");
            let found = putty_private_lines(text.as_bytes(), 0).map(|(start, end)| &text[start..end]);
            assert_eq!(found, Some(key.as_str()), "{line_break:?}");
        }
        assert_eq!(putty_private_lines(b"Private-Lines: 2 of them", 0), None);
    }

    #[test]
    fn public_keys_and_headings_stay() {
        let certificate = pem("\n").replace("PRIVATE KEY", "CERTIFICATE");
        assert_eq!(private_key_block(certificate.as_bytes(), 0), None);
        let heading = format!("-----BEGIN {}-----", "PRIVATE KEY");
        assert_eq!(
            private_key_block(format!("{heading} is how it begins").as_bytes(), 0),
            None
        );
        assert_eq!(private_key_block(b"-----BEGIN ", 0), None);
    }

    #[test]
    fn a_key_in_base64_is_found() {
        // The start of `-----BEGIN PRIVATE KEY-----` in base64, and then noise.
        let text = format!(
            "data: {}{}",
            "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t", "LS0tCk1JSUJWZ0lCQURBTkJn"
        );
        assert_eq!(base64_private_key(text.as_bytes(), 6), Some((6, text.len())));
        let certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t";
        assert_eq!(base64_private_key(certificate.as_bytes(), 0), None);
    }

    #[test]
    fn a_registry_login_in_base64_is_found() {
        let text = "x: eyJhdXRocyI6eyJodHRwczovL2V4YW1wbGUvdjEvIjp7ImF1dGgiOiJvcGVuc2VzYW1lIn19fQo= y";
        assert_eq!(
            base64_registry_login(text.as_bytes(), 3),
            Some((3, text.len() - 2))
        );
        assert_eq!(base64_registry_login(b"eyJhdXRocyI6e30=", 0), None);
    }

    #[test]
    fn a_web_token_has_a_header_and_a_payload() {
        let token = [
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJzdWIiOiIxMjM0NSJ9",
            "c2lnbmF0dXJlLWhlcmU",
        ]
        .join(".");
        let text = format!("Bearer {token}.");
        assert_eq!(json_web_token(text.as_bytes(), 7), Some((7, text.len() - 1)));
        assert_eq!(
            json_web_token(b"eyJjaGFuZ2VEZXNjcmlwdGlvbiI6ICJVcGRhdGUifQ", 0),
            None
        );
        assert_eq!(
            json_web_token(b"eyJjaGFuZ2VEZXNjcmlwdGlvbiI6ICJVcGRhdGUifQ.txt", 0),
            None
        );
        assert_eq!(json_web_token(format!("x{token}").as_bytes(), 1), None);
        let named = format!("acme_{token}");
        assert_eq!(json_web_token(named.as_bytes(), 5), Some((5, named.len())));
    }

    #[test]
    fn a_web_token_in_base64_goes() {
        let token = [
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJzdWIiOiIxMjM0NSJ9",
            "c2lnbmF0dXJlLWhlcmU",
        ]
        .join(".");
        let encoded = data_encoding::BASE64.encode(token.as_bytes());
        let text = format!("a: '{encoded}'");
        assert_eq!(base64_web_token(text.as_bytes(), 4), Some((4, text.len() - 1)));
        assert_eq!(base64_web_token(format!("x{encoded}").as_bytes(), 1), None);
        let other = data_encoding::BASE64.encode(b"eyJhbGciOiJIUzI1NiJ9 and no more");
        assert_eq!(base64_web_token(other.as_bytes(), 0), None);
    }
}
