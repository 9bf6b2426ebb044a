//! The installation's event log, read beside the process that writes it.

use rusqlite::{Connection, OpenFlags};
use std::{collections::BTreeMap, path::Path, time::Duration};

const BUSY: Duration = Duration::from_secs(5);

/// Where a lane stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaneRow {
    /// Position of the last change that the remote is known to have; none before the first commit.
    pub change: Option<u64>,
    /// The same for runs.
    pub jobs: Option<u64>,
    /// The commit that the remote had then.
    pub tip: Option<String>,
    /// An attempt's cut is stored, so one was begun and is not done.
    pub has_cut: bool,
}

/// What the log holds at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogBook {
    /// Identity of the log.
    pub id: String,
    /// Lanes by Keboola branch.
    pub lanes: BTreeMap<String, LaneRow>,
    /// Position of the last event of each branch's two streams, changes first; 0 without one.
    pub newest: BTreeMap<String, [u64; 2]>,
    /// Number of events.
    pub events: u64,
    /// Reasons of the dead letters, oldest first.
    pub dead_letters: Vec<String>,
}

impl LogBook {
    /// Reads the log of a data directory; none where there is none, or not yet a whole one.
    ///
    /// While no process has it open, what a killed one left in the write-ahead log is not to be
    /// touched, so call this beside a running process or after one that was stopped.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        let file = data_dir.join(mirror_runtime::database::DATABASE_FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags).ok()?;
        connection.busy_timeout(BUSY).ok()?;
        connection.execute_batch("BEGIN").ok()?;
        Self::of(&connection).ok()
    }

    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let one = |sql: &str| connection.prepare(sql)?.query_row([], |row| row.get::<_, i64>(0));
        let mut book = Self {
            id: connection.query_row("SELECT value FROM meta WHERE name = 'log_id'", [], |row| {
                row.get(0)
            })?,
            events: one("SELECT count(*) FROM event")?.unsigned_abs(),
            ..Self::default()
        };
        let mut lanes =
            connection.prepare("SELECT branch, change, jobs, tip, cut IS NOT NULL FROM lane_cursor")?;
        let lanes = lanes.query_map([], |row| {
            let position = |index| {
                row.get::<_, Option<i64>>(index)
                    .map(|position| position.map(i64::unsigned_abs))
            };
            let lane = LaneRow {
                change: position(1)?,
                jobs: position(2)?,
                tip: row.get(3)?,
                has_cut: row.get(4)?,
            };
            Ok((row.get(0)?, lane))
        })?;
        book.lanes = lanes.collect::<rusqlite::Result<_>>()?;
        let mut newest = connection.prepare(
            "SELECT branch, stream, max(position) FROM event JOIN topic ON topic = topic.id GROUP BY branch, stream",
        )?;
        let newest = newest.query_map([], |row| {
            let (stream, position): (u8, i64) = (row.get(1)?, row.get(2)?);
            Ok((row.get::<_, String>(0)?, stream, position.unsigned_abs()))
        })?;
        for found in newest {
            let (branch, stream, position) = found?;
            book.newest.entry(branch).or_default()[usize::from(stream)] = position;
        }
        let mut letters = connection.prepare("SELECT reason FROM dead_letter ORDER BY id")?;
        let letters = letters.query_map([], |row| row.get(0))?;
        book.dead_letters = letters.collect::<rusqlite::Result<_>>()?;
        Ok(book)
    }

    /// Returns whether the lane of a branch has a commit on the remote, and every event of the branch
    /// is behind its cursor.
    pub(crate) fn is_at_the_end(&self, branch: &str) -> bool {
        let Some(lane) = self.lanes.get(branch) else {
            return false;
        };
        let [change, jobs] = self.newest.get(branch).copied().unwrap_or_default();
        lane.tip.is_some()
            && !lane.has_cut
            && lane.change.is_some_and(|at| at >= change)
            && lane.jobs.is_some_and(|at| at >= jobs)
    }
}
