//! `policy explain`: what would happen to these files, and why?

use super::{
    PolicyFile, context,
    documents::sources,
    name, prepare, sandbox,
    touched::{Found, HIDDEN, Kept, Passage, Touched, escaped, not_whole},
};
use crate::{
    app::Failure,
    output::{errln, out, outln},
};
use clap::Args;
use mirror_core::{
    finding::Verdict,
    guard::{Guard, KnownSecrets, Sightings},
    marker::TagKey,
    redaction::{Redaction, SecretsMode, plaintexts_of_file},
};
use mirror_sandbox::RedactionPolicy;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Explain {
    /// Files and directories.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// A policy: a component, or a core module that was built for the world `redaction-policy`. May be repeated; each judges
    /// what those before it left.
    #[arg(long)]
    policy: Vec<PathBuf>,
    /// A JSON file with the settings of a policy; the first is for the first policy, and so on.
    #[arg(long, requires = "policy")]
    settings: Vec<PathBuf>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of one file.
struct Explained {
    name: String,
    pieces: Vec<Kept>,
    /// Why its object would be withheld.
    withheld: Option<String>,
}

pub(super) fn run(explain: &Explain) -> Result<(), Failure> {
    if !explain.settings.is_empty() && explain.settings.len() != explain.policy.len() {
        return Err(Failure::usage(format!(
            "there are {} of `--policy` and {} of `--settings`; give each policy its own, or none",
            explain.policy.len(),
            explain.settings.len()
        )));
    }
    let sandbox = sandbox()?;
    let builtin = PolicyFile {
        policy: None,
        settings: None,
    };
    let mut stages = vec![("secret-redaction".to_owned(), prepare(&sandbox, &builtin)?)];
    for (at, path) in explain.policy.iter().enumerate() {
        let file = PolicyFile {
            policy: Some(path.clone()),
            settings: explain.settings.get(at).cloned(),
        };
        stages.push((name(path), prepare(&sandbox, &file)?));
    }
    // As in a mirror, where what stands under a `#` key of one object is looked for in all.
    let (mut all, mut known, mut unread) = (Vec::new(), KnownSecrets::new(), Vec::new());
    for source in sources(&explain.paths) {
        let Some(judged) = source.read()? else {
            unread.push(source.name);
            continue;
        };
        known.merge(&plaintexts_of_file(judged.format, &judged.text));
        all.push((source.name, judged));
    }
    let guard = Guard::new(&known);
    let (mut files, mut found) = (Vec::new(), Found::default());
    for (name, judged) in all {
        let mut passage = Passage::new(judged);
        let withheld = take_through(&stages, &mut passage, &guard)?;
        let pieces = passage.kept(usize::MAX, &guard);
        found.extend(passage.found);
        if explain.json || !pieces.is_empty() || withheld.is_some() {
            files.push(Explained {
                name,
                pieces,
                withheld,
            });
        }
    }
    let withheld = files.iter().filter(|file| file.withheld.is_some()).count();
    print(explain.json, files, &unread, &found.sightings());
    match (withheld, unread.len()) {
        (0, 0) => Ok(()),
        (0, unread) => Err(Failure::message(format!("{unread} files were not read"))),
        (withheld, 0) => Err(Failure::message(format!(
            "a mirror would withhold the objects of {withheld} files; each has its reason"
        ))),
        (withheld, unread) => Err(Failure::message(format!(
            "a mirror would withhold the objects of {withheld} files, each has its reason; {unread} files were not read"
        ))),
    }
}

/// Nothing is printed before all that was found is known, since none of it may be in what is shown of any file.
fn print(is_json: bool, files: Vec<Explained>, unread: &[String], found: &Sightings) {
    let is_nothing = files.is_empty();
    let unread: Vec<String> = unread.iter().map(|name| found.hide(name, HIDDEN)).collect();
    let mut listed = Vec::new();
    for file in files {
        let name = found.hide(&file.name, HIDDEN);
        let pieces: Vec<Touched> = file.pieces.into_iter().map(|piece| piece.shown(found)).collect();
        if is_json {
            listed.push(json!({ "file": name, "findings": pieces, "withheld": file.withheld }));
            continue;
        }
        outln!("{}", escaped(&name));
        for piece in &pieces {
            out!("{}", piece.lines("  "));
        }
        if let Some(reason) = file.withheld {
            outln!("  the object would be withheld: {reason}");
        }
    }
    if is_json {
        outln!("{}", json!({ "files": listed, "unread": unread }));
        return;
    }
    for name in &unread {
        errln!("{}: not read: it is no text, or too large", escaped(name));
    }
    match (is_nothing, unread.is_empty()) {
        (true, true) => outln!("nothing is touched"),
        (true, false) => outln!("nothing is touched in what was read"),
        (false, _) => {}
    }
}

/// Takes a file through all policies and the guard. Says why the object would be withheld, if it would.
fn take_through(
    stages: &[(String, RedactionPolicy)],
    passage: &mut Passage,
    guard: &Guard,
) -> Result<Option<String>, Failure> {
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    for (at, (policy, guest)) in stages.iter().enumerate() {
        let verdicts = guest
            .redact(&context(), std::slice::from_ref(&passage.judged.document))
            .map_err(|error| Failure::failed(&error))?;
        let findings = match verdicts.into_iter().next() {
            Some(Verdict::Findings(findings)) => findings,
            Some(Verdict::Withhold(reason)) => return Ok(Some(reason.to_string())),
            None => return Err(Failure::message("the sandbox gave no verdict")),
        };
        // What the built-in policy takes is judged by what it leaves.
        let before = (at > 0).then(|| passage.judged.text.clone());
        match passage.apply(policy, &findings, &redaction) {
            Ok(pieces) => {
                if let Some(before) = before {
                    passage.check_cut(guard, &before, &pieces);
                }
            }
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
    let caught = passage.guarded(guard);
    Ok(caught.map(|rule| not_whole(rule.as_str())))
}
