//! Repositories, data directories, addresses and stacks that cannot be used.

use super::{
    PASTED, all_is_well_after_a_restart, check_config, check_mirror, decent, once, run, with_config,
};
use crate::support::{Installation, JANE, Keboola, MIRROR, Options, Repository, binary, until};
use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_none_is_named_with_what_to_do() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.write("file.git", "no directory");
    fs::create_dir(site.path("plain")).expect("the directory can be written");
    let worktree = site.path("worktree");
    let status = Command::new("git")
        .args(["init", "--quiet"])
        .arg(&worktree)
        .status();
    assert!(status.expect("git can be started").success());
    for name in ["missing.git", "file.git", "plain", "worktree"] {
        let to = format!("file:{name}");
        check_mirror(
            &site,
            "file:repository.git",
            &to,
            &["mirror `shop`", name, "bare repository"],
        );
    }
}

/// Runs a command as a user to whom the installation's files are forbidden, as far as they are not
/// made writable for all. To root nothing is forbidden.
fn as_nobody(site: &Installation, command: &mut Command) {
    let everybody = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the files are ours");
    };
    everybody(&site.path(""), 0o755);
    if fs::metadata("/proc/self").expect("there is /proc").uid() == 0 {
        own(&site.data_dir(), 65_534);
        command.uid(65_534).gid(65_534).env_remove("TMPDIR");
    }
}

fn own(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may do so");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("the directory can be read") {
            own(&entry.expect("the directory can be read").path(), user);
        }
    }
}

