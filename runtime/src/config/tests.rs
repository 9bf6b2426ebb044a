use super::*;
use expect_test::{Expect, expect};

const GOOD: &str = r#"
data_dir = "data"
tag_root = "file:tag-root"

[http]
listen = "127.0.0.1:0"
[[http.ingest]]
name = "bridge"
token = "env:INGEST_TOKEN"
stack = "connection.keboola.com"

[[mirror]]
id = "retail"
stack = "https://connection.keboola.com"
project_id = "5678"
token = "env:KBC_TOKEN"
repository = "file:retail.git"
"#;

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "expectations read better without a reference"
)]
fn check(from: &str, to: &str, expected: Expect) {
    assert!(GOOD.contains(from), "the case changes nothing: {from}");
    let error = Config::parse(&GOOD.replace(from, to), Path::new("/etc/kbc/mirror.toml"))
        .expect_err("must be refused");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text.push_str(&format!(" / {inner}"));
        source = inner.source();
    }
    expected.assert_eq(&text);
    assert!(!text.contains("hunter2"), "a value was repeated: {text}");
}

#[test]
fn a_good_file_has_defaults_and_paths_relative_to_itself() {
    let config = Config::parse(GOOD, Path::new("/etc/kbc/mirror.toml")).expect("good");
    assert_eq!(config.data_dir, Path::new("/etc/kbc/data"));
    assert_eq!(config.window.span_ms, 30_000);
    assert_eq!(config.tag_root, CredentialRef::File("/etc/kbc/tag-root".into()));
    let mirror = config.mirror("retail").expect("there");
    assert_eq!(
        mirror.repository,
        RepositorySpec::LocalBare("/etc/kbc/retail.git".into())
    );
    assert_eq!(
        mirror.jobs,
        Some(JobsSpec {
            cadence: JobsCadence::Every { ms: 900_000 },
            layout: JobsLayout::DayFiles,
            log: JobsLog::Branch,
            keep_days: 35,
            budget_bytes_month: 6_000_000,
        })
    );
    assert!(!mirror.samples);
    assert_eq!(mirror.stack.as_str(), "connection.keboola.com");
}

#[test]
fn polling_is_off_unless_it_is_asked_for_and_its_times_fit_each_other() {
    let poll = |table: &str| {
        let text = GOOD.replace("id = \"retail\"", &format!("id = \"retail\"\n{table}"));
        let config = Config::parse(&text, Path::new("/etc/kbc/mirror.toml")).expect("good");
        config.mirrors[0].poll
    };
    assert_eq!(poll(""), None);
    assert_eq!(poll("poll = { every_ms = 5000 }"), None);
    let seconds = |every, unversioned, hints: Option<u64>| {
        Some(PollSpec {
            every: Duration::from_secs(every),
            unversioned_every: Duration::from_secs(unversioned),
            hints_every: hints.map(Duration::from_secs),
        })
    };
    assert_eq!(poll("poll = { enabled = true }"), seconds(60, 300, Some(15)));
    assert_eq!(
        poll("poll = { enabled = true, every_ms = 5000 }"),
        seconds(5, 300, Some(5))
    );
    let rare = "poll = { enabled = true, every_ms = 600000, hints_every_ms = 0 }";
    assert_eq!(poll(rare), seconds(600, 600, None));
    let wrong = |table: &str, expected: Expect| {
        check("id = \"retail\"", &format!("id = \"retail\"\n{table}"), expected);
    };
    wrong(
        "poll = { enabled = true, every_ms = 10 }",
        expect!["`mirror[0].poll.every_ms`: must be between 1000 and 86400000"],
    );
    wrong(
        "poll = { enabled = true, unversioned_every_ms = 30000 }",
        expect!["`mirror[0].poll.unversioned_every_ms`: must be between `every_ms` and 86400000"],
    );
    wrong(
        "poll = { enabled = true, hints_every_ms = 61000 }",
        expect!["`mirror[0].poll.hints_every_ms`: must be 0 (no hints), or between 1000 and `every_ms`"],
    );
    wrong(
        "poll = true",
        expect!["/etc/kbc/mirror.toml: line 14, column 8: invalid type: boolean, expected struct Poll"],
    );
}

