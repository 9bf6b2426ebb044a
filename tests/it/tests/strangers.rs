//! What strangers put into the repository: nothing of theirs is deleted unasked, and no tree of theirs takes the process down.

use crate::support::{self, Installation, Keboola, MIRROR, Options, Repository};
use serde_json::Value;
use std::{io::Write, process::Stdio};

fn site() -> Installation {
    let options = Options {
        dev_branches: false,
        keboola: "visible_within_ms = 0",
        ..Options::default()
    };
    Installation::new(&Keboola::small(), options)
}

/// Runs `git` with input; returns its output.
fn fed(repository: &Repository, arguments: &[&str], input: &[u8]) -> String {
    let mut child = std::process::Command::new("git")
        .args(["-c", "user.name=Theirs", "-c", "user.email=theirs@example.com"])
        .arg("--git-dir")
        .arg(repository.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input).expect("git reads it");
    drop(stdin);
    let output = child.wait_with_output().expect("git ends");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn blob(repository: &Repository) -> String {
    fed(repository, &["hash-object", "-w", "--stdin"], b"theirs\n")
}

fn tree(repository: &Repository, entries: &[u8]) -> String {
    fed(repository, &["mktree", "-z", "--missing"], entries)
}

/// Puts entries, as `git mktree -z` takes them, at the root of the branch, beside what it has.
fn put(repository: &Repository, entries: &[u8]) -> String {
    let parent = repository.tip("main");
    let mut all = Vec::new();
    if let Some(parent) = &parent {
        let there = repository.try_git(&["ls-tree", "-z", parent]).ok();
        // Later entries of the same name win.
        let mut added = Vec::new();
        for entry in entries.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            let name = entry.splitn(2, |byte| *byte == b'\t').nth(1);
            added.push(name.expect("an entry has a name").to_vec());
        }
        for entry in there.split('\0').filter(|entry| !entry.is_empty()) {
            let (_, name) = entry.split_once('\t').expect("an entry has a name");
            if !added.iter().any(|added| added == name.as_bytes()) {
                all.extend(entry.bytes());
                all.push(0);
            }
        }
    }
    all.extend(entries);
    let root = tree(repository, &all);
    let mut arguments = vec!["commit-tree", &root, "-m", "Theirs"];
    if let Some(parent) = &parent {
        arguments.extend(["-p", parent]);
    }
    let commit = fed(repository, &arguments, b"");
    repository.reset("main", &commit);
    commit
}

/// Makes a tree in which ten thousand million paths lie, of ten small ones.
fn bomb(repository: &Repository) -> String {
    let mut made = tree(
        repository,
        format!("100644 blob {}\tf\0", blob(repository)).as_bytes(),
    );
    for _ in 0..10 {
        let entries: String = (0..10).map(|at| format!("040000 tree {made}\td{at}\0")).collect();
        made = tree(repository, entries.as_bytes());
    }
    made
}

