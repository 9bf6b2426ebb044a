//! The first look at what was fetched: where each object belongs, and what must not leave. The objects
//! themselves go into the spool.

use super::{
    error::AttemptError,
    fetch::Listed,
    spool::{Spool, SpoolLimits},
    transform::{Outcome, Transformer},
};
use mirror_core::{
    cut::ConfigKey,
    guard::KnownSecrets,
    ids::ObjectKey,
    layout::{Inspection, SourceObject},
    redaction::plaintexts,
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What is known of fetched objects before anything is rendered.
#[derive(Debug)]
pub struct Survey {
    pub spool: Spool,
    /// In the order in which they were fetched.
    pub inspected: Vec<(ObjectKey, Outcome<Inspection>)>,
}

impl Survey {
    #[must_use]
    pub fn new(limits: SpoolLimits) -> Self {
        Self {
            spool: Spool::new(limits),
            inspected: Vec::new(),
        }
    }

    /// Looks at everything that comes out of a listing.
    ///
    /// # Errors
    /// A sandbox that fails as a whole, or a spool that fails.
    pub async fn follow(
        mut self,
        transformer: Arc<Transformer>,
        mut out: mpsc::Receiver<Listed>,
    ) -> Result<Self, AttemptError> {
        while let Some(listed) = out.recv().await {
            match listed {
                Listed::Objects(objects) => {
                    let transformer = Arc::clone(&transformer);
                    let looked = tokio::task::spawn_blocking(move || {
                        self.look_at(&transformer, objects)?;
                        Ok::<_, AttemptError>(self)
                    });
                    self = looked.await??;
                }
                Listed::TakenBack(key) => self.take_back(&key),
            }
        }
        Ok(self)
    }

    /// Looks at a batch of objects.
    ///
    /// # Errors
    /// A sandbox that fails as a whole, or a spool that fails.
    pub fn look_at(
        &mut self,
        transformer: &Transformer,
        objects: Vec<SourceObject>,
    ) -> Result<(), AttemptError> {
        let inspected = transformer.inspect(&objects)?;
        let mut known = KnownSecrets::new();
        for (object, inspection) in objects.into_iter().zip(inspected) {
            known.merge(&plaintexts(&object.source));
            self.inspected.push((object.key.clone(), inspection));
            self.spool.put(object)?;
        }
        transformer.learn(&known);
        Ok(())
    }

    /// Forgets a configuration and its rows.
    pub fn take_back(&mut self, key: &ConfigKey) {
        self.spool.forget(key);
        self.inspected
            .retain(|(object, _)| object.config() != Some((&key.component, &key.config)));
    }
}
