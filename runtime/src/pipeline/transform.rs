//! Transforming: from objects to content that may be committed, through the three guests and the
//! guard, in this order: render, redact, filter, guard.
//!
//! Pure for the caller: no I/O, no clock. Blocks; chunks run beside each other on all cores.

use mirror_core::{
    batch::{FilteredBatch, MirrorBatch, RedactedBatch, RenderedBatch, Subject, Withheld},
    commit::{CommitDraft, GuardedMessage},
    document::{Context, Document, DocumentKind},
    finding::{Finding, RuleId, Target, Verdict, WithholdReason},
    guard::{Guard, KnownSecrets, Slugs},
    ids::ObjectKey,
    layout::{
        Entry, Gathered, IndexKind, Inspection, PlacedObject, RawFile, Recovered, Reference, Rendered,
        SourceName, SourceObject,
    },
    path::{MirrorPath, OwnedPaths},
    placement::normalize_name,
    redaction::{Redaction, RedactionStats, document_of_text, redact_text},
    walk::Malformed,
};
use mirror_sandbox::{LayoutRenderer, RedactionPolicy, SampleFilter, SandboxError};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
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
    /// Plaintexts that were found under `#` keys since the process started, in whatever branch of the
    /// project; never stored.
    pub seen: Arc<Mutex<KnownSecrets>>,
    /// What was found in names: a policy is a pure function, and most names are seen again and again.
    pub names: Mutex<JudgedNames>,
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

/// What policies and guard found in names, by name. Names may hold secrets: this is never printed or stored.
#[derive(Default)]
pub struct JudgedNames(HashMap<String, Vec<Finding>>);

impl fmt::Debug for JudgedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JudgedNames({})", self.0.len())
    }
}

/// Of one lane; then it begins anew.
const JUDGED_NAMES_MAX: usize = 50_000;

