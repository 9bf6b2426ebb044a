//! What Keboola itself says about secrets: encrypted values, references to the vault, keys that begin
//! with `#`, and the mirror's own marker.
//!
//! The tests here are whole-value tests. A cipher with anything before or after it is plaintext that
//! happens to contain a cipher.

use crate::alphabet::{ALNUM, DASH, DIGIT, LETTER, PLUS_SLASH, URL64, WORD};
use std::borrow::Cow;

/// Names before the suffix of the key management system, as Keboola's encryption service makes them.
const SCOPES: [&str; 8] = [
    "Secure",
    "ComponentSecure",
    "ProjectSecure",
    "ConfigSecure",
    "ProjectWideSecure",
    "BranchTypeSecure",
    "BranchTypeConfigSecure",
    "ProjectWideBranchTypeSecure",
];

/// Suffixes of the key management systems: AWS has none.
const SYSTEMS: [&str; 3] = ["", "KV", "GKMS"];

/// Forms that old configurations still have; the body follows at once.
const LEGACY: [&str; 3] = [
    "KBC::Encrypted==",
    "KBC::ComponentEncrypted==",
    "KBC::ComponentProjectEncrypted==",
];

/// A body that does not begin like compressed data must be at least this long: a password that
/// somebody put behind a cipher's prefix is shorter.
const CIPHER_BODY_MIN: usize = 16;

/// How a body begins that is the base64 form of zlib data, as almost all are.
const ZLIB_START: &str = "eJ";
/// The shortest body that begins so and says more than that.
const ZLIB_BODY_MIN: usize = 3;

/// Base64 is padded by one or two of these.
const PADDING_MAX: usize = 2;

/// Returns the end of the cipher that begins at the start of the text, if one does.
///
/// The host decides the same by itself; `tests/cases/ciphers.jsonl` holds both to it.
fn cipher_end(text: &str) -> Option<usize> {
    let body = match LEGACY.iter().find(|prefix| text.starts_with(**prefix)) {
        Some(prefix) => prefix.len(),
        None => {
            let rest = text.strip_prefix("KBC::")?;
            let name = &rest[..LETTER.run(rest.as_bytes(), 0, 40)];
            let known = SYSTEMS
                .iter()
                .filter_map(|system| name.strip_suffix(system))
                .any(|scope| SCOPES.contains(&scope));
            if !known || !rest[name.len()..].starts_with("::") {
                return None;
            }
            "KBC::".len() + name.len() + "::".len()
        }
    };
    let bytes = text.as_bytes();
    // The standard and the URL form of base64 both occur.
    let digits_end = PLUS_SLASH.or(URL64).run(bytes, body, usize::MAX);
    let digits = digits_end - body;
    let padding = bytes[digits_end..]
        .iter()
        .take(PADDING_MAX)
        .take_while(|byte| **byte == b'=')
        .count();
    let fits = digits >= CIPHER_BODY_MIN || digits >= ZLIB_BODY_MIN && text[body..].starts_with(ZLIB_START);
    fits.then_some(digits_end + padding)
}

/// Says whether the whole value is an encrypted value of Keboola.
#[must_use]
pub fn is_cipher(value: &str) -> bool {
    cipher_end(value) == Some(value.len())
}

/// Says whether the whole value is one reference to the vault, such as `{{ vault.api_key }}`.
#[must_use]
pub fn is_vault_reference(value: &str) -> bool {
    let inner = value
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    let name = inner.and_then(|inner| inner.trim().strip_prefix("vault."));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| WORD.or(DASH).has(byte)))
}

const MARKER_START: &str = "[REDACTED:";

/// Returns the end of the marker that begins at the start of the text, if one does.
fn marker_end(text: &str) -> Option<usize> {
    let bytes = text.strip_prefix(MARKER_START)?.as_bytes();
    let kind = ALNUM.or(DASH).run(bytes, 0, 40);
    if kind == 0 || bytes.get(kind) != Some(&b':') {
        return None;
    }
    let tag = WORD.or(DASH).run(bytes, kind + 1, 80);
    (tag > kind + 1 && bytes.get(tag) == Some(&b']')).then_some(MARKER_START.len() + tag + 1)
}

/// Says whether the whole value is a marker that the mirror wrote.
#[must_use]
pub fn is_marker(value: &str) -> bool {
    marker_end(value) == Some(value.len())
}

/// Returns the end of what no rule may touch, where it begins at `at`: a marker or a cipher.
pub(crate) fn protected_end(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    marker_end(rest)
        .or_else(|| cipher_end(rest))
        .map(|length| at + length)
}

/// Says whether a marker occurs in the value.
pub(crate) fn has_marker(value: &str) -> bool {
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest.as_bytes(), MARKER_START.as_bytes()) {
        if marker_end(&rest[at..]).is_some() {
            return true;
        }
        rest = &rest[at + MARKER_START.len()..];
    }
    false
}

