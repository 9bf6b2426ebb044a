//! Days of runs. The newest run's day counts, not the clock: the tree is a function of the state. Only a day that has not come
//! yet, which no run can truly have ended on, does not count.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

/// So many of the newest days have their runs at hand; those of an earlier day are in the repository
/// only, and are read back when a late run belongs there.
const OPEN_DAYS: i64 = 2;

/// Returns the date of a shard `YYYY/MM/DD`; none for a name of another form.
#[must_use]
pub fn date(shard: &str) -> Option<Date> {
    let mut parts = shard.split('/');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse::<i16>().ok())?
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    let narrow = |number: i16| i8::try_from(number).ok();
    parts.next().is_none().then_some(())?;
    Date::new(year, narrow(month)?, narrow(day)?).ok()
}

/// Returns whether the runs of a shard are to stay at hand, where `newest` is the newest one.
/// A shard that is no day always does.
#[must_use]
pub fn is_open(shard: &str, newest: &str) -> bool {
    is_among(shard, newest, OPEN_DAYS)
}

/// Returns whether a shard is among the `keep_days` days that end with `newest`. One that is no day
/// always is.
#[must_use]
pub fn is_kept(shard: &str, newest: &str, keep_days: u32) -> bool {
    is_among(shard, newest, keep_days.into())
}

/// Returns whether a shard is a day that has come nowhere yet. One that is no day is not.
#[must_use]
pub fn is_ahead(shard: &str, now: Timestamp) -> bool {
    let today = now.to_zoned(TimeZone::UTC).date();
    // Somewhere it is tomorrow already, and clocks differ.
    let Ok(tomorrow) = today.checked_add(1.days()) else {
        return false;
    };
    date(shard).is_some_and(|date| date > tomorrow)
}

fn is_among(shard: &str, newest: &str, days: i64) -> bool {
    let (Some(shard), Some(newest)) = (date(shard), date(newest)) else {
        return true;
    };
    // Before the first day that can be written, nothing is too old.
    newest
        .checked_sub(days.days())
        .is_ok_and(|last_too_old| shard > last_too_old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_days_are_kept_and_two_of_them_are_open() {
        let check =
            |shard, newest, days, expected| assert_eq!(is_kept(shard, newest, days), expected, "{shard}");
        check("2026/03/01", "2026/03/01", 1, true);
        check("2026/02/28", "2026/03/01", 1, false);
        check("2026/02/28", "2026/03/01", 2, true);
        check("2024/02/29", "2024/03/01", 2, true);
        check("2025/12/02", "2026/01/05", 35, true);
        check("2025/12/01", "2026/01/05", 35, false);
        // Runs are late, not only early.
        check("2026/03/02", "2026/03/01", 1, true);
        check("by component", "2026/03/01", 1, true);
        check("2026/02/30", "2026/03/01", 1, true);
        check("2026/03/01", "none", 1, true);
        assert!(is_open("2026/02/28", "2026/03/01") && !is_open("2026/02/27", "2026/03/01"));
    }

    #[test]
    fn a_day_is_ahead_from_the_day_after_tomorrow_on() {
        let now: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        let ahead = |shard| is_ahead(shard, now);
        assert!(!ahead("2026/12/31") && !ahead("2027/01/01") && !ahead("1999/01/01"));
        assert!(ahead("2027/01/02") && ahead("9999/12/31"));
        assert!(!ahead("by component"));
    }

    #[test]
    fn only_a_whole_date_is_a_day() {
        for shard in [
            "2026/3/01",
            "2026/03/01/",
            "2026/03",
            "+026/03/01",
            "2026/13/01",
            "",
            "é/03/01",
        ] {
            assert_eq!(date(shard), None, "{shard}");
        }
        assert_eq!(
            date("2026/03/01").map(|date| date.to_string()).as_deref(),
            Some("2026-03-01")
        );
    }
}
