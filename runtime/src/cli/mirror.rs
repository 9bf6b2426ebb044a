//! `mirror`: which are there, will one be able to push, shall it work at all, and how does it stand?

mod content;

use super::{
    MirrorCommand, Of,
    ask::{Needs, WITHOUT_PROCESS, ask},
};
use crate::{
    app::Failure,
    config::{Config, MirrorSpec},
    control::Request,
    output::{counted, out, outln},
    repository,
    visibility::{self, Found, VisibilityWatch},
};
use mirror_core::commit::Authors;
use mirror_git::{
    Disposition, ProbeAuthor, ProbeOutcome, ProbeReport, ProbeSubject, ProbeTrials, RefName, Visibility,
    probe_with,
};
use serde_json::{Value, json};
use std::{fmt::Write as _, path::Path};

/// So many projects and branches that no mirror has are named.
const UNMIRRORED_SHOWN_MAX: usize = 20;

/// Runs a `mirror` command.
///
/// # Errors
/// A configuration that cannot be used, or a repository that a mirror would fail with.
pub fn run(command: MirrorCommand) -> Result<(), Failure> {
    let (config, mirror, json) = match command {
        MirrorCommand::Test(Of { config, mirror, json }) => (config, mirror, json),
        MirrorCommand::List { config, json } => return list(&config, json),
        MirrorCommand::Show(of) => return show(&of),
        MirrorCommand::Pause(of) => return pause(of, true),
        MirrorCommand::Resume(of) => return pause(of, false),
        MirrorCommand::Resync(of) => return resync(of),
        MirrorCommand::Status(of) => return status(of),
    };
    let report = test(&config, &mirror)?;
    if json {
        outln!("{}", as_json(&mirror, &report));
    } else {
        out!("{report}");
    }
    if report.is_good() {
        return Ok(());
    }
    Err(Failure::message(format!(
        "mirror `{mirror}` would fail with this repository"
    )))
}

fn list(config: &Path, json: bool) -> Result<(), Failure> {
    let answer = ask(config, Request::Mirrors, Needs::Log)?;
    if json {
        outln!("{answer}");
        return Ok(());
    }
    let unknown = match (answer["running"] == true, answer["shared"] == true) {
        (false, _) => "not running",
        (true, true) => "not in this process",
        // Nobody else can have it.
        (true, false) => "opening",
    };
    let rows = answer["mirrors"].as_array().into_iter().flatten();
    let rows: Vec<[String; 5]> = rows.map(|mirror| row(mirror, unknown)).collect();
    if rows.is_empty() {
        outln!("the configuration has no mirror; add a `[[mirror]]`");
        return Ok(());
    }
    let heads = ["MIRROR", "PROJECT", "STATE", "WAITING", "REPOSITORY"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths = [0, 1, 2, 3].map(width);
    for [id, project, state, waiting, repository] in [&heads].into_iter().chain(&rows) {
        let [w0, w1, w2, w3] = widths;
        outln!("{id:w0$}  {project:w1$}  {state:w2$}  {waiting:>w3$}  {repository}");
    }
    out!("{}", unmirrored(&answer["unmirrored"]));
    Ok(())
}

/// The line of one mirror.
fn row(mirror: &Value, unknown: &'static str) -> [String; 5] {
    let standing = &mirror["standing"];
    let state = match standing["state"].as_str() {
        Some(state) => state,
        None if !mirror["pausedSince"].is_null() => "paused",
        None => unknown,
    };
    let waiting = standing["backlog"]
        .as_u64()
        .map_or_else(|| "-".to_owned(), |events| events.to_string());
    let word = |member: &str| mirror[member].as_str().unwrap_or_default();
    [
        word("mirror").to_owned(),
        word("projectId").to_owned(),
        state.to_owned(),
        waiting,
        format!("{} {}", word("repository"), word("branch")),
    ]
}

fn show(Of { config, mirror, json }: &Of) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::usage(crate::app::chain(error));
    // The error of an unknown one names those there are.
    Config::read(config)
        .and_then(|read| read.mirror(mirror).map(|_| ()))
        .map_err(|error| failed(&error))?;
    let written = Config::written_out(config).map_err(|error| failed(&error))?;
    let tables = written.get("mirror").and_then(toml::Value::as_array);
    let is_meant = |table: &&toml::Value| table.get("id").and_then(toml::Value::as_str) == Some(mirror);
    let table = tables.into_iter().flatten().find(is_meant);
    match json {
        true => outln!(
            "{:#}",
            serde_json::to_value(table).map_err(|error| failed(&error))?
        ),
        false => out!("{}", toml::to_string(&table).map_err(|error| failed(&error))?),
    }
    Ok(())
}

