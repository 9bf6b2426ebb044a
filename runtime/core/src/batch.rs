//! The order of stages as a chain of types: rendered, redacted, filtered, guarded.
//!
//! Each step consumes the one before. Nothing but [`MirrorBatch`] can be written to a repository, and
//! there is no way to one but through all steps:
//!
//! ```
//! use mirror_core::{batch::*, finding::Verdict, guard::{Guard, KnownSecrets}, marker::TagKey};
//! use mirror_core::{path::OwnedPaths, redaction::{Redaction, SecretsMode}};
//! # let stack = mirror_core::ids::Stack::parse("connection.keboola.com")?;
//! # let project = mirror_core::ids::ProjectId::parse("1")?;
//! # let branch = mirror_core::ids::BranchId::parse("2")?;
//! # let context = mirror_core::document::Context { stack, project, branch };
//! let redaction = Redaction::new(SecretsMode::Masked, TagKey::none());
//! let (rendered, _) = RenderedBatch::new(context, &OwnedPaths::new(None), vec![]);
//! let verdicts = rendered.documents().iter().map(|_| Verdict::Findings(vec![])).collect();
//! let (redacted, _) = rendered.redact(verdicts, &redaction);
//! let guard = Guard::new(redacted.known_secrets());
//! let (filtered, _) = redacted.choose(vec![]);
//! let (mirror, _): (MirrorBatch, _) = filtered.guard(&guard);
//! assert!(mirror.is_empty());
//! # Ok::<(), mirror_core::ids::InvalidId>(())
//! ```
//!
//! A batch that was not guarded is no [`MirrorBatch`]:
//!
//! ```compile_fail,E0308
//! # use mirror_core::batch::*;
//! fn write(_: MirrorBatch) {}
//! fn skip_the_guard(filtered: FilteredBatch) { write(filtered) }
//! ```
//!
//! One that was not redacted cannot be filtered, nor guarded:
//!
//! ```compile_fail,E0599
//! # use mirror_core::batch::*;
//! fn skip_the_policies(rendered: RenderedBatch) { rendered.choose(vec![]); }
//! ```
//!
//! ```compile_fail,E0599
//! # use mirror_core::{batch::*, guard::Guard};
//! fn skip_the_filter(redacted: RedactedBatch, guard: &Guard) { redacted.guard(guard); }
//! ```
//!
//! And none can be made from its parts:
//!
//! ```compile_fail,E0451
//! # use mirror_core::batch::*;
//! fn forge() -> MirrorBatch { MirrorBatch { objects: vec![] } }
//! ```
//!
//! An object passes as a whole or is withheld as a whole: one bad file takes all of its subject's files
//! and entries with it, and nothing else.

mod bound;
mod entries;
mod guarding;
mod rehearsal;
mod rendered;
mod sample;

pub use rehearsal::Rehearsed;

use crate::{
    document::{Context, Document, DocumentKind},
    finding::{Verdict, WithholdReason},
    guard::{Guard, KnownSecrets},
    ids::ObjectKey,
    layout::{Entry, IndexKind},
    path::MirrorPath,
    redaction::{self, Form, Place, Redaction, RedactionStats},
    sample::{Choice, Sample, SampleLimits},
    walk::{self, Format},
};
use guarding::Taken;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt};

/// What files and entries belong to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One object of the source.
    Object(ObjectKey),
    /// One shard of an index, made of the entries of many objects.
    Index { kind: IndexKind, shard: String },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(key) => key.fmt(f),
            Self::Index { kind, shard } => {
                f.write_str(match kind {
                    IndexKind::Manifest => "manifest",
                    IndexKind::JobDay => "job day",
                    IndexKind::JobHealth => "job health",
                    IndexKind::Withheld => "list of withheld objects",
                    IndexKind::Guide => "guide",
                    IndexKind::Catalog => "catalog",
                    IndexKind::Lineage => "lineage",
                })?;
                if shard.is_empty() {
                    Ok(())
                } else {
                    write!(f, " {shard}")
                }
            }
        }
    }
}

/// A subject whose files and entries are not passed on, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    pub subject: Subject,
    pub reason: WithholdReason,
}

