//! The first look at what was fetched: where each object belongs, and what must not leave. The objects
//! themselves go into the spool.

use super::{
    error::AttemptError,
    fetch::Listed,
    progress::Progress,
    spool::{Spool, SpoolLimits},
    stages::Stage,
    transform::{Outcome, Transformer},
};
use mirror_core::{
    cut::ConfigKey,
    guard::KnownSecrets,
    ids::{ComponentId, ObjectKey},
    inventory::{Inventory, ObjectType},
    layout::{Inspection, SourceObject},
    redaction::plaintexts,
    trial::Record,
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use tokio::sync::mpsc;

/// What is known of fetched objects before anything is rendered.
#[derive(Debug)]
pub struct Survey {
    pub spool: Spool,
    /// In the order in which they were fetched.
    pub inspected: Vec<(ObjectKey, Outcome<Inspection>)>,
    /// Types of the components that were seen.
    types: BTreeMap<ComponentId, String>,
    /// What is not looked at: processes died over it.
    kept_out: Arc<Record>,
    progress: Arc<Progress>,
}

impl Survey {
    #[must_use]
    pub fn new(limits: SpoolLimits) -> Self {
        Self {
            spool: Spool::new(limits),
            inspected: Vec::new(),
            types: BTreeMap::new(),
            kept_out: Arc::default(),
            progress: Arc::default(),
        }
    }

    /// Looks at none of these.
    #[must_use]
    pub fn keeping_out(mut self, kept_out: Arc<Record>) -> Self {
        self.kept_out = kept_out;
        self
    }

    /// Tells as it comes forward.
    #[must_use]
    pub fn telling(mut self, progress: Arc<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Looks at a configuration whatever is known of it: this is another version.
    pub fn let_in(&mut self, config: &ConfigKey) {
        let config = ObjectKey::from(config.clone());
        if self.kept_out.reason(&config).is_some() {
            Arc::make_mut(&mut self.kept_out).release(|key| *key == config);
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
            self.progress.moved(Instant::now());
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
        let (out, objects): (Vec<_>, Vec<_>) = objects
            .into_iter()
            .partition(|object| self.kept_out.reason(&object.key).is_some());
        for object in out {
            if let Some(reason) = self.kept_out.reason(&object.key)
                && !matches!(object.key, ObjectKey::Job(_))
            {
                self.inspected.push((object.key.clone(), Err(reason)));
                self.spool.put(object)?;
            }
        }
        for object in &objects {
            crate::crash::in_work(object, &transformer.layout);
        }
        // Runs have no place, and nothing refers to them.
        let (runs, objects): (Vec<_>, Vec<_>) = objects
            .into_iter()
            .partition(|object| matches!(object.key, ObjectKey::Job(_)));
        let inspected = transformer.inspect(&objects)?;
        let count = objects.len() + runs.len();
        let keep = || self.keep(transformer, runs, objects, inspected);
        transformer.stages.time(Stage::Spool, count, keep)
    }

    fn keep(
        &mut self,
        transformer: &Transformer,
        runs: Vec<SourceObject>,
        objects: Vec<SourceObject>,
        inspected: Vec<Outcome<Inspection>>,
    ) -> Result<(), AttemptError> {
        let mut known = KnownSecrets::new();
        for run in runs {
            known.merge(&plaintexts(&run.source));
            self.spool.put(run)?;
        }
        for (object, inspection) in objects.into_iter().zip(inspected) {
            known.merge(&plaintexts(&object.source));
            if let (Some((id, _)), Some(component)) = (object.key.config(), &object.component)
                && !self.types.contains_key(id)
            {
                self.types.insert(id.clone(), component.component_type.clone());
            }
            self.inspected.push((object.key.clone(), inspection));
            self.spool.put(object)?;
        }
        transformer.learn(&known);
        Ok(())
    }

    /// Counts everything that was fetched, and what was refused instead.
    #[must_use]
    pub fn inventory(&self, withheld: impl Fn(&ObjectKey) -> bool) -> Inventory {
        let mut inventory = Inventory::default();
        for key in self.spool.keys() {
            inventory.count(self.type_of(key), withheld(key));
        }
        inventory
    }

    /// Returns what an object is counted as.
    #[must_use]
    pub fn type_of(&self, key: &ObjectKey) -> Option<ObjectType> {
        let component = key.config().and_then(|(component, _)| self.types.get(component));
        ObjectType::of(key, component.map(String::as_str))
    }

    /// Forgets a configuration and its rows.
    pub fn take_back(&mut self, key: &ConfigKey) {
        self.spool.forget(key);
        self.inspected
            .retain(|(object, _)| object.config() != Some((&key.component, &key.config)));
    }
}
