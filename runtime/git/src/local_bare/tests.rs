//! Pushing to a bare repository, against Git, other writers and a hostile disk.

use super::*;
use crate::{
    Disposition,
    encoder::Encoder,
    pack,
    run::Run,
    testing::{Mirror, git, make, packs, pseudo_random_bytes},
};
use std::{
    io::{BufRead, BufReader, Write as _},
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Command, Stdio},
};

mod locks;

fn id(byte: u8) -> Oid {
    Oid::from_bytes([byte; 20])
}

pub(super) fn branch(short: &str) -> RefName {
    RefName::branch(short).unwrap()
}

#[test]
fn a_branch_that_moved_is_not_touched() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    let stale = mirror.make(Some(first), "stale", &[("a", "2")]);
    let second = mirror.push("second", &[("a", "3")]);
    let error = mirror.remote.push(&stale).unwrap_err();
    assert!(
        matches!(error, PushError::RefMoved { actual: Some(actual), .. } if actual == second),
        "{error}"
    );
    assert_eq!(error.disposition(), Disposition::RefMoved);
    let create = mirror.make(None, "create", &[("a", "4")]);
    assert!(matches!(
        mirror.remote.push(&create),
        Err(PushError::RefMoved { actual: Some(_), .. })
    ));
    let gone = make(&mirror.store, &branch("gone"), Some(first), "gone", &[("a", "5")]);
    assert!(matches!(
        mirror.remote.push(&gone),
        Err(PushError::RefMoved { actual: None, .. })
    ));
    assert_eq!(mirror.remote.tip(&mirror.main).unwrap(), Some(second));
}

#[test]
fn a_push_that_arrived_already_is_a_success() {
    let mirror = Mirror::new();
    let push = mirror.make(None, "first", &[("a", "1")]);
    mirror.remote.push(&push).unwrap();
    mirror.remote.push(&push).unwrap();
    assert_eq!(mirror.remote.tip(&mirror.main).unwrap(), Some(push.new_tip()));
    assert_eq!(packs(mirror.remote.path(), "pack").len(), 1);
}

#[test]
fn of_two_that_race_exactly_one_wins() {
    let mirror = Mirror::new();
    let mut tip = mirror.push("first", &[("a", "1")]);
    for round in 0..20 {
        let pushes =
            ["left", "right"].map(|who| mirror.make(Some(tip), who, &[("a", &format!("{who} {round}"))]));
        pushes.iter().for_each(|push| mirror.store.save(push).unwrap());
        // Each has its own view of the repository, as two processes have.
        let remotes = [(); 2].map(|()| LocalBare::open(mirror.remote.path()).unwrap());
        let start = std::sync::Barrier::new(2);
        let results: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = (pushes.iter().zip(&remotes))
                .map(|(push, remote)| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        remote.push(push)
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<Oid> = pushes
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok())
            .map(|(push, _)| push.new_tip())
            .collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(
                matches!(error, PushError::RefMoved { actual, .. } if *actual == Some(winners[0])),
                "{error:?}"
            );
        }
        tip = winners[0];
        assert_eq!(mirror.remote.tip(&mirror.main).unwrap(), Some(tip));
    }
    assert_eq!(mirror.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    assert_eq!(mirror.git(&["rev-list", "--count", "main"]), "21");
}

