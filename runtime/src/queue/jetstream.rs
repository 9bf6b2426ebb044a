//! The event log over NATS JetStream, for one process or many.
//!
//! | in NATS | holds |
//! | --- | --- |
//! | stream `<prefix>_LOG`, subjects `<prefix>.log.<shard>.<stack>.<project>.<branch>.<change or jobs>` | envelopes; a position is a sequence of this stream |
//! | stream `<prefix>_EVENTS`, subjects `kbc.events.>` | what publishers send, until [`intake`] has put it into the log |
//! | stream `<prefix>_DEAD` | dead letters |
//! | bucket `<prefix>_STATE` | a record for each lane (cursor and cut), how far topics are pruned, which letters were replayed |
//!
//! The log's identity is that of its stream: made anew, it is another log, with which a process that knows the first
//! does not go on ([`standing`]). Where others deleted events is noticed ([`marks`]). Events are known by their key for
//! `queue.dedupe_minutes`, by `Nats-Msg-Id`; [`Retention::keys_before`] has no meaning here. Nothing is held
//! unacknowledged while a remote is away, and nothing is deleted but by [`EventLog::prune`].

pub mod append;
pub mod intake;
mod lanes;
mod letters;
mod marks;
pub mod names;
mod prune;
mod standing;
mod tail;

#[cfg(test)]
mod tests;

use super::{
    Appended, Backlog, DeadLetter, DeadLetterId, EventLog, FiledLetter, LogError, NewEvent, News, Pruned,
    Retention,
};
use crate::{
    config::JetStreamConfig,
    nats::{
        Nats, NatsError,
        kv::Bucket,
        settings::{Kind, Wanted},
        stream::Found,
    },
};
use append::Appender;
use async_trait::async_trait;
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, CutId, LaneCursor, LogId, Logged, Position, Stream},
    event::{ENVELOPE_SCHEMA, Envelope},
    ids::{LaneId, MirrorId, ProjectId, Stack, Topic},
};
use names::{Names, token};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use standing::Standing;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

const NEWS_KEPT: usize = 4096;
/// What publishers sent stays so long: a long weekend without workers, and two more days to see why.
const INTAKE_KEEP: Duration = Duration::from_secs(5 * 86_400);

/// The event log over JetStream.
#[derive(Clone)]
pub struct JetStreamLog {
    nats: Nats,
    names: Names,
    state: Bucket,
    id: LogId,
    standing: Standing,
    news: broadcast::Sender<News>,
    appender: Appender,
    /// Ends the tasks behind it with the last clone.
    _stop: Arc<DropGuard>,
}

impl std::fmt::Debug for JetStreamLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetStreamLog")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An event as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEvent {
    appended_at: Timestamp,
    envelope: Envelope,
}

impl JetStreamLog {
    /// Opens the log: makes the streams and the bucket that are missing, and checks those that are there.
    ///
    /// # Errors
    /// NATS that fails, or a stream that could lose something ([`NatsError::Stream`]).
    pub async fn open(nats: Nats, config: &JetStreamConfig) -> Result<Self, NatsError> {
        let names = Names::new(&config.prefix);
        let replicas = config.replicas;
        let wanted = |name: String, subject: String, kind| Wanted {
            name,
            subject,
            replicas,
            kind,
        };
        let log = Kind::Log {
            dedupe: config.dedupe,
            bytes_max: config.log_bytes_max,
        };
        let intake = Kind::Intake {
            keep: INTAKE_KEEP,
            dedupe: config.dedupe,
            bytes_max: config.events_bytes_max,
        };
        let state = Bucket::new(nats.clone(), names.state_bucket());
        let born = wanted(names.log_stream(), names.all_of_log(), log)
            .ensure(&nats)
            .await?;
        for wanted in [
            wanted(names.events_stream(), names::EVENTS.to_owned(), intake),
            wanted(names.letters_stream(), names.all_letters(), Kind::Letters),
            wanted(state.stream(), state.subject(">"), Kind::Records),
        ] {
            wanted.ensure(&nats).await?;
        }
        let stop = CancellationToken::new();
        let sender = broadcast::Sender::new(NEWS_KEPT);
        let id = log_id(&names.log_stream(), &born);
        let standing = Standing::new(names.log_stream(), born);
        let from = nats.extent(&names.log_stream()).await?.last;
        tokio::spawn(tail::follow(
            nats.clone(),
            names.clone(),
            standing.clone(),
            from,
            sender.clone(),
            stop.clone(),
        ));
        Ok(Self {
            appender: Appender::start(nats.clone(), stop.clone()),
            id,
            standing,
            nats,
            state,
            names,
            news: sender,
            _stop: Arc::new(stop.drop_guard()),
        })
    }

