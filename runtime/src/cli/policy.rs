//! `policy`: what authors of redaction policies need, from the first line to handing it in.
//!
//! All of it works offline, on the author's own machine, and runs a policy as the product does: in the sandbox, with
//! the limits of a deployment's defaults or of a configuration file.

pub(super) mod bench;
mod check;
mod documents;
mod explain;
mod golden;
mod inspect;
mod replay;
mod scaffold;
mod scan;
mod selftest;
mod settings;
mod store;
mod stored;
mod touched;

use crate::{app::Failure, config::Config, files, output::outln, policies};
use clap::{Args, Subcommand};
use mirror_core::document::Context;
use mirror_sandbox::{
    CompileLimits, Limits, RedactionPolicy, Sandbox, SandboxConfig, SandboxError, WrapError,
};
pub(super) use settings::settings;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Makes the project of a new policy, with tests, sample cases and what to do next.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy new --lang rust customer-words\n  kbc-mirror policy new my-policy --example customer-data"
    )]
    New(scaffold::New),
    /// Says whether a component can be used as a policy, and everything that is wrong with it at once.
    ///
    /// It is compiled, described and given its settings; then it judges sample documents, alone, together and twice, and
    /// must find the same each time. Exit code 1: it cannot be used.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy check policy.wasm\n  kbc-mirror policy check policy.wasm --settings settings.json --json\n  kbc-mirror policy check policy.wasm --config mirror.toml --mirror retail --name customer-data"
    )]
    Check(check::Check),
    /// Judges golden cases, and compares with what is expected.
    ///
    /// A case is a directory with `input/` (files as they would lie in the repository) and `findings.json`; `settings.json` in it, or
    /// in the directory of cases, are the policy's settings. Exit code 3: something differs; 1 or 2: a case cannot be judged, others are.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy test cases --policy policy.wasm\n  kbc-mirror policy test cases --policy policy.wasm --update"
    )]
    Test(golden::Test),
    /// Finds what a policy would take away, in lines on standard input or in files.
    ///
    /// With `--jsonl`, reads lines `{"id", "path"?, "text"|"text_b64"}` and prints `{"id", "spans": [[start, end, "rule"], …]}`: bytes of
    /// the given text. Without `path`, a text that is JSON is taken for such. A document without a verdict has its reason as `withheld`, and
    /// its empty `spans` say nothing. A line that is no document is answered by `{"line", "error"}`; in the end the exit code is 2.
    /// Without `--jsonl`, prints a line for each finding in the files. Exit code 1: a file got no verdict, so a mirror would withhold it.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy scan --jsonl < documents.jsonl\n  kbc-mirror policy scan tree --policy policy.wasm\n  echo '{\"id\":1,\"path\":\"a.sql\",\"text\":\"…\"}' | kbc-mirror policy scan --jsonl"
    )]
    Scan(scan::Scan),
    /// Shows which rule of which policy touches which field, and what comes in its place; never the secret.
    ///
    /// The built-in policy judges first, then each `--policy` in its turn what is left, then the guard, as in a mirror. Exit code 1: a file
    /// was not read or got no verdict, or a mirror would withhold its object.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy explain configs/main/extractor/x/y/config.json\n  kbc-mirror policy explain tree --policy policy.wasm --settings settings.json"
    )]
    Explain(explain::Explain),
    /// Tells what a component is: digest, interface, rules, schema of its settings, tools that made it.
    #[command(after_help = "Example:\n  kbc-mirror policy inspect policy.wasm")]
    Inspect(inspect::Inspect),
    /// Measures what a policy costs, and how much of each limit is taken by the document that takes most of it.
    ///
    /// Fuel, memory, findings and the bytes of the answer are the same on every machine; time is that of this one. Exit code 1: it gave no verdict on any document.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy bench policy.wasm --data tree\n  kbc-mirror policy bench policy.wasm --base earlier.wasm --json"
    )]
    Bench(bench::Bench),
    /// Makes a component of a core module, as `cargo build` writes it. Other commands do so by themselves.
    #[command(
        after_help = "Example:\n  kbc-mirror policy wrap target/wasm32-unknown-unknown/release/my_policy.wasm --out policy.wasm"
    )]
    Wrap {
        /// The core module.
        module: PathBuf,
        /// Where the component goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Checks a component and its settings, stores it in the data directory by its digest, and prints what the
    /// configuration file needs.
    ///
    /// What `policy check` calls unusable is refused, unless it is forced. Of a core module the component is stored that `policy wrap`
    /// makes of it, and the digest is of that. The table alone goes to standard output. Exit code 1: it cannot be used.
    #[command(
        after_help = "Example:\n  kbc-mirror policy add policy.wasm --config mirror.toml --mirror retail --name customer-data --settings settings.json"
    )]
    Add(store::Add),
    /// Lists the policies of mirrors in the order in which they judge, and stored components with when and for whom they were added.
    ///
    /// The digest of one that was used before is how a mirror is rolled back to it. Exit code 2: a policy that is no shadow cannot be
    /// used.
    #[command(after_help = "Example:\n  kbc-mirror policy list --config mirror.toml")]
    List(store::List),
    /// Removes components that are stored and that no mirror uses any more.
    ///
    /// One that the configuration file names, also as a shadow, stays, and nothing is removed. Exit code 2: so it is, or none is stored
    /// by that digest.
    #[command(after_help = "Example:\n  kbc-mirror policy remove 1f3c9ab2 --config mirror.toml")]
    Remove(stored::Remove),
    /// Says what a policy would have changed in what is already committed, before it is switched on.
    ///
    /// Reads the mirror's files of the newest commit, or of all since a moment, from the repository; what was rendered is judged, after all
    /// that the policies of its time took out, and the source is not asked. Each text is judged once. Names that paths are made of and
    /// messages of commits are judged too. Tells of each commit what it brings, of each file whose it is, what would go, in which commits it
    /// stands, and what the guard says of what is left; never what was found. Nothing is written anywhere.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy replay --config mirror.toml --mirror retail --policy policy.wasm\n  kbc-mirror policy replay --config mirror.toml --mirror retail --policy customer-data --since 30d --json\n  kbc-mirror policy replay --config mirror.toml --mirror retail --policy policy.wasm --settings settings.json --since 1f3c9ab --branch main"
    )]
    Replay(replay::Replay),
    /// Lets hostile policies loose on this host, and says whether each was contained.
    ///
    /// Loops, bombs, traps, lies and malformed components: each must be stopped within its limits, with its reason, while its
    /// neighbours are judged. Exit code 1: one was not.
    #[command(
        after_help = "Examples:\n  kbc-mirror policy selftest\n  kbc-mirror policy selftest --only loop --json"
    )]
    Selftest(selftest::Selftest),
}

