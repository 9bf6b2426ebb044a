//! The words of the forges, as tables.

use super::*;
use expect_test::expect;

#[track_caller]
fn check(table: &[(&str, &str, &str)]) {
    for (reason, messages, expected) in table {
        let found = match classify(reason, None, messages, &OwnNames::default()) {
            Meaning::Refused(refusal) => refusal.code(),
            Meaning::Contended => "contended",
            Meaning::RateLimited => "rate_limited",
        };
        assert_eq!(found, *expected, "{reason:?} {messages:?}");
    }
}

#[test]
fn github() {
    check(&[
        (
            "protected branch hook declined",
            "error: GH006: Protected branch update failed for refs/heads/main.\n- Changes must be made through a pull request.",
            "protected_branch",
        ),
        (
            "push declined due to repository rule violations",
            "error: GH013: Repository rule violations found for refs/heads/main.\n\n- Cannot update this protected ref.",
            "protected_branch",
        ),
        (
            "push declined due to repository rule violations",
            "error: GH013: Repository rule violations found for refs/heads/main.\n- Commits must have verified signatures.",
            "commit_rule",
        ),
        (
            "push declined due to repository rule violations",
            "error: GH013: Repository rule violations found for refs/heads/main.\n- The author email must end with '@example.com'",
            "author_email",
        ),
        (
            "push declined due to repository rule violations",
            "error: GH013: Repository rule violations found for refs/heads/main.\n- GITHUB PUSH PROTECTION\n- Push cannot contain secrets",
            "secrets",
        ),
        (
            "push declined due to email privacy restrictions",
            "error: GH007: Your push would publish a private email address.",
            "author_email",
        ),
        (
            "pre-receive hook declined",
            "error: GH001: Large files detected. You may want to try Git Large File Storage\nerror: File a/b.csv is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB",
            "file_too_large",
        ),
        (
            "unpacker error",
            "fatal: pack exceeds maximum allowed size (2.00 GiB)",
            "push_too_large",
        ),
        (
            "",
            "This repository was archived so it is read-only.",
            "read_only",
        ),
        ("", "Permission to a/b.git denied to somebody.", "not_permitted"),
        ("", "Write access to repository not granted.", "not_permitted"),
        (
            "",
            "ERROR: The key you are authenticating with has been marked as read only.",
            "not_permitted",
        ),
        (
            "refusing to allow a Personal Access Token to create or update workflow `.github/workflows/a.yml` without `workflow` scope",
            "",
            "not_permitted",
        ),
        ("fetch first", "", "contended"),
    ]);
}

#[test]
fn gitlab() {
    check(&[
        (
            "pre-receive hook declined",
            "GitLab: You are not allowed to push code to protected branches on this project.",
            "protected_branch",
        ),
        (
            "pre-receive hook declined",
            "GitLab: You are not allowed to push code to this project.",
            "not_permitted",
        ),
        (
            "pre-receive hook declined",
            "GitLab: Commit author's email 'a@b.c' does not follow the pattern '@example.com$'",
            "author_email",
        ),
        (
            "pre-receive hook declined",
            "GitLab: You cannot push commits for 'a@b.c'. You can only push commits that were committed with one of your own verified emails.",
            "author_email",
        ),
        (
            "pre-receive hook declined",
            "GitLab: Commit message does not follow the pattern 'JIRA-\\d+'",
            "commit_rule",
        ),
        (
            "pre-receive hook declined",
            "GitLab: Commit must be signed with a GPG key",
            "commit_rule",
        ),
        (
            "pre-receive hook declined",
            "GitLab: Branch name does not follow the pattern '^x'",
            "branch_name",
        ),
        (
            "pre-receive hook declined",
            "GitLab: File name id_rsa was prohibited by the pattern \"x\".",
            "file_name",
        ),
        (
            "pre-receive hook declined",
            "GitLab: File \"a.csv\" is larger than the allowed size of 10 MiB",
            "file_too_large",
        ),
        (
            "pre-receive hook declined",
            "GitLab: Your push has been rejected, because this repository has exceeded its size limit of 10 GB by 1 GB.",
            "quota",
        ),
        (
            "pre-receive hook declined",
            "PUSH BLOCKED: Secrets detected in code changes",
            "secrets",
        ),
        (
            "pre-receive hook declined",
            "GitLab: You can't push code to a read-only GitLab instance.",
            "read_only",
        ),
        (
            "pre-receive hook declined",
            "GitLab: You are not allowed to force push code to a protected branch on this project.",
            "protected_branch",
        ),
        (
            "pre-receive hook declined",
            "GitLab: You are not allowed to merge code into protected branches on this project.",
            "protected_branch",
        ),
        (
            "pre-receive hook declined",
            "GitLab: You are not allowed to delete protected branches from this project. Only a project maintainer or owner can delete a protected branch.",
            "deletion_refused",
        ),
        (
            "pre-receive hook declined",
            "GitLab: You can only delete protected branches using the web interface.",
            "deletion_refused",
        ),
        (
            "pre-receive hook declined",
            "GitLab: The default branch of a project cannot be deleted.",
            "deletion_refused",
        ),
        (
            "pre-receive hook declined",
            "GitLab: Committer email 'a@b.c' is not verified.",
            "author_email",
        ),
        (
            "pre-receive hook declined",
            "GitLab: Failed to authorize your Git request: internal API unreachable",
            "rate_limited",
        ),
        (
            "pre-receive hook declined",
            "GitLab: API is not accessible",
            "rate_limited",
        ),
    ]);
}

