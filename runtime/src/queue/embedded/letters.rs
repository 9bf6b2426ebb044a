//! Dead letters in the database.

use super::{EmbeddedLog, insert, json, tell, time};
use crate::{
    database::{maybe_whole, signed, whole},
    queue::{Appended, Backlog, DeadLetter, DeadLetterId, FiledLetter, LogError, News},
};
use jiff::Timestamp;
use mirror_core::{cut::Position, ids::Topic, key::EventKey};
use rusqlite::{Connection, OptionalExtension, Row, params};

impl EmbeddedLog {
    pub(super) async fn file(&self, letter: DeadLetter) -> Result<DeadLetterId, LogError> {
        let id = self.database.write(move |connection| {
            let DeadLetter { topic, key, position, reason, body, at, envelope } = letter;
            if let Some(key) = &key {
                connection.prepare_cached("DELETE FROM dedupe WHERE key = ?")?.execute([key.as_str()])?;
            }
            connection
                .prepare_cached(
                    "INSERT INTO dead_letter (at, stack, project, branch, key, position, reason, body, envelope)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    at.as_microsecond(),
                    topic.as_ref().map(|topic| topic.stack.as_str()),
                    topic.as_ref().map(|topic| topic.project.as_str()),
                    topic.as_ref().map(|topic| topic.branch.as_str()),
                    key.as_ref().map(EventKey::as_str),
                    position.map(|position| signed(position.0)),
                    reason,
                    body,
                    envelope.map(|envelope| json(&envelope)),
                ])?;
            Ok(connection.last_insert_rowid().unsigned_abs())
        });
        Ok(DeadLetterId(id.await?))
    }

    pub(super) async fn filed_letters(
        &self,
        after: Option<DeadLetterId>,
        max: usize,
    ) -> Result<Vec<FiledLetter>, LogError> {
        let after = after.map_or(0, |id| id.0);
        let letters = self.database.read(move |connection| {
            let mut statement =
                connection.prepare_cached(&format!("{LETTERS} WHERE id > ? ORDER BY id LIMIT ?"))?;
            statement
                .query_map(params![signed(after), signed(max as u64)], filed)?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        letters.await?.into_iter().collect()
    }

    pub(super) async fn prune_old_letters(
        &self,
        before: Timestamp,
        max: u64,
        batch_max: usize,
    ) -> Result<u64, LogError> {
        let gone = self.database.write(move |connection| {
            let count = connection.query_row("SELECT count(*) FROM dead_letter", [], |row| whole(row, 0))?;
            let excess = count.saturating_sub(max);
            let gone = connection
                .prepare_cached(
                    "DELETE FROM dead_letter WHERE id IN
                     (SELECT id FROM
                      (SELECT id, at, row_number() OVER (ORDER BY envelope IS NOT NULL, id) AS number FROM dead_letter)
                      WHERE number <= ?1 OR at < ?2 ORDER BY number LIMIT ?3)",
                )?
                .execute(params![
                    signed(excess),
                    before.as_microsecond(),
                    signed(batch_max as u64)
                ])?;
            connection
                .prepare_cached("DELETE FROM acknowledged_letter WHERE id NOT IN (SELECT id FROM dead_letter)")?
                .execute([])?;
            Ok(gone as u64)
        });
        Ok(gone.await?)
    }

    pub(super) async fn unplayed_letters(&self) -> Result<Backlog, LogError> {
        let standing = self.database.read(|connection| {
            connection.query_row(
                "SELECT count(*), min(at) FROM dead_letter
                 WHERE replayed_at IS NULL AND id NOT IN (SELECT id FROM acknowledged_letter)",
                [],
                |row| Ok((whole(row, 0)?, row.get::<_, Option<i64>>(1)?)),
            )
        });
        let (depth, oldest) = standing.await?;
        Ok(Backlog {
            depth,
            oldest: oldest.and_then(time),
        })
    }

    pub(super) async fn acknowledge_letter(
        &self,
        letter: DeadLetterId,
        now: Timestamp,
    ) -> Result<bool, LogError> {
        let id = signed(letter.0);
        let known = self.database.write(move |connection| {
            let replayed = connection
                .query_row(
                    "SELECT replayed_at IS NOT NULL FROM dead_letter WHERE id = ?",
                    [id],
                    |row| row.get::<_, bool>(0),
                )
                .optional()?;
            if replayed == Some(false) {
                let noted = connection.execute(
                    "INSERT OR IGNORE INTO acknowledged_letter (id, at) VALUES (?, ?)",
                    params![id, now.as_microsecond()],
                )?;
                return Ok(Some(noted > 0));
            }
            Ok(replayed.map(|_| false))
        });
        known.await?.ok_or(LogError::NoSuchLetter { id: letter.0 })
    }

    pub(super) async fn replay_letter(
        &self,
        letter: DeadLetterId,
        now: Timestamp,
    ) -> Result<Appended, LogError> {
        let sender = self.news.clone();
        let replay = move |connection: &Connection| {
            let found = connection
                .query_row(&format!("{LETTERS} WHERE id = ?"), [signed(letter.0)], filed)
                .optional()?;
            let refused = |problem| {
                Ok((
                    Err(LogError::NotReplayable {
                        id: letter.0,
                        problem,
                    }),
                    Vec::new(),
                ))
            };
            let envelope = match found {
                None => return Ok((Err(LogError::NoSuchLetter { id: letter.0 }), Vec::new())),
                Some(Err(error)) => return Ok((Err(error), Vec::new())),
                Some(Ok(FiledLetter {
                    replayed_at: Some(_), ..
                })) => return refused("it was replayed before"),
                Some(Ok(FiledLetter {
                    letter: DeadLetter { envelope: None, .. },
                    ..
                })) => {
                    return refused("its event could not be read; publish it again, mended");
                }
                Some(Ok(FiledLetter {
                    letter:
                        DeadLetter {
                            envelope: Some(envelope),
                            ..
                        },
                    ..
                })) => envelope,
            };
            let mut news = Vec::new();
            let position = insert(connection, &envelope, now, &mut news)?;
            connection.execute(
                "UPDATE dead_letter SET replayed_at = ? WHERE id = ?",
                params![now.as_microsecond(), signed(letter.0)],
            )?;
            Ok((
                Ok(Appended {
                    position,
                    duplicate: false,
                }),
                news,
            ))
        };
        let tell = move |(_, news): &(Result<Appended, LogError>, Vec<News>)| tell(&sender, news);
        let (appended, _) = self.database.write_then(replay, tell).await?;
        appended
    }
}

const LETTERS: &str =
    "SELECT id, at, stack, project, branch, key, position, reason, body, envelope, replayed_at,
     (SELECT acknowledged_letter.at FROM acknowledged_letter WHERE acknowledged_letter.id = dead_letter.id)
     FROM dead_letter";

/// The outer error is SQLite's, the inner one that of a row which this release cannot read.
fn filed(row: &Row<'_>) -> rusqlite::Result<Result<FiledLetter, LogError>> {
    let id = whole(row, 0)?;
    let at: i64 = row.get(1)?;
    let text = |index| row.get::<_, Option<String>>(index);
    let (stack, project, branch) = (text(2)?, text(3)?, text(4)?);
    let topic = stack.zip(project).zip(branch).map(|((stack, project), branch)| {
        Some(Topic {
            stack: stack.parse().ok()?,
            project: project.parse().ok()?,
            branch: branch.parse().ok()?,
        })
    });
    let (key, reason, body, stored) = (text(5)?, row.get(7)?, row.get(8)?, text(9)?);
    let position = maybe_whole(row, 6)?.map(Position);
    let replayed_at = row.get::<_, Option<i64>>(10)?;
    let acknowledged_at = row.get::<_, Option<i64>>(11)?;
    let envelope = stored.as_deref().map(super::envelope);
    let letter = || {
        let key = key
            .map(|key| serde_json::from_value(key.into()))
            .transpose()
            .ok()?;
        // `Some(None)` is a value that is there and cannot be read.
        let topic = topic.map_or(Some(None), |topic| topic.map(Some))?;
        let envelope = envelope.map_or(Some(None), |envelope| envelope.map(Some))?;
        let letter = DeadLetter {
            topic,
            key,
            position,
            reason,
            body,
            at: time(at)?,
            envelope,
        };
        Some(FiledLetter {
            id: DeadLetterId(id),
            letter,
            replayed_at: replayed_at.and_then(time),
            acknowledged_at: acknowledged_at.and_then(time),
        })
    };
    Ok(letter().ok_or(LogError::Unreadable {
        what: "the dead letter",
        position: id,
    }))
}
