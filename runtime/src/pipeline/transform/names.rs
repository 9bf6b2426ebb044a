//! Judging names before anything is made of them: paths, references, stored records.

use super::{Outcome, Transformer, id_segment, joined};
use mirror_core::{
    batch::{Subject, Withheld},
    document::{Document, DocumentKind},
    finding::{Finding, RuleId, Target, Verdict, WithholdReason},
    guard::{Guard, Slugs},
    ids::ObjectKey,
    layout::{Inspection, PlacedObject, Reference, SourceName, SourceObject},
    placement::normalize_name,
    redaction::{RedactionStats, document_of_text, redact_text, replaced},
    walk::{Format, Malformed},
};
use mirror_sandbox::SandboxError;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, PoisonError},
};

/// What policies and guard found in names, by name. Names may hold secrets: this is never printed or stored.
#[derive(Default)]
pub struct JudgedNames {
    found: HashMap<String, Vec<Finding>>,
    /// How many secrets the run had learnt ([`super::OwnSecrets::learnt`]) when they were judged.
    learnt: u64,
    /// Against those secrets; made once for all of them.
    guard: Option<Arc<Guard>>,
}

impl fmt::Debug for JudgedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JudgedNames({})", self.found.len())
    }
}

/// Of one lane; then it begins anew.
const JUDGED_NAMES_MAX: usize = 50_000;
/// Longer ones are rare, and judged each time.
const JUDGED_BYTES_MAX: usize = 256;

/// What was taken out of the names of one object.
pub(super) type Counted = (Subject, RedactionStats);

impl Transformer {
    /// Says whether a name may be shown: as it was typed, and as a path or reference shows it.
    ///
    /// # Errors
    /// A sandbox that fails as a whole.
    pub fn judge_name(&self, raw: &str) -> Result<bool, SandboxError> {
        let slug = normalize_name(raw);
        Ok(self.judge_names([raw, slug.as_str()])?.0.is_empty())
    }

    /// Returns the guard against the run's own secrets, and how many of them had been learnt. Where that are more than
    /// before, what was judged is forgotten.
    pub(super) fn names_guard(&self) -> (u64, Arc<Guard>) {
        let mut judged = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guard) = &judged.guard
            && judged.learnt == self.own_secrets.learnt()
        {
            return (judged.learnt, Arc::clone(guard));
        }
        let (learnt, own_secrets) = self.own_secrets.known();
        let guard = Arc::new(Guard::new(&own_secrets));
        if judged.learnt != learnt {
            judged.found.clear();
            judged.learnt = learnt;
        }
        judged.guard = Some(Arc::clone(&guard));
        (learnt, guard)
    }

    /// Judges each text by all policies and the guard.
    fn judge_names<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Result<BadNames, SandboxError> {
        let mut texts: BTreeSet<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let mut bad = BTreeMap::new();
        let (learnt, guard) = self.names_guard();
        {
            let judged = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            let found = |text: &str| judged.found.get(text).filter(|_| judged.learnt == learnt);
            texts.retain(|text| match found(text) {
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
        self.watch_texts(&documents);
        let mut verdicts = joined(verdicts).into_iter();
        let mut fresh: Vec<(&str, Vec<Finding>)> = Vec::with_capacity(texts.len());
        for text in texts {
            let findings = match (guard.check_name(text), verdicts.next()) {
                (Some(rule), _) => vec![all_of_it(rule)],
                (None, Some(Verdict::Findings(mut findings))) => {
                    // To policies it is no secret; what is made of it would show it where the mode hides it.
                    findings.extend(self.redaction.ciphers(text));
                    findings
                }
                (None, Some(Verdict::Withhold(_)) | None) => {
                    vec![all_of_it(
                        RuleId::parse(UNJUDGED).expect("the rule is well-formed"),
                    )]
                }
            };
            if !findings.is_empty() {
                bad.insert(text.to_owned(), findings.clone());
            }
            fresh.push((text, findings));
        }
        let mut judged = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.learnt != learnt {
            return Ok(BadNames(bad));
        }
        if judged.found.len() + fresh.len() > JUDGED_NAMES_MAX {
            judged.found.clear();
        }
        let kept = fresh
            .into_iter()
            .filter(|(text, _)| text.len() <= JUDGED_BYTES_MAX);
        judged
            .found
            .extend(kept.map(|(text, findings)| (text.to_owned(), findings)));
        Ok(BadNames(bad))
    }

    pub(super) fn clean_inspections(
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
    /// of it. Objects that cannot be read are withheld, and those of which a name has a secret that did not go whole.
    pub(super) fn clean_sources(
        &self,
        placed: Vec<PlacedObject>,
        guard: &Guard,
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
        let (mut stats, mut clean) = (Vec::new(), Vec::with_capacity(readable.len()));
        for (mut placed, names) in readable.into_iter().zip(names) {
            let found = bad.found_in(&names);
            if !found.is_empty() {
                let subject = Subject::Object(placed.object.key.clone());
                if let Some(rule) = self.cut_in_names(&found, guard) {
                    let reason = WithholdReason::Guarded {
                        rule: rule.as_str().to_owned(),
                        file: WithholdReason::IN_A_PATH.to_owned(),
                    };
                    withheld.push(Withheld { subject, reason });
                    continue;
                }
                stats.push((subject, placed.object.redact_names(found, &self.redaction)));
            }
            clean.push(placed);
        }
        Ok((clean, stats))
    }

    /// Returns the rule of a secret of which customers' policies would leave something in a name, so that the guard would
    /// not know it any more.
    fn cut_in_names(&self, found: &[(SourceName, Vec<Finding>)], guard: &Guard) -> Option<RuleId> {
        if self.policies.len() < 2 {
            return None;
        }
        found.iter().find_map(|(name, findings)| {
            // What cannot be applied takes all of the name.
            let replaced = replaced(Format::Text, &name.text, findings, &self.redaction).ok()?;
            guard.check_cut_name(
                &name.text,
                replaced.into_iter().map(|piece| piece.range).collect(),
            )
        })
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
        findings.filter_map(|finding| finding.piece(name)).collect()
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