#[test]
fn bitbucket_gitea_and_azure_devops() {
    check(&[
        (
            "pre-receive hook declined",
            "Permission denied to update branch main.",
            "protected_branch",
        ),
        (
            "pre-receive hook declined",
            "Branch refs/heads/main can only be modified through pull requests.",
            "protected_branch",
        ),
        ("", "fatal: pack exceeds maximum allowed size", "push_too_large"),
        (
            "",
            "Repository is in read-only mode (over its size limit).",
            "quota",
        ),
        (
            "pre-receive hook declined",
            "refs/heads/x: 3207cba: expected committer email 'a@b.c' but found 'd@b.c'",
            "author_email",
        ),
        (
            "pre-receive hook declined",
            "Gitea: Not allowed to push to protected branch main",
            "protected_branch",
        ),
        ("", "Gitea: User permission denied for writing.", "not_permitted"),
        ("", "mirror repository is read-only", "read_only"),
        ("", "Forgejo: Quota exceeded", "quota"),
        (
            "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.",
            "",
            "protected_branch",
        ),
        (
            "TF401027: You need the Git 'GenericContribute' permission to perform this action.",
            "",
            "not_permitted",
        ),
        (
            "VS403654: The push was rejected because it contains one or more secrets.",
            "",
            "secrets",
        ),
        (
            "VS403702: The push was rejected because commit 'abc' has an author email 'a@b.c' that does not match",
            "",
            "author_email",
        ),
        (
            "VS403654: The push was rejected because it might contain credentials or other secrets.",
            "",
            "secrets",
        ),
        (
            "VS403702: The push was rejected because one or more commits contain author email 'a@b.c' which does not match the policy-specified patterns.",
            "",
            "author_email",
        ),
        (
            "VS403463: The conditional access policy defined by your Microsoft Entra administrator has failed.",
            "",
            "not_permitted",
        ),
        (
            "TF401027: You need the Git 'CreateBranch' permission to perform this action. Details: identity 'Build\\1', scope 'repository'.",
            "",
            "not_permitted",
        ),
        (
            "TF401027: You need the Git 'ForcePush' permission to perform this action. Details: identity 'Build\\1', scope 'branch'.",
            "",
            "deletion_refused",
        ),
        (
            "",
            "The Git pack file limit has been reached, write operations are temporarily unavailable while the repository is updated.",
            "rate_limited",
        ),
        (
            "TF401028: The reference 'refs/heads/main' has already been updated by another client, so you cannot update it.",
            "",
            "contended",
        ),
    ]);
}

#[test]
fn git_itself() {
    check(&[
        (
            "failed to update ref",
            "error: cannot lock ref 'refs/heads/main': is at 1 but expected 2",
            "contended",
        ),
        ("reference already exists", "", "contended"),
        ("pre-receive hook declined", "no pushes on Fridays", "hook"),
        (
            "deletion prohibited",
            "error: denying ref deletion for refs/heads/main",
            "deletion_refused",
        ),
        ("branch is currently checked out", "", "protected_branch"),
        (
            "unpacker error",
            "error: unable to write file ./objects/pack: No space left on device",
            "server_storage",
        ),
        ("missing necessary objects", "", "missing_objects"),
        ("who knows", "", "unknown"),
    ]);
    let unpack = classify(
        "unpacker error",
        Some("index-pack abnormal exit"),
        "",
        &OwnNames::default(),
    );
    assert_eq!(unpack, Meaning::Refused(Refusal::InvalidObjects));
}

