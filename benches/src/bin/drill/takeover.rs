//! From `kill -9` of the worker that has a project to the first commit by another one, over JetStream.

use super::{
    How,
    check::Told,
    feed::Feed,
    figures::Figures,
    site::{Backend, Options, Site},
    worker::{Worker, until},
};
use anyhow::Result;
use std::time::Instant;

const DRILL: &str = "takeover";

pub(crate) async fn run(how: How, figures: &mut Figures) -> Result<()> {
    let site = Site::new(Options {
        backend: Backend::JetStream,
        projects: 1,
        configurations: 5,
        window: "early",
        span_ms: 1_000,
    })?;
    let (first, worker) = site.start("w0").await?;
    let mut workers = vec![(first, worker)];
    let second = site.configure("w1")?;
    let worker = Worker::start(&second).await?;
    workers.push((second, worker));
    let feed = Feed::nats(&site.nats.as_ref().expect("the log is there").url()).await?;
    let follower = site.follow();
    let mut told = Told::default();
    let mut taken = Vec::new();
    for round in 0..how.size(3, 1) {
        let holder = until("a worker has the project", async || {
            for (number, (_, worker)) in workers.iter().enumerate() {
                if worker.metric("shards_held").await? == Some(1.0) {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        })
        .await?;
        let edit = site.projects[0].edit()?;
        told.edit(0, &edit);
        let (_, mut dying) = workers.remove(holder);
        // Told after that, or on a busy machine the dying one may be the one who commits it.
        let killed = Instant::now();
        dying.kill()?;
        feed.send(&[edit.event]).await?;
        let arrived = told.arrived(&site, &follower).await?;
        taken.push(arrived.duration_since(killed));
        let next = site.configure(&format!("w{}", round + 2))?;
        let worker = Worker::start(&next).await?;
        workers.push((next, worker));
    }
    figures.add_latencies(DRILL, "with the default lease of 15 s", &mut taken);
    let (config, worker) = &workers[0];
    told.check(&site, config, worker).await
}
