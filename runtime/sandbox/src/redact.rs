//! Redaction policies: the built-in one and customers'.

mod parts;

use crate::{
    Limits,
    batch::pieces,
    bindings::exports::keboola::mirror::{
        builtin_redaction, packed_redaction,
        redaction::{self, GuestIndices},
    },
    convert::{
        self,
        redact::{Flat, Packed},
    },
    error::{Call, SandboxError},
    fit,
    guest::{self, Guest, Host, Origin},
    meter::{AnswerLimit, Failure, Meter, Usage},
    snapshot, text,
};
use mirror_core::{
    document::{Context, Document},
    finding::{Finding, RuleId, Verdict, WithholdReason},
};
use std::sync::Arc;
use tracing::debug;
use wasmtime::{
    Store,
    component::{Component, Instance, InstancePre},
};

/// So much text one of our own guests is asked about at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What a policy says of itself. All texts are shortened and free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    pub name: String,
    pub version: String,
    pub rules: Vec<Rule>,
    /// JSON Schema of the settings; empty where there are none.
    pub settings_schema: String,
}

/// One reason for which a policy takes something away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: RuleId,
    /// One line for people.
    pub title: String,
}

/// One list of findings for each document of a batch.
type Answers = Vec<Vec<Finding>>;

/// The same as the guest gives it.
type Called = Result<Vec<Vec<redaction::Finding>>, redaction::GuestError>;

/// Where a policy's functions are.
struct Exports {
    redaction: GuestIndices,
    asked: Asked,
}

/// By which interface a policy is asked about batches.
enum Asked {
    /// By `redaction`, which every policy has.
    Unpacked,
    Packed(packed_redaction::GuestIndices),
    /// By that of the built-in one.
    Builtin(builtin_redaction::GuestIndices),
}

impl Exports {
    /// Returns how to look for those of a policy.
    fn look_up(origin: Origin) -> fn(&InstancePre<Meter>) -> wasmtime::Result<Self> {
        match origin {
            Origin::Builtin => Self::of_builtin,
            Origin::Customer => Self::of_customer,
        }
    }

    fn of_builtin(pre: &InstancePre<Meter>) -> wasmtime::Result<Self> {
        Ok(Self {
            redaction: GuestIndices::new(pre)?,
            asked: Asked::Builtin(builtin_redaction::GuestIndices::new(pre)?),
        })
    }

    fn of_customer(pre: &InstancePre<Meter>) -> wasmtime::Result<Self> {
        let packed = pre.component().get_export_index(None, fit::PACKED_REDACTION);
        Ok(Self {
            redaction: GuestIndices::new(pre)?,
            asked: match packed {
                Some(_) => Asked::Packed(packed_redaction::GuestIndices::new(pre)?),
                None => Asked::Unpacked,
            },
        })
    }

    /// Makes sure of the functions' types.
    fn load(&self, store: &mut Store<Meter>, instance: &Instance) -> wasmtime::Result<()> {
        self.redaction.load(&mut *store, instance)?;
        match &self.asked {
            Asked::Unpacked => Ok(()),
            Asked::Packed(packed) => packed.load(store, instance).map(drop),
            Asked::Builtin(builtin) => builtin.load(store, instance).map(drop),
        }
    }
}

/// Says which functions of a customer's policy have other types than this host calls them by.
fn mistyped(store: &mut Store<Meter>, instance: &Instance) -> Vec<String> {
    type Configured = Result<(), Vec<crate::bindings::keboola::mirror::types::Issue>>;
    type Context<'c> = crate::bindings::keboola::mirror::types::Context<'c>;
    let interface = fit::REDACTION.interface;
    let problems = [
        fit::mistyped::<(), (redaction::PolicyInfo,)>(store, instance, interface, "describe"),
        fit::mistyped::<(&str,), (Configured,)>(store, instance, interface, "configure"),
        fit::mistyped::<(Context<'_>, &[redaction::Document<'_>]), (Called,)>(
            store, instance, interface, "redact",
        ),
        fit::mistyped::<(Context<'_>, packed_redaction::Batch<'_>), (Called,)>(
            store,
            instance,
            fit::PACKED_REDACTION,
            "redact",
        ),
    ];
    problems.into_iter().flatten().collect()
}

