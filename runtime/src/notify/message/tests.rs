use super::*;
use expect_test::{Expect, expect};
use std::collections::BTreeSet;

fn message(kind: NoticeKind, items: &[&str]) -> Message {
    let branch: BranchId = "1001".parse().unwrap();
    let context = Context {
        mirror: "retail".parse().unwrap(),
        stack: "connection.keboola.com".parse().unwrap(),
        project: "5678".parse().unwrap(),
        repository: "https://github.com/acme/retail.git".to_owned(),
        main: "main".to_owned(),
        branches: ["1001", "2002"]
            .map(|id| GitBranch {
                keboola_branch: id.parse().unwrap(),
                git_branch: format!("keboola/{id}"),
            })
            .into(),
    };
    let since: Timestamp = "2026-11-26T02:00:00Z".parse().unwrap();
    let notice = Notice {
        kind,
        branches: BTreeSet::from([branch]),
        since,
        at: "2026-11-26T05:00:00Z".parse().unwrap(),
        why: "cannot reach remote <github.com>\nSubject: forged".to_owned(),
        items: items.iter().map(|item| (*item).to_owned()).collect(),
        items_more: 0,
    };
    Message::new("msg_1".to_owned(), context, notice)
}

fn check(kind: NoticeKind, items: &[&str], expected: &Expect) {
    let message = message(kind, items);
    expected.assert_eq(&format!("{}\n\n{}", message.subject(), message.text()));
}

#[test]
fn a_notice_names_project_branch_since_when_why_and_what_to_do() {
    check(
        NoticeKind::Failing(Cause::Remote),
        &[],
        &expect![[r#"
            [kbc-mirror] project 5678, branch keboola/1001: failing for 3 hours: the Git server cannot be reached

            The mirror `retail` has failed for 3 hours. Nothing is lost: changes wait in its log, and it tries again every five minutes. You are told once more when it works again.

            Project:    5678 on connection.keboola.com
            Mirror:     retail
            Repository: https://github.com/acme/retail.git
            Branch:     keboola/1001 (Keboola branch 1001)
            Since:      2026-11-26 02:00:00 UTC
            Why:        cannot reach remote <github.com> Subject: forged
            What to do: Nothing, if the Git server is known to be down: it is tried again every few minutes. Otherwise check the repository's address, its firewall and what stands between.
        "#]],
    );
    check(
        NoticeKind::PlaintextSecrets,
        &["configs/main/x.json at /parameters/#password"],
        &expect![[r#"
            [kbc-mirror] project 5678, branch keboola/1001: 1 secret not encrypted

            The mirror `retail` found 1 value under `#` keys that Keboola should have encrypted. They were masked and are not in the repository, but they stand in Keboola in plain text.

            Project:    5678 on connection.keboola.com
            Mirror:     retail
            Repository: https://github.com/acme/retail.git
            Branch:     keboola/1001 (Keboola branch 1001)
            Since:      2026-11-26 02:00:00 UTC
            Why:        cannot reach remote <github.com> Subject: forged
            What to do: Enter these values in Keboola once more, so that it encrypts them; change them where others may have seen them.

            - configs/main/x.json at /parameters/#password
        "#]],
    );
}

#[test]
fn a_month_that_takes_no_pushes_says_that_all_else_goes_on_and_what_to_do() {
    check(
        NoticeKind::MonthsRefused,
        &["keboola-jobs/main/2026-11: the branch is protected"],
        &expect![[r#"
            [kbc-mirror] project 5678, branch keboola/1001: action needed: the Git server refuses job runs

            The Git server does not take 1 branch of a month of job runs of the mirror `retail`. Everything else is mirrored; these runs are kept, and it tries again every few minutes. You are told once more when it works again.

            Project:    5678 on connection.keboola.com
            Mirror:     retail
            Repository: https://github.com/acme/retail.git
            Branch:     keboola/1001 (Keboola branch 1001)
            Since:      2026-11-26 02:00:00 UTC
            Why:        cannot reach remote <github.com> Subject: forged
            What to do: Each line says why. Let the mirror's account push to branches whose names begin with `keboola-jobs/`, or mend what is named; or have the operator set `jobs = { log = "branch" }`, which keeps runs on the branch of everything else.

            - keboola-jobs/main/2026-11: the branch is protected
        "#]],
    );
}

#[test]
fn a_type_of_which_nothing_is_left_says_how_many_there_were() {
    check(
        NoticeKind::Vanished,
        &["writer configurations: 3 before, 0 now"],
        &expect![[r#"
            [kbc-mirror] project 5678, branch keboola/1001: nothing left of 1 type of objects

            A commit of the mirror `retail` leaves nothing of 1 type of objects that the branch had several of. Keboola has none of them any more, so they were deleted in the repository too, whose history keeps them.

            Project:    5678 on connection.keboola.com
            Mirror:     retail
            Repository: https://github.com/acme/retail.git
            Branch:     keboola/1001 (Keboola branch 1001)
            Since:      2026-11-26 02:00:00 UTC
            Why:        cannot reach remote <github.com> Subject: forged
            What to do: If they were to go, nothing. Else restore them in Keboola from its trash or from the repository's history; the mirror takes up what is there again by itself.

            - writer configurations: 3 before, 0 now
        "#]],
    );
}

#[test]
fn programs_get_the_same_as_members() {
    let payload = message(NoticeKind::NeedsCustomer(Cause::Quota), &[]).payload();
    let shown = serde_json::to_string_pretty(&payload).unwrap();
    let expected = expect![[r#"
        {
          "type": "mirror.needs_customer",
          "timestamp": "2026-11-26T05:00:00Z",
          "data": {
            "reason": "quota",
            "cause": "quota",
            "mirror": "retail",
            "stack": "connection.keboola.com",
            "projectId": "5678",
            "repository": "https://github.com/acme/retail.git",
            "branches": [
              {
                "branchId": "1001",
                "gitBranch": "keboola/1001"
              }
            ],
            "since": "2026-11-26T02:00:00Z",
            "why": "cannot reach remote <github.com>\nSubject: forged",
            "whatToDo": "Free space in the repository or buy more; the server's operator must mend a full disk.",
            "items": [],
            "itemsMore": 0,
            "subject": "[kbc-mirror] project 5678, branch keboola/1001: action needed: the repository has no room left"
          }
        }"#]];
    expected.assert_eq(&shown);
}

#[test]
fn no_text_of_others_is_obeyed() {
    for kind in [
        NoticeKind::Failing(Cause::Remote),
        NoticeKind::Withheld,
        NoticeKind::Test,
    ] {
        let message = message(kind, &["a\r\nb <!channel> ``` & c"]);
        assert!(!message.subject().chars().any(char::is_control));
        assert!(message.text().lines().all(|line| !line.starts_with("Subject:")));
        let slack = message.slack()["text"].as_str().unwrap().to_owned();
        assert!(!slack.contains('<') && !slack.contains(" & "), "{slack}");
        assert_eq!(slack.matches("```").count(), 2, "{slack}");
    }
}
