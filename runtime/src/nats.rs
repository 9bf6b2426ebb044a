//! NATS: the connection, and the few requests that the product makes over it.
//!
//! Requests are made here, one by one, and not through a client's notions of streams and buckets, so that
//! it is plain what each of them promises: who is asked (the leader, or any replica), what an answer means,
//! and what is safe to repeat. What is stored, and why, is not known here.

pub mod connect;
pub mod error;
pub mod kv;
pub mod settings;
pub mod stream;
#[cfg(test)]
pub(crate) mod testing;

pub use error::NatsError;

use async_nats::{
    Client, HeaderMap, Request,
    connection::State,
    jetstream::{self, Context},
};
use bytes::Bytes;
use error::codes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// For one request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// While a stream has no leader nobody takes requests for it, and the server says so at once; then a request
/// is made again for so long.
const LEADER_WITHIN: Duration = Duration::from_secs(8);
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Messages of one atomic batch that the server takes at most.
pub(crate) const BATCH_MAX: usize = 1_000;

/// A connection; clones share it. It is made again by itself when it breaks.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    jetstream: Context,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").finish_non_exhaustive()
    }
}

/// A message to store.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

/// What the server says to a stored message, or to a batch: then it is of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Stored {
    #[serde(rename = "seq")]
    pub sequence: u64,
    #[serde(default)]
    pub duplicate: bool,
}

/// Any answer of JetStream: what was asked for, or why not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: Refusal },
    Given(T),
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Nats {
    pub(crate) fn new(client: Client) -> Self {
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .ack_timeout(ANSWER_WITHIN)
            .build(client.clone());
        Self { client, jetstream }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// Returns whether there is a connection at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Returns the largest message, headers and all, that the server takes.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.client.max_payload()
    }

    /// Asks JetStream something.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        what: &'static str,
        subject: &str,
        payload: &(impl Serialize + Sync),
    ) -> Result<T, NatsError> {
        let payload = serde_json::to_vec(payload).map_err(|_| NatsError::Answer { what })?;
        let subject = format!("$JS.API.{subject}");
        self.request(what, subject, HeaderMap::new(), payload.into())
            .await
    }

    /// Stores one message; returns when the server has it as durably as its stream promises.
    pub(crate) async fn store(&self, what: &'static str, message: Outgoing) -> Result<Stored, NatsError> {
        let Outgoing {
            subject,
            headers,
            payload,
        } = message;
        self.request(what, subject, headers, payload).await
    }

    /// Stores all of the messages or none, one behind the other; at most [`BATCH_MAX`] of one stream. None
    /// may have been stored before, by its `Nats-Msg-Id`.
    pub(crate) async fn store_all(
        &self,
        what: &'static str,
        messages: Vec<Outgoing>,
    ) -> Result<Stored, NatsError> {
        let batch = uuid::Uuid::new_v4().simple().to_string();
        let last = messages.len();
        let mut answer = None;
        for (index, message) in messages.into_iter().enumerate() {
            let Outgoing {
                subject,
                mut headers,
                payload,
            } = message;
            let number = index + 1;
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", number.to_string());
            if number < last {
                let sent = self.client.publish_with_headers(subject, headers, payload).await;
                sent.map_err(|source| NatsError::NotSent {
                    what,
                    source: Arc::new(source),
                })?;
            } else {
                headers.insert("Nats-Batch-Commit", "1");
                answer = Some(self.request(what, subject, headers, payload).await?);
            }
        }
        answer.ok_or(NatsError::Answer { what })
    }

    /// Makes a request; again while nobody has taken it, for [`LEADER_WITHIN`].
    async fn request<T: DeserializeOwned>(
        &self,
        what: &'static str,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<T, NatsError> {
        let deadline = Instant::now() + LEADER_WITHIN;
        loop {
            let request = Request::new()
                .headers(headers.clone())
                .payload(payload.clone())
                .timeout(Some(ANSWER_WITHIN));
            match self.request_once(what, subject.clone(), request).await {
                Err(error) if error.is_untaken() && Instant::now() < deadline => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                answered => return answered,
            }
        }
    }

    async fn request_once<T: DeserializeOwned>(
        &self,
        what: &'static str,
        subject: String,
        request: Request,
    ) -> Result<T, NatsError> {
        let answer = self.client.send_request(subject, request).await;
        let answer = answer.map_err(|source| NatsError::NoAnswer {
            what,
            source: Arc::new(source),
        })?;
        match serde_json::from_slice(&answer.payload) {
            Ok(Answer::Given(given)) => Ok(given),
            Ok(Answer::Refused {
                error:
                    Refusal {
                        err_code,
                        description,
                    },
            }) => Err(NatsError::Refused {
                what,
                code: err_code,
                description,
            }),
            Err(_) => Err(NatsError::Answer { what }),
        }
    }
}

/// Stores one message, again where no answer came: only for one that is known by its `Nats-Msg-Id`, or that
/// expects what is before it.
pub(crate) fn may_be_repeated(error: &NatsError) -> bool {
    match error {
        NatsError::NoAnswer { .. } | NatsError::NotSent { .. } => true,
        NatsError::Refused { code, .. } => codes::PASSING.contains(code),
        NatsError::Connect { .. }
        | NatsError::NotLetIn { .. }
        | NatsError::Setting { .. }
        | NatsError::Credential { .. }
        | NatsError::TooOld { .. }
        | NatsError::Stream { .. }
        | NatsError::Answer { .. }
        | NatsError::LeaseLost => false,
    }
}
