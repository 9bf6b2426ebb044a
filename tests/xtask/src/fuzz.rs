//! `cargo xtask fuzz`: builds the fuzz targets for libFuzzer, lets it look for inputs, and keeps the few that matter.
//!
//! Coverage is had from the stable compiler: its `sancov-module` pass is the one that nightly's `-Zsanitizer` uses. Only
//! our own crates and the parser of components are given it, by this program, which stands in for the compiler in
//! that build: libFuzzer is then guided by what is ours, and all else is as fast as ever.

use crate::{require, target};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Set for the build in which this program stands in for the compiler.
const STANDS_IN: &str = "KBC_MIRROR_FUZZ_COMPILER";

/// What is instrumented.
const COVERED: [&str; 7] = [
    "layout_renderer",
    "mirror_core",
    "mirror_git",
    "mirror_sandbox",
    "sample_filter",
    "secret_redaction",
    "wasmparser",
];

const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

const MINUTES: u64 = 60;
/// Of one input: all of them are small.
const SECONDS_MAX: u64 = 20;
const MEMORY_MB_MAX: u64 = 4096;

/// What is kept of one target's inputs in the repository, beside those with a name.
const KEPT_BYTES_MAX: u64 = 40 << 10;
const KEPT_FILES_MAX: usize = 150;

/// Says whether this process stands in for the compiler.
pub(crate) fn is_compiler() -> bool {
    env::var_os(STANDS_IN).is_some()
}

/// Calls the compiler, for our crates with coverage.
pub(crate) fn compile() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let Some(compiler) = args.next() else {
        return ExitCode::FAILURE;
    };
    let args: Vec<_> = args.collect();
    let after = |flag: &str| args.iter().skip_while(|arg| *arg != flag).nth(1);
    let name = after("--crate-name").and_then(|name| name.to_str());
    // What is built for this machine to run while building has no `--target`, and nothing to link the coverage with.
    let covered = after("--target").is_some() && name.is_some_and(|name| COVERED.contains(&name));
    let flags = if covered { &COVERAGE[..] } else { &[] };
    match Command::new(compiler).args(args).args(flags).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) | Err(_) => ExitCode::FAILURE,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Wish {
    names: Vec<String>,
    minutes: u64,
    input: Option<PathBuf>,
}

impl Wish {
    fn parse(args: &[String], all: &[String]) -> Result<Self> {
        let mut wish = Self {
            names: Vec::new(),
            minutes: MINUTES,
            input: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("`{arg}` needs a value"));
            match arg.as_str() {
                "--minutes" => {
                    wish.minutes = value()?.parse().context("`--minutes` is a number of minutes")?;
                }
                "--input" => wish.input = Some(value()?.into()),
                name if all.iter().any(|known| known == name) => wish.names.push(name.to_owned()),
                other => bail!("there is no fuzz target `{other}`; there are {}", all.join(", ")),
            }
        }
        if wish.input.is_some() && wish.names.len() != 1 {
            bail!("`--input` is for one target: cargo xtask fuzz NAME --input FILE");
        }
        if wish.names.is_empty() {
            wish.names = all.to_vec();
        }
        Ok(wish)
    }
}

/// Where everything of one target lies.
struct Place {
    name: String,
    seeds: PathBuf,
    dictionary: PathBuf,
    /// All that was ever found on this machine.
    corpus: PathBuf,
    failures: PathBuf,
}

