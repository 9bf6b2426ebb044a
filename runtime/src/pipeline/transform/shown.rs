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
use std::collections::BTreeSet;

/// What cannot be an id and is longer is called by its digest.
const RAW_BYTES_MAX: usize = 100;

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
        let documents: Vec<Document> = texts
            .iter()
            .map(|text| document_of_text(DocumentKind::Name, text))
            .collect();
        let verdicts = self.policies.first().filter(|_| !texts.is_empty());
        let verdicts = verdicts.map(|builtin| builtin.redact(&self.context, &documents));
        // Where it has no answer, the guard's counts.
        let verdicts = verdicts.and_then(Result::ok).unwrap_or_default();
        let is_found =
            |verdict: &Verdict| matches!(verdict, Verdict::Findings(findings) if !findings.is_empty());
        let mut found = verdicts.iter().map(is_found);
        let guard = self.guard();
        texts
            .into_iter()
            .filter(|text| {
                found.next() == Some(true)
                    || guard.check_name(text).is_some()
                    || !self.redaction.ciphers(text).is_empty()
            })
            .collect()
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
