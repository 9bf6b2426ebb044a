//! The whole way through the public interface: batches and messages as the pipeline makes them, to a clone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mirror_core::{
    batch::{MirrorBatch, RenderedBatch, Subject},
    commit::{CommitDraft, CommitFacts, GuardedMessage},
    cut::{Cut, LaneCursor, LogId, Position},
    digest::RenderDigest,
    document::{Context, DocumentKind},
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    ids::{BranchId, ComponentId, ConfigId, LaneId, MirrorId, ObjectKey, Oid, ProjectId, Stack},
    inventory::Inventory,
    layout::{RawFile, Rendered},
    marker::TagKey,
    path::{MirrorPath, OwnedPaths},
    redaction::{Redaction, SecretsMode},
};
use mirror_git::{FetchScope, HistoryEnd, LocalBare, RefName, Remote, Store, TreeOutcome};
use std::{path::Path, process::Command};

fn redaction() -> Redaction {
    Redaction::new(SecretsMode::Masked, TagKey::none())
}

/// Takes files through all stages; none of them holds a secret.
fn batch(files: &[(&str, &str)]) -> MirrorBatch {
    let context = Context {
        stack: Stack::parse("connection.keboola.com").unwrap(),
        project: ProjectId::parse("1").unwrap(),
        branch: BranchId::parse("2").unwrap(),
    };
    let objects = files.iter().zip(0..).map(|((path, content), number)| {
        let component = ComponentId::parse("keboola.ex-test").unwrap();
        let config = ConfigId::parse(&format!("{number}")).unwrap();
        let file = RawFile {
            path: (*path).to_owned(),
            kind: DocumentKind::Config,
            content: (*content).to_owned(),
        };
        let subject = Subject::Object(ObjectKey::Config { component, config });
        (
            subject,
            Rendered {
                files: vec![file],
                entries: Vec::new(),
            },
        )
    });
    let (rendered, withheld) = RenderedBatch::new(context, &OwnedPaths::new(None), objects.collect());
    assert_eq!(withheld, []);
    let verdicts = rendered
        .documents()
        .iter()
        .map(|_| Verdict::Findings(Vec::new()))
        .collect();
    let (redacted, withheld) = rendered.redact(verdicts, &redaction());
    assert_eq!(withheld, []);
    let (filtered, _) = redacted.choose(Vec::new());
    let (batch, withheld) = filtered.guard(&Guard::new(&KnownSecrets::new()));
    assert_eq!(withheld, []);
    batch
}

fn message(through: u64) -> GuardedMessage {
    let log = LogId::parse("log-1").unwrap();
    let lane = LaneId {
        mirror: MirrorId::parse("m").unwrap(),
        branch: BranchId::parse("2").unwrap(),
    };
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let cut = Cut {
        snapshot: true,
        change_through: Position(through),
        ..Cut::of(&lane.mirror, &LaneCursor::start(log), &[], now)
    };
    let facts = CommitFacts {
        lane: &lane,
        project: &ProjectId::parse("1").unwrap(),
        cut: &cut,
        render: &RenderDigest::parse(&"0".repeat(32)).unwrap(),
        parent_committed_at: None,
        changes: Vec::new(),
        inventory: Inventory::default(),
    };
    CommitDraft::new(facts).seal(Vec::new(), &redaction(), &Guard::new(&KnownSecrets::new()))
}

fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output();
    let output = output.expect("tests need git");
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

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
