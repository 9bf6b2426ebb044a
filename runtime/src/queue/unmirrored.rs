//! Events that were accepted and that no mirror takes: nothing ever comes of them, and their publisher is not told.
//!
//! What is known of them is what this process knows: projects that no mirror of its configuration is of, and branches of
//! projects that it has open. Where several processes share the mirrors, the branches of a project are the matter of the
//! one that has it open. A branch that was mirrored once, such as a dev branch that ended, is not among them.

use super::{Backlog, EventLog, LogError, Retention};
use crate::config::MirrorSpec;
use jiff::{SignedDuration, Timestamp};
use mirror_core::ids::{LaneId, ProjectId, Stack, Topic, hidden_name};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// So many projects and branches are looked at; what there is beyond is not counted.
const TOPICS_MAX: usize = 1_000;
/// A branch that is new may have no lane yet.
const BRANCH_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// So many projects are warned of; who names more than that does not want to be told.
const WARNED_MAX: usize = 1_000;
/// Longer numbers are no ids of projects and branches.
const DIGITS_MAX: usize = 20;

/// What no mirror takes, by project and branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmirrored {
    pub topic: Topic,
    /// Events, and when the oldest of them was published.
    pub waiting: Backlog,
    pub lacks: Lacks,
}

/// What a mirror would have to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lacks {
    /// No mirror of the configuration is of the project.
    Project,
    /// One is, and none has the branch.
    Branch,
}

impl Lacks {
    /// Both, in their order.
    pub const ALL: [Self; 2] = [Self::Project, Self::Branch];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Branch => "branch",
        }
    }
}

/// Looks for what no mirror takes.
///
/// # Errors
/// A log that cannot be read.
pub async fn look(
    log: &dyn EventLog,
    mirrors: &[MirrorSpec],
    retention: &Retention,
    now: Timestamp,
) -> Result<Vec<Unmirrored>, LogError> {
    let mut found = Vec::new();
    for (topic, waiting) in log.unmirrored(retention, TOPICS_MAX).await? {
        let is_of = |spec: &&MirrorSpec| spec.stack == topic.stack && spec.project == topic.project;
        let mut lacks = Lacks::Project;
        let mut was_mirrored = false;
        for spec in mirrors.iter().filter(is_of) {
            lacks = Lacks::Branch;
            let lane = LaneId {
                mirror: spec.id.clone(),
                branch: topic.branch.clone(),
            };
            was_mirrored |= log.cursor(&lane).await?.is_some();
        }
        let is_young = waiting
            .oldest
            .is_none_or(|oldest| now.duration_since(oldest) < BRANCH_AFTER);
        if was_mirrored || (lacks == Lacks::Branch && is_young) {
            continue;
        }
        found.push(Unmirrored {
            topic,
            waiting,
            lacks,
        });
    }
    Ok(found)
}

/// Warns of each project once.
#[derive(Debug, Default)]
pub struct Warned(BTreeSet<(Stack, ProjectId)>);

impl Warned {
    /// Warns of those projects that it has not warned of yet.
    pub fn warn(&mut self, found: &[Unmirrored]) {
        for one in found {
            let project = (one.topic.stack.clone(), one.topic.project.clone());
            if self.0.len() >= WARNED_MAX || !self.0.insert(project) {
                continue;
            }
            let of_project = found.iter().filter(|other| {
                other.lacks == one.lacks
                    && other.topic.stack == one.topic.stack
                    && other.topic.project == one.topic.project
            });
            let branches: Vec<String> = of_project
                .map(|other| shown_branch(&other.topic))
                .take(10)
                .collect();
            let (stack, project) = (&one.topic.stack, shown_project(&one.topic));
            let branches = branches.join(", ");
            match one.lacks {
                Lacks::Project => tracing::warn!(
                    %stack, project, branches,
                    "events were accepted of a project that no mirror is of, and nothing comes of them: add a mirror, or correct who publishes them"
                ),
                Lacks::Branch => tracing::warn!(
                    %stack, project, branches,
                    "events were accepted of branches that no mirror has, and nothing comes of them: mirror dev branches with `dev_branches = {{ enabled = true }}`, or correct who publishes them"
                ),
            }
        }
    }
}

/// Counts events by what they lack.
#[must_use]
pub fn counted(found: &[Unmirrored]) -> BTreeMap<Lacks, u64> {
    let mut counted: BTreeMap<Lacks, u64> = Lacks::ALL.into_iter().map(|lacks| (lacks, 0)).collect();
    for one in found {
        *counted.entry(one.lacks).or_default() += one.waiting.depth;
    }
    counted
}

