//! The state of health of each configuration, folded from its runs.

use super::{not_ours, segments};
use crate::{
    api::{Entry, Gathered, IndexKind, LayoutError},
    json::{Json, Object, write},
    render::shortened,
};

/// How many of its newest runs a configuration's durations are judged by.
const RECENT_MAX: usize = 10;
/// The health file is read as a whole; the full message stands in the day's file.
const MESSAGE_CHARS_MAX: usize = 300;

/// The health files without `.jsonl`, or `-2.jsonl` and so on where one would grow too long.
pub(crate) const HEALTH_BASE: &str = "jobs/health";

/// Folds runs into one line for each configuration.
pub(in crate::gather) fn health(entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let mut keep: Vec<Entry> = Vec::new();
    for entries in entries.chunk_by(|left, right| left.key == right.key) {
        let mut health: Option<Health> = None;
        for entry in entries {
            let value = Json::parse(&entry.value)
                .map_err(|_| not_ours(entry))?
                .into_object();
            if value.get("recent").is_some() {
                let state = Health::read(&value).ok_or_else(|| not_ours(entry))?;
                health = Some(state);
            } else {
                let run = Run::read(&value).ok_or_else(|| not_ours(entry))?;
                health.get_or_insert_with(|| Health::new(&value)).add(run);
            }
        }
        if let (Some(health), Some(entry)) = (health, entries.first()) {
            let value = write::object_line(&health.to_json());
            keep.push(Entry {
                kind: IndexKind::JobHealth,
                shard: String::new(),
                key: entry.key.clone(),
                value,
            });
        }
    }
    let files = segments(HEALTH_BASE, keep.iter().map(|entry| entry.value.as_str()));
    Ok(Gathered {
        files,
        keep: (keep != entries).then_some(keep),
    })
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    finished: String,
    run: String,
    status: String,
    /// The token of a number, if there is one.
    seconds: Option<String>,
    version: Option<String>,
    message: Option<String>,
    error: Option<String>,
}

impl Run {
    /// Reads a line of a day.
    fn read(line: &Object<'_>) -> Option<Self> {
        let text = |key: &str| line.text(key).map(str::to_owned);
        let status = text("status")?;
        let has_failed = status == "FAILED";
        let message = line.str("message").filter(|_| has_failed);
        let error = line.str("errorType").filter(|_| has_failed);
        Some(Self {
            finished: text("finishedAt")?,
            run: text("runId")?,
            message: message.map(|message| shortened(message, MESSAGE_CHARS_MAX)),
            error: error.map(str::to_owned),
            status,
            seconds: text("durationSeconds"),
            version: text("configVersion"),
        })
    }

    /// The short form among the recent ones.
    fn read_recent(item: &Json<'_>) -> Option<Self> {
        let [run, status, finished, seconds] = item.as_array()? else {
            return None;
        };
        Some(Self {
            finished: finished.as_str()?.to_owned(),
            run: run.as_str()?.to_owned(),
            status: status.as_str()?.to_owned(),
            seconds: seconds.as_text().map(str::to_owned),
            version: None,
            message: None,
            error: None,
        })
    }

    fn recent(&self) -> Json<'_> {
        let seconds = self
            .seconds
            .as_deref()
            .map(|seconds| Json::Number(seconds.into()));
        let texts = [&self.run, &self.status, &self.finished].map(|text| Json::from(text.as_str()));
        Json::Array(texts.into_iter().chain([seconds.into()]).collect())
    }

    /// A cancelled run says nothing of health.
    fn counts(&self) -> bool {
        self.status != "CANCELLED"
    }

    fn last(&self) -> Object<'_> {
        let mut last = Object::new();
        last.set("runId", self.run.as_str());
        last.set("finishedAt", self.finished.as_str());
        last.set(
            "configVersion",
            self.version.as_deref().map(crate::settings::number),
        );
        if let Some(message) = &self.message {
            last.set("message", message.as_str());
        }
        if let Some(error) = &self.error {
            last.set("errorType", error.as_str());
        }
        last
    }
}

/// Runs of one status in a row, up to the newest.
#[derive(Clone, PartialEq, Eq)]
struct Streak {
    status: String,
    count: u64,
    since: String,
}

impl Streak {
    fn of(run: &Run) -> Self {
        Self {
            status: run.status.clone(),
            count: 1,
            since: run.finished.clone(),
        }
    }

    /// Returns the streak after one more run.
    fn then(before: Option<Self>, run: &Run) -> Self {
        match before {
            Some(before) if before.status == run.status => Self {
                count: before.count + 1,
                ..before
            },
            _ => Self::of(run),
        }
    }

    fn read(value: Option<&Json<'_>>) -> Option<Self> {
        let value = value?.as_object()?;
        let count = value.text("count")?.parse().ok()?;
        Some(Self {
            status: value.str("status")?.to_owned(),
            count,
            since: value.str("since")?.to_owned(),
        })
    }

