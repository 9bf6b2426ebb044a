//! What does each step from an object to content that may be committed take, and what of that is the price of the
//! sandbox? Steps that run in it are measured a second time as the same code compiled natively; one core.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use layout_renderer as guest;
use mirror_benches::{
    context, fewer_samples, judge,
    layout::{Objects, batch, objects, rendered},
    sizes,
};
use mirror_core::{
    batch::{MirrorBatch, RenderedBatch},
    document::Document,
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    layout::PlacedObject,
    marker::TagKey,
    redaction::{Redaction, SecretsMode},
    sample::{Column, Sample},
};
use mirror_runtime::pipeline::transform::CHUNK;
use mirror_sandbox::{LayoutRenderer, Limits, RedactionPolicy, SampleFilter, Sandbox, SandboxConfig};
use sample_filter::{filter, settings::Settings as FilterSettings};
use secret_redaction::{engine::Engine, settings::Settings};
use serde_json::value::RawValue;
use std::hint::black_box;

struct Guests {
    layout: LayoutRenderer,
    policy: RedactionPolicy,
    filter: SampleFilter,
}

impl Guests {
    fn prepare() -> Self {
        let config = SandboxConfig::offline(Limits::builtin(), Limits::default());
        let sandbox = Sandbox::new(config).expect("the sandbox starts");
        Self {
            layout: sandbox.layout_renderer().expect("the built-in renderer"),
            policy: sandbox.secret_redaction().expect("the built-in policy"),
            filter: sandbox.sample_filter("{}").expect("the built-in filter"),
        }
    }
}

fn redaction() -> Redaction {
    Redaction::new(SecretsMode::Encrypted, TagKey::none())
}

/// From verdicts on, all is native in both.
fn finish(batch: RenderedBatch, verdicts: Vec<Verdict>, guard: &Guard) -> MirrorBatch {
    let (redacted, _) = batch.redact(verdicts, &redaction());
    let (chosen, _) = redacted.choose(Vec::new());
    chosen.guard(guard).0
}

fn sandboxed(guests: &Guests, objects: &Objects, guard: &Guard) -> Vec<MirrorBatch> {
    let context = context();
    let chunk = |chunk: &[PlacedObject]| {
        let rendered = guests.layout.render(&context, &objects.settings, chunk);
        let rendered = rendered.expect("the sandbox answers").into_iter();
        let batch = batch(
            chunk,
            rendered.map(|one| one.expect("nothing is withheld")).collect(),
        );
        let verdicts = guests.policy.redact(&context, &batch.documents());
        finish(batch, verdicts.expect("the sandbox answers"), guard)
    };
    objects.placed.chunks(CHUNK).map(chunk).collect()
}

fn native(engine: &Engine, objects: &Objects, guard: &Guard) -> Vec<MirrorBatch> {
    let chunks = objects
        .placed
        .chunks(CHUNK)
        .zip(objects.native.placed.chunks(CHUNK));
    let chunk = |(chunk, native): (&[PlacedObject], &[guest::PlacedObject])| {
        let files = guest::render(&objects.native.context, &objects.settings, native);
        let files = files.expect("the renderer answers").into_iter().map(rendered);
        let batch = batch(chunk, files.collect());
        let documents = batch.documents();
        let verdicts = judge::verdicts(engine, &documents);
        finish(batch, verdicts, guard)
    };
    chunks.map(chunk).collect()
}

/// Returns the files of batches, as they would be written.
fn files(batches: &[MirrorBatch]) -> Vec<(&str, &str)> {
    let objects = batches.iter().flat_map(MirrorBatch::objects);
    let files = objects.flat_map(mirror_core::batch::MirrorObject::files);
    files.map(|file| (file.path().as_str(), file.content())).collect()
}

fn transform(criterion: &mut Criterion) {
    let guests = Guests::prepare();
    for configurations in sizes() {
        steps(criterion, &guests, configurations);
        // The filter has nothing to do with the objects.
        choose(criterion, &guests, (configurations / 15).max(1));
    }
}

