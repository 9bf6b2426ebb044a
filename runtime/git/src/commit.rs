//! Commit objects: written from a guarded message, read back for recovery.
//!
//! Writing is a pure function: no clock, no host name, no configuration goes into a commit, so the same work
//! gives the same id on every machine.

use crate::{
    error::{StoreError, WriteError},
    objects::Source,
    signing::SigningKey,
};
use gix::{bstr::ByteSlice, objs::Kind};
use jiff::Timestamp;
use mirror_core::{
    commit::{GuardedMessage, Signature},
    ids::Oid,
};

/// A commit, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    pub id: Oid,
    pub tree: Oid,
    /// The first one is the branch's own history.
    pub parents: Vec<Oid>,
    pub author: Person,
    pub committer: Person,
    /// The whole message with its trailers; invalid UTF-8 is replaced.
    pub message: String,
}

/// Who made a commit and when, as a stranger's commit may say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub email: String,
    /// To the second; the epoch if the commit has no readable time.
    pub time: Timestamp,
}

/// What a commit says beside tree and parents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommitText<'a> {
    pub(crate) author: Stamp<'a>,
    pub(crate) committer: Stamp<'a>,
    pub(crate) message: &'a str,
}

/// A name with a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp<'a> {
    pub(crate) name: &'a str,
    pub(crate) email: &'a str,
    pub(crate) time: Timestamp,
}

impl<'a> From<&'a GuardedMessage> for CommitText<'a> {
    fn from(message: &'a GuardedMessage) -> Self {
        let stamp = |signature: &'a Signature| {
            let (name, email, time) = (signature.name(), signature.email(), signature.time());
            Stamp { name, email, time }
        };
        Self {
            author: stamp(message.author()),
            committer: stamp(message.committer()),
            message: message.message(),
        }
    }
}

/// Encodes a commit. Times are in UTC. With a key, it is signed.
pub(crate) fn encode(
    tree: Oid,
    parents: &[Oid],
    text: CommitText<'_>,
    key: Option<&SigningKey>,
) -> Result<Vec<u8>, WriteError> {
    let CommitText {
        author,
        committer,
        message,
    } = text;
    let parents: String = parents
        .iter()
        .map(|parent| format!("parent {parent}\n"))
        .collect();
    let author = encode_stamp("author", author)?;
    let committer = encode_stamp("committer", committer)?;
    if message.contains('\0') {
        return Err(WriteError::BadText {
            what: "message",
            problem: "has a NUL character",
        });
    }
    let end = if message.ends_with('\n') { "" } else { "\n" };
    let headers = format!("tree {tree}\n{parents}{author}{committer}");
    let message = format!("\n{message}{end}");
    let signature = key.map(|key| {
        let signature = key.sign(format!("{headers}{message}").as_bytes());
        // A header goes on in lines that start with a space.
        format!("gpgsig {}\n", signature.replace('\n', "\n "))
    });
    Ok([headers, signature.unwrap_or_default(), message]
        .concat()
        .into_bytes())
}

fn encode_stamp(what: &'static str, stamp: Stamp<'_>) -> Result<String, WriteError> {
    let Stamp { name, email, time } = stamp;
    if [name, email]
        .iter()
        .any(|text| text.contains(['<', '>', '\n', '\0']))
    {
        let problem = "has an angle bracket, a line break or a NUL character in name or e-mail";
        return Err(WriteError::BadText { what, problem });
    }
    // Git cannot store times before 1970.
    let seconds = time.as_second().max(0);
    Ok(format!(
        "{what} {} <{}> {seconds} +0000\n",
        name.trim(),
        email.trim()
    ))
}

/// Reads and decodes a commit.
pub(crate) fn read(source: &impl Source, id: Oid) -> Result<CommitInfo, StoreError> {
    let raw = source.require(id, Kind::Commit)?;
    decode(id, &raw)
}

