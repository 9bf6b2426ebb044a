//! The attempt: one straight line from a lane's events to a commit that the remote has.
//!
//! It may be killed between any two steps; the next one comes to the same commit or finds it there.

mod changes;
mod cut;
mod heirs;
mod put_aside;

use super::{
    build::{Again, Begin, Built, Outcome},
    error::AttemptError,
    fetch::{Covered, FetchError, Fetched, Outlet, SampleNews, Scope, Source},
    memory::Memory,
    recover::{Start, Tip},
    spool::SpoolLimits,
    survey::Survey,
    transform::Transformer,
    work::Work,
};
use crate::{
    config::MirrorSpec,
    crash_point,
    queue::{DeadLetterId, EventLog},
    state::{Prepared, StateStore},
    visibility::{Exports, Visibility, VisibilityWatch},
};
use changes::changes;
pub use heirs::Heirs;
use jiff::Timestamp;
use mirror_core::{
    commit::{CommitDraft, CommitFacts, CommitKind, CoveredChange},
    cut::{ConfigKey, Cut, LaneCursor},
    digest::RenderDigest,
    finding::WithholdReason,
    ids::{BranchId, LaneId, ObjectKey, Oid, TableId, Topic},
    inventory::Inventory,
    key::EventKey,
    redaction::RedactionStats,
};
use mirror_git::{PendingPush, RefName, Remote, Store, TreeOutcome};
use mirror_keboola::{DevBranch, KeboolaError};
pub use put_aside::Filed;
use put_aside::Letter;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// One Keboola branch of one mirror, with everything that its attempts need.
#[derive(Clone)]
pub struct Lane {
    pub id: LaneId,
    pub topic: Topic,
    pub spec: Arc<MirrorSpec>,
    pub branch: DevBranch,
    pub default_branch: BranchId,
    /// What the visibility of the repository allows, as it was when the lane was made.
    pub exports: Exports,
    pub visibility: Arc<VisibilityWatch>,
    pub refname: RefName,
    /// For a dev branch: the default one, at whose commit a new ref starts.
    pub base: Option<Base>,
    /// For the default branch: those that inherit its tables.
    pub heirs: Arc<Heirs>,
    pub render: RenderDigest,
    pub source: Arc<Source>,
    pub transformer: Arc<Transformer>,
    /// For what is under way when everything is rendered.
    pub memory_bytes_max: usize,
    pub spool: SpoolLimits,
    pub git: Arc<Store>,
    pub remote: Arc<dyn Remote>,
    /// Events of the cut in work that were put aside already: a retry need not do it again.
    pub filed: Arc<Mutex<Filed>>,
    /// See [`Lane::parked()`].
    pub parked: Arc<Mutex<Option<(Oid, Memory)>>>,
    /// One push at a time for each repository.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    pub log: Arc<dyn EventLog>,
    pub state: Arc<dyn StateStore>,
    pub now: fn() -> Timestamp,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("id", &self.id)
            .field("refname", &self.refname)
            .finish_non_exhaustive()
    }
}

/// The branch at whose commit another one starts.
#[derive(Debug, Clone)]
pub struct Base {
    pub refname: RefName,
    /// Reads its files.
    pub transformer: Arc<Transformer>,
}

/// How an attempt ended well.
#[derive(Debug)]
pub struct Done {
    /// The commit that the remote has now.
    pub tip: Option<Oid>,
    /// The commit that `memory` belongs to: another one where somebody else's came on top since.
    pub base: Option<Oid>,
    pub memory: Memory,
    pub cursor: LaneCursor,
    /// Set where there is a new commit.
    pub landed: Option<Landed>,
    /// How long the attempt took, and of that the fetching from the source.
    pub took: Duration,
    pub fetching: Duration,
    pub work: Work,
    /// Events that were put aside.
    pub put_aside: usize,
    /// Those of them that the source may yet come to bear out.
    pub may_return: Vec<(EventKey, DeadLetterId)>,
    /// Shared files whose newest form is withheld, and why.
    pub withheld_files: BTreeMap<String, String>,
    pub samples: SampleNews,
}

