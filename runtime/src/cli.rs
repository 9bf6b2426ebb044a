//! The command line: what can be asked, and how each answer ends.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 what was compared differs.

use crate::telemetry::{self, LogFormat};
use clap::{Args, Parser, Subcommand};
use mirror_core::ids::Oid;
use serde_json::Value;
use std::path::PathBuf;

mod ask;
pub mod bench;
pub mod config;
pub mod demo;
pub mod events;
pub mod mirror;
pub mod notify;
pub mod once;
pub mod policy;
mod progress;
pub mod render;
pub mod serve;
pub mod verify;

/// Continuous, safe mirrors of Keboola projects into Git.
#[derive(Debug, Parser)]
#[command(name = "kbc-mirror", version, arg_required_else_help = true)]
pub struct Cli {
    /// How log lines on standard error look.
    #[arg(long, global = true, value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// Which log lines are written: error, warn, info, debug, trace, or a filter such as `info,mirror_git=debug`.
    /// The default is info; warn for the demo and error for benches, which tell their own story.
    #[arg(long, global = true, value_parser = telemetry::level)]
    pub log_level: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the whole thing on this machine: a generated project becomes commits.
    ///
    /// Starts a fake Keboola with a generated online retailer, an embedded queue and a bare Git
    /// repository; takes the first snapshot, makes live changes and prints each commit as it lands.
    #[command(
        after_help = "Examples:\n  kbc-mirror demo\n  kbc-mirror demo --dir ./demo --fast\n  kbc-mirror demo --keep-running"
    )]
    Demo(Demo),
    /// Runs the mirrors of a configuration file until it is told to stop.
    #[command(after_help = "Example:\n  kbc-mirror serve --config /etc/kbc-mirror/mirror.toml")]
    Serve(Serve),
    /// Synchronises one mirror now and exits; for cron and CI.
    ///
    /// Prints its commits, and what is withheld, with the reasons. Exit code 0 says that the repository is up to date with
    /// all that may leave: also where objects are withheld, which `branches` of `--json` lists as `verify` does.
    /// A mirror that is paused is left as it is, with exit code 1.
    #[command(after_help = "Example:\n  kbc-mirror once --config mirror.toml --mirror retail")]
    Once(Once),
    /// Renders a project as files, offline, without Git.
    #[command(
        after_help = "Examples:\n  kbc-mirror render --project ./project --out ./tree\n  kbc-mirror render --project ./case --out ./tree --only configs --no-redact"
    )]
    Render(Render),
    /// Renders a mirror's project anew and compares it with what the repository has; nothing is changed.
    ///
    /// Exit code 3 where they differ. Asks the running process, or works by itself where none runs.
    #[command(after_help = "Example:\n  kbc-mirror verify --config mirror.toml --mirror retail")]
    Verify(Of),
    /// Looks into the event log and its dead letters.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Works on mirrors.
    #[command(subcommand)]
    Mirror(MirrorCommand),
    /// Tells the admins of mirrors.
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Works on configuration files.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Writes, checks and hands in redaction policies of one's own.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Measures what mirroring takes, on this machine and of one's own project, and where the time goes.
    ///
    /// Everything is done for real, into a repository of its own that is gone when the bench ends.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Compiles a component for another process of this program; not for people.
    #[command(hide = true)]
    CompileComponent,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Where the repository, the queue and the fake Keboola's journal live; a demo that was killed
    /// goes on where it was when it is started with the same directory.
    #[arg(long, default_value = "kbc-mirror-demo")]
    pub dir: PathBuf,
    /// Collect changes for 1 second instead of 5.
    #[arg(long)]
    pub fast: bool,
    /// Stay up at the end, with the admin port printed, until Ctrl-C.
    #[arg(long)]
    pub keep_running: bool,
    /// Configurations in the default branch of the generated project; its dev branch copies them.
    #[arg(long, default_value_t = 126, value_parser = clap::value_parser!(u32).range(20..=30_000))]
    pub configurations: u32,
    /// Seed of the generated project.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration file.
    #[arg(long)]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct Once {
    /// The configuration file.
    #[arg(long)]
    pub config: PathBuf,
    /// Id of the mirror.
    #[arg(long)]
    pub mirror: String,
    /// Delete even more than `deletions` in the configuration allows, in this run: what is held
    /// because the source no longer has it goes from the repository.
    #[arg(long)]
    pub accept_deletions: bool,
    /// Go on on top of a rewritten branch that ends at this commit, whose id the error of a run without it tells;
    /// nothing is forced. A branch that ends elsewhere stays stopped.
    #[arg(long, value_name = "TIP", value_parser = Oid::parse)]
    pub accept_rewrite: Option<Oid>,
    /// Make a branch anew that was deleted, which the mirror left at this commit, as the error of a run without it tells;
    /// everything is rendered into a first commit. A branch that was left elsewhere stays stopped.
    #[arg(long, value_name = "COMMIT", value_parser = Oid::parse)]
    pub accept_deleted_branch: Option<Oid>,
    /// Send again what the repository's server had refused, such as what it took for a secret: after it was allowed
    /// there. Everything is rendered anew.
    #[arg(long)]
    pub release_refused: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Render {
    /// A directory with `options.json` and `api/` (answers of the Storage API). May be repeated, each with an `--out`.
    #[arg(long, required = true)]
    pub project: Vec<PathBuf>,
    /// Where the files go; must not exist or be empty. The first is for the first project, and so on.
    #[arg(long, required = true)]
    pub out: Vec<PathBuf>,
    /// Only what lies in this directory of the layout, which becomes the root of the output.
    #[arg(long, value_parser = ["configs", "configs-extra", "storage", "jobs", "ai"])]
    pub only: Option<String>,
    /// Leave secrets as they are. The output is for comparing, never for committing.
    #[arg(long)]
    pub no_redact: bool,
    /// Also render samples of tables.
    #[arg(long)]
    pub samples: bool,
    /// Print counts as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A mirror of a configuration.
#[derive(Debug, Args)]
pub struct Of {
    /// The configuration file.
    #[arg(long)]
    pub config: PathBuf,
    /// The mirror's id.
    #[arg(long)]
    pub mirror: String,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Appends events to the log, as if they had been posted: all of them or none.
    #[command(
        after_help = "Examples:\n  kbc-mirror events publish --config mirror.toml --mirror retail --file events.json\n  … | kbc-mirror events publish --config mirror.toml --mirror retail --file -"
    )]
    Publish {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Id of the mirror whose project the events are of.
        #[arg(long)]
        mirror: String,
        /// JSON objects, or arrays of them; `-` reads standard input.
        #[arg(long)]
        file: PathBuf,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the events of a branch, oldest first.
    List {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The mirror's id.
        #[arg(long)]
        mirror: String,
        /// Id of the Keboola branch.
        #[arg(long)]
        branch: String,
        /// Only events after this position.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// So many at most.
        #[arg(long, default_value_t = 100)]
        max: usize,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists events that were put aside, with the reason of each, oldest first.
    DeadLetters {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Only those of this mirror's project.
        #[arg(long)]
        mirror: Option<String>,
        /// Only letters after this one.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// So many at most.
        #[arg(long, default_value_t = 100)]
        max: usize,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Appends events of dead letters anew. Without `--apply` it only says what it would do.
    #[command(
        after_help = "Examples:\n  kbc-mirror events replay --config mirror.toml --mirror retail --all\n  kbc-mirror events replay --config mirror.toml --id 7 --apply"
    )]
    Replay {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Only those of this mirror's project.
        #[arg(long)]
        mirror: Option<String>,
        /// Number of a dead letter; may be repeated.
        #[arg(long = "id")]
        ids: Vec<u64>,
        /// All that can be replayed and were not yet.
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Do it.
        #[arg(long)]
        apply: bool,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Settles dead letters that are not to be replayed.
    ///
    /// They stay listed with the time, are no longer counted by `dead_letters_unplayed`, and `replay --all` passes them by. The
    /// event of one that cannot be read has to be published again, mended; this only says that somebody has seen to it.
    #[command(
        after_help = "Examples:\n  kbc-mirror events acknowledge --config mirror.toml --id 7\n  kbc-mirror events acknowledge --config mirror.toml --all-unreadable"
    )]
    Acknowledge {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Only those of this mirror's project.
        #[arg(long)]
        mirror: Option<String>,
        /// Number of a dead letter; may be repeated.
        #[arg(long = "id")]
        ids: Vec<u64>,
        /// All whose events could not be read, and which therefore cannot be replayed.
        #[arg(long, conflicts_with = "ids")]
        all_unreadable: bool,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum MirrorCommand {
    /// Lists the mirrors and how each stands.
    ///
    /// Asks the running process. Where none runs, it says what the configuration has and what is paused.
    #[command(after_help = "Example:\n  kbc-mirror mirror list --config mirror.toml")]
    List {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the settings of a mirror, with each default where the file says nothing.
    ///
    /// Credentials are the references that stand in the file; relative paths start at its directory.
    #[command(after_help = "Example:\n  kbc-mirror mirror show --config mirror.toml --mirror retail")]
    Show(Of),
    /// Lets a mirror start nothing new, also after a restart, until `resume`. Changes wait in the log.
    Pause(Of),
    /// Lets a mirror go on.
    Resume(Of),
    /// Has everything compared with the source and rendered anew; differences become a commit.
    ///
    /// Asks the running process, which does it next. Where none runs it is done with the next start, or by `once`.
    Resync(Of),
    /// Says how a mirror stands: each branch, what waits, an outage, how far history has come.
    ///
    /// Asks the running process. Where none runs, log and state say it, and Keboola is asked for the branches.
    #[command(after_help = "Example:\n  kbc-mirror mirror status --config mirror.toml --mirror retail")]
    Status(Of),
    /// Tries what a mirror will do with its repository, and leaves it as it was.
    ///
    /// Says whether the repository can be reached and read, whether the branch can be pushed to, whether
    /// commits by the mirror are accepted, and who can read it. A branch of its own is made and removed again.
    #[command(after_help = "Example:\n  kbc-mirror mirror test --config mirror.toml --mirror retail")]
    Test(Of),
}

#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Sends a test notice to each address of a mirror, at once.
    ///
    /// Says of each whether it was taken. The notice is not kept: what does not arrive is not tried again.
    #[command(after_help = "Example:\n  kbc-mirror notify test --config mirror.toml --mirror retail")]
    Test(Of),
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Checks a file, and that every credential it refers to can be read.
    #[command(after_help = "Example:\n  kbc-mirror config check --config mirror.toml")]
    Check {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints what a file says, with each default where it says nothing.
    ///
    /// Credentials are the references that stand in the file; relative paths start at its directory.
    #[command(after_help = "Example:\n  kbc-mirror config print --config mirror.toml")]
    Print {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON instead of TOML.
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON Schema of configuration files: every key with its meaning, type and default.
    #[command(after_help = "Example:\n  kbc-mirror config schema > mirror.schema.json")]
    Schema,
}

/// So many withheld things of a branch are named for people; programs are told all.
const WITHHELD_SHOWN_MAX: usize = 20;

/// Says what a branch withholds, as its status or `verify` have it: a line each, with the reason.
fn withheld(branch: &Value) -> String {
    if branch["withheld"].is_null() {
        return "  it is not known what is withheld: nothing is stored of the branch here; `verify` finds it out\n".to_owned();
    }
    let objects = branch["withheld"].as_array().into_iter().flatten();
    let objects = objects.map(|one| (one["object"].as_str().unwrap_or_default(), &one["reason"]));
    let named = ["withheldFiles", "withheldRuns"];
    let named = named.map(|name| branch[name].as_object().into_iter().flatten());
    let named = named
        .into_iter()
        .flatten()
        .map(|(name, reason)| (name.as_str(), reason));
    let all: Vec<(&str, &Value)> = objects.chain(named).collect();
    let shown = all.iter().take(WITHHELD_SHOWN_MAX);
    let mut told: String = shown
        .map(|(name, reason)| format!("  withheld  {name}: {}\n", reason.as_str().unwrap_or_default()))
        .collect();
    if let Some(more @ 1..) = all.len().checked_sub(WITHHELD_SHOWN_MAX) {
        told.push_str(&format!("  and {more} more are withheld; `--json` names all\n"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_withheld_is_named_with_its_reason_and_not_without_end() {
        let nothing = json!({ "withheld": [], "withheldFiles": {}, "withheldRuns": {} });
        assert_eq!(withheld(&nothing), "");
        let unknown = withheld(&json!({ "withheld": null }));
        assert!(unknown.contains("it is not known what is withheld"), "{unknown}");
        let mut branch = json!({
            "withheld": [{ "object": "keboola.ex-shop/1", "reason": "it trapped" }],
            "withheldFiles": { "shared catalog keboola.ex-shop": "too large" },
            "withheldRuns": { "job 77": "guarded" },
        });
        let expected = "  withheld  keboola.ex-shop/1: it trapped
  withheld  shared catalog keboola.ex-shop: too large
  withheld  job 77: guarded
";
        assert_eq!(withheld(&branch), expected);
        let runs = (0..30).map(|run| (format!("job {run}"), json!("guarded")));
        branch["withheldRuns"] = serde_json::Value::Object(runs.collect());
        let told = withheld(&branch);
        assert_eq!(told.lines().count(), 21);
        assert!(
            told.ends_with("  and 12 more are withheld; `--json` names all\n"),
            "{told}"
        );
    }
}
