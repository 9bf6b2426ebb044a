//! How much does job history make a repository grow? `cargo xtask job-history`.
//!
//! A month of runs of a project goes through the lane's own state machine, the renderer, the memory and
//! the Git engine, at several settings; then `git repack -ad` says what a host keeps, and `-adf` what it would if it
//! looked for deltas anew. The time of the
//! month is made up, so it takes minutes. The policies are left out: nothing in these runs is secret.

#![expect(clippy::print_stdout, reason = "a command for people at a terminal")]

use anyhow::{Context as _, Result, bail};
use jiff::{SignedDuration, Timestamp};
use layout_renderer as layout;
use mirror_core::{
    batch::{MirrorBatch, RenderedBatch, Subject},
    commit::{CommitDraft, CommitFacts, Overwrites},
    cut::{ConfigKey, Cut, LaneCursor, LogId, Position, Stream},
    digest::RenderDigest,
    document::{Context, DocumentKind},
    event::RunStatus,
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    ids::{ComponentId, ConfigId, LaneId, MirrorId, Oid},
    jobs::standing::RunEnd,
    lane::{Action, AttemptEnd, Lane, LaneStart, Wake},
    layout::{Entry, IndexKind, RawFile, Rendered},
    marker::TagKey,
    path::{MirrorPath, OwnedPaths},
    redaction::{Redaction, SecretsMode},
    retry::Jitter,
    window::WindowMode,
};
use mirror_git::{LocalBare, RefName, Remote, Store};
use mirror_runtime::{
    config::{JobsCadence, JobsLayout, JobsLog, JobsSpec},
    pipeline::memory::{Memory, Shard},
    runner::cadence::Cadence,
};
use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const DAYS: u32 = 30;
const RUNS_A_DAY: u32 = 3_334;
const CONFIGURATIONS: u32 = 400;
const ERRORS_PERCENT: u32 = 5;
const FIRST_DAY: &str = "2026-06-01T00:00:00Z";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let days: u32 = match arguments.next() {
        Some(days) => days.parse().context("the second argument is a number of days")?,
        None => DAYS,
    };
    println!(
        "| setting | days | runs | commits | pushed MB | packed MB | deltas anew MB | packed B/run | estimated MB | tree MB | state kB | runs with a line | days with totals | seconds |"
    );
    println!(
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let every = JobsCadence::Every { ms: 15 * 60 * 1000 };
    for (name, cadence, budget, percent) in [
        ("default", every, JobsSpec::BUDGET_BYTES_MONTH, 100),
        ("default, without a budget", every, 0, 100),
        // Commits of the 30 s window are so many that a tenth of the month must do.
        ("window, without a budget", JobsCadence::Window, 0, 10),
        ("window", JobsCadence::Window, JobsSpec::BUDGET_BYTES_MONTH, 100),
        (
            "1h, without a budget",
            JobsCadence::Every { ms: 3_600_000 },
            0,
            100,
        ),
    ] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let spec = JobsSpec {
            cadence,
            layout: JobsLayout::DayFiles,
            log: JobsLog::Branch,
            keep_days: JobsSpec::KEEP_DAYS,
            budget_bytes_month: budget,
        };
        let days = (days * percent / 100).max(1);
        println!("{}", measure(name, spec, days)?);
    }
    Ok(())
}

fn measure(name: &str, spec: JobsSpec, days: u32) -> Result<String> {
    let began = Instant::now();
    let runs = runs(days);
    let mut mirror = Mirror::new(spec)?;
    mirror.play(&runs)?;
    let Mirror {
        directory,
        memory,
        commits,
        pushed,
        ..
    } = mirror;
    let remote = directory.path().join("remote.git");
    // What hosts do: deltas that are there stay.
    let repacked = |how: &str| -> Result<u64> {
        git(&remote, &["repack", how])?;
        git(&remote, &["prune-packed", "-q"])?;
        size(&remote.join("objects/pack"))
    };
    let packed = repacked("-adq")?;
    let anew = repacked("-adfq")?;
    let listed = git(&remote, &["ls-tree", "-r", "-l", "main"])?;
    let sizes = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    let tree: u64 = sizes.sum();
    let estimated = memory.spent().bytes;
    let state: usize = memory
        .rows()
        .map(|(key, value)| key.key.len() + value.map_or(0, |value| value.len()))
        .sum();
    let count = u64::try_from(runs.len())?;
    let told: usize = git(&remote, &["grep", "-c", "\"runId\"", "main", "--", "jobs/2026"])?
        .lines()
        .filter_map(|line| line.rsplit(':').next()?.parse::<usize>().ok())
        .sum();
    let totals = git(&remote, &["ls-tree", "-r", "--name-only", "main"])?;
    let totals = totals.lines().filter(|path| path.contains("-totals")).count();
    if told == 0 || (totals == 0 && told != runs.len()) {
        bail!("{name}: {told} of {count} runs are in the tree");
    }
    Ok(format!(
        "| {name} | {days} | {count} | {commits} | {} | {} | {} | {} | {} | {} | {} | {told} | {totals} | {} |",
        mega(pushed),
        mega(packed),
        mega(anew),
        packed / count,
        mega(estimated),
        mega(tree),
        state / 1000,
        began.elapsed().as_secs(),
    ))
}

