//! `policy test`: golden cases of a policy.

use super::{
    context,
    documents::{FILE_BYTES_MAX, Judged, sources},
    name, sandbox, settings, unusable,
};
use crate::{app::Failure, files, output::outln};
use clap::Args;
use mirror_core::{document::Document, finding::Verdict};
use mirror_sandbox::{RedactionPolicy, Sandbox};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub struct Test {
    /// The directory of cases.
    cases: PathBuf,
    /// The policy: a component, or a core module that was built for the world `redaction-policy`.
    #[arg(long)]
    policy: PathBuf,
    /// Write what was found as what is expected, for you to look at.
    #[arg(long)]
    update: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// One finding, as it stands in `findings.json`. The order of the members is that of the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Where the leaf is; empty for a text.
    pointer: String,
    rule: String,
    /// What goes.
    text: String,
}

/// Findings by file; files without any are left out.
type Findings = BTreeMap<String, Vec<Expected>>;

/// A case that was judged.
struct Judgement {
    name: String,
    file: PathBuf,
    found: Findings,
    /// None where there is no such file yet.
    expected: Option<Findings>,
}

const INPUT: &str = "input";
const FINDINGS: &str = "findings.json";
const SETTINGS: &str = "settings.json";

pub(super) fn run(test: &Test) -> Result<(), Failure> {
    let component = super::component(&test.policy)?;
    let sandbox = sandbox()?;
    let mut prepared: HashMap<String, RedactionPolicy> = HashMap::new();
    let (mut judged, mut broken) = (Vec::new(), Vec::new());
    for case in cases(&test.cases)? {
        let outcome = case_settings(&test.cases, &case).and_then(|settings| {
            let policy = match prepared.get(&settings) {
                Some(policy) => policy.clone(),
                None => {
                    let policy = prepare(&sandbox, &test.policy, &component, &settings)?;
                    prepared.insert(settings, policy.clone());
                    policy
                }
            };
            judge(&policy, &case, test.update)
        });
        match outcome {
            Ok(judgement) => judged.push(judgement),
            Err(failure) => broken.push((called(&case), failure)),
        }
    }
    if prepared.is_empty() && !broken.is_empty() {
        // Not even the policy could be prepared, so there is nothing to say of rules and cases.
        return Err(broken.swap_remove(0).1);
    }
    let rules: BTreeSet<String> = prepared
        .values()
        .flat_map(|policy| policy.info().rules.iter().map(|rule| rule.id.as_str().to_owned()))
        .collect();
    if test.update {
        for case in judged
            .iter()
            .filter(|case| case.expected.as_ref() != Some(&case.found))
        {
            write(case)?;
        }
    }
    report(test, &judged, &broken, &rules)
}

/// Returns how messages call a case.
fn called(case: &Path) -> String {
    case.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn prepare(
    sandbox: &Sandbox,
    path: &Path,
    component: &[u8],
    settings: &str,
) -> Result<RedactionPolicy, Failure> {
    sandbox
        .customer_policy(&name(path), component, settings)
        .map_err(|error| unusable(&error))
}

/// Lists the cases: all directories but hidden ones.
fn cases(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut cases: Vec<PathBuf> = listed
        .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", directory.display())))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !called(path).starts_with('.'))
        .collect();
    if directory.join(INPUT).is_dir() {
        return Err(Failure::usage(format!(
            "`{}` is a case itself; name the directory that it lies in",
            directory.display()
        )));
    }
    if cases.is_empty() {
        return Err(Failure::usage(format!(
            "`{}` has no cases; a case is a directory in it with `{INPUT}/`, the files to judge",
            directory.display()
        )));
    }
    cases.sort();
    Ok(cases)
}

/// Returns the settings of a case: its own, else those of all.
fn case_settings(directory: &Path, case: &Path) -> Result<String, Failure> {
    let candidates = [case.join(SETTINGS), directory.join(SETTINGS)];
    settings(candidates.iter().find(|path| path.is_file()))
}

fn judge(policy: &RedactionPolicy, case: &Path, update: bool) -> Result<Judgement, Failure> {
    let name = called(case);
    if !case.join(INPUT).is_dir() {
        return Err(Failure::usage(format!(
            "case `{name}` has no directory `{INPUT}/` with the files to judge; add it, or take the case away"
        )));
    }
    let mut judged: Vec<Judged> = Vec::new();
    for source in sources(&[case.join(INPUT)]) {
        judged.push(source.read()?.ok_or_else(|| {
            Failure::usage(format!(
                "`{}` is no text, or too large; a case has texts only",
                source.name
            ))
        })?);
    }
    let documents: Vec<Document> = judged.iter().map(|judged| judged.document.clone()).collect();
    let verdicts = policy
        .redact(&context(), &documents)
        .map_err(|error| Failure::failed(&error))?;
    let mut found = Findings::new();
    for (judged, verdict) in judged.iter().zip(verdicts) {
        let findings = match verdict {
            Verdict::Findings(findings) => findings,
            Verdict::Withhold(reason) => {
                return Err(Failure::message(format!(
                    "case `{name}`, `{}`: {reason}",
                    judged.path
                )));
            }
        };
        let mut expected: Vec<Expected> = findings
            .iter()
            .filter_map(|finding| {
                let leaf = judged.document.leaves.get(finding.leaf)?;
                Some(Expected {
                    pointer: leaf.pointer.to_owned(),
                    rule: finding.rule.as_str().to_owned(),
                    text: finding.piece(leaf.value)?.to_owned(),
                })
            })
            .collect();
        expected.sort();
        if !expected.is_empty() {
            found.insert(judged.path.clone(), expected);
        }
    }
    let file = case.join(FINDINGS);
    let expected = match files::read_text(&file, FILE_BYTES_MAX) {
        // What is replaced may be anything.
        Ok(text) if update => parse(&file, &text).ok(),
        Ok(text) => Some(parse(&file, &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Failure::usage(format!(
                "cannot read `{}`: {error}",
                file.display()
            )));
        }
    };
    Ok(Judgement {
        name,
        file,
        found,
        expected,
    })
}

fn parse(file: &Path, text: &str) -> Result<Findings, Failure> {
    let mut findings: Findings = serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!(
            "`{}` has not the form {{\"<file>\": [{{\"pointer\", \"rule\", \"text\"}}]}}: {error}; `--update` writes it",
            file.display()
        ))
    })?;
    findings.values_mut().for_each(|findings| findings.sort());
    findings.retain(|_, findings| !findings.is_empty());
    Ok(findings)
}

