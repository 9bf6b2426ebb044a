//! What a caller says about a change, and what it gets back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigAt {
    /// Id of the branch.
    pub branch: String,
    pub component: String,
    pub config: String,
}

impl ConfigAt {
    /// Names a configuration by the ids of branch, component and itself.
    #[must_use]
    pub fn new(branch: &str, component: &str, config: &str) -> Self {
        Self {
            branch: branch.into(),
            component: component.into(),
            config: config.into(),
        }
    }
}

/// The token that makes a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    pub token_id: u64,
    /// An e-mail address for people, else the token's description.
    pub name: String,
}

/// Who makes a change, why and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub author: Author,
    /// The change description; none leaves it to Keboola's own words.
    pub description: Option<String>,
    /// The time of the change; fractions of a second are dropped, as Keboola does.
    pub now: Timestamp,
}

impl Change {
    /// A change by a person.
    #[must_use]
    pub fn by(token_id: u64, name: &str, description: &str, now: Timestamp) -> Self {
        let author = Author {
            token_id,
            name: name.into(),
        };
        Self {
            author,
            description: Some(description.into()),
            now,
        }
    }
}

/// A version that a change made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub version: u64,
    pub version_identifier: String,
    /// Sequence number of the event in the outbox.
    pub outbox_seq: u64,
}

/// An event that a mirror would get, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Counts from 1 without gaps.
    pub seq: u64,
    pub json: String,
}

/// A table a job read or wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTable {
    pub table: String,
    pub columns: Vec<String>,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    pub at: ConfigAt,
    /// `success`, `warning`, `error`, `cancelled` or `terminated`.
    pub status: String,
    pub author: Author,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub message: String,
    pub inputs: Vec<JobTable>,
    pub outputs: Vec<JobTable>,
    pub artifact_links: Vec<String>,
}

/// The parts of a configuration or row that a client may write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) name: Value,
    pub(crate) description: Value,
    #[serde(rename = "isDisabled")]
    pub(crate) is_disabled: Value,
    pub(crate) configuration: Value,
    /// Of configurations only.
    #[serde(rename = "rowsSortOrder", skip_serializing_if = "Option::is_none", default)]
    pub(crate) rows_sort_order: Option<Value>,
}
