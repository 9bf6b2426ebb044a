//! `policy check`: can this component be used, and if not, what all is wrong with it?

use super::{
    Within, context, documents,
    documents::sources,
    name, sandbox_within, settings,
    touched::{HIDDEN, escaped},
    wrapped_within,
};
use crate::{app::Failure, output::outln};
use clap::Args;
use mirror_core::{
    document::Document,
    finding::{Finding, Target},
    guard::Sightings,
};
use mirror_sandbox::{Limits, RedactionPolicy, Sandbox, SandboxError, Usage};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub struct Check {
    /// The component, or a core module that was built for the world `redaction-policy`.
    policy: PathBuf,
    /// A JSON file with the policy's settings.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Files or directories to try it on, beside the documents that are built in.
    #[arg(long)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    within: Within,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// What `--data` that has nothing to judge is told.
pub(super) const NO_TEXTS: &str = "there is nothing to judge: `--data` names no texts";

/// What was found out.
#[derive(Default)]
struct Report {
    /// The file is a core module; all else is of the component that is made of it.
    is_module: bool,
    digest: String,
    bytes: usize,
    problems: Vec<String>,
    policy: Option<RedactionPolicy>,
    documents: usize,
    /// Whether it takes batches packed as well, and both interfaces were compared.
    is_packed: bool,
    /// What the largest batch took, and the document that alone took most fuel.
    used: Usage,
    worst: Option<(String, Usage)>,
    /// Those that it was tried under.
    limits: Limits,
    /// What the policy found, which no path that is shown says. May be secrets: never printed.
    found: BTreeSet<String>,
}

pub(super) fn run(check: &Check) -> Result<(), Failure> {
    let settings = settings(check.settings.as_ref())?;
    let mut given = Vec::new();
    for source in sources(&check.data) {
        given.extend(source.read()?);
    }
    if given.is_empty() && !check.data.is_empty() {
        return Err(Failure::usage(NO_TEXTS));
    }
    let mut tried = documents::samples();
    tried.extend(given);
    let (limits, compile) = check.within.limits()?;
    let mut report = match wrapped_within(&check.policy, &limits)? {
        Ok((bytes, is_module)) => {
            let sandbox = sandbox_within(limits.clone(), compile)?;
            Report {
                is_module,
                ..examine(&sandbox, &check.policy, &bytes, &settings, tried)?
            }
        }
        Err(error) => Report {
            is_module: true,
            problems: error.into_problems(),
            ..Report::default()
        },
    };
    report.limits = limits;
    report.hide_found();
    if check.json {
        outln!("{}", report.as_json(&check.policy.display().to_string()));
    } else {
        report.print(&check.policy.display().to_string());
    }
    match report.problems.len() {
        0 => Ok(()),
        problems => Err(Failure::message(cannot_be_used(&check.policy, problems))),
    }
}

/// Says that a file cannot be used, with so many problems that were told before.
pub(super) fn cannot_be_used(path: &Path, problems: usize) -> String {
    let plural = if problems == 1 { "" } else { "s" };
    format!(
        "`{}` cannot be used as a policy: {problems} problem{plural}",
        path.display()
    )
}

/// Tries a policy on the documents that are built in, as `policy check` does; says all that is wrong with it.
///
/// # Errors
/// A sandbox that fails as a whole.
pub(super) fn on_samples(policy: &RedactionPolicy) -> Result<Vec<String>, Failure> {
    let samples = documents::samples();
    let documents: Vec<Document> = samples.into_iter().map(|judged| judged.document).collect();
    let mut report = Report::default();
    report.try_on(policy, &documents)?;
    Ok(report.problems)
}

fn examine(
    sandbox: &Sandbox,
    path: &Path,
    bytes: &[u8],
    settings: &str,
    tried: Vec<documents::Judged>,
) -> Result<Report, Failure> {
    let mut report = Report {
        digest: mirror_sandbox::digest(bytes),
        bytes: bytes.len(),
        documents: tried.len(),
        ..Report::default()
    };
    match sandbox.customer_policy(&name(path), bytes, settings) {
        Ok(policy) => {
            let documents: Vec<Document> = tried.into_iter().map(|judged| judged.document).collect();
            report.try_on(&policy, &documents)?;
            report.policy = Some(policy);
        }
        Err(SandboxError::Misfit { problems, .. }) => report.problems = problems,
        Err(SandboxError::Settings { issues, .. }) => {
            let problem = |issue: mirror_sandbox::Issue| match issue.pointer.as_str() {
                "" => format!("it refuses its settings: {}", issue.message),
                pointer => format!("it refuses its settings: `{pointer}`: {}", issue.message),
            };
            report.problems = issues.into_iter().map(problem).collect();
            if report.problems.is_empty() {
                report
                    .problems
                    .push("it refuses its settings and does not say why".to_owned());
            }
        }
        Err(
            error @ (SandboxError::Compile { .. }
            | SandboxError::Unusable { .. }
            | SandboxError::Deadline { .. }),
        ) => {
            report.problems.push(error.to_string());
        }
        Err(
            error @ (SandboxError::Engine { .. }
            | SandboxError::Ticker { .. }
            | SandboxError::CacheDir { .. }
            | SandboxError::NoEnd { .. }),
        ) => {
            return Err(Failure::failed(&error));
        }
    }
    Ok(report)
}

impl Report {
    /// Judges the documents together, backwards, alone and twice: the product batches them as it likes.
    fn try_on(&mut self, policy: &RedactionPolicy, documents: &[Document]) -> Result<(), Failure> {
        let measured = |documents: &[Document]| {
            policy
                .measure(&context(), documents)
                .map_err(|error| Failure::failed(&error))
        };
        let mut alone = Vec::new();
        for document in documents {
            let path = document.path.as_ref().map_or("", |path| path.as_str()).to_owned();
            let first = measured(std::slice::from_ref(document))?;
            let second = measured(std::slice::from_ref(document))?;
            let (usage, is_same) = (first.usage, first == second);
            match first.findings {
                Err(reason) => self.problems.push(format!("on `{path}`: {reason}")),
                Ok(_) if !is_same => self.problems.push(format!(
                    "on `{path}` it does not do the same twice, which no policy may; see what it makes of uninitialised memory or of the order of hash maps"
                )),
                Ok(mut findings) => {
                    let findings = findings.pop().unwrap_or_default();
                    let texts = findings.iter().filter_map(|finding| text_of(document, finding));
                    self.found.extend(texts);
                    alone.push(findings);
                }
            }
            if self
                .worst
                .as_ref()
                .is_none_or(|(_, worst)| worst.fuel < usage.fuel)
            {
                self.worst = Some((path, usage));
            }
        }
        if !self.problems.is_empty() {
            return Ok(());
        }
        if policy.takes_packed() {
            self.is_packed = true;
            self.compare_interfaces(policy, documents, &alone)?;
            if !self.problems.is_empty() {
                return Ok(());
            }
        }
        let together = measured(documents)?;
        self.used = together.usage;
        let backwards: Vec<Document> = documents.iter().rev().cloned().collect();
        let reversed = measured(&backwards)?;
        let reversed = reversed
            .findings
            .map(|findings| findings.into_iter().rev().collect::<Vec<_>>());
        for (way, findings) in [("together", together.findings), ("in another order", reversed)] {
            match findings {
                Ok(findings) if findings == alone => {}
                Ok(_) => self.problems.push(format!(
                    "documents that are judged {way} get other findings than alone; a verdict must depend on nothing but the document, so keep no state between documents"
                )),
                Err(reason) => self.problems.push(format!("on all documents {way}: {reason}")),
            }
        }
        Ok(())
    }

    /// Asks a policy that takes batches packed by its other interface too: `alone` is what it found packed.
    fn compare_interfaces(
        &mut self,
        policy: &RedactionPolicy,
        documents: &[Document],
        alone: &[Vec<Finding>],
    ) -> Result<(), Failure> {
        let measured = |documents: &[Document]| {
            let measured = policy.measure_unpacked(&context(), documents);
            measured.map_err(|error| Failure::failed(&error))
        };
        for (document, packed) in documents.iter().zip(alone) {
            let path = document.path.as_ref().map_or("", |path| path.as_str());
            match measured(std::slice::from_ref(document))?.findings {
                Ok(mut plain) => {
                    let plain = plain.pop().unwrap_or_default();
                    let misfit = misfit(document, packed, &plain);
                    self.problems
                        .extend(misfit.map(|misfit| format!("on `{path}` {misfit}; {ONE_FUNCTION}")));
                }
                Err(reason) => self.problems.push(format!(
                    "on `{path}` `redaction` fails and `packed-redaction` does not: {reason}; {ONE_FUNCTION}"
                )),
            }
        }
        if !self.problems.is_empty() {
            return Ok(());
        }
        match measured(documents)?.findings {
            Ok(plain) if plain.iter().zip(alone).all(|(plain, packed)| ordered(plain) == ordered(packed)) => {}
            Ok(_) => self.problems.push(format!(
                "all documents together get other findings by `redaction` than by `packed-redaction`; {ONE_FUNCTION}"
            )),
            Err(reason) => self.problems.push(format!(
                "on all documents together `redaction` fails and `packed-redaction` does not: {reason}; {ONE_FUNCTION}"
            )),
        }
        Ok(())
    }

    /// Takes what was found out of the paths that are to be shown.
    fn hide_found(&mut self) {
        let found = Sightings::of(self.found.iter().map(String::as_str));
        for problem in &mut self.problems {
            *problem = found.hide(problem, HIDDEN);
        }
        if let Some((path, _)) = &mut self.worst {
            *path = escaped(&found.hide(path, HIDDEN));
        }
    }

    fn as_json(&self, file: &str) -> Value {
        let limits = &self.limits;
        json!({
            "file": file,
            "module": self.is_module,
            "ok": self.problems.is_empty(),
            "problems": self.problems,
            "sha256": self.digest,
            "bytes": self.bytes,
            "name": self.policy.as_ref().map(|policy| &policy.info().name),
            "version": self.policy.as_ref().map(|policy| &policy.info().version),
            "rules": self.policy.as_ref().map(|policy| policy.info().rules.len()),
            "documents": self.documents,
            "interfaces": match self.is_packed {
                true => json!(["redaction", "packed-redaction"]),
                false => json!(["redaction"]),
            },
            "fuel": { "used": self.used.fuel, "max": limits.fuel_max },
            "memory_bytes": { "used": self.used.memory_bytes, "max": limits.memory_bytes_max },
            "worst": self.worst.as_ref().map(|(path, usage)| json!({ "path": path, "fuel": usage.fuel })),
        })
    }

    fn print(&self, file: &str) {
        for problem in &self.problems {
            outln!("- {problem}");
        }
        let Some(policy) = self.policy.as_ref().filter(|_| self.problems.is_empty()) else {
            return;
        };
        let (info, limits) = (policy.info(), &self.limits);
        outln!("{file}: good");
        if self.is_module {
            outln!(
                "module   the file is a core module, which a mirror's `file` cannot be: `policy add` stores the component that is made of it, and `policy wrap` writes it; size and sha256 are of that component"
            );
        }
        let plural = if info.rules.len() == 1 { "" } else { "s" };
        outln!(
            "policy   {} {}, {} rule{plural}",
            info.name,
            info.version,
            info.rules.len()
        );
        outln!("sha256   {}", self.digest);
        outln!(
            "size     {} bytes, {}",
            self.bytes,
            percent(self.bytes as u64, limits.component_bytes_max as u64)
        );
        outln!(
            "judged   {} documents alone, together, backwards and twice{}, with the same findings",
            self.documents,
            if self.is_packed { ", packed and not" } else { "" }
        );
        outln!(
            "fuel     {}, {}",
            self.used.fuel,
            percent(self.used.fuel, limits.fuel_max)
        );
        outln!(
            "memory   {} bytes, {}",
            self.used.memory_bytes,
            percent(self.used.memory_bytes as u64, limits.memory_bytes_max as u64)
        );
        if let Some((path, usage)) = &self.worst {
            outln!("worst    `{path}`: {} of fuel", usage.fuel);
        }
    }
}

/// What mends a policy whose interfaces differ.
const ONE_FUNCTION: &str = "both must give the same answers: let the `redact` of `packed-redaction` and that of `redaction` call one function for each document, or build for the world `redaction-policy`, which has no `packed-redaction`";

/// Says in what the findings of a document differ, by place and rule and never by content; none where they do not. Their
/// order does not count, since the host joins them.
fn misfit(document: &Document, packed: &[Finding], plain: &[Finding]) -> Option<String> {
    let (packed, plain) = (ordered(packed), ordered(plain));
    let only = |these: &[Place], those: &[Place]| these.iter().find(|place| !those.contains(place)).cloned();
    let (finder, other, place) = match (only(&packed, &plain), only(&plain, &packed)) {
        (Some(place), _) => ("packed-redaction", "redaction", place),
        (None, Some(place)) => ("redaction", "packed-redaction", place),
        // The same ones, but some of them more often: nothing more goes.
        (None, None) => return None,
    };
    let (leaf, target, rule) = place;
    let pointer = document.leaves.get(leaf).map_or("", |leaf| leaf.pointer);
    let target = match target {
        Target::Whole => "the whole value".to_owned(),
        Target::Literal(text) => format!("a text of {} bytes", text.len()),
        Target::Bytes { start, end } => format!("bytes {start} to {end}"),
    };
    Some(format!(
        "`{finder}` finds `{rule}` in {target} of leaf {leaf} (`{pointer}`) and `{other}` does not ({} findings packed, {} otherwise)",
        packed.len(),
        plain.len()
    ))
}

/// Returns the text that a finding is about.
fn text_of(document: &Document, finding: &Finding) -> Option<String> {
    let value = document.leaves.get(finding.leaf)?.value;
    match &finding.target {
        Target::Whole => Some(value.to_owned()),
        Target::Literal(text) => Some(text.clone()),
        Target::Bytes { start, end } => value.get(*start..*end).map(str::to_owned),
    }
}

/// What goes of which leaf, and by which rule.
type Place = (usize, Target, String);

fn ordered(findings: &[Finding]) -> Vec<Place> {
    let place = |finding: &Finding| {
        (
            finding.leaf,
            finding.target.clone(),
            finding.rule.as_str().to_owned(),
        )
    };
    let mut places: Vec<Place> = findings.iter().map(place).collect();
    places.sort_by_cached_key(|(leaf, target, rule)| (*leaf, format!("{target:?}"), rule.clone()));
    places.dedup();
    places
}

/// Says how much of a limit was used.
pub(super) fn percent(used: u64, max: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let share = 100.0 * used as f64 / max.max(1) as f64;
    format!("{share:.1} % of what is allowed")
}
