//! What operators ask of an installation: one set of answers, whether its process runs or not.
//!
//! A running process has the data directory to itself, so commands ask it through a socket there ([`socket`]). Where none
//! runs, they open the same log and state for a moment. Requests and answers are one JSON line each.

pub mod socket;

use crate::{
    config::{Config, MirrorSpec, QueueConfig},
    pipeline::attempt::Lane,
    queue::{
        DeadLetterId, EventLog, FiledLetter, LogError, NewEvent,
        reader::{Read, Reader},
    },
    runner::Runner,
    state::pauses::PauseStore,
};
use jiff::Timestamp;
use mirror_core::{
    cut::{Logged, Position, Stream},
    event::parse_external,
    ids::{BranchId, Topic},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{fmt, sync::Arc};
use thiserror::Error;

/// Something that an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Events of a mirror's branch, oldest first.
    Events {
        mirror: String,
        branch: String,
        after: u64,
        max: usize,
    },
    /// Events to append, as the HTTP ingest takes them.
    Publish { mirror: String, events: Vec<Value> },
    /// Dead letters of a mirror, or all, oldest first.
    DeadLetters {
        mirror: Option<String>,
        after: u64,
        max: usize,
    },
    /// Dead letters whose events are to be appended anew; none: all of the mirror that can be and were not.
    Replay {
        mirror: Option<String>,
        letters: Vec<u64>,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// Dead letters that need no replay; none: all, of the mirror or of no project, whose events could not be read.
    Acknowledge {
        mirror: Option<String>,
        letters: Vec<u64>,
    },
    /// Let a mirror's branches start nothing new, or go on.
    Pause { mirror: String, paused: bool },
    /// Have everything of a mirror compared with its source and rendered anew.
    Resync { mirror: String },
    /// Which mirrors there are, and how each stands.
    Mirrors,
    /// How a mirror stands.
    Status { mirror: String },
    /// Render from the source and compare with what the repository has; nothing is changed.
    Verify { mirror: String },
}

impl Request {
    /// Returns whether nothing is changed by it.
    #[must_use]
    pub fn only_asks(&self) -> bool {
        match self {
            Self::Events { .. }
            | Self::DeadLetters { .. }
            | Self::Mirrors
            | Self::Status { .. }
            | Self::Verify { .. } => true,
            Self::Replay { dry_run, .. } => *dry_run,
            Self::Acknowledge { .. } | Self::Publish { .. } | Self::Pause { .. } | Self::Resync { .. } => {
                false
            }
        }
    }
}

/// Why something that was asked for is not done.
#[derive(Debug, Error)]
pub enum ControlError {
    #[error("there is no mirror `{id}`; known: {known}")]
    NoMirror { id: String, known: String },
    #[error("`{text}` is no id of a branch")]
    Branch { text: String },
    #[error("event {index} cannot be taken: {problem}; nothing was appended")]
    Event { index: usize, problem: String },
    #[error("the log failed")]
    Log(#[from] LogError),
    #[error("{0}")]
    Failed(String),
    #[error("a running process is needed for this; start `kbc-mirror serve`")]
    NotRunning,
}

/// Answers requests.
pub struct Control {
    pub config: Config,
    pub log: Arc<dyn EventLog>,
    pub pauses: PauseStore,
    /// None where no process runs.
    pub runner: Option<Arc<Runner>>,
    pub now: fn() -> Timestamp,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// Events or dead letters that are looked through at a time.
const PAGE: usize = 500;

impl Control {
    /// Answers a request.
    ///
    /// # Errors
    /// See [`ControlError`]; unless it says otherwise nothing was done.
    pub async fn answer(&self, request: Request) -> Result<Value, ControlError> {
        match request {
            Request::Events {
                mirror,
                branch,
                after,
                max,
            } => self.events(&mirror, &branch, after, max).await,
            Request::Publish { mirror, events } => self.publish(&mirror, &events).await,
            Request::DeadLetters { mirror, after, max } => {
                self.dead_letters(mirror.as_deref(), after, max).await
            }
            Request::Replay {
                mirror,
                letters,
                dry_run,
            } => self.replay(mirror.as_deref(), &letters, dry_run).await,
            Request::Acknowledge { mirror, letters } => self.acknowledge(mirror.as_deref(), &letters).await,
            Request::Pause { mirror, paused } => self.pause(&mirror, paused).await,
            Request::Resync { mirror } => self.resync(&mirror).await,
            Request::Mirrors => self.mirrors().await,
            Request::Status { mirror } => self.status(&mirror).await,
            Request::Verify { mirror } => self.verify(&mirror).await,
        }
    }

    fn mirror(&self, id: &str) -> Result<&MirrorSpec, ControlError> {
        let mirrors = &self.config.mirrors;
        let found = mirrors.iter().find(|spec| spec.id.as_str() == id);
        found.ok_or_else(|| ControlError::NoMirror {
            id: id.chars().filter(|c| !c.is_control()).take(100).collect(),
            known: mirrors
                .iter()
                .map(|spec| spec.id.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    async fn events(
        &self,
        mirror: &str,
        branch: &str,
        after: u64,
        max: usize,
    ) -> Result<Value, ControlError> {
        let spec = self.mirror(mirror)?;
        let branch: BranchId = branch.parse().map_err(|_| ControlError::Branch {
            text: branch.chars().filter(|c| !c.is_control()).take(100).collect(),
        })?;
        let topic = Topic {
            stack: spec.stack.clone(),
            project: spec.project.clone(),
            branch,
        };
        let mut newest = Position::START;
        for stream in Stream::ALL {
            newest = newest.max(self.log.newest(&topic, stream).await?);
        }
        let between = (Position(after), newest);
        let mut reader = Reader::new(&*self.log, &topic, None, between, max.clamp(1, PAGE));
        let mut found = Vec::new();
        while found.len() < max
            && let Some(read) = reader.next().await?
        {
            match read {
                Read::Events(events) => found.extend(events.iter().map(event)),
                Read::Unreadable { position, error } => found.push(json!({
                    "position": position.0,
                    "problem": crate::app::chain(&error),
                })),
            }
        }
        found.truncate(max);
        Ok(json!({ "events": found }))
    }

    async fn publish(&self, mirror: &str, events: &[Value]) -> Result<Value, ControlError> {
        let spec = self.mirror(mirror)?;
        let now = (self.now)();
        let mut batch = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let wrong = |problem: String| ControlError::Event { index, problem };
            let parsed = parse_external(event.to_string().as_bytes(), None, &spec.stack, None, None, now);
            let envelope = parsed.map_err(|error| wrong(crate::app::chain(&error)))?;
            if *envelope.project() != spec.project {
                return Err(wrong(format!(
                    "it is of project {}, the mirror of {}",
                    envelope.project(),
                    spec.project
                )));
            }
            batch.push(NewEvent { envelope, at: now });
        }
        let appended = self.log.append(batch).await?;
        let duplicates = appended.iter().filter(|one| one.duplicate).count();
        Ok(json!({ "accepted": appended.len() - duplicates, "duplicates": duplicates }))
    }

    /// Reads dead letters, of one mirror or all, after an id.
    async fn letters(
        &self,
        mirror: Option<&str>,
        after: u64,
        max: usize,
    ) -> Result<Vec<FiledLetter>, ControlError> {
        let spec = mirror.map(|mirror| self.mirror(mirror)).transpose()?;
        let is_meant = |letter: &FiledLetter| {
            spec.is_none_or(|spec| {
                let topic = letter.letter.topic.as_ref();
                topic.is_some_and(|topic| topic.stack == spec.stack && topic.project == spec.project)
            })
        };
        let mut found = Vec::new();
        let mut after = Some(DeadLetterId(after));
        while found.len() < max {
            let page = self.log.dead_letters(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            found.extend(page.into_iter().filter(is_meant));
        }
        found.truncate(max);
        Ok(found)
    }

    async fn dead_letters(
        &self,
        mirror: Option<&str>,
        after: u64,
        max: usize,
    ) -> Result<Value, ControlError> {
        let now = (self.now)();
        let letters = self.letters(mirror, after, max).await?;
        Ok(json!({ "deadLetters": letters.iter().map(|filed| letter(filed, now)).collect::<Vec<_>>() }))
    }

    async fn replay(
        &self,
        mirror: Option<&str>,
        letters: &[u64],
        dry_run: bool,
    ) -> Result<Value, ControlError> {
        let all = self.letters(mirror, 0, usize::MAX).await?;
        let can_be = |filed: &&FiledLetter| filed.replayed_at.is_none() && filed.letter.envelope.is_some();
        let chosen: Vec<&FiledLetter> = match letters {
            [] => all
                .iter()
                .filter(can_be)
                .filter(|filed| filed.acknowledged_at.is_none())
                .collect(),
            ids => named(&all, ids)?,
        };
        let (mut replayed, mut refused) = (Vec::new(), Vec::new());
        for filed in chosen {
            if dry_run {
                match can_be(&filed) {
                    true => replayed.push(letter(filed, (self.now)())),
                    false => refused.push(json!({ "id": filed.id.0, "problem": unplayable(filed) })),
                }
                continue;
            }
            match self.log.replay(filed.id, (self.now)()).await {
                Ok(_) => replayed.push(letter(filed, (self.now)())),
                Err(error @ (LogError::NotReplayable { .. } | LogError::NoSuchLetter { .. })) => {
                    refused.push(json!({ "id": filed.id.0, "problem": error.to_string() }));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(json!({ "dryRun": dry_run, "replayed": replayed, "refused": refused }))
    }

    async fn acknowledge(&self, mirror: Option<&str>, letters: &[u64]) -> Result<Value, ControlError> {
        let all = self.letters(mirror, 0, usize::MAX).await?;
        let is_settled = |filed: &FiledLetter| filed.replayed_at.is_some() || filed.acknowledged_at.is_some();
        let chosen: Vec<&FiledLetter> = match letters {
            [] => all
                .iter()
                .filter(|filed| filed.letter.envelope.is_none() && !is_settled(filed))
                .collect(),
            ids => named(&all, ids)?,
        };
        let now = (self.now)();
        let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
        for filed in chosen {
            if self.log.acknowledge(filed.id, now).await? {
                tracing::info!(letter = filed.id.0, filed_at = %filed.letter.at, "an operator acknowledged a dead letter");
                acknowledged.push(letter(filed, now));
            } else {
                let problem = match filed.replayed_at {
                    Some(_) => "it was replayed before",
                    None => "it was acknowledged before",
                };
                refused.push(json!({ "id": filed.id.0, "problem": problem }));
            }
        }
        Ok(json!({ "acknowledged": acknowledged, "refused": refused }))
    }

    async fn pause(&self, mirror: &str, paused: bool) -> Result<Value, ControlError> {
        let spec = self.mirror(mirror)?;
        let at = paused.then(|| (self.now)());
        let stored = self.pauses.set(&spec.id, at).await;
        stored.map_err(|error| ControlError::Failed(crate::app::chain(&error)))?;
        let mut failing = Vec::new();
        if let Some(runner) = &self.runner {
            failing = runner.failing_of(&spec.id);
            runner.pause(&spec.id, paused);
        }
        Ok(json!({
            "mirror": mirror,
            "paused": paused,
            "running": self.runner.is_some(),
            "failing": failing,
        }))
    }

    async fn resync(&self, mirror: &str) -> Result<Value, ControlError> {
        let spec = self.mirror(mirror)?;
        let runner = self.runner.as_ref().ok_or(ControlError::NotRunning)?;
        let failed = |error: &dyn std::error::Error| ControlError::Failed(crate::app::chain(error));
        let lanes = opened(runner.lanes_of(&spec.id).await)?;
        for lane in &lanes {
            lane.resync().await.map_err(|error| failed(&error))?;
        }
        runner.hasten();
        let paused = self
            .pauses
            .since(&spec.id)
            .await
            .map_err(|error| failed(&error))?;
        Ok(json!({
            "mirror": mirror,
            "branches": lanes.len(),
            "pausedSince": paused.map(|at| at.to_string()),
            "failing": runner.failing_of(&spec.id),
        }))
    }

    /// Returns whether another process may have what this one has not.
    fn is_shared(&self) -> bool {
        matches!(self.config.queue, QueueConfig::JetStream(_))
    }

    async fn mirrors(&self) -> Result<Value, ControlError> {
        let mut listed = Vec::with_capacity(self.config.mirrors.len());
        for spec in &self.config.mirrors {
            let paused = self.pauses.since(&spec.id).await;
            let paused = paused.map_err(|error| ControlError::Failed(crate::app::chain(&error)))?;
            let summary = self
                .runner
                .as_ref()
                .and_then(|runner| runner.summary_of(&spec.id));
            let summary = summary.map(|summary| {
                json!({
                    "state": summary.state,
                    "branches": summary.lanes,
                    "backlog": summary.backlog,
                    "withheld": summary.withheld,
                    "lastPush": summary.last_push.map(|at| at.to_string()),
                    "reason": summary.reason,
                })
            });
            listed.push(json!({
                "mirror": spec.id.as_str(),
                "stack": spec.stack.as_str(),
                "projectId": spec.project.as_str(),
                "repository": spec.repository.to_string(),
                "branch": spec.branch,
                "pausedSince": paused.map(|at| at.to_string()),
                "standing": summary,
            }));
        }
        let unmirrored = self.runner.as_ref().map(|runner| runner.unmirrored());
        Ok(json!({
            "running": self.runner.is_some(),
            "shared": self.is_shared(),
            "mirrors": listed,
            "unmirrored": unmirrored,
        }))
    }

    async fn status(&self, mirror: &str) -> Result<Value, ControlError> {
        let spec = self.mirror(mirror)?;
        let runner = self.runner.as_ref().ok_or(ControlError::NotRunning)?;
        let page = runner.status_of(&spec.id).await;
        let mut page = page.map_err(|error| ControlError::Failed(crate::app::chain(&error)))?;
        page["shared"] = self.is_shared().into();
        page["log"] = self.log.over().map(|over| crate::app::chain(&over)).into();
        Ok(page)
    }

    async fn verify(&self, mirror: &str) -> Result<Value, ControlError> {
        let spec = self.mirror(mirror)?;
        let runner = self.runner.as_ref().ok_or(ControlError::NotRunning)?;
        let mut branches = Vec::new();
        for lane in opened(runner.lanes_of(&spec.id).await)? {
            match lane.verify().await {
                Ok(verified) => branches.push(verified.as_json(&lane)),
                Err(error) => {
                    let told = lane.reason_of(&error).await;
                    return Err(ControlError::Failed(format!("{}: {told}", lane.id)));
                }
            }
        }
        Ok(json!({ "mirror": mirror, "branches": branches }))
    }
}

fn opened(lanes: Vec<Lane>) -> Result<Vec<Lane>, ControlError> {
    if lanes.is_empty() {
        return Err(ControlError::Failed(
            "no branch of the mirror is open yet; `/v1/status` says why".into(),
        ));
    }
    Ok(lanes)
}

/// Finds letters by their ids.
fn named<'l>(all: &'l [FiledLetter], ids: &[u64]) -> Result<Vec<&'l FiledLetter>, LogError> {
    let known = |id: &u64| {
        let found = all.iter().find(|filed| filed.id.0 == *id);
        found.ok_or(LogError::NoSuchLetter { id: *id })
    };
    ids.iter().map(known).collect()
}

fn unplayable(filed: &FiledLetter) -> &'static str {
    match filed.replayed_at {
        Some(_) => "it was replayed before",
        None => "its event could not be read; publish it again, mended",
    }
}

fn event(logged: &Logged) -> Value {
    let Logged {
        position,
        appended_at,
        envelope,
    } = logged;
    json!({
        "position": position.0,
        "kind": envelope.kind().as_str(),
        "eventId": envelope.key.event_id(),
        "occurredAt": envelope.occurred_at.to_string(),
        "publishedAt": envelope.published_at.to_string(),
        "appendedAt": appended_at.to_string(),
        "body": envelope.body,
    })
}

fn letter(
    FiledLetter {
        id,
        letter,
        replayed_at,
        acknowledged_at,
    }: &FiledLetter,
    now: Timestamp,
) -> Value {
    json!({
        "id": id.0,
        "at": letter.at.to_string(),
        "ageSeconds": now.duration_since(letter.at).as_secs().max(0),
        "projectId": letter.topic.as_ref().map(|topic| topic.project.as_str()),
        "branchId": letter.topic.as_ref().map(|topic| topic.branch.as_str()),
        "reason": letter.reason,
        "about": letter.body,
        "replayable": letter.envelope.is_some() && replayed_at.is_none(),
        "replayedAt": replayed_at.map(|at| at.to_string()),
        "acknowledgedAt": acknowledged_at.map(|at| at.to_string()),
    })
}
