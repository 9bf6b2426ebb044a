//! Which refs of which repositories the mirrors write: no two may ever write the same one.

use super::{ConfigError, MirrorSpec};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// Checks that ids differ, and that no ref can become that of two lanes.
///
/// Refs are compared as patterns, since the names and ids of dev branches are not known here; two that
/// might collide are refused, and so are two of which one would be the other's directory.
pub(super) fn unique(mirrors: &[MirrorSpec]) -> Result<(), ConfigError> {
    let mut ids = BTreeSet::new();
    let mut repositories: BTreeMap<PathBuf, Vec<&MirrorSpec>> = BTreeMap::new();
    for mirror in mirrors {
        if !ids.insert(&mirror.id) {
            return Err(ConfigError::MirrorTwice {
                id: mirror.id.clone(),
            });
        }
        if dev_template(mirror).is_some_and(|template| may_collide(template, &mirror.branch)) {
            return Err(ConfigError::DevTargetIsBranch {
                mirror: mirror.id.clone(),
            });
        }
        let others = repositories.entry(mirror.repository.identity()).or_default();
        for other in &*others {
            check_pair(other, mirror)?;
        }
        others.push(mirror);
    }
    Ok(())
}

fn check_pair(first: &MirrorSpec, second: &MirrorSpec) -> Result<(), ConfigError> {
    let ids = || (first.id.clone(), second.id.clone());
    if may_collide(&first.branch, &second.branch) {
        let (first, second) = ids();
        return Err(ConfigError::TargetTwice { first, second });
    }
    let (one, other) = (dev_template(first), dev_template(second));
    // Branch ids are unique within a stack, and a template gives different ids different names.
    let same_branches = first.stack != second.stack || first.project == second.project;
    let collide = one.is_some_and(|template| may_collide(template, &second.branch))
        || other.is_some_and(|template| may_collide(template, &first.branch))
        || one
            .zip(other)
            .is_some_and(|(one, other)| may_collide(one, other) && (one != other || same_branches));
    if collide {
        let (first, second) = ids();
        return Err(ConfigError::DevTargetTwice { first, second });
    }
    Ok(())
}

fn dev_template(mirror: &MirrorSpec) -> Option<&str> {
    mirror
        .dev_branches
        .enabled
        .then_some(mirror.dev_branches.git_branch.as_str())
}

/// Says what is wrong with a template of branch names: different ids must give different names,
/// whatever the branches are called.
pub(super) fn template_problem(template: &str) -> Option<&'static str> {
    let Some((before, after)) = template.split_once("{id}") else {
        return Some("must contain `{id}`, so that two branches never share one ref");
    };
    // What stands between the id and a name must not read as a part of either.
    let parts = |text: &str| !text.bytes().any(|byte| !byte.is_ascii_digit());
    let runs_on = before
        .rsplit_once("{name}")
        .is_some_and(|(_, between)| parts(between))
        || after
            .split_once("{name}")
            .is_some_and(|(between, _)| parts(between));
    if runs_on || after.contains("{id}") {
        return Some("must contain `{id}` once, and between it and `{name}` something else than digits");
    }
    None
}

/// Says whether two names, or patterns with `{name}` and `{id}` in them, can be the same, or one the
/// directory of the other.
fn may_collide(one: &str, other: &str) -> bool {
    // A clone may lie on a file system that does not tell capitals apart.
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    one.split('/')
        .zip(other.split('/'))
        .all(|(one, other)| may_match(one, other))
}

/// Says whether a template can have made a name.
pub(crate) fn fits_template(template: &str, name: &str) -> bool {
    fits(template, name)
}

/// Says whether two segments can be the same; in doubt, they can.
fn may_match(one: &str, other: &str) -> bool {
    let ends = |segment: &str| {
        let head = segment.find('{').unwrap_or(segment.len());
        let tail = segment.rfind('}').map_or(0, |end| end + 1);
        (segment[..head].to_owned(), segment[tail..].to_owned())
    };
    let both =
        |one: &str, other: &str, starts: fn(&str, &str) -> bool| starts(one, other) || starts(other, one);
    match (one.contains('{'), other.contains('{')) {
        (false, false) => one == other,
        (true, true) => {
            let ((head, tail), (other_head, other_tail)) = (ends(one), ends(other));
            both(&head, &other_head, |one, other| one.starts_with(other))
                && both(&tail, &other_tail, |one, other| one.ends_with(other))
        }
        (true, false) => fits(one, other),
        (false, true) => fits(other, one),
    }
}

/// Says whether a segment with placeholders can become this name.
fn fits(pattern: &str, name: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("{id}") {
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        return (1..=digits).any(|end| fits(rest, &name[end..]));
    }
    if let Some(rest) = pattern.strip_prefix("{name}") {
        let mut ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
        return ends.any(|end| fits(rest, &name[end..]));
    }
    match pattern.chars().next() {
        None => name.is_empty(),
        Some(first) => name
            .strip_prefix(first)
            .is_some_and(|rest| fits(&pattern[first.len_utf8()..], rest)),
    }
}

/// Returns a path without links, `.` and `..`; of what does not exist yet, only by its text.
pub(super) fn canonical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut canonical = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            // The path so far has no links, so its parent is the parent.
            Component::ParentDir => drop(canonical.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                canonical.push(component);
                if let Ok(found) = fs::canonicalize(&canonical) {
                    canonical = found;
                }
            }
        }
    }
    canonical
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, expected: bool) {
        assert_eq!(may_collide(one, other), expected, "{one} and {other}");
        assert_eq!(may_collide(other, one), expected, "{other} and {one}");
    }

    #[test]
    fn refs_collide_where_they_can_be_the_same_or_one_the_others_directory() {
        check("main", "main", true);
        check("main", "maintenance", false);
        check("main", "main/x", true);
        check("keboola/{name}-{id}", "main", false);
        check("keboola/{name}-{id}", "keboola", true);
        check("keboola/{name}-{id}", "keboola/fix-7", true);
        check("keboola/{name}-{id}", "keboola/fix-7/x", true);
        check("keboola/{name}-{id}", "keboola/-", false);
        check("{name}-{id}", "main", false);
        check("{name}-{id}", "fix-login", false);
        check("{name}-{id}", "fix-login-2", true);
        check("{id}", "main", false);
        check("{id}", "42", true);
        check("a/{name}-{id}", "b/{name}-{id}", false);
        check("a-{name}-{id}", "{name}-{id}", true);
        check("{id}-a", "{id}-b", false);
        check("x/{id}", "x/{name}/{id}", true);
        check("Main", "main", true);
        check("keboola/{name}-{id}", "Keboola/Loyalty-1187", true);
    }

    #[test]
    fn a_template_gives_every_branch_a_name_of_its_own() {
        for good in [
            "keboola/{name}-{id}",
            "{id}",
            "{id}/{name}",
            "{name}x{id}",
            "a{id}-{name}-b",
        ] {
            assert_eq!(template_problem(good), None, "{good}");
        }
        for bad in ["{name}", "{name}{id}", "{id}{name}", "{id}0{name}", "{id}-{id}"] {
            assert!(template_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn one_directory_has_one_path() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(root.join("real/r.git")).unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
        let expected = root.join("real/r.git");
        for written in [
            "real/r.git",
            "real/./r.git/",
            "link/r.git",
            "link/../real/r.git",
            "none/../real/r.git",
        ] {
            assert_eq!(canonical(&root.join(written)), expected, "{written}");
        }
        assert_eq!(canonical(&root.join("link/new.git")), root.join("real/new.git"));
    }
}
