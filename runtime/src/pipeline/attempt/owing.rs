//! Months of runs whose branches take no pushes.
//!
//! Such a branch holds up nothing but its own runs: they are kept with the lane before its cursor passes them, and told
//! again every few minutes. Whether a refusal concerns more than the month shows at the lane's own push.

use super::{
    super::{
        error::AttemptError,
        memory::{EntryKey, Memory},
        months::{MonthPart, Next, owed::Owed},
    },
    Lane, Published,
    refused::{AGAIN_AFTER, About, Unsent, about},
};
use crate::{crash_point, runner::jitter, state::Feeder};
use jiff::Timestamp;
use mirror_core::{
    batch::Subject,
    finding::WithholdReason,
    ids::{LaneId, ObjectKey, Oid, RunId},
    incident::Report,
    jobs::months::Month,
    retry::{Disposition, RETRY_EVERY, RETRY_WAIT_MAX, Retry},
    window::{later, within},
};
use mirror_git::{PendingPush, PushError, Refusal};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A month whose branch does not have all of its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMonth {
    /// Short name of its Git branch.
    pub branch: String,
    pub reason: String,
    /// So many runs wait.
    pub runs: usize,
    /// It is not tried again before.
    pub until: Timestamp,
}

/// What branches of months do not have, and the rows that are kept of it.
#[derive(Debug, Default)]
pub(super) struct Owing {
    pub(super) owed: Owed,
    before: BTreeMap<String, String>,
    /// Months that were refused a short while ago.
    pub(super) waits: BTreeSet<Month>,
}

impl Owing {
    /// Returns the months that are tried now.
    fn due(&self) -> BTreeSet<Month> {
        let months = self.owed.months().into_keys();
        months.filter(|month| !self.waits.contains(month)).collect()
    }
}

/// What came of a month's push.
enum Sent {
    At(Oid),
    Refused {
        reason: String,
        code: Option<&'static str>,
        wait: Duration,
    },
}

impl Lane {
    /// Returns the months whose branches do not have all of their runs.
    #[must_use]
    pub fn refused_months(&self) -> Vec<RefusedMonth> {
        self.refusals().months.values().cloned().collect()
    }

    /// Has months tried again without waiting: somebody has mended something.
    pub fn hasten_months(&self) {
        let now = (self.now)();
        for month in self.refusals().months.values_mut() {
            month.until = month.until.min(now);
        }
    }

    /// Reports which months take no pushes; what was told before is known.
    #[must_use]
    pub fn report_months(&self) -> Report {
        let refused = self.refused_months().into_iter();
        Report::Months {
            branch: self.id.branch.clone(),
            refused: refused.map(|month| (month.branch, month.reason)).collect(),
        }
    }

    /// Reads what branches of months do not have yet.
    pub(super) async fn owing(&self) -> Result<Owing, AttemptError> {
        if self.spec.jobs.is_none() || self.refusals().owes_nothing {
            return Ok(Owing::default());
        }
        let before = self.state.kept(&self.id, Feeder::Months).await?;
        let before = before.unwrap_or_default();
        let owed = Owed::of_rows(before.clone());
        let now = (self.now)();
        let mut refusals = self.refusals();
        if !owed.has_runs() {
            refusals.months.clear();
            // Only months make any.
            refusals.owes_nothing = !self.has_months();
        }
        for month in refusals.months.values_mut() {
            month.until = within(month.until, RETRY_WAIT_MAX, now);
        }
        let waiting = refusals.months.iter().filter(|(_, month)| month.until > now);
        let waits = waiting.map(|(month, _)| *month).collect();
        drop(refusals);
        Ok(Owing { owed, before, waits })
    }

    /// Returns whether an attempt has something to do although nothing is told.
    pub(super) fn owes_now(&self, owing: &Owing) -> bool {
        match self.has_months() {
            true => !owing.due().is_empty(),
            false => owing.owed.has_runs(),
        }
    }

