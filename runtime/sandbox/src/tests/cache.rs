//! The directory of compiled guests.

use super::support::{POLICY, component, limits};
use crate::{Sandbox, SandboxConfig};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

fn use_policy(dir: &Path, key: u8) {
    let config = SandboxConfig {
        cache_dir: Some(dir.to_owned()),
        cache_key: [key; 32],
        ..SandboxConfig::offline(limits(), limits())
    };
    let sandbox = Sandbox::new(config).expect("the engine starts");
    sandbox
        .customer_policy("X", &component(POLICY, "redaction-policy"), "{}")
        .expect("the policy fits");
}

fn only_file(dir: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(dir)
        .expect("there is a directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Compiles, lets `spoil` change the file, and returns whether the next start replaced it.
fn is_replaced(spoil: impl FnOnce(&mut Vec<u8>), key: u8) -> bool {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("compiled");
    use_policy(&dir, 1);
    let file = only_file(&dir);
    let mut content = fs::read(&file).expect("the file is there");
    spoil(&mut content);
    fs::write(&file, &content).expect("the file is ours");
    use_policy(&dir, key);
    fs::read(only_file(&dir)).expect("the file is there") != content
}

#[test]
fn only_the_owner_can_read_what_is_kept() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("a/compiled");
    use_policy(&dir, 1);
    assert_eq!((mode(&dir), mode(&only_file(&dir))), (0o700, 0o600));
}

#[test]
fn a_file_that_is_ours_is_loaded() {
    assert!(!is_replaced(|_| {}, 1));
}

#[test]
fn a_file_that_is_loaded_counts_as_used() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("compiled");
    use_policy(&dir, 1);
    let file = fs::File::options().append(true).open(only_file(&dir));
    let file = file.expect("the file is ours");
    file.set_modified(std::time::UNIX_EPOCH)
        .expect("the file is ours");
    use_policy(&dir, 1);
    let metadata = fs::metadata(only_file(&dir)).expect("it is there");
    assert!(metadata.modified().expect("it has a time") > std::time::UNIX_EPOCH);
}

#[test]
fn a_file_that_is_not_ours_is_never_loaded_and_replaced() {
    assert!(is_replaced(|_| {}, 2), "another key");
    assert!(
        is_replaced(|content| content.truncate(content.len() / 2), 1),
        "half a file"
    );
    assert!(is_replaced(|content| content.truncate(10), 1), "hardly a file");
    assert!(is_replaced(Vec::clear, 1), "an empty file");
    assert!(
        is_replaced(|content| *content.last_mut().expect("there is content") ^= 1, 1),
        "a flipped bit"
    );
}

#[test]
fn code_of_another_component_is_not_loaded_under_this_name() {
    let root = tempfile::tempdir().expect("a directory");
    let (one, other) = (root.path().join("one"), root.path().join("other"));
    use_policy(&one, 1);
    let config = SandboxConfig {
        cache_dir: Some(other.clone()),
        cache_key: [1; 32],
        ..SandboxConfig::offline(limits(), limits())
    };
    let sandbox = Sandbox::new(config).expect("the engine starts");
    let changed = POLICY.replace("Of the test", "Of the task");
    sandbox
        .customer_policy("X", &component(&changed, "redaction-policy"), "{}")
        .expect("the policy fits");
    let foreign = fs::read(only_file(&other)).expect("the file is there");
    fs::write(only_file(&one), &foreign).expect("the file is ours");
    use_policy(&one, 1);
    assert_ne!(fs::read(only_file(&one)).expect("the file is there"), foreign);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    let file = root.path().join("file");
    fs::write(&file, "").expect("the directory is ours");
    let config = SandboxConfig {
        cache_dir: Some(file.join("compiled")),
        cache_key: [1; 32],
        ..SandboxConfig::offline(limits(), limits())
    };
    let error = Sandbox::new(config).expect_err("a file is in the way");
    assert!(error.to_string().contains("file/compiled"), "{error}");
}