fn mega(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes / 10_000 % 100)
}

fn size(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for file in std::fs::read_dir(directory)? {
        let file = file?;
        if file
            .path()
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            sum += file.metadata()?.len();
        }
    }
    Ok(sum)
}

fn git(directory: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()?;
    if !output.status.success() {
        bail!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A run that ended.
struct Run {
    id: String,
    end: RunEnd,
    /// As the Queue API tells it.
    source: String,
}

/// Numbers that are the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = u32::try_from(self.0 >> 32).unwrap_or(0);
        u32::try_from((u64::from(high) * u64::from(bound)) >> 32).unwrap_or(0)
    }
}

/// Makes runs of [`CONFIGURATIONS`] of which few run often and many run seldom, by the time they ended.
fn runs(days: u32) -> Vec<Run> {
    let mut random = Random(42);
    let weights: Vec<u32> = (0..CONFIGURATIONS).map(|rank| 100_000 / (rank + 5)).collect();
    let all: u32 = weights.iter().sum();
    let start: Timestamp = FIRST_DAY.parse().unwrap_or_default();
    let mut ends: Vec<u32> = (0..days * RUNS_A_DAY)
        .map(|_| random.below(days * 86_400))
        .collect();
    ends.sort_unstable();
    let mut job = 1_204_000_000_u64;
    ends.into_iter()
        .map(|second| {
            job += u64::from(1 + random.below(40));
            let mut drawn = random.below(all);
            let mut configuration = 0_u32;
            for weight in &weights {
                if drawn < *weight {
                    break;
                }
                drawn -= weight;
                configuration += 1;
            }
            run(
                &mut random,
                job,
                configuration,
                start + SignedDuration::from_secs(second.into()),
            )
        })
        .collect()
}

fn run(random: &mut Random, job: u64, number: u32, end: Timestamp) -> Run {
    const COMPONENTS: [&str; 6] = [
        "keboola.snowflake-transformation",
        "keboola.ex-db-mysql",
        "keboola.wr-db-snowflake",
        "keboola.ex-google-analytics-v4",
        "keboola.python-transformation-v2",
        "keboola.flow",
    ];
    let component = COMPONENTS[usize::try_from(number).unwrap_or(0) % COMPONENTS.len()];
    let config = format!("01k{number:05}rhcw3anmg57w2k2aj");
    let seconds = 20 + number + random.below(60);
    let failed = random.below(100) < ERRORS_PERCENT;
    let (status, native) = if failed {
        (RunStatus::Failed, "error")
    } else {
        (RunStatus::Success, "success")
    };
    let result = if failed {
        let row = random.below(1_000_000);
        format!(
            r#""message":"Query failed on line {row}: numeric value 'n/a' is not recognized in table orders_{number}","error":{{"type":"user"}}"#
        )
    } else {
        r#""message":"Component processing finished.","images":[]"#.to_owned()
    };
    let id = if random.below(3) == 0 {
        job.to_string()
    } else {
        format!("{}.{job}", job - u64::from(1 + random.below(9)))
    };
    let started = end - SignedDuration::from_secs(seconds.into());
    let source = format!(
        r#"{{"id":"{job}","runId":"{id}","status":"{native}","project":{{"id":"5678"}},"branchId":"1001","component":"{component}",
        "config":"{config}","createdTime":"{started}","startTime":"{started}","endTime":"{end}","durationSeconds":{seconds},"tag":"3.1.{}",
        "stateDigest":"{:08x}{:08x}{:08x}{:08x}",
        "result":{{{result},"configVersion":"{}","input":{{"tables":[{{"id":"in.c-shop.orders_{number}","columns":[{{"name":"id"}},{{"name":"price"}}]}}]}},
        "output":{{"tables":[{{"id":"out.c-shop.daily_{number}","columns":[{{"name":"day"}},{{"name":"sum"}}]}}]}}}}}}"#,
        number % 7,
        number,
        number.wrapping_mul(77_777),
        random.below(4),
        number ^ 0x5a5a,
        3 + number % 5,
    );
    let key = ConfigKey {
        component: ComponentId::parse(component).expect("an id"),
        config: ConfigId::parse(&config).expect("an id"),
    };
    Run {
        id,
        end: RunEnd {
            config: Some(key),
            status,
            finished_at: end,
        },
        source,
    }
}

