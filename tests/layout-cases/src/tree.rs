//! Trees of files, and how they differ.

use anyhow::{Context, Result};
use std::{collections::BTreeMap, fs, path::Path};

/// Contents by path with `/`.
pub type Tree = BTreeMap<String, String>;

/// Reads all files below a directory; none where it does not exist.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub fn read(directory: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop().filter(|next| next.is_dir()) {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory)?.to_string_lossy().replace('\\', "/");
                let content = fs::read_to_string(&path);
                tree.insert(
                    name,
                    content.with_context(|| format!("cannot read `{}`", path.display()))?,
                );
            }
        }
    }
    Ok(tree)
}

/// Writes a tree in place of what is in the directory.
///
/// # Errors
/// A file that cannot be written.
pub fn write(directory: &Path, tree: &Tree) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    for (path, content) in tree {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}

/// Says where two trees differ, a line for each file; of a file the first line that does.
#[must_use]
pub fn differences(found: &Tree, expected: &Tree) -> Vec<String> {
    let missing = expected
        .keys()
        .filter(|path| !found.contains_key(*path))
        .map(|path| format!("missing: {path}"));
    let surplus = found
        .keys()
        .filter(|path| !expected.contains_key(*path))
        .map(|path| format!("not expected: {path}"));
    let changed = expected.iter().filter_map(|(path, expected)| {
        let found = found.get(path).filter(|found| *found != expected)?;
        Some(first_difference(path, found, expected))
    });
    missing.chain(surplus).chain(changed).collect()
}

fn first_difference(path: &str, found: &str, expected: &str) -> String {
    let (mut found, mut expected) = (found.split('\n'), expected.split('\n'));
    let mut number = 1;
    loop {
        match (found.next(), expected.next()) {
            (Some(one), Some(other)) if one == other => number += 1,
            (one, other) => {
                let show = |line: Option<&str>| line.map_or("the end".to_owned(), |line| format!("{line:?}"));
                return format!(
                    "differs: {path}:{number}: {} instead of {}",
                    show(one),
                    show(other)
                );
            }
        }
    }
}
