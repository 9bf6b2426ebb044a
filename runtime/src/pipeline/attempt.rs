//! The attempt: one straight line from a lane's events to a commit that the remote has.
//!
//! It may be killed between any two steps; the next one comes to the same commit or finds it there.

use super::{
    build::{Built, Outcome},
    error::AttemptError,
    fetch::{Covered, FetchError, Fetched, Scope, Source, Unfounded, announced},
    memory::Memory,
    recover::{Start, Tip},
    transform::Transformer,
};
use crate::{
    config::MirrorSpec,
    crash_point,
    queue::{DeadLetter, DeadLetterId, EventLog, NewEvent},
    state::{Prepared, StateStore},
};
use jiff::Timestamp;
use mirror_core::{
    commit::{Author, CommitDraft, CommitFacts, CommitKind, CoveredChange},
    cut::{ConfigKey, Cut, CutId, LaneCursor, Logged, Stream},
    digest::RenderDigest,
    event::{Body, Envelope, RenderChanged},
    finding::WithholdReason,
    ids::{LaneId, ObjectKey, Oid, Topic},
    key::EventKey,
    redaction::RedactionStats,
};
use mirror_git::{PendingPush, RefName, Remote, Store, TreeOutcome};
use mirror_keboola::{DevBranch, KeboolaError, Revision};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Events of one stream that one commit may stand for; what is above waits for the next.
const EVENTS_MAX: usize = 10_000;

/// One Keboola branch of one mirror, with everything that its attempts need.
#[derive(Clone)]
pub struct Lane {
    pub id: LaneId,
    pub topic: Topic,
    pub spec: Arc<MirrorSpec>,
    pub branch: DevBranch,
    pub refname: RefName,
    /// For a dev branch: the default one, at whose commit a new ref starts.
    pub base: Option<Base>,
    pub render: RenderDigest,
    pub source: Arc<Source>,
    pub transformer: Arc<Transformer>,
    pub git: Arc<Store>,
    pub remote: Arc<dyn Remote>,
    /// Events of the cut in work that were put aside already: a retry need not do it again.
    pub filed: Arc<Mutex<Filed>>,
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

/// What was put aside of one cut, by what it was about.
#[derive(Debug, Default)]
pub struct Filed {
    cut: Option<CutId>,
    letters: BTreeMap<ObjectKey, Option<(EventKey, DeadLetterId)>>,
}

/// An event that comes to nothing.
struct Letter {
    object: ObjectKey,
    reason: String,
    body: Option<Body>,
    /// The source may yet come to show what it told of.
    may_return: bool,
}

impl Letter {
    fn of_unfounded(Unfounded { object, reason, body }: Unfounded) -> Self {
        let may_return = body.is_some();
        Self {
            object,
            reason,
            body,
            may_return,
        }
    }

    /// Of an object whose new version is withheld, where an event told of that version.
    fn of_withheld(key: &ObjectKey, reason: &WithholdReason, cut: &Cut) -> Option<Self> {
        let body = match key {
            ObjectKey::Config { component, config } => {
                let key = ConfigKey {
                    component: component.clone(),
                    config: config.clone(),
                };
                Some(announced(&key, cut.configs.get(&key)?))
            }
            ObjectKey::Job(run) if cut.runs.contains_key(run) => None,
            _ => return None,
        };
        Some(Self {
            object: key.clone(),
            reason: format!("withheld: {reason}"),
            body,
            may_return: false,
        })
    }
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
    /// How long building and pushing took.
    pub took: Duration,
    /// Events that were put aside.
    pub put_aside: usize,
    /// Those of them that the source may yet come to bear out.
    pub may_return: Vec<(EventKey, DeadLetterId)>,
    /// Shared files whose newest form is withheld, and why.
    pub withheld_files: BTreeMap<String, String>,
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
        let mut aside = BTreeMap::new();
        loop {
            match self.straight(held.take(), due, started, &aside).await? {
                Straight::Done(done) => return Ok(*done),
                // Each round sets at least one more object aside, so it ends.
                Straight::Again(more) => aside.extend(more),
            }
        }
    }

