//! What a fetch takes of memory: not what the server sends, nor what that unpacks to.

use super::*;
use crate::{
    commit,
    encoder::Encoder,
    pack::{Durability, Pack, object_id},
    run::Run,
    testing::{Random, git_fed, pseudo_random_bytes, text},
};
use gix::objs::Kind;
use std::{
    fmt::Write as _,
    process::{Command, Stdio},
};

const MIB: usize = 1 << 20;
/// So much is sent of trees, and so much of it may be in memory at any time.
const TREES: usize = 96 * MIB;
const TREES_IN_MEMORY_MAX: usize = 40 * MIB;
/// The same of files that are not wanted.
const FILES: usize = 48 * MIB;
const FILES_IN_MEMORY_MAX: usize = 24 * MIB;

const URL: &str = "MIRROR_GIT_TEST_URL";
const KEY: &str = "MIRROR_GIT_TEST_KEY";
const KNOWN_HOSTS: &str = "MIRROR_GIT_TEST_KNOWN_HOSTS";

/// Returns what the system says of this process, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let number = line.trim_matches([':', ' ', '\t', 'k', 'B']);
    number.parse::<usize>().unwrap() * 1024
}

/// In a process of its own: fetches the trees of the branch, and prints how many objects came and by how much memory grew.
fn fetch_as_child(url: &str) {
    let cache = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(cache.path()).unwrap();
    let read = |name| std::env::var(name).ok();
    let credential = read(KEY).map(|key| Credential::SshKey {
        private_key: password(&key),
        known_hosts: read(KNOWN_HOSTS).unwrap(),
    });
    let remote = open(
        url,
        RemoteSettings {
            credential,
            // How long a busy machine takes is not what is asked.
            timeouts: Timeouts {
                idle: Duration::from_secs(600),
                total: Duration::from_secs(1800),
                ..Timeouts::default()
            },
            ..settings()
        },
    );
    let tip = remote.tip(&branch("main")).unwrap().unwrap();
    let before = status("VmRSS");
    let fetched = remote
        .fetch(tip, &store, FetchScope::TreesOnly { commits_max: 1 })
        .unwrap();
    let grown = status("VmHWM").saturating_sub(before);
    println!("\nfetched {} {grown}", fetched.objects);
}

/// Fetches in a process of its own; returns how many objects came and by how much its memory grew.
fn fetch(test: &str, setup: &Setup) -> (usize, usize) {
    let (url, settings) = setup.access.as_ref().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("smart::tests::memory::{test}");
    command
        .args(["--exact", "--nocapture", &test])
        .env(URL, url)
        .stdin(Stdio::null());
    if let Some(Credential::SshKey {
        private_key,
        known_hosts,
    }) = &settings.credential
    {
        command.env(KEY, private_key.expose_secret());
        command.env(KNOWN_HOSTS, known_hosts);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().find_map(|line| line.strip_prefix("fetched "));
    let line = line.unwrap_or_else(|| panic!("{printed}\n{}", String::from_utf8_lossy(&output.stderr)));
    let (objects, grown) = line.split_once(' ').unwrap();
    (objects.parse().unwrap(), grown.parse().unwrap())
}

#[test]
fn files_that_come_along_and_are_not_wanted_are_never_in_memory() {
    if let Ok(url) = std::env::var(URL) {
        return fetch_as_child(&url);
    }
    for way in [Way::PlainHttpV0, Way::Http, Way::Ssh] {
        let setup = Setup::new(way);
        // No filter, so everything is sent.
        setup.git(&["config", "uploadpack.allowFilter", "false"]);
        for (name, value) in [("core.compression", "0"), ("pack.compression", "0")] {
            setup.git(&["config", name, value]);
        }
        let mut tree = String::new();
        for number in 0..4 {
            let content = pseudo_random_bytes(number, FILES / 4);
            let id = git_fed(&setup.path, &["hash-object", "-w", "--stdin"], &content).stdout;
            let id = String::from_utf8(id).unwrap();
            writeln!(tree, "100644 blob {}\tf{number}", id.trim_end()).unwrap();
        }
        let tree = String::from_utf8(git_fed(&setup.path, &["mktree"], tree.as_bytes()).stdout).unwrap();
        let commit = setup.git(&["commit-tree", "-m", "files", tree.trim_end()]);
        setup.git(&["update-ref", "refs/heads/main", &commit]);
        let (objects, grown) = fetch(
            "files_that_come_along_and_are_not_wanted_are_never_in_memory",
            &setup,
        );
        assert_eq!(objects, 2, "{way:?}: the commit and its tree");
        assert!(grown < FILES_IN_MEMORY_MAX, "{way:?}: {} MiB", grown / MIB);
    }
}

#[test]
fn trees_are_put_aside_while_they_come() {
    if let Ok(url) = std::env::var(URL) {
        return fetch_as_child(&url);
    }
    const DIRECTORIES: usize = TREES / MIB;
    let mut random = Random(6);
    let mut encoder = Encoder::new();
    let mut run = Run::default();
    let mut root = Vec::new();
    for directory in 0..DIRECTORIES {
        let mut raw = Vec::with_capacity(MIB);
        for file in 0.. {
            if raw.len() >= MIB {
                break;
            }
            raw.extend_from_slice(format!("100644 {file:06}\0").as_bytes());
            raw.extend_from_slice(&random.next().to_le_bytes());
            raw.extend_from_slice(&random.next().to_le_bytes());
            raw.extend_from_slice(&random.next().to_le_bytes()[..4]);
        }
        let id = object_id(Kind::Tree, &raw).unwrap();
        run.push_stored(&mut encoder, id, Kind::Tree, &raw);
        root.extend_from_slice(format!("40000 {directory:04}\0").as_bytes());
        root.extend_from_slice(id.as_bytes());
    }
    let root_id = object_id(Kind::Tree, &root).unwrap();
    run.push(&mut encoder, root_id, Kind::Tree, &root);
    let raw = commit::encode(root_id, &[], text("trees", 1_700_000_000), None).unwrap();
    let tip = object_id(Kind::Commit, &raw).unwrap();
    run.push(&mut encoder, tip, Kind::Commit, &raw);
    let pack = Pack::in_memory(run);
    for way in [Way::Http, Way::Ssh] {
        let setup = Setup::new(way);
        pack.store(&setup.path.join("objects/pack"), Durability::Cached)
            .unwrap();
        setup.git(&["update-ref", "refs/heads/main", &tip.to_string()]);
        let (objects, grown) = fetch("trees_are_put_aside_while_they_come", &setup);
        assert_eq!(objects, DIRECTORIES + 2, "{way:?}");
        assert!(grown < TREES_IN_MEMORY_MAX, "{way:?}: {} MiB", grown / MIB);
    }
}
