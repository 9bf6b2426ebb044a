//! Redaction policies as lanes use them: the built-in one and customers', each with its name, its measures and a
//! memory of what it has judged.
//!
//! What a policy is and how it is held in bounds is the sandbox's affair. What becomes of its findings
//! is that of `pipeline::transform`.

mod memo;
mod shadow;

use crate::{
    config::{PoliciesConfig, PolicySpec},
    files,
    metrics::{Judged, PolicyFailed, PolicyLabel, PolicyMetrics},
};
use jiff::Timestamp;
pub use memo::Memo;
use mirror_core::{
    document::{Context, Document},
    finding::Verdict,
    ids::MirrorId,
};
use mirror_sandbox::{
    ChildCompiler, CompileLimits, Compiler, Limits, RedactionPolicy, Sandbox, SandboxConfig, SandboxError,
};
pub use shadow::{Shadow, ShadowReport};
use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use thiserror::Error;
use tracing::warn;

/// The command that a process of this program runs to compile a component; see [`mirror_sandbox::run_compiler`].
pub const COMPILE_COMMAND: &str = "compile-component";
/// How metrics call the built-in policy.
const BUILTIN: &str = "secret-redaction";

/// Why a customer's policy cannot be used.
#[derive(Debug, Error)]
pub enum PolicyError {
    #[error("cannot read the component `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{}` has the SHA-256 {found}, and the configuration asks for {expected}; put the right component there, or change `digest` after looking at it with `kbc-mirror policy inspect`",
        path.display()
    )]
    Digest {
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error(
        "`{}` is a core module, and a mirror takes components; `kbc-mirror policy add` makes one of it and stores it, and `kbc-mirror policy wrap` writes it to a file: `digest` is that of the component, which `kbc-mirror policy check` tells",
        path.display()
    )]
    Module { path: PathBuf },
    #[error("the program's own file cannot be found, of which a process compiles policies")]
    Compiler(#[source] io::Error),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// A policy with its settings, as a lane asks it.
#[derive(Debug, Clone)]
pub struct Policy {
    guest: RedactionPolicy,
    /// Component and settings, as they go into the render digest.
    identity: (String, String),
    watched: Option<Watched>,
}

/// What is kept of a policy's work.
#[derive(Debug, Clone)]
struct Watched {
    label: PolicyLabel,
    metrics: PolicyMetrics,
    memo: Arc<Memo>,
    /// It only watches.
    shadow: bool,
}

impl From<RedactionPolicy> for Policy {
    /// The built-in policy, with nobody watching it.
    fn from(guest: RedactionPolicy) -> Self {
        let identity = (guest.digest().to_owned(), "{}".to_owned());
        Self {
            guest,
            identity,
            watched: None,
        }
    }
}

impl Policy {
    /// Returns the digest of the component, and its settings with all else that its verdicts depend on.
    #[must_use]
    pub fn identity(&self) -> &(String, String) {
        &self.identity
    }

    /// Returns the policy itself, without measures and memory.
    #[must_use]
    pub fn guest(&self) -> &RedactionPolicy {
        &self.guest
    }

    /// Judges documents of one project: one verdict for each, in order; see [`RedactionPolicy::redact`].
    ///
    /// A policy is a pure function, so what it found in the same content before is not asked again.
    ///
    /// # Errors
    /// [`SandboxError::Deadline`], which is temporary.
    pub fn redact(&self, context: &Context, documents: &[Document]) -> Result<Vec<Verdict>, SandboxError> {
        match &self.watched {
            Some(watched) => self.remember(watched, context, documents),
            None => self.guest.redact(context, documents),
        }
    }

    fn remember(
        &self,
        watched: &Watched,
        context: &Context,
        documents: &[Document],
    ) -> Result<Vec<Verdict>, SandboxError> {
        let keys = watched.memo.keys(&self.identity, context, documents);
        let known = watched.memo.look_up(&keys);
        let asked: Vec<usize> = (0..documents.len()).filter(|at| known[*at].is_none()).collect();
        let began = Instant::now();
        let judged = match asked.len() {
            0 => Ok(Vec::new()),
            // As in a first sync, and in a project that nobody has judged before.
            all if all == documents.len() => self.guest.redact(context, documents),
            _ => {
                let unknown: Vec<Document> = asked.iter().map(|at| documents[*at].clone()).collect();
                self.guest.redact(context, &unknown)
            }
        };
        watched.count(began.elapsed().as_secs_f64(), documents.len(), &judged);
        let judged = judged?;
        watched.memo.keep(
            asked
                .iter()
                .zip(&judged)
                .filter_map(|(at, verdict)| match verdict {
                    Verdict::Findings(findings) => Some((keys[*at], findings.clone())),
                    // It may be that it was not asked at all.
                    Verdict::Withhold(_) => None,
                }),
        );
        let mut verdicts: Vec<Option<Verdict>> = known
            .into_iter()
            .map(|findings| findings.map(Verdict::Findings))
            .collect();
        for (at, verdict) in asked.into_iter().zip(judged) {
            verdicts[at] = Some(verdict);
        }
        let all: Option<Vec<Verdict>> = verdicts.into_iter().collect();
        Ok(all.expect("what was not known was asked"))
    }
}

impl Watched {
    fn count(&self, seconds: f64, documents: usize, judged: &Result<Vec<Verdict>, SandboxError>) {
        let Self { label, metrics, .. } = self;
        let count = |result: &'static str, documents: usize| {
            let labels = Judged {
                policy: label.policy.clone(),
                result,
            };
            metrics.documents.get_or_create(&labels).inc_by(documents as u64);
        };
        let failed = |reason: &'static str| {
            let labels = PolicyFailed {
                policy: label.policy.clone(),
                reason,
            };
            metrics.failures.get_or_create(&labels).inc();
        };
        let verdicts = match judged {
            Ok(verdicts) => verdicts,
            Err(error) => {
                failed(if error.is_temporary() {
                    "deadline"
                } else {
                    "sandbox"
                });
                return;
            }
        };
        count("known", documents - verdicts.len());
        count("judged", verdicts.len());
        if !verdicts.is_empty() {
            metrics.seconds.get_or_create(label).observe(seconds);
        }
        let mut findings = 0;
        let mut withheld = None;
        for verdict in verdicts {
            match verdict {
                Verdict::Findings(found) => findings += found.len() as u64,
                Verdict::Withhold(reason) => {
                    failed(reason.kind());
                    withheld.get_or_insert((reason, 0_usize)).1 += 1;
                }
            }
        }
        metrics.findings.get_or_create(label).inc_by(findings);
        // What a shadow cannot answer withholds nothing, and is told by the shadow.
        if let Some((reason, documents)) = withheld
            && !self.shadow
        {
            warn!(policy = label.policy, documents, first = %reason, "a policy gave no verdict; the objects are withheld");
        }
    }
}

