//! What a policy would have taken out of what is committed. Each blob is read once, and each text of a path judged once.

use super::{
    blobs::BlobBatches,
    history::{Content, History},
    owners::{Owner, Owners},
};
use crate::{
    app::Failure,
    cli::policy::{
        documents::Judged,
        touched::{Found, HIDDEN, Kept, Passage, printable, verdicts},
    },
};
use mirror_core::{
    document::DocumentKind,
    finding::Verdict,
    guard::{Guard, Sightings},
    ids::Oid,
    marker::TagKey,
    path::{AGENTS_FILE, AGENTS_MARKER},
    redaction::{Redaction, SecretsMode, document_of_text},
};
use mirror_git::Remote;
use mirror_sandbox::RedactionPolicy;
use std::collections::{BTreeMap, BTreeSet};

/// Larger ones are no files of a mirror.
const FILE_BYTES_MAX: usize = 64 << 20;
/// Letters and digits of a piece that is looked for in paths.
const SHOWS_LEN_MIN: usize = 3;

/// How a policy is asked.
pub(super) struct Judge<'j> {
    pub(super) name: &'j str,
    pub(super) policy: &'j RedactionPolicy,
    pub(super) guard: &'j Guard,
    /// Pieces that are shown of each text.
    pub(super) examples_max: usize,
}

/// What became of one text.
#[derive(Clone, Default)]
pub(super) struct Verdicts {
    /// Pieces by rule.
    pub(super) rules: BTreeMap<String, u64>,
    /// Bytes of the text that would give way.
    pub(super) bytes: u64,
    pub(super) examples: Vec<Kept>,
    /// The policy gives no answer, so its object would be withheld.
    pub(super) withheld: Option<String>,
    /// The guard objects to what is left, or to what went only in part.
    pub(super) guard: Option<String>,
}

impl Verdicts {
    pub(super) fn findings(&self) -> u64 {
        self.rules.values().sum()
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.rules.is_empty() && self.withheld.is_none() && self.guard.is_none()
    }

    /// Returns what would differ in a commit, whatever it is.
    pub(super) fn changes(&self) -> bool {
        !self.rules.is_empty() || self.withheld.is_some()
    }
}

/// What a policy says of a history.
#[derive(Default)]
pub(super) struct Outcome {
    /// By the index of the content; what has nothing to tell is not here.
    pub(super) contents: BTreeMap<usize, (Owner, Verdicts)>,
    /// By the position of the commit.
    pub(super) messages: BTreeMap<usize, Verdicts>,
    /// Pieces found in names of which paths are made, by rule.
    pub(super) names: BTreeMap<String, u64>,
    pub(super) names_judged: usize,
    pub(super) judged: usize,
    /// Contents that are no text.
    pub(super) unread: usize,
    found: FoundInAll,
}

/// What was found in all texts. May be secrets: never printed.
#[derive(Default)]
struct FoundInAll {
    texts: Found,
    /// Letters and digits only, as names in paths have them.
    squeezed: BTreeSet<String>,
}

