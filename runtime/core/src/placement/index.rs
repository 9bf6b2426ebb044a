//! What the objects of a placement are to each other.

use crate::{
    ids::ObjectKey,
    layout::{Claim, Inspection, Reference},
};
use std::collections::{BTreeMap, BTreeSet};

/// A set for each key, without empty ones.
#[derive(Debug, Clone)]
pub(super) struct Sets<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Sets<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord> Sets<K, V> {
    pub(super) fn add(&mut self, key: &K, value: V) {
        self.0.entry(key.clone()).or_default().insert(value);
    }

    pub(super) fn remove(&mut self, key: &K, value: &V) {
        if let Some(values) = self.0.get_mut(key) {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flatten()
    }
}

/// Which objects claim an object, each with the segment it wishes for it.
#[derive(Debug, Clone, Default)]
struct Claims(BTreeMap<ObjectKey, BTreeMap<ObjectKey, Option<String>>>);

impl Claims {
    fn add(&mut self, claimant: &ObjectKey, claim: &Claim) {
        self.0
            .entry(claim.target.clone())
            .or_default()
            .insert(claimant.clone(), claim.segment.clone());
    }

    fn remove(&mut self, claimant: &ObjectKey, claim: &Claim) {
        if let Some(claimants) = self.0.get_mut(&claim.target) {
            claimants.remove(claimant);
            if claimants.is_empty() {
                self.0.remove(&claim.target);
            }
        }
    }
}

/// Everything that inspections say of others, kept from the side of the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    claims: Claims,
    dependents: Sets<Reference, ObjectKey>,
    aliases: Sets<String, ObjectKey>,
    /// Which objects want to live below an object, and the inverse.
    children: Sets<ObjectKey, ObjectKey>,
    wished: BTreeMap<ObjectKey, ObjectKey>,
}

impl Index {
    pub(super) fn add(&mut self, key: &ObjectKey, inspection: &Inspection) {
        for claim in &inspection.claims {
            self.claims.add(key, claim);
        }
        for reference in &inspection.references {
            self.dependents.add(reference, key.clone());
        }
        for alias in &inspection.aliases {
            self.aliases.add(alias, key.clone());
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, inspection: &Inspection) {
        for claim in &inspection.claims {
            self.claims.remove(key, claim);
        }
        for reference in &inspection.references {
            self.dependents.remove(reference, key);
        }
        for alias in &inspection.aliases {
            self.aliases.remove(alias, key);
        }
    }

    /// Returns the one claim on an object; none where there is none or several, for then none holds.
    pub(super) fn only_claim(&self, target: &ObjectKey) -> Option<(&ObjectKey, Option<&str>)> {
        let claimants = self
            .claims
            .0
            .get(target)
            .filter(|claimants| claimants.len() == 1)?;
        claimants
            .iter()
            .next()
            .map(|(claimant, segment)| (claimant, segment.as_deref()))
    }

    pub(super) fn dependents(&self, reference: &Reference) -> impl Iterator<Item = &ObjectKey> {
        self.dependents.of(reference)
    }

    pub(super) fn owners(&self, alias: &String) -> impl Iterator<Item = &ObjectKey> {
        self.aliases.of(alias)
    }

    pub(super) fn children(&self, parent: &ObjectKey) -> impl Iterator<Item = &ObjectKey> {
        self.children.of(parent)
    }

    /// Notes below which object one wants to live.
    pub(super) fn wish(&mut self, child: &ObjectKey, parent: Option<&ObjectKey>) {
        if let Some(old) = self.wished.remove(child) {
            self.children.remove(&old, child);
        }
        if let Some(parent) = parent {
            self.children.add(parent, child.clone());
            self.wished.insert(child.clone(), parent.clone());
        }
    }
}
