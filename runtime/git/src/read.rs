//! Reading what is committed: history, files below a directory, one file, what differs between two trees.

mod differences;
#[cfg(test)]
mod tests;

use crate::{
    commit::{self, CommitInfo},
    error::StoreError,
    objects::Source,
    tree::{BaseTree, Entry},
};
pub(crate) use differences::Differences;
pub use differences::FileDifference;
use mirror_core::{ids::Oid, path::MirrorPath};

/// First-parent history, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    pub commits: Vec<CommitInfo>,
    /// Why it ends where it ends.
    pub end: HistoryEnd,
}

/// Why a history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryEnd {
    /// The last commit has no parent.
    Root,
    /// There is more, but no more was asked for.
    Limit,
    /// The next commit is not in the local store: fetch deeper to go on.
    NotHere(Oid),
}

pub(crate) fn history(source: &impl Source, tip: Oid, limit: usize) -> Result<History, StoreError> {
    let mut commits: Vec<CommitInfo> = Vec::new();
    let mut next = Some(tip);
    while let Some(id) = next {
        if commits.len() == limit {
            return Ok(History {
                commits,
                end: HistoryEnd::Limit,
            });
        }
        let commit = match commit::read(source, id) {
            Ok(commit) => commit,
            Err(StoreError::Missing { id: missing }) if missing == id => {
                return Ok(History {
                    commits,
                    end: HistoryEnd::NotHere(id),
                });
            }
            Err(error) => return Err(error),
        };
        next = commit.parents.first().copied();
        commits.push(commit);
    }
    Ok(History {
        commits,
        end: HistoryEnd::Root,
    })
}

/// A file in a tree. The path may be a stranger's, so it need not be one that the mirror would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// From the root of the repository, with `/`.
    pub path: Vec<u8>,
    pub id: Oid,
    /// Whether it is an ordinary file, as the mirror writes it: not executable, no link, no submodule.
    pub ordinary: bool,
}

impl TreeFile {
    /// Returns the path if the mirror could have written it.
    #[must_use]
    pub fn mirror_path(&self) -> Option<MirrorPath> {
        MirrorPath::parse(std::str::from_utf8(&self.path).ok()?).ok()
    }
}

/// So many paths are walked at once, far more than any repository has: a few small trees that refer to each other may say more of
/// them than there are atoms.
pub(crate) const PATHS_MAX: usize = 2_000_000;
/// So many bytes they have in all.
const PATHS_BYTES_MAX: usize = 256 << 20;
/// A longer path cannot be checked out.
const PATH_BYTES_MAX: usize = 16 << 10;

/// What a walk may still visit.
#[derive(Debug)]
pub(crate) struct Budget {
    below: String,
    paths: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn of(directory: Option<&MirrorPath>) -> Self {
        Self::with(directory, PATHS_MAX)
    }

    pub(crate) fn with(directory: Option<&MirrorPath>, paths: usize) -> Self {
        Self {
            below: directory.map_or_else(|| "/".to_owned(), ToString::to_string),
            paths,
            bytes: PATHS_BYTES_MAX,
        }
    }

    /// Takes a path, of a file or a directory.
    pub(crate) fn take(&mut self, path: &[u8]) -> Result<(), StoreError> {
        let too_large = |problem: String| StoreError::TooManyPaths {
            below: self.below.clone(),
            problem,
        };
        if path.len() > PATH_BYTES_MAX {
            return Err(too_large(format!("a path of more than {PATH_BYTES_MAX} bytes")));
        }
        self.paths = self
            .paths
            .checked_sub(1)
            .ok_or_else(|| too_large(format!("more than {PATHS_MAX} paths")))?;
        self.bytes = self
            .bytes
            .checked_sub(path.len())
            .ok_or_else(|| too_large(format!("paths of more than {PATHS_BYTES_MAX} bytes in all")))?;
        Ok(())
    }
}

/// Walks the files below a directory in the order of Git, reading one directory at a time.
#[derive(Debug)]
pub(crate) struct Files<'s, S> {
    source: &'s S,
    open: Vec<Open>,
    budget: Budget,
}

#[derive(Debug)]
struct Open {
    path: Vec<u8>,
    tree: BaseTree,
    next: usize,
}

impl<'s, S: Source> Files<'s, S> {
    pub(crate) fn below(
        source: &'s S,
        tree: Oid,
        directory: Option<&MirrorPath>,
    ) -> Result<Self, StoreError> {
        Self::within(source, tree, directory, Budget::of(directory))
    }

    pub(crate) fn within(
        source: &'s S,
        tree: Oid,
        directory: Option<&MirrorPath>,
        budget: Budget,
    ) -> Result<Self, StoreError> {
        let root = match directory {
            None => Some(tree),
            Some(path) => entry(source, tree, path)?
                .filter(|entry| entry.is_directory)
                .map(|entry| entry.id),
        };
        let path = directory
            .map(|path| path.as_str().as_bytes().to_vec())
            .unwrap_or_default();
        let mut files = Self {
            source,
            open: Vec::new(),
            budget,
        };
        if let Some(tree) = root {
            files.enter(path, tree)?;
        }
        Ok(files)
    }

