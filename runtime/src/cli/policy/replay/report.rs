//! What is told of a replay: by commit, by file, and in all.

use super::{
    Touched,
    history::{History, Step},
    judge::{Outcome, Verdicts},
    not_whole,
};
use mirror_core::guard::Sightings;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

pub(super) struct Report {
    pub(super) mirror: String,
    pub(super) repository: String,
    pub(super) policy: String,
    pub(super) digest: String,
    pub(super) branches: Vec<BranchReport>,
}

/// What of one branch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BranchReport {
    branch: String,
    branch_id: String,
    tip: String,
    /// When the oldest commit that was looked at was made.
    from: String,
    commits_looked_at: usize,
    /// There are more commits since then than were looked at.
    cut: bool,
    /// Texts that were judged: each content of each path once.
    judged: usize,
    not_text: usize,
    /// Commits that bring something that would have been different.
    commits: Vec<CommitReport>,
    files: Vec<FileReport>,
    messages: Vec<MessageReport>,
    names: Names,
    /// What the newest commit has.
    at_tip: Totals,
    /// What all commits that were looked at have, each content of a path counted once.
    in_all: Totals,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitReport {
    commit: String,
    made_at: String,
    /// What its whole tree has.
    files: u64,
    findings: u64,
    bytes: u64,
    /// In contents that no commit before it had.
    new_findings: u64,
    /// In its message.
    message_findings: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileReport {
    path: String,
    component_id: String,
    config_id: String,
    /// How many contents of the path would be different.
    contents: usize,
    first: String,
    first_made_at: String,
    last: String,
    last_made_at: String,
    at_tip: bool,
    /// Of the newest content that has some.
    findings: BTreeMap<String, u64>,
    bytes: u64,
    examples: Vec<Touched>,
    withheld: Option<String>,
    guard: Option<String>,
}

#[derive(Serialize)]
struct MessageReport {
    commit: String,
    findings: BTreeMap<String, u64>,
    bytes: u64,
    withheld: Option<String>,
    guard: Option<String>,
    examples: Vec<Touched>,
}

/// Names of which paths are made, typed or as they stand in paths.
#[derive(Serialize)]
struct Names {
    judged: usize,
    findings: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Totals {
    findings: u64,
    by_rule: BTreeMap<String, u64>,
    bytes: u64,
    files: usize,
    configurations: usize,
    /// Files on which the policy gives no answer.
    withheld: usize,
    /// Files in which the guard still finds something.
    guarded: usize,
}

impl BranchReport {
    pub(super) fn of(history: &History, outcome: &Outcome) -> Self {
        let tip = history.tip();
        let is_at_tip = |at: usize| history.contents[at].last == tip;
        let Outcome {
            contents,
            messages,
            names,
            names_judged,
            judged,
            unread,
            ..
        } = outcome;
        let oldest = &history.commits[0];
        let found = outcome.sightings();
        Self {
            branch: history.branch.clone(),
            branch_id: history.context.branch.to_string(),
            tip: history.commits[tip].commit.id.to_string(),
            from: made_at(oldest),
            commits_looked_at: history.commits.len(),
            cut: history.is_cut,
            judged: *judged,
            not_text: *unread,
            commits: commits(history, outcome),
            files: files(history, outcome, &found),
            messages: messages
                .iter()
                .map(|(at, verdicts)| MessageReport {
                    commit: history.commits[*at].commit.id.to_string(),
                    findings: verdicts.rules.clone(),
                    bytes: verdicts.bytes,
                    withheld: verdicts.withheld.clone(),
                    guard: verdicts.guard.clone(),
                    examples: examples(verdicts, &found),
                })
                .collect(),
            names: Names {
                judged: *names_judged,
                findings: names.clone(),
            },
            at_tip: totals(
                history,
                outcome,
                contents.keys().copied().filter(|at| is_at_tip(*at)),
            ),
            in_all: totals(history, outcome, contents.keys().copied()),
        }
    }
}

fn examples(verdicts: &Verdicts, found: &Sightings) -> Vec<Touched> {
    let examples = verdicts.examples.iter().cloned();
    examples.map(|piece| piece.shown(found)).collect()
}

fn made_at(step: &Step) -> String {
    step.commit.committer.time.to_string()
}

fn totals(history: &History, outcome: &Outcome, contents: impl Iterator<Item = usize>) -> Totals {
    let mut totals = Totals::default();
    let (mut files, mut configurations) = (BTreeSet::new(), BTreeSet::new());
    for at in contents {
        let (owner, verdicts) = &outcome.contents[&at];
        for (rule, count) in &verdicts.rules {
            *totals.by_rule.entry(rule.clone()).or_default() += count;
        }
        totals.findings += verdicts.findings();
        totals.bytes += verdicts.bytes;
        totals.withheld += usize::from(verdicts.withheld.is_some());
        totals.guarded += usize::from(verdicts.guard.is_some());
        if verdicts.changes() {
            files.insert(history.contents[at].below_root.as_str());
            configurations.insert(owner);
        }
    }
    totals.files = files.len();
    totals.configurations = configurations
        .iter()
        .filter(|(_, config)| !config.is_empty())
        .count();
    totals
}

fn commits(history: &History, outcome: &Outcome) -> Vec<CommitReport> {
    let (mut files, mut findings, mut bytes) = (0_u64, 0_u64, 0_u64);
    let mut reports = Vec::new();
    let touched = |at: &usize| {
        let (_, verdicts) = outcome.contents.get(at)?;
        verdicts.changes().then_some(verdicts)
    };
    for (n, step) in history.commits.iter().enumerate() {
        for verdicts in step.gone.iter().filter_map(touched) {
            files -= 1;
            findings -= verdicts.findings();
            bytes -= verdicts.bytes;
        }
        let (mut new, mut brings) = (0, false);
        for at in &step.appeared {
            let Some(verdicts) = touched(at) else { continue };
            files += 1;
            findings += verdicts.findings();
            bytes += verdicts.bytes;
            if history.contents[*at].first == n {
                new += verdicts.findings();
                brings = true;
            }
        }
        let message = outcome.messages.get(&n).map_or(0, Verdicts::findings);
        if brings || message > 0 {
            reports.push(CommitReport {
                commit: step.commit.id.to_string(),
                made_at: made_at(step),
                files,
                findings,
                bytes,
                new_findings: new,
                message_findings: message,
            });
        }
    }
    reports
}

fn files(history: &History, outcome: &Outcome, found: &Sightings) -> Vec<FileReport> {
    let mut by_path: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for at in outcome.contents.keys() {
        by_path
            .entry(history.contents[*at].below_root.as_str())
            .or_default()
            .push(*at);
    }
    let reports = by_path.into_values().filter_map(|contents| {
        let content = |at: &usize| &history.contents[*at];
        let first = contents.iter().map(|at| content(at).first).min()?;
        let newest = contents.iter().max_by_key(|at| content(at).last)?;
        let last = content(newest).last;
        let (owner, verdicts) = outcome.contents[newest].clone();
        let examples = examples(&verdicts, found);
        let id = |at: usize| history.commits[at].commit.id.to_string();
        Some(FileReport {
            path: outcome.shown(content(newest).path.as_str()),
            component_id: owner.0,
            config_id: owner.1,
            contents: contents.len(),
            first: id(first),
            first_made_at: made_at(&history.commits[first]),
            last: id(last),
            last_made_at: made_at(&history.commits[last]),
            at_tip: last == history.tip(),
            findings: verdicts.rules,
            bytes: verdicts.bytes,
            examples,
            withheld: verdicts.withheld,
            guard: verdicts.guard,
        })
    });
    reports.collect()
}

impl Report {
    pub(super) fn as_json(&self) -> Value {
        let Self {
            mirror,
            repository,
            policy,
            digest,
            branches,
        } = self;
        json!({
            "mirror": mirror,
            "repository": repository,
            "policy": { "name": policy, "sha256": digest },
            "branches": branches,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "policy {} (sha256 {}) on {} of mirror {}",
            self.policy, self.digest, self.repository, self.mirror
        )?;
        self.branches.iter().try_for_each(|branch| branch.fmt(f))
    }
}

impl fmt::Display for BranchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commits = match self.commits_looked_at {
            1 => format!("commit {}", short(&self.tip)),
            n => format!("{n} commits from {} to {}", self.from, short(&self.tip)),
        };
        writeln!(
            f,
            "\nbranch {} (Keboola branch {}): {commits}, {} texts",
            self.branch, self.branch_id, self.judged
        )?;
        if self.cut {
            writeln!(
                f,
                "  there are older commits since then; `--commits-max` takes more of them"
            )?;
        }
        for commit in &self.commits {
            writeln!(f, "  {commit}")?;
        }
        for file in &self.files {
            write!(f, "{file}")?;
        }
        for message in &self.messages {
            writeln!(
                f,
                "  message of {}: {}",
                short(&message.commit),
                rules(&message.findings)
            )?;
            shown(f, &message.examples)?;
            if let Some(reason) = &message.withheld {
                writeln!(f, "    its texts would be withheld: {reason}")?;
            }
            if let Some(rule) = &message.guard {
                writeln!(f, "    its texts would be withheld: {}", not_whole(rule))?;
            }
        }
        if !self.names.findings.is_empty() {
            writeln!(
                f,
                "  names, which would be left out of paths: {}",
                rules(&self.names.findings)
            )?;
        }
        writeln!(f, "  at the tip: {}", self.at_tip)?;
        if self.commits_looked_at > 1 {
            writeln!(f, "  in all:     {}", self.in_all)?;
        }
        if self.at_tip.files > 0 {
            writeln!(
                f,
                "  switched on, the next commit changes what is at the tip; what earlier commits have stays in the history"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for CommitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commit,
            made_at,
            files,
            findings,
            bytes,
            new_findings,
            message_findings,
        } = self;
        write!(
            f,
            "{} {made_at}: {findings} findings in {files} files ({bytes} bytes), {new_findings} of them new",
            short(commit)
        )?;
        if *message_findings > 0 {
            write!(f, "; {message_findings} in its message")?;
        }
        Ok(())
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.path)?;
        let whose = match (self.component_id.as_str(), self.config_id.as_str()) {
            ("", _) => String::new(),
            (component, "") => format!("{component}: "),
            (component, config) => format!("{component}/{config}: "),
        };
        let now = if self.at_tip { ", still there" } else { "" };
        writeln!(
            f,
            "    {whose}{} ({} bytes); from {} ({}) to {} ({}){now}, {} contents",
            rules(&self.findings),
            self.bytes,
            short(&self.first),
            self.first_made_at,
            short(&self.last),
            self.last_made_at,
            self.contents
        )?;
        shown(f, &self.examples)?;
        if let Some(reason) = &self.withheld {
            writeln!(f, "    the object would be withheld: {reason}")?;
        }
        if let Some(rule) = &self.guard {
            writeln!(f, "    the object would be withheld: {}", not_whole(rule))?;
        }
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            findings,
            by_rule,
            bytes,
            files,
            configurations,
            withheld,
            guarded,
        } = self;
        write!(f, "{findings} findings")?;
        if *findings > 0 {
            write!(f, " ({})", rules(by_rule))?;
        }
        write!(
            f,
            ", {bytes} bytes, in {files} files of {configurations} configurations; withheld by the policy {withheld}, by the guard {guarded}"
        )
    }
}

fn shown(f: &mut fmt::Formatter<'_>, examples: &[Touched]) -> fmt::Result {
    for piece in examples {
        write!(f, "{}", piece.lines("      "))?;
    }
    Ok(())
}

fn rules(rules: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (rule, count) in rules {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{rule} {count}");
    }
    if text.is_empty() {
        text.push_str("no findings");
    }
    text
}

fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}
