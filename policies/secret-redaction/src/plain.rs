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

    /// Says whether nothing is in a text; `look` is asked where that is not remembered.
    pub(crate) fn has(&mut self, text: &'a str, look: impl FnOnce() -> bool) -> bool {
        let bytes = text.as_bytes();
        let (Some(first), Some(last)) = (bytes.first_chunk::<END>(), bytes.last_chunk::<END>()) else {
            return look();
        };
        let place = &mut self.0[place(*first, *last)];
        if *place == text {
            return true;
        }
        let is_plain = look();
        if is_plain {
            *place = text;
        }
        is_plain
    }
}

/// Returns the place of a text with these ends. What is remembered does not depend on it.
fn place(first: [u8; END], last: [u8; END]) -> usize {
    let mixed = u64::from_le_bytes(first) ^ u64::from_le_bytes(last).rotate_left(29);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - PLACES.ilog2())) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_is_remembered_and_only_if_it_is_plain() {
        let texts = [
            "componentId",
            "componentIds",
            "componentid",
            "short",
            "",
            "comp-entId",
        ];
        let mut plain = Plain::new();
        for text in texts {
            assert!(!plain.has(text, || false), "{text}");
            assert!(plain.has(text, || true), "{text}");
        }
        // In each other's places, too.
        let mut plain = Plain(Box::new(["componentId"; PLACES]));
        for text in texts {
            assert_eq!(plain.has(text, || false), text == "componentId", "{text}");
        }
    }
}
