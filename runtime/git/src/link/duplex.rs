//! A conversation over one stream in each direction, as `ssh` and `git:` have it.
//!
//! A thread reads, so that every wait ends and the other side can talk while it is being sent to.

use super::{Conversation, Piece, SendError, Timeouts};
use crate::transport_error::TransportError;
use std::{
    fmt,
    io::{self, Read, Write},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// What ends a connection early, and knows why it ended.
pub(crate) trait Ending: Send {
    /// Ends it now; both directions then fail.
    fn cut(&mut self);

    /// Says what was behind an end that nobody asked for; none if it knows nothing.
    fn reason(&mut self) -> Option<TransportError>;
}

/// A stream in each direction.
pub(crate) struct Duplex {
    remote: String,
    incoming: Incoming,
    writer: Option<Box<dyn Write + Send>>,
    ending: Box<dyn Ending>,
    timeouts: Timeouts,
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

struct Incoming {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: io::Cursor<Vec<u8>>,
    idle: Duration,
    deadline: Instant,
    /// Why there is no more; none if the other side ended it.
    end: Option<End>,
    bytes_left: u64,
    bytes_max: u64,
}

/// Why nothing more is waited for.
#[derive(Debug, Clone, Copy)]
enum End {
    Idle,
    Total,
    TooLarge,
}

const CHUNK_BYTES: usize = 64 << 10;
/// So many chunks wait to be taken.
const CHUNKS_WAITING: usize = 16;

impl Duplex {
    pub(crate) fn new(
        remote: &str,
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        ending: Box<dyn Ending>,
        timeouts: Timeouts,
        bytes_max: u64,
    ) -> Self {
        let (sender, chunks) = sync_channel(CHUNKS_WAITING);
        thread::spawn(move || pump(reader, &sender));
        Self {
            remote: remote.to_owned(),
            incoming: Incoming {
                chunks,
                current: io::Cursor::default(),
                idle: timeouts.idle,
                deadline: Instant::now() + timeouts.total,
                end: None,
                bytes_left: bytes_max,
                bytes_max,
            },
            writer: Some(Box::new(writer)),
            ending,
            timeouts,
        }
    }
}

fn pump(mut reader: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => {
                chunk.truncate(read);
                Ok(chunk)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_end = read.is_err();
        if sender.send(read).is_err() || is_end {
            return;
        }
    }
}

impl Incoming {
    /// Returns how long the next byte is waited for, and what it means if it does not come.
    fn patience(&self) -> (Duration, End) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.idle < left {
            (self.idle, End::Idle)
        } else {
            (left, End::Total)
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let (span, late) = self.patience();
            match self.chunks.recv_timeout(span) {
                Ok(Ok(chunk)) => {
                    let Some(left) = self.bytes_left.checked_sub(chunk.len() as u64) else {
                        self.end = Some(End::TooLarge);
                        return Err(io::ErrorKind::FileTooLarge.into());
                    };
                    self.bytes_left = left;
                    self.current = io::Cursor::new(chunk);
                }
                Ok(Err(error)) => return Err(error),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {
                    self.end = Some(late);
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

impl Conversation for Duplex {
    fn reader(&mut self) -> &mut dyn Read {
        &mut self.incoming
    }

    fn send(&mut self, request: Vec<Piece>) -> Result<(), SendError> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let written = match self.writer.take() {
            None => Err(gone()),
            Some(writer) => self.write(writer, request),
        };
        written.map_err(|error| SendError {
            error: self.explain(error),
            may_have_worked: true,
        })
    }

    fn explain(&mut self, error: io::Error) -> TransportError {
        let remote = self.remote.clone();
        let is_late = error.kind() == io::ErrorKind::TimedOut;
        let (what, after) = match self.incoming.end {
            Some(End::TooLarge) => {
                self.ending.cut();
                return TransportError::AnswerTooLarge {
                    remote,
                    what: "data",
                    bytes_max: self.incoming.bytes_max,
                };
            }
            Some(End::Total) => ("the whole answer", self.timeouts.total),
            Some(End::Idle) => ("the next byte", self.timeouts.idle),
            None => ("the next byte", self.timeouts.idle.min(self.timeouts.total)),
        };
        if is_late || self.incoming.end.is_some() {
            self.ending.cut();
            return TransportError::TimedOut { remote, what, after };
        }
        self.ending
            .reason()
            .unwrap_or_else(|| TransportError::Unreachable {
                remote: self.remote.clone(),
                problem: "the connection was closed".to_owned(),
                source: Arc::new(error),
            })
    }
}

impl Duplex {
    /// Writes from a thread of its own, so that a side that does not read ends in a timeout.
    fn write(&mut self, mut writer: Box<dyn Write + Send>, request: Vec<Piece>) -> io::Result<()> {
        let (sender, written) = sync_channel(CHUNKS_WAITING);
        thread::spawn(move || {
            let outcome = request
                .into_iter()
                .flat_map(|piece| piece.parts(CHUNK_BYTES))
                .try_for_each(|part| {
                    writer.write_all(&part?)?;
                    // Nobody waits any more if this fails.
                    sender
                        .send(None)
                        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
                });
            let outcome = outcome.and_then(|()| writer.flush());
            let _ = sender.send(Some((outcome, writer)));
        });
        loop {
            let (span, late) = self.incoming.patience();
            match written.recv_timeout(span) {
                Ok(None) => {}
                Ok(Some((outcome, writer))) => {
                    self.writer = Some(writer);
                    return outcome;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.incoming.end = Some(late);
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        // Whoever waits for us sees the end of the input first.
        self.writer = None;
        self.ending.cut();
    }
}
