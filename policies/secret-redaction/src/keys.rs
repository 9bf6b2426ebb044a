//! How much a name says about its value: is `db_password` the name of a secret, and `token_url`?
//!
//! A name is cut into words. English puts the head of a compound last, so the last word decides, and
//! the one before it refines: `access_token` is a token, `token_count` is a count, `primary_key` is
//! a key of another kind. It does not look at values.

mod nouns;
pub(crate) mod words;

use crate::{
    keboola, pairs,
    starts::{Start, Starts},
};
use nouns::NOUNS;
use words::{
    ABOUT, KEYWORDS, NEUTRAL_TAILS, NOT_A_PASSWORD, NOT_A_TOKEN, OF_ALL, OF_NOISE, OTHER_KEYS, PASSWORD_ENDS,
    PASSWORDS, SECRET_ENDS, SECRET_KEYS, SECRETS, WEAK, WHOLE,
};

/// How strongly a name promises a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// The name could be that of a secret; the value must look random.
    Weak,
    /// The name of a machine's secret, such as `api_key`: the value must not look like a name.
    Secret,
    /// The name of a person's secret, such as `password`: almost any value is one.
    Password,
    /// A key beginning with `#` inside a text: Keboola promises a secret.
    Hash,
}

/// Tells quickly whether a name may be one that [`strength`] knows.
#[derive(Debug)]
pub(crate) struct Keywords(Starts);

impl Keywords {
    pub(crate) fn new() -> Self {
        let keywords: Vec<Start<'_>> = KEYWORDS.iter().copied().map(Start::of_any_case).collect();
        Self(Starts::new(&keywords))
    }

    /// Says whether a name has a word of a secret anywhere.
    pub(crate) fn occur_in(&self, name: &str) -> bool {
        self.0.occur_in(name)
    }

    /// Returns how strongly the name of a member or a column promises a secret.
    pub(crate) fn strength(&self, name: &str) -> Option<Strength> {
        match name.strip_prefix('#') {
            Some(rest) if rest.starts_with(|first: char| first.is_ascii_alphabetic()) => Some(Strength::Hash),
            // The rule in a marker is a word of ours, and says nothing of what has this name.
            _ if self.0.occur_in(name) => strength("", &keboola::with_markers_as("marker", name)),
            _ if name.len() <= WHOLE_MAX => WHOLE
                .iter()
                .find(|(whole, _)| name.eq_ignore_ascii_case(whole))
                .map(|&(_, strength)| strength),
            _ => None,
        }
    }
}

const WORDS_MAX: usize = 16;

/// Longest name that is looked for as a whole, in bytes.
const WHOLE_MAX: usize = 6;

/// Returns how strongly a name promises a secret; `before` is the word in front of it in a text, or empty.
pub(crate) fn strength(before: &str, name: &str) -> Option<Strength> {
    let mut words = Words::default();
    words.cut(before);
    words.cut(name);
    let mut words = words.as_slice();
    while let [rest @ .., last] = words {
        let neutral = last.bytes().all(|byte| byte.is_ascii_digit()) || is_one_of(last, NEUTRAL_TAILS);
        if !neutral || rest.is_empty() {
            break;
        }
        words = rest;
    }
    of_words(words).or_else(|| before_words(words))
}

/// Most words of somebody's own behind the head of a name.
const OWN_WORDS_MAX: usize = 3;

/// What a name promises whose head has words of somebody's own behind it, such as `password_acme` and `API_KEY_ACME`: less
/// than without them, since they may also say that something about a secret is meant.
fn before_words(words: &[&str]) -> Option<Strength> {
    for count in 1..=OWN_WORDS_MAX.min(words.len().saturating_sub(1)) {
        let (rest, own) = words.split_at(words.len() - count);
        if is_about(own[0]) {
            return None;
        }
        // Much passes that is no password: `PassCollisions`.
        if rest
            .last()
            .is_some_and(|head| head.eq_ignore_ascii_case("pass") && *head != "PASS")
        {
            return None;
        }
        match of_words(rest) {
            Some(Strength::Password | Strength::Hash) => return Some(Strength::Secret),
            Some(Strength::Secret) => return Some(Strength::Weak),
            Some(Strength::Weak) | None => {}
        }
    }
    None
}

