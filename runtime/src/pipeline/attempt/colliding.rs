//! Files in the repository that only case, or the form of a letter, tells from what the mirror writes: where a file system
//! ignores that, a clone shows one of the two.

use super::{super::error::AttemptError, Lane};
use mirror_core::{ids::Oid, path::fold};
use std::collections::{BTreeSet, HashMap};

/// Paths of others, by how a file system that ignores case compares them and the directories above them.
#[derive(Debug, Default)]
struct Folded {
    paths: Vec<String>,
    /// To the path's place, and the part of it that the key is of.
    parts: HashMap<String, Vec<(usize, usize)>>,
}

impl Folded {
    fn of(paths: impl IntoIterator<Item = String>) -> Self {
        let mut folded = Self::default();
        for path in paths {
            let at = folded.paths.len();
            for part in parts(&path) {
                let of_part = folded.parts.entry(fold(part)).or_default();
                of_part.push((at, part.len()));
            }
            folded.paths.push(path);
        }
        folded
    }

    /// Returns the paths that are, or lie below, another spelling of some path or of a directory above it.
    fn colliding_with(&self, ours: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for path in ours {
            for part in parts(&path) {
                let of_part = self.parts.get(&fold(part)).into_iter().flatten();
                let others = of_part.map(|(at, length)| (&self.paths[*at], *length));
                found.extend(
                    others
                        .filter(|(other, length)| other[..*length] != *part)
                        .map(|(other, _)| other.clone()),
                );
            }
        }
        found
    }
}

/// Returns a path's directories from the top down, and the path.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    above.chain([path])
}

impl Lane {
    /// Returns the files of a tree that collide with what the mirror has in another.
    pub(super) fn colliding(&self, tip: Oid, made: Oid) -> Result<BTreeSet<String>, AttemptError> {
        let mut ours = BTreeSet::new();
        for root in self.transformer.owned.roots() {
            for file in self.git.files_below(made, Some(&root))? {
                ours.insert(String::from_utf8_lossy(&file?.path).into_owned());
            }
        }
        let mut others = Vec::new();
        for file in self.git.files_below(tip, None)? {
            let path = String::from_utf8_lossy(&file?.path).into_owned();
            if !ours.contains(&path) {
                others.push(path);
            }
        }
        if others.is_empty() {
            return Ok(BTreeSet::new());
        }
        Ok(Folded::of(others).colliding_with(ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(others: &[&str], expected: &[&str]) {
        let ours = ["configs/main/meta.json", "configs/é.md", "AGENTS.md"];
        let others = others.iter().map(|path| (*path).to_owned());
        let found = Folded::of(others).colliding_with(ours.map(str::to_owned));
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_or_lies_below_another_spelling_of_a_path_of_ours_collides_with_it() {
        check(
            &[
                "README.md",
                "configs/main/more.json",
                "docs/configs/MAIN/meta.json",
            ],
            &[],
        );
        check(&["configs/main/META.json"], &["configs/main/META.json"]);
        check(
            &["configs/Main/a/b.json", "Configs/x"],
            &["Configs/x", "configs/Main/a/b.json"],
        );
        check(&["agents.md"], &["agents.md"]);
        // The same letter in another form, which a file system may take for one.
        check(&["configs/e\u{301}.md"], &["configs/e\u{301}.md"]);
    }
}
