//! Building: from what was fetched and looked at to a tree that is ready to be committed.
//!
//! Place, render, redact, filter, guard, and into the tree at once, chunk by chunk: of what is written only
//! names stay. The same line serves one edit and a whole project. Blocks; everything but fetching dependents
//! again is pure or touches only the local object store.

mod files;
mod going;
mod made;
mod rounds;
mod settle;
mod shared;
mod spellings;

use super::{
    attempt::Lane,
    error::AttemptError,
    fetch::{Covered, Fetched, Scope, Versions},
    former::Former,
    memory::{Memory, Shard},
    months::Months,
    recover::Tip,
    stages::{Stage, Stages},
    survey::Survey,
    work::Work,
};
use crate::crash_point;
use made::MadeObjects;
use mirror_core::{
    cut::ConfigKey,
    deletions::Loss,
    finding::WithholdReason,
    ids::{ObjectKey, Oid, TableId},
    incident::Clean,
    inventory::{Inventory, ObjectType},
    layout::IndexKind,
    path::MirrorPath,
    placement::{Change, Delta, Placement},
    quarantine::Quarantine,
    redaction::RedactionStats,
};
use mirror_git::{Draft, TreeOutcome, TreeWriter};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::runtime::Handle;

/// What building begins with.
pub(super) struct Begin<'b> {
    pub memory: Memory,
    pub fetched: Fetched,
    pub survey: Survey,
    pub scope: Scope,
    /// As it is on the remote.
    pub tip: Option<Tip>,
    /// What the tip has below a former prefix goes.
    pub former: Option<&'b Former>,
    /// What the new tree replaces: the tip's, or that of a commit on top of it which is not sent yet.
    pub tree: Option<Oid>,
    pub again: &'b Again,
    /// The tip's files were made as they would be made now, though it is not known any more which are whose.
    pub same_render: bool,
    /// The newest versions of configurations that were fetched at an earlier one.
    pub newest: BTreeMap<ConfigKey, Covered>,
    /// What the remote has refused.
    pub quarantine: Quarantine,
    /// Fetches dependents again.
    pub handle: &'b Handle,
}

/// Everything an attempt has made of what it fetched; its files are in the tree.
#[derive(Debug)]
pub(super) struct Built {
    pub memory: Memory,
    pub tree: TreeOutcome,
    /// What is to be written beside it; the branches of months have it.
    pub months: Months,
    /// Some days of runs are no longer kept.
    pub days_dropped: bool,
    pub withheld: BTreeMap<ObjectKey, WithholdReason>,
    /// Tables that look different now, have another sample or are gone; empty where everything was rendered.
    pub tables: BTreeSet<TableId>,
    /// Counts, where everything was read; else empty.
    pub inventory: Inventory,
    /// Types of which nothing is left.
    pub vanished: Vec<Loss>,
    /// What was redacted, of objects in which something was.
    pub redactions: Vec<(ObjectKey, RedactionStats)>,
    /// Objects that were rendered without a secret in plain text, or are gone.
    pub clean: Clean,
    pub work: Work,
    /// How long fetching dependents took.
    pub fetching: Duration,
}

/// What building came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Built(Box<Built>),
    /// Building has to begin again, with this beside what it began with. Where it is nothing, a secret came to be
    /// known that the guard had not looked for.
    Again(Again),
}

/// What was found out while building that changes where objects stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Again {
    /// These have to be withheld, and their earlier files stay; others were placed as if these had moved.
    pub aside: BTreeMap<ObjectKey, WithholdReason>,
    /// Of these configurations an object has to be withheld whose earlier files are in the tip, but it is not
    /// known which they are: they are made again, from the version that the tip has.
    pub earlier: BTreeMap<ConfigKey, BTreeMap<ObjectKey, WithholdReason>>,
}

impl Again {
    pub(super) fn is_empty(&self) -> bool {
        self.aside.is_empty() && self.earlier.is_empty()
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.aside.extend(more.aside);
        self.earlier.extend(more.earlier);
    }
}