/// Says whether the word is one of [`ABOUT`], in any case.
fn is_about(word: &str) -> bool {
    ABOUT
        .binary_search_by(|about| {
            let word = word.bytes().map(|byte| byte.to_ascii_lowercase());
            about.bytes().cmp(word)
        })
        .is_ok()
}

fn of_words(words: &[&str]) -> Option<Strength> {
    let (head, modifiers) = words.split_last()?;
    let modifier = modifiers.last().copied().unwrap_or_default();
    // `_pat` is too short to stand alone.
    if modifier.is_empty() && is_one_of(head, &["pat"]) {
        return None;
    }
    if is_one_of(head, PASSWORDS) || is_phrase(words) || ends_with_one_of(head, PASSWORD_ENDS) {
        return (!is_one_of(modifier, NOT_A_PASSWORD)).then_some(Strength::Password);
    }
    if is_one_of(head, SECRETS) || ends_with_one_of(head, SECRET_ENDS) {
        return (!is_one_of(modifier, NOT_A_TOKEN)).then_some(Strength::Secret);
    }
    if is_one_of(head, &["key", "keys"]) {
        return if is_one_of(modifier, SECRET_KEYS) || ends_with_one_of(modifier, &["secret", "api", "access"])
        {
            Some(Strength::Secret)
        } else if is_one_of(modifier, OTHER_KEYS) || is_of_objects(modifiers) {
            None
        } else {
            Some(Strength::Weak)
        };
    }
    // SonarQube takes a token for a login, Vault has ids that are secrets, Telegram calls a key a hash.
    let is = |modifiers: &str, heads: &str| is_one_of(modifier, &[modifiers]) && is_one_of(head, &[heads]);
    let is_odd = (ends_with_one_of(modifier, &["sonar"]) && is_one_of(head, &["login"]))
        || is("secret", "id")
        || is("api", "hash")
        || is("session", "id")
        || (is_one_of(head, &["code", "codes"])
            && is_one_of(
                modifier,
                &["access", "auth", "recovery", "backup", "pass", "activation"],
            ))
        || (is_one_of(head, &["api"]) && is_one_of(modifier, &["klic", "klíč"]));
    let weak = is_one_of(head, WEAK) || is_odd || ends_with_one_of(head, &["key", "access", "private"]);
    let other = [
        "monkey",
        "turkey",
        "hotkey",
        "donkey",
        "jockey",
        "hockey",
        "whiskey",
        "primarykey",
        "publickey",
        "pubkey",
    ];
    (weak && !is_one_of(head, &other)).then_some(Strength::Weak)
}

/// `s3_key`, whose first word has a digit.
fn is_of_objects(modifiers: &[&str]) -> bool {
    matches!(modifiers, [.., letter, "3"] if letter.eq_ignore_ascii_case("s"))
}

/// Says whether a name is that of several words which somebody remembers: `seed_phrase`, `mnemonic`.
pub(crate) fn is_name_of_phrase(name: &str) -> bool {
    let mut words = Words::default();
    words.cut(name);
    is_phrase(words.as_slice())
}

fn is_phrase(words: &[&str]) -> bool {
    match words {
        [.., modifier, head] if is_one_of(head, &["phrase"]) => is_one_of(
            modifier,
            &["pass", "seed", "recovery", "backup", "secret", "mnemonic"],
        ),
        [.., head] => is_one_of(head, &["mnemonic", "seedphrase"]),
        [] => false,
    }
}

/// Says whether a value of this name may be random without being a secret: `fileId`, `sha256`, `public_key`.
pub(crate) fn is_of_noise(name: &str) -> bool {
    let mut words = Words::default();
    words.cut(name);
    let words = words.as_slice();
    let Some(last) = words.iter().rev().find(|word| !pairs::is_number(word)) else {
        return true;
    };
    let of_all = |word: &&str| is_one_of(word, OF_ALL);
    let is_other_key = || {
        let modifier = words.len().checked_sub(2).map_or("", |at| words[at]);
        is_one_of(last, &["key", "keys"]) && is_one_of(modifier, OTHER_KEYS)
    };
    is_about(last) || is_one_of(last, OF_NOISE) || words.iter().any(of_all) || is_other_key() || is_noun(last)
}

