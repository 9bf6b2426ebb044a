use super::*;
use crate::{
    path::MirrorPath,
    retry::{Disposition, Failure},
};
use expect_test::{Expect, expect};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn branch(id: &str) -> BranchId {
    id.parse().unwrap()
}

fn object(id: &str) -> ObjectKey {
    ObjectKey::Config {
        component: "keboola.ex-shop".parse().unwrap(),
        config: id.parse().unwrap(),
    }
}

/// Plays a script against a ledger, which is stored and read back before each step, and writes down what it tells.
///
/// Steps are `<minute> <branch> <what>`, separated by `;`; the branch `-` is the mirror itself. What: `failing CAUSE`,
/// `needs CAUSE`, `recovered`, `unopened`, `opened`, `ended`, `public`, `private`, `plain OBJECT POINTER…`, `clean OBJECT`,
/// `withheld OBJECT…`, `vanished THROUGH TYPE…`, `months MONTH…`, `tick`.
#[track_caller]
fn check(script: &str, expected: &Expect) {
    let mut ledger = Ledger::default();
    let mut told = String::new();
    for step in script.split(';').map(str::trim) {
        let words: Vec<&str> = step.split(' ').collect();
        let (now, from, rest) = (at(words[0].parse::<i64>().unwrap() * 60), words[1], &words[3..]);
        let reporter: Reporter = (from != "-").then(|| branch(from));
        let outage = |notice| {
            let cause = match rest.first() {
                Some(code) => serde_json::from_value((*code).into()).unwrap(),
                None => Cause::Remote,
            };
            let failure = Failure {
                disposition: Disposition::NeedsCustomer,
                cause,
                reason: format!("{cause} said no"),
            };
            Report::Outage {
                from: reporter.clone(),
                notice,
                outage: Outage::begin(failure, at(0)),
            }
        };
        let exports = |is_public| Report::Exports {
            samples_blocked: is_public,
            encrypted_blocked: is_public,
            why: "a stranger may read it".to_owned(),
        };
        let report = match words[2] {
            "failing" => outage(retry::Notice::Failing),
            "needs" => outage(retry::Notice::NeedsCustomer),
            "warning" => outage(retry::Notice::Warning),
            "recovered" => outage(retry::Notice::Recovered),
            "unopened" => Report::Unopened {
                failure: Failure {
                    disposition: Disposition::Temporary { after: None },
                    cause: Cause::Keboola,
                    reason: "no answer".to_owned(),
                },
            },
            "opened" => Report::Opened,
            "ended" => Report::Ended { branch: branch(from) },
            "public" => exports(true),
            "private" => exports(false),
            "plain" => {
                let places = rest[1..].iter().map(|pointer| Place {
                    path: MirrorPath::parse("configs/main/c.json").unwrap(),
                    pointer: (*pointer).to_owned(),
                    rule: "keboola-plaintext".to_owned(),
                });
                Report::Rendered {
                    branch: branch(from),
                    plaintext: BTreeMap::from([(object(rest[0]), places.collect())]),
                    clean: Clean::default(),
                }
            }
            "clean" => Report::Rendered {
                branch: branch(from),
                plaintext: BTreeMap::new(),
                clean: Clean::These(vec![object(rest[0])]),
            },
            "all-clean-but" => Report::Rendered {
                branch: branch(from),
                plaintext: BTreeMap::new(),
                clean: Clean::AllBut(rest.iter().map(|id| object(id)).collect()),
            },
            "withheld" => Report::Withheld {
                branch: branch(from),
                objects: rest
                    .iter()
                    .map(|id| (object(id).to_string(), "it trapped".to_owned()))
                    .collect(),
            },
            "vanished" => Report::Vanished {
                branch: branch(from),
                through: rest[0].to_owned(),
                types: rest[1..].iter().map(|name| (*name).to_owned()).collect(),
            },
            "months" => Report::Months {
                branch: branch(from),
                refused: rest
                    .iter()
                    .map(|month| ((*month).to_owned(), "it is protected".to_owned()))
                    .collect(),
            },
            "tick" => Report::Tick,
            other => panic!("no such step: {other}"),
        };
        for notice in ledger.take_in(report, now) {
            let branches: Vec<&str> = notice.branches.iter().map(BranchId::as_str).collect();
            let why = if notice.why.is_empty() { "" } else { ": " };
            told.push_str(&format!(
                "{} {} of [{}] since {}{why}{}\n",
                words[0],
                notice.kind.code(),
                branches.join(" "),
                notice.since.as_second() / 60,
                notice.why,
            ));
            for item in &notice.items {
                told.push_str(&format!("  {item}\n"));
            }
            if notice.items_more > 0 {
                told.push_str(&format!("  and {} more\n", notice.items_more));
            }
        }
        let stored = serde_json::to_string(&ledger).unwrap();
        ledger = serde_json::from_str(&stored).unwrap();
    }
    if let Some(due) = ledger.next_due() {
        told.push_str(&format!("waits for {}\n", due.as_second() / 60));
    }
    expected.assert_eq(&told);
}

