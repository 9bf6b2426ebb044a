//! `bench commit`: one changed configuration at a time, from its event to a commit that the repository has.

use super::{
    Commit,
    report::{Figure, Report, Unit, ms, stage_times},
    site::{Local, Opened, Site},
    snapshot::{attempt, first},
    usage::{Moment, Passed, bytes_below, peak_memory},
};
use crate::{
    app::{Failure, chain},
    cli::{
        progress::{Far, Progress},
        serve::runtime,
    },
    pipeline::work::Work,
    queue::NewEvent,
    system::wall_clock,
};
use fake_keboola::{Change, ConfigAt};
use mirror_core::event::parse_external;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Configurations that are changed in turn, spread over the project.
const CHANGED: usize = 20;
/// What is written into them.
const MEMBER: &str = "zz_kbc_mirror_bench";

pub(super) fn run(commit: &Commit) -> Result<(), Failure> {
    let executor = runtime()?;
    let site = executor.block_on(Site::with_copy(&commit.of))?;
    let local = site
        .local
        .as_ref()
        .ok_or_else(|| Failure::message("there is no project to change"))?;
    let outcome = executor.block_on(async {
        let opened = site.open(0).await?;
        let (snapshot, _) = first(&site, &opened, "first sync").await?;
        let objects = snapshot.work.inspected;
        let base = snapshot.base.zip(Some(snapshot.memory));
        let run = Run::of(commit, local, &site, &opened, base).await?;
        run.report(&site, objects).tell(&commit.of)
    });
    drop(site);
    outcome
}

/// What all commits took.
struct Run {
    /// Of each, in order of time.
    walls: Vec<Duration>,
    cpu: Duration,
    work: Work,
    /// Bytes by which the repository grew.
    grown: u64,
    stages: Vec<super::report::StageTime>,
    peak: Option<u64>,
}

