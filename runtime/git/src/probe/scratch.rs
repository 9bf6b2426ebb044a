//! Branches that are made to find out, and removed again.

use super::ProbeAuthor;
use crate::{
    commit::{self, CommitText, Stamp},
    encoder::Encoder,
    error::{Disposition, PushError, WriteError},
    objects::EMPTY_TREE,
    outgoing::PendingPush,
    pack::{self, Assembled},
    refname::RefName,
    remote::Remote,
    run::Run,
};
use gix::objs::Kind;
use jiff::Timestamp;
use mirror_core::ids::Oid;

const PREFIX: &str = "kbc-mirror-probe-";
/// So many digits of the commit end the name of its branch: whoever finds it there knows that nobody else moved it.
const DIGITS: usize = 16;
/// What a file may have at most: enough for any limit of a forge on one, and little enough for memory.
const FILE_BYTES_MAX: u32 = 64 << 20;

/// One commit, whose tree holds nothing but perhaps one file: it does not show what the repository holds, and collides
/// with nothing.
pub(super) struct Scratch {
    id: Oid,
    runs: Vec<Run>,
}

impl Scratch {
    /// `person` is the author in place of the mirror; `file_bytes` the size of the file, none without one.
    pub(super) fn new(
        parent: Option<Oid>,
        author: ProbeAuthor<'_>,
        person: Option<(&str, &str)>,
        file_bytes: Option<u32>,
        now: Timestamp,
    ) -> Result<Self, WriteError> {
        let stamp = |name, email| Stamp {
            name,
            email,
            time: now,
        };
        let committer = stamp(author.name, author.email);
        let text = CommitText {
            author: person.map_or(committer, |(name, email)| stamp(name, email)),
            committer,
            message: "Connection test of kbc-mirror; may be deleted",
        };
        let (mut run, mut encoder) = (Run::default(), Encoder::new());
        let mut tree = EMPTY_TREE;
        run.push(&mut encoder, EMPTY_TREE, Kind::Tree, b"");
        if let Some(bytes) = file_bytes {
            let content = incompressible(bytes.min(FILE_BYTES_MAX), now);
            let blob = object_id(Kind::Blob, &content)?;
            let entry = [&b"100644 connection-test\0"[..], blob.as_bytes()].concat();
            tree = object_id(Kind::Tree, &entry)?;
            run.push(&mut encoder, blob, Kind::Blob, &content);
            run.push(&mut encoder, tree, Kind::Tree, &entry);
        }
        // On top of the branch, so that the server takes no other history for new.
        let parents: Vec<Oid> = parent.into_iter().collect();
        let raw = commit::encode(tree, &parents, text, author.signing)?;
        let id = object_id(Kind::Commit, &raw)?;
        run.push(&mut encoder, id, Kind::Commit, &raw);
        Ok(Self { id, runs: vec![run] })
    }

    /// Makes a branch of its own at the commit.
    pub(super) fn of_its_own(self, unique: &str) -> Result<PendingPush, WriteError> {
        let bad = WriteError::BadText {
            what: "probe",
            problem: "cannot name a branch",
        };
        let digits = self.id.to_string();
        let name = format!("{PREFIX}{unique}-{}", &digits[..DIGITS]);
        let refname = RefName::branch(&name).map_err(|_| bad)?;
        Ok(self.of(refname))
    }

    /// Makes a branch at the commit that is not there yet.
    pub(super) fn of(self, refname: RefName) -> PendingPush {
        PendingPush::of_pack(refname, None, self.id, Assembled::in_memory(self.runs))
    }
}

fn object_id(kind: Kind, content: &[u8]) -> Result<Oid, WriteError> {
    pack::object_id(kind, content).ok_or(WriteError::BadText {
        what: "message",
        problem: "is an attack on SHA-1",
    })
}

/// Makes bytes that look random; another time they are others, so that no server has them already.
fn incompressible(bytes: u32, now: Timestamp) -> Vec<u8> {
    let mut state = now.as_microsecond().cast_unsigned() | 1;
    let mut content = Vec::with_capacity(bytes as usize + 8);
    while content.len() < bytes as usize {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(bytes as usize);
    content
}

/// What is left of a test after it.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Branches, and why they could not be removed.
    pub(super) branches: Vec<(RefName, String)>,
}

impl Leftovers {
    /// Removes a branch that was made.
    pub(super) fn remove(
        &mut self,
        remote: &dyn Remote,
        refname: &RefName,
        at: Oid,
    ) -> Result<(), PushError> {
        match remote.delete_branch(refname, at) {
            // It was not made, or somebody removed it.
            Ok(()) | Err(PushError::RefMoved { actual: None, .. }) => Ok(()),
            Err(error) => {
                self.branches.push((refname.clone(), error.to_string()));
                Err(error)
            }
        }
    }

    /// Removes a branch that a push which failed may have made nevertheless.
    pub(super) fn remove_after(&mut self, error: &PushError, remote: &dyn Remote, push: &PendingPush) {
        let (refname, id) = (push.refname(), push.new_tip());
        match error {
            PushError::OutcomeUnknown { .. } => drop(self.remove(remote, refname, id)),
            // It was not there afterwards, but whoever lost patience may be overtaken by the server.
            PushError::Transport(error) if error.disposition() == Disposition::Retry => {
                let _ = remote.delete_branch(refname, id);
            }
            _ => {}
        }
    }

    /// Removes what earlier tests left, where it is surely theirs; what looks like it is named.
    pub(super) fn sweep(&mut self, remote: &dyn Remote, branches: &[(RefName, Oid)]) -> usize {
        let mut swept = 0;
        for (refname, tip) in branches {
            let Some(rest) = refname.short().strip_prefix(PREFIX) else {
                continue;
            };
            let digits = rest.rsplit_once('-').map(|(_, digits)| digits);
            let is_ours =
                digits.is_some_and(|digits| digits.len() == DIGITS && tip.to_string().starts_with(digits));
            if !is_ours {
                let why = "it is not where a connection test made it";
                self.branches.push((refname.clone(), why.to_owned()));
            } else if self.remove(remote, refname, *tip).is_ok() {
                swept += 1;
            }
        }
        swept
    }
}
