//! What the demo prints.

use super::super::Demo;
use crate::{output::outln, pipeline::attempt::Landed};
use std::{io::IsTerminal, path::Path, time::Duration};
use tokio::sync::broadcast;

/// Prints to standard output; colours on a terminal only.
#[derive(Debug, Clone)]
pub(super) struct Show {
    coloured: bool,
    directory: String,
    span: &'static str,
}

impl Show {
    pub(super) fn new(demo: &Demo) -> Self {
        Self {
            coloured: std::io::stdout().is_terminal(),
            directory: demo.dir.display().to_string(),
            span: if demo.fast { "1 second" } else { "5 seconds" },
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn opening(&self) {
        outln!(
            "{}",
            self.paint("1", "kbc-mirror demo: a Keboola project becomes commits")
        );
        outln!("  directory   {}", self.directory);
        outln!(
            "  window      {} (30 seconds in earnest); job runs join it (15 minutes in earnest)",
            self.span
        );
        outln!("  samples     on; a repository on this machine counts as private");
    }

    pub(super) fn act(&self, title: &str, explanation: &str) {
        outln!("\n{}", self.paint("1;36", title));
        outln!("  {}", self.paint("2", explanation));
    }

    pub(super) fn step(&self, text: &str) {
        outln!("  {} {text}", self.paint("33", "·"));
    }

    pub(super) fn snapshot(&self, took: Duration) {
        outln!("  all branches are mirrored after {:.1} s", took.as_secs_f64());
    }

    pub(super) fn bulk(&self, edits: usize, took: Duration) {
        if edits == 0 {
            return;
        }
        outln!(
            "  {edits} edits were on the remote after {:.2} s: {:.0} changes a second",
            took.as_secs_f64(),
            rate(edits, took)
        );
    }

    pub(super) fn singles(&self, commits: usize, took: Duration) {
        if commits == 0 {
            return;
        }
        outln!(
            "  {commits} commits one after the other, each pushed and confirmed, in {:.2} s: {:.1} a second",
            took.as_secs_f64(),
            rate(commits, took)
        );
    }

    pub(super) fn nothing(&self, events: usize, moved: usize) {
        outln!("  {events} events were delivered again: {moved} branches got a commit of them");
    }

    pub(super) fn staying(&self, address: &str) {
        outln!("\n{}", self.paint("1", "staying up until Ctrl-C"));
        outln!(
            "  http://{address}/metrics   http://{address}/readyz   http://{address}/v1/status (bearer: {}/ingest-token)",
            self.directory
        );
    }

    pub(super) fn closing(&self, repository: &Path) {
        let path = repository.display();
        outln!(
            "\n{}",
            self.paint("1", &format!("The repository is {path}. Look at it:"))
        );
        outln!("  git -C {path} log --format='%h %an, %cr: %s' --stat=100");
        outln!("  git -C {path} log -p -3");
        outln!("  git clone {path} somewhere && ls somewhere/configs/main");
        if let Some(peak) = peak_memory() {
            outln!("  (peak memory {peak} MB)");
        }
    }

    /// Lets the last commit be printed before the next act begins.
    pub(super) async fn breath(&self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// Prints commits as they land.
    pub(super) async fn follow(self, mut landed: broadcast::Receiver<Landed>) {
        loop {
            match landed.recv().await {
                Ok(landed) => {
                    self.commit(&landed);
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    outln!("  … {missed} more commits");
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn commit(&self, landed: &Landed) {
        let mut lines = landed.message.lines();
        let subject = lines.next().unwrap_or_default();
        let id = landed.commit.to_string();
        let branch = landed.refname.trim_start_matches("refs/heads/");
        outln!(
            "  {} {} {}",
            self.paint("32", "✔"),
            self.paint("33", &id[..10]),
            self.paint("1", subject)
        );
        let co_authors = landed
            .message
            .lines()
            .filter_map(|line| line.strip_prefix("Co-authored-by: "));
        let with = co_authors.collect::<Vec<_>>().join(", ");
        let with = if with.is_empty() {
            String::new()
        } else {
            format!(", with {with}")
        };
        outln!("      on {branch} by {}{with}", landed.author);
        let latency = landed.change_latency.or(landed.jobs_latency);
        let latency = latency.map_or(String::new(), |latency| {
            format!("; {:.1} s after the first change", latency.as_secs_f64())
        });
        outln!(
            "      {} files: {} added, {} changed, {} deleted{latency}",
            landed.added + landed.modified + landed.deleted,
            landed.added,
            landed.modified,
            landed.deleted
        );
        self.redactions(landed);
        for (object, reason) in &landed.withheld {
            outln!("      {} {object}: {reason}", self.paint("31", "withheld"));
        }
    }

    fn redactions(&self, landed: &Landed) {
        let mut by_rule: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
        let (mut encrypted, mut plaintext) = (0, Vec::new());
        for (object, stats) in &landed.redactions {
            encrypted += stats.encrypted;
            for (rule, count) in &stats.by_rule {
                *by_rule.entry(rule).or_default() += count;
            }
            plaintext.extend(
                stats
                    .plaintext
                    .iter()
                    .map(|place| format!("{object} {}", place.pointer)),
            );
        }
        if !by_rule.is_empty() {
            let rules: Vec<String> = by_rule
                .iter()
                .map(|(rule, count)| format!("{count} {rule}"))
                .collect();
            outln!(
                "      {} {} ({encrypted} ciphers stay encrypted)",
                self.paint("35", "redacted:"),
                rules.join(", ")
            );
        }
        for place in plaintext.iter().take(3) {
            outln!("      {} {place}", self.paint("35", "not encrypted in Keboola:"));
        }
        if plaintext.len() > 3 {
            outln!("      … and {} more", plaintext.len() - 3);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(0.001)
}

/// The largest resident set of this process so far, in megabytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes / 1024)
}
