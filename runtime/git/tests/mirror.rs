//! The whole way through the public interface: batches and messages as the pipeline makes them, to a clone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use mirror_core::{ids::Oid, path::MirrorPath};
use mirror_git::{FetchScope, HistoryEnd, LocalBare, RefName, Remote, Store, TreeOutcome};
use support::{batch, git, message};

fn mirror(
    store: &Store,
    remote: &LocalBare,
    through: u64,
    files: &[(&str, &str)],
) -> (TreeOutcome, Vec<(MirrorPath, Oid)>) {
    let main = RefName::branch("main").unwrap();
    let tip = remote.tip(&main).unwrap();
    let mut draft = store.draft();
    let base = tip.map(|tip| draft.tree_of(tip).unwrap());
    let mut writer = draft.tree_writer(base).unwrap();
    let written = writer.write(batch(files)).unwrap();
    let outcome = writer.finish().unwrap();
    if outcome.changed {
        let parents: Vec<Oid> = tip.into_iter().collect();
        let commit = draft.commit(outcome.tree, &parents, &message(through)).unwrap();
        let push = draft.into_push(main, tip, commit).unwrap();
        store.save(&push).unwrap();
        remote.push(&push).unwrap();
        store.confirm(push).unwrap();
    } else {
        assert!(draft.is_empty());
    }
    (outcome, written)
}

#[test]
fn guarded_batches_become_commits_that_git_clones() {
    let directory = tempfile::tempdir().unwrap();
    let main = RefName::branch("main").unwrap();
    let remote = LocalBare::init(&directory.path().join("remote.git"), &main).unwrap();
    let store = Store::open_or_create(&directory.path().join("store")).unwrap();
    let first = [
        ("configs/main/a/config.json", "{\n  \"a\": 1\n}\n"),
        ("configs/main/b/config.json", "{}\n"),
    ];
    let (outcome, written) = mirror(&store, &remote, 1, &first);
    assert_eq!((outcome.added, outcome.changed), (2, true));
    let paths: Vec<String> = written.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, first.map(|(path, _)| path));

    let (outcome, _) = mirror(&store, &remote, 2, &first);
    assert_eq!((outcome.changed, outcome.objects), (false, 0));
    let (outcome, _) = mirror(
        &store,
        &remote,
        3,
        &[("configs/main/a/config.json", "{\n  \"a\": 2\n}\n")],
    );
    assert_eq!((outcome.added, outcome.modified, outcome.deleted), (0, 1, 0));

    git(directory.path(), &["clone", "--quiet", "remote.git", "clone"]);
    let clone = directory.path().join("clone");
    assert_eq!(git(&clone, &["fsck", "--strict"]), "");
    assert_eq!(
        std::fs::read_to_string(clone.join(first[0].0)).unwrap(),
        "{\n  \"a\": 2\n}\n"
    );
    let trailers = "--format=%(trailers:key=Mirror-Through,valueonly,separator=%x2c)";
    assert_eq!(
        git(&clone, &["log", trailers]),
        "change=3 jobs=0\nchange=1 jobs=0"
    );

    let tip = remote.tip(&main).unwrap().unwrap();
    let history = store.history(tip, 10).unwrap();
    assert_eq!((history.commits.len(), history.end), (2, HistoryEnd::Root));
    assert_eq!(history.commits[0].message, message(3).message());
    assert_eq!(history.commits[0].committer.time, message(3).committer().time());
}

#[test]
fn equal_work_on_another_machine_gives_the_equal_commit() {
    let run = || {
        let directory = tempfile::tempdir().unwrap();
        let main = RefName::branch("main").unwrap();
        let remote = LocalBare::init(&directory.path().join("remote.git"), &main).unwrap();
        let store = Store::open_or_create(&directory.path().join("store")).unwrap();
        mirror(&store, &remote, 1, &[("configs/main/x/config.json", "{}\n")]);
        drop(store);
        // Another worker, with an empty store, takes over.
        let store = Store::open_or_create(&directory.path().join("other")).unwrap();
        let tip = remote.tip(&main).unwrap().unwrap();
        remote
            .fetch(tip, &store, FetchScope::TreesOnly { commits_max: 1 })
            .unwrap();
        mirror(&store, &remote, 2, &[("configs/main/y/config.json", "{}\n")]);
        remote.tip(&main).unwrap()
    };
    assert_eq!(run(), run());
}
