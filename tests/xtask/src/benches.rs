//! `cargo xtask benches`: whether the hot path is still as quick as it was promised to be, and as it was before.

mod budgets;
mod count;
mod verdict;

use anyhow::{Context, Result, bail};
use budgets::{Budgets, Judged};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use verdict::{Interval, Verdict};

const USAGE: &str = "\
cargo xtask benches check [FILTER]          measure, and fail where a ceiling of benches/budgets.toml is broken
cargo xtask benches compare BASE [FILTER]   measure beside another commit, in turns, and fail where this one is slower
cargo xtask benches count [BASE]            instructions of the pure kernels (callgrind), beside another commit's";

/// The benches that criterion runs; the others print reports of their own.
const BENCHES: [&str; 4] = ["transform", "redact", "sandbox", "log"];
/// Measurements of each bench, in turns. With fewer than eight nothing could be told.
const ROUNDS: usize = 10;

/// Does one of the commands.
///
/// # Errors
/// Something that is slower than it may be, or cannot be measured.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["check"] => check(root, ""),
        ["check", filter] => check(root, filter),
        ["compare", base] => compare(root, base, ""),
        ["compare", base, filter] => compare(root, base, filter),
        ["count"] => count::run(root, None),
        ["count", base] => count::run(root, Some(base)),
        _ => bail!("{USAGE}"),
    }
}

fn check(root: &Path, filter: &str) -> Result<()> {
    let budgets = Budgets::read(&root.join("benches/budgets.toml"))?;
    let here = Built::new(root, &super::target(root), "this commit")?;
    let mut times = Times::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        here.measure(filter, &mut times)?;
    }
    if times.is_empty() {
        bail!("no bench has `{filter}` in its name");
    }
    let Judged {
        lines,
        broken,
        unmeasured,
    } = budgets.judge(&times);
    for line in lines {
        println!("{line}");
    }
    // With a filter, most are left out on purpose.
    if unmeasured > 0 && filter.is_empty() {
        bail!(
            "{unmeasured} ceilings of benches/budgets.toml are of benches that were not measured: mend their names"
        );
    }
    if broken > 0 {
        bail!(
            "{broken} ceilings of benches/budgets.toml are broken: make it quicker again, or raise the ceiling with its reason"
        );
    }
    Ok(())
}

fn compare(root: &Path, base: &str, filter: &str) -> Result<()> {
    let here = Built::new(root, &super::target(root), "this commit")?;
    let worktree = Worktree::of(root, base)?;
    let there = Built::new(&worktree.path, &worktree.target, "the base")?;
    let (mut base_times, mut times) = (Times::new(), Times::new());
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        // The second of a pair may find the machine warmer: they take turns at it.
        if round % 2 == 0 {
            here.measure(filter, &mut times)?;
            there.measure(filter, &mut base_times)?;
        } else {
            there.measure(filter, &mut base_times)?;
            here.measure(filter, &mut times)?;
        }
    }
    let mut slower = 0;
    for (bench, now) in &times {
        let Some(was) = base_times.get(bench) else {
            println!("{bench:<44} is new");
            continue;
        };
        let interval = Interval::of_ratio(was, now);
        let verdict = interval.verdict();
        slower += usize::from(verdict == Verdict::Worse);
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        println!(
            "{bench:<44} {:+7.1} % to {:+7.1} %  {}",
            percent(interval.low),
            percent(interval.high),
            match verdict {
                Verdict::Worse => "SLOWER",
                Verdict::Better => "quicker",
                Verdict::Same => "",
            }
        );
    }
    if times.is_empty() {
        bail!("no bench has `{filter}` in its name");
    }
    if slower > 0 {
        bail!("{slower} benches are slower than at {base}, with the whole interval");
    }
    Ok(())
}

/// Nanoseconds of one iteration, by bench, a value for each round.
type Times = BTreeMap<String, Vec<f64>>;

/// A work tree of another commit; it is removed when this is dropped, and what was built of it stays for the next time.
struct Worktree {
    root: PathBuf,
    path: PathBuf,
    target: PathBuf,
}

impl Worktree {
    fn of(root: &Path, commit: &str) -> Result<Self> {
        let target = super::target(root);
        let path = target.join("benches-base/tree");
        let worktree = Self {
            root: root.to_owned(),
            target: target.join("benches-base/target"),
            path,
        };
        worktree.remove();
        let path = worktree
            .path
            .to_str()
            .context("the build's directory is not UTF-8")?;
        let added = git(
            root,
            &["worktree", "add", "--quiet", "--detach", "--force", path, commit],
        );
        added
            .with_context(|| format!("`{commit}` is no commit of this repository that can be checked out"))?;
        Ok(worktree)
    }

