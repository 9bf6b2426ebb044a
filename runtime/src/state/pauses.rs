//! Which mirrors an operator has paused; it outlives the process, and holds for all workers that share a log.

use super::StateError;
use crate::{
    database::Database,
    nats::{
        Nats, NatsError,
        kv::{Bucket, Written},
    },
    queue::jetstream::names::{Names, token},
};
use jiff::Timestamp;
use mirror_core::ids::MirrorId;
use rusqlite::{OptionalExtension, params};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS paused (mirror TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// Keeps which mirrors are paused, and since when.
#[derive(Debug, Clone)]
pub enum PauseStore {
    /// Of one process.
    Own(Database),
    /// Of all workers.
    Shared(Box<SharedPauses>),
}

/// Pauses in the bucket that all workers share.
#[derive(Debug, Clone)]
pub struct SharedPauses {
    nats: Nats,
    bucket: Bucket,
}

impl SharedPauses {
    fn key(mirror: &MirrorId) -> String {
        format!("paused.{}", token(mirror.as_str()))
    }
}

impl PauseStore {
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self::Own(database)
    }

    /// `prefix` is that of the log, whose bucket is used.
    #[must_use]
    pub fn shared(nats: Nats, prefix: &str) -> Self {
        Self::Shared(Box::new(SharedPauses {
            bucket: Bucket::new(nats.clone(), Names::new(prefix).state_bucket()),
            nats,
        }))
    }

    /// Returns since when a mirror is paused; none if it is not.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn since(&self, mirror: &MirrorId) -> Result<Option<Timestamp>, StateError> {
        match self {
            Self::Own(database) => {
                let mirror = mirror.clone();
                let since = database.read(move |connection| {
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
            Self::Shared(shared) => {
                let bucket = &shared.bucket;
                let found = bucket.get(&SharedPauses::key(mirror)).await?.value;
                // What cannot be read was written by a newer release: it is a pause all the same.
                Ok(found.map(|at| {
                    let at = std::str::from_utf8(&at).ok().and_then(|at| at.parse().ok());
                    at.unwrap_or(Timestamp::UNIX_EPOCH)
                }))
            }
        }
    }

    /// Pauses a mirror, or lets it go on. One that is paused stays so since when it was.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn set(&self, mirror: &MirrorId, at: Option<Timestamp>) -> Result<(), StateError> {
        match self {
            Self::Own(database) => {
                let mirror = mirror.clone();
                let set = database.write(move |connection| {
                    match at {
                        Some(at) => connection.execute(
                            "INSERT INTO paused (mirror, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
                            params![mirror.as_str(), at.as_microsecond()],
                        )?,
                        None => {
                            connection.execute("DELETE FROM paused WHERE mirror = ?", [mirror.as_str()])?
                        }
                    };
                    Ok(())
                });
                Ok(set.await?)
            }
            Self::Shared(shared) => loop {
                let bucket = &shared.bucket;
                let key = SharedPauses::key(mirror);
                let found = bucket.get(&key).await?;
                let written = match (at, found.value) {
                    (Some(_), Some(_)) | (None, None) => return Ok(()),
                    (Some(at), None) => {
                        bucket
                            .put(&key, at.to_string().into_bytes(), found.revision, None)
                            .await?
                    }
                    (None, Some(_)) => bucket.delete(&key, found.revision).await?,
                };
                if let Written::As(_) = written {
                    return Ok(());
                }
            },
        }
    }

    /// Tells of changes that others make; none where there are no others.
    ///
    /// # Errors
    /// NATS that cannot be asked.
    pub(crate) async fn changes(&self) -> Result<Option<async_nats::Subscriber>, StateError> {
        match self {
            Self::Own(_) => Ok(None),
            Self::Shared(shared) => {
                let SharedPauses { nats, bucket } = &**shared;
                let changes = nats.client().subscribe(bucket.subject("paused.>")).await;
                let changes = changes.map_err(|_| NatsError::Answer {
                    what: "watch what is paused",
                })?;
                Ok(Some(changes))
            }
        }
    }
}
