//! Eight bytes at once, in an ordinary word.
//!
//! What is told has the highest bit of a byte set. That of the lowest byte told is always right; a byte above it may be told
//! for nothing, since its difference borrows.

/// So many bytes are looked at at once.
pub(super) const EIGHT: usize = 8;

const ONES: u64 = u64::from_le_bytes([1; EIGHT]);
const HIGH: u64 = u64::from_le_bytes([0x80; EIGHT]);

/// Eight bytes, the first one lowest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eight(u64);

/// Which of them were told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told(u64);

impl Eight {
    pub(super) const fn new(bytes: [u8; EIGHT]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Tells those that are less than a number of at most 128.
    pub(super) const fn less(self, than: u8) -> Told {
        Told(self.0.wrapping_sub(ONES * than as u64) & !self.0)
    }

    pub(super) const fn equal(self, to: u8) -> Told {
        Self(self.0 ^ (ONES * to as u64)).less(1)
    }

    /// The same but for one bit, in which they may differ.
    pub(super) const fn equal_but_for(self, bit: u8, to: u8) -> Told {
        Self(self.0 | (ONES * bit as u64)).equal(to | bit)
    }
}

impl Told {
    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the place of the first one.
    pub(super) const fn first(self) -> Option<usize> {
        match self.0 & HIGH {
            0 => None,
            told => Some((told.trailing_zeros() / 8) as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_is_told_and_none_where_there_is_none() {
        let texts = [
            b"abcdefgh",
            b"a\"cd\"fgh",
            b"\"\"\"\"\"\"\"\"",
            b"abcdefg\"",
            b"\x1f !\"#$%&",
            b"\x7f\x80\xff\0\0\x01\x20\x21",
        ];
        for text in texts {
            for byte in 0..=255 {
                let first = text.iter().position(|other| *other == byte);
                assert_eq!(Eight::new(*text).equal(byte).first(), first, "{byte} in {text:?}");
                let first = text.iter().position(|other| other | 2 == byte | 2);
                assert_eq!(
                    Eight::new(*text).equal_but_for(2, byte).first(),
                    first,
                    "{byte} in {text:?}"
                );
            }
            for than in 0..=128 {
                let first = text.iter().position(|other| *other < than);
                assert_eq!(
                    Eight::new(*text).less(than).first(),
                    first,
                    "below {than} in {text:?}"
                );
            }
        }
    }
}
