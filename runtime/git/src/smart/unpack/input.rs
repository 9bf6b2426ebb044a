//! A pack as it comes, part after part, and its checksum at the end.

use super::UnpackError::{self, Damaged};
use crate::pack::{self, TRAILER_BYTES};
use bytes::Bytes;

/// The bytes of a pack without its trailer. What was consumed is hashed and let go of.
pub(super) struct Input<'i> {
    next: &'i mut dyn FnMut() -> Option<Bytes>,
    /// What came and is not hashed yet.
    window: Vec<u8>,
    /// So much of the window is consumed.
    at: usize,
    /// So much was consumed before the window.
    before: u64,
    is_whole: bool,
    hasher: gix::hash::Hasher,
}

impl<'i> Input<'i> {
    pub(super) fn new(next: &'i mut dyn FnMut() -> Option<Bytes>) -> Self {
        Self {
            next,
            window: Vec::new(),
            at: 0,
            before: 0,
            is_whole: false,
            hasher: gix::hash::hasher(gix::hash::Kind::Sha1),
        }
    }

    /// Returns how much was consumed.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Returns what comes next and is here; nothing at the end.
    pub(super) fn part(&mut self) -> &[u8] {
        self.fill();
        &self.window[self.at..self.end()]
    }

    pub(super) fn has_more(&mut self) -> bool {
        !self.part().is_empty()
    }

    /// Notes that so much of what is here was used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// What may be the trailer is held back.
    fn end(&self) -> usize {
        self.window.len().saturating_sub(TRAILER_BYTES).max(self.at)
    }

    /// Makes sure that something is here, unless there is no more.
    fn fill(&mut self) {
        while self.at == self.end() && !self.is_whole {
            let Some(part) = (self.next)() else {
                self.is_whole = true;
                return;
            };
            self.hasher.update(&self.window[..self.at]);
            self.window.drain(..self.at);
            self.before += self.at as u64;
            self.at = 0;
            self.window.extend_from_slice(&part);
        }
    }

    /// Refuses a pack that is not at its end, or is not what its checksum says.
    pub(super) fn finish(&mut self) -> Result<(), UnpackError> {
        if self.has_more() {
            return Err(Damaged("there is something behind the last object"));
        }
        let trailer = self.window.get(self.at..self.at + TRAILER_BYTES);
        let trailer = trailer.ok_or(Damaged("the pack is cut off"))?;
        let none = gix::hash::hasher(gix::hash::Kind::Sha1);
        let mut hasher = std::mem::replace(&mut self.hasher, none);
        hasher.update(&self.window[..self.at]);
        let sum = hasher.try_finalize().ok().map(|id| pack::from_gix(&id));
        match sum {
            Some(sum) if sum.as_bytes() == trailer => Ok(()),
            _ => Err(Damaged("the pack's checksum is wrong")),
        }
    }
}