/// What judging some documents once has come to, and taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The findings in each document, or why there are none in any.
    pub findings: Result<Vec<Vec<Finding>>, WithholdReason>,
    pub usage: Usage,
}

/// A policy with its settings, ready to judge documents. Cheap to clone; calls may run in parallel.
#[derive(Debug, Clone)]
pub struct RedactionPolicy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guest: Guest<Exports>,
    info: PolicyInfo,
    settings: String,
    /// An instance has its settings from the start, and is not to be given them.
    is_configured: bool,
}

impl RedactionPolicy {
    pub(crate) fn prepare(
        host: Arc<Host>,
        name: String,
        origin: Origin,
        bytes: &[u8],
        settings: &str,
        limits: &Limits,
    ) -> Result<Self, SandboxError> {
        Guest::<Exports>::scan(&host, &name, origin, bytes)?;
        let digest = guest::digest(bytes);
        if let Some(component) = snapshot(&host, &name, origin, &digest, bytes, settings) {
            let guest = Guest::of(
                host,
                name,
                origin,
                digest,
                &component,
                &fit::REDACTION,
                Exports::look_up(origin),
            )?;
            let guest = guest.held_to(limits);
            let info = describe(&guest, None)?;
            return Ok(Self::of(guest, info, settings, true));
        }
        let look_up = Exports::look_up(origin);
        let guest = Guest::prepare(host, name, origin, bytes, &fit::REDACTION, look_up)?;
        let guest = guest.held_to(limits);
        let info = describe(&guest, Some(settings))?;
        Ok(Self::of(guest, info, settings, false))
    }

    fn of(guest: Guest<Exports>, info: PolicyInfo, settings: &str, is_configured: bool) -> Self {
        Self(Arc::new(Inner {
            guest,
            info,
            settings: settings.to_owned(),
            is_configured,
        }))
    }

    /// Returns what the policy says of itself.
    #[must_use]
    pub fn info(&self) -> &PolicyInfo {
        &self.0.info
    }

