//! `policy explain`: what would happen to these files, and why?

use super::{
    PolicyFile, context,
    documents::{Judged, sources},
    name, prepare, sandbox,
};
use crate::app::Failure;
use clap::Args;
use mirror_core::{
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    marker::TagKey,
    redaction::{Redaction, Replaced, SecretsMode, replaced},
    walk,
};
use mirror_sandbox::RedactionPolicy;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Explain {
    /// Files and directories.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyFile,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// Stands where a secret was.
const HIDDEN: &str = "••••••";
/// Characters around a piece that are shown.
const AROUND: usize = 40;

/// One piece that goes.
#[derive(Serialize)]
struct Explained {
    policy: String,
    rule: String,
    pointer: String,
    line: usize,
    before: String,
    after: String,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's output")]
pub(super) fn run(explain: &Explain) -> Result<(), Failure> {
    let sandbox = sandbox()?;
    let builtin = PolicyFile {
        policy: None,
        settings: None,
    };
    let mut stages = vec![("secret-redaction".to_owned(), prepare(&sandbox, &builtin)?)];
    if let Some(path) = &explain.policy.policy {
        stages.push((name(path), prepare(&sandbox, &explain.policy)?));
    }
    let mut files = Vec::new();
    for source in sources(&explain.paths)? {
        let Some(judged) = source.read()? else {
            eprintln!("{}: not read: it is no text, or too large", source.name);
            continue;
        };
        let (pieces, ends) = explained(&stages, judged)?;
        if explain.json {
            files.push(json!({ "file": source.name, "findings": pieces, "withheld": ends }));
            continue;
        }
        if pieces.is_empty() && ends.is_none() {
            continue;
        }
        println!("{}", source.name);
        for piece in &pieces {
            piece.print();
        }
        if let Some(reason) = ends {
            println!("  the object would be withheld: {reason}");
        }
        files.push(Value::Null);
    }
    if explain.json {
        println!("{}", json!({ "files": files }));
    } else if files.is_empty() {
        println!("nothing is touched");
    }
    Ok(())
}

/// Takes a file through all policies and the guard. Says what goes, and why the object would be withheld, if it would.
fn explained(
    stages: &[(String, RedactionPolicy)],
    mut judged: Judged,
) -> Result<(Vec<Explained>, Option<String>), Failure> {
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    // Policy, rule, pointer, line, and where the marker stands in the text as it is now.
    let mut all: Vec<(String, String, String, usize, usize)> = Vec::new();
    for (policy, guest) in stages {
        let verdicts = guest
            .redact(&context(), std::slice::from_ref(&judged.document))
            .map_err(|error| Failure::failed(&error))?;
        let findings = match verdicts.into_iter().next() {
            Some(Verdict::Findings(findings)) => findings,
            Some(Verdict::Withhold(reason)) => return Ok((shown(&judged, all), Some(reason.to_string()))),
            None => return Err(Failure::message("the sandbox gave no verdict")),
        };
        let pieces = match replaced(judged.format, &judged.text, &findings, &redaction) {
            Ok(pieces) => pieces,
            Err(error) => return Ok((shown(&judged, all), Some(error.to_string()))),
        };
        for (.., at) in &mut all {
            *at = moved(*at, &pieces);
        }
        for piece in &pieces {
            let leaf = walk::leaf_at(judged.format, &judged.text, piece.range.start);
            let leaf = leaf
                .ok()
                .flatten()
                .and_then(|leaf| judged.document.leaves.get(leaf));
            all.push((
                policy.clone(),
                piece.rule().unwrap_or("removed").to_owned(),
                leaf.map_or_else(String::new, |leaf| leaf.pointer.clone()),
                1 + judged.text[..piece.range.start].matches('\n').count(),
                moved(piece.range.start, &pieces),
            ));
        }
        let text = without(&judged.text, &pieces);
        judged = Judged::new(&judged.path, text);
    }
    let guard = Guard::new(&KnownSecrets::default());
    let caught = guard.check_file(&judged.path, &judged.text);
    let caught = caught.map(|rule| format!("the guard still finds a secret ({})", rule.as_str()));
    Ok((shown(&judged, all), caught))
}

/// Cuts what is shown of each piece out of the last text, in which no secret is left that anybody found.
fn shown(last: &Judged, all: Vec<(String, String, String, usize, usize)>) -> Vec<Explained> {
    all.into_iter()
        .map(|(policy, rule, pointer, line, at)| {
            let text = &last.text;
            let marker_end = text[at..].find(']').map_or(at, |end| at + end + 1);
            let line_start = text[..at].rfind('\n').map_or(0, |start| start + 1);
            let line_end = text[marker_end..]
                .find('\n')
                .map_or(text.len(), |end| marker_end + end);
            let head: Vec<char> = text[line_start..at].chars().rev().take(AROUND).collect();
            let head: String = head.into_iter().rev().collect();
            let tail: String = text[marker_end..line_end].chars().take(AROUND).collect();
            let show = |middle: &str| {
                let shown = format!("{head}{middle}{tail}");
                shown
                    .trim()
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect()
            };
            Explained {
                policy,
                rule,
                pointer,
                line,
                before: show(HIDDEN),
                after: show(&text[at..marker_end]),
            }
        })
        .collect()
}

/// Returns where a byte of a text stands after the pieces were replaced; in a piece, at its start.
fn moved(at: usize, pieces: &[Replaced]) -> usize {
    let mut now = at;
    for Replaced { range, by } in pieces {
        if range.end <= at {
            now = now + by.len() - range.len();
        } else if range.start < at {
            now -= at - range.start;
        }
    }
    now
}

fn without(text: &str, pieces: &[Replaced]) -> String {
    let mut left = String::with_capacity(text.len());
    let mut copied = 0;
    for Replaced { range, by } in pieces {
        left.push_str(&text[copied..range.start]);
        left.push_str(by);
        copied = range.end;
    }
    left.push_str(&text[copied..]);
    left
}

impl Explained {
    #[expect(clippy::print_stdout, reason = "the command's output")]
    fn print(&self) {
        let Self {
            policy,
            rule,
            pointer,
            line,
            before,
            after,
        } = self;
        let place = if pointer.is_empty() {
            String::new()
        } else {
            format!(", {pointer}")
        };
        println!("  line {line}{place}: {rule}, by {policy}");
        println!("    - {before}");
        println!("    + {after}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_with_what_is_replaced_before_them() {
        let piece = |range, by: &str| Replaced {
            range,
            by: by.to_owned(),
        };
        let pieces = [piece(2..4, "XXXXX"), piece(6..9, "")];
        let text = "ab12ef789j";
        assert_eq!(without(text, &pieces), "abXXXXXefj");
        for (at, expected) in [(0, 0), (2, 2), (3, 2), (4, 7), (6, 9), (8, 9), (9, 9)] {
            assert_eq!(moved(at, &pieces), expected, "{at}");
        }
    }
}
