//! Who goes next, where only so many may go at a time: whoever has had the least.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996) over keys such as projects: what a key has had moves its
//! next start back, so that one with much to do does not hold up one with little, and nobody saves up by idling.

use std::collections::{BTreeMap, VecDeque};

/// A queue in front of a number of places. `K` is who waits, `T` what is handed out in turn.
#[derive(Debug)]
pub struct Fair<K, T> {
    places: usize,
    taken: usize,
    /// The latest start of those who went: nobody who comes now starts before.
    now: u64,
    waiting: BTreeMap<K, VecDeque<T>>,
    /// When a key may start next; gone once that lies behind and nobody of it waits.
    starts: BTreeMap<K, u64>,
}

impl<K: Ord + Clone, T> Fair<K, T> {
    /// Makes a queue in front of so many places, at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            places: places.max(1),
            taken: 0,
            now: 0,
            waiting: BTreeMap::new(),
            starts: BTreeMap::new(),
        }
    }

    /// Puts one at the end of its key's line.
    pub fn wait(&mut self, key: K, one: T) {
        let start = self.starts.entry(key.clone()).or_default();
        *start = (*start).max(self.now);
        self.waiting.entry(key).or_default().push_back(one);
    }

    /// Returns who goes now, and takes a place for it; none if no place is free or nobody waits.
    pub fn admit(&mut self) -> Option<(K, T)> {
        if self.taken == self.places {
            return None;
        }
        let starts = &self.starts;
        let start = |key: &K| starts.get(key).copied().unwrap_or_default();
        let key = self.waiting.keys().min_by_key(|key| start(key))?.clone();
        self.now = self.now.max(start(&key));
        let line = self.waiting.get_mut(&key)?;
        let one = line.pop_front()?;
        if line.is_empty() {
            self.waiting.remove(&key);
        }
        self.taken += 1;
        Some((key, one))
    }

    /// Gives a place back that was taken for `key`, and notes what it cost, in any unit that is the same for all.
    pub fn done(&mut self, key: &K, cost: u64) {
        self.taken = self.taken.saturating_sub(1);
        let start = self.starts.entry(key.clone()).or_insert(self.now);
        *start = start.saturating_add(cost.max(1));
        let (now, waiting) = (self.now, &self.waiting);
        self.starts
            .retain(|key, start| *start > now || waiting.contains_key(key));
    }

    /// Lets nobody go any more who waits now; returns them.
    pub fn clear(&mut self) -> impl Iterator<Item = T> + use<K, T> {
        std::mem::take(&mut self.waiting).into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_more_go_at_a_time_than_there_are_places() {
        let mut fair = Fair::new(2);
        for one in 0..3 {
            fair.wait("a", one);
        }
        assert_eq!(fair.admit(), Some(("a", 0)));
        assert_eq!(fair.admit(), Some(("a", 1)));
        assert_eq!(fair.admit(), None);
        fair.done(&"a", 5);
        assert_eq!(fair.admit(), Some(("a", 2)));
    }

    /// One key has had much, and still has much to do.
    fn after_a_busy_time() -> Fair<&'static str, u32> {
        let mut fair = Fair::new(1);
        (0..100).for_each(|one| fair.wait("busy", one));
        for _ in 0..50 {
            fair.admit().expect("the busy one waits");
            fair.done(&"busy", 10);
        }
        fair
    }

    #[test]
    fn who_comes_with_little_does_not_wait_for_one_who_has_much_to_do() {
        let mut fair = after_a_busy_time();
        fair.wait("quiet", 0);
        assert_eq!(fair.admit(), Some(("quiet", 0)));
    }

    #[test]
    fn nobody_saves_up_by_idling() {
        let mut fair = after_a_busy_time();
        for one in 0..50 {
            fair.wait("late", one);
        }
        let mut went: BTreeMap<_, u32> = BTreeMap::new();
        for _ in 0..40 {
            let (key, _) = fair.admit().expect("both wait");
            fair.done(&key, 10);
            *went.entry(key).or_insert(0) += 1;
        }
        assert!(went["late"].abs_diff(went["busy"]) <= 1, "{went:?}");
    }

    proptest! {
        #[test]
        fn costs_are_shared_evenly_while_all_wait(costs in proptest::collection::vec(1_u64..50, 3)) {
            let mut fair = Fair::new(1);
            for key in 0..costs.len() {
                (0..2_000).for_each(|one| fair.wait(key, one));
            }
            let mut had = vec![0; costs.len()];
            for _ in 0..500 {
                let (key, _) = fair.admit().expect("all wait");
                had[key] += costs[key];
                fair.done(&key, costs[key]);
            }
            let (least, most) = (had.iter().min().unwrap(), had.iter().max().unwrap());
            prop_assert!(most - least <= 2 * costs.iter().max().unwrap(), "{had:?}");
        }

        #[test]
        fn everyone_goes_once_and_in_the_order_of_its_line(lines in proptest::collection::vec(0_usize..4, 0..60)) {
            let mut fair = Fair::new(3);
            for (one, key) in lines.iter().enumerate() {
                fair.wait(*key, one);
            }
            let (mut last, mut inside, mut gone) = (BTreeMap::new(), VecDeque::new(), 0);
            while gone < lines.len() {
                match fair.admit() {
                    Some((key, one)) => {
                        prop_assert!(last.insert(key, one).is_none_or(|before| before < one));
                        inside.push_back(key);
                        gone += 1;
                    }
                    None => {
                        let key = inside.pop_front().expect("who waits waits for somebody inside");
                        fair.done(&key, 1);
                    }
                }
                prop_assert!(inside.len() <= 3);
            }
            prop_assert!(fair.admit().is_none());
        }
    }
}
