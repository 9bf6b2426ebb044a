//! Private keys in base64 without the armour of PEM: what is pasted into a field that asks for a key.

use super::checks::{base64_bytes, boundary_before};
use crate::alphabet::{ALNUM, PLUS_SLASH};

/// What such keys begin with, in base64: a sequence of DER, or the name of OpenSSH's form.
pub(crate) const STARTS: [&str; 5] = ["MII", "MIG", "MHcCAQEE", "MC4CAQAw", OPENSSH];
const OPENSSH: &str = "b3BlbnNzaC1rZXktdj";

/// So many bytes at its beginning say what a sequence is.
const HEAD: usize = 24;
/// Fewest and most digits of a key; the one for Ed25519 has 64, an RSA key of 16 Kibit in PKCS #12 some 13,000.
const DIGITS_MIN: usize = 48;
const DIGITS_MAX: usize = 32 * 1024;
/// Most bytes between two lines of a key: the end of a literal and the beginning of the next.
const BREAK_MAX: usize = 24;
/// Shortest line of a key whose length is not told, unless it ends in `=`, in digits.
const LINE_MIN: usize = 32;

/// Returns the range of the private key whose base64 begins at `at`, however its lines break.
///
/// Told by its first bytes: PKCS #1 (RFC 8017), PKCS #8 (RFC 5958), SEC 1 (RFC 5915), PKCS #12 (RFC 7292), OpenSSH's. A
/// sequence says how long it is, so what stands behind it stays.
pub(crate) fn bare_private_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !boundary_before(text, at) {
        return None;
    }
    let digits = if text[at..].starts_with(OPENSSH.as_bytes()) {
        None
    } else {
        let first = text.get(at..at + HEAD.div_ceil(3) * 4)?;
        let head: Vec<u8> = base64_bytes(first).collect::<Option<_>>()?;
        Some(digits_of(private_length(&head)?))
    };
    let end = end_of(text, at, digits)?;
    Some((at, end))
}

