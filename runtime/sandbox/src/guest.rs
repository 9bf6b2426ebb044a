//! A guest that is ready to run: compiled, checked to fit, and instantiated afresh for every call.

use crate::{
    batch::{Batches, DeadlineHit, Judged, Patience},
    bindings::keboola::mirror::types::GuestError,
    cache::Cache,
    compile::{CompileError, Compiler},
    config::{GuestWords, Limits, SandboxConfig},
    convert::Wrong,
    error::{Call, SandboxError},
    fit::{self, Fit},
    meter::{AnswerLimit, Failure, Meter, Usage},
    prescan,
    running::{Begun, Running},
    snapshot,
    strikes::{self, Fingerprint, Strikes},
    text,
    ticker::Ticker,
};
use mirror_core::finding::WithholdReason;
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{debug, warn};
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Instance, InstancePre, Linker},
};

/// A failure takes long that takes more than this part of the fuel there is: some 60 ms by default.
const COSTLY_PART: u64 = 16;

/// What all guests share: the engines, the clock and the limits.
#[derive(Debug)]
pub(crate) struct Host {
    /// For our own guests: neither fuel nor a clock.
    trusted: Engine,
    /// For customers' guests.
    metered: Engine,
    limits: Limits,
    policy_limits: Limits,
    compiler: Compiler,
    guest_words: GuestWords,
    cache: Cache,
    strikes: Strikes,
    /// Calls of our own guests.
    running: Running,
    /// Ticks as long as a guest may run.
    _ticker: Ticker,
}

/// Whose a guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Builtin,
    Customer,
}

impl Host {
    pub(crate) fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let SandboxConfig {
            cache_dir,
            cache_key,
            limits,
            policy_limits,
            compiler,
            guest_words,
        } = config;
        let cache = Cache::open(cache_dir, cache_key)?;
        let trusted = engine(&limits, Origin::Builtin)?;
        let metered = engine(&policy_limits, Origin::Customer)?;
        let ticker = Ticker::start(metered.clone()).map_err(|source| SandboxError::Ticker { source })?;
        Ok(Self {
            trusted,
            metered,
            limits,
            policy_limits,
            compiler,
            guest_words,
            cache,
            strikes: Strikes::default(),
            running: Running::default(),
            _ticker: ticker,
        })
    }

    pub(crate) fn limits(&self, origin: Origin) -> &Limits {
        match origin {
            Origin::Builtin => &self.limits,
            Origin::Customer => &self.policy_limits,
        }
    }

    pub(crate) fn engine(&self, origin: Origin) -> &Engine {
        match origin {
            Origin::Builtin => &self.trusted,
            Origin::Customer => &self.metered,
        }
    }

    /// Makes the store of one instance, with all that limits it.
    pub(crate) fn store(&self, origin: Origin, answer: AnswerLimit) -> Store<Meter> {
        self.store_within(origin, self.limits(origin), answer)
    }

    /// The same within other limits. The stack is the engine's.
    fn store_within(&self, origin: Origin, limits: &Limits, answer: AnswerLimit) -> Store<Meter> {
        let mut store = Store::new(self.engine(origin), Meter::new(limits, answer));
        store.limiter(|meter| meter);
        store.set_hostcall_fuel(answer.bytes(limits));
        if origin == Origin::Customer {
            store.set_epoch_deadline(Ticker::ticks(limits.deadline_ms));
            store
                .set_fuel(limits.fuel_max)
                .expect("the engine of customers' guests counts fuel");
        }
        store
    }

    /// Notes a call of one of our own guests, for as long as what it returns is kept.
    pub(crate) fn begin(&self, guest: &str) -> Begun<'_> {
        self.running.begin(guest, Instant::now())
    }

    /// Returns what to say of one of our own guests that has been running for longer than any call should take.
    pub(crate) fn overdue(&self, now: Instant) -> Option<SandboxError> {
        let deadline_ms = self.limits.deadline_ms;
        let overdue = self.running.longer_than(Duration::from_millis(deadline_ms), now);
        overdue.map(|guest| SandboxError::NoEnd { guest, deadline_ms })
    }

    /// Loads a compiled component from the cache, if it is there.
    pub(crate) fn kept(&self, origin: Origin, digest: &str) -> Option<Component> {
        self.cache.load(self.engine(origin), digest)
    }

    /// Loads a compiled component from the cache, or compiles it.
    pub(crate) fn compiled(
        &self,
        name: &str,
        origin: Origin,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, SandboxError> {
        if let Some(component) = self.kept(origin, digest) {
            return Ok(component);
        }
        debug!(guest = name, digest, "compiling a guest");
        let compiled = self.compile(origin, bytes, None);
        let component = compiled.map_err(|failed| SandboxError::Compile {
            guest: name.to_owned(),
            detail: failed.to_string(),
        })?;
        self.cache.store(self.engine(origin), digest, &component);
        Ok(component)
    }

    /// The same for a component with its settings; the error says why it cannot be had so.
    pub(crate) fn configured(
        &self,
        origin: Origin,
        digest: &str,
        bytes: &[u8],
        settings: &str,
    ) -> Result<Component, CompileError> {
        if let Some(component) = self.kept(origin, digest) {
            return Ok(component);
        }
        let component = self.compile(origin, bytes, Some(settings))?;
        self.cache.store(self.engine(origin), digest, &component);
        Ok(component)
    }

    fn compile(
        &self,
        origin: Origin,
        bytes: &[u8],
        settings: Option<&str>,
    ) -> Result<Component, CompileError> {
        match (&self.compiler, origin) {
            (Compiler::Child(child), Origin::Customer) => {
                let code = child.compile(&self.policy_limits, bytes, settings)?;
                Ok(code.load(self.engine(origin))?)
            }
            (Compiler::Child(_) | Compiler::ThisProcess, _) => self.compile_here(origin, bytes, settings),
        }
    }

    /// Compiles in this process, whatever that takes.
    pub(crate) fn compile_here(
        &self,
        origin: Origin,
        bytes: &[u8],
        settings: Option<&str>,
    ) -> Result<Component, CompileError> {
        let engine = self.engine(origin);
        Ok(match settings {
            None => Component::from_binary(engine, bytes)?,
            Some(settings) => {
                Component::from_binary(engine, &snapshot::configured(self, origin, bytes, settings)?)?
            }
        })
    }
}

