//! Which mirrors an operator has paused; it outlives the process.

use super::StateError;
use crate::database::Database;
use jiff::Timestamp;
use mirror_core::ids::MirrorId;
use rusqlite::{OptionalExtension, params};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS paused (mirror TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// Keeps which mirrors are paused, and since when.
#[derive(Debug, Clone)]
pub struct PauseStore {
    database: Database,
}

impl PauseStore {
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Returns since when a mirror is paused; none if it is not.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn since(&self, mirror: &MirrorId) -> Result<Option<Timestamp>, StateError> {
        let mirror = mirror.clone();
        let since = self.database.read(move |connection| {
            connection
                .query_row(
                    "SELECT at FROM paused WHERE mirror = ?",
                    [mirror.as_str()],
                    |row| row.get::<_, i64>(0),
                )
                .optional()
        });
        Ok(since.await?.and_then(|at| Timestamp::from_microsecond(at).ok()))
    }

    /// Pauses a mirror, or lets it go on. One that is paused stays so since when it was.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn set(&self, mirror: &MirrorId, at: Option<Timestamp>) -> Result<(), StateError> {
        let mirror = mirror.clone();
        let set = self.database.write(move |connection| {
            match at {
                Some(at) => connection.execute(
                    "INSERT INTO paused (mirror, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    params![mirror.as_str(), at.as_microsecond()],
                )?,
                None => connection.execute("DELETE FROM paused WHERE mirror = ?", [mirror.as_str()])?,
            };
            Ok(())
        });
        Ok(set.await?)
    }
}
