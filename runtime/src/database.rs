//! The one SQLite file of an installation: one writer, several readers.
//!
//! All writes run on one thread, many in one transaction, and are answered when that transaction is
//! durable. Where durability is in doubt the writer stops for good: after a failed COMMIT the file
//! must be read anew, by a new process. So it does where the file is no longer the one at its path ([`place`]): what is
//! written then is gone with the process. What the tables mean is not known here.

mod place;
mod writer;

use place::Place;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

/// Name of the file in the data directory.
pub const DATABASE_FILE: &str = "mirror.sqlite";
const LOCK_FILE: &str = "mirror.lock";
/// Marks the file as ours: `kbcm`.
const APPLICATION_ID: i32 = 0x6b62_636d;
const SCHEMA_VERSION: i32 = 3;
/// Writes that may wait; past that, callers wait to be let in.
const WAITING_MAX: usize = 4096;
const READERS_MAX: usize = 4;
/// Statements that a connection keeps parsed; there are some fifty. By default it would keep sixteen.
const STATEMENTS_KEPT: usize = 100;
const BUSY: Duration = Duration::from_secs(5);

/// Why the database refused or failed.
#[derive(Debug, Clone, Error)]
pub enum DatabaseError {
    #[error("the disk, or the room allowed to the database, is full")]
    NoSpace,
    #[error(
        "the data directory `{directory}` is used by another process; stop it, or choose another directory"
    )]
    InUse { directory: PathBuf },
    #[error("cannot use the data directory `{directory}`")]
    Directory {
        directory: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("the database `{file}` is damaged; restore a backup, or move it away to sync anew")]
    Damaged { file: PathBuf },
    #[error("the file `{file}` is no database of this program")]
    Foreign { file: PathBuf },
    #[error("the database `{file}` has schema {found}; this release knows {known}: use the newer release")]
    TooNew { file: PathBuf, found: i32, known: i32 },
    #[error(
        "the database `{file}` was made by a build from before the first release, which is not converted: move it away; branches are read back from their repositories and compared with Keboola"
    )]
    TooOld { file: PathBuf },
    #[error("the database could not {what}")]
    Sqlite {
        what: &'static str,
        #[source]
        source: Arc<rusqlite::Error>,
    },
    #[error(
        "the database stopped after a failed write; make room on its disk if that is full, and start the process again: what was accepted is there"
    )]
    Stopped,
    #[error(
        "the database `{file}` was deleted or moved away while this process has it open; nothing is accepted any more. A new process makes a new one, and compares everything with the source; put the file back first if it is only moved"
    )]
    Gone { file: PathBuf },
    #[error(
        "the database `{file}` was replaced by another file while this process has it open; nothing is accepted any more. A new process goes on with the one that is there, and compares with the source what it lacks"
    )]
    Replaced { file: PathBuf },
}

impl DatabaseError {
    fn sqlite(what: &'static str, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace,
            _ => Self::Sqlite {
                what,
                source: Arc::new(source),
            },
        }
    }
}

/// Limits of the database.
#[derive(Debug, Clone, Copy, Default)]
pub struct DatabaseOptions {
    /// The file may grow to so many pages of 4 KiB; none for as many as the disk has.
    pub pages_max: Option<u32>,
}

/// A handle; clones share the file. It is closed when the last one is dropped.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("file", &self.0.place.file())
            .finish_non_exhaustive()
    }
}

struct Inner {
    place: Place,
    requests: Option<mpsc::Sender<writer::Request>>,
    writer: Option<JoinHandle<()>>,
    waiting: Arc<Semaphore>,
    ready: Arc<AtomicBool>,
    reading: Semaphore,
    readers: Arc<Mutex<Vec<Connection>>>,
    /// Held until everything else is closed.
    _lock: File,
}

impl Database {
    /// Opens, or creates, the database in a data directory and checks it.
    ///
    /// # Errors
    /// A directory that another process uses, a damaged or foreign file, a newer schema.
    pub fn open(directory: &Path, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        let lock = lock(directory)?;
        let file = directory.join(DATABASE_FILE);
        let failed = |source: io::Error| DatabaseError::Directory {
            directory: directory.into(),
            source: Arc::new(source),
        };
        place::make_private(&file).map_err(failed)?;
        let connection = prepare(&file, options)?;
        let place = Place::of(file.clone()).map_err(failed)?;
        // The new file's name must survive too.
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(failed)?;
        let (requests, received) = mpsc::channel();
        let ready = Arc::new(AtomicBool::new(true));
        let writer = writer::Writer::new(connection, &file, Arc::clone(&ready));
        let writer = std::thread::Builder::new()
            .name("database-writer".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(failed)?;
        Ok(Self(Arc::new(Inner {
            place,
            requests: Some(requests),
            writer: Some(writer),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            ready,
            reading: Semaphore::new(READERS_MAX),
            readers: Arc::default(),
            _lock: lock,
        })))
    }

    /// Returns why writes cannot be durable in this process, while only a new one can mend it.
    ///
    /// # Errors
    /// [`DatabaseError::Stopped`], [`DatabaseError::Gone`] and [`DatabaseError::Replaced`].
    pub fn check(&self) -> Result<(), DatabaseError> {
        if !self.0.ready.load(Ordering::Acquire) {
            return Err(DatabaseError::Stopped);
        }
        self.0.place.check()
    }

    /// Runs `work` in a transaction and returns its value when that is durable. An error of `work`
    /// undoes what it wrote, and only that.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(work, |_| {}).await
    }

