//! Reading contents back: what the local store has costs nothing, and the rest is one question to the remote.

use super::{attempt::Lane, error::AttemptError};
use mirror_core::ids::Oid;
use std::collections::{HashMap, HashSet};

impl Lane {
    /// Reads blobs, in the order of their ids.
    ///
    /// # Errors
    /// A store or remote that cannot be read, or a blob that neither has.
    pub(super) fn blobs(&self, ids: &[Oid]) -> Result<Vec<Vec<u8>>, AttemptError> {
        let mut found: HashMap<Oid, Vec<u8>> = HashMap::new();
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        for id in ids.iter().filter(|id| seen.insert(**id)) {
            match self.git.blob(*id)? {
                Some(content) => drop(found.insert(*id, content)),
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            let read = self.remote.read_blobs(&missing)?;
            found.extend(missing.into_iter().zip(read));
        }
        let content = |id: &Oid| found.get(id).cloned().unwrap_or_default();
        Ok(ids.iter().map(content).collect())
    }
}
