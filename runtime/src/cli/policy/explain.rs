//! `policy explain`: what would happen to these files, and why?

use super::{
    PolicyFile, context,
    documents::{Judged, sources},
    name, prepare, sandbox,
    touched::{Passage, Touched},
};
use crate::app::Failure;
use clap::Args;
use mirror_core::{
    finding::Verdict,
    guard::{Guard, KnownSecrets},
    marker::TagKey,
    redaction::{Redaction, SecretsMode},
};
use mirror_sandbox::RedactionPolicy;
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
            print!("{}", piece.lines("  "));
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
    judged: Judged,
) -> Result<(Vec<Touched>, Option<String>), Failure> {
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    let mut passage = Passage::new(judged);
    for (policy, guest) in stages {
        let verdicts = guest
            .redact(&context(), std::slice::from_ref(&passage.judged.document))
            .map_err(|error| Failure::failed(&error))?;
        let findings = match verdicts.into_iter().next() {
            Some(Verdict::Findings(findings)) => findings,
            Some(Verdict::Withhold(reason)) => {
                return Ok((passage.shown(usize::MAX), Some(reason.to_string())));
            }
            None => return Err(Failure::message("the sandbox gave no verdict")),
        };
        if let Err(error) = passage.apply(policy, &findings, &redaction) {
            return Ok((passage.shown(usize::MAX), Some(error.to_string())));
        }
    }
    let guard = Guard::new(&KnownSecrets::default());
    let caught = guard.check_file(&passage.judged.path, &passage.judged.text);
    let caught = caught.map(|rule| format!("the guard still finds a secret ({})", rule.as_str()));
    Ok((passage.shown(usize::MAX), caught))
}
