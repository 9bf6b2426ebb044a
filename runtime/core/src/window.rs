//! The coalescing window of one stream of one lane: when its changes become a commit.
//!
//! Time is an argument. What is in the window is the log's affair; after a restart the window is
//! opened again with the oldest event that the remote does not have.

use jiff::{SignedDuration, Timestamp};
use std::{collections::VecDeque, time::Duration};

/// When a window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowMode {
    /// `span` after its first event was published, less what building and pushing has recently
    /// taken, so that even a lone change is on the remote within `span`.
    Early { span: Duration },
    /// `span` after its first event was published.
    Fixed { span: Duration },
    /// `gather` after its first event was published, but not before `cool_down` has passed since the
    /// last window closed.
    Eager { gather: Duration, cool_down: Duration },
}

impl WindowMode {
    /// The default (SPEC §3).
    pub const EARLY: Self = Self::Early {
        span: Duration::from_secs(30),
    };
    pub const FIXED: Self = Self::Fixed {
        span: Duration::from_secs(30),
    };
    pub const EAGER: Self = Self::Eager {
        gather: Duration::from_secs(2),
        cool_down: Duration::from_secs(30),
    };
    /// The default cadence of runs (SPEC §5).
    pub const JOBS: Self = Self::Eager {
        gather: Duration::from_secs(30),
        cool_down: Duration::from_secs(15 * 60),
    };
}

/// So many build and push times are remembered.
const TOOK_REMEMBERED: usize = 20;
/// Assumed until the first was measured: between the measured median and P95 of pushes.
const TOOK_ASSUMED: Duration = Duration::from_secs(3);
const LEAD_MIN: Duration = Duration::from_secs(1);
const LEAD_MAX: Duration = Duration::from_secs(10);

/// The source may show what is news a little later than it is told.
const NEWS_VISIBLE_AFTER: Duration = Duration::from_secs(2);

/// One piece of news follows another: those of one outage are gathered a little.
fn between_news(mode: WindowMode) -> Duration {
    match mode {
        WindowMode::Early { span } | WindowMode::Fixed { span } => span,
        WindowMode::Eager { gather, .. } => gather,
    }
}

/// The window of one stream.
#[derive(Debug, Clone)]
pub struct Window {
    mode: WindowMode,
    /// When the first event in it was published; none while there is nothing to do.
    opened_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    /// Due without waiting for anything.
    urgent: bool,
    /// It holds news, which waits for little.
    has_news: bool,
    /// News waits so long after the window last closed.
    between_news: Duration,
    took: VecDeque<Duration>,
}

impl Window {
    #[must_use]
    pub fn new(mode: WindowMode) -> Self {
        Self {
            mode,
            opened_at: None,
            closed_at: None,
            urgent: false,
            has_news: false,
            between_news: between_news(mode),
            took: VecDeque::new(),
        }
    }

    /// Changes when the window closes, also of what it holds. News waits `between_news` after the
    /// window last closed; none: as the mode has it.
    pub fn set_mode(&mut self, mode: WindowMode, between_news_wanted: Option<Duration>) {
        self.mode = mode;
        self.between_news = between_news_wanted.unwrap_or(between_news(mode));
    }

    /// Notes an event that was published at `published_at`; the window opens with its first.
    pub fn offer(&mut self, published_at: Timestamp) {
        self.opened_at = Some(
            self.opened_at
                .map_or(published_at, |opened_at| opened_at.min(published_at)),
        );
    }

    /// Nothing in a window can lie in the future, unless a publisher's clock is ahead or the own one was
    /// set back; then it counts from now, so that the lane does not sleep through the difference.
    pub fn clamp(&mut self, now: Timestamp) {
        self.opened_at = self.opened_at.map(|opened_at| opened_at.min(now));
        self.closed_at = self.closed_at.map(|closed_at| closed_at.min(now));
    }

    /// Makes the window due at once, if it is open.
    pub fn hasten(&mut self) {
        self.urgent = self.opened_at.is_some();
    }

