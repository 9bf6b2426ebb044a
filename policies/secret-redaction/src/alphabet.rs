//! Sets of ASCII bytes as bit masks, and what is read with them.
//!
//! A token's body is a run of bytes of one set, so membership is the innermost test of the whole
//! policy: one table look-up and one `and`.

/// A set of ASCII bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alphabet(u16);

pub(crate) const DIGIT: Alphabet = Alphabet(1);
const LOWER_A_F: Alphabet = Alphabet(1 << 1);
const LOWER_REST: Alphabet = Alphabet(1 << 2);
const UPPER_A_F: Alphabet = Alphabet(1 << 3);
const UPPER_REST: Alphabet = Alphabet(1 << 4);
pub(crate) const UNDERSCORE: Alphabet = Alphabet(1 << 5);
pub(crate) const DASH: Alphabet = Alphabet(1 << 6);
pub(crate) const DOT: Alphabet = Alphabet(1 << 7);
pub(crate) const PLUS_SLASH: Alphabet = Alphabet(1 << 8);
pub(crate) const EQUALS: Alphabet = Alphabet(1 << 9);
pub(crate) const TILDE: Alphabet = Alphabet(1 << 10);
pub(crate) const PERCENT: Alphabet = Alphabet(1 << 11);

pub(crate) const LOWER_HEX: Alphabet = DIGIT.or(LOWER_A_F);
pub(crate) const HEX: Alphabet = LOWER_HEX.or(UPPER_A_F);
pub(crate) const LOWER: Alphabet = LOWER_A_F.or(LOWER_REST);
pub(crate) const UPPER: Alphabet = UPPER_A_F.or(UPPER_REST);
pub(crate) const LETTER: Alphabet = LOWER.or(UPPER);
pub(crate) const LOWER_ALNUM: Alphabet = DIGIT.or(LOWER);
pub(crate) const UPPER_ALNUM: Alphabet = DIGIT.or(UPPER);
pub(crate) const ALNUM: Alphabet = DIGIT.or(LETTER);
/// ASCII letters, digits and `_`.
pub(crate) const WORD: Alphabet = ALNUM.or(UNDERSCORE);
/// The alphabet of base64url, which is also that of most hand-made tokens.
pub(crate) const URL64: Alphabet = WORD.or(DASH);
/// [`URL64`] with padding.
pub(crate) const URL64_PADDED: Alphabet = URL64.or(EQUALS);
/// The alphabet of plain base64, with padding.
pub(crate) const BASE64: Alphabet = ALNUM.or(PLUS_SLASH).or(EQUALS);
/// Everything that tokens of any kind are made of.
pub(crate) const TOKEN: Alphabet = URL64.or(BASE64).or(DOT).or(TILDE);

impl Alphabet {
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, byte: u8) -> bool {
        CLASS[byte as usize] & self.0 != 0
    }

    /// Returns the end of the run of these bytes that begins at `from`, at most `limit` bytes long.
    pub(crate) fn run(self, text: &[u8], from: usize, limit: usize) -> usize {
        let end = text.len().min(from.saturating_add(limit));
        let mut at = from;
        while at < end && self.has(text[at]) {
            at += 1;
        }
        at
    }

    /// Returns the end of the run of these bytes that begins at `from`, and the smallest set that this module has parts of
    /// for all that is in it.
    pub(crate) fn run_and_kinds(self, text: &[u8], from: usize) -> (usize, Self) {
        let mut kinds = 0;
        let mut at = from;
        while let Some(byte) = text.get(at) {
            let kind = CLASS[*byte as usize];
            if kind & self.0 == 0 {
                break;
            }
            kinds |= kind;
            at += 1;
        }
        (at, Self(kinds))
    }

    /// The same of the run that ends before `to`, and its start.
    pub(crate) fn run_back_and_kinds(self, text: &[u8], to: usize) -> (usize, Self) {
        let mut kinds = 0;
        let mut at = to;
        while let Some(before) = at.checked_sub(1) {
            let kind = CLASS[text[before] as usize];
            if kind & self.0 == 0 {
                break;
            }
            kinds |= kind;
            at = before;
        }
        (at, Self(kinds))
    }

    /// Says whether the sets have a byte in common.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the start of the run of these bytes that ends before `to`, at most `limit` bytes long.
    pub(crate) fn run_back(self, text: &[u8], to: usize, limit: usize) -> usize {
        let start = to.saturating_sub(limit);
        let mut at = to;
        while at > start && self.has(text[at - 1]) {
            at -= 1;
        }
        at
    }

    /// Says whether every byte of the text is in the set; true of an empty text.
    pub(crate) fn all(self, text: &[u8]) -> bool {
        text.iter().all(|&byte| self.has(byte))
    }
}