/// A policy of an author's, by its file.
#[derive(Debug, Args)]
struct PolicyFile {
    /// The policy: a component, or a core module that was built for the world `redaction-policy`.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// A JSON file with the policy's settings.
    #[arg(long, requires = "policy")]
    settings: Option<PathBuf>,
}

/// Runs a `policy` command.
///
/// # Errors
/// What the command's help says.
pub fn run(command: PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::New(new) => scaffold::run(&new),
        PolicyCommand::Check(check) => check::run(&check),
        PolicyCommand::Test(test) => golden::run(&test),
        PolicyCommand::Scan(scan) => scan::run(&scan),
        PolicyCommand::Explain(explain) => explain::run(&explain),
        PolicyCommand::Inspect(inspect) => inspect::run(&inspect),
        PolicyCommand::Bench(bench) => bench::run(&bench),
        PolicyCommand::Wrap { module, out } => wrap(&module, &out),
        PolicyCommand::Add(add) => store::add(&add),
        PolicyCommand::List(list) => store::list(&list),
        PolicyCommand::Remove(remove) => stored::remove(&remove),
        PolicyCommand::Replay(replay) => replay::run(&replay),
        PolicyCommand::Selftest(selftest) => selftest::run(&selftest),
    }
}

fn wrap(module: &std::path::Path, out: &std::path::Path) -> Result<(), Failure> {
    let component = component(module)?;
    files::write(out, &component)
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", out.display())))?;
    outln!(
        "{}: {} bytes, sha256 {}",
        out.display(),
        component.len(),
        mirror_sandbox::digest(&component)
    );
    Ok(())
}

/// Reads a policy's file, and makes a component of it where it is a core module.
fn component(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    component_of(path).map(|(component, _)| component)
}

/// The same of a file that may be as large as these limits say.
fn component_within(path: &std::path::Path, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let wrapped = wrapped_within(path, limits)?;
    let (component, _) =
        wrapped.map_err(|error| Failure::message(format!("`{}`: {error}", path.display())))?;
    Ok(component)
}

