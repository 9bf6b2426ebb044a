//! What ids are called where operators read of them: in logs, in the status, among dead letters. Like a name, an id may be a
//! secret that somebody put in its place.
//!
//! Judged by the built-in policy and the guard. A customer's policy decides what goes into the repository; where it has no
//! answer, operators have to read of which object.

use super::Transformer;
use mirror_core::{
    document::{Document, DocumentKind},
    finding::Verdict,
    ids::{ObjectKey, hidden_name},
    redaction::document_of_text,
};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::PoisonError,
};

/// What cannot be an id and is longer is called by its digest.
const RAW_BYTES_MAX: usize = 100;

/// So many words are held; then it begins anew.
const JUDGED_WORDS_MAX: usize = 50_000;
/// Longer ones are rare, and judged each time.
const JUDGED_BYTES_MAX: usize = 256;

/// Whether the built-in policy found something in words. They may hold secrets: this is never printed or stored.
#[derive(Default)]
pub struct JudgedWords(HashMap<String, bool>);

impl fmt::Debug for JudgedWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JudgedWords({})", self.0.len())
    }
}

impl Transformer {
    /// Returns what objects are called, in their order: by their ids, or by a digest ([`ObjectKey::hidden`]) where one of
    /// these is a secret. Blocks.
    #[must_use]
    pub fn called(&self, objects: &[ObjectKey]) -> Vec<String> {
        let ids = objects.iter().map(ObjectKey::ids);
        let secrets = self.secrets_among(ids.flatten());
        let called =
            objects.iter().map(
                |object| match object.ids().into_iter().any(|id| secrets.contains(id)) {
                    true => object.hidden(),
                    false => object.to_string(),
                },
            );
        called.collect()
    }

    /// Returns what something is called that stands in the place of an id and cannot be one, whatever it is made of: the
    /// kind, and the text in quotes with escapes; or the kind and a digest, where it is a secret or long. Blocks.
    #[must_use]
    pub fn called_raw(&self, kind: &str, raw: &str) -> String {
        // What breaks it up may be all that hides it.
        let joined: String = raw.chars().filter(|c| !c.is_control()).collect();
        if raw.len() > RAW_BYTES_MAX || !self.secrets_among([raw, joined.as_str()]).is_empty() {
            return hidden_name(kind, raw);
        }
        format!("{kind} \"{}\"", raw.escape_debug())
    }

    /// Returns texts of ours, such as why a call failed, with a digest in place of each word that is a secret, for ids
    /// stand in them. Blocks.
    #[must_use]
    pub fn told(&self, texts: &[String]) -> Vec<String> {
        let all = texts.iter().flat_map(|text| words(text));
        let secrets = self.secrets_among(all.map(|(word, _)| word));
        let guard = self.guard();
        let told = texts.iter().map(|text| {
            let mut told = String::with_capacity(text.len());
            for (word, end) in words(text) {
                match secrets.contains(word) {
                    true => told.push_str(&hidden_name("id", word)),
                    false => told.push_str(word),
                }
                told.push_str(end);
            }
            // A secret may have several words.
            match guard.check_name(&told) {
                Some(_) => hidden_name("a text that shows a secret,", text),
                None => told,
            }
        });
        told.collect()
    }

    /// Returns those texts that are secrets, or have one in them.
    fn secrets_among<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> BTreeSet<&'t str> {
        let texts: BTreeSet<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let found = self.found_by_policy(&texts);
        let guard = self.guard();
        texts
            .into_iter()
            .filter(|text| {
                found.contains(text)
                    || guard.check_name(text).is_some()
                    || !self.redaction.ciphers(text).is_empty()
            })
            .collect()
    }

    /// Returns those texts in which the built-in policy finds something; where it has no answer, nothing. It is a pure
    /// function, so it is asked about each once.
    fn found_by_policy<'t>(&self, texts: &BTreeSet<&'t str>) -> BTreeSet<&'t str> {
        let judged = || self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut fresh) = (BTreeSet::new(), Vec::new());
        {
            let judged = judged();
            for &text in texts {
                match judged.0.get(text) {
                    Some(true) => drop(found.insert(text)),
                    Some(false) => {}
                    None => fresh.push(text),
                }
            }
        }
        let Some(builtin) = self.policies.first().filter(|_| !fresh.is_empty()) else {
            return found;
        };
        let documents: Vec<Document> = fresh
            .iter()
            .map(|text| document_of_text(DocumentKind::Name, text))
            .collect();
        let verdicts = builtin.redact(&self.context, &documents).unwrap_or_default();
        let answered = fresh.into_iter().zip(verdicts);
        let answered: Vec<(&str, bool)> = answered
            .filter_map(|(text, verdict)| match verdict {
                Verdict::Findings(findings) => Some((text, !findings.is_empty())),
                Verdict::Withhold(_) => None,
            })
            .collect();
        let mut judged = judged();
        if judged.0.len() + answered.len() > JUDGED_WORDS_MAX {
            judged.0.clear();
        }
        for (text, is_found) in answered {
            if is_found {
                found.insert(text);
            }
            if text.len() <= JUDGED_BYTES_MAX {
                judged.0.insert(text.to_owned(), is_found);
            }
        }
        found
    }
}

/// Cuts a text into words, each with what ends it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '`' | '"' | '\'' | '(' | ')' | ',' | ';');
    text.split_inclusive(ends).map(move |piece| {
        let end = piece.char_indices().next_back().filter(|(_, c)| ends(*c));
        piece.split_at(end.map_or(piece.len(), |(at, _)| at))
    })
}
