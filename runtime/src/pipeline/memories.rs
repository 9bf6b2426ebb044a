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
    pub fn put(&self, lane: &LaneId, base: Oid, mut memory: Memory) {
        memory.pack();
        let bytes = memory.weight();
        self.held()
            .put(lane.clone(), (base, memory), bytes, self.bytes_max);
    }

    /// Takes a lane's memory out.
    #[must_use]
    pub fn take(&self, lane: &LaneId) -> Option<(Oid, Memory)> {
        self.held().take(lane)
    }

    fn held(&self) -> MutexGuard<'_, Lru<LaneId, (Oid, Memory)>> {
        // Values are put and taken as a whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::{
        ids::{BranchId, MirrorId},
        layout::{Entry, IndexKind},
        placement::Placement,
    };

    fn lane(branch: &str) -> LaneId {
        LaneId {
            mirror: MirrorId::parse("shop").unwrap(),
            branch: BranchId::parse(branch).unwrap(),
        }
    }

    fn memory() -> Memory {
        let entry = Entry {
            kind: IndexKind::Catalog,
            shard: "a".into(),
            key: "key".into(),
            value: "x".repeat(1_000),
        };
        Memory::of(Placement::default(), vec![entry])
    }

    #[test]
    fn all_lanes_together_remember_no_more_than_is_allowed() {
        let base = Oid::from_bytes([1; 20]);
        let memories = Memories::new(2 * memory().weight());
        for branch in ["1", "2", "3"] {
            memories.put(&lane(branch), base, memory());
        }
        let held = ["1", "2", "3"].map(|branch| memories.take(&lane(branch)).is_some());
        assert_eq!(held, [false, true, true]);
        let nothing = Memories::new(0);
        nothing.put(&lane("1"), base, memory());
        assert!(nothing.take(&lane("1")).is_none());
    }
}
