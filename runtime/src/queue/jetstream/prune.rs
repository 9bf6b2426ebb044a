//! Deleting what nobody waits for: always the oldest of a topic's stream, and after it was noted.

use super::{
    Backlog, Found, JetStreamLog, LogError, Position, Pruned, Retention, Stream, Timestamp, Topic,
    marks::marks_key_of, names, names::project_of, stored,
};
use serde_json::json;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

/// How much of a topic's stream may go.
enum Hold {
    /// Nothing.
    All,
    /// What is after this stays.
    After(Position),
    /// No lane waits for anything.
    Nothing { is_mirrored: bool },
}

impl JetStreamLog {
    pub(super) async fn prune_some(&self, retention: &Retention) -> Result<Pruned, LogError> {
        let stream = self.names.log_stream();
        let subjects = self.nats.subjects(&stream, &self.names.all_of_log()).await?;
        let holds = self.holds(retention, subjects.keys()).await?;
        let mut left = retention.batch_max;
        let mut events = self
            .prune_unmirrored(retention, &subjects, &holds, &mut left)
            .await?;
        for (subject, hold) in &holds {
            let through = match hold {
                Hold::All => continue,
                Hold::After(position) => *position,
                Hold::Nothing { .. } => Position(u64::MAX),
            };
            if left == 0 {
                break;
            }
            let mut last: Option<u64> = None;
            let mut count = 0;
            // Most often the oldest is young.
            while count < left
                && let Some(next) = self.nats.next(&stream, subject, last.unwrap_or_default()).await?
                && next.sequence <= through.0
                && appended_at(&next).is_some_and(|at| at < retention.events_before)
            {
                last = Some(next.sequence);
                count += 1;
            }
            if let Some(last) = last {
                self.delete_through(subject, Position(last)).await?;
                events += count as u64;
                left -= count;
            }
        }
        Ok(Pruned {
            events,
            keys: 0,
            more: left == 0,
        })
    }

    /// Returns what there is of topics that are neither a lane's nor held, at most `max` of them.
    pub(super) async fn unmirrored_topics(
        &self,
        retention: &Retention,
        max: usize,
    ) -> Result<Vec<(Topic, Backlog)>, LogError> {
        let stream = self.names.log_stream();
        let subjects = self.nats.subjects(&stream, &self.names.all_of_log()).await?;
        let held = retention.held.iter();
        let held: BTreeSet<String> = held
            .map(|(stack, project)| self.names.of_project(stack, project))
            .collect();
        let lanes = retention.lanes.iter();
        let lanes: BTreeSet<String> = lanes
            .flat_map(|(_, topic)| Stream::ALL.map(|stream| self.names.topic(topic, stream)))
            .collect();
        let mut found: BTreeMap<Topic, Backlog> = BTreeMap::new();
        for (subject, count) in &subjects {
            if found.len() >= max {
                break;
            }
            if lanes.contains(subject) || project_of(subject).is_none_or(|project| held.contains(project)) {
                continue;
            }
            // What the subject says of its topic cannot always be read back.
            let first = self.nats.next(&stream, subject, 0).await?;
            let Some(envelope) = first.and_then(|first| Some(stored(&first).ok()?.envelope)) else {
                continue;
            };
            let backlog = found.entry(envelope.topic).or_default();
            backlog.depth += count;
            backlog.oldest = backlog.oldest.into_iter().chain([envelope.published_at]).min();
        }
        Ok(found.into_iter().collect())
    }

    async fn holds<'s>(
        &self,
        retention: &Retention,
        subjects: impl Iterator<Item = &'s String>,
    ) -> Result<BTreeMap<&'s str, Hold>, LogError> {
        let held = retention.held.iter();
        let held: BTreeSet<String> = held
            .map(|(stack, project)| self.names.of_project(stack, project))
            .collect();
        let mut lanes: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (lane, topic) in &retention.lanes {
            for stream in Stream::ALL {
                let subject = self.names.topic(topic, stream);
                lanes.entry(subject).or_default().push((lane, stream));
            }
        }
        let mut holds = BTreeMap::new();
        for subject in subjects {
            let hold = if project_of(subject).is_none_or(|project| held.contains(project)) {
                Hold::All
            } else if let Some(lanes) = lanes.get(subject) {
                let mut first: Option<Position> = None;
                for (lane, stream) in lanes {
                    if let Some(cursor) = self.lane(lane).await?.record.cursor {
                        let at = cursor.of(*stream);
                        first = Some(first.map_or(at, |first| first.min(at)));
                    }
                }
                first.map_or(Hold::Nothing { is_mirrored: true }, Hold::After)
            } else {
                Hold::Nothing { is_mirrored: false }
            };
            holds.insert(subject.as_str(), hold);
        }
        Ok(holds)
    }

    /// Deletes the oldest of the events that are too many: those of topics that no lane follows.
    async fn prune_unmirrored(
        &self,
        retention: &Retention,
        subjects: &BTreeMap<String, u64>,
        holds: &BTreeMap<&str, Hold>,
        left: &mut usize,
    ) -> Result<u64, LogError> {
        let is_free =
            |subject: &str| matches!(holds.get(subject), Some(Hold::Nothing { is_mirrored: false }));
        let free = || subjects.iter().filter(|(subject, _)| is_free(subject));
        let count: u64 = free().map(|(_, count)| count).sum();
        let excess = count.saturating_sub(retention.unmirrored_max);
        let excess = usize::try_from(excess).unwrap_or(usize::MAX).min(*left);
        if excess == 0 {
            return Ok(0);
        }
        let stream = self.names.log_stream();
        let mut oldest = BinaryHeap::new();
        for (subject, _) in free() {
            if let Some(first) = self.nats.next(&stream, subject, 0).await? {
                oldest.push(Reverse((first.sequence, subject.as_str())));
            }
        }
        let mut through: BTreeMap<&str, u64> = BTreeMap::new();
        let mut events = 0;
        for _ in 0..excess {
            let Some(Reverse((sequence, subject))) = oldest.pop() else {
                break;
            };
            through.insert(subject, sequence);
            events += 1;
            if let Some(next) = self.nats.next(&stream, subject, sequence).await? {
                oldest.push(Reverse((next.sequence, subject)));
            }
        }
        for (subject, last) in through {
            self.delete_through(subject, Position(last)).await?;
        }
        *left -= excess;
        Ok(events)
    }

    async fn delete_through(&self, subject: &str, last: Position) -> Result<(), LogError> {
        let Some((topic, stream)) = names::topic_of(subject) else {
            return Ok(());
        };
        let mut tokens = topic.rsplitn(4, '.');
        let (Some(branch), Some(project), Some(stack)) = (tokens.next(), tokens.next(), tokens.next()) else {
            return Ok(());
        };
        let key = marks_key_of(&[stack, project, branch]);
        self.note_pruned(&key, stream, last).await?;
        // Messages up to, and without, the sequence.
        let request = json!({ "filter": subject, "seq": last.0 + 1 });
        Ok(self.nats.purge(&self.names.log_stream(), &request).await?)
    }
}

/// What cannot be read goes by the server's clock.
fn appended_at(found: &Found) -> Option<Timestamp> {
    let event = stored(found).map(|event| event.appended_at);
    event.ok().or(found.stored_at)
}
