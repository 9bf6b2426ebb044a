//! Policies that are watched before they are switched on.
//!
//! A shadow judges what it would see in its place, and what it says is counted; it changes nothing, withholds nothing and
//! is no part of what decides how files look. Whatever goes wrong with it is its own affair: it is told, and one that keeps failing
//! is set aside until the next start, so that it costs no more time.

use super::Policy;
use jiff::Timestamp;
use mirror_core::{
    batch::{RedactedBatch, Rehearsed, Subject},
    document::{Context, Document, DocumentKind},
    finding::{Verdict, WithholdReason},
    guard::Guard,
    ids::{BranchId, MirrorId},
    redaction::{Redaction, replaced},
    walk::Format,
};
use mirror_sandbox::SandboxError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{info, warn};

/// Objects, and texts, of which is remembered what would become of them; of more only that they are.
const REMEMBERED_MAX: usize = 10_000;
/// Objects that are named on a page.
const NAMED_MAX: usize = 100;
/// Calls that ran out of time one after the other, before no more are made.
const DEADLINES_MAX: u32 = 3;

/// A policy that only watches.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// So many policies that are switched on judge before it.
    after: usize,
    /// None where it cannot be used.
    policy: Option<Policy>,
    report: Arc<ShadowReport>,
    /// Documents without a verdict one after the other, before no more are asked about.
    failures_in_row_max: u32,
}

impl Shadow {
    pub(super) fn new(
        after: usize,
        policy: Result<Policy, String>,
        report: ShadowReport,
        failures_in_row_max: u32,
    ) -> Self {
        match &policy {
            Ok(policy) => report.seen().identity = Some(policy.identity().clone()),
            Err(problem) => {
                warn!(mirror = %report.mirror, policy = report.name, problem, "a shadow policy cannot be used; nothing else is affected");
                report.seen().unusable = Some(problem.clone());
            }
        }
        Self {
            after,
            policy: policy.ok(),
            report: Arc::new(report),
            failures_in_row_max,
        }
    }

    /// Returns what is known of it.
    #[must_use]
    pub fn report(&self) -> &Arc<ShadowReport> {
        &self.report
    }

    /// Watches a batch that so many policies have judged; one that is not for this shadow's place is passed over. `guard` is
    /// the one that judges the batch in the end.
    pub fn watch(
        &self,
        context: &Context,
        judged_by: usize,
        batch: &RedactedBatch,
        redaction: &Redaction,
        guard: &Guard,
    ) {
        if self.after != judged_by {
            return;
        }
        let documents = batch.documents();
        let Some(verdicts) = self.verdicts(context, &documents) else {
            return;
        };
        let rehearsed = batch.rehearse(verdicts, redaction, guard);
        let (mut pieces, mut withheld) = (0_u64, 0_usize);
        let mut seen = self.report.seen();
        for Rehearsed {
            subject,
            by_rule,
            withheld: reason,
        } in rehearsed
        {
            pieces += by_rule.values().sum::<u64>();
            withheld += usize::from(reason.is_some());
            seen.note(
                (context.branch.clone(), subject),
                Effect {
                    by_rule,
                    withheld: reason,
                },
            );
        }
        drop(seen);
        self.told(pieces, withheld);
    }

    /// Watches names or messages.
    pub fn watch_texts(&self, context: &Context, documents: &[Document], redaction: &Redaction) {
        let Some(verdicts) = self.verdicts(context, documents) else {
            return;
        };
        let (mut pieces, mut withheld) = (0_u64, 0_usize);
        let mut seen = self.report.seen();
        for (document, verdict) in documents.iter().zip(verdicts) {
            let effect = effect_on_text(document, verdict, redaction);
            pieces += effect.by_rule.values().sum::<u64>();
            withheld += usize::from(effect.withheld.is_some());
            seen.note_text(document, effect);
        }
        drop(seen);
        self.told(pieces, withheld);
    }

    fn told(&self, pieces: u64, withheld: usize) {
        if pieces > 0 || withheld > 0 {
            let ShadowReport { mirror, name, .. } = &*self.report;
            info!(%mirror, policy = name, pieces, withheld, "a shadow policy would have changed something; nothing was changed");
        }
    }

    /// Asks; none where there is no answer.
    fn verdicts(&self, context: &Context, documents: &[Document]) -> Option<Vec<Verdict>> {
        let policy = self.policy.as_ref()?;
        if documents.is_empty() || self.report.seen().set_aside.is_some() {
            return None;
        }
        let answer = policy.redact(context, documents);
        let mut seen = self.report.seen();
        seen.documents += documents.len() as u64;
        seen.is_news = true;
        let set_aside = match &answer {
            Ok(verdicts) => seen.count_failures(verdicts, self.failures_in_row_max),
            Err(error) => seen.count_error(error),
        };
        if set_aside {
            let ShadowReport { mirror, name, .. } = &*self.report;
            warn!(%mirror, policy = name, why = seen.set_aside, "a shadow policy is set aside until the next start; nothing else is affected");
        }
        answer.ok()
    }
}

