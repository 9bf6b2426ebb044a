//! The event log: where changes wait, durably and in order, until the remote has them.
//!
//! The trait and its contract; [`embedded`] is the implementation that needs nothing else, [`jetstream`] the one
//! that several processes share. What an event means, and when it is acted upon, is not known here.

pub mod embedded;
pub mod jetstream;
pub mod reader;
pub mod retention;
pub mod unmirrored;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod model;

use crate::{database::DatabaseError, nats::NatsError};
use async_trait::async_trait;
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, CutId, LaneCursor, LogId, Logged, Position, Stream},
    event::Envelope,
    ids::{LaneId, MirrorId, ProjectId, Stack, Topic},
    jobs::standing::RunEnd,
    key::EventKey,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::broadcast;

/// A durable, replayable log of events, one order for all.
///
/// What `append` accepted survives a crash at any later instant. Events may have been repeated and
/// may stand out of version order; readers cope. A topic is one Keboola branch, whoever mirrors it;
/// a lane is one mirror of it, with a cursor and a cut of its own.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Returns the identity of this log; positions of another log mean nothing here.
    fn log_id(&self) -> &LogId;

    /// Appends a batch as a whole, each event followed by those that derive from it
    /// ([`Envelope::derived_events`]). Returns only when the batch is durable, one answer for each
    /// event of the batch.
    ///
    /// # Errors
    /// [`LogError::NoSpace`], and anything that leaves durability in doubt. Nothing was appended, or it is not
    /// known what was: the same batch may be given again, and what is there is known as a repetition.
    async fn append(&self, batch: Vec<NewEvent>) -> Result<Vec<Appended>, LogError>;

    /// Reads at most `max` of a topic's events after a position, in order; of both streams where
    /// none is named.
    ///
    /// # Errors
    /// A log that cannot be read. [`LogError::Unreadable`] for the first of them that is damaged or of a newer schema;
    /// who wants those before and after it as well reads with a [`reader::Reader`].
    async fn read(
        &self,
        topic: &Topic,
        after: Position,
        stream: Option<Stream>,
        max: usize,
    ) -> Result<Vec<Logged>, LogError>;

    /// Tells from now on which topics have news. A hint: who falls behind is told so, and looks for
    /// itself with [`EventLog::newest`].
    fn tail(&self) -> broadcast::Receiver<News>;

    /// Returns the position of a topic's last event of a stream, [`Position::START`] without one.
    /// Events that were pruned count too.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn newest(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError>;

    /// Returns the position after which every event of a topic's stream is still there;
    /// [`EventLog::prune`] moves it. Who stands before it has missed events, and must compare with the
    /// source instead.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn pruned(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError>;

    /// Returns how far a lane's remote is known to be; none where the lane is new.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn cursor(&self, lane: &LaneId) -> Result<Option<LaneCursor>, LogError>;

    /// Returns all that an attempt of a lane wants to know of the log before it reads events: [`EventLog::cursor`],
    /// [`EventLog::cut`] and [`EventLog::pruned`], in this order where they are not of the same moment.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn standing(&self, lane: &LaneId, topic: &Topic) -> Result<LaneStanding, LogError> {
        Ok(LaneStanding {
            cursor: self.cursor(lane).await?,
            cut: self.cut(lane).await?,
            pruned_change: self.pruned(topic, Stream::Change).await?,
            pruned_jobs: self.pruned(topic, Stream::Jobs).await?,
        })
    }

    /// Moves a lane's cursor if it still stands where the caller saw it, and drops the lane's cut.
    /// Called only after the remote has the content. May move it back, as recovery does.
    ///
    /// # Errors
    /// [`LogError::Moved`] where somebody else moved it; [`LogError::ForeignLog`] for a position of
    /// another log.
    async fn commit(
        &self,
        lane: &LaneId,
        expect: Option<&LaneCursor>,
        next: &LaneCursor,
    ) -> Result<(), LogError>;

    /// Returns the cut that the lane's attempts work on.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn cut(&self, lane: &LaneId) -> Result<Option<Cut>, LogError>;

    /// Stores the cut to work on, if the stored one is still the one that the caller saw and the
    /// cut starts where the lane's cursor stands.
    ///
    /// # Errors
    /// [`LogError::Moved`] where somebody else stored one or moved the cursor.
    async fn put_cut(&self, lane: &LaneId, expect: Option<&CutId>, cut: &Cut) -> Result<(), LogError>;

    /// Files an event that cannot be processed. When an event of the letter's key is told again after that, it is
    /// no repetition: what came to nothing may come to something now.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    async fn dead_letter(&self, letter: DeadLetter) -> Result<DeadLetterId, LogError>;

    /// Lists dead letters, oldest first, after an id.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        max: usize,
    ) -> Result<Vec<FiledLetter>, LogError>;

    /// Deletes dead letters: those filed before a time, and as many as are more than `max`, of which those go first that
    /// cannot be replayed (anybody who may tell events can make as many of them as he likes), and the oldest of each kind.
    /// At most `batch_max` go; returns how many did.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    async fn prune_letters(&self, before: Timestamp, max: u64, batch_max: usize) -> Result<u64, LogError>;

    /// Returns how many dead letters were neither replayed nor acknowledged, and when the oldest of them was filed.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn unplayed(&self) -> Result<Backlog, LogError>;

    /// Notes that an operator has seen a dead letter and that it is settled without a replay; it stays listed, and may be
    /// replayed all the same. Returns whether that is news: not of one that was replayed or acknowledged before.
    ///
    /// # Errors
    /// [`LogError::NoSuchLetter`].
    async fn acknowledge(&self, letter: DeadLetterId, now: Timestamp) -> Result<bool, LogError>;

    /// Appends a dead letter's event anew, past deduplication, and marks the letter as replayed.
    ///
    /// # Errors
    /// [`LogError::NoSuchLetter`]; [`LogError::NotReplayable`] where the event could not be read in
    /// the first place, or was replayed before.
    async fn replay(&self, letter: DeadLetterId, now: Timestamp) -> Result<Appended, LogError>;

    /// Returns what waits in front of the given lanes' cursors; what was appended or deleted a moment ago may not be
    /// counted yet.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn backlog(&self, lanes: &[(LaneId, Topic)]) -> Result<Backlog, LogError>;

    /// Returns how many events wait for a mirror of a project while its lanes are not known: those after
    /// its cursors, and all of the branches in which it has none. Counted as in [`EventLog::backlog`].
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn waiting(&self, mirror: &MirrorId, stack: &Stack, project: &ProjectId) -> Result<u64, LogError>;

    /// Returns what there is of topics that `retention` names no lane of and does not hold, at most `max` of them.
    ///
    /// # Errors
    /// A log that cannot be read.
    async fn unmirrored(&self, retention: &Retention, max: usize) -> Result<Vec<(Topic, Backlog)>, LogError>;

    /// Deletes what `retention` does not keep, oldest first and at most `retention.batch_max` rows of each
    /// kind, so that appends never wait long. Dead letters are another matter
    /// ([`EventLog::prune_letters`]). An event that cannot be read goes as any other. A cursor that was moved back
    /// meanwhile may end up before [`EventLog::pruned`].
    ///
    /// # Errors
    /// As [`EventLog::append`].
    async fn prune(&self, retention: &Retention) -> Result<Pruned, LogError>;

    /// Checks that the log can hold an event, and all that derives from it, whatever else it holds.
    ///
    /// # Errors
    /// [`LogError::TooLarge`].
    fn fits(&self, event: &NewEvent) -> Result<(), LogError>;

    /// Returns whether appends can be durable at this moment.
    fn is_ready(&self) -> bool;

    /// Returns why the log cannot go on in this process, while only a new one can mend it.
    fn over(&self) -> Option<LogError>;
}

