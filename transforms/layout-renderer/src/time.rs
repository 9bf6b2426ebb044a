//! Times of the API as UTC.

const TIME_BYTES: usize = "2026-01-15T09:00:00Z".len();

/// Returns a time such as `2026-01-15T10:00:00+0100` as `2026-01-15T09:00:00Z`.
///
/// A text without an offset counts as UTC, fractions of a second are dropped. None where the text
/// is no such time.
#[must_use]
pub(crate) fn utc(text: &str) -> Option<String> {
    let seconds = epoch_seconds(text)?;
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return None;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let mut out = String::with_capacity(TIME_BYTES);
    for (number, places, mark) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (hour, 2, ':'),
        (minute, 2, ':'),
        (second, 2, 'Z'),
    ] {
        for place in (0..places).rev() {
            let digit = u32::try_from(number / 10_i64.pow(place) % 10).ok()?;
            out.push(char::from_digit(digit, 10)?);
        }
        out.push(mark);
    }
    Some(out)
}

/// Returns the seconds since 1970 of a time of the API.
pub(crate) fn epoch_seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let mark = |at: usize, marks: &[u8]| marks.contains(text.as_bytes().get(at)?).then_some(());
    for (at, marks) in [(4, "-"), (7, "-"), (10, "T "), (13, ":"), (16, ":")] {
        mark(at, marks.as_bytes())?;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range {
        return None;
    }
    let rest = text.get(19..)?;
    let rest = rest.strip_prefix('.').map_or(rest, |fraction| {
        fraction.trim_start_matches(|c: char| c.is_ascii_digit())
    });
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds - offset_seconds(rest)?)
}

fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. A year is counted from
/// March, so that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a number of days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(utc(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn times_of_the_api_become_utc() {
        check("2026-01-15T10:00:00+0100", Some("2026-01-15T09:00:00Z"));
        check("2026-01-01T00:30:00+01:00", Some("2025-12-31T23:30:00Z"));
        check("2024-02-28T23:30:00-0100", Some("2024-02-29T00:30:00Z"));
        check("2016-09-19 13:02:11", Some("2016-09-19T13:02:11Z"));
        check("2026-01-15T10:00:00.123456Z", Some("2026-01-15T10:00:00Z"));
        check("2000-03-01T00:00:00+0000", Some("2000-03-01T00:00:00Z"));
        check("1999-12-31T23:59:59Z", Some("1999-12-31T23:59:59Z"));
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-01-15T10:00:00+1",
            "2026-01-15T10:00:00é",
            "2026-01-1éT10:00",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for day in 0..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
    }
}
