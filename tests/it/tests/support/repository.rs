//! A bare repository, looked at and changed with the `git` program: the oracle, and the people who
//! work on the mirror's branch.

use super::server::{Output, run};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// A bare repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository(PathBuf);

/// A commit as `git log` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub id: String,
    pub tree: String,
    pub parents: Vec<String>,
    /// `Name <address>`.
    pub author: String,
    /// Seconds since 1970.
    pub authored_at: i64,
    pub committer: String,
    pub committed_at: i64,
    pub subject: String,
    /// The whole message.
    pub message: String,
    /// As `git interpret-trailers` finds them.
    pub trailers: Vec<(String, String)>,
}

impl Commit {
    /// Returns the values of the trailers of this name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let of_name = self.trailers.iter().filter(|(found, _)| found == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

/// What the tree says of one configuration or row beside its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sidecar {
    pub component: String,
    pub config: String,
    /// None for the configuration itself.
    pub row: Option<String>,
    pub version: u64,
    pub identifier: String,
}

/// A file of a tree: mode and blob id.
pub(crate) type File = (String, String);

impl Repository {
    /// Names the repository at a path.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes a bare repository.
    pub(crate) fn init(path: PathBuf) -> Self {
        let repository = Self(path);
        let main = ["init", "--quiet", "--bare", "--initial-branch=main"];
        run(clean(&mut Command::new("git")).args(main).arg(&repository.0)).ok();
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A `git` command in this repository, without the settings of the machine.
    fn command(&self) -> Command {
        let mut command = Command::new("git");
        clean(&mut command).arg("--git-dir").arg(&self.0);
        command
    }

    /// Runs `git` and returns its output, less trailing line ends.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.try_git(arguments).ok().trim_end_matches('\n').to_owned()
    }

    /// Runs `git`, however it ends.
    pub(crate) fn try_git(&self, arguments: &[&str]) -> Output {
        run(self.command().args(arguments))
    }

    /// Returns the commit of a branch.
    pub(crate) fn tip(&self, branch: &str) -> Option<String> {
        let name = format!("refs/heads/{branch}");
        let found = self.try_git(&["rev-parse", "--verify", "--quiet", &name]);
        found.status.success().then(|| found.stdout.trim().to_owned())
    }