#[test]
fn branches_that_git_has_packed_are_seen_moved_and_deleted() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    let dev = branch("keboola/dev-1");
    mirror
        .remote
        .push(&make(&mirror.store, &dev, None, "dev", &[("b", "1")]))
        .unwrap();
    mirror.git(&["tag", "-a", "-m", "tag", "v1", "main"]);
    mirror.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    mirror.git(&["pack-refs", "--all", "--prune"]);
    assert!(!mirror.remote.path().join("refs/heads/main").exists());
    let dev_tip = mirror.remote.tip(&dev).unwrap().unwrap();
    assert_eq!(
        mirror.remote.branches().unwrap(),
        [(dev.clone(), dev_tip), (mirror.main.clone(), first)]
    );

    let second = mirror.push("second", &[("a", "2")]);
    assert_eq!(mirror.git(&["rev-parse", "main"]), second.to_string());
    assert!(matches!(
        mirror.remote.delete_branch(&dev, first),
        Err(PushError::RefMoved { actual: Some(_), .. })
    ));
    mirror.remote.delete_branch(&dev, dev_tip).unwrap();
    mirror.remote.delete_branch(&dev, dev_tip).unwrap();
    assert_eq!(mirror.remote.tip(&dev).unwrap(), None);
    let all = "alias main v1 v1^{}";
    let shown = mirror.git(&["show-ref", "--dereference"]);
    let shown: Vec<&str> = shown.lines().filter_map(|line| line.rsplit('/').next()).collect();
    assert_eq!(shown.join(" "), all);
    mirror.remote.delete_branch(&mirror.main, second).unwrap();
    assert_eq!(mirror.remote.branches().unwrap(), []);
    let alias = mirror
        .remote
        .push(&make(&mirror.store, &branch("alias"), None, "x", &[("b", "1")]));
    assert!(matches!(alias, Err(PushError::Refused { .. })), "{alias:?}");
}

#[test]
fn a_branch_cannot_be_below_another_one() {
    let mirror = Mirror::new();
    let push = |short: &str| {
        mirror
            .remote
            .push(&make(&mirror.store, &branch(short), None, "x", &[("b", "1")]))
    };
    push("a/b").unwrap();
    for packed in [false, true] {
        for short in ["a", "a/b/c"] {
            let error = push(short).unwrap_err();
            assert!(
                matches!(error, PushError::Refused { .. }),
                "packed {packed}, {short}: {error}"
            );
            assert_eq!(error.disposition(), Disposition::NeedsCustomer);
        }
        mirror.git(&["pack-refs", "--all", "--prune"]);
    }
    let old = mirror.remote.tip(&branch("a/b")).unwrap().unwrap();
    mirror.remote.delete_branch(&branch("a/b"), old).unwrap();
    // What is left of the directory is no obstacle.
    fs::create_dir_all(mirror.remote.path().join("refs/heads/a/b")).unwrap();
    push("a").unwrap();
    assert_eq!(
        mirror.git(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/a"
    );
}

#[test]
fn a_lock_of_a_dead_process_is_removed_and_a_strangers_is_not() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    let lock = mirror.remote.path().join("refs/heads/main.lock");
    fs::hard_link(mirror.remote.path().join("kbc-mirror.lock"), &lock).unwrap();
    let second = mirror.push("second", &[("a", "2")]);
    assert!(!lock.exists());

    for content in ["", &format!("{first}\n")] {
        fs::write(&lock, content).unwrap();
        let push = mirror.make(Some(second), "third", &[("a", "3")]);
        let error = mirror.remote.push(&push).unwrap_err();
        assert!(
            matches!(&error, PushError::Locked { path, .. } if *path == lock),
            "{error}"
        );
        assert_eq!(error.disposition(), Disposition::Retry);
        assert_eq!(fs::read_to_string(&lock).unwrap(), content);
        assert_eq!(mirror.remote.tip(&mirror.main).unwrap(), Some(second));
    }
    fs::remove_file(&lock).unwrap();
    mirror.push("third", &[("a", "3")]);
    assert_eq!(mirror.git(&["rev-list", "--count", "main"]), "3");
    // Git and the mirror can take turns.
    mirror.git(&["update-ref", "refs/heads/main", &first.to_string()]);
    mirror.push("fourth", &[("a", "4")]);
    assert_eq!(mirror.git(&["rev-list", "--count", "main"]), "2");
}

