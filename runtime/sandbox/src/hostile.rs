//! Guests that try to do harm, and what must become of them.
//!
//! An operator can let them loose on the own installation (`kbc-mirror policy selftest`), and the tests do. Each is
//! prepared as a customer's policy; where that succeeds it judges a document that triggers it, between two harmless
//! ones, whose verdicts must be what they are without it.

mod attacks;

use crate::{Limits, Sandbox, SandboxError};
#[cfg(test)]
pub(crate) use attacks::BUSY_COMPILER;
pub use attacks::attacks;
use mirror_core::{
    document::{Context, Document, DocumentKind},
    finding::Verdict,
    redaction::document_of_text,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// A policy that does what a document tells it to.
const POLICY: &str = include_str!("hostile/policy.wat");

/// One guest that tries to do harm.
#[derive(Debug)]
pub struct Attack {
    /// A word, unique among the attacks.
    pub name: &'static str,
    /// What it tries, for people.
    pub about: &'static str,
    component: fn() -> Vec<u8>,
    trigger: &'static str,
    /// What it finds in a harmless document.
    findings: usize,
    must: Must,
}

/// What must become of an attack. A text is a part of the reason.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// It is not taken as a policy.
    BeRefused(&'static str),
    /// The document that triggers it is withheld.
    Withhold(&'static str),
    /// It comes to nothing: all documents are judged.
    Fail,
}

/// What became of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// It was stopped as it must be, and its neighbours were judged.
    pub contained: bool,
    /// What stopped it, or what went wrong.
    pub told: String,
}

impl Attack {
    /// Returns the component, for who wants to try it elsewhere.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        (self.component)()
    }

    /// Lets it loose. The sandbox should have the limits of [`limits`], or it takes long.
    #[must_use]
    pub fn run(&self, sandbox: &Sandbox) -> Outcome {
        let policy = match sandbox.customer_policy(self.name, &self.component(), "{}") {
            Ok(policy) => policy,
            Err(error) => return self.refused(&error),
        };
        let documents = ["before", self.trigger, "after"].map(document);
        let verdicts = match policy.redact(&context(), &documents) {
            Ok(verdicts) => verdicts,
            Err(error) => return wrong(format!("the call failed as a whole: {error}")),
        };
        let [before, triggered, after] = verdicts.as_slice() else {
            return wrong(format!("{} verdicts on 3 documents", verdicts.len()));
        };
        for (place, neighbour) in [("before", before), ("after", after)] {
            match neighbour {
                Verdict::Findings(findings) if findings.len() == self.findings => {}
                Verdict::Findings(findings) => {
                    return wrong(format!("{} findings in the document {place} it", findings.len()));
                }
                Verdict::Withhold(reason) => {
                    return wrong(format!("the document {place} it was withheld: {reason}"));
                }
            }
        }
        match (triggered, self.must) {
            (Verdict::Findings(_), Must::Fail) => Outcome {
                contained: true,
                told: "it comes to nothing".to_owned(),
            },
            (Verdict::Withhold(reason), Must::Withhold(part)) => told(reason.to_string(), part),
            (Verdict::Findings(_), Must::Withhold(_)) => wrong("its document was judged".to_owned()),
            (Verdict::Withhold(reason), Must::Fail) => wrong(format!("its document was withheld: {reason}")),
            (_, Must::BeRefused(_)) => wrong("it was taken as a policy".to_owned()),
        }
    }

    fn refused(&self, error: &SandboxError) -> Outcome {
        match self.must {
            Must::BeRefused(part) => told(error.to_string(), part),
            Must::Withhold(_) | Must::Fail => wrong(error.to_string()),
        }
    }
}

fn told(reason: String, part: &str) -> Outcome {
    Outcome {
        contained: reason.contains(part),
        told: reason,
    }
}

fn wrong(told: String) -> Outcome {
    Outcome {
        contained: false,
        told,
    }
}

/// Limits that a guest which uses all of them reaches within moments.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        fuel_max: 20_000_000,
        memory_bytes_max: 64 << 20,
        deadline_ms: 60_000,
        ..Limits::default()
    }
}

fn document(text: &str) -> Document {
    document_of_text(DocumentKind::Config, text)
}

fn context() -> Context {
    Context {
        stack: "connection.example.com".parse().expect("a stack's name"),
        project: "1".parse().expect("a project's id"),
        branch: "1".parse().expect("a branch's id"),
    }
}

/// Makes a component for a world out of a core module in the text format.
///
/// # Panics
/// A text that is no module, or does not fit the world.
pub(crate) fn component(text: &str, world: &str) -> Vec<u8> {
    component_of(text, crate::world::resolved(world))
}

/// The same for a world that is given.
pub(crate) fn component_of(text: &str, (resolve, world): (Resolve, WorldId)) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("metadata fits any module");
    ComponentEncoder::default()
        .module(&module)
        .and_then(ComponentEncoder::encode)
        .expect("the module fits the world")
}
