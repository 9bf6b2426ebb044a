//! The state store in the installation's SQLite file.

use super::{Derived, Feeder, LaneState, Prepared, RowKey, StateError, StateStore};
use crate::database::Database;
use async_trait::async_trait;
use mirror_core::{
    digest::RenderDigest,
    ids::{LaneId, Oid},
    quarantine::Quarantine,
    reconcile::Compared,
    retry::Outage,
    trial,
};
use rusqlite::{Connection, OptionalExtension, Params, named_params, params};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// A lane without derived state has no tip; one without anything prepared no prepared commit.
///
/// A lane has two sets of derived rows, of which `turn` says which one counts. What is prepared as a whole is written into the
/// other one, so that to adopt it moves no row; what changes some rows waits in `prepared`.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE lane (
        id INTEGER PRIMARY KEY, mirror TEXT NOT NULL, branch TEXT NOT NULL,
        turn INTEGER NOT NULL DEFAULT 0,
        tip TEXT, render TEXT, prepared TEXT, prepared_render TEXT, prepared_is_all INTEGER,
        outage TEXT, quarantine TEXT, compared TEXT, deaths TEXT, UNIQUE (mirror, branch)
    ) STRICT;
    CREATE TABLE derived (
        rows INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (rows, kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE prepared (
        lane INTEGER NOT NULL REFERENCES lane, kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT,
        PRIMARY KEY (lane, kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kept (
        lane INTEGER NOT NULL REFERENCES lane, whose TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (lane, whose, name)
    ) STRICT, WITHOUT ROWID;
";

/// The state store that needs nothing but a file.
#[derive(Debug, Clone)]
pub struct EmbeddedState {
    database: Database,
}

impl EmbeddedState {
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Reads a record of a lane that is JSON in a column of that name.
    async fn column<T: DeserializeOwned>(
        &self,
        name: &'static str,
        lane: &LaneId,
    ) -> Result<Option<T>, StateError> {
        let row = lane.clone();
        let stored = self.database.read(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {name} FROM lane WHERE mirror = ? AND branch = ?"
            ))?;
            let found = statement
                .query_row([row.mirror.as_str(), row.branch.as_str()], |row| row.get(0))
                .optional()?;
            Ok(found.flatten())
        });
        let stored: Option<String> = stored.await?;
        stored.map(|text| parsed(&text, name, lane)).transpose()
    }

    /// Reads texts of a lane by name.
    async fn texts(
        &self,
        lane: &LaneId,
        whose: &'static str,
    ) -> Result<BTreeMap<String, String>, StateError> {
        let row = lane.clone();
        let kept = self.database.read(move |connection| {
            let Some(lane) = lane_row(connection, &row)? else {
                return Ok(BTreeMap::new());
            };
            kept_of(connection, lane.id, whose)
        });
        Ok(kept.await?)
    }

    /// Replaces texts of a lane. Only the difference is written: most of it stays as it is.
    async fn put_texts(
        &self,
        lane: &LaneId,
        whose: &'static str,
        kept: BTreeMap<String, String>,
    ) -> Result<(), StateError> {
        let row = lane.clone();
        let stored = self.database.write(move |connection| {
            let lane = lane_for_writing(connection, &row)?;
            let before = kept_of(connection, lane.id, whose)?;
            let mut put = connection.prepare_cached(
                "INSERT OR REPLACE INTO kept (lane, whose, name, value) VALUES (?, ?, ?, ?)",
            )?;
            for (name, value) in &kept {
                if before.get(name) != Some(value) {
                    put.execute(params![lane.id, whose, name, value])?;
                }
            }
            let mut drop =
                connection.prepare_cached("DELETE FROM kept WHERE lane = ? AND whose = ? AND name = ?")?;
            for name in before.keys().filter(|name| !kept.contains_key(*name)) {
                drop.execute(params![lane.id, whose, name])?;
            }
            Ok(())
        });
        Ok(stored.await?)
    }

    /// Replaces a record of a lane.
    async fn put_column<T: Serialize>(
        &self,
        name: &'static str,
        lane: &LaneId,
        value: Option<&T>,
    ) -> Result<(), StateError> {
        let text = value.map(|value| json(value, name, lane)).transpose()?;
        let row = lane.clone();
        let stored = self.database.write(move |connection| {
            let lane = lane_for_writing(connection, &row)?;
            connection.execute(
                &format!("UPDATE lane SET {name} = ? WHERE id = ?"),
                params![text, lane.id],
            )?;
            Ok(())
        });
        Ok(stored.await?)
    }
}

#[async_trait]
impl StateStore for EmbeddedState {
    async fn load(&self, lane: &LaneId) -> Result<Option<LaneState>, StateError> {
        let row = lane.clone();
        let loaded = self.database.read(move |connection| lane_row(connection, &row));
        let Some(LaneRow {
            tip,
            render,
            prepared,
            ..
        }) = loaded.await?
        else {
            return Ok(None);
        };
        let unreadable = || StateError::Unreadable {
            what: "derived state",
            lane: lane.clone(),
        };
        let oid = |text: String| Oid::parse(&text).map_err(|_| unreadable());
        let derived = match tip.zip(render) {
            None => None,
            Some((tip, render)) => {
                let render = RenderDigest::parse(&render).ok_or_else(unreadable)?;
                let tip = oid(tip)?;
                Some(Derived { tip, render })
            }
        };
        let prepared = prepared.map(oid).transpose()?;
        let known = derived.is_some() || prepared.is_some();
        Ok(known.then_some(LaneState { derived, prepared }))
    }

    async fn rows(
        &self,
        lane: &LaneId,
        after: Option<RowKey>,
        rows_max: usize,
    ) -> Result<Vec<(RowKey, String)>, StateError> {
        let row = lane.clone();
        let read = self.database.read(move |connection| {
            let Some(lane) = lane_row(connection, &row)? else {
                return Ok(Vec::new());
            };
            // No kind is empty, so that nothing comes before this.
            let RowKey { kind, key } = after.unwrap_or_else(|| RowKey {
                kind: String::new(),
                key: String::new(),
            });
            let mut statement = connection.prepare_cached(
                "SELECT kind, key, value FROM derived WHERE rows = ? AND (kind, key) > (?, ?)
                 ORDER BY kind, key LIMIT ?",
            )?;
            let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![lane.rows(), kind, key, rows_max], |row| {
                let (kind, key) = (row.get(0)?, row.get(1)?);
                Ok((RowKey { kind, key }, row.get(2)?))
            })?;
            rows.collect()
        });
        Ok(read.await?)
    }

    async fn row(&self, lane: &LaneId, key: RowKey) -> Result<Option<String>, StateError> {
        let row = lane.clone();
        let read = self.database.read(move |connection| {
            let Some(lane) = lane_row(connection, &row)? else {
                return Ok(None);
            };
            connection
                .prepare_cached("SELECT value FROM derived WHERE rows = ? AND kind = ? AND key = ?")?
                .query_row(params![lane.rows(), key.kind, key.key], |row| row.get(0))
                .optional()
        });
        Ok(read.await?)
    }

    async fn stage(
        &self,
        lane: &LaneId,
        rows: Vec<(RowKey, Option<String>)>,
        first: bool,
    ) -> Result<(), StateError> {
        let row = lane.clone();
        let staged = self.database.write(move |connection| {
            let lane = lane_for_writing(connection, &row)?;
            if first {
                drop_prepared(connection, &lane)?;
            }
            put_rows(connection, lane.other_rows(), &rows)
        });
        Ok(staged.await?)
    }

    async fn prepare(&self, lane: &LaneId, prepared: Prepared) -> Result<(), StateError> {
        let row = lane.clone();
        let moved = self.database.write(move |connection| {
            let Prepared { commit, render, base, delta, replace_all } = prepared;
            let lane = lane_for_writing(connection, &row)?;
            if !replace_all && lane.tip != base.map(|base| base.to_string()) {
                return Ok(true);
            }
            // What was staged for it stands where nothing is prepared.
            if !replace_all || lane.prepared.is_some() {
                drop_prepared(connection, &lane)?;
            } else {
                drop_rows(connection, lane.other_rows(), &delta)?;
            }
            if replace_all {
                put_rows(connection, lane.other_rows(), &delta)?;
            } else {
                put_prepared(connection, lane.id, &delta)?;
            }
            connection
                .prepare_cached(
                    "UPDATE lane SET prepared = :commit, prepared_render = :render, prepared_is_all = :all WHERE id = :lane",
                )?
                .execute(named_params! {
                    ":commit": commit.to_string(),
                    ":render": render.as_str(),
                    ":all": replace_all,
                    ":lane": lane.id,
                })?;
            Ok(false)
        });
        if moved.await? {
            Err(StateError::BaseMoved { lane: lane.clone() })
        } else {
            Ok(())
        }
    }

    async fn adopt(&self, lane: &LaneId, commit: Oid) -> Result<(), StateError> {
        let row = lane.clone();
        let adopted = self.database.write(move |connection| {
            let commit = Some(commit.to_string());
            let Some(mut lane) = lane_row(connection, &row)? else {
                return Ok(false);
            };
            if lane.prepared != commit {
                return Ok(lane.tip == commit);
            }
            if lane.prepared_is_all {
                lane.turn = 1 - lane.turn;
                run(
                    connection,
                    "UPDATE lane SET turn = ?2 WHERE id = ?1",
                    [lane.id, lane.turn],
                )?;
            } else {
                run(
                    connection,
                    "DELETE FROM derived WHERE rows = ?1 AND (kind, key) IN
                     (SELECT kind, key FROM prepared WHERE lane = ?2 AND value IS NULL)",
                    [lane.rows(), lane.id],
                )?;
                run(
                    connection,
                    "INSERT OR REPLACE INTO derived (rows, kind, key, value)
                     SELECT ?1, kind, key, value FROM prepared WHERE lane = ?2 AND value IS NOT NULL",
                    [lane.rows(), lane.id],
                )?;
            }
            run(
                connection,
                "UPDATE lane SET tip = prepared, render = prepared_render WHERE id = ?",
                [lane.id],
            )?;
            // What counted until now is the other set where everything was replaced.
            drop_prepared(connection, &lane)?;
            Ok(true)
        });
        if adopted.await? {
            Ok(())
        } else {
            Err(StateError::NotPrepared {
                lane: lane.clone(),
                commit,
            })
        }
    }

    async fn outage(&self, lane: &LaneId) -> Result<Option<Outage>, StateError> {
        self.column("outage", lane).await
    }

    async fn put_outage(&self, lane: &LaneId, outage: Option<&Outage>) -> Result<(), StateError> {
        self.put_column("outage", lane, outage).await
    }

    async fn quarantine(&self, lane: &LaneId) -> Result<Quarantine, StateError> {
        Ok(self.column("quarantine", lane).await?.unwrap_or_default())
    }

    async fn put_quarantine(&self, lane: &LaneId, quarantine: &Quarantine) -> Result<(), StateError> {
        let kept = (!quarantine.is_empty()).then_some(quarantine);
        self.put_column("quarantine", lane, kept).await
    }

    async fn seen(&self, lane: &LaneId) -> Result<BTreeMap<String, String>, StateError> {
        self.texts(lane, SEEN).await
    }

    async fn put_seen(&self, lane: &LaneId, seen: BTreeMap<String, String>) -> Result<(), StateError> {
        self.put_texts(lane, SEEN, seen).await
    }

    async fn deaths(&self, lane: &LaneId) -> Result<trial::Record, StateError> {
        Ok(self.column("deaths", lane).await?.unwrap_or_default())
    }

    async fn put_deaths(&self, lane: &LaneId, record: &trial::Record) -> Result<(), StateError> {
        let kept = (!record.is_empty()).then_some(record);
        self.put_column("deaths", lane, kept).await
    }

    async fn kept(
        &self,
        lane: &LaneId,
        feeder: Feeder,
    ) -> Result<Option<BTreeMap<String, String>>, StateError> {
        let kept = self.texts(lane, feeder.as_str()).await?;
        Ok(Some(kept).filter(|kept| !kept.is_empty()))
    }

    async fn keep(
        &self,
        lane: &LaneId,
        feeder: Feeder,
        kept: BTreeMap<String, String>,
    ) -> Result<(), StateError> {
        self.put_texts(lane, feeder.as_str(), kept).await
    }

    async fn compared(&self, lane: &LaneId) -> Result<Option<Compared>, StateError> {
        self.column("compared", lane).await
    }

    async fn put_compared(&self, lane: &LaneId, compared: &Compared) -> Result<(), StateError> {
        self.put_column("compared", lane, Some(compared)).await
    }

    async fn meta_once(&self, name: &str, value: &str) -> Result<String, StateError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        Ok(self
            .database
            .write(move |connection| meta_once(connection, &name, &value))
            .await?)
    }

    async fn put_meta(&self, name: &str, value: &str) -> Result<(), StateError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        let written = self.database.write(move |connection| {
            connection.execute(
                "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                [name, value],
            )
        });
        written.await?;
        Ok(())
    }
}

