//! One lane: what to do next, given what happened and what time it is.
//!
//! Two streams, each with its window, feed one ref; so at most one attempt runs. The machine is told
//! everything (arrivals, time, how attempts ended) and answers with what to do; it does nothing
//! itself. It holds no events: after a restart it is built from the cursor and the log.

use crate::{
    cut::{LaneCursor, Position, Stream},
    retry::{Disposition, Failure, Jitter, Notice, Outage, OutageClass, RETRY_WAIT_MAX, Retry},
    window::{Window, WindowMode, later},
};
use jiff::Timestamp;
use std::time::Duration;

/// What can wake a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// The log has an event for it. `urgent` ones hardly wait for their window, as when a
    /// configuration goes from good to failing.
    Arrived {
        stream: Stream,
        position: Position,
        published_at: Timestamp,
        urgent: bool,
    },
    /// Nothing but time.
    Tick,
    AttemptDone(AttemptEnd),
    /// An operator or admin holds the lane, or lets it go.
    Pause,
    Resume,
    /// Runs are to be committed more or less often; `between_news` is for urgent ones, none as ever.
    JobsMode {
        mode: WindowMode,
        between_news: Option<Duration>,
    },
    /// An operator wants what waits done now, whatever the windows say.
    Hasten,
    /// The remote may take what it did not, of which no stream tells.
    Again,
    /// What proves to the source or the remote who we are is another one by now.
    Renewed,
    /// The process ends: nothing new starts.
    Stop,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The remote has the cut, and the lane's cursor says so.
    Mirrored {
        cursor: LaneCursor,
        /// How long building and pushing took; none where there was nothing to push.
        took: Option<Duration>,
    },
    Failed(Failure),
    /// It was cut short by the end of the process; nothing is known to be wrong.
    Interrupted,
}

/// What a lane wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run an attempt. It works on the stored cut if there is one, else it stores a new one over the
    /// named streams, up to their newest events.
    Start { streams: Vec<Stream> },
    /// Tell people; `outage` is the one that it is about.
    Notify { notice: Notice, outage: Outage },
    /// Store the outage, or that there is none. After what is to be told of it: who is killed in between tells it
    /// again, to somebody who knows it already.
    Remember(Option<Outage>),
}

/// What a lane starts from.
#[derive(Debug, Clone)]
pub struct LaneStart {
    pub cursor: LaneCursor,
    pub change_mode: WindowMode,
    pub jobs_mode: WindowMode,
    /// Of each stream's events that the remote does not have: the newest one's position, and when
    /// the oldest was published.
    pub change_waiting: Option<(Position, Timestamp)>,
    pub jobs_waiting: Option<(Position, Timestamp)>,
    /// An attempt is due at once, whatever waits, as when a process begins: one may have been cut short.
    pub is_new: bool,
    pub outage: Option<Outage>,
    pub paused: bool,
}

/// The state of one lane; see the module.
#[derive(Debug, Clone)]
pub struct Lane {
    cursor: LaneCursor,
    change: Feed,
    jobs: Feed,
    running: bool,
    /// What the running or last attempt was started with.
    streams: Vec<Stream>,
    /// It is to be made again, not before this.
    again_at: Option<Timestamp>,
    retry: Retry,
    outage: Option<Outage>,
    paused: bool,
    stopping: bool,
}

#[derive(Debug, Clone)]
struct Feed {
    window: Window,
    newest: Position,
}

impl Lane {
    /// Builds the lane as it was left, or as new.
    #[must_use]
    pub fn new(start: LaneStart, now: Timestamp) -> Self {
        let LaneStart {
            cursor,
            change_mode,
            jobs_mode,
            change_waiting,
            jobs_waiting,
            is_new,
            outage,
            paused,
        } = start;
        let feed = |mode, waiting: Option<(Position, Timestamp)>, stream| {
            let mut window = Window::new(mode);
            if let Some((_, published_at)) = waiting {
                window.offer(published_at);
            }
            Feed {
                window,
                newest: waiting.map_or(cursor.of(stream), |(newest, _)| newest),
            }
        };
        Self {
            change: feed(change_mode, change_waiting, Stream::Change),
            jobs: feed(jobs_mode, jobs_waiting, Stream::Jobs),
            cursor,
            running: false,
            streams: Stream::ALL.to_vec(),
            again_at: is_new.then_some(now),
            retry: Retry::default(),
            outage,
            paused,
            stopping: false,
        }
    }