impl Judge<'_> {
    /// Judges all contents, names and messages of a history.
    ///
    /// # Errors
    /// A remote that fails, or a sandbox that fails as a whole.
    pub(super) fn judge(
        &self,
        remote: &dyn Remote,
        history: &History,
        owners: &Owners,
        mut told: impl FnMut(usize),
    ) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        let mut by_blob: BTreeMap<Oid, Vec<usize>> = BTreeMap::new();
        for (at, content) in history.contents.iter().enumerate() {
            by_blob.entry(content.blob).or_default().push(at);
        }
        let mut names = BTreeSet::new();
        let blobs: Vec<Oid> = by_blob.keys().copied().collect();
        for batch in BlobBatches::new(&blobs, |ids| remote.read_blobs(ids)) {
            let (ids, read) = batch?;
            let (mut judged, mut of) = (Vec::new(), Vec::new());
            for (id, blob) in ids.iter().zip(read) {
                let places = &by_blob[id];
                let Some(text) = text(blob) else {
                    outcome.unread += places.len();
                    continue;
                };
                for at in places {
                    let content = &history.contents[*at];
                    if is_a_strangers(content, &text) {
                        continue;
                    }
                    let owner = owners.of(*at, content, &text);
                    let ids = (owner.0.as_str(), owner.1.as_str());
                    names.extend(names_of(content, &text));
                    judged.push(Judged::committed(
                        &content.path,
                        &content.below_root,
                        ids,
                        text.clone(),
                    ));
                    of.push((*at, owner));
                }
            }
            outcome.judged += judged.len();
            let answers = self.answers(history, judged, &mut outcome.found)?;
            for ((at, owner), answer) in of.into_iter().zip(answers) {
                if !answer.is_nothing() {
                    outcome.contents.insert(at, (owner, answer));
                }
            }
            told(outcome.judged);
        }
        self.judge_names(history, &names, &mut outcome)?;
        self.judge_messages(history, &mut outcome)?;
        Ok(outcome)
    }

    fn judge_names(
        &self,
        history: &History,
        names: &BTreeSet<String>,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        outcome.names_judged = names.len();
        let names = names.iter();
        let judged = names
            .map(|name| Judged::text(document_of_text(DocumentKind::Name, name)))
            .collect();
        for answer in self.answers(history, judged, &mut outcome.found)? {
            for (rule, count) in answer.rules {
                *outcome.names.entry(rule).or_default() += count;
            }
        }
        Ok(())
    }

    /// Judges the messages of the mirror's own commits, without their trailers.
    fn judge_messages(&self, history: &History, outcome: &mut Outcome) -> Result<(), Failure> {
        let (mut judged, mut of) = (Vec::new(), Vec::new());
        for (at, step) in history.commits.iter().enumerate() {
            let Some(trailers) = &step.trailers else { continue };
            let message = step.commit.message.trim_end();
            let text = message.rfind("\n\n").map_or("", |end| &message[..end]);
            let mut document = document_of_text(DocumentKind::Message, text);
            if let ([change], None) = (trailers.changes.as_slice(), &trailers.all_changes) {
                change.component.as_str().clone_into(&mut document.component_id);
                change.config.as_str().clone_into(&mut document.config_id);
            }
            judged.push(Judged::text(document));
            of.push(at);
        }
        let answers = self.answers(history, judged, &mut outcome.found)?;
        for (at, answer) in of.into_iter().zip(answers) {
            if !answer.is_nothing() {
                outcome.messages.insert(at, answer);
            }
        }
        Ok(())
    }

    /// Asks about texts, and applies the answers; one for each, in order.
    fn answers(
        &self,
        history: &History,
        judged: Vec<Judged>,
        found: &mut FoundInAll,
    ) -> Result<Vec<Verdicts>, Failure> {
        let documents: Vec<_> = judged.iter().map(|judged| judged.document.clone()).collect();
        let verdicts = verdicts(self.policy, &history.context, &documents)?;
        let answers = judged.into_iter().zip(verdicts);
        Ok(answers
            .map(|(judged, verdict)| self.answer(judged, verdict, found))
            .collect())
    }

    fn answer(&self, judged: Judged, verdict: Verdict, found: &mut FoundInAll) -> Verdicts {
        let mut answer = Verdicts::default();
        let findings = match verdict {
            Verdict::Findings(findings) => findings,
            Verdict::Withhold(reason) => {
                answer.withheld = Some(reason.to_string());
                Vec::new()
            }
        };
        // As the repository has it, nothing but the policy takes anything away here.
        let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
        let before = judged.text.clone();
        let mut passage = Passage::new(judged);
        if !findings.is_empty() {
            match passage.apply(self.name, &findings, &redaction) {
                Ok(pieces) => {
                    for piece in &pieces {
                        let rule = piece.rule().unwrap_or("removed").to_owned();
                        *answer.rules.entry(rule).or_default() += 1;
                        answer.bytes += piece.range.len() as u64;
                        let squeezed = squeezed(&before[piece.range.clone()]);
                        if squeezed.len() >= SHOWS_LEN_MIN {
                            found.squeezed.insert(squeezed);
                        }
                    }
                    passage.check_cut(self.guard, &before, &pieces);
                    answer.examples = passage.kept(self.examples_max, self.guard);
                    found.texts.extend(std::mem::take(&mut passage.found));
                }
                Err(error) => answer.withheld = Some(error.to_string()),
            }
        }
        answer.guard = passage.guarded(self.guard).map(|rule| rule.as_str().to_owned());
        answer
    }
}

impl Outcome {
    /// Returns what is needed to show pieces: nothing that was found in any text is in what is shown of another.
    pub(super) fn sightings(&self) -> Sightings {
        self.found.texts.sightings()
    }

    /// Returns a path as it can be shown: without the segments that say what was found somewhere.
    pub(super) fn shown(&self, path: &str) -> String {
        let shows = |segment: &str| {
            let segment = squeezed(segment);
            self.found
                .squeezed
                .iter()
                .any(|found| segment.contains(found.as_str()))
        };
        let segments = path.split('/');
        let shown: Vec<&str> = segments
            .map(|segment| if shows(segment) { HIDDEN } else { segment })
            .collect();
        printable(&shown.join("/"))
    }
}

/// Returns the letters and digits of a text, small.
fn squeezed(text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn text(blob: Vec<u8>) -> Option<String> {
    String::from_utf8(blob)
        .ok()
        .filter(|text| text.len() <= FILE_BYTES_MAX)
}

/// The one file outside the mirror's directories is its own only where it says so.
fn is_a_strangers(content: &Content, text: &str) -> bool {
    content.below_root == AGENTS_FILE && !text.starts_with(AGENTS_MARKER)
}

/// Returns the names that were judged before a path was made of them: as they were typed, and as they stand in the path.
fn names_of(content: &Content, text: &str) -> Vec<String> {
    let path = content.below_root.as_str();
    let Some(inside) = path
        .strip_prefix("configs/")
        .and_then(|path| path.split_once('/'))
    else {
        return Vec::new();
    };
    let mut names: Vec<String> = inside.1.split('/').map(str::to_owned).collect();
    // The last one is the renderer's.
    names.pop();
    if path.ends_with("/meta.json") {
        let parsed: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        names.extend(parsed["name"].as_str().map(str::to_owned));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_does_not_say_what_was_found() {
        let outcome = Outcome {
            found: FoundInAll {
                squeezed: BTreeSet::from([squeezed("CUST-0041 2345"), squeezed("Žluťoučký")]),
                ..FoundInAll::default()
            },
            ..Outcome::default()
        };
        let shown = |path| outcome.shown(path);
        assert_eq!(
            shown("configs/main/extractor/x/cust-00412345-orders/meta.json"),
            format!("configs/main/extractor/x/{HIDDEN}/meta.json")
        );
        assert_eq!(shown("a/žluťoučký"), format!("a/{HIDDEN}"));
        assert_eq!(shown("a/customers"), "a/customers");
    }
}
