//! `policy bench`: what does this policy cost, and how much of what it may?

use super::{
    Within,
    check::{NO_TEXTS, percent},
    component_within, context, documents,
    documents::sources,
    name, sandbox_within, settings, unusable,
};
use crate::{app::Failure, output::outln};
use clap::Args;
use mirror_core::{
    document::Document,
    finding::{Finding, Target, Verdict},
};
use mirror_sandbox::{Limits, RedactionPolicy, Sandbox, Usage};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
pub struct Bench {
    /// The component, or a core module that was built for the world `redaction-policy`.
    policy: PathBuf,
    /// A JSON file with the policy's settings.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Files or directories to judge; left out, sample documents that are built in.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// An earlier form of the policy, to compare with; it gets the same settings.
    #[arg(long)]
    base: Option<PathBuf>,
    /// Time of one measurement.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    ms: u64,
    #[command(flatten)]
    within: Within,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// Empty calls of which the quickest counts.
const INSTANCES: usize = 200;

/// What one policy takes.
struct Figures {
    /// Compiling, settings and all.
    prepare_ms: f64,
    /// One fresh instance that judges nothing.
    instance_us: f64,
    documents_per_second: f64,
    megabytes_per_second: f64,
    findings: usize,
    withheld: usize,
    /// Of all documents, each judged alone. The same on every machine.
    fuel: u64,
    /// The document that takes most fuel.
    worst: String,
    worst_usage: Usage,
    /// What takes most of each budget.
    budgets: [Budget; 5],
}

/// A budget, and the document that takes most of it.
struct Budget {
    name: &'static str,
    unit: &'static str,
    /// The limit that says how much is allowed.
    limit: &'static str,
    max: u64,
    path: String,
    used: u64,
}

impl Budget {
    fn of_all(limits: &Limits) -> [Self; 5] {
        let budget = |name, unit, limit, max| Self {
            name,
            unit,
            limit,
            max,
            path: String::new(),
            used: 0,
        };
        [
            budget(
                "time",
                "us",
                "deadline_ms",
                limits.deadline_ms.saturating_mul(1_000),
            ),
            budget("fuel", "", "fuel_max", limits.fuel_max),
            budget(
                "memory",
                "bytes",
                "memory_bytes_max",
                limits.memory_bytes_max as u64,
            ),
            budget("findings", "", "findings_max", limits.findings_max as u64),
            budget("answer", "bytes", "hostcall_fuel", limits.hostcall_fuel as u64),
        ]
    }

    fn as_json(&self) -> Value {
        let Self {
            name,
            unit,
            limit,
            max,
            path,
            used,
        } = self;
        json!({ "name": name, "unit": unit, "limit": limit, "max": max, "used": used, "path": path })
    }

