//! The Git branches of dev branches: how they are called, and when they end.
//!
//! Which Git branch is whose is told by the repository itself: the newest commit of ours names its lane.
//! So a name is kept over renames in Keboola even where the data directory was lost, and what is deleted
//! is deleted wherever the process was when Keboola's branch went.

use crate::{
    config::{DeletedBranches, MirrorSpec, fits_template},
    pipeline::{
        error::AttemptError,
        months::{self, is_of_month},
    },
    system::{Mirror, StartError},
};
use mirror_core::{
    ids::{BranchId, LaneId, Oid},
    trailer::Trailers,
};
use mirror_git::{ANCESTRY_COMMITS_MAX, FetchScope, RefName, Remote, RemoteError, Store};
use mirror_keboola::DevBranch;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, sync::Arc};

/// Stands in the name of a Git branch for a branch's own name that cannot be shown.
pub(crate) const UNNAMED: &str = "branch";

/// Returns what the Git branch of a dev branch is called of whose own name this may be shown.
pub(crate) fn git_branch(spec: &MirrorSpec, slug: &str, branch: &BranchId) -> String {
    let template = &spec.dev_branches.git_branch;
    template.replace("{name}", slug).replace("{id}", branch.as_str())
}

/// Returns the name of the fact that a lane's Git branch is called so.
pub(crate) fn name_of(lane: &LaneId) -> String {
    format!("git-branch {lane}")
}

/// A Git branch that some lane of a mirror has.
struct Owned {
    refname: RefName,
    tip: Oid,
    branch: BranchId,
    /// Nobody else's commit is on top.
    is_newest: bool,
}

/// Lists the Git branches of a mirror's dev branches among those that a template can have made.
fn owned(
    spec: &MirrorSpec,
    template: &str,
    remote: &dyn Remote,
    git: &Store,
) -> Result<Vec<Owned>, RemoteError> {
    let mut owned = Vec::new();
    for (refname, tip) in remote.branches()? {
        if refname.short() == spec.branch
            || is_of_month(refname.short())
            || !fits_template(template, refname.short())
        {
            continue;
        }
        remote.fetch(tip, git, FetchScope::CommitsOnly { commits_max: 1 })?;
        let newest = git.newest_matching(remote, tip, ANCESTRY_COMMITS_MAX, |commit| {
            Trailers::parse(&commit.message).is_some()
        })?;
        let Some(newest) = newest else { continue };
        let Some(trailers) = Trailers::parse(&newest.message) else {
            continue;
        };
        if trailers.lane.mirror == spec.id {
            owned.push(Owned {
                is_newest: newest.id == tip,
                refname,
                tip,
                branch: trailers.lane.branch,
            });
        }
    }
    Ok(owned)
}

/// Returns the Git branch that a lane has already, if it goes by another name than it would be given now.
///
/// # Errors
/// A remote that cannot be read.
pub(crate) async fn existing(
    mirror: &Mirror,
    id: &LaneId,
    wished: &RefName,
) -> Result<Option<String>, StartError> {
    let spec = Arc::clone(&mirror.spec);
    let (remote, git) = mirror.repository();
    let (id, wished) = (id.clone(), wished.clone());
    let found = tokio::task::spawn_blocking(move || {
        if remote.tip(&wished)?.is_some() {
            return Ok(None);
        }
        // Only names that have the branch's own id in them.
        let template = spec.dev_branches.git_branch.replace("{id}", id.branch.as_str());
        let owned = owned(&spec, &template, &*remote, &git)?;
        let own = owned.into_iter().find(|owned| owned.branch == id.branch);
        Ok(own.map(|own| own.refname.short().to_owned()))
    });
    found.await?.map_err(|source| StartError::Repository {
        mirror: mirror.spec.id.clone(),
        source,
    })
}

/// Deletes the Git branches of dev branches that are no more, where the mirror is configured so.
///
/// Those of `kept` stay. Any other is asked for by itself: a listing may be wrong. One on which somebody
/// else has committed stays.
///
/// # Errors
/// A remote that cannot be read or changed.
pub(crate) async fn delete_orphans(mirror: &Mirror, kept: &BTreeSet<BranchId>) -> Result<(), StartError> {
    let spec = Arc::clone(&mirror.spec);
    if spec.dev_branches.deleted != DeletedBranches::Delete {
        return Ok(());
    }
    let failed = |source| StartError::Repository {
        mirror: mirror.spec.id.clone(),
        source,
    };
    let (remote, git) = mirror.repository();
    let found = tokio::task::spawn_blocking({
        let (spec, remote) = (Arc::clone(&spec), Arc::clone(&remote));
        move || owned(&spec, &spec.dev_branches.git_branch, &*remote, &git)
    });
    for orphan in found.await?.map_err(failed)? {
        let Owned {
            refname,
            tip,
            branch,
            is_newest,
        } = orphan;
        if kept.contains(&branch) || !mirror.source.has_lost(&branch).await {
            continue;
        }
        if !is_newest {
            tracing::warn!(mirror = %spec.id, branch_id = %branch, %refname, "the branch was deleted in Keboola, but its Git branch has somebody else's commits; it stays");
            continue;
        }
        let turn = mirror.turn().lock_owned().await;
        let (remote, git) = mirror.repository();
        let name = refname.clone();
        let lane = LaneId {
            mirror: spec.id.clone(),
            branch: branch.clone(),
        };
        let deleted = tokio::task::spawn_blocking(move || {
            // Their months' runs go before it: it is what they are found by.
            for (_, month, tip) in months::of_lane(&*remote, &name)? {
                months::delete(&*remote, &git, &lane, &month, tip)?;
            }
            Ok::<_, AttemptError>(remote.delete_branch(&name, tip)?)
        })
        .await?;
        drop(turn);
        match deleted {
            Ok(()) => {
                tracing::info!(mirror = %spec.id, branch_id = %branch, %refname, %tip, "the branch was deleted in Keboola; so was its Git branch");
            }
            // It moved meanwhile, or the host refuses: the next look tries again.
            Err(error) => {
                tracing::warn!(mirror = %spec.id, branch_id = %branch, %refname, error = crate::app::chain(&error), "the Git branch of a deleted branch cannot be deleted");
            }
        }
    }
    Ok(())
}

/// Returns a digest of what of a branch is mirrored, for the event that tells of a change.
pub(crate) fn digest_of(branch: &DevBranch) -> String {
    let source: serde_json::Value = serde_json::from_str(&branch.source).unwrap_or_default();
    let seen = serde_json::json!([source["name"], source["description"]]);
    data_encoding::HEXLOWER.encode(&Sha256::digest(seen.to_string())[..16])
}
