//! Making tree and commit of what was fetched and looked at.

use super::{
    super::{
        build::{Again, Begin, Built, Outcome},
        error::AttemptError,
        fetch::{Awaited, SampleNews, Scope, Unfounded},
        former::Former,
        memory::Memory,
        months::MonthPart,
        recover::Tip,
        stages::Stage,
        work::Work,
    },
    Lane,
    foreign::Others,
    owing::Owing,
    parts::Part,
};
use crate::crash_point;
use jiff::Timestamp;
use mirror_core::{
    commit::{CommitDraft, CommitFacts, CommitKind, GuardedMessage, Overwrites},
    cut::{Cut, groups::Group},
    deletions::Loss,
    finding::WithholdReason,
    ids::{ObjectKey, Oid, TableId},
    incident::Clean,
    inventory::Inventory,
    quarantine::Quarantine,
    redaction::RedactionStats,
};
use mirror_git::{Draft, PendingPush, TreeOutcome};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// What commits are made of.
pub(super) struct ToMake {
    pub(super) memory: Memory,
    pub(super) part: Part,
    /// What becomes commits on top of the first.
    pub(super) further: Vec<Group>,
    pub(super) scope: Scope,
    pub(super) same_render: bool,
    pub(super) tip: Option<Tip>,
    pub(super) base: Option<Oid>,
    /// What the tip has below a former prefix goes.
    pub(super) former: Option<Former>,
    /// What may be of others where only the mirror writes.
    pub(super) others: Others,
    /// What the remote has refused.
    pub(super) quarantine: Quarantine,
    pub(super) owing: Owing,
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
    /// What the branches of months are to get, and what they lacked before.
    pub(super) months: Vec<MonthPart>,
    pub(super) owing: Owing,
    pub(super) days_dropped: bool,
    pub(super) replace_all: bool,
    /// Something is kept back that the remote has refused.
    pub(super) keeps_back: bool,
    pub(super) tip: Option<Tip>,
    /// The commit that the stored state belongs to.
    pub(super) base: Option<Oid>,
    /// Oldest first; none where there is no difference.
    pub(super) commits: Vec<Ready>,
    /// What sends them.
    pub(super) push: Option<PendingPush>,
    pub(super) redactions: Vec<(ObjectKey, RedactionStats)>,
    /// As [`Built::clean`].
    pub(super) clean: Clean,
    pub(super) withheld: Vec<(ObjectKey, WithholdReason)>,
    /// As [`Built::tables`].
    pub(super) tables: BTreeSet<TableId>,
    pub(super) inventory: Inventory,
    /// As [`Built::vanished`].
    pub(super) vanished: Vec<Loss>,
    pub(super) work: Work,
    pub(super) fetching: Duration,
    /// Events that the source does not bear out.
    pub(super) unfounded: Vec<Unfounded>,
    /// What they tell of and the source does not show yet.
    pub(super) awaited: Vec<Awaited>,
    pub(super) samples: SampleNews,
}

/// A commit that is ready to be sent.
pub(super) struct Ready {
    pub(super) id: Oid,
    pub(super) kind: CommitKind,
    pub(super) message: String,
    pub(super) author: String,
    pub(super) outcome: TreeOutcome,
    /// What it stands for.
    pub(super) cut: Cut,
}

/// What a commit stands on.
#[derive(Clone, Copy)]
struct Parent {
    id: Oid,
    tree: Oid,
    committed_at: Timestamp,
    /// Whether it is of the lane's own ref.
    own: bool,
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

    /// Makes trees and commits, one on top of the other; without a difference there is no commit.
    pub(super) async fn make(&self, to_make: ToMake, again: &Again) -> Result<Made, AttemptError> {
        let again = again.clone();
        let handle = tokio::runtime::Handle::current();
        self.blocking(move |lane| {
            let ToMake {
                memory,
                part,
                further,
                scope,
                same_render,
                tip,
                base,
                former,
                quarantine,
                others,
                owing,
            } = to_make;
            let mut draft = lane.git.draft();
            let mut parent = tip.map(|tip| Parent {
                id: tip.id,
                tree: tip.tree,
                committed_at: tip.committed_at,
                own: tip.own,
            });
            let mut finished = Finished {
                memory,
                months: Vec::new(),
                owing,
                days_dropped: false,
                // On top of nothing that is stored everything is new.
                replace_all: part.fetched.whole || base.is_none(),
                keeps_back: !quarantine.is_empty(),
                tip,
                base,
                commits: Vec::new(),
                push: None,
                redactions: Vec::new(),
                clean: Clean::default(),
                withheld: Vec::new(),
                tables: BTreeSet::new(),
                work: Work::default(),
                fetching: Duration::ZERO,
                inventory: Inventory::default(),
                vanished: Vec::new(),
                unfounded: Vec::new(),
                awaited: Vec::new(),
                samples: SampleNews::default(),
            };
            let mut further = further.into_iter();
            let mut next = Some(part);
            while let Some(part) = next.take() {
                let begun = Begun {
                    scope,
                    same_render,
                    tip,
                    quarantine: quarantine.clone(),
                    former: former.as_ref().filter(|_| finished.commits.is_empty()),
                    others: match finished.commits.is_empty() {
                        true => others,
                        false => Others::Nothing,
                    },
                    again: &again,
                    handle: &handle,
                };
                if let Some(more) = lane.make_part(&mut draft, part, begun, &mut parent, &mut finished)? {
                    return Ok(Made::Again(more));
                }
                if let Some(group) = further.next() {
                    let asked = Instant::now();
                    let part = lane.further_part(group, &finished.memory, scope, &again);
                    next = Some(handle.block_on(part)?);
                    finished.fetching += asked.elapsed();
                }
            }
            if let Some(last) = finished.commits.last() {
                let expected = tip.filter(|tip| tip.own).map(|tip| tip.id);
                let pack = || draft.into_push(lane.refname.clone(), expected, last.id);
                finished.push = Some(lane.transformer.stages.time(Stage::Pack, 1, pack)?);
            }
            Ok(Made::Finished(Box::new(finished)))
        })
        .await
    }

