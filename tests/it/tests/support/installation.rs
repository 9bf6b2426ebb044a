//! An installation: a directory with configuration, secrets, data and a repository of its own.

use super::{
    keboola::Keboola,
    log::LogBook,
    repository::Repository,
    served::Served,
    server::{Output, Server, command, run, text},
    until,
};
use fake_keboola::OutboxEvent;
use git_servers::HttpOptions;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

/// Id of the mirror in every configuration written here.
pub(crate) const MIRROR: &str = "shop";
/// The bearer token that may post events.
pub(crate) const INGEST_TOKEN: &str = "ingest-token-of-the-whole-system-tests";
/// The same for all installations, so that equal projects give equal markers.
pub(crate) const TAG_ROOT: &str = "dGFnIHJvb3Qgb2YgdGhlIHdob2xlLXN5c3RlbSB0ZXN0cyAwMDE=";

const REPOSITORY: &str = "repository.git";
const DATA: &str = "data";
/// Events in one request of the bridge.
const POSTED_AT_ONCE: usize = 50;

/// What of the configuration differs between tests.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Time in which changes are gathered; at least 1000.
    pub span_ms: u64,
    /// `early`, `fixed` or `eager`.
    pub window: &'static str,
    /// Git branch of the default Keboola branch.
    pub branch: &'static str,
    pub dev_branches: bool,
    pub samples: bool,
    /// `encrypted`, `masked` or `omitted`; empty leaves it to the visibility.
    pub secrets: &'static str,
    /// `window`, or a time such as `10s`.
    pub cadence: &'static str,
    /// Further members of the table `jobs`, each with a comma before it.
    pub jobs: &'static str,
    pub adopt: bool,
    /// How often a call to Keboola is repeated before the attempt fails.
    pub retries_max: u32,
    /// Lines at the end of the table `[keboola]`.
    pub keboola: &'static str,
    /// Lines at the end of the table `[[mirror]]`.
    pub mirror: &'static str,
    /// More of `dev_branches`, each with a comma before it.
    pub dev: &'static str,
    /// Lines of the table `[queue]`; empty for the embedded log.
    pub queue: String,
    /// Lines at the end of the table `[git]`, of a repository behind a server.
    pub git: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            span_ms: 1_000,
            window: "early",
            branch: "main",
            dev_branches: true,
            samples: true,
            secrets: "encrypted",
            cadence: "window",
            jobs: "",
            adopt: false,
            retries_max: 5,
            keboola: "",
            mirror: "",
            dev: "",
            queue: String::new(),
            git: String::new(),
        }
    }
}

/// The process died while it was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Died;

/// One installation. Its directory goes with it.
#[derive(Debug)]
pub(crate) struct Installation {
    directory: TempDir,
    pub keboola: Arc<Keboola>,
    pub options: Options,
    pub repository: Repository,
    /// The server that the repository is reached over; none where it is reached by its path.
    pub served: Option<Served>,
    /// Number of the last event of the fake's outbox that was accepted.
    acknowledged: AtomicU64,
}

impl Installation {
    /// Makes the directory, the secrets, an empty bare repository and the configuration file
    /// `mirror.toml`. Nothing is started.
    pub(crate) fn new(keboola: &Arc<Keboola>, options: Options) -> Self {
        let directory = TempDir::new().expect("temporary directories can be made");
        let repository = Repository::init(directory.path().join(REPOSITORY));
        let site = Self {
            directory,
            keboola: Arc::clone(keboola),
            options,
            repository,
            served: None,
            acknowledged: AtomicU64::new(0),
        };
        for (name, content) in [
            ("keboola-token", keboola.token()),
            ("ingest-token", INGEST_TOKEN),
            ("tag-root", TAG_ROOT),
        ] {
            site.write(name, content);
        }
        site.write("mirror.toml", &site.config());
        site.share_guests();
        site
    }

