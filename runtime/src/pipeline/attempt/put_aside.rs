//! Putting aside what comes to nothing, so that the rest goes on (ADR 5).

use super::{
    super::{
        error::AttemptError,
        fetch::{Unfounded, announced, announced_run},
    },
    Lane,
};
use crate::queue::{DeadLetter, DeadLetterId};
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Cut, CutId},
    event::{Body, Envelope},
    finding::WithholdReason,
    ids::ObjectKey,
    key::EventKey,
};
use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

/// What was put aside of one cut, by what it was about.
#[derive(Debug, Default)]
pub struct Filed {
    cut: Option<CutId>,
    pub(super) letters: BTreeMap<ObjectKey, Option<(EventKey, DeadLetterId)>>,
}

/// An event that comes to nothing.
pub(super) struct Letter {
    object: ObjectKey,
    reason: String,
    body: Option<Body>,
    /// The source may yet come to show what it told of.
    may_return: bool,
}

impl Letter {
    pub(super) fn of_unfounded(Unfounded { object, reason, body }: Unfounded) -> Self {
        let may_return = body.is_some();
        Self {
            object,
            reason,
            body,
            may_return,
        }
    }

    /// Of an object whose new version is withheld, where an event told of that version.
    fn of_withheld(key: &ObjectKey, reason: &WithholdReason, cut: &Cut) -> Option<Self> {
        let body = match key {
            ObjectKey::Config { .. } => {
                let key = ConfigKey::of(key)?;
                Some(announced(&key, cut.configs.get(&key)?))
            }
            ObjectKey::Job(run) => {
                let told = cut.runs.get(run)?;
                // What was judged is judged the same again; over what a process died is another matter.
                matches!(reason, WithholdReason::Fatal { .. }).then(|| announced_run(run, told))
            }
            _ => return None,
        };
        Some(Self {
            object: key.clone(),
            reason: format!("withheld: {reason}"),
            body,
            may_return: false,
        })
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
                *filed = Filed {
                    cut: Some(id),
                    letters: BTreeMap::new(),
                };
            }
        }
        for Letter {
            object,
            reason,
            body,
            may_return,
        } in letters
        {
            if self.filed().letters.contains_key(&object) {
                continue;
            }
            tracing::warn!(lane = %self.id, %object, reason, "event put aside");
            let envelope = body.map(|body| Envelope::internal(self.topic.clone(), body, now));
            let key = envelope.as_ref().map(|envelope| envelope.key.clone());
            let letter = DeadLetter {
                topic: Some(self.topic.clone()),
                key: key.clone(),
                position: None,
                reason,
                body: object.to_string(),
                at: now,
                envelope,
            };
            let id = self.log.dead_letter(letter).await?;
            let again = key.filter(|_| may_return).map(|key| (key, id));
            self.filed().letters.insert(object, again);
        }
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
