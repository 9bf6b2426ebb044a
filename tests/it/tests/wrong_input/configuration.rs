//! The command line, the configuration file, and what it refers to.

use super::{PASTED, check_config, check_mirror, every_command, product, run, with_config};
use crate::support::{Installation, Keboola, MIRROR, Options};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_used_is_refused_by_every_command_alike() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let token = "token = \"file:keboola-token\"";
    let check = |from: &str, to: &str, parts: &[&str]| check_config(&site, from, to, parts);

    check(
        "data_dir",
        "datadir",
        &[
            "mirror.toml: line 1, column 1",
            "unknown field `datadir`",
            "`data_dir`",
        ],
    );
    check(
        "[window]",
        "[windw]",
        &[
            "mirror.toml: line 5, column 2",
            "unknown field `windw`",
            "`window`",
        ],
    );
    check(
        "span_ms",
        "span",
        &["line 7, column 1", "unknown field `span`", "`span_ms`"],
    );
    // A policy that nobody runs must not look as if it were in force.
    check(
        token,
        "token = \"file:keboola-token\"\npolicy = \"custom.wasm\"",
        &[
            "line 29",
            "expected tables `[[mirror.policy]]` with `name`, `file`",
        ],
    );
    check("tag_root = \"file:tag-root\"", "", &["missing field `tag_root`"]);
    check(
        "project_id = \"",
        "project_id = 5001 # \"",
        &["mirror.toml: line", "invalid type: integer, expected a string"],
    );
    check(
        "grace_ms = 20000",
        "grace_ms = \"hunter2\"",
        &["line 3, column 12", "invalid type: string, expected u64"],
    );
    check(
        "samples = true",
        "samples = \"hunter2\"",
        &["invalid type: string, expected a boolean"],
    );
    check(
        "secrets = \"encrypted\"",
        "secrets = \"hunter2\"",
        &["unknown variant", "`encrypted`", "`masked`", "`omitted`"],
    );
    check("[[mirror]]", "[[mirror", &["mirror.toml: line", "`]]`"]);
    check(
        "span_ms = 1000",
        "span_ms = 5",
        &["`window.span_ms`", "between 1000 and 600000"],
    );
    check(
        "branch = \"main\"",
        "branch = \"a..b\"",
        &["`mirror[0].branch`", "not a Git branch name"],
    );
    check(
        "stack = \"http://127.0.0.1",
        "stack = \"http://10.0.0.1",
        &["`mirror[0].stack`", "must be `https`"],
    );
    check(
        "cadence = \"window\"",
        "cadence = \"soon\"",
        &["`mirror[0].jobs.cadence`", "`15m`"],
    );
    check(
        "repository = \"file:",
        "repository = \"ext::sh -c ",
        &["`mirror[0].repository`", "is no repository"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_file_that_cannot_be_read_is_named() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    fs::write(site.path("latin1.toml"), b"data_dir = \"\xe9\"").expect("the directory can be written");
    for (name, part) in [
        ("missing.toml", "No such file"),
        ("data.git", "No such file"),
        ("repository.git", "directory"),
        ("latin1.toml", "UTF-8"),
    ] {
        for arguments in every_command() {
            let said = run(product(&arguments).arg("--config").arg(site.path(name)));
            said.must(2, &["cannot read configuration file", name, part]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_in_the_file_is_refused_and_not_repeated() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let advice = ["`env:NAME`", "`file:PATH`", "`cred:NAME`"];
    let places = [
        ("file:keboola-token", "`mirror[0].token`"),
        ("file:ingest-token", "`http.ingest[0].token`"),
        ("file:tag-root", "`tag_root`"),
    ];
    for (reference, key) in places {
        // As it is, and after the head of a reference to the environment, where no token is a name.
        for value in [PASTED.to_owned(), format!("env:{PASTED}")] {
            check_config(&site, reference, &value, &[key, advice[0], advice[1], advice[2]]);
        }
    }
}

type Check = fn(&Installation, &str, &str, &[&str]);

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_leads_nowhere_is_named_with_what_to_do() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.write("empty", "\n");
    let cases: [(&str, &str, Check); 2] = [
        ("file:keboola-token", "shop", check_mirror),
        ("file:tag-root", "tag_root", check_config),
    ];
    for (reference, mirror, refused) in cases {
        let check = |to: &str, parts: &[&str]| {
            let parts: Vec<&str> = parts.iter().copied().chain([mirror]).collect();
            refused(&site, reference, to, &parts);
        };
        check(
            "env:KBC_MIRROR_NOT_SET",
            &["`KBC_MIRROR_NOT_SET` is not set", "set it before the start"],
        );
        check("file:nowhere", &["nowhere", "check that it exists"]);
        check(
            "cred:storage-token",
            &["needs systemd", "LoadCredential=storage-token:PATH"],
        );
        check("file:empty", &["empty", "is empty"]);
    }
    let good = site.config();
    site.write("mirror.toml", &good.replace("file:ingest-token", "file:nowhere"));
    for arguments in [["config", "check"].as_slice(), &["serve"]] {
        run(&mut with_config(&site, arguments)).must(2, &["bridge", "nowhere", "check that it exists"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_root_that_is_too_short_or_another_one_is_refused() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.write("short", "0123456789abcdef0123456789abcde\n");
    check_config(
        &site,
        "file:tag-root",
        "file:short",
        &["`tag_root`", "too short", "head -c 32 /dev/urandom | base64"],
    );

    site.once().ok();
    let tip = site.repository.tip("main");
    site.write("tag-root", "QW5vdGhlciB0YWcgcm9vdCBvZiB0aGUgdGVzdHMgMDAwMDE=");
    for arguments in [["serve"].as_slice(), &["once", "--mirror", MIRROR]] {
        let said = run(&mut with_config(&site, arguments));
        said.must(
            2,
            &[
                "`tag_root` is not the one that this installation was used with",
                "put the old one back",
            ],
        );
    }
    assert_eq!(site.repository.tip("main"), tip);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mirrors_never_share_an_id_or_a_branch_however_it_is_written() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let good = site.config();
    let (_, second) = good.split_once("[[mirror]]").expect("there is a mirror");
    let check = |repository: &str, id: &str, parts: &[&str]| {
        let second = second
            .replace("id = \"shop\"", &format!("id = \"{id}\""))
            .replace("file:repository.git", repository);
        check_config(
            &site,
            "[[mirror]]",
            &format!("[[mirror]]{second}\n[[mirror]]"),
            parts,
        );
    };
    check(
        "file:other.git",
        MIRROR,
        &["two mirrors have the id `shop`", "must differ"],
    );
    let absolute = format!("file:{}", site.path("repository.git").display());
    let name = site
        .path("")
        .file_name()
        .expect("it has a name")
        .to_string_lossy()
        .into_owned();
    std::os::unix::fs::symlink(site.path("repository.git"), site.path("link.git"))
        .expect("links can be made");
    let same = [
        "file:repository.git",
        "file://repository.git",
        "file:./repository.git",
        "file:repository.git/",
        "file:data/../repository.git",
        &format!("file:../{name}/repository.git"),
        &absolute,
        "file:link.git",
    ];
    for repository in same {
        let parts = [
            "same branch of the same repository",
            "`shop`",
            "`other`",
            "give one of them another",
        ];
        check(repository, "other", &parts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_mirror_is_answered_with_those_there_are() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    run(&mut with_config(&site, &["once", "--mirror", "shpo"]))
        .must(2, &["there is no mirror `shpo`", "known: shop"]);
    // Nothing of a terminal's control sequences goes through.
    let said = run(&mut with_config(
        &site,
        &["once", "--mirror", "\u{1b}[31mred\u{7}"],
    ));
    said.must(2, &["there is no mirror `[31mred`"]);
    assert!(!said.stderr.contains('\u{1b}'));
    site.write(
        "mirror.toml",
        "data_dir = \"data\"\ntag_root = \"file:tag-root\"\n",
    );
    run(&mut with_config(&site, &["once", "--mirror", MIRROR]))
        .must(2, &["there is no mirror `shop`", "known: none"]);
}

#[test]
fn a_command_line_that_makes_no_sense_is_answered_with_its_usage() {
    let said = run(&mut product(&[]));
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("Usage:") && said.stderr.contains("demo"),
        "{}",
        said.stderr
    );
    run(&mut product(&["serv"])).must(2, &["unrecognized subcommand 'serv'", "'serve'", "--help"]);
    run(&mut product(&["serve"])).must(2, &["--config <CONFIG>", "Usage:"]);
    run(&mut product(&["once", "--config", "x.toml"])).must(2, &["--mirror <MIRROR>", "Usage:"]);
    run(&mut product(&[
        "serve",
        "--config",
        "x.toml",
        "--log-format",
        "xml",
    ]))
    .must(2, &["'xml'", "json", "text"]);
    run(&mut product(&[
        "render",
        "--project",
        "a",
        "--out",
        "b",
        "--only",
        "config",
    ]))
    .must(2, &["'config'", "configs"]);
    run(&mut product(&["demo", "--configurations", "3"])).must(2, &["--configurations", "20..=30000"]);
    let said = run(&mut product(&[
        "serve",
        "--config",
        "x.toml",
        "--log-level",
        "loud==",
    ]));
    said.must(2, &["'loud=='", "error, warn, info, debug or trace"]);
}

#[test]
fn render_says_what_is_wrong_with_its_directories() {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let path = |name: &str| directory.path().join(name);
    let render = |project: &str, out: &str| {
        run(product(&["render"])
            .arg("--project")
            .arg(path(project))
            .arg("--out")
            .arg(path(out)))
    };
    fs::create_dir_all(path("empty")).expect("directories can be made");
    fs::create_dir_all(path("used/x")).expect("directories can be made");
    render("missing", "out").must(2, &["missing"]);
    render("empty", "out").must(2, &["options.json"]);
    fs::write(path("empty/options.json"), "{\"project\": ").expect("files can be written");
    render("empty", "out").must(2, &["options.json", "line 1"]);
    sample_project::write_directory(&fake_keboola::small_project(), &path("good"))
        .expect("it can be written");
    render("good", "used").must(2, &["used", "empty"]);
    let said = render("good", "out");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let index = path("good/api/index.json");
    let text = fs::read_to_string(&index).expect("it is there");
    let other = text.replacen("\"queue\"", "\"kueue\"", 1);
    assert_ne!(text, other, "the service is listed");
    fs::write(&index, other).expect("files can be written");
    render("good", "without-queue").must(1, &["no service `queue`", "`--only configs`"]);
}
