//! The writing thread: many requests, one transaction, one wait for the disk.

use super::DatabaseError;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

/// Does its work, unless there is no connection for it, and returns how it went, with what to call
/// when the transaction's end is known.
pub(super) type Request = Box<dyn FnOnce(Option<&Connection>) -> (rusqlite::Result<()>, Finish) + Send>;
pub(super) type Finish = Box<dyn FnOnce(Result<(), DatabaseError>) + Send>;

const GROUP_MAX: usize = 512;
const GROUP_TIME_MAX: Duration = Duration::from_millis(5);
const CHECKPOINT_BYTES: u64 = 8 << 20;
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    connection: Connection,
    wal: PathBuf,
    ready: Arc<AtomicBool>,
}

/// The file may not hold what was answered for: nothing may be written through this connection.
struct InDoubt;

impl Writer {
    pub(super) fn new(connection: Connection, file: &Path, ready: Arc<AtomicBool>) -> Self {
        let mut wal = file.as_os_str().to_owned();
        wal.push("-wal");
        Self {
            connection,
            wal: wal.into(),
            ready,
        }
    }

    pub(super) fn run(self, requests: &mpsc::Receiver<Request>) {
        loop {
            match requests.recv_timeout(IDLE) {
                Ok(first) => {
                    if let Err(InDoubt) = self.group(first, requests) {
                        return;
                    }
                    if self.wal_bytes() >= CHECKPOINT_BYTES {
                        self.checkpoint("PASSIVE");
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.wal_bytes() > 0 {
                        self.checkpoint("TRUNCATE");
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Runs one transaction: the first request and those that already wait.
    fn group(&self, first: Request, requests: &mpsc::Receiver<Request>) -> Result<(), InDoubt> {
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            let (_, finish) = first(None);
            finish(Err(DatabaseError::sqlite("begin a transaction", error)));
            return Ok(());
        }
        let began = Instant::now();
        // What comes first is undone with the transaction. A savepoint would have SQLite copy each page it changes, and the first may
        // be everything that is known of a project.
        let (outcome, finish) = first(Some(&self.connection));
        if let Err(error) = outcome {
            let _ = self.connection.execute_batch("ROLLBACK");
            finish(Err(DatabaseError::sqlite("be written", error)));
            if self.connection.is_autocommit() {
                return Ok(());
            }
            self.ready.store(false, Ordering::Release);
            return Err(InDoubt);
        }
        let mut done: Vec<Finish> = vec![finish];
        let mut next = another(began, &done, requests);
        while let Some(request) = next {
            let (outcome, finish) = self.within_savepoint(request);
            match outcome {
                Ok(()) => done.push(finish),
                Err(error) => {
                    let error = DatabaseError::sqlite("be written", error);
                    finish(Err(error.clone()));
                    if self.connection.is_autocommit() {
                        // SQLite has undone the whole transaction, and with it the neighbours.
                        done.into_iter().for_each(|finish| finish(Err(error.clone())));
                        return Ok(());
                    }
                }
            }
            next = another(began, &done, requests);
        }
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => {
                done.into_iter().for_each(|finish| finish(Ok(())));
                Ok(())
            }
            Err(error) => {
                self.ready.store(false, Ordering::Release);
                let error = DatabaseError::sqlite("commit", error);
                done.into_iter().for_each(|finish| finish(Err(error.clone())));
                Err(InDoubt)
            }
        }
    }

    /// Runs one request so that its failure undoes what it wrote; where only that cannot be undone,
    /// the whole transaction is.
    fn within_savepoint(&self, request: Request) -> (rusqlite::Result<()>, Finish) {
        if let Err(error) = self.connection.execute_batch("SAVEPOINT request") {
            let (_, finish) = request(None);
            return (Err(error), finish);
        }
        let (outcome, finish) = request(Some(&self.connection));
        let outcome = outcome.and_then(|()| self.connection.execute_batch("RELEASE request"));
        if outcome.is_err() && !self.connection.is_autocommit() {
            let undone = self
                .connection
                .execute_batch("ROLLBACK TO request; RELEASE request");
            if undone.is_err() {
                // Its error says no more than the first; whether it worked, `is_autocommit` tells.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        (outcome, finish)
    }

    fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal).map_or(0, |wal| wal.len())
    }

    /// A checkpoint that readers hold up is made later; one that fails loses nothing, the WAL has it.
    fn checkpoint(&self, mode: &str) {
        let outcome = self
            .connection
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
        if let Err(error) = outcome {
            tracing::warn!(%error, "the database could not be checkpointed");
        }
    }
}

/// Returns a request that already waits, if it goes into the same transaction.
fn another(began: Instant, done: &[Finish], requests: &mpsc::Receiver<Request>) -> Option<Request> {
    let more = done.len() < GROUP_MAX && began.elapsed() < GROUP_TIME_MAX;
    if more { requests.try_recv().ok() } else { None }
}

impl Drop for Writer {
    /// Also when a request panicked.
    fn drop(&mut self) {
        self.ready.store(false, Ordering::Release);
    }
}
