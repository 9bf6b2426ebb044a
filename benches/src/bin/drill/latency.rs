//! From accepted to pushed: of an edit that is alone in its branch, and of one among many.

use super::{
    How,
    check::Told,
    feed::Feed,
    figures::Figures,
    follow::Follower,
    site::{Backend, Edit, Options, Site},
};
use anyhow::Result;
use std::time::{Duration, Instant};

const DRILL: &str = "latency";

/// An edit of a project, and when it was acknowledged.
pub(crate) struct Accepted {
    project: usize,
    edit: Edit,
    at: Instant,
}

pub(crate) async fn run(how: How, figures: &mut Figures) -> Result<()> {
    // They wait for windows most of the time, so they may do so together.
    let (window, eager) = tokio::try_join!(mode(how, "early"), mode(how, "eager"))?;
    for (mode, (mut lone, mut mixed)) in [("30 s window", window), ("eager", eager)] {
        figures.add_latencies(DRILL, &format!("{mode}, lone edit"), &mut lone);
        figures.add_latencies(DRILL, &format!("{mode}, mixed load"), &mut mixed);
    }
    Ok(())
}

/// Returns the latencies of lone edits, and of mixed load.
async fn mode(how: How, window: &'static str) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let span = how.size(Duration::from_secs(30), Duration::from_secs(2));
    let site = Site::new(Options {
        backend: Backend::Embedded,
        projects: how.size(40, 3),
        configurations: 20,
        window,
        span_ms: u64::try_from(span.as_millis())?,
    })?;
    let (config, worker) = site.start("w0").await?;
    let feed = site.feed(&worker).await?;
    let follower = site.follow();
    let mut told = Told::default();
    // In eager mode the first sync has begun a time in which nothing is pushed.
    tokio::time::sleep(span).await;

    let lone = paced(
        &site,
        &feed,
        site.projects.len(),
        (1, span + Duration::from_secs(2)),
        &mut told,
    )
    .await?;
    told.arrived(&site, &follower).await?;
    let lone = latencies(&lone, &follower);

    let mixed = mixed(&site, &feed, how.size(Duration::from_secs(45), span), &mut told).await?;
    told.arrived(&site, &follower).await?;
    let mixed = latencies(&mixed, &follower);
    told.check(&site, &config, &worker).await?;
    Ok((lone, mixed))
}

/// Lets each of the first projects be edited once in each round, which is spread over them evenly.
pub(crate) async fn paced(
    site: &Site,
    feed: &Feed,
    projects: usize,
    (rounds, round): (u32, Duration),
    told: &mut Told,
) -> Result<Vec<Accepted>> {
    let mut accepted = Vec::new();
    let between = round / u32::try_from(projects)?;
    let mut next = Instant::now();
    for _ in 0..rounds {
        for project in 0..projects {
            tokio::time::sleep_until(next.into()).await;
            next += between;
            accepted.push(edit(site, feed, project, told).await?);
        }
    }
    // The last ones have their time, too.
    tokio::time::sleep_until(next.into()).await;
    Ok(accepted)
}

async fn edit(site: &Site, feed: &Feed, project: usize, told: &mut Told) -> Result<Accepted> {
    let edit = site.projects[project].edit()?;
    feed.send(std::slice::from_ref(&edit.event)).await?;
    let at = Instant::now();
    told.edit(project, &edit);
    Ok(Accepted { project, edit, at })
}

/// A few edits and runs a second over all projects, half of them of the first one.
async fn mixed(site: &Site, feed: &Feed, time: Duration, told: &mut Told) -> Result<Vec<Accepted>> {
    let mut accepted = Vec::new();
    let end = Instant::now() + time;
    let mut number = 0;
    while Instant::now() < end {
        let next = Instant::now() + Duration::from_millis(100);
        number += 1;
        let project = match number % 2 {
            0 => 0,
            _ => number / 2 % site.projects.len(),
        };
        if number % 5 == 0 {
            let (id, event) = site.projects[project].run()?;
            feed.send(&[event]).await?;
            told.run(project, id);
        } else {
            accepted.push(edit(site, feed, project, told).await?);
        }
        tokio::time::sleep_until(next.into()).await;
    }
    Ok(accepted)
}

/// Returns how long each took; all have arrived.
pub(crate) fn latencies(accepted: &[Accepted], follower: &Follower) -> Vec<Duration> {
    let arrived = follower.arrived();
    let latency = |Accepted { project, edit, at }: &Accepted| {
        let arrived = arrived.at(*project, &edit.key, edit.version)?;
        Some(arrived.saturating_duration_since(*at))
    };
    accepted.iter().filter_map(latency).collect()
}
