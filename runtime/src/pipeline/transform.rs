//! Transforming: from objects to content that may be committed, through the three guests and the
//! guard, in this order: render, redact, filter, guard.
//!
//! Pure for the caller: no I/O, no clock. Blocks; chunks run beside each other on all cores.

mod names;
mod own;
mod shown;

use super::stages::{Stage, Stages};
use crate::policies::{Policy, Shadow};
use mirror_core::{
    batch::{FilteredBatch, MirrorBatch, RedactedBatch, RenderedBatch, Subject, Withheld},
    commit::{CommitDraft, GuardedMessage},
    document::{Context, Document, LeafRole},
    finding::{RuleId, Verdict, WithholdReason},
    guard::{Guard, KnownSecrets, Slugs},
    ids::ObjectKey,
    layout::{Entry, Gathered, Inspection, PlacedObject, RawFile, Recovered, Rendered, SourceObject},
    marker::Marker,
    path::{MirrorPath, OwnedPaths},
    redaction::Redaction,
    sample::SampleLimits,
    walk::{self, Format},
};
use mirror_sandbox::{FilledShard, LayoutRenderer, SampleFilter, SandboxError};
use names::Counted;
pub use names::JudgedNames;
pub use own::OwnSecrets;
pub use shown::JudgedWords;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Objects of one chunk, and their bytes unless one alone has more: some hundred files, so that a chunk's cost
/// is far above a thread's.
pub const CHUNK: usize = 64;
pub const CHUNK_BYTES: usize = 1 << 20;

/// The guests and the settings that hold for one lane.
#[derive(Debug)]
pub struct Transformer {
    pub layout: LayoutRenderer,
    /// The built-in policy first, then the customer's; never empty.
    pub policies: Vec<Policy>,
    /// Policies that see what they would see, and change nothing.
    pub shadows: Vec<Shadow>,
    pub filter: SampleFilter,
    pub redaction: Redaction,
    /// The run's own secrets: tokens and keys.
    pub own_secrets: Arc<OwnSecrets>,
    /// Plaintexts that were found under `#` keys since the process started, in whatever branch of the
    /// project; never stored.
    pub seen: Arc<Mutex<KnownSecrets>>,
    /// Made once for all that is known, since that is most often the same at the next attempt.
    pub guard: Mutex<CurrentGuard>,
    /// What was found in names: a policy is a pure function, and most names are seen again and again.
    pub names: Mutex<JudgedNames>,
    /// The same of what operators read: most of it is told again with each commit.
    pub words: Mutex<JudgedWords>,
    pub owned: OwnedPaths,
    pub sample_limits: SampleLimits,
    pub context: Context,
    /// Render options, a JSON text.
    pub settings: String,
    pub stages: Arc<Stages>,
}

/// Content that may be committed, and what was kept out.
#[derive(Debug, Default)]
pub struct Clean {
    pub batch: MirrorBatch,
    pub withheld: Vec<Withheld>,
    /// Plaintexts that were found under `#` keys. Those that the guard did not know it cannot have looked for.
    pub known: KnownSecrets,
}

/// The guard against everything that is known by now, and how much that is: of the run's own, and seen.
#[derive(Default)]
pub struct CurrentGuard(Option<((u64, usize), Arc<Guard>)>);

impl fmt::Debug for CurrentGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CurrentGuard({:?})", self.0.as_ref().map(|(known, _)| known))
    }
}

/// The answer for one object, or why there is none.
pub type Outcome<T> = Result<T, WithholdReason>;

