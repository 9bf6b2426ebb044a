//! Names of streams, subjects and records.

use mirror_core::{
    cut::Stream,
    ids::{LaneId, ProjectId, Stack, Topic},
    shard::Shard,
};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What publishers send on (SPEC §2).
pub(super) const EVENTS: &str = "kbc.events.>";
/// A token that would be longer is a digest, so that no subject is too long for the protocol, whatever ids
/// somebody posts.
const TOKEN_BYTES_MAX: usize = 120;

/// Names of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    pub(super) fn log_stream(&self) -> String {
        format!("{}_LOG", self.prefix)
    }

    pub(super) fn events_stream(&self) -> String {
        format!("{}_EVENTS", self.prefix)
    }

    pub(super) fn letters_stream(&self) -> String {
        format!("{}_DEAD", self.prefix)
    }

    pub(crate) fn state_bucket(&self) -> String {
        format!("{}_STATE", self.prefix)
    }

    #[expect(dead_code, reason = "for the leases of workers")]
    pub(crate) fn lease_bucket(&self) -> String {
        format!("{}_LEASES", self.prefix)
    }

    pub(super) fn all_of_log(&self) -> String {
        format!("{}.log.>", self.prefix)
    }

    pub(super) fn all_letters(&self) -> String {
        format!("{}.dead.>", self.prefix)
    }

    /// The subject of a dead letter, by whether its event could be read.
    pub(super) fn letter(&self, is_readable: bool) -> String {
        let kind = if is_readable { "event" } else { "invalid" };
        format!("{}.dead.{kind}", self.prefix)
    }

    /// The subject of a topic's stream.
    pub(super) fn topic(&self, topic: &Topic, stream: Stream) -> String {
        let Topic {
            stack,
            project,
            branch,
        } = topic;
        let head = self.of_project(stack, project);
        format!("{head}.{}.{}", token(branch.as_str()), word(stream))
    }

    /// The subjects of all topics of a project.
    pub(super) fn project(&self, stack: &Stack, project: &ProjectId) -> String {
        format!("{}.*.*", self.of_project(stack, project))
    }

    /// What the subjects of a project's topics begin with, without a dot at the end.
    pub(super) fn of_project(&self, stack: &Stack, project: &ProjectId) -> String {
        let shard = Shard::of(stack, project);
        let (stack, project) = (token(stack.as_str()), token(project.as_str()));
        format!("{}.log.{shard}.{stack}.{project}", self.prefix)
    }
}

/// Returns a subject of the log without its last token, and which stream that is.
pub(super) fn topic_of(subject: &str) -> Option<(&str, Stream)> {
    let (topic, last) = subject.rsplit_once('.')?;
    let stream = Stream::ALL.into_iter().find(|stream| word(*stream) == last)?;
    Some((topic, stream))
}

/// Returns the token of the branch in a subject of the log, and which stream it is.
pub(super) fn branch_of(subject: &str) -> Option<(&str, Stream)> {
    let (topic, stream) = topic_of(subject)?;
    Some((topic.rsplit_once('.')?.1, stream))
}

/// Returns what a subject of the log has in front of its branch: that of its project.
pub(super) fn project_of(subject: &str) -> Option<&str> {
    Some(topic_of(subject)?.0.rsplit_once('.')?.0)
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Change => "change",
        Stream::Jobs => "jobs",
    }
}

/// Key of a lane's record.
pub(super) fn lane_key(mirror: &str, branch: &str) -> String {
    format!("lane.{mirror}.{branch}")
}

pub(crate) fn lane(lane: &LaneId) -> (String, String) {
    (token(lane.mirror.as_str()), token(lane.branch.as_str()))
}

/// Writes an id as one token of a subject or key: letters, digits, `-` and `_` as they are, other bytes as
/// `=` and two hexadecimal digits.
pub(crate) fn token(raw: &str) -> String {
    let mut token = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            token.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(token, "={byte:02X}");
        }
    }
    if token.len() <= TOKEN_BYTES_MAX {
        return token;
    }
    // No other token begins like that.
    format!(
        "=.{}",
        data_encoding::HEXLOWER.encode(&Sha256::digest(raw.as_bytes()))
    )
    .replace('.', "x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_tokens_that_tell_them_apart_and_fit() {
        assert_eq!(token("connection.keboola.com"), "connection=2Ekeboola=2Ecom");
        assert_eq!(token("a=2Eb"), "a=3D2Eb");
        assert_eq!(token("*"), "=2A");
        let long = |last: &str| token(&format!("{}{last}", ".".repeat(500)));
        assert_eq!(long("a").len(), 66);
        assert_ne!(long("a"), long("b"));
        assert!(long("a").starts_with("=x"), "hexadecimal digits are never `x`");
    }

    #[test]
    fn a_subject_names_its_topic() {
        let topic = Topic {
            stack: "connection.keboola.com".parse().unwrap(),
            project: "4021".parse().unwrap(),
            branch: "1187".parse().unwrap(),
        };
        let names = Names::new("KBC");
        let subject = names.topic(&topic, Stream::Jobs);
        assert_eq!(subject, "KBC.log.ef.connection=2Ekeboola=2Ecom.4021.1187.jobs");
        assert_eq!(branch_of(&subject), Some(("1187", Stream::Jobs)));
        assert_eq!(
            project_of(&subject),
            Some(names.of_project(&topic.stack, &topic.project).as_str())
        );
        assert_eq!(branch_of("KBC.log.x"), None);
    }
}