    /// Returns the connection below.
    #[must_use]
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// Returns a topic's first message of a stream after a position, which knows how many come after it.
    async fn first_after(&self, subject: &str, after: Position) -> Result<Option<Found>, LogError> {
        let stream = self.names.log_stream();
        Ok(self.nats.next_counted(&stream, subject, after.0).await?)
    }

    async fn count_after(&self, subject: &str, after: Position) -> Result<u64, LogError> {
        let first = self.first_after(subject, after).await?;
        Ok(first.map_or(0, |first| 1 + first.left))
    }
}

/// Two streams of one name are never made at the same nanosecond.
fn log_id(stream: &str, born: &str) -> LogId {
    let digest = Sha256::digest(format!("{stream} {born}").as_bytes());
    let id = format!("nats-{}", data_encoding::HEXLOWER.encode(&digest[..12]));
    LogId::parse(&id).expect("hexadecimal digits after a word are a log id")
}

fn stored(found: &Found) -> Result<StoredEvent, LogError> {
    let event: Option<StoredEvent> = serde_json::from_slice(&found.payload).ok();
    event
        .filter(|event| event.envelope.schema <= ENVELOPE_SCHEMA)
        .ok_or(LogError::Unreadable {
            what: "the event",
            position: found.sequence,
        })
}

#[async_trait]
impl EventLog for JetStreamLog {
    fn log_id(&self) -> &LogId {
        &self.id
    }

    async fn append(&self, batch: Vec<NewEvent>) -> Result<Vec<Appended>, LogError> {
        self.standing.check()?;
        let mut messages = Vec::with_capacity(batch.len());
        let mut asked = Vec::with_capacity(batch.len());
        for NewEvent { envelope, at } in &batch {
            asked.push(messages.len());
            messages.push(self.message(envelope, *at, envelope.key.event_id())?);
            for derived in envelope.derived_events() {
                messages.push(self.message(&derived, *at, derived.key.event_id())?);
            }
        }
        let all = self.appender.append(messages).await?;
        let appended = asked.into_iter().map(|index| all[index]).collect();
        self.append_told_again(&batch, appended).await
    }

    async fn read(
        &self,
        topic: &Topic,
        after: Position,
        stream: Option<Stream>,
        max: usize,
    ) -> Result<Vec<Logged>, LogError> {
        self.standing.check()?;
        let (name, mut all) = (self.names.log_stream(), Vec::new());
        for one in Stream::ALL {
            if stream.is_some_and(|stream| stream != one) {
                continue;
            }
            let subject = self.names.topic(topic, one);
            all.append(&mut self.nats.read(&name, &subject, after.0, max).await?);
        }
        // Only then are they read: what cannot be is told in its order, and not if it is beyond the page.
        all.sort_unstable_by_key(|found| found.sequence);
        all.truncate(max);
        let logged = |found: Found| {
            let StoredEvent {
                appended_at,
                envelope,
            } = stored(&found)?;
            Ok(Logged {
                position: Position(found.sequence),
                appended_at,
                envelope,
            })
        };
        all.into_iter().map(logged).collect()
    }

