//! Changes as values: what the journal holds and the state applies.

use crate::change::{Change, ConfigAt, Content, JobSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change of the project, complete: applied to equal states it has equal effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    CreateConfiguration {
        at: ConfigAt,
        change: Change,
        content: Content,
    },
    UpdateConfiguration {
        at: ConfigAt,
        change: Change,
        content: Content,
    },
    DeleteConfiguration {
        at: ConfigAt,
        change: Change,
    },
    RestoreConfiguration {
        at: ConfigAt,
        change: Change,
    },
    PurgeConfiguration {
        at: ConfigAt,
    },
    CreateRow {
        at: ConfigAt,
        row: String,
        change: Change,
        content: Content,
    },
    UpdateRow {
        at: ConfigAt,
        row: String,
        change: Change,
        content: Content,
    },
    DeleteRow {
        at: ConfigAt,
        row: String,
        change: Change,
    },
    SetConfigurationMetadata {
        at: ConfigAt,
        change: Change,
        entries: Vec<(String, String)>,
    },
    SetBranchMetadata {
        branch: String,
        change: Change,
        entries: Vec<(String, String)>,
    },
    CreateBranch {
        name: String,
        description: String,
        change: Change,
    },
    UpdateBranch {
        branch: String,
        name: String,
        description: String,
        change: Change,
    },
    DeleteBranch {
        branch: String,
        change: Change,
    },
    FinishJob {
        job: JobSpec,
    },
    PutTable {
        detail: Value,
        change: Change,
    },
    DropTable {
        table: String,
        change: Change,
    },
    PutBucket {
        detail: Value,
    },
    DropBucket {
        bucket: String,
    },
    ChangePreview {
        table: String,
        csv: String,
        change: Change,
    },
}
