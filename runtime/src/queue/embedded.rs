//! The event log in the installation's SQLite file.

use super::{
    Appended, Backlog, DeadLetter, DeadLetterId, EventLog, FiledLetter, LaneStanding, LogError, NewEvent,
    News, Pruned, Retention,
};
use crate::database::{Database, maybe_whole, signed, whole};
use async_trait::async_trait;
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, CutId, LaneCursor, LogId, Logged, Position, Stream},
    event::{ENVELOPE_SCHEMA, Envelope},
    ids::{LaneId, MirrorId, Oid, ProjectId, Stack, Topic},
    jobs::standing::RunEnd,
};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use tokio::sync::broadcast;

/// Positions are never reused, not even after deletions: AUTOINCREMENT. Times are microseconds.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE topic (
        id INTEGER PRIMARY KEY, stack TEXT NOT NULL, project TEXT NOT NULL, branch TEXT NOT NULL,
        pruned_change INTEGER NOT NULL DEFAULT 0, pruned_jobs INTEGER NOT NULL DEFAULT 0,
        UNIQUE (stack, project, branch)
    ) STRICT;
    CREATE TABLE event (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        topic INTEGER NOT NULL REFERENCES topic, stream INTEGER NOT NULL,
        appended_at INTEGER NOT NULL, published_at INTEGER NOT NULL, envelope TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_by_stream ON event (topic, stream, position);
    CREATE TABLE dedupe (key TEXT PRIMARY KEY, position INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX dedupe_by_age ON dedupe (at);
    CREATE TABLE lane_cursor (
        mirror TEXT NOT NULL, branch TEXT NOT NULL,
        change INTEGER, jobs INTEGER, tip TEXT, cut_id TEXT, cut TEXT,
        PRIMARY KEY (mirror, branch)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE dead_letter (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,
        stack TEXT, project TEXT, branch TEXT, key TEXT, position INTEGER,
        reason TEXT NOT NULL, body TEXT NOT NULL, envelope TEXT, replayed_at INTEGER
    ) STRICT;
";

/// What came later, each made where it is missing.
pub(crate) const LATER_SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS acknowledged_letter (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
";

mod letters;
mod prune;
#[cfg(test)]
mod tests;

const NEWS_KEPT: usize = 1024;
const LOG_ID: &str = "log_id";

/// The event log that needs nothing but a file.
#[derive(Debug, Clone)]
pub struct EmbeddedLog {
    database: Database,
    id: LogId,
    news: broadcast::Sender<News>,
}

impl EmbeddedLog {
    /// Opens the log in a database; a new database becomes a new log.
    ///
    /// # Errors
    /// A database that cannot be written, or holds no usable id.
    pub async fn open(database: Database) -> Result<Self, LogError> {
        let fresh = uuid::Uuid::new_v4().to_string();
        let id = database
            .write(move |connection| crate::state::embedded::meta_once(connection, LOG_ID, &fresh))
            .await?;
        let id = LogId::parse(&id).map_err(|_| LogError::Unreadable {
            what: "the log's id",
            position: 0,
        })?;
        Ok(Self {
            database,
            id,
            news: broadcast::Sender::new(NEWS_KEPT),
        })
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    fn log_id(&self) -> &LogId {
        &self.id
    }

    async fn append(&self, batch: Vec<NewEvent>) -> Result<Vec<Appended>, LogError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let sender = self.news.clone();
        let append = move |connection: &Connection| {
            let mut news = Vec::new();
            let mut appended = Vec::with_capacity(batch.len());
            for NewEvent { envelope, at } in &batch {
                appended.push(append_once(connection, envelope, *at, &mut news)?);
                for derived in envelope.derived_events() {
                    append_once(connection, &derived, *at, &mut news)?;
                }
            }
            Ok((appended, news))
        };
        let tell = move |(_, news): &(Vec<Appended>, Vec<News>)| tell(&sender, news);
        let (appended, _) = self.database.write_then(append, tell).await?;
        Ok(appended)
    }

    async fn read(
        &self,
        topic: &Topic,
        after: Position,
        stream: Option<Stream>,
        max: usize,
    ) -> Result<Vec<Logged>, LogError> {
        let topic = topic.clone();
        let rows = self.database.read(move |connection| {
            let Some(topic) = topic_id(connection, &topic)? else {
                return Ok(Vec::new());
            };
            let mut rows = Vec::new();
            for stream in Stream::ALL
                .into_iter()
                .filter(|one| stream.is_none_or(|stream| stream == *one))
            {
                let mut statement = connection.prepare_cached(
                    "SELECT position, appended_at, envelope FROM event
                     WHERE topic = ? AND stream = ? AND position > ? ORDER BY position LIMIT ?",
                )?;
                let found = statement.query_map(
                    params![topic, code(stream), signed(after.0), signed(max as u64)],
                    |row| Ok((whole(row, 0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?)),
                )?;
                for row in found {
                    rows.push(row?);
                }
            }
            Ok(rows)
        });
        let mut rows = rows.await?;
        rows.sort_unstable_by_key(|(position, ..)| *position);
        rows.truncate(max);
        let logged = |(position, at, text): (u64, i64, String)| {
            let unreadable = LogError::Unreadable {
                what: "the event",
                position,
            };
            match (envelope(&text), time(at)) {
                (Some(envelope), Some(appended_at)) => Ok(Logged {
                    position: Position(position),
                    appended_at,
                    envelope,
                }),
                _ => Err(unreadable),
            }
        };
        rows.into_iter().map(logged).collect()
    }

    fn tail(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    async fn newest(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError> {
        let topic = topic.clone();
        let newest = self.database.read(move |connection| {
            let Some(topic) = topic_id(connection, &topic)? else {
                return Ok(None);
            };
            let last = connection
                .prepare_cached("SELECT max(position) FROM event WHERE topic = ? AND stream = ?")?
                .query_row(params![topic, code(stream)], |row| maybe_whole(row, 0))?;
            let pruned = prune::pruned(connection, topic, stream)?;
            Ok(last.max(Some(pruned)))
        });
        Ok(newest.await?.map_or(Position::START, Position))
    }

    async fn pruned(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError> {
        let topic = topic.clone();
        let pruned = self
            .database
            .read(move |connection| match topic_id(connection, &topic)? {
                Some(topic) => prune::pruned(connection, topic, stream),
                None => Ok(0),
            });
        Ok(Position(pruned.await?))
    }

    async fn waiting(&self, mirror: &MirrorId, stack: &Stack, project: &ProjectId) -> Result<u64, LogError> {
        let (mirror, stack, project) = (mirror.clone(), stack.clone(), project.clone());
        let waiting = self.database.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT count(*) FROM topic
                     JOIN event ON event.topic = topic.id
                     LEFT JOIN lane_cursor AS lane ON lane.mirror = ? AND lane.branch = topic.branch
                     WHERE stack = ? AND project = ?
                     AND position > coalesce(CASE stream WHEN 0 THEN lane.change ELSE lane.jobs END, 0)",
                )?
                .query_row([mirror.as_str(), stack.as_str(), project.as_str()], |row| {
                    whole(row, 0)
                })
        });
        Ok(waiting.await?)
    }

    async fn prune(&self, retention: &Retention) -> Result<Pruned, LogError> {
        let (wanted, log) = (retention.clone(), self.id.clone());
        // Looking is the larger part, and holds up no writer.
        let found = self
            .database
            .read(move |connection| prune::find(connection, &wanted, &log))
            .await?;
        if found.is_empty() {
            return Ok(Pruned::default());
        }
        let deleted = found.counted();
        self.database
            .write(move |connection| prune::delete(connection, &found))
            .await?;
        Ok(deleted)
    }

    async fn cursor(&self, lane: &LaneId) -> Result<Option<LaneCursor>, LogError> {
        let (lane, log) = (lane.clone(), self.id.clone());
        Ok(self
            .database
            .read(move |connection| Ok(lane_row(connection, &lane, &log)?.cursor))
            .await?)
    }

    async fn commit(
        &self,
        lane: &LaneId,
        expect: Option<&LaneCursor>,
        next: &LaneCursor,
    ) -> Result<(), LogError> {
        LogError::unless_own(lane, &next.log, &self.id)?;
        let (row, expect, next, log) = (lane.clone(), expect.cloned(), next.clone(), self.id.clone());
        let moved = self.database.write(move |connection| {
            if lane_row(connection, &row, &log)?.cursor != expect {
                return Ok(true);
            }
            connection
                .prepare_cached(
                    "INSERT INTO lane_cursor (mirror, branch, change, jobs, tip)
                     VALUES (:mirror, :branch, :change, :jobs, :tip)
                     ON CONFLICT DO UPDATE SET change = :change, jobs = :jobs, tip = :tip, cut_id = NULL, cut = NULL",
                )?
                .execute(named_params! {
                    ":mirror": row.mirror.as_str(),
                    ":branch": row.branch.as_str(),
                    ":change": signed(next.change.0),
                    ":jobs": signed(next.jobs.0),
                    ":tip": next.tip.map(|tip| tip.to_string()),
                })?;
            Ok(false)
        });
        if moved.await? {
            Err(LogError::Moved { lane: lane.clone() })
        } else {
            Ok(())
        }
    }

    async fn cut(&self, lane: &LaneId) -> Result<Option<Cut>, LogError> {
        let (lane, log) = (lane.clone(), self.id.clone());
        let stored = self
            .database
            .read(move |connection| Ok(lane_row(connection, &lane, &log)?.cut))
            .await?;
        parsed_cut(stored)
    }

    async fn standing(&self, lane: &LaneId, topic: &Topic) -> Result<LaneStanding, LogError> {
        let (lane, topic, log) = (lane.clone(), topic.clone(), self.id.clone());
        let read = self.database.read(move |connection| {
            let lane = lane_row(connection, &lane, &log)?;
            let pruned = match topic_id(connection, &topic)? {
                Some(topic) => (
                    prune::pruned(connection, topic, Stream::Change)?,
                    prune::pruned(connection, topic, Stream::Jobs)?,
                ),
                None => (0, 0),
            };
            Ok((lane, pruned))
        });
        let (LaneRow { cursor, cut }, (change, jobs)) = read.await?;
        Ok(LaneStanding {
            cursor,
            cut: parsed_cut(cut)?,
            pruned_change: Position(change),
            pruned_jobs: Position(jobs),
        })
    }

    async fn put_cut(&self, lane: &LaneId, expect: Option<&CutId>, cut: &Cut) -> Result<(), LogError> {
        LogError::unless_own(lane, &cut.log, &self.id)?;
        let (row, expect, log) = (lane.clone(), expect.cloned(), self.id.clone());
        let (id, after) = (cut.id(), (cut.change_after, cut.jobs_after));
        let text = json(cut);
        let moved = self.database.write(move |connection| {
            let known = lane_row(connection, &row, &log)?;
            let stands = known.cursor.map_or((Position::START, Position::START), |cursor| (cursor.change, cursor.jobs));
            if known.cut.map(|(id, _)| id) != expect || stands != after {
                return Ok(true);
            }
            connection
                .prepare_cached(
                    "INSERT INTO lane_cursor (mirror, branch, cut_id, cut) VALUES (:mirror, :branch, :id, :cut)
                     ON CONFLICT DO UPDATE SET cut_id = :id, cut = :cut",
                )?
                .execute(named_params! {
                    ":mirror": row.mirror.as_str(),
                    ":branch": row.branch.as_str(),
                    ":id": id.as_str(),
                    ":cut": text,
                })?;
            Ok(false)
        });
        if moved.await? {
            Err(LogError::Moved { lane: lane.clone() })
        } else {
            Ok(())
        }
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<DeadLetterId, LogError> {
        self.file(letter).await
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        max: usize,
    ) -> Result<Vec<FiledLetter>, LogError> {
        self.filed_letters(after, max).await
    }

    async fn prune_letters(&self, before: Timestamp, max: u64, batch_max: usize) -> Result<u64, LogError> {
        self.prune_old_letters(before, max, batch_max).await
    }

    async fn unplayed(&self) -> Result<Backlog, LogError> {
        self.unplayed_letters().await
    }

    async fn acknowledge(&self, letter: DeadLetterId, now: Timestamp) -> Result<bool, LogError> {
        self.acknowledge_letter(letter, now).await
    }

    async fn replay(&self, letter: DeadLetterId, now: Timestamp) -> Result<Appended, LogError> {
        self.replay_letter(letter, now).await
    }

    async fn unmirrored(&self, retention: &Retention, max: usize) -> Result<Vec<(Topic, Backlog)>, LogError> {
        let (retention, log) = (retention.clone(), self.id.clone());
        let found = self
            .database
            .read(move |connection| prune::unmirrored_topics(connection, &retention, &log, max));
        Ok(found.await?)
    }

    async fn backlog(&self, lanes: &[(LaneId, Topic)]) -> Result<Backlog, LogError> {
        let (lanes, log) = (lanes.to_vec(), self.id.clone());
        let counted = self.database.read(move |connection| {
            let (mut depth, mut oldest) = (0, None::<i64>);
            for (lane, topic) in &lanes {
                let Some(topic) = topic_id(connection, topic)? else { continue };
                let cursor = lane_row(connection, lane, &log)?.cursor;
                let cursor = cursor.unwrap_or_else(|| LaneCursor::start(log.clone()));
                for stream in Stream::ALL {
                    let mut statement = connection.prepare_cached(
                        "SELECT count(*), min(published_at) FROM event WHERE topic = ? AND stream = ? AND position > ?",
                    )?;
                    let row = params![topic, code(stream), signed(cursor.of(stream).0)];
                    let (count, first) =
                        statement.query_row(row, |row| Ok((whole(row, 0)?, row.get::<_, Option<i64>>(1)?)))?;
                    depth += count;
                    oldest = oldest.into_iter().chain(first).min();
                }
            }
            Ok((depth, oldest))
        });
        let (depth, oldest) = counted.await?;
        Ok(Backlog {
            depth,
            oldest: oldest.and_then(time),
        })
    }

    fn fits(&self, _event: &NewEvent) -> Result<(), LogError> {
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.database.check().is_ok()
    }

    fn over(&self) -> Option<LogError> {
        self.database.check().err().map(LogError::from)
    }
}

/// A receiver that is gone, or was never there, needs no news.
fn tell(sender: &broadcast::Sender<News>, news: &[News]) {
    for one in news {
        let _ = sender.send(one.clone());
    }
}

fn append_once(
    connection: &Connection,
    envelope: &Envelope,
    at: Timestamp,
    news: &mut Vec<News>,
) -> rusqlite::Result<Appended> {
    let key = envelope.key.as_str();
    let known = connection
        .prepare_cached("SELECT position FROM dedupe WHERE key = ?")?
        .query_row([key], |row| whole(row, 0))
        .optional()?;
    if let Some(position) = known {
        return Ok(Appended {
            position: Position(position),
            duplicate: true,
        });
    }
    let position = insert(connection, envelope, at, news)?;
    connection
        .prepare_cached("INSERT INTO dedupe (key, position, at) VALUES (?, ?, ?)")?
        .execute(params![key, signed(position.0), at.as_microsecond()])?;
    Ok(Appended {
        position,
        duplicate: false,
    })
}

fn insert(
    connection: &Connection,
    envelope: &Envelope,
    at: Timestamp,
    news: &mut Vec<News>,
) -> rusqlite::Result<Position> {
    let topic = match topic_id(connection, &envelope.topic)? {
        Some(id) => id,
        None => {
            let Topic {
                stack,
                project,
                branch,
            } = &envelope.topic;
            connection
                .prepare_cached("INSERT INTO topic (stack, project, branch) VALUES (?, ?, ?)")?
                .insert([stack.as_str(), project.as_str(), branch.as_str()])?
        }
    };
    let stream = envelope.stream();
    let position = connection
        .prepare_cached(
            "INSERT INTO event (topic, stream, appended_at, published_at, envelope) VALUES (?, ?, ?, ?, ?)",
        )?
        .insert(params![
            topic,
            code(stream),
            at.as_microsecond(),
            envelope.published_at.as_microsecond(),
            json(envelope),
        ])?;
    let position = Position(position.unsigned_abs());
    news.push(News {
        topic: envelope.topic.clone(),
        stream,
        position,
        published_at: envelope.published_at,
        run: RunEnd::of(envelope),
    });
    Ok(position)
}

fn topic_id(connection: &Connection, topic: &Topic) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM topic WHERE stack = ? AND project = ? AND branch = ?")?
        .query_row(
            [
                topic.stack.as_str(),
                topic.project.as_str(),
                topic.branch.as_str(),
            ],
            |row| row.get(0),
        )
        .optional()
}

struct LaneRow {
    cursor: Option<LaneCursor>,
    cut: Option<(CutId, String)>,
}

fn parsed_cut(stored: Option<(CutId, String)>) -> Result<Option<Cut>, LogError> {
    let Some((_, text)) = stored else { return Ok(None) };
    let cut = serde_json::from_str(&text);
    cut.map(Some).map_err(|_| LogError::Unreadable {
        what: "the lane's cut",
        position: 0,
    })
}

fn lane_row(connection: &Connection, lane: &LaneId, log: &LogId) -> rusqlite::Result<LaneRow> {
    let read = |row: &Row<'_>| {
        let (change, jobs) = (maybe_whole(row, 0)?, maybe_whole(row, 1)?);
        let tip = row
            .get::<_, Option<String>>(2)?
            .and_then(|tip| Oid::parse(&tip).ok());
        let cursor = change.zip(jobs).map(|(change, jobs)| LaneCursor {
            log: log.clone(),
            change: Position(change),
            jobs: Position(jobs),
            tip,
        });
        let cut = row
            .get::<_, Option<String>>(3)?
            .map(CutId::stored)
            .zip(row.get::<_, Option<String>>(4)?);
        Ok(LaneRow { cursor, cut })
    };
    let row = connection
        .prepare_cached(
            "SELECT change, jobs, tip, cut_id, cut FROM lane_cursor WHERE mirror = ? AND branch = ?",
        )?
        .query_row([lane.mirror.as_str(), lane.branch.as_str()], read)
        .optional()?;
    Ok(row.unwrap_or(LaneRow {
        cursor: None,
        cut: None,
    }))
}

fn envelope(text: &str) -> Option<Envelope> {
    let envelope: Envelope = serde_json::from_str(text).ok()?;
    (envelope.schema <= ENVELOPE_SCHEMA).then_some(envelope)
}

fn time(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}

fn code(stream: Stream) -> i64 {
    match stream {
        Stream::Change => 0,
        Stream::Jobs => 1,
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("cuts and envelopes have only text keys, so they are always JSON")
}