    fn take(&mut self, path: &str, used: u64) {
        if self.path.is_empty() || used > self.used {
            (self.path, self.used) = (path.to_owned(), used);
        }
    }
}

/// Bytes of one finding in a policy's answer, without the text of a literal.
const FINDING_BYTES: usize = 20;

/// Returns the bytes that a policy's findings in one document take where they are handed over.
fn answer_bytes(findings: &[Finding]) -> usize {
    let literal = |finding: &Finding| match &finding.target {
        Target::Literal(text) => text.len(),
        Target::Whole | Target::Bytes { .. } => 0,
    };
    findings
        .iter()
        .map(|finding| FINDING_BYTES + literal(finding))
        .sum()
}

pub(super) fn run(bench: &Bench) -> Result<(), Failure> {
    let mut judged = Vec::new();
    for source in sources(&bench.data) {
        judged.extend(source.read()?);
    }
    if bench.data.is_empty() {
        judged = documents::samples();
    }
    if judged.is_empty() {
        return Err(Failure::usage(NO_TEXTS));
    }
    let documents: Vec<Document> = judged.into_iter().map(|judged| judged.document).collect();
    let settings = settings(bench.settings.as_ref())?;
    let (limits, compile) = bench.within.limits()?;
    let sandbox = sandbox_within(limits.clone(), compile)?;
    let (policy, prepare_ms) = prepared(&sandbox, &bench.policy, &settings, &limits)?;
    let base = match &bench.base {
        Some(path) => Some(prepared(&sandbox, path, &settings, &limits)?),
        None => None,
    };
    // In turns, so that whatever else the machine does falls on both.
    let turns = 4;
    let time = Duration::from_millis(bench.ms) / turns;
    let mut best = Speed::default();
    let mut best_base = Speed::default();
    for _ in 0..turns {
        best = best.or(speed(&policy, &documents, time)?);
        if let Some((base, _)) = &base {
            best_base = best_base.or(speed(base, &documents, time)?);
        }
    }
    let figures = figures(&policy, &documents, &limits, prepare_ms, &best)?;
    let base = match &base {
        Some((base, prepare_ms)) => Some(self::figures(base, &documents, &limits, *prepare_ms, &best_base)?),
        None => None,
    };
    print(bench, documents.len(), &figures, base.as_ref());
    match figures.withheld == documents.len() {
        // Figures of a policy that judges nothing say nothing.
        true => Err(Failure::message(format!(
            "`{}` gave no verdict on any document; `kbc-mirror policy check` says why",
            bench.policy.display()
        ))),
        false => Ok(()),
    }
}

/// Prepares a policy of a file, and says how many milliseconds that took.
pub(in crate::cli) fn prepared(
    sandbox: &Sandbox,
    path: &Path,
    settings: &str,
    limits: &Limits,
) -> Result<(RedactionPolicy, f64), Failure> {
    let component = component_within(path, limits)?;
    let began = Instant::now();
    let policy = sandbox
        .customer_policy(&name(path), &component, settings)
        .map_err(|error| unusable(&error))?;
    Ok((policy, milliseconds(began.elapsed())))
}

/// The best of some measurements.
#[derive(Default)]
pub(in crate::cli) struct Speed {
    pub(in crate::cli) documents_per_second: f64,
    pub(in crate::cli) bytes_per_second: f64,
    pub(in crate::cli) findings: usize,
    pub(in crate::cli) withheld: usize,
}

impl Speed {
    pub(in crate::cli) fn or(self, other: Self) -> Self {
        if self.documents_per_second < other.documents_per_second {
            other
        } else {
            self
        }
    }
}

/// Judges all documents again and again, as a mirror does: in batches, each in a fresh instance, on one core.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(in crate::cli) fn speed(
    policy: &RedactionPolicy,
    documents: &[Document],
    time: Duration,
) -> Result<Speed, Failure> {
    let bytes: usize = documents.iter().map(text_bytes).sum();
    let (mut rounds, began) = (0_u32, Instant::now());
    let mut verdicts = Vec::new();
    while rounds == 0 || began.elapsed() < time {
        verdicts = policy
            .redact(&context(), documents)
            .map_err(|error| Failure::failed(&error))?;
        rounds += 1;
    }
    let per_second = f64::from(rounds) / began.elapsed().as_secs_f64();
    let findings = verdicts.iter().map(|verdict| match verdict {
        Verdict::Findings(findings) => findings.len(),
        Verdict::Withhold(_) => 0,
    });
    Ok(Speed {
        documents_per_second: per_second * documents.len() as f64,
        bytes_per_second: per_second * bytes as f64,
        findings: findings.sum(),
        withheld: verdicts
            .iter()
            .filter(|verdict| matches!(verdict, Verdict::Withhold(_)))
            .count(),
    })
}

/// Returns what a fresh instance takes that judges nothing: the quickest of many.
pub(in crate::cli) fn instance(policy: &RedactionPolicy) -> Result<Duration, Failure> {
    let mut quickest = Duration::MAX;
    for _ in 0..INSTANCES {
        let began = Instant::now();
        let measured = policy.measure(&context(), &[]);
        measured.map_err(|error| Failure::failed(&error))?;
        quickest = quickest.min(began.elapsed());
    }
    Ok(quickest)
}

fn text_bytes(document: &Document) -> usize {
    document.leaves.iter().map(|leaf| leaf.value.len()).sum()
}

