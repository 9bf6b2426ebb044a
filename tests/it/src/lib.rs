//! A mirror's lane in this process, for tests and benches that look at single attempts.
//!
//! Everything is real: the guests in the sandbox, the SQLite log and state, a bare repository on disk, the
//! client of Keboola. What is missing is time: nothing runs unless it is asked to.

use jiff::Timestamp;
use mirror_core::{
    cut::Stream,
    event::{Body, Envelope, RenderChanged, parse_external},
    ids::{Oid, Stack},
};
use mirror_runtime::{
    config::{AcceptDeletions, Config, MirrorSpec},
    database::DatabaseError,
    pipeline::{
        attempt::{Done, Due, Lane},
        error::AttemptError,
        memory::Memory,
        stages::Stages,
    },
    queue::NewEvent,
    runner::lanes,
    system::{StartError, System},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;

/// The same for all, so that equal projects give equal markers and compiled guests are shared.
const TAG_ROOT: &str = "dGFnIHJvb3Qgb2YgdGhlIGluLXByb2Nlc3MgdGVzdHMgMDE=";
/// The stack's name whatever port the fake listens on.
const STACK: &str = "127.0.0.1";

/// How long a database is waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A source to mirror.
#[derive(Debug, Clone)]
pub struct SourceAt {
    pub url: String,
    pub token: String,
    pub project: u64,
}

/// What of the configuration differs between tests.
#[derive(Debug, Clone)]
pub struct Settings {
    pub samples: bool,
    /// `encrypted`, `masked` or `omitted`.
    pub secrets: &'static str,
    /// Further lines of the configuration file, before the mirror's table.
    pub lines: String,
    /// The lines that name the repository; empty where it is the one on disk, by its path.
    pub repository: String,
    /// Stages of attempts are timed, for [`Rig::lane`]'s `transformer.stages` to tell.
    pub measuring: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            samples: false,
            secrets: "encrypted",
            lines: String::new(),
            repository: String::new(),
            measuring: false,
        }
    }
}

/// One lane, the default branch's, with the directory in which all of it lies.
pub struct Rig {
    directory: TempDir,
    source: SourceAt,
    settings: Settings,
    /// None only while it is opened anew: the database is one process's and one lane's at a time.
    lane: Option<Lane>,
    held: Option<(Oid, Memory)>,
}

impl std::fmt::Debug for Rig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig")
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl Rig {
    /// Makes a directory with an empty repository, and opens the lane.
    ///
    /// # Panics
    /// Whatever goes wrong.
    pub async fn new(source: SourceAt, settings: Settings) -> Self {
        let directory = TempDir::new().expect("temporary directories can be made");
        let repository = directory.path().join("repository.git");
        git(
            &repository,
            &["init", "--quiet", "--bare", "--initial-branch=main"],
        );
        let lane = open(directory.path(), &source, &settings).await;
        Self {
            directory,
            source,
            settings,
            lane: Some(lane),
            held: None,
        }
    }

    /// Opens everything anew, as a new process would, maybe with other settings or at another source.
    ///
    /// # Panics
    /// Whatever goes wrong.
    pub async fn restart(&mut self, change: impl FnOnce(&mut SourceAt, &mut Settings)) {
        change(&mut self.source, &mut self.settings);
        self.held = None;
        self.lane = None;
        self.lane = Some(open(self.directory.path(), &self.source, &self.settings).await);
    }

    /// Loses the data directory, as a lost disk would, and opens everything anew.
    ///
    /// # Panics
    /// Whatever goes wrong.
    pub async fn lose_data(&mut self) {
        self.held = None;
        self.lane = None;
        fs::remove_dir_all(self.directory.path().join("data")).expect("the data directory can be removed");
        self.restart(|_, _| ()).await;
    }

    /// The lane, for a look at its log and state.
    ///
    /// # Panics
    /// Never: it is there but while it is opened.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        self.lane.as_ref().expect("it is opened")
    }

    /// Makes events of a bridge's JSON texts durable.
    ///
    /// # Panics
    /// An event that is refused.
    pub async fn post(&self, events: &[String]) {
        self.post_at(events, (self.lane().now)()).await;
    }

    /// The same at another time, as if it were that long ago.
    ///
    /// # Panics
    /// As [`Rig::post`].
    pub async fn post_at(&self, events: &[String], now: Timestamp) {
        let stack = Stack::parse(STACK).expect("the constant is a host");
        let parsed = events.iter().map(|event| {
            let envelope = parse_external(event.as_bytes(), None, &stack, None, None, now);
            NewEvent {
                envelope: envelope.expect("the fake's events are well-formed"),
                at: now,
            }
        });
        self.append(parsed.collect()).await;
    }

    /// Makes events of the mirror's own kinds durable.
    ///
    /// # Panics
    /// A log that fails.
    pub async fn tell(&self, bodies: Vec<Body>) {
        let now: Timestamp = (self.lane().now)();
        let event = |body| NewEvent {
            envelope: Envelope::internal(self.lane().topic.clone(), body, now),
            at: now,
        };
        self.append(bodies.into_iter().map(event).collect()).await;
    }

    async fn append(&self, events: Vec<NewEvent>) {
        let appended = self.lane().log.append(events).await;
        appended.expect("the log takes events");
    }

    /// Asks for everything to be rendered anew; `occasion` tells it from other times.
    pub async fn ask_for_all(&self, occasion: &str) {
        self.tell(vec![Body::RenderChanged(RenderChanged {
            mirror: None,
            reason: "a test".into(),
            digest: occasion.into(),
        })])
        .await;
    }

    /// Runs one attempt.
    ///
    /// # Errors
    /// As the attempt.
    pub async fn try_attempt(&mut self) -> Result<Done, AttemptError> {
        let due = Due {
            change: true,
            jobs: true,
        };
        let held = self.held.take();
        let mut done = self.lane().attempt(held, due).await?;
        self.held = done.base.map(|base| (base, std::mem::take(&mut done.memory)));
        Ok(done)
    }

    /// Runs one attempt, which must succeed; its memory is kept here for the next one.
    ///
    /// # Panics
    /// An attempt that fails.
    pub async fn attempt(&mut self) -> Done {
        match self.try_attempt().await {
            Ok(done) => done,
            Err(error) => panic!("the attempt failed: {}", mirror_runtime::app::chain(&error)),
        }
    }

    /// Runs attempts until the cursor stands at the end of the log; returns what they did.
    ///
    /// # Panics
    /// An attempt that fails.
    pub async fn settle(&mut self) -> Vec<Done> {
        let mut all = Vec::new();
        loop {
            all.push(self.attempt().await);
            let cursor = self.lane().log.cursor(&self.lane().id).await;
            let cursor = cursor
                .expect("the log can be read")
                .expect("an attempt leaves a cursor");
            let mut behind = false;
            for stream in Stream::ALL {
                let newest = self.lane().log.newest(&self.lane().topic, stream).await;
                behind |= newest.expect("the log can be read") > cursor.of(stream);
            }
            if !behind {
                return all;
            }
        }
    }

    /// What the lane remembers of its tip; none before the first attempt.
    #[must_use]
    pub fn memory(&self) -> Option<&Memory> {
        self.held.as_ref().map(|(_, memory)| memory)
    }

    /// Runs `git` in the repository and returns its output.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.repository(), arguments)
    }

    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.directory.path().join("repository.git")
    }

    /// Returns the id of the tip's tree.
    #[must_use]
    pub fn tree(&self) -> String {
        self.git(&["rev-parse", "main^{tree}"])
    }
}

