//! Repositories that say no, by hooks and settings of a real server.

use super::*;
use crate::{Disposition, Refusal};

/// Pushes to a repository behind web servers with and without TLS, `sshd` and `git daemon`, that was prepared to refuse it.
#[track_caller]
fn refused(prepare: impl Fn(&Setup)) -> Vec<PushError> {
    let mut errors = Vec::new();
    for way in [Way::Http, Way::Https, Way::Ssh, Way::Git] {
        let setup = Setup::new(way);
        let first = setup.push("first", &[("a", "1")]);
        prepare(&setup);
        let push = setup.make(Some(first), "second", &[("configs/b.json", &"x1 ".repeat(5000))]);
        errors.push(setup.remote.push(&push).unwrap_err());
        assert_eq!(setup.local.tip(&setup.main).unwrap(), Some(first), "{way:?}");
    }
    errors
}

#[track_caller]
fn check(prepare: impl Fn(&Setup), expected: &str, disposition: Disposition, said: &str) {
    for error in refused(prepare) {
        let PushError::Refused {
            refusal, said: words, ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(refusal.code(), expected, "{error}");
        assert_eq!(error.disposition(), disposition, "{error}");
        assert!(words.contains(said), "{words}");
    }
}

fn hook(setup: &Setup, lines: &[&str]) {
    let echoes: Vec<String> = lines
        .iter()
        .map(|line| format!("echo '{}' >&2", line.replace('\'', r"'\''")))
        .collect();
    setup
        .repositories
        .hook("r.git", "pre-receive", &format!("{}\nexit 1", echoes.join("\n")));
}

#[test]
fn hooks_as_forges_have_them_are_understood() {
    use Disposition::NeedsCustomer;
    for (lines, expected) in [
        (
            &["GitLab: You are not allowed to push code to protected branches on this project."][..],
            "protected_branch",
        ),
        (
            &["error: GH006: Protected branch update failed for refs/heads/main."],
            "protected_branch",
        ),
        (
            &["GitLab: Commit author's email 'anna@example.com' does not follow the pattern '@x$'"],
            "author_email",
        ),
        (
            &["GitLab: File \"configs/b.json\" is larger than the allowed size of 1 KiB"],
            "file_too_large",
        ),
        (
            &[
                "GitLab: Your push has been rejected, because this repository has exceeded its size limit of 1 KB by 1 KB.",
            ],
            "quota",
        ),
        (&["This repository was archived so it is read-only."], "read_only"),
        (&["Deployments are frozen"], "hook"),
        (
            &[
                "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.",
            ],
            "protected_branch",
        ),
        (
            &[
                "TF401027: You need the Git 'GenericContribute' permission to perform this action. Details: identity 'a build', scope 'repository'.",
            ],
            "not_permitted",
        ),
        (
            &[
                "VS403463: The conditional access policy defined by your Microsoft Entra administrator has failed.",
            ],
            "not_permitted",
        ),
    ] {
        check(|setup| hook(setup, lines), expected, NeedsCustomer, lines[0]);
    }
}

/// For each commit of a push: `$c`, and `$ref` that it is for. What the hook says, it says of what is really there.
fn looking_hook(setup: &Setup, test: &str, says: &str) {
    let script = format!(
        "while read old new ref; do for c in $(git rev-list $new --not --all); do if {test}; then echo \"{says}\" >&2; exit 1; fi; done; done"
    );
    setup.repositories.hook("r.git", "pre-receive", &script);
}

#[test]
fn rules_about_commits_names_of_files_and_of_branches_are_told_apart() {
    use Disposition::NeedsCustomer;
    for (test, says, expected) in [
        (
            "! git cat-file commit $c | grep -q ^gpgsig",
            "GitLab: Commit must be signed with a GPG key",
            "commit_rule",
        ),
        (
            "! git show -s --format=%s $c | grep -q ^ABC-",
            "GitLab: Commit message does not follow the pattern '^ABC-'",
            "commit_rule",
        ),
        (
            "git ls-tree -r --name-only $c | grep -q json$",
            "GitLab: File name configs/b.json was prohibited by the pattern 'json$'.",
            "file_name",
        ),
        (
            "case $ref in refs/heads/mirror/*) false;; *) true;; esac",
            "GitLab: Branch name does not follow the pattern 'mirror/'",
            "branch_name",
        ),
        (
            "! git show -s --format=%ce $c | grep -q @verified.example$",
            "GitLab: You cannot push commits for 'm@x'. You can only push commits if the committer email is one of your own verified emails.",
            "author_email",
        ),
        (
            "true",
            "GitLab: You are not allowed to push code to this project.",
            "not_permitted",
        ),
        (
            "! git show -s --format=%ae $c | grep -q @verified.example$",
            "VS403702: The push was rejected because one or more commits contain author email 'm@x' which does not match the policy-specified patterns.",
            "author_email",
        ),
        (
            "git show $c:configs/b.json | grep -q x1",
            "VS403654: The push was rejected because it might contain credentials or other secrets.",
            "secrets",
        ),
    ] {
        let prepare = |setup: &Setup| looking_hook(setup, test, says);
        check(prepare, expected, NeedsCustomer, &says[..20]);
    }
}

#[test]
fn names_of_ours_are_not_taken_for_words_of_the_server() {
    for way in [Way::Http, Way::Ssh, Way::Git] {
        // Somebody holds the lock of a branch with a telling name.
        let setup = Setup::new(way);
        let main = branch("old-archived");
        let first = make(&setup.store, &main, None, "first", &[("a", "1")]);
        setup.store.save(&first).unwrap();
        setup.remote.push(&first).unwrap();
        std::fs::write(setup.path.join("refs/heads/old-archived.lock"), "").unwrap();
        let push = make(
            &setup.store,
            &main,
            Some(first.new_tip()),
            "second",
            &[("a", "2")],
        );
        let error = setup.remote.push(&push).unwrap_err();
        assert!(
            matches!(&error, PushError::Contended { .. }),
            "{way:?}: {error:?}"
        );

        // A repository with a telling path that is not there.
        let (url, settings) = setup.access.clone().unwrap();
        let url = url.replace("/r.git", "/archived/secret-quota.git");
        let error = open(&url, settings).tip(&main).unwrap_err();
        assert!(
            matches!(&error, RemoteError::Transport(TransportError::NotFound { .. })),
            "{way:?}: {error:?}"
        );
    }
}

#[test]
fn secrets_that_a_server_finds_are_located() {
    // As GitHub does it, but by really looking into what was pushed.
    let script = r#"
        while read old new ref; do
            for commit in $(git rev-list $old..$new); do
                git diff-tree -r --no-commit-id --name-only $commit | while read path; do
                    line=$(git show $commit:$path | grep -n x1 | head -1 | cut -d: -f1)
                    [ -z "$line" ] && continue
                    echo "error: GH013: Repository rule violations found for $ref." >&2
                    echo "- GITHUB PUSH PROTECTION" >&2
                    echo "    - Push cannot contain secrets" >&2
                    echo "       —— Some API Key ——————————" >&2
                    echo "        locations:" >&2
                    echo "          - commit: $commit" >&2
                    echo "            path: $path:$line" >&2
                done
            done
        done
        exit 1"#;
    for error in refused(|setup| setup.repositories.hook("r.git", "pre-receive", script)) {
        let PushError::Refused {
            refusal: Refusal::Secrets(found),
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].path.as_deref(), found[0].line),
            (Some("configs/b.json"), Some(1))
        );
        assert_eq!(found[0].kind.as_deref(), Some("Some API Key"));
        assert_eq!(found[0].commit.as_deref().map(str::len), Some(40));
        assert!(error.to_string().contains("configs/b.json, line 1"), "{error}");
    }
}

