//! The words of a commit's message. Texts come in as they may leave; here they are only shortened,
//! and made to do nothing at a Git host.

use super::{CommitDraft, CommitKind, Counts, Listed, Overwrites, inert::inert};
use std::fmt::Write as _;

const NAME_CHARS_MAX: usize = 60;
const SUBJECT_CHARS_MAX: usize = 120;
const LINE_CHARS_MAX: usize = 300;
const PATH_CHARS_MAX: usize = 120;
const DELETED_NAMED_MAX: usize = 10;

/// How much of the project a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Objects with their names and descriptions.
    Full,
    /// Numbers only.
    Counts,
}

pub(super) fn subject(draft: &CommitDraft, detail: Detail) -> String {
    let counts = draft.counts;
    let line = match (draft.kind, &draft.listed[..]) {
        (CommitKind::Changes, _) if draft.render_reason.is_some() => format!(
            "Render everything anew, with changes of {}",
            plural(counts.configs(), "configuration")
        ),
        (CommitKind::Changes, [one]) if detail == Detail::Full && counts.configs() == 1 => {
            let mut line = format!(
                "{} {} {}",
                verb(counts),
                printable(one.key.component.as_str()),
                titled(draft, one)
            );
            if let Some(description) = one.description {
                let _ = write!(
                    line,
                    ": {}",
                    one_line(&draft.texts[description].value, LINE_CHARS_MAX)
                );
            }
            line
        }
        (CommitKind::Changes, listed) => {
            let mut line = format!("{} {}", verb(counts), plural(counts.configs(), "configuration"));
            match listed {
                [first, ..] if detail == Detail::Full && counts.components == 1 => {
                    let _ = write!(line, " in {}", printable(first.key.component.as_str()));
                }
                _ if counts.components > 1 => {
                    let _ = write!(line, " of {}", plural(counts.components, "component"));
                }
                _ => {}
            }
            line
        }
        (CommitKind::Snapshot, _) => {
            // What is withheld is not in the commit.
            let configurations = draft.inventory.configurations();
            let configs = match configurations.withheld {
                0 => plural(counts.configs(), "configuration"),
                _ => format!(
                    "{} of {}",
                    configurations.rendered,
                    plural(configurations.expected, "configuration")
                ),
            };
            format!(
                "Snapshot of project {}, branch {}: {configs}",
                draft.project, draft.branch
            )
        }
        (CommitKind::Render, _) => match &draft.render_reason {
            Some(reason) => format!("Render everything anew: {}", one_line(reason, LINE_CHARS_MAX)),
            None => "Render everything anew".to_owned(),
        },
        (CommitKind::Metadata, _) if counts.metadata == 0 => "Update the branch".to_owned(),
        (CommitKind::Metadata, _) => format!("Update metadata of {}", plural(counts.metadata, "object")),
        (CommitKind::Jobs, _) if counts.runs == 0 => "Record job runs".to_owned(),
        (CommitKind::Jobs, _) => format!("Record {}", plural(counts.runs, "job run")),
        // Such as the list of what is withheld.
        (CommitKind::Storage, _) if counts.tables == 0 && counts.buckets == 0 => {
            "Update shared files".to_owned()
        }
        (CommitKind::Storage, _) if counts.tables == 0 => {
            format!("Update {}", plural(counts.buckets, "bucket"))
        }
        (CommitKind::Storage, _) => format!("Update {}", plural(counts.tables, "table")),
    };
    one_line(&line, SUBJECT_CHARS_MAX)
}