/// Opens the lane of the default branch.
async fn open(directory: &Path, source: &SourceAt, settings: &Settings) -> Lane {
    let write = |name: &str, content: &str| {
        fs::write(directory.join(name), content).expect("the directory can be written");
    };
    write("keboola-token", &source.token);
    write("tag-root", TAG_ROOT);
    write("mirror.toml", &configuration(source, settings));
    let data = directory.join("data");
    if !data.exists() {
        fs::create_dir(&data).expect("the directory is ours");
        // The code of the guests carries a keyed code; the key is the same everywhere here.
        let guests = std::env::temp_dir().join("kbc-mirror-test-guests");
        fs::create_dir_all(&guests).expect("temporary directories can be made");
        std::os::unix::fs::symlink(guests, data.join("guests")).expect("the directory is new");
    }
    let config = Config::read(&directory.join("mirror.toml")).expect("the configuration is right");
    let mut spec: MirrorSpec = config.mirrors.first().expect("there is a mirror").clone();
    // Sequences of changes may take away all there is of a kind.
    spec.accept_deletions = AcceptDeletions::Everything;
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut system = loop {
        match System::open(config.clone()).await {
            Ok(system) => break system,
            // The thread of the one before is still on its way out.
            Err(StartError::Database(DatabaseError::InUse { .. }))
                if std::time::Instant::now() < deadline =>
            {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("the installation does not open: {error}"),
        }
    };
    if settings.measuring {
        system.stages = Arc::new(Stages::measuring());
    }
    let mirror = system.mirror(&spec).await.expect("the mirror opens");
    let lanes = lanes(&system, &mirror).await.expect("the source is there");
    lanes.into_iter().next().expect("the default branch comes first")
}

fn configuration(source: &SourceAt, settings: &Settings) -> String {
    let SourceAt { url, project, .. } = source;
    let Settings {
        samples,
        secrets,
        lines,
        repository,
        measuring: _,
    } = settings;
    let repository = match repository.as_str() {
        "" => "repository = \"file:repository.git\"",
        lines => lines,
    };
    format!(
        r#"data_dir = "data"
tag_root = "file:tag-root"

[keboola]
# What an event tells of and the source does not show is never waited for.
visible_within_ms = 0

{lines}

[[mirror]]
id = "shop"
stack = "{url}"
project_id = "{project}"
token = "file:keboola-token"
{repository}
branch = "main"
samples = {samples}
secrets = "{secrets}"
jobs = {{ cadence = "window" }}
"#
    )
}

fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .arg("--git-dir")
        .arg(repository)
        .args(arguments)
        .output()
        .expect("`git` can be run");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
