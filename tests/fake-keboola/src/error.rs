//! What a fake refuses.

use std::{io, path::PathBuf};
use thiserror::Error;

/// A change or a start that is not possible.
#[derive(Debug, Error)]
pub enum FakeError {
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("there is no branch `{branch}`")]
    UnknownBranch { branch: String },
    #[error("the default branch cannot be deleted")]
    DefaultBranch,
    #[error("there is no component `{component}`")]
    UnknownComponent { component: String },
    #[error("there is no configuration `{config}`")]
    UnknownConfiguration { config: String },
    #[error("configuration `{config}` exists already")]
    ConfigurationExists { config: String },
    #[error("configuration `{config}` has no row `{row}`")]
    UnknownRow { config: String, row: String },
    #[error("row `{row}` of configuration `{config}` exists already")]
    RowExists { config: String, row: String },
    #[error("there is no table `{table}`")]
    UnknownTable { table: String },
    #[error("there is no bucket {bucket}")]
    UnknownBucket { bucket: String },
    #[error("bucket {bucket} has tables")]
    BucketWithTables { bucket: String },
    #[error("a bucket needs an `id`")]
    BucketWithoutId,
    #[error("a table needs an `id`")]
    TableWithoutId,
    #[error("the Queue API has no final status `{status}`")]
    UnknownStatus { status: String },
    #[error("cannot use journal `{}`", path.display())]
    Journal {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("journal `{}` is used by another process", path.display())]
    JournalBusy { path: PathBuf },
    #[error("journal `{}` was written over another project; remove it to start anew", path.display())]
    JournalOfAnother { path: PathBuf },
    #[error("journal `{}` is damaged at line {line}; remove it to start anew", path.display())]
    JournalDamaged { path: PathBuf, line: usize },
}
