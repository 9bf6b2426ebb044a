//! Putting aside what comes to nothing, so that the rest goes on (ADR 5).

use super::{
    super::{
        error::AttemptError,
        fetch::{Unfounded, announced, announced_run},
    },
    Lane,
};
use crate::queue::{DeadLetter, DeadLetterId, LogError};
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Cut, CutId, Position},
    event::{Body, Envelope},
    finding::WithholdReason,
    ids::ObjectKey,
    key::EventKey,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

/// What was put aside of one cut, by what it was about.
#[derive(Debug, Default)]
pub struct Filed {
    cut: Option<CutId>,
    pub(super) letters: BTreeMap<ObjectKey, Option<(EventKey, DeadLetterId)>>,
    /// Entries of the log that could not be read, of whichever cut.
    unreadable: BTreeSet<Position>,
    /// So many of them are not counted yet.
    pub(super) uncounted: usize,
}

/// An event that comes to nothing.
pub(super) struct Letter {
    object: ObjectKey,
    reason: String,
    /// None where it is the one that the cut has of the object.
    body: Option<Body>,
    /// The source may yet come to show what it told of.
    may_return: bool,
    /// Told again, it is looked at again.
    may_be_told_again: bool,
}

impl Letter {
    pub(super) fn of_unfounded(Unfounded { object, reason, body }: Unfounded) -> Self {
        let may_return = body.is_some();
        Self {
            object,
            reason,
            body,
            may_return,
            may_be_told_again: true,
        }
    }

    /// Of an object whose new version is withheld, where an event told of that version.
    fn of_withheld(key: &ObjectKey, reason: &WithholdReason, cut: &Cut) -> Option<Self> {
        // What was judged is judged the same again; over what a process died is another matter.
        if matches!(key, ObjectKey::Job(_)) && !matches!(reason, WithholdReason::Fatal { .. }) {
            return None;
        }
        Some(Self {
            object: key.clone(),
            reason: format!("withheld: {reason}"),
            body: Some(told_of(key, cut)?),
            may_return: false,
            may_be_told_again: matches!(reason, WithholdReason::Source { .. }),
        })
    }
}

/// Returns what the events of a cut told of an object.
fn told_of(object: &ObjectKey, cut: &Cut) -> Option<Body> {
    match object {
        ObjectKey::Config { .. } => {
            let key = ConfigKey::of(object)?;
            Some(announced(&key, cut.configs.get(&key)?))
        }
        ObjectKey::Job(run) => Some(announced_run(run, cut.runs.get(run)?)),
        _ => None,
    }
}

impl Lane {
    /// Files events that come to nothing, each once for a cut, however often that is tried.
    pub(super) async fn file(
        &self,
        cut: &Cut,
        letters: Vec<Letter>,
        now: Timestamp,
    ) -> Result<(), AttemptError> {
        let id = cut.id();
        {
            let mut filed = self.filed();
            if filed.cut.as_ref() != Some(&id) {
                filed.cut = Some(id);
                filed.letters.clear();
            }
        }
        for Letter {
            object,
            reason,
            body,
            may_return,
            may_be_told_again,
        } in letters
        {
            if self.filed().letters.contains_key(&object) {
                continue;
            }
            let (about, reason) = (self.called(&object).await, self.shown_text(reason).await);
            tracing::warn!(lane = %self.id, object = about, reason, "event put aside");
            let body = body.or_else(|| told_of(&object, cut));
            let envelope = body.map(|body| Envelope::internal(self.topic.clone(), body, now));
            let key = envelope.as_ref().map(|envelope| envelope.key.clone());
            let letter = DeadLetter {
                topic: Some(self.topic.clone()),
                key: key.clone().filter(|_| may_be_told_again),
                position: None,
                reason,
                body: about,
                at: now,
                envelope,
            };
            let id = self.log.dead_letter(letter).await?;
            let again = key.filter(|_| may_return).map(|key| (key, id));
            self.filed().letters.insert(object, again);
        }
        Ok(())
    }

    /// Files an entry of the log that cannot be read, once in this process.
    pub(super) async fn file_unreadable(
        &self,
        position: Position,
        error: &LogError,
    ) -> Result<(), AttemptError> {
        if self.filed().unreadable.contains(&position) {
            return Ok(());
        }
        let reason = crate::app::chain(error);
        tracing::error!(lane = %self.id, position = position.0, reason, "an entry of the log is put aside; the branch is compared with the source instead");
        let letter = DeadLetter {
            topic: Some(self.topic.clone()),
            key: None,
            position: Some(position),
            reason,
            body: String::new(),
            at: (self.now)(),
            envelope: None,
        };
        self.log.dead_letter(letter).await?;
        let mut filed = self.filed();
        filed.unreadable.insert(position);
        filed.uncounted += 1;
        Ok(())
    }

    /// Files the events of a cut whose versions are withheld.
    pub(super) async fn file_withheld(
        &self,
        cut: &Cut,
        withheld: &[(ObjectKey, WithholdReason)],
        now: Timestamp,
    ) -> Result<(), AttemptError> {
        let letters = withheld.iter();
        let letters = letters.filter_map(|(key, reason)| Letter::of_withheld(key, reason, cut));
        self.file(cut, letters.collect(), now).await
    }

    pub(super) fn filed(&self) -> MutexGuard<'_, Filed> {
        // Its parts are whole after every single statement that changes them.
        self.filed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
