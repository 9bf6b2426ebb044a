//! A commit that the remote does not take because of what is in it.
//!
//! Where the remote says in which files, their objects are kept back and the rest is sent (`mirror_core::quarantine`
//! decides). Where it does not, the lane stops with the reason: the same commit is not sent again for a while, but as
//! soon as there is something newer, what is newest is sent instead.

use super::{
    super::{error::AttemptError, memory::Memory},
    Lane, Published,
    owing::RefusedMonth,
};
use jiff::Timestamp;
use mirror_core::{
    batch::Subject,
    cut::{Position, Stream, groups::COMMITS_MAX},
    finding::WithholdReason,
    ids::{ConfigId, ObjectKey, Oid, RunId},
    jobs::months::Month,
    layout::{Entry, IndexKind},
    path::MirrorPath,
    quarantine::{self, Gift, Meant, Named, Objection, PushedFile, Quarantine, Shared},
    window::later,
};
use mirror_git::{CommitInfo, FileDifference, PendingPush, PushError, Refusal, TransportError, blob_id};
use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

/// A push that failed.
#[derive(Debug)]
pub(in crate::pipeline) struct Unsent {
    /// As long as it is held the local store has its objects.
    pub(super) push: PendingPush,
    pub(super) error: PushError,
}

/// What a lane remembers of refusals. Of this process only: whoever starts another one wants it tried.
#[derive(Debug, Default)]
pub struct Refusals {
    /// What the remote refused last, where nothing has been taken since.
    commit: Option<RefusedCommit>,
    /// So many windows of an outage go in one push, where more were refused.
    windows_at_once: Option<usize>,
    /// Months whose branches do not have all of their runs.
    pub(super) months: BTreeMap<Month, RefusedMonth>,
    /// No runs of months are kept, and none will be.
    pub(super) owes_nothing: bool,
}

#[derive(Debug)]
struct RefusedCommit {
    commit: Oid,
    /// It is not sent again before.
    until: Option<Timestamp>,
    reason: String,
}

/// So long the same commit is not sent again: whoever allows at the remote what it holds has hours for it, and a push
/// every few minutes that is refused every time helps nobody.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

impl Lane {
    /// Returns how many windows of an outage go in the next push.
    pub(super) fn windows_at_once(&self) -> usize {
        self.refusals().windows_at_once.unwrap_or(COMMITS_MAX)
    }

    /// Has the next push be larger after one that was taken; once nothing is left, as large as any.
    pub(super) async fn took_windows(&self, windows: usize, through: Position) {
        let newest = self.log.newest(&self.topic, Stream::Change).await;
        let leaves_some = newest.is_ok_and(|newest| newest > through);
        self.refusals().windows_at_once = leaves_some
            .then_some(2 * windows)
            .filter(|next| *next < COMMITS_MAX);
    }

    /// Returns whether the remote refused what the stored cut comes to, so that a wider one may do better.
    pub(super) fn is_refused(&self) -> bool {
        self.refusals().commit.is_some()
    }

    pub(super) fn forget_refused(&self) {
        self.refusals().commit = None;
    }

    /// Refuses to send a commit again that the remote has just refused.
    pub(super) fn refuse_again(&self, commit: Oid) -> Result<(), AttemptError> {
        let refusals = self.refusals();
        let Some((refused, until)) = refusals
            .commit
            .as_ref()
            .filter(|refused| refused.commit == commit)
            .and_then(|refused| Some((refused, refused.until?)))
        else {
            return Ok(());
        };
        let now = (self.now)();
        // What lies further ahead was said before the clock was put back.
        if now >= until || until > later(now, AGAIN_AFTER) {
            return Ok(());
        }
        Err(AttemptError::NotSentAgain {
            commit,
            until,
            reason: refused.reason.clone(),
        })
    }

    pub(super) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        // Each part of it is put and taken as a whole.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out what to do about a push that failed: keep something back and go on, or stop.
    pub(super) async fn not_taken(
        &self,
        Unsent { push, error }: Unsent,
        memory: Memory,
    ) -> Result<Published, AttemptError> {
        let about = match &error {
            PushError::Refused { refusal, .. } => about(refusal),
            _ => About::SomethingElse,
        };
        let commit = push.new_tip();
        let named = match about {
            About::SomethingElse => return Err(error.into()),
            About::Content => {
                let reason = error.to_string();
                self.refusals().commit = Some(RefusedCommit {
                    commit,
                    until: None,
                    reason,
                });
                return Err(error.into());
            }
            About::Places(named) => named,
        };
        let (_, new) = self.keep_back(push, named, memory, Vec::new()).await?;
        let now = (self.now)();
        if new.is_empty() {
            let error = AttemptError::Unnamed {
                commit,
                source: Box::new(error),
            };
            self.refusals().commit = Some(RefusedCommit {
                commit,
                until: Some(later(now, AGAIN_AFTER)),
                reason: crate::app::chain(&error),
            });
            return Err(error);
        }
        Ok(Published::Refused {
            new,
            error: error.into(),
        })
    }