fn figures(
    policy: &RedactionPolicy,
    documents: &[Document],
    limits: &Limits,
    prepare_ms: f64,
    best: &Speed,
) -> Result<Figures, Failure> {
    let measure = |documents: &[Document]| {
        let began = Instant::now();
        let measured = policy.measure(&context(), documents);
        let measured = measured.map_err(|error| Failure::failed(&error))?;
        Ok::<_, Failure>((measured, began.elapsed()))
    };
    let instance = instance(policy)?;
    let mut fuel = 0;
    let mut worst = (String::new(), Usage::default());
    let mut budgets = Budget::of_all(limits);
    for document in documents {
        let (measured, first) = measure(std::slice::from_ref(document))?;
        // Once more, so that a turn of another process is no document's.
        let (_, second) = measure(std::slice::from_ref(document))?;
        let usage = measured.usage;
        fuel += usage.fuel;
        let path = document.path.as_ref().map_or("", |path| path.as_str());
        if usage.fuel >= worst.1.fuel {
            worst = (path.to_owned(), usage);
        }
        let findings = measured.findings.unwrap_or_default().pop().unwrap_or_default();
        let time = u64::try_from(first.min(second).as_micros()).unwrap_or(u64::MAX);
        let used = [
            time,
            usage.fuel,
            usage.memory_bytes as u64,
            findings.len() as u64,
            answer_bytes(&findings) as u64,
        ];
        for (budget, used) in budgets.iter_mut().zip(used) {
            budget.take(path, used);
        }
    }
    Ok(Figures {
        prepare_ms,
        instance_us: milliseconds(instance) * 1_000.0,
        documents_per_second: best.documents_per_second,
        megabytes_per_second: best.bytes_per_second / 1e6,
        findings: best.findings,
        withheld: best.withheld,
        fuel,
        worst: worst.0,
        worst_usage: worst.1,
        budgets,
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn print(bench: &Bench, documents: usize, figures: &Figures, base: Option<&Figures>) {
    if bench.json {
        outln!(
            "{}",
            json!({
                "documents": documents,
                "policy": figures.as_json(),
                "base": base.map(Figures::as_json),
            })
        );
        return;
    }
    outln!(
        "{documents} documents, {} findings, {} withheld, on one core",
        figures.findings,
        figures.withheld
    );
    for (what, unit, is, was) in [
        (
            "prepare",
            "ms",
            figures.prepare_ms,
            base.map(|base| base.prepare_ms),
        ),
        (
            "instance",
            "us",
            figures.instance_us,
            base.map(|base| base.instance_us),
        ),
        (
            "speed",
            "documents/s",
            figures.documents_per_second,
            base.map(|base| base.documents_per_second),
        ),
        (
            "",
            "MB/s",
            figures.megabytes_per_second,
            base.map(|base| base.megabytes_per_second),
        ),
    ] {
        outln!("{what:<10}{is:>14.1} {unit}{}", compared(is, was));
    }
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let fuel = compared(figures.fuel as f64, base.map(|base| base.fuel as f64));
    outln!("{:<10}{:>14} for all, each alone{fuel}", "fuel", figures.fuel);
    outln!("worst of each budget");
    for budget in &figures.budgets {
        let Budget {
            name,
            unit,
            limit,
            max,
            path,
            used,
        } = budget;
        let amount = format!("{used} {unit}");
        outln!(
            "  {name:<8}{:>16}, {} ({limit}): `{path}`",
            amount.trim_end(),
            percent(*used, *max)
        );
    }
    if let Some(base) = base.filter(|base| base.findings != figures.findings) {
        outln!("the base has {} findings in the same documents", base.findings);
    }
}

/// Says how a figure stands to that of the base.
fn compared(is: f64, was: Option<f64>) -> String {
    match was {
        Some(was) if was > 0.0 => format!(", {:+.1} % against the base", 100.0 * (is / was - 1.0)),
        _ => String::new(),
    }
}

impl Figures {
    fn as_json(&self) -> Value {
        let Self {
            prepare_ms,
            instance_us,
            documents_per_second,
            megabytes_per_second,
            findings,
            withheld,
            fuel,
            worst,
            worst_usage,
            budgets,
        } = self;
        let max = |name: &str| {
            budgets
                .iter()
                .find(|budget| budget.name == name)
                .map(|budget| budget.max)
        };
        json!({
            "prepare_ms": prepare_ms,
            "instance_us": instance_us,
            "documents_per_second": documents_per_second,
            "megabytes_per_second": megabytes_per_second,
            "findings": findings,
            "withheld": withheld,
            "fuel": fuel,
            "worst": {
                "path": worst,
                "fuel": worst_usage.fuel,
                "fuel_max": max("fuel"),
                "memory_bytes": worst_usage.memory_bytes,
                "memory_bytes_max": max("memory"),
            },
            "budgets": budgets.iter().map(Budget::as_json).collect::<Vec<_>>(),
        })
    }
}