/// A commit that the remote has confirmed.
#[derive(Debug, Clone)]
pub struct Landed {
    pub lane: LaneId,
    pub refname: String,
    pub commit: Oid,
    pub kind: CommitKind,
    /// The whole message, as it was committed.
    pub message: String,
    pub author: String,
    pub added: usize,
    pub modified: usize,
    pub deleted: usize,
    /// Events covered, the last one's `event_id`, and from the publishing of the first to the confirmation.
    pub events: u64,
    pub event_id: Option<String>,
    pub change_latency: Option<Duration>,
    pub jobs_latency: Option<Duration>,
    /// What was redacted in objects of this commit.
    pub redactions: Vec<(ObjectKey, RedactionStats)>,
    pub withheld: Vec<(ObjectKey, WithholdReason)>,
    /// Counts, where everything was read; else empty.
    pub inventory: Inventory,
}

/// What one attempt is to cover.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub change: bool,
    pub jobs: bool,
}

impl Lane {
    /// Runs one attempt. `held` is the memory of the last one, with the tip that it belongs to.
    ///
    /// # Errors
    /// See [`AttemptError`]; its disposition says who must act.
    pub async fn attempt(&self, held: Option<(Oid, Memory)>, due: Due) -> Result<Done, AttemptError> {
        let mut outcome = self.rounds(held, due).await;
        if let Err(error) = &outcome
            && error.is_store_damage()
        {
            tracing::warn!(lane = %self.id, error = crate::app::chain(error), "the local object store is damaged; it is fetched anew");
            self.blocking(|lane| Ok(lane.git.reset()?)).await?;
            outcome = self.rounds(None, due).await;
        }
        match outcome {
            Err(AttemptError::Fetch(FetchError::Keboola(error)))
                if error.disposition() == mirror_keboola::Disposition::Gone =>
            {
                Err(self.missing(error).await.into())
            }
            outcome => outcome,
        }
    }

    /// Tells what vanished between two calls from a branch that is no more.
    async fn missing(&self, error: KeboolaError) -> FetchError {
        let branch = &self.branch.id;
        match self.source.branches().await {
            Ok(branches) if branches.iter().all(|found| found.id != *branch) => FetchError::NoBranch {
                branch: branch.clone(),
            },
            _ => error.into(),
        }
    }

    /// Goes the line from its start, again for each round of objects that have to be left as they are.
    async fn rounds(&self, mut held: Option<(Oid, Memory)>, due: Due) -> Result<Done, AttemptError> {
        crash_point!("attempt-start");
        let started = Instant::now();
        let mut again = Again::default();
        loop {
            match self.straight(held.take(), due, started, &again).await? {
                Straight::Done(done) => return Ok(*done),
                // Each round sets at least one more object aside, or has learnt a secret, so it ends.
                Straight::Again(more) => again.extend(more),
            }
        }
    }

