//! Boundaries, checksums and decoding that the forms of secrets need.

use crate::alphabet::{BASE64, HEX, PLUS_SLASH, URL64, WORD};
use crate::shape;

/// Says whether a token can begin at `at`: nothing of a word before it, except the end of an escape.
pub(crate) fn boundary_before(text: &[u8], at: usize) -> bool {
    let Some(&before) = at.checked_sub(1).and_then(|before| text.get(before)) else {
        return true;
    };
    if !WORD.has(before) {
        return true;
    }
    // `\n` and the like in escaped text, `%3D` in URLs, `\u0022` in JSON.
    let escape = at >= 2 && text[at - 2] == b'\\' && matches!(before, b'n' | b't' | b'r');
    let percent = at >= 3 && text[at - 3] == b'%' && HEX.has(text[at - 2]) && HEX.has(before);
    let unicode = at >= 6
        && text[at - 6] == b'\\'
        && text[at - 5] == b'u'
        && text[at - 4..at].iter().all(|&b| HEX.has(b));
    escape || percent || unicode
}

/// Length of the shortest piece that belongs to the token before it, and of the longest, in bytes.
const REST_MIN: usize = 16;
const REST_MAX: usize = 1024;
/// More such pieces are a list.
const RESTS_MAX: usize = 8;

/// Returns the end of a token that ends at `end`, with the noise that is joined to it: of no token a half is left.
pub(crate) fn end_with_rest(text: &[u8], end: usize) -> usize {
    let mut end = end;
    for _ in 0..RESTS_MAX {
        let Some(joint @ (b'.' | b'|' | b'+' | b'/' | b'~')) = text.get(end) else {
            break;
        };
        let is_of_base64 = PLUS_SLASH.has(*joint);
        let alphabet = if is_of_base64 { BASE64.or(URL64) } else { URL64 };
        let stop = alphabet.run(text, end + 1, REST_MAX);
        let rest = &text[end + 1..stop];
        let is_cell = *joint == b'|' && text.get(stop) == Some(joint);
        let has_digits = rest.iter().any(u8::is_ascii_digit);
        if rest.len() < REST_MIN || is_cell || !has_digits || !is_noise(rest) {
            break;
        }
        end = stop;
    }
    end
}

fn is_noise(bytes: &[u8]) -> bool {
    shape::is_hex_or_uuid(bytes) || shape::is_opaque(bytes, REST_MIN)
}

const CHECKSUM_LENGTH: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns the CRC-32 of the body as six digits in base62, as GitHub and npm end their tokens.
pub(super) fn checksum62(body: &[u8]) -> String {
    let mut rest = crc32(body);
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// Says whether the text ends in the checksum of what is before.
pub(super) fn has_checksum62(secret: &[u8]) -> bool {
    let Some(split) = secret.len().checked_sub(CHECKSUM_LENGTH) else {
        return false;
    };
    let (body, checksum) = secret.split_at(split);
    checksum62(body).as_bytes() == checksum
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// Decodes base64 of the standard or the URL alphabet, with or without padding; none where it is neither.
///
/// Stops quietly at the last whole byte, as texts are often cut.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    base64_bytes(text).collect()
}

/// The same byte by byte.
pub(crate) fn base64_bytes(text: &[u8]) -> impl Iterator<Item = Option<u8>> {
    let mut bits = 0_u32;
    let mut held = 0;
    let mut text = text.iter();
    std::iter::from_fn(move || {
        loop {
            let six = match *text.next()? {
                byte @ b'A'..=b'Z' => byte - b'A',
                byte @ b'a'..=b'z' => byte - b'a' + 26,
                byte @ b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'=' => return None,
                _ => return Some(None),
            };
            bits = (bits << 6) | u32::from(six);
            held += 6;
            if held >= 8 {
                held -= 8;
                return Some(Some(((bits >> held) & 0xff) as u8));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let body = "a".repeat(30);
        let token = format!("{body}{}", checksum62(body.as_bytes()));
        assert!(has_checksum62(token.as_bytes()));
        assert!(!has_checksum62(&token.as_bytes()[1..]));
        assert!(!has_checksum62(b"abc"));
    }

    #[test]
    fn base64_of_both_alphabets_is_read() {
        assert_eq!(decode_base64(b"aGVzbG86MTIz").unwrap(), b"heslo:123");
        assert_eq!(decode_base64(b"_-A=").unwrap(), [0xff, 0xe0]);
        assert_eq!(decode_base64(b"/+A").unwrap(), [0xff, 0xe0]);
        assert_eq!(decode_base64(b"a b"), None);
    }

    #[test]
    fn noise_that_is_joined_to_a_token_belongs_to_it() {
        let noise = "aB3dE5fG7hJ9kL2mN4pQ";
        let (start, rest) = ("acme", format!("{noise}+{noise}=="));
        for (joined, expected) in [
            (format!(".{noise}"), 21),
            (format!("|{noise}.{noise}, b"), 42),
            (format!("/{rest}"), 44),
            (format!(".{}", "0f3a9c71".repeat(4)), 33),
            (format!("|{noise}|"), 0),
            (".customer_orders_by_region".to_owned(), 0),
            ("/20240506/eu-central-1/s3/aws4_request".to_owned(), 0),
            (".json".to_owned(), 0),
            (format!(" {noise}"), 0),
            (String::new(), 0),
        ] {
            let text = format!("{start}{joined}");
            assert_eq!(
                end_with_rest(text.as_bytes(), start.len()),
                start.len() + expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_token_begins_after_escapes_but_not_inside_words() {
        for (text, expected) in [
            ("x", true),
            ("\\n", true),
            ("%3D", true),
            ("\\u0022", true),
            ("an", false),
            ("_", false),
            ("=", true),
        ] {
            assert_eq!(
                boundary_before(
                    format!("{text}T").as_bytes(),
                    if text == "x" { 0 } else { text.len() }
                ),
                expected,
                "{text}"
            );
        }
    }
}
