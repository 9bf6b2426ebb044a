//! Instructions of the pure kernels: the judge that no other work on the machine disturbs.

use super::{Worktree, build};
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A kernel is run so many times, and so many times more; the difference is without its preparation.
const FEW: u64 = 2;
const MORE: u64 = 10;
/// More instructions than this make a kernel slower. Compilers and hash seeds move some.
const PERCENT_MAX: f64 = 1.0;

/// Counts the named kernels, or all; a name that is none of theirs is a commit to compare with.
pub(super) fn run(root: &Path, names: &[&str]) -> Result<()> {
    crate::require(
        "instructions are counted by callgrind",
        &["valgrind"],
        &["valgrind"],
    )?;
    let here = kernels(root, &crate::target(root))?;
    let known = answer(Command::new(&here))?;
    let (base, chosen) = chosen(names, &known.lines().collect::<Vec<_>>())?;
    let there = match base {
        None => None,
        Some(base) => {
            let worktree = Worktree::of(root, base)?;
            let program = kernels(&worktree.path, &worktree.target);
            Some(program.with_context(|| format!("`{base}` has no kernels to compare with"))?)
        }
    };
    let mut more = 0;
    for name in chosen {
        let now = instructions(&here, name)?;
        let was = there
            .as_ref()
            .map(|there| instructions(there, name))
            .transpose()?;
        let Some(was) = was else {
            println!("{name:<20} {now:>14}");
            continue;
        };
        let percent = change(was, now);
        let is_more = percent > PERCENT_MAX;
        more += usize::from(is_more);
        println!(
            "{name:<20} {now:>14} {percent:+7.2} %{}",
            if is_more { "  MORE" } else { "" }
        );
    }
    if more > 0 {
        bail!("{more} kernels take more instructions, by more than {PERCENT_MAX} %");
    }
    Ok(())
}

/// Returns the commit to compare with, if one is named, and the kernels.
fn chosen<'n>(names: &[&'n str], known: &[&'n str]) -> Result<(Option<&'n str>, Vec<&'n str>)> {
    let (base, kernels) = match names {
        [first, rest @ ..] if !known.contains(first) => (Some(*first), rest),
        kernels => (None, kernels),
    };
    if let Some(unknown) = kernels.iter().find(|name| !known.contains(name)) {
        bail!("there is no kernel `{unknown}`; there are {}", known.join(", "));
    }
    let all = if kernels.is_empty() { known } else { kernels };
    Ok((base, all.to_vec()))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn change(was: u64, now: u64) -> f64 {
    100.0 * (now as f64 / was.max(1) as f64 - 1.0)
}

fn kernels(root: &Path, target: &Path) -> Result<PathBuf> {
    let args = [
        "build",
        "--release",
        "--package",
        "mirror-benches",
        "--bin",
        "kernels",
    ];
    let built = build(root, target, &args, |name, kind| {
        kind == "bin" && name == "kernels"
    })?;
    let program = built.into_values().next();
    program.context("there is no program `kernels`")
}

/// Returns the instructions of one time of a kernel.
fn instructions(program: &Path, name: &str) -> Result<u64> {
    let count = |times: u64| -> Result<u64> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let output = valgrind.arg(program).arg(name).arg(times.to_string()).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("`{name}` fails under callgrind:\n{told}");
        }
        collected(&told).with_context(|| format!("callgrind does not tell a count:\n{told}"))
    };
    let (few, many) = (count(FEW)?, count(FEW + MORE)?);
    Ok(many.saturating_sub(few) / MORE)
}

/// Reads the count of instructions from what callgrind says at its end.
fn collected(told: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

fn answer(mut command: Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?} failed with {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_end_of_a_run() {
        let told =
            "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n==7== I   refs:      1,234,567\n";
        assert_eq!(collected(told), Some(1_234_567));
        assert_eq!(collected("==7== nothing"), None);
        assert!(change(100, 102) > 1.9 && change(100, 100).abs() < 0.001);
    }
    #[test]
    fn a_name_that_is_no_kernels_is_a_commit_if_it_comes_first() {
        let known = ["render", "redact"];
        let check = |names: &[&'static str], base, kernels: &[&str]| {
            assert_eq!(
                chosen(names, &known).unwrap(),
                (base, kernels.to_vec()),
                "{names:?}"
            );
        };
        check(&[], None, &known);
        check(&["redact"], None, &["redact"]);
        check(&["main"], Some("main"), &known);
        check(&["main", "redact", "render"], Some("main"), &["redact", "render"]);
        assert!(chosen(&["redact", "main"], &known).is_err());
    }
}
