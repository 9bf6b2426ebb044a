//! The event log in memory, as its contract says it: what the real ones are compared with.

use super::{
    Appended, Backlog, DeadLetter, DeadLetterId, EventLog, FiledLetter, LogError, NewEvent, News, Pruned,
    Retention,
    contract::{Memory, contract},
};
use async_trait::async_trait;
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, CutId, LaneCursor, LogId, Logged, Position, Stream},
    event::Envelope,
    ids::{LaneId, MirrorId, ProjectId, Stack, Topic},
    jobs::standing::RunEnd,
    key::EventKey,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};
use tokio::sync::broadcast;

struct Model {
    id: LogId,
    news: broadcast::Sender<News>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    last: u64,
    events: BTreeMap<Position, (Timestamp, Envelope)>,
    keys: BTreeMap<EventKey, (Position, Timestamp)>,
    pruned: BTreeMap<(Topic, Stream), Position>,
    lanes: BTreeMap<LaneId, (Option<LaneCursor>, Option<Cut>)>,
    letters: Vec<FiledLetter>,
    letters_filed: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            id: LogId::parse("model").unwrap(),
            news: broadcast::Sender::new(1024),
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    fn insert(&self, held: &mut Held, envelope: &Envelope, at: Timestamp) -> Position {
        held.last += 1;
        let position = Position(held.last);
        held.events.insert(position, (at, envelope.clone()));
        let _ = self.news.send(News {
            topic: envelope.topic.clone(),
            stream: envelope.stream(),
            position,
            published_at: envelope.published_at,
            run: RunEnd::of(envelope),
        });
        position
    }

    fn append_once(&self, held: &mut Held, envelope: &Envelope, at: Timestamp) -> Appended {
        if let Some((position, _)) = held.keys.get(&envelope.key) {
            return Appended {
                position: *position,
                duplicate: true,
            };
        }
        let position = self.insert(held, envelope, at);
        held.keys.insert(envelope.key.clone(), (position, at));
        Appended {
            position,
            duplicate: false,
        }
    }
}

impl Held {
    fn of(&self, topic: &Topic, stream: Stream, after: Position) -> Vec<(Position, Timestamp, &Envelope)> {
        let of_stream = |envelope: &Envelope| envelope.topic == *topic && envelope.stream() == stream;
        let found = self
            .events
            .iter()
            .filter(|(at, (_, envelope))| **at > after && of_stream(envelope));
        found
            .map(|(position, (at, envelope))| (*position, *at, envelope))
            .collect()
    }

    fn cursor(&self, lane: &LaneId) -> Option<LaneCursor> {
        self.lanes.get(lane)?.0.clone()
    }

    fn topics(&self) -> Vec<Topic> {
        let mut topics: Vec<Topic> = self
            .events
            .values()
            .map(|(_, envelope)| envelope.topic.clone())
            .collect();
        topics.sort();
        topics.dedup();
        topics
    }

    fn remove(&mut self, position: Position) {
        let (_, envelope) = self.events.remove(&position).unwrap();
        let stream = envelope.stream();
        let mark = self.pruned.entry((envelope.topic, stream)).or_default();
        *mark = (*mark).max(position);
    }
}

#[async_trait]
impl EventLog for Model {
    fn log_id(&self) -> &LogId {
        &self.id
    }

    async fn append(&self, batch: Vec<NewEvent>) -> Result<Vec<Appended>, LogError> {
        let mut held = self.held();
        let append = |NewEvent { envelope, at }: NewEvent| {
            let appended = self.append_once(&mut held, &envelope, at);
            for derived in envelope.derived_events() {
                self.append_once(&mut held, &derived, at);
            }
            appended
        };
        Ok(batch.into_iter().map(append).collect())
    }

    async fn read(
        &self,
        topic: &Topic,
        after: Position,
        stream: Option<Stream>,
        max: usize,
    ) -> Result<Vec<Logged>, LogError> {
        let held = self.held();
        let streams = Stream::ALL
            .into_iter()
            .filter(|one| stream.is_none_or(|stream| stream == *one));
        let mut found: Vec<Logged> = streams
            .flat_map(|stream| held.of(topic, stream, after))
            .map(|(position, appended_at, envelope)| Logged {
                position,
                appended_at,
                envelope: envelope.clone(),
            })
            .collect();
        found.sort_unstable_by_key(|logged| logged.position);
        found.truncate(max);
        Ok(found)
    }

