//! What must hold whenever an installation has settled, however it came there.

use super::{
    Commit,
    installation::{Installation, Options},
    log::LogBook,
    repository::{Repository, Sidecar},
};
use sample_project::Branch;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// How long a lane may take to know what the remote has.
const CURSOR: Duration = Duration::from_secs(30);

impl Installation {
    /// Checks the repository against what the fake Keboola has now, for every mirrored branch:
    ///
    /// - `git fsck --strict` is silent;
    /// - history is linear, committer times never go back, no version of a configuration stands in two
    ///   commits of a branch, and only the first commit of a lane may change nothing;
    /// - versions and identifiers in the tip's sidecars are the fake's, and what is deleted is gone
    ///   from sidecars and manifest;
    /// - the tip's tree is, file by file, the one that a fresh installation makes in an empty
    ///   repository, but for `foreign` paths (people's own), which must be there, and for the runs in
    ///   a dev branch's Git branch: it starts with those that the default branch had by then;
    /// - each run whose event was accepted stands in the tip with the state digest of that event, which
    ///   the API does not tell (so the fresh installation does not have it);
    /// - nothing lies in the dead letters, and the lanes' cursors stand at the end.
    ///
    /// Trees of different histories are equal only as long as no two objects ever wanted the same
    /// path: an object keeps a path that it once got, so which one is numbered depends on who came
    /// first. Tests that use this do not make objects collide.
    ///
    /// A commit is on the remote before the lane knows it, so who saw it there is given the moment
    /// that the cursor takes.
    pub(crate) fn check(&self, foreign: &[&str]) {
        self.check_by(&self.log_at_the_end(), foreign);
    }

