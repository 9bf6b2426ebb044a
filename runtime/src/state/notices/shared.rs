//! What admins are told, where several workers share the mirrors: a record a mirror, with its ledger and outbox.
//!
//! Whoever works for a mirror has a copy in its own file, and after each change puts it in the place of the record that
//! it has seen. So who takes a mirror over knows what was told, and delivers what was not; who was taken over is refused.

use super::{NoticeStore, StateError};
use crate::{
    database::Database,
    nats::{
        Nats,
        kv::{Bucket, Written},
    },
    queue::jetstream::names::{Names, token},
};
use mirror_core::ids::MirrorId;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Mutex;

/// The copies of a worker.
#[derive(Debug, Clone)]
pub(super) struct Copies {
    bucket: Bucket,
    /// Revisions of the records that they are of, by mirror.
    held: Arc<Mutex<BTreeMap<MirrorId, Held>>>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    revision: u64,
    /// It was changed, and the record was not.
    is_ahead: bool,
}

/// All rows of a mirror.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rows {
    ledger: Option<(Option<i64>, String)>,
    /// Id, time and message.
    notices: Vec<(String, i64, String)>,
    deliveries: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    notice: String,
    target: String,
    attempts: i64,
    due_at: Option<i64>,
    ended_at: Option<i64>,
    problem: Option<String>,
}

impl NoticeStore {
    /// Shares what is kept with other workers; `prefix` is that of the log, whose bucket is used. What the file has are
    /// copies of an earlier life, and go.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn shared(database: Database, nats: Nats, prefix: &str) -> Result<Self, StateError> {
        database
            .write(|connection| {
                connection.execute_batch("DELETE FROM delivery; DELETE FROM notice; DELETE FROM ledger;")
            })
            .await?;
        Ok(Self {
            database,
            shared: Some(Copies {
                bucket: Bucket::new(nats, Names::new(prefix).state_bucket()),
                held: Arc::default(),
            }),
        })
    }

    /// Takes the copy of a mirror's record, unless it is there.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub async fn take(&self, mirror: &MirrorId) -> Result<(), StateError> {
        let Some(Copies { bucket, held }) = &self.shared else {
            return Ok(());
        };
        let mut held = held.lock().await;
        if held.contains_key(mirror) {
            return Ok(());
        }
        let (stored, revision) = bucket.get_large_as(&key(mirror)).await?;
        // One of a newer release is not taken for nothing.
        let rows = match stored {
            None => Rows::default(),
            Some(stored) => serde_json::from_slice(&stored).map_err(|_| unreadable(mirror))?,
        };
        let of = mirror.clone();
        self.database
            .write(move |connection| {
                remove(connection, &of)?;
                insert(connection, &of, &rows)
            })
            .await?;
        let is_ahead = false;
        held.insert(mirror.clone(), Held { revision, is_ahead });
        Ok(())
    }

    /// Puts the copy in the place of the record that it is of, where there is something new in it.
    pub(super) async fn give(&self, mirror: &MirrorId, has_changed: bool) -> Result<(), StateError> {
        let Some(Copies { bucket, held }) = &self.shared else {
            return Ok(());
        };
        let mut held = held.lock().await;
        let Some(own) = held.get_mut(mirror) else {
            // Given up since: what was written here is of no use to whoever took it.
            return match has_changed {
                true => Err(StateError::Taken {
                    mirror: mirror.clone(),
                }),
                false => Ok(()),
            };
        };
        own.is_ahead |= has_changed;
        if !own.is_ahead {
            return Ok(());
        }
        let of = mirror.clone();
        let rows = self
            .database
            .read(move |connection| rows(connection, &of))
            .await?;
        let text = serde_json::to_vec(&rows).map_err(|_| unreadable(mirror))?;
        match bucket.put_large(&key(mirror), text, own.revision).await? {
            Written::As(revision) => {
                let is_ahead = false;
                *own = Held { revision, is_ahead };
                Ok(())
            }
            Written::Conflict => {
                // Another worker works for the mirror; or it was this very write, to which no answer came. The next
                // report begins with the record.
                held.remove(mirror);
                drop(held);
                self.forget(mirror).await?;
                Err(StateError::Taken {
                    mirror: mirror.clone(),
                })
            }
        }
    }

    /// Lets go of the copy of a mirror's record: another worker takes it.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn give_up(&self, mirror: &MirrorId) -> Result<(), StateError> {
        let Some(Copies { held, .. }) = &self.shared else {
            return Ok(());
        };
        if let Err(error) = self.give(mirror, false).await {
            tracing::warn!(%mirror, error = crate::app::chain(&error), "what was told of the mirror is not shared");
        }
        held.lock().await.remove(mirror);
        self.forget(mirror).await
    }

    async fn forget(&self, mirror: &MirrorId) -> Result<(), StateError> {
        let of = mirror.clone();
        Ok(self
            .database
            .write(move |connection| remove(connection, &of))
            .await?)
    }
}

fn key(mirror: &MirrorId) -> String {
    format!("notices.{}", token(mirror.as_str()))
}

fn unreadable(mirror: &MirrorId) -> StateError {
    StateError::UnreadableOf {
        what: "notices",
        mirror: mirror.clone(),
    }
}

fn remove(connection: &Connection, mirror: &MirrorId) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM notice WHERE mirror = ?", [mirror.as_str()])?;
    connection.execute("DELETE FROM ledger WHERE mirror = ?", [mirror.as_str()])?;
    Ok(())
}

fn rows(connection: &Connection, mirror: &MirrorId) -> rusqlite::Result<Rows> {
    let ledger = connection
        .prepare_cached("SELECT due_at, ledger FROM ledger WHERE mirror = ?")?
        .query_row([mirror.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let notices = connection
        .prepare_cached("SELECT id, at, message FROM notice WHERE mirror = ? ORDER BY id")?
        .query_map([mirror.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let deliveries = connection
        .prepare_cached(
            "SELECT notice, target, attempts, due_at, ended_at, problem FROM delivery
             JOIN notice ON notice.id = delivery.notice WHERE mirror = ? ORDER BY notice, target",
        )?
        .query_map([mirror.as_str()], |row| {
            Ok(Row {
                notice: row.get(0)?,
                target: row.get(1)?,
                attempts: row.get(2)?,
                due_at: row.get(3)?,
                ended_at: row.get(4)?,
                problem: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Rows {
        ledger,
        notices,
        deliveries,
    })
}

fn insert(connection: &Connection, mirror: &MirrorId, rows: &Rows) -> rusqlite::Result<()> {
    if let Some((due_at, ledger)) = &rows.ledger {
        connection.execute(
            "INSERT INTO ledger (mirror, due_at, ledger) VALUES (?, ?, ?)",
            params![mirror.as_str(), due_at, ledger],
        )?;
    }
    for (id, at, message) in &rows.notices {
        connection.execute(
            "INSERT INTO notice (id, mirror, at, message) VALUES (?, ?, ?, ?)",
            params![id, mirror.as_str(), at, message],
        )?;
    }
    for row in &rows.deliveries {
        connection.execute(
            "INSERT INTO delivery (notice, target, attempts, due_at, ended_at, problem) VALUES (?, ?, ?, ?, ?, ?)",
            params![row.notice, row.target, row.attempts, row.due_at, row.ended_at, row.problem],
        )?;
    }
    Ok(())
}
