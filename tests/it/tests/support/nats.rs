//! A NATS server, what publishers send to it, and the log that the product keeps there.

use super::{
    installation::{Installation, MIRROR, Options},
    log::{LaneRow, LogBook},
    until,
};
use async_nats::jetstream;
use jiff::SignedDuration;
use mirror_core::{
    cut::Stream,
    ids::{LaneId, Topic},
};
use mirror_runtime::{
    config::{Config, QueueConfig},
    database::{Database, DatabaseOptions},
    nats::Nats,
    queue::{EventLog, jetstream::JetStreamLog},
    state::{StateStore, embedded::EmbeddedState, shared::SharedState},
};
use nats_server::NatsServer;
use serde_json::Value;
use std::collections::BTreeMap;

/// A running server and the product's log in it.
pub(crate) struct Broker {
    pub server: NatsServer,
    log: JetStreamLog,
    nats: Nats,
    publisher: jetstream::Context,
}

impl Broker {
    /// Returns options of installations that keep their log in a server.
    pub(crate) fn options(server: &NatsServer, more: &str) -> Options {
        let url = server.url();
        Options {
            queue: format!(
                "backend = \"jetstream\"\nservers = [\"{url}\"]\nreplicas = 1\nlease_ms = 3000\n{more}"
            ),
            // Branches are told by events, and of them only the default one is published here.
            dev_branches: false,
            ..Options::default()
        }
    }

    /// Looks into a server with the settings of an installation.
    pub(crate) async fn open(server: NatsServer, site: &Installation) -> Self {
        let path = site.path("mirror.toml");
        let config = Config::read(&path).expect("the configuration is good");
        let QueueConfig::JetStream(config) = config.queue else {
            panic!("the installation has its log in NATS")
        };
        let nats = Nats::connect(&config).await.expect("the server runs");
        let log = JetStreamLog::open(nats.clone(), &config)
            .await
            .expect("the log can be opened");
        let client = async_nats::connect(server.url()).await.expect("the server runs");
        Self {
            publisher: jetstream::new(client),
            log,
            nats,
            server,
        }
    }

    /// Publishes what the fake has told, as a bridge does that knows SPEC §2 and nothing else: each event
    /// again until it is acknowledged.
    pub(crate) async fn publish(&self, site: &Installation) {
        for event in site.hand_over() {
            let text = |name: &str| {
                event[name]
                    .as_str()
                    .map_or_else(|| event[name].to_string(), str::to_owned)
            };
            let subject = format!(
                "kbc.events.{}.{}.{}",
                text("projectId"),
                text("branchId"),
                text("type")
            );
            self.publish_to(subject, &event).await;
        }
    }

    async fn publish_to(&self, subject: String, event: &Value) {
        until("an event is published", async || {
            let sent = self
                .publisher
                .publish(subject.clone(), event.to_string().into())
                .await;
            sent.ok()?.await.ok()
        })
        .await;
    }

    /// Reads what the log says of an installation's lanes.
    pub(crate) async fn book(&self, site: &Installation) -> Option<LogBook> {
        let project = site.keboola.project();
        let mut book = LogBook {
            id: self.log.log_id().to_string(),
            ..LogBook::default()
        };
        for branch in site.branches() {
            let topic = Topic {
                stack: "127.0.0.1".parse().expect("it is a stack"),
                project: project.project_id.to_string().parse().expect("it is an id"),
                branch: branch.parse().expect("it is an id"),
            };
            let lane = LaneId {
                mirror: MIRROR.parse().expect("it is an id"),
                branch: topic.branch.clone(),
            };
            let cursor = self.log.cursor(&lane).await.ok()?;
            let row = LaneRow {
                change: cursor.as_ref().map(|cursor| cursor.change.0),
                jobs: cursor.as_ref().map(|cursor| cursor.jobs.0),
                tip: cursor.and_then(|cursor| cursor.tip).map(|tip| tip.to_string()),
                has_cut: self.log.cut(&lane).await.ok()?.is_some(),
            };
            book.lanes.insert(branch.clone(), row);
            let mut newest = [0, 0];
            for (newest, stream) in newest.iter_mut().zip(Stream::ALL) {
                *newest = self.log.newest(&topic, stream).await.ok()?.0;
            }
            book.newest.insert(branch, newest);
            let events = self.log.backlog(&[(lane, topic)]).await.ok()?;
            book.events += events.depth;
        }
        let letters = self.log.dead_letters(None, 100).await.ok()?;
        book.dead_letters = letters.into_iter().map(|filed| filed.letter.reason).collect();
        Some(book)
    }

    /// Publishes what the fake has told, and waits until the remotes of all these installations have it.
    pub(crate) async fn settle(&self, sites: &[&Installation]) -> BTreeMap<String, LogBook> {
        let mut books = BTreeMap::new();
        for site in sites {
            self.publish(site).await;
        }
        for site in sites {
            let book = until("the remote has everything that was published", async || {
                if self.is_any_untaken().await? {
                    return None;
                }
                let book = self.book(site).await?;
                site.is_settled_by(&book).then_some(book)
            });
            books.insert(site.keboola.project().project_id.to_string(), book.await);
        }
        books
    }

    /// Lets the outage that the workers know of have begun earlier.
    pub(crate) async fn age_outage(&self, site: &Installation, by: SignedDuration) {
        let lane = LaneId {
            mirror: MIRROR.parse().expect("it is an id"),
            branch: site.keboola.main().parse().expect("it is an id"),
        };
        let directory = tempfile::TempDir::new().expect("temporary directories can be made");
        let database = Database::open(directory.path(), DatabaseOptions::default());
        let own = EmbeddedState::new(database.expect("the directory is new"));
        let state = SharedState::new(own, self.nats.clone(), "KBC");
        let mut outage = until("there is an outage", async || state.outage(&lane).await.ok()?).await;
        outage.since -= by;
        state
            .put_outage(&lane, Some(&outage))
            .await
            .expect("it can be stored");
    }

    /// Waits until everything that was published is in the log.
    pub(crate) async fn is_taken(&self) {
        until("everything is taken into the log", async || {
            (!self.is_any_untaken().await?).then_some(())
        })
        .await;
    }

    /// Deletes a stream, as an operator might.
    pub(crate) async fn delete_stream(&self, name: &str) {
        let deleted = self.publisher.delete_stream(name).await;
        deleted.expect("the stream is there");
    }

    /// Deletes all messages of a stream.
    pub(crate) async fn purge_stream(&self, name: &str) {
        let stream = self
            .publisher
            .get_stream(name)
            .await
            .expect("the stream is there");
        stream.purge().await.expect("it can be purged");
    }

    /// Whether something that was published is not in the log yet.
    async fn is_any_untaken(&self) -> Option<bool> {
        let stream = self.publisher.get_stream("KBC_EVENTS").await.ok()?;
        let intake = stream.consumer_info("intake").await.ok()?;
        Some(intake.num_pending > 0 || intake.num_ack_pending > 0)
    }
}
