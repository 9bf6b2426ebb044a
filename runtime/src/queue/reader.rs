//! Reading a part of a log page by page, past entries that cannot be read.
//!
//! A log refuses a whole page for one such entry. So pages are halved until they end in front of it, and it is told by
//! itself. What is to be done about it, is not known here.

use super::{EventLog, LogError};
use mirror_core::{
    cut::{Logged, Position, Stream},
    ids::Topic,
};

/// What comes next in a log.
#[derive(Debug)]
pub enum Read {
    /// Events, in order; there is one at least.
    Events(Vec<Logged>),
    /// An entry that cannot be read, and what the log says of it. What is after it comes next.
    Unreadable { position: Position, error: LogError },
}

/// Reads a topic's events after one position, up to another.
pub struct Reader<'l> {
    log: &'l dyn EventLog,
    topic: &'l Topic,
    stream: Option<Stream>,
    after: Position,
    through: Position,
    page_max: usize,
    /// Fewer than `page_max` while an entry that cannot be read is near.
    at_once: usize,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("after", &self.after)
            .field("through", &self.through)
            .finish_non_exhaustive()
    }
}

impl<'l> Reader<'l> {
    /// Reads at most `page_max` events at a time; of both streams where none is named.
    pub fn new(
        log: &'l dyn EventLog,
        topic: &'l Topic,
        stream: Option<Stream>,
        (after, through): (Position, Position),
        page_max: usize,
    ) -> Self {
        Self {
            log,
            topic,
            stream,
            after,
            through,
            page_max,
            at_once: page_max,
        }
    }

    /// Returns what comes next; none where there is no more. What is appended after that is for another reader.
    ///
    /// # Errors
    /// A log that cannot be read at all. Asked again, it goes on from there.
    pub async fn next(&mut self) -> Result<Option<Read>, LogError> {
        while self.after < self.through {
            let read = self.log.read(self.topic, self.after, self.stream, self.at_once);
            let mut page = match read.await {
                Ok(page) => page,
                // First what is before it.
                Err(LogError::Unreadable { .. }) if self.at_once > 1 => {
                    self.at_once /= 2;
                    continue;
                }
                Err(error @ LogError::Unreadable { position, .. }) => {
                    let position = Position(position);
                    self.after = position;
                    self.at_once = self.page_max;
                    if position > self.through {
                        break;
                    }
                    return Ok(Some(Read::Unreadable { position, error }));
                }
                Err(error) => return Err(error),
            };
            self.after = match page.last() {
                Some(last) if page.len() == self.at_once => last.position,
                _ => self.through,
            };
            page.retain(|logged| logged.position <= self.through);
            if !page.is_empty() {
                return Ok(Some(Read::Events(page)));
            }
        }
        Ok(None)
    }
}