/// What would become of one text that is no file.
fn effect_on_text(document: &Document, verdict: Verdict, redaction: &Redaction) -> Effect {
    let findings = match verdict {
        Verdict::Findings(findings) if findings.is_empty() => return Effect::default(),
        Verdict::Findings(findings) => findings,
        Verdict::Withhold(reason) => {
            return Effect {
                withheld: Some(reason),
                ..Effect::default()
            };
        }
    };
    let mut effect = Effect::default();
    let text = document.leaves.get(0).map_or("", |leaf| leaf.value);
    // What does not fit the text takes all of it.
    for piece in replaced(Format::Text, text, &findings, redaction).unwrap_or_default() {
        let rule = piece.rule().unwrap_or("removed").to_owned();
        *effect.by_rule.entry(rule).or_default() += 1;
    }
    effect
}

/// What a shadow has seen since counting began: when it was switched on, or its component or settings changed last.
#[derive(Debug)]
pub struct ShadowReport {
    mirror: MirrorId,
    name: String,
    seen: Mutex<Seen>,
    /// One stores at a time, so that what is stored last is what is newest.
    pub(crate) storing: tokio::sync::Mutex<()>,
}

/// What would become of an object or text in the form in which it was seen last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Effect {
    by_rule: BTreeMap<String, u64>,
    withheld: Option<WithholdReason>,
}

impl Effect {
    fn is_nothing(&self) -> bool {
        self.by_rule.is_empty() && self.withheld.is_none()
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// Digest of the component, and its settings with all else that its verdicts depend on; none where it cannot be used.
    identity: Option<(String, String)>,
    since: Timestamp,
    /// It is not stored yet, or not as it is now.
    is_news: bool,
    /// It is known what was stored before.
    is_recalled: bool,
    unusable: Option<String>,
    set_aside: Option<String>,
    documents: u64,
    objects: BTreeMap<(BranchId, Subject), Effect>,
    names: BTreeMap<[u8; 32], Effect>,
    messages: BTreeMap<[u8; 32], Effect>,
    /// Something is not remembered.
    more: bool,
    failures: BTreeMap<String, u64>,
    last_failure: Option<String>,
    failed_in_row: u32,
    deadlines_in_row: u32,
}

/// What is stored of it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    identity: (String, String),
    since: Timestamp,
    documents: u64,
    objects: Vec<((BranchId, Subject), Effect)>,
    names: Vec<([u8; 32], Effect)>,
    messages: Vec<([u8; 32], Effect)>,
    more: bool,
    failures: BTreeMap<String, u64>,
    last_failure: Option<String>,
}

impl Seen {
    fn note(&mut self, key: (BranchId, Subject), effect: Effect) {
        self.more |= !remember(&mut self.objects, key, effect);
    }

    fn note_text(&mut self, document: &Document, effect: Effect) {
        let text = document.leaves.get(0).map_or("", |leaf| leaf.value);
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let texts = if document.kind == DocumentKind::Name {
            &mut self.names
        } else {
            &mut self.messages
        };
        let remembered = remember(texts, key, effect);
        self.more |= !remembered;
    }

    /// Counts documents without a verdict. Returns whether the shadow was set aside for it.
    fn count_failures(&mut self, verdicts: &[Verdict], failures_in_row_max: u32) -> bool {
        self.deadlines_in_row = 0;
        for verdict in verdicts {
            match verdict {
                Verdict::Findings(_) => self.failed_in_row = 0,
                Verdict::Withhold(reason) => {
                    *self.failures.entry(reason.kind().to_owned()).or_default() += 1;
                    self.last_failure = Some(reason.to_string());
                    self.failed_in_row += 1;
                }
            }
        }
        if self.failed_in_row < failures_in_row_max {
            return false;
        }
        self.set_aside = Some(format!(
            "it gave no verdict on {} documents in a row",
            self.failed_in_row
        ));
        true
    }

    fn count_error(&mut self, error: &SandboxError) -> bool {
        let kind = if error.is_temporary() {
            "deadline"
        } else {
            "sandbox"
        };
        *self.failures.entry(kind.to_owned()).or_default() += 1;
        self.last_failure = Some(error.to_string());
        self.deadlines_in_row += 1;
        if error.is_temporary() && self.deadlines_in_row < DEADLINES_MAX {
            return false;
        }
        self.set_aside = Some(if error.is_temporary() {
            format!("it ran out of time {} times in a row", self.deadlines_in_row)
        } else {
            error.to_string()
        });
        true
    }
}