#[test]
fn only_a_bare_repository_of_a_known_kind_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    git(root, &["init", "--quiet", "work"]);
    git(
        root,
        &["init", "--quiet", "--bare", "--object-format=sha256", "sha256"],
    );
    git(
        root,
        &["init", "--quiet", "--bare", "--ref-format=reftable", "reftable"],
    );
    git(root, &["init", "--quiet", "--bare", "good"]);
    for unfit in ["work", "work/.git", "sha256", "reftable", "none", "good/objects"] {
        let error = LocalBare::open(&root.join(unfit)).unwrap_err();
        assert!(
            matches!(error, RemoteError::NotARepository { .. }),
            "{unfit}: {error}"
        );
        assert_eq!(error.disposition(), Disposition::NeedsCustomer);
    }
    LocalBare::open(&root.join("good")).unwrap();
    assert!(matches!(
        LocalBare::init(&root.join("good"), &branch("main")),
        Err(RemoteError::NotARepository { .. })
    ));
    let made = LocalBare::init(&root.join("deep/made"), &branch("trunk")).unwrap();
    assert_eq!(made.branches().unwrap(), []);
    assert_eq!(git(made.path(), &["symbolic-ref", "HEAD"]), "refs/heads/trunk");
    assert_eq!(git(made.path(), &["rev-parse", "--is-bare-repository"]), "true");
    fs::remove_dir_all(made.path()).unwrap();
    assert!(matches!(
        made.tip(&branch("trunk")),
        Err(RemoteError::Unreachable { .. })
    ));
}

#[test]
fn a_torn_branch_file_is_damage_and_not_a_missing_branch() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    for content in ["", "0123", "\0\0\0\0"] {
        fs::write(mirror.remote.path().join("refs/heads/main"), content).unwrap();
        let push = mirror.make(Some(first), "second", &[("a", "2")]);
        assert!(matches!(
            mirror.remote.tip(&mirror.main),
            Err(RemoteError::Damaged { .. })
        ));
        assert!(matches!(
            mirror.remote.push(&push),
            Err(PushError::Damaged { .. })
        ));
    }
}

/// Runs the test of this name again in a process of its own, which finds the remote's path in the environment.
pub(super) fn child(test: &str, remote: &Path, shell: Option<&str>) -> Command {
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "--nocapture", test];
    let mut command = match shell {
        None => Command::new(&program),
        Some(script) => {
            let mut command = Command::new("sh");
            command
                .args(["-c", &format!("{script}; exec \"$0\" \"$@\"")])
                .arg(&program);
            command
        }
    };
    command.args(arguments).env(CHILD, remote).stdin(Stdio::null());
    command
}

const CHILD: &str = "MIRROR_GIT_TEST_REMOTE";

/// Returns the remote's path if this process is such a child.
pub(super) fn is_child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// In the child: pushes once and prints how that ended.
fn push_as_child(remote: &Path, content: &[u8]) {
    let cache = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(cache.path()).unwrap();
    let remote = LocalBare::open(remote).unwrap();
    let mut draft = store.draft();
    let mut writer = draft.tree_writer(None).unwrap();
    writer
        .write_files(&[(crate::testing::path("big"), content)])
        .unwrap();
    let tree = writer.finish().unwrap().tree;
    let commit = draft
        .commit_text(tree, &[], crate::testing::text("child", 1), None)
        .unwrap();
    let push = draft.into_push(branch("child"), None, commit).unwrap();
    match remote.push(&push) {
        Ok(()) => println!("pushed"),
        Err(error) => println!("{:?}: {error}", error.disposition()),
    }
    match store.save(&push) {
        Ok(()) => println!("saved"),
        Err(error) => println!("{:?}: {error}", error.disposition()),
    }
}