impl Transformer {
    /// Asks where objects belong. Nothing of an answer, which is stored, holds what a policy or the
    /// guard objects to: a segment or sort name gives way to the object's id, all else to a marker
    /// or to nothing. Names are judged as they were typed too, since a slug hides what it is made of.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn inspect(&self, objects: &[SourceObject]) -> Result<Vec<Outcome<Inspection>>, SandboxError> {
        let chunks = objects.chunks(CHUNK).collect();
        let inspected = in_parallel(chunks, |chunk: &[SourceObject]| {
            let ask = || self.layout.inspect(&self.context, &self.settings, chunk);
            let mut inspected = self.stages.time(Stage::Inspect, chunk.len(), ask)?;
            let judge = || self.clean_inspections(chunk, &mut inspected);
            self.stages.time(Stage::Names, chunk.len(), judge)?;
            Ok(inspected)
        })?;
        Ok(inspected.into_iter().flatten().collect())
    }

    /// Returns the guard against the run's own secrets and all that was seen since the process started.
    pub fn guard(&self) -> Arc<Guard> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        match &guard.0 {
            Some((known, guard)) if *known == (self.own_secrets.learnt(), seen.len()) => Arc::clone(guard),
            _ => {
                let (learnt, mut known) = self.own_secrets.known();
                known.merge(&seen);
                let made = Arc::new(Guard::new(&known));
                guard.0 = Some(((learnt, seen.len()), Arc::clone(&made)));
                made
            }
        }
    }

    /// Lets go of what is only kept to be quick, until it is needed again.
    pub fn rest(&self) {
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = CurrentGuard::default();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = JudgedNames::default();
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = JudgedWords::default();
    }

    /// Notes plaintexts that stood under `#` keys; returns whether one of them is new.
    pub fn learn(&self, known: &KnownSecrets) -> bool {
        if known.is_empty() {
            return false;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.len();
        seen.merge(known);
        seen.len() > before
    }

    /// Renders a chunk of objects and takes them all the way to what may be committed.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn objects(&self, chunk: Vec<PlacedObject>, guard: &Guard) -> Result<Clean, SandboxError> {
        let mut withheld = Vec::new();
        let count = chunk.len();
        let judge = || self.clean_sources(chunk, guard, &mut withheld);
        let (chunk, names) = self.stages.time(Stage::Names, 0, judge)?;
        let render = || self.layout.render(&self.context, &self.settings, &chunk);
        let rendered = self.stages.time(Stage::Render, count, render)?;
        let mut good: Vec<(Subject, Rendered)> = Vec::with_capacity(chunk.len());
        for (placed, outcome) in chunk.into_iter().zip(rendered) {
            let subject = Subject::Object(placed.object.key);
            match outcome {
                Ok(rendered) => good.push((subject, rendered)),
                Err(reason) => withheld.push(Withheld { subject, reason }),
            }
        }
        self.clean(good, names, withheld, guard)
    }

    /// Makes the files of some shards, each from its entries, and judges them together. Entries that a shard
    /// keeps for the next time come back beside them.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn shards(
        &self,
        filled: Vec<FilledShard>,
        guard: &Guard,
    ) -> Result<(Clean, Vec<FilledShard>), SandboxError> {
        let mut withheld = Vec::new();
        let mut good: Vec<(Subject, Rendered)> = Vec::with_capacity(filled.len());
        let mut kept = Vec::new();
        let gather = || self.layout.gather(&self.context, &self.settings, &filled);
        let gathered = self.stages.time(Stage::Gather, filled.len(), gather)?;
        for ((kind, shard, entries), gathered) in filled.into_iter().zip(gathered) {
            let subject = Subject::Index {
                kind,
                shard: shard.clone(),
            };
            match gathered {
                Ok(Gathered { files, keep }) => {
                    let entries = Vec::new();
                    good.push((subject, Rendered { files, entries }));
                    kept.extend(keep.map(|keep| (kind, shard, keep)));
                }
                Err(reason) => {
                    let reason = self.taken_from(&entries).unwrap_or(reason);
                    withheld.push(Withheld { subject, reason });
                }
            }
        }
        Ok((self.clean(good, Vec::new(), withheld, guard)?, kept))
    }

    /// Returns whose fault it is that the renderer cannot read its own entries any more: that of a customer's policy which
    /// took out names of members. None where no policy did.
    fn taken_from(&self, entries: &[Entry]) -> Option<WithholdReason> {
        let mut rules = BTreeSet::new();
        for entry in entries {
            let leaves = walk::leaves(Format::Json, &entry.value).unwrap_or_default();
            for key in leaves.iter().filter(|leaf| leaf.role == LeafRole::Key) {
                rules.extend(Marker::rules_in(key.value).map(str::to_owned));
            }
        }
        self.policies.iter().skip(1).find_map(|policy| {
            let guest = policy.guest();
            let mut own = guest.info().rules.iter().map(|rule| rule.id.as_str());
            let rule = own.find(|rule| rules.contains(*rule))?;
            Some(WithholdReason::Malformed {
                guest: guest.name().to_owned(),
                detail: format!(
                    "its rule `{rule}` takes out names of members that the mirror's own files are made of"
                ),
            })
        })
    }

    fn clean(
        &self,
        rendered: Vec<(Subject, Rendered)>,
        names: Vec<Counted>,
        mut withheld: Vec<Withheld>,
        guard: &Guard,
    ) -> Result<Clean, SandboxError> {
        let files = rendered.iter().map(|(_, rendered)| rendered.files.len()).sum();
        let redact = || self.redact(rendered, names, &mut withheld, guard);
        let redacted = self.stages.time(Stage::Redact, files, redact)?;
        let known = redacted.known_secrets().clone();
        let filter = || self.choose(redacted, &mut withheld);
        let filtered = self.stages.time(Stage::Filter, 0, filter)?;
        let (batch, refused) = self.stages.time(Stage::Guard, 0, || filtered.guard(guard));
        withheld.extend(refused);
        Ok(Clean {
            batch,
            withheld,
            known,
        })
    }

    /// Asks the policies, the built-in one first and each on what the one before has left.
    fn redact(
        &self,
        rendered: Vec<(Subject, Rendered)>,
        names: Vec<Counted>,
        withheld: &mut Vec<Withheld>,
        guard: &Guard,
    ) -> Result<RedactedBatch, SandboxError> {
        let homes = Homes::of(&self.owned, &rendered);
        let (mut batch, refused) = RenderedBatch::new(self.context.clone(), &self.owned, rendered);
        withheld.extend(refused);
        for (subject, stats) in names {
            batch.count(&subject, stats);
        }
        let (builtin, customers) = self
            .policies
            .split_first()
            .expect("the built-in policy is always there");
        let documents = batch.documents();
        let mut verdicts = builtin.redact(&self.context, &documents)?;
        homes.see_through(&documents, &mut verdicts);
        // To apply the verdicts takes about as much room as their leaves do.
        drop(documents);
        let (mut batch, refused): (RedactedBatch, _) = batch.redact(verdicts, &self.redaction);
        withheld.extend(refused);
        self.watch(1, &batch, guard);
        for (before, policy) in (1..).zip(customers) {
            let documents = batch.documents();
            let mut verdicts = policy.redact(&self.context, &documents)?;
            homes.see_through(&documents, &mut verdicts);
            drop(documents);
            let (next, refused) = batch.redact_again(verdicts, &self.redaction);
            withheld.extend(refused);
            batch = next;
            self.watch(before + 1, &batch, guard);
        }
        Ok(batch)
    }

    /// Shows the shadows what so many policies have judged.
    fn watch(&self, judged_by: usize, batch: &RedactedBatch, guard: &Guard) {
        for shadow in &self.shadows {
            shadow.watch(&self.context, judged_by, batch, &self.redaction, guard);
        }
    }

    /// Shows the shadows names or messages, which all policies judge as they are.
    fn watch_texts(&self, documents: &[Document]) {
        for shadow in &self.shadows {
            shadow.watch_texts(&self.context, documents, &self.redaction);
        }
    }

    /// Asks which samples stay, and cuts them to their bounds.
    fn choose(
        &self,
        batch: RedactedBatch,
        withheld: &mut Vec<Withheld>,
    ) -> Result<FilteredBatch, SandboxError> {
        let (subjects, samples): (Vec<_>, Vec<_>) = batch.samples().into_iter().unzip();
        let choices = if samples.is_empty() {
            Vec::new()
        } else {
            self.filter.choose(&self.context, &samples)?
        };
        let (filtered, refused) = batch.choose(subjects.into_iter().zip(choices).collect());
        withheld.extend(refused);
        let (filtered, refused) = filtered.within(&self.sample_limits);
        withheld.extend(refused);
        Ok(filtered)
    }

    /// Judges a commit's texts and seals it.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn seal(&self, draft: CommitDraft) -> Result<GuardedMessage, SandboxError> {
        let documents = draft.documents();
        let verdicts = self
            .policies
            .iter()
            .map(|policy| policy.redact(&self.context, &documents))
            .collect::<Result<Vec<_>, _>>()?;
        self.watch_texts(&documents);
        let guard = self.guard();
        let draft = match verdicts.split_first() {
            Some((builtin, customers)) if !customers.is_empty() => {
                draft.guard_first(builtin, &self.redaction, &guard)
            }
            Some(_) | None => draft,
        };
        Ok(draft.seal(joined(verdicts), &self.redaction, &guard))
    }

    /// Says which paths below the mirror's root tell of the lane's state.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn recoverable(&self, paths: &[String]) -> Result<Vec<bool>, SandboxError> {
        self.layout.recoverable(&self.settings, paths)
    }

    /// Reads state back from files of the repository.
    ///
    /// # Errors
    /// A sandbox that fails, or files that the renderer cannot have written.
    pub fn recover(&self, files: &[RawFile]) -> Result<Recovered, SandboxError> {
        self.layout.recover(&self.context, &self.settings, files)
    }
}