fn pause(Of { config, mirror, json }: Of, paused: bool) -> Result<(), Failure> {
    let request = Request::Pause {
        mirror: mirror.clone(),
        paused,
    };
    let answer = ask(&config, request, Needs::Log)?;
    match (json, paused) {
        (true, _) => outln!("{answer}"),
        (false, true) => outln!("mirror `{mirror}` is paused; changes wait in the log"),
        (false, false) if answer[WITHOUT_PROCESS] == true => {
            outln!("mirror `{mirror}` goes on when a process runs; none does now");
        }
        (false, false) => {
            outln!("mirror `{mirror}` goes on");
            let at_once = |_: &Value| "it is tried at once".to_owned();
            out!("{}", failing(&answer, "failed last", at_once));
        }
    }
    Ok(())
}

fn resync(Of { config, mirror, json }: Of) -> Result<(), Failure> {
    let request = Request::Resync {
        mirror: mirror.clone(),
    };
    let answer = ask(&config, request, Needs::Branches)?;
    if json {
        outln!("{answer}");
        return Ok(());
    }
    let (are, which) = match answer["branches"].as_u64().unwrap_or_default() {
        1 => ("is", "1 branch".to_owned()),
        count => ("are", format!("{count} branches")),
    };
    let when = match (answer["pausedSince"].is_null(), answer[WITHOUT_PROCESS] == true) {
        (false, _) => "after `mirror resume`; it is paused",
        (true, true) => "by the next process; none runs now",
        (true, false)
            if answer["failing"]
                .as_array()
                .is_some_and(|failing| !failing.is_empty()) =>
        {
            "with the next attempt that does not fail; some fail now"
        }
        (true, false) => "next",
    };
    outln!("{which} of mirror `{mirror}` {are} rendered anew {when}");
    out!(
        "{}",
        failing(&answer, "fails, which is to be mended first", next_try)
    );
    Ok(())
}

/// Says which branches fail, and when each is tried next.
fn failing(answer: &Value, how: &str, when: impl Fn(&Value) -> String) -> String {
    let mut told = String::new();
    for lane in answer["failing"].as_array().into_iter().flatten() {
        let (name, since) = (text(&lane["ref"]), text(&lane["since"]));
        let (reason, next) = (text(&lane["reason"]), when(lane));
        let _ = writeln!(told, "  {name} {how}: {reason} (since {since}; {next})");
    }
    told
}

fn status(Of { config, mirror, json }: Of) -> Result<(), Failure> {
    let request = Request::Status {
        mirror: mirror.clone(),
    };
    let page = ask(&config, request, Needs::Branches)?;
    if json {
        outln!("{page}");
        return Ok(());
    }
    if let Some(reason) = page["log"].as_str() {
        outln!("the log cannot go on in the running process: {reason}");
    }
    for problem in page["mirrors"].as_array().into_iter().flatten() {
        outln!("mirror `{mirror}` cannot be opened: {}", text(&problem["reason"]));
    }
    let lanes = page["lanes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let problems = page["mirrors"].as_array().map_or(0, Vec::len);
    match (lanes.is_empty(), page["shared"] == true) {
        (true, true) => {
            outln!("no branch of mirror `{mirror}` is open in this process; another worker may have it");
        }
        (true, false) if problems == 0 => {
            outln!(
                "the branches of mirror `{mirror}` are being opened, which waits for Keboola and the repository"
            );
        }
        _ => {}
    }
    lanes.iter().for_each(|lane| out!("{}", lane_status(lane)));
    out!("{}", unmirrored(&page["unmirrored"]));
    Ok(())
}

/// Says which events no mirror takes; nothing where there are none.
fn unmirrored(found: &Value) -> String {
    let events = |value: &Value| counted(value["events"].as_u64().unwrap_or_default(), "event");
    let each = found["of"].as_array().map(Vec::as_slice).unwrap_or_default();
    if each.is_empty() {
        return String::new();
    }
    let mut told = format!(
        "{} of projects or branches that no mirror of this process has, oldest {}; nothing comes of them\n",
        events(found),
        text(&found["oldest"])
    );
    for one in each.iter().take(UNMIRRORED_SHOWN_MAX) {
        let why = match one["lacks"].as_str() {
            Some("branch") => "no mirror has the branch",
            _ => "no mirror is of the project",
        };
        let (project, branch) = (text(&one["projectId"]), text(&one["branchId"]));
        let _ = writeln!(
            told,
            "  project {project}, branch {branch}: {} ({why})",
            events(one)
        );
    }
    if let Some(more) = each
        .len()
        .checked_sub(UNMIRRORED_SHOWN_MAX)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(told, "  and {more} more");
    }
    told
}