#[track_caller]
fn outcome_of(mut command: Command, remote: &Path) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let ours = |line: &&str| {
        ["pushed", "saved", "Retry:", "NeedsCustomer:"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let outcome: Vec<&str> = printed.lines().filter(ours).collect();
    outcome
        .join("\n")
        .replace(&remote.display().to_string(), "REMOTE")
}

#[test]
fn a_full_disk_is_said_to_be_full_and_leaves_everything_as_it_was() {
    if let Some(remote) = is_child() {
        return push_as_child(&remote, &pseudo_random_bytes(1, 600_000));
    }
    let mirror = Mirror::new();
    let name = "local_bare::tests::a_full_disk_is_said_to_be_full_and_leaves_everything_as_it_was";
    // The limit is in blocks of 512 or 1,024 bytes. Ignoring the signal turns it into an error.
    let outcome = outcome_of(
        child(name, mirror.remote.path(), Some("trap '' XFSZ; ulimit -f 256")),
        mirror.remote.path(),
    );
    let lines: Vec<&str> = outcome.lines().collect();
    assert!(
        lines[0]
            .starts_with("NeedsCustomer: no space left on remote `REMOTE` to write `REMOTE/objects/pack/"),
        "{outcome}"
    );
    assert!(
        lines[1].starts_with("Retry: no space left to write `"),
        "{outcome}"
    );
    assert_eq!(lines.len(), 2, "{outcome}");
    assert_eq!(mirror.remote.branches().unwrap(), []);
    assert_eq!(
        fs::read_dir(mirror.remote.path().join("objects/pack"))
            .unwrap()
            .count(),
        0
    );

    let outcome = outcome_of(child(name, mirror.remote.path(), None), mirror.remote.path());
    assert_eq!(outcome, "pushed\nsaved");
    mirror.git(&["fsck", "--full", "--strict"]);
}

#[test]
fn a_repository_that_may_not_be_written_says_so() {
    if let Some(remote) = is_child() {
        return push_as_child(&remote, b"small");
    }
    let mirror = Mirror::new();
    mirror.push("first", &[("a", "1")]);
    let open_to_read = |path: &Path, mode: u32| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    open_to_read(mirror.directory.path(), 0o755);
    open_to_read(&mirror.remote.path().join("objects/pack"), 0o555);
    let own = mirror.remote.path().join("kbc-mirror.packs");
    open_to_read(&own, 0o777);
    open_to_read(&own.join("lock"), 0o666);
    let name = "local_bare::tests::a_repository_that_may_not_be_written_says_so";
    // A program that anybody may run: the one of this test may lie in a private directory.
    let program = mirror.directory.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    open_to_read(&program, 0o755);
    let mut command = Command::new(&program);
    command
        .args(["--exact", "--nocapture", name])
        .env(CHILD, mirror.remote.path())
        .current_dir("/");
    let root = fs::metadata(mirror.directory.path()).unwrap().uid() == 0;
    if root {
        // To root nothing is forbidden.
        command.uid(65_534).gid(65_534).env_remove("TMPDIR");
    }
    let outcome = outcome_of(command, mirror.remote.path());
    open_to_read(&mirror.remote.path().join("objects/pack"), 0o755);
    open_to_read(&own, 0o755);
    open_to_read(&own.join("lock"), 0o644);
    let lines: Vec<&str> = outcome.lines().collect();
    assert!(
        lines[0].starts_with("NeedsCustomer: cannot write `REMOTE/objects/pack/"),
        "{outcome}"
    );
    assert!(
        lines[0].ends_with("give this user write permission to it"),
        "{outcome}"
    );
    assert_eq!(lines[1], "saved", "{outcome}");
}

#[test]
fn a_process_killed_at_any_line_leaves_the_old_or_the_new_commit() {
    if let Some(remote) = is_child() {
        return push_for_ever(&remote);
    }
    let mirror = Mirror::new();
    mirror.push("first", &[("a", "1")]);
    let name = "local_bare::tests::a_process_killed_at_any_line_leaves_the_old_or_the_new_commit";
    let mut count = 1;
    for round in 0..12 {
        let mut command = child(name, mirror.remote.path(), None);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_count = |line: &str| {
            line.strip_prefix("pushed ")
                .and_then(|count| count.parse::<usize>().ok())
        };
        let mut confirmed = 0;
        for _ in 0..=round % 4 {
            confirmed = lines
                .by_ref()
                .find_map(|line| is_count(&line.unwrap()))
                .expect("the child pushes for ever");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let there: usize = mirror.git(&["rev-list", "--count", "main"]).parse().unwrap();
        assert!(
            there >= confirmed && there > count,
            "{there} commits, {confirmed} confirmed, {count} before"
        );
        count = there;
        let tip = mirror.remote.tip(&mirror.main).unwrap().unwrap();
        mirror
            .remote
            .fetch(tip, &mirror.store, FetchScope::TreesOnly { commits_max: 1 })
            .unwrap();
        mirror.push("after the kill", &[("a", &format!("{round}"))]);
        count += 1;
    }
    assert_eq!(mirror.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    assert!(!mirror.remote.path().join("refs/heads/main.lock").exists());
}

pub(super) fn push_for_ever(remote: &Path) {
    let cache = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(cache.path()).unwrap();
    let remote = LocalBare::open(remote).unwrap();
    let main = branch("main");
    let mut tip = remote.tip(&main).unwrap();
    let depth = FetchScope::TreesOnly { commits_max: 10_000 };
    remote.fetch(tip.unwrap(), &store, depth).unwrap();
    let mut count = store.history(tip.unwrap(), 10_000).unwrap().commits.len();
    loop {
        let push = make(&store, &main, tip, "again", &[("b/c", &format!("{count}"))]);
        tip = Some(push.new_tip());
        store.save(&push).unwrap();
        remote.push(&push).unwrap();
        store.confirm(push).unwrap();
        count += 1;
        println!("pushed {count}");
    }
}

#[test]
fn errors_know_who_can_mend_them() {
    let (remote, refname) = ("r".to_owned(), branch("b"));
    let refused = PushError::Refused {
        remote: remote.clone(),
        refname: refname.clone(),
        refusal: crate::Refusal::Hook,
        said: "no".to_owned(),
    };
    assert_eq!(
        refused.to_string(),
        "remote `r` refused branch `refs/heads/b`: a hook of the repository declined it (no)"
    );
    let full = DiskError {
        path: "p".into(),
        source: std::sync::Arc::new(io::ErrorKind::QuotaExceeded.into()),
    };
    let full = PushError::from_disk("r", full);
    assert_eq!(
        full.to_string(),
        "no space left on remote `r` to write `p`; free disk space there"
    );
    let other = DiskError {
        path: "p".into(),
        source: std::sync::Arc::new(io::ErrorKind::TimedOut.into()),
    };
    assert!(matches!(
        PushError::from_disk("r", other),
        PushError::Unreachable { .. }
    ));
    let read_only = DiskError {
        path: "p".into(),
        source: std::sync::Arc::new(io::ErrorKind::ReadOnlyFilesystem.into()),
    };
    assert_eq!(StoreError::from(read_only).disposition(), Disposition::Retry);
    assert_eq!(
        RemoteError::Missing { remote, id: id(1) }.disposition(),
        Disposition::Retry
    );
}

#[test]
fn no_branch_is_overlooked_while_git_packs_them() {
    use std::{
        fmt::Write as _,
        sync::atomic::{AtomicUsize, Ordering},
    };
    const ROUNDS: usize = 600;
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    let root = mirror.remote.path();
    let name = |number: usize| format!("refs/heads/b{number:05}");
    // The newest branch that surely exists.
    let there = AtomicUsize::new(0);
    fs::write(root.join(name(0)), format!("{first}\n")).unwrap();
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            loop {
                let number = there.load(Ordering::SeqCst);
                let branches = mirror.remote.branches().unwrap();
                let expected = RefName::parse(&name(number)).unwrap();
                if branches.iter().all(|(refname, _)| *refname != expected) {
                    return Err(format!("{expected} is not among {} branches", branches.len()));
                }
                if number == ROUNDS {
                    return Ok(());
                }
            }
        });
        let mut all = String::new();
        // What `git pack-refs --prune` does, as often as possible: into `packed-refs` first, then the file goes.
        for number in 1..=ROUNDS {
            let packed = root.join("packed-refs.new");
            writeln!(all, "{first} {}", name(number - 1)).unwrap();
            fs::write(&packed, &all).unwrap();
            fs::rename(&packed, root.join("packed-refs")).unwrap();
            fs::remove_file(root.join(name(number - 1))).unwrap();
            fs::write(root.join("new-ref"), format!("{first}\n")).unwrap();
            fs::rename(root.join("new-ref"), root.join(name(number))).unwrap();
            there.store(number, Ordering::SeqCst);
            if looking.is_finished() {
                break;
            }
            // The looker shall find the branch's file before it is packed.
            std::thread::yield_now();
        }
        looking.join().unwrap().unwrap();
    });
}