    /// Returns the log once all its lanes are at its end, or as it is when they do not come there.
    fn log_at_the_end(&self) -> LogBook {
        let begun = Instant::now();
        loop {
            let book = self.log().expect("there is a log");
            let done = self.branches().iter().all(|branch| book.is_at_the_end(branch));
            if done || begun.elapsed() > CURSOR {
                return book;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same with what a log says that is elsewhere.
    pub(crate) fn check_by(&self, book: &LogBook, foreign: &[&str]) {
        assert_eq!(book.dead_letters, [""; 0], "dead letters");
        self.check_rest(book, foreign);
    }

    /// The same after so many versions were withheld, each of which is on record.
    pub(crate) fn check_after_withholding(&self, versions: usize) {
        let book = self.log_at_the_end();
        let letters = &book.dead_letters;
        assert!(
            letters.len() == versions && letters.iter().all(|reason| reason.starts_with("withheld: ")),
            "{letters:?}"
        );
        self.check_rest(&book, &[]);
    }

    pub(crate) fn check_rest(&self, book: &LogBook, foreign: &[&str]) {
        self.repository.fsck();
        // Nobody needs to be told what it does.
        let quiet = self.options.mirror.lines();
        let quiet = quiet.filter(|line| !line.starts_with("notify = "));
        let quiet = quiet.collect::<Vec<_>>().join("\n");
        let fresh = Self::new(
            &self.keboola,
            Options {
                queue: String::new(),
                mirror: quiet.leak(),
                ..self.options.clone()
            },
        );
        fresh.once().ok();
        let project = self.keboola.project();
        for id in self.branches() {
            assert!(book.is_at_the_end(&id), "branch {id} is behind: {book:?}");
            let name = self.git_branch(&id);
            let branch = project
                .branches
                .iter()
                .find(|branch| branch.id().to_string() == id);
            let branch = branch.expect("branches are those of the project");
            history(&self.repository, &name);
            self.runs(&id, &name);
            assert_eq!(
                self.repository.sidecars(&name),
                sidecars(branch),
                "versions in {name}"
            );
            // Trees first: they say more when both are wrong.
            let skipped = if branch.is_default() { "" } else { "jobs/" };
            // People's files came to a dev branch with the commit it started at, or did not.
            let foreign = foreign.iter().copied();
            let foreign: Vec<&str> = match branch.is_default() {
                true => foreign.collect(),
                false => foreign
                    .filter(|path| self.repository.file(&name, path).is_some())
                    .collect(),
            };
            same_trees(&self.repository, &fresh.repository, &name, &foreign, skipped);
            if branch.is_default() {
                self.months(&name, &fresh.repository);
            }
            let listed: BTreeSet<(String, String)> = configurations(branch).collect();
            let manifest = self.repository.manifest(&name);
            assert!(
                manifest.is_subset(&listed),
                "{name}: {:?}",
                manifest.difference(&listed)
            );
        }
    }

    /// Returns whether the tip of a branch has each configuration and row in the version that the fake has.
    pub(crate) fn has_versions(&self, id: &str) -> bool {
        let project = self.keboola.project();
        let mut branches = project.branches.iter();
        let branch = branches.find(|branch| branch.id().to_string() == id);
        let name = branch.map(|_| self.git_branch(id));
        // Of one commit, however many come meanwhile.
        let tip = name.and_then(|name| self.repository.tip(&name));
        branch
            .zip(tip)
            .is_some_and(|(branch, tip)| self.repository.sidecars(&tip) == sidecars(branch))
    }

    /// Checks that months of runs, where these have Git branches of their own, are those that a fresh
    /// installation makes.
    fn months(&self, name: &str, fresh: &Repository) {
        let months = self.repository.months(name);
        assert_eq!(months, fresh.months(name), "months of {name}");
        for month in months {
            history(&self.repository, &month);
            same_trees(&self.repository, fresh, &month, &[], "");
        }
    }

    /// Checks that what only events tell of runs is in the tip, or in those of its months.
    fn runs(&self, id: &str, name: &str) {
        let mut lines = String::new();
        for branch in [name.to_owned()].into_iter().chain(self.repository.months(name)) {
            let days = self.repository.files(&branch).into_keys();
            let days: Vec<String> = days.filter(|path| is_day(path)).collect();
            lines.extend(self.repository.contents(&branch, &days));
        }
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a run is JSON"));
        let runs: BTreeMap<String, Value> = lines.map(|line| (line["runId"].to_string(), line)).collect();
        for event in self.acknowledged() {
            if event["type"] == "job_finished" && event["branchId"] == *id {
                let run = runs.get(&event["runId"].to_string());
                let digest = run.map(|run| &run["stateDigest"]);
                assert_eq!(digest, Some(&event["stateDigest"]), "{name}: {run:?} of {event}");
            }
        }
    }

    /// Checks that the process says of itself that all is well: no outage, nothing withheld, and the
    /// tip that the remote has.
    pub(crate) async fn check_status(&self, server: &super::Server) {
        for id in self.branches() {
            let expected = self.repository.tip(&self.git_branch(&id));
            // Before the first attempt after a start it is not known what is withheld.
            let lane = super::until("the status tells the tip and what is withheld", async || {
                let lane = server.lane(&id).await;
                let is_known = lane["withheld"] != Value::Null;
                (is_known && lane["tip"].as_str() == expected.as_deref()).then_some(lane)
            });
            let lane = lane.await;
            assert_eq!(lane["outage"], Value::Null, "{lane}");
            assert_eq!(lane["withheld"], Value::Array(Vec::new()), "{lane}");
        }
    }

    /// Waits until the process also says that nothing waits any more, which it counts every ten seconds.
    pub(crate) async fn check_calm(&self, server: &super::Server) {
        self.check_status(server).await;
        for id in self.branches() {
            super::until("the status says that nothing waits", async || {
                let lane = server.lane(&id).await;
                (lane["state"] == "in sync" && lane["backlog"] == 0 && lane["nextDue"] == Value::Null)
                    .then_some(())
            })
            .await;
        }
    }
}

/// Checks what must hold of a branch's history.
fn history(repository: &Repository, branch: &str) {
    let commits = repository.log(branch);
    assert!(!commits.is_empty(), "{branch} has no commits");
    for commit in &commits {
        assert!(commit.parents.len() <= 1, "{branch}: {} is a merge", commit.id);
    }
    for pair in commits.windows(2) {
        let [newer, older] = pair else { continue };
        assert!(
            newer.committed_at >= older.committed_at,
            "{branch}: {} goes back in time",
            newer.id
        );
        let lane = newer.values("Mirror-Lane");
        let again = !lane.is_empty() && lane == older.values("Mirror-Lane");
        assert!(
            !again || newer.tree != older.tree,
            "{branch}: `{}` changes nothing",
            newer.subject
        );
        // Each lane has one first commit.
        assert!(
            !again || !newer.subject.starts_with("Snapshot") || !older.values("Mirror-Backfill").is_empty(),
            "{branch}: a second snapshot"
        );
    }
    once_each(&commits, "Keboola-Change", branch);
}

/// No value of this trailer may stand twice in a history.
fn once_each(commits: &[Commit], name: &str, branch: &str) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for commit in commits {
        for value in commit.values(name) {
            if let Some(other) = seen.insert(value, &commit.id) {
                panic!("{branch}: `{value}` stands in {other} and in {}", commit.id);
            }
        }
    }
}

/// What the sidecars of a branch must say: each configuration and row with its version.
fn sidecars(branch: &Branch) -> Vec<Sidecar> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut sidecars = Vec::new();
    for configuration in &branch.configurations {
        let detail = &configuration.detail;
        let whole = Sidecar {
            component: configuration.component_id.clone(),
            config: configuration.id().to_owned(),
            row: None,
            version: configuration.version(),
            identifier: text(&detail["currentVersion"]["versionIdentifier"]),
        };
        for row in detail["rows"].as_array().into_iter().flatten() {
            sidecars.push(Sidecar {
                row: Some(text(&row["id"])),
                version: row["version"].as_u64().unwrap_or_default(),
                identifier: text(&row["versionIdentifier"]),
                ..whole.clone()
            });
        }
        sidecars.push(whole);
    }
    sidecars.sort();
    sidecars
}

fn configurations(branch: &Branch) -> impl Iterator<Item = (String, String)> {
    let key = |one: &sample_project::Configuration| (one.component_id.clone(), one.id().to_owned());
    branch.configurations.iter().map(key)
}

/// Compares a branch's tree in two repositories file by file; paths of `foreign` must be in the first
/// one only, and what begins with `skipped` is left out.
fn same_trees(one: &Repository, fresh: &Repository, branch: &str, foreign: &[&str], skipped: &str) {
    let files = |repository: &Repository| {
        let mut files = repository.files(branch);
        files.retain(|path, _| skipped.is_empty() || !path.starts_with(skipped));
        files
    };
    let (found, mut expected) = (files(one), files(fresh));
    for path in foreign {
        let theirs = found.get(*path);
        let theirs = theirs.unwrap_or_else(|| panic!("{branch}: somebody's `{path}` is gone"));
        expected.insert((*path).to_owned(), theirs.clone());
    }
    let paths: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differ = paths
        .into_iter()
        .filter(|path| found.get(*path) != expected.get(*path));
    let differ: Vec<String> = differ
        .filter_map(|path| match (one.file(branch, path), fresh.file(branch, path)) {
            (Some(found), Some(expected)) => {
                let (found, expected) = (told_by_api(path, found), told_by_api(path, expected));
                let differ = found != expected;
                differ.then(|| format!("{path} has other content:\n{}", lines(&found, &expected)))
            }
            (Some(_), None) => Some(format!("{path} is too much")),
            (None, _) => Some(format!("{path} is missing")),
        })
        .collect();
    assert!(
        differ.is_empty(),
        "{branch} is not what a fresh mirror makes:\n{}",
        differ.join("\n")
    );
}

/// Whether a path is that of a day of runs.
fn is_day(path: &str) -> bool {
    path.starts_with("jobs/20") && path.ends_with(".jsonl")
}

/// Leaves out of a day of runs what only their events tell.
fn told_by_api(path: &str, content: String) -> String {
    if !is_day(path) {
        return content;
    }
    let line = |line: &str| {
        let mut run: Value = serde_json::from_str(line).expect("a run is JSON");
        if let Some(members) = run.as_object_mut() {
            members.retain(|name, _| name != "stateDigest" && name != "artifactLinks");
        }
        format!("{run}\n")
    };
    content.lines().map(line).collect()
}

/// Lists the lines that only one of two texts has.
fn lines(found: &str, expected: &str) -> String {
    let only = |one: &str, other: &str, sign: char| {
        let others: BTreeSet<&str> = other.lines().collect();
        let only = one.lines().filter(|line| !others.contains(line));
        only.map(|line| format!("  {sign} {line}\n")).collect::<String>()
    };
    only(expected, found, '-') + &only(found, expected, '+')
}
