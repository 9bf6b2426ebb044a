//! Deleting what nobody waits for: found by a reader, deleted by the writer, a few rows at a time.

use super::{Backlog, LaneCursor, LogId, Pruned, Retention, Stream, Topic, code, lane_row, time};
use crate::database::{signed, whole};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

/// Rows to delete.
pub(super) struct Found {
    /// Position, topic and stream; of each topic and stream the oldest.
    events: Vec<(u64, i64, Stream)>,
    keys: Vec<String>,
    batch_max: usize,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.keys.is_empty()
    }

    pub(super) fn counted(&self) -> Pruned {
        Pruned {
            events: self.events.len() as u64,
            keys: self.keys.len() as u64,
            more: self.events.len().max(self.keys.len()) >= self.batch_max,
        }
    }
}

/// How much of a topic may go.
enum Hold {
    /// Nothing.
    All,
    /// What is after these cursors stays.
    After([u64; 2]),
    /// No lane waits for anything.
    Nothing { is_mirrored: bool },
}

const STREAMS: [Stream; 2] = [Stream::Change, Stream::Jobs];

/// Returns the position after which every event of a topic's stream is still there.
pub(super) fn pruned(connection: &Connection, topic: i64, stream: Stream) -> rusqlite::Result<u64> {
    let column = mark(stream);
    connection
        .prepare_cached(&format!("SELECT {column} FROM topic WHERE id = ?"))?
        .query_row([topic], |row| whole(row, 0))
}

/// Finds what `retention` does not keep.
pub(super) fn find(connection: &Connection, retention: &Retention, log: &LogId) -> rusqlite::Result<Found> {
    let topics = topics(connection, retention, log)?;
    let max = retention.batch_max;
    let mut events = unmirrored(connection, retention, &topics)?;
    let mut known: BTreeSet<u64> = events.iter().map(|(position, ..)| *position).collect();
    let before = retention.events_before.as_microsecond();
    for (topic, hold) in &topics {
        let through = match hold {
            Hold::All => continue,
            Hold::After(cursors) => *cursors,
            Hold::Nothing { .. } => [u64::MAX; 2],
        };
        for (stream, through) in STREAMS.into_iter().zip(through) {
            if events.len() >= max {
                break;
            }
            let mut statement = connection.prepare_cached(
                "SELECT position, appended_at FROM event
                 WHERE topic = ? AND stream = ? AND position <= ? ORDER BY position LIMIT ?",
            )?;
            let rows = statement.query_map(
                params![topic, code(stream), signed(through), signed(max as u64)],
                |row| Ok((whole(row, 0)?, row.get::<_, i64>(1)?)),
            )?;
            for row in rows {
                let (position, appended_at) = row?;
                // Only the oldest may go, so that there is never a gap.
                if appended_at >= before || events.len() >= max {
                    break;
                }
                if known.insert(position) {
                    events.push((position, *topic, stream));
                }
            }
        }
    }
    let mut keys = connection.prepare_cached("SELECT key FROM dedupe WHERE at < ? ORDER BY at LIMIT ?")?;
    let keys = keys.query_map(
        params![retention.keys_before.as_microsecond(), signed(max as u64)],
        |row| row.get(0),
    )?;
    Ok(Found {
        events,
        keys: keys.collect::<rusqlite::Result<_>>()?,
        batch_max: max,
    })
}

/// Returns what there is of topics that are neither a lane's nor held, at most `max` of them.
pub(super) fn unmirrored_topics(
    connection: &Connection,
    retention: &Retention,
    log: &LogId,
    max: usize,
) -> rusqlite::Result<Vec<(Topic, Backlog)>> {
    let mut found = Vec::new();
    for (id, hold) in topics(connection, retention, log)? {
        if found.len() >= max {
            break;
        }
        if !matches!(hold, Hold::Nothing { is_mirrored: false }) {
            continue;
        }
        let mut ids = connection.prepare_cached("SELECT stack, project, branch FROM topic WHERE id = ?")?;
        let topic = ids.query_row([id], |row| {
            let member = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
            Ok(topic_of(member(0)?, member(1)?, member(2)?))
        })?;
        let Some(topic) = topic else {
            continue;
        };
        let mut events =
            connection.prepare_cached("SELECT count(*), min(published_at) FROM event WHERE topic = ?")?;
        let (depth, oldest) =
            events.query_row([id], |row| Ok((whole(row, 0)?, row.get::<_, Option<i64>>(1)?)))?;
        if depth > 0 {
            let oldest = oldest.and_then(time);
            found.push((topic, Backlog { depth, oldest }));
        }
    }
    Ok(found)
}