/// How many and how large files one subject may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathLimits {
    pub files_per_subject_max: usize,
    /// Bytes of one file, before and after redaction.
    pub file_bytes_max: usize,
    /// Bytes of all files of a subject.
    pub subject_bytes_max: usize,
    pub entries_per_subject_max: usize,
    /// Bytes of key, shard and value of one entry.
    pub entry_bytes_max: usize,
}

impl Default for PathLimits {
    /// Generous for any real object, and below what Git hosts take: they refuse files of 100 MB.
    fn default() -> Self {
        Self {
            files_per_subject_max: 10_000,
            file_bytes_max: 64 << 20,
            subject_bytes_max: 256 << 20,
            entries_per_subject_max: 100_000,
            entry_bytes_max: 4 << 20,
        }
    }
}

/// A file at a safe path of ours, at whatever stage.
#[derive(Debug, Clone)]
struct BatchFile {
    path: MirrorPath,
    kind: DocumentKind,
    content: String,
}

/// A subject at whatever stage.
#[derive(Debug, Clone)]
struct Item {
    subject: Subject,
    files: Vec<BatchFile>,
    entries: Vec<Entry>,
    stats: RedactionStats,
    /// What policies after the built-in one took out of it.
    cuts: Vec<guarding::Taken>,
}

/// What a renderer returned, with its paths checked. It may hold secrets.
#[derive(Debug)]
pub struct RenderedBatch(Judged);

/// Every document was judged, and the findings are applied.
#[derive(Debug)]
pub struct RedactedBatch {
    judged: Judged,
    known: KnownSecrets,
}

/// Redacted, and of samples only what the filter chose.
#[derive(Debug)]
pub struct FilteredBatch {
    items: Vec<Item>,
}

/// Redacted, filtered and guarded: ready to be written.
#[derive(Debug, Default)]
pub struct MirrorBatch {
    objects: Vec<MirrorObject>,
}

/// The files and entries of one subject, ready to be written.
#[derive(Debug)]
pub struct MirrorObject {
    subject: Subject,
    files: Vec<MirrorFile>,
    entries: Vec<Entry>,
    stats: RedactionStats,
}

/// A file that may be written.
#[derive(Debug, PartialEq, Eq)]
pub struct MirrorFile {
    path: MirrorPath,
    content: String,
}

impl RenderedBatch {
    /// Returns what policies are to judge: one document for each file and each entry, in an order
    /// that `redact` expects its verdicts in.
    #[must_use]
    pub fn documents(&self) -> Vec<Document> {
        self.0.documents()
    }

    #[must_use]
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// Applies the verdicts, one for each document in order. What has no verdict is withheld.
    ///
    /// Were there more verdicts than documents, none could be trusted to be about its document, so
    /// all is withheld.
    #[must_use]
    pub fn redact(self, verdicts: Vec<Verdict>, redaction: &Redaction) -> (RedactedBatch, Vec<Withheld>) {
        let mut known = KnownSecrets::new();
        let (judged, withheld) = self.0.apply(verdicts, redaction, &mut known, Round::First);
        (RedactedBatch { judged, known }, withheld)
    }

    /// Returns the files as the renderer made them, **with all their secrets**.
    ///
    /// This is for the offline `render --no-redact`, whose output stays on its user's machine. What
    /// it returns can be printed but not mirrored.
    pub fn unredacted_files(&self) -> impl Iterator<Item = (&MirrorPath, &str)> {
        self.0
            .items
            .iter()
            .flat_map(|item| &item.files)
            .map(|file| (&file.path, file.content.as_str()))
    }
}

impl RedactedBatch {
    /// Returns the redacted text as documents, for a further policy.
    #[must_use]
    pub fn documents(&self) -> Vec<Document> {
        self.judged.documents()
    }

    #[must_use]
    pub fn context(&self) -> &Context {
        &self.judged.context
    }

    /// Applies the verdicts of a further policy on the already redacted text; see
    /// [`RenderedBatch::redact`].
    #[must_use]
    pub fn redact_again(self, verdicts: Vec<Verdict>, redaction: &Redaction) -> (Self, Vec<Withheld>) {
        let Self { judged, mut known } = self;
        let (judged, withheld) = judged.apply(verdicts, redaction, &mut known, Round::Further);
        (Self { judged, known }, withheld)
    }