    fn enter(&mut self, path: Vec<u8>, tree: Oid) -> Result<(), StoreError> {
        self.open.push(Open {
            path,
            tree: BaseTree::load(self.source, tree)?,
            next: 0,
        });
        Ok(())
    }
}

impl<S: Source> Iterator for Files<'_, S> {
    type Item = Result<TreeFile, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let open = self.open.last_mut()?;
            if open.next == open.tree.len() {
                self.open.pop();
                continue;
            }
            let entry = open.tree.entry(open.next);
            open.next += 1;
            let path = joined(&open.path, entry.name);
            let (id, ordinary, is_tree) = (entry.id, entry.is_ordinary(), entry.is_tree());
            let stepped = self.budget.take(&path);
            if stepped.is_ok() && !is_tree {
                return Some(Ok(TreeFile { path, id, ordinary }));
            }
            if let Err(error) = stepped.and_then(|()| self.enter(path, id)) {
                // After an error the walk is over: what follows would be incomplete.
                self.open.clear();
                return Some(Err(error));
            }
        }
    }
}

/// Appends a name to the path of its directory; that of the root is empty.
pub(crate) fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Something in a tree: a directory, or a file, link or submodule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Without the directories above it; may be a stranger's, of any bytes.
    pub name: Vec<u8>,
    pub id: Oid,
    pub is_directory: bool,
}

impl TreeEntry {
    pub(crate) fn of(entry: &Entry<'_>) -> Self {
        Self {
            name: entry.name.to_vec(),
            id: entry.id,
            is_directory: entry.is_tree(),
        }
    }
}

/// Finds what is at a path, whatever it is.
pub(crate) fn entry(
    source: &impl Source,
    tree: Oid,
    path: &MirrorPath,
) -> Result<Option<TreeEntry>, StoreError> {
    let mut found: Option<TreeEntry> = None;
    for segment in path.segments() {
        let directory = match &found {
            None => tree,
            Some(entry) if entry.is_directory => entry.id,
            Some(_) => return Ok(None),
        };
        let directory = BaseTree::load(source, directory)?;
        let Some((_, entry)) = directory.find(segment.as_bytes()) else {
            return Ok(None);
        };
        found = Some(TreeEntry::of(&entry));
    }
    Ok(found)
}

/// Finds the first thing on the way to a directory, or in its place, that is no directory.
pub(crate) fn obstacle(
    source: &impl Source,
    tree: Oid,
    directory: &MirrorPath,
) -> Result<Option<String>, StoreError> {
    let mut tree = tree;
    let mut path = String::new();
    for segment in directory.segments() {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(segment);
        let parent = BaseTree::load(source, tree)?;
        match parent.find(segment.as_bytes()) {
            None => return Ok(None),
            Some((_, entry)) if entry.is_tree() => tree = entry.id,
            Some(_) => return Ok(Some(path)),
        }
    }
    Ok(None)
}

/// Walks what differs between two trees below a directory of both; none is the whole of them.
pub(crate) fn differences<'s, S: Source>(
    source: &'s S,
    before: Option<Oid>,
    after: Oid,
    directory: Option<&MirrorPath>,
) -> Result<Differences<'s, S>, StoreError> {
    let budget = Budget::of(directory);
    let Some(directory) = directory else {
        return Differences::between(source, Vec::new(), before, Some(after), budget);
    };
    let inside = |tree: Oid| -> Result<Option<Oid>, StoreError> {
        let entry = entry(source, tree, directory)?;
        Ok(entry.filter(|entry| entry.is_directory).map(|entry| entry.id))
    };
    let path = directory.as_str().as_bytes().to_vec();
    let before = before.map(inside).transpose()?.flatten();
    Differences::between(source, path, before, inside(after)?, budget)
}

/// Lists one directory.
pub(crate) fn directory(source: &impl Source, tree: Oid) -> Result<Vec<TreeEntry>, StoreError> {
    let tree = BaseTree::load(source, tree)?;
    Ok(tree.entries().map(|entry| TreeEntry::of(&entry)).collect())
}

/// Finds one file.
pub(crate) fn file(
    source: &impl Source,
    tree: Oid,
    path: &MirrorPath,
) -> Result<Option<TreeFile>, StoreError> {
    let mut tree = tree;
    let mut segments = path.segments().peekable();
    while let Some(segment) = segments.next() {
        let directory = BaseTree::load(source, tree)?;
        let Some((_, entry)) = directory.find(segment.as_bytes()) else {
            return Ok(None);
        };
        match (segments.peek(), entry.is_tree()) {
            (Some(_), true) => tree = entry.id,
            (None, false) => {
                let path = path.as_str().as_bytes().to_vec();
                return Ok(Some(TreeFile {
                    path,
                    id: entry.id,
                    ordinary: entry.is_ordinary(),
                }));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}
