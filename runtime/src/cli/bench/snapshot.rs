//! `bench snapshot`: a first sync, from nothing to a commit that the repository has.

use super::{
    Snapshot,
    report::{Figure, Report, StageTime, Unit, ms, stage_times},
    site::{Opened, Site},
    usage::{Moment, Passed, bytes_below, peak_memory},
};
use crate::{
    app::{Failure, chain},
    cli::{
        progress::{Far, Progress},
        serve::runtime,
    },
    pipeline::{
        attempt::{Done, Due, Lane},
        memory::Memory,
        stages::{Stage, Stages},
        work::Work,
    },
};
use mirror_core::ids::Oid;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// All that waits.
const EVERYTHING: Due = Due {
    change: true,
    jobs: true,
};

pub(super) fn run(snapshot: &Snapshot) -> Result<(), Failure> {
    let site = Site::new(&snapshot.of)?;
    let local = if site.local.is_some() { 3 } else { 1 };
    let runs = snapshot.runs.unwrap_or(local);
    let executor = runtime()?;
    let outcome = executor.block_on(async {
        let mut best: Option<Run> = None;
        let mut opening = Vec::new();
        for number in 0..runs {
            let opened = site.open(number).await?;
            opening.push(opened.took);
            let run = Run::of(&site, &opened, number, runs).await?;
            best = match best {
                Some(best) if best.passed.wall <= run.passed.wall => Some(best),
                _ => Some(run),
            };
        }
        let best = best.ok_or_else(|| Failure::usage("`--runs` must be at least 1"))?;
        best.report(&site, &opening).tell(&snapshot.of)
    });
    drop(site);
    outcome
}

/// Makes the first commit of a mirror, and says what passed.
pub(super) async fn first(site: &Site, opened: &Opened, label: &str) -> Result<(Done, Passed), Failure> {
    let stages = Arc::clone(&opened.stages);
    stages.reset();
    let label = label.to_owned();
    let progress = Progress::show(Arc::new(move || far(&stages, &label)));
    let (source, began) = (site.source_cpu().await, Moment::now());
    let done = attempt(&opened.lane, None).await?;
    let passed = began.passed(site.source_cpu().await.saturating_sub(source));
    drop(progress);
    Ok((done, passed))
}

/// Runs one attempt of a lane.
pub(super) async fn attempt(lane: &Lane, held: Option<(Oid, Memory)>) -> Result<Done, Failure> {
    let done = lane.attempt(held, EVERYTHING).await;
    done.map_err(|error| Failure::message(chain(&error)))
}

fn far(stages: &Stages, label: &str) -> Far {
    let count = |stage| stages.taken(stage).items;
    let (fetched, rendered) = (count(Stage::Spool), count(Stage::Render));
    if rendered == 0 {
        return Far {
            what: format!("{label}: objects fetched"),
            done: fetched,
            of: None,
        };
    }
    Far {
        what: format!("{label}: objects rendered"),
        done: rendered,
        of: Some(fetched),
    }
}

/// What one first sync came to.
struct Run {
    number: u32,
    passed: Passed,
    fetching: Duration,
    work: Work,
    objects: u64,
    commit: Option<Oid>,
    withheld: usize,
    stored_bytes: u64,
    peak: Option<u64>,
    stages: Vec<StageTime>,
}

impl Run {
    async fn of(site: &Site, opened: &Opened, number: u32, runs: u32) -> Result<Self, Failure> {
        let label = format!("first sync {} of {runs}", number + 1);
        let (done, passed) = first(site, opened, &label).await?;
        Ok(Self {
            number,
            passed,
            fetching: done.fetching,
            work: done.work,
            objects: opened.stages.taken(Stage::Spool).items,
            commit: done.tip,
            withheld: done.landed.map_or(0, |landed| landed.withheld.len()),
            stored_bytes: bytes_below(&opened.repository.join("objects")),
            peak: peak_memory(),
            stages: stage_times(&opened.stages, passed),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn report<'r>(&self, site: &'r Site, opening: &[Duration]) -> Report<'r> {
        let Self {
            passed,
            fetching,
            work,
            ..
        } = self;
        let made = passed.wall.saturating_sub(*fetching);
        let seconds = passed.wall.as_secs_f64();
        let per_second = |count: f64| count / seconds.max(f64::MIN_POSITIVE);
        let (objects, files, bytes) = (self.objects as f64, work.files as f64, work.bytes as f64);
        let cold = opening.first().copied().unwrap_or_default();
        let mut figures = vec![
            Figure::new(
                "wall_ms",
                "from nothing to the commit",
                ms(passed.wall),
                Unit::Milliseconds,
            ),
            Figure::new(
                "fetching_ms",
                "  until all was fetched, placed",
                ms(*fetching),
                Unit::Milliseconds,
            ),
            Figure::new(
                "making_ms",
                "  from there to the commit",
                ms(made),
                Unit::Milliseconds,
            ),
            Figure::new("cpu_ms", "processor", ms(passed.cpu), Unit::Milliseconds),
            Figure::new("objects", "objects", objects, Unit::Count),
            Figure::new("objects_per_second", "", per_second(objects), Unit::PerSecond),
            Figure::new("files", "files", files, Unit::Count),
            Figure::new("files_per_second", "  files", per_second(files), Unit::PerSecond),
            Figure::new("bytes", "bytes of files", bytes, Unit::Bytes),
            Figure::new(
                "bytes_per_second",
                "  bytes",
                per_second(bytes),
                Unit::BytesPerSecond,
            ),
            Figure::new("git_objects", "Git objects", work.git_objects as f64, Unit::Count),
            Figure::new(
                "stored_bytes",
                "bytes in the repository",
                self.stored_bytes as f64,
                Unit::Bytes,
            ),
        ];
        if let Some(peak) = self.peak {
            let label = "memory, at most";
            figures.push(Figure::new("peak_bytes", label, peak as f64, Unit::Bytes));
        }
        figures.push(Figure::new(
            "open_cold_ms",
            "opening, guests compiled",
            ms(cold),
            Unit::Milliseconds,
        ));
        if let Some(warm) = opening.iter().skip(1).min() {
            figures.push(Figure::new(
                "open_warm_ms",
                "opening, guests at hand",
                ms(*warm),
                Unit::Milliseconds,
            ));
        }
        let mut lines = vec![String::new()];
        if self.withheld > 0 {
            lines.push(format!("{} objects were withheld", self.withheld));
        }
        if site.local.is_some() {
            lines.push("what stands in for Keboola is not counted to the processor, but to memory and to what is waited for".into());
        }
        Report {
            bench: "snapshot",
            title: format!(
                "first sync of {}, the quickest of {} (number {})",
                site.name,
                opening.len(),
                self.number + 1
            ),
            subject: &site.subject,
            data_dir: site.data_dir.as_deref(),
            figures,
            stages: self.stages.clone(),
            times: 1,
            more: json!({
                "runs": opening.len(), "commit": self.commit.map(|id| id.to_string()), "withheld": self.withheld,
            }),
            lines,
        }
    }
}
