//! Places for connections, which those that only keep the process waiting have to give up for others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Who has kept the process waiting for less need not give up: a head may take so long on its way.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked for somebody who has to, while nobody leaves.
const LOOK: Duration = Duration::from_millis(100);

/// Places for so many connections.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

/// Who has a place, by number in the order of coming.
#[derive(Debug, Default)]
struct Taken {
    last: u64,
    all: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    /// Since when its peer has to do something: ask, or read an answer. None while the process works for it.
    waiting_since: Option<Instant>,
    given_up: CancellationToken,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    taken: Arc<Mutex<Taken>>,
    given_up: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// A request is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    number: u64,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            taken: Arc::default(),
        }
    }

    /// Waits for a place; where there is none, that of whoever has kept the process waiting longest becomes free.
    pub(super) async fn take(&self) -> Place {
        loop {
            let free = Arc::clone(&self.free);
            if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
                return self.enter(permit, Instant::now());
            }
            self.free_one(Instant::now());
            if let Ok(Ok(permit)) = timeout(LOOK, free.acquire_owned()).await {
                return self.enter(permit, Instant::now());
            }
        }
    }

    fn enter(&self, permit: OwnedSemaphorePermit, now: Instant) -> Place {
        let given_up = CancellationToken::new();
        let mut taken = lock(&self.taken);
        taken.last += 1;
        let number = taken.last;
        let holder = Holder {
            waiting_since: Some(now),
            given_up: given_up.clone(),
        };
        taken.all.insert(number, holder);
        drop(taken);
        Place {
            number,
            taken: Arc::clone(&self.taken),
            given_up,
            _permit: permit,
        }
    }

    /// Takes the place of whoever has kept the process waiting longest, if that was too long.
    fn free_one(&self, now: Instant) {
        let taken = lock(&self.taken);
        let idle = taken
            .all
            .values()
            .filter(|holder| !holder.given_up.is_cancelled());
        let waited = idle.filter_map(|holder| Some((holder.waiting_since?, holder)));
        if let Some((since, holder)) = waited.min_by_key(|(since, _)| *since)
            && now.saturating_duration_since(since) >= PATIENCE
        {
            holder.given_up.cancel();
        }
    }
}

impl Place {
    /// Notes that the process works on a request of it.
    pub(super) fn answering(&self) -> Answering {
        set_waiting(&self.taken, self.number, None);
        Answering {
            number: self.number,
            taken: Arc::clone(&self.taken),
        }
    }

    /// Waits until the place is needed by somebody else.
    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).all.remove(&self.number);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        set_waiting(&self.taken, self.number, Some(Instant::now()));
    }
}

fn set_waiting(taken: &Mutex<Taken>, number: u64, since: Option<Instant>) {
    if let Some(holder) = lock(taken).all.get_mut(&number) {
        holder.waiting_since = since;
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    // Values are changed as a whole.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_the_process_waiting_longest_gives_up_and_who_is_being_answered_does_not() {
        let places = Places::new(3);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let free = || {
            Arc::clone(&places.free)
                .try_acquire_owned()
                .expect("a place is free")
        };
        let [busy, first, second] = [0, 1, 2].map(|seconds| places.enter(free(), after(seconds)));
        let answering = busy.answering();
        let gone = || [&busy, &first, &second].map(|place| place.given_up.is_cancelled());
        places.free_one(after(1));
        assert_eq!(gone(), [false; 3], "nobody has been waited for long");
        places.free_one(after(5));
        assert_eq!(gone(), [false, true, false]);
        places.free_one(after(5));
        assert_eq!(gone(), [false, true, true], "one after the other");
        places.free_one(after(9));
        assert!(!busy.given_up.is_cancelled());
        drop(answering);
        places.free_one(Instant::now() + PATIENCE);
        assert!(busy.given_up.is_cancelled());
    }

    #[tokio::test]
    async fn a_place_that_is_left_is_taken_by_the_next() {
        let places = Places::new(1);
        let first = places.take().await;
        let waiting = tokio::spawn({
            let places = Places {
                free: Arc::clone(&places.free),
                taken: Arc::clone(&places.taken),
            };
            async move { places.take().await.number }
        });
        drop(first);
        assert_eq!(waiting.await.expect("it gets the place"), 2);
        assert!(lock(&places.taken).all.is_empty());
    }
}
