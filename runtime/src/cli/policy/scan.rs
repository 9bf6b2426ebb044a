//! `policy scan`: where a policy would take something away.

use super::{
    PolicyFile, context,
    documents::{Content, FILE_BYTES_MAX, Judged, sources},
    prepare, sandbox,
    touched::{Found, HIDDEN, escaped, verdicts},
};
use crate::{
    app::Failure,
    output::{self, errln, out, outln},
};
use clap::Args;
use mirror_core::{
    finding::Verdict,
    marker::TagKey,
    redaction::{Form, Redaction, Replaced, SecretsMode, replaced},
};
use mirror_sandbox::RedactionPolicy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, error::Category, json, value::RawValue};
use std::{
    io::{self, BufRead},
    path::PathBuf,
};

#[derive(Debug, Args)]
pub struct Scan {
    /// Files and directories. In a directory, all files below it.
    #[arg(required_unless_present = "jsonl", conflicts_with = "jsonl")]
    paths: Vec<PathBuf>,
    /// Read documents from standard input, one JSON object a line, and answer each with a line.
    #[arg(long)]
    jsonl: bool,
    #[command(flatten)]
    policy: PolicyFile,
    /// Print findings in files as JSON. Files are named as they are there, and otherwise without what was found.
    #[arg(long)]
    json: bool,
}

/// Documents that are judged together.
const BATCH: usize = 512;
/// Bytes of one line of input.
const LINE_BYTES_MAX: usize = 256 << 20;

pub(super) fn run(scan: &Scan) -> Result<(), Failure> {
    let policy = prepare(&sandbox()?, &scan.policy)?;
    if scan.jsonl {
        lines(&policy)
    } else {
        files(&policy, scan)
    }
}

/// What a policy says of one document.
enum Answer {
    Replaced(Vec<Replaced>),
    /// The object would be withheld.
    Withheld(String),
}

/// Judges documents on all cores, in order.
fn judge(policy: &RedactionPolicy, judged: &[Judged]) -> Result<Vec<Answer>, Failure> {
    let documents: Vec<_> = judged.iter().map(|judged| judged.document.clone()).collect();
    let verdicts = verdicts(policy, &context(), &documents)?;
    let redaction = Redaction::new(SecretsMode::Encrypted, TagKey::none());
    Ok(judged
        .iter()
        .zip(verdicts)
        .map(|(judged, verdict)| match verdict {
            Verdict::Findings(findings) => {
                let form = Form::cut_as(judged.format, &judged.path);
                match replaced(form, &judged.text, &findings, &redaction) {
                    Ok(replaced) => Answer::Replaced(replaced),
                    Err(error) => Answer::Withheld(error.to_string()),
                }
            }
            Verdict::Withhold(reason) => Answer::Withheld(reason.to_string()),
        })
        .collect())
}

/// A line of input. Members are read by themselves, so that it can be said which of them is wrong; the id is given back
/// as it was written.
#[derive(Deserialize)]
struct Line {
    id: Box<RawValue>,
    path: Option<Box<RawValue>>,
    text: Option<Box<RawValue>>,
    text_b64: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Answered<'a> {
    id: &'a RawValue,
    spans: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<String>,
}

/// A line that is to be answered.
enum Asked {
    Document(Box<RawValue>),
    /// It cannot be read.
    Bad {
        line: u64,
        problem: String,
    },
}

/// Reads a line, of which no more than a byte above the limit is kept; the rest is passed over. Empty: there is none any
/// more.
fn read_line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    io::Read::take(&mut *input, LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
    if line.len() > LINE_BYTES_MAX && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
    }
    Ok(line)
}

fn lines(policy: &RedactionPolicy) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let (mut number, mut bad, mut first_bad) = (0, 0_u64, None);
    // Nothing else is done here than answering, so it is over when nobody reads the answers.
    while output::is_read() {
        let (mut asked, mut documents) = (Vec::new(), Vec::new());
        let mut end = None;
        while asked.len() < BATCH && end.is_none() {
            let line = match read_line(&mut input) {
                Ok(line) => line,
                Err(error) => {
                    end = Some(Err(Failure::failed(&error)));
                    continue;
                }
            };
            if line.is_empty() {
                end = Some(Ok(()));
                continue;
            }
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse(&line) {
                Ok((id, judged)) => {
                    asked.push(Asked::Document(id));
                    documents.push(judged);
                }
                Err(problem) => {
                    bad += 1;
                    first_bad.get_or_insert_with(|| format!("line {number} of standard input: {problem}"));
                    asked.push(Asked::Bad {
                        line: number,
                        problem,
                    });
                }
            }
        }
        let mut answers = String::new();
        let mut judged = judge(policy, &documents)?.into_iter();
        for one in &asked {
            let id = match one {
                Asked::Document(id) => id,
                Asked::Bad { line, problem } => {
                    answers += &json!({ "line": line, "error": problem }).to_string();
                    answers.push('\n');
                    continue;
                }
            };
            let Some(answer) = judged.next() else { break };
            let mut answered = Answered {
                id,
                spans: Vec::new(),
                withheld: None,
            };
            match answer {
                Answer::Replaced(replaced) => {
                    let spans = replaced.iter();
                    let span = |piece: &Replaced| json!([piece.range.start, piece.range.end, piece.rule()]);
                    answered.spans = spans.map(span).collect();
                }
                // Whoever reads answers line by line reads this, too: the exit code is for files.
                Answer::Withheld(reason) => answered.withheld = Some(reason),
            }
            answers += &serde_json::to_string(&answered).map_err(|error| Failure::failed(&error))?;
            answers.push('\n');
        }
        out!("{answers}");
        match end {
            None => {}
            Some(Ok(())) => break,
            Some(Err(failure)) => return Err(failure),
        }
    }
    match first_bad {
        None => Ok(()),
        Some(first) => Err(Failure::usage(format!(
            "{bad} lines are no documents, each answered with its `error`; the first is {first}"
        ))),
    }
}

