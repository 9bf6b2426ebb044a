//! Runs: those that events tell of, and the newest ones.

use super::{
    FetchError, Fetched, Outlet, Source, Unfounded,
    fetched::{announced_run, plain, with_told},
};
use mirror_core::{
    cut::WantedRun,
    ids::{BranchId, ObjectKey, RunId},
};
use mirror_keboola::{Disposition, JobSearch};
use std::collections::BTreeMap;

impl Source {
    pub(super) async fn run(
        &self,
        run: &RunId,
        told: &WantedRun,
        late: bool,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        // The last part of a run id is the job's own id (`parent.child`).
        let id = run.as_str().rsplit('.').next().unwrap_or(run.as_str());
        match self.client.job(id).await {
            Ok(job) if job.status.is_final() && job.run_id == *run => {
                let source = with_told(job.source, told);
                fetched.objects.push(plain(ObjectKey::Job(run.clone()), source));
                Ok(())
            }
            Ok(_) if !late => Err(FetchError::JobNotVisible { run: run.clone() }),
            Err(error) if error.disposition() == Disposition::Gone && !late => {
                Err(FetchError::JobNotVisible { run: run.clone() })
            }
            Err(error) if error.disposition() != Disposition::Gone => Err(error.into()),
            Ok(_) | Err(_) => {
                fetched.unfounded.push(Unfounded {
                    object: ObjectKey::Job(run.clone()),
                    reason: "the source has no finished run of this id".into(),
                    body: Some(announced_run(run, told)),
                });
                Ok(())
            }
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
        Ok(())
    }
}