#[test]
fn a_pack_that_is_there_is_only_made_durable_and_a_torn_one_is_written_again() {
    if let Some(remote) = is_child() {
        return store_without_a_free_file(&remote);
    }
    let mirror = Mirror::new();
    let push = mirror.make(None, "first", &[("a", "1")]);
    mirror.remote.push(&push).unwrap();
    let path = packs(mirror.remote.path(), "pack").pop().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    push.outgoing
        .sent
        .pack()
        .store(path.parent().unwrap(), Durability::Synced)
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
    let name = "local_bare::tests::a_pack_that_is_there_is_only_made_durable_and_a_torn_one_is_written_again";
    let mut command = child(name, mirror.remote.path(), Some("ulimit -n 64"));
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.lines().any(|line| line == "not durable"), "{printed}");
}

/// In the child: to make a directory durable it must be opened, so without a free file descriptor that fails.
fn store_without_a_free_file(remote: &Path) {
    let mut run = Run::default();
    let content = b"content";
    let id = pack::object_id(Kind::Blob, content).unwrap();
    run.push(&mut Encoder::new(), id, Kind::Blob, content);
    let pack = Pack::in_memory(run);
    let directory = remote.join("objects/pack");
    pack.store(&directory, Durability::Synced).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = fs::File::open(&directory) {
        taken.push(file);
    }
    let stored = pack.store(&directory, Durability::Synced);
    drop(taken);
    println!();
    match stored {
        Err(error) if error.path == directory => println!("not durable"),
        other => println!("{other:?}"),
    }
}

