//! `bench`: what mirroring takes, on one's own machine and of one's own project.
//!
//! The real line is measured: client, guests in the sandbox, log, state, Git. Only the repository is one of the bench's
//! own, beside a data directory of its own, and both are gone when it ends.

mod commit;
mod copy;
mod last;
mod policy;
mod report;
mod site;
mod snapshot;
mod usage;

use crate::app::Failure;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measures a first sync: everything that is in a project becomes one commit.
    #[command(
        after_help = "Examples:\n  kbc-mirror bench snapshot\n  kbc-mirror bench snapshot --project ./project\n  kbc-mirror bench snapshot --mirror retail --config mirror.toml --json"
    )]
    Snapshot(Snapshot),
    /// Measures what one changed configuration takes, from its event to its commit, again and again.
    ///
    /// Of a mirror, its project is read once and changed in a copy in memory; nothing is changed in Keboola.
    #[command(
        after_help = "Examples:\n  kbc-mirror bench commit --project ./project\n  kbc-mirror bench commit --configurations 30000 --commits 20"
    )]
    Commit(Commit),
    /// Measures what redaction policies take to judge all documents of a project.
    ///
    /// The built-in policy, those of the mirror, and each `--policy`. How much of its limits a policy takes, and how it
    /// compares with an earlier form of it, is told by `policy bench`.
    #[command(
        after_help = "Examples:\n  kbc-mirror bench policy --project ./project --policy policy.wasm\n  kbc-mirror bench policy --mirror retail --config mirror.toml"
    )]
    Policy(Policy),
}

/// What is measured, and how the answer looks.
#[derive(Debug, Args)]
pub struct Of {
    /// A directory with `options.json` and `api/` (answers of the Storage API), as `render` reads it. Left out, a
    /// project is generated.
    #[arg(long, conflicts_with = "mirror")]
    project: Option<PathBuf>,
    /// A mirror of the configuration file: its project is read from Keboola.
    #[arg(long, requires = "config")]
    mirror: Option<String>,
    /// The configuration file.
    #[arg(long, requires = "mirror")]
    config: Option<PathBuf>,
    /// Configurations of the generated project.
    #[arg(long, default_value_t = 300, conflicts_with_all = ["project", "mirror"], value_parser = clap::value_parser!(u32).range(20..=300_000))]
    configurations: u32,
    /// Seed of the generated project.
    #[arg(long, default_value_t = 1, conflicts_with_all = ["project", "mirror"])]
    seed: u64,
    /// Neither compare with the last run of the same, nor keep this one for the next.
    #[arg(long)]
    apart: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Snapshot {
    #[command(flatten)]
    of: Of,
    /// First syncs, each into an empty repository; the quickest counts. Left out, 3, and 1 of a mirror.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Commit {
    #[command(flatten)]
    of: Of,
    /// Changes, each with a commit and a push of its own.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    commits: u32,
}

#[derive(Debug, Args)]
pub struct Policy {
    #[command(flatten)]
    of: Of,
    /// A further policy: a component, or a core module that was built for the world `redaction-policy`. May be repeated.
    #[arg(long)]
    policy: Vec<PathBuf>,
    /// A JSON file with the settings of the `--policy` at the same place; left out, `{}` for all.
    #[arg(long, requires = "policy")]
    settings: Vec<PathBuf>,
    /// Time of one measurement of one policy.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    ms: u64,
}

/// Runs a `bench` command.
///
/// # Errors
/// A project or mirror that cannot be read, or anything on the way that fails.
pub fn run(command: &BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Snapshot(snapshot) => snapshot::run(snapshot),
        BenchCommand::Commit(commit) => commit::run(commit),
        BenchCommand::Policy(policy) => policy::run(policy),
    }
}
