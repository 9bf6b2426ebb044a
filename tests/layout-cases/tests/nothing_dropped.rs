//! Whatever the API says of a configuration is found in the tree again.
//!
//! Left out on purpose, and nothing else:
//! - `state`, of configurations and rows: it may hold secrets and is no configuration;
//! - `isDeleted`, which is false for everything that is listed; rows, which are objects of their own;
//! - providers, ids and times of metadata: the mirror is given keys and values;
//! - `null`, where it says that there is nothing (of an author, a time, a change description);
//! - the difference between an id that is a number and one that is a text, in the members that say who
//!   made a version, and the offset of times, which are in UTC;
//! - empty arrays and objects, which PHP mixes up.

use anyhow::{Context, Result};
use layout_cases::{
    host::{self, Project},
    json::Node,
    leaves, odd,
    restore::{Key, Restored},
    tree::{self, Tree},
};
use mirror_core::ids::ObjectKey;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Directories outside of the repository that may be there.
fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    Some(root.join(path)).filter(|path| path.is_dir())
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).expect("the directory was found");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.join("options.json").is_file())
        .collect();
    found.sort();
    found
}

fn key(key: &ObjectKey) -> Key {
    let (component, config) = key
        .config()
        .map(|(component, config)| (component.to_string(), config.to_string()))
        .unwrap_or_default();
    let row = match key {
        ObjectKey::Row { row, .. } => row.to_string(),
        _ => String::new(),
    };
    Key {
        component,
        config,
        row,
    }
}

fn stages(project: &Project) -> BTreeMap<String, String> {
    let objects = project.branches.iter().flat_map(|branch| &branch.objects);
    objects
        .filter_map(|object| {
            let component = object.component.as_ref()?;
            Some((component.id.clone(), component.default_bucket_stage.clone()?))
        })
        .collect()
}

/// Returns the leaves that a tree must hold of an answer.
fn wanted(answer: &Node) -> BTreeMap<String, Node> {
    let mut answer = answer.clone();
    answer.remove("state");
    answer.remove("rows");
    if answer.get("isDeleted") == Some(&Node::Bool(false)) {
        answer.remove("isDeleted");
    }
    let nulls = [
        "creatorToken",
        "created",
        "changeDescription",
        "version",
        "versionIdentifier",
        "configuration",
    ];
    let mut leaves = leaves::of(&answer);
    leaves.retain(|pointer, leaf| {
        let own = pointer.strip_prefix("/currentVersion").unwrap_or(pointer);
        let may_be_null = nulls.iter().any(|name| own.split('/').nth(1) == Some(name));
        let in_configuration = pointer.starts_with("/configuration/");
        *leaf != Node::Null || in_configuration || !may_be_null
    });
    leaves
        .into_iter()
        .map(|(pointer, leaf)| plain(pointer, leaf))
        .collect()
}

/// Writes times and ids of tokens in one way.
fn plain(pointer: String, leaf: Node) -> (String, Node) {
    let is_stamp = !pointer.starts_with("/configuration");
    let leaf = match leaf {
        Node::Text(text) if is_stamp && pointer.ends_with("/created") => Node::Text(utc(&text)),
        Node::Number(token) if pointer.ends_with("creatorToken/id") || pointer == "/id" => Node::Text(token),
        leaf => leaf,
    };
    (pointer, leaf)
}

fn utc(text: &str) -> String {
    let with_offset = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", text);
    let parsed = match with_offset.and_then(|time| time.to_timestamp()) {
        Ok(time) => Some(time),
        Err(_) => text.parse::<jiff::Timestamp>().ok(),
    };
    parsed.map_or_else(|| text.to_owned(), |time| time.to_string())
}

/// Returns a line for each object and leaf of a project that its tree does not hold.
fn missing(project: &Project, tree: &Tree) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for branch in project.allowed() {
        let restored = Restored::read(tree, &branch.id, stages(project))?;
        let found: BTreeSet<&Key> = restored.objects().into_iter().collect();
        for object in &branch.objects {
            let own = key(&object.key);
            let name = format!("{}:{}", branch.id, object.key);
            if !found.contains(&own) {
                missing.push(format!("{name} is not in the tree"));
                continue;
            }
            let told = restored.object(&own).with_context(|| name.clone())?;
            let leaves: BTreeMap<String, Node> = leaves::of(&told)
                .into_iter()
                .map(|(pointer, leaf)| plain(pointer, leaf))
                .collect();
            let mut wanted = wanted(&Node::parse(&branch.answers[&object.key])?);
            if object.key != ObjectKey::Branch {
                // The path of the file says it.
                wanted.remove("/id");
            }
            for (key, value) in &object.metadata {
                let step = leaves::step(key);
                let kept = leaves.get(&format!("/metadata/{step}")) == Some(&Node::from(value.as_str()));
                let superseded = leaves.get(&format!("/superseded/{step}/value"));
                if !kept && superseded != Some(&Node::from(value.as_str())) {
                    missing.push(format!("{name}: metadata {key} = {value:?}"));
                }
            }
            for (pointer, leaf) in wanted {
                if leaves.get(&pointer) != Some(&leaf) {
                    let told = leaves.get(&pointer);
                    missing.push(format!("{name}: {pointer} = {leaf:?}, the tree tells {told:?}"));
                }
            }
        }
        let listed: BTreeSet<Key> = branch.objects.iter().map(|object| key(&object.key)).collect();
        missing.extend(
            found
                .iter()
                .filter(|own| !listed.contains(*own))
                .map(|own| format!("{own:?} is no object of the project")),
        );
    }
    Ok(missing)
}