/// Stores a fact if it is not there yet, and returns what is there.
pub(crate) fn meta_once(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<String> {
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [name, value],
    )?;
    Ok(meta(connection, name)?.unwrap_or_else(|| value.to_owned()))
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0))
        .optional()
}

/// What comparisons have seen of the source, among the texts of a lane.
const SEEN: &str = "seen";

fn kept_of(connection: &Connection, lane: i64, whose: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement =
        connection.prepare_cached("SELECT name, value FROM kept WHERE lane = ? AND whose = ?")?;
    statement
        .query_map(params![lane, whose], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

struct LaneRow {
    id: i64,
    turn: i64,
    tip: Option<String>,
    render: Option<String>,
    prepared: Option<String>,
    prepared_is_all: bool,
}

impl LaneRow {
    /// The set of derived rows that counts.
    fn rows(&self) -> i64 {
        2 * self.id + self.turn
    }

    /// The other one: empty, or with what is staged or prepared as a whole.
    fn other_rows(&self) -> i64 {
        2 * self.id + 1 - self.turn
    }
}

fn lane_row(connection: &Connection, lane: &LaneId) -> rusqlite::Result<Option<LaneRow>> {
    connection
        .prepare_cached(
            "SELECT id, turn, tip, render, prepared, coalesce(prepared_is_all, 0) FROM lane
             WHERE mirror = ? AND branch = ?",
        )?
        .query_row([lane.mirror.as_str(), lane.branch.as_str()], |row| {
            Ok(LaneRow {
                id: row.get(0)?,
                turn: row.get(1)?,
                tip: row.get(2)?,
                render: row.get(3)?,
                prepared: row.get(4)?,
                prepared_is_all: row.get(5)?,
            })
        })
        .optional()
}

fn lane_for_writing(connection: &Connection, lane: &LaneId) -> rusqlite::Result<LaneRow> {
    if let Some(row) = lane_row(connection, lane)? {
        return Ok(row);
    }
    let id = connection
        .prepare_cached("INSERT INTO lane (mirror, branch) VALUES (?, ?)")?
        .insert([lane.mirror.as_str(), lane.branch.as_str()])?;
    Ok(LaneRow {
        id,
        turn: 0,
        tip: None,
        render: None,
        prepared: None,
        prepared_is_all: false,
    })
}

/// Adds rows that are not there to a set. Replacing in the same statement would have SQLite copy each page that a row touches to
/// a statement journal, row after row: five times what is stored of a first sync.
fn put_rows(connection: &Connection, set: i64, rows: &[(RowKey, Option<String>)]) -> rusqlite::Result<()> {
    let mut put =
        connection.prepare_cached("INSERT INTO derived (rows, kind, key, value) VALUES (?, ?, ?, ?)")?;
    for (RowKey { kind, key }, value) in rows {
        // What is not there needs not go.
        if let Some(value) = value {
            put.execute(params![set, kind, key, value])?;
        }
    }
    Ok(())
}

/// Takes rows out of a set, as far as they are in it.
fn drop_rows(connection: &Connection, set: i64, rows: &[(RowKey, Option<String>)]) -> rusqlite::Result<()> {
    let mut take =
        connection.prepare_cached("DELETE FROM derived WHERE rows = ? AND kind = ? AND key = ?")?;
    for (RowKey { kind, key }, _) in rows {
        take.execute(params![set, kind, key])?;
    }
    Ok(())
}

/// Notes what is to become of some rows.
fn put_prepared(
    connection: &Connection,
    lane: i64,
    rows: &[(RowKey, Option<String>)],
) -> rusqlite::Result<()> {
    let mut put =
        connection.prepare_cached("INSERT INTO prepared (lane, kind, key, value) VALUES (?, ?, ?, ?)")?;
    for (RowKey { kind, key }, value) in rows {
        put.execute(params![lane, kind, key, value])?;
    }
    Ok(())
}

fn drop_prepared(connection: &Connection, lane: &LaneRow) -> rusqlite::Result<()> {
    run(connection, "DELETE FROM prepared WHERE lane = ?", [lane.id])?;
    run(
        connection,
        "DELETE FROM derived WHERE rows = ?",
        [lane.other_rows()],
    )?;
    run(
        connection,
        "UPDATE lane SET prepared = NULL, prepared_render = NULL, prepared_is_all = NULL WHERE id = ?",
        [lane.id],
    )
}

/// Runs a statement that is parsed once.
fn run(connection: &Connection, sql: &str, of: impl Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(of).map(drop)
}

fn parsed<T: DeserializeOwned>(text: &str, what: &'static str, lane: &LaneId) -> Result<T, StateError> {
    serde_json::from_str(text).map_err(|_| StateError::Unreadable {
        what,
        lane: lane.clone(),
    })
}

fn json<T: Serialize>(value: &T, what: &'static str, lane: &LaneId) -> Result<String, StateError> {
    serde_json::to_string(value).map_err(|_| StateError::Unreadable {
        what,
        lane: lane.clone(),
    })
}
