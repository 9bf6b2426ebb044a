//! Positions in the log, and cuts: what one attempt stands for.
//!
//! A cut is made once, from a lane's events, and stored before anything is rendered. Every retry
//! reuses it, so that equal cut and equal parent give the equal commit on any worker. How events
//! are stored, and what the objects look like, is not known here.

pub mod groups;

use crate::{
    event::{
        Body, BranchChanged, ConfigChanged, ConfigDeleted, Envelope, JobFinished, RunStatus, StorageChanged,
    },
    ids::{BucketId, ComponentId, ConfigId, InvalidId, MirrorId, ObjectKey, Oid, RunId, TableId},
    key::{EventsDigest, digest_of_texts},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Place of an event in its log: from 1, ascending, never reused. Comparable only within one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
    /// After the last event, whatever is appended.
    pub const END: Self = Self(u64::MAX);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of a log: a new one whenever the log is made anew. 1 to 64 of `0-9`, `a-z` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogId(String);

impl LogId {
    /// Parses the id.
    ///
    /// # Errors
    /// Anything but 1 to 64 of the characters above.
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&raw.len()) && raw.bytes().all(fits) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(InvalidId {
                what: "log id",
                problem: "not 1 to 64 of `0-9`, `a-z` and `-`",
            })
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({})", self.0)
    }
}

impl TryFrom<String> for LogId {
    type Error = InvalidId;
    fn try_from(raw: String) -> Result<Self, InvalidId> {
        Self::parse(&raw)
    }
}

impl From<LogId> for String {
    fn from(id: LogId) -> String {
        id.0
    }
}

/// The two streams of a lane, each with its own cursor, window and backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Configurations, metadata, the branch, storage seen to differ, rendering.
    Change,
    /// Runs, and the tables they wrote.
    Jobs,
}

impl Stream {
    pub const ALL: [Self; 2] = [Self::Change, Self::Jobs];
}

/// How far a lane's remote is known to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCursor {
    pub log: LogId,
    /// The remote has every change up to and with this.
    pub change: Position,
    pub jobs: Position,
    /// The commit that the remote had then; none before the first.
    pub tip: Option<Oid>,
}

impl LaneCursor {
    /// Returns the cursor of a lane that has nothing of this log yet.
    #[must_use]
    pub fn start(log: LogId) -> Self {
        Self {
            log,
            change: Position::START,
            jobs: Position::START,
            tip: None,
        }
    }

    #[must_use]
    pub fn of(&self, stream: Stream) -> Position {
        match stream {
            Stream::Change => self.change,
            Stream::Jobs => self.jobs,
        }
    }
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub position: Position,
    pub appended_at: Timestamp,
    pub envelope: Envelope,
}

/// Names a configuration within a branch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigKey {
    pub component: ComponentId,
    pub config: ConfigId,
}

impl ConfigKey {
    /// Returns the configuration that an object is, or that a row belongs to; none for all else.
    #[must_use]
    pub fn of(object: &ObjectKey) -> Option<Self> {
        let (component, config) = object.config()?;
        Some(Self {
            component: component.clone(),
            config: config.clone(),
        })
    }
}

impl From<ConfigKey> for ObjectKey {
    fn from(ConfigKey { component, config }: ConfigKey) -> Self {
        Self::Config { component, config }
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.component, self.config)
    }
}

/// What a cut wants of one configuration: its highest version, or its absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// 0 where it is not known.
    pub version: u64,
    pub identifier: Option<String>,
    /// Seen to be gone. The source has the last word: it may have been restored since.
    pub deleted: bool,
    pub occurred_at: Timestamp,
    /// As the event says; a fallback where the source does not tell.
    pub author: Option<String>,
    /// Who made the lower versions that the cut also covers, as the events say; each once, ascending.
    pub earlier_authors: BTreeSet<String>,
    /// Where the source did not show it to an attempt before: since when it is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited_since: Option<Timestamp>,
}

