//! How many events a second go all the way to the remotes, and how quickly what waited through an outage does.

use super::{
    How,
    check::Told,
    feed::Feed,
    figures::{Figures, count},
    site::{Backend, Options, Project, Site},
    worker::ask,
};
use anyhow::Result;
use git_servers::{Fault, On};
use std::time::{Duration, Instant};

const DRILL: &str = "process";
const SPAN: Duration = Duration::from_secs(1);
/// Events in one request.
const AT_ONCE: usize = 50;
/// One event of so many is a run's.
const RUNS: usize = 10;

pub(crate) async fn run(how: How, figures: &mut Figures) -> Result<()> {
    for backend in Backend::ALL {
        let projects = how.size(20, 2);
        let site = Site::new(Options {
            backend,
            projects,
            configurations: how.size(50, 5),
            window: "early",
            span_ms: 1_000,
        })?;
        let (config, worker) = site.start("w0").await?;
        let feed = site.feed(&worker).await?;
        let mut told = Told::default();

        // Everything has happened; it is told at once.
        let events = how.size(500, 20);
        let mut waiting = Vec::new();
        for (number, project) in site.projects.iter().enumerate() {
            waiting.push(work(project, number, events, &mut told)?);
        }
        let follower = site.follow();
        let began = Instant::now();
        let sending = waiting.into_iter().map(|events| send(feed.clone(), events));
        for sent in sending.map(tokio::spawn).collect::<Vec<_>>() {
            sent.await??;
        }
        let took = told.arrived(&site, &follower).await?.duration_since(began);
        let name = backend.as_str();
        let rate = |number: usize, took: Duration| count(number) / took.as_secs_f64();
        figures.add(
            DRILL,
            format!("{name}: {projects} projects, events"),
            rate(projects * events, took),
            "events/s",
        );
        let configurations = follower.arrived().configurations();
        let commits = follower.arrived().commits;
        figures.add(
            DRILL,
            format!("{name}: versions in commits"),
            rate(configurations, took),
            "configurations/s",
        );

        // An outage of the Git server, with a window's work of everybody again and again.
        for _ in 0..100_000 {
            site.git.fail_next(On::Any, Fault::status(503));
        }
        let windows = how.size(8, 5);
        let events = how.size(50, 4);
        for _ in 0..windows {
            let next = Instant::now() + 2 * SPAN;
            for (number, project) in site.projects.iter().enumerate() {
                let events = work(project, number, events, &mut told)?;
                send(feed.clone(), events).await?;
            }
            tokio::time::sleep_until(next.into()).await;
        }
        site.git.forget_faults();
        let began = Instant::now();
        for number in 0..projects {
            // Whoever has mended something resumes; nobody waits for the next try.
            for word in ["pause", "resume"] {
                ask(&config, &["mirror", word, "--mirror", &format!("m{number}")]).await?;
            }
        }
        let took = told.arrived(&site, &follower).await?.duration_since(began);
        let (configurations, commits) = {
            let arrived = follower.arrived();
            (
                arrived.configurations() - configurations,
                arrived.commits - commits,
            )
        };
        figures.add(
            DRILL,
            format!("{name}: caught up after an outage, events"),
            rate(projects * windows * events, took),
            "events/s",
        );
        figures.add(
            DRILL,
            format!("{name}: caught up, versions in commits"),
            rate(configurations, took),
            "configurations/s",
        );
        figures.add(
            DRILL,
            format!("{name}: caught up, commits"),
            rate(commits, took),
            "commits/s",
        );
        told.check(&site, &config, &worker).await?;
    }
    Ok(())
}

/// Edits and runs of one project; returns their events, in order.
fn work(project: &Project, number: usize, events: usize, told: &mut Told) -> Result<Vec<String>> {
    let mut waiting = Vec::with_capacity(events);
    for event in 1..=events {
        if event % RUNS == 0 {
            let (id, event) = project.run()?;
            told.run(number, id);
            waiting.push(event);
        } else {
            let edit = project.edit()?;
            told.edit(number, &edit);
            waiting.push(edit.event);
        }
    }
    Ok(waiting)
}

async fn send(feed: Feed, events: Vec<String>) -> Result<()> {
    for events in events.chunks(AT_ONCE) {
        feed.send(events).await?;
    }
    Ok(())
}
