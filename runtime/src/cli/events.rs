//! `events`: what is in the log, and what was put aside.

use super::{
    EventsCommand,
    ask::{Needs, ask},
};
use crate::{
    app::Failure,
    control::{Request, socket::REQUEST_BYTES_MAX},
    files,
    output::{counted, out, outln},
};
use serde_json::Value;
use std::path::Path;

/// Runs an `events` command.
///
/// # Errors
/// A configuration that cannot be used, a log that fails, or an event that cannot be taken.
pub fn run(command: EventsCommand) -> Result<(), Failure> {
    let (config, json, request) = match command {
        EventsCommand::Publish {
            config,
            mirror,
            file,
            json,
        } => {
            let events = read(&file)?;
            (config, json, Request::Publish { mirror, events })
        }
        EventsCommand::List {
            config,
            mirror,
            branch,
            after,
            max,
            json,
        } => {
            let request = Request::Events {
                mirror,
                branch,
                after,
                max,
            };
            (config, json, request)
        }
        EventsCommand::DeadLetters {
            config,
            mirror,
            after,
            max,
            json,
        } => (config, json, Request::DeadLetters { mirror, after, max }),
        EventsCommand::Replay {
            config,
            mirror,
            ids,
            all,
            apply,
            json,
        } => {
            if ids.is_empty() && !all {
                return Err(Failure::usage("name dead letters by `--id`, or ask for `--all`"));
            }
            let request = Request::Replay {
                mirror,
                letters: ids,
                dry_run: !apply,
            };
            (config, json, request)
        }
        EventsCommand::Acknowledge {
            config,
            mirror,
            ids,
            all_unreadable,
            json,
        } => {
            if ids.is_empty() && !all_unreadable {
                return Err(Failure::usage(
                    "name dead letters by `--id`, or ask for `--all-unreadable`",
                ));
            }
            let letters = ids;
            (config, json, Request::Acknowledge { mirror, letters })
        }
    };
    let answer = ask(&config, request, Needs::Log)?;
    if json {
        outln!("{answer}");
    } else {
        out!("{}", text(&answer));
    }
    match answer["refused"].as_array() {
        Some(refused) if !refused.is_empty() => Err(Failure::message(format!(
            "{} cannot be {}",
            counted(refused.len() as u64, "dead letter"),
            match answer["acknowledged"].is_array() {
                true => "acknowledged",
                false => "replayed",
            }
        ))),
        _ => Ok(()),
    }
}

/// Reads events: one JSON object, an array of them, or one a line.
fn read(file: &Path) -> Result<Vec<Value>, Failure> {
    let text = if file == Path::new("-") {
        files::read_text_of(std::io::stdin(), REQUEST_BYTES_MAX)
    } else {
        files::read_text(file, REQUEST_BYTES_MAX)
    };
    let text = text.map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", file.display())))?;
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let mut events = Vec::new();
    for value in values {
        match value {
            Ok(Value::Array(more)) => events.extend(more),
            Ok(event) => events.push(event),
            Err(error) => {
                return Err(Failure::usage(format!(
                    "`{}` is no JSON: {error}",
                    file.display()
                )));
            }
        }
    }
    if events.is_empty() {
        return Err(Failure::usage(format!("`{}` has no events", file.display())));
    }
    Ok(events)
}

fn text(answer: &Value) -> String {
    let word = |value: &Value, name: &str| match &value[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut lines = String::new();
    let mut line = |text: String| {
        lines.push_str(&text);
        lines.push('\n');
    };
    for event in answer["events"].as_array().into_iter().flatten() {
        if let Some(problem) = event["problem"].as_str() {
            line(format!("{}  cannot be read: {problem}", word(event, "position")));
            continue;
        }
        line(format!(
            "{}  {}  {}  {}",
            word(event, "position"),
            word(event, "occurredAt"),
            word(event, "kind"),
            word(event, "body")
        ));
    }
    let shown = |letter: &Value| {
        let state = match (&letter["replayedAt"], &letter["acknowledgedAt"]) {
            (Value::String(at), _) => format!("replayed at {at}"),
            (_, Value::String(at)) => format!("acknowledged at {at}"),
            _ if letter["replayable"] == true => "can be replayed".to_owned(),
            _ => "cannot be replayed".to_owned(),
        };
        format!(
            "{}  {} ({} old)  project {} branch {}  {}: {} ({state})",
            word(letter, "id"),
            word(letter, "at"),
            age(letter["ageSeconds"].as_u64().unwrap_or_default()),
            word(letter, "projectId"),
            word(letter, "branchId"),
            word(letter, "about"),
            word(letter, "reason"),
        )
    };
    for letter in answer["deadLetters"].as_array().into_iter().flatten() {
        line(shown(letter));
    }
    if let Some(replayed) = answer["replayed"].as_array() {
        replayed.iter().for_each(|letter| line(shown(letter)));
        let count = replayed.len();
        line(match answer["dryRun"] == true {
            true => format!("{count} would be replayed; add `--apply` to do it"),
            false => format!("{count} replayed"),
        });
    }
    if let Some(acknowledged) = answer["acknowledged"].as_array() {
        acknowledged.iter().for_each(|letter| line(shown(letter)));
        line(format!("{} acknowledged", acknowledged.len()));
    }
    for refused in answer["refused"].as_array().into_iter().flatten() {
        line(format!("{}: {}", word(refused, "id"), word(refused, "problem")));
    }
    if answer["accepted"].is_number() {
        line(format!(
            "{} accepted, {} were there before",
            word(answer, "accepted"),
            word(answer, "duplicates")
        ));
    }
    if lines.is_empty() {
        lines.push_str("none\n");
    }
    lines
}

/// Says an age in the largest unit of which there are two.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
