//! Ceilings of benches, each with its reason.

use super::{Times, verdict::Interval};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{fs, path::Path};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    #[serde(rename = "budget")]
    budgets: Vec<Budget>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    bench: String,
    /// The bench that it is divided by, of the same run: so that the ceiling is one on any machine.
    over: Option<String>,
    /// Of the ratio.
    at_most: Option<f64>,
    /// Of one iteration, in microseconds.
    at_most_us: Option<f64>,
    reason: String,
}

/// What measurements come to.
pub(crate) struct Judged {
    /// One for each ceiling of what was measured.
    pub(crate) lines: Vec<String>,
    pub(crate) broken: usize,
    /// What the others are of, and what more they need where they were measured themselves.
    pub(crate) unmeasured: Vec<(String, String)>,
}

impl Budgets {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("`{}`", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let read: Self = toml::from_str(text)?;
        for budget in &read.budgets {
            let Budget {
                bench,
                over,
                at_most,
                at_most_us,
                reason,
            } = budget;
            if reason.is_empty() {
                bail!("the ceiling of `{bench}` has no reason");
            }
            if (over.is_some(), at_most.is_some(), at_most_us.is_some()) != (true, true, false)
                && (over.is_some(), at_most.is_some(), at_most_us.is_some()) != (false, false, true)
            {
                bail!("`{bench}` needs `over` and `at_most`, or `at_most_us` alone");
            }
        }
        Ok(read)
    }

    /// Returns a line for each ceiling, and how many are broken. What was not measured is none.
    pub(crate) fn judge(&self, times: &Times) -> Judged {
        let (mut lines, mut broken, mut unmeasured) = (Vec::new(), 0, Vec::new());
        for budget in &self.budgets {
            let Some(measured) = budget.measured(times) else {
                let needs = budget.over.iter().filter(|_| times.contains_key(&budget.bench));
                let why = needs.map(|over| format!(": it needs `{over}` beside it"));
                unmeasured.push((budget.bench.clone(), why.collect()));
                continue;
            };
            let ceiling = budget.at_most.or(budget.at_most_us).unwrap_or(f64::INFINITY);
            let is_broken = measured.is_above(ceiling);
            broken += usize::from(is_broken);
            lines.push(format!(
                "{:<44} {:8.2} to {:8.2}, at most {ceiling} {}{}",
                budget.bench,
                measured.low,
                measured.high,
                match &budget.over {
                    Some(over) => format!("times {over}"),
                    None => "us".to_owned(),
                },
                if is_broken {
                    format!("  BROKEN: {}", budget.reason)
                } else {
                    String::new()
                }
            ));
        }
        Judged {
            lines,
            broken,
            unmeasured,
        }
    }
}

impl Budget {
    fn measured(&self, times: &Times) -> Option<Interval> {
        let own = times.get(&self.bench)?;
        Some(match &self.over {
            Some(over) => Interval::of_ratio(times.get(over)?, own),
            None => Interval::of_median(&own.iter().map(|ns| ns / 1_000.0).collect::<Vec<_>>()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        [[budget]]
        bench = 'render/sandboxed'
        over = 'render/native'
        at_most = 2.0
        reason = 'the price of the sandbox'
        [[budget]]
        bench = 'instance'
        at_most_us = 20
        reason = 'each batch has one'
    ";

    #[track_caller]
    fn check(sandboxed: f64, instance: f64, expected: usize) {
        let times = Times::from([
            ("render/native".into(), vec![10.0; 10]),
            ("render/sandboxed".into(), vec![sandboxed; 10]),
            ("instance".into(), vec![instance * 1_000.0; 10]),
        ]);
        let judged = Budgets::parse(TEXT).unwrap().judge(&times);
        assert_eq!(
            (judged.broken, judged.unmeasured.len()),
            (expected, 0),
            "{:?}",
            judged.lines
        );
    }

    #[test]
    fn a_ceiling_is_broken_by_what_is_above_it_beyond_doubt() {
        check(15.0, 12.0, 0);
        check(20.0, 20.0, 0);
        check(25.0, 12.0, 1);
        check(25.0, 25.0, 2);
    }

    #[test]
    fn what_was_not_measured_is_told_apart_and_so_is_what_it_needs() {
        let times = Times::from([("render/sandboxed".into(), vec![25.0; 10])]);
        let judged = Budgets::parse(TEXT).unwrap().judge(&times);
        assert_eq!((judged.broken, judged.lines.len()), (0, 0));
        let needs = ": it needs `render/native` beside it";
        let expected = [("render/sandboxed", needs), ("instance", "")];
        assert_eq!(
            judged.unmeasured,
            expected.map(|(of, why)| (of.into(), why.into()))
        );
    }

    #[test]
    fn the_projects_own_ceilings_can_be_read_and_have_reasons() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let budgets = Budgets::read(&root.join("benches/budgets.toml")).unwrap();
        assert!(!budgets.budgets.is_empty());
        for wrong in [
            "[[budget]]\nbench = 'a'\nat_most_us = 1\nreason = ''",
            "[[budget]]\nbench = 'a'\nat_most = 1\nreason = 'r'",
            "[[budget]]\nbench = 'a'\nover = 'b'\nat_most = 1\nat_most_us = 1\nreason = 'r'",
            "[[budget]]\nbench = 'a'\nceiling = 1\nreason = 'r'",
        ] {
            assert!(Budgets::parse(wrong).is_err(), "{wrong}");
        }
    }
}
