//! Runs on Git branches of their own, one for each month (`jobs.log = "month-refs"`).
//!
//! What is told of a run stands at the same path as it would on the lane's branch, and is gathered in the
//! same way; only the tree is another. A month's branch is pushed before the lane's own: killed in between,
//! the next attempt writes what is there already, which is nothing new. A month that the remote does not take is
//! the month's own affair: its runs are kept ([`owed`]), and the lane goes on. The space of months that are no
//! longer kept comes back when their branches are deleted; no history is rewritten for it.

pub(super) mod owed;

use super::{
    attempt::Lane,
    error::AttemptError,
    former::Former,
    memory::Shard,
    recover::{Tip, Whose},
};
use crate::config::JobsLog;
use mirror_core::{
    batch::{MirrorBatch, Subject},
    commit::CommitDraft,
    cut::Cut,
    ids::{LaneId, Oid},
    jobs::months::Month,
    layout::{Entry, IndexKind},
    path::MirrorPath,
    trailer::Trailers,
};
use mirror_git::{Ancestry, FetchScope, PendingPush, RefName, Remote, RemoteError, Store};
use owed::Owed;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be written to the branches of months.
#[derive(Debug, Default)]
pub(super) struct Months(BTreeMap<Month, Files>);

#[derive(Debug, Default)]
struct Files {
    batches: Vec<MirrorBatch>,
    deleted: BTreeSet<MirrorPath>,
    /// What is told of runs anew.
    runs: Vec<Entry>,
}

/// What an attempt has for one month.
#[derive(Debug)]
pub(super) struct MonthPart {
    pub(super) month: Month,
    /// What is told of runs anew, as its files have it.
    pub(super) runs: Vec<Entry>,
    pub(super) next: Next,
}

/// What is to be done about a month.
#[derive(Debug)]
pub(super) enum Next {
    Push(PendingPush),
    /// The remote has it all, at this commit.
    Nothing(Oid),
    /// It was refused a short while ago.
    Wait,
    /// Somebody has taken a commit out of its history that the mirror pushed.
    Rewritten(Oid),
}

impl Months {
    /// Takes the days of runs out of a batch, and returns the rest.
    pub(super) fn take(&mut self, batch: MirrorBatch) -> MirrorBatch {
        let month = |subject: &Subject| match subject {
            Subject::Index {
                kind: IndexKind::JobDay,
                shard,
            } => Month::of_day(shard),
            Subject::Index { .. } | Subject::Object(_) => None,
        };
        let mut rest = Vec::new();
        for object in batch.into_objects() {
            match month(object.subject()) {
                Some(month) => {
                    let files = self.0.entry(month).or_default();
                    files.batches.push(MirrorBatch::join([object]));
                }
                None => rest.push(object),
            }
        }
        MirrorBatch::join(rest)
    }

    /// Notes what is told of a day's runs anew.
    pub(super) fn tell(&mut self, shard: &Shard, runs: Vec<Entry>) {
        if let Some(month) = month_of(shard).filter(|_| !runs.is_empty()) {
            self.0.entry(month).or_default().runs.extend(runs);
        }
    }

    /// Notes files of a day that went; returns whether they are a month's.
    pub(super) fn delete(&mut self, shard: &Shard, files: &[MirrorPath]) -> bool {
        let Some(month) = month_of(shard) else {
            return false;
        };
        if !files.is_empty() {
            let month = self.0.entry(month).or_default();
            month.deleted.extend(files.iter().cloned());
        }
        true
    }
}

/// Returns the month that a shard belongs to; none for one that is no day of runs.
pub(super) fn month_of(shard: &Shard) -> Option<Month> {
    let (kind, day) = shard;
    (*kind == IndexKind::JobDay).then(|| Month::of_day(day)).flatten()
}

impl Lane {
    /// Returns whether days of runs are on branches of their own.
    pub(super) fn has_months(&self) -> bool {
        self.spec.jobs.is_some_and(|jobs| jobs.log == JobsLog::MonthRefs)
    }

    pub(super) fn month_ref(&self, month: Month) -> Result<RefName, AttemptError> {
        Ok(RefName::branch(&month.branch(self.refname.short()))?)
    }

    /// Finds the tip of a month's branch and brings its tree; none where there is no such branch.
    pub(super) fn month_tip(&self, month: Month) -> Result<Option<Tip>, AttemptError> {
        let tip = self.remote.tip(&self.month_ref(month)?)?;
        tip.map(|tip| self.fetched(tip)).transpose()
    }

    fn fetched(&self, tip: Oid) -> Result<Tip, AttemptError> {
        let scope = FetchScope::TreesOnly { commits_max: 1 };
        self.remote.fetch(tip, &self.git, scope)?;
        let commit = self.git.commit(tip)?;
        Ok(Tip {
            id: tip,
            tree: commit.tree,
            committed_at: commit.committer.time,
            own: true,
        })
    }

    /// Lists the files of all months that the remote has, below the mirror's root.
    pub(super) fn month_files(&self, whose: Whose) -> Result<Vec<(String, Oid)>, AttemptError> {
        let mut found = Vec::new();
        // The runs of another branch are no matter of this one. Where months were configured once, their
        // runs come back to the lane's own branch.
        if whose == Whose::Base || self.spec.jobs.is_none() {
            return Ok(found);
        }
        for (_, _, tip) in of_lane(&*self.remote, &self.refname)? {
            let tip = self.fetched(tip)?;
            let former = self.former_of_month(tip)?;
            let owned = former.as_ref().unwrap_or(&self.transformer.owned);
            self.files_of(tip.tree, owned, &mut found)?;
        }
        Ok(found)
    }