/// Says whether the word is one of [`NOUNS`], in any case, perhaps in the plural.
fn is_noun(word: &str) -> bool {
    let has = |word: &str| {
        let letters = || word.bytes().map(|byte| byte.to_ascii_lowercase());
        NOUNS.binary_search_by(|noun| noun.bytes().cmp(letters())).is_ok()
    };
    has(word) || word.strip_suffix(['s', 'S']).is_some_and(has)
}

/// Says whether a value is itself the name of a secret, such as `DB_PASSWORD` or `api-token`.
pub(crate) fn is_secret_name(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' ' | b'#');
    // `DB_PASSWORD1` is a variable, `password1` and `HESLO_2024` are passwords.
    let letters = value.trim_end_matches(|char: char| char.is_ascii_digit());
    let is_shouted = letters.contains('_')
        && letters.ends_with(|end: char| end.is_ascii_uppercase())
        && value.len() - letters.len() <= 2
        && !letters.bytes().any(|byte| byte.is_ascii_lowercase());
    let name = if is_shouted { letters } else { value };
    value.len() <= 48 && name.bytes().all(plain) && names_a_secret(name)
}

fn names_a_secret(value: &str) -> bool {
    let mut words = Words::default();
    words.cut(value);
    let known = |word: &&str| {
        is_one_of(word, PASSWORDS) || is_one_of(word, SECRETS) || is_one_of(word, &["key", "auth", "oauth"])
    };
    // A value that ends in such a word is a name; one word that only ends in it is somebody's password.
    words.as_slice().last().is_some_and(known)
        // `ACCOUNT_PASSWORD_FIELD`
        || (value.contains('_')
            && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            && words.as_slice().iter().any(known))
}

fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|candidate| candidate.eq_ignore_ascii_case(word))
}