    /// Returns the unencrypted values that stood under `#` keys, for the guard of this attempt.
    ///
    /// Those of withheld objects are among them.
    #[must_use]
    pub fn known_secrets(&self) -> &KnownSecrets {
        &self.known
    }

    /// Returns the samples, for the filter. One whose files are no sample is not among them, and
    /// `choose` withholds it.
    #[must_use]
    pub fn samples(&self) -> Vec<(Subject, Sample)> {
        let sample = |item: &Item| Some((item.subject.clone(), sample::read(item)?.ok()?));
        self.judged.items.iter().filter_map(sample).collect()
    }

    /// Takes from each sample what its choice leaves out; one without a choice is withheld.
    ///
    /// A sample of which no columns or no rows stay has no files any more. Choices for what is no
    /// sample of this batch are ignored.
    #[must_use]
    pub fn choose(
        self,
        choices: Vec<(Subject, Result<Choice, WithholdReason>)>,
    ) -> (FilteredBatch, Vec<Withheld>) {
        let mut choices: HashMap<_, _> = choices.into_iter().collect();
        let limits = self.judged.limits;
        let (items, withheld) = sift(self.judged.items, |item| {
            if !sample::is_sample(&item.subject) {
                return Ok(());
            }
            let missing = || malformed("sample filter", "no choice was made for this sample");
            let choice = choices.remove(&item.subject).unwrap_or_else(|| Err(missing()))?;
            sample::apply(item, &choice)?;
            within_size(item, &limits)
        });
        (FilteredBatch { items }, withheld)
    }
}

impl FilteredBatch {
    /// Cuts what of samples goes beyond the limits. Done after redaction, so that no secret is cut in a
    /// way that nobody would know it by, and before the guard.
    #[must_use]
    pub fn within(self, limits: &SampleLimits) -> (Self, Vec<Withheld>) {
        let (items, withheld) = sift(self.items, |item| {
            if sample::is_sample(&item.subject) {
                bound::apply(item, limits)?;
            }
            Ok(())
        });
        (Self { items }, withheld)
    }

    /// Withholds every subject in which the guard finds a secret: in a file, in a path, in an entry. So it does where it
    /// would have found one if a policy after the built-in one had not taken a piece of it.
    #[must_use]
    pub fn guard(self, guard: &Guard) -> (MirrorBatch, Vec<Withheld>) {
        let (items, withheld) = sift(self.items, |item| guarding::pass(item, guard));
        let objects = items.into_iter().map(MirrorObject::from_guarded).collect();
        (MirrorBatch { objects }, withheld)
    }
}

impl MirrorBatch {
    /// Returns the batch without one file, such as one that somebody else has in its place.
    #[must_use]
    pub fn without(mut self, path: &MirrorPath) -> Self {
        for object in &mut self.objects {
            object.files.retain(|file| file.path != *path);
        }
        self
    }

    /// Returns the batch without the subjects that somebody objects to after all.
    #[must_use]
    pub fn withhold(
        self,
        objection: impl Fn(&MirrorObject) -> Option<WithholdReason>,
    ) -> (Self, Vec<Withheld>) {
        let mut withheld = Vec::new();
        let mut objects = self.objects;
        objects.retain(|object| match objection(object) {
            None => true,
            Some(reason) => {
                let subject = object.subject.clone();
                withheld.push(Withheld { subject, reason });
                false
            }
        });
        (Self { objects }, withheld)
    }

    #[must_use]
    pub fn objects(&self) -> &[MirrorObject] {
        &self.objects
    }

    #[must_use]
    pub fn into_objects(self) -> Vec<MirrorObject> {
        self.objects
    }

