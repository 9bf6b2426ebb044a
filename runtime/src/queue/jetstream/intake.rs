//! Taking in what publishers send on `kbc.events.<projectId>.<branchId>.<type>`.
//!
//! One durable consumer for all workers. A message is acknowledged when its event is in the log, or its dead
//! letter is filed; a crash before that delivers it again, and the log knows it.

use super::{JetStreamLog, names};
use crate::{
    metrics::Metrics,
    queue::{DeadLetter, EventLog, LogError, NewEvent},
};
use async_nats::{
    HeaderMap,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    },
};
use futures_util::StreamExt;
use jiff::Timestamp;
use mirror_core::{
    event::{masked_body, parse_external},
    ids::Stack,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const CONSUMER: &str = "intake";
/// Not acknowledged so long, a message is delivered again, maybe to another worker: so long the events that a worker
/// had just been given wait when it dies. One that was only slow makes a repetition, which the log knows.
const ACK_WITHIN: Duration = Duration::from_secs(8);
/// Delivered at a time to all workers together.
const UNACKNOWLEDGED_MAX: i64 = 2_000;
/// Put into the log in one batch.
const TOGETHER_MAX: usize = 250;
/// What comes within this goes into the same batch.
const GATHER: Duration = Duration::from_millis(20);
const HEARTBEAT: Duration = Duration::from_secs(1);
const PULL_FOR: Duration = Duration::from_secs(10);
const SILENT_MAX: Duration = Duration::from_secs(15);
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Puts what publishers send into the log until it is stopped.
pub async fn run(
    log: JetStreamLog,
    stack: Stack,
    metrics: Arc<Metrics>,
    now: fn() -> Timestamp,
    stop: CancellationToken,
) {
    let intake = Intake {
        log,
        stack,
        metrics,
        now,
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            ended = intake.take_in() => if let Err(error) = ended {
                tracing::warn!(error = crate::app::chain(&error), "events cannot be taken in from NATS; it is tried again");
            },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN_AFTER) => {}
        }
    }
}

struct Intake {
    log: JetStreamLog,
    stack: Stack,
    metrics: Arc<Metrics>,
    now: fn() -> Timestamp,
}

impl Intake {
    /// Takes in until nothing is heard any more.
    async fn take_in(&self) -> Result<(), LogError> {
        let stream = self.log.names.events_stream();
        let config = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            description: Some("puts events into the log of kbc-mirror".to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WITHIN,
            // Never given up: what cannot be read becomes a dead letter.
            max_deliver: -1,
            max_ack_pending: UNACKNOWLEDGED_MAX,
            filter_subject: names::EVENTS.to_owned(),
            ..pull::Config::default()
        };
        let made = self
            .log
            .nats
            .jetstream()
            .create_consumer_on_stream(config, stream)
            .await;
        let consumer: PullConsumer = match made {
            Ok(consumer) => consumer,
            Err(error) => {
                tracing::warn!(
                    error = crate::app::chain(&error),
                    "the consumer of events cannot be made yet"
                );
                return Ok(());
            }
        };
        let pulled = consumer
            .stream()
            .max_messages_per_batch(TOGETHER_MAX)
            .heartbeat(HEARTBEAT)
            .expires(PULL_FOR);
        let Ok(mut messages) = pulled.messages().await else {
            return Ok(());
        };
        while let Ok(Some(Ok(first))) = tokio::time::timeout(SILENT_MAX, messages.next()).await {
            let mut gathered = vec![first];
            let deadline = Instant::now() + GATHER;
            while gathered.len() < TOGETHER_MAX
                && let Ok(Some(next)) = tokio::time::timeout_at(deadline, messages.next()).await
            {
                match next {
                    Ok(next) => gathered.push(next),
                    Err(_) => break,
                }
            }
            self.put_in(gathered).await?;
        }
        Ok(())
    }

    /// Makes events and letters of messages, and acknowledges them.
    async fn put_in(&self, messages: Vec<jetstream::Message>) -> Result<(), LogError> {
        let now = (self.now)();
        let mut events = Vec::new();
        let mut taken = Vec::new();
        for message in messages {
            match self.read(&message, now) {
                Ok(event) => {
                    events.push(event);
                    taken.push(message);
                }
                Err(reason) => {
                    self.refuse(&message, reason, now).await?;
                    acknowledge(&message).await;
                }
            }
        }
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event.envelope.kind().as_str())
            .collect();
        let appended = self.log.append(events).await?;
        for (kind, appended) in kinds.into_iter().zip(appended) {
            let result = if appended.duplicate {
                "duplicate"
            } else {
                "accepted"
            };
            self.metrics.event(kind, result);
        }
        for message in &taken {
            acknowledge(message).await;
        }
        Ok(())
    }

    /// Makes an event of a message, or says why it is none.
    fn read(&self, message: &jetstream::Message, now: Timestamp) -> Result<NewEvent, String> {
        let none = HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&none);
        let text = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
        // The server's time, where the publisher did not say.
        let published = text("x-published-at").and_then(|text| text.parse().ok());
        let stored = message.info().ok().and_then(|info| {
            let nanoseconds = info.published.unix_timestamp_nanos();
            Timestamp::from_nanosecond(nanoseconds).ok()
        });
        let parsed = parse_external(
            &message.payload,
            Some(message.subject.as_str()),
            &self.stack,
            published.or(stored),
            text("traceparent"),
            now,
        );
        let envelope = parsed.map_err(|error| error.to_string())?;
        let event = NewEvent { envelope, at: now };
        // It may be too large with what is added to it.
        self.log.fits(&event).map_err(|error| error.to_string())?;
        Ok(event)
    }

    async fn refuse(
        &self,
        message: &jetstream::Message,
        reason: String,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let sequence = message.info().map_or(0, |info| info.stream_sequence);
        let letter = DeadLetter {
            topic: None,
            key: None,
            position: None,
            reason,
            body: masked_body(&message.payload),
            at: now,
            envelope: None,
        };
        let reason = letter.reason.clone();
        let id = self
            .log
            .file(letter, &format!("event-{}-{sequence}", self.log.id))
            .await?;
        self.metrics.event_refused();
        tracing::warn!(dead_letter = id.0, subject = %message.subject, reason, "event refused");
        Ok(())
    }
}

/// What is not acknowledged comes again, and is known then.
async fn acknowledge(message: &jetstream::Message) {
    if let Err(error) = message.ack_with(AckKind::Ack).await {
        tracing::debug!(%error, "a message could not be acknowledged");
    }
}
