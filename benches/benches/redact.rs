//! What does the sandbox cost the secret redaction policy? The same judgement over the same documents,
//! once as a native call and once as a guest; the ratio of the two figures is the answer.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mirror_benches::{context, documents, judge, size, text_bytes};
use mirror_sandbox::{Limits, Sandbox, SandboxConfig};
use secret_redaction::{engine::Engine, settings::Settings};
use std::hint::black_box;

fn redact(criterion: &mut Criterion) {
    let configurations = size(300);
    let documents = documents(configurations);
    let context = context();
    let config = SandboxConfig::offline(Limits::default(), Limits::default());
    let policy = Sandbox::new(config)
        .and_then(|sandbox| sandbox.secret_redaction())
        .expect("the built-in policy");
    let engine = Engine::new(Settings::default());

    let judge = |document| judge::verdict(&engine, document);
    let judged: Vec<_> = documents.iter().map(judge).collect();
    let answered = policy.redact(&context, &documents).expect("the sandbox answers");
    assert_eq!(judged, answered, "both ways find the same");
    assert!(
        judge::count(&judged) > 0,
        "the sample project has planted secrets"
    );

    let mut group = criterion.benchmark_group("redact");
    group.throughput(Throughput::Bytes(text_bytes(&documents)));
    group.bench_function("native", |bencher| {
        bencher.iter(|| {
            let verdicts = black_box(&documents).iter().map(judge);
            verdicts.collect::<Vec<_>>()
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
    let mut group = criterion.benchmark_group("redact_one");
    group.bench_function("native", |bencher| {
        bencher.iter(|| judge(&black_box(one)[0]));
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