/// The product's program where everybody may run it: the one beside the tests may lie in a private directory.
fn copied_program(site: &Installation) -> PathBuf {
    let program = site.path("kbc-mirror");
    if !program.exists() {
        fs::copy(binary(), &program).expect("the program can be copied");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_may_not_be_written_is_told_and_nothing_is_lost() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    // One of its own, without what it shares with other tests.
    site.lose_data();
    fs::create_dir(site.data_dir()).expect("the directory can be written");
    let program = copied_program(&site);
    let once = || {
        let mut command = Command::new(&program);
        command
            .args(["once", "--mirror", MIRROR, "--config"])
            .arg(site.path("mirror.toml"))
            .current_dir("/");
        as_nobody(&site, &mut command);
        command
    };
    let closed = ["", "objects", "objects/pack", "refs", "refs/heads"];
    let set = |mode: u32| {
        for name in closed {
            let path = site.repository.path().join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the files are ours");
        }
    };
    set(0o555);
    run(&mut once()).must(
        1,
        &[
            "cannot write",
            "repository.git",
            "give this user write permission",
        ],
    );
    assert_eq!(site.repository.branches(), [""; 0]);
    set(0o777);
    let said = run(&mut once());
    set(0o755);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    // Git refuses to read what another user owns.
    if fs::metadata("/proc/self").expect("there is /proc").uid() == 0 {
        own(site.repository.path(), 0);
        own(&site.data_dir(), 0);
    }
    site.repository.fsck();
    assert_eq!(site.repository.count("main"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_used_is_named_with_what_to_do() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.lose_data();
    site.write("data", "a file");
    let made = || fs::read_dir(site.path("")).expect("it can be read").count();
    let before = made();
    // A file, below a file, and what not even root may make.
    for place in ["data", "data/below", "/proc/kbc-mirror"] {
        let to = format!("data_dir = \"{place}\"");
        let parts = ["data directory", &format!("{place}`"), "make it writable"];
        check_config(&site, "data_dir = \"data\"", &to, &parts);
    }
    fs::remove_file(site.data_dir()).expect("it was just made");
    let said = run(&mut with_config(&site, &["config", "check"]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(made(), before - 1, "what is only checked leaves nothing behind");
    fs::create_dir(site.data_dir()).expect("the directory can be written");
    fs::write(site.data_dir().join("mirror.sqlite"), vec![b'x'; 8192]).expect("the directory can be written");
    for arguments in [["serve"].as_slice(), &["once", "--mirror", MIRROR]] {
        let said = run(&mut with_config(&site, arguments));
        said.must(2, &["mirror.sqlite", "is no database of this program"]);
    }
    assert_eq!(site.repository.branches(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_another_user_is_named_and_no_process_is_blamed() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.lose_data();
    fs::create_dir(site.data_dir()).expect("the directory can be written");
    let mut command = Command::new(copied_program(&site));
    command
        .args(["mirror", "status", "--mirror", MIRROR, "--config"])
        .arg(site.path("mirror.toml"))
        .current_dir("/");
    as_nobody(&site, &mut command);
    let close = |mode: u32| {
        fs::set_permissions(site.data_dir(), fs::Permissions::from_mode(mode)).expect("the files are ours");
    };
    close(0o000);
    let said = run(&mut command);
    close(0o755);
    said.must(2, &["/data` may not be used by this user", "Permission denied"]);
    assert!(!said.stderr.contains("does not answer"), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_serves_one_process_at_a_time() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    for arguments in [["serve"].as_slice(), &["once", "--mirror", MIRROR]] {
        let said = run(&mut with_config(&site, arguments));
        said.must(
            2,
            &[
                "/data` is used by another process",
                "stop it, or choose another directory",
            ],
        );
    }
    site.settle(&mut server).await;
    server.stop().await;
    // The lock goes with the process.
    site.once().ok();
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    site.write("mirror.toml", &site.config().replace("127.0.0.1:0", &address));
    run(&mut with_config(&site, &["serve"])).must(2, &["cannot listen on", &address, "in use"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_the_mirrors_are_not_replaced_unasked() {
    let keboola = Keboola::small();
    let mut site = Installation::new(&keboola, Options::default());
    let theirs = site
        .repository
        .human_commit("main", &[("configs/notes.txt", Some("mine"))], "Notes");
    run(&mut once(&site)).must(
        1,
        &[
            "`configs/notes.txt`",
            "not the mirror's",
            "`adopt = true`",
            "`prefix`",
        ],
    );
    assert_eq!(site.repository.tip("main"), Some(theirs));
    site.configure(|options| options.adopt = true);
    site.once().ok();
    site.repository.fsck();
    assert_eq!(site.repository.file("main", "configs/notes.txt"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_keboola_refuses_is_told_with_what_to_do() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let good = keboola.token().to_owned();
    site.write("keboola-token", PASTED);
    let parts = [
        "mirror `shop`",
        "keboola does not accept the token",
        "give the mirror a valid one",
    ];
    run(&mut once(&site)).must(1, &parts);

    // The runtime stays up and says so; with the right token it needs a new start only.
    let server = site.start().await;
    let logged = until("the refusal is logged", async || {
        server
            .logged("the mirror's branches cannot be opened")
            .into_iter()
            .next()
    });
    let logged = logged.await;
    assert_eq!(logged["level"], "ERROR", "{logged}");
    let reason = logged["error"].as_str().unwrap_or_default().to_owned();
    assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
    assert_eq!(server.get("/readyz").await.expect("it answers").status, 200);
    server.log().iter().for_each(|line| decent(line));
    server.stop().await;
    site.write("keboola-token", &good);
    all_is_well_after_a_restart(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_project_is_told_with_both_numbers() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let project = keboola.project().project_id.to_string();
    let good = site.config();
    let other = format!("project_id = \"{project}\"");
    site.write("mirror.toml", &good.replace(&other, "project_id = \"777\""));
    let found = format!("the token is of project {project}, not of 777");
    run(&mut once(&site)).must(2, &["mirror `shop`", &found]);
    let server = site.start().await;
    until("the refusal is logged", async || {
        let logged = server.logged("the mirror's branches cannot be opened");
        logged
            .iter()
            .any(|line| line["error"].as_str().is_some_and(|text| text.contains(&found)))
            .then_some(())
    })
    .await;
    server.stop().await;
    assert_eq!(site.repository.branches(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_be_reached_is_named_and_waited_for() {
    let keboola = Keboola::small();
    let mut site = Installation::new(&keboola, Options::default());
    site.configure(|options| options.retries_max = 0);
    let nobody = {
        // Nobody listens there any more.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        free.local_addr().expect("it is bound")
    };
    site.write(
        "mirror.toml",
        &site.config().replace(keboola.url(), &format!("http://{nobody}")),
    );
    let refused = ["mirror `shop`", "cannot reach keboola", "Connection refused"];
    run(&mut once(&site)).must(1, &refused);
    let server = site.start().await;
    until("the failure is logged", async || {
        server
            .logged("the mirror's branches cannot be opened")
            .into_iter()
            .next()
    })
    .await;
    // What is told meanwhile is kept.
    keboola.set(&keboola.orders(), JANE, "meanwhile", "kept");
    for path in ["/livez", "/readyz"] {
        assert_eq!(server.get(path).await.expect("it answers").status, 200);
    }
    for event in keboola.outbox(0) {
        assert_eq!(server.post(&event.json).await.expect("it answers").status, 202);
    }
    server.stop().await;

    site.write("mirror.toml", &site.config());
    all_is_well_after_a_restart(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_be_opened_is_in_the_status_with_its_reason() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.write("keboola-token", PASTED);
    let server = site.start().await;
    until("the refusal is logged", async || {
        server
            .logged("the mirror's branches cannot be opened")
            .into_iter()
            .next()
    })
    .await;
    let status = server.status().await.to_string();
    assert!(
        status.contains(MIRROR),
        "the mirror is not in the status: {status}"
    );
    assert!(
        status.contains("keboola does not accept the token"),
        "no reason is told: {status}"
    );
    decent(&status);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_one_mirror_stops_no_other_and_ends_without_a_restart() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let (url, project) = (keboola.url(), keboola.project().project_id);
    let mirror = |id: &str, token: &str| {
        format!(
            "\n[[mirror]]\nid = \"{id}\"\nstack = \"{url}\"\nproject_id = \"{project}\"\ntoken = \"file:{token}\"\nrepository = \"file:{id}.git\"\n"
        )
    };
    let others = [
        mirror("away", "keboola-token"),
        mirror("tokenless", "late-token"),
        mirror("held", "keboola-token"),
    ];
    site.write("mirror.toml", &format!("{}{}", site.config(), others.concat()));
    let tokenless = Repository::init(site.path("tokenless.git"));
    let paused = with_config(&site, &["mirror", "pause", "--mirror", "held"]).output();
    assert!(paused.expect("the program can be started").status.success());

    let server = site.start().await;
    until("the mirror without trouble commits", async || {
        site.repository.tip("main")
    })
    .await;
    let expected = [
        ("away", "bare repository"),
        ("tokenless", "late-token"),
        ("held", "bare repository"),
    ];
    for (id, part) in expected {
        until("the trouble is in the status", async || {
            let status = server.status().await;
            let mut mirrors = status["mirrors"].as_array()?.iter();
            let found = mirrors.find(|mirror| mirror["mirror"] == id)?;
            assert_eq!(found["state"], "cannot be opened", "{found}");
            assert!(found["reason"].as_str()?.contains(part), "{found}");
            Some(())
        })
        .await;
    }
    assert_eq!(server.get("/readyz").await.expect("it answers").status, 200);

    let away = Repository::init(site.path("away.git"));
    site.write("late-token", keboola.token());
    for repository in [away, tokenless] {
        until("the mirror opens when its trouble is over", async || {
            repository.tip("main")
        })
        .await;
    }
    server.stop().await;
}