fn ends_with_one_of(word: &str, list: &[&str]) -> bool {
    let ends = |end: &&str| {
        word.len()
            .checked_sub(end.len())
            .and_then(|at| word.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    list.iter().any(ends)
}

/// The words of a name, without allocation; of a longer name only the last words count.
#[derive(Debug, Default)]
struct Words<'a> {
    words: [&'a str; WORDS_MAX],
    count: usize,
}

impl<'a> Words<'a> {
    fn as_slice(&self) -> &[&'a str] {
        &self.words[..self.count]
    }

    fn push(&mut self, word: &'a str) {
        if self.count == WORDS_MAX {
            self.words.rotate_left(1);
            self.count -= 1;
        }
        self.words[self.count] = word;
        self.count += 1;
    }

    /// Cuts at everything but letters and digits, between digits and letters, and at humps.
    fn cut(&mut self, name: &'a str) {
        let bytes = name.as_bytes();
        let mut start = 0;
        for at in 0..=bytes.len() {
            let boundary =
                at == bytes.len() || !is_word_byte(bytes[at]) || (at > start && hump(name, start, at));
            if !boundary {
                continue;
            }
            if at > start {
                self.push(&name[start..at]);
            }
            start = if at < bytes.len() && is_word_byte(bytes[at]) {
                at
            } else {
                at + 1
            };
        }
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Says whether a new word begins at `at`, inside the word that began at `start`.
fn hump(name: &str, start: usize, at: usize) -> bool {
    let bytes = name.as_bytes();
    let (before, here) = (bytes[at - 1], bytes[at]);
    if before.is_ascii_digit() != here.is_ascii_digit() {
        return true;
    }
    // `vendorSECRETkey`: a shouted word that is known ends where the small letters begin.
    let shouted = |end: usize| {
        end - start >= 3
            && bytes[start..end].iter().all(u8::is_ascii_uppercase)
            && is_one_of(
                &name[start..end],
                &["SECRET", "TOKEN", "KEY", "ACCESS", "PRIVATE", "PASSWORD", "PASS"],
            )
    };
    if here.is_ascii_uppercase() {
        let next_is_small = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        before.is_ascii_lowercase() || (before.is_ascii_uppercase() && next_is_small && !shouted(at + 1))
    } else {
        before.is_ascii_uppercase() && shouted(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Option<Strength>, names: &[&str]) {
        for name in names {
            assert_eq!(strength("", name), expected, "{name}");
        }
    }

    #[test]
    fn names_of_passwords() {
        check(
            Some(Strength::Password),
            &[
                "password",
                "DB_PASSWORD",
                "ftpPassword",
                "pwd",
                "Pwd",
                "user.password",
                "heslo",
                "mysqlpassword",
                "pass",
                "passphrase",
                "password2",
                "PASSWORD_PROD",
                "--password",
                "smtp_pass",
                "hasło",
                "db_haslo",
                "wachtwoord",
                "senha",
            ],
        );
    }

    #[test]
    fn names_of_machine_secrets() {
        check(
            Some(Strength::Secret),
            &[
                "client_secret",
                "clientSecret",
                "api_key",
                "apiKey",
                "APIKey",
                "X-API-Key",
                "accessToken",
                "authtoken",
                "AWS_SECRET_ACCESS_KEY",
                "AccountKey",
                "token",
                "vendorSECRET",
                "vendorSECRETkey",
                "refresh_token",
                "github_pat",
                "ipsec_psk",
                "tajemství",
                "unseal_key",
                "encryption_key",
                "signing_key",
            ],
        );
    }

    #[test]
    fn names_that_may_be_of_secrets() {
        check(
            Some(Strength::Weak),
            &[
                "key",
                "vendor_key",
                "authorization",
                "vendorACCESS",
                "geoKey",
                "sonar.login",
                "sonarLogin",
                "secret_id",
                "api_hash",
                "klíč",
                "tajny_klic",
            ],
        );
    }

    #[test]
    fn names_about_secrets_are_not_names_of_secrets() {
        check(
            None,
            &[
                "token_url",
                "password_field",
                "PASSWORD_erp_FIELD",
                "token_count",
                "primary_key",
                "s3_key",
                "sort_key",
                "hash_key",
                "publicKey",
                "monkey",
                "keyword",
                "tokenized",
                "is_password",
                "next_page_token",
                "max_tokens",
                "secret_name",
                "access_key_id",
                "credential_type",
                "password_reset",
                "author",
                "bypass_mode",
                "accessed_at",
                "",
                "pat",
                "compass",
            ],
        );
    }

    #[test]
    fn words_about_secrets_are_found_in_any_case() {
        assert!(ABOUT.is_sorted());
        assert!(
            ABOUT
                .iter()
                .all(|word| is_about(word) && is_about(&word.to_uppercase()))
        );
        assert!(!is_about("acme"));
    }

    #[test]
    fn nouns_of_data_are_found_in_any_case_and_number() {
        assert!(NOUNS.is_sorted());
        for name in ["visitor", "Visitors", "last_invoice", "EXPORT", "faktura"] {
            assert!(is_of_noise(name), "{name}");
        }
        for name in ["acme", "ipstack", "acme_invoicer", ""] {
            assert_eq!(is_of_noise(name), name.is_empty(), "{name}");
        }
        // What names secrets is no noun of data.
        let secrets = [PASSWORDS, SECRETS, WEAK].concat();
        assert!(!secrets.iter().any(|word| NOUNS.contains(word)));
    }

    #[test]
    fn the_word_before_a_bare_noun_counts() {
        assert_eq!(strength("API", "key"), Some(Strength::Secret));
        assert_eq!(strength("primary", "key"), None);
        assert_eq!(strength("access", "token"), Some(Strength::Secret));
    }

    #[test]
    fn a_value_can_be_the_name_of_a_secret() {
        for value in ["DB_PASSWORD", "api-token", "password", "#apiKey", "My Secret"] {
            assert!(is_secret_name(value), "{value}");
        }
        for value in ["password1", "letmein", "development#product", "open_sesame"] {
            assert!(!is_secret_name(value), "{value}");
        }
    }
}
