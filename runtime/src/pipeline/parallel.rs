//! Work on all cores, a bounded amount at a time, whose outcomes are taken in order.

use std::{
    collections::BTreeMap,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

/// Gives out work and takes what became of it, on the caller's own thread.
pub(super) trait Feed {
    type Item: Send;
    type Outcome: Send;
    type Error: Send;

    /// Returns the next piece with its weight; none at the end.
    fn next(&mut self) -> Result<Option<(Self::Item, usize)>, Self::Error>;

    /// Takes an outcome; they come in the order of the pieces.
    fn take(&mut self, outcome: Self::Outcome) -> Result<(), Self::Error>;
}

/// A feed made of two functions.
pub(super) struct Between<'f, I, O, E> {
    pub(super) next: &'f mut dyn FnMut() -> Result<Option<(I, usize)>, E>,
    pub(super) take: &'f mut dyn FnMut(O) -> Result<(), E>,
}

impl<I: Send, O: Send, E: Send> Feed for Between<'_, I, O, E> {
    type Item = I;
    type Outcome = O;
    type Error = E;

    fn next(&mut self) -> Result<Option<(I, usize)>, E> {
        (self.next)()
    }

    fn take(&mut self, outcome: O) -> Result<(), E> {
        (self.take)(outcome)
    }
}

/// Works on all pieces of a feed. The pieces that are under way, or done and not taken yet, weigh no more than
/// `weight_max` together; one that weighs more is alone. The first failure ends it.
pub(super) fn in_order<F: Feed>(
    feed: &mut F,
    weight_max: usize,
    work: impl Fn(F::Item) -> Result<F::Outcome, F::Error> + Sync,
) -> Result<(), F::Error> {
    let Some(first) = feed.next()? else {
        return Ok(());
    };
    let Some(second) = feed.next()? else {
        let outcome = work(first.0)?;
        return feed.take(outcome);
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let (give, given) = mpsc::channel::<(u64, F::Item)>();
    let (hand_in, done) = mpsc::channel::<(u64, thread::Result<Result<F::Outcome, F::Error>>)>();
    let given = Mutex::new(given);
    let (given, work) = (&given, &work);
    thread::scope(|scope| {
        for _ in 0..workers {
            let hand_in = hand_in.clone();
            scope.spawn(move || {
                loop {
                    // Whoever waits holds the lock, the others wait for it.
                    let next = given.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, item)) = next else { break };
                    // One that panicked would be waited for for ever.
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(item)));
                    if hand_in.send((number, outcome)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(hand_in);
        let mut ahead = vec![second, first];
        let mut weights: BTreeMap<u64, usize> = BTreeMap::new();
        let mut early: BTreeMap<u64, F::Outcome> = BTreeMap::new();
        let (mut given_out, mut taken) = (0, 0);
        // `give` goes with this closure, which ends the workers.
        let give = give;
        loop {
            loop {
                let next = match ahead.pop() {
                    Some(next) => Some(next),
                    None => feed.next()?,
                };
                let Some((item, weight)) = next else { break };
                let under_way: usize = weights.values().sum();
                let room = under_way.saturating_add(weight) <= weight_max && weights.len() < workers * 2;
                if !weights.is_empty() && !room {
                    ahead.push((item, weight));
                    break;
                }
                weights.insert(given_out, weight);
                // The workers live as long as `give`.
                let _ = give.send((given_out, item));
                given_out += 1;
            }
            if weights.is_empty() {
                return Ok(());
            }
            let (number, outcome) = done.recv().expect("workers live as long as they are given work");
            early.insert(number, outcome.unwrap_or_else(|panic| resume_unwind(panic))?);
            while let Some(outcome) = early.remove(&taken) {
                feed.take(outcome)?;
                weights.remove(&taken);
                taken += 1;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Numbers<'n> {
        next: u64,
        count: u64,
        taken: Vec<u64>,
        under_way: &'n AtomicUsize,
    }

    impl Feed for Numbers<'_> {
        type Item = u64;
        type Outcome = u64;
        type Error = u64;

        fn next(&mut self) -> Result<Option<(u64, usize)>, u64> {
            if self.next == self.count {
                return Ok(None);
            }
            self.next += 1;
            Ok(Some((self.next - 1, 10)))
        }

        fn take(&mut self, outcome: u64) -> Result<(), u64> {
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            self.taken.push(outcome);
            Ok(())
        }
    }

    #[track_caller]
    fn check(count: u64, weight_max: usize, fails: Option<u64>, expected: Result<u64, u64>) {
        let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut numbers = Numbers {
            next: 0,
            count,
            taken: Vec::new(),
            under_way: &under_way,
        };
        let outcome = in_order(&mut numbers, weight_max, |number| {
            let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            if Some(number) == fails {
                Err(number)
            } else {
                Ok(number * number)
            }
        });
        assert_eq!(outcome.map(|()| count), expected);
        if expected.is_ok() {
            assert_eq!(
                numbers.taken,
                (0..count).map(|number| number * number).collect::<Vec<_>>()
            );
        }
        let bound = (weight_max / 10).max(1);
        assert!(most.into_inner() <= bound, "more than {bound} under way");
    }

    #[test]
    fn outcomes_come_in_order_and_no_more_is_under_way_than_may_be() {
        check(0, 30, None, Ok(0));
        check(1, 30, None, Ok(1));
        check(500, 30, None, Ok(500));
        check(500, 10, None, Ok(500));
        check(50, 1, None, Ok(50));
        check(500, 1_000, Some(250), Err(250));
        check(1, 30, Some(0), Err(0));
    }
}
