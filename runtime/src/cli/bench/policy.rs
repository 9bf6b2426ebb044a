//! `bench policy`: what redaction policies take to judge all documents of a project.

use super::{
    Policy,
    report::{Figure, Report, Unit, ms},
    site::{Opened, Site},
    usage::peak_memory,
};
use crate::{
    app::{Failure, chain},
    cli::{
        policy::{
            self,
            bench::{Speed, instance, prepared, speed},
        },
        progress::{Far, Progress},
        serve::runtime,
    },
    pipeline::{
        error::AttemptError,
        fetch::{Outlet, Scope},
        render,
        spool::Spooled,
        survey::Survey,
        transform::Transformer,
    },
    system::wall_clock,
};
use mirror_core::{
    batch::{RenderedBatch, Subject},
    document::Document,
    layout::{PlacedObject, Rendered},
    placement::{Change, Placement},
};
use mirror_sandbox::{Limits, RedactionPolicy};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes of text that are judged at most; they are held in memory.
const TEXT_BYTES_MAX: usize = 256 << 20;
/// Measurements of each policy, in turns, so that whatever else the machine does falls on all.
const TURNS: u32 = 4;

pub(super) fn run(bench: &Policy) -> Result<(), Failure> {
    if !bench.settings.is_empty() && bench.settings.len() != bench.policy.len() {
        return Err(Failure::usage(format!(
            "there are {} of `--policy` and {} of `--settings`; give each policy its own, or none",
            bench.policy.len(),
            bench.settings.len()
        )));
    }
    let site = Site::new(&bench.of)?;
    let executor = runtime()?;
    let outcome = executor.block_on(async {
        let opened = site.open(0).await?;
        let documents = documents(&opened).await?;
        let mut policies = own(&opened);
        // Compiling blocks, and so does judging.
        let judge = || {
            policies.extend(named(bench)?);
            measure(bench, &documents, &policies)
        };
        let speeds = tokio::task::block_in_place(judge)?;
        let subject = subject(&site.subject, &speeds);
        report(&site, &subject, &documents, &speeds).tell(&bench.of)
    });
    drop(site);
    outcome
}

/// Returns what was measured, as the key of the last run: the project, and the policies beside the built-in one. The
/// built-in one is this program's, whose releases are to be compared.
fn subject(project: &Value, measured: &[Measured]) -> Value {
    let mut subject = project.clone();
    let others: Vec<Value> = measured
        .iter()
        .filter_map(|one| one.identity.as_ref())
        .map(|(digest, settings)| json!({ "sha256": digest, "settings": settings }))
        .collect();
    if !others.is_empty() {
        subject["policies"] = others.into();
    }
    subject
}

/// A policy, and how reports call it.
struct Named {
    name: String,
    guest: RedactionPolicy,
    /// Digest of the component and its settings; none of the built-in one.
    identity: Option<(String, String)>,
    /// Of those of the command line: compiling and settings.
    prepare_ms: Option<f64>,
}

/// Returns the policies of the mirror, the built-in one first.
fn own(opened: &Opened) -> Vec<Named> {
    let configured = opened.lane.spec.policies.iter();
    let names = configured.map(|policy| (policy.name.clone(), false));
    let names = std::iter::once(("secret-redaction".to_owned(), true)).chain(names);
    names
        .zip(&opened.lane.transformer.policies)
        .map(|((name, is_builtin), policy)| Named {
            name,
            guest: policy.guest().clone(),
            identity: (!is_builtin).then(|| policy.identity().clone()),
            prepare_ms: None,
        })
        .collect()
}

/// Prepares the policies of the command line.
fn named(bench: &Policy) -> Result<Vec<Named>, Failure> {
    if bench.policy.is_empty() {
        return Ok(Vec::new());
    }
    let sandbox = policy::sandbox()?;
    let with = |(at, path): (usize, &std::path::PathBuf)| {
        let settings = policy::settings(bench.settings.get(at))?;
        let (guest, prepare_ms) = prepared(&sandbox, path, &settings, &Limits::default())?;
        Ok(Named {
            name: path.display().to_string(),
            identity: Some((guest.digest().to_owned(), settings)),
            guest,
            prepare_ms: Some(prepare_ms),
        })
    };
    bench.policy.iter().enumerate().map(with).collect()
}

/// What a policy was measured to take.
struct Measured {
    name: String,
    identity: Option<(String, String)>,
    best: Speed,
    instance: Duration,
    prepare_ms: Option<f64>,
}