#[track_caller]
fn check(directory: &Path) {
    let project = Project::read(directory).expect("the directory is a project");
    let tree = host::render(&project).expect("the project can be rendered");
    let missing = missing(&project, &tree).expect("the tree hangs together");
    assert!(
        missing.is_empty(),
        "{}:\n{}",
        directory.display(),
        missing.join("\n")
    );
}

#[test]
fn the_generated_project_is_all_there() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let project = sample_project::generate(&sample_project::Shape::default());
    sample_project::write_directory(&project, directory.path())?;
    check(directory.path());
    Ok(())
}

fn golden() -> Vec<PathBuf> {
    directories(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/layout"))
}

#[test]
fn every_golden_case_is_all_there() {
    for case in golden() {
        check(&case);
    }
}

/// Every object of a project but those of one configuration.
fn without(directory: &Path, at: usize) -> Result<Option<Project>> {
    let mut project = Project::read(directory)?;
    let objects = project.branches.iter().flat_map(|branch| &branch.objects);
    let configs = objects.filter(|object| matches!(object.key, ObjectKey::Config { .. }));
    let Some(gone) = configs.map(|object| object.key.clone()).nth(at) else {
        return Ok(None);
    };
    for branch in &mut project.branches {
        branch
            .objects
            .retain(|object| object.key.config() != gone.config());
    }
    Ok(Some(project))
}

fn assert_complete(project: &Project, what: &str) -> Result<()> {
    let tree = host::render(project).with_context(|| what.to_owned())?;
    let missing = missing(project, &tree).with_context(|| what.to_owned())?;
    assert!(missing.is_empty(), "{what}:\n{}", missing.join("\n"));
    Ok(())
}

#[test]
fn whatever_goes_the_rest_is_all_there() -> Result<()> {
    for case in golden() {
        let mut at = 0;
        while let Some(project) = without(&case, at)? {
            assert_complete(
                &project,
                &format!("{} without configuration {at}", case.display()),
            )?;
            at += 1;
        }
    }
    Ok(())
}

#[test]
fn under_other_names_and_options_everything_is_all_there() -> Result<()> {
    let heads = [
        r#"{"naming": {"config": "{component_id}/{config_id}", "configRow": "r/{config_row_id}"}, "sortBy": "path"}"#,
        r#"{"naming": {"config": "{config_name}", "schedulerConfig": "{config_name}"}, "ignoredComponents": ["acme.ex-shop"]}"#,
        r#"{"naming": {"branch": "b/{branch_id}", "sharedCodeConfig": "s/{config_id}", "variablesConfig": "v/{config_name}"}}"#,
    ];
    for case in golden() {
        for head in heads {
            let mut project = Project::read(&case)?;
            for (key, value) in Node::parse(head)?.members() {
                project.options.set(key, value.clone());
            }
            assert_complete(&project, &format!("{} with {head}", case.display()))?;
        }
        // All names alike, so that everything collides.
        let mut project = Project::read(&case)?;
        for branch in &mut project.branches {
            for object in &mut branch.objects {
                let mut answer = Node::parse(&branch.answers[&object.key])?;
                answer.set("name", Node::from("The Same"));
                let text = host::text_of(&answer);
                branch.answers.insert(object.key.clone(), text.clone());
                answer.remove("state");
                object.source = host::text_of(&answer);
            }
        }
        assert_complete(&project, &format!("{} with one name", case.display()))?;
    }
    Ok(())
}

#[test]
fn odd_projects_are_all_there() -> Result<()> {
    for seed in 0..100 {
        let directory = tempfile::tempdir()?;
        odd::write(seed, directory.path())?;
        let project = Project::read(directory.path()).with_context(|| format!("odd project {seed}"))?;
        assert_complete(&project, &format!("odd project {seed}"))?;
    }
    Ok(())
}

#[test]
fn projects_from_outside_are_all_there_and_as_the_cli_writes_them() -> Result<()> {
    if let Some(project) = shared("sample-project") {
        check(&project);
    }
    for case in shared("conformance/kbc")
        .map(|path| directories(&path))
        .unwrap_or_default()
    {
        check(&case);
        let tree = host::render(&Project::read(&case)?)?;
        let configs = tree
            .into_iter()
            .filter_map(|(path, content)| Some((path.strip_prefix("configs/")?.to_owned(), content)));
        let differences = tree::differences(&configs.collect(), &tree::read(&case.join("expected"))?);
        assert!(
            differences.is_empty(),
            "{}:\n{}",
            case.display(),
            differences.join("\n")
        );
    }
    Ok(())
}

/// The test above can fail: whatever one takes out of a tree is missed.
#[test]
fn a_tree_without_one_of_its_files_or_fields_is_not_complete() -> Result<()> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/layout/kept-fields");
    let project = Project::read(&case)?;
    let tree = host::render(&project)?;
    let complete = |tree: &Tree| missing(&project, tree).is_ok_and(|missing| missing.is_empty());
    assert!(complete(&tree));
    for (path, content) in &tree {
        // Neither tells anything of an object.
        if path.ends_with(".gitkeep") || path == "configs/.keboola/manifest.json" {
            continue;
        }
        let mut without = tree.clone();
        without.remove(path);
        assert!(!complete(&without), "{path} is not missed");
        if !path.starts_with("configs-extra/") {
            continue;
        }
        let file = Node::parse(content)?;
        for (member, value) in file.members() {
            if matches!(value, Node::Null)
                || matches!(member.as_str(), "branchId" | "componentId" | "configId" | "rowId")
            {
                continue;
            }
            let mut less = file.clone();
            less.remove(member);
            let mut without = tree.clone();
            without.insert(path.clone(), host::text_of(&less));
            assert!(!complete(&without), "{member} of {path} is not missed");
        }
    }
    Ok(())
}
