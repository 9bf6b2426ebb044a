//! Projects, their repositories, and the configuration of the mirrors between them.

use super::{
    feed::Feed,
    follow::{Follower, git, tip},
    worker::{Worker, until},
};
use anyhow::{Context as _, Result};
use fake_keboola::{Author, Change, ConfigAt, Fake, FakeConfig, JobSpec, small_project};
use git_servers::{HttpOptions, HttpServer};
use mirror_runtime::system::wall_clock;
use nats_server::NatsServer;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

/// The bearer token that may post events.
pub(crate) const INGEST_TOKEN: &str = "ingest-token-of-the-drills-only";
const TAG_ROOT: &str = "dGhlIHRhZyByb290IG9mIHRoZSBkcmlsbHMgb25seSAwMDAx";
/// No project has more runs in a drill.
const RUNS_MAX: usize = 1_000_000;

/// Where the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Embedded,
    JetStream,
}

impl Backend {
    pub(crate) const ALL: [Self; 2] = [Self::Embedded, Self::JetStream];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::JetStream => "JetStream",
        }
    }
}

/// What differs between drills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) backend: Backend,
    pub(crate) projects: usize,
    /// Configurations that people work at, in each project.
    pub(crate) configurations: usize,
    /// `early`, `fixed` or `eager`.
    pub(crate) window: &'static str,
    pub(crate) span_ms: u64,
}

/// One project that somebody works at.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) fake: Fake,
    pub(crate) id: u64,
    pub(crate) repository: PathBuf,
    configurations: Vec<ConfigAt>,
    edits: AtomicU64,
}

/// A version that was made, and the event that tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// As trailers of commits name the configuration.
    pub(crate) key: String,
    pub(crate) version: u64,
    pub(crate) event: String,
}

impl Project {
    fn start(number: usize, configurations: usize, repository: PathBuf) -> Result<Self> {
        let id = 10_000 + u64::try_from(number)?;
        let mut project = small_project();
        project.project_id = id;
        // The fake makes one up, of this project.
        project.token_verify = Value::Null;
        // Runs are numbered over all projects of a stack.
        for (run, job) in project.jobs.iter_mut().enumerate() {
            let run = (number * RUNS_MAX + run).to_string();
            job["id"] = run.clone().into();
            job["runId"] = run.into();
            job["project"]["id"] = id.to_string().into();
        }
        let branch = project.default_branch().id().to_string();
        let fake = Fake::start(project, FakeConfig::default())?;
        let configurations: Vec<ConfigAt> = (0..configurations)
            .map(|number| ConfigAt::new(&branch, "keboola.ex-shop", &format!("c{number}")))
            .collect();
        for (number, at) in configurations.iter().enumerate() {
            let content = json!({ "parameters": { "table": format!("table_{number}"), "drill": 0 } });
            fake.create_configuration(at, &change(), &format!("Configuration {number}"), content)?;
        }
        Ok(Self {
            fake,
            id,
            repository,
            configurations,
            edits: AtomicU64::new(0),
        })
    }

    /// Somebody saves the next configuration.
    pub(crate) fn edit(&self) -> Result<Edit> {
        let number = self.edits.fetch_add(1, Ordering::Relaxed) + 1;
        let at = &self.configurations[usize::try_from(number)? % self.configurations.len()];
        let edit = |content: &mut Value| content["parameters"]["drill"] = number.into();
        let made = self.fake.update_configuration(at, &change(), edit)?;
        let made = made.context("each edit has a number of its own")?;
        Ok(Edit {
            key: format!("{}/{}", at.component, at.config),
            version: made.version,
            event: self.event(made.outbox_seq)?,
        })
    }

    /// A run ends; returns its id and its event.
    pub(crate) fn run(&self) -> Result<(String, String)> {
        let number = usize::try_from(self.edits.load(Ordering::Relaxed))?;
        let before = *self.fake.subscribe().borrow();
        let ended = wall_clock();
        let id = self.fake.finish_job(JobSpec {
            at: self.configurations[number % self.configurations.len()].clone(),
            status: "success".into(),
            author: author(),
            started: ended - jiff::SignedDuration::from_secs(5),
            ended,
            message: "done".into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            artifact_links: Vec::new(),
        })?;
        Ok((id, self.event(before + 1)?))
    }

    fn event(&self, number: u64) -> Result<String> {
        let told = self.fake.outbox(number - 1).into_iter().next();
        Ok(told.context("a change tells an event")?.json)
    }
}

fn author() -> Author {
    Author {
        token_id: 9_001,
        name: "jane.novak@example.com".into(),
    }
}

fn change() -> Change {
    let Author { token_id, name } = author();
    Change::by(token_id, &name, "Save", wall_clock())
}

/// Everything around the product's processes.
#[derive(Debug)]
pub(crate) struct Site {
    directory: TempDir,
    pub(crate) options: Options,
    pub(crate) projects: Vec<Arc<Project>>,
    pub(crate) git: HttpServer,
    pub(crate) nats: Option<NatsServer>,
}

