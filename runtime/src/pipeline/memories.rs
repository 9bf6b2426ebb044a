//! What lanes remember between attempts, in a bounded number of bytes.
//!
//! What does not fit is read back by the lane's next attempt from the rows that it stored, which costs time in
//! proportion to its project instead of memory.

use super::memory::Memory;
use crate::lru::Lru;
use mirror_core::ids::{LaneId, Oid};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The memories of a process's lanes, each with the commit that it belongs to.
#[derive(Debug)]
pub struct Memories {
    held: Mutex<Lru<LaneId, (Oid, Memory)>>,
    bytes_max: usize,
}

impl Memories {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            held: Mutex::default(),
            bytes_max,
        }
    }

    /// Keeps a lane's memory, unless it alone is too large. Others that were used longest ago make room.
    pub fn put(&self, lane: &LaneId, base: Oid, memory: Memory) {
        let bytes = memory.weight();
        self.held()
            .put(lane.clone(), (base, memory), bytes, self.bytes_max);
    }

    /// Takes a lane's memory out.
    #[must_use]
    pub fn take(&self, lane: &LaneId) -> Option<(Oid, Memory)> {
        self.held().take(lane)
    }

    /// Returns how many bytes are held, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.held().bytes()
    }

    fn held(&self) -> MutexGuard<'_, Lru<LaneId, (Oid, Memory)>> {
        // Values are put and taken as a whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
