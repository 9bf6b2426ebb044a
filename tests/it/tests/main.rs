//! Whole-system tests, one module for each subject.
//!
//! They are one program: forty of them would each be compiled with [`support`] and linked with the whole product, and
//! run one after the other, where most wait for a process most of the time.

mod backfill;
mod bench;
mod branches;
mod busy;
mod catch_up;
mod changes;
mod crash;
mod deaths;
mod default_buckets;
mod deletions;
mod exact;
mod faults;
mod humans;
mod jobs;
mod limits;
mod months;
mod nats;
mod network;
mod notices;
mod one_object;
mod operators;
mod outage;
mod packed;
mod policies;
mod poll;
mod prefix;
mod properties;
mod push_protection;
mod readers;
mod reconcile;
mod rehearsals;
mod replays;
mod rotation;
mod samples;
mod scale;
mod secrets;
mod storage;
mod strangers;
mod support;
mod suspended;
mod untaken;
mod visibility;
mod workers;
mod wrong_input;

/// Cargo does not look for tests here, so a file that is no module would never be run.
#[test]
fn every_file_is_a_module() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(here).expect("the directory can be read") {
        let path = entry.expect("it can be read").path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_declared = include_str!("main.rs").contains(&format!("\nmod {name};\n"));
        if name != "main" && !is_declared {
            missing.push(name);
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "`mod NAME;` in main.rs");
}
