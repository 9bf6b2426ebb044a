//! What the objects of a placement are to each other.

use super::{
    bytes::{of_alias, of_key, of_reference, to_key},
    front_coded::FrontCoded,
};
use crate::{
    ids::ObjectKey,
    layout::{Inspection, Reference},
};

/// A set of objects for each of what has a byte string that begins no other's.
#[derive(Debug, Clone, Default)]
struct Sets(FrontCoded);

impl Sets {
    fn add(&mut self, of: &[u8], key: &ObjectKey) {
        self.0.insert(&[of, &of_key(key)].concat(), &[]);
    }

    fn remove(&mut self, of: &[u8], key: &ObjectKey) {
        self.0.remove(&[of, &of_key(key)].concat());
    }

    fn of(&self, of: Vec<u8>) -> impl Iterator<Item = ObjectKey> {
        let start = of.len();
        self.0.prefixed(of).map(move |(pair, _)| to_key(&pair[start..]))
    }
}

/// Everything that inspections say of others, kept from the side of the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Which objects claim an object: target and claimant, each with the segment it wishes for it after a byte, or nothing.
    claims: FrontCoded,
    dependents: Sets,
    aliases: Sets,
}

impl Index {
    pub(super) fn add(&mut self, key: &ObjectKey, inspection: &Inspection) {
        for claim in &inspection.claims {
            let segment = claim
                .segment
                .as_ref()
                .map(|segment| [b"=", segment.as_bytes()].concat());
            self.claims
                .insert(&pair(&claim.target, key), &segment.unwrap_or_default());
        }
        for reference in &inspection.references {
            self.dependents.add(&of_reference(reference), key);
        }
        for alias in &inspection.aliases {
            self.aliases.add(&of_alias(alias), key);
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, inspection: &Inspection) {
        for claim in &inspection.claims {
            self.claims.remove(&pair(&claim.target, key));
        }
        for reference in &inspection.references {
            self.dependents.remove(&of_reference(reference), key);
        }
        for alias in &inspection.aliases {
            self.aliases.remove(&of_alias(alias), key);
        }
    }

    /// Returns the one claim on an object; none where there is none or several, for then none holds.
    pub(super) fn only_claim(&self, target: &ObjectKey) -> Option<(ObjectKey, Option<String>)> {
        let target = of_key(target);
        let start = target.len();
        let mut claims = self.claims.prefixed(target);
        let (claimant, segment) = claims.next()?;
        let segment = segment.strip_prefix(b"=").map(String::from_utf8_lossy);
        let claim = (to_key(&claimant[start..]), segment.map(Into::into));
        claims.next().is_none().then_some(claim)
    }

    pub(super) fn dependents(&self, reference: &Reference) -> impl Iterator<Item = ObjectKey> {
        self.dependents.of(of_reference(reference))
    }

    pub(super) fn owners(&self, alias: &str) -> impl Iterator<Item = ObjectKey> {
        self.aliases.of(of_alias(alias))
    }

    pub(super) fn bytes(&self) -> usize {
        self.claims.bytes() + self.dependents.0.bytes() + self.aliases.0.bytes()
    }
}

/// Which objects want to live below an object, and the inverse.
#[derive(Debug, Clone, Default)]
pub(super) struct Wished {
    children: Sets,
    parents: FrontCoded,
}

impl Wished {
    /// Returns the objects that want to live below one.
    pub(super) fn children(&self, parent: &ObjectKey) -> impl Iterator<Item = ObjectKey> {
        self.children.of(of_key(parent))
    }

    /// Notes below which object one wants to live.
    pub(super) fn note(&mut self, child: &ObjectKey, parent: Option<&ObjectKey>) {
        let key = of_key(child);
        let parent = parent.map(of_key);
        let before = self.parents.get(&key).map(<[u8]>::to_vec);
        if before == parent {
            return;
        }
        if let Some(before) = before {
            self.children.remove(&before, child);
            self.parents.remove(&key);
        }
        if let Some(parent) = parent {
            self.children.add(&parent, child);
            self.parents.insert(&key, &parent);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.children.0.bytes() + self.parents.bytes()
    }
}

fn pair(one: &ObjectKey, other: &ObjectKey) -> Vec<u8> {
    [of_key(one), of_key(other)].concat()
}
