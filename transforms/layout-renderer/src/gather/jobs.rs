//! Job runs by day, and the state of health of each configuration.
//!
//! A day's runs are a line each. Past the day's allowance, which is a share of the mirror's growth
//! budget, its successful runs become totals instead; what failed, and the success that ended a
//! failure, keep their lines. All of it is decided by the day's own entries.

mod counted;
mod health;
mod totals;

use super::not_ours;
use crate::{
    api::{DocumentKind, Entry, File, Gathered, IndexKind, LayoutError},
    json::{Json, Object, write},
    paths,
    render::in_order,
    settings::{JobsLayout, JobsSettings},
};
pub(crate) use health::HEALTH_BASE;
pub(super) use health::health;
use std::collections::BTreeMap;
use totals::Total;
pub(crate) use totals::entry_key as total_key;

/// A day is cut into files of about this size, so that appending rewrites a small one.
const SEGMENT_BYTES_MAX: usize = 500_000;

/// Names the artifacts that the source itself tells of.
pub(crate) const STORAGE_FILE: &str = "storage-file:";

/// Makes the files of one day.
pub(super) fn day(settings: &JobsSettings, shard: &str, entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let mut day = Day::read(entries)?;
    let is_over = |max: usize| day.runs.iter().map(|run| run.line.len() + 1).sum::<usize>() > max;
    if !day.totals.is_empty() || settings.day_bytes_max.is_some_and(is_over) {
        day.total_up();
    }
    let keep = day.entries(shard);
    Ok(Gathered {
        files: day.files(settings.layout, shard),
        keep: (keep != entries).then_some(keep),
    })
}

/// A run of the day.
struct Run<'e> {
    finished: String,
    run: String,
    value: Object<'e>,
    line: String,
}

/// What is known of a day.
#[derive(Default)]
struct Day<'e> {
    /// Sorted by the time they finished.
    runs: Vec<Run<'e>>,
    /// By entry key.
    totals: BTreeMap<String, Total>,
}

impl<'e> Day<'e> {
    fn read(entries: &'e [Entry]) -> Result<Self, LayoutError> {
        let mut day = Self::default();
        for told in entries.chunk_by(|left, right| left.key == right.key) {
            let mut known: Option<Object<'e>> = None;
            for entry in told {
                let value = Json::parse(&entry.value)
                    .map_err(|_| not_ours(entry))?
                    .into_object();
                if value.get("runId").is_none() {
                    let total = Total::read(&value).ok_or_else(|| not_ours(entry))?;
                    day.totals.insert(entry.key.clone(), total);
                    continue;
                }
                known = Some(match known {
                    None => value,
                    Some(known) => told_before(&known, value),
                });
            }
            if let (Some(value), Some(entry)) = (known, told.last()) {
                let finished = value.str("finishedAt").ok_or_else(|| not_ours(entry))?.to_owned();
                day.runs.push(Run {
                    finished,
                    run: entry.key.clone(),
                    line: write::object_line(&value),
                    value,
                });
            }
        }
        let Self { runs, totals } = &mut day;
        runs.retain(|run| {
            let total = totals.get(&total_key(&run.value));
            total.is_none_or(|total| !total.counts(&run.run))
        });
        runs.sort_by(|left, right| (&left.finished, &left.run).cmp(&(&right.finished, &right.run)));
        Ok(day)
    }

    /// Moves the successful runs into totals, but for those that ended a failure.
    fn total_up(&mut self) {
        let mut failing: BTreeMap<String, bool> = BTreeMap::new();
        for run in std::mem::take(&mut self.runs) {
            let key = total_key(&run.value);
            let absorbed = match run.value.str("status") {
                Some("SUCCESS") => !failing.insert(key.clone(), false).unwrap_or(false),
                Some("FAILED") => {
                    failing.insert(key.clone(), true);
                    false
                }
                _ => false,
            };
            if absorbed {
                let total = self.totals.entry(key).or_insert_with(|| Total::new(&run.value));
                total.add(&run.run, &run.finished, &run.value);
            } else {
                self.runs.push(run);
            }
        }
    }

