//! What a commit says of the versions that it covers.

use crate::{
    packed::{Packed, read, text},
    pipeline::{fetch::Fetched, memory::Memory},
};
use mirror_core::{
    commit::{Author, CoveredChange},
    cut::{ConfigKey, Cut},
};
use mirror_keboola::Revision;
use std::collections::BTreeSet;

/// What a commit tells of versions.
#[derive(Debug)]
pub(super) enum Changes {
    Told(Vec<CoveredChange>),
    /// Of a snapshot, which names nobody and has as many as the project has configurations: versions, by key.
    Counted(Packed),
}

/// A version of a snapshot, its identifier, and whether it is gone.
type Counted = (u64, Option<String>, bool);

impl Changes {
    fn new(cut: &Cut) -> Self {
        if cut.snapshot {
            Self::Counted(Packed::default())
        } else {
            Self::Told(Vec::new())
        }
    }

    fn push(&mut self, change: CoveredChange) {
        match self {
            Self::Told(changes) => changes.push(change),
            Self::Counted(versions) => {
                let counted: Counted = (change.version, change.identifier, change.deleted);
                versions.insert(text(&change.key), text(&counted));
            }
        }
    }

    /// Keeps only some of them.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&CoveredChange) -> bool) {
        match self {
            Self::Told(changes) => changes.retain(keep),
            Self::Counted(versions) => {
                let all = std::mem::take(versions).into_iter();
                *versions = all.filter(|(key, counted)| keep(&change(key, counted))).collect();
            }
        }
    }

    /// Returns them all.
    pub(super) fn into_changes(self) -> Vec<CoveredChange> {
        match self {
            Self::Told(changes) => changes,
            Self::Counted(versions) => versions
                .into_iter()
                .map(|(key, counted)| change(&key, &counted))
                .collect(),
        }
    }
}

/// Reads a version of a snapshot.
fn change(key: &str, counted: &str) -> CoveredChange {
    let (version, identifier, deleted): Counted = read(counted);
    CoveredChange {
        version,
        identifier,
        deleted,
        ..unknown(&read(key))
    }
}

/// Says which versions the commit covers: the source's word where it has one, else the events'.
pub(super) fn changes(cut: &Cut, fetched: &Fetched, memory: &Memory) -> Changes {
    let mut changes = Changes::new(cut);
    for (key, config) in &fetched.configs {
        let mut change = match cut.configs.get(key) {
            Some(wanted) => CoveredChange::of_event(key.clone(), wanted),
            // Only its metadata changed: that is no version.
            None if !fetched.whole => continue,
            None => unknown(key),
        };
        if cut.snapshot {
            let identifier = config.revision.identifier.clone();
            change.identifier = identifier.or(change.identifier.take());
            change.version = config.revision.version;
        } else {
            tell(&mut change, &config.name, &config.revision);
        }
        changes.push(change);
    }
    let vanished: BTreeSet<ConfigKey> = if fetched.whole {
        let covered = memory.covered_keys();
        covered.filter(|key| !fetched.configs.contains_key(key)).collect()
    } else {
        let gone = fetched.gone.keys();
        gone.filter(|key| memory.covered_of(key).is_some())
            .cloned()
            .collect()
    };
    for key in &vanished {
        let mut change = cut.configs.get(key).map_or_else(
            || unknown(key),
            |wanted| CoveredChange::of_event(key.clone(), wanted),
        );
        if let Some(Some((name, revision))) = fetched.gone.get(key) {
            tell(&mut change, name, revision);
        }
        change.deleted = true;
        changes.push(change);
    }
    changes
}

fn unknown(key: &ConfigKey) -> CoveredChange {
    CoveredChange {
        key: key.clone(),
        name: None,
        version: 0,
        identifier: None,
        deleted: false,
        created: None,
        author: None,
        description: None,
        earlier_authors: Vec::new(),
    }
}

fn tell(change: &mut CoveredChange, name: &str, revision: &Revision) {
    let Revision {
        version,
        identifier,
        created,
        author,
        change_description,
        ..
    } = revision;
    change.name = Some(name.to_owned());
    change.version = *version;
    change.identifier = identifier.clone().or(change.identifier.take());
    change.created = (*created).or(change.created);
    if let Some(author) = author {
        change.author = Some(Author {
            token: author.token_id.clone(),
            text: author.description.clone(),
        });
    }
    change.description = Some(change_description.clone());
}