    /// The line itself. Objects in `aside` are withheld from the start.
    async fn straight(
        &self,
        held: Option<(Oid, Memory)>,
        due: Due,
        started: Instant,
        aside: &BTreeMap<ObjectKey, WithholdReason>,
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
                put_aside: 0,
                may_return: Vec::new(),
                withheld_files: BTreeMap::new(),
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
            samples: self.spec.samples,
            jobs: self.spec.jobs.is_some(),
            now: (self.now)(),
        };
        let Start {
            tip,
            base,
            stored_cursor,
            memory,
            ..
        } = start;
        let covered = memory.covered();
        let mut fetched = if rebuild {
            let mut fetched = self.source.whole_for(&self.branch, &cut, &covered, scope).await?;
            fetched.remember(&memory.told_of_runs(), &cut);
            fetched
        } else {
            self.source.cut(&self.branch, &cut, &covered, scope).await?
        };
        let mut changes = changes(&cut, &fetched, &covered);
        if rebuild && !first {
            // Everything was listed, and rendered anew; nobody changed what has the same version.
            changes.retain(|change| {
                covered
                    .get(&change.key)
                    .is_none_or(|had| change.deleted || had.version != change.version)
            });
        }
        let unfounded = fetched.unfounded.drain(..).map(Letter::of_unfounded);
        self.file(&cut, unfounded.collect(), scope.now).await?;
        let built = match self.build(memory, fetched, scope, tip, aside).await? {
            Outcome::Built(built) => *built,
            Outcome::Aside(more) => return Ok(Straight::Again(more)),
        };
        let withheld = built
            .withheld
            .iter()
            .filter_map(|(key, reason)| Letter::of_withheld(key, reason, &cut));
        self.file(&cut, withheld.collect(), scope.now).await?;
        let finished = self.commit(built, cut, tip, base, changes).await?;
        let mut done = self.publish(finished, stored_cursor, started).await?;
        let filed = self.filed();
        done.put_aside = filed.letters.len();
        done.may_return = filed.letters.values().flatten().cloned().collect();
        drop(filed);
        Ok(Straight::Done(Box::new(done)))
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

    /// Returns the stored cut, or makes and stores one of all that waits.
    async fn cut(&self, start: &Start, due: Due) -> Result<Cut, AttemptError> {
        let first = start.mirrored.is_none() || start.tip.is_none_or(|tip| !tip.own);
        if let Some(mirrored) = &start.mirrored
            && *mirrored != self.render
            && !first
        {
            self.append_render_changed(start.tip.map(|tip| tip.id)).await?;
        }
        let stored = self.log.cut(&self.id).await?;
        if let Some(cut) = &stored
            && cut.log == start.cursor.log
            && (cut.change_after, cut.jobs_after) == (start.cursor.change, start.cursor.jobs)
        {
            return Ok(cut.clone());
        }
        if first {
            return self.cut_of_all(start, stored.as_ref()).await;
        }
        let mut events: Vec<Logged> = Vec::new();
        for (stream, due) in [(Stream::Change, due.change), (Stream::Jobs, due.jobs)] {
            if due {
                events.extend(
                    self.log
                        .read(&self.topic, start.cursor.of(stream), Some(stream), EVENTS_MAX)
                        .await?,
                );
            }
        }
        let mut cut = Cut::of(&self.id.mirror, &start.cursor, &events, (self.now)());
        if cut.is_empty() && start.memory_holds {
            return Ok(cut);
        }
        if !start.memory_holds && cut.render.is_none() {
            cut.render = Some("the repository was compared with the source".into());
        }
        let seen = stored.as_ref().map(Cut::id);
        self.log.put_cut(&self.id, seen.as_ref(), &cut).await?;
        Ok(cut)
    }

    /// Cuts for a first sync: the listing that follows shows all that was appended up to here, except
    /// what is so new that the source may not show it yet.
    async fn cut_of_all(&self, start: &Start, stored: Option<&Cut>) -> Result<Cut, AttemptError> {
        let now = (self.now)();
        let mut through = start.cursor.clone();
        let mut recent: Vec<Logged> = Vec::new();
        for stream in Stream::ALL {
            let newest = self.log.newest(&self.topic, stream).await?;
            let mut after = start.cursor.of(stream);
            while after < newest {
                let page = self
                    .log
                    .read(&self.topic, after, Some(stream), EVENTS_MAX)
                    .await?;
                let Some(last) = page.last() else { break };
                after = last.position;
                recent.extend(
                    page.into_iter()
                        .filter(|event| self.source.may_be_unseen(event.appended_at, now)),
                );
            }
            match stream {
                Stream::Change => through.change = after,
                Stream::Jobs => through.jobs = after,
            }
        }
        let mut cut = Cut::of(&self.id.mirror, &start.cursor, &recent, now);
        cut.snapshot = true;
        cut.change_through = through.change;
        cut.jobs_through = through.jobs;
        self.log
            .put_cut(&self.id, stored.map(Cut::id).as_ref(), &cut)
            .await?;
        Ok(cut)
    }