    /// Finds out what of a commit is to be kept back for the remote to take it, and stores that; nothing where it names
    /// nothing of it. `runs` are those that the commit tells of and the memory may not.
    pub(super) async fn keep_back(
        &self,
        push: PendingPush,
        named: Vec<Named>,
        memory: Memory,
        runs: Vec<Entry>,
    ) -> Result<(Memory, BTreeMap<Subject, WithholdReason>), AttemptError> {
        let commit = push.new_tip();
        let mut quarantine = self.state.quarantine(&self.id).await?;
        let pushed = self.blocking(move |lane| {
            let pushed = lane.named_files(&named, commit, &memory, &runs)?;
            drop(push);
            Ok((named, pushed, memory))
        });
        let (named, pushed, memory) = pushed.await?;
        let new = quarantine.add(quarantine::decide(&named, &pushed), (self.now)());
        if !new.is_empty() {
            self.state.put_quarantine(&self.id, &quarantine).await?;
        }
        for (subject, reason) in &new {
            tracing::warn!(lane = %self.id, %commit, %subject, %reason, "the remote refused a commit; this is kept back, and the rest sent");
        }
        Ok((memory, new))
    }

    /// Lets go of what is not kept back any more because it has changed.
    pub(super) async fn let_go(&self, memory: &Memory) -> Result<(), AttemptError> {
        let mut quarantine: Quarantine = self.state.quarantine(&self.id).await?;
        let is_withheld = |key: &ObjectKey| memory.known(key).is_some_and(|known| known.withheld.is_some());
        if !quarantine.is_empty() && quarantine.settle(is_withheld) {
            self.state.put_quarantine(&self.id, &quarantine).await?;
        }
        Ok(())
    }

    /// Forgets what is kept back, and has everything rendered anew.
    ///
    /// # Errors
    /// A remote, log or state that fails.
    pub(crate) async fn release_refused(&self) -> Result<bool, AttemptError> {
        if self.state.quarantine(&self.id).await?.is_empty() {
            return Ok(false);
        }
        let tip = self.blocking(|lane| Ok(lane.remote.tip(&lane.refname)?)).await?;
        self.state
            .put_quarantine(&self.id, &Quarantine::default())
            .await?;
        self.append_render_changed(tip, "what the remote had refused is tried again")
            .await?;
        Ok(true)
    }

    /// Returns the files that a commit adds or changes and places are in.
    fn named_files(
        &self,
        named: &[Named],
        commit: Oid,
        memory: &Memory,
        runs: &[Entry],
    ) -> Result<Vec<PushedFile>, AttemptError> {
        let CommitInfo { tree, parents, .. } = self.git.commit(commit)?;
        let parent = match parents.first() {
            None => None,
            Some(parent) => Some(self.git.commit(*parent)?.tree),
        };
        let owners = owners(memory);
        let mut found = Vec::new();
        for file in self.git.differences(parent, tree, None)? {
            let FileDifference {
                path,
                after: Some(blob),
                ..
            } = file?
            else {
                continue;
            };
            let path = std::str::from_utf8(&path).ok().map(MirrorPath::parse);
            let Some(Ok(path)) = path else { continue };
            let Some(subject) = owners.get(&path) else {
                continue;
            };
            let is_meant = || named.iter().any(|named| named.means(&path, blob) != Meant::Not);
            if !is_meant() {
                continue;
            }
            let shared = match subject {
                Subject::Object(_) => None,
                Subject::Index { kind, shard } => {
                    let text = self.git.blob(blob)?.unwrap_or_default();
                    Some(Shared {
                        text: String::from_utf8_lossy(&text).into_owned(),
                        gifts: gifts(memory, runs, *kind, shard),
                    })
                }
            };
            found.push(PushedFile {
                blob,
                subject: subject.clone(),
                shared,
                path,
            });
        }
        Ok(found)
    }
}

/// What a refusal is about.
pub(super) enum About {
    /// What is in files, at these places as far as it says.
    Places(Vec<Named>),
    /// What is in the commit: a newer version may do better.
    Content,
    /// The same with any commit.
    SomethingElse,
}

/// Returns whether an attempt ended since the remote does not like what is in its one commit, which what was changed
/// after it may have mended.
pub(super) fn is_unwelcome(error: &AttemptError) -> bool {
    match error {
        AttemptError::Unnamed { .. } => true,
        AttemptError::Push(PushError::Refused { refusal, .. }) => {
            !matches!(about(refusal), About::SomethingElse)
        }
        _ => false,
    }
}

