//! The body of an answer while it comes: read by whoever asked, in a thread of any kind, filled by the runtime.
//!
//! A few chunks wait to be taken. While nobody takes them nothing more is read from the server, and it is nobody's fault that it
//! is silent.

use super::answer::{End, Progress};
use bytes::{Buf as _, Bytes};
use reqwest::Response;
use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// So much waits to be taken, or one chunk that is longer.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Of an answer that nobody reads to its end so much is read, so that the connection can be used again.
const UNREAD_BYTES_MAX: usize = 64 << 10;
/// And no longer.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(1);
/// While the reader is busy, this often the wait is noted not to be the server's.
const NOTED_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to read, or an end.
    filled: Condvar,
    /// There is room, or nobody reads.
    taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// The last one is there, and why there is none after it; none if that was all.
    ended: Option<Option<End>>,
    is_unread: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panics, the chunks are those that came.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the two ends.
pub(super) fn stream() -> (Stream, Incoming) {
    let shared = Arc::<Shared>::default();
    let stream = Stream {
        shared: Arc::clone(&shared),
        current: Bytes::new(),
    };
    (stream, Incoming { shared })
}

/// The end that is read from.
#[derive(Debug)]
pub(super) struct Stream {
    shared: Arc<Shared>,
    current: Bytes,
}

impl Stream {
    /// Waits for the next bytes; none come after the last one.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        while self.current.is_empty() && !buffer.is_empty() {
            let mut state = self.shared.state();
            while state.chunks.is_empty() && state.ended.is_none() {
                let waited = self.shared.filled.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
            let Some(chunk) = state.chunks.pop_front() else {
                return 0;
            };
            state.bytes -= chunk.len();
            drop(state);
            self.shared.taken.notify_one();
            self.current = chunk;
        }
        let read = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        read
    }

    /// Says why there is no more; none if it is whole, or there is more.
    pub(super) fn end(&self) -> Option<End> {
        let state = self.shared.state();
        state.ended.flatten().filter(|_| state.chunks.is_empty())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_unread = true;
        drop(mem::take(&mut state.chunks));
        drop(state);
        self.shared.taken.notify_one();
    }
}

/// The end that is filled.
#[derive(Debug)]
pub(super) struct Incoming {
    shared: Arc<Shared>,
}

impl Incoming {
    /// Takes what the server sends, up to so many bytes; returns why that is not all of it.
    pub(super) async fn fill(
        &self,
        response: &mut Response,
        bytes_max: u64,
        progress: &Progress,
    ) -> Option<End> {
        let mut bytes_left = bytes_max;
        loop {
            let chunk = match response.chunk().await {
                Ok(None) => return None,
                Ok(Some(chunk)) => chunk,
                Err(_) => return Some(End::Cut),
            };
            progress.note();
            let Some(left) = bytes_left.checked_sub(chunk.len() as u64) else {
                return Some(End::TooLarge);
            };
            bytes_left = left;
            if !self.put(chunk, progress).await {
                let rest = tokio::time::timeout(UNREAD_TIME_MAX, let_go(response));
                // The answer is nobody's any more; a connection that cannot be kept is closed.
                let _ = rest.await;
                return Some(End::Cut);
            }
        }
    }

    /// Hands a chunk over when there is room for it; returns whether somebody reads.
    async fn put(&self, chunk: Bytes, progress: &Progress) -> bool {
        loop {
            {
                let mut state = self.shared.state();
                if state.is_unread {
                    return false;
                }
                if state.bytes == 0 || state.bytes + chunk.len() <= WAITING_BYTES_MAX {
                    state.bytes += chunk.len();
                    state.chunks.push_back(chunk);
                    self.shared.filled.notify_one();
                    return true;
                }
            }
            // Woken or not, it is looked again.
            let _ = tokio::time::timeout(NOTED_EVERY, self.shared.taken.notified()).await;
            progress.note();
        }
    }

    /// Notes that there is no more, and why.
    pub(super) fn finish(&self, end: Option<End>) {
        let mut state = self.shared.state();
        state.ended.get_or_insert(end);
        self.shared.filled.notify_one();
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Only where the runtime ends it.
        self.finish(Some(End::Cut));
    }
}

/// Reads on for a bit.
async fn let_go(response: &mut Response) {
    let mut left = UNREAD_BYTES_MAX;
    while let Ok(Some(chunk)) = response.chunk().await
        && let Some(less) = left.checked_sub(chunk.len())
    {
        left = less;
    }
}
