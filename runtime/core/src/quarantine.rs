//! What a remote has refused to take, and so is kept back: which objects, and until when.
//!
//! A server that looks into what is pushed names places in files. From these it is decided whose content it
//! is, and that is withheld for as long as it is the same. Nothing here knows how a server words it, nor how
//! anything is pushed.

use crate::{
    batch::{MirrorObject, Subject},
    finding::WithholdReason,
    ids::{ObjectKey, Oid},
    path::MirrorPath,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// What a server does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objection {
    /// It takes a text for a secret.
    Secret,
    FileTooLarge,
}

impl Objection {
    fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::FileTooLarge => "file-too-large",
        }
    }
}

/// A place that a server objects to, as far as it told. All texts are a stranger's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub objection: Objection,
    /// What it takes the secret for.
    pub kind: Option<String>,
    pub path: Option<String>,
    /// From 1.
    pub line: Option<u64>,
    /// Hexadecimal, maybe only the beginning.
    pub blob: Option<String>,
}

impl Named {
    /// Returns whether it means a file: by its path, or else, where the path is of no file that was pushed, by its content.
    #[must_use]
    pub fn means(&self, path: &MirrorPath, blob: Oid) -> Meant {
        if self.path.as_deref() == Some(path.as_str()) {
            return Meant::ByPath;
        }
        let is_blob = |told: &String| {
            let told = told.to_ascii_lowercase();
            told.len() >= BLOB_DIGITS_MIN && blob.to_string().starts_with(&told)
        };
        if self.blob.as_ref().is_some_and(is_blob) {
            return Meant::ByContent;
        }
        Meant::Not
    }

    fn place(&self, path: &MirrorPath) -> String {
        let line = self.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let kind: String = self
            .kind
            .iter()
            .flat_map(|kind| kind.chars())
            .filter(is_plain)
            .collect();
        let kind: String = kind.trim().chars().take(KIND_CHARS_MAX).collect();
        let kind = if kind.is_empty() {
            kind
        } else {
            format!(" ({kind})")
        };
        format!("{path}{line}{kind}")
    }

    fn reason(&self, path: &MirrorPath) -> WithholdReason {
        WithholdReason::RefusedByRemote {
            what: self.objection.word().to_owned(),
            place: self.place(path),
        }
    }
}

/// What goes from a stranger's word for a secret into our own texts.
fn is_plain(c: &char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.')
}

const KIND_CHARS_MAX: usize = 60;
/// Fewer digits of an id may be those of many.
const BLOB_DIGITS_MIN: usize = 7;

/// Whether a place is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meant {
    Not,
    ByContent,
    ByPath,
}

/// A file that a push would have added or changed.
#[derive(Debug, Clone)]
pub struct PushedFile {
    pub path: MirrorPath,
    pub blob: Oid,
    pub subject: Subject,
    /// Of a file made of many objects: its text, and what the objects in work gave to it.
    pub shared: Option<Shared>,
}

/// The inside of a file that is made of many objects.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    pub text: String,
    pub gifts: Vec<Gift>,
}

/// An object's part in a shared file.
#[derive(Debug, Clone)]
pub struct Gift {
    pub object: ObjectKey,
    /// Names of the object that would stand in a line about it, such as its id.
    pub names: Vec<String>,
    /// Id, as of a blob, of what it gave.
    pub piece: Oid,
}

/// What is to be kept back, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub subject: Subject,
    pub piece: Oid,
    pub reason: WithholdReason,
}

/// Decides what is to be kept back for a push to be taken. Nothing where no place is in a file of the push.
///
/// What stands in an object's own file is that object's. In a shared file it is the part of the objects that are kept
/// back already, else of the ones that the line names, else of the only one there is; where that cannot be told, the
/// file as a whole is kept back.
#[must_use]
pub fn decide(named: &[Named], pushed: &[PushedFile]) -> Vec<Hold> {
    let found: Vec<(&Named, &PushedFile)> = named.iter().flat_map(|named| meant(named, pushed)).collect();
    let mut holds: Vec<Hold> = Vec::new();
    for (named, file) in found.iter().filter(|(_, file)| file.shared.is_none()) {
        holds.push(Hold {
            subject: file.subject.clone(),
            piece: file.blob,
            reason: named.reason(&file.path),
        });
    }
    let held: BTreeSet<ObjectKey> = holds
        .iter()
        .filter_map(|hold| match &hold.subject {
            Subject::Object(key) => Some(key.clone()),
            Subject::Index { .. } => None,
        })
        .collect();
    for (named, file) in found {
        let Some(shared) = &file.shared else { continue };
        let gifts = givers(named, shared, &held);
        for gift in &gifts {
            holds.push(Hold {
                subject: Subject::Object(gift.object.clone()),
                piece: gift.piece,
                reason: named.reason(&file.path),
            });
        }
        if gifts.is_empty() {
            holds.push(Hold {
                subject: file.subject.clone(),
                piece: file.blob,
                reason: named.reason(&file.path),
            });
        }
    }
    holds
}

