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

const JOBS_PAGE: u32 = 500;
/// A first sync takes so many of the newest pages of jobs.
const JOBS_PAGES_MAX: u32 = 20;

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
        for page in 0..JOBS_PAGES_MAX {
            let search = JobSearch {
                branch_id: Some(branch.clone()),
                newest_first: true,
                limit: JOBS_PAGE,
                offset: page * JOBS_PAGE,
                ..JobSearch::default()
            };
            let jobs = self.client.search_jobs(&search).await?;
            let count = jobs.len();
            for job in jobs.into_iter().filter(|job| job.status.is_final()) {
                // While pages are read, jobs that end push others onto the next page.
                if !fetched.runs.insert(job.run_id.clone()) {
                    continue;
                }
                let source = match told.get(&job.run_id) {
                    Some(told) => with_told(job.source, told),
                    None => job.source,
                };
                outlet.put(plain(ObjectKey::Job(job.run_id), source)).await;
            }
            if count < JOBS_PAGE as usize {
                break;
            }
        }
        Ok(())
    }
}