fn steps(criterion: &mut Criterion, guests: &Guests, configurations: usize) {
    let objects = objects(configurations);
    let engine = Engine::new(Settings::default());
    let context = context();
    let guard = Guard::new(&KnownSecrets::new());
    let count = objects.placed.len() as u64;

    let made = native(&engine, &objects, &guard);
    let bytes: usize = files(&made).iter().map(|(_, content)| content.len()).sum();
    assert_eq!(
        files(&made),
        files(&sandboxed(guests, &objects, &guard)),
        "both ways make the same files"
    );

    beside(
        criterion,
        ("inspect", configurations),
        &objects.native.sources,
        |chunk| {
            let answers = guest::inspect(&objects.native.context, &objects.settings, chunk);
            answers.expect("the renderer answers").len()
        },
        &objects.sources,
        |chunk| {
            let answers = guests.layout.inspect(&context, &objects.settings, chunk);
            answers.expect("the sandbox answers").len()
        },
    );
    beside(
        criterion,
        ("render", configurations),
        &objects.native.placed,
        |chunk| {
            let answers = guest::render(&objects.native.context, &objects.settings, chunk);
            answers.expect("the renderer answers").len()
        },
        &objects.placed,
        |chunk| {
            let answers = guests.layout.render(&context, &objects.settings, chunk);
            answers.expect("the sandbox answers").len()
        },
    );

    let batches = || -> Vec<RenderedBatch> {
        let chunks = objects
            .placed
            .chunks(CHUNK)
            .zip(objects.native.placed.chunks(CHUNK));
        let chunk = |(chunk, native): (&[PlacedObject], &[guest::PlacedObject])| {
            let files = guest::render(&objects.native.context, &objects.settings, native);
            let files = files.expect("the renderer answers").into_iter().map(rendered);
            batch(chunk, files.collect())
        };
        chunks.map(chunk).collect()
    };
    let documents: Vec<Vec<Document>> = batches().iter().map(RenderedBatch::documents).collect();
    let verdicts: Vec<Vec<Verdict>> = documents
        .iter()
        .map(|batch| judge::verdicts(&engine, batch))
        .collect();
    let found: usize = verdicts.iter().map(|batch| judge::count(batch)).sum();
    assert!(found > 0, "the sample project has planted secrets");

    floor(criterion, &objects, &files(&made), configurations);

    // Cutting texts into leaves, and markers in place of findings: the host's part around the policies.
    let mut group = criterion.benchmark_group("findings");
    fewer_samples(&mut group, configurations);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(BenchmarkId::new("cut_into_leaves", configurations), |bencher| {
        let batches = batches();
        bencher.iter(|| {
            let documents = black_box(&batches).iter().map(|batch| batch.documents().len());
            documents.sum::<usize>()
        });
    });
    group.bench_function(BenchmarkId::new("apply", configurations), |bencher| {
        bencher.iter_batched(
            || (batches(), verdicts.clone()),
            |(batches, verdicts)| {
                let pairs = batches.into_iter().zip(verdicts);
                pairs
                    .map(|(batch, verdicts)| batch.redact(verdicts, &redaction()))
                    .collect::<Vec<_>>()
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function(BenchmarkId::new("guard", configurations), |bencher| {
        bencher.iter_batched(
            || {
                let pairs = batches().into_iter().zip(verdicts.clone());
                let redacted = pairs.map(|(batch, verdicts)| batch.redact(verdicts, &redaction()).0);
                redacted
                    .map(|batch| batch.choose(Vec::new()).0)
                    .collect::<Vec<_>>()
            },
            |batches| {
                let guarded = batches.into_iter().map(|batch| batch.guard(&guard).0);
                guarded.collect::<Vec<_>>()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group("transform");
    fewer_samples(&mut group, configurations);
    group.throughput(Throughput::Elements(count));
    group.bench_function(BenchmarkId::new("native", configurations), |bencher| {
        bencher.iter(|| native(&engine, black_box(&objects), &guard).len());
    });
    group.bench_function(BenchmarkId::new("sandboxed", configurations), |bencher| {
        bencher.iter(|| sandboxed(guests, black_box(&objects), &guard).len());
    });
    group.finish();
}

/// What no stage can go below: one look at each byte of JSON that comes in, and at each byte of a file one look and one copy.
fn floor(criterion: &mut Criterion, objects: &Objects, files: &[(&str, &str)], configurations: usize) {
    let mut group = criterion.benchmark_group("floor");
    fewer_samples(&mut group, configurations);
    let bytes = |sizes: &mut dyn Iterator<Item = usize>| Throughput::Bytes(sizes.sum::<usize>() as u64);
    let sources = || objects.placed.iter().map(|placed| placed.object.source.as_str());
    group.throughput(bytes(&mut sources().map(str::len)));
    group.bench_function(BenchmarkId::new("json_read_once", configurations), |bencher| {
        let read = |source| serde_json::from_str::<&RawValue>(source).expect("it is JSON");
        bencher.iter(|| {
            sources()
                .map(|source| read(black_box(source)).get().len())
                .sum::<usize>()
        });
    });
    group.throughput(bytes(&mut files.iter().map(|(_, content)| content.len())));
    group.bench_function(
        BenchmarkId::new("files_searched_once", configurations),
        |bencher| {
            bencher.iter(|| {
                let found = black_box(files)
                    .iter()
                    .map(|(_, content)| content.bytes().filter(|byte| *byte == 0).count());
                found.sum::<usize>()
            });
        },
    );
    group.bench_function(BenchmarkId::new("files_copied_once", configurations), |bencher| {
        bencher.iter(|| {
            let copies = black_box(files).iter().map(|(_, content)| (*content).to_owned());
            copies.collect::<Vec<_>>()
        });
    });
    group.finish();
}

/// Chooses from samples of so many tables.
fn choose(criterion: &mut Criterion, guests: &Guests, tables: usize) {
    let cell = |table: usize, row: usize, column: usize| match column {
        0 => format!("{table}-{row}"),
        1 => format!("person{row}@example.com"),
        _ => format!("value {row} of {column} in table {table}"),
    };
    let samples: Vec<Sample> = (0..tables)
        .map(|table| Sample {
            table_id: format!("in.c-main.t{table}"),
            columns: (0..12)
                .map(|column| Column {
                    name: format!("column_{column}"),
                    base_type: "STRING".into(),
                })
                .collect(),
            rows: (0..100)
                .map(|row| (0..12).map(|column| cell(table, row, column)).collect())
                .collect(),
        })
        .collect();
    let settings = FilterSettings::parse("{}").expect("they are the default");
    let native = |sample: &Sample| {
        let columns = sample.columns.iter();
        filter::choose(
            &settings,
            &filter::Sample {
                columns: columns
                    .map(|column| filter::Column { name: &column.name })
                    .collect(),
                rows: sample
                    .rows
                    .iter()
                    .map(|row| row.iter().map(String::as_str).collect())
                    .collect(),
            },
        )
    };
    let context = context();
    let chosen = guests
        .filter
        .choose(&context, &samples)
        .expect("the sandbox answers");
    for (sample, chosen) in samples.iter().zip(chosen) {
        let (native, chosen) = (native(sample), chosen.expect("nothing is withheld"));
        assert_eq!((&native.columns, &native.rows), (&chosen.columns, &chosen.rows));
        assert!(
            !native.columns.contains(&1) && native.columns.contains(&2),
            "a column of addresses goes"
        );
    }
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(tables as u64));
    group.bench_function(BenchmarkId::new("native", tables), |bencher| {
        bencher.iter(|| {
            let rows = black_box(&samples).iter().map(|sample| native(sample).rows.len());
            rows.sum::<usize>()
        });
    });
    group.bench_function(BenchmarkId::new("sandboxed", tables), |bencher| {
        bencher.iter(|| {
            let chosen = guests.filter.choose(&context, black_box(&samples));
            chosen.expect("the sandbox answers").len()
        });
    });
    group.finish();
}

/// Measures a step, natively and in the sandbox, chunk by chunk.
fn beside<N, S>(
    criterion: &mut Criterion,
    (name, configurations): (&str, usize),
    native: &[N],
    natively: impl Fn(&[N]) -> usize,
    sandboxed: &[S],
    in_sandbox: impl Fn(&[S]) -> usize,
) {
    let mut group = criterion.benchmark_group(name);
    fewer_samples(&mut group, configurations);
    group.throughput(Throughput::Elements(native.len() as u64));
    group.bench_function(BenchmarkId::new("native", configurations), |bencher| {
        bencher.iter(|| black_box(native).chunks(CHUNK).map(&natively).sum::<usize>());
    });
    group.bench_function(BenchmarkId::new("sandboxed", configurations), |bencher| {
        bencher.iter(|| black_box(sandboxed).chunks(CHUNK).map(&in_sandbox).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, transform);
criterion_main!(benches);
