//! Lane records: cursor and cut, replaced by compare-and-swap.
//!
//! A cut can be larger than a message, so a large one is stored in parts first, under its id, and the record
//! names it. What is stored under an id is always the same, so parts that a crash left behind do no harm.

use super::{Cut, CutId, JetStreamLog, LaneCursor, LaneId, LogError, Position, names};
use crate::nats::kv::{INLINE_BYTES_MAX, Record, Written};
use serde::{Deserialize, Serialize};

/// What is stored of a lane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LaneRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<LaneCursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<StoredCut>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredCut {
    id: CutId,
    body: CutBody,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum CutBody {
    Here(Box<Cut>),
    InParts(u32),
}

/// A record as it was read.
pub(super) struct ReadLane {
    key: String,
    pub record: LaneRecord,
    revision: u64,
}

impl JetStreamLog {
    pub(super) async fn lane(&self, lane: &LaneId) -> Result<ReadLane, LogError> {
        let (mirror, branch) = names::lane(lane);
        self.lane_at(&names::lane_key(&mirror, &branch)).await
    }

    /// Reads a lane's record. A cursor of another log is none: its positions mean nothing here.
    pub(super) async fn lane_at(&self, key: &str) -> Result<ReadLane, LogError> {
        self.standing.check()?;
        let Record { value, revision } = self.state.get(key).await?;
        let mut record: LaneRecord = match value {
            None => LaneRecord::default(),
            Some(value) => serde_json::from_slice(&value).map_err(|_| LogError::Unreadable {
                what: "the record of the lane",
                position: revision,
            })?,
        };
        record.cursor = record.cursor.filter(|cursor| cursor.log == self.id);
        Ok(ReadLane {
            key: key.to_owned(),
            record,
            revision,
        })
    }

    pub(super) async fn commit_cursor(
        &self,
        lane: &LaneId,
        expect: Option<&LaneCursor>,
        next: &LaneCursor,
    ) -> Result<(), LogError> {
        LogError::unless_own(lane, &next.log, &self.id)?;
        let read = self.lane(lane).await?;
        if read.record.cursor.as_ref() != expect {
            return Err(LogError::Moved { lane: lane.clone() });
        }
        let before = read.record.cut.clone();
        let record = LaneRecord {
            cursor: Some(next.clone()),
            cut: None,
        };
        self.replace(lane, read, &record).await?;
        self.drop_parts(lane, before.as_ref()).await;
        Ok(())
    }

    pub(super) async fn stored_cut(&self, lane: &LaneId) -> Result<Option<Cut>, LogError> {
        let Some(StoredCut { id, body }) = self.lane(lane).await?.record.cut else {
            return Ok(None);
        };
        let parts = match body {
            CutBody::Here(cut) => return Ok(Some(*cut)),
            CutBody::InParts(parts) => parts,
        };
        let unreadable = || LogError::Unreadable {
            what: "the lane's cut",
            position: 0,
        };
        let text = self.state.get_parts(&cut_key(lane, &id), parts).await?;
        let text = text.ok_or_else(unreadable)?;
        serde_json::from_slice(&text).map(Some).map_err(|_| unreadable())
    }

    pub(super) async fn store_cut(
        &self,
        lane: &LaneId,
        expect: Option<&CutId>,
        cut: &Cut,
    ) -> Result<(), LogError> {
        LogError::unless_own(lane, &cut.log, &self.id)?;
        let read = self.lane(lane).await?;
        let before = read.record.cut.clone();
        let stands = read
            .record
            .cursor
            .as_ref()
            .map_or((Position::START, Position::START), |cursor| {
                (cursor.change, cursor.jobs)
            });
        if before.as_ref().map(|cut| &cut.id) != expect || stands != (cut.change_after, cut.jobs_after) {
            return Err(LogError::Moved { lane: lane.clone() });
        }
        let id = cut.id();
        let text = serde_json::to_vec(cut).map_err(|_| LogError::Unreadable {
            what: "the lane's cut",
            position: 0,
        })?;
        let body = if text.len() <= INLINE_BYTES_MAX {
            CutBody::Here(Box::new(cut.clone()))
        } else {
            let parts = self.state.set_parts(&cut_key(lane, &id), &text).await?;
            CutBody::InParts(parts)
        };
        let is_another = before.as_ref().is_some_and(|before| before.id != id);
        let record = LaneRecord {
            cursor: read.record.cursor.clone(),
            cut: Some(StoredCut { id, body }),
        };
        self.replace(lane, read, &record).await?;
        self.drop_parts(lane, before.as_ref().filter(|_| is_another))
            .await;
        Ok(())
    }

    async fn replace(&self, lane: &LaneId, read: ReadLane, record: &LaneRecord) -> Result<(), LogError> {
        let text = serde_json::to_vec(record).map_err(|_| LogError::Unreadable {
            what: "the record of the lane",
            position: read.revision,
        })?;
        match self.state.put(&read.key, text, read.revision, None).await? {
            Written::As(_) => Ok(()),
            Written::Conflict => Err(LogError::Moved { lane: lane.clone() }),
        }
    }

    /// Parts that stay cost room, nothing else.
    async fn drop_parts(&self, lane: &LaneId, cut: Option<&StoredCut>) {
        let Some(StoredCut {
            id,
            body: CutBody::InParts(_),
        }) = cut
        else {
            return;
        };
        if let Err(error) = self.state.purge(&format!("{}.*", cut_key(lane, id))).await {
            tracing::warn!(%lane, error = crate::app::chain(&error), "an old cut cannot be deleted");
        }
    }
}

fn cut_key(lane: &LaneId, id: &CutId) -> String {
    let (mirror, branch) = names::lane(lane);
    format!("cut.{mirror}.{branch}.{}", id.as_str())
}