fn engine(limits: &Limits, origin: Origin) -> Result<Engine, SandboxError> {
    let mut config = Config::new();
    config
        // The same answer on every machine: a policy is a pure function.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // The verdict on customers' guests, and the wall-clock backstop. Ours are trusted to end, so they do not pay for
        // either (`running`).
        .consume_fuel(origin == Origin::Customer)
        .epoch_interruption(origin == Origin::Customer)
        .max_wasm_stack(limits.wasm_stack_bytes_max)
        // No guest needs them, and each is more of the engine to trust.
        .wasm_memory64(false)
        .concurrency_support(false)
        // Reasons name the trap only. A backtrace would show names that the guest's author chose.
        .wasm_backtrace_max_frames(None);
    Engine::new(&config).map_err(|source| SandboxError::Engine { source })
}

/// A guest of one kind with its settings. `X` knows where its interface is.
pub(crate) struct Guest<X> {
    /// How reasons and messages call it.
    pub(crate) name: String,
    /// SHA-256 of the component, in hexadecimal digits.
    pub(crate) digest: String,
    pub(crate) host: Arc<Host>,
    pub(crate) exports: X,
    pre: InstancePre<Meter>,
    origin: Origin,
    /// Those of its host, or narrower ones of its own.
    limits: Limits,
    patience: Patience,
}

impl<X> fmt::Debug for Guest<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl<X> Guest<X> {
    /// Compiles the component and makes sure that it fits.
    ///
    /// `look_up` finds the interface's functions.
    pub(crate) fn prepare(
        host: Arc<Host>,
        name: String,
        origin: Origin,
        bytes: &[u8],
        fit: &Fit,
        look_up: fn(&InstancePre<Meter>) -> wasmtime::Result<X>,
    ) -> Result<Self, SandboxError> {
        Self::scan(&host, &name, origin, bytes)?;
        let digest = digest(bytes);
        let component = host.compiled(&name, origin, &digest, bytes)?;
        Self::of(host, name, origin, digest, &component, fit, look_up)
    }

    /// Looks at a customer's component before it is compiled.
    pub(crate) fn scan(host: &Host, name: &str, origin: Origin, bytes: &[u8]) -> Result<(), SandboxError> {
        if origin == Origin::Builtin {
            return Ok(());
        }
        refuse(prescan::problems(bytes, host.limits(origin)), |problems| {
            SandboxError::Misfit {
                guest: name.to_owned(),
                problems,
            }
        })
    }

