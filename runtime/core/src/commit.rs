//! What a commit says: message, author, committer and trailers, as a chain of two types.
//!
//! A [`CommitDraft`] holds texts of the project that may hold secrets. It gives them away as
//! documents to be judged, and only with their verdicts becomes a [`GuardedMessage`], the one thing
//! from which a commit can be made. Trees, parents and Git are not known here.

mod identity;
mod inert;
mod seal;
#[cfg(test)]
mod tests;
mod wording;

pub use identity::{
    Author, Authors, InvalidIdentity, MIRROR_EMAIL, MIRROR_NAME, MirrorIdentity, Signature, UNKNOWN_NAME,
};

use crate::{
    cut::{ConfigKey, Cut, Wanted},
    deletions::Loss,
    digest::RenderDigest,
    document::{Document, DocumentKind},
    ids::{LaneId, ProjectId},
    inventory::Inventory,
    key::digest_of_texts,
    path::OwnedPaths,
    redaction::document_of_text,
    trailer::{LISTED_MAX, TrailerChange, Trailers},
};
use jiff::Timestamp;

/// A covered version of one configuration, with what the source tells about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveredChange {
    pub key: ConfigKey,
    /// The configuration's name; none where it is not known.
    pub name: Option<String>,
    /// 0 where it is not known.
    pub version: u64,
    pub identifier: Option<String>,
    /// It is gone.
    pub deleted: bool,
    /// When the version was made.
    pub created: Option<Timestamp>,
    /// Who made it; none where that could not be determined.
    pub author: Option<Author>,
    /// The version's change description.
    pub description: Option<String>,
    /// Who made the lower versions that are also covered.
    pub earlier_authors: Vec<Author>,
}

impl CoveredChange {
    /// Takes what the events tell; the source's word replaces it field by field.
    #[must_use]
    pub fn of_event(key: ConfigKey, wanted: &Wanted) -> Self {
        let author = |text: &String| Author {
            token: None,
            text: text.clone(),
        };
        Self {
            key,
            name: None,
            version: wanted.version,
            identifier: wanted.identifier.clone(),
            deleted: wanted.deleted,
            created: Some(wanted.occurred_at),
            author: wanted.author.as_ref().map(author),
            description: None,
            earlier_authors: wanted.earlier_authors.iter().map(author).collect(),
        }
    }
}

/// What made the commit necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitKind {
    /// Versions of configurations, with whatever else was in the window.
    Changes,
    /// A first sync.
    Snapshot,
    /// Everything was rendered anew.
    Render,
    /// Metadata of objects or of the branch, which have no versions and so no known author.
    Metadata,
    /// Runs, with the tables they wrote.
    Jobs,
    /// Tables that were seen to differ.
    Storage,
}

/// Everything that a commit's message is made of.
#[derive(Debug, Clone)]
pub struct CommitFacts<'a> {
    pub lane: &'a LaneId,
    pub project: &'a ProjectId,
    pub cut: &'a Cut,
    pub render: &'a RenderDigest,
    /// Where the mirror's files lie.
    pub owned: &'a OwnedPaths,
    /// Committer time of the commit's parent.
    pub parent_committed_at: Option<Timestamp>,
    /// Of a snapshot: all configurations, of which only number and digest are said.
    pub changes: Vec<CoveredChange>,
    /// What everything that was read came to; empty where only a part was.
    pub inventory: Inventory,
    pub overwrites: Overwrites,
}

/// What somebody else had put where only the mirror writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overwrites {
    /// Files of the mirror were changed, and are put right.
    pub changed: bool,
    /// Files that are not the mirror's are deleted: some of their paths, in whatever words.
    pub deleted: Vec<String>,
    /// So many are deleted in all.
    pub deleted_in_all: usize,
    /// There are more than were counted.
    pub uncounted: bool,
}

/// A commit's message before its texts were judged.
#[derive(Debug, Clone)]
pub struct CommitDraft {
    kind: CommitKind,
    project: ProjectId,
    branch: String,
    trailers: Trailers,
    /// All covered versions, for trailers without a list; none where they have none.
    covered: Vec<TrailerChange>,
    committed_at: Timestamp,
    /// Ascending by key; only those that are listed.
    listed: Vec<Listed>,
    counts: Counts,
    author: Maker,
    co_authors: Vec<Maker>,
    render_reason: Option<String>,
    inventory: Inventory,
    overwrites: Overwrites,
    texts: Vec<Text>,
    mirror: MirrorIdentity,
    /// Types of which nothing is left.
    vanished: Vec<Loss>,
}

/// Index into a draft's texts.
type TextId = usize;

#[derive(Debug, Clone)]
struct Listed {
    key: ConfigKey,
    version: u64,
    deleted: bool,
    name: Option<TextId>,
    description: Option<TextId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    created: usize,
    updated: usize,
    deleted: usize,
    components: usize,
    runs: usize,
    tables: usize,
    /// Named for themselves, not because of a table.
    buckets: usize,
    metadata: usize,
    branch: bool,
}