/// Name, digest of the component, settings and what it is limited to.
type Key = (String, String, String, String);

/// Where mirrors get their policies from.
#[derive(Debug)]
pub struct Policies {
    sandbox: Sandbox,
    config: PoliciesConfig,
    metrics: PolicyMetrics,
    memo: Arc<Memo>,
    /// One for all mirrors with the same component, name, settings and limits.
    prepared: Mutex<HashMap<Key, RedactionPolicy>>,
}

impl Policies {
    /// Makes one that takes its policies from `sandbox`.
    #[must_use]
    pub fn new(sandbox: Sandbox, config: PoliciesConfig, metrics: PolicyMetrics) -> Self {
        let memo = Arc::new(Memo::new(config.memo_bytes_max));
        Self {
            sandbox,
            config,
            metrics,
            memo,
            prepared: Mutex::default(),
        }
    }

    /// Makes one for looking at what a configuration names: nothing is kept and nobody watches. Components are compiled
    /// as a server does it.
    ///
    /// # Errors
    /// A sandbox that cannot start.
    pub fn to_check(config: &PoliciesConfig) -> Result<Self, PolicyError> {
        let compiler = compiler(config.compile).map_err(PolicyError::Compiler)?;
        let sandbox = Sandbox::new(SandboxConfig {
            compiler,
            ..SandboxConfig::offline(Limits::default(), config.limits.clone())
        })?;
        Ok(Self::new(sandbox, config.clone(), PolicyMetrics::default()))
    }

    /// Makes the built-in policy one that is watched.
    #[must_use]
    pub fn builtin(&self, guest: RedactionPolicy) -> Policy {
        let policy = Policy::from(guest);
        self.watched(policy, BUILTIN.to_owned(), &self.metrics, false)
    }

