//! What of a branch an attempt would stop at: files of others where the mirror writes, and a history that is another one.

use crate::{
    cli::ask::{Needs, ask},
    config::{Config, MirrorSpec},
    control::Request,
    database::DATABASE_FILE,
    pipeline::{error::AttemptError, owned},
};
use mirror_core::{
    ids::{MirrorId, Oid},
    path::OwnedPaths,
    trailer::Trailers,
};
use mirror_git::{
    ANCESTRY_COMMITS_MAX, Ancestry, FetchScope, ProbeOutcome, ProbeProblem, RefName, Remote, Store,
};
use serde_json::Value;
use std::path::Path;

/// Where the mirror left its branch.
pub(super) enum Left {
    /// It has pushed nothing yet, as far as this installation knows.
    Nowhere,
    At(Oid),
    /// It cannot be found out, and why.
    Unknown(String),
}

/// Finds out where the mirror left a branch: from the running process, or from log and state.
pub(super) fn left_at(path: &Path, config: &Config, mirror: &str, refname: &RefName) -> Left {
    if let Ok(false) = config.data_dir.join(DATABASE_FILE).try_exists() {
        return Left::Nowhere;
    }
    let request = Request::Status {
        mirror: mirror.to_owned(),
    };
    let page = match ask(path, request, Needs::Branches) {
        Ok(page) => page,
        Err(failure) => return Left::Unknown(failure.to_string()),
    };
    let is_its = |lane: &&Value| lane["ref"] == refname.as_str();
    let lane = page["lanes"]
        .as_array()
        .and_then(|lanes| lanes.iter().find(is_its));
    let tip = lane.and_then(|lane| lane["tip"].as_str());
    match tip.map(Oid::parse) {
        Some(Ok(tip)) => Left::At(tip),
        _ => Left::Nowhere,
    }
}

/// Looks at the branch as an attempt does that begins now. Only its trees are read, into a directory that goes with this.
pub(super) fn look(
    spec: &MirrorSpec,
    remote: &dyn Remote,
    refname: &RefName,
    tip: Option<Oid>,
    left: &Left,
) -> ProbeOutcome {
    let looked = match tip {
        Some(tip) => look_at(spec, remote, refname, tip, left),
        None => Ok(absent(spec, refname, left)),
    };
    looked.unwrap_or_else(|error| match error {
        AttemptError::Remote(error) => ProbeOutcome::Bad(error.into()),
        error => bad(&error),
    })
}

fn bad(error: &AttemptError) -> ProbeOutcome {
    let code = match error {
        AttemptError::Rewritten { .. } => "rewritten",
        AttemptError::RefGone { .. } => "branch_gone",
        AttemptError::NotOurs { .. } | AttemptError::OtherMirrors { .. } | AttemptError::InTheWay { .. } => {
            "foreign_files"
        }
        _ => "content",
    };
    ProbeOutcome::Bad(ProbeProblem::Content {
        code,
        words: crate::app::chain(error),
    })
}

fn absent(spec: &MirrorSpec, refname: &RefName, left: &Left) -> ProbeOutcome {
    match left {
        Left::At(expected) if spec.accept_deleted_branch != Some(*expected) => bad(&AttemptError::RefGone {
            refname: refname.clone(),
            expected: *expected,
        }),
        Left::At(_) => {
            ProbeOutcome::Good("the branch was deleted and is made anew, as it was accepted".into())
        }
        Left::Nowhere => ProbeOutcome::Good("there is no such branch yet; the first commit makes it".into()),
        Left::Unknown(why) => unknown(why),
    }
}

fn unknown(why: &str) -> ProbeOutcome {
    ProbeOutcome::Notice(format!(
        "whether its history is the one that the mirror pushed is not known: {why}"
    ))
}

fn look_at(
    spec: &MirrorSpec,
    remote: &dyn Remote,
    refname: &RefName,
    tip: Oid,
    left: &Left,
) -> Result<ProbeOutcome, AttemptError> {
    let directory = tempfile::Builder::new().prefix("kbc-mirror-").tempdir();
    let directory = match directory {
        Ok(directory) => directory,
        Err(error) => return Ok(unknown(&error.to_string())),
    };
    let git = Store::open_or_create(directory.path())?;
    let scope = FetchScope::TreesOnly { commits_max: 1 };
    remote.fetch(tip, &git, scope)?;
    if let Left::At(expected) = left
        && spec.accept_rewrite != Some(tip)
        && git.is_ancestor(remote, *expected, tip)? == Ancestry::No
    {
        return Ok(bad(&AttemptError::Rewritten {
            refname: refname.clone(),
            expected: *expected,
            tip,
        }));
    }
    let tree = git.commit(tip)?.tree;
    let refname = refname.clone();
    if let Some(prefix) = &spec.prefix
        && let Some(path) = git.obstacle(tree, prefix)?
    {
        return Ok(bad(&AttemptError::InTheWay { refname, path }));
    }
    let mut others: Vec<MirrorId> = Vec::new();
    let ours = git.newest_matching(remote, tip, ANCESTRY_COMMITS_MAX, |commit| {
        let mirror = Trailers::parse(&commit.message).map(|trailers| trailers.lane.mirror);
        let is_ours = mirror.as_ref() == Some(&spec.id);
        others.extend(mirror.filter(|_| !is_ours));
        is_ours
    })?;
    if let Some(commit) = ours {
        return Ok(match left {
            Left::Unknown(why) => unknown(why),
            _ => ProbeOutcome::Good(format!("its newest commit of this mirror is {}", commit.id)),
        });
    }
    let owned = OwnedPaths::new(spec.prefix.clone());
    Ok(match owned::first_file(&git, &owned, tree)? {
        None => ProbeOutcome::Good("nothing of others is where the mirror writes".into()),
        Some(path) if spec.adopt => ProbeOutcome::Notice(format!(
            "`{path}` is not the mirror's, and is replaced or deleted by the first commit, as is all where it writes: `adopt = true`"
        )),
        Some(path) => bad(&match others.into_iter().next() {
            Some(other) => AttemptError::OtherMirrors { refname, path, other },
            None => AttemptError::NotOurs { refname, path },
        }),
    })
}