/// Eight bytes, looked at all at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Eight(u64);

impl Eight {
    /// The high bit of each byte.
    const HIGH: u64 = Self::each(0x80);

    pub(crate) const fn new(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }

    /// Returns the high bits of those that are among these ASCII bytes, if they are ASCII; other bits mean nothing.
    const fn among(self, first: u8, last: u8) -> u64 {
        // Seven bits and what is added need no ninth.
        let low = self.0 & !Self::HIGH;
        (low + Self::each(0x80 - first)) & !(low + Self::each(0x7f - last))
    }

    const fn letters_digits_underscores(self) -> u64 {
        let letters = Self(self.0 | Self::each(0x20)).among(b'a', b'z');
        letters | self.among(b'0', b'9') | self.among(b'_', b'_')
    }

    const fn are_all(self, high: u64) -> bool {
        high & !self.0 & Self::HIGH == Self::HIGH
    }

    /// Returns where an ASCII byte is last.
    pub(crate) const fn last(self, byte: u8) -> Option<usize> {
        let found = self.among(byte, byte) & !self.0 & Self::HIGH;
        match found.checked_ilog2() {
            Some(bit) => Some((bit / 8) as usize),
            None => None,
        }
    }

    /// The same as `URL64.all`.
    pub(crate) const fn are_url64(self) -> bool {
        self.are_all(self.letters_digits_underscores() | self.among(b'-', b'-'))
    }

    /// The same as `URL64.or(DOT).all`.
    pub(crate) const fn are_url64_or_dots(self) -> bool {
        self.are_all(self.letters_digits_underscores() | self.among(b'-', b'.'))
    }
}

const CLASS: [u16; 256] = {
    let mut class = [0; 256];
    let mut byte = 0_u8;
    loop {
        class[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT.0,
            b'a'..=b'f' => LOWER_A_F.0,
            b'g'..=b'z' => LOWER_REST.0,
            b'A'..=b'F' => UPPER_A_F.0,
            b'G'..=b'Z' => UPPER_REST.0,
            b'_' => UNDERSCORE.0,
            b'-' => DASH.0,
            b'.' => DOT.0,
            b'+' | b'/' => PLUS_SLASH.0,
            b'=' => EQUALS.0,
            b'~' => TILDE.0,
            b'%' => PERCENT.0,
            _ => 0,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    class
};

/// Returns how many different bytes the text has.
pub(crate) fn variety(text: &[u8]) -> u32 {
    let mut seen = [0_u64; 4];
    for &byte in text {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    seen.iter().map(|word| word.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stop_at_the_first_foreign_byte_and_at_the_limit() {
        assert_eq!(HEX.run(b"xx09afAFg", 2, 99), 8);
        assert_eq!(HEX.run(b"xx09afAFg", 2, 3), 5);
        assert_eq!(WORD.run_back(b"a b_9=", 5, 99), 2);
        assert_eq!(WORD.run_back(b"a b_9=", 5, 1), 4);
    }

    #[test]
    fn kinds_are_of_the_run_only() {
        let (end, kinds) = URL64.run_and_kinds(b".ab-9.Z", 1);
        assert_eq!(end, 5);
        assert!(kinds.meets(LOWER) && kinds.meets(DIGIT) && kinds.meets(DASH) && !kinds.meets(UPPER));
        assert_eq!(URL64.run_and_kinds(b"", 0), (0, Alphabet(0)));
        assert_eq!(URL64.run_back_and_kinds(b".A.b1", 5), (3, DIGIT.or(LOWER_A_F)));
        assert_eq!(URL64.run_back_and_kinds(b"A", 1), (0, UPPER_A_F));
    }

    #[test]
    fn eight_bytes_at_once_are_as_one_after_the_other() {
        for filler in [b'a', b'Z', b'-', b'_', b'0'] {
            for (place, byte) in (0..8).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
                let mut bytes = [filler; 8];
                bytes[place] = byte;
                let eight = Eight::new(bytes);
                let last = bytes.iter().rposition(|other| *other == byte);
                assert!(!byte.is_ascii() || eight.last(byte) == last, "{bytes:?}");
                assert_eq!(eight.are_url64(), URL64.all(&bytes), "{bytes:?}");
                assert_eq!(eight.are_url64_or_dots(), URL64.or(DOT).all(&bytes), "{bytes:?}");
            }
        }
    }

    #[test]
    fn variety_counts_different_bytes() {
        assert_eq!(variety(b""), 0);
        assert_eq!(variety(b"abcabc\xff"), 4);
    }
}