/// What an event tells of a run, beside what the source has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedRun {
    pub component: ComponentId,
    pub config: Option<ConfigId>,
    pub state_digest: Option<String>,
    pub artifact_links: Vec<String>,
    pub status: RunStatus,
    pub finished_at: Option<Timestamp>,
    /// As [`Wanted::awaited_since`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited_since: Option<Timestamp>,
}

impl WantedRun {
    /// Takes what an event tells.
    #[must_use]
    pub fn of(job: &JobFinished) -> Self {
        Self {
            component: job.component.clone(),
            config: job.config.clone(),
            state_digest: job.state_digest.clone(),
            artifact_links: job.artifact_links.clone(),
            status: job.status,
            finished_at: job.finished_at,
            awaited_since: None,
        }
    }

    /// Takes the later telling of a run, and of an earlier one what only that has.
    pub fn put(self, run: RunId, runs: &mut BTreeMap<RunId, Self>) {
        let mut now = self;
        if let Some(before) = runs.remove(&run) {
            now.state_digest = now.state_digest.or(before.state_digest);
            if now.artifact_links.is_empty() {
                now.artifact_links = before.artifact_links;
            }
            now.awaited_since = now.awaited_since.or(before.awaited_since);
        }
        runs.insert(run, now);
    }
}

/// What one attempt stands for; see the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    pub log: LogId,
    /// The cursor it starts from.
    pub change_after: Position,
    pub jobs_after: Position,
    /// Positions of the last events covered; those above where a stream has none.
    pub change_through: Position,
    pub jobs_through: Position,
    /// Everything is read and rendered, whatever the events say: a first sync.
    pub snapshot: bool,
    /// It covers versions from before the mirror, and nothing else; a first sync is yet to come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backfill: bool,
    /// Where it becomes several commits: positions of the changes with which the second and further ones begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Position>,
    #[serde(with = "pairs")]
    pub configs: BTreeMap<ConfigKey, Wanted>,
    #[serde(with = "pairs")]
    pub runs: BTreeMap<RunId, WantedRun>,
    pub tables: BTreeSet<TableId>,
    /// Buckets beside those of the tables.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub buckets: BTreeSet<BucketId>,
    /// Objects whose metadata changed.
    pub metadata: BTreeSet<ObjectKey>,
    pub branch_changed: bool,
    pub branch_deleted: bool,
    /// Why everything is to be rendered anew; the last reason, if there were several.
    pub render: Option<String>,
    pub events: EventsDigest,
    /// When the last covered event was appended; of a snapshot, when its cut was made.
    pub appended_at: Timestamp,
    /// When the first covered event of the stream was published; latency counts from here.
    pub change_published_at: Option<Timestamp>,
    pub jobs_published_at: Option<Timestamp>,
    /// What events tell of runs that are listed with everything else.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<RunId, WantedRun>,
    /// `event_id` of the last covered event, for logs.
    #[serde(default)]
    pub last_event: Option<String>,
    /// Trace contexts of covered events, at most [`TRACES_MAX`].
    pub traces: Vec<String>,
}

/// So many publishers' traces are linked from one commit.
pub const TRACES_MAX: usize = 16;

/// Identity of a cut: the digest of its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CutId(String);

