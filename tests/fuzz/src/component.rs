//! Customers' components: any bytes, real ones with bytes changed, and random modules of a policy's shape.
//!
//! Each is refused with a reason of its own, or is a policy that stays within its limits, answers each document, and
//! answers it the same again. All of it happens in this process, which must survive: the product compiles in a child.

use crate::documents::{batch, context, leaves};
use arbitrary::Unstructured;
use mirror_core::{
    document::Document,
    finding::{Finding, Target, Verdict},
    marker::TagKey,
    redaction::{Redaction, SecretsMode},
    walk::Format,
};
use mirror_sandbox::{Limits, Sandbox, SandboxConfig, SandboxError, hostile, inspect, wrap_module};
use std::sync::LazyLock;

/// Small, so that each input is a matter of milliseconds and limits are reached.
pub(crate) static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    memory_bytes_max: 8 << 20,
    component_bytes_max: 48 << 10,
    functions_max: 120,
    locals_max: 200,
    body_bytes_max: 4 << 10,
    fuel_max: 400_000,
    // Fuel is the verdict; the clock is not to interfere.
    deadline_ms: 600_000,
    findings_max: 50,
    hostcall_fuel: 64 << 10,
    ..Limits::default()
});

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let config = SandboxConfig::offline(LIMITS.clone(), LIMITS.clone());
    Sandbox::new(config).expect("the engine starts")
});

/// That which compiles in this process.
pub(crate) fn sandbox() -> &'static Sandbox {
    &SANDBOX
}

/// Components of guests that try to do harm, and of one that does what a document tells it to.
static REAL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let all = hostile::attacks().into_iter().map(|attack| attack.component());
    let mut all: Vec<Vec<u8>> = all
        .filter(|component| component.len() <= LIMITS.component_bytes_max)
        .collect();
    all.sort();
    all.dedup();
    all
});

/// A module that exports what a policy must: the shape of random ones.
static SHAPE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let policy = include_str!("../../../runtime/sandbox/src/hostile/policy.wat");
    wat::parse_str(policy).expect("the text is a module")
});

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    match first % 4 {
        0 => load(rest),
        1 => {
            if let Some(component) = random(rest) {
                load(&component);
            }
        }
        _ => {
            if let Some(component) = changed(rest) {
                load(&component);
            }
        }
    }
}

/// Makes a component of a random module.
pub(crate) fn random(data: &[u8]) -> Option<Vec<u8>> {
    let config = wasm_smith::Config {
        exports: Some(SHAPE.clone()),
        max_imports: 0,
        max_funcs: 20,
        max_instructions: 200,
        max_memories: 2,
        threads_enabled: false,
        ..wasm_smith::Config::default()
    };
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(data)).ok()?;
    wrap_module(&module.to_bytes()).ok()
}

/// Changes bytes of a real component: each change is a place, a length and what stands there instead.
pub(crate) fn changed(data: &[u8]) -> Option<Vec<u8>> {
    let (which, mut rest) = data.split_first()?;
    let mut component = REAL[usize::from(*which) % REAL.len()].clone();
    while let Some(([low, high, cut, put], after)) = rest.split_first_chunk() {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % (component.len() + 1);
        // Most often a byte for a byte, which leaves all lengths right.
        let (cut, put) = match (cut, put) {
            (0..200, _) => (1, 1),
            (cut, put) => (usize::from(cut % 8), usize::from(put % 8)),
        };
        let end = (at + cut).min(component.len());
        let (new, after) = after.split_at(put.min(after.len()));
        component.splice(at..end, new.iter().copied());
        rest = after;
    }
    Some(component)
}

pub(crate) fn documents() -> Vec<Document> {
    let texts = ["before", "!t !l !m", "between, with čeština and 😀", "", "after"];
    let document = |text| {
        let (batch, _) = batch(Format::Text, text);
        batch.documents().remove(0)
    };
    texts.into_iter().map(document).collect()
}

fn load(bytes: &[u8]) {
    let inspection = inspect(bytes);
    if let Ok(inspection) = &inspection {
        let names = [&inspection.imports, &inspection.exports, &inspection.toolchain];
        assert!(names.into_iter().flatten().all(|name| is_printable(name)));
    }
    let policy = match SANDBOX.customer_policy("fuzzed", bytes, "{}") {
        Ok(policy) => policy,
        Err(error) => return refused(&error),
    };
    let inspection = inspection.expect("what is loaded can be looked at");
    let limits = &*LIMITS;
    assert!(bytes.len() <= limits.component_bytes_max);
    assert!(inspection.functions <= u64::from(limits.functions_max));
    assert!(inspection.locals_most <= u64::from(limits.locals_max));
    assert!(inspection.body_bytes_most <= limits.body_bytes_max);

    let documents = documents();
    let verdicts = match policy.redact(&context(), &documents) {
        Ok(verdicts) => verdicts,
        Err(error) => return refused(&error),
    };
    assert_eq!(verdicts.len(), documents.len(), "each document is answered");
    for (document, verdict) in documents.iter().zip(&verdicts) {
        judged(document, verdict);
    }
    let again = policy.redact(&context(), &documents).expect("it answered before");
    assert_eq!(verdicts, again, "a policy is a function");
}

fn refused(error: &SandboxError) {
    match error {
        SandboxError::Misfit { problems, .. } => assert!(!problems.is_empty()),
        SandboxError::Settings { issues, .. } => assert!(!issues.is_empty()),
        SandboxError::Compile { .. } | SandboxError::Unusable { .. } => {}
        SandboxError::Deadline { .. }
        | SandboxError::NoEnd { .. }
        | SandboxError::Engine { .. }
        | SandboxError::Ticker { .. }
        | SandboxError::CacheDir { .. } => panic!("it is no fault of the component: {error}"),
    }
    assert!(is_printable(&error.to_string()), "{error:?}");
}

fn judged(document: &Document, verdict: &Verdict) {
    match verdict {
        Verdict::Withhold(reason) => assert!(is_printable(&reason.to_string()), "{reason:?}"),
        Verdict::Findings(findings) => {
            assert!(findings.len() <= LIMITS.findings_max);
            assert!(
                findings.iter().all(|finding| fits(document, finding)),
                "{findings:?}"
            );
            // So the host can apply them.
            let (batch, _) = batch(Format::Text, document.leaves.get(0).expect("it has one").value);
            let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
            let (redacted, withheld) = batch.redact(vec![verdict.clone()], &redaction);
            assert_eq!(withheld, []);
            assert_eq!(leaves(redacted.documents()).len(), 1);
        }
    }
}

fn fits(document: &Document, finding: &Finding) -> bool {
    let Some(leaf) = document.leaves.get(finding.leaf) else {
        return false;
    };
    match &finding.target {
        Target::Whole => true,
        Target::Bytes { start, end } => leaf.value.get(*start..*end).is_some(),
        Target::Literal(literal) => leaf.value.contains(literal.as_str()),
    }
}

/// Messages go to logs and terminals: nothing in them may steer one.
pub(crate) fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