    /// Returns what reasons call it, such as `policy own`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.guest.name
    }

    /// Returns the SHA-256 of the component, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.guest.digest
    }

    /// Returns whether instances have the settings from the start.
    #[cfg(test)]
    pub(crate) fn is_configured(&self) -> bool {
        self.0.is_configured
    }

    /// Judges documents of one project: one verdict for each, in order.
    ///
    /// Findings are checked: their leaf exists, a range lies on character boundaries, a literal
    /// occurs, nothing is empty. A document without a usable answer gets [`Verdict::Withhold`]. Blocks.
    ///
    /// # Errors
    /// [`SandboxError::Deadline`], which is temporary.
    pub fn redact(&self, context: &Context, documents: &[Document]) -> Result<Vec<Verdict>, SandboxError> {
        let Inner { guest, settings, .. } = &*self.0;
        let scope = [
            "redact",
            settings,
            context.stack.as_str(),
            context.project.as_str(),
            context.branch.as_str(),
        ];
        let outcomes = guest.judge_measured(&scope, documents, &weight, |batch| {
            self.redact_measured(context, batch)
        })?;
        let verdict = |outcome: Result<_, WithholdReason>| match outcome {
            Ok(findings) => Verdict::Findings(findings),
            Err(reason) => Verdict::Withhold(reason),
        };
        Ok(outcomes.into_iter().map(verdict).collect())
    }

    /// Judges some documents once, in one fresh instance, and says what that took; for looking at a policy.
    ///
    /// Nothing is halved: where it fails, the reason is that of the batch. Blocks.
    ///
    /// # Errors
    /// [`SandboxError::Deadline`], which is temporary.
    pub fn measure(&self, context: &Context, batch: &[Document]) -> Result<Measured, SandboxError> {
        self.measured(self.redact_measured(context, batch))
    }

    /// Returns whether it takes batches packed as well; then it is asked so.
    #[must_use]
    pub fn takes_packed(&self) -> bool {
        matches!(self.0.guest.exports.asked, Asked::Packed(_))
    }

    /// The same as [`RedactionPolicy::measure`] by the interface that every policy has, also where it would be asked by the
    /// packed one.
    ///
    /// # Errors
    /// As there.
    pub fn measure_unpacked(&self, context: &Context, batch: &[Document]) -> Result<Measured, SandboxError> {
        self.measured(self.redact_unpacked(context, batch))
    }

    fn measured(
        &self,
        (outcome, usage): (Result<Answers, Failure>, Usage),
    ) -> Result<Measured, SandboxError> {
        let findings = match outcome {
            Ok(findings) => Ok(findings),
            Err(Failure::Item { reason, .. } | Failure::Batch(reason)) => Err(reason),
            Err(Failure::Deadline) => return Err(self.0.guest.unusable(Failure::Deadline)),
        };
        Ok(Measured { findings, usage })
    }

    fn redact_measured(&self, context: &Context, batch: &[Document]) -> (Result<Answers, Failure>, Usage) {
        match &self.0.guest.exports.asked {
            Asked::Unpacked => self.redact_unpacked(context, batch),
            Asked::Packed(packed) => self.redact_packed(packed, context, batch),
            Asked::Builtin(builtin) => self.redact_builtin(builtin, batch),
        }
    }

    fn redact_packed(
        &self,
        indices: &packed_redaction::GuestIndices,
        context: &Context,
        batch: &[Document],
    ) -> (Result<Answers, Failure>, Usage) {
        let (called, usage) = self.run(|_, store, instance| {
            if batch.is_empty() {
                return Ok(Ok(Vec::new()));
            }
            let policy = indices.load(&mut *store, instance)?;
            let packed = Packed::new(batch).ok_or_else(too_large)?;
            policy.call_redact(store, convert::context(context), packed.lent())
        });
        (called.and_then(|called| self.checked(batch, called)), usage)
    }

    /// Asks the built-in policy. It gets little at a time, in memory that it has used before: each page that a fresh instance
    /// touches costs as much as judging a hundred bytes.
    fn redact_builtin(
        &self,
        indices: &builtin_redaction::GuestIndices,
        batch: &[Document],
    ) -> (Result<Answers, Failure>, Usage) {
        let (called, usage) = self.run(|_, store, instance| {
            let policy = indices.load(&mut *store, instance)?;
            let mut answers: Vec<Vec<redaction::Finding>> = Vec::with_capacity(batch.len());
            for piece in pieces(batch, PIECE_BYTES, &weight) {
                let before = answers.len();
                answers.resize_with(before + piece.len(), Vec::new);
                if let [document] = piece
                    && is_clean_in_parts(&policy, store, document)?
                {
                    continue;
                }
                let flat = Flat::new(piece).ok_or_else(too_large)?;
                match policy.call_redact(&mut *store, flat.lent())? {
                    Ok(found) => {
                        for found in found {
                            let of = answers[before..].get_mut(found.document as usize);
                            let of = of.ok_or_else(|| {
                                wasmtime::Error::msg("a finding is in a document that was not asked about")
                            })?;
                            of.push(found.finding);
                        }
                    }
                    Err(error) => return Ok(Err(convert::after(before, error))),
                }
            }
            Ok(Ok(answers))
        });
        (called.and_then(|called| self.checked(batch, called)), usage)
    }

    fn redact_unpacked(&self, context: &Context, batch: &[Document]) -> (Result<Answers, Failure>, Usage) {
        let context = convert::context(context);
        let leaves: Vec<_> = batch.iter().map(convert::redact::leaves).collect();
        let documents: Vec<_> = batch
            .iter()
            .zip(&leaves)
            .map(|(document, leaves)| convert::redact::document(document, leaves))
            .collect();
        let (called, usage) = self.run(|policy, store, _| policy.call_redact(store, context, &documents));
        (called.and_then(|called| self.checked(batch, called)), usage)
    }

    /// Calls a fresh instance that has its settings; returns none where they are refused.
    fn run(
        &self,
        call: impl FnOnce(&redaction::Guest, &mut Store<Meter>, &Instance) -> wasmtime::Result<Called>,
    ) -> (Result<Option<Called>, Failure>, Usage) {
        let Inner {
            guest,
            settings,
            is_configured,
            ..
        } = &*self.0;
        guest.run_measured(AnswerLimit::HostcallFuel, |exports, store, instance| {
            let policy = exports.redaction.load(&mut *store, instance)?;
            if !is_configured && policy.call_configure(&mut *store, settings)?.is_err() {
                return Ok(None);
            }
            call(&policy, store, instance).map(Some)
        })
    }

    /// Checks an answer; it is none where the settings were refused.
    fn checked(&self, batch: &[Document], called: Option<Called>) -> Result<Answers, Failure> {
        let Inner { guest, info, .. } = &*self.0;
        let answers = match called {
            Some(Ok(answers)) => answers,
            Some(Err(error)) => return Err(guest.refused_of(&error, batch.iter().flat_map(convert::texts))),
            None => {
                return Err(Failure::Batch(
                    guest.malformed("it refused settings that it took before"),
                ));
            }
        };
        if answers.len() != batch.len() {
            let detail = format!(
                "{} lists of findings for {} documents",
                answers.len(),
                batch.len()
            );
            return Err(Failure::Batch(guest.malformed(detail)));
        }
        let checked = batch
            .iter()
            .zip(answers)
            .enumerate()
            .map(|(index, (document, findings))| {
                let checked = convert::redact::findings(guest.limits(), &info.rules, document, findings);
                checked.map_err(|wrong| Failure::Item {
                    index,
                    reason: guest.wrong(wrong),
                })
            });
        checked.collect()
    }
}

