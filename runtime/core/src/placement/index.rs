//! What the objects of a placement are to each other.

use super::{
    bytes::{CONFIG, ROW, of_alias, of_key, of_reference, to_key},
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

    /// Returns the claim on an object that holds. As in the CLI, claims of several configurations cancel each other, so that
    /// one of a row holds beside them; one of each, or several of rows, are none.
    pub(super) fn claim(&self, target: &ObjectKey) -> Option<(ObjectKey, Option<String>)> {
        let of_kind = |kind| self.claims_of(target, kind);
        match (of_kind(CONFIG), of_kind(ROW)) {
            (Claims::One(claimant, segment), Claims::None)
            | (Claims::None | Claims::Several, Claims::One(claimant, segment)) => Some((claimant, segment)),
            _ => None,
        }
    }

    /// Returns the claims of one kind of objects. No more than two are looked at: many may use the same variables.
    fn claims_of(&self, target: &ObjectKey, kind: u8) -> Claims {
        let mut of_kind = of_key(target);
        let start = of_kind.len();
        of_kind.push(kind);
        let mut claims = self.claims.prefixed(of_kind);
        let Some((claimant, segment)) = claims.next() else {
            return Claims::None;
        };
        let segment = segment.strip_prefix(b"=").map(String::from_utf8_lossy);
        let claim = Claims::One(to_key(&claimant[start..]), segment.map(Into::into));
        if claims.next().is_some() {
            Claims::Several
        } else {
            claim
        }
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

/// How many objects of a kind claim another; of a single one which, and the segment that it wishes for it.
enum Claims {
    None,
    One(ObjectKey, Option<String>),
    Several,
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
