//! Reading streams.
//!
//! Two ways: one message at a time from the leader, which has everything that was ever acknowledged; and many
//! at a time from any replica, which may be a little behind but never has a gap.

use super::{Nats, NatsError};
use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Messages of one answer; the client keeps that many and more.
const PAGE_MAX: usize = 1_000;
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Between two messages of one answer.
const NEXT_WITHIN: Duration = Duration::from_secs(5);

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub subject: String,
    pub sequence: u64,
    pub payload: Bytes,
    /// Matching messages after it; only of what came from any replica.
    pub left: u64,
    /// By the server's clock; only of what came from the leader.
    pub stored_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Fetched {
    message: FetchedMessage,
}

#[derive(Deserialize)]
struct FetchedMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
    time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Purged {
    success: bool,
}

/// From where to where a stream goes, and which of all of its name it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub born: String,
    /// Of the first message that is still there; behind the last one where none is, and 0 where there never was one.
    pub first: u64,
    /// Of the last message, whether it is still there or not.
    pub last: u64,
}

#[derive(Deserialize)]
struct Info {
    created: String,
    state: State,
}

#[derive(Deserialize)]
struct State {
    first_seq: u64,
    last_seq: u64,
    #[serde(default)]
    subjects: BTreeMap<String, u64>,
}

const READ: &str = "read messages";

