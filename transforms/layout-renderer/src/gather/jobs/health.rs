//! The state of health of each configuration, folded from its runs.

use super::{counted::Counted, not_ours, segments};
use crate::{
    api::{Entry, Gathered, IndexKind, LayoutError},
    json::{Json, Object, write},
    render::shortened,
};
use std::collections::BTreeMap;

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
        let parsed = entries.iter().map(|entry| Json::parse(&entry.value));
        let values = parsed.zip(entries).map(|(value, entry)| {
            let value = value.map_err(|_| not_ours(entry))?;
            Ok((entry, value.into_object()))
        });
        let values = values.collect::<Result<Vec<(&Entry, Object<'_>)>, LayoutError>>()?;
        let line = values.iter().position(|(_, value)| value.get("recent").is_some());
        let (before, told) = values.split_at(line.map_or(0, |line| line + 1));
        let mut counted = Counted::default();
        let mut health: Option<Health> = None;
        for (entry, value) in before {
            if value.get("recent").is_some() {
                let line = Health::read(value).ok_or_else(|| not_ours(entry))?;
                let until = line.counted_until.as_ref();
                // Asked before any run is added: one that is told again tells nothing of the others.
                counted.is_told = until.is_some_and(|(_, run)| counted.has(run));
                health = Some(line);
            } else {
                counted.read(entry, value)?;
            }
        }
        // The newest telling of each.
        let mut runs: BTreeMap<String, Run> = BTreeMap::new();
        for (entry, value) in told {
            let run = Run::read(value).ok_or_else(|| not_ours(entry))?;
            health.get_or_insert_with(|| Health::new(value));
            runs.insert(run.run.clone(), run);
        }
        let mut runs: Vec<Run> = runs.into_values().collect();
        runs.sort();
        if let Some(health) = &mut health {
            for run in runs {
                health.add(run, &mut counted);
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

/// Where a run stands among those of its configuration: when it finished, and its id.
pub(super) type Place = (String, String);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) finished: String,
    pub(super) run: String,
    pub(super) status: String,
    /// The token of a number, if there is one.
    seconds: Option<String>,
    version: Option<String>,
    message: Option<String>,
    error: Option<String>,
}

impl Run {
    /// Reads a line of a day.
    pub(super) fn read(line: &Object<'_>) -> Option<Self> {
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
    pub(super) fn counts(&self) -> bool {
        self.status != "CANCELLED"
    }

    pub(super) fn place(&self) -> Place {
        (self.finished.clone(), self.run.clone())
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
pub(super) struct Streak {
    pub(super) status: String,
    pub(super) count: u64,
    pub(super) since: String,
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
    pub(super) fn then(before: Option<Self>, run: &Run) -> Self {
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
    counted_until: Option<Place>,
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

    /// Counts a run, unless it is counted already; what was told of it before goes.
    fn add(&mut self, run: Run, counted: &mut Counted) {
        let is_same = |known: &Run| (&known.status, &known.finished) == (&run.status, &run.finished);
        if let Some(at) = self.recent.iter().position(|known| known.run == run.run) {
            if self.recent.get(at).is_some_and(is_same) {
                return;
            }
            self.recent.remove(at);
        }
        if self.is_last(&run) {
            return;
        }
        self.take_back_last(&run.run, counted);
        if let Some(last) = self.last(&run.status) {
            let newer = |last: &Object<'_>| {
                (last.str("finishedAt"), last.str("runId")) < (Some(&run.finished), Some(&run.run))
            };
            if last.as_ref().is_none_or(newer) {
                *last = Some(run.last().into_owned());
            }
        }
        if let Some(until) = self.counted_until.clone().filter(|until| run.place() <= *until) {
            let is_known = counted.has(&run.run);
            counted.add(run.clone());
            self.add_late(&run, &until, is_known, counted);
            return;
        }
        self.recent.push(run);
        self.recent.sort();
        if self.recent.len() > RECENT_MAX {
            let oldest = self.recent.remove(0);
            if oldest.counts() {
                self.before = Some(Streak::then(self.before.take(), &oldest));
            }
            self.counted_until = Some(oldest.place());
            counted.add(oldest);
        }
    }

    fn last(&mut self, status: &str) -> Option<&mut Option<Object<'static>>> {
        match status {
            "SUCCESS" => Some(&mut self.last_success),
            "FAILED" => Some(&mut self.last_failure),
            _ => None,
        }
    }

    /// Whether this is the last success or failure, as it is known.
    fn is_last(&mut self, run: &Run) -> bool {
        let last = self.last(&run.status).and_then(|last| last.as_ref());
        last.is_some_and(|last| {
            (last.str("runId"), last.str("finishedAt")) == (Some(&run.run), Some(&run.finished))
        })
    }

    /// Puts the newest other run that is known in the place of one that did not end so, or not then.
    fn take_back_last(&mut self, run: &str, counted: &Counted) {
        for status in ["SUCCESS", "FAILED"] {
            let is_it = |last: &Object<'_>| last.str("runId") == Some(run);
            let is_last = self
                .last(status)
                .is_some_and(|last| last.as_ref().is_some_and(is_it));
            if !is_last {
                continue;
            }
            let recent = self.recent.iter().filter(|known| known.status == status);
            // What days tell has the version and the message too.
            let known = counted.newest(status, run).into_iter().chain(recent);
            let newest = known.reduce(|one, other| if one.place() < other.place() { other } else { one });
            let newest = newest.map(|run| run.last().into_owned());
            if let Some(last) = self.last(status) {
                *last = newest;
            }
        }
    }

    /// Brings the streak before the recent runs up to date with a run that finished no later than the
    /// newest before those, `until`.
    fn add_late(&mut self, run: &Run, until: &Place, is_known: bool, counted: &Counted) {
        if !run.counts() {
            return;
        }
        let is_told = counted.is_told;
        let Some(before) = &mut self.before else {
            if is_told {
                self.before = counted.streak(until);
            }
            return;
        };
        let is_within = run.finished >= before.since;
        if before.status != run.status {
            if is_within {
                // Only what came after it is a streak; where that cannot be known, nothing but the recent runs is.
                let after = is_told.then(|| counted.after(run, until, &before.status, &self.recent));
                self.before = after.map(|after| after.unwrap_or_else(|| Streak::of(run)));
            }
        } else if is_within {
            before.count += u64::from(is_told && !is_known);
        } else {
            let other = match run.status.as_str() {
                "FAILED" => &self.last_success,
                _ => &self.last_failure,
            };
            let ended = other.as_ref().and_then(|other| other.str("finishedAt"));
            if ended.is_none_or(|ended| ended < run.finished.as_str()) {
                before.count += 1;
                before.since.clone_from(&run.finished);
            }
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
