//! Where a bench takes place: a source of content, and a mirror of it that nobody else knows.

use super::{Of, copy};
use crate::{
    app::{Failure, chain},
    cli::serve::start_failure,
    config::{Config, MirrorSpec, QueueConfig, RepositorySpec},
    pipeline::{
        attempt::Lane,
        stages::{Stages, thread_cpu},
    },
    runner::lanes,
    system::{System, client},
};
use fake_keboola::{Fake, FakeConfig};
use mirror_git::{LocalBare, RefName};
use sample_project::Shape;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle, Runtime};

/// A source and a configuration; a mirror is opened for each run.
pub(super) struct Site {
    directory: TempDir,
    /// None where the source is Keboola itself.
    pub(super) local: Option<Local>,
    config: Config,
    spec: MirrorSpec,
    pub(super) subject: Value,
    /// How people call what is measured.
    pub(super) name: String,
    /// Where runs of it are kept, if not in the user's cache.
    pub(super) data_dir: Option<PathBuf>,
}

/// A project that stands in for Keboola, on a thread of its own, whose time is not the mirror's.
pub(super) struct Local {
    pub(super) fake: Fake,
    runtime: Runtime,
}

impl Local {
    fn start(project: sample_project::Project) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("keboola")
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(&error))?;
        let config = FakeConfig {
            parallel_max: usize::MAX,
            ..FakeConfig::default()
        };
        let fake = Fake::start_on(runtime.handle(), project, config);
        Ok(Self {
            fake: fake.map_err(|error| Failure::failed(&error))?,
            runtime,
        })
    }

    fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }
}

/// A mirror of one run.
pub(super) struct Opened {
    pub(super) system: System,
    pub(super) lane: Lane,
    pub(super) stages: Arc<Stages>,
    pub(super) repository: PathBuf,
    /// Opening all of it: the guests too.
    pub(super) took: Duration,
}

impl Site {
    /// Prepares what the command line names, with a project that can be changed: of a mirror's, a copy in memory.
    pub(super) async fn with_copy(of: &Of) -> Result<Self, Failure> {
        let site = Self::new(of)?;
        if site.local.is_some() {
            return Ok(site);
        }
        let spec = &site.spec;
        let token = spec.token.read().map_err(|error| Failure::usage(chain(&error)))?;
        let client = client(&site.config.keboola, &spec.stack_url, token);
        let client = client.map_err(|error| Failure::usage(chain(&error)))?;
        let project = copy::project(&client).await?;
        let Self {
            directory,
            config,
            spec,
            subject,
            name,
            data_dir,
            ..
        } = site;
        let stand_in = Self::of_project(directory, project, subject, name)?;
        let spec = MirrorSpec {
            stack_url: stand_in.spec.stack_url.clone(),
            token: stand_in.spec.token.clone(),
            ..spec
        };
        Ok(Self {
            config,
            spec,
            data_dir,
            ..stand_in
        })
    }

