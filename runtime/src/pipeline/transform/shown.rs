//! What ids are called where operators read of them: in logs, in the status, among dead letters. Like a name, an id may be a
//! secret that somebody put in its place.

use super::Transformer;
use mirror_core::{
    document::{Document, DocumentKind},
    finding::Verdict,
    ids::{ObjectKey, hidden_name},
    redaction::document_of_text,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the policies and the guard say of a name; of several what comes later here counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Judged {
    Harmless,
    /// There is no answer.
    Unknown,
    /// It is a secret, or has one in it.
    Secret,
}

/// Longer ids are told by their digest.
const RAW_BYTES_MAX: usize = 100;

impl Transformer {
    /// Returns what objects are called, in their order: by their ids, or by a digest ([`ObjectKey::hidden`]) where one of
    /// these may be a secret. Blocks.
    pub fn called<'k>(&self, objects: impl IntoIterator<Item = &'k ObjectKey>) -> Vec<String> {
        let objects: Vec<&ObjectKey> = objects.into_iter().collect();
        let judged = self.judge_ids(objects.iter().flat_map(|object| object.ids()));
        let harmless = |id: &str| judged.get(id) == Some(&Judged::Harmless);
        let called = objects
            .iter()
            .map(|object| match object.ids().into_iter().all(harmless) {
                true => object.to_string(),
                false => object.hidden(),
            });
        called.collect()
    }

    /// Returns what something is called that stands in the place of an id and cannot be one, whatever it is made of: the
    /// kind, and the text in quotes with escapes; or the kind and a digest, where it may be a secret or is long. Blocks.
    pub fn called_raw(&self, kind: &str, raw: &str) -> String {
        if raw.len() > RAW_BYTES_MAX {
            return hidden_name(kind, raw);
        }
        // What breaks it up may be all that hides it.
        let joined: String = raw.chars().filter(|c| !c.is_control()).collect();
        let judged = self.judge_ids([raw, joined.as_str()]);
        match judged.values().all(|judged| *judged == Judged::Harmless) {
            true => format!("{kind} \"{}\"", raw.escape_debug()),
            false => hidden_name(kind, raw),
        }
    }

    /// Returns a text of ours, such as why a call failed, with a digest in place of each word that may be a secret: ids
    /// stand in it. Blocks.
    pub fn told(&self, text: &str) -> String {
        let pieces: Vec<(&str, &str)> = text.split_inclusive(ends_word).map(word_of).collect();
        let judged = self.judge_ids(pieces.iter().map(|(word, _)| *word));
        let mut told = String::with_capacity(text.len());
        for (word, end) in pieces {
            // Where a policy has no answer, nobody could read any more why.
            match judged.get(word) {
                Some(Judged::Secret) => told.push_str(&hidden_name("id", word)),
                Some(Judged::Harmless | Judged::Unknown) | None => told.push_str(word),
            }
            told.push_str(end);
        }
        // One that has several words.
        match self.guard().check_name(&told) {
            Some(_) => hidden_name("a text that may show a secret,", text),
            None => told,
        }
    }

    /// Judges each text by all policies and the guard, as a name.
    fn judge_ids<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> BTreeMap<&'t str, Judged> {
        let texts: BTreeSet<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return BTreeMap::new();
        }
        let documents: Vec<Document> = texts
            .iter()
            .map(|text| document_of_text(DocumentKind::Name, text))
            .collect();
        let guard = self.guard();
        let mut judged: BTreeMap<&str, Judged> = texts
            .iter()
            .map(|text| {
                let is_secret = guard.check_name(text).is_some() || !self.redaction.ciphers(text).is_empty();
                (
                    *text,
                    if is_secret {
                        Judged::Secret
                    } else {
                        Judged::Harmless
                    },
                )
            })
            .collect();
        for policy in &self.policies {
            let verdicts = policy.redact(&self.context, &documents).unwrap_or_default();
            let verdicts = verdicts.iter().map(Some).chain(std::iter::repeat(None));
            for (text, verdict) in texts.iter().zip(verdicts) {
                let said = match verdict {
                    Some(Verdict::Findings(findings)) if findings.is_empty() => Judged::Harmless,
                    Some(Verdict::Findings(_)) => Judged::Secret,
                    Some(Verdict::Withhold(_)) | None => Judged::Unknown,
                };
                let judged = judged.entry(text).or_insert(said);
                *judged = (*judged).max(said);
            }
        }
        judged
    }
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '/' | '`' | '"' | '\'' | '(' | ')' | ',' | ';')
}

/// Cuts what ends a word off it.
fn word_of(piece: &str) -> (&str, &str) {
    let end = piece.char_indices().next_back();
    match end.filter(|(_, c)| ends_word(*c)) {
        Some((at, _)) => piece.split_at(at),
        None => (piece, ""),
    }
}
