//! Whether a bench became slower, decided from measurements alone.

/// Of so many false alarms in a hundred comparisons there is less than one.
const CONFIDENCE: f64 = 0.99;
/// What is slower by less is not worth anybody's time, and what the placement of code in memory can do.
const TOLERANCE: f64 = 0.02;

/// Where a median lies, with [`CONFIDENCE`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The whole interval lies above.
    Worse,
    /// The whole interval lies below.
    Better,
    /// It cannot be told, or there is nothing to tell.
    Same,
}

impl Interval {
    /// Returns where the median of what was measured lies, whatever it is distributed like: between two of the measured
    /// values. With too few of them for the confidence it is as if anything were possible.
    pub(crate) fn of_median(values: &[f64]) -> Self {
        let anything = Self {
            low: 0.0,
            high: f64::INFINITY,
        };
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        match outermost(sorted.len()) {
            Some(skipped) => Self {
                low: sorted[skipped],
                high: sorted[sorted.len() - 1 - skipped],
            },
            None => anything,
        }
    }

    /// The same for how a change stands to its base, measured in pairs, one right after the other.
    pub(crate) fn of_ratio(base: &[f64], change: &[f64]) -> Self {
        let ratios: Vec<f64> = base
            .iter()
            .zip(change)
            .map(|(base, change)| change / base)
            .collect();
        Self::of_median(&ratios)
    }

    /// Judges a ratio of a change to its base.
    pub(crate) fn verdict(self) -> Verdict {
        if self.low > 1.0 + TOLERANCE {
            Verdict::Worse
        } else if self.high < 1.0 - TOLERANCE {
            Verdict::Better
        } else {
            Verdict::Same
        }
    }

    /// Returns whether a ceiling is broken beyond doubt.
    pub(crate) fn is_above(self, ceiling: f64) -> bool {
        self.low > ceiling
    }

    /// Returns whether a floor is broken beyond doubt.
    pub(crate) fn is_below(self, floor: f64) -> bool {
        self.high < floor
    }
}

/// Returns how many of the smallest and of the largest of `count` values may be left out, so that the others still hold
/// the median with [`CONFIDENCE`]; none where there are too few values.
///
/// Each value is above the median or below it like the sides of a coin.
fn outermost(count: usize) -> Option<usize> {
    let mut ways = 1.0; // to have `outside` values on one side
    let mut outside = 0.0;
    let all = 2.0_f64.powi(i32::try_from(count).ok()?);
    let mut found = None;
    for skipped in 0..count.div_ceil(2) {
        outside += ways;
        if 1.0 - 2.0 * outside / all < CONFIDENCE {
            break;
        }
        found = Some(skipped);
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let next = (count - skipped) as f64 / (skipped + 1) as f64;
        ways *= next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times around a mean that look random and are the same in every run.
    fn samples(mean: f64, spread: f64, seed: u64, count: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 40).expect("24 bits")) / f64::from(1 << 24)
        };
        (0..count)
            .map(|_| mean * (1.0 + spread * (2.0 * next() - 1.0)))
            .collect()
    }

    #[track_caller]
    fn check(slower_by: f64, spread: f64, expected: Verdict) {
        for seed in 1..=50 {
            let base = samples(100.0, spread, seed, 10);
            let change = samples(100.0 * slower_by, spread, seed + 1_000, 10);
            let interval = Interval::of_ratio(&base, &change);
            assert_eq!(interval.verdict(), expected, "seed {seed}: {interval:?}");
        }
    }

    #[test]
    fn a_change_that_is_clearly_slower_is_worse_and_one_that_is_faster_is_better() {
        check(1.5, 0.05, Verdict::Worse);
        check(1.1, 0.01, Verdict::Worse);
        check(0.8, 0.05, Verdict::Better);
    }

    #[test]
    fn noise_and_what_nobody_notices_are_no_alarm() {
        check(1.0, 0.3, Verdict::Same);
        check(1.0, 0.01, Verdict::Same);
        check(1.01, 0.005, Verdict::Same);
        // Slower perhaps, but it cannot be told through so much noise.
        check(1.05, 0.4, Verdict::Same);
    }

    #[test]
    fn one_outlier_on_a_busy_machine_is_no_alarm() {
        let base = vec![100.0; 10];
        let mut change = vec![110.0; 10];
        change[3] = 99.0;
        assert_eq!(Interval::of_ratio(&base, &change).verdict(), Verdict::Same);
        change[3] = 900.0;
        assert_eq!(Interval::of_ratio(&base, &change).verdict(), Verdict::Worse);
    }

    #[test]
    fn too_few_measurements_say_nothing() {
        assert_eq!(
            outermost(7),
            None,
            "the extremes of seven hold the median in 98.4 of 100 cases"
        );
        assert_eq!(
            (outermost(8), outermost(11), outermost(12)),
            (Some(0), Some(0), Some(1))
        );
        let interval = Interval::of_ratio(&[1.0; 5], &[9.0; 5]);
        assert_eq!(interval.verdict(), Verdict::Same);
        assert!(!interval.is_above(1.0) && Interval::of_median(&[9.0; 8]).is_above(8.0));
        assert!(!Interval::of_median(&[7.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]).is_above(8.0));
    }
}