impl Counts {
    fn configs(&self) -> usize {
        self.created + self.updated + self.deleted
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Maker {
    Mirror,
    Unknown {
        at: Option<Timestamp>,
    },
    Person {
        text: TextId,
        token: Option<String>,
        at: Option<Timestamp>,
    },
}

#[derive(Debug, Clone)]
struct Text {
    component: String,
    config: String,
    value: String,
    /// Some verdict withheld it.
    withheld: bool,
}

/// Longer texts are cut before they are judged; far less than this is ever shown.
const TEXT_BYTES_MAX: usize = 64 * 1024;
const CO_AUTHORS_MAX: usize = 50;

impl CommitDraft {
    /// Drafts the message of a commit that brings the remote from its parent to the end of the cut.
    #[must_use]
    pub fn new(facts: CommitFacts<'_>) -> Self {
        let CommitFacts {
            lane,
            project,
            cut,
            render,
            owned,
            parent_committed_at,
            mut changes,
            inventory,
            overwrites,
        } = facts;
        changes.sort_by(|one, other| one.key.cmp(&other.key));
        let kind = kind_of(cut, &changes);
        let personal = kind == CommitKind::Changes;
        let counts = count(cut, &changes);
        let mut texts = Texts(Vec::new());
        let (author, co_authors) = if personal && cut.render.is_some() {
            // Nobody of them has made that all objects look different.
            let (author, others) = makers(&changes, &mut texts);
            let person = Some(author).filter(|author| matches!(author, Maker::Person { .. }));
            (Maker::Mirror, person.into_iter().chain(others).collect())
        } else if personal {
            makers(&changes, &mut texts)
        } else if kind == CommitKind::Metadata {
            (Maker::Unknown { at: None }, Vec::new())
        } else {
            (Maker::Mirror, Vec::new())
        };
        let all: Vec<TrailerChange> = changes.iter().map(trailer_change).collect();
        let covered = if personal { all.clone() } else { Vec::new() };
        let trailers = Trailers {
            log: cut.log.clone(),
            lane: lane.clone(),
            change: cut.change_through,
            jobs: cut.jobs_through,
            render: render.clone(),
            owned: Some(owned.clone()),
            backfill: cut.backfill,
            events: cut.events.clone(),
            changes: Vec::new(),
            all_changes: None,
        }
        .with_changes(all, personal);
        let listed = changes
            .iter()
            .take(if personal { LISTED_MAX } else { 0 })
            .map(|change| listed(change, &mut texts));
        Self {
            kind,
            project: project.clone(),
            branch: lane.branch.to_string(),
            trailers,
            covered,
            committed_at: parent_committed_at.map_or(cut.appended_at, |parent| parent.max(cut.appended_at)),
            listed: listed.collect(),
            counts,
            author,
            co_authors,
            render_reason: cut.render.clone(),
            inventory,
            overwrites,
            texts: texts.0,
            mirror: MirrorIdentity::default(),
            vanished: Vec::new(),
        }
    }

    /// Commits as this mirror, and names people as it says.
    #[must_use]
    pub fn committed_as(self, mirror: &MirrorIdentity) -> Self {
        Self {
            mirror: mirror.clone(),
            ..self
        }
    }

    /// Says of which types nothing is left.
    #[must_use]
    pub fn with_vanished(self, vanished: &[Loss]) -> Self {
        Self {
            vanished: vanished.to_vec(),
            ..self
        }
    }

    /// Drafts the message of a commit of runs alone, on a branch beside the lane's own.
    #[must_use]
    pub fn of_runs(
        lane: &LaneId,
        project: &ProjectId,
        cut: &Cut,
        render: &RenderDigest,
        owned: &OwnedPaths,
        parent_committed_at: Option<Timestamp>,
    ) -> Self {
        let mut draft = Self::new(CommitFacts {
            lane,
            project,
            cut: &cut.only_runs(),
            render,
            owned,
            parent_committed_at,
            changes: Vec::new(),
            inventory: Inventory::default(),
            overwrites: Overwrites::default(),
        });
        // Where everything was read anew, no event told of the runs.
        draft.kind = CommitKind::Jobs;
        draft.author = Maker::Mirror;
        draft
    }

    #[must_use]
    pub fn kind(&self) -> CommitKind {
        self.kind
    }

    /// Returns the texts of the project that the message would hold, each as one document.
    #[must_use]
    pub fn documents(&self) -> Vec<Document> {
        self.texts
            .iter()
            .map(|text| Document {
                component_id: text.component.clone(),
                config_id: text.config.clone(),
                ..document_of_text(DocumentKind::Message, &text.value)
            })
            .collect()
    }
}

/// A commit's message and identities as they may leave: judged, redacted and guarded.
///
/// Only [`CommitDraft::seal`] makes one:
///
/// ```compile_fail
/// let message = mirror_core::commit::GuardedMessage { message: String::new() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedMessage {
    author: Signature,
    committer: Signature,
    message: String,
    withheld: usize,
}

impl GuardedMessage {
    #[must_use]
    pub fn author(&self) -> &Signature {
        &self.author
    }

    #[must_use]
    pub fn committer(&self) -> &Signature {
        &self.committer
    }