/// A mirror of runs only.
struct Mirror {
    directory: tempfile::TempDir,
    store: Store,
    remote: LocalBare,
    spec: JobsSpec,
    settings: String,
    memory: Memory,
    lane: LaneId,
    cursor: LaneCursor,
    committed_at: Option<Timestamp>,
    commits: u64,
    pushed: u64,
}

impl Mirror {
    fn new(spec: JobsSpec) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let store = Store::open_or_create(&directory.path().join("store"))?;
        let remote = LocalBare::init(&directory.path().join("remote.git"), &main_ref()?)?;
        let context = mirror_benches::context();
        Ok(Self {
            directory,
            store,
            remote,
            spec,
            settings: serde_json::json!({ "jobs": spec.render_options() }).to_string(),
            memory: Memory::default(),
            lane: LaneId {
                mirror: MirrorId::parse("bench")?,
                branch: context.branch,
            },
            cursor: LaneCursor::start(LogId::parse("bench")?),
            committed_at: None,
            commits: 0,
            pushed: 0,
        })
    }

    /// Lets the runs end one after the other, and does what the lane's state machine asks for.
    fn play(&mut self, runs: &[Run]) -> Result<()> {
        let mut cadence = Cadence::new(WindowMode::EARLY, Some(self.spec));
        let begin: Timestamp = FIRST_DAY.parse()?;
        let start = LaneStart {
            cursor: self.cursor.clone(),
            change_mode: WindowMode::EARLY,
            jobs_mode: cadence.mode(),
            change_waiting: None,
            jobs_waiting: None,
            is_new: false,
            outage: None,
            paused: false,
        };
        let mut machine = Lane::new(start, begin);
        let mut told = 0;
        let mut now = begin;
        loop {
            let next = runs.get(told);
            let due = machine.next_due();
            let wake = match (next, due) {
                (None, None) => return Ok(()),
                (Some(run), due) if due.is_none_or(|due| run.end.finished_at <= due) => {
                    now = now.max(run.end.finished_at);
                    told += 1;
                    Wake::Arrived {
                        stream: Stream::Jobs,
                        position: Position(u64::try_from(told)?),
                        published_at: run.end.finished_at,
                        urgent: cadence.is_news(&run.end),
                    }
                }
                (_, Some(due)) => {
                    now = now.max(due);
                    Wake::Tick
                }
                (Some(_), None) => unreachable!("a run that is there comes before nothing"),
            };
            for action in machine.step(wake, now, Jitter(0)) {
                let Action::Start { .. } = action else { continue };
                let from = usize::try_from(self.cursor.jobs.0)?;
                self.attempt(&runs[from..told], now, u64::try_from(told)?)?;
                let took = Duration::from_secs(1);
                now += SignedDuration::from_secs(1);
                cadence.learn(&self.memory, self.cursor.jobs);
                cadence.follow(self.memory.spent(), now);
                machine.step(cadence.wake(), now, Jitter(0));
                let end = AttemptEnd::Mirrored {
                    cursor: self.cursor.clone(),
                    took: Some(took),
                };
                machine.step(Wake::AttemptDone(end), now, Jitter(0));
            }
        }
    }

    /// Commits runs as an attempt does.
    fn attempt(&mut self, runs: &[Run], now: Timestamp, through: u64) -> Result<()> {
        let context = layout_context();
        let objects: Vec<layout::PlacedObject> = runs.iter().map(placed).collect();
        let rendered = layout::render(&context, &self.settings, &objects)?;
        let mut shards: BTreeSet<Shard> = BTreeSet::new();
        for entry in rendered.into_iter().flat_map(|one| one.entries) {
            shards.extend(self.memory.put_entry(host_entry(entry)));
        }
        let mut gone: Vec<MirrorPath> = Vec::new();
        for (day, files) in self.memory.drop_days(self.spec.keep_days, now) {
            shards.remove(&day);
            gone.extend(files);
        }
        let mut files = Vec::new();
        for shard in &shards {
            let entries: Vec<layout::Entry> =
                self.memory.entries(shard).into_iter().map(guest_entry).collect();
            let kind = match shard.0 {
                IndexKind::JobDay => layout::IndexKind::JobDay,
                _ => layout::IndexKind::JobHealth,
            };
            let gathered = layout::gather(&context, &self.settings, kind, &shard.1, &entries)?;
            match gathered.keep {
                Some(kept) => self
                    .memory
                    .replace_entries(shard, kept.into_iter().map(host_entry).collect()),
                None => self.memory.settle_pending(shard),
            }
            let paths: Vec<MirrorPath> = gathered
                .files
                .iter()
                .map(|file| MirrorPath::parse(&file.path))
                .collect::<Result<_, _>>()?;
            let before = self.memory.keep_shard(shard.clone(), &paths);
            gone.extend(before.into_iter().filter(|path| !paths.contains(path)));
            files.push((shard.clone(), gathered.files));
        }
        self.memory.close_days(&BTreeSet::new(), now);
        self.commit(files, &gone, now, through)
    }

    fn commit(
        &mut self,
        files: Vec<(Shard, Vec<layout::File>)>,
        gone: &[MirrorPath],
        now: Timestamp,
        through: u64,
    ) -> Result<()> {
        let main = main_ref()?;
        let tip = self.remote.tip(&main)?;
        let mut draft = self.store.draft();
        let base = tip.map(|tip| draft.tree_of(tip)).transpose()?;
        let mut writer = draft.tree_writer(base)?;
        for path in gone {
            writer.delete(path)?;
        }
        writer.write(guarded(files)?)?;
        let outcome = writer.finish()?;
        let mut cut = Cut::of(&self.lane.mirror, &self.cursor, &[], now);
        cut.jobs_through = Position(through);
        cut.events.count = through - self.cursor.jobs.0;
        let facts = CommitFacts {
            lane: &self.lane,
            project: &mirror_benches::context().project,
            cut: &cut,
            render: &RenderDigest::parse(&"0".repeat(32)).context("a digest")?,
            owned: &mirror_core::path::OwnedPaths::new(None),
            parent_committed_at: self.committed_at,
            changes: Vec::new(),
            inventory: mirror_core::inventory::Inventory::default(),
            overwrites: Overwrites::default(),
        };
        let message =
            CommitDraft::new(facts).seal(Vec::new(), &redaction(), &Guard::new(&KnownSecrets::new()));
        let parents: Vec<Oid> = tip.into_iter().collect();
        let id = draft.commit(outcome.tree, &parents, &message)?;
        let growth = self.memory.take_growth();
        self.memory.spend(growth.bytes(true), now);
        let _ = self.memory.take_changes();
        let push = draft.into_push(main, tip, id)?;
        self.pushed += push.byte_len();
        self.commits += 1;
        self.store.save(&push)?;
        self.remote.push(&push)?;
        self.store.confirm(push)?;
        self.committed_at = Some(now);
        self.cursor = cut.cursor(Some(id));
        Ok(())
    }
}

