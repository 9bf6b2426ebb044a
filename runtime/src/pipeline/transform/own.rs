//! What the guard knows of this process's own secrets, while they are renewed.

use mirror_core::guard::KnownSecrets;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Of what was renewed so many are known, the newest. Who renews a token each hour has none older that still opens anything.
const RENEWED_MAX: usize = 256;

/// The secrets of a run: those that it began with, and those that came since. What a new one replaces stays known.
#[derive(Default)]
pub struct OwnSecrets(Mutex<Held>);

#[derive(Default)]
struct Held {
    first: KnownSecrets,
    renewed: VecDeque<SecretString>,
    learnt: u64,
}

impl OwnSecrets {
    #[must_use]
    pub fn new(first: KnownSecrets) -> Self {
        Self(Mutex::new(Held {
            first,
            ..Held::default()
        }))
    }

    /// Adds a secret that the run has from now on. Do so before it is used.
    pub fn learn(&self, secret: &SecretString) {
        let mut held = self.held();
        let is_known = |known: &SecretString| known.expose_secret() == secret.expose_secret();
        if held.renewed.iter().any(is_known) {
            return;
        }
        if held.renewed.len() == RENEWED_MAX {
            held.renewed.pop_front();
        }
        held.renewed.push_back(secret.clone());
        held.learnt += 1;
    }

    /// Returns how many were added: as long as it is the same, so is what is known.
    pub fn learnt(&self) -> u64 {
        self.held().learnt
    }

    /// Returns all that is known, and [`Self::learnt`] of it.
    pub fn known(&self) -> (u64, KnownSecrets) {
        let held = self.held();
        let mut known = held.first.clone();
        for secret in &held.renewed {
            known.add_credential(secret.expose_secret());
        }
        (held.learnt, known)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnSecrets({:?})", self.known().1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::guard::Guard;

    #[test]
    fn what_is_replaced_stays_known_and_the_number_of_those_is_bounded() {
        let mut first = KnownSecrets::new();
        first.add_credential("First-Secret-000");
        let own = OwnSecrets::new(first);
        let secret = |number: usize| format!("Renewed-Secret-{number:04}");
        for number in 0..=RENEWED_MAX {
            own.learn(&SecretString::from(secret(number)));
            own.learn(&SecretString::from(secret(number)));
        }
        assert_eq!(own.learnt(), RENEWED_MAX as u64 + 1, "each once");
        let (learnt, known) = own.known();
        assert_eq!((learnt, known.len()), (own.learnt(), RENEWED_MAX + 1));
        let guard = Guard::new(&known);
        let knows = |text: &str| guard.check_text(text).is_some();
        assert!(knows("First-Secret-000"), "the one that the run began with");
        assert!(knows(&secret(1)) && knows(&secret(RENEWED_MAX)));
        assert!(!knows(&secret(0)), "the oldest of too many");
    }
}