    /// The same, with the repository behind a web server with TLS, which lets in who has the token.
    pub(crate) fn over_https(keboola: &Arc<Keboola>, options: Options) -> Self {
        Self::over_https_with(keboola, options, HttpOptions::default())
    }

    /// The same, behind a web server that is set up otherwise.
    pub(crate) fn over_https_with(keboola: &Arc<Keboola>, options: Options, server: HttpOptions) -> Self {
        let site = Self::new(keboola, options);
        let served = Served::https(site.directory.path(), server);
        site.serve_by(served)
    }

    /// The same, with the repository behind an SSH server.
    pub(crate) fn over_ssh(keboola: &Arc<Keboola>, options: Options) -> Self {
        let site = Self::new(keboola, options);
        let served = Served::ssh(site.directory.path());
        site.serve_by(served)
    }

    fn serve_by(mut self, served: Served) -> Self {
        for (name, content) in served.files() {
            self.write(name, &content);
        }
        // As forges are set up.
        for key in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
            self.repository.git(&["config", key, "true"]);
        }
        self.served = Some(served);
        self.write("mirror.toml", &self.config());
        self
    }

    /// Lets the installations of all tests keep their compiled guests in one place. The files carry
    /// a keyed code, and the key is derived from the tag root, which is the same everywhere.
    pub(crate) fn share_guests(&self) {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        fs::create_dir_all(&shared).expect("the build's directory can be written");
        fs::create_dir(self.data_dir()).expect("the directory is new");
        std::os::unix::fs::symlink(shared, self.data_dir().join("guests")).expect("the directory is new");
    }

    /// Returns the path of a file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in the directory.
    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("the directory can be written");
    }

    /// Returns the data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path(DATA)
    }

    /// Removes the data directory, as a lost disk would. No process may be running on it.
    pub(crate) fn lose_data(&self) {
        fs::remove_dir_all(self.data_dir()).expect("the data directory can be removed");
    }

    /// Returns the text of the configuration file that the options make.
    pub(crate) fn config(&self) -> String {
        let Options {
            span_ms,
            window,
            branch,
            dev_branches,
            samples,
            secrets,
            cadence,
            jobs,
            adopt,
            retries_max,
            keboola,
            mirror,
            dev,
            queue,
            git: git_lines,
        } = &self.options;
        let secrets = match *secrets {
            "" => String::new(),
            secrets => format!("secrets = \"{secrets}\""),
        };
        let (url, project) = (self.keboola.url(), self.keboola.project().project_id);
        let (git, repository) = match &self.served {
            None => (String::new(), format!("repository = \"file:{REPOSITORY}\"")),
            Some(served) => (
                served.git_table() + git_lines,
                served.repository_lines(REPOSITORY),
            ),
        };
        format!(
            r#"data_dir = "{DATA}"
tag_root = "file:tag-root"
grace_ms = 20000

[window]
mode = "{window}"
span_ms = {span_ms}

[http]
listen = "127.0.0.1:0"

[[http.ingest]]
name = "bridge"
token = "file:ingest-token"
stack = "127.0.0.1"

[queue]
{queue}

[keboola]
retries_max = {retries_max}
{keboola}
{git}
[[mirror]]
id = "{MIRROR}"
stack = "{url}"
project_id = "{project}"
token = "file:keboola-token"
{repository}
branch = "{branch}"
samples = {samples}
{secrets}
jobs = {{ cadence = "{cadence}"{jobs} }}
dev_branches = {{ enabled = {dev_branches}{dev} }}
adopt = {adopt}
{mirror}
"#
        )
    }

    /// Changes the options and writes the configuration file anew; for the next start.
    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut Options)) {
        change(&mut self.options);
        self.write("mirror.toml", &self.config());
    }

    /// A command `serve` with this installation's configuration file.
    pub(crate) fn serve(&self) -> Command {
        let mut serve = command();
        serve.args(["serve", "--config"]).arg(self.path("mirror.toml"));
        serve
    }

    /// Starts `serve` and waits until it listens.
    ///
    /// # Panics
    /// If it ends before.
    pub(crate) async fn start(&self) -> Server {
        let mut server = self.spawn(&mut self.serve());
        assert!(server.listening().await, "the process ended before it listened");
        server
    }

    /// Starts a worker for the same mirrors, with a name and a disk of its own; its configuration is `NAME.toml`.
    ///
    /// # Panics
    /// If it ends before it listens.
    pub(crate) async fn worker(&self, name: &str) -> Server {
        let config = self
            .config()
            .replace("data_dir = \"data\"", &format!("data_dir = \"data-{name}\""));
        let config = config.replacen("[keboola]\n", &format!("worker = \"{name}\"\n\n[keboola]\n"), 1);
        let file = format!("{name}.toml");
        self.write(&file, &config);
        let mut serve = command();
        serve.args(["serve", "--config"]).arg(self.path(&file));
        let mut server = self.spawn(&mut serve);
        assert!(server.listening().await, "the process ended before it listened");
        server
    }

    /// Runs a command with this installation's configuration file.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = command();
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("mirror.toml"));
        run(&mut command)
    }

    /// Runs a command that must succeed, and returns its answer.
    pub(crate) fn answer(&self, arguments: &[&str]) -> Value {
        let output = self.ask(&[arguments, &["--json"]].concat());
        serde_json::from_str(&output.ok()).expect("the answer is JSON")
    }

    /// Starts `serve` with a crash place armed (`place` or `place:passing`). It may be dead already
    /// when this returns.
    pub(crate) async fn start_armed(&self, place: &str) -> Server {
        let mut serve = self.serve();
        serve.env(mirror_runtime::crash::VARIABLE, place);
        let mut server = self.spawn(&mut serve);
        server.listening().await;
        server
    }

    /// Starts a command whose standard error is a log.
    pub(crate) fn spawn(&self, command: &mut Command) -> Server {
        let name = text(self.directory.path().to_owned());
        Server::spawn(command, name, INGEST_TOKEN.to_owned())
    }

    /// Runs `once` to its end. No `serve` may be running here.
    pub(crate) fn once(&self) -> Output {
        self.once_as(&[], &[])
    }

    /// The same in another environment.
    pub(crate) fn once_in(&self, environment: &[(&str, &str)]) -> Output {
        self.once_as(environment, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn once_with(&self, arguments: &[&str]) -> Output {
        self.once_as(&[], arguments)
    }

    /// The same, in another environment and with more arguments.
    pub(crate) fn once_as(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut once = command();
        once.envs(environment.iter().copied());
        once.args(["once", "--mirror", MIRROR, "--config"])
            .arg(self.path("mirror.toml"))
            .args(arguments);
        run(&mut once)
    }

    /// Returns the Git branch of a Keboola branch, by the default template.
    pub(crate) fn git_branch(&self, branch: &str) -> String {
        let project = self.keboola.project();
        let found = project
            .branches
            .iter()
            .find(|found| found.id().to_string() == branch);
        let found = found.unwrap_or_else(|| panic!("there is no branch {branch}"));
        if found.is_default() {
            return self.options.branch.to_owned();
        }
        let name = found.detail["name"].as_str().unwrap_or_default();
        format!(
            "keboola/{}-{branch}",
            mirror_core::placement::normalize_name(name)
        )
    }

    /// Returns the ids of the Keboola branches that are mirrored here.
    pub(crate) fn branches(&self) -> Vec<String> {
        let project = self.keboola.project();
        let mirrored = project
            .branches
            .iter()
            .filter(|found| found.is_default() || self.options.dev_branches);
        mirrored.map(|found| found.id().to_string()).collect()
    }

    /// Posts what the fake has told and nobody has accepted yet, again and again until it is
    /// accepted, as a bridge in front of the product does. Events are posted in order.
    ///
    /// # Errors
    /// The process died; what it did not answer is posted by the next call.
    ///
    /// # Panics
    /// If the product refuses an event.
    pub(crate) async fn deliver(&self, server: &mut Server) -> Result<(), Died> {
        let waiting = self.keboola.outbox(self.acknowledged.load(Ordering::SeqCst));
        for chunk in waiting.chunks(POSTED_AT_ONCE) {
            let events: Vec<&str> = chunk.iter().map(|event| event.json.as_str()).collect();
            let body = format!("[{}]", events.join(","));
            let accepted = until("events are accepted", async || match server.post(&body).await {
                Ok(answer) if answer.status == 202 => Some(Ok(())),
                Ok(answer) if (400..500).contains(&answer.status) => {
                    panic!("an event was refused: {answer:?}")
                }
                Ok(_) => None,
                Err(_) => server.is_over().then_some(Err(Died)),
            });
            accepted.await?;
            let last = chunk.last().map_or(0, |event| event.seq);
            self.acknowledged.store(last, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Returns the events that were accepted, oldest first.
    pub(crate) fn acknowledged(&self) -> Vec<Value> {
        let last = self.acknowledged.load(Ordering::SeqCst);
        let accepted = self
            .keboola
            .outbox(0)
            .into_iter()
            .filter(|event| event.seq <= last);
        accepted
            .map(|event| serde_json::from_str(&event.json).expect("events are JSON"))
            .collect()
    }

    /// Returns the events that nobody has accepted yet, and notes that they are.
    pub(crate) fn hand_over(&self) -> Vec<Value> {
        let waiting = self.keboola.outbox(self.acknowledged.load(Ordering::SeqCst));
        if let Some(last) = waiting.last() {
            self.acknowledged.store(last.seq, Ordering::SeqCst);
        }
        let event = |event: &OutboxEvent| serde_json::from_str(&event.json).expect("events are JSON");
        waiting.iter().map(event).collect()
    }

    /// Makes the bridge forget what was accepted: the next delivery repeats everything.
    pub(crate) fn forget_deliveries(&self) {
        self.acknowledged.store(0, Ordering::SeqCst);
    }

    /// Delivers what the fake has told, and waits until the remote has it all: each lane's cursor
    /// stands at the end of the log, at the commit that its ref has.
    ///
    /// # Errors
    /// The process died meanwhile.
    pub(crate) async fn try_settle(&self, server: &mut Server) -> Result<(), Died> {
        self.deliver(server).await?;
        let settled = until("the remote has everything", async || {
            if self.is_settled() {
                return Some(Ok(()));
            }
            server.is_over().then_some(Err(Died))
        });
        settled.await
    }

    /// As [`Self::try_settle`], for a process that must not die.
    pub(crate) async fn settle(&self, server: &mut Server) {
        self.try_settle(server).await.expect("the process lives");
    }

    /// Returns whether the remote has everything that was accepted.
    pub(crate) fn is_settled(&self) -> bool {
        self.log().is_some_and(|book| self.is_settled_by(&book))
    }

    /// The same, as a log says it.
    pub(crate) fn is_settled_by(&self, book: &LogBook) -> bool {
        self.branches().iter().all(|branch| {
            let tip = book.lanes.get(branch).and_then(|lane| lane.tip.clone());
            book.is_at_the_end(branch) && tip == self.repository.tip(&self.git_branch(branch))
        })
    }

    /// Returns whether the job history of a Git branch has a run.
    pub(crate) fn has_run(&self, git_branch: &str, run: &str) -> bool {
        // Of one commit, while the next is made.
        let Some(tip) = self.repository.tip(git_branch) else {
            return false;
        };
        let files = self.repository.files(&tip).into_keys();
        let days: Vec<String> = files.filter(|path| path.starts_with("jobs/20")).collect();
        let lines = self.repository.contents(&tip, &days).join("\n");
        lines.contains(&format!("\"runId\":\"{run}\""))
    }

    /// Reads the event log; see [`LogBook::read`].
    pub(crate) fn log(&self) -> Option<LogBook> {
        LogBook::read(&self.data_dir())
    }
}