/// Where the subjects of a batch put their files.
struct Homes {
    /// Paths below the mirror's root, by subject.
    paths: Vec<Vec<String>>,
    /// The subject of each path of the repository.
    subjects: HashMap<MirrorPath, usize>,
}

impl Homes {
    fn of(owned: &OwnedPaths, rendered: &[(Subject, Rendered)]) -> Self {
        let mut subjects = HashMap::new();
        let mut paths = Vec::with_capacity(rendered.len());
        for (subject, (_, rendered)) in rendered.iter().enumerate() {
            let files = rendered.files.iter();
            subjects.extend(files.filter_map(|file| Some((owned.resolve(&file.path).ok()?, subject))));
            paths.push(rendered.files.iter().map(|file| file.path.clone()).collect());
        }
        Self { paths, subjects }
    }

    /// Withholds the subjects that show in a path what a policy finds in a file of theirs: the
    /// renderer is a guest, and may make paths of anything.
    fn see_through(&self, documents: &[Document], verdicts: &mut [Verdict]) {
        let mut found: Vec<Vec<(usize, &str, RuleId)>> = self.paths.iter().map(|_| Vec::new()).collect();
        for (at, (document, verdict)) in documents.iter().zip(verdicts.iter()).enumerate() {
            let home = document.path.as_ref().and_then(|path| self.subjects.get(path));
            let (Some(home), Verdict::Findings(findings)) = (home, verdict) else {
                continue;
            };
            found[*home].extend(findings.iter().filter_map(|finding| {
                let leaf = document.leaves.get(finding.leaf)?;
                Some((at, finding.piece(leaf.value)?, finding.rule.clone()))
            }));
        }
        for (paths, found) in self.paths.iter().zip(found) {
            let shows = |slugs: &Slugs| paths.iter().any(|path| slugs.is_in(path));
            if found.is_empty() || !shows(&Slugs::new(found.iter().map(|(_, piece, _)| *piece))) {
                continue;
            }
            let first = found.iter().find(|(_, piece, _)| shows(&Slugs::new([*piece])));
            if let Some((at, _, rule)) = first {
                verdicts[*at] = Verdict::Withhold(WithholdReason::Guarded {
                    rule: rule.as_str().to_owned(),
                    // A path that holds a secret is not repeated.
                    file: WithholdReason::IN_A_PATH.to_owned(),
                });
            }
        }
    }
}

