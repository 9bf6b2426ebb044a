//! The state store: what a lane knows beside its repository, and what outlives a process.
//!
//! Derived state is a cache: it can be read back from the remote, and is valid for exactly one tip
//! and render digest. Outages, and what was seen of the source, are records. What the rows say is not
//! known here.

pub mod embedded;
pub mod notices;
pub mod pauses;
pub mod shared;

use crate::{database::DatabaseError, nats::NatsError};
use async_trait::async_trait;
use mirror_core::{
    digest::RenderDigest,
    ids::{LaneId, MirrorId, Oid},
    jobs::budget::Spent,
    quarantine::Quarantine,
    reconcile::Compared,
    retry::Outage,
    trial,
};
use std::collections::BTreeMap;
use thiserror::Error;

/// Keeps what lanes know; see the module.
///
/// A commit's rows are prepared before it is pushed and adopted after. So a crash in between leaves
/// both: who finds the prepared commit on the remote adopts it, who does not prepares another.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Returns of what a lane's derived state is, and what is prepared; none where it has neither.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn load(&self, lane: &LaneId) -> Result<Option<LaneState>, StateError>;

    /// Returns rows of a lane's derived state in the order of their keys, at most `rows_max` after `after`: together they
    /// are as large as the lane's project.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn rows(
        &self,
        lane: &LaneId,
        after: Option<RowKey>,
        rows_max: usize,
    ) -> Result<Vec<(RowKey, String)>, StateError>;

    /// Returns one row of a lane's derived state.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn row(&self, lane: &LaneId, key: RowKey) -> Result<Option<String>, StateError>;

    /// Stores a part of all that the lane will know, for a [`prepare`](Self::prepare) that replaces everything and
    /// comes after the last part. What was prepared before, or is left of parts, goes with the `first` one.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn stage(
        &self,
        lane: &LaneId,
        rows: Vec<(RowKey, Option<String>)>,
        first: bool,
    ) -> Result<(), StateError>;

    /// Stores, durably and before the push, what the lane will know once the remote has
    /// `prepared.commit`. Replaces what was prepared before.
    ///
    /// # Errors
    /// [`StateError::BaseMoved`] where the derived state is not that of `prepared.base`, unless it replaces everything.
    async fn prepare(&self, lane: &LaneId, prepared: Prepared) -> Result<(), StateError>;

    /// Makes what was prepared for `commit` the lane's derived state; nothing to do where it
    /// already is.
    ///
    /// # Errors
    /// [`StateError::NotPrepared`] where something else, or nothing, is prepared.
    async fn adopt(&self, lane: &LaneId, commit: Oid) -> Result<(), StateError>;

    /// Returns the lane's running outage.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn outage(&self, lane: &LaneId) -> Result<Option<Outage>, StateError>;

    /// Stores the lane's outage, or that there is none; before a notice is sent.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn put_outage(&self, lane: &LaneId, outage: Option<&Outage>) -> Result<(), StateError>;

    /// Returns what the lane keeps back because its remote refused it.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn quarantine(&self, lane: &LaneId) -> Result<Quarantine, StateError>;

    /// Stores what the lane keeps back; before anything is pushed without it.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn put_quarantine(&self, lane: &LaneId, quarantine: &Quarantine) -> Result<(), StateError>;

    /// Returns what of the source was seen when it was last compared: an object's name and a digest of it.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn seen(&self, lane: &LaneId) -> Result<BTreeMap<String, String>, StateError>;

    /// Replaces what was seen; called after events about the differences are durable.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn put_seen(&self, lane: &LaneId, seen: BTreeMap<String, String>) -> Result<(), StateError>;

    /// Returns what is known of deaths over the lane.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn deaths(&self, lane: &LaneId) -> Result<trial::Record, StateError>;

    /// Stores what is known of deaths over the lane; before the work that may be another.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn put_deaths(&self, lane: &LaneId, record: &trial::Record) -> Result<(), StateError>;

    /// Returns what a feeder of the lane keeps, by names; none where it has kept nothing yet.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn kept(
        &self,
        lane: &LaneId,
        feeder: Feeder,
    ) -> Result<Option<BTreeMap<String, String>>, StateError>;

    /// Replaces what a feeder keeps. What is kept is never empty.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn keep(
        &self,
        lane: &LaneId,
        feeder: Feeder,
        kept: BTreeMap<String, String>,
    ) -> Result<(), StateError>;

    /// Returns what is remembered of the lane's last comparison with its source.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn compared(&self, lane: &LaneId) -> Result<Option<Compared>, StateError>;

    /// Stores that the lane was compared; called after events about the differences are durable.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn put_compared(&self, lane: &LaneId, compared: &Compared) -> Result<(), StateError>;

    /// Returns what the lane's runs have cost, as whoever worked for it last has told the others; none where there are
    /// no others: then it is among the rows.
    ///
    /// # Errors
    /// A store that cannot be read.
    async fn spent(&self, _lane: &LaneId) -> Result<Option<Spent>, StateError> {
        Ok(None)
    }

    /// Tells others what the lane's runs have cost.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn put_spent(&self, _lane: &LaneId, _spent: &Spent) -> Result<(), StateError> {
        Ok(())
    }

    /// Stores a fact about the installation, such as the id of the tag key, if it is not there yet, and
    /// returns what is there.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn meta_once(&self, name: &str, value: &str) -> Result<String, StateError>;

    /// Stores such a fact in place of the one that is there.
    ///
    /// # Errors
    /// A store that cannot be written.
    async fn put_meta(&self, name: &str, value: &str) -> Result<(), StateError>;
}

