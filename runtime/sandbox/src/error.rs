//! What can go wrong that is not one item's fault.

use crate::text::Issue;
use mirror_core::finding::WithholdReason;
use std::{fmt, io, path::PathBuf};
use thiserror::Error;

/// What a guest was doing that is about no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It was made: memories, tables, the start function of a module.
    Instantiation,
    Configure,
    Describe,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instantiation => "as it was instantiated, before any call",
            Self::Configure => "in `configure`",
            Self::Describe => "in `describe`",
        })
    }
}

/// A failure of the sandbox or of a guest as a whole.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The engine cannot be set up on this machine.
    #[error("cannot start the WebAssembly engine")]
    Engine {
        #[source]
        source: wasmtime::Error,
    },
    /// The thread that ticks the deadlines cannot be started.
    #[error("cannot start the deadline thread of the sandbox")]
    Ticker {
        #[source]
        source: io::Error,
    },
    /// The directory for compiled guests cannot be made or read.
    #[error("cannot use `{path}` for compiled guests; make it writable or set another directory")]
    CacheDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The bytes are not a component, or it does not fit what the host offers and asks for. Lists
    /// everything that is wrong, with what mends it.
    #[error("the {guest} does not fit: {}", problems.join("; "))]
    Misfit { guest: String, problems: Vec<String> },
    /// The component could not be compiled.
    #[error("cannot compile the {guest}: {detail}")]
    Compile { guest: String, detail: String },
    /// The guest does not take its settings.
    #[error("the {guest} refuses its settings: {}", list(issues))]
    Settings { guest: String, issues: Vec<Issue> },
    /// The guest failed at something that is about no item: what it is, or recovery. `call` is what it was doing, where that
    /// is known.
    #[error("the {guest} cannot be used: {}", of_it(guest, *call, reason))]
    Unusable {
        guest: String,
        call: Option<Call>,
        reason: WithholdReason,
    },
    /// One of our own guests, which nothing interrupts, does not come to an end.
    #[error("the {guest} has been running for more than {deadline_ms} ms, and only a new process ends it")]
    NoEnd { guest: String, deadline_ms: u64 },
    /// The wall clock ran out. It says nothing about the item: try again later.
    #[error("the {guest} did not answer within {deadline_ms} ms; it is tried again")]
    Deadline { guest: String, deadline_ms: u64 },
}

impl SandboxError {
    /// Returns whether the same call may succeed later without any change.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Deadline { .. } => true,
            Self::Engine { .. }
            | Self::Ticker { .. }
            | Self::CacheDir { .. }
            | Self::Misfit { .. }
            | Self::Compile { .. }
            | Self::Settings { .. }
            | Self::NoEnd { .. }
            | Self::Unusable { .. } => false,
        }
    }
}

/// Says a reason of a guest that is named already, and what it was doing.
fn of_it(guest: &str, call: Option<Call>, reason: &WithholdReason) -> String {
    let reason = reason.to_string();
    let rest = reason
        .strip_prefix("the ")
        .and_then(|reason| reason.strip_prefix(guest));
    let told = rest.map_or_else(|| reason.clone(), |rest| format!("it{rest}"));
    match call {
        Some(call) => format!("{told} ({call})"),
        None => told,
    }
}

fn list(issues: &[Issue]) -> String {
    let text = |issue: &Issue| match issue.pointer.as_str() {
        "" => issue.message.clone(),
        pointer => format!("`{pointer}`: {}", issue.message),
    };
    issues.iter().map(text).collect::<Vec<_>>().join("; ")
}
