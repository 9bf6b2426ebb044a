//! What `ssh`, and the servers behind it, write to people.

use crate::{refusal, transport_error::TransportError};
use std::io;

/// Tells from the words why a connection ended; none if they say nothing.
pub(super) fn classify(remote: &str, said: &str) -> Option<TransportError> {
    if said.is_empty() {
        return None;
    }
    let text = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let (remote, said) = (remote.to_owned(), said.to_owned());
    let error = if has(&[
        "host key verification failed",
        "remote host identification has changed",
        "no host key is known",
        "host key is known for",
    ]) {
        TransportError::HostKey { remote, said }
    } else if has(&[
        "invalid format",
        "error in libcrypto",
        "is not a key file",
        "load key",
    ]) {
        TransportError::Settings {
            remote,
            problem: "the private key cannot be read; it must have no passphrase".to_owned(),
        }
    } else if has(&[
        "permission denied (",
        "too many authentication failures",
        "no supported authentication",
    ]) {
        TransportError::Credentials { remote, said }
    } else if let Some(error) = refusal::no_access_error(&remote, &said) {
        error
    } else if has(&["connection timed out", "operation timed out"]) {
        unreachable(remote, said, io::ErrorKind::TimedOut)
    } else if has(&["connection refused"]) {
        unreachable(remote, said, io::ErrorKind::ConnectionRefused)
    } else {
        unreachable(remote, said, io::ErrorKind::ConnectionAborted)
    };
    Some(error)
}

fn unreachable(remote: String, problem: String, kind: io::ErrorKind) -> TransportError {
    TransportError::Unreachable {
        remote,
        problem,
        source: std::sync::Arc::new(kind.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ssh_and_of_servers_are_told_apart() {
        for (said, expected) in [
            ("Host key verification failed.", "HostKey"),
            (
                "No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.",
                "HostKey",
            ),
            ("git@h: Permission denied (publickey).", "Credentials"),
            (
                "Load key \"k\": invalid format\ngit@h: Permission denied (publickey).",
                "Settings",
            ),
            (
                "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
                "NotFound",
            ),
            (
                "fatal: '/srv/x.git' does not appear to be a git repository",
                "NotFound",
            ),
            (
                "ERROR: The key you are authenticating with has been marked as read only.",
                "Forbidden",
            ),
            ("ERROR: Permission to a/b.git denied to key", "Forbidden"),
            (
                "ERROR: This repository was archived so it is read-only.",
                "ReadOnly",
            ),
            (
                "ssh: connect to host h port 22: Connection refused",
                "Unreachable",
            ),
            (
                "ssh: connect to host h port 22: Connection timed out",
                "Unreachable",
            ),
        ] {
            let error = classify("r", said).unwrap();
            assert!(format!("{error:?}").starts_with(expected), "{said}: {error:?}");
        }
        let said = "fatal: '/srv/archived/x.git' does not appear to be a git repository";
        let error = classify("ssh://git@h/archived/x.git", said).unwrap();
        assert!(format!("{error:?}").starts_with("NotFound"), "{error:?}");
        assert!(classify("r", "").is_none());
    }
}