    /// The line itself, with what earlier rounds have found out.
    async fn straight(
        &self,
        held: Option<(Oid, Memory)>,
        due: Due,
        started: Instant,
        again: &Again,
    ) -> Result<Straight, AttemptError> {
        let start = self.recover(held).await?;
        self.refuse_foreign(&start).await?;
        let cut = self.cut(&start, due).await?;
        crash_point!("after-cut");
        let first = start.mirrored.is_none() || start.tip.is_none_or(|tip| !tip.own);
        let rebuild = first || !start.memory_holds || cut.render.is_some();
        if cut.is_empty() && !rebuild {
            let Start {
                tip,
                base,
                cursor,
                memory,
                ..
            } = start;
            return Ok(Straight::Done(Box::new(Done {
                tip: tip.map(|tip| tip.id),
                base,
                memory,
                cursor,
                landed: None,
                took: started.elapsed(),
                fetching: Duration::ZERO,
                work: Work::default(),
                put_aside: 0,
                may_return: Vec::new(),
                withheld_files: BTreeMap::new(),
                samples: SampleNews::default(),
            })));
        }
        // A stored cut of a first sync that the remote has by now, and only the cursor does not tell, is
        // finished without a second first commit.
        let cut = Cut {
            snapshot: cut.snapshot && first,
            ..cut
        };
        let scope = Scope {
            storage: true,
            samples: self.exports.samples.then_some(self.spec.sample_limits),
            jobs: self.spec.jobs.is_some(),
            now: (self.now)(),
        };
        let Start {
            tip,
            base,
            stored_cursor,
            memory,
            mirrored,
            ..
        } = start;
        let asked = Instant::now();
        let surveyed = if rebuild {
            self.survey_all(&cut, &memory, scope).await
        } else {
            self.survey_cut(&cut, &memory, scope).await
        };
        let (mut fetched, mut survey) = match surveyed {
            Ok(surveyed) => surveyed,
            Err(error) => {
                // Most often the source does not show yet what it will a second later.
                *self.parked() = base.map(|base| (base, memory));
                return Err(error);
            }
        };
        let mut newest = BTreeMap::new();
        for key in again.earlier.keys() {
            (fetched, survey) = self.earlier(key, &memory, fetched, survey, &mut newest).await?;
        }
        let mut fetching = asked.elapsed();
        let mut changes = changes(&cut, &fetched, &memory);
        if rebuild && !first {
            // Everything was listed, and rendered anew; nobody changed what has the same version.
            changes.retain(|change| {
                memory
                    .covered_of(&change.key)
                    .is_none_or(|had| change.deleted || had.version != change.version)
            });
        }
        let unfounded = fetched.unfounded.drain(..).map(Letter::of_unfounded);
        self.file(&cut, unfounded.collect(), scope.now).await?;
        let samples = fetched.sample_news();
        let to_make = ToMake {
            memory,
            fetched,
            survey,
            newest,
            scope,
            same_render: mirrored.as_ref() == Some(&self.render),
            tip,
            base,
            changes,
        };
        let made = self.make(to_make, &cut, again).await?;
        let finished = match made {
            Made::Finished(finished) => *finished,
            Made::Again(more) => return Ok(Straight::Again(more)),
        };
        fetching += finished.fetching;
        let withheld = finished.withheld.iter();
        let withheld = withheld.filter_map(|(key, reason)| Letter::of_withheld(key, reason, &cut));
        self.file(&cut, withheld.collect(), scope.now).await?;
        self.tell_heirs(&finished.tables, &cut).await?;
        let mut done = self.publish(finished, cut, stored_cursor, started).await?;
        let filed = self.filed();
        done.fetching = fetching;
        done.put_aside = filed.letters.len();
        done.may_return = filed.letters.values().flatten().cloned().collect();
        drop(filed);
        done.samples = samples;
        Ok(Straight::Done(Box::new(done)))
    }

