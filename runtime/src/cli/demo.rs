//! `demo`: the whole thing on this machine. Real runtime, real log, real Git; only Keboola is faked.
//!
//! The fake journals its state below the demo's directory, so a demo that was killed goes on where
//! it was: what it had done is told by the number of events in the fake's outbox.

use super::{
    Demo,
    serve::{runtime, start_failure, stop_asked},
};
use crate::{
    app::Failure,
    config::Config,
    http::Listener,
    queue::EventLog,
    runner::Runner,
    system::{System, is_used, wall_clock},
};
use fake_keboola::{Fake, FakeConfig};
use mirror_core::{
    cut::{Position, Stream},
    event::EventKind,
    ids::{BranchId, LaneId, MirrorId, Oid, ProjectId, Stack, Topic},
};
use mirror_git::{LocalBare, RefName};
use sample_project::Shape;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

mod script;
mod show;

use script::{Script, Step};
use show::Show;

const MIRROR: &str = "demo";
const MARKER: &str = "demo.json";
const REPOSITORY: &str = "repository.git";
const PATIENCE: Duration = Duration::from_secs(300);
/// Edits of the bulk part, all in one go.
const BULK: usize = 200;

/// Runs the demo.
///
/// # Errors
/// A directory that cannot be used, or anything that does not work: then the demo has failed.
pub fn run(demo: &Demo) -> Result<(), Failure> {
    prepare(demo)?;
    let show = Show::new(demo);
    show.opening();
    runtime()?.block_on(async {
        let project = sample_project::generate(&Shape {
            seed: demo.seed,
            configurations: usize::try_from(demo.configurations).unwrap_or(usize::MAX),
            ..Shape::default()
        });
        let journal = Some(demo.dir.join("keboola"));
        let fake = Fake::start(
            project,
            FakeConfig {
                journal,
                seed: demo.seed,
                ..FakeConfig::default()
            },
        );
        let fake = Arc::new(fake.map_err(|error| Failure::failed(&error))?);
        let config = configuration(demo, &fake)?;
        let system = Arc::new(
            System::open(config)
                .await
                .map_err(|error| start_failure(&error))?,
        );
        let stop = CancellationToken::new();
        let address = system
            .config
            .http
            .listen
            .ok_or_else(|| Failure::message("the demo has no listener"))?;
        let (log, metrics, status) = (
            Arc::clone(&system.log),
            Arc::clone(&system.metrics),
            Arc::clone(&system.status),
        );
        let listener = Listener::bind(address, &system.config, log, metrics, status, wall_clock).await;
        let listener = listener.map_err(|error| Failure::failed(&error))?;
        let address = listener.address().map_err(|error| Failure::failed(&error))?;
        let serving =
            tokio::spawn(listener.serve(stop.clone(), Duration::from_millis(system.config.grace_ms)));
        let runner = Runner::new(Arc::clone(&system));
        let landed = runner.landed();
        let started = Instant::now();
        runner.start().await.map_err(|error| start_failure(&error))?;
        let stage = Stage {
            fake: Arc::clone(&fake),
            log: Arc::clone(&system.log),
            runner: Arc::clone(&runner),
            project: fake.project().project_id,
        };
        let bridge = tokio::spawn(bridge(
            Arc::clone(&fake),
            format!("http://{address}/v1/events"),
            ingest_token(&demo.dir)?,
        ));
        let printer = tokio::spawn(show.clone().follow(landed));
        let outcome = play(&stage, &show, started).await;
        if outcome.is_ok() && demo.keep_running {
            show.staying(&address.to_string());
            stop_asked().await;
        }
        stop.cancel();
        runner.shut_down().await;
        bridge.abort();
        drop(serving.await);
        printer.abort();
        outcome?;
        show.closing(&demo.dir.join(REPOSITORY));
        Ok(())
    })
}

/// What the acts of the demo work on.
struct Stage {
    fake: Arc<Fake>,
    log: Arc<dyn EventLog>,
    runner: Arc<Runner>,
    project: u64,
}

async fn play(stage: &Stage, show: &Show, started: Instant) -> Result<(), Failure> {
    show.act(
        "First snapshot",
        "everything that is in the project, as one commit a branch",
    );
    stage.settle().await?;
    show.snapshot(started.elapsed());
    let script = Script::new(&stage.fake)?;
    let done = stage.fake.outbox(0).len();
    let mut position = 0;
    for act in script.acts() {
        let fresh = position + act.events() > done;
        if fresh {
            show.act(act.title, act.explanation);
        }
        for step in &act.steps {
            let before = position;
            position += usize::from(step.makes_event());
            if fresh && (position > done || before == position) {
                show.step(&script.play(&stage.fake, step, wall_clock())?);
            }
        }
        if fresh {
            stage.settle().await?;
            show.breath().await;
        }
    }
    bulk(stage, show, &script, position, done).await?;
    nothing_twice(stage, show).await
}