#[test]
fn history_is_brought_in_only_where_it_is_asked_for_and_within_bounds() {
    let backfill = |table: &str| {
        let text = GOOD.replace("id = \"retail\"", &format!("id = \"retail\"\n{table}"));
        let config = Config::parse(&text, Path::new("/etc/kbc/mirror.toml")).expect("good");
        config.mirrors[0].backfill
    };
    assert_eq!(backfill(""), None);
    let spec = BackfillSpec {
        versions_max: 100_000,
        configuration_versions_max: 1_000,
        requests_per_second_max: 10,
    };
    assert_eq!(backfill("backfill = { enabled = true }"), Some(spec));
    let wrong = |table: &str, expected: Expect| {
        check("id = \"retail\"", &format!("id = \"retail\"\n{table}"), expected);
    };
    wrong(
        "backfill = { enabled = true, versions_max = 0 }",
        expect!["`mirror[0].backfill.versions_max`: must be between 1 and 1000000"],
    );
    wrong(
        "backfill = { enabled = true, versions_max = 10 }",
        expect!["`mirror[0].backfill.configuration_versions_max`: must be between 1 and `versions_max`"],
    );
    wrong(
        "backfill = { enabled = true, requests_per_second_max = 1000 }",
        expect!["`mirror[0].backfill.requests_per_second_max`: must be between 1 and 100"],
    );
}