impl Run {
    async fn of(
        commit: &Commit,
        local: &Local,
        site: &Site,
        opened: &Opened,
        mut held: Option<(mirror_core::ids::Oid, crate::pipeline::memory::Memory)>,
    ) -> Result<Self, Failure> {
        let places = places(local)?;
        let mut told = local.fake.outbox(0).last().map_or(0, |event| event.seq);
        let made = Arc::new(AtomicU32::new(0));
        let (counted, of) = (Arc::clone(&made), u64::from(commit.commits));
        let progress = Progress::show(Arc::new(move || Far {
            what: "commits".into(),
            done: u64::from(counted.load(Ordering::Relaxed)),
            of: Some(of),
        }));
        let objects = opened.repository.join("objects");
        let before = bytes_below(&objects);
        let (mut walls, mut work) = (Vec::new(), Work::default());
        let mut cpu = Duration::ZERO;
        // One before it counts: what is made at the first change is there from then on.
        for number in 0..=commit.commits {
            let at = &places[number as usize % places.len()];
            let event = changed(local, at, number, &mut told)?;
            if number == 1 {
                opened.stages.reset();
                (walls, work, cpu) = (Vec::new(), Work::default(), Duration::ZERO);
            }
            let (source, began) = (site.source_cpu().await, Moment::now());
            let envelope = parse_external(
                event.as_bytes(),
                None,
                &opened.lane.topic.stack,
                None,
                None,
                wall_clock(),
            );
            let envelope = envelope.map_err(|error| Failure::failed(&error))?;
            let at = wall_clock();
            let appended = opened.system.log.append(vec![NewEvent { envelope, at }]).await;
            appended.map_err(|error| Failure::message(chain(&error)))?;
            let done = attempt(&opened.lane, held.take()).await?;
            let Passed { wall, cpu: one } = began.passed(site.source_cpu().await.saturating_sub(source));
            if done.landed.is_none() {
                return Err(Failure::message(format!(
                    "change {number} made no commit: the configuration is withheld, or not mirrored"
                )));
            }
            held = done.base.zip(Some(done.memory));
            walls.push(wall);
            cpu += one;
            work.add(done.work);
            made.store(number, Ordering::Relaxed);
        }
        drop(progress);
        walls.sort_unstable();
        let passed = Passed {
            wall: walls.iter().sum(),
            cpu,
        };
        Ok(Self {
            walls,
            cpu,
            work,
            grown: bytes_below(&objects).saturating_sub(before),
            stages: stage_times(&opened.stages, passed),
            peak: peak_memory(),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn report<'r>(&self, site: &'r Site, objects: usize) -> Report<'r> {
        let count = u32::try_from(self.walls.len()).unwrap_or(u32::MAX).max(1);
        let of_one = |sum: f64| sum / f64::from(count);
        let at = |percent: usize| {
            let at = (self.walls.len() * percent / 100).min(self.walls.len().saturating_sub(1));
            self.walls.get(at).copied().unwrap_or_default()
        };
        let all: Duration = self.walls.iter().sum();
        let outside: Duration = self
            .stages
            .iter()
            .filter(|time| ["fetch", "push"].contains(&time.name))
            .map(|time| time.taken.cpu)
            .sum();
        let mut figures = vec![
            Figure::new(
                "cpu_ms",
                "processor, each",
                of_one(ms(self.cpu)),
                Unit::Milliseconds,
            ),
            Figure::new(
                "cpu_inside_ms",
                "  without fetching and pushing",
                of_one(ms(self.cpu.saturating_sub(outside))),
                Unit::Milliseconds,
            ),
            Figure::new(
                "wall_p50_ms",
                "event to commit, half within",
                ms(at(50)),
                Unit::Milliseconds,
            ),
            Figure::new(
                "wall_p95_ms",
                "  95 of 100 within",
                ms(at(95)),
                Unit::Milliseconds,
            ),
            Figure::new(
                "per_second",
                "one after the other",
                f64::from(count) / all.as_secs_f64().max(f64::MIN_POSITIVE),
                Unit::PerSecond,
            ),
            Figure::new(
                "rendered",
                "objects rendered, each",
                of_one(self.work.rendered as f64),
                Unit::Count,
            ),
            Figure::new(
                "files",
                "files written, each",
                of_one(self.work.files as f64),
                Unit::Count,
            ),
            Figure::new(
                "bytes",
                "bytes of them, each",
                of_one(self.work.bytes as f64),
                Unit::Bytes,
            ),
            Figure::new(
                "grown_bytes",
                "repository grew, each",
                of_one(self.grown as f64),
                Unit::Bytes,
            ),
        ];
        if let Some(peak) = self.peak {
            let label = "memory, at most";
            figures.push(Figure::new("peak_bytes", label, peak as f64, Unit::Bytes));
        }
        Report {
            bench: "commit",
            title: format!("{count} changes of one configuration each, in {} ({objects} objects)", site.name),
            subject: &site.subject,
            data_dir: site.data_dir.as_deref(),
            figures,
            stages: self.stages.clone(),
            times: count,
            more: json!({ "commits": count, "objects": objects }),
            lines: vec![
                String::new(),
                "figures of stages are of one commit; what stands in for Keboola is not counted to the processor".into(),
            ],
        }
    }
}

/// Returns configurations that can be changed without harm to what reads them here.
fn places(local: &Local) -> Result<Vec<ConfigAt>, Failure> {
    let project = local.fake.project();
    let branch = project.default_branch();
    let id = branch.id().to_string();
    let can_be_changed = |content: &Value| {
        let parameters = content.get("parameters");
        content.is_object() && parameters.is_none_or(Value::is_object)
    };
    let found: Vec<ConfigAt> = branch
        .configurations
        .iter()
        .filter(|found| can_be_changed(&found.detail["configuration"]))
        .map(|found| ConfigAt::new(&id, &found.component_id, found.id()))
        .collect();
    if found.is_empty() {
        return Err(Failure::usage(
            "the project has no configuration that could be changed; one with `configuration.parameters` is needed",
        ));
    }
    let step = (found.len() / CHANGED).max(1);
    Ok(found.into_iter().step_by(step).take(CHANGED).collect())
}

/// Changes a configuration and returns the event that tells of it.
fn changed(local: &Local, at: &ConfigAt, number: u32, told: &mut u64) -> Result<String, Failure> {
    let change = Change::by(1, "bench@example.com", "Bench", wall_clock());
    let edit = |configuration: &mut Value| configuration["parameters"][MEMBER] = number.into();
    let committed = local.fake.update_configuration(at, &change, edit);
    committed.map_err(|error| Failure::failed(&error))?;
    let event = local.fake.outbox(*told).pop();
    let event = event.ok_or_else(|| Failure::message("a change told no event"))?;
    *told = event.seq;
    Ok(event.json)
}
