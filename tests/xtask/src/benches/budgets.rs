//! Ceilings and floors of benches, each with its reason.

use super::{figures::Figures, verdict::Interval};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{fs, path::Path};

/// Nanoseconds of one iteration, by bench, a value for each round; and what other benches tell.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) times: super::Times,
    pub(crate) figures: Figures,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    #[serde(rename = "budget")]
    budgets: Vec<Budget>,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "Told")]
struct Budget {
    of: Of,
    bound: Bound,
    reason: String,
}

/// What is bounded.
#[derive(Debug)]
enum Of {
    /// Microseconds of one iteration of a bench.
    Time(String),
    /// A bench by another one of the same run: so that the bound is one on any machine.
    Ratio { bench: String, over: String },
    /// What a bench with a report of its own tells.
    Figure(String),
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A budget as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    bench: Option<String>,
    over: Option<String>,
    figure: Option<String>,
    at_most: Option<f64>,
    at_most_us: Option<f64>,
    at_least: Option<f64>,
    reason: String,
}

impl TryFrom<Told> for Budget {
    type Error = anyhow::Error;

    fn try_from(told: Told) -> Result<Self> {
        let Told {
            bench,
            over,
            figure,
            at_most,
            at_most_us,
            at_least,
            reason,
        } = told;
        let (of, bound) = match (bench, over, figure, at_most, at_most_us, at_least) {
            (Some(bench), None, None, None, Some(most), None) => (Of::Time(bench), Bound::AtMost(most)),
            (Some(bench), Some(over), None, Some(most), None, None) => {
                (Of::Ratio { bench, over }, Bound::AtMost(most))
            }
            (None, None, Some(figure), Some(most), None, None) => (Of::Figure(figure), Bound::AtMost(most)),
            (None, None, Some(figure), None, None, Some(least)) => {
                (Of::Figure(figure), Bound::AtLeast(least))
            }
            (bench, _, figure, ..) => bail!(
                "`{}` needs `over` and `at_most`, or `at_most_us` alone; a figure needs `at_most` or `at_least`",
                bench.or(figure).unwrap_or_default()
            ),
        };
        if reason.is_empty() {
            bail!("the bound of `{}` has no reason", of.name());
        }
        Ok(Self { of, bound, reason })
    }
}

impl Of {
    fn name(&self) -> &str {
        match self {
            Self::Time(name) | Self::Ratio { bench: name, .. } | Self::Figure(name) => name,
        }
    }

    /// What it is counted in.
    fn unit(&self) -> String {
        match self {
            Self::Time(_) => " us".to_owned(),
            Self::Ratio { over, .. } => format!(" times {over}"),
            Self::Figure(_) => String::new(),
        }
    }

    /// Returns where it lies, or what is missing for that where there is something of it.
    fn measured(&self, measured: &Measured) -> Result<Interval, String> {
        let Measured { times, figures } = measured;
        match self {
            Self::Time(bench) => {
                let own = times.get(bench).ok_or("")?;
                Ok(Interval::of_median(
                    &own.iter().map(|ns| ns / 1_000.0).collect::<Vec<_>>(),
                ))
            }
            Self::Ratio { bench, over } => {
                let own = times.get(bench).ok_or("")?;
                let over = times.get(over).ok_or(format!(": it needs `{over}` beside it"))?;
                Ok(Interval::of_ratio(over, own))
            }
            Self::Figure(name) => Ok(figures.get(name).ok_or("")?.interval()),
        }
    }
}

impl Bound {
    fn is_broken(self, measured: Interval) -> bool {
        match self {
            Self::AtMost(ceiling) => measured.is_above(ceiling),
            Self::AtLeast(floor) => measured.is_below(floor),
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(ceiling) => write!(f, "at most {ceiling}"),
            Self::AtLeast(floor) => write!(f, "at least {floor}"),
        }
    }
}

/// What measurements come to.
pub(crate) struct Judged {
    /// One for each bound of what was measured.
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
        Ok(toml::from_str(text)?)
    }

    /// Returns a line for each bound, and how many are broken. What was not measured breaks none.
    pub(crate) fn judge(&self, measured: &Measured) -> Judged {
        let (mut lines, mut broken, mut unmeasured) = (Vec::new(), 0, Vec::new());
        for Budget { of, bound, reason } in &self.budgets {
            let interval = match of.measured(measured) {
                Ok(interval) => interval,
                Err(why) => {
                    unmeasured.push((of.name().to_owned(), why));
                    continue;
                }
            };
            let is_broken = bound.is_broken(interval);
            broken += usize::from(is_broken);
            lines.push(format!(
                "{:<44} {:8.2} to {:8.2}, {bound}{}{}",
                of.name(),
                interval.low,
                interval.high,
                of.unit(),
                if is_broken {
                    format!("  BROKEN: {reason}")
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

#[cfg(test)]
mod tests {
    use super::{
        super::{Times, figures::Figure},
        *,
    };

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
        [[budget]]
        figure = 'git/peer'
        at_least = 5
        reason = 'ahead of it'
    ";

    #[track_caller]
    fn check(sandboxed: f64, instance: f64, peer: f64, expected: usize) {
        let times = Times::from([
            ("render/native".into(), vec![10.0; 10]),
            ("render/sandboxed".into(), vec![sandboxed; 10]),
            ("instance".into(), vec![instance * 1_000.0; 10]),
        ]);
        let figures = Figures::from([("git/peer".into(), Figure::Measured(vec![peer; 8]))]);
        let judged = Budgets::parse(TEXT).unwrap().judge(&Measured { times, figures });
        assert_eq!(
            (judged.broken, judged.unmeasured.len()),
            (expected, 0),
            "{:?}",
            judged.lines
        );
    }

    #[test]
    fn a_bound_is_broken_by_what_is_beyond_it_without_doubt() {
        check(15.0, 12.0, 6.0, 0);
        check(20.0, 20.0, 5.0, 0);
        check(25.0, 12.0, 5.0, 1);
        check(25.0, 25.0, 5.0, 2);
        check(15.0, 12.0, 4.0, 1);
    }

    #[test]
    fn what_was_not_measured_is_told_apart_and_so_is_what_it_needs() {
        let times = Times::from([("render/sandboxed".into(), vec![25.0; 10])]);
        let figures = Figures::default();
        let judged = Budgets::parse(TEXT).unwrap().judge(&Measured { times, figures });
        assert_eq!((judged.broken, judged.lines.len()), (0, 0));
        let needs = ": it needs `render/native` beside it";
        let expected = [("render/sandboxed", needs), ("instance", ""), ("git/peer", "")];
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
            "[[budget]]\nbench = 'a'\nfigure = 'a'\nat_most = 1\nreason = 'r'",
            "[[budget]]\nfigure = 'a'\nat_most = 1\nat_least = 1\nreason = 'r'",
        ] {
            assert!(Budgets::parse(wrong).is_err(), "{wrong}");
        }
    }
}
