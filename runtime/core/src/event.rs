//! Events: what the log holds, whoever said it.
//!
//! An event says that something changed, never what it became: content is always read from the
//! source. Two kinds come from outside (SPEC §2); the others are made by poller, reconcile and
//! admin. This module does not know how events are stored or when they are acted upon.

mod external;
mod masked;
#[cfg(test)]
mod tests;

pub use external::{EVENT_BYTES_MAX, InvalidEvent, parse_external};
pub use masked::masked_body;

use crate::{
    cut::Stream,
    ids::{
        BranchId, BucketId, ComponentId, ConfigId, MirrorId, ObjectKey, ProjectId, RunId, Stack, TableId,
        Topic,
    },
    key::EventKey,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of the envelope's stored form.
pub const ENVELOPE_SCHEMA: u16 = 1;

/// An event as the log stores it (DESIGN §3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// [`ENVELOPE_SCHEMA`] of the writer.
    pub schema: u16,
    /// Stack, project and branch that the event is about.
    #[serde(flatten)]
    pub topic: Topic,
    /// Makes two deliveries the same event.
    pub key: EventKey,
    /// When it happened, as its teller said; never after the append.
    pub occurred_at: Timestamp,
    /// When it was published; latency counts from here. Never after the append.
    pub published_at: Timestamp,
    /// W3C trace context of the publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Of an event that was appended anew because the source did not show what it tells of: since when that is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited_since: Option<Timestamp>,
    #[serde(flatten)]
    pub body: Body,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    ConfigChanged,
    JobFinished,
    ConfigDeleted,
    MetadataChanged,
    BranchChanged,
    StorageChanged,
    RenderChanged,
    ConfigHistory,
}

impl EventKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigChanged => "config_changed",
            Self::JobFinished => "job_finished",
            Self::ConfigDeleted => "config_deleted",
            Self::MetadataChanged => "metadata_changed",
            Self::BranchChanged => "branch_changed",
            Self::StorageChanged => "storage_changed",
            Self::RenderChanged => "render_changed",
            Self::ConfigHistory => "config_history",
        }
    }
}

/// What an event says, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum Body {
    ConfigChanged(ConfigChanged),
    JobFinished(Box<JobFinished>),
    ConfigDeleted(ConfigDeleted),
    MetadataChanged(MetadataChanged),
    BranchChanged(BranchChanged),
    StorageChanged(StorageChanged),
    RenderChanged(RenderChanged),
    /// A version from before the mirror, which becomes a commit below the first snapshot and is nothing to anybody else.
    ConfigHistory(ConfigChanged),
}

/// A configuration or one of its rows was created, updated, deleted or restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigChanged {
    pub component: ComponentId,
    pub config: ConfigId,
    /// From 1.
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Who made it, as the event says: a fallback where the source does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// A run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobFinished {
    pub run: RunId,
    pub component: ComponentId,
    /// None for a run that had no stored configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<u64>,
    pub status: RunStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<TableUse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<TableUse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifact_links: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    Success,
    Failed,
    Cancelled,
}

/// A table that a run read or wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUse {
    pub table: TableId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// A configuration that was covered is no longer in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigDeleted {
    pub component: ComponentId,
    pub config: ConfigId,
    /// The last covered version; 0 where it is not known.
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
}

/// Metadata of an object changed, which raises no version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataChanged {
    pub object: ObjectKey,
    /// Digest of the metadata seen.
    pub digest: String,
}

/// The branch was renamed, described anew, or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchChanged {
    /// Digest of the branch's fields seen.
    pub digest: String,
    #[serde(default)]
    pub deleted: bool,
}

/// Tables may look different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageChanged {
    /// Ascending, each once.
    pub tables: Vec<TableId>,
    /// Buckets of which no table is named; ascending, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<BucketId>,
    pub cause: StorageCause,
}

/// What made tables or buckets look different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageCause {
    /// A run wrote them.
    Run(RunId),
    /// They were seen to differ; holds a digest of what was seen.
    Seen(String),
}

/// Everything has to be rendered anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderChanged {
    /// Whose mirror it is about: how one renders is no matter of others that mirror the same branch. None: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorId>,
    /// Why, for people: the host's words, never content.
    pub reason: String,
    /// Tells this occasion from others, such as the new render digest and the commit that has another.
    pub digest: String,
}

