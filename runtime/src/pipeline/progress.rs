//! Whether an attempt comes forward. Told by those who work; how long is too long is not known here.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// When something last came forward; nothing while it only waits for its turn. By a clock that nobody sets.
#[derive(Debug, Default)]
pub struct Progress {
    at: Mutex<Option<Instant>>,
    /// What it takes its work from: while that comes forward, so does this.
    source: Option<Arc<Progress>>,
}

impl Progress {
    /// Makes one for work on what comes from a source.
    #[must_use]
    pub fn fed_by(source: Arc<Self>) -> Self {
        Self {
            source: Some(source),
            ..Self::default()
        }
    }

    /// It came forward at `now`.
    pub fn moved(&self, now: Instant) {
        *self.at() = Some(now);
    }

    /// It waits for its turn: nothing is expected of it.
    pub fn waits(&self) {
        *self.at() = None;
    }

    /// Returns since when nothing has come forward at `now`; none while nothing is expected of it.
    #[must_use]
    pub fn idle(&self, now: Instant) -> Option<Duration> {
        let own = now.saturating_duration_since((*self.at())?);
        let source = self.source.as_ref().and_then(|source| source.idle(now));
        Some(source.map_or(own, |source| source.min(own)))
    }

    fn at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_not_idle_and_what_comes_from_the_source_counts() {
        let begun = Instant::now();
        let after = |minutes: u64| begun + Duration::from_secs(60 * minutes);
        let idle =
            |progress: &Progress, minutes| progress.idle(after(minutes)).map(|idle| idle.as_secs() / 60);
        let source = Arc::new(Progress::default());
        let lane = Progress::fed_by(Arc::clone(&source));
        assert_eq!(idle(&lane, 90), None, "it has not had its turn");
        lane.moved(after(90));
        assert_eq!(idle(&lane, 100), Some(10));
        source.moved(after(95));
        assert_eq!(idle(&lane, 100), Some(5));
        lane.waits();
        assert_eq!(idle(&lane, 200), None);
    }
}