    /// Tells runs again that a branch of a month does not have. Returns those that the remote objects to by now.
    pub(super) async fn tell_owed(
        &self,
        owing: &mut Owing,
        memory: &mut Memory,
    ) -> Result<BTreeMap<ObjectKey, WithholdReason>, AttemptError> {
        let mut refused = BTreeMap::new();
        if !owing.owed.has_runs() {
            return Ok(refused);
        }
        let quarantine = self.state.quarantine(&self.id).await?;
        let mut runs: BTreeMap<RunId, WithholdReason> = BTreeMap::new();
        for (subject, _, reason) in quarantine.iter() {
            if let Subject::Object(ObjectKey::Job(run)) = subject {
                runs.insert(run.clone(), reason.clone());
            }
        }
        for ((kind, shard), run) in owing.owed.take_out(&runs.keys().cloned().collect()) {
            let key = run.as_str().to_owned();
            memory.remove_entry(EntryKey { kind, shard, key });
            if let Some(reason) = runs.get(&run) {
                refused.insert(ObjectKey::Job(run), reason.clone());
            }
        }
        let due = owing.due();
        for entry in owing
            .owed
            .entries(|month| !self.has_months() || due.contains(&month))
        {
            memory.put_entry(entry);
        }
        Ok(refused)
    }

    /// Pushes what months are to get, and keeps what of it the remote does not take.
    ///
    /// # Errors
    /// A remote that cannot be reached, or a store that fails. Inside is what the attempt comes to where something has
    /// to be kept back, and else the memory.
    pub(super) async fn settle_months(
        &self,
        parts: Vec<MonthPart>,
        owing: &mut Owing,
        mut memory: Memory,
        refusals: &mut Vec<&'static str>,
    ) -> Result<Result<Memory, Published>, AttemptError> {
        let now = (self.now)();
        let owed = &mut owing.owed;
        for MonthPart { month, runs, next } in parts {
            let sent = match next {
                Next::Nothing(tip) => Sent::At(tip),
                Next::Wait => {
                    owed.owe(runs);
                    continue;
                }
                Next::Rewritten(expected) => Sent::Refused {
                    reason: format!(
                        "it was rewritten: commit {expected}, which the mirror pushed, is no longer in its history; put it back, or delete the branch, which then begins anew with the runs that wait"
                    ),
                    code: None,
                    wait: spread(),
                },
                Next::Push(push) => match self.push_month(push, memory, &runs).await? {
                    Ok((sent, unchanged)) => {
                        memory = unchanged;
                        sent
                    }
                    Err(published) => return Ok(Err(published)),
                },
            };
            match sent {
                Sent::At(tip) => {
                    owed.has(month, tip, &runs);
                    if self.refusals().months.remove(&month).is_some() {
                        let LaneId { mirror, branch } = &self.id;
                        tracing::info!(%mirror, branch_id = %branch, %month, "the branch of a month of job runs takes pushes again");
                    }
                }
                Sent::Refused { reason, code, wait } => {
                    let LaneId { mirror, branch } = &self.id;
                    tracing::warn!(%mirror, branch_id = %branch, %month, runs = runs.len(), reason, "the branch of a month of job runs takes no pushes; its runs are kept, and everything else goes on");
                    owed.owe(runs);
                    refusals.extend(code);
                    self.refuse_month(month, reason, later(now, wait))?;
                }
            }
        }
        if let (Some(jobs), Some(newest)) = (self.spec.jobs, memory.newest_day(now)) {
            owed.keep_days(&newest, jobs.keep_days);
        }
        self.count_owed(owed, now)?;
        self.keep_owed(owing).await?;
        crash_point!("after-owed");
        Ok(Ok(memory))
    }

    /// Forgets what was owed where the lane's own branch has it by now.
    pub(super) async fn settle_owed(&self, owing: &mut Owing) -> Result<(), AttemptError> {
        if self.has_months() || !owing.owed.has_runs() {
            return Ok(());
        }
        owing.owed.forget_runs();
        self.refusals().months.clear();
        self.keep_owed(owing).await
    }

    /// Deletes the branches of months of which no day is kept: those whose last day went now, and those that could not be
    /// deleted before.
    pub(super) async fn give_up_months(
        &self,
        mut owing: Owing,
        memory: &Memory,
        days_dropped: bool,
    ) -> Result<(), AttemptError> {
        let (true, Some(jobs), Some(newest)) =
            (self.has_months(), self.spec.jobs, memory.newest_day((self.now)()))
        else {
            return Ok(());
        };
        let given_up = owing.owed.given_up(&newest, jobs.keep_days);
        if given_up.is_empty() && !days_dropped {
            return Ok(());
        }
        let deleted = self.blocking(move |lane| lane.delete_months(&newest, jobs.keep_days));
        let stay = deleted.await?;
        for month in given_up.difference(&stay) {
            owing.owed.forget(*month);
        }
        self.keep_owed(&mut owing).await
    }