impl Body {
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::ConfigChanged(_) => EventKind::ConfigChanged,
            Self::JobFinished(_) => EventKind::JobFinished,
            Self::ConfigDeleted(_) => EventKind::ConfigDeleted,
            Self::MetadataChanged(_) => EventKind::MetadataChanged,
            Self::BranchChanged(_) => EventKind::BranchChanged,
            Self::StorageChanged(_) => EventKind::StorageChanged,
            Self::RenderChanged(_) => EventKind::RenderChanged,
            Self::ConfigHistory(_) => EventKind::ConfigHistory,
        }
    }

    /// Returns the key of an event that says this about `topic`.
    ///
    /// A change's key holds its version identifier, where it is known: an id that was purged and
    /// created again restarts its version numbers, and its first version is no repetition.
    #[must_use]
    pub fn key(&self, topic: &Topic) -> EventKey {
        let Topic {
            stack,
            project,
            branch,
        } = topic;
        let keyed = |parts: &[&str]| {
            let mut all = vec![
                stack.as_str(),
                self.kind().as_str(),
                project.as_str(),
                branch.as_str(),
            ];
            all.extend_from_slice(parts);
            EventKey::of(&all)
        };
        match self {
            // Run ids are unique within a stack, but whoever may tell of one project or branch must not be able to say a run
            // of another first. Who finds a run by asking knows less of it than its own event, which is no repetition then.
            Self::JobFinished(job) => {
                let mut parts = vec![
                    stack.as_str(),
                    "job",
                    project.as_str(),
                    branch.as_str(),
                    job.run.as_str(),
                ];
                if job.state_digest.is_some() || !job.artifact_links.is_empty() {
                    parts.push("told");
                }
                EventKey::of(&parts)
            }
            Self::ConfigChanged(ConfigChanged {
                component,
                config,
                version,
                identifier,
                ..
            })
            | Self::ConfigHistory(ConfigChanged {
                component,
                config,
                version,
                identifier,
                ..
            })
            | Self::ConfigDeleted(ConfigDeleted {
                component,
                config,
                version,
                identifier,
            }) => keyed(&[
                component.as_str(),
                config.as_str(),
                &version.to_string(),
                identifier.as_deref().unwrap_or_default(),
            ]),
            Self::MetadataChanged(MetadataChanged { object, digest }) => {
                let mut parts = vec![digest.as_str()];
                match object {
                    ObjectKey::Branch => parts.push("branch"),
                    ObjectKey::Config { component, config } => {
                        parts.extend(["config", component.as_str(), config.as_str()]);
                    }
                    ObjectKey::Row {
                        component,
                        config,
                        row,
                    } => {
                        parts.extend(["row", component.as_str(), config.as_str(), row.as_str()]);
                    }
                    ObjectKey::Bucket(id) => parts.extend(["bucket", id.as_str()]),
                    ObjectKey::Table(id) => parts.extend(["table", id.as_str()]),
                    ObjectKey::Sample(id) => parts.extend(["sample", id.as_str()]),
                    ObjectKey::Job(id) => parts.extend(["job", id.as_str()]),
                }
                keyed(&parts)
            }
            Self::BranchChanged(BranchChanged { digest, deleted }) => {
                keyed(&[if *deleted { "deleted" } else { "changed" }, digest])
            }
            Self::StorageChanged(changed) => match &changed.cause {
                StorageCause::Run(run) => keyed(&["run", run.as_str()]),
                StorageCause::Seen(digest) => keyed(&["seen", digest]),
            },
            Self::RenderChanged(RenderChanged { mirror, digest, .. }) => {
                keyed(&[mirror.as_ref().map_or("", MirrorId::as_str), digest])
            }
        }
    }
}

impl Envelope {
    /// Makes the envelope of something that poller, reconcile or admin found out at `now`.
    #[must_use]
    pub fn internal(topic: Topic, body: Body, now: Timestamp) -> Self {
        Self::new(topic, body, now, now, None)
    }

