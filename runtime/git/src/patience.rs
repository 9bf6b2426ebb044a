//! Waiting for others, but never for ever.

use std::{
    fs::{File, TryLockError},
    io, thread,
    time::{Duration, Instant},
};

/// Waits in steps that grow, up to a limit in all.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    step: Duration,
}

const STEP_MIN: Duration = Duration::from_millis(2);
const STEP_MAX: Duration = Duration::from_millis(100);

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            until: Instant::now() + limit,
            step: STEP_MIN,
        }
    }

    /// Waits one step; returns false, at once, if it was waited long enough.
    pub(crate) fn wait(&mut self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(self.step.min(left));
        self.step = (self.step * 2).min(STEP_MAX);
        true
    }
}

/// Takes the system's lock on a file; returns false if somebody else kept it for so long.
pub(crate) fn lock_within(file: &File, limit: Duration) -> io::Result<bool> {
    wait_for(limit, || file.try_lock())
}

/// The same, for a lock that may be held together with others of its kind.
pub(crate) fn lock_shared_within(file: &File, limit: Duration) -> io::Result<bool> {
    wait_for(limit, || file.try_lock_shared())
}

fn wait_for(limit: Duration, lock: impl Fn() -> Result<(), TryLockError>) -> io::Result<bool> {
    let mut patience = Patience::new(limit);
    loop {
        match lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if patience.wait() => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