    /// Prepares what the command line names.
    pub(super) fn new(of: &Of) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("kbc-mirror-bench-").tempdir();
        let directory = directory.map_err(|error| {
            Failure::message(format!(
                "cannot make a directory for the bench: {error}; set TMPDIR to a place with room"
            ))
        })?;
        if let (Some(mirror), Some(config)) = (&of.mirror, &of.config) {
            return Self::of_mirror(directory, config, mirror);
        }
        let (project, subject, name) = match &of.project {
            Some(path) => {
                let read = sample_project::read_directory(path);
                let read = read.map_err(|error| Failure::usage(chain(&error)))?;
                let at = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                (read, json!({ "project": at }), format!("`{}`", path.display()))
            }
            None => {
                let shape = Shape {
                    seed: of.seed,
                    configurations: usize::try_from(of.configurations).unwrap_or(usize::MAX),
                    dev_branches: 0,
                    ..Shape::default()
                };
                let subject = json!({ "configurations": of.configurations, "seed": of.seed });
                let name = format!("a generated project of {} configurations", of.configurations);
                (sample_project::generate(&shape), subject, name)
            }
        };
        Self::of_project(directory, project, subject, name)
    }

    fn of_project(
        directory: TempDir,
        mut project: sample_project::Project,
        subject: Value,
        name: String,
    ) -> Result<Self, Failure> {
        if project.project_id == 0 {
            // Directories need not name it twice.
            project.project_id = project.token_verify["owner"]["id"].as_u64().unwrap_or(1);
        }
        let number = project.project_id;
        let local = Local::start(project)?;
        let secrets = [
            ("keboola-token", local.fake.token().to_owned()),
            ("tag-root", format!("{0}{0}", uuid::Uuid::new_v4().simple())),
        ];
        for (name, secret) in secrets {
            write(&directory.path().join(name), &secret)?;
        }
        let path = directory.path().join("mirror.toml");
        let text = format!(
            "data_dir = \"data\"\ntag_root = \"file:tag-root\"\n\n[[mirror]]\nid = \"bench\"\nstack = \"{}\"\n\
             project_id = \"{number}\"\ntoken = \"file:keboola-token\"\nrepository = \"file:repository.git\"\n\
             branch = \"main\"\ndev_branches = {{ enabled = false }}\n",
            local.fake.url()
        );
        write(&path, &text)?;
        let config = Config::read(&path).map_err(|error| Failure::failed(&error))?;
        let spec = config.mirror("bench").map_err(|error| Failure::failed(&error))?;
        let spec = spec.clone();
        Ok(Self {
            directory,
            local: Some(local),
            config,
            spec,
            subject,
            name,
            data_dir: None,
        })
    }

    /// A mirror as it is configured, but for where it keeps things, where it writes and whom it tells.
    fn of_mirror(directory: TempDir, file: &Path, mirror: &str) -> Result<Self, Failure> {
        let mut config = Config::read(file).map_err(|error| Failure::usage(chain(&error)))?;
        let mut spec = config
            .mirror(mirror)
            .map_err(|error| Failure::usage(error.to_string()))?
            .clone();
        let data_dir = config.data_dir.clone();
        spec.notify.clear();
        spec.dev_branches.enabled = false;
        // A first sync is measured, and not what comes once before it: a commit for each old version, at ten requests a second.
        spec.backfill = None;
        config.queue = QueueConfig::Embedded;
        config.http.listen = None;
        Ok(Self {
            directory,
            local: None,
            config,
            spec,
            subject: json!({ "mirror": mirror }),
            name: format!("the mirror `{mirror}`"),
            data_dir: Some(data_dir),
        })
    }

    /// Opens a mirror that has nothing yet, with a repository that is empty.
    pub(super) async fn open(&self, run: u32) -> Result<Opened, Failure> {
        let directory = self.directory.path().join(format!("run-{run}"));
        let repository = directory.join("repository.git");
        let branch = RefName::branch(&self.spec.branch).map_err(|error| Failure::usage(error.to_string()))?;
        fs::create_dir_all(&directory).map_err(|error| unwritable(&directory, &error))?;
        LocalBare::init(&repository, &branch).map_err(|error| Failure::failed(&error))?;
        let mut config = self.config.clone();
        config.data_dir = directory.join("data");
        self.take_guests_over(run, &config.data_dir)?;
        let spec = MirrorSpec {
            repository: RepositorySpec::LocalBare(repository.clone()),
            visibility_url: None,
            ..self.spec.clone()
        };
        config.mirrors = vec![spec.clone()];
        let began = Instant::now();
        let mut system = System::open(config)
            .await
            .map_err(|error| start_failure(&error))?;
        let stages = Arc::new(Stages::measuring());
        system.stages = Arc::clone(&stages);
        let mirror = system
            .mirror(&spec)
            .await
            .map_err(|error| start_failure(&error))?;
        system
            .verify(&mirror)
            .await
            .map_err(|error| start_failure(&error))?;
        let lanes = lanes(&system, &mirror)
            .await
            .map_err(|error| start_failure(&error))?;
        let lane = lanes.into_iter().find(|lane| lane.branch.is_default);
        let lane = lane.ok_or_else(|| Failure::message("the project has no default branch"))?;
        Ok(Opened {
            system,
            lane,
            stages,
            repository,
            took: began.elapsed(),
        })
    }

    /// Takes the compiled guests of the first run over: compiling is measured once.
    fn take_guests_over(&self, run: u32, data_dir: &Path) -> Result<(), Failure> {
        let guests = data_dir.join("guests");
        fs::create_dir_all(&guests).map_err(|error| unwritable(&guests, &error))?;
        if run == 0 {
            return Ok(());
        }
        let compiled = self.directory.path().join("run-0/data/guests");
        let entries = fs::read_dir(&compiled).map_err(|error| unwritable(&compiled, &error))?;
        for entry in entries.filter_map(Result::ok) {
            let to = guests.join(entry.file_name());
            fs::copy(entry.path(), &to).map_err(|error| unwritable(&to, &error))?;
        }
        Ok(())
    }

    /// Returns the processor's time of what stands in for Keboola.
    pub(super) async fn source_cpu(&self) -> Duration {
        match &self.local {
            None => Duration::ZERO,
            Some(local) => local
                .handle()
                .spawn(async { thread_cpu() })
                .await
                .unwrap_or_default(),
        }
    }
}

/// Writes a file that only this user may read.
fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()));
    written.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!("cannot use `{}`: {error}", path.display()))
}
