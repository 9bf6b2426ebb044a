//! What a lane has to do when it begins, or has missed what would have told: the log and the state say.

use super::LaneTask;
use crate::{
    pipeline::attempt::Lane,
    runner::{BACKLOG_EVERY, lane_task::window_mode},
};
use jiff::Timestamp;
use mirror_core::{
    cut::{LaneCursor, Position, Stream},
    jobs::standing::RunEnd,
    lane::{Lane as Machine, LaneStart, Wake},
};

/// So many runs are looked at where hints of them were missed.
const MISSED_MAX: usize = 10_000;

impl LaneTask {
    /// Builds the lane's state machine from what log and state know.
    pub(super) async fn machine(&self) -> Result<Machine, String> {
        let lane = &self.lane;
        let said = |error: &dyn std::error::Error| crate::app::chain(error);
        let log_id = lane.log.log_id();
        let stored = lane.log.cursor(&lane.id).await.map_err(|error| said(&error))?;
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
            outage: lane.state.outage(&lane.id).await.map_err(|error| said(&error))?,
            paused: self.is_paused(),
        };
        lane.recall_backfill().await.map_err(|error| said(&error))?;
        self.status(|status| status.outage.clone_from(&start.outage));
        Ok(Machine::new(start, (lane.now)()))
    }

    /// Returns, of each stream's events after the cursor, the newest one's position and when the first was published.
    async fn waiting(&self, cursor: &LaneCursor) -> Result<[Option<(Position, Timestamp)>; 2], String> {
        let said = |error: &dyn std::error::Error| crate::app::chain(error);
        let Lane { log, topic, .. } = &self.lane;
        let mut waiting = [None; 2];
        for (waiting, stream) in waiting.iter_mut().zip(Stream::ALL) {
            let first = log
                .read(topic, cursor.of(stream), Some(stream), 1)
                .await
                .map_err(|error| said(&error))?;
            let newest = log.newest(topic, stream).await.map_err(|error| said(&error))?;
            *waiting = first
                .first()
                .map(|logged| (newest.max(logged.position), logged.envelope.published_at));
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
                    tracing::error!(lane = %self.lane.id, error, "the log cannot be read; it is tried again");
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
        let waiting = log.read(topic, cursor.jobs, Some(Stream::Jobs), MISSED_MAX).await;
        let runs = waiting.unwrap_or_default().into_iter();
        let runs: Vec<RunEnd> = runs.filter_map(|logged| RunEnd::of(&logged.envelope)).collect();
        let news = runs.iter().filter(|run| self.cadence.is_news(run));
        news.count() > 0
    }
}
