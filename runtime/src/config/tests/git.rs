//! How repositories are talked to.

use super::*;
use mirror_git::Timeouts;

#[test]
fn a_proxy_has_no_credentials_in_its_address() {
    for address in [
        "user:hunter2@proxy",
        "hunter2@proxy:3128",
        "http://user:hunter2@proxy.example.com:3128/",
        "http://hunter2@proxy",
    ] {
        let git = format!("[git]\nproxy = \"{address}\"\n[http]");
        check(
            "[http]",
            &git,
            expect![
                "`git.proxy`: must be an address without user and password; put them into `proxy_credential = { user = \"…\", password = \"env:…\" }`"
            ],
        );
    }
    let good = GOOD.replace("[http]", "[git]\nproxy = \"http://proxy:3128/a@b\"\n[http]");
    assert!(Config::parse(&good, Path::new("/etc/kbc/mirror.toml")).is_ok());
}

#[test]
fn a_proxy_gets_a_user_and_a_password_by_reference() {
    let git = |lines: &str| format!("[git]\n{lines}\n[http]");
    let given =
        "proxy = \"http://proxy:3128\"\nproxy_credential = { user = \"corp\", password = \"file:proxy\" }";
    let config = Config::parse(
        &GOOD.replace("[http]", &git(given)),
        Path::new("/etc/kbc/mirror.toml"),
    );
    let config = config.expect("good").git;
    let (user, password) = config.proxy_credential.expect("it is given");
    assert_eq!(user, "corp");
    assert!(format!("{password:?}").contains("/etc/kbc/proxy"), "{password:?}");
    for (lines, expected) in [
        (
            "proxy_credential = { user = \"corp\", password = \"file:proxy\" }",
            expect!["`git.proxy_credential`: is there without a `proxy`"],
        ),
        (
            "proxy = \"http://proxy:3128\"\nproxy_credential = { user = \"corp:x\", password = \"file:proxy\" }",
            expect![
                "`git.proxy_credential.user`: must be a name without `:` and control characters, which end it on the wire"
            ],
        ),
        (
            "proxy = \"http://proxy:3128\"\nproxy_credential = { user = \"corp\", password = \"hunter2\" }",
            expect![
                "`git.proxy_credential.password`: is not a reference; write `env:NAME`, `file:PATH` or `cred:NAME` and keep the credential itself out of the configuration / is not a reference; write `env:NAME`, `file:PATH` or `cred:NAME` and keep the credential itself out of the configuration"
            ],
        ),
    ] {
        check("[http]", &git(lines), expected);
    }
}

#[test]
fn timeouts_are_times_and_fit_each_other() {
    let git = |lines: &str| format!("[git]\n{lines}\n[http]");
    let of = |lines: &str| {
        let text = GOOD.replace("[http]", &git(lines));
        Config::parse(&text, Path::new("/etc/kbc/mirror.toml"))
            .expect("good")
            .git
            .timeouts
    };
    assert_eq!(of(""), Timeouts::default());
    let own = of("connect_timeout_ms = 5_000\nidle_timeout_ms = 120_000\ntotal_timeout_ms = 7_200_000");
    let seconds = [own.connect, own.idle, own.total].map(|time| time.as_secs());
    assert_eq!(seconds, [5, 120, 7_200]);
    for (lines, expected) in [
        (
            "connect_timeout_ms = 0",
            expect![[r#"`git.connect_timeout_ms`: must be between 100 and 3600000"#]],
        ),
        (
            "idle_timeout_ms = 3600001",
            expect![[r#"`git.idle_timeout_ms`: must be between 100 and 3600000"#]],
        ),
        (
            "total_timeout_ms = 0",
            expect![[r#"`git.total_timeout_ms`: must be between 100 and 86400000"#]],
        ),
        (
            "total_timeout_ms = 60_000",
            expect![
                "`git.idle_timeout_ms`: must be at most `total_timeout_ms`, which ends the request before"
            ],
        ),
    ] {
        check("[http]", &git(lines), expected);
    }
}
