//! Small records with a revision each, in a key-value bucket.
//!
//! Reads ask the leader of the bucket's stream, so a record that was written is seen. Writes name the
//! revision that they replace: of two writers one is refused. The client's own `update` is not used, as it
//! takes away the time to live that `create` gave.

use super::{Nats, NatsError, Outgoing, stream::Found};
use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// Values up to this length are in one message.
pub(crate) const INLINE_BYTES_MAX: usize = 256 << 10;
const PART_BYTES: usize = 512 << 10;

/// A value of any length, or where it is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Head {
    Here { value: String },
    InParts { id: String, parts: u32 },
}

/// A bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    nats: Nats,
    name: String,
}

/// A record, or its absence, and what to name when it is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub value: Option<Bytes>,
    /// 0 where there never was one.
    pub revision: u64,
}

/// Whether a write took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The record has this revision now.
    As(u64),
    /// Somebody else wrote it meanwhile.
    Conflict,
}

impl Bucket {
    pub(crate) fn new(nats: Nats, name: String) -> Self {
        Self { nats, name }
    }

    /// Name of the stream below the bucket.
    pub(crate) fn stream(&self) -> String {
        format!("KV_{}", self.name)
    }

    pub(crate) fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", self.name)
    }

    /// Reads a record.
    pub(crate) async fn get(&self, key: &str) -> Result<Record, NatsError> {
        let request = json!({ "last_by_subj": self.subject(key) });
        let found = self.nats.message(&self.stream(), &request).await?;
        Ok(found.map_or_else(Record::default, record))
    }

    /// Writes a record in the place of the one with `revision`, 0 for none. Where no answer
    /// came it may be there all the same, and the record is to be read again.
    pub(crate) async fn put(
        &self,
        key: &str,
        value: Vec<u8>,
        revision: u64,
        time_to_live: Option<Duration>,
    ) -> Result<Written, NatsError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
        if let Some(time_to_live) = time_to_live {
            headers.insert("Nats-TTL", format!("{}ms", time_to_live.as_millis()));
        }
        self.write(key, headers, value).await
    }

    /// Deletes the record with `revision`.
    pub(crate) async fn delete(&self, key: &str, revision: u64) -> Result<Written, NatsError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
        headers.insert("KV-Operation", "DEL");
        self.write(key, headers, Vec::new()).await
    }

    /// Writes a record whatever is there.
    pub(crate) async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), NatsError> {
        self.write(key, HeaderMap::new(), value).await.map(|_| ())
    }

    async fn write(&self, key: &str, headers: HeaderMap, value: Vec<u8>) -> Result<Written, NatsError> {
        let message = Outgoing {
            subject: self.subject(key),
            headers,
            payload: value.into(),
        };
        match self.nats.store("store a record", message).await {
            Ok(stored) => Ok(Written::As(stored.sequence)),
            Err(error) if error.is_conflict() => Ok(Written::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Stores bytes of any length as parts below a key; returns how many. They are read by whoever knows that.
    pub(crate) async fn set_parts(&self, key: &str, value: &[u8]) -> Result<u32, NatsError> {
        let mut parts = 0;
        for part in value.chunks(PART_BYTES) {
            self.set(&format!("{key}.{parts}"), part.to_vec()).await?;
            parts += 1;
        }
        Ok(parts)
    }

    /// Reads what [`Self::set_parts`] stored; none where a part is not there.
    pub(crate) async fn get_parts(&self, key: &str, parts: u32) -> Result<Option<Vec<u8>>, NatsError> {
        let mut value = Vec::new();
        for part in 0..parts {
            match self.get(&format!("{key}.{part}")).await?.value {
                Some(part) => value.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// Reads a value of any length that [`Self::put_large`] stored, with its revision.
    pub(crate) async fn get_large_as(&self, key: &str) -> Result<(Option<Vec<u8>>, u64), NatsError> {
        let Record { value, revision } = self.get(key).await?;
        let head = value.map(|value| serde_json::from_slice(&value)).transpose();
        let head = head.map_err(|_| NatsError::Answer {
            what: "read a record",
        })?;
        let value = match head {
            None => None,
            Some(Head::Here { value }) => Some(value.into_bytes()),
            Some(Head::InParts { id, parts }) => self.get_parts(&format!("{key}.{id}"), parts).await?,
        };
        Ok((value, revision))
    }

    /// Replaces a text of any length in the place of the one with `revision`.
    pub(crate) async fn put_large(
        &self,
        key: &str,
        value: Vec<u8>,
        revision: u64,
    ) -> Result<Written, NatsError> {
        const WHAT: &str = "store a record";
        let before = self.get(key).await?;
        if before.revision != revision {
            return Ok(Written::Conflict);
        }
        let head = self.head_of(key, value).await?;
        let text = serde_json::to_vec(&head).map_err(|_| NatsError::Answer { what: WHAT })?;
        let written = self.put(key, text, revision, None).await?;
        if let (Written::Conflict, Head::InParts { id, .. }) = (&written, &head) {
            // It may have been this very write, to which no answer came: then the record names these parts.
            let is_ours =
                matches!(self.head(key).await?, Some(Head::InParts { id: there, .. }) if there == *id);
            if !is_ours {
                self.purge(&format!("{key}.{id}.*")).await?;
            }
        }
        let before = before
            .value
            .and_then(|before| serde_json::from_slice(&before).ok());
        if let (Written::As(_), Some(Head::InParts { id, .. })) = (written, before) {
            self.purge(&format!("{key}.{id}.*")).await?;
        }
        Ok(written)
    }

    async fn head_of(&self, key: &str, value: Vec<u8>) -> Result<Head, NatsError> {
        if value.len() <= INLINE_BYTES_MAX {
            let value = String::from_utf8(value).map_err(|_| NatsError::Answer {
                what: "store a record",
            })?;
            return Ok(Head::Here { value });
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let parts = self.set_parts(&format!("{key}.{id}"), &value).await?;
        Ok(Head::InParts { id, parts })
    }

    /// Reads a value of any length. Of two writers at the same time one wins, as a whole.
    pub(crate) async fn get_large(&self, key: &str) -> Result<Option<Vec<u8>>, NatsError> {
        Ok(self.get_large_as(key).await?.0)
    }

    /// Replaces a text of any length, or takes it away.
    pub(crate) async fn set_large(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), NatsError> {
        const WHAT: &str = "store a record";
        let before = self.head(key).await?;
        if before.is_none() && value.is_none() {
            return Ok(());
        }
        let head = match value {
            None => Vec::new(),
            Some(value) => {
                let head = self.head_of(key, value).await?;
                serde_json::to_vec(&head).map_err(|_| NatsError::Answer { what: WHAT })?
            }
        };
        self.set(key, head).await?;
        if let Some(Head::InParts { id, .. }) = before {
            self.purge(&format!("{key}.{id}.*")).await?;
        }
        Ok(())
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, NatsError> {
        let Some(value) = self.get(key).await?.value else {
            return Ok(None);
        };
        let head = serde_json::from_slice(&value);
        head.map(Some).map_err(|_| NatsError::Answer {
            what: "read a record",
        })
    }

    /// Lists the records whose keys match, by key; of any replica, so what was just written may be missing.
    pub(crate) async fn all(&self, filter: &str) -> Result<Vec<(String, Record)>, NatsError> {
        let found = self
            .nats
            .last_of_all(&self.stream(), &self.subject(filter))
            .await?;
        let prefix = self.subject("");
        let keyed = found.into_iter().filter_map(|found| {
            let key = found.subject.strip_prefix(&prefix)?.to_owned();
            Some((key, record(found)))
        });
        Ok(keyed.collect())
    }

    /// Removes every trace of the records whose keys match.
    pub(crate) async fn purge(&self, filter: &str) -> Result<(), NatsError> {
        let request = json!({ "filter": self.subject(filter) });
        self.nats.purge(&self.stream(), &request).await
    }
}

/// Values are never empty; what is, tells of a deletion or of the end of a life.
fn record(found: Found) -> Record {
    Record {
        value: (!found.payload.is_empty()).then_some(found.payload),
        revision: found.sequence,
    }
}
