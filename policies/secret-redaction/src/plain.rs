//! Texts in which nothing was found, remembered while a batch is judged: ids of components and configurations, types, times
//! and paths are at many places of a project.

/// So many texts are remembered, each at its own place.
const PLACES: usize = 512;

/// Bytes at either end of a text that its place is found by; shorter ones are not remembered.
const END: usize = 8;

/// The texts that were looked at last.
#[derive(Debug)]
pub(crate) struct Plain<'a>(Box<[&'a str; PLACES]>);

impl<'a> Plain<'a> {
    pub(crate) fn new() -> Self {
        let places: Box<[_]> = vec![""; PLACES].into();
        Self(places.try_into().expect("it has this length"))
    }

    /// Says whether it is remembered that nothing is in a text.
    pub(crate) fn has(&self, text: &str) -> bool {
        place(text).is_some_and(|place| self.0[place] == text)
    }

    /// Remembers that nothing is in a text.
    pub(crate) fn add(&mut self, text: &'a str) {
        if let Some(place) = place(text) {
            self.0[place] = text;
        }
    }
}

/// Returns the place of a text that is long enough. What is remembered does not depend on it.
fn place(text: &str) -> Option<usize> {
    let end = |bytes: &[u8; END]| u64::from_le_bytes(*bytes);
    let bytes = text.as_bytes();
    Some(mixed(end(bytes.first_chunk()?), end(bytes.last_chunk()?)) % PLACES)
}

/// Mixes the ends of a text to a number of sixteen bits.
pub(crate) fn mixed(first: u64, last: u64) -> usize {
    let mixed = (first ^ last.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let [high, next, ..] = mixed.to_be_bytes();
    usize::from(u16::from_be_bytes([high, next]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Document, Engine, Kind, Leaf, Role, judge};
    use crate::settings::Settings;

    #[test]
    fn only_the_same_text_is_remembered() {
        let texts = ["componentId", "componentIds", "componentid", "comp-entId"];
        for text in texts {
            let mut plain = Plain::new();
            assert!(!plain.has(text));
            plain.add(text);
            assert!(
                texts.iter().all(|other| plain.has(other) == (*other == text)),
                "{text}"
            );
            // In each other's places, too.
            let plain = Plain(Box::new([text; PLACES]));
            assert!(
                texts.iter().all(|other| plain.has(other) == (*other == text)),
                "{text}"
            );
        }
        let mut plain = Plain::new();
        for text in ["", "short"] {
            plain.add(text);
            assert!(!plain.has(text));
        }
    }

    #[test]
    fn what_a_session_remembers_changes_no_answer() {
        let names = "db passwords password #token value name 0 17 taxjar note key id a~1b credentials_of_the_old_warehouse";
        let names: Vec<&str> = names.split(' ').chain([""]).collect();
        let values = "etl|Xk7vR2mpQz|7c9e6679f4254a0c8b1de07a55c3f912|keboola.ex-db-mysql|use password=leto2024 here|--password|\
            eyJwYXNzd29yZCI6ICJiYW5hbjU3In0=|KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0|api_token|https://a.example/x";
        let values: Vec<&str> = values.split('|').collect();
        // Numbers that look random and are the same each time.
        let mut state = 9_u64;
        let mut number = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        let kinds = [Kind::Config, Kind::Sample, Kind::Code];
        let roles = [Role::Key, Role::Text, Role::Text, Role::Scalar];
        let pointers: Vec<String> = (0..200)
            .map(|_| {
                (0..number(4))
                    .map(|_| format!("/{}", names[number(names.len())]))
                    .collect()
            })
            .collect();
        let documents: Vec<Document<'_>> = (0..100)
            .map(|_| Document {
                path: "",
                kind: kinds[number(kinds.len())],
                leaves: (0..number(20))
                    .map(|_| Leaf {
                        pointer: &pointers[number(pointers.len())],
                        role: roles[number(roles.len())],
                        value: values[number(values.len())],
                    })
                    .collect(),
            })
            .collect();
        let found = judge(&documents);
        assert!(found.iter().flatten().count() > 100);
        for (document, found) in documents.iter().zip(found) {
            assert_eq!(
                Engine::new(Settings::default()).judge(document),
                found,
                "{document:?}"
            );
        }
    }
}