    /// Everything as entries, sorted by key.
    fn entries(&self, shard: &str) -> Vec<Entry> {
        let entry = |key: &str, value: String| Entry {
            kind: IndexKind::JobDay,
            shard: shard.to_owned(),
            key: key.to_owned(),
            value,
        };
        let runs = self.runs.iter().map(|run| entry(&run.run, run.line.clone()));
        let totals = self.totals.iter().map(|(key, total)| entry(key, total.line()));
        let mut entries: Vec<Entry> = runs.chain(totals).collect();
        entries.sort_by(|left, right| left.key.cmp(&right.key));
        entries
    }

    fn files(&self, layout: JobsLayout, shard: &str) -> Vec<File> {
        let mut files = match layout {
            JobsLayout::DayFiles => {
                let lines = self.runs.iter().map(|run| run.line.as_str());
                segments(&format!("jobs/{shard}"), lines)
            }
            JobsLayout::FilePerRun => {
                let file = |run: &Run<'_>| job_file(run_path(&run.run), write::indented(&run.value));
                self.runs.iter().map(file).collect()
            }
        };
        let totals: Vec<String> = self.totals.values().map(Total::line).collect();
        files.extend(segments(
            &format!("jobs/{shard}-totals"),
            totals.iter().map(String::as_str),
        ));
        files
    }
}

/// Returns the file of one run, where each has its own, also where case does not count.
pub(crate) fn run_path(run: &str) -> String {
    format!("jobs/{}.json", paths::encode_caseless(run))
}

/// Cuts lines into files: `base.jsonl`, `base-2.jsonl` and so on.
fn segments<'l>(base: &str, lines: impl Iterator<Item = &'l str>) -> Vec<File> {
    let mut segments: Vec<String> = Vec::new();
    for line in lines {
        match segments.last_mut() {
            Some(segment) if segment.len() + line.len() < SEGMENT_BYTES_MAX => {
                segment.push_str(line);
                segment.push('\n');
            }
            _ => segments.push(format!("{line}\n")),
        }
    }
    let file = |(at, content)| {
        let path = match at {
            0 => format!("{base}.jsonl"),
            at => format!("{base}-{}.jsonl", at + 1),
        };
        job_file(path, content)
    };
    segments.into_iter().enumerate().map(file).collect()
}

fn job_file(path: String, content: String) -> File {
    File {
        path,
        kind: DocumentKind::Job,
        content,
    }
}

/// Adds to a run what only an earlier telling had: events tell of a state's digest and of artifacts,
/// and the source never tells it again.
fn told_before<'e>(before: &Object<'e>, mut now: Object<'e>) -> Object<'e> {
    if now.get("stateDigest").is_none()
        && let Some(digest) = before.get("stateDigest")
    {
        now.set("stateDigest", digest.clone());
    }
    let is_told = |link: &&Json<'_>| link.as_str().is_some_and(|link| !link.starts_with(STORAGE_FILE));
    let own = now.items("artifactLinks");
    if !own.iter().any(|link| is_told(&link)) {
        let told = before.items("artifactLinks").iter().filter(is_told);
        let links: Vec<Json<'_>> = told.chain(own).cloned().collect();
        if !links.is_empty() {
            now.set("artifactLinks", links);
        }
    }
    in_order(now)
}

#[cfg(test)]
mod tests {
    use super::run_path;

    #[test]
    fn runs_that_differ_in_case_have_files_of_their_own() {
        assert_eq!(run_path("1234567890"), "jobs/1234567890.json");
        assert_eq!(run_path("1234.5"), "jobs/1234.5.json");
        assert_eq!(run_path("A1"), "jobs/%411.json");
        assert_eq!(run_path("a1"), "jobs/a1.json");
    }
}
