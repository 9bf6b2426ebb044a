//! Which streams there must be, and how: made where they are missing, checked where they are there.
//!
//! A stream that somebody else made, or changed, may break what the log promises without anybody noticing
//! until something is lost. So one that could is refused, with what to change.

use super::{Nats, NatsError};
use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use serde::Deserialize;
use serde_json::json;
use std::{collections::HashMap, time::Duration};
use thiserror::Error;

/// A stream with settings under which something could be lost.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the NATS stream `{stream}` is not safe for kbc-mirror:{}", listed(problems))]
pub struct Unfit {
    pub stream: String,
    pub problems: Vec<String>,
}

fn listed(problems: &[String]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  - {problem}"))
        .collect()
}

#[derive(Deserialize)]
struct Info {
    config: Config,
    created: String,
}

const LOOK: &str = "show a stream; its user needs `$JS.API.>`";

/// A stream that there must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub name: String,
    pub subject: String,
    pub replicas: usize,
    pub kind: Kind,
}

/// What a stream is for, and so what would be wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The log itself: what is in it goes only when it was pruned.
    Log { dedupe: Duration, bytes_max: u64 },
    /// What publishers from outside send, until it is in the log.
    Intake {
        keep: Duration,
        dedupe: Duration,
        bytes_max: u64,
    },
    /// Dead letters: they stay.
    Letters,
    /// Records, the last of each key.
    Records,
    /// The same, with times to live.
    Leases,
}

impl Wanted {
    /// Makes the stream, or checks the one that is there; returns what tells it from every other one of the
    /// same name.
    pub(crate) async fn ensure(&self, nats: &Nats) -> Result<String, NatsError> {
        // Asked with the same settings again it is made once, so workers may start together. It may also be there
        // with other settings.
        let made = nats.jetstream().create_stream(self.config()).await;
        let info: Info = match nats
            .call(LOOK, &format!("STREAM.INFO.{}", self.name), &json!({}))
            .await
        {
            Err(error) if error.is_without_stream() => {
                return Err(made.map_or_else(|reason| self.not_made(&reason), |_| error));
            }
            info => info?,
        };
        let problems = self.problems(&info.config);
        if problems.is_empty() {
            Ok(info.created)
        } else {
            Err(NatsError::Stream(Unfit {
                stream: self.name.clone(),
                problems,
            }))
        }
    }

    fn not_made(&self, error: &async_nats::jetstream::context::CreateStreamError) -> NatsError {
        let advice = if self.replicas > 1 {
            format!(
                "it cannot be made with {} replicas: {error}; run a cluster of at least as many servers with JetStream, or set `queue.replicas = 1`, which loses what it has with its one server",
                self.replicas
            )
        } else {
            format!("it cannot be made: {error}; JetStream must be switched on, with a directory of its own")
        };
        NatsError::Stream(Unfit {
            stream: self.name.clone(),
            problems: vec![advice],
        })
    }

