//! From when on history is looked at, as it is written on the command line.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use mirror_git::CommitInfo;

/// What `--since` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    Moment(Timestamp),
    /// The beginning of a commit's id.
    Commit(String),
}

/// Digits of a commit's id that are enough to name it.
const ID_DIGITS_MIN: usize = 7;

impl Since {
    /// Reads a moment (`2026-11-01`, `2026-11-01T08:00:00Z`), a time before now (`90m`, `12h`, `7d`, `2w`), or the beginning
    /// of a commit's id.
    ///
    /// # Errors
    /// What is neither, or a moment that is yet to come: what to write instead.
    pub(super) fn parse(raw: &str, now: Timestamp) -> Result<Self, String> {
        let is_id = (ID_DIGITS_MIN..=40).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id {
            return Ok(Self::Commit(raw.to_ascii_lowercase()));
        }
        let moment = before_now(raw, now).or_else(|| absolute(raw)).ok_or_else(|| {
            format!(
                "`--since {}`: it is no moment and no commit; write a date (2026-11-01), a time (2026-11-01T08:00:00Z), how long ago (90m, 12h, 7d, 2w), or at least {ID_DIGITS_MIN} digits of a commit's id",
                super::printable(raw)
            )
        })?;
        if moment > now {
            return Err(format!(
                "`--since {raw}`: {moment} is yet to come, it is {now}; nothing is committed after now, so name a moment that has passed"
            ));
        }
        Ok(Self::Moment(moment))
    }

    /// Says what may have been meant by what is read as a commit's id and is none; nothing where it can be no mistake.
    pub(super) fn mistaken(&self) -> &'static str {
        match self {
            Self::Commit(id)
                if id
                    .strip_suffix('d')
                    .is_some_and(|days| days.bytes().all(|byte| byte.is_ascii_digit())) =>
            {
                " (so many days ago there were no commits; with fewer than 7 characters it is a number of days)"
            }
            Self::Commit(_) | Self::Moment(_) => "",
        }
    }

    /// Returns how many of the commits, newest first, are to be looked at; none where the commit is not among them.
    ///
    /// A commit is looked at itself. Where nothing was committed since a moment, the newest commit is: that is what the
    /// branch had then.
    pub(super) fn reach(&self, commits: &[CommitInfo]) -> Option<usize> {
        match self {
            Self::Moment(moment) => {
                let since = commits
                    .iter()
                    .take_while(|commit| commit.committer.time >= *moment);
                Some(since.count().max(1).min(commits.len()))
            }
            Self::Commit(id) => {
                let at = commits
                    .iter()
                    .position(|commit| commit.id.to_string().starts_with(id.as_str()))?;
                Some(at + 1)
            }
        }
    }
}

fn before_now(raw: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = raw.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number = &raw[..raw.len() - 1];
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<i64>().ok()?.checked_mul(seconds)?;
    // Before there was time, everything is after it.
    Some(
        now.checked_sub(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MIN),
    )
}

fn absolute(raw: &str) -> Option<Timestamp> {
    let date = || {
        let date: Date = raw.parse().ok()?;
        let day = date.to_zoned(TimeZone::UTC).ok()?;
        Some(day.timestamp())
    };
    raw.parse::<Timestamp>().ok().or_else(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::ids::Oid;
    use mirror_git::Person;

    const NOW: &str = "2026-11-26T10:00:00Z";

    fn parse(raw: &str) -> Result<Since, String> {
        Since::parse(raw, NOW.parse().expect("a moment"))
    }

    #[test]
    fn moments_and_commits_are_told_apart() {
        for (raw, expected) in [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00:00+02:00", "2026-11-01T06:00:00Z"),
            ("90m", "2026-11-26T08:30:00Z"),
            ("7d", "2026-11-19T10:00:00Z"),
            ("0s", NOW),
            ("99999999999w", "-009999-01-02T01:59:59Z"),
        ] {
            let expected = Since::Moment(expected.parse().expect("a moment"));
            assert_eq!(parse(raw), Ok(expected), "{raw}");
        }
        for raw in ["1234567", "20261101", "ABCDEF0", &"a".repeat(40)] {
            assert_eq!(parse(raw), Ok(Since::Commit(raw.to_lowercase())), "{raw}");
        }
    }

    #[test]
    fn what_is_neither_or_yet_to_come_is_refused_with_what_to_write() {
        for raw in [
            "",
            "yesterday",
            "7 d",
            "-7d",
            "abcdef",
            "1x",
            "d",
            "é",
            &"a".repeat(41),
        ] {
            let told = parse(raw).expect_err(raw);
            assert!(told.contains("at least 7 digits"), "{told}");
        }
        for raw in ["2027-01-01", "2026-11-26T10:00:01Z"] {
            let told = parse(raw).expect_err(raw);
            assert!(told.contains("is yet to come"), "{told}");
        }
    }

    /// Commits of these seconds after 10:00, newest first, with ids `00…`, `11…` and so on.
    fn commits(seconds: &[i64]) -> Vec<CommitInfo> {
        let now: Timestamp = NOW.parse().expect("a moment");
        let commit = |(n, seconds): (usize, &i64)| {
            let id = Oid::parse(&n.to_string().repeat(40)).expect("an id");
            let made = Person {
                name: String::new(),
                email: String::new(),
                time: now + SignedDuration::from_secs(*seconds),
            };
            CommitInfo {
                id,
                tree: id,
                parents: Vec::new(),
                author: made.clone(),
                committer: made,
                message: String::new(),
            }
        };
        seconds.iter().enumerate().map(commit).collect()
    }

    #[test]
    fn a_moment_reaches_to_the_first_commit_after_it_and_at_least_to_the_newest() {
        let commits = commits(&[-10, -20, -30]);
        for (since, expected) in [("2026-11-26T09:59:40Z", 2), ("1h", 3), ("0s", 1)] {
            let since = parse(since).expect("a moment");
            assert_eq!(since.reach(&commits), Some(expected), "{since:?}");
        }
        assert_eq!(Since::Commit("1111111".into()).reach(&commits), Some(2));
        assert_eq!(Since::Commit("9999999".into()).reach(&commits), None);
    }

    #[test]
    fn days_that_read_as_a_commit_are_told_so() {
        let told = |raw| parse(raw).expect("it is read").mistaken();
        assert!(told("99999999999d").contains("number of days"));
        for raw in ["1f3c9ab", "1234567", "7d"] {
            assert_eq!(told(raw), "", "{raw}");
        }
    }
}
