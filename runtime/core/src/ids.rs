//! Names of things, as types that do not mix.
//!
//! All are strings at the border. An id is never empty and has no control characters; what else it
//! may hold is its issuer's affair (client-chosen ids may contain dashes, dots and spaces).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, net::Ipv6Addr, sync::Arc};
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
        id!(@text $(#[$meta])* $name);

        impl $name {
            /// Parses the id.
            ///
            /// # Errors
            /// An empty text, one of over 512 bytes, or one with control characters.
            pub fn parse(raw: &str) -> Result<Self, InvalidId> {
                check($what, raw).map(|()| Self(raw.into()))
            }
        }
    };
    (@text $(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
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
    @text
    /// Host name of a Keboola stack in lower case, such as `connection.keboola.com`.
    ///
    /// A stack is one and the same however its address is written: scheme and port say how to reach it,
    /// not which one it is.
    Stack
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

impl Stack {
    /// Parses a host name, or an address such as `https://connection.keboola.com`, of which only the host
    /// is kept ([`StackAddress::parse`]).
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        StackAddress::parse(raw).map(|address| address.stack)
    }
}

/// How to reach a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackAddress {
    pub stack: Stack,
    /// False where the address says `http`.
    pub is_encrypted: bool,
    /// None for the scheme's own port.
    pub port: Option<u16>,
}

impl StackAddress {
    /// Parses `HOST`, `HOST:PORT` or one of these after `https://` or `http://`; a host is a name, an
    /// IPv4 address, or an IPv6 address in brackets. Letter case does not matter.
    ///
    /// # Errors
    /// Anything else, such as an address with a user, a path or a query.
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        check("stack", raw)?;
        let invalid = |problem| InvalidId {
            what: "stack",
            problem,
        };
        let (scheme, rest) = raw.split_once("://").unwrap_or(("https", raw));
        let is_encrypted = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("no `https` address")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '\\', '?', '#', '@']) {
            return Err(invalid("more than a host and a port"));
        }
        let end = match rest.strip_prefix('[') {
            Some(inside) => inside.find(']').map_or(rest.len(), |end| end + 2),
            None => rest.find(':').unwrap_or(rest.len()),
        };
        let (host, port) = rest.split_at(end);
        let host =
            host_name(host).ok_or_else(|| invalid("no host name, such as `connection.keboola.com`"))?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse::<u16>().ok().filter(|port| *port > 0)
            }
            None | Some(_) => return Err(invalid("not a host with a port behind it")),
        };
        if port.is_none() && end < rest.len() {
            return Err(invalid("on a port that does not exist"));
        }
        Ok(Self {
            stack: Stack(host.into()),
            is_encrypted,
            port,
        })
    }

    /// Whether the address never leaves the machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(self.stack.as_str(), "127.0.0.1" | "localhost" | "[::1]")
    }
}

/// The base of the stack's URLs, without a slash at the end.
impl fmt::Display for StackAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.stack)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Returns the one form of a host: a name in lower case, an IPv6 address in its canonical form.
fn host_name(raw: &str) -> Option<String> {
    if let Some(address) = raw.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_name = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(plain);
    (raw.len() <= 253 && raw.split('.').all(is_name)).then(|| raw.to_ascii_lowercase())
}

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

    /// Returns the ids that the object is named by; the branch's own object has none.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        match self {
            Self::Branch => Vec::new(),
            Self::Config { component, config } => vec![component.as_str(), config.as_str()],
            Self::Row {
                component,
                config,
                row,
            } => vec![component.as_str(), config.as_str(), row.as_str()],
            Self::Bucket(id) => vec![id.as_str()],
            Self::Table(id) | Self::Sample(id) => vec![id.as_str()],
            Self::Job(id) => vec![id.as_str()],
        }
    }

    /// Returns a name that does not show the ids, which may hold a secret: the kind, and the first
    /// twelve digits of the SHA-256 of what [`fmt::Display`] shows, such as `config sha256:0123456789ab`.
    #[must_use]
    pub fn hidden(&self) -> String {
        let kind = match self {
            Self::Branch => "branch",
            Self::Config { .. } => "config",
            Self::Row { .. } => "row",
            Self::Bucket(_) => "bucket",
            Self::Table(_) => "table",
            Self::Sample(_) => "sample",
            Self::Job(_) => "job",
        };
        hidden_name(kind, &self.to_string())
    }
}

/// Returns what stands for a name that may not be shown: the kind of what it names, and the first twelve digits of the
/// name's SHA-256, such as `config sha256:0123456789ab`.
#[must_use]
pub fn hidden_name(kind: &str, name: &str) -> String {
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(name.as_bytes()));
    format!("{kind} sha256:{}", &digest[..12])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_stack(raw: &str, expected: &str) {
        let said = match StackAddress::parse(raw) {
            Ok(address) => {
                assert_eq!(Stack::parse(raw), Ok(address.stack.clone()));
                assert_eq!(StackAddress::parse(&address.to_string()), Ok(address.clone()));
                format!("{} at {address}", address.stack)
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{raw}");
    }

    #[test]
    fn a_stack_is_its_host_however_its_address_is_written() {
        let plain = "connection.keboola.com at https://connection.keboola.com";
        for raw in [
            "connection.keboola.com",
            "Connection.KEBOOLA.com",
            "https://connection.keboola.com",
            "HTTPS://connection.keboola.com/",
        ] {
            check_stack(raw, plain);
        }
        check_stack("http://127.0.0.1:4021", "127.0.0.1 at http://127.0.0.1:4021");
        check_stack("127.0.0.1:4021", "127.0.0.1 at https://127.0.0.1:4021");
        check_stack("https://[::1]:1", "[::1] at https://[::1]:1");
        check_stack("[0:0::1]", "[::1] at https://[::1]");
    }

    #[test]
    fn what_is_more_or_less_than_a_host_is_no_stack() {
        check_stack("", "stack is empty");
        check_stack(
            "https://",
            "stack is no host name, such as `connection.keboola.com`",
        );
        check_stack("ftp://a.b", "stack is no `https` address");
        for raw in ["https://a.b/c", "https://u:p@a.b", "a.b?x", "a.b#x", "a.b//"] {
            check_stack(raw, "stack is more than a host and a port");
        }
        for raw in [
            "a b",
            "a..b",
            ".",
            "a.b.",
            "á.cz",
            "[",
            "[::1",
            "[127.0.0.1]",
            "a,b",
        ] {
            check_stack(raw, "stack is no host name, such as `connection.keboola.com`");
        }
        for raw in ["a.b:x", "[::1]x", "a.b:1:2", "a.b:+1"] {
            check_stack(raw, "stack is not a host with a port behind it");
        }
        for raw in ["a.b:", "a.b:0", "a.b:65536"] {
            check_stack(raw, "stack is on a port that does not exist");
        }
    }
}