    /// Notes that the window holds news, if it is open: it is due shortly after it opened, unless it
    /// has just been closed.
    pub fn urge(&mut self) {
        self.has_news = self.opened_at.is_some();
    }

    /// Returns when the window is due, which may lie in the past; none while it is not open.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let opened_at = self.opened_at?;
        if self.urgent {
            return Some(opened_at);
        }
        let regular = self.regular_due(opened_at);
        if !self.has_news {
            return Some(regular);
        }
        let visible = later(opened_at, NEWS_VISIBLE_AFTER);
        let due = self.closed_at.map_or(visible, |closed_at| {
            visible.max(later(closed_at, self.between_news))
        });
        Some(due.min(regular))
    }

    fn regular_due(&self, opened_at: Timestamp) -> Timestamp {
        match self.mode {
            WindowMode::Early { span } => later(opened_at, span.saturating_sub(self.lead(span))),
            WindowMode::Fixed { span } => later(opened_at, span),
            WindowMode::Eager { gather, cool_down } => {
                let gathered = later(opened_at, gather);
                self.closed_at
                    .map_or(gathered, |closed_at| gathered.max(later(closed_at, cool_down)))
            }
        }
    }

    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    /// Returns when the first event in it was published.
    #[must_use]
    pub fn opened_at(&self) -> Option<Timestamp> {
        self.opened_at
    }

    /// Closes the window: what it held is being done; the next event opens it anew.
    pub fn close(&mut self, now: Timestamp) {
        self.opened_at = None;
        self.urgent = false;
        self.has_news = false;
        self.closed_at = Some(now);
    }

    /// Notes how long building and pushing took.
    pub fn took(&mut self, duration: Duration) {
        if self.took.len() == TOOK_REMEMBERED {
            self.took.pop_front();
        }
        self.took.push_back(duration);
    }

    /// By how much to close early: the P90 of what it took, clamped; of a short span at most half.
    fn lead(&self, span: Duration) -> Duration {
        let mut sorted: Vec<Duration> = self.took.iter().copied().collect();
        sorted.sort_unstable();
        // The smallest that at least nine of ten do not exceed.
        let rank = (sorted.len() * 9).div_ceil(10);
        let taken = rank.checked_sub(1).map_or(TOOK_ASSUMED, |index| sorted[index]);
        taken.clamp(LEAD_MIN, LEAD_MAX).min(span / 2)
    }
}

/// Returns when something is due that is never put off for longer than `longest`: what lies further ahead was set before the
/// clock was put back. Keep what is returned, or it moves along with `now`.
#[must_use]
pub fn within(due: Timestamp, longest: Duration, now: Timestamp) -> Timestamp {
    due.min(later(now, longest))
}

