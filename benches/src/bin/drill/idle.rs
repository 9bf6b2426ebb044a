//! What a lane costs that has nothing to do: a process with a thousand of them beside one with a single one.
//!
//! All mirrors are of one small project, each on a branch of its own of one repository.

use super::{
    How,
    figures::{Figures, count},
    follow::git,
    site::{INGEST_TOKEN, bare, share_guests},
    worker::{Worker, until},
};
use anyhow::{Context as _, Result, ensure};
use fake_keboola::{Fake, FakeConfig, small_project};
use mirror_benches::process::{cpu_ms_of, memory_kb_of};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const DRILL: &str = "idle";
/// Longer than a lane holds what makes it quick.
const REST: Duration = Duration::from_secs(65);
/// So long the processor's time is looked at.
const WATCH: Duration = Duration::from_secs(10);

pub(crate) async fn run(how: How, figures: &mut Figures) -> Result<()> {
    let lanes = how.size(1_000, 20);
    let (one, many) = (Lanes::start(1).await?, Lanes::start(lanes).await?);
    let began = Instant::now();
    one.synced().await?;
    many.synced().await?;
    figures.add(
        DRILL,
        format!("first sync of {lanes} lanes"),
        began.elapsed().as_secs_f64(),
        "s",
    );
    figures.add(
        DRILL,
        format!("memory after it, {lanes} lanes"),
        many.memory_mb()?,
        "MB",
    );
    tokio::time::sleep(how.size(REST, Duration::ZERO)).await;
    let before = cpu_ms_of(many.worker.pid()).context("the process lives")?;
    tokio::time::sleep(how.size(WATCH, Duration::from_millis(100))).await;
    let busy = cpu_ms_of(many.worker.pid()).context("the process lives")? - before;
    let (small, large) = (one.memory_mb()?, many.memory_mb()?);
    figures.add(DRILL, "memory at rest, one lane", small, "MB");
    figures.add(DRILL, format!("memory at rest, {lanes} lanes"), large, "MB");
    figures.add(
        DRILL,
        "memory of one lane more",
        (large - small) * 1024.0 / count(lanes - 1),
        "kB",
    );
    figures.add(
        DRILL,
        format!("open files, {lanes} lanes"),
        count(many.files()?),
        "",
    );
    figures.add(
        DRILL,
        format!("processor at rest, {lanes} lanes"),
        busy / 10.0 / how.size(WATCH, Duration::from_millis(100)).as_secs_f64(),
        "%",
    );
    one.check(1)?;
    many.check(lanes)
}

/// A process with so many lanes.
struct Lanes {
    directory: TempDir,
    worker: Worker,
    _fake: Fake,
    lanes: usize,
}

impl Lanes {
    async fn start(lanes: usize) -> Result<Self> {
        let directory = TempDir::new()?;
        let fake = Fake::start(
            small_project(),
            FakeConfig {
                parallel_max: 1_000,
                ..FakeConfig::default()
            },
        )?;
        let repository = directory.path().join("repository.git");
        bare(&repository)?;
        let write = |name: &str, content: &str| fs::write(directory.path().join(name), content);
        write("token", fake.token())?;
        write("ingest-token", INGEST_TOKEN)?;
        write("tag-root", "dGhlIHRhZyByb290IG9mIHRoZSBkcmlsbHMgb25seSAwMDAx")?;
        let mut text =
            "data_dir = \"data\"\ntag_root = \"file:tag-root\"\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n\
            [[http.ingest]]\nname = \"drill\"\ntoken = \"file:ingest-token\"\nstack = \"127.0.0.1\"\n"
                .to_owned();
        let (url, project) = (fake.url(), fake.project().project_id);
        for lane in 0..lanes {
            write!(
                text,
                "\n[[mirror]]\nid = \"m{lane}\"\nstack = \"{url}\"\nproject_id = \"{project}\"\ntoken = \"file:token\"\n\
                 repository = \"file:repository.git\"\nbranch = \"mirror-{lane}\"\ndev_branches = {{ enabled = false }}\n"
            )?;
        }
        write("mirror.toml", &text)?;
        share_guests(&directory.path().join("data"))?;
        let worker = Worker::start(&directory.path().join("mirror.toml")).await?;
        Ok(Self {
            directory,
            worker,
            _fake: fake,
            lanes,
        })
    }

    fn repository(&self) -> PathBuf {
        self.directory.path().join("repository.git")
    }

    fn trees(&self) -> Result<Vec<String>> {
        let trees = git(
            &self.repository(),
            &["for-each-ref", "--format=%(tree)", "refs/heads/mirror-*"],
        )?;
        Ok(trees.lines().map(str::to_owned).collect())
    }

    async fn synced(&self) -> Result<()> {
        until("the first syncs", async || {
            Ok((self.trees()?.len() == self.lanes).then_some(()))
        })
        .await
    }

    fn memory_mb(&self) -> Result<f64> {
        let memory = memory_kb_of(self.worker.pid()).context("the process lives")?;
        Ok(count(usize::try_from(memory)?) / 1024.0)
    }

    fn files(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.worker.pid()))?.count())
    }

    /// All have the same, each once.
    fn check(&self, lanes: usize) -> Result<()> {
        let trees = self.trees()?;
        let distinct: BTreeSet<&String> = trees.iter().collect();
        ensure!(
            trees.len() == lanes && distinct.len() == 1,
            "{} trees of {lanes} lanes",
            distinct.len()
        );
        let commits = git(
            &self.repository(),
            &["rev-list", "--count", "--branches=mirror-*"],
        )?;
        ensure!(
            commits.trim() == lanes.to_string(),
            "{commits} commits of {lanes} lanes"
        );
        Ok(())
    }
}