/// Joins what several policies say of the same documents: whoever withholds wins, findings add up.
fn joined(verdicts: Vec<Vec<Verdict>>) -> Vec<Verdict> {
    verdicts
        .into_iter()
        .reduce(|all, more| {
            all.into_iter()
                .zip(more)
                .map(|pair| match pair {
                    (Verdict::Findings(mut one), Verdict::Findings(other)) => {
                        one.extend(other);
                        Verdict::Findings(one)
                    }
                    (withhold @ Verdict::Withhold(_), _) | (_, withhold @ Verdict::Withhold(_)) => withhold,
                })
                .collect()
        })
        .unwrap_or_default()
}

/// What an object is called where its name may not be shown.
fn id_segment(key: &ObjectKey) -> String {
    match key {
        ObjectKey::Branch => "branch".into(),
        ObjectKey::Config { config, .. } => config.to_string(),
        ObjectKey::Row { row, .. } => row.to_string(),
        ObjectKey::Bucket(id) => id.to_string(),
        ObjectKey::Table(id) | ObjectKey::Sample(id) => id.to_string(),
        ObjectKey::Job(id) => id.to_string(),
    }
}

/// Runs `work` over all items on all cores and keeps their order; the first error ends it.
fn in_parallel<T: Send, U: Send, E: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<U, E> + Sync,
) -> Result<Vec<U>, E> {
    // Asking for the cores reads files of the system, which takes longer than many a single item.
    let workers = match items.len() {
        0 | 1 => 1,
        many => thread::available_parallelism().map_or(1, NonZero::get).min(many),
    };
    if workers == 1 {
        return items.into_iter().map(work).collect();
    }
    let waiting: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let done: Vec<Mutex<Option<Result<U, E>>>> = waiting.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(slot) = waiting.get(index) else { break };
                    if failed.load(Ordering::Relaxed) > 0 {
                        break;
                    }
                    let item = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let Some(item) = item else { continue };
                    let outcome = work(item);
                    failed.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
                    *done[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                }
            });
        }
    });
    // After a failure some are not done; the failure itself is.
    done.into_iter()
        .filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

#[cfg(test)]
mod tests;