    /// Makes sure that a compiled component fits. `digest` is that of the component as it was handed in.
    pub(crate) fn of(
        host: Arc<Host>,
        name: String,
        origin: Origin,
        digest: String,
        component: &Component,
        fit: &Fit,
        look_up: fn(&InstancePre<Meter>) -> wasmtime::Result<X>,
    ) -> Result<Self, SandboxError> {
        let misfit = |problems: Vec<String>| SandboxError::Misfit {
            guest: name.clone(),
            problems,
        };
        let unlinked =
            |error: wasmtime::Error| misfit(vec![text::printable(&error.root_cause().to_string())]);
        refuse(fit::problems(component, fit), misfit)?;
        let pre = Linker::new(host.engine(origin))
            .instantiate_pre(component)
            .map_err(unlinked)?;
        let exports = look_up(&pre).map_err(unlinked)?;
        let limits = host.limits(origin).clone();
        Ok(Self {
            limits,
            name,
            digest,
            host,
            exports,
            pre,
            origin,
            patience: Patience::default(),
        })
    }

    /// Holds it to limits of its own.
    pub(crate) fn held_to(self, limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            ..self
        }
    }

    /// Makes sure that the functions have the types that this host knows, by loading them once.
    ///
    /// Loading them again cannot fail, so that no item is blamed for a guest of another version. `functions` says of each
    /// function that may be the cause what is wrong with it.
    pub(crate) fn check_types(
        &self,
        load: impl FnOnce(&X, &mut Store<Meter>, &Instance) -> wasmtime::Result<()>,
        functions: impl FnOnce(&mut Store<Meter>, &Instance) -> Vec<String>,
    ) -> Result<(), SandboxError> {
        let mut problems = Vec::new();
        let ran = self.run(AnswerLimit::HostcallFuel, |exports, store, instance| {
            if let Err(error) = load(exports, &mut *store, instance) {
                problems = functions(store, instance);
                if problems.is_empty() {
                    problems.push(format!(
                        "its functions are not of `keboola:mirror@0.1`: {}",
                        text::printable(&format!("{error:#}"))
                    ));
                }
            }
            Ok(())
        });
        ran.map_err(|failure| self.unusable_in(Some(Call::Instantiation), failure))?;
        self.misfit(problems)
    }

    /// Refuses the guest for what is wrong with it, if anything is.
    pub(crate) fn misfit(&self, problems: Vec<String>) -> Result<(), SandboxError> {
        refuse(problems, |problems| SandboxError::Misfit {
            guest: self.name.clone(),
            problems,
        })
    }

    /// Returns the limits that it is held to.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes a fresh instance, hands it to `call`, and drops it.
    pub(crate) fn run<R>(
        &self,
        answer: AnswerLimit,
        call: impl FnOnce(&X, &mut Store<Meter>, &Instance) -> wasmtime::Result<R>,
    ) -> Result<R, Failure> {
        self.run_measured(answer, call).0
    }

    /// The same, and what it took.
    pub(crate) fn run_measured<R>(
        &self,
        answer: AnswerLimit,
        call: impl FnOnce(&X, &mut Store<Meter>, &Instance) -> wasmtime::Result<R>,
    ) -> (Result<R, Failure>, Usage) {
        let mut store = self.host.store_within(self.origin, &self.limits, answer);
        let builtin = self.origin == Origin::Builtin;
        let _running = builtin.then(|| self.host.begin(&self.name));
        let answer = self
            .pre
            .instantiate(&mut store)
            .and_then(|instance| call(&self.exports, &mut store, &instance));
        let answer = answer.map_err(|error| store.data().failure(&self.name, &error));
        // The engine of the built-in guests counts none.
        let left = store.get_fuel().unwrap_or(self.limits().fuel_max);
        let usage = Usage {
            fuel: self.limits().fuel_max.saturating_sub(left),
            memory_bytes: store.data().memory_bytes(),
        };
        (answer, usage)
    }

    /// Judges items in batches, each in a fresh instance; see [`Batches::judge`].
    ///
    /// `scope` names the function and the settings.
    pub(crate) fn judge<I: Debug, O>(
        &self,
        scope: &[&str],
        items: &[I],
        weigh: &dyn Fn(&I) -> usize,
        mut run: impl FnMut(&[I]) -> Result<Vec<O>, Failure>,
    ) -> Result<Vec<Result<O, WithholdReason>>, SandboxError> {
        self.judge_measured(scope, items, weigh, |batch| (run(batch), Usage::default()))
    }

    /// The same, where `run` says what it took.
    pub(crate) fn judge_measured<I: Debug, O>(
        &self,
        scope: &[&str],
        items: &[I],
        weigh: &dyn Fn(&I) -> usize,
        mut run: impl FnMut(&[I]) -> (Result<Vec<O>, Failure>, Usage),
    ) -> Result<Vec<Result<O, WithholdReason>>, SandboxError> {
        let limits = self.limits();
        let batches = Batches {
            guest: &self.name,
            items_max: limits.batch_documents_max,
            bytes_max: limits.batch_bytes_max,
            weigh,
            strikes: &self.host.strikes,
            patience: (self.origin == Origin::Customer).then_some(&self.patience),
            failures_in_row_max: limits.failures_in_row_max,
            fingerprint: &|item| self.fingerprint(scope, item),
        };
        let costly = limits.fuel_max / COSTLY_PART;
        let judged = batches.judge(items, |batch| {
            let (answers, usage) = run(batch);
            Judged {
                answers,
                is_costly: usage.fuel > costly,
            }
        });
        judged.map_err(|DeadlineHit| self.deadline())
    }

    fn fingerprint(&self, scope: &[&str], item: &impl Debug) -> Fingerprint {
        let scope: Vec<&str> = [self.digest.as_str()]
            .into_iter()
            .chain(scope.iter().copied())
            .collect();
        strikes::fingerprint(&scope, item)
    }

    fn deadline(&self) -> SandboxError {
        SandboxError::Deadline {
            guest: self.name.clone(),
            deadline_ms: self.limits().deadline_ms,
        }
    }

    /// Turns a failure at something that is about no item into an error.
    pub(crate) fn unusable(&self, failure: Failure) -> SandboxError {
        self.unusable_in(None, failure)
    }

    /// The same, with what the guest was doing.
    pub(crate) fn unusable_in(&self, call: Option<Call>, failure: Failure) -> SandboxError {
        match failure {
            Failure::Deadline => self.deadline(),
            Failure::Item { reason, .. } | Failure::Batch(reason) => SandboxError::Unusable {
                guest: self.name.clone(),
                call,
                reason,
            },
        }
    }

    /// Logs that one of our own guests refused something, with what it says, and returns the reason.
    pub(crate) fn refusal(&self, error: &GuestError) -> WithholdReason {
        self.logged_refusal(error, Some(&text::printable(&error.message)))
    }

    /// The same, of the item that the guest names or else of all.
    pub(crate) fn refused(&self, error: &GuestError) -> Failure {
        named(error, self.refusal(error))
    }

    /// The same of any guest. What a customer's says may be made of the texts that it judged, so nothing of it is logged in
    /// a running system, and to its author nothing that stands in them.
    pub(crate) fn refused_of<'t>(
        &self,
        error: &GuestError,
        judged: impl Iterator<Item = &'t str>,
    ) -> Failure {
        let words = match (self.origin, self.host.guest_words) {
            (Origin::Builtin, _) => return self.refused(error),
            (Origin::Customer, GuestWords::Hidden) => None,
            (Origin::Customer, GuestWords::Masked) => Some(text::masked(&error.message, judged)),
        };
        named(error, self.logged_refusal(error, words.as_deref()))
    }

    /// The reason must not hold the guest's words: they may have been taken from content.
    fn logged_refusal(&self, error: &GuestError, words: Option<&str>) -> WithholdReason {
        let detail = match words {
            Some(_) => "it could not process this; its own words are in the log",
            None => {
                "it could not process this; its own words are logged nowhere, and shown by `kbc-mirror policy scan` of such documents"
            }
        };
        warn!(
            guest = self.name,
            item = error.item,
            words,
            words_bytes = error.message.len(),
            "a guest refused"
        );
        WithholdReason::Refused {
            guest: self.name.clone(),
            detail: detail.to_owned(),
        }
    }

    /// Returns the reason for an answer that is wrong by itself.
    pub(crate) fn malformed(&self, detail: impl Into<String>) -> WithholdReason {
        WithholdReason::Malformed {
            guest: self.name.clone(),
            detail: detail.into(),
        }
    }

    /// Returns the reason for an answer that does not pass the host's checks.
    pub(crate) fn wrong(&self, wrong: Wrong) -> WithholdReason {
        match wrong {
            Wrong::Malformed(detail) => self.malformed(detail),
            Wrong::OverLimit(limit) => WithholdReason::OverLimit {
                guest: self.name.clone(),
                limit: limit.to_owned(),
            },
        }
    }
}

/// Returns the SHA-256 of a component, in hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

fn named(error: &GuestError, reason: WithholdReason) -> Failure {
    match error.item.map(usize::try_from) {
        Some(Ok(index)) => Failure::Item { index, reason },
        Some(Err(_)) | None => Failure::Batch(reason),
    }
}

fn refuse(
    problems: Vec<String>,
    misfit: impl FnOnce(Vec<String>) -> SandboxError,
) -> Result<(), SandboxError> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(misfit(problems))
    }
}