    /// Makes a commit for each month that has something new; they are yet to be pushed.
    ///
    /// # Errors
    /// A remote that cannot be read, or a commit that cannot be made.
    pub(super) fn commit_months(
        &self,
        cut: &Cut,
        months: Months,
        owed: &Owed,
        waits: &BTreeSet<Month>,
    ) -> Result<Vec<MonthPart>, AttemptError> {
        let mut parts = Vec::new();
        for (month, files) in months.0 {
            let runs = files.runs.clone();
            let next = match waits.contains(&month) {
                true => Next::Wait,
                false => self.commit_month(cut, month, files, owed)?,
            };
            parts.push(MonthPart { month, runs, next });
        }
        Ok(parts)
    }

    fn commit_month(&self, cut: &Cut, month: Month, files: Files, owed: &Owed) -> Result<Next, AttemptError> {
        let tip = self.month_tip(month)?;
        if let (Some(tip), Some(expected)) = (tip, owed.tip(month))
            && self.git.is_ancestor(&*self.remote, expected, tip.id)? == Ancestry::No
        {
            return Ok(Next::Rewritten(expected));
        }
        let mut draft = self.git.draft();
        let mut writer = draft.tree_writer(tip.map(|tip| tip.tree))?;
        if let Some((tip, owned)) = tip.zip(tip.map(|tip| self.former_of_month(tip)).transpose()?.flatten()) {
            let former = Former {
                owned,
                commit: tip.id,
            };
            self.each_former_file(&former, tip.tree, &mut |path| Ok(writer.delete(&path)?))?;
        }
        for path in &files.deleted {
            writer.delete(path)?;
        }
        for batch in files.batches {
            writer.write(batch)?;
        }
        let outcome = writer.finish()?;
        match tip {
            Some(tip) if !outcome.changed => return Ok(Next::Nothing(tip.id)),
            _ => {}
        }
        let before = tip.map(|tip| tip.committed_at);
        let text = CommitDraft::of_runs(
            &self.id,
            &self.spec.project,
            cut,
            &self.render,
            &self.transformer.owned,
            before,
        )
        .committed_as(&self.spec.commit);
        let message = self.transformer.seal(text)?;
        let parents: Vec<Oid> = tip.iter().map(|tip| tip.id).collect();
        let id = self.commit(&mut draft, outcome.tree, &parents, &message)?;
        let push = draft.into_push(self.month_ref(month)?, parents.first().copied(), id)?;
        Ok(Next::Push(push))
    }

    /// Deletes the branches of months of which no day is kept, up to the newest day `newest`. One that
    /// cannot be deleted, or on which somebody else has committed, stays. Returns those that cannot be deleted now.
    ///
    /// # Errors
    /// A remote that cannot be read.
    pub(super) fn delete_months(
        &self,
        newest: &str,
        keep_days: u32,
    ) -> Result<BTreeSet<Month>, AttemptError> {
        let mut stay = BTreeSet::new();
        for (month, refname, tip) in of_lane(&*self.remote, &self.refname)? {
            if !month.is_kept(newest, keep_days)
                && !delete(&*self.remote, &self.git, &self.id, &refname, tip)?
            {
                stay.insert(month);
            }
        }
        Ok(stay)
    }
}

/// Returns whether a Git branch may be one that has runs of some lane's month.
pub(crate) fn is_of_month(branch: &str) -> bool {
    branch.starts_with(mirror_core::jobs::months::BRANCH_PREFIX)
}

/// Lists the branches that a remote has of the months of a lane, by the lane's own branch.
///
/// # Errors
/// A remote that cannot be read.
pub(crate) fn of_lane(
    remote: &dyn Remote,
    lane: &RefName,
) -> Result<Vec<(Month, RefName, Oid)>, RemoteError> {
    let of_month = |(refname, tip): (RefName, Oid)| {
        let month = Month::of_branch(refname.short(), lane.short())?;
        Some((month, refname, tip))
    };
    Ok(remote.branches()?.into_iter().filter_map(of_month).collect())
}

/// Deletes the branch of a month. One that cannot be deleted, or on which somebody else has committed, stays. Returns
/// whether nothing is left to be tried again.
///
/// # Errors
/// A remote or local store that cannot be read.
pub(crate) fn delete(
    remote: &dyn Remote,
    git: &Store,
    lane: &LaneId,
    refname: &RefName,
    tip: Oid,
) -> Result<bool, AttemptError> {
    remote.fetch(tip, git, FetchScope::CommitsOnly { commits_max: 1 })?;
    let message = git.commit(tip)?.message;
    if Trailers::parse(&message).is_none_or(|trailers| trailers.lane != *lane) {
        tracing::warn!(%lane, %refname, "the month's runs are no longer kept, but somebody else has committed on its branch; it stays");
        return Ok(true);
    }
    match remote.delete_branch(refname, tip) {
        Ok(()) => {
            git.set_tip(refname, None)?;
            tracing::info!(%lane, %refname, %tip, "the month's runs are no longer kept; its branch is deleted");
            Ok(true)
        }
        // The next push to a month tries again.
        Err(error) => {
            tracing::warn!(%lane, %refname, error = crate::app::chain(&error), "the branch of a month whose runs are no longer kept cannot be deleted");
            Ok(false)
        }
    }
}