    /// Returns the names of all branches, sorted.
    pub(crate) fn branches(&self) -> Vec<String> {
        let names = self.git(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/"]);
        names.lines().map(str::to_owned).collect()
    }

    /// Returns the names of the branches that have the months of runs of a branch, sorted.
    pub(crate) fn months(&self, branch: &str) -> Vec<String> {
        let prefix = format!("keboola-jobs/{branch}/");
        let branches = self.branches().into_iter();
        branches.filter(|name| name.starts_with(&prefix)).collect()
    }

    /// Checks every object; nothing may be amiss.
    #[track_caller]
    pub(crate) fn fsck(&self) {
        let checked = self.try_git(&["fsck", "--strict", "--full", "--no-dangling", "--no-progress"]);
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(
            checked.status.success() && said.trim().is_empty(),
            "git fsck: {said}"
        );
    }

    /// Returns a branch's commits, newest first.
    #[track_caller]
    pub(crate) fn log(&self, branch: &str) -> Vec<Commit> {
        const FORMAT: &str = "%H%x1f%T%x1f%P%x1f%an <%ae>%x1f%at%x1f%cn <%ce>%x1f%ct%x1f%s%x1f%B%x1f%(trailers:only,unfold)%x1e";
        let name = format!("refs/heads/{branch}");
        let text = self.git(&["log", &format!("--format={FORMAT}"), &name]);
        let commits = text
            .split('\x1e')
            .map(str::trim_start)
            .filter(|text| !text.is_empty());
        commits.map(commit).collect()
    }

    /// Returns how many commits a branch has.
    #[track_caller]
    pub(crate) fn count(&self, branch: &str) -> usize {
        self.log(branch).len()
    }

    /// Returns the tree id of a commit or branch.
    #[track_caller]
    pub(crate) fn tree_id(&self, revision: &str) -> String {
        self.git(&["rev-parse", "--verify", &format!("{revision}^{{tree}}")])
    }

    /// Returns all files of a commit or branch.
    #[track_caller]
    pub(crate) fn files(&self, revision: &str) -> BTreeMap<String, File> {
        let listed = self.git(&["ls-tree", "-r", "-z", "--full-tree", revision]);
        let entries = listed.split('\0').filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                let (meta, path) = entry.split_once('\t').expect("an entry has a path");
                let words: Vec<&str> = meta.split(' ').collect();
                (path.to_owned(), (words[0].to_owned(), words[2].to_owned()))
            })
            .collect()
    }

    /// Returns the content of a file; none where there is no such file.
    pub(crate) fn file(&self, revision: &str, path: &str) -> Option<String> {
        let found = self.try_git(&["cat-file", "blob", &format!("{revision}:{path}")]);
        found.status.success().then_some(found.stdout)
    }

    /// Returns the contents of many files at once.
    #[track_caller]
    pub(crate) fn contents(&self, revision: &str, paths: &[String]) -> Vec<String> {
        let asked: String = paths.iter().map(|path| format!("{revision}:{path}\n")).collect();
        let mut command = self.command();
        command.args(["cat-file", "--batch"]).stdin(written(&asked));
        let output = command.output().expect("git can be started");
        let mut rest = output.stdout.as_slice();
        let content = |path: &String| {
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .expect("an answer has a head");
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let size = head
                .rsplit(' ')
                .next()
                .and_then(|size| size.parse::<usize>().ok());
            let size = size.unwrap_or_else(|| panic!("{path}: {head}"));
            let body = String::from_utf8(rest[end + 1..=end + size].to_vec());
            rest = &rest[end + 2 + size..];
            body.unwrap_or_else(|_| panic!("{path} is not UTF-8"))
        };
        paths.iter().map(content).collect()
    }

    /// Returns what the files below `configs-extra/` say of versions, sorted.
    #[track_caller]
    pub(crate) fn sidecars(&self, revision: &str) -> Vec<Sidecar> {
        let paths: Vec<String> = self
            .files(revision)
            .into_keys()
            .filter(|path| path.starts_with("configs-extra/") && path != "configs-extra/branch.json")
            .collect();
        let contents = self.contents(revision, &paths);
        let mut sidecars: Vec<Sidecar> = paths.iter().zip(contents).map(sidecar).collect();
        sidecars.sort();
        sidecars
    }

    /// Returns component and configuration ids that the manifest lists.
    #[track_caller]
    pub(crate) fn manifest(&self, revision: &str) -> BTreeSet<(String, String)> {
        let text = self.file(revision, "configs/.keboola/manifest.json");
        let text = text.unwrap_or_else(|| panic!("{revision} has no manifest"));
        let manifest: Value = serde_json::from_str(&text).expect("the manifest is JSON");
        let listed = manifest["configurations"].as_array().cloned().unwrap_or_default();
        let id = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        listed
            .iter()
            .map(|line| (id(line, "componentId"), id(line, "id")))
            .collect()
    }

    /// Commits to a branch as a person would: each file gets a content, or goes. Returns the commit.
    #[track_caller]
    pub(crate) fn human_commit(&self, branch: &str, files: &[(&str, Option<&str>)], message: &str) -> String {
        let parent = self.tip(branch);
        let index = tempfile::NamedTempFile::new().expect("temporary files can be made");
        let index = index.into_temp_path();
        std::fs::remove_file(&index).expect("it was just made");
        let git = |arguments: &[&str]| {
            let output = run(self.command().env("GIT_INDEX_FILE", &index).args(arguments));
            output.ok().trim_end().to_owned()
        };
        if let Some(parent) = &parent {
            git(&["read-tree", parent]);
        }
        let entry = |(path, content): &(&str, Option<&str>)| match content {
            Some(content) => format!("100644 {}\t{path}\n", self.blob(content)),
            // No mode: the entry goes.
            None => format!("0 {}\t{path}\n", "0".repeat(40)),
        };
        let entries: String = files.iter().map(entry).collect();
        let mut update = self.command();
        update
            .env("GIT_INDEX_FILE", &index)
            .args(["update-index", "--index-info"]);
        run(update.stdin(written(&entries))).ok();
        let tree = git(&["write-tree"]);
        let mut arguments = vec!["commit-tree", &tree, "-m", message];
        if let Some(parent) = &parent {
            arguments.extend(["-p", parent]);
        }
        let commit = git(&arguments);
        self.reset(branch, &commit);
        commit
    }

    /// Writes a hook, a script for `sh`; it is run where a server takes a push.
    ///
    /// # Panics
    /// If it cannot be written.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        let hooks = self.0.join("hooks");
        std::fs::create_dir_all(&hooks).expect("the repository can be written");
        let path = hooks.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the repository can be written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("the file is ours");
    }

    /// Removes a hook.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn unhook(&self, name: &str) {
        std::fs::remove_file(self.0.join("hooks").join(name)).expect("there is such a hook");
    }

    /// Returns whether any object, reachable or not, holds a text.
    pub(crate) fn holds(&self, text: &str) -> bool {
        let mut command = self.command();
        command.args(["cat-file", "--batch-all-objects", "--batch"]);
        let output = command.output().expect("git can be started");
        assert!(output.status.success(), "objects can be listed");
        String::from_utf8_lossy(&output.stdout).contains(text)
    }

    /// Makes a branch point to a commit, whatever it pointed to, as a forced push would.
    #[track_caller]
    pub(crate) fn reset(&self, branch: &str, commit: &str) {
        self.git(&["update-ref", &format!("refs/heads/{branch}"), commit]);
    }

    /// Deletes a branch.
    #[track_caller]
    pub(crate) fn delete(&self, branch: &str) {
        self.git(&["update-ref", "-d", &format!("refs/heads/{branch}")]);
    }

    fn blob(&self, content: &str) -> String {
        let mut hash = self.command();
        hash.args(["hash-object", "-w", "--stdin"])
            .stdin(written(content));
        run(&mut hash).ok().trim_end().to_owned()
    }
}

