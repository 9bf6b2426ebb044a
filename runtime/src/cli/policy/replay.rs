//! `policy replay`: what a policy would have changed in what is already committed, before it is switched on.
//!
//! The repository has what was rendered, filtered, and redacted by the policies of its time; the source is not asked. So this
//! is what a policy would see that judges after those, and what it finds is what would give way. Nothing is written to
//! the repository or the data directory; trees are read into a temporary directory.

mod blobs;
mod history;
mod judge;
mod owners;
mod report;
mod since;

use super::{
    component, name, settings,
    touched::{Touched, not_whole, printable},
    unusable,
};
use crate::{
    app::Failure,
    cli::progress::{Far, Progress},
    config::{Config, MirrorSpec, PolicySpec},
    output::out,
    policies::Policies,
    repository::{self, Renewable},
    system,
};
use clap::Args;
use history::History;
use judge::Judge;
use mirror_core::guard::{Guard, KnownSecrets};
use mirror_git::Store;
use mirror_sandbox::RedactionPolicy;
use owners::Owners;
use report::{BranchReport, Report};
use secrecy::{ExposeSecret, SecretString};
use since::Since;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[derive(Debug, Args)]
pub struct Replay {
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Id of the mirror.
    #[arg(long)]
    mirror: String,
    /// The policy: its file, or the name of one that the mirror has, also of a shadow.
    #[arg(long, value_name = "FILE|NAME")]
    policy: String,
    /// A JSON file with the policy's settings; left out, those of the configuration where the mirror has it, else none.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// From when on: a date, a time, how long ago (90m, 12h, 7d, 2w), or the beginning of a commit's id, which is looked at too.
    /// Left out, only the newest commit is looked at.
    #[arg(long, value_name = "WHEN|COMMIT")]
    since: Option<String>,
    /// A Git branch that the mirror writes; may be given several times. Left out, it is the mirror's own.
    #[arg(long)]
    branch: Vec<String>,
    /// Newest commits of each branch that are looked at.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    commits_max: u64,
    /// Pieces that are shown of each file.
    #[arg(long, default_value_t = 3)]
    examples: usize,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// A policy, and what it is called.
struct Asked {
    name: String,
    digest: String,
    guest: RedactionPolicy,
}

pub(super) fn run(replay: &Replay) -> Result<(), Failure> {
    let config = Config::read(&replay.config).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let spec = config
        .mirror(&replay.mirror)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let now = crate::system::wall_clock();
    let since = replay.since.as_deref().map(|raw| Since::parse(raw, now));
    let since = since.transpose().map_err(Failure::usage)?;
    let asked = asked(replay, &config, spec)?;
    let (remote, renewable) = repository::open_renewable(spec, &config.git)
        .map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let scratch = tempfile::Builder::new().prefix("kbc-mirror-replay-").tempdir();
    let scratch = scratch.map_err(|error| {
        Failure::message(format!(
            "no temporary directory can be made: {error}; name another by the environment's TMPDIR"
        ))
    })?;
    let store = Store::open_or_create(scratch.path()).map_err(|error| Failure::failed(&error))?;
    let renderer = super::sandbox()?.layout_renderer();
    let renderer = renderer.map_err(|error| Failure::failed(&error))?;
    let credential = renewable.as_ref().and_then(Renewable::secret);
    let guard = Guard::new(&own_secrets(&config, spec, credential));
    let judge = Judge {
        name: &asked.name,
        policy: &asked.guest,
        guard: &guard,
        examples_max: replay.examples,
    };
    let mut branches = if replay.branch.is_empty() {
        vec![spec.branch.clone()]
    } else {
        replay.branch.clone()
    };
    branches.dedup();
    let commits_max = usize::try_from(replay.commits_max).unwrap_or(usize::MAX);
    let mut reports = Vec::new();
    for branch in &branches {
        let history = History::read(&*remote, &store, spec, branch, since.as_ref(), commits_max)?;
        let owners = Owners::read(&*remote, &renderer, &history)?;
        let done = Arc::new(AtomicUsize::new(0));
        let _progress = progress(Arc::clone(&done), history.contents.len());
        let outcome = judge.judge(&*remote, &history, &owners, |judged| {
            done.store(judged, Ordering::Relaxed);
        })?;
        reports.push(BranchReport::of(&history, &outcome));
    }
    let report = Report {
        mirror: spec.id.to_string(),
        repository: remote.name().to_owned(),
        policy: asked.name,
        digest: asked.digest,
        branches: reports,
    };
    let text = if replay.json {
        format!("{}\n", report.as_json())
    } else {
        report.to_string()
    };
    out!("{text}");
    Ok(())
}

fn progress(done: Arc<AtomicUsize>, of: usize) -> Progress {
    Progress::show(Arc::new(move || Far {
        what: "judged".to_owned(),
        done: done.load(Ordering::Relaxed) as u64,
        of: Some(of as u64),
    }))
}

/// Prepares the policy that is asked, with the limits of the mirror's installation.
fn asked(replay: &Replay, config: &Config, spec: &MirrorSpec) -> Result<Asked, Failure> {
    let policies = Policies::to_check(&config.policies).map_err(|error| Failure::failed(&error))?;
    let of_mirror = spec.policies.iter().find(|policy| policy.name == replay.policy);
    if let Some(configured) = of_mirror {
        let wanted = match &replay.settings {
            None => configured.clone(),
            Some(file) => PolicySpec {
                settings: settings(Some(file))?,
                ..configured.clone()
            },
        };
        let prepared = policies.prepare(spec.id.as_str(), &wanted);
        let policy = prepared.map_err(|error| {
            Failure::usage(format!(
                "policy `{}` cannot be used: {}",
                wanted.name,
                crate::app::chain(&error)
            ))
        })?;
        return Ok(Asked {
            name: wanted.name,
            digest: policy.identity().0.clone(),
            guest: policy.guest().clone(),
        });
    }
    let path = Path::new(&replay.policy);
    if !path.is_file() {
        return Err(no_policy(&replay.policy, spec));
    }
    let settings = settings(replay.settings.as_ref())?;
    let component = component(path)?;
    let name = name(path);
    let guest = policies
        .prepare_component(&name, &component, &settings)
        .map_err(|error| unusable(&error))?;
    Ok(Asked {
        name,
        digest: mirror_sandbox::digest(&component),
        guest,
    })
}

fn no_policy(asked: &str, spec: &MirrorSpec) -> Failure {
    let names: Vec<&str> = spec.policies.iter().map(|policy| policy.name.as_str()).collect();
    let names = if names.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", names.join(", "))
    };
    Failure::usage(format!(
        "`{}` is neither a file nor a policy of mirror `{}` ({names}); give a component's file, or one of these names",
        printable(asked),
        spec.id
    ))
}

/// What the guard of a running mirror knows from the start. What cannot be read here is not looked for.
fn own_secrets(config: &Config, spec: &MirrorSpec, credential: Option<&SecretString>) -> KnownSecrets {
    let mut known = KnownSecrets::default();
    let read = [&spec.token, &config.tag_root]
        .into_iter()
        .filter_map(|secret| secret.read().ok());
    for secret in read
        .chain(system::shared_secrets(config))
        .chain(credential.cloned())
    {
        known.add_credential(secret.expose_secret());
    }
    known
}
