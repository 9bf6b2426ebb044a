//! What admins are told, kept in the installation's SQLite file until it has arrived.
//!
//! | table | a row is |
//! | --- | --- |
//! | `ledger` | what was told of a mirror, and when findings that wait are due |
//! | `notice` | a message |
//! | `delivery` | a message for one address: waiting (`due_at`), or ended (`ended_at`) as delivered or given up |
//!
//! Where several workers share the mirrors, all of a mirror's rows are a record that they share ([`shared`]), and the file
//! is the copy of the one that works for it.
//!
//! How messages are sent is not known here.

use super::StateError;
use crate::{
    database::Database,
    notify::message::{Context, Message},
};
use jiff::Timestamp;
use mirror_core::{
    ids::MirrorId,
    incident::{GATHER, Ledger, Notice, Report},
    retry::NOTIFY_AFTER,
    window::later,
};
use rusqlite::{Connection, OptionalExtension, params};
use std::{collections::BTreeMap, time::Duration};

/// Times are microseconds.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS ledger (
        mirror TEXT PRIMARY KEY, due_at INTEGER, ledger TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS notice (
        id TEXT PRIMARY KEY, mirror TEXT NOT NULL, at INTEGER NOT NULL, message TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS delivery (
        notice TEXT NOT NULL REFERENCES notice ON DELETE CASCADE, target TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER, ended_at INTEGER, problem TEXT,
        PRIMARY KEY (notice, target)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due_at) WHERE due_at IS NOT NULL;
";

mod shared;

use shared::Copies;

/// Keeps what admins are told.
#[derive(Debug, Clone)]
pub struct NoticeStore {
    database: Database,
    /// Where there are other workers.
    shared: Option<Copies>,
}

/// A message that is to be sent to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub message: Message,
    /// See [`crate::notify::channel::Target::key`].
    pub target: String,
    /// So often it was tried.
    pub attempts: u32,
}

/// How sending a message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    Delivered,
    /// It is tried again then.
    Later {
        due: Timestamp,
        problem: String,
    },
    GivenUp {
        problem: String,
    },
}

/// How the deliveries of a mirror stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    pub waiting: u64,
    /// The newest first, and only some.
    pub given_up: Vec<GivenUp>,
}

/// A message that never arrived somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    pub notice: String,
    pub target: String,
    pub at: Timestamp,
    pub problem: String,
}

/// A delivery is put off for no longer, whatever the other side asks for.
pub const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(27 * 3600);
/// Nothing that a ledger waits for takes longer: findings that gather, and outages.
const LEDGER_WAIT_MAX: Duration = if GATHER.as_secs() > NOTIFY_AFTER.as_secs() {
    GATHER
} else {
    NOTIFY_AFTER
};
/// So many messages that were given up are told of a mirror.
const GIVEN_UP_MAX: i64 = 20;

