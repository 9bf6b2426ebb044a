//! Was anything lost, or done twice? Asked of the repositories, not of the product.

use super::{
    follow::{commits, git, tip},
    site::{Edit, Project, Site},
    worker::{PATIENCE, Worker, ask},
};
use anyhow::{Result, ensure};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

/// So many mirrors are compared with their source.
const VERIFIED_MAX: usize = 3;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What was told of each project, by its number.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The newest version of each configuration that was edited.
    newest: BTreeMap<(usize, String), u64>,
    runs: BTreeMap<usize, BTreeSet<String>>,
}

impl Told {
    pub(crate) fn edit(&mut self, project: usize, edit: &Edit) {
        let newest = self.newest.entry((project, edit.key.clone())).or_default();
        *newest = edit.version.max(*newest);
    }

    pub(crate) fn run(&mut self, project: usize, id: String) {
        self.runs.entry(project).or_default().insert(id);
    }

    /// Waits until everything has arrived; returns when the last of it was seen to.
    pub(crate) async fn arrived(&self, site: &Site, follower: &super::follow::Follower) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let missing = {
                let arrived = follower.arrived();
                ensure!(arrived.problem.is_none(), "{:?}", arrived.problem);
                let missing = |((project, key), version): &(&(usize, String), &u64)| {
                    arrived.at(*project, key, **version).is_none()
                };
                self.newest.iter().find(missing).map(|found| format!("{found:?}"))
            };
            let missing = match missing {
                Some(missing) => Some(missing),
                None => self.missing_run(site)?,
            };
            let Some(missing) = missing else {
                return Ok(Instant::now());
            };
            ensure!(Instant::now() < deadline, "never arrived: {missing}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn missing_run(&self, site: &Site) -> Result<Option<String>> {
        for (project, told) in &self.runs {
            let runs = runs(&site.projects[*project])?;
            if let Some(missing) = told.iter().find(|id| !runs.contains(id)) {
                return Ok(Some(format!("run {missing} of project {project}")));
            }
        }
        Ok(None)
    }

    /// Checks histories and, of some, the trees; `config` is of the process that has the mirrors.
    pub(crate) async fn check(&self, site: &Site, config: &Path, worker: &Worker) -> Result<()> {
        for (number, project) in site.projects.iter().enumerate() {
            let of_project = |(key, version): (&(usize, String), &u64)| {
                (key.0 == number).then(|| (key.1.clone(), *version))
            };
            let expected: BTreeMap<String, u64> = self.newest.iter().filter_map(of_project).collect();
            check_history(project, &expected)?;
            let told = self.runs.get(&number).map_or(0, BTreeSet::len);
            if told > 0 {
                let all = runs(project)?;
                let once: BTreeSet<&String> = all.iter().collect();
                ensure!(once.len() == all.len(), "project {number}: a run is there twice");
            }
        }
        let letters = worker.metric("dead_letters_unplayed").await?;
        ensure!(
            letters.unwrap_or_default() == 0.0,
            "{letters:?} events were put aside"
        );
        for number in 0..site.projects.len().min(VERIFIED_MAX) {
            ask(config, &["verify", "--mirror", &format!("m{number}")]).await?;
        }
        Ok(())
    }
}

/// One line of commits, in which each configuration's versions only rise, up to the newest.
fn check_history(project: &Project, expected: &BTreeMap<String, u64>) -> Result<()> {
    let repository = &project.repository;
    let merges = git(repository, &["rev-list", "--merges", "--count", "main"])?;
    ensure!(
        merges.trim() == "0",
        "{}: history is no line",
        repository.display()
    );
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    for (key, version) in commits(repository, "", &tip(repository))?.into_iter().flatten() {
        let before = newest.insert(key.clone(), version);
        ensure!(
            before.is_none_or(|before| before < version),
            "{}: {key}@{version} after @{before:?}",
            repository.display()
        );
    }
    for (key, version) in expected {
        let found = newest.get(key);
        ensure!(
            found == Some(version),
            "{}: {key} is at {found:?}, not at {version}",
            repository.display()
        );
    }
    Ok(())
}

/// Returns the id of each run that the tip has, as often as it has it.
fn runs(project: &Project) -> Result<Vec<String>> {
    let lines = git(
        &project.repository,
        &["grep", "-h", "\"runId\"", "main", "--", "jobs/2*"],
    )?;
    let id = |line: &str| {
        let run: Value = serde_json::from_str(line).ok()?;
        run["runId"].as_str().map(str::to_owned)
    };
    Ok(lines.lines().filter_map(id).collect())
}