/// Returns the compiled policy with its settings; none where it cannot be had so, which is found out again, and
/// told in full, where it is prepared without.
fn snapshot(
    host: &Host,
    name: &str,
    origin: Origin,
    digest: &str,
    bytes: &[u8],
    settings: &str,
) -> Option<Component> {
    let digest = snapshot::digest(digest, settings);
    let configured = host.configured(origin, &digest, bytes, settings);
    match configured {
        Ok(component) => Some(component),
        Err(reason) => {
            debug!(guest = name, %reason, "a policy is set up anew in each instance");
            None
        }
    }
}

/// Prepares a customer's policy as far as it takes to ask what it is.
pub(crate) fn describe_only(host: Arc<Host>, name: String, bytes: &[u8]) -> Result<PolicyInfo, SandboxError> {
    let origin = Origin::Customer;
    let look_up = Exports::look_up(origin);
    let guest = Guest::prepare(host, name, origin, bytes, &fit::REDACTION, look_up)?;
    describe(&guest, None)
}

/// Gives a policy its settings, where it does not have them, and asks it what it is.
fn describe(guest: &Guest<Exports>, settings: Option<&str>) -> Result<PolicyInfo, SandboxError> {
    guest.check_types(Exports::load, mistyped)?;
    let mut doing = Call::Instantiation;
    let described = guest.run(AnswerLimit::HostcallFuel, |exports, store, instance| {
        let policy = exports.redaction.load(&mut *store, instance)?;
        if let Some(settings) = settings {
            doing = Call::Configure;
            if let Err(issues) = policy.call_configure(&mut *store, settings)? {
                return Ok(Err(issues));
            }
        }
        doing = Call::Describe;
        policy.call_describe(store).map(Ok)
    });
    match described.map_err(|failure| guest.unusable_in(Some(doing), failure))? {
        Ok(info) => {
            let (info, problems) = convert::redact::policy_info(info);
            guest.misfit(problems)?;
            Ok(info)
        }
        Err(issues) => Err(SandboxError::Settings {
            guest: guest.name.clone(),
            issues: text::issues(issues),
        }),
    }
}

/// Asks the built-in policy about a large document part by part; returns whether that was done, and nothing was found in any.
fn is_clean_in_parts(
    policy: &builtin_redaction::Guest,
    store: &mut Store<Meter>,
    document: &Document,
) -> wasmtime::Result<bool> {
    let Some(parts) = parts::of(document) else {
        return Ok(false);
    };
    for part in parts {
        let part = [part];
        let Some(flat) = Flat::new(&part) else {
            return Ok(false);
        };
        let answer = policy.call_redact(&mut *store, flat.lent())?;
        // Whatever else it is, it is said of the whole document.
        if !answer.is_ok_and(|found| found.is_empty()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn too_large() -> wasmtime::Error {
    wasmtime::Error::msg("a document has 4 GiB of text")
}

fn weight(document: &Document) -> usize {
    document.leaves.text().len()
}
