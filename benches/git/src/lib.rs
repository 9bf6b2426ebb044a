//! Inputs of the Git benches, by seed, and the processor's clock.

pub mod figures;
pub mod peers;

use anyhow::{Context, Result, ensure};
use mirror_core::{
    batch::{MirrorBatch, RenderedBatch, Subject},
    commit::{CommitDraft, CommitFacts, GuardedMessage, Overwrites},
    cut::{Cut, LaneCursor, LogId, Position},
    digest::RenderDigest,
    document::{Context as JudgedIn, DocumentKind},
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    ids::{BranchId, ComponentId, ConfigId, LaneId, MirrorId, ObjectKey, ProjectId, Stack},
    inventory::Inventory,
    layout::{RawFile, Rendered},
    marker::TagKey,
    path::OwnedPaths,
    redaction::{Redaction, SecretsMode},
};
use nix::sys::resource::{UsageWho, getrusage};
use std::{
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Numbers that look random and are the same in every run (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    #[must_use]
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

const WORDS: [&str; 16] = [
    "customer",
    "orders",
    "invoice",
    "region",
    "status",
    "amount",
    "created",
    "updated",
    "source",
    "target",
    "incremental",
    "columns",
    "primary",
    "bucket",
    "transformation",
    "parameters",
];

/// Returns a path below `configs/`, with at most some hundred entries in any directory.
#[must_use]
pub fn path(number: u64, files: u64) -> String {
    let directories = (files / 30).max(1);
    let directory = number % directories;
    format!(
        "configs/main/c{:03}/s{:02}/{number:08}.json",
        directory / 100,
        directory % 100
    )
}

/// Returns a configuration-like file of `bytes` to four times as many bytes.
#[must_use]
pub fn content(number: u64, bytes: usize) -> String {
    let mut random = Random(number);
    let word = |random: &mut Random| WORDS[usize::try_from(random.below(16)).unwrap_or_default()];
    let target = bytes + usize::try_from(random.below(3 * bytes as u64 + 1)).unwrap_or_default();
    let mut text = format!("{{\n  \"id\": \"{number}\",\n");
    while text.len() < target {
        let (key, first, second) = (word(&mut random), word(&mut random), word(&mut random));
        let value = random.below(1 << 40);
        let line = writeln!(
            text,
            "  \"{key}_{}\": \"{first} {second} {value:x}\",",
            value % 97
        );
        line.unwrap_or_default();
    }
    text.push_str("  \"end\": null\n}\n");
    text
}

fn redaction() -> Redaction {
    Redaction::new(SecretsMode::Masked, TagKey::none())
}

/// Takes files through all stages, as batches of so many.
///
/// # Panics
/// A file that a stage withholds.
#[must_use]
pub fn batches(files: &[(String, String)], per_batch: usize) -> Vec<MirrorBatch> {
    let judged = JudgedIn {
        stack: Stack::parse("connection.example.com").expect("a host name"),
        project: ProjectId::parse("1").expect("an id"),
        branch: BranchId::parse("2").expect("an id"),
    };
    let component = ComponentId::parse("keboola.ex-bench").expect("an id");
    let batch = |files: &[(String, String)]| {
        let objects = files.iter().map(|(path, content)| {
            let config = ConfigId::parse(&path.replace('/', "-")).expect("an id");
            let component = component.clone();
            let file = RawFile {
                path: path.clone(),
                kind: DocumentKind::Config,
                content: content.clone(),
            };
            let rendered = Rendered {
                files: vec![file],
                entries: Vec::new(),
            };
            (Subject::Object(ObjectKey::Config { component, config }), rendered)
        });
        let (rendered, withheld) =
            RenderedBatch::new(judged.clone(), &OwnedPaths::new(None), objects.collect());
        assert!(withheld.is_empty(), "no path is refused");
        let none = |_| Verdict::Findings(Vec::new());
        let verdicts = rendered.documents().iter().map(none).collect();
        let (redacted, _) = rendered.redact(verdicts, &redaction());
        let (filtered, _) = redacted.choose(Vec::new());
        let (batch, withheld) = filtered.guard(&Guard::new(&KnownSecrets::new()));
        assert!(withheld.is_empty(), "no file has a secret");
        batch
    };
    files.chunks(per_batch).map(batch).collect()
}

/// Returns the message of a commit.
///
/// # Panics
/// Never: the ids are well-formed.
#[must_use]
pub fn message(through: u64) -> GuardedMessage {
    let lane = LaneId {
        mirror: MirrorId::parse("m").expect("an id"),
        branch: BranchId::parse("2").expect("an id"),
    };
    let log = LogId::parse("log-1").expect("an id");
    let now = "2026-01-02T03:04:05Z".parse().expect("a time");
    let cut = Cut {
        snapshot: true,
        change_through: Position(through),
        ..Cut::of(&lane.mirror, &LaneCursor::start(log), &[], now)
    };
    let facts = CommitFacts {
        lane: &lane,
        project: &ProjectId::parse("1").expect("an id"),
        cut: &cut,
        render: &RenderDigest::parse(&"0".repeat(32)).expect("a digest"),
        owned: &mirror_core::path::OwnedPaths::new(None),
        parent_committed_at: None,
        changes: Vec::new(),
        inventory: Inventory::default(),
        overwrites: Overwrites::default(),
    };
    CommitDraft::new(facts).seal(Vec::new(), &redaction(), &Guard::new(&KnownSecrets::new()))
}

/// What something took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Of the processor, by this process and by those that it waited for.
    pub cpu: Duration,
    pub wall: Duration,
}

/// Runs something and says what it took.
///
/// # Errors
/// Its own, or a system that does not count.
pub fn measure<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let (cpu, start) = (cpu()?, Instant::now());
    let done = work()?;
    let cost = Cost {
        wall: start.elapsed(),
        cpu: self::cpu()?.saturating_sub(cpu),
    };
    Ok((done, cost))
}

fn cpu() -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            let micros = u32::try_from(time.tv_usec()).context("a time within a second")?;
            let seconds = u64::try_from(time.tv_sec()).context("a time after the start")?;
            sum += Duration::new(seconds, micros * 1000);
        }
    }
    Ok(sum)
}

/// Runs `git`, which must succeed, with something on its standard input; returns what it prints.
///
/// # Errors
/// A `git` that is missing or fails.
pub fn git(directory: &Path, args: &[&str], input: &[u8]) -> Result<String> {
    let mut command = Command::new("git");
    command.current_dir(directory).args(args);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Bench");
        command.env(format!("GIT_{role}_EMAIL"), "bench@example.com");
        command.env(format!("GIT_{role}_DATE"), "1700000000 +0000");
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output()
    })?;
    ensure!(output.status.success(), "git {args:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
