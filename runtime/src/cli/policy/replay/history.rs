//! What a branch has had: commits, and the mirror's own files in each. Reads from the remote into a store that is gone
//! afterwards.

use super::since::Since;
use crate::{app::Failure, config::MirrorSpec};
use mirror_core::{
    document::Context,
    ids::Oid,
    path::{MirrorPath, OwnedPaths},
    trailer::Trailers,
};
use mirror_git::{ANCESTRY_COMMITS_MAX, CommitInfo, FetchScope, HistoryEnd, RefName, Remote, Store};
use std::collections::{BTreeMap, HashMap};

/// The trees of so many commits are fetched together.
const COMMITS_AT_ONCE: usize = 64;
/// So many branches are named to who asks for one that is not there.
const BRANCHES_NAMED_MAX: usize = 20;

/// The commits of one branch that are looked at, and what stands in them.
pub(super) struct History {
    pub(super) branch: String,
    /// Whose project and branch the content is.
    pub(super) context: Context,
    /// Oldest first; never empty.
    pub(super) commits: Vec<Step>,
    /// There are more that `--since` would have wanted.
    pub(super) is_cut: bool,
    /// Every content at every path that some commit has, in the order in which they appear.
    pub(super) contents: Vec<Content>,
}

/// One commit, and how it differs from the one before it.
pub(super) struct Step {
    pub(super) commit: CommitInfo,
    /// Set on commits of this mirror's.
    pub(super) trailers: Option<Trailers>,
    /// Indices into the contents; in the first commit all that it has.
    pub(super) appeared: Vec<usize>,
    pub(super) gone: Vec<usize>,
}

/// A content at a path.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) path: MirrorPath,
    /// Below the mirror's root.
    pub(super) below_root: String,
    pub(super) blob: Oid,
    /// Positions of the oldest and newest commits that have it.
    pub(super) first: usize,
    pub(super) last: usize,
}

impl History {
    /// Reads a branch.
    ///
    /// # Errors
    /// A branch or commit that is not there, one that no mirror of this id has written, or a remote that fails.
    pub(super) fn read(
        remote: &dyn Remote,
        store: &Store,
        spec: &MirrorSpec,
        branch: &str,
        since: Option<&Since>,
        commits_max: usize,
    ) -> Result<Self, Failure> {
        let refname = RefName::branch(branch).map_err(|error| Failure::usage(error.to_string()))?;
        let Some(tip) = remote.tip(&refname).map_err(|error| Failure::failed(&error))? else {
            return Err(no_branch(remote, branch));
        };
        let context = context(remote, store, spec, branch, tip)?;
        let (commits, is_cut) = match since {
            // Its trees follow, as those of any other.
            None => (
                vec![store.commit(tip).map_err(|error| Failure::failed(&error))?],
                false,
            ),
            Some(since) => listed(remote, store, branch, tip, since, commits_max)?,
        };
        let oldest_first: Vec<CommitInfo> = commits.into_iter().rev().collect();
        let mut owned = OwnedPaths::new(spec.prefix.clone());
        let mut history = Self {
            branch: branch.to_owned(),
            context,
            commits: Vec::with_capacity(oldest_first.len()),
            is_cut,
            contents: Vec::new(),
        };
        let mut known = HashMap::new();
        let mut stands = BTreeMap::new();
        let ids: Vec<Oid> = oldest_first.iter().map(|commit| commit.id).collect();
        for page in ids.chunks(COMMITS_AT_ONCE) {
            remote
                .fetch_trees(page, store)
                .map_err(|error| Failure::failed(&error))?;
        }
        for commit in oldest_first {
            let trailers =
                Trailers::parse(&commit.message).filter(|trailers| trailers.lane.mirror == spec.id);
            // Its `prefix` may have been another one then.
            owned = trailers
                .as_ref()
                .and_then(|trailers| trailers.owned.clone())
                .unwrap_or(owned);
            let files = files(store, &owned, commit.tree)?;
            history.step(commit, trailers, files, &mut known, &mut stands);
        }
        Ok(history)
    }

    /// Adds a commit. `stands` is what the one before it has, by path.
    fn step(
        &mut self,
        commit: CommitInfo,
        trailers: Option<Trailers>,
        files: Vec<(MirrorPath, String, Oid)>,
        known: &mut HashMap<(String, Oid), usize>,
        stands: &mut BTreeMap<String, usize>,
    ) {
        let at = self.commits.len();
        let (mut appeared, mut now) = (Vec::new(), BTreeMap::new());
        for (path, below_root, blob) in files {
            let content = *known.entry((below_root.clone(), blob)).or_insert_with(|| {
                self.contents.push(Content {
                    path,
                    below_root: below_root.clone(),
                    blob,
                    first: at,
                    last: at,
                });
                self.contents.len() - 1
            });
            self.contents[content].last = at;
            if stands.get(&below_root) != Some(&content) {
                appeared.push(content);
            }
            now.insert(below_root, content);
        }
        let gone = stands
            .iter()
            .filter(|(path, content)| now.get(*path) != Some(content));
        let gone = gone.map(|(_, content)| *content).collect();
        *stands = now;
        self.commits.push(Step {
            commit,
            trailers,
            appeared,
            gone,
        });
    }

