//! Runs that the source lists under ids that cannot be used, such as an empty one: they have no place in the repository, and
//! nobody else would know of them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many are named.
const NAMED_MAX: usize = 100;
/// Stands for those that are not named.
const OTHERS: &str = "other jobs";

/// How much of the runs was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that are mirrored.
    All,
    /// Those since some time.
    Since,
}

/// The runs of one branch without a usable id, as far as listings of this process had them.
#[derive(Debug, Default)]
pub struct UnusableRuns(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// What a run is called where operators read of it, and what is wrong.
    named: BTreeMap<String, String>,
    /// So many are not named.
    more: usize,
}

impl UnusableRuns {
    /// Takes over what a listing had: how many there are, and what some of them are called. Returns whether one of these
    /// is news.
    pub fn see(&self, count: usize, named: BTreeMap<String, String>, extent: Extent) -> bool {
        let mut seen = self.seen();
        let is_news = named.keys().any(|name| !seen.named.contains_key(name));
        let more = count.saturating_sub(named.len());
        match extent {
            Extent::All => *seen = Seen { named, more },
            Extent::Since => {
                seen.named.extend(named);
                seen.more = seen.more.max(more);
            }
        }
        while seen.named.len() > NAMED_MAX {
            seen.named.pop_last();
            seen.more += 1;
        }
        is_news
    }

    /// Returns them by what they are called, and what is wrong.
    #[must_use]
    pub fn shown(&self) -> BTreeMap<String, String> {
        let seen = self.seen();
        let mut shown = seen.named.clone();
        if seen.more > 0 {
            let others = format!("{} more that are listed without a usable id", seen.more);
            shown.insert(OTHERS.to_owned(), others);
        }
        shown
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
        names
            .into_iter()
            .map(|name| (name, "it is empty".into()))
            .collect()
    }

    #[test]
    fn what_a_listing_had_is_news_once_and_a_whole_one_replaces_it() {
        let runs = UnusableRuns::default();
        let one = || named(["job \"\"".to_owned()]);
        assert!(runs.see(1, one(), Extent::Since));
        assert!(!runs.see(1, one(), Extent::Since), "it is seen again and again");
        assert_eq!(runs.shown(), one());
        assert!(!runs.see(3, one(), Extent::All));
        assert_eq!(runs.shown()[OTHERS], "2 more that are listed without a usable id");
        assert!(!runs.see(0, BTreeMap::new(), Extent::All));
        assert_eq!(runs.shown(), BTreeMap::new());
    }

    #[test]
    fn however_many_there_are_so_many_are_named_and_all_are_counted() {
        let runs = UnusableRuns::default();
        for page in 0..30 {
            let names = (0..10).map(|run| format!("job \"{page:02} {run}\\n\""));
            runs.see(10, named(names), Extent::Since);
        }
        let shown = runs.shown();
        assert_eq!(shown.len(), NAMED_MAX + 1);
        assert_eq!(shown[OTHERS], "200 more that are listed without a usable id");
    }
}
