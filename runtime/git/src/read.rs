//! Reading what is committed: history, files below a directory, one file.

use crate::{
    commit::{self, CommitInfo},
    error::StoreError,
    objects::Source,
    tree::BaseTree,
};
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

/// Walks the files below a directory in the order of Git, reading one directory at a time.
#[derive(Debug)]
pub(crate) struct Files<'s, S> {
    source: &'s S,
    open: Vec<Open>,
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
        let mut root = Some(tree);
        for segment in directory.into_iter().flat_map(MirrorPath::segments) {
            let Some(tree) = root else { break };
            let parent = BaseTree::load(source, tree)?;
            root = parent
                .find(segment.as_bytes())
                .filter(|(_, entry)| entry.is_tree())
                .map(|(_, entry)| entry.id);
        }
        let path = directory
            .map(|path| path.as_str().as_bytes().to_vec())
            .unwrap_or_default();
        let mut files = Self {
            source,
            open: Vec::new(),
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
            let mut path = open.path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name);
            let id = entry.id;
            if !entry.is_tree() {
                return Some(Ok(TreeFile {
                    path,
                    id,
                    ordinary: entry.is_ordinary(),
                }));
            }
            if let Err(error) = self.enter(path, id) {
                // After an error the walk is over: what follows would be incomplete.
                self.open.clear();
                return Some(Err(error));
            }
        }
    }
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
