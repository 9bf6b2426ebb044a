//! The attempt: one straight line from a lane's events to a commit that the remote has.
//!
//! It may be killed between any two steps; the next one comes to the same commit or finds it there.

use super::{
    build::{Built, owned_files},
    error::AttemptError,
    fetch::{Covered, Fetched, Scope, Source},
    memory::Memory,
    recover::{Start, Tip},
    transform::Transformer,
};
use crate::{
    config::MirrorSpec,
    crash_point,
    queue::{DeadLetter, EventLog, NewEvent},
    state::{Prepared, StateStore},
};
use jiff::Timestamp;
use mirror_core::{
    commit::{Author, CommitDraft, CommitFacts, CommitKind, CoveredChange},
    cut::{ConfigKey, Cut, LaneCursor, Logged, Stream},
    digest::RenderDigest,
    event::{Body, Envelope, RenderChanged},
    finding::WithholdReason,
    ids::{LaneId, ObjectKey, Oid, Topic},
    redaction::RedactionStats,
};
use mirror_git::{PendingPush, RefName, Remote, Store, TreeOutcome};
use mirror_keboola::{DevBranch, Revision};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
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
    /// The ref at whose commit a new one starts: the default branch's, for a dev branch.
    pub starts_at: Option<RefName>,
    pub render: RenderDigest,
    pub source: Arc<Source>,
    pub transformer: Arc<Transformer>,
    pub git: Arc<Store>,
    pub remote: Arc<dyn Remote>,
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

