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
/// So much in the WAL is worth the waits for the disk of a checkpoint: three, where a transaction has one.
const CHECKPOINT_BYTES: u64 = 8 << 20;
/// How long the file of the WAL stays when it begins anew, so that its length tells how much is in it.
pub(super) const WAL_KEPT_BYTES: u64 = CHECKPOINT_BYTES / 2;
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    connection: Connection,
    wal: PathBuf,
    /// Length of the WAL at which the next checkpoint is made.
    checkpoint_at: u64,
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
            checkpoint_at: CHECKPOINT_BYTES,
            ready,
        }
    }

    pub(super) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        loop {
            match requests.recv_timeout(IDLE) {
                Ok(first) => {
                    if let Err(InDoubt) = self.group(first, requests) {
                        return;
                    }
                    self.checkpoint_if_due();
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.wal_bytes() > 0 {
                        self.checkpoint("TRUNCATE");
                        self.checkpoint_at = CHECKPOINT_BYTES;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Runs one transaction: the first request and those that already wait.
    fn group(&self, first: Request, requests: &mpsc::Receiver<Request>) -> Result<(), InDoubt> {
        if let Err(error) = self.statement("BEGIN IMMEDIATE") {
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
        match self.statement("COMMIT") {
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
        if let Err(error) = self.statement("SAVEPOINT request") {
            let (_, finish) = request(None);
            return (Err(error), finish);
        }
        let (outcome, finish) = request(Some(&self.connection));
        let outcome = outcome.and_then(|()| self.statement("RELEASE request"));
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

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        super::statement(&self.connection, sql)
    }

    fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal).map_or(0, |wal| wal.len())
    }

    /// Returns whether it made one.
    fn checkpoint_if_due(&mut self) -> bool {
        let bytes = self.wal_bytes();
        let is_due = bytes >= self.checkpoint_at;
        if is_due {
            // What readers hold up is not tried again with each transaction.
            let is_whole = self.checkpoint("PASSIVE");
            self.checkpoint_at = if is_whole { 0 } else { bytes } + CHECKPOINT_BYTES;
        }
        is_due
    }

    /// Returns whether the WAL may begin anew. A checkpoint that readers hold up is made later; one that fails loses nothing, the
    /// WAL has it.
    fn checkpoint(&self, mode: &str) -> bool {
        let outcome = self
            .connection
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            });
        match outcome {
            Ok((frames, checkpointed)) => frames == checkpointed,
            Err(error) => {
                tracing::warn!(%error, "the database could not be checkpointed");
                false
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{DatabaseOptions, prepare};

    fn write(writer: &Writer, bytes: i64) {
        let request: Request = Box::new(move |connection| {
            let connection = connection.expect("a transaction can begin");
            let outcome = connection.execute("INSERT INTO filler VALUES (zeroblob(?1))", [bytes]);
            (
                outcome.map(drop),
                Box::new(|ended| ended.expect("it is committed")),
            )
        });
        let (_sender, none) = mpsc::channel();
        assert!(writer.group(request, &none).is_ok());
    }

    #[test]
    fn after_a_checkpoint_as_much_is_written_as_before_it_until_the_next() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("mirror.sqlite");
        let connection = prepare(&file, DatabaseOptions::default()).expect("a new database");
        connection
            .execute_batch("CREATE TABLE filler (bytes BLOB)")
            .expect("a table can be made");
        let mut writer = Writer::new(connection, &file, Arc::new(AtomicBool::new(true)));
        let large = i64::try_from(CHECKPOINT_BYTES).expect("it is small");
        for _ in 0..2 {
            write(&writer, large);
            assert!(writer.checkpoint_if_due());
            for _ in 0..10 {
                write(&writer, 1);
                assert!(!writer.checkpoint_if_due(), "{} bytes", writer.wal_bytes());
            }
        }
        // A reader sees the database as it is now for as long as it reads.
        let reader = crate::database::reader(&file).expect("it can be read");
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM filler")
            .expect("it can be read");
        write(&writer, large);
        assert!(writer.checkpoint_if_due());
        write(&writer, 1);
        assert!(!writer.checkpoint_if_due(), "it is not tried each time");
        write(&writer, large);
        assert!(writer.checkpoint_if_due());
        reader.execute_batch("COMMIT").expect("it has read");
        write(&writer, 2 * large);
        assert!(writer.checkpoint_if_due());
        write(&writer, 1);
        assert!(writer.wal_bytes() < CHECKPOINT_BYTES);
    }
}
