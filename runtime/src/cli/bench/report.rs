//! How figures are told: to people beside those of the last run, to programs as JSON.

use super::{Of, last::LastRun, usage::Passed};
use crate::{
    app::Failure,
    output::{errln, outln},
    pipeline::stages::{Stage, Stages, Taken},
    system::wall_clock,
};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

/// One figure with the name it has in JSON.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) key: &'static str,
    /// What people read; empty where only programs want it.
    pub(super) label: &'static str,
    pub(super) value: f64,
    pub(super) unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    PerSecond,
    Milliseconds,
    Microseconds,
    Bytes,
    BytesPerSecond,
}

impl Figure {
    pub(super) fn new(key: &'static str, label: &'static str, value: f64, unit: Unit) -> Self {
        Self {
            key,
            label,
            value,
            unit,
        }
    }
}

/// Everything that one run has to tell.
#[derive(Debug)]
pub(super) struct Report<'r> {
    pub(super) bench: &'static str,
    /// What was measured, in words and as the key of the last run.
    pub(super) title: String,
    pub(super) subject: &'r Value,
    pub(super) data_dir: Option<&'r Path>,
    pub(super) figures: Vec<Figure>,
    /// Empty where there are no stages.
    pub(super) stages: Vec<StageTime>,
    /// So many times the stages were gone through, so that people read one.
    pub(super) times: u32,
    /// Further members of the JSON.
    pub(super) more: Value,
    /// Further lines for people.
    pub(super) lines: Vec<String>,
}

/// What a stage took of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct StageTime {
    pub(super) name: &'static str,
    pub(super) taken: Taken,
}

/// Returns what the stages took, and as the last one what no stage did of all that passed.
pub(super) fn stage_times(stages: &Stages, all: Passed) -> Vec<StageTime> {
    let mut times: Vec<StageTime> = Stage::ALL
        .into_iter()
        .map(|stage| StageTime {
            name: stage.name(),
            taken: stages.taken(stage),
        })
        .filter(|time| time.taken != Taken::default())
        .collect();
    let known: Duration = times.iter().map(|time| time.taken.cpu).sum();
    times.push(StageTime {
        name: "rest",
        taken: Taken {
            cpu: all.cpu.saturating_sub(known),
            ..Taken::default()
        },
    });
    times
}

impl Report<'_> {
    /// Prints the figures beside those of the last run, and keeps them for the next.
    pub(super) fn tell(&self, of: &Of) -> Result<(), Failure> {
        let kept = if of.apart {
            None
        } else {
            LastRun::of(self.data_dir, self.bench, self.subject)
        };
        let last = kept.as_ref().and_then(LastRun::read);
        let run = self.as_json();
        if of.json {
            let mut told = run.clone();
            told["last"] = last.unwrap_or_default();
            outln!("{told}");
        } else {
            for line in self.text(last.as_ref()) {
                outln!("{line}");
            }
        }
        match kept {
            None if !of.apart => {
                errln!(
                    "warning: neither XDG_CACHE_HOME nor HOME names a directory, so the next run cannot be compared with this one"
                );
            }
            None => {}
            Some(kept) => {
                if let Err(error) = kept.keep(&run) {
                    errln!(
                        "warning: cannot write `{}`, so the next run cannot be compared with this one: {error}",
                        kept.path().display()
                    );
                }
            }
        }
        Ok(())
    }

    fn as_json(&self) -> Value {
        let mut figures = serde_json::Map::new();
        for figure in &self.figures {
            figures.insert(figure.key.to_owned(), number(figure.value));
        }
        let stages: Vec<Value> = self
            .stages
            .iter()
            .map(|time| {
                json!({
                    "stage": time.name, "cpu_ms": number(ms(time.taken.cpu)), "waited_ms": number(ms(time.taken.waited)),
                    "items": time.taken.items,
                })
            })
            .collect();
        json!({
            "bench": self.bench,
            "of": self.subject,
            "at": wall_clock().to_string(),
            "version": env!("CARGO_PKG_VERSION"),
            "optimised": !cfg!(debug_assertions),
            "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "figures": figures,
            "times": self.times,
            "stages": stages,
            "more": self.more,
        })
    }

    fn text(&self, last: Option<&Value>) -> Vec<String> {
        let mut lines = vec![self.title.clone()];
        if cfg!(debug_assertions) {
            lines.push(
                "this program was built without optimisation: it is several times slower than a release"
                    .into(),
            );
        }
        if let Some(at) = last.and_then(|last| last["at"].as_str()) {
            lines.push(format!("in brackets: against the last run, at {at}"));
        }
        lines.push(String::new());
        for figure in self.figures.iter().filter(|figure| !figure.label.is_empty()) {
            let was = last.and_then(|last| last["figures"][figure.key].as_f64());
            lines.push(format!(
                "  {:<34}{:>16}{}",
                figure.label,
                shown(figure.value, figure.unit),
                compared(figure.value, was)
            ));
        }
        lines.extend(self.breakdown(last));
        lines.extend(self.lines.iter().cloned());
        lines
    }

    fn breakdown(&self, last: Option<&Value>) -> Vec<String> {
        if self.stages.is_empty() {
            return Vec::new();
        }
        let all: Duration = self.stages.iter().map(|time| time.taken.cpu).sum();
        let of_one = |time: Duration| ms(time) / f64::from(self.times.max(1));
        let mut lines = vec![String::new()];
        lines.push(format!(
            "  {:<12}{:>14}{:>8}{:>14}{:>10}",
            "stage", "processor", "", "waiting", "items"
        ));
        for time in &self.stages {
            let Taken { cpu, waited, items } = time.taken;
            let share = 100.0 * cpu.as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE);
            let was = last.and_then(|last| {
                let stages = last["stages"].as_array()?;
                let found = stages.iter().find(|stage| stage["stage"] == time.name)?;
                Some(found["cpu_ms"].as_f64()? / last["times"].as_f64()?.max(1.0))
            });
            lines.push(format!(
                "  {:<12}{:>14}{share:>6.1} %{:>14}{:>10}{}",
                time.name,
                shown(of_one(cpu), Unit::Milliseconds),
                shown(of_one(waited), Unit::Milliseconds),
                items / u64::from(self.times.max(1)),
                compared(of_one(cpu), was),
            ));
        }
        lines
    }
}