/// Who keeps texts of a lane: what was told of events found by comparing, of runs to branches of months, or what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feeder {
    Poller,
    Backfill,
    Months,
    /// Policies that only watch; with the mirror's default branch.
    Shadows,
}

impl Feeder {
    /// Returns the name under which a store has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poller => "poller",
            Self::Backfill => "backfill",
            Self::Months => "months",
            Self::Shadows => "shadows",
        }
    }
}

/// Names a row of derived state: what kind of fact, about what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    pub kind: String,
    pub key: String,
}

/// What derived state is of. Its rows are JSON texts whose form is the writer's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    pub tip: Oid,
    pub render: RenderDigest,
}

/// What a store has of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    pub derived: Option<Derived>,
    /// A commit that is prepared and not adopted.
    pub prepared: Option<Oid>,
}

/// What a lane will know once the remote has a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub commit: Oid,
    pub render: RenderDigest,
    /// The tip that `delta` starts from; not looked at with `replace_all`.
    pub base: Option<Oid>,
    /// Rows to put, or to delete where there is no value.
    pub delta: Vec<(RowKey, Option<String>)>,
    /// What was staged and `delta` are everything.
    pub replace_all: bool,
}

/// Why the store refused or failed.
#[derive(Debug, Error)]
pub enum StateError {
    #[error("the disk of the state store is full; free space")]
    NoSpace,
    #[error("the derived state of lane `{lane}` is not that of the commit to build upon; load it again")]
    BaseMoved { lane: LaneId },
    #[error("nothing is prepared for commit {commit} of lane `{lane}`")]
    NotPrepared { lane: LaneId, commit: Oid },
    #[error("what is told of mirror `{mirror}` was changed by another worker; report it again")]
    Taken { mirror: MirrorId },
    #[error("the {what} of mirror `{mirror}` cannot be read by this release")]
    UnreadableOf { what: &'static str, mirror: MirrorId },
    #[error("the {what} of lane `{lane}` cannot be read by this release")]
    Unreadable { what: &'static str, lane: LaneId },
    #[error("the state store failed")]
    Database {
        #[source]
        source: DatabaseError,
    },
    #[error("the state store failed")]
    Nats {
        #[source]
        source: NatsError,
    },
}

impl From<DatabaseError> for StateError {
    fn from(source: DatabaseError) -> Self {
        match source {
            DatabaseError::NoSpace => Self::NoSpace,
            source => Self::Database { source },
        }
    }
}
