//! Long random values of members whose names say nothing of them: `{"custom": "9f1c…"}`.
//!
//! Nobody makes such a value up, so it is an id or a secret. Ids, digests and what else is random without being secret stand
//! under names that say so.

use crate::alphabet::{ALNUM, TOKEN};
use crate::formats::base64_bytes;
use crate::keys::Strength;
use crate::{ids, shape};
use std::ops::{Range, RangeInclusive};

/// Lengths of values that are looked at, in bytes; shorter ones than the second are of small letters, capital letters and digits.
const LENGTHS: RangeInclusive<usize> = 20..=512;
const OF_ANY_KIND_MIN: usize = 24;
/// Letters that follow each other as in words, of which a value has none.
const WORD_LENGTH: usize = 6;

/// Says quickly of nearly all values that they are nothing of the kind: they are short, or have blanks.
#[inline]
pub(crate) fn may_be(value: &str) -> bool {
    value.len() >= *LENGTHS.start() && is_of_token_at_first(value.as_bytes())
}

fn is_of_token_at_first(bytes: &[u8]) -> bool {
    bytes.len() <= *LENGTHS.end() && bytes.iter().take(8).all(|byte| TOKEN.has(*byte))
}

/// Judges a value that may be one, whose name does not say that it is something else.
pub(crate) fn judge(value: &str) -> Option<(Strength, Range<usize>)> {
    let bytes = value.as_bytes();
    let is_random = TOKEN.all(bytes) && (is_key(bytes) || is_noise(bytes));
    let is_other = || {
        shape::is_uuid(bytes)
            || ids::is_of_object(bytes)
            || has_long_word(bytes)
            || shape::is_template(value)
            || is_encoded_text(bytes)
    };
    (is_random && !is_other()).then_some((Strength::Weak, 0..value.len()))
}

/// Says whether it is a key in hexadecimal digits, perhaps behind a short name or number.
fn is_key(bytes: &[u8]) -> bool {
    let name = bytes
        .iter()
        .position(|byte| matches!(byte, b'_' | b'-'))
        .filter(|name| (1..=12).contains(name) && ALNUM.all(&bytes[..*name]));
    shape::is_hex_key(&bytes[name.map_or(0, |name| name + 1)..])
}

fn is_noise(bytes: &[u8]) -> bool {
    let is_mixed = || bytes.iter().any(u8::is_ascii_lowercase) && bytes.iter().any(u8::is_ascii_uppercase);
    (bytes.len() >= OF_ANY_KIND_MIN || is_mixed())
        && shape::is_noise(bytes, *LENGTHS.start())
        && !is_address(bytes)
}

/// Says whether it is base64 of a text: JSON, markup, or one of several words.
fn is_encoded_text(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take_while(|byte| **byte != b'=').count();
    let is_of_text = |byte: u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    let decoded: Option<Vec<u8>> = base64_bytes(&bytes[..digits]).collect();
    decoded.is_some_and(|decoded| {
        let is_marked = matches!(decoded.first(), Some(b'{' | b'[' | b'<'));
        decoded.iter().all(|byte| is_of_text(*byte)) && (is_marked || decoded.contains(&b' '))
    })
}

/// `in.c-main.orders`, `s3/a/b`, `a.example.com`: parts that are joined as in an address, of which some is short. Base64 with
/// its other signs is none.
fn is_address(bytes: &[u8]) -> bool {
    let parts = || bytes.split(|byte| matches!(byte, b'/' | b'.'));
    let count = parts().count();
    let is_base64 = bytes.contains(&b'+') || bytes.ends_with(b"=");
    count > 1
        && !is_base64
        && (count > 4 || parts().any(|part| (1..8).contains(&part.len()) && ALNUM.all(part)))
}

fn has_long_word(bytes: &[u8]) -> bool {
    bytes
        .split(|byte| !byte.is_ascii_lowercase())
        .any(|word| word.len() > WORD_LENGTH && shape::has_words(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: bool, values: &[&str]) {
        for value in values {
            assert_eq!(may_be(value) && judge(value).is_some(), expected, "{value}");
        }
    }

    #[test]
    fn noise_and_keys_go() {
        check(
            true,
            &[
                "8a1052feaeba8e4ede17bea09d566be3f6fd6347393d1af8191e5fe42c4a9674",
                "6F727AABB79FD9BE0070BD8C70228DE8",
                "QyzN9cRz1eCIepi3gtkS7",
                "52800-95b99be8794047acf961210742d8a977ab145c33",
                "zz_ae8b6de1163b7045b2aeba1e560297c25017fb79",
                "gek7c8fykygeqoms9in1a4czztcoq9g8i860yf5drueq8do3vhbtqd34f654q9ej",
                "lURTj-5JuFK6o4K0wl7SPGtPxaU2EQXVFCtOhQyo4gAzFum8PhzO==",
            ],
        );
    }

    #[test]
    fn names_ids_addresses_and_templates_stay() {
        check(
            false,
            &[
                "ae4eea22-0942-49f4-8fdf-07fe751ab67d",
                "507f1f77bcf86cd799439011",
                "in.c-keboola-ex-db-snowflake-1234567890.orders",
                "configurations_by_region_and_customer_2026",
                "2026-11-02T00:00:00.000+01:00",
                "customers/2026/11/02/part-0001",
                "xy12345.eu-central-1.snowflakecomputing.com",
                "keboola.snowflake-transformation",
                "01234567890123456789",
                "a sentence with 12 words and 34 numbers",
                "{{variable_of_the_project_12}}",
            ],
        );
    }
}