    fn remove(&self) {
        let Some(path) = self.path.to_str().filter(|_| self.path.exists()) else {
            return;
        };
        if let Err(error) = git(&self.root, &["worktree", "remove", "--force", path]) {
            eprintln!("warning: {error:#}");
        }
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        self.remove();
    }
}

fn git(root: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new("git").current_dir(root).args(args).status()?;
    if !status.success() {
        bail!("`git {}` failed with {status}", args.join(" "));
    }
    Ok(())
}

/// The benches of one commit, built.
struct Built {
    executables: Vec<PathBuf>,
    /// Where criterion leaves what it measured.
    home: PathBuf,
}

/// A line of what cargo tells of a build.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds something of a commit, optimised; returns the executables of the targets that are wanted.
fn build(
    root: &Path,
    target: &Path,
    args: &[&str],
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<Vec<PathBuf>> {
    eprintln!("+ cargo {}", args.join(" "));
    let output = Command::new("cargo")
        .current_dir(root)
        .args(args)
        .args([
            "--locked",
            "--message-format",
            "json-render-diagnostics",
            "--target-dir",
        ])
        .arg(target)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run `cargo`; install it and try again")?;
    if !output.status.success() {
        bail!("the benches of `{}` cannot be built", root.display());
    }
    let lines = String::from_utf8(output.stdout)?;
    let artifacts = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
    let found = artifacts.filter_map(|Artifact { executable, target }| {
        let target = target?;
        wanted(&target.name, target.kind.first()?).then_some(executable?)
    });
    Ok(found.collect())
}

impl Built {
    fn new(root: &Path, target: &Path, which: &str) -> Result<Self> {
        let args = ["bench", "--no-run", "--package", "mirror-benches"];
        let executables = build(root, target, &args, |name, kind| {
            kind == "bench" && BENCHES.contains(&name)
        })?;
        if executables.is_empty() {
            bail!("{which} has none of the benches {}", BENCHES.join(", "));
        }
        Ok(Self {
            executables,
            home: target.join("benches-measured"),
        })
    }

    /// Measures each bench once and adds what was found.
    fn measure(&self, filter: &str, times: &mut Times) -> Result<()> {
        if self.home.exists() {
            fs::remove_dir_all(&self.home)?;
        }
        for executable in &self.executables {
            let mut bench = Command::new(executable);
            bench.args([
                "--bench",
                "--noplot",
                "--warm-up-time",
                "0.5",
                "--measurement-time",
                "1",
                "--sample-size",
                "20",
            ]);
            if !filter.is_empty() {
                bench.arg(filter);
            }
            let output = bench.env("CRITERION_HOME", &self.home).output()?;
            if !output.status.success() {
                let told = String::from_utf8_lossy(&output.stderr);
                bail!("`{}` failed:\n{told}", executable.display());
            }
        }
        collect(&self.home, times)
    }
}

#[derive(Deserialize)]
struct Named {
    full_id: String,
}

#[derive(Deserialize)]
struct Sampled {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Reads what criterion has left below a directory.
fn collect(directory: &Path, times: &mut Times) -> Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            let Named { full_id } = serde_json::from_str(&fs::read_to_string(path.join("benchmark.json"))?)?;
            let sampled: Sampled = serde_json::from_str(&fs::read_to_string(path.join("sample.json"))?)?;
            times.entry(full_id).or_default().push(quick(&sampled));
        } else if path.is_dir() {
            collect(&path, times)?;
        }
    }
    Ok(())
}

/// Returns the time that a quarter of the samples stay within: others may disturb a bench, and nobody can hasten it.
fn quick(sampled: &Sampled) -> f64 {
    let mut each: Vec<f64> = sampled
        .times
        .iter()
        .zip(&sampled.iters)
        .map(|(time, iters)| time / iters)
        .collect();
    each.sort_by(f64::total_cmp);
    each.get(each.len() / 4).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_read_from_what_criterion_leaves() {
        let home = tempfile::tempdir().unwrap();
        let new = home.path().join("render/native/new");
        fs::create_dir_all(&new).unwrap();
        fs::write(
            new.join("benchmark.json"),
            r#"{"full_id": "render/native", "value_str": null}"#,
        )
        .unwrap();
        let sample = r#"{"sampling_mode": "Linear", "iters": [1, 2, 4, 5], "times": [900, 40, 84, 110]}"#;
        fs::write(new.join("sample.json"), sample).unwrap();
        let mut times = Times::new();
        collect(home.path(), &mut times).unwrap();
        collect(home.path(), &mut times).unwrap();
        assert_eq!(times, Times::from([("render/native".into(), vec![21.0, 21.0])]));
    }
}