    fn to_json(&self) -> Object<'_> {
        let mut value = Object::new();
        value.set("status", self.status.as_str());
        value.set("count", self.count);
        value.set("since", self.since.as_str());
        value
    }
}

/// What is known of one configuration's runs. Its line in the file is all of it, so that the file
/// can be folded on.
struct Health {
    component: String,
    config: String,
    last_success: Option<Object<'static>>,
    last_failure: Option<Object<'static>>,
    /// Ascending by the time they finished.
    recent: Vec<Run>,
    /// The streak as it was before the recent runs.
    before: Option<Streak>,
    /// The newest run that is no longer among the recent ones: up to it, all is counted.
    counted_until: Option<(String, String)>,
}

impl Health {
    fn new(line: &Object<'_>) -> Self {
        let text = |key: &str| line.text(key).unwrap_or_default().to_owned();
        Self {
            component: text("componentId"),
            config: text("configId"),
            last_success: None,
            last_failure: None,
            recent: Vec::new(),
            before: None,
            counted_until: None,
        }
    }

    fn read(line: &Object<'_>) -> Option<Self> {
        let recent = line
            .items("recent")
            .iter()
            .rev()
            .map(Run::read_recent)
            .collect::<Option<Vec<_>>>()?;
        let until = match line.items("countedUntil") {
            [finished, run] => Some((finished.as_str()?.to_owned(), run.as_str()?.to_owned())),
            _ => None,
        };
        Some(Self {
            last_success: line.object("lastSuccess").cloned().map(Object::into_owned),
            last_failure: line.object("lastFailure").cloned().map(Object::into_owned),
            recent,
            before: Streak::read(line.get("before")),
            counted_until: until,
            ..Self::new(line)
        })
    }

    /// Counts a run, unless it is counted already.
    fn add(&mut self, run: Run) {
        let place = (run.finished.clone(), run.run.clone());
        let counted = self.counted_until.as_ref().is_some_and(|until| place <= *until);
        if counted || self.recent.iter().any(|other| other.run == run.run) {
            return;
        }
        let last = match run.status.as_str() {
            "SUCCESS" => Some(&mut self.last_success),
            "FAILED" => Some(&mut self.last_failure),
            _ => None,
        };
        if let Some(last) = last {
            let newer = |last: &Object<'_>| {
                (last.str("finishedAt"), last.str("runId")) < (Some(&run.finished), Some(&run.run))
            };
            if last.as_ref().is_none_or(newer) {
                *last = Some(run.last().into_owned());
            }
        }
        self.recent.push(run);
        self.recent.sort();
        if self.recent.len() > RECENT_MAX {
            let oldest = self.recent.remove(0);
            if oldest.counts() {
                self.before = Some(Streak::then(self.before.take(), &oldest));
            }
            self.counted_until = Some((oldest.finished, oldest.run));
        }
    }

    fn to_json(&self) -> Object<'_> {
        let counting = self.recent.iter().filter(|run| run.counts());
        let streak = counting.fold(self.before.clone(), |before, run| Some(Streak::then(before, run)));
        let mut seconds: Vec<(f64, &str)> = Vec::new();
        for run in self.recent.iter().filter(|run| run.status == "SUCCESS") {
            let token = run.seconds.as_deref();
            seconds.extend(token.and_then(|token| Some((token.parse().ok()?, token))));
        }
        seconds.sort_by(|left, right| left.0.total_cmp(&right.0));
        // The smallest that so many of a hundred do not exceed: always one that was measured.
        let percentile = |percent: usize| -> Json<'_> {
            let rank = (seconds.len() * percent).div_ceil(100);
            let found = rank.checked_sub(1).and_then(|at| seconds.get(at));
            found.map(|(_, token)| Json::Number((*token).into())).into()
        };
        let mut line = Object::new();
        line.set("componentId", self.component.as_str());
        line.set("configId", self.config.as_str());
        line.set(
            "status",
            streak.as_ref().map(|streak| {
                if streak.status == "FAILED" {
                    "failing"
                } else {
                    "good"
                }
            }),
        );
        line.set(
            "streak",
            streak.as_ref().map(|streak| streak.to_json().into_owned()),
        );
        line.set("lastSuccess", self.last_success.clone());
        line.set("lastFailure", self.last_failure.clone());
        line.set("durationSecondsP50", percentile(50));
        line.set("durationSecondsP95", percentile(95));
        line.set(
            "recent",
            self.recent.iter().rev().map(Run::recent).collect::<Vec<_>>(),
        );
        if let Some(before) = &self.before {
            line.set("before", before.to_json());
        }
        if let Some((finished, run)) = &self.counted_until {
            line.set(
                "countedUntil",
                vec![Json::from(finished.as_str()), Json::from(run.as_str())],
            );
        }
        line
    }
}
