//! What differs between two trees. What is the same in both is not looked at, however much lies below it.

use super::{Budget, joined};
use crate::{
    error::StoreError,
    objects::Source,
    tree::{BaseTree, Entry},
};
use mirror_core::ids::Oid;
use std::cmp::Ordering;

/// A file that one of two trees has, or both, but not the same. A link or submodule counts as a file, and so does one whose mode
/// differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDifference {
    /// From the root of the repository, with `/`; may be a stranger's, of any bytes.
    pub path: Vec<u8>,
    /// The file of the first tree.
    pub before: Option<Oid>,
    /// The file of the second.
    pub after: Option<Oid>,
}

/// Walks what differs below a directory of both trees, in the order of Git.
#[derive(Debug)]
pub(crate) struct Differences<'s, S> {
    source: &'s S,
    open: Vec<Pair>,
    budget: Budget,
}

/// A directory that differs; one side is empty where only the other has it.
#[derive(Debug)]
struct Pair {
    path: Vec<u8>,
    before: BaseTree,
    after: BaseTree,
    next: (usize, usize),
}

/// What comes next of a pair.
enum Step {
    File(FileDifference),
    Directory(Vec<u8>, Option<Oid>, Option<Oid>),
}

impl Pair {
    /// Returns what differs next; none where nothing more does.
    fn step(&mut self) -> Option<Step> {
        loop {
            let before = (self.next.0 < self.before.len()).then(|| self.before.entry(self.next.0));
            let after = (self.next.1 < self.after.len()).then(|| self.after.entry(self.next.1));
            let order = match (&before, &after) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.compare(after),
            };
            let before = before.filter(|_| order != Ordering::Greater);
            let after = after.filter(|_| order != Ordering::Less);
            self.next.0 += usize::from(before.is_some());
            self.next.1 += usize::from(after.is_some());
            if before == after {
                continue;
            }
            let (name, is_tree) = match (&before, &after) {
                (Some(entry), _) | (None, Some(entry)) => (entry.name, entry.is_tree()),
                (None, None) => return None,
            };
            let path = joined(&self.path, name);
            let id = |entry: Option<Entry<'_>>| entry.map(|entry| entry.id);
            let (before, after) = (id(before), id(after));
            return Some(if is_tree {
                Step::Directory(path, before, after)
            } else {
                Step::File(FileDifference { path, before, after })
            });
        }
    }
}

impl<'s, S: Source> Differences<'s, S> {
    /// Compares what two trees have at `path`, which is that of both; none has nothing.
    pub(crate) fn between(
        source: &'s S,
        path: Vec<u8>,
        before: Option<Oid>,
        after: Option<Oid>,
        budget: Budget,
    ) -> Result<Self, StoreError> {
        let mut differences = Self {
            source,
            open: Vec::new(),
            budget,
        };
        if before != after {
            differences.enter(path, before, after)?;
        }
        Ok(differences)
    }

    fn enter(&mut self, path: Vec<u8>, before: Option<Oid>, after: Option<Oid>) -> Result<(), StoreError> {
        let load = |tree: Option<Oid>| match tree {
            None => Ok(BaseTree::default()),
            Some(tree) => BaseTree::load(self.source, tree),
        };
        let (before, after) = (load(before)?, load(after)?);
        self.open.push(Pair {
            path,
            before,
            after,
            next: (0, 0),
        });
        Ok(())
    }
}

impl<S: Source> Iterator for Differences<'_, S> {
    type Item = Result<FileDifference, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(step) = self.open.last_mut()?.step() else {
                self.open.pop();
                continue;
            };
            let stepped = match step {
                Step::File(file) => match self.budget.take(&file.path) {
                    Ok(()) => return Some(Ok(file)),
                    Err(error) => Err(error),
                },
                Step::Directory(path, before, after) => self
                    .budget
                    .take(&path)
                    .and_then(|()| self.enter(path, before, after)),
            };
            if let Err(error) = stepped {
                // After an error the walk is over: what follows would be incomplete.
                self.open.clear();
                return Some(Err(error));
            }
        }
    }
}
