//! What may stand under a key that begins with `#`.

use crate::marker::Marker;
use std::ops::Range;

const CIPHER_START: &str = "KBC::";

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

/// Suffixes of the key management systems of Azure, Google and (none) Amazon.
const SYSTEMS: [&str; 3] = ["KV", "GKMS", ""];

/// Forms that old configurations still have; the body follows at once.
const LEGACY: [&str; 3] = [
    "Encrypted==",
    "ComponentEncrypted==",
    "ComponentProjectEncrypted==",
];

/// A body that does not begin like compressed data must be at least this long: a password that
/// somebody put behind a cipher's prefix is shorter.
const BODY_LEN_MIN: usize = 16;

/// How a body begins that is the base64 form of zlib data, as almost all are.
const ZLIB_START: &str = "eJ";

/// What a string under a `#` key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Empty,
    /// One well-formed encrypted value and nothing else.
    Cipher,
    /// One reference to the vault, such as `{{ vault.name }}`, and nothing else.
    Vault,
    /// One marker and nothing else.
    Marker,
    /// A secret that should have been encrypted.
    Plaintext,
}

pub(crate) fn classify(value: &str) -> Class {
    if value.is_empty() {
        Class::Empty
    } else if cipher_len(value) == Some(value.len()) {
        Class::Cipher
    } else if is_vault_reference(value) {
        Class::Vault
    } else if Marker::is(value) {
        Class::Marker
    } else {
        Class::Plaintext
    }
}

/// Returns the length of the encrypted value that the text begins with.
///
/// The built-in policy decides the same by itself; `tests/cases/ciphers.jsonl` holds both to it.
fn cipher_len(text: &str) -> Option<usize> {
    let name = text.strip_prefix(CIPHER_START)?;
    let body = match LEGACY.iter().find_map(|legacy| name.strip_prefix(legacy)) {
        Some(body) => body,
        None => {
            let (name, body) = name.split_once("::")?;
            let known = SYSTEMS.iter().filter_map(|system| name.strip_suffix(system));
            known
                .into_iter()
                .any(|scope| SCOPES.contains(&scope))
                .then_some(body)?
        }
    };
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let bytes = body.as_bytes();
    let digits = bytes
        .iter()
        .position(|byte| !alphabet(byte))
        .unwrap_or(bytes.len());
    let padding = bytes[digits..]
        .iter()
        .take(2)
        .take_while(|byte| **byte == b'=')
        .count();
    let fits = digits >= BODY_LEN_MIN || digits >= 3 && body.starts_with(ZLIB_START);
    fits.then_some(text.len() - body.len() + digits + padding)
}

/// Returns where encrypted values stand in the text, in order.
pub(crate) fn ciphers(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = memchr::memmem::find(&text.as_bytes()[from..], CIPHER_START.as_bytes()) {
            let start = from + at;
            if let Some(length) = cipher_len(&text[start..]) {
                from = start + length;
                return Some(start..from);
            }
            from = start + CIPHER_START.len();
        }
        None
    })
}

fn is_vault_reference(value: &str) -> bool {
    let inner = value.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    let name = inner.and_then(|inner| inner.trim().strip_prefix("vault."));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    name.is_some_and(|name| (1..=255).contains(&name.len()) && name.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "eJwBQAG//mRlZjUwMjAwZmY0";

    #[test]
    fn all_scopes_of_all_key_systems_and_the_legacy_forms_are_ciphers() {
        for scope in SCOPES {
            for system in SYSTEMS {
                assert_eq!(
                    classify(&format!("KBC::{scope}{system}::{BODY}=")),
                    Class::Cipher,
                    "{scope}{system}"
                );
            }
        }
        for legacy in LEGACY {
            assert_eq!(
                classify(&format!("KBC::{legacy}{BODY}==")),
                Class::Cipher,
                "{legacy}"
            );
        }
        assert_eq!(SCOPES.len() * SYSTEMS.len(), 24);
    }

    #[test]
    fn only_the_whole_value_counts() {
        for (value, class) in [
            ("", Class::Empty),
            ("KBC::ProjectSecureKV::eJw=", Class::Cipher),
            ("KBC::ProjectSecure::c2hvcnQgYm9keQ", Class::Plaintext),
            ("KBC::ProjectSecure::MTIzNDU2Nzg5MDEy", Class::Cipher),
            ("KBC::ProjectSecure::password", Class::Plaintext),
            ("KBC::ProjectSecure::", Class::Plaintext),
            ("KBC::ProjectSecure:: eJwBQAGmRlZjUwMjAw", Class::Plaintext),
            ("KBC::ProjectSecureXX::eJwBQAGmRlZjUwMjAw", Class::Plaintext),
            ("KBC::KV::eJwBQAGmRlZjUwMjAw", Class::Plaintext),
            ("kbc::ProjectSecure::eJwBQAGmRlZjUwMjAw", Class::Plaintext),
            ("xKBC::ProjectSecure::eJwBQAGmRlZjUwMjAw", Class::Plaintext),
            ("KBC::ProjectSecure::eJwBQAGmRlZjUwMjAw\n", Class::Plaintext),
            ("KBC::ProjectSecure::eJwBQAGmRlZjUwMjAw===", Class::Plaintext),
            ("KBC::ProjectSecure::eJwBQAGmRlZjUwMjAw hunter2", Class::Plaintext),
            ("{{ vault.api_key }}", Class::Vault),
            ("{{vault.api-key}}", Class::Vault),
            ("{{\tvault.a.b\t}}", Class::Vault),
            ("{{ vault. }}", Class::Plaintext),
            ("{{ api_key }}", Class::Plaintext),
            ("{{ vault.a }}{{ vault.b }}", Class::Plaintext),
            ("x {{ vault.a }}", Class::Plaintext),
            ("[REDACTED:a:0]", Class::Marker),
            ("[REDACTED:a:0]x", Class::Plaintext),
            (" ", Class::Plaintext),
        ] {
            assert_eq!(classify(value), class, "{value:?}");
        }
    }

    #[test]
    fn ciphers_are_what_the_built_in_policy_takes_for_them() {
        let cases = include_str!("../../../../tests/cases/ciphers.jsonl");
        for line in cases.lines() {
            let (value, expected): (String, bool) = serde_json::from_str(line).unwrap();
            assert_eq!(classify(&value) == Class::Cipher, expected, "{value:?}");
        }
    }

    #[test]
    fn ciphers_are_found_inside_of_texts() {
        let text = format!("a KBC::Nothing KBC::ProjectSecure::{BODY}, 'KBC::Encrypted=={BODY}=='");
        let found: Vec<_> = ciphers(&text).map(|range| &text[range]).collect();
        assert_eq!(
            found,
            [
                format!("KBC::ProjectSecure::{BODY}"),
                format!("KBC::Encrypted=={BODY}==")
            ]
        );
    }
}
