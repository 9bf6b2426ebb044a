//! `cargo xtask corpus DIR`: how well the built-in policy finds what an outside corpus has labelled.
//!
//! The corpus is read in place and nothing of it is kept: its texts are stored in a form that no scanner takes for
//! secrets, and go through the product's own command, so through the policy in its sandbox. Scored as the
//! corpus's own `eval.py` does.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead, BufReader, Write},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

/// Of the corpus's own shapes, which Keboola's content has.
const OWN_SOURCE: &str = "synthetic";
/// Secret types whose value stands under a `#` key.
const HASH_TYPES: &str = "keboola-hash-";
/// Labels of these are contested, so they are in no headline figure.
const NEAR_MISS: &str = "peer-near-miss";
/// Types that are listed, those with most misses first.
const TYPES_LISTED: usize = 40;

#[derive(Deserialize)]
struct Record {
    id: String,
    source: String,
    kind: String,
    label: Label,
    secret_type: Option<String>,
    negative_class: Option<String>,
    spans: Vec<(usize, usize)>,
    text_x55_b64: String,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Label {
    Positive,
    Negative,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    spans: Vec<(usize, usize, String)>,
    withheld: Option<String>,
}

/// A part of a whole.
#[derive(Debug, Default, Clone, Copy)]
struct Share {
    part: usize,
    whole: usize,
}

impl Share {
    fn count(&mut self, is_part: bool) {
        self.add(usize::from(is_part), 1);
    }

    fn add(&mut self, part: usize, whole: usize) {
        self.part += part;
        self.whole += whole;
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn percent(self) -> f64 {
        100.0 * self.part as f64 / self.whole.max(1) as f64
    }

    fn show(self) -> String {
        format!("{:>7.2} %  ({} of {})", self.percent(), self.part, self.whole)
    }
}

/// What is counted; a secret is caught where at least nine tenths of its bytes are in what was found.
#[derive(Default)]
struct Score {
    caught: Share,
    caught_own: Share,
    caught_under_hash: Share,
    by_type: BTreeMap<String, Share>,
    negative_documents_hit: Share,
    negative_bytes_hit: Share,
    by_class: BTreeMap<String, Share>,
    ciphers_damaged: Share,
    withheld: usize,
}

/// Scores the built-in policy and prints the tables.
///
/// # Errors
/// A figure that is worse than promised, or a directory without a corpus.
pub(crate) fn run(root: &Path, directory: &Path) -> Result<()> {
    let records = read(&root.join(directory))?;
    let texts: Vec<String> = records.iter().map(decode).collect::<Result<_>>()?;
    let binary = super::product(root)?;
    let began = Instant::now();
    let found = scan(&binary, &records, &texts)?;
    let took = began.elapsed().as_secs_f64();
    let mut score = Score::default();
    for (record, text) in records.iter().zip(&texts) {
        let answer = found.get(&record.id).context("a document has no answer")?;
        score.judge(record, text, answer);
    }
    score.print();
    println!(
        "{} documents in {took:.1} s, with the start of the process",
        records.len()
    );
    score.hold()
}

fn read(directory: &Path) -> Result<Vec<Record>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("cannot read `{}`", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let mut records = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let record = serde_json::from_str(line)
                .with_context(|| format!("`{}`, line {}", file.display(), number + 1))?;
            records.push(record);
        }
    }
    ensure!(
        !records.is_empty(),
        "`{}` has no labelled documents (`*.jsonl`)",
        directory.display()
    );
    Ok(records)
}

fn decode(record: &Record) -> Result<String> {
    let bytes = data_encoding::BASE64.decode(record.text_x55_b64.as_bytes())?;
    let bytes = bytes.into_iter().map(|byte| byte ^ 0x55).collect();
    String::from_utf8(bytes).with_context(|| format!("document {} is not UTF-8", record.id))
}