/// What was not judged may hold anything, so whoever asks for secrets must not take it for good.
fn without_verdict(withheld: usize) -> Result<(), Failure> {
    match withheld {
        0 => Ok(()),
        count => Err(Failure::message(format!(
            "{count} documents got no verdict, so a mirror would withhold their objects; each has its reason"
        ))),
    }
}

/// Reads a line. What is wrong with it is said without serde's words, which may repeat a value.
fn parse(line: &[u8]) -> Result<(Box<RawValue>, Judged), String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it has more than {LINE_BYTES_MAX} bytes"));
    }
    let line = str::from_utf8(line)
        .map_err(|error| format!("it is not UTF-8 (byte {})", error.valid_up_to() + 1))?;
    if line.starts_with('\u{feff}') {
        return Err("it begins with a byte order mark; write the file without one".to_owned());
    }
    let Line {
        id,
        path,
        text,
        text_b64,
    } = serde_json::from_str(line).map_err(|error| no_line(line, &error))?;
    let path = string("path", path)?;
    let text = match (string("text", text)?, string("text_b64", text_b64)?) {
        (Some(text), None) => text,
        (None, Some(encoded)) => {
            let bytes = data_encoding::BASE64
                .decode(encoded.as_bytes())
                .map_err(|_| "`text_b64` is not base64")?;
            String::from_utf8(bytes).map_err(|_| "`text_b64` is not UTF-8 when it is decoded")?
        }
        (Some(_), Some(_)) | (None, None) => return Err("give either `text` or `text_b64`".to_owned()),
    };
    let judged = match path {
        Some(path) => Judged::new(&path, text),
        None => Judged::guessed(text),
    };
    Ok((id, judged))
}

/// Says why a line cannot be read at all.
fn no_line(line: &str, error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            format!("it is not JSON (column {})", error.column())
        }
        Category::Data if !line.trim_start().starts_with('{') => {
            "it is no object with `id` and `text` or `text_b64`".to_owned()
        }
        Category::Data => {
            let message = error.to_string();
            let twice = ["id", "path", "text", "text_b64"]
                .into_iter()
                .find(|member| message.starts_with(&format!("duplicate field `{member}`")));
            match twice {
                Some(member) => format!("it has `{member}` twice"),
                None => "it has no `id`".to_owned(),
            }
        }
    }
}

/// Reads a member that is to be a text; `null` is none.
fn string(member: &str, raw: Option<Box<RawValue>>) -> Result<Option<String>, String> {
    let Some(raw) = raw else { return Ok(None) };
    if !raw.get().starts_with('"') {
        return Err(format!("`{member}` is no string"));
    }
    // All else that a string may have wrong was seen when the line was read.
    serde_json::from_str(raw.get()).map(Some).map_err(|_| {
        format!("`{member}` has half a surrogate pair (`\\ud800` to `\\udfff`), which is no character")
    })
}

