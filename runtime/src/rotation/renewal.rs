//! What is to be done about what stands where a credential is read from: decided from what was seen and the time alone.
//!
//! Nothing here knows a credential: only whether two are the same.

use jiff::Timestamp;
use mirror_core::window::{later, within};
use std::time::Duration;

/// What cannot be used is tried again so soon, then after twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_secs(5 * 60);

/// Tells credentials apart.
pub(super) type Fingerprint = [u8; 32];

/// What stands there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Something that may be a credential.
    Text(Fingerprint),
    /// Nothing that could be one, and why.
    Nothing(String),
}

/// What there is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// What stands there cannot be used, so the one in use stays; told once for each reason.
    Problem(String),
    /// What stands there is what is used.
    Mended,
}

/// A credential that is in use, and what has been seen in its place.
#[derive(Debug)]
pub(super) struct Renewal {
    in_use: Fingerprint,
    refused: Option<Refused>,
    problem: Option<String>,
}

/// Another one that could not be used.
#[derive(Debug)]
struct Refused {
    fingerprint: Fingerprint,
    times: u32,
    again_at: Timestamp,
}

impl Renewal {
    pub(super) fn new(in_use: Fingerprint) -> Self {
        Self {
            in_use,
            refused: None,
            problem: None,
        }
    }

    /// Takes in what was seen. Returns whether it is to be tried in place of the one in use, and what there is to tell.
    /// `hurry` tries again at once what could not be used before.
    pub(super) fn saw(&mut self, found: &Found, hurry: bool, now: Timestamp) -> (bool, News) {
        match found {
            Found::Nothing(problem) => (false, self.tell(problem)),
            Found::Text(fingerprint) if *fingerprint == self.in_use => {
                self.refused = None;
                let news = match self.problem.take() {
                    Some(_) => News::Mended,
                    None => News::None,
                };
                (false, news)
            }
            Found::Text(fingerprint) => {
                let refused = self.refused.as_mut();
                let waits = refused
                    .filter(|refused| refused.fingerprint == *fingerprint && !hurry)
                    .is_some_and(|refused| {
                        refused.again_at = within(refused.again_at, AGAIN_MAX, now);
                        now < refused.again_at
                    });
                (!waits, News::None)
            }
        }
    }

    /// What was tried is used from now on.
    pub(super) fn took(&mut self, fingerprint: Fingerprint) {
        *self = Self::new(fingerprint);
    }

    /// What was tried cannot be used. Returns what there is to tell.
    pub(super) fn refused(&mut self, fingerprint: Fingerprint, problem: &str, now: Timestamp) -> News {
        let before = self.refused.as_ref();
        let times = before
            .filter(|refused| refused.fingerprint == fingerprint)
            .map_or(0, |refused| refused.times);
        let wait = AGAIN_FIRST.saturating_mul(1 << times.min(16)).min(AGAIN_MAX);
        self.refused = Some(Refused {
            fingerprint,
            times: times.saturating_add(1),
            again_at: later(now, wait),
        });
        self.tell(problem)
    }

    fn tell(&mut self, problem: &str) -> News {
        if self.problem.as_deref() == Some(problem) {
            return News::None;
        }
        self.problem = Some(problem.to_owned());
        News::Problem(problem.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// Plays a script and writes down what is tried and told. Steps are `<second> <what>`, separated by `;`. What: a letter,
    /// which is the credential that stands there (`!` after it: in a hurry); `empty` or `gone`, where none does. What is
    /// tried can be used if it is a small letter.
    fn check(script: &str, expected: &Expect) {
        let mut renewal = Renewal::new([b'a'; 32]);
        let mut told = String::new();
        let mut note = |second: &str, what: String| told.push_str(&format!("{second}s {what}\n"));
        for step in script.split(';').map(str::trim) {
            let (second, what) = step.split_once(' ').unwrap();
            let now = Timestamp::from_second(second.parse().unwrap()).unwrap();
            let (what, hurry) = what.strip_suffix('!').map_or((what, false), |what| (what, true));
            let found = match what.as_bytes() {
                [letter] => Found::Text([*letter; 32]),
                _ => Found::Nothing(format!("it is {what}")),
            };
            let (tries, mut news) = renewal.saw(&found, hurry, now);
            if let (true, Found::Text(fingerprint)) = (tries, found) {
                if fingerprint[0].is_ascii_lowercase() {
                    renewal.took(fingerprint);
                    note(second, format!("took {what}"));
                } else {
                    note(second, format!("tried {what}"));
                    news = renewal.refused(fingerprint, &format!("{what} is refused"), now);
                }
            }
            match news {
                News::None => {}
                News::Problem(problem) => note(second, problem),
                News::Mended => note(second, "mended".into()),
            }
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn another_credential_is_taken_once() {
        check(
            "0 a; 5 b; 10 b; 15 c; 20 b; 25 b",
            &expect![[r#"
                5s took b
                15s took c
                20s took b
            "#]],
        );
    }

    #[test]
    fn where_there_is_none_the_one_in_use_stays_and_that_is_told_once() {
        check(
            "0 a; 5 empty; 10 empty; 15 gone; 20 gone; 25 a; 30 empty; 35 b; 40 b",
            &expect![[r#"
                5s it is empty
                15s it is gone
                25s mended
                30s it is empty
                35s took b
            "#]],
        );
    }

    #[test]
    fn one_that_cannot_be_used_is_tried_less_and_less_often_and_told_once() {
        check(
            "0 B; 4 B; 5 B; 10 B; 14 B; 15 B; 16 B!; 20 C; 21 c; 25 B; 26 c; 1000 B; 500 B; 799 B; 800 B",
            &expect![[r#"
                0s tried B
                0s B is refused
                5s tried B
                15s tried B
                16s tried B
                20s tried C
                20s C is refused
                21s took c
                25s tried B
                25s B is refused
                26s mended
                1000s tried B
                1000s B is refused
                800s tried B
            "#]],
        );
    }
}
