//! Calls that nothing interrupts, and which of them does not end.
//!
//! Our own guests are not asked at each turn of a loop whether their time is over: that cost `inspect` and `render` an eighth, and
//! redaction a tenth. What is left is to notice one that goes on and on, so that the process can be started again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The calls that have begun and not ended.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    begun: u64,
    /// By the order in which they began.
    open: BTreeMap<u64, Call>,
}

#[derive(Debug)]
struct Call {
    guest: String,
    since: Instant,
}

/// A call that runs as long as this is kept.
#[derive(Debug)]
pub(crate) struct Begun<'r> {
    running: &'r Running,
    number: u64,
}

impl Running {
    /// Notes that a guest is called.
    pub(crate) fn begin(&self, guest: &str, now: Instant) -> Begun<'_> {
        let mut calls = self.calls();
        let number = calls.begun;
        calls.begun += 1;
        let guest = guest.to_owned();
        calls.open.insert(number, Call { guest, since: now });
        Begun {
            running: self,
            number,
        }
    }

    /// Returns the guest that has been running longest, if that is longer than `time`.
    pub(crate) fn longer_than(&self, time: Duration, now: Instant) -> Option<String> {
        let calls = self.calls();
        let (_, oldest) = calls.open.first_key_value()?;
        (now.saturating_duration_since(oldest.since) > time).then(|| oldest.guest.clone())
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        // Nothing that can panic is done with it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.running.calls().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_began_first_and_has_not_ended_is_named() {
        let running = Running::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let longer = |now| running.longer_than(Duration::from_secs(30), at(now));
        let first = running.begin("first", at(0));
        let second = running.begin("second", at(10));
        assert_eq!([longer(0), longer(30)], [None, None]);
        assert_eq!(longer(31).as_deref(), Some("first"));
        drop(first);
        assert_eq!(longer(40), None);
        assert_eq!(longer(41).as_deref(), Some("second"));
        drop(second);
        assert_eq!(longer(1000), None);
    }
}
