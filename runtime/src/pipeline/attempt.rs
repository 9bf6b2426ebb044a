//! The attempt: one straight line from a lane's events to a commit that the remote has.
//!
//! It may be killed between any two steps; the next one comes to the same commit or finds it there.

mod awaited;
mod changes;
mod colliding;
mod cut;
mod deaths;
mod foreign;
mod heirs;
mod looking;
mod make;
mod naming;
mod owing;
mod parts;
mod past;
mod publish;
mod put_aside;
mod refused;
mod shadows;
mod shown;
mod verify;

use super::{
    build::Again,
    error::AttemptError,
    fetch::{FetchError, SampleNews, Scope, Source},
    memories::Memories,
    memory::Memory,
    progress::Progress,
    recover::Start,
    rendering::Rendering,
    spool::SpoolLimits,
    stages::Stage,
    transform::Transformer,
    unusable::{Extent, UnusableRuns},
    work::Work,
};
use crate::{
    config::MirrorSpec,
    crash_point,
    notify::MirrorNotices,
    queue::{DeadLetterId, EventLog},
    state::StateStore,
    turns::{Turn, Turns},
    visibility::{Exports, VisibilityWatch},
    workers::Lease,
};
pub use deaths::Deaths;
pub use heirs::Heirs;
use jiff::Timestamp;
use make::{Made, ToMake};
use mirror_core::{
    batch::Subject,
    commit::CommitKind,
    cut::{
        Cut, LaneCursor, Stream,
        groups::{COMMITS_MAX, Group},
    },
    deletions::Loss,
    digest::RenderDigest,
    finding::WithholdReason,
    ids::{BranchId, LaneId, ObjectKey, Oid, ProjectId, Stack, Topic},
    inventory::Inventory,
    key::EventKey,
    redaction::RedactionStats,
};
use mirror_git::{RefName, Remote, SigningKey, Store};
use mirror_keboola::{DevBranch, KeboolaError};
pub use owing::RefusedMonth;
pub use put_aside::Filed;
use put_aside::Letter;
pub use refused::Refusals;
use refused::is_unwelcome;
pub use shown::NoSample;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
pub use verify::{Difference, Verified};

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
    pub notices: Arc<MirrorNotices>,
    pub refname: RefName,
    /// For a dev branch: the default one, at whose commit a new ref starts.
    pub base: Option<Base>,
    /// For the default branch: those that inherit its tables.
    pub heirs: Arc<Heirs>,
    pub render: RenderDigest,
    /// What this process has rendered the lane under, and whether others differ.
    pub rendering: Arc<Rendering>,
    pub source: Arc<Source>,
    pub transformer: Arc<Transformer>,
    /// For what is under way when everything is rendered.
    pub memory_bytes_max: usize,
    pub spool: SpoolLimits,
    pub git: Arc<Store>,
    pub remote: Arc<dyn Remote>,
    /// Events of the cut in work that were put aside already: a retry need not do it again.
    pub filed: Arc<Mutex<Filed>>,
    pub deaths: Arc<Deaths>,
    /// When the attempt that runs last came forward.
    pub progress: Arc<Progress>,
    /// So many deaths over the same changes are taken for chance.
    pub deaths_max: u32,
    /// What lanes remember between attempts.
    pub memories: Arc<Memories>,
    /// Who may go when, of all lanes.
    pub turns: Arc<Turns>,
    pub refused: Arc<Mutex<Refusals>>,
    /// Runs that cannot be mirrored for their ids.
    pub unusable_runs: Arc<UnusableRuns>,
    /// What commits are signed with, if they are.
    pub signing: Option<Arc<SigningKey>>,
    /// One push at a time for each repository.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    pub log: Arc<dyn EventLog>,
    pub state: Arc<dyn StateStore>,
    /// Where there are other workers: nothing is pushed without it.
    pub lease: Lease,
    pub now: fn() -> Timestamp,
    /// What happened within this time becomes one commit, also after an outage.
    pub window: Duration,
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
    /// Set where there is a new commit; of several the last.
    pub landed: Option<Landed>,
    /// Those below it, oldest first, where an outage was caught up with.
    pub caught_up: Vec<Landed>,
    /// How long the attempt took, and of that the fetching from the source.
    pub took: Duration,
    pub fetching: Duration,
    pub work: Work,
    /// Events that were put aside.
    pub put_aside: usize,
    /// Those of them that the source may yet come to bear out.
    pub may_return: Vec<(EventKey, DeadLetterId)>,
    pub samples: SampleNews,
    /// What the remote objected to in this attempt, so that it is kept back.
    pub kept_back: BTreeMap<Subject, WithholdReason>,
    /// Why pushes of this attempt were refused before one was not.
    pub refusals: Vec<&'static str>,
}

