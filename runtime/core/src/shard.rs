//! Shards: which of several workers takes care of a project.
//!
//! All lanes of a project are on one worker, since they share fetched versions and the project's rate
//! limits. Everybody who knows the same workers comes to the same assignment, without asking anybody; who
//! really holds a shard is decided elsewhere.

use crate::{
    ids::{ProjectId, Stack},
    key::EventKey,
};
use sha2::{Digest, Sha256};
use std::fmt;

/// A 256th of all projects. The number never changes: it is part of the subjects of stored events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

impl Shard {
    /// Returns the shard of a project.
    #[must_use]
    pub fn of(stack: &Stack, project: &ProjectId) -> Self {
        let key = EventKey::of(&[stack.as_str(), project.as_str()]);
        Self(Sha256::digest(key.as_str().as_bytes())[0])
    }

    /// Returns which of the workers this shard belongs to (rendezvous hashing): when one comes or goes, only
    /// its own shards move. None without workers.
    #[must_use]
    pub fn owner<'w>(self, workers: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
        let weight = |worker: &str| -> [u8; 32] {
            let key = EventKey::of(&[worker, &self.to_string()]);
            Sha256::digest(key.as_str().as_bytes()).into()
        };
        workers.into_iter().max_by_key(|worker| (weight(worker), *worker))
    }
}

/// Two hexadecimal digits.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Shard> {
        (0..=u8::MAX).map(Shard)
    }

    #[test]
    fn the_shard_of_a_project_never_changes() {
        let stack: Stack = "connection.keboola.com".parse().unwrap();
        let shards = ["1", "4021", "998877"].map(|project| Shard::of(&stack, &project.parse().unwrap()));
        // Taken with `printf '22:connection.keboola.com,1:1,' | sha256sum`, and so on.
        expect_test::expect!["34 ef 69"].assert_eq(&shards.map(|shard| shard.to_string()).join(" "));
    }

    #[test]
    fn only_the_shards_of_a_worker_that_is_gone_move() {
        let (before, after) = (["a", "b", "c"], ["c", "a"]);
        let mut of_b = 0;
        for shard in all() {
            let (was, is) = (shard.owner(before).unwrap(), shard.owner(after).unwrap());
            if was == "b" {
                of_b += 1;
            } else {
                assert_eq!(was, is, "{shard}");
            }
        }
        assert!(
            (60..=110).contains(&of_b),
            "a fair share of 256 is 85, not {of_b}"
        );
    }

    #[test]
    fn nobody_owns_a_shard_without_workers() {
        assert_eq!(Shard(3).owner([]), None);
        assert_eq!(Shard(3).owner(["only"]), Some("only"));
    }
}
