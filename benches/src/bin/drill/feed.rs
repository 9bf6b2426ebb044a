//! How events reach the product: posted to it, or published to its NATS server.

use super::{site::INGEST_TOKEN, worker::client};
use anyhow::{Result, ensure};
use async_nats::jetstream;
use serde_json::Value;

/// A producer's way in. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Feed {
    Http { client: reqwest::Client, url: String },
    Nats(jetstream::Context),
}

impl Feed {
    /// Posts to a process that listens there.
    pub(crate) fn http(address: &str) -> Result<Self> {
        Ok(Self::Http {
            client: client()?,
            url: format!("http://{address}/v1/events"),
        })
    }

    /// Publishes to a server.
    pub(crate) async fn nats(url: &str) -> Result<Self> {
        Ok(Self::Nats(jetstream::new(async_nats::connect(url).await?)))
    }

    /// Returns when all these events are durable.
    pub(crate) async fn send(&self, events: &[String]) -> Result<()> {
        match self {
            Self::Http { client, url } => {
                let body = format!("[{}]", events.join(","));
                let sent = client
                    .post(url)
                    .bearer_auth(INGEST_TOKEN)
                    .body(body)
                    .send()
                    .await?;
                let status = sent.status();
                ensure!(status == 202, "{status}: {}", sent.text().await?);
            }
            Self::Nats(context) => {
                let mut acknowledgements = Vec::with_capacity(events.len());
                for event in events {
                    let told: Value = serde_json::from_str(event)?;
                    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
                    let subject = format!(
                        "kbc.events.{}.{}.{}",
                        text("projectId"),
                        text("branchId"),
                        text("type")
                    );
                    acknowledgements.push(context.publish(subject, event.clone().into()).await?);
                }
                for acknowledgement in acknowledgements {
                    acknowledgement.await?;
                }
            }
        }
        Ok(())
    }
}
