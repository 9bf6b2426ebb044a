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
            cadence: JobsCadence::Every { ms: 900_000 }
        })
    );
    assert!(!mirror.samples);
    assert_eq!(mirror.stack.as_str(), "connection.keboola.com");
}

#[test]
fn what_is_wrong_is_told_by_key_and_never_with_the_value() {
    check(
        "data_dir",
        "datadir",
        expect![[
            r#"/etc/kbc/mirror.toml: line 2, column 1: unknown field `datadir`, expected one of `data_dir`, `tag_root`, `window`, `http`, `keboola`, `sandbox`, `grace_ms`, `mirror`"#
        ]],
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
        expect![[
            r#"/etc/kbc/mirror.toml: line 16, column 1: unknown field `pasword`, expected one of `id`, `stack`, `project_id`, `token`, `repository`, `branch`, `prefix`, `secrets`, `samples`, `jobs`, `dev_branches`, `plan_tier`, `region`, `adopt`"#
        ]],
    );
    check(
        "data_dir = \"data\"",
        "data_dir = \"data\"\ngrace_ms = \"hunter2\"",
        expect!["/etc/kbc/mirror.toml: line 3, column 12: invalid type: string, expected u64"],
    );
    check(
        "https://connection",
        "http://connection",
        expect!["`mirror[0].stack`: must be `https`; plain `http` would send the token in the clear"],
    );
    check(
        "\"5678\"",
        "5678",
        expect!["/etc/kbc/mirror.toml: line 14, column 14: invalid type: integer, expected a string"],
    );
    check(
        "file:retail.git",
        "ext::sh -c hunter2",
        expect![
            "`mirror[0].repository`: must be `file:` and the path of a bare repository; this version pushes to no other kind"
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
fn an_unknown_mirror_is_answered_with_those_there_are() {
    let config = Config::parse(GOOD, Path::new("x")).expect("good");
    expect!["there is no mirror `retial`; known: retail"]
        .assert_eq(&config.mirror("retial").expect_err("unknown").to_string());
}
