//! Telling what is new in the log, whoever appended it.
//!
//! A consumer that leaves no trace reads what is behind the last message seen. Its deliveries are numbered;
//! where a number is missing, or nothing is heard, another one is made: so nothing is left out for good.

use super::{Names, News, Standing, StoredEvent};
use crate::nats::Nats;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt;
use mirror_core::{cut::Position, jobs::standing::RunEnd};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

const HEARTBEAT: Duration = Duration::from_secs(1);
const PULL_FOR: Duration = Duration::from_secs(10);
/// Silence, heartbeats and all, after which the consumer is taken for lost.
const SILENT_MAX: Duration = Duration::from_secs(15);
/// The server forgets a consumer that nobody reads from.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Sends what comes after `last` until it is stopped.
pub(super) async fn follow(
    nats: Nats,
    names: Names,
    standing: Standing,
    mut last: u64,
    news: broadcast::Sender<News>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // Whatever ended it, another one goes on.
            () = read(&nats, &names, &standing, &mut last, &news) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN_AFTER) => {}
        }
    }
}

async fn read(
    nats: &Nats,
    names: &Names,
    standing: &Standing,
    last: &mut u64,
    news: &broadcast::Sender<News>,
) {
    // Behind the last message of another stream there is nothing to hear of.
    if let Err(error) = standing.look(nats).await {
        tracing::debug!(%error, "the log cannot be followed");
        return;
    }
    let config = pull::Config {
        name: Some(format!("tail-{}", uuid::Uuid::new_v4().simple())),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: last.saturating_add(1),
        },
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGOTTEN_AFTER,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let made = nats
        .jetstream()
        .create_consumer_on_stream(config, names.log_stream())
        .await;
    let consumer: PullConsumer = match made {
        Ok(consumer) => consumer,
        Err(error) => {
            tracing::debug!(%error, "the log cannot be followed yet");
            return;
        }
    };
    let stream = consumer.stream().heartbeat(HEARTBEAT).expires(PULL_FOR);
    let Ok(mut messages) = stream.messages().await else {
        return;
    };
    let mut delivered = 0;
    while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENT_MAX, messages.next()).await {
        let Ok(info) = message.info() else { return };
        if info.consumer_sequence != delivered + 1 {
            return;
        }
        delivered = info.consumer_sequence;
        *last = info.stream_sequence;
        // What this release cannot read is told by the attempt that reads it.
        if let Ok(StoredEvent { envelope, .. }) = serde_json::from_slice(&message.payload) {
            // Nobody may be listening.
            let _ = news.send(News {
                stream: envelope.stream(),
                position: Position(info.stream_sequence),
                published_at: envelope.published_at,
                run: RunEnd::of(&envelope),
                topic: envelope.topic,
            });
        }
    }
}
