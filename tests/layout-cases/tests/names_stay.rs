//! Paths over time: what a repository tells of them, and that Git can follow what moves.

use anyhow::{Context, Result, ensure};
use layout_cases::{
    host::{self, Branch, Project},
    json::Node,
    odd,
    tree::{self, Tree},
};
use layout_renderer as guest;
use mirror_core::{
    ids::ObjectKey,
    placement::{Placement, UniqueNames},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn golden() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/layout"));
    let entries = entries.expect("the cases are there");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    found.sort();
    found
}

/// What all calls for a branch have in common: the context, and the settings with its directory.
fn calls(project: &Project) -> Result<Vec<(&Branch, guest::Context, String)>> {
    let default = project.branches.iter().find(|branch| branch.is_default);
    let default = default.map(|branch| branch.id.as_str());
    let mut names = UniqueNames::new();
    let mut calls = Vec::new();
    for branch in project.allowed() {
        let context = host::context(&project.options, branch);
        let wish = host::wish(project, branch)?;
        let settings = host::settings(&project.options, &names.take(&wish), default);
        calls.push((branch, context, settings));
    }
    Ok(calls)
}

fn paths(placement: &Placement) -> BTreeMap<String, Option<String>> {
    let records = placement.records();
    records
        .map(|(key, record)| (key.to_string(), record.path))
        .collect()
}

/// Reads the placement of a branch back from the files of a repository.
fn recovered(context: &guest::Context, settings: &str, tree: &Tree) -> Result<Placement> {
    let files: Vec<&String> = tree.keys().collect();
    let wanted = guest::recoverable(
        settings,
        &files.iter().map(|path| (*path).clone()).collect::<Vec<_>>(),
    );
    let files = files.into_iter().zip(wanted).filter(|(_, wanted)| *wanted);
    let files: Vec<guest::File> = files
        .map(|(path, _)| guest::File {
            path: path.clone(),
            kind: guest::DocumentKind::Index,
            content: tree[path].clone(),
        })
        .collect();
    let recovered = guest::recover(context, settings, &files)?;
    let mut known = BTreeMap::new();
    for object in recovered.objects {
        if let Some(path) = object.path {
            let parent = object.parent.as_ref().map(host::host_key).transpose()?;
            known.insert(host::host_key(&object.key)?, (path, parent));
        }
    }
    Ok(Placement::with_known_paths(&known))
}

fn check_recovered(project: &Project) -> Result<()> {
    let tree = host::render(project)?;
    for (branch, context, settings) in calls(project)? {
        let made = host::place(&context, &settings, &branch.objects, Placement::new())?;
        // In any order of the listing, for the paths are known.
        let mut shuffled = branch.objects.clone();
        shuffled.reverse();
        let start = recovered(&context, &settings, &tree)?;
        let again = host::place(&context, &settings, &shuffled, start)?;
        ensure!(
            paths(&again) == paths(&made),
            "branch {}: {:#?} instead of {:#?}",
            branch.id,
            paths(&again),
            paths(&made)
        );
    }
    Ok(())
}

#[test]
fn the_placement_read_from_a_repository_is_the_one_that_made_it() -> Result<()> {
    for case in golden() {
        check_recovered(&Project::read(&case)?).with_context(|| case.display().to_string())?;
    }
    let directory = tempfile::tempdir()?;
    let project = sample_project::generate(&sample_project::Shape::default());
    sample_project::write_directory(&project, directory.path())?;
    check_recovered(&Project::read(directory.path())?)
}

#[test]
fn an_odd_project_has_paths_that_can_be_checked_out_anywhere_and_are_read_from_its_repository() -> Result<()>
{
    for seed in 0..60 {
        let directory = tempfile::tempdir()?;
        odd::write(seed, directory.path())?;
        let project = Project::read(directory.path())?;
        check_recovered(&project).with_context(|| format!("odd project {seed}"))?;
        check_paths(&host::render(&project)?);
    }
    Ok(())
}

/// A repository in a directory of its own.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Result<Self> {
        let repository = Self(tempfile::tempdir()?);
        repository.git(&["init", "--quiet", "--initial-branch", "main"])?;
        Ok(repository)
    }

    fn git(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("git")
            .current_dir(self.0.path())
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.com",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(args)
            .output()
            .context("git is needed")?;
        ensure!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn commit(&self, tree: &Tree, message: &str) -> Result<()> {
        let work = self.0.path().join("work");
        tree::write(&work, tree)?;
        self.git(&["add", "--all", "work"])?;
        self.git(&["commit", "--quiet", "-m", message])?;
        Ok(())
    }

    /// Returns the messages of the commits that touched a file, under all its names, oldest first.
    fn follow(&self, path: &str) -> Result<Vec<String>> {
        let path = format!("work/{path}");
        let log = self.git(&["log", "--follow", "--format=%s", "--", &path])?;
        // With `--reverse` Git does not follow.
        Ok(log.lines().rev().map(str::to_owned).collect())
    }
}

/// Renames a configuration; returns the files that moved, by the path they have now, and what Git
/// finds of the history of each.
fn histories_after_rename(name: &str, directory: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/layout/with-ids");
    let mut project = Project::read(&case)?;
    // Names without ids, so that a rename moves everything.
    project.options.remove("naming");
    let repository = Repository::new()?;
    let first = host::render(&project)?;
    repository.commit(&first, "made")?;
    for branch in &mut project.branches {
        for object in &mut branch.objects {
            let is_it = matches!(&object.key, ObjectKey::Config { component, .. } if component.as_str() == "acme.ex-shop");
            if is_it {
                object.source = object.source.replace("\"My Config\"", &format!("{name:?}"));
            }
        }
    }
    let second = host::render(&project)?;
    repository.commit(&second, "renamed")?;
    // What lies beside the layout is named by ids and stays.
    let extra = "configs-extra/main/acme.ex-shop/1.json";
    assert!(first.contains_key(extra) && second.contains_key(extra));

    let from = "extractor/acme.ex-shop/my-config/";
    let to = format!("extractor/acme.ex-shop/{directory}/");
    let moved = first.keys().filter(|path| path.contains(from));
    let mut histories = BTreeMap::new();
    for path in moved {
        let there = path.replace(from, &to);
        assert!(
            !second.contains_key(path) && second.contains_key(&there),
            "{path}"
        );
        histories.insert(there.clone(), repository.follow(&there)?);
    }
    Ok(histories)
}

