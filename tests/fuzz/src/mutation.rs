//! Inputs made of others by a fixed sequence of changes, for the test of every run. libFuzzer has its own.

/// A sequence of numbers that looks random and is always the same (SplitMix64).
#[derive(Debug)]
pub struct Sequence(pub u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below one")
    }

    /// Changes an input: bytes and words are put in, taken out, repeated, or replaced, up to `bytes_max` in all.
    pub fn mutate(&mut self, input: &mut Vec<u8>, words: &[Vec<u8>], others: &[Vec<u8>], bytes_max: usize) {
        for _ in 0..=self.below(4) {
            self.change(input, words, others);
        }
        input.truncate(bytes_max);
    }

    fn change(&mut self, input: &mut Vec<u8>, words: &[Vec<u8>], others: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(8)).min(input.len());
        match self.below(8) {
            0 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            1 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] = self.byte();
            }
            2 => drop(input.splice(at..at, [self.byte()])),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                drop(input.splice(to..to, piece));
            }
            5 if !others.is_empty() => {
                let other = &others[self.below(others.len())];
                let from = self.below(other.len() + 1);
                let until = (from + self.below(64)).min(other.len());
                drop(input.splice(at..end, other[from..until].iter().copied()));
            }
            _ if !words.is_empty() => {
                let word = words[self.below(words.len())].clone();
                drop(input.splice(at..end, word));
            }
            _ => input.push(self.byte()),
        }
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Reads a dictionary of libFuzzer: a word in quotes on each line, `\xAB`, `\\` and `\"` in it, comments after `#`.
///
/// # Panics
/// A text that is none.
#[must_use]
pub fn words(dictionary: &str) -> Vec<Vec<u8>> {
    let lines = dictionary.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(word).collect()
}

fn word(line: &str) -> Vec<u8> {
    let quoted = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut rest = quoted.expect("a word stands in quotes").as_bytes();
    let mut word = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        let (&escaped, after) = rest.split_first().expect("something is escaped");
        rest = after;
        if escaped == b'x' {
            let (digits, after) = rest.split_at(2);
            rest = after;
            let digits = std::str::from_utf8(digits).expect("two digits");
            word.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
        } else {
            word.push(escaped);
        }
    }
    word
}