fn topic_of(stack: &str, project: &str, branch: &str) -> Option<Topic> {
    Some(Topic {
        stack: stack.parse().ok()?,
        project: project.parse().ok()?,
        branch: branch.parse().ok()?,
    })
}

fn topics(connection: &Connection, retention: &Retention, log: &LogId) -> rusqlite::Result<Vec<(i64, Hold)>> {
    let mut lanes: BTreeMap<&Topic, Vec<Option<LaneCursor>>> = BTreeMap::new();
    for (lane, topic) in &retention.lanes {
        let cursor = lane_row(connection, lane, log)?.cursor;
        lanes.entry(topic).or_default().push(cursor);
    }
    let held: BTreeSet<(&str, &str)> = retention
        .held
        .iter()
        .map(|(stack, project)| (stack.as_str(), project.as_str()))
        .collect();
    let mut statement = connection.prepare_cached("SELECT id, stack, project, branch FROM topic")?;
    let mut rows = statement.query([])?;
    let mut topics = Vec::new();
    while let Some(row) = rows.next()? {
        let (stack, project, branch): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let hold = if held.contains(&(stack.as_str(), project.as_str())) {
            Hold::All
        } else {
            match topic_of(&stack, &project, &branch).and_then(|topic| lanes.get(&topic)) {
                None => Hold::Nothing { is_mirrored: false },
                Some(cursors) => {
                    let first = |stream| cursors.iter().flatten().map(|cursor| cursor.of(stream).0).min();
                    match (first(Stream::Change), first(Stream::Jobs)) {
                        (Some(change), Some(jobs)) => Hold::After([change, jobs]),
                        _ => Hold::Nothing { is_mirrored: true },
                    }
                }
            }
        };
        topics.push((row.get(0)?, hold));
    }
    Ok(topics)
}

/// Finds the oldest of the events that are too many: those of topics that no lane follows.
fn unmirrored(
    connection: &Connection,
    retention: &Retention,
    topics: &[(i64, Hold)],
) -> rusqlite::Result<Vec<(u64, i64, Stream)>> {
    let free = topics.iter().filter_map(|(topic, hold)| match hold {
        Hold::Nothing { is_mirrored: false } => Some(*topic),
        Hold::All | Hold::After(_) | Hold::Nothing { is_mirrored: true } => None,
    });
    let free: BTreeSet<i64> = free.collect();
    let mut count = 0;
    for topic in &free {
        let mut statement = connection.prepare_cached("SELECT count(*) FROM event WHERE topic = ?")?;
        count += statement.query_row([topic], |row| whole(row, 0))?;
    }
    let excess = count.saturating_sub(retention.unmirrored_max);
    let excess = usize::try_from(excess)
        .unwrap_or(usize::MAX)
        .min(retention.batch_max);
    let mut found = Vec::new();
    if excess == 0 {
        return Ok(found);
    }
    let mut statement =
        connection.prepare_cached("SELECT position, topic, stream FROM event ORDER BY position")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if found.len() >= excess {
            break;
        }
        let topic = row.get(1)?;
        if free.contains(&topic) {
            let stream = if row.get::<_, i64>(2)? == code(Stream::Jobs) {
                Stream::Jobs
            } else {
                Stream::Change
            };
            found.push((whole(row, 0)?, topic, stream));
        }
    }
    Ok(found)
}

/// Deletes what was found, and notes up to where events are gone.
pub(super) fn delete(connection: &Connection, found: &Found) -> rusqlite::Result<()> {
    let mut event = connection.prepare_cached("DELETE FROM event WHERE position = ?")?;
    let mut marks: BTreeMap<(i64, Stream), u64> = BTreeMap::new();
    for (position, topic, stream) in &found.events {
        event.execute([signed(*position)])?;
        let through = marks.entry((*topic, *stream)).or_default();
        *through = (*through).max(*position);
    }
    for ((topic, stream), through) in marks {
        let column = mark(stream);
        connection
            .prepare_cached(&format!(
                "UPDATE topic SET {column} = max({column}, ?) WHERE id = ?"
            ))?
            .execute(params![signed(through), topic])?;
    }
    let mut key = connection.prepare_cached("DELETE FROM dedupe WHERE key = ?")?;
    for one in &found.keys {
        key.execute([one])?;
    }
    // A topic without events only matters to those who have a cursor in it.
    connection
        .prepare_cached(
            "DELETE FROM topic WHERE NOT EXISTS (SELECT 1 FROM event WHERE topic = topic.id)
             AND NOT EXISTS (SELECT 1 FROM lane_cursor WHERE lane_cursor.branch = topic.branch)",
        )?
        .execute([])?;
    Ok(())
}

fn mark(stream: Stream) -> &'static str {
    match stream {
        Stream::Change => "pruned_change",
        Stream::Jobs => "pruned_jobs",
    }
}
