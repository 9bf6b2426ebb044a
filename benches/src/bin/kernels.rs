//! The pure kernels of the hot path, each a number of times: `cargo xtask benches count` runs them under callgrind, which
//! counts instructions and so is not disturbed by what else the machine does.
//!
//! `kernels` lists them, `kernels NAME TIMES` runs one and prints what came of it.

#![expect(clippy::print_stdout, reason = "the answer")]

use anyhow::{Context, Result, bail};
use layout_renderer as guest;
use mirror_benches::{
    judge,
    layout::{Objects, batch, objects, rendered},
};
use mirror_core::{
    batch::RenderedBatch,
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    marker::TagKey,
    redaction::{Redaction, SecretsMode},
};
use secret_redaction::{engine::Engine, settings::Settings};
use std::hint::black_box;

const CONFIGURATIONS: usize = 100;
const NAMES: [&str; 5] = ["inspect", "render", "leaves", "redact", "apply-and-guard"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = arguments.as_slice() else {
        println!("{}", NAMES.join("\n"));
        return Ok(());
    };
    let times: usize = times.parse().context("TIMES is a number")?;
    let objects = objects(CONFIGURATIONS);
    let made: usize = match name.as_str() {
        "inspect" => (0..times).map(|_| inspect(black_box(&objects))).sum(),
        "render" => (0..times).map(|_| files(black_box(&objects)).len()).sum(),
        "leaves" => {
            let batch = rendered_batch(&objects);
            (0..times).map(|_| black_box(&batch).documents().len()).sum()
        }
        "redact" => {
            let documents = rendered_batch(&objects).documents();
            let engine = Engine::new(Settings::default());
            let judge = |_| judge::count(&judge::verdicts(&engine, black_box(&documents)));
            (0..times).map(judge).sum()
        }
        "apply-and-guard" => {
            let documents = rendered_batch(&objects).documents();
            let verdicts = judge::verdicts(&Engine::new(Settings::default()), &documents);
            let guard = Guard::new(&KnownSecrets::new());
            // Batches are consumed, so all of them are made before.
            let batches: Vec<RenderedBatch> = (0..BATCHES_MAX).map(|_| rendered_batch(&objects)).collect();
            let batches = batches.into_iter().take(times.min(BATCHES_MAX));
            batches
                .map(|batch| guarded(batch, verdicts.clone(), &guard))
                .sum()
        }
        other => bail!("there is no kernel `{other}`; there are {}", NAMES.join(", ")),
    };
    println!("{made}");
    Ok(())
}

/// The same number whatever `TIMES` is, so that making them is no part of the difference.
const BATCHES_MAX: usize = 16;

fn inspect(objects: &Objects) -> usize {
    let native = &objects.native;
    let found = guest::inspect(&native.context, &objects.settings, &native.sources);
    found.expect("the renderer takes what the generator makes").len()
}

fn files(objects: &Objects) -> Vec<guest::Rendered> {
    let native = &objects.native;
    let made = guest::render(&native.context, &objects.settings, &native.placed);
    made.expect("the renderer takes what the generator makes")
}

fn rendered_batch(objects: &Objects) -> RenderedBatch {
    batch(
        &objects.placed,
        files(objects).into_iter().map(rendered).collect(),
    )
}

fn guarded(batch: RenderedBatch, verdicts: Vec<Verdict>, guard: &Guard) -> usize {
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    let (redacted, _) = batch.redact(verdicts, &redaction);
    let (chosen, _) = redacted.choose(Vec::new());
    chosen.guard(guard).0.objects().len()
}
