//! Trees of strangers: more paths than there is room for, and things where directories are to be.

use super::*;
use crate::{
    FetchScope, Remote,
    testing::{Mirror, git_fed, path},
};

/// A mirror whose remote has a commit of a tree that somebody else made, of lines as `git mktree -z` takes them.
fn with_tree(mirror: &Mirror, entries: &[u8]) -> Oid {
    let tree = mktree(mirror, entries);
    let commit = mirror.git(&["commit-tree", "-m", "theirs", &tree]);
    mirror.git(&["update-ref", "refs/heads/main", &commit]);
    let scope = FetchScope::TreesOnly { commits_max: 1 };
    mirror
        .remote
        .fetch(Oid::parse(&commit).unwrap(), &mirror.store, scope)
        .unwrap();
    Oid::parse(&tree).unwrap()
}

fn written(mirror: &Mirror, args: &[&str], input: &[u8]) -> String {
    let written = git_fed(mirror.remote.path(), args, input).stdout;
    String::from_utf8(written).unwrap().trim().to_owned()
}

fn mktree(mirror: &Mirror, entries: &[u8]) -> String {
    written(mirror, &["mktree", "-z"], entries)
}

fn blob(mirror: &Mirror) -> String {
    written(mirror, &["hash-object", "-w", "--stdin"], b"theirs")
}

/// Makes a tree in which ten thousand million paths lie, of ten small ones.
fn bomb(mirror: &Mirror) -> String {
    let file = blob(mirror);
    let mut tree = mktree(mirror, format!("100644 blob {file}\tf\0").as_bytes());
    for _ in 0..10 {
        let entries: String = (0..10).map(|at| format!("040000 tree {tree}\td{at}\0")).collect();
        tree = mktree(mirror, entries.as_bytes());
    }
    tree
}

#[test]
fn a_few_trees_that_say_millions_of_paths_are_not_walked_to_the_end() {
    let mirror = Mirror::new();
    let (bomb, file) = (bomb(&mirror), blob(&mirror));
    let entries = format!("100644 blob {file}\tREADME.md\0040000 tree {bomb}\tjobs\0");
    let tree = with_tree(&mirror, entries.as_bytes());
    let jobs = path("jobs");
    let budget = Budget::with(Some(&jobs), 1_000);
    let walked = Files::within(&mirror.store, tree, Some(&jobs), budget).unwrap();
    let walked: Vec<_> = walked.collect();
    assert!(walked.len() <= 1_000, "{}", walked.len());
    let (last, files) = walked.split_last().unwrap();
    assert!(files.iter().all(Result::is_ok));
    let error = last.as_ref().unwrap_err();
    assert!(!error.is_damage());
    assert_eq!(error.disposition(), crate::Disposition::NeedsCustomer);
    let text = error.to_string();
    assert!(text.contains("paths below `jobs`"), "{text}");

    // Where both have it, it is not entered; and where it goes, each of its trees is counted once.
    let mut draft = mirror.store.draft();
    let mut writer = draft.tree_writer(Some(tree)).unwrap();
    writer
        .write_files(&[(path("configs/x"), "1"), (path("README.md"), "2")])
        .unwrap();
    let outcome = writer.finish().unwrap();
    let changed = draft.differences(Some(tree), outcome.tree, None).unwrap();
    let changed: Vec<_> = changed.map(|file| file.unwrap().path).collect();
    assert_eq!(changed, [b"README.md".to_vec(), b"configs/x".to_vec()]);
    let mut writer = draft.tree_writer(Some(tree)).unwrap();
    writer.delete_below(&jobs).unwrap();
    assert_eq!(writer.finish().unwrap().deleted, 10_000_000_000);
}

#[test]
fn a_path_that_is_longer_than_any_is_not_walked() {
    let mirror = Mirror::new();
    let file = blob(&mirror);
    let mut tree = mktree(&mirror, format!("100644 blob {file}\tf\0").as_bytes());
    let name = "n".repeat(200);
    for _ in 0..=PATH_BYTES_MAX / 200 {
        tree = mktree(&mirror, format!("040000 tree {tree}\t{name}\0").as_bytes());
    }
    let tree = with_tree(&mirror, format!("040000 tree {tree}\tjobs\0").as_bytes());
    let mut walked = mirror.store.files_below(tree, None).unwrap();
    let text = walked.next().unwrap().unwrap_err().to_string();
    assert!(text.contains("a path of more than"), "{text}");
}

#[test]
fn what_stands_where_a_directory_is_to_be_is_found() {
    let mirror = Mirror::new();
    let (file, module) = (blob(&mirror), "1".repeat(40));
    let inner = mktree(&mirror, format!("120000 blob {file}\tq\0").as_bytes());
    let entries = format!(
        "100644 blob {file}\tfile\0120000 blob {file}\tlink\0160000 commit {module}\tmodule\0040000 tree {inner}\tp\0"
    );
    let tree = with_tree(&mirror, entries.as_bytes());
    for (directory, expected) in [
        ("file", Some("file")),
        ("file/x/y", Some("file")),
        ("link/x", Some("link")),
        ("module", Some("module")),
        ("p/q/r", Some("p/q")),
        ("p", None),
        ("p/other", None),
        ("nothing/here", None),
    ] {
        let found = mirror.store.obstacle(tree, &path(directory)).unwrap();
        assert_eq!(found.as_deref(), expected, "{directory}");
    }
}

#[test]
fn differences_are_those_that_git_tells() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a/x", "1"), ("a/y", "2"), ("b", "3"), ("c/d/e", "4")]);
    let second = mirror.push("second", &[("a/x", "9"), ("b", "-"), ("b/z", "5"), ("c/f", "6")]);
    let tree = |commit| mirror.store.commit(commit).unwrap().tree;
    let told = |directory: Option<&str>| {
        let directory = directory.map(path);
        let found = mirror
            .store
            .differences(Some(tree(first)), tree(second), directory.as_ref())
            .unwrap();
        let letter = |file: &FileDifference| match (file.before, file.after) {
            (Some(_), Some(_)) => 'M',
            (Some(_), None) => 'D',
            (None, _) => 'A',
        };
        let found = found.map(Result::unwrap);
        let lines = found.map(|file| format!("{}\t{}\n", letter(&file), String::from_utf8_lossy(&file.path)));
        lines.collect::<String>()
    };
    let range = format!("{first}..{second}");
    let by_git = mirror.git(&["diff", "--name-status", "--no-renames", &range]);
    assert_eq!(told(None), format!("{by_git}\n"));
    assert_eq!(told(Some("c")), "A\tc/f\n");
    assert_eq!(told(Some("b")), "A\tb/z\n");
    assert_eq!(told(Some("nothing")), "");
}