pub(crate) fn decode(id: Oid, raw: &[u8]) -> Result<CommitInfo, StoreError> {
    let damaged = |error: gix::Error| StoreError::Damaged {
        id,
        problem: error.to_string(),
    };
    let commit = gix::objs::CommitRef::from_bytes(raw, gix::hash::Kind::Sha1).map_err(damaged)?;
    let person = |signature: gix::actor::SignatureRef<'_>| Person {
        name: signature.name.to_str_lossy().into_owned(),
        email: signature.email.to_str_lossy().into_owned(),
        time: signature
            .time()
            .ok()
            .and_then(|time| Timestamp::from_second(time.seconds).ok())
            .unwrap_or_default(),
    };
    Ok(CommitInfo {
        id,
        tree: crate::pack::from_gix(&commit.tree()),
        parents: commit
            .parents()
            .map(|parent| crate::pack::from_gix(&parent))
            .collect(),
        author: person(commit.author().map_err(damaged)?),
        committer: person(commit.committer().map_err(damaged)?),
        message: commit.message.to_str_lossy().into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        objects::EMPTY_TREE,
        testing::{Bare, git_fed, text},
    };
    use expect_test::expect;

    #[test]
    fn a_commit_is_the_same_bytes_everywhere_and_git_shows_it() {
        let parents = [Oid::from_bytes([0x11; 20]), Oid::from_bytes([0x22; 20])];
        let raw = encode(
            EMPTY_TREE,
            &parents,
            text("Change\n\nMirror-Log: x", 1_700_000_000),
            None,
        )
        .unwrap();
        expect![[r#"
            tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
            parent 1111111111111111111111111111111111111111
            parent 2222222222222222222222222222222222222222
            author Anna Nováková <anna@example.com> 1700000000 +0000
            committer Mirror <m@example.com> 1700000000 +0000

            Change

            Mirror-Log: x
        "#]]
        .assert_eq(std::str::from_utf8(&raw).unwrap());

        let bare = Bare::init();
        let raw = encode(
            EMPTY_TREE,
            &[],
            text("Change\n\nMirror-Log: x\n", 1_700_000_000),
            None,
        )
        .unwrap();
        let id = git_fed(
            bare.path(),
            &["hash-object", "-t", "commit", "-w", "--stdin"],
            &raw,
        )
        .stdout;
        let id = Oid::parse(std::str::from_utf8(&id).unwrap().trim()).unwrap();
        assert_eq!(crate::pack::object_id(Kind::Commit, &raw), Some(id));
        let shown = bare.git(&[
            "show",
            "--no-patch",
            "--format=%an|%ae|%at|%cn|%(trailers:only)",
            &id.to_string(),
        ]);
        assert_eq!(
            shown,
            "Anna Nováková|anna@example.com|1700000000|Mirror|Mirror-Log: x"
        );

        let read = decode(id, &raw).unwrap();
        assert_eq!(
            (read.tree, read.parents.len(), read.author.name.as_str()),
            (EMPTY_TREE, 0, "Anna Nováková")
        );
        assert_eq!(
            (read.author.time.as_second(), read.message.as_str()),
            (1_700_000_000, "Change\n\nMirror-Log: x\n")
        );
    }

    #[test]
    fn text_that_would_forge_another_header_is_refused() {
        let person = Stamp {
            name: "A",
            email: "a@example.com",
            time: Timestamp::UNIX_EPOCH,
        };
        let good = CommitText {
            author: person,
            committer: person,
            message: "m",
        };
        assert!(encode(EMPTY_TREE, &[], good, None).is_ok());
        for bad in ["A\nparent x", "A <x>", "A\0"] {
            let person = Stamp { name: bad, ..person };
            for text in [
                CommitText {
                    author: person,
                    ..good
                },
                CommitText {
                    committer: person,
                    ..good
                },
            ] {
                assert!(
                    matches!(
                        encode(EMPTY_TREE, &[], text, None),
                        Err(WriteError::BadText { .. })
                    ),
                    "{bad:?}"
                );
            }
        }
        let text = CommitText {
            message: "a\0b",
            ..good
        };
        assert!(matches!(
            encode(EMPTY_TREE, &[], text, None),
            Err(WriteError::BadText { what: "message", .. })
        ));
    }

    #[test]
    fn times_before_1970_and_unreadable_ones_become_the_epoch() {
        let early = Stamp {
            name: "A",
            email: "a",
            time: Timestamp::from_second(-5).unwrap(),
        };
        let text = CommitText {
            author: early,
            committer: early,
            message: "m",
        };
        let raw = encode(EMPTY_TREE, &[], text, None).unwrap();
        assert!(
            std::str::from_utf8(&raw)
                .unwrap()
                .contains("author A <a> 0 +0000\n")
        );
        let strange = format!(
            "tree {EMPTY_TREE}\nauthor A <a> 999999999999999 +0000\ncommitter A <a> 5 -0130\n\n\u{e9}"
        );
        let read = decode(EMPTY_TREE, strange.as_bytes()).unwrap();
        assert_eq!(
            (read.author.time, read.committer.time.as_second()),
            (Timestamp::UNIX_EPOCH, 5)
        );
        assert!(matches!(
            decode(EMPTY_TREE, b"tree"),
            Err(StoreError::Damaged { .. })
        ));
    }
}
