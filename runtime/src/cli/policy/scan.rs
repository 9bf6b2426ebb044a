//! `policy scan`: where a policy would take something away.

use super::{
    PolicyFile, context,
    documents::{Judged, sources},
    prepare, sandbox,
    touched::verdicts,
};
use crate::app::Failure;
use clap::Args;
use mirror_core::{
    finding::Verdict,
    marker::TagKey,
    redaction::{Redaction, Replaced, SecretsMode, replaced},
};
use mirror_sandbox::RedactionPolicy;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, Write},
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
    /// Print findings in files as JSON.
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
                match replaced(judged.format, &judged.text, &findings, &redaction) {
                    Ok(replaced) => Answer::Replaced(replaced),
                    Err(error) => Answer::Withheld(error.to_string()),
                }
            }
            Verdict::Withhold(reason) => Answer::Withheld(reason.to_string()),
        })
        .collect())
}

#[derive(Deserialize)]
struct Line {
    id: Value,
    path: Option<String>,
    text: Option<String>,
    text_b64: Option<String>,
}

fn lines(policy: &RedactionPolicy) -> Result<(), Failure> {
    let (mut input, mut output) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    let mut number = 0;
    loop {
        let (mut ids, mut documents) = (Vec::new(), Vec::new());
        let mut is_over = false;
        while documents.len() < BATCH {
            let mut line = Vec::new();
            let read = io::Read::take(&mut input, LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
            if read.map_err(|error| Failure::failed(&error))? == 0 {
                is_over = true;
                break;
            }
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let (id, judged) = parse(&line)
                .map_err(|problem| Failure::usage(format!("line {number} of standard input: {problem}")))?;
            ids.push(id);
            documents.push(judged);
        }
        for (id, answer) in ids.iter().zip(judge(policy, &documents)?) {
            let answer = match answer {
                Answer::Replaced(replaced) => {
                    let spans: Vec<Value> = replaced
                        .iter()
                        .map(|piece| json!([piece.range.start, piece.range.end, piece.rule()]))
                        .collect();
                    json!({ "id": id, "spans": spans })
                }
                Answer::Withheld(reason) => json!({ "id": id, "spans": [], "withheld": reason }),
            };
            writeln!(output, "{answer}").map_err(|error| Failure::failed(&error))?;
        }
        output.flush().map_err(|error| Failure::failed(&error))?;
        if is_over {
            return Ok(());
        }
    }
}

fn parse(line: &[u8]) -> Result<(Value, Judged), String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it has more than {LINE_BYTES_MAX} bytes"));
    }
    // Without serde's words, which may repeat the value.
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        format!(
            "it is no object with `id` and `text` or `text_b64` (column {})",
            error.column()
        )
    })?;
    let text = match (line.text, line.text_b64) {
        (Some(text), None) => text,
        (None, Some(encoded)) => {
            let bytes = data_encoding::BASE64
                .decode(encoded.as_bytes())
                .map_err(|_| "`text_b64` is not base64")?;
            String::from_utf8(bytes).map_err(|_| "`text_b64` is not UTF-8 when it is decoded")?
        }
        (Some(_), Some(_)) | (None, None) => return Err("give either `text` or `text_b64`".to_owned()),
    };
    let judged = match line.path {
        Some(path) => Judged::new(&path, text),
        None => Judged::guessed(text),
    };
    Ok((line.id, judged))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's output")]
fn files(policy: &RedactionPolicy, scan: &Scan) -> Result<(), Failure> {
    let sources = sources(&scan.paths)?;
    let (mut found, mut withheld, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    let mut scanned = 0;
    for chunk in sources.chunks(BATCH) {
        let mut names = Vec::new();
        let mut documents = Vec::new();
        for source in chunk {
            match source.read()? {
                Some(judged) => {
                    names.push(source.name.as_str());
                    documents.push(judged);
                }
                None => unread.push(source.name.as_str()),
            }
        }
        scanned += documents.len();
        for ((name, judged), answer) in names.into_iter().zip(&documents).zip(judge(policy, &documents)?) {
            match answer {
                Answer::Replaced(replaced) => found.extend(replaced.into_iter().map(|piece| {
                    let line = 1 + judged.text[..piece.range.start].matches('\n').count();
                    (name, line, piece)
                })),
                Answer::Withheld(reason) => withheld.push((name, reason)),
            }
        }
    }
    if scan.json {
        let findings: Vec<Value> = found
            .iter()
            .map(|(file, line, piece)| {
                json!({ "file": file, "line": line, "start": piece.range.start, "end": piece.range.end, "rule": piece.rule() })
            })
            .collect();
        let withheld: Vec<Value> = withheld
            .iter()
            .map(|(file, reason)| json!({ "file": file, "reason": reason }))
            .collect();
        println!(
            "{}",
            json!({ "files": scanned, "findings": findings, "withheld": withheld, "not_text": unread })
        );
        return Ok(());
    }
    for (name, line, piece) in &found {
        println!(
            "{name}:{line}: {} ({} bytes)",
            piece.rule().unwrap_or("removed"),
            piece.range.len()
        );
    }
    for (name, reason) in &withheld {
        println!("{name}: withheld: {reason}");
    }
    for name in &unread {
        eprintln!("{name}: not read: it is no text, or too large");
    }
    println!("{} findings in {scanned} files", found.len());
    Ok(())
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
        let problem = problem(r#"{"id": 1, "text": hunter2}"#);
        assert!(
            problem.starts_with("it is no object") && !problem.contains("hunter2"),
            "{problem}"
        );
    }
}
