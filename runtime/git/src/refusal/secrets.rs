//! Reading from a forge's words where it found secrets, or which files are too large.

use super::SecretFinding;

const FINDINGS_MAX: usize = 100;

/// Finds the places in a message, whichever forge wrote it.
pub(super) fn find(messages: &str) -> Vec<SecretFinding> {
    let mut found = Vec::new();
    let mut open = Open::default();
    for line in messages.lines() {
        let line = line.trim().trim_start_matches("remote:").trim();
        if let Some(finding) = open.take(line)
            && !found.contains(&finding)
            && found.len() < FINDINGS_MAX
        {
            found.push(finding);
        }
    }
    found
}

/// What earlier lines said of the next findings.
#[derive(Default)]
struct Open {
    kind: Option<String>,
    commit: Option<String>,
    blob: Option<String>,
}

impl Open {
    fn take(&mut self, line: &str) -> Option<SecretFinding> {
        // GitHub: a title between dashes, then `- commit:`, `path:` and perhaps `blob id:` lines.
        if let Some(title) = line.strip_prefix("——") {
            let title = title.trim_matches(['—', ' ']);
            self.kind = (!title.is_empty()).then(|| title.to_owned());
            (self.commit, self.blob) = (None, None);
            return None;
        }
        let item = line.strip_prefix("- ").unwrap_or(line);
        if let Some(blob) = item.strip_prefix("blob id:") {
            self.blob = id(blob);
            return None;
        }
        if let Some(commit) = item.strip_prefix("commit:") {
            // Azure DevOps has all in one line: `commit: ID, paths: /a.txt(1,2-3), /b.txt(4,5-6) : RULE`.
            if let Some((commit, rest)) = commit.split_once(", paths:") {
                self.commit = id(commit);
                let (path, rule) = rest.split_once(" : ").unwrap_or((rest, ""));
                let (path, line) = path.trim().split_once('(').unwrap_or((path.trim(), ""));
                self.kind = Some(rule.trim().to_owned()).filter(|rule| !rule.is_empty());
                return Some(self.at(path.trim_start_matches('/'), number(line)));
            }
            self.commit = id(commit);
            return None;
        }
        if let Some(path) = item.strip_prefix("path:") {
            let (path, line) = split_line(path.trim());
            return Some(self.at(path, line));
        }
        // GitLab: `Secret push protection found … in commit: ID`, then `-- path:line | kind`.
        if let Some((_, commit)) = item.split_once("secrets in commit:") {
            self.commit = id(commit);
            return None;
        }
        let (place, kind) = line.strip_prefix("--")?.split_once('|')?;
        let (path, line) = split_line(place.trim());
        self.kind = Some(kind.trim().to_owned());
        Some(self.at(path, line))
    }

    fn at(&self, path: &str, line: Option<u64>) -> SecretFinding {
        SecretFinding {
            kind: self.kind.clone(),
            commit: self.commit.clone(),
            path: (!path.is_empty()).then(|| path.to_owned()),
            line,
            blob: self.blob.clone(),
        }
    }
}

/// Splits `path:line`.
fn split_line(place: &str) -> (&str, Option<u64>) {
    match place.rsplit_once(':') {
        Some((path, line)) if line.parse::<u64>().is_ok() => (path, line.parse().ok()),
        _ => (place, None),
    }
}

fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn id(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['.', ',', '`', '\'']);
    let is_id = text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_owned())
}

/// Finds the files that a message calls too large.
pub(super) fn large_files(messages: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let line = line.trim().trim_start_matches("remote:").trim();
        let line = line.strip_prefix("error:").unwrap_or(line).trim();
        let line = line.strip_prefix("GitLab:").unwrap_or(line).trim();
        let Some(rest) = line.strip_prefix("File ") else {
            continue;
        };
        // GitHub: `File PATH is 120.00 MB; …`; GitLab: `File "PATH" is larger than …`.
        if let Some((path, _)) = rest.split_once(" is ") {
            found.push(path.trim_matches(['"', '\'', '`']).to_owned());
        }
    }
    found.truncate(FINDINGS_MAX);
    found
}