#[test]
fn settings_of_the_server_are_understood() {
    use Disposition::NeedsCustomer;
    check(
        |setup| drop(setup.git(&["config", "receive.maxInputSize", "100"])),
        "push_too_large",
        NeedsCustomer,
        "exceeds maximum allowed size",
    );
    // A work tree that the push would leave behind.
    check(
        |setup| drop(setup.git(&["config", "core.bare", "false"])),
        "protected_branch",
        NeedsCustomer,
        "checked out",
    );
    // Only this one branch is refused, by the hook that is asked for each.
    check(
        |setup| {
            setup
                .repositories
                .hook("r.git", "update", "echo \"not $1\" >&2; exit 1");
        },
        "hook",
        NeedsCustomer,
        "not refs/heads/main",
    );
}

#[test]
fn a_deletion_that_is_forbidden_says_so() {
    for way in [Way::Http, Way::Ssh, Way::Git] {
        let setup = Setup::new(way);
        let first = setup.push("first", &[("a", "1")]);
        let side = setup
            .store
            .draft()
            .into_push(branch("side"), None, first)
            .unwrap();
        setup.remote.push(&side).unwrap();
        setup.git(&["config", "receive.denyDeletes", "true"]);
        let error = setup.remote.delete_branch(&branch("side"), first).unwrap_err();
        assert!(
            matches!(
                &error,
                PushError::Refused {
                    refusal: Refusal::DeletionRefused,
                    ..
                }
            ),
            "{way:?}: {error:?}"
        );
    }
}

