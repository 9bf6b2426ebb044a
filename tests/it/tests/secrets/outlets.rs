//! The ways out of the product, and what is found on them.

use super::scanner::{Scanner, Secret};
use crate::support::{Installation, Repository, Server};
use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlet {
    Repository,
    /// The log and the answers of the listener.
    Page,
    /// The data directory.
    Data,
    /// What a command prints or writes.
    Command,
}

/// Where one looks: which way out, what of it, and its bytes.
pub(super) type Outflow = (Outlet, String, Vec<u8>);

/// A secret that is somewhere.
#[derive(Debug, Clone)]
pub(super) struct Leak {
    mode: &'static str,
    pub(super) outlet: Outlet,
    pub(super) file: String,
    place: String,
    pub(super) form: &'static str,
    /// What stands before it.
    after: String,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mode,
            outlet,
            file,
            place,
            form,
            after,
        } = self;
        write!(f, "{mode}: {outlet:?}, {file}: {place}, {form}, after {after:?}")
    }
}

/// Everything that a Git object store gives away: history with patches, all objects, names of refs.
pub(super) fn repository_outlets(outlet: Outlet, repository: &Repository) -> Vec<Outflow> {
    let bytes = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("--git-dir")
            .arg(repository.path())
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = git.output().expect("git can be started");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let history = ["log", "-p", "--all", "--text", "--no-renames", "--format=fuller"];
    vec![
        (outlet, "git log -p".into(), bytes(&history)),
        (
            outlet,
            "objects".into(),
            bytes(&["cat-file", "--batch-all-objects", "--batch"]),
        ),
        (outlet, "refs".into(), bytes(&["for-each-ref"])),
    ]
}

/// Every file below a directory, as it lies there.
pub(super) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        match fs::symlink_metadata(&path).expect("the file is there") {
            found if found.is_dir() => files.extend(files_below(&path)),
            found if found.is_file() => files.push(path),
            _ => {}
        }
    }
    files
}

/// The data directory: its files as they are, and the objects of the local Git stores.
pub(super) fn data_outlets(site: &Installation) -> Vec<Outflow> {
    let mut outlets = Vec::new();
    let mut stores = BTreeSet::new();
    for path in files_below(&site.data_dir()) {
        if path.extension().is_some_and(|kind| kind == "pack") {
            stores.extend(path.ancestors().nth(2).map(Path::to_owned));
        }
        let name = path
            .strip_prefix(site.data_dir())
            .expect("it lies below")
            .display()
            .to_string();
        outlets.push((Outlet::Data, name, fs::read(&path).expect("the file can be read")));
    }
    assert!(
        outlets
            .iter()
            .any(|(_, name, content)| name == "mirror.sqlite" && !content.is_empty())
    );
    // The stores are not repositories; one that borrows their objects shows them.
    for (number, store) in stores.iter().enumerate() {
        let borrower = site.path(&format!("borrower-{number}.git"));
        drop(fs::remove_dir_all(&borrower));
        let borrower = Repository::init(borrower);
        let alternates = format!("{}\n", store.display());
        fs::write(borrower.path().join("objects/info/alternates"), alternates).expect("it was just made");
        outlets.extend(repository_outlets(Outlet::Data, &borrower));
    }
    outlets
}

pub(super) async fn page_outlets(server: &Server) -> Vec<Outflow> {
    let mut outlets = vec![(
        Outlet::Page,
        "log".to_owned(),
        server.log().join("\n").into_bytes(),
    )];
    for path in ["/v1/status", "/metrics", "/livez", "/readyz"] {
        let answer = server.get(path).await.expect("it answers");
        assert_eq!(answer.status, 200, "{path}");
        outlets.push((Outlet::Page, path.to_owned(), answer.body.into_bytes()));
    }
    outlets
}

/// Lists what of the secrets is in the outlets.
pub(super) fn leaks(scanner: &Scanner, mode: &'static str, outlets: &[Outflow]) -> Vec<Leak> {
    let mut leaks = Vec::new();
    for (outlet, file, content) in outlets {
        for (place, form, after) in scanner.find(content) {
            leaks.push(Leak {
                mode,
                outlet: *outlet,
                file: file.clone(),
                place,
                form,
                after,
            });
        }
    }
    leaks
}

#[track_caller]
pub(super) fn no_leaks(secrets: &[Secret], outlets: &[Outflow]) {
    let found: Vec<String> = leaks(&Scanner::new(secrets), "encrypted", outlets)
        .iter()
        .map(Leak::to_string)
        .collect();
    assert!(
        found.is_empty(),
        "{} secrets left:\n{}",
        found.len(),
        found.join("\n")
    );
}