#[test]
fn what_is_wrong_is_told_by_key_and_never_with_the_value() {
    check(
        "data_dir",
        "datadir",
        expect![
            "/etc/kbc/mirror.toml: line 2, column 1: unknown field `datadir`, expected one of `data_dir`, `tag_root`, `window`, `http`, `log`, `queue`, `keboola`, `sandbox`, `policies`, `sync`, `git`, `visibility`, `reconcile`, `notify`, `grace_ms`, `mirror`"
        ],
    );
    check(
        "env:KBC_TOKEN",
        "hunter2",
        expect![[
            r#"`mirror[0].token`: is not a reference; write `env:NAME`, `file:PATH` or `cred:NAME` and keep the credential itself out of the configuration / is not a reference; write `env:NAME`, `file:PATH` or `cred:NAME` and keep the credential itself out of the configuration"#
        ]],
    );
    check(
        "token = \"env:KBC_TOKEN\"",
        "token = \"env:KBC_TOKEN\"\npasword = \"hunter2\"",
        expect![
            "/etc/kbc/mirror.toml: line 17, column 1: unknown field `pasword`, expected one of `id`, `stack`, `project_id`, `token`, `repository`, `credential`, `signing_key`, `branch`, `prefix`, `secrets`, `samples`, `sample_limits`, `visibility_url`, `jobs`, `dev_branches`, `poll`, `backfill`, `plan_tier`, `region`, `adopt`, `deletions`, `accept_deletions`, `accept_rewrite`, `accept_deleted_branch`, `commit`, `notify`, `policy`"
        ],
    );
    check(
        "data_dir = \"data\"",
        "data_dir = \"data\"\ngrace_ms = \"hunter2\"",
        expect!["/etc/kbc/mirror.toml: line 3, column 12: invalid type: string, expected u64"],
    );
    check(
        "data_dir = \"data\"",
        "data_dir = \"data\"\nwindow.mode = \"hunter2, expected nothing`\"",
        expect![[
            r#"/etc/kbc/mirror.toml: line 3, column 15: unknown variant, expected one of `early`, `fixed`, `eager`"#
        ]],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\nsecrets = \"hunter2\"",
        expect![
            "/etc/kbc/mirror.toml: line 14, column 11: unknown variant, expected one of `encrypted`, `masked`, `omitted`"
        ],
    );
    check(
        "\"127.0.0.1:0\"",
        "\"hunter2\"",
        expect![[r#"/etc/kbc/mirror.toml: line 6, column 10: invalid socket address syntax"#]],
    );
    check(
        "https://connection",
        "http://connection",
        expect!["`mirror[0].stack`: must be `https`; plain `http` would send the token in the clear"],
    );
    check(
        "\"5678\"",
        "5678",
        expect!["/etc/kbc/mirror.toml: line 15, column 14: invalid type: integer, expected a string"],
    );
    check(
        "file:retail.git",
        "ext::sh -c hunter2",
        expect![
            "`mirror[0].repository` is no repository / the repository's URL has a space or a control character"
        ],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\nbranch = \"-x\"",
        expect!["`mirror[0].branch`: is not a Git branch name"],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\nprefix = \"a/../b\"",
        expect![
            "`mirror[0].prefix`: path `a/../b` has a `.` or `..` segment / path `a/../b` has a `.` or `..` segment"
        ],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\njobs = { log = \"month-refs\", layout = \"file-per-run\" }",
        expect![[
            r#"`mirror[0].jobs.log`: `month-refs` needs days in files; leave `jobs.layout = "file-per-run"` out"#
        ]],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\nbranch = \"keboola-jobs/x\"",
        expect!["`mirror[0].branch`: begins like a branch of job runs, `keboola-jobs/`"],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\ndev_branches = { git_branch = \"keboola-jobs/{name}-{id}\" }",
        expect!["`mirror[0].dev_branches.git_branch`: begins like a branch of job runs, `keboola-jobs/`"],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\njobs = { keep_days = 1 }",
        expect![[
            r#"`mirror[0].jobs.keep_days`: must be from 2 to 3660 days; those of the newest two are always at hand"#
        ]],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\njobs = { budget_bytes_month = 6 }",
        expect![[
            r#"`mirror[0].jobs.budget_bytes_month`: must be at least 100000 bytes, or 0 for no limit; `jobs.enabled = false` leaves runs out"#
        ]],
    );
    check(
        "id = \"retail\"",
        "id = \"retail\"\njobs = { cadence = \"soon\" }",
        expect![
            "`mirror[0].jobs.cadence`: must be `window` or a time such as `90s`, `15m` or `2h`, at least `10s`"
        ],
    );
}

#[test]
fn two_mirrors_never_share_an_id_or_a_ref() {
    let second = GOOD.split("[[mirror]]").nth(1).expect("there");
    let twice = format!("{GOOD}\n[[mirror]]{second}");
    let error = Config::parse(&twice, Path::new("x")).expect_err("refused");
    expect!["two mirrors have the id `retail`; ids are the mirrors' identity and must differ"]
        .assert_eq(&error.to_string());
    let other = format!("{GOOD}\n[[mirror]]{}", second.replace("\"retail\"", "\"other\""));
    let error = Config::parse(&other, Path::new("x")).expect_err("refused");
    expect!["mirrors `retail` and `other` write the same branch of the same repository; give one of them another `branch` or `repository`"].assert_eq(&error.to_string());
}

#[test]
fn ingest_and_mirror_mean_the_same_stack_however_it_is_written() {
    for written in [
        "https://connection.keboola.com",
        "Connection.Keboola.COM",
        "https://connection.keboola.com:443/",
    ] {
        let text = GOOD.replace("\"connection.keboola.com\"", &format!("\"{written}\""));
        let config = Config::parse(&text, Path::new("x")).expect(written);
        assert_eq!(config.http.ingest[0].stack, config.mirrors[0].stack, "{written}");
        let text = GOOD.replace("https://connection.keboola.com", written);
        let config = Config::parse(&text, Path::new("x")).expect(written);
        assert_eq!(config.http.ingest[0].stack, config.mirrors[0].stack, "{written}");
        assert!(
            config.mirrors[0]
                .stack_url
                .starts_with("https://connection.keboola.com")
        );
    }
    let stack = "stack = \"https://connection.keboola.com\"";
    check(
        stack,
        "stack = \"https://hunter2:hunter2@connection.keboola.com\"",
        expect![
            "`mirror[0].stack`: stack is more than a host and a port / stack is more than a host and a port"
        ],
    );
    check(
        stack,
        "stack = \"https://connection.eu-central-1.keboola.com\"",
        expect![
            "`http.ingest[0].stack`: no mirror is of this stack, so nothing would come of its events; mirrored: connection.eu-central-1.keboola.com"
        ],
    );
}

#[track_caller]
fn check_second(first: &str, second: &[(&str, &str)], expected: &str) {
    let dev = "id = \"retail\"\ndev_branches = { enabled = true }";
    let good = GOOD.replace("id = \"retail\"", first).replace("DEV", dev);
    let mut other = GOOD
        .split("[[mirror]]")
        .nth(1)
        .expect("there")
        .replace("\"retail\"", "\"other\"");
    for (from, to) in second {
        assert!(other.contains(from), "the case changes nothing: {from}");
        other = other.replace(from, to);
    }
    let said = match Config::parse(&format!("{good}\n[[mirror]]{other}"), Path::new("x/mirror.toml")) {
        Ok(_) => "good".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(said, expected);
}

#[test]
fn two_mirrors_of_one_repository_never_write_one_ref() {
    let same = "mirrors `retail` and `other` write the same branch of the same repository; give one of them another `branch` or `repository`";
    for repository in [
        "file:./retail.git",
        "file:y/../retail.git",
        "file:retail.git/",
        "file:../x/retail.git",
    ] {
        check_second("id = \"retail\"", &[("file:retail.git", repository)], same);
    }
    check_second(
        "id = \"retail\"",
        &[("file:retail.git", "file:other.git")],
        "good",
    );
    check_second(
        "id = \"retail\"",
        &[("\nid = ", "\nbranch = \"two\"\nid = ")],
        "good",
    );
    let dev = "\nbranch = \"two\"\ndev_branches = { enabled = true }\nid = ";
    let may = "mirrors `retail` and `other` write to the same repository, and a dev branch of one may get a ref of the other; give one of them another `dev_branches.git_branch`, such as `other/{name}-{id}`, or another `repository`";
    check_second("DEV", &[("\nid = ", dev)], may);
    // Of different projects of one stack, the ids differ.
    check_second("DEV", &[("\"5678\"", "\"6789\""), ("\nid = ", dev)], "good");
    check_second(
        "DEV",
        &[
            ("\"5678\"", "\"6789\""),
            ("\nid = ", dev),
            ("connection.", "connection.north-europe.azure."),
        ],
        may,
    );
    let own =
        "\nbranch = \"two\"\ndev_branches = { enabled = true, git_branch = \"other/{name}-{id}\" }\nid = ";
    check_second("DEV", &[("\nid = ", own)], "good");
    check_second("DEV", &[("\nid = ", "\nbranch = \"keboola/fix-7\"\nid = ")], may);
    check_second(
        "DEV\nbranch = \"keboola\"",
        &[("file:retail.git", "file:other.git")],
        "mirror `retail`: a dev branch may get the ref of `branch`; change `dev_branches.git_branch` or `branch`",
    );
}

#[test]
fn an_unknown_mirror_is_answered_with_those_there_are() {
    let config = Config::parse(GOOD, Path::new("x")).expect("good");
    expect!["there is no mirror `retial`; known: retail"]
        .assert_eq(&config.mirror("retial").expect_err("unknown").to_string());
}

#[test]
fn the_readmes_example_is_a_good_file() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("the README has an example");
    let (example, _) = rest.split_once("```").expect("the example ends");
    let config = Config::parse(example, Path::new("/etc/kbc/mirror.toml")).expect("good");
    assert_eq!(config.mirror("retail").expect("there").branch, "main");
}

const FILE: &str = r#"repository = "file:retail.git""#;

#[test]
fn a_repository_behind_a_server_takes_its_credential_by_reference() {
    let parse = |to: &str| Config::parse(&GOOD.replace(FILE, to), Path::new("/etc/kbc/mirror.toml"));
    let token = parse(
        "repository = \"https://github.com/Acme/Retail.git\"\ncredential = { token = \"env:GIT_TOKEN\" }",
    );
    let token = token.expect("good");
    let ssh = "repository = \"git@github.com:acme/retail\"\ncredential = { private_key = \"file:key\", known_hosts = \"file:known_hosts\" }";
    let ssh = parse(ssh).expect("good");
    let of = |config: &Config| config.mirrors[0].repository.clone();
    assert_eq!(
        of(&token).identity(),
        of(&ssh).identity(),
        "two ways to one repository"
    );
    assert_eq!((of(&token).host(), of(&ssh).host()), ("github.com", "github.com"));
    let RepositorySpec::Remote {
        credential: Some(RepositoryCredential::SshKey { private_key, .. }),
        ..
    } = of(&ssh)
    else {
        panic!("{ssh:?}")
    };
    assert_eq!(private_key, CredentialRef::File("/etc/kbc/key".into()));
}

#[test]
fn a_repository_that_cannot_be_opened_so_is_refused() {
    for (to, expected) in [
        (
            "repository = \"https://u:hunter2@h/a\"",
            expect![
                "`mirror[0].repository` is no repository / the repository's URL has a password; put it into the mirror's credential"
            ],
        ),
        (
            "repository = \"ssh://git@h/a\"",
            expect![
                "`mirror[0].repository`: is `ssh`; its credential must be `private_key` and `known_hosts`"
            ],
        ),
        (
            "repository = \"https://h/a\"\ncredential = { private_key = \"file:k\" }",
            expect![
                "`mirror[0].credential`: must be either `token` (perhaps with `user`), or `private_key` and `known_hosts`"
            ],
        ),
        (
            "repository = \"https://h/a\"\ncredential = { token = \"hunter2\" }",
            expect![
                "`mirror[0].credential.token`: is not a reference; write `env:NAME`, `file:PATH` or `cred:NAME` and keep the credential itself out of the configuration / is not a reference; write `env:NAME`, `file:PATH` or `cred:NAME` and keep the credential itself out of the configuration"
            ],
        ),
        (
            "repository = \"file:a\"\ncredential = { token = \"env:T\" }",
            expect!["`mirror[0].repository`: is on this machine and takes no credential"],
        ),
    ] {
        check(FILE, to, expected);
    }
}

#[test]
fn a_mirrors_policies_are_named_in_their_order() {
    let policies = r#"
[[mirror.policy]]
name = "one"
file = "one.wasm"
settings = { words = ["a"] }

[[mirror.policy]]
name = "two"
shadow = true
digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

[policies]
fuel_max = 5000000
"#;
    let parse = |text: &str| Config::parse(&format!("{GOOD}{text}"), Path::new("/etc/kbc/mirror.toml"));
    let config = parse(policies).expect("good");
    assert_eq!(config.policies.limits.fuel_max, 5_000_000);
    let listed: Vec<String> = config.mirrors[0]
        .policies
        .iter()
        .map(|policy| {
            let shadow = if policy.shadow { "shadow " } else { "" };
            format!(
                "{shadow}{} {} {}",
                policy.name,
                policy.file.display(),
                policy.settings
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            r#"one /etc/kbc/one.wasm {"words":["a"]}"#,
            "shadow two /etc/kbc/data/policies/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.wasm {}",
        ]
    );
    for (from, to, expected) in [
        (
            "name = \"two\"",
            "name = \"one\"",
            "`one` is the name of two policies",
        ),
        ("name = \"two\"", "name = \"Two\"", "1 to 40 characters"),
        (
            "name = \"two\"",
            "name = \"secret-redaction\"",
            "`secret-redaction` is the name of what is built in; choose another",
        ),
        (
            "name = \"one\"",
            "name = \"guard\"",
            "`guard` is the name of what is built in; choose another",
        ),
        (
            "sha256:0123",
            "hunter2:0123",
            "must be the SHA-256 of the component",
        ),
        (
            "file = \"one.wasm\"\n",
            "",
            "`mirror[0].policy[0].file`: is missing",
        ),
        (
            "fuel_max = 5000000",
            "fuel_max = 5",
            "`policies.fuel_max`: must be at least",
        ),
        ("fuel_max = 5000000", "fuel = 5", "unknown field"),
        ("settings = {", "setting = {", "unknown field"),
        (
            "settings = {",
            "limits = { fuel_max = 5000001 }\nsettings = {",
            "`mirror[0].policy[0].limits.fuel_max`: must be between 1000000 and 5000000, which is `policies.fuel_max`",
        ),
        (
            "settings = {",
            "limits = { memory_bytes_max = 0 }\nsettings = {",
            "`mirror[0].policy[0].limits.memory_bytes_max`: must be between 1048576 and",
        ),
        (
            "settings = {",
            "limits = { wasm_stack_bytes_max = 65536 }\nsettings = {",
            "unknown field",
        ),
    ] {
        assert!(policies.contains(from), "the case changes nothing: {from}");
        let error = parse(&policies.replace(from, to))
            .expect_err("must be refused")
            .to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn numbers_with_which_nothing_would_work_are_refused() {
    let check = |table: &str, line: &str, expected| {
        let table = format!("[{table}]\n{line}\n");
        let (from, to) = match table.starts_with("[http]") {
            true => ("[http]\n", table),
            false => ("[[mirror]]\n", format!("{table}[[mirror]]\n")),
        };
        check(from, &to, expected);
    };
    check(
        "http",
        "connections_max = 9223372036854775807",
        expect!["`http.connections_max`: must be between 1 and 1000000"],
    );
    check(
        "sandbox",
        "memory_bytes_max = 0",
        expect!["`sandbox.memory_bytes_max`: must be at least 1048576 (1 MiB)"],
    );
    check(
        "sandbox",
        "deadline_ms = 0",
        expect!["`sandbox.deadline_ms`: must be at least 100"],
    );
    check(
        "keboola",
        "connect_timeout_ms = 0",
        expect!["`keboola.connect_timeout_ms`: must be between 100 and 3600000"],
    );
    check(
        "keboola",
        "read_timeout_ms = 9223372036854775807",
        expect!["`keboola.read_timeout_ms`: must be between 100 and 3600000"],
    );
    check(
        "keboola",
        "total_timeout_ms = 0",
        expect!["`keboola.total_timeout_ms`: must be between 100 and 3600000"],
    );
    check(
        "keboola",
        "response_bytes_max = 0",
        expect!["`keboola.response_bytes_max`: must be at least 1048576 (1 MiB)"],
    );
    check(
        "keboola",
        "parallel_max = 9223372036854775807",
        expect!["`keboola.parallel_max`: must be between 1 and 1000"],
    );
}

#[test]
fn a_branch_is_written_without_the_head_of_its_ref() {
    for (branch, expected) in [
        (
            "HEAD",
            expect!["`mirror[0].branch`: is not a Git branch name: `HEAD` is the one that is checked out"],
        ),
        (
            "refs/heads/main",
            expect!["`mirror[0].branch`: must be without `refs/heads/`, as in `main`"],
        ),
    ] {
        check(
            "id = \"retail\"",
            &format!("id = \"retail\"\nbranch = \"{branch}\""),
            expected,
        );
    }
}

#[test]
fn a_webhook_that_nothing_would_be_sent_to_is_refused() {
    let webhook = r#"repository = "file:retail.git"
notify = [{ email = "a@example.com" }, { webhook = "http://hooks.example.com/x", secret = "env:SECRET" }]"#;
    let mail = "[notify.smtp]\nhost = \"smtp.example.com\"\nfrom = \"m@example.com\"\n[http]\n";
    let given = GOOD
        .replace("[http]\n", mail)
        .replace("repository = \"file:retail.git\"", webhook);
    let path = Path::new("/etc/kbc/mirror.toml");
    let error = Config::parse(&given, path).expect_err("plain").to_string();
    assert!(
        error.contains("mirror[0].notify[1].webhook") && error.contains("allow_plain_http"),
        "{error}"
    );
    let allowed = given.replace("[http]\n", "[git]\nallow_plain_http = true\n[http]\n");
    for good in [allowed, given.replace("http://hooks", "https://hooks")] {
        Config::parse(&good, path).expect("it is allowed");
    }
}

mod git;
mod written;