impl Place {
    fn of(root: &Path, name: &str) -> Self {
        let (sources, built) = (root.join("tests/fuzz"), target(root).join("fuzz"));
        Self {
            name: name.to_owned(),
            seeds: sources.join("seeds").join(name),
            dictionary: sources.join(format!("dictionaries/{name}.dict")),
            corpus: built.join("corpus").join(name),
            failures: built.join("failures").join(name),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("KBC_MIRROR_FUZZ_TARGET", &self.name)
            .arg(format!("-timeout={SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
            .arg(format!("-artifact_prefix={}/", self.failures.display()));
        command
    }
}

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let seeds = root.join("tests/fuzz/seeds");
    let wish = Wish::parse(args, &names(&seeds)?)?;
    require("libFuzzer is C++", &["c++"], &["g++"])?;
    let program = build(root)?;
    let mut failed = Vec::new();
    for name in &wish.names {
        let place = Place::of(root, name);
        for directory in [&place.corpus, &place.failures] {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make `{}`", directory.display()))?;
        }
        let passed = match &wish.input {
            Some(input) => place.command(&program).arg(input).status()?.success(),
            None => look(&place, &program, wish.minutes)?,
        };
        if !passed {
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("what must hold for any input does not: {}", failed.join(", "))
    }
}

/// Each target has a directory of seeds.
fn names(seeds: &Path) -> Result<Vec<String>> {
    let directories = fs::read_dir(seeds).with_context(|| format!("cannot read `{}`", seeds.display()))?;
    let mut names = Vec::new();
    for directory in directories {
        names.push(directory?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds the program, in a directory of its own: its crates are not those of any other build.
fn build(root: &Path) -> Result<PathBuf> {
    let host = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .current_dir(root)
        .output()?;
    let host = String::from_utf8(host.stdout).context("the host's name is not UTF-8")?;
    let directory = target(root).join("fuzz");
    let args = [
        "build",
        "--locked",
        "--profile",
        "fuzz",
        "--package",
        "fuzz-targets",
        "--features",
        "libfuzzer",
        "--bin",
        "fuzz",
        "--target",
        host.trim(),
    ];
    eprintln!("+ cargo {}", args.join(" "));
    let status = Command::new("cargo")
        .args(args)
        .arg("--target-dir")
        .arg(&directory)
        .env("RUSTC_WRAPPER", env::current_exe()?)
        .env(STANDS_IN, "1")
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!(
            "the fuzz targets do not build; libFuzzer needs a compiler of C++ (Debian: apt-get install g++)"
        );
    }
    Ok(directory.join(host.trim()).join("fuzz/fuzz"))
}

/// Lets libFuzzer look for inputs, and keeps what is worth it. Returns whether all was well.
fn look(place: &Place, program: &Path, minutes: u64) -> Result<bool> {
    eprintln!("{}: {minutes} minutes", place.name);
    let before = files(&place.failures)?;
    let status = place
        .command(program)
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-dict={}", place.dictionary.display()))
        .arg("-print_final_stats=1")
        .args([&place.corpus, &place.seeds])
        .status()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    if status.success() {
        keep(place, program)?;
        return Ok(true);
    }
    let name = &place.name;
    for input in files(&place.failures)?.difference(&before) {
        eprintln!("\n{name} fails on {}", input.display());
        eprintln!(
            "  once more:        cargo xtask fuzz {name} --input {}",
            input.display()
        );
        eprintln!(
            "  when it is mended: keep it as tests/fuzz/seeds/{name}/WHAT-IT-IS, which every test run tries"
        );
    }
    Ok(false)
}

fn files(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read `{}`", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Keeps small inputs that together reach all that is reached, or a part of them. Those with a name stay whatever they reach.
fn keep(place: &Place, program: &Path) -> Result<()> {
    let merged = place.corpus.with_extension("merged");
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let status = place
        .command(program)
        .args(["-merge=1", "-set_cover_merge=1", "-use_counters=0"])
        .args([&merged, &place.corpus, &place.seeds])
        .status()?;
    if !status.success() {
        bail!("libFuzzer cannot merge the inputs of {}", place.name);
    }
    let mut found = Vec::new();
    for input in files(&merged)? {
        found.push((input.metadata()?.len(), input));
    }
    found.sort();
    for seed in files(&place.seeds)? {
        if is_digest(&seed) {
            fs::remove_file(&seed)?;
        }
    }
    let (mut kept, mut bytes) = (0, 0);
    // Of too many, some of every size: the smallest alone reach little.
    let places = found.len().min(KEPT_FILES_MAX);
    for (length, input) in (0..places).map(|place| &found[place * found.len() / places]) {
        if bytes + length > KEPT_BYTES_MAX {
            break;
        }
        let name = input.file_name().context("an input has a name")?;
        fs::copy(input, place.seeds.join(name))?;
        kept += 1;
        bytes += length;
    }
    eprintln!(
        "{}: {kept} of {} inputs are kept in {} ({bytes} bytes)",
        place.name,
        found.len(),
        place.seeds.display()
    );
    Ok(())
}

/// Says whether libFuzzer gave the file its name.
fn is_digest(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_names_targets_that_there_are() {
        let all = ["csv", "findings"].map(str::to_owned);
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            Wish::parse(&args, &all)
        };
        let wish = parse(&[]).unwrap();
        assert_eq!((wish.names.as_slice(), wish.minutes), (&all[..], MINUTES));
        let wish = parse(&["csv", "--minutes", "5"]).unwrap();
        assert_eq!((wish.names, wish.minutes), (vec!["csv".to_owned()], 5));
        let wish = parse(&["csv", "--input", "a"]).unwrap();
        assert_eq!(wish.input.as_deref(), Some(Path::new("a")));
        for wrong in [
            &["tsv"][..],
            &["--minutes"],
            &["--minutes", "x"],
            &["--input", "a"],
            &["csv", "findings", "--input", "a"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn inputs_with_a_name_are_told_from_those_that_were_found() {
        for (name, found) in [
            ("da39a3ee5e6b4b0d3255bfef95601890afd80709", true),
            ("a-marker-in-a-key", false),
            ("da39a3ee", false),
        ] {
            assert_eq!(is_digest(&Path::new("seeds").join(name)), found, "{name}");
        }
    }

    #[test]
    fn every_target_has_seeds_and_words() {
        let root = crate::root();
        for name in names(&root.join("tests/fuzz/seeds")).unwrap() {
            let place = Place::of(&root, &name);
            assert!(place.dictionary.is_file(), "{name}");
            assert!(!files(&place.seeds).unwrap().is_empty(), "{name}");
        }
    }
}