/// Many edits in one go, then one after the other, each with its own commit.
async fn bulk(
    stage: &Stage,
    show: &Show,
    script: &Script,
    before: usize,
    done: usize,
) -> Result<(), Failure> {
    if done >= before + BULK + script::SINGLE {
        return Ok(());
    }
    show.act(
        "In bulk",
        "two hundred edits in one window, then commits as fast as they go",
    );
    let started = Instant::now();
    // What a killed demo had made before is not counted again.
    let edits = done.saturating_sub(before)..BULK;
    for number in edits.clone() {
        script.play(&stage.fake, &Step::Bulk { number }, wall_clock())?;
    }
    stage.runner.hasten();
    stage.settle().await?;
    show.bulk(edits.len(), started.elapsed());
    let started = Instant::now();
    let edits = done.saturating_sub(before + BULK)..script::SINGLE;
    for number in edits.clone() {
        script.play(
            &stage.fake,
            &Step::Bulk {
                number: BULK + number,
            },
            wall_clock(),
        )?;
        stage.settle_now().await?;
    }
    show.singles(edits.len(), started.elapsed());
    Ok(())
}

/// Delivers every event again: nothing must come of it.
async fn nothing_twice(stage: &Stage, show: &Show) -> Result<(), Failure> {
    show.act(
        "Once more, and nothing happens",
        "every event is delivered a second time",
    );
    stage.settle().await?;
    let before = stage.tips().await?;
    stage.fake_redeliver().await?;
    stage.settle().await?;
    let after = stage.tips().await?;
    let moved = after.iter().filter(|tip| !before.contains(tip)).count();
    show.nothing(stage.fake.outbox(0).len(), moved);
    Ok(())
}