/// Returns whether other commits, or fewer, may fare better.
pub(super) fn is_about_content(error: &PushError) -> bool {
    match error {
        PushError::Refused { refusal, .. } => {
            matches!(refusal, Refusal::PushTooLarge) || !matches!(about(refusal), About::SomethingElse)
        }
        // What stands before the server takes no request of this size.
        PushError::Transport(TransportError::RequestTooLarge { .. }) => true,
        _ => false,
    }
}

pub(super) fn about(refusal: &Refusal) -> About {
    match refusal {
        Refusal::Secrets(findings) => {
            let named = findings.iter().map(|finding| Named {
                objection: Objection::Secret,
                kind: finding.kind.clone(),
                path: finding.path.clone(),
                line: finding.line,
                blob: finding.blob.clone(),
            });
            About::Places(named.collect())
        }
        Refusal::FileTooLarge { paths } => {
            let named = paths.iter().map(|path| Named {
                objection: Objection::FileTooLarge,
                kind: None,
                path: Some(path.clone()),
                line: None,
                blob: None,
            });
            About::Places(named.collect())
        }
        Refusal::AuthorEmail | Refusal::CommitRule | Refusal::FileName | Refusal::Hook | Refusal::Unknown => {
            About::Content
        }
        Refusal::ProtectedBranch
        | Refusal::NotPermitted
        | Refusal::ReadOnly
        | Refusal::BranchName
        | Refusal::PushTooLarge
        | Refusal::Quota
        | Refusal::ServerStorage
        | Refusal::MissingObjects
        | Refusal::InvalidObjects
        | Refusal::DeletionRefused => About::SomethingElse,
    }
}

/// Says whose each file is.
fn owners(memory: &Memory) -> BTreeMap<MirrorPath, Subject> {
    let mut owners = BTreeMap::new();
    for (key, known) in memory.objects() {
        let files = known.files.into_iter();
        owners.extend(files.map(|file| (file, Subject::Object(key.clone()))));
    }
    for (kind, shard) in memory.all_shards() {
        let subject = Subject::Index {
            kind,
            shard: shard.clone(),
        };
        let files = memory.shard_files(&(kind, shard)).into_iter();
        owners.extend(files.map(|file| (file, subject.clone())));
    }
    owners
}

/// Returns what objects gave to a shard.
fn gifts(memory: &Memory, runs: &[Entry], kind: IndexKind, shard: &str) -> Vec<Gift> {
    let mut gifts = Vec::new();
    if kind == IndexKind::JobDay {
        let mut entries = memory.entries(&(kind, shard.to_owned()));
        if entries.is_empty() {
            // The day is closed.
            let of_day = runs.iter().filter(|run| run.shard == shard);
            entries.extend(of_day.cloned());
        }
        for entry in entries {
            let (Ok(run), Some(piece)) = (RunId::parse(&entry.key), blob_id(entry.value.as_bytes())) else {
                continue;
            };
            gifts.push(Gift {
                names: vec![quoted(run.as_str())],
                object: ObjectKey::Job(run),
                piece,
            });
        }
        return gifts;
    }
    for (key, known) in memory.objects() {
        let entries = known.entries.iter();
        for name in entries.filter(|name| name.kind == kind && name.shard == shard) {
            let value = memory.entry(name).map(|entry| entry.value).unwrap_or_default();
            if let Some(piece) = blob_id(value.as_bytes()) {
                gifts.push(Gift {
                    object: key.clone(),
                    names: names(&key),
                    piece,
                });
            }
        }
    }
    gifts
}

/// Returns the ids by which a line of JSON names an object.
fn names(key: &ObjectKey) -> Vec<String> {
    let config = |config: &ConfigId| quoted(config.as_str());
    match key {
        ObjectKey::Branch => Vec::new(),
        ObjectKey::Config { config: id, .. } => vec![config(id)],
        ObjectKey::Row { config: id, row, .. } => vec![config(id), quoted(row.as_str())],
        ObjectKey::Bucket(id) => vec![quoted(id.as_str())],
        ObjectKey::Table(id) | ObjectKey::Sample(id) => vec![quoted(id.as_str())],
        ObjectKey::Job(id) => vec![quoted(id.as_str())],
    }
}

fn quoted(id: &str) -> String {
    serde_json::Value::from(id).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_commits_may_fare_better_where_a_limit_on_sizes_is_met_wherever_it_is() {
        let (remote, said) = ("https://example.com/r.git".to_owned(), String::new());
        let before_the_server = TransportError::RequestTooLarge {
            remote: remote.clone(),
            said: said.clone(),
        };
        assert!(is_about_content(&PushError::Transport(before_the_server)));
        let passing = TransportError::RateLimited {
            remote,
            retry_after: None,
            said,
        };
        assert!(!is_about_content(&PushError::Transport(passing)));
    }
}