impl Site {
    /// Starts projects, servers and repositories; no process of the product yet.
    pub(crate) fn new(options: Options) -> Result<Self> {
        let directory = TempDir::new()?;
        let root = directory.path().join("repositories");
        fs::create_dir(&root)?;
        let mut projects = Vec::with_capacity(options.projects);
        for number in 0..options.projects {
            let repository = root.join(format!("r{number}.git"));
            bare(&repository)?;
            let project = Project::start(number, options.configurations, repository)?;
            fs::write(
                directory.path().join(format!("token-{number}")),
                project.fake.token(),
            )?;
            projects.push(Arc::new(project));
        }
        fs::write(directory.path().join("ingest-token"), INGEST_TOKEN)?;
        fs::write(directory.path().join("tag-root"), TAG_ROOT)?;
        // The server has a runtime of its own, which no thread of this one may wait for.
        let serve = || HttpServer::start(&root, HttpOptions::default());
        let git = std::thread::scope(|scope| scope.spawn(serve).join());
        let git = git.map_err(|_| anyhow::anyhow!("the Git server does not start"))?;
        let nats = (options.backend == Backend::JetStream).then(NatsServer::start);
        Ok(Self {
            directory,
            options,
            projects,
            git,
            nats,
        })
    }

    /// Writes the configuration of a process with a name, and a disk of its own; returns its file.
    pub(crate) fn configure(&self, name: &str) -> Result<PathBuf> {
        let queue = match &self.nats {
            None => String::new(),
            Some(nats) => format!(
                "backend = \"jetstream\"\nservers = [\"{}\"]\nreplicas = 1\nworker = \"{name}\"\n",
                nats.url()
            ),
        };
        let Options { window, span_ms, .. } = self.options;
        let mut text = format!(
            "data_dir = \"data-{name}\"\ntag_root = \"file:tag-root\"\n\n[window]\nmode = \"{window}\"\nspan_ms = {span_ms}\n\n\
             [http]\nlisten = \"127.0.0.1:0\"\nbacklog_max = 10000000\n\n[[http.ingest]]\nname = \"drill\"\ntoken = \"file:ingest-token\"\n\
             stack = \"127.0.0.1\"\n\n[queue]\n{queue}\n[git]\nallow_networks = [\"127.0.0.0/8\"]\nallow_plain_http = true\n"
        );
        for (number, project) in self.projects.iter().enumerate() {
            let (url, id, repository) = (
                project.fake.url(),
                project.id,
                self.git.url(&format!("r{number}.git")),
            );
            write!(
                text,
                "\n[[mirror]]\nid = \"m{number}\"\nstack = \"{url}\"\nproject_id = \"{id}\"\ntoken = \"file:token-{number}\"\n\
                 repository = \"{repository}\"\nbranch = \"main\"\nsecrets = \"masked\"\njobs = {{ cadence = \"window\" }}\n\
                 dev_branches = {{ enabled = false }}\n"
            )?;
        }
        let file = self.directory.path().join(format!("{name}.toml"));
        fs::write(&file, text)?;
        share_guests(&self.directory.path().join(format!("data-{name}")))?;
        Ok(file)
    }

    /// Starts a process with a name, and waits until every project is there.
    pub(crate) async fn start(&self, name: &str) -> Result<(PathBuf, Worker)> {
        let config = self.configure(name)?;
        let worker = Worker::start(&config).await?;
        until("the first snapshots", async || {
            let all = self
                .projects
                .iter()
                .all(|project| !tip(&project.repository).is_empty());
            Ok(all.then_some(()))
        })
        .await?;
        Ok((config, worker))
    }

    /// Returns a way in for producers, over NATS where the log is there.
    pub(crate) async fn feed(&self, worker: &Worker) -> Result<Feed> {
        match &self.nats {
            None => Feed::http(&worker.address),
            Some(nats) => Feed::nats(&nats.url()).await,
        }
    }

    /// Sees from now on what arrives in all repositories.
    pub(crate) fn follow(&self) -> Follower {
        let repositories = self.projects.iter().map(|project| project.repository.clone());
        Follower::start(repositories.collect())
    }
}

/// Lets all processes keep their compiled guests in one place; the key is derived from the tag root, which is the same.
pub(crate) fn share_guests(data: &Path) -> Result<()> {
    if data.exists() {
        return Ok(());
    }
    let shared = std::env::temp_dir().join("kbc-mirror-drill-guests");
    fs::create_dir_all(&shared)?;
    fs::create_dir(data)?;
    std::os::unix::fs::symlink(shared, data.join("guests"))?;
    Ok(())
}

/// Makes a bare repository as forges have it.
pub(crate) fn bare(repository: &Path) -> Result<()> {
    git(
        repository,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    )?;
    for key in [
        "uploadpack.allowFilter",
        "uploadpack.allowAnySHA1InWant",
        "http.receivepack",
    ] {
        git(repository, &["config", key, "true"])?;
    }
    Ok(())
}
