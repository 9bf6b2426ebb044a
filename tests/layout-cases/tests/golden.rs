//! Golden cases: one rule of the layout each, `tests/cases/layout/<rule>/`.

use anyhow::{Context, Result};
use layout_cases::{host, tree};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/layout")
}

fn cases() -> Result<Vec<PathBuf>> {
    let mut cases: Vec<PathBuf> = fs::read_dir(directory())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    cases.sort();
    Ok(cases)
}

#[test]
fn every_case_renders_as_expected() -> Result<()> {
    let accept = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut problems = Vec::new();
    let cases = cases()?;
    assert!(cases.len() >= 20, "only {} cases were found", cases.len());
    for case in cases {
        let name = case
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let project = host::Project::read(&case).with_context(|| format!("case {name}"))?;
        let found = host::render(&project).with_context(|| format!("case {name}"))?;
        let expected = case.join("expected");
        if accept {
            tree::write(&expected, &found)?;
        }
        let differences = tree::differences(&found, &tree::read(&expected)?);
        problems.extend(differences.into_iter().map(|line| format!("{name}: {line}")));
    }
    assert!(
        problems.is_empty(),
        "{}\n\nIf that is what should be: UPDATE_EXPECT=1 cargo test -p layout-cases --test golden",
        problems.join("\n")
    );
    Ok(())
}

#[test]
fn the_order_of_the_answers_matters_only_to_who_gets_the_plain_name() -> Result<()> {
    for case in cases()? {
        let name = case
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut project = host::Project::read(&case)?;
        let first = host::render(&project)?;
        for branch in &mut project.branches {
            // The branch itself stays first.
            branch.objects[1..].reverse();
        }
        let reversed = host::render(&project)?;
        let is_suffixed = |path: &String| path.contains("-001/") || path.contains("/001/");
        let suffixed = |tree: &tree::Tree| tree.keys().any(is_suffixed);
        if suffixed(&first) {
            // Others get the suffixes; there are as many files all the same.
            assert_eq!(first.len(), reversed.len(), "{name}");
        } else {
            assert_eq!(tree::differences(&reversed, &first).join("\n"), "", "{name}");
        }
    }
    Ok(())
}
