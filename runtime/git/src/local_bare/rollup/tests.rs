//! What is joined when, and that nobody who reads, repacks or dies meanwhile loses anything.

use super::*;
use crate::{
    FetchScope, LocalBare, PushError, Remote, Store,
    local_bare::{
        own_packs::{KEEP, KEEP_OWN},
        tests::{branch, child, is_child, push_for_ever},
    },
    testing::{Mirror, Random, command, git, make, packs},
};
use mirror_core::ids::Oid;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread::ScopedJoinHandle,
    time::SystemTime,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

#[track_caller]
fn check(mut sizes: Vec<u64>, joined: usize) {
    sizes.sort_unstable();
    assert_eq!(smallest_to_join(&sizes), joined, "{sizes:?}");
}

fn with(large: &[u64], count: usize, size: u64) -> Vec<u64> {
    let mut sizes = vec![size; count];
    sizes.extend_from_slice(large);
    sizes
}

#[test]
fn small_packs_are_joined_until_sizes_double() {
    check(vec![], 0);
    check(with(&[], 50, KIB), 0);
    check(with(&[], 51, KIB), 51);
    check(with(&[99 * KIB], 50, KIB), 51);
    check(with(&[100 * KIB], 50, KIB), 50);
    check(with(&[MIB], 50, KIB), 50);
    check(with(&[100 * KIB, 100 * KIB], 50, KIB), 52);
    check(with(&[100 * KIB, 300 * KIB], 50, KIB), 50);
    check(with(&[100 * KIB, 299 * KIB], 50, KIB), 52);
    // No more than a bound at once, and then so much that the rest need not be joined with it again.
    check(with(&[], 51, 7 * MIB), 2);
    check(with(&[], 51, MIB), 16);
    check(with(&[7 * MIB, 7 * MIB, 7 * MIB], 50, KIB), 52);
}

#[test]
fn what_pushes_cost_is_bounded_at_once_and_logarithmic_in_all() {
    for (most, pushes) in [(2 * KIB, 20_000), (40 * KIB, 20_000), (12 * MIB, 2000)] {
        let mut random = Random(most);
        let mut sizes: Vec<u64> = Vec::new();
        let (mut pushed, mut copied, mut settled) = (0, 0, 0);
        for _ in 0..pushes {
            let size = 1 + random.next() % most;
            pushed += size;
            match is_small(size) {
                true => sizes.push(size),
                false => settled += 1,
            }
            sizes.sort_unstable();
            let count = smallest_to_join(&sizes);
            let joined: u64 = sizes.drain(..count).sum();
            assert!(joined <= JOINED_BYTES_MAX);
            copied += joined;
            match count {
                0 => {}
                _ if is_small(joined) => sizes.push(joined),
                _ => settled += 1,
            }
            assert!(sizes.len() <= PACKS_MAX, "{}", sizes.len());
        }
        // A pack of fifty pushes grows to the size that is left alone, by half at least each time it is copied.
        let growth = SETTLED_BYTES as f64 / (most as f64 * 25.0);
        let copies = 1.0 + growth.max(1.5).log(1.5);
        let ratio = copied as f64 / pushed as f64;
        assert!(ratio <= copies, "{most}: each byte was copied {ratio} times");
        let settled_most = 1 + pushed / (SETTLED_BYTES / 2);
        assert!(
            settled <= settled_most,
            "{most}: {settled} of at most {settled_most}"
        );
    }
}

/// The packs of a repository by name, of which each must be whole.
#[track_caller]
fn names(mirror: &Mirror) -> BTreeSet<Oid> {
    let name = |path: PathBuf| {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Oid::parse(stem.strip_prefix("pack-").unwrap()).unwrap()
    };
    let of = |extension| -> BTreeSet<Oid> {
        packs(mirror.remote.path(), extension)
            .into_iter()
            .map(name)
            .collect()
    };
    let whole = of("pack");
    assert_eq!(whole, of("idx"));
    whole
}