#[test]
fn where_a_branch_was_found_it_stays_after_a_power_cut() {
    if let Some(remote) = is_child() {
        return read_when_told(&remote);
    }
    let mirror = Mirror::new();
    mirror.push("first", &[("a", "1")]);
    let set = |path: &Path, mode: u32| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    set(mirror.directory.path(), 0o755);
    let program = mirror.directory.path().join("tests");
    // By another process: what a test beside this one starts would hold the file open for writing, and it could not be run.
    let own = std::env::current_exe().unwrap();
    let copied = Command::new("cp").args([&own, &program]).status();
    assert!(copied.unwrap().success());
    set(&program, 0o755);
    let mut command = Command::new(&program);
    let name = "local_bare::tests::where_a_branch_was_found_it_stays_after_a_power_cut";
    command
        .args(["--exact", "--nocapture", name])
        .env(CHILD, mirror.remote.path())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if fs::metadata(mirror.directory.path()).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534).env_remove("TMPDIR");
    }
    let mut child = command.spawn().unwrap();
    let mut told = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = || {
        told.write_all(b"read\n").unwrap();
        let answer = |line: String| line.strip_prefix("answer: ").map(str::to_owned);
        lines
            .find_map(|line| answer(line.unwrap()))
            .expect("the child answers")
    };
    let heads = mirror.remote.path().join("refs/heads");
    let first = mirror.remote.tip(&mirror.main).unwrap().unwrap();
    assert_eq!(ask(), first.to_string());
    // Nobody can make durable what is in a directory that he may not open, but read its files.
    set(&heads, 0o311);
    assert_eq!(ask(), first.to_string(), "nothing moved: nothing to do");
    set(&heads, 0o755);
    let second = mirror.push("second", &[("a", "2")]);
    set(&heads, 0o311);
    let problem = ask();
    assert!(problem.contains("may not be read"), "{problem}");
    set(&heads, 0o755);
    assert_eq!(ask(), second.to_string());
    drop(told);
    assert!(child.wait().unwrap().success());
}

/// In the child: says where the branch is, each time it is asked.
fn read_when_told(remote: &Path) {
    let remote = LocalBare::open(remote).unwrap();
    for _ in io::stdin().lines() {
        match remote.tip(&branch("main")) {
            Ok(tip) => println!("\nanswer: {}", tip.unwrap()),
            Err(error) => println!("\nanswer: {error}"),
        }
    }
}

#[test]
fn what_is_being_pushed_survives_a_repack_that_drops_what_no_branch_needs() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    let push = mirror.make(Some(first), "second", &[("a", "2")]);
    // As far as a push is before the branch moves.
    let kept = mirror.remote.store_pack(&push.outgoing.sent.pack()).unwrap();
    mirror.git(&["repack", "-a", "-d", "-q"]);
    mirror.git(&["cat-file", "-e", &push.new_tip().to_string()]);
    drop(kept);
    assert!(packs(mirror.remote.path(), "keep").is_empty());
    mirror.remote.push(&push).unwrap();
    mirror.git(&["repack", "-a", "-d", "-q"]);
    assert_eq!(mirror.git(&["fsck", "--full", "--strict"]), "");
    assert_eq!(packs(mirror.remote.path(), "pack").len(), 1);
}