/// A build under way.
struct Build<'l, 'w, 'd, 's> {
    lane: &'l Lane,
    writer: &'w mut TreeWriter<'d, 's>,
    again: &'l Again,
    quarantine: Quarantine,
    tip: Option<Tip>,
    same_render: bool,
    newest: BTreeMap<ConfigKey, Covered>,
    memory: Memory,
    /// Versions of the configurations that were fetched.
    fetched: BTreeMap<ConfigKey, Covered>,
    whole: bool,
    made: MadeObjects,
    removed: BTreeSet<ObjectKey>,
    withheld: BTreeMap<ObjectKey, WithholdReason>,
    /// As [`Built::tables`].
    tables: BTreeSet<TableId>,
    /// Paths that go, where nothing new takes them.
    deleted: BTreeSet<MirrorPath>,
    /// Paths that stay as they are although they were not written.
    kept: BTreeSet<MirrorPath>,
    /// Somebody else's file where one of ours would be.
    foreign: Option<MirrorPath>,
    /// Set where days of runs are on branches of their own.
    months: Option<Months>,
    days_dropped: bool,
    /// The guard did not look for everything that is known by now.
    outdated_guard: bool,
    work: Work,
    fetching: Duration,
}

/// The versions that were fetched, then those that the tip has.
struct Newest<'v>(&'v BTreeMap<ConfigKey, Covered>, &'v Memory);

impl Versions for Newest<'_> {
    fn covered(&self, key: &ConfigKey) -> Option<Covered> {
        self.0.get(key).cloned().or_else(|| self.1.covered_of(key))
    }
}

impl Versions for Memory {
    fn covered(&self, key: &ConfigKey) -> Option<Covered> {
        self.covered_of(key)
    }
}

/// Objects that a round withheld.
#[derive(Debug, Default)]
struct Refused {
    /// They have no version at all that could stand in the tree.
    vanished: Vec<ObjectKey>,
    /// Their earlier files stay.
    stays: Vec<ObjectKey>,
    /// Their earlier files are to be made again.
    earlier: Vec<ObjectKey>,
}

impl Lane {
    /// Builds the tree of the commit in a draft.
    ///
    /// # Errors
    /// A source that fails when dependents are fetched again, a sandbox that fails as a whole, a store that
    /// cannot be read, or paths that contradict each other.
    pub(super) fn build(&self, draft: &mut Draft<'_>, begin: Begin<'_>) -> Result<Outcome, AttemptError> {
        let stages = &self.transformer.stages;
        stages.time(Stage::Account, 0, || self.build_all(draft, begin))
    }