/// Keeps what has an effect, and drops what has none any more. Returns whether there was room.
fn remember<K: Ord>(effects: &mut BTreeMap<K, Effect>, key: K, effect: Effect) -> bool {
    if effect.is_nothing() {
        effects.remove(&key);
        return true;
    }
    if effects.len() >= REMEMBERED_MAX && !effects.contains_key(&key) {
        return false;
    }
    effects.insert(key, effect);
    true
}

impl ShadowReport {
    pub(super) fn new(mirror: MirrorId, name: String, now: Timestamp) -> Self {
        let seen = Seen {
            since: now,
            is_news: true,
            ..Seen::default()
        };
        Self {
            mirror,
            name,
            seen: Mutex::new(seen),
            storing: tokio::sync::Mutex::default(),
        }
    }

    /// Returns whether something is to be stored.
    #[must_use]
    pub fn is_news(&self) -> bool {
        let seen = self.seen();
        seen.is_news && seen.identity.is_some()
    }

    /// Returns what is to be stored; none of a policy that cannot be used. Say so with [`Self::unstored`] where that fails.
    #[must_use]
    pub fn store(&self) -> Option<String> {
        let mut seen = self.seen();
        let stored = Stored {
            identity: seen.identity.clone()?,
            since: seen.since,
            documents: seen.documents,
            objects: seen.objects.clone().into_iter().collect(),
            names: seen.names.clone().into_iter().collect(),
            messages: seen.messages.clone().into_iter().collect(),
            more: seen.more,
            failures: seen.failures.clone(),
            last_failure: seen.last_failure.clone(),
        };
        seen.is_news = false;
        serde_json::to_string(&stored).ok()
    }

    /// Notes that what was to be stored is not.
    pub fn unstored(&self) {
        self.seen().is_news = true;
    }

    #[must_use]
    pub fn is_recalled(&self) -> bool {
        self.seen().is_recalled
    }

    /// Goes on counting from what was stored, unless another component or other settings were watched then, or another
    /// release wrote it. Only the first time that it is called.
    pub fn recall(&self, stored: Option<&str>) {
        let mut seen = self.seen();
        if std::mem::replace(&mut seen.is_recalled, true) {
            return;
        }
        let stored = stored.and_then(|stored| serde_json::from_str(stored).ok());
        let Some(stored) = stored.filter(|stored: &Stored| seen.identity.as_ref() == Some(&stored.identity))
        else {
            return;
        };
        let Stored {
            identity: _,
            since,
            documents,
            objects,
            names,
            messages,
            more,
            failures,
            last_failure,
        } = stored;
        *seen = Seen {
            since,
            is_news: false,
            documents,
            objects: objects.into_iter().collect(),
            names: names.into_iter().collect(),
            messages: messages.into_iter().collect(),
            more,
            failures,
            last_failure,
            ..std::mem::take(&mut *seen)
        };
    }

    /// Returns whose it is, and what it is called.
    #[must_use]
    pub fn id(&self) -> (&MirrorId, &str) {
        (&self.mirror, &self.name)
    }

    /// Returns what is known, for people and programs; nothing of content.
    #[must_use]
    pub fn page(&self) -> Value {
        let seen = self.seen();
        let (state, why) = match (&seen.unusable, &seen.set_aside) {
            (Some(problem), _) => ("cannot be used", Some(problem)),
            (None, Some(why)) => ("set aside", Some(why)),
            (None, None) => ("watching", None),
        };
        let mut objects = totals(seen.objects.values());
        let named = seen
            .objects
            .iter()
            .take(NAMED_MAX)
            .map(|((branch, subject), effect)| {
                json!({
                    "branchId": branch.as_str(),
                    "object": subject.to_string(),
                    "findings": effect.by_rule,
                    "withheld": effect.withheld.as_ref().map(ToString::to_string),
                })
            });
        objects["named"] = named.collect();
        json!({
            "mirror": self.mirror.as_str(),
            "policy": self.name,
            "sha256": seen.identity.as_ref().map(|(digest, _)| digest),
            "since": seen.since.to_string(),
            "state": state,
            "why": why,
            "documents": seen.documents,
            "objects": objects,
            "names": totals(seen.names.values()),
            "messages": totals(seen.messages.values()),
            "more": seen.more,
            "failures": seen.failures,
            "lastFailure": seen.last_failure,
        })
    }