fn write(case: &Judgement) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&case.found).map_err(|error| Failure::failed(&error))?;
    files::write(&case.file, (text + "\n").as_bytes())
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", case.file.display())))
}

/// Says what differs, as lines with `+` for what was found and not expected, and `-` for the contrary.
fn differences(case: &Judgement) -> Vec<String> {
    let Some(expected) = &case.expected else {
        return vec![format!(
            "  there is no {FINDINGS} that can be read; `--update` writes it"
        )];
    };
    let flat = |findings: &Findings| -> Vec<(String, Expected)> {
        let each = findings.iter();
        each.flat_map(|(file, findings)| findings.iter().map(|finding| (file.clone(), finding.clone())))
            .collect()
    };
    let (found, expected) = (flat(&case.found), flat(expected));
    let mut lines = lacking("+", &found, &expected);
    lines.extend(lacking("-", &expected, &found));
    lines
}

/// Lists what one side has more often than the other.
fn lacking(sign: &str, these: &[(String, Expected)], those: &[(String, Expected)]) -> Vec<String> {
    let mut left: Vec<&(String, Expected)> = those.iter().collect();
    let mut lines = Vec::new();
    for this in these {
        match left.iter().position(|that| *that == this) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => {
                let (file, Expected { pointer, rule, text }) = this;
                lines.push(format!("  {sign} {file} {pointer}: {rule} {text:?}"));
            }
        }
    }
    lines
}

fn report(
    test: &Test,
    judged: &[Judgement],
    broken: &[(String, Failure)],
    rules: &BTreeSet<String>,
) -> Result<(), Failure> {
    let all = judged.len() + broken.len();
    let found = judged.iter().flat_map(|case| case.found.values().flatten());
    let covered: BTreeSet<&str> = found.map(|finding| finding.rule.as_str()).collect();
    let uncovered: Vec<&str> = rules
        .iter()
        .map(String::as_str)
        .filter(|rule| !covered.contains(rule))
        .collect();
    let failed: Vec<(&str, Vec<String>)> = judged
        .iter()
        .filter(|case| case.expected.as_ref() != Some(&case.found))
        .map(|case| match &case.expected {
            None if test.update => (case.name.as_str(), vec![format!("  {FINDINGS} is written")]),
            _ => (case.name.as_str(), differences(case)),
        })
        .collect();
    if test.json {
        let unjudged = broken.iter().map(
            |(name, failure)| json!({ "case": name, "ok": false, "updated": false, "problem": failure.to_string() }),
        );
        let cases: Vec<Value> = judged
            .iter()
            .map(|case| {
                let differences = failed.iter().find(|(name, _)| *name == case.name);
                json!({
                    "case": case.name,
                    "ok": test.update || differences.is_none(),
                    "updated": test.update && differences.is_some(),
                    "differences": differences.map(|(_, lines)| lines),
                })
            })
            .chain(unjudged)
            .collect();
        outln!(
            "{}",
            json!({ "cases": cases, "rules": rules.len(), "covered": covered.len(), "uncovered": uncovered })
        );
    } else {
        for (name, lines) in &failed {
            outln!("{} {name}", if test.update { "updated" } else { "FAILED " });
            for line in lines {
                outln!("{line}");
            }
        }
        for (name, failure) in broken {
            outln!("FAILED  {name}\n  {failure}");
        }
        let passed = judged.len() - if test.update { 0 } else { failed.len() };
        outln!("{passed} of {all} cases passed");
        outln!("{} of {} rules have a case", covered.len(), rules.len());
        if !uncovered.is_empty() {
            outln!("without one: {}", uncovered.join(", "));
        }
    }
    if let [(_, first), ..] = broken {
        let told = format!("{} of {all} cases cannot be judged: {first}", broken.len());
        // Whether the author's files must change or the policy.
        return match broken.iter().any(|(_, failure)| failure.is_usage()) {
            true => Err(Failure::usage(told)),
            false => Err(Failure::message(told)),
        };
    }
    if failed.is_empty() || test.update {
        return Ok(());
    }
    Err(Failure::differs(format!(
        "{} of {all} cases differ; if what was found is right, run it with `--update` and look at the change",
        failed.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_once_for_each_time() {
        let finding = |text: &str| Expected {
            pointer: "/a".to_owned(),
            rule: "r".to_owned(),
            text: text.to_owned(),
        };
        let of = |texts: &[&str]| -> Findings {
            [("f".to_owned(), texts.iter().map(|text| finding(text)).collect())].into()
        };
        let case = Judgement {
            name: "case".to_owned(),
            file: PathBuf::new(),
            found: of(&["one", "one", "two"]),
            expected: Some(of(&["one", "three"])),
        };
        assert_eq!(
            differences(&case),
            [
                "  + f /a: r \"one\"",
                "  + f /a: r \"two\"",
                "  - f /a: r \"three\""
            ]
        );
    }
}