    /// Makes one commit on top of its parent, and takes its place. Returns what building has to begin again with, if it must.
    fn make_part(
        &self,
        draft: &mut Draft<'_>,
        part: Part,
        begun: Begun<'_>,
        parent: &mut Option<Parent>,
        finished: &mut Finished,
    ) -> Result<Option<Again>, AttemptError> {
        let Part {
            cut,
            mut fetched,
            survey,
            newest,
            mut changes,
        } = part;
        let whole = fetched.whole;
        finished.unfounded.append(&mut fetched.unfounded);
        finished.awaited.append(&mut fetched.awaited);
        finished.samples = fetched.sample_news();
        let begin = Begin {
            memory: std::mem::take(&mut finished.memory),
            quarantine: begun.quarantine,
            fetched,
            survey,
            scope: begun.scope,
            tip: begun.tip,
            former: begun.former,
            tree: parent.map(|parent| parent.tree),
            again: begun.again,
            same_render: begun.same_render,
            newest,
            handle: begun.handle,
        };
        let Built {
            mut memory,
            tree: outcome,
            months,
            days_dropped,
            withheld,
            tables,
            inventory,
            vanished,
            redactions,
            clean,
            work,
            fetching,
        } = match self.build(draft, begin)? {
            Outcome::Built(built) => *built,
            Outcome::Again(more) => return Ok(Some(more)),
        };
        crash_point!("after-tree");
        let mut growth = memory.take_growth();
        if self.has_months() {
            growth = growth.without_days();
        }
        if whole && !cut.snapshot {
            // What is withheld is not known to have been told of before, as files tell of versions.
            changes.retain(|change| {
                cut.configs.contains_key(&change.key)
                    || !withheld.contains_key(&ObjectKey::from(change.key.clone()))
            });
        }
        // The commit wants them; before, so many take less room otherwise.
        let mut changes = changes.into_changes();
        for change in &mut changes {
            // What the remote objects to may be in a name, or be told of by a description.
            let reason = withheld.get(&ObjectKey::from(change.key.clone()));
            if let Some(WithholdReason::RefusedByRemote { .. }) = reason {
                (change.name, change.description) = (None, None);
            }
        }
        let Owing { owed, waits, .. } = &finished.owing;
        let months = self.commit_months(&cut, months, owed, waits)?;
        finished.months.extend(months);
        finished.days_dropped |= days_dropped;
        finished.clean.add(clean);
        finished.redactions.extend(redactions);
        finished.withheld.extend(withheld);
        finished.tables.extend(tables);
        finished.work.add(work);
        finished.fetching += fetching;
        finished.inventory = inventory;
        finished.memory = memory;
        // A first commit is made even without a difference: it says that the lane is mirrored.
        if !outcome.changed && parent.is_some_and(|parent| parent.own) && !cut.snapshot {
            return Ok(None);
        }
        let overwrites = match parent.as_ref().filter(|_| whole) {
            Some(parent) => self.overwritten(draft, begun.others, parent.tree, outcome.tree)?,
            None => Overwrites::default(),
        };
        let facts = CommitFacts {
            lane: &self.id,
            project: &self.spec.project,
            cut: &cut,
            render: &self.render,
            owned: &self.transformer.owned,
            parent_committed_at: parent.map(|parent| parent.committed_at),
            changes,
            inventory: finished.inventory.clone(),
            overwrites,
        };
        let text = CommitDraft::new(facts).committed_as(&self.spec.commit);
        let text = text.with_vanished(&vanished);
        finished.vanished.extend(vanished);
        let kind = text.kind();
        let parents: Vec<Oid> = parent.iter().map(|parent| parent.id).collect();
        let stages = &self.transformer.stages;
        let (message, id) = stages.time(Stage::Commit, 1, || -> Result<_, AttemptError> {
            let message = self.transformer.seal(text)?;
            let id = self.commit(draft, outcome.tree, &parents, &message)?;
            Ok((message, id))
        })?;
        if !growth.is_none() {
            let bytes = growth.bytes(cut.is_of_runs());
            finished.memory.spend(bytes, cut.appended_at);
        }
        *parent = Some(Parent {
            id,
            tree: outcome.tree,
            committed_at: message.committer().time(),
            own: true,
        });
        let author = message.author();
        finished.commits.push(Ready {
            id,
            kind,
            message: message.message().to_owned(),
            author: format!("{} <{}>", author.name(), author.email()),
            outcome,
            cut,
        });
        Ok(None)
    }
}

/// What all parts of an attempt begin with.
struct Begun<'b> {
    scope: Scope,
    same_render: bool,
    /// As it is on the remote.
    tip: Option<Tip>,
    quarantine: Quarantine,
    former: Option<&'b Former>,
    others: Others,
    again: &'b Again,
    handle: &'b tokio::runtime::Handle,
}