/// The same, and says whether the file is a core module.
fn component_of(path: &std::path::Path) -> Result<(Vec<u8>, bool), Failure> {
    wrapped(path)?.map_err(|error| Failure::message(format!("`{}`: {error}", path.display())))
}

/// The same, with all that is wrong with a core module of which no component can be made.
fn wrapped(path: &std::path::Path) -> Result<Result<(Vec<u8>, bool), WrapError>, Failure> {
    wrapped_within(path, &Limits::default())
}

/// The same of a file that may be as large as these limits say.
fn wrapped_within(
    path: &std::path::Path,
    limits: &Limits,
) -> Result<Result<(Vec<u8>, bool), WrapError>, Failure> {
    let bytes = policies::read_component(path, limits.component_bytes_max)
        .map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    if !mirror_sandbox::is_core_module(&bytes) {
        // Components too, and whatever it is: the sandbox has the words for it.
        return Ok(Ok((bytes, false)));
    }
    Ok(mirror_sandbox::wrap_module(&bytes).map(|component| (component, true)))
}

/// Starts a sandbox with the defaults of a deployment, also for compiling, so that what passes here passes there.
pub(super) fn sandbox() -> Result<Sandbox, Failure> {
    sandbox_within(Limits::default(), CompileLimits::default())
}

/// The same with other limits for policies.
fn sandbox_within(limits: Limits, compile: CompileLimits) -> Result<Sandbox, Failure> {
    let compiler = policies::compiler(compile).map_err(|error| Failure::failed(&error))?;
    let config = SandboxConfig {
        compiler,
        ..SandboxConfig::offline(Limits::default(), limits)
    };
    Sandbox::new(config).map_err(|error| Failure::failed(&error))
}

/// Under which limits a policy is tried.
#[derive(Debug, Args)]
struct Within {
    /// A configuration file, whose limits of `[policies]` hold; left out, the defaults.
    #[arg(long)]
    config: Option<PathBuf>,
    /// With `--name`, a mirror and one of its policies, whose own `limits` hold.
    #[arg(long, requires_all = ["config", "name"])]
    mirror: Option<String>,
    /// The name of that policy in the configuration file.
    #[arg(long, requires = "mirror")]
    name: Option<String>,
}

impl Within {
    /// Returns the limits, and those for compiling.
    ///
    /// # Errors
    /// A file that cannot be used, or has no such mirror or policy.
    fn limits(&self) -> Result<(Limits, CompileLimits), Failure> {
        let Some(path) = &self.config else {
            return Ok((Limits::default(), CompileLimits::default()));
        };
        let config = Config::read(path).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
        let limits = match (&self.mirror, &self.name) {
            (Some(mirror), Some(name)) => {
                let spec = config
                    .mirror(mirror)
                    .map_err(|error| Failure::usage(error.to_string()))?;
                let policy = spec.policies.iter().find(|policy| policy.name == *name);
                let policy = policy.ok_or_else(|| {
                    Failure::usage(format!(
                        "mirror `{}` has no policy `{}`",
                        spec.id,
                        name.escape_debug()
                    ))
                })?;
                policy.limits.clone()
            }
            _ => config.policies.limits.clone(),
        };
        Ok((limits, config.policies.compile))
    }
}

/// Prepares the policy that a command is about; the built-in one where none is named.
fn prepare(sandbox: &Sandbox, file: &PolicyFile) -> Result<RedactionPolicy, Failure> {
    match &file.policy {
        None => sandbox
            .secret_redaction()
            .map_err(|error| Failure::failed(&error)),
        Some(path) => {
            let settings = settings(file.settings.as_ref())?;
            let component = component(path)?;
            sandbox
                .customer_policy(&name(path), &component, &settings)
                .map_err(|error| unusable(&error))
        }
    }
}

/// What cannot be used fails with what mends it; settings are a matter of their file.
fn unusable(error: &SandboxError) -> Failure {
    match error {
        SandboxError::Settings { .. } => Failure::usage(crate::app::chain(error)),
        _ => Failure::message(crate::app::chain(error)),
    }
}

/// Calls a policy by its file.
fn name(path: &std::path::Path) -> String {
    path.file_stem().map_or_else(
        || "of an author".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// The context of documents that are of no project.
fn context() -> Context {
    Context {
        stack: "connection.example.com".parse().expect("a stack's name"),
        project: "1".parse().expect("a project's id"),
        branch: "1".parse().expect("a branch's id"),
    }
}