    fn build_all(&self, draft: &mut Draft<'_>, begin: Begin<'_>) -> Result<Outcome, AttemptError> {
        let stages = &self.transformer.stages;
        let own_secrets_learnt = self.transformer.own_secrets.learnt();
        let Begin {
            mut memory,
            fetched,
            mut survey,
            scope,
            tip,
            former,
            tree,
            again,
            same_render,
            newest,
            quarantine,
            handle,
        } = begin;
        let foreign = match tip.filter(|_| fetched.whole) {
            Some(tip) => self.foreign_agents_file(tip.tree, &self.transformer.owned)?,
            None => None,
        };
        if fetched.whole {
            memory.replace();
        }
        draft.measure_helpers(stages.clock());
        let mut writer = draft.tree_writer(tree)?;
        // What is there at the version that the tip has is made of that.
        let is_had = |key: &ObjectKey| {
            let config = ConfigKey::of(key);
            config.is_some_and(|key| again.earlier.contains_key(&key) && fetched.configs.contains_key(&key))
        };
        let mut withheld = fetched.refused.clone();
        withheld.retain(|key, _| !is_had(key));
        withheld.extend(
            again
                .aside
                .iter()
                .map(|(key, reason)| (key.clone(), reason.clone())),
        );
        let configs = fetched.configs.iter();
        let mut build = Build {
            lane: self,
            writer: &mut writer,
            again,
            quarantine,
            tip,
            same_render,
            newest,
            memory,
            fetched: configs
                .map(|(key, config)| (key.clone(), Covered::of(&config.revision)))
                .collect(),
            whole: fetched.whole,
            made: MadeObjects::default(),
            removed: BTreeSet::new(),
            withheld,
            tables: BTreeSet::new(),
            deleted: BTreeSet::new(),
            kept: BTreeSet::new(),
            foreign,
            months: self.has_months().then(Months::default),
            days_dropped: false,
            outdated_guard: false,
            work: Work {
                inspected: survey.inspected.len(),
                ..Work::default()
            },
            fetching: Duration::ZERO,
        };
        // What cannot be read of the source may have files here of which it is not known whose they are.
        let is_all_known = fetched.unread == 0 || !build.same_render;
        if let Some(tip) = tip.filter(|_| build.whole && is_all_known) {
            // What is not written again goes, whatever its name.
            for (place, _) in self.own_places(tip.tree)? {
                build.writer.delete_below(&place)?;
            }
        }
        if let Some((tip, former)) = tip.zip(former) {
            self.each_former_file(former, tip.tree, &mut |path| Ok(build.writer.delete(&path)?))?;
        }
        let going = build.gone(&fetched, &survey.spool);
        let census = build.census(&going, &survey.spool, tip, former, handle)?;
        // Only of these anything can be lost when everything is rendered.
        let before: BTreeSet<ObjectKey> = match build.whole {
            true => build
                .memory
                .keys()
                .filter(|key| build.memory.is_shown(key))
                .collect(),
            false => BTreeSet::new(),
        };
        if let Some(census) = &census {
            handle.block_on(self.hold_mass_deletion(census, &going, &BTreeMap::new()))?;
        }
        let again = build.objects(&mut survey, going, scope, handle)?;
        drop(fetched);
        if let Some(again) = again {
            return Ok(Outcome::Again(again));
        }
        crash_point!("after-render");
        let mut inventory = build.inventory(&survey);
        drop(survey);
        let redactions = build.made.redactions();
        let removed = build.removed.clone();
        let clean = build.clean();
        let mut shards = build.settle();
        let mut vanished = Vec::new();
        if let Some(census) = census {
            // Withheld with nothing earlier to stay: gone too, unless all files stay.
            let is_lost = |key: &&ObjectKey| !build.memory.is_shown(key);
            let withheld = build.withheld.keys().filter(|_| is_all_known && build.whole);
            let lost = removed.iter().chain(withheld).filter(is_lost);
            let lost = lost.filter(|key| !build.whole || before.contains(*key));
            let lost: BTreeSet<ObjectKey> = lost.cloned().collect();
            if build.whole {
                handle.block_on(self.hold_mass_deletion(&census, &lost, &build.withheld))?;
            }
            vanished = census.vanished(&lost);
        }
        let failed = build.gather(&mut shards, tip, handle)?;
        build.count_unmade(&failed, &mut inventory);
        // A credential that was renewed meanwhile was not looked for either.
        if build.outdated_guard || self.transformer.own_secrets.learnt() != own_secrets_learnt {
            return Ok(Outcome::Again(Again::default()));
        }
        crash_point!("after-guard");
        stages.time(Stage::Tree, 0, || -> Result<(), AttemptError> {
            for path in &build.deleted {
                build.writer.delete(path)?;
            }
            for path in &build.kept {
                build.writer.keep(path)?;
            }
            Ok(())
        })?;
        let Build {
            memory,
            withheld,
            tables,
            mut work,
            fetching,
            months,
            days_dropped,
            ..
        } = build;
        let tree = stages.time(Stage::Tree, 0, || writer.finish())?;
        stages.helped(Stage::Tree, draft.helped());
        work.git_objects = tree.objects;
        Ok(Outcome::Built(Box::new(Built {
            memory,
            tree,
            months: months.unwrap_or_default(),
            days_dropped,
            withheld,
            tables,
            inventory,
            vanished,
            redactions,
            clean,
            work,
            fetching,
        })))
    }
}

