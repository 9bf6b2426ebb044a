//! What others hold: locks, and names that are in the way.

use super::*;

/// Runs `while_held` and lets go of what is in the way a moment later.
fn release_soon<T>(path: &Path, while_held: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (started, start) = std::sync::mpsc::channel();
        scope.spawn(move || {
            start.recv().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(150));
            fs::remove_file(path).unwrap();
        });
        started.send(()).unwrap();
        while_held()
    })
}

#[test]
fn a_lock_that_another_program_holds_for_a_moment_is_waited_for() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    let lock = mirror.remote.path().join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let push = mirror.make(Some(first), "second", &[("a", "2")]);
    release_soon(&lock, || mirror.remote.push(&push)).unwrap();
    assert_eq!(mirror.git(&["rev-parse", "main"]), push.new_tip().to_string());

    mirror.git(&["pack-refs", "--all", "--prune"]);
    let lock = mirror.remote.path().join("packed-refs.lock");
    fs::write(&lock, "").unwrap();
    release_soon(&lock, || {
        mirror.remote.delete_branch(&mirror.main, push.new_tip())
    })
    .unwrap();
    assert_eq!(mirror.git(&["for-each-ref"]), "");

    // One that stays is met within seconds.
    fs::write(&lock, "").unwrap();
    mirror.git(&["update-ref", "refs/heads/free", &first.to_string()]);
    fs::remove_file(&lock).unwrap();
    mirror.git(&["pack-refs", "--all", "--prune"]);
    fs::write(&lock, "").unwrap();
    let start = std::time::Instant::now();
    let error = mirror.remote.delete_branch(&branch("free"), first).unwrap_err();
    assert!(
        matches!(&error, PushError::Locked { path, .. } if *path == lock),
        "{error}"
    );
    assert!(start.elapsed() < std::time::Duration::from_secs(30));
    assert_eq!(mirror.remote.tip(&branch("free")).unwrap(), Some(first));
}

#[test]
fn a_process_of_ours_that_hangs_stops_nobody_for_ever() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    let held = fs::File::open(mirror.remote.path().join("kbc-mirror.lock")).unwrap();
    held.lock().unwrap();
    let push = mirror.make(Some(first), "second", &[("a", "2")]);
    let error = mirror.remote.push(&push).unwrap_err();
    assert!(matches!(error, PushError::Busy { .. }), "{error}");
    assert_eq!(error.disposition(), Disposition::Retry);
    assert!(
        error
            .to_string()
            .starts_with("another kbc-mirror works on repository `")
    );
    assert_eq!(mirror.remote.tip(&mirror.main).unwrap(), Some(first));
    drop(held);
    mirror.remote.push(&push).unwrap();
}

#[test]
fn a_branch_below_another_one_is_already_deleted() {
    let mirror = Mirror::new();
    let first = mirror.push("first", &[("a", "1")]);
    for short in ["main/below", "main/far/below", "none/below"] {
        mirror.remote.delete_branch(&branch(short), first).unwrap();
    }
    mirror.git(&["pack-refs", "--all", "--prune"]);
    mirror.remote.delete_branch(&branch("main/below"), first).unwrap();
    assert_eq!(
        mirror.git(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/main"
    );
}