#[test]
fn a_deletion_that_a_forge_refuses_and_one_that_is_only_late_are_told_apart() {
    for way in [Way::Http, Way::Ssh, Way::Git] {
        let setup = Setup::new(way);
        let first = setup.push("first", &[("a", "1")]);
        let side = setup
            .store
            .draft()
            .into_push(branch("side"), None, first)
            .unwrap();
        setup.remote.push(&side).unwrap();
        for words in [
            "GitLab: You can only delete protected branches using the web interface.",
            "GitLab: The default branch of a project cannot be deleted.",
            "TF401027: You need the Git 'ForcePush' permission to perform this action.",
        ] {
            hook(&setup, &[words]);
            let error = setup.remote.delete_branch(&branch("side"), first).unwrap_err();
            let PushError::Refused { refusal, .. } = &error else {
                panic!("{way:?}: {error:?}")
            };
            assert_eq!(*refusal, Refusal::DeletionRefused, "{way:?}: {error}");
        }
        hook(
            &setup,
            &["GitLab: Failed to authorize your Git request: internal API unreachable"],
        );
        let error = setup.remote.delete_branch(&branch("side"), first).unwrap_err();
        assert_eq!(error.disposition(), Disposition::Retry, "{way:?}: {error}");
    }
}

#[test]
fn a_branch_that_another_program_locks_is_tried_again() {
    for error in refused(|setup| std::fs::write(setup.path.join("refs/heads/main.lock"), "").unwrap()) {
        assert!(matches!(&error, PushError::Contended { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::Retry);
    }
}

#[test]
fn a_repository_that_cannot_write_says_so() {
    // A file where a directory must be: not even root can write there.
    let broken = |setup: &Setup| {
        let objects = setup.path.join("objects");
        std::fs::remove_dir_all(objects.join("pack")).unwrap();
        std::fs::write(objects.join("pack"), "").unwrap();
        setup.git(&["config", "receive.unpackLimit", "1"]);
    };
    let setup = Setup::new(Way::Http);
    broken(&setup);
    let push = setup.make(None, "first", &[("a", "1")]);
    let error = setup.remote.push(&push).unwrap_err();
    assert!(
        matches!(
            &error,
            PushError::Refused {
                refusal: Refusal::ServerStorage,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.disposition(), Disposition::NeedsCustomer);
}

#[test]
fn a_repository_with_other_ids_is_refused_before_anything_is_sent() {
    let repositories = Repositories::new();
    repositories.init_plain("r.git", &["--object-format=sha256"]);
    let server = HttpServer::start(repositories.root(), HttpOptions::default());
    let daemon = GitDaemon::start(repositories.root());
    let setup = Setup::new(Way::Local);
    let push = setup.make(None, "first", &[("a", "1")]);
    for url in [server.url("r.git"), daemon.url("r.git")] {
        let remote = open(&url, settings());
        let error = remote.tip(&branch("main")).unwrap_err();
        assert!(
            matches!(&error, RemoteError::NotARepository { problem, .. } if problem.contains("sha256")),
            "{error:?}"
        );
        let error = remote.push(&push).unwrap_err();
        assert!(matches!(&error, PushError::NotARepository { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::NeedsCustomer);
    }
    assert!(server.take_seen().iter().all(|seen| seen.method == "GET"));
}

#[test]
fn a_repository_that_is_gone_says_so() {
    for way in [Way::Http, Way::Ssh, Way::Git] {
        let setup = Setup::new(way);
        let first = setup.push("first", &[("a", "1")]);
        std::fs::rename(&setup.path, setup.repositories.root().join("renamed.git")).unwrap();
        let push = setup.make(Some(first), "second", &[("a", "2")]);
        let error = setup.remote.tip(&setup.main).unwrap_err();
        assert!(
            matches!(&error, RemoteError::Transport(TransportError::NotFound { .. })),
            "{way:?}: {error:?}"
        );
        assert_eq!(error.disposition(), Disposition::NeedsCustomer);
        let error = setup.remote.push(&push).unwrap_err();
        assert!(
            matches!(&error, PushError::Transport(TransportError::NotFound { .. })),
            "{way:?}: {error:?}"
        );
    }
}
