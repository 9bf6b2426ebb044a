//! The built-in policy finds in its sandbox what it finds natively: in the kept inputs of its fuzzer, as files of every format.

use fuzz_targets::Target;
use mirror_core::{
    document::{Context, Document, DocumentKind, LeafRole, Leaves},
    finding::{self, Verdict},
    walk::{self, Format},
};
use mirror_sandbox::{Limits, Sandbox, SandboxConfig};
use secret_redaction::{engine, rules};
use std::fs;

const KINDS: [(DocumentKind, engine::Kind); 4] = [
    (DocumentKind::Config, engine::Kind::Config),
    (DocumentKind::Code, engine::Kind::Code),
    (DocumentKind::Sample, engine::Kind::Sample),
    (DocumentKind::Description, engine::Kind::Description),
];

const FORMATS: [Format; 4] = [Format::Text, Format::Json, Format::Csv, Format::JsonLines];

/// A leaf, the bytes in it that go where it is not all of it, and why.
type Found = (usize, Option<(usize, usize)>, String);

fn natively(leaves: &Leaves, kind: engine::Kind) -> Vec<Found> {
    let role = |role| match role {
        LeafRole::Key => engine::Role::Key,
        LeafRole::Text => engine::Role::Text,
        LeafRole::Scalar => engine::Role::Scalar,
    };
    let document = engine::Document {
        path: "",
        kind,
        leaves: leaves
            .iter()
            .map(|of| engine::Leaf {
                pointer: of.pointer,
                role: role(of.role),
                value: of.value,
            })
            .collect(),
    };
    let found = engine::judge(&[document]).remove(0).into_iter();
    found
        .map(|finding| {
            let bytes = match finding.target {
                engine::Target::Whole => None,
                engine::Target::Bytes { start, end } => Some((start, end)),
            };
            (finding.leaf, bytes, rules::id(finding.rule).to_owned())
        })
        .collect()
}

fn sandboxed(verdict: Verdict) -> Vec<Found> {
    match verdict {
        Verdict::Withhold(reason) => panic!("{reason}"),
        Verdict::Findings(findings) => findings
            .into_iter()
            .map(|finding| {
                let bytes = match finding.target {
                    finding::Target::Whole => None,
                    finding::Target::Bytes { start, end } => Some((start, end)),
                    finding::Target::Literal(_) => panic!("the built-in policy names no literals"),
                };
                (finding.leaf, bytes, finding.rule.as_str().to_owned())
            })
            .collect(),
    }
}

#[test]
fn the_policy_finds_the_same_in_its_sandbox() {
    let seeds = Target::named("rule_engine").expect("a target").seeds();
    let mut texts: Vec<String> = fs::read_dir(seeds)
        .expect("it has seeds")
        .map(|seed| {
            let bytes = fs::read(seed.expect("a file").path()).expect("a seed");
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .collect();
    texts.sort();
    let mut documents = Vec::new();
    let mut native = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let (kind, native_kind) = KINDS[place % KINDS.len()];
        for leaves in FORMATS
            .iter()
            .filter_map(|format| walk::leaves(*format, text).ok())
        {
            native.push(natively(&leaves, native_kind));
            documents.push(Document {
                path: None,
                kind,
                component_id: String::new(),
                config_id: String::new(),
                leaves,
            });
        }
    }
    assert!(
        native.iter().flatten().count() > 100,
        "there is something to find"
    );

    let sandbox = Sandbox::new(SandboxConfig::offline(Limits::builtin(), Limits::default()));
    let policy = sandbox.and_then(|sandbox| sandbox.secret_redaction());
    let context = Context {
        stack: "connection.example.com".parse().expect("a stack"),
        project: "1".parse().expect("a project"),
        branch: "2".parse().expect("a branch"),
    };
    let verdicts = policy.and_then(|policy| policy.redact(&context, &documents));
    let verdicts = verdicts.expect("the built-in policy answers");
    assert_eq!(verdicts.len(), documents.len());
    for ((document, native), verdict) in documents.iter().zip(native).zip(verdicts) {
        assert_eq!(sandboxed(verdict), native, "in {document:?}");
    }
}
