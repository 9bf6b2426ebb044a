//! Where some hundred short patterns occur in a text.
//!
//! Nearly everywhere in a text nothing begins, so it is passed over by looking up each four bytes in a table of 32 KiB: no step waits for
//! the memory that the one before has read, as in an automaton of all patterns, whose table is thirty times as large and
//! would have to be mapped into each instance. What is left is looked up in a trie. Linear in the text, since patterns are short.
//!
//! Of the fourth byte the table knows one of eight groups, so that a pattern of three bytes, behind which anything may stand, takes
//! no more room than a byte.

use std::collections::BTreeMap;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start<'a> {
    pub text: &'a str,
    /// It is looked for in its own case only, and whoever is woken looks once more, since it may be told in another case too;
    /// else in any case of its ASCII letters.
    pub is_exact: bool,
}

impl<'a> Start<'a> {
    pub(crate) const fn exact(text: &'a str) -> Self {
        Self { text, is_exact: true }
    }

    pub(crate) const fn of_any_case(text: &'a str) -> Self {
        Self {
            text,
            is_exact: false,
        }
    }

    /// Returns the bytes that stand for one of its own, which may be the same.
    fn cases(&self, byte: u8) -> [u8; 2] {
        if self.is_exact {
            [byte; 2]
        } else {
            [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]
        }
    }
}

/// A place where a pattern occurs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    pub start: usize,
    pub end: usize,
    /// Counted from 0, in the order in which patterns were given.
    pub pattern: usize,
}

/// Bits of a byte's class.
const CLASS_BITS: u32 = 6;
/// The largest class.
const CLASS_MAX: u8 = (1 << CLASS_BITS) - 1;
/// Bits of three classes.
const WINDOW_BITS: u32 = 3 * CLASS_BITS;
/// Bits of a slot: eight times three classes share one.
const SLOT_BITS: u32 = WINDOW_BITS - 3;

/// For each slot of three classes, a bit for each group of the byte behind them.
type Begins = [u8; 1 << SLOT_BITS];

/// Returns the slot of three bytes, whose classes are the last ones of these. What often follows each other is spread by an odd
/// factor.
fn slot(classes: u32) -> usize {
    const FACTOR: u32 = 0x0001_2F3B << (u32::BITS - WINDOW_BITS);
    (classes.wrapping_mul(FACTOR) >> (u32::BITS - SLOT_BITS)) as usize
}

/// Returns the group of a byte, which is that of the same letter in another case; 0 is also that of the end of a text.
fn group(byte: u8) -> u32 {
    u32::from(byte % 8)
}

/// Patterns, prepared to be looked for.
#[derive(Debug)]
pub(crate) struct Starts {
    /// The class of each byte, 0 for those that are in no pattern's first three. Others may share one.
    classes: [u8; 256],
    /// What a pattern may begin with.
    begins: Box<Begins>,
    /// Where a pattern's first byte leads to, whatever its case; 0, which is the root, where none begins with it.
    firsts: [u32; 256],
    /// The first one is the root.
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// Patterns that end at nodes.
    ends: Vec<usize>,
}

#[derive(Debug, Default)]
struct Node {
    first_edge: u32,
    edges: u32,
    first_end: u32,
    ends: u32,
}

#[derive(Debug)]
struct Edge {
    byte: u8,
    node: u32,
}

/// A trie while it grows.
#[derive(Default)]
struct Branch {
    next: BTreeMap<u8, Branch>,
    ends: Vec<usize>,
}

