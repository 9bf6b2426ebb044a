//! Customers' redaction policies, as the configuration names them.

use mirror_sandbox::{CompileLimits, Limits};
use std::path::{Path, PathBuf};

/// What customers' policies may use, each for itself.
#[derive(Debug, Clone)]
pub struct PoliciesConfig {
    /// For one batch of documents, except where a limit says otherwise.
    pub limits: Limits,
    /// For compiling one component, in a process of its own.
    pub compile: CompileLimits,
    /// Bytes of memory for findings in content that was judged before, of all policies and mirrors.
    pub memo_bytes_max: usize,
}

/// One policy of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// How reasons, logs and metrics call it: 1 to 40 characters of `a-z`, `0-9` and `-`.
    pub name: String,
    /// The component.
    pub file: PathBuf,
    /// SHA-256 that the component must have, in hexadecimal digits.
    pub digest: Option<String>,
    /// A JSON object.
    pub settings: String,
    /// Those of all policies, or narrower ones of its own.
    pub limits: Limits,
    /// It only watches: what it finds is counted, and nothing is changed.
    pub shadow: bool,
}

/// What reasons, logs and metrics call the parts that are built in.
const RESERVED: [&str; 4] = ["secret-redaction", "guard", "sample-filter", "layout-renderer"];

impl PolicySpec {
    /// Returns whether this can be a policy's name.
    #[must_use]
    pub fn is_name(raw: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=40).contains(&raw.len()) && raw.bytes().all(fits)
    }

    /// Returns whether reasons, logs and metrics call something else so: a part that is built in.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        RESERVED.contains(&name)
    }

    /// Returns the directory of the components that were stored by `policy add`.
    #[must_use]
    pub fn store(data_dir: &Path) -> PathBuf {
        data_dir.join("policies")
    }

    /// Returns where a component with this digest is stored.
    #[must_use]
    pub fn stored(data_dir: &Path, digest: &str) -> PathBuf {
        Self::store(data_dir).join(format!("{digest}.wasm"))
    }
}