    /// Returns the position of the newest commit.
    pub(super) fn tip(&self) -> usize {
        self.commits.len() - 1
    }
}

fn no_branch(remote: &dyn Remote, branch: &str) -> Failure {
    let branches = match remote.branches() {
        Ok(branches) => branches,
        Err(error) => return Failure::failed(&error),
    };
    let named: Vec<&str> = branches
        .iter()
        .take(BRANCHES_NAMED_MAX)
        .map(|(name, _)| name.short())
        .collect();
    let others = if named.is_empty() {
        "it is empty: let the mirror synchronise first".to_owned()
    } else {
        format!("give another with `--branch`: {}", named.join(", "))
    };
    Failure::usage(format!(
        "the repository {} has no branch `{branch}`; {others}",
        remote.name()
    ))
}

/// Finds out whose content a branch has, from the newest commit of this mirror's.
fn context(
    remote: &dyn Remote,
    store: &Store,
    spec: &MirrorSpec,
    branch: &str,
    tip: Oid,
) -> Result<Context, Failure> {
    let own = |commit: &CommitInfo| {
        Trailers::parse(&commit.message).filter(|trailers| trailers.lane.mirror == spec.id)
    };
    remote
        .fetch(tip, store, FetchScope::CommitsOnly { commits_max: 1 })
        .map_err(|error| Failure::failed(&error))?;
    let newest = store.newest_matching(remote, tip, ANCESTRY_COMMITS_MAX, |commit| own(commit).is_some());
    let newest = newest.map_err(|error| Failure::failed(&error))?;
    let trailers = newest.as_ref().and_then(own).ok_or_else(|| {
        Failure::usage(format!(
            "no commit of branch `{branch}` is of mirror `{}`, so there is nothing that a policy of it would have judged; name a branch that it writes with `--branch`",
            spec.id
        ))
    })?;
    Ok(Context {
        stack: spec.stack.clone(),
        project: spec.project.clone(),
        branch: trailers.lane.branch,
    })
}

/// Lists the commits that are looked at, newest first, and says whether there are more.
fn listed(
    remote: &dyn Remote,
    store: &Store,
    branch: &str,
    tip: Oid,
    since: &Since,
    commits_max: usize,
) -> Result<(Vec<CommitInfo>, bool), Failure> {
    // One more shows whether there are more.
    let limit = commits_max + 1;
    remote
        .fetch(tip, store, FetchScope::CommitsOnly { commits_max: limit })
        .map_err(|error| Failure::failed(&error))?;
    let read = || {
        let history = store.history(tip, limit);
        history.map_err(|error| Failure::failed(&error))
    };
    let mut history = read()?;
    // A server without filters hands out a part of it at a time, a shallow repository has no more.
    while let HistoryEnd::NotHere(next) = history.end
        && since
            .reach(&history.commits)
            .is_none_or(|reach| reach == history.commits.len())
    {
        remote
            .fetch_history(&[next], store, limit - history.commits.len())
            .map_err(|error| Failure::failed(&error))?;
        if !store.contains(next) {
            break;
        }
        history = read()?;
    }
    let is_all = history.end != HistoryEnd::Limit;
    let mut commits = history.commits;
    let Some(reach) = since.reach(&commits) else {
        let there = if is_all {
            format!(
                "branch `{branch}` does not have it; `git log --first-parent {branch}` shows those it has"
            )
        } else {
            format!(
                "it is not among the newest {limit} of branch `{branch}`; give a later one, or a larger `--commits-max`"
            )
        };
        return Err(Failure::usage(format!(
            "`--since` names a commit{}, and {there}",
            since.mistaken()
        )));
    };
    commits.truncate(reach.min(commits_max));
    Ok((commits, reach > commits_max))
}

/// Lists the files that the mirror may have written: path, path below its root, blob.
fn files(store: &Store, owned: &OwnedPaths, tree: Oid) -> Result<Vec<(MirrorPath, String, Oid)>, Failure> {
    let mut found = Vec::new();
    for root in owned.roots() {
        // The root may be a file itself, as `AGENTS.md`.
        let file = store.file(tree, &root).map_err(|error| Failure::failed(&error))?;
        let below = store
            .files_below(tree, Some(&root))
            .map_err(|error| Failure::failed(&error))?;
        for file in file.into_iter().map(Ok).chain(below) {
            let file = file.map_err(|error| Failure::failed(&error))?;
            let Some(path) = file.mirror_path().filter(|_| file.ordinary) else {
                continue;
            };
            if let Some(below_root) = owned.below_root(&path).map(str::to_owned) {
                found.push((path, below_root, file.id));
            }
        }
    }
    Ok(found)
}
