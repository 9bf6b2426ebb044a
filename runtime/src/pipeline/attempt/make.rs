//! Making tree and commit of what was fetched and looked at.

use super::{
    super::{
        build::{Again, Begin, Built, Outcome},
        error::AttemptError,
        fetch::{Covered, Fetched, Scope},
        memory::Memory,
        recover::Tip,
        survey::Survey,
        work::Work,
    },
    Lane,
};
use crate::crash_point;
use mirror_core::{
    commit::{CommitDraft, CommitFacts, CommitKind, CoveredChange, GuardedMessage},
    cut::{ConfigKey, Cut},
    finding::WithholdReason,
    ids::{ObjectKey, Oid, TableId},
    inventory::Inventory,
    quarantine::Quarantine,
    redaction::RedactionStats,
};
use mirror_git::{Draft, PendingPush, TreeOutcome};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What a commit is made of.
pub(super) struct ToMake {
    pub(super) memory: Memory,
    pub(super) fetched: Fetched,
    pub(super) survey: Survey,
    pub(super) newest: BTreeMap<ConfigKey, Covered>,
    pub(super) scope: Scope,
    pub(super) same_render: bool,
    pub(super) tip: Option<Tip>,
    pub(super) base: Option<Oid>,
    pub(super) changes: Vec<CoveredChange>,
    /// Somebody else has changed files of the mirror.
    pub(super) overwrites: bool,
    /// What the remote has refused.
    pub(super) quarantine: Quarantine,
}

/// What building and committing came to.
pub(super) enum Made {
    Finished(Box<Finished>),
    /// As [`Outcome::Again`].
    Again(Again),
}

/// An attempt's work before it is made known to anybody.
pub(super) struct Finished {
    pub(super) memory: Memory,
    /// Commits of the branches of months.
    pub(super) months: Vec<PendingPush>,
    pub(super) days_dropped: bool,
    pub(super) replace_all: bool,
    pub(super) tip: Option<Tip>,
    /// The commit that the stored state belongs to.
    pub(super) base: Option<Oid>,
    pub(super) commit: Option<Ready>,
    pub(super) redactions: Vec<(ObjectKey, RedactionStats)>,
    /// As [`Built::clean`].
    pub(super) clean: Vec<ObjectKey>,
    pub(super) withheld: Vec<(ObjectKey, WithholdReason)>,
    pub(super) withheld_files: BTreeMap<String, String>,
    /// As [`Built::tables`].
    pub(super) tables: BTreeSet<TableId>,
    pub(super) inventory: Inventory,
    pub(super) work: Work,
    pub(super) fetching: Duration,
}

/// A commit that is ready to be sent.
pub(super) struct Ready {
    pub(super) kind: CommitKind,
    pub(super) message: String,
    pub(super) author: String,
    pub(super) outcome: TreeOutcome,
    pub(super) push: PendingPush,
}

impl Lane {
    /// Makes a commit, signed if the mirror's are.
    pub(in crate::pipeline) fn commit(
        &self,
        draft: &mut Draft<'_>,
        tree: Oid,
        parents: &[Oid],
        message: &GuardedMessage,
    ) -> Result<Oid, AttemptError> {
        Ok(match &self.signing {
            None => draft.commit(tree, parents, message)?,
            Some(key) => draft.commit_signed(tree, parents, message, key)?,
        })
    }

    /// Makes tree and commit; without a difference there is no commit.
    pub(super) async fn make(&self, to_make: ToMake, cut: &Cut, again: &Again) -> Result<Made, AttemptError> {
        let (cut, again) = (cut.clone(), again.clone());
        let handle = tokio::runtime::Handle::current();
        self.blocking(move |lane| {
            let ToMake {
                memory,
                fetched,
                survey,
                newest,
                scope,
                same_render,
                tip,
                base,
                mut changes,
                quarantine,
                overwrites,
            } = to_make;
            let mut draft = lane.git.draft();
            let whole = fetched.whole;
            let begin = Begin {
                memory,
                quarantine,
                fetched,
                survey,
                scope,
                tip,
                again: &again,
                same_render,
                newest,
                handle: &handle,
            };
            let Built {
                mut memory,
                tree: outcome,
                months,
                days_dropped,
                withheld,
                withheld_files,
                tables,
                inventory,
                redactions,
                clean,
                work,
                fetching,
            } = match lane.build(&mut draft, begin)? {
                Outcome::Built(built) => *built,
                Outcome::Again(more) => return Ok(Made::Again(more)),
            };
            crash_point!("after-tree");
            let mut growth = memory.take_growth();
            if lane.has_months() {
                growth = growth.without_days();
            }
            if whole && !cut.snapshot {
                // What is withheld is not known to have been told of before, as files tell of versions.
                changes.retain(|change| {
                    cut.configs.contains_key(&change.key)
                        || !withheld.contains_key(&ObjectKey::from(change.key.clone()))
                });
            }
            for change in &mut changes {
                // What the remote objects to may be in a name, or be told of by a description.
                let reason = withheld.get(&ObjectKey::from(change.key.clone()));
                if let Some(WithholdReason::RefusedByRemote { .. }) = reason {
                    (change.name, change.description) = (None, None);
                }
            }
            let months = lane.commit_months(&cut, months)?;
            let mut finished = Finished {
                memory,
                months,
                days_dropped,
                replace_all: whole,
                tip,
                base,
                commit: None,
                redactions,
                clean,
                withheld: withheld.into_iter().collect(),
                withheld_files,
                tables,
                work,
                fetching,
                inventory,
            };
            // A first commit is made even without a difference: it says that the lane is mirrored.
            if !outcome.changed && tip.is_some_and(|tip| tip.own) && !cut.snapshot {
                return Ok(Made::Finished(Box::new(finished)));
            }
            let facts = CommitFacts {
                lane: &lane.id,
                project: &lane.spec.project,
                cut: &cut,
                render: &lane.render,
                parent_committed_at: tip.map(|tip| tip.committed_at),
                changes,
                inventory: finished.inventory.clone(),
                overwrites,
            };
            let text = CommitDraft::new(facts);
            let kind = text.kind();
            let message = lane.transformer.seal(text)?;
            let parents: Vec<Oid> = tip.iter().map(|tip| tip.id).collect();
            let id = lane.commit(&mut draft, outcome.tree, &parents, &message)?;
            if !growth.is_none() {
                let bytes = growth.bytes(cut.is_of_runs());
                finished.memory.spend(bytes, cut.appended_at);
            }
            let expected = tip.filter(|tip| tip.own).map(|tip| tip.id);
            let push = draft.into_push(lane.refname.clone(), expected, id)?;
            let author = message.author();
            finished.commit = Some(Ready {
                kind,
                message: message.message().to_owned(),
                author: format!("{} <{}>", author.name(), author.email()),
                outcome,
                push,
            });
            Ok(Made::Finished(Box::new(finished)))
        })
        .await
    }
}
