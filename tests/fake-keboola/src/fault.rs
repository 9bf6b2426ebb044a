//! Trouble that a test can order.

use std::time::Duration;

/// What goes wrong with the next requests to a path.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Requests whose path begins with this, such as `/v2/storage/dev-branches`.
    pub path: String,
    /// How many requests are hit.
    pub times: u32,
    pub kind: FaultKind,
}

/// A way to go wrong.
#[derive(Debug, Clone)]
pub enum FaultKind {
    Unauthorized,
    Forbidden,
    NotFound,
    /// 429, with the header `Retry-After` if a value is given.
    RateLimited {
        retry_after: Option<String>,
    },
    ServerError,
    /// 503 with Keboola's maintenance body.
    Maintenance {
        retry_after_seconds: u64,
    },
    /// The answer comes late.
    Slow(Duration),
    /// The connection ends when this many bytes of the answer, head included, were sent.
    Cut {
        after_bytes: u32,
    },
    /// Another answer instead, as it stands: broken, huge, no text, or of a proxy.
    Answer {
        status: u16,
        content_type: String,
        body: Vec<u8>,
    },
}

/// The faults that were ordered, first come first served.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes what shall happen to a request of this path.
    pub(crate) fn take(&mut self, path: &str) -> Option<FaultKind> {
        self.0.retain(|fault| fault.times > 0);
        let fault = self.0.iter_mut().find(|fault| path.starts_with(&fault.path))?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }
}
