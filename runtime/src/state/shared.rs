//! The state store of a worker among others.
//!
//! What can be read back from the remote stays on the worker's own disk: another one that takes a lane over
//! reads it back. What nobody could find out again is in a bucket that all of them share: running outages,
//! what a remote refused, what of the source was seen, what feeders have told, runs that a month's branch does not take, what processes died over, what runs have cost, and
//! facts of the installation.

use super::{Feeder, LaneState, Prepared, RowKey, StateError, StateStore, embedded::EmbeddedState};
use crate::{
    nats::{
        Nats, NatsError,
        kv::{Bucket, Record, Written},
    },
    queue::jetstream::names::{self, Names, token},
};
use async_trait::async_trait;
use mirror_core::{
    ids::{LaneId, Oid},
    jobs::budget::Spent,
    quarantine::Quarantine,
    reconcile::Compared,
    retry::Outage,
    trial,
};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// See the module.
#[derive(Debug, Clone)]
pub struct SharedState {
    own: EmbeddedState,
    bucket: Bucket,
}

impl SharedState {
    /// `own` is this worker's; `prefix` that of the log, whose bucket is used.
    #[must_use]
    pub fn new(own: EmbeddedState, nats: Nats, prefix: &str) -> Self {
        Self {
            own,
            bucket: Bucket::new(nats, Names::new(prefix).state_bucket()),
        }
    }

    async fn read<T: DeserializeOwned>(
        &self,
        what: &'static str,
        lane: &LaneId,
    ) -> Result<Option<T>, StateError> {
        let value = self.bucket.get_large(&key(what, lane)).await?;
        let parsed = value.map(|value| serde_json::from_slice(&value)).transpose();
        parsed.map_err(|_| StateError::Unreadable {
            what,
            lane: lane.clone(),
        })
    }

    async fn write<T: Serialize>(
        &self,
        what: &'static str,
        lane: &LaneId,
        value: Option<&T>,
    ) -> Result<(), StateError> {
        let text = value.map(serde_json::to_vec).transpose();
        let text = text.map_err(|_| StateError::Unreadable {
            what,
            lane: lane.clone(),
        })?;
        Ok(self.bucket.set_large(&key(what, lane), text).await?)
    }
}

fn key(what: &str, lane: &LaneId) -> String {
    let (mirror, branch) = names::lane(lane);
    format!("{what}.{mirror}.{branch}")
}

const OUTAGE: &str = "outage";
const QUARANTINE: &str = "quarantine";
const SEEN: &str = "seen";
const COMPARED: &str = "compared";
const DEATHS: &str = "deaths";
const SPENT: &str = "spent";

#[async_trait]
impl StateStore for SharedState {
    async fn load(&self, lane: &LaneId) -> Result<Option<LaneState>, StateError> {
        self.own.load(lane).await
    }

    async fn rows(
        &self,
        lane: &LaneId,
        after: Option<RowKey>,
        rows_max: usize,
    ) -> Result<Vec<(RowKey, String)>, StateError> {
        self.own.rows(lane, after, rows_max).await
    }

    async fn row(&self, lane: &LaneId, key: RowKey) -> Result<Option<String>, StateError> {
        self.own.row(lane, key).await
    }

    async fn stage(
        &self,
        lane: &LaneId,
        rows: Vec<(RowKey, Option<String>)>,
        first: bool,
    ) -> Result<(), StateError> {
        self.own.stage(lane, rows, first).await
    }

    async fn prepare(&self, lane: &LaneId, prepared: Prepared) -> Result<(), StateError> {
        self.own.prepare(lane, prepared).await
    }

    async fn adopt(&self, lane: &LaneId, commit: Oid) -> Result<(), StateError> {
        self.own.adopt(lane, commit).await
    }

    async fn outage(&self, lane: &LaneId) -> Result<Option<Outage>, StateError> {
        self.read(OUTAGE, lane).await
    }

    async fn put_outage(&self, lane: &LaneId, outage: Option<&Outage>) -> Result<(), StateError> {
        self.write(OUTAGE, lane, outage).await
    }

    async fn quarantine(&self, lane: &LaneId) -> Result<Quarantine, StateError> {
        Ok(self.read(QUARANTINE, lane).await?.unwrap_or_default())
    }

    async fn put_quarantine(&self, lane: &LaneId, quarantine: &Quarantine) -> Result<(), StateError> {
        let kept = (!quarantine.is_empty()).then_some(quarantine);
        self.write(QUARANTINE, lane, kept).await
    }

    async fn seen(&self, lane: &LaneId) -> Result<BTreeMap<String, String>, StateError> {
        Ok(self.read(SEEN, lane).await?.unwrap_or_default())
    }

    async fn put_seen(&self, lane: &LaneId, seen: BTreeMap<String, String>) -> Result<(), StateError> {
        self.write(SEEN, lane, Some(&seen)).await
    }

    async fn deaths(&self, lane: &LaneId) -> Result<trial::Record, StateError> {
        Ok(self.read(DEATHS, lane).await?.unwrap_or_default())
    }

    async fn put_deaths(&self, lane: &LaneId, record: &trial::Record) -> Result<(), StateError> {
        let kept = (!record.is_empty()).then_some(record);
        self.write(DEATHS, lane, kept).await
    }

    async fn kept(
        &self,
        lane: &LaneId,
        feeder: Feeder,
    ) -> Result<Option<BTreeMap<String, String>>, StateError> {
        self.read(feeder.as_str(), lane).await
    }

    async fn keep(
        &self,
        lane: &LaneId,
        feeder: Feeder,
        kept: BTreeMap<String, String>,
    ) -> Result<(), StateError> {
        self.write(feeder.as_str(), lane, Some(&kept)).await
    }

    async fn compared(&self, lane: &LaneId) -> Result<Option<Compared>, StateError> {
        self.read(COMPARED, lane).await
    }

    async fn put_compared(&self, lane: &LaneId, compared: &Compared) -> Result<(), StateError> {
        self.write(COMPARED, lane, Some(compared)).await
    }

    async fn spent(&self, lane: &LaneId) -> Result<Option<Spent>, StateError> {
        self.read(SPENT, lane).await
    }

    async fn put_spent(&self, lane: &LaneId, spent: &Spent) -> Result<(), StateError> {
        self.write(SPENT, lane, Some(spent)).await
    }

    async fn meta_once(&self, name: &str, value: &str) -> Result<String, StateError> {
        let key = format!("meta.{}", token(name));
        loop {
            let Record {
                value: found,
                revision,
            } = self.bucket.get(&key).await?;
            if let Some(found) = found {
                return Ok(String::from_utf8_lossy(&found).into_owned());
            }
            let stored = self
                .bucket
                .put(&key, value.as_bytes().to_vec(), revision, None)
                .await?;
            if let Written::As(_) = stored {
                return Ok(value.to_owned());
            }
        }
    }

    async fn put_meta(&self, name: &str, value: &str) -> Result<(), StateError> {
        let key = format!("meta.{}", token(name));
        loop {
            let revision = self.bucket.get(&key).await?.revision;
            let value = value.as_bytes().to_vec();
            if let Written::As(_) = self.bucket.put(&key, value, revision, None).await? {
                return Ok(());
            }
        }
    }
}

impl From<NatsError> for StateError {
    fn from(source: NatsError) -> Self {
        if source.is_full() {
            Self::NoSpace
        } else {
            Self::Nats { source }
        }
    }
}
