//! Random values that are for everybody to see, whatever stands before them: ids that services give to their objects, and
//! digests of packages.

use crate::alphabet::{ALNUM, PLUS_SLASH};
use crate::shape;

/// Names of objects of Stripe and Clerk, each with a `_` and noise behind it in their ids. Keys, tokens and client secrets have
/// other names.
const OBJECTS: [&str; 52] = [
    "acct", "ba", "bps", "card", "ch", "client", "cn", "cus", "dp", "du", "evt", "fee", "file", "iauth",
    "ic", "ich", "ii", "il", "in", "inst", "invst", "ipi", "link", "mandate", "mbur", "org", "orgmem", "pi",
    "plan", "plink", "pm", "po", "price", "promo", "py", "pyr", "qt", "req", "rp", "seti", "si", "src",
    "sub", "tax", "tmr", "tr", "trr", "tu", "txi", "txn", "txr", "we",
];

/// Lengths of their noise, in bytes.
const NOISE: std::ops::RangeInclusive<usize> = 14..=32;

/// Length of that of a product, whose name is also what others call their keys, in bytes.
const PRODUCT_LENGTH: usize = 14;

/// Digests by their names, with their lengths in base64, in bytes.
const DIGESTS: [(&str, usize); 4] = [("sha1-", 28), ("sha256-", 44), ("sha384-", 64), ("sha512-", 88)];

/// Says whether it is the id of an object: `in_1NaB3dE5fG7hJ9kL2mN4pQ6r`.
pub(crate) fn is_of_object(value: &[u8]) -> bool {
    let Some(joint) = value.iter().take(8).position(|byte| *byte == b'_') else {
        return false;
    };
    let (name, noise) = (&value[..joint], &value[joint + 1..]);
    NOISE.contains(&noise.len())
        && ALNUM.all(noise)
        // Such a key may have any name.
        && !shape::is_hex_key(noise)
        && (OBJECTS.iter().any(|object| object.as_bytes() == name)
            || (name == b"prod" && noise.len() == PRODUCT_LENGTH))
}

/// Says whether it is a digest, or several, as `integrity` has them in lock files and markup.
pub(crate) fn is_integrity(value: &str) -> bool {
    let is_digest = |digest: &str| {
        DIGESTS.iter().any(|(name, length)| {
            digest.strip_prefix(name).is_some_and(|base64| {
                let digits = base64.trim_end_matches('=');
                base64.len() == *length
                    && base64.len() - digits.len() <= 2
                    && ALNUM.or(PLUS_SLASH).all(digits.as_bytes())
            })
        })
    };
    value.starts_with("sha") && value.split(' ').all(is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: &str = "1NaB3dE5fG7hJ9kL2mN4pQ6r";

    #[test]
    fn ids_of_objects_are_told_from_keys() {
        for name in ["in", "ch", "pm", "sub", "evt", "txn", "acct", "org", "pi"] {
            assert!(is_of_object(format!("{name}_{NOISE}").as_bytes()), "{name}");
        }
        assert!(is_of_object(format!("prod_{}", &NOISE[..14]).as_bytes()));
        for other in [
            format!("prod_{NOISE}"),
            format!("sk_{NOISE}"),
            format!("re_{NOISE}"),
            format!("sub_live_{NOISE}"),
            format!("pi_{NOISE}_secret_{NOISE}"),
            format!("in_{}", &NOISE[..8]),
            "ch_0f3a9c71d25e84b60f3a9c71d25e84b6".to_owned(),
            NOISE.to_owned(),
        ] {
            assert!(!is_of_object(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn digests_of_packages_have_the_length_of_theirs() {
        let (sha1, sha512) = ("a".repeat(27), "b/".repeat(43));
        assert!(is_integrity(&format!("sha1-{sha1}=")));
        assert!(is_integrity(&format!("sha512-{sha512}==")));
        assert!(is_integrity(&format!("sha1-{sha1}= sha512-{sha512}==")));
        for other in [
            format!("sha512-{sha1}="),
            format!("sha512-{sha512}"),
            format!("sha1-{sha1}= {NOISE}"),
            sha512,
            String::new(),
        ] {
            assert!(!is_integrity(&other), "{other}");
        }
    }
}
