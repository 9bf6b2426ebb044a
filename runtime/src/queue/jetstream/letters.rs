//! Dead letters: a stream of their own, of which the oldest go by age and number.

use super::{
    Appended, Backlog, DeadLetter, DeadLetterId, ENVELOPE_SCHEMA, FiledLetter, Found, JetStreamLog, LogError,
    NewEvent, Timestamp,
};
use crate::nats::{Outgoing, kv::Record};
use async_nats::HeaderMap;
use mirror_core::key::EventKey;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

impl JetStreamLog {
    /// Files a letter; the same id again, within the time that repetitions are known for, is the same letter.
    pub(super) async fn file(&self, letter: DeadLetter, id: &str) -> Result<DeadLetterId, LogError> {
        let subject = self.names.letter(letter.envelope.is_some());
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        if let Some(traceparent) = letter
            .envelope
            .as_ref()
            .and_then(|envelope| envelope.traceparent.as_deref())
        {
            headers.insert("traceparent", traceparent);
        }
        let payload = serde_json::to_vec(&letter).map_err(|_| LogError::Unreadable {
            what: "the dead letter",
            position: 0,
        })?;
        let message = Outgoing {
            subject,
            headers,
            payload: payload.into(),
        };
        // Killed after this, the letter is filed with the next attempt; until then a repetition makes one more look.
        if let Some(key) = &letter.key {
            self.state.set(&again_key(key), id.as_bytes().to_vec()).await?;
        }
        let stored = self.nats.store("file a dead letter", message).await?;
        Ok(DeadLetterId(stored.sequence))
    }

    /// Appends those repetitions of a batch of which a letter was filed under an id of their own, by which the server
    /// knows them from then on.
    pub(super) async fn append_told_again(
        &self,
        batch: &[NewEvent],
        mut appended: Vec<Appended>,
    ) -> Result<Vec<Appended>, LogError> {
        let repeated = appended.iter_mut().zip(batch).filter(|(one, _)| one.duplicate);
        for (one, NewEvent { envelope, at }) in repeated {
            let Some(letter) = self.state.get(&again_key(&envelope.key)).await?.value else {
                continue;
            };
            let id = format!("again-{}", String::from_utf8_lossy(&letter));
            let message = self.message(envelope, *at, id)?;
            if let [again] = self.appender.append(vec![message]).await?[..] {
                *one = again;
            }
        }
        Ok(appended)
    }

    pub(super) async fn filed(
        &self,
        after: Option<DeadLetterId>,
        max: usize,
    ) -> Result<Vec<FiledLetter>, LogError> {
        let after = after.map_or(0, |id| id.0);
        let (stream, all) = (self.names.letters_stream(), self.names.all_letters());
        let mut filed = Vec::new();
        let acknowledged = self.state.all(&acknowledged_key_of("*")).await?;
        let acknowledged: BTreeMap<String, Timestamp> = acknowledged
            .into_iter()
            .filter_map(|(key, record)| Some((key, noted(record.value)?)))
            .collect();
        for found in self.nats.read(&stream, &all, after, max).await? {
            let (replayed_at, _) = self.replayed(found.sequence).await?;
            filed.push(FiledLetter {
                id: DeadLetterId(found.sequence),
                letter: letter(&found)?,
                replayed_at,
                acknowledged_at: acknowledged.get(&acknowledged_key(found.sequence)).copied(),
            });
        }
        Ok(filed)
    }

    pub(super) async fn prune_old_letters(
        &self,
        before: Timestamp,
        max: u64,
        batch_max: usize,
    ) -> Result<u64, LogError> {
        let (stream, all) = (self.names.letters_stream(), self.names.all_letters());
        let count: u64 = self.nats.subjects(&stream, &all).await?.values().sum();
        let excess = usize::try_from(count.saturating_sub(max)).unwrap_or(usize::MAX);
        let mut gone = 0;
        for can_be_replayed in [false, true] {
            let subject = self.names.letter(can_be_replayed);
            gone += self
                .prune_oldest(
                    &stream,
                    &subject,
                    before,
                    excess.saturating_sub(gone),
                    batch_max - gone,
                )
                .await?;
        }
        Ok(gone as u64)
    }

    /// Deletes at most `max` letters of a subject: the oldest `excess`, and those filed before a time.
    async fn prune_oldest(
        &self,
        stream: &str,
        subject: &str,
        before: Timestamp,
        excess: usize,
        max: usize,
    ) -> Result<usize, LogError> {
        let is_old = |found: &Found| letter(found).is_ok_and(|letter| letter.at < before);
        // Most often not even the oldest has to go.
        let first = self.nats.read(stream, subject, 0, 1).await?;
        if max == 0 || (excess == 0 && !first.iter().any(is_old)) {
            return Ok(0);
        }
        let oldest = self.nats.read(stream, subject, 0, max).await?;
        let gone: Vec<&Found> = oldest
            .iter()
            .enumerate()
            .take_while(|(number, found)| *number < excess || is_old(found))
            .map(|(_, found)| found)
            .collect();
        let Some(last) = gone.last() else { return Ok(0) };
        // What is noted of them goes first: nobody would find it again.
        for found in &gone {
            self.state.purge(&replayed_key(found.sequence)).await?;
            self.state.purge(&acknowledged_key(found.sequence)).await?;
            if let Some(key) = letter(found).ok().and_then(|letter| letter.key) {
                self.state.purge(&again_key(&key)).await?;
            }
        }
        self.nats
            .purge(stream, &json!({ "filter": subject, "seq": last.sequence + 1 }))
            .await?;
        Ok(gone.len())
    }

