//! The glue between the mirror's interface (`wit/redaction.wit`) and the judgement.

use crate::{
    judge::{self, Found},
    settings::{SCHEMA, Settings},
};
use exports::keboola::mirror::redaction::{Finding, Guest, PolicyInfo, Rule, Target};
use keboola::mirror::types::{ByteRange, Context, Document, DocumentKind, GuestError, Issue, LeafRole};
use std::sync::OnceLock;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "redaction-policy",
});

/// Set once, by `configure`, before any content is in reach.
static SETTINGS: OnceLock<Settings> = OnceLock::new();

struct Policy;

impl Guest for Policy {
    fn describe() -> PolicyInfo {
        let rule = |(id, title): &(&str, &str)| Rule {
            id: (*id).to_owned(),
            title: (*title).to_owned(),
        };
        PolicyInfo {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rules: judge::RULES.iter().map(rule).collect(),
            settings_schema: SCHEMA.to_owned(),
        }
    }

    fn configure(settings: String) -> Result<(), Vec<Issue>> {
        let issue = |(pointer, message): (String, String)| Issue { pointer, message };
        let settings =
            Settings::parse(&settings).map_err(|issues| issues.into_iter().map(issue).collect::<Vec<_>>())?;
        SETTINGS.set(settings).map_err(|_| Vec::new())
    }

    fn redact(_context: Context, documents: Vec<Document>) -> Result<Vec<Vec<Finding>>, GuestError> {
        let settings = SETTINGS.get().ok_or_else(|| GuestError {
            message: "configure was not called".to_owned(),
            item: None,
        })?;
        Ok(documents
            .iter()
            .map(|document| findings(settings, document))
            .collect())
    }
}

fn findings(settings: &Settings, document: &Document) -> Vec<Finding> {
    // The mirror's commits are by people, with their addresses.
    let addresses = document.kind != DocumentKind::Message;
    let mut findings = Vec::new();
    for (leaf, judged) in (0..).zip(&document.leaves) {
        if judged.role == LeafRole::Scalar {
            continue;
        }
        let found = judge::judge(settings, &judged.value, addresses);
        findings.extend(found.into_iter().filter_map(|Found { start, end, rule }| {
            Some(Finding {
                leaf,
                target: Target::Bytes(ByteRange {
                    start: u32::try_from(start).ok()?,
                    end: u32::try_from(end).ok()?,
                }),
                rule,
            })
        }));
    }
    findings
}

export!(Policy);