/// How a lane stands with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStanding {
    pub cursor: Option<LaneCursor>,
    pub cut: Option<Cut>,
    pub pruned_change: Position,
    pub pruned_jobs: Position,
}

impl LaneStanding {
    /// Returns the position after which every event of a stream is still there.
    #[must_use]
    pub fn pruned(&self, stream: Stream) -> Position {
        match stream {
            Stream::Change => self.pruned_change,
            Stream::Jobs => self.pruned_jobs,
        }
    }
}

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub envelope: Envelope,
    /// When it is appended.
    pub at: Timestamp,
}

/// Where an event is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Of the event that was there before, if it was.
    pub position: Position,
    pub duplicate: bool,
}

/// What a log keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Every lane that goes on. What is after its cursor stays, however old; one without a cursor holds
    /// nothing, since it begins by reading everything from the source.
    pub lanes: Vec<(LaneId, Topic)>,
    /// Projects whose lanes are not known (yet): nothing of theirs goes.
    pub held: Vec<(Stack, ProjectId)>,
    /// Events appended before this go, unless a lane waits for them.
    pub events_before: Timestamp,
    /// Keys of events appended before this go; a repetition is no longer known as one.
    pub keys_before: Timestamp,
    /// Of topics that are neither held nor of a lane, at most so many events stay.
    pub unmirrored_max: u64,
    /// Events, and keys, that may be deleted at once.
    pub batch_max: usize,
}

