//! `mirror`: will it be able to push, and shall it work at all?

use super::{
    MirrorCommand, Of,
    ask::{Needs, ask},
};
use crate::{
    app::Failure,
    config::{Config, MirrorSpec},
    control::Request,
    repository,
};
use mirror_core::commit::{MIRROR_EMAIL, MIRROR_NAME};
use mirror_git::{Disposition, ProbeAuthor, ProbeOutcome, ProbeReport, RefName, Visibility, probe};
use serde_json::{Value, json};
use std::path::Path;

/// Runs a `mirror` command.
///
/// # Errors
/// A configuration that cannot be used, or a repository that a mirror would fail with.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub fn run(command: MirrorCommand) -> Result<(), Failure> {
    let (config, mirror, json) = match command {
        MirrorCommand::Test(Of { config, mirror, json }) => (config, mirror, json),
        MirrorCommand::Pause(of) => return pause(of, true),
        MirrorCommand::Resume(of) => return pause(of, false),
        MirrorCommand::Resync(of) => return resync(of),
    };
    let report = test(&config, &mirror)?;
    if json {
        println!("{}", as_json(&mirror, &report));
    } else {
        print!("{report}");
    }
    if report.is_good() {
        return Ok(());
    }
    Err(Failure::message(format!(
        "mirror `{mirror}` would fail with this repository"
    )))
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn pause(Of { config, mirror, json }: Of, paused: bool) -> Result<(), Failure> {
    let request = Request::Pause {
        mirror: mirror.clone(),
        paused,
    };
    let answer = ask(&config, request, Needs::Log)?;
    match (json, paused) {
        (true, _) => println!("{answer}"),
        (false, true) => println!("mirror `{mirror}` is paused; changes wait in the log"),
        (false, false) => println!("mirror `{mirror}` goes on"),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn resync(Of { config, mirror, json }: Of) -> Result<(), Failure> {
    let request = Request::Resync {
        mirror: mirror.clone(),
    };
    let answer = ask(&config, request, Needs::Branches)?;
    match json {
        true => println!("{answer}"),
        false => println!(
            "{} branches of mirror `{mirror}` are rendered anew next",
            answer["branches"]
        ),
    }
    Ok(())
}

fn test(path: &Path, mirror: &str) -> Result<ProbeReport, Failure> {
    let config = Config::read(path).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let spec: &MirrorSpec = config
        .mirror(mirror)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let remote =
        repository::open(spec, &config.git).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let refname = RefName::branch(&spec.branch).map_err(|error| Failure::usage(error.to_string()))?;
    let signing = repository::signing_key(spec).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let author = ProbeAuthor {
        name: MIRROR_NAME,
        email: MIRROR_EMAIL,
        signing: signing.as_ref(),
    };
    let scratch = uuid::Uuid::new_v4().simple().to_string();
    Ok(probe(
        &*remote,
        &refname,
        author,
        crate::system::wall_clock(),
        &scratch,
    ))
}

fn as_json(mirror: &str, report: &ProbeReport) -> Value {
    let checks: Vec<Value> = report
        .checks
        .iter()
        .map(|check| {
            let subject = check.subject.code();
            match &check.outcome {
                ProbeOutcome::Good(text) => json!({ "check": subject, "outcome": "ok", "text": text }),
                ProbeOutcome::Notice(text) => json!({ "check": subject, "outcome": "notice", "text": text }),
                ProbeOutcome::NotTried(text) => {
                    json!({ "check": subject, "outcome": "not_tried", "text": text })
                }
                ProbeOutcome::Bad(problem) => json!({
                    "check": subject,
                    "outcome": "failed",
                    "problem": problem.code(),
                    "passes_by_itself": problem.disposition() == Disposition::Retry,
                    "text": problem.to_string(),
                }),
            }
        })
        .collect();
    let visibility = report.visibility.map(|visibility| match visibility {
        Visibility::Public => "public",
        Visibility::Private => "private",
        Visibility::Unknown => "unknown",
    });
    json!({
        "mirror": mirror,
        "repository": report.remote,
        "branch": report.refname.short(),
        "ok": report.is_good(),
        "tip": report.tip.map(|tip| tip.to_string()),
        "empty": report.is_empty,
        "visibility": visibility,
        "checks": checks,
    })
}
