//! Transforming: from objects to content that may be committed, through the three guests and the
//! guard, in this order: render, redact, filter, guard.
//!
//! Pure for the caller: no I/O, no clock. Blocks; chunks run beside each other on all cores.

use mirror_core::{
    batch::{FilteredBatch, MirrorBatch, RedactedBatch, RenderedBatch, Subject, Withheld},
    commit::{CommitDraft, GuardedMessage},
    document::{Context, Document, DocumentKind},
    finding::{Verdict, WithholdReason},
    guard::{Guard, KnownSecrets},
    ids::ObjectKey,
    layout::{
        Entry, Gathered, IndexKind, Inspection, PlacedObject, RawFile, Recovered, Rendered, SourceObject,
    },
    path::OwnedPaths,
    redaction::{Redaction, document_of_text},
};
use mirror_sandbox::{LayoutRenderer, RedactionPolicy, SampleFilter, SandboxError};
use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Objects of one chunk: some hundred files, so that a chunk's cost is far above a thread's.
const CHUNK: usize = 64;

/// The guests and the settings that hold for one lane.
#[derive(Debug)]
pub struct Transformer {
    pub layout: LayoutRenderer,
    /// The built-in policy first, then the customer's.
    pub policies: Vec<RedactionPolicy>,
    pub filter: SampleFilter,
    pub redaction: Redaction,
    /// The run's own secrets: tokens and keys.
    pub own_secrets: KnownSecrets,
    pub owned: OwnedPaths,
    pub context: Context,
    /// Render options, a JSON text.
    pub settings: String,
}

/// Content that may be committed, and what was kept out.
#[derive(Debug, Default)]
pub struct Clean {
    pub batches: Vec<MirrorBatch>,
    pub withheld: Vec<Withheld>,
    /// Plaintexts that were found under `#` keys, for what is guarded later in the same attempt.
    pub known: KnownSecrets,
}

/// The kind and name of a shard, and its entries.
pub type FilledShard = (IndexKind, String, Vec<Entry>);

/// The answer for one object, or why there is none.
pub type Outcome<T> = Result<T, WithholdReason>;

