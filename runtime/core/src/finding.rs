//! What a policy answers (`wit/redaction.wit`), already checked against the documents it judged.

/// Which part of a leaf goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The leaf's whole value.
    Whole,
    /// Every occurrence of this text inside the leaf.
    Literal(String),
    /// A half-open range of the leaf's UTF-8 bytes, on character boundaries.
    Bytes { start: usize, end: usize },
}

/// The `<type>` of a marker: 1 to 40 characters of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(std::sync::Arc<str>);

impl RuleId {
    /// Parses a rule id, or returns none where it is not of the form above.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ((1..=40).contains(&raw.len()) && raw.bytes().all(fits)).then(|| Self(raw.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One piece of a document that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Index into the document's leaves.
    pub leaf: usize,
    pub target: Target,
    pub rule: RuleId,
}

/// A policy's word on one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// What goes; empty where the document may stay as it is.
    Findings(Vec<Finding>),
    /// There is no answer: the object that the document belongs to is withheld.
    Withhold(WithholdReason),
}

/// Why an object is not in the repository. Texts come from the host, never from content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum WithholdReason {
    #[error("the {guest} trapped: {detail}")]
    Trapped { guest: String, detail: String },
    #[error("the {guest} went over its {limit} limit")]
    OverLimit { guest: String, limit: String },
    #[error("the {guest} answered with something malformed: {detail}")]
    Malformed { guest: String, detail: String },
    #[error("the {guest} refused it: {detail}")]
    Refused { guest: String, detail: String },
    #[error("the guard still found a secret ({rule}) in {file}")]
    Guarded { rule: String, file: String },
    #[error("the path `{path}` is not allowed: {problem}")]
    Path { path: String, problem: String },
    #[error("the source cannot be read: {detail}")]
    Source { detail: String },
}

impl WithholdReason {
    /// Returns the variant's name as a bounded label for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trapped { .. } => "trapped",
            Self::OverLimit { .. } => "over_limit",
            Self::Malformed { .. } => "malformed",
            Self::Refused { .. } => "refused",
            Self::Guarded { .. } => "guarded",
            Self::Path { .. } => "path",
            Self::Source { .. } => "source",
        }
    }
}