/// Runs `verify`; returns its exit code and what it told.
fn verify(site: &Installation) -> (Option<i32>, Value) {
    let output = site.ask(&["verify", "--json", "--mirror", MIRROR]);
    let told = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_where_a_directory_must_be_is_refused_like_files_in_it() {
    for (name, entry) in [
        ("configs", "100644 blob"),
        ("ai", "120000 blob"),
        ("storage", "160000 commit"),
        ("jobs", "100644 blob"),
    ] {
        let mut site = site();
        let id = match entry {
            "160000 commit" => "1".repeat(40),
            _ => blob(&site.repository),
        };
        let theirs = put(&site.repository, format!("{entry} {id}\t{name}\0").as_bytes());
        let output = site.once();
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        for part in [format!("`{name}`").as_str(), "not the mirror's", "`adopt = true`"] {
            assert!(output.stderr.contains(part), "{name}: {output:?}");
        }
        assert_eq!(site.repository.tip("main"), Some(theirs), "{name}");

        site.configure(|options| options.adopt = true);
        site.once().ok();
        let log = site.repository.log("main");
        let message = &log[0].message;
        assert!(
            message.contains(&format!(
                "of somebody else in the mirror's directories: `{name}`."
            )),
            "{message}"
        );
        site.repository.fsck();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_of_the_prefix_is_ever_deleted() {
    for adopt in [false, true] {
        let mut site = site();
        let file = blob(&site.repository);
        let theirs = put(&site.repository, format!("100644 blob {file}\tp\0").as_bytes());
        site.configure(|options| {
            options.mirror = "prefix = \"p/q\"";
            options.adopt = adopt;
        });
        let output = site.once();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        for part in ["`p` on branch", "not the mirror's", "`prefix`"] {
            assert!(output.stderr.contains(part), "{output:?}");
        }
        assert_eq!(site.repository.tip("main"), Some(theirs));
    }
    // Nor where the mirror had written before.
    let mut site = site();
    site.configure(|options| options.mirror = "prefix = \"p/q\"");
    site.once().ok();
    let file = blob(&site.repository);
    let theirs = put(&site.repository, format!("120000 blob {file}\tp\0").as_bytes());
    let output = site.once();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("`p` on branch"), "{output:?}");
    assert_eq!(site.repository.tip("main"), Some(theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn millions_of_paths_beside_the_mirrors_directories_are_not_looked_at() {
    let site = site();
    site.once().ok();
    let bomb = bomb(&site.repository);
    put(&site.repository, format!("040000 tree {bomb}\tbomb\0").as_bytes());
    site.keboola.set(&site.keboola.orders(), support::JANE, "z", 2);
    let (code, told) = verify(&site);
    assert_eq!(code, Some(3), "{told}");
    site.once().ok();
    assert_eq!(verify(&site).0, Some(0));
    assert!(site.repository.git(&["ls-tree", "main", "bomb"]).contains(&bomb));
}

#[tokio::test(flavor = "multi_thread")]
async fn millions_of_paths_in_the_mirrors_directories_are_told_and_not_walked() {
    let site = site();
    site.once().ok();
    let before = site.repository.tip("main").expect("it is mirrored");
    let bomb = bomb(&site.repository);
    put(&site.repository, format!("040000 tree {bomb}\tjobs\0").as_bytes());
    let output = site.once();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("paths below `jobs`"), "{output:?}");
    let output = site.ask(&["verify", "--mirror", MIRROR]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("paths below `jobs`"), "{output:?}");
    // Once it is gone all is well.
    let back = site.repository.git(&["rev-parse", &format!("{before}^{{tree}}")]);
    let tip = site.repository.tip("main").expect("it is there");
    let commit = fed(
        &site.repository,
        &["commit-tree", &back, "-p", &tip, "-m", "Mend it"],
        b"",
    );
    site.repository.reset("main", &commit);
    site.once().ok();
    assert_eq!(verify(&site).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_any_name_in_the_mirrors_directories_are_seen_deleted_and_named() {
    let site = site();
    site.once().ok();
    let repository = &site.repository;
    let inside = |directory: &str, more: &[u8]| {
        let there = repository.git(&["ls-tree", "-z", &format!("main:{directory}")]);
        let mut entries = there.into_bytes();
        entries.extend(more);
        let made = tree(repository, &entries);
        put(
            repository,
            format!("040000 tree {made}\t{directory}\0").as_bytes(),
        )
    };
    let file = blob(repository);
    let mut entry = format!("100644 blob {file}\t").into_bytes();
    entry.extend(b"not utf-8 \xff\0");
    entry.extend(format!("100644 blob {file}\tmine.txt\0100644 blob {file}\t.gitattributes\0").bytes());
    inside("storage", &entry);
    let (code, told) = verify(&site);
    assert_eq!(code, Some(3), "{told}");
    let differences = told["branches"][0]["differences"].as_array().expect("a list");
    let paths: Vec<&str> = differences
        .iter()
        .map(|one| one["path"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        paths,
        [
            "storage/.gitattributes",
            "storage/mine.txt",
            "storage/not utf-8 \u{fffd}"
        ]
    );
    site.once().ok();
    let message = &repository.log("main")[0].message;
    assert!(
        message.contains("Deletes 3 files of somebody else in the mirror's directories: `storage/.gitattributes`, `storage/mine.txt`, `storage/not utf-8 \u{fffd}`."),
        "{message}"
    );
    assert_eq!(verify(&site).0, Some(0));
}
