//! Where texts that were found stand again.

use super::{automaton, known::disguises};
use aho_corasick::AhoCorasick;
use std::{fmt, ops::Range};

/// Shorter texts stand everywhere, and say nothing.
const FORM_LEN_MIN: usize = 3;
/// A line of a longer secret that is looked for by itself.
const LINE_LEN_MIN: usize = 8;

/// Sees texts that were found elsewhere wherever they stand again, in the disguises that the guard knows too.
///
/// This is for what is shown to people beside a finding. Unlike the guard it takes any text of 3 bytes or more: better too
/// much is hidden than a secret shown.
#[derive(Default)]
pub struct Sightings {
    tables: Option<AhoCorasick>,
    /// The tables could not be made.
    hides_all: bool,
}

impl Sightings {
    #[must_use]
    pub fn of<'s>(found: impl IntoIterator<Item = &'s str>) -> Self {
        let mut forms = Vec::new();
        for secret in found {
            let secret = secret.trim();
            if secret.len() < FORM_LEN_MIN {
                continue;
            }
            let lines = secret.lines().map(str::trim);
            forms.extend(
                lines
                    .filter(|line| line.len() >= LINE_LEN_MIN)
                    .flat_map(disguises),
            );
            forms.extend(disguises(secret));
            // As it stands in a pointer.
            forms.push(secret.replace('~', "~0").replace('/', "~1"));
        }
        forms.retain(|form| form.len() >= FORM_LEN_MIN);
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self::default();
        }
        let tables = automaton(&forms);
        Self {
            hides_all: tables.is_none(),
            tables,
        }
    }

    /// Returns the bytes of a text where one of them stands: ascending and disjoint.
    #[must_use]
    pub fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        let Some(tables) = &self.tables else {
            let all = self.hides_all.then_some(0..text.len());
            return all.into_iter().collect();
        };
        let mut hits: Vec<Range<usize>> = tables
            .find_overlapping_iter(text)
            .map(|hit| hit.range())
            .collect();
        hits.sort_unstable_by_key(|hit| hit.start);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for hit in hits {
            match ranges.last_mut() {
                Some(last) if hit.start <= last.end => last.end = last.end.max(hit.end),
                _ => ranges.push(hit),
            }
        }
        ranges
    }

    /// Returns a text with `by` in the place of each of them.
    #[must_use]
    pub fn hide(&self, text: &str, by: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut copied = 0;
        for range in self.ranges(text) {
            shown.push_str(&text[copied..range.start]);
            shown.push_str(by);
            copied = range.end;
        }
        shown.push_str(&text[copied..]);
        shown
    }
}

impl fmt::Debug for Sightings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sightings").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_hidden_wherever_it_stands_again() {
        let found = Sightings::of(["Tajne-Heslo/77", "a\"b", "first line of it\nsecond line"]);
        for (text, expected) in [
            (
                "it is Tajne-Heslo/77, Tajne-Heslo/77Tajne-Heslo/77.",
                "it is *, *.",
            ),
            (r#"{"x": "a\"b"}"#, r#"{"x": "*"}"#),
            ("x,\"a\"\"b\"", "x,\"*\""),
            ("p=Tajne-Heslo%2F77&q", "p=*&q"),
            ("/a/Tajne-Heslo~177/b", "/a/*/b"),
            ("on the second line.", "on the *."),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(found.hide(text, "*"), expected, "{text}");
        }
        let encoded = data_encoding::BASE64.encode(b"user:Tajne-Heslo/77");
        assert_ne!(found.hide(&encoded, "*"), encoded);
        for short in ["", "a", "ab"] {
            assert_eq!(Sightings::of([short]).hide("ab", "*"), "ab");
        }
        assert_eq!(Sightings::of(["abc"]).hide("abcd", "*"), "*d");
    }
}
