//! Buckets and tables whose ids differ in case only.

use super::{super::survey::Survey, Build};
use mirror_core::{finding::WithholdReason, ids::ObjectKey, spelling::Spellings};
use std::collections::BTreeSet;

impl Build<'_, '_, '_, '_> {
    /// Withholds what some file systems take for an object that is there already or, of new ones, sorts before it.
    ///
    /// Their files are made in other batches than one, and of entries of many, so that it would not be noticed whose
    /// is missing.
    pub(super) fn withhold_spellings(&mut self, survey: &Survey, going: &BTreeSet<ObjectKey>) {
        // Whoever has files keeps them, whichever others there are.
        let has_files = |key: &ObjectKey| {
            let known = self.memory.known(key);
            !self.whole && known.is_some_and(|known| known.withheld.is_none())
        };
        let inspected = survey.inspected.iter().map(|(key, _)| key);
        let new: BTreeSet<&ObjectKey> = inspected
            .filter(|key| is_storage(key) && !has_files(key))
            .collect();
        if new.is_empty() {
            return;
        }
        let mut spellings = Spellings::default();
        let known = self.memory.objects();
        for (key, _) in known.filter(|(key, known)| is_storage(key) && known.withheld.is_none()) {
            if !going.contains(&key) {
                spellings.take(&key);
            }
        }
        for key in new {
            if !spellings.take(key) {
                self.withheld.entry(key.clone()).or_insert_with(differs_in_case);
            }
        }
    }
}

fn is_storage(key: &ObjectKey) -> bool {
    matches!(
        key,
        ObjectKey::Bucket(_) | ObjectKey::Table(_) | ObjectKey::Sample(_)
    )
}

fn differs_in_case() -> WithholdReason {
    WithholdReason::Path {
        file: 0,
        problem: "is the same as another for some file systems".to_owned(),
    }
}