/// Returns the body's paragraphs, each line ended; empty where the subject says it all.
pub(super) fn body(draft: &CommitDraft, detail: Detail) -> String {
    let counts = draft.counts;
    let mut body = String::new();
    if draft.kind == CommitKind::Changes && detail == Detail::Full {
        for one in &draft.listed {
            let key = format!(
                "{}/{}",
                printable(one.key.component.as_str()),
                printable(one.key.config.as_str())
            );
            let mut line = format!("- {key}");
            if let Some(name) = one.name {
                let _ = write!(line, " {}", quoted(&draft.texts[name].value));
            }
            match (one.deleted, one.version) {
                (true, _) => line.push_str(": deleted"),
                (false, 0) => line.push_str(": changed"),
                (false, version) => {
                    let _ = write!(line, ": version {version}");
                }
            }
            if let Some(description) = one.description {
                let _ = write!(
                    line,
                    ", {}",
                    one_line(&draft.texts[description].value, LINE_CHARS_MAX)
                );
            }
            body.push_str(&line);
            body.push('\n');
        }
        let unlisted = counts.configs() - draft.listed.len();
        if unlisted > 0 {
            let _ = writeln!(body, "- and {unlisted} more");
        }
    }
    let beside = beside(draft.kind, counts);
    if !beside.is_empty() {
        if !body.is_empty() {
            body.push('\n');
        }
        let _ = writeln!(body, "Also covers {}.", beside.join(", "));
    }
    if draft.overwrites.changed {
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str("Files of the mirror that somebody else had changed are again as Keboola has them.\n");
    }
    if draft.overwrites.deleted_in_all > 0 {
        if !body.is_empty() && !draft.overwrites.changed {
            body.push('\n');
        }
        body.push_str(&deleted(&draft.overwrites, detail));
    }
    let is_subject = matches!(draft.kind, CommitKind::Render | CommitKind::Snapshot);
    if let Some(reason) = draft.render_reason.as_ref().filter(|_| !is_subject) {
        if !body.is_empty() {
            body.push('\n');
        }
        let _ = writeln!(
            body,
            "Everything was rendered anew: {}",
            one_line(reason, LINE_CHARS_MAX)
        );
    }
    if !draft.vanished.is_empty() {
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str("Types of which nothing is left:\n");
        for loss in &draft.vanished {
            let _ = writeln!(body, "- {}", loss.left_nothing());
        }
    }
    if !draft.inventory.is_empty() {
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str("Objects (expected, rendered, withheld):\n");
        for (object, tally) in draft.inventory.tallies() {
            let _ = writeln!(
                body,
                "- {object}: {}, {}, {}",
                tally.expected, tally.rendered, tally.withheld
            );
        }
    }
    body
}

/// Says what of somebody else goes.
fn deleted(overwrites: &Overwrites, detail: Detail) -> String {
    let count = plural(overwrites.deleted_in_all, "file");
    let more = if overwrites.uncounted { "more than " } else { "" };
    let mut said = format!("Deletes {more}{count} of somebody else in the mirror's directories");
    if detail == Detail::Full && !overwrites.deleted.is_empty() {
        let shown: Vec<String> = overwrites
            .deleted
            .iter()
            .take(DELETED_NAMED_MAX)
            .map(|path| {
                format!(
                    "`{}`",
                    one_line(&super::visible(path), PATH_CHARS_MAX).replace('`', "'")
                )
            })
            .collect();
        let _ = write!(said, ": {}", shown.join(", "));
        let unnamed = overwrites.deleted_in_all.saturating_sub(shown.len());
        if unnamed > 0 {
            let _ = write!(said, " and {unnamed} more");
        }
    }
    said.push_str(".\n");
    said
}

/// What the commit covers that its subject does not say.
fn beside(kind: CommitKind, counts: Counts) -> Vec<String> {
    let said = |own: CommitKind| kind == own;
    let mut beside = Vec::new();
    if counts.metadata > 0 && !said(CommitKind::Metadata) {
        beside.push(format!("metadata of {}", plural(counts.metadata, "object")));
    }
    if counts.branch && !(said(CommitKind::Metadata) && counts.metadata == 0) {
        beside.push("the branch".to_owned());
    }
    if counts.runs > 0 && !said(CommitKind::Jobs) {
        beside.push(plural(counts.runs, "job run"));
    }
    if counts.tables > 0 && !said(CommitKind::Storage) {
        beside.push(plural(counts.tables, "table"));
    }
    if counts.buckets > 0 && !(said(CommitKind::Storage) && counts.tables == 0) {
        beside.push(plural(counts.buckets, "bucket"));
    }
    beside
}

fn verb(counts: Counts) -> &'static str {
    match counts {
        Counts {
            created: 0,
            deleted: 0,
            ..
        } => "Update",
        Counts {
            updated: 0,
            deleted: 0,
            ..
        } => "Create",
        Counts {
            created: 0,
            updated: 0,
            ..
        } => "Delete",
        Counts { .. } => "Change",
    }
}

fn titled(draft: &CommitDraft, one: &Listed) -> String {
    match one.name {
        Some(name) => quoted(&draft.texts[name].value),
        None => printable(one.key.config.as_str()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", one_line(name, NAME_CHARS_MAX).replace('"', "'"))
}

/// Ids are chosen by clients and may hold anything that prints.
fn printable(id: &str) -> String {
    one_line(&super::visible(id), NAME_CHARS_MAX)
}

fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = inert(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if let Some((end, _)) = line.char_indices().nth(chars_max) {
        let kept = line
            .char_indices()
            .nth(chars_max - 1)
            .map_or(end, |(last, _)| last);
        line.truncate(kept);
        line.truncate(line.trim_end().len());
        line.push('…');
    }
    line
}

fn plural(count: usize, thing: &str) -> String {
    if count == 1 {
        format!("1 {thing}")
    } else {
        format!("{count} {thing}s")
    }
}