#[test]
fn an_outage_of_all_branches_is_told_once_and_is_over_with_the_last() {
    check(
        "165 7 warning; 180 7 failing remote; 180 8 failing remote; 181 7 failing remote; 200 7 recovered; 201 7 recovered; \
         202 8 recovered; 203 8 recovered",
        &expect![[r#"
            180 outage of [7] since 0: remote said no
            202 recovered of [7 8] since 0: it was: remote said no
        "#]],
    );
}

#[test]
fn a_mirror_that_cannot_even_be_opened_is_told_as_its_branches_would_be() {
    check(
        "0 - unopened; 5 - unopened; 165 - tick; 180 - tick; 181 7 failing keboola; 185 - unopened; 190 - opened; 191 - opened; \
         192 7 recovered",
        &expect![[r#"
            180 outage of [] since 0: no answer
            192 recovered of [7] since 0: it was: no answer
        "#]],
    );
    check(
        "0 - unopened; 5 - opened; 6 - unopened; 100 - tick",
        &expect![[r#"
            waits for 171
        "#]],
    );
}

#[test]
fn what_needs_somebody_is_told_by_cause_and_where_it_concerns_one_branch_by_branch() {
    check(
        "1 7 needs credentials; 1 8 needs credentials; 1 - needs credentials; 2 7 needs quota; 3 7 needs branch_protected; \
         3 8 needs branch_protected; 180 7 failing quota; 200 7 recovered; 201 8 recovered; 202 - recovered; 300 7 needs quota",
        &expect![[r#"
            1 credentials of [7] since 0: credentials said no
            2 quota of [7] since 0: quota said no
            3 branch_protected of [7] since 0: branch_protected said no
            3 branch_protected of [8] since 0: branch_protected said no
            180 outage of [7] since 0: quota said no
            200 recovered of [7] since 0: it was: branch_protected said no
            201 recovered of [8] since 0: it was: branch_protected said no
            202 recovered of [7 8] since 0: it was: credentials said no
            300 quota of [7] since 0: quota said no
        "#]],
    );
}

#[test]
fn a_branch_that_was_deleted_leaves_nothing_open() {
    check(
        "1 7 needs mass_deletion; 2 7 withheld a; 3 7 ended; 4 7 ended; 5 7 recovered; 70 7 withheld a",
        &expect![[r#"
            1 mass_deletion of [7] since 0: mass_deletion said no
            2 withheld of [7] since 2
              keboola.ex-shop/a: it trapped
            3 recovered of [7] since 0: the branch was deleted in Keboola, so its mirror has ended
            70 withheld of [7] since 70
              keboola.ex-shop/a: it trapped
        "#]],
    );
}

#[test]
fn a_repository_that_turns_public_is_told_each_time_it_does() {
    check(
        "1 - private; 2 - public; 3 - public; 4 - private; 5 - public",
        &expect![[r#"
            2 samples_off of [] since 2: a stranger may read it
            2 secrets_masked of [] since 2: a stranger may read it
            5 samples_off of [] since 5: a stranger may read it
            5 secrets_masked of [] since 5: a stranger may read it
        "#]],
    );
}

#[test]
fn where_all_was_rendered_only_what_was_not_may_still_have_its_plain_secrets() {
    check(
        "1 7 plain a /#p; 2 7 plain b /#p; 3 7 plain c /#p; 70 - tick; 71 7 all-clean-but b; 72 7 plain a /#p; 73 7 plain b /#p; \
         140 - tick",
        &expect![[r#"
            1 plaintext_secrets of [7] since 1
              configs/main/c.json at /#p
            70 plaintext_secrets of [7] since 2
              configs/main/c.json at /#p
              configs/main/c.json at /#p
            140 plaintext_secrets of [7] since 72
              configs/main/c.json at /#p
        "#]],
    );
}

#[test]
fn places_of_plain_secrets_are_told_once_while_they_are_there_and_what_follows_is_gathered() {
    check(
        "1 7 plain a /#p /#q; 2 7 plain a /#p /#q; 3 7 plain a /#q /#r; 4 8 plain b /#s; 60 - tick; 61 - tick; 62 7 clean a; \
         63 7 plain a /#q",
        &expect![[r#"
            1 plaintext_secrets of [7] since 1
              configs/main/c.json at /#p
              configs/main/c.json at /#q
            61 plaintext_secrets of [7 8] since 3
              configs/main/c.json at /#r
              configs/main/c.json at /#s
            waits for 121
        "#]],
    );
}

#[test]
fn a_policy_that_fails_on_everything_makes_one_notice_and_not_one_for_each_object() {
    let ids: Vec<String> = (10..40).map(|number| number.to_string()).collect();
    let all = ids.join(" ");
    check(
        &format!("1 7 withheld {all}; 2 7 withheld {all}; 3 7 withheld 10; 4 7 withheld 10 11 12; 61 - tick"),
        &expect![[r#"
            1 withheld of [7] since 1
              keboola.ex-shop/10: it trapped
              keboola.ex-shop/11: it trapped
              keboola.ex-shop/12: it trapped
              keboola.ex-shop/13: it trapped
              keboola.ex-shop/14: it trapped
              keboola.ex-shop/15: it trapped
              keboola.ex-shop/16: it trapped
              keboola.ex-shop/17: it trapped
              keboola.ex-shop/18: it trapped
              keboola.ex-shop/19: it trapped
              keboola.ex-shop/20: it trapped
              keboola.ex-shop/21: it trapped
              keboola.ex-shop/22: it trapped
              keboola.ex-shop/23: it trapped
              keboola.ex-shop/24: it trapped
              keboola.ex-shop/25: it trapped
              keboola.ex-shop/26: it trapped
              keboola.ex-shop/27: it trapped
              keboola.ex-shop/28: it trapped
              keboola.ex-shop/29: it trapped
              and 10 more
            61 withheld of [7] since 4
              keboola.ex-shop/11: it trapped
              keboola.ex-shop/12: it trapped
        "#]],
    );
}

#[test]
fn types_of_which_nothing_is_left_are_told_once_for_each_commit() {
    check(
        "1 7 vanished 4/0 writers; 2 7 vanished 4/0 writers; 70 7 vanished 9/0 writers rows; 71 8 vanished 9/0 rows; 131 - tick",
        &expect![[r#"
            1 vanished of [7] since 1
              writers
            70 vanished of [7] since 70
              writers
              rows
            131 vanished of [8] since 71
              rows
        "#]],
    );
}

#[test]
fn a_month_that_takes_no_pushes_is_told_once_and_so_is_the_end_whatever_the_branch_itself_does() {
    check(
        "1 7 months 10; 2 7 months 10; 3 7 months 10 11; 4 7 needs quota; 5 7 recovered; 6 8 months 10; 7 7 months 11; 8 7 months; \
         9 7 months; 10 8 ended; 11 8 months",
        &expect![[r#"
            1 months_refused of [7] since 1
              10: it is protected
            3 months_refused of [7] since 3
              11: it is protected
            4 quota of [7] since 0: quota said no
            5 recovered of [7] since 0: it was: quota said no
            6 months_refused of [8] since 6
              10: it is protected
            8 recovered of [7] since 1: it was: 11: it is protected
        "#]],
    );
}
