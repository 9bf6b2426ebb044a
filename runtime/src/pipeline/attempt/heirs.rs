//! Who inherits tables: a dev branch shows those of the default branch of which it has no copy.
//!
//! No event of a dev branch tells that such a table changed, so the default branch's attempt does, before its
//! commit is known: whoever is killed in between tells the same again, which is no news. Only of tables that
//! look different now it is told; what they look like, the dev branch's attempt asks the source.

use super::{AttemptError, Lane};
use crate::queue::NewEvent;
use mirror_core::{
    cut::Cut,
    event::{Body, Envelope, StorageCause, StorageChanged},
    ids::{TableId, Topic},
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Tables of one event.
const TABLES_MAX: usize = 1000;

/// The dev branches that a mirror follows, as they were last listed.
#[derive(Debug, Default)]
pub struct Heirs(Mutex<BTreeSet<Topic>>);

impl Heirs {
    /// Takes the dev branches that a mirror follows from now on.
    pub fn set(&self, heirs: BTreeSet<Topic>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = heirs;
    }

    /// Returns the dev branches that a mirror follows.
    pub fn all(&self) -> BTreeSet<Topic> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lane {
    /// Tells the dev branches of tables that look different in the default branch.
    pub(super) async fn tell_heirs(&self, tables: &BTreeSet<TableId>, cut: &Cut) -> Result<(), AttemptError> {
        if !self.branch.is_default || tables.is_empty() {
            return Ok(());
        }
        let heirs = self.heirs.all();
        if heirs.is_empty() {
            return Ok(());
        }
        let at = (self.now)();
        let tables: Vec<TableId> = tables.iter().cloned().collect();
        let bodies: Vec<Body> = tables
            .chunks(TABLES_MAX)
            .map(|tables| self.inherited(tables, cut))
            .collect();
        let event = |topic: &Topic, body: &Body| NewEvent {
            envelope: Envelope::internal(topic.clone(), body.clone(), at),
            at,
        };
        let events = heirs
            .iter()
            .flat_map(|topic| bodies.iter().map(move |body| event(topic, body)));
        self.log.append(events.collect()).await?;
        Ok(())
    }

    /// The same of each attempt at the same cut, and of no other lane or cut.
    fn inherited(&self, tables: &[TableId], cut: &Cut) -> Body {
        let mut digest =
            Sha256::new_with_prefix(format!("{} {} {}", self.id, cut.change_through, cut.jobs_through));
        for table in tables {
            digest.update(format!(" {table}"));
        }
        let digest = data_encoding::HEXLOWER.encode(&digest.finalize()[..16]);
        Body::StorageChanged(StorageChanged {
            tables: tables.to_vec(),
            buckets: Vec::new(),
            cause: StorageCause::Seen(format!("inherited {digest}")),
        })
    }
}