    /// What the last attempt remembered, where it ended before it changed anything of it.
    pub(super) fn parked(&self) -> MutexGuard<'_, Option<(Oid, Memory)>> {
        // It is put and taken as a whole.
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs blocking work of this lane beside the executor.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, AttemptError> + Send + 'static,
    ) -> Result<T, AttemptError> {
        let lane = self.clone();
        tokio::task::spawn_blocking(move || work(&lane)).await?
    }

    /// A branch that was never mirrored must not already have what the mirror would write.
    async fn refuse_foreign(&self, start: &Start) -> Result<(), AttemptError> {
        let Some(tip) = start
            .tip
            .filter(|tip| tip.own && start.mirrored.is_none() && !self.spec.adopt)
        else {
            return Ok(());
        };
        let found = self.blocking(move |lane| lane.own_files(tip.tree)).await?;
        match found.first() {
            None => Ok(()),
            Some(path) => Err(AttemptError::NotOurs {
                refname: self.refname.clone(),
                path: path.to_string(),
            }),
        }
    }

    /// Makes tree and commit; without a difference there is no commit.
    async fn make(&self, to_make: ToMake, cut: &Cut, again: &Again) -> Result<Made, AttemptError> {
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
            } = to_make;
            let mut draft = lane.git.draft();
            let whole = fetched.whole;
            let begin = Begin {
                memory,
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
            };
            let text = CommitDraft::new(facts);
            let kind = text.kind();
            let message = lane.transformer.seal(text)?;
            let parents: Vec<Oid> = tip.iter().map(|tip| tip.id).collect();
            let id = draft.commit(outcome.tree, &parents, &message)?;
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

    /// Fetches everything and looks at it.
    async fn survey_all(
        &self,
        cut: &Cut,
        memory: &Memory,
        scope: Scope,
    ) -> Result<(Fetched, Survey), AttemptError> {
        let (mut outlet, out) = Outlet::new();
        let fetch = async {
            // What events told long ago of runs that the log no longer has is kept by their days.
            let told = BTreeMap::new();
            let fetched = self
                .source
                .whole_for(&self.branch, cut, memory, scope, told, &mut outlet)
                .await;
            drop(outlet);
            Ok(fetched?)
        };
        let survey = Survey::new(self.spool.clone()).follow(Arc::clone(&self.transformer), out);
        tokio::try_join!(fetch, survey)
    }

    /// Looks at a configuration at the version that the tip has, in place of the newest.
    async fn earlier(
        &self,
        key: &ConfigKey,
        memory: &Memory,
        mut fetched: Fetched,
        mut survey: Survey,
        newest: &mut BTreeMap<ConfigKey, Covered>,
    ) -> Result<(Fetched, Survey), AttemptError> {
        let Some(had) = memory.covered_of(key) else {
            return Ok((fetched, survey));
        };
        let mut single = self.source.earlier(&self.branch, key, had).await?;
        let Some(config) = single.configs.remove(key) else {
            return Ok((fetched, survey));
        };
        if let Some(replaced) = fetched.configs.insert(key.clone(), config) {
            newest.insert(key.clone(), Covered::of(&replaced.revision));
        }
        let key = key.clone();
        let survey = self.blocking(move |lane| {
            survey.take_back(&key);
            survey.look_at(&lane.transformer, single.objects)?;
            Ok(survey)
        });
        Ok((fetched, survey.await?))
    }

    /// Fetches what a cut wants and looks at it.
    async fn survey_cut(
        &self,
        cut: &Cut,
        memory: &Memory,
        scope: Scope,
    ) -> Result<(Fetched, Survey), AttemptError> {
        let mut fetched = self.source.cut(&self.branch, cut, memory, scope).await?;
        if let Some(limits) = scope.samples {
            fetched.limit_samples(memory.keys(), limits.tables_max);
        }
        let objects = std::mem::take(&mut fetched.objects);
        let survey = self.blocking(move |lane| {
            let mut survey = Survey::new(lane.spool.clone());
            survey.look_at(&lane.transformer, objects)?;
            Ok(survey)
        });
        Ok((fetched, survey.await?))
    }

    /// Stores what is pushed, and pushes it.
    pub(super) fn send(&self, push: &PendingPush) -> Result<(), AttemptError> {
        self.git.save(push)?;
        Ok(self.remote.push(push)?)
    }

    /// Notes that the remote has a push.
    pub(super) fn confirm(&self, push: PendingPush) -> Result<(), AttemptError> {
        if let Err(error) = self.git.confirm(push) {
            // Only the cache suffers; the remote has the commit.
            tracing::warn!(lane = %self.id, %error, "the local object store could not be tidied");
            if error.is_damage() {
                self.git.reset()?;
            }
        }
        Ok(())
    }

    /// Makes the state durable, pushes, and moves the cursor.
    async fn publish(
        &self,
        finished: Finished,
        cut: Cut,
        stored_cursor: Option<LaneCursor>,
        started: Instant,
    ) -> Result<Done, AttemptError> {
        let Finished {
            mut memory,
            months,
            days_dropped,
            replace_all,
            tip,
            base,
            commit,
            redactions,
            withheld,
            withheld_files,
            inventory,
            mut work,
            tables: _,
            fetching: _,
        } = finished;
        let id = commit
            .as_ref()
            .map(|ready| ready.push.new_tip())
            .or(tip.map(|tip| tip.id));
        let Some(id) = id else {
            // Nothing there and nothing to commit: only the cursor moves.
            let cursor = cut.cursor(None);
            self.log.commit(&self.id, stored_cursor.as_ref(), &cursor).await?;
            return Ok(Done {
                tip: None,
                base: None,
                memory,
                cursor,
                landed: None,
                took: started.elapsed(),
                fetching: Duration::ZERO,
                work,
                put_aside: 0,
                may_return: Vec::new(),
                withheld_files,
                samples: SampleNews::default(),
            });
        };
        let delta = if replace_all {
            memory.all_rows()
        } else {
            memory.take_changes()
        };
        work.rows = delta.len();
        self.state
            .prepare(
                &self.id,
                Prepared {
                    commit: id,
                    render: self.render.clone(),
                    base,
                    delta,
                    replace_all,
                },
            )
            .await?;
        crash_point!("after-prepare");
        if !months.is_empty() {
            let turn = self.turn.lock().await;
            self.blocking(move |lane| lane.push_months(months)).await?;
            drop(turn);
        }
        let mut landed = None;
        if let Some(Ready {
            kind,
            message,
            author,
            outcome,
            push,
        }) = commit
        {
            let turn = self.turn.lock().await;
            if self.exports.samples {
                let visibility = self.visibility.ask().await;
                if visibility != Visibility::Private {
                    return Err(AttemptError::Exposed { visibility });
                }
            }
            self.blocking(move |lane| {
                crash_point!("before-push");
                lane.send(&push)?;
                crash_point!("after-push");
                lane.confirm(push)
            })
            .await?;
            drop(turn);
            let now = (self.now)();
            let since = |at: Option<Timestamp>| {
                at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default())
            };
            landed = Some(Landed {
                lane: self.id.clone(),
                refname: self.refname.to_string(),
                commit: id,
                kind,
                message,
                author,
                added: outcome.added,
                modified: outcome.modified,
                deleted: outcome.deleted,
                events: cut.events.count,
                event_id: cut.last_event.clone(),
                change_latency: since(cut.change_published_at),
                jobs_latency: since(cut.jobs_published_at),
                redactions,
                withheld,
                inventory,
            });
        }
        crash_point!("before-adopt");
        self.state.adopt(&self.id, id).await?;
        crash_point!("after-adopt");
        let cursor = cut.cursor(Some(id));
        self.log.commit(&self.id, stored_cursor.as_ref(), &cursor).await?;
        crash_point!("after-cursor");
        if let (true, true, Some(jobs), Some(newest)) = (
            days_dropped,
            self.has_months(),
            self.spec.jobs,
            memory.newest_day(),
        ) {
            self.blocking(move |lane| lane.delete_months(&newest, jobs.keep_days))
                .await?;
        }
        Ok(Done {
            tip: Some(id),
            base: Some(id),
            memory,
            cursor,
            landed,
            took: started.elapsed(),
            fetching: Duration::ZERO,
            work,
            put_aside: 0,
            may_return: Vec::new(),
            withheld_files,
            samples: SampleNews::default(),
        })
    }
}

