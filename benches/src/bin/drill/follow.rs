//! Sees when commits arrive, and which versions they stand for.

use anyhow::{Result, ensure};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A push is noticed so soon.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// What arrived at the remotes.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// By repository and configuration: each version that a commit stands for, and when it was seen.
    versions: BTreeMap<(usize, String), Vec<(u64, Instant)>>,
    pub(crate) commits: usize,
    pub(crate) problem: Option<String>,
}

impl Arrived {
    /// Returns when the remote had a version, or a later one of the same configuration.
    pub(crate) fn at(&self, repository: usize, key: &str, version: u64) -> Option<Instant> {
        let versions = self.versions.get(&(repository, key.to_owned()))?;
        let mut covering = versions.iter().filter(|(arrived, _)| *arrived >= version);
        covering.next().map(|(_, at)| *at)
    }

    /// Counts the versions that commits stand for.
    pub(crate) fn configurations(&self) -> usize {
        self.versions.values().map(Vec::len).sum()
    }
}

/// Looks at the refs of bare repositories until it is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    stop: Arc<AtomicBool>,
    arrived: Arc<Mutex<Arrived>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows the branch `main` of repositories; what they have already is not counted.
    pub(crate) fn start(repositories: Vec<PathBuf>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let mut tips: Vec<String> = repositories.iter().map(|repository| tip(repository)).collect();
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&arrived));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for (number, repository) in repositories.iter().enumerate() {
                    let new = tip(repository);
                    if new == tips[number] {
                        continue;
                    }
                    let at = Instant::now();
                    let told = commits(repository, &tips[number], &new);
                    let mut arrived = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    match told {
                        Ok(told) => {
                            arrived.commits += told.len();
                            for (key, version) in told.into_iter().flatten() {
                                arrived
                                    .versions
                                    .entry((number, key))
                                    .or_default()
                                    .push((version, at));
                            }
                        }
                        Err(error) => arrived.problem = Some(format!("{error:#}")),
                    }
                    tips[number] = new;
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Self {
            stop,
            arrived,
            thread: Some(thread),
        }
    }

    pub(crate) fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It had nothing to lose.
            drop(thread.join());
        }
    }
}

/// Returns the id of the branch's tip; empty without one.
pub(crate) fn tip(repository: &Path) -> String {
    let tip = fs::read_to_string(repository.join("refs/heads/main"));
    tip.unwrap_or_default().trim().to_owned()
}

/// Returns the versions that each commit after a tip says it stands for, oldest first.
pub(crate) fn commits(repository: &Path, after: &str, through: &str) -> Result<Vec<Vec<(String, u64)>>> {
    let range = match after {
        "" => through.to_owned(),
        after => format!("{after}..{through}"),
    };
    let format = "--format=%H|%(trailers:key=Keboola-Change,valueonly,separator=%x2C)";
    let log = git(repository, &["log", "--reverse", format, &range])?;
    let versions = |line: &str| {
        let (_, changes) = line.split_once('|').unwrap_or_default();
        let changes = changes.split(',').filter_map(|change| {
            let (key, version) = change.split_whitespace().next()?.rsplit_once('@')?;
            Some((key.to_owned(), version.parse().ok()?))
        });
        changes.collect()
    };
    Ok(log.lines().map(versions).collect())
}

/// Runs `git` in a repository and returns its output.
pub(crate) fn git(repository: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .arg("--git-dir")
        .arg(repository)
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
