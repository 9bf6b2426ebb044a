//! `cargo xtask benches`: whether the hot path is still as quick as it was promised to be, and as it was before.

mod budgets;
mod count;
mod figures;
mod verdict;

use anyhow::{Context, Result, bail};
use budgets::{Budgets, Judged, Measured};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use verdict::{Interval, Verdict};

const USAGE: &str = "\
cargo xtask benches check [PART ...]          measure, and fail where a bound of benches/budgets.toml is broken
cargo xtask benches compare BASE [PART ...]   measure beside another commit, in turns, and fail where this one is slower
cargo xtask benches count [BASE] [KERNEL ...] instructions of the pure kernels (callgrind), beside another commit's

PART is one of the benches `transform`, `redact`, `sandbox` and `log`, or a part of the name of something that they measure,
such as `render/`; left out, it is all of them, in half an hour. `check` also knows the benches that print reports of their own,
`git`, `event` and `baseline`, where they are named (`git/bulk` for a part of one). KERNEL is one of those that `count` lists.";

/// The benches that criterion runs.
const BENCHES: [&str; 4] = ["transform", "redact", "sandbox", "log"];
/// Those that print reports of their own and tell figures beside them, with their packages.
const REPORTS: [(&str, &str); 3] = [
    ("git", "mirror-git-benches"),
    ("event", "mirror-benches"),
    ("baseline", "mirror-benches"),
];
/// Measurements of each bench, in turns. With fewer than eight nothing could be told.
const ROUNDS: usize = 10;
/// The variable that names sizes of inputs, and the one that ceilings are for.
const SIZES: &str = "KBC_MIRROR_CONFIGURATIONS";
const SIZE: &str = "300";

/// Does one of the commands.
///
/// # Errors
/// Something that is slower than it may be, or cannot be measured.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["check", parts @ ..] => {
            let reports: Vec<Report<'_>> = parts.iter().filter_map(|part| Report::named(part)).collect();
            let others = parts.iter().copied().filter(|part| Report::named(part).is_none());
            let others: Vec<&str> = others.collect();
            let only_reports = others.is_empty() && !reports.is_empty();
            let parts = (!only_reports).then(|| Parts::of(&others));
            check(root, &reports, parts.as_ref())
        }
        ["compare", base, parts @ ..] => compare(root, base, &Parts::of(parts)),
        ["count", names @ ..] => count::run(root, names),
        _ => bail!("{USAGE}"),
    }
}

/// What of the benches is to be measured.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// Benches, each with parts of names; with none all that it measures.
    benches: BTreeMap<&'static str, Vec<String>>,
    /// Not everything.
    few: bool,
}

impl Parts {
    fn of(parts: &[&str]) -> Self {
        let mut benches: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let few = !parts.is_empty();
        for part in parts.iter().filter(|part| !BENCHES.contains(part)) {
            // Whatever bench it is in.
            for bench in BENCHES {
                benches.entry(bench).or_default().push((*part).to_owned());
            }
        }
        for bench in BENCHES.into_iter().filter(|bench| parts.contains(bench) || !few) {
            benches.insert(bench, Vec::new());
        }
        Self { benches, few }
    }

    fn nothing_found(&self) -> anyhow::Error {
        let filters: BTreeSet<&String> = self.benches.values().flatten().collect();
        anyhow::anyhow!("nothing that is measured has one of {filters:?} in its name")
    }
}

/// A bench that prints a report of its own, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Report<'a> {
    bench: &'static str,
    package: &'static str,
    part: Option<&'a str>,
}

impl<'a> Report<'a> {
    /// Finds it by how it is called: `git`, or `git/bulk`.
    fn named(name: &'a str) -> Option<Self> {
        let (bench, part) = match name.split_once('/') {
            Some((bench, part)) => (bench, Some(part).filter(|part| !part.is_empty())),
            None => (name, None),
        };
        let (bench, package) = REPORTS.into_iter().find(|(known, _)| *known == bench)?;
        Some(Self { bench, package, part })
    }