impl CutId {
    /// Takes an id as a store kept it.
    #[must_use]
    pub fn stored(raw: String) -> Self {
        Self(raw)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cut {
    /// Cuts a lane of `mirror` at the last of `events`, which are all of its events after `cursor`, up
    /// to there, of the streams that are to be covered. `now` only matters where there are none.
    #[must_use]
    pub fn of(mirror: &MirrorId, cursor: &LaneCursor, events: &[Logged], now: Timestamp) -> Self {
        let mut cut = Self {
            log: cursor.log.clone(),
            change_after: cursor.change,
            jobs_after: cursor.jobs,
            change_through: cursor.change,
            jobs_through: cursor.jobs,
            snapshot: false,
            backfill: false,
            windows: Vec::new(),
            configs: BTreeMap::new(),
            runs: BTreeMap::new(),
            tables: BTreeSet::new(),
            buckets: BTreeSet::new(),
            metadata: BTreeSet::new(),
            branch_changed: false,
            branch_deleted: false,
            render: None,
            events: EventsDigest::default(),
            appended_at: now,
            change_published_at: None,
            jobs_published_at: None,
            told: BTreeMap::new(),
            last_event: None,
            traces: Vec::new(),
        };
        let mut ordered: Vec<&Logged> = events.iter().collect();
        ordered.sort_by_key(|logged| (logged.envelope.stream(), logged.position));
        for logged in ordered {
            cut.cover(mirror, logged);
        }
        cut
    }

    /// Cuts a lane at the last of `events`, of which those from before the mirror are covered. Time and place of what else
    /// happens are the first sync's affair.
    #[must_use]
    pub fn of_past(mirror: &MirrorId, cursor: &LaneCursor, events: &[Logged], now: Timestamp) -> Self {
        let mut cut = Self::of(mirror, cursor, &[], now);
        cut.backfill = true;
        for logged in events {
            if let Body::ConfigHistory(changed) = &logged.envelope.body {
                cut.count(logged);
                cut.want_changed(changed, logged.envelope.occurred_at, None);
                cut.last_event = Some(logged.envelope.key.event_id());
            }
        }
        let last = events.iter().map(|logged| logged.position).max();
        cut.change_through = last.map_or(cut.change_through, |last| last.max(cut.change_through));
        cut
    }

    /// Returns the identity of this cut.
    #[must_use]
    pub fn id(&self) -> CutId {
        let text = serde_json::to_string(self).expect("a cut has only text keys, so it is always JSON");
        let mut digest = digest_of_texts([text.as_str()]);
        digest.truncate(32);
        CutId(digest)
    }

    /// Returns the cursor after the remote has the cut as commit `tip`.
    #[must_use]
    pub fn cursor(&self, tip: Option<Oid>) -> LaneCursor {
        LaneCursor {
            log: self.log.clone(),
            change: self.change_through,
            jobs: self.jobs_through,
            tip,
        }
    }

    #[must_use]
    pub fn through(&self, stream: Stream) -> Position {
        match stream {
            Stream::Change => self.change_through,
            Stream::Jobs => self.jobs_through,
        }
    }

    /// Returns whether the cut covers nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.snapshot && self.events.count == 0
    }

    /// Returns whether nothing but runs is in it.
    #[must_use]
    pub fn is_of_runs(&self) -> bool {
        !self.snapshot && self.render.is_none() && self.change_through == self.change_after
    }

    /// Returns the part of it that concerns runs, for a commit that has nothing else.
    #[must_use]
    pub fn only_runs(&self) -> Self {
        Self {
            snapshot: false,
            windows: Vec::new(),
            configs: BTreeMap::new(),
            tables: BTreeSet::new(),
            buckets: BTreeSet::new(),
            metadata: BTreeSet::new(),
            branch_changed: false,
            branch_deleted: false,
            render: None,
            ..self.clone()
        }
    }

    /// Takes in one more event, which stands after all that were taken in of its stream; those of runs come last. So a cut
    /// is made page by page, and is as large as what was changed, not as what was told.
    pub fn cover(&mut self, mirror: &MirrorId, logged: &Logged) {
        self.count(logged);
        let Logged {
            position, envelope, ..
        } = logged;
        let (through, published_at) = match envelope.stream() {
            Stream::Change => (&mut self.change_through, &mut self.change_published_at),
            Stream::Jobs => (&mut self.jobs_through, &mut self.jobs_published_at),
        };
        *through = (*through).max(*position);
        if matches!(envelope.body, Body::ConfigHistory(_)) {
            return;
        }
        *published_at =
            Some(published_at.map_or(envelope.published_at, |first| first.min(envelope.published_at)));
        self.last_event = Some(envelope.key.event_id());
        if let Some(trace) = &envelope.traceparent
            && self.traces.len() < TRACES_MAX
            && !self.traces.contains(trace)
        {
            self.traces.push(trace.clone());
        }
        match &envelope.body {
            Body::ConfigChanged(changed) => {
                self.want_changed(changed, envelope.occurred_at, envelope.awaited_since);
            }
            Body::ConfigDeleted(deleted) => self.want_deleted(deleted, envelope.occurred_at),
            Body::JobFinished(job) => WantedRun {
                awaited_since: envelope.awaited_since,
                ..WantedRun::of(job)
            }
            .put(job.run.clone(), &mut self.runs),
            Body::MetadataChanged(changed) => {
                self.metadata.insert(changed.object.clone());
            }
            Body::BranchChanged(BranchChanged { deleted, .. }) => {
                self.branch_changed = true;
                self.branch_deleted = *deleted;
            }
            Body::StorageChanged(StorageChanged { tables, buckets, .. }) => {
                self.tables.extend(tables.iter().cloned());
                self.buckets.extend(buckets.iter().cloned());
            }
            // There is a mirror by now.
            Body::ConfigHistory(_) => {}
            Body::RenderChanged(changed) => {
                if changed.mirror.as_ref().is_none_or(|whose| whose == mirror) {
                    self.render = Some(changed.reason.clone());
                }
            }
        }
    }

    fn count(&mut self, logged: &Logged) {
        self.appended_at = match self.events.count {
            0 => logged.appended_at,
            _ => self.appended_at.max(logged.appended_at),
        };
        self.events.add(&logged.envelope.key);
    }

    fn want_changed(
        &mut self,
        changed: &ConfigChanged,
        occurred_at: Timestamp,
        awaited_since: Option<Timestamp>,
    ) {
        let ConfigChanged {
            component,
            config,
            version,
            identifier,
            author,
            ..
        } = changed;
        let key = ConfigKey {
            component: component.clone(),
            config: config.clone(),
        };
        let mut wanted = Wanted {
            version: *version,
            identifier: identifier.clone(),
            deleted: false,
            occurred_at,
            author: author.clone(),
            earlier_authors: BTreeSet::new(),
            awaited_since,
        };
        if let Some(known) = self.configs.remove(&key) {
            // Past a deletion, numbers may have restarted, so only time tells.
            let newer = if known.deleted {
                wanted.occurred_at >= known.occurred_at || wanted.version > known.version
            } else {
                wanted.version > known.version
            };
            let (mut last, earlier) = if newer { (wanted, known) } else { (known, wanted) };
            last.earlier_authors.extend(earlier.earlier_authors);
            last.earlier_authors.extend(earlier.author);
            wanted = last;
        }
        if let Some(author) = &wanted.author {
            wanted.earlier_authors.remove(author);
        }
        self.configs.insert(key, wanted);
    }

    fn want_deleted(&mut self, deleted: &ConfigDeleted, occurred_at: Timestamp) {
        let ConfigDeleted {
            component,
            config,
            version,
            identifier,
        } = deleted;
        let key = ConfigKey {
            component: component.clone(),
            config: config.clone(),
        };
        let mut wanted = Wanted {
            version: *version,
            identifier: identifier.clone(),
            deleted: true,
            occurred_at,
            author: None,
            earlier_authors: BTreeSet::new(),
            awaited_since: None,
        };
        if let Some(known) = self.configs.get(&key) {
            if !known.deleted && known.occurred_at > occurred_at {
                // It came back after it was seen to be gone.
                return;
            }
            wanted.version = wanted.version.max(known.version);
            wanted.earlier_authors = known
                .earlier_authors
                .iter()
                .chain(&known.author)
                .cloned()
                .collect();
        }
        self.configs.insert(key, wanted);
    }
}

/// Maps whose keys are no texts, as lists of pairs.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