    /// Puts objects that all came through the chain into one batch.
    #[must_use]
    pub fn join(objects: impl IntoIterator<Item = MirrorObject>) -> Self {
        Self {
            objects: objects.into_iter().collect(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

impl MirrorObject {
    fn from_guarded(item: Item) -> Self {
        let Item {
            subject,
            files,
            entries,
            stats,
            cuts: _,
        } = item;
        let file = |file: BatchFile| MirrorFile {
            path: file.path,
            content: file.content,
        };
        Self {
            subject,
            files: files.into_iter().map(file).collect(),
            entries,
            stats,
        }
    }

    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns the files, in the renderer's order. None of a sample of which nothing stays.
    #[must_use]
    pub fn files(&self) -> &[MirrorFile] {
        &self.files
    }

    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    #[must_use]
    pub fn stats(&self) -> &RedactionStats {
        &self.stats
    }

    /// Takes the object apart, so that contents need not be copied.
    #[must_use]
    pub fn into_parts(self) -> (Subject, Vec<MirrorFile>, Vec<Entry>, RedactionStats) {
        (self.subject, self.files, self.entries, self.stats)
    }
}

impl MirrorFile {
    #[must_use]
    pub fn path(&self) -> &MirrorPath {
        &self.path
    }

    #[must_use]
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Takes the file apart, so that its content need not be copied.
    #[must_use]
    pub fn into_parts(self) -> (MirrorPath, String) {
        (self.path, self.content)
    }
}

/// Which policy's verdicts are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// The built-in one's.
    First,
    /// Another's, of which the guard looks at what it takes, too.
    Further,
}

/// Subjects whose files and entries policies judge.
#[derive(Debug)]
struct Judged {
    context: Context,
    limits: PathLimits,
    items: Vec<Item>,
}

impl Judged {
    fn documents(&self) -> Vec<Document> {
        let of_item = |item| {
            let (component_id, config_id) = ids(item);
            let document = move |path, kind, format, text| Document {
                path,
                kind,
                component_id: component_id.clone(),
                config_id: config_id.clone(),
                // What is not well-formed was withheld before; a document without leaves would keep
                // the order if it were not.
                leaves: walk::leaves(format, text).unwrap_or_default(),
            };
            let in_file = document.clone();
            let files = item.files.iter().map(move |file| {
                in_file(
                    Some(file.path.clone()),
                    file.kind,
                    Format::of(file.path.as_str()),
                    &file.content,
                )
            });
            let entries = item
                .entries
                .iter()
                .map(move |entry| document(None, kind_of(entry.kind), Format::Json, &entry.value));
            files.chain(entries)
        };
        self.items.iter().flat_map(of_item).collect()
    }

    fn apply(
        self,
        verdicts: Vec<Verdict>,
        redaction: &Redaction,
        known: &mut KnownSecrets,
        round: Round,
    ) -> (Self, Vec<Withheld>) {
        let Self {
            context,
            limits,
            items,
        } = self;
        let documents: usize = items
            .iter()
            .map(|item| item.files.len() + item.entries.len())
            .sum();
        let surplus = verdicts.len() > documents;
        let mut verdicts = verdicts.into_iter();
        let (items, withheld) = sift(items, |item| {
            // Taken before anything can fail, so that the next subject finds its own.
            let verdicts: Vec<_> = verdicts
                .by_ref()
                .take(item.files.len() + item.entries.len())
                .collect();
            if surplus {
                return Err(malformed("policy", "there are more verdicts than documents"));
            }
            redact(item, verdicts, redaction, known, round)?;
            within_size(item, &limits)
        });
        (
            Self {
                context,
                limits,
                items,
            },
            withheld,
        )
    }
}

fn redact(
    item: &mut Item,
    mut verdicts: Vec<Verdict>,
    redaction: &Redaction,
    known: &mut KnownSecrets,
    round: Round,
) -> Result<(), WithholdReason> {
    let mut failed = None;
    if sample::is_sample(&item.subject) {
        failed = sample::share(item, &mut verdicts).err();
    }
    let mut verdicts = verdicts.into_iter();
    let mut next = || match verdicts.next() {
        Some(Verdict::Findings(findings)) => Ok(findings),
        Some(Verdict::Withhold(reason)) => Err(reason),
        None => Err(malformed("policy", "there is no verdict on a document")),
    };
    let mut encrypted = 0;
    for file in &mut item.files {
        let format = Format::of(file.path.as_str());
        // After a failure the rest is redacted without verdicts all the same: what stands under `#`
        // keys of a withheld object must be known to the guard too.
        let findings = match next() {
            Ok(findings) => findings,
            Err(reason) => {
                failed.get_or_insert(reason);
                Vec::new()
            }
        };
        let form = Form::of(file.path.as_str());
        match redaction::redact(form, &file.content, &findings, redaction) {
            Ok((redacted, outcome)) => {
                known.merge(&outcome.known);
                encrypted += outcome.encrypted;
                let place = |(pointer, rule): (String, crate::finding::RuleId)| Place {
                    path: file.path.clone(),
                    pointer,
                    rule: rule.as_str().to_owned(),
                };
                item.stats
                    .plaintext
                    .extend(outcome.plaintext.into_iter().map(place));
                item.stats.add(outcome.stats);
                if let Some(redacted) = redacted {
                    let before = std::mem::replace(&mut file.content, redacted);
                    if round == Round::Further {
                        let place = file.path.to_string();
                        item.cuts
                            .push(Taken::of_file(place, format, before, outcome.replaced));
                    }
                }
            }
            Err(error) => drop(failed.get_or_insert(error.into_reason("policy"))),
        }
    }
    // Ciphers that stay are counted in the final text, not once for each policy.
    item.stats.encrypted = encrypted;
    let mut found = Vec::new();
    for entry in &mut item.entries {
        let findings = match next() {
            Ok(findings) => findings,
            Err(reason) => {
                failed.get_or_insert(reason);
                Vec::new()
            }
        };
        found.extend(entries::found(entry, &findings));
        match redaction::redact(Format::Json, &entry.value, &findings, redaction) {
            Ok((redacted, outcome)) => {
                known.merge(&outcome.known);
                if let Some(redacted) = redacted {
                    let before = std::mem::replace(&mut entry.value, redacted);
                    if round == Round::Further {
                        item.cuts.push(Taken::of_entry(before, outcome.replaced));
                    }
                }
            }
            Err(error) => drop(failed.get_or_insert(error.into_reason("policy"))),
        }
    }
    match entries::clean(&mut item.entries, &found, redaction) {
        Ok(names) if round == Round::Further => item.cuts.extend(names),
        Ok(_) => {}
        Err(reason) => drop(failed.get_or_insert(reason)),
    }
    failed.map_or(Ok(()), Err)
}

/// Passes the items for which `pass` succeeds and withholds the others.
fn sift(
    items: Vec<Item>,
    mut pass: impl FnMut(&mut Item) -> Result<(), WithholdReason>,
) -> (Vec<Item>, Vec<Withheld>) {
    let mut withheld = Vec::new();
    let mut passed = Vec::with_capacity(items.len());
    for mut item in items {
        match pass(&mut item) {
            Ok(()) => passed.push(item),
            Err(reason) => withheld.push(Withheld {
                subject: item.subject,
                reason,
            }),
        }
    }
    (passed, withheld)
}

fn within_size(item: &Item, limits: &PathLimits) -> Result<(), WithholdReason> {
    let over = |limit: &str| {
        Err(WithholdReason::OverLimit {
            guest: "object".to_owned(),
            limit: limit.to_owned(),
        })
    };
    if item
        .files
        .iter()
        .any(|file| file.content.len() > limits.file_bytes_max)
    {
        return over("file_bytes_max");
    }
    if item.files.iter().map(|file| file.content.len()).sum::<usize>() > limits.subject_bytes_max {
        return over("subject_bytes_max");
    }
    let entry_bytes = |entry: &Entry| entry.shard.len() + entry.key.len() + entry.value.len();
    if item
        .entries
        .iter()
        .any(|entry| entry_bytes(entry) > limits.entry_bytes_max)
    {
        return over("entry_bytes_max");
    }
    Ok(())
}

fn malformed(guest: &str, detail: &str) -> WithholdReason {
    WithholdReason::Malformed {
        guest: guest.to_owned(),
        detail: detail.to_owned(),
    }
}

/// Returns the component and configuration that an item's documents belong to, each maybe empty.
fn ids(item: &Item) -> (String, String) {
    match &item.subject {
        Subject::Object(key) => key.config().map_or_else(Default::default, |(component, config)| {
            (component.as_str().to_owned(), config.as_str().to_owned())
        }),
        Subject::Index { .. } => Default::default(),
    }
}

fn kind_of(index: IndexKind) -> DocumentKind {
    match index {
        IndexKind::JobDay | IndexKind::JobHealth => DocumentKind::Job,
        IndexKind::Manifest
        | IndexKind::Withheld
        | IndexKind::Guide
        | IndexKind::Catalog
        | IndexKind::Lineage => DocumentKind::Index,
    }
}

#[cfg(test)]
mod tests;