    /// Runs it, with its report where this one goes, and adds its figures to a file.
    fn run(self, root: &Path, figures: &Path) -> Result<()> {
        let mut bench = Command::new("cargo");
        bench.args([
            "bench",
            "--locked",
            "--package",
            self.package,
            "--bench",
            self.bench,
        ]);
        bench.arg("--").args(self.part);
        let status = bench
            .current_dir(root)
            .env("KBC_MIRROR_FIGURES", figures)
            .status()
            .context("cannot run `cargo`; install it and try again")?;
        if !status.success() {
            bail!("the bench `{}` failed with {status}", self.bench);
        }
        Ok(())
    }
}

/// Measures parts of what criterion runs, where there are any, and then reports.
fn check(root: &Path, reports: &[Report<'_>], parts: Option<&Parts>) -> Result<()> {
    let budgets = Budgets::read(&root.join("benches/budgets.toml"))?;
    let target = super::target(root);
    let mut measured = Measured::default();
    if let Some(parts) = parts {
        let here = Built::new(root, &target, parts, "this commit")?;
        for round in 1..=ROUNDS {
            eprintln!("round {round} of {ROUNDS}");
            here.measure(parts, &mut measured.times)?;
        }
        if measured.times.is_empty() {
            return Err(parts.nothing_found());
        }
    }
    let file = target.join("benches-figures");
    fs::write(&file, "")?;
    for report in reports {
        report.run(root, &file)?;
    }
    measured.figures = figures::read(&fs::read_to_string(&file)?)?;
    let Judged {
        lines,
        broken,
        unmeasured,
    } = budgets.judge(&measured);
    for line in &lines {
        println!("{line}");
    }
    for (what, why) in &unmeasured {
        println!("{what:<44} not measured{why}");
    }
    // Of a few parts, most are left out on purpose; so are all reports that were not asked for.
    let misnamed = unmeasured
        .iter()
        .filter(|(what, _)| match what.split_once('/') {
            Some((report, _)) if Report::named(report).is_some() => reports
                .iter()
                .any(|asked| asked.bench == report && asked.part.is_none()),
            _ => parts.is_some_and(|parts| !parts.few),
        })
        .count();
    if misnamed > 0 {
        bail!("{misnamed} bounds of benches/budgets.toml are of what was not measured: mend their names");
    }
    if lines.is_empty() {
        bail!("there is no bound for what was measured; name other parts");
    }
    if broken > 0 {
        bail!(
            "{broken} bounds of benches/budgets.toml are broken: make it quicker again, or move the bound with its reason"
        );
    }
    Ok(())
}

fn compare(root: &Path, base: &str, parts: &Parts) -> Result<()> {
    let here = Built::new(root, &super::target(root), parts, "this commit")?;
    let worktree = Worktree::of(root, base)?;
    let there = Built::new(&worktree.path, &worktree.target, parts, "the base")?;
    let (mut base_times, mut times) = (Times::new(), Times::new());
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        // The second of a pair may find the machine warmer: they take turns at it.
        if round % 2 == 0 {
            here.measure(parts, &mut times)?;
            there.measure(parts, &mut base_times)?;
        } else {
            there.measure(parts, &mut base_times)?;
            here.measure(parts, &mut times)?;
        }
    }
    if times.is_empty() {
        return Err(parts.nothing_found());
    }
    let (lines, slower) = beside(&base_times, &times);
    for line in lines {
        println!("{line}");
    }
    if slower > 0 {
        bail!("{slower} benches are slower than at {base}, with the whole interval");
    }
    Ok(())
}

/// Returns a line for each bench of a base and of a change, and how many are slower.
fn beside(base: &Times, change: &Times) -> (Vec<String>, usize) {
    let mut slower = 0;
    let benches: BTreeSet<&String> = base.keys().chain(change.keys()).collect();
    let line = |bench: &String| match (base.get(bench), change.get(bench)) {
        (Some(was), Some(now)) => {
            let interval = Interval::of_ratio(was, now);
            let verdict = interval.verdict();
            slower += usize::from(verdict == Verdict::Worse);
            let percent = |ratio: f64| 100.0 * (ratio - 1.0);
            format!(
                "{bench:<44} {:+7.1} % to {:+7.1} %  {}",
                percent(interval.low),
                percent(interval.high),
                match verdict {
                    Verdict::Worse => "SLOWER",
                    Verdict::Better => "quicker",
                    Verdict::Same => "",
                }
            )
        }
        (None, _) => format!("{bench:<44} is new"),
        // Whoever takes it away says in the same change what guards this instead.
        (Some(_), None) => format!("{bench:<44} IS GONE: nothing was compared"),
    };
    (benches.into_iter().map(line).collect(), slower)
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
    /// By the benches' names.
    executables: BTreeMap<String, PathBuf>,
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
) -> Result<BTreeMap<String, PathBuf>> {
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
        let Target { name, kind } = target?;
        wanted(&name, kind.first()?).then_some((name, executable?))
    });
    Ok(found.collect())
}

