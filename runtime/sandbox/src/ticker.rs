//! The clock of the deadlines.
//!
//! It ticks on a thread of its own: a busy executor must not be able to stop it.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};
use wasmtime::Engine;

/// How long an epoch is; deadlines are that precise.
const TICK_MS: u64 = 20;

/// Advances the epoch of an engine until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("sandbox-ticker".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(Duration::from_millis(TICK_MS)) == Err(RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns how many ticks make at least `deadline_ms`; the first may come at once.
    pub(crate) fn ticks(deadline_ms: u64) -> u64 {
        deadline_ms.div_ceil(TICK_MS) + 1
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only ends by returning: nothing in it can panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked_for() {
        assert_eq!([0, 1, 20, 21, 1000].map(Ticker::ticks), [1, 2, 2, 3, 51]);
    }
}