fn main_ref() -> Result<RefName> {
    Ok(RefName::branch("main")?)
}

fn redaction() -> Redaction {
    Redaction::new(SecretsMode::Masked, TagKey::none())
}

/// Takes files through the stages; no policy finds anything in them.
fn guarded(files: Vec<(Shard, Vec<layout::File>)>) -> Result<MirrorBatch> {
    let context: Context = mirror_benches::context();
    let raw = |file: layout::File| RawFile {
        path: file.path,
        kind: DocumentKind::Job,
        content: file.content,
    };
    let rendered = files.into_iter().map(|((kind, shard), files)| {
        let rendered = Rendered {
            files: files.into_iter().map(raw).collect(),
            entries: Vec::new(),
        };
        (Subject::Index { kind, shard }, rendered)
    });
    let (batch, refused) = RenderedBatch::new(context, &OwnedPaths::new(None), rendered.collect());
    let verdicts = batch
        .documents()
        .iter()
        .map(|_| Verdict::Findings(Vec::new()))
        .collect();
    let (batch, more) = batch.redact(verdicts, &redaction());
    let (batch, _) = batch.choose(Vec::new());
    let (batch, last) = batch.guard(&Guard::new(&KnownSecrets::new()));
    if let Some(withheld) = refused.iter().chain(&more).chain(&last).next() {
        bail!("{withheld:?}");
    }
    Ok(batch)
}

fn layout_context() -> layout::Context {
    let context = mirror_benches::context();
    layout::Context {
        stack: context.stack.to_string(),
        project_id: context.project.to_string(),
        branch_id: context.branch.to_string(),
    }
}

fn placed(run: &Run) -> layout::PlacedObject {
    layout::PlacedObject {
        object: layout::Object {
            key: layout::ObjectKey::Job(run.id.clone()),
            component: None,
            source: run.source.clone(),
            metadata: Vec::new(),
        },
        path: None,
        parent: None,
        claimed_by: Vec::new(),
        references: Vec::new(),
    }
}

fn host_entry(entry: layout::Entry) -> Entry {
    let kind = match entry.kind {
        layout::IndexKind::JobDay => IndexKind::JobDay,
        _ => IndexKind::JobHealth,
    };
    Entry {
        kind,
        shard: entry.shard,
        key: entry.key,
        value: entry.value,
    }
}

fn guest_entry(entry: Entry) -> layout::Entry {
    let kind = match entry.kind {
        IndexKind::JobDay => layout::IndexKind::JobDay,
        _ => layout::IndexKind::JobHealth,
    };
    layout::Entry {
        kind,
        shard: entry.shard,
        key: entry.key,
        value: entry.value,
    }
}