    fn config(&self) -> Config {
        let common = Config {
            name: self.name.clone(),
            subjects: vec![self.subject.clone()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            num_replicas: self.replicas,
            allow_direct: true,
            max_bytes: -1,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            max_message_size: -1,
            metadata: HashMap::from([("made-by".to_owned(), "kbc-mirror".to_owned())]),
            ..Config::default()
        };
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let records = Config {
            max_messages_per_subject: 1,
            allow_rollup: true,
            deny_delete: true,
            ..common.clone()
        };
        match self.kind {
            Kind::Log { dedupe, bytes_max } => Config {
                duplicate_window: dedupe,
                allow_atomic_publish: true,
                max_bytes: bytes(bytes_max),
                ..common
            },
            Kind::Intake {
                keep,
                dedupe,
                bytes_max,
            } => Config {
                max_age: keep,
                duplicate_window: dedupe.min(keep),
                max_bytes: bytes(bytes_max),
                ..common
            },
            Kind::Letters => common,
            Kind::Records => records,
            Kind::Leases => Config {
                allow_message_ttl: true,
                subject_delete_marker_ttl: Some(Duration::from_secs(60)),
                ..records
            },
        }
    }

    /// Says what of a stream's settings could lose something, and how to change it.
    pub(crate) fn problems(&self, found: &Config) -> Vec<String> {
        let name = &self.name;
        let mut problems = Vec::new();
        let mut problem = |text: String| problems.push(text);
        let edit = |option: &str| format!("change it: nats stream edit {name} {option}");
        let anew =
            "this cannot be changed: save what is in it, delete the stream, and kbc-mirror makes it anew";
        match found.retention {
            RetentionPolicy::Limits => {}
            RetentionPolicy::WorkQueue | RetentionPolicy::Interest => problem(format!(
                "its retention is `{}`, which deletes what was read and forgets repetitions at a restart; it must be `limits`: {anew}",
                if found.retention == RetentionPolicy::WorkQueue {
                    "workqueue"
                } else {
                    "interest"
                }
            )),
        }
        if found.storage != StorageType::File {
            problem(format!(
                "it is kept in memory, so a restart empties it; it must be kept in files: {anew}"
            ));
        }
        if found.persist_mode == Some(PersistenceMode::Async) {
            problem(format!(
                "its `persist_mode` is `async`: what is acknowledged may not be stored; {anew}"
            ));
        }
        if found.num_replicas < self.replicas {
            problem(format!(
                "it has {} replicas and `queue.replicas` says {}; {}",
                found.num_replicas,
                self.replicas,
                edit(&format!("--replicas={}", self.replicas))
            ));
        }
        if found.no_ack {
            problem(format!("it acknowledges nothing; {}", edit("--ack")));
        }
        if found.sealed
            || found.mirror.is_some()
            || found.sources.as_ref().is_some_and(|from| !from.is_empty())
        {
            problem(format!("it is sealed, a mirror, or fed by other streams; {anew}"));
        }
        if found.subject_transform.is_some() || found.republish.is_some() {
            problem("it transforms subjects or publishes messages again; take that out".to_owned());
        }
        if !found.allow_direct {
            problem(format!("it cannot be read directly; {}", edit("--allow-direct")));
        }
        if found.discard != DiscardPolicy::New {
            problem(format!(
                "when it is full it discards the oldest message, which somebody may wait for; it must refuse new ones: {}",
                edit("--discard=new")
            ));
        }
        if !found.subjects.contains(&self.subject) {
            problem(format!(
                "its subjects are {:?} and not `{}`; {}",
                found.subjects,
                self.subject,
                edit(&format!("--subjects='{}'", self.subject))
            ));
        }
        let is_of_records = matches!(self.kind, Kind::Records | Kind::Leases);
        if !is_of_records && found.max_messages_per_subject > 0 {
            problem(format!(
                "it keeps only {} messages of a subject; {}",
                found.max_messages_per_subject,
                edit("--max-msgs-per-subject=-1")
            ));
        }
        if is_of_records && found.max_messages_per_subject != 1 {
            problem(format!(
                "it keeps a history of records; {}",
                edit("--max-msgs-per-subject=1")
            ));
        }
        let age_min = match self.kind {
            Kind::Intake { .. } => Some(INTAKE_AGE_MIN),
            Kind::Log { .. } | Kind::Letters | Kind::Records | Kind::Leases => None,
        };
        if found.max_age > Duration::ZERO && age_min.is_none_or(|min| found.max_age < min) {
            let (why, option) = match age_min {
                None => ("whether somebody waits for it or not", "0".to_owned()),
                Some(min) => ("read or not", format!("{}h", min.as_secs() / 3600)),
            };
            problem(format!(
                "it deletes what is older than {} s, {why}; {}",
                found.max_age.as_secs(),
                edit(&format!("--max-age={option}"))
            ));
        }
        if found.deny_purge {
            problem(format!("it does not let old messages be deleted; {anew}"));
        }
        let dedupe_min = match self.kind {
            Kind::Log { dedupe, .. } => dedupe,
            Kind::Intake { .. } | Kind::Letters | Kind::Records | Kind::Leases => Duration::ZERO,
        };
        if found.duplicate_window < dedupe_min {
            problem(format!(
                "it knows repetitions for {} s only, and `queue.dedupe_minutes` says {}; {}",
                found.duplicate_window.as_secs(),
                dedupe_min.as_secs() / 60,
                edit(&format!("--dupe-window={}m", dedupe_min.as_secs() / 60))
            ));
        }
        if matches!(self.kind, Kind::Log { .. }) && !found.allow_atomic_publish {
            problem(format!("it takes no atomic batches; {}", edit("--allow-batch")));
        }
        if self.kind == Kind::Leases && !found.allow_message_ttl {
            problem(format!(
                "its messages have no time to live; {}",
                edit("--allow-msg-ttl")
            ));
        }
        problems
    }
}

/// What is published from outside must outlast a weekend without workers.
const INTAKE_AGE_MIN: Duration = Duration::from_secs(72 * 3600);

#[cfg(test)]
mod tests;
