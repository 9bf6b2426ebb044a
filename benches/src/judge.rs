//! The secret redaction policy without its sandbox.

use mirror_core::{
    document::{Document, DocumentKind, LeafRole},
    finding::{Finding, RuleId, Target, Verdict},
};
use secret_redaction::{
    engine::{self, Engine, Session},
    rules,
};

/// Judges documents natively, and answers as the sandboxed policy does.
///
/// # Panics
/// A rule of the policy that the core does not take.
#[must_use]
pub fn verdicts(engine: &Engine, documents: &[Document]) -> Vec<Verdict> {
    let mut session = engine.session();
    let verdicts = documents.iter().map(|document| verdict(&mut session, document));
    verdicts.collect()
}

fn verdict<'d>(session: &mut Session<'_, 'd>, document: &'d Document) -> Verdict {
    let findings = session.judge(&native(document)).into_iter().map(|found| Finding {
        leaf: found.leaf,
        target: match found.target {
            engine::Target::Whole => Target::Whole,
            engine::Target::Bytes { start, end } => Target::Bytes { start, end },
        },
        rule: RuleId::parse(rules::id(found.rule)).expect("rules of the policy have good names"),
    });
    Verdict::Findings(findings.collect())
}

/// Makes of a document what the policy's own code reads.
fn native(document: &Document) -> engine::Document<'_> {
    let leaves = document.leaves.iter().map(|leaf| engine::Leaf {
        pointer: leaf.pointer,
        role: match leaf.role {
            LeafRole::Key => engine::Role::Key,
            LeafRole::Text => engine::Role::Text,
            LeafRole::Scalar => engine::Role::Scalar,
        },
        value: leaf.value,
    });
    engine::Document {
        path: document.path.as_ref().map_or("", |path| path.as_str()),
        kind: kind(document.kind),
        leaves: leaves.collect(),
    }
}

fn kind(kind: DocumentKind) -> engine::Kind {
    match kind {
        DocumentKind::Config => engine::Kind::Config,
        DocumentKind::Row => engine::Kind::Row,
        DocumentKind::Code => engine::Kind::Code,
        DocumentKind::Description => engine::Kind::Description,
        DocumentKind::Extra => engine::Kind::Extra,
        DocumentKind::Storage => engine::Kind::Storage,
        DocumentKind::Sample => engine::Kind::Sample,
        DocumentKind::Job => engine::Kind::Job,
        DocumentKind::Index => engine::Kind::Index,
        DocumentKind::Name => engine::Kind::Name,
        DocumentKind::Message => engine::Kind::Message,
    }
}

/// Returns how many findings there are in all.
///
/// # Panics
/// A document that is withheld.
#[must_use]
pub fn count(verdicts: &[Verdict]) -> usize {
    let found = verdicts.iter().map(|verdict| match verdict {
        Verdict::Findings(findings) => findings.len(),
        Verdict::Withhold(reason) => panic!("a document of the sample project was withheld: {reason}"),
    });
    found.sum()
}