    async fn keep_owed(&self, Owing { owed, before, .. }: &mut Owing) -> Result<(), AttemptError> {
        let rows = owed.rows();
        if rows != *before {
            before.clone_from(&rows);
            self.state.keep(&self.id, Feeder::Months, rows).await?;
        }
        Ok(())
    }

    /// Pushes a month's commit; what the remote names in it is kept back.
    async fn push_month(
        &self,
        push: PendingPush,
        memory: Memory,
        runs: &[mirror_core::layout::Entry],
    ) -> Result<Result<(Sent, Memory), Published>, AttemptError> {
        let commit = push.new_tip();
        let pushed = self.blocking(move |lane| {
            let push = match lane.send(push)? {
                Ok(push) => push,
                Err(unsent) => return Ok(Err(unsent)),
            };
            crash_point!("after-month-push");
            lane.confirm(push)?;
            Ok(Ok(()))
        });
        let Err(unsent) = pushed.await? else {
            return Ok(Ok((Sent::At(commit), memory)));
        };
        let Unsent { push, error } = *unsent;
        let refusal = match &error {
            PushError::Refused { refusal, .. } if is_of_month(refusal) => refusal,
            _ => return Err(error.into()),
        };
        let code = Some(refusal.code());
        let (memory, wait) = match about(refusal) {
            About::Places(named) => {
                let (memory, new) = self.keep_back(push, named, memory, runs.to_vec()).await?;
                if !new.is_empty() {
                    let error = error.into();
                    return Ok(Err(Published::Refused { new, error }));
                }
                (memory, AGAIN_AFTER)
            }
            About::Content | About::SomethingElse => (memory, spread()),
        };
        let reason = crate::app::chain(&error);
        Ok(Ok((Sent::Refused { reason, code, wait }, memory)))
    }

    /// Leaves a month alone for a while.
    fn refuse_month(&self, month: Month, reason: String, until: Timestamp) -> Result<(), AttemptError> {
        let branch = self.month_ref(month)?.short().to_owned();
        let refused = RefusedMonth {
            branch,
            reason,
            runs: 0,
            until,
        };
        self.refusals().months.insert(month, refused);
        Ok(())
    }

    /// Notes how many runs each month lacks. One that lacks some without a refusal, as its file is withheld, waits too.
    fn count_owed(&self, owed: &Owed, now: Timestamp) -> Result<(), AttemptError> {
        let counts = match self.has_months() {
            true => owed.months(),
            false => BTreeMap::new(),
        };
        for month in counts.keys() {
            let is_due = |month: &RefusedMonth| month.until <= now;
            if self.refusals().months.get(month).is_none_or(is_due) {
                let reason = "the file of a day is withheld; the status says why".to_owned();
                self.refuse_month(*month, reason, later(now, spread()))?;
            }
        }
        let mut refusals = self.refusals();
        refusals.months.retain(|month, _| counts.contains_key(month));
        for (month, refused) in &mut refusals.months {
            refused.runs = counts.get(month).copied().unwrap_or_default();
        }
        Ok(())
    }
}

/// Returns how long a month that was refused is left alone.
fn spread() -> Duration {
    let begun = Timestamp::UNIX_EPOCH;
    let until = Retry::default().failed(Disposition::NeedsCustomer, begun, jitter());
    Duration::try_from(until.duration_since(begun)).unwrap_or(RETRY_EVERY)
}

/// Returns whether a refusal may be of one branch; what the server says of damaged objects is the mirror's own affair.
fn is_of_month(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::MissingObjects | Refusal::InvalidObjects => false,
        Refusal::ProtectedBranch
        | Refusal::NotPermitted
        | Refusal::ReadOnly
        | Refusal::AuthorEmail
        | Refusal::CommitRule
        | Refusal::BranchName
        | Refusal::FileName
        | Refusal::Secrets(_)
        | Refusal::FileTooLarge { .. }
        | Refusal::PushTooLarge
        | Refusal::Quota
        | Refusal::ServerStorage
        | Refusal::DeletionRefused
        | Refusal::Hook
        | Refusal::Unknown => true,
    }
}