/// A text to be read as standard input.
fn written(text: &str) -> std::fs::File {
    let mut file = tempfile::tempfile().expect("temporary files can be made");
    file.write_all(text.as_bytes())
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .expect("temporary files can be written");
    file
}

/// Keeps the machine's and the user's settings out, and names the person who commits.
fn clean(command: &mut Command) -> &mut Command {
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
    ] {
        command.env_remove(name);
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Helena Human");
        command.env(format!("GIT_{role}_EMAIL"), "helena@example.com");
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
}

fn commit(text: &str) -> Commit {
    let fields: Vec<&str> = text.split('\x1f').collect();
    let [
        id,
        tree,
        parents,
        author,
        authored,
        committer,
        committed,
        subject,
        message,
        trailers,
    ] = fields[..]
    else {
        panic!("a commit was told as {text:?}")
    };
    let time = |text: &str| text.parse().expect("a time in seconds");
    let trailer = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    Commit {
        id: id.to_owned(),
        tree: tree.to_owned(),
        parents: parents.split_whitespace().map(str::to_owned).collect(),
        author: author.to_owned(),
        authored_at: time(authored),
        committer: committer.to_owned(),
        committed_at: time(committed),
        subject: subject.to_owned(),
        message: message.to_owned(),
        trailers: trailers.lines().filter_map(trailer).collect(),
    }
}

fn sidecar((path, content): (&String, String)) -> Sidecar {
    let value: Value = serde_json::from_str(&content).unwrap_or_else(|error| panic!("{path}: {error}"));
    let id = |key: &str| value[key].as_str().map(str::to_owned);
    let own = |key: &str| id(key).unwrap_or_else(|| panic!("{path} has no {key}"));
    Sidecar {
        component: own("componentId"),
        config: own("configId"),
        row: id("rowId"),
        version: value["version"]
            .as_u64()
            .unwrap_or_else(|| panic!("{path} has no version")),
        identifier: own("versionIdentifier"),
    }
}
