//! What this process has used so far.

use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// A moment, with the processor's time of the process up to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    wall: Instant,
    cpu: Duration,
}

/// What passed between two moments.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Passed {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            wall: Instant::now(),
            cpu: clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from),
        }
    }

    /// Returns what passed since; `not_ours` of the processor was taken by what only stands in for others.
    pub(super) fn passed(self, not_ours: Duration) -> Passed {
        let now = Self::now();
        Passed {
            wall: now.wall.duration_since(self.wall),
            cpu: now.cpu.saturating_sub(self.cpu).saturating_sub(not_ours),
        }
    }
}

/// Returns the most memory that this process has had at a time, in bytes; none where the system does not tell.
pub(super) fn peak_memory() -> Option<u64> {
    // Kilobytes but on Apple's systems, where they are bytes.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    let most = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    u64::try_from(most).ok()?.checked_mul(unit)
}

/// Returns the bytes of all files below a directory.
pub(super) fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let sizes = entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        });
    sizes.sum()
}
