//! Appending: what several callers want stored at the same time becomes one atomic batch.
//!
//! A server that syncs each write to disk takes a few hundred single messages a second, however many are in
//! flight, and many thousands in batches. One batch is under way at a time, so the order of the callers is
//! kept.

use super::{Appended, Envelope, JetStreamLog, LogError, Position, StoredEvent, Timestamp};
use crate::nats::{BATCH_MAX, Nats, NatsError, Outgoing, Stored, may_be_repeated};
use async_nats::HeaderMap;
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Callers that may wait in line.
const WAITING_MAX: usize = 1024;
/// Of what is gathered into one batch.
const GATHERED_MESSAGES_MAX: usize = 500;
const GATHERED_BYTES_MAX: usize = 4 << 20;
/// While there is no answer, it is asked again for so long.
const WITHIN: Duration = Duration::from_secs(12);
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// What NATS adds to a message's headers, and we to the batch.
const HEADROOM: usize = 512;

const WHAT: &str = "append events";

/// A message, known by its id.
#[derive(Debug, Clone)]
pub(super) struct Message {
    id: String,
    subject: String,
    traceparent: Option<String>,
    payload: bytes::Bytes,
}

struct Asked {
    messages: Vec<Message>,
    answer: oneshot::Sender<Result<Vec<Appended>, NatsError>>,
}

/// A handle of the task that appends.
#[derive(Debug, Clone)]
pub(super) struct Appender(mpsc::Sender<Asked>);

impl JetStreamLog {
    /// Makes the message of an event, known by `id`.
    pub(super) fn message(
        &self,
        envelope: &Envelope,
        at: Timestamp,
        id: String,
    ) -> Result<Message, LogError> {
        let subject = self.names.topic(&envelope.topic, envelope.stream());
        let event = StoredEvent {
            appended_at: at,
            envelope: envelope.clone(),
        };
        let payload = serde_json::to_vec(&event).map_err(|_| LogError::Unreadable {
            what: "the event",
            position: 0,
        })?;
        let max = self.nats.message_bytes_max().saturating_sub(HEADROOM);
        if payload.len() > max {
            return Err(LogError::TooLarge {
                bytes: payload.len(),
                max,
            });
        }
        Ok(Message {
            id,
            subject,
            traceparent: envelope.traceparent.clone(),
            payload: payload.into(),
        })
    }
}

impl Appender {
    pub(super) fn start(nats: Nats, stop: CancellationToken) -> Self {
        let (sender, mut asked) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            loop {
                let first = tokio::select! {
                    () = stop.cancelled() => return,
                    first = asked.recv() => first,
                };
                let Some(first) = first else { return };
                let mut gathered = vec![first];
                let (mut messages, mut bytes) = size(&gathered[0]);
                while messages < GATHERED_MESSAGES_MAX
                    && bytes < GATHERED_BYTES_MAX
                    && let Ok(next) = asked.try_recv()
                {
                    let (more, larger) = size(&next);
                    messages += more;
                    bytes += larger;
                    gathered.push(next);
                }
                append(&nats, gathered).await;
            }
        });
        Self(sender)
    }

    /// Stores messages in order, all or none; those that were stored before are where they are.
    pub(super) async fn append(&self, messages: Vec<Message>) -> Result<Vec<Appended>, LogError> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        let stopped = || LogError::Stopped;
        self.0
            .send(Asked { messages, answer })
            .await
            .map_err(|_| stopped())?;
        Ok(answered.await.map_err(|_| stopped())??)
    }
}

fn size(asked: &Asked) -> (usize, usize) {
    let bytes = asked.messages.iter().map(|message| message.payload.len()).sum();
    (asked.messages.len(), bytes)
}

/// Where messages are, by id.
type Known = HashMap<String, Appended>;

async fn append(nats: &Nats, gathered: Vec<Asked>) {
    let mut known = Known::new();
    let all: Vec<&Message> = gathered.iter().flat_map(|asked| &asked.messages).collect();
    // With a repetition in it a batch is refused as a whole; then each caller's messages go by themselves,
    // and at last one by one.
    let mut failed = store(nats, &all, &mut known).await.err();
    if failed.as_ref().is_some_and(NatsError::is_repetition) {
        failed = None;
        for asked in &gathered {
            let own: Vec<&Message> = asked.messages.iter().collect();
            let mut outcome = store(nats, &own, &mut known).await;
            if outcome.as_ref().is_err_and(NatsError::is_repetition) {
                outcome = Ok(());
                for message in own {
                    outcome = store(nats, &[message], &mut known).await;
                    if outcome.is_err() {
                        break;
                    }
                }
            }
            if let Err(error) = outcome {
                failed = Some(error);
                break;
            }
        }
    }
    for Asked { messages, answer } in gathered {
        let mut places = Vec::with_capacity(messages.len());
        for message in &messages {
            // The first who asks for a message is told that it is new.
            if let Some(place) = known.get_mut(&message.id) {
                places.push(*place);
                place.duplicate = true;
            }
        }
        let answered = if places.len() == messages.len() {
            Ok(places)
        } else {
            Err(failed.clone().unwrap_or(NatsError::Answer { what: WHAT }))
        };
        // Who does not wait any more asks again.
        let _ = answer.send(answered);
    }
}

/// Stores those messages that are not known yet; in one batch as far as one may be large.
async fn store(nats: &Nats, messages: &[&Message], known: &mut Known) -> Result<(), NatsError> {
    let mut unknown: Vec<&Message> = Vec::new();
    for message in messages {
        let is_new = !known.contains_key(&message.id) && unknown.iter().all(|other| other.id != message.id);
        if is_new {
            unknown.push(message);
        }
    }
    for part in unknown.chunks(BATCH_MAX) {
        let Stored { sequence, duplicate } = store_part(nats, part).await?;
        let first = sequence + 1 - part.len() as u64;
        for (position, message) in (first..).zip(part) {
            let position = Position(position);
            known.insert(message.id.clone(), Appended { position, duplicate });
        }
    }
    Ok(())
}

/// Asks again while it is not known what became of it; what was stored meanwhile is then a repetition.
async fn store_part(nats: &Nats, part: &[&Message]) -> Result<Stored, NatsError> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let mut outgoing: Vec<Outgoing> = part.iter().map(|message| outgoing(message)).collect();
        let stored = match outgoing.pop() {
            Some(only) if part.len() == 1 => nats.store(WHAT, only).await,
            Some(last) => {
                outgoing.push(last);
                nats.store_all(WHAT, outgoing).await
            }
            None => Err(NatsError::Answer { what: WHAT }),
        };
        match stored {
            Err(error) if may_be_repeated(&error) && Instant::now() < deadline => {
                tracing::warn!(error = crate::app::chain(&error), "events are appended again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            stored => return stored,
        }
    }
}

fn outgoing(message: &Message) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", message.id.as_str());
    if let Some(traceparent) = &message.traceparent {
        headers.insert("traceparent", traceparent.as_str());
    }
    Outgoing {
        subject: message.subject.clone(),
        headers,
        payload: message.payload.clone(),
    }
}
