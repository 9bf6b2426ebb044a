//! What tests of the public interface share: batches and messages as the pipeline makes them, and the `git` program.

use mirror_core::{
    batch::{MirrorBatch, RenderedBatch, Subject},
    commit::{CommitDraft, CommitFacts, GuardedMessage, Overwrites},
    cut::{Cut, LaneCursor, LogId, Position},
    digest::RenderDigest,
    document::{Context, DocumentKind},
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    ids::{BranchId, ComponentId, ConfigId, LaneId, MirrorId, ObjectKey, ProjectId, Stack},
    inventory::Inventory,
    layout::{RawFile, Rendered},
    marker::TagKey,
    path::OwnedPaths,
    redaction::{Redaction, SecretsMode},
};
use std::{path::Path, process::Command};

fn redaction() -> Redaction {
    Redaction::new(SecretsMode::Masked, TagKey::none())
}

/// Takes files through all stages; none of them holds a secret.
pub(crate) fn batch(files: &[(&str, &str)]) -> MirrorBatch {
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

pub(crate) fn message(through: u64) -> GuardedMessage {
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
        owned: &mirror_core::path::OwnedPaths::new(None),
        parent_committed_at: None,
        changes: Vec::new(),
        inventory: Inventory::default(),
        overwrites: Overwrites::default(),
    };
    CommitDraft::new(facts).seal(Vec::new(), &redaction(), &Guard::new(&KnownSecrets::new()))
}

pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "Somebody"),
            ("GIT_AUTHOR_EMAIL", "s@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "Somebody"),
            ("GIT_COMMITTER_EMAIL", "s@example.com"),
        ])
        .output();
    let output = output.expect("tests need git");
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