    async fn append_render_changed(&self, tip: Option<Oid>) -> Result<(), AttemptError> {
        let now = (self.now)();
        let on = tip.map(|tip| tip.to_string()).unwrap_or_default();
        let body = Body::RenderChanged(RenderChanged {
            mirror: Some(self.id.mirror.clone()),
            reason: "renderer, policies or options changed".into(),
            digest: format!("{} on {on}", self.render),
        });
        let envelope = Envelope::internal(self.topic.clone(), body, now);
        self.log.append(vec![NewEvent { envelope, at: now }]).await?;
        Ok(())
    }

    /// Files events that come to nothing, each once for a cut, however often that is tried.
    async fn file(&self, cut: &Cut, letters: Vec<Letter>, now: Timestamp) -> Result<(), AttemptError> {
        let id = cut.id();
        {
            let mut filed = self.filed();
            if filed.cut.as_ref() != Some(&id) {
                *filed = Filed {
                    cut: Some(id),
                    letters: BTreeMap::new(),
                };
            }
        }
        for Letter {
            object,
            reason,
            body,
            may_return,
        } in letters
        {
            if self.filed().letters.contains_key(&object) {
                continue;
            }
            tracing::warn!(lane = %self.id, %object, reason, "event put aside");
            let envelope = body.map(|body| Envelope::internal(self.topic.clone(), body, now));
            let key = envelope.as_ref().map(|envelope| envelope.key.clone());
            let letter = DeadLetter {
                topic: Some(self.topic.clone()),
                key: key.clone(),
                position: None,
                reason,
                body: object.to_string(),
                at: now,
                envelope,
            };
            let id = self.log.dead_letter(letter).await?;
            let again = key.filter(|_| may_return).map(|key| (key, id));
            self.filed().letters.insert(object, again);
        }
        Ok(())
    }

    fn filed(&self) -> MutexGuard<'_, Filed> {
        // Its parts are whole after every single statement that changes them.
        self.filed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes tree and commit; without a difference there is no commit.
    async fn commit(
        &self,
        mut built: Built,
        cut: Cut,
        tip: Option<Tip>,
        base: Option<Oid>,
        changes: Vec<CoveredChange>,
    ) -> Result<Finished, AttemptError> {
        self.blocking(move |lane| {
            let redactions = redactions(&built);
            let withheld = built
                .withheld
                .iter()
                .map(|(key, reason)| (key.clone(), reason.clone()))
                .collect();
            let mut draft = lane.git.draft();
            let outcome = built.write(lane, &mut draft, tip)?;
            crash_point!("after-tree");
            let Built {
                memory,
                known,
                whole,
                withheld_files,
                ..
            } = built;
            let mut finished = Finished {
                cut,
                memory,
                replace_all: whole,
                tip,
                base,
                commit: None,
                redactions,
                withheld,
                withheld_files,
            };
            // A first commit is made even without a difference: it says that the lane is mirrored.
            if !outcome.changed && tip.is_some_and(|tip| tip.own) && !finished.cut.snapshot {
                return Ok(finished);
            }
            let facts = CommitFacts {
                lane: &lane.id,
                project: &lane.spec.project,
                cut: &finished.cut,
                render: &lane.render,
                parent_committed_at: tip.map(|tip| tip.committed_at),
                changes,
            };
            let text = CommitDraft::new(facts);
            let kind = text.kind();
            let message = lane.transformer.seal(text, &known)?;
            let parents: Vec<Oid> = tip.iter().map(|tip| tip.id).collect();
            let id = draft.commit(outcome.tree, &parents, &message)?;
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
            Ok(finished)
        })
        .await
    }