    /// Makes the envelope of something that a comparison with the source found out at `now` and that happened, as the
    /// source says, at `occurred_at`: what it says counts as its publishing, so that latency and windows do not depend on
    /// when somebody looked.
    #[must_use]
    pub fn found(topic: Topic, body: Body, occurred_at: Option<Timestamp>, now: Timestamp) -> Self {
        let occurred_at = occurred_at.unwrap_or(now).min(now);
        Self::new(topic, body, occurred_at, occurred_at, None)
    }

    /// Makes the envelope of something that happened before there was a mirror.
    #[must_use]
    pub fn past(topic: Topic, body: Body, occurred_at: Timestamp, now: Timestamp) -> Self {
        Self::new(topic, body, occurred_at.min(now), now, None)
    }

    /// Makes the envelope of something that the source does not show yet, so that it is looked at again. `occasion` tells
    /// it from what was told before, and from other times that it is told anew.
    #[must_use]
    pub fn awaited(
        topic: Topic,
        body: Body,
        occasion: &[&str],
        occurred_at: Timestamp,
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        let told = body.key(&topic);
        let mut parts = vec!["awaited", told.as_str()];
        parts.extend_from_slice(occasion);
        Self {
            key: EventKey::of(&parts),
            awaited_since: Some(since.min(now)),
            ..Self::new(topic, body, occurred_at.min(now), now, None)
        }
    }

    pub(crate) fn new(
        topic: Topic,
        body: Body,
        occurred_at: Timestamp,
        published_at: Timestamp,
        traceparent: Option<String>,
    ) -> Self {
        let key = body.key(&topic);
        Self {
            schema: ENVELOPE_SCHEMA,
            topic,
            key,
            occurred_at,
            published_at,
            traceparent,
            awaited_since: None,
            body,
        }
    }

    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.body.kind()
    }

    /// Returns the stream of a lane that the event belongs to: runs, and the tables they wrote, have
    /// a cadence of their own.
    #[must_use]
    pub fn stream(&self) -> Stream {
        match &self.body {
            Body::JobFinished(_)
            | Body::StorageChanged(StorageChanged {
                cause: StorageCause::Run(_),
                ..
            }) => Stream::Jobs,
            Body::ConfigChanged(_)
            | Body::ConfigDeleted(_)
            | Body::MetadataChanged(_)
            | Body::BranchChanged(_)
            | Body::StorageChanged(StorageChanged {
                cause: StorageCause::Seen(_),
                ..
            })
            | Body::RenderChanged(_)
            | Body::ConfigHistory(_) => Stream::Change,
        }
    }

    /// Returns the idempotency key as SPEC §2 shows it; for people, since it is ambiguous.
    #[must_use]
    pub fn display_key(&self) -> String {
        let Topic { project, branch, .. } = &self.topic;
        match &self.body {
            Body::ConfigChanged(changed) => {
                let version = changed.version.to_string();
                let version = changed.identifier.as_deref().unwrap_or(&version);
                format!("{project}-{branch}-{}-{version}", changed.component)
            }
            Body::JobFinished(job) => job.run.to_string(),
            Body::ConfigDeleted(_)
            | Body::MetadataChanged(_)
            | Body::BranchChanged(_)
            | Body::StorageChanged(_)
            | Body::RenderChanged(_)
            | Body::ConfigHistory(_) => format!(
                "{project}-{branch}-{}-{}",
                self.kind().as_str(),
                self.key.event_id()
            ),
        }
    }

    /// Returns the events that follow from this one; a log appends them right behind it, in the
    /// same step. A finished run makes its output tables worth a look.
    #[must_use]
    pub fn derived_events(&self) -> Vec<Self> {
        let Body::JobFinished(job) = &self.body else {
            return Vec::new();
        };
        let mut tables: Vec<TableId> = job.outputs.iter().map(|output| output.table.clone()).collect();
        if tables.is_empty() {
            return Vec::new();
        }
        tables.sort();
        tables.dedup();
        let body = Body::StorageChanged(StorageChanged {
            tables,
            buckets: Vec::new(),
            cause: StorageCause::Run(job.run.clone()),
        });
        let traceparent = self.traceparent.clone();
        vec![Self::new(
            self.topic.clone(),
            body,
            self.occurred_at,
            self.published_at,
            traceparent,
        )]
    }

    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.topic.stack
    }

    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.topic.project
    }

    #[must_use]
    pub fn branch(&self) -> &BranchId {
        &self.topic.branch
    }
}