/// What was taken out of the names of one object.
type Counted = (Subject, RedactionStats);

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
            let mut inspected = self.layout.inspect(&self.context, &self.settings, chunk)?;
            self.clean_inspections(chunk, &mut inspected)?;
            Ok(inspected)
        })?;
        Ok(inspected.into_iter().flatten().collect())
    }

    /// Says whether a name may be shown: as it was typed, and as a path or reference shows it.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn judge_name(&self, raw: &str) -> Result<bool, SandboxError> {
        let slug = normalize_name(raw);
        Ok(self.judge_names([raw, slug.as_str()])?.0.is_empty())
    }

    /// Judges each text by all policies and the guard.
    fn judge_names<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Result<BadNames, SandboxError> {
        let mut texts: BTreeSet<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let mut bad = BTreeMap::new();
        {
            let judged = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            texts.retain(|text| match judged.0.get(*text) {
                Some(findings) if findings.is_empty() => false,
                Some(findings) => {
                    bad.insert((*text).to_owned(), findings.clone());
                    false
                }
                None => true,
            });
        }
        if texts.is_empty() {
            return Ok(BadNames(bad));
        }
        let documents: Vec<Document> = texts
            .iter()
            .map(|text| document_of_text(DocumentKind::Name, text))
            .collect();
        let verdicts = self
            .policies
            .iter()
            .map(|policy| policy.redact(&self.context, &documents))
            .collect::<Result<Vec<_>, _>>()?;
        let mut verdicts = joined(verdicts).into_iter();
        let guard = Guard::new(&self.own_secrets);
        let mut judged = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.0.len() + texts.len() > JUDGED_NAMES_MAX {
            judged.0.clear();
        }
        for text in texts {
            let findings = match (guard.check_name(text), verdicts.next()) {
                (Some(rule), _) => vec![all_of_it(rule)],
                (None, Some(Verdict::Findings(findings))) => findings,
                (None, Some(Verdict::Withhold(_)) | None) => {
                    vec![all_of_it(
                        RuleId::parse(UNJUDGED).expect("the rule is well-formed"),
                    )]
                }
            };
            if !findings.is_empty() {
                bad.insert(text.to_owned(), findings.clone());
            }
            judged.0.insert(text.to_owned(), findings);
        }
        Ok(BadNames(bad))
    }

    fn clean_inspections(
        &self,
        objects: &[SourceObject],
        inspected: &mut [Outcome<Inspection>],
    ) -> Result<(), SandboxError> {
        let mut names: Vec<Vec<SourceName>> = Vec::with_capacity(objects.len());
        for (object, outcome) in objects.iter().zip(inspected.iter_mut()) {
            names.push(object.names().unwrap_or_else(|malformed| {
                *outcome = Err(unreadable(&malformed));
                Vec::new()
            }));
        }
        let told = texts_of_all(inspected.iter());
        let raw = names.iter().flatten().map(|name| name.text.as_str());
        let mut bad = self.judge_names(raw.chain(told.iter().map(String::as_str)))?;

        // The renderer must see the same object here and when it renders it.
        let mut asked_again = Vec::new();
        let mut cleaned = Vec::new();
        for (at, (object, names)) in objects.iter().zip(&names).enumerate() {
            let found = bad.found_in(names);
            if !found.is_empty() {
                let mut object = object.clone();
                object.redact_names(found, &self.redaction);
                asked_again.push(at);
                cleaned.push(object);
            }
        }
        if !cleaned.is_empty() {
            let again = self.layout.inspect(&self.context, &self.settings, &cleaned)?;
            let told = texts_of_all(again.iter());
            bad.0.extend(self.judge_names(told.iter().map(String::as_str))?.0);
            for (at, outcome) in asked_again.into_iter().zip(again) {
                inspected[at] = outcome;
            }
        }

        // The directories above a bad last segment have not been judged by themselves.
        let mut above: Vec<(usize, String)> = Vec::new();
        for (at, ((object, names), outcome)) in
            objects.iter().zip(&names).zip(inspected.iter_mut()).enumerate()
        {
            let Ok(inspection) = outcome else { continue };
            let is_hidden = names.iter().any(|name| name.is_own && bad.has(&name.text));
            let slugs = Slugs::new(names.iter().flat_map(|name| bad.pieces(&name.text)));
            let is_bad = |text: &str| bad.has(text) || slugs.is_in(text);
            if is_hidden || is_bad(&inspection.segment) {
                let parent = inspection.segment.rsplit_once('/').map(|(parent, _)| parent);
                let parent = parent.filter(|parent| !slugs.is_in(parent)).unwrap_or_default();
                above.push((at, parent.to_owned()));
                inspection.segment = join(parent, &id_segment(&object.key));
            }
            self.clean_rest(inspection, &object.key, is_hidden, &is_bad);
        }
        let bad = self.judge_names(above.iter().map(|(_, parent)| parent.as_str()))?;
        for (at, parent) in above {
            if let (Ok(inspection), true) = (&mut inspected[at], bad.has(&parent)) {
                inspection.segment = id_segment(&objects[at].key);
            }
        }
        Ok(())
    }

    /// Cleans all of an inspection but its segment.
    fn clean_rest(
        &self,
        inspection: &mut Inspection,
        key: &ObjectKey,
        is_hidden: bool,
        is_bad: &dyn Fn(&str) -> bool,
    ) {
        let Inspection {
            place: _,
            segment: _,
            sort_name,
            claims,
            references,
            aliases,
            facts,
        } = inspection;
        if !sort_name.is_empty() && (is_hidden || is_bad(sort_name)) {
            *sort_name = id_segment(key);
        }
        for claim in claims {
            claim.segment = claim.segment.take().filter(|segment| !is_bad(segment));
        }
        // The same text gives the same marker, so that a reference still finds what it names.
        let hide = |text: &mut String| {
            if is_bad(text) {
                *text = self.marker(text);
            }
        };
        aliases.iter_mut().for_each(hide);
        for reference in references {
            if let Reference::Alias(alias) = reference {
                hide(alias);
            }
        }
        if is_bad(facts) {
            facts.clear();
        }
    }

    fn marker(&self, text: &str) -> String {
        let rule = RuleId::parse(HIDDEN).expect("the rule is well-formed");
        redact_text(text, &[all_of_it(rule)], &self.redaction)
    }

    /// Takes out of the sources what must not be seen of names, so that no renderer can make a path
    /// of it. Objects that cannot be read are withheld.
    fn clean_sources(
        &self,
        placed: Vec<PlacedObject>,
        withheld: &mut Vec<Withheld>,
    ) -> Result<(Vec<PlacedObject>, Vec<Counted>), SandboxError> {
        let mut readable = Vec::with_capacity(placed.len());
        let mut names = Vec::with_capacity(placed.len());
        for placed in placed {
            match placed.object.names() {
                Ok(found) => {
                    names.push(found);
                    readable.push(placed);
                }
                Err(malformed) => withheld.push(Withheld {
                    subject: Subject::Object(placed.object.key),
                    reason: unreadable(&malformed),
                }),
            }
        }
        let bad = self.judge_names(names.iter().flatten().map(|name| name.text.as_str()))?;
        let mut stats = Vec::new();
        for (placed, names) in readable.iter_mut().zip(names) {
            let found = bad.found_in(&names);
            if !found.is_empty() {
                let subject = Subject::Object(placed.object.key.clone());
                stats.push((subject, placed.object.redact_names(found, &self.redaction)));
            }
        }
        Ok((readable, stats))
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
            let mut withheld = Vec::new();
            let (chunk, names) = self.clean_sources(chunk, &mut withheld)?;
            let rendered = self.layout.render(&self.context, &self.settings, &chunk)?;
            let mut good: Vec<(Subject, Rendered)> = Vec::with_capacity(chunk.len());
            for (placed, outcome) in chunk.into_iter().zip(rendered) {
                let subject = Subject::Object(placed.object.key);
                match outcome {
                    Ok(rendered) => good.push((subject, rendered)),
                    Err(reason) => withheld.push(Withheld { subject, reason }),
                }
            }
            let filtered = self.redact_and_filter(good, names, &mut withheld)?;
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
            let filtered = self.redact_and_filter(good, Vec::new(), &mut withheld)?;
            Ok(((filtered, withheld), keep))
        })?;
        let (filtered, keep): (Vec<_>, Vec<_>) = gathered.into_iter().unzip();
        Ok((self.guard(filtered)?, keep.into_iter().flatten().collect()))
    }

    fn redact_and_filter(
        &self,
        rendered: Vec<(Subject, Rendered)>,
        names: Vec<Counted>,
        withheld: &mut Vec<Withheld>,
    ) -> Result<(FilteredBatch, KnownSecrets), SandboxError> {
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
        let (mut batch, refused): (RedactedBatch, _) = batch.redact(verdicts, &self.redaction);
        withheld.extend(refused);
        for policy in customers {
            let documents = batch.documents();
            let mut verdicts = policy.redact(&self.context, &documents)?;
            homes.see_through(&documents, &mut verdicts);
            let (next, refused) = batch.redact_again(verdicts, &self.redaction);
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

    /// Guards all chunks with what was learnt from all of them, and before: a plaintext under a `#` key of
    /// one object must not stand in the code of another.
    fn guard(
        &self,
        filtered: Vec<((FilteredBatch, KnownSecrets), Vec<Withheld>)>,
    ) -> Result<Clean, SandboxError> {
        let mut clean = Clean {
            known: self.own_secrets.clone(),
            ..Clean::default()
        };
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for ((_, known), withheld) in &filtered {
                seen.merge(known);
                clean.withheld.extend(withheld.iter().cloned());
            }
            clean.known.merge(&seen);
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

/// The rule of a name on which a policy gave no answer.
const UNJUDGED: &str = "unjudged-name";
/// The rule of what a renderer remembers of an object and must not.
const HIDDEN: &str = "hidden-name";

/// The names that must not be seen as they are, with what is wrong in each.
struct BadNames(BTreeMap<String, Vec<Finding>>);

impl BadNames {
    /// Returns those of an object's names that are bad, with what was found in each.
    fn found_in(&self, names: &[SourceName]) -> Vec<(SourceName, Vec<Finding>)> {
        let found = |name: &SourceName| Some((name.clone(), self.0.get(&name.text)?.clone()));
        names.iter().filter_map(found).collect()
    }

    fn has(&self, text: &str) -> bool {
        self.0.contains_key(text)
    }

    /// Returns what was found in a name.
    fn pieces<'n>(&self, name: &'n str) -> Vec<&'n str> {
        let findings = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        let findings = findings.iter();
        findings.filter_map(|finding| piece(name, finding)).collect()
    }
}

/// Returns the text that a finding is about.
fn piece<'v>(value: &'v str, finding: &Finding) -> Option<&'v str> {
    match &finding.target {
        Target::Whole => Some(value),
        Target::Literal(literal) => {
            let start = value.find(literal.as_str())?;
            value.get(start..start + literal.len())
        }
        Target::Bytes { start, end } => value.get(*start..*end),
    }
}