    /// Subject, body and trailers, ended by a line feed.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns how many texts were withheld whole.
    #[must_use]
    pub fn withheld(&self) -> usize {
        self.withheld
    }
}

struct Texts(Vec<Text>);

impl Texts {
    fn add(&mut self, key: &ConfigKey, raw: &str) -> TextId {
        let end = raw.floor_char_boundary(TEXT_BYTES_MAX);
        self.0.push(Text {
            component: key.component.to_string(),
            config: key.config.to_string(),
            value: visible(&raw[..end]),
            withheld: false,
        });
        self.0.len() - 1
    }
}

/// Takes out what does not show, before the judging: so what is judged is what is shown.
fn visible(text: &str) -> String {
    text.chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

/// Characters that show nothing or turn what follows around.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn kind_of(cut: &Cut, changes: &[CoveredChange]) -> CommitKind {
    if cut.snapshot {
        CommitKind::Snapshot
    } else if !changes.is_empty() {
        CommitKind::Changes
    } else if cut.render.is_some() {
        CommitKind::Render
    } else if !cut.metadata.is_empty() || cut.branch_changed {
        CommitKind::Metadata
    } else if !cut.runs.is_empty() {
        CommitKind::Jobs
    } else {
        CommitKind::Storage
    }
}

fn count(cut: &Cut, changes: &[CoveredChange]) -> Counts {
    let mut counts = Counts {
        components: changes
            .iter()
            .map(|change| &change.key.component)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        runs: cut.runs.len(),
        tables: cut.tables.len(),
        buckets: cut.buckets.len(),
        metadata: cut.metadata.len(),
        branch: cut.branch_changed,
        ..Counts::default()
    };
    for change in changes {
        match change {
            CoveredChange { deleted: true, .. } => counts.deleted += 1,
            CoveredChange { version: 1, .. } => counts.created += 1,
            CoveredChange { .. } => counts.updated += 1,
        }
    }
    counts
}

/// Somebody who made some of the versions.
struct Person<'c> {
    token: Option<&'c str>,
    said: &'c str,
    text: TextId,
}

impl Person<'_> {
    /// Tokens tell people apart. An event does not say the token, so there the text has to do.
    fn is(&self, author: &Author) -> bool {
        match (self.token, &author.token) {
            (Some(one), Some(other)) => one == other,
            _ => self.said.trim().eq_ignore_ascii_case(author.text.trim()),
        }
    }
}

/// The last maker is the author; all others are co-authors. Each is named once.
fn makers(changes: &[CoveredChange], texts: &mut Texts) -> (Maker, Vec<Maker>) {
    let mut by_time: Vec<&CoveredChange> = changes.iter().collect();
    // Keboola tells times in seconds; identifiers are ULIDs, which also order what happened within one.
    by_time.sort_by(|one, other| {
        (one.created, &one.identifier, &one.key).cmp(&(other.created, &other.identifier, &other.key))
    });
    let newest = by_time.last().copied();
    let mut people: Vec<Person<'_>> = Vec::new();
    for change in by_time.iter().rev() {
        for author in change.author.iter().chain(&change.earlier_authors) {
            let token = author.token.as_deref();
            if let Some(known) = people.iter_mut().find(|person| person.is(author)) {
                known.token = known.token.or(token);
            } else if people.len() <= CO_AUTHORS_MAX {
                people.push(Person {
                    token,
                    said: &author.text,
                    text: texts.add(&change.key, &author.text),
                });
            }
        }
    }
    let made_at = newest.and_then(|change| change.created);
    let mut author = Maker::Unknown { at: made_at };
    let mut others = Vec::new();
    for (rank, Person { token, text, .. }) in people.into_iter().enumerate() {
        let is_author = rank == 0 && newest.is_some_and(|change| change.author.is_some());
        let maker = Maker::Person {
            text,
            token: token.map(str::to_owned),
            at: made_at.filter(|_| is_author),
        };
        if is_author {
            author = maker;
        } else {
            others.push(maker);
        }
    }
    (author, others)
}

fn listed(change: &CoveredChange, texts: &mut Texts) -> Listed {
    let mut text = |raw: &Option<String>| {
        raw.as_deref()
            .filter(|text| !text.trim().is_empty())
            .map(|text| texts.add(&change.key, text))
    };
    Listed {
        name: text(&change.name),
        description: text(&change.description),
        key: change.key.clone(),
        version: change.version,
        deleted: change.deleted,
    }
}

fn trailer_change(change: &CoveredChange) -> TrailerChange {
    TrailerChange {
        component: change.key.component.clone(),
        config: change.key.config.clone(),
        version: change.version,
        identifier: change.identifier.as_deref().map(shown_identifier),
        deleted: change.deleted,
    }
}

/// A version identifier is a ULID. Anything else is a text of whoever published the event, which no policy judges here:
/// its digest tells it from others just as well.
fn shown_identifier(raw: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() && !b"ilou".contains(&byte.to_ascii_lowercase());
    match raw.len() == 26 && raw.bytes().all(is_digit) {
        true => raw.to_owned(),
        false => {
            let digest = digest_of_texts([raw]);
            format!("sha256:{}", &digest[..32])
        }
    }
}
