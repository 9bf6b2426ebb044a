//! What does it take to have a guest at all: loading a component, a fresh instance for a batch, and a document that was
//! judged before?

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mirror_benches::{context, documents, fewer_samples, sizes, text_bytes};
use mirror_core::{document::Document, finding::Verdict};
use mirror_runtime::{
    config::PoliciesConfig, metrics::PolicyMetrics, pipeline::transform::CHUNK, policies::Policies,
};
use mirror_sandbox::{CompileLimits, Limits, Sandbox, SandboxConfig};
use std::{hint::black_box, path::Path, time::Duration};

fn sandbox(cache: Option<&Path>) -> Sandbox {
    let config = SandboxConfig {
        cache_dir: cache.map(Path::to_owned),
        ..SandboxConfig::offline(Limits::builtin(), Limits::default())
    };
    Sandbox::new(config).expect("the sandbox starts")
}

fn load(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let cached = || {
        let sandbox = sandbox(Some(directory.path()));
        sandbox.secret_redaction().expect("the built-in policy")
    };
    let first = cached();
    assert_eq!(first.digest(), cached().digest(), "what is kept is the same");
    let mut group = criterion.benchmark_group("load");
    // Compiling takes a second or more.
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("cold", |bencher| {
        bencher.iter(|| sandbox(None).secret_redaction().expect("the built-in policy"));
    });
    group.bench_function("warm", |bencher| bencher.iter(cached));
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let sandbox = sandbox(None);
    let policy = sandbox.secret_redaction().expect("the built-in policy");
    let context = context();
    // As much as a chunk of objects has.
    let batch = documents(CHUNK);
    // An empty batch is not given to the guest at all.
    let mut void = documents(1);
    void[0].leaves.clear();
    let mut group = criterion.benchmark_group("instance");
    group.bench_function("fresh_and_empty", |bencher| {
        bencher.iter(|| {
            let measured = policy.measure(&context, black_box(&[]));
            measured.expect("the sandbox answers").findings
        });
    });
    group.bench_function("fresh_and_asked", |bencher| {
        bencher.iter(|| {
            let measured = policy.measure(&context, black_box(&void));
            measured.expect("the sandbox answers").findings
        });
    });
    group.bench_function("batch_of_64_configurations", |bencher| {
        bencher.iter(|| {
            policy
                .redact(&context, black_box(&batch))
                .expect("the sandbox answers")
        });
    });
    group.finish();

    for configurations in sizes() {
        let documents = documents(configurations);
        let config = PoliciesConfig {
            limits: Limits::default(),
            compile: CompileLimits::default(),
            memo_bytes_max: 64 << 20,
        };
        let watched = Policies::new(sandbox.clone(), config, PolicyMetrics::default());
        let watched = watched.builtin(policy.clone());
        let judge = |documents: &[Document]| {
            let chunks = documents.chunks(CHUNK);
            let judged =
                chunks.flat_map(|chunk| watched.redact(&context, chunk).expect("the sandbox answers"));
            judged.collect::<Vec<_>>()
        };
        let known = judge(&documents);
        assert_eq!(known, judge(&documents), "what is remembered is what was found");
        assert!(
            known
                .iter()
                .all(|verdict| matches!(verdict, Verdict::Findings(_)))
        );
        let mut group = criterion.benchmark_group("memo");
        fewer_samples(&mut group, configurations);
        group.throughput(Throughput::Bytes(text_bytes(&documents)));
        group.bench_function(
            BenchmarkId::new("unchanged_documents", configurations),
            |bencher| {
                bencher.iter(|| {
                    watched
                        .redact(&context, black_box(&documents))
                        .expect("they are known")
                });
            },
        );
        group.finish();
    }
}

criterion_group!(benches, batches, load);
criterion_main!(benches);
