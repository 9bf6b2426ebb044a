//! Files in the repository that only case, or the form of a letter, tells from what the mirror writes: where a file system
//! ignores that, a clone shows one of the two.
//!
//! Only directories that the mirror's own paths lie in are looked at, and what is spelled otherwise in them.

use super::{super::error::AttemptError, Lane, verify::NAMED_MAX};
use mirror_core::{
    ids::Oid,
    path::{MirrorPath, fold},
};
use mirror_git::TreeEntry;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A directory that paths of ours lie in.
struct Level {
    /// With `/` at its end; empty for the root of the repository.
    path: String,
    /// What the repository has there, and what the mirror has made of it.
    tip: Oid,
    made: Oid,
    /// Above the mirror's own directories: how the paths go on that lead to them.
    towards: Option<Vec<String>>,
}

impl Lane {
    /// Returns the files of a tree that collide with what the mirror has in another; at most [`NAMED_MAX`].
    pub(super) fn colliding(&self, tip: Oid, made: Oid) -> Result<BTreeSet<String>, AttemptError> {
        let roots = self.transformer.owned.roots();
        let towards = roots.iter().map(MirrorPath::to_string).collect();
        let mut found = BTreeSet::new();
        let mut open = vec![Level {
            path: String::new(),
            tip,
            made,
            towards: Some(towards),
        }];
        while let Some(level) = open.pop() {
            let theirs = self.git.directory(level.tip)?;
            let mut ours = self.git.directory(level.made)?;
            if let Some(towards) = &level.towards {
                let leads = |name: &[u8]| towards.iter().any(|path| first(path).as_bytes() == name);
                ours.retain(|entry| leads(&entry.name));
            }
            for other in other_spellings(&ours, &theirs) {
                let path = format!("{}{}", level.path, String::from_utf8_lossy(&other.name));
                if !other.is_directory {
                    found.insert(path);
                    continue;
                }
                let room = NAMED_MAX.saturating_sub(found.len());
                for file in self.git.files_below(other.id, None)?.take(room) {
                    found.insert(format!("{path}/{}", String::from_utf8_lossy(&file?.path)));
                }
            }
            if found.len() >= NAMED_MAX {
                break;
            }
            let theirs: HashMap<&[u8], &TreeEntry> =
                theirs.iter().map(|entry| (&*entry.name, entry)).collect();
            for own in ours.iter().filter(|entry| entry.is_directory) {
                let Some(their) = theirs.get(&*own.name).filter(|entry| entry.is_directory) else {
                    continue;
                };
                let name = String::from_utf8_lossy(&own.name);
                let towards = level.towards.as_ref().and_then(|towards| further(towards, &name));
                // In the mirror's own directories, what is the same is ours.
                if towards.is_some() || own.id != their.id {
                    open.push(Level {
                        path: format!("{}{name}/", level.path),
                        tip: their.id,
                        made: own.id,
                        towards,
                    });
                }
            }
        }
        Ok(found)
    }
}

/// Returns the entries whose names others take for one of ours, although it is not.
fn other_spellings<'t>(ours: &[TreeEntry], theirs: &'t [TreeEntry]) -> Vec<&'t TreeEntry> {
    let text = |entry: &TreeEntry| fold(&String::from_utf8_lossy(&entry.name));
    let names: HashSet<&[u8]> = ours.iter().map(|entry| &*entry.name).collect();
    let folded: HashSet<String> = ours.iter().map(text).collect();
    let theirs = theirs.iter();
    theirs
        .filter(|entry| !names.contains(&*entry.name) && folded.contains(&text(entry)))
        .collect()
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// Returns how those paths go on that lead through a directory; none where it is the end of one.
fn further(towards: &[String], name: &str) -> Option<Vec<String>> {
    let rest = towards
        .iter()
        .filter_map(|path| path.strip_prefix(name)?.strip_prefix('/'));
    let rest: Vec<String> = rest.map(str::to_owned).collect();
    (!rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<TreeEntry> {
        let entry = |name: &&str| TreeEntry {
            name: name.as_bytes().to_vec(),
            id: Oid::from_bytes([1; 20]),
            is_directory: false,
        };
        names.iter().map(entry).collect()
    }

    #[track_caller]
    fn check(others: &[&str], expected: &[&str]) {
        let ours = entries(&["main", "é.md", "AGENTS.md"]);
        let others = entries(others);
        let found = other_spellings(&ours, &others);
        let found: Vec<_> = found
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.name))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn another_spelling_of_a_name_of_ours_collides_with_it() {
        check(&["README.md", "main", "mains"], &[]);
        check(&["Main", "MAIN", "main"], &["Main", "MAIN"]);
        check(&["agents.md"], &["agents.md"]);
        // The same letter in another form, which a file system may take for one.
        check(&["e\u{301}.md"], &["e\u{301}.md"]);
    }

    #[test]
    fn paths_above_the_mirrors_directories_are_followed_to_them() {
        let towards = ["p/q/configs", "p/q/AGENTS.md"].map(str::to_owned);
        let below = further(&towards, "p").expect("they lead through it");
        assert_eq!(below, ["q/configs", "q/AGENTS.md"]);
        let below = further(&below, "q").expect("they lead through it");
        assert_eq!(below, ["configs", "AGENTS.md"]);
        assert_eq!(further(&below, "configs"), None);
    }
}