impl NoticeStore {
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            shared: None,
        }
    }

    /// Takes reports into a mirror's ledger, and stores what is to be told of it for each of the targets: all or
    /// nothing. Returns the notices with their ids.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn record(
        &self,
        mirror: &MirrorId,
        reports: Vec<Report>,
        context: Context,
        targets: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<(String, Notice)>, StateError> {
        self.take(mirror).await?;
        let id = mirror.clone();
        let mirror = mirror.clone();
        let recorded = self.database.write(move |connection| {
            let before = ledger(connection, &mirror)?;
            let mut after = before.clone();
            let notices: Vec<Notice> = reports
                .into_iter()
                .flat_map(|report| after.take_in(report, now))
                .collect();
            if after != before {
                put_ledger(connection, &mirror, &after)?;
            }
            let mut recorded = Vec::with_capacity(notices.len());
            for notice in notices {
                let id = fresh_id();
                let message = Message::new(id.clone(), context.clone(), notice.clone());
                put_message(connection, &message, &targets, now)?;
                recorded.push((id, notice));
            }
            Ok((recorded, after != before))
        });
        let (recorded, has_changed) = recorded.await?;
        self.give(&id, has_changed || !recorded.is_empty()).await?;
        if !recorded.is_empty() {
            crate::crash_point!("notice-stored");
        }
        Ok(recorded)
    }

    /// Returns the mirrors with findings that are to be told by now, or that would have to wait longer than anything does: the
    /// clock was put back, and the ledger knows what to do about it.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn due_ledgers(&self, now: Timestamp) -> Result<Vec<String>, StateError> {
        let due = self.database.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT mirror FROM ledger WHERE due_at <= ? OR due_at > ?")?;
            let rows = statement.query_map(due_but_between(now, LEDGER_WAIT_MAX), |row| row.get(0))?;
            rows.collect()
        });
        Ok(due.await?)
    }

    /// Returns deliveries that are due, the longest due first; also those that would have to wait longer than any is put off,
    /// for the clock was put back since.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Delivery>, StateError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let due = self.database.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT message, target, attempts FROM delivery JOIN notice ON notice.id = delivery.notice
                 WHERE due_at <= ? OR due_at > ? ORDER BY due_at LIMIT ?",
            )?;
            let [by, after] = due_but_between(now, DELIVERY_WAIT_MAX);
            let rows = statement.query_map(params![by, after, max], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<(String, String, u32)>>>()
        });
        let due = due.await?.into_iter().filter_map(|(text, target, attempts)| {
            // One of a newer release, whose process has it.
            let message = serde_json::from_str(&text).ok()?;
            Some(Delivery {
                message,
                target,
                attempts,
            })
        });
        Ok(due.collect())
    }

    /// Returns when the next delivery is due, or findings that wait are.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StateError> {
        let next = self.database.read(|connection| {
            let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
            let deliveries = one("SELECT min(due_at) FROM delivery WHERE due_at IS NOT NULL")?;
            let ledgers = one("SELECT min(due_at) FROM ledger")?;
            Ok(deliveries.into_iter().chain(ledgers).min())
        });
        Ok(next.await?.and_then(time))
    }

    /// Notes how sending a message went.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn settle(&self, delivery: &Delivery, sent: Sent, now: Timestamp) -> Result<(), StateError> {
        let mirror = delivery.message.context.mirror.clone();
        let (notice, target) = (delivery.message.id.clone(), delivery.target.clone());
        let (due, ended, problem) = match sent {
            Sent::Delivered => (None, Some(now), None),
            Sent::Later { due, problem } => (Some(due), None, Some(problem)),
            Sent::GivenUp { problem } => (None, Some(now), Some(problem)),
        };
        let settled = self.database.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE delivery SET attempts = attempts + 1, due_at = ?, ended_at = ?, problem = ?
                     WHERE notice = ? AND target = ?",
                )?
                .execute(params![
                    due.map(Timestamp::as_microsecond),
                    ended.map(Timestamp::as_microsecond),
                    problem,
                    notice,
                    target
                ])?;
            Ok(())
        });
        settled.await?;
        self.give(&mirror, true).await
    }

    /// Returns how deliveries stand, by mirror.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn standing(&self) -> Result<BTreeMap<String, Standing>, StateError> {
        let standing = self.database.read(|connection| {
            let mut standing: BTreeMap<String, Standing> = BTreeMap::new();
            let mut waiting = connection.prepare_cached(
                "SELECT mirror, count(*) FROM delivery JOIN notice ON notice.id = delivery.notice
                 WHERE due_at IS NOT NULL GROUP BY mirror",
            )?;
            let mut rows = waiting.query([])?;
            while let Some(row) = rows.next()? {
                standing.entry(row.get(0)?).or_default().waiting = crate::database::whole(row, 1)?;
            }
            let mut given_up = connection.prepare_cached(
                "SELECT mirror, id, target, ended_at, problem FROM
                   (SELECT *, row_number() OVER (PARTITION BY mirror ORDER BY ended_at DESC) AS number
                    FROM delivery JOIN notice ON notice.id = delivery.notice
                    WHERE ended_at IS NOT NULL AND problem IS NOT NULL)
                 WHERE number <= ? ORDER BY ended_at DESC",
            )?;
            let mut rows = given_up.query([GIVEN_UP_MAX])?;
            while let Some(row) = rows.next()? {
                let Some(at) = time(row.get(3)?) else { continue };
                let given_up = GivenUp {
                    notice: row.get(1)?,
                    target: row.get(2)?,
                    at,
                    problem: row.get(4)?,
                };
                standing.entry(row.get(0)?).or_default().given_up.push(given_up);
            }
            Ok(standing)
        });
        Ok(standing.await?)
    }

    /// Deletes messages made before a time that nobody waits for any more; returns how many.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn prune(&self, before: Timestamp) -> Result<usize, StateError> {
        let pruned = self.database.write(move |connection| {
            connection.execute(
                "DELETE FROM notice WHERE at < ? AND NOT EXISTS
                   (SELECT 1 FROM delivery WHERE delivery.notice = notice.id AND due_at IS NOT NULL)",
                [before.as_microsecond()],
            )
        });
        Ok(pruned.await?)
    }
}

/// Makes an id that no other message has, in this installation or another.
#[must_use]
pub fn fresh_id() -> String {
    format!("msg_{}", uuid::Uuid::new_v4().simple())
}

fn ledger(connection: &Connection, mirror: &MirrorId) -> rusqlite::Result<Ledger> {
    let stored: Option<String> = connection
        .prepare_cached("SELECT ledger FROM ledger WHERE mirror = ?")?
        .query_row([mirror.as_str()], |row| row.get(0))
        .optional()?;
    // One that cannot be read is begun anew: something may be told twice, which is better than not at all.
    Ok(stored
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

fn put_ledger(connection: &Connection, mirror: &MirrorId, ledger: &Ledger) -> rusqlite::Result<()> {
    let due = ledger.next_due().map(Timestamp::as_microsecond);
    connection
        .prepare_cached("INSERT OR REPLACE INTO ledger (mirror, due_at, ledger) VALUES (?, ?, ?)")?
        .execute(params![mirror.as_str(), due, json(ledger)])?;
    Ok(())
}

fn put_message(
    connection: &Connection,
    message: &Message,
    targets: &[String],
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO notice (id, mirror, at, message) VALUES (?, ?, ?, ?)")?
        .execute(params![
            message.id,
            message.context.mirror.as_str(),
            now.as_microsecond(),
            json(message)
        ])?;
    let mut put =
        connection.prepare_cached("INSERT INTO delivery (notice, target, due_at) VALUES (?, ?, ?)")?;
    for target in targets {
        put.execute(params![message.id, target, now.as_microsecond()])?;
    }
    Ok(())
}

/// Returns until when, and from when on, what is due at some time is taken to be due at `now`.
fn due_but_between(now: Timestamp, wait_max: Duration) -> [i64; 2] {
    [now, later(now, wait_max)].map(Timestamp::as_microsecond)
}

fn time(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("ledgers and messages have only text keys, so they are always JSON")
}

#[cfg(test)]
mod tests;
