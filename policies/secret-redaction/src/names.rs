//! What names of members say, remembered from one batch to the next: a project has some hundred names, each at many places.

use crate::keys::{self, Keywords, Strength};
use crate::{pairs, plain, structure, vendors};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many names are remembered, each at its own place.
const PLACES: usize = 512;

/// Longest name that is remembered, in bytes.
const LENGTH_MAX: usize = 32;

/// What a name says, as it is in a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known {
    /// How strongly it promises a secret.
    pub strength: Option<Strength>,
    /// It has a word of a secret anywhere.
    pub has_keyword: bool,
    /// It is the name of a service.
    pub is_service: bool,
    /// Its value is that of a pair whose name is in another member.
    pub is_value: bool,
    /// Its value is the name of such a pair.
    pub is_name: bool,
    /// Its value may be random without being a secret.
    pub is_of_noise: bool,
    /// It, or the name of the list whose item it is, may say something of its value.
    pub tells: bool,
}

/// Items of lists have numbers, and the name of the list.
fn is_digit(first: char) -> bool {
    first.is_ascii_digit()
}

impl Known {
    /// What each number says, which is nothing but that it is one.
    const NUMBER: Self = Self {
        strength: None,
        has_keyword: false,
        is_service: false,
        is_value: false,
        is_name: false,
        // Lists have ids, and what is counted.
        is_of_noise: true,
        tells: true,
    };

    fn of(keywords: &Keywords, name: &str) -> Self {
        let strength = keywords.strength(&structure::unescape(name));
        let is_service = vendors::is_service(name.as_bytes());
        let is_value = structure::is_value_member(name);
        Self {
            strength,
            has_keyword: keywords.occur_in(name),
            is_service,
            is_value,
            is_name: structure::is_name_member(name),
            is_of_noise: keys::is_of_noise(&structure::unescape(name)),
            tells: strength.is_some() || is_service || is_value || name.starts_with(is_digit),
        }
    }
}

/// All bytes of a short name, and how many they are: no two names have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Letters {
    /// The first eight and the last, which may overlap; fewer in a shorter name.
    ends: [u64; 2],
    /// Those next to these where there are more.
    inner: [u64; 2],
    length: usize,
}

impl Letters {
    /// No name has these.
    const NONE: Self = Self {
        ends: [0; 2],
        inner: [0; 2],
        length: usize::MAX,
    };

    /// Returns those of a name that is short enough.
    fn of(name: &[u8]) -> Option<Self> {
        let eight = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let mut inner = [0; 2];
        // Two halves, which may overlap, have no loop that takes as many turns as the name has bytes.
        let ends = if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            if name.len() > LENGTH_MAX {
                return None;
            } else if name.len() > 16 {
                inner = [
                    eight(name[8..].first_chunk()?),
                    eight(name[..name.len() - 8].last_chunk()?),
                ];
            }
            [eight(first), eight(last)]
        } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            [four(first), four(last)]
        } else {
            let all = name.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
            [all; 2]
        };
        Some(Self {
            ends,
            inner,
            length: name.len(),
        })
    }

    /// Returns the place where the name is remembered. What is remembered does not depend on it.
    fn place(self) -> usize {
        plain::mixed(self.ends[0], self.ends[1]) % PLACES
    }
}

/// The names that were asked for last.
#[derive(Debug)]
struct Places([(Letters, Known); PLACES]);

/// What names say, and where that is kept from one batch to the next.
#[derive(Debug)]
pub(crate) struct Lexicon {
    keywords: Keywords,
    /// Of whoever gave it back last; who finds none begins anew.
    kept: Mutex<Option<Box<Places>>>,
}

impl Lexicon {
    pub(crate) fn new() -> Self {
        Self {
            keywords: Keywords::new(),
            kept: Mutex::new(None),
        }
    }

    pub(crate) fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// Opens it for a batch.
    pub(crate) fn names(&self) -> Names<'_> {
        Names {
            lexicon: self,
            places: self.kept().take(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Box<Places>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What names say, remembered.
#[derive(Debug)]
pub(crate) struct Names<'k> {
    lexicon: &'k Lexicon,
    /// None before the first name, unless another batch has left its own.
    places: Option<Box<Places>>,
}

impl<'k> Names<'k> {
    pub(crate) fn keywords(&self) -> &'k Keywords {
        &self.lexicon.keywords
    }

    /// Returns what a name says, as it is in a pointer.
    pub(crate) fn of(&mut self, name: &str) -> Known {
        if pairs::is_number(name) {
            return Known::NUMBER;
        }
        let known = || Known::of(&self.lexicon.keywords, name);
        let Some(letters) = Letters::of(name.as_bytes()) else {
            return known();
        };
        let places = self
            .places
            .get_or_insert_with(|| Box::new(Places([(Letters::NONE, Known::default()); PLACES])));
        let place = &mut places.0[letters.place()];
        if place.0 != letters {
            *place = (letters, known());
        }
        place.1
    }
}

impl Drop for Names<'_> {
    fn drop(&mut self) {
        *self.lexicon.kept() = self.places.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_says_the_same_whatever_was_asked_for_before() {
        let lexicon = Lexicon::new();
        let mut names = lexicon.names();
        let words = crate::keys::words::KEYWORDS
            .iter()
            .chain(crate::keys::words::SECRETS);
        let words = words
            .copied()
            .chain(["value", "name", "ipstack", "#", "#x", "", "a~1b", "0", "12", "pw"]);
        let words: Vec<&str> = words.collect();
        let joined = words
            .iter()
            .flat_map(|word| words.iter().map(move |other| format!("{word}{other}")));
        let all: Vec<String> = joined
            .chain(words.iter().map(|word| (*word).to_owned()))
            .collect();
        assert!(all.len() > 10 * PLACES);
        // Each is asked for twice, once when others have taken its place.
        for name in all.iter().chain(all.iter().rev()) {
            assert_eq!(names.of(name), Known::of(&lexicon.keywords, name), "{name}");
        }
        drop(names);
        assert_eq!(lexicon.names().of("password").strength, Some(Strength::Password));
    }

    #[test]
    fn numbers_say_nothing_but_that_they_are_numbers() {
        let lexicon = Lexicon::new();
        for number in 0..20_000 {
            let name = number.to_string();
            assert_eq!(Known::of(&lexicon.keywords, &name), Known::NUMBER, "{name}");
        }
        let words = crate::keys::words::KEYWORDS
            .iter()
            .chain(crate::keys::words::PASSWORDS);
        assert!(!words.copied().any(pairs::is_number));
    }

    #[test]
    fn no_two_names_have_the_same_letters() {
        let mut seen = BTreeSet::new();
        for length in 0..=LENGTH_MAX {
            let name = vec![b'a'; length];
            for (place, byte) in (0..length).flat_map(|place| [0, b'b', 0xff].map(|byte| (place, byte))) {
                let mut other = name.clone();
                other[place] = byte;
                let letters = Letters::of(&other).unwrap();
                assert!(seen.insert(letters), "{byte:#x} at {place} of {length}");
            }
            assert!(seen.insert(Letters::of(&name).unwrap()));
        }
        assert_eq!(Letters::of(&[b'a'; LENGTH_MAX + 1]), None);
    }
}