    /// Returns when the lane wants to be woken by [`Wake::Tick`], which may lie in the past.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        // Who holds a lane knows that nothing comes of it.
        let told = self
            .outage
            .as_ref()
            .and_then(Outage::next_due)
            .filter(|_| !self.paused);
        told.into_iter().chain(self.next_attempt()).min()
    }

    /// Returns when the next attempt begins, as far as is known; none while one runs, and where nothing is to be done.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Timestamp> {
        if self.running || self.paused || self.stopping {
            None
        } else if self.again_at.is_some() {
            self.again_at
        } else {
            [&self.change, &self.jobs]
                .into_iter()
                .filter_map(|feed| feed.window.next_due())
                .min()
        }
    }

    /// Takes in what happened and returns what to do.
    pub fn step(&mut self, wake: Wake, now: Timestamp, jitter: Jitter) -> Vec<Action> {
        let mut actions = Vec::new();
        match wake {
            Wake::Arrived {
                stream,
                position,
                published_at,
                urgent,
            } => {
                self.arrived(stream, position, published_at, urgent);
            }
            Wake::Tick => {}
            Wake::AttemptDone(end) => {
                self.running = false;
                match end {
                    AttemptEnd::Mirrored { cursor, took } => self.mirrored(cursor, took, now, &mut actions),
                    AttemptEnd::Failed(failure) => self.failed(failure, now, jitter, &mut actions),
                    AttemptEnd::Interrupted => self.again_at = Some(now),
                }
            }
            Wake::Pause => self.paused = true,
            Wake::Resume => {
                // Whoever resumes a lane has mended something.
                self.paused = false;
                // So long as it was held nobody could know whether it would have worked.
                if let Some(outage) = self.outage.as_mut().filter(|outage| outage.notified_at.is_none()) {
                    outage.since = now;
                }
                self.again_at = self.again_at.map(|_| now);
            }
            Wake::JobsMode { mode, between_news } => self.jobs.window.set_mode(mode, between_news),
            Wake::Hasten => {
                self.change.window.hasten();
                self.jobs.window.hasten();
            }
            // An attempt that waits for its time does it then, and one that runs is asked for its own when it has ended.
            Wake::Again if self.running => {}
            Wake::Again => self.again_at = self.again_at.or(Some(now)),
            // Whoever renews a credential has mended something. A wait that somebody else asked for goes on.
            Wake::Renewed => {
                let is_theirs = |outage: &Outage| outage.class == OutageClass::NeedsCustomer;
                if self.outage.as_ref().is_some_and(is_theirs) {
                    self.again_at = self.again_at.map(|again_at| again_at.min(now));
                }
            }
            Wake::Stop => self.stopping = true,
        }
        self.change.window.clamp(now);
        self.jobs.window.clamp(now);
        self.again_at = self
            .again_at
            .map(|again_at| again_at.min(later(now, RETRY_WAIT_MAX)));
        self.tell(now, &mut actions);
        self.start_if_due(now, &mut actions);
        actions
    }

    /// Returns how many attempts failed since the last that did not.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retry.count
    }

    #[must_use]
    pub fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running
    }

    #[must_use]
    pub fn cursor(&self) -> &LaneCursor {
        &self.cursor
    }

    fn feed(&self, stream: Stream) -> &Feed {
        match stream {
            Stream::Change => &self.change,
            Stream::Jobs => &self.jobs,
        }
    }

    fn feed_mut(&mut self, stream: Stream) -> &mut Feed {
        match stream {
            Stream::Change => &mut self.change,
            Stream::Jobs => &mut self.jobs,
        }
    }

    fn arrived(&mut self, stream: Stream, position: Position, published_at: Timestamp, urgent: bool) {
        let feed = self.feed_mut(stream);
        // Hints may be repeated, and may tell of what an attempt has already taken up.
        if position <= feed.newest {
            return;
        }
        feed.newest = position;
        feed.window.offer(published_at);
        if urgent {
            feed.window.urge();
        }
    }

    fn mirrored(
        &mut self,
        cursor: LaneCursor,
        took: Option<Duration>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.cursor = cursor;
        self.again_at = None;
        self.retry = Retry::default();
        if let Some(outage) = self.outage.take() {
            actions.extend(outage.recovered().map(|notice| Action::Notify { notice, outage }));
            actions.push(Action::Remember(None));
        }
        for stream in Stream::ALL {
            let covered = self.cursor.of(stream);
            let feed = self.feed_mut(stream);
            if let Some(took) = took {
                feed.window.took(took);
            }
            if feed.newest <= covered {
                // The attempt may have read further than was told when it began.
                feed.newest = covered;
                if feed.window.opened_at().is_some() {
                    feed.window.close(now);
                }
            } else if feed.window.opened_at().is_none() {
                // An older, stored cut was worked on; what it leaves has waited long enough.
                feed.window.offer(now);
                feed.window.hasten();
            }
        }
    }

    fn failed(&mut self, failure: Failure, now: Timestamp, jitter: Jitter, actions: &mut Vec<Action>) {
        let disposition = failure.disposition;
        let again_at = self.retry.failed(disposition, now, jitter);
        self.again_at = Some(again_at);
        // Somebody else's push is no outage.
        if disposition == Disposition::RefMoved && again_at <= now && self.outage.is_none() {
            return;
        }
        match &mut self.outage {
            Some(outage) => outage.failed(failure),
            None => self.outage = Some(Outage::begin(failure, now)),
        }
        actions.push(Action::Remember(self.outage.clone()));
    }

    fn tell(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(outage) = self.outage.as_mut().filter(|_| !self.paused) else {
            return;
        };
        let notices = outage.take_notices(now);
        if notices.is_empty() {
            return;
        }
        let outage = outage.clone();
        actions.retain(|action| !matches!(action, Action::Remember(Some(_))));
        actions.extend(notices.into_iter().map(|notice| Action::Notify {
            notice,
            outage: outage.clone(),
        }));
        actions.push(Action::Remember(Some(outage)));
    }

    fn start_if_due(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.running || self.paused || self.stopping {
            return;
        }
        match self.again_at {
            Some(again_at) if again_at > now => return,
            Some(_) => {}
            None => {
                let due = |stream: &Stream| self.feed(*stream).window.is_due(now);
                let due: Vec<Stream> = Stream::ALL.into_iter().filter(due).collect();
                if due.is_empty() {
                    return;
                }
                for stream in &due {
                    self.feed_mut(*stream).window.close(now);
                }
                self.streams = due;
            }
        }
        self.again_at = None;
        self.running = true;
        actions.push(Action::Start {
            streams: self.streams.clone(),
        });
    }
}

#[cfg(test)]
mod tests;