impl Build<'_, '_, '_, '_> {
    /// Places and renders objects until nothing depends any more on what was withheld. Returns what building
    /// has to begin again with, if it must.
    fn objects(
        &mut self,
        survey: &mut Survey,
        going: BTreeSet<ObjectKey>,
        scope: Scope,
        handle: &Handle,
    ) -> Result<Option<Again>, AttemptError> {
        let mut changes: Vec<Change> = going.iter().cloned().map(Change::Remove).collect();
        self.withhold_spellings(survey, &going);
        self.removed = going;
        let mut again = Again::default();
        // Of what everything was read for and this was not: the tip has files of it, and it is not known which.
        let withheld = self.withheld.iter().filter(|_| self.whole);
        for (key, reason) in withheld.filter(|(key, _)| self.has_unknown_files(key, &self.memory)) {
            let config = ConfigKey::of(key).expect("only a configuration has a version");
            let earlier = again.earlier.entry(config).or_default();
            earlier.insert(key.clone(), reason.clone());
        }
        for (key, inspection) in std::mem::take(&mut survey.inspected) {
            if self.withheld.contains_key(&key) {
                continue;
            }
            match inspection {
                Ok(inspection) => changes.push(Change::Put(key, inspection)),
                Err(reason) if self.has_unknown_files(&key, &self.memory) => {
                    let config = ConfigKey::of(&key).expect("only a configuration has a version");
                    again.earlier.entry(config).or_default().insert(key, reason);
                }
                Err(reason) => drop(self.withheld.insert(key, reason)),
            }
        }
        if !again.is_empty() {
            return Ok(Some(again));
        }
        let delta = place(&self.lane.transformer.stages, &mut self.memory, changes);
        let mut moved: BTreeSet<ObjectKey> = delta.moved.into_iter().map(|moved| moved.key).collect();
        let mut todo = delta.stale;
        todo.extend(survey.spool.keys().cloned());
        // Each round withholds at least one more object, so this ends.
        loop {
            todo.retain(|key| !self.removed.contains(key) && !self.withheld.contains_key(key));
            self.fetch_missing(&mut todo, &mut survey.spool, scope, handle)?;
            crash_point!("after-fetch");
            let refused = self.round(todo, &survey.spool, scope, handle)?;
            for key in refused.stays.into_iter().filter(|key| moved.contains(key)) {
                if let Some(reason) = self.withheld.get(&key) {
                    again.aside.insert(key, reason.clone());
                }
            }
            for key in refused.earlier {
                if let (Some(config), Some(reason)) = (ConfigKey::of(&key), self.withheld.get(&key)) {
                    again
                        .earlier
                        .entry(config)
                        .or_default()
                        .insert(key, reason.clone());
                }
            }
            if self.outdated_guard || !again.is_empty() {
                return Ok(Some(again));
            }
            if refused.vanished.is_empty() {
                return Ok(None);
            }
            self.removed.extend(refused.vanished.iter().cloned());
            let changes = refused.vanished.into_iter().map(Change::Remove).collect();
            let delta = place(&self.lane.transformer.stages, &mut self.memory, changes);
            moved.extend(delta.moved.into_iter().map(|moved| moved.key));
            todo = delta.stale;
        }
    }

    /// Counts what was fetched, where that is everything.
    fn inventory(&self, survey: &Survey) -> Inventory {
        if !self.whole {
            return Inventory::default();
        }
        let mut inventory = survey.inventory(|key| self.withheld.contains_key(key));
        for key in self.withheld.keys().filter(|key| !survey.spool.contains(key)) {
            inventory.count(survey.type_of(key), true);
        }
        inventory
    }

    /// Counts tables and buckets whose file, which shows who reads and writes them, is withheld.
    fn count_unmade(&self, failed: &BTreeSet<Shard>, inventory: &mut Inventory) {
        for (_, shard) in failed
            .iter()
            .filter(|(kind, _)| self.whole && *kind == IndexKind::Lineage)
        {
            let key = match shard.split_once('/') {
                Some(("table", id)) => id.parse().map(ObjectKey::Table),
                Some(("bucket", id)) => id.parse().map(ObjectKey::Bucket),
                _ => continue,
            };
            if let Ok(key) = key
                && !self.withheld.contains_key(&key)
            {
                inventory.withhold(ObjectType::of(&key, None));
            }
        }
    }

    fn clean(&self) -> Clean {
        if self.whole {
            // They are told of, or it is not known what is in them.
            return Clean::AllBut(self.withheld.keys().cloned().collect());
        }
        let removed = self.removed.iter().cloned();
        Clean::These(self.made.clean().chain(removed).collect())
    }
}

fn place(stages: &Stages, memory: &mut Memory, changes: Vec<Change>) -> Delta {
    let count = changes.len();
    let place = |placement: &mut Placement| {
        let delta = placement.apply(changes);
        let mut touched: Vec<ObjectKey> = delta.stale.iter().chain(&delta.removed).cloned().collect();
        touched.extend(delta.moved.iter().map(|moved| moved.key.clone()));
        (delta, touched)
    };
    stages.time(Stage::Place, count, || memory.place(place))
}
