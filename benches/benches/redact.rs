//! What does the sandbox cost the secret redaction policy? The same judgement over the same documents,
//! once as a native call and once as a guest; the ratio of the two figures is the answer.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mirror_benches::{context, documents, text_bytes};
use mirror_core::{
    document::{Document, DocumentKind, LeafRole},
    finding::Verdict,
};
use mirror_sandbox::{Limits, Sandbox, SandboxConfig};
use secret_redaction::{
    engine::{self, Engine},
    settings::Settings,
};
use std::hint::black_box;

const CONFIGURATIONS: usize = 300;

fn native(document: &Document) -> engine::Document<'_> {
    assert_eq!(
        document.kind,
        DocumentKind::Config,
        "the input has configurations only"
    );
    engine::Document {
        path: document.path.as_ref().map_or("", |path| path.as_str()),
        kind: engine::Kind::Config,
        leaves: document
            .leaves
            .iter()
            .map(|leaf| engine::Leaf {
                pointer: &leaf.pointer,
                role: match leaf.role {
                    LeafRole::Key => engine::Role::Key,
                    LeafRole::Text => engine::Role::Text,
                    LeafRole::Scalar => engine::Role::Scalar,
                },
                value: &leaf.value,
            })
            .collect(),
    }
}

fn redact(criterion: &mut Criterion) {
    let documents = documents(CONFIGURATIONS);
    let context = context();
    let config = SandboxConfig::offline(Limits::default(), Limits::default());
    let policy = Sandbox::new(config)
        .and_then(|sandbox| sandbox.secret_redaction())
        .expect("the built-in policy");
    let engine = Engine::new(Settings::default());

    let judged: Vec<usize> = documents
        .iter()
        .map(|document| engine.judge(&native(document)).len())
        .collect();
    let answered = policy.redact(&context, &documents).expect("the sandbox answers");
    let answered: Vec<usize> = answered
        .iter()
        .map(|verdict| match verdict {
            Verdict::Findings(findings) => findings.len(),
            Verdict::Withhold(reason) => panic!("a document of the sample project was withheld: {reason}"),
        })
        .collect();
    assert_eq!(judged, answered, "both ways find the same");
    assert!(
        judged.iter().sum::<usize>() > 0,
        "the sample project has planted secrets"
    );

    let mut group = criterion.benchmark_group(format!("redact/{CONFIGURATIONS}_configurations"));
    group.throughput(Throughput::Bytes(text_bytes(&documents)));
    group.bench_function("native", |bencher| {
        bencher.iter(|| {
            black_box(&documents)
                .iter()
                .map(|document| engine.judge(&native(document)).len())
                .sum::<usize>()
        });
    });
    group.bench_function("sandboxed", |bencher| {
        bencher.iter(|| {
            policy
                .redact(&context, black_box(&documents))
                .expect("the sandbox answers")
                .len()
        });
    });
    group.finish();

    // One changed configuration: what is left of the ratio is the price of a fresh instance.
    let one = &documents[..1];
    let mut group = criterion.benchmark_group("redact/one_configuration");
    group.bench_function("native", |bencher| {
        bencher.iter(|| engine.judge(&native(&black_box(one)[0])).len());
    });
    group.bench_function("sandboxed", |bencher| {
        bencher.iter(|| {
            policy
                .redact(&context, black_box(one))
                .expect("the sandbox answers")
                .len()
        });
    });
    group.finish();
}

criterion_group!(benches, redact);
criterion_main!(benches);