/// An attempt's work before it is made known to anybody.
struct Finished {
    memory: Memory,
    /// Commits of the branches of months.
    months: Vec<PendingPush>,
    days_dropped: bool,
    replace_all: bool,
    tip: Option<Tip>,
    /// The commit that the stored state belongs to.
    base: Option<Oid>,
    commit: Option<Ready>,
    redactions: Vec<(ObjectKey, RedactionStats)>,
    withheld: Vec<(ObjectKey, WithholdReason)>,
    withheld_files: BTreeMap<String, String>,
    /// As [`Built::tables`].
    tables: BTreeSet<TableId>,
    inventory: Inventory,
    work: Work,
    fetching: Duration,
}

/// What a commit is made of.
struct ToMake {
    memory: Memory,
    fetched: Fetched,
    survey: Survey,
    newest: BTreeMap<ConfigKey, Covered>,
    scope: Scope,
    same_render: bool,
    tip: Option<Tip>,
    base: Option<Oid>,
    changes: Vec<CoveredChange>,
}

/// What building and committing came to.
enum Made {
    Finished(Box<Finished>),
    /// As [`Outcome::Again`].
    Again(Again),
}

/// Where the line came to.
enum Straight {
    Done(Box<Done>),
    /// The line is to be gone again.
    Again(Again),
}

struct Ready {
    kind: CommitKind,
    message: String,
    author: String,
    outcome: TreeOutcome,
    push: PendingPush,
}