/// How an attempt ended well.
#[derive(Debug)]
pub struct Done {
    /// The commit that the remote has now.
    pub tip: Option<Oid>,
    pub memory: Memory,
    pub cursor: LaneCursor,
    /// Set where there is a new commit.
    pub landed: Option<Landed>,
    /// How long building and pushing took.
    pub took: Duration,
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
    /// Events covered, and from the publishing of the first to the confirmation.
    pub events: u64,
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
        crash_point!("attempt-start");
        let started = Instant::now();
        let start = self.recover(held).await?;
        self.refuse_foreign(&start).await?;
        let cut = self.cut(&start, due).await?;
        crash_point!("after-cut");
        let first = start.mirrored.is_none() || start.tip.is_none_or(|tip| !tip.own);
        let rebuild = first || !start.memory_holds || cut.render.is_some();
        if cut.is_empty() && !rebuild {
            let Start {
                tip, cursor, memory, ..
            } = start;
            return Ok(Done {
                tip: tip.map(|tip| tip.id),
                memory,
                cursor,
                landed: None,
                took: started.elapsed(),
            });
        }
        let scope = Scope {
            storage: true,
            samples: self.spec.samples,
            jobs: self.spec.jobs.is_some(),
            now: (self.now)(),
        };
        let Start {
            tip,
            cursor: _,
            stored_cursor,
            memory,
            mirrored,
            ..
        } = start;
        let covered = memory.covered();
        let fetched = if rebuild {
            let fetched = self.source.whole(&self.branch, scope).await?;
            visible(&cut, &fetched, scope.now)?;
            fetched
        } else {
            self.source.cut(&self.branch, &cut, &covered, scope).await?
        };
        let mut changes = changes(&cut, &fetched, &covered);
        if rebuild && !first && mirrored.as_ref() == Some(&self.render) {
            // Read back, not asked for: what is the same is no change.
            changes.retain(|change| {
                covered
                    .get(&change.key)
                    .is_none_or(|had| change.deleted || had.version != change.version)
            });
        }
        self.file(&fetched, scope.now).await?;
        let built = self.build(memory, fetched, scope).await?;
        let finished = self.commit(built, cut, tip, changes).await?;
        self.publish(finished, stored_cursor, started).await
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
        let found = self
            .blocking(move |lane| Ok(owned_files(&lane.transformer, &lane.git, tip.tree)?))
            .await?;
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
            self.append_render_changed().await?;
        }
        let stored = self.log.cut(&self.id).await?;
        if let Some(cut) = &stored
            && cut.log == start.cursor.log
            && (cut.change_after, cut.jobs_after) == (start.cursor.change, start.cursor.jobs)
        {
            return Ok(cut.clone());
        }
        let mut events: Vec<Logged> = Vec::new();
        for (stream, due) in [
            (Stream::Change, due.change || first),
            (Stream::Jobs, due.jobs || first),
        ] {
            if due {
                events.extend(
                    self.log
                        .read(&self.topic, start.cursor.of(stream), Some(stream), EVENTS_MAX)
                        .await?,
                );
            }
        }
        let mut cut = Cut::of(&start.cursor, &events, (self.now)());
        cut.snapshot = first;
        if cut.is_empty() && start.memory_holds {
            return Ok(cut);
        }
        if !first && !start.memory_holds && cut.events.count == 0 {
            cut.render = Some("the repository was compared with the source".into());
        }
        let seen = stored.as_ref().map(Cut::id);
        self.log.put_cut(&self.id, seen.as_ref(), &cut).await?;
        Ok(cut)
    }

    async fn append_render_changed(&self) -> Result<(), AttemptError> {
        let now = (self.now)();
        let body = Body::RenderChanged(RenderChanged {
            reason: "renderer, policies or options changed".into(),
            digest: self.render.to_string(),
        });
        let envelope = Envelope::internal(self.topic.clone(), body, now);
        self.log.append(vec![NewEvent { envelope, at: now }]).await?;
        Ok(())
    }

    /// Files events that the source does not bear out.
    async fn file(&self, fetched: &Fetched, now: Timestamp) -> Result<(), AttemptError> {
        for unfounded in &fetched.unfounded {
            tracing::warn!(lane = %self.id, object = %unfounded.object, reason = unfounded.reason, "event put aside");
            let letter = DeadLetter {
                topic: Some(self.topic.clone()),
                key: None,
                position: None,
                reason: unfounded.reason.clone(),
                body: unfounded.object.to_string(),
                at: now,
                envelope: None,
            };
            self.log.dead_letter(letter).await?;
        }
        Ok(())
    }

    /// Writes tree and commit; without a difference there is no commit.
    async fn commit(
        &self,
        mut built: Built,
        cut: Cut,
        tip: Option<Tip>,
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
            let outcome = built.write(&lane.transformer, &lane.git, &mut draft, tip)?;
            crash_point!("after-tree");
            let Built {
                memory, known, whole, ..
            } = built;
            let mut finished = Finished {
                cut,
                memory,
                replace_all: whole,
                tip,
                commit: None,
                redactions,
                withheld,
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
            commit,
            redactions,
            withheld,
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
                memory,
                cursor,
                landed: None,
                took: started.elapsed(),
            });
        };
        let delta = if replace_all {
            memory.all_rows()
        } else {
            memory.take_changes()
        };
        let base = tip.map(|tip| tip.id);
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
            memory,
            cursor,
            landed,
            took: started.elapsed(),
        })
    }
}

/// An attempt's work before it is made known to anybody.
struct Finished {
    cut: Cut,
    memory: Memory,
    replace_all: bool,
    tip: Option<Tip>,
    commit: Option<Ready>,
    redactions: Vec<(ObjectKey, RedactionStats)>,
    withheld: Vec<(ObjectKey, WithholdReason)>,
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

/// A listing that was read after the cut must show all that the cut has heard of.
fn visible(cut: &Cut, fetched: &Fetched, now: Timestamp) -> Result<(), AttemptError> {
    if now.duration_since(cut.appended_at) > super::fetch::visible_within() {
        return Ok(());
    }
    for (key, wanted) in cut.configs.iter().filter(|(_, wanted)| !wanted.deleted) {
        let behind = fetched
            .configs
            .get(key)
            .is_some_and(|config| config.revision.version < wanted.version);
        if behind {
            let error = super::fetch::FetchError::NotVisible {
                key: key.clone(),
                version: wanted.version,
            };
            return Err(error.into());
        }
    }
    Ok(())
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
