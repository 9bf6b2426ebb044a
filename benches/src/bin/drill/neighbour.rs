//! What quiet projects notice of one that has a thousand events a second.
//!
//! The same edits at the same pace, first with all quiet, then beside the busy one.

use super::{
    How,
    check::Told,
    feed::Feed,
    figures::{Figures, count, percentile},
    latency::{latencies, paced},
    site::{Backend, Edit, Options, Project, Site},
};
use anyhow::{Result, ensure};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const DRILL: &str = "neighbour";
/// The busy project tells of so many edits so often.
const BURST: usize = 50;
const BURST_EVERY: Duration = Duration::from_millis(50);
/// So many of its requests are under way at a time.
const AT_ONCE: usize = 8;

pub(crate) async fn run(how: How, figures: &mut Figures) -> Result<()> {
    // In eager mode a second edit of a branch waits for the span; a short one leaves time for more of them.
    for (name, window, span, rounds) in [("30 s window", "early", 30, 1), ("eager", "eager", 10, 3)] {
        let span = Duration::from_secs(how.size(span, 2));
        let quiet = how.size(99, 4);
        // The busy one comes last.
        let site = Site::new(Options {
            backend: Backend::Embedded,
            projects: quiet + 1,
            configurations: 20,
            window,
            span_ms: u64::try_from(span.as_millis())?,
        })?;
        let (config, worker) = site.start("w0").await?;
        let feed = site.feed(&worker).await?;
        // The first sync has begun a time in which nothing is pushed.
        if window == "eager" {
            tokio::time::sleep(span).await;
        }

        let mut told = Told::default();
        let rounds = (how.size(rounds, 1), span + Duration::from_secs(2));
        let follower = site.follow();
        let mut of_quiet = async |what: &str, told: &mut Told| {
            let accepted = paced(&site, &feed, quiet, rounds, told).await?;
            told.arrived(&site, &follower).await?;
            let mut latencies = latencies(&accepted, &follower);
            ensure!(
                latencies.len() == accepted.len(),
                "an edit was not seen to arrive"
            );
            figures.add_latencies(DRILL, &format!("{name}, {what}"), &mut latencies);
            Ok(percentile(&mut latencies, 95).as_secs_f64())
        };
        let alone = of_quiet("all quiet", &mut told).await?;
        let stop = CancellationToken::new();
        let noise = noise(Arc::clone(&site.projects[quiet]), feed.clone(), stop.clone());
        let noise = tokio::spawn(noise);
        let beside = of_quiet("beside the busy one", &mut told).await?;
        stop.cancel();
        let Noise { events, took, newest } = noise.await??;
        newest.iter().for_each(|edit| told.edit(quiet, edit));
        // It gets its turn, too.
        told.arrived(&site, &follower).await?;
        figures.add(
            DRILL,
            format!("{name}: the busy one"),
            count(events) / took.as_secs_f64(),
            "events/s",
        );
        figures.add(
            DRILL,
            format!("{name}: P95 beside it by P95 without"),
            beside / alone,
            "",
        );
        told.check(&site, &config, &worker).await?;
    }
    Ok(())
}

/// What a busy project has told.
struct Noise {
    events: usize,
    took: Duration,
    /// Edits of the last bursts, and so the newest of each configuration.
    newest: Vec<Edit>,
}

async fn noise(project: Arc<Project>, feed: Feed, stop: CancellationToken) -> Result<Noise> {
    let began = Instant::now();
    let mut next = began;
    let mut events = 0;
    let mut newest = Vec::new();
    let mut sending = JoinSet::new();
    while !stop.is_cancelled() {
        let edits = (0..BURST)
            .map(|_| project.edit())
            .collect::<Result<Vec<Edit>>>()?;
        let burst: Vec<String> = edits.iter().map(|edit| edit.event.clone()).collect();
        events += burst.len();
        let feed = feed.clone();
        sending.spawn(async move { feed.send(&burst).await });
        if sending.len() >= AT_ONCE
            && let Some(sent) = sending.join_next().await
        {
            sent??;
        }
        newest = edits;
        next += BURST_EVERY;
        tokio::time::sleep_until(next.into()).await;
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(Noise {
        events,
        took: began.elapsed(),
        newest,
    })
}