/// Says how a figure stands to that of the last run; nothing where there is none.
fn compared(is: f64, was: Option<f64>) -> String {
    match was {
        Some(was) if was > 0.0 => format!("  ({:+.1} %)", 100.0 * (is / was - 1.0)),
        _ => String::new(),
    }
}

fn shown(value: f64, unit: Unit) -> String {
    let (value, unit) = match unit {
        Unit::Count => return format!("{value:.0}"),
        Unit::PerSecond => (value, "/s"),
        Unit::Milliseconds if value >= 10_000.0 => (value / 1_000.0, "s"),
        Unit::Milliseconds if value < 1.0 => (value * 1_000.0, "us"),
        Unit::Milliseconds => (value, "ms"),
        Unit::Microseconds => (value, "us"),
        Unit::Bytes if value < 10_000.0 => return format!("{value:.0} B"),
        Unit::Bytes if value < 10_000_000.0 => (value / 1e3, "kB"),
        Unit::Bytes => (value / 1e6, "MB"),
        Unit::BytesPerSecond => (value / 1e6, "MB/s"),
    };
    format!("{value:.1} {unit}")
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A figure as JSON; what is no number is none.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(subject: &Value) -> Report<'_> {
        Report {
            bench: "snapshot",
            title: "a first sync".into(),
            subject,
            data_dir: None,
            figures: vec![
                Figure::new("wall_ms", "wall clock", 20.0, Unit::Milliseconds),
                Figure::new("runs", "", 3.0, Unit::Count),
            ],
            stages: vec![
                StageTime {
                    name: "render",
                    taken: Taken {
                        cpu: Duration::from_millis(6),
                        waited: Duration::from_micros(500),
                        items: 8,
                    },
                },
                StageTime {
                    name: "rest",
                    taken: Taken {
                        cpu: Duration::from_millis(2),
                        ..Taken::default()
                    },
                },
            ],
            times: 2,
            more: json!({}),
            lines: vec!["the end".into()],
        }
    }

    #[test]
    fn people_read_figures_and_stages_beside_those_of_the_last_run() {
        let subject = json!({ "project": "p" });
        let last = json!({
            "at": "2026-11-01T00:00:00Z", "figures": { "wall_ms": 25.0 }, "times": 1,
            "stages": [{ "stage": "render", "cpu_ms": 1.5 }],
        });
        let text = report(&subject).text(Some(&last)).join("\n");
        for expected in [
            "against the last run, at 2026-11-01T00:00:00Z",
            "  wall clock                                 20.0 ms  (-20.0 %)",
            "  render              3.0 ms  75.0 %      250.0 us         4  (+100.0 %)",
            "  rest                1.0 ms  25.0 %        0.0 us         0\nthe end",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
        assert!(!text.contains("runs"), "that is for programs");
        let alone = report(&subject).text(None).join("\n");
        assert!(!alone.contains('('), "{alone}");
    }

    #[test]
    fn programs_read_sums_in_units_that_end_the_names() {
        let subject = json!({ "project": "p" });
        let run = report(&subject).as_json();
        assert_eq!(run["figures"], json!({ "wall_ms": 20.0, "runs": 3.0 }));
        assert_eq!(
            run["stages"][0],
            json!({ "stage": "render", "cpu_ms": 6.0, "waited_ms": 0.5, "items": 8 })
        );
        assert_eq!((&run["times"], &run["of"]), (&json!(2), &subject));
    }

    #[test]
    fn what_no_stage_took_is_the_rest() {
        let stages = Stages::measuring();
        let all = Passed {
            wall: Duration::from_secs(1),
            cpu: Duration::from_millis(700),
        };
        let times = stage_times(&stages, all);
        assert_eq!(times.len(), 1, "stages that nothing went through are not told");
        assert_eq!((times[0].name, times[0].taken.cpu), ("rest", all.cpu));
    }

    #[test]
    fn units_fit_their_figures() {
        for (value, unit, expected) in [
            (0.25, Unit::Milliseconds, "250.0 us"),
            (12_345.0, Unit::Milliseconds, "12.3 s"),
            (9_999.0, Unit::Bytes, "9999 B"),
            (1_500_000.0, Unit::Bytes, "1500.0 kB"),
            (15_000_000.0, Unit::Bytes, "15.0 MB"),
            (2_500_000.0, Unit::BytesPerSecond, "2.5 MB/s"),
            (7.0, Unit::Count, "7"),
        ] {
            assert_eq!(shown(value, unit), expected);
        }
    }
}
