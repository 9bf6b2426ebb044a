//! What a lane has to do when it begins, or has missed what would have told: the log and the state say.

use super::LaneTask;
use crate::{
    pipeline::{attempt::Lane, error::AttemptError},
    queue::{
        LogError,
        reader::{Read, Reader},
    },
    runner::{BACKLOG_EVERY, lane_task::window_mode},
};
use jiff::Timestamp;
use mirror_core::{
    cut::{LaneCursor, Position, Stream},
    jobs::standing::RunEnd,
    lane::{Lane as Machine, LaneStart, Wake},
    retry::Outage,
};

/// So many events of runs are looked at where hints of them were missed, a page at a time.
const MISSED_MAX: usize = 10_000;
const PAGE: usize = 1_000;

impl LaneTask {
    /// Builds the lane's state machine. As long as that fails, it is an outage as any other, and told as one; none where the
    /// lane is stopped meanwhile.
    pub(super) async fn begin(&mut self) -> Option<Machine> {
        let mut outage: Option<Outage> = None;
        loop {
            let error = match self.machine(outage.as_ref()).await {
                Ok(machine) => return Some(machine),
                Err(error) => error,
            };
            let attempts = outage.as_ref().map_or(1, |outage| outage.attempts + 1);
            let failure = self.failed(&error, attempts).await;
            let now = (self.lane.now)();
            let known = match outage.take() {
                // It may be what the process before this one has ended with.
                None => self.lane.state.outage(&self.lane.id).await.ok().flatten(),
                known => known,
            };
            let mut known = match known {
                Some(mut known) => {
                    known.failed(failure);
                    known
                }
                None => Outage::begin(failure, now),
            };
            let notices = known.take_notices(now);
            self.status(|status| status.outage = Some(known.clone()));
            for notice in notices {
                self.notice(notice, known.clone()).await;
            }
            self.tell_untold().await;
            outage = Some(known);
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(BACKLOG_EVERY) => {}
            }
        }
    }

    /// Builds it from what log and state know, and from the outage that kept it from being built.
    async fn machine(&self, outage: Option<&Outage>) -> Result<Machine, AttemptError> {
        let lane = &self.lane;
        let log_id = lane.log.log_id();
        let stored = lane.log.cursor(&lane.id).await?;
        let stored = stored.filter(|cursor| cursor.log == *log_id);
        let cursor = stored.unwrap_or_else(|| LaneCursor::start(log_id.clone()));
        let waiting = self.waiting(&cursor).await?;
        let config = &self.runner.system.config;
        let change_mode = window_mode(config.window);
        let start = LaneStart {
            cursor,
            change_mode,
            jobs_mode: self.cadence.mode(),
            change_waiting: waiting[0],
            jobs_waiting: waiting[1],
            // The first attempt of a process looks at the remote, and finishes what was cut short.
            is_new: true,
            outage: outage.cloned().or(lane.state.outage(&lane.id).await?),
            paused: self.is_paused(),
        };
        lane.recall_backfill().await?;
        let tip = start.cursor.tip;
        let pushed = match tip {
            Some(tip) => lane.committed_at(tip).await,
            None => None,
        };
        self.status(|status| {
            status.outage.clone_from(&start.outage);
            status.tip = status.tip.or(tip);
            status.last_push = status.last_push.or(pushed);
        });
        Ok(Machine::new(start, (lane.now)()))
    }

    /// Returns, of each stream's events after the cursor, the newest one's position and when the first was published.
    async fn waiting(&self, cursor: &LaneCursor) -> Result<[Option<(Position, Timestamp)>; 2], AttemptError> {
        let Lane { log, topic, .. } = &self.lane;
        let mut waiting = [None; 2];
        for (waiting, stream) in waiting.iter_mut().zip(Stream::ALL) {
            let first = match log.read(topic, cursor.of(stream), Some(stream), 1).await {
                // The attempt puts it aside, and goes on with what is after it.
                Err(LogError::Unreadable { position, .. }) => Some((Position(position), (self.lane.now)())),
                first => first?
                    .first()
                    .map(|logged| (logged.position, logged.envelope.published_at)),
            };
            let newest = log.newest(topic, stream).await?;
            *waiting = first.map(|(position, published_at)| (newest.max(position), published_at));
        }
        Ok(waiting)
    }

    /// Looks up what hints would have told; the log is asked until it answers or the process stops.
    pub(super) async fn missed(&mut self, cursor: &LaneCursor) -> Vec<Wake> {
        loop {
            match self.waiting(cursor).await {
                Ok(waiting) => {
                    let has_news = self.has_news(cursor).await;
                    let waiting = Stream::ALL.into_iter().zip(waiting);
                    return waiting
                        .filter_map(|(stream, waiting)| {
                            let (position, published_at) = waiting?;
                            Some(Wake::Arrived {
                                stream,
                                position,
                                published_at,
                                urgent: stream == Stream::Jobs && has_news,
                            })
                        })
                        .collect();
                }
                Err(error) => {
                    tracing::error!(lane = %self.lane.id, error = crate::app::chain(&error), "the log cannot be read; it is tried again");
                    tokio::select! {
                        () = self.stop.cancelled() => return Vec::new(),
                        () = tokio::time::sleep(BACKLOG_EVERY) => {}
                    }
                }
            }
        }
    }

    /// Looks for news among the runs that wait. What cannot be read is found by the attempt.
    async fn has_news(&mut self, cursor: &LaneCursor) -> bool {
        let Lane { log, topic, .. } = &self.lane;
        let newest = log.newest(topic, Stream::Jobs).await.unwrap_or(Position::START);
        let mut reader = Reader::new(&**log, topic, Some(Stream::Jobs), (cursor.jobs, newest), PAGE);
        let (mut left, mut news) = (MISSED_MAX, 0);
        while left > 0
            && let Ok(Some(read)) = reader.next().await
        {
            let Read::Events(events) = read else { continue };
            left = left.saturating_sub(events.len());
            let runs = events.iter().filter_map(|logged| RunEnd::of(&logged.envelope));
            // Each is to be noted, also after one that is news.
            news += runs.filter(|run| self.cadence.is_news(run)).count();
        }
        news > 0
    }
}
