//! Bare repositories in a temporary directory.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A directory of bare repositories; removed when dropped.
#[derive(Debug)]
pub struct Repositories {
    directory: tempfile::TempDir,
}

impl Default for Repositories {
    fn default() -> Self {
        Self::new()
    }
}

impl Repositories {
    /// Makes an empty directory.
    ///
    /// # Panics
    /// If there is no place for it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
        }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a bare repository that a server hands everything out of, as forges do.
    pub fn init(&self, name: &str) -> PathBuf {
        let path = self.init_plain(name, &[]);
        for key in [
            "uploadpack.allowFilter",
            "uploadpack.allowAnySHA1InWant",
            "receive.advertiseAtomic",
            "receive.advertisePushOptions",
        ] {
            git(&path, &["config", key, "true"]);
        }
        path
    }

    /// Makes a bare repository as Git does by default.
    pub fn init_plain(&self, name: &str, args: &[&str]) -> PathBuf {
        let path = self.root().join(name);
        let shown = path.to_string_lossy().into_owned();
        let all = [
            &["init", "--quiet", "--bare", "--initial-branch=main"],
            args,
            &[shown.as_str()],
        ]
        .concat();
        git(self.root(), &all);
        path
    }

    /// Writes a hook, a script for `sh`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn hook(&self, repository: &str, hook: &str, script: &str) {
        let path = self.root().join(repository).join("hooks").join(hook);
        fs::create_dir_all(path.parent().expect("a hook is in a directory")).expect("hooks can be made");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a hook can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a hook can be made executable");
    }

    /// Removes a hook.
    pub fn unhook(&self, repository: &str, hook: &str) {
        // One that is not there is fine.
        let _ = fs::remove_file(self.root().join(repository).join("hooks").join(hook));
    }
}

/// Runs `git` in a directory, the same on every machine, and returns what it prints.
///
/// # Panics
/// If it fails.
#[track_caller]
pub fn git(directory: &Path, args: &[&str]) -> String {
    let mut command = plain_git();
    let output = command.current_dir(directory).args(args).output();
    let output = output.expect("tests need git");
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A call of `git` that knows nothing of the machine's or the user's configuration.
pub(crate) fn plain_git() -> Command {
    let mut command = Command::new("git");
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Somebody")
            .env(format!("GIT_{role}_EMAIL"), "somebody@example.com");
    }
    command
}
