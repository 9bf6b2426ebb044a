//! How far the history from before the mirror has come: for whoever asks, and stored, so that the next process tells it too.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// What is being done about a project's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The source is asked which versions there are.
    Listing,
    /// Versions become commits.
    Committing,
    /// They all are commits; the first sync is under way.
    FirstSync,
    Done,
}

/// So many of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    pub done: usize,
    pub total: usize,
}

/// How far a project's history has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackfillStatus {
    pub phase: Phase,
    /// Those that are listed; once all are, those whose versions are all there.
    pub configurations: Count,
    /// Those that the repository has, as of the last push; of none it is known before all are listed.
    pub versions: Count,
    /// As fast as it went in the last process that brought some in.
    pub versions_per_minute: Option<u64>,
    pub begun_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl BackfillStatus {
    #[must_use]
    pub fn begun(now: Timestamp) -> Self {
        Self {
            phase: Phase::Listing,
            configurations: Count::default(),
            versions: Count::default(),
            versions_per_minute: None,
            begun_at: now,
            ended_at: None,
        }
    }
}

/// Where it is told; none where no history is brought in, or nothing of it is known yet.
#[derive(Debug, Default)]
pub struct BackfillProgress(Mutex<Option<BackfillStatus>>);

impl BackfillProgress {
    #[must_use]
    pub fn get(&self) -> Option<BackfillStatus> {
        self.lock().clone()
    }

    /// Takes in what another process knew; nothing where this one knows more.
    pub fn recall(&self, known: BackfillStatus) {
        self.lock().get_or_insert(known);
    }

    /// Changes what is told, if something is.
    pub fn update(&self, change: impl FnOnce(&mut BackfillStatus)) {
        if let Some(status) = &mut *self.lock() {
            change(status);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<BackfillStatus>> {
        // Each change is of values that hold at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
