//! Judging items in batches, and finding the one that a batch fails of.
//!
//! Knows nothing of WebAssembly: `run` judges a batch in a fresh instance, whatever that is.

use crate::{
    meter::Failure,
    strikes::{Fingerprint, Strikes},
};
use mirror_core::finding::WithholdReason;
use std::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

/// The wall clock ran out on a single item that may still be innocent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeadlineHit;

/// Counts the items that a guest has failed of at a cost since it last answered, over all calls.
///
/// A guest that takes its full time to fail of every item would keep everybody waiting. So a call asks it no more after some
/// such failures in a row, and the next call after one: until it answers again. What is not asked is withheld. Failures
/// that cost next to nothing, such as a trap at once, do not count: the guest is asked about all others.
#[derive(Debug, Default)]
pub(crate) struct Patience(AtomicU32);

impl Patience {
    /// Returns how many items may fail in a row in a call that begins now.
    fn allowance(&self, failures_in_row_max: u32) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            failed if failed >= failures_in_row_max => 1,
            _ => failures_in_row_max,
        }
    }

    fn failed(&self) {
        // Past the limit the count says nothing more.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_add(1));
    }

    fn answered(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What asking about a batch once has come to.
pub(crate) struct Judged<O> {
    pub(crate) answers: Result<Vec<O>, Failure>,
    /// It took long, so that a guest that always fails so must not be asked about everything.
    pub(crate) is_costly: bool,
}

/// How to judge items of one kind.
pub(crate) struct Batches<'a, I> {
    pub(crate) guest: &'a str,
    pub(crate) items_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) weigh: &'a dyn Fn(&I) -> usize,
    pub(crate) strikes: &'a Strikes,
    /// None: it is asked to the end.
    pub(crate) patience: Option<&'a Patience>,
    pub(crate) failures_in_row_max: u32,
    pub(crate) fingerprint: &'a dyn Fn(&I) -> Fingerprint,
}

impl<I> Batches<'_, I> {
    /// Judges all items, in order. `run` judges some of them and must return one answer for each.
    ///
    /// A batch that fails is halved until the item at fault is found; that one gets the reason and
    /// its neighbours their answers. Every item's outcome is thus what it would get alone, unless the guest
    /// fails at a cost so often in a row that it is not asked any more.
    pub(crate) fn judge<O>(
        &self,
        items: &[I],
        mut run: impl FnMut(&[I]) -> Judged<O>,
    ) -> Result<Vec<Result<O, WithholdReason>>, DeadlineHit> {
        let mut outcomes: Vec<Option<Result<O, WithholdReason>>> = items.iter().map(|_| None).collect();
        let mut open = self.split(items);
        open.reverse();
        let mut allowance = self
            .patience
            .map_or(u32::MAX, |patience| patience.allowance(self.failures_in_row_max));
        let mut failed_in_row = 0;
        // The first of these.
        let mut first = None;
        while let Some(range) = open.pop() {
            if let Some(first) = first.as_ref().filter(|_| failed_in_row >= allowance) {
                outcomes[range].fill_with(|| Some(Err(self.not_asked(failed_in_row, first))));
                continue;
            }
            let Judged { answers, is_costly } = run(&items[range.clone()]);
            let failure = match answers {
                Ok(answers) if answers.len() == range.len() => {
                    self.forgive(&items[range.clone()]);
                    (failed_in_row, first) = (0, None);
                    if let Some(patience) = self.patience {
                        patience.answered();
                        allowance = self.failures_in_row_max;
                    }
                    for (outcome, answer) in outcomes[range].iter_mut().zip(answers) {
                        *outcome = Some(Ok(answer));
                    }
                    continue;
                }
                Ok(answers) => self.wrong_count(answers.len(), range.len()),
                Err(failure) => failure,
            };
            let mut withhold = |at: usize, reason: WithholdReason| {
                if is_costly || matches!(reason, WithholdReason::OverLimit { .. }) {
                    failed_in_row += 1;
                    first.get_or_insert_with(|| reason.clone());
                    if let Some(patience) = self.patience {
                        patience.failed();
                    }
                }
                outcomes[at] = Some(Err(reason));
            };
            match failure {
                Failure::Item { index, reason } if index < range.len() => {
                    let at = range.start + index;
                    withhold(at, reason);
                    open.extend(
                        [at + 1..range.end, range.start..at]
                            .into_iter()
                            .filter(|rest| !rest.is_empty()),
                    );
                }
                _ if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    open.extend([middle..range.end, range.start..middle]);
                }
                Failure::Deadline => {
                    if !self.strikes.hit((self.fingerprint)(&items[range.start])) {
                        return Err(DeadlineHit);
                    }
                    let guest = self.guest.to_owned();
                    let limit = "deadline_ms".to_owned();
                    withhold(range.start, WithholdReason::OverLimit { guest, limit });
                }
                Failure::Item { reason, .. } | Failure::Batch(reason) => withhold(range.start, reason),
            }
        }
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(self.unanswered())))
            .collect())
    }

    /// Cuts the items into batches. One that hit the deadline before stands alone, so that its
    /// neighbours do not wait for it again.
    fn split(&self, items: &[I]) -> Vec<Range<usize>> {
        let suspects = !self.strikes.is_empty();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut bytes = 0_usize;
        let mut closed = true;
        for (index, item) in items.iter().enumerate() {
            let weight = (self.weigh)(item);
            let alone = suspects && self.strikes.is_suspect(&(self.fingerprint)(item));
            bytes = bytes.saturating_add(weight);
            match ranges.last_mut() {
                Some(last) if !closed && !alone && last.len() < self.items_max && bytes <= self.bytes_max => {
                    last.end = index + 1;
                }
                _ => {
                    ranges.push(index..index + 1);
                    bytes = weight;
                }
            }
            closed = alone;
        }
        ranges
    }

    fn forgive(&self, items: &[I]) {
        if !self.strikes.is_empty() {
            for item in items {
                self.strikes.clear(&(self.fingerprint)(item));
            }
        }
    }

    fn wrong_count(&self, answers: usize, items: usize) -> Failure {
        let detail = format!("{answers} answers for {items} items");
        Failure::Batch(WithholdReason::Malformed {
            guest: self.guest.to_owned(),
            detail,
        })
    }

    fn not_asked(&self, failures: u32, first: &WithholdReason) -> WithholdReason {
        WithholdReason::NotAsked {
            guest: self.guest.to_owned(),
            failures,
            first: Box::new(first.clone()),
        }
    }

    /// Every range ends in an outcome for each of its items; should that ever be wrong, it fails closed.
    fn unanswered(&self) -> WithholdReason {
        WithholdReason::Malformed {
            guest: self.guest.to_owned(),
            detail: "no answer".to_owned(),
        }
    }
}

