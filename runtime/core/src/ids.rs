//! Names of things, as types that do not mix.
//!
//! All are strings at the border. An id is never empty and has no control characters; what else it
//! may hold is its issuer's affair (client-chosen ids may contain dashes, dots and spaces).

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use thiserror::Error;

/// A text that cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} is {problem}")]
pub struct InvalidId {
    /// Which kind of id was wanted, such as `project id`.
    pub what: &'static str,
    /// What is wrong with the text; never the text itself.
    pub problem: &'static str,
}

const ID_BYTES_MAX: usize = 512;

fn check(what: &'static str, raw: &str) -> Result<(), InvalidId> {
    let problem = if raw.is_empty() {
        "empty"
    } else if raw.len() > ID_BYTES_MAX {
        "longer than 512 bytes"
    } else if raw.chars().any(char::is_control) {
        "not printable"
    } else {
        return Ok(());
    };
    Err(InvalidId { what, problem })
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the id.
            ///
            /// # Errors
            /// An empty text, one of over 512 bytes, or one with control characters.
            pub fn parse(raw: &str) -> Result<Self, InvalidId> {
                check($what, raw).map(|()| Self(raw.into()))
            }

            /// Returns the id's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(raw: String) -> Result<Self, InvalidId> {
                Self::parse(&raw)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(raw: &str) -> Result<Self, InvalidId> {
                Self::parse(raw)
            }
        }
    };
}

id!(
    /// Host name of a Keboola stack, such as `connection.keboola.com`.
    Stack, "stack"
);
id!(
    /// Decimal id of a Keboola project.
    ProjectId, "project id"
);
id!(
    /// Decimal id of a Keboola branch.
    BranchId, "branch id"
);
id!(
    /// Id of a component, such as `keboola.ex-db-mysql`.
    ComponentId, "component id"
);
id!(
    /// Id of a configuration; chosen by the client, so it may hold dashes.
    ConfigId, "configuration id"
);
id!(
    /// Id of a configuration row.
    RowId, "row id"
);
id!(
    /// Run id of a job, such as `123.124`.
    RunId, "run id"
);
id!(
    /// Stable id of a mirror, as its operator or the admin API gave it.
    MirrorId, "mirror id"
);
id!(
    /// Id of a table, such as `in.c-main.orders`.
    TableId, "table id"
);
id!(
    /// Id of a bucket, such as `in.c-main`.
    BucketId, "bucket id"
);

/// One Keboola branch of one mirror, which is one ref of one repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneId {
    pub mirror: MirrorId,
    pub branch: BranchId,
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mirror, self.branch)
    }
}

/// One Keboola branch as the log knows it, whoever mirrors it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Topic {
    pub stack: Stack,
    pub project: ProjectId,
    pub branch: BranchId,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stack, self.project, self.branch)
    }
}

/// Names an object within one branch (`object-key` of `wit/layout.wit`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKey {
    /// The branch itself.
    Branch,
    Config {
        component: ComponentId,
        config: ConfigId,
    },
    Row {
        component: ComponentId,
        config: ConfigId,
        row: RowId,
    },
    Bucket(BucketId),
    Table(TableId),
    /// The sample of a table.
    Sample(TableId),
    Job(RunId),
}

impl ObjectKey {
    /// Returns the configuration that the object is or belongs to.
    #[must_use]
    pub fn config(&self) -> Option<(&ComponentId, &ConfigId)> {
        match self {
            Self::Config { component, config }
            | Self::Row {
                component, config, ..
            } => Some((component, config)),
            Self::Branch | Self::Bucket(_) | Self::Table(_) | Self::Sample(_) | Self::Job(_) => None,
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch => f.write_str("branch"),
            Self::Config { component, config } => write!(f, "{component}/{config}"),
            Self::Row {
                component,
                config,
                row,
            } => write!(f, "{component}/{config}/{row}"),
            Self::Bucket(id) => write!(f, "bucket {id}"),
            Self::Table(id) => write!(f, "table {id}"),
            Self::Sample(id) => write!(f, "sample {id}"),
            Self::Job(id) => write!(f, "job {id}"),
        }
    }
}

/// Id of a Git object (SHA-1), so that rooms that do not know gix can name commits and trees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid([u8; 20]);

impl Oid {
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Parses 40 hexadecimal digits.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(raw.as_bytes()).ok();
        let bytes: Option<[u8; 20]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidId {
            what: "Git object id",
            problem: "not 40 hexadecimal digits",
        })
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

impl TryFrom<String> for Oid {
    type Error = InvalidId;
    fn try_from(raw: String) -> Result<Self, InvalidId> {
        Self::parse(&raw)
    }
}

impl From<Oid> for String {
    fn from(id: Oid) -> String {
        id.to_string()
    }
}