/// Says how one branch stands.
fn lane_status(lane: &Value) -> String {
    let mut told = format!(
        "branch {} -> {}: {}\n  at {}, last push {}, {}\n",
        text(&lane["branchId"]),
        text(&lane["ref"]),
        text(&lane["state"]),
        text(&lane["tip"]),
        text(&lane["lastPush"]),
        match lane["backlog"].as_u64() {
            Some(1) => "1 event waits".to_owned(),
            events => format!("{} events wait", events.unwrap_or_default()),
        },
    );
    let outage = &lane["outage"];
    if !outage.is_null() {
        let (since, reason) = (text(&outage["since"]), text(&outage["reason"]));
        let attempts = counted(outage["attempts"].as_u64().unwrap_or_default(), "attempt");
        let next = next_try(lane);
        let _ = writeln!(told, "  fails since {since}, {attempts}: {reason}; {next}");
    }
    if let Some(awaited) = lane["awaited"].as_str() {
        let _ = writeln!(told, "  waits: {awaited}; {}", next_try(lane));
    }
    if let Some(conflict) = lane["otherSettings"].as_str() {
        let _ = writeln!(told, "  {conflict}");
    }
    let backfill = &lane["backfill"];
    if !backfill.is_null() {
        let count = |of: &str| format!("{} of {} {of}", backfill[of]["done"], backfill[of]["total"]);
        let phase = text(&backfill["phase"]).replace('_', " ");
        let _ = write!(
            told,
            "  backfill: {phase}; {}, {}",
            count("versions"),
            count("configurations")
        );
        if let Some(each_minute) = backfill["versionsPerMinute"].as_u64() {
            let _ = write!(told, ", {each_minute} versions a minute");
        }
        let _ = writeln!(told, "; begun {}", text(&backfill["begunAt"]));
    }
    told.push_str(&super::withheld(lane));
    told
}

/// Says when a branch is tried next, as far as a running process knows.
fn next_try(lane: &Value) -> String {
    if let Some(since) = lane["attemptSince"].as_str() {
        return format!("it is being tried since {since}");
    }
    match (lane["nextDue"].as_str(), lane["state"] == "paused") {
        (Some(due), _) => format!("it is tried next at {due}"),
        (None, true) => "it is tried after `mirror resume`".to_owned(),
        (None, false) => "it is tried when a process runs".to_owned(),
    }
}

/// A member of the page as it stands in a sentence.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("none yet")
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
        name: spec.commit.name(),
        email: spec.commit.email(),
        signing: signing.as_ref(),
    };
    let watch = VisibilityWatch::new(spec, &config.visibility, &config.git)
        .map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let scratch = uuid::Uuid::new_v4().simple().to_string();
    let now = crate::system::wall_clock();
    let executor = super::serve::runtime()?;
    // As attempts ask.
    let found = || {
        let Found { visibility, why } = executor.block_on(watch.find_out());
        let visibility = match visibility {
            visibility::Visibility::Private => Visibility::Private,
            visibility::Visibility::Public => Visibility::Public,
            visibility::Visibility::Unknown => Visibility::Unknown,
        };
        (visibility, why)
    };
    // Whom the source knows by a token alone has such an address in commits, so a rule about authors meets it.
    let people = format!("tokens.{}.invalid", spec.project);
    let trials = ProbeTrials {
        author_domain: (spec.commit.authors() == Authors::People).then_some(people.as_str()),
        ..ProbeTrials::default()
    };
    let mut report = probe_with(&*remote, &refname, author, trials, now, &scratch, found);
    drop(executor);
    // Where nothing can be read nothing can be said of it.
    if report.is_empty.is_some() {
        let left = content::left_at(path, &config, mirror, &refname);
        let found = content::look(spec, &*remote, &refname, report.tip, &left);
        report.add(ProbeSubject::Content, found);
    }
    Ok(report)
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
    let visibility = match report.visibility {
        Visibility::Public => "public",
        Visibility::Private => "private",
        Visibility::Unknown => "unknown",
    };
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