fn shown(messages: &str) -> String {
    let Meaning::Refused(refusal @ Refusal::Secrets(_)) = classify("", None, messages, &OwnNames::default())
    else {
        panic!("no secrets in {messages}")
    };
    let Refusal::Secrets(findings) = &refusal else {
        unreachable!()
    };
    format!("{refusal}\n{findings:#?}\n")
}

#[test]
fn where_secrets_were_found_is_read() {
    let github = "error: GH013: Repository rule violations found for refs/heads/main.\n\n\
        - GITHUB PUSH PROTECTION\n  —————————————————————————————————————————\n    Resolve the following violations before pushing again\n\n\
            - Push cannot contain secrets\n\n\n       —— GitHub Personal Access Token ——————————————————————\n        locations:\n\
                  - commit: 5477a7dd26384ed3c8b3814ee677f755ad27a597\n            path: configs/main/a.json:34\n\
                  - commit: 5477a7dd26384ed3c8b3814ee677f755ad27a597\n            path: configs/main/b.json:1\n\n\
               —— Slack Token ———\n        locations:\n          - blob id: 8843d7f92416211de9ebb963ff4ce28125932878\n            path: x:y.json:2\n";
    expect![[r#"
        it found secrets in what was pushed; remove them at their source: configs/main/a.json, line 34, configs/main/b.json, line 1, x:y.json, line 2
        [
            SecretFinding {
                kind: Some(
                    "GitHub Personal Access Token",
                ),
                commit: Some(
                    "5477a7dd26384ed3c8b3814ee677f755ad27a597",
                ),
                path: Some(
                    "configs/main/a.json",
                ),
                line: Some(
                    34,
                ),
                blob: None,
            },
            SecretFinding {
                kind: Some(
                    "GitHub Personal Access Token",
                ),
                commit: Some(
                    "5477a7dd26384ed3c8b3814ee677f755ad27a597",
                ),
                path: Some(
                    "configs/main/b.json",
                ),
                line: Some(
                    1,
                ),
                blob: None,
            },
            SecretFinding {
                kind: Some(
                    "Slack Token",
                ),
                commit: None,
                path: Some(
                    "x:y.json",
                ),
                line: Some(
                    2,
                ),
                blob: Some(
                    "8843d7f92416211de9ebb963ff4ce28125932878",
                ),
            },
        ]
    "#]]
    .assert_eq(&shown(github));
    let gitlab = "PUSH BLOCKED: Secrets detected in code changes\nSecret push protection found the following secrets in commit: \
        abcdef0123\n-- config/settings.py:15 | AWS Access Key\n";
    let azure = "VS403654: The push was rejected because it contains one or more secrets.\ncommit: abcdef0123, paths: /src/a.cs(7,2-30) : SEC101/156\n";
    for (messages, path, line) in [(gitlab, "config/settings.py", 15), (azure, "src/a.cs", 7)] {
        let Meaning::Refused(Refusal::Secrets(found)) = classify("", None, messages, &OwnNames::default())
        else {
            panic!("{messages}")
        };
        assert_eq!(found.len(), 1, "{messages}");
        assert_eq!(
            (
                found[0].path.as_deref(),
                found[0].line,
                found[0].commit.as_deref()
            ),
            (Some(path), Some(line), Some("abcdef0123"))
        );
        assert!(found[0].kind.is_some());
    }
}

#[test]
fn files_that_are_too_large_are_named() {
    for (messages, path) in [
        (
            "error: File a/b c.csv is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB",
            "a/b c.csv",
        ),
        (
            "GitLab: File \"d.csv\" is larger than the allowed size of 10 MiB",
            "d.csv",
        ),
    ] {
        let Meaning::Refused(refusal @ Refusal::FileTooLarge { .. }) =
            classify("x", None, messages, &OwnNames::default())
        else {
            panic!("{messages}")
        };
        assert_eq!(
            refusal.to_string(),
            format!("a file is larger than it takes: {path}")
        );
    }
}
