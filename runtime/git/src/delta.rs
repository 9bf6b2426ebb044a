//! Deltas: a target said in terms of a base that the reader has.
//!
//! The format is Git's (`gitformat-pack`): two lengths, then instructions that copy a range of the base or insert new bytes.
//! The encoder is linear in time: whatever the two contents are, it compares each byte of the target with a fixed
//! number of places of the base. Knows nothing of objects and packs.

mod index;
#[cfg(test)]
mod tests;

pub(crate) use index::Index;

/// Larger contents are not worth a delta: their index would cost more memory than they save bytes.
pub(crate) const CONTENT_BYTES_MAX: usize = 64 << 20;

/// One instruction copies no more, which is the most that every reader of packs accepts.
const COPY_BYTES_MAX: usize = 0x1_0000;
const INSERT_BYTES_MAX: usize = 0x7f;
/// Below this a copy costs as much as the bytes themselves, which are compressed afterwards.
const COPY_BYTES_MIN: usize = 12;
/// So few changed bytes in one place are inserted without looking for them elsewhere in the base.
const SEARCHED_BYTES_MIN: usize = 33;

/// Encodes `target` as a delta on `base`; none if that would take more than `bytes_max`.
pub(crate) fn encode(index: &mut Index, base: &[u8], target: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    if base.len().max(target.len()) > CONTENT_BYTES_MAX {
        return None;
    }
    let mut out = Instructions::new(base.len(), target.len(), bytes_max);
    // Most changes are in one place: what is the same before and after it needs no search.
    let before = common_prefix(base, target);
    let after = common_suffix(&base[before..], &target[before..]);
    let changed = before..target.len() - after;
    out.copy(0, before);
    if changed.len() < SEARCHED_BYTES_MIN {
        out.insert(&target[changed]);
        out.copy(base.len() - after, after);
    } else {
        index.fill(base);
        search(index, base, target, changed.start, &mut out)?;
    }
    out.finish()
}

/// Says everything from `start` on, by what of the base is found in it.
fn search(index: &Index, base: &[u8], target: &[u8], start: usize, out: &mut Instructions) -> Option<()> {
    // From here on nothing is said yet.
    let mut pending = start;
    // Where the base goes on as the target does: where the last copy ended, both of them counted on, and at the same
    // distance from the end. In content that repeats itself the index alone might show any place but these.
    let mut last = (start, start);
    let mut window = index.window(target, start);
    while let Some(at) = window.position() {
        let goes_on = (last.0 + at).checked_sub(last.1);
        let from_end = (base.len() + at).checked_sub(target.len());
        let same_places = [goes_on, from_end].into_iter().flatten();
        let same_places = same_places.filter(|from| *from < base.len());
        let found = same_places
            .chain(index.candidates(&window))
            .filter_map(|candidate| {
                let length = common_prefix(&base[candidate..], &target[at..]);
                let back = common_suffix(&base[..candidate], &target[pending..at]);
                (length + back >= COPY_BYTES_MIN).then_some((length + back, candidate - back, at - back))
            });
        match found.max_by_key(|(length, ..)| *length) {
            Some((length, from, to)) => {
                out.insert(&target[pending..to]);
                out.copy(from, length);
                pending = to + length;
                last = (from + length, pending);
                window.jump(pending);
            }
            None => window.step(),
        }
        if out.is_too_long(at.saturating_sub(pending)) {
            return None;
        }
    }
    out.insert(&target[pending..]);
    Some(())
}

/// A delta that is being written.
struct Instructions {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Instructions {
    fn new(base: usize, target: usize, bytes_max: usize) -> Self {
        let mut bytes = Vec::with_capacity(64);
        length(base, &mut bytes);
        length(target, &mut bytes);
        Self { bytes, bytes_max }
    }

    fn insert(&mut self, content: &[u8]) {
        for chunk in content.chunks(INSERT_BYTES_MAX) {
            self.bytes.push(chunk.len().to_le_bytes()[0]);
            self.bytes.extend_from_slice(chunk);
        }
    }

    fn copy(&mut self, mut offset: usize, mut length: usize) {
        while length > 0 {
            let size = length.min(COPY_BYTES_MAX);
            let at = self.bytes.len();
            self.bytes.push(0x80);
            let mut flags = 0x80;
            let mut operand = |value: usize, bytes: usize, first_flag: u8| {
                for byte in 0..bytes {
                    let value = (value >> (8 * byte)).to_le_bytes()[0];
                    if value != 0 {
                        flags |= first_flag << byte;
                        self.bytes.push(value);
                    }
                }
            };
            operand(offset, 4, 0x01);
            // No size at all means the largest one.
            operand(if size == COPY_BYTES_MAX { 0 } else { size }, 2, 0x10);
            self.bytes[at] = flags;
            offset += size;
            length -= size;
        }
    }

    /// Returns whether, with so many more bytes to insert, the delta is not worth it.
    fn is_too_long(&self, pending: usize) -> bool {
        self.bytes.len() + pending > self.bytes_max
    }

    fn finish(self) -> Option<Vec<u8>> {
        (!self.is_too_long(0)).then_some(self.bytes)
    }
}

fn length(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// So many bytes are compared at once.
const LANE: usize = 32;

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let lanes = a.chunks_exact(LANE).zip(b.chunks_exact(LANE));
    let same = lanes.take_while(|(a, b)| a == b).count() * LANE;
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let lanes = a.rchunks_exact(LANE).zip(b.rchunks_exact(LANE));
    let same = lanes.take_while(|(a, b)| a == b).count() * LANE;
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    let rest = a.iter().rev().zip(b.iter().rev());
    same + rest.take_while(|(a, b)| a == b).count()
}
