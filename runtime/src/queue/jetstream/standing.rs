//! Whether the log's stream is still the one that this process began with.
//!
//! Positions are sequences of one stream. Where that is deleted its name may soon stand for another one, in which
//! they mean something else: a cursor may be ahead of everything that comes, and nothing would ever be due. Nobody
//! tells of it, so it is looked at wherever the stream has to be asked anyway, and by [`super::tail`], whose
//! consumer ends with its stream.

use super::LogError;
use crate::nats::{Nats, stream::Extent};
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What was found last; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    stream: String,
    born: String,
    found: Arc<Mutex<Found>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Same,
    /// It may come back as the same, from a backup.
    Gone,
    Another,
}

impl Standing {
    /// Begins with a stream that is there.
    pub(super) fn new(stream: String, born: String) -> Self {
        Self {
            stream,
            born,
            found: Arc::new(Mutex::new(Found::Same)),
        }
    }

    /// Looks at the stream, and returns from where to where it goes if it is the same.
    pub(super) async fn look(&self, nats: &Nats) -> Result<Extent, LogError> {
        let extent = nats.extent(&self.stream).await;
        let found = match &extent {
            Ok(extent) if extent.born == self.born => Found::Same,
            Ok(_) => Found::Another,
            Err(error) if error.is_without_stream() => Found::Gone,
            // Nothing is known of it.
            Err(error) => return Err(error.clone().into()),
        };
        let before = mem::replace(&mut *self.found(), found);
        let outcome = self.check();
        match &outcome {
            _ if before == found => {}
            Ok(()) => tracing::info!(stream = self.stream, "the event log is there again"),
            Err(error) => tracing::error!("{error}"),
        }
        outcome?;
        Ok(extent?)
    }

    /// Refuses to go on with a stream that is gone, or another one.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let stream = || self.stream.clone();
        match *self.found() {
            Found::Same => Ok(()),
            Found::Gone => Err(LogError::Gone { stream: stream() }),
            Found::Another => Err(LogError::MadeAnew { stream: stream() }),
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
