//! `cargo xtask wit`: does the WIT package keep what it promises to those who have built against it?
//!
//! The promise (`wit/types.wit`): within one compatible line of versions no type, function or world of what was recorded changes;
//! what is new comes as a new interface, which the host looks for and does not require. Each line has its recorded form in
//! `tests/wit/<version>/`. Comments are free.

use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use wit_component::WitPrinter;
use wit_parser::{Resolve, SourceMap};

/// Where the package is, and where its recorded forms are, below the root.
const WIT: &str = "wit";
const RECORDED: &str = "tests/wit";

/// A package: its version, and each interface and world in one form of writing, without comments.
struct Package {
    version: Version,
    parts: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Version {
    /// As Semantic Versioning says it of versions below and above 1.
    fn is_compatible(self, other: Self) -> bool {
        self.major == other.major && (self.major > 0 || self.minor == other.minor)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Compares the package with its recorded form, or records it.
///
/// # Errors
/// What has changed that may not, and what to do.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            let version = check(root)?;
            println!("wit/ keeps what version {version} promises");
            Ok(())
        }
        ["record"] => record(root, false),
        ["record", "--unreleased"] => record(root, true),
        _ => bail!("cargo xtask wit [record [--unreleased]]"),
    }
}

/// Returns the recorded version that the package keeps to.
///
/// # Errors
/// As [`run`].
fn check(root: &Path) -> Result<Version> {
    let now = read(&root.join(WIT))?;
    let Some((directory, recorded)) = recorded(root, now.version)? else {
        bail!(
            "no form of `keboola:mirror@{}` is recorded; if it begins a line of versions of its own, run `cargo xtask wit record`, and let the host take components of the line before or refuse them with the reason (runtime/sandbox/src/fit.rs)",
            now.version
        );
    };
    let broken = differences(&recorded, &now);
    if broken.is_empty() {
        return Ok(recorded.version);
    }
    bail!(
        "wit/ breaks what `keboola:mirror@{}` promises; components that were built against {} would be refused or misread:\n{}\nput it back and add what is new as an interface of its own; or, where it must change, give the package the next incompatible version in each file of wit/ and run `cargo xtask wit record`; only what nobody has built against yet may be recorded anew: `cargo xtask wit record --unreleased`",
        recorded.version,
        directory.display(),
        broken.join("\n")
    );
}

fn record(root: &Path, unreleased: bool) -> Result<()> {
    let now = read(&root.join(WIT))?;
    if let Some((directory, recorded)) = recorded(root, now.version)? {
        if !unreleased && !differences(&recorded, &now).is_empty() {
            bail!(
                "version {} is recorded in {} and would change; what was released does not: give the package another version, or say `--unreleased` where nobody has built against it yet",
                recorded.version,
                directory.display()
            );
        }
        fs::remove_dir_all(&directory)?;
    }
    let to = root.join(RECORDED).join(now.version.to_string());
    fs::create_dir_all(&to)?;
    for file in files(&root.join(WIT))? {
        let name = file.file_name().context("a file without a name")?;
        fs::copy(&file, to.join(name))?;
    }
    println!("recorded in {}", to.display());
    Ok(())
}

/// Returns the newest recorded form of the line that a version is of.
fn recorded(root: &Path, version: Version) -> Result<Option<(PathBuf, Package)>> {
    let directory = root.join(RECORDED);
    let mut newest: Option<(PathBuf, Package)> = None;
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let package = read(&path)?;
        let is_newer = newest
            .as_ref()
            .is_none_or(|(_, newest)| newest.version < package.version);
        if package.version.is_compatible(version) && is_newer {
            newest = Some((path, package));
        }
    }
    Ok(newest)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wit"));
    files.sort();
    Ok(files)
}

fn read(directory: &Path) -> Result<Package> {
    let mut texts = Vec::new();
    for file in files(directory)? {
        let text = fs::read_to_string(&file)?;
        texts.push((file.display().to_string(), text));
    }
    parse(&texts).with_context(|| format!("{} is no WIT package", directory.display()))
}

fn parse(texts: &[(String, String)]) -> Result<Package> {
    let mut sources = SourceMap::default();
    for (path, text) in texts {
        sources.push_str(path, text);
    }
    let group = sources.parse().map_err(|(_, error)| anyhow::anyhow!("{error}"))?;
    let mut resolve = Resolve::new();
    let id = resolve.push_group(group)?;
    let version = resolve.packages[id].name.version.clone();
    let version = version.context("the package has no version")?;
    let mut printer = WitPrinter::default();
    printer.emit_docs(false);
    printer.print(&resolve, id, &[])?;
    Ok(Package {
        version: Version {
            major: version.major,
            minor: version.minor,
            patch: version.patch,
        },
        parts: parts(&printer.output.to_string()),
    })
}

/// Cuts a printed package into its interfaces and worlds, by their first lines.
fn parts(printed: &str) -> BTreeMap<String, String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in printed.lines() {
        match &open {
            None => {
                if let Some(name) = line.strip_suffix(" {") {
                    parts.insert(name.to_owned(), String::new());
                    open = Some(name.to_owned());
                }
            }
            Some(_) if line == "}" => open = None,
            Some(name) => {
                let part = parts.entry(name.clone()).or_default();
                part.push_str(line);
                part.push('\n');
            }
        }
    }
    parts
}