/// Returns how many digits of base64 so many bytes take, without `=` at the end.
fn digits_of(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Returns the whole length of the sequence that begins so, in bytes, if it is a private key.
fn private_length(head: &[u8]) -> Option<usize> {
    let (header, length) = match *head {
        [0x30, length @ ..=0x7F, ..] => (2, usize::from(length)),
        [0x30, 0x81, length, ..] => (3, usize::from(length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(high) << 8 | usize::from(low)),
        _ => return None,
    };
    let is_private = match head.get(header..)? {
        // A version: then an algorithm, a modulus, or a key of an elliptic curve.
        [0x02, 0x01, 0x00, 0x30 | 0x02, ..] | [0x02, 0x01, 0x01, 0x04, ..] | [0x02, 0x01, 0x03, 0x30, ..] => {
            true
        }
        // Encrypted, as PKCS #5 says.
        [0x30, _, 0x06, 0x09, rest @ ..] => {
            rest.starts_with(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x05])
        }
        _ => false,
    };
    is_private.then_some(header + length)
}

/// Returns where the digits end that begin at `at`; so many of them, where that is known.
fn end_of(text: &[u8], at: usize, digits: Option<usize>) -> Option<usize> {
    let of_key = ALNUM.or(PLUS_SLASH);
    let wanted = digits.unwrap_or(DIGITS_MAX);
    let (mut count, mut end, mut place) = (0, at, at);
    while count < wanted.min(DIGITS_MAX) {
        let line = of_key.run(text, place, wanted - count);
        let is_last = text.get(line) == Some(&b'=');
        let is_line = digits.is_some() || line - place >= LINE_MIN || is_last;
        if line == place || !is_line {
            break;
        }
        count += line - place;
        end = line;
        if is_last || count == wanted {
            break;
        }
        let Some(next) = next_line(text, line) else { break };
        place = next;
    }
    while text.get(end) == Some(&b'=') {
        end += 1;
    }
    (count >= DIGITS_MIN).then_some(end)
}

/// Returns where the next line begins behind what ends one: its end, perhaps escaped, perhaps between two literals.
fn next_line(text: &[u8], end: usize) -> Option<usize> {
    let mut is_literal = false;
    let mut at = end;
    while let Some(&byte) = text.get(at).filter(|_| at < end + BREAK_MAX) {
        let escape = byte == b'\\' && matches!(text.get(at + 1), Some(b'n' | b'r' | b't'));
        match byte {
            _ if escape => at += 2,
            b'"' | b'\'' => (is_literal, at) = (true, at + 1),
            b' ' | b'\t' | b'\r' | b'\n' | b'\\' => at += 1,
            b'+' | b'.' | b'|' | b',' if is_literal => at += 1,
            _ => return (at > end).then_some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;

    /// A sequence that begins so and has noise behind it, of so many bytes in all.
    fn der(inside: &[u8], length: usize) -> String {
        let mut bytes = vec![0x30, 0x82];
        bytes.extend(u16::try_from(length - 4).unwrap().to_be_bytes());
        bytes.extend(inside);
        let mut state = 7_u32;
        bytes.resize_with(length, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        BASE64.encode(&bytes)
    }

    const PKCS8: &[u8] = &[
        0x02, 0x01, 0x00, 0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05,
        0x00, 0x04, 0x82,
    ];

    #[track_caller]
    fn goes(text: &str, key: &str) {
        let start = text.find(&key[..20]).unwrap();
        let found = bare_private_key(text.as_bytes(), start).map(|(start, end)| &text[start..end]);
        let last = &key[key.len() - 12..];
        assert!(
            found.is_some_and(|found| found.starts_with(&key[..20]) && found.ends_with(last)),
            "{found:?}"
        );
    }

    #[test]
    fn a_key_goes_to_its_last_digit_however_its_lines_break() {
        for length in [1218, 1219, 1220] {
            let key = der(PKCS8, length);
            let (first, rest) = key.split_at(64);
            for line_break in ["", "\n", "\r\n", "\\n", "\\\\n", "\"\n  \"", "' +\n'"] {
                goes(
                    &format!("key = '{first}{line_break}{rest}' and the rest of it stays"),
                    &key,
                );
            }
        }
        for kind in [
            &[0x02, 0x01, 0x00, 0x02, 0x82, 0x01, 0x01][..],
            &[0x02, 0x01, 0x03, 0x30, 0x82],
            &[
                0x30, 0x4E, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x05, 0x0D,
            ],
        ] {
            goes(&der(kind, 700), &der(kind, 700));
        }
        let open_ssh =
            format!("{OPENSSH}EAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAlwAA\\nAAdzc2gtcnNhAAAAAwEAAQ==");
        goes(&format!("\"{open_ssh}\", x"), &open_ssh);
    }

    #[test]
    fn a_key_that_is_cut_goes_as_far_as_it_is_there() {
        let key = der(PKCS8, 1218);
        let cut = format!("{}…", &key[..200]);
        assert_eq!(bare_private_key(cut.as_bytes(), 0), Some((0, 200)));
        assert_eq!(bare_private_key(&key.as_bytes()[..40], 0), None);
    }

    #[test]
    fn certificates_public_keys_and_words_stay() {
        let certificate = der(&[0x30, 0x82, 0x02, 0xB5, 0xA0, 0x03], 900);
        let public = der(
            &[
                0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01,
            ],
            294,
        );
        for text in [
            &certificate,
            &public,
            "MIIS is a name of many letters, and so is MIGRATION_OF_ALL_TABLES",
        ] {
            assert_eq!(bare_private_key(text.as_bytes(), 0), None);
        }
        let inside = format!("x{}", der(PKCS8, 700));
        assert_eq!(bare_private_key(inside.as_bytes(), 1), None);
    }
}