impl Done {
    /// An attempt that came to its end at a tip, with nothing else to tell.
    fn at(tip: Option<Oid>, base: Option<Oid>, memory: Memory, cursor: LaneCursor, started: Instant) -> Self {
        Self {
            tip,
            base,
            memory,
            cursor,
            landed: None,
            caught_up: Vec::new(),
            took: started.elapsed(),
            fetching: Duration::ZERO,
            work: Work::default(),
            put_aside: 0,
            may_return: Vec::new(),
            samples: SampleNews::default(),
            kept_back: BTreeMap::new(),
            refusals: Vec::new(),
        }
    }
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
    /// Types of which nothing is left.
    pub vanished: Vec<Loss>,
}

/// What one attempt is to cover.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub change: bool,
    pub jobs: bool,
}

impl Lane {
    /// Runs one attempt, when its turn comes. `held` is the memory of the last one, with the tip that it belongs to;
    /// where it is not given, it is what [`Lane::memories`] has.
    ///
    /// # Errors
    /// See [`AttemptError`]; its disposition says who must act.
    pub async fn attempt(&self, held: Option<(Oid, Memory)>, due: Due) -> Result<Done, AttemptError> {
        self.progress.waits();
        self.recall_shadows().await;
        let suspected = self.suspected().await?;
        // One at a time, so that a death is laid to whom it belongs.
        let _alone = match suspected.is_some_and(|deaths| deaths > 1) {
            true => Some(self.turns.suspect().await),
            false => None,
        };
        let mut turn = Some(self.turns.change(self.project()).await?);
        self.progress.moved(Instant::now());
        if suspected.is_some() {
            self.search(due, &mut turn).await?;
        }
        let mut outcome = self.rounds(held, due, &mut turn, Aim::Publish).await;
        if let Err(error) = &outcome
            && error.is_store_damage()
        {
            tracing::warn!(lane = %self.id, error = crate::app::chain(error), "the local object store is damaged; it is fetched anew");
            self.blocking(|lane| Ok(lane.git.reset()?)).await?;
            outcome = self.rounds(None, due, &mut turn, Aim::Publish).await;
        }
        drop(turn);
        if suspected.is_some() {
            self.search_ended(outcome.is_ok()).await?;
        }
        let outcome = outcome.map(|done| done.expect("what is to be published ends with what was"));
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
            Ok(branches) if self.source.lacks(&branches, branch).await => FetchError::NoBranch {
                branch: branch.clone(),
            },
            _ => error.into(),
        }
    }

    /// Goes the line from its start, again for each round of objects that have to be left as they are, or that the
    /// remote does not take. Of a probe nothing comes.
    async fn rounds(
        &self,
        mut held: Option<(Oid, Memory)>,
        due: Due,
        turn: &mut Option<Turn>,
        aim: Aim,
    ) -> Result<Option<Done>, AttemptError> {
        crash_point!("attempt-start");
        let started = Instant::now();
        let mut again = Again::default();
        let (mut refusals, mut kept_back) = (Vec::new(), BTreeMap::new());
        let mut unnamed = None;
        let was_refused = self.is_refused();
        let mut manner = Manner {
            aim,
            may_rebuild: false,
            together: false,
            windows_at_once: self.windows_at_once(),
            // What was refused is the first of them.
            past_at_once: if was_refused { 1 } else { COMMITS_MAX },
        };
        let mut history = Vec::new();
        loop {
            self.progress.moved(Instant::now());
            let straight = match self.straight(held.take(), due, started, &again, manner).await {
                // What was told since the cut may have mended it: the line is gone once more, with a wider cut.
                Err(error @ AttemptError::Unnamed { .. }) if unnamed.is_none() => {
                    unnamed = Some(error);
                    continue;
                }
                // It has not.
                Err(error @ AttemptError::NotSentAgain { .. }) => return Err(unnamed.unwrap_or(error)),
                straight => straight?,
            };
            match straight {
                Straight::Done(mut done) => {
                    if manner.windows_at_once < COMMITS_MAX {
                        self.took_windows(manner.windows_at_once, done.cursor.change)
                            .await;
                    }
                    history.append(&mut done.caught_up);
                    done.caught_up = history;
                    done.kept_back = kept_back;
                    refusals.append(&mut done.refusals);
                    done.refusals = refusals;
                    return Ok(Some(*done));
                }
                Straight::Backfilled(mut done) => {
                    history.append(&mut done.caught_up);
                    history.extend(done.landed.take());
                    if started.elapsed() > BACKFILL_WITHIN && self.has_more_past(&done).await? {
                        // What waits in the log has the lane go on.
                        done.caught_up = history;
                        return Ok(Some(*done));
                    }
                    manner.past_at_once = (2 * manner.past_at_once).min(COMMITS_MAX);
                    held = done.base.map(|base| (base, done.memory));
                }
                Straight::Probed => return Ok(None),
                Straight::Rebuild => {
                    // The other place is free before: whoever waits here holds up no changes.
                    *turn = None;
                    self.progress.waits();
                    *turn = Some(self.turns.rebuild(self.project()).await?);
                    manner.may_rebuild = true;
                }
                // It has been looked for, and not found: maybe all that came since mends it.
                Straight::OneOfWindows { .. } if was_refused => manner.together = true,
                // So the one that it objects to is found, and all others stay as they are.
                Straight::OneOfWindows { count } => manner.windows_at_once = count.div_ceil(2),
                Straight::WithTheNext => {
                    manner.together = true;
                    manner.windows_at_once = (2 * manner.windows_at_once).min(COMMITS_MAX);
                }
                Straight::OneOfPast { count } => manner.past_at_once = count.div_ceil(2),
                // Each round sets at least one more object aside, or has learnt a secret, so it ends.
                Straight::Again(more) => again.extend(more),
                Straight::Refused { new, error } => {
                    refusals.extend(error.refusal());
                    kept_back.extend(new);
                    if refusals.len() >= REFUSALS_MAX {
                        return Err(error);
                    }
                }
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
        manner: Manner,
    ) -> Result<Straight, AttemptError> {
        let stages = &self.transformer.stages;
        let start = stages.watch(Stage::Start, self.recover(held)).await?;
        self.refuse_foreign(&start).await?;
        if let Some(batch) = self.past_batch(&start, manner.past_at_once).await? {
            return self.backfill_batch(start, batch, started, again).await;
        }
        let cut = self.cut(&start, due, manner.windows_at_once);
        let cut = stages.watch(Stage::Start, cut).await?;
        crash_point!("after-cut");
        let first = start.is_first();
        let rebuild = first || !start.memory_holds || cut.render.is_some();
        let mut owing = self.owing().await?;
        if cut.is_empty() && !rebuild && !self.owes_now(&owing) {
            let Start {
                tip,
                base,
                cursor,
                memory,
                ..
            } = start;
            return Ok(Straight::Done(Box::new(Done::at(
                tip.map(|tip| tip.id),
                base,
                memory,
                cursor,
                started,
            ))));
        }
        if rebuild && !manner.may_rebuild {
            self.remember_at(start.base, start.memory);
            return Ok(Straight::Rebuild);
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
        let others = self.others_in(&start);
        let Start {
            tip,
            base,
            stored_cursor,
            mut memory,
            mirrored,
            backfilled,
            former,
            ..
        } = start;
        if backfilled {
            // It is placed as if nothing was below it.
            memory = Memory::default();
        }
        if rebuild {
            // The storage is remembered as it is read now; what is told from here on may be news to that.
            self.last_compared().await?;
            self.begin_polling().await?;
        }
        let asked = Instant::now();
        let mut groups = match rebuild || manner.together || manner.aim == Aim::Probe {
            true => vec![Group::alone(cut.clone())],
            false => self.groups(&cut).await?,
        }
        .into_iter();
        let group = groups.next().unwrap_or_else(|| Group::alone(cut.clone()));
        let surveyed = if rebuild {
            self.survey_all(&cut, &memory, scope).await
        } else {
            self.survey_cut(&group.cut, &memory, scope).await
        };
        let mut surveyed = match surveyed {
            Ok(surveyed) => surveyed,
            Err(error) => {
                self.remember_at(base, memory);
                return Err(error);
            }
        };
        let has_more = groups.len() > 0 || rebuild;
        if let Some(error) = self.waits_for(&cut, &surveyed.0.awaited, has_more).await? {
            // Most often the source shows it a second later.
            self.remember_at(base, memory);
            return Err(error.into());
        }
        let observed = surveyed.0.observed.take();
        let unread_runs = std::mem::take(&mut surveyed.0.unread_runs);
        self.progress.moved(Instant::now());
        let mut part = self.part(group, surveyed, &memory, again).await?;
        let mut fetching = asked.elapsed();
        if rebuild && !first {
            // Everything was listed, and rendered anew; nobody changed what has the same version.
            part.changes.retain(|change| {
                memory
                    .covered_of(&change.key)
                    .is_none_or(|had| change.deleted || had.version != change.version)
            });
        }
        let has_ref = tip.is_some_and(|tip| tip.own);
        let quarantine = self.state.quarantine(&self.id).await?;
        let objected = self.tell_owed(&mut owing, &mut memory).await?;
        part.fetched.refused.extend(objected);
        let to_make = ToMake {
            owing,
            quarantine,
            others,
            memory,
            part,
            further: groups.collect(),
            scope,
            same_render: mirrored.as_ref() == Some(&self.render),
            tip,
            base,
            former,
        };
        let made = Box::pin(self.make(to_make, again)).await?;
        let mut finished = match made {
            Made::Finished(finished) => *finished,
            Made::Again(more) => return Ok(Straight::Again(more)),
        };
        if let Aim::Probe = manner.aim {
            return Ok(Straight::Probed);
        }
        if !has_ref && finished.push.is_some() {
            self.settle_name().await?;
        }
        self.progress.moved(Instant::now());
        let unfounded = std::mem::take(&mut finished.unfounded);
        let unfounded = unfounded.into_iter().map(Letter::of_unfounded);
        self.file(&cut, unfounded.collect(), scope.now).await?;
        let awaited = std::mem::take(&mut finished.awaited);
        self.tell_anew(&cut, awaited, scope.now).await?;
        crash_point!("after-told-anew");
        let samples = std::mem::take(&mut finished.samples);
        fetching += finished.fetching;
        self.file_withheld(&cut, &finished.withheld, scope.now).await?;
        self.tell_heirs(&finished.tables, &cut).await?;
        let (windows, through) = (cut.windows.len() + 1, cut.change_through);
        let mut done = match self.publish(finished, cut, stored_cursor, started).await {
            Ok(Published::Done(done)) => done,
            Ok(Published::Refused { new, error }) => return Ok(Straight::Refused { new, error }),
            Ok(Published::OneOfSeveral) => return Ok(Straight::OneOfWindows { count: windows }),
            Err(error)
                if manner.windows_at_once < COMMITS_MAX
                    && is_unwelcome(&error)
                    && self.log.newest(&self.topic, Stream::Change).await? > through =>
            {
                return Ok(Straight::WithTheNext);
            }
            Err(error) => return Err(error),
        };
        if let Err(error) = self.end_backfill().await {
            tracing::warn!(lane = %self.id, error = crate::app::chain(&error), "it cannot be stored that the backfill is over; the next attempt does it");
        }
        if let Some(observed) = observed
            && let Err(error) = self.remember(&observed).await
        {
            tracing::warn!(lane = %self.id, error = crate::app::chain(&error), "what was seen of the storage cannot be stored; the next comparison tells of more than it has to");
        }
        if done.landed.is_some() {
            self.rendering.committed(&self.render);
        }
        if rebuild {
            self.tell_unusable(&unread_runs, Extent::All).await;
        }
        let mut filed = self.filed();
        done.fetching = fetching;
        done.put_aside = filed.letters.len() + std::mem::take(&mut filed.uncounted);
        done.may_return = filed.letters.values().flatten().cloned().collect();
        drop(filed);
        done.samples = samples;
        Ok(Straight::Done(done))
    }

    /// Lets go of what is only held to be quick. Other lanes of the mirror may be at work: they open anew what they need.
    pub fn rest(&self) {
        self.git.rest();
        self.remote.rest();
        self.transformer.rest();
    }

    /// Keeps the memory for the next attempt, if it belongs to a commit.
    fn remember_at(&self, base: Option<Oid>, memory: Memory) {
        if let Some(base) = base {
            self.memories.put(&self.id, base, memory);
        }
    }

    pub(crate) fn project(&self) -> (Stack, ProjectId) {
        (self.spec.stack.clone(), self.spec.project.clone())
    }

    /// Runs blocking work of this lane beside the executor.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, AttemptError> + Send + 'static,
    ) -> Result<T, AttemptError> {
        let lane = self.clone();
        tokio::task::spawn_blocking(move || work(&lane)).await?
    }
}

/// Where the line came to.
enum Straight {
    Done(Box<Done>),
    /// A part of the history from before the mirror is there: the line is to be gone again for the next, or the first sync.
    Backfilled(Box<Done>),
    /// The remote does not take one of so many windows of an outage: the line is to be gone again with fewer.
    OneOfWindows {
        count: usize,
    },
    /// Nor does it take one alone, and what it objects to cannot be kept back: the line is to be gone again with those
    /// that follow in the same commit, which may have mended it.
    WithTheNext,
    /// The remote does not take one of so many versions from before the mirror: the line is to be gone again with fewer.
    OneOfPast {
        count: usize,
    },
    /// A whole project is to be read, for which there are few places: the line is to be gone again in one of them.
    Rebuild,
    /// The line is to be gone again.
    Again(Again),
    /// The same, without what the remote objects to.
    Refused {
        new: BTreeMap<Subject, WithholdReason>,
        error: AttemptError,
    },
    /// Everything but the last step was done.
    Probed,
}

/// How the line is gone, as far as earlier rounds decide it.
#[derive(Debug, Clone, Copy)]
struct Manner {
    aim: Aim,
    /// It has a place in which a whole project may be read.
    may_rebuild: bool,
    /// What goes in one push is one commit.
    together: bool,
    /// So many windows of an outage go in one push.
    windows_at_once: usize,
    /// So many versions from before the mirror go in one push.
    past_at_once: usize,
}

/// What the line is gone for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Publish,
    /// To see whether the process lives through it.
    Probe,
}

/// What publishing came to.
enum Published {
    Done(Box<Done>),
    /// The remote does not take one of several commits, and what is in it is why.
    OneOfSeveral,
    /// The remote does not take the commit, and it is known by now what must not be in it.
    Refused {
        new: BTreeMap<Subject, WithholdReason>,
        error: AttemptError,
    },
}

/// So long an attempt brings in history; the next goes on.
const BACKFILL_WITHIN: Duration = Duration::from_secs(15 * 60);

/// So often an attempt is refused at most: servers name some places at a time.
const REFUSALS_MAX: usize = 10;
