//! The policy's rules in the order of their indices: general ones first, then the known forms.

use crate::formats;

/// Index of a rule in [`all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleIndex(pub u32);

macro_rules! general_rules {
    ($($name:ident = $id:literal, $title:literal;)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only names the indices below")]
        enum Order { $($name),* }
        $(pub const $name: RuleIndex = RuleIndex(Order::$name as u32);)*
        const GENERAL: &[(&str, &str)] = &[$(($id, $title)),*];
    };
}

general_rules! {
    KEBOOLA_PLAINTEXT = "keboola-plaintext", "Value under a key that begins with #, not encrypted";
    STORAGE_TOKEN = "keboola-storage-token", "Keboola Storage API token";
    PASSWORD = "password", "Value beside the name of a password";
    KEYED_SECRET = "keyed-secret", "Value beside the name of a token, key or other secret";
    URL_PASSWORD = "url-password", "Password in the user part of a URL";
    BASIC_CREDENTIALS = "basic-credentials", "User and password of HTTP basic authentication";
    BEARER_TOKEN = "bearer-token", "Token in an Authorization header";
    SIGNATURE = "url-signature", "Signature that grants access to a URL";
    PRIVATE_KEY = "private-key", "Private key";
    WEB_TOKEN = "json-web-token", "JSON web token";
    ENCODED_SECRET = "encoded-secret", "Secret inside an encoded text";
    ISSUED_TOKEN = "issued-token", "Random token behind the name of its issuer";
}

/// Returns id and title of every rule.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    GENERAL
        .iter()
        .copied()
        .chain(formats::all().map(|format| (format.id, format.title)))
}

/// Returns the index of the known form at this place in [`formats::all`].
pub(crate) fn of_format(place: usize) -> RuleIndex {
    RuleIndex(u32::try_from(GENERAL.len() + place).expect("there are some hundred rules"))
}

/// Returns the id of a rule.
///
/// # Panics
/// Where the index is of no rule.
#[must_use]
pub fn id(index: RuleIndex) -> &'static str {
    all()
        .nth(index.0 as usize)
        .expect("rule indices come from this module")
        .0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn indices_and_ids_belong_together_and_are_unique() {
        assert_eq!(id(KEBOOLA_PLAINTEXT), "keboola-plaintext");
        assert_eq!(id(ENCODED_SECRET), "encoded-secret");
        assert_eq!(id(of_format(0)), formats::all().next().unwrap().id);
        let ids: Vec<_> = all().map(|(id, _)| id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }
}
