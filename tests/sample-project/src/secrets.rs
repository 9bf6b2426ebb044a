//! Made-up secrets and made-up ciphers, well formed to the last checksum and worth nothing.
//!
//! Everything is put together at run time from the seeded stream, so that no scanner finds a token in this source.
//! Where they go is `plants`' and the content modules' decision.

use crate::encode::{BASE62, BASE64, BASE64_URL, DIGITS, HEX, LOWER_ALNUM, base62_padded, base64, crc32};
use crate::random::Random;

const UPPER_BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// No quotes, backslashes or separators of URLs and connection strings.
const PASSWORD_LETTERS: &str = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!.-_";

/// Ciphers as the encryption service of each cloud returns them, newest forms first.
const CIPHER_SCOPES: &[&str] = &[
    "ProjectSecure",
    "ProjectSecure",
    "ProjectSecure",
    "ProjectSecureKV",
    "ProjectSecureGKMS",
    "ConfigSecure",
    "ConfigSecureKV",
    "ComponentSecure",
    "ProjectWideSecure",
    "BranchTypeSecure",
    "BranchTypeConfigSecureGKMS",
    "ProjectWideBranchTypeSecureKV",
];

/// A well-formed cipher of random bytes: `KBC::ProjectSecure::eJ…`.
pub(crate) fn cipher(random: &mut Random) -> String {
    let length = usize::try_from(random.between(60, 140)).expect("a small number");
    let mut bytes = vec![0x78, 0x9C];
    bytes.extend((0..length).map(|_| random.next().to_le_bytes()[0]));
    format!("KBC::{}::{}", random.pick(CIPHER_SCOPES), base64(&bytes, false))
}

/// A value under a `#` key as a careful author leaves it: mostly a cipher, now and then a vault reference.
pub(crate) fn protected(random: &mut Random, name: &str) -> String {
    match random.below(12) {
        0 => format!("{{{{ vault.{name} }}}}"),
        1 => format!("{{{{vault.{name}}}}}"),
        2 => format!(
            "KBC::{}Encrypted=={}",
            "ComponentProject",
            random.text(BASE64, 44)
        ),
        _ => cipher(random),
    }
}

/// A password a person would make up, with one character of every class.
pub(crate) fn password(random: &mut Random) -> String {
    let length = usize::try_from(random.between(12, 18)).expect("a small number");
    format!(
        "{}7{}",
        random.text(PASSWORD_LETTERS, length),
        random.text("abcdefgh", 2)
    )
}

/// A token of GitHub's form: 30 random characters and their CRC-32 in base 62.
pub(crate) fn github_token(random: &mut Random) -> String {
    with_checksum(concat!("gh", "p_"), random)
}

/// A token of npm's form, which has the same checksum.
pub(crate) fn npm_token(random: &mut Random) -> String {
    with_checksum(concat!("np", "m_"), random)
}

fn with_checksum(prefix: &str, random: &mut Random) -> String {
    let body = random.text(BASE62, 30);
    format!("{prefix}{body}{}", base62_padded(crc32(body.as_bytes())))
}

pub(crate) fn gitlab_token(random: &mut Random) -> String {
    format!("{}{}", concat!("gl", "pat-"), random.text(BASE62, 20))
}

pub(crate) fn slack_token(random: &mut Random) -> String {
    let [team, user] = [0, 1].map(|_| format!("2{}", random.text(DIGITS, 11)));
    format!(
        "{}-{team}-{user}-{}",
        concat!("xo", "xb"),
        random.text(BASE62, 24)
    )
}

pub(crate) fn stripe_key(random: &mut Random) -> String {
    format!("{}{}", concat!("sk", "_li", "ve_"), random.text(BASE62, 24))
}

pub(crate) fn google_api_key(random: &mut Random) -> String {
    format!("{}{}", concat!("AI", "za"), random.text(BASE64_URL, 35))
}

pub(crate) fn sendgrid_key(random: &mut Random) -> String {
    format!(
        "{}.{}.{}",
        concat!("S", "G"),
        random.text(BASE62, 22),
        random.text(BASE62, 43)
    )
}

/// Access key id and secret access key.
pub(crate) fn aws_pair(random: &mut Random) -> (String, String) {
    let id = format!("{}{}", concat!("AK", "IA"), random.text(UPPER_BASE32, 16));
    (id, random.text(BASE64, 40))
}

pub(crate) fn jwt(random: &mut Random) -> String {
    let subject = random.text(DIGITS, 8);
    let header = base64(br#"{"alg":"HS256","typ":"JWT"}"#, true);
    let payload = base64(
        format!(r#"{{"sub":"{subject}","scope":"orders:read","iat":1756710000}}"#).as_bytes(),
        true,
    );
    format!("{header}.{payload}.{}", random.text(BASE64_URL, 43))
}

/// A Storage API token: project, token number, 40 characters.
pub(crate) fn storage_token(project_id: u64, random: &mut Random) -> String {
    format!(
        "{project_id}-{}-{}",
        random.between(100_000, 999_999),
        random.text(BASE62, 40)
    )
}

pub(crate) fn bearer(random: &mut Random) -> String {
    random.text(BASE62, 44)
}

pub(crate) fn hex_key(random: &mut Random) -> String {
    random.text(HEX, 40)
}

pub(crate) fn short_key(random: &mut Random) -> String {
    random.text(LOWER_ALNUM, 32)
}

/// A number that nothing else in the project is: twelve digits.
pub(crate) fn numeric(random: &mut Random) -> u64 {
    random.between(300_000_000_000, 899_999_999_999)
}

/// A private key in PEM form with lines of 64 characters; the body is not a key.
pub(crate) fn private_key(random: &mut Random) -> String {
    let label = concat!("PRIV", "ATE KEY");
    let mut text = format!(
        "-----BEGIN {label}-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC{}\n",
        random.text(BASE64, 32)
    );
    for _ in 0..23 {
        text.push_str(&random.text(BASE64, 64));
        text.push('\n');
    }
    text + &random.text(BASE64, 40) + &format!("\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_with_a_checksum_carry_the_right_one() {
        let mut random = Random::new(5);
        for token in [github_token(&mut random), npm_token(&mut random)] {
            let (body, checksum) = token[4..].split_at(30);
            assert_eq!(checksum, base62_padded(crc32(body.as_bytes())));
            assert_eq!(token.len(), 40);
        }
    }

    #[test]
    fn ciphers_are_a_known_scope_and_whole_base64() {
        let mut random = Random::new(5);
        for _ in 0..200 {
            let text = cipher(&mut random);
            let (scope, body) = text["KBC::".len()..].split_once("::").expect("two parts");
            assert!(CIPHER_SCOPES.contains(&scope));
            assert!(body.starts_with("eJ") && body.len() % 4 == 0, "{body}");
        }
    }

    #[test]
    fn a_private_key_has_its_frame_and_full_lines() {
        let text = private_key(&mut Random::new(5));
        assert!(text.lines().all(|line| line.len() <= 64));
        assert!(text.starts_with("-----BEGIN ") && text.ends_with(" KEY-----\n"));
    }
}