impl Stage {
    /// Waits until the remote has everything that the fake has told.
    async fn settle(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_settled().await? {
            if Instant::now() > deadline {
                return Err(Failure::message(format!(
                    "nothing more arrived for {} seconds; see the log lines above",
                    PATIENCE.as_secs()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The same without waiting for windows.
    async fn settle_now(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_settled().await? {
            self.runner.hasten();
            if Instant::now() > deadline {
                return Err(Failure::message("nothing more arrived; see the log lines above"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn is_settled(&self) -> Result<bool, Failure> {
        let told = self.fake.outbox(0);
        let project = self.fake.project();
        let failed = |error: crate::queue::LogError| Failure::failed(&error);
        let mut accepted = 0;
        for branch in &project.branches {
            let topic = self.topic(branch.id())?;
            let logged = self
                .log
                .read(&topic, Position::START, None, usize::MAX >> 1)
                .await
                .map_err(failed)?;
            // Those that follow from others were not told by the fake.
            accepted += logged
                .iter()
                .filter(|logged| is_from_outside(&logged.envelope))
                .count();
        }
        if accepted < told.len() {
            return Ok(false);
        }
        // Only now: what is accepted after its lane was looked at would not be seen to be waiting.
        for branch in &project.branches {
            let topic = self.topic(branch.id())?;
            let lane = self.lane(branch.id())?;
            let Some(cursor) = self
                .log
                .cursor(&lane)
                .await
                .map_err(failed)?
                .filter(|cursor| cursor.tip.is_some())
            else {
                return Ok(false);
            };
            for stream in Stream::ALL {
                if self.log.newest(&topic, stream).await.map_err(failed)? > cursor.of(stream) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Returns the commits of all lanes.
    async fn tips(&self) -> Result<Vec<Oid>, Failure> {
        let mut tips = Vec::new();
        for branch in &self.fake.project().branches {
            let cursor = self.log.cursor(&self.lane(branch.id())?).await;
            tips.extend(
                cursor
                    .map_err(|error| Failure::failed(&error))?
                    .and_then(|cursor| cursor.tip),
            );
        }
        Ok(tips)
    }

    fn lane(&self, branch: u64) -> Result<LaneId, Failure> {
        Ok(LaneId {
            mirror: MirrorId::parse(MIRROR).map_err(|error| Failure::failed(&error))?,
            branch: self.topic(branch)?.branch,
        })
    }

    fn topic(&self, branch: u64) -> Result<Topic, Failure> {
        let wrong = |error: mirror_core::ids::InvalidId| Failure::failed(&error);
        Ok(Topic {
            stack: Stack::parse("127.0.0.1").map_err(wrong)?,
            project: ProjectId::parse(&self.project.to_string()).map_err(wrong)?,
            branch: BranchId::parse(&branch.to_string()).map_err(wrong)?,
        })
    }

    async fn fake_redeliver(&self) -> Result<(), Failure> {
        let now = wall_clock();
        let stack = Stack::parse("127.0.0.1").map_err(|error| Failure::failed(&error))?;
        let mut batch = Vec::new();
        for event in self.fake.outbox(0) {
            let envelope =
                mirror_core::event::parse_external(event.json.as_bytes(), None, &stack, None, None, now);
            batch.push(crate::queue::NewEvent {
                envelope: envelope.map_err(|error| Failure::failed(&error))?,
                at: now,
            });
        }
        let appended = self
            .log
            .append(batch)
            .await
            .map_err(|error| Failure::failed(&error))?;
        match appended.iter().filter(|appended| !appended.duplicate).count() {
            0 => Ok(()),
            fresh => Err(Failure::message(format!(
                "{fresh} events were not known although they had been delivered"
            ))),
        }
    }
}

fn is_from_outside(envelope: &mirror_core::event::Envelope) -> bool {
    matches!(envelope.kind(), EventKind::ConfigChanged | EventKind::JobFinished)
}

/// Carries the fake's events to the ingest endpoint, as a bridge in front of the product would.
async fn bridge(fake: Arc<Fake>, url: String, token: String) {
    let http = reqwest::Client::new();
    let mut after = 0;
    loop {
        let waiting = fake.outbox_after(after).await;
        for chunk in waiting.chunks(100) {
            let body = format!(
                "[{}]",
                chunk
                    .iter()
                    .map(|event| event.json.as_str())
                    .collect::<Vec<_>>()
                    .join(",")
            );
            loop {
                let sent = http
                    .post(&url)
                    .bearer_auth(&token)
                    .body(body.clone())
                    .send()
                    .await;
                if sent.is_ok_and(|answer| answer.status() == reqwest::StatusCode::ACCEPTED) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            after = chunk.last().map_or(after, |event| event.seq);
        }
    }
}

/// Makes the directory, or checks that it is that of the same demo.
fn prepare(demo: &Demo) -> Result<(), Failure> {
    let failed = |what: &str, error: &std::io::Error| {
        Failure::usage(format!(
            "cannot {what} below `{}`: {error}; choose another --dir",
            demo.dir.display()
        ))
    };
    let marker = demo.dir.join(MARKER);
    let asked = json!({ "seed": demo.seed, "configurations": demo.configurations });
    match fs::read_to_string(&marker) {
        Ok(text) => {
            if serde_json::from_str::<Value>(&text).ok().as_ref() != Some(&asked) {
                return Err(Failure::usage(format!(
                    "`{}` has a demo with other options ({}); use the same ones, or another --dir",
                    demo.dir.display(),
                    text.trim()
                )));
            }
        }
        Err(_) if is_used(&demo.dir) => {
            return Err(Failure::usage(format!(
                "`{}` is not empty and has no demo in it; choose another --dir",
                demo.dir.display()
            )));
        }
        Err(_) => {
            fs::create_dir_all(&demo.dir).map_err(|error| failed("make the directory", &error))?;
            fs::write(&marker, asked.to_string()).map_err(|error| failed("write", &error))?;
        }
    }
    let repository = demo.dir.join(REPOSITORY);
    if !repository.exists() {
        let main = RefName::branch("main").map_err(|error| Failure::failed(&error))?;
        LocalBare::init(&repository, &main).map_err(|error| Failure::failed(&error))?;
    }
    Ok(())
}

/// Writes the configuration that the demo runs with, and reads it as `serve` would.
fn configuration(demo: &Demo, fake: &Fake) -> Result<Config, Failure> {
    secret(&demo.dir.join("keboola-token"), fake.token())?;
    for name in ["ingest-token", "tag-root"] {
        let path = demo.dir.join(name);
        if !path.exists() {
            secret(
                &path,
                &format!(
                    "{}{}",
                    uuid::Uuid::new_v4().simple(),
                    uuid::Uuid::new_v4().simple()
                ),
            )?;
        }
    }
    let span_ms = if demo.fast { 1_000 } else { 5_000 };
    let text = format!(
        r#"# Written by `kbc-mirror demo`; the fake Keboola only lives as long as the demo does.
data_dir = "data"
tag_root = "file:tag-root"

[window]
span_ms = {span_ms}

[http]
listen = "127.0.0.1:0"

[[http.ingest]]
name = "demo"
token = "file:ingest-token"
stack = "127.0.0.1"

[[mirror]]
id = "{MIRROR}"
stack = "{url}"
project_id = "{project}"
token = "file:keboola-token"
repository = "file:{REPOSITORY}"
branch = "main"
samples = true
jobs = {{ cadence = "window" }}
dev_branches = {{ enabled = true }}
"#,
        url = fake.url(),
        project = fake.project().project_id,
    );
    let path = demo.dir.join("mirror.toml");
    fs::write(&path, text).map_err(|error| Failure::failed(&error))?;
    Config::read(&path).map_err(|error| Failure::failed(&error))
}

fn ingest_token(directory: &Path) -> Result<String, Failure> {
    fs::read_to_string(directory.join("ingest-token")).map_err(|error| Failure::failed(&error))
}

/// Writes a file that only this user may read.
fn secret(path: &Path, content: &str) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()));
    written.map_err(|error| Failure::message(format!("cannot write `{}`: {error}", path.display())))
}