/// Adds, and stops at the end of time.
#[must_use]
pub fn later(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| time.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[track_caller]
    fn check(mode: WindowMode, took_ms: &[u64], closed_ms: Option<i64>, offered_ms: &[i64], due_ms: i64) {
        let mut window = Window::new(mode);
        took_ms
            .iter()
            .for_each(|millis| window.took(Duration::from_millis(*millis)));
        if let Some(closed) = closed_ms {
            window.close(at(closed));
        }
        offered_ms.iter().for_each(|offered| window.offer(at(*offered)));
        assert_eq!(window.next_due().map(Timestamp::as_millisecond), Some(due_ms));
        assert!(window.is_due(at(due_ms)) && !window.is_due(at(due_ms - 1)));
    }

    #[test]
    fn an_early_window_closes_so_that_the_push_lands_inside_its_span() {
        check(WindowMode::EARLY, &[], None, &[0, 29_000], 27_000);
        check(WindowMode::EARLY, &[200; 20], None, &[0], 29_000);
        check(WindowMode::EARLY, &[60_000; 20], None, &[0], 20_000);
        // The P90 of 1 to 10 s is 9 s; one slow push of twenty does not count, three do.
        check(
            WindowMode::EARLY,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|s| s * 1000),
            None,
            &[0],
            21_000,
        );
        check(
            WindowMode::EARLY,
            &[&[2_000; 19][..], &[9_000]].concat(),
            None,
            &[0],
            28_000,
        );
        check(
            WindowMode::EARLY,
            &[&[2_000; 17][..], &[9_000; 3]].concat(),
            None,
            &[0],
            21_000,
        );
        // Only the last twenty count.
        check(
            WindowMode::EARLY,
            &[&[9_000; 20][..], &[2_000; 20]].concat(),
            None,
            &[0],
            28_000,
        );
    }

    #[test]
    fn a_short_span_is_never_eaten_up_by_the_lead() {
        check(
            WindowMode::Early {
                span: Duration::from_secs(5),
            },
            &[8_000],
            None,
            &[0],
            2_500,
        );
        check(
            WindowMode::Early {
                span: Duration::from_secs(1),
            },
            &[10],
            None,
            &[0],
            500,
        );
    }

    #[test]
    fn a_window_opens_with_the_earliest_event_that_was_published() {
        check(WindowMode::FIXED, &[9_000], None, &[4_000, 3_000, 8_000], 33_000);
        check(WindowMode::FIXED, &[], Some(60_000), &[50_000], 80_000);
    }

    #[test]
    fn an_eager_window_gathers_shortly_and_then_cools_down() {
        check(WindowMode::EAGER, &[], None, &[0], 2_000);
        check(WindowMode::EAGER, &[], Some(0), &[1_000], 30_000);
        check(WindowMode::EAGER, &[], Some(0), &[40_000], 42_000);
        check(WindowMode::JOBS, &[], Some(0), &[1_000], 900_000);
    }

    #[test]
    fn news_waits_for_little_but_not_for_nothing() {
        let check = |closed: Option<i64>, opened: i64, between: Option<Duration>, due: i64| {
            let mut window = Window::new(WindowMode::JOBS);
            window.set_mode(WindowMode::JOBS, between);
            if let Some(closed) = closed {
                window.close(at(closed));
            }
            window.urge();
            window.offer(at(opened));
            assert_ne!(
                window.next_due(),
                Some(at(due)),
                "nothing that came before counts"
            );
            window.urge();
            assert_eq!(window.next_due(), Some(at(due)));
            window.close(at(due));
            window.offer(at(due));
            assert_eq!(window.next_due(), Some(at(due + 900_000)), "it is told");
        };
        check(None, 0, None, 2_000);
        check(Some(0), 1_000, None, 30_000);
        check(Some(0), 29_000, None, 31_000);
        check(Some(0), 29_000, Some(Duration::from_secs(600)), 600_000);
        let mut window = Window::new(WindowMode::FIXED);
        window.offer(at(0));
        window.close(at(29_000));
        window.offer(at(29_500));
        window.urge();
        assert_eq!(window.next_due(), Some(at(59_000)), "never later than without");
    }

    #[test]
    fn a_mode_that_changes_holds_for_what_is_in_the_window() {
        let mut window = Window::new(WindowMode::JOBS);
        window.close(at(0));
        window.offer(at(1_000));
        assert_eq!(window.next_due(), Some(at(900_000)));
        let slower = WindowMode::Eager {
            gather: Duration::from_secs(30),
            cool_down: Duration::from_secs(3600),
        };
        window.set_mode(slower, None);
        assert_eq!(window.next_due(), Some(at(3_600_000)));
    }

    #[test]
    fn a_closed_window_is_never_due_and_haste_only_counts_while_it_is_open() {
        let mut window = Window::new(WindowMode::FIXED);
        window.hasten();
        assert_eq!(window.next_due(), None);
        window.offer(at(5));
        assert_eq!(window.next_due(), Some(at(30_005)));
        window.hasten();
        assert_eq!(window.next_due(), Some(at(5)));
        window.close(at(6));
        assert_eq!(window.next_due(), None);
        window.offer(Timestamp::MAX);
        assert_eq!(window.next_due(), Some(Timestamp::MAX));
    }
}