fn measure(bench: &Policy, documents: &Documents, policies: &[Named]) -> Result<Vec<Measured>, Failure> {
    let time = Duration::from_millis(bench.ms) / TURNS;
    let (done, of) = (
        Arc::new(AtomicU64::new(0)),
        u64::from(TURNS) * policies.len() as u64,
    );
    let counted = Arc::clone(&done);
    let progress = Progress::show(Arc::new(move || Far {
        what: "measurements".into(),
        done: counted.load(Ordering::Relaxed),
        of: Some(of),
    }));
    let mut best: Vec<Speed> = policies.iter().map(|_| Speed::default()).collect();
    for _ in 0..TURNS {
        for (best, policy) in best.iter_mut().zip(policies) {
            let now = speed(&policy.guest, &documents.documents, time)?;
            *best = std::mem::take(best).or(now);
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop(progress);
    let measured = policies.iter().zip(best).map(|(policy, best)| {
        Ok(Measured {
            name: policy.name.clone(),
            identity: policy.identity.clone(),
            instance: instance(&policy.guest)?,
            best,
            prepare_ms: policy.prepare_ms,
        })
    });
    measured.collect()
}

/// What is judged.
#[derive(Default)]
struct Documents {
    documents: Vec<Document>,
    bytes: usize,
    /// There are more than are held.
    is_cut: bool,
}

impl Documents {
    /// Takes documents in their order until one would be over the bytes of text that are held. From there on none is
    /// taken, also no smaller one: what is measured is the project's beginning, and not its small documents.
    fn take(&mut self, more: Vec<Document>, bytes_max: usize) {
        for document in more {
            let bytes: usize = document.leaves.iter().map(|leaf| leaf.value.len()).sum();
            self.is_cut |= self.bytes + bytes > bytes_max;
            if self.is_cut {
                return;
            }
            self.bytes += bytes;
            self.documents.push(document);
        }
    }
}

/// Fetches and renders everything of the project, and keeps it as policies see it: before anything is taken away.
async fn documents(opened: &Opened) -> Result<Documents, Failure> {
    let lane = &opened.lane;
    let scope = Scope {
        storage: true,
        samples: lane.exports.samples.then_some(lane.spec.sample_limits),
        jobs: lane.spec.jobs.is_some(),
        now: wall_clock(),
    };
    let (mut outlet, out) = Outlet::new();
    let fetch = async {
        let nothing = BTreeMap::new();
        let fetched = lane
            .source
            .whole(&lane.branch, scope, &nothing, &mut outlet)
            .await;
        drop(outlet);
        Ok(fetched?)
    };
    let survey = Survey::new(lane.spool.clone()).follow(Arc::clone(&lane.transformer), out);
    let surveyed: Result<_, AttemptError> = tokio::try_join!(fetch, survey);
    let (_, survey) = surveyed.map_err(|error| Failure::message(chain(&error)))?;
    let (transformer, bytes_max) = (Arc::clone(&lane.transformer), lane.memory_bytes_max);
    let rendered = tokio::task::spawn_blocking(move || rendered(&transformer, survey, bytes_max));
    let documents = rendered.await.map_err(|error| Failure::failed(&error))??;
    if documents.documents.is_empty() {
        return Err(Failure::usage("the project has nothing to judge"));
    }
    Ok(documents)
}

fn rendered(transformer: &Transformer, survey: Survey, bytes_max: usize) -> Result<Documents, Failure> {
    let Survey { spool, inspected, .. } = survey;
    let mut placement = Placement::new();
    let placed = inspected
        .into_iter()
        .filter_map(|(key, inspection)| Some(Change::Put(key, inspection.ok()?)));
    placement.apply(placed.collect());
    let mut keys = spool.keys();
    let failed = |error: &dyn std::error::Error| Failure::message(chain(error));
    let mut next = || {
        for key in keys.by_ref() {
            if let Some(Spooled::Object(object)) = spool.get(key).map_err(|error| failed(&error))? {
                return Ok(Some(placement.placed(key, object)));
            }
        }
        Ok(None)
    };
    let work = |chunk: Vec<PlacedObject>| {
        let files = transformer
            .layout
            .render(&transformer.context, &transformer.settings, &chunk)
            .map_err(|error| failed(&error))?;
        let good: Vec<(Subject, Rendered)> = chunk
            .into_iter()
            .zip(files)
            .filter_map(|(placed, files)| Some((Subject::Object(placed.object.key), files.ok()?)))
            .collect();
        let (batch, _) = RenderedBatch::new(transformer.context.clone(), &transformer.owned, good);
        Ok(batch.documents())
    };
    let documents = RefCell::new(Documents::default());
    let mut next = || match documents.borrow().is_cut {
        // What would be rendered now, nobody would judge.
        true => Ok(None),
        false => next(),
    };
    let mut take = |more: Vec<Document>| {
        documents.borrow_mut().take(more, TEXT_BYTES_MAX);
        Ok(())
    };
    render::objects(bytes_max, &mut next, work, &mut take)?;
    Ok(documents.into_inner())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report<'r>(
    site: &'r Site,
    subject: &'r Value,
    documents: &Documents,
    measured: &[Measured],
) -> Report<'r> {
    let mut figures = vec![
        Figure::new(
            "documents",
            "documents",
            documents.documents.len() as f64,
            Unit::Count,
        ),
        Figure::new(
            "bytes",
            "bytes of their text",
            documents.bytes as f64,
            Unit::Bytes,
        ),
    ];
    let per_document = |measured: &Measured| 1e6 / measured.best.documents_per_second.max(f64::MIN_POSITIVE);
    let all: f64 = measured.iter().map(per_document).sum();
    figures.push(Figure::new(
        "document_us",
        "all policies, one document",
        all,
        Unit::Microseconds,
    ));
    if let Some(peak) = peak_memory() {
        figures.push(Figure::new(
            "peak_bytes",
            "memory, at most",
            peak as f64,
            Unit::Bytes,
        ));
    }
    let mut lines = vec![
        String::new(),
        format!(
            "  {:>10} {:>8} {:>14} {:>12} {:>10} {:>9}  policy",
            "a document", "", "documents/s", "MB/s", "findings", "instance"
        ),
    ];
    let mut policies = Vec::new();
    for one in measured {
        let Speed {
            documents_per_second,
            bytes_per_second,
            findings,
            withheld,
        } = one.best;
        lines.push(format!(
            "  {:>7.1} us {:>6.1} % {documents_per_second:>14.0} {:>12.1} {findings:>10} {:>6.0} us  {}",
            per_document(one),
            100.0 * per_document(one) / all.max(f64::MIN_POSITIVE),
            bytes_per_second / 1e6,
            ms(one.instance) * 1_000.0,
            one.name,
        ));
        if withheld > 0 {
            lines.push(format!("  … which withholds {withheld} documents"));
        }
        policies.push(json!({
            "policy": one.name, "documents_per_second": documents_per_second, "bytes_per_second": bytes_per_second,
            "findings": findings, "withheld": withheld, "instance_us": ms(one.instance) * 1_000.0,
            "prepare_ms": one.prepare_ms,
        }));
    }
    lines.push(String::new());
    lines.push("on one core; instance: a fresh one that judges nothing, as each batch has one".into());
    if documents.is_cut {
        lines.push(format!(
            "the project has more; only {} MB of text were judged",
            TEXT_BYTES_MAX >> 20
        ));
    }
    Report {
        bench: "policy",
        title: format!("redaction policies on all documents of {}", site.name),
        subject,
        data_dir: site.data_dir.as_deref(),
        figures,
        stages: Vec::new(),
        times: 1,
        more: json!({ "policies": policies, "is_cut": documents.is_cut }),
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::document::{DocumentKind, Leaf, LeafRole, Leaves};

    fn text(bytes: usize) -> Document {
        let mut leaves = Leaves::default();
        leaves.push(Leaf {
            pointer: "",
            role: LeafRole::Text,
            value: &"x".repeat(bytes),
        });
        Document {
            path: None,
            kind: DocumentKind::Name,
            component_id: String::new(),
            config_id: String::new(),
            leaves,
        }
    }

    #[test]
    fn behind_a_document_that_is_too_much_none_is_taken() {
        let mut documents = Documents::default();
        documents.take(vec![text(4), text(5)], 10);
        assert!(!documents.is_cut);
        documents.take(vec![text(2), text(1)], 10);
        documents.take(vec![text(1)], 10);
        assert!(documents.is_cut);
        assert_eq!((documents.documents.len(), documents.bytes), (2, 9));
    }

    #[test]
    fn runs_with_other_policies_or_settings_are_not_compared() {
        let measured = |identity: Option<(&str, &str)>| Measured {
            name: String::new(),
            identity: identity.map(|(digest, settings)| (digest.to_owned(), settings.to_owned())),
            best: Speed::default(),
            instance: Duration::ZERO,
            prepare_ms: None,
        };
        let project = json!({ "project": "p" });
        let of = |policies: &[(&str, &str)]| {
            let others = policies.iter().map(|policy| measured(Some(*policy)));
            let all: Vec<Measured> = std::iter::once(measured(None)).chain(others).collect();
            subject(&project, &all)
        };
        assert_eq!(
            of(&[]),
            project,
            "the built-in policy alone is the project's own run"
        );
        let one = of(&[("a", "{}")]);
        assert_eq!(one, of(&[("a", "{}")]));
        for other in [
            &[][..],
            &[("b", "{}")],
            &[("a", "{\"on\":true}")],
            &[("a", "{}"), ("b", "{}")],
        ] {
            assert_ne!(one, of(other), "{other:?}");
        }
    }
}