impl Nats {
    /// Asks the leader for one message.
    pub(crate) async fn message(&self, stream: &str, request: &Value) -> Result<Option<Found>, NatsError> {
        let answer = self
            .call(READ, &format!("STREAM.MSG.GET.{stream}"), request)
            .await;
        let Fetched { message } = match answer {
            Ok(fetched) => fetched,
            Err(error) if error.is_nothing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let payload = data_encoding::BASE64.decode(message.data.as_bytes());
        Ok(Some(Found {
            subject: message.subject,
            sequence: message.seq,
            payload: payload.map_err(|_| NatsError::Answer { what: READ })?.into(),
            left: 0,
            stored_at: message.time,
        }))
    }

    /// Returns the last message of a subject, of the leader.
    pub(crate) async fn last(&self, stream: &str, subject: &str) -> Result<Option<Found>, NatsError> {
        self.message(stream, &json!({ "last_by_subj": subject })).await
    }

    /// Returns the first message of a subject after a sequence, of the leader.
    pub(crate) async fn next(
        &self,
        stream: &str,
        subject: &str,
        after: u64,
    ) -> Result<Option<Found>, NatsError> {
        let request = json!({ "seq": after.saturating_add(1), "next_by_subj": subject });
        self.message(stream, &request).await
    }

    /// The same, with how many come after it; these a replica counts, so they may be those of a moment ago.
    pub(crate) async fn next_counted(
        &self,
        stream: &str,
        subject: &str,
        after: u64,
    ) -> Result<Option<Found>, NatsError> {
        let Some(next) = self.next(stream, subject, after).await? else {
            return Ok(None);
        };
        let request = json!({ "seq": next.sequence, "next_by_subj": subject, "batch": 1 });
        let counted = self.page(stream, &request).await?.pop();
        let left = counted.map_or(0, |counted| counted.left);
        Ok(Some(Found { left, ..next }))
    }

    /// Reads at most `max` messages of a subject after a sequence: all that were acknowledged when it was
    /// asked, and none that was deleted by then. Messages of one subject must be deleted oldest first.
    pub(crate) async fn read(
        &self,
        stream: &str,
        subject: &str,
        after: u64,
        max: usize,
    ) -> Result<Vec<Found>, NatsError> {
        // Where it begins and where it ends the leader says; what is between any replica has, or has not yet.
        let Some(first) = self.next(stream, subject, after).await? else {
            return Ok(Vec::new());
        };
        let mut after = first.sequence;
        let mut all = vec![first];
        while all.len() < max {
            let batch = PAGE_MAX.min(max - all.len());
            let request = json!({
                "seq": after.saturating_add(1), "next_by_subj": subject, "batch": batch, "max_bytes": PAGE_BYTES_MAX,
            });
            let page = self.page(stream, &request).await?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            let is_whole = last.left == 0;
            all.extend(page);
            if is_whole {
                break;
            }
        }
        if all.len() < max {
            let newest = self.last(stream, subject).await?.map_or(0, |last| last.sequence);
            while after < newest && all.len() < max {
                let Some(next) = self.next(stream, subject, after).await? else {
                    break;
                };
                after = next.sequence;
                all.push(next);
            }
        }
        all.truncate(max);
        Ok(all)
    }

    /// Returns the last message of each subject that matches, of any replica.
    pub(crate) async fn last_of_all(&self, stream: &str, filter: &str) -> Result<Vec<Found>, NatsError> {
        let mut all: Vec<Found> = Vec::new();
        let mut up_to = None;
        loop {
            let mut request = json!({
                "multi_last": [filter], "batch": PAGE_MAX, "max_bytes": PAGE_BYTES_MAX,
                "seq": all.last().map_or(1, |last| last.sequence + 1),
            });
            if let Some(up_to) = up_to {
                request["up_to_seq"] = json!(up_to);
            }
            let (page, read_up_to) = self.direct(stream, &request).await?;
            up_to = up_to.or(read_up_to);
            let is_whole = page.last().is_none_or(|last| last.left == 0);
            all.extend(page);
            if is_whole {
                return Ok(all);
            }
        }
    }

    /// Counts the messages of each subject that matches.
    pub(crate) async fn subjects(
        &self,
        stream: &str,
        filter: &str,
    ) -> Result<BTreeMap<String, u64>, NatsError> {
        let mut all = BTreeMap::new();
        loop {
            let request = json!({ "subjects_filter": filter, "offset": all.len() });
            let info: Info = self
                .call(READ, &format!("STREAM.INFO.{stream}"), &request)
                .await?;
            let before = all.len();
            all.extend(info.state.subjects);
            // A page is full at 100,000.
            if all.len() == before || all.len() - before < 100_000 {
                return Ok(all);
            }
        }
    }

    /// Returns from where to where a stream goes, as its leader says.
    pub(crate) async fn extent(&self, stream: &str) -> Result<Extent, NatsError> {
        let Info { created, state } = self
            .call(READ, &format!("STREAM.INFO.{stream}"), &json!({}))
            .await?;
        Ok(Extent {
            born: created,
            first: state.first_seq,
            last: state.last_seq,
        })
    }

    /// Deletes what a request names.
    pub(crate) async fn purge(&self, stream: &str, request: &Value) -> Result<(), NatsError> {
        const WHAT: &str = "delete messages";
        let purged: Purged = self
            .call(WHAT, &format!("STREAM.PURGE.{stream}"), request)
            .await?;
        if purged.success {
            Ok(())
        } else {
            Err(NatsError::Answer { what: WHAT })
        }
    }

    async fn page(&self, stream: &str, request: &Value) -> Result<Vec<Found>, NatsError> {
        Ok(self.direct(stream, request).await?.0)
    }

    /// Asks any replica for several messages. They come one by one, and none may be missing between them.
    async fn direct(&self, stream: &str, request: &Value) -> Result<(Vec<Found>, Option<u64>), NatsError> {
        let broken = || NatsError::Answer { what: READ };
        let client = self.client();
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|_| broken())?;
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        let payload = serde_json::to_vec(request).map_err(|_| broken())?;
        let sent = client.publish_with_reply(subject, inbox, payload.into()).await;
        sent.map_err(|source| NatsError::NotSent {
            what: READ,
            source: source.into(),
        })?;
        let mut found: Vec<Found> = Vec::new();
        loop {
            let next = tokio::time::timeout(NEXT_WITHIN, answers.next()).await;
            let Ok(Some(answer)) = next else {
                return Err(broken());
            };
            let headers = answer.headers.unwrap_or_default();
            match answer.status.map(|status| status.as_u16()) {
                None => {}
                Some(204) => return Ok((found, number(&headers, "Nats-UpTo-Sequence"))),
                Some(404) => return Ok((Vec::new(), None)),
                Some(code) => {
                    return Err(NatsError::Refused {
                        what: READ,
                        code: code.into(),
                        description: answer.description.unwrap_or_default(),
                    });
                }
            }
            let (Some(sequence), Some(left)) = (
                number(&headers, "Nats-Sequence"),
                number(&headers, "Nats-Num-Pending"),
            ) else {
                return Err(broken());
            };
            // Messages are counted down; more may have come meanwhile, but none may have been lost on the way.
            if found
                .last()
                .is_some_and(|before| sequence <= before.sequence || left + 1 < before.left)
            {
                return Err(broken());
            }
            found.push(Found {
                subject: text(&headers, "Nats-Subject").ok_or_else(broken)?,
                sequence,
                payload: answer.payload,
                left,
                stored_at: None,
            });
        }
    }
}

fn text(headers: &HeaderMap, name: &'static str) -> Option<String> {
    Some(headers.get(name)?.as_str().to_owned())
}

fn number(headers: &HeaderMap, name: &'static str) -> Option<u64> {
    headers.get(name)?.as_str().parse().ok()
}