    fn tail(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    async fn newest(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError> {
        let held = self.held();
        let last = held
            .of(topic, stream, Position::START)
            .last()
            .map(|(position, ..)| *position);
        let pruned = held.pruned.get(&(topic.clone(), stream)).copied();
        Ok(last.max(pruned).unwrap_or_default())
    }

    async fn pruned(&self, topic: &Topic, stream: Stream) -> Result<Position, LogError> {
        Ok(self
            .held()
            .pruned
            .get(&(topic.clone(), stream))
            .copied()
            .unwrap_or_default())
    }

    async fn cursor(&self, lane: &LaneId) -> Result<Option<LaneCursor>, LogError> {
        Ok(self.held().cursor(lane))
    }

    async fn commit(
        &self,
        lane: &LaneId,
        expect: Option<&LaneCursor>,
        next: &LaneCursor,
    ) -> Result<(), LogError> {
        LogError::unless_own(lane, &next.log, &self.id)?;
        let mut held = self.held();
        if held.cursor(lane).as_ref() != expect {
            return Err(LogError::Moved { lane: lane.clone() });
        }
        held.lanes.insert(lane.clone(), (Some(next.clone()), None));
        Ok(())
    }

    async fn cut(&self, lane: &LaneId) -> Result<Option<Cut>, LogError> {
        Ok(self.held().lanes.get(lane).and_then(|(_, cut)| cut.clone()))
    }

    async fn put_cut(&self, lane: &LaneId, expect: Option<&CutId>, cut: &Cut) -> Result<(), LogError> {
        let mut held = self.held();
        let (cursor, known) = held.lanes.entry(lane.clone()).or_default();
        let stands = cursor
            .as_ref()
            .map_or((Position::START, Position::START), |cursor| {
                (cursor.change, cursor.jobs)
            });
        if known.as_ref().map(Cut::id).as_ref() != expect || stands != (cut.change_after, cut.jobs_after) {
            return Err(LogError::Moved { lane: lane.clone() });
        }
        *known = Some(cut.clone());
        Ok(())
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<DeadLetterId, LogError> {
        let mut held = self.held();
        if let Some(key) = &letter.key {
            held.keys.remove(key);
        }
        held.letters_filed += 1;
        let id = DeadLetterId(held.letters_filed);
        held.letters.push(FiledLetter {
            id,
            letter,
            replayed_at: None,
            acknowledged_at: None,
        });
        Ok(id)
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        max: usize,
    ) -> Result<Vec<FiledLetter>, LogError> {
        let held = self.held();
        let after = held
            .letters
            .iter()
            .filter(|filed| after.is_none_or(|after| filed.id > after));
        Ok(after.take(max).cloned().collect())
    }

    async fn prune_letters(&self, before: Timestamp, max: u64, batch_max: usize) -> Result<u64, LogError> {
        let mut held = self.held();
        let excess = held.letters.len().saturating_sub(usize::try_from(max).unwrap());
        let mut all: Vec<(bool, DeadLetterId, Timestamp)> = held
            .letters
            .iter()
            .map(|filed| (filed.letter.envelope.is_some(), filed.id, filed.letter.at))
            .collect();
        all.sort();
        let goes =
            |(number, (.., at)): &(usize, &(bool, DeadLetterId, Timestamp))| *number < excess || *at < before;
        let gone: BTreeSet<DeadLetterId> = all
            .iter()
            .enumerate()
            .filter(goes)
            .map(|(_, (_, id, _))| *id)
            .take(batch_max)
            .collect();
        held.letters.retain(|filed| !gone.contains(&filed.id));
        let gone = gone.len();
        Ok(gone as u64)
    }

    async fn unplayed(&self) -> Result<Backlog, LogError> {
        let held = self.held();
        let unplayed = held
            .letters
            .iter()
            .filter(|filed| filed.replayed_at.is_none() && filed.acknowledged_at.is_none());
        Ok(Backlog {
            depth: unplayed.clone().count() as u64,
            oldest: unplayed.map(|filed| filed.letter.at).min(),
        })
    }

    async fn acknowledge(&self, letter: DeadLetterId, now: Timestamp) -> Result<bool, LogError> {
        let mut held = self.held();
        let filed = held.letters.iter_mut().find(|filed| filed.id == letter);
        let filed = filed.ok_or(LogError::NoSuchLetter { id: letter.0 })?;
        let is_news = filed.replayed_at.is_none() && filed.acknowledged_at.is_none();
        if is_news {
            filed.acknowledged_at = Some(now);
        }
        Ok(is_news)
    }

    async fn replay(&self, letter: DeadLetterId, now: Timestamp) -> Result<Appended, LogError> {
        let refused = |problem| LogError::NotReplayable {
            id: letter.0,
            problem,
        };
        let mut held = self.held();
        let filed = held.letters.iter_mut().find(|filed| filed.id == letter);
        let filed = filed.ok_or(LogError::NoSuchLetter { id: letter.0 })?;
        if filed.replayed_at.is_some() {
            return Err(refused("it was replayed before"));
        }
        let envelope = filed
            .letter
            .envelope
            .clone()
            .ok_or_else(|| refused("it cannot be read"))?;
        filed.replayed_at = Some(now);
        Ok(Appended {
            position: self.insert(&mut held, &envelope, now),
            duplicate: false,
        })
    }

    async fn backlog(&self, lanes: &[(LaneId, Topic)]) -> Result<Backlog, LogError> {
        let held = self.held();
        let mut backlog = Backlog::default();
        for (lane, topic) in lanes {
            for stream in Stream::ALL {
                let after = held
                    .cursor(lane)
                    .map_or(Position::START, |cursor| cursor.of(stream));
                for (_, _, envelope) in held.of(topic, stream, after) {
                    backlog.depth += 1;
                    let at = envelope.published_at;
                    backlog.oldest = Some(backlog.oldest.map_or(at, |oldest| oldest.min(at)));
                }
            }
        }
        Ok(backlog)
    }

    async fn waiting(&self, mirror: &MirrorId, stack: &Stack, project: &ProjectId) -> Result<u64, LogError> {
        let topics = self.held().topics();
        let topics = topics
            .into_iter()
            .filter(|topic| topic.stack == *stack && topic.project == *project);
        let lane = |topic: Topic| {
            let branch = topic.branch.clone();
            (
                LaneId {
                    mirror: mirror.clone(),
                    branch,
                },
                topic,
            )
        };
        let lanes: Vec<_> = topics.map(lane).collect();
        Ok(self.backlog(&lanes).await?.depth)
    }

    async fn unmirrored(&self, retention: &Retention, max: usize) -> Result<Vec<(Topic, Backlog)>, LogError> {
        let held = self.held();
        let is_free = |topic: &Topic| {
            !retention.lanes.iter().any(|(_, of)| of == topic)
                && !retention
                    .held
                    .contains(&(topic.stack.clone(), topic.project.clone()))
        };
        let mut found = Vec::new();
        for topic in held.topics().into_iter().filter(is_free).take(max) {
            let mut backlog = Backlog::default();
            for stream in Stream::ALL {
                for (_, _, envelope) in held.of(&topic, stream, Position::START) {
                    backlog.depth += 1;
                    backlog.oldest = backlog.oldest.into_iter().chain([envelope.published_at]).min();
                }
            }
            if backlog.depth > 0 {
                found.push((topic, backlog));
            }
        }
        Ok(found)
    }

    async fn prune(&self, retention: &Retention) -> Result<Pruned, LogError> {
        let mut held = self.held();
        let mut gone: Vec<Position> = Vec::new();
        let mut free: Vec<Position> = Vec::new();
        for topic in held.topics() {
            if retention
                .held
                .contains(&(topic.stack.clone(), topic.project.clone()))
            {
                continue;
            }
            let lanes: Vec<&LaneId> = retention
                .lanes
                .iter()
                .filter_map(|(lane, of)| (*of == topic).then_some(lane))
                .collect();
            for stream in Stream::ALL {
                let cursors = lanes.iter().filter_map(|lane| held.cursor(lane));
                let first = cursors.map(|cursor| cursor.of(stream)).min();
                let events = held.of(&topic, stream, Position::START);
                if lanes.is_empty() {
                    free.extend(events.iter().map(|(position, ..)| *position));
                }
                let old = events.into_iter().take_while(|(position, at, _)| {
                    first.is_none_or(|first| *position <= first) && *at < retention.events_before
                });
                gone.extend(old.map(|(position, ..)| position));
            }
        }
        free.sort_unstable();
        let excess = free
            .len()
            .saturating_sub(usize::try_from(retention.unmirrored_max).unwrap());
        let mut all: Vec<Position> = free[..excess].to_vec();
        all.extend(
            gone.into_iter()
                .filter(|position| !free[..excess].contains(position)),
        );
        all.truncate(retention.batch_max);
        let keys = held
            .keys
            .iter()
            .filter(|(_, (_, at))| *at < retention.keys_before);
        let keys: Vec<EventKey> = keys
            .map(|(key, _)| key.clone())
            .take(retention.batch_max)
            .collect();
        for position in &all {
            held.remove(*position);
        }
        for key in &keys {
            held.keys.remove(key);
        }
        Ok(Pruned {
            events: all.len() as u64,
            keys: keys.len() as u64,
            more: all.len().max(keys.len()) >= retention.batch_max,
        })
    }

    fn fits(&self, _event: &NewEvent) -> Result<(), LogError> {
        Ok(())
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn over(&self) -> Option<LogError> {
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_keeps_the_contract() {
    contract(Model::new(), Memory::UntilPruned).await;
}