impl Transformer {
    /// Asks where objects belong. Names that a policy or the guard objects to are replaced by ids.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn inspect(&self, objects: &[SourceObject]) -> Result<Vec<Outcome<Inspection>>, SandboxError> {
        let chunks = objects.chunks(CHUNK).collect();
        let inspected = in_parallel(chunks, |chunk: &[SourceObject]| {
            let mut inspected = self.layout.inspect(&self.context, &self.settings, chunk)?;
            self.judge_names(chunk, &mut inspected)?;
            Ok(inspected)
        })?;
        Ok(inspected.into_iter().flatten().collect())
    }

    fn judge_names(
        &self,
        objects: &[SourceObject],
        inspected: &mut [Outcome<Inspection>],
    ) -> Result<(), SandboxError> {
        let documents: Vec<Document> = inspected
            .iter()
            .map(|inspection| {
                inspection
                    .as_ref()
                    .map_or("", |inspection| inspection.segment.as_str())
            })
            .map(|segment| document_of_text(DocumentKind::Name, segment))
            .collect();
        let guard = Guard::new(&self.own_secrets);
        let mut bad: Vec<bool> = documents
            .iter()
            .map(|document| {
                document
                    .leaves
                    .iter()
                    .any(|leaf| guard.check_text(&leaf.value).is_some())
            })
            .collect();
        for policy in &self.policies {
            for (bad, verdict) in bad.iter_mut().zip(policy.redact(&self.context, &documents)?) {
                *bad |= verdict != Verdict::Findings(Vec::new());
            }
        }
        for ((object, inspection), bad) in objects.iter().zip(inspected).zip(bad) {
            if let (Ok(inspection), true) = (inspection, bad) {
                let parent = inspection
                    .segment
                    .rsplit_once('/')
                    .map(|(parent, _)| format!("{parent}/"));
                inspection.segment = format!("{}{}", parent.unwrap_or_default(), id_segment(&object.key));
                inspection.sort_name = id_segment(&object.key);
            }
        }
        Ok(())
    }

    /// Renders objects and takes them all the way to what may be committed.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn objects(&self, placed: Vec<PlacedObject>) -> Result<Clean, SandboxError> {
        let mut chunks = Vec::new();
        let mut rest = placed;
        while !rest.is_empty() {
            let next = rest.split_off(rest.len().min(CHUNK));
            chunks.push(std::mem::replace(&mut rest, next));
        }
        let filtered = in_parallel(chunks, |chunk| {
            let rendered = self.layout.render(&self.context, &self.settings, &chunk)?;
            let mut withheld = Vec::new();
            let mut good: Vec<(Subject, Rendered)> = Vec::with_capacity(chunk.len());
            for (placed, outcome) in chunk.into_iter().zip(rendered) {
                let subject = Subject::Object(placed.object.key);
                match outcome {
                    Ok(rendered) => good.push((subject, rendered)),
                    Err(reason) => withheld.push(Withheld { subject, reason }),
                }
            }
            let filtered = self.redact_and_filter(good, &mut withheld)?;
            Ok((filtered, withheld))
        })?;
        self.guard(filtered)
    }

    /// Makes the files of shards from their entries. Entries that a shard keeps for the next time
    /// come back beside it.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn shards(&self, shards: Vec<FilledShard>) -> Result<(Clean, Vec<FilledShard>), SandboxError> {
        let gathered = in_parallel(shards, |(kind, shard, entries)| {
            let mut withheld = Vec::new();
            let subject = Subject::Index {
                kind,
                shard: shard.clone(),
            };
            let outcome = self
                .layout
                .gather(&self.context, &self.settings, kind, &shard, &entries)?;
            let mut keep = None;
            let good = match outcome {
                Ok(Gathered { files, keep: kept }) => {
                    keep = kept.map(|kept| (kind, shard, kept));
                    vec![(
                        subject,
                        Rendered {
                            files,
                            entries: Vec::new(),
                        },
                    )]
                }
                Err(reason) => {
                    withheld.push(Withheld { subject, reason });
                    Vec::new()
                }
            };
            let filtered = self.redact_and_filter(good, &mut withheld)?;
            Ok(((filtered, withheld), keep))
        })?;
        let (filtered, keep): (Vec<_>, Vec<_>) = gathered.into_iter().unzip();
        Ok((self.guard(filtered)?, keep.into_iter().flatten().collect()))
    }

    fn redact_and_filter(
        &self,
        rendered: Vec<(Subject, Rendered)>,
        withheld: &mut Vec<Withheld>,
    ) -> Result<(FilteredBatch, KnownSecrets), SandboxError> {
        let (batch, refused) = RenderedBatch::new(self.context.clone(), &self.owned, rendered);
        withheld.extend(refused);
        let (builtin, customers) = self
            .policies
            .split_first()
            .expect("the built-in policy is always there");
        let documents = batch.documents();
        let (mut batch, refused): (RedactedBatch, _) =
            batch.redact(builtin.redact(&self.context, &documents)?, &self.redaction);
        withheld.extend(refused);
        for policy in customers {
            let documents = batch.documents();
            let (next, refused) =
                batch.redact_again(policy.redact(&self.context, &documents)?, &self.redaction);
            withheld.extend(refused);
            batch = next;
        }
        let known = batch.known_secrets().clone();
        let (subjects, samples): (Vec<_>, Vec<_>) = batch.samples().into_iter().unzip();
        let choices = if samples.is_empty() {
            Vec::new()
        } else {
            self.filter.choose(&self.context, &samples)?
        };
        let (filtered, refused) = batch.choose(subjects.into_iter().zip(choices).collect());
        withheld.extend(refused);
        Ok((filtered, known))
    }

    /// Guards all chunks with what was learnt from all of them: a plaintext under a `#` key of one
    /// object must not stand in the code of another.
    fn guard(
        &self,
        filtered: Vec<((FilteredBatch, KnownSecrets), Vec<Withheld>)>,
    ) -> Result<Clean, SandboxError> {
        let mut clean = Clean {
            known: self.own_secrets.clone(),
            ..Clean::default()
        };
        for ((_, known), withheld) in &filtered {
            clean.known.merge(known);
            clean.withheld.extend(withheld.iter().cloned());
        }
        let guard = Guard::new(&clean.known);
        let guarded = in_parallel(filtered, |((batch, _), _)| Ok(batch.guard(&guard)))?;
        for (batch, refused) in guarded {
            clean.batches.push(batch);
            clean.withheld.extend(refused);
        }
        Ok(clean)
    }

    /// Judges a commit's texts and seals it.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn seal(&self, draft: CommitDraft, known: &KnownSecrets) -> Result<GuardedMessage, SandboxError> {
        let documents = draft.documents();
        let verdicts = self
            .policies
            .iter()
            .map(|policy| policy.redact(&self.context, &documents))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(draft.seal(joined(verdicts), &self.redaction, &Guard::new(known)))
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
    let workers = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(items.len());
    if workers <= 1 {
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
mod tests {
    use super::*;

    #[test]
    fn work_in_parallel_keeps_the_order_and_gives_the_first_failure() {
        let squares = in_parallel((0..500).collect(), |n: u64| Ok::<_, ()>(n * n)).expect("no failure");
        assert_eq!(squares, (0..500).map(|n| n * n).collect::<Vec<u64>>());
        let failed = in_parallel((0..500).collect(), |n: u64| if n == 250 { Err(n) } else { Ok(n) });
        assert_eq!(failed, Err(250));
        assert_eq!(in_parallel(Vec::<u8>::new(), Ok::<_, ()>), Ok(Vec::new()));
    }

    #[test]
    fn a_policy_that_withholds_wins_and_findings_add_up() {
        let reason = WithholdReason::Source { detail: "x".into() };
        let withhold = || Verdict::Withhold(reason.clone());
        let none = || Verdict::Findings(Vec::new());
        assert_eq!(
            joined(vec![vec![none(), withhold()], vec![withhold(), none()]]),
            vec![withhold(), withhold()]
        );
        assert_eq!(joined(vec![]), Vec::new());
    }
}