/// Returns what of the recorded form is not there any more as it was, a line each.
fn differences(recorded: &Package, now: &Package) -> Vec<String> {
    let mut found = Vec::new();
    for (name, before) in &recorded.parts {
        let Some(after) = now.parts.get(name) else {
            found.push(format!("  {name} is gone"));
            continue;
        };
        if before == after {
            continue;
        }
        found.push(format!("  {name}:"));
        let only_in = |one: &str, other: &str, sign: char| {
            let lines = one.lines().filter(|line| !line.trim().is_empty());
            let others: Vec<&str> = other.lines().collect();
            lines
                .filter(|line| !others.contains(line))
                .map(|line| format!("    {sign} {}", line.trim()))
                .collect::<Vec<_>>()
        };
        let lines = [only_in(before, after, '-'), only_in(after, before, '+')].concat();
        if lines.is_empty() {
            found.push("    the same lines in another order".to_owned());
        }
        found.extend(lines);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "package a:b@0.1.0;
interface types { record r { x: u32, y: u32 } enum e { one, two } f: func(r: r) -> e; }
world w { export types; }";

    fn package(text: &str) -> Package {
        parse(&[("a.wit".to_owned(), text.to_owned())]).expect("it is WIT")
    }

    #[track_caller]
    fn check_change(from: &str, to: &str, expected: &[&str]) {
        assert!(BEFORE.contains(from), "the case changes nothing: {from}");
        let now = package(&BEFORE.replace(from, to));
        let found = differences(&package(BEFORE), &now);
        assert_eq!(found.is_empty(), expected.is_empty(), "{found:?}");
        for part in expected {
            assert!(
                found.iter().any(|line| line.contains(part)),
                "{part} is not in {found:?}"
            );
        }
    }

    #[test]
    fn the_package_keeps_what_was_recorded() {
        check(&crate::root()).expect("wit/ is compatible with its recorded form");
    }

    #[test]
    fn what_those_who_built_against_it_would_see_is_refused() {
        for (from, to, expected) in [
            (
                "y: u32",
                "y: u64",
                &["interface types", "- y: u32,", "+ y: u64,"][..],
            ),
            ("y: u32", "y: u32, z: u32", &["+ z: u32,"]),
            ("x: u32, y: u32", "y: u32, x: u32", &["another order"]),
            ("one, two", "one, two, three", &["+ three,"]),
            ("-> e", "-> option<e>", &["- f: func(r: r) -> e;"]),
            ("enum e", "g: func(); enum e", &["+ g: func();"]),
            ("export types", "import types", &["world w", "- export types;"]),
        ] {
            check_change(from, to, expected);
        }
    }

    #[test]
    fn an_interface_that_is_gone_is_named() {
        let found = differences(&package(BEFORE), &package(&BEFORE.replace("types", "typed")));
        assert!(
            found.contains(&"  interface types is gone".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn comments_and_new_interfaces_are_free() {
        check_change("interface types {", "/// About it.\ninterface types {", &[]);
        check_change("world w {", "interface more { g: func(); }\nworld w {", &[]);
        check_change("@0.1.0", "@0.1.7", &[]);
    }

    #[test]
    fn versions_of_one_line_are_compatible() {
        let version = |major, minor, patch| Version { major, minor, patch };
        assert!(version(0, 1, 0).is_compatible(version(0, 1, 9)));
        assert!(!version(0, 1, 0).is_compatible(version(0, 2, 0)));
        assert!(version(1, 0, 0).is_compatible(version(1, 4, 0)));
        assert!(!version(1, 0, 0).is_compatible(version(2, 0, 0)));
    }

    #[test]
    fn a_broken_promise_is_told_with_what_to_do_and_only_recorded_where_it_may() {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let root = directory.path();
        for below in [WIT, RECORDED] {
            fs::create_dir_all(root.join(below)).expect("it can be written");
        }
        let write = |text: &str| fs::write(root.join(WIT).join("a.wit"), text).expect("it can be written");
        write(BEFORE);
        let told = check(root).expect_err("nothing is recorded").to_string();
        assert!(told.contains("cargo xtask wit record"), "{told}");
        record(root, false).expect("it is the first");
        check(root).expect("it is as it was");
        write(&BEFORE.replace("y: u32", "y: u64"));
        let told = check(root).expect_err("it is incompatible").to_string();
        for part in ["- y: u32", "an interface of its own", "next incompatible version"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(record(root, false).is_err(), "what was released does not change");
        record(root, true).expect("nobody has built against it");
        check(root).expect("it is recorded anew");
        // Another line begins, and the one before stays recorded.
        write(&BEFORE.replace("@0.1.0", "@0.2.0"));
        assert!(check(root).is_err());
        record(root, false).expect("it is the first of its line");
        assert!(root.join(RECORDED).join("0.1.0").is_dir());
    }
}
