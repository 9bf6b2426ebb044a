//! Where in the base a run of bytes occurs, by a hash that rolls over the target.

/// So many bytes are hashed together.
const WINDOW: usize = 12;
/// The base is indexed at every so many bytes, so that whatever is `WINDOW + STEP - 1` bytes long is found.
const STEP: usize = 8;
/// So many places with the same hash are looked at: of content that repeats itself more often, the last ones.
const CANDIDATES_MAX: usize = 24;
/// An odd number whose powers mix well (the golden ratio of 32 bits).
const FACTOR: u32 = 0x9e37_79b1;
const NONE: u32 = u32::MAX;

/// The factor of the byte that leaves the window.
const LEAVING: u32 = {
    let (mut power, mut exponent) = (1_u32, 0);
    while exponent < WINDOW - 1 {
        power = power.wrapping_mul(FACTOR);
        exponent += 1;
    }
    power
};

/// The blocks of one base by their hash. Its memory is used again for the next base.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The last block with a hash.
    heads: Vec<u32>,
    /// For each block the one before it with the same hash.
    earlier: Vec<u32>,
    shift: u32,
}

impl Index {
    /// Indexes a base, and forgets the one before.
    pub(crate) fn fill(&mut self, base: &[u8]) {
        let blocks = (base.len() + STEP).saturating_sub(WINDOW) / STEP;
        let bits = (blocks + 1).next_power_of_two().trailing_zeros().clamp(4, 24);
        self.shift = u32::BITS - bits;
        self.heads.clear();
        self.heads.resize(1 << bits, NONE);
        self.earlier.clear();
        self.earlier.resize(blocks, NONE);
        let mut before = None;
        for (block, number) in (0..blocks).zip(0_u32..) {
            let hash = hash(&base[block * STEP..block * STEP + WINDOW]);
            // Of a long run of one byte the first block is enough.
            if before == Some(hash) {
                continue;
            }
            before = Some(hash);
            let slot = self.slot(hash);
            self.earlier[block] = std::mem::replace(&mut self.heads[slot], number);
        }
    }

    /// Starts at `position` of the target.
    pub(crate) fn window<'t>(&self, target: &'t [u8], position: usize) -> Window<'t> {
        let mut window = Window {
            target,
            position,
            hash: 0,
        };
        window.jump(position);
        window
    }

    /// Returns where in the base the window's bytes may be, the last place first.
    pub(crate) fn candidates(&self, window: &Window<'_>) -> impl Iterator<Item = usize> {
        let first = self.heads[self.slot(window.hash)];
        let next = |block: &u32| Some(self.earlier[*block as usize]).filter(|block| *block != NONE);
        std::iter::successors(Some(first).filter(|block| *block != NONE), next)
            .take(CANDIDATES_MAX)
            .map(|block| block as usize * STEP)
    }

    fn slot(&self, hash: u32) -> usize {
        (hash.wrapping_mul(FACTOR) >> self.shift) as usize
    }
}

/// The bytes of the target that are looked for.
#[derive(Debug)]
pub(crate) struct Window<'t> {
    target: &'t [u8],
    position: usize,
    hash: u32,
}

impl Window<'_> {
    /// Returns where the window is; none if too little is left for one.
    pub(crate) fn position(&self) -> Option<usize> {
        (self.position + WINDOW <= self.target.len()).then_some(self.position)
    }

    pub(crate) fn step(&mut self) {
        if let Some(entering) = self.target.get(self.position + WINDOW) {
            let leaving = u32::from(self.target[self.position]).wrapping_mul(LEAVING);
            let rest = self.hash.wrapping_sub(leaving);
            self.hash = rest.wrapping_mul(FACTOR).wrapping_add(u32::from(*entering));
        }
        self.position += 1;
    }

    pub(crate) fn jump(&mut self, position: usize) {
        self.position = position;
        if let Some(bytes) = self.target.get(position..position + WINDOW) {
            self.hash = hash(bytes);
        }
    }
}

fn hash(bytes: &[u8]) -> u32 {
    let add = |hash: u32, byte: &u8| hash.wrapping_mul(FACTOR).wrapping_add(u32::from(*byte));
    bytes.iter().fold(0, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_rolls_as_if_it_were_computed_anew() {
        let bytes = crate::testing::pseudo_random_bytes(3, 500);
        let mut index = Index::default();
        index.fill(&bytes);
        let mut window = index.window(&bytes, 0);
        let mut steps = 0;
        while let Some(at) = window.position() {
            assert_eq!(window.hash, hash(&bytes[at..at + WINDOW]), "at {at}");
            if at % STEP == 0 {
                assert!(
                    index.candidates(&window).any(|candidate| candidate == at),
                    "at {at}"
                );
            }
            window.step();
            steps += 1;
        }
        assert_eq!(steps, bytes.len() - WINDOW + 1);
    }
}
