//! Finding the one object over which processes die. The decisions are those of [`mirror_core::trial`]; here they are stored, each
//! before it is acted upon, and acted upon.
//!
//! An attempt that begins with a cut of its own costs nothing for it: that a process died shows in the cut that it left.

use super::{
    super::{error::AttemptError, fetch::FetchError},
    Aim, Due, Lane,
};
use crate::turns::Turn;
use mirror_core::{
    cut::{ConfigKey, Cut},
    ids::ObjectKey,
    retry::Disposition,
    trial::{Next, Record, Trial},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a process knows of deaths over a lane.
#[derive(Debug, Default)]
pub struct Deaths(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// None until it is read.
    record: Option<Arc<Record>>,
    /// What is kept out of a probe.
    probing: Option<Arc<Record>>,
}

impl Deaths {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Values are replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Returns what is to be kept out of work.
    pub(in crate::pipeline) async fn kept_out(&self) -> Result<Arc<Record>, AttemptError> {
        let probing = self.deaths.known().probing.clone();
        match probing {
            Some(probing) => Ok(probing),
            None => self.deaths_known().await,
        }
    }

    async fn deaths_known(&self) -> Result<Arc<Record>, AttemptError> {
        if let Some(known) = self.deaths.known().record.clone() {
            return Ok(known);
        }
        let mut record = self.state.deaths(&self.id).await?;
        // What is left unfinished was begun by another process.
        let unfinished = self.log.cut(&self.id).await?;
        record.trial = unfinished.map(|cut| Trial::found(record.trial.take(), &cut.id()));
        let record = Arc::new(record);
        self.deaths.known().record = Some(Arc::clone(&record));
        Ok(record)
    }

    async fn store_deaths(&self, record: Record) -> Result<(), AttemptError> {
        self.state.put_deaths(&self.id, &record).await?;
        self.deaths.known().record = Some(Arc::new(record));
        Ok(())
    }

    /// Returns whether the lane's work was found unfinished, and how many processes died over it.
    pub(super) async fn suspected(&self) -> Result<Option<u32>, AttemptError> {
        let known = self.deaths_known().await?;
        Ok(known.trial.as_ref().map(|trial| trial.deaths))
    }

    /// Goes on with the search, if there is one, until the work may be done.
    pub(super) async fn search(&self, due: Due, turn: &mut Option<Turn>) -> Result<(), AttemptError> {
        loop {
            let mut record = (*self.deaths_known().await?).clone();
            let Some(trial) = &mut record.trial else {
                return Ok(());
            };
            let deaths = trial.deaths;
            match trial.next(self.deaths_max, (self.now)()) {
                Next::Work => return self.store_deaths(record).await,
                Next::Hold(until) => {
                    self.store_deaths(record).await?;
                    return Err(AttemptError::Deadly { deaths, until });
                }
                Next::Isolate(key) => {
                    let object = self.called(&key).await;
                    tracing::error!(lane = %self.id, object, deaths, "the process died over this object again and again; it is put aside, and everything else goes on");
                    trial.isolated(self.deaths_max);
                    record.isolated.push((key, deaths));
                    self.store_deaths(record).await?;
                }
                Next::Probe(some) => {
                    tracing::warn!(lane = %self.id, objects = some.len(), deaths, "looking for the object over which the process dies");
                    self.store_deaths(record).await?;
                    self.probe(&some, due, turn).await?;
                }
            }
        }
    }

    /// Does the work up to its last step, with nothing of what the cut wants but `some`.
    async fn probe(&self, some: &[ObjectKey], due: Due, turn: &mut Option<Turn>) -> Result<(), AttemptError> {
        let candidates = self.candidates().await?;
        let mut kept_out = Record::default();
        let others = candidates.iter().filter(|key| !some.contains(key));
        kept_out.isolated.extend(others.map(|key| (key.clone(), 0)));
        let before = self.deaths_known().await?;
        kept_out.isolated.extend(before.isolated.iter().cloned());
        self.deaths.known().probing = Some(Arc::new(kept_out));
        let outcome = self.rounds(None, due, turn, Aim::Probe).await;
        self.deaths.known().probing = None;
        let mut record = (*self.deaths_known().await?).clone();
        let lived_through = match &outcome {
            Ok(_) => true,
            // Whatever else is wrong, it did not die; but what was cut short says nothing.
            Err(error) => matches!(
                error.disposition(),
                Disposition::Permanent | Disposition::NeedsCustomer
            ),
        };
        if let Some(trial) = &mut record.trial {
            match lived_through {
                true => trial.survived(|| candidates),
                false => trial.interrupted(),
            }
        }
        self.store_deaths(record).await?;
        match outcome {
            Err(error) if !lived_through => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns what the unfinished cut wants: where that is everything, what the source lists.
    async fn candidates(&self) -> Result<Vec<ObjectKey>, AttemptError> {
        let Some(cut) = self.log.cut(&self.id).await? else {
            return Ok(Vec::new());
        };
        let mut wanted: BTreeSet<ObjectKey> = wanted(&cut).collect();
        if cut.snapshot || cut.render.is_some() {
            let listed = self.source.client().list_configurations(&self.branch.id).await;
            let listed = listed.map_err(FetchError::from)?;
            wanted.extend(listed.into_iter().map(|listed| ObjectKey::Config {
                component: listed.component_id,
                config: listed.id,
            }));
            let tables = self.source.tables_of(&self.branch.id).await;
            let mut tables = tables.map_err(FetchError::from)?;
            while let Some((_, table)) = tables.next().await.map_err(FetchError::from)? {
                wanted.insert(ObjectKey::Table(table.id));
            }
        }
        let known = self.deaths_known().await?;
        wanted.retain(|key| known.reason(key).is_none());
        Ok(wanted.into_iter().collect())
    }

    /// Notes that the process, or this worker, is going to leave the work unfinished by its own will: nobody died over it.
    ///
    /// # Errors
    /// A store that fails.
    pub(crate) async fn cut_short(&self) -> Result<(), AttemptError> {
        self.search_ended(false).await
    }

    /// Notes how the work ended that was found unfinished.
    pub(super) async fn search_ended(&self, is_done: bool) -> Result<(), AttemptError> {
        let mut record = (*self.deaths_known().await?).clone();
        match &mut record.trial {
            None => return Ok(()),
            Some(_) if is_done => record.trial = None,
            Some(trial) => trial.interrupted(),
        }
        self.store_deaths(record).await
    }

    /// Lets what a new cut wants be tried again: it is another version, or somebody asks for it.
    pub(super) async fn try_again(&self, cut: &Cut) -> Result<(), AttemptError> {
        let is_wanted = |key: &ObjectKey| match key {
            ObjectKey::Job(run) => cut.runs.contains_key(run),
            // A table is told of with each load.
            _ => ConfigKey::of(key).is_some_and(|key| cut.configs.contains_key(&key)),
        };
        self.release(|record| record.release(is_wanted)).await
    }

    /// Lets everything be tried again, by the next attempt.
    pub(super) async fn try_all_again(&self) -> Result<(), AttemptError> {
        let now = (self.now)();
        self.release(|record| record.release_all(now)).await
    }

    async fn release(&self, release: impl FnOnce(&mut Record) -> bool) -> Result<(), AttemptError> {
        let known = self.deaths_known().await?;
        if known.is_empty() {
            return Ok(());
        }
        let mut record = (*known).clone();
        if release(&mut record) {
            self.store_deaths(record).await?;
        }
        Ok(())
    }
}

/// Lists what a cut wants by itself.
fn wanted(cut: &Cut) -> impl Iterator<Item = ObjectKey> + '_ {
    let configs = cut.configs.keys().cloned().map(ObjectKey::from);
    let runs = cut.runs.keys().cloned().map(ObjectKey::Job);
    let tables = cut.tables.iter().cloned().map(ObjectKey::Table);
    configs.chain(runs).chain(tables)
}

/// Takes what is kept out from what is to be fetched; returns what is left, and what was taken.
pub(super) fn without(cut: &Cut, kept_out: &Record) -> (Cut, Vec<ObjectKey>) {
    let taken: Vec<ObjectKey> = wanted(cut).filter(|key| kept_out.reason(key).is_some()).collect();
    let mut left = cut.clone();
    for key in &taken {
        match key {
            ObjectKey::Job(run) => drop(left.runs.remove(run)),
            ObjectKey::Table(table) => drop(left.tables.remove(table)),
            key => drop(ConfigKey::of(key).and_then(|key| left.configs.remove(&key))),
        }
    }
    left.metadata.retain(|key| kept_out.reason(key).is_none());
    (left, taken)
}
