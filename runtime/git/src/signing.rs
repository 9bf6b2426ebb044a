//! Signing commits with an SSH key, in process.
//!
//! The signature is the one that `git commit -S` with `gpg.format=ssh` makes: SSHSIG over the commit without its signature,
//! for the purpose `git`, with SHA-512. Ed25519 is deterministic, and so the same work gives the same commit anywhere.

use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};
use std::fmt;
use thiserror::Error;

/// A private Ed25519 key that commits are signed with. Its `Debug` shows the public fingerprint only.
pub struct SigningKey(PrivateKey);

/// Why a text is no key to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidSigningKey {
    #[error(
        "the signing key is not an OpenSSH private key; make one with `ssh-keygen -t ed25519 -N '' -f FILE` and give FILE"
    )]
    Unreadable,
    #[error(
        "the signing key is protected by a passphrase, which nobody can type here; remove it with `ssh-keygen -p -N '' -f FILE`"
    )]
    Encrypted,
    #[error(
        "the signing key is not an Ed25519 key, whose signatures are the same each time; make one with `ssh-keygen -t ed25519`"
    )]
    OtherAlgorithm,
}

impl SigningKey {
    /// Reads a private key as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// A key of another kind, or with a passphrase.
    pub fn parse(openssh: &str) -> Result<Self, InvalidSigningKey> {
        let key = PrivateKey::from_openssh(openssh).map_err(|_| InvalidSigningKey::Unreadable)?;
        if key.is_encrypted() {
            return Err(InvalidSigningKey::Encrypted);
        }
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(InvalidSigningKey::OtherAlgorithm);
        }
        Ok(Self(key))
    }

    /// Returns the public key as a line of `authorized_keys`, or of Git's `allowedSignersFile` after the signer's name.
    ///
    /// # Panics
    /// Never: a key that was read can be written.
    #[must_use]
    pub fn public(&self) -> String {
        let public = self.0.public_key().to_openssh();
        public.expect("a key that was read can be written")
    }

    /// Returns the signature of a commit, as an armoured text.
    pub(crate) fn sign(&self, commit: &[u8]) -> String {
        let signature = self.0.sign("git", HashAlg::Sha512, commit);
        let signature = signature.expect("an Ed25519 key without a passphrase signs anything");
        let text = signature.to_pem(LineEnding::LF);
        text.expect("a signature can be written").trim_end().to_owned()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.0.fingerprint(HashAlg::Sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Mirror, path, text};
    use std::{fs, path::Path, process::Command};

    fn generate(directory: &Path, name: &str, kind: &str, passphrase: &str) -> String {
        let file = directory.join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-C", "mirror", "-f"])
            .arg(&file)
            .status();
        assert!(made.expect("this test needs ssh-keygen").success());
        fs::read_to_string(file).unwrap()
    }

    #[test]
    fn git_verifies_a_signed_commit_and_a_second_signing_gives_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::parse(&generate(directory.path(), "key", "ed25519", "")).unwrap();
        let mirror = Mirror::new();
        let signed = || {
            let mut draft = mirror.store.draft();
            let mut writer = draft.tree_writer(None).unwrap();
            writer.write_files(&[(path("a/b"), "1")]).unwrap();
            let tree = writer.finish().unwrap().tree;
            let message = text("Signed\n\nTrailer: x", 1_700_000_000);
            let commit = draft.commit_text(tree, &[], message, Some(&key)).unwrap();
            draft.into_push(mirror.main.clone(), None, commit).unwrap()
        };
        let push = signed();
        assert_eq!(signed().new_tip(), push.new_tip());
        mirror.store.save(&push).unwrap();
        crate::Remote::push(&mirror.remote, &push).unwrap();
        assert_eq!(mirror.git(&["fsck", "--strict"]), "");
        let signers = directory.path().join("signers");
        fs::write(&signers, format!("m@example.com {}\n", key.public())).unwrap();
        let signers = format!("gpg.ssh.allowedSignersFile={}", signers.display());
        let shown = mirror.git(&[
            "-c",
            &signers,
            "log",
            "--format=%G?|%GS|%s|%(trailers:only)",
            "main",
        ]);
        assert_eq!(shown, "G|m@example.com|Signed|Trailer: x");
        mirror.git(&["-c", &signers, "verify-commit", "main"]);
        let read = mirror.store.commit(push.new_tip()).unwrap();
        assert_eq!(read.message, "Signed\n\nTrailer: x\n");

        let other = generate(directory.path(), "other", "ed25519", "");
        fs::write(
            directory.path().join("signers"),
            format!("m@example.com {}\n", SigningKey::parse(&other).unwrap().public()),
        )
        .unwrap();
        let trusted =
            crate::testing::command(mirror.remote.path(), &["-c", &signers, "verify-commit", "main"])
                .output();
        assert!(
            !trusted.unwrap().status.success(),
            "signed by a key that nobody trusts"
        );
    }

    #[test]
    fn a_key_that_cannot_be_used_says_why_and_shows_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let error = |text: &str| SigningKey::parse(text).unwrap_err();
        assert_eq!(error("no key"), InvalidSigningKey::Unreadable);
        let locked = generate(directory.path(), "locked", "ed25519", "secret");
        assert_eq!(error(&locked), InvalidSigningKey::Encrypted);
        let ecdsa = generate(directory.path(), "ecdsa", "ecdsa", "");
        assert!(matches!(
            error(&ecdsa),
            InvalidSigningKey::OtherAlgorithm | InvalidSigningKey::Unreadable
        ));
        let good = generate(directory.path(), "good", "ed25519", "");
        let shown = format!("{:?}", SigningKey::parse(&good).unwrap());
        assert!(
            shown.starts_with("SigningKey(SHA256:") && shown.len() < 70,
            "{shown}"
        );
    }
}
