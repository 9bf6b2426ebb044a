//! How many events a second are durably accepted, by how they come and how many producers there are.
//!
//! The mirror is paused meanwhile, so that nothing but accepting is measured. Then the process is killed with SIGKILL (and so
//! is NATS), and what the log has must be exactly what was accepted.

use super::{
    How,
    feed::Feed,
    figures::{Figures, count},
    site::{Backend, Options, Site},
    worker::{ask, until},
};
use anyhow::{Result, ensure};
use mirror_core::{
    cut::{Position, Stream},
    event::Body,
    ids::Topic,
};
use mirror_runtime::{
    config::{Config, QueueConfig},
    database::{Database, DatabaseOptions},
    nats::Nats,
    queue::{EventLog, embedded::EmbeddedLog, jetstream::JetStreamLog},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const DRILL: &str = "accept";

/// Producers at once, and events in one request of each.
const LOADS: [(usize, usize); 3] = [(1, 1), (16, 1), (4, 50)];

pub(crate) async fn run(how: How, figures: &mut Figures) -> Result<()> {
    for backend in Backend::ALL {
        let mut site = Site::new(Options {
            backend,
            projects: 1,
            configurations: 1,
            window: "early",
            span_ms: 1_000,
        })?;
        let (config, mut worker) = site.start("w0").await?;
        ask(&config, &["mirror", "pause", "--mirror", "m0"]).await?;
        let project = site.projects[0].id;
        let branch = site.projects[0].fake.project().default_branch().id().to_string();
        let next = Arc::new(AtomicU64::new(1));
        let mut accepted = BTreeSet::new();
        let mut feeds = vec![("posted", Feed::http(&worker.address)?)];
        if let Some(nats) = &site.nats {
            feeds.push(("published to NATS", Feed::nats(&nats.url()).await?));
        }
        for (way, feed) in &feeds {
            for (producers, events) in LOADS {
                let began = Instant::now();
                let end = began + how.size(Duration::from_secs(4), Duration::from_millis(300));
                let running: Vec<_> = (0..producers)
                    .map(|_| {
                        let (feed, next, branch) = (feed.clone(), Arc::clone(&next), branch.clone());
                        tokio::spawn(produce(feed, next, (project, branch), events, end))
                    })
                    .collect();
                let mut number = 0;
                for producer in running {
                    let sent = producer.await??;
                    number += sent.len();
                    accepted.extend(sent);
                }
                let what = format!(
                    "{}, {way}: {producers} producer{}, {events} at a time",
                    backend.as_str(),
                    if producers == 1 { "" } else { "s" }
                );
                figures.add(
                    DRILL,
                    what,
                    count(number) / began.elapsed().as_secs_f64(),
                    "events/s",
                );
            }
        }
        // What was published is in the log when the process has taken it there.
        if site.nats.is_some() {
            until("what was published is taken in", async || {
                let newest = read(&config, project, &branch).await?;
                Ok((newest.len() >= accepted.len()).then_some(()))
            })
            .await?;
        }
        worker.kill()?;
        if let Some(nats) = &mut site.nats {
            nats.kill();
            nats.restart();
        }
        let logged = read(&config, project, &branch).await?;
        let distinct: BTreeSet<u64> = logged.iter().copied().collect();
        ensure!(
            distinct.len() == logged.len(),
            "{}: an event is there twice",
            backend.as_str()
        );
        ensure!(
            distinct == accepted,
            "{}: {} events were accepted, {} are there",
            backend.as_str(),
            accepted.len(),
            distinct.len()
        );
        figures.add(
            DRILL,
            format!("{}: accepted, and there after SIGKILL", backend.as_str()),
            count(distinct.len()),
            "events",
        );
    }
    Ok(())
}

/// Sends events of its own until the end; returns those that were acknowledged.
async fn produce(
    feed: Feed,
    next: Arc<AtomicU64>,
    (project, branch): (u64, String),
    at_once: usize,
    end: Instant,
) -> Result<Vec<u64>> {
    let mut accepted = Vec::new();
    while Instant::now() < end {
        let first = next.fetch_add(u64::try_from(at_once)?, Ordering::Relaxed);
        let versions: Vec<u64> = (first..).take(at_once).collect();
        let event = |version: &u64| {
            json!({
                "type": "config_changed", "projectId": project.to_string(), "branchId": branch, "componentId": "keboola.ex-shop",
                "configId": "drill", "newVersion": version, "author": "jane.novak@example.com", "committedAt": "2026-11-02T08:00:00Z",
            })
            .to_string()
        };
        let events: Vec<String> = versions.iter().map(event).collect();
        feed.send(&events).await?;
        accepted.extend(versions);
    }
    Ok(accepted)
}

/// Reads the versions that the log has, without a process of the product.
async fn read(config: &Path, project: u64, branch: &str) -> Result<Vec<u64>> {
    const PAGE: usize = 10_000;
    let config = Config::read(config)?;
    let log: Arc<dyn EventLog> = match &config.queue {
        QueueConfig::Embedded => {
            let data = config.data_dir.clone();
            let database = until("the database is free", async || {
                let data = data.clone();
                let opened =
                    tokio::task::spawn_blocking(move || Database::open(&data, DatabaseOptions::default()));
                Ok(opened.await?.ok())
            });
            Arc::new(EmbeddedLog::open(database.await?).await?)
        }
        QueueConfig::JetStream(queue) => {
            let nats = Nats::connect(queue).await?;
            Arc::new(JetStreamLog::open(nats, queue).await?)
        }
    };
    let topic = Topic {
        stack: "127.0.0.1".parse()?,
        project: project.to_string().parse()?,
        branch: branch.parse()?,
    };
    let mut versions = Vec::new();
    let mut after = Position::START;
    loop {
        let page = log.read(&topic, after, Some(Stream::Change), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(versions);
        };
        after = last.position;
        for logged in page {
            if let Body::ConfigChanged(changed) = &logged.envelope.body
                && changed.config.as_str() == "drill"
            {
                versions.push(changed.version);
            }
        }
    }
}