    /// As [`Database::write`]; then runs `after`, even where the caller has stopped waiting.
    pub(crate) async fn write_then<T, F, A>(&self, work: F, after: A) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        self.0.place.check()?;
        let permit = Arc::clone(&self.0.waiting)
            .acquire_owned()
            .await
            .map_err(|_| DatabaseError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let request: writer::Request = Box::new(move |connection| {
            let (outcome, value) = match connection.map(work) {
                Some(Ok(value)) => (Ok(()), Some(value)),
                Some(Err(error)) => (Err(error), None),
                None => (Ok(()), None),
            };
            let finish: writer::Finish = Box::new(move |end: Result<(), DatabaseError>| {
                let answer = end.and_then(|()| value.ok_or(DatabaseError::Stopped));
                if let Ok(value) = &answer {
                    after(value);
                }
                // A caller that stopped waiting does not need the answer.
                let _ = reply.send(answer);
                drop(permit);
            });
            (outcome, finish)
        });
        let requests = self.0.requests.as_ref().ok_or(DatabaseError::Stopped)?;
        requests.send(request).map_err(|_| DatabaseError::Stopped)?;
        let value = answer.await.map_err(|_| DatabaseError::Stopped)??;
        // It may have been taken away meanwhile.
        self.0.place.check()?;
        Ok(value)
    }

    /// Runs `work` on a connection that cannot write, in a transaction of its own.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let _permit = self
            .0
            .reading
            .acquire()
            .await
            .map_err(|_| DatabaseError::Stopped)?;
        let idle = self
            .0
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let (file, readers) = (self.0.place.file().to_owned(), Arc::clone(&self.0.readers));
        let reading = move || {
            let connection = match idle {
                Some(connection) => connection,
                None => reader(&file)?,
            };
            let value = (|| {
                statement(&connection, "BEGIN")?;
                let value = work(&connection);
                statement(&connection, "COMMIT")?;
                value
            })();
            if connection.is_autocommit() {
                readers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(connection);
            }
            value
        };
        let value = tokio::task::spawn_blocking(reading)
            .await
            .map_err(|_| DatabaseError::Stopped)?;
        value.map_err(|source| DatabaseError::sqlite("be read", source))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when it has no more senders; the lock must outlive it.
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has left its transaction undone, as a crash would.
            let _ = writer.join();
        }
    }
}

/// Makes a data directory, for this user only, and what is missing above it. One that is there stays as it is.
///
/// # Errors
/// A directory that cannot be made.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn lock(directory: &Path) -> Result<File, DatabaseError> {
    let failed = |source| DatabaseError::Directory {
        directory: directory.into(),
        source: Arc::new(source),
    };
    make_directory(directory).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK_FILE));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DatabaseError::InUse {
            directory: directory.into(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Opens the writing connection; checks the file and gives it its schema.
fn prepare(file: &Path, options: DatabaseOptions) -> Result<Connection, DatabaseError> {
    let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => DatabaseError::Foreign { file: file.into() },
        Some(ErrorCode::DatabaseCorrupt) => DatabaseError::Damaged { file: file.into() },
        Some(_) | None => DatabaseError::sqlite("be opened", source),
    };
    let connection = Connection::open(file).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let version: i32 = pragma(&connection, "user_version").map_err(failed)?;
    let application: i32 = pragma(&connection, "application_id").map_err(failed)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(DatabaseError::Foreign { file: file.into() });
    }
    if version > SCHEMA_VERSION {
        return Err(DatabaseError::TooNew {
            file: file.into(),
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    if version < SCHEMA_VERSION && tables > 0 {
        return Err(DatabaseError::TooOld { file: file.into() });
    }
    let check: String = pragma(&connection, "quick_check(1)").map_err(failed)?;
    if check != "ok" {
        return Err(DatabaseError::Damaged { file: file.into() });
    }
    let pages = options
        .pages_max
        .map(|pages| format!("PRAGMA max_page_count = {pages};"))
        .unwrap_or_default();
    let settings = format!(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {}; PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF; {pages}",
        writer::WAL_KEPT_BYTES,
    );
    connection.execute_batch(&settings).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    let mode: String = pragma(&connection, "journal_mode").map_err(failed)?;
    if !mode.eq_ignore_ascii_case("wal") {
        // Some network file systems cannot share memory; there, locks do not hold either.
        let unsupported = io::Error::new(
            io::ErrorKind::Unsupported,
            "the file system cannot hold a database in WAL mode",
        );
        let directory = file.parent().unwrap_or(file).into();
        return Err(DatabaseError::Directory {
            directory,
            source: Arc::new(unsupported),
        });
    }
    if version < SCHEMA_VERSION {
        let schema = format!(
            "BEGIN EXCLUSIVE; {} {} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;",
            crate::queue::embedded::SCHEMA,
            crate::state::embedded::SCHEMA,
        );
        connection.execute_batch(&schema).map_err(failed)?;
    }
    connection
        .execute_batch(
            &[
                crate::queue::embedded::LATER_SCHEMA,
                crate::state::notices::SCHEMA,
                crate::state::pauses::SCHEMA,
            ]
            .concat(),
        )
        .map_err(failed)?;
    Ok(connection)
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// Runs a statement that is parsed once.
fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// SQLite's whole numbers are signed; what does not fit is beyond any position or version.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a number that was written by [`signed`].
pub(crate) fn whole(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(index)?.unsigned_abs())
}

pub(crate) fn maybe_whole(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(i64::unsigned_abs))
}
