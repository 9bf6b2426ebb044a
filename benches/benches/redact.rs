//! What does the sandbox cost the secret redaction policy? The same judgement over the same documents,
//! once as a native call and once as a guest; the ratio of the two figures is the answer.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mirror_benches::{content::Content, context, documents, fewer_samples, judge, sizes, text_bytes};
use mirror_core::document::Document;
use mirror_runtime::pipeline::transform::CHUNK;
use mirror_sandbox::{Limits, Sandbox, SandboxConfig};
use secret_redaction::{engine::Engine, settings::Settings};
use std::{hint::black_box, path::PathBuf};

fn redact(criterion: &mut Criterion) {
    let context = context();
    let config = SandboxConfig::offline(Limits::builtin(), Limits::default());
    let policy = Sandbox::new(config)
        .and_then(|sandbox| sandbox.secret_redaction())
        .expect("the built-in policy");
    let engine = Engine::new(Settings::default());
    let judge = |documents: &[Document]| judge::verdicts(&engine, documents);
    // As the pipeline does: each chunk in a fresh instance.
    let in_sandbox = |documents: &[Document]| {
        let chunks = documents.chunks(CHUNK);
        let judged = chunks.flat_map(|chunk| policy.redact(&context, chunk).expect("the sandbox answers"));
        judged.collect::<Vec<_>>()
    };
    let mut one = Vec::new();
    for configurations in sizes() {
        let documents = documents(configurations);
        let judged = judge(&documents);
        assert_eq!(judged, in_sandbox(&documents), "both ways find the same");
        assert!(
            judge::count(&judged) > 0,
            "the sample project has planted secrets"
        );

        let mut group = criterion.benchmark_group("redact");
        fewer_samples(&mut group, configurations);
        group.throughput(Throughput::Bytes(text_bytes(&documents)));
        group.bench_function(BenchmarkId::new("native", configurations), |bencher| {
            bencher.iter(|| judge(black_box(&documents)));
        });
        group.bench_function(BenchmarkId::new("sandboxed", configurations), |bencher| {
            bencher.iter(|| in_sandbox(black_box(&documents)));
        });
        group.finish();
        one = documents;
        one.truncate(1);
    }

    // All files as they are committed, told in bytes of the files; `KBC_MIRROR_CONTENT` names a directory of others.
    let own = std::env::var_os("KBC_MIRROR_CONTENT").map(PathBuf::from);
    let contents = match &own {
        Some(directory) => vec![(
            "own".to_owned(),
            Content::of_directory(directory).expect("it can be read"),
        )],
        None => sizes()
            .into_iter()
            .map(|configurations| (configurations.to_string(), Content::of_project(configurations)))
            .collect(),
    };
    for (name, content) in &contents {
        let natively = || {
            content
                .batches
                .iter()
                .map(|batch| judge::count(&judge(batch)))
                .sum::<usize>()
        };
        let in_instances = || {
            let judged = content.batches.iter().map(|batch| policy.redact(&context, batch));
            judged
                .map(|verdicts| judge::count(&verdicts.expect("the sandbox answers")))
                .sum::<usize>()
        };
        assert_eq!(natively(), in_instances(), "both ways find the same");
        let mut group = criterion.benchmark_group("redact_content");
        fewer_samples(&mut group, name.parse().unwrap_or(0));
        group.throughput(Throughput::Bytes(content.bytes));
        group.bench_function(BenchmarkId::new("native", name), |bencher| {
            bencher.iter(|| black_box(natively()));
        });
        group.bench_function(BenchmarkId::new("sandboxed", name), |bencher| {
            bencher.iter(|| black_box(in_instances()));
        });
        group.finish();
    }

    // One changed configuration: what is left of the ratio is the price of a fresh instance.
    let mut group = criterion.benchmark_group("redact_one");
    group.bench_function("native", |bencher| {
        bencher.iter(|| judge(black_box(&one)));
    });
    group.bench_function("sandboxed", |bencher| {
        bencher.iter(|| in_sandbox(black_box(&one)));
    });
    group.finish();
}

criterion_group!(benches, redact);
criterion_main!(benches);