/// Has the product judge all documents, each as a file of its kind.
fn scan(binary: &Path, records: &[Record], texts: &[String]) -> Result<HashMap<String, Answer>> {
    let mut child = Command::new(binary)
        .args(["--log-level", "error", "policy", "scan", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", binary.display()))?;
    let mut input = child.stdin.take().context("the process has no input")?;
    let output = child.stdout.take().context("the process has no output")?;
    let answers = thread::scope(|scope| {
        let written = scope.spawn(move || {
            records.iter().zip(texts).try_for_each(|(record, text)| {
                let path = format!("document.{}", extension(&record.kind));
                writeln!(
                    input,
                    "{}",
                    json!({ "id": record.id, "path": path, "text": text })
                )
            })
        });
        let answers: Result<HashMap<String, Answer>> = BufReader::new(output)
            .lines()
            .map(|line| {
                let answer: Answer = serde_json::from_str(&line?)?;
                Ok((answer.id.clone(), answer))
            })
            .collect();
        // A process that does not read all has said why.
        drop(written.join());
        answers
    });
    let status = child.wait()?;
    let answers = answers.context("an answer is not as it must be")?;
    ensure!(status.success(), "the scan failed: {status}");
    Ok(answers)
}

/// As `eval.py` names the files.
fn extension(kind: &str) -> &'static str {
    match kind {
        "python" => "py",
        "sql" => "sql",
        "csv" => "csv",
        "description" => "md",
        "raw" => "txt",
        _ => "json",
    }
}

impl Score {
    fn judge(&mut self, record: &Record, text: &str, answer: &Answer) {
        self.withheld += usize::from(answer.withheld.is_some());
        let hit = merged(answer.spans.iter().map(|(start, end, _)| *start..*end).collect());
        let is_secret = |at: &Range<usize>| {
            record
                .spans
                .iter()
                .any(|(start, end)| at.start < *end && *start < at.end)
        };
        for cipher in ciphers(text).filter(|cipher| !is_secret(cipher)) {
            self.ciphers_damaged.count(covered(&cipher, &hit) > 0);
        }
        match record.label {
            Label::Positive => {
                let kind = record.secret_type.clone().unwrap_or_default();
                for (start, end) in &record.spans {
                    let length = end - start;
                    let is_caught = covered(&(*start..*end), &hit) * 10 >= length * 9;
                    self.caught.count(is_caught);
                    self.by_type.entry(kind.clone()).or_default().count(is_caught);
                    if record.source == OWN_SOURCE {
                        self.caught_own.count(is_caught);
                    }
                    if kind.starts_with(HASH_TYPES) {
                        self.caught_under_hash.count(is_caught);
                    }
                }
            }
            Label::Negative => {
                let class = record.negative_class.clone().unwrap_or_default();
                self.by_class
                    .entry(class.clone())
                    .or_default()
                    .count(!hit.is_empty());
                if class != NEAR_MISS {
                    self.negative_documents_hit.count(!hit.is_empty());
                    self.negative_bytes_hit
                        .add(hit.iter().map(Range::len).sum(), text.len());
                }
            }
        }
    }

    fn print(&self) {
        for (what, share) in [
            ("secrets caught", self.caught),
            ("  of Keboola's shapes", self.caught_own),
            ("  under # keys", self.caught_under_hash),
            ("negative documents touched", self.negative_documents_hit),
            ("bytes of negatives touched", self.negative_bytes_hit),
            ("KBC:: ciphers damaged", self.ciphers_damaged),
        ] {
            println!("{what:<28}{}", share.show());
        }
        println!("\nnegatives touched, by class:");
        for (class, share) in self.by_class.iter().filter(|(_, share)| share.part > 0) {
            println!("  {class:<36}{}", share.show());
        }
        let mut types: Vec<_> = self.by_type.iter().collect();
        types.sort_by_key(|(_, share)| std::cmp::Reverse(share.whole - share.part));
        let complete = types
            .iter()
            .filter(|(_, share)| share.part == share.whole)
            .count();
        println!(
            "\nsecrets caught, by type: {complete} of {} types wholly; of the others:",
            types.len()
        );
        for (name, share) in types
            .into_iter()
            .filter(|(_, share)| share.part < share.whole)
            .take(TYPES_LISTED)
        {
            println!("  {name:<36}{}", share.show());
        }
        if self.withheld > 0 {
            println!("\nwithheld: {} documents", self.withheld);
        }
    }

    /// Holds the figures against what is promised.
    fn hold(&self) -> Result<()> {
        let at_least = [
            ("secrets caught", self.caught, 75.0),
            ("secrets of Keboola's shapes caught", self.caught_own, 95.0),
            ("secrets under # keys caught", self.caught_under_hash, 100.0),
        ];
        let at_most = [
            ("negative documents touched", self.negative_documents_hit, 0.5),
            ("bytes of negatives touched", self.negative_bytes_hit, 0.05),
            ("KBC:: ciphers damaged", self.ciphers_damaged, 0.0),
        ];
        let mut broken = Vec::new();
        for (what, share, least) in at_least {
            if share.whole == 0 || share.percent() < least {
                broken.push(format!(
                    "{what}: {:.2} %, and at least {least} % are promised",
                    share.percent()
                ));
            }
        }
        // Without them nothing shows that what is no secret stays.
        for (what, share) in [
            ("negative documents", self.negative_documents_hit),
            ("bytes of negatives", self.negative_bytes_hit),
        ] {
            if share.whole == 0 {
                broken.push(format!("the corpus has no {what}"));
            }
        }
        for (what, share, most) in at_most {
            if share.percent() > most {
                broken.push(format!(
                    "{what}: {:.3} %, and at most {most} % are promised",
                    share.percent()
                ));
            }
        }
        if self.withheld > 0 {
            broken.push(format!("{} documents were withheld", self.withheld));
        }
        if broken.is_empty() {
            return Ok(());
        }
        bail!("{}", broken.join("\n"))
    }
}

/// Returns ranges that are disjoint and ascending, without empty ones.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Returns how many bytes of a range are in others.
fn covered(range: &Range<usize>, others: &[Range<usize>]) -> usize {
    let overlap = |other: &Range<usize>| {
        range
            .end
            .min(other.end)
            .saturating_sub(range.start.max(other.start))
    };
    others.iter().map(overlap).sum()
}

/// Returns where encrypted values of Keboola stand.
fn ciphers(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices("KBC::").filter_map(|(start, _)| {
        let is_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '+' | '/' | '=' | '-' | '_');
        let length = text[start..].find(|c| !is_of_it(c)).unwrap_or(text.len() - start);
        // Shorter ones are words about ciphers.
        (length > 40).then_some(start..start + length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_caught_where_nine_tenths_of_it_are_found() {
        let record = |label: Label| Record {
            id: "1".to_owned(),
            source: OWN_SOURCE.to_owned(),
            kind: "sql".to_owned(),
            label,
            secret_type: Some("t".to_owned()),
            negative_class: Some("n".to_owned()),
            spans: if label == Label::Positive {
                vec![(0, 10)]
            } else {
                Vec::new()
            },
            text_x55_b64: String::new(),
        };
        let answer = |spans: &[(usize, usize)]| Answer {
            id: "1".to_owned(),
            spans: spans
                .iter()
                .map(|(start, end)| (*start, *end, "r".to_owned()))
                .collect(),
            withheld: None,
        };
        let mut score = Score::default();
        let text = "0123456789 and more";
        for spans in [
            &[(0, 9)][..],
            &[(0, 8)],
            &[(0, 5), (4, 9)],
            &[(0, 4), (6, 10)],
            &[],
        ] {
            score.judge(&record(Label::Positive), text, &answer(spans));
        }
        assert_eq!((score.caught.part, score.caught.whole), (2, 5));
        let lacks_negatives = |score: &Score| {
            let broken = score.hold().expect_err("too little was caught").to_string();
            broken.contains("the corpus has no negative documents")
        };
        assert!(lacks_negatives(&score), "nothing shows what is left alone");
        score.judge(&record(Label::Negative), text, &answer(&[(0, 5), (3, 8)]));
        assert_eq!(
            (score.negative_bytes_hit.part, score.negative_bytes_hit.whole),
            (8, text.len())
        );
        assert!(!lacks_negatives(&score));
    }

    #[test]
    fn a_cipher_is_found_and_a_word_about_ciphers_is_not() {
        let cipher = format!("KBC::ProjectSecure::{}", "a".repeat(40));
        let text = format!("x \"{cipher}\" and KBC::ProjectSecure:: too");
        let found: Vec<&str> = ciphers(&text).map(|range| &text[range]).collect();
        assert_eq!(found, [cipher]);
    }
}
