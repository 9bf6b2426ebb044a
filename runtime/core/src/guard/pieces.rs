//! Tells most texts quickly from those that may hold one of some others.
//!
//! Of each form the pieces of five bytes that begin at its first four bytes are known. A text is looked at at every fourth byte:
//! wherever a form of eight bytes or more stands in it, one of these pieces begins there. What is looked at so takes a fraction of
//! the time that an automaton takes for the same text, and nearly no text has such a piece by chance.

const STEP: usize = 4;
const PIECE_BYTES: usize = 5;
/// Of a shorter form none of the places that are looked at may have a whole piece.
const FORM_BYTES_MIN: usize = STEP - 1 + PIECE_BYTES;
/// A piece that is none of ours is told by its bit, but for one in so many.
const BITS_PER_PIECE: usize = 32;

/// The pieces of some forms.
pub(super) struct Pieces {
    sorted: Box<[u64]>,
    /// A set bit for the hash of each piece; a power of two of them.
    bits: Box<[u64]>,
}

impl Pieces {
    /// Returns none where a form is shorter than eight bytes, so that it could be overlooked.
    pub(super) fn of(forms: &[String]) -> Option<Self> {
        if forms.iter().any(|form| form.len() < FORM_BYTES_MIN) {
            return None;
        }
        let pieces = forms.iter().flat_map(|form| {
            let first = &form.as_bytes()[..FORM_BYTES_MIN];
            first.windows(PIECE_BYTES).map(short)
        });
        let mut sorted: Vec<u64> = pieces.collect();
        sorted.sort_unstable();
        sorted.dedup();
        let words = (sorted.len() * BITS_PER_PIECE / 64).next_power_of_two();
        let mut pieces = Self {
            sorted: sorted.into(),
            bits: vec![0; words].into(),
        };
        for at in 0..pieces.sorted.len() {
            let (word, bit) = pieces.bit(pieces.sorted[at]);
            pieces.bits[word] |= bit;
        }
        Some(pieces)
    }

    /// Says whether a form may stand in a text. If not, none does.
    pub(super) fn may_be_in(&self, text: &str) -> bool {
        let mut rest = text.as_bytes();
        while let Some(word) = rest.first_chunk::<8>() {
            if self.has(u64::from_le_bytes(*word) & PIECE_MASK) {
                return true;
            }
            rest = &rest[STEP..];
        }
        rest.get(..PIECE_BYTES).is_some_and(|last| self.has(short(last)))
    }

    fn has(&self, piece: u64) -> bool {
        let (word, bit) = self.bit(piece);
        self.bits[word] & bit != 0 && self.sorted.binary_search(&piece).is_ok()
    }

    /// Returns where the bit of a piece is: the word, and the bit in it.
    fn bit(&self, piece: u64) -> (usize, u64) {
        // 2^64 by the golden ratio: what differs in any byte differs in the upper half of the product.
        let hash = piece.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = (hash >> 32) as usize & (self.bits.len() - 1);
        (word, 1 << (hash >> 58))
    }
}

/// The bytes of a piece in a word, the first one lowest.
const PIECE_MASK: u64 = (1 << (8 * PIECE_BYTES)) - 1;

fn short(piece: &[u8]) -> u64 {
    let bytes = piece.iter().rev();
    bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(of: &[&str]) -> Vec<String> {
        of.iter().map(|form| (*form).to_owned()).collect()
    }

    #[test]
    fn a_form_is_seen_wherever_it_stands() {
        let secret = "Tr0ub4dor&3-ěščř-horse-battery";
        for bytes in (8..secret.len()).filter(|bytes| secret.is_char_boundary(*bytes)) {
            let form = &secret[..bytes];
            let pieces = Pieces::of(&forms(&["entirely different", form])).expect("they are long enough");
            for before in 0..13 {
                for after in 0..13 {
                    let text = [&" ".repeat(before), form, &"=".repeat(after)].concat();
                    assert!(pieces.may_be_in(&text), "{text}");
                }
            }
        }
    }

    #[test]
    fn other_texts_are_told_from_it() {
        let secrets: Vec<String> = (0..1000_u64)
            .map(|n| format!("{:016x}", (n + 1).wrapping_mul(0xd134_2543_de82_ef95)))
            .collect();
        let pieces = Pieces::of(&secrets).expect("they are long enough");
        for text in [
            "",
            "a",
            "seven b",
            "SELECT \"id\", \"name\" FROM \"orders\" WHERE \"created\" > '2026-01-01';",
            "configs/main/extractor/keboola.ex-db-mysql/orders/rows/customers",
        ] {
            assert!(!pieces.may_be_in(text), "{text}");
        }
    }

    #[test]
    fn forms_that_could_be_overlooked_are_not_taken() {
        assert!(Pieces::of(&forms(&["long enough", "seven b"])).is_none());
        assert!(Pieces::of(&forms(&["eight by"])).is_some());
    }
}
