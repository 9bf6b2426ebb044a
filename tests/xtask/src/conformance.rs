//! `cargo xtask conformance DIR`: every case and vector of an outside directory.
//!
//! Cases are rendered by the product's own binary, as a user would; vectors are asked of the crates.

use anyhow::{Context, Result, bail};
use layout_cases::{tree, vectors};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// Renders and compares all cases, and checks the vectors; tells the first differences of each that
/// fails.
///
/// `directory` holds `kbc/` (cases), `vectors/` or both, or is itself a directory of cases.
///
/// With fewer than `cases_min` cases it fails: a directory that lost most of them proves little.
///
/// # Errors
/// Something that differs, or a directory without cases and vectors.
pub(crate) fn run(root: &Path, directory: &Path, cases_min: usize) -> Result<()> {
    let directory = root.join(directory);
    let sub = |name: &str| Some(directory.join(name)).filter(|path| path.is_dir());
    let (cases, vectors) = (sub("kbc"), sub("vectors"));
    let cases = cases.or_else(|| vectors.is_none().then(|| directory.clone()));
    let mut failed = 0;
    match cases {
        Some(cases) => failed += self::cases(root, &cases, cases_min)?,
        None if cases_min > 0 => bail!(
            "`{}` has no cases, and {cases_min} are expected",
            directory.display()
        ),
        None => {}
    }
    if let Some(vectors) = vectors {
        let outcome = vectors::check(&vectors)?;
        for line in &outcome.failed {
            println!("FAILED {line}");
        }
        let total = outcome.total;
        println!("vectors: {} of {total} passed", total - outcome.failed.len());
        failed += outcome.failed.len();
    }
    if failed > 0 {
        bail!("{failed} cases or vectors differ");
    }
    Ok(())
}

/// Runs the cases of a directory. Returns how many failed.
fn cases(root: &Path, directory: &Path, cases_min: usize) -> Result<usize> {
    let mut cases: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("cannot read `{}`", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("expected").is_dir())
        .collect();
    cases.sort();
    if cases.is_empty() {
        bail!(
            "`{}` has no cases (directories with `options.json`, `api/` and `expected/`), neither itself nor in `kbc/`, \
             and no `vectors/`",
            directory.display()
        );
    }
    if cases.len() < cases_min {
        bail!(
            "`{}` has {} cases, and {cases_min} are expected",
            directory.display(),
            cases.len()
        );
    }
    let binary = super::product(root)?;
    let target = super::target(root);
    let out = target.join("conformance");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let names = cases.iter().map(|case| case.file_name().unwrap_or_default());
    let outs: Vec<PathBuf> = names.map(|name| out.join(name)).collect();
    // In one process, which prepares the guests once.
    let started = Instant::now();
    let mut render = Command::new(&binary);
    render.args([
        "--log-level",
        "error",
        "render",
        "--only",
        "configs",
        "--no-redact",
    ]);
    for (case, out) in cases.iter().zip(&outs) {
        render.arg("--project").arg(case).arg("--out").arg(out);
    }
    let rendered = render
        .output()
        .with_context(|| format!("cannot run `{}`", binary.display()))?;
    let took = started.elapsed();
    if !rendered.status.success() {
        println!("{}", String::from_utf8_lossy(&rendered.stderr).trim());
    }
    let mut failed = 0;
    for (case, out) in cases.iter().zip(&outs) {
        let problems = tree::differences(&tree::read(out)?, &tree::read(&case.join("expected"))?);
        if !problems.is_empty() {
            failed += 1;
            println!("FAILED {}", case.file_name().unwrap_or_default().display());
            for problem in problems.iter().take(5) {
                println!("       {problem}");
            }
        }
    }
    println!(
        "conformance: {} of {} passed, rendered in {:.1} s",
        cases.len() - failed,
        cases.len(),
        took.as_secs_f64()
    );
    Ok(failed)
}
