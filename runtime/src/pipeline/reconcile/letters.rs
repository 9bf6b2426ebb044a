//! Runs that were put aside: their dead letters are replayed once the source shows them.
//!
//! A run is told of once, and the comparison looks at those that ended of late only. So one that the source did not show
//! when it was told of would never be found, were it not asked for by its letter.

use super::super::{attempt::Lane, error::AttemptError};
use crate::queue::{DeadLetterId, FiledLetter, LogError};
use mirror_core::{
    event::Body,
    ids::{ObjectKey, RunId},
};
use std::collections::{BTreeMap, BTreeSet};

/// Letters that are read at a time.
const PAGE: usize = 500;
/// Runs that are asked for in one comparison, those that were put aside last: each is a call, and anybody may tell of runs
/// that there are not.
const ASKED_MAX: usize = 100;

impl Lane {
    /// Replays letters of runs that are neither among `known` nor `withheld`, and that the source shows by now; returns
    /// which runs they are about.
    pub(super) async fn replay_runs(
        &self,
        known: &BTreeSet<String>,
        withheld: &BTreeSet<ObjectKey>,
    ) -> Result<BTreeSet<RunId>, AttemptError> {
        let mut put_aside: BTreeMap<RunId, DeadLetterId> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.log.dead_letters(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            put_aside.extend(page.into_iter().filter_map(|filed| self.run_of(filed)));
        }
        let is_missing =
            |run: &RunId| !known.contains(run.as_str()) && !withheld.contains(&ObjectKey::Job(run.clone()));
        let mut asked: Vec<(DeadLetterId, RunId)> = put_aside
            .into_iter()
            .filter(|(run, _)| is_missing(run))
            .map(|(run, letter)| (letter, run))
            .collect();
        asked.sort_unstable();
        let mut replayed = BTreeSet::new();
        for (letter, run) in asked.into_iter().rev().take(ASKED_MAX) {
            if !self.source.shows_run(&self.branch, &run).await? {
                continue;
            }
            match self.log.replay(letter, (self.now)()).await {
                Ok(_) => drop(replayed.insert(run)),
                // Somebody else did, or let go of it.
                Err(LogError::NotReplayable { .. } | LogError::NoSuchLetter { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !replayed.is_empty() {
            tracing::info!(lane = %self.id, runs = replayed.len(), "the source shows runs by now that were put aside");
        }
        Ok(replayed)
    }

    /// Returns the run of this branch that a letter is about, if it was not replayed yet.
    fn run_of(&self, filed: FiledLetter) -> Option<(RunId, DeadLetterId)> {
        let envelope = filed.letter.envelope.filter(|_| filed.replayed_at.is_none())?;
        match envelope.body {
            Body::JobFinished(job) if envelope.topic == self.topic => Some((job.run, filed.id)),
            _ => None,
        }
    }
}