/// Returns the value with another text in the place of each marker.
pub(crate) fn with_markers_as<'v>(text: &str, value: &'v str) -> Cow<'v, str> {
    if !has_marker(value) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest.as_bytes(), MARKER_START.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = match marker_end(&rest[at..]) {
            Some(length) => {
                out.push_str(text);
                &rest[at + length..]
            }
            None => {
                out.push_str(MARKER_START);
                &rest[at + MARKER_START.len()..]
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Says whether a value under a `#` key may stay.
pub(crate) fn may_stay_under_hash(value: &str) -> bool {
    value.is_empty() || is_cipher(value) || is_vault_reference(value) || is_marker(value)
}

/// Returns the length of the Storage API token that a run of such bytes begins with: `<project>-<token id>-<secret of 40>`.
pub(crate) fn storage_token(run: &[u8]) -> Option<usize> {
    let project = DIGIT.run(run, 0, 13);
    let id = DIGIT.run(run, project + 1, 12);
    let secret = id + 1;
    let end = ALNUM.run(run, secret, 41);
    let has_form = (1..=12).contains(&project)
        && run.get(project) == Some(&b'-')
        && id > project + 1
        && run.get(id) == Some(&b'-')
        && end.checked_sub(secret) == Some(40)
        && run.get(end).is_none_or(|next| !WORD.has(*next));
    // Forty digits are a number, not a secret.
    let is_secret = |body: &[u8]| !DIGIT.all(body) && crate::alphabet::variety(body) >= 10;
    (has_form && is_secret(&run[secret..end])).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "eJwBQAG//mRlZjUwMjAwZmY0";

    #[test]
    fn all_scopes_of_all_key_systems_and_the_legacy_forms_are_ciphers() {
        let mut forms = 0;
        for scope in SCOPES {
            for system in SYSTEMS {
                assert!(
                    is_cipher(&format!("KBC::{scope}{system}::{BODY}==")),
                    "{scope}{system}"
                );
                forms += 1;
            }
        }
        assert_eq!(forms, 24);
        for legacy in LEGACY {
            assert!(is_cipher(&format!("{legacy}{BODY}")), "{legacy}");
        }
    }

    #[test]
    fn ciphers_are_what_the_host_takes_for_them() {
        let cases = include_str!("../../../tests/cases/ciphers.jsonl");
        for line in cases.lines() {
            let (value, expected): (String, bool) = serde_json::from_str(line).unwrap();
            assert_eq!(is_cipher(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn what_only_resembles_a_cipher_is_plaintext() {
        for value in [
            "KBC::Secure::",
            "KBC::Secure:: hello",
            "KBC::ProjectSecure::short",
            "KBC::NoSuchSecure::eJwBQAG//mRlZjUwMjAwZmY0",
            "KBC::ProjectSecureXX::eJwBQAG//mRlZjUwMjAwZmY0",
            "KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0 and the real one",
            " KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0",
        ] {
            assert!(!is_cipher(value), "{value}");
        }
    }

    #[test]
    fn only_a_single_vault_reference_is_a_reference() {
        for value in ["{{ vault.db-password }}", "{{vault.KEY_1}}"] {
            assert!(is_vault_reference(value), "{value}");
        }
        for value in [
            "{{ vault. }}",
            "a{{ vault.x }}",
            "{{ vault.x }}{{ vault.y }}",
            "{{ x }}",
            "vault.x",
        ] {
            assert!(!is_vault_reference(value), "{value}");
        }
    }

    #[test]
    fn a_marker_is_known_by_its_whole_form() {
        assert!(is_marker("[REDACTED:github-token:k7wq2a]"));
        for value in [
            "[REDACTED:]",
            "[REDACTED:a:]",
            "[REDACTED:a:b] ",
            "[REDACTED:a:b c]",
            "[redacted:a:b]",
        ] {
            assert!(!is_marker(value), "{value}");
        }
        assert!(has_marker("x [REDACTED: [REDACTED:a:b] y"));
        assert!(!has_marker("x [REDACTED: y"));
        assert_eq!(
            with_markers_as("x", "a [REDACTED:a:b][REDACTED: [REDACTED:a:0]c"),
            "a x[REDACTED: xc"
        );
        assert_eq!(with_markers_as("x", "a"), "a");
    }

    #[test]
    fn a_storage_token_has_two_numbers_and_forty_characters() {
        let body = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
        let whole = |text: &str| storage_token(text.as_bytes());
        assert_eq!(whole(&format!("123-4567-{body}")), Some(49));
        assert_eq!(whole(&format!("123-4567-{body}-x")), Some(49));
        assert_eq!(whole(&format!("123-4567-{body}x")), None);
        assert_eq!(whole(&format!("123-4567-{}", &body[1..])), None);
        assert_eq!(whole(&format!("a123-4567-{body}")), None);
        assert_eq!(whole(&format!("1234567890123-4567-{body}")), None);
        assert_eq!(whole(&format!("123--{body}")), None);
        assert_eq!(whole(&format!("123-4567-{}", "1".repeat(40))), None);
        assert_eq!(whole(""), None);
        assert_eq!(whole("2024-05-06"), None);
    }
}