    fn tail(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    async fn newest(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError> {
        let subject = self.names.topic(topic, stream);
        match self.nats.last(&self.names.log_stream(), &subject).await? {
            Some(last) => Ok(Position(last.sequence)),
            None => self.pruned(topic, stream).await,
        }
    }

    async fn pruned(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError> {
        self.pruned_through(topic, stream).await
    }

    async fn cursor(&self, lane: &LaneId) -> Result<Option<LaneCursor>, LogError> {
        Ok(self.lane(lane).await?.record.cursor)
    }

    async fn commit(
        &self,
        lane: &LaneId,
        expect: Option<&LaneCursor>,
        next: &LaneCursor,
    ) -> Result<(), LogError> {
        self.commit_cursor(lane, expect, next).await
    }

    async fn cut(&self, lane: &LaneId) -> Result<Option<Cut>, LogError> {
        self.stored_cut(lane).await
    }

    async fn put_cut(&self, lane: &LaneId, expect: Option<&CutId>, cut: &Cut) -> Result<(), LogError> {
        self.store_cut(lane, expect, cut).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<DeadLetterId, LogError> {
        let id = uuid::Uuid::new_v4().to_string();
        self.file(letter, &id).await
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        max: usize,
    ) -> Result<Vec<FiledLetter>, LogError> {
        self.filed(after, max).await
    }

    async fn prune_letters(&self, before: Timestamp, max: u64, batch_max: usize) -> Result<u64, LogError> {
        self.prune_old_letters(before, max, batch_max).await
    }

    async fn unplayed(&self) -> Result<Backlog, LogError> {
        self.unplayed_letters().await
    }

    async fn acknowledge(&self, letter: DeadLetterId, now: Timestamp) -> Result<bool, LogError> {
        self.acknowledge_letter(letter, now).await
    }

    async fn replay(&self, letter: DeadLetterId, now: Timestamp) -> Result<Appended, LogError> {
        self.replay_letter(letter, now).await
    }

    async fn backlog(&self, lanes: &[(LaneId, Topic)]) -> Result<Backlog, LogError> {
        let mut backlog = Backlog::default();
        for (lane, topic) in lanes {
            let cursor = self.cursor(lane).await?;
            let cursor = cursor.unwrap_or_else(|| LaneCursor::start(self.id.clone()));
            for stream in Stream::ALL {
                let subject = self.names.topic(topic, stream);
                let Some(first) = self.first_after(&subject, cursor.of(stream)).await? else {
                    continue;
                };
                backlog.depth += 1 + first.left;
                let published = stored(&first).map(|event| event.envelope.published_at);
                let oldest = published.ok().or(first.stored_at);
                backlog.oldest = backlog.oldest.into_iter().chain(oldest).min();
            }
        }
        Ok(backlog)
    }

    async fn waiting(&self, mirror: &MirrorId, stack: &Stack, project: &ProjectId) -> Result<u64, LogError> {
        let filter = self.names.project(stack, project);
        let subjects = self.nats.subjects(&self.names.log_stream(), &filter).await?;
        let mut waiting = 0;
        for subject in subjects.keys() {
            let Some((branch, stream)) = names::branch_of(subject) else {
                continue;
            };
            let lane = self
                .lane_at(&names::lane_key(&token(mirror.as_str()), branch))
                .await?;
            let cursor = lane
                .record
                .cursor
                .map_or(Position::START, |cursor| cursor.of(stream));
            waiting += self.count_after(subject, cursor).await?;
        }
        Ok(waiting)
    }

    async fn unmirrored(&self, retention: &Retention, max: usize) -> Result<Vec<(Topic, Backlog)>, LogError> {
        self.unmirrored_topics(retention, max).await
    }

    async fn prune(&self, retention: &Retention) -> Result<Pruned, LogError> {
        self.prune_some(retention).await
    }

    fn fits(&self, event: &NewEvent) -> Result<(), LogError> {
        let NewEvent { envelope, at } = event;
        for one in [envelope].into_iter().chain(&envelope.derived_events()) {
            self.message(one, *at, String::new())?;
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.nats.is_connected() && self.standing.check().is_ok()
    }

    fn over(&self) -> Option<LogError> {
        self.standing.check().err()
    }
}