/// What went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub events: u64,
    pub keys: u64,
    /// There may be more to delete.
    pub more: bool,
}

/// Says that a topic has news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub topic: Topic,
    pub stream: Stream,
    pub position: Position,
    pub published_at: Timestamp,
    /// Of the end of a run: how it ended, so that a lane knows whether it may wait.
    pub run: Option<RunEnd>,
}

/// An event that cannot be processed. Its JSON form is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// None where the event could not even be assigned.
    pub topic: Option<Topic>,
    /// By which it is known when it is told again; none where that is not to be noticed.
    pub key: Option<EventKey>,
    /// Where it stood, if it was appended.
    pub position: Option<Position>,
    /// The host's words, never content.
    pub reason: String,
    /// Capped and masked ([`mirror_core::event::masked_body`]).
    pub body: String,
    pub at: Timestamp,
    /// The event, where it could be read: then it can be replayed.
    pub envelope: Option<Envelope>,
}

/// Number of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(pub u64);

/// A dead letter as it was filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiledLetter {
    pub id: DeadLetterId,
    pub letter: DeadLetter,
    pub replayed_at: Option<Timestamp>,
    /// When an operator has said that it needs no replay.
    pub acknowledged_at: Option<Timestamp>,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Events, of which one that two lanes wait for counts twice; or dead letters.
    pub depth: u64,
    /// When the oldest of them was published, or filed.
    pub oldest: Option<Timestamp>,
}

/// Why the log refused or failed.
#[derive(Debug, Error)]
pub enum LogError {
    #[error("the disk of the event log is full; free space, nothing was accepted")]
    NoSpace,
    #[error("lane `{lane}` was moved by somebody else; read its cursor again")]
    Moved { lane: LaneId },
    #[error("lane `{lane}` was given a position of log `{given}`, this is log `{own}`")]
    ForeignLog { lane: LaneId, given: LogId, own: LogId },
    #[error("there is no dead letter {id}")]
    NoSuchLetter { id: u64 },
    #[error("dead letter {id} cannot be replayed: {problem}")]
    NotReplayable { id: u64, problem: &'static str },
    #[error("{what} at position {position} cannot be read by this release")]
    Unreadable { what: &'static str, position: u64 },
    #[error(
        "the event has {bytes} bytes as it is stored, and the log takes {max}; raise `max_payload` of the NATS servers"
    )]
    TooLarge { bytes: usize, max: usize },
    #[error("the event log was closed")]
    Stopped,
    #[error(
        "the NATS stream `{stream}`, the event log, is gone; a new process makes it anew, and compares everything with the source"
    )]
    Gone { stream: String },
    #[error(
        "the NATS stream `{stream}`, the event log, was made anew, and this process knows positions of the one before; a new process compares everything with the source"
    )]
    MadeAnew { stream: String },
    #[error("the event log failed")]
    Database {
        #[source]
        source: DatabaseError,
    },
    #[error("the event log failed")]
    Nats {
        #[source]
        source: NatsError,
    },
}

impl LogError {
    /// Refuses a position of another log.
    fn unless_own(lane: &LaneId, given: &LogId, own: &LogId) -> Result<(), Self> {
        if given == own {
            return Ok(());
        }
        Err(Self::ForeignLog {
            lane: lane.clone(),
            given: given.clone(),
            own: own.clone(),
        })
    }
}

impl From<NatsError> for LogError {
    fn from(source: NatsError) -> Self {
        if source.is_full() {
            Self::NoSpace
        } else {
            Self::Nats { source }
        }
    }
}

impl From<DatabaseError> for LogError {
    fn from(source: DatabaseError) -> Self {
        match source {
            DatabaseError::NoSpace => Self::NoSpace,
            source => Self::Database { source },
        }
    }
}
