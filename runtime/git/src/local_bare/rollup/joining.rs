//! Several packs' objects on their way into one.
//!
//! Each pack of a push ends with what its deltas refer to. Most of that is in the pack before as a delta on what was
//! there still earlier. Of two forms of an object the one met first is taken, so that whole objects turn into a chain of
//! small differences. No circle can come of it: what is taken from a pack refers to what is taken from that pack or from
//! an earlier one, and no pack has a circle of its own.

use crate::{
    encoder::EntryKind,
    packfile::{PackFile, PackFileError},
    run::Run,
};
use mirror_core::ids::Oid;
use std::collections::{HashMap, HashSet};

/// An object at the end of a chain this long becomes a whole one again where there is its whole form; the value is Git's own.
const DEPTH_MAX: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Joining {
    /// Each of one entry.
    entries: Vec<Run>,
    places: HashMap<Oid, usize>,
    /// So many deltas lead from an object to a whole one.
    depths: HashMap<Oid, usize>,
}

impl Joining {
    /// Adds a pack's objects; of a damaged one, nothing.
    pub(super) fn add(&mut self, file: &PackFile) -> Result<(), PackFileError> {
        let damaged = |problem| PackFileError::Damaged {
            path: file.pack.clone(),
            problem,
        };
        let content = file.open()?;
        if !content.is_complete()? {
            return Err(damaged("pack and index are not of one another"));
        }
        let mut found = Vec::new();
        let mut bases = HashMap::new();
        let mut reader = content.reader();
        for number in 0..content.len() {
            let entry = reader.entry(number)?;
            let mut run = Run::default();
            entry.copy_to(&mut run)?;
            let id = content.id(number);
            bases.extend(entry.base()?.map(|base| (id, base)));
            found.push((id, entry.kind()?, run));
        }
        let is_here = |id| content.has(id);
        if !bases.values().all(|base| is_here(*base)) || !leads_to_whole(&bases) {
            return Err(damaged("a delta has no base"));
        }
        for (id, kind, run) in found {
            match self.places.get(&id) {
                None => {
                    self.places.insert(id, self.entries.len());
                    self.entries.push(run);
                }
                Some(place) => {
                    bases.remove(&id);
                    let is_deep = self.depths.get(&id).is_some_and(|depth| *depth >= DEPTH_MAX);
                    if is_deep && matches!(kind, EntryKind::Whole(_)) {
                        self.entries[*place] = run;
                        self.depths.remove(&id);
                    }
                }
            }
        }
        for id in bases.keys() {
            let mut chain = Vec::new();
            let mut next = *id;
            while let Some(base) = bases.get(&next).filter(|_| !self.depths.contains_key(&next)) {
                chain.push(next);
                next = *base;
            }
            let below = self.depths.get(&next).copied().unwrap_or_default();
            let depths = chain.into_iter().rev().zip(below + 1..);
            self.depths.extend(depths);
        }
        Ok(())
    }

    pub(super) fn into_run(self) -> Run {
        let mut all = Run::default();
        for run in self.entries {
            all.push_encoded(&run.entry(0));
        }
        all
    }
}

/// Returns whether every chain ends.
fn leads_to_whole(bases: &HashMap<Oid, Oid>) -> bool {
    let mut ending = HashSet::new();
    bases.keys().all(|id| {
        let mut next = id;
        let mut chain = Vec::new();
        while let Some(base) = bases.get(next).filter(|_| !ending.contains(next)) {
            if chain.len() > bases.len() {
                return false;
            }
            chain.push(*next);
            next = base;
        }
        ending.extend(chain);
        true
    })
}