#[test]
fn git_follows_the_files_of_an_object_that_is_renamed_and_of_all_below_it() -> Result<()> {
    let histories = histories_after_rename("My Config 2", "my-config-2")?;
    let has = |part: &str| histories.keys().any(|path| path.contains(part));
    assert!(has("/rows/") && has("/schedules/") && has("/config.json"));
    for (path, history) in histories {
        assert_eq!(history, ["made", "renamed"], "{path}");
    }
    Ok(())
}

/// `meta.json` is little more than the name: where nothing of that is left, Git takes it for a new file.
#[test]
fn under_an_altogether_different_name_git_loses_only_the_file_that_holds_the_name() -> Result<()> {
    let directory = "an-altogether-different-name";
    for (path, history) in histories_after_rename("An Altogether Different Name", directory)? {
        if path.ends_with(&format!("{directory}/meta.json")) {
            continue;
        }
        assert_eq!(history, ["made", "renamed"], "{path}");
    }
    Ok(())
}

#[test]
fn an_object_keeps_its_path_while_others_come_and_go() -> Result<()> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/layout/collisions");
    let project = Project::read(&case)?;
    for (branch, context, settings) in calls(&project)? {
        let all = host::place(&context, &settings, &branch.objects, Placement::new())?;
        let tree = host::render(&project)?;
        // Each configuration in turn is gone, with what is its own: the others stay.
        for gone in branch
            .objects
            .iter()
            .filter(|object| matches!(object.key, ObjectKey::Config { .. }))
        {
            let left: Vec<_> = branch
                .objects
                .iter()
                .filter(|object| object.key.config() != gone.key.config())
                .cloned()
                .collect();
            let start = recovered(&context, &settings, &tree)?;
            let less = host::place(&context, &settings, &left, start)?;
            for (key, record) in less.records() {
                let below_gone = record.path.is_none();
                assert!(
                    below_gone || record.path == all.record(&key).and_then(|all| all.path),
                    "{key} without {}",
                    gone.key
                );
            }
        }
    }
    Ok(())
}

#[test]
fn no_two_files_meet_where_neither_case_nor_the_form_of_letters_counts() -> Result<()> {
    for case in golden() {
        check_paths(&host::render(&Project::read(&case)?)?);
    }
    Ok(())
}

#[track_caller]
fn check_paths(tree: &Tree) {
    let mut seen = BTreeMap::new();
    for path in tree.keys() {
        let other = seen.insert(mirror_core::path::fold(path), path);
        assert!(other.is_none(), "{path} and {}", other.map_or("", String::as_str));
        for segment in path.split('/') {
            assert!(segment.len() <= 255 && !segment.ends_with(['.', ' ']), "{path}");
            assert!(!segment.contains(['<', '>', '"', '|', '?', '*']), "{path}");
        }
    }
}

#[test]
fn names_of_over_251_bytes_are_cut_so_that_a_suffix_fits() -> Result<()> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/layout/collisions");
    let mut project = Project::read(&case)?;
    let (long, wide) = (
        "Long ".repeat(60),
        format!("{}{}", "x".repeat(250), "ß".repeat(9)),
    );
    for object in &mut project.branches[1].objects {
        let ObjectKey::Config { component, config } = &object.key else {
            continue;
        };
        let name = match (component.as_str(), config.as_str()) {
            ("acme.ex-shop", "1" | "2") => &long,
            ("acme.ex-shop", "3") => &wide,
            _ => continue,
        };
        object.source = format!("{{\"name\":{name:?},\"configuration\":{{}}}}");
    }
    let tree = host::render(&project)?;
    let root = "configs/main/extractor/acme.ex-shop/";
    let mut names: Vec<&str> = tree
        .keys()
        .filter_map(|path| path.strip_prefix(root)?.strip_suffix("/config.json"))
        .filter(|name| !name.contains('/'))
        .collect();
    names.sort_unstable();
    let cut = &"long-".repeat(60)[..251];
    // `ß` would be cut in two.
    let wide = "x".repeat(250);
    let suffixed = format!("{}-001", cut.trim_end_matches('-'));
    assert_eq!(names, [cut, &suffixed, &wide]);
    Ok(())
}

#[test]
fn a_manifest_is_json_that_names_every_directory_once() -> Result<()> {
    for case in golden() {
        let tree = host::render(&Project::read(&case)?)?;
        let manifest = Node::parse(&tree["configs/.keboola/manifest.json"])?;
        assert!(manifest.get("configurations").is_some(), "{}", case.display());
        let directories = tree.keys().filter(|path| path.starts_with("configs/"));
        let configurations = directories.filter(|path| path.ends_with("/config.json")).count();
        let lines = manifest
            .get("configurations")
            .map(Node::items)
            .unwrap_or_default();
        let rows = |line: &Node| line.get("rows").map_or(0, |rows| rows.items().len());
        let listed: usize = lines.iter().map(|line| 1 + rows(line)).sum();
        assert_eq!(configurations, listed, "{}", case.display());
    }
    Ok(())
}