impl Starts {
    /// Prepares patterns.
    ///
    /// # Panics
    /// A pattern of fewer than two bytes.
    pub(crate) fn new(patterns: &[Start<'_>]) -> Self {
        let mut root = Branch::default();
        for (number, pattern) in patterns.iter().enumerate() {
            let text = pattern.text.as_bytes();
            assert!(
                text.len() >= 2,
                "`{}` is too short to be looked for",
                pattern.text
            );
            let branch = text.iter().fold(&mut root, |branch, byte| {
                branch.next.entry(byte.to_ascii_lowercase()).or_default()
            });
            branch.ends.push(number);
        }
        let mut starts = Self {
            classes: classes(patterns),
            begins: vec![0; 1 << SLOT_BITS].try_into().expect("it has this length"),
            firsts: [0; 256],
            nodes: Vec::new(),
            edges: Vec::new(),
            ends: Vec::new(),
        };
        for pattern in patterns {
            starts.begin(pattern);
        }
        starts.lay(root);
        for edge in &starts.edges[..starts.nodes[0].edges as usize] {
            for byte in [edge.byte, edge.byte.to_ascii_uppercase()] {
                starts.firsts[usize::from(byte)] = edge.node;
            }
        }
        starts
    }

    /// Notes what a pattern begins with.
    fn begin(&mut self, pattern: &Start<'_>) {
        let text = pattern.text.as_bytes();
        let classes = |at: usize| {
            let cases = pattern.cases(text[at]);
            cases.map(|byte| u32::from(self.classes[usize::from(byte)]))
        };
        let (firsts, seconds) = (classes(0), classes(1));
        // Of two bytes, it begins with any third, and with none.
        let thirds: Vec<u32> = if text.len() > 2 {
            classes(2).to_vec()
        } else {
            (0..=u32::from(CLASS_MAX)).collect()
        };
        let fourths = text.get(3).map_or(u8::MAX, |byte| 1 << group(*byte));
        for first in firsts {
            for second in seconds {
                for third in &thirds {
                    let three = (first << CLASS_BITS | second) << CLASS_BITS | third;
                    self.begins[slot(three)] |= fourths;
                }
            }
        }
    }

    /// Puts a branch and all that is on it in place, and returns where.
    fn lay(&mut self, branch: Branch) -> u32 {
        let Branch { next, ends } = branch;
        let number = |count: usize| u32::try_from(count).expect("some hundred short patterns have so many");
        let place = self.nodes.len();
        let first_edge = self.edges.len();
        self.nodes.push(Node {
            first_edge: number(first_edge),
            edges: number(next.len()),
            first_end: number(self.ends.len()),
            ends: number(ends.len()),
        });
        self.ends.extend(ends);
        self.edges
            .extend(next.keys().map(|byte| Edge { byte: *byte, node: 0 }));
        for (edge, branch) in (first_edge..).zip(next.into_values()) {
            self.edges[edge].node = self.lay(branch);
        }
        number(place)
    }

    /// Returns the places of all patterns, also where they overlap: by their end, of the same end by their start.
    pub(crate) fn find<'s>(&'s self, text: &'s [u8]) -> Found<'s> {
        let class = |at: usize| {
            text.get(at)
                .map_or(0, |byte| u32::from(self.classes[usize::from(*byte)]))
        };
        Found {
            starts: self,
            text,
            at: 0,
            window: (class(0) << CLASS_BITS | class(1)) << CLASS_BITS | class(2),
            waiting: Vec::new(),
            told: 0,
        }
    }

    /// Follows the patterns that begin at a place, and tells where some end, and which.
    fn walk(&self, text: &[u8], start: usize, mut tell: impl FnMut(usize, &[usize])) {
        let mut node = self.firsts[usize::from(text[start])];
        if node == 0 {
            // It shares its class with one that patterns begin with.
            return;
        }
        for (byte, end) in text[start + 1..].iter().zip(start + 2..) {
            let Node {
                first_edge, edges, ..
            } = self.nodes[node as usize];
            let edges = &self.edges[first_edge as usize..][..edges as usize];
            let byte = byte.to_ascii_lowercase();
            let Some(edge) = edges.iter().find(|edge| edge.byte == byte) else {
                return;
            };
            node = edge.node;
            let Node { first_end, ends, .. } = self.nodes[node as usize];
            if ends != 0 {
                tell(end, &self.ends[first_end as usize..][..ends as usize]);
            }
        }
    }

    /// Returns whether a pattern occurs.
    pub(crate) fn occur_in(&self, text: &str) -> bool {
        let mut found = self.find(text.as_bytes());
        let mut occurs = false;
        while !occurs && found.at < text.len() {
            if let Some(place) = found.next_place() {
                self.walk(text.as_bytes(), place, |_, _| occurs = true);
            }
        }
        occurs
    }
}

/// Returns the class of each byte that is in some pattern's first three, 0 for all others.
fn classes(patterns: &[Start<'_>]) -> [u8; 256] {
    let mut needed = [false; 256];
    for pattern in patterns {
        for byte in pattern.text.bytes().take(3).flat_map(|byte| pattern.cases(byte)) {
            needed[usize::from(byte)] = true;
        }
    }
    let mut classes = [0; 256];
    let mut used = 0;
    // What texts have most of comes first: past the last class some are shared, which costs a look more.
    let by_frequency = (0..=u8::MAX)
        .filter(|byte| !byte.is_ascii_uppercase())
        .chain(b'A'..=b'Z');
    for byte in by_frequency {
        if !needed[usize::from(byte)] || classes[usize::from(byte)] != 0 {
            continue;
        }
        let class = if used < CLASS_MAX {
            used + 1
        } else {
            // With another capital letter.
            CLASS_MAX - (used - CLASS_MAX) % 16
        };
        used += 1;
        // No pattern is told from others by a digit.
        let alike = if byte.is_ascii_digit() {
            b'0'..=b'9'
        } else {
            byte..=byte
        };
        classes[usize::from(*alike.start())..=usize::from(*alike.end())].fill(class);
    }
    classes
}

/// Returns a number whose lowest bit says whether a pattern may begin with three bytes, whose classes are the last ones of these,
/// and one of a group behind them; its other bits mean nothing.
fn begin_bit(begins: &Begins, classes: u32, group: u32) -> u32 {
    u32::from(begins[slot(classes)]) >> group
}

/// The places of patterns in a text.
#[derive(Debug)]
pub(crate) struct Found<'s> {
    starts: &'s Starts,
    text: &'s [u8],
    /// What begins before it has been found.
    at: usize,
    /// The classes of the three bytes from there on, below those of the bytes before.
    window: u32,
    /// What was found and may come after what is found next, in order.
    waiting: Vec<Match>,
    /// So many of these were told.
    told: usize,
}

impl Found<'_> {
    /// Goes on to the next place where a pattern may begin; none at the end.
    fn next_place(&mut self) -> Option<usize> {
        let Starts { classes, begins, .. } = self.starts;
        let rest = self.text.get(self.at + 3..).unwrap_or_default();
        let mut window = self.window;
        let mut place = self.at;
        // One branch for each four.
        for four in rest.as_chunks::<4>().0 {
            let mut ahead = window;
            let mut any = 0;
            for byte in four {
                any |= begin_bit(begins, ahead, group(*byte));
                ahead = ahead << CLASS_BITS | u32::from(classes[usize::from(*byte)]);
            }
            if any & 1 != 0 {
                break;
            }
            window = ahead;
            place += four.len();
        }
        while place < self.text.len() {
            // The last three bytes have nothing behind them.
            let (group, class) = self.text.get(place + 3).map_or((0, 0), |byte| {
                (group(*byte), u32::from(classes[usize::from(*byte)]))
            });
            let begins_here = begin_bit(begins, window, group) & 1 != 0;
            window = window << CLASS_BITS | class;
            place += 1;
            if begins_here {
                self.at = place;
                self.window = window;
                return Some(place - 1);
            }
        }
        self.at = place;
        None
    }

