//! Secrets in the form that names take in paths: small letters, dashes for all else, no accents.

use super::automaton;
use aho_corasick::AhoCorasick;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;

/// A secret of fewer letters and digits is met by chance, and an object would be withheld for it.
const MIXED_LEN_MIN: usize = 16;
/// The same where there are no digits, since words are met more often.
const LETTERS_LEN_MIN: usize = 24;

/// Sees secrets through the slugging of names.
///
/// Whatever a renderer makes of a text to have it in a path, the letters and digits stay in their
/// order; so these alone are compared, in any case of letters. Secrets of fewer than 16 letters and
/// digits, or 24 letters, are not looked for, nor are mere numbers.
#[derive(Debug, Default)]
pub struct Slugs {
    tables: Option<AhoCorasick>,
    /// The tables could not be made.
    refuses_all: bool,
}

impl Slugs {
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut forms: Vec<String> = secrets.into_iter().map(squeezed).collect();
        forms.retain(|form| is_distinctive(form));
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self::default();
        }
        // Too many bytes of secrets for one automaton: pass nothing rather than look for less.
        let tables = automaton(&forms);
        Self {
            refuses_all: tables.is_none(),
            tables,
        }
    }

    /// Says whether one of the secrets shows through a name or path.
    #[must_use]
    pub fn is_in(&self, name: &str) -> bool {
        match &self.tables {
            Some(tables) => tables.is_match(&squeezed(name)),
            None => self.refuses_all,
        }
    }

    /// Returns where they show through, as bytes of the name.
    pub(super) fn hits(&self, name: &str) -> Vec<Range<usize>> {
        let Some(tables) = &self.tables else {
            return Vec::new();
        };
        let (mut letters, mut places) = (String::new(), Vec::new());
        for (at, c) in name.char_indices() {
            for letter in squeezed(c.encode_utf8(&mut [0; 4])).chars() {
                letters.push(letter);
                places.push(at..at + c.len_utf8());
            }
        }
        let hits = tables.find_overlapping_iter(&letters);
        hits.map(|hit| places[hit.start()].start..places[hit.end() - 1].end)
            .collect()
    }
}

/// Returns the letters and digits of a text, without accents and small.
fn squeezed(text: &str) -> String {
    let small = |c: char| c.to_ascii_lowercase();
    // Nearly all are, and have nothing to be taken apart.
    if text.is_ascii() {
        return text
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(small)
            .collect();
    }
    text.nfd()
        .filter(char::is_ascii_alphanumeric)
        .map(small)
        .collect()
}

fn is_distinctive(form: &str) -> bool {
    let letter = form.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digit = form.bytes().any(|byte| byte.is_ascii_digit());
    let len_min = if digit { MIXED_LEN_MIN } else { LETTERS_LEN_MIN };
    letter && form.len() >= len_min
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::normalize_name;

    #[test]
    fn a_secret_shows_through_whatever_is_done_to_it() {
        let secret = "4021-Tok3n/Xy_9é8ZZtop+Qr";
        let slugs = Slugs::new([secret]);
        for name in [
            secret.to_owned(),
            normalize_name(secret),
            format!(
                "configs/main/x/blocks/001-{}-y/code.sql",
                normalize_name(&format!("use {secret}!"))
            ),
            secret.replace(|c: char| !c.is_ascii_alphanumeric() && c != 'é', "_"),
            secret.to_uppercase(),
        ] {
            assert!(slugs.is_in(&name), "{name}");
        }
        assert!(!slugs.is_in("configs/main/extractor/keboola.ex-db-mysql/orders"));
    }

    #[test]
    fn what_is_met_by_chance_is_not_looked_for() {
        for secret in [
            "Orders-2024!",
            "2024-01-02 03:04:05.678901",
            "customer orders daily",
            "",
        ] {
            assert!(!Slugs::new([secret]).is_in(secret), "{secret}");
        }
        assert!(Slugs::new(["correct horse battery staple"]).is_in("Correct Horse Battery Staple"));
    }
}