/// Returns the files that a place is in: those of its path, else those of its content.
fn meant<'p>(named: &'p Named, pushed: &'p [PushedFile]) -> Vec<(&'p Named, &'p PushedFile)> {
    let by = |how: Meant| {
        let files = pushed
            .iter()
            .filter(move |file| named.means(&file.path, file.blob) == how);
        files.map(|file| (named, file)).collect::<Vec<_>>()
    };
    let by_path = by(Meant::ByPath);
    if by_path.is_empty() {
        by(Meant::ByContent)
    } else {
        by_path
    }
}

/// Returns the parts of a shared file that a place is about; none where that cannot be told.
fn givers<'s>(named: &Named, shared: &'s Shared, held: &BTreeSet<ObjectKey>) -> Vec<&'s Gift> {
    let gifts = || shared.gifts.iter();
    let already: Vec<&Gift> = gifts().filter(|gift| held.contains(&gift.object)).collect();
    if !already.is_empty() {
        return already;
    }
    let number = named
        .line
        .and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
    let line = number
        .and_then(|number| shared.text.lines().nth(number))
        .unwrap_or_default();
    let in_line =
        |gift: &&Gift| !gift.names.is_empty() && gift.names.iter().all(|name| line.contains(name.as_str()));
    let in_line: Vec<&Gift> = gifts().filter(in_line).collect();
    if !in_line.is_empty() {
        return in_line;
    }
    let objects: BTreeSet<&ObjectKey> = gifts().map(|gift| &gift.object).collect();
    if objects.len() == 1 {
        gifts().collect()
    } else {
        Vec::new()
    }
}

/// What a lane keeps back because its remote refused it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quarantine {
    held: Vec<Held>,
}

/// What of one subject may not be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    subject: Subject,
    /// Ids, as of blobs, of contents of files and of parts of shared files.
    pieces: BTreeSet<Oid>,
    reason: WithholdReason,
    since: Timestamp,
}

/// Of one subject, so many contents are remembered; after that it begins anew.
const PIECES_MAX: usize = 64;

impl Quarantine {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns what is kept back, since when and why.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, Timestamp, &WithholdReason)> {
        self.held
            .iter()
            .map(|held| (&held.subject, held.since, &held.reason))
    }

    /// Adds what a push was refused for. Returns the subjects that were not held for this content before: without
    /// any, to push once more would be refused once more.
    pub fn add(&mut self, holds: Vec<Hold>, now: Timestamp) -> BTreeMap<Subject, WithholdReason> {
        let mut new = BTreeMap::new();
        for Hold {
            subject,
            piece,
            reason,
        } in holds
        {
            let at = match self.held.iter().position(|held| held.subject == subject) {
                Some(at) => at,
                None => {
                    self.held.push(Held {
                        subject: subject.clone(),
                        pieces: BTreeSet::new(),
                        reason: reason.clone(),
                        since: now,
                    });
                    self.held.len() - 1
                }
            };
            let held = &mut self.held[at];
            if held.pieces.len() >= PIECES_MAX {
                held.pieces.clear();
            }
            if held.pieces.insert(piece) {
                new.entry(subject).or_insert_with(|| reason.clone());
                held.reason = reason;
            }
        }
        new
    }

    /// Says why a subject may not be sent as it is now; none where it may. `id` is that of a blob.
    pub fn objects_to(
        &self,
        object: &MirrorObject,
        id: impl Fn(&str) -> Option<Oid>,
    ) -> Option<WithholdReason> {
        let held = self.held.iter().find(|held| held.subject == *object.subject())?;
        let is_held = |text: &str| id(text).is_some_and(|piece| held.pieces.contains(&piece));
        let objects = match &held.subject {
            // A run never changes; what is told of it is folded with what was told before.
            Subject::Object(ObjectKey::Job(_)) => true,
            Subject::Object(_) | Subject::Index { .. } => {
                object.files().iter().any(|file| is_held(file.content()))
                    || object.entries().iter().any(|entry| is_held(&entry.value))
            }
        };
        objects.then(|| held.reason.clone())
    }

    /// Lets go of what has another content by now, as `is_withheld` tells of objects that the tip has or had.
    /// Returns whether anything went.
    pub fn settle(&mut self, is_withheld: impl Fn(&ObjectKey) -> bool) -> bool {
        let before = self.held.len();
        self.held.retain(|held| match &held.subject {
            // A run is told of once, and again only where everything is listed.
            Subject::Index { .. } | Subject::Object(ObjectKey::Job(_)) => true,
            Subject::Object(key) => is_withheld(key),
        });
        self.held.len() < before
    }
}