impl Built {
    fn new(root: &Path, target: &Path, parts: &Parts, which: &str) -> Result<Self> {
        let mut args = vec!["bench", "--no-run", "--package", "mirror-benches"];
        args.extend(parts.benches.keys().flat_map(|bench| ["--bench", bench]));
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
    fn measure(&self, parts: &Parts, times: &mut Times) -> Result<()> {
        if self.home.exists() {
            fs::remove_dir_all(&self.home)?;
        }
        for (bench, filters) in &parts.benches {
            let Some(executable) = self.executables.get(*bench) else {
                continue;
            };
            match filters.as_slice() {
                [] => self.run(executable, None)?,
                filters => filters
                    .iter()
                    .try_for_each(|filter| self.run(executable, Some(filter)))?,
            }
        }
        collect(&self.home, times)
    }

    fn run(&self, executable: &Path, filter: Option<&str>) -> Result<()> {
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
        bench.args(filter).env("CRITERION_HOME", &self.home);
        if env::var_os(SIZES).is_none() {
            bench.env(SIZES, SIZE);
        }
        let output = bench.output()?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed:\n{told}", executable.display());
        }
        Ok(())
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

    #[track_caller]
    fn check(parts: &[&str], expected: &[(&'static str, &[&str])]) {
        let expected = expected.iter().map(|(bench, filters)| {
            let filters = filters.iter().map(|filter| (*filter).to_owned());
            (*bench, filters.collect())
        });
        let benches = expected.collect();
        let few = !parts.is_empty();
        assert_eq!(Parts::of(parts), Parts { benches, few });
    }

    #[test]
    fn a_part_is_a_bench_or_a_part_of_a_name_in_any_of_them() {
        check(
            &[],
            &[
                ("log", &[]),
                ("redact", &[]),
                ("sandbox", &[]),
                ("transform", &[]),
            ],
        );
        check(&["redact", "sandbox"], &[("redact", &[]), ("sandbox", &[])]);
        let both: &[&str] = &["render/", "memo"];
        check(
            both,
            &[
                ("log", both),
                ("redact", both),
                ("sandbox", both),
                ("transform", both),
            ],
        );
        let one: &[&str] = &["lane"];
        check(
            &["redact", "lane"],
            &[
                ("log", one),
                ("redact", &[]),
                ("sandbox", one),
                ("transform", one),
            ],
        );
    }

    #[test]
    fn a_report_is_named_as_a_whole_or_in_part() {
        let git = |part| Report {
            bench: "git",
            package: "mirror-git-benches",
            part,
        };
        assert_eq!(Report::named("git"), Some(git(None)));
        assert_eq!(Report::named("git/bulk"), Some(git(Some("bulk"))));
        assert_eq!(Report::named("redact"), None);
        assert_eq!(Report::named("gi"), None);
    }

    #[test]
    fn what_is_slower_new_or_gone_is_told() {
        let times = |named: &[(&str, f64)]| -> Times {
            let of = |(name, time): &(&str, f64)| ((*name).to_owned(), vec![*time; 10]);
            named.iter().map(of).collect()
        };
        let (lines, slower) = beside(
            &times(&[("gone", 1.0), ("same", 1.0), ("slow", 1.0)]),
            &times(&[("new", 1.0), ("same", 1.0), ("slow", 2.0)]),
        );
        let told = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = [
            "gone IS GONE: nothing was compared",
            "new is new",
            "same +0.0 % to +0.0 %",
            "slow +100.0 % to +100.0 % SLOWER",
        ];
        assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!(slower, 1);
    }

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