    /// Looks which patterns begin at a place.
    fn look_at(&mut self, start: usize) {
        let Self {
            starts,
            text,
            waiting,
            told,
            ..
        } = self;
        starts.walk(text, start, |end, patterns| {
            for &pattern in patterns {
                // What was found before began before, or is shorter.
                let after = waiting.iter().rposition(|earlier| earlier.end <= end);
                let place = after.map_or(*told, |after| (after + 1).max(*told));
                waiting.insert(place, Match { start, end, pattern });
            }
        });
    }
}

impl Iterator for Found<'_> {
    type Item = Match;

    fn next(&mut self) -> Option<Match> {
        loop {
            let is_over = self.at >= self.text.len();
            match self.waiting.get(self.told) {
                // What is found from here on has two bytes at least.
                Some(first) if is_over || first.end < self.at + 2 => {
                    self.told += 1;
                    return Some(*first);
                }
                None if is_over => return None,
                waiting => {
                    if waiting.is_none() {
                        self.waiting.clear();
                        self.told = 0;
                    }
                    if let Some(place) = self.next_place() {
                        self.look_at(place);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that end with `!`, which then goes, are exact.
    fn patterns<'a>(texts: &[&'a str]) -> Vec<Start<'a>> {
        let start = |text: &&'a str| match text.strip_suffix('!') {
            Some(text) => Start::exact(text),
            None => Start::of_any_case(text),
        };
        texts.iter().map(start).collect()
    }

    /// Returns those places where the pattern has its case.
    fn in_their_case(patterns: &[Start<'_>], text: &[u8], found: impl Iterator<Item = Match>) -> Vec<Match> {
        let has_its_case = |found: &Match| {
            let pattern = patterns[found.pattern];
            !pattern.is_exact || text[found.start..found.end] == *pattern.text.as_bytes()
        };
        found.filter(has_its_case).collect()
    }

    /// The same by trying every pattern everywhere.
    fn everywhere(patterns: &[Start<'_>], text: &[u8]) -> Vec<Match> {
        let mut found = Vec::new();
        for end in 0..=text.len() {
            for start in 0..end {
                for (pattern, looked_for) in patterns.iter().enumerate() {
                    let (piece, bytes) = (&text[start..end], looked_for.text.as_bytes());
                    if piece == bytes || (!looked_for.is_exact && piece.eq_ignore_ascii_case(bytes)) {
                        found.push(Match { start, end, pattern });
                    }
                }
            }
        }
        found
    }

    fn as_match(found: aho_corasick::Match) -> Match {
        Match {
            start: found.start(),
            end: found.end(),
            pattern: found.pattern().as_usize(),
        }
    }

    /// Numbers that look random and are the same each time.
    fn numbers(seed: u64) -> impl Iterator<Item = usize> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap()
        })
    }

    #[test]
    fn all_places_are_found_in_order() {
        let sets: [&[&str]; 6] = [
            &["ab", "abc", "bc", "b.", "AB", "cab", "abcab", "aa"],
            &["aaa", "aa", "aaaaa"],
            &["ba", "c.a", "..", "caac", "aB"],
            &["abcabc", "bcab", "c.", "cabca", "\u{e9}a"],
            &["ab", "aB!", "Ab!", "AbC!", "abc", "abc!", "c.A!"],
            &["AB!", "BC!", "BC", "bca!", "CaB!", "b.c.!"],
        ];
        let mut numbers = numbers(7);
        let mut places = 0;
        for texts in sets {
            let patterns = patterns(texts);
            let starts = Starts::new(&patterns);
            for length in (0..24).cycle().take(600) {
                let letters = b"abcABC.\xc3\xa9";
                let text: Vec<u8> = (0..length)
                    .map(|_| letters[numbers.next().unwrap() % letters.len()])
                    .collect();
                let found = in_their_case(&patterns, &text, starts.find(&text));
                places += found.len();
                assert_eq!(found, everywhere(&patterns, &text), "in {text:?}");
            }
        }
        assert!(places > 1000);
    }

    #[test]
    fn more_bytes_than_classes_are_told_apart_all_the_same() {
        let bytes = (b'!'..=b'~').map(char::from);
        let bytes: Vec<char> = bytes.filter(|byte| !byte.is_ascii_uppercase()).collect();
        let (alone, shared) = bytes.split_at(usize::from(CLASS_MAX));
        // Those that share their class with others stand in the second place only.
        let pairs = alone.windows(2).map(|pair| (pair[0], pair[1]));
        let pairs = pairs.chain(shared.iter().map(|byte| (alone[0], *byte)));
        let patterns: Vec<String> = pairs.map(|(a, b)| format!("{a}{b}")).collect();
        let starts: Vec<Start<'_>> = patterns.iter().map(|text| Start::exact(text)).collect();
        let starts = Starts::new(&starts);
        let text: String = bytes
            .iter()
            .flat_map(|a| {
                bytes
                    .windows(2)
                    .map(move |pair| format!("{a}{}{}", pair[0], pair[1]))
            })
            .collect();
        for text in [text.as_str(), "\u{e9}\u{e9}", "!"] {
            let found: Vec<Match> = starts.find(text.as_bytes()).collect();
            let automaton = aho_corasick::AhoCorasick::new(&patterns).unwrap();
            let expected: Vec<Match> = automaton.find_overlapping_iter(text).map(as_match).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_pattern_is_found_wherever_it_is_in_a_text() {
        let patterns = patterns(&["key", "k-", "://", "\u{e9}a", "K-!", "eY!"]);
        let starts = Starts::new(&patterns);
        // Before, inside and after what is looked at at once, and across it, among bytes of one and of two.
        for filler in ["", "x", "\u{e9}", "k", "ke"] {
            for (before, after) in (0..=13).flat_map(|before| (0..=6).map(move |after| (before, after))) {
                for piece in ["KEY", "k-", "://", "\u{e9}A", "k", ""] {
                    let text = format!("{}{piece}{}", filler.repeat(before), filler.repeat(after));
                    let found = in_their_case(&patterns, text.as_bytes(), starts.find(text.as_bytes()));
                    assert_eq!(found, everywhere(&patterns, text.as_bytes()), "in {text}");
                    assert_eq!(starts.occur_in(&text), !found.is_empty(), "in {text}");
                }
            }
        }
    }

    #[test]
    fn an_automaton_finds_the_same() {
        let patterns = crate::scan::starts();
        let automaton = aho_corasick::AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(patterns.iter().map(|pattern| pattern.text));
        let automaton = automaton.unwrap();
        let starts = Starts::new(&patterns);
        let mut numbers = numbers(11);
        let mut places = 0;
        for _ in 0..500 {
            // Pieces of patterns, one after the other, in any case.
            let mut text = String::new();
            while text.len() < 300 {
                let pattern = patterns[numbers.next().unwrap() % patterns.len()].text;
                let end = pattern.floor_char_boundary(1 + numbers.next().unwrap() % pattern.len());
                let piece = &pattern[..end];
                match numbers.next().unwrap() % 3 {
                    0 => text.push_str(&piece.to_ascii_uppercase()),
                    1 => text.extend(piece.chars().rev()),
                    _ => text.push_str(piece),
                }
            }
            let found = in_their_case(&patterns, text.as_bytes(), starts.find(text.as_bytes()));
            let expected = automaton.find_overlapping_iter(&text).map(as_match);
            places += found.len();
            assert_eq!(
                found,
                in_their_case(&patterns, text.as_bytes(), expected),
                "in {text}"
            );
        }
        assert!(places > 5000);
    }
}