    /// Makes the state durable, pushes, and moves the cursor.
    async fn publish(
        &self,
        finished: Finished,
        stored_cursor: Option<LaneCursor>,
        started: Instant,
    ) -> Result<Done, AttemptError> {
        let Finished {
            cut,
            mut memory,
            replace_all,
            tip,
            base,
            commit,
            redactions,
            withheld,
            withheld_files,
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
                put_aside: 0,
                may_return: Vec::new(),
                withheld_files,
            });
        };
        let delta = if replace_all {
            memory.all_rows()
        } else {
            memory.take_changes()
        };
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
            self.blocking(move |lane| {
                lane.git.save(&push)?;
                crash_point!("before-push");
                lane.remote.push(&push)?;
                crash_point!("after-push");
                if let Err(error) = lane.git.confirm(push) {
                    // Only the cache suffers; the remote has the commit.
                    tracing::warn!(lane = %lane.id, %error, "the local object store could not be tidied");
                    if error.is_damage() {
                        lane.git.reset()?;
                    }
                }
                Ok(())
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
            });
        }
        crash_point!("before-adopt");
        self.state.adopt(&self.id, id).await?;
        crash_point!("after-adopt");
        let cursor = cut.cursor(Some(id));
        self.log.commit(&self.id, stored_cursor.as_ref(), &cursor).await?;
        crash_point!("after-cursor");
        Ok(Done {
            tip: Some(id),
            base: Some(id),
            memory,
            cursor,
            landed,
            took: started.elapsed(),
            put_aside: 0,
            may_return: Vec::new(),
            withheld_files,
        })
    }
}

/// An attempt's work before it is made known to anybody.
struct Finished {
    cut: Cut,
    memory: Memory,
    replace_all: bool,
    tip: Option<Tip>,
    /// The commit that the stored state belongs to.
    base: Option<Oid>,
    commit: Option<Ready>,
    redactions: Vec<(ObjectKey, RedactionStats)>,
    withheld: Vec<(ObjectKey, WithholdReason)>,
    withheld_files: BTreeMap<String, String>,
}

/// Where the line came to.
enum Straight {
    Done(Box<Done>),
    /// These cannot be rendered and must be left as they are, which changes where others stand.
    Again(BTreeMap<ObjectKey, WithholdReason>),
}

struct Ready {
    kind: CommitKind,
    message: String,
    author: String,
    outcome: TreeOutcome,
    push: PendingPush,
}

fn redactions(built: &Built) -> Vec<(ObjectKey, RedactionStats)> {
    let objects = built
        .content
        .iter()
        .flat_map(mirror_core::batch::MirrorBatch::objects);
    objects
        .filter_map(|object| {
            let key = super::memory::object_of(object.subject())?.clone();
            (object.stats().found() > 0).then(|| (key, object.stats().clone()))
        })
        .collect()
}

/// Says which versions the commit covers: the source's word where it has one, else the events'.
fn changes(cut: &Cut, fetched: &Fetched, covered: &BTreeMap<ConfigKey, Covered>) -> Vec<CoveredChange> {
    let mut changes = Vec::new();
    for (key, config) in &fetched.configs {
        let mut change = match cut.configs.get(key) {
            Some(wanted) => CoveredChange::of_event(key.clone(), wanted),
            // Only its metadata changed: that is no version.
            None if !fetched.whole => continue,
            None => unknown(key),
        };
        tell(&mut change, &config.name, &config.revision);
        changes.push(change);
    }
    let vanished: BTreeSet<&ConfigKey> = if fetched.whole {
        covered
            .keys()
            .filter(|key| !fetched.configs.contains_key(*key))
            .collect()
    } else {
        fetched
            .gone
            .keys()
            .filter(|key| covered.contains_key(*key))
            .collect()
    };
    for key in vanished {
        let mut change = cut.configs.get(key).map_or_else(
            || unknown(key),
            |wanted| CoveredChange::of_event(key.clone(), wanted),
        );
        if let Some(Some((name, revision))) = fetched.gone.get(key) {
            tell(&mut change, name, revision);
        }
        change.deleted = true;
        changes.push(change);
    }
    changes
}

fn unknown(key: &ConfigKey) -> CoveredChange {
    CoveredChange {
        key: key.clone(),
        name: None,
        version: 0,
        identifier: None,
        deleted: false,
        created: None,
        author: None,
        description: None,
        earlier_authors: Vec::new(),
    }
}

fn tell(change: &mut CoveredChange, name: &str, revision: &Revision) {
    let Revision {
        version,
        identifier,
        created,
        author,
        change_description,
        ..
    } = revision;
    change.name = Some(name.to_owned());
    change.version = *version;
    change.identifier = identifier.clone().or(change.identifier.take());
    change.created = (*created).or(change.created);
    if let Some(author) = author {
        change.author = Some(Author {
            token: author.token_id.clone(),
            text: author.description.clone(),
        });
    }
    change.description = Some(change_description.clone());
}