    /// Prepares a policy of a mirror: reads its component, makes sure that it fits, and gives it its settings. Blocks.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn prepare(&self, mirror: &str, spec: &PolicySpec) -> Result<Policy, PolicyError> {
        let policy = self.unwatched(spec)?;
        Ok(self.watched(policy, format!("{mirror}/{}", spec.name), &self.metrics, false))
    }

    /// Prepares a policy of a mirror that only watches, after so many that are switched on. `metrics` are those of shadows. One
    /// that cannot be used says so in its report; nobody else is affected. Blocks.
    #[must_use]
    pub fn shadow(
        &self,
        mirror: &MirrorId,
        spec: &PolicySpec,
        after: usize,
        metrics: &PolicyMetrics,
        now: Timestamp,
    ) -> Shadow {
        let policy = self.unwatched(spec);
        let policy =
            policy.map(|policy| self.watched(policy, format!("{mirror}/{}", spec.name), metrics, true));
        Shadow::new(
            after,
            policy.map_err(|error| crate::app::chain(&error)),
            ShadowReport::new(mirror.clone(), spec.name.clone(), now),
            spec.limits.failures_in_row_max,
        )
    }

    fn unwatched(&self, spec: &PolicySpec) -> Result<Policy, PolicyError> {
        let component = read_component(&spec.file, self.config.limits.component_bytes_max)?;
        // Before the digest, which is of no use for one.
        if mirror_sandbox::is_core_module(&component) {
            return Err(PolicyError::Module {
                path: spec.file.clone(),
            });
        }
        let digest = mirror_sandbox::digest(&component);
        if let Some(expected) = spec.digest.as_ref().filter(|expected| **expected != digest) {
            return Err(PolicyError::Digest {
                path: spec.file.clone(),
                found: digest,
                expected: expected.clone(),
            });
        }
        let limits = serde_json::to_string(&spec.limits).expect("numbers have a JSON form");
        let key = (spec.name.clone(), digest, spec.settings.clone(), limits);
        let prepared = self.prepared().get(&key).cloned();
        let guest = match prepared {
            Some(guest) => guest,
            None => {
                let guest = self.sandbox.customer_policy_within(
                    &spec.name,
                    &component,
                    &spec.settings,
                    &spec.limits,
                )?;
                self.prepared().insert(key.clone(), guest.clone());
                guest
            }
        };
        let (_, digest, settings, _) = key;
        Ok(Policy {
            guest,
            identity: (digest, format!("{settings}\n{}", verdict_limits(&spec.limits))),
            watched: None,
        })
    }

    /// Makes sure that a component can be used as a policy with these settings. Blocks.
    ///
    /// # Errors
    /// See [`Sandbox::customer_policy`].
    pub fn prepare_component(
        &self,
        name: &str,
        component: &[u8],
        settings: &str,
    ) -> Result<RedactionPolicy, SandboxError> {
        self.sandbox.customer_policy(name, component, settings)
    }

    fn watched(&self, policy: Policy, label: String, metrics: &PolicyMetrics, shadow: bool) -> Policy {
        let watched = Watched {
            label: PolicyLabel { policy: label },
            metrics: metrics.clone(),
            memo: Arc::clone(&self.memo),
            shadow,
        };
        Policy {
            watched: Some(watched),
            ..policy
        }
    }

    /// A map is whole at every moment, so a panic elsewhere leaves nothing to repair.
    fn prepared(&self) -> std::sync::MutexGuard<'_, HashMap<Key, RedactionPolicy>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the limits that a verdict may depend on, so that what was withheld for one is tried again once it is
/// raised. Wall-clock time is none of them.
fn verdict_limits(limits: &Limits) -> String {
    let Limits {
        memory_bytes_max,
        table_elements_max,
        wasm_stack_bytes_max,
        hostcall_fuel,
        fuel_max,
        findings_max,
        literal_search_bytes_max,
        ..
    } = limits;
    format!(
        "{memory_bytes_max} {table_elements_max} {wasm_stack_bytes_max} {hostcall_fuel} {fuel_max} {findings_max} {literal_search_bytes_max}"
    )
}

/// Returns the compiler of customers' components: a process of this program, which must know [`COMPILE_COMMAND`].
///
/// # Errors
/// A system that does not say which program this is.
pub fn compiler(limits: CompileLimits) -> io::Result<Compiler> {
    let arguments = [OsString::from(COMPILE_COMMAND)];
    ChildCompiler::this_program(arguments, limits).map(Compiler::Child)
}

/// Reads a component, of which no more than a byte above the limit: the sandbox says what is wrong with one that
/// is too long.
///
/// # Errors
/// A file that cannot be read.
pub fn read_component(path: &Path, bytes_max: usize) -> Result<Vec<u8>, PolicyError> {
    let read = || {
        let mut bytes = Vec::new();
        let file = files::open(path)?;
        io::Read::read_to_end(&mut io::Read::take(file, bytes_max as u64 + 1), &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| PolicyError::Read {
        path: path.to_owned(),
        source,
    })
}
