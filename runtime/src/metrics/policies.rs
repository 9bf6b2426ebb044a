//! What each redaction policy takes and does.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Seconds for the documents of one chunk, some 64 objects.
const BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PolicyLabel {
    /// `secret-redaction` is the built-in one; customers' are `<mirror>/<name>`.
    pub policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Judged {
    pub policy: String,
    /// `judged`, or `known` where the same content had been judged before.
    pub result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PolicyFailed {
    pub policy: String,
    /// `trapped`, `over_limit`, `malformed` or `refused` for each document that is withheld, `not_asked` for one that is so as
    /// the policy had failed on others before; `deadline` for a call that is tried again.
    pub reason: &'static str,
}

/// The metrics of all policies.
#[derive(Debug, Clone)]
pub struct PolicyMetrics {
    pub seconds: Family<PolicyLabel, Histogram, fn() -> Histogram>,
    pub documents: Family<Judged, Counter>,
    pub findings: Family<PolicyLabel, Counter>,
    pub failures: Family<PolicyFailed, Counter>,
}

impl Default for PolicyMetrics {
    fn default() -> Self {
        Self {
            seconds: Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram),
            documents: Family::default(),
            findings: Family::default(),
            failures: Family::default(),
        }
    }
}

impl PolicyMetrics {
    /// Registers them; those of shadows have names of their own, so that nobody adds up what only was watched.
    pub(super) fn register(&self, registry: &mut Registry, of_shadows: bool) {
        let name = |name: &str| {
            if of_shadows {
                format!("shadow_{name}")
            } else {
                name.to_owned()
            }
        };
        let Self {
            seconds,
            documents,
            findings,
            failures,
        } = self;
        registry.register(
            name("policy_seconds"),
            "Time that a policy took for the documents of one chunk",
            seconds.clone(),
        );
        registry.register(
            name("policy_documents"),
            "Documents before a policy: judged, or known from before",
            documents.clone(),
        );
        registry.register(
            name("policy_findings"),
            "Pieces that a policy found in documents that it judged",
            findings.clone(),
        );
        registry.register(
            name("policy_failures"),
            "Documents on which a policy gave no verdict, and calls that ran out of time",
            failures.clone(),
        );
    }
}