fn own(mirror: &Mirror) -> OwnPacks {
    OwnPacks::new(mirror.remote.path())
}

fn push_number(mirror: &Mirror, number: usize, salt: &str) {
    let file = format!("configs/{}/{}.json", number % 7, number % 23);
    mirror.push(
        &format!("{salt} {number}"),
        &[(&file, &format!("{salt} {number}\n"))],
    );
}

/// Pushes, and joins when it is time to.
///
/// A child of another test holds the lock, too, from when it is forked until its program begins. A push would leave the
/// joining to the next one then, and the counts of these tests would be others.
fn push_some(mirror: &Mirror, count: usize, salt: &str) {
    for number in 0..count {
        push_number(mirror, number, salt);
        for _ in 0..100 {
            let packs = own(mirror).list().unwrap();
            let whole = packs.iter().filter(|pack| matches!(pack, OwnPack::Whole(_)));
            if whole.count() <= PACKS_MAX {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            mirror.remote.roll_up();
        }
    }
}

/// Pushes while nothing can be joined.
fn push_unjoined(mirror: &Mirror, count: usize, salt: &str) {
    (0..count).for_each(|number| push_number(mirror, number, salt));
}

#[track_caller]
fn is_sound(mirror: &Mirror, commits: usize) {
    assert_eq!(mirror.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    assert_eq!(mirror.git(&["rev-list", "--count", "main"]), commits.to_string());
    assert_eq!(
        mirror
            .git(&["rev-list", "--objects", "--all", "--missing=print"])
            .find('?'),
        None
    );
}

#[test]
fn hundreds_of_pushes_leave_few_packs_and_all_that_was_pushed() {
    let mirror = Mirror::new();
    let clone = mirror.directory.path().join("clone.git");
    push_some(&mirror, 1, "first");
    let first = mirror.remote.tip(&mirror.main).unwrap().unwrap();
    // One that has read the first packs, and one that has read none yet.
    let readers = [(); 2].map(|()| LocalBare::open(mirror.remote.path()).unwrap());
    let blob = Oid::parse(&mirror.git(&["rev-parse", "main:configs/0/0.json"])).unwrap();
    assert_eq!(readers[0].read_blobs(&[blob]).unwrap(), [b"first 0\n"]);
    let mut most = 0;
    for round in 0..30 {
        push_some(&mirror, 10, &format!("round {round}"));
        most = most.max(names(&mirror).len());
    }
    // Those that wait for their turn, those that were joined last, and a few larger ones.
    assert!(most <= 2 * PACKS_MAX + 10, "{most} packs");
    is_sound(&mirror, 301);
    git(
        mirror.directory.path(),
        &[
            "clone",
            "--quiet",
            "--bare",
            "--no-local",
            "remote.git",
            "clone.git",
        ],
    );
    assert_eq!(git(&clone, &["rev-list", "--count", "main"]), "301");
    assert_eq!(git(&clone, &["show", "main:configs/2/9.json"]), "round 29 9");
    let log = mirror.git(&["log", "--format=%s", "--name-only", "main"]);
    assert!(
        log.starts_with("round 29 9\n") && log.ends_with("first 0\n\nconfigs/0/0.json"),
        "{log}"
    );
    let tip = mirror.remote.tip(&mirror.main).unwrap().unwrap();
    for (number, reader) in readers.iter().enumerate() {
        assert_eq!(reader.read_blobs(&[blob]).unwrap(), [b"first 0\n"]);
        let path = mirror.directory.path().join(format!("store-{number}"));
        let store = Store::open_or_create(&path).unwrap();
        let scope = FetchScope::TreesOnly { commits_max: 1000 };
        reader.fetch(tip, &store, scope).unwrap();
        assert_eq!(store.history(tip, 1000).unwrap().commits.len(), 301);
        assert!(store.contains(first));
    }
}

/// Copies a directory of files as it is now.
fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn restore(directory: &Path, files: &[(PathBuf, Vec<u8>)]) {
    fs::remove_dir_all(directory).unwrap();
    fs::create_dir(directory).unwrap();
    for (path, content) in files {
        fs::write(path, content).unwrap();
    }
}

#[test]
fn whatever_was_being_done_when_the_process_died_the_next_one_goes_on() {
    type Damage = fn(&Mirror, before: &[(PathBuf, Vec<u8>)]);
    fn marks(mirror: &Mirror) -> PathBuf {
        mirror.remote.path().join("kbc-mirror.packs")
    }
    fn of_joined(mirror: &Mirror) -> Vec<(Oid, Oid)> {
        let joined = own(mirror).list().unwrap().into_iter();
        let joined = joined.filter_map(|pack| match pack {
            OwnPack::JoinedInto { old, new } => Some((old, new)),
            OwnPack::Whole(_) => None,
        });
        joined.collect()
    }
    fn file(mirror: &Mirror, name: Oid) -> PackFile {
        PackFile::new(&mirror.remote.path().join("objects/pack"), name)
    }
    let cases: [(&str, Damage); 9] = [
        ("packs kept for a push", |mirror, _| {
            let old = of_joined(mirror).into_iter().map(|(old, _)| old);
            for name in names(mirror).into_iter().step_by(3).chain(old.take(1)) {
                fs::write(file(mirror, name).keep(), KEEP).unwrap();
            }
        }),
        ("packs that were being pushed", |mirror, _| {
            for name in names(mirror).into_iter().step_by(3) {
                let keep = file(mirror, name).keep();
                let _ = fs::remove_file(own(mirror).path(OwnPack::Whole(name)));
                fs::write(keep, KEEP_OWN).unwrap();
            }
        }),
        ("files being written", |mirror, _| {
            let packs = mirror.remote.path().join("objects/pack");
            for name in ["tmp_kbc-mirror_pack_1_2_3", "tmp_kbc-mirror_idx_1_2_4"] {
                fs::write(packs.join(name), "PACK").unwrap();
            }
        }),
        ("the new pack without its index", |mirror, before| {
            let (_, new) = of_joined(mirror)[0];
            restore(&marks(mirror), before);
            own(mirror).add(new).unwrap();
            fs::remove_file(file(mirror, new).index).unwrap();
        }),
        ("the new pack there, no old one marked", |mirror, before| {
            let (_, new) = of_joined(mirror)[0];
            restore(&marks(mirror), before);
            own(mirror).add(new).unwrap();
        }),
        ("half of the old ones marked", |mirror, _| {
            for (old, new) in of_joined(mirror).into_iter().step_by(2) {
                let joined = OwnPack::JoinedInto { old, new };
                own(mirror).change(joined, OwnPack::Whole(old)).unwrap();
            }
        }),
        ("half of the old ones removed, one by half", |mirror, _| {
            for (old, _) in of_joined(mirror).into_iter().step_by(2) {
                file(mirror, old).remove().unwrap();
            }
            fs::remove_file(file(mirror, of_joined(mirror)[1].0).index).unwrap();
        }),
        ("an announced pack that never came", |mirror, _| {
            own(mirror).add(Oid::from_bytes([7; 20])).unwrap();
        }),
        ("the new pack lost again", |mirror, _| {
            file(mirror, of_joined(mirror)[0].1).remove().unwrap();
        }),
    ];
    // Made once and copied for each case: pushes are what takes time here.
    let joining = Mirror::new();
    push_some(&joining, PACKS_MAX, "before");
    let marks_before = snapshot(&marks(&joining));
    push_some(&joining, 1, "joining");
    assert_eq!(of_joined(&joining).len(), PACKS_MAX + 1);
    for (what, damage) in cases {
        let mirror = joining.copied();
        let relative = |path: &PathBuf| marks(&mirror).join(path.file_name().unwrap());
        let before: Vec<_> = (marks_before.iter())
            .map(|(path, content)| (relative(path), content.clone()))
            .collect();
        damage(&mirror, &before);
        is_sound(&mirror, PACKS_MAX + 1);
        // What was joined last waits for the next time; so twice as many as are joined at once.
        push_some(&mirror, 2 * PACKS_MAX, "after");
        is_sound(&mirror, 3 * PACKS_MAX + 1);
        assert!(
            names(&mirror).len() <= 2 * PACKS_MAX + 3,
            "{what}: {}",
            names(&mirror).len()
        );
        let left = snapshot(&mirror.remote.path().join("objects/pack"));
        let odd = |path: &Path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            !name.starts_with("pack-") || name.ends_with("keep")
        };
        assert!(!left.iter().any(|(path, _)| odd(path)), "{what}");
    }
}

#[test]
fn a_process_killed_while_it_joins_leaves_a_repository_that_is_whole() {
    if let Some(remote) = is_child() {
        return push_for_ever(&remote);
    }
    let mirror = Mirror::new();
    mirror.push("first", &[("a", "1")]);
    let name = "local_bare::rollup::tests::a_process_killed_while_it_joins_leaves_a_repository_that_is_whole";
    let mut random = Random(3);
    let mut confirmed = 1;
    for _ in 0..10 {
        let mut child = child(name, mirror.remote.path(), None)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let counts = lines.filter_map(|line| line.unwrap().strip_prefix("pushed ")?.parse().ok());
        // The child goes on while its lines are read, so it dies somewhere behind.
        confirmed = counts.take(20 + random.below(60)).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let there: usize = mirror.git(&["rev-list", "--count", "main"]).parse().unwrap();
        assert!(there >= confirmed, "{there} commits, {confirmed} confirmed");
        is_sound(&mirror, there);
    }
    assert!(confirmed > 4 * PACKS_MAX, "{confirmed}");
    let tip = mirror.remote.tip(&mirror.main).unwrap().unwrap();
    mirror
        .remote
        .fetch(tip, &mirror.store, FetchScope::TreesOnly { commits_max: 1 })
        .unwrap();
    push_some(&mirror, 2 * PACKS_MAX, "after");
    let left = names(&mirror).len();
    // A pack that was being written as its process died may stay beside the rest.
    assert!(left <= 2 * PACKS_MAX + 20, "{left} packs");
}

#[test]
fn what_others_made_or_have_taken_up_stays_as_it_is() {
    let mirror = Mirror::new();
    let directory = mirror.remote.path().join("objects/pack");
    // Theirs: what Git packed, and what a person pushed.
    push_some(&mirror, 10, "packed");
    mirror.git(&["repack", "-adq"]);
    let packed = names(&mirror);
    assert_eq!(packed.len(), 1);
    // Ours, but kept.
    push_some(&mirror, 3, "kept");
    let mut stay: BTreeSet<Oid> = names(&mirror);
    for name in &stay {
        fs::write(PackFile::new(&directory, *name).keep(), "").unwrap();
    }
    // Ours, but in an index over many packs.
    push_some(&mirror, 3, "indexed");
    mirror.git(&["multi-pack-index", "write", "--no-progress"]);
    stay = names(&mirror);
    let content = |stay: &BTreeSet<Oid>| -> Vec<Vec<u8>> {
        let files = stay.iter().map(|name| PackFile::new(&directory, *name));
        files
            .flat_map(|file| [fs::read(file.pack).unwrap(), fs::read(file.index).unwrap()])
            .collect()
    };
    let before = content(&stay);
    assert_eq!(stay.len(), 7);
    push_some(&mirror, PACKS_MAX + 1, "more");
    let joined = names(&mirror);
    assert_eq!(joined.len(), 7 + PACKS_MAX + 1 + 1);
    // Now those that were joined and wait for their removal are taken up.
    fs::remove_file(directory.join("multi-pack-index")).unwrap();
    mirror.git(&["multi-pack-index", "write", "--no-progress", "--bitmap"]);
    push_some(&mirror, 2 * PACKS_MAX, "and more");
    assert_eq!(content(&stay), before);
    assert!(joined.is_subset(&names(&mirror)));
    mirror.git(&["multi-pack-index", "verify", "--no-progress"]);
    is_sound(&mirror, 16 + 3 * PACKS_MAX + 1);
    assert!(
        names(&mirror).len() <= joined.len() + 2 * PACKS_MAX + 2,
        "{} and {}",
        names(&mirror).len(),
        joined.len()
    );
    // And when the index is gone they are still not ours.
    fs::remove_file(directory.join("multi-pack-index")).unwrap();
    push_some(&mirror, 2 * PACKS_MAX, "and more");
    assert!(joined.is_subset(&names(&mirror)));

    // An index that is not understood may name any pack.
    fs::write(
        directory.join("multi-pack-index"),
        "MIDX of a later time, which is long enough",
    )
    .unwrap();
    let before = names(&mirror);
    push_unjoined(&mirror, 2 * PACKS_MAX, "unjoined");
    assert!(before.is_subset(&names(&mirror)));
    assert_eq!(names(&mirror).len(), before.len() + 2 * PACKS_MAX);
    fs::remove_file(directory.join("multi-pack-index")).unwrap();
    push_some(&mirror, 1, "joined");
    push_some(&mirror, PACKS_MAX + 1, "joined");
    assert!(names(&mirror).len() < before.len() + PACKS_MAX + 10);
    is_sound(&mirror, 16 + 8 * PACKS_MAX + 3);
}

#[test]
fn a_damaged_pack_is_left_as_it_is_and_the_others_are_joined() {
    let mirror = Mirror::new();
    push_some(&mirror, PACKS_MAX, "some");
    let directory = mirror.remote.path().join("objects/pack");
    let all: Vec<Oid> = names(&mirror).into_iter().collect();
    let damaged = all[..4].iter().map(|name| PackFile::new(&directory, *name));
    let damaged: Vec<PackFile> = damaged.collect();
    let flip = |path: &Path, at: fn(usize) -> usize| {
        let mut bytes = fs::read(path).unwrap();
        let at = at(bytes.len());
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    flip(&damaged[0].pack, |length| length / 2);
    flip(&damaged[1].index, |length| length / 2);
    flip(&damaged[2].pack, |length| length - 1);
    flip(&damaged[3].pack, |_| 11);
    let files = || -> Vec<Vec<u8>> {
        damaged
            .iter()
            .flat_map(|file| [&file.pack, &file.index])
            .map(|path| fs::read(path).unwrap())
            .collect()
    };
    let before = files();
    push_some(&mirror, PACKS_MAX, "more");
    push_some(&mirror, PACKS_MAX, "more");
    assert_eq!(files(), before);
    let there = names(&mirror).len();
    assert!(there <= 2 * PACKS_MAX + 6, "{there}");
}

#[test]
fn nothing_is_joined_while_git_keeps_house_or_somebody_stores() {
    let mirror = Mirror::new();
    let root = mirror.remote.path();
    for sign in ["gc.pid", "objects/maintenance.lock"] {
        let before = names(&mirror).len();
        fs::write(root.join(sign), "1 somewhere").unwrap();
        push_unjoined(&mirror, PACKS_MAX + 5, sign);
        assert_eq!(names(&mirror).len(), before + PACKS_MAX + 5, "{sign}");
        // One that was left over by a crash does not count for ever.
        let file = File::options().write(true).open(root.join(sign)).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_modified(now - HOUSEKEEPING_MAX).unwrap();
        push_some(&mirror, 1, sign);
        let joined = own(&mirror).list().unwrap();
        assert!(
            joined
                .iter()
                .any(|pack| matches!(pack, OwnPack::JoinedInto { .. })),
            "{sign}"
        );
        fs::remove_file(root.join(sign)).unwrap();
    }
    let held = own(&mirror).hold().unwrap().unwrap();
    let before = names(&mirror).len();
    push_unjoined(&mirror, PACKS_MAX + 5, "held");
    assert_eq!(names(&mirror).len(), before + PACKS_MAX + 5);
    drop(held);
    push_some(&mirror, 1, "free");
    assert!(names(&mirror).len() < before + PACKS_MAX);

    let alone = own(&mirror).alone().unwrap().unwrap();
    assert!(alone.now > SystemTime::UNIX_EPOCH);
    assert!(own(&mirror).alone().unwrap().is_none());
    let tip = mirror.remote.tip(&mirror.main).unwrap();
    let push = mirror.make(tip, "busy", &[("a", "b")]);
    assert!(matches!(mirror.remote.push(&push), Err(PushError::Busy { .. })));
    drop(alone);
    mirror.remote.push(&push).unwrap();
    is_sound(&mirror, 3 * PACKS_MAX + 19);
}

#[test]
fn the_list_for_plain_http_follows() {
    let mirror = Mirror::new();
    let listed = || -> BTreeSet<Oid> {
        let list = fs::read_to_string(mirror.remote.path().join("objects/info/packs")).unwrap();
        assert!(list.ends_with("\n\n"), "{list:?}");
        let names = list
            .lines()
            .filter_map(|line| line.strip_prefix("P pack-")?.strip_suffix(".pack"));
        names.map(|name| Oid::parse(name).unwrap()).collect()
    };
    push_some(&mirror, 10, "packed");
    mirror.git(&["repack", "-adq"]);
    push_some(&mirror, 10, "listed");
    mirror.git(&["update-server-info"]);
    assert_eq!(listed(), names(&mirror));
    push_some(&mirror, PACKS_MAX, "joined");
    assert_eq!(listed().len(), 2, "theirs, and the joined one");
    push_some(&mirror, PACKS_MAX, "removed");
    assert!(listed().is_subset(&names(&mirror)));
}

/// Runs `git`; an error if it fails or speaks of one that is not among those `known`.
fn run(directory: &Path, args: &[&str], known: &[&str]) -> Result<(), String> {
    let output = command(directory, args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let odd = |line: &str| line.contains("error") && !known.iter().any(|known| line.contains(known));
    match output.status.success() && !said.lines().any(odd) {
        true => Ok(()),
        false => Err(format!("git {args:?}: {said}")),
    }
}

type Work<'a> = &'a (dyn Fn(usize) -> Result<(), String> + Sync);

/// Pushes as fast as possible while others do their work again and again, which must succeed each time.
fn meanwhile(mirror: &Mirror, pushes: usize, others: &[Work<'_>]) {
    let stop = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let start = |other: Work<'_>| {
            let mut rounds = 0;
            while !stop.load(Ordering::SeqCst) {
                other(rounds).map_err(|error| format!("round {rounds}: {error}"))?;
                rounds += 1;
            }
            Ok::<usize, String>(rounds)
        };
        let running = others.iter().map(|other| scope.spawn(move || start(*other)));
        let running: Vec<_> = running.collect();
        for number in 0..pushes {
            push_some(mirror, 1, &format!("number {number}"));
            if running.iter().any(ScopedJoinHandle::is_finished) {
                break;
            }
        }
        stop.store(true, Ordering::SeqCst);
        for other in running {
            assert!(other.join().unwrap().unwrap() > 0);
        }
    });
}

#[test]
fn who_reads_with_git_meanwhile_does_not_notice() {
    let mirror = Mirror::new();
    push_some(&mirror, 5, "first");
    let root = mirror.directory.path();
    let remote = mirror.remote.path();
    let (fetched, shared) = (root.join("fetched.git"), root.join("shared.git"));
    let clone = ["clone", "--quiet", "--bare"];
    git(
        root,
        &[&clone[..], &["--no-local", "remote.git", "fetched.git"]].concat(),
    );
    // Another repository that borrows all its objects.
    git(
        root,
        &[&clone[..], &["--shared", "remote.git", "shared.git"]].concat(),
    );
    let borrowed = git(&shared, &["rev-parse", "main"]);
    // A clone that copies the files themselves says of itself that nobody may change them meanwhile.
    let cloning = |round: usize| {
        let name = format!("clone-{round}.git");
        run(
            root,
            &[&clone[..], &["--no-local", "remote.git", &name]].concat(),
            &[],
        )?;
        run(&root.join(&name), &["fsck", "--strict", "--no-dangling"], &[])?;
        fs::remove_dir_all(root.join(name)).map_err(|error| error.to_string())
    };
    let reading = |_| {
        run(&fetched, &["fetch", "--quiet", "origin", "main:main"], &[])?;
        run(remote, &["log", "--raw", "main"], &[])?;
        run(&shared, &["log", "-p", &borrowed], &[])
    };
    meanwhile(&mirror, 5 * PACKS_MAX, &[&cloning, &reading]);
    is_sound(&mirror, 5 * PACKS_MAX + 5);
    assert_eq!(
        git(&fetched, &["fsck", "--full", "--strict", "--no-dangling"]),
        ""
    );
    assert_eq!(git(&shared, &["fsck", "--full", "--strict", "--no-dangling"]), "");
}

#[test]
fn who_repacks_with_git_meanwhile_harms_nothing_and_is_not_harmed() {
    let mirror = Mirror::new();
    push_some(&mirror, 5, "first");
    let remote = mirror.remote.path();
    // What `git gc` and `git repack` say when branches move, joined or not: the lists of branches are not those that
    // they began with; nor are those of files that are just being written.
    let known = [
        "cannot lock ref",
        "unable to update info/refs",
        "Could not stat 'objects/pack/tmp_kbc-mirror_",
    ];
    let repacking = |round: usize| {
        let how: &[&str] = match round % 5 {
            0 => &["repack", "-q", "-d", "--geometric=2"],
            1 => &["repack", "-q", "-d"],
            2 => &["repack", "-q", "-a", "-d"],
            3 => &["repack", "-q", "-a", "-d", "--cruft"],
            _ => &["gc", "--quiet"],
        };
        run(remote, how, &known)
    };
    meanwhile(&mirror, 500, &[&repacking]);
    is_sound(&mirror, 505);
}

/// Pushes as a worker does: on a busy machine the others may hold the repository for longer than one push waits for it.
fn patiently(push: impl Fn() -> Result<(), PushError>) {
    for _ in 0..100 {
        match push() {
            Err(PushError::Busy { .. }) => {}
            pushed => return pushed.unwrap(),
        }
    }
    panic!("the repository is held for ever");
}

#[test]
fn several_that_push_to_one_repository_join_its_packs_one_at_a_time() {
    let mirror = Mirror::new();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let mirror = &mirror;
            scope.spawn(move || {
                let store = Store::open_or_create(&mirror.directory.path().join(format!("store-{worker}")));
                let store = store.unwrap();
                let remote = LocalBare::open(mirror.remote.path()).unwrap();
                let own = branch(&format!("worker-{worker}"));
                let mut tip = None;
                for number in 0..100 {
                    // Some make the very same objects.
                    let files = [("a", &*format!("{number}")), ("b/c", "same")];
                    let push = make(&store, &own, tip, &format!("{number}"), &files);
                    tip = Some(push.new_tip());
                    store.save(&push).unwrap();
                    patiently(|| remote.push(&push));
                    store.confirm(push).unwrap();
                }
            });
        }
    });
    assert_eq!(mirror.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    for worker in 0..4 {
        let count = mirror.git(&["rev-list", "--count", &format!("worker-{worker}")]);
        assert_eq!(count, "100");
    }
    assert!(names(&mirror).len() <= 2 * PACKS_MAX + 10);
}
