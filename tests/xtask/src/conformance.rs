//! `cargo xtask conformance DIR`: every case of an outside directory, through the product's own binary.

use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Renders and compares all cases; tells the first differences of each that fails.
///
/// # Errors
/// A case that differs, or a directory without cases.
pub(crate) fn run(root: &Path, directory: &Path) -> Result<()> {
    let directory = root.join(directory);
    let mut cases: Vec<PathBuf> = fs::read_dir(&directory)
        .with_context(|| format!("cannot read `{}`", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("expected").is_dir())
        .collect();
    cases.sort();
    if cases.is_empty() {
        bail!(
            "`{}` has no cases: directories with `options.json`, `api/` and `expected/`",
            directory.display()
        );
    }
    // With the features of the whole workspace, as the tests have built it already.
    let build = [
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bin",
        "kbc-mirror",
    ];
    super::run("cargo", &build)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let binary = target.join("debug/kbc-mirror");
    let out = target.join("conformance");
    let mut failed = 0;
    for case in &cases {
        let name = case
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let problems = compare(&binary, case, &out.join(&name))?;
        if !problems.is_empty() {
            failed += 1;
            println!("FAILED {name}");
            for problem in problems.iter().take(5) {
                println!("       {problem}");
            }
        }
    }
    println!("conformance: {} passed, {failed} failed", cases.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} cases differ", cases.len());
    }
    Ok(())
}

fn compare(binary: &Path, case: &Path, out: &Path) -> Result<Vec<String>> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    let rendered = Command::new(binary)
        .args([
            "--log-level",
            "error",
            "render",
            "--only",
            "configs",
            "--no-redact",
            "--project",
        ])
        .arg(case)
        .arg("--out")
        .arg(out)
        .output()
        .with_context(|| format!("cannot run `{}`", binary.display()))?;
    if !rendered.status.success() {
        return Ok(vec![String::from_utf8_lossy(&rendered.stderr).trim().to_owned()]);
    }
    let (found, expected) = (files(out)?, files(&case.join("expected"))?);
    let missing = expected
        .keys()
        .filter(|path| !found.contains_key(*path))
        .map(|path| format!("missing: {path}"));
    let surplus = found
        .keys()
        .filter(|path| !expected.contains_key(*path))
        .map(|path| format!("not expected: {path}"));
    let different = expected
        .iter()
        .filter(|(path, content)| found.get(*path).is_some_and(|found| found != *content))
        .map(|(path, _)| format!("differs: {path}"));
    Ok(missing.chain(surplus).chain(different).collect())
}

/// Reads all files below a directory, by their path with `/`.
fn files(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory)?.to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(found)
}