/// Cuts a batch into what one instance is asked about with one call after the other: as many items as have `bytes_max`
/// together, and at least one.
pub(crate) fn pieces<'b, I>(
    batch: &'b [I],
    bytes_max: usize,
    weigh: &dyn Fn(&I) -> usize,
) -> impl Iterator<Item = &'b [I]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fits = |item: &&I| {
            bytes = bytes.saturating_add(weigh(item));
            bytes <= bytes_max
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (piece, after) = rest.split_at(count);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::{cell::RefCell, fmt::Write};

    fn reason(detail: &str) -> WithholdReason {
        WithholdReason::Trapped {
            guest: "g".to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// Judges letters: `!` traps, `$` does so after a long time, `#` goes over a limit, `?` is named by the guest, `~` takes
    /// for ever, `>` names an item that is not there, `+` gets two answers. Others are answered.
    fn answer(batch: &str) -> Result<Vec<char>, Failure> {
        if batch.contains('#') {
            return Err(Failure::Batch(WithholdReason::OverLimit {
                guest: "g".to_owned(),
                limit: "fuel_max".to_owned(),
            }));
        }
        if batch.contains(['!', '$']) {
            return Err(Failure::Batch(reason("trap")));
        }
        if batch.contains('~') {
            return Err(Failure::Deadline);
        }
        if batch.contains('>') {
            return Err(Failure::Item {
                index: batch.len(),
                reason: reason("out of range"),
            });
        }
        match batch.find('?') {
            Some(index) => Err(Failure::Item {
                index,
                reason: reason("named"),
            }),
            None => Ok(batch
                .chars()
                .flat_map(|c| vec![c; if c == '+' { 2 } else { 1 }])
                .collect()),
        }
    }

    fn play(items: &str, strikes: &Strikes) -> String {
        play_with(items, strikes, None)
    }

    fn play_with(items: &str, strikes: &Strikes, patience: Option<&Patience>) -> String {
        let letters: Vec<char> = items.chars().collect();
        let runs = RefCell::new(Vec::new());
        let batches = Batches {
            guest: "g",
            items_max: 4,
            bytes_max: 100,
            weigh: &|letter: &char| if letter.is_uppercase() { 80 } else { 1 },
            strikes,
            patience,
            failures_in_row_max: 3,
            fingerprint: &|letter: &char| crate::strikes::fingerprint(&[], letter),
        };
        let outcomes = batches.judge(&letters, |batch| {
            let batch: String = batch.iter().collect();
            runs.borrow_mut().push(batch.clone());
            Judged {
                answers: answer(&batch),
                is_costly: batch.contains('$'),
            }
        });
        let mut text = runs.into_inner().join(" ") + "\n";
        match outcomes {
            Err(DeadlineHit) => text.push_str("deadline\n"),
            Ok(outcomes) => {
                for outcome in outcomes {
                    match outcome {
                        Ok(letter) => writeln!(text, "{letter}"),
                        Err(reason) => writeln!(text, "{reason}"),
                    }
                    .expect("a string takes any text");
                }
            }
        }
        text
    }

    #[track_caller]
    fn check(items: &str, expected: &Expect) {
        expected.assert_eq(&play(items, &Strikes::default()));
    }

    #[test]
    fn batches_hold_so_many_items_and_so_many_bytes() {
        check(
            "abcdeABf",
            &expect![[r#"
            abcd eA Bf
            a
            b
            c
            d
            e
            A
            B
            f
        "#]],
        );
        assert_eq!(play("", &Strikes::default()), "\n");
    }

    #[test]
    fn the_item_that_a_batch_fails_of_is_found_and_its_neighbours_pass() {
        check(
            "ab!d",
            &expect![[r#"
            ab!d ab !d ! d
            a
            b
            the g trapped: trap
            d
        "#]],
        );
        check(
            "!!",
            &expect![[r#"
            !! ! !
            the g trapped: trap
            the g trapped: trap
        "#]],
        );
    }

    #[test]
    fn an_item_that_the_guest_names_is_withheld_at_once() {
        check(
            "a?c?",
            &expect![[r#"
            a?c? a c? c
            a
            the g trapped: named
            c
            the g trapped: named
        "#]],
        );
        check(
            "?",
            &expect![[r#"
            ?
            the g trapped: named
        "#]],
        );
    }

    #[test]
    fn an_answer_that_does_not_fit_is_not_taken() {
        check(
            "a+",
            &expect![[r#"
            a+ a +
            a
            the g answered with something malformed: 2 answers for 1 items
        "#]],
        );
        check(
            "a>",
            &expect![[r#"
            a> a >
            a
            the g trapped: out of range
        "#]],
        );
    }

    #[test]
    fn the_third_time_an_item_hits_the_deadline_it_is_withheld() {
        let strikes = Strikes::default();
        let plays: String = (0..4).map(|_| play("ab~d", &strikes)).collect();
        expect![[r#"
            ab~d ab ~d ~
            deadline
            ab ~
            deadline
            ab ~ d
            a
            b
            the g went over its deadline_ms limit
            d
            ab ~ d
            a
            b
            the g went over its deadline_ms limit
            d
        "#]]
        .assert_eq(&plays);
    }

    #[test]
    fn an_item_that_answers_again_is_forgiven() {
        let strikes = Strikes::default();
        strikes.hit(crate::strikes::fingerprint(&[], &'b'));
        expect![[r#"
            a b c
            a
            b
            c
        "#]]
        .assert_eq(&play("abc", &strikes));
        assert!(strikes.is_empty());
    }

    #[test]
    fn a_guest_that_fails_at_a_cost_again_and_again_is_not_asked_to_the_end() {
        let (strikes, patience) = (Strikes::default(), Patience::default());
        let plays: String = ["##$##a", "#a##", "b$##c"]
            .map(|items| play_with(items, &strikes, Some(&patience)))
            .concat();
        expect![[r#"
            ##$# ## # # $# $
            the g went over its fuel_max limit
            the g went over its fuel_max limit
            the g trapped: trap
            the g was not asked, as it had failed on 3 in a row before; first, the g went over its fuel_max limit
            the g was not asked, as it had failed on 3 in a row before; first, the g went over its fuel_max limit
            the g was not asked, as it had failed on 3 in a row before; first, the g went over its fuel_max limit
            #a## #a #
            the g went over its fuel_max limit
            the g was not asked, as it had failed on 1 in a row before; first, the g went over its fuel_max limit
            the g was not asked, as it had failed on 1 in a row before; first, the g went over its fuel_max limit
            the g was not asked, as it had failed on 1 in a row before; first, the g went over its fuel_max limit
            b$## b$ b $ ## # #
            b
            the g trapped: trap
            the g went over its fuel_max limit
            the g went over its fuel_max limit
            the g was not asked, as it had failed on 3 in a row before; first, the g trapped: trap
        "#]].assert_eq(&plays);
    }

    #[test]
    fn failures_that_cost_nothing_take_no_neighbours_with_them() {
        let (strikes, patience) = (Strikes::default(), Patience::default());
        let plays: String = ["!!??!a", "!!!!", "!b"]
            .map(|items| play_with(items, &strikes, Some(&patience)))
            .concat();
        expect![[r#"
            !!?? !! ! ! ?? ? !a ! a
            the g trapped: trap
            the g trapped: trap
            the g trapped: named
            the g trapped: named
            the g trapped: trap
            a
            !!!! !! ! ! !! ! !
            the g trapped: trap
            the g trapped: trap
            the g trapped: trap
            the g trapped: trap
            !b ! b
            the g trapped: trap
            b
        "#]]
        .assert_eq(&plays);
        // Others in between neither count nor begin the row anew.
        expect![[r#"
            #!#! #! # ! #! # ! #ab #
            the g went over its fuel_max limit
            the g trapped: trap
            the g went over its fuel_max limit
            the g trapped: trap
            the g went over its fuel_max limit
            the g was not asked, as it had failed on 3 in a row before; first, the g went over its fuel_max limit
            the g was not asked, as it had failed on 3 in a row before; first, the g went over its fuel_max limit
        "#]].assert_eq(&play_with("#!#!#ab", &strikes, Some(&patience)));
    }
}