fn all_of_it(rule: RuleId) -> Finding {
    Finding {
        leaf: 0,
        target: Target::Whole,
        rule,
    }
}

fn unreadable(malformed: &Malformed) -> WithholdReason {
    WithholdReason::Source {
        detail: malformed.to_string(),
    }
}

fn join(parent: &str, segment: &str) -> String {
    if parent.is_empty() {
        segment.to_owned()
    } else {
        format!("{parent}/{segment}")
    }
}

fn texts_of_all<'i>(inspected: impl Iterator<Item = &'i Outcome<Inspection>>) -> Vec<String> {
    inspected
        .flatten()
        .flat_map(texts_of)
        .map(str::to_owned)
        .collect()
}

/// Returns all texts of an inspection that are the renderer's.
fn texts_of(inspection: &Inspection) -> impl Iterator<Item = &str> {
    let Inspection {
        place: _,
        segment,
        sort_name,
        claims,
        references,
        aliases,
        facts,
    } = inspection;
    let named = references.iter().filter_map(|reference| match reference {
        Reference::Alias(alias) => Some(alias),
        Reference::Object(_) => None,
    });
    [segment, sort_name, facts]
        .into_iter()
        .chain(claims.iter().filter_map(|claim| claim.segment.as_ref()))
        .chain(aliases)
        .chain(named)
        .map(String::as_str)
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
                Some((at, piece(&leaf.value, finding)?, finding.rule.clone()))
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
                    file: "a path".to_owned(),
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
    use crate::{config::SandboxLimits, system::Guests};
    use mirror_core::{
        layout::Component,
        marker::TagKey,
        placement::{Change, Placement},
        redaction::SecretsMode,
    };
    use serde_json::json;
    use std::sync::OnceLock;

    #[test]
    fn work_in_parallel_keeps_the_order_and_gives_the_first_failure() {
        let squares = in_parallel((0..500).collect(), |n: u64| Ok::<_, ()>(n * n)).expect("no failure");
        assert_eq!(squares, (0..500).map(|n| n * n).collect::<Vec<u64>>());
        let failed = in_parallel((0..500).collect(), |n: u64| if n == 250 { Err(n) } else { Ok(n) });
        assert_eq!(failed, Err(250));
        assert_eq!(in_parallel(Vec::<u8>::new(), Ok::<_, ()>), Ok(Vec::new()));
    }

    /// A Storage token. No pattern knows it any more once it is slugged.
    const TOKEN: &str = "4021-5567-a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
    const CREDENTIAL: &str = "Run-Credential-7f3a99";

    fn transformer() -> Transformer {
        static GUESTS: OnceLock<Guests> = OnceLock::new();
        let limits = SandboxLimits {
            memory_bytes_max: 1 << 30,
            deadline_ms: 60_000,
        };
        let guests = GUESTS
            .get_or_init(|| Guests::prepare(None, [0; 32], limits).expect("the guests are built in"))
            .clone();
        let mut own_secrets = KnownSecrets::new();
        own_secrets.add_credential(CREDENTIAL);
        Transformer {
            layout: guests.layout,
            policies: vec![guests.redaction],
            filter: guests.filter,
            redaction: Redaction::new(SecretsMode::Encrypted, TagKey::none()),
            own_secrets,
            seen: Arc::default(),
            names: Mutex::default(),
            owned: OwnedPaths::new(None),
            context: Context {
                stack: "connection.example.com".parse().expect("a stack"),
                project: "7".parse().expect("a project"),
                branch: "11".parse().expect("a branch"),
            },
            settings: "{}".into(),
        }
    }

    fn config(component: &str, id: &str) -> ObjectKey {
        ObjectKey::Config {
            component: component.parse().expect("an id"),
            config: id.parse().expect("an id"),
        }
    }

    fn object(key: ObjectKey, source: &serde_json::Value) -> SourceObject {
        let component = key.config().map(|(component, _)| Component {
            id: component.to_string(),
            component_type: "other".into(),
            name: component.to_string(),
            generic_code_blocks_ui: component.as_str().ends_with("transformation"),
            default_bucket_stage: None,
        });
        SourceObject {
            key,
            component,
            source: source.to_string(),
            metadata: Vec::new(),
        }
    }

    fn inspected(transformer: &Transformer, objects: &[SourceObject]) -> Vec<Inspection> {
        let inspected = transformer.inspect(objects).expect("no guest fails");
        inspected
            .into_iter()
            .map(|outcome| outcome.expect("it can be read"))
            .collect()
    }

    fn placed(transformer: &Transformer, objects: Vec<SourceObject>) -> Vec<PlacedObject> {
        let mut placement = Placement::new();
        let keys = objects.iter().map(|object| object.key.clone());
        let changes = keys.zip(inspected(transformer, &objects));
        placement.apply(changes.map(|(key, wish)| Change::Put(key, wish)).collect());
        objects
            .into_iter()
            .map(|object| placement.placed(&object.key.clone(), object))
            .collect()
    }

    #[test]
    fn what_is_remembered_of_a_name_with_a_secret_is_the_id() {
        let transformer = transformer();
        let row = ObjectKey::Row {
            component: "acme.ex".parse().expect("an id"),
            config: "1".parse().expect("an id"),
            row: "r7".parse().expect("an id"),
        };
        let objects = [
            object(
                config("acme.ex", "1"),
                &json!({"name": format!("Orders {TOKEN}"), "configuration": {}}),
            ),
            object(row.clone(), &json!({"name": TOKEN, "configuration": {}})),
            object(row, &json!({"name": "", "configuration": {"name": TOKEN}})),
            object(
                config("acme.ex", "2"),
                &json!({"name": CREDENTIAL.replace('-', "_"), "configuration": {}}),
            ),
            object(
                config("acme.ex", "3"),
                &json!({"name": "Orders", "configuration": {}}),
            ),
        ];
        let inspected = inspected(&transformer, &objects);
        let segments: Vec<&str> = inspected.iter().map(|one| one.segment.as_str()).collect();
        let expected = [
            "other/acme.ex/1",
            "rows/r7",
            "rows/r7",
            "other/acme.ex/2",
            "other/acme.ex/orders",
        ];
        assert_eq!(segments, expected);
        let slugs = Slugs::new([TOKEN, CREDENTIAL]);
        for one in &inspected {
            let stored = serde_json::to_string(one).expect("plain data");
            assert!(!slugs.is_in(&stored), "{stored}");
        }
        assert_eq!(inspected[1].sort_name, "r7");
    }

    #[test]
    fn a_source_that_is_no_json_withholds_its_object_alone() {
        let transformer = transformer();
        let mut broken = object(config("acme.ex", "1"), &json!({}));
        broken.source.push('x');
        let fine = object(config("acme.ex", "2"), &json!({"name": "Orders"}));
        let outcomes = transformer
            .inspect(&[broken.clone(), fine.clone()])
            .expect("no guest fails");
        assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
        let place = |object: SourceObject| PlacedObject {
            path: Some(object.key.to_string()),
            object,
            parent: None,
            claimed_by: Vec::new(),
            references: Vec::new(),
        };
        let clean = transformer
            .objects(vec![place(broken.clone()), place(fine)])
            .expect("no guest fails");
        assert_eq!(clean.withheld.len(), 1);
        assert_eq!(clean.withheld[0].subject, Subject::Object(broken.key));
        assert_eq!(clean.withheld[0].reason.kind(), "source");
    }

    #[test]
    fn secrets_in_names_of_blocks_codes_phases_and_tasks_are_in_no_path_and_no_file() {
        let transformer = transformer();
        let named = |what: &str| format!("{what} {TOKEN}");
        let sources = [
            object(
                config("keboola.snowflake-transformation", "1"),
                &json!({"name": "Clean", "configuration": {"parameters": {"blocks": [
                    {"name": named("block"), "codes": [{"name": named("code"), "script": ["SELECT 1"]}]},
                ]}}}),
            ),
            object(
                config("keboola.orchestrator", "2"),
                &json!({"name": "Nightly", "configuration": {
                    "phases": [{"id": 1, "name": named("first"), "dependsOn": []},
                               {"id": 2, "name": "second", "dependsOn": [1]}],
                    "tasks": [{"id": 3, "phase": 1, "name": named("task"), "task": {
                        "componentId": "keboola.snowflake-transformation", "configId": "1", "mode": "run"}}],
                }}),
            ),
        ];
        let clean = transformer
            .objects(placed(&transformer, sources.into()))
            .expect("no guest fails");
        assert_eq!(clean.withheld, []);
        let slugs = Slugs::new([TOKEN]);
        let mut paths = Vec::new();
        let mut masked = 0;
        for object in clean.batches.into_iter().flat_map(MirrorBatch::into_objects) {
            masked += object.stats().masked;
            for file in object.files() {
                assert!(!slugs.is_in(file.path().as_str()), "{}", file.path());
                assert!(
                    !slugs.is_in(file.content()),
                    "{}: {}",
                    file.path(),
                    file.content()
                );
                paths.push(file.path().to_string());
            }
        }
        assert_eq!(masked, 4, "what was taken from names is counted");
        for ending in ["code.sql", "task.json"] {
            let path = paths.iter().find(|path| path.ends_with(ending));
            assert!(
                path.is_some_and(|path| path.matches("/001-").count() == 2 && path.contains("redacted")),
                "{paths:?}"
            );
        }
    }

    fn file(path: &str, content: &str) -> RawFile {
        RawFile {
            path: path.into(),
            kind: DocumentKind::Config,
            content: content.into(),
        }
    }

    #[test]
    fn a_renderer_that_makes_a_path_of_a_secret_gets_its_object_withheld() {
        let transformer = transformer();
        let rendered = |id: &str, path: String, content: &str| {
            let files = vec![
                file(&format!("configs/main/{path}/x.txt"), ""),
                file(&format!("configs/main/{id}/note.md"), content),
            ];
            let entries = Vec::new();
            (
                Subject::Object(config("acme.ex", id)),
                Rendered { files, entries },
            )
        };
        let content = format!("use {TOKEN} here");
        let mut withheld = Vec::new();
        let batch = vec![
            rendered("1", format!("a-{}", normalize_name(TOKEN)), &content),
            rendered("2", "a".into(), &content),
            // No policy finds it; the run knows it.
            rendered("3", format!("b-{}", CREDENTIAL.to_lowercase()), "nothing"),
        ];
        let filtered = transformer
            .redact_and_filter(batch, Vec::new(), &mut withheld)
            .expect("no guest fails");
        let reason = |withheld: &Withheld| (withheld.subject.to_string(), withheld.reason.clone());
        assert_eq!(withheld.len(), 1, "{withheld:?}");
        let (subject, WithholdReason::Guarded { file, .. }) = reason(&withheld[0]) else {
            panic!("{withheld:?}");
        };
        assert_eq!((subject.as_str(), file.as_str()), ("acme.ex/1", "a path"));

        let clean = transformer
            .guard(vec![(filtered, Vec::new())])
            .expect("no guest fails");
        let passed: Vec<String> = clean
            .batches
            .iter()
            .flat_map(MirrorBatch::objects)
            .map(|object| object.subject().to_string())
            .collect();
        assert_eq!(passed, ["acme.ex/2"]);
        assert_eq!(clean.withheld[0].reason.public(), "guarded guard-known-secret");
    }

    #[test]
    fn a_name_is_judged_as_it_was_typed_and_as_it_is_shown() {
        let transformer = transformer();
        let may_be_shown = |name: &str| transformer.judge_name(name).expect("no guest fails");
        assert!(may_be_shown(""));
        assert!(may_be_shown("Orders 2026 (new)"));
        assert!(!may_be_shown(&format!("try {TOKEN}")));
        assert!(!may_be_shown(CREDENTIAL));
        assert!(!may_be_shown(&CREDENTIAL.replace('-', " ")));
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