    pub(super) async fn unplayed_letters(&self) -> Result<Backlog, LogError> {
        let (stream, all) = (self.names.letters_stream(), self.names.all_letters());
        let count: u64 = self.nats.subjects(&stream, &all).await?.values().sum();
        let mut settled: BTreeSet<String> = BTreeSet::new();
        for keys in [replayed_key_of("*"), acknowledged_key_of("*")] {
            let noted = self.state.all(&keys).await?.into_iter();
            let noted = noted.filter(|(_, record)| record.value.is_some());
            settled.extend(noted.filter_map(|(key, _)| Some(key.rsplit_once('.')?.1.to_owned())));
        }
        let mut after = 0;
        let oldest = loop {
            let page = self.nats.read(&stream, &all, after, UNPLAYED_PAGE).await?;
            let Some(last) = page.last() else { break None };
            after = last.sequence;
            let is_unplayed = |found: &&Found| !settled.contains(&found.sequence.to_string());
            if let Some(found) = page.iter().find(is_unplayed) {
                break letter(found).ok().map(|letter| letter.at);
            }
        };
        Ok(Backlog {
            depth: count.saturating_sub(settled.len() as u64),
            oldest,
        })
    }

    pub(super) async fn acknowledge_letter(
        &self,
        id: DeadLetterId,
        now: Timestamp,
    ) -> Result<bool, LogError> {
        let request = json!({ "seq": id.0 });
        let found = self.nats.message(&self.names.letters_stream(), &request).await?;
        if found.is_none() {
            return Err(LogError::NoSuchLetter { id: id.0 });
        }
        let key = acknowledged_key(id.0);
        let is_noted = self.state.get(&key).await?.value.is_some();
        if is_noted || self.replayed(id.0).await?.0.is_some() {
            return Ok(false);
        }
        self.state.set(&key, now.to_string().into_bytes()).await?;
        Ok(true)
    }

    /// Appends a letter's event. A crash before it is noted as replayed leaves it to be replayed again, which
    /// appends nothing more while repetitions are known.
    pub(super) async fn replay_letter(&self, id: DeadLetterId, now: Timestamp) -> Result<Appended, LogError> {
        let refused = |problem| LogError::NotReplayable { id: id.0, problem };
        let request = json!({ "seq": id.0 });
        let found = self.nats.message(&self.names.letters_stream(), &request).await?;
        let letter = letter(&found.ok_or(LogError::NoSuchLetter { id: id.0 })?)?;
        let (replayed_at, revision) = self.replayed(id.0).await?;
        if replayed_at.is_some() {
            return Err(refused("it was replayed before"));
        }
        let envelope = letter
            .envelope
            .ok_or_else(|| refused("its event could not be read; publish it again, mended"))?;
        let message = self.message(&envelope, now, format!("replay-{}-{}", self.id, id.0))?;
        let appended = self.appender.append(vec![message]).await?;
        let note = now.to_string().into_bytes();
        // Of two who replay it at once one is first; the event is there once.
        self.state.put(&replayed_key(id.0), note, revision, None).await?;
        Ok(Appended {
            duplicate: false,
            ..appended[0]
        })
    }

    async fn replayed(&self, id: u64) -> Result<(Option<Timestamp>, u64), LogError> {
        let Record { value, revision } = self.state.get(&replayed_key(id)).await?;
        Ok((noted(value), revision))
    }
}

/// Letters that are looked through at a time.
const UNPLAYED_PAGE: usize = 100;

/// Reads when something was noted.
fn noted(value: Option<impl AsRef<[u8]>>) -> Option<Timestamp> {
    std::str::from_utf8(value?.as_ref()).ok()?.parse().ok()
}

fn acknowledged_key(id: u64) -> String {
    acknowledged_key_of(&id.to_string())
}

fn acknowledged_key_of(id: &str) -> String {
    format!("acknowledged.{id}")
}

fn replayed_key(id: u64) -> String {
    replayed_key_of(&id.to_string())
}

fn replayed_key_of(id: &str) -> String {
    format!("replayed.{id}")
}

/// Where the id of the newest letter of an event is noted.
fn again_key(key: &EventKey) -> String {
    format!("again.{}", key.event_id())
}

fn letter(found: &Found) -> Result<DeadLetter, LogError> {
    let stored: Option<DeadLetter> = serde_json::from_slice(&found.payload).ok();
    let fits = |stored: &DeadLetter| {
        let envelope = stored.envelope.as_ref();
        envelope.is_none_or(|envelope| envelope.schema <= ENVELOPE_SCHEMA)
    };
    stored.filter(fits).ok_or(LogError::Unreadable {
        what: "the dead letter",
        position: found.sequence,
    })
}
