//! Runs: those that events tell of, and the newest ones.

use super::{
    Awaited, FetchError, Fetched, Outlet, Patience, Source, Unfounded,
    fetched::{AwaitedObject, announced_run, is_about_one, plain, with_told},
};
use mirror_core::{
    cut::WantedRun,
    ids::{BranchId, ObjectKey, RunId},
};
use mirror_keboola::{DevBranch, Disposition, Job, JobSearch};
use std::collections::BTreeMap;

impl Source {
    pub(super) async fn run(
        &self,
        branch: &DevBranch,
        run: &RunId,
        told: &WantedRun,
        patience: Patience,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        match self.client.job(id_of(run)).await {
            Ok(job) if job.status.is_final() && job.run_id == *run => {
                if is_of(branch, &job) {
                    let source = with_told(job.source, told);
                    fetched.objects.push(plain(ObjectKey::Job(run.clone()), source));
                } else {
                    fetched.unfounded.push(Unfounded {
                        object: ObjectKey::Job(run.clone()),
                        reason: "the run of this id is one of another branch".into(),
                        body: None,
                    });
                }
                Ok(())
            }
            Err(error) if error.disposition() != Disposition::Gone => Err(error.into()),
            Ok(_) | Err(_) => {
                match patience.awaits(self, told.awaited_since) {
                    Some(since) => fetched.awaited.push(Awaited {
                        what: AwaitedObject::Run(run.clone(), told.clone()),
                        since,
                    }),
                    None => fetched.unfounded.push(Unfounded {
                        object: ObjectKey::Job(run.clone()),
                        reason: "the source has no finished run of this id".into(),
                        body: Some(announced_run(run, told)),
                    }),
                }
                Ok(())
            }
        }
    }

    /// Returns whether the source shows that a run of the branch has ended.
    ///
    /// # Errors
    /// A call that fails, unless this one run cannot be had.
    pub(in crate::pipeline) async fn shows_run(
        &self,
        branch: &DevBranch,
        run: &RunId,
    ) -> Result<bool, FetchError> {
        match self.client.job(id_of(run)).await {
            Ok(job) => Ok(job.status.is_final() && job.run_id == *run && is_of(branch, &job)),
            Err(error) if error.disposition() == Disposition::Gone => Ok(false),
            Err(error) if is_about_one(&ObjectKey::Job(run.clone()), &error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches the newest jobs, and adds to each what only its event told.
    pub(super) async fn recent_jobs(
        &self,
        branch: &BranchId,
        told: &BTreeMap<RunId, WantedRun>,
        outlet: &mut Outlet,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let mut pages = self.client.job_pages(JobSearch {
            branch_id: Some(branch.clone()),
            newest_first: true,
            ..JobSearch::default()
        });
        while let Some(jobs) = pages.next().await? {
            for job in jobs.into_iter().filter(|job| job.status.is_final()) {
                // It may be on two pages.
                if !fetched.runs.insert(job.run_id.clone()) {
                    continue;
                }
                let source = match told.get(&job.run_id) {
                    Some(told) => with_told(job.source, told),
                    None => job.source,
                };
                outlet.put(plain(ObjectKey::Job(job.run_id), source)).await;
            }
        }
        fetched.unread_runs = pages.unread().clone();
        Ok(())
    }
}

/// The last part of a run id is the job's own id (`parent.child`).
fn id_of(run: &RunId) -> &str {
    run.as_str().rsplit('.').next().unwrap_or(run.as_str())
}

/// A job without a branch is one of the default branch.
fn is_of(branch: &DevBranch, job: &Job) -> bool {
    let of_branch = job.branch_id.as_ref().map(|id| *id == branch.id);
    of_branch.unwrap_or(branch.is_default)
}
