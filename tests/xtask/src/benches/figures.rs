//! What benches with a report of their own tell in figures.

use super::verdict::Interval;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// By their names.
pub(crate) type Figures = BTreeMap<String, Figure>;

/// One figure.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Figure {
    /// So many times.
    Measured(Vec<f64>),
    /// The same each time.
    Counted(f64),
}

#[derive(Deserialize)]
struct Line {
    figure: String,
    #[serde(flatten)]
    value: Figure,
}

impl Figure {
    pub(crate) fn interval(&self) -> Interval {
        match self {
            Self::Measured(samples) => Interval::of_median(samples),
            Self::Counted(value) => Interval {
                low: *value,
                high: *value,
            },
        }
    }
}

/// Reads what benches wrote, a figure on each line; of one that is told again all that was measured counts.
pub(crate) fn read(text: &str) -> Result<Figures> {
    let mut figures = Figures::new();
    for line in text.lines() {
        let Line { figure, value } =
            serde_json::from_str(line).with_context(|| format!("no figure: {line}"))?;
        match (figures.get_mut(&figure), value) {
            (Some(Figure::Measured(known)), Figure::Measured(more)) => known.extend(more),
            (_, value) => {
                figures.insert(figure, value);
            }
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_gathered_by_name_and_what_is_counted_leaves_no_doubt() {
        let text = r#"{"figure":"git/peer","measured":[5,6.5]}
{"figure":"git/bytes","counted":0.98}
{"figure":"git/peer","measured":[5.5]}
"#;
        let figures = read(text).unwrap();
        let expected = [
            ("git/bytes".to_owned(), Figure::Counted(0.98)),
            ("git/peer".to_owned(), Figure::Measured(vec![5.0, 6.5, 5.5])),
        ];
        assert_eq!(figures, Figures::from(expected));
        let interval = figures["git/bytes"].interval();
        assert!(interval.is_above(0.9) && interval.is_below(1.0));
        // Three values tell nothing yet.
        let interval = figures["git/peer"].interval();
        assert!(!interval.is_above(1.0) && !interval.is_below(9.0));
        assert!(read("{\"figure\":\"a\"}").is_err());
    }
}
