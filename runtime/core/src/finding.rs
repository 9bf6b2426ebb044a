//! What a policy answers (`wit/redaction.wit`), already checked against the documents it judged.

use crate::ids::ObjectKey;

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

impl Finding {
    /// Returns the text of its leaf's value that it is about; none where it does not fit the value.
    #[must_use]
    pub fn piece<'v>(&self, value: &'v str) -> Option<&'v str> {
        match &self.target {
            Target::Whole => Some(value),
            Target::Literal(literal) => {
                let start = value.find(literal.as_str())?;
                value.get(start..start + literal.len())
            }
            Target::Bytes { start, end } => value.get(*start..*end),
        }
    }
}

/// A policy's word on one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// What goes; empty where the document may stay as it is.
    Findings(Vec<Finding>),
    /// There is no answer: the object that the document belongs to is withheld.
    Withhold(WithholdReason),
}

/// Why an object is not in the repository.
///
/// Goes to log, status and state, so no text of it may come from content, nor from a guest: files
/// are named by their position in the guest's answer, counted from 0. The exceptions are `file`
/// of [`Self::Guarded`] and `place` of [`Self::RefusedByRemote`]: paths in which neither the policies nor the
/// guard found anything. The repository gets less: [`Self::public`].
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
    #[error("the path of file {file} is not allowed: it {problem}")]
    Path { file: usize, problem: String },
    #[error("the source cannot be read: {detail}")]
    Source { detail: String },
    /// `what` is a word of ours, `place` a path of the mirror with what the remote said of it.
    #[error(
        "the repository's server does not take it ({what}): {place}; change it in keboola, or allow it at the server and run `kbc-mirror once` with `--release-refused`"
    )]
    RefusedByRemote { what: String, place: String },
    #[error(
        "the process died {deaths} times over it; its next version is tried again, and this one by `kbc-mirror events replay` or `mirror resync`, as after an upgrade"
    )]
    Fatal { deaths: u32 },
    /// It had failed on others, one after the other and each at a cost, before it came to this one.
    #[error("the {guest} was not asked, as it had failed on {failures} in a row before; first, {first}")]
    NotAsked {
        guest: String,
        failures: u32,
        first: Box<WithholdReason>,
    },
}

impl WithholdReason {
    /// [`Self::Guarded`] in a path.
    pub const IN_A_PATH: &str = "a path";
    /// [`Self::Guarded`] in an entry of an index.
    pub const IN_AN_ENTRY: &str = "an entry";

    /// Returns what has to be mended: the reason itself, or that of which it follows.
    #[must_use]
    pub fn cause(&self) -> &Self {
        match self {
            Self::NotAsked { first, .. } => first.cause(),
            _ => self,
        }
    }

    /// Whether the object's ids may be what it is withheld for: paths and entries are made of them.
    #[must_use]
    pub fn may_be_of_ids(&self) -> bool {
        matches!(self, Self::Guarded { file, .. } if file == Self::IN_A_PATH || file == Self::IN_AN_ENTRY)
    }

    /// Returns what an object that is withheld for this is called where others may read it.
    #[must_use]
    pub fn name_of(&self, object: &ObjectKey) -> String {
        if self.may_be_of_ids() {
            object.hidden()
        } else {
            object.to_string()
        }
    }

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
            Self::RefusedByRemote { .. } => "refused_by_remote",
            Self::Fatal { .. } => "fatal",
            Self::NotAsked { .. } => "not_asked",
        }
    }

    /// Returns what may stand in the repository, in `ai/withheld.jsonl`: the kind, with the rule or
    /// the limit where there is one, such as `guarded guard-github` or `over_limit file_bytes_max`.
    ///
    /// No path, no name of a guest, no detail. A rule or limit that is not of the form of those
    /// that we and policies have (letters, digits, `-` and `_`, at most 40) is left out.
    #[must_use]
    pub fn public(&self) -> String {
        let word = match self {
            Self::Guarded { rule, .. } => Some(rule),
            Self::OverLimit { limit, .. } => Some(limit),
            Self::RefusedByRemote { what, .. } => Some(what),
            Self::Trapped { .. }
            | Self::Malformed { .. }
            | Self::Refused { .. }
            | Self::Path { .. }
            | Self::Source { .. }
            | Self::Fatal { .. }
            | Self::NotAsked { .. } => None,
        };
        let plain = |word: &&String| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=40).contains(&word.len()) && word.bytes().all(fits)
        };
        match word.filter(plain) {
            Some(word) => format!("{} {word}", self.kind()),
            None => self.kind().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_whose_ids_may_hold_a_secret_is_named_without_them() {
        let key = ObjectKey::Config {
            component: "keboola.ex-ftp".parse().unwrap(),
            config: "rghp_1".parse().unwrap(),
        };
        let guarded = |file: &str| WithholdReason::Guarded {
            rule: "issued-token".into(),
            file: file.into(),
        };
        let named = guarded(WithholdReason::IN_A_PATH).name_of(&key);
        assert_eq!(named.len(), "config sha256:".len() + 12, "{named}");
        assert!(named.starts_with("config sha256:"), "{named}");
        assert_eq!(guarded(WithholdReason::IN_AN_ENTRY).name_of(&key), named);
        assert_eq!(
            guarded("configs/x/config.json").name_of(&key),
            "keboola.ex-ftp/rghp_1"
        );
    }

    const SECRET: &str = "hunter2 (or so)";

    /// Every reason with a secret in each of its texts that is no word of ours.
    fn all() -> Vec<WithholdReason> {
        let text = || SECRET.to_owned();
        vec![
            WithholdReason::Trapped {
                guest: text(),
                detail: text(),
            },
            WithholdReason::OverLimit {
                guest: text(),
                limit: "file_bytes_max".to_owned(),
            },
            WithholdReason::OverLimit {
                guest: text(),
                limit: text(),
            },
            WithholdReason::Malformed {
                guest: text(),
                detail: text(),
            },
            WithholdReason::Refused {
                guest: text(),
                detail: text(),
            },
            WithholdReason::Guarded {
                rule: "guard-github".to_owned(),
                file: text(),
            },
            WithholdReason::Guarded {
                rule: text(),
                file: text(),
            },
            WithholdReason::Path {
                file: 3,
                problem: text(),
            },
            WithholdReason::Source { detail: text() },
            WithholdReason::RefusedByRemote {
                what: "secret".to_owned(),
                place: text(),
            },
            WithholdReason::RefusedByRemote {
                what: text(),
                place: text(),
            },
            WithholdReason::NotAsked {
                guest: text(),
                failures: 8,
                first: Box::new(WithholdReason::Trapped {
                    guest: text(),
                    detail: text(),
                }),
            },
        ]
    }

    #[test]
    fn the_repository_is_told_the_kind_and_a_rule_or_limit_only() {
        let public: Vec<String> = all().iter().map(WithholdReason::public).collect();
        assert_eq!(
            public,
            [
                "trapped",
                "over_limit file_bytes_max",
                "over_limit",
                "malformed",
                "refused",
                "guarded guard-github",
                "guarded",
                "path",
                "source",
                "refused_by_remote secret",
                "refused_by_remote",
                "not_asked"
            ]
        );
    }

    #[test]
    fn a_reason_is_read_back_as_it_was_stored() {
        for reason in all() {
            let stored = serde_json::to_string(&reason).expect("plain data");
            assert_eq!(
                serde_json::from_str::<WithholdReason>(&stored).expect("our own"),
                reason
            );
        }
    }
}
