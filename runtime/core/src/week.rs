//! Weeks as ISO 8601 counts them: from Monday to Sunday, in UTC.

use jiff::{Timestamp, tz::TimeZone};

/// Says whether two moments are in the same week.
#[must_use]
pub fn is_same(a: Timestamp, b: Timestamp) -> bool {
    let week = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date().iso_week_date();
        (date.year(), date.week())
    };
    week(a) == week(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_goes_from_monday_to_sunday_also_over_the_end_of_a_year() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let cases = [
            ("2026-11-23T00:00:00Z", "2026-11-29T23:59:59Z", true),
            ("2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z", false),
            ("2026-12-28T00:00:00Z", "2027-01-03T12:00:00Z", true),
            ("2026-01-05T00:00:00Z", "2027-01-04T00:00:00Z", false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(is_same(at(a), at(b)), expected, "{a} {b}");
        }
    }
}