fn files(policy: &RedactionPolicy, scan: &Scan) -> Result<(), Failure> {
    let sources = sources(&scan.paths);
    let (mut found, mut withheld) = (Vec::new(), Vec::new());
    let mut texts = Found::default();
    let (mut no_text, mut unreadable) = (Vec::new(), Vec::new());
    let mut scanned = 0;
    for chunk in sources.chunks(BATCH) {
        let mut names = Vec::new();
        let mut documents = Vec::new();
        for source in chunk {
            let name = source.name.as_str();
            match source.content() {
                Ok(Content::Text(judged)) => {
                    names.push(name);
                    documents.push(judged);
                }
                Ok(Content::NoText) => no_text.push(name),
                Ok(Content::TooLarge) => {
                    withheld.push((name, format!("it has more than {FILE_BYTES_MAX} bytes")));
                }
                Err(error) => unreadable.push((name, error.to_string())),
            }
        }
        scanned += documents.len();
        for ((name, judged), answer) in names.into_iter().zip(&documents).zip(judge(policy, &documents)?) {
            match answer {
                Answer::Replaced(replaced) => found.extend(replaced.into_iter().map(|piece| {
                    let line = 1 + judged.text[..piece.range.start].matches('\n').count();
                    texts.add(judged.format, &judged.text[piece.range.clone()]);
                    (name, line, piece)
                })),
                Answer::Withheld(reason) => withheld.push((name, reason)),
            }
        }
    }
    let is_nothing_read = scanned == 0 && withheld.is_empty() && no_text.is_empty();
    if is_nothing_read && let Some(failure) = unread(&unreadable) {
        return Err(failure);
    }
    if scan.json {
        let findings: Vec<Value> = found
            .iter()
            .map(|(file, line, piece)| {
                json!({ "file": file, "line": line, "start": piece.range.start, "end": piece.range.end, "rule": piece.rule() })
            })
            .collect();
        let reasons = |files: &[(&str, String)]| -> Vec<Value> {
            let each = files.iter();
            each.map(|(file, reason)| json!({ "file": file, "reason": reason }))
                .collect()
        };
        outln!(
            "{}",
            json!({
                "files": scanned,
                "findings": findings,
                "withheld": reasons(&withheld),
                "not_text": no_text,
                "unreadable": reasons(&unreadable),
            })
        );
    } else {
        // A name may say what was found, there or elsewhere.
        let texts = texts.sightings();
        let shown = |name: &str| escaped(&texts.hide(name, HIDDEN));
        for (name, line, piece) in &found {
            outln!(
                "{}:{line}: {} ({} bytes)",
                shown(name),
                piece.rule().unwrap_or("removed"),
                piece.range.len()
            );
        }
        for (name, reason) in &withheld {
            outln!("{}: withheld: {reason}", shown(name));
        }
        for name in &no_text {
            errln!("{}: not read: it is no text", shown(name));
        }
        for (name, reason) in &unreadable {
            errln!("{}: cannot be read: {reason}", shown(name));
        }
        outln!(
            "{} findings in {scanned} files, {} withheld",
            found.len(),
            withheld.len()
        );
    }
    match unread(&unreadable) {
        Some(failure) => Err(failure),
        None => without_verdict(withheld.len()),
    }
}

/// Says which files cannot be read; none if all can.
fn unread(unreadable: &[(&str, String)]) -> Option<Failure> {
    let problem = match unreadable {
        [] => return None,
        [(name, reason)] => format!("cannot read `{}`: {reason}", escaped(name)),
        [(name, reason), ..] => format!(
            "cannot read {} files, of which the first is `{}`: {reason}",
            unreadable.len(),
            escaped(name)
        ),
    };
    Some(Failure::usage(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_document_is_told_without_its_content() {
        let problem = |line: &str| parse(line.as_bytes()).err().unwrap_or_default();
        assert_eq!(problem(r#"{"id": 1, "text": "a"}"#), "");
        assert_eq!(problem(r#"{"id": 1}"#), "give either `text` or `text_b64`");
        assert_eq!(
            problem(r#"{"id": 1, "text_b64": "hunter2?"}"#),
            "`text_b64` is not base64"
        );
        assert_eq!(
            problem(r#"{"id": 1, "text_b64": "/w=="}"#),
            "`text_b64` is not UTF-8 when it is decoded"
        );
        for (line, expected) in [
            (r#"{"id": 1, "text": hunter2}"#, "it is not JSON (column 19)"),
            ("{\"id\": 1,", "it is not JSON (column 9)"),
            (
                r#""hunter2""#,
                "it is no object with `id` and `text` or `text_b64`",
            ),
            (r#"{"text": "hunter2"}"#, "it has no `id`"),
            (r#"{"id": 1, "id": 2, "text": "a"}"#, "it has `id` twice"),
            (r#"{"id": 1, "text": "a", "path": 5}"#, "`path` is no string"),
            (r#"{"id": 1, "text": {"a": "hunter2"}}"#, "`text` is no string"),
            (
                r#"{"id": 1, "text": "hunter2\ud83d"}"#,
                "`text` has half a surrogate pair (`\\ud800` to `\\udfff`), which is no character",
            ),
            (
                "\u{feff}{\"id\": 1, \"text\": \"a\"}",
                "it begins with a byte order mark; write the file without one",
            ),
        ] {
            assert_eq!(problem(line), expected, "{line}");
        }
        let told = parse(b"{\"id\": 1, \"text\": \"\xff\"}").err();
        assert_eq!(told.as_deref(), Some("it is not UTF-8 (byte 20)"));
    }

    #[test]
    fn an_id_is_given_back_as_it_was_written() {
        for id in [
            "18446744073709551616",
            "1.0",
            "-0",
            "1E400",
            r#"{"a": [1, "\u00e9"]}"#,
            "null",
        ] {
            let line = format!(r#"{{"id":  {id} , "text": "a"}}"#);
            let (given, _) = parse(line.as_bytes()).expect("it is a line");
            assert_eq!(given.get(), id);
        }
    }
}