    /// A panic elsewhere cannot leave it half changed: nothing of ours runs while it is.
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn totals<'e>(effects: impl Iterator<Item = &'e Effect>) -> Value {
    let (mut changed, mut withheld) = (0_u64, 0_u64);
    let mut findings: BTreeMap<&str, u64> = BTreeMap::new();
    for effect in effects {
        match effect.withheld {
            Some(_) => withheld += 1,
            None => changed += 1,
        }
        for (rule, count) in &effect.by_rule {
            *findings.entry(rule).or_default() += count;
        }
    }
    json!({ "wouldChange": changed, "wouldWithhold": withheld, "findings": findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withheld() -> Verdict {
        Verdict::Withhold(WithholdReason::Trapped {
            guest: "policy p".into(),
            detail: "unreachable".into(),
        })
    }

    #[test]
    fn only_failures_one_after_the_other_set_a_shadow_aside() {
        let mut seen = Seen::default();
        let fine = Verdict::Findings(Vec::new());
        for _ in 0..10 {
            assert!(!seen.count_failures(&[withheld(), withheld(), fine.clone()], 3));
        }
        assert_eq!(seen.failures["trapped"], 20);
        assert!(!seen.count_failures(&[withheld(), withheld()], 3));
        assert!(seen.count_failures(&[withheld()], 3), "across calls too");
        assert!(seen.set_aside.is_some_and(|why| why.contains("3 documents")));
    }

    #[test]
    fn what_has_no_effect_any_more_is_not_told() {
        let mut seen = Seen::default();
        let branch: BranchId = "1".parse().expect("an id");
        let key = |bucket: &str| {
            (
                branch.clone(),
                Subject::Object(mirror_core::ids::ObjectKey::Bucket(
                    bucket.parse().expect("an id"),
                )),
            )
        };
        let effect = |count| Effect {
            by_rule: BTreeMap::from([("word".to_owned(), count)]),
            withheld: None,
        };
        seen.note(key("in.c-a"), effect(2));
        seen.note(key("in.c-a"), effect(1));
        seen.note(key("in.c-b"), effect(4));
        assert_eq!(totals(seen.objects.values())["findings"]["word"], 5);
        seen.note(key("in.c-b"), Effect::default());
        assert_eq!(
            totals(seen.objects.values()),
            json!({ "wouldChange": 1, "wouldWithhold": 0, "findings": { "word": 1 } })
        );
    }

    #[test]
    fn counting_goes_on_from_what_was_stored_and_begins_anew_with_other_settings() {
        let report = |settings: &str, at: i64| {
            let at = Timestamp::from_second(at).expect("a time");
            let report = ShadowReport::new("shop".parse().expect("an id"), "p".to_owned(), at);
            report.seen().identity = Some(("digest".to_owned(), settings.to_owned()));
            report
        };
        let first = report("{}", 10);
        {
            let mut seen = first.seen();
            let branch: BranchId = "1".parse().expect("an id");
            let bucket = mirror_core::ids::ObjectKey::Bucket("in.c-a".parse().expect("an id"));
            let effect = Effect {
                by_rule: BTreeMap::from([("word".to_owned(), 2)]),
                withheld: None,
            };
            seen.note((branch, Subject::Object(bucket)), effect.clone());
            seen.names.insert([7; 32], effect);
            seen.documents = 9;
            seen.count_failures(&[withheld()], 3);
        }
        assert!(first.is_news());
        let stored = first.store().expect("it can be used");
        assert!(!first.is_news());
        let second = report("{}", 20);
        second.recall(Some(&stored));
        assert_eq!(second.page(), first.page());
        assert!(!second.is_news());
        let other = report("{\"a\":1}", 30);
        other.recall(Some(&stored));
        let page = other.page();
        assert_eq!(
            (&page["documents"], &page["since"]),
            (&json!(0), &json!("1970-01-01T00:00:30Z"))
        );
        assert!(other.is_news());
        let older = report("{}", 40);
        older.recall(Some("of another release"));
        older.recall(Some(&stored));
        assert_eq!(
            older.page()["documents"],
            0,
            "it goes on from what it has counted since"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut effects = BTreeMap::new();
        let effect = Effect {
            by_rule: BTreeMap::from([("word".to_owned(), 1)]),
            withheld: None,
        };
        for at in 0..REMEMBERED_MAX {
            assert!(remember(&mut effects, at, effect.clone()));
        }
        assert!(!remember(&mut effects, REMEMBERED_MAX, effect.clone()));
        assert!(remember(&mut effects, 0, effect), "what is there is replaced");
        assert_eq!(effects.len(), REMEMBERED_MAX);
    }
}