/// Returns what the status says; null where there is nothing.
#[must_use]
pub fn page<'u>(found: impl Iterator<Item = &'u Unmirrored>) -> Value {
    let found: Vec<&Unmirrored> = found.collect();
    if found.is_empty() {
        return Value::Null;
    }
    let events: u64 = found.iter().map(|one| one.waiting.depth).sum();
    let oldest = found.iter().filter_map(|one| one.waiting.oldest).min();
    let each = found.iter().map(|one| {
        json!({
            "stack": one.topic.stack.as_str(),
            "projectId": shown_project(&one.topic),
            "branchId": shown_branch(&one.topic),
            "lacks": one.lacks.as_str(),
            "events": one.waiting.depth,
            "oldest": one.waiting.oldest.map(|at| at.to_string()),
        })
    });
    json!({
        "events": events,
        "oldest": oldest.map(|at| at.to_string()),
        "of": each.collect::<Vec<_>>(),
    })
}

fn shown_project(topic: &Topic) -> String {
    shown("project", topic.project.as_str())
}

fn shown_branch(topic: &Topic) -> String {
    shown("branch", topic.branch.as_str())
}

/// Whoever may tell events may have put anything in the place of an id, and no policy of a mirror judges it.
fn shown(kind: &str, id: &str) -> String {
    let is_number = id.len() <= DIGITS_MAX && id.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => id.to_owned(),
        false => hidden_name(kind, id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        database::{Database, DatabaseOptions},
        queue::{
            contract::{at, change, topic},
            embedded::EmbeddedLog,
        },
    };
    use expect_test::expect;
    use mirror_core::cut::LaneCursor;
    use std::{fmt::Write as _, path::Path};

    #[tokio::test]
    async fn projects_without_a_mirror_and_branches_without_a_lane_are_told_and_what_ended_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path(), DatabaseOptions::default()).unwrap();
        let log = EmbeddedLog::open(database).await.unwrap();
        let Topic { stack, project, .. } = topic("x");
        let text = format!(
            "data_dir = \"d\"\ntag_root = \"env:X\"\n[[mirror]]\nid = \"m\"\nstack = \"{stack}\"\n\
             project_id = \"{project}\"\ntoken = \"env:X\"\nrepository = \"file:m.git\"\n"
        );
        let config = Config::parse(&text, Path::new("mirror.toml")).unwrap();
        let lane = |branch: &str| LaneId {
            mirror: "m".parse().unwrap(),
            branch: branch.parse().unwrap(),
        };
        let of = |project: &str, branch: &str| {
            let mut event = change(branch, "a", 1);
            event.envelope.topic.project = project.parse().unwrap();
            event.envelope.key = change(&format!("{project}-{branch}"), "a", 1).envelope.key;
            event
        };
        let own = project.as_str();
        let batch = vec![
            of(own, "7"),
            of(own, "77"),
            of(own, "8"),
            of("9999", "1"),
            of("a-token-of-somebody", "1"),
        ];
        log.append(batch).await.unwrap();
        let start = LaneCursor::start(log.log_id().clone());
        log.commit(&lane("8"), None, &start).await.unwrap();
        let retention = |now| {
            let open = BTreeSet::from(["m".parse().unwrap()]);
            super::super::retention::retention(&config.log, &config.mirrors, &open, &[lane("7")], now)
        };
        let seen = async |now: Timestamp| {
            let found = look(&log, &config.mirrors, &retention(now), now).await.unwrap();
            let mut text = String::new();
            for one in page(found.iter())["of"].as_array().unwrap() {
                let (project, branch) = (one["projectId"].as_str().unwrap(), &one["branchId"]);
                let project = project.replace(own, "own");
                writeln!(text, "{} {project} {branch}: {}", one["lacks"], one["events"]).unwrap();
            }
            let counted = counted(&found);
            writeln!(text, "{} {}", counted[&Lacks::Project], counted[&Lacks::Branch]).unwrap();
            text
        };
        // A branch may get its lane yet.
        expect![[r#"
            "project" 9999 "1": 1
            "project" project sha256:1d257f58f21d "1": 1
            2 0
        "#]]
        .assert_eq(&seen(at(60)).await);
        expect![[r#"
            "branch" own "77": 1
            "project" 9999 "1": 1
            "project" project sha256:1d257f58f21d "1": 1
            2 1
        "#]]
        .assert_eq(&seen(at(700)).await);
        assert_eq!(page([].iter()), Value::Null);
    }
}
